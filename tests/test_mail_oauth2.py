"""OAuth2 at the mail server, against a server that speaks XOAUTH2 and a page that gives out tokens."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.delivery import INFO, OUTCOME, RUN, certificate_for, exported

from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import DestinationRefusedError
from airflow_provider_callreport.delivery.receipts import EmailReceipt

TOKEN = "canary-token-" + "x" * 900
WRONG = base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}').decode()


@dataclass
class OAuthServer:
    """A mail server that takes XOAUTH2 and nothing else, and no command before EHLO.

    Attributes:
        tokens: tokens that it takes.
        offers: what it says of AUTH to EHLO.
        refusal: what it says to another token, after the challenge.
        logins: who logged in, with the bytes of the line.
        mails: the mails that it took.
    """

    port: int = 0
    tokens: tuple[str, ...] = (TOKEN,)
    offers: str = "LOGIN XOAUTH2"
    refusal: str = "535 5.7.3 Authentication unsuccessful [X.PROD.OUTLOOK.COM]"
    logins: list[bytes] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)

    def talk(self, connection: socket.socket) -> None:
        """Serve one connection."""
        with connection, connection.makefile("rb") as lines:
            state = {"greeted": False, "in": False}

            def say(text: str) -> None:
                connection.sendall(f"{text}\r\n".encode())

            say("220 oauth")
            for line in lines:
                command = line.strip().upper()
                if command.startswith(b"EHLO"):
                    state["greeted"] = True
                    say(f"250-oauth\r\n250-AUTH {self.offers}\r\n250 SIZE 30000000")
                elif command.startswith(b"AUTH"):
                    say(self.log_in(line, state, lines, say))
                elif command.startswith(b"MAIL") and not state["in"]:
                    say("530 5.7.57 Client not authenticated to send mail")
                elif command.startswith(b"DATA"):
                    say("354 go on")
                    self.mails.append(b"".join(iter(lines.__next__, b".\r\n")))
                    say("250 2.0.0 taken")
                else:
                    say("221 bye" if command == b"QUIT" else "250 OK")

    def log_in(self, line: bytes, state: dict[str, bool], lines: Any, say: Callable[[str], None]) -> str:
        """The answer to AUTH."""
        if not state["greeted"]:
            return "503 5.5.1 Send EHLO first"
        kind, mechanism, initial = line.split()
        self.logins.append(base64.b64decode(initial))
        right = [f"user=reports@example.com\x01auth=Bearer {token}\x01\x01".encode() for token in self.tokens]
        if (kind.upper(), mechanism.upper()) == (b"AUTH", b"XOAUTH2") and self.logins[-1] in right:
            state["in"] = True
            return "235 2.7.0 Authentication successful"
        say(f"334 {WRONG}")
        answer = next(lines)
        return self.refusal if answer == b"\r\n" else "501 5.5.2 An empty line was expected"


@contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free port, one connection after another."""
    door = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            try:
                talk(connection)
            except (OSError, StopIteration):
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield door.getsockname()[1]
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(10)


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    started = OAuthServer()
    with serving(started.talk) as port:
        started.port = port
        yield started


Connect = Callable[..., None]


@pytest.fixture
def connect(server: OAuthServer, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Set the fields of the SMTP connection."""

    def set_connection(**extra: Any) -> None:
        fields = {"disable_ssl": True, "disable_tls": True, "timeout": 5, "from_email": "reports@example.com"}
        connection = {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": server.port,
            "extra": {**fields, "auth_type": "oauth2", **extra},
        }
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))

    return set_connection


def send(tmp_path: Path) -> EmailReceipt:
    """One mail to one person."""
    file = exported(tmp_path, b"a,b\r\n")
    return EmailDestination(to="a@example.com").deliver([file], info=INFO, outcome=OUTCOME, run=RUN)


def check() -> None:
    """What the operator does before it reads a report."""
    EmailDestination(to="a@example.com").check_before_reading(".csv")


def refused() -> str:
    """The sentence of a check that fails."""
    with pytest.raises(DestinationRefusedError) as caught:
        check()
    assert caught.value.retryable is False
    assert "canary" not in str(caught.value)
    return str(caught.value)


def test_an_access_token_logs_in_and_sends(server: OAuthServer, connect: Connect, tmp_path: Path) -> None:
    """servers-word: auth_type=oauth2 with a token sends the mail, with the line that Microsoft and Google define."""
    connect(access_token=TOKEN)
    check()
    assert send(tmp_path).emailed_to == ("a@example.com",)
    assert server.logins == [f"user=reports@example.com\x01auth=Bearer {TOKEN}\x01\x01".encode()] * 2
    assert len(server.mails) == 1


def test_a_refused_token_is_one_sentence_before_the_report_is_read(server: OAuthServer, connect: Connect) -> None:
    """servers-word: the challenge gets its empty answer, and the server's sentence is shown."""
    connect(access_token="canary-wrong")
    assert refused() == (
        'The mail server refused the login of SMTP connection "smtp_default"; no mail was sent. It said: '
        "535 5.7.3 Authentication unsuccessful [X.PROD.OUTLOOK.COM]. Check the connection's token, and that the app "
        "may send as this mailbox."
    )


def test_what_is_missing_is_named(server: OAuthServer, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """servers-word: no token and no client, an unknown kind of login, a server without XOAUTH2, no msal, one by one."""
    connect()
    assert "it has no access_token, nor client_id and client_secret; set them" in refused()
    connect(auth_type="oauth")
    assert "auth_type of SMTP connection \"smtp_default\" is 'oauth'; allowed are basic and oauth2." in refused()
    connect(access_token=TOKEN)
    server.offers = "LOGIN PLAIN"
    assert 'offers no XOAUTH2, which auth_type "oauth2" needs; it offers LOGIN, PLAIN.' in refused()
    connect(client_id="app", client_secret="canary-secret")
    monkeypatch.setitem(sys.modules, "msal", None)
    assert "that needs the library msal; install airflow-provider-callreport[oauth2]." in refused()


# --- Microsoft's page


class Login(BaseHTTPRequestHandler):
    """login.microsoftonline.com as far as it matters here: it describes itself, and gives tokens to one client."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Describe the tenant."""
        tenant = self.path.split("/")[1]
        base = f"https://login.microsoftonline.com/{tenant}"
        if tenant == "nowhere":
            self.answer(400, {"error": "invalid_tenant", "error_description": "AADSTS90002: Tenant not found."})
            return
        endpoints = {name: f"{base}/oauth2/v2.0/{name}" for name in ("authorization", "token", "device_authorization")}
        self.answer(
            200,
            {
                "tenant_discovery_endpoint": f"{base}/v2.0/.well-known/openid-configuration",
                "issuer": f"{base}/v2.0",
                **{f"{name}_endpoint": url for name, url in endpoints.items()},
                "metadata": [],
            },
        )

    def do_POST(self) -> None:
        """Give a token."""
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "client_secret=canary-secret" in form and "scope=https%3A%2F%2Foutlook.office.com%2F.default" in form:
            self.answer(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN})
        else:
            said = "AADSTS7000215: Invalid client secret provided: canary-wrong.\r\nTrace ID: 1 Timestamp: 2"
            self.answer(401, {"error": "invalid_client", "error_description": said})

    def answer(self, status: int, value: Any) -> None:
        """Answer in JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def microsoft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Microsoft's page behind a proxy, with a certificate that the test's own authority signed."""
    certificate, key = certificate_for("login.microsoftonline.com", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def tunnel(connection: socket.socket) -> None:
        """Answer CONNECT, and then be the page itself."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert head.startswith(b"CONNECT login.microsoftonline.com:443 ")
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as encrypted:
            Login(encrypted, ("127.0.0.1", 0), page)

    page = HTTPServer(("127.0.0.1", 0), Login, bind_and_activate=False)
    with serving_side_by_side(tunnel) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield
    page.server_close()


@contextmanager
def serving_side_by_side(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free port, with a thread for each connection."""

    def start(connection: socket.socket) -> None:
        def run() -> None:
            try:
                talk(connection)
            except OSError:
                connection.close()

        threading.Thread(target=run, daemon=True).start()

    with serving(start) as port:
        yield port


@pytest.mark.usefixtures("microsoft")
def test_client_id_and_secret_get_a_token_of_microsoft(server: OAuthServer, connect: Connect, tmp_path: Path) -> None:
    """servers-word: a Microsoft 365 app sends without a password: msal asks for the token, the server takes it."""
    connect(client_id="app", client_secret="canary-secret", tenant_id="contoso.example")
    assert send(tmp_path).emailed_to == ("a@example.com",)
    assert len(server.mails) == 1


@pytest.mark.usefixtures("microsoft")
def test_a_token_that_microsoft_refuses_is_one_sentence(server: OAuthServer, connect: Connect) -> None:
    """servers-word: Microsoft's own sentence, without the secret, before the report is read."""
    connect(client_id="app", client_secret="canary-wrong", tenant_id="contoso.example")
    assert refused() == (
        'Microsoft gives no token for SMTP connection "smtp_default"; check its client_id, client_secret and '
        "tenant_id. It said: AADSTS7000215: Invalid client secret provided: ***. Trace ID: 1 Timestamp: 2"
    )
    connect(client_id="app", client_secret="canary-secret", tenant_id="nowhere")
    assert refused() == (
        'Microsoft gives no token for SMTP connection "smtp_default"; check its tenant_id. msal said: Unable to get '
        "authority configuration for https://login.microsoftonline.com/nowhere."
    )
    assert server.logins == []


def test_microsoft_that_cannot_be_reached_is_for_later(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """servers-word: the check warns and lets the report be read; the mail itself is then tried again by Airflow."""
    from airflow_provider_callreport.delivery.errors import DestinationUnavailableError

    connect(client_id="app", client_secret="canary-secret", tenant_id="contoso.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    check()
    assert "Microsoft's login page could not be reached" in caplog.text
    with pytest.raises(DestinationUnavailableError):
        send(tmp_path)
