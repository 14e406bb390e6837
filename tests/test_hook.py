"""The hook over HTTP: what the Test button says, what it reads, what it keeps secret."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from importlib import import_module
from itertools import islice
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook

from airflow_provider_callreport.api.errors import AuthenticationError, IncompleteReportError, SettingsError
from airflow_provider_callreport.hooks import callreport as hook_module
from airflow_provider_callreport.hooks.callreport import CallReportHook
from airflow_provider_callreport.sandbox.call import LABELS, Call
from airflow_provider_callreport.sandbox.calls import ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.sensors.callreport import CallReportSensor

DAY = datetime(2026, 3, 13)
CALLS = [Call(DAY + timedelta(hours=hour), number=f"91987650{hour:04d}", call_duration=hour) for hour in range(24)]
WINDOW: dict[str, Any] = {"window_start": "2026-03-13", "window_end": "2026-03-14"}

#: Where Airflow keeps its masker, newest first.
_MASKERS = (
    "airflow.sdk._shared.secrets_masker",
    "airflow.sdk.execution_time.secrets_masker",
    "airflow.utils.log.secrets_masker",
)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(calls=ListedCalls(CALLS), masked_calls=SyntheticCalls(7, masked=True))) as one:
        yield one


@pytest.fixture
def connect(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CallReportHook]:
    """Makes a hook for a connection to the server; arguments replace fields of it."""

    def connect(extra: dict[str, Any] | None = None, **fields: Any) -> CallReportHook:
        connection = {**json.loads(server.connection_json(**(extra or {}))), **fields}
        monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", json.dumps(connection))
        return CallReportHook()

    return connect


def test_good_connection_says_what_works(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """One cheap request, and a sentence with address and user."""
    assert connect().test_connection() == (
        True,
        f"Signed in to {server.url}/api/v2/CallReport as sandbox-user; the call log can be read.",
    )
    (request,) = server.requests
    assert request.body is not None
    assert (request.endpoint, request.body["sz"]) == ("list", 1)


def test_session_id_alone_is_a_good_connection(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """``ssid`` with or without userId, and no token, signs in."""
    ok, sentence = connect({"ssid": "sandbox-ssid"}, login=None, password=None).test_connection()
    assert (ok, sentence) == (
        True,
        f"Signed in to {server.url}/api/v2/CallReport as the session of ssid; the call log can be read.",
    )
    assert connect({"ssid": "sandbox-ssid"}, password=None).test_connection()[0]
    assert [request.credentials for request in server.requests] == [("ssid",), ("userId", "ssid")]


@pytest.mark.parametrize(
    ("extra", "fields", "sentence"),
    [
        (
            {},
            {"password": "wrong-token"},
            "The API answered list with HTTP 200, code 1014: Invalid token. "
            "Correct User id and Token in the Airflow connection, or set a fresh Session id (ssid).",
        ),
        (
            {},
            {"login": "sandbox-guest"},
            "The API answered list with HTTP 200, code 1015: Permission denied. "
            "Ask the account's administrator for the permission LIST_CALL_LOG.",
        ),
        (
            {"ssid": "sandbox-ssid"},
            {},
            "The connection has both Token and Session id (ssid), and the API allows one of them; clear Session id "
            "(ssid) to sign in with User id and Token, or clear Token to sign in with the session id.",
        ),
        (
            {},
            {"host": "http://calls.example.com"},
            "Host is http://calls.example.com, and the token would travel in clear text; use https, or set the extra "
            "field allow_http to true.",
        ),
        (
            {"timezone": "IST"},
            {},
            "Extra field timezone is 'IST'; allowed is an IANA time zone, such as Asia/Kolkata or UTC.",
        ),
    ],
    ids=["wrong token", "no permission", "two secrets", "http", "zone"],
)
def test_bad_connection_says_what_to_fix(
    connect: Callable[..., CallReportHook], extra: dict[str, Any], fields: dict[str, Any], sentence: str
) -> None:
    """The Test button answers False and one sentence, and never raises."""
    assert connect(extra, **fields).test_connection() == (False, sentence)


def test_refused_connection_says_so(connect: Callable[..., CallReportHook]) -> None:
    """A host that is not there is named, at once."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    ok, sentence = connect(host=f"http://127.0.0.1:{port}").test_connection()
    assert not ok
    assert f"http://127.0.0.1:{port}/api/v2/CallReport: the connection was refused" in sentence


@pytest.mark.parametrize("pause", [None, 0.3], ids=["silent", "a byte now and then"])
def test_slow_host_is_given_up(
    connect: Callable[..., CallReportHook], monkeypatch: pytest.MonkeyPatch, pause: float | None
) -> None:
    """The button answers within its own limit, below ten seconds, whatever the server does."""
    assert hook_module._TEST_SECONDS < 10
    monkeypatch.setattr(hook_module, "_TEST_SECONDS", 1.0)
    with slow_server(pause) as port:
        start = time.monotonic()
        ok, sentence = connect(host=f"http://127.0.0.1:{port}").test_connection()
    assert not ok
    assert "no whole answer within" in sentence
    assert 0.9 < time.monotonic() - start < 10


def test_airflows_own_test_button_reaches_the_hook(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """``Connection.test_connection()`` is what Airflow's API calls; it finds the hook by the connection's type."""
    from airflow.models.connection import Connection

    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", server.connection_json())
    connection: Any = Connection(conn_id="callreport_default", conn_type="callreport", host=server.url)
    ok, sentence = connection.test_connection()
    assert ok, sentence
    assert "the call log can be read" in sentence


def test_repeated_credentials_stay_out_of_the_sentence(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """no-leak: an API that repeats what it was sent does not bring the token onto the screen."""
    server.settings.faults = [Fault("leaky_error", code=1014)]
    ok, sentence = connect().test_connection()
    assert not ok
    assert "code 1014" in sentence
    assert server.settings.token not in sentence


def test_pages_come_as_the_api_sends_them(connect: Callable[..., CallReportHook]) -> None:
    """``iter_pages``: every call once, in as many pages as the page size makes."""
    pages = list(connect().iter_pages("calls", page_size=10, **WINDOW))
    assert [len(page.records) for page in pages] == [10, 10, 4]
    assert [page.number for page in pages] == [0, 1, 2]


def test_rows_come_typed(connect: Callable[..., CallReportHook]) -> None:
    """``iter_rows``: label to value; numbers as text, times and durations as what they are."""
    rows = list(connect({"page_size": 5}).iter_rows("calls", **WINDOW))
    assert len(rows) == len(CALLS)
    assert tuple(rows[3]) == LABELS
    assert (rows[3]["Caller Number"], rows[3]["Time"], rows[3]["Call Duration"]) == ("919876500003", CALLS[3].time, 3)


def test_rows_take_columns_filters_and_report(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """``iter_rows``: chosen columns under new names; filters go to the API; ``masked_calls`` is another endpoint."""
    hook = connect()
    rows = list(hook.iter_rows("calls", {"cNum": "919876500007"}, columns={"Caller Number": "Phone"}, **WINDOW))
    assert rows == [{"Phone": "919876500007"}]
    assert len(list(hook.iter_rows("masked_calls", **WINDOW))) == 7
    assert {request.endpoint for request in server.requests} == {"list", "reportCount", "masklist"}


def test_rows_that_are_not_all_end_in_an_error(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """whole-or-red: whoever reads to the end learns that the report is not whole."""
    server.settings.faults = [Fault("wrong_total", by=-2)]
    with pytest.raises(IncompleteReportError, match="24 of 22 calls came"):
        list(connect().iter_rows("calls", **WINDOW))


def test_reading_can_be_given_up(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """Rows are fetched as they are wanted: three of them cost their page, and at most one page more."""
    rows = connect({"page_size": 5}).iter_rows("calls", **WINDOW)
    assert len(list(islice(rows, 3))) == 3
    assert len(server.requests) <= 2


def test_count_asks_report_count(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """``count`` is one request, of the same window and filter."""
    assert connect().count(**WINDOW) == len(CALLS)
    assert connect().count({"cNum": "919876500007"}, **WINDOW) == 1
    assert [request.endpoint for request in server.requests] == ["reportCount", "reportCount"]


def test_client_is_a_context_manager(connect: Callable[..., CallReportHook]) -> None:
    """``get_conn`` is made for ``with``, and raises what the API says."""
    with connect(password="wrong-token").get_conn() as client, pytest.raises(AuthenticationError, match="code 1014"):
        client.count({"filter": {}})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"report": "call", **WINDOW}, r"report is 'call' \(did you mean 'calls'\?\); allowed are calls"),
        ({"window_start": "13.3.2026", "window_end": "2026-03-14"}, "window_start is '13.3.2026', which is no time"),
        ({"window_start": "2026-03-14", "window_end": "2026-03-13"}, "which is earlier; set a later window_end"),
        ({"filters": {"dtGte": "x"}, **WINDOW}, "filters has dtGte, which belongs to the window"),
    ],
)
def test_wrong_arguments_make_no_request(
    connect: Callable[..., CallReportHook], server: SandboxServer, arguments: dict[str, Any], sentence: str
) -> None:
    """A wrong argument is a `ValueError` with a sentence, before the first request."""
    with pytest.raises(ValueError, match=sentence):
        list(connect().iter_pages(**arguments))
    assert server.requests == []


def test_hook_settings_win_over_the_connection(connect: Callable[..., CallReportHook]) -> None:
    """Client settings of the constructor replace the connection's extra fields; None leaves them."""
    connect({"page_size": 7, "timeout": 3})
    hook = CallReportHook(page_size=9, timeout=None)
    assert (hook.settings.page_size, hook.settings.timeout) == (9, 3.0)


def test_a_misspelt_extra_fails_the_hook_and_the_test_button(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """It is named without its value, with the name that was meant; nothing is asked."""
    hook = connect({"time_zone": "Europe/Canary", "page_size": 6})
    with pytest.raises(
        SettingsError, match=r"unknown extra field 'time_zone' \(did you mean 'timezone'\?\); allowed are"
    ) as failed:
        _ = hook.settings
    assert "Canary" not in str(failed.value)
    ok, sentence = hook.test_connection()
    assert not ok
    assert sentence.startswith("Unknown extra field 'time_zone' (did you mean 'timezone'?); allowed are allow_http, ")
    assert server.requests == []


def test_a_misspelt_extra_fails_the_task(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """At once: another try does not spell it otherwise."""
    connect({"time_zone": "UTC"})
    sensor = CallReportSensor(task_id="waits", **WINDOW)
    with pytest.raises(AirflowFailException, match=r"unknown extra field 'time_zone' .did you mean 'timezone'\?"):
        sensor.poke({})
    assert server.requests == []


def test_secrets_are_known_to_the_masker(connect: Callable[..., CallReportHook]) -> None:
    """no-leak: token, session id and key are masked in whatever anybody logs after the connection was read."""
    secrets = {name: uuid4().hex for name in ("token", "ssid", "hmac_secret")}
    assert all(redact(secret) == secret for secret in secrets.values())
    assert connect({"hmac_secret": secrets["hmac_secret"]}, password=secrets["token"]).settings
    assert connect({"ssid": secrets["ssid"]}, password=None).settings
    assert [redact(f"sent {secret} to") for secret in secrets.values()] == ["sent *** to"] * 3


def test_secrets_are_masked_before_a_field_is_found_wrong(connect: Callable[..., CallReportHook]) -> None:
    """no-leak: also when the connection cannot be used. (Airflow by itself masks the token, and not a session id.)"""
    with pytest.raises(ValueError, match="timezone"):
        _ = connect({"timezone": "IST", "ssid": (secret := uuid4().hex)}, password=None).settings
    assert redact(secret) == "***"


def test_settings_show_no_secret(connect: Callable[..., CallReportHook]) -> None:
    """no-leak: the repr of what the hook holds has no secret in it."""
    settings = connect({"hmac_secret": "pseudonyms-0123456789"}).settings
    assert "sandbox-token" not in repr(settings)
    assert "pseudonyms" not in repr(settings)


def test_hook_is_found_by_connection_type(connect: Callable[..., CallReportHook]) -> None:
    """``BaseHook.get_hook`` gives this hook for a connection of type ``callreport``."""
    connect()
    assert isinstance(BaseHook.get_hook("callreport_default"), CallReportHook)


def redact(text: str) -> str:
    """What Airflow's masker makes of a text."""
    for name in _MASKERS:
        with suppress(ImportError):
            return str(import_module(name).redact(text))
    raise AssertionError("Airflow's secrets masker is somewhere else")


@contextmanager
def slow_server(pause: float | None) -> Iterator[int]:
    """A server that takes requests and says nothing, or one byte of a good answer after each pause."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    stopped = threading.Event()

    def serve(door: socket.socket) -> None:
        with suppress(OSError):
            peer, _ = door.accept()
            with peer:
                for byte in answer:
                    if stopped.wait(pause):
                        return
                    peer.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve, args=(door,), daemon=True)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            stopped.set()
            thread.join(5)
