"""Filters with names, types and checks, instead of a dict of the API's abbreviations.

``CallReportFilter`` is a dict: it goes wherever ``filters=`` goes, and holds exactly what is sent to the API.

==================  ===========  ========================================================  ==========================
argument            API key      what it takes                                             known from
==================  ===========  ========================================================  ==========================
``caller``          ``cNum``     the customer's number or numbers                          the vendor's page
``from_number``     ``frm``      number of the calling side                                the vendor's page
``to_number``       ``to``       number of the called side                                 the vendor's page
``mask``            ``mask``     id of a masked number, ``"mask_12345"`` or ``12345``      the vendor's page
``min_duration``    ``dur.gte``  seconds or a ``timedelta``, inclusive                     page; inner keys a guess
``max_duration``    ``dur.lte``  seconds or a ``timedelta``, inclusive                     page; inner keys a guess
``agents``          ``agent``    names                                                     a guess
``status``          ``status``   statuses as the report prints them                        a guess
``campaigns``       ``campaign`` names                                                     a guess
``call_type``       ``cType``    IBD, OBD, CTC, QC, BRD, POOL, MASK, FLASH                 webhook records
``fields``          as given     any further keys: custom call-analysis fields             the page says they exist
==================  ===========  ========================================================  ==========================

A guess is the name that the other keys make likely. The page speaks of these filters and does not name their keys; an
account that calls them otherwise is served with ``key_names={"agents": "agentName"}``. The API ignores a key that it
does not know, as far as anybody has seen: compare the result of a guessed filter once before you rely on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Never

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.api.filters import check_filter
from airflow_provider_callreport.privacy.phone_numbers import international
from airflow_provider_callreport.rules import one_of, seconds, shown
from airflow_provider_callreport.rules import unknown as unknown_name

#: Call types of the vendor's webhook records.
CALL_TYPES = ("IBD", "OBD", "CTC", "QC", "BRD", "POOL", "MASK", "FLASH")

#: Argument -> the API's key.
KEYS: dict[str, str] = {
    "caller": "cNum",
    "from_number": "frm",
    "to_number": "to",
    "mask": "mask",
    "agents": "agent",
    "status": "status",
    "campaigns": "campaign",
    "call_type": "cType",
}

_DURATION = "dur"
_ARGUMENTS = (*KEYS, "min_duration", "max_duration", "fields", "key_names", "normalise_numbers")
_MASK = re.compile(r"(mask_)?([A-Za-z0-9_-]+)")
_JINJA = ("{{", "{%", "{#")

Texts = str | Sequence[str] | None


class CallReportFilter(dict[str, Any]):
    """A filter of calls: ``filters=CallReportFilter(agents=["Asha Rao"], min_duration=timedelta(minutes=1))``.

    Templates may stand in any text, and are not judged. A list with one entry is sent as a text, because the vendor's
    samples show single values; several entries are sent as a list.

    Args:
        caller: the customer's number or numbers (``cNum``).
        from_number: number of the calling side (``frm``).
        to_number: number of the called side (``to``).
        mask: id or ids of masked numbers (``mask``), for ``report="masked_calls"``; ``12345`` becomes ``mask_12345``.
        min_duration: shortest call, seconds or a ``timedelta`` (``dur.gte``).
        max_duration: longest call, inclusive (``dur.lte``).
        agents: names of agents (``agent``).
        status: statuses, such as ``"Answered"`` (``status``).
        campaigns: names of campaigns (``campaign``).
        call_type: one or more of `CALL_TYPES` (``cType``).
        fields: further API keys and values, passed through untouched: custom call-analysis fields.
        key_names: argument -> API key, for accounts that name a key otherwise.
        normalise_numbers: write numbers as the API's records do, ``919876543210``: digits with the country code, and
            91 for an Indian national number. False sends them as they are.
        unknown: takes nothing; a wrong name is refused with the nearest right one.

    Raises:
        SettingsError: (a ``ValueError``) one sentence that names the argument, what it was and what is allowed.
    """

    def __init__(
        self,
        *,
        caller: Texts = None,
        from_number: Texts = None,
        to_number: Texts = None,
        mask: Texts = None,
        min_duration: float | timedelta | None = None,
        max_duration: float | timedelta | None = None,
        agents: Texts = None,
        status: Texts = None,
        campaigns: Texts = None,
        call_type: Texts = None,
        fields: Mapping[str, Any] | None = None,
        key_names: Mapping[str, str] | None = None,
        normalise_numbers: bool = True,
        **unknown: Never,
    ) -> None:
        for name in unknown:
            raise SettingsError(unknown_name("CallReportFilter", name, _ARGUMENTS))
        keys = {**KEYS, **_key_names(key_names)}
        given: dict[str, Any] = {}
        for name, value in (("caller", caller), ("from_number", from_number), ("to_number", to_number)):
            given[keys[name]] = _one_or_more(
                [_number(name, text) if normalise_numbers else text for text in _texts(name, value)]
            )
        given[keys["mask"]] = _one_or_more([_mask(text) for text in _texts("mask", mask)])
        for name, value in (("agents", agents), ("status", status), ("campaigns", campaigns)):
            given[keys[name]] = _one_or_more(_texts(name, value))
        given[keys["call_type"]] = _one_or_more([_call_type(text) for text in _texts("call_type", call_type)])
        given[keys.get("duration", _DURATION)] = _duration(min_duration, max_duration)
        chosen = {key: value for key, value in given.items() if value is not None}
        for key, value in _fields(fields).items():
            if key in chosen:
                raise SettingsError(f"fields has {key}, which another argument sets already; use one of the two")
            chosen[key] = value
        super().__init__(chosen)


def _texts(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Iterable) or isinstance(items, (bytes, Mapping)):
        # Also because a number loses its leading zeros.
        raise SettingsError(f"{name} is of type {type(value).__name__}; allowed is text, or a list of texts")
    texts = list(items)
    if not texts:
        # An empty list asks for nothing, and the API would answer everything.
        raise SettingsError(f"{name} is an empty list, which would filter nothing; leave it out, or name at least one")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            kind = "an empty text" if isinstance(text, str) else f"an entry of type {type(text).__name__}"
            raise SettingsError(f"{name} has {kind}; allowed is text that is not empty")
    return [text.strip() for text in texts]


def _one_or_more(texts: list[str]) -> str | list[str] | None:
    return (texts[0] if len(texts) == 1 else texts) if texts else None


def _number(name: str, text: str) -> str:
    if _is_template(text):
        return text
    digits = international(text)
    if digits is None:
        # Not the text itself: it may be a number with a slip in it.
        raise SettingsError(
            f"{name} has a text of {len(text)} characters that is no phone number; allowed are 8 to 15 digits with a "
            "country code, or an Indian number of ten, such as +91 98765 43210; normalise_numbers=False sends any text"
        )
    return digits


def _mask(text: str) -> str:
    if _is_template(text):
        return text
    match = _MASK.fullmatch(text)
    if match is None:
        raise SettingsError(f"mask is {text!r}; allowed is the id of a masked number, such as mask_12345")
    return f"mask_{match[2]}"


def _call_type(text: str) -> str:
    if _is_template(text):
        return text
    one_of(CALL_TYPES)("call_type", text.upper(), SettingsError)
    return text.upper()


def _duration(least: Any, most: Any) -> dict[str, float] | None:
    low, high = _seconds("min_duration", least), _seconds("max_duration", most)
    if low is None and high is None:
        return None
    if low is not None and high is not None and low > high:
        raise SettingsError(f"min_duration is {low} s and max_duration is {high} s; min_duration must not be larger")
    return {key: value for key, value in (("gte", low), ("lte", high)) if value is not None}


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    seconds(0, timedeltas=True)(name, value, SettingsError)
    number: float = value.total_seconds() if isinstance(value, timedelta) else value
    return int(number) if float(number).is_integer() else number


def _fields(fields: Any) -> dict[str, Any]:
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise SettingsError(f"fields is of type {type(fields).__name__}; allowed is an object of API keys and values")
    for key, value in fields.items():
        if not isinstance(key, str) or not key.strip():
            raise SettingsError(f"fields has the key {key!r}; allowed is text that is not empty")
        check_filter("fields", key, value)
    return dict(fields)


def _key_names(names: Any) -> dict[str, str]:
    if names is None:
        return {}
    allowed = (*KEYS, "duration")
    if not isinstance(names, Mapping) or not all(isinstance(key, str) and key for key in names.values()):
        raise SettingsError(
            f"key_names is {shown(names)}; allowed is an object of argument to API key, such as "
            '{"agents": "agentName"}'
        )
    for name in names:
        if name not in allowed:
            raise SettingsError(unknown_name("key_names", name, allowed, "filter"))
    return dict(names)


def _is_template(text: str) -> bool:
    return any(mark in text for mark in _JINJA)
