"""The docs site is whole and true: its pages fit together, and what they show runs."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from airflow.providers.common.compat.sdk import DAG
from support.readme import code_blocks, codes, is_literal, table

from airflow_provider_callreport.api.errors import CODE_TABLE
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.cli.main import main, parser
from airflow_provider_callreport.sandbox.__main__ import _parser as sandbox_parser
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.windows import windows
from tools.docs_site import DOCS, LLMS, ROOT, as_markdown, broken_links, build, first_sentence, headings, llms, slug
from tools.page_blocks import EXAMPLES, BlockError, written

PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
TUTORIAL = PAGES["tutorial.md"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as they are given to the site builder."""
    folder = tmp_path_factory.mktemp("pages")
    build(folder)
    return folder


# --- the pages fit together ------------------------------------------------------------------------------------------


def nav_pages(entries: object) -> Iterator[str]:
    """The pages of a navigation."""
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, list):
        for entry in entries:
            yield from nav_pages(entry)
    elif isinstance(entries, dict):
        for entry in entries.values():
            yield from nav_pages(entry)


def test_every_page_is_in_the_navigation_once() -> None:
    """true-docs: a page that nobody can find is none."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(nav_pages(nav)) == sorted(PAGES)


def test_the_list_for_language_models_names_every_page() -> None:
    """true-docs: `llms.txt` is as `make pages` writes it, and its links lead to the pages, each of them once."""
    text = LLMS.read_text(encoding="utf-8")
    assert text == llms(), "docs/llms.txt is out of date: run make pages"
    assert re.match(r"# .+\n\n> .+\n\n## ", text)
    assert sorted(re.findall(r"^- \[[^]]+\]\(([^)]+)\)", text, re.MULTILINE)) == sorted(PAGES)


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("# A\n\nOne\nsentence, [linked](b.md), **bold**. Two.\n", "One sentence, linked, bold."),
        ("# A\n\nAs follows:\n\n- b\n", "As follows"),
        ("# A\n\n## B\n\nOne.\n", ""),
        ("# A\n\n```console\nmake\n```\n", ""),
    ],
)
def test_the_first_sentence_of_a_page(page: str, sentence: str) -> None:
    """true-docs: what `llms.txt` says of a page is prose that the page begins with, or nothing."""
    assert first_sentence(page) == sentence


def broken(pages: dict[Path, str]) -> list[tuple[str, str]]:
    """Links of Markdown pages that lead to no file, or to no heading of a page."""
    found = []
    for path, text in pages.items():
        prose = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            place, _, anchor = target.partition("#")
            file = Path(os.path.normpath(path.parent / place)) if place else path
            if target.startswith("https://"):
                continue
            titles = {slug(title) for _, _, title in headings(pages.get(file, ""))}
            if not file.is_file() or (anchor and anchor not in titles):
                found.append((path.name, target))
    return found


def test_links_lead_somewhere(built: Path) -> None:
    """true-docs: each link of README, docs/ and the other pages, and each anchor, is there; so are images. The same
    holds for the pages of the site.
    """
    for paths in ([*ROOT.glob("*.md"), *DOCS.rglob("*.md")], list(built.rglob("*.md"))):
        pages = {path: path.read_text(encoding="utf-8") for path in paths}
        assert broken(pages) == []
        assert sum(text.count("](") for text in pages.values()) > 40


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """true-docs: in Markdown and in the site: a page, a heading, an image that does not exist."""
    lines = ["# Here", "[a](b.md)", "[a](#here)", "[a](#there)", "![a](c.png)", "`[a](code.md)`", "[a](https://a.b/c)"]
    page = tmp_path / "page.md"
    page.write_text("\n".join(lines), encoding="utf-8")
    assert broken({page: page.read_text()}) == [("page.md", "b.md"), ("page.md", "#there"), ("page.md", "c.png")]
    for name, html in {
        "index.html": '<h1 id="here"><a href="sub/#there">a</a><a href="sub/#gone">b</a><a href="https://a.b/c">c</a>',
        "sub/index.html": '<h2 id="there"><a href="../#here">a</a><a href="../x/">b</a><img src="../c.png">',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(html, encoding="utf-8")
    assert broken_links(tmp_path) == ["index.html: sub/#gone", "sub/index.html: ../x/", "sub/index.html: ../c.png"]


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_takes_from_the_code_is_up_to_date(name: str) -> None:
    """true-docs: tables, helps and examples are those of the code; `make pages` writes them."""
    assert PAGES[name] == written(name, PAGES[name]), f"docs/{name} is out of date: run make pages"


def test_pages_are_whole_where_they_are() -> None:
    """true-docs: a reader of the repository sees what the site shows; only reference and changes are made."""
    made = {name for name, text in PAGES.items() if re.search(r"^:::|^<!-- changelog -->", text, re.MULTILINE)}
    assert made == {"changes.md", "reference/api.md", "reference/operators.md", "reference/sandbox.md"}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<!-- table: nothing -->\n<!-- /table -->", "asks for the table 'nothing'; there are HTTP statuses, "),
        ("<!-- help: nothing -->\n<!-- /help -->", "asks for the help 'nothing'; there are check, completion, export"),
        ("<!-- example: x -->\n<!-- /example -->", "asks for the example 'x', and example_dags/ has no such file"),
    ],
)
def test_a_page_that_asks_for_what_does_not_exist_is_named(page: str, words: str) -> None:
    """true-docs: a slip stops the writing with one sentence."""
    with pytest.raises(BlockError, match=re.escape(f"docs/a.md {words}")):
        written("a.md", f"# A\n\n{page}\n")


@pytest.mark.parametrize(("page", "folder"), [("examples.md", EXAMPLES), ("recipes.md", EXAMPLES / "recipes")])
def test_every_example_dag_is_shown(built: Path, page: str, folder: Path) -> None:
    """true-docs: whoever has only the site can copy them; where one is named, a link leads to it."""
    shown = (built / page).read_text(encoding="utf-8")
    blocks = code_blocks("python", shown)
    names = {path.stem for path in folder.glob("*.py")}
    assert {title for _, level, title in headings(shown) if level == 2} == names
    assert {dag_id for block in blocks for dag_id in re.findall(r'dag_id="(\w+)"', block)} == names
    assert all(f"| [{name}](#{name}) |" in shown for name in names)
    how_to = (built / "how_to.md").read_text(encoding="utf-8")
    assert "[`example_dags/when_masked_calls_arrive.py`](examples.md#when_masked_calls_arrive)" in how_to


def test_docstrings_become_markdown() -> None:
    """true-docs: names that share a text get an entry each; no mark of reStructuredText is left."""
    text = "Do.\n\n::\n\n    a\n\nExample::\n\n    b\n\nArgs:\n    x, y: both\n        of them.\n    z: one.\n"
    both = "    x: both\n        of them.\n    y: both\n        of them.\n"
    assert as_markdown(text) == f"Do.\n\n\n\n    a\n\nExample:\n\n    b\n\nArgs:\n{both}    z: one.\n"


#: The first row's first cell of each table of arguments, by page, and what takes them; besides those of the README.
ARGUMENTS: list[tuple[str, str, Callable[..., Any]]] = [
    ("scale_out.md", "`start`, `end`", windows),
]


@pytest.mark.parametrize(("page", "first", "callee"), ARGUMENTS, ids=[callee.__name__ for _, _, callee in ARGUMENTS])
def test_every_argument_is_in_the_table(built: Path, page: str, first: str, callee: Callable[..., Any]) -> None:
    """true-docs: each argument once, no other; a default that is written out is that of the code."""
    text = (built / page).read_text(encoding="utf-8")
    (start,) = [
        found.start() for found in re.finditer(r"^\| Argument \|.*\n.*\n" + re.escape(f"| {first} |"), text, re.M)
    ]
    signature = inspect.signature(callee.__init__ if inspect.isclass(callee) else callee)
    expected = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    named = []
    for arguments, _, default in table(text[start:], "Argument"):
        names = codes(arguments)
        named += names
        written = [ast.literal_eval(value) for value in codes(default) if is_literal(value)]
        written += [
            int(number) * {"MB": 10**6, "GB": 10**9}[unit] for number, unit in re.findall(r"(\d+) ([MG]B)", default)
        ]
        assert set(written) <= {expected[name] for name in names}
    assert sorted(named) == sorted(expected)


def test_every_code_is_in_the_table_of_errors(built: Path) -> None:
    """error-kinds: code, meaning, what to do, and whether it is tried again, from the code itself."""
    rows = table((built / "errors.md").read_text(encoding="utf-8"), "Code")
    assert [row[0] for row in rows] == [*map(str, sorted(CODE_TABLE)), "any other"]
    assert all(all(row) for row in rows)
    assert {row[0] for row in rows if row[3] == "yes"} == {"1009", "1010", "1032", "1033", "1046"}
    (wrong,) = [row for row in rows if row[0] == "1000"]
    assert "User id" in wrong[2]


def test_every_exit_status_is_in_the_table(built: Path) -> None:
    """command-line: the table of the command line is the code's."""
    rows = table((built / "command_line.md").read_text(encoding="utf-8"), "Exit status")
    assert [int(row[0]) for row in rows] == [code.value for code in ExitCode]


def test_the_reference_names_modules_that_are_there() -> None:
    """true-docs: a module that is renamed is noticed before the site is built."""
    named = [name for text in PAGES.values() for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]
    assert len(named) > 10
    for name in named:
        assert import_module(name).__doc__


# --- what they show runs ---------------------------------------------------------------------------------------------


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SandboxServer]:
    """The stand-in API, as Airflow's default connection, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    with SandboxServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", server.connection_json())
        yield server


# Recipes are files that need further providers: tests/test_recipes.py runs them.
PYTHON = [
    (name, block) for name, text in PAGES.items() if name != "recipes.md" for block in code_blocks("python", text)
]


@pytest.mark.parametrize(("name", "block"), PYTHON, ids=[name for name, _ in PYTHON])
def test_python_blocks_run(api: SandboxServer, name: str, block: str) -> None:
    """true-docs: every Python block of a page runs as it stands: Dags are made, the hook asks the stand-in API."""
    with DAG("docs", schedule=None):
        exec(compile(block, f"docs/{name}", "exec"), {"__name__": "docs"})


def test_the_hook_reads_what_its_example_says(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """true-docs: the number of calls of the day, and the times of those that were missed."""
    (block,) = [
        block for block in code_blocks("python", PAGES["how_to.md"]) if "iter_rows" in block and "print" in block
    ]
    exec(compile(block, "docs/how_to.md", "exec"), {"__name__": "docs"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2000"
    assert all(line.startswith("2026-10-15 ") for line in lines[1:])
    assert len(lines) > 100


@pytest.mark.slow
def test_the_tests_of_the_sandbox_pass(tmp_path: Path) -> None:
    """true-docs: the example of a test of one's own is one, and passes."""
    (block,) = [block for block in code_blocks("python", PAGES["how_to.md"]) if "\ndef test_" in block]
    path = tmp_path / "test_example.py"
    path.write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_options_of_the_sandbox_are_options_of_the_sandbox() -> None:
    """true-docs: its command line, and the fault that is shown."""
    text = PAGES["how_to.md"]
    (command,) = re.findall(r"^python -m airflow_provider_callreport.sandbox (.*)$", text, re.MULTILINE)
    sandbox_parser().parse_args(shlex.split(command))
    sandbox_parser().parse_args(codes(text[text.index("`--fault error_on_page") :])[0].split())


def commands() -> list[str]:
    """The command lines of all pages."""
    blocks = [block for text in PAGES.values() for block in code_blocks("console", text)]
    return [line for block in blocks for line in block.splitlines()]


def test_commands_exist() -> None:
    """true-docs: every `callreport` line is one that the command takes; `make` targets are in the Makefile."""
    lines = commands()
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("callreport ")]
    assert len(ours) > 8
    for arguments in ours:
        parser().parse_args(arguments)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", "\n".join(lines), re.MULTILINE)) <= targets


def test_airflow_takes_its_commands() -> None:
    """true-docs: so does Airflow, for the lines that begin with its name."""
    from airflow.cli.cli_parser import get_parser

    lines = [shlex.split(line)[1:] for line in commands() if line.startswith("airflow ")]
    assert ["db", "migrate"] in lines
    for arguments in lines:
        get_parser().parse_args(arguments)


def test_the_tutorial_works_up_to_the_sheet(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """true-docs: its steps 3 and 8, in order, end well against stand-in servers."""
    lines = [line for block in code_blocks("console", TUTORIAL) for line in block.splitlines()]
    steps = [shlex.split(line)[1:] for line in lines if line.startswith("callreport ") and "sandbox" not in line]
    assert [step[0] for step in steps] == ["check", "preview", "export", "probe"]
    for step in steps:
        assert main(step) == ExitCode.OK
    assert {path.name for path in Path.cwd().iterdir()} == {"calls_2026-10-15.xlsx", "profile.json"}
    assert "2000 calls" in capsys.readouterr().out
