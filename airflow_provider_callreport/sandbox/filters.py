"""The ``filter`` object of a request: which calls match it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_callreport.sandbox.call import Call

#: The filter keys that the vendor documents, and the three that its introduction speaks of without naming them.
KNOWN_KEYS = frozenset({"dtGte", "dtLte", "cNum", "frm", "to", "mask", "dur", "agent", "status", "campaign"})

#: Beyond this many trailing digits two spellings of a number (``+91...``, ``0091...``, ``0...``) mean the same phone.
_SIGNIFICANT_DIGITS = 10

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)

_DURATION_KEYS = frozenset({"gte", "lte", "gt", "lt"})


class FilterError(ValueError):
    """The filter cannot be understood; the message is one sentence for the vendor error 1000."""


@dataclass(frozen=True, slots=True)
class CallFilter:
    """A parsed filter. None, or an empty set, matches every call.

    Attributes:
        start, end: first and last second, naive, in the account's zone, both inclusive.
        numbers: the customer's number (``cNum``), as digits.
        frm, to: caller's number and called number (``Caller Number`` and ``DID Number``), as digits.
        masks, agents, statuses, campaigns: exact names.
        least, most: bounds of the call duration in seconds, inclusive.
    """

    start: datetime | None = None
    end: datetime | None = None
    numbers: frozenset[str] = frozenset()
    frm: frozenset[str] = frozenset()
    to: frozenset[str] = frozenset()
    masks: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    campaigns: frozenset[str] = frozenset()
    least: float | None = None
    most: float | None = None

    @property
    def only_time(self) -> bool:
        """Whether nothing but the time bounds is asked for."""
        return self == CallFilter(self.start, self.end)

    def matches(self, call: Call) -> bool:
        """Whether this call matches."""
        time = call.time.replace(fold=0)
        return (
            (self.start is None or time >= self.start)
            and (self.end is None or time <= self.end)
            and self.matches_customer(call.number, call.mask)
            and self.matches_profile(call)
        )

    def matches_customer(self, number: str, mask: str) -> bool:
        """Whether a customer with this number and mask id matches."""
        digits = significant_digits(number)
        return (
            (not self.numbers or digits in self.numbers)
            and (not self.frm or digits in self.frm)
            and (not self.masks or mask in self.masks)
        )

    def matches_profile(self, call: Call) -> bool:
        """Whether everything of this call but time, number and mask id matches."""
        return (
            (not self.to or significant_digits(call.did) in self.to)
            and (not self.agents or not self.agents.isdisjoint(call.agents.split(", ")))
            and (not self.statuses or call.status in self.statuses)
            and (not self.campaigns or call.campaign in self.campaigns)
            and (self.least is None or call.call_duration >= self.least)
            and (self.most is None or call.call_duration <= self.most)
        )


def parse_filter(raw: object, *, reject_unknown: bool = False) -> CallFilter:
    """Read the ``filter`` of a request body.

    Empty values (``""``, ``[]``, ``{}``, null) ask for nothing, as in the vendor's samples (``"dur": {}``).

    Args:
        raw: the decoded JSON value, or None when the body has no filter.
        reject_unknown: refuse keys that are not known instead of ignoring them.

    Raises:
        FilterError: the filter is not an object, or a value in it cannot be read.
    """
    if raw is None:
        return CallFilter()
    if not isinstance(raw, Mapping):
        raise FilterError(f"filter must be an object, not {type(raw).__name__}")
    unknown = sorted(set(raw) - KNOWN_KEYS)
    if unknown and reject_unknown:
        raise FilterError(f"unknown filter {unknown[0]!r}; known are {', '.join(sorted(KNOWN_KEYS))}")
    least, most = _duration_bounds(raw.get("dur"))
    return CallFilter(
        start=_parse_time("dtGte", raw.get("dtGte")),
        end=_parse_time("dtLte", raw.get("dtLte")),
        numbers=frozenset(map(significant_digits, _texts("cNum", raw.get("cNum")))),
        frm=frozenset(map(significant_digits, _texts("frm", raw.get("frm")))),
        to=frozenset(map(significant_digits, _texts("to", raw.get("to")))),
        masks=_texts("mask", raw.get("mask")),
        agents=_texts("agent", raw.get("agent")),
        statuses=_texts("status", raw.get("status")),
        campaigns=_texts("campaign", raw.get("campaign")),
        least=least,
        most=most,
    )


def significant_digits(number: str) -> str:
    """The digits of a phone number that tell it from others, whatever its prefix."""
    return "".join(filter(str.isdigit, number))[-_SIGNIFICANT_DIGITS:]


def _parse_time(key: str, raw: object) -> datetime | None:
    if raw in (None, ""):
        return None
    try:
        if _TIME.fullmatch(str(raw)):
            return datetime.fromisoformat(str(raw))
    except ValueError:  # such as the 30th of February
        pass
    raise FilterError(f"{key} must be YYYY-MM-DD HH:MM:SS")


def _texts(key: str, raw: object) -> frozenset[str]:
    if raw in (None, ""):
        return frozenset()
    values = raw if isinstance(raw, list) else [raw]
    if not all(isinstance(value, str | int) for value in values):
        raise FilterError(f"{key} must be a text or a list of texts")
    return frozenset(map(str, values))


def _duration_bounds(raw: Any) -> tuple[float | None, float | None]:
    if not raw:
        return None, None
    if not isinstance(raw, Mapping) or not _DURATION_KEYS.issuperset(raw):
        raise FilterError("dur must be an object with gte, lte, gt or lt in seconds")
    try:
        bounds = {key: float(value) for key, value in raw.items()}
    except (TypeError, ValueError):
        raise FilterError("dur must hold numbers of seconds") from None
    # Durations are whole seconds, so "more than 5" is "at least 5.5".
    least = [bounds[key] + margin for key, margin in (("gte", 0), ("gt", 0.5)) if key in bounds]
    most = [bounds[key] - margin for key, margin in (("lte", 0), ("lt", 0.5)) if key in bounds]
    return max(least, default=None), min(most, default=None)
