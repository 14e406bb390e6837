"""One mail over SMTP, at most once, with every answer of the server taken for what it answers.

Why not ``SmtpHook.send_email_smtp``: it sends again, up to five times at once, on any exception, also when the first
one arrived; and it drops the refused recipients. Why not ``smtplib``'s ``sendmail``: it sends to those who were not
refused, whatever the caller wants; it cannot tell a connection lost before the mail was complete (surely not sent) from
one lost after it (maybe sent); its one timeout covers sending all of the data, and waiting for the answer, where RFC
5321 asks for ten minutes; and it takes whatever the server has said for the answer to its last command. A server, or a
filter in front of it, that says ``354`` and ``250`` at once to DATA would then have taken a mail that it refuses.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from airflow_provider_callreport.delivery.errors import (
    DestinationUnavailableError,
    MailMaybeSentError,
    RecipientsRefusedError,
)
from airflow_provider_callreport.delivery.receipts import Refusal
from airflow_provider_callreport.delivery.smtp_answers import Answer, read_answer, refusal
from airflow_provider_callreport.delivery.smtp_session import Session, system_words

#: RFC 5321, 4.5.3.2.6: a client that waits less for the answer to a mail makes duplicates. In seconds.
ANSWER_TIMEOUT = 600.0

#: Sent at a time. Python's timeout covers a whole ``sendall``: with one call a slow line could never send 15 MB.
_CHUNK = 64 * 1024

#: Answers to RSET that say nothing of the mail before it: done, closing, or a server that does not know the command.
_ANSWERS_TO_RSET = (250, 421, 500, 502, 503)


def send_once(
    session: Session,
    sender: str,
    recipients: Sequence[str],
    mail: bytes,
    *,
    all_or_nobody: bool,
    before_end: Callable[[], None],
    answer_timeout: float = ANSWER_TIMEOUT,
) -> tuple[Refusal, ...]:
    """Do one mail transaction.

    Args:
        session: the connection.
        sender: the envelope's sender.
        recipients: the envelope's recipients.
        mail: the whole mail, lines ended by CR LF.
        all_or_nobody: True sends nothing when one recipient is refused; False sends to the others.
        before_end: called when the server has the whole mail and not yet its end. What it raises stops the
            transaction, and no mail was sent.
        answer_timeout: seconds to wait for the server's answer to the mail.

    Returns:
        The refused recipients, when the mail went to the others.

    Raises:
        RecipientsRefusedError: all are refused, or one under ``all_or_nobody``; no mail was sent.
        DestinationRefusedError: the server refused the sender or the mail (5xx); no mail was sent.
        DestinationUnavailableError: a 4xx answer, answers that do not belong to what was asked, or the connection was
            lost before the mail was complete; no mail was sent.
        MailMaybeSentError: the connection was lost, or the answer made no sense, after the mail was complete.
    """
    client = session.client
    with _transaction_errors(session):
        _mail_from(session, sender, len(mail), utf8=not all(address.isascii() for address in (sender, *recipients)))
        refused = _rcpt_to(session, recipients)
        if len(refused) == len(recipients) or (refused and all_or_nobody):
            _reset(client)
            raise _recipients_refused(refused, recipients)
        answer = _ask(session, "DATA")
        if answer.code != 354:
            _reset(client)
            raise refusal("the mail", answer)
        _send_mail(client, mail)
        _nothing_unasked(session)
    # When this fails, the connection is closed, and the server drops what it has.
    before_end()
    with _transaction_errors(session):
        _nothing_unasked(session)
        # Until the lone dot has left as a whole, the server has no mail: a failure here is surely "not sent".
        client.send(b".\r\n")
    _await_answer(session, answer_timeout)
    return refused


def _mail_from(session: Session, sender: str, size: int, *, utf8: bool) -> None:
    client = session.client
    options = [f"SIZE={size}"] if client.has_extn("size") else []
    if utf8:
        options += ["SMTPUTF8", "BODY=8BITMIME"]
    _nothing_unasked(session)
    answer = _answer(session, client.mail(sender, options))
    if answer.code != 250:
        _reset(client)
        raise refusal(f"a mail of {size} bytes from {sender}", answer)


def _rcpt_to(session: Session, recipients: Sequence[str]) -> tuple[Refusal, ...]:
    refused = []
    for address in recipients:
        _nothing_unasked(session)
        answer = _answer(session, session.client.rcpt(address))
        if answer.code == 421:
            raise refusal("the connection", answer)
        if answer.code not in (250, 251):
            refused.append(Refusal(address, answer.code, answer.words, answer.advice))
    return tuple(refused)


def _send_mail(client: smtplib.SMTP, mail: bytes) -> None:
    """Send the mail without the lone dot that ends it (RFC 5321, 4.5.2)."""
    # A mail may have 15 MB: no copy of it is made unless a line begins with a dot, which base64 and ours do not.
    stuffed = re.sub(rb"(?m)^\.", b"..", mail) if mail.startswith(b".") or b"\n." in mail else mail
    for start in range(0, len(stuffed), _CHUNK):
        client.send(stuffed[start : start + _CHUNK])
    if not stuffed.endswith(b"\r\n"):
        client.send(b"\r\n")


def _await_answer(session: Session, timeout: float) -> None:
    """Read the answer to the mail, and make sure that it is that."""
    client = session.client
    usual = client.timeout
    try:
        _set_timeout(client, timeout)
        answer = _answer(session, client.getreply())
    except (smtplib.SMTPException, OSError) as error:
        raise _maybe_sent(f"the connection was lost before the server answered ({system_words(error)})") from error
    _set_timeout(client, usual)
    if 400 <= answer.code < 600:
        raise refusal("the mail", answer)
    if not 200 <= answer.code < 300:
        raise _maybe_sent(f"the server's answer makes no sense ({answer})")
    # Where the answer was that of another command, the true one comes now.
    after = _said_unasked(session)
    right: Sequence[int] = (421,)
    if after is None:
        right = _ANSWERS_TO_RSET
        try:
            after = _answer(session, client.docmd("RSET"))
        except (smtplib.SMTPException, OSError):
            # It took the mail and hung up.
            return
    if after.code not in right:
        raise _maybe_sent(f"the server gave more than one answer: {answer}, and then {after}")


def _ask(session: Session, command: str) -> Answer:
    """The answer to one command.

    Raises:
        DestinationUnavailableError: the server had said something before it was asked.
    """
    _nothing_unasked(session)
    return _answer(session, session.client.docmd(command))


def _answer(session: Session, reply: tuple[int, bytes]) -> Answer:
    return read_answer(*reply, session.secrets)


def _nothing_unasked(session: Session) -> None:
    """Refuse to go on with a server that has said something before it was asked: no answer would be believed after it.

    Raises:
        DestinationUnavailableError: it has. A server may say 421 at any time, before it closes the connection.
    """
    answer = _said_unasked(session)
    if answer is None:
        return
    if answer.code == 421:
        raise refusal("the connection", answer)
    raise DestinationUnavailableError(
        f"The mail server's answers are out of step: it said more than it was asked; no mail was sent. It said: "
        f"{answer}"
    )


def _said_unasked(session: Session) -> Answer | None:
    """The first line that the server has said and nobody has read, or None."""
    said = _read_now(session.client).partition(b"\n")[0]
    if not said:
        return None
    code = said[:3]
    return read_answer(int(code) if code.isdigit() else 0, said[4:], session.secrets)


def _read_now(client: smtplib.SMTP) -> bytes:
    """What the server has said and nobody has read yet, without waiting; it stays unread."""
    sock, replies = client.sock, client.file
    if sock is None or replies is None:
        return b""
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        said: bytes = replies.peek(1)  # a BufferedReader, see SMTP.getreply
        return said
    except (BlockingIOError, ssl.SSLWantReadError):
        return b""
    finally:
        sock.settimeout(timeout)


def _set_timeout(client: smtplib.SMTP, seconds: float) -> None:
    if client.sock is not None:
        client.sock.settimeout(seconds)


def _maybe_sent(why: str) -> MailMaybeSentError:
    return MailMaybeSentError(
        f"The mail was handed over, but {why}: it may have gone. Look into a recipient's mailbox or the mail server's "
        f"log before you run the task again."
    )


def _reset(client: smtplib.SMTP) -> None:
    with suppress(smtplib.SMTPException, OSError):
        client.rset()


def _recipients_refused(refused: Sequence[Refusal], recipients: Sequence[str]) -> RecipientsRefusedError:
    names = "; ".join(str(one) for one in refused)
    advice = "".join(f" {advice}" for advice in dict.fromkeys(one.advice for one in refused) if advice)
    return RecipientsRefusedError(
        f"The mail server refused {len(refused)} of {len(recipients)} recipients, and no mail was sent to anybody: "
        f"{names}.{advice}",
        refused,
    )


@contextmanager
def _transaction_errors(session: Session) -> Iterator[None]:
    """Name what smtplib raises before the mail is complete."""
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise refusal("the mail", read_answer(error.smtp_code, error.smtp_error, session.secrets)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DestinationUnavailableError(
            f"The connection to the mail server was lost before the mail was complete ({system_words(error)}); no mail "
            f"was sent."
        ) from error
