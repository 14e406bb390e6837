"""Rows to the XML of a worksheet's ``sheetData``, a column at a time.

openpyxl writes a cell in about 6 µs, most of it in Python objects that are thrown away at once. Here a page of rows
becomes XML with one string per cell and one C-level join per row. Strings are inline (``t="inlineStr"``): a shared
string table would grow with the report.

The grammar is ECMA-376 part 1, 18.3.1 (sheet data) and 22.9.2.19 (``ST_Xstring``: ``_x0041_`` in a text stands for
``A``, so a text that holds such a thing is written with its underscore escaped).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from xml.sax.saxutils import escape

from openpyxl.utils import get_column_letter

from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.formats.values import are_texts, is_number
from airflow_provider_callreport.report import ColumnKind, Row, Value

MAX_TEXT = 32_767
"""Longest text of a cell, in UTF-16 code units (Microsoft, "Excel specifications and limits")."""

CUT_MARK = "… [cut]"
"""The visible end of a text that was longer than `MAX_TEXT`."""

_ESCAPED_LOOKALIKE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_FIRST_SAFE_DAY = datetime(1900, 3, 1)  # before it Excel counts a 29 February 1900 that never was
_DAY_ZERO = datetime(1899, 12, 30).toordinal()
_SECONDS_OF_DAY = 86_400
_MAX_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class CellStyles:
    """Indexes of the workbook's cell formats (``cellXfs``)."""

    header: int
    text: int
    number: int
    duration: int
    datetime: int


def fit_text(text: str) -> tuple[str, bool]:
    """Make a text that a cell can hold: cleaned, and cut with a visible mark if it is too long.

    Returns:
        The text, and whether it was cut.
    """
    text = clean(text)
    if len(text) * 2 <= MAX_TEXT:  # at most two code units a character
        return text, False
    units = text.encode("utf-16-le")
    if len(units) <= MAX_TEXT * 2:
        return text, False
    return units[: (MAX_TEXT - len(CUT_MARK)) * 2].decode("utf-16-le", "ignore") + CUT_MARK, True


def escape_lookalikes(text: str) -> str:
    """Escape what a reader of the format would take for an escaped character, such as ``_x0041_``."""
    return _ESCAPED_LOOKALIKE.sub("_x005F_", text)


class RowEncoder:
    """Encode the rows of one report.

    Attributes:
        cut_texts: how many texts were longer than a cell can hold so far.
    """

    def __init__(self, kinds: Sequence[ColumnKind], styles: CellStyles) -> None:
        self.cut_texts = 0
        self._styles = styles
        letters = [get_column_letter(index) for index in range(1, len(kinds) + 1)]
        self._row_start = '<row r="'
        self._first_cell = f'"><c r="{letters[0]}' if letters else '"></row>'
        # A row is its number joined into these pieces, so each cell's piece opens the next cell: ...</c><c r="B
        followers = [*(f'<c r="{letter}' for letter in letters[1:]), "</row>"][: len(letters)]
        encoders = {
            ColumnKind.TEXT: self._text_column,
            ColumnKind.NUMBER: self._number_column,
            ColumnKind.DURATION: self._duration_column,
            ColumnKind.DATETIME: self._datetime_column,
        }
        self._columns: list[Callable[[Sequence[Value]], Iterable[str]]] = [
            encoders[kind](follower) for kind, follower in zip(kinds, followers, strict=True)
        ]

    def header(self, labels: Sequence[str]) -> bytes:
        """The header row, number 1."""
        cells = [
            f'<c r="{get_column_letter(index)}1"{self._text(label, self._styles.header)}'
            for index, label in enumerate(labels, 1)
        ]
        return f'<row r="1" ht="32" customHeight="1">{"".join(cells)}</row>'.encode()

    def rows(self, rows: Sequence[Row], first_number: int) -> bytes:
        """The XML of some rows, numbered from ``first_number``."""
        columns = [encode(values) for encode, values in zip(self._columns, zip(*rows, strict=True), strict=True)]
        numbers = map(str, range(first_number, first_number + len(rows)))
        pieces = zip(repeat(self._row_start), repeat(self._first_cell), *columns, strict=False)
        return "".join(map(str.join, numbers, pieces)).encode()

    def _text_column(self, follower: str) -> Callable[[Sequence[Value]], Iterable[str]]:
        style = self._styles.text
        empty = f'" s="{style}"/>{follower}'
        start = f'" s="{style}" t="inlineStr"><is><t>'
        end = f"</t></is></c>{follower}"

        def encode(values: Sequence[Value]) -> Iterable[str]:
            if _are_plain(values):
                return [f"{start}{value}{end}" if value else empty for value in values]
            return [f'"{self._text(value, style)}{follower}' for value in values]

        return encode

    def _number_column(self, follower: str) -> Callable[[Sequence[Value]], Iterable[str]]:
        def encode(values: Sequence[Value]) -> Iterable[str]:
            return [f'"{self._number(value)}{follower}' for value in values]

        return encode

    def _duration_column(self, follower: str) -> Callable[[Sequence[Value]], Iterable[str]]:
        remembered: dict[Value, str] = {}

        def encode_one(value: Value) -> str:
            cell = f'"{self._duration(value)}{follower}'
            if not isinstance(value, str) and len(remembered) < _MAX_REMEMBERED:
                remembered[value] = cell
            return cell

        def encode(values: Sequence[Value]) -> Iterable[str]:
            recall = remembered.get
            return [recall(value) or encode_one(value) for value in values]

        return encode

    def _datetime_column(self, follower: str) -> Callable[[Sequence[Value]], Iterable[str]]:
        def encode(values: Sequence[Value]) -> Iterable[str]:
            return [f'"{self._datetime(value)}{follower}' for value in values]

        return encode

    # The rest of a cell after its reference: attributes, content, end.

    def _text(self, value: Value, style: int) -> str:
        if value is None or value == "":
            return f' s="{style}"/>'
        text, was_cut = fit_text(str(value))
        self.cut_texts += was_cut
        text = escape_lookalikes(text)
        space = ' xml:space="preserve"' if text != text.strip() or "\n" in text else ""
        # A literal CR would be read as LF (XML 1.0, 2.11).
        xml = escape(text, {"\r": "&#13;"})
        return f' s="{style}" t="inlineStr"><is><t{space}>{xml}</t></is></c>'

    def _number(self, value: Value) -> str:
        if isinstance(value, (int, float)) and is_number(value):
            return f' s="{self._styles.number}"><v>{value!r}</v></c>'
        return f' s="{self._styles.number}"/>' if value is None else self._text(value, self._styles.text)

    def _duration(self, value: Value) -> str:
        if isinstance(value, (int, float)) and is_number(value):
            return f' s="{self._styles.duration}"><v>{value / _SECONDS_OF_DAY!r}</v></c>'
        return f' s="{self._styles.duration}"/>' if value is None else self._text(value, self._styles.text)

    def _datetime(self, value: Value) -> str:
        if isinstance(value, datetime) and value >= _FIRST_SAFE_DAY:
            seconds = value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
            serial = value.toordinal() - _DAY_ZERO + seconds / _SECONDS_OF_DAY
            return f' s="{self._styles.datetime}"><v>{serial!r}</v></c>'
        return f' s="{self._styles.datetime}"/>' if value is None else self._text(value, self._styles.text)


def _are_plain(values: Sequence[Value]) -> bool:
    """Whether all texts can stand in XML as they are; decided for a whole column by a few passes at C speed."""
    if not are_texts(values):  # a number or time, which the column should not hold, but may
        return False
    texts = list(filter(None, values))
    joined = f"|{'|'.join(texts)}|"
    return (
        joined.isprintable()  # neither controls nor line breaks nor surrogates
        and not any(mark in joined for mark in ("&", "<", ">", "_x", "| ", " |"))
        and (len(joined) * 2 <= MAX_TEXT or max(map(len, texts)) * 2 <= MAX_TEXT)
    )
