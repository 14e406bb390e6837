"""How a table is laid on pages: font size, column widths, and which columns share a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_callreport.formats.pdf.text import TextStyle
from airflow_provider_callreport.report import Column, ColumnKind

#: Font sizes in points that are tried for the table, from a comfortable one to the smallest that is readable on paper.
SIZES = (8.0, 7.5, 7.0, 6.5, 6.0)
#: Space on each side of a cell's text, in font sizes.
PADDING = 0.45
#: Lines of a column's label.
HEADER_LINES = 3

#: A column asks for no more than this, in font sizes; longer cells are wrapped.
_WIDEST = 24.0
#: Characters of a cell that are measured; more do not fit into the widest column.
_MEASURED = 100
#: The least width of a column, in font sizes: a later cell may need it.
_LEAST = 2.5
#: A text column is not made narrower than its longest word, nor than this if the word is longer, in font sizes.
_NARROWEST = 9.0
#: Short tables are stretched to fill the page, but not beyond this.
_STRETCH = 1.6
#: The first column is repeated on side-by-side pages unless it takes more than this part of one.
_REPEATED = 0.3


@dataclass(frozen=True, slots=True)
class Panel:
    """Columns that stand on one page, side by side.

    Attributes:
        columns: indexes into the report's columns.
        lefts: left edge of each, in points from the table's left edge.
        widths: width of each in points, padding included.
    """

    columns: tuple[int, ...]
    lefts: tuple[float, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's layout.

    Attributes:
        size: font size in points.
        panels: one when all columns fit on a page; else every row goes over as many pages as there are panels, and
            the first column is on each.
    """

    size: float
    panels: tuple[Panel, ...]


def plan_layout(
    columns: Sequence[Column],
    sample: Sequence[Sequence[str]],
    available: float,
    style: TextStyle,
    header: TextStyle,
) -> Layout:
    """Lay a table out so that every column is there and cells are wrapped as little as possible.

    The largest of `SIZES` is taken at which the sample's cells stand on one line. If no size is small enough, text
    columns are narrowed, down to their longest words. If that is not enough, the columns go over several panels.

    Args:
        columns: the report's columns.
        sample: for each column, the printed cells of some rows.
        available: width of the table in points.
        style: the cells' style at 1 point.
        header: the labels' style at 1 point.
    """
    if not columns:
        return Layout(SIZES[0], ())
    wanted, least = _measure(columns, sample, style, header)
    for size in SIZES:
        if sum(wanted) * size <= available:
            return Layout(size, (_panel(range(len(columns)), wanted, available, size),))
    for size in SIZES[2:]:
        if sum(least) * size <= available:
            # What is left over the least goes to the columns in proportion to what they still want.
            room = (available / size - sum(least)) / (sum(wanted) - sum(least))
            widths = [low + (high - low) * room for low, high in zip(least, wanted, strict=True)]
            return Layout(size, (_panel(range(len(columns)), widths, available, size),))
    return _side_by_side(wanted, available, SIZES[-2])


def _measure(
    columns: Sequence[Column], sample: Sequence[Sequence[str]], style: TextStyle, header: TextStyle
) -> tuple[list[float], list[float]]:
    """The width that each column wants and the least that it takes, in font sizes, padding included."""
    wanted: list[float] = []
    least: list[float] = []
    for column, cells in zip(columns, sample, strict=True):
        label = _label_width(column.label, header)
        # Not a set: the order in which text is measured decides over the bytes.
        texts = dict.fromkeys(text[:_MEASURED] for text in cells)
        widest = min(max(map(style.width, texts), default=0.0), _WIDEST)
        word = widest
        if column.kind is ColumnKind.TEXT:
            word = min(max((style.width(w) for text in texts for w in text.split()), default=0.0), _NARROWEST)
        label = max(label, _LEAST)
        # A hair more than measured, so that rounding never wraps a cell.
        wanted.append(max(label, widest) + 2 * PADDING + 0.02)
        least.append(max(label, min(word, widest)) + 2 * PADDING + 0.02)
    return wanted, least


def _label_width(label: str, header: TextStyle) -> float:
    """The least width at which a label stands on `HEADER_LINES` lines, no word broken unless it is very long."""
    words = [min(header.width(word), _WIDEST) for word in label.split()]
    width = max(words, default=0.0)
    while width < _WIDEST and len(header.fit(label, width, HEADER_LINES + 1)[0]) > HEADER_LINES:
        width += 0.25
    return min(width, _WIDEST)


def _side_by_side(wanted: Sequence[float], available: float, size: float) -> Layout:
    """Distribute the columns over panels that are about equally full."""
    room = available / size
    repeated = wanted[0] if wanted[0] <= room * _REPEATED else 0.0
    head = [0] if repeated else []
    groups: list[list[int]] = []
    count = -(-(sum(wanted) - repeated) // (room - repeated))
    even = repeated + (sum(wanted) - repeated) / count
    for i in range(len(head), len(wanted)):
        used = repeated + sum(wanted[j] for j in groups[-1]) if groups else room
        if not groups or used + wanted[i] > room or (used >= even and len(groups) < count):
            groups.append([])
        groups[-1].append(i)
    return Layout(
        size, tuple(_panel([*head, *group], [wanted[i] for i in (*head, *group)], available, size) for group in groups)
    )


def _panel(columns: Iterable[int], widths: Sequence[float], available: float, size: float) -> Panel:
    """Place columns of ``widths`` font sizes beside one another, stretched towards the available width."""
    stretch = min(available / (sum(widths) * size), _STRETCH)
    points = [width * size * stretch for width in widths]
    lefts = [sum(points[:i]) for i in range(len(points))]
    return Panel(tuple(columns), tuple(lefts), tuple(points))
