"""One table of answers, two clients: both judge each alike.

An answer is asked for with ``reportCount`` over a real socket: by the worker's client and by the triggerer's. Nothing
is tried again. What comes of it, a number or an error with all that it carries, must be the same; what it must be is in
the table.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.api import ScriptedServer, behave, client_settings, json_answer, sandbox

from airflow_provider_callreport.api.async_client import MAX_BYTES, AsyncCallReportClient
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    CODE_TABLE,
    AnswerError,
    AnswerTooLargeError,
    ApiError,
    AuthenticationError,
    CallReportError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    RequestRejectedError,
    ServiceError,
    SettingsError,
    TimeoutExceededError,
    TransportError,
)
from airflow_provider_callreport.api.settings import ClientSettings, Credentials
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer

CREDENTIALS = Credentials("user", "canary-token")
SEVEN = b'{"cnt": 7}'


@dataclass(frozen=True)
class Judged:
    """What a client makes of an answer.

    Attributes:
        number: the count, or None.
        kind: the class of the error, or None.
        retryable: whether it may pass.
        code, http_status, retry_after, vendor_message: what an `ApiError` carries.
    """

    number: int | None = None
    kind: type[Exception] | None = None
    retryable: bool = False
    code: int | None = None
    http_status: int | None = None
    retry_after: float | None = None
    vendor_message: str | None = None


def by_worker(settings: ClientSettings) -> int:
    with CallReportClient(settings) as client:
        return client.count({"filter": {}})


def by_triggerer(settings: ClientSettings) -> int:
    async def count() -> int:
        async with AsyncCallReportClient(settings) as client:
            return await client.count({"filter": {}})

    return asyncio.run(count())


def judge(count: Any, settings: ClientSettings) -> Judged:
    """What one client makes of what the settings lead to; its error tells no secret, by whatever way one looks."""
    try:
        return Judged(count(settings))
    except CallReportError as error:
        seen: BaseException | None = error
        while seen is not None:
            assert "canary-token" not in repr(seen) + str(vars(seen))
            seen = seen.__cause__ or seen.__context__
        carried = {
            name: getattr(error, name, None) for name in ("code", "http_status", "retry_after", "vendor_message")
        }
        return Judged(None, type(error), error.retryable, **carried)


def alike(url: str, **settings: Any) -> Judged:
    """What both clients make of it; the test ends here if they differ."""
    asked = client_settings(url, credentials=CREDENTIALS, **settings)
    worker, triggerer = judge(by_worker, asked), judge(by_triggerer, asked)
    assert triggerer == worker
    return worker


def answer(status: int, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """An answer in bytes; ``Content_Type="text/html"`` is the header ``Content-Type``."""
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


def packed(encoding: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    return answer(200, body, Content_Encoding=encoding)


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


NUMBERS: dict[str, Any] = {
    "plain": json_answer({"cnt": 7}),
    "numeral": json_answer("7"),
    "labelled as text": answer(200, SEVEN, Content_Type="text/html"),
    "BOM": answer(200, b"\xef\xbb\xbf" + SEVEN),
    "code 200": json_answer({"code": 200, "cnt": 7}),
    "code 0 as text": json_answer({"code": "0", "status": "success", "cnt": "7"}),
    "gzip": packed("gzip", gzip.compress(SEVEN)),
    "x-gzip": packed("x-gzip", gzip.compress(SEVEN)),
    "gzip in upper case": packed("GZIP", gzip.compress(SEVEN)),
    "gzip in members": packed("gzip", gzip.compress(SEVEN[:4]) + gzip.compress(SEVEN[4:])),
    "gzip and then something": packed("gzip", gzip.compress(SEVEN) + b"something"),
    "gzip of nothing and then more": packed("gzip", gzip.compress(b"") + gzip.compress(SEVEN)),
    "deflate": packed("deflate", zlib.compress(SEVEN)),
    "bare deflate": packed("deflate", bare_deflate(SEVEN)),
    "identity": packed("identity", SEVEN),
}

#: Answer -> the class of the error.
ERRORS: dict[str, tuple[Any, type[Exception]]] = {
    **{
        f"HTTP {status}": (answer(status, b"<html>", Content_Type="text/html"), kind)
        for status, kind in {
            400: RequestRejectedError,
            401: AuthenticationError,
            403: PermissionDeniedError,
            404: RequestRejectedError,
            408: ServiceError,
            413: RequestRejectedError,
            425: ServiceError,
            429: RateLimitedError,
            500: ServiceError,
            502: ServiceError,
            503: ServiceError,
            504: ServiceError,
        }.items()
    },
    **{
        f"code {code} with HTTP {status}": (
            json_answer({"status": "error", "code": code, "message": "m"}, status),
            kind,
        )
        for code, kind in CODE_TABLE.items()
        for status in (200, 400)
    },
    "code as text": (json_answer({"code": "1014", "message": "m"}), AuthenticationError),
    "unknown code": (json_answer({"code": 1523, "message": "m"}), ApiError),
    "unknown code with 500": (json_answer({"code": 1523}, 500), ServiceError),
    "429 and a code": (json_answer({"code": 1014}, 429), RateLimitedError),
    "status error": (json_answer({"status": "error", "cnt": 7}), ApiError),
    "an error that repeats the token": (
        json_answer({"error": "canary-token is wrong, 919876501234"}, 401),
        AuthenticationError,
    ),
    **{
        f"Retry-After {after}": (json_answer({}, 429, Retry_After=after), RateLimitedError)
        for after in ("3", "0.5", "-1", "soon", "Thu, 01 Jan 1970 00:00:00 GMT")
    },
    "empty": (answer(200, b""), AnswerError),
    "HTML": (answer(200, b"<html>maintenance</html>"), AnswerError),
    "cut": (answer(200, b'{"cnt": '), AnswerError),
    "NaN": (answer(200, b'{"cnt": NaN}'), AnswerError),
    "no number": (json_answer({"done": True}), AnswerError),
    "nested deeply": (answer(200, b"[" * 200_000), AnswerError),
    "gzip without its end": (packed("gzip", gzip.compress(SEVEN)[:-8]), AnswerError),
    "gzip with a wrong end": (packed("gzip", gzip.compress(SEVEN)[:-8] + b"12345678"), TransportError),
    "deflate without its end": (packed("deflate", zlib.compress(SEVEN)[:-2]), AnswerError),
    "more pieces of gzip than anybody makes": (packed("gzip", gzip.compress(b"") * 2000), AnswerError),
    **{f"HTTP {status} with a number": (answer(status, SEVEN), AnswerError) for status in (201, 202, 203, 206, 226)},
    "HTTP 204": (answer(204, b""), AnswerError),
    "gzip that is cut": (packed("gzip", gzip.compress(SEVEN)[:-12]), AnswerError),
    "gzip of nothing": (packed("gzip", gzip.compress(b"")), AnswerError),
    "gzip that is none": (packed("gzip", SEVEN), TransportError),
    "deflate that is none": (packed("deflate", b"\xff" + SEVEN), TransportError),
    "br": (packed("br", SEVEN), AnswerError),
    "gzip, gzip": (packed("gzip, gzip", gzip.compress(gzip.compress(SEVEN))), AnswerError),
    "302": (answer(302, b"", Location="http://127.0.0.1:1/"), RedirectError),
    "307 without a place": (answer(307, b""), RedirectError),
    "304": (answer(304, b""), RedirectError),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_both_read_the_number(name: str) -> None:
    """error-kinds, bounded-answers: an answer with a number, however it is packed and labelled."""
    with ScriptedServer(NUMBERS[name]) as server:
        assert alike(server.url) == Judged(7)
        assert [seen.path for seen in server.seen] == ["/reportCount"] * 2
        assert server.seen[0].body == server.seen[1].body


@pytest.mark.parametrize("name", ERRORS)
def test_both_raise_the_same(name: str) -> None:
    """error-kinds, retry-wait, bounded-answers, safe-transport: the same class, code, status, message and wait; an
    error is never a number.
    """
    script, kind = ERRORS[name]
    with ScriptedServer(script) as server:
        assert alike(server.url).kind is kind
        assert len(server.seen) == 2


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    with sandbox(proxy=True) as one:
        yield one


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("reset_before_headers", TransportError),
        ("reset_after_headers", TransportError),
        ("reset_mid_body", TransportError),
        ("truncated_body", TransportError),
        ("truncated_chunk", TransportError),
        ("garbage", TransportError),
        ("reset_on_connect", TransportError),
    ],
)
def test_both_notice_what_breaks_on_the_wire(vendor: SandboxServer, fault: str, kind: type[Exception]) -> None:
    """network-faults: a broken connection is an error that is tried again."""
    url = f"{vendor.url}/api/v2/CallReport"
    behave(vendor, [Fault(fault, times=None)])
    judged = alike(url)
    assert (judged.kind, judged.retryable) == (kind, True)


def test_nobody_listens() -> None:
    """network-faults: a refused connection and a name that does not exist."""
    assert alike("http://127.0.0.1:9") == Judged(None, TransportError, True)
    assert alike("http://no-such-host.invalid", max_retry_time=0) == Judged(None, TransportError, True)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "https://ü b.invalid"])
def test_an_address_that_is_none(url: str) -> None:
    """clear-sentence: no retry makes it one."""
    assert alike(url) == Judged(None, SettingsError)


def test_a_server_that_says_too_little(vendor: SandboxServer) -> None:
    """network-faults: silence, and a byte now and then: the timeout and the deadline end them."""
    behave(vendor, [Fault("slow_body", interval=0.3, times=None)])
    url = f"{vendor.url}/api/v2/CallReport"
    assert alike(url, deadline=0.5).kind is TimeoutExceededError
    assert alike(url, timeout=0.1).kind is TimeoutExceededError


def test_an_answer_that_is_too_large() -> None:
    """bounded-answers: on the wire and unpacked; the triggerer takes 4 MiB whatever the connection allows."""
    long = json.dumps({"cnt": 7, "columnArr": {"1": "x" * 5000}}).encode()
    for script in (answer(200, long), packed("gzip", gzip.compress(long))):
        with ScriptedServer(script) as server:
            assert alike(server.url, max_response_bytes=4096) == Judged(None, AnswerTooLargeError)
            assert alike(server.url, max_response_bytes=len(long)) == Judged(7)
    huge = json.dumps({"cnt": 7, "columnArr": {"1": "x" * MAX_BYTES}}).encode()
    with ScriptedServer(answer(200, huge)) as server:
        settings = client_settings(server.url)
        assert judge(by_worker, settings) == Judged(7)
        assert judge(by_triggerer, settings).kind is AnswerTooLargeError


def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """safe-transport: it is used for other machines, however it is spelled, and never for this one."""
    with ScriptedServer(json_answer({"cnt": 7})) as proxy, ScriptedServer(json_answer({"cnt": 8})) as server:
        for spelled in (proxy.url, proxy.url.removeprefix("http://")):
            for name in ("http_proxy", "all_proxy"):
                monkeypatch.setenv(name, spelled)
                assert alike("http://api.invalid") == Judged(7)
                monkeypatch.delenv(name)
        assert [seen.path for seen in proxy.seen] == ["http://api.invalid/reportCount"] * 8
        monkeypatch.setenv("http_proxy", proxy.url)
        assert alike(server.url) == Judged(8)
        monkeypatch.setenv("no_proxy", "api.invalid")
        assert alike("http://api.invalid") == Judged(None, TransportError, True)
        assert len(proxy.seen) == 8


def test_a_proxy_that_does_not_let_tls_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """safe-transport: nothing of the request is shown to it."""
    with ScriptedServer(json_answer({"cnt": 7})) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        assert alike("https://api.invalid") == Judged(None, TransportError, True)
        assert not proxy.seen
    assert alike("https://api.invalid") == Judged(None, TransportError, True)


@contextmanager
def tls_server(directory: Path, name: str) -> Iterator[tuple[ScriptedServer, str]]:
    """A server with a certificate that it signed itself, and the path of that certificate."""
    key, certificate = directory / f"{name}-key.pem", directory / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName={name}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with ScriptedServer(json_answer({"cnt": 7}), tls=tls) as server:
        yield server, str(certificate)


def test_tls_is_verified(tmp_path: Path) -> None:
    """safe-transport: a certificate that nobody signed, or of another host, is refused for good; verify can name it, or
    not ask.
    """
    refused = Judged(None, TransportError, retryable=False)
    with tls_server(tmp_path, "IP:127.0.0.1") as (server, certificate):
        assert alike(server.url) == refused
        assert not server.seen
        assert alike(server.url, verify=certificate) == Judged(7)
        assert alike(server.url, verify=False) == Judged(7)
    with tls_server(tmp_path, "DNS:another.example") as (server, certificate):
        assert alike(server.url, verify=certificate) == refused
        assert not server.seen


def test_tls_where_none_is_spoken() -> None:
    """network-faults: a plain server behind an https address may be one that is being mended."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(1000)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        assert alike(f"https://127.0.0.1:{listener.getsockname()[1]}") == Judged(None, TransportError, True)
        thread.join(10)
