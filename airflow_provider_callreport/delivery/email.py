"""E-mail: the finished files go to people, in one mail, once.

At most one mail a run
----------------------
A mail cannot be taken back, and a retry that sends it again is how reports lose their readers. So:

* The Message-ID is made from the run and the recipients. It is the same for every try, and mail systems that drop
  duplicates know it.
* One try does one SMTP transaction. Nothing is sent again inside it.
* Under ``on_refused="fail"`` (the default) the mail goes to all or to nobody: the server is asked about each recipient
  before the mail is handed over, and one refusal ends the transaction. A retry then is the first mail for everybody.
* With a `SendRecord` that outlives the try (Airflow 3.3's ``task_state_store``) the intent is recorded before the mail
  is handed over, and the success after the server's answer. A later try of the same run that finds the success sends
  nothing; one that finds only the intent cannot know, and raises `MailMaybeSentError` unless ``resend_if_unsure``.
* Without a record (older Airflow) each try that comes as far as the mail sends it once. Within one try the doubt is
  still told: a connection lost between the mail and the server's answer is `MailMaybeSentError`, not a retry.

A clear of the task is a try of the same run, so with a record it sends no second mail. With other recipients it is
another mail, with a Message-ID of its own, and it is sent.

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
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import Any, Protocol

from airflow_provider_callreport.delivery.errors import (
    DeliveryError,
    DestinationRefusedError,
    MailMaybeSentError,
    MailTooLargeError,
)
from airflow_provider_callreport.delivery.mail_body import check_templates, render_mail
from airflow_provider_callreport.delivery.message import Envelope, compose, encoded_size, mail_key, message_id
from airflow_provider_callreport.delivery.receipts import EmailReceipt, Link, Refusal
from airflow_provider_callreport.delivery.recipients import check_recipients, parse_recipients
from airflow_provider_callreport.delivery.smtp import ANSWER_TIMEOUT, Session, open_session, send_once
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity
from airflow_provider_callreport.report.wording import count, size

log = logging.getLogger(__name__)

#: Values of ``on_oversize`` and ``on_refused``.
ON_OVERSIZE = ("link", "fail")
ON_REFUSED = ("fail", "warn")


class SendRecord(Protocol):
    """One value that outlives a try of the task, and belongs to one task instance of one run.

    The value is a small JSON object: ``mail`` (a hash of the run and the recipients), ``message_id``, and ``state``:

    * ``"intent"``, stored just before the mail is handed over,
    * ``"sent"``, stored after the server took it, with ``accepted`` ([address, ...]) and ``refused``
      ([[address, code, reason], ...]),
    * ``"not_sent"``, stored when the server surely did not take it.
    """

    def get(self) -> Mapping[str, Any] | None:
        """The value last `set` by any try of this run, or None."""

    def set(self, value: Mapping[str, Any]) -> None:
        """Store the value durably before returning."""


@dataclass(frozen=True)
class EmailDestination:
    """One mail to some people.

    Attributes:
        to, cc, bcc: addresses, as text separated by comma or semicolon or as a list. ``to`` needs one at least; nobody
            may come twice in the three.
        subject: a template that replaces the subject; see `mail_body` for its variables and brackets.
        html: a template that replaces the HTML body, likewise.
        smtp_conn_id: Airflow's SMTP connection; its ``from_email`` is the sender.
        max_attachment_bytes: how large the encoded mail may be, in bytes; default 15 MB.
        on_oversize: ``"link"`` (default) sends a larger one without files and with the links, ``"fail"`` sends
            nothing.
        on_refused: ``"fail"`` (default) sends to all or nobody, ``"warn"`` sends to those whom the server takes, with
            the others named in receipt and log; it fails only when all are refused.
        resend_if_unsure: send although an earlier try may have sent; default False.
        answer_timeout: seconds to wait for the server's answer to the mail; default 600 (RFC 5321, 4.5.3.2.6).

    Raises:
        ValueError: an argument is not valid; the sentence names it and what is allowed.
    """

    to: str | Sequence[str]
    cc: str | Sequence[str] | None = None
    bcc: str | Sequence[str] | None = None
    subject: str | None = None
    html: str | None = None
    smtp_conn_id: str = "smtp_default"
    max_attachment_bytes: int = 15_000_000
    on_oversize: str = "link"
    on_refused: str = "fail"
    resend_if_unsure: bool = False
    answer_timeout: float = ANSWER_TIMEOUT
    _to: tuple[Address, ...] = field(init=False, repr=False, compare=False)
    _cc: tuple[Address, ...] = field(init=False, repr=False, compare=False)
    _bcc: tuple[Address, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_choice("on_oversize", self.on_oversize, ON_OVERSIZE)
        _check_choice("on_refused", self.on_refused, ON_REFUSED)
        limit = self.max_attachment_bytes
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(f"max_attachment_bytes must be a number of bytes, 1 or more, got {limit!r}.")
        for name in ("to", "cc", "bcc"):
            object.__setattr__(self, f"_{name}", parse_recipients(getattr(self, name), f"email_{name}"))
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
        key = mail_key(run, (*self._to, *self._cc, *self._bcc))
        if (receipt := self._earlier(record, key)) is not None:
            return receipt
        with open_session(self.smtp_conn_id) as session:
            envelope = Envelope(session.sender, self._to, self._cc, self._bcc)
            _check_smtputf8(session, envelope)
            identity = message_id(key, session.sender)
            mail, attached = self._compose(files, links, info, outcome, envelope, identity, session.size_limit)
            refused = self._send(session, envelope, mail, {"mail": key, "message_id": identity}, record)
        names = {refusal.address for refusal in refused}
        accepted = tuple(address for address in envelope.recipients if address not in names)
        if refused:
            log.warning("The mail server refused %s; the mail went to the others.", "; ".join(map(str, refused)))
        log.info("Mail %s went to %d recipients (%d bytes).", identity, len(accepted), len(mail))
        return EmailReceipt(accepted, refused, identity, attached, sent=True)

    def _earlier(self, record: SendRecord | None, key: str) -> EmailReceipt | None:
        """What the record knows of this mail: a receipt when it was sent, None when it may be sent now."""
        found = record.get() if record is not None else None
        if not found or found.get("mail") != key:
            return None
        identity = str(found.get("message_id"))
        if found.get("state") == "sent":
            log.info("Mail %s was sent by an earlier try of this run; it is not sent again.", identity)
            refused = tuple(Refusal(*refusal) for refusal in found.get("refused", ()))
            return EmailReceipt(tuple(found.get("accepted", ())), refused, identity, attached=None, sent=False)
        if found.get("state") == "intent" and not self.resend_if_unsure:
            raise MailMaybeSentError(
                f"An earlier try of this run began to hand the mail over and ended before it knew whether it went; "
                f"it is not sent again. Look into a recipient's mailbox for {identity}; resend_if_unsure sends it in "
                f"spite of the doubt."
            )
        return None

    def _compose(
        self,
        files: Sequence[ExportedFile],
        links: Sequence[Link],
        info: ReportInfo,
        outcome: ReportOutcome,
        envelope: Envelope,
        identity: str,
        server_limit: int | None,
    ) -> tuple[bytes, bool]:
        """The mail and whether the files are in it."""
        limit = min(self.max_attachment_bytes, server_limit or self.max_attachment_bytes)
        now = datetime.now(UTC)

        def make(attach: Sequence[ExportedFile], not_attached: str = "") -> bytes:
            text = render_mail(
                info, outcome, files, links, not_attached=not_attached, subject=self.subject, html=self.html
            )
            return compose(text, envelope, attach, identity=identity, date=now)

        expected = sum(encoded_size(file) for file in files)
        if expected <= limit:
            mail = make(files)
            if len(mail) <= limit:
                return mail, True
            expected = len(mail)
        what = "file" if len(files) == 1 else "files"
        why = f"The mail with its {what} would have {count(expected)} bytes ({size(expected)})"
        allowed = f"{count(limit)} bytes ({size(limit)}) are allowed"
        if server_limit is not None and server_limit < self.max_attachment_bytes:
            allowed += " by the mail server"
        if self.on_oversize == "fail":
            raise MailTooLargeError(f'{why} where {allowed}; on_oversize="fail" sends none.')
        if not links:
            raise MailTooLargeError(f'{why} where {allowed}, and there is no link: on_oversize="link" needs S3.')
        mail = make((), f"Not attached: {why[0].lower()}{why[1:]} where {allowed}; use the link instead.")
        if server_limit is not None and len(mail) > server_limit:
            raise MailTooLargeError(
                f"The mail without files has {count(len(mail))} bytes where {count(server_limit)} are allowed by the "
                f"mail server."
            )
        return mail, False

    def _send(
        self, session: Session, envelope: Envelope, mail: bytes, which: Mapping[str, str], record: SendRecord | None
    ) -> tuple[Refusal, ...]:
        handed_over = False

        def before_data(accepted: Sequence[str]) -> None:
            nonlocal handed_over
            if record is not None:
                record.set({"state": "intent", **which})
            handed_over = True

        try:
            refused = send_once(
                session,
                envelope.sender.addr_spec,
                envelope.recipients,
                mail,
                all_or_nobody=self.on_refused == "fail",
                before_data=before_data,
                answer_timeout=self.answer_timeout,
            )
        except MailMaybeSentError:
            raise
        except DeliveryError:
            # Surely not sent, so the next try may send.
            if handed_over:
                _note(record, {"state": "not_sent", **which})
            raise
        names = {refusal.address for refusal in refused}
        _note(
            record,
            {
                "state": "sent",
                **which,
                "accepted": [address for address in envelope.recipients if address not in names],
                "refused": [[refusal.address, refusal.code, refusal.reason] for refusal in refused],
            },
        )
        return refused


def _note(record: SendRecord | None, value: Mapping[str, Any]) -> None:
    """Record what is already a fact. A store that fails now must not turn a sent mail into a failed task."""
    if record is None:
        return
    try:
        record.set(value)
    except Exception as error:
        log.warning(
            "The mail's state (%s) could not be recorded (%s); a later try of this run will not know it.",
            value["state"],
            type(error).__name__,
        )


def _check_smtputf8(session: Session, envelope: Envelope) -> None:
    if envelope.utf8_addresses and not session.smtputf8:
        raise DestinationRefusedError(
            f"{', '.join(envelope.utf8_addresses)} has characters that this mail server cannot take (it offers no "
            f"SMTPUTF8); use an address in plain ASCII."
        )


def _check_choice(argument: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        names = ", ".join(f'"{name}"' for name in allowed)
        raise ValueError(f"{argument} must be one of {names}, got {value!r}.")
