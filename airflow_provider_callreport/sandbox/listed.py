"""Calls that a test lists one by one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from airflow_provider_callreport.sandbox.calendar import account_zone
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.rows import NUMBERS, Moving, RowShape, encode_json, row_template
from airflow_provider_callreport.sandbox.source import SERIAL_BASE


class ListedCalls:
    """Exactly these calls: equal times, look-alikes, hours that a clock change repeats, odd cells.

    ``calls`` is an ordinary list that a test may change between two requests. Calls are served by the instant at
    which they began; calls of one instant in the order in which they first appeared.

    Attributes:
        calls: the calls. Those without a ``call_id`` are served with one made from their place in the list.
        zone: the account's zone, in which their times are.
    """

    def __init__(self, calls: Iterable[Call] = (), *, timezone: str = "Asia/Kolkata") -> None:
        self.calls = list(calls)
        self.zone = account_zone(timezone)
        self._serials: dict[str, int] = {}
        self._milliseconds: dict[int, int] = {}

    def select(self, wanted: CallFilter) -> ListedSelection:
        """The calls that match a filter now."""
        entries = []
        for place, call in enumerate(self.calls):
            call_id = self._id(place, call)
            serial = SERIAL_BASE + self._serials.setdefault(call_id, len(self._serials))
            milliseconds = int(call.time.replace(tzinfo=self.zone).timestamp() * 1000)
            self._milliseconds[serial] = milliseconds
            if wanted.matches(call):
                entries.append((milliseconds, serial, call_id, call))
        entries.sort(key=lambda entry: entry[:2])
        return ListedSelection(entries, self.zone, self._milliseconds)

    def recording(self, call_id: str) -> str | None:
        """The recording of the call with this id."""
        found = (call for place, call in enumerate(self.calls) if self._id(place, call) == call_id)
        return next((call.recording for call in found), None)

    @staticmethod
    def _id(place: int, call: Call) -> str:
        return call.call_id or f"listed{place:021d}"


class ListedSelection:
    """Some of the listed calls, oldest first."""

    def __init__(self, entries: list[tuple[int, int, str, Call]], zone: ZoneInfo, milliseconds: dict[int, int]) -> None:
        self._entries = entries
        self._zone = zone
        self._milliseconds = milliseconds

    def __len__(self) -> int:
        """How many calls there are."""
        return len(self._entries)

    def encode(self, start: int, stop: int, shape: RowShape) -> list[str]:
        """The JSON of some rows."""
        return [self._row(*entry, shape) for entry in self._entries[start:stop]]

    def cursor(self, position: int) -> tuple[int, int]:
        """The sort key of a row."""
        milliseconds, serial, _, _ = self._entries[position]
        return milliseconds, serial

    def rank(self, milliseconds: int | None, serial: int, *, inclusive: bool) -> int:
        """How many calls come before a sort key; it may belong to a call that is gone by now."""
        if milliseconds is None:
            milliseconds = self._milliseconds.get(serial, 0)
        bisect = bisect_right if inclusive else bisect_left
        return bisect(self._entries, (milliseconds, serial), key=lambda entry: entry[:2])

    def _row(self, milliseconds: int, serial: int, call_id: str, call: Call, shape: RowShape) -> str:
        template = row_template(shape, call, variant=serial)
        local = call.time.replace(tzinfo=self._zone)
        number = NUMBERS[template.number]
        values = {
            Moving.NUMBER: number(_escape(call.number), _escape(call.mask)),
            Moving.EPOCH: milliseconds // 1000,
            Moving.DATE: f"{local:%Y-%m-%d}",
            Moving.DMY: f"{local:%d-%m-%Y}",
            Moving.CLOCK: f"{local:%H:%M:%S}",
            Moving.OFFSET: local.isoformat(timespec="seconds")[19:],
            Moving.TOKEN: _escape(call.recording),
            Moving.ID: _escape(call_id),
            Moving.SERIAL: serial,
        }
        row: str = template.text % template.moving([values[moving] for moving in Moving])
        return row


def _escape(text: str) -> str:
    """As inside a JSON string."""
    return encode_json(text)[1:-1]
