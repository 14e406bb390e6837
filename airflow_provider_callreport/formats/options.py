"""The options of a format: their names, defaults and allowed values, checked before any library is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """One option that users may set in ``format_options``.

    Attributes:
        name: its key.
        default: its value when it is not set.
        allowed: the values it takes, in words that end a sentence: ``"True or False"``.
        accepts: whether it takes a value.
    """

    name: str
    default: Any
    allowed: str
    accepts: Callable[[Any], bool]


def switch(name: str, default: bool) -> Option:
    """An option that is on or off."""
    return Option(name, default, "True or False", lambda value: isinstance(value, bool))


def choice(name: str, default: str, *others: str) -> Option:
    """An option that takes one of a few texts."""
    choices = (default, *others)
    return Option(
        name,
        default,
        "one of " + ", ".join(repr(text) for text in choices),
        lambda value: isinstance(value, str) and value in choices,
    )


def whole_number(name: str, default: int, minimum: int) -> Option:
    """An option that takes a whole number from ``minimum`` on."""
    return Option(
        name,
        default,
        f"a whole number of {minimum:,} or more",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= minimum,
    )


def texts(name: str) -> Option:
    """An option that takes a list of texts; none by default."""
    return Option(
        name,
        (),
        "a list of texts",
        lambda value: isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value),
    )


def complete(owner: str, options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options that a user gave and fill in the defaults of the others.

    Args:
        owner: whose options they are, for the message: ``'file_format "csv"'``.
        options: the options that there are.
        given: name to value.

    Raises:
        ValueError: an option is unknown or has a value that it does not take; the message names what is allowed.
    """
    known = {option.name: option for option in options}
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join(known) if known else "there are none"
            raise ValueError(f"format_options: {owner} has no option {name!r}; allowed: {allowed}.")
        if not known[name].accepts(value):
            raise ValueError(
                f"format_options: option {name!r} of {owner} is {value!r}, but must be {known[name].allowed}."
            )
    return {name: given.get(name, option.default) for name, option in known.items()}
