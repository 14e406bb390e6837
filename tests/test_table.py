"""Rows and columns of every shape become the same table, and what cannot be placed is an error (docs/openapi.yaml)."""

from __future__ import annotations

import json
import logging
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.api import DAY, KOLKATA, NOON, WIDTH, behave, client_of, listed, read_report, sandbox, truth
from support.table import PagesTable

from airflow_provider_callreport.api.answer import Record, parse_answer, record_id
from airflow_provider_callreport.api.errors import AnswerError, SettingsError, TableError
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.api.profile import KNOWN_LABELS, MAX_COLUMNS
from airflow_provider_callreport.api.table import Table, check_choice
from airflow_provider_callreport.api.values import TimeForm, converter, durations, numbers, texts, times, whole_number
from airflow_provider_callreport.report import Column, ColumnKind, Row, Value
from airflow_provider_callreport.sandbox.call import FIELD_NAMES, LABELS
from airflow_provider_callreport.sandbox.calls import Call, SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import CHOICES

CALLS = SyntheticCalls(25)
NAMED = ["object", "shuffled", "list"]
UNNAMED = ["empty_object", "empty_list", "missing"]
POSITIONS = [str(number) for number in range(1, WIDTH + 1)]
NUMBERED = [f"Column {number}" for number in range(1, WIDTH + 1)]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as running:
        yield running


def _typed(server: SandboxServer, **options: Any) -> tuple[tuple[Column, ...], list[Row]]:
    """Columns and typed rows, without the detour through a file."""
    with client_of(server) as client:
        reader = ReportReader(client, "calls", {}, DAY, rounds_wait=())
        table = Table(KOLKATA, **options)
        rows: list[Row] = []
        for number, page in enumerate(reader.pages()):
            if number == 0:
                table.start(page.form, page.bodies)
            rows += table.rows(page.bodies, page.form)
    return table.columns, rows


def _column(server: SandboxServer, label: str) -> list[Value]:
    columns, rows = _typed(server)
    place = [column.label for column in columns].index(label)
    return [row[place] for row in rows]


HEADERS = {
    "position": (list(LABELS), POSITIONS),
    "label": (list(LABELS), list(LABELS)),
    "fields": (list(FIELD_NAMES), list(FIELD_NAMES)),
    "hit": (list(FIELD_NAMES), list(FIELD_NAMES)),
    "array": (list(LABELS), NUMBERED),
    "short_array": (list(LABELS), NUMBERED[:-3]),
    "long_array": (list(LABELS), [*NUMBERED, "Column 17"]),
    "data_object": (list(LABELS), POSITIONS),
}


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("columns_shape", NAMED + UNNAMED)
@pytest.mark.parametrize("row_shape", HEADERS)
def test_every_row_shape_is_the_same_table(
    server: SandboxServer, row_shape: str, columns_shape: str, ids: bool
) -> None:
    """Rows by position, label, field name, as arrays or hits; columns as object, list or missing: no cell is lost."""
    behave(server, calls=CALLS, row_shape=row_shape, columns_shape=columns_shape, ids=ids, hide_section="missing")
    reading = read_report(server, page_size=10)
    header = HEADERS[row_shape][columns_shape in UNNAMED]
    expected = truth(CALLS)
    if row_shape == "short_array":
        expected = [(*row[:-3], "", "", "")[: len(header)] for row in expected]
    cells = [row[: min(WIDTH, len(header))] for row in reading.rows]
    assert reading.header[: len(header)] == header
    assert set(reading.header[len(header) :]) <= {"callId"}
    assert cells == expected


def test_every_row_shape_of_the_sandbox_is_tested() -> None:
    """The table above has a line for each."""
    assert set(HEADERS) == set(CHOICES["row_shape"])


@pytest.mark.parametrize("row_shape", ["position", "label", "fields", "hit"])
def test_further_fields_stay_available(server: SandboxServer, row_shape: str) -> None:
    """Extra keys of the rows can be named in columns=."""
    key = "_id" if row_shape == "hit" else "callId"
    first = "cNumber" if row_shape in ("fields", "hit") else "Caller Number"
    behave(server, calls=CALLS, row_shape=row_shape)
    reading = read_report(server, columns={key: "Call", first: "Number"})
    assert reading.header == ["Call", "Number"]
    assert len({row[0] for row in reading.rows}) == 25
    assert all(len(row[0]) == 27 for row in reading.rows)


def test_the_surplus_cell_of_an_array_stays_available(server: SandboxServer) -> None:
    """A cell beyond the last column is "Column 17"."""
    behave(server, calls=CALLS, row_shape="long_array")
    assert {row[0] for row in read_report(server, columns=["Column 17"]).rows} == {"surplus"}


NUMBERS: dict[str, Callable[[Call], str | None]] = {
    "text": lambda call: call.number,
    "integer": lambda call: call.number,
    "plus": lambda call: f"+{call.number}",
    "starred": lambda call: f"{call.number[:2]}XXXXXX{call.number[-4:]}",
    "mask": lambda call: call.mask,
    "null": lambda call: None,
}


@pytest.mark.parametrize("shape", NUMBERS)
def test_phone_numbers_are_text(server: SandboxServer, shape: str) -> None:
    """A number is text in whatever form it comes, an integer included."""
    call = Call(NOON, number="919876543210", mask="mask_10042")
    behave(server, calls=listed(call), number_shape=shape)
    assert _column(server, "Caller Number") == [NUMBERS[shape](call)]


@pytest.mark.parametrize("shape", ["naive", "dmy", "iso", "epoch", "epoch_ms"])
def test_times_are_times_in_the_accounts_zone(server: SandboxServer, shape: str) -> None:
    """Every spelling of an instant is the same naive time."""
    behave(server, calls=listed(Call(NOON)), time_shape=shape)
    assert _column(server, "Time") == [NOON]


def test_a_zero_time_is_none(server: SandboxServer) -> None:
    """``0000-00-00 00:00:00`` is no time."""
    behave(server, calls=listed(Call(NOON)), time_shape="zero")
    assert _column(server, "Time") == [None]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("seconds", 3725),
        ("numeral", 3725),
        ("mm_ss", 3725),
        ("hh_mm_ss", 3725),
        ("dash", None),
        ("empty", None),
        ("null", None),
    ],
)
def test_durations_are_seconds(server: SandboxServer, shape: str, expected: int | None) -> None:
    """Every spelling of a duration is seconds; it is never recomputed from times."""
    behave(server, calls=listed(Call(NOON, call_duration=3725)), duration_shape=shape)
    assert _column(server, "Call Duration") == [expected]


@pytest.mark.parametrize(("shape", "expected"), [("number", 2.5), ("text", 2.5), ("object", 2.5), ("null", None)])
def test_amounts_are_numbers(server: SandboxServer, shape: str, expected: float | None) -> None:
    """A number, its text, or credits of which the amount is the money."""
    behave(server, calls=listed(Call(NOON, amount=2.5)), amount_shape=shape)
    assert _column(server, "Amount") == [expected]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("token", "tok*mp3"),
        ("boolean", "true"),
        ("count", "1"),
        ("path", "recordings/tok*mp3"),
        ("url", "https://recordings.example.com/play?token=tok*mp3"),
        ("list", '[{"nodeid":"n1","visitId":1,"file":"tok*mp3"}]'),
        ("null", None),
    ],
)
def test_recordings_are_text(server: SandboxServer, shape: str, expected: str | None) -> None:
    """Whatever says that there is a recording is text; nested values are JSON."""
    behave(server, calls=listed(Call(NOON, recording="tok*mp3")), recording_shape=shape)
    assert _column(server, "Rec.") == [expected]


@pytest.mark.parametrize(("shape", "expected"), [("text", "12#"), ("list", '["1","2","#"]')])
def test_pressed_keys_are_text(server: SandboxServer, shape: str, expected: str) -> None:
    """DTMF as text or list."""
    behave(server, calls=listed(Call(NOON, dtmf="12#")), dtmf_shape=shape)
    assert _column(server, "DTMF") == [expected]


def test_mixed_shapes_in_one_report(server: SandboxServer) -> None:
    """Each row may write its values in another way; no cell raises, and rows stay complete."""
    shapes = ("number_shape", "time_shape", "duration_shape", "amount_shape", "recording_shape", "dtmf_shape")
    mixed: Any = dict.fromkeys(shapes, "mixed")
    behave(server, calls=SyntheticCalls(200), **mixed)
    columns, rows = _typed(server)
    assert len(rows) == 200
    allowed = {
        ColumnKind.TEXT: (str,),
        ColumnKind.NUMBER: (int, float),
        ColumnKind.DURATION: (int, float),
        ColumnKind.DATETIME: (datetime,),
    }
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        assert all(cell is None or isinstance(cell, allowed[column.kind]) for cell in cells), column


def test_cells_that_are_odd_come_as_they_are(server: SandboxServer) -> None:
    """Unexpanded templates, JSON in text, "false" as text, unreadable numbers and times: nothing is dropped."""
    cells = {
        "Details": "{{%%name%%}}",
        "Status": "[]",
        "Forward": "false",
        "Call Duration": "about a minute",
        "Amount": "₹ 12.50",
        "Time": "yesterday",
        "Campaign": {"id": -1, "name": "Süd"},
        "Agents": [],
        "DTMF": 0,
    }
    behave(server, calls=listed(Call(NOON, cells=cells)))
    columns, (row,) = _typed(server)
    got = dict(zip((column.label for column in columns), row, strict=True))
    assert {label: got[label] for label in cells} == {
        **cells,
        "Campaign": '{"id":-1,"name":"Süd"}',
        "Agents": None,
        "DTMF": "0",
    }


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("empty_data", ["list", "object", "null"])
@pytest.mark.parametrize("columns_shape", NAMED + UNNAMED)
def test_an_empty_report_has_a_header(server: SandboxServer, empty_data: str, columns_shape: str, ids: bool) -> None:
    """empty-report: an empty result is a success, with the columns that the answer names or those of the
    vendor's page.
    """
    behave(server, calls=listed(), empty_data=empty_data, columns_shape=columns_shape, ids=ids)
    reading = read_report(server)
    assert reading.header == list(LABELS)
    assert reading.rows == []
    # One request for the report, and one for reportCount: no rows are a claim like any other.
    assert (reading.outcome.complete, reading.outcome.reported_total, reading.requests) == (True, 0, 2)


def test_an_empty_answer_without_columns_takes_the_users_word_for_them(server: SandboxServer) -> None:
    """empty-report: "no data found" names no columns, so those that were chosen or redacted are taken to exist."""
    behave(server, [{"name": "vendor_error", "code": 1012}], calls=CALLS)
    assert read_report(server, columns=["Lead Score", "Status"]).header == ["Lead Score", "Status"]
    assert read_report(server, redact={"Lead Score": "drop"}).header == list(LABELS)
    chosen = read_report(server, columns=["Status"], redact={"Lead Score": "last4"})
    assert (chosen.header, chosen.rows, chosen.outcome.complete) == (["Status"], [], True)


def test_an_account_has_columns_of_its_own(server: SandboxServer) -> None:
    """Fewer, more, other and doubled labels; unknown ones are text."""
    labels = ("Agents", "Caller Number", "Agents", "Lead Score", " ", "Agents (2)", "Call Duration")
    cells = {"Lead Score": 7, " ": "blank", "Agents (2)": "other", "Agents": "Asha"}
    behave(server, calls=listed(Call(NOON, cells=cells)), labels=labels)
    columns, (row,) = _typed(server)
    assert [column.label for column in columns] == [
        "Agents",
        "Caller Number",
        "Agents (3)",
        "Lead Score",
        "Column 5",
        "Agents (2)",
        "Call Duration",
    ]
    assert [column.kind for column in columns][-1] is ColumnKind.DURATION
    assert list(row) == ["Asha", "919800000000", "Asha", "7", "blank", "other", 60]


def test_numeric_order_not_text_order() -> None:
    """``columnArr`` is an object: "10" comes after "9", and a position may be left out."""
    table = PagesTable()
    table.start([{"1": "a", "9": "b", "10": "c", "30": "d"}], {"10": "Ten", "30": "Thirty", "9": "Nine", "1": "One"})
    assert [column.label for column in table.columns] == ["One", "Nine", "Ten", "Thirty"]
    assert table.rows([{"1": "a", "9": "b", "10": "c", "30": "d"}], None) == [("a", "b", "c", "d")]


@pytest.mark.parametrize(
    ("column_arr", "labels"),
    [
        (["A", "B"], ["A", "B"]),
        ([{"label": "A"}, {"name": "B"}], ["A", "B"]),
        ([{"title": "A"}, {}], ["A", "Column 2"]),
        ({"1": None, "2": 5}, ["Column 1", "5"]),
        ({"x": "A", "y": "B"}, ["A", "B"]),
    ],
)
def test_how_columnarr_is_read(column_arr: Any, labels: list[str]) -> None:
    """Lists, objects, labels inside objects, labels that are none."""
    table = PagesTable()
    table.start([], column_arr)
    assert [column.label for column in table.columns] == labels


def test_zero_based_positions_of_a_list() -> None:
    """Rows keyed from "0" beside a list of labels."""
    table = PagesTable()
    records: list[Record] = [{"0": "a", "1": "b"}]
    table.start(records, ["A", "B"])
    assert table.rows(records, ["A", "B"]) == [("a", "b")]


def test_columns_in_another_order_on_a_later_page() -> None:
    """A later ``columnArr`` with the same labels is put back into the first one's order, for rows of every kind."""
    first, later = {"1": "A", "2": "B"}, {"1": "B", "2": "A"}
    pages: list[tuple[list[Record], list[Record]]] = [
        ([{"1": "a", "2": "b"}], [{"1": "b", "2": "a"}]),
        ([["a", "b"]], [["b", "a"]]),
    ]
    for records, same in pages:
        table = PagesTable()
        table.start(records, first)
        assert table.rows(records, first) == table.rows(same, later) == [("a", "b")]


def test_the_cells_of_a_missing_key_are_empty_and_the_row_stays() -> None:
    """Objects may lack cells."""
    table = PagesTable()
    records: list[Any] = [{"1": "a", "2": "b"}, {"2": "c"}]
    table.start(records, {"1": "A", "2": "B"})
    assert table.rows(records, None) == [("a", "b"), (None, "c")]


def test_one_name_in_common_does_not_make_the_other_columns_empty() -> None:
    """Rows keyed by field names of which one is a label too are taken by their own names: no cell is lost."""
    record = {
        "Status": "Answered",
        "cNumber": "919876543210",
        "ivrSTime": "2026-03-13 12:00:00",
        "did": "1",
        "agents": "A",
    }
    table = PagesTable()
    table.start([record], {str(place): label for place, label in enumerate(LABELS, 1)})
    assert [column.label for column in table.columns] == list(record)
    assert table.rows([record], None) == [("Answered", "919876543210", NOON, "1", "A")]


WRONG_TABLES: list[tuple[list[list[Any]], list[Any], str]] = [
    ([[{"1": "a"}], [["b"]]], [{"1": "A"}] * 2, "rows changed between objects and arrays while the report was read"),
    ([[{"1": "a"}, ["b"]]], [{"1": "A"}], "rows are objects and arrays mixed; they must be of one kind"),
    (
        [[{"1": "a"}], [{"1": "b"}]],
        [{"1": "A"}, {"1": "B"}],
        "columnArr changed while the report was read; gone: A; new: B",
    ),
    ([[{"1": "a"}], [{"x": "b"}]], [{"1": "A"}] * 2, "a row with the fields x fits none of the report's columns"),
    ([[{"x": "a"}], [{"x": "b", "y": "c"}]], [None] * 2, "a later row has the field 'y', which the first page did not"),
    ([[["a"]], [["b", "c"]]], [None] * 2, "a later row has the field 'Column 2', which the first page did not have"),
    ([[{}]], [None], "the rows are empty objects, so nothing of the calls can be read"),
    ([[{"1": "a"}]], ["Time"], "columnArr is str; an object or a list was expected"),
    ([[{"_source": "a"}]], [None], "a search hit's _source is str; an object or an array was expected"),
    ([[{"1": "a"}], [{"919876543210": "b"}]], [{"1": "A"}] * 2, "a row with the fields *** fits none"),
]


def _read_pages(pages: list[list[Any]], column_arrs: list[Any], choice: list[str] | None = None) -> None:
    table = PagesTable(choice)
    table.start(pages[0], column_arrs[0])
    for records, column_arr in zip(pages, column_arrs, strict=True):
        table.rows(records, column_arr)


@pytest.mark.parametrize(("pages", "column_arrs", "sentence"), WRONG_TABLES)
def test_what_cannot_be_placed_is_an_error(pages: list[list[Any]], column_arrs: list[Any], sentence: str) -> None:
    """A row that fits no column is never an empty row."""
    with pytest.raises(TableError) as failed:
        _read_pages(pages, column_arrs)
    assert str(failed.value).startswith(sentence)


NASTY = "Evil\r\nERROR \x1b[31m 919876543210"
MANY = {f"{NASTY} {number}": "x" for number in range(60)}


@pytest.mark.parametrize(
    ("pages", "column_arrs", "choice"),
    [
        ([[{"1": "a", NASTY: "b"}]], [{"1": NASTY}], ["Phone"]),
        ([[{"1": "a"}], [{"1": "b"}]], [{"1": "A"}, {"1": NASTY}], None),
        ([[{"1": "a"}], [{NASTY: "b"}]], [{"1": "A"}] * 2, None),
        ([[{"x": "a"}], [{"x": "b", NASTY: "c"}]], [None] * 2, None),
        ([[MANY]], [None], ["Phone"]),
        ([[], [{f"{NASTY} {number}": "x" for number in range(MAX_COLUMNS + 1)}]], [{"1": "A"}, None], None),
        ([[{f"{NASTY} {number}": "x" for number in range(MAX_COLUMNS + 1)}]], [None], None),
    ],
    ids=["choice", "columnArr", "fits none", "later field", "many", "many later", "too many"],
)
def test_a_label_of_the_vendors_cannot_break_a_message(
    pages: list[list[Any]], column_arrs: list[Any], choice: list[str] | None
) -> None:
    """no-leak: control characters and phone numbers in labels and keys stay out of sentences, and a sentence stays
    short.
    """
    with pytest.raises(TableError) as failed:
        _read_pages(pages, column_arrs, choice)
    sentence = str(failed.value)
    assert sentence.isprintable()
    assert "Evil ERROR [31m ***" in sentence
    assert len(sentence) < 2000


def test_a_label_of_the_vendors_cannot_break_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: the same for the keys that the log names."""
    with caplog.at_level(logging.INFO):
        _read_pages([[{"1": "a", **MANY}]], [{"1": "A"}])
    (said,) = caplog.messages
    assert said.isprintable()
    assert said.startswith("rows carry further fields, which columns= can name: Evil ERROR [31m ***")
    assert said.endswith(", and more")


@pytest.mark.parametrize("shape", ["objects", "arrays", "columnArr"])
def test_more_columns_than_anybody_has_are_an_error(shape: str) -> None:
    """flat-memory: rows that all have other fields must not make a table as wide as the answer."""
    column_arr = None
    if shape == "objects":
        rows: list[Any] = [{f"key {row} {number}": "x" for number in range(101)} for row in range(10)]
    else:
        rows = [["x"] * (MAX_COLUMNS + 1)]
        column_arr = [f"label {number}" for number in range(MAX_COLUMNS + 1)] if shape == "columnArr" else None
    with pytest.raises(TableError, match=r"the report has more than 1,000 columns \(the first are .*\); allowed are"):
        _read_pages([rows], [column_arr])
    last = {"objects": "key 9 100", "arrays": f"Column {MAX_COLUMNS + 1}", "columnArr": f"label {MAX_COLUMNS}"}[shape]
    table = PagesTable([last])
    table.start(rows, column_arr)
    assert table.rows(rows, column_arr)[-1] == ("x",)


@pytest.mark.slow
def test_rows_that_all_have_other_fields_cost_little_memory() -> None:
    """flat-memory: 300,000 different keys on one page cost no table as wide as they are: less than they take
    themselves.
    """
    rows: list[Any] = [{f"key {row} {number}": None for number in range(3000)} for row in range(100)]
    answer = sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in rows)
    for column_arr, choice in ((None, None), (None, ["key 7 7"]), ({"1": "key 7 7", "2": "b"}, None)):
        tracemalloc.start()
        try:
            table = PagesTable(choice)
            with suppress(TableError):
                table.start(rows, column_arr)
                table.rows(rows, column_arr)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < answer, f"{peak:,} of {answer:,}"


def test_hits_are_read_through() -> None:
    """A search hit's ``_source`` may be an object or an array; its ``_id`` is the call's."""
    table = PagesTable(["A", "_id"])
    records: list[Any] = [{"_id": "x", "_source": {"1": "a"}, "_score": 1, "sort": [1]}]
    table.start(records, {"1": "A"})
    assert table.rows(records, None) == [("a", "x")]
    table = PagesTable()
    table.start([{"_id": "x", "_source": ["a"]}], ["A"])
    assert table.rows([{"_id": "x", "_source": ["a"]}], None) == [("a",)]
    assert record_id({"_source": {"callId": "c"}}) == "c"
    assert record_id({"_id": "x", "_source": {"callId": "c"}}) == "c"
    assert record_id({"id": 7, "callId": ""}) is None


def test_columns_are_picked_ordered_and_renamed(server: SandboxServer) -> None:
    """``columns`` as a list and as a mapping; the source stays the API's own label."""
    behave(server, calls=listed(Call(NOON)))
    columns, (row,) = _typed(server, choice={"Status": "Outcome", "Caller Number": "Phone"})
    assert columns == (
        Column("Outcome", ColumnKind.TEXT, "Status"),
        Column("Phone", ColumnKind.TEXT, "Caller Number"),
    )
    assert row == ("Answered", "919800000000")
    columns, (row,) = _typed(server, choice=["Time"])
    assert (columns, row) == ((Column("Time", ColumnKind.DATETIME),), (NOON,))


@pytest.mark.parametrize("name", ["Caller", "caller_number", "Caller No."])
def test_the_nearest_label_is_named(server: SandboxServer, name: str) -> None:
    """clear-sentence: of a column, of what is redacted, and of what files are made for."""
    behave(server, calls=CALLS)
    wrong: list[dict[str, Any]] = [
        {"columns": [name]},
        {"redact": {name: "last4"}},
    ]
    for arguments in wrong:
        with pytest.raises(TableError, match=rf"names '{name}' \(did you mean 'Caller Number'\?\), which"):
            read_report(server, **arguments)


def test_a_column_that_does_not_exist_is_an_error(server: SandboxServer) -> None:
    """The sentence names it and lists what there is."""
    behave(server, calls=CALLS)
    with pytest.raises(
        TableError, match="columns names 'Phone', which the report does not have; it has Caller Number, Time"
    ):
        read_report(server, columns=["Phone"])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ("Time", "columns is of type str; allowed are a list of labels and an object of label to new name"),
        (5, "columns is of type int; allowed are a list of labels and an object of label to new name"),
        ([], "columns is empty; leave it out for every column, or name at least one"),
        ({}, "columns is empty; leave it out for every column, or name at least one"),
        (["Time", "Time"], "columns names 'Time' twice; name each column once"),
        ({"Time": "When", "Status": "When"}, "columns gives the name 'When' twice; give each column a name of its own"),
        (["Time", ""], "columns has ''; allowed are labels and names that are not empty"),
        ([None], "columns has None; allowed are labels and names that are not empty"),
        ({"Time": 5}, "columns has 5; allowed are labels and names that are not empty"),
    ],
)
def test_a_wrong_choice_is_one_sentence(columns: Any, sentence: str) -> None:
    """The sentence names the argument, what it was and what is allowed."""
    with pytest.raises(SettingsError) as failed:
        check_choice(columns)
    assert str(failed.value) == sentence


TIMES: list[tuple[Any, Value]] = [
    ("2026-03-13 12:00:00", NOON),
    ("2026-03-13T12:00:00", NOON),
    ("2026-03-13 12:00", NOON),
    ("2026-03-13 12:00:00.250000", NOON.replace(microsecond=250_000)),
    ("2026-03-13 12:00:00,25", NOON.replace(microsecond=250_000)),
    ("13-03-2026 12:00:00", NOON),
    ("13/03/2026 12:00:00", NOON),
    ("2026-03-13T12:00:00+05:30", NOON),
    ("2026-03-13T06:30:00Z", NOON),
    ("2026-03-13 06:30:00 +0000", NOON),
    (1773383400, NOON),
    ("1773383400", NOON),
    (1773383400000, NOON),
    ("1773383400000", NOON),
    (1773383400.0, NOON),
    ("", None),
    (" ", None),
    ("0", None),
    (0, None),
    ("-", None),
    (None, None),
    ("0000-00-00 00:00:00", None),
    ("0000-00-00", None),
    ("00-00-0000 00:00:00", None),
    ("2026-02-30 12:00:00", "2026-02-30 12:00:00"),
    ("31-02-2026 12:00:00", "31-02-2026 12:00:00"),
    ("1899-12-31 00:00:00", "1899-12-31 00:00:00"),
    ("yesterday", "yesterday"),
    ("12:00", "12:00"),
    (12345, "12345"),
    (True, "true"),
    (["x"], '["x"]'),
]


@pytest.mark.parametrize(("cell", "value"), TIMES)
def test_how_times_are_read(cell: Any, value: Value) -> None:
    """Naive, with offset, day first, epoch; zero dates are None; the rest stays text."""
    assert times([cell], KOLKATA, TimeForm()) == [value]
    assert times([cell, "2026-03-13 12:00:00"], KOLKATA, TimeForm())[0] == value


def test_an_instant_in_a_repeated_hour_is_its_wall_time() -> None:
    """Times with an offset become the account's wall time, on both passes of an hour."""
    zone = ZoneInfo("Europe/Berlin")
    cells = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]
    assert times(cells, zone, TimeForm()) == [datetime(2026, 10, 25, 2, 30)] * 2
    assert [moment.fold for moment in times(cells, zone, TimeForm()) if isinstance(moment, datetime)] == [0, 0]


DURATIONS: list[tuple[Any, Value]] = [
    (75, 75),
    ("75", 75),
    (" 75 ", 75),
    ("01:15", 75),
    ("1:15", 75),
    ("00:01:15", 75),
    ("100:30", 6030),
    ("27:46:39", 99_999),
    (7.5, 7.5),
    ("7.5", 7.5),
    (0, 0),
    ("0", 0),
    ("-", None),
    ("", None),
    (None, None),
    ("01:75", "01:75"),
    ("01:75:00", "01:75:00"),
    ("9" * 20, "9" * 20),
    ("9" * 5000 + ":00", "9" * 5000 + ":00"),
    (10**30, str(10**30)),
    ("1 min", "1 min"),
    (True, "true"),
    ([5], "[5]"),
]


@pytest.mark.parametrize(("cell", "value"), DURATIONS)
def test_how_durations_are_read(cell: Any, value: Value) -> None:
    """Seconds, numerals, MM:SS, HH:MM:SS; a dash is None; the rest stays text."""
    assert durations([cell]) == [value]
    assert durations([cell, "00:01"])[0] == value


AMOUNTS: list[tuple[Any, Value]] = [
    (2, 2),
    (2.5, 2.5),
    ("2.50", 2.5),
    ("-5", -5),
    ("007", 7),
    ({"freeHit": 2, "paidHit": 0, "amount": 0}, 0),
    ({"amount": "1.5"}, 1.5),
    ({"amount": {"x": 1}}, '{"x":1}'),
    ({"paidHit": 1}, '{"paidHit":1}'),
    ("1,234.50", "1,234.50"),
    ("1e5", "1e5"),
    (float("inf"), "inf"),
    (10**15, str(10**15)),
    ("1" * 15, int("1" * 15)),
    ("1" * 16, "1" * 16),
    (0.1 + 0.2, "0.30000000000000004"),
    ("", None),
    ("-", None),
    (None, None),
    (False, "false"),
]


@pytest.mark.parametrize(("cell", "value"), AMOUNTS)
def test_how_amounts_are_read(cell: Any, value: Value) -> None:
    """At most 15 digits, so that every format keeps them; what has more stays text."""
    assert numbers([cell]) == [value]


TEXTS: list[tuple[Any, Value]] = [
    ("0049", "0049"),
    (919876543210, "919876543210"),
    (919876543210.0, "919876543210"),
    (12345678901234567890, "12345678901234567890"),
    (1.5, "1.5"),
    (0, "0"),
    (True, "true"),
    (False, "false"),
    ("", None),
    ([], None),
    ({}, None),
    (None, None),
    (["a", 1], '["a",1]'),
    ({"é": None}, '{"é":null}'),
    ("\ud800", "\ud800"),
]


@pytest.mark.parametrize(("cell", "value"), TEXTS)
def test_how_texts_are_read(cell: Any, value: Value) -> None:
    """Numbers, ids and codes are text and lose no digit; nested values are JSON."""
    assert texts([cell]) == [value]
    assert texts([cell, 5])[0] == value


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
JSON = (
    SCALARS
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(st.text(max_size=5) | st.just("amount"), SCALARS, max_size=2)
)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(ColumnKind), cells=st.lists(JSON, min_size=1, max_size=5))
def test_no_json_value_breaks_a_column(kind: ColumnKind, cells: list[Any]) -> None:
    """Whatever JSON can hold becomes a value of the column's kind, text or None, one for each cell."""
    kinds: dict[ColumnKind, tuple[type, ...]] = {ColumnKind.TEXT: (str,), ColumnKind.DATETIME: (str, datetime)}
    allowed = kinds.get(kind, (str, int, float))
    values = converter(kind, KOLKATA)(cells)
    assert len(values) == len(cells)
    assert all(value is None or type(value) in allowed for value in values)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (5.0, 5),
        ("5", 5),
        (" 5 ", 5),
        (0, 0),
        (-1, None),
        (5.5, None),
        ("5.5", None),
        (True, None),
        ("", None),
        ("٥", None),
        (None, None),
        ([], None),
        (float("inf"), None),
        (10**20, 10**20),
    ],
)
def test_how_counts_are_read(value: Any, number: int | None) -> None:
    """``cnt`` as number or numeral; anything else is no count."""
    assert whole_number(value) == number


CURSORS = [
    "[1773383400000, 1152921504606846977]",
    "1152921504606846977",
    "[1.10, 1e400, 0.1000000000000000055511151231257827]",
    '["caf\\u00e9", null, true, {"a": [2.50]}]',
    '"opaque"',
    '["\\ud800"]',
    "[-1.5E-10]",
]


@pytest.mark.parametrize("cursor", CURSORS)
@pytest.mark.parametrize(
    "body",
    [
        '{{"data": [{{"1": "x"}}], "sAftr": {0}}}',
        '{{"data": [{{"1": "x", "sAftr": {0}}}]}}',
        '{{"data": [{{"1": "x", "sort": {0}}}]}}',
        '{{"data": {{"0": {{"sort": {0}}}}}}}',
    ],
    ids=["top", "row sAftr", "row sort", "object of rows"],
)
def test_a_cursor_goes_back_as_it_came(cursor: str, body: str) -> None:
    """capped-totals: no digit of a cursor is lost, beyond 2^53 and in fractions, wherever it stands."""
    raw = body.format(cursor).encode()
    sent = parse_answer(json.loads(raw), raw).cursor
    assert sent is not None
    assert json.loads(sent, parse_float=str, parse_int=str) == _same(json.loads(cursor, parse_float=str, parse_int=str))
    sent.encode("ascii")


def _same(value: Any) -> Any:
    """Decimals spell exponents in capitals and drop no digit."""
    if isinstance(value, list):
        return [_same(item) for item in value]
    if isinstance(value, str) and value.lower() != value.upper() and value[:1] in "-0123456789":
        return value.replace("e400", "E+400")
    return value


def test_no_cursor_is_no_cursor() -> None:
    """``[]``, ``""``, ``{}`` and null mean that there is none."""
    for nothing in ("[]", '""', "{}", "null"):
        raw = f'{{"data": [{{"sAftr": {nothing}, "sort": {nothing}}}], "sAftr": {nothing}}}'.encode()
        assert parse_answer(json.loads(raw), raw).cursor is None


@pytest.mark.parametrize("data", [[1], ["x"], [None], [True], [{}, 5], {"0": "x"}, {"total": 1}])
def test_a_row_that_is_none_is_an_error(data: Any) -> None:
    """The sentence names the type, and not the value."""
    with pytest.raises(TableError, match=r"row \d of the answer is .*; a row must be an object or an array"):
        parse_answer({"data": data}, b"")


def test_an_object_of_arrays_is_no_object_of_rows() -> None:
    """``{"list": [...]}`` holds rows and is none; numbered arrays are rows."""
    with pytest.raises(AnswerError, match="an object with an array in it"):
        parse_answer({"data": {"list": [{"1": "x"}]}}, b"")
    assert parse_answer({"data": {"10": ["b"], "9": ["a"]}}, b"").records == [["a"], ["b"]]


def test_the_sixteen_labels_are_the_vendors() -> None:
    """The kinds of the known labels: one time, four durations, one amount, ten texts."""
    assert tuple(KNOWN_LABELS) == LABELS
    kinds = list(KNOWN_LABELS.values())
    assert [kinds.count(kind) for kind in (ColumnKind.DATETIME, ColumnKind.DURATION, ColumnKind.NUMBER)] == [1, 4, 1]


def rows_of(column_arr: Any, *records: Any) -> list[dict[str, Any]]:
    """The rows of one page by label."""
    table = PagesTable()
    table.start(list(records), column_arr)
    return [dict(zip(table.labels, row, strict=True)) for row in table.rows(list(records), column_arr)]


def test_positions_from_zero_beside_columns_from_one() -> None:
    """same-rows: each cell stands under its own label, not under that of its neighbour."""
    noon = "2026-03-13 12:00:00"
    assert rows_of({"1": "A", "2": "Time"}, {"0": "a", "1": noon}) == [{"A": "a", "Time": NOON}]
    # A spare key beside a last column that is left out looks the same; the times tell it apart.
    spare = {"1": "A", "2": "Time", "3": "C"}
    assert rows_of(spare, {"0": 7, "1": "a", "2": noon}) == [{"A": "a", "Time": NOON, "C": None}]
    with pytest.raises(TableError, match="it cannot be told whether they count from 0"):
        rows_of({"1": "A", "2": "B"}, {"0": "a", "1": "b"})
    assert rows_of({"1": "A", "2": "B"}, {"0": "x", "1": "a", "2": "b"}) == [{"A": "a", "B": "b"}]


def test_arrays_beside_columns_with_hidden_positions() -> None:
    """same-rows: where a position is left out of columnArr and not of the rows, the cells behind it do not move up."""
    hidden = {"2": "B", "4": "D"}
    assert rows_of(hidden, ["a", "b", "c", "d"]) == [{"B": "b", "D": "d"}]
    assert rows_of(hidden, ["b", "d"]) == [{"B": "b", "D": "d"}]
    with pytest.raises(TableError, match=r"2 columns at positions up to 4 and the rows have 3 cells"):
        rows_of(hidden, ["a", "b", "c"])


@pytest.mark.parametrize("spelled", ["Caller Number ", " Caller Number", "caller number", "CALLER NUMBER"])
def test_a_label_that_rows_spell_otherwise_finds_its_cells(spelled: str) -> None:
    """same-rows: a column is not empty because rows, or columnArr, have its label with a blank more or in small
    letters.
    """
    cells = {"Caller Number": "919876543210", "B": "b", "C": "c"}
    rows = {spelled if label == "Caller Number" else label: cell for label, cell in cells.items()}
    assert rows_of({"1": "Caller Number", "2": "B", "3": "C"}, rows) == [cells]
    assert rows_of({"1": spelled, "2": "B", "3": "C"}, rows) == [{spelled.strip(): "919876543210", "B": "b", "C": "c"}]
