"""One mail as bytes: MIME parts, headers, and how large it will be before any file is read."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.utils import format_datetime

from airflow_provider_callreport.delivery.errors import FileChangedError
from airflow_provider_callreport.delivery.headers import (
    address_header,
    ascii_filenames,
    file_parameters,
    text_header,
)
from airflow_provider_callreport.delivery.recipients import needs_smtputf8
from airflow_provider_callreport.report import ExportedFile, RunIdentity
from airflow_provider_callreport.rules import LINE

#: The boundaries around an attachment and the head of the mail's outer part, rounded up.
_PART_OVERHEAD = 300


@dataclass(frozen=True, slots=True)
class MailText:
    """What a mail says.

    Attributes:
        subject: one line.
        html: the body as HTML.
        text: the same facts as plain text.
    """

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom.

    Attributes:
        sender: the connection's own address.
        to, cc, bcc: the recipients; ``bcc`` never reaches a header.
    """

    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every address that gets a copy, in the order of the lists."""
        return tuple(address.addr_spec for address in (*self.to, *self.cc, *self.bcc))

    @property
    def utf8_addresses(self) -> tuple[str, ...]:
        """Those addresses, the sender's included, that only an SMTPUTF8 server can take."""
        everybody = (self.sender, *self.to, *self.cc, *self.bcc)
        return tuple(address.addr_spec for address in everybody if needs_smtputf8(address))


def mail_key(run: RunIdentity, recipients: Sequence[Address]) -> str:
    """The mail's identity: the same for each try of a run, another for other recipients; 32 hex digits.

    A hash, so that neither the Dag's name nor a hidden recipient can be read from it. 128 bits are enough, and the
    Message-ID stays on one line of 78 characters with most domains.
    """
    parts = (run.key, *sorted(address.addr_spec.casefold() for address in recipients))
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def message_id(key: str, sender: Address) -> str:
    """The key as a Message-ID, in the sender's domain as RFC 5322 (3.6.4) recommends."""
    return f"<{key}@{sender.domain}>"


def encoded_size(file: ExportedFile) -> int:
    """Bytes that a file takes in a mail: base64 in lines of 76 characters, each ended by CR LF, and its headers."""
    base64_bytes = -(-file.bytes // 3) * 4
    return base64_bytes + -(-base64_bytes // 76) * 2 + len(_part_head(file, file.filename)) + _PART_OVERHEAD


def compose(
    text: MailText, envelope: Envelope, files: Sequence[ExportedFile], *, identity: str, date: datetime
) -> bytes:
    """Build the whole mail.

    The parts are put together here and not by ``email.message``: see `headers` for the reason.

    Args:
        text: what it says.
        envelope: for the From, To and Cc headers.
        files: what is attached; each is read once.
        identity: the Message-ID.
        date: when it is sent (aware).

    Returns:
        The mail in SMTP's form: lines end in CR LF, 7 bit unless an address needs SMTPUTF8.

    Raises:
        ValueError: the subject has a line break.
        FileChangedError: a file is not the one that was exported.
    """
    if not text.subject.isprintable():
        raise ValueError(LINE.refusal("email_subject", text.subject))
    # "=_" stands in no base64 and in no quoted-printable text (RFC 2045, 6.7), so no part can hold a boundary.
    boundary = f"=_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
    twins = [_text_part("plain", text.text), _text_part("html", text.html)]
    body = _multipart("alternative", f"{boundary}_text", twins)
    if files:
        names = ascii_filenames([file.filename for file in files])
        parts = [_attachment(file, fallback) for file, fallback in zip(files, names, strict=True)]
        body = _multipart("mixed", boundary, [body, *parts])
    return b"".join((*_headers(text.subject, envelope, identity, date), body))


def _headers(subject: str, envelope: Envelope, identity: str, date: datetime) -> Iterator[bytes]:
    yield text_header("Subject", subject)
    yield address_header("From", [envelope.sender])
    yield address_header("To", envelope.to)
    if envelope.cc:
        yield address_header("Cc", envelope.cc)
    yield f"Date: {format_datetime(date)}\r\n".encode()
    yield f"Message-ID: {identity}\r\n".encode()
    # RFC 3834: no vacation notes and read receipts to a machine.
    yield b"Auto-Submitted: auto-generated\r\n"
    yield b"MIME-Version: 1.0\r\n"


def _multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    head = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    line = f"--{boundary}".encode()
    return b"".join((head, *(line + b"\r\n" + part for part in parts), line, b"--\r\n"))


def _text_part(subtype: str, text: str) -> bytes:
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    lines = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    return head.encode() + binascii.b2a_qp(lines).replace(b"\n", b"\r\n") + b"\r\n"


def _attachment(file: ExportedFile, fallback: str) -> bytes:
    """The part of one file."""
    if not file.filename.isprintable():
        raise ValueError(LINE.refusal("filename", file.filename))
    try:
        # One byte more than promised is enough to notice a file that grew.
        with file.path.open("rb") as source:
            content = source.read(file.bytes + 1)
    except OSError as error:
        raise FileChangedError(f"{file.filename} can no longer be read ({error.strerror}).") from error
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.sha256:
        raise FileChangedError(
            f"{file.filename} on disk is not the file that was exported (its size or SHA-256 differs); no mail was "
            f"sent."
        )
    return _part_head(file, fallback) + base64.encodebytes(content).replace(b"\n", b"\r\n")


def _part_head(file: ExportedFile, fallback: str) -> bytes:
    in_type, in_disposition = file_parameters(file.filename, fallback)
    kind, *parameters = (part.strip() for part in file.content_type.split(";"))
    quoted = "".join(f'; {name}="{value}"' for name, _, value in (one.partition("=") for one in parameters if one))
    return (
        f"Content-Type: {kind}{quoted}{in_type}\r\n"
        f"Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment{in_disposition}\r\n\r\n"
    ).encode()
