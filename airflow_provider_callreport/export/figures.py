"""The summary figures of a report, counted while its rows stream past.

The columns are found by `Column.source`, so renaming does not matter, and a column that was dropped or not chosen
yields no figure. Both spellings of the vendor are known: the labels of ``columnArr`` and the keys of its webhooks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import isfinite

from airflow_provider_callreport.report import Column, ColumnKind, Figures, Row, Tally, Value

# For each figure the sources it can be made from, best first.
STATUS = ("Status", "callStatus")
CAMPAIGN = ("Campaign", "campId")
AGENT = ("Agents", "agents", "Master Agent", "masterAgent")
TIME = ("Time", "ivrSTime")
TALK = ("Total Talk Duration", "talkDuration", "Call Duration", "ivrDuration")

MAX_NAMES = 1_000
"""Distinct values that are counted by name for one figure; calls of later ones are counted as `OTHER`."""

NONE = "(none)"
"""The name under which calls with an empty value are counted."""

OTHER = "(other)"
"""The name under which calls are counted whose value came after the first `MAX_NAMES` others."""


class FiguresCollector:
    """Count rows a page at a time; its memory does not grow with the report.

    Args:
        columns: the columns of the rows, as they are written to the file: after renaming and redaction.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._status = _GroupedColumn.find(columns, STATUS)
        self._campaign = _GroupedColumn.find(columns, CAMPAIGN)
        self._agent = _GroupedColumn.find(columns, AGENT)
        self._time = _find(columns, TIME, ColumnKind.DATETIME)
        self._talk = _find(columns, TALK, ColumnKind.DURATION)
        self._hours: Counter[int] = Counter()
        self._talked = 0
        self._talk_calls = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Count some rows."""
        if not rows:
            return
        columns: list[Sequence[Value]] = list(zip(*rows, strict=True))
        talked: list[int] = []
        if self._talk is not None:
            talked = [_milliseconds(value) for value in columns[self._talk]]
            self._talked += sum(talked)
            self._talk_calls += sum(duration > 0 for duration in talked)
        if self._time is not None:
            self._hours.update(value.hour for value in columns[self._time] if isinstance(value, datetime))
        for group in (self._status, self._campaign, self._agent):
            if group is not None:
                group.add(columns[group.index], talked)

    def figures(self) -> Figures:
        """The figures of all rows so far. A call without a readable time is in no hour."""
        return Figures(
            by_status=None if self._status is None else self._status.ranked(),
            by_campaign=None if self._campaign is None else self._campaign.ranked(),
            by_agent=None if self._agent is None else self._agent.ranked(),
            by_hour=None if self._time is None else tuple(self._hours[hour] for hour in range(24)),
            talk_seconds=None if self._talk is None else _seconds(self._talked),
            talk_calls=self._talk_calls,
        )


class _GroupedColumn:
    """Calls and talk time for each value of the column at ``index``."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._calls: Counter[str] = Counter()
        self._talked: dict[str, int] = {}

    @classmethod
    def find(cls, columns: Sequence[Column], sources: Iterable[str]) -> _GroupedColumn | None:
        index = _find(columns, sources)
        return None if index is None else cls(index)

    def add(self, values: Sequence[Value], talked: Sequence[int]) -> None:
        names = [NONE if value is None or value == "" else str(value) for value in values]
        if len(self._calls) + len(set(names)) > MAX_NAMES:
            names = self._bounded(names)
        self._calls.update(names)
        total = self._talked
        for name, duration in zip(names, talked, strict=False):  # no durations at all without a talk column
            total[name] = total.get(name, 0) + duration

    def _bounded(self, names: Sequence[str]) -> list[str]:
        kept = set(self._calls)
        bounded = []
        for name in names:
            if name not in kept:
                if len(kept) < MAX_NAMES:
                    kept.add(name)
                else:
                    name = OTHER
            bounded.append(name)
        return bounded

    def ranked(self) -> tuple[Tally, ...]:
        """Most calls first, then by name."""
        return tuple(
            Tally(name, calls, _seconds(self._talked.get(name, 0)))
            for name, calls in sorted(self._calls.items(), key=lambda item: (-item[1], item[0]))
        )


# Durations are added as whole milliseconds: a sum of floats would depend on how the rows were paged.


def _milliseconds(value: Value) -> int:
    if isinstance(value, int):
        return value * 1_000
    return round(value * 1_000) if isinstance(value, float) and isfinite(value) else 0


def _seconds(milliseconds: int) -> float:
    return milliseconds / 1_000 if milliseconds % 1_000 else milliseconds // 1_000


def _find(columns: Sequence[Column], sources: Iterable[str], kind: ColumnKind | None = None) -> int | None:
    """The index of the first column, in the order of ``sources``, that has the kind; any kind when it is None."""
    for source in sources:
        for index, column in enumerate(columns):
            if column.source == source and kind in (None, column.kind):
                return index
    return None
