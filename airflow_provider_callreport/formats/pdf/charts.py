"""Charts, drawn as rectangles and text: columns for the hours of a day, bars for the values of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_callreport.formats.pdf.fonts import FontBook
from airflow_provider_callreport.formats.pdf.page import ACCENT, INK, MUTED, RULE, Page
from airflow_provider_callreport.formats.pdf.text import TextStyle

_BAR_PITCH = 15.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its count, and a remark that is printed behind the count."""

    name: str
    count: int
    remark: str = ""


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
    page: Page, book: FontBook, bars: Sequence[Bar], x: float, top: float, width: float, height: float
) -> None:
    """Draw a bar below another, as many as fit; what does not fit is stated in a last line."""
    style, small = TextStyle(book, 8), TextStyle(book, 7.5)
    rows = int(height // _BAR_PITCH)
    shown = bars if len(bars) <= rows else bars[: max(rows - 1, 0)]
    rest = bars[len(shown) :]
    whole = sum(bar.count for bar in bars)
    most = max((bar.count for bar in bars), default=1) or 1
    name_width = min(max((style.width(bar.name) for bar in shown), default=0.0) + 6, width * 0.42)
    labels = [
        f"{bar.count:,}  {bar.count / (whole or 1):.0%}" + (f"  {bar.remark}" if bar.remark else "") for bar in shown
    ]
    room = width - name_width - max(map(small.width, labels), default=0.0) - 6
    for i, (bar, label) in enumerate(zip(shown, labels, strict=True)):
        y = top - _BAR_PITCH * (i + 1)
        page.text(style, x, y + 4, style.fit(bar.name, name_width - 6, 1)[0][0], INK)
        length = max(room * bar.count / most, 0.7)
        page.rect(x + name_width, y + 2, length, 9, ACCENT)
        page.text(small, x + name_width + length + 4, y + 4, label, MUTED)
    if rest:
        text = f"and {len(rest):,} more with {sum(bar.count for bar in rest):,} calls"
        page.text(small, x, top - _BAR_PITCH * (len(shown) + 1) + 4, text, MUTED)
