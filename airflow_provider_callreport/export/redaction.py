"""What may not leave in full: redaction of columns, before anything is written, logged, pushed or mailed.

Four rules hold for every mode:

- A redacted column that the report does not have is an error. The privacy officer asked for a column by name; a renamed
  column must not slip through.
- What does not look like a phone number is hidden whole: the modes fail closed.
- What a redacted cell says is hidden in the other text cells of its row as well: recordings and details often carry
  the caller's number in their names. A number of eight digits or more is found however it is spelled there (in the
  digits of any script, with anything between them that is no letter, percent-encoded), another text of eight
  characters or more as it is. Only text is looked for: an amount, a duration or a time that was read as
  such is no phone number, and in other cells the same digits mean something else (a file's name begins with its date).
  What stands in such a column and could not be read as its kind is text, and is looked for.
- Empty cells stay empty.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from airflow_provider_callreport.api.errors import SettingsError, TableError
from airflow_provider_callreport.api.phone_numbers import international
from airflow_provider_callreport.api.table import base_label, in_words
from airflow_provider_callreport.report import Column, ColumnKind, Row, Value

#: What users may type in ``redact={label: mode}``.
MODES = ("last4", "drop", "hmac")

#: Stands for a value that is hidden whole.
HIDDEN = "***"

_PHONE = re.compile(r"[+(]?[\d*xX][\d*xX ().\-/]*")
#: What people put between the digits of a number: blanks, brackets, dots, strokes, the hyphens of typography; and what
#: programs put there that nobody sees.
_SEPARATORS = (
    " \t-.()/\u00a0\u2009\u202f\u2010\u2011\u2012\u2013\u2014\u2212"
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_GAP = rf"[{re.escape(_SEPARATORS)}]{{0,2}}"
_ASCII_GAPS = bytes(set(range(128)) - set((string.ascii_letters + string.digits).encode()))
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
#: Fewer digits than this are no subscriber number: showing four of them would show nearly all.
_MIN_DIGITS = 8
_NUMBER = re.compile(rf"\d(?:[{re.escape(_SEPARATORS)}]*\d){{{_MIN_DIGITS - 1},}}")
#: More digits than this are no single number (E.164).
_MAX_DIGITS = 15
#: Of more digits in a row, no list of numbers, the last ones are looked for: each place costs a search.
_MAX_LOOKED_FOR = 60
#: Digits by which a number is found in other cells: the national part, whatever prefix it is written with.
_NATIONAL_DIGITS = 10


def check_redact(redact: Any) -> dict[str, str]:
    """``redact`` as label -> mode.

    Raises:
        SettingsError: it is no mapping, or a mode is unknown.
    """
    if redact is None:
        return {}
    if not isinstance(redact, Mapping):
        raise SettingsError(
            'redact must be an object of label to mode, such as {"Caller Number": "last4"}, '
            f"not {type(redact).__name__}"
        )
    for label, mode in redact.items():
        if not isinstance(label, str) or not label.strip():
            raise SettingsError(f"redact has the label {label!r}; a label must be text that is not empty")
        if mode not in MODES:
            raise SettingsError(f"redact has {mode!r} for {label!r}; allowed are {', '.join(MODES)}")
    return dict(redact)


class Redactor:
    """Redacts the typed rows of one report.

    Args:
        redact: label (as the API prints it) -> mode. Where several columns have one label, it stands for all of them.
        labels: every label of the report.
        columns: the columns of the rows, in order.
        hmac_secret: key for the mode ``hmac``.
        keep: how many of the columns may stay, from the first on, or None for all. The others are only there for
            their values to be hidden elsewhere.

    Raises:
        TableError: a label is not in the report.
        SettingsError: ``hmac`` without a key, or ``last4``/``hmac`` for a column that holds no text.

    Attributes:
        columns: the columns that are left.
    """

    def __init__(
        self,
        redact: Mapping[str, str],
        labels: Sequence[str],
        columns: Sequence[Column],
        hmac_secret: str | None = None,
        keep: int | None = None,
    ) -> None:
        known = {*map(base_label, labels), *labels, *(column.source for column in columns)}
        for label in redact:
            if label not in known:
                raise TableError(
                    f"redact names {label!r}, which the report does not have; it has {in_words(labels)}. "
                    "Nothing was exported, because an unredacted column might have left"
                )
        if "hmac" in redact.values() and not hmac_secret:
            raise SettingsError("redact uses hmac, and the connection has no hmac_secret; set that extra field")
        self._modes: dict[int, Callable[[str], str]] = {}
        self._kept: list[int] = []
        for index, column in enumerate(columns):
            mode = redact.get(column.source) or redact.get(base_label(column.source))
            if mode in ("last4", "hmac") and column.kind is not ColumnKind.TEXT:
                name = in_words((column.source,))
                raise SettingsError(f"redact has {mode!r} for {name!r}, a {column.kind.value} column; allowed is drop")
            if mode:
                self._modes[index] = _mode(mode, hmac_secret)
            if mode != "drop" and (keep is None or index < keep):
                self._kept.append(index)
        if not self._kept:
            raise SettingsError("redact drops every column; keep at least one")
        self.columns = tuple(columns[index] for index in self._kept)
        # Of any kind: what could not be read as a number or a time stands in such a column as text.
        self._others = [index for index in self._kept if index not in self._modes]
        self._all_kept = len(self._kept) == len(columns)

    def rows(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows without what may not leave."""
        if not self._modes:
            return rows
        return [self._row(list(row)) for row in rows]

    def _row(self, row: list[Value]) -> Row:
        for index, mode in self._modes.items():
            value = row[index]
            if value is None:
                continue
            if isinstance(value, str):
                self._hide_elsewhere(row, value)
            row[index] = mode(str(value))
        return row if self._all_kept else [row[index] for index in self._kept]

    def _hide_elsewhere(self, row: list[Value], text: str) -> None:
        numbers = _numbers(text)
        others = [index for index in self._others if isinstance(row[index], str)]
        # One look at all cells together, because in most rows there is nothing to hide.
        together = "\n".join([str(row[index]) for index in others])
        if _has_any(together, numbers) or (len(text) >= _MIN_DIGITS and text in together):
            for index in others:
                row[index] = _without(str(row[index]), numbers, text)


def _without(cell: str, numbers: Sequence[str], text: str) -> str:
    """The cell without some numbers, however they are spelled, and without a text; hidden whole in case of doubt."""
    for number in numbers:
        if number in _compact(cell):
            cell = _spellings(number).sub(HIDDEN, cell)
    if _has_any(cell, numbers):
        return HIDDEN
    return cell.replace(text, HIDDEN) if len(text) >= _MIN_DIGITS else cell


def _numbers(text: str) -> list[str]:
    """The numbers of a redacted cell, as they are looked for: their last ten digits."""
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return [text[-_NATIONAL_DIGITS:]] if len(text) >= _MIN_DIGITS else []
    found: dict[str, None] = {}
    for number in _NUMBER.findall(text):
        digits = _compact(number)[-_MAX_LOOKED_FOR:]
        # Two numbers with a stroke or a blank between them, perhaps: where the first one ends cannot be told.
        first = 0 if len(digits) > _MAX_DIGITS else max(0, len(digits) - _NATIONAL_DIGITS)
        last = max(0, len(digits) - _NATIONAL_DIGITS)
        found.update(dict.fromkeys(digits[at : at + _NATIONAL_DIGITS] for at in range(first, last + 1)))
    return list(found)


def _has_any(text: str, numbers: Sequence[str]) -> bool:
    """Whether a text has one of the numbers, however it is spelled."""
    return any(number in reading for reading in _readings(text) for number in numbers)


def _readings(text: str) -> Iterator[str]:
    yield _compact(text)
    if "%" in text:
        yield _compact(unquote(text))


def _compact(text: str) -> str:
    """The Latin letters and the digits of a text, all digits as ASCII."""
    if not text.isascii() and _FOREIGN_DIGIT.search(text):
        text = _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    # Not `str.translate`: it takes ten times as long.
    return text.encode("ascii", "ignore").translate(None, _ASCII_GAPS).decode()


@lru_cache(maxsize=4096)
def _spellings(number: str) -> re.Pattern[str]:
    """The ways to write a number: with and without prefix, and with separators between its digits."""
    return re.compile(rf"\+?(?:\d{_GAP}){{0,5}}{_GAP.join(number)}")


def last4(text: str) -> str:
    """All digits but the last four as ``*``; separators stay. Hidden whole when it is no phone number."""
    digits = sum(map(str.isdigit, text))
    if not _PHONE.fullmatch(text.strip()) or digits < _MIN_DIGITS:
        return HIDDEN
    hide = digits - 4
    shown = []
    for character in text.strip():
        if character.isdigit() and hide:
            shown.append("*")
            hide -= 1
        else:
            shown.append(character)
    return "".join(shown)


def pseudonym(text: str, key: str) -> str:
    """A keyed pseudonym (HMAC-SHA-256, 80 bits): one for all spellings of a number; hidden whole when it is none."""
    digits = international(text)
    if digits is None:
        return HIDDEN
    digest = hmac.new(key.encode(), digits.encode(), hashlib.sha256).digest()
    return "p_" + base64.b32encode(digest[:10]).decode().lower()


def _mode(mode: str, hmac_secret: str | None) -> Callable[[str], str]:
    if mode == "hmac":
        # The same callers come again and again.
        return lru_cache(maxsize=4096)(lambda text: pseudonym(text, hmac_secret or ""))
    return lru_cache(maxsize=4096)(last4) if mode == "last4" else lambda _: HIDDEN
