"""Excel: a sheet "Summary" with figures and charts, then the calls on "Calls", "Calls 2" and so on.

========  =====================================================================================================
kind      in the file
========  =====================================================================================================
text      a string cell, whatever it looks like: never a formula, number or link
number    a number; one of more than 15 digits, which Excel cannot keep, is a string
duration  a fraction of a day, shown as ``[h]:mm:ss``
datetime  a date in the account's zone, shown as ``yyyy-mm-dd hh:mm:ss``; one before 1900-03-01, from where on Excel
          counts days rightly, is a string, and so is one of 9999-12-31, Excel's last day
None      an empty cell, as is an empty text
========  =====================================================================================================

A text of more than 32,767 UTF-16 code units is cut and ends in ``… [cut]``; the Summary says how many were. Characters
that XML cannot hold are replaced as `text.clean` says.

The rows go straight into the zip file while they come, and memory does not grow with the report. Texts go into one
table (`strings`), which in a large report waits in a file without a name. openpyxl makes all the rest of the workbook
when the last row is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

from openpyxl import Workbook

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.text import one_line
from airflow_provider_callreport.formats.xlsx.calls import CallsSheet, cell_styles, column_widths
from airflow_provider_callreport.formats.xlsx.package import Package, write_package
from airflow_provider_callreport.formats.xlsx.rows import RowEncoder
from airflow_provider_callreport.formats.xlsx.strings import SharedStrings
from airflow_provider_callreport.formats.xlsx.summary import fill_summary
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row

_CREATOR = "airflow-provider-callreport"
_CHUNK = 500  # rows that are encoded together; the first of them decide how wide the columns are


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
        self._strings = SharedStrings(path.parent)
        self._encoder = RowEncoder([column.kind for column in columns], cell_styles(self._workbook), self._strings)
        self._held: list[Row] = []
        self._widths: Sequence[int] = ()
        self._sheets: list[CallsSheet] = []
        self._package = Package(path, info.file_time)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows. They are encoded in chunks of one size, so that the API's pages do not show in the file."""
        self._held.extend(rows)
        while len(self._held) >= _CHUNK:
            self._append(self._held[:_CHUNK])
            del self._held[:_CHUNK]

    def close(self, outcome: ReportOutcome) -> None:
        """Write the Summary and all that surrounds the sheets."""
        self._append(self._held)
        self._sheets[-1].end()
        titles = [sheet.title for sheet in self._sheets]
        fill_summary(self._workbook.worksheets[0], self._info, outcome, titles, self._encoder.cut_texts)
        properties = self._workbook.properties
        properties.creator = _CREATOR
        properties.title = one_line(self._info.title)
        properties.created = properties.modified = self._info.file_time.astimezone(UTC).replace(tzinfo=None)
        write_package(self._workbook, self._package, frozenset(titles), self._strings)

    def abort(self) -> None:
        """Release the file."""
        for release in (*(sheet.abort for sheet in self._sheets[-1:]), self._package.close, self._strings.close):
            with suppress(Exception):  # the failure that led here is the one to report
                release()

    def _append(self, rows: Sequence[Row]) -> None:
        if not self._sheets:
            self._widths = column_widths(self._columns, rows)
            self._sheets.append(self._new_sheet())
        position = 0
        while position < len(rows):
            sheet = self._sheets[-1]
            if sheet.length >= self.MAX_ROWS or sheet.size >= self.MAX_SHEET_BYTES:
                sheet.end()
                sheet = self._new_sheet()
                self._sheets.append(sheet)
            part = rows[position : position + self.MAX_ROWS - sheet.length]
            sheet.write(part)
            position += len(part)

    def _new_sheet(self) -> CallsSheet:
        return CallsSheet(self._workbook, self._package, self._columns, self._encoder, self._widths)
