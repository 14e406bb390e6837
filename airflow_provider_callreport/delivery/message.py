"""One mail as bytes: MIME parts, headers, and how large it will be before any file is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage

from airflow_provider_callreport.delivery.errors import FileChangedError
from airflow_provider_callreport.delivery.recipients import needs_smtputf8
from airflow_provider_callreport.report import ExportedFile, RunIdentity

#: Headers, boundaries and the parts' own headers around one attachment, rounded up generously.
_PART_OVERHEAD = 1024


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
    return base64_bytes + -(-base64_bytes // 76) * 2 + _PART_OVERHEAD


def compose(
    text: MailText, envelope: Envelope, files: Sequence[ExportedFile], *, identity: str, date: datetime
) -> bytes:
    """Build the whole mail.

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
        raise ValueError(f"email_subject must be one line without control characters, got {text.subject!r}.")
    # SMTPUTF8 headers only where an address needs them: every server takes the plain form. Bodies are always 7 bit.
    rules = policy.SMTPUTF8 if envelope.utf8_addresses else policy.SMTP
    message = EmailMessage(policy=rules.clone(cte_type="7bit"))
    message["Subject"] = _without_encoded_words(text.subject)
    message["From"] = envelope.sender
    message["To"] = envelope.to
    if envelope.cc:
        message["Cc"] = envelope.cc
    message["Date"] = date
    message["Message-ID"] = identity
    # RFC 3834: no vacation notes and read receipts to a machine.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.text, cte="quoted-printable")
    message.add_alternative(text.html, subtype="html", cte="quoted-printable")
    for file in files:
        _attach(message, file)
    return message.as_bytes()


def _attach(message: EmailMessage, file: ExportedFile) -> None:
    if not file.filename.isprintable():
        raise ValueError(f"A file's name must be without control characters, got {file.filename!r}.")
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
    main_type, sub_type, parameters = _content_type(file.content_type)
    message.add_attachment(
        content,
        maintype=main_type,
        subtype=sub_type,
        filename=_without_encoded_words(file.filename),
        params=parameters,
    )


def _without_encoded_words(text: str) -> str:
    """The text with nothing in it that Python would decode (RFC 2047) before it writes the header.

    An encoded word can hold a line break, and what follows it would be a header of its own; newer Pythons refuse the
    whole mail. A title, or a name from the data, may hold one.
    """
    return text.replace("=?", "= ?")


def _content_type(content_type: str) -> tuple[str, str, dict[str, str]]:
    """``"text/csv; charset=utf-8"`` as ``("text", "csv", {"charset": "utf-8"})``."""
    kind, *rest = (part.strip() for part in content_type.split(";"))
    main_type, _, sub_type = kind.partition("/")
    pairs = (parameter.partition("=") for parameter in rest if parameter)
    return main_type, sub_type, {name: value for name, _, value in pairs}
