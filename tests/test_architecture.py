"""The rooms of the package: who may import whom, and what ``docs/architecture.md`` says of them."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tools.architecture import LAYERS, PACKAGE, PICTURE, ROOMS, ROOT, VOCABULARY, WITHOUT_AIRFLOW, imports, picture

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
IMPORTS = imports()


def test_every_module_is_in_a_room() -> None:
    """A folder or module that is added at the top level gets a place among the layers."""
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert found - {"__init__"} == ROOMS.keys()


def test_the_top_level_has_few_modules() -> None:
    """A concept of more than one file is a folder: at most eight modules stand beside the folders."""
    assert len(list(PACKAGE.glob("*.py"))) <= 8


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_lower_layers_only(room: str) -> None:
    """No arrow goes up or to a neighbour; the rooms of the vocabulary may use each other."""
    wrong = [
        f"{one.place} imports {one.module}"
        for one in IMPORTS
        if one.room == room and one.target in ROOMS and one.target != room
        if ROOMS[one.target] <= ROOMS[room] and not {room, one.target} <= VOCABULARY.keys()
    ]
    assert wrong == []


@pytest.mark.parametrize("room", WITHOUT_AIRFLOW)
def test_a_room_without_airflow_imports_none(room: str) -> None:
    """What speaks HTTP, and what writes files, is used and tested without Airflow."""
    assert [one.place for one in IMPORTS if one.room == room and one.module.split(".")[0] == "airflow"] == []


def test_the_sandbox_imports_nothing_of_the_package() -> None:
    """Client and stand-in share no code, so they cannot be wrong in the same way."""
    assert [one.place for one in IMPORTS if one.room == "sandbox" and one.target not in ("sandbox", None)] == []


def test_every_room_is_on_the_page() -> None:
    """The table of the page has each room once."""
    table = PAGE[PAGE.index("| Room |") : PAGE.index("What users import")]
    named = [name for row in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(room for layer in LAYERS for room in layer)


def test_the_picture_is_that_of_the_code() -> None:
    """``python -m tools.architecture`` draws it again."""
    assert PICTURE.read_text(encoding="utf-8") == picture()


@cache
def names(path: Path) -> frozenset[str]:
    """The classes, functions and methods of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return frozenset(found)


def test_the_steps_of_the_page_are_in_the_code() -> None:
    """Files and names of the roads exist."""
    steps = re.findall(r"`([a-z_/]+\.py)::([\w.]+)`", PAGE)
    assert len(steps) > 20
    assert [f"{file}::{name}" for file, name in steps if name not in names(PACKAGE / file)] == []
    files = {file for file in re.findall(r"`([\w/]+\.\w+)(?:::|`)", PAGE) if "/" in file or file.endswith(".py")}
    places = (ROOT, PACKAGE, ROOT / "docs")
    assert [file for file in sorted(files) if not any((place / file).exists() for place in places)] == []
