"""The summary figures of a report, counted while its rows stream past.

The columns are found by `Column.source`, so renaming does not matter, and a column that was dropped or not chosen
gives no figure. The vendor has two spellings, the labels of ``columnArr`` and the keys of its webhooks; both are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum, auto
from math import isfinite

from airflow_provider_callreport.report import Column, ColumnKind, Figures, Row, Tally, TallyKind, Value

# For each figure the sources it can be made from, best first.
STATUS = ("Status", "callStatus")
CAMPAIGN = ("Campaign", "campId")
AGENT = ("Agents", "agents", "Master Agent", "masterAgent")
TIME = ("Time", "ivrSTime")
TALK = ("Total Talk Duration", "talkDuration")
CALL_TIME = ("Call Duration", "ivrDuration")

MAX_NAMES = 1_000
"""Distinct values that are counted by name for one figure; calls of later ones are counted as `OTHER`."""

NONE = "(none)"
"""Name of the `Tally` of calls with an empty value; its kind is `TallyKind.NO_NAME`."""

OTHER = "(other)"
"""Name of the `Tally` of the values beyond the first `MAX_NAMES`; its kind is `TallyKind.OTHER`."""


class _Beyond(Enum):
    """The key of all values beyond the first `MAX_NAMES`; no text of the data equals it."""

    BEYOND = auto()


_BEYOND = _Beyond.BEYOND
_Name = str | _Beyond | None


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
        talk = _find(columns, TALK, ColumnKind.DURATION)
        self._talk = _find(columns, CALL_TIME, ColumnKind.DURATION) if talk is None else talk
        self._talk_is_call_time = talk is None and self._talk is not None
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
            talk_is_call_time=self._talk_is_call_time,
        )


class _GroupedColumn:
    """Calls and talk time for each value of the column at ``index``."""

    def __init__(self, index: int) -> None:
        self.index = index
        # Names are texts, the empty value is None, and the values beyond `MAX_NAMES` are `_BEYOND`.
        self._calls: Counter[_Name] = Counter()
        self._talked: dict[_Name, int] = {}
        self._beyond: set[str] = set()  # two names are enough to know that there are several

    @classmethod
    def find(cls, columns: Sequence[Column], sources: Iterable[str]) -> _GroupedColumn | None:
        index = _find(columns, sources)
        return None if index is None else cls(index)

    def add(self, values: Sequence[Value], talked: Sequence[int]) -> None:
        names: list[_Name] = [None if value is None or value == "" else str(value) for value in values]
        distinct = set(names)
        if any(isinstance(name, str) and name.isspace() for name in distinct):
            names = [None if isinstance(name, str) and name.isspace() else name for name in names]
        if len(self._calls) + len(distinct) > MAX_NAMES:
            names = [self._bounded(name) for name in names]
        self._calls.update(names)
        total = self._talked
        for name, duration in zip(names, talked, strict=False):  # no durations at all without a talk column
            total[name] = total.get(name, 0) + duration

    def _bounded(self, name: _Name) -> _Name:
        if name is None or name in self._calls:
            return name
        if len(self._calls) - (_BEYOND in self._calls) - (None in self._calls) < MAX_NAMES:
            self._calls[name] = 0
            return name
        if len(self._beyond) < 2:
            self._beyond.add(str(name))
        return _BEYOND

    def ranked(self) -> tuple[Tally, ...]:
        """Most calls first, then by name; behind the names what several have together, and the calls without one."""
        tallies = [self._tally(name) for name in self._calls]
        kinds = list(TallyKind)
        return tuple(sorted(tallies, key=lambda tally: (kinds.index(tally.kind), -tally.calls, tally.name)))

    def _tally(self, name: _Name) -> Tally:
        calls, talk_seconds = self._calls[name], _seconds(self._talked.get(name, 0))
        if name is None:
            return Tally(NONE, calls, talk_seconds, TallyKind.NO_NAME)
        if isinstance(name, str):
            return Tally(name, calls, talk_seconds)
        if len(self._beyond) == 1:
            return Tally(next(iter(self._beyond)), calls, talk_seconds)
        return Tally(OTHER, calls, talk_seconds, TallyKind.OTHER)


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
