"""The one road: connection -> pages -> rows -> redaction -> file -> delivery -> summary.

Read `export_report` from top to bottom. A report is fetched page by page, typed, redacted and written to a private
file; only when the ledger has proved it whole is the file delivered, and only then is there something to see.
"""

from __future__ import annotations

import gc
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    CallReportError,
    IncompleteReportError,
    SettingsError,
)
from airflow_provider_callreport.api.filters import TITLES, Window, filter_lines, undocumented_filters
from airflow_provider_callreport.api.paging import ROUNDS_WAIT, ReportReader, read_until_whole
from airflow_provider_callreport.api.reading import Lessons, Proof
from airflow_provider_callreport.api.table import ColumnChoice, Table
from airflow_provider_callreport.export.column_names import named_columns
from airflow_provider_callreport.export.figures import FiguresCollector
from airflow_provider_callreport.export.file_set import FileSet, deliver_set
from airflow_provider_callreport.export.groups import PLACEHOLDER, place
from airflow_provider_callreport.export.redaction import Redactor, check_secret
from airflow_provider_callreport.export.sinks import FilePlan, FileSink, GroupedFiles, SingleFile, SplitFile
from airflow_provider_callreport.export.summary import ExportSummary, FileSummary
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import Column, ExportedFile, ReportInfo, ReportOutcome, RunIdentity
from airflow_provider_callreport.rules import OnNewColumns
from airflow_provider_callreport.spool import spool_directory

if TYPE_CHECKING:
    from airflow_provider_callreport.delivery.email import EmailDestination
    from airflow_provider_callreport.delivery.object_storage import ObjectStorageDestination
    from airflow_provider_callreport.delivery.receipts import Link
    from airflow_provider_callreport.delivery.s3 import S3Destination
    from airflow_provider_callreport.delivery.sent_mails import SendRecord

log = logging.getLogger(__name__)

_UNSAFE_IN_NAME = re.compile(r"[^\w.\- ()\[\]=+,@]", re.ASCII)

#: New objects after which Python looks for cycles while a report is read: those of some twenty pages.
_NEW_OBJECTS = 50_000


class EmptyReportError(CallReportError):
    """``empty="fail"`` and the window holds no calls. A later try may find some."""

    retryable = True


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export. Every value has been checked; see the operators for what users may give.

    Attributes:
        report: ``"calls"`` or ``"masked_calls"``.
        window: which calls.
        filters: API filter keys.
        columns: columns to keep, with new names, or None for all.
        on_new_columns: what to do with columns that a pinned profile does not know: ``"add"``, ``"ignore"`` or
            ``"fail"``.
        column_names: ``"as_is"`` or ``"snake_case"``; see `column_names.named_columns`.
        redact: label -> mode.
        file_format: key of `formats.FORMATS`.
        format_options: options of that format.
        filename: the file's name, or None for `default_filename`.
        title: the report's human title, or None for the report's own.
        group_by: the API's label of a column that gives one file per value, or None for one file.
        empty: ``"write"``, ``"skip"`` or ``"fail"``.
        on_incomplete: ``"fail"`` or ``"warn"``.
        page_size: calls per request, or None for the connection's.
        concurrency: pages under way at once, where the API is read by page number.
        rounds_wait: seconds before each further look when the API's answers end short of its total.
    """

    report: str
    window: Window
    filters: Mapping[str, Any] = field(default_factory=dict)
    columns: ColumnChoice = None
    column_names: str = "as_is"
    on_new_columns: OnNewColumns = "add"
    redact: Mapping[str, str] = field(default_factory=dict)
    file_format: str = "csv"
    format_options: Mapping[str, Any] = field(default_factory=dict)
    filename: str | None = None
    title: str | None = None
    group_by: str | None = None
    empty: str = "write"
    on_incomplete: str = "fail"
    page_size: int | None = None
    concurrency: int = 1
    rounds_wait: tuple[float, ...] = ROUNDS_WAIT

    @property
    def is_set(self) -> bool:
        """Whether the files are a set that changes with the calls: groups, or parts."""
        return self.group_by is not None or self.format_options.get("over_max_rows") == "split"

    def info(self) -> ReportInfo:
        """The report's description."""
        return ReportInfo(
            report=self.report,
            title=self.title or TITLES[self.report],
            window_start=self.window.local_start,
            window_end=self.window.local_end,
            timezone=self.window.zone.key,
            filters=filter_lines(self.filters),
            redacted=dict(self.redact),
        )


@dataclass(frozen=True, slots=True)
class MadeFiles:
    """The finished files in the spool directory, with all that was learned while they were made.

    Attributes:
        files: the files.
        outcome: the report's proof, in words and numbers for its readers.
        proof: what the ledger says of the last reading.
        columns: the columns as written.
    """

    files: Sequence[ExportedFile]
    outcome: ReportOutcome
    proof: Proof
    columns: tuple[Column, ...]


def export_report(
    client: CallReportClient,
    request: ExportRequest,
    *,
    run: RunIdentity,
    destination: S3Destination | ObjectStorageDestination | None = None,
    link_expires_in: timedelta | None = None,
    email: EmailDestination | None = None,
    send_record: SendRecord | None = None,
    on_rows: Callable[[int], None] | None = None,
    preflight: bool = False,
) -> ExportSummary:
    """Export one report to S3 or elsewhere, by mail, or both.

    Args:
        client: the account.
        request: what to export.
        run: who exports; the same for every try of one task instance.
        destination: where the file goes, in S3 or elsewhere, or None.
        link_expires_in: how long a presigned address in the mail works; None mails the ``s3://`` address only.
        email: who gets the file, or None.
        send_record: what remembers, over a task's tries, that the mail went.
        on_rows: told, after each page, how many rows are written; fewer than before when the report is read again.
        preflight: ask the destinations, before the first page is read, whether they will take the files.

    Raises:
        CallReportError: the report could not be read whole; nothing was delivered.
        EmptyReportError: it has no calls, and ``empty="fail"``.
        delivery.errors.DeliveryError: it could not be delivered.
    """
    info = request.info()
    check_secret(request.redact, client.settings.hmac_secret)
    FORMATS[request.file_format].load()
    if destination is not None:
        destination = destination.check_before_reading(online=preflight)
    if email is not None:
        extension = FORMATS[request.file_format].extension_for(request.format_options)
        email.check_before_reading(extension, online=preflight)
    with spool_directory() as directory:
        wants_figures = email is not None or FORMATS[request.file_format].needs_figures
        made = Export(client, request, directory, wants_figures, on_rows).make_files()
        summary = ExportSummary(
            info=info,
            outcome=made.outcome,
            file_format=request.file_format,
            columns=[column.label for column in made.columns],
            pages=made.proof.pages,
            duplicates_dropped=made.proof.duplicates_dropped,
            schema=made.columns,
            undocumented_filters=undocumented_filters(request.filters),
        )
        # No rows where the API promises some is not empty but incomplete.
        if not made.outcome.rows and made.outcome.complete is not False and request.empty != "write":
            return _empty(summary, request)
        if made.outcome.complete is not True or made.proof.window_open or not made.proof.window_checked:
            log.warning("%s", made.outcome.note)
        if email is not None:
            email.check_files(made.files, info, made.outcome)
        if destination is not None:
            destination = destination.connected()
        summary = _deliver(summary, made, request, directory, run, destination)
        links = _links(summary.files, destination, link_expires_in) if destination is not None and email else []
        return _mail(summary, made, run, email, links, send_record)


def default_filename(request: ExportRequest) -> str:
    """The name from report, window and format, such as ``calls_2026-01-31.csv``; with times unless it is whole days."""
    start, end = request.window.local_start, request.window.local_end
    midnight = (0, 0, 0, 0)
    if all((moment.hour, moment.minute, moment.second, moment.microsecond) == midnight for moment in (start, end)):
        last = (end - timedelta(days=1)).date()
        when = f"{start.date()}" if start.date() == last else f"{start.date()}_{last}"
    else:
        when = f"{_stamp(start)}_{_stamp(end)}"
    group = "" if request.group_by is None else f"_{PLACEHOLDER}"
    extension = FORMATS[request.file_format].extension_for(request.format_options)
    return f"{request.report}_{when}{group}{extension}"


def safe_filename(name: str) -> str:
    """A file name without path, control characters and what file systems and mail programs stumble over."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return _UNSAFE_IN_NAME.sub("_", last).strip(". ")[:200]


@dataclass(frozen=True, slots=True)
class Export:
    """The road from pages to finished files, for one report.

    Attributes:
        client: the account.
        request: what to export.
        directory: private directory for the files; see `spool.spool_directory`.
        wants_figures: whether the outcome has the summary figures.
        on_rows: see `export_report`.
    """

    client: CallReportClient
    request: ExportRequest
    directory: Path
    wants_figures: bool = False
    on_rows: Callable[[int], None] | None = None

    def make_files(self) -> MadeFiles:
        """Read the report until it is proved whole, and write its files; a report that changed is read again.

        Raises:
            CallReportError: the report could not be read whole.
        """
        with _few_collections:
            return read_until_whole(self._reader, self._read)

    def _reader(self, lessons: Lessons | None) -> ReportReader:
        request = self.request
        return ReportReader(
            self.client,
            request.report,
            request.filters,
            request.window,
            page_size=request.page_size,
            allow_incomplete=request.on_incomplete == "warn",
            rounds_wait=request.rounds_wait,
            concurrency=request.concurrency,
            on_new_columns=request.on_new_columns,
            lessons=lessons,
        )

    def _read(self, reader: ReportReader) -> MadeFiles:
        """Pages -> rows -> redaction -> files."""
        request = self.request
        table = Table(request.window.zone, request.columns, also=request.redact)
        with closing(reader.pages()) as pages:
            first = next(pages)
            table.start(first.form, first.bodies, is_named=reader.has_named_columns)
            chosen = None if request.columns is None else len(request.columns)
            secret = self.client.settings.hmac_secret
            redactor = Redactor(request.redact, table.labels, table.columns, secret, keep=chosen)
            columns = named_columns(redactor.columns, request.column_names)
            collector = FiguresCollector(columns) if self.wants_figures else None
            sink = _sink(request, request.info(), self.directory, columns)
            written = 0
            try:
                for page in chain((first,), pages):
                    rows = redactor.rows(table.rows(page.bodies, page.form))
                    sink.write(rows)
                    written += len(rows)
                    if self.on_rows is not None:
                        self.on_rows(written)
                    if collector is not None:
                        collector.add(rows)
                proof = _proof_of(reader, written)
                outcome = ReportOutcome(
                    rows=proof.rows,
                    reported_total=proof.reported_total,
                    complete=proof.complete,
                    note=proof.note,
                    figures=collector.figures() if collector is not None else None,
                    window_open=proof.window_open,
                )
                files = sink.close(outcome)
            except BaseException:
                sink.abort()
                raise
        return MadeFiles(files, outcome, proof, columns)


class _FewCollections:
    """Lets Python look for cycles more seldom while reports are read.

    A page's rows are many small objects without cycles that go with the page. Python looks for cycles after each 700
    new objects, and in the end through all of Airflow's modules, too: a sixth of an export's time. The threshold is the
    process's, so the last of several exports at once puts it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exports = 0
        self._before = gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            if not self._exports:
                self._before = gc.get_threshold()
                first, *others = self._before
                # 0 is "never": somebody has switched it off.
                gc.set_threshold(first and max(first, _NEW_OBJECTS), *others)
            self._exports += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._exports -= 1
            if not self._exports:
                gc.set_threshold(*self._before)


_few_collections = _FewCollections()


def _proof_of(reader: ReportReader, written: int) -> Proof:
    """The reading's proof, held against the rows that were written.

    Raises:
        IncompleteReportError: they are not the rows that came.
    """
    proof = reader.proof
    if proof is None or proof.rows != written:
        raise IncompleteReportError(
            "the rows that were written are not the rows that came",
            page=reader.page,
            rows=written,
            promised=proof.rows if proof else None,
        )
    return proof


def _sink(request: ExportRequest, info: ReportInfo, directory: Path, columns: Sequence[Column]) -> FileSink:
    """What turns the rows into one file, or into one per group."""
    file_format, options = FORMATS[request.file_format], request.format_options
    filename = safe_filename(request.filename or "") or default_filename(request)
    plan = FilePlan(directory, columns, info, file_format, options, filename)
    if options.get("over_max_rows") == "split":
        if request.group_by is not None:
            raise SettingsError('over_max_rows is "split" and group_by is set; choose one of the two')
        return SplitFile(plan, int(options["max_rows"]))
    if request.group_by is None:
        return SingleFile(plan)
    return GroupedFiles(plan, request.group_by)


def _empty(summary: ExportSummary, request: ExportRequest) -> ExportSummary:
    if request.empty == "fail":
        info = summary.info
        window = f"from {info.window_start.isoformat()} to {info.window_end.isoformat()}"
        raise EmptyReportError(f'{info.title} {window} has no calls, and empty="fail"')
    return replace(summary, skipped=True)


def _deliver(
    summary: ExportSummary,
    made: MadeFiles,
    request: ExportRequest,
    directory: Path,
    run: RunIdentity,
    destination: S3Destination | ObjectStorageDestination | None,
) -> ExportSummary:
    """Bring the files to their place: before the mail, so that it can link to what is there."""
    if destination is None:
        return replace(summary, files=[FileSummary(file) for file in made.files])
    if request.is_set:
        labels = [column.label for column in made.columns]
        files = FileSet(made.files, request.group_by, request.file_format, labels, summary.info, made.outcome)
        done = deliver_set(files, destination, directory, run=run)
        summary = replace(summary, index=done.index, not_removed=done.not_removed)
        delivered = done.files
    else:
        (file,) = made.files
        delivered = [destination.deliver(file, info=summary.info, outcome=made.outcome, run=run)]
    return replace(summary, files=[FileSummary(one.file, one.uri, one.status.value) for one in delivered])


def _links(
    files: Sequence[FileSummary],
    destination: S3Destination | ObjectStorageDestination,
    expires_in: timedelta | None,
) -> list[Link]:
    """Where a reader of the mail finds the files."""
    # What another run left at the key under if_exists="skip" is not this report: no link leads there.
    ours = [one.file for one in files if one.status != "skipped"]
    links = [replace(destination, key=place(destination.key, file.group)).link(file, expires_in) for file in ours]
    return [link for link in links if link is not None]


def _mail(
    summary: ExportSummary,
    made: MadeFiles,
    run: RunIdentity,
    email: EmailDestination | None,
    links: Sequence[Link],
    send_record: SendRecord | None,
) -> ExportSummary:
    if email is not None:
        receipt = email.deliver(
            made.files, info=summary.info, outcome=made.outcome, run=run, links=links, record=send_record
        )
        summary = replace(summary, emailed_to=receipt.emailed_to, mailed_earlier=receipt.outdated)
    log.info("%s", summary.log_line())
    return summary


def _stamp(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H%M" if not moment.second else "%Y-%m-%dT%H%M%S"))
