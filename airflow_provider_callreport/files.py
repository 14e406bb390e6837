"""Rows become finished files in the spool directory: one file, or one per group.

Both sinks take rows page by page and give their files only when they are told how the reading ended; until then there
is nothing that could be delivered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_callreport.figures import FiguresCollector
from airflow_provider_callreport.formats import Format, ReportWriter
from airflow_provider_callreport.grouping import NO_CALLS, GroupSpool, fill, safe_names
from airflow_provider_callreport.report import Column, ExportedFile, ReportInfo, ReportOutcome, Row


class FileSink(Protocol):
    """Takes a report's rows and turns them into files."""

    def write(self, rows: Sequence[Row]) -> None:
        """Take some rows, in order."""

    def close(self, outcome: ReportOutcome) -> list[ExportedFile]:
        """Finish the files of a report that has been proved."""

    def abort(self) -> None:
        """Release what is open after a failure."""


class SingleFile:
    """The whole report in one file.

    Args:
        directory: the spool directory.
        columns: columns of the rows.
        info: the report's description.
        file_format: its format.
        options: the format's options, checked.
        filename: the name it is delivered under.
    """

    def __init__(
        self,
        directory: Path,
        columns: Sequence[Column],
        info: ReportInfo,
        file_format: Format,
        options: Mapping[str, Any],
        filename: str,
    ) -> None:
        self._path = directory / f"report{file_format.extension_for(options)}"
        self._writer: ReportWriter = file_format.load()(self._path, columns, info, options)
        self._content_type = file_format.content_type_for(options)
        self._filename = filename

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._writer.write(rows)

    def close(self, outcome: ReportOutcome) -> list[ExportedFile]:
        """Finish the file, measure and hash it."""
        self._writer.close(outcome)
        return [exported_file(self._path, self._filename, self._content_type, outcome.rows)]

    def abort(self) -> None:
        """Close the writer's handles."""
        self._writer.abort()


class GroupedFiles:
    """A file for each value of one column; one file that says so when there are no calls.

    Args:
        directory: the spool directory.
        columns: columns of the rows.
        info: the report's description; each file's title names its group.
        file_format: the format of all files.
        options: the format's options, checked.
        filename: the name they are delivered under, with the placeholder ``[[ group ]]``.
        group_by: the API's label of the column.

    Raises:
        TableError: the file has no such column.
    """

    def __init__(
        self,
        directory: Path,
        columns: Sequence[Column],
        info: ReportInfo,
        file_format: Format,
        options: Mapping[str, Any],
        filename: str,
        group_by: str,
    ) -> None:
        self._directory = directory
        self._columns = columns
        self._info = info
        self._format = file_format
        self._options = options
        self._filename = filename
        self._group_by = group_by
        self._spool = GroupSpool(directory, columns, group_by)
        self._writer: ReportWriter | None = None
        self._writer_class = file_format.load()

    def write(self, rows: Sequence[Row]) -> None:
        """Park some rows."""
        self._spool.add(rows)

    def close(self, outcome: ReportOutcome) -> list[ExportedFile]:
        """Write the groups' files one after another."""
        groups = self._spool.groups()
        if not groups:
            return [self._write_group(0, NO_CALLS, NO_CALLS, 0, outcome)]
        names = safe_names([name for name, _ in groups])
        return [
            self._write_group(number, name, names[name], rows, outcome) for number, (name, rows) in enumerate(groups)
        ]

    def abort(self) -> None:
        """Close the handles of the file that is being written."""
        if self._writer is not None:
            self._writer.abort()

    def _write_group(self, number: int, name: str, safe_name: str, rows: int, outcome: ReportOutcome) -> ExportedFile:
        path = self._directory / f"report-{number}{self._format.extension_for(self._options)}"
        info = replace(self._info, title=f"{self._info.title} - {name}")
        collector = FiguresCollector(self._columns) if self._format.needs_figures else None
        self._writer = writer = self._writer_class(path, self._columns, info, self._options)
        for batch in self._spool.take(name):
            writer.write(batch)
            if collector is not None:
                collector.add(batch)
        note = (
            f"{self._group_by} {name}: {rows} of the report's {outcome.rows} calls. Of the whole report: {outcome.note}"
        )
        # The total is the whole report's, so a part does not show it as its own.
        writer.close(
            replace(
                outcome, rows=rows, reported_total=None, note=note, figures=collector.figures() if collector else None
            )
        )
        self._writer = None
        content_type = self._format.content_type_for(self._options)
        return exported_file(path, fill(self._filename, safe_name), content_type, rows, group=safe_name)


def exported_file(path: Path, filename: str, content_type: str, rows: int, group: str = "") -> ExportedFile:
    """A closed file, measured and hashed."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ExportedFile(path, filename, content_type, rows, path.stat().st_size, digest, group)
