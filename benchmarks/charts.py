"""Charts as SVG, by hand: two kinds are all that the docs need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_COLOURS = ("#0b6e4f", "#c0392b", "#1f5fa8", "#b7791f", "#6b4fa0", "#4a5568", "#0f8b8d")
_FONT = 'font-family="sans-serif" font-size="13"'
_WIDTH = 860


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: as the legend says it.
        points: of the line.
        dots: further points that are marked and not joined.
    """

    name: str
    points: Sequence[tuple[float, float]]
    dots: Sequence[tuple[float, float]] = ()


def bars_chart(title: str, bars: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars.

    Args:
        title: above the bars.
        bars: name, length and the text beside each.
    """
    left, right, row = 230, 220, 34
    longest = max(length for _, length, _ in bars)
    parts = [_text(10, 24, title, weight="bold")]
    for place, (name, length, words) in enumerate(bars):
        top = 42 + place * row
        width = (_WIDTH - left - right) * length / longest
        parts.append(_text(left - 10, top + 17, name, anchor="end"))
        colour = _COLOURS[5 if place else 0]
        parts.append(f'<rect x="{left}" y="{top}" width="{max(1.0, width):.1f}" height="24" fill="{colour}"/>')
        parts.append(_text(left + width + 8, top + 17, words))
    return _svg(42 + len(bars) * row + 10, title, parts)


def lines_chart(title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """Lines over two logarithmic axes, with a legend."""
    height, left, right, top, bottom = 460, 80, 20, 40, 90
    every = [point for line in lines for point in (*line.points, *line.dots)]
    x_low, x_high = _decades([x for x, _ in every])
    y_low, y_high = _decades([y for _, y in every])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x_low) / (x_high - x_low)
        up = (math.log10(y) - y_low) / (y_high - y_low)
        return left + across * (_WIDTH - left - right), height - bottom - up * (height - top - bottom)

    parts = [_text(10, 24, title, weight="bold")]
    for exponent in range(x_low, x_high + 1):
        x, _ = place(10.0**exponent, 10.0**y_low)
        parts.append(_rule(x, top, x, height - bottom))
        parts.append(_text(x, height - bottom + 18, f"{10.0**exponent:,.0f}", anchor="middle"))
    for exponent in range(y_low, y_high + 1):
        _, y = place(10.0**x_low, 10.0**exponent)
        parts.append(_rule(left, y, _WIDTH - right, y))
        parts.append(_text(left - 8, y + 4, f"{10.0**exponent:,g}", anchor="end"))
    parts.append(_text(_WIDTH - right, height - bottom + 36, x_name, anchor="end"))
    parts.append(_text(10, top - 2, y_name))
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in line.dots:
            x, y = place(*point)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        x, y = left + number % 2 * 380, height - 36 + number // 2 * 20
        parts.append(f'<rect x="{x}" y="{y - 10}" width="22" height="4" fill="{colour}"/>')
        parts.append(_text(x + 30, y - 3, line.name))
    return _svg(height + 10, title, parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def _svg(height: int, title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {_FONT} text-anchor="{anchor}" font-weight="{weight}" fill="#1a202c">'
        f"{escape(words)}</text>"
    )


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#cbd5e0"/>'
