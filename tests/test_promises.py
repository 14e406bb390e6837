"""``docs/promises.md`` names tests that exist, and tests cite promises that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")

#: Name of a promise -> what the page says below it.
PROMISES: dict[str, str] = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))

#: The names of promises at the start of a docstring. Each has a hyphen, which tells it from an ordinary first word.
NAME = r"[a-z0-9]+(?:-[a-z0-9]+)+"
CITED = re.compile(rf"({NAME}(?:, {NAME})*): ")


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> dict[str, str]:
    """The functions of a file, and their docstrings."""
    return {node.name: ast.get_docstring(node) or "" for node in tree(path).body if isinstance(node, ast.FunctionDef)}


def docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring of the tests, with its place."""
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        yield path.name, ast.get_docstring(tree(path)) or ""
        for name, docstring in functions(path).items():
            yield f"{path.name}::{name}", docstring


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_names_tests_that_exist(promise: str) -> None:
    """A promise without a test is a wish."""
    tests = re.findall(r"^- `(tests/test_\w+\.py)::(test_\w+)`$", PROMISES[promise], re.MULTILINE)
    assert tests, "the promise names no test"
    assert PROMISES[promise].count("\n- ") == len(tests), "a line of the list is no test"
    missing = [f"{file}::{name}" for file, name in tests if name not in functions(ROOT / file)]
    assert missing == []


def test_every_cited_promise_exists() -> None:
    """A docstring that begins with a name and a colon cites a promise of the page."""
    cited = [(place, name) for place, text in docstrings() if (m := CITED.match(text)) for name in m[1].split(", ")]
    assert [(place, name) for place, name in cited if name not in PROMISES] == []
    assert {name for _, name in cited} == PROMISES.keys(), "every promise is cited by a test"
    assert len(cited) > 500


def test_nothing_cites_a_page_that_is_not_here() -> None:
    """Letters and numbers such as C1, or "Issue 6.8", say nothing to a reader of this repository."""
    old = re.compile(r"(?:[CETFDPKA][1-6]|P|(?:Issue|Item) [\d., ]+|Bad input|(?:Design, )?[Rr]ule \d)(?:, [A-Z]\d)*:")
    assert [place for place, text in docstrings() if old.match(text)] == []
