"""Any number of calls, none of them in memory: the k-th call of a day is a function of seed, day and k."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate, chain
from typing import Any

from airflow_provider_callreport.sandbox.calendar import Slot, account_zone, day_slots, wall_seconds
from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.profiles import (
    ANSWERED_PROFILES,
    CUSTOMERS,
    HOURLY_WEIGHTS,
    MISSED_PROFILES,
    call_profiles,
    customers,
    missed_below,
    profile_of,
    scatter,
)
from airflow_provider_callreport.sandbox.rows import NUMBERS, RowShape, row_template
from airflow_provider_callreport.sandbox.source import SERIAL_BASE, Selection

_MASK_64 = (1 << 64) - 1
#: An odd factor, so that the product can be undone modulo 2^64.
_SCATTER = 0x9E3779B97F4A7C15
_UNSCATTER = pow(_SCATTER, -1, 1 << 64)
_DAY = 86400

#: A filter on anything but the time needs one look at every call of the window, so the last answers are kept.
_KEPT_SELECTIONS = 64

#: Text with holes, picker of what fills them, JSON of the customers' numbers, whether a recording is shown.
_Template = tuple[str, Callable[[Sequence[object]], Any], Sequence[str], bool]


class SyntheticCalls:
    """The same number of calls on every day of a span, made up but plausible, and the same for the same arguments.

    Calls are told apart by a number that counts them through the whole span (their ordinal); all of memory that a
    selection takes is the ordinals at which its stretches begin and end, or, with filters beyond the time, an array
    of eight bytes a matching call.

    Args:
        per_day: calls a day.
        seed: other seed, other calls.
        timezone: IANA zone of the account, whose wall clock the calls' times are on.
        masked: calls over masked numbers, as ``masklist`` shows them: with mask ids.
        first_day, last_day: the span, both inclusive. Outside it there are no calls.
        hourly_weights: relative number of calls that begin in each of the 24 hours of a day.

    Raises:
        ValueError: ``per_day`` is negative, the zone is unknown, the span is empty, or there are not 24 weights with a
            positive sum.
    """

    def __init__(
        self,
        per_day: int = 2000,
        *,
        seed: int = 1,
        timezone: str = "Asia/Kolkata",
        masked: bool = False,
        first_day: date = date(2024, 1, 1),
        last_day: date = date(2030, 12, 31),
        hourly_weights: Sequence[int] = HOURLY_WEIGHTS,
    ) -> None:
        if per_day < 0:
            raise ValueError(f"per_day must be 0 or more, not {per_day}")
        if last_day < first_day:
            raise ValueError(f"last_day {last_day} must not be before first_day {first_day}")
        if len(hourly_weights) != 24 or min(hourly_weights) < 0 or not sum(hourly_weights):
            raise ValueError("hourly_weights must be 24 numbers, none negative and not all 0")
        self.per_day = per_day
        self.zone = account_zone(timezone)
        self.first_day = first_day
        self.days = (last_day - first_day).days + 1
        self.profiles = call_profiles(seed, masked)
        self.customers = customers(seed, masked)
        self._weights = tuple(hourly_weights)
        self._base = scatter((seed << 1) + masked)
        self._templates = lru_cache(maxsize=8)(self._make_templates)
        self._selection = lru_cache(maxsize=_KEPT_SELECTIONS)(self._make_selection)

    def select(self, wanted: CallFilter) -> Selection:
        """The calls that match a filter. A window alone is computed; other filters take one scan of the window."""
        return self._selection(wanted)

    def recording(self, call_id: str) -> str | None:
        """The recording of the call with this id; the id's bits are undone to find it."""
        try:
            bits = int(call_id[11:], 16)
        except ValueError:
            return None
        ordinal = (_fold(bits) * _UNSCATTER - self._base) % (1 << 64)
        if ordinal >= self.days * self.per_day:
            return None
        day = datetime.fromtimestamp(self.epoch(ordinal), self.zone)
        if call_id != f"{day:%Y%m%d}cal{bits:016x}":
            return None
        if not self.profiles[profile_of(bits, missed_below(day.hour))].recording:
            return ""
        return f"{bits:016x}*mp3*sandbox*{day:%Y*%m*%d}*{call_id}.mp3"

    def bits(self, ordinal: int) -> int:
        """The 64 bits that decide everything about a call but its time; no two calls of a source have the same."""
        return _fold((self._base + ordinal) * _SCATTER & _MASK_64)

    def epoch(self, ordinal: int) -> int:
        """When a call began, as seconds since 1970 UTC."""
        day, index = divmod(ordinal, self.per_day)
        slot = self._slot(day, index)
        return slot.epoch + slot.second(index)

    def encode(self, first: int, stop: int, shape: RowShape) -> Iterator[str]:
        """The JSON of the rows of a stretch of ordinals."""
        while first < stop:
            day, index = divmod(first, self.per_day)
            slot = self._slot(day, index)
            day_start = day * self.per_day
            slot_stop = min(stop, day_start + slot.first + slot.count)
            yield from self._encode_slot(first, slot_stop, day_start, slot, shape)
            first = slot_stop

    def _encode_slot(self, first: int, stop: int, day_start: int, slot: Slot, shape: RowShape) -> Iterator[str]:
        # The innermost loop of the sandbox, 100,000 times in a benchmark; `bits` and `profile_of` are written out for
        # that reason.
        templates, clocks, base = self._templates(shape), _clocks(), self._base
        midnight = slot.wall - slot.wall % _DAY
        day = datetime(1970, 1, 1) + timedelta(seconds=midnight)
        date_text, dmy_text, stars, prefix = f"{day:%Y-%m-%d}", f"{day:%d-%m-%Y}", f"{day:%Y*%m*%d}", f"{day:%Y%m%d}cal"
        offset = _offset_text(slot.wall - slot.epoch)
        slot_first, seconds, count = day_start + slot.first, slot.seconds, slot.count
        epoch_start, second_start = slot.epoch, slot.wall - midnight
        missed = missed_below(slot.hour)
        for ordinal in range(first, stop):
            bits = (base + ordinal) * _SCATTER & _MASK_64
            bits ^= bits >> 32
            past = (ordinal - slot_first) * seconds // count
            place = bits % ANSWERED_PROFILES
            if place < missed:
                place = ANSWERED_PROFILES + (bits >> 24) % MISSED_PROFILES
            text, moving, numbers, has_recording = templates[place]
            token = f"{bits:016x}"
            call_id = prefix + token
            yield text % moving(
                (
                    numbers[(bits >> 10) % CUSTOMERS],
                    epoch_start + past,
                    date_text,
                    dmy_text,
                    clocks[second_start + past],
                    offset,
                    f"{token}*mp3*sandbox*{stars}*{call_id}.mp3" if has_recording else "",
                    call_id,
                    SERIAL_BASE + ordinal,
                )
            )

    def _slot(self, day: int, index: int) -> Slot:
        slots = self._slots(day)
        return slots[bisect_right(slots, index, key=lambda slot: slot.first) - 1]

    def _slots(self, day: int) -> tuple[Slot, ...]:
        return day_slots(self.first_day + timedelta(days=day), self.zone, self.per_day, self._weights)

    def _stretches(self, start: datetime | None, end: datetime | None) -> list[range]:
        """The ordinals of a wall-clock window, both ends inclusive, as stretches in rising order."""
        first = max((start.date() - self.first_day).days, 0) if start else 0
        last = min((end.date() - self.first_day).days, self.days - 1) if end else self.days - 1
        low = wall_seconds(start) if start else None
        high = wall_seconds(end) if end else None
        stretches: list[range] = []
        for day in sorted({first, last}) if first <= last and self.per_day else ():
            for slot in self._slots(day):
                inside = slot.indices(low, high)
                _append(stretches, range(day * self.per_day + inside.start, day * self.per_day + inside.stop))
            if day == first < last:  # the days in between are whole
                _append(stretches, range((first + 1) * self.per_day, last * self.per_day))
        return stretches

    def _make_selection(self, wanted: CallFilter) -> Selection:
        if wanted.only_time:
            return _StretchSelection(self, self._stretches(wanted.start, wanted.end))
        profiles = bytes(map(wanted.matches_profile, self.profiles))
        people = bytes(wanted.matches_customer(number, mask) for number, mask in self.customers)
        matching = array("q")
        for stretch in self._stretches(wanted.start, wanted.end):
            for ordinal in stretch:
                bits = self.bits(ordinal)
                if not people[(bits >> 10) % CUSTOMERS]:
                    continue
                # The hour decides between two profiles; it costs more than a look at both.
                if profiles[profile_of(bits, 0)] or profiles[profile_of(bits, ANSWERED_PROFILES)]:
                    slot = self._slot(*divmod(ordinal, self.per_day))
                    if profiles[profile_of(bits, missed_below(slot.hour))]:
                        matching.append(ordinal)
        return _ScanSelection(self, matching)

    def _make_templates(self, shape: RowShape) -> list[_Template]:
        templates = [row_template(shape, call, variant) for variant, call in enumerate(self.profiles)]
        numbers = {
            name: [NUMBERS[name](number, mask) for number, mask in self.customers]
            for name in {template.number for template in templates}
        }
        return [
            (template.text, template.moving, numbers[template.number], template.has_recording) for template in templates
        ]


class _StretchSelection:
    """Stretches of ordinals."""

    def __init__(self, source: SyntheticCalls, stretches: Sequence[range]) -> None:
        self._source = source
        self._stretches = stretches
        self._ends = list(accumulate(map(len, stretches)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def encode(self, start: int, stop: int, shape: RowShape) -> list[str]:
        stop = min(stop, len(self))
        rows: list[str] = []
        while start < stop:
            place, before = self._find(start)
            stretch = self._stretches[place]
            here = min(stop, self._ends[place])
            rows += self._source.encode(stretch[start - before], stretch[here - before - 1] + 1, shape)
            start = here
        return rows

    def cursor(self, position: int) -> tuple[int, int]:
        place, before = self._find(position)
        return _cursor(self._source, self._stretches[place][position - before])

    def rank(self, milliseconds: int | None, serial: int, *, inclusive: bool) -> int:
        ordinal = serial - SERIAL_BASE + inclusive
        return sum(min(max(ordinal - stretch.start, 0), len(stretch)) for stretch in self._stretches)

    def _find(self, position: int) -> tuple[int, int]:
        """The stretch that holds a position, and how many calls lie in those before it."""
        place = bisect_right(self._ends, position)
        return place, self._ends[place - 1] if place else 0


class _ScanSelection:
    """Single ordinals, in rising order."""

    def __init__(self, source: SyntheticCalls, ordinals: array[int]) -> None:
        self._source = source
        self._ordinals = ordinals

    def __len__(self) -> int:
        return len(self._ordinals)

    def encode(self, start: int, stop: int, shape: RowShape) -> list[str]:
        encode = self._source.encode
        return list(chain.from_iterable(encode(one, one + 1, shape) for one in self._ordinals[start:stop]))

    def cursor(self, position: int) -> tuple[int, int]:
        return _cursor(self._source, self._ordinals[position])

    def rank(self, milliseconds: int | None, serial: int, *, inclusive: bool) -> int:
        return bisect_left(self._ordinals, serial - SERIAL_BASE + inclusive)


def _cursor(source: SyntheticCalls, ordinal: int) -> tuple[int, int]:
    return source.epoch(ordinal) * 1000, SERIAL_BASE + ordinal


def _append(stretches: list[range], stretch: range) -> None:
    """Add a stretch, joined to the last one where the two touch."""
    if not stretch:
        return
    if stretches and stretches[-1].stop == stretch.start:
        stretches[-1] = range(stretches[-1].start, stretch.stop)
    else:
        stretches.append(stretch)


def _fold(bits: int) -> int:
    """Mix the high half of 64 bits into the low half; undone by doing it again."""
    return bits ^ (bits >> 32)


@cache
def _clocks() -> list[str]:
    """``HH:MM:SS`` of every second of a day."""
    return [f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(_DAY)]


def _offset_text(seconds: int) -> str:
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
