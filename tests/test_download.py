"""Files behind a link: what is taken for a whole file, and where a file may come from."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.api import client_settings
from support.files import MP3, RawServer, answers, resets

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.download import FileDownloader, is_public
from airflow_provider_callreport.api.errors import AddressRefusedError, ApiError, RedirectError, WrongFileError

PDF = b"%PDF-1.4\n" + b"x" * 100 + b"\n%%EOF\n"


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Any]:
    """Fetches a file with a client for a base URL, by default a loopback one that nobody serves."""

    def take(url: str, base: str = "http://127.0.0.1:9/api/v2/CallReport", kind: str = "mp3", **settings: Any) -> Any:
        with (
            CallReportClient(client_settings(base, **settings)) as client,
            FileDownloader(client, max_bytes=1_000_000, deadline_seconds=5) as downloader,
        ):
            return downloader.fetch(downloader.absolute(url), tmp_path / "a", kind=kind, what="the file")

    return take


# What came.


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        (answers(b"no such file", status="404 Not Found"), ApiError, "HTTP 404"),
        (answers(b"<html>Please sign in</html>", content_type="text/html"), WrongFileError, "an HTML page"),
        (answers(b"", status="302 Found", Location="/report.pdf"), RedirectError, "not followed"),
        (answers(PDF, content_type="audio/mpeg"), WrongFileError, "does not begin like a mp3 file"),
    ],
    ids=["missing", "html", "redirect", "another file"],
)
def test_what_is_no_file_is_refused(
    take: Callable[..., Any], behaviour: Any, error: type[Exception], words: str
) -> None:
    """safe-transport, whole-or-red: a page to sign in, a redirect, another file."""
    with RawServer(behaviour) as raw, pytest.raises(error, match=words):
        take("/a", raw.url)


@pytest.mark.parametrize(
    ("kind", "body", "content_type", "good"),
    [
        ("mp3", MP3, "audio/mpeg", True),
        ("mp3", MP3, "audio/x-anything; charset=binary", True),
        ("mp3", MP3, "application/octet-stream", True),
        ("mp3", MP3, "image/png", False),
        ("mp3", MP3[10:], "", True),
        ("mp3", b"\xff\xff\xff\xff" + MP3, "audio/mpeg", False),
        ("mp3", b'"just text"', "application/json", False),
        ("pdf", PDF, "application/pdf", True),
        ("pdf", b" " * 900 + PDF, "application/x-pdf", True),
        ("pdf", b" " * 2000 + PDF, "application/pdf", False),
        ("pdf", PDF[:50], "application/pdf", False),
        ("pdf", PDF, "audio/mpeg", False),
    ],
)
def test_a_file_is_what_it_should_be(
    take: Callable[..., Any], kind: str, body: bytes, content_type: str, good: bool
) -> None:
    """stored-bytes: beginning, end and content type, kind by kind."""
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
    """safe-transport: private, link-local, shared, special and hidden ones."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_known(address: str) -> None:
    """safe-transport: the rule does not refuse everything."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/latest/meta-data", "https://169.254.169.254/latest", "http://example.com/a.mp3"),
        *("https://10.0.0.1/a", "https://[fd00:ec2::254]/a", "https://[::ffff:10.0.0.1]/a", "https://2852039166/a"),
        *("https://0xa9fea9fe/a", "https://0251.0376.0251.0376/a", "ftp://example.com/a", "file:///etc/passwd"),
        *("https://user:canary@example.com/a", "//169.254.169.254/a", "https:///a", "https://[::1/a"),
    ],
)
def test_a_foreign_address_is_refused_before_anything_is_sent(take: Callable[..., Any], url: str) -> None:
    """safe-transport: spellings that libraries and resolvers read as a private address, plain http, other schemes,
    credentials.
    """
    with pytest.raises(AddressRefusedError) as caught:
        take(url)
    assert "canary" not in str(caught.value)


def test_loopback_is_for_the_sandbox_only(take: Callable[..., Any]) -> None:
    """safe-transport: another port of this machine only when the connection's own host is this machine."""
    with RawServer(answers(MP3, content_type="audio/mpeg")) as raw:
        assert take(f"{raw.url}/a").size == len(MP3)
        for url in (raw.url, raw.url.replace("http:", "https:"), raw.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(AddressRefusedError):
                take(f"{url}/a", "https://api.example.com/api/v2/CallReport")
        assert len(raw.heard) == 1


def test_a_name_that_changes_between_check_and_connection_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, take: Callable[..., Any]
) -> None:
    """safe-transport: the connected socket is judged again, before a byte is sent (DNS rebinding)."""
    with RawServer(answers(MP3, content_type="audio/mpeg")) as raw:
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
    """safe-transport: who set the connection up chose that host; the same host on another port is another server."""
    with RawServer(answers(MP3, content_type="audio/mpeg")) as raw:
        assert take("/a/b.mp3", f"{raw.url}/api/v2/CallReport").size == len(MP3)
        assert raw.heard[0].line == "GET /a/b.mp3 HTTP/1.1"


def test_a_signature_is_in_no_sentence_and_no_log(take: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: the URL of an export may be all that one needs to read it."""
    caplog.set_level(logging.DEBUG)
    for behaviour in (
        answers(b"", status="403 Forbidden"),
        resets(),
        answers(b'{"code": 1009, "message": "a?s=canary"}'),
    ):
        with RawServer(behaviour) as raw, pytest.raises(Exception) as caught:  # noqa: PT011 - any kind
            take(f"{raw.url}/a.mp3?X-Amz-Signature=canarysignature")
        assert "canarysignature" not in str(caught.value) + repr(caught.value.__context__)
    assert "canarysignature" not in caplog.text
