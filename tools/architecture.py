"""Draws the rooms of the package, and which room imports which, from the source: ``docs/images/rooms.svg``.

``python -m tools.architecture`` writes the picture. `tests/test_architecture.py` checks that it is up to date, and that
no import goes up.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "airflow_provider_callreport"
PICTURE = ROOT / "docs" / "images" / "rooms.svg"

#: The rooms from top to bottom, with what each one is for. A room imports rooms of lower layers only. The last layer is
#: the vocabulary: every room may use it.
LAYERS: tuple[Mapping[str, str], ...] = (
    {"cli": "the command callreport", "sensors": "tasks that wait for calls"},
    {"operators": "Airflow's words in and out", "triggers": "what waits in the triggerer"},
    {"task": "what a task tells Airflow"},
    {"recordings": "sound to S3", "assets": "assets of Dag files", "audit": "is it still whole?"},
    {"export": "the one road: pages to delivery", "windows": "a time in parts", "hooks": "the connection in"},
    {
        "delivery": "a file to S3, mail, a disk",
        "formats": "rows to a file",
        "api": "DeepCall over HTTP",
        "sandbox": "the stand-in servers",
    },
    {
        "report": "what travels",
        "privacy": "phone numbers",
        "connection": "the fields",
        "rules": "of arguments",
        "spool": "private files",
        "errors": "one base",
        "provider_info": "for Airflow",
    },
)
VOCABULARY = LAYERS[-1]
ROOMS = {room: depth for depth, layer in enumerate(LAYERS) for room in layer}

#: Rooms that know nothing of Airflow.
WITHOUT_AIRFLOW = ("api", "export", "formats", "sandbox", "windows", *VOCABULARY)


@dataclass(frozen=True)
class Import:
    """One import statement.

    Attributes:
        place: the file that has it, and the line.
        room: the room of that file; empty for the package's own ``__init__``.
        module: the full name of the module that is imported.
    """

    place: str
    room: str
    module: str

    @property
    def target(self) -> str | None:
        """The room that is imported; empty for the package's ``__init__``, None for another package."""
        package, _, rest = self.module.partition(".")
        return rest.partition(".")[0] if package == PACKAGE.name else None


@cache
def imports() -> tuple[Import, ...]:
    """Every import of the package's files, also those in functions and for type checkers only."""
    return tuple(_imports())


def _imports() -> Iterator[Import]:
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        room = "" if inside.name == "__init__.py" and len(inside.parts) == 1 else inside.with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from (Import(place, room, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level:
                yield Import(place, room, f"{PACKAGE.name}.{room}")
            elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
                # `from package import room` names a room, or a name of the package's own face.
                names = (alias.name for alias in node.names)
                yield from (Import(place, room, f"{PACKAGE.name}.{name if name in ROOMS else ''}") for name in names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield Import(place, room, node.module)


def arrows() -> dict[str, set[str]]:
    """The rooms that each room imports, itself left out."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for one in imports():
        if one.room in ROOMS and one.target in ROOMS and one.target != one.room:
            found[one.room].add(one.target)
    return found


def direct(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows without those that follow from others, and without those to the vocabulary."""
    plain = {room: targets - VOCABULARY.keys() for room, targets in found.items()}

    @cache
    def below(room: str) -> set[str]:
        return plain[room].union(*(below(target) for target in plain[room]))

    return {
        room: {target for target in targets if not any(target in below(other) for other in targets - {target})}
        for room, targets in plain.items()
    }


# --- the picture -----------------------------------------------------------------------------------------------------

_WIDTH, _BOX, _HIGH, _STEP = 900, 200, 46, 84


def picture() -> str:
    """The rooms as an SVG picture."""
    top, places, parts = 16, {}, []
    for depth, layer in enumerate(LAYERS):
        gap = (_WIDTH - len(layer) * _width(layer)) / (len(layer) + 1)
        for number, room in enumerate(layer):
            left = gap + number * (_width(layer) + gap)
            places[room] = (left, top + depth * _STEP, _width(layer))
    for room, targets in direct(arrows()).items():
        parts += [_arrow(places[room], places[target]) for target in sorted(targets)]
    for layer in LAYERS:
        for room, words in layer.items():
            parts += _box(*places[room], room, words, vocabulary=layer is VOCABULARY)
    height = top + len(LAYERS) * _STEP
    note = "Arrows that follow from others are left out, as are those to the last row, which every room may import."
    parts.append(_text(_WIDTH / 2, height - 12, note, 12))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">\n'
        "<title>The rooms of the package, and which imports which</title>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#4a5568"/></marker></defs>\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _width(layer: Mapping[str, str]) -> float:
    return min(_BOX, (_WIDTH - 20) / len(layer) - 12)


def _arrow(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x, y = start[0] + start[2] / 2, start[1] + _HIGH
    to_x, to_y = end[0] + end[2] / 2, end[1]
    middle = (y + to_y) / 2
    path = f"M{x:.0f},{y:.0f} C{x:.0f},{middle:.0f} {to_x:.0f},{middle:.0f} {to_x:.0f},{to_y:.0f}"
    return f'<path d="{path}" fill="none" stroke="#4a5568" stroke-width="1.3" marker-end="url(#head)"/>'


def _box(x: float, y: float, width: float, room: str, words: str, *, vocabulary: bool) -> list[str]:
    fill = "#edf2f7" if vocabulary else "#e6f4ee"
    return [
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_HIGH}" rx="6" fill="{fill}" stroke="#0b6e4f"/>',
        _text(x + width / 2, y + 20, room, 14, weight="bold"),
        _text(x + width / 2, y + 37, words, 12),
    ]


def _text(x: float, y: float, words: str, size: int, weight: str = "normal") -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="middle" fill="#1a202c"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(words)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
