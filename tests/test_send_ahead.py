"""The next request is on its way while the previous page is worked on, and nothing else changes (K3, C4, E3, E4)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.api import DAY, NOON, ScriptedServer, asked_pages, client_of, client_settings, listed, read_report

from airflow_provider_callreport.api import retry
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.paging import Page, ReportReader
from airflow_provider_callreport.sandbox.calls import Call
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

CALLS = 45
PAGE = 10
PAGES = 5
TOMORROW = Window(DAY.end, DAY.end + timedelta(days=1), DAY.zone)
SETTINGS = SandboxSettings(calls=listed(*(Call(NOON, f"9198{number:08d}") for number in range(CALLS))))


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(replace(SETTINGS), proxy=True) as running:
        yield running


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def pages_of(client: CallReportClient, **options: Any) -> Generator[Page, None, None]:
    return ReportReader(client, "calls", {}, DAY, page_size=PAGE, rounds_wait=(0,), **options).pages()


@pytest.mark.parametrize("cursor", ["none", "top"])
def test_the_next_page_comes_while_this_one_is_worked_on(server: SandboxServer, cursor: str) -> None:
    """K3: one request is ahead of the page in hand, never two; C4: none is made twice."""
    server.settings.cursor = cursor
    with client_of(server) as client:
        for number, _ in enumerate(pages_of(client)):
            ahead = min(number + 2, PAGES)
            assert wait_for(lambda ahead=ahead: len(asked_pages(server)) >= ahead), "asked for before it is read"  # type: ignore[misc]
            assert len(asked_pages(server)) <= number + 2
        assert asked_pages(server) == list(range(PAGES))
        assert client.requests_made == PAGES


def test_a_slow_answer_is_waited_for_and_not_asked_for_again(server: SandboxServer) -> None:
    """C4, K3: the server answers later than the page is worked on."""
    server.settings.faults = [Fault("delay", seconds=0.05)]
    assert len(read_report(server, page_size=PAGE).rows) == CALLS
    assert len(server.requests) == PAGES


@pytest.mark.parametrize("fault", ["reset_before_headers", "reset_mid_body", "truncated_json"])
def test_an_answer_that_breaks_is_asked_for_again(
    server: SandboxServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E3: what was sent ahead is tried again like any request."""
    monkeypatch.setattr(retry, "_BACKOFF", lambda state: 0.01)
    server.settings.faults = [Fault(fault, page=2, times=1)]
    reading = read_report(server, page_size=PAGE, client={"max_retry_time": 20})
    assert len(reading.rows) == CALLS
    assert asked_pages(server) == [0, 1, 2, 2, 3, 4]


def test_an_error_comes_after_the_page_before_it(server: SandboxServer) -> None:
    """C1: the page in hand is whole when the next one fails."""
    server.settings.faults = [Fault("error_on_page", code=1014)]
    with client_of(server) as client:
        pages = pages_of(client)
        assert len(next(pages).records) == PAGE
        with pytest.raises(Exception, match="1014"):
            next(pages)


def test_another_request_meanwhile_gets_its_own_answer(server: SandboxServer) -> None:
    """C1: no answer is taken for another's."""
    with client_of(server) as client:
        rows = 0
        for page in pages_of(client):
            rows += len(page.records)
            assert client.count({"filter": TOMORROW.api_filter()}) == 0
        assert rows == CALLS


def test_a_reader_that_is_left_leaves_a_client_that_works(server: SandboxServer) -> None:
    """C1: an answer that nobody fetched is not the next request's."""
    with client_of(server) as client:
        next(pages_of(client))
        assert wait_for(lambda: len(server.requests) == 2)
        assert [page.records for page in pages_of(client)] == [page.records for page in pages_of(client)]
        assert client.count({"filter": DAY.api_filter()}) == CALLS


def test_readers_of_one_client_do_not_take_each_others_answers(server: SandboxServer) -> None:
    """C1: a client may be shared by threads."""
    numbers = [f"9198{number:08d}" for number in range(CALLS)]

    def read(page_size: int) -> list[Any]:
        reader = ReportReader(client, "calls", {}, DAY, page_size=page_size, rounds_wait=(0,))
        records: list[Any] = [record for page in reader.pages() for record in page.records]
        return [record["Caller Number"] for record in records]

    server.settings.row_shape = "label"
    with client_of(server) as client, ThreadPoolExecutor(4) as threads:
        for rows in threads.map(read, [3, 7, 10, 13] * 5):
            assert sorted(rows) == numbers


def test_the_pace_is_kept(server: SandboxServer) -> None:
    """E4: a request that is sent ahead takes its turn like any other."""
    with client_of(server, requests_per_second=10.0) as client:
        assert sum(len(page.records) for page in pages_of(client)) == CALLS
    times = [request.time for request in server.requests]
    # Sent at least 0.1 s apart; on the way they may come closer, but not all of them.
    assert times[-1] - times[0] >= 0.1 * (len(times) - 1) - 0.05


@pytest.mark.parametrize("headers", [{"Connection": "close"}, {"Set-Cookie": "balancer=a"}, {}])
def test_each_page_is_asked_for_once(headers: dict[str, str]) -> None:
    """C4: servers that end each connection, or set cookies, get no request twice."""

    def answer(number: int) -> tuple[int, dict[str, str], bytes]:
        rows = [{"callId": f"{number}-{row}"} for row in range(PAGE if number < 3 else 0)]
        sent = {name: f"{value}{number}" if name == "Set-Cookie" else value for name, value in headers.items()}
        return 200, sent, json.dumps({"data": rows, "cnt": 3 * PAGE}).encode()

    with ScriptedServer(*map(answer, range(4))) as scripted:
        with CallReportClient(client_settings(scripted.url)) as client:
            assert sum(len(page.records) for page in pages_of(client)) == 3 * PAGE
        pages = [json.loads(seen.body)["page"] for seen in scripted.seen]
        cookies = [seen.headers.get("Cookie") for seen in scripted.seen]
    assert pages == sorted(set(pages))
    if "Set-Cookie" in headers:
        # The request for the next page had left before this page's cookie came.
        assert cookies == [None, *(f"balancer=a{max(0, number)}" for number in range(len(cookies) - 1))]
    assert client.requests_made == len(pages)


def test_a_closed_client_leaves_no_connection_open(server: SandboxServer) -> None:
    """P1: after an error of the writer, or a killed task, nobody goes on asking for pages."""
    with client_of(server) as client:
        pages = pages_of(client)
        next(pages)
        assert wait_for(lambda: len(server.requests) == 2)
        pages.close()
    time.sleep(0.1)
    assert len(server.requests) == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("callreport")]
