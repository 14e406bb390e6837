"""A task's tries and its mail: what was mailed and what there is now, when the data changed in between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.api import DAY as WINDOW
from support.api import client_of
from support.delivery import INFO, OUTCOME, RUN, MailServer, MemoryRecord, exported, smtp_connection, smtp_server

from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.receipts import EmailReceipt
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.report import ExportedFile
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with smtp_server() as started:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(started.port))
        yield started


def file(folder: Path, rows: int) -> ExportedFile:
    """A file of so many calls."""
    return replace(exported(folder, b"call\r\n" * rows), rows=rows)


def send(files: Sequence[ExportedFile], record: MemoryRecord, to: Any = "a@example.com") -> EmailReceipt:
    """One try."""
    return EmailDestination(to=to).deliver(files, info=INFO, outcome=OUTCOME, run=RUN, record=record)


def test_a_retry_whose_data_changed_says_what_was_mailed(
    server: MailServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """one-mail: no second mail; receipt and log name both, rows and SHA-256."""
    record = MemoryRecord()
    first, second = file(tmp_path, 1200), file(tmp_path, 1203)
    send([first], record)
    receipt = send([second], record)
    assert len(server.mails) == 1
    (earlier,) = receipt.outdated
    assert (earlier.rows, earlier.sha256, earlier.message_id) == (1200, first.sha256, receipt.message_ids[0])
    assert f"the mail had 1,200 calls (SHA-256 {first.sha256}), and now there are 1,203 calls" in caplog.text
    assert second.sha256 in caplog.text


def test_a_retry_whose_data_is_the_same_says_nothing(
    server: MailServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """one-mail: a note on every retry would be read by nobody."""
    record = MemoryRecord()
    send([file(tmp_path, 1200)], record)
    assert send([file(tmp_path, 1200)], record).outdated == ()
    assert "changed" not in caplog.text


def test_the_next_mail_of_the_run_says_that_the_data_changed(server: MailServer, tmp_path: Path) -> None:
    """one-mail: who gets a mail later sees that others have another file."""
    record = MemoryRecord()
    send([file(tmp_path, 1200)], record)
    second = file(tmp_path, 1203)
    send([second], record, "b@example.com")
    send([second], record, "c@example.com")
    sentence = (
        r"An earlier mail of this report \(\d+ \w+ \d{4} \d\d:\d\d\) had calls\.csv with 1,200 calls\. The data has "
        rf"changed since: here it has 1,203 calls \(SHA-256 {second.sha256[:12]}\.\.\.\)\."
    )
    for mail in server.mails[1:]:
        for kind in ("html", "plain"):
            assert len(re.findall(sentence, mail.body(kind))) == 1
    assert "An earlier mail" not in server.mails[0].body("plain")


def test_only_the_groups_that_changed_are_told(server: MailServer, tmp_path: Path) -> None:
    """right-reader: with a mail for each group, each is compared with its own."""
    record = MemoryRecord()
    to = {"Asha": "a@example.com", "Ravi": "b@example.com"}

    def groups(asha: int) -> list[ExportedFile]:
        names = {"Asha": asha, "Ravi": 5}
        return [replace(file(tmp_path, rows), filename=f"{name}.csv", group_value=name) for name, rows in names.items()]

    send(groups(10), record, to)
    receipt = send(groups(11), record, to)
    assert [earlier.rows for earlier in receipt.outdated] == [10]
    assert len(server.mails) == 2


def test_the_xcom_says_what_was_mailed(server: MailServer) -> None:
    """one-mail: ``mailed_earlier`` beside ``files``, when and only when they differ."""
    record, destination = MemoryRecord(), EmailDestination(to="a@example.com")
    settings = SandboxSettings(calls=SyntheticCalls(40))
    with SandboxServer(settings) as api:

        def run() -> dict[str, Any]:
            request = ExportRequest(report="calls", window=WINDOW)
            with client_of(api) as client:
                return export_report(client, request, run=RUN, email=destination, send_record=record).to_xcom()

        before, same = run(), run()
        api.settings = replace(settings, calls=SyntheticCalls(43))
        after = run()
    assert "mailed_earlier" not in before
    assert "mailed_earlier" not in same
    (earlier,) = after["mailed_earlier"]
    assert (earlier["rows"], earlier["sha256"]) == (40, before["files"][0]["sha256"])
    assert (after["rows"], after["files"][0]["rows"]) == (43, 43)
    assert after["files"][0]["sha256"] != earlier["sha256"]
    assert len(server.mails) == 1
