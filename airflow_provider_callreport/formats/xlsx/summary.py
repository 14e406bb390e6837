"""The sheet "Summary": what the report is, what it adds up to, and charts of it.

It is laid out on a fixed grid: tables stand in columns A to D, charts in F to L beside the table that they draw, and
each section begins below the taller of the two, so nothing overlaps whatever the figures are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.worksheet.pagebreak import Break
from openpyxl.worksheet.worksheet import Worksheet

from airflow_provider_callreport.export.figures import OTHER
from airflow_provider_callreport.formats.text import one_line
from airflow_provider_callreport.formats.xlsx.calls import DARK, FONT, LINE, set_margins_and_footer
from airflow_provider_callreport.formats.xlsx.chart import bar_chart
from airflow_provider_callreport.formats.xlsx.rows import CUT_MARK, MAX_TEXT, escape_lookalikes
from airflow_provider_callreport.report import Figures, ReportInfo, ReportOutcome, Tally

_WIDTHS = {"A": 24, "B": 9, "C": 8, "D": 11, "E": 2} | dict.fromkeys("FGHIJKL", 9)
_FACT_WIDTH = 100  # characters in the merged columns B to L
_LINE_HEIGHT = 15.0  # points
_CHART_COLUMN = "F"
_CHART_ROWS = 16  # the heading's row, and the chart's height from the next one on
_PAGE_ROWS = 72
_MAX_TABLE_NAMES = 20
_MAX_NAME = 40  # characters
_MAX_CHART_NAMES = 10

_GREY = "667085"
_GREEN, _AMBER, _RED = "1E7B4F", "9A6700", "B42318"
_TILE = PatternFill("solid", "EEF2F8")
_LINE_BELOW = Border(bottom=Side("hair", color=LINE))
_WHOLE, _SHARE, _TIME, _HOUR = "#,##0", "0.0%", "[h]:mm:ss", '00":00"'
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
    figures = outcome.figures or Figures()
    _put(sheet, "A1", one_line(info.title), Font(FONT, 20, bold=True, color=DARK))
    _put(sheet, "A2", f"{_instant(info.window_start)} to {_instant(info.window_end)}, {info.timezone}", _font(_GREY))
    sheet.row_dimensions[1].height = 30
    _write_tiles(sheet, outcome, figures)
    row = _write_facts(sheet, 7, _facts(info, outcome, calls_sheets, cut_texts)) + 1
    if outcome.rows == 0:
        _put(sheet, f"A{row}", "No calls in this window.", Font(FONT, 12, bold=True, color=DARK))
        return
    sections = []
    if figures.by_hour is not None:
        sections.append(_hours_section(figures.by_hour, outcome.rows))
    for title, tallies in (
        ("Calls by status", figures.by_status),
        ("Calls by agent", figures.by_agent),
        ("Calls by campaign", figures.by_campaign),
    ):
        if tallies:
            sections.append(_names_section(title, tallies, with_talk=figures.talk_seconds is not None))
    page_start = 1
    for section in sections:
        if row + section.height - page_start > _PAGE_ROWS:
            sheet.row_breaks.append(Break(id=row - 1))
            page_start = row
        _write_section(sheet, row, section, outcome.rows)
        row += section.height


@dataclass(frozen=True, slots=True)
class _Section:
    """A table of tallies and the chart beside it."""

    title: str
    name_label: str
    tallies: Sequence[Tally]
    in_chart: int
    upright: bool = False
    with_talk: bool = False

    @property
    def height(self) -> int:
        """Rows of the sheet that it takes, the empty one below it included."""
        return max(len(self.tallies) + 2, _CHART_ROWS) + 1


def _set_up(sheet: Worksheet) -> None:
    sheet.title = "Summary"
    for letter, width in _WIDTHS.items():
        sheet.column_dimensions[letter].width = width
    sheet.sheet_view.showGridLines = False
    sheet.sheet_view.tabSelected = True
    sheet.page_setup.orientation = "portrait"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    # A scale at which A to L fit the page's width. "Fit to width" would do that too, but it ignores page breaks.
    sheet.page_setup.scale = 66
    set_margins_and_footer(sheet)


def _write_tiles(sheet: Worksheet, outcome: ReportOutcome, figures: Figures) -> None:
    proof = {True: ("Complete", _GREEN), None: ("Not provable", _AMBER), False: ("INCOMPLETE", _RED)}
    verdict, colour = proof[outcome.complete]
    tiles: list[tuple[str, str, Any, str, str]] = [("A", "Calls", outcome.rows, _WHOLE, DARK)]
    if figures.talk_seconds is not None:
        average = figures.talk_average
        tiles += [
            ("BD", "Total talk time", figures.talk_seconds / _SECONDS_OF_DAY, _TIME, DARK),
            ("FH", "Average talk time", "-" if average is None else average / _SECONDS_OF_DAY, _TIME, DARK),
        ]
    tiles.append(("IL", "Completeness", verdict, "@", colour))
    for span, label, value, number_format, tile_colour in tiles:
        first, last = span[0], span[-1]
        for row in (4, 5):
            for column in range(ord(first), ord(last) + 1):
                sheet[f"{chr(column)}{row}"].fill = _TILE
            if first != last:
                sheet.merge_cells(f"{first}{row}:{last}{row}")
        _put(sheet, f"{first}4", label, _font(_GREY)).alignment = Alignment(
            horizontal="left", indent=1, vertical="bottom"
        )
        cell = _put(sheet, f"{first}5", value, Font(FONT, 18, bold=True, color=tile_colour), number_format)
        cell.alignment = Alignment(horizontal="left", indent=1, vertical="center")
    sheet.row_dimensions[4].height = 20
    sheet.row_dimensions[5].height = 32


def _facts(
    info: ReportInfo, outcome: ReportOutcome, calls_sheets: Sequence[str], cut_texts: int
) -> Iterable[tuple[str, str]]:
    yield "Window start", _instant(info.window_start)
    yield "Window end (not included)", _instant(info.window_end)
    yield "Time zone", info.timezone
    yield "Filters", "; ".join(info.filters) or "none"
    yield "Calls in this file", f"{outcome.rows:,}"
    yield "Total by the API", "no usable total" if outcome.reported_total is None else f"{outcome.reported_total:,}"
    yield "Completeness", outcome.note
    yield "Redacted columns", ", ".join(f"{name} ({how})" for name, how in info.redacted.items()) or "none"
    if cut_texts:
        count = "1 text was" if cut_texts == 1 else f"{cut_texts:,} texts were"
        yield "Shortened texts", f'{count} longer than the {MAX_TEXT:,} characters of a cell and end in "{CUT_MARK}"'
    if len(calls_sheets) > 1:
        yield "Sheets", f"{', '.join(calls_sheets)} (a sheet of Excel has a limit)"
    yield "File time", f"{_instant(info.file_time)} (the end of the window, never the clock)"


def _write_facts(sheet: Worksheet, row: int, facts: Iterable[tuple[str, str]]) -> int:
    for label, text in facts:
        _put(sheet, f"A{row}", label, _font(_GREY)).alignment = Alignment(vertical="top")
        shown = one_line(text, 2_000)
        cell = _put(sheet, f"B{row}", shown, _font("000000"))
        cell.alignment = Alignment(vertical="top", wrap_text=True)
        for column in _WIDTHS:
            sheet[f"{column}{row}"].border = _LINE_BELOW
        sheet.merge_cells(f"B{row}:L{row}")
        # A merged cell does not get higher by itself.
        sheet.row_dimensions[row].height = _LINE_HEIGHT * (1 + len(shown) // _FACT_WIDTH)
        row += 1
    return row


def _hours_section(by_hour: Sequence[int], calls: int) -> _Section:
    tallies = [Tally(str(hour), count) for hour, count in enumerate(by_hour)]
    untimed = calls - sum(by_hour)
    extra = [Tally("(no time)", untimed)] if untimed > 0 else []
    return _Section("Calls by hour", "Hour of day", [*tallies, *extra], in_chart=len(tallies), upright=True)


def _names_section(title: str, tallies: Sequence[Tally], *, with_talk: bool) -> _Section:
    shown = _shortened(tallies)
    return _Section(title, "Name", shown, in_chart=min(len(shown), _MAX_CHART_NAMES), with_talk=with_talk)


def _shortened(tallies: Sequence[Tally]) -> list[Tally]:
    """The first names, and all others in one line at the end."""
    named = [tally for tally in tallies if tally.name != OTHER]
    rest = [tally for tally in tallies if tally.name == OTHER] + named[_MAX_TABLE_NAMES:]
    shown = [
        Tally(one_line(tally.name, _MAX_NAME), tally.calls, tally.talk_seconds) for tally in named[:_MAX_TABLE_NAMES]
    ]
    if rest:
        shown.append(Tally(OTHER, sum(tally.calls for tally in rest), sum(tally.talk_seconds for tally in rest)))
    return shown


def _write_section(sheet: Worksheet, row: int, section: _Section, calls: int) -> None:
    _put(sheet, f"A{row}", section.title, Font(FONT, 12, bold=True, color=DARK))
    labels = {"A": section.name_label, "B": "Calls", "C": "Share"} | ({"D": "Talk time"} if section.with_talk else {})
    for letter, label in labels.items():
        cell = _put(sheet, f"{letter}{row + 1}", label, Font(FONT, 9, bold=True, color=_GREY))
        cell.alignment = Alignment(horizontal="left" if letter == "A" else "right")
        cell.border = Border(bottom=Side("thin", color=DARK))
    for line, tally in enumerate(section.tallies, row + 2):
        hour = section.upright and tally.name.isdecimal()
        name = _put(sheet, f"A{line}", int(tally.name) if hour else tally.name, _font("000000"), _HOUR)
        name.alignment = Alignment(horizontal="left", shrink_to_fit=True)
        _put(sheet, f"B{line}", tally.calls, _font("000000"), _WHOLE)
        _put(sheet, f"C{line}", tally.calls / calls, _font(_GREY), _SHARE)
        if section.with_talk:
            _put(sheet, f"D{line}", tally.talk_seconds / _SECONDS_OF_DAY, _font("000000"), _TIME)
        for letter in labels:
            sheet[f"{letter}{line}"].border = _LINE_BELOW
    drawn = section.tallies[: section.in_chart]
    title = (
        f"{section.title}: top {len(drawn)}" if len(section.tallies) > len(drawn) + section.upright else section.title
    )
    sheet.add_chart(bar_chart(sheet, title, row + 2, drawn, upright=section.upright), f"{_CHART_COLUMN}{row + 1}")


def _instant(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")


def _font(colour: str) -> Font:
    return Font(FONT, 10, color=colour)


def _put(sheet: Worksheet, reference: str, value: Any, font: Font, number_format: str = "@") -> Any:
    """Write one cell; a text is a string cell whatever it looks like."""
    cell = sheet[reference]
    if isinstance(value, str):
        cell.value = escape_lookalikes(value)
        cell.data_type = "s"  # openpyxl takes a text that begins with "=" for a formula
        cell.number_format = "@"
    else:
        cell.value = value
        cell.number_format = number_format
    cell.font = font
    return cell
