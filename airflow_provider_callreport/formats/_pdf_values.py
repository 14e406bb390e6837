"""How a typed value is printed on paper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from airflow_provider_callreport.report import ColumnKind, Value


@lru_cache(maxsize=4096)
def duration_text(seconds: float) -> str:
    """Seconds as ``h:mm:ss``, rounded to whole seconds; hours do not wrap into days."""
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 and whole else ""
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _plain_text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, float):
        return format(value, ".15g")
    return str(value)


def _duration_text(value: Value) -> str:
    if isinstance(value, (int, float)):
        return duration_text(value)
    return _plain_text(value)


def printer(kind: ColumnKind) -> Callable[[Value], str]:
    """The function that prints the values of a column.

    Times come out as ``YYYY-MM-DD HH:MM:SS``, durations as ``h:mm:ss``, numbers with up to 15 significant digits,
    None as nothing.
    """
    return _duration_text if kind is ColumnKind.DURATION else _plain_text


def is_right_aligned(kind: ColumnKind) -> bool:
    """Whether a column's values stand at its right edge, so that digits of equal weight stand below one another."""
    return kind in (ColumnKind.NUMBER, ColumnKind.DURATION)
