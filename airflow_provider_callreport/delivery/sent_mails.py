"""What a run remembers of its mails, over the tries of its task.

A mail cannot be taken back, so each try must know what the tries before it did. A mail goes through these states:

=============== ========================================================================= ==========================
state           stored                                                                    a later try
=============== ========================================================================= ==========================
``"intent"``    when the server has the whole mail, just before its end is sent           cannot know: red, "unsure"
``"sent"``      when the server has taken it                                              sends nothing
``"not_sent"``  when the server surely has not                                            sends
``"unsure"``    when a person has been told that nobody knows whether it went             red, until the task is
                                                                                          cleared; then it sends
=============== ========================================================================= ==========================

The last row is the way out. Whoever clears the task after it has said "look into a mailbox" has looked.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from airflow_provider_callreport.delivery.receipts import EarlierMail, Refusal
from airflow_provider_callreport.report import ExportedFile

log = logging.getLogger(__name__)

#: Files of a mail that are remembered one by one.
_MAX_FILES = 20


class SendRecord(Protocol):
    """One JSON object that outlives a try of the task, and belongs to one task instance of one run."""

    @property
    def clears(self) -> int:
        """A number that changes when somebody clears the task, and not between its tries."""

    def get(self) -> Mapping[str, Any] | None:
        """The object last `set` by any try of this run, or None."""

    def set(self, value: Mapping[str, Any]) -> None:
        """Store the object durably before returning."""


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail that went, as it is remembered.

    Attributes:
        message_id: its Message-ID.
        accepted: addresses that the server took.
        refused: those that it did not take.
        content: what was mailed.
    """

    message_id: str
    accepted: tuple[str, ...]
    refused: tuple[Refusal, ...]
    content: EarlierMail


class SentMails:
    """The mails of one run.

    Args:
        record: where they are remembered, or None when nothing is (before Airflow 3.3).
    """

    def __init__(self, record: SendRecord | None) -> None:
        self._record = record
        found = record.get() if record is not None else None
        mails = found.get("mails") if found else None
        self._mails: dict[str, dict[str, Any]] = dict(mails) if isinstance(mails, Mapping) else {}

    def sent(self, key: str) -> SentMail | None:
        """What is remembered of a mail that went, or None when it did not, or may not have.

        Args:
            key: the mail; see `message.mail_key`.
        """
        found = self._mails.get(key)
        if not found or found.get("state") != "sent":
            return None
        return SentMail(
            message_id=str(found.get("message_id")),
            accepted=tuple(found.get("accepted", ())),
            refused=tuple(Refusal(*refusal) for refusal in found.get("refused", ())),
            content=_content(found),
        )

    def doubt(self, key: str) -> str:
        """The Message-ID of a mail that an earlier try may have sent; empty where there is no doubt."""
        found = self._mails.get(key, {})
        return str(found.get("message_id")) if found.get("state") in ("intent", "unsure") else ""

    def is_cleared(self, key: str) -> bool:
        """Whether somebody was told of the doubt, and has cleared the task since."""
        found = self._mails.get(key, {})
        if self._record is None or found.get("state") != "unsure":
            return False
        return bool(found.get("clears") != self._record.clears)

    def changed(self, key: str, files: Sequence[ExportedFile]) -> Iterator[tuple[ExportedFile, EarlierMail, int]]:
        """Files that other mails of this run had with other bytes: (the file now, that mail, its rows then).

        Args:
            key: the mail that goes now.
            files: its files.
        """
        for other, found in self._mails.items():
            known = found.get("files") or {}
            if other == key or found.get("state") != "sent" or not isinstance(known, Mapping):
                continue
            for file in files:
                rows, digest = known.get(file.filename, (0, file.sha256))
                if digest != file.sha256:
                    yield file, _content(found), int(rows)

    def note(self, key: str, state: str, **more: Any) -> None:
        """Remember; returns when it is stored.

        Args:
            key: the mail.
            state: see the module.
            more: what else there is to remember.
        """
        if self._record is None:
            return
        value = {"state": state, "clears": self._record.clears, **more}
        if self._mails.get(key) != value:
            self._mails[key] = value
            self._record.set({"mails": self._mails})

    def note_fact(self, key: str, state: str, **more: Any) -> None:
        """Remember what has happened already. A store that fails now must not turn a sent mail into a failed task."""
        try:
            self.note(key, state, **more)
        except Exception as error:
            log.warning(
                "The mail's state (%s) could not be recorded (%s); a later try of this run will not know it.",
                state,
                type(error).__name__,
            )


def content_of(files: Sequence[ExportedFile], message_id: str) -> dict[str, Any]:
    """What is remembered of a mail's files.

    Args:
        files: the files.
        message_id: the mail's Message-ID.
    """
    one_by_one = {file.filename: [file.rows, file.sha256] for file in files} if len(files) <= _MAX_FILES else {}
    return {
        "message_id": message_id,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": sum(file.rows for file in files),
        "sha256": digest_of(files),
        "files": one_by_one,
    }


def digest_of(files: Sequence[ExportedFile]) -> str:
    """The file's SHA-256; of several files, the SHA-256 of theirs."""
    if len(files) == 1:
        return files[0].sha256
    return hashlib.sha256("\n".join(sorted(file.sha256 for file in files)).encode()).hexdigest()


def _content(found: Mapping[str, Any]) -> EarlierMail:
    at = found.get("at")
    return EarlierMail(
        message_id=str(found.get("message_id")),
        rows=int(found.get("rows", 0)),
        sha256=str(found.get("sha256", "")),
        at=datetime.fromisoformat(at) if isinstance(at, str) else None,
    )
