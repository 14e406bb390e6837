"""How many calls there are: the worker's client and the triggerer's ask the same and understand the same."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.api import (
    DAY,
    NOON,
    AnsweringServer,
    ScriptedServer,
    api_url,
    behave,
    client_settings,
    json_answer,
    listed,
    sandbox,
)

from airflow_provider_callreport.api.async_client import AsyncCallReportClient
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.counting import CallCount, count_calls
from airflow_provider_callreport.api.errors import (
    AnswerTooLargeError,
    CallReportError,
    SettingsError,
    TransportError,
)
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.settings import ClientSettings, Credentials
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer

CALLS = [Call(NOON + timedelta(minutes=minute), mask=f"mask_{minute}") for minute in range(7)]

#: One client and the other.
KINDS = ("worker", "triggerer")


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox(proxy=True) as one:
        yield one


def count(kind: str, settings: ClientSettings, report: str = "calls", up_to: int = 1, **filters: Any) -> CallCount:
    if kind == "worker":
        with CallReportClient(settings) as client:
            return count_calls(client, report, filters, DAY, up_to=up_to)

    async def acount() -> CallCount:
        async with AsyncCallReportClient(settings) as client:
            return await client.run(lambda caller: count_calls(caller, report, filters, DAY, up_to=up_to))

    return asyncio.run(acount())


def count_at(kind: str, server: SandboxServer, *, settings: dict[str, Any] | None = None, **question: Any) -> CallCount:
    return count(kind, client_settings(api_url(server), **(settings or {})), **question)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["cnt", "count", "total", "data", "data_cnt", "bare", "numeral"])
def test_calls_are_counted_by_one_request(server: SandboxServer, kind: str, shape: str) -> None:
    """proved-total: every shape of reportCount's answer is a number, and no row is asked for."""
    behave(server, calls=listed(*CALLS), report_count=shape)
    assert count_at(kind, server, up_to=3) == CallCount(7, True, "reportCount")
    assert [request.endpoint for request in server.requests] == ["reportCount"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["missing", "no number"])
def test_without_reportcount_a_page_tells(server: SandboxServer, kind: str, how: str) -> None:
    """proved-total: where reportCount is not there, or holds no number, cnt beyond the page's own rows is the total."""
    behave(server, calls=listed(*CALLS), report_count="missing")
    if how == "no number":
        with ScriptedServer(
            json_answer({"done": True}), json_answer({"data": [{"1": "x"}, {"1": "y"}], "cnt": 7})
        ) as scripted:
            assert count(kind, client_settings(scripted.url), up_to=2) == CallCount(7, True, "cnt")
            assert [seen.path for seen in scripted.seen] == ["/reportCount", "/list"]
        return
    assert count_at(kind, server, up_to=2) == CallCount(7, True, "cnt")
    assert [request.endpoint for request in server.requests] == ["reportCount", "list"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cnt", ["page", "missing"])
@pytest.mark.parametrize(("up_to", "at_least"), [(1, 1), (5, 5), (7, 7), (20, 7)])
def test_rows_count_where_cnt_does_not(server: SandboxServer, kind: str, cnt: str, up_to: int, at_least: int) -> None:
    """proved-total: a cnt that may be the page's own length is no total; so many rows as are waited for are proof
    enough.
    """
    behave(server, masked_calls=listed(*CALLS), cnt=cnt)
    assert count_at(kind, server, report="masked_calls", up_to=up_to) == CallCount(at_least, False, "rows")
    assert [request.endpoint for request in server.requests] == ["masklist"], "reportCount may count other calls"


@pytest.mark.parametrize("kind", KINDS)
def test_no_calls_are_certain(server: SandboxServer, kind: str) -> None:
    """proved-total: an answer without rows and without a larger cnt is none."""
    behave(server, masked_calls=listed())
    assert count_at(kind, server, report="masked_calls", up_to=5) == CallCount(0, True, "rows")


@pytest.mark.parametrize("kind", KINDS)
def test_a_capped_total_is_a_lower_bound(server: SandboxServer, kind: str) -> None:
    """capped-totals: exactly 10,000 is never taken for the number of calls."""
    with ScriptedServer(json_answer({"data": [{"1": "x"}], "cnt": 10_000})) as scripted:
        assert not count(kind, client_settings(scripted.url), report="masked_calls").exact


@pytest.mark.parametrize("report", ["calls", "masked_calls"])
def test_a_capped_count_is_counted_in_parts(report: str) -> None:
    """capped-totals: 12,345 calls where the server stops counting at 10,000; past it, each new call is noticed."""
    minutes = [number % 1440 for number in range(12_345)]

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        first, last = (datetime.fromisoformat(body["filter"][key]) for key in ("dtGte", "dtLte"))
        found = [at for at in minutes if first <= datetime(2026, 3, 13) + timedelta(minutes=at) <= last]
        count = min(len(found), 10_000)
        if endpoint == "reportCount":
            return {"cnt": count}
        rows = [{"1": "x", "2": f"{datetime(2026, 3, 13) + timedelta(minutes=at)}"} for at in found[: body["sz"]]]
        return {"columnArr": {"1": "Caller Number", "2": "Time"}, "data": rows, "cnt": count}

    with AnsweringServer(answer) as server, CallReportClient(client_settings(server.url)) as client:
        assert count_calls(client, report, {}, DAY).calls == 12_345
        assert len(server.asked) < 20


@pytest.mark.parametrize(
    "payload",
    [
        {"data": [], "cnt": 0, "message": "Session expired"},
        {"data": [], "cnt": 0, "_shards": {"failed": 5}},
        {"data": [], "cnt": 0, "Status": "error"},
        {"data": [{"1": "x", "2": "2025-03-13 10:00:00"}], "cnt": 50, "columnArr": {"1": "Caller Number", "2": "Time"}},
        {"data": [{}], "cnt": 50},
    ],
    ids=["a sentence", "failed shards", "a status", "last year", "an empty row"],
)
def test_an_answer_that_is_unlike_a_report_counts_nothing(payload: dict[str, Any]) -> None:
    """empty-is-proved: a sensor is not told a number by an answer that an export would refuse."""
    with (
        AnsweringServer(lambda endpoint, body: payload if endpoint == "masklist" else None) as server,
        CallReportClient(client_settings(server.url)) as client,
        pytest.raises(CallReportError),
    ):
        count_calls(client, "masked_calls", {}, DAY)


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_a_page_needs_a_total(server: SandboxServer, kind: str) -> None:
    """clear-sentence: waiting for more calls than can be counted would never end, so it is refused at
    once, in words.
    """
    behave(server, masked_calls=listed(*CALLS), cnt="missing")
    with pytest.raises(SettingsError) as refusal:
        count_at(kind, server, settings={"page_size": 5}, report="masked_calls", up_to=6)
    assert str(refusal.value) == (
        "the API gives no total of masked_calls, and only the 5 calls of one page can be counted; "
        "wait for at most that many, not 6, or raise page_size in the connection"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_transient_errors_are_tried_again(server: SandboxServer, kind: str) -> None:
    """error-kinds: 1009 twice, then the number; inside max_retry_time."""
    behave(server, [Fault("vendor_error", code=1009, times=2)], calls=listed(*CALLS))
    assert count_at(kind, server, settings={"max_retry_time": 30}).calls == 7
    assert len(server.requests) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_is_obeyed(kind: str) -> None:
    """retry-wait: 429 with Retry-After is a wait, not a failure."""
    answers = (json_answer({"message": "slow down"}, 429, Retry_After="0.4"), json_answer({"cnt": 7}))
    with ScriptedServer(*answers) as scripted:
        assert count(kind, client_settings(scripted.url, max_retry_time=30)).calls == 7
        first, second = scripted.seen
        assert second.time - first.time >= 0.4


def test_a_refused_connection_is_named() -> None:
    """network-faults: nobody listens: one sentence, without the body that holds the token."""
    with pytest.raises(
        TransportError, match=r"^reportCount at http://127\.0\.0\.1:9: the connection was refused$"
    ) as error:
        count("triggerer", client_settings("http://127.0.0.1:9"))
    assert error.value.__context__ is None
    assert error.value.__cause__ is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_signs_in_once(kind: str) -> None:
    """The requests of the two clients are equal byte for byte, and their secrets are in the body only."""
    with ScriptedServer(json_answer({"cnt": 1})) as scripted:
        settings = client_settings(scripted.url, credentials=Credentials("user", "canary-token"))
        count(kind, settings, cNum="919800000000")
    (seen,) = scripted.seen
    assert seen.body == (
        b'{"userId": "user", "token": "canary-token", "filter": {"cNum": "919800000000", '
        b'"dtGte": "2026-03-13 00:00:00", "dtLte": "2026-03-13 23:59:59"}}'
    )
    assert "canary" not in str(seen.headers) + seen.path
    assert seen.headers["Content-Type"] == "application/json"


def test_a_gzip_bomb_does_not_go_off() -> None:
    """bounded-answers: 100 MB in 100 kB ends in little memory."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    with ScriptedServer((200, {"Content-Encoding": "gzip"}, bomb)) as scripted:
        tracemalloc.start()
        with pytest.raises(AnswerTooLargeError):
            count("triggerer", client_settings(scripted.url))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 24 << 20


def test_the_pace_holds(server: SandboxServer) -> None:
    """request-pace: requests_per_second, over all the requests of a client."""
    behave(server, calls=listed(*CALLS))

    async def ask() -> float:
        async with AsyncCallReportClient(client_settings(api_url(server), requests_per_second=10)) as client:
            began = time.monotonic()
            await asyncio.gather(*(client.run(lambda caller: count_calls(caller, "calls", {}, DAY)) for _ in range(4)))
            return time.monotonic() - began

    assert asyncio.run(ask()) >= 0.3


def test_a_window_without_wall_time_costs_no_request(server: SandboxServer) -> None:
    """exact-window: the first pass of a repeated hour has no calls of its own."""
    start = datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    window = Window(start, start + timedelta(minutes=15), ZoneInfo("Europe/Berlin"))
    behave(server)
    with CallReportClient(client_settings(api_url(server))) as client:
        assert count_calls(client, "calls", {}, window) == CallCount(0, True, "rows")
    assert not server.requests
