"""Excel: a sheet "Summary" with figures and charts, then the calls on "Calls", "Calls 2" and so on.

========  =====================================================================================================
kind      in the file
========  =====================================================================================================
text      a string cell, whatever it looks like: never a formula, number or link
number    a number; one of more than 15 digits, which Excel cannot keep, is a string
duration  a fraction of a day, shown as ``[h]:mm:ss``
datetime  a date in the account's zone, shown as ``yyyy-mm-dd hh:mm:ss``; one before 1900-03-01, from where on Excel
          counts days rightly, is a string
None      an empty cell, as is an empty text
========  =====================================================================================================

A text of more than 32,767 UTF-16 code units is cut and ends in ``… [cut]``; the Summary says how many were. Characters
that XML cannot hold are replaced as `text.clean` says.

The rows go straight into the zip file while they come; no temporary file is made, and memory does not grow with the
report. openpyxl makes all the rest of the workbook when the last row is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

from openpyxl import Workbook

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats._xlsx_calls import CallsSheet, cell_styles, column_widths
from airflow_provider_callreport.formats._xlsx_package import Package, write_package
from airflow_provider_callreport.formats._xlsx_rows import RowEncoder
from airflow_provider_callreport.formats._xlsx_summary import fill_summary
from airflow_provider_callreport.formats.text import one_line
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row

_CREATOR = "airflow-provider-callreport"
_SAMPLE_ROWS = 500


class XlsxWriter:
    """Write a report as an Excel workbook. See the module's docstring."""

    MAX_ROWS = 1_048_576
    """Rows of one sheet, its header included (Microsoft, "Excel specifications and limits")."""

    MAX_COLUMNS = 16_384
    """Columns of one sheet (same source)."""

    MAX_SHEET_BYTES = 1_500_000_000
    """XML of one sheet after which a further one is begun; a zip entry of 2 GiB would need the Zip64 format."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        FORMATS["xlsx"].check_options(options)
        if len(columns) > self.MAX_COLUMNS:
            raise ValueError(
                f"The report has {len(columns):,} columns, but an Excel sheet holds at most {self.MAX_COLUMNS:,}: "
                'choose fewer with "columns", or another file_format.'
            )
        self._columns = columns
        self._info = info
        self._workbook = Workbook()
        self._encoder = RowEncoder([column.kind for column in columns], cell_styles(self._workbook))
        self._widths: Sequence[int] | None = None
        self._sheet: CallsSheet | None = None
        self._package = Package(path, info.file_time)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, a page at a time; the first page decides how wide the columns are."""
        position = 0
        while position < len(rows):
            sheet = self._sheet_with_room(rows)
            part = rows[position : position + self.MAX_ROWS - sheet.length]
            sheet.write(part)
            position += len(part)

    def close(self, outcome: ReportOutcome) -> None:
        """Write the Summary and all that surrounds the sheets."""
        self._sheet_with_room(()).end()
        calls_sheets = self._workbook.sheetnames[1:]
        fill_summary(self._workbook.worksheets[0], self._info, outcome, calls_sheets, self._encoder.cut_texts)
        properties = self._workbook.properties
        properties.creator = _CREATOR
        properties.title = one_line(self._info.title)
        properties.created = properties.modified = self._info.file_time.astimezone(UTC).replace(tzinfo=None)
        write_package(self._workbook, self._package, frozenset(calls_sheets))

    def abort(self) -> None:
        """Release the file."""
        with suppress(Exception):  # the failure that led here is the one to report
            if self._sheet is not None:
                self._sheet.abort()
            self._package.close()

    def _sheet_with_room(self, rows: Sequence[Row]) -> CallsSheet:
        """The sheet for the next row; begun if there is none yet or the last one is full and more rows come."""
        if self._widths is None:
            self._widths = column_widths(self._columns, rows[:_SAMPLE_ROWS])
        sheet = self._sheet
        if sheet is not None and rows and (sheet.length >= self.MAX_ROWS or sheet.size >= self.MAX_SHEET_BYTES):
            sheet.end()
            sheet = None
        if sheet is None:
            sheet = CallsSheet(self._workbook, self._package, self._columns, self._encoder, self._widths)
        self._sheet = sheet
        return sheet
