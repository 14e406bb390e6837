"""Typed rows become Arrow record batches of one schema: what a Parquet file holds, and what `hook.get_arrow` streams.

========  ===============================  ====================================================================
kind      Arrow type                       what it holds
========  ===============================  ====================================================================
text      string                           cleaned as `text.clean` says; an empty text is null
number    double                           a number of up to 15 digits, which a double keeps
duration  double                           seconds; the API's are whole, but fractions would not be lost
datetime  timestamp(us), no zone           in the account's zone, as the API gives it
========  ===============================  ====================================================================

A value of the API in a number, duration or datetime column that could not be read as such is null there. Its text is in
the last column, ``_unread``: a JSON object of label and text, null where all values were read. This column always
exists, so that all days have one schema.

The schema's metadata hold ``report``, ``window_start``, ``window_end`` and ``timezone``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.formats.values import clean_labels, clean_texts, is_number
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, Row, Value

_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.DURATION: pa.float64(),
    ColumnKind.DATETIME: pa.timestamp("us"),
}
_UNREAD = "_unread"


class RecordBatches:
    """Makes record batches of rows. See the module's docstring.

    Args:
        columns: the columns of the rows.
        info: the report's description.
        memory: Arrow's memory pool, or None for its default.

    Attributes:
        columns: the columns.
        schema: the batches' schema: the columns, and one more behind them.
    """

    def __init__(self, columns: Sequence[Column], info: ReportInfo, memory: pa.MemoryPool | None = None) -> None:
        self.columns = columns
        self._kinds = [column.kind for column in columns]
        self._labels = clean_labels([column.label for column in columns])
        self._memory = memory
        unread = _UNREAD
        while unread in self._labels:
            unread += "_"
        fields = [(label, _TYPES[kind]) for label, kind in zip(self._labels, self._kinds, strict=True)]
        self.schema = pa.schema([*fields, (unread, pa.string())], metadata=_metadata(info))

    def batch(self, rows: Sequence[Row]) -> pa.RecordBatch:
        """One batch of at least one row."""
        unread: dict[int, dict[str, str]] = {}
        arrays = [
            pa.array(_readable(values, kind, label, unread), _TYPES[kind], memory_pool=self._memory)
            for values, kind, label in zip(zip(*rows, strict=True), self._kinds, self._labels, strict=True)
        ]
        notes = [json.dumps(unread[i], ensure_ascii=False) if i in unread else None for i in range(len(rows))]
        return pa.RecordBatch.from_arrays(
            [*arrays, pa.array(notes, pa.string(), memory_pool=self._memory)], schema=self.schema
        )


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
