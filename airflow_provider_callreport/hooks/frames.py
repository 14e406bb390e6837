"""A report as Arrow record batches, and as a data frame of pandas or polars."""

from __future__ import annotations

import logging
from collections.abc import Generator
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import compute

from airflow_provider_callreport.api.errors import IncompleteReportError, TableError
from airflow_provider_callreport.api.filters import TITLES
from airflow_provider_callreport.api.table import Table
from airflow_provider_callreport.formats.arrow import RecordBatches
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo

if TYPE_CHECKING:
    import pandas
    import polars

    from airflow_provider_callreport.api.paging import ReportReader
    from airflow_provider_callreport.api.table import ColumnChoice

log = logging.getLogger(__name__)

_MICROSECONDS = 1_000_000


def record_batches(reader: ReportReader, choice: ColumnChoice) -> Generator[Any, None, None]:
    """Yield a `RecordBatches`, which has columns and schema, and then the batches that it makes, one a page.

    The iteration ends by itself only when the report is proved.

    Args:
        reader: reads the report.
        choice: columns to keep, or None for all.

    Raises:
        CallReportError: the report could not be read whole.
    """
    window, report = reader.window, reader.report
    info = ReportInfo(report, TITLES[report], window.local_start, window.local_end, window.zone.key)
    table = Table(window.zone, choice)
    pages = reader.pages()
    first = next(pages)
    batches = RecordBatches(table.start(first.form, first.bodies, is_named=reader.has_named_columns), info)
    yield batches
    count = 0
    for page in chain((first,), pages):
        if rows := table.rows(page.bodies, page.form):
            count += len(rows)
            yield batches.batch(rows)
    proof = reader.proof
    if proof is None or proof.rows != count:
        raise IncompleteReportError(
            "the rows of the batches are not the rows that came",
            page=reader.page,
            rows=count,
            promised=proof.rows if proof else None,
        )
    if proof.complete is not True or proof.window_open or not proof.window_checked:
        log.warning("%s", proof.note)


def read_table(reader: ReportReader, choice: ColumnChoice) -> pa.Table:
    """The whole report, with the types of a data frame: durations are durations, and times have the account's zone."""
    stream = record_batches(reader, choice)
    batches = next(stream)
    return _for_frames(pa.Table.from_batches(stream, batches.schema), batches.columns, reader.window.zone.key)


def to_pandas(table: pa.Table) -> pandas.DataFrame:
    """A data frame with pandas' nullable types for texts and numbers."""
    import pandas

    types = {pa.string(): pandas.StringDtype(), pa.float64(): pandas.Float64Dtype()}
    return table.to_pandas(types_mapper=types.get)


def to_polars(table: pa.Table) -> polars.DataFrame:
    """A data frame; polars has each of the types."""
    import polars

    return polars.DataFrame(table)


def _for_frames(table: pa.Table, columns: tuple[Column, ...], zone: str) -> pa.Table:
    for index, column in enumerate(columns):
        values = table.column(index)
        if column.kind is ColumnKind.DATETIME:
            # Which of two equal wall times it was, the API does not say. As in `Window`, it is the later one.
            made = compute.assume_timezone(values, zone, ambiguous="latest", nonexistent="latest")
        elif column.kind is ColumnKind.DURATION:
            try:
                whole = compute.round(compute.multiply(values, _MICROSECONDS)).cast(pa.int64())
            except pa.ArrowInvalid:
                raise TableError(
                    f"column {column.label!r} has a duration of more than 292,000 years, which no data frame holds; "
                    "leave the column out with columns=, or read it with get_arrow"
                ) from None
            made = whole.cast(pa.duration("us"))
        else:
            continue
        table = table.set_column(index, table.schema.names[index], made)
    return table
