"""What comes back from a delivery: frozen facts for the summary, the log and the mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from airflow_provider_callreport.report import ExportedFile

#: Characters of a key that stay as they are in an asset's address: all of a path's (RFC 3986) and the space.
_UNQUOTED = "/-._~!$&'()*+,;=:@ "


def quoted_key(key: str) -> str:
    """A key as an asset's address has it: ASCII, and nothing in it that Airflow would take for a query or a fragment.

    Args:
        key: the key of an object, or a file's path.
    """
    return quote(key, safe=_UNQUOTED)


class DeliveryStatus(StrEnum):
    """What became of a file at its destination."""

    WRITTEN = "written"
    """This try wrote it."""
    UNCHANGED = "unchanged"
    """``if_exists="replace"``: another run had written the same bytes in the same way; nothing was sent."""
    ALREADY_THERE = "already_there"
    """An earlier try of the same run had written the same bytes."""
    SKIPPED = "skipped"
    """``if_exists="skip"``: an object of somebody else is there, and it was left as it is."""


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """One file and the place where it is.

    Attributes:
        uri: where it is, such as ``s3://bucket/key``.
        status: what was done. Under ``SKIPPED`` the object at ``uri`` is *not* ``file``.
        file: the file that was to be delivered.
        version_id: S3's version of a written object in a bucket with versioning, else None.
    """

    uri: str
    status: DeliveryStatus
    file: ExportedFile
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that an index, or a run that did not end, says was delivered.

    Attributes:
        key: its key in the destination.
        bytes: its size.
        sha256: its SHA-256, lower-case hex.
    """

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where a reader of the mail finds the file.

    Attributes:
        uri: ``s3://bucket/key``, which says nothing secret.
        url: a presigned ``https`` address, or None. Whoever holds it can read the file: it is kept out of ``repr``.
        expires_at: when ``url`` stops working (aware, UTC), or None without ``url``. The credentials that signed it
            are taken into account where their own end is known.
        may_expire_earlier: the credentials are temporary and do not tell their end.
        filename: the file that it leads to; empty when it is the only one.
    """

    uri: str
    url: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    may_expire_earlier: bool = False
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient that the mail server did not take.

    Attributes:
        address: the address.
        code: the server's reply code.
        reason: the server's words, on one line.
        advice: what to do about it; empty where the server's code does not tell.
    """

    address: str
    code: int
    reason: str
    advice: str = ""

    @property
    def temporary(self) -> bool:
        """Whether the server said to try later (4xx)."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        return f"{self.address} ({self.code} {self.reason})".replace(" )", ")")


@dataclass(frozen=True, slots=True)
class EarlierMail:
    """A mail that went before, with other data than there is now.

    Attributes:
        message_id: its Message-ID.
        rows: calls in its files.
        sha256: SHA-256 of its file, or of several files' SHA-256.
        at: when it went (aware), or None.
    """

    message_id: str
    rows: int
    sha256: str
    at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return {"message_id": self.message_id, "rows": self.rows, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class EmailReceipt:
    """What became of the mail, or of the mails when each group has its own.

    Attributes:
        emailed_to: addresses whose copy the server accepted (now, or on an earlier try of the same run).
        refused: recipients that the server refused under ``on_refused="warn"``.
        message_ids: the mails' Message-IDs, with their angle brackets.
        attached: whether the files were in all of them; False when links were sent instead, None when an earlier try
            had sent them.
        sent: True when this try sent one, False when an earlier try of the same run had sent them all.
        outdated: mails that an earlier try of this run had sent, and whose data has changed since.
    """

    emailed_to: tuple[str, ...]
    refused: tuple[Refusal, ...]
    message_ids: tuple[str, ...]
    attached: bool | None
    sent: bool
    outdated: tuple[EarlierMail, ...] = ()
