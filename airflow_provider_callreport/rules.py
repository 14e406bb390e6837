"""What arguments may be: closed sets as types, rules of single values, and the one sentence that refuses a value.

A closed set is a ``Literal`` type, so that an editor completes it; `choices` makes the values of it that are compared
when the code runs. Every refusal reads ``name is value; allowed ...``, and names the nearest allowed value where there
is one.

Imported while a Dag is parsed, so nothing heavy is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

Report = Literal["calls", "masked_calls"]
FileFormat = Literal["csv", "xlsx", "jsonl", "parquet", "pdf"]
RedactMode = Literal["last4", "drop", "hmac"]
IfExists = Literal["replace", "fail", "skip"]
OnOversize = Literal["link", "fail"]
OnRefused = Literal["fail", "warn"]
Empty = Literal["write", "skip", "fail"]
OnIncomplete = Literal["fail", "warn"]
OnNewColumns = Literal["add", "ignore", "fail"]
ColumnNames = Literal["as_is", "snake_case"]
#: Of a recording that is at its key already.
RecordingIfExists = Literal["skip", "replace"]
#: Of a manifest of exports: one of another run that stays would not be of these exports.
ManifestIfExists = Literal["replace", "fail"]
#: Of the manifest of recordings.
ManifestFormat = Literal["jsonl", "csv"]
CountBy = Literal["auto", "count", "read"]
#: Windows of the event trigger.
WindowSize = Literal["hour", "day"]

#: A refused value is shown by no more characters than this.
_SHOWN = 120

#: Fewer letters and one more are the beginning of a name.
_BEGINNING = 3

#: The longest abbreviation of a time zone, such as IST.
_ABBREVIATION = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """What one value may be.

    Attributes:
        allowed: the end of the sentence that refuses a value, from the verb on: ``"is a whole number of at least 1"``.
        accepts: whether a value is allowed.
        choices: the values of a closed set, else empty.
    """

    allowed: str
    accepts: Callable[[Any], bool]
    choices: tuple[str, ...] = ()

    def __call__(self, name: str, value: Any, error: type[ValueError] = ValueError) -> None:
        """Refuse a value that is not allowed.

        Args:
            name: what it is the value of, as the user typed it.
            value: the value.
            error: class of the error.

        Raises:
            ValueError: it is not allowed; one sentence.
        """
        if not self.accepts(value):
            raise error(self.refusal(name, value))

    def refusal(self, name: str, value: Any) -> str:
        """The sentence for a value that is not allowed."""
        return f"{name} is {shown(value)}{did_you_mean(value, self.choices)}; allowed {self.allowed}"


def choices(closed_set: Any) -> tuple[str, ...]:
    """The values of a ``Literal`` type."""
    return get_args(closed_set)


def one_of(values: Iterable[str]) -> Rule:
    """One of a few texts."""
    allowed = tuple(values)
    # A delimiter is shown in quotes, a word is not.
    words = ", ".join(value if value.isidentifier() else repr(value) for value in allowed)
    return Rule(f"are {words}", lambda value: isinstance(value, str) and value in allowed, allowed)


def whole_number(minimum: int, maximum: int | None = None) -> Rule:
    """A whole number in a range; no boolean, no text, no fraction."""
    bounds = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    return Rule(
        f"is a whole number {bounds}",
        lambda value: is_whole_number(value) and minimum <= value and (maximum is None or value <= maximum),
    )


def seconds(minimum: float, maximum: float | None = None, *, timedeltas: bool = False, note: str = "") -> Rule:
    """Seconds in a range.

    Args:
        minimum: the least.
        maximum: the most, or None.
        timedeltas: whether a ``timedelta`` is taken too.
        note: further words of the sentence, such as ``" (seven days)"``.
    """

    def accepts(value: Any) -> bool:
        number = value.total_seconds() if timedeltas and isinstance(value, timedelta) else value
        return is_number(number) and minimum <= number and (maximum is None or number <= maximum)

    bounds = f"of at least {minimum:g}" if maximum is None else f"from {minimum:g} to {maximum:.0f}"
    return Rule(f"are seconds {bounds}{note}{', or a timedelta' if timedeltas else ''}", accepts)


def mapping(what: str) -> Rule:
    """An object.

    Args:
        what: what it holds, such as ``"option to value"``.
    """
    return Rule(f"is an object of {what}", lambda value: isinstance(value, Mapping))


def optional(rule: Rule) -> Rule:
    """The rule, and None."""
    return Rule(f"{rule.allowed}, or None", lambda value: value is None or rule.accepts(value), rule.choices)


BOOLEAN = Rule("are True and False", lambda value: isinstance(value, bool))
TEXT = Rule("is text that is not empty", lambda value: isinstance(value, str) and bool(value.strip()))
#: A line break in a subject or a title would begin a header of its own.
LINE = Rule("is one line of text that is not empty", lambda value: TEXT.accepts(value) and value.isprintable())
TEXTS = Rule(
    "is a list of texts",
    lambda value: isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value),
)
CONNECTION_ID = Rule("is the id of an Airflow connection", TEXT.accepts)


def time_zone(name: str, value: Any, error: type[ValueError] = ValueError) -> ZoneInfo:
    """The time zone of an IANA name.

    Args:
        name: what it is the value of, as the user typed it.
        value: the zone's name.
        error: class of the error.

    Raises:
        ValueError: no zone has that name.
    """
    try:
        return ZoneInfo(value)
    except (ValueError, TypeError, OSError, LookupError):
        # An abbreviation is near many zones.
        near = did_you_mean(value, available_timezones()) if len(str(value)) > _ABBREVIATION else ""
        sentence = f"{name} is {shown(value)}{near}; allowed is an IANA time zone, such as Asia/Kolkata or UTC"
        raise error(sentence) from None


def is_whole_number(value: Any) -> bool:
    """Whether a value is an ``int``; not a boolean, which Python counts as an ``int``."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite ``int`` or ``float``, and not a boolean."""
    return is_whole_number(value) or (isinstance(value, float) and math.isfinite(value))


def shown(value: Any) -> str:
    """A value as a sentence shows it: cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def did_you_mean(value: Any, allowed: Iterable[str]) -> str:
    """The nearest of some values, in brackets, to stand behind the value that is wrong; empty where none is near."""
    if not isinstance(value, str):
        return ""
    folded = {one.casefold(): one for one in allowed}
    typed = value.casefold()
    # The beginning of a name is nearer to it than any other name: Caller, of Caller Number and callId.
    longer = sorted((name for name in folded if len(typed) > _BEGINNING and name.startswith(typed)), key=len)
    near = longer or get_close_matches(typed, folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


def unknown(owner: str, name: str, allowed: Iterable[str], kind: str = "argument") -> str:
    """The sentence for a name that does not exist.

    Args:
        owner: what has the names, such as ``CallReportFilter``.
        name: what was typed.
        allowed: the names that exist.
        kind: what the names are of.
    """
    names = tuple(allowed)
    near = did_you_mean(name, names)
    return f"{owner} has no {kind} {shown(name)}{near}; allowed are {', '.join(names) or 'none'}"
