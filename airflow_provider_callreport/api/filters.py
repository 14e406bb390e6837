"""A window and filters become the ``filter`` object of a request.

The API's times are naive and inclusive (``dtGte``, ``dtLte``); ours are aware and half open. `Window` is the bridge.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import SettingsError, WindowError

#: Report name -> endpoint name.
REPORTS: dict[str, str] = {"calls": "list", "masked_calls": "masklist"}

#: Report name -> human title.
TITLES: dict[str, str] = {"calls": "Calls", "masked_calls": "Masked calls"}

#: Filter keys whose values are phone numbers; they are masked in logs and rendered templates.
NUMBER_FILTERS = frozenset({"cNum", "frm", "to"})

_API_TIME = "%Y-%m-%d %H:%M:%S"
_WINDOW_KEYS = ("dtGte", "dtLte")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, ``[start, end)``, and the zone of the account it is asked in.

    The API's times have no offset, so in the hour that clocks repeat in autumn two instants have one name. So that
    adjacent windows still partition the calls - each in exactly one - an instant is translated to the earliest wall
    time that clocks show from then on. The calls of the repeated hour all belong to its second pass, when all of them
    have happened, and a window that lies wholly in the first pass is empty. Fractions of a second are rounded up at
    both ends, which is exact for the API's whole seconds.

    Attributes:
        start, end: aware instants, ``start < end``.
        zone: the account's zone.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo

    def __post_init__(self) -> None:
        for name, value in (("window_start", self.start), ("window_end", self.end)):
            if value.tzinfo is None:
                raise WindowError(f"{name} is {value.isoformat()}, which has no time zone; add one, such as +00:00")
        if self.start >= self.end:
            raise WindowError(
                f"the window from {self.start.isoformat()} to {self.end.isoformat()} is empty; "
                "set window_start and window_end so that window_start is earlier"
            )

    @property
    def local_start(self) -> datetime:
        """``start`` in the account's zone, aware."""
        return self.start.astimezone(self.zone)

    @property
    def local_end(self) -> datetime:
        """``end`` in the account's zone, aware."""
        return self.end.astimezone(self.zone)

    def wall_times(self) -> tuple[datetime, datetime] | None:
        """The naive span ``[first, last)`` in the account's zone, or None when no wall time belongs to this window."""
        first, last = _next_wall_time(self.start, self.zone), _next_wall_time(self.end, self.zone)
        return (first, last) if first < last else None

    def api_filter(self) -> dict[str, str] | None:
        """``dtGte`` and ``dtLte``, both inclusive, or None when no wall time belongs to this window."""
        span = self.wall_times()
        if span is None:
            return None
        first, last = span
        return {"dtGte": first.strftime(_API_TIME), "dtLte": (last - _SECOND).strftime(_API_TIME)}


def parse_time(value: Any, argument: str, zone: ZoneInfo) -> datetime:
    """An instant from what a user or a template gives: a datetime, or ISO 8601 text.

    A time without an offset is taken to be in ``zone``, the account's zone, since that is how the API prints them.

    Raises:
        WindowError: it is missing or cannot be read.
    """
    if isinstance(value, datetime):
        moment = value
    else:
        text = "" if value is None else str(value).strip()
        if not text or text == "None":
            raise WindowError(
                f"{argument} is empty: this run has no data interval (it was started by hand or by an asset); "
                "set window_start and window_end"
            )
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise WindowError(
                f"{argument} is {text!r}, which is no time; allowed is ISO 8601, such as 2026-01-31T00:00:00+05:30"
            ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def build_filter(filters: Mapping[str, Any], window: Window) -> dict[str, Any] | None:
    """The ``filter`` object: the user's keys untouched, plus the window. None when the window holds no wall time.

    Raises:
        SettingsError: ``filters`` sets the window's own keys.
    """
    times = window.api_filter()
    return None if times is None else {**check_filters(filters), **times}


def check_filters(filters: Any) -> Mapping[str, Any]:
    """``filters`` as given, if it is an object that leaves the window alone.

    Raises:
        SettingsError: it is no mapping of text keys, sets ``dtGte`` or ``dtLte``, or holds what JSON cannot.
    """
    if not isinstance(filters, Mapping) or not all(isinstance(key, str) for key in filters):
        raise SettingsError(
            f'filters must be an object such as {{"cNum": "919876543210"}}, not {type(filters).__name__}'
        )
    for key in _WINDOW_KEYS:
        if key in filters:
            raise SettingsError(
                f"filters has {key}, which belongs to the window; set window_start and window_end instead"
            )
    for key, value in filters.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise SettingsError(
                f"filters has {key} of type {type(value).__name__}, which JSON cannot hold; "
                "allowed are text, numbers, true and false, lists and objects"
            ) from None
    return filters


def duration_filter(
    at_least: float | timedelta | None = None, at_most: float | timedelta | None = None
) -> dict[str, Any]:
    """A filter on the call's duration: ``filters={**duration_filter(at_least=60), ...}``.

    The vendor's samples show ``dur`` as an empty object and do not name its keys; ``gte`` and ``lte`` are our reading
    of the API's own ``dtGte`` and ``dtLte``. Check one answer of your account before you rely on it.

    Args:
        at_least: seconds or a timedelta, inclusive, or None.
        at_most: seconds or a timedelta, inclusive, or None.

    Raises:
        SettingsError: neither is given, one is negative, or they contradict each other.
    """
    low, high = _seconds("at_least", at_least), _seconds("at_most", at_most)
    if low is None and high is None:
        raise SettingsError("duration_filter needs at_least, at_most or both, in seconds")
    if low is not None and high is not None and low > high:
        raise SettingsError(f"duration_filter has at_least={low} above at_most={high}; at_least must not be larger")
    return {"dur": {key: value for key, value in (("gte", low), ("lte", high)) if value is not None}}


def number_filter(
    caller: str | None = None, from_number: str | None = None, to_number: str | None = None, mask: str | None = None
) -> dict[str, str]:
    """A filter on phone numbers: ``filters={**number_filter(caller="919876543210")}``.

    Args:
        caller: the customer's number (``cNum``).
        from_number: the calling side (``frm``).
        to_number: the called side (``to``).
        mask: id of a masked number, such as ``"mask_12345"`` (``mask``).

    Raises:
        SettingsError: none is given, or one is not text (a number loses its leading zeros).
    """
    given = {"cNum": caller, "frm": from_number, "to": to_number, "mask": mask}
    names = {"cNum": "caller", "frm": "from_number", "to": "to_number", "mask": "mask"}
    for key, value in given.items():
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise SettingsError(
                f"number_filter has {names[key]} of type {type(value).__name__}; allowed is text with digits"
            )
    chosen = {key: value.strip() for key, value in given.items() if value is not None}
    if not chosen:
        raise SettingsError("number_filter needs caller, from_number, to_number or mask")
    return chosen


def filters_in_words(filters: Mapping[str, Any]) -> tuple[str, ...]:
    """Each filter as ``key: value`` for a cover or a mail; phone numbers only by their last two digits."""
    return tuple(
        f"{key}: {_in_words(key, value)}" for key, value in sorted(filters.items()) if value not in (None, {}, [])
    )


def _in_words(key: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_in_words(key, item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(key, item)}" for name, item in sorted(value.items()))
    text = str(value)
    digits = [character for character in text if character.isdigit()]
    if key in NUMBER_FILTERS or len(digits) >= 7:
        return f"number ending in {''.join(digits[-2:])}" if digits else "a number"
    return text


def _seconds(argument: str, value: float | timedelta | None) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise SettingsError(
            f"duration_filter has {argument}={value!r}; allowed are seconds of at least 0, or a timedelta"
        )
    return int(seconds) if float(seconds).is_integer() else seconds


def _next_wall_time(moment: datetime, zone: ZoneInfo) -> datetime:
    """The earliest naive wall time that clocks of ``zone`` show at ``moment`` or later, rounded up to whole seconds."""
    utc = moment.astimezone(UTC)
    if utc.microsecond:
        utc = utc.replace(microsecond=0) + _SECOND
    local = utc.astimezone(zone)
    before, after = _offset(local.replace(fold=0)), _offset(local.replace(fold=1))
    if local.fold or before <= after:
        return local.replace(tzinfo=None, fold=0)
    # First pass of a repeated hour: clocks will go back to the first of these wall times at the change, which lies
    # ahead by at most the length of the repetition. Bisect for it.
    early, late = utc, utc + (before - after)
    while late - early > _SECOND:
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if _offset(middle.astimezone(zone)) == after:
            late = middle
        else:
            early = middle
    return (late + after).replace(tzinfo=None)


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    assert offset is not None  # every caller passes an aware datetime
    return offset
