"""``callreport export``: a whole report to a file, here or in a cloud, proved as the operators prove it."""

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
from airflow_provider_callreport.cli.account import CommandHook, airflows_database, open_account
from airflow_provider_callreport.cli.arguments import pairs, window
from airflow_provider_callreport.cli.exit_codes import CommandError, ExitCode
from airflow_provider_callreport.delivery.object_storage import ObjectStorageDestination, destination_at
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.groups import check_placeholder, has_placeholder
from airflow_provider_callreport.export.road import ExportRequest, default_filename, export_report
from airflow_provider_callreport.export.summary import ExportSummary
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.task.arguments.argument import check_each
from airflow_provider_callreport.task.arguments.tables import EXPORT
from airflow_provider_callreport.task.private_filters import SECRET_ARGS


def run(options: argparse.Namespace) -> ExitCode:
    """Export, and say what was written.

    Args:
        options: those of `commands.add_export`.

    Raises:
        ValueError: an argument is wrong.
        CommandError: the connection does not work, the file exists already, or its folder does not.
        CallReportError: the report could not be read whole; nothing was written.
        DeliveryError: the file could not be written.
    """
    ask = _asked(options)
    hook = open_account(options.callreport_conn_id)
    request = ask(hook)
    place = _place(options, request)
    with _private_files(), airflows_database(), hook.get_conn() as client, _progress(hook, request) as on_rows:
        summary = export_report(client, request, run=_run(), destination=place, on_rows=on_rows, preflight=True)
    options.out.write(json.dumps(summary.to_xcom()) + "\n" if options.json else _summary_text(summary))
    return ExitCode.WRITTEN_INCOMPLETE if summary.outcome.complete is False else ExitCode.OK


def _asked(options: argparse.Namespace) -> Callable[[CommandHook], ExportRequest]:
    """Check what was typed, as the operator checks it; the account is only needed for the window's zone."""
    options.filters = pairs("--filter", options.filters, texts=NUMBER_FILTERS)
    options.redact = pairs("--redact", options.redact)
    options.s3_extra_args = pairs("--s3-arg", options.s3_extra_args)
    if options.force:
        options.if_exists = "replace"
    file_format, implied = _format(options)
    given = {**implied, **pairs("--option", options.format_options)}
    values = {**vars(options), "file_format": file_format, "format_options": given}
    check_each(EXPORT, {one.name: values[one.name] for one in EXPORT if values.get(one.name) is not None})
    if options.output is not None and options.destination is not None:
        raise ValueError("--output and --to are both given; choose one of the two")
    if options.destination is None and (options.destination_conn_id or options.s3_extra_args):
        raise ValueError("--to-conn-id or --s3-arg is given and --to is not; set --to")
    if not SECRET_ARGS.isdisjoint(options.s3_extra_args):
        raise ValueError("--s3-arg has SSECustomerKey, which other users could see among processes; use SSEKMSKeyId")
    for flag, place in (("--output", _file_name(options.output)), ("--to", _file_name(options.destination))):
        check_placeholder(flag, place, options.group_by)
    warn_of_undocumented(options.filters)
    same = ("report", "filters", "columns", "column_names", "on_new_columns", "redact", "group_by")
    format_options = FORMATS[file_format].check_options(given)
    return lambda hook: ExportRequest(
        window=window(options, hook.settings.timezone),
        file_format=file_format,
        format_options=format_options,
        title=options.report_title,
        **{name: values[name] for name in (*same, "empty", "on_incomplete", "concurrency")},
    )


def _format(options: argparse.Namespace) -> tuple[str, Mapping[str, Any]]:
    """The format, and the options that the file's name implies.

    Raises:
        ValueError: neither ``--format`` nor the name says which.
    """
    chosen, place = options.file_format, _file_name(options.output or options.destination)
    name = "" if place is None else place.rpartition("/")[2].lower()
    for file_format in FORMATS.values():
        if chosen in (None, file_format.name) and name.endswith(file_format.extension):
            return file_format.name, {}
        zipped = any(option.name == "gzip" for option in file_format.options)
        if chosen in (None, file_format.name) and zipped and name.endswith(file_format.extension_for({"gzip": True})):
            return file_format.name, {"gzip": True}
    if chosen is None and name:
        flag = "--output" if options.output else "--to"
        raise ValueError(f"{flag} is {place!r}, whose name tells no format; set --format to {', '.join(FORMATS)}")
    return chosen or "csv", {}


def _file_name(place: str | None) -> str | None:
    """A path or an address that names a file; None where it names a folder: then the file has the report's name."""
    return None if place is None or place.endswith("/") or Path(place).expanduser().is_dir() else place


def _place(options: argparse.Namespace, request: ExportRequest) -> S3Destination | ObjectStorageDestination:
    """Where the file goes.

    Raises:
        ValueError: the address is wrong.
        CommandError: the file exists already, or its folder does not.
    """
    if options.destination is not None:
        target = destination_at(
            options.destination if _file_name(options.destination) else options.destination + default_filename(request),
            conn_id=options.destination_conn_id,
            if_exists=options.if_exists,
            aws_conn_id=options.aws_conn_id,
            s3_extra_args=options.s3_extra_args,
        )
        if isinstance(target, S3Destination) or target.scheme != "file":
            return target
        path = Path(f"/{target.key}")
    else:
        output = options.output or "."
        path = (Path(output).expanduser() / ("" if _file_name(output) else default_filename(request))).absolute()
    _check_path(path, options, is_set=request.is_set)
    return ObjectStorageDestination("file", "", str(path).removeprefix("/"), if_exists=options.if_exists)


def _check_path(path: Path, options: argparse.Namespace, *, is_set: bool) -> None:
    """Refuse, before anything is read, a file that exists and a folder that does not."""
    if options.if_exists == "fail" and not is_set and path.exists():
        raise CommandError(ExitCode.FILE, f"{path} exists already; --force replaces it")
    # Folders that are named after a group are made with its file.
    folder = next((one for one in reversed(path.parents) if has_placeholder(one.name)), path).parent
    if not folder.exists() and not options.mkdir:
        raise CommandError(ExitCode.FILE, f"the folder {folder} does not exist; --mkdir makes it")


def _run() -> RunIdentity:
    """Each command is a run of its own."""
    return RunIdentity("command line", "export", uuid4().hex)


def _summary_text(summary: ExportSummary) -> str:
    if summary.skipped:
        return "No calls in the window; no file was written.\n"
    lines = [
        f"{file.uri} exists already and was left as it is"
        if file.status == "skipped"
        else f"{file.uri} ({file.file.rows} calls, {file.file.bytes} bytes)"
        for file in summary.files
    ]
    index = [] if summary.index is None else [f"{summary.index.uri} (the list of these files)"]
    kept = [f"{uri} (of an earlier export, could not be removed)" for uri in summary.not_removed]
    return "\n".join([summary.outcome.note, *lines, *index, *kept]) + "\n"


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
