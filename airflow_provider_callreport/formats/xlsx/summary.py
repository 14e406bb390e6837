"""The sheet "Summary": what the report is, what it adds up to, and charts of it.

It has a fixed grid: tables stand in columns A to D, charts in F to L beside the table that they draw, and each section
begins below the taller of the two, so nothing overlaps whatever the figures are. It prints on one page of A4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from airflow_provider_callreport.formats.text import one_line
from airflow_provider_callreport.formats.xlsx.calls import DARK, FONT, LINE, set_margins_and_footer
from airflow_provider_callreport.formats.xlsx.chart import bar_chart
from airflow_provider_callreport.formats.xlsx.strings import CUT_MARK, MAX_TEXT
from airflow_provider_callreport.report import Figures, ReportInfo, ReportOutcome, Tally, TallyKind
from airflow_provider_callreport.report.facts import NO_CALLS, ReportFacts, report_facts
from airflow_provider_callreport.report.wording import count, duration

_WIDTHS = {"A": 24, "B": 9, "C": 8, "D": 16, "E": 2} | dict.fromkeys("FGHIJKL", 9)
_LINE_WIDTH = 100  # characters in the merged columns B to L
_LINE_HEIGHT = 15.0  # points
_CHART_COLUMN = "F"
_LEAST_CHART_ROWS, _MOST_CHART_ROWS = 7, 14
_MAX_NAME = 40  # characters

_GREY = "667085"
_GREEN, _AMBER, _RED = "1E7B4F", "9A6700", "B42318"
_TILE = PatternFill("solid", "EEF2F8")
_LINE_BELOW = Border(bottom=Side("hair", color=LINE))
_WHOLE, _SHARE, _HOUR = "#,##0", "0.0%", '00":00"'
_SECONDS_OF_DAY = 86_400


def fill_summary(
    sheet: Worksheet, info: ReportInfo, outcome: ReportOutcome, calls_sheets: Sequence[str], cut_texts: int
) -> None:
    """Write the Summary.

    Args:
        sheet: an empty sheet.
        info: the words on the cover.
        outcome: the proof and the figures; sections of figures that are None are left out.
        calls_sheets: names of the sheets that hold the calls.
        cut_texts: how many texts were too long for a cell.
    """
    _set_up(sheet)
    facts = report_facts(info, outcome)
    _put(sheet, "A1", one_line(facts.title), Font(FONT, 20, bold=True, color=DARK))
    _put(sheet, "A2", f"{facts.window}, {facts.timezone}", _font(_GREY))
    warning = _put(sheet, "A3", facts.still_open or None, Font(FONT, 10, bold=True, color=_AMBER))
    warning.alignment = Alignment(vertical="center")
    sheet.row_dimensions[3].height = 24 if facts.still_open else _LINE_HEIGHT
    sheet.row_dimensions[1].height = 30
    _write_tiles(sheet, facts, outcome)
    row = _write_lines(sheet, 7, [*facts.lines, *_file_lines(calls_sheets, cut_texts)]) + 1
    if outcome.rows == 0:
        _put(sheet, f"A{row}", NO_CALLS, Font(FONT, 12, bold=True, color=DARK))
        return
    for section in _sections(facts):
        _write_section(sheet, row, section, outcome.rows)
        row += section.height


@dataclass(frozen=True, slots=True)
class _Section:
    """A table of tallies and the chart beside it.

    Attributes:
        title: its heading, and the chart's.
        name_label: what the first column holds.
        lines: the table's lines.
        in_chart: how many of them the chart draws: the names; ``"(other)"`` would dwarf them.
        talk: label of the column of talk time, or empty.
        is_by_hour: whether the lines are the hours of a day, drawn as upright columns.
    """

    title: str
    name_label: str
    lines: Sequence[Tally]
    in_chart: int
    talk: str = ""
    is_by_hour: bool = False

    @property
    def chart_rows(self) -> int:
        """Rows of the sheet that the chart takes."""
        return min(max(len(self.lines) + 1, _LEAST_CHART_ROWS), _MOST_CHART_ROWS)

    @property
    def height(self) -> int:
        """Rows of the sheet that it takes, with its heading and the empty one below it."""
        return 1 + max(len(self.lines) + 1, self.chart_rows) + 1


def _set_up(sheet: Worksheet) -> None:
    sheet.title = "Summary"
    for letter, width in _WIDTHS.items():
        sheet.column_dimensions[letter].width = width
    sheet.sheet_view.showGridLines = False
    sheet.sheet_view.tabSelected = True
    sheet.page_setup.orientation = "portrait"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.fitToWidth = sheet.page_setup.fitToHeight = 1
    set_margins_and_footer(sheet)


def _write_tiles(sheet: Worksheet, facts: ReportFacts, outcome: ReportOutcome) -> None:
    figures = outcome.figures or Figures()
    numbers = (outcome.rows, _days(figures.talk_seconds), _days(figures.talk_average))
    tiles = [
        (span, label, text, number, DARK)
        for span, (label, text), number in zip(("A", "BD", "FH"), facts.tiles, numbers, strict=False)
    ]
    colour = {"Complete": _GREEN, "Incomplete": _RED}.get(facts.verdict, _AMBER)
    for span, label, text, number, tile_colour in [*tiles, ("IL", "Completeness", facts.verdict, None, colour)]:
        first, last = span[0], span[-1]
        for row in (4, 5):
            for column in range(ord(first), ord(last) + 1):
                sheet[f"{chr(column)}{row}"].fill = _TILE
            if first != last:
                sheet.merge_cells(f"{first}{row}:{last}{row}")
        _put(sheet, f"{first}4", label, _font(_GREY)).alignment = Alignment(
            horizontal="left", indent=1, vertical="bottom"
        )
        large = Font(FONT, 18, bold=True, color=tile_colour)
        cell = _put(sheet, f"{first}5", text if number is None else number, large, _shown_as(text))
        cell.alignment = Alignment(horizontal="left", indent=1, vertical="center")
    sheet.row_dimensions[4].height = 20
    sheet.row_dimensions[5].height = 32


def _file_lines(calls_sheets: Sequence[str], cut_texts: int) -> Iterable[tuple[str, str]]:
    """What a reader has to know of this file."""
    if cut_texts:
        texts = "1 text was" if cut_texts == 1 else f"{count(cut_texts)} texts were"
        limit = f"the {count(MAX_TEXT)} characters of a cell"
        yield "Shortened texts", f'{texts} longer than {limit} and end in "{CUT_MARK}"'
    if len(calls_sheets) > 1:
        yield "Sheets", f"{', '.join(calls_sheets)}, because the rows of one Excel sheet are limited"


def _write_lines(sheet: Worksheet, row: int, lines: Iterable[tuple[str, str]]) -> int:
    for label, text in lines:
        _put(sheet, f"A{row}", label, _font(_GREY)).alignment = Alignment(vertical="top")
        shown = one_line(text, 2_000)
        cell = _put(sheet, f"B{row}", shown, _font("000000"))
        cell.alignment = Alignment(vertical="top", wrap_text=True)
        for column in _WIDTHS:
            sheet[f"{column}{row}"].border = _LINE_BELOW
        sheet.merge_cells(f"B{row}:L{row}")
        # A merged cell does not get higher by itself.
        sheet.row_dimensions[row].height = _LINE_HEIGHT * (1 + len(shown) // _LINE_WIDTH)
        row += 1
    return row


def _sections(facts: ReportFacts) -> Iterable[_Section]:
    if facts.by_hour:
        hours = list(facts.by_hour)
        no_time = [Tally("no time", facts.no_time)] if facts.no_time else []
        yield _Section("Calls by hour", "Hour of day", [*hours, *no_time], in_chart=len(hours), is_by_hour=True)
    for ranking in facts.rankings:
        lines = [replace(tally, name=one_line(tally.name, _MAX_NAME)) for tally in ranking.lines]
        # The names come first, "(other)" and "no agent" behind them.
        names = sum(tally.kind is TallyKind.NAME for tally in lines)
        yield _Section(ranking.title, "Name", lines, in_chart=names or len(lines), talk=ranking.talk)


def _write_section(sheet: Worksheet, row: int, section: _Section, calls: int) -> None:
    _put(sheet, f"A{row}", section.title, Font(FONT, 12, bold=True, color=DARK))
    labels = {"A": section.name_label, "B": "Calls", "C": "Share"} | ({"D": section.talk} if section.talk else {})
    for letter, label in labels.items():
        cell = _put(sheet, f"{letter}{row + 1}", label, Font(FONT, 9, bold=True, color=_GREY))
        cell.alignment = Alignment(horizontal="left" if letter == "A" else "right")
        cell.border = Border(bottom=Side("thin", color=DARK))
    for line, tally in enumerate(section.lines, row + 2):
        is_hour = section.is_by_hour and tally.name.isdecimal()
        name = _put(sheet, f"A{line}", int(tally.name) if is_hour else tally.name, _font("000000"), _HOUR)
        name.alignment = Alignment(horizontal="left", shrink_to_fit=True)
        _put(sheet, f"B{line}", tally.calls, _font("000000"), _WHOLE)
        _put(sheet, f"C{line}", tally.calls / calls, _font(_GREY), _SHARE)
        if section.talk:
            shown = _shown_as(duration(tally.talk_seconds))
            _put(sheet, f"D{line}", _days(tally.talk_seconds), _font("000000"), shown)
        for letter in labels:
            sheet[f"{letter}{line}"].border = _LINE_BELOW
    drawn = section.lines[: section.in_chart]
    chart = bar_chart(sheet, section.title, row + 2, drawn, upright=section.is_by_hour, rows=section.chart_rows)
    sheet.add_chart(chart, f"{_CHART_COLUMN}{row + 1}")


def _days(seconds: float | None) -> float | None:
    """A duration as Excel counts it."""
    return None if seconds is None else seconds / _SECONDS_OF_DAY


def _font(colour: str) -> Font:
    return Font(FONT, 10, color=colour)


def _shown_as(text: str) -> str:
    """A number format that shows a text whatever the number is: no format of Excel's gives "11,610 h 38 min"."""
    return f'"{text}"'


def _put(sheet: Worksheet, reference: str, value: Any, font: Font, number_format: str = "@") -> Any:
    """Write one cell; a text is a string cell whatever it looks like."""
    cell = sheet[reference]
    if isinstance(value, str):
        cell.value = value
        cell.data_type = "s"  # openpyxl takes a text that begins with "=" for a formula
        cell.number_format = "@"
    else:
        cell.value = value
        cell.number_format = number_format
    cell.font = font
    return cell
