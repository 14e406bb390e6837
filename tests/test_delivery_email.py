"""E-mail delivery against real SMTP servers: one mail, whole, to everybody or red."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.delivery import (
    FIGURES,
    INFO,
    OTHER_RUN,
    OUTCOME,
    RUN,
    MailServer,
    MemoryRecord,
    exported,
    scripted_smtp,
    smtp_connection,
    smtp_server,
)

from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import (
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
    FileChangedError,
    MailMaybeSentError,
    MailTooLargeError,
    RecipientsRefusedError,
)
from airflow_provider_callreport.delivery.mail_body import mail_context, render_mail
from airflow_provider_callreport.delivery.message import Envelope, MailText, compose, encoded_size
from airflow_provider_callreport.delivery.receipts import EmailReceipt, Link
from airflow_provider_callreport.delivery.recipients import parse_recipients
from airflow_provider_callreport.report import ExportedFile, RunIdentity, Tally
from airflow_provider_callreport.report.wording import size

CONTENT = b"Caller Number,Time\r\n.+919876543210,2026-03-13 09:00:00\r\n" * 200
LINK = Link(
    "s3://reports/calls.csv", "https://s3.example.com/calls.csv?X-Amz-Signature=1", datetime(2026, 3, 15, 6, tzinfo=UTC)
)

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Point the connection ``smtp_default`` to a port."""

    def connect(port: int, **extra: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(port, **extra))

    return connect


@pytest.fixture
def server(connect: Connect) -> Iterator[MailServer]:
    """A well-behaved SMTP server and the connection to it."""
    with smtp_server() as started:
        connect(started.port)
        yield started


@pytest.fixture
def file(tmp_path: Path) -> ExportedFile:
    """A small CSV file."""
    return exported(tmp_path, CONTENT)


def send(
    destination: EmailDestination, files: Sequence[ExportedFile], *, run: RunIdentity = RUN, **more: Any
) -> EmailReceipt:
    """Deliver with the module's report, unless another is given."""
    return destination.deliver(files, **{"info": INFO, "outcome": OUTCOME, "run": run, **more})


# --- the mail


def test_the_mail_holds_the_file_and_goes_to_everybody(server: MailServer, file: ExportedFile) -> None:
    """one-mail: one transaction, three recipients, the attachment's bytes are the file's, Bcc is in no header."""
    destination = EmailDestination(
        to="Asha Rao <asha@example.com>; ravi@example.com", cc=["head@example.com"], bcc="audit@example.com"
    )
    receipt = send(destination, [file])
    (mail,) = server.mails
    everybody = ["asha@example.com", "ravi@example.com", "head@example.com", "audit@example.com"]
    assert server.transactions == 1
    assert mail.sender == "reports@example.com"
    assert mail.recipients == everybody
    message = mail.message
    assert message["To"] == "Asha Rao <asha@example.com>, ravi@example.com"
    assert message["Cc"] == "head@example.com"
    assert message["From"] == "Call reports <reports@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert b"audit@example.com" not in mail.raw
    assert "Bcc" not in message
    (attachment,) = mail.attachments
    content = attachment.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert attachment.get_filename() == "calls.csv"
    assert attachment["Content-Type"] == 'text/csv; charset="utf-8"; name="calls.csv"'
    assert receipt == EmailReceipt(tuple(everybody), (), (str(message["Message-ID"]),), attached=True, sent=True)
    assert mail.raw.isascii()
    assert max(map(len, mail.raw.split(b"\r\n"))) <= 998


def test_the_date_is_the_time_of_sending(server: MailServer, file: ExportedFile) -> None:
    """one-mail: a mail is not a delivered file: its date is now, not the window's."""
    send(EmailDestination(to="a@example.com"), [file])
    date = parsedate_to_datetime(str(server.mails[0].message["Date"]))
    assert abs(datetime.now(UTC) - date) < timedelta(minutes=1)


@pytest.mark.parametrize("kind", ["html", "plain"])
def test_both_twins_state_the_facts(server: MailServer, file: ExportedFile, kind: str) -> None:
    """one-mail: window, zone, rows, API total, proof, filters, redactions, figures, file size and sha256; in both
    twins.
    """
    send(EmailDestination(to="a@example.com"), [file])
    body = server.mails[0].body(kind)
    for fact in (
        "Masked calls",
        "13 Mar 2026",
        "13 Mar 2026 00:00:00 (UTC+05:30)",
        "14 Mar 2026 00:00:00 (UTC+05:30), not included",
        "Asia/Kolkata",
        "1,234",
        "Total by the API",
        "All 1,234 calls that the API reports are in the file.",
        "duration at least 10 s",
        "Caller Number: only the last 4 digits are left",
        "Answered",
        "812",
        "Asha Rao",
        "41 h 07 min",
        "3 min 02 s",
        "calls.csv",
        f"{file.bytes:,} bytes",
        size(file.bytes),
        file.sha256,
    ):
        assert fact in body, fact


@pytest.mark.parametrize("kind", ["html", "plain"])
def test_no_phone_number_from_the_figures_reaches_the_body(server: MailServer, file: ExportedFile, kind: str) -> None:
    """no-leak: an agent that is entered as a phone number shows its last four digits; markup in names is text."""
    send(EmailDestination(to="a@example.com"), [file])
    body = server.mails[0].body(kind)
    assert "98765" not in body
    assert "...3210" in body
    assert ("&lt;b&gt;Ravi &amp; Co&lt;/b&gt;" if kind == "html" else "<b>Ravi & Co</b>") in body


def test_the_html_is_well_formed_and_loads_nothing(server: MailServer, file: ExportedFile) -> None:
    """one-mail: every element is closed in order; no image, script, font or style is fetched from anywhere."""
    send(EmailDestination(to="a@example.com"), [file], links=[LINK])
    html = server.mails[0].body("html")
    problems: list[str] = []

    class Checker(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag in ("img", "script", "link", "iframe", "object", "form", "base"):
                problems.append(tag)
            problems.extend(f"{k}={v}" for k, v in attrs if k in ("src", "background") or k.startswith("on"))
            if tag not in ("meta", "br"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if not self.open or self.open.pop() != tag:
                problems.append(f"</{tag}>")

    checker = Checker()
    checker.feed(html)
    checker.close()
    assert (problems, checker.open) == ([], [])
    assert "url(" not in html
    assert "@import" not in html
    assert re.findall(r'href="([^"]*)"', html) == [LINK.url]
    assert len(html) < 102_000, "Gmail clips longer mails"


@pytest.mark.parametrize(
    ("complete", "total", "rows", "subject", "statement"),
    [
        (True, 1234, 1234, "Masked calls 13 Mar 2026: 1,234 calls", "Complete"),
        (None, None, 1, "Masked calls 13 Mar 2026: 1 call", "Not proved"),
        (None, None, 0, "Masked calls 13 Mar 2026: no calls", "No calls in this window."),
        (False, 3000, 1234, "INCOMPLETE: Masked calls 13 Mar 2026: 1,234 of 3,000 calls", "Incomplete"),
    ],
)
def test_subject_and_body_say_whether_the_report_is_whole(
    server: MailServer,
    file: ExportedFile,
    complete: bool | None,
    total: int | None,
    rows: int,
    subject: str,
    statement: str,
) -> None:
    """one-mail, whole-or-red: complete, not proved, incomplete and empty are each told in the subject or the body."""
    outcome = replace(OUTCOME, complete=complete, reported_total=total, rows=rows, note="This is the note.")
    send(EmailDestination(to="a@example.com"), [file], outcome=outcome)
    mail = server.mails[0]
    assert mail.message["Subject"] == subject
    assert statement in mail.body("html")
    for kind in ("html", "plain"):
        assert "This is the note." in mail.body(kind)
    assert ("* This is the note." in mail.body("plain")) is (complete is not True)


def test_a_report_without_figures_redactions_and_filters_is_a_mail_too(server: MailServer, file: ExportedFile) -> None:
    """empty-report, one-mail: what is not known is not shown, and nothing is missing from the frame."""
    info = replace(INFO, filters=(), redacted={})
    send(EmailDestination(to="a@example.com"), [file], info=info, outcome=replace(OUTCOME, figures=None))
    for kind in ("html", "plain"):
        body = server.mails[0].body(kind)
        assert "Calls by" not in body
        assert "Redacted." not in body
        assert file.sha256 in body


def test_names_in_other_scripts_survive(server: MailServer, tmp_path: Path) -> None:
    """one-mail: Devanagari in title, display name and file name come out as they went in, over 7 bit."""
    file = exported(tmp_path, CONTENT, filename="कॉल रिपोर्ट 13 मार्च.csv")
    send(
        EmailDestination(to='"राव, आशा" <asha@example.com>', subject="रिपोर्ट [[ rows ]]"),
        [file],
        info=replace(INFO, title="कॉल रिपोर्ट"),
    )
    (mail,) = server.mails
    assert mail.raw.isascii()
    assert mail.message["Subject"] == "रिपोर्ट 1234"
    assert mail.message["To"].addresses[0].display_name == "राव, आशा"
    assert mail.attachments[0].get_filename() == "कॉल रिपोर्ट 13 मार्च.csv"
    assert "कॉल रिपोर्ट" in mail.body("plain")


def test_a_line_that_begins_with_a_dot_survives(server: MailServer, file: ExportedFile) -> None:
    """one-mail: a lone dot ends a mail in SMTP; in a body it is text, and nothing after it is lost."""
    send(EmailDestination(to="a@example.com", html=".\n..\n<p>after</p>\n.\n"), [file])
    (mail,) = server.mails
    assert mail.body("html").splitlines() == [".", "..", "<p>after</p>", "."]
    assert len(mail.attachments) == 1


def test_a_changed_file_is_not_sent(server: MailServer, file: ExportedFile) -> None:
    """stored-bytes, one-mail: the attachment is the verified file, or there is no mail."""
    file.path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(FileChangedError, match="no mail was sent"):
        send(EmailDestination(to="a@example.com"), [file])
    assert server.mails == []


# --- templates of one's own


def test_subject_and_html_can_be_replaced_beside_airflows_own_braces(server: MailServer, file: ExportedFile) -> None:
    """one-mail: Airflow renders {{ }} first and leaves [[ ]] alone; then the facts are filled in, escaped."""
    from jinja2 import Environment

    source = "<p>{{ ds }}: [[ rows|count ]] calls[% for f in files %], [[ f.filename ]][% endfor %] [[ title ]]</p>"
    by_airflow = Environment().from_string(source).render(ds="2026-03-13")
    destination = EmailDestination(to="a@example.com", subject="[[ report ]]: [[ rows|count ]]\n", html=by_airflow)
    send(destination, [file], info=replace(INFO, title="A & B"))
    mail = server.mails[0]
    assert mail.message["Subject"] == "masked_calls: 1,234"
    assert mail.body("html").strip() == "<p>2026-03-13: 1,234 calls, calls.csv A &amp; B</p>"
    assert file.sha256 in mail.body("plain")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"html": "[[ rowz ]]"},
            "email_html: a mail has no variable 'rowz' (did you mean 'rows'?); allowed are title, report, window",
        ),
        ({"html": "[[ title.__class__.__mro__ ]]"}, "email_html cannot be rendered: access to attribute '__class__'"),
        ({"html": "[[ 1 / 0 ]]"}, "email_html cannot be rendered: division by zero"),
        ({"subject": "[[ rows"}, "email_subject has a mistake in line 1"),
        ({"html": "<p>\n[% if x %]"}, "email_html has a mistake in line 2"),
        ({"subject": " "}, "email_subject is ''; allowed is one line of text that is not empty"),
        ({"subject": "a\r\nBcc: evil@example.com"}, "; allowed is one line of text that is not empty"),
        ({"subject": "a\nb"}, "; allowed is one line of text that is not empty"),
        ({"subject": "a\u2028b"}, "; allowed is one line of text that is not empty"),
    ],
)
def test_a_wrong_template_is_one_sentence_and_no_mail(
    server: MailServer, file: ExportedFile, arguments: dict[str, Any], sentence: str
) -> None:
    """clear-sentence, one-mail: unknown variables, syntax, forbidden access and header injection end before anything is
    sent.
    """
    with pytest.raises(ValueError, match=re.escape(sentence)):
        send(EmailDestination(to="a@example.com", **arguments), [file])
    assert server.mails == []


def test_a_title_cannot_inject_a_header(server: MailServer, file: ExportedFile) -> None:
    """one-mail: the line break may also come in through the default subject's variables."""
    with pytest.raises(ValueError, match=r"email_subject is .*; allowed is one line"):
        send(EmailDestination(to="a@example.com"), [file], info=replace(INFO, title="x\r\nBcc: evil@example.com"))
    assert server.mails == []


def test_every_variable_is_documented_and_every_documented_one_exists(file: ExportedFile) -> None:
    """The table in the module is the contract for people's own templates."""
    from airflow_provider_callreport.delivery import mail_body

    assert mail_body.__doc__ is not None
    documented = set(re.findall(r"^``([\w, ]+)``  ", mail_body.__doc__, re.M))
    names = {name.strip() for entry in documented for name in entry.split(",")}
    assert names == set(mail_context(INFO, OUTCOME, [file], [])) == set(mail_body.VARIABLES)


# --- size


def test_the_limit_is_on_the_encoded_mail(server: MailServer, tmp_path: Path) -> None:
    """one-mail: files of 3/4 of the limit do not fit: base64 makes 4/3 of them; the link goes instead, with its end."""
    file = exported(tmp_path, random.Random(1).randbytes(150_000))
    receipt = send(EmailDestination(to="a@example.com", max_attachment_bytes=200_000), [file], links=[LINK])
    assert receipt.attached is False
    (mail,) = server.mails
    assert mail.attachments == []
    for kind in ("html", "plain"):
        body = mail.body(kind)
        assert "Not attached: the mail with its file would have" in body
        assert "200,000 bytes (200 kB) are allowed" in body
        assert "s3://reports/calls.csv" in body
        assert str(LINK.url) in body
        assert "works until 15 Mar 2026 11:30 (Asia/Kolkata)" in body
        assert file.sha256 in body


def test_each_link_of_several_is_named_and_an_early_end_is_told(server: MailServer, tmp_path: Path) -> None:
    """one-mail: two files, two links; one is signed by a session whose end nobody knows."""
    files = [exported(tmp_path, CONTENT, filename=f"agent-{n}.csv") for n in (1, 2)]
    links = [
        replace(LINK, filename="agent-1.csv", may_expire_earlier=True),
        Link("s3://reports/agent-2.csv", filename="agent-2.csv"),
    ]
    send(EmailDestination(to="a@example.com", max_attachment_bytes=1), files, links=links)
    text = server.mails[0].body("plain")
    assert "agent-1.csv is stored at s3://reports/calls.csv" in text
    assert "Download (works at most until 15 Mar 2026 11:30 (Asia/Kolkata)): https://" in text
    assert "agent-2.csv is stored at s3://reports/agent-2.csv" in text
    assert server.mails[0].body("html").count("href=") == 1


@pytest.mark.parametrize("extra", [-1, 0])
def test_the_limit_is_exact(server: MailServer, tmp_path: Path, extra: int) -> None:
    """one-mail: a mail of exactly the limit is attached, one byte more is not; measured on the bytes that leave."""
    file = exported(tmp_path, random.Random(1).randbytes(150_000))
    send(EmailDestination(to="a@example.com"), [file], links=[LINK])
    whole = len(server.mails.pop().raw)
    receipt = send(EmailDestination(to="a@example.com", max_attachment_bytes=whole + extra), [file], links=[LINK])
    assert receipt.attached is (extra == 0)


def test_a_file_beyond_the_limit_is_never_read(server: MailServer, tmp_path: Path) -> None:
    """one-mail: memory is bounded by the limit: the size tells, so a file that cannot be read makes no difference."""
    file = exported(tmp_path, CONTENT)
    file.path.unlink()
    huge = replace(file, bytes=10**12)
    assert send(EmailDestination(to="a@example.com"), [huge], links=[LINK]).attached is False


@pytest.mark.slow
def test_the_expected_size_is_never_below_the_true_one(server: MailServer, tmp_path: Path) -> None:
    """one-mail: what is computed from the file's size covers what the attachment really takes."""
    for length in (0, 1, 2, 3, 56, 57, 58, 75, 76, 1000, 99_999):
        file = exported(tmp_path, bytes(length))
        send(EmailDestination(to="a@example.com", html="x"), [file])
        with_file = len(server.mails.pop().raw)
        send(EmailDestination(to="a@example.com", html="x"), [])
        without = len(server.mails.pop().raw)
        assert 0 <= encoded_size(file) - (with_file - without) < 1024


@pytest.mark.parametrize(
    ("policy", "links", "end"),
    [
        ("fail", [LINK], 'on_oversize="fail" sends none.'),
        ("link", [], 'there is no link: on_oversize="link" needs S3.'),
    ],
)
def test_an_oversized_mail_without_a_way_out_names_both_sizes(
    server: MailServer, tmp_path: Path, policy: str, links: list[Link], end: str
) -> None:
    """one-mail: fail: no mail, and the sentence has what it would be and what is allowed."""
    file = exported(tmp_path, bytes(150_000))
    destination = EmailDestination(to="a@example.com", max_attachment_bytes=150_000, on_oversize=policy)
    with pytest.raises(MailTooLargeError, match=r"would have \d{3},\d{3} bytes .* 150,000 bytes") as caught:
        send(destination, [file], links=links)
    assert str(caught.value).endswith(end)
    assert caught.value.retryable is False
    assert server.transactions == 0


def test_the_servers_own_size_is_obeyed(connect: Connect, tmp_path: Path) -> None:
    """one-mail: a server that offers SIZE 100000 gets the link, although the argument would allow the file."""
    with smtp_server(size_limit=100_000) as server:
        connect(server.port)
        receipt = send(EmailDestination(to="a@example.com"), [exported(tmp_path, bytes(90_000))], links=[LINK])
        assert receipt.attached is False
        assert "100,000 bytes (100 kB) are allowed by the mail server" in server.mails[0].body("plain")


def test_a_server_that_finds_it_too_large_only_then_is_explained(server: MailServer, file: ExportedFile) -> None:
    """one-mail: 552 without SIZE: not sent, not retryable, and what to set is said."""
    server.refuse_data = "552 5.3.4 Message too big"
    with pytest.raises(DestinationRefusedError, match="set max_attachment_bytes") as caught:
        send(EmailDestination(to="a@example.com"), [file])
    assert caught.value.retryable is False


def test_several_files_are_attached_together(server: MailServer, tmp_path: Path) -> None:
    """one-mail: a file per group, one mail."""
    files = [exported(tmp_path, bytes([n]) * 1000, filename=f"agent-{n}.csv") for n in range(3)]
    send(EmailDestination(to="a@example.com"), files)
    assert [a.get_filename() for a in server.mails[0].attachments] == ["agent-0.csv", "agent-1.csv", "agent-2.csv"]
    for file in files:
        assert file.sha256 in server.mails[0].body("plain")


# --- refusals


def test_one_refused_of_three_is_named_and_nobody_gets_the_mail(server: MailServer, file: ExportedFile) -> None:
    """one-mail: fail: the refused one is named with the server's words, no mail went to the others, no retry."""
    server.refuse = {"gone@example.com": "550 5.1.1 No such user"}
    with pytest.raises(RecipientsRefusedError) as caught:
        send(EmailDestination(to="a@example.com, gone@example.com", cc="b@example.com"), [file])
    assert "1 of 3 recipients" in str(caught.value)
    assert "gone@example.com (550 5.1.1 No such user)" in str(caught.value)
    assert "a@example.com" not in str(caught.value)
    assert caught.value.retryable is False
    assert server.mails == []


def test_one_refused_of_three_is_named_and_the_others_get_it_under_warn(
    server: MailServer, file: ExportedFile, caplog: pytest.LogCaptureFixture
) -> None:
    """one-mail: warn: the mail goes to two, the receipt and the log name the third."""
    server.refuse = {"gone@example.com": "550 5.1.1 No such user"}
    receipt = send(EmailDestination(to="a@example.com, gone@example.com, b@example.com", on_refused="warn"), [file])
    assert receipt.emailed_to == ("a@example.com", "b@example.com")
    assert [(r.address, r.code) for r in receipt.refused] == [("gone@example.com", 550)]
    assert server.mails[0].recipients == ["a@example.com", "b@example.com"]
    assert "gone@example.com (550" in caplog.text


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_all_refused_is_an_error_under_both_policies(server: MailServer, file: ExportedFile, policy: str) -> None:
    """one-mail: nobody took it: red."""
    server.refuse = {"a@example.com": "550 no", "b@example.com": "550 no"}
    with pytest.raises(RecipientsRefusedError, match="2 of 2"):
        send(EmailDestination(to="a@example.com, b@example.com", on_refused=policy), [file])


def test_a_greylisted_recipient_gets_the_first_mail_on_the_retry(server: MailServer, file: ExportedFile) -> None:
    """one-mail: 450 for one: retryable, nobody has it yet, and the next try is the only mail for all."""
    server.refuse = {"b@example.com": "450 4.2.0 Greylisted"}
    destination = EmailDestination(to="a@example.com, b@example.com")
    with pytest.raises(RecipientsRefusedError) as caught:
        send(destination, [file])
    assert caught.value.retryable is True
    server.refuse = {}
    send(destination, [file])
    assert [mail.recipients for mail in server.mails] == [["a@example.com", "b@example.com"]]


@pytest.mark.parametrize(
    ("where", "reply", "kind"),
    [
        ("refuse_sender", "550 5.7.1 not you", DestinationRefusedError),
        ("refuse_sender", "451 4.3.0 later", DestinationUnavailableError),
        ("refuse_data", "554 5.7.1 spam", DestinationRefusedError),
        ("refuse_data", "451 4.3.0 later", DestinationUnavailableError),
        ("refuse_data", "421 4.3.2 closing", DestinationUnavailableError),
    ],
)
def test_the_servers_no_is_final_or_for_now(
    server: MailServer, file: ExportedFile, where: str, reply: str, kind: type[DeliveryError]
) -> None:
    """one-mail: 5xx gives up, 4xx is left to Airflow's retries; nothing is sent again by us."""
    setattr(server, where, reply)
    record = MemoryRecord()
    with pytest.raises(kind) as caught:
        send(EmailDestination(to="a@example.com"), [file], record=record)
    assert reply[:9] in str(caught.value)
    assert "no mail was sent" in str(caught.value)
    assert caught.value.retryable is (kind is DestinationUnavailableError)
    assert server.transactions == 1
    assert record.history == ([] if where == "refuse_sender" else ["intent", "not_sent"])
    setattr(server, where, "")
    assert send(EmailDestination(to="a@example.com"), [file], record=record).sent is True


# --- at most one mail a run


def test_the_message_id_is_stable_over_tries_and_differs_between_runs_and_recipients(
    server: MailServer, file: ExportedFile
) -> None:
    """one-mail: same run and recipients, in whatever order: same id; another run, map index or recipient: another."""

    def identity(to: str, run: RunIdentity = RUN) -> str:
        (identity,) = send(EmailDestination(to=to), [file], run=run).message_ids
        return identity

    first = identity("a@example.com, b@example.com")
    assert identity("b@example.com; A@example.com") == first
    others = {
        identity("a@example.com"),
        identity("a@example.com, b@example.com", OTHER_RUN),
        identity("a@example.com, b@example.com", replace(RUN, map_index=0)),
        identity("a@example.com, b@example.com", replace(RUN, task_id="other")),
    }
    assert len(others | {first}) == 5
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", first)
    assert [str(mail.message["Message-ID"]) for mail in server.mails[:2]] == [first, first]


def test_a_retry_with_a_record_sends_no_second_mail(server: MailServer, file: ExportedFile) -> None:
    """one-mail: the second try of the run finds the record, does not even connect, and tells the same receipt."""
    record = MemoryRecord()
    server.refuse = {"gone@example.com": "550 No such user"}
    destination = EmailDestination(to="a@example.com, gone@example.com", on_refused="warn")
    first = send(destination, [file], record=record)
    second = send(destination, [file], record=record)
    assert record.history == ["intent", "sent"]
    assert len(server.mails) == server.transactions == 1
    assert second == replace(first, sent=False, attached=None)


def test_the_intent_is_recorded_before_the_mail_is_handed_over(server: MailServer, file: ExportedFile) -> None:
    """one-mail: a store that is down stops the mail, not the other way round."""
    record = MemoryRecord()
    record.broken = "intent"
    with pytest.raises(RuntimeError, match="the store is down"):
        send(EmailDestination(to="a@example.com"), [file], record=record)
    assert server.mails == []


def test_a_store_that_fails_after_the_mail_does_not_fail_the_task(
    server: MailServer, file: ExportedFile, caplog: pytest.LogCaptureFixture
) -> None:
    """one-mail: the mail went; failing now would invite a second one."""
    record = MemoryRecord()
    record.broken = "sent"
    assert send(EmailDestination(to="a@example.com"), [file], record=record).sent is True
    assert "could not be recorded" in caplog.text


def test_other_recipients_are_another_mail(server: MailServer, file: ExportedFile) -> None:
    """one-mail: the address was corrected and the task cleared: the record of the old mail does not stop
    the new one.
    """
    record = MemoryRecord()
    send(EmailDestination(to="wrong@example.com"), [file], record=record)
    assert send(EmailDestination(to="right@example.com"), [file], record=record).sent is True
    assert len(server.mails) == 2


def test_a_connection_lost_after_the_mail_is_a_doubt_and_no_retry_sends(server: MailServer, file: ExportedFile) -> None:
    """one-mail: the server took the mail and died: maybe sent, not retryable, and the next try does not send either."""
    server.drop_after_data = True
    record = MemoryRecord()
    destination = EmailDestination(to="a@example.com")
    with pytest.raises(MailMaybeSentError, match="it may have gone") as caught:
        send(destination, [file], record=record)
    assert caught.value.retryable is False
    server.drop_after_data = False
    with pytest.raises(MailMaybeSentError, match="An earlier try of this run") as again:
        send(destination, [file], record=record)
    assert str(server.mails[0].message["Message-ID"]) in str(again.value)
    assert len(server.mails) == 1


def test_resend_if_unsure_sends_in_spite_of_the_doubt_and_never_of_a_success(
    server: MailServer, file: ExportedFile
) -> None:
    """one-mail: told to, the retry sends, under the same Message-ID; a mail that surely went is still
    not sent again.
    """
    server.drop_after_data = True
    record = MemoryRecord()
    destination = EmailDestination(to="a@example.com", resend_if_unsure=True)
    with pytest.raises(MailMaybeSentError):
        send(destination, [file], record=record)
    server.drop_after_data = False
    assert send(destination, [file], record=record).sent is True
    assert send(destination, [file], record=record).sent is False
    assert len({str(mail.message["Message-ID"]) for mail in server.mails}) == 1
    assert len(server.mails) == 2


def test_a_connection_lost_in_the_middle_of_the_mail_is_surely_not_sent(connect: Connect, tmp_path: Path) -> None:
    """one-mail: the lone dot never left: retryable, and the record lets the next try send."""
    file = exported(tmp_path, random.Random(3).randbytes(8_000_000))
    record = MemoryRecord()
    with scripted_smtp(cut_after=100_000) as port:
        connect(port)
        with pytest.raises(DestinationUnavailableError, match="before the mail was complete") as caught:
            send(EmailDestination(to="a@example.com"), [file], record=record)
    assert caught.value.retryable is True
    assert record.history == []


@pytest.mark.parametrize("answer", [None, b"what?\r\n", b"354 more\r\n"])
def test_no_answer_or_nonsense_after_the_mail_is_a_doubt(
    connect: Connect, file: ExportedFile, answer: bytes | None
) -> None:
    """one-mail: silence until the time is over, or an answer that is none: maybe sent."""
    record = MemoryRecord()
    with scripted_smtp(answer=answer) as port:
        connect(port)
        with pytest.raises(MailMaybeSentError):
            send(EmailDestination(to="a@example.com", answer_timeout=0.3), [file], record=record)
    assert record.history == ["intent", "unsure"]


def test_without_a_record_each_try_sends_once(server: MailServer, file: ExportedFile) -> None:
    """one-mail: on Airflow before 3.3 two tries are two mails, with one Message-ID."""
    for _ in range(2):
        send(EmailDestination(to="a@example.com"), [file])
    assert len(server.mails) == 2
    assert len({str(mail.message["Message-ID"]) for mail in server.mails}) == 1


# --- connection


def test_a_closed_port_is_retryable_and_a_wrong_setting_is_not(
    server: MailServer, file: ExportedFile, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """one-mail: who cannot be reached may come back; TLS on a plain port, no sender and no connection will not."""
    destination = EmailDestination(to="a@example.com")

    def failure() -> DeliveryError:
        with pytest.raises(DeliveryError) as caught:
            send(destination, [file])
        return caught.value

    connect(9)
    assert isinstance(failure(), DestinationUnavailableError)
    connect(server.port, disable_ssl=False)
    error = failure()
    assert isinstance(error, DestinationRefusedError)
    assert "disable_ssl" in str(error)
    connect(server.port, disable_tls=False)
    error = failure()
    assert isinstance(error, DestinationRefusedError)
    assert "STARTTLS" in str(error)
    connect(server.port, from_email=None)
    error = failure()
    assert isinstance(error, DestinationRefusedError)
    assert 'set "From email"' in str(error)
    connect(server.port, from_email="reports")
    assert "From email in SMTP connection" in str(failure())
    settings = {**json.loads(smtp_connection(server.port)), "login": "user", "password": "canary"}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(settings))
    server.refuse_login = "535 5.7.8 No such login"
    error = failure()
    assert "login" in str(error)
    assert "canary" not in str(error)
    assert error.retryable is False
    assert server.transactions == 0


def test_a_missing_connection_is_named(file: ExportedFile) -> None:
    """clear-sentence: the connection id that does not exist is in the sentence."""
    with pytest.raises(DestinationRefusedError, match=r'"no_such_mail" does not exist; .* type SMTP') as caught:
        send(EmailDestination(to="a@example.com", smtp_conn_id="no_such_mail"), [file])
    assert caught.value.retryable is False


def test_an_address_beyond_ascii_needs_a_server_that_can(connect: Connect, file: ExportedFile) -> None:
    """one-mail: without SMTPUTF8 the address is named and nothing is sent; with it the mail arrives."""
    destination = EmailDestination(to="आशा@example.com")
    with smtp_server() as plain:
        connect(plain.port)
        with pytest.raises(DestinationRefusedError, match=r"आशा@example\.com has characters"):
            send(destination, [file])
        assert plain.transactions == 0
    with smtp_server(smtputf8=True) as modern:
        connect(modern.port)
        send(destination, [file])
        assert modern.mails[0].recipients == ["आशा@example.com"]
        assert "आशा@example.com" in modern.mails[0].raw.decode().split("\r\n\r\n", 1)[0]


# --- arguments


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("a@example.com", ["a@example.com"]),
        ("a@example.com,b@example.com ; c@example.com", ["a@example.com", "b@example.com", "c@example.com"]),
        (["a@example.com", "b@example.com, c@example.com"], ["a@example.com", "b@example.com", "c@example.com"]),
        ("a@example.com,\n  b@example.com\n", ["a@example.com", "b@example.com"]),
        ('"Rao, Asha" <a@example.com>; Ravi <b@example.com>', ['"Rao, Asha" <a@example.com>', "Ravi <b@example.com>"]),
        ("a@example.com;", ["a@example.com"]),
        ("a@example.com; b@example.com ;\n", ["a@example.com", "b@example.com"]),
        (
            "Rao, Asha <a@example.com>; Kumar, Ravi (Pune) <b@example.com>; c@example.com, d@example.com;",
            ['"Rao, Asha" <a@example.com>', '"Kumar, Ravi (Pune)" <b@example.com>', "c@example.com", "d@example.com"],
        ),
        (["Rao,\u00a0Asha <a@example.com>;"], ['"Rao, Asha" <a@example.com>']),
        ("a@example.com <A@example.com>; 'b@example.com' <b@example.com>", ["a@example.com", "b@example.com"]),
        ("a+tag@sub.example.co.in", ["a+tag@sub.example.co.in"]),
        ("ops@localhost", ["ops@localhost"]),
        ("a@bücher.example", ["a@xn--bcher-kva.example"]),
        (None, []),
        ([], []),
    ],
)
def test_recipients_are_read_as_people_write_them(value: Any, addresses: list[str]) -> None:
    """one-mail: comma, semicolon, list, display names, names of domains in other scripts."""
    assert [str(address) for address in parse_recipients(value, "email_to")] == addresses


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a@example.com,",
        "a@example.com,,b@example.com",
        "a@example.com;;b@example.com",
        ";",
        "Rao, Asha <a@example.com>",
        "a@example.com, Ravi <b@example.com>; Rao",
        "a@example.com <b@example.com>;",
        "Rao, <a@example.com> Asha <b@example.com>;",
        "asha",
        "@example.com",
        "a@",
        "aexample.com",
        "a b@example.com",
        "a@exa mple.com",
        "a@-example.com",
        "a@example..com",
        "a..b@example.com",
        ".a@example.com",
        "a@example.com\r\nBcc: evil@example.com",
        "a@example.com\nevil@example.com",
        "Asha\r\nBcc: evil@example.com <a@example.com>",
        "Asha\nX: y <a@example.com>",
        "Asha\nRao <a@example.com>",
        "Asha\u202e <a@example.com>",
        "a\x00@example.com",
        "a@example.com\u202e",
        "Asha <a@example.com",
        "Asha a@example.com>",
        '"Asha <a@example.com>',
        "<a@example.com> b",
        f"{'a' * 65}@example.com",
        f"a@{'b.' * 130}com",
        ["a@example.com", ""],
        ["a@example.com", None],
        [1],
        7,
        {"a": 1},
    ],
)
def test_what_is_no_address_is_refused_with_its_argument(value: Any) -> None:
    """one-mail: header injection and malformed addresses: one sentence that names the argument and the value."""
    with pytest.raises(
        ValueError, match=r"^email_cc has .*; allowed are addresses such as asha@example\.com"
    ) as caught:
        parse_recipients(value, "email_cc")
    assert "\n" not in str(caught.value)
    assert "\r" not in str(caught.value)


def test_a_name_with_a_comma_is_explained() -> None:
    """clear-sentence: what a person pastes is read, or the sentence says how to write it."""
    sentence = (
        r"email_to has 'Rao'; allowed are .*; a comma begins another address; write a name with a comma in quotes"
    )
    with pytest.raises(ValueError, match=sentence):
        parse_recipients("Rao, Asha <a@example.com>", "email_to")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"to": []}, "email_to has no address; allowed are one or more"),
        ({"to": "a@example.com", "bcc": "A@EXAMPLE.com"}, "A@EXAMPLE.com comes twice, in email_to and email_bcc"),
        ({"to": "a@example.com, a@example.com"}, "a@example.com comes twice, in email_to and email_to"),
        ({"to": "a@example.com", "on_oversize": "zip"}, "on_oversize is 'zip'; allowed are link, fail"),
        ({"to": "a@example.com", "on_refused": None}, "on_refused is None; allowed are fail, warn"),
        ({"to": "a@example.com", "max_attachment_bytes": 0}, "; allowed is a whole number of at least 1"),
        ({"to": "a@example.com", "max_attachment_bytes": "15 MB"}, "; allowed is a whole number of at least 1"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: names the argument, what it was and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        EmailDestination(**arguments)


#: Encoded words (RFC 2047) are printable until the mail is written.
#: A line break and a header; a line break and a body; the same in the other encoding, in the middle of a word.
INJECTIONS = [
    "=?utf-8?q?x=0ABcc:evil@example.org?=",
    "=?utf-8?q?x=0D=0A=0D=0A<b>another_body</b>?=",
    "Calls =?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5vcmc=?= of today",
    "==?utf-8?q?x=0ABcc:evil@example.org?=",
]
HEADERS = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
ATTACHMENT = ["Content-Disposition", "Content-Transfer-Encoding", "Content-Type"]


def headers_of(text: MailText, folder: Path, filename: str = "calls.csv") -> list[str]:
    """The names of the headers of a mail with one file."""
    to = parse_recipients("asha@example.com", "email_to")
    file = exported(folder, b"a,b\r\n", filename=filename)
    raw = compose(text, Envelope(to[0], to), [file], identity="<1@example.com>", date=datetime(2026, 3, 14, tzinfo=UTC))
    assert b"another body" not in raw
    (attachment,) = message_from_bytes(raw, policy=policy.default).iter_attachments()
    assert sorted(attachment.keys()) == ATTACHMENT
    return [line.partition(b":")[0].decode() for line in raw.partition(b"\r\n\r\n")[0].split(b"\n") if line[:1] != b" "]


@pytest.mark.parametrize("text", INJECTIONS)
def test_an_encoded_word_cannot_begin_a_header(text: str, tmp_path: Path) -> None:
    """one-mail: neither in the subject, nor in a file's name."""
    assert headers_of(MailText(text, "<p></p>", "text"), tmp_path) == HEADERS
    assert headers_of(MailText("Calls", "<p></p>", "text"), tmp_path, filename=f"{text}.csv") == HEADERS


@pytest.mark.parametrize("text", INJECTIONS)
def test_nor_where_it_comes_from_the_title_or_the_calls(text: str, tmp_path: Path) -> None:
    """one-mail: a name in the report's data is written by whoever could enter it."""
    assert headers_of(render_mail(replace(INFO, title=text), OUTCOME, [], []), tmp_path) == HEADERS
    outcome = replace(OUTCOME, figures=replace(FIGURES, by_agent=(Tally(text, 3),)))
    subject = "[[ rows ]] calls, most by [[ figures.by_agent[0].name ]]"
    assert headers_of(render_mail(INFO, outcome, [], [], subject=subject), tmp_path) == HEADERS


@pytest.mark.parametrize(
    "address",
    [
        '"=?utf-8?q?x=0ABcc:evil@example.org?=" <asha@example.com>',
        "=?utf-8?q?x=0ABcc=3Aevil?= <asha@example.com>",
        "=?utf-8?q?x=0ABcc=3Aevil?=@example.com",
    ],
)
def test_an_address_with_an_encoded_word_is_refused(address: str) -> None:
    """one-mail: in its name and before its @ alike."""
    with pytest.raises(ValueError, match=r"email_cc has .*; allowed are addresses .*; it has an encoded word"):
        parse_recipients(address, "email_cc")
