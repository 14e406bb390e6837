"""PDF: a summary page with charts, then every call in a landscape table.

``format_options``:

* ``max_rows`` (50,000): the most rows that are drawn; an A4 page holds about 40.
* ``over_max_rows`` (``"fail"``): what happens when there are more. ``"summary_only"`` makes a document of the summary
  page alone, with the figures of all rows, that says so. ``"split"`` makes further documents of ``max_rows`` rows each;
  the export does that (``export.sinks.SplitFile``), and a writer never sees it.
* ``font_paths`` (none): font files, or folders of them, for scripts that the fonts in this package do not have, such as
  Chinese, Japanese and Korean (``typefaces/README.md``). They are tried in this order before a character is shown as a
  box.

No PDF library is used: what a table needs of the format is a few hundred lines, and no library is fast and right
enough (``benchmarks/pdf_libraries.py``). reportlab's canvas takes more than three times as long without measuring a
cell, and keeps all pages in memory. Text that it or fpdf2 shapes cannot be copied in most Indian scripts or in Arabic.
HarfBuzz (``uharfbuzz``) does the hard part: it shapes text, and reduces fonts to the glyphs that are shown.

A page is written to disk when it is full. The summary is written last and put first. The number of pages is known only
then; it is one shared object that every page shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_callreport.errors import CallReportError
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.pdf.fonts import FontBook, FontError, font_files
from airflow_provider_callreport.formats.pdf.page import Document
from airflow_provider_callreport.formats.pdf.summary import draw_summary, window_text
from airflow_provider_callreport.formats.pdf.table import CallTable
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row

__all__ = ["FontError", "PdfTooManyRowsError", "PdfWriter"]

_CREATOR = "airflow-provider-callreport"


class PdfTooManyRowsError(CallReportError, ValueError):
    """The report has more rows than ``max_rows`` and ``over_max_rows`` is ``"fail"``."""


class PdfWriter:
    """Writes one report as a PDF document; see `ReportWriter` for the contract, the module for the options."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        """Start the document at ``path``.

        Args:
            path: the file to write.
            columns: the table's columns; all are drawn, over several pages side by side if they do not fit on one.
            info: the report.
            options: the ``format_options``.

        Raises:
            ValueError: an option is unknown or has a value that it does not take.
            FontError: a font in ``font_paths`` cannot be used.
        """
        settings = FORMATS["pdf"].check_options(options)
        self._max_rows: int = settings["max_rows"]
        self._fails_over_max: bool = settings["over_max_rows"] == "fail"
        self._fonts = font_files(settings["font_paths"])
        self._path = path
        self._columns = tuple(columns)
        self._info = info
        self._rows = 0
        self._start()

    def _start(self) -> None:
        self._book = FontBook(self._fonts)
        self._document = Document(self._path, self._book, f"{window_text(self._info)} \u00b7 {self._info.title}")
        self._table: CallTable | None = CallTable(self._document, self._book, self._columns)

    def write(self, rows: Sequence[Row]) -> None:
        """Draw rows below those that are there.

        Raises:
            PdfTooManyRowsError: more than ``max_rows`` rows have come and the policy is ``"fail"``.
        """
        self._rows += len(rows)
        if self._table is None:
            return
        if self._rows > self._max_rows:
            self._leave_out_table()
        else:
            self._table.add(rows)

    def _leave_out_table(self) -> None:
        if self._fails_over_max:
            raise PdfTooManyRowsError(
                f'format_options: "max_rows" of file_format "pdf" is {self._max_rows:,}, but {self._rows:,} rows came '
                'so far; raise it, set "over_max_rows" to "split" or "summary_only", or choose file_format "xlsx" or '
                '"csv".'
            )
        self._document.close()
        self._start()  # empties the file
        self._table = None

    def close(self, outcome: ReportOutcome) -> None:
        """Write the summary page, put it first, and finish the file."""
        remarks = []
        if self._table is None:
            remarks.append(f"left out, because the report has more than {self._max_rows:,} rows (max_rows).")
        else:
            self._table.finish()
            remarks.extend(_remarks(self._columns, self._table))
        self._document.add_page(draw_summary(self._book, self._info, outcome, remarks), "Summary", first=True)
        self._document.finish(self._info.title, window_text(self._info), _CREATOR, self._info.file_time)

    def abort(self) -> None:
        """Release the file handle; safe to call at any time, also twice."""
        self._document.close()


def _remarks(columns: Sequence[Column], table: CallTable) -> list[str]:
    """What a reader has to know of the table, in sentences."""
    remarks = []
    if not columns:
        remarks.append("left out, because the report has no columns.")
    if table.cut_cells:
        cells = "1 cell is" if table.cut_cells == 1 else f"{table.cut_cells:,} cells are"
        remarks.append(f"{cells} longer than there is room for and shortened; the cut is marked \u2026")
    if table.replaced_cells:
        cells = "1 cell has" if table.replaced_cells == 1 else f"{table.replaced_cells:,} cells have"
        remarks.append(f"{cells} characters that no font here can draw; they show as \u25a1 and copy as the original.")
    return remarks
