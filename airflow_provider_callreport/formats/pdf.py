"""PDF: a summary page with charts, then every call in a landscape table.

No PDF library is used. The text operators, the container and the fonts of a table need a few hundred lines
(``_pdf_*.py``), and the measured choices could not meet the bars: reportlab's canvas writes half as fast, keeps the
document in memory and loses Hindi on copying; see ``benchmarks/pdf_libraries.py``. HarfBuzz (``uharfbuzz``) does what
is hard: shaping and subsetting fonts.

Pages go to disk as they are full. The summary is written last and put first; the number of pages, known only then, is
one shared object that every page shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_callreport.formats._pdf_fonts import FontBook, FontError, font_files
from airflow_provider_callreport.formats._pdf_page import Document
from airflow_provider_callreport.formats._pdf_summary import draw_summary, window_text
from airflow_provider_callreport.formats._pdf_table import CallTable
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row

__all__ = ["FontError", "PdfOptions", "PdfTooManyRowsError", "PdfWriter"]

_CREATOR = "airflow-provider-callreport"
#: Names of the format options, for the registry.
OPTION_NAMES = ("max_rows", "over_max_rows", "font_paths")
_POLICIES = ("fail", "summary_only")


class PdfTooManyRowsError(ValueError):
    """The report has more rows than ``max_rows`` and ``over_max_rows`` is ``"fail"``."""


@dataclass(frozen=True, slots=True)
class PdfOptions:
    """The ``format_options`` of a PDF.

    Attributes:
        max_rows: most rows that are drawn; a page holds about 40.
        over_max_rows: what happens with one row more: ``"fail"``, or ``"summary_only"``, a document of the summary
            page alone that says so.
        font_paths: further font files, or folders of them, for scripts that the fonts in this package do not have,
            such as Chinese, Japanese and Korean. Asked in this order, before a character is replaced by a box.
    """

    max_rows: int = 50_000
    over_max_rows: str = "fail"
    font_paths: tuple[str, ...] = ()

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> PdfOptions:
        """Check what the user typed.

        Raises:
            ValueError: an unknown name or a value that is not allowed.
        """
        default = cls()
        unknown = sorted(set(options) - set(OPTION_NAMES))
        if unknown:
            known = ", ".join(f'"{name}"' for name in OPTION_NAMES)
            raise ValueError(f'format_options of "pdf": "{unknown[0]}" is not known; known are {known}')
        max_rows = options.get("max_rows", default.max_rows)
        if isinstance(max_rows, bool) or not isinstance(max_rows, int) or max_rows < 1:
            raise ValueError(
                f'format_options of "pdf": max_rows is {max_rows!r}; allowed is a whole number of 1 or more'
            )
        policy = options.get("over_max_rows", default.over_max_rows)
        if policy not in _POLICIES:
            raise ValueError(
                f'format_options of "pdf": over_max_rows is {policy!r}; allowed are "fail", "summary_only"'
            )
        paths = options.get("font_paths", ())
        if isinstance(paths, (str, Path)):
            paths = (paths,)
        if not isinstance(paths, Sequence) or not all(isinstance(path, (str, Path)) for path in paths):
            raise ValueError(
                f'format_options of "pdf": font_paths is {paths!r}; allowed is a list of file or folder names'
            )
        return cls(max_rows, policy, tuple(map(str, paths)))


class PdfWriter:
    """Writes one report as a PDF document; see `ReportWriter` for the contract."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        """Start the document at ``path``.

        Args:
            path: the file to write.
            columns: the table's columns; all are drawn, over several pages side by side if they do not fit on one.
            info: the report.
            options: see `PdfOptions`.

        Raises:
            ValueError: an option is not known or not allowed, or a font in ``font_paths`` cannot be used.
        """
        self._options = PdfOptions.parse(options)
        self._fonts = font_files(self._options.font_paths)
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
        if self._rows > self._options.max_rows:
            self._leave_out_table()
        else:
            self._table.add(rows)

    def _leave_out_table(self) -> None:
        limit = self._options.max_rows
        if self._options.over_max_rows == "fail":
            raise PdfTooManyRowsError(
                f"a PDF of more than {limit:,} rows was refused (format_options max_rows): {self._rows:,} rows came so "
                'far; raise max_rows, set over_max_rows to "summary_only", or choose file_format "xlsx" or "csv"'
            )
        self._document.close()
        self._start()  # empties the file
        self._table = None

    def close(self, outcome: ReportOutcome) -> None:
        """Write the summary page, put it first, and finish the file."""
        remarks = []
        if self._table is None:
            remarks.append(f"left out, because the report has more than {self._options.max_rows:,} rows (max_rows).")
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
