"""File formats: a stream of typed rows becomes one file.

A format is one module with one writer class, and one entry in `FORMATS`. A writer is imported when it is first used, so
a Dag file does not pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_callreport.formats.options import Option, choice, complete, switch, texts, whole_number
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row


class ReportWriter(Protocol):
    """What every format implements.

    A writer is made with ``(path, columns, info, options)``, takes any number of `write` calls and ends with exactly
    one `close` or `abort`. It holds a bounded number of rows at a time, whatever the size of the report, and leaves
    no file outside ``path.parent``.
    """

    def __init__(self, path: Path, columns: Sequence[Column], info: ReportInfo, options: Mapping[str, Any]) -> None: ...

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, in order. A cell whose type is not that of its column (a ``str``) is written as text."""

    def close(self, outcome: ReportOutcome) -> None:
        """Finish the file at ``path``. The same rows, info and outcome give the same bytes."""

    def abort(self) -> None:
        """Release file handles after a failure; safe to call at any time, also twice. The file is worthless."""


@dataclass(frozen=True, slots=True)
class Format:
    """One line of the registry.

    Attributes:
        name: what users type as ``file_format``.
        extension: file name suffix, with the dot, when no option changes it (`extension_for`).
        content_type: MIME type for S3 and mail, when no option changes it (`content_type_for`).
        writer: ``"module:class"`` inside this package, imported on first use.
        needs_figures: whether the writer shows `ReportOutcome.figures`.
        options: the ``format_options`` that the writer understands.
        extra: the pip extra that brings its library, when it is not a core dependency.
    """

    name: str
    extension: str
    content_type: str
    writer: str
    needs_figures: bool = False
    options: tuple[Option, ...] = ()
    extra: str | None = None

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Check ``format_options`` and return them with the defaults of those that are not set.

        Imports no library, so that a Dag file can call it.

        Raises:
            ValueError: an option is unknown or has a value that it does not take; the message names what is allowed.
        """
        return complete(f'file_format "{self.name}"', self.options, options)

    def extension_for(self, options: Mapping[str, Any]) -> str:
        """The file name suffix under these options: ``".csv.gz"`` with ``{"gzip": True}``."""
        return self.extension + (".gz" if options.get("gzip") else "")

    def content_type_for(self, options: Mapping[str, Any]) -> str:
        """The MIME type under these options (RFC 6713 for gzip)."""
        return "application/gzip" if options.get("gzip") else self.content_type

    def load(self) -> type[ReportWriter]:
        """Import the writer class.

        Raises:
            ImportError: the library of an optional format is not installed; the message names the extra.
        """
        module_name, class_name = self.writer.split(":")
        try:
            module = import_module(f"{__name__}.{module_name}")
        except ImportError as error:
            if self.extra is None:
                raise
            raise ImportError(
                f'file_format "{self.name}" needs the extra "{self.extra}": '
                f"pip install 'airflow-provider-callreport[{self.extra}]' ({error})"
            ) from error
        writer: type[ReportWriter] = getattr(module, class_name)
        return writer


#: Every format, by the name users type.
FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "csv",
            ".csv",
            "text/csv; charset=utf-8",
            "csv:CsvWriter",
            options=(
                choice("delimiter", ",", ";", "\t", "|"),
                switch("bom", False),
                switch("excel_friendly", False),
                switch("guard_formulas", True),
                switch("gzip", False),
                choice("line_breaks", "keep", "space"),
            ),
        ),
        Format(
            "xlsx",
            ".xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "xlsx.writer:XlsxWriter",
            needs_figures=True,
        ),
        Format(
            "jsonl",
            ".jsonl",
            "application/jsonl; charset=utf-8",
            "jsonl:JsonLinesWriter",
            options=(switch("gzip", False),),
        ),
        Format("parquet", ".parquet", "application/vnd.apache.parquet", "parquet:ParquetWriter", extra="parquet"),
        Format(
            "pdf",
            ".pdf",
            "application/pdf",
            "pdf.writer:PdfWriter",
            needs_figures=True,
            options=(
                whole_number("max_rows", 50_000, minimum=1),
                choice("over_max_rows", "fail", "summary_only", "split"),
                texts("font_paths"),
            ),
        ),
    )
}
