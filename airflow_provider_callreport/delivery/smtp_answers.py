"""What a mail server's "no" means: its own sentence, and advice where its code is known.

A server answers with a reply code (RFC 5321, 4.2.3) and mostly with an enhanced status code behind it (RFC 3463). The
reply code alone says little: 552 is a mail that is too large, a full mailbox, or an attachment that the server blocks.
So advice hangs on the enhanced code. A code that is not in the table gets the server's sentence and no advice.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_callreport.delivery.errors import (
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
)

_TOO_LARGE = "The mail is too large for the server: set max_attachment_bytes to what the server allows."
_PASSWORD = (
    "Check login and password of the connection; Gmail and others take an app password here, not the account's own, "
    "or OAuth2."
)
_TOKEN = "Check the connection's token, and that the app may send as this mailbox."
_LOGIN_FIRST = (
    "The server takes mail only after a login, and over TLS: set login and password of the connection, and leave "
    "disable_tls or disable_ssl unset."
)
_SPF = "The sender's domain does not name this server as its own (SPF, DKIM): who runs the domain can add it."

#: Advice by reply code and enhanced code, or by the enhanced code alone, or by the reply code without one.
#: Sources: the IANA registry of enhanced codes, RFC 4954 (logins), Microsoft's "NDR error codes" and Google's "SMTP
#: error codes".
_ADVICE = {
    "535": _PASSWORD,
    "5.7.8": _PASSWORD,
    "5.7.3": _PASSWORD,
    "5.7.9": "This account needs an app password, or OAuth2 (auth_type of the SMTP connection).",
    "5.7.139": (
        "Microsoft 365 answers so where SMTP AUTH is switched off for the tenant or the mailbox: let an administrator "
        'allow "Authenticated SMTP" for the mailbox, or log in by OAuth2 (auth_type of the SMTP connection).'
    ),
    "530": _LOGIN_FIRST,
    "530 5.7.0": _LOGIN_FIRST,
    "530 5.7.1": _LOGIN_FIRST,
    "5.7.57": _LOGIN_FIRST,
    "552 5.7.0": (
        "The server refuses what is in the mail, not its size: choose another file_format, or deliver to S3 and mail "
        "the link."
    ),
    "5.7.60": (
        'The login may not send as this sender: set "From email" to the mailbox of the login, or let an administrator '
        "allow it to send as that address."
    ),
    "5.7.25": _SPF,
    "5.7.26": _SPF,
    "5.7.27": _SPF,
    "552": _TOO_LARGE,
    "5.3.4": _TOO_LARGE,
    "5.2.3": _TOO_LARGE,
    "5.2.2": "The recipient's mailbox is full.",
    "5.1.1": "There is no such mailbox: correct the address.",
    "5.1.10": "There is no such mailbox: correct the address.",
    "5.1.2": "There is no such domain: correct the address.",
}

_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")

#: Longest part of a server's sentence that is shown.
_MAX_WORDS = 300

#: Text that may be a secret in base64: longer than the identifiers that servers put behind their sentences.
_LONG_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{60,}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a mail server.

    Attributes:
        code: the reply code.
        words: its sentence on one line, without secrets.
    """

    code: int
    words: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code at the beginning of the sentence, or an empty text."""
        found = _ENHANCED.match(self.words)
        return found[1] if found else ""

    @property
    def temporary(self) -> bool:
        """Whether the server says to try later."""
        return 400 <= self.code < 500

    @property
    def advice(self) -> str:
        """What to do, or an empty text where the code does not tell."""
        names = (f"{self.code} {self.enhanced}", self.enhanced) if self.enhanced else (str(self.code),)
        return next((_ADVICE[name] for name in names if name in _ADVICE), "")

    def __str__(self) -> str:
        return f"{self.code} {self.words}".strip()


def read_answer(code: int, words: bytes | str, secrets: Iterable[str] = ()) -> Answer:
    """An answer as it may be shown.

    Args:
        code: the reply code.
        words: what the server said; several lines are joined, and the code that each of them repeats is kept once.
        secrets: texts that must not be shown, such as the password; also not in base64.
    """
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    first, *more = ["".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines()] or [""]
    repeated = _ENHANCED.match(first)
    if repeated:
        more = [line.removeprefix(repeated[1]).strip() for line in more]
    line = " ".join(part for part in (first, *more) if part)
    for secret in secrets:
        for spelling in (secret, base64.b64encode(secret.encode()).decode()) if secret else ():
            line = line.replace(spelling, "***")
    return Answer(code, _LONG_TOKEN.sub("***", line)[:_MAX_WORDS])


def refusal(what: str, answer: Answer, *, by_token: bool = False) -> DeliveryError:
    """The error for an answer that is a "no", before or after the mail was handed over: no mail was sent.

    Args:
        what: what the server was asked for, such as ``"the login of ..."``.
        answer: the answer.
        by_token: whether the login was one by OAuth2, so that advice on passwords is wrong.
    """
    if answer.temporary:
        return DestinationUnavailableError(
            f"The mail server asks to try later; no mail was sent. It refused {what} and said: {_sentence(answer)}"
        )
    advice = _TOKEN if by_token and answer.advice == _PASSWORD else answer.advice
    sentence = f"The mail server refused {what}; no mail was sent. It said: {_sentence(answer)}"
    return DestinationRefusedError(f"{sentence} {advice}".rstrip())


def _sentence(answer: Answer) -> str:
    text = str(answer)
    return text if text.endswith((".", "!", "?")) else f"{text}."
