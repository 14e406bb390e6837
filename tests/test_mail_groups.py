"""``email_to`` as an object of groups: each manager gets her agents' files, once, and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from support.delivery import INFO, OUTCOME, RUN, MailServer, MemoryRecord, exported, smtp_connection, smtp_server

from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import (
    DestinationRefusedError,
    MailMaybeSentError,
    RecipientsRefusedError,
)
from airflow_provider_callreport.delivery.receipts import EmailReceipt, Link
from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.report import ExportedFile, Figures, Tally

GROUPS = {"Asha": "north@example.com", "Ravi": ["south@example.com", "second@example.com"], "*": "head@example.com"}
OTHERS = ["south@example.com", "head@example.com"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with smtp_server() as started:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(started.port))
        yield started


def group(folder: Path, value: str, rows: int = 10) -> ExportedFile:
    """The file of one agent."""
    file = exported(folder, value.encode() * rows, filename=f"calls_{value}.csv")
    figures = Figures(by_agent=(Tally(value, rows, 60),), by_hour=(rows, *(0,) * 23), talk_seconds=60, talk_calls=rows)
    return replace(file, rows=rows, group=value, group_value=value, figures=figures)


def send(files: Sequence[ExportedFile], to: Any = None, record: MemoryRecord | None = None) -> EmailReceipt:
    """The mails of a run."""
    destination = EmailDestination(to=GROUPS if to is None else to)
    return destination.deliver(files, info=INFO, outcome=OUTCOME, run=RUN, record=record)


def sent(server: MailServer) -> dict[tuple[str, ...], list[str]]:
    """The file names that each mail had, by its recipients."""
    return {tuple(mail.recipients): [str(part.get_filename()) for part in mail.attachments] for mail in server.mails}


def test_each_manager_gets_her_agents_file(server: MailServer, tmp_path: Path) -> None:
    """right-reader: each address gets one mail with the files of its groups; "*" gets all others."""
    receipt = send([group(tmp_path, name) for name in ("Asha", "Meera", "Ravi", "Zoya")])
    assert sent(server) == {
        ("north@example.com",): ["calls_Asha.csv"],
        ("south@example.com", "second@example.com"): ["calls_Ravi.csv"],
        ("head@example.com",): ["calls_Meera.csv", "calls_Zoya.csv"],
    }
    assert set(receipt.emailed_to) == {address for recipients in sent(server) for address in recipients}
    assert len(set(receipt.message_ids)) == 3
    assert (receipt.attached, receipt.sent) == (True, True)


def test_who_is_named_for_several_groups_gets_one_mail(server: MailServer, tmp_path: Path) -> None:
    """right-reader: at most one mail for a recipient, also for who leads two teams, and for who shares one of them."""
    to = {"Asha": "both@example.com, a@example.com", "Ravi": "both@example.com", "Meera": None}
    send([group(tmp_path, name) for name in ("Asha", "Meera", "Ravi")], to)
    assert sent(server) == {
        ("both@example.com",): ["calls_Asha.csv", "calls_Ravi.csv"],
        ("a@example.com",): ["calls_Asha.csv"],
    }


def test_a_mail_tells_of_its_own_groups_only(server: MailServer, tmp_path: Path) -> None:
    """right-reader: neither names nor figures of other groups stand in a manager's mail."""
    link = Link("s3://reports/calls_Ravi.csv", "https://s3.example.com/secret", None, filename="calls_Ravi.csv")
    files = [group(tmp_path, "Asha", 7), group(tmp_path, "Ravi", 20)]
    EmailDestination(to=GROUPS).deliver(files, info=INFO, outcome=OUTCOME, run=RUN, links=[link])
    north, south = server.mails
    assert north.message["Subject"] == "Masked calls - Asha 13 Mar 2026: 7 calls"
    for kind in ("html", "plain"):
        assert "Ravi" not in north.body(kind)
        assert "secret" not in north.body(kind)
        assert "7 of the report's 1,234 calls, in this file." in unescape(north.body(kind))
        assert "Asha" in north.body(kind)
        assert "https://s3.example.com/secret" in south.body(kind)


def test_figures_of_several_groups_are_added_up(server: MailServer, tmp_path: Path) -> None:
    """right-reader: who gets two files sees the figures of both."""
    send([group(tmp_path, "Asha", 7), group(tmp_path, "Ravi", 20)], {"*": "head@example.com"})
    text = server.mails[0].body("plain").replace("\r\n", "\n")
    assert server.mails[0].message["Subject"] == "Masked calls - 2 groups 13 Mar 2026: 27 calls"
    assert re.search(r"Calls by agent\n +20 +Ravi\n +7 +Asha\n", text)
    assert "2 min" in text


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ({"Asha": "a@example.com"}, "email_to has no address for the group 'Ravi'; name them, or \"*\""),
        ({"Asha": "a@example.com", "ravi": "b@example.com"}, "group 'Ravi' (did you mean 'ravi'?); name them"),
    ],
)
def test_a_group_without_an_address_is_an_error(
    server: MailServer, tmp_path: Path, to: dict[str, str], sentence: str
) -> None:
    """right-reader: before anything goes to anybody."""
    destination = EmailDestination(to=to)
    with pytest.raises(DestinationRefusedError, match=re.escape(sentence)):
        destination.check_files([group(tmp_path, "Asha"), group(tmp_path, "Ravi")], INFO, OUTCOME)
    with pytest.raises(DestinationRefusedError, match="Nothing was delivered"):
        send([group(tmp_path, "Asha"), group(tmp_path, "Ravi")], to)
    assert server.transactions == 0


def test_the_rest_can_be_left_out(server: MailServer, tmp_path: Path) -> None:
    """right-reader: "*": None is how to say so; a group without calls is no error."""
    to = {"Asha": "a@example.com", "Nobody": "n@example.com", "*": None}
    send([group(tmp_path, "Asha"), group(tmp_path, "Ravi")], to)
    assert sent(server) == {("a@example.com",): ["calls_Asha.csv"]}


def test_a_report_without_calls_goes_to_everybody_apart(server: MailServer, tmp_path: Path) -> None:
    """right-reader: no manager sees another one's address."""
    send([exported(tmp_path, b"", filename="no calls.csv")])
    south = ("south@example.com", "second@example.com")
    assert list(sent(server)) == [("north@example.com",), south, ("head@example.com",)]


def test_a_retry_sends_only_what_has_not_gone(server: MailServer, tmp_path: Path) -> None:
    """right-reader: one refused address stops nobody else, and nobody gets a second mail in the next try."""
    record = MemoryRecord()
    files = [group(tmp_path, name) for name in ("Asha", "Ravi", "Zoya")]
    server.refuse = {"south@example.com": "550 5.1.1 No such user"}
    with pytest.raises(RecipientsRefusedError, match="1 of 3 mails were not sent, the others were") as caught:
        send(files, record=record)
    assert caught.value.retryable is False
    assert sorted(sent(server)) == [("head@example.com",), ("north@example.com",)]
    server.refuse = {}
    receipt = send(files, record=record)
    assert len(server.mails) == 3
    assert len(receipt.emailed_to) == 4
    assert send(files, record=record).sent is False
    assert len(server.mails) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"to": {}}, "email_to has no address; allowed are one or more"),
        ({"to": {"Asha": []}}, "email_to['Asha'] has no address; allowed are one or more, or None"),
        ({"to": {"*": None}}, "email_to has no address; allowed are one or more"),
        ({"to": {"Asha": "a"}}, "email_to['Asha'] has 'a'; allowed are addresses such as"),
        ({"to": {1: "a@example.com"}}, "email_to has the key 1; allowed are values of the group_by column"),
        ({"to": {"Asha": "a@example.com, A@example.com"}}, "A@example.com comes twice, in email_to['Asha'] and"),
        ({"to": GROUPS, "cc": "c@example.com"}, "email_to is an object of groups, and email_cc or email_bcc is set"),
    ],
)
def test_a_wrong_object_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: the group is named."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        EmailDestination(**arguments)


def test_an_object_needs_group_by() -> None:
    """clear-sentence: at parse time."""
    with pytest.raises(ValueError, match="email_to is an object of groups, and group_by is not set; set group_by"):
        CallReportExportOperator(task_id="mail", email_to=GROUPS)
    CallReportExportOperator(task_id="mail", email_to=GROUPS, group_by="Agents")
    CallReportExportOperator(task_id="mail", email_to={"{{ params.x }}": "{{ params.y }}"}, group_by="Agents")


def test_a_mail_in_doubt_stops_no_other(server: MailServer, tmp_path: Path) -> None:
    """one-mail: the others go, and then the task is red and says which mailbox to look into."""
    record = MemoryRecord()
    files = [group(tmp_path, name) for name in ("Asha", "Ravi", "Zoya")]
    server.drop_after_data = True
    with pytest.raises(MailMaybeSentError):
        send(files, record=record)
    server.drop_after_data = False
    with pytest.raises(MailMaybeSentError, match=r"Look into the mailbox of north@example\.com"):
        send(files, record=record)
    assert len(server.mails) == 3
    record.clears = 1
    send(files, record=record)
    assert [mail.recipients[0] for mail in server.mails] == ["north@example.com", *OTHERS, "north@example.com"]


@pytest.mark.slow
def test_ninety_mails_go_over_a_few_connections(server: MailServer, tmp_path: Path) -> None:
    """right-reader: servers close a connection after some number of mails."""
    names = [f"agent {number}" for number in range(90)]
    send([group(tmp_path, name) for name in names], {name: f"{name[6:]}@example.com" for name in names})
    assert [mail.recipients for mail in server.mails] == [[f"{number}@example.com"] for number in range(90)]
    assert server.connections == 5


def test_one_mail_that_cannot_be_sent_stops_no_other(server: MailServer, tmp_path: Path) -> None:
    """one-mail: a file that is too large is told at the end, with how many mails were not sent."""
    files = [group(tmp_path, "Asha", 100_000), group(tmp_path, "Ravi"), group(tmp_path, "Zoya")]
    destination = EmailDestination(to=GROUPS, max_attachment_bytes=100_000, on_oversize="fail")
    with pytest.raises(DestinationRefusedError, match="1 of 3 mails were not sent, the others were: The mail with its"):
        destination.deliver(files, info=INFO, outcome=OUTCOME, run=RUN)
    assert len(server.mails) == 2
