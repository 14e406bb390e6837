"""Files that the API's server makes, by the hook's methods: asked for once, and the answer is looked at."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.api import DAY, behave, client_of, client_settings, listed, sandbox
from support.files import RawServer, answers, closes, recorded_calls, resets

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.download import FileDownloader
from airflow_provider_callreport.api.errors import (
    AnswerError,
    ApiError,
    AuthenticationError,
    MaybeAcceptedError,
    NotReadyError,
    TransportError,
    WrongFileError,
)
from airflow_provider_callreport.api.exports import (
    download_pdf,
    find_id,
    find_url,
    rename_export,
    request_export,
)
from airflow_provider_callreport.hooks.callreport import CallReportHook
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
    """What is known of the answers: a URL, an object, an id, "accepted", the bytes. Asked once each."""
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
    """network-faults: whatever happens after the request has left, one request is made, and the error
    says what to do.
    """
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
    """network-faults: refused at first, then there: nothing had left, so a second try is safe."""
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
    """network-faults: no connection, no name: not "maybe accepted", and a later try may be made."""
    settings = client_settings(f"http://{host}")
    with CallReportClient(settings) as client, pytest.raises(TransportError) as caught:
        request_export(client, FIELDS, tmp_path / "a")
    assert caught.value.retryable
    assert not caught.value.sent


def test_a_refusal_is_what_it_is(server: SandboxServer, tmp_path: Path) -> None:
    """error-kinds: 1014 says that nothing was accepted: the usual error, one request."""
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
    """Sensible defaults over the shapes that are known; a sentence is no id, a number no URL."""
    assert (find_url(payload), find_id(payload)) == (url, identity)


# The PDF.


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


@pytest.mark.parametrize("code", [1004, 1012])
@pytest.mark.parametrize("endpoint", ["downloadPdf", "download"], ids=["the answer", "the link"])
def test_not_ready_is_an_error_of_its_own(server: SandboxServer, tmp_path: Path, endpoint: str, code: int) -> None:
    """1004 and 1012 mean "not yet", from downloadPdf and behind its link; another code does not."""
    behave(server, [Fault("vendor_error", endpoint=endpoint, code=code, times=1)], pdf_answer="link")
    with pytest.raises(NotReadyError, match=f"code {code}"):
        pdf(server, tmp_path)
    assert pdf(server, tmp_path).size > 0
    behave(server, [Fault("vendor_error", endpoint=endpoint, code=1000)], pdf_answer="link")
    with pytest.raises(ApiError, match="code 1000"):
        pdf(server, tmp_path)


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
    """whole-or-red, stored-bytes: half a file, another file, a page of HTML, an answer without a file."""
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
