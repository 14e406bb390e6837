"""Are the calls those that were asked for?

A server that does not obey the window's filter, or a cache that answers in its place, sends calls of other days with a
total that fits them: numbers alone do not show it. So the calls' own times are held against the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from airflow_provider_callreport.api.errors import AnswerError
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.table import base_label
from airflow_provider_callreport.report import Column, Row

#: Columns that say when a call began.
_BEGINNINGS = frozenset({"time", "ivrstime"})

#: A call may be filed under its end, or its time be printed in another zone. This is more than both.
_SLACK = timedelta(days=2)


class WindowCheck:
    """Refuses calls that are days away from the window.

    Args:
        window: the window that was asked for.
        columns: columns of the rows. Where none of them says when a call began, nothing is refused.
    """

    def __init__(self, window: Window, columns: Sequence[Column]) -> None:
        self._window = window
        self._at = next(
            (at for at, column in enumerate(columns) if base_label(column.source).strip().casefold() in _BEGINNINGS),
            None,
        )
        self._first = _moved(window.local_start, -_SLACK)
        self._last = _moved(window.local_end, _SLACK)

    def check(self, rows: Sequence[Row]) -> None:
        """Look at some rows.

        Args:
            rows: as `api.table.Table` has typed them.

        Raises:
            AnswerError: a call is of another time.
        """
        at = self._at
        if at is None or not rows:
            return
        times = [row[at] for row in rows]
        try:
            # The usual case: all of them are times.
            low, high = min(times), max(times)  # type: ignore[type-var]  # else TypeError
            within = self._first <= low and high <= self._last  # type: ignore[operator]
        except TypeError:
            known = [time for time in times if isinstance(time, datetime) and time.tzinfo is None]
            low, high = min(known, default=self._first), max(known, default=self._first)
            within = self._first <= low and high <= self._last
        if not within:
            window = self._window
            raise AnswerError(
                f"the API answered calls from {low} to {high}, and was asked for those from "
                f"{window.local_start.isoformat()} to {window.local_end.isoformat()}: it did not obey the window, or "
                "something else has answered"
            )


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment.replace(tzinfo=None) + by
    except OverflowError:
        return datetime.min if by < timedelta(0) else datetime.max
