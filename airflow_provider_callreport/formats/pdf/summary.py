"""The first page: what the report is, how complete it is, and its figures as charts."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_callreport.formats.pdf.charts import Bar, draw_bars, draw_columns
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
from airflow_provider_callreport.formats.pdf.values import duration_text
from airflow_provider_callreport.report import Figures, ReportInfo, ReportOutcome

_GAP = 16.0
_TILE_HEIGHT = 44.0
_LABEL_WIDTH = 62.0


def window_text(info: ReportInfo) -> str:
    """The window in words, with its zone."""
    return (
        f"{info.window_start:%Y-%m-%d %H:%M:%S} to {info.window_end:%Y-%m-%d %H:%M:%S} ({info.timezone}), "
        "end not included"
    )


def draw_summary(book: FontBook, info: ReportInfo, outcome: ReportOutcome, remarks: Sequence[str]) -> str:
    """Draw the first page and return its content stream.

    Args:
        book: the document's fonts.
        info: the report.
        outcome: its proof and figures.
        remarks: sentences about the table, such as that it was left out.
    """
    page = Page()
    y = _draw_heading(page, book, info, outcome)
    y = _draw_tiles(page, book, outcome, y - _GAP)
    y = _draw_facts(page, book, info, remarks, y - _GAP)
    if not outcome.rows:
        page.text(TextStyle(book, 14, bold=True), MARGIN, y - 40, "No calls in this window.")
    elif outcome.figures is not None:
        _draw_charts(page, book, outcome.figures, y - _GAP)
    return page.operators()


def _draw_heading(page: Page, book: FontBook, info: ReportInfo, outcome: ReportOutcome) -> float:
    """Title, window and proof; returns the y below them."""
    title, plain, strong = TextStyle(book, 20, bold=True), TextStyle(book, 10), TextStyle(book, 10, bold=True)
    y = PAGE_HEIGHT - MARGIN - 18
    for line in title.fit(info.title, CONTENT_WIDTH, 2)[0]:
        page.text(title, MARGIN, y, line)
        y -= 24
    y += 5
    page.text(plain, MARGIN, y, window_text(info), MUTED)
    color = {True: GOOD, None: WARN, False: BAD}[outcome.complete]
    lines, _ = strong.fit(outcome.note, CONTENT_WIDTH - 24, 3)
    height = 13 * len(lines) + 7
    y -= 12 + height
    page.rect(MARGIN, y, CONTENT_WIDTH, height, BAND)
    page.rect(MARGIN, y, 3, height, color)
    for i, line in enumerate(lines):
        page.text(strong, MARGIN + 12, y + 6.5 + 13 * (len(lines) - 1 - i), line, color)
    return y


def _draw_tiles(page: Page, book: FontBook, outcome: ReportOutcome, top: float) -> float:
    """The four numbers; returns the y below them."""
    figures = outcome.figures or Figures()
    total, average = outcome.reported_total, figures.talk_average
    tiles = (
        ("Calls in this report", f"{outcome.rows:,}"),
        ("Calls the API reports", "no total given" if total is None else f"{total:,}"),
        (
            "Talk time, total",
            "not in this report" if figures.talk_seconds is None else duration_text(figures.talk_seconds),
        ),
        ("Talk time, average of the calls with any", "none" if average is None else duration_text(average)),
    )
    small, large = TextStyle(book, 8), TextStyle(book, 15, bold=True)
    width = (CONTENT_WIDTH - 3 * _GAP) / 4
    for i, (label, value) in enumerate(tiles):
        x = MARGIN + i * (width + _GAP)
        page.rect(x, top - _TILE_HEIGHT, width, _TILE_HEIGHT, BAND)
        page.text(small, x + 10, top - 15, small.fit(label, width - 20, 1)[0][0], MUTED)
        page.text(large, x + 10, top - 34, large.fit(value, width - 20, 1)[0][0])
    return top - _TILE_HEIGHT


def _draw_facts(page: Page, book: FontBook, info: ReportInfo, remarks: Sequence[str], y: float) -> float:
    """Filters, redactions and remarks; returns the y below them."""
    plain, strong = TextStyle(book, 8.5), TextStyle(book, 8.5, bold=True)
    redacted = ", ".join(f"{column} ({rule})" for column, rule in info.redacted.items())
    facts = [("Filters", "; ".join(info.filters) or "none"), ("Redacted", redacted or "nothing")]
    facts.extend(("Table" if i == 0 else "", remark) for i, remark in enumerate(remarks))
    for label, text in facts:
        lines, _ = plain.fit(text, CONTENT_WIDTH - _LABEL_WIDTH, 4)
        page.text(strong, MARGIN, y - 8, label, MUTED)
        for line in lines:
            page.text(plain, MARGIN + _LABEL_WIDTH, y - 8, line)
            y -= 12
    return y


def _draw_charts(page: Page, book: FontBook, figures: Figures, top: float) -> None:
    """Calls by hour over the full width, the other charts in a row below."""
    heading = TextStyle(book, 10, bold=True)
    if figures.by_hour is not None:
        height = (top - MARGIN) * 0.42
        page.text(heading, MARGIN, top - 10, "Calls by hour of day")
        draw_columns(page, book, figures.by_hour, MARGIN, top - height, CONTENT_WIDTH, height - 20)
        top -= height + _GAP
    has_talk = figures.talk_seconds is not None
    charts = (
        ("Calls by status", figures.by_status, False),
        ("Calls by campaign", figures.by_campaign, False),
        ("Calls and talk time by agent" if has_talk else "Calls by agent", figures.by_agent, has_talk),
    )
    width = (CONTENT_WIDTH - 2 * _GAP) / 3
    x = MARGIN
    for title, tallies, with_talk in charts:
        if tallies is None:
            continue
        page.text(heading, x, top - 10, title)
        page.rect(x, top - 15, width, 0.5, RULE)
        bars = [
            Bar(tally.name, tally.calls, duration_text(tally.talk_seconds) if with_talk else "") for tally in tallies
        ]
        draw_bars(page, book, bars, x, top - 18, width, top - 18 - MARGIN)
        x += width + _GAP
