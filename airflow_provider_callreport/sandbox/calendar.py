"""Where in a day the calls of a synthetic source lie: index to instant and wall-clock window to indices, by arithmetic.

A day is cut into slots: stretches of at most an hour in which the zone's offset is constant and the calls are evenly
spaced. On a day on which clocks change the slots follow the real instants: a skipped hour has none, a repeated hour
has two with the same wall-clock times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_HOUR = 3600
#: The finest step at which a zone's offset changes inside a day anywhere today (Lord Howe moves by half an hour).
_STEP = 1800
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Slot:
    """Evenly spaced calls.

    Attributes:
        first: index in the day of its first call.
        count: number of its calls.
        epoch: its first second, as seconds since 1970 UTC.
        wall: the same second on the wall clock, as seconds since 1970-01-01 00:00:00 local.
        seconds: its length.
    """

    first: int
    count: int
    epoch: int
    wall: int
    seconds: int

    @property
    def hour(self) -> int:
        """The hour of the day on the wall clock that it lies in, 0 to 23."""
        return self.wall // _HOUR % 24

    def second(self, index: int) -> int:
        """Seconds from the slot's start to the call with this index in the day."""
        return (index - self.first) * self.seconds // self.count

    def indices(self, wall_start: int | None, wall_end: int | None) -> range:
        """The calls whose wall-clock second lies between the two, both inclusive; None is open."""
        low = 0 if wall_start is None else self._calls_before(wall_start)
        high = self.count if wall_end is None else self._calls_before(wall_end + 1)
        return range(self.first + low, self.first + max(low, high))

    def _calls_before(self, wall: int) -> int:
        # Call i lies at floor(i * seconds / count), so it is before second x exactly when i < x * count / seconds.
        offset = min(max(wall - self.wall, 0), self.seconds)
        return -(-offset * self.count // self.seconds)


@lru_cache(maxsize=4096)
def day_slots(day: date, zone: ZoneInfo, calls: int, weights: Sequence[int]) -> tuple[Slot, ...]:
    """Cut a day of a zone into slots and spread its calls over them.

    Args:
        day: the date on the wall clock.
        zone: the account's zone.
        calls: how many calls the day has.
        weights: relative number of calls per wall-clock hour, 24 of them.
    """
    pieces = _constant_offset_pieces(day, zone)
    shares = [weights[wall // _HOUR % 24] * seconds for _, wall, seconds in pieces]
    edges = [calls * share // sum(shares) for share in accumulate(shares, initial=0)]
    return tuple(
        Slot(first, end - first, epoch, wall, seconds)
        for (epoch, wall, seconds), first, end in zip(pieces, edges, edges[1:], strict=False)
        if end > first
    )


def account_zone(name: str) -> ZoneInfo:
    """The zone of an account.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone must be an IANA zone such as Asia/Kolkata, not {name!r}") from None


def wall_seconds(moment: datetime) -> int:
    """A naive time as whole seconds since 1970-01-01 00:00:00 on the same wall clock, rounded down."""
    return (moment - _EPOCH) // timedelta(seconds=1)


def _constant_offset_pieces(day: date, zone: ZoneInfo) -> list[tuple[int, int, int]]:
    """(epoch, wall, seconds) of the stretches of a day, each inside one wall-clock hour and one offset."""
    midnight = datetime(day.year, day.month, day.day)
    start, end = (int((midnight + timedelta(days=after)).replace(tzinfo=zone).timestamp()) for after in (0, 1))
    pieces: list[tuple[int, int, int]] = []
    for epoch in range(start, end, _STEP):
        local = datetime.fromtimestamp(epoch, zone)
        wall = wall_seconds(local.replace(tzinfo=None))
        seconds = min(_STEP, end - epoch)
        if pieces:
            last_epoch, last_wall, last_seconds = pieces[-1]
            if last_wall + last_seconds == wall and wall % _HOUR:
                pieces[-1] = (last_epoch, last_wall, last_seconds + seconds)
                continue
        pieces.append((epoch, wall, seconds))
    return pieces
