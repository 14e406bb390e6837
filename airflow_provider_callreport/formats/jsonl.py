"""JSON Lines: one object a line, in UTF-8, keyed by the columns' labels in their order.

========  =====================================================================================================
kind      in the file
========  =====================================================================================================
text      a string, cleaned as `text.clean` says
number    a number
duration  seconds, a number: ``75``
datetime  a string as ISO 8601 has it: ``"2026-10-01T09:30:00"``, in the account's zone and without an offset, as
          the API gives it and every other format holds it
None      ``null``, as is an empty text
========  =====================================================================================================

What the API sent in a number, duration or datetime column and nobody could read as such is a string. An empty report
is an empty file. Option ``gzip``: the file is compressed and called ``.jsonl.gz``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from json.encoder import encode_basestring as quote
from pathlib import Path
from typing import Any

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.stream import OutputFile
from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.formats.values import clean_texts, is_number, whole_seconds
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Row, Value


class JsonLinesWriter:
    """Write a report as JSON Lines. See the module's docstring."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        settings = FORMATS["jsonl"].check_options(options)
        self._encoders = [_ENCODERS[column.kind] for column in columns]
        # A line is a template that is filled with the encoded cells of a row: no object is made for it.
        members = ",".join(f"{quote(clean(column.label))}:".replace("%", "%%") + "%s" for column in columns)
        self._line = f"{{{members}}}\n"
        self._stream = OutputFile(path, compress=settings["gzip"])

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, a page at a time."""
        if not rows:
            return
        columns = [encode(values) for encode, values in zip(self._encoders, zip(*rows, strict=True), strict=True)]
        self._stream.write("".join(map(self._line.__mod__, zip(*columns, strict=True))).encode())

    def close(self, outcome: ReportOutcome) -> None:
        """Finish the file."""
        self._stream.close()

    def abort(self) -> None:
        """Release the file."""
        self._stream.close()


def _encode_texts(values: Sequence[Value]) -> Iterable[str]:
    return ["null" if text is None else quote(text) for text in clean_texts(values)]


def _encode_numbers(values: Sequence[Value]) -> Iterable[str]:
    return [repr(value) if is_number(value) else _encode_other(value) for value in values]


def _encode_durations(values: Sequence[Value]) -> Iterable[str]:
    return _encode_numbers(whole_seconds(values))


def _encode_datetimes(values: Sequence[Value]) -> Iterable[str]:
    return [f'"{value.isoformat()}"' if isinstance(value, datetime) else _encode_other(value) for value in values]


def _encode_other(value: Value) -> str:
    return "null" if value is None or value == "" else quote(clean(str(value)))


_ENCODERS: dict[ColumnKind, Callable[[Sequence[Value]], Iterable[str]]] = {
    ColumnKind.TEXT: _encode_texts,
    ColumnKind.NUMBER: _encode_numbers,
    ColumnKind.DURATION: _encode_durations,
    ColumnKind.DATETIME: _encode_datetimes,
}
