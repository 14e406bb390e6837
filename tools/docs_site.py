"""Makes the docs site: the pages of ``docs/``, the changes, and Zensical on them.

The pages are whole where they are, for a reader of the repository. `page_blocks` writes what they take from the code,
and ``docs/llms.txt``, the list of the pages in the form of llmstxt.org.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = ROOT / "build" / "docs"
LLMS = DOCS / "llms.txt"

#: Where CHANGELOG.md goes, without its title.
_CHANGELOG = "<!-- changelog -->"
_HEADING = re.compile(r"^(#{1,6}) (.+)$")
_FENCE = re.compile(r"^ *```")
#: In a docstring, ``start, end: text``, with the lines that go on with the text.
_TOGETHER = re.compile(r"^( +)(\w+(?:, \w+)+): (.+(?:\n\1 +.+)*)", re.MULTILINE)
#: The mark of a code block in reStructuredText. In Markdown the blank line and the indentation are enough.
_LITERAL = re.compile(r"^::$|:(?=:$)", re.MULTILINE)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and Python-Markdown make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def headings(text: str) -> list[tuple[int, int, str]]:
    """The headings of a Markdown text as (line, level, title), without lines of code blocks."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines()):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (match := _HEADING.match(line)):
            found.append((number, len(match[1]), match[2]))
    return found


def first_sentence(text: str) -> str:
    """The sentence that a page begins with, or nothing where it does not begin with prose."""
    paragraph = " ".join(text.split("\n\n")[1].split())
    if not re.match(r"(?!```)[\w`*\[]", paragraph):
        return ""
    sentence = re.split(r"(?<=\.)\s", paragraph)[0].rstrip(":")
    return re.sub(r"\[([^\]]+)\]\([^)]*\)|\*\*", r"\1", sentence)


def llms() -> str:
    """The text of ``docs/llms.txt``: each page of the navigation with its first sentence."""
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    lines = [f"# {site['site_name']}", "", f"> {site['site_description']}"]
    for entry in site["nav"]:
        ((title, pages),) = entry.items()
        if isinstance(pages, str):
            title, pages = "Docs", [entry]
        lines += ["", f"## {title}", ""]
        for page in pages:
            ((name, path),) = page.items()
            about = first_sentence((DOCS / path).read_text(encoding="utf-8"))
            lines.append(f"- [{name}]({path})" + (f": {about}" if about else ""))
    return "\n".join(lines) + "\n"


def as_markdown(docstring: str) -> str:
    """A docstring with an entry for each name, where several share one text, and without reStructuredText's ``::``."""

    def apart(match: re.Match[str]) -> str:
        indent, names, text = match.groups()
        return "\n".join(f"{indent}{name}: {text}" for name in names.split(", "))

    return _LITERAL.sub("", _TOGETHER.sub(apart, docstring))


def build(target: Path = PAGES) -> None:
    """Copy the pages, and what belongs to them.

    Args:
        target: a directory that is made anew.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(DOCS, target)
    # The site has a folder for each page.
    text = re.sub(r"\(index\.md\)|(?<=\w)\.md\)", lambda found: "(./)" if "index" in found[0] else "/)", llms())
    (target / LLMS.name).write_text(text, encoding="utf-8")
    changes = target / "changes.md"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n", 1)[1]
    changes.write_text(changes.read_text(encoding="utf-8").replace(_CHANGELOG, changelog), encoding="utf-8")


class _Links(HTMLParser):
    """The links of an HTML page, and the anchors that it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors = {""}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.targets.append(value)


def broken_links(site: Path) -> list[str]:
    """Links and images of a built site that lead to no page, file or anchor of it; other sites are left out."""
    site = site.resolve()
    pages = {path: _Links(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            scheme, host, place, _, anchor = urlsplit(target)
            # Zensical's page of what is not found has absolute addresses, as nobody knows where it is shown.
            if scheme or host or path.name == "404.html":
                continue
            file = (path.parent / unquote(place)).resolve() if place else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file() or (file in pages and unquote(anchor) not in pages[file].anchors):
                broken.append(f"{path.relative_to(site)}: {target}")
    return broken


def main() -> int:
    """Copy the pages, then make the site in ``site/``; return 1 after a mistake, a warning or a broken link."""
    build()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sys.stdout.write(done.stdout)
    broken = broken_links(ROOT / "site")
    sys.stdout.writelines(f"broken link in {link}\n" for link in broken)
    # Griffe reports a wrong docstring, and Zensical does not count that as a warning.
    return 1 if done.returncode or broken or re.search(r"^(griffe|WARNING)", done.stdout, re.MULTILINE) else 0


if __name__ == "__main__":
    sys.exit(main())
