"""Rows to the XML of a worksheet's ``sheetData``, a column at a time (ECMA-376 part 1, 18.3.1).

openpyxl writes a cell in about 6 µs, most of it in Python objects that are thrown away at once. Here some hundred rows
become XML with one string per cell and one C-level join per row. Texts go into the workbook's table (`strings`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat

from openpyxl.utils import get_column_letter

from airflow_provider_callreport.formats.values import are_numbers, are_texts, is_number
from airflow_provider_callreport.formats.xlsx.strings import SharedStrings, fit_text, text_element
from airflow_provider_callreport.report import ColumnKind, Row, Value

_FIRST_DAY = datetime(1900, 3, 1)  # before it Excel counts a 29 February 1900 that never was
_LAST_DAY = datetime(9999, 12, 31)  # what Excel shows of it is rounded up, to a year that it does not know
_DAY_ZERO, _DAY = datetime(1899, 12, 30), timedelta(days=1)
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


class RowEncoder:
    """Encode the rows of one report.

    Args:
        kinds: kinds of the columns.
        styles: the cell formats.
        strings: the workbook's table of texts.

    Attributes:
        cut_texts: how many texts were longer than a cell can hold so far.
    """

    def __init__(self, kinds: Sequence[ColumnKind], styles: CellStyles, strings: SharedStrings) -> None:
        self.cut_texts = 0
        self._strings = strings
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
        start = f'" s="{style}" t="s"><v>'
        end = f"</v></c>{follower}"

        def encode(values: Sequence[Value]) -> Iterable[str]:
            if are_texts(values):
                numbers = self._strings.numbers(values)
                if numbers is not None:
                    return [f"{start}{numbers[value]}{end}" if value else empty for value in values]
            return [f'"{self._text(value, style)}{follower}' for value in values]

        return encode

    def _number_column(self, follower: str) -> Callable[[Sequence[Value]], Iterable[str]]:
        style = self._styles.number

        def encode(values: Sequence[Value]) -> Iterable[str]:
            if None not in values and are_numbers(values):
                return [f'" s="{style}"><v>{value!r}</v></c>{follower}' for value in values]
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
        style = self._styles.datetime

        def encode(values: Sequence[Value]) -> Iterable[str]:
            if set(map(type, values)) == {datetime} and min(values) >= _FIRST_DAY and max(values) < _LAST_DAY:  # type: ignore[type-var,operator]  # they are times
                return [f'" s="{style}"><v>{(value - _DAY_ZERO) / _DAY!r}</v></c>{follower}' for value in values]  # type: ignore[operator]
            return [f'"{self._datetime(value)}{follower}' for value in values]

        return encode

    # The rest of a cell after its reference: attributes, content, end.

    def _text(self, value: Value, style: int) -> str:
        if value is None or value == "":
            return f' s="{style}"/>'
        text, was_cut = fit_text(str(value))
        self.cut_texts += was_cut
        number = self._strings.number(text)
        if number is None:
            return f' s="{style}" t="inlineStr"><is>{text_element(text)}</is></c>'
        return f' s="{style}" t="s"><v>{number}</v></c>'

    def _number(self, value: Value) -> str:
        if isinstance(value, (int, float)) and is_number(value):
            return f' s="{self._styles.number}"><v>{value!r}</v></c>'
        return f' s="{self._styles.number}"/>' if value is None else self._text(value, self._styles.text)

    def _duration(self, value: Value) -> str:
        if isinstance(value, (int, float)) and is_number(value):
            return f' s="{self._styles.duration}"><v>{value / _SECONDS_OF_DAY!r}</v></c>'
        return f' s="{self._styles.duration}"/>' if value is None else self._text(value, self._styles.text)

    def _datetime(self, value: Value) -> str:
        if isinstance(value, datetime) and _FIRST_DAY <= value < _LAST_DAY:
            return f' s="{self._styles.datetime}"><v>{(value - _DAY_ZERO) / _DAY!r}</v></c>'
        return f' s="{self._styles.datetime}"/>' if value is None else self._text(value, self._styles.text)
