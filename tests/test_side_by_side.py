"""Pages side by side (`concurrency`): the same report, no request more, and faster."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import DAY, client_of

from airflow_provider_callreport.api.errors import (
    IncompleteReportError,
    RequestRejectedError,
)
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

pytestmark = pytest.mark.slow


def ids(reader: ReportReader) -> list[Any]:
    return [record["callId"] for page in reader.pages() for record in page.records if isinstance(record, dict)]


@pytest.mark.parametrize("calls", [0, 1, 49, 50, 51, 500, 730])
@pytest.mark.parametrize("concurrency", [2, 4, 8])
@pytest.mark.parametrize("cursor", ["none", "top"])
def test_same_calls_in_the_same_order_with_no_request_more(calls: int, concurrency: int, cursor: str) -> None:
    """few-requests: at every concurrency the requests are at most ceil(total / size) + 3, and the report
    is the same.
    """
    settings = SandboxSettings(calls=SyntheticCalls(calls), cursor=cursor)
    with SandboxServer(settings) as server, client_of(server) as caller:
        in_turn = ids(ReportReader(caller, "calls", {}, DAY, page_size=50))
        requests_in_turn = len(server.requests)
        server.requests.clear()
        reader = ReportReader(caller, "calls", {}, DAY, page_size=50, concurrency=concurrency)
        assert ids(reader) == in_turn
        assert len(in_turn) == calls
        assert len(server.requests) == requests_in_turn <= -(-calls // 50) + 3
        assert reader.proof is not None
        assert reader.proof.complete is True


def test_an_error_on_a_page_is_told_for_that_page() -> None:
    """whole-or-red: what goes wrong ahead waits for its turn, and the error names the page, not the last
    one asked for.
    """
    settings = SandboxSettings(calls=SyntheticCalls(500), faults=[Fault("error_on_page", page=3, code=1015)])
    with SandboxServer(settings) as server, client_of(server) as caller:
        reader = ReportReader(caller, "calls", {}, DAY, page_size=50, concurrency=4)
        with pytest.raises(IncompleteReportError) as caught:
            ids(reader)
    assert (caught.value.page, caught.value.rows, caught.value.promised, caught.value.code) == (3, 150, 500, 1015)


def test_an_unknown_total_is_read_in_turn() -> None:
    """Without a total nobody knows what to ask for."""
    settings = SandboxSettings(calls=SyntheticCalls(300), cnt="missing")
    with SandboxServer(settings) as server, client_of(server) as caller:
        reader = ReportReader(caller, "calls", {}, DAY, page_size=50, concurrency=4)
        assert len(ids(reader)) == 300
        lists = [request for request in server.requests if request.endpoint == "list"]
        assert len(lists) <= 300 // 50 + 2


def test_a_cursor_is_not_waited_for() -> None:
    """side-by-side: pages are asked for side by side also where the API answers a cursor, and beyond 10,000 calls as
    well.
    """
    settings = SandboxSettings(calls=SyntheticCalls(12_000), cursor="top")
    with SandboxServer(settings) as server, client_of(server) as caller:
        reader = ReportReader(caller, "calls", {}, DAY, page_size=500, concurrency=4)
        assert len(set(ids(reader))) == 12_000
        assert not [request for request in server.requests if (request.body or {}).get("sAftr")]
        assert len(server.requests) <= 12_000 // 500 + 2 + 8


def test_a_refused_page_size_is_halved() -> None:
    """A server that refuses the page size is asked for fewer calls, from the same place."""
    settings = SandboxSettings(calls=SyntheticCalls(130), max_page_size=30, page_size_policy="refuse")
    with SandboxServer(settings) as server, client_of(server) as caller:
        reader = ReportReader(caller, "calls", {}, DAY, page_size=100)
        assert len(ids(reader)) == 130
        assert reader.page_size == 25


def test_other_refusals_cost_one_request() -> None:
    """error-kinds: code 1000 that is not about the size is fatal at once."""
    settings = SandboxSettings(faults=[Fault("error_on_page", page=0, code=1000)])
    with SandboxServer(settings) as server, client_of(server) as caller:
        with pytest.raises(RequestRejectedError):
            ids(ReportReader(caller, "calls", {}, DAY))
        assert len(server.requests) == 1
