"""What goes wrong below HTTP: each cause has its own sentence, and what is no fault of anybody is none (network-faults,
safe-transport).
"""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.api import ScriptedServer, client_settings, json_answer
from support.network import (
    SocketServer,
    connect_proxy,
    full_listener,
    http_answer,
    make_certificate,
    read_request,
    server_tls,
    socks_proxy,
)

from airflow_provider_callreport.api import transport
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.download import FileDownloader
from airflow_provider_callreport.api.errors import (
    AnswerError,
    CallReportError,
    MaybeAcceptedError,
    RequestRejectedError,
    ServiceError,
    SettingsError,
    TransportError,
)

SEVEN = json_answer({"cnt": 7})
SEVEN_BODY = b'{"cnt": 7}'


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def count(url: str, **settings: Any) -> int:
    with CallReportClient(client_settings(url, **settings)) as client:
        return client.count({"filter": {}})


def failure(url: str, **settings: Any) -> CallReportError:
    """The error of a count; nothing of the request is in it, by whatever way one looks."""
    with pytest.raises(CallReportError) as caught:
        count(url, **settings)
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "sandbox-token" not in repr(seen) + str(vars(seen))
        seen = seen.__cause__ or seen.__context__
    return caught.value


# TLS


@pytest.mark.parametrize(
    ("names", "days", "sentence"),
    [
        (("127.0.0.1",), (-9, -2), "certificate has expired; its administrator must renew it"),
        (("127.0.0.1",), (2, 9), "certificate is not valid yet; set the clock of this worker"),
        (("another.example",), (-1, 1), "certificate belongs to another host; check Host"),
        (("10.0.0.1",), (-1, 1), "certificate belongs to another host; check Host"),
    ],
)
def test_a_certificate_is_refused_for_a_reason(
    tmp_path: Path, names: tuple[str, ...], days: tuple[int, int], sentence: str
) -> None:
    """Expired, too early, of another host: three causes, three things to do."""
    certificate = make_certificate(tmp_path / "server.pem", *names, days=days)
    with ScriptedServer(SEVEN, tls=server_tls(certificate)) as server:
        error = failure(server.url, verify=str(certificate))
        assert sentence in str(error)
        assert (type(error), error.retryable) == (TransportError, False)
        assert not server.seen


def test_a_certificate_that_nobody_signed(tmp_path: Path) -> None:
    """A company's own authority: the sentence names the field that takes it."""
    certificate = make_certificate(tmp_path / "server.pem", "127.0.0.1")
    with ScriptedServer(SEVEN, tls=server_tls(certificate)) as server:
        error = failure(server.url)
        assert "signed by nobody whom this worker trusts; set the extra field verify" in str(error)
        assert not error.retryable


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_server_whose_tls_is_too_old(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """No retry makes it younger."""
    certificate = make_certificate(tmp_path / "server.pem", "127.0.0.1")
    with ScriptedServer(SEVEN, tls=server_tls(certificate, version)) as server:
        error = failure(server.url, verify=str(certificate))
        assert "too old to be safe; its administrator must turn on TLS 1.2 or later" in str(error)
        assert not error.retryable


def test_a_server_without_tls() -> None:
    """A plain server behind https may be one that is being mended, so it is asked again."""
    with SocketServer(lambda peer, _: peer.sendall(http_answer(b"", "400 Bad Request"))) as server:
        error = failure(server.url.replace("http:", "https:"))
        assert "does not speak TLS at this address; check Host and its port" in str(error)
        assert error.retryable


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", None])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "this worker has no such file"), ("no certificate", "cannot be read as certificates in PEM form")],
)
def test_a_ca_bundle_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, content: str | None, sentence: str
) -> None:
    """The environment's, and the connection's: said before anything is sent."""
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    if variable is not None:
        monkeypatch.setenv(variable, str(bundle))
    error = failure("https://127.0.0.1:9", verify=str(bundle) if variable is None else True)
    assert isinstance(error, SettingsError)
    assert sentence in str(error)
    assert str(bundle) in str(error)
    assert ("verify" if variable is None else variable) in str(error)


# Proxies


@pytest.mark.parametrize(
    ("status", "sentence", "retryable"),
    [
        ("407 Proxy Authentication Required", "wants a user name and a password (HTTP 407)", False),
        ("403 Forbidden", "lets no request to this host through (HTTP 403)", False),
        ("502 Bad Gateway", "made no connection (HTTP 502)", True),
        ("504 Gateway Timeout", "made no connection (HTTP 504)", True),
    ],
)
def test_a_proxy_that_makes_no_tunnel(
    monkeypatch: pytest.MonkeyPatch, status: str, sentence: str, retryable: bool
) -> None:
    """The sentence names the proxy, its status and what to do."""
    with connect_proxy(0, status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failure("https://api.example")
        assert f"the proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) {sentence}" in str(error)
        assert (type(error), error.retryable) == (TransportError, retryable)


def test_a_proxy_of_plain_http_that_wants_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its 407 is not taken for the API's answer."""
    with ScriptedServer(json_answer({"code": 1014}, 407)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        error = failure("http://api.example")
        assert "wants a user name and a password (HTTP 407)" in str(error)
        assert not error.retryable


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not "the connection was refused", which would send people to the API's host."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    error = failure("https://api.example")
    assert "the proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) cannot be used" in str(error)
    assert "the connection was refused" in str(error)
    assert error.retryable


def test_a_proxy_lets_tls_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tunnel carries the request, and the certificate is the host's."""
    certificate = make_certificate(tmp_path / "server.pem", "api.example")
    with (
        ScriptedServer(SEVEN, tls=server_tls(certificate)) as server,
        connect_proxy(int(server.url.rpartition(":")[2])) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert count("https://api.example", verify=str(certificate)) == 7
        assert len(server.seen) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("login", [None, ("asha", "p@ss word")])
def test_a_socks_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, login: tuple[str, str] | None
) -> None:
    """The proxy resolves the name (socks5h), and the request is bounded and judged like any other."""
    certificate = make_certificate(tmp_path / "server.pem", "api.example")
    tls = server_tls(certificate) if scheme == "https" else None
    with ScriptedServer(SEVEN, tls=tls) as server:
        with socks_proxy(int(server.url.rpartition(":")[2]), login=login) as proxy:
            user = "asha:p%40ss%20word@" if login else ""
            monkeypatch.setenv("ALL_PROXY", f"socks5h://{user}127.0.0.1:{proxy.port}")
            with CallReportClient(client_settings(f"{scheme}://api.example", verify=str(certificate))) as client:
                assert [client.count({"filter": {}}) for _ in range(3)] == [7, 7, 7]
            assert proxy.connections == 1, "the connection is kept"
        assert len(server.seen) == 3


def test_a_socks_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is named."""
    with socks_proxy(0, refuse=2) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        assert "the proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) cannot be used" in str(
            failure("https://api.example")
        )


def test_a_socks_proxy_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, before anything is sent: what to install."""
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.setattr(transport, "find_spec", lambda name: None)
    error = failure("https://api.example")
    assert isinstance(error, SettingsError)
    assert "install airflow-provider-callreport[socks]" in str(error)


def test_a_proxy_of_a_kind_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The allowed kinds are named."""
    monkeypatch.setenv("ALL_PROXY", "sock5://127.0.0.1:9")
    error = failure("https://api.example")
    assert isinstance(error, SettingsError)
    assert "begins with sock5://; allowed are http, https, socks5, socks5h, socks4, socks4a" in str(error)


# Idle connections that the server closed


def stale_server(farewell: bytes) -> SocketServer:
    """Answers one request a connection; to the next one it says farewell, or closes without a word."""

    def serve(peer: socket.socket, number: int) -> None:
        assert read_request(peer)
        peer.sendall(http_answer(SEVEN_BODY))
        if read_request(peer) and farewell:
            peer.sendall(farewell)

    return SocketServer(serve)


@pytest.mark.parametrize(
    "farewell",
    [
        b"",
        http_answer(b"", "408 Request Timeout", "Connection: close"),
        http_answer(b"<html>408</html>", "408 Request Time-out", "Content-Type: text/html"),
        http_answer(b"<html>Bad Request</html>", "400 Bad Request", "Connection: close", "Content-Type: text/html"),
    ],
    ids=["closed", "408", "408 without close", "400"],
)
def test_an_idle_connection_that_the_server_gave_up_is_no_error_and_no_wait(farewell: bytes) -> None:
    """Servers close what was idle, and the request that comes just then is sent again at once, on a new connection."""
    with stale_server(farewell) as server, CallReportClient(client_settings(server.url)) as client:
        began = time.monotonic()
        assert [client.count({"filter": {}}) for _ in range(5)] == [7] * 5, "with max_retry_time=0"
        assert time.monotonic() - began < 2
        assert server.connections == 5


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http_answer(b"", "408 Request Timeout", "Connection: close"), ServiceError),
        (http_answer(b"", "400 Bad Request", "Connection: close"), RequestRejectedError),
        (b"", TransportError),
    ],
)
def test_a_new_connection_is_not_taken_for_an_idle_one(answer: bytes, kind: type[Exception]) -> None:
    """What a fresh connection brings is the answer: one request, one error."""

    def serve(peer: socket.socket, number: int) -> None:
        assert read_request(peer)
        peer.sendall(answer)

    with SocketServer(serve) as server:
        assert type(failure(server.url)) is kind
        assert server.connections == 1


def test_a_refusal_of_the_request_is_asked_for_once() -> None:
    """error-kinds: 400 with the vendor's JSON is about the request, also on a connection that was used before."""
    refusal = http_answer(
        b'{"code": 1047, "message": "wrong"}', "400 Bad Request", "Content-Type: application/json", "Connection: close"
    )
    with stale_server(refusal) as server, CallReportClient(client_settings(server.url)) as client:
        assert client.count({"filter": {}}) == 7
        with pytest.raises(RequestRejectedError, match="1047"):
            client.count({"filter": {}})
        assert server.connections == 1


def test_a_request_that_changes_something_is_not_sent_again(tmp_path: Path) -> None:
    """network-faults: nobody can tell whether it was accepted before the connection closed."""
    with stale_server(b"") as server, CallReportClient(client_settings(server.url, max_retry_time=5)) as client:
        assert client.count({"filter": {}}) == 7
        with pytest.raises(MaybeAcceptedError):
            client.save("exportCsv", {}, tmp_path / "answer", max_bytes=1000, changes_state=True)
        assert server.connections == 1


# What is packed


def test_a_body_that_is_plain_under_a_gzip_header() -> None:
    """A proxy in between may have unpacked it: the sentence says so."""
    with ScriptedServer((200, {"Content-Encoding": "gzip"}, SEVEN_BODY)) as server:
        assert "its body is not packed that way; a proxy between this worker" in str(failure(server.url))


@pytest.mark.parametrize("cut", [1, 4, 8, 9])
def test_a_gzip_stream_without_its_end(tmp_path: Path, cut: int) -> None:
    """Also where all of its data came: nobody knows whether more was to follow. In a download and in an answer."""
    packed = gzip.compress(b"a,b\r\n1,2\r\n" * 100)
    body = (200, {"Content-Encoding": "gzip", "Content-Type": "text/csv"}, packed[:-cut])
    with (
        ScriptedServer(body) as server,
        CallReportClient(client_settings(server.url)) as client,
        pytest.raises(AnswerError, match="without its end"),
    ):
        client.save("exportCsv", {}, tmp_path / "file", max_bytes=10**6, changes_state=False)
    whole = (200, {"Content-Encoding": "gzip", "Content-Type": "text/csv"}, packed)
    with ScriptedServer(whole) as server, CallReportClient(client_settings(server.url)) as client:
        saved = client.save("exportCsv", {}, tmp_path / "file", max_bytes=10**6, changes_state=False)
        assert saved.body.size == 1000
    packed = gzip.compress(SEVEN_BODY)
    with ScriptedServer((200, {"Content-Encoding": "gzip"}, packed[:-cut])) as server:
        assert "without its end" in str(failure(server.url))


# JSON that is whole, and strange


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"cnt": NaN}', "JSON with NaN in it, which JSON does not have"),
        (b'{"cnt": 7, "x": -Infinity}', "JSON with -Infinity in it, which JSON does not have"),
        ('{"cnt": 7, "x": "Müller"}'.encode("latin-1"), "JSON that is not in UTF-8"),
        (b'{"cnt": 7}\n<br />Warning: mysql_close()', "JSON with something behind its end"),
        (b'{"cnt": 7}{"cnt": 7}', "JSON with something behind its end"),
        (b'{"cnt": 7', "JSON that is cut off or broken"),
        (b'{"cnt": 7, "x": "M\xfc', "JSON that is cut off or broken"),
        (b'Warning: mysql_close()\n{"cnt": 7}', "something that is not JSON"),
        (b"<html>wait</html>", "an HTML page instead of JSON"),
    ],
)
def test_a_body_that_is_no_json_is_named(body: bytes, sentence: str) -> None:
    """whole-or-red: whole and strange is another fault than cut off, and somebody else's to mend."""
    with ScriptedServer((200, {}, body)) as server:
        error = failure(server.url)
        assert type(error) is AnswerError
        assert f"reportCount answered HTTP 200 with {sentence}" in str(error)


# A client that is closed while requests are under way


def answering(*pieces: bytes) -> Callable[[socket.socket, int], None]:
    """Reads a request, sends this much of an answer, and then waits."""

    def serve(peer: socket.socket, number: int) -> None:
        read_request(peer)
        for piece in pieces:
            peer.sendall(piece)
        peer.recv(1)
        time.sleep(60)

    return serve


def silent(peer: socket.socket, number: int) -> None:
    time.sleep(60)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where to ask, and with what settings, so that a request stays where its name says."""
    with ExitStack() as stack:

        def server(serve: Callable[[socket.socket, int], None]) -> str:
            return stack.enter_context(SocketServer(serve)).url

        match request.param:
            case "connecting":
                yield f"http://127.0.0.1:{stack.enter_context(full_listener())}", {}
            case "TLS handshake":
                yield server(silent).replace("http:", "https:"), {}
            case "before the head":
                yield server(answering()), {}
            case "in the head":
                yield server(answering(b"HTTP/1.1 200 OK\r\nContent-Le")), {}
            case "in the body":
                yield server(answering(http_answer(b"x" * 100)[:-50])), {}
            case "between two tries":
                busy = stack.enter_context(ScriptedServer(json_answer({}, 503, Retry_After="60")))
                yield busy.url, {"max_retry_time": 600}
            case "waiting for its turn":
                paced = stack.enter_context(ScriptedServer(SEVEN))
                yield paced.url, {"requests_per_second": 0.001}


@pytest.mark.parametrize(
    "place",
    [
        "connecting",
        "TLS handshake",
        "before the head",
        "in the head",
        "in the body",
        "between two tries",
        "waiting for its turn",
    ],
    indirect=True,
)
def test_closing_the_client_ends_every_thread_within_a_second(place: tuple[str, dict[str, Any]]) -> None:
    """After ``execution_timeout`` nothing of the task goes on, wherever its threads are."""
    url, settings = place
    client = CallReportClient(client_settings(url, timeout=60, deadline=60, **settings))
    errors: list[Exception] = []

    def ask() -> None:
        try:
            for _ in range(2):
                client.count({"filter": {}})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert all(thread.is_alive() for thread in threads)
    began = time.monotonic()
    client.close()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - began < 1
    assert [(type(error), error.retryable) for error in errors if isinstance(error, CallReportError)] == [
        (TransportError, False)
    ] * 3
    assert {str(error).rpartition(": ")[2] for error in errors} == {"the client was closed"}


def test_a_closed_client_stays_closed() -> None:
    """It says so, and asks nothing."""
    with ScriptedServer(SEVEN) as server:
        with CallReportClient(client_settings(server.url)) as client:
            assert client.count({"filter": {}}) == 7
        with pytest.raises(TransportError, match="the client was closed"):
            client.count({"filter": {}})
        assert len(server.seen) == 1


def test_closing_a_downloader_ends_its_downloads(tmp_path: Path) -> None:
    """Recordings are copied by several threads."""
    with (
        SocketServer(
            answering(http_answer(b"ID3" + bytes(1000), "200 OK", "Content-Type: audio/mpeg")[:-50])
        ) as server,
        CallReportClient(client_settings(server.url, timeout=60)) as client,
    ):
        downloader = FileDownloader(client, max_bytes=10**6)
        errors: list[Exception] = []

        def fetch() -> None:
            try:
                downloader.fetch(f"{server.url}/a.mp3", tmp_path / "a.mp3", kind="mp3", what="a recording")
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=fetch, daemon=True)
        thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        downloader.close()
        thread.join(5)
        assert time.monotonic() - began < 1
        assert "the client was closed" in str(errors)


@pytest.mark.slow
def test_waiting_for_its_turn_does_not_count_against_the_deadline() -> None:
    """request-pace: a slow pace is the account's wish; the deadline bounds the server."""
    with (
        ScriptedServer(SEVEN) as server,
        CallReportClient(client_settings(server.url, requests_per_second=0.5, deadline=1.0)) as client,
    ):
        assert [client.count({"filter": {}}) for _ in range(2)] == [7, 7]
