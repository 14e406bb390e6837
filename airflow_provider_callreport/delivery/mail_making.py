"""One mail with its files, or with links to them where it would be too large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_provider_callreport.delivery.attachments import MAX_ATTACHMENTS, attachments_of, file_list
from airflow_provider_callreport.delivery.audiences import Audience
from airflow_provider_callreport.delivery.errors import MailTooLargeError
from airflow_provider_callreport.delivery.mail_body import render_mail
from airflow_provider_callreport.delivery.message import Envelope, compose, encoded_size
from airflow_provider_callreport.delivery.receipts import Link
from airflow_provider_callreport.report import ExportedFile
from airflow_provider_callreport.report.wording import count, size

#: No report compresses better than this; files of more than so many times the limit are not tried in an archive.
_MOST_COMPRESSION = 20


@dataclass(frozen=True, slots=True)
class MailStyle:
    """What is the same for all mails of a run.

    Attributes:
        subject, html: templates that replace ours, or None.
        max_bytes: how large an encoded mail with its files may be.
        on_oversize: ``"link"`` or ``"fail"``.
        password: what the attachments are protected with, or None.
    """

    subject: str | None
    html: str | None
    max_bytes: int
    on_oversize: str
    password: str | None = field(default=None, repr=False)


def make_mail(
    audience: Audience,
    links: Sequence[Link],
    envelope: Envelope,
    style: MailStyle,
    *,
    identity: str,
    changes: Sequence[str],
    server_limit: int | None,
) -> tuple[bytes, bool]:
    """The mail as bytes, and whether the files are in it.

    Args:
        audience: who gets it, with which files.
        links: where these files are besides.
        envelope: for the headers.
        style: what is the same for all mails.
        identity: the Message-ID.
        changes: what has changed since an earlier mail, one sentence a file.
        server_limit: what the server says that a mail may have in bytes, or None.

    Raises:
        ValueError: a template cannot be rendered.
        FileChangedError: a file is not the one that was exported.
        MailTooLargeError: too large, and ``on_oversize="fail"`` or no link.
    """
    files, limit = audience.files, min(style.max_bytes, server_limit or style.max_bytes)

    def make(attach: Sequence[ExportedFile], not_attached: str = "") -> bytes:
        text = render_mail(
            audience.info,
            audience.outcome,
            files,
            links,
            not_attached=not_attached,
            attached_as=[] if not_attached else [file.filename for file in attach],
            is_protected=style.password is not None,
            changes=changes,
            subject=style.subject,
            html=style.html,
        )
        return compose(text, envelope, attach, identity=identity, date=datetime.now(UTC))

    expected = _least_size(files)
    if expected <= limit:
        attachments = _attachments(audience, style.password)
        expected = sum(map(encoded_size, attachments))
        if expected <= limit:
            mail = make(attachments)
            if len(mail) <= limit:
                return mail, True
            expected = len(mail)
    what = "file" if len(files) == 1 else "files"
    why = f"The mail with its {what} would have {count(expected)} bytes ({size(expected)})"
    allowed = f"{count(limit)} bytes ({size(limit)}) are allowed"
    if server_limit is not None and server_limit < style.max_bytes:
        allowed += " by the mail server"
    if style.on_oversize == "fail":
        raise MailTooLargeError(f'{why} where {allowed}; on_oversize="fail" sends none.')
    if not links:
        raise MailTooLargeError(f'{why} where {allowed}, and there is no link: on_oversize="link" needs S3.')
    use = "the link" if len(files) == 1 else "the links"
    not_attached = f"Not attached: {why[0].lower()}{why[1:]} where {allowed}; use {use} instead."
    mail = make(_list_of(files, links), not_attached)
    if server_limit is not None and len(mail) > server_limit:
        raise MailTooLargeError(
            f"The mail without files has {count(len(mail))} bytes where {count(server_limit)} are allowed by the mail "
            f"server."
        )
    return mail, False


def _least_size(files: Sequence[ExportedFile]) -> int:
    """Bytes that files take at least in a mail; those of an archive are not known before it is made."""
    if len(files) <= MAX_ATTACHMENTS:
        return sum(map(encoded_size, files))
    return sum(file.bytes for file in files) // _MOST_COMPRESSION


def _attachments(audience: Audience, password: str | None) -> list[ExportedFile]:
    info = audience.info
    name = f"{info.report}_{info.window_start.date()}.zip"
    return attachments_of(audience.files, archive_name=name, when=info.file_time, password=password)


def _list_of(files: Sequence[ExportedFile], links: Sequence[Link]) -> list[ExportedFile]:
    """A list of all files, where the mail itself cannot show so many."""
    if len(files) <= MAX_ATTACHMENTS:
        return []
    places = {link.filename: link.url or link.uri for link in links}
    return [file_list(files, [places.get(file.filename, "") for file in files])]
