"""The stand-in API over real HTTP: documented answers, credentials, filters, both kinds of paging, every shape."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import requests
from support.sandbox import CREDENTIALS, DAY, answer, cursor_of, ids, pages, post, read, rows_of

from airflow_provider_callreport.sandbox.call import FIELD_NAMES, LABELS
from airflow_provider_callreport.sandbox.calls import Call, ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.rows import ROW_SHAPES, SHORT_BY, SURPLUS_CELL
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import CHOICES, SandboxSettings

CALLS = 250
SOURCE = SyntheticCalls(CALLS)
MASKED = SyntheticCalls(120, masked=True)


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> SandboxServer:
    """A server with 250 calls a day and nothing set."""
    running.reset()
    running.settings = SandboxSettings(calls=SOURCE, masked_calls=MASKED)
    return running


# The answer that the vendor printed


def test_the_empty_answer_is_the_vendors_own_byte_for_byte(server: SandboxServer) -> None:
    """api-document: the only complete example answer has an ETag and a length; ours has the same."""
    body = post(server, filter={"dtGte": "1999-01-01 00:00:00", "dtLte": "1999-01-01 23:59:59"}).content

    assert len(body) == 330
    # Express: W/"<length in hex>-<first 27 characters of the SHA-1 in base64>".
    assert f"{len(body):x}-{b64encode(hashlib.sha1(body).digest()).decode()[:27]}" == "14a-FoAEJBrob5gdqn6kHOb8nHlxL0o"


# Paths and credentials


@pytest.mark.parametrize(
    "path", ["CallReport/masklist", "callreport/masklist/", "callreport/masklist", "CallReport/masklist/"]
)
def test_both_spellings_of_the_path_are_served(server: SandboxServer, path: str) -> None:
    response = requests.post(
        f"{server.url}/api/v2/{path}", json={**CREDENTIALS, "filter": DAY}, timeout=5, allow_redirects=False
    )

    assert response.json()["cnt"] == 120


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"userId": "sandbox-user", "token": "sandbox-token"}, None),
        ({"ssid": "sandbox-ssid"}, None),
        ({"ssid": "sandbox-ssid", "userId": "anybody"}, None),
        ({"ssid": "sandbox-ssid", "userId": "sandbox-user", "token": "sandbox-token"}, 1000),
        ({"ssid": "", "userId": "sandbox-user", "token": "sandbox-token"}, 1000),
        ({"userId": "sandbox-user"}, 1000),
        ({"token": "sandbox-token"}, 1000),
        ({}, 1000),
        ({"userId": "sandbox-user", "token": "old"}, 1014),
        ({"userId": "nobody", "token": "sandbox-token"}, 1014),
        ({"ssid": "old"}, 1014),
        ({"userId": "sandbox-guest", "token": "sandbox-token"}, 1015),
        ({"userId": "sandbox-guest", "ssid": "sandbox-ssid"}, 1015),
    ],
)
def test_credentials_are_judged_as_documented(
    server: SandboxServer, credentials: dict[str, str], code: int | None
) -> None:
    response = requests.post(f"{server.url}/api/v2/CallReport/list", json=credentials, timeout=5)

    assert response.json().get("code") == code
    assert server.requests[-1].credentials == tuple(key for key in ("userId", "token", "ssid") if key in credentials)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff"])
def test_an_empty_or_malformed_body_is_1047(server: SandboxServer, raw: bytes) -> None:
    response = requests.post(f"{server.url}/api/v2/CallReport/list", data=raw, timeout=5)

    assert response.json() == {"status": "error", "message": "Invalid Request Data", "code": 1047}


def test_an_error_answer_has_the_http_status_of_the_settings(server: SandboxServer) -> None:
    assert post(server, token="old").status_code == 200
    server.settings.error_status = 401
    assert post(server, token="old").status_code == 401


def test_an_unknown_endpoint_is_404_in_html(server: SandboxServer) -> None:
    response = post(server, "nonesuch")

    assert (response.status_code, response.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_requests_are_remembered_without_credentials(server: SandboxServer) -> None:
    post(server, filter=DAY, sz=10, page=3)

    record = server.requests[-1]
    assert (record.endpoint, record.page, record.status) == ("list", 3, 200)
    assert record.body == {"filter": DAY, "sz": 10, "page": 3}
    assert "sandbox-token" not in repr(record)


# Paging


@pytest.mark.parametrize("order", CHOICES["order"])
@pytest.mark.parametrize("row_shape", ROW_SHAPES)
def test_pages_by_number_hold_every_call_once(server: SandboxServer, row_shape: str, order: str) -> None:
    """Every row shape, both orders: 250 calls in pages of 100, then an empty page."""
    server.settings.row_shape, server.settings.order = row_shape, order
    server.settings.number_shape = "mixed"

    rows = read(server)

    assert len(rows) == CALLS
    times = [time_of(row) for row in rows]
    assert times == sorted(times, reverse=order == "newest")
    if row_shape.endswith("array"):
        assert len({json.dumps(row) for row in rows}) == CALLS
    else:
        assert len(set(ids(rows))) == CALLS
    assert len(server.requests) == 4


@pytest.mark.parametrize("order", CHOICES["order"])
@pytest.mark.parametrize("cursor_shape", CHOICES["cursor_shape"])
@pytest.mark.parametrize(
    ("cursor", "row_shape"),
    [
        ("top", "position"),
        ("top", "array"),
        ("row_sAftr", "label"),
        ("row_sAftr", "data_object"),
        ("row_sort", "hit"),
        ("row_sort", "fields"),
    ],
)
def test_a_read_by_cursor_holds_every_call_once(
    server: SandboxServer, cursor: str, row_shape: str, cursor_shape: str, order: str
) -> None:
    server.settings.cursor, server.settings.cursor_shape = cursor, cursor_shape
    server.settings.row_shape, server.settings.order = row_shape, order
    by_number = read(server)

    by_cursor = read(server, by_cursor=True)

    assert len(by_number) == CALLS
    assert by_cursor == by_number


def test_a_cursor_holds_an_integer_that_a_float_cannot(server: SandboxServer) -> None:
    """api-document: integers beyond 2^53 survive; a client that rounds them reads other rows."""
    server.settings.cursor = "top"
    milliseconds, serial = answer(server, filter=DAY, sz=100)["sAftr"]

    assert serial > 2**53
    assert int(float(serial)) != serial
    exact = answer(server, filter=DAY, sz=100, sAftr=[milliseconds, serial])
    rounded = answer(server, filter=DAY, sz=100, sAftr=[milliseconds, int(float(serial))])
    assert ids(exact["data"]) != ids(rounded["data"])


@pytest.mark.parametrize("cursor", ["x", [1.5, 2.5], [1, 2, 3], {"a": 1}])
def test_a_strange_cursor_is_refused(server: SandboxServer, cursor: Any) -> None:
    server.settings.cursor = "top"

    assert answer(server, sAftr=cursor)["code"] == 1000


def test_a_page_number_beside_a_cursor_is_refused_or_ignored(server: SandboxServer) -> None:
    server.settings.cursor = "top"
    after = answer(server, filter=DAY, sz=100)["sAftr"]

    assert answer(server, filter=DAY, sz=100, sAftr=after, page=1)["code"] == 1000
    server.settings.page_with_cursor = "ignore"
    assert len(answer(server, filter=DAY, sz=100, sAftr=after, page=1)["data"]) == 100


def test_without_the_setting_a_cursor_is_ignored(server: SandboxServer) -> None:
    first = answer(server, filter=DAY, sz=10)

    assert "sAftr" not in first
    assert answer(server, filter=DAY, sz=10, sAftr=[1, 2]) == first


def test_page_sizes(server: SandboxServer) -> None:
    """The default is 50; a size above the maximum is made smaller or refused, as the settings say."""
    assert len(answer(server, filter=DAY)["data"]) == 50
    server.settings.max_page_size = 20
    assert len(answer(server, filter=DAY, sz=100)["data"]) == 20
    server.settings.page_size_policy = "refuse"
    assert answer(server, filter=DAY, sz=100)["code"] == 1000
    for bad in ({"sz": 0}, {"sz": "ten"}, {"page": -1}, {"page": 1.5}, {"sz": True}):
        assert answer(server, filter=DAY, **bad)["code"] == 1000


def test_deep_pages_are_refused_by_number_and_served_by_cursor(server: SandboxServer) -> None:
    """capped-totals: a search engine's result window of, here, 200 rows."""
    server.settings.deep_page_limit, server.settings.cursor = 200, "top"

    assert len(answer(server, filter=DAY, sz=100, page=1)["data"]) == 100
    assert answer(server, filter=DAY, sz=100, page=2)["code"] == 1000
    assert len(read(server, by_cursor=True)) == CALLS


# Counts


@pytest.mark.parametrize(
    ("cnt", "expected"), [("total", CALLS), ("page", 100), ("text", str(CALLS)), ("missing", None)]
)
def test_cnt_in_each_form(server: SandboxServer, cnt: str, expected: object) -> None:
    server.settings.cnt = cnt

    assert answer(server, filter=DAY, sz=100).get("cnt") == expected


def test_cnt_is_capped_at_ten_thousand(server: SandboxServer) -> None:
    server.settings.calls = SyntheticCalls(10_001)
    assert answer(server, filter=DAY, sz=1)["cnt"] == 10_001
    server.settings.cnt = "capped"
    assert answer(server, filter=DAY, sz=1)["cnt"] == 10_000


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("cnt", {"cnt": CALLS}),
        ("count", {"count": CALLS}),
        ("total", {"total": CALLS}),
        ("data", {"data": CALLS}),
        ("data_cnt", {"data": {"cnt": CALLS}}),
        ("bare", CALLS),
        ("numeral", str(CALLS)),
        ("error", {"status": "error", "message": "Something went wrong", "code": 1009}),
    ],
)
def test_report_count_in_each_form(server: SandboxServer, form: str, expected: object) -> None:
    server.settings.report_count = form

    assert answer(server, "reportCount", filter=DAY) == expected


def test_report_count_may_be_missing(server: SandboxServer) -> None:
    server.settings.report_count = "missing"

    assert post(server, "reportCount").status_code == 404


# Filters


def test_the_window_is_inclusive_at_both_ends(server: SandboxServer) -> None:
    """api-document: dtGte and dtLte are inclusive by name; hours of a day that end at :59:59 partition it."""
    hours = [{"dtGte": f"2025-11-22 {hour:02d}:00:00", "dtLte": f"2025-11-22 {hour:02d}:59:59"} for hour in range(24)]
    found = [call_id for hour in hours for call_id in ids(answer(server, filter=hour, sz=1000)["data"])]
    assert found == ids(read(server))

    second = answer(server, filter=DAY, sz=1)["data"][0]["2"]
    assert len(answer(server, filter={"dtGte": second, "dtLte": second})["data"]) >= 1


@pytest.mark.parametrize(("key", "label"), [("agent", "Agents"), ("status", "Status"), ("campaign", "Campaign")])
def test_names_filter_by_one_or_several(server: SandboxServer, key: str, label: str) -> None:
    server.settings.row_shape = "label"
    rows = read(server)
    one, other = sorted({row[label] for row in rows if row[label] and ", " not in row[label]})[:2]

    for wanted in (one, [one], [one, other]):
        names = {wanted} if isinstance(wanted, str) else set(wanted)
        expected = [row["callId"] for row in rows if names & set(row[label].split(", "))]
        page = answer(server, filter={**DAY, key: wanted}, sz=1000)
        assert ids(page["data"]) == expected
        assert 0 < page["cnt"] == len(expected) < CALLS


@pytest.mark.parametrize(("key", "label"), [("cNum", "Caller Number"), ("frm", "Caller Number"), ("to", "DID Number")])
@pytest.mark.parametrize("prefix", ["", "+", "00"])
def test_numbers_filter_in_any_spelling(server: SandboxServer, key: str, label: str, prefix: str) -> None:
    server.settings.row_shape = "label"
    rows = read(server)
    number = rows[7][label]

    found = answer(server, filter={**DAY, key: prefix + number}, sz=1000)["data"]

    assert ids(found) == [row["callId"] for row in rows if row[label] == number]


@pytest.mark.parametrize(
    ("bounds", "inside"),
    [
        ({"gte": 60}, lambda seconds: seconds >= 60),
        ({"gt": 60, "lt": 600}, lambda seconds: 60 < seconds < 600),
        ({"gte": "30", "lte": 60}, lambda seconds: 30 <= seconds <= 60),
        ({}, lambda seconds: True),
    ],
)
def test_durations_filter(server: SandboxServer, bounds: dict[str, Any], inside: Any) -> None:
    rows = read(server)

    found = answer(server, filter={**DAY, "dur": bounds}, sz=1000)["data"]

    assert ids(found) == [row["callId"] for row in rows if inside(row["7"])]
    assert found


def test_mask_filters_masked_calls(server: SandboxServer) -> None:
    server.settings.number_shape = "mask"
    masks = [row["1"] for row in answer(server, "masklist", filter=DAY, sz=1000)["data"]]

    assert all(mask.startswith("mask_") for mask in masks)
    found = answer(server, "masklist", filter={**DAY, "mask": masks[5]})["data"]
    assert [row["1"] for row in found] == [masks[5]] * masks.count(masks[5])


def test_masked_calls_are_others_than_the_plain_ones(server: SandboxServer) -> None:
    plain = ids(answer(server, filter=DAY, sz=1000)["data"])

    assert not set(plain) & set(ids(answer(server, "masklist", filter=DAY, sz=1000)["data"]))


def test_unknown_filters_are_ignored_or_refused(server: SandboxServer) -> None:
    assert answer(server, filter={**DAY, "colour": "red"})["cnt"] == CALLS
    server.settings.reject_unknown_filters = True
    assert answer(server, filter={**DAY, "colour": "red"})["code"] == 1000
    assert answer(server, filter={**DAY, "dur": {}, "cNum": ""})["cnt"] == CALLS


@pytest.mark.parametrize(
    "bad",
    [
        "all",
        {"dtGte": "22-11-2025 00:00:00"},
        {"dtLte": "2025-02-30 00:00:00"},
        {"dtLte": "2025-11-22T00:00:00"},
        {"dur": 5},
        {"dur": {"gte": "long"}},
        {"agent": {"name": "Asha"}},
    ],
)
def test_a_filter_that_cannot_be_read_is_1000(server: SandboxServer, bad: Any) -> None:
    assert answer(server, filter=bad)["code"] == 1000


# Shapes


def time_of(row: Any) -> Any:
    """The time of a row of any shape."""
    if isinstance(row, list):
        return row[1]
    row = row.get("_source", row)
    return row.get("2") or row.get("Time") or row["ivrSTime"]


def test_row_shapes_hold_the_same_cells(server: SandboxServer) -> None:
    shown = {}
    for shape in ROW_SHAPES:
        server.settings.row_shape = shape
        shown[shape] = answer(server, filter=DAY, sz=3)["data"]
    cells = shown["array"]

    assert [list(row) for row in shown["position"]] == [[str(n) for n in range(1, 17)] + ["callId"]] * 3
    assert [[row[str(n)] for n in range(1, 17)] for row in shown["position"]] == cells
    assert [[row[label] for label in LABELS] for row in shown["label"]] == cells
    assert [[row[name] for name in FIELD_NAMES] for row in shown["fields"]] == cells
    assert [[row["_source"][name] for name in FIELD_NAMES] for row in shown["hit"]] == cells
    assert [row["_id"] for row in shown["hit"]] == ids(shown["position"])
    assert shown["short_array"] == [row[:-SHORT_BY] for row in cells]
    assert shown["long_array"] == [[*row, SURPLUS_CELL] for row in cells]
    assert shown["data_object"] == {str(n): row for n, row in enumerate(shown["position"])}


def test_rows_may_have_no_ids(server: SandboxServer) -> None:
    server.settings.ids = False

    assert "callId" not in answer(server, filter=DAY)["data"][0]
    server.settings.row_shape = "hit"
    assert "_id" not in answer(server, filter=DAY)["data"][0]


def test_columns_in_each_form(server: SandboxServer) -> None:
    numbered = {str(n): label for n, label in enumerate(LABELS, 1)}
    expected: dict[str, Any] = {
        "object": numbered,
        "shuffled": numbered,
        "list": list(LABELS),
        "empty_object": {},
        "empty_list": [],
        "missing": None,
    }
    for shape, columns in expected.items():
        server.settings.columns_shape = shape
        page = answer(server, filter=DAY)
        assert page.get("columnArr") == columns
        if shape == "shuffled":
            assert list(page["columnArr"])[:3] == ["1", "10", "11"]
    server.settings.columns_shape = "object"
    server.settings.labels = ("Time", "Score", "Status", "Status")
    page = answer(server, filter=DAY)
    assert page["columnArr"] == {"1": "Time", "2": "Score", "3": "Status", "4": "Status"}
    assert page["data"][0]["2"] == ""
    assert page["data"][0]["3"] == page["data"][0]["4"] != ""


def test_empty_data_and_hidden_sections_in_each_form(server: SandboxServer) -> None:
    nothing = {"dtGte": "1999-01-01 00:00:00", "dtLte": "1999-01-01 23:59:59"}
    for shape, data in (("list", []), ("null", None), ("object", {})):
        server.settings.empty_data = shape
        page = answer(server, filter=nothing)
        assert (page["data"], page["cnt"]) == (data, 0)
    for shape, hidden in (("list", []), ("object", {}), ("missing", None)):
        server.settings.hide_section = shape
        assert answer(server, filter=nothing).get("hideSectionArr") == hidden


ONE_CALL = Call(
    datetime(2025, 11, 22, 9, 5, 7),
    number="919876543210",
    call_duration=3675,
    amount=1.5,
    recording="tok*mp3*u*2025*11*22*f.mp3",
    dtmf="12#",
    mask="mask_10042",
)


@pytest.mark.parametrize(
    ("setting", "label", "expected"),
    [
        (
            "time_shape",
            "Time",
            {
                "naive": "2025-11-22 09:05:07",
                "dmy": "22-11-2025 09:05:07",
                "iso": "2025-11-22T09:05:07+05:30",
                "epoch": 1763782507,
                "epoch_ms": 1763782507000,
                "zero": "0000-00-00 00:00:00",
            },
        ),
        (
            "number_shape",
            "Caller Number",
            {
                "text": "919876543210",
                "integer": 919876543210,
                "plus": "+919876543210",
                "starred": "91XXXXXX3210",
                "hashed": hashlib.sha256(b"919876543210").hexdigest()[:32],
                "mask": "mask_10042",
                "null": None,
            },
        ),
        (
            "duration_shape",
            "Call Duration",
            {
                "seconds": 3675,
                "numeral": "3675",
                "mm_ss": "61:15",
                "hh_mm_ss": "01:01:15",
                "dash": "-",
                "empty": "",
                "null": None,
            },
        ),
        (
            "amount_shape",
            "Amount",
            {"number": 1.5, "text": "1.5", "object": {"freeHit": 2, "paidHit": 0, "amount": 1.5}, "null": None},
        ),
        (
            "recording_shape",
            "Rec.",
            {
                "token": "tok*mp3*u*2025*11*22*f.mp3",
                "boolean": True,
                "count": 1,
                "path": "recordings/tok*mp3*u*2025*11*22*f.mp3",
                "url": "https://recordings.example.com/play?token=tok*mp3*u*2025*11*22*f.mp3",
                "list": [{"nodeid": "n1", "visitId": 1, "file": "tok*mp3*u*2025*11*22*f.mp3"}],
                "null": None,
            },
        ),
        ("dtmf_shape", "DTMF", {"text": "12#", "list": ["1", "2", "#"]}),
    ],
)
def test_values_in_each_form(server: SandboxServer, setting: str, label: str, expected: dict[str, Any]) -> None:
    """The spellings that are known; together with "mixed" these are all the choices that the setting has."""
    server.settings.calls = ListedCalls([ONE_CALL])
    server.settings.row_shape = "label"

    assert {*expected, "mixed"} == set(CHOICES[setting])
    for shape, value in expected.items():
        setattr(server.settings, setting, shape)
        assert answer(server)["data"][0][label] == value
    server.settings.calls = SOURCE
    setattr(server.settings, setting, "mixed")
    types = {json.dumps(row[label])[:1] for row in read(server)}
    assert len(types) > 1


def test_listed_cells_are_sent_as_they_are(server: SandboxServer) -> None:
    """same-rows: its texts can be served: formulas, controls, lone surrogates, per cents, 32,768 characters."""
    nasty = ['=1+1|"x"', "a\x00\x1f\r\nb", "\ud800", "100%s %d", "{{%%x%%}}", "\u202e\U0001f600", "\ue000"]
    nasty.append("x" * 32_768)
    server.settings.row_shape = "label"
    server.settings.calls = ListedCalls(
        Call(datetime(2025, 11, 22), number=text, recording=text, details=text, cells={"Amount": [text, None]})
        for text in nasty
    )

    rows = answer(server)["data"]

    assert [row["Details"] for row in rows] == nasty
    assert [row["Caller Number"] for row in rows] == nasty
    assert [row["Rec."] for row in rows] == nasty
    assert [row["Amount"] for row in rows] == [[text, None] for text in nasty]


def test_listed_calls_change_between_requests(server: SandboxServer) -> None:
    """moving-report: its test needs calls that come, go and change while a report is read, and a cursor that outlives
    its call.
    """
    source = ListedCalls(Call(datetime(2025, 11, 22, 1), call_id=f"{n:027d}") for n in range(6))
    server.settings.calls, server.settings.cursor = source, "top"
    after = answer(server, sz=3)["sAftr"]

    del source.calls[2]
    source.calls.append(Call(datetime(2025, 11, 22), call_id="late"))

    assert ids(answer(server, sz=3, sAftr=after)["data"]) == [f"{n:027d}" for n in (3, 4, 5)]
    assert answer(server)["cnt"] == 6
    assert ids(answer(server)["data"])[0] == "late"


# Determinism


def test_same_seed_same_bytes(server: SandboxServer) -> None:
    bodies = []
    for seed in (1, 1, 2):
        server.settings.calls = SyntheticCalls(CALLS, seed=seed)
        bodies.append(post(server, filter=DAY, sz=1000).content)

    assert bodies[0] == bodies[1] != bodies[2]
    # Whoever changes this changes what users' own tests see: say so in the change log.
    assert hashlib.sha256(bodies[0]).hexdigest() == "a54c174b45293d4b82e95c2447f168b75102015659891eeb481a3e0eda2b8e65"


# Other endpoints


def test_detail_has_the_recording_of_the_list(server: SandboxServer) -> None:
    server.settings.row_shape = "label"
    for row in read(server)[:40] + answer(server, "masklist", filter=DAY)["data"]:
        found = answer(server, "detail", clId=row["callId"], rType=["rcrd"])["data"]["rcrdAr"]
        assert [one["rcrd"] for one in found] == ([row["Rec."]] if row["Rec."] else [])
    assert answer(server, "detail", clId="20251122cal0000000000000000")["code"] == 1012
    assert answer(server, "detail")["code"] == 1000


def test_exports_in_each_form(server: SandboxServer) -> None:
    for form in CHOICES["export_answer"]:
        server.settings.export_answer = form
        response = post(server, "exportCsv", filter=DAY)
        assert response.status_code == (202 if form == "accepted" else 200)
    assert response.content.count(b"\r\n") == CALLS + 1
    server.settings.export_answer = "object"
    export = answer(server, "exportCsvBulk", filter=DAY)["data"]
    assert requests.get(server.url + export["url"], timeout=5).content == response.content
    assert answer(server, "changeTitle", id=export["id"], title="November")["status"] == "success"
    assert answer(server, "changeTitle", id="other", title="November")["code"] == 1012


def test_pdf_in_each_form(server: SandboxServer) -> None:
    assert post(server, "downloadPdf").content.startswith(b"%PDF")
    server.settings.pdf_answer = "link"
    assert "url" in answer(server, "downloadPdf")["data"]
    server.settings.pdf_answer = "base64"
    assert answer(server, "downloadPdf")["data"].startswith("JVBERi0")
    server.settings.pdf_answer = "not_ready"
    assert answer(server, "downloadPdf")["code"] == 1012


# Settings


def test_a_wrong_setting_is_refused_with_what_is_allowed() -> None:
    settings = SandboxSettings()
    with pytest.raises(ValueError, match="cursor must be one of none, top, row_sAftr, row_sort, not 'side'"):
        settings.cursor = "side"
    with pytest.raises(ValueError, match="unknown sandbox setting 'cursors'"):
        settings.cursors = "top"
    assert {field.name for field in fields(SandboxSettings)} >= set(CHOICES)


def test_two_reads_of_pages_end_where_they_should(server: SandboxServer) -> None:
    """The helper of these tests itself: the last page is empty, the one before it short."""
    sizes = [len(rows_of(page)) for page in pages(server)]

    assert sizes == [100, 100, 50, 0]
    assert all(cursor_of(page) is None for page in pages(server))


def test_times_are_spread_over_the_day(server: SandboxServer) -> None:
    """A busy noon and a quiet night, so that a chart by hour looks like one."""
    times = [datetime.fromisoformat(row["2"]) for row in read(server)]

    assert all(later >= earlier for earlier, later in pairwise(times))
    noon = sum(10 <= time.hour < 18 for time in times)
    assert noon > CALLS / 2
    assert times[-1] - times[0] > timedelta(hours=18)
