"""How a typed value is printed on paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial

from airflow_provider_callreport.report import ColumnKind, Value

#: Decimals that a column of numbers shows, as the sheet does: at least two; more, up to four, where a value has them.
_LEAST_DECIMALS, _MOST_DECIMALS = 2, 4


@lru_cache(maxsize=4096)
def duration_text(seconds: float) -> str:
    """Seconds as ``h:mm:ss``, rounded to whole seconds; hours do not wrap into days."""
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 and whole else ""
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def number_text(value: float, decimals: int = 0) -> str:
    """A number of up to 15 significant digits with commas, and zeros up to ``decimals``, so that points align."""
    text = format(value, ",.15g")
    if not decimals or not text.lstrip("-").replace(".", "").replace(",", "").isdigit():
        return text
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(decimals, '0')}"


def printer(kind: ColumnKind, sample: Iterable[Value] = ()) -> Callable[[Value], str]:
    """The function that prints the values of a column.

    Times come out as ``YYYY-MM-DD HH:MM:SS``, durations as ``h:mm:ss``, numbers with commas and the decimals of the
    longest one in ``sample``, None as nothing, and text that stands in a column of another kind as it is.
    """
    if kind is ColumnKind.DURATION:
        return partial(_text, number=duration_text)
    decimals = max((len(number_text(v).partition(".")[2]) for v in sample if isinstance(v, float)), default=0)
    decimals = min(max(decimals, _LEAST_DECIMALS), _MOST_DECIMALS)
    return partial(_text, number=partial(number_text, decimals=decimals))


def _text(value: Value, number: Callable[[float], str]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return number(value)
    return "" if value is None else value.isoformat(" ", "seconds")


def is_right_aligned(kind: ColumnKind) -> bool:
    """Whether a column's values stand at its right edge, so that digits of equal weight stand below one another."""
    return kind in (ColumnKind.NUMBER, ColumnKind.DURATION)
