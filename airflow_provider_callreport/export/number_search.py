"""The number of a redacted cell in another text, however it is written there.

What is compared is the digits alone, in every reading of the text (`privacy.readings`): whatever stands between the
digits of a number does not hide it. The last seven digits of a number are enough to take it for the number: those are
the subscriber's own, whatever country code or trunk prefix is put before them. So a date, an id or a time in epoch
seconds that has the seven digits by chance is hidden too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from airflow_provider_callreport.privacy.phone_numbers import HIDDEN, hide_spans
from airflow_provider_callreport.privacy.readings import Reading, TooManyLayersError, is_plain, is_plain_ascii, readings

#: As many of a number's last digits as tell it.
_ENDING = 7
#: More digits than this are no single number (E.164).
_MAX_DIGITS = 15
#: Fewer digits than this are no number of anybody: not even one inside a company.
_MIN_DIGITS = 3
#: A text of fewer characters than this is not looked for: it would be found in too many others.
_MIN_TEXT = 8
#: Digits of a country code or a trunk prefix, such as those of "00 91".
_MAX_PREFIX = 5
#: Characters that may stand between two digits that are hidden together.
_MAX_GAP = 3
#: With so many endings it is quicker to look at each place of a text than to look for each ending.
_MANY = 8

_NOT_DIGITS = bytes(byte for byte in range(256) if not 48 <= byte <= 57)
_DIGITS = frozenset("0123456789")
_GROUP = re.compile("[0-9]+")
_TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9](?::[0-5][0-9])?")
_PREFIX_GAP = re.compile(r"[\s().\-\u00ad\u2000-\u206f\u2212\ufeff]{0,2}")


class Wanted(NamedTuple):
    """What is looked for.

    Attributes:
        text: the whole redacted cell, or ``""`` when it is too short to be looked for as it is.
        endings: the last seven digits of each number of the cell, with the digits before them.
        code: the digits of a number that has fewer than seven: looked for as a group of digits of its own.
    """

    text: str
    endings: Mapping[str, str]
    code: str = ""


def wanted(cell: str) -> Wanted:
    """What to look for in the other cells of a row.

    Args:
        cell: the redacted cell, as the API has it.
    """
    text = cell if len(cell) >= _MIN_TEXT else ""
    digits = cell[1:] if cell[:1] == "+" else cell
    if digits.isascii() and digits.isdigit() and _ENDING <= len(digits) <= _MAX_DIGITS:
        # The usual case. Whoever finds the digits has found the text.
        return Wanted("", {digits[-_ENDING:]: digits[:-_ENDING]})
    endings: dict[str, str] = {}
    last = cell
    try:
        for reading in readings(cell):
            last = reading.text
            _add_endings(last, endings)
    except TooManyLayersError:
        pass
    digits = _digits(last)
    is_code = not endings and len(digits) >= _MIN_DIGITS and not any(map(str.isalpha, last))
    return Wanted(text, endings, digits if is_code else "")


def _add_endings(text: str, endings: dict[str, str]) -> None:
    """Where a number may end: behind each group of digits, and anywhere in a group that is too long for one number."""
    text = _TIME.sub(" ", text)
    digits = _digits(text)
    end = 0
    for group in map(len, _GROUP.findall(text)):
        first = end + (_ENDING if group > _MAX_DIGITS else group)
        end += group
        for at in range(max(first, _ENDING), end + 1):
            endings.setdefault(digits[at - _ENDING : at], digits[max(0, at - _MAX_DIGITS) : at - _ENDING])


def cells_without(cells: Sequence[str], what: Wanted) -> Sequence[str]:
    """Some cells of one row without what is looked for: ``***`` stands there.

    Args:
        cells: the cells.
        what: what is looked for.
    """
    # One look at all cells together, because in most rows there is nothing to hide.
    together = "\n".join(cells)
    if _has(together, what):
        return [without(cell, what) for cell in cells]
    if is_plain_ascii(together):
        return cells
    return [cell if is_plain(cell) else without(cell, what) for cell in cells]


def without(text: str, what: Wanted) -> str:
    """A text without what is looked for: ``***`` stands there. It is hidden whole when that is not certain.

    Args:
        text: any text.
        what: what is looked for.
    """
    if is_plain_ascii(text) and not _has(text, what):
        return text
    hidden = _first_try(text, what)
    return hidden if hidden in (text, HIDDEN) or hidden == _first_try(hidden, what) else HIDDEN


def _first_try(text: str, what: Wanted) -> str:
    spans: list[tuple[int, int]] = []
    try:
        for reading in readings(text):
            if _has(reading.text, what):
                spans += _found(reading, what)
    except TooManyLayersError:
        return HIDDEN
    return hide_spans(text, spans)


def _digits(text: str) -> str:
    # Not `str.translate`: it takes ten times as long.
    return text.encode("ascii", "ignore").translate(None, _NOT_DIGITS).decode()


def _has(text: str, what: Wanted) -> bool:
    if what.text and what.text in text:
        return True
    if what.code:
        return what.code in text and what.code in _GROUP.findall(text)
    digits, endings = _digits(text), what.endings
    if len(endings) <= _MANY:
        return any(map(digits.__contains__, endings))
    return not endings.keys().isdisjoint(digits[at : at + _ENDING] for at in range(len(digits) - _ENDING + 1))


def _found(reading: Reading, what: Wanted) -> Iterator[tuple[int, int]]:
    """Where it is in the original text."""
    text = reading.text
    for start, end in (*_texts(text, what.text), *_codes(text, what.code), *_numbers(text, what.endings)):
        yield reading.original_span(start, end)


def _texts(text: str, wanted_text: str) -> Iterator[tuple[int, int]]:
    start = text.find(wanted_text) if wanted_text else -1
    while start >= 0:
        end = start + len(wanted_text)
        yield start, end
        start = text.find(wanted_text, end)


def _codes(text: str, code: str) -> Iterator[tuple[int, int]]:
    return (group.span() for group in _GROUP.finditer(text) if group[0] == code) if code else iter(())


def _numbers(text: str, endings: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """Where numbers of these endings are, each with all of its digits."""
    if not endings:
        return
    places = [at for at, character in enumerate(text) if character in _DIGITS]
    digits = _digits(text)
    # In numbers of digits: where what is hidden at present begins and ends.
    left = right = 0
    for at, before in _occurrences(digits, endings):
        if at >= right:
            if right:
                yield _span(text, places, left, right)
            left = _left_end(text, places, digits, at, before, right)
        right = max(right, at + _ENDING)
        while right < len(places) and places[right] == places[right - 1] + 1:
            right += 1
    if right:
        yield _span(text, places, left, right)


def _occurrences(digits: str, endings: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Where in a row of digits endings begin, in order, also where they overlap; with the digits before them."""
    if len(endings) > 1:
        for at in range(len(digits) - _ENDING + 1):
            before = endings.get(digits[at : at + _ENDING])
            if before is not None:
                yield at, before
        return
    ((ending, before),) = endings.items()
    at = digits.find(ending)
    while at >= 0:
        yield at, before
        at = digits.find(ending, at + 1)


def _left_end(text: str, places: Sequence[int], digits: str, at: int, before: str, floor: int) -> int:
    """The first digit that is hidden with those from ``at`` on: of the number, of its group, of its prefix."""
    left = at
    for digit in reversed(before):
        if left == floor or digits[left - 1] != digit or places[left] - places[left - 1] > _MAX_GAP + 1:
            break
        left -= 1
    left = _group_start(places, left, floor)
    room = _MAX_PREFIX
    while left > floor and _PREFIX_GAP.fullmatch(text, places[left - 1] + 1, places[left]):
        start = _group_start(places, left - 1, max(floor, left - 1 - room))
        room -= left - start
        if room < 0:
            break
        left = start
    return left


def _group_start(places: Sequence[int], at: int, floor: int) -> int:
    """The first of the digits that touch each other and the one at ``at``."""
    while at > floor and places[at - 1] == places[at] - 1:
        at -= 1
    return at


def _span(text: str, places: Sequence[int], left: int, right: int) -> tuple[int, int]:
    start = places[left]
    return start - (text[start - 1 : start] == "+"), places[right - 1] + 1
