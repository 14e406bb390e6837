"""Header injection by text that is printable until the mail is written: encoded words (RFC 2047)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from support.delivery import FIGURES, INFO, OUTCOME, exported

from airflow_provider_callreport.delivery.mail_body import render_mail
from airflow_provider_callreport.delivery.message import Envelope, MailText, compose
from airflow_provider_callreport.delivery.recipients import parse_recipients
from airflow_provider_callreport.report import Tally

#: A line break and a header; a line break and a body; the same in the other encoding, in the middle of a word.
INJECTIONS = [
    "=?utf-8?q?x=0ABcc:evil@example.org?=",
    "=?utf-8?q?x=0D=0A=0D=0A<b>another_body</b>?=",
    "Calls =?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5vcmc=?= of today",
    "==?utf-8?q?x=0ABcc:evil@example.org?=",
]
HEADERS = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
ATTACHMENT = ["Content-Disposition", "Content-Transfer-Encoding", "Content-Type", "MIME-Version"]


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
    """D4: neither in the subject, nor in a file's name."""
    assert headers_of(MailText(text, "<p></p>", "text"), tmp_path) == HEADERS
    assert headers_of(MailText("Calls", "<p></p>", "text"), tmp_path, filename=f"{text}.csv") == HEADERS


@pytest.mark.parametrize("text", INJECTIONS)
def test_nor_where_it_comes_from_the_title_or_the_calls(text: str, tmp_path: Path) -> None:
    """D4: a name in the report's data is written by whoever could enter it."""
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
    """D4: in its name and before its @ alike."""
    with pytest.raises(ValueError, match=r"email_cc must hold addresses .*: it has an encoded word"):
        parse_recipients(address, "email_cc")
