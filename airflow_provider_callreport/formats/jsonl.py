"""JSON Lines: one object a line, in UTF-8, keyed by the columns' labels in their order.

========  =====================================================================================================
kind      in the file
========  =====================================================================================================
text      a string, cleaned as `text.clean` says
number    a number; the shortest digits that give the same double: ``12``, ``0.5``, ``1e-7``
duration  seconds, a number: ``75``
datetime  a string as ISO 8601 has it: ``"2026-10-01T09:30:00"``, in the account's zone and without an offset, as
          the API gives it and every other format holds it
None      ``null``, as is an empty text
========  =====================================================================================================

A value of the API in a number, duration or datetime column that could not be read as such is a string. An empty report
is an empty file. Option ``gzip``: the file is compressed and called ``.jsonl.gz``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import defstruct
from msgspec.json import Encoder

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.stream import OutputFile
from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.formats.values import (
    are_numbers,
    clean_labels,
    clean_texts,
    is_number,
    whole_seconds,
)
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Row, Value

_NONE = type(None)


class JsonLinesWriter:
    """Write a report as JSON Lines. See the module's docstring."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        settings = FORMATS["jsonl"].check_options(options)
        self._record = _record_maker(clean_labels([column.label for column in columns]))
        self._prepare = [_PREPARE[column.kind] for column in columns]
        self._encoder = Encoder()
        self._stream = OutputFile(path, compress=settings["gzip"])

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, a page at a time."""
        if not rows:
            return
        columns = zip(*rows, strict=True)
        values = [prepare(cells) for prepare, cells in zip(self._prepare, columns, strict=True)]
        self._stream.write(self._encoder.encode_lines(list(map(self._record, zip(*values, strict=True)))))

    def close(self, outcome: ReportOutcome) -> None:
        """Finish the file."""
        self._stream.close()

    def abort(self) -> None:
        """Release the file."""
        self._stream.close()


def _record_maker(labels: Sequence[str]) -> Callable[[Sequence[Value]], Any]:
    """What makes an object of a row that msgspec encodes with ``labels`` as its keys."""
    if any('"' in label or "\\" in label or not label.isprintable() for label in labels):
        return lambda row: dict(zip(labels, row, strict=True))
    # A Struct takes a third of a dict's time; msgspec refuses keys for it that would have to be escaped.
    fields = {f"c{index}": label for index, label in enumerate(labels)}
    record = defstruct("Record", [(name, Any) for name in fields], rename=fields, gc=False)
    return lambda row: record(*row)


# What msgspec writes as it should stand in the file. It would take a lone surrogate for an error and write NaN as null.


def _numbers(values: Sequence[Value]) -> Sequence[Value]:
    if are_numbers(values):
        return values
    return [value if is_number(value) else _text_or_null(value) for value in values]


def _durations(values: Sequence[Value]) -> Sequence[Value]:
    return _numbers(whole_seconds(values))


def _times(values: Sequence[Value]) -> Sequence[Value]:
    if set(map(type, values)) <= {datetime, _NONE}:
        return values
    return [value if isinstance(value, datetime) else _text_or_null(value) for value in values]


def _text_or_null(value: Value) -> str | None:
    return None if value is None or value == "" else clean(str(value))


_PREPARE: dict[ColumnKind, Callable[[Sequence[Value]], Sequence[Value]]] = {
    ColumnKind.TEXT: clean_texts,
    ColumnKind.NUMBER: _numbers,
    ColumnKind.DURATION: _durations,
    ColumnKind.DATETIME: _times,
}
