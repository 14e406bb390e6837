"""Apache Parquet with Zstandard compression, written a row group at a time.

Columns, their types and the file's key-value metadata: see `arrow`. Needs the extra ``parquet`` (pyarrow). No options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.arrow import RecordBatches
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row


class ParquetWriter:
    """Write a report as Parquet. See the module's docstring."""

    ROW_GROUP = 16_384
    """Rows of a row group, the unit that is held in memory, as Arrow columns."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        FORMATS["parquet"].check_options(options)
        # Arrow's own allocator keeps some 30 MB that were freed. It is faster, but for so few pages that is nothing.
        self._memory = pa.system_memory_pool()
        self._batches = RecordBatches(columns, info, self._memory)
        self._pages: list[pa.RecordBatch] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(path, self._batches.schema, compression="zstd", memory_pool=self._memory)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, a page at a time."""
        if not rows:
            return
        self._pages.append(self._batches.batch(rows))
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
        table = pa.Table.from_batches(self._pages, self._batches.schema)
        self._writer.write_table(table.slice(0, rows).combine_chunks(self._memory), row_group_size=rows)
        self._pages = table.slice(rows).to_batches()
        self._rows -= rows
