"""The table of calls: rows become pages as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_callreport.formats._pdf_file import pdf_literal, pdf_number
from airflow_provider_callreport.formats._pdf_fonts import FontBook
from airflow_provider_callreport.formats._pdf_layout import HEADER_LINES, PADDING, Layout, Panel, plan_layout
from airflow_provider_callreport.formats._pdf_page import (
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
from airflow_provider_callreport.formats._pdf_text import TextStyle, win_ansi
from airflow_provider_callreport.formats._pdf_values import is_right_aligned, printer
from airflow_provider_callreport.report import Column, Row, Value

#: Rows whose cells decide the column widths.
SAMPLE_ROWS = 200
#: Lines of a cell; what does not fit is cut with an ellipsis and counted.
CELL_LINES = 4

_LEADING = 1.25
_CELL_SPACE = 0.35
#: An outline entry for every so many calls.
_OUTLINE_STEP = 1000
#: Values of a column whose drawing is remembered.
_REMEMBERED_CELLS = 2048

#: A cell ready to be drawn: its number of lines, and for each line on each panel (panel, line, x operands, operators).
_Cell = tuple[int, tuple[tuple[int, int, str, str], ...]]


class CallTable:
    """Draws rows as a table on the pages of a document.

    Attributes:
        cut_cells: cells that were too long and end with an ellipsis.
        replaced_cells: cells with characters that no font has.
    """

    def __init__(self, document: Document, book: FontBook, columns: Sequence[Column]) -> None:
        """Start a table; its layout is decided when `SAMPLE_ROWS` rows have come, or at the end."""
        self.cut_cells = 0
        self.replaced_cells = 0
        self._document = document
        self._book = book
        self._columns = tuple(columns)
        self._waiting: list[Row] = []
        self._body: _Body | None = None

    def add(self, rows: Sequence[Row]) -> None:
        """Draw rows below those that are there."""
        if self._body is None:
            self._waiting.extend(rows)
            if len(self._waiting) < SAMPLE_ROWS:
                return
            rows, self._waiting = self._waiting, []
            self._body = self._start(rows[:SAMPLE_ROWS])
        self._body.add(rows)

    def finish(self) -> None:
        """Write what is left, at least a page with the header."""
        if not self._columns:
            return
        if self._body is None:
            self._body = self._start(self._waiting)
            self._body.add(self._waiting)
        self._body.finish()
        self.cut_cells, self.replaced_cells = self._body.cut_cells, self._body.replaced_cells

    def _start(self, sample: Sequence[Row]) -> _Body:
        printers = [printer(column.kind) for column in self._columns]
        texts = [[show(value) for show, value in zip(printers, row, strict=True)] for row in sample]
        unit, bold = TextStyle(self._book, 1), TextStyle(self._book, 1, bold=True)
        return _Body(
            self._document, self._book, self._columns, plan_layout(self._columns, texts, CONTENT_WIDTH, unit, bold)
        )


class _Body:
    """A table whose layout is known."""

    def __init__(self, document: Document, book: FontBook, columns: Sequence[Column], layout: Layout) -> None:
        self.cut_cells = 0
        self.replaced_cells = 0
        self._document = document
        self._layout = layout
        self._style = TextStyle(book, layout.size)
        self._bold = TextStyle(book, layout.size, bold=True)
        self._note = TextStyle(book, 7.5)
        self._columns = columns
        padding = PADDING * layout.size
        self._cells = [
            _CellMaker(
                printer(column.kind),
                is_right_aligned(column.kind),
                self._style,
                [
                    (p, MARGIN + panel.lefts[k] + padding, panel.widths[k] - 2 * padding)
                    for p, panel in enumerate(layout.panels)
                    for k, c in enumerate(panel.columns)
                    if c == i
                ],
            )
            for i, column in enumerate(columns)
        ]
        self._leading = layout.size * _LEADING
        self._space = layout.size * _CELL_SPACE
        self._headers = [[self._label(panel, k) for k in range(len(panel.columns))] for panel in layout.panels]
        lines = max((len(label) for header in self._headers for label in header), default=1)
        self._header_height = lines * self._leading + 2 * self._space
        self._top = PAGE_HEIGHT - MARGIN - self._header_height
        self._rows = 0
        self._start_page()

    def _label(self, panel: Panel, k: int) -> list[str]:
        label = self._columns[panel.columns[k]].label
        return self._bold.fit(label, panel.widths[k] - 2 * PADDING * self._layout.size, HEADER_LINES)[0]

    def _start_page(self) -> None:
        self._y = self._top
        self._first_row = self._rows
        self._bands: list[tuple[float, float]] = []
        self._texts: list[list[str]] = [[] for _ in self._layout.panels]

    def add(self, rows: Sequence[Row]) -> None:
        """Draw rows."""
        makers = self._cells
        leading, space, size = self._leading, self._space, self._layout.size
        for row in rows:
            height = 1
            parts: list[tuple[int, int, str, str]] = []
            for value, maker in zip(row, makers, strict=True):
                if value is None or value == "":
                    continue
                cell = maker.remembered.get(value)
                if cell is None:
                    cell = self._make(maker, value)
                lines, drawn = cell
                parts += drawn
                if lines > height:
                    height = lines
            tall = height * leading + 2 * space
            if self._y - tall < MARGIN:
                self._finish_page()
                self._start_page()
            top = self._y
            self._y -= tall
            if self._rows % 2:
                self._bands.append((self._y, tall))
            self._rows += 1
            base = top - space - size * 0.96
            heights = [f"{base - leading * i:.1f} Tm" for i in range(height)]
            texts = self._texts
            for panel, line, x, operators in parts:
                texts[panel].append(f"{x}{heights[line]}{operators}")

    def _make(self, maker: _CellMaker, value: Value) -> _Cell:
        cell, cut, replaced = maker.make(value)
        self.cut_cells += cut
        self.replaced_cells += replaced
        # A cell with something to count is made anew each time it comes.
        if not (cut or replaced):
            if len(maker.remembered) >= _REMEMBERED_CELLS:
                maker.remembered.clear()
            maker.remembered[value] = cell
        return cell

    def finish(self) -> None:
        """Write the last page; a table without rows says so."""
        if not self._rows:
            x, y = MARGIN + PADDING * self._layout.size, self._top - self._space - self._leading
            line = self._style.line("No calls in this window.")
            self._texts[0].append(f"1 0 0 1 {pdf_number(x)} {pdf_number(y)} Tm{line.operators}")
        if not self._rows or self._rows > self._first_row:
            self._finish_page()

    def _finish_page(self) -> None:
        """Write the page, on as many sheets as there are panels."""
        start = self._first_row
        outline = "Calls" if start == 0 else None
        step = -(-start // _OUTLINE_STEP) * _OUTLINE_STEP
        if start and start <= step < self._rows:
            outline = f"Calls from {step + 1:,}"
        for p, panel in enumerate(self._layout.panels):
            page = Page()
            self._draw_header(page, panel, p)
            width = panel.lefts[-1] + panel.widths[-1]
            for y, height in self._bands:
                page.rect(MARGIN, y, width, height, BAND)
            page.rect(MARGIN, self._y, width, 0.5, RULE)
            page.add_text(f"{INK} rg {self._style.select}")
            page.add_text("\n".join(self._texts[p]))
            self._document.add_page(page.operators(), None if p else outline)

    def _draw_header(self, page: Page, panel: Panel, number: int) -> None:
        size = self._layout.size
        page.rect(MARGIN, self._top, panel.lefts[-1] + panel.widths[-1], self._header_height, HEADER_BAND)
        page.rect(MARGIN, self._top, panel.lefts[-1] + panel.widths[-1], 0.8, MUTED)
        for label, column, left, width in zip(
            self._headers[number], panel.columns, panel.lefts, panel.widths, strict=True
        ):
            # Labels stand on the rule, so that those of one line are next to their values.
            for i, text in enumerate(label):
                y = self._top + self._space + size * 0.29 + (len(label) - 1 - i) * self._leading
                if is_right_aligned(self._columns[column].kind):
                    page.text_right(self._bold, MARGIN + left + width - PADDING * size, y, text)
                else:
                    page.text(self._bold, MARGIN + left + PADDING * size, y, text)
        if len(self._layout.panels) > 1:
            text = f"Columns, part {number + 1} of {len(self._layout.panels)}"
            page.text_right(self._note, PAGE_WIDTH - MARGIN, PAGE_HEIGHT - MARGIN + 8, text, MUTED)


class _CellMaker:
    """Makes the cells of one column."""

    def __init__(
        self,
        show: Callable[[Value], str],
        right_aligned: bool,
        style: TextStyle,
        places: Sequence[tuple[int, float, float]],
    ) -> None:
        #: Cells by value.
        self.remembered: dict[Value, _Cell] = {}
        self._show = show
        self._right_aligned = right_aligned
        self._style = style
        #: Panel, left edge and width of the text in each place where the column stands.
        self._places = [(panel, left, width, f"1 0 0 1 {left:.1f} ") for panel, left, width in places]
        self._width = min((width for _, _, width in places), default=0.0)

    def make(self, value: Value) -> tuple[_Cell, bool, bool]:
        """The cell, whether it was cut, and whether characters in it were replaced."""
        text = self._show(value)
        data = win_ansi(text)
        if data is not None:
            width = sum(map(self._style.widths.__getitem__, data))
            if width <= self._width:
                operators = f"({pdf_literal(data.decode('latin-1'))})Tj"
                return (
                    (
                        1,
                        tuple(
                            [
                                (p, 0, self._x(place, value, width), operators)
                                for place in self._places
                                for p in place[:1]
                            ]
                        ),
                    ),
                    False,
                    False,
                )
        texts, cut = self._style.fit(text, self._width, CELL_LINES)
        lines = [self._style.line(text) for text in texts]
        drawn = [
            (place[0], i, self._x(place, value, line.width), line.operators)
            for place in self._places
            for i, line in enumerate(lines)
        ]
        return (len(lines), tuple(drawn)), cut, any(line.replaced for line in lines)

    def _x(self, place: tuple[int, float, float, str], value: Value, width: float) -> str:
        """The operands of ``Tm`` up to x. Text in a column of numbers stands left, where it can be told from them."""
        _, left, room, operands = place
        if self._right_aligned and not isinstance(value, str):
            return f"1 0 0 1 {left + room - width:.1f} "
        return operands
