"""The options of a format: their names, defaults and allowed values, checked before any library is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_callreport import rules
from airflow_provider_callreport.rules import Rule


@dataclass(frozen=True, slots=True)
class Option:
    """One option that users may set in ``format_options``.

    Attributes:
        name: its key.
        default: its value when it is not set.
        rule: the values that it takes.
    """

    name: str
    default: Any
    rule: Rule


def switch(name: str, default: bool) -> Option:
    """An option that is on or off."""
    return Option(name, default, rules.BOOLEAN)


def choice(name: str, default: str, *others: str) -> Option:
    """An option that takes one of a few texts."""
    return Option(name, default, rules.one_of((default, *others)))


def whole_number(name: str, default: int, minimum: int) -> Option:
    """An option that takes a whole number from ``minimum`` on."""
    return Option(name, default, rules.whole_number(minimum))


def texts(name: str) -> Option:
    """An option that takes a list of texts; none by default."""
    return Option(name, (), rules.TEXTS)


def complete(owner: str, options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options that a user gave and fill in the defaults of the others.

    Args:
        owner: whose options they are, for the message: ``'file_format "csv"'``.
        options: the options that exist.
        given: name to value.

    Raises:
        ValueError: an option is unknown or has a value that it does not take; the message names what is allowed.
    """
    known = {option.name: option for option in options}
    for name, value in given.items():
        if name not in known:
            raise ValueError(rules.unknown(f"format_options of {owner}", name, known, "option"))
        known[name].rule(f"format_options of {owner}: {name}", value)
    return {name: given.get(name, option.default) for name, option in known.items()}
