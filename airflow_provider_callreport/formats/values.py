"""Values that several formats change in the same way, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_callreport.report import Value


def whole_seconds(values: Sequence[Value]) -> Sequence[Value]:
    """Make ``int`` of the floats without a fraction in a column of durations: ``75.0`` is ``75`` in every format.

    Returns:
        ``values`` itself when there is no float in it.
    """
    if float not in set(map(type, values)):
        return values
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
