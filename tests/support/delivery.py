"""Real servers on loopback for the delivery tests: S3 (moto behind a gate that can misbehave) and SMTP (aiosmtpd)."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import airflow.providers.smtp.hooks.smtp  # noqa: F401 - sets up logging, which would take caplog's handler in a test
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from airflow_provider_callreport.report import (
    ExportedFile,
    Figures,
    ReportInfo,
    ReportOutcome,
    RunIdentity,
    Tally,
)

KOLKATA = ZoneInfo("Asia/Kolkata")
INFO = ReportInfo(
    report="masked_calls",
    title="Masked calls",
    window_start=datetime(2026, 3, 13, tzinfo=KOLKATA),
    window_end=datetime(2026, 3, 14, tzinfo=KOLKATA),
    timezone="Asia/Kolkata",
    filters=("duration at least 10 s",),
    redacted={"Caller Number": "last4"},
)
FIGURES = Figures(
    by_status=(Tally("Answered", 812, 90_000), Tally("Missed", 311), Tally("Busy", 111)),
    by_agent=(Tally("Asha Rao", 500, 50_000), Tally("+91 98765 43210", 400), Tally("<b>Ravi & Co</b>", 334)),
    by_hour=tuple(0 if hour < 8 or hour > 20 else 40 + 17 * (hour % 7) for hour in range(24)),
    talk_seconds=148_020,
    talk_calls=812,
)
OUTCOME = ReportOutcome(
    rows=1234,
    reported_total=1234,
    complete=True,
    note="All 1,234 calls that the API reports are in the file.",
    figures=FIGURES,
)
RUN = RunIdentity("daily", "calls", "scheduled__2026-03-13", began=datetime(2026, 3, 14, 0, 5, tzinfo=KOLKATA))
OTHER_RUN = RunIdentity("daily", "calls", "scheduled__2026-03-14")

_numbers = itertools.count(1)


def exported(
    folder: Path, content: bytes, *, filename: str = "calls.csv", content_type: str = "text/csv; charset=utf-8"
) -> ExportedFile:
    """A finished file with the given bytes."""
    path = folder / f"spool-{next(_numbers)}"
    path.write_bytes(content)
    return ExportedFile(path, filename, content_type, 1234, len(content), hashlib.sha256(content).hexdigest())


WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass
class S3Request:
    """One request as the server saw it; the operation is told by method and query."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass
class S3Gate:
    """Stands in front of moto: serialises requests (moto is not atomic, S3 is), records them, and misbehaves on demand.

    Attributes:
        requests: what came in.
        barrier: when set, the first writes wait here for one another before any of them is done.
        before: called with the request's environment outside of the lock; an answer (status, headers, body) replaces
            moto's.
        after: called with the request and the answer's headers; its result replaces them.
    """

    app: WsgiApp
    requests: list[S3Request] = field(default_factory=list)
    barrier: threading.Barrier | None = None
    before: Callable[[dict[str, Any]], tuple[str, list[tuple[str, str]], bytes] | None] | None = None
    after: Callable[[S3Request, list[tuple[str, str]]], list[tuple[str, str]]] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI."""
        request = S3Request(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            environ.get("QUERY_STRING", ""),
            {k[5:].lower().replace("_", "-"): v for k, v in environ.items() if k.startswith("HTTP_")},
        )
        self.requests.append(request)
        if (barrier := self.barrier) is not None and request.method == "PUT":
            barrier.wait(30)
            self.barrier = None
        if self.before is not None and (answer := self.before(environ)) is not None:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            status, headers, body = answer
            start_response(status, [*headers, ("Content-Length", str(len(body)))])
            return [body]

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, self.after(request, headers) if self.after else headers, exc_info)

        with self.lock:
            return list(self.app(environ, start))

    def count(self, method: str, query: str = "") -> int:
        """How many requests of the kind came in."""
        return sum(r.method == method and query in r.query for r in self.requests)


def s3_error(code: str, status: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """An answer as S3 gives it on errors."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said the server</Message></Error>"
    return status, [("Content-Type", "application/xml")], body.encode()


@contextmanager
def s3_server() -> Iterator[tuple[str, S3Gate]]:
    """Start moto behind a gate on a free port; yields its address and the gate."""
    from moto.moto_server import werkzeug_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    gate = S3Gate(cast(WsgiApp, werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)))
    # Older versions of moto have none of their own.
    handler = getattr(werkzeug_app, "MotoRequestHandler", None)
    server = make_server("127.0.0.1", 0, cast(Any, gate), threaded=True, request_handler=handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", gate
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def aws_connection(endpoint: str, **extra: Any) -> str:
    """An Airflow connection to that server, as the value of ``AIRFLOW_CONN_...``."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": "AKIACANARY",
            "password": "canary-secret-key",
            "extra": {
                "endpoint_url": endpoint,
                "region_name": "us-east-1",
                "config_kwargs": {"connect_timeout": 2, "read_timeout": 30, "retries": {"total_max_attempts": 1}},
                **extra,
            },
        }
    )


def new_bucket(client: Any) -> str:
    """Make a bucket of its own for a test."""
    name = f"reports-{next(_numbers)}"
    client.create_bucket(Bucket=name)
    return name


@dataclass
class Delivered:
    """One mail that the SMTP server took."""

    sender: str
    recipients: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The parsed mail."""
        return message_from_bytes(self.raw, policy=policy.default)

    def body(self, kind: str) -> str:
        """The HTML or the plain text."""
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())

    @property
    def attachments(self) -> list[EmailMessage]:
        """The attached files."""
        return cast(list[EmailMessage], list(self.message.iter_attachments()))


@dataclass
class MailServer:
    """What the SMTP server does and what it saw.

    Attributes:
        refuse: replies to RCPT, by address.
        refuse_sender: reply to MAIL, or "".
        refuse_data: reply to the mail, or "".
        refuse_login: reply to AUTH, or "".
        drop_after_data: close the connection when the whole mail is there, without an answer.
        mails: what it took, or was given when it dropped.
        transactions: how many MAIL commands came.
        connections: how many EHLO commands came.
    """

    port: int = 0
    refuse: dict[str, str] = field(default_factory=dict)
    refuse_sender: str = ""
    refuse_data: str = ""
    refuse_login: str = ""
    drop_after_data: bool = False
    mails: list[Delivered] = field(default_factory=list)
    transactions: int = 0
    connections: int = 0

    def log_in(self) -> AuthResult:
        """Take or refuse any login."""
        return AuthResult(success=not self.refuse_login, handled=False, message=self.refuse_login or None)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Answer one command, as aiosmtpd's hook."""
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        """Answer one command, as aiosmtpd's hook."""
        self.transactions += 1
        if self.refuse_sender:
            return self.refuse_sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        """Answer one command, as aiosmtpd's hook."""
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Answer one command, as aiosmtpd's hook."""
        if self.refuse_data:
            return self.refuse_data
        assert isinstance(envelope.content, bytes)
        self.mails.append(Delivered(str(envelope.mail_from), list(envelope.rcpt_tos), envelope.content))
        if self.drop_after_data:
            assert server.transport is not None
            cast(Any, server.transport).abort()
        return "250 OK"


def certificate_for(host: str, folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@contextmanager
def smtp_server(
    *,
    size_limit: int | None = 33_554_432,
    smtputf8: bool = False,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
) -> Iterator[MailServer]:
    """Start an SMTP server on a free port.

    Args:
        size_limit: what it says in SIZE; None: it does not offer it.
        smtputf8: whether it offers SMTPUTF8.
        tls: what it speaks TLS with from the start.
        starttls: what it speaks TLS with after STARTTLS, which it then wants first.
    """
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    behaviour = MailServer()
    door = socket.create_server(("127.0.0.1", 0))
    behaviour.port = door.getsockname()[1]

    class BoundController(Controller):
        """Serves on a socket that is bound already, so that nobody else takes its port."""

        def _create_server(self) -> Any:
            return self.loop.create_server(self._factory_invoker, sock=door, ssl=self.ssl_context)

    controller = BoundController(
        behaviour,
        hostname="127.0.0.1",
        port=behaviour.port,
        ready_timeout=60,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        data_size_limit=size_limit,
        enable_SMTPUTF8=smtputf8,
        authenticator=lambda *_: behaviour.log_in(),
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield behaviour
    finally:
        controller.stop()


@contextmanager
def scripted_smtp(
    *,
    cut_after: int | None = None,
    answer: bytes | None = None,
    go_on: bytes = b"354 go on\r\n",
    at_once: bytes = b"",
    hang_up: bool = False,
) -> Iterator[int]:
    """A hand-made SMTP server for what aiosmtpd cannot do; yields its port.

    Args:
        cut_after: reset the connection after that many bytes of the mail.
        answer: what to say to the mail; None says nothing and keeps the connection open.
        go_on: what to say to DATA.
        at_once: what to say when the mail begins to come.
        hang_up: whether to close the connection after the answer to the mail.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def talk() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 scripted\r\n")
            for line in lines:
                if not line.upper().startswith(b"DATA"):
                    connection.sendall(b"250 OK\r\n")
                    continue
                connection.sendall(go_on)
                got = 0
                for content in lines:
                    if not got:
                        connection.sendall(at_once)
                    got += len(content)
                    if cut_after is not None and got > cut_after:
                        # Unread data makes close() a reset.
                        return
                    if content == b".\r\n":
                        break
                if answer is None:
                    over.wait(20)
                    return
                connection.sendall(answer)
                if hang_up:
                    return

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.close()
        thread.join(10)


def smtp_connection(
    port: int, *, host: str = "127.0.0.1", login: str | None = None, password: str | None = None, **extra: Any
) -> str:
    """An Airflow connection to that server, as the value of ``AIRFLOW_CONN_...``."""
    settings: dict[str, Any] = {"disable_ssl": True, "disable_tls": True, "timeout": 5, "retry_limit": 0}
    settings["from_email"] = "Call reports <reports@example.com>"
    who = {"login": login, "password": password}
    return json.dumps({"conn_type": "smtp", "host": host, "port": port, **who, "extra": {**settings, **extra}})


class MemoryRecord:
    """A send record that lives as long as the test; ``broken`` lets the store fail on that state."""

    def __init__(self, value: Mapping[str, Any] | None = None) -> None:
        self.value = value
        self.history: list[str] = []
        self.broken: str | None = None
        self.clears = 0

    def get(self) -> Mapping[str, Any] | None:
        """The value."""
        return self.value

    def set(self, value: Mapping[str, Any]) -> None:
        """Store through JSON, as Airflow does."""
        before = (self.value or {}).get("mails", {})
        (state,) = {mail["state"] for key, mail in value["mails"].items() if mail != before.get(key)}
        if self.broken == state:
            raise RuntimeError("the store is down")
        self.value = json.loads(json.dumps(value))
        self.history.append(state)
