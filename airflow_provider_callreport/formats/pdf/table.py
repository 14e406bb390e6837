"""The table of calls: rows become pages as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from airflow_provider_callreport.formats.pdf.file import pdf_number
from airflow_provider_callreport.formats.pdf.fonts import FontBook
from airflow_provider_callreport.formats.pdf.layout import HEADER_LINES, PADDING, Layout, Panel, plan_layout
from airflow_provider_callreport.formats.pdf.page import (
    BAND,
    CONTENT_WIDTH,
    HEADER_BAND,
    INK,
    MARGIN,
    MUTED,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    RULE,
    Document,
    Page,
)
from airflow_provider_callreport.formats.pdf.text import Line, TextStyle
from airflow_provider_callreport.formats.pdf.values import is_right_aligned, printer
from airflow_provider_callreport.report import Column, Row, Value
from airflow_provider_callreport.report.facts import NO_CALLS

#: Rows whose cells decide the column widths.
SAMPLE_ROWS = 200
#: Lines of a cell; what does not fit is cut with an ellipsis and counted.
CELL_LINES = 4

#: Distance of base lines, and space above and below a cell's text, in font sizes.
_LEADING = 1.25
_SPACE = 0.35
#: Height of capitals above the base line and depth of letters below it, in font sizes; Indian scripts fit too.
_ASCENT = 0.96
_DESCENT = 0.29
#: An outline entry for every so many calls.
_OUTLINE_STEP = 1000
#: Cells of a column that are remembered by their value.
_REMEMBERED_CELLS = 2048


class _Place(NamedTuple):
    """Where a column stands: on which panel, and between which edges its text goes."""

    panel: int
    left: float
    right: float


class _Cell(NamedTuple):
    """A cell ready to be drawn.

    Attributes:
        height: its number of lines.
        parts: for every line in every place: panel, line, operands up to x, operators.
        is_cut: whether it ends with an ellipsis.
        has_boxes: whether characters of it are replaced.
    """

    height: int
    parts: Sequence[tuple[int, int, str, str]]
    is_cut: bool
    has_boxes: bool


class CallTable:
    """Draws rows as a table on the pages of a document, a bounded number of them in memory."""

    def __init__(self, document: Document, book: FontBook, columns: Sequence[Column]) -> None:
        """Start a table; its layout is decided when `SAMPLE_ROWS` rows have come, or at the end."""
        self._document = document
        self._book = book
        self._columns = tuple(columns)
        self._waiting: list[Row] = []
        self._body: _Body | None = None

    @property
    def cut_cells(self) -> int:
        """Cells that were too long and end with an ellipsis."""
        return self._body.cut_cells if self._body else 0

    @property
    def replaced_cells(self) -> int:
        """Cells with characters that no font has."""
        return self._body.replaced_cells if self._body else 0

    def add(self, rows: Sequence[Row]) -> None:
        """Draw rows below those that are there."""
        if not self._columns:
            return
        if self._body is not None:
            self._body.add(rows)
            return
        self._waiting.extend(rows)
        if len(self._waiting) >= SAMPLE_ROWS:
            self._start()

    def finish(self) -> None:
        """Write what is left, at least a page with the header; nothing when there are no columns."""
        if not self._columns:
            return
        (self._body or self._start()).finish()

    def _start(self) -> _Body:
        """Decide the layout, and draw the rows that waited for it."""
        sample = self._waiting[:SAMPLE_ROWS]
        values: Sequence[Sequence[Value]] = list(zip(*sample, strict=True)) or [()] * len(self._columns)
        printers = [printer(column.kind, cells) for column, cells in zip(self._columns, values, strict=True)]
        texts = [[show(value) for value in cells] for show, cells in zip(printers, values, strict=True)]
        unit, bold = TextStyle(self._book, 1), TextStyle(self._book, 1, bold=True)
        layout = plan_layout(self._columns, texts, CONTENT_WIDTH, unit, bold)
        self._body = _Body(self._document, self._book, self._columns, printers, layout)
        self._body.add(self._waiting)
        self._waiting = []
        return self._body


class _Body:
    """A table whose layout is known."""

    def __init__(
        self,
        document: Document,
        book: FontBook,
        columns: Sequence[Column],
        printers: Sequence[Callable[[Value], str]],
        layout: Layout,
    ) -> None:
        self.cut_cells = 0
        self.replaced_cells = 0
        self._document = document
        self._columns = columns
        self._layout = layout
        self._style = TextStyle(book, layout.size)
        self._bold = TextStyle(book, layout.size, bold=True)
        self._note = TextStyle(book, 7.5)
        self._padding = PADDING * layout.size
        self._leading = _LEADING * layout.size
        self._space = _SPACE * layout.size
        self._makers = [
            _CellMaker(show, self._style, self._places(i), right_aligned=is_right_aligned(column.kind))
            for i, (column, show) in enumerate(zip(columns, printers, strict=True))
        ]
        self._labels = [[self._label(panel, k) for k in range(len(panel.columns))] for panel in layout.panels]
        lines = max(len(label) for labels in self._labels for label in labels)
        self._header_height = lines * self._leading + 2 * self._space
        self._top = PAGE_HEIGHT - MARGIN - self._header_height
        self._rows = 0
        self._start_page()

    def _places(self, column: int) -> list[_Place]:
        return [
            _Place(
                p, MARGIN + panel.lefts[k] + self._padding, MARGIN + panel.lefts[k] + panel.widths[k] - self._padding
            )
            for p, panel in enumerate(self._layout.panels)
            for k in range(len(panel.columns))
            if panel.columns[k] == column
        ]

    def _label(self, panel: Panel, k: int) -> list[Line]:
        label = self._columns[panel.columns[k]].label
        return self._bold.fit(label, panel.widths[k] - 2 * self._padding, HEADER_LINES)[0]

    def add(self, rows: Sequence[Row]) -> None:
        """Draw rows."""
        leading, space = self._leading, self._space
        rise = space + self._layout.size * _ASCENT
        makers = [(maker.remembered.get, maker.make) for maker in self._makers]
        for row in rows:
            height = 1
            parts: list[tuple[int, int, str, str]] = []
            for value, (remembered, make) in zip(row, makers, strict=True):
                if value is None or value == "":
                    continue
                cell_height, cell_parts, is_cut, has_boxes = remembered(value) or make(value)
                if is_cut or has_boxes:
                    self.cut_cells += is_cut
                    self.replaced_cells += has_boxes
                if cell_height > height:
                    height = cell_height
                parts += cell_parts
            tall = height * leading + 2 * space
            if self._y - tall < MARGIN:
                self._finish_page()
                self._start_page()
            base = self._y - rise
            self._y -= tall
            if self._rows % 2:
                self._bands.append((self._y, tall))
            self._rows += 1
            heights = [f"{base - leading * i:.1f} Tm" for i in range(height)]
            texts = self._texts
            for panel, line, x, operators in parts:
                texts[panel].append(x + heights[line] + operators)

    def finish(self) -> None:
        """Write the last page; a table without rows says so."""
        if not self._rows:
            x, y = MARGIN + self._padding, self._top - self._space - self._leading
            line = self._style.line(NO_CALLS)
            self._texts[0].append(f"1 0 0 1 {pdf_number(x)} {pdf_number(y)} Tm{line.operators}")
            self._y = y - self._leading
        self._finish_page()

    def _start_page(self) -> None:
        self._y = self._top
        self._first_row = self._rows
        self._bands: list[tuple[float, float]] = []
        self._texts: list[list[str]] = [[] for _ in self._layout.panels]

    def _finish_page(self) -> None:
        """Write the page, on as many sheets as there are panels."""
        for p, panel in enumerate(self._layout.panels):
            page = Page()
            width = panel.lefts[-1] + panel.widths[-1]
            self._draw_header(page, p, panel, width)
            for y, height in self._bands:
                page.rect(MARGIN, y, width, height, BAND)
            page.rect(MARGIN, self._y, width, 0.5, RULE)
            page.add_text(f"{INK} rg {self._style.select}")
            page.add_text("\n".join(self._texts[p]))
            self._document.add_page(page.operators(), self._outline() if p == 0 else None)

    def _outline(self) -> str | None:
        """The title of the outline entry for this page, if it has one."""
        first = -(-self._first_row // _OUTLINE_STEP) * _OUTLINE_STEP
        if self._first_row == 0:
            return "Calls"
        return f"Calls from {first + 1:,}" if first < self._rows else None

    def _draw_header(self, page: Page, number: int, panel: Panel, width: float) -> None:
        page.rect(MARGIN, self._top, width, self._header_height, HEADER_BAND)
        page.rect(MARGIN, self._top, width, 0.8, MUTED)
        for label, column, left, room in zip(
            self._labels[number], panel.columns, panel.lefts, panel.widths, strict=True
        ):
            # A short label stands on the rule, next to its values.
            y = self._top + self._space + self._layout.size * _DESCENT + (len(label) - 1) * self._leading
            for line in label:
                if is_right_aligned(self._columns[column].kind):
                    page.text_right(self._bold, MARGIN + left + room - self._padding, y, line)
                else:
                    page.text(self._bold, MARGIN + left + self._padding, y, line)
                y -= self._leading
        if len(self._layout.panels) > 1:
            text = f"Columns, part {number + 1} of {len(self._layout.panels)}"
            page.text_right(self._note, PAGE_WIDTH - MARGIN, PAGE_HEIGHT - MARGIN + 8, text, MUTED)


class _CellMaker:
    """Makes the cells of one column, and remembers them by value."""

    def __init__(
        self, show: Callable[[Value], str], style: TextStyle, places: Sequence[_Place], *, right_aligned: bool
    ) -> None:
        self.remembered: dict[Value, _Cell] = {}
        self._show = show
        self._style = style
        self._places = places
        self._starts = [(place.panel, _start(place.left)) for place in places]
        self._right_aligned = right_aligned
        # The column may be a little wider on one panel than on another: it breaks the same on all.
        self._width = min(place.right - place.left for place in places)

    def make(self, value: Value) -> _Cell:
        """The cell of a value."""
        text = self._show(value)
        # Text in a column of numbers stands left, where it can be told from them.
        to_right = self._right_aligned and not isinstance(value, str)
        line = self._style.plain_line(text)
        if line is None or line.width > self._width:
            cell = self._fitted(text, to_right)
        elif to_right:
            operators, width, _ = line
            parts = [(panel, 0, _start(right - width), operators) for panel, _, right in self._places]
            cell = _Cell(1, parts, False, False)
        else:
            cell = _Cell(1, [(panel, 0, start, line.operators) for panel, start in self._starts], False, False)
        if len(self.remembered) >= _REMEMBERED_CELLS:
            self.remembered.clear()
        self.remembered[value] = cell
        return cell

    def _fitted(self, text: str, to_right: bool) -> _Cell:
        """The cell of a text that may take several lines, or fonts."""
        lines, is_cut = self._style.fit(text, self._width, CELL_LINES)
        parts = [
            (panel, i, _start(right - line.width if to_right else left), line.operators)
            for panel, left, right in self._places
            for i, line in enumerate(lines)
        ]
        return _Cell(len(lines), parts, is_cut, any(line.replaced for line in lines))


def _start(x: float) -> str:
    """The operands of ``Tm`` up to x."""
    return f"1 0 0 1 {x:.1f} "
