"""Reads what was typed on the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.filters import Window, parse_time


def columns(text: str) -> list[str] | dict[str, str]:
    """Labels that are divided by commas, or label -> name where one is renamed by ``LABEL=NAME``.

    Raises:
        argparse.ArgumentTypeError: it names no label.
    """
    found = [label.strip() for label in text.split(",") if label.strip()]
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names no column")
    if "=" not in text:
        return found
    renamed = [label.partition("=") for label in found]
    return {label.strip(): name.strip() if equals else label for label, equals, name in renamed}


def window(options: argparse.Namespace, zone: ZoneInfo) -> Window:
    """The window that was asked for, of a day where no end was given.

    Args:
        options: what was typed.
        zone: the account's zone.

    Raises:
        WindowError: it cannot be read, or is empty.
    """
    start = parse_time(options.window_start, "window_start", zone)
    if options.window_end is None:
        return Window(start, start + timedelta(days=1), zone)
    return Window(start, parse_time(options.window_end, "window_end", zone), zone)


def pairs(flag: str, assignments: Sequence[str], *, texts: Collection[str] = ()) -> dict[str, Any]:
    """``KEY=VALUE`` arguments as a mapping. A value that is JSON means what it says there; any other is text.

    Args:
        flag: the argument's name.
        assignments: what was typed.
        texts: keys under which a number stays text, as that of a telephone must.

    Raises:
        ValueError: one has no ``=`` or no key, or a key comes twice.
    """
    found: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ValueError(f"{flag} is {assignment!r}; allowed is KEY=VALUE")
        if key in found:
            raise ValueError(f"{flag} names {key!r} twice")
        value = _json_or_text(text)
        found[key] = text if key in texts and isinstance(value, (int, float)) else value
    return found


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
