"""E-mail: the finished files go to people, in one mail, once.

At most one mail a run
----------------------
A mail cannot be taken back, and a retry that sends it again is how reports lose their readers. So:

* The Message-ID is made from the run and the recipients. It is the same for every try, and mail systems that drop
  duplicates know it.
* One try does one SMTP transaction a mail. Nothing is sent again inside it.
* Under ``on_refused="fail"`` (the default) a mail goes to all or to nobody: the server is asked about each recipient
  before the mail is handed over, and one refusal ends the transaction. A retry then is the first mail for everybody.
* With a `SendRecord` that outlives the try (Airflow 3.3's ``task_state_store``) the run remembers what went; see
  `sent_mails`. A later try of the same run does not send it again. Where nobody can know whether it went, the task is
  red and says in which mailbox to look; when it is cleared after that, it sends.
* Without a record (older Airflow) each try that comes as far as the mail sends it once. Within one try the doubt is
  still told: a connection lost between the mail and the server's answer is `MailMaybeSentError`, not a retry.

A clear of the task is a try of the same run, so with a record it sends no second mail. With other recipients it is
another mail, with a Message-ID of its own, and it is sent. When the data has changed since the mail went, log, receipt
and the run's next mail say so.

The Date header is the time of sending. A mail is not a delivered file: two tries that send (there is no record, or the
first was refused) differ in it, and a mail that carries the window's end as its date is sorted, or filtered, as old.

Size
----
``max_attachment_bytes`` and the server's SIZE are compared with the encoded mail, which is about 4/3 of the files. A
mail that would be larger is not made: the files' sizes tell before they are read. All files are attached or none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from email.headerregistry import Address

from airflow_provider_callreport.delivery.attachments import check_libraries, password_of
from airflow_provider_callreport.delivery.audiences import Audience, audiences, parse_groups
from airflow_provider_callreport.delivery.errors import (
    DeliveryError,
    DestinationRefusedError,
    MailMaybeSentError,
    MailTooLargeError,
    RecipientsRefusedError,
    left_to_delivery,
)
from airflow_provider_callreport.delivery.mail_body import check_templates
from airflow_provider_callreport.delivery.mail_making import MailStyle, make_mail
from airflow_provider_callreport.delivery.message import Envelope, mail_key, message_id
from airflow_provider_callreport.delivery.receipts import EmailReceipt, Link
from airflow_provider_callreport.delivery.recipients import check_recipients, parse_recipients
from airflow_provider_callreport.delivery.sent_mails import SendRecord, SentMails, content_of, digest_of
from airflow_provider_callreport.delivery.smtp import ANSWER_TIMEOUT, send_once
from airflow_provider_callreport.delivery.smtp_session import Session, check_connection, open_session
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity, wording
from airflow_provider_callreport.rules import OnOversize, OnRefused, choices, one_of, whole_number

log = logging.getLogger(__name__)

#: Mails over one connection. Many servers close one after some number of mails, and do not say after how many.
_MAILS_A_SESSION = 20


@dataclass(frozen=True)
class _Mail:
    """One mail that is to be sent."""

    key: str
    audience: Audience
    links: tuple[Link, ...]


@dataclass(frozen=True)
class EmailDestination:
    """One mail to some people.

    Attributes:
        to, cc, bcc: addresses, as text separated by comma or semicolon or as a list. ``to`` needs one at least; nobody
            may come twice in the three. ``to`` may also be an object of group to addresses, see `audiences`; then each
            address gets one mail with the files of its groups, and ``cc`` and ``bcc`` are None.
        subject: a template that replaces the subject; see `mail_body` for its variables and brackets.
        html: a template that replaces the HTML body, likewise.
        smtp_conn_id: Airflow's SMTP connection; its ``from_email`` is the sender.
        max_attachment_bytes: how large the encoded mail may be, in bytes; default 15 MB.
        on_oversize: ``"link"`` (default) sends a larger one without files and with the links, ``"fail"`` sends
            nothing.
        on_refused: ``"fail"`` (default) sends to all or nobody, ``"warn"`` sends to those whom the server takes, with
            the others named in receipt and log; it fails only when all are refused.
        resend_if_unsure: send although an earlier try may have sent; default False.
        attachment_password_conn_id: the Airflow connection whose password protects the attachments, or None.
        answer_timeout: seconds to wait for the server's answer to the mail; default 600 (RFC 5321, 4.5.3.2.6).

    Raises:
        ValueError: an argument is not valid; the sentence names it and what is allowed.
    """

    to: str | Sequence[str] | Mapping[str, str | Sequence[str] | None]
    cc: str | Sequence[str] | None = None
    bcc: str | Sequence[str] | None = None
    subject: str | None = None
    html: str | None = None
    smtp_conn_id: str = "smtp_default"
    max_attachment_bytes: int = 15_000_000
    on_oversize: str = "link"
    on_refused: str = "fail"
    resend_if_unsure: bool = False
    attachment_password_conn_id: str | None = None
    answer_timeout: float = ANSWER_TIMEOUT
    _to: tuple[Address, ...] = field(init=False, repr=False, compare=False, default=())
    _groups: Mapping[str, tuple[Address, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)
    _cc: tuple[Address, ...] = field(init=False, repr=False, compare=False)
    _bcc: tuple[Address, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of(choices(OnOversize))("on_oversize", self.on_oversize)
        one_of(choices(OnRefused))("on_refused", self.on_refused)
        whole_number(1)("max_attachment_bytes", self.max_attachment_bytes)
        for name in ("cc", "bcc"):
            object.__setattr__(self, f"_{name}", parse_recipients(getattr(self, name), f"email_{name}"))
        if isinstance(self.to, Mapping):
            if self._cc or self._bcc:
                raise ValueError(
                    "email_to is an object of groups, and email_cc or email_bcc is set: who would get a copy of each "
                    "mail is named in email_to, beside the others of the group."
                )
            object.__setattr__(self, "_groups", parse_groups(self.to, "email_to"))
        else:
            object.__setattr__(self, "_to", parse_recipients(self.to, "email_to"))
            check_recipients(self._to, self._cc, self._bcc)
        check_templates(self.subject, self.html)

    def deliver(
        self,
        files: Sequence[ExportedFile],
        *,
        info: ReportInfo,
        outcome: ReportOutcome,
        run: RunIdentity,
        links: Sequence[Link] = (),
        record: SendRecord | None = None,
    ) -> EmailReceipt:
        """Send the mail, unless an earlier try of the same run did.

        Args:
            files: the finished files.
            info: the report's description.
            outcome: its proof and figures.
            run: who delivers; the same for each try of a task instance.
            links: where the files are besides; needed when they are too large to attach.
            record: what outlives the try, see the module; None when there is nothing.

        Returns:
            Who got it, who was refused, and whether this try sent it.

        Raises:
            ValueError: a template cannot be rendered.
            FileChangedError: a file is not the one that was exported; no mail was sent.
            MailTooLargeError: too large, and ``on_oversize="fail"`` or no link; no mail was sent.
            RecipientsRefusedError: see ``on_refused``; no mail was sent.
            DestinationRefusedError: connection, login, sender or mail refused; no mail was sent.
            DestinationUnavailableError: no server, a 4xx answer or a lost connection; no mail was sent.
            MailMaybeSentError: this try or an earlier one cannot tell whether the mail went.
        """
        mails = self._mails(files, info, outcome, run, links)
        remembered = SentMails(record)
        receipts = [earlier for mail in mails if (earlier := _earlier(remembered, mail)) is not None]
        to_send = [mail for mail in mails if remembered.sent(mail.key) is None]
        doubtful = [mail for mail in to_send if not self._may_send(remembered, mail)]
        to_send = [mail for mail in to_send if mail not in doubtful]
        failed: list[DeliveryError] = []
        style = self._style()
        for first in range(0, len(to_send), _MAILS_A_SESSION):
            with open_session(self.smtp_conn_id) as session:
                for mail in to_send[first : first + _MAILS_A_SESSION]:
                    try:
                        receipts.append(self._send(session, mail, style, remembered))
                    except (RecipientsRefusedError, DestinationRefusedError, MailTooLargeError) as error:
                        # The others do not wait for it.
                        failed.append(error)
        for mail in doubtful:
            raise _unsure(remembered, mail)
        if failed:
            raise _of_all(failed, len(mails))
        return _together(receipts)

    def check_before_reading(self, extension: str, *, online: bool = True) -> None:
        """Find what is certainly wrong before a report is read: the password, and the login, which sends nothing.

        Args:
            extension: that of the files to come, such as ``".xlsx"``.
            online: whether to log in; without it, only what is on this machine is checked.

        Raises:
            DestinationRefusedError: no such connection, login refused, OAuth2 without library or token, no password
                or no library for protected attachments.
        """
        if self.attachment_password_conn_id is not None:
            password_of(self.attachment_password_conn_id)
            check_libraries(extension)
        if not online:
            check_connection(self.smtp_conn_id)
            return
        with left_to_delivery(), open_session(self.smtp_conn_id):
            pass

    def check_files(self, files: Sequence[ExportedFile], info: ReportInfo, outcome: ReportOutcome) -> None:
        """Check that each file has somebody to go to, before anything is delivered.

        Raises:
            DestinationRefusedError: ``to`` is an object of groups, and has no address for one.
        """
        self._audiences(files, info, outcome)

    def _audiences(self, files: Sequence[ExportedFile], info: ReportInfo, outcome: ReportOutcome) -> Sequence[Audience]:
        if isinstance(self.to, Mapping):
            return audiences(self._groups, files, info, outcome)
        return [Audience(self._to, tuple(files), info, outcome)]

    def _mails(
        self,
        files: Sequence[ExportedFile],
        info: ReportInfo,
        outcome: ReportOutcome,
        run: RunIdentity,
        links: Sequence[Link],
    ) -> list[_Mail]:
        """The mails of this run: one, or one for each audience."""
        mails = []
        for audience in self._audiences(files, info, outcome):
            names = {file.filename for file in audience.files}
            theirs = tuple(link for link in links if len(audience.files) == len(files) or link.filename in names)
            mails.append(_Mail(mail_key(run, (*audience.to, *self._cc, *self._bcc)), audience, theirs))
        return mails

    def _style(self) -> MailStyle:
        conn_id = self.attachment_password_conn_id
        password = None if conn_id is None else password_of(conn_id)
        return MailStyle(self.subject, self.html, self.max_attachment_bytes, self.on_oversize, password)

    def _may_send(self, remembered: SentMails, mail: _Mail) -> bool:
        """Whether no earlier try may have sent the mail, or it is sent in spite of that."""
        identity = remembered.doubt(mail.key)
        if identity and remembered.is_cleared(mail.key):
            log.warning("Mail %s may have gone before. The task said so and was cleared: it is sent.", identity)
            return True
        return not identity or self.resend_if_unsure

    def _send(self, session: Session, mail: _Mail, style: MailStyle, remembered: SentMails) -> EmailReceipt:
        audience = mail.audience
        envelope = Envelope(session.sender, audience.to, self._cc, self._bcc)
        _check_smtputf8(session, envelope)
        identity = message_id(mail.key, session.sender)
        data, attached = make_mail(
            audience,
            mail.links,
            envelope,
            style,
            identity=identity,
            changes=_changes(remembered, mail),
            server_limit=session.size_limit,
        )
        handed_over = False

        def before_end() -> None:
            nonlocal handed_over
            remembered.note(mail.key, "intent", message_id=identity)
            handed_over = True

        try:
            refused = send_once(
                session,
                envelope.sender.addr_spec,
                envelope.recipients,
                data,
                all_or_nobody=self.on_refused == "fail",
                before_end=before_end,
                answer_timeout=self.answer_timeout,
            )
        except MailMaybeSentError:
            remembered.note_fact(mail.key, "unsure", message_id=identity)
            raise
        except DeliveryError:
            # Surely not sent, so the next try may send.
            if handed_over:
                remembered.note_fact(mail.key, "not_sent", message_id=identity)
            raise
        names = {refusal.address for refusal in refused}
        accepted = tuple(address for address in envelope.recipients if address not in names)
        remembered.note_fact(
            mail.key,
            "sent",
            accepted=list(accepted),
            refused=[[refusal.address, refusal.code, refusal.reason] for refusal in refused],
            **content_of(audience.files, identity),
        )
        if refused:
            log.warning("The mail server refused %s; the mail went to the others.", "; ".join(map(str, refused)))
        log.info("Mail %s went to %d recipients (%d bytes).", identity, len(accepted), len(data))
        return EmailReceipt(accepted, refused, (identity,), attached, sent=True)


def _unsure(remembered: SentMails, mail: _Mail) -> MailMaybeSentError:
    """The error for a mail that an earlier try may have sent; from now on somebody was told."""
    identity = remembered.doubt(mail.key)
    remembered.note(mail.key, "unsure", message_id=identity)
    return MailMaybeSentError(
        f"An earlier try of this run began to hand the mail over and ended before it knew whether it went; it is not "
        f"sent again. Look into the mailbox of {mail.audience.to[0].addr_spec} for Message-ID {identity}. If it is not "
        f"there, clear the task: the next try sends it."
    )


def _earlier(remembered: SentMails, mail: _Mail) -> EmailReceipt | None:
    """The receipt of a mail that an earlier try sent, or None."""
    sent = remembered.sent(mail.key)
    if sent is None:
        return None
    files = mail.audience.files
    outdated = (sent.content,) if sent.content.sha256 != digest_of(files) else ()
    if outdated:
        log.warning(
            "Mail %s was sent by an earlier try of this run and is not sent again, but the data has changed since: the "
            "mail had %s (SHA-256 %s), and now there are %s (SHA-256 %s). For a new mail, clear the task with another "
            "recipient, or send the file yourself.",
            sent.message_id,
            wording.calls(sent.content.rows),
            sent.content.sha256,
            wording.calls(sum(file.rows for file in files)),
            digest_of(files),
        )
    else:
        log.info("Mail %s was sent by an earlier try of this run; it is not sent again.", sent.message_id)
    return EmailReceipt(sent.accepted, sent.refused, (sent.message_id,), attached=None, sent=False, outdated=outdated)


def _changes(remembered: SentMails, mail: _Mail) -> list[str]:
    """One sentence for each file that an earlier mail of this run had with other data."""
    zone = mail.audience.info.window_end.tzinfo
    return [
        f"An earlier mail of this report{_at(earlier.at, zone)} had {file.filename} with {wording.calls(rows)}. The "
        f"data has changed since: here it has {wording.calls(file.rows)} (SHA-256 {file.sha256[:12]}...)."
        for file, earlier, rows in remembered.changed(mail.key, mail.audience.files)
    ]


def _at(moment: datetime | None, zone: tzinfo | None) -> str:
    return "" if moment is None else f" ({wording.day_and_time(moment.astimezone(zone).replace(second=0))})"


def _together(receipts: Sequence[EmailReceipt]) -> EmailReceipt:
    attached = {receipt.attached for receipt in receipts if receipt.sent}
    return EmailReceipt(
        emailed_to=tuple(address for receipt in receipts for address in receipt.emailed_to),
        refused=tuple(refusal for receipt in receipts for refusal in receipt.refused),
        message_ids=tuple(identity for receipt in receipts for identity in receipt.message_ids),
        attached=(attached == {True}) if attached else None,
        sent=bool(attached),
        outdated=tuple(earlier for receipt in receipts for earlier in receipt.outdated),
    )


def _of_all(failed: Sequence[DeliveryError], mails: int) -> DeliveryError:
    """One error for all mails that the server did not take, or that could not be made."""
    if mails == 1:
        return failed[0]
    refused = [refusal for error in failed if isinstance(error, RecipientsRefusedError) for refusal in error.refused]
    others = [error for error in failed if not isinstance(error, RecipientsRefusedError)]
    why = "; ".join([*map(str, refused), *dict.fromkeys(map(str, others))])
    sentence = f"{len(failed)} of {mails} mails were not sent, the others were: {why}"
    if not others:
        return RecipientsRefusedError(f"{sentence}.", refused)
    return DestinationRefusedError(sentence, retryable=all(error.retryable for error in failed))


def _check_smtputf8(session: Session, envelope: Envelope) -> None:
    if envelope.utf8_addresses and not session.smtputf8:
        raise DestinationRefusedError(
            f"{', '.join(envelope.utf8_addresses)} has characters that this mail server cannot take (it offers no "
            f"SMTPUTF8); use an address in plain ASCII."
        )
