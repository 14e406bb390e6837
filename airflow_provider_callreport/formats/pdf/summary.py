"""The first page: what the report is, how complete it is, and its figures as charts."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_callreport.formats.pdf.charts import draw_bars, draw_columns
from airflow_provider_callreport.formats.pdf.fonts import FontBook
from airflow_provider_callreport.formats.pdf.page import (
    BAD,
    BAND,
    CONTENT_WIDTH,
    GOOD,
    MARGIN,
    MUTED,
    PAGE_HEIGHT,
    RULE,
    WARN,
    Page,
)
from airflow_provider_callreport.formats.pdf.text import TextStyle
from airflow_provider_callreport.report import ReportInfo, ReportOutcome, wording
from airflow_provider_callreport.report.facts import NO_CALLS, ReportFacts, report_facts

_GAP = 16.0
_TILE_HEIGHT = 44.0
_LABEL_WIDTH = 92.0
#: Lines of `ReportFacts.lines` that the heading and the tiles show.
_DRAWN_ELSEWHERE = ("Time zone", "Calls", "Total by the API", "Completeness")


def window_text(info: ReportInfo) -> str:
    """The window in words, with its zone: ``"15 Oct 2026, Asia/Kolkata"``."""
    return f"{wording.window(info.window_start, info.window_end)}, {info.timezone}"


def draw_summary(book: FontBook, info: ReportInfo, outcome: ReportOutcome, remarks: Sequence[str]) -> str:
    """Draw the first page and return its content stream.

    Args:
        book: the document's fonts.
        info: the report.
        outcome: its proof and figures.
        remarks: sentences about the table, such as that it was left out.
    """
    page = Page()
    facts = report_facts(info, outcome)
    y = _draw_heading(page, book, facts, window_text(info))
    y = _draw_tiles(page, book, facts, y - _GAP)
    y = _draw_lines(page, book, facts, remarks, y - _GAP)
    if not outcome.rows:
        page.text(TextStyle(book, 14, bold=True), MARGIN, y - 40, NO_CALLS)
    else:
        _draw_charts(page, book, facts, outcome.rows, y - _GAP)
    return page.operators()


def _draw_heading(page: Page, book: FontBook, facts: ReportFacts, window: str) -> float:
    """Title, window and proof; returns the y below them."""
    title, plain, strong = TextStyle(book, 20, bold=True), TextStyle(book, 10), TextStyle(book, 10, bold=True)
    y = PAGE_HEIGHT - MARGIN - 18
    for line in title.fit(facts.title, CONTENT_WIDTH, 2)[0]:
        page.text(title, MARGIN, y, line)
        y -= 24
    y += 5
    page.text(plain, MARGIN, y, window, MUTED)
    color = {"Complete": GOOD, "Incomplete": BAD}.get(facts.verdict, WARN)
    sentences = filter(None, (facts.proof, facts.still_open))
    lines = [line for sentence in sentences for line in strong.fit(sentence, CONTENT_WIDTH - 24, 3)[0]]
    height = 13 * len(lines) + 7
    y -= 12 + height
    page.rect(MARGIN, y, CONTENT_WIDTH, height, BAND)
    page.rect(MARGIN, y, 3, height, color)
    for i, line in enumerate(lines):
        page.text(strong, MARGIN + 12, y + 6.5 + 13 * (len(lines) - 1 - i), line, color)
    return y


def _draw_tiles(page: Page, book: FontBook, facts: ReportFacts, top: float) -> float:
    """The large numbers; returns the y below them."""
    calls, *talk = facts.tiles
    tiles = [calls, ("Total by the API", facts.total), *talk]
    small, large = TextStyle(book, 8), TextStyle(book, 15, bold=True)
    width = (CONTENT_WIDTH - 3 * _GAP) / 4
    for i, (label, value) in enumerate(tiles):
        x = MARGIN + i * (width + _GAP)
        page.rect(x, top - _TILE_HEIGHT, width, _TILE_HEIGHT, BAND)
        page.text(small, x + 10, top - 15, small.fit(label, width - 20, 1)[0][0], MUTED)
        page.text(large, x + 10, top - 34, large.fit(value, width - 20, 1)[0][0])
    return top - _TILE_HEIGHT


def _draw_lines(page: Page, book: FontBook, facts: ReportFacts, remarks: Sequence[str], y: float) -> float:
    """The facts that stand nowhere else on the page, and remarks; returns the y below them."""
    plain, strong = TextStyle(book, 8.5), TextStyle(book, 8.5, bold=True)
    lines = [line for line in facts.lines if line[0] not in _DRAWN_ELSEWHERE]
    lines.extend(("Table" if i == 0 else "", remark) for i, remark in enumerate(remarks))
    for label, text in lines:
        parts, _ = plain.fit(text, CONTENT_WIDTH - _LABEL_WIDTH, 4)
        page.text(strong, MARGIN, y - 8, label, MUTED)
        for part in parts:
            page.text(plain, MARGIN + _LABEL_WIDTH, y - 8, part)
            y -= 12
    return y


def _draw_charts(page: Page, book: FontBook, facts: ReportFacts, calls: int, top: float) -> None:
    """Calls by hour over the full width, the rankings beside one another below."""
    heading, small = TextStyle(book, 10, bold=True), TextStyle(book, 8)
    if facts.by_hour:
        height = (top - MARGIN) * 0.38
        width = page.text(heading, MARGIN, top - 10, "Calls by hour")
        if facts.no_time:
            page.text(small, MARGIN + width + 8, top - 10, f"{wording.calls(facts.no_time)} without a time", MUTED)
        counts = [tally.calls for tally in facts.by_hour]
        draw_columns(page, book, counts, MARGIN, top - height, CONTENT_WIDTH, height - 20)
        top -= height + _GAP
    width = (CONTENT_WIDTH - 2 * _GAP) / 3
    x = MARGIN
    for ranking in facts.rankings:
        page.text(heading, x, top - 10, ranking.title)
        page.rect(x, top - 15, width, 0.5, RULE)
        draw_bars(page, book, ranking, calls, x, top - 18, width, top - 18 - MARGIN)
        x += width + _GAP
