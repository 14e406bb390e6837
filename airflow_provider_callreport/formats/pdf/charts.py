"""Charts, drawn as rectangles and text: columns for the hours of a day, bars for the values of a column."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_callreport.formats.pdf.fonts import FontBook
from airflow_provider_callreport.formats.pdf.page import ACCENT, INK, MUTED, RULE, Page
from airflow_provider_callreport.formats.pdf.text import TextStyle
from airflow_provider_callreport.report import Tally, TallyKind, wording
from airflow_provider_callreport.report.facts import Ranking, top_names

#: Distance of two bars' lines in points: the first where there is room, the second at least.
_BAR_PITCH, _LEAST_PITCH = 15.0, 12.0


def nice_step(top: int, steps: int) -> int:
    """The least of 1, 2, 5, 10, 20, 50, ... of which ``steps`` reach ``top``."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power * steps >= top:
                return factor * power
        power *= 10


def draw_columns(
    page: Page, book: FontBook, counts: Sequence[int], x: float, y: float, width: float, height: float
) -> None:
    """Draw a column for each hour in the rectangle whose lower left corner is at x, y."""
    small = TextStyle(book, 7)
    step = nice_step(max(counts, default=0), 4)
    scale_top = step * max(1, -(-max(counts, default=0) // step))
    axis = small.width(f"{scale_top:,}") + 6
    left, bottom = x + axis, y + 11
    room = height - 11 - 8
    for i in range(scale_top // step + 1):
        line = bottom + room * i * step / scale_top
        page.rect(left, line, width - axis, 0.5, MUTED if i == 0 else RULE)
        page.text_right(small, left - 4, line - 2.5, f"{i * step:,}", MUTED)
    pitch = (width - axis) / len(counts)
    for hour, count in enumerate(counts):
        middle = left + pitch * (hour + 0.5)
        tall = room * count / scale_top
        if count:
            page.rect(middle - pitch * 0.34, bottom, pitch * 0.68, tall, ACCENT)
            text = f"{count:,}"
            if small.width(text) < pitch - 1:
                page.text(small, middle - small.width(text) / 2, bottom + tall + 2, text)
        label = f"{hour:02}"
        page.text(small, middle - small.width(label) / 2, y + 2, label, MUTED)


def draw_bars(
    page: Page, book: FontBook, ranking: Ranking, calls: int, x: float, top: float, width: float, height: float
) -> None:
    """Draw a line below another, as many as fit: name, bar, calls, share and talk time.

    Args:
        page: where to draw.
        book: the document's fonts.
        ranking: the lines. Only names get a bar: that of several names, or of none, would dwarf them.
        calls: calls of the whole report, of which shares are told.
        x: left edge of the lines.
        top: their upper edge.
        width: room for them from left to right.
        height: room for them from top to bottom.
    """
    style, small = TextStyle(book, 8), TextStyle(book, 7.5)
    lines = ranking.lines
    excess = len(lines) - int(height // _LEAST_PITCH)
    if excess > 0:
        names = sum(line.kind is TallyKind.NAME for line in lines)
        has_others = any(line.kind is TallyKind.OTHER for line in lines)
        lines = top_names(lines, max(names - excess - (not has_others), 0))
    pitch = min(_BAR_PITCH, height / len(lines))
    most = max((line.calls for line in lines if line.kind is TallyKind.NAME), default=0) or 1
    name_width = min(max(style.width(line.name) for line in lines) + 6, width * 0.42)
    labels = [_label(line, calls, ranking.talk) for line in lines]
    room = width - name_width - max(map(small.width, labels)) - 6
    for i, (line, label) in enumerate(zip(lines, labels, strict=True)):
        y = top - pitch * (i + 1)
        page.text(style, x, y + 4, style.fit(line.name, name_width - 6, 1)[0][0], INK)
        length = 0.0
        if line.kind is TallyKind.NAME:
            length = max(room * line.calls / most, 0.7)
            page.rect(x + name_width, y + 2, length, pitch * 0.6, ACCENT)
        page.text(small, x + name_width + (length + 4 if length else 0), y + 4, label, MUTED)


def _label(line: Tally, calls: int, talk: str) -> str:
    parts = [wording.count(line.calls), f"{line.calls / (calls or 1):.0%}"]
    return "  ".join([*parts, wording.duration(line.talk_seconds)] if talk else parts)
