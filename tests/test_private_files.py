"""private-files: every temporary file has mode 0600 in a directory of mode 0700, whatever the worker's umask."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from support.api import DAY, behave, client_of, listed, sandbox
from support.delivery import INFO, RUN, aws_connection, s3_server
from support.files import recorded_calls

from airflow_provider_callreport.api.download import FileDownloader
from airflow_provider_callreport.api.exports import download_pdf, request_export
from airflow_provider_callreport.export.sinks import FilePlan, FileSink, GroupedFiles, SingleFile, SplitFile
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.recordings.copy import RecordingsRequest, copy_recordings
from airflow_provider_callreport.report import Column, ReportOutcome

COLUMNS = [Column("Caller Number"), Column("Campaign")]
ROWS = [("919876543210", "Sales"), ("918012345678", "Support")]
OUTCOME = ReportOutcome(2, 2, True, "Complete.")


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Let new files be as open as they can be."""
    old = os.umask(0)
    yield
    os.umask(old)


def modes(directory: Path) -> dict[str, int]:
    """The mode of each file below a directory, by name."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*") if path.is_file()}


def sinks(kind: str, options: dict[str, Any], directory: Path) -> FileSink:
    """What writes one file, one per group, or parts."""
    file_format = FORMATS[kind.split()[0]]
    name = "calls-[[ group ]]" if kind.endswith("groups") else "calls"
    plan = FilePlan(directory, COLUMNS, INFO, file_format, file_format.check_options(options), name)
    if kind.endswith("parts"):
        return SplitFile(plan, 1)
    if kind.endswith("groups"):
        return GroupedFiles(plan, "Campaign")
    return SingleFile(plan)


@pytest.mark.parametrize(
    ("kind", "options", "while_written", "at_the_end"),
    [
        ("csv", {}, {"report.csv"}, {"report.csv"}),
        ("csv", {"gzip": True}, {"report.csv.gz"}, {"report.csv.gz"}),
        ("jsonl", {}, {"report.jsonl"}, {"report.jsonl"}),
        ("parquet", {}, {"report.parquet"}, {"report.parquet"}),
        ("xlsx", {}, {"report.xlsx"}, {"report.xlsx"}),
        ("pdf", {}, {"report.pdf"}, {"report.pdf"}),
        ("pdf", {"max_rows": 1, "over_max_rows": "summary_only"}, {"report.pdf"}, {"report.pdf"}),
        ("pdf in parts", {}, {"report-1.pdf", "report-2.pdf"}, {"report-1.pdf", "report-2.pdf"}),
        ("csv in groups", {}, {"group-0", "group-1"}, {"report-0.csv", "report-1.csv"}),
        ("xlsx in groups", {}, {"group-0", "group-1"}, {"report-0.xlsx", "report-1.xlsx"}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_report_is_private_while_it_is_written(
    tmp_path: Path, kind: str, options: dict[str, Any], while_written: set[str], at_the_end: set[str]
) -> None:
    """private-files: in every format, from the first row to the closed file."""
    sink = sinks(kind, options, tmp_path)
    sink.write(ROWS)
    assert modes(tmp_path) == dict.fromkeys(while_written, 0o600)
    sink.close(OUTCOME)
    assert modes(tmp_path) == dict.fromkeys(at_the_end, 0o600)


def test_recordings_their_list_and_their_manifest_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """private-files: the list of calls, the manifest and the recordings, seen whenever the S3 server is asked for
    something.
    """
    seen: dict[str, set[int]] = {}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def look(environ: dict[str, Any]) -> None:
        for path in (*tmp_path.glob("airflow-callreport-spool-*"), *tmp_path.glob("airflow-callreport-spool-*/*")):
            name = path.suffix if path.suffix == ".mp3" else path.name.rpartition("spool-")[0] or path.name
            seen.setdefault(name, set()).add(stat.S_IMODE(path.stat().st_mode))

    with s3_server() as (endpoint, gate), sandbox() as server, client_of(server) as client:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(endpoint))
        behave(server, calls=listed(*recorded_calls(3)))
        urlopen(Request(f"{endpoint}/private-files", method="PUT"), timeout=10).close()
        gate.before = look
        # One at a time, so that no recording goes while the server looks.
        asked = RecordingsRequest("calls", DAY, "private-files", "[[ call ]]_[[ part ]].mp3", "manifest", concurrency=1)
        assert copy_recordings(client, asked, run=RUN).copied == 3
    assert seen == {
        "airflow-callreport-": {0o700},
        "calls.jsonl": {0o600},
        "report.jsonl": {0o600},
        ".mp3": {0o600},
    }


@pytest.mark.parametrize("form", ["bytes", "base64", "link"])
def test_what_the_servers_files_are_kept_in_is_private(tmp_path: Path, form: str) -> None:
    """private-files: a CSV file that is the answer itself, and a PDF in each of its forms."""
    with sandbox() as server, client_of(server) as client, FileDownloader(client, max_bytes=1_000_000) as downloader:
        behave(server, calls=listed(*recorded_calls(3)), export_answer="bytes", pdf_answer=form)
        request_export(client, {"filter": DAY.api_filter()}, tmp_path / "export")
        download_pdf(client, {"id": "1"}, tmp_path / "pdf", downloader)
    assert modes(tmp_path) == {"export": 0o600, "pdf": 0o600}
