"""What goes wrong is named, tried again when that helps, and costs a bounded time and memory."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from support.api import (
    Script,
    ScriptedServer,
    api_url,
    behave,
    client_of,
    client_settings,
    json_answer,
    read_report,
    sandbox,
    truth,
)
from tenacity import RetryCallState

from airflow_provider_callreport.api import retry
from airflow_provider_callreport.api.answer import Answer, parse_answer
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
    RequestRejectedError,
    ServiceError,
    TimeoutExceededError,
    TransportError,
)
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer

CALLS = SyntheticCalls(250)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def wire() -> Iterator[SandboxServer]:
    with sandbox(proxy=True) as running:
        yield running


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once; how long they wait is tested on its own."""
    monkeypatch.setattr(retry, "_BACKOFF", lambda state: 0.01)


def ask(client: CallReportClient) -> Answer:
    return client.call("list", {"filter": {}, "sz": 100, "page": 0}, parse_answer, page=0)


#: (HTTP status, vendor code) -> class; retried or fatal follows from the class.
TABLE: list[tuple[int, int | str | None, type[ApiError]]] = [
    *((200, code, AuthenticationError) for code in (1011, 1013, 1014, 1020, 1044)),
    *((200, code, PermissionDeniedError) for code in (1015, 1027, 1039, 1040, 1041, 1042)),
    *((200, code, RequestRejectedError) for code in (1000, 1001, 1002, *range(1022, 1027), *range(1028, 1032), 1047)),
    *((200, code, ServiceError) for code in (1009, 1010, 1032, 1033, 1046)),
    (200, 1599, ApiError),
    (200, 1, ApiError),
    (200, "E42", ApiError),
    (200, "1014", AuthenticationError),
    (200, "1009", ServiceError),
    (400, 1000, RequestRejectedError),
    (400, 1599, RequestRejectedError),
    (401, 1014, AuthenticationError),
    (401, None, AuthenticationError),
    (403, 1015, PermissionDeniedError),
    (403, None, PermissionDeniedError),
    (404, None, RequestRejectedError),
    (422, None, RequestRejectedError),
    (401, 1009, ServiceError),
    (500, 1014, AuthenticationError),
    (500, 1599, ServiceError),
    (408, None, ServiceError),
    (425, None, ServiceError),
    (429, None, RateLimitedError),
    (429, 1009, RateLimitedError),
    (429, 1014, RateLimitedError),
    (500, None, ServiceError),
    (502, None, ServiceError),
    (503, None, ServiceError),
    (504, None, ServiceError),
    (520, None, ServiceError),
]


@pytest.mark.parametrize(("status", "code", "kind"), TABLE)
@pytest.mark.usefixtures("no_backoff")
def test_what_each_status_and_code_means(
    server: SandboxServer, status: int, code: int | str | None, kind: type[ApiError]
) -> None:
    """error-kinds: the class, the fields and the number of requests for each (HTTP status, vendor code)."""
    if code is None:
        fault = Fault("http_status", status=status, times=1)
    else:
        fault = Fault("vendor_error", code=code, http_status=status, message="as it came", times=1)
    behave(server, [fault], calls=CALLS)
    with client_of(server) as client, pytest.raises(ApiError) as failed:
        ask(client)
    error = failed.value
    assert type(error) is kind
    assert (error.http_status, error.endpoint, error.page) == (status, "list", 0)
    assert error.code == (int(str(code)) if str(code).isdigit() else None)
    assert f"HTTP {status}" in str(error)
    assert code is None or "as it came" in str(error)

    retried = kind in (ServiceError, RateLimitedError)
    behave(server, [fault], calls=CALLS)
    fault.hits = 0
    with client_of(server, max_retry_time=5) as client:
        if retried:
            assert len(ask(client).records) == 100
        else:
            with pytest.raises(kind):
                ask(client)
    assert len(server.requests) == (2 if retried else 1)
    assert error.retryable is retried


def test_the_table_of_codes_is_tested_whole() -> None:
    """error-kinds: no code of the table is without a row above."""
    assert {code for status, code, _ in TABLE if status == 200 and isinstance(code, int)} >= set(CODE_TABLE)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (
            {"status": "error", "message": "no code"},
            "the API answered list, page 0 with an error in HTTP 200: no code.",
        ),
        ({"status": "FAILED", "data": [], "cnt": 0}, "with an error in HTTP 200 and no message."),
        ({"status": False, "message": "nope", "data": [], "cnt": 0}, "nope"),
        ({"status": 500, "message": "inner", "data": [], "cnt": 0}, "inner"),
        ({"error": "inner", "data": [], "cnt": 0}, "inner"),
        ({"errors": [{"detail": "inner"}], "data": []}, "inner"),
        ({"code": 1599, "data": [], "cnt": 0}, "code 1599"),
        ({"code": [], "data": [], "cnt": 0}, "with an error in HTTP 200 and no message."),
        ({"code": 1012, "data": [{"1": "x"}], "cnt": 1}, "code 1012"),
        ({"code": 1012, "cnt": 7}, "with HTTP 200, code 1012 and no message."),
    ],
)
def test_an_error_in_any_dress_is_an_error(payload: Any, words: str) -> None:
    """error-kinds: an answer that says it failed, in whatever key, is never an empty report."""
    with (
        ScriptedServer(json_answer(payload)) as server,
        CallReportClient(client_settings(server.url)) as client,
        pytest.raises(ApiError) as failed,
    ):
        ask(client)
    assert words in str(failed.value)
    assert type(failed.value) is ApiError


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "HTTP 404 and no message."),
        ({"message": "No such brand"}, "HTTP 404: No such brand."),
        ({"code": 1047, "message": "No such brand"}, "HTTP 404, code 1047: No such brand."),
    ],
)
def test_an_error_says_what_the_api_said(payload: Any, said: str) -> None:
    """clear-sentence: HTTP status, code and message, as far as the answer has them, and what to do."""
    with (
        ScriptedServer(json_answer(payload, status=404)) as server,
        CallReportClient(client_settings(server.url)) as client,
        pytest.raises(RequestRejectedError) as failed,
    ):
        ask(client)
    advice = "Check the filters and the connection."
    assert str(failed.value) == f"the API answered list, page 0 with {said} {advice}"


@pytest.mark.parametrize(
    "payload",
    [
        {"data": [], "cnt": 0},
        {"code": 200, "data": [], "cnt": 0},
        {"code": "200", "status": "success", "data": [], "cnt": 0},
        {"code": 0, "status": 200, "error": None, "errors": [], "message": "ok", "data": [], "cnt": 0},
        {"status": True, "data": [], "cnt": 0},
        {"code": None, "status": None, "data": [], "cnt": 0},
        {"status": "error", "code": 1012, "message": "No data found"},
        {"status": "error", "code": "1012", "data": None, "cnt": 0},
    ],
)
def test_a_success_needs_no_status(payload: Any) -> None:
    """error-kinds: code 200 is no error, a success has no status, and "no data found" is an empty report."""
    with ScriptedServer(json_answer(payload)) as server, CallReportClient(client_settings(server.url)) as client:
        answer = ask(client)
    assert (answer.records, answer.count) == ([], 0)


@pytest.mark.parametrize(
    ("status", "empty"), [(200, True), (400, True), (404, True), (401, False), (429, False), (500, False)]
)
def test_no_data_found_is_empty_only_where_the_status_does_not_say_otherwise(status: int, empty: bool) -> None:
    """error-kinds: 1012 beside HTTP 401, 429 or 5xx is what the status says."""
    script = json_answer({"status": "error", "code": 1012, "message": "No data found"}, status)
    with ScriptedServer(script) as server, CallReportClient(client_settings(server.url)) as client:
        if empty:
            assert ask(client).records == []
        else:
            with pytest.raises(ApiError):
                ask(client)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty body"),
        (b"  \n", "an empty body"),
        (b"<html>sign in</html>", "an HTML page instead of JSON"),
        (b"\xef\xbb\xbf<html>", "an HTML page instead of JSON"),
        (b'{"data": [{"1": "9', "JSON that is cut off or broken"),
        (b'{"data": [], "cnt": NaN}', "JSON with NaN in it, which JSON does not have"),
        (b"[" * 100_000, "JSON that is cut off or broken"),
        (b"OK", "something that is not JSON"),
        (b'"done"', "the answer is text where an object with data was expected"),
        (b"[]", "the answer is an array where an object with data was expected"),
        (b"7", "the answer is a number where"),
        (b"null", "the answer is null where"),
        (b'{"cnt": 5}', "the answer has no data"),
        (b'{"data": null}', "data: null beside no cnt"),
        (b'{"data": null, "cnt": 5}', "data: null beside a cnt of 5"),
        (b'{"data": "none"}', "the answer's data is text where a list was expected"),
        (b'{"data": 5}', "the answer's data is a number where a list was expected"),
        (b'{"data": {"list": [{"1": "x"}]}, "cnt": 1}', "an object with an array in it"),
    ],
)
@pytest.mark.usefixtures("no_backoff")
def test_a_body_that_is_no_answer_is_asked_for_again(body: bytes, words: str) -> None:
    """error-kinds: HTTP 200 with a body that is no answer is named, and tried again like a fault of the network."""
    bad: Script = (200, {}, body)
    good = json_answer({"data": [], "cnt": 0})
    with ScriptedServer(bad) as server, CallReportClient(client_settings(server.url)) as client:
        with pytest.raises(AnswerError) as failed:
            ask(client)
        assert words in str(failed.value)
    settings = {"max_retry_time": 5}
    with ScriptedServer(bad, good) as server, CallReportClient(client_settings(server.url, **settings)) as client:
        assert ask(client).records == []
        assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("2", 2),
        (" 2 ", 2),
        ("0", 0),
        ("1.5", 1.5),
        ("-5", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("31536000000", 31536000000),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_how_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    """retry-wait: seconds, a date, negative, absurd, unreadable, missing."""
    assert retry.retry_after_seconds(header) == seconds


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", ""])
def test_a_retry_after_date_is_in_gmt(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """retry-wait: a date means GMT, also where the zone is left out or unknown, and wherever the worker stands."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        text = format_datetime(datetime.now(UTC) + timedelta(seconds=90)).rsplit(" ", 1)[0]
        seconds = retry.retry_after_seconds(f"{text} {zone}".strip())
        assert seconds is not None
        assert 85 < seconds <= 90
    finally:
        monkeypatch.undo()
        time.tzset()


def _waits(attempt: int, retry_after: float | None = None) -> list[float]:
    error = ServiceError(code=1009, vendor_message="", http_status=200, endpoint="list", retry_after=retry_after)
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.attempt_number = attempt
    state.set_exception((type(error), error, None))
    return [retry._wait(state) for _ in range(400)]


@pytest.mark.parametrize(("attempt", "most"), [(1, 1), (2, 2), (3, 4), (6, 30), (50, 30)])
def test_backoff_has_full_jitter(attempt: int, most: float) -> None:
    """retry-wait: a wait is drawn evenly from 0 up to 1, 2, 4, ... and at most 30 seconds."""
    waits = _waits(attempt)
    assert 0 <= min(waits) < most * 0.1
    assert most * 0.9 < max(waits) <= most
    assert most * 0.4 < statistics.mean(waits) < most * 0.6


def test_retry_after_is_the_least_that_is_waited() -> None:
    """retry-wait: the server's wish is obeyed, with up to a second of jitter behind it and none before it."""
    waits = _waits(5, retry_after=20)
    assert 20 <= min(waits) < 20.2
    assert 20.8 < max(waits) <= 21


@pytest.mark.parametrize("asked", [0.0, 0.5])
def test_retry_after_does_not_shorten_the_backoff(asked: float) -> None:
    """retry-wait: a server that always says "0", or names a time that has passed, is not asked without a pause."""
    waits = _waits(5, retry_after=asked)
    assert asked <= min(waits)
    assert 14 < max(waits) <= 16
    assert 6 < statistics.mean(waits) < 10


@pytest.mark.parametrize("retry_after", ["0", "-5", format_datetime(datetime(2020, 1, 1, tzinfo=UTC))])
@pytest.mark.slow
def test_a_server_that_never_wants_a_wait_is_asked_a_few_times(server: SandboxServer, retry_after: str) -> None:
    """retry-wait: 31 requests in 30 seconds were made of one; doubled waits make few."""
    behave(server, [Fault("http_status", status=429, retry_after=retry_after, times=None)], calls=CALLS)
    with client_of(server, max_retry_time=4) as client, pytest.raises(RateLimitedError):
        ask(client)
    assert 2 <= len(server.requests) <= 12


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(server: SandboxServer, status: int) -> None:
    """retry-wait: the next request comes no earlier than the server asked."""
    behave(server, [Fault("http_status", status=status, retry_after="0.3", times=1)], calls=CALLS)
    with client_of(server, max_retry_time=5) as client:
        ask(client)
    first, second = server.requests
    assert 0.3 <= second.time - first.time < 5


@pytest.mark.parametrize(
    "retry_after",
    ["3600", "1e30", format_datetime(datetime.now(UTC) + timedelta(hours=1))],
    ids=["seconds", "absurd", "date"],
)
def test_a_server_that_wants_too_long_a_wait_is_not_waited_for(server: SandboxServer, retry_after: str) -> None:
    """retry-wait: a wait beyond max_retry_time ends the request at once; Airflow may retry the task."""
    behave(server, [Fault("http_status", status=429, retry_after=retry_after, times=None)], calls=CALLS)
    began = time.monotonic()
    with client_of(server, max_retry_time=60) as client, pytest.raises(RateLimitedError):
        ask(client)
    assert time.monotonic() - began < 30
    assert len(server.requests) == 1


@pytest.mark.parametrize("retry_after", [None, "-1", "soon", "0.1"])
def test_the_total_wait_is_bounded(
    server: SandboxServer, retry_after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """retry-wait: whatever the server asks for, the last try begins within max_retry_time."""
    monkeypatch.setattr(retry, "_BACKOFF", lambda state: 0.05)
    behave(server, [Fault("http_status", status=503, retry_after=retry_after, times=None)], calls=CALLS)
    began = time.monotonic()
    with client_of(server, max_retry_time=0.5) as client, pytest.raises(ServiceError):
        ask(client)
    assert time.monotonic() - began < 30
    assert 2 <= len(server.requests) <= 11


def test_no_retry_time_means_no_retry(server: SandboxServer) -> None:
    """retry-wait: max_retry_time 0 makes one request."""
    behave(server, [Fault("http_status", status=503, times=None)], calls=CALLS)
    with client_of(server, max_retry_time=0) as client, pytest.raises(ServiceError):
        ask(client)
    assert len(server.requests) == 1


WIRE_FAULTS = [
    Fault("no_answer", page=1, times=1),
    Fault("reset_before_headers", page=1, times=1),
    Fault("reset_after_headers", page=1, times=1),
    Fault("reset_mid_body", page=1, times=1),
    Fault("truncated_body", page=1, times=1),
    Fault("truncated_chunk", page=1, times=1),
    Fault("slow_body", page=1, interval=60.0, times=1),
    Fault("slow_headers", page=1, interval=60.0, times=1),
    Fault("slow_body", page=1, interval=0.05, times=1),
    Fault("garbage", page=1, times=1),
    Fault("drop_keepalive", page=1, times=1),
    Fault("reset_on_connect", times=1),
    Fault("refuse_connections", seconds=0.3, times=1),
    Fault("reset_connection", after_bytes=100, direction="up", times=1),
    Fault("reset_connection", after_bytes=3000, direction="down", times=1),
    Fault("silence", times=1),
    Fault("slow_connection", interval=60.0, times=1),
    *(Fault("http_status", status=status, page=1, times=1) for status in (408, 425, 429, 500, 502, 503, 504, 520)),
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", WIRE_FAULTS, ids=lambda fault: f"{fault.name} {fault.options or ''}")
def test_an_export_survives_a_fault_of_the_wire(
    wire: SandboxServer, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """network-faults: refused, reset, cut, silent, one byte a minute, 408/425/429/5xx: the next try brings the right
    rows.
    """
    monkeypatch.setattr(retry, "_BACKOFF", lambda state: 0.1)
    fault.hits = 0
    behave(wire, [fault], calls=CALLS)
    began = time.monotonic()
    reading = read_report(wire, client={"timeout": 0.4, "deadline": 1.0, "max_retry_time": 5})
    assert reading.rows == truth(CALLS)
    assert fault.hits == 1, "the fault has struck"
    assert time.monotonic() - began < 30


PERSISTENT = {
    "no_answer": TimeoutExceededError,
    "reset_before_headers": TransportError,
    "reset_after_headers": TransportError,
    "reset_mid_body": TransportError,
    "truncated_body": TransportError,
    "truncated_chunk": TransportError,
    "slow_body": TimeoutExceededError,
    "slow_headers": TimeoutExceededError,
    "garbage": TransportError,
    "reset_on_connect": TransportError,
    "silence": TimeoutExceededError,
}


@pytest.mark.parametrize("name", PERSISTENT)
def test_a_fault_of_the_wire_that_stays_is_named(wire: SandboxServer, name: str) -> None:
    """network-faults: one sentence with endpoint and address, an error that Airflow may retry, and never half an
    answer.
    """
    behave(wire, [Fault(name, times=None)], calls=CALLS)
    with client_of(wire, timeout=0.4, deadline=1.0) as client, pytest.raises(TransportError) as failed:
        ask(client)
    assert type(failed.value) is PERSISTENT[name]
    assert failed.value.retryable
    assert str(failed.value).startswith(f"list at {api_url(wire)}: ")
    assert "object at 0x" not in str(failed.value)


@pytest.mark.parametrize("name", ["slow_body", "slow_headers"])
def test_a_trickle_ends_at_the_deadline(wire: SandboxServer, name: str) -> None:
    """network-faults: a byte every 50 ms never passes the read timeout; the overall deadline ends it."""
    behave(wire, [Fault(name, interval=0.05, times=None)], calls=CALLS)
    began = time.monotonic()
    with (
        client_of(wire, timeout=5, deadline=0.6) as client,
        pytest.raises(TimeoutExceededError, match=r"0\.6 s in all"),
    ):
        ask(client)
    assert 0.5 < time.monotonic() - began < 30


def test_a_refused_connection_is_named() -> None:
    """network-faults: nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with (
        CallReportClient(client_settings(f"http://127.0.0.1:{port}")) as client,
        pytest.raises(TransportError, match="the connection was refused"),
    ):
        ask(client)


def test_a_host_that_does_not_exist_is_named() -> None:
    """network-faults: the name does not resolve (RFC 6761 reserves .invalid)."""
    with (
        CallReportClient(client_settings("https://callreport.invalid")) as client,
        pytest.raises(TransportError, match="the host name does not resolve"),
    ):
        ask(client)


def test_a_connection_that_is_never_taken_ends_at_the_connect_timeout() -> None:
    """network-faults: a full backlog drops every further connection."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(door.getsockname())
        settings = client_settings(f"http://127.0.0.1:{door.getsockname()[1]}", connect_timeout=0.3)
        with (
            CallReportClient(settings) as client,
            pytest.raises(TimeoutExceededError, match=r"no connection within 0\.3 s"),
        ):
            ask(client)
        for filler in fillers:
            filler.close()


def test_a_server_that_never_answers_the_tls_greeting_is_left() -> None:
    """network-faults: the handshake is bounded like the connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        settings = client_settings(f"https://127.0.0.1:{door.getsockname()[1]}", connect_timeout=0.3)
        began = time.monotonic()
        with CallReportClient(settings) as client, pytest.raises(TimeoutExceededError):
            ask(client)
        assert time.monotonic() - began < 30


@pytest.mark.slow
def test_the_pace_holds(server: SandboxServer) -> None:
    """request-pace: with requests_per_second=8 the server never counts more than 9 in any second."""
    rate, requests = 8, 16
    behave(server, calls=SyntheticCalls(3))
    with client_of(server, requests_per_second=rate) as client:
        for _ in range(requests):
            ask(client)
    times = [request.time for request in server.requests]
    assert len(times) == requests
    assert max(sum(start <= other < start + 1 for other in times) for start in times) <= rate + 1
    assert times[-1] - times[0] < requests / rate + 1, "and it is used to the full"


@pytest.mark.slow
def test_threads_share_the_pace(server: SandboxServer) -> None:
    """request-pace: four threads of one client together make no more requests than one."""
    rate, requests = 10, 16
    behave(server, calls=SyntheticCalls(3))
    with client_of(server, requests_per_second=rate) as client:
        workers = [threading.Thread(target=lambda: [ask(client) for _ in range(requests // 4)]) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    times = sorted(request.time for request in server.requests)
    assert len(times) == requests
    assert times[-1] - times[0] > (requests - 1) / rate - 0.2


def test_retries_keep_the_pace_too(server: SandboxServer, no_backoff: None) -> None:
    """request-pace: a request that is tried again waits for its turn."""
    behave(server, [Fault("http_status", status=503, times=4)], calls=CALLS)
    with client_of(server, requests_per_second=10, max_retry_time=5) as client:
        ask(client)
    times = [request.time for request in server.requests]
    assert len(times) == 5
    assert times[-1] - times[0] >= 0.38


_MEASURED_CALL = """
import json, sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from support.api import client_settings
from airflow_provider_callreport.api.answer import parse_answer
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import CallReportError

def megabytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

client = CallReportClient(client_settings({url!r}))
before = megabytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
began = time.process_time()
try:
    client.call("list", {{"filter": {{}}, "sz": 100, "page": 0}}, parse_answer)
    error = ""
except CallReportError as caught:
    error = f"{{type(caught).__name__}}: {{caught}}"
print(json.dumps([error, time.process_time() - began, megabytes("VmHWM") - before]))
"""


def _measured_call(url: str) -> tuple[str, float, float]:
    """Error, CPU seconds and peak megabytes of one request, in a process of its own."""
    code = textwrap.dedent(_MEASURED_CALL).format(url=url, path=sys.path)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    error, seconds, megabytes = json.loads(run.stdout)
    return error, seconds, megabytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        Fault("gzip_bomb", megabytes=100),
        Fault("huge_body", megabytes=100, declared=False),
        Fault("huge_body", megabytes=100, declared=True),
    ],
    ids=["gzip bomb", "endless body", "announced body"],
)
def test_a_bomb_ends_early_and_small(server: SandboxServer, fault: Fault) -> None:
    """bounded-answers: 100 MB, packed 1:1000 or plain, cost under a second (of CPU: the machine may be busy) and under
    64 MB.
    """
    behave(server, [fault])
    with client_of(server) as client, pytest.raises(AnswerTooLargeError):
        ask(client)  # lets the server make its bomb, which is not measured
    error, seconds, megabytes = _measured_call(api_url(server))
    assert error.startswith("AnswerTooLargeError: list answered more than 33554432 bytes; ask for fewer calls a page")
    assert seconds < 1
    assert megabytes < 64


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "compress"])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    """bounded-answers: encodings that multiply, or pack better than 1:1000, are not unpacked at all."""
    body = zlib.compress(b'{"data": [], "cnt": 0}')
    with (
        ScriptedServer((200, {"Content-Encoding": encoding}, body)) as server,
        CallReportClient(client_settings(server.url)) as client,
        pytest.raises(AnswerError, match="Content-Encoding"),
    ):
        ask(client)


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("GZIP", 31), ("deflate", 15)])
def test_a_packed_answer_is_read(encoding: str, wbits: int) -> None:
    """bounded-answers: gzip, which is asked for, and deflate are unpacked."""
    packer = zlib.compressobj(wbits=wbits)
    body = packer.compress(b'{"data": [], "cnt": 0}') + packer.flush()
    with (
        ScriptedServer((200, {"Content-Encoding": encoding}, body)) as server,
        CallReportClient(client_settings(server.url)) as client,
    ):
        assert ask(client).count == 0
        assert server.seen[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.usefixtures("no_backoff")
def test_a_broken_gzip_body_is_asked_for_again() -> None:
    """bounded-answers: bytes that do not unpack are a fault of the wire."""
    good = json_answer({"data": [], "cnt": 0})
    with ScriptedServer((200, {"Content-Encoding": "gzip"}, b"not packed"), good) as server:
        with CallReportClient(client_settings(server.url)) as client, pytest.raises(TransportError):
            ask(client)
        with CallReportClient(client_settings(server.url, max_retry_time=5)) as client:
            assert ask(client).count == 0


def test_the_size_limit_is_a_setting(server: SandboxServer) -> None:
    """bounded-answers: max_response_bytes bounds each answer, and an error says which setting it was."""
    behave(server, calls=CALLS)
    with client_of(server, max_response_bytes=10_000) as client, pytest.raises(AnswerTooLargeError) as failed:
        ask(client)
    assert "list answered more than 10000 bytes; ask for fewer calls a page (page_size)" in str(failed.value)
    assert not failed.value.retryable
    with pytest.raises(CallReportError, match="max_response_bytes"):
        read_report(server, client={"max_response_bytes": 10_000})
