"""Many files and protected files: what is attached, what the mail says, and that it opens with the password only."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msoffcrypto
import openpyxl
import pypdf
import pytest
import pyzipper
from support.delivery import INFO, OUTCOME, RUN, MailServer, exported, smtp_connection, smtp_server

from airflow_provider_callreport.delivery.attachments import attachments_of
from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import DestinationRefusedError, MailTooLargeError
from airflow_provider_callreport.delivery.receipts import EmailReceipt, Link
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.report import Column, ExportedFile

PASSWORD = "canary horse 7"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with smtp_server() as started:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp_connection(started.port))
        monkeypatch.setenv("AIRFLOW_CONN_MAIL_PASSWORD", json.dumps({"conn_type": "generic", "password": PASSWORD}))
        yield started


def many(folder: Path, number: int) -> list[ExportedFile]:
    """So many files of one agent each."""
    return [exported(folder, f"agent {n}".encode(), filename=f"calls_agent {n:03}.csv") for n in range(number)]


def links_to(files: Sequence[ExportedFile], length: int = 1500) -> list[Link]:
    """A presigned link to each, as long as temporary credentials make them."""
    base = "https://s3.example.com/" + "x" * length
    return [Link(f"s3://r/{file.filename}", f"{base}?{n}", None, False, file.filename) for n, file in enumerate(files)]


def send(files: Sequence[ExportedFile], links: Sequence[Link] = (), **arguments: Any) -> EmailReceipt:
    """One mail to one person."""
    destination = EmailDestination(to="a@example.com", **arguments)
    return destination.deliver(files, info=INFO, outcome=OUTCOME, run=RUN, links=links)


def attached(server: MailServer) -> dict[str, bytes]:
    """Name and content of the attachments of the last mail."""
    return {str(part.get_filename()): part.get_content() for part in server.mails[-1].attachments}


def content(file: ExportedFile) -> bytes:
    return file.path.read_bytes()


# --- many files


def test_twenty_files_are_attached_one_by_one_and_more_in_one_archive(server: MailServer, tmp_path: Path) -> None:
    """one-mail: a mail with hundreds of attachments is no mail; an archive holds the same files."""
    send(many(tmp_path, 20))
    assert len(attached(server)) == 20
    files = many(tmp_path, 21)
    assert send(files).attached is True
    (archive,) = server.mails[-1].attachments
    assert archive.get_filename() == "masked_calls_2026-03-13.zip"
    assert archive.get_content_type() == "application/zip"
    with zipfile.ZipFile(io.BytesIO(attached(server)["masked_calls_2026-03-13.zip"])) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == {f.filename: content(f) for f in files}
    for kind in ("html", "plain"):
        assert "in masked_calls_2026-03-13.zip" in server.mails[-1].body(kind)
        assert "calls_agent 020.csv" in server.mails[-1].body(kind)


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    """same-bytes: names and times in it are the report's."""
    archives = []
    for _ in range(2):
        archives += attachments_of(many(tmp_path, 21), archive_name="a.zip", when=INFO.file_time, password=None)
    assert archives[0].sha256 == archives[1].sha256


@pytest.mark.parametrize("number", [1, 4, 20, 21, 90, 1000])
@pytest.mark.parametrize("fits", [True, False])
def test_the_html_stays_below_what_gmail_shows(server: MailServer, tmp_path: Path, number: int, fits: bool) -> None:
    """one-mail: Gmail cuts at 102 KB; whatever does not fit is in the attached archive or list."""
    files = many(tmp_path, number)
    links = links_to(files)
    arguments = {} if fits else {"max_attachment_bytes": 500}
    assert send(files, links, **arguments).attached is fits
    html = server.mails[-1].body("html")
    assert len(html.encode()) < 102_000
    shown = html.count('break-all;">calls_agent')
    assert shown == number or f"and {number - shown:,} more" in html
    if not fits and number > 20:
        (listed,) = attached(server).values()
        lines = str(listed).splitlines()
        assert len(lines) == number + 1
        assert lines[1] == f"calls_agent 000.csv\t1234\t7\t{files[0].sha256}\t{links[0].url}"
    if not fits and number <= 20:
        assert attached(server) == {}
    if not fits:
        assert len(re.findall(r'href="https://s3\.example\.com/', html)) == shown


def test_a_few_links_are_buttons_and_more_stand_at_their_files(server: MailServer, tmp_path: Path) -> None:
    """one-mail: a reader finds the link where the file is named."""
    files = many(tmp_path, 5)
    send(files, links_to(files), max_attachment_bytes=1)
    html = server.mails[-1].body("html")
    assert html.count('class="link"') == 5
    assert "Download" not in html
    send(files[:3], links_to(files[:3]), max_attachment_bytes=1)
    html = server.mails[-1].body("html")
    assert html.count("Download calls_agent") == 3
    assert 'class="link"' not in html


def test_a_mail_that_cannot_hold_the_archive_says_so(server: MailServer, tmp_path: Path) -> None:
    """one-mail: without a link there is nothing to send."""
    with pytest.raises(MailTooLargeError, match="The mail with its files would have"):
        send(many(tmp_path, 30), max_attachment_bytes=2000)
    huge = [replace(file, bytes=10**12) for file in many(tmp_path, 30)]
    with pytest.raises(MailTooLargeError, match="The mail with its files would have"):
        send(huge)
    assert server.mails == []


# --- with a password


def report_file(folder: Path, file_format: str) -> ExportedFile:
    """A small report in a format."""
    extension = FORMATS[file_format].extension
    path = folder / f"report{extension}"
    writer = FORMATS[file_format].load()(path, [Column("Agent")], INFO, FORMATS[file_format].check_options({}))
    writer.write([["Asha"], ["canary-row"]])
    writer.close(replace(OUTCOME, rows=2, reported_total=2))
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return ExportedFile(path, f"calls{extension}", FORMATS[file_format].content_type, 2, len(data), digest)


def open_sheet(data: bytes, password: str) -> bytes:
    """Decrypt as Excel does."""
    office = msoffcrypto.OfficeFile(io.BytesIO(data))
    office.load_key(password=password, verify_password=True)
    out = io.BytesIO()
    office.decrypt(out)
    return out.getvalue()


def open_archive(data: bytes, password: str) -> bytes:
    """Take the one file out."""
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        (name,) = archive.namelist()
        assert archive.getinfo(name).wz_aes_strength == 3, "AES with 256 bits"
        found: bytes = archive.read(name, pwd=password.encode())
        return found


def test_a_sheet_is_protected_as_excel_does_it(server: MailServer, tmp_path: Path) -> None:
    """right-reader: with the password it is the very file; without it, it is closed."""
    file = report_file(tmp_path, "xlsx")
    send([file], attachment_password_conn_id="mail_password")
    data = attached(server)["calls.xlsx"]
    assert open_sheet(data, PASSWORD) == content(file)
    assert [row[0].value for row in openpyxl.load_workbook(io.BytesIO(open_sheet(data, PASSWORD)))["Calls"]][-1] == (
        "canary-row"
    )
    with pytest.raises(msoffcrypto.exceptions.InvalidKeyError):
        open_sheet(data, "another one")
    assert not zipfile.is_zipfile(io.BytesIO(data))


def test_a_pdf_is_protected_as_readers_open_it(server: MailServer, tmp_path: Path) -> None:
    """right-reader: AES-256 of PDF 2.0; the text is there with the password, and not without."""
    file = report_file(tmp_path, "pdf")
    send([file], attachment_password_conn_id="mail_password")
    data = attached(server)["calls.pdf"]
    assert data.startswith(b"%PDF-2.0")
    reader = pypdf.PdfReader(io.BytesIO(data))
    assert reader.is_encrypted
    assert reader.decrypt("another one") == pypdf.PasswordType.NOT_DECRYPTED
    assert reader.decrypt(PASSWORD) != pypdf.PasswordType.NOT_DECRYPTED
    assert "canary-row" in "".join(page.extract_text() for page in reader.pages)


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_any_other_file_is_in_an_archive_with_aes(server: MailServer, tmp_path: Path, file_format: str) -> None:
    """right-reader: and the mail says under which name."""
    file = report_file(tmp_path, file_format)
    send([file], attachment_password_conn_id="mail_password")
    ((name, data),) = attached(server).items()
    assert name == f"{file.filename}.zip"
    assert open_archive(data, PASSWORD) == content(file)
    with pytest.raises(RuntimeError, match="Bad password"):
        open_archive(data, "another one")
    assert f"attached as {name}" in server.mails[-1].body("html")


def test_many_files_are_in_one_protected_archive(server: MailServer, tmp_path: Path) -> None:
    """right-reader: one password, one archive."""
    files = many(tmp_path, 25)
    send(files, attachment_password_conn_id="mail_password")
    (data,) = attached(server).values()
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        archive.setpassword(PASSWORD.encode())
        assert {name: archive.read(name) for name in archive.namelist()} == {f.filename: content(f) for f in files}


def test_the_mail_says_that_a_password_is_needed_and_does_not_hold_it(server: MailServer, tmp_path: Path) -> None:
    """right-reader, no-leak: neither the password nor a row is in the mail; the files themselves stay as they are."""
    files = [report_file(tmp_path, "xlsx"), report_file(tmp_path, "csv")]
    before = [content(file) for file in files]
    send(files, attachment_password_conn_id="mail_password")
    mail = server.mails[-1]
    for kind in ("html", "plain"):
        assert "The attachments are protected with a password, which does not come by mail." in mail.body(kind)
        assert files[1].sha256 in mail.body(kind)
    decoded = mail.raw + b"".join(attached(server).values()) + mail.body("html").encode() + mail.body("plain").encode()
    assert b"canary" not in decoded
    assert [content(file) for file in files] == before


def test_a_link_instead_of_the_file_needs_no_password(server: MailServer, tmp_path: Path) -> None:
    """one-mail: what is not attached is not said to be protected."""
    file = exported(tmp_path, b"x" * 5000)
    send([file], [Link("s3://r/k")], attachment_password_conn_id="mail_password", max_attachment_bytes=1000)
    assert "password" not in server.mails[-1].body("plain")


@pytest.mark.parametrize(
    ("connection", "sentence"),
    [
        (
            None,
            'Airflow connection "mail_password" does not exist; create it (Admin, Connections), or correct '
            "attachment_password_conn_id.",
        ),
        ({}, 'The password of connection "mail_password" has 0 characters; to protect attachments it needs 8 to 127'),
        ({"password": "canary1"}, "has 7 characters; to protect attachments it needs 8 to 127, all of them printable"),
        ({"password": "canäry-12"}, "has 9 characters; to protect attachments it needs 8 to 127, all of them"),
        ({"password": "canary" * 22}, "has 132 characters; to protect attachments it needs 8 to 127"),
    ],
)
def test_a_password_that_is_none_is_found_before_the_report_is_read(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, connection: dict[str, str] | None, sentence: str
) -> None:
    """clear-sentence: and the sentence does not hold it."""
    if connection is None:
        monkeypatch.delenv("AIRFLOW_CONN_MAIL_PASSWORD")
    else:
        monkeypatch.setenv("AIRFLOW_CONN_MAIL_PASSWORD", json.dumps({"conn_type": "generic", **connection}))
    destination = EmailDestination(to="a@example.com", attachment_password_conn_id="mail_password")
    with pytest.raises(DestinationRefusedError) as caught:
        destination.check_before_reading(".csv")
    assert sentence in str(caught.value)
    assert "can" not in str(caught.value).replace("There is no connection", "")


@pytest.mark.parametrize(
    ("extension", "module", "library"),
    [(".xlsx", "msoffcrypto", "msoffcrypto-tool"), (".pdf", "pypdf", "pypdf"), (".csv", "pyzipper", "pyzipper")],
)
def test_a_missing_library_is_named_before_the_report_is_read(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, extension: str, module: str, library: str
) -> None:
    """clear-sentence: with the extra that brings it."""
    monkeypatch.setitem(sys.modules, module, None)
    destination = EmailDestination(to="a@example.com", attachment_password_conn_id="mail_password")
    sentence = rf"the library {library} is not installed; install airflow-provider-callreport\[encrypt\]"
    with pytest.raises(DestinationRefusedError, match=sentence):
        destination.check_before_reading(extension)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"s3_bucket": "b", "s3_key": "k"}, "attachment_password_conn_id is set and email_to is not; set email_to"),
        (
            {"s3_bucket": "b", "s3_key": "k", "email_to": "a@example.com", "link_expires_in": 600},
            "a link in the mail would open the file without the password",
        ),
    ],
)
def test_a_password_that_protects_nothing_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: when the Dag is parsed."""
    with pytest.raises(ValueError, match=sentence):
        CallReportExportOperator(task_id="mail", attachment_password_conn_id="mail_password", **arguments)
