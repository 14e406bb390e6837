"""What the sandbox asks of a source of calls."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.rows import RowShape

#: Added to the serial of every call in a cursor, so that a client that reads it as a float (53 bits) loses the place.
SERIAL_BASE = 1 << 60


class Selection(Protocol):
    """The calls that match a filter, oldest first, by their positions."""

    def __len__(self) -> int:
        """How many there are."""

    def encode(self, start: int, stop: int, shape: RowShape) -> list[str]:
        """The JSON of the rows at the positions ``start`` to ``stop`` (exclusive, and not beyond the end)."""

    def cursor(self, position: int) -> tuple[int, int]:
        """The sort key of the call at a position: milliseconds since 1970 UTC, and a serial above 2^53."""

    def rank(self, milliseconds: int | None, serial: int, *, inclusive: bool) -> int:
        """How many calls come before this sort key, or up to and with it; without milliseconds the serial decides."""


class CallSource(Protocol):
    """Something that has calls."""

    def select(self, wanted: CallFilter) -> Selection:
        """The calls that match a filter."""

    def recording(self, call_id: str) -> str | None:
        """The recording of a call: its token path, ``""`` when it has none, None when there is no such call."""
