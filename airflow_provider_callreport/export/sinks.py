"""Rows become finished files in the spool directory: one file, one in parts, or one per group.

A sink takes rows page by page. It gives its files only when it is told how the reading ended; before that, nothing
exists that could be delivered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_callreport.api.errors import IncompleteReportError
from airflow_provider_callreport.export.figures import FiguresCollector
from airflow_provider_callreport.export.groups import NO_CALLS, NO_VALUE, GroupSpool, place, safe_names
from airflow_provider_callreport.formats import Format, ReportWriter
from airflow_provider_callreport.report import Column, ExportedFile, ReportInfo, ReportOutcome, Row
from airflow_provider_callreport.report.wording import calls, count
from airflow_provider_callreport.spool import private_file


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What the files of a report are made with.

    Attributes:
        directory: the spool directory.
        columns: columns of the rows.
        info: the report's description.
        file_format: the format.
        options: the format's options, checked.
        filename: the name that the report is delivered under.
    """

    directory: Path
    columns: Sequence[Column]
    info: ReportInfo
    file_format: Format
    options: Mapping[str, Any]
    filename: str

    @property
    def content_type(self) -> str:
        """The files' MIME type."""
        return self.file_format.content_type_for(self.options)

    def path(self, name: str) -> Path:
        """A file of the spool directory.

        Args:
            name: its name without the format's extension.
        """
        return self.directory / f"{name}{self.file_format.extension_for(self.options)}"

    def open(self, path: Path) -> ReportWriter:
        """A writer of a private file.

        Args:
            path: where the file goes.
        """
        return self.file_format.load()(private_file(path), self.columns, self.info, self.options)


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
        plan: what the file is made with.
    """

    def __init__(self, plan: FilePlan) -> None:
        self._plan = plan
        self._path = plan.path("report")
        self._writer = plan.open(self._path)

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._writer.write(rows)

    def close(self, outcome: ReportOutcome) -> list[ExportedFile]:
        """Finish the file, measure and hash it."""
        self._writer.close(outcome)
        return [exported_file(self._path, self._plan.filename, self._plan.content_type, outcome.rows)]

    def abort(self) -> None:
        """Close the writer's handles."""
        self._writer.abort()


@dataclass(slots=True)
class _Part:
    path: Path
    writer: ReportWriter
    collector: FiguresCollector
    rows: int = 0

    def write(self, rows: Sequence[Row]) -> None:
        self.writer.write(rows)
        self.collector.add(rows)
        self.rows += len(rows)


class SplitFile:
    """The whole report in parts with a limit of rows: ``over_max_rows="split"``.

    A report that fits is one file with its usual name. Otherwise the name of each part ends with ``-part-1``,
    ``-part-2``, ... A full part stays open until the whole report is proved: its cover says how many parts exist.

    Args:
        plan: what the parts are made with.
        rows_a_part: most rows of one part.
    """

    def __init__(self, plan: FilePlan, rows_a_part: int) -> None:
        self._most = rows_a_part
        # This class keeps the limit, so that no part ever reaches it.
        self._plan = replace(plan, options={**plan.options, "over_max_rows": "fail"})
        self._parts: list[_Part] = []

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows, and begin a part where one is full."""
        while rows or not self._parts:
            if not self._parts or self._parts[-1].rows == self._most:
                path = self._plan.path(f"report-{len(self._parts) + 1}")
                self._parts.append(_Part(path, self._plan.open(path), FiguresCollector(self._plan.columns)))
            part = self._parts[-1]
            fitting = self._most - part.rows
            part.write(rows[:fitting])
            rows = rows[fitting:]

    def close(self, outcome: ReportOutcome) -> list[ExportedFile]:
        """Finish the parts in order."""
        self.write([])
        filename, content_type = self._plan.filename, self._plan.content_type
        if len(self._parts) == 1:
            self._parts[0].writer.close(outcome)
            return [exported_file(self._parts[0].path, filename, content_type, outcome.rows)]
        files = []
        for number, part in enumerate(self._parts, start=1):
            words = f"Part {number} of {len(self._parts)}"
            part.writer.close(_outcome_of_part(outcome, words, part.rows, part.collector))
            group = f"part-{number}"
            files.append(exported_file(part.path, place(filename, group), content_type, part.rows, group))
        return files

    def abort(self) -> None:
        """Close the writers' handles."""
        for part in self._parts:
            part.writer.abort()


class GroupedFiles:
    """A file for each value of one column. A report without calls is one file, which says so.

    Args:
        plan: what the files are made with. Its ``filename`` has the placeholder ``[[ group ]]``; the title of each file
            names its group.
        group_by: the API's label of the column.

    Raises:
        TableError: the file has no such column.
    """

    def __init__(self, plan: FilePlan, group_by: str) -> None:
        self._plan = plan
        self._group_by = group_by
        self._spool = GroupSpool(plan.directory, plan.columns, group_by)
        self._pages = 0
        self._writer: ReportWriter | None = None
        # If the format's library is missing, that is said before the report is read.
        plan.file_format.load()

    def write(self, rows: Sequence[Row]) -> None:
        """Park some rows."""
        self._spool.add(rows)
        self._pages += 1

    def close(self, outcome: ReportOutcome) -> list[ExportedFile]:
        """Write the groups' files one after another.

        Raises:
            IncompleteReportError: the rows of a group are not as many as came.
        """
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
        label = name or NO_VALUE
        plan = replace(self._plan, info=replace(self._plan.info, title=f"{self._plan.info.title} - {label}"))
        path = plan.path(f"report-{number}")
        # Also for formats without figures: the mail to who gets this group shows them.
        collector = FiguresCollector(plan.columns)
        self._writer = writer = plan.open(path)
        written = 0
        for batch in self._spool.take(name):
            writer.write(batch)
            written += len(batch)
            collector.add(batch)
        if written != rows:
            raise IncompleteReportError(
                "the rows of a group's file are not the rows that came",
                page=self._pages - 1,
                rows=written,
                promised=rows,
            )
        writer.close(_outcome_of_part(outcome, f"{self._group_by} {label}", rows, collector))
        self._writer = None
        file = exported_file(path, place(plan.filename, safe_name), plan.content_type, rows, group=safe_name)
        return file if safe_name == NO_CALLS else replace(file, group_value=label, figures=collector.figures())


def _outcome_of_part(outcome: ReportOutcome, words: str, rows: int, collector: FiguresCollector) -> ReportOutcome:
    """What the cover of a part says. Total and proof are the whole report's."""
    note = f"{words}: {count(rows)} of the report's {calls(outcome.rows)}. Of the whole report: {outcome.note}"
    return replace(outcome, rows=rows, note=note, figures=collector.figures(), is_part=True)


def exported_file(path: Path, filename: str, content_type: str, rows: int, group: str = "") -> ExportedFile:
    """A closed file, measured and hashed."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ExportedFile(path, filename, content_type, rows, path.stat().st_size, digest, group)
