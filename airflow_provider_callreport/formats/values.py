"""Values that several formats prepare in the same way, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeGuard

from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.report import Value

_NONE = type(None)
_TEXTS = {str, _NONE}
_NUMBERS = {int, float, _NONE}

LARGEST_NUMBER = 10**15
"""Numbers below it are exact in every format; larger ones, NaN and infinities become text (`is_number`)."""


def is_number(value: Value) -> bool:
    """Whether a value can be written as a number by every format: ``int`` or finite ``float`` of up to 15 digits."""
    return isinstance(value, (int, float)) and abs(value) < LARGEST_NUMBER  # False for NaN


def whole_seconds(values: Sequence[Value]) -> Sequence[Value]:
    """Make ``int`` of the floats without a fraction in a column of durations: ``75.0`` is ``75`` in every format.

    Returns:
        ``values`` itself when it has no float.
    """
    if float not in set(map(type, values)):
        return values
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]


def are_texts(values: Sequence[Value]) -> TypeGuard[Sequence[str | None]]:
    """Whether all values of a column are texts or None."""
    return set(map(type, values)) <= _TEXTS


def are_numbers(values: Sequence[Value]) -> bool:
    """Whether `is_number` holds for all values of a column that are not None; told at the speed of C."""
    if not set(map(type, values)) <= _NUMBERS:
        return False
    present: list[Any] = [value for value in values if value is not None]
    # NaN is neither smaller nor larger than anything, so `max` may miss it; a sum does not.
    return max(map(abs, present), default=0) < LARGEST_NUMBER and isfinite(sum(present))


def clean_texts(values: Sequence[Value]) -> Sequence[str | None]:
    """Clean a column of texts. An empty text becomes None, since CSV and Excel cannot tell the two apart."""
    if not are_texts(values):  # a number or a time, which should not be in the column
        return [None if value is None or value == "" else clean(str(value)) for value in values]
    if "".join(filter(None, values)).isprintable():
        return [value or None for value in values]
    return [clean(value) if value else None for value in values]


def clean_labels(labels: Sequence[str]) -> list[str]:
    """Clean the labels of a table. Where that makes one label of two, the second gets `` (2)`` behind it."""
    cleaned: list[str] = []
    for label in map(clean, labels):
        name, number = label, 1
        while name in cleaned:
            number += 1
            name = f"{label} ({number})"
        cleaned.append(name)
    return cleaned
