"""A long window in slices, for one mapped task each: wide on as many workers as there are.

`windows` is a plain function. It works while a Dag is parsed, in a ``@task`` at run time, and, given to a Dag as one of
its ``user_defined_macros``, in templates::

    CallReportExportOperator.partial(task_id="export", s3_bucket="reports").expand_kwargs(
        windows("2026-10-01", "2026-11-01", s3_key="calls/dt={start:%Y-%m-%d}/calls.csv")
    )

Imported while a Dag is parsed, so nothing heavy is here.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from string import Formatter
from typing import Any, Literal
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import SettingsError, WindowError
from airflow_provider_callreport.api.filters import empty_window, parse_time
from airflow_provider_callreport.rules import TEXT, Rule, choices, did_you_mean, time_zone, whole_number

#: Values of ``every`` besides a timedelta.
Step = Literal["hour", "day", "week", "month"]

#: What a text of `windows` may hold in braces.
FIELDS = ("start", "end", "utc_start", "utc_end")

#: As many as Airflow maps a task to, unless its ``[core] max_map_length`` says otherwise.
MAX_WINDOWS = 1024

#: Arguments that name a place: two slices with one place would overwrite each other.
_PLACES = ("s3_key", "manifest_key", "destination")

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_EVERY = Rule(
    f"are {', '.join(choices(Step))}, or a timedelta of whole seconds",
    lambda value: value in choices(Step) or (isinstance(value, timedelta) and value >= _SECOND and not value % _SECOND),
    choices(Step),
)


def windows(
    start: datetime | date | str,
    end: datetime | date | str,
    *,
    every: Step | timedelta = "day",
    timezone: str = "Asia/Kolkata",
    lookback: int = 0,
    limit: int = MAX_WINDOWS,
    **texts: str,
) -> list[dict[str, str]]:
    """Cut ``[start, end)`` into windows that follow one another without gap and overlap, oldest first.

    Each is a dict of arguments for a mapped operator: ``window_start`` and ``window_end`` in ISO 8601 with the offset
    of ``timezone``, and one for each of ``texts``. Airflow's UI shows each mapped task by its window.

    Days, weeks and months are those of the calendar in ``timezone``, counted from ``start``: a day on which clocks
    change has 23 or 25 hours. Hours, and a timedelta that is not whole days, are elapsed time. The last window ends at
    ``end``, and is shorter where the steps do not come out even.

    Args:
        start: first instant: a datetime, a date, or ISO 8601 text. One without an offset is in ``timezone``.
        end: first instant after the last window.
        every: length of a window: ``"hour"``, ``"day"``, ``"week"``, ``"month"``, or a timedelta of whole seconds.
        timezone: the account's zone, an IANA name: that of the connection's field of this name.
        lookback: how many further windows of this length to put before ``start``, for calls that came late or were
            changed.
        limit: the most windows; default what Airflow maps a task to (``[core] max_map_length``).
        texts: further arguments of the operator, with fields in braces that `str.format` fills: ``start`` and ``end``
            in ``timezone``, ``utc_start`` and ``utc_end`` in UTC. ``s3_key="calls/dt={start:%Y-%m-%d}/calls.csv"``
            gives a partition a day.

    Returns:
        The windows, as plain JSON.

    Raises:
        WindowError: ``start`` or ``end`` cannot be read as a time, or the end is not after the start.
        SettingsError: another argument is wrong, there would be more than ``limit`` windows, or two windows would have
            the same key.
    """
    zone = time_zone("timezone", timezone, SettingsError)
    first, last = (_instant(value, name, zone) for value, name in ((start, "start"), (end, "end")))
    span = f"{first.astimezone(zone).isoformat()} to {last.astimezone(zone).isoformat()}"
    if first >= last:
        raise WindowError(empty_window(first.astimezone(zone), last.astimezone(zone), ("start", "end")))
    whole_number(0)("lookback", lookback, SettingsError)
    whole_number(1)("limit", limit, SettingsError)
    _EVERY("every", every, SettingsError)
    for name, text in texts.items():
        check_text(name, text)
    too_many = SettingsError(
        f"there are more than {limit} windows from {span}, lookback included; choose a longer every or a shorter "
        "time, or raise limit and Airflow's [core] max_map_length"
    )
    if lookback >= limit:
        raise too_many
    found: list[dict[str, str]] = []
    try:
        for begin, finish in _spans(first, last, every, zone, lookback):
            if len(found) == limit:
                raise too_many
            found.append(_window(begin, finish, zone, texts))
    except OverflowError:
        raise WindowError(f"windows of {every} from {span} leave the calendar; choose shorter ones") from None
    _check_places(found, texts)
    return found


def check_text(name: str, text: Any) -> None:
    """Refuse a text that `fill_text` cannot fill.

    Raises:
        SettingsError: it is not text, has other fields than `FIELDS`, or is an Airflow template.
    """
    if name in ("window_start", "window_end"):
        raise SettingsError(f"{name} is what windows() gives; leave it out")
    if not isinstance(text, str):
        raise SettingsError(TEXT.refusal(name, text))
    if "{{" in text or "{%" in text:
        raise SettingsError(f"{name} has an Airflow template, which is not rendered here; {_ALLOWED}")
    try:
        fields = [field for _, field, _, _ in Formatter().parse(text) if field is not None]
    except ValueError as error:
        raise SettingsError(f"{name} is {text!r}, which has a brace too many or too few ({error})") from None
    wrong = next((field for field in fields if field not in FIELDS), None)
    if wrong is not None:
        raise SettingsError(f"{name} has {{{wrong}}}{did_you_mean(wrong, FIELDS)}; {_ALLOWED}")


def fill_text(name: str, text: str, start: datetime, end: datetime) -> str:
    """A text with the times of one window in it.

    Args:
        name: the argument that it is for.
        text: what `check_text` has passed.
        start: the window's first instant, in the account's zone.
        end: the first instant after it, likewise.

    Raises:
        SettingsError: a format in it cannot format a date.
    """
    fields = {"start": start, "end": end, "utc_start": start.astimezone(UTC), "utc_end": end.astimezone(UTC)}
    try:
        return text.format(**fields)
    except (ValueError, LookupError, AttributeError) as error:
        raise SettingsError(f"{name} is {text!r}, which could not be filled ({error}); {_ALLOWED}") from None


def _spans(
    first: datetime, last: datetime, every: str | timedelta, zone: ZoneInfo, lookback: int
) -> Iterator[tuple[datetime, datetime]]:
    # All in UTC: Python compares two times of one zone by their wall times, and forgets the hour that comes twice.
    number = -lookback
    begin = _step(first, every, number, zone)
    while begin < last:
        number += 1
        finish = min(_step(first, every, number, zone), last)
        # Where clocks skip a whole day, as Samoa's did, a day is empty.
        if begin < finish:
            yield begin, finish
        begin = finish


def _step(first: datetime, every: str | timedelta, number: int, zone: ZoneInfo) -> datetime:
    """The instant that many steps after the first, in UTC. Each is counted from the first: no error adds up."""
    if every == "hour":
        every = timedelta(hours=1)
    if number == 0:
        return first
    if isinstance(every, timedelta) and every % _DAY:
        return first + number * every
    wall = first.astimezone(zone).replace(tzinfo=None)
    if every == "month":
        year, month = divmod(wall.year * 12 + wall.month - 1 + number, 12)
        if not MINYEAR <= year <= MAXYEAR:
            raise OverflowError
        last_day = calendar.monthrange(year, month + 1)[1]
        wall = wall.replace(year=year, month=month + 1, day=min(wall.day, last_day))
    else:
        wall += number * ({"day": _DAY, "week": 7 * _DAY}[every] if isinstance(every, str) else every)
    # A wall time that clocks skip becomes the first one that they show.
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _window(begin: datetime, finish: datetime, zone: ZoneInfo, texts: Mapping[str, str]) -> dict[str, str]:
    start, end = begin.astimezone(zone), finish.astimezone(zone)
    filled = {name: fill_text(name, text, start, end) for name, text in texts.items()}
    return {"window_start": start.isoformat(), "window_end": end.isoformat(), **filled}


_ALLOWED = f"allowed in braces are {', '.join(FIELDS)} with a format of dates, such as {{start:%Y-%m-%d}}"


def _instant(value: Any, name: str, zone: ZoneInfo) -> datetime:
    moment = parse_time(value, name, zone).astimezone(UTC)
    # A plain datetime: Airflow's own times are a subclass with formats of their own.
    return datetime.combine(moment.date(), moment.time(), UTC)


def _check_places(found: Sequence[Mapping[str, str]], texts: Mapping[str, str]) -> None:
    for name in _PLACES:
        if name not in texts:
            continue
        seen: dict[str, str] = {}
        for one in found:
            other = seen.setdefault(one[name], one["window_start"])
            if other != one["window_start"]:
                raise SettingsError(
                    f"{name} is {one[name]!r} for the windows that begin at {other} and at {one['window_start']}, so "
                    "that one would overwrite the other; put the time into it, such as {utc_start:%Y-%m-%dT%H%M}"
                )
