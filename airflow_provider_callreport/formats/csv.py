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

Options:

- ``delimiter``: a comma unless you choose another.
- ``bom``: a byte order mark at the start.
- ``gzip``: the file is compressed and called ``.csv.gz``.
- ``guard_formulas``: on unless you turn it off.
- ``excel_friendly``: turns ``bom`` and ``guard_formulas`` on. Excel reads UTF-8 as such when a byte order mark says so.
  There is no ``sep=`` line: every other reader takes that for the header. Nothing keeps Excel from reading ``0049`` as
  the number 49, since CSV has no types: for phone numbers in Excel the format is ``xlsx``.
- ``line_breaks``: ``"keep"``, or ``"space"``, which writes a space for each line break inside a cell. Readers that take
  a line of the file for a record (Hive and Athena, Spark without ``multiLine``) need it.

A first label that begins with ``ID`` stands in quotes: Excel takes a file that begins with these two letters for one in
the format SYLK, and complains (Microsoft, "SYLK: File format is not valid").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Any

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.guard import guard_strays, guard_texts
from airflow_provider_callreport.formats.stream import OutputFile
from airflow_provider_callreport.formats.text import encode
from airflow_provider_callreport.formats.values import whole_seconds
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Row, Value

_BOM = b"\xef\xbb\xbf"
_END = "\r\n"
_BREAK = re.compile("\r\n|\r|\n")
_SYLK = "ID"

_NUMBERS = {int, float}
_TEXTS = {str, type(None)}


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
        self._marks = (self._delimiter, '"', "\r", "\n")
        self._mark = re.compile(f"[{''.join(self._marks)}]")
        self._one_line: bool = settings["line_breaks"] == "space"
        header = [self._cells(ColumnKind.TEXT, [column.label]) for column in columns]
        if header and header[0][0].startswith(_SYLK):
            header[0] = [f'"{header[0][0]}"']
        self._write_columns(header)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, a page at a time."""
        if rows:
            columns = zip(*rows, strict=True)
            self._write_columns([self._cells(kind, values) for kind, values in zip(self._kinds, columns, strict=True)])

    def close(self, outcome: ReportOutcome) -> None:
        """Finish the file. An empty report is a header line."""
        self._stream.close()

    def abort(self) -> None:
        """Release the file."""
        self._stream.close()

    def _write_columns(self, columns: Sequence[Sequence[str]]) -> None:
        # Column by column, and then encoded and checked in one piece: ``csv.writer``, which would write the same, looks
        # at every character of every cell.
        if len(columns) == 1:
            # An empty line would be no record.
            columns = [[text or '""' for text in columns[0]]]
        lines = map(self._delimiter.join, zip(*columns, strict=True))
        self._stream.write(encode(_END.join((*lines, ""))))

    def _cells(self, kind: ColumnKind, values: Sequence[Value]) -> Sequence[str]:
        """A column's cells as they stand in the file: guarded, as text, in quotes where they must be."""
        kinds = set(map(type, values))
        if float in kinds and kind is ColumnKind.DURATION:
            values = whole_seconds(values)
        if kinds <= _NUMBERS:
            return list(map(repr, values))
        if kinds == {datetime}:
            return list(map(datetime.isoformat, values, repeat(" ")))  # type: ignore[arg-type]  # they are times
        if self._one_line and str in kinds:
            values = [_BREAK.sub(" ", value) if isinstance(value, str) else value for value in values]
        if self._guard:
            values = guard_texts(values) if kind is ColumnKind.TEXT else guard_strays(values)
        if kinds <= _TEXTS:
            return self._quoted([value or "" for value in values])  # type: ignore[misc]  # they are texts
        return self._quoted(["" if value is None else str(value) for value in values])

    def _quoted(self, texts: Sequence[str]) -> Sequence[str]:
        """Texts, in quotes where a delimiter, a quote or a line end is in one."""
        together = "".join(texts)
        if not any(mark in together for mark in self._marks):
            return texts
        needs_quotes = self._mark.search
        return ['"' + text.replace('"', '""') + '"' if needs_quotes(text) else text for text in texts]
