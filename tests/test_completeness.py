"""The file is the whole report, or the export fails and says why."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from math import ceil
from typing import Any

import pytest
from support.api import (
    DAY,
    NOON,
    SOAK,
    AnsweringServer,
    asked_pages,
    behave,
    client_of,
    client_settings,
    listed,
    read_report,
    sandbox,
    truth,
)

from airflow_provider_callreport.api import paging, totals
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    AuthenticationError,
    IncompleteReportError,
    RepeatedPageError,
    ReportChangedError,
    TableError,
)
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.api.reading import Proof
from airflow_provider_callreport.api.table import Table
from airflow_provider_callreport.export.road import EmptyReportError, ExportRequest, export_report
from airflow_provider_callreport.export.summary import ExportSummary
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox import app
from airflow_provider_callreport.sandbox.calls import Call, ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.query import page_query
from airflow_provider_callreport.sandbox.servers import SandboxServer

TOTAL, SIZE = 450, 100
CALLS = SyntheticCalls(TOTAL)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as running:
        yield running


@dataclass(frozen=True)
class Red:
    """What the error of a bad server must name.

    Attributes:
        page: 0-based page at which it was noticed.
        rows: rows got until then.
        promised: rows that the API promised.
        code: vendor code.
        kind: class of the error.
        words: part of its sentence.
    """

    page: int
    rows: int
    words: str
    promised: int | None = TOTAL
    code: int | None = None
    kind: type[IncompleteReportError] = IncompleteReportError


#: The ten bad servers of whole-or-red, then their relatives.
BAD_SERVERS: dict[str, tuple[list[Fault], dict[str, Any], Red]] = {
    "1 error body on a later page": (
        [Fault("error_on_page", page=1, code=1009)],
        {},
        Red(1, 100, "Something went wrong", code=1009),
    ),
    "2 token refused on a later page": (
        [Fault("error_on_page", page=1, code=1014)],
        {},
        Red(1, 100, "Invalid token", code=1014),
    ),
    "3 error body with cnt and data: null": (
        [Fault("error_with_cnt", page=1, cnt=TOTAL)],
        {},
        Red(1, 100, "Something went wrong", code=1009),
    ),
    "4 empty page while the total says more": (
        [Fault("empty_page", page=1)],
        {},
        Red(1, 100, "do not equal the API's total"),
    ),
    "5 truncated JSON": ([Fault("truncated_json", page=1)], {}, Red(1, 100, "JSON that is cut off or broken")),
    "6 HTML page with HTTP 200": ([Fault("html_page", page=1)], {}, Red(1, 100, "an HTML page instead of JSON")),
    "7 short page": ([Fault("short_page", page=1, rows=5)], {}, Red(5, 445, "do not equal the API's total")),
    "8 pages that overlap": (
        [Fault("overlapping_pages", page=1, rows=5)],
        {},
        Red(5, 445, "do not equal the API's total"),
    ),
    "9 cursor that never moves": (
        [Fault("stuck_cursor")],
        {"cursor": "top"},
        Red(
            1,
            200,
            "the API sent the same cursor twice (set the connection's extra field use_cursor to false",
            kind=RepeatedPageError,
        ),
    ),
    "10 cursor that cycles": (
        [Fault("cycling_cursor")],
        {"cursor": "top"},
        Red(
            2,
            300,
            "the API sent the same cursor twice (set the connection's extra field use_cursor to false",
            kind=RepeatedPageError,
        ),
    ),
    "error body with cnt 0 and data: null": (
        [Fault("error_with_cnt", page=4, cnt=0, code=1010)],
        {},
        Red(4, 400, "Error in DB connect", code=1010),
    ),
    "unknown code on a later page": (
        [Fault("error_on_page", page=2, code=1599, message="quota")],
        {},
        Red(2, 200, "quota", code=1599),
    ),
    "no data found on a later page": (
        [Fault("error_on_page", page=2, code=1012)],
        {},
        Red(2, 200, "do not equal the API's total"),
    ),
    "data: null": ([Fault("null_data", page=1)], {}, Red(1, 100, "data: null beside a cnt of 450")),
    "no data key": ([Fault("missing_data", page=1)], {}, Red(1, 100, "has no data")),
    "empty body": ([Fault("empty_body", page=1)], {}, Red(1, 100, "an empty body")),
    "page number ignored": (
        [Fault("ignores_page")],
        {},
        Red(1, 100, "the API sent the same page twice", kind=RepeatedPageError),
    ),
    "total too large": ([Fault("wrong_total", by=5)], {}, Red(5, 450, "do not equal", promised=455)),
    "total too small": ([Fault("wrong_total", by=-5)], {}, Red(4, 450, "do not equal", promised=445)),
}


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("row_shape", ["position", "hit", "array"])
@pytest.mark.parametrize("name", BAD_SERVERS)
def test_a_bad_server_never_gives_a_short_file(server: SandboxServer, name: str, row_shape: str, ids: bool) -> None:
    """whole-or-red: each bad server ends red, naming page, rows got, rows promised and the vendor's code."""
    faults, settings, red = BAD_SERVERS[name]
    if "overlap" in name and (not ids or row_shape == "array"):
        # Five rows doubled and five lost make the right number of rows; they are red all the same.
        red = Red(4, 450, "pages share rows (with page 0)", kind=ReportChangedError)
    fresh = [Fault(fault.name, **{**fault.options, "page": fault.page}) for fault in faults]
    behave(server, fresh, calls=CALLS, row_shape=row_shape, ids=ids, **settings)

    with pytest.raises(IncompleteReportError) as failed:
        read_report(server)

    error = failed.value
    assert (error.page, error.rows, error.promised, error.code) == (red.page, red.rows, red.promised, red.code)
    assert type(error) is red.kind
    assert red.words in str(error)
    assert str(error).startswith(f"not whole: {red.rows} of {red.promised} calls came; page {red.page}")
    assert red.code is None or f", vendor code {red.code}: " in str(error)


def test_a_refused_token_on_the_first_page_is_fatal(server: SandboxServer) -> None:
    """whole-or-red: error 1014 in an HTTP 200 on the first page is no empty report; page and code are named."""
    behave(server, [Fault("error_on_page", page=0, code=1014)], calls=CALLS)
    with pytest.raises(AuthenticationError, match=r"list, page 0 with HTTP 200, code 1014: Invalid token"):
        read_report(server)
    assert asked_pages(server) == [0]


TRANSIENT = [
    "error_on_page",
    "error_with_cnt",
    "empty_page",
    "truncated_json",
    "html_page",
    "null_data",
    "missing_data",
    "empty_body",
]


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_server_that_is_bad_once_gives_the_right_rows(
    server: SandboxServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """whole-or-red: what is bad only once is asked for again, and the file is right."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    behave(server, [Fault(name, times=1)], calls=CALLS)
    reading = read_report(server, client={"max_retry_time": 60})
    assert reading.rows == truth(CALLS)
    assert reading.outcome.complete is True


@pytest.mark.parametrize("cursor", ["none", "top", "row_sAftr", "row_sort"])
@pytest.mark.parametrize("cursor_shape", ["list", "scalar"])
@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_a_good_server_gives_the_right_rows(server: SandboxServer, cursor: str, cursor_shape: str, order: str) -> None:
    """whole-or-red: every kind of paging, in both orders, brings each call once and in the API's order."""
    behave(server, calls=CALLS, cursor=cursor, cursor_shape=cursor_shape, order=order)
    reading = read_report(server)
    expected = truth(CALLS)
    assert reading.rows == (expected if order == "oldest" else expected[::-1])
    assert (reading.outcome.complete, reading.outcome.reported_total) == (True, TOTAL)


def test_a_row_of_another_type_is_red(server: SandboxServer) -> None:
    """whole-or-red: a row that is neither object nor array is never skipped."""
    behave(server, [Fault("odd_row", page=0, value="row")], calls=CALLS)
    with pytest.raises(TableError, match="row 0 of the answer is text; a row must be an object or an array"):
        read_report(server)


@pytest.mark.parametrize("name", ["short_page", "empty_page", "overlapping_pages"])
def test_the_second_witness_convicts_a_short_report(server: SandboxServer, name: str) -> None:
    """proved-total: where cnt is no total, reportCount shows that rows are missing."""
    behave(server, [Fault(name, page=1)], calls=CALLS, cnt="missing")
    with pytest.raises(IncompleteReportError, match=rf"of {TOTAL} calls came"):
        read_report(server)


#: Every way in which cnt may count and reportCount may answer (or not), without all of their products.
PROOFS = [
    *itertools.product(("total", "text", "capped", "page", "missing"), ("cnt", "missing"), ("none", "top", "row_sort")),
    *itertools.product(("missing",), ("count", "total", "data", "data_cnt", "bare", "numeral", "error"), ("none",)),
]


@pytest.mark.parametrize(("cnt", "witness", "cursor"), PROOFS)
def test_what_proves_a_report_whole(server: SandboxServer, cnt: str, witness: str, cursor: str) -> None:
    """proved-total: cnt proves it when it is a total, reportCount when it answers, else the file says that nothing
    proves it.
    """
    behave(server, calls=CALLS, cnt=cnt, report_count=witness, cursor=cursor)
    reading = read_report(server)
    assert reading.rows == truth(CALLS)
    proved = cnt in ("total", "text", "capped") or witness not in ("error", "missing")
    assert reading.outcome.complete is (True if proved else None)
    assert reading.outcome.reported_total == (TOTAL if proved else None)
    assert ("could not be proved" in reading.outcome.note) is not proved
    asked_for_count = any(request.endpoint == "reportCount" for request in server.requests)
    assert asked_for_count, "reportCount is asked in each case"


def test_a_total_of_all_calls_does_not_convict_the_masked_ones(server: SandboxServer) -> None:
    """proved-total: reportCount may count other calls than masklist shows; then it is no witness, and
    the file says so.
    """
    masked = SyntheticCalls(120, masked=True)
    behave(server, calls=CALLS, masked_calls=masked, cnt="missing")
    reading = read_report(server, report="masked_calls")
    assert reading.rows == truth(masked)
    assert reading.outcome.complete is None

    behave(server, calls=masked, masked_calls=masked, cnt="missing")
    assert read_report(server, report="masked_calls").outcome.complete is True


@pytest.mark.parametrize("total", [0, 30, 100, 130])
def test_one_page_of_calls_is_proved_like_many(server: SandboxServer, total: int) -> None:
    """proved-total: a cnt that equals the rows of the only page may be the page's; the next answer tells."""
    calls = SyntheticCalls(total)
    for cnt, complete in (("total", True), ("page", True if total == 0 else None)):
        behave(server, calls=calls, cnt=cnt, report_count="missing")
        reading = read_report(server)
        assert reading.rows == truth(calls)
        assert reading.outcome.complete is complete


@pytest.mark.parametrize("cursor", ["none", "top"])
def test_a_total_that_grows_is_read_to_its_end(server: SandboxServer, cursor: str) -> None:
    """proved-total: calls that appear while the report is read are in it, and the last total is the one that counts."""
    behave(server, [Fault("growing_total", rows=30, step=15)], calls=CALLS, cursor=cursor)
    reading = read_report(server)
    assert reading.rows == truth(CALLS)
    assert reading.outcome.reported_total == TOTAL


@pytest.mark.parametrize("cursor", ["none", "top"])
def test_a_total_that_runs_ahead_is_asked_for_a_bounded_number_of_times(server: SandboxServer, cursor: str) -> None:
    """proved-total: an index that shows its total before its rows gets three more looks, no more and no fewer."""
    behave(server, [Fault("wrong_total", by=3)], calls=SyntheticCalls(100), cursor=cursor)
    with pytest.raises(IncompleteReportError, match="100 of 103 calls came"):
        read_report(server)
    assert len(asked_pages(server)) == 2 + 3


@pytest.mark.parametrize(("end", "cursor"), [("newest", "none"), ("oldest", "none"), ("newest", "top")])
def test_a_report_that_shrinks_is_read_again(server: SandboxServer, end: str, cursor: str) -> None:
    """proved-total: while calls vanish, rows slip past the page that is read: only a reading in peace counts."""
    shrinking = Fault("shrinking_total", rows=3, step=1, end=end)
    behave(server, [shrinking], calls=CALLS, cursor=cursor, report_count="missing")
    reading = read_report(server)
    left = truth(CALLS)[:-3] if end == "newest" else truth(CALLS)[3:]
    assert reading.rows == left
    assert reading.outcome.reported_total == TOTAL - 3
    assert asked_pages(server).count(0) == 2


def test_a_page_of_known_calls_in_a_report_that_moves_is_read_again(server: SandboxServer) -> None:
    """proved-total: a call that is added in front pushes the last one onto a page of its own: no server fault, so read
    again.
    """
    calls = [Call(NOON + timedelta(minutes=minute), call_id=f"call-{minute}") for minute in range(SIZE)]
    source = _GrowsInFront(calls, Call(NOON - timedelta(minutes=1), call_id="late"))
    behave(server, calls=source)
    reading = read_report(server)
    assert [row[1] for row in reading.rows] == sorted(row[1] for row in truth(source))
    assert len(reading.rows) == SIZE + 1


def test_a_call_that_a_new_one_pushes_onto_the_next_page_is_not_written_twice(server: SandboxServer) -> None:
    """alike-calls: without ids, one row more and one call more make equal numbers; while the total grows they prove
    nothing.
    """
    calls = [Call(NOON + timedelta(minutes=minute), number=f"9198{minute:08}") for minute in range(SIZE + 50)]
    source = _GrowsInFront(calls, Call(NOON - timedelta(minutes=1)))
    behave(server, calls=source, ids=False)
    assert read_report(server).rows == truth(source)


class _GrowsInFront(ListedCalls):
    """A call that began earlier than all others appears after the first request."""

    def __init__(self, calls: list[Call], late: Call) -> None:
        super().__init__(calls)
        self._late: Call | None = late

    def select(self, wanted: Any) -> Any:
        selection = super().select(wanted)
        if self._late is not None:
            self.calls.insert(0, self._late)
            self._late = None
        return selection


def test_warn_delivers_a_short_report_and_says_so(server: SandboxServer) -> None:
    """whole-or-red: on_incomplete="warn" writes what came, and the numbers that disagree."""
    behave(server, [Fault("short_page", page=1, rows=5)], calls=CALLS)
    reading = read_report(server, on_incomplete="warn")
    assert len(reading.rows) == TOTAL - 5
    assert reading.outcome.complete is False
    assert reading.outcome.note == "INCOMPLETE: 445 calls came and the API reports 450."


def test_warn_does_not_help_where_a_page_could_not_be_read(server: SandboxServer) -> None:
    """whole-or-red: on_incomplete="warn" forgives a number, not an error."""
    behave(server, [Fault("error_on_page", page=1)], calls=CALLS)
    with pytest.raises(IncompleteReportError, match="vendor code 1009"):
        read_report(server, on_incomplete="warn")


def _export(server: SandboxServer, **request: Any) -> ExportSummary:
    """An export to nowhere: S3 and mail have tests of their own."""
    with client_of(server) as client:
        asked = ExportRequest("calls", DAY, rounds_wait=(0, 0, 0), **request)
        return export_report(client, asked, run=RunIdentity("dag", "task", "run"))


def test_what_empty_means(server: SandboxServer) -> None:
    """empty-report: a report without calls is written, skipped or an error that a later try may mend."""
    behave(server, calls=SyntheticCalls(0))
    written = _export(server, empty="write")
    assert (written.skipped, written.outcome.rows, len(written.files)) == (False, 0, 1)
    skipped = _export(server, empty="skip")
    assert (skipped.skipped, len(skipped.files)) == (True, 0)
    with pytest.raises(EmptyReportError, match='has no calls, and empty="fail"') as failed:
        _export(server, empty="fail")
    assert failed.value.retryable


@pytest.mark.parametrize("empty", ["skip", "fail"])
def test_no_rows_where_some_are_promised_is_not_empty(server: SandboxServer, empty: str) -> None:
    """empty-report: 0 of 450 calls is incomplete, and under on_incomplete="warn" no reason to skip quietly."""
    behave(server, [Fault("empty_page", page=0)], calls=CALLS)
    with pytest.raises(IncompleteReportError, match="0 of 450 calls came"):
        _export(server, empty=empty)
    summary = _export(server, empty=empty, on_incomplete="warn")
    assert (summary.skipped, summary.outcome.complete, len(summary.files)) == (False, False, 1)


def test_a_row_lost_between_reading_and_writing_is_red(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """whole-or-red: the last check of the road: rows written are the rows that came."""
    behave(server, calls=CALLS)
    rows = Table.rows
    monkeypatch.setattr(Table, "rows", lambda table, records, column_arr: rows(table, records, column_arr)[1:])
    with pytest.raises(
        IncompleteReportError, match=r"445 of .*: the rows that were written are not the rows that came"
    ):
        read_report(server)


MANY = SyntheticCalls(250_000 if SOAK else 25_000)


@cache
def many_calls() -> list[tuple[str, ...]]:
    return truth(MANY)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"cnt": "capped", "cursor": "top"},
        {"cnt": "capped", "cursor": "none", "deep_page_limit": 10_000},
        {"cnt": "total", "cursor": "none", "deep_page_limit": 10_000},
        {"cnt": "capped", "cursor": "none", "deep_page_limit": 10_000, "row_shape": "fields", "ids": False},
    ],
    ids=["cursor", "capped, by page", "true total, by page", "capped, by page, no columns, no ids"],
)
def test_a_day_beyond_ten_thousand_calls_comes_out_whole(server: SandboxServer, settings: dict[str, Any]) -> None:
    """capped-totals: past 10,000 the reader follows the cursor, or splits the window by time: 25,000 (soak: 250,000)
    calls.
    """
    behave(server, calls=MANY, **settings)
    reading = read_report(server, page_size=1000)
    assert reading.rows == many_calls()
    assert (reading.outcome.complete, reading.outcome.reported_total) == (True, MANY.per_day)


@pytest.mark.slow
def test_a_total_of_ten_thousand_is_no_proof(server: SandboxServer) -> None:
    """capped-totals: 10,000 of 10,000 is what a capped count says of any larger report, so it proves nothing."""
    calls = SyntheticCalls(10_000)
    behave(server, calls=calls, cnt="capped", cursor="top", report_count="missing")
    reading = read_report(server, page_size=1000)
    assert len(reading.rows) == 10_000
    assert reading.outcome.complete is None

    behave(server, [Fault("empty_page", page=10)], calls=SyntheticCalls(10_500), cnt="capped", cursor="top")
    with pytest.raises(IncompleteReportError, match="10,000 of 10,500 calls came"):
        read_report(server, page_size=1000)


def test_a_total_that_stops_growing_at_ten_thousand_is_no_proof(server: SandboxServer) -> None:
    """capped-totals: a count that grows up to its cap stands still there; the calls behind it are read, and nothing is
    claimed.
    """
    calls = SyntheticCalls(10_020)
    growing = Fault("growing_total", rows=40, step=5)
    behave(server, [growing], calls=calls, cnt="capped", cursor="top", report_count="missing")
    reading = read_report(server, page_size=1000)
    assert reading.rows == truth(calls)
    assert reading.outcome.complete is None


def test_pages_beyond_the_limit_of_an_uncounted_report_are_red(server: SandboxServer) -> None:
    """capped-totals: without count and cursor the reader cannot know in time; it fails and says what to do."""
    behave(server, calls=SyntheticCalls(10_400), cnt="missing", deep_page_limit=10_000, report_count="missing")
    with pytest.raises(IncompleteReportError, match="10,000 of an unknown number of calls came") as failed:
        read_report(server, page_size=1000)
    assert "make the window shorter" in str(failed.value)


def test_a_window_down_to_one_second_is_not_split_for_ever(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """capped-totals: more calls in one second than can be counted cannot be split: reportCount is the proof."""
    monkeypatch.setattr(totals, "TOTAL_CAP", 1_000)
    calls = listed(*(Call(NOON, call_id=f"call-{number}", number=f"9198{number:08}") for number in range(1_001)))
    window = dataclasses.replace(
        DAY, start=DAY.start + timedelta(hours=12), end=DAY.start + timedelta(hours=12, seconds=4)
    )
    behave(server, calls=calls, cnt="capped", cnt_cap=1_000)
    reading = read_report(server, window=window, page_size=500)
    assert sorted(row[0] for row in reading.rows) == sorted(row[0] for row in truth(calls))
    assert reading.outcome.complete is True
    assert len(server.requests) < 12


SIZES = [
    (0, 1),
    (1, 1),
    (2, 1),
    (25, 1),
    (13, 7),
    (14, 7),
    (15, 7),
    *((total, 50) for total in (0, 1, 49, 50, 51, 100, 101)),
]


@pytest.mark.parametrize("cursor", ["none", "top"])
@pytest.mark.parametrize(("total", "size"), SIZES)
def test_a_clean_run_makes_few_requests(server: SandboxServer, total: int, size: int, cursor: str) -> None:
    """few-requests: requests <= ceil(total / size) + 3 with a second witness, whatever divides the other."""
    calls = SyntheticCalls(total)
    behave(server, calls=calls, cursor=cursor)
    reading = read_report(server, page_size=size)
    assert reading.rows == truth(calls)
    assert len(server.requests) == reading.requests <= ceil(total / size) + 3


def test_a_total_that_proves_nothing_is_asked_for_a_few_times_and_not_on_each_page(server: SandboxServer) -> None:
    """few-requests: 10,000 calls, where neither cnt nor reportCount is a witness."""
    calls = SyntheticCalls(10_000)
    behave(server, calls=calls, cursor="top")
    assert len(read_report(server, page_size=500).rows) == 10_000
    asked = [request.endpoint for request in server.requests]
    assert 2 <= asked.count("reportCount") <= 6
    assert asked.count("list") == 10_000 / 500 + 1


@pytest.mark.parametrize("total", [99, 100, 101, 260])
def test_a_server_that_clamps_the_size_costs_no_further_requests(server: SandboxServer, total: int) -> None:
    """few-requests: with pages of at most 50 where 100 were asked for, the bound holds for 50."""
    calls = SyntheticCalls(total)
    behave(server, calls=calls, max_page_size=50)
    assert read_report(server).rows == truth(calls)
    assert len(server.requests) <= ceil(total / 50) + 3


def test_splitting_a_window_costs_little(server: SandboxServer) -> None:
    """few-requests: each half adds the request that found it too large, and a last page of its own."""
    calls = SyntheticCalls(12_000)
    behave(server, calls=calls, cnt="capped", deep_page_limit=10_000)
    assert len(read_report(server, page_size=100).rows) == 12_000
    assert len(server.requests) <= 12_000 / 100 + 10


@pytest.mark.parametrize(("witness", "red"), [({"cnt": 500}, True), ({"cnt": 10}, False), ({}, False)])
def test_a_total_of_one_full_page_has_a_second_witness(witness: Any, red: bool) -> None:
    """proved-total: ``cnt`` of a full page may be that page's length, also beside an empty page after it."""
    rows = [{"callId": str(number)} for number in range(10)]

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        return witness if endpoint == "reportCount" else {"data": [] if body["page"] else rows, "cnt": 10}

    with AnsweringServer(answer) as server:
        reader = ReportReader(
            CallReportClient(client_settings(server.url)), "calls", {}, DAY, page_size=10, rounds_wait=()
        )
        if red:
            with pytest.raises(IncompleteReportError, match="10 of 500 calls came"):
                list(reader.pages())
        else:
            assert sum(len(page.records) for page in reader.pages()) == 10
            assert reader.proof is not None
            assert reader.proof.complete is True
        assert server.pages_asked() == [0, 1]
        assert "reportCount" in [endpoint for endpoint, _ in server.asked]


def test_a_server_without_end_is_stopped(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """few-requests: there is a hard ceiling of pages."""
    monkeypatch.setattr(paging, "MAX_PAGES", 7)
    behave(server, calls=CALLS, cnt="missing")
    with pytest.raises(IncompleteReportError, match="still answers after 7 requests"):
        read_report(server, page_size=10)
    assert len(asked_pages(server)) == 7


@pytest.mark.parametrize(
    ("fault", "cursor", "requests"),
    [
        ("ignores_page", "none", 2),
        ("stuck_cursor", "top", 2),
        ("stuck_cursor", "row_sort", 2),
        ("cycling_cursor", "top", 3),
    ],
)
@pytest.mark.parametrize("cnt", ["total", "missing", "page"])
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
def test_a_repeated_page_or_cursor_is_caught_within_one_request(
    server: SandboxServer, fault: str, cursor: str, requests: int, cnt: str, ids: bool
) -> None:
    """few-requests: the first answer that repeats a page or a cursor ends the reading, with or without a total."""
    behave(server, [Fault(fault)], calls=CALLS, cursor=cursor, cnt=cnt, ids=ids)
    with pytest.raises(RepeatedPageError):
        read_report(server)
    assert len(asked_pages(server)) <= requests + 1


@pytest.mark.parametrize("total", [40, 350])
@pytest.mark.parametrize("cnt", ["total", "page"])
def test_a_server_with_a_page_size_of_its_own_is_read_to_the_end(
    server: SandboxServer, total: int, cnt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """proved-total: a page longer than asked for, whose cnt equals its rows, is not taken for the whole report."""
    monkeypatch.setattr(app, "page_query", lambda body, *others: page_query({**body, "sz": 300}, *others))
    calls = SyntheticCalls(total)
    behave(server, calls=calls, cnt=cnt)
    reading = read_report(server)
    assert reading.rows == truth(calls)
    assert reading.outcome.complete is True


def test_a_server_that_does_not_page_is_believed_when_reportcount_agrees(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """proved-total: all 350 calls in the first answer to a request for 100 are the report if reportCount says 350, else
    red.
    """
    monkeypatch.setattr(app, "page_query", lambda body, *others: page_query({**body, "sz": 1000, "page": 0}, *others))
    calls = SyntheticCalls(350)
    behave(server, calls=calls)
    assert read_report(server).rows == truth(calls)
    assert asked_pages(server) == [0]

    behave(server, calls=calls, report_count="missing")
    with pytest.raises(RepeatedPageError, match="not whole: 350 of"):
        read_report(server)


TIES = [Call(NOON, number=f"9198{number:08}", call_id=f"tie-{number:05}") for number in range(5_000)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"ids": True, "cursor": "top"},
        {"ids": False, "row_shape": "array"},
        {"ids": False, "cursor": "row_sort"},
    ],
    ids=["ids", "neither", "sort"],
)
def test_equal_times_at_page_borders_lose_and_double_nothing(server: SandboxServer, settings: dict[str, Any]) -> None:
    """alike-calls: 5,000 calls of one second come out once each."""
    source = listed(*TIES)
    behave(server, calls=source, **settings)
    reading = read_report(server, page_size=1000)
    assert [row[0] for row in reading.rows] == [call.number for call in TIES]
    assert reading.outcome.complete is True


def _alike(number: int) -> list[Call]:
    """Calls that look alike in every column and differ in their id only."""
    return [Call(NOON, call_id=f"alike-{index:05}") for index in range(number)]


@pytest.mark.parametrize("settings", [{"ids": True}, {"ids": False, "cursor": "row_sort"}], ids=["ids", "sort"])
@pytest.mark.parametrize("cnt", ["total", "missing"])
def test_calls_that_look_alike_are_kept_where_ids_tell_them_apart(
    server: SandboxServer, settings: dict[str, Any], cnt: str
) -> None:
    """alike-calls: an id or a sort key tells calls apart that look alike, with and without a total."""
    behave(server, calls=listed(*_alike(25)), cnt=cnt, report_count="missing", **settings)
    assert len(read_report(server, page_size=10).rows) == 25


@pytest.mark.parametrize("row_shape", ["position", "array"])
def test_calls_that_look_alike_are_kept_where_the_total_says_so(server: SandboxServer, row_shape: str) -> None:
    """alike-calls: with neither id nor sort, whole pages of calls that look alike are kept when the
    total counts them.
    """
    behave(server, calls=listed(*_alike(25)), ids=False, row_shape=row_shape)
    reading = read_report(server, page_size=10)
    assert len(reading.rows) == 25
    assert reading.outcome.complete is True


def test_two_calls_that_look_alike_on_either_side_of_a_page_border_are_kept(server: SandboxServer) -> None:
    """alike-calls: such a pair is what an overlap of one row looks like; the total decides."""
    calls = [Call(NOON + timedelta(seconds=max(0, index - 1) if index >= 10 else index)) for index in range(25)]
    assert calls[9] == calls[10]
    behave(server, calls=listed(*calls), ids=False)
    assert len(read_report(server, page_size=10).rows) == 25


def test_a_surplus_of_rows_without_ids_is_dropped_when_the_total_says_so(server: SandboxServer) -> None:
    """alike-calls: a row that comes twice and is one too many by the total is read again and left out, in its first
    place.
    """
    calls = [Call(NOON + timedelta(seconds=index), number=f"9198{index:08}") for index in range(25)]
    behave(server, calls=_DoubledRow(calls), ids=False)
    reading = read_report(server, page_size=10)
    assert [row[0] for row in reading.rows] == [call.number for call in calls]
    assert reading.outcome.complete is True
    assert reading.proof.duplicates_dropped == 1


class _DoubledRow(ListedCalls):
    """Shows its tenth call as the eleventh row too, and its total without that row."""

    def select(self, wanted: Any) -> Any:
        selection = super().select(wanted)
        return _Doubled(selection)


class _Doubled:
    def __init__(self, selection: Any) -> None:
        self._selection = selection

    def __len__(self) -> int:
        return len(self._selection)

    def encode(self, start: int, stop: int, shape: Any) -> list[str]:
        rows = self._selection.encode(0, len(self), shape)
        rows.insert(10, rows[9])
        # The last page has room for the row that was pushed out.
        return list(rows[start : stop + 1] if stop >= len(self) else rows[start:stop])

    def cursor(self, position: int) -> Any:
        return self._selection.cursor(position)


def test_a_sort_key_that_calls_share_does_not_swallow_them(server: SandboxServer) -> None:
    """alike-calls: when rows of one answer have an equal sort, it is a time and no identity: nothing is
    dropped by it.
    """
    calls = [
        Call(NOON, number=f"9198{index:08}", extra={"sort": [1773383400000]}, call_id=f"call-{index}")
        for index in range(25)
    ]
    behave(server, calls=listed(*calls), ids=False, cnt="missing", report_count="missing")
    reading = read_report(server, page_size=10, client={"use_cursor": False})
    assert sorted(row[0] for row in reading.rows) == [call.number for call in calls]


def test_calls_that_share_a_sort_key_and_look_alike_are_kept_where_the_total_says_so(server: SandboxServer) -> None:
    """alike-calls: an equal sort in one answer is no identity, so calls that are alike in that too are counted by the
    total.
    """
    calls = [Call(NOON, extra={"sort": [1773383400000]}) for _ in range(25)]
    behave(server, calls=listed(*calls), ids=False)
    assert len(read_report(server, page_size=10, client={"use_cursor": False}).rows) == 25


def test_an_id_that_rows_share_does_not_swallow_them(server: SandboxServer) -> None:
    """alike-calls: a call with several legs has rows of one id; each is kept."""
    calls = [
        Call(NOON + timedelta(seconds=index), agents=f"Agent {index}", extra={"callId": f"call-{index // 3}"})
        for index in range(24)
    ]
    behave(server, calls=listed(*calls), ids=False)
    reading = read_report(server, page_size=10)
    assert [row[4] for row in reading.rows] == [call.agents for call in calls]
    assert reading.outcome.complete is True


PAGE_SIZE = 10
NO_WITNESS: dict[str, Any] = {}


def proof_of(pages: list[tuple[int, int | None]], witness: Any = NO_WITNESS) -> Proof:
    """Read pages, each so many rows beside a ``cnt``, and then what reportCount answers."""
    first, answers = 0, []
    for rows, count in pages:
        data = [{"callId": str(number)} for number in range(first, first + rows)]
        answers.append({"data": data} if count is None else {"data": data, "cnt": count})
        first += rows
    script = iter(answers)
    with AnsweringServer(lambda endpoint, body: witness if endpoint == "reportCount" else next(script)) as server:
        reader = ReportReader(
            CallReportClient(client_settings(server.url)), "calls", {}, DAY, page_size=SIZE, rounds_wait=()
        )
        for _ in reader.pages():
            pass
    assert reader.proof is not None
    return reader.proof


@pytest.mark.parametrize("at_the_end", [25, 0, None])
def test_a_count_of_the_rows_so_far_proves_nothing(at_the_end: int | None) -> None:
    """proved-total: ``cnt`` that is always what came until now would call any report whole, and end it
    at a short page.
    """
    proof = proof_of([(10, 10), (8, 18), (7, 25), (0, at_the_end)])
    assert (proof.rows, proof.reported_total, proof.complete) == (25, None, None)


def test_a_count_of_the_rows_so_far_has_a_second_witness() -> None:
    """proved-total: reportCount convicts a hole that such a ``cnt`` hides."""
    with pytest.raises(IncompleteReportError, match="25 of 27 calls came"):
        proof_of([(10, 10), (8, 18), (7, 25), (0, 25)], {"cnt": 27})


@pytest.mark.parametrize("pages", [[(10, 10), (10, 10), (0, None)], [(10, 10), (10, 10), (5, 5), (0, None)]])
def test_a_page_count_may_be_missing_beyond_the_last_page(pages: list[tuple[int, int | None]]) -> None:
    """proved-total: a whole report whose ``cnt`` counts pages is not red for ever because the empty page has none."""
    rows = sum(rows for rows, _ in pages)
    assert proof_of(pages).complete is None
    assert proof_of(pages, {"cnt": rows}).complete is True
