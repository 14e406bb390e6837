"""CSV as RFC 4180 has it, in UTF-8: CRLF line ends, quotes only where they are needed, one header line.

========  =====================================================================================================
kind      in the file
========  =====================================================================================================
text      itself, through `text.clean` and the formula guard (`guard`)
number    shortest digits that give the same number: ``12``, ``0.5``
duration  seconds: ``75``
datetime  ``2026-10-01 09:30:00`` in the account's zone
None      nothing between the delimiters
========  =====================================================================================================

Options: ``delimiter``; ``bom``, a byte order mark at the start; ``gzip``, the file is compressed and called
``.csv.gz``; ``guard_formulas``, on unless you turn it off; ``excel_friendly``, which turns ``bom`` and
``guard_formulas`` on. Excel reads UTF-8 as such when a byte order mark says so. The preset adds no ``sep=`` line: every
other reader takes that for the header. It cannot keep Excel from reading ``0049`` as the number 49, since CSV has no
types: for phone numbers in Excel the format is ``xlsx``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.guard import guard_strays, guard_texts
from airflow_provider_callreport.formats.stream import OutputFile
from airflow_provider_callreport.formats.text import encode
from airflow_provider_callreport.formats.values import whole_seconds
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Row, Value

_BOM = b"\xef\xbb\xbf"


class CsvWriter:
    """Write a report as CSV. See the module's docstring for the options."""

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None:
        settings = FORMATS["csv"].check_options(options)
        excel_friendly: bool = settings["excel_friendly"]
        self._kinds = [column.kind for column in columns]
        self._guard: bool = settings["guard_formulas"] or excel_friendly
        self._delimiter: str = settings["delimiter"]
        self._stream = OutputFile(path, compress=settings["gzip"])
        if settings["bom"] or excel_friendly:
            self._stream.write(_BOM)
        labels: Sequence[Value] = [column.label for column in columns]
        self._write_lines([guard_texts(labels) if self._guard else labels])

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, a page at a time."""
        if rows:
            self._write_lines(self._prepared(rows))

    def close(self, outcome: ReportOutcome) -> None:
        """Finish the file. An empty report is a header line."""
        self._stream.close()

    def abort(self) -> None:
        """Release the file."""
        self._stream.close()

    def _write_lines(self, rows: Iterable[Row]) -> None:
        # Through a string rather than a text file: a page's text is encoded and checked in one piece, at C speed.
        page = StringIO(newline="")
        csv.writer(page, delimiter=self._delimiter).writerows(rows)
        self._stream.write(encode(page.getvalue()))

    def _prepared(self, rows: Sequence[Row]) -> Iterable[Row]:
        """The rows as ``csv.writer`` shall see them. It prints numbers, ``datetime`` and None as we want them."""
        columns: list[Sequence[Value]] = list(zip(*rows, strict=True))
        changed = False
        for index, kind in enumerate(self._kinds):
            values = columns[index]
            if kind is ColumnKind.DURATION:
                values = whole_seconds(values)
            if self._guard:
                values = guard_texts(values) if kind is ColumnKind.TEXT else guard_strays(values)
            if values is not columns[index]:
                columns[index] = values
                changed = True
        return zip(*columns, strict=True) if changed else rows
