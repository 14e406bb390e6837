"""What has not been recognised as right is an error: answers that are unlike the account's others.

Each case is one small server. The report that it makes is right to the cell, or the export is red.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.api import DAY, AnsweringServer, Reading, read_report

from airflow_provider_callreport.api.errors import (
    AnswerChangedError,
    AnswerError,
    AnswerTooLargeError,
    CallReportError,
    IncompleteReportError,
    ReportChangedError,
    TableError,
)
from airflow_provider_callreport.api.filters import Window

LABELS = ("Caller Number", "Time", "Agents", "Status")
COLUMNS = {str(number): label for number, label in enumerate(LABELS, 1)}
SIZE = 2


def call(number: int, **more: Any) -> dict[str, Any]:
    """A row by position."""
    row = (f"9198000000{number:02}", f"2026-03-13 09:{number:02}:00", "Asha", "Answered")
    return {**{str(place): cell for place, cell in enumerate(row, 1)}, **more}


def by_label(row: Mapping[str, Any]) -> dict[str, Any]:
    return {COLUMNS.get(key, key): cell for key, cell in row.items()}


def pages(
    rows: Sequence[Any],
    *,
    cnt: int | None = -1,
    witness: Any = None,
    last: Mapping[str, Any] | None = None,
    **beside: Any,
) -> Callable[[str, dict[str, Any]], Any]:
    """A server with these rows: ``cnt`` is their number unless it is given, ``last`` what the pages after them add."""
    total = len(rows) if cnt == -1 else cnt

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        if endpoint == "reportCount":
            return witness
        start = body["page"] * body["sz"]
        data = list(rows[start : start + body["sz"]])
        made = {"columnArr": COLUMNS, "data": data, **({} if total is None else {"cnt": total}), **beside}
        return made if data or last is None else {**made, **last}

    return answer


def export(answer: Callable[[str, dict[str, Any]], Any], **options: Any) -> Reading:
    """Export the report of such a server, two calls a page."""
    client = {"page_size": SIZE, **options.pop("client", {})}
    with AnsweringServer(answer) as server:
        return read_report(server, client=client, rounds_wait=(0,), **options)


def refuse(answer: Callable[[str, dict[str, Any]], Any], **options: Any) -> CallReportError:
    """The error of such an export; in each way to read."""
    with pytest.raises(CallReportError) as caught:
        export(answer, **options)
    return caught.value


# --- no rows is a claim ----------------------------------------------------------------------------------------------

NOT_A_RESULT: dict[str, dict[str, Any]] = {
    "a sentence": {"message": "Session expired, please login again"},
    "another key of a sentence": {"Msg": "Please try later"},
    "a status in capitals": {"Status": "error"},
    "a status that is a number in text": {"status": "500"},
    "a status of another kind": {"status": "maintenance"},
    "success 0": {"success": 0},
    "success no": {"Success": "no"},
    "isError": {"isError": True},
    "has_error": {"has_error": "Y"},
    "a response code": {"responseCode": 1014},
    "a response code in text": {"response_code": "ERR_AUTH"},
    "a fault": {"fault": {"faultstring": "quota"}},
    "failed shards": {"_shards": {"total": 5, "failed": 5}},
    "a key nobody knows": {"unauthorized": True},
    "a warning": {"warnings": ["index is read-only"]},
    "a reason": {"reason": "too many requests"},
}


@pytest.mark.parametrize("said", NOT_A_RESULT.values(), ids=list(NOT_A_RESULT))
@pytest.mark.parametrize("witness", [None, {"cnt": 4000}, {"status": "error", "code": 1000, "message": "x"}])
def test_an_empty_answer_with_something_beside_it_is_red(said: dict[str, Any], witness: Any) -> None:
    """empty-is-proved: no rows are believed in the documented form alone, whatever else is said."""
    error = refuse(pages([], witness=witness, **said))
    assert error.retryable is True


@pytest.mark.parametrize("said", NOT_A_RESULT.values(), ids=list(NOT_A_RESULT))
def test_a_later_page_with_something_beside_it_ends_no_report_without_a_total(said: dict[str, Any]) -> None:
    """empty-is-proved: the same on a page after the first: without a total, an error would be the end of the report."""
    refuse(pages([call(1), call(2)], cnt=None, last={"data": [], **said}))


@pytest.mark.parametrize("said", [{"_shards": {"failed": 1}}, {"partial": True}, {"note": "first 2 only"}])
def test_rows_with_something_beside_them_need_the_second_witness(said: dict[str, Any]) -> None:
    """empty-is-proved: rows beside a key that nobody knows are believed when reportCount counts as many."""
    rows = [call(1), call(2), call(3)]
    refuse(pages(rows, **said))
    if "partial" not in said:
        assert len(export(pages(rows, witness={"cnt": 3}, **said)).rows) == 3


def test_no_rows_are_believed_in_the_documented_form() -> None:
    """empty-is-proved: the vendor's own printed answer is an ordinary, empty report; also where reportCount fails."""
    for witness in (None, {"status": "error", "message": "not found", "code": 1000}, {"cnt": 0}):
        reading = export(pages([], hideSectionArr=[], witness=witness))
        assert (reading.rows, reading.outcome.complete) == ([], True)


def test_no_rows_beside_a_sentence_are_believed_where_reportcount_says_0_or_the_connection_knows_them() -> None:
    """empty-is-proved: a second witness, or one extra field that says what empty answers carry."""
    said: dict[str, Any] = {"message": "No records found"}
    assert export(pages([], witness={"cnt": 0}, **said)).rows == []
    assert export(pages([], **said), client={"empty_answer": said}).rows == []
    assert export(pages([], cnt=None, **said), client={"empty_answer": {"message": None}}).rows == []
    refuse(pages([], **said), client={"empty_answer": {"message": "another sentence"}})


def test_no_rows_without_a_count_of_0_need_the_second_witness() -> None:
    """empty-is-proved: ``{"data": []}`` may be a gateway's answer to anything."""
    bare = pages([], cnt=None, columnArr={})
    assert isinstance(refuse(bare), AnswerError)
    assert export(pages([], cnt=None, columnArr={}, witness={"total": "0"})).rows == []
    # Of an account without cnt, the columns show that the report itself has answered; nothing proves more.
    assert export(pages([], cnt=None)).outcome.complete is None


def test_reportcount_convicts_an_empty_report() -> None:
    """empty-is-proved: two numbers of the same API that differ: neither is believed."""
    error = refuse(pages([], witness={"cnt": 7}))
    assert "the list shows 0 calls and reportCount counts 7" in str(error)
    assert export(pages([], witness={"cnt": 7}), client={"use_report_count": False}).rows == []


@pytest.mark.parametrize("status", [201, 202, 204, 206, 299])
def test_only_http_200_is_an_answer(status: int) -> None:
    """error-kinds: an accepted, partial or created answer is not the report."""
    empty = pages([], witness={"cnt": 0})
    refuse(lambda endpoint, body: (status, empty(endpoint, body)))


# --- columns ---------------------------------------------------------------------------------------------------------

KEYED_OTHERWISE: dict[str, list[Any]] = {
    "small letters": [by_label(call(1)), by_label(call(2)), {**by_label(call(3)), "caller number": "x"}],
    "a label replaced": [
        by_label(call(1)),
        by_label(call(2)),
        {("caller number" if key == "Caller Number" else key): cell for key, cell in by_label(call(3)).items()},
    ],
    "another word": [
        by_label(call(1)),
        by_label(call(2)),
        {("Callers" if key == "Caller Number" else key): cell for key, cell in by_label(call(3)).items()},
    ],
    "a blank more": [
        by_label(call(1)),
        by_label(call(2)),
        {f"{key} ": cell for key, cell in by_label(call(3)).items()},
    ],
    "by position": [by_label(call(1)), by_label(call(2)), call(3)],
    "half by position": [by_label(call(1)), by_label(call(2)), {**call(3), "Status": "Answered", "4": None}],
    "by label": [call(1), call(2), by_label(call(3))],
    "an array": [call(1), call(2), list(call(3).values())],
    "a wider array": [list(call(1).values()), list(call(2).values()), [*call(3).values(), "x"]],
    "a narrower array": [list(call(1).values()), list(call(2).values()), list(call(3).values())[1:]],
    "an empty object": [call(1), call(2), {}],
    "from 0": [call(1), call(2), {str(int(key) - 1): cell for key, cell in call(3).items()}],
}


@pytest.mark.parametrize("rows", KEYED_OTHERWISE.values(), ids=list(KEYED_OTHERWISE))
def test_a_later_row_that_is_keyed_otherwise_is_red(rows: list[Any]) -> None:
    """learn-once: no cell under another label, none lost: the report is read again, and then it is red."""
    error = refuse(pages(rows))
    assert isinstance(error, (AnswerChangedError, IncompleteReportError))
    assert error.retryable is True


@pytest.mark.parametrize("rows", KEYED_OTHERWISE.values(), ids=list(KEYED_OTHERWISE))
def test_a_row_of_the_first_page_that_is_keyed_otherwise_is_red(rows: list[Any]) -> None:
    """learn-once: the same where the form is learned."""
    refuse(pages(rows), client={"page_size": 10})


def test_an_account_that_changes_for_a_moment_is_read_again() -> None:
    """learn-once: the first answer unlike the others is an accident; the second reading is whole."""
    rows = [by_label(call(number)) for number in range(1, 4)]
    plain, strange = pages(rows), iter([True])

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        made = plain(endpoint, body)
        if endpoint == "list" and body["page"] == 1 and next(strange, False):
            made["data"] = [{key.lower(): cell for key, cell in row.items()} for row in made["data"]]
        return made

    assert [row[0] for row in export(answer).rows] == [row["Caller Number"] for row in rows]


def test_a_label_that_ends_in_a_number_is_a_label_of_its_own() -> None:
    """learn-once: Score (10) is not a second Score."""
    columns = {"1": "Caller Number", "2": "Time", "3": "Score", "4": "Score (10)"}
    rows = [
        {"Caller Number": "919800000001", "Time": "2026-03-13 09:01:00", "Score": "5"},
        {"Caller Number": "919800000002", "Time": "2026-03-13 09:02:00", "Score": "6", "Score (10)": "7"},
    ]
    assert [row[2:] for row in export(pages(rows, columnArr=columns)).rows] == [("5", ""), ("6", "7")]


def test_a_spare_key_does_not_shift_the_cells_out_from_under_their_redaction() -> None:
    """learn-once: a key "0" beside a last column that is left out: the times tell where the columns begin."""
    rows = [{"0": number, **{key: cell for key, cell in call(number).items() if key != "4"}} for number in (1, 2)]
    reading = export(pages(rows), redact={"Caller Number": "last4"})
    assert reading.rows == [
        ("********0001", "2026-03-13 09:01:00", "Asha", ""),
        ("********0002", "2026-03-13 09:02:00", "Asha", ""),
    ]


def test_a_label_twice_beside_rows_by_label_is_red() -> None:
    """learn-once: one of the two columns would be lost; by position both are there."""
    columns = {"1": "Caller Number", "2": "Time", "3": "Agents", "4": "Agents"}
    assert isinstance(refuse(pages([by_label(call(1))], columnArr=columns)), TableError)
    assert export(pages([call(1)], columnArr=columns)).rows[0][2:] == ("Asha", "Answered")


@pytest.mark.parametrize(
    "row",
    [
        '{"1": "a", "2": "2026-03-13 09:01:00", "3": "Asha", "3": "Ravi", "4": "x"}',
        '{"1":"a","2":"2026-03-13 09:01:00","3":"Asha","4":"x","4" :"y"}',
        '{"1":"a","2":"2026-03-13 09:01:00","3":"Asha","4":{"a":1,"a":2}}',
        '{"1":"a\\\\","2":"2026-03-13 09:01:00","3":"\\":","4":"x","1":"b"}',
        '{"\\\\":1,"1":"a","2":"2026-03-13 09:01:00","3":"Asha","4":"x","1":"b"}',
    ],
)
def test_a_json_key_twice_is_red(row: str) -> None:
    """learn-once: a decoder keeps the last of the two and says nothing; the sentence names the key."""
    raw = f'{{"columnArr": {json.dumps(COLUMNS)}, "data": [{row}], "cnt": 1}}'.encode()
    error = refuse(lambda endpoint, body: raw if endpoint == "list" else None)
    assert "twice, so one value would be lost" in str(error)


def test_json_in_a_cell_is_no_key_twice() -> None:
    """learn-once: colons and quotation marks in texts are not keys."""
    rows = [
        call(1, **{"3": '{"a": 1, "a": 2}', "4": 'x":"y\\'}),
        call(2, **{"3": '":', "4": {"a": [{"b": 1}, {"b": 2}]}}),
    ]
    assert len(export(pages(rows)).rows) == 2


# --- ids -------------------------------------------------------------------------------------------------------------


def ids(reading: Reading) -> list[str]:
    return [row[0] for row in reading.rows]


def test_the_legs_of_a_call_are_rows_wherever_the_page_ends() -> None:
    """alike-calls: two rows of one id, with other contents, are two rows: in one answer and over a border."""
    over_a_border = [call(1, callId="c1"), call(2, callId="c2"), call(3, callId="c2")]
    in_one_answer = [call(1, callId="c1"), call(2, callId="c1"), call(3, callId="c3")]
    in_a_later_answer = [call(1, callId="c1"), call(2, callId="c2"), call(3, callId="c3"), call(4, callId="c3")]
    without_an_id = [call(1, callId="c1"), call(2, callId="c2"), call(3, callId=""), call(4)]
    for rows in (over_a_border, in_one_answer, in_a_later_answer, without_an_id):
        assert ids(export(pages(rows))) == [row["1"] for row in rows]


def test_a_row_that_comes_again_after_ids_were_given_up_is_one_row() -> None:
    """alike-calls: two legs share an id on page 1; then a call has come in before, and page 2 repeats a
    row of page 1.
    """
    rows = [
        call(1, callId="c1"),
        call(2, callId="c2"),
        call(3, callId="c3"),
        call(4, callId="c3"),
        call(5, callId="c5"),
    ]
    sent = [rows[:2], rows[2:4], rows[3:5], []]

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        return {"columnArr": COLUMNS, "data": sent[body["page"]], "cnt": 5} if endpoint == "list" else None

    assert ids(export(answer)) == [row["1"] for row in rows]


def test_a_call_that_changed_and_moved_is_one_call() -> None:
    """alike-calls: its second coming has another content; the total says that there is one call."""
    rows = [call(1, callId="c1"), call(2, callId="c2"), call(3, callId="c3")]
    moved = [rows[:2], [{**rows[1], "4": "Missed"}, rows[2]], []]

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        return {"columnArr": COLUMNS, "data": moved[body["page"]], "cnt": 3} if endpoint == "list" else None

    assert ids(export(answer)) == [row["1"] for row in rows]


def test_rows_of_one_id_are_red_where_nothing_tells_legs_from_changes() -> None:
    """alike-calls: without any total, a call that came twice may be two legs: the profile says which."""
    rows = [call(1, callId="c1"), call(2, callId="c2"), call(3, callId="c2")]
    reading = export(pages(rows, cnt=None), client={"profile": {"legs": True}})
    assert len(reading.rows) == 3


# --- the window ------------------------------------------------------------------------------------------------------

NINE = DAY.start + timedelta(hours=9)
HOUR = Window(NINE, NINE + timedelta(hours=1), DAY.zone)


def at(*times: str) -> list[Any]:
    return [call(number, **{"2": time}) for number, time in enumerate(times, 1)]


OFF: dict[str, tuple[Window, list[str]]] = {
    "a whole day for an hour": (HOUR, ["2026-03-13 00:10:00", "2026-03-13 09:10:00", "2026-03-13 22:10:00"]),
    "yesterday": (DAY, ["2026-03-12 09:01:00", "2026-03-12 18:02:00"]),
    "one call of last year": (DAY, ["2026-03-13 09:01:00", "2025-03-13 09:01:00"]),
    "another zone": (DAY, ["2026-03-12 18:30:00", "2026-03-13 12:00:00"]),
    "most of them by minutes": (HOUR, ["2026-03-13 10:10:00", "2026-03-13 10:20:00", "2026-03-13 09:30:00"]),
    "the next day": (DAY, ["2026-03-14 01:00:00"]),
}


@pytest.mark.parametrize(("window", "times"), OFF.values(), ids=list(OFF))
@pytest.mark.parametrize("columns", [None, ["Caller Number", "Status"]], ids=["all columns", "without Time"])
def test_calls_off_the_window_are_red(window: Window, times: list[str], columns: Any) -> None:
    """right-window: also where Time is no column of the file; the sentence names the extra field that allows it."""
    error = refuse(pages(at(*times)), window=window, columns=columns)
    assert "did not obey the window" in str(error)
    assert "window_slack" in str(error)
    assert len(export(pages(at(*times)), window=window, client={"window_slack": None}).rows) == len(times)


def test_calls_about_the_window_are_believed() -> None:
    """right-window: a few calls may be filed under their end."""
    times = ["2026-03-12 23:30:00", "2026-03-13 09:00:00", "2026-03-13 23:59:59", "2026-03-14 00:59:59"]
    reading = export(pages(at(*times)))
    assert len(reading.rows) == 4
    assert reading.proof.window_checked is True


def test_times_that_cannot_be_read_prove_no_window() -> None:
    """right-window: the calls are delivered, and the proof says what it could not check."""
    reading = export(pages(at("yesterday", "2026-03-13 09:01:00")))
    assert reading.proof.window_checked is False
    assert "could not be checked" in reading.outcome.note


def test_a_window_that_has_not_ended_says_so() -> None:
    """right-window: today so far is allowed, and the proof's sentence says that it is no more than that."""
    zone = ZoneInfo("Asia/Kolkata")
    now = datetime.now(UTC).astimezone(zone)
    window = Window(now - timedelta(hours=2), now + timedelta(hours=2), zone)
    reading = export(pages(at(f"{now - timedelta(minutes=5):%Y-%m-%d %H:%M:%S}")), window=window)
    assert reading.proof.window_open is True
    assert reading.outcome.note.startswith("Complete so far: ")
    assert reading.outcome.window_open is True
    assert export(pages(at("2026-03-13 09:01:00"))).proof.window_open is False


def test_a_call_in_the_last_half_second_belongs_to_one_window() -> None:
    """right-window: 23:59:59.500 lies behind the inclusive end of the API and before the next window."""
    times = ["2026-03-13 12:00:00.250", "2026-03-13 23:59:59.500", "2026-03-14 00:00:00.000", "2026-03-14 00:00:00.500"]

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        if endpoint != "list":
            return None
        first, last = body["filter"]["dtGte"], body["filter"]["dtLte"]
        rows = [row for row in at(*times) if f"{first}.000" <= row["2"] <= f"{last}.000"]
        return {"columnArr": COLUMNS, "data": rows[body["page"] * 10 :], "cnt": len(rows)}

    days = [DAY, Window(DAY.end, DAY.end + timedelta(days=1), DAY.zone)]
    found = [ids(export(answer, window=day, client={"page_size": 10})) for day in days]
    assert found == [[row["1"] for row in at(*times)[:2]], [row["1"] for row in at(*times)[2:]]]


# --- totals and ends -------------------------------------------------------------------------------------------------

FIVE = [call(number, callId=f"c{number}") for number in range(1, 6)]


def test_a_server_that_answers_its_last_page_for_ever_has_ended() -> None:
    """proved-total: pages past the end are the last page again: by the total, or by reportCount, the
    report is whole.
    """
    four = FIVE[:4]

    def clamps(cnt: Mapping[str, int], witness: Any) -> Callable[[str, dict[str, Any]], Any]:
        def answer(endpoint: str, body: dict[str, Any]) -> Any:
            start = min(body.get("page", 0), 1) * 2
            return {"columnArr": COLUMNS, "data": four[start : start + 2], **cnt} if endpoint == "list" else witness

        return answer

    assert len(export(clamps({"cnt": 4}, None)).rows) == 4
    assert len(export(clamps({}, {"cnt": 4})).rows) == 4
    refuse(clamps({}, None))
    refuse(clamps({"cnt": 6}, None))


@pytest.mark.parametrize(("cnt", "complete"), [({"cnt": 1}, True), ({}, None)])
def test_a_short_page_that_comes_twice_is_the_last_one(cnt: dict[str, int], complete: bool | None) -> None:
    """No server is known with pages of one call, so that the second page is the first once more."""
    answer = {"columnArr": COLUMNS, "data": FIVE[:1], **cnt}
    reading = export(lambda endpoint, body: answer if endpoint == "list" else None)
    assert (len(reading.rows), reading.outcome.complete) == (1, complete)


@pytest.mark.parametrize("past", [(404, {}), (400, {"status": "error", "code": 1000, "message": "no such page"})])
def test_a_page_past_the_end_that_is_refused_is_the_end(past: Any) -> None:
    """proved-total: only where all calls have come: before, it is an error."""
    plain = pages(FIVE[:4])
    assert len(export(lambda name, body: past if body.get("page") == 2 else plain(name, body)).rows) == 4
    longer = pages(FIVE)
    refuse(lambda name, body: past if body.get("page") == 2 else longer(name, body))


def test_a_cursor_that_is_not_heeded_is_read_by_page_number() -> None:
    """proved-total: search hits carry a sort key, and the server goes by the page all the same."""
    rows = [{**row, "sort": [number]} for number, row in enumerate(FIVE)]
    with AnsweringServer(pages(rows)) as server:
        reading = read_report(server, client={"page_size": SIZE}, rounds_wait=(0,))
        assert ids(reading) == [row["1"] for row in rows]
        assert len(server.pages_asked()) == 4


def test_a_cursor_that_is_missing_on_a_full_page_is_no_end() -> None:
    """proved-total: nothing says that the report ends there; a total or reportCount may."""

    def answer_with(cnt: Mapping[str, int], witness: Any) -> Callable[[str, dict[str, Any]], Any]:
        def answer(endpoint: str, body: dict[str, Any]) -> Any:
            if endpoint != "list":
                return witness
            start = body["sAftr"][0] if body["sAftr"] else 0
            made = {"columnArr": COLUMNS, "data": FIVE[start : start + 2], **cnt}
            return made if start else {**made, "sAftr": [2]}

        return answer

    assert isinstance(refuse(answer_with({}, None)), ReportChangedError)
    refuse(answer_with({"cnt": 5}, None))
    assert len(export(answer_with({}, {"cnt": 4})).rows) == 4


@pytest.mark.slow
def test_a_list_that_stops_at_a_round_number_is_read_in_parts() -> None:
    """capped-totals: cnt and data capped at 5,000 while reportCount says 7,000: the window is split, and all of them
    come.
    """
    start = DAY.start.replace(tzinfo=None)
    rows = [
        call(
            0,
            **{"1": f"91980{number:07}", "2": f"{start + timedelta(seconds=10 * number):%Y-%m-%d %H:%M:%S}"},
            callId=f"c{number}",
        )
        for number in range(7_000)
    ]

    def capped(cap: int) -> Callable[[str, dict[str, Any]], Any]:
        def answer(endpoint: str, body: dict[str, Any]) -> Any:
            first, last = body["filter"]["dtGte"], body["filter"]["dtLte"]
            found = [row for row in rows if first <= row["2"] <= last]
            if endpoint == "reportCount":
                return {"cnt": len(found)}
            found = found[:cap]
            at = body["page"] * body["sz"]
            return {"columnArr": COLUMNS, "data": found[at : at + body["sz"]], "cnt": len(found)}

        return answer

    reading = export(capped(5_000), client={"page_size": 1_000})
    assert ids(reading) == [row["1"] for row in rows]
    assert reading.outcome.complete is True
    # A number that is not round is no cap that anybody would set: red.
    assert "counts 7000" in str(refuse(capped(4_711), client={"page_size": 1_000}))


def test_reportcount_convicts_a_list_that_ignores_a_filter() -> None:
    """proved-total: the list shows all calls, and reportCount those that were asked for."""
    assert "reportCount counts 2" in str(refuse(pages(FIVE, witness={"cnt": 2}), filters={"agent": "Asha"}))


# --- bounds ----------------------------------------------------------------------------------------------------------

HUGE: dict[str, bytes] = {
    "a million empty arrays": b'{"data": [' + b"[]," * 1_300_000 + b'[]], "cnt": 1}',
    "a million empty objects": b'{"data": [' + b"{}," * 1_300_000 + b'{}], "cnt": 1}',
    "many small rows": b'{"data": [' + b'{"1":1},' * 30_000 + b'{"1":1}], "cnt": 1}',
    "a deep row": b'{"data": [{"1": ' + b"[" * 200_000 + b"]" * 200_000 + b'}], "cnt": 1}',
    "wide rows": json.dumps(
        {"data": [{f"k{row}_{at}": 1 for at in range(30)} for row in range(1_000)], "cnt": 1_000}
    ).encode(),
    "one wide row among many": json.dumps(
        {"data": [{f"k{at}": 1 for at in range(1_000)}, *({"k1": 1} for _ in range(5_000))], "cnt": 5_001}
    ).encode(),
}


@pytest.mark.parametrize("raw", HUGE.values(), ids=list(HUGE))
@pytest.mark.slow
def test_more_than_was_asked_for_is_refused_in_little_memory(raw: bytes) -> None:
    """bounded-answers: rows, cells and nesting are bounded by what was asked for, before and while an answer is
    decoded.
    """
    import tracemalloc

    with AnsweringServer(lambda endpoint, body: raw if endpoint == "list" else None) as server:
        tracemalloc.start()
        try:
            with pytest.raises(CallReportError) as caught:
                read_report(server, client={"page_size": 100}, rounds_wait=())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert isinstance(caught.value, (AnswerTooLargeError, AnswerError, TableError))
    # The body itself is held twice while it is joined; the server's copy counts too.
    assert peak < 6 * len(raw) + 12_000_000, f"{peak:,} bytes for {len(raw):,}"


# --- times -----------------------------------------------------------------------------------------------------------

TIMES: dict[str, tuple[list[str], list[str]]] = {
    "twelve hours": (["13-03-2026 09:01 AM", "13-03-2026 07:28:32 PM"], ["09:01:00", "19:28:32"]),
    "midnight and noon": (["13-03-2026 12:00 AM", "13-03-2026 12:00 PM"], ["00:00:00", "12:00:00"]),
    "small letters with dots": (["2026-03-13 9:01 a.m.", "2026/03/13 7:28pm"], ["09:01:00", "19:28:00"]),
    "without seconds": (["13-03-2026 19:28"], ["19:28:00"]),
    "strokes": (["13/03/2026 19:28:32", "3/13/2026 19:28"], ["19:28:32", "19:28:00"]),
    "dots": (["13.03.2026 19:28:32"], ["19:28:32"]),
    "year first with strokes": (["2026/03/13 19:28:32"], ["19:28:32"]),
    "month first": (["3/13/2026 19:28:32", "3/13/2026 9:28:32"], ["19:28:32", "09:28:32"]),
}


@pytest.mark.parametrize(("cells", "clock"), TIMES.values(), ids=list(TIMES))
def test_how_times_are_learned(cells: list[str], clock: list[str]) -> None:
    """learn-once: from all rows of the first page."""
    reading = export(pages(at(*cells)), client={"page_size": 10})
    assert [row[1] for row in reading.rows] == [f"2026-03-13 {time}" for time in clock]
    assert reading.proof.window_checked is True


def in_april(day: int) -> Window:
    start = datetime(2026, 4, day, tzinfo=DAY.zone)
    return Window(start, start + timedelta(days=1), DAY.zone)


def test_day_and_month_are_told_apart_by_rows_window_or_profile() -> None:
    """learn-once: ``3/4/2026`` is 3 April for who asked for it, and 4 March for who asked for that; else
    it stays text.
    """
    cells = at("3/4/2026 19:28:32")
    assert export(pages(cells), window=in_april(3)).rows[0][1] == "2026-04-03 19:28:32"
    march = Window(datetime(2026, 3, 4, tzinfo=DAY.zone), datetime(2026, 3, 5, tzinfo=DAY.zone), DAY.zone)
    assert export(pages(cells), window=march).rows[0][1] == "2026-03-04 19:28:32"
    both = Window(march.start, in_april(3).end, DAY.zone)
    open_question = export(pages(cells), window=both)
    assert open_question.rows[0][1] == "3/4/2026 19:28:32"
    assert open_question.proof.window_checked is False
    told = export(pages(cells), window=both, client={"profile": {"time": {"day_first": True}}})
    assert told.rows[0][1] == "2026-04-03 19:28:32"


# --- the page size ---------------------------------------------------------------------------------------------------


def sized(
    most: int, *, refuses: bool, own_size: bool = True, total: int = 1_234
) -> Callable[[str, dict[str, Any]], Any]:
    """A server with a largest page: it refuses or clamps what is larger, and counts pages in one of the sizes."""

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        if endpoint == "reportCount":
            return {"cnt": total}
        size = min(body["sz"], most)
        if size < body["sz"] and refuses:
            return {"status": "error", "code": 1000, "message": "Invalid parameters"}
        start = body["page"] * (size if own_size else body["sz"])
        rows = [call(0, **{"1": f"91980{at:07}"}, callId=f"c{at}") for at in range(start, min(start + size, total))]
        return {"columnArr": COLUMNS, "data": rows, "cnt": total}

    return answer


@pytest.mark.parametrize("own_size", [True, False], ids=["counts its own size", "counts the asked size"])
@pytest.mark.parametrize(
    ("most", "refuses", "accepted"), [(5_000, False, 1_000), (1_000, True, 1_000), (250, False, 250), (100, True, 100)]
)
def test_the_page_size_starts_high_and_falls_once(most: int, refuses: bool, accepted: int, own_size: bool) -> None:
    """few-requests: auto: 1,000, then what the server takes; no call is skipped, and the requests stay few."""
    with AnsweringServer(sized(most, refuses=refuses, own_size=own_size)) as server:
        reading = read_report(server, client={"page_size": None}, rounds_wait=(0,))
        asked = [body["sz"] for endpoint, body in server.asked if endpoint == "list"]
    assert len(set(ids(reading))) == 1_234
    assert asked[0] == 1_000
    assert asked[-1] == accepted
    assert len(server.asked) <= -(-1_234 // accepted) + 3


def test_a_page_that_takes_too_long_is_asked_for_smaller() -> None:
    """few-requests: one timeout at 1,000 and none after it; nothing is asked for twice at that size."""
    import time

    plain = sized(5_000, refuses=False)

    def slow(endpoint: str, body: dict[str, Any]) -> Any:
        if body.get("sz") == 1_000:
            time.sleep(1.5)
        return plain(endpoint, body)

    with AnsweringServer(slow) as server:
        reading = read_report(
            server, client={"page_size": None, "timeout": 0.5, "max_retry_time": 30}, rounds_wait=(0,)
        )
        asked = [body["sz"] for endpoint, body in server.asked if endpoint == "list"]
    assert len(reading.rows) == 1_234
    assert asked.count(1_000) == 1


def test_a_page_size_that_was_set_is_kept() -> None:
    """few-requests: with a number it is as it was."""
    with AnsweringServer(sized(5_000, refuses=False)) as server:
        read_report(server, client={"page_size": 500}, rounds_wait=(0,))
        assert {body["sz"] for endpoint, body in server.asked if endpoint == "list"} == {500}


# --- a pinned profile ------------------------------------------------------------------------------------------------

PINNED = {"version": 1, "rows": "position", "columns": [[label, key] for key, label in COLUMNS.items()], "id": "callId"}


def test_a_pinned_profile_is_enforced_from_the_first_answer() -> None:
    """learn-once: rows keyed otherwise than it says, or without a column of it, are red at once."""
    rows = [call(1, callId="c1"), call(2, callId="c2")]
    assert len(export(pages(rows), client={"profile": PINNED}).rows) == 2
    assert "rows are keyed by position" in str(
        refuse(pages([by_label(row) for row in rows]), client={"profile": PINNED})
    )
    fewer = {key: label for key, label in COLUMNS.items() if label != "Agents"}
    error = refuse(pages(rows, columnArr=fewer), client={"profile": PINNED})
    assert "the profile has the column 'Agents', which the report does not have" in str(error)


def test_ids_and_totals_are_those_of_the_pinned_profile() -> None:
    """An id that is missing or shared, a cnt of another kind: the profile says otherwise, so it is red."""
    client = {"profile": {**PINNED, "count": "total"}}
    shared = [call(1, callId="c1"), call(2, callId="c1")]
    assert "as the profile says" in str(refuse(pages(shared), client=client))
    assert "as the profile says" in str(refuse(pages([call(1), call(2)]), client=client))
    rows = [call(number, callId=f"c{number}") for number in range(1, 5)]
    plain = pages(rows)

    def by_page(endpoint: str, body: dict[str, Any]) -> Any:
        made = plain(endpoint, body)
        return made and {**made, "cnt": len(made["data"])}

    assert "as the profile says" in str(refuse(by_page, client=client))
    assert export(by_page, client={"profile": {**PINNED, "count": "page"}}).outcome.complete is None


def test_new_columns_are_added_ignored_or_refused_as_asked() -> None:
    """learn-once: ``on_new_columns`` is about columns that a pinned profile does not know."""
    rows = [call(1, callId="c1", **{"5": "7"})]
    more = {**COLUMNS, "5": "Lead Score"}
    client = {"profile": PINNED}
    assert export(pages(rows, columnArr=more), client=client).header == [*LABELS, "Lead Score"]
    ignored = export(pages(rows, columnArr=more), client=client, on_new_columns="ignore")
    assert (ignored.header, ignored.rows) == (
        list(LABELS),
        [("919800000001", "2026-03-13 09:01:00", "Asha", "Answered")],
    )
    assert "'Lead Score'" in str(refuse(pages(rows, columnArr=more), client=client, on_new_columns="fail"))


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        ({"row": "position"}, "has no key 'row' .did you mean 'rows'"),
        ({"rows": "hits"}, "has rows: 'hits'; allowed are position, label, field, array"),
        ({"page_size": 0}, "has a wrong page_size"),
        ("no/such/file.json", "allowed is a JSON object, or the path of a file"),
        ("{", "is no JSON"),
        (5, "is int; allowed is a JSON object"),
    ],
)
def test_a_wrong_profile_is_one_sentence(profile: Any, sentence: str) -> None:
    """clear-sentence: what it was, and what is allowed."""
    with pytest.raises(CallReportError, match=sentence):
        export(pages([call(1)]), client={"profile": profile})


# --- what an attack from outside found -------------------------------------------------------------------------------


def script_of(answers: Sequence[Sequence[Any]], counts: Sequence[int]) -> Callable[[str, dict[str, Any]], Any]:
    """A server without ``cnt``: its pages as they come, and what reportCount says each time it is asked."""
    told = iter(counts)
    last = [counts[-1]]

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        if endpoint == "reportCount":
            last[0] = next(told, last[0])
            return {"cnt": last[0]}
        page = body["page"]
        return {"columnArr": COLUMNS, "data": list(answers[page]) if page < len(answers) else []}

    return answer


def test_a_report_that_moves_under_reportcount_alone_is_not_whole() -> None:
    """moving-report: a call pushed over a border and one that came, or one that slipped past: two counts tell."""
    moved = [[call(5), call(4)], [call(4), call(3)], [call(2), call(1)]]
    assert isinstance(refuse(script_of(moved, [5, 6] * 9)), ReportChangedError)
    slipped = [[call(5), call(4)], [call(2), call(1)]]
    assert isinstance(refuse(script_of(slipped, [5, 4] * 9)), ReportChangedError)
    # The first answer is no witness: 10,000 is where servers stop counting. The second, on the next page, is one.
    vanished = [[call(6), call(5)], [call(4), call(3)], [call(1)]]
    assert isinstance(refuse(script_of(vanished, [10_000, 6, 5] * 9)), ReportChangedError)


def test_a_server_that_rounds_the_end_up_brings_its_last_call_once() -> None:
    """right-window: without ids, the call of the last half second is the one that came already."""
    rows = at("2026-03-13 09:00:01.250", "2026-03-13 23:59:59.500")

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        found = [row for row in rows if body["filter"]["dtGte"] <= row["2"] <= f"{body['filter']['dtLte']}.999"]
        return {"columnArr": COLUMNS, "data": found[body["page"] * 10 :], "cnt": len(found)} if "page" in body else None

    assert len(export(answer, client={"page_size": 10}).rows) == 2


SHIFTED: dict[str, list[Any]] = {
    "a spare cell before the others": [["id7", *call(number).values()] for number in (1, 2)],
    "the first cell is missing": [list(call(number).values())[1:] for number in (1, 2)],
    "a spare key before the others": [
        {"1": f"id{number}", **{str(int(key) + 1): cell for key, cell in call(number).items()}} for number in (1, 2)
    ],
    "an error as a row": [{"error": "Session expired"}],
    "an error as an array": [["error", "Session expired, please login again"]],
}


@pytest.mark.parametrize("rows", SHIFTED.values(), ids=list(SHIFTED))
def test_cells_that_are_not_under_their_columns_are_red(rows: list[Any]) -> None:
    """same-rows: the column of times holds none, and another cell does: nothing is delivered, redacted or not."""
    assert isinstance(refuse(pages(rows), redact={"Caller Number": "last4"}), TableError)


def test_a_later_row_with_a_new_position_is_red() -> None:
    """same-rows: also where a column is one that rows may lack."""
    rows = [call(1), {key: cell for key, cell in call(2).items() if key != "4"}]
    assert isinstance(refuse(pages([*rows, {"0": "x", **rows[1]}])), AnswerChangedError)


def test_a_page_on_which_a_column_has_another_name_is_red() -> None:
    """same-rows: one row without Status is sparse; a page of rows with a new field in its place is another report."""
    rows = [by_label(call(number)) for number in range(1, 31)]
    del rows[3]["Status"]
    for row in rows[10:]:
        row["disposition"] = row.pop("Status")
    error = refuse(pages(rows), client={"page_size": 10})
    assert '{"further": [...]}' in str(error)


@pytest.mark.parametrize(
    "odd",
    [
        {"hideSectionArr": "Session expired, please login again"},
        {"hideSectionArr": {"error": "Session expired, please login"}},
        {"sAftr": "Session expired"},
        {"sAftr": {"error": "rate limit"}},
        {"columnArr": {"1": "Session expired"}},
        {"columnArr": ["error"]},
    ],
)
def test_an_error_inside_a_documented_key_is_no_empty_report(odd: dict[str, Any]) -> None:
    """empty-is-proved: the documented form is also what stands in its keys."""
    refuse(lambda endpoint, body: {"columnArr": COLUMNS, "data": [], "cnt": 0, **odd} if "page" in body else None)


def test_no_data_found_is_believed_with_a_message_that_says_so() -> None:
    """empty-is-proved: code 1012 beside another sentence is another error."""
    for message, believed in (("No data found", True), ("", True), ("Session expired, please login", False)):
        said = {"status": "error", "code": 1012, "message": message}
        if believed:
            assert export(lambda endpoint, body, said=said: said if "page" in body else None).rows == []  # type: ignore[misc]
        else:
            refuse(lambda endpoint, body, said=said: said if "page" in body else None)  # type: ignore[misc]


def test_none_at_a_size_that_nobody_has_set_is_asked_for_smaller() -> None:
    """empty-is-proved: a server may answer "no calls" to a page that is too large for it."""
    plain = sized(5_000, refuses=False, total=150)

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        if endpoint == "reportCount":
            return None
        return {"columnArr": COLUMNS, "data": [], "cnt": 0} if body["sz"] > 100 else plain(endpoint, body)

    assert len(export(answer, client={"page_size": None}).rows) == 150


def test_a_time_in_another_order_than_the_first_ones_is_red() -> None:
    """same-rows: the first page was read day first; a later one shows that the month comes first."""
    month = Window(datetime(2026, 2, 1, tzinfo=DAY.zone), datetime(2026, 4, 1, tzinfo=DAY.zone), DAY.zone)
    times = ["03-02-2026 10:00:00", "03-03-2026 10:00:00", "03-13-2026 10:00:00", "02-20-2026 10:00:00"]
    assert isinstance(refuse(pages(at(*times)), window=month), AnswerChangedError)


def test_calls_that_come_while_an_open_window_is_counted_are_no_contradiction() -> None:
    """right-window: today so far, on a busy account: reportCount is asked a moment after the list."""
    now = datetime.now(UTC).astimezone(DAY.zone)
    window = Window(now - timedelta(hours=2), now + timedelta(hours=2), DAY.zone)
    rows = at(f"{now - timedelta(minutes=5):%Y-%m-%d %H:%M:%S}")
    assert len(export(pages(rows, witness={"cnt": 3}), window=window).rows) == 1
    refuse(pages(rows, witness={"cnt": 300}), window=window)


def test_fields_that_only_sparse_rows_have_can_be_named() -> None:
    """clear-sentence: an account whose rows are so says it in its profile, as the sentence proposes."""
    rows = [call(1), call(2), {**{key: cell for key, cell in call(3).items() if key != "4"}, "missedReason": "busy"}]
    assert "missedReason" in str(refuse(pages(rows), client={"page_size": 10}))
    client = {"page_size": 10, "profile": {"further": ["missedReason"]}}
    assert [row[3] for row in export(pages(rows), client=client).rows] == ["Answered", "Answered", ""]


def test_no_rows_are_believed_with_default_settings_too() -> None:
    """empty-is-proved: the documented answer, without reportCount, at a page size that nobody has set."""
    reading = export(pages([]), client={"page_size": None})
    assert (reading.rows, reading.outcome.complete) == ([], True)
    assert isinstance(refuse(pages([], cnt=None, columnArr={}), client={"page_size": None}), AnswerError)


@pytest.mark.parametrize("heeds_page", [True, False])
def test_a_last_second_with_many_calls_is_whole_or_red(heeds_page: bool) -> None:
    """right-window: a server that makes pages smaller is read on; one that answers the same page for ever is red."""
    rows = [
        call(0, **{"1": f"91980{number:07}", "2": "2026-03-13 09:00:00.250"}, callId=f"a{number}")
        for number in range(3)
    ]
    late = [
        call(0, **{"1": f"91981{number:07}", "2": "2026-03-13 23:59:59.500"}, callId=f"b{number}")
        for number in range(7)
    ]

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        if endpoint != "list":
            return None
        is_edge = body["filter"]["dtLte"].endswith("00:00:00")
        found, page = (late, body["page"] if heeds_page else 0) if is_edge else (rows, body["page"])
        return {"columnArr": COLUMNS, "data": found[page * 3 : page * 3 + 3], "cnt": len(found)}

    if heeds_page:
        assert len(export(answer, client={"page_size": 10}).rows) == 10
    else:
        refuse(answer, client={"page_size": 10})
