"""A mail server's answers: each belongs to its command, and a "no" is told in its own words with the right advice."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.delivery import (
    INFO,
    OUTCOME,
    RUN,
    MailServer,
    MemoryRecord,
    certificate_for,
    exported,
    scripted_smtp,
    smtp_connection,
    smtp_server,
)

from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import (
    DestinationRefusedError,
    DestinationUnavailableError,
    MailMaybeSentError,
    RecipientsRefusedError,
)
from airflow_provider_callreport.delivery.receipts import EmailReceipt
from airflow_provider_callreport.delivery.smtp_answers import read_answer
from airflow_provider_callreport.report import ExportedFile


@pytest.fixture
def file(tmp_path: Path) -> ExportedFile:
    return exported(tmp_path, b"a,b\r\n" * 30_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with smtp_server() as started:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(started.port))
        yield started


def send(file: ExportedFile, record: MemoryRecord | None = None, **arguments: Any) -> EmailReceipt:
    """One mail to one person."""
    destination = EmailDestination(**{"to": "a@example.com", "answer_timeout": 5, **arguments})
    return destination.deliver([file], info=INFO, outcome=OUTCOME, run=RUN, record=record)


# --- answers belong to their commands


@pytest.mark.parametrize(
    "script",
    [
        {"go_on": b"354 go on\r\n250 taken\r\n", "answer": b"554 5.7.1 refused\r\n"},
        {"go_on": b"354-go\r\n354 on\r\n250-2.0.0 taken\r\n250 as 17\r\n", "answer": b"554 5.7.1 refused\r\n"},
    ],
    ids=["with 354", "in lines"],
)
def test_an_answer_before_the_mail_is_complete_is_not_its_answer(
    monkeypatch: pytest.MonkeyPatch, file: ExportedFile, script: dict[str, bytes]
) -> None:
    """servers-word: 250 that comes too early takes no mail: red, nothing was sent, and the next try may send."""
    record = MemoryRecord()
    with scripted_smtp(**script) as port:  # type: ignore[arg-type]
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(port))
        with pytest.raises(DestinationUnavailableError, match=r"out of step: .* no mail was sent\. .*: 250") as caught:
            send(file, record)
    assert caught.value.retryable is True
    assert record.history == []


def test_an_answer_while_the_mail_comes_is_never_green(monkeypatch: pytest.MonkeyPatch, file: ExportedFile) -> None:
    """servers-word: it may be seen in time, or only when the true answer comes after it: red both times."""
    with scripted_smtp(at_once=b"250 taken\r\n", answer=b"554 5.7.1 refused\r\n") as port:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(port))
        with pytest.raises((DestinationUnavailableError, MailMaybeSentError)):
            send(file)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"250 taken\r\n554 5.7.1 refused\r\n", "more than one answer: 250 taken, and then 554 5.7.1 refused"),
        (b"250 taken\r\n250 taken\r\n", "more than one answer: 250 taken, and then 250 taken"),
    ],
)
def test_two_answers_to_one_mail_are_a_doubt(
    monkeypatch: pytest.MonkeyPatch, file: ExportedFile, answer: bytes, sentence: str
) -> None:
    """servers-word: who gives two answers has not said that the mail went."""
    record = MemoryRecord()
    with scripted_smtp(answer=answer) as port:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(port))
        with pytest.raises(MailMaybeSentError, match=re.escape(sentence)):
            send(file, record)
    assert record.history == ["intent", "unsure"]


def test_a_server_that_hangs_up_after_its_answer_has_taken_the_mail(
    monkeypatch: pytest.MonkeyPatch, file: ExportedFile
) -> None:
    """servers-word: 250 and a closed connection is a mail that went; so is 250 and 421."""
    for answer in (b"250 taken\r\n", b"250 taken\r\n421 closing\r\n"):
        with scripted_smtp(answer=answer, hang_up=True) as port:
            monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(port))
            assert send(file).sent is True


@pytest.mark.parametrize("how", ["tls", "starttls"])
def test_a_mail_goes_over_tls(monkeypatch: pytest.MonkeyPatch, file: ExportedFile, tmp_path: Path, how: str) -> None:
    """safe-transport: both kinds of TLS, with the certificate checked; looking for early answers does no harm there."""
    certificate, key = certificate_for("localhost", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    settings: dict[str, Any] = {"disable_ssl": how == "starttls", "disable_tls": False, "host": "localhost"}
    with smtp_server(tls=context) if how == "tls" else smtp_server(starttls=context) as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(server.port, **settings))
        with pytest.raises(DestinationRefusedError, match=r"The certificate of the mail server .* is not valid"):
            send(file)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert send(file).sent is True
        assert len(server.mails) == 1
        server.refuse_data = "554 5.7.1 refused"
        with pytest.raises(DestinationRefusedError, match=r"554 5\.7\.1 refused"):
            send(file)


# --- a way out of the doubt


def test_a_run_that_was_killed_in_doubt_sends_after_somebody_looked_and_cleared(
    server: MailServer, file: ExportedFile
) -> None:
    """one-mail: killed between the record and the end of the mail: each try is red, until the task is cleared."""
    record = MemoryRecord()
    record.broken = "intent"
    with pytest.raises(RuntimeError):
        send(file, record)
    assert (record.history, server.mails) == ([], [])
    record.broken = None
    server.drop_after_data = True
    with pytest.raises(MailMaybeSentError):
        send(file, record)
    assert record.value is not None
    # As a kill leaves it: the intent, and nobody was told.
    (mail,) = record.value["mails"].values()
    mail["state"] = "intent"
    server.drop_after_data = False
    record.clears = 1
    for _ in range(2):
        with pytest.raises(MailMaybeSentError, match=r"Look into the mailbox of a@example\.com for .* clear the task"):
            send(file, record)
    record.clears = 2
    assert send(file, record).sent is True
    assert send(file, record).sent is False
    assert len({str(mail.message["Message-ID"]) for mail in server.mails}) == 1
    assert len(server.mails) == 2


# --- what a "no" says


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        ("552 5.7.0 This message was blocked because its content presents a potential security issue.", "not its size"),
        ("552 5.3.4 Message size exceeds fixed limit", "too large for the server: set max_attachment_bytes"),
        ("552 5.2.3 Too long", "too large for the server: set max_attachment_bytes"),
        ("552 message too big", "too large for the server: set max_attachment_bytes"),
        ("552 5.2.2 Over quota", "mailbox is full"),
        ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", 'set "From email"'),
        ("550 5.7.26 Unauthenticated email is not accepted", "SPF, DKIM"),
        ("554 5.7.1 Spam", ""),
        ("554 No SMTP service here", ""),
        ("550 5.9.9 Nobody knows this code", ""),
    ],
)
def test_a_refused_mail_shows_the_servers_sentence_and_the_right_advice(
    server: MailServer, file: ExportedFile, reply: str, advice: str
) -> None:
    """servers-word: advice hangs on the enhanced code; a code that is not known gets the sentence alone."""
    server.refuse_data = reply
    with pytest.raises(DestinationRefusedError) as caught:
        send(file)
    sentence = f"The mail server refused the mail; no mail was sent. It said: {reply.removesuffix('.')}."
    assert str(caught.value).startswith(sentence)
    rest = str(caught.value).removeprefix(sentence).strip()
    assert advice in rest
    assert bool(rest) is bool(advice)


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            'let an administrator allow "Authenticated SMTP" for the mailbox, or log in by OAuth2',
        ),
        ("535 5.7.8 Username and Password not accepted.", "Check login and password of the connection"),
        ("535 Authentication failed.", "Check login and password of the connection"),
        ("534 5.7.9 Application-specific password required.", "needs an app password, or OAuth2"),
        ("534 5.9.9 Something else.", ""),
    ],
)
def test_a_refused_login_shows_the_servers_sentence_and_the_right_advice(
    server: MailServer, file: ExportedFile, monkeypatch: pytest.MonkeyPatch, reply: str, advice: str
) -> None:
    """servers-word: "disabled for the tenant" is not "check the password"."""
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(server.port, login="me", password="canary-pass"))
    server.refuse_login = reply
    with pytest.raises(DestinationRefusedError) as caught:
        send(file)
    sentence = f'refused the login of SMTP connection "smtp_default"; no mail was sent. It said: {reply}'
    before, _, rest = str(caught.value).partition(sentence)
    assert before == "The mail server "
    assert advice in rest
    assert bool(rest) is bool(advice)
    assert caught.value.retryable is False


def test_a_login_that_is_refused_for_now_is_tried_again(
    server: MailServer, file: ExportedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """servers-word: 454 is an answer for now."""
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(server.port, login="me", password="canary-pass"))
    server.refuse_login = "454 4.7.0 Temporary authentication failure"
    with pytest.raises(DestinationUnavailableError, match=r"asks to try later.* said: 454 4\.7\.0 Temporary"):
        send(file)


def test_a_server_that_repeats_a_secret_does_not_get_it_into_the_log(
    server: MailServer, file: ExportedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """servers-word: neither the password nor its base64 is in the message."""
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(server.port, login="me", password="canary-pass"))
    encoded = base64.b64encode(b"canary-pass").decode()
    both = base64.b64encode(b"\0me\0" + b"canary-pass" * 9).decode()
    server.refuse_login = f"535 5.7.8 no canary-pass, {encoded}, {both}"
    with pytest.raises(DestinationRefusedError, match=r"It said: 535 5\.7\.8 no \*\*\*, \*\*\*, \*\*\*\.") as caught:
        send(file)
    assert "canary" not in str(caught.value)


def test_advice_on_refused_recipients_is_given_once(server: MailServer, file: ExportedFile) -> None:
    """servers-word: two unknown mailboxes, one piece of advice."""
    server.refuse = {"a@example.com": "550 5.1.1 No such user", "b@example.com": "550 5.1.1 No such user"}
    with pytest.raises(RecipientsRefusedError) as caught:
        send(file, to="a@example.com, b@example.com")
    assert str(caught.value).count("There is no such mailbox: correct the address.") == 1


def test_a_sentence_of_several_lines_is_one() -> None:
    """servers-word: Gmail repeats the code on each line; it is shown once, and the sentence is whole."""
    words = b"5.7.8 Username and Password not accepted. For more, go to\n5.7.8  https://support.example.com/?p=Bad 1a2b"
    answer = read_answer(535, words)
    expected = "535 5.7.8 Username and Password not accepted. For more, go to https://support.example.com/?p=Bad 1a2b"
    assert str(answer) == expected
    assert answer.enhanced == "5.7.8"
    assert read_answer(250, b"").words == ""
