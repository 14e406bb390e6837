"""Subject, names, addresses and file names of a mail, as two independent parsers read them back."""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import fast_mail_parser
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_callreport.delivery.headers import ascii_filenames
from airflow_provider_callreport.delivery.message import Envelope, MailText, compose
from airflow_provider_callreport.report import ExportedFile

WHEN = datetime(2026, 3, 14, tzinfo=UTC)
SENDER = Address("Call reports", "reports", "example.com")

#: What has broken folding before: several scripts, marks and emoji, separators of addresses, what looks encoded.
PIECES = [
    *("Calls", "of", "Größe", "für", "कॉल", "रिपोर्ट", "通話", "レポート", "مكالمات", "📞", "👩🏽‍💻", "é", "e\u0301"),
    *(",", ";", ":", "<", ">", "@", "(", ")", "[", "]", '"', "'", "\\", ".", "=?", "?=", "=?utf-8?q?x?="),
    *("=20", "_", "?"),
    *(" ", "  ", " ", "x" * 80, "ü" * 50, "a@b.example", "1,234"),
]
ONE = st.one_of(st.sampled_from(PIECES), st.characters(exclude_categories=["C", "Z"]))
MIXED = st.lists(ONE, max_size=30).map("".join)
SUBJECTS = MIXED.filter(lambda text: bool(text.strip()) and text.isprintable()).map(str.strip)
NAMES = MIXED.filter(str.isprintable).map(str.strip)


def mail(subject: str = "Calls", to: list[Address] | None = None, files: list[ExportedFile] | None = None) -> bytes:
    """The bytes of a mail."""
    envelope = Envelope(SENDER, tuple(to or [SENDER]))
    return compose(MailText(subject, "<p>é</p>", "é"), envelope, files or [], identity="<1@example.com>", date=WHEN)


def by_stdlib(raw: bytes) -> EmailMessage:
    """The mail as Python's own parser reads it."""
    return email.message_from_bytes(raw, policy=policy.default)


def addresses_by_stdlib(raw: bytes) -> list[tuple[str, str]]:
    """Name and address of each recipient, by Python's older functions.

    The newer ``addresses`` of a header, on Python 3.11 at least, leave a blank between two encoded words of a name.
    """
    header = str(email.message_from_bytes(raw)["To"])
    return [(str(make_header(decode_header(name))), spec) for name, spec in getaddresses([header])]


def by_other(raw: bytes) -> Any:
    """The mail as a parser reads it that shares no code with Python's, and complains about what it must repair."""
    return fast_mail_parser.parse_email(raw, strict=True)


def head(raw: bytes) -> list[bytes]:
    """The lines of the mail's head."""
    return raw.partition(b"\r\n\r\n")[0].split(b"\r\n")


def assert_lines_are_right(raw: bytes) -> None:
    """No line is longer than RFC 5322 recommends, and encoded words stand as RFC 2047 has them."""
    for line in head(raw):
        assert line.isascii()
        assert line.strip()
        assert len(line) <= 78 or b"=?" not in line
        for word in re.findall(rb"=\?utf-8\?[^ ]*", line):
            decoded = re.sub(rb"=[0-9A-F]{2}", b"x", word)
            assert re.fullmatch(rb"=\?utf-8\?(q\?[!-<>@-~]+?|b\?[A-Za-z0-9+/]+=*)\?=,?", decoded)
            assert len(word.rstrip(b",")) <= 75


@given(SUBJECTS)
@example("=?utf-8?q?x?=")
@example("Calls =?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5vcmc=?= of today")
def test_subject_is_read_back_as_it_was(subject: str) -> None:
    """same-headers: any subject of one line comes out as it went in, by both parsers."""
    raw = mail(subject)
    assert_lines_are_right(raw)
    assert by_stdlib(raw)["Subject"] == subject
    assert by_other(raw).subject == subject


@given(st.lists(NAMES, min_size=1, max_size=6))
@example(["=?utf-8?q?x?=", "Rao, Asha", "राव, आशा"])
def test_each_recipient_is_read_back_with_her_name(names: list[str]) -> None:
    """same-headers: no address vanishes and no name changes, whatever the names are; a comma is never swallowed."""
    to = [Address(name, f"user{number}", "example.com") for number, name in enumerate(names)]
    raw = mail(to=to)
    assert_lines_are_right(raw)
    expected = [(address.display_name, address.addr_spec) for address in to]
    assert addresses_by_stdlib(raw) == expected
    assert [address.addr_spec for address in by_stdlib(raw)["To"].addresses] == [spec for _, spec in expected]
    assert [(address.display_name or "", address.address) for address in by_other(raw).to] == expected


@given(MIXED.filter(str.isprintable).map(str.strip).filter(bool))
def test_file_name_is_read_back(filename: str) -> None:
    """same-headers: RFC 2231 readers see the name as it is; all others see one in ASCII."""
    raw = mail(files=[empty_file(filename)])
    (attachment,) = by_stdlib(raw).iter_attachments()
    assert attachment["Content-Disposition"].params["filename"] == filename
    (fallback,) = ascii_filenames([filename])
    assert attachment["Content-Type"].params["name"] == fallback
    assert by_other(raw).attachments[0].filename == fallback


@pytest.mark.parametrize(
    ("names", "fallbacks"),
    [
        (["calls.csv", "a b (1).csv"], ["calls.csv", "a b (1).csv"]),
        (["calls_आशा.csv", "calls_रवि.csv", "calls_x.csv"], ["calls__.csv", "calls__-2.csv", "calls_x.csv"]),
        (['a"b\\c.csv'], ["a_b_c.csv"]),
        (["=?utf-8?q?x?=.csv"], ["=_utf-8_q_x_=.csv"]),
        (["आ", "र"], ["_", "_-2"]),
    ],
)
def test_names_in_ascii_stay_apart(names: list[str], fallbacks: list[str]) -> None:
    """same-headers: files of two agents do not get one name in programs that know ASCII only."""
    assert ascii_filenames(names) == fallbacks


def test_an_ascii_name_stands_plain() -> None:
    """same-headers: name= and filename= are plain where they can be, for programs that know no RFC 2231."""
    raw = mail(files=[empty_file("calls.csv")])
    assert b'Content-Type: text/csv; charset="utf-8";\r\n name="calls.csv"\r\n' in raw
    assert b'Content-Disposition: attachment;\r\n filename="calls.csv"\r\n' in raw


@pytest.mark.parametrize("length", [80, 400])
def test_a_long_name_in_another_script_is_read_back(length: int) -> None:
    """same-headers: no header line is longer than RFC 5322 allows; a long name comes in parts."""
    filename = f"{'क' * length}.csv"
    raw = mail(files=[empty_file(filename)])
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    (attachment,) = by_stdlib(raw).iter_attachments()
    assert attachment["Content-Disposition"].params["filename"] == filename


#: Cases whose folding differed between patch levels of Python's own package.
CASES = [
    ("Masked calls 13 Mar 2026: 1,234 calls", b"Subject: Masked calls 13 Mar 2026: 1,234 calls\r\n"),
    ("Größe der Woche", b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe_der_Woche?=\r\n"),
    ("रिपोर्ट", b"Subject: =?utf-8?b?4KSw4KS/4KSq4KWL4KSw4KWN4KSf?=\r\n"),
    (
        "Anrufe für Größe und Qualität, Übersicht der Woche 46",
        b"Subject: =?utf-8?q?Anrufe_f=C3=BCr_Gr=C3=B6=C3=9Fe_und_Qualit=C3=A4t=2C_?=\r\n"
        b" =?utf-8?q?=C3=9Cbersicht_der_Woche_46?=\r\n",
    ),
    ("two  blanks", b"Subject: =?utf-8?q?two__blanks?=\r\n"),
]


@pytest.mark.parametrize(("subject", "header"), CASES)
def test_the_bytes_of_a_subject(subject: str, header: bytes) -> None:
    """same-headers: these bytes and no others, on every Python; see the next test."""
    assert header in mail(subject)


def pythons() -> list[str]:
    """The interpreters of this machine: python3.11 to python3.14, as they are found on the path or in pyenv."""
    found: dict[str, list[str]] = {}
    for minor in ("3.11", "3.12", "3.13", "3.14"):
        root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        on_path = shutil.which(f"python{minor}") or ""
        found[minor] = [str(python) for python in root.glob(f"{minor}.*/bin/python")]
        # A shim of pyenv is not a Python.
        found[minor] += [on_path] if on_path and "shims" not in on_path else []
    return [python for several in found.values() for python in several]


_SCRIPT = """
import json, sys
from email.headerregistry import Address
sys.path.insert(0, sys.argv[1])
from headers import address_header, file_parameters, text_header
for subject, names, filename in json.load(sys.stdin):
    to = [Address(name, "asha", "example.com") for name in names]
    sys.stdout.buffer.write(text_header("Subject", subject) + address_header("To", to))
    sys.stdout.buffer.write("".join(file_parameters(filename, "x")).encode())
"""


@pytest.mark.slow
def test_every_python_makes_the_same_header() -> None:
    """same-headers: Python 3.11 to 3.14 write the same bytes, whatever their own email package does."""
    import airflow_provider_callreport.delivery as room

    texts = [
        "".join(PIECES[number % len(PIECES)] for number in range(start, start + step * 9, step))
        for start in range(40)
        for step in (1, 7, 11)
    ]
    cases = json.dumps([[" ".join(text.split()) or "x", [text, "Rao, Äsha"], text] for text in texts]).encode()
    folder = str(Path(room.__file__).parent)
    written = {
        python: subprocess.run([python, "-c", _SCRIPT, folder], input=cases, capture_output=True, check=True).stdout
        for python in {*pythons(), sys.executable}
    }
    assert len(set(written.values())) == 1
    assert len(next(iter(written.values()))) > 10_000


def empty_file(filename: str) -> ExportedFile:
    """A file without a byte."""
    sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    return ExportedFile(Path(os.devnull), filename, "text/csv; charset=utf-8", 0, 0, sha256)
