"""Makes the docs site: the Markdown of docs/, with what other files say put in where it is named, and Zensical on it.

A line of its own in a page of ``docs/`` is replaced:

``<!-- README: The connection -->``  the text below that heading of README.md
``<!-- table: vendor codes -->``     a table made from the code; see `TABLES`
``<!-- help: export -->``            what ``callreport export --help`` prints
``<!-- example: daily_calls -->``    ``example_dags/daily_calls.py``: its docstring, then its code
``<!-- changelog -->``               CHANGELOG.md without its title

So nothing is written twice. Links within the README then lead to the page that has the section, and names of files that
are on the site, such as `docs/assets.md`, become links.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from airflow_provider_callreport.api.errors import CODE_TABLE, ApiError, error_class
from airflow_provider_callreport.cli.commands import COMMANDS, Command
from airflow_provider_callreport.cli.exit_codes import ExitCode

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "example_dags"
PAGES = ROOT / "build" / "docs"

_DIRECTIVE = re.compile(r"^<!-- (README|table|help|example|changelog)(?:: (.+))? -->$")
_HEADING = re.compile(r"^(#{1,6}) (.+)$")
_FENCE = re.compile(r"^ *```")
_LINK = re.compile(r"\]\((?:\.\./README\.md)?#([^)]+)\)")
#: A file of the site that is named as code, but not within a link. What stands in a code block does not match, since
#: there are no backticks.
_FILE = re.compile(r"(?<!\[)`(docs/[\w/]+\.\w+|example_dags/(\w+)\.py)`(?!\])")
#: In a docstring, ``start, end: text``, with the lines that go on with the text.
_TOGETHER = re.compile(r"^( +)(\w+(?:, \w+)+): (.+(?:\n\1 +.+)*)", re.MULTILINE)
#: The mark of a code block in reStructuredText. In Markdown the blank line and the indentation are enough.
_LITERAL = re.compile(r"^::$|:(?=:$)", re.MULTILINE)


class DocsError(Exception):
    """A page asks for what is not there; the message is one sentence."""


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and Python-Markdown make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def headings(text: str) -> list[tuple[int, int, str]]:
    """The headings of a Markdown text as (line, level, title); what stands in code blocks is none."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines()):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (match := _HEADING.match(line)):
            found.append((number, len(match[1]), match[2]))
    return found


def as_markdown(docstring: str) -> str:
    """A docstring with an entry for each name, where several share one text, and without reStructuredText's ``::``."""

    def apart(match: re.Match[str]) -> str:
        indent, names, text = match.groups()
        return "\n".join(f"{indent}{name}: {text}" for name in names.split(", "))

    return _LITERAL.sub("", _TOGETHER.sub(apart, docstring))


@dataclass(frozen=True)
class Section:
    """A section of the README.

    Attributes:
        title: its heading.
        level: level of the heading.
        text: what is below it, with its subsections.
        inner: titles of the subsections.
    """

    title: str
    level: int
    text: str
    inner: tuple[str, ...]


def sections(text: str) -> dict[str, Section]:
    """The README's sections of level 2 and 3 by title."""
    lines, marks = text.splitlines(), headings(text)
    found = {}
    for index, (line, level, title) in enumerate(marks):
        if level not in (2, 3):
            continue
        later = marks[index + 1 :]
        end = next((number for number, other, _ in later if other <= level), len(lines))
        inner = tuple(name for number, _, name in later if number < end)
        found[title] = Section(title, level, "\n".join(lines[line + 1 : end]).strip("\n"), inner)
    return found


class Site:
    """The pages as they are to be built.

    Args:
        readme: text of README.md.
        changelog: text of CHANGELOG.md.
        pages: texts of the pages by path within the site.
        files: paths within the site of what is no page.

    Raises:
        DocsError: a page asks for what is not there.
    """

    def __init__(self, readme: str, changelog: str, pages: dict[str, str], files: Collection[str] = ()) -> None:
        self._sections = sections(readme)
        self._changelog = changelog.split("\n", 1)[1]
        self._pages = pages
        #: Name in the repository -> page and anchor in the site.
        self._files = {f"docs/{name}": name for name in (*pages, *files)}
        #: Anchor in the README -> page and anchor in the site.
        self.places: dict[str, tuple[str, str]] = {}
        for path, text in pages.items():
            self._note_places(path, text)

    def _note_places(self, path: str, text: str) -> None:
        above = [(0, 1, "")]
        marks = {number: (number, level, title) for number, level, title in headings(text)}
        for number, line in enumerate(text.splitlines()):
            if number in marks:
                above.append(marks[number])
            match = _DIRECTIVE.match(line)
            if match and match[1] == "README":
                section = self._section(path, match[2])
                _, level, title = above[-1]
                self.places[slug(section.title)] = (path, "" if level == 1 else slug(title))
                self.places.update({slug(name): (path, slug(name)) for name in section.inner})
            elif match and match[1] == "example":
                self._files[f"example_dags/{match[2]}.py"] = f"{path}#{match[2]}"

    def _section(self, path: str, title: str) -> Section:
        if title not in self._sections:
            raise DocsError(f"docs/{path} asks for the section {title!r}, which README.md does not have")
        return self._sections[title]

    def page(self, path: str) -> str:
        """A page with everything put in.

        Raises:
            DocsError: it asks for what is not there.
        """
        lines, level, fenced = [], 1, False
        for line in self._pages[path].splitlines():
            if _FENCE.match(line):
                fenced = not fenced
            heading, directive = (None, None) if fenced else (_HEADING.match(line), _DIRECTIVE.match(line))
            if heading:
                level = len(heading[1])
            lines.append(self._put_in(path, directive, level) if directive else line)
        return self._linked(path, "\n".join(lines)) + "\n"

    def _put_in(self, path: str, directive: re.Match[str], level: int) -> str:
        kind, name = directive[1], directive[2]
        if kind == "changelog":
            return self._changelog
        if kind == "README":
            section = self._section(path, name)
            return _moved(section.text, level - section.level)
        if kind == "example":
            return _example(path, name)
        helps = {command.name: partial(help_of, command) for command in COMMANDS}
        makers: Mapping[str, Callable[[], str]] = TABLES if kind == "table" else helps
        if name not in makers:
            raise DocsError(f"docs/{path} asks for the {kind} {name!r}; there are {', '.join(sorted(makers))}")
        return makers[name]()

    def _linked(self, path: str, text: str) -> str:
        """The text with links into the README turned into links to the page that has the section."""
        own = {slug(title) for _, _, title in headings(text)}
        up = "../" * path.count("/")

        def target(match: re.Match[str]) -> str:
            anchor = match[1]
            if "README.md" not in match[0] and anchor in own:
                return match[0]
            if anchor not in self.places:
                raise DocsError(f"docs/{path} has a link to #{anchor}, and no page has that section of the README")
            page, inner = self.places[anchor]
            there = "" if page == path and inner else f"{up}{page}"
            return f"]({there}{'#' + inner if inner else ''})"

        def file(match: re.Match[str]) -> str:
            place = self._files.get(match[1])
            return match[0] if place is None or place == path else f"[{match[0]}]({up}{place})"

        return _FILE.sub(file, _LINK.sub(target, text))


def _moved(text: str, levels: int) -> str:
    """The text with its headings some levels deeper, or higher."""
    lines = text.splitlines()
    for number, level, title in headings(text):
        lines[number] = f"{'#' * (level + levels)} {title}"
    return "\n".join(lines)


def _example(path: str, name: str) -> str:
    file = EXAMPLES / f"{name}.py"
    if not file.is_file():
        raise DocsError(f"docs/{path} asks for the example {name!r}, and example_dags/ has no such file")
    text = file.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    code = text.split('"""', 2)[2].strip()
    return f"## {name}\n\n{docstring.replace('``', '`')}\n\n```python\n{code}\n```"


# --- what is made from the code --------------------------------------------------------------------------------------


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row_of(error: ApiError, what: str) -> tuple[str, ...]:
    meaning = (type(error).__doc__ or "").strip().splitlines()[0]
    advice = error.advice or "The message is shown; ask DeepCall."
    return what, meaning, advice, "yes" if error.retryable else "no"


def _answered(kind: type[ApiError], code: int | None, status: int = 200) -> ApiError:
    return kind(code=code, vendor_message="", http_status=status, endpoint="list")


def vendor_codes() -> str:
    """Every vendor code that is known, and what the package makes of it."""
    rows = [_row_of(_answered(CODE_TABLE[code], code), str(code)) for code in sorted(CODE_TABLE)]
    rows.append(_row_of(_answered(ApiError, 0), "any other"))
    return _table(("Code", "Meaning", "What to do", "Tried again"), rows)


def http_statuses() -> str:
    """HTTP statuses of answers that bring no vendor code."""
    named = {401: "401", 403: "403", 404: "other 4xx", 408: "408", 425: "425", 429: "429", 500: "5xx"}
    rows = [_row_of(_answered(error_class(status, None), None, status), name) for status, name in named.items()]
    return _table(("HTTP status", "Meaning", "What to do", "Tried again"), rows)


def exit_codes() -> str:
    """How the commands end."""
    return _table(("Exit status", "Meaning"), [(str(code.value), code.meaning) for code in ExitCode])


TABLES: dict[str, Callable[[], str]] = {
    "vendor codes": vendor_codes,
    "HTTP statuses": http_statuses,
    "exit codes": exit_codes,
}


def help_of(command: Command) -> str:
    """What a command prints when it is asked for help, as a code block; the list of faults is left out."""
    parser = argparse.ArgumentParser(
        prog=f"callreport {command.name}",
        description=command.help,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=84),
    )
    command.add_arguments(parser.add_argument)
    return f"```text\n{parser.format_help()}```"


def build(target: Path = PAGES) -> None:
    """Write the pages, and copy what is no page.

    Args:
        target: a directory that is made anew.

    Raises:
        DocsError: a page asks for what is not there.
    """
    sources = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*")) if path.is_file()}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items() if path.suffix == ".md"}
    readme, changelog = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CHANGELOG.md"))
    site = Site(readme, changelog, texts, sources.keys() - texts.keys())
    shutil.rmtree(target, ignore_errors=True)
    for name, path in sources.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name in texts:
            file.write_text(site.page(name), encoding="utf-8")
        else:
            shutil.copyfile(path, file)


def main() -> int:
    """Make the pages, then the site in ``site/``; return 1 after a mistake or a warning."""
    try:
        build()
    except DocsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sys.stdout.write(done.stdout)
    # What is wrong with a docstring is said by Griffe, and is no warning to Zensical.
    return 1 if done.returncode or re.search(r"^(griffe|WARNING)", done.stdout, re.MULTILINE) else 0


if __name__ == "__main__":
    sys.exit(main())
