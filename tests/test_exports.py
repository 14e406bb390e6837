"""Files that the API's server makes: asked for once, looked at, and brought where they should go."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from support.api import DAY, api_url, behave, client_of, client_settings, listed, sandbox
from support.files import RawServer, answers, closes, recorded_calls, resets

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.download import FileDownloader, is_public
from airflow_provider_callreport.api.errors import (
    AddressRefusedError,
    AnswerError,
    ApiError,
    AuthenticationError,
    MaybeAcceptedError,
    NotReadyError,
    RedirectError,
    TransportError,
    WrongFileError,
)
from airflow_provider_callreport.api.exports import (
    download_pdf,
    fetch_file,
    find_id,
    find_url,
    holds_secret,
    rename_export,
    request_export,
    shown_answer,
)
from airflow_provider_callreport.hooks.callreport import CallReportHook
from airflow_provider_callreport.operators.exports import CallReportDownloadOperator, CallReportRequestExportOperator
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import CHOICES

FIELDS = {"filter": DAY.api_filter()}
PDF = b"%PDF-1.4\n" + b"x" * 100 + b"\n%%EOF\n"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as one:
        yield one


def asked(server: SandboxServer, endpoint: str = "exportCsv") -> int:
    return sum(request.endpoint == endpoint for request in server.requests)


# Asking for an export.


@pytest.mark.parametrize("form", CHOICES["export_answer"])
def test_every_form_of_answer_is_understood(server: SandboxServer, tmp_path: Path, form: str) -> None:
    """What api.md lists: a URL, an object, an id, "accepted", the bytes. Asked once each."""
    behave(server, calls=listed(*recorded_calls(3)), export_answer=form)
    with client_of(server) as client:
        answer = request_export(client, FIELDS, tmp_path / "a")
    expected = {
        "url": (True, False, False),
        "object": (True, True, False),
        "request_id": (False, True, False),
        "accepted": (False, True, False),
        "bytes": (False, False, True),
    }
    assert (bool(answer.url), bool(answer.export_id), bool(answer.file)) == expected[form]
    assert asked(server) == 1
    assert server.requests[0].body == FIELDS
    if answer.file is not None:
        content = answer.file.path.read_bytes()
        assert content.startswith(b"Caller Number,Time,")
        assert content.count(b"\n") == 4
        assert answer.file.sha256 == hashlib.sha256(content).hexdigest()
    else:
        assert list(tmp_path.iterdir()) == []


def test_bulk_is_another_endpoint(server: SandboxServer, tmp_path: Path) -> None:
    """The page prints both names."""
    behave(server, calls=listed())
    with client_of(server) as client:
        request_export(client, FIELDS, tmp_path / "a", bulk=True)
    assert [request.endpoint for request in server.requests] == ["exportCsvBulk"]


@pytest.mark.parametrize(
    "behaviour",
    [
        resets(),
        closes,
        resets(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"),
        answers(b'{"status": "acc', content_type="application/json", length=50),
        answers(b'{"status": "acc', content_type="application/json"),
        answers(b"<html>Bad gateway</html>", status="502 Bad Gateway"),
        answers(b"<html>Welcome</html>"),
        answers(b""),
        answers(b'{"status": "error", "code": 1009}'),
        answers(b"", status="429 Too Many Requests", Retry_After="0"),
        answers(b"", status="302 Found", Location="/other"),
        lambda connection, request: time.sleep(1.5),
    ],
    ids=[
        *(
            "reset",
            "closed",
            "reset in the body",
            "cut",
            "broken",
            "502",
            "html",
            "empty",
            "1009",
            "429",
            "302",
            "silent",
        ),
    ],
)
def test_a_state_change_is_never_sent_twice(tmp_path: Path, behaviour: Any) -> None:
    """E3: whatever happens after the request has left, one request is made, and the error says what to do."""
    with RawServer(behaviour) as raw:
        settings = client_settings(raw.url, max_retry_time=20, timeout=0.7)
        with CallReportClient(settings) as client, pytest.raises(MaybeAcceptedError) as caught:
            request_export(client, FIELDS, tmp_path / "a")
        time.sleep(0.1)
        assert len(raw.heard) == 1
    assert "may or may not have been accepted" in str(caught.value)
    assert not caught.value.retryable
    assert "sandbox-token" not in str(caught.value)


def test_a_request_that_never_left_is_tried_again(tmp_path: Path) -> None:
    """E3: refused at first, then there: nothing had left, so a second try is safe."""
    # A socket that is bound and does not listen yet refuses connections, and nobody else gets its port.
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    settings = client_settings(f"http://127.0.0.1:{door.getsockname()[1]}", max_retry_time=20)
    with CallReportClient(settings) as client:
        import threading

        raw: list[RawServer] = []

        def open_later() -> None:
            time.sleep(0.5)
            server = RawServer(answers(b'{"id": "e1"}'))
            server._door.close()
            door.listen()
            server._door = door
            raw.append(server.__enter__())

        opener = threading.Thread(target=open_later)
        opener.start()
        answer = request_export(client, FIELDS, tmp_path / "a")
        opener.join()
    assert answer.export_id == "e1"
    assert len(raw[0].heard) == 1
    assert client.requests_made > 1
    raw[0].__exit__()


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
def test_a_request_that_never_left_is_an_ordinary_transport_error(tmp_path: Path, host: str) -> None:
    """E3: no connection, no name: not "maybe accepted", and a later try may be made."""
    settings = client_settings(f"http://{host}")
    with CallReportClient(settings) as client, pytest.raises(TransportError) as caught:
        request_export(client, FIELDS, tmp_path / "a")
    assert caught.value.retryable
    assert not caught.value.sent


def test_a_refusal_is_what_it_is(server: SandboxServer, tmp_path: Path) -> None:
    """E1: 1014 says that nothing was accepted: the usual error, one request."""
    behave(server, [Fault("vendor_error", code=1014)], calls=listed())
    with client_of(server, max_retry_time=20) as client, pytest.raises(AuthenticationError):
        request_export(client, FIELDS, tmp_path / "a")
    assert asked(server) == 1


def test_an_export_is_renamed_once(server: SandboxServer, tmp_path: Path) -> None:
    """changeTitle: posted, its answer given back; a doubt is said and not sent again."""
    behave(server, calls=listed(), export_answer="object")
    with client_of(server) as client:
        export_id = request_export(client, FIELDS, tmp_path / "a").export_id
        answer = rename_export(client, {"id": export_id, "title": "March"}, tmp_path / "b")
        assert answer == {"status": "success", "message": "Title changed"}
        with pytest.raises(ApiError, match="code 1012"):
            rename_export(client, {"id": "other", "title": "March"}, tmp_path / "b")
    with RawServer(answers(b"Title changed", content_type="text/plain")) as raw:
        with (
            CallReportClient(client_settings(raw.url, max_retry_time=9)) as client,
            pytest.raises(MaybeAcceptedError, match="look whether the title has changed"),
        ):
            rename_export(client, {"id": "a"}, tmp_path / "b")
        assert len(raw.heard) == 1


# What is in an answer.


@pytest.mark.parametrize(
    ("payload", "url", "identity"),
    [
        ("https://files.example.com/a.csv", "https://files.example.com/a.csv", None),
        ({"data": {"url": "https://x/a", "id": 12}}, "https://x/a", "12"),
        ({"data": {"link": "/a/b.csv", "_id": "e1"}}, "/a/b.csv", "e1"),
        ({"data": "export000001"}, None, "export000001"),
        ({"data": "https://x/a"}, "https://x/a", None),
        ({"status": "success", "message": "Request accepted", "id": "e1"}, None, "e1"),
        ({"requestId": 77}, None, "77"),
        (77, None, "77"),
        ({"status": "success", "message": "Request accepted"}, None, None),
        ("Request accepted", None, None),
        ({"data": {"url": 5, "id": True}}, None, None),
        (["a"], None, None),
        (None, None, None),
    ],
)
def test_url_and_id_are_found_where_they_may_be(payload: Any, url: str | None, identity: str | None) -> None:
    """Sensible defaults over the shapes that api.md lists; a sentence is no id, a number no URL."""
    assert (find_url(payload), find_id(payload)) == (url, identity)


def test_paths_are_the_users_to_choose() -> None:
    """Another account's shape, also inside a list."""
    payload = {"result": [{"where": "https://x/a", "key": "k"}]}
    assert find_url(payload) is None
    assert find_url(payload, ["result.0.where"]) == "https://x/a"
    assert find_id(payload, ["result.0.key"]) == "k"
    assert find_id(payload, ["result.9.key", "result.x"]) is None


def test_a_shown_answer_holds_no_secret_and_is_bounded() -> None:
    """P1, A4: numbers, secrets and signatures are hidden; what is long is cut and says so."""
    answer = {
        "url": "https://x/a.csv?X-Amz-Signature=canary",
        "message": "for +91 98765 01234, token canarytoken",
        "919876501234": 919876501234,
        "list": ["/a?sig=canary", 5, True, None],
    }
    shown = shown_answer(answer, ["canarytoken"])
    assert shown["url"] == "https://x/a.csv?***"
    assert shown["list"] == ["/a?***", 5, True, None]
    assert not re.search("canary|9876501234", json.dumps(shown))
    assert len(json.dumps(shown_answer(["x" * 90] * 1000, []))) < 2100


@pytest.mark.parametrize("secret", ["canarytoken", 'q"1\\canary<&ü /+=='])
@pytest.mark.parametrize("write", [str, quote, lambda text: quote(text, safe=""), quote_plus])
def test_a_secret_in_a_url_is_found(secret: str, write: Callable[[str], str]) -> None:
    """P1: the URL of an answer goes into an XCom value, so it is searched for the account's own secrets."""
    url = f"https://files.example.com/a.csv?key={write(secret)}&x=1"
    assert holds_secret(url, ["", "another", secret])
    assert holds_secret(url.replace("%3C", "%3c"), [secret])
    assert not holds_secret(url, ["", "another"])


# Taking a file.


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Any]:
    """Fetches a file with a client for a base URL, by default a loopback one that nobody serves."""

    def take(url: str, base: str = "http://127.0.0.1:9/api/v2/CallReport", kind: str = "csv", **settings: Any) -> Any:
        with (
            CallReportClient(client_settings(base, **settings)) as client,
            FileDownloader(client, max_bytes=1_000_000, deadline_seconds=5) as downloader,
        ):
            return fetch_file(url, tmp_path / "a", downloader, kind=kind, what="the export")

    return take


def test_the_file_behind_the_link_is_the_export(
    server: SandboxServer, tmp_path: Path, take: Callable[..., Any]
) -> None:
    """The way that the operators go: ask, find the link, fetch it; a path is one of the connection's own host."""
    behave(server, calls=listed(*recorded_calls(5)), export_answer="object")
    with client_of(server) as client:
        url = request_export(client, FIELDS, tmp_path / "x").url
    assert url is not None
    assert url.startswith("/")
    body = take(url, api_url(server))
    assert body.path.read_bytes().count(b"\n") == 6
    download = server.requests[-1]
    assert (download.endpoint, download.credentials) == ("download", ())


@pytest.mark.parametrize("code", [1004, 1012])
def test_not_ready_is_an_error_of_its_own(tmp_path: Path, take: Callable[..., Any], code: int) -> None:
    """1004 and 1012 mean "not yet", behind a link and from downloadPdf; another code does not."""
    with sandbox() as server:
        behave(server, calls=listed(), export_answer="object", not_ready_answers=1, not_ready_code=code)
        _not_ready(server, tmp_path, take, code)


def _not_ready(server: SandboxServer, tmp_path: Path, take: Callable[..., Any], code: int) -> None:
    with client_of(server) as client:
        url = request_export(client, FIELDS, tmp_path / "x").url
    with pytest.raises(NotReadyError, match=f"code {code}"):
        take(url or "", api_url(server))
    assert take(url or "", api_url(server)).size > 0
    with pytest.raises(NotReadyError):
        pdf(server, tmp_path)
    assert pdf(server, tmp_path).size > 0
    behave(server, not_ready_answers=9, not_ready_code=1000)
    with pytest.raises(ApiError, match="code 1000"):
        pdf(server, tmp_path)


def pdf(server: SandboxServer, tmp_path: Path) -> Any:
    with client_of(server) as client, FileDownloader(client, max_bytes=1_000_000) as downloader:
        return download_pdf(client, {"id": "e1"}, tmp_path / "pdf", downloader)


@pytest.mark.parametrize("form", [form for form in CHOICES["pdf_answer"] if form != "not_ready"])
def test_a_pdf_comes_in_every_form(server: SandboxServer, tmp_path: Path, form: str) -> None:
    """Bytes, base64 or a link: the same file, its bytes checked."""
    behave(server, pdf_answer=form)
    body = pdf(server, tmp_path)
    content = body.path.read_bytes()
    assert content.startswith(b"%PDF-1.4")
    assert (body.size, body.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (PDF[:50], WrongFileError, "does not end like a whole pdf file"),
        (b"x" + PDF[9:], WrongFileError, "does not begin like a pdf file"),
        (json.dumps({"data": base64.b64encode(PDF[:50]).decode()}).encode(), WrongFileError, "does not end"),
        (b'{"data": "accepted"}', AnswerError, "neither a file nor a link"),
        (b"<html>", AnswerError, "an HTML page"),
        (b"", AnswerError, "an empty body"),
    ],
)
def test_what_is_no_pdf_is_refused(tmp_path: Path, body: bytes, error: type[Exception], words: str) -> None:
    """C1, D3: half a file, another file, a page of HTML, an answer without a file."""
    with (
        RawServer(answers(body, content_type="application/octet-stream")) as raw,
        CallReportClient(client_settings(raw.url)) as client,
        FileDownloader(client, max_bytes=10_000) as downloader,
        pytest.raises(error, match=words),
    ):
        download_pdf(client, {}, tmp_path / "a", downloader)


def test_a_large_pdf_in_base64_is_read(tmp_path: Path) -> None:
    """A PDF of 3 MB as JSON text is no small answer, and is read all the same."""
    large = PDF.replace(b"x", b"x" * 30_000)
    text = json.dumps({"data": {"pdf": f"data:application/pdf;base64,{base64.b64encode(large).decode()}"}}).encode()
    with (
        RawServer(answers(text, content_type="application/json")) as raw,
        CallReportClient(client_settings(raw.url)) as client,
        FileDownloader(client, max_bytes=10_000_000) as downloader,
    ):
        body = download_pdf(client, {}, tmp_path / "a", downloader, max_bytes=10_000_000)
    assert body.path.read_bytes() == large


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("missing", ApiError, "HTTP 404"),
        ("html", WrongFileError, "an HTML page instead of a file"),
        ("redirect", RedirectError, "not followed"),
        ("wrong_type", WrongFileError, "does not begin like a csv file"),
    ],
)
def test_what_is_no_export_is_refused(
    server: SandboxServer, take: Callable[..., Any], answer: str, error: type[Exception], words: str
) -> None:
    """P3, C1: a page to sign in, a redirect, another file."""
    behave(server, download_answer=answer)
    with pytest.raises(error, match=words):
        take("/sandbox/exports/export000001", api_url(server))


@pytest.mark.parametrize(
    ("kind", "body", "content_type", "good"),
    [
        ("csv", b"a,b\r\n1,2\r\n", "text/csv; charset=utf-8", True),
        ("csv", b"\xef\xbb\xbfa,b\n", "application/octet-stream", True),
        ("csv", b"5\n", "text/csv", True),
        ("csv", b"a,b\n", "image/png", False),
        ("csv", b"a\x00b\n", "text/csv", False),
        ("csv", b"PK\x03\x04", "text/csv", False),
        ("csv", b'"just text"', "application/json", False),
        ("zip", b"PK\x03\x04" + b"." * 50 + b"PK\x05\x06" + b"." * 18, "application/zip", True),
        ("zip", b"PK\x03\x04" + b"." * 50, "application/zip", False),
        ("xlsx", b"PK\x03\x04" + b"." * 50 + b"PK\x05\x06" + b"." * 18, "application/zip", True),
        ("gzip", b"\x1f\x8b\x08abc", "application/gzip", True),
        ("gzip", b"abc", "application/gzip", False),
    ],
)
def test_a_file_is_what_it_should_be(
    take: Callable[..., Any], kind: str, body: bytes, content_type: str, good: bool
) -> None:
    """D3: beginning, end and content type, kind by kind."""
    with RawServer(answers(body, content_type=content_type)) as raw:
        if good:
            assert take(f"{raw.url}/a", raw.url, kind).size == len(body)
        else:
            with pytest.raises(WrongFileError):
                take(f"{raw.url}/a", raw.url, kind)


# Where a file may come from.


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
        ),
        *(
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fe80::1%eth0",
        ),
        *("fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
        *("2002:a00:1::", "2001:db8::1", "no address", ""),
    ],
)
def test_an_address_of_no_public_network_is_known(address: str) -> None:
    """P3: private, link-local, shared, special and hidden ones."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_known(address: str) -> None:
    """P3: the rule does not refuse everything."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/latest/meta-data", "https://169.254.169.254/latest", "http://example.com/a.csv"),
        *("https://10.0.0.1/a", "https://[fd00:ec2::254]/a", "https://[::ffff:10.0.0.1]/a", "https://2852039166/a"),
        *("https://0xa9fea9fe/a", "https://0251.0376.0251.0376/a", "ftp://example.com/a", "file:///etc/passwd"),
        *("https://user:canary@example.com/a", "//169.254.169.254/a", "https:///a", "https://[::1/a"),
    ],
)
def test_a_foreign_address_is_refused_before_anything_is_sent(take: Callable[..., Any], url: str) -> None:
    """P3: spellings that libraries and resolvers read as a private address, plain http, other schemes, credentials."""
    with pytest.raises(AddressRefusedError) as caught:
        take(url)
    assert "canary" not in str(caught.value)


def test_loopback_is_for_the_sandbox_only(take: Callable[..., Any]) -> None:
    """P3: another port of this machine only when the connection's own host is this machine."""
    with RawServer(answers(b"a,b\n", content_type="text/csv")) as raw:
        assert take(f"{raw.url}/a").size == 4
        for url in (raw.url, raw.url.replace("http:", "https:"), raw.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(AddressRefusedError):
                take(f"{url}/a", "https://api.example.com/api/v2/CallReport")
        assert len(raw.heard) == 1


def test_a_name_that_changes_between_check_and_connection_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, take: Callable[..., Any]
) -> None:
    """P3: the connected socket is judged again, before a byte is sent (DNS rebinding)."""
    with RawServer(answers(b"a,b\n", content_type="text/csv")) as raw:
        port = int(raw.url.rpartition(":")[2])
        real, asked_for = socket.getaddrinfo, []

        def rebind(host: Any, *arguments: Any, **named: Any) -> Any:
            if host != "rebind.example.com":
                return real(host, *arguments, **named)
            asked_for.append(host)
            return real("8.8.8.8" if len(asked_for) == 1 else "127.0.0.1", port, *arguments[1:], **named)

        monkeypatch.setattr(socket, "getaddrinfo", rebind)
        with pytest.raises(AddressRefusedError, match=r"leads to 127\.0\.0\.1"):
            take(f"https://rebind.example.com:{port}/a", "https://api.example.com/api/v2/CallReport")
        assert len(asked_for) == 2
        time.sleep(0.1)
        assert raw.heard == []


def test_the_connections_own_host_may_be_private(take: Callable[..., Any]) -> None:
    """P3: who set the connection up chose that host; the same host on another port is another server."""
    with RawServer(answers(b"a,b\n", content_type="text/csv")) as raw:
        assert take("/a/b.csv", f"{raw.url}/api/v2/CallReport").size == 4
        assert raw.heard[0].line == "GET /a/b.csv HTTP/1.1"


def test_a_signature_is_in_no_sentence_and_no_log(take: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """P1: the URL of an export may be all that one needs to read it."""
    caplog.set_level(logging.DEBUG)
    for behaviour in (
        answers(b"", status="403 Forbidden"),
        resets(),
        answers(b'{"code": 1009, "message": "a?s=canary"}'),
    ):
        with RawServer(behaviour) as raw, pytest.raises(Exception) as caught:  # noqa: PT011 - any kind
            take(f"{raw.url}/a.csv?X-Amz-Signature=canarysignature")
        assert "canarysignature" not in str(caught.value) + repr(caught.value.__context__)
    assert "canarysignature" not in caplog.text


# The hook.


def test_the_hook_has_a_method_for_each(server: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over an Airflow connection: window and filters become the body; errors are the same."""
    behave(server, calls=listed(*recorded_calls(2)), export_answer="object")
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", server.connection_json())
    hook = CallReportHook()
    window = {"window_start": "2026-03-13", "window_end": "2026-03-14"}
    answer = hook.request_export({"agent": "Asha"}, **window, path=tmp_path / "a", bulk=True, fields={"title": "x"})
    assert server.requests[-1].body == {"title": "x", "filter": {"agent": "Asha", **(DAY.api_filter() or {})}}
    assert answer.export_id is not None
    assert hook.rename_export(answer.export_id, "March", path=tmp_path / "b")["status"] == "success"
    assert server.requests[-1].body == {"id": answer.export_id, "title": "March"}
    assert hook.download_pdf({"id": answer.export_id}, tmp_path / "c").size > 0


# The operators' arguments; their runs in Airflow are in test_rest_of_api.


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"bulk": "yes"}, "bulk is 'yes'; allowed are True and False"),
        ({"fields": ["a"]}, "fields is of type list; allowed is an object of keys for the request"),
        ({"fields": {"token": "x"}}, "fields has token, which comes from the connection"),
        (
            {"url_paths": "data.url"},
            'url_paths is \'data.url\'; allowed is a list of paths, such as ["data.url", "url"]',
        ),
        ({"id_paths": []}, "id_paths is []; allowed is a list of paths"),
        ({"s3_bucket": "b"}, "s3_bucket is set and s3_key is not; set both"),
        ({"s3_bucket": "b", "s3_key": "k", "if_exists": "x"}, "if_exists is 'x'; allowed are replace, fail, skip"),
        ({"max_bytes": 0}, "max_bytes is 0; allowed is a whole number of at least 1"),
        ({"filters": {"cNum": 5}}, "filters has cNum of type int; allowed is text"),
    ],
)
def test_wrong_arguments_of_the_request(wrong: dict[str, Any], sentence: str) -> None:
    """Bad input: one sentence, while the Dag is parsed."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        CallReportRequestExportOperator(**{"task_id": "a", **wrong})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"url": None}, "url and pdf_fields are both set or both missing; set one of them"),
        ({"pdf_fields": {}}, "url and pdf_fields are both set or both missing; set one of them"),
        ({"url": "canary.csv?sig=x"}, "url is no URL; allowed is https://host/path"),
        ({"file_type": "docx"}, "file_type is 'docx'; allowed are csv, pdf, xlsx, zip, gzip"),
        ({"url": None, "pdf_fields": {}, "file_type": "csv"}, "file_type is 'csv'; allowed with pdf_fields is pdf"),
        (
            {"s3_bucket": None, "s3_key": None},
            "there is no destination; set s3_bucket and s3_key, or email_to, or both",
        ),
        ({"title": "a\nb"}, "title is 'a\\nb'; allowed is one line of text"),
        ({"poll_interval": 0}, "poll_interval is 0; allowed are seconds of at least 1"),
        ({"wait_timeout": float("inf")}, "wait_timeout is inf; allowed are seconds of at least 0"),
        ({"deferrable": 1}, "deferrable is 1; allowed are True and False"),
        ({"email_to": "nobody"}, "email_to"),
    ],
)
def test_wrong_arguments_of_the_download(wrong: dict[str, Any], sentence: str) -> None:
    """Bad input: one sentence, while the Dag is parsed; a URL is not repeated."""
    right = {"task_id": "a", "url": "https://x/a.csv", "s3_bucket": "b", "s3_key": "k"}
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        CallReportDownloadOperator(**{**right, **wrong})
    assert "canary" not in str(caught.value)


def test_an_export_has_no_retries_whatever_the_dag_says() -> None:
    """E3: a retry of the task would ask a second time."""
    assert CallReportRequestExportOperator(task_id="a", retries=5).retries == 0
    assert CallReportRequestExportOperator(task_id="a", default_args={"retries": 5}).retries == 0
