"""One mail over SMTP, at most once, with every answer of the server taken seriously.

Why not ``SmtpHook.send_email_smtp``: it sends again, up to five times at once, on any exception, also when the first
one arrived; and it drops the refused recipients. The hook's connection (host, login, TLS) is what we use. Why not
``smtplib``'s ``sendmail``: it sends to those who were not refused, whatever the caller wants; it cannot tell a
connection lost before the mail was complete (surely not sent) from one lost after it (maybe sent); and its one timeout
covers sending all of the data, and waiting for the answer, where RFC 5321 asks for ten minutes.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Any

from airflow_provider_callreport.delivery.errors import (
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
    MailMaybeSentError,
    RecipientsRefusedError,
)
from airflow_provider_callreport.delivery.receipts import Refusal
from airflow_provider_callreport.delivery.recipients import parse_recipients

log = logging.getLogger(__name__)

#: RFC 5321, 4.5.3.2.6: a client that waits less for the answer to a mail makes duplicates. In seconds.
ANSWER_TIMEOUT = 600.0

#: Sent at a time. Python's timeout covers a whole ``sendall``: with one call a slow line could never send 15 MB.
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Session:
    """A connection that is logged in.

    Attributes:
        client: the open ``smtplib`` client.
        sender: the address that the connection sends from.
        size_limit: what the server says that a mail may have (the SIZE extension, RFC 1870), or None.
        smtputf8: whether it takes non-ASCII addresses (RFC 6531).
    """

    client: smtplib.SMTP
    sender: Address
    size_limit: int | None
    smtputf8: bool


@contextmanager
def open_session(smtp_conn_id: str) -> Iterator[Session]:
    """Connect and log in as Airflow's SMTP connection says; close at the end.

    Raises:
        DestinationRefusedError: no such connection, no sender, login or TLS refused.
        DestinationUnavailableError: the server cannot be reached or asks to come back later.
    """
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    hook = SmtpHook(smtp_conn_id=smtp_conn_id)
    try:
        with _connection_errors(hook, smtp_conn_id):
            hook.get_conn()
            client = _client_of(hook)
            client.ehlo_or_helo_if_needed()
            size = client.esmtp_features.get("size", "")
            session = Session(
                client=client,
                sender=_sender_of(hook, smtp_conn_id),
                # "0" and no number mean no limit.
                size_limit=(int(size) or None) if size.isdecimal() else None,
                smtputf8=client.has_extn("smtputf8"),
            )
        yield session
        with suppress(smtplib.SMTPException, OSError):
            client.quit()
    finally:
        if (opened := _client_of(hook)) is not None:
            opened.close()


def send_once(
    session: Session,
    sender: str,
    recipients: Sequence[str],
    mail: bytes,
    *,
    all_or_nobody: bool,
    before_data: Callable[[Sequence[str]], None],
    answer_timeout: float = ANSWER_TIMEOUT,
) -> tuple[Refusal, ...]:
    """Do one mail transaction.

    Args:
        session: the connection.
        sender: the envelope's sender.
        recipients: the envelope's recipients.
        mail: the whole mail, lines ended by CR LF.
        all_or_nobody: True sends nothing when one recipient is refused; False sends to the others.
        before_data: called with the accepted recipients, just before the mail is handed over. What it raises stops
            the transaction.
        answer_timeout: seconds to wait for the server's answer to the mail.

    Returns:
        The refused recipients, when the mail went to the others.

    Raises:
        RecipientsRefusedError: all are refused, or one under ``all_or_nobody``; no mail was sent.
        DestinationRefusedError: the server refused the sender or the mail (5xx); no mail was sent.
        DestinationUnavailableError: a 4xx answer, or the connection was lost before the mail was complete; no mail
            was sent.
        MailMaybeSentError: the connection was lost, or the answer made no sense, after the mail was complete.
    """
    client = session.client
    with _transaction_errors():
        _mail_from(client, sender, len(mail), utf8=not all(address.isascii() for address in (sender, *recipients)))
        refused = _rcpt_to(client, recipients)
        if len(refused) == len(recipients) or (refused and all_or_nobody):
            _reset(client)
            raise _recipients_refused(refused, recipients)
    names = {refusal.address for refusal in refused}
    before_data([address for address in recipients if address not in names])
    with _transaction_errors():
        code, words = client.docmd("DATA")
        if code != 354:
            _reset(client)
            raise _refusal("the mail", code, words)
        # Until the lone dot has left as a whole, the server has no mail: a failure here is surely "not sent".
        _send_mail(client, mail)
    return _await_answer(client, refused, answer_timeout)


def _mail_from(client: smtplib.SMTP, sender: str, size: int, *, utf8: bool) -> None:
    options = [f"SIZE={size}"] if client.has_extn("size") else []
    if utf8:
        options += ["SMTPUTF8", "BODY=8BITMIME"]
    code, words = client.mail(sender, options)
    if code != 250:
        _reset(client)
        raise _refusal(f"a mail of {size} bytes from {sender}", code, words)


def _rcpt_to(client: smtplib.SMTP, recipients: Sequence[str]) -> tuple[Refusal, ...]:
    refused = []
    for address in recipients:
        code, words = client.rcpt(address)
        if code == 421:
            raise _refusal("the connection", code, words)
        if code not in (250, 251):
            refused.append(Refusal(address, code, _one_line(words)))
    return tuple(refused)


def _send_mail(client: smtplib.SMTP, mail: bytes) -> None:
    """Send the mail and the lone dot that ends it (RFC 5321, 4.5.2)."""
    # A mail may have 15 MB: no copy of it is made unless a line begins with a dot, which base64 and ours do not.
    stuffed = re.sub(rb"(?m)^\.", b"..", mail) if mail.startswith(b".") or b"\n." in mail else mail
    for start in range(0, len(stuffed), _CHUNK):
        client.send(stuffed[start : start + _CHUNK])
    client.send(b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")


def _await_answer(client: smtplib.SMTP, refused: tuple[Refusal, ...], timeout: float) -> tuple[Refusal, ...]:
    try:
        if client.sock is not None:
            client.sock.settimeout(timeout)
        code, words = client.getreply()
    except (smtplib.SMTPException, OSError) as error:
        raise _maybe_sent(f"the connection was lost before the server answered ({_kind(error)})") from error
    if 200 <= code < 300:
        return refused
    if 400 <= code < 600:
        raise _refusal("the mail", code, words)
    raise _maybe_sent(f"the server's answer makes no sense ({code} {_one_line(words)})")


def _maybe_sent(why: str) -> MailMaybeSentError:
    return MailMaybeSentError(
        f"The mail was handed over, but {why}: it may have gone. Look into a recipient's mailbox or the mail server's "
        f"log before you run the task again; resend_if_unsure sends it again in spite of the doubt."
    )


def _reset(client: smtplib.SMTP) -> None:
    with suppress(smtplib.SMTPException, OSError):
        client.rset()


def _recipients_refused(refused: Sequence[Refusal], recipients: Sequence[str]) -> RecipientsRefusedError:
    names = "; ".join(str(refusal) for refusal in refused)
    return RecipientsRefusedError(
        f"The mail server refused {len(refused)} of {len(recipients)} recipients, and no mail was sent to anybody: "
        f"{names}.",
        refused,
    )


def _refusal(what: str, code: int, words: bytes | str) -> DeliveryError:
    said = f"{code} {_one_line(words)}".strip()
    if 400 <= code < 500:
        return DestinationUnavailableError(f"The mail server asks to try later; no mail was sent. It said: {said}.")
    advice = ""
    # 552, and 5.3.4 of RFC 3463: too large.
    if code == 552 or "5.3.4" in said:
        advice = " It is too large for the server: set max_attachment_bytes to what the server allows."
    return DestinationRefusedError(f"The mail server refused {what}; no mail was sent.{advice} It said: {said}.")


@contextmanager
def _transaction_errors() -> Iterator[None]:
    """Name what smtplib raises before the mail is complete."""
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise _refusal("the mail", error.smtp_code, error.smtp_error) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DestinationUnavailableError(
            f"The connection to the mail server was lost before the mail was complete ({_kind(error)}); no mail "
            f"was sent."
        ) from error


@contextmanager
def _connection_errors(hook: Any, smtp_conn_id: str) -> Iterator[None]:
    """Name what ``SmtpHook.get_conn`` raises."""
    from airflow.providers.common.compat.sdk import AirflowException

    where = f'SMTP connection "{smtp_conn_id}"'
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        retryable = 400 <= error.smtp_code < 500
        raise DestinationRefusedError(
            f"The mail server refused the login of {where} ({error.smtp_code}); check its login and password.",
            retryable=retryable,
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise DestinationRefusedError(
            f"The mail server of {where} offers no STARTTLS or no login; check disable_tls, disable_ssl and the login."
        ) from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(f"the connection of {where}", error.smtp_code, error.smtp_error) from error
    except ssl.SSLCertVerificationError as error:
        raise DestinationRefusedError(
            f"The certificate of the mail server of {where} is not valid: {error.verify_message}."
        ) from error
    except ssl.SSLError as error:
        raise DestinationRefusedError(
            f"The mail server of {where} speaks no TLS at this port ({error.reason}); check the port, disable_ssl and "
            f"disable_tls."
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DestinationUnavailableError(
            f"Could not connect to the mail server of {where} ({_kind(error)})."
        ) from error
    except AirflowException as error:
        if getattr(hook, "smtp_connection", None) is None:
            raise DestinationRefusedError(f"There is no {where}; create it or correct smtp_conn_id.") from error
        raise DestinationUnavailableError(f"Could not connect to the mail server of {where}.") from error


def _client_of(hook: Any) -> Any:
    """The hook's smtplib client; older providers keep it under another name."""
    return getattr(hook, "_smtp_client", None) or getattr(hook, "smtp_client", None)


def _sender_of(hook: Any, smtp_conn_id: str) -> Address:
    """The connection's ``from_email``, else its login when that is an address."""
    login = hook.smtp_user if "@" in (hook.smtp_user or "") else ""
    configured = hook.from_email or login
    if not configured:
        raise DestinationRefusedError(
            f'SMTP connection "{smtp_conn_id}" does not say who sends; set "From email" (extra from_email) in it.'
        )
    try:
        (sender,) = parse_recipients(configured, "from_email")
    except ValueError as error:
        raise DestinationRefusedError(f'From email in SMTP connection "{smtp_conn_id}" is not valid: {error}') from None
    return sender


def _one_line(words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return "".join(character if character.isprintable() else " " for character in text)[:200].strip()


def _kind(error: Exception) -> str:
    """What failed, in the system's words, without an address of ours."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
