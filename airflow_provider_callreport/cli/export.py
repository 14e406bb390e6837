"""``callreport export``: a whole report to a file of this machine, proved as the operators prove it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from airflow_provider_callreport.api.errors import CallReportError
from airflow_provider_callreport.api.filters import NUMBER_FILTERS, warn_of_undocumented
from airflow_provider_callreport.cli.account import CommandHook, open_account
from airflow_provider_callreport.cli.arguments import pairs, window
from airflow_provider_callreport.cli.exit_codes import CommandError, ExitCode
from airflow_provider_callreport.delivery.object_storage import ObjectStorageDestination
from airflow_provider_callreport.export.redaction import check_redact
from airflow_provider_callreport.export.road import ExportRequest, default_filename, export_report
from airflow_provider_callreport.export.summary import ExportSummary
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.task.arguments.tables import EXPORT
from airflow_provider_callreport.task.arguments.together import check_filter_values

_CHECKS = {argument.name: argument.check for argument in EXPORT if argument.check is not None}


def run(options: argparse.Namespace) -> ExitCode:
    """Export, and say what was written.

    Args:
        options: those of `commands.add_export`.

    Raises:
        ValueError: an argument is wrong.
        CommandError: the connection does not work, or the file exists already.
        CallReportError: the report could not be read whole; nothing was written.
        DeliveryError: the file could not be written.
    """
    ask = _asked(options)
    hook = open_account(options.conn_id)
    request = ask(hook)
    path = _path(options.output, request)
    if path.exists() and not options.force:
        raise CommandError(ExitCode.FILE, f"{path} exists already; --force replaces it")
    place = ObjectStorageDestination(
        "file", "", str(path).removeprefix("/"), if_exists="replace" if options.force else "fail"
    )
    with _private_files(), hook.get_conn() as client, _progress(hook, request) as on_rows:
        summary = export_report(client, request, run=_run(), destination=place, on_rows=on_rows)
    sys.stdout.write(json.dumps(summary.to_xcom()) + "\n" if options.json else _summary_text(summary))
    return ExitCode.OK


def _asked(options: argparse.Namespace) -> Callable[[CommandHook], ExportRequest]:
    """Check what was typed; the account is only needed for the window's zone."""
    for flag, argument, value in (
        ("--empty", "empty", options.empty),
        ("--on-incomplete", "on_incomplete", options.on_incomplete),
        ("--concurrency", "concurrency", options.concurrency),
        ("--title", "report_title", options.title),
    ):
        _CHECKS[argument](flag, value)
    filters = pairs("--filter", options.filter, texts=NUMBER_FILTERS)
    check_filter_values(filters)
    warn_of_undocumented(filters)
    redact = check_redact(pairs("--redact", options.redact))
    file_format, implied = _format(options.format, options.output)
    format_options = FORMATS[file_format].check_options({**implied, **pairs("--option", options.option)})
    return lambda hook: ExportRequest(
        report=options.report,
        window=window(options, hook.settings.timezone),
        filters=filters,
        columns=options.columns,
        redact=redact,
        file_format=file_format,
        format_options=format_options,
        title=options.title,
        empty=options.empty,
        on_incomplete=options.on_incomplete,
        concurrency=options.concurrency,
    )


def _format(chosen: str | None, output: str | None) -> tuple[str, Mapping[str, Any]]:
    """The format, and the options that the file's name implies.

    Raises:
        ValueError: neither ``--format`` nor the name says which.
    """
    name = "" if output is None or Path(output).is_dir() else Path(output).name.lower()
    for file_format in FORMATS.values():
        if chosen in (None, file_format.name) and name.endswith(file_format.extension):
            return file_format.name, {}
        zipped = any(option.name == "gzip" for option in file_format.options)
        if chosen in (None, file_format.name) and zipped and name.endswith(file_format.extension_for({"gzip": True})):
            return file_format.name, {"gzip": True}
    if chosen is None and name:
        raise ValueError(f"--output is {output!r}, whose name tells no format; set --format to {', '.join(FORMATS)}")
    return chosen or "csv", {}


def _path(output: str | None, request: ExportRequest) -> Path:
    path = Path(output or ".").expanduser()
    return (path / default_filename(request) if path.is_dir() else path).absolute()


def _run() -> RunIdentity:
    """Each command is a run of its own."""
    return RunIdentity("command line", "export", uuid4().hex)


def _summary_text(summary: ExportSummary) -> str:
    if summary.skipped:
        return "No calls in the window; no file was written.\n"
    lines = [f"{file.uri} ({file.file.rows} calls, {file.file.bytes} bytes)" for file in summary.files]
    return "\n".join([summary.outcome.note, *lines]) + "\n"


@contextmanager
def _private_files() -> Iterator[None]:
    """Inside the block new files and directories are for nobody else."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _progress(hook: CommandHook, request: ExportRequest) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on standard error; None where standard error is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("calls", total=_expected(hook, request))
        yield lambda rows: progress.update(bar, completed=rows)


def _expected(hook: CommandHook, request: ExportRequest) -> int | None:
    """How many calls there will be, as far as the API tells; nobody knows whether it counts masked calls apart."""
    if request.report != "calls":
        return None
    try:
        return hook.count(request.filters, window_start=request.window.start, window_end=request.window.end)
    except CallReportError:
        return None
