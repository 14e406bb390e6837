"""A window and filters become the ``filter`` object of a request.

The API's times are naive and inclusive (``dtGte``, ``dtLte``); ours are aware and half open. `Window` is the bridge.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import SettingsError, WindowError, scrub

log = logging.getLogger(__name__)

#: Report name -> endpoint name.
REPORTS: dict[str, str] = {"calls": "list", "masked_calls": "masklist"}

#: Report name -> human title.
TITLES: dict[str, str] = {"calls": "Calls", "masked_calls": "Masked calls"}

#: Filter keys whose values are phone numbers; they are masked in logs and rendered templates.
NUMBER_FILTERS = frozenset({"cNum", "frm", "to"})

#: Filter keys that belong to the window.
WINDOW_FILTERS = ("dtGte", "dtLte")

#: All filter keys that the vendor documents (https://deepcall.com, Mask List API).
DOCUMENTED_FILTERS = (*WINDOW_FILTERS, "cNum", "frm", "to", "mask", "dur")

_API_TIME = "%Y-%m-%d %H:%M:%S"
_SECOND = timedelta(seconds=1)
_ABOUT_WINDOW = dict.fromkeys(WINDOW_FILTERS, ", which belongs to the window; set window_start and window_end instead")


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
            raise WindowError(empty_window(self.start, self.end))

    @property
    def local_start(self) -> datetime:
        """``start`` in the account's zone, aware."""
        return self.start.astimezone(self.zone)

    @property
    def local_end(self) -> datetime:
        """``end`` in the account's zone, aware."""
        return self.end.astimezone(self.zone)

    @property
    def span(self) -> str:
        """``from START to END`` in the account's zone, for messages."""
        return f"from {self.local_start.isoformat()} to {self.local_end.isoformat()}"

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


def empty_window(start: datetime, end: datetime, names: tuple[str, str] = ("window_start", "window_end")) -> str:
    """The sentence for a window that ends where it starts, or earlier.

    Args:
        start: where it starts.
        end: where it ends.
        names: the arguments that the two are the values of.
    """
    first, last = names
    if start == end:
        return f"both ends are equal: {first} and {last} are {start.isoformat()}, an empty window; set a later {last}"
    return f"{first} is {start.isoformat()} and {last} is {end.isoformat()}, which is earlier; set a later {last}"


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
        SettingsError: it is no mapping of text keys, sets ``dtGte`` or ``dtLte``, spells a documented key otherwise, or
            holds what JSON cannot.
    """
    if not isinstance(filters, Mapping) or not all(isinstance(key, str) for key in filters):
        raise SettingsError(
            f"filters is of type {type(filters).__name__}; allowed is an object of text keys, such as "
            '{"cNum": "919876543210"}'
        )
    for key, value in filters.items():
        check_filter("filters", key, value)
    return filters


def check_filter(argument: str, key: str, value: Any) -> None:
    """Refuse one filter that cannot be meant.

    The API answers an unknown key with every call of the window, as far as anybody has seen. So a key that is a
    documented one but for its case or one letter is refused; see `undocumented_filters` for the others.

    Args:
        argument: where the key stands, for the message.
        key: the API's key.
        value: what is filtered for.

    Raises:
        SettingsError: the key belongs to the window or is misspelt, or JSON cannot hold the value.
    """
    if key not in DOCUMENTED_FILTERS and (right := _meant(key)) is not None:
        raise SettingsError(f"{argument} has {key}; the API's name is {right}{_ABOUT_WINDOW.get(right, '')}")
    if key in WINDOW_FILTERS:
        raise SettingsError(f"{argument} has {key}{_ABOUT_WINDOW[key]}")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise SettingsError(
            f"{argument} has {key} of type {type(value).__name__}, which JSON cannot hold; "
            "allowed are text, numbers, true and false, lists and objects"
        ) from None


def undocumented_filters(filters: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that the vendor does not document, in order; fit for a log. The API may take no notice of them."""
    return tuple(scrub(key) for key in sorted(filters) if key not in DOCUMENTED_FILTERS)


def warn_of_undocumented(filters: Mapping[str, Any]) -> None:
    """Name the keys that the vendor does not document in the log."""
    if names := undocumented_filters(filters):
        log.warning(
            "filters has %s, not documented by the vendor; the API may take no notice of it, so look once whether the "
            "calls that come are the ones you asked for",
            ", ".join(names),
        )


def filter_lines(filters: Mapping[str, Any]) -> tuple[str, ...]:
    """Each filter as ``key: value`` for a cover or a mail; phone numbers only by their last two digits.

    A key that the vendor does not document is marked ``(not documented)``.
    """
    return tuple(
        f"{scrub(key)}: {_value_shown(key, value)}{'' if key in DOCUMENTED_FILTERS else ' (not documented)'}"
        for key, value in sorted(filters.items())
        if value not in (None, {}, [])
    )


def _value_shown(key: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_value_shown(key, item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{scrub(str(name))} {_value_shown(key, item)}" for name, item in sorted(value.items()))
    text = str(value)
    digits = [character for character in text if character.isdigit()]
    if key in NUMBER_FILTERS or len(digits) >= 7:
        return f"number ending in {''.join(digits[-2:])}" if digits else "a number"
    return text


def _meant(key: str) -> str | None:
    """The documented key that this one is, but for its case or one letter; None where there is none."""
    # The one of which only the case differs stands before others: dtGte and dtLte differ by one letter.
    near = [right for right in DOCUMENTED_FILTERS if _differs_by_a_letter(key.casefold(), right.casefold())]
    return next((right for right in near if right.casefold() == key.casefold()), near[0] if near else None)


def _differs_by_a_letter(one: str, other: str) -> bool:
    """Whether two texts are equal but for one letter that is another, missing, too many, or swapped with the next."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    return (
        one[1:] == other[1:] or one[1:] == other or one == other[1:] or (one[1::-1], one[2:]) == (other[:2], other[2:])
    )


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
