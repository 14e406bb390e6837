"""Cells as the API prints them become typed values, a column at a time.

What cannot be read as its column's kind stays text: nothing is dropped, nothing is guessed. Durations are never
recomputed from times; real records contradict each other.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import TableError
from airflow_provider_callreport.report import ColumnKind, Value

_NONE = type(None)
_TEXTS = {str, _NONE}
_NUMBERS = {int, float, _NONE}
_ISO = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d([.,]\d{1,6})?)?( ?(Z|[+-]\d\d:?\d\d))?")
#: A date in numbers, the year first or last, and a time of the day. AM and PM as ``AM``, ``am``, ``a.m.``.
_NUMERIC = re.compile(
    r"(?:(?P<year>\d{4})(?P<s>[-/.])(?P<month>\d{1,2})(?P=s)(?P<day>\d{1,2})"
    r"|(?P<a>\d{1,2})(?P<separator>[-/.])(?P<b>\d{1,2})(?P=separator)(?P<last>\d{4}))"
    r"[ T,]{1,2}(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,6}))?)?"
    r"(?:[ \u00a0\u202f]?(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_EPOCH = re.compile(r"\d{10}|\d{13}")
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,6}):(\d{2})")
_NUMERAL = re.compile(r"[+-]?\d{1,15}(\.\d+)?")
_NO_TIME = re.compile(r"0|-|0000-00-00.*|00-00-0000.*")
#: Excel, and so every format of ours, keeps this many significant digits of a number.
_MAX_DIGITS = 15
_MAX_WHOLE = 1_000_000_000_000_000
#: Counts, positions and codes have fewer digits than this, and Python reads no text of thousands of digits.
_MAX_COUNT_DIGITS = 30


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How an account writes its times, as far as that is not plain from each of them.

    Attributes:
        day_first: whether ``8/9/2025`` is 8 September (True) or 9 August (False); None where nobody can tell, and
            such a time stays text.
        twelve_hours: whether times carry AM or PM. Then one without it is read only where its hour is above 12.
        fractions: whether times have parts of a second.
    """

    day_first: bool | None = None
    twelve_hours: bool = False
    fractions: bool = False


def learn_times(cells: Iterable[Any], within: Callable[[datetime], bool], zone: ZoneInfo) -> TimeForm:
    """How an account writes its times, from all of the first page's.

    A day above 12 tells the order of day and month. Where no time has one, the order is the one that puts all of them
    into the window that was asked for, if the other order does not. The vendor's sister pages write ``DD-MM-YYYY``,
    so where both orders are possible, dashes mean that the day comes first; strokes and dots mean nothing.

    Args:
        cells: the time columns' cells.
        within: tells whether a time is one that was asked for.
        zone: the account's zone.
    """
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    found = [match for text in texts if (match := _NUMERIC.fullmatch(text))]
    fractions = any(match["fraction"] and int(match["fraction"]) for match in found) or any(
        isinstance(time := _time(text, zone, TimeForm()), datetime) and time.microsecond for text in texts
    )
    form = TimeForm(None, any(match["half"] for match in found), fractions)
    open_ones = [match for match in found if match["year"] is None]
    first = {int(match["a"]) for match in open_ones}
    second = {int(match["b"]) for match in open_ones}
    if not open_ones or (max(first) > 12 and max(second) > 12):
        # With both above 12 no one order fits all of them.
        return form
    if max(first) > 12 or max(second) > 12:
        return replace(form, day_first=max(first) > 12)
    fits = {
        order: all(_within(match, replace(form, day_first=order), within) for match in open_ones)
        for order in (True, False)
    }
    if fits[True] != fits[False]:
        return replace(form, day_first=fits[True])
    return replace(form, day_first=True) if all(match["separator"] == "-" for match in open_ones) else form


def contradicts(cells: Sequence[Any], form: TimeForm) -> bool:
    """Whether a time has its day and month in another order than was learned, or AM and PM that no earlier one had."""
    if _are_plain_times(cells):
        return False
    for cell in cells:
        match = _NUMERIC.fullmatch(cell.strip()) if isinstance(cell, str) else None
        if match is None:
            continue
        if match["half"] is not None and not form.twelve_hours:
            return True
        if match["year"] is None and form.day_first is not None:
            month = int(match["b"] if form.day_first else match["a"])
            if month > 12:
                return True
    return False


def _within(match: re.Match[str], form: TimeForm, within: Callable[[datetime], bool]) -> bool:
    time = _from_numbers(match, form)
    return time is not None and within(time)


def converter(
    kind: ColumnKind, zone: ZoneInfo, form: TimeForm | None = None
) -> Callable[[Sequence[Any]], Sequence[Value]]:
    """The function that types a whole column of cells.

    Args:
        kind: the column's kind.
        zone: the account's zone, for times that come with an offset or as epoch.
        form: how the account writes its times; see `learn_times`.
    """
    if kind is ColumnKind.DATETIME:
        known = form or TimeForm()
        return lambda cells: times(cells, zone, known)
    return {ColumnKind.TEXT: texts, ColumnKind.NUMBER: numbers, ColumnKind.DURATION: durations}[kind]


def texts(cells: Sequence[Any]) -> Sequence[Value]:
    """Text cells: ``str`` or None; empty text, list and object are None."""
    if set(map(type, cells)) <= _TEXTS:
        return [cell or None for cell in cells] if "" in cells else cells
    return [_text(cell) for cell in cells]


def numbers(cells: Sequence[Any]) -> Sequence[Value]:
    """Numbers: ``int`` or ``float`` of at most 15 significant digits, else text."""
    return cells if _are_numbers(cells) else [_number(cell) for cell in cells]


def durations(cells: Sequence[Any]) -> Sequence[Value]:
    """Durations in seconds, from numbers, numerals, ``MM:SS`` or ``HH:MM:SS``; ``"-"`` is None."""
    return cells if _are_numbers(cells) else [_duration(cell) for cell in cells]


def times(cells: Sequence[Any], zone: ZoneInfo, form: TimeForm) -> Sequence[Value]:
    """Naive times in the account's zone; zero dates are None, and what cannot be read stays text.

    Read are ISO 8601, epoch seconds and milliseconds, and dates in numbers with a four-digit year, the year first or
    last, with or without seconds, in 24 hours or with AM and PM.
    """
    if not form.twelve_hours and _are_plain_times(cells):
        with suppress(ValueError):
            return list(map(datetime.fromisoformat, cells))
    return [_time(cell, zone, form) for cell in cells]


def whole_number(value: Any) -> int | None:
    """``value`` as a whole number of at least 0 and at most 30 digits (``12``, ``12.0`` or ``"12"``), else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    elif isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_COUNT_DIGITS else None
    return value if isinstance(value, int) and 0 <= value < 10**_MAX_COUNT_DIGITS else None


def _are_numbers(cells: Sequence[Any]) -> bool:
    """Whether all are numbers, or None, that can stay as they are, told at the speed of C; False in case of doubt."""
    kinds = set(map(type, cells))
    if kinds <= {int, _NONE}:
        return max(map(abs, filter(None, cells)), default=0) < _MAX_WHOLE
    if not kinds <= _NUMBERS:
        return False
    # Of so few characters none has more digits than are allowed; "inf" and "nan" have few, too.
    present = list(filter(None, cells))
    return max(map(len, map(repr, present)), default=0) <= _MAX_DIGITS and math.isfinite(sum(present))


def _are_plain_times(cells: Sequence[Any]) -> bool:
    """Whether all are ``YYYY-MM-DD HH:MM:SS`` by their form, of a year that spreadsheets know, too."""
    return (
        set(map(type, cells)) == {str}
        and set(map(len, cells)) == {19}
        and set(map(itemgetter(10, 13, 16), cells)) == {(" ", ":", ":")}
        and set(map(itemgetter(slice(2)), cells)) <= {"19", "20"}
    )


def _text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        # A phone number that a spreadsheet or a script upstream made a float of.
        return str(int(cell))
    if isinstance(cell, (int, float)):
        return str(cell)
    try:
        return json.dumps(cell, ensure_ascii=False, separators=(",", ":")) if cell else None
    except RecursionError:
        raise TableError("a cell is nested too deeply to be written as text") from None


def _number(cell: Any) -> Value:
    if isinstance(cell, dict) and "amount" in cell:
        # {"freeHit": 2, "paidHit": 0, "amount": 0}: credits, of which the money is `amount`.
        cell = cell["amount"]
    if cell is None or isinstance(cell, bool):
        return None if cell is None else _text(cell)
    if isinstance(cell, (int, float)):
        return cell if _fits(cell) else str(cell)
    if isinstance(cell, str):
        text = cell.strip()
        if text in ("", "-"):
            return None
        if _NUMERAL.fullmatch(text):
            number: int | float = float(text) if "." in text else int(text)
            if _fits(number):
                return number
        return cell
    return _text(cell)


def _fits(number: int | float) -> bool:
    if isinstance(number, int):
        return abs(number) < _MAX_WHOLE
    # The first test is the usual case and quick: up to nine digits before the point and six behind it.
    return (abs(number) < 1e9 and round(number, 6) == number) or (
        math.isfinite(number) and float(f"{number:.{_MAX_DIGITS}g}") == number
    )


def _duration(cell: Any) -> Value:
    if isinstance(cell, str):
        text = cell.strip()
        match = _CLOCK.fullmatch(text)
        if match is not None and int(match[3]) < 60 and (match[1] is None or int(match[2]) < 60):
            return int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])
    return _number(cell)


def _time(cell: Any, zone: ZoneInfo, form: TimeForm) -> Value:
    if isinstance(cell, bool):
        return _text(cell)
    if isinstance(cell, (int, float)):
        return _from_epoch(cell, zone)
    if not isinstance(cell, str):
        return _text(cell)
    text = cell.strip()
    if not text or _NO_TIME.fullmatch(text):
        return None
    if _EPOCH.fullmatch(text):
        return _from_epoch(int(text), zone)
    try:
        if (match := _NUMERIC.fullmatch(text)) is not None:
            moment = _from_numbers(match, form)
            if moment is None:
                return cell
        elif _ISO.fullmatch(text):
            moment = datetime.fromisoformat(
                text.replace(",", ".").replace(" +", "+").replace(" -", "-").replace(" Z", "Z")
            )
        else:
            return cell
        if moment.tzinfo is not None:
            moment = moment.astimezone(zone).replace(tzinfo=None, fold=0)
    except (ValueError, OverflowError):
        return cell
    return moment if moment.year >= 1900 else cell


def _from_numbers(match: re.Match[str], form: TimeForm) -> datetime | None:
    """The time that some numbers are, or None where that cannot be told."""
    if match["year"] is not None:
        year, month, day = match["year"], match["month"], match["day"]
    else:
        first, second = int(match["a"]), int(match["b"])
        day_first = form.day_first
        if day_first is None and first != second:
            # One above 12 can only be the day.
            if (first > 12) == (second > 12):
                return None
            day_first = first > 12
        year, month, day = match["last"], *((second, first) if day_first else (first, second))
    hour = int(match["hour"])
    if match["half"] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"] in "pP" else 0)
    elif form.twelve_hours and hour <= 12:
        return None
    micro = int((match["fraction"] or "0").ljust(6, "0"))
    try:
        return datetime(int(year), int(month), int(day), hour, int(match["minute"]), int(match["second"] or 0), micro)
    except ValueError:
        return None


def _from_epoch(number: int | float, zone: ZoneInfo) -> Value:
    """Epoch seconds (10 digits) or milliseconds (13 digits); 0 is None; another number stays text."""
    if number == 0:
        return None
    if 1e9 <= number < 1e10:
        seconds = number
    elif 1e12 <= number < 1e13:
        seconds = number / 1000
    else:
        return _text(number)
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).replace(tzinfo=None, fold=0)
