"""How numbers, sizes, durations and times are written for people: in the mail, on the sheet's Summary and in the PDF.

==============  ===========================================
value           written as
==============  ===========================================
number          ``1,234,567``
number of calls ``1 call``, ``1,200 calls``
size            ``999 bytes``, ``1.2 kB``, ``15 MB``
duration        ``41 h 02 min``, ``3 min 05 s``, ``42 s``
day             ``15 Oct 2026``
time            ``15 Oct 2026 09:30``
exact time      ``15 Oct 2026 09:30:00 (UTC+05:30)``
window          ``March 2026``, ``13 Mar 2026``, ``13 Mar 2026 09:00 to 10:00``
==============  ===========================================

Cells of a table of calls are made for sorting and computing and are not written like this: a time there is
``2026-10-15 09:30:00``, a duration ``0:03:05``. The words are English whatever the worker's locale is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def count(number: int) -> str:
    """A whole number with commas between thousands."""
    return f"{number:,}"


def calls(number: int) -> str:
    """A number of calls: ``1 call``, ``1,200 calls``."""
    return f"{count(number)} call{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes in the largest decimal unit that fits."""
    if number < 1000:
        return f"{number} byte{'' if number == 1 else 's'}"
    value, unit = number / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}".replace(".0 ", " ") if value < 99.95 else f"{value:.0f} {unit}"


def duration(seconds: float) -> str:
    """Seconds as hours and minutes, minutes and seconds, or seconds."""
    sign = "-" if round(seconds) < 0 else ""
    minutes, rest = divmod(abs(round(seconds)), 60)
    hours, minutes_of_hour = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours:,} h {minutes_of_hour:02} min"
    return f"{sign}{minutes} min {rest:02} s" if minutes else f"{sign}{rest} s"


def day(date: datetime) -> str:
    """A day: ``15 Oct 2026``."""
    # Not strftime: its month names follow the worker's locale.
    return f"{date.day} {_MONTHS[date.month - 1][:3]} {date.year}"


def time_of_day(time: datetime) -> str:
    """Hours and minutes, and seconds unless they are 0."""
    return f"{time:%H:%M:%S}" if time.second else f"{time:%H:%M}"


def day_and_time(time: datetime) -> str:
    """A day and its time of day: ``15 Oct 2026 09:30``."""
    return f"{day(time)} {time_of_day(time)}"


def exact_time(time: datetime) -> str:
    """A time with seconds and its offset from UTC, where it has one."""
    offset = time.strftime("%z")
    return f"{day(time)} {time:%H:%M:%S}" + (f" (UTC{offset[:3]}:{offset[3:5]})" if offset else "")


def window(start: datetime, end: datetime) -> str:
    """A half-open window in as few words as are exact: a month, days, hours of a day, or both ends.

    Args:
        start: its first instant, in the report's zone.
        end: the first instant after it, in the same zone.
    """
    whole_days = _is_midnight(start) and _is_midnight(end)
    last = end - timedelta(days=1)
    if whole_days and start.day == 1 and end.day == 1 and (last.year, last.month) == (start.year, start.month):
        return f"{_MONTHS[start.month - 1]} {start.year}"
    if whole_days:
        return day(start) if last.date() == start.date() else f"{day(start)} to {day(last)}"
    if start.date() == end.date():
        return f"{day_and_time(start)} to {time_of_day(end)}"
    return f"{day_and_time(start)} to {day_and_time(end)}"


def _is_midnight(time: datetime) -> bool:
    return (time.hour, time.minute, time.second, time.microsecond) == (0, 0, 0, 0)
