"""Reads what was typed on the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import WindowError
from airflow_provider_callreport.api.filters import Window, parse_time


def labels(text: str) -> list[str]:
    """Labels that are divided by commas.

    Raises:
        argparse.ArgumentTypeError: it names no label.
    """
    found = [label.strip() for label in text.split(",") if label.strip()]
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names no column")
    return found


def window(options: argparse.Namespace, zone: ZoneInfo) -> Window:
    """The window of the arguments ``start`` and ``end``.

    Args:
        options: what was typed.
        zone: the account's zone.

    Raises:
        WindowError: it cannot be read, or is empty.
    """
    start = parse_time(options.start, "--start", zone)
    end = start + timedelta(days=1) if options.end is None else parse_time(options.end, "--end", zone)
    if start >= end:
        raise WindowError(f"--start is {start.isoformat()} and --end is {end.isoformat()}; --start must be earlier")
    return Window(start, end, zone)


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
