"""Each fault of the sandbox does what its name says, seen by a client that hides nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.sandbox import CREDENTIALS, DAY, answer, cursor_of, ids, pages, post, read, rows_of

from airflow_provider_callreport.sandbox import fault_effects, wire
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import FAULTS, Fault, Stage
from airflow_provider_callreport.sandbox.proxy import TcpProxy
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

CALLS = 250
SOURCE = SyntheticCalls(CALLS)


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    with SandboxServer(proxy=True) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> Iterator[SandboxServer]:
    """A server behind the proxy, with 250 calls a day and no fault."""
    running.reset()
    running.settings = SandboxSettings(calls=SOURCE)
    yield running
    running.reset()


def page(server: SandboxServer, number: int, **body: Any) -> Any:
    """One page of 100."""
    return answer(server, filter=DAY, sz=100, page=number, **body)


# The table and how faults are switched on


def test_every_fault_is_played_somewhere() -> None:
    """A name in the table without code behind it would be a test that cannot fail."""
    played = {
        Stage.REQUEST: set(fault_effects.REQUEST_FAULTS),
        Stage.PAGE: set(fault_effects.PAGE_FAULTS),
        Stage.ANSWER: set(fault_effects.ANSWER_FAULTS),
        Stage.BODY: set(fault_effects.BODY_FAULTS),
        Stage.HTTP: set(wire.HTTP_FAULTS),
        Stage.CONNECTION: {
            "reset_on_connect", "refuse_connections", "reset_connection", "silence", "slow_connection",
        },
    }  # fmt: skip
    for stage, names in played.items():
        assert names == {name for name, kind in FAULTS.items() if kind.stage is stage}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("nonesuch", "unknown fault 'nonesuch'; known are http_status"),
        ("error_on_page:pag=1", "fault error_on_page has no option 'pag'; it has code, message, http_status"),
        ({"page": 1}, 'a fault must be a name or an object with a "name"'),
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_allowed(raw: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        Fault.parse(raw)


def test_faults_are_read_from_text() -> None:
    fault = Fault.parse("http_status:status=429,retry_after=Wed,times=null")

    assert (fault["status"], fault["retry_after"], fault.times) == (429, "Wed", None)


def test_faults_are_switched_on_over_http(server: SandboxServer) -> None:
    wanted = {"faults": [{"name": "error_on_page", "page": 0, "code": 1009, "times": 1}]}
    assert requests.post(f"{server.url}/sandbox/faults", json=wanted, timeout=5).status_code == 200

    assert page(server, 0)["code"] == 1009
    assert page(server, 0)["cnt"] == CALLS
    state = requests.get(f"{server.url}/sandbox/faults", timeout=5).json()["faults"]
    assert [(fault["name"], fault["hits"]) for fault in state] == [("error_on_page", 1)]
    mistakes: list[Any] = [{"faults": [{"name": "nonesuch"}]}, {"fault": []}, []]
    for bad in mistakes:
        assert requests.post(f"{server.url}/sandbox/faults", json=bad, timeout=5).status_code == 400


def test_a_fault_can_be_for_one_endpoint(server: SandboxServer) -> None:
    server.settings.faults = [Fault("vendor_error", endpoint="reportCount", code=1010)]

    assert page(server, 0)["cnt"] == CALLS
    assert answer(server, "reportCount")["code"] == 1010


def test_a_fault_of_the_wire_without_the_proxy_is_an_error() -> None:
    """A fault that never takes effect would make tests that cannot fail."""
    with SandboxServer(proxy=False) as bare:
        bare.settings.faults = [Fault("reset_mid_body")]
        assert post(bare).status_code == 500
        assert "proxy=True" in post(bare).text


# Answers that are none


@pytest.mark.parametrize(("number", "code"), [(0, 1014), (1, 1009)])
def test_error_on_page(server: SandboxServer, number: int, code: int) -> None:
    """whole-or-red: page 2 is HTTP 200 with an error body; page 1 likewise with 1014."""
    server.settings.faults = [Fault("error_on_page", page=number, code=code)]

    for asked in range(3):
        response = post(server, filter=DAY, sz=100, page=asked)
        assert response.status_code == 200
        assert response.json().get("code") == (code if asked == number else None)


def test_error_on_page_in_a_read_by_cursor(server: SandboxServer) -> None:
    server.settings.faults, server.settings.cursor = [Fault("error_on_page")], "top"

    assert answer(server, filter=DAY, sz=100, sAftr=page(server, 0)["sAftr"])["code"] == 1009


def test_error_with_cnt(server: SandboxServer) -> None:
    """whole-or-red: the same body with cnt and data: null."""
    server.settings.faults = [Fault("error_with_cnt")]

    expected = {"status": "error", "message": "Something went wrong", "code": 1009, "data": None, "cnt": 0}
    assert page(server, 1) == expected


def test_vendor_error_with_any_status_and_code(server: SandboxServer) -> None:
    server.settings.faults = [Fault("vendor_error", code="1010", http_status=503, retry_after="7", times=1)]

    response = post(server)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
    assert response.json() == {"status": "error", "message": "Error", "code": "1010"}
    assert post(server).status_code == 200


@pytest.mark.parametrize("retry_after", [None, 2, "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1e9"])
def test_http_status_for_the_first_requests(server: SandboxServer, retry_after: object) -> None:
    server.settings.faults = [Fault("http_status", status=429, retry_after=retry_after, times=2)]

    responses = [post(server) for _ in range(3)]

    assert [response.status_code for response in responses] == [429, 429, 200]
    assert responses[0].headers.get("Retry-After") == (None if retry_after is None else str(retry_after))


def test_html_page(server: SandboxServer) -> None:
    server.settings.faults = [Fault("html_page")]

    response = post(server, filter=DAY, sz=100, page=1)

    assert response.status_code == 200
    assert response.text.startswith("<!DOCTYPE html>")


def test_empty_body(server: SandboxServer) -> None:
    server.settings.faults = [Fault("empty_body")]

    response = post(server, filter=DAY, sz=100, page=1)

    assert (response.status_code, response.content) == (200, b"")


def test_leaky_error_repeats_credentials_and_numbers(server: SandboxServer) -> None:
    for html in (False, True):
        server.settings.faults = [Fault("leaky_error", html=html)]
        text = post(server, filter={**DAY, "cNum": "919812345678"}).text
        assert "sandbox-token" in text
        assert "919812345678" in text


def test_redirect(server: SandboxServer) -> None:
    server.settings.faults = [Fault("redirect", status=307, location="http://other.example.com/x")]

    response = post(server)

    assert (response.status_code, response.headers["Location"]) == (307, "http://other.example.com/x")


def test_delay(server: SandboxServer) -> None:
    server.settings.faults = [Fault("delay", seconds=0.3, times=1)]
    began = time.monotonic()

    assert page(server, 0)["cnt"] == CALLS
    assert time.monotonic() - began >= 0.3


def test_gzip_bomb_is_a_thousand_to_one(server: SandboxServer) -> None:
    server.settings.faults = [Fault("gzip_bomb", megabytes=8)]

    with requests.post(f"{server.url}/api/v2/CallReport/list", json=CREDENTIALS, stream=True, timeout=5) as response:
        packed = response.raw.read(decode_content=False)

    assert response.headers["Content-Encoding"] == "gzip"
    unpacked = zlib.decompress(packed, zlib.MAX_WBITS | 16)
    assert len(unpacked) > 900 * len(packed)
    assert json.loads(unpacked) == {"data": []}


@pytest.mark.parametrize("declared", [False, True])
def test_huge_body(server: SandboxServer, declared: bool) -> None:
    server.settings.faults = [Fault("huge_body", megabytes=3, declared=declared)]

    response = post(server)

    assert len(response.content) > 3 << 20
    assert ("Content-Length" in response.headers) == declared


# Pages that do not fit together


@pytest.mark.parametrize("by_cursor", [False, True])
def test_overlapping_pages(server: SandboxServer, by_cursor: bool) -> None:
    """whole-or-red: pages that overlap: 5 doubled, 5 lost."""
    server.settings.cursor = "row_sort" if by_cursor else "none"
    whole = ids(read(server))
    server.settings.faults = [Fault("overlapping_pages")]

    counted = Counter(ids(read(server, by_cursor=by_cursor)))

    assert sum(counted.values()) == CALLS
    assert [call for call in whole if counted[call] == 2] == whole[95:100]
    assert [call for call in whole if counted[call] == 0] == whole[195:200]


def test_ignores_page(server: SandboxServer) -> None:
    server.settings.faults = [Fault("ignores_page")]

    assert page(server, 1) == page(server, 0)


@pytest.mark.parametrize("cursor", ["top", "row_sAftr", "row_sort"])
def test_stuck_cursor(server: SandboxServer, cursor: str) -> None:
    """whole-or-red: a cursor that never moves."""
    server.settings.cursor = cursor
    good = [cursor_of(one) for one in pages(server, by_cursor=True)]
    server.settings.faults = [Fault("stuck_cursor")]

    bad = [cursor_of(one) for one in pages(server, by_cursor=True, limit=5)]

    assert bad == [good[0]] * 5


@pytest.mark.parametrize("cursor", ["top", "row_sAftr", "row_sort"])
def test_cycling_cursor(server: SandboxServer, cursor: str) -> None:
    """whole-or-red: a cursor that cycles A-B-A."""
    server.settings.cursor = cursor
    good = [cursor_of(one) for one in pages(server, by_cursor=True)]
    server.settings.faults = [Fault("cycling_cursor")]

    bad = [cursor_of(one) for one in pages(server, by_cursor=True, limit=5)]

    assert bad == [good[0], good[1], good[0], good[1], good[0]]


@pytest.mark.parametrize("name", ["stuck_cursor", "cycling_cursor"])
def test_faults_of_the_cursor_need_one(server: SandboxServer, name: str) -> None:
    server.settings.faults = [Fault(name)]

    assert post(server, filter=DAY).status_code == 500


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_growing_total(server: SandboxServer, order: str) -> None:
    """Calls appear while the report is read: at the end of it, or, newest first, at its head."""
    server.settings.order = order
    server.settings.faults = [Fault("growing_total", rows=40, step=20)]

    read_pages = list(pages(server))

    assert [one["cnt"] for one in read_pages] == [210, 230, 250, 250]
    seen = Counter(call for one in read_pages for call in ids(rows_of(one)))
    assert len(seen) == (CALLS if order == "oldest" else CALLS - 40)
    assert max(seen.values()) == (1 if order == "oldest" else 2)


def test_shrinking_total(server: SandboxServer) -> None:
    whole = ids(read(server))
    for end, lost in (("newest", whole[-2:]), ("oldest", [whole[100], whole[201]])):
        server.settings.faults = [Fault("shrinking_total", end=end)]
        read_pages = list(pages(server))
        assert [one["cnt"] for one in read_pages] == [250, 249, 248, 247]
        got = [call for one in read_pages for call in ids(rows_of(one))]
        assert [call for call in whole if call not in got] == lost


# Pages that are not what they say


def test_short_page(server: SandboxServer) -> None:
    """whole-or-red: a short page: rows lost for good, in both kinds of paging."""
    for cursor in ("none", "top", "row_sAftr"):
        server.settings.cursor, server.settings.faults = cursor, [Fault("short_page")]
        read_pages = list(pages(server, by_cursor=cursor != "none"))
        assert [len(rows_of(one)) for one in read_pages] == [100, 95, 50, 0]
        assert {one["cnt"] for one in read_pages} == {CALLS}


@pytest.mark.parametrize(
    ("name", "data"), [("empty_page", []), ("null_data", None), ("missing_data", "gone"), ("odd_row", "row")]
)
def test_bent_data(server: SandboxServer, name: str, data: object) -> None:
    """whole-or-red: [] while the total says more; data: null with a total; and kin."""
    server.settings.faults = [Fault(name)]

    bent = page(server, 1)

    assert bent["cnt"] == CALLS
    assert (bent["data"][0] if name == "odd_row" else bent.get("data", "gone")) == data
    assert len(page(server, 0)["data"]) == 100


def test_wrong_total(server: SandboxServer) -> None:
    server.settings.faults = [Fault("wrong_total", by=-3)]

    assert {one["cnt"] for one in pages(server)} == {CALLS - 3}


# Bytes


def test_truncated_json(server: SandboxServer) -> None:
    """whole-or-red: truncated JSON, with a Content-Length that is right."""
    server.settings.faults = [Fault("truncated_json")]

    with pytest.raises(requests.exceptions.JSONDecodeError):
        post(server, filter=DAY, sz=100, page=1).json()


def test_byte_order_mark(server: SandboxServer) -> None:
    server.settings.faults = [Fault("bom")]

    content = post(server, filter=DAY).content

    assert content.startswith(b"\xef\xbb\xbf{")
    assert json.loads(content.decode("utf-8-sig"))["cnt"] == CALLS


def test_json_as_html(server: SandboxServer) -> None:
    server.settings.faults = [Fault("json_as_html")]

    response = post(server, filter=DAY)

    assert response.headers["Content-Type"].startswith("text/html")
    assert response.json()["cnt"] == CALLS


# The wire


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("reset_before_headers", "reset"),
        ("reset_after_headers", "reset"),
        ("reset_mid_body", "reset"),
        ("truncated_body", "IncompleteRead"),
        ("truncated_chunk", "IncompleteRead"),
        ("garbage", "BadStatusLine"),
        ("no_answer", "timed out"),
        ("slow_body", "timed out"),
        ("slow_headers", "timed out"),
        ("reset_on_connect", "reset|Remote end closed"),
        ("reset_connection", "reset|Remote end closed"),
        ("silence", "timed out"),
        ("slow_connection", "timed out"),
    ],
)
def test_the_wire_breaks_as_named_and_heals(server: SandboxServer, name: str, error: str) -> None:
    """network-faults: one request is hit, the next is whole."""
    options = {"after_bytes": 100} if name == "reset_connection" else {}
    server.settings.faults = [Fault(name, **options)]

    with pytest.raises(requests.exceptions.RequestException) as raised:
        post(server, filter=DAY, sz=100, timeout=0.4)
    assert re.search(error, str(raised.value))

    assert len(page(server, 0)["data"]) == 100
    assert server.settings.faults[0].hits == 1


@pytest.mark.parametrize(
    ("name", "headers", "body"),
    [
        ("reset_before_headers", False, "none"),
        ("reset_after_headers", True, "none"),
        ("reset_mid_body", True, "half"),
        ("truncated_body", True, "half"),
        ("truncated_chunk", True, "half"),
    ],
)
def test_how_much_arrives_before_the_wire_breaks(server: SandboxServer, name: str, headers: bool, body: str) -> None:
    whole = post(server, filter=DAY, sz=100).content
    server.settings.faults = [Fault(name)]

    head, _, rest = raw_exchange(server).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200") == headers
    assert (b"chunked" in head.lower()) == (name == "truncated_chunk")
    expected = whole[: len(whole) // 2] if body == "half" else b""
    assert rest.endswith(expected)
    assert len(rest) <= len(expected) + 10


def raw_exchange(server: SandboxServer) -> bytes:
    """All bytes that a request for page 0 gets before the connection ends, in whatever way."""
    body = json.dumps({**CREDENTIALS, "filter": DAY, "sz": 100}).encode()
    received = b""
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.sendall(
            b"POST /api/v2/CallReport/list HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        connection.sendall(body)
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
    return received


def test_a_slow_body_comes_byte_by_byte(server: SandboxServer) -> None:
    server.settings.faults = [Fault("slow_body", interval=0.02)]

    with requests.post(
        f"{server.url}/api/v2/CallReport/list", json={**CREDENTIALS, "filter": DAY}, stream=True, timeout=5
    ) as response:
        began = time.monotonic()
        assert response.raw.read(10) == b'{"columnAr'
        assert time.monotonic() - began >= 9 * 0.02


def test_wire_faults_strike_a_page_also_in_a_read_by_cursor(server: SandboxServer) -> None:
    server.settings.cursor = "top"
    server.settings.faults = [Fault("reset_mid_body", page=1)]

    after = page(server, 0)["sAftr"]

    with pytest.raises(requests.exceptions.RequestException):
        answer(server, filter=DAY, sz=100, sAftr=after)
    assert len(answer(server, filter=DAY, sz=100, sAftr=after)["data"]) == 100


def test_keep_alive_through_the_proxy_and_its_end(server: SandboxServer) -> None:
    """One connection carries many requests; drop_keepalive ends it although the answer did not say so."""
    with requests.Session() as session:

        def send() -> requests.Response:
            return session.post(f"{server.url}/api/v2/CallReport/list", json=CREDENTIALS, timeout=5)

        for _ in range(3):
            assert send().status_code == 200
        server.settings.faults = [Fault("drop_keepalive")]
        response = send()
        assert response.status_code == 200
        assert "close" not in response.headers.get("Connection", "")
        time.sleep(0.05)
        server.settings.faults = []
        # urllib3 notices a pooled connection that was closed in order, and opens another.
        assert send().status_code == 200


def test_a_closed_port_refuses_and_comes_back(server: SandboxServer) -> None:
    """network-faults: refused connections."""
    assert server.proxy is not None
    port = server.port
    with requests.Session() as session:
        assert session.get(f"{server.url}/sandbox/requests", timeout=5).status_code == 200
        with server.proxy.refusing(), pytest.raises(requests.exceptions.ConnectionError, match="refused"):
            session.get(f"{server.url}/sandbox/requests", timeout=5)
        assert session.get(f"{server.url}/sandbox/requests", timeout=5).status_code == 200
    assert server.port == port


@pytest.mark.slow
def test_refuse_connections_for_some_seconds(server: SandboxServer) -> None:
    server.settings.faults = [Fault("refuse_connections", seconds=2)]
    with pytest.raises(requests.exceptions.ConnectionError, match="reset"):
        post(server)
    time.sleep(0.05)
    with pytest.raises(requests.exceptions.ConnectionError, match="refused"):
        post(server)

    until = time.monotonic() + 60
    while (status := status_or_none(server)) is None:
        assert time.monotonic() < until, "the port stays closed"
        time.sleep(0.05)
    assert status == 200


def status_or_none(server: SandboxServer) -> int | None:
    """The status of an answer, or None where there is no connection."""
    try:
        return post(server).status_code
    except requests.exceptions.ConnectionError:
        return None


def test_the_proxy_resets_any_protocol_after_some_bytes() -> None:
    """A connection to S3 or SMTP that dies in the middle, in either direction."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        received = bytearray()

        def serve() -> None:
            for _ in range(2):
                connection, _ = target.accept()
                with connection:
                    connection.sendall(b"220 hello and welcome\r\n")
                    try:
                        while piece := connection.recv(100):
                            received.extend(piece)
                    except ConnectionResetError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        faults = [
            Fault("reset_connection", direction="up", after_bytes=5),
            Fault("reset_connection", direction="down", after_bytes=9),
        ]
        with TcpProxy("127.0.0.1", target.getsockname()[1], faults=faults) as proxy:
            with socket.create_connection((proxy.host, proxy.port), timeout=5) as client:
                client.sendall(b"EHLO me\r\n")
                assert drain(client) == b"220 hello and welcome\r\n"
            with socket.create_connection((proxy.host, proxy.port), timeout=5) as client:
                assert drain(client) == b"220 hello"
            thread.join(5)
        assert bytes(received) == b"EHLO "


def drain(client: socket.socket) -> bytes:
    """What comes before the reset; an orderly end is a failure."""
    got = b""
    try:
        while piece := client.recv(100):
            got += piece
    except ConnectionResetError:
        return got
    pytest.fail("the connection ended in order")
