"""Apache Parquet with typed columns and Zstandard compression, written a row group at a time.

========  ===============================  ====================================================================
kind      Parquet type                     in the file
========  ===============================  ====================================================================
text      string                           cleaned as `text.clean` says; an empty text is null
number    double                           a number of up to 15 digits, which a double keeps
duration  double                           seconds; the API's are whole, but fractions would not be lost
datetime  timestamp(us), no zone           in the account's zone, as the API gives it
========  ===============================  ====================================================================

A value of the API in a number, duration or datetime column that could not be read as such is null there. Its text is in
the last column, ``_unread``: a JSON object of label and text, null where all values were read. This column always
exists, so that the files of all days have one schema.

The file's key-value metadata hold ``report``, ``window_start``, ``window_end`` and ``timezone``. Needs the extra
``parquet`` (pyarrow). No options.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.formats.values import clean_labels, clean_texts, is_number
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Row, Value

_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.DURATION: pa.float64(),
    ColumnKind.DATETIME: pa.timestamp("us"),
}
_UNREAD = "_unread"


class ParquetWriter:
    """Write a report as Parquet. See the module's docstring."""

    ROW_GROUP = 16_384
    """Rows of a row group, the unit that is held in memory, as Arrow columns."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        FORMATS["parquet"].check_options(options)
        self._kinds = [column.kind for column in columns]
        self._labels = clean_labels([column.label for column in columns])
        unread = _UNREAD
        while unread in self._labels:
            unread += "_"
        fields = [(label, _TYPES[kind]) for label, kind in zip(self._labels, self._kinds, strict=True)]
        self._schema = pa.schema([*fields, (unread, pa.string())], metadata=_metadata(info))
        # Arrow's own allocator keeps some 30 MB that were freed. It is faster, but for so few pages that is nothing.
        self._memory = pa.system_memory_pool()
        self._pages: list[pa.RecordBatch] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", memory_pool=self._memory)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, a page at a time."""
        if not rows:
            return
        unread: dict[int, dict[str, str]] = {}
        arrays = [
            pa.array(_readable(values, kind, label, unread), _TYPES[kind], memory_pool=self._memory)
            for values, kind, label in zip(zip(*rows, strict=True), self._kinds, self._labels, strict=True)
        ]
        notes = [json.dumps(unread[i], ensure_ascii=False) if i in unread else None for i in range(len(rows))]
        self._pages.append(
            pa.RecordBatch.from_arrays(
                [*arrays, pa.array(notes, pa.string(), memory_pool=self._memory)], schema=self._schema
            )
        )
        self._rows += len(rows)
        while self._rows >= self.ROW_GROUP:
            self._write_group(self.ROW_GROUP)

    def close(self, outcome: ReportOutcome) -> None:
        """Finish the file. An empty report has a schema and no rows."""
        if self._rows:
            self._write_group(self._rows)
        self._writer.close()

    def abort(self) -> None:
        """Release the file."""
        with suppress(Exception):  # the failure that led here is the one to report
            self._writer.close()

    def _write_group(self, rows: int) -> None:
        # Groups are cut by the count of rows, not by pages: the same rows give the same file whatever the page size.
        table = pa.Table.from_batches(self._pages, self._schema)
        self._writer.write_table(table.slice(0, rows).combine_chunks(self._memory), row_group_size=rows)
        self._pages = table.slice(rows).to_batches()
        self._rows -= rows


def _metadata(info: ReportInfo) -> dict[str, str]:
    return {
        "report": info.report,
        "window_start": info.window_start.isoformat(),
        "window_end": info.window_end.isoformat(),
        "timezone": info.timezone,
    }


def _readable(
    values: Sequence[Value], kind: ColumnKind, label: str, unread: dict[int, dict[str, str]]
) -> Sequence[Value]:
    """The values that the column's type can hold, None for others; ``unread`` gets these, by row and label."""
    if kind is ColumnKind.TEXT:
        return clean_texts(values)
    readable: list[Value] = []
    for index, value in enumerate(values):
        if value is None or value == "":
            readable.append(None)
        elif isinstance(value, datetime) if kind is ColumnKind.DATETIME else is_number(value):
            readable.append(value)
        else:
            readable.append(None)
            unread.setdefault(index, {})[label] = clean(str(value))
    return readable
