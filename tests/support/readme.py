"""Reading the README and the pages of docs/: their tables and code blocks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of a language in a Markdown text, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    """The text of a page of ``docs/``."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(heading: str, text: str) -> str:
    """What stands below a heading of level 2 or 3, up to the next heading of level 2."""
    found = re.search(rf"^###? {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"the page has no section {heading!r}"
    return found[1]


def table(text: str, first_header: str) -> list[list[str]]:
    """The rows of the table in ``text`` whose first header is ``first_header``; each as its cells."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def codes(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def is_literal(text: str) -> bool:
    """Whether a piece of code is a value rather than a name."""
    return re.match(r"[\"'\d]|\[[\"'\]]|True|False", text) is not None
