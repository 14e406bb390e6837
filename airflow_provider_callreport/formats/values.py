"""Values that several formats prepare in the same way, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.report import Value

LARGEST_NUMBER = 10**15
"""Numbers below it are exact in every format; larger ones, NaN and infinities become text (`is_number`)."""


def is_number(value: Value) -> bool:
    """Whether a value can be written as a number by every format: ``int`` or finite ``float`` of up to 15 digits."""
    return isinstance(value, (int, float)) and abs(value) < LARGEST_NUMBER  # False for NaN


def whole_seconds(values: Sequence[Value]) -> Sequence[Value]:
    """Make ``int`` of the floats without a fraction in a column of durations: ``75.0`` is ``75`` in every format.

    Returns:
        ``values`` itself when there is no float in it.
    """
    if float not in set(map(type, values)):
        return values
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]


def clean_texts(values: Sequence[Value]) -> Sequence[str | None]:
    """Clean a column of texts. An empty text becomes None, since CSV and Excel cannot tell the two apart."""
    texts: list[Any] = list(filter(None, values))
    try:
        printable = "".join(texts).isprintable()
    except TypeError:  # a number or time, which the column should not hold, but may
        return [None if value is None or value == "" else clean(str(value)) for value in values]
    if printable:
        return [value or None for value in values]  # type: ignore[misc]  # they are texts
    return [clean(value) if value else None for value in values]  # type: ignore[arg-type]
