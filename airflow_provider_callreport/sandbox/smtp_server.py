"""An SMTP server on a port of this machine, in a thread of this process, that keeps what it is sent."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_callreport.sandbox.quiet import quiet

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

_LOOPBACK = "127.0.0.1"

#: What is said of an address in `SmtpSettings.refuse` that has no answer of its own (RFC 5321, 4.2.3).
NO_SUCH_USER = "550 5.1.1 No such user here"


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A message that the server took.

    Attributes:
        sender: the envelope's sender (``MAIL FROM``).
        recipients: the envelope's recipients that were not refused.
        content: the message as it came, with CRLF line ends.
    """

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        message = BytesParser(policy=policy.default).parsebytes(self.content)
        assert isinstance(message, EmailMessage)
        return message


@dataclass
class SmtpSettings:
    """How the SMTP server behaves; may be changed between two messages.

    Attributes:
        refuse: recipients to refuse: address to the answer, such as ``"550 5.1.1 No such user here"``; ``""`` for
            that one.
        answer: what is said after a message instead of 250, such as ``"451 4.3.0 Try again later"``; the message is
            then not kept. None to take it.
        answer_times: how many messages get that answer before all is well; None for all.
        max_size: the largest message in bytes, announced as SIZE and enforced; None for any.
        drop: cut the connection after the message instead of answering: ``"kept"`` (the message was taken, the client
            cannot know) or ``"lost"`` (it was not); None to answer.
        drop_times: how many messages that happens to before all is well; None for all.
    """

    refuse: dict[str, str] = field(default_factory=dict)
    answer: str | None = None
    answer_times: int | None = None
    max_size: int | None = None
    drop: str | None = None
    drop_times: int | None = None


class SandboxSmtp:
    """An SMTP server (aiosmtpd), from ``with`` to the end of the block. It takes any login, and none.

    Args:
        settings: how it behaves.
        port: 0 for a free one.
        save_dir: where messages are also written, as ``mail-0001.eml`` and so on, beside those of earlier runs; made if
            it is missing.

    Attributes:
        host, port: where it is reached.
        messages: what it took, oldest first.
        settings: how it behaves.
    """

    def __init__(
        self, settings: SmtpSettings | None = None, *, port: int = 0, save_dir: str | Path | None = None
    ) -> None:
        self.settings = settings or SmtpSettings()
        self.host = _LOOPBACK
        self.port = port
        self.messages: list[ReceivedMail] = []
        self._save_dir = None if save_dir is None else Path(save_dir)
        self._number = 0
        self._running = ExitStack()

    def reset(self) -> None:
        """Forget the messages and behave well."""
        self.messages.clear()
        self.settings = SmtpSettings()

    def connection_json(self, **extra: object) -> str:
        """The value of ``AIRFLOW_CONN_SMTP_DEFAULT`` for it.

        Args:
            extra: further entries of the connection's extra.
        """
        return json.dumps(
            {
                "conn_type": "smtp",
                "host": self.host,
                "port": self.port,
                "extra": {
                    "disable_tls": True,
                    "disable_ssl": True,
                    "from_email": "callreport@example.com",
                    **extra,
                },
            }
        )

    def start(self) -> None:
        """Start serving.

        Raises:
            ImportError: aiosmtpd is not installed.
            OSError: the port is taken.
        """
        if self._save_dir is not None:
            self._save_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(quiet("mail.log"))
            door = socket.create_server((self.host, self.port))
            self.port = door.getsockname()[1]
            controller = _make_controller(self, door)
            controller.start()
            stack.callback(controller.stop)
            self._running = stack.pop_all()

    def stop(self) -> None:
        """Stop serving; the messages stay."""
        self._running.close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def keep(self, mail: ReceivedMail) -> None:
        """Take a message."""
        self.messages.append(mail)
        saved = self._save_dir is None
        while not saved:
            self._number += 1
            # A mail of an earlier run stays.
            with suppress(FileExistsError), Path(f"{self._save_dir}/mail-{self._number:04d}.eml").open("xb") as file:
                file.write(mail.content)
                saved = True


class _Handler:
    """What aiosmtpd asks about recipients and messages."""

    def __init__(self, sandbox: SandboxSmtp) -> None:
        self._sandbox = sandbox

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refuse = self._sandbox.settings.refuse
        if address in refuse:
            return refuse[address] or NO_SUCH_USER
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        settings = self._sandbox.settings
        assert isinstance(envelope.content, bytes)
        mail = ReceivedMail(envelope.mail_from or "", tuple(envelope.rcpt_tos), envelope.content)
        if settings.drop is not None and settings.drop_times != 0:
            if settings.drop_times is not None:
                settings.drop_times -= 1
            if settings.drop == "kept":
                self._sandbox.keep(mail)
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "421 4.3.2 Closing"  # nobody hears it
        if settings.answer is not None and settings.answer_times != 0:
            if settings.answer_times is not None:
                settings.answer_times -= 1
            return settings.answer
        self._sandbox.keep(mail)
        return "250 2.0.0 OK: kept"


def _make_controller(sandbox: SandboxSmtp, door: socket.socket) -> Any:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP as SmtpProtocol
    from aiosmtpd.smtp import AuthResult

    class BoundController(Controller):
        """Serves on a socket that is bound already, so that no port is chosen twice."""

        def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
            server: Awaitable[asyncio.AbstractServer] = self.loop.create_server(self._factory_invoker, sock=door)
            return server

        def factory(self) -> Any:
            return SmtpProtocol(
                _Handler(sandbox),
                data_size_limit=sandbox.settings.max_size,
                enable_SMTPUTF8=True,
                hostname="sandbox.example.com",
                authenticator=lambda *credentials: AuthResult(success=True),
                auth_require_tls=False,
            )

    return BoundController(_Handler(sandbox), hostname=sandbox.host, port=sandbox.port)
