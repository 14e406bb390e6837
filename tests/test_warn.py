"""What a report that was not proved whole says of itself, in XCom, in S3, in the file and in the mail (whole-or-red,
proved-total, one-mail).
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from html import unescape
from typing import Any

import pytest
from support.api import DAY, behave, client_of, sandbox

from airflow_provider_callreport.api.errors import IncompleteReportError
from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.report import ReportOutcome, RunIdentity
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp

CALLS = 250


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SandboxServer, SandboxS3, SandboxSmtp]]:
    """The API, S3 and a mail server."""
    with sandbox() as server, SandboxS3() as s3, SandboxSmtp() as smtp:
        yield server, s3, smtp


@pytest.mark.parametrize(
    ("settings", "faults", "xcom", "complete", "subject", "note"),
    [
        (
            {},
            [Fault("short_page", page=1)],
            (245, 250),
            "no",
            "INCOMPLETE: Calls 13 Mar 2026: 245 of 250 calls",
            "reports",
        ),
        (
            {},
            [Fault("shrinking_total", rows=2)],
            (248, None),
            "no",
            "INCOMPLETE: Calls 13 Mar 2026: 248 calls",
            "changed",
        ),
        (
            *({"cnt": "missing", "report_count": "missing"}, [], (250, None), "unproved"),
            *("Calls 13 Mar 2026: 250 calls", "could not be proved"),
        ),
        ({}, [], (250, 250), "yes", "Calls 13 Mar 2026: 250 calls", "all of them came"),
    ],
    ids=["short", "moved", "no total", "whole"],
)
def test_a_report_says_what_was_proved(
    servers: tuple[SandboxServer, SandboxS3, SandboxSmtp],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    faults: list[Fault],
    xcom: tuple[int, int | None],
    complete: str,
    subject: str,
    note: str,
) -> None:
    """proved-total, one-mail: equal numbers in XCom are a proof; where there is none, no place says that there is."""
    server, s3, smtp = servers
    behave(server, faults, calls=SyntheticCalls(CALLS), **settings)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection_json())
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp.connection_json())
    with client_of(server) as client:
        summary = export_report(
            client,
            ExportRequest("calls", DAY, file_format="csv", on_incomplete="warn", rounds_wait=()),
            run=RunIdentity("dag", "task", "run"),
            destination=S3Destination("reports", "calls.csv"),
            email=EmailDestination(to="head@example.com"),
        )
    metadata = s3.client().head_object(Bucket="reports", Key="calls.csv")["Metadata"]
    rows_in_file = s3.read("calls.csv").count(b"\r\n") - 1
    mail = smtp.messages[-1]
    value = summary.to_xcom()
    assert (value["rows"], value["reported_total"]) == xcom
    assert (value["rows"] == value["reported_total"]) is (complete == "yes")
    assert (metadata["rows"], metadata["complete"]) == (str(rows_in_file), complete)
    assert rows_in_file == value["rows"]
    assert mail.message["Subject"] == subject
    for kind in ("html", "plain"):
        body = mail.message.get_body((kind,))
        assert body is not None
        text = unescape(" ".join(body.get_content().split()))
        assert summary.outcome.note in text
    assert note in summary.outcome.note
    assert summary.log_line().startswith(summary.outcome.note)


@pytest.mark.parametrize(
    ("outcome", "total"),
    [
        (ReportOutcome(5, 5, True, ""), 5),
        (ReportOutcome(5, 5, False, ""), None),
        (ReportOutcome(5, 7, False, ""), 7),
        (ReportOutcome(5, None, None, ""), None),
    ],
)
def test_equal_numbers_are_a_proof(outcome: ReportOutcome, total: int | None) -> None:
    """proved-total: a total that moved meanwhile and equals the rows by chance is not shown as one to compare with."""
    assert outcome.total_to_compare == total


@pytest.mark.parametrize("faults", [[], [Fault("empty_page", page=1)]], ids=["green", "red"])
def test_an_export_leaves_pythons_collector_as_it_was(
    servers: tuple[SandboxServer, SandboxS3, SandboxSmtp], faults: list[Fault]
) -> None:
    """fast-export: looks for cycles are fewer while a report is read, and not afterwards."""
    server, _, _ = servers
    behave(server, faults, calls=SyntheticCalls(CALLS))
    before, seen = gc.get_threshold(), list[int]()
    with client_of(server) as client, suppress(IncompleteReportError):
        request = ExportRequest("calls", DAY, file_format="csv", rounds_wait=())
        export_report(
            client, request, run=RunIdentity("dag", "task", "run"), on_rows=lambda _: seen.append(gc.get_threshold()[0])
        )
    assert min(seen) > before[0]
    assert gc.get_threshold() == before


def test_two_exports_at_once_leave_pythons_collector_as_it_was(
    servers: tuple[SandboxServer, SandboxS3, SandboxSmtp],
) -> None:
    """fast-export: the one that began first also ends first."""
    server, _, _ = servers
    behave(server, calls=SyntheticCalls(CALLS))
    before, both, first_ended = gc.get_threshold(), threading.Barrier(2), threading.Event()

    def export(*, waits: bool) -> None:
        def meet(rows: int) -> None:
            if rows == 100:
                both.wait(30)
            if waits and rows == CALLS:
                assert first_ended.wait(30)

        with client_of(server) as client:
            request = ExportRequest("calls", DAY, file_format="csv", rounds_wait=(), page_size=100)
            export_report(client, request, run=RunIdentity("dag", "task", "run"), on_rows=meet)
        first_ended.set()

    with ThreadPoolExecutor(2) as pool:
        for ended in [pool.submit(export, waits=False), pool.submit(export, waits=True)]:
            ended.result()
    assert gc.get_threshold() == before
