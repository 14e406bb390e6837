"""Any answer, any bytes: a report right by the rules of proof, or one of our own errors that says why not (any-answer).

Two roads. Answers go through `requests` with an adapter that returns them, which is fast. Bytes that are no HTTP, or
only almost, come from a socket.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter
from support.api import DAY, SOAK, client_settings
from urllib3 import HTTPResponse

from airflow_provider_callreport.api.answer import parse_answer
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import CallReportError, IncompleteReportError, TableError
from airflow_provider_callreport.api.ledger import Ledger
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.api.reading import Proof
from airflow_provider_callreport.export.road import Export, ExportRequest
from airflow_provider_callreport.sandbox.call import LABELS

pytestmark = pytest.mark.slow

#: How often each fuzz test draws; enough to find each of the bugs that this file has found.
DRAWS = 5000 if SOAK else 600
FUZZ = settings(
    max_examples=DRAWS,
    deadline=timedelta(seconds=5),
    derandomize=not SOAK,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

#: A report of a few small answers that takes more requests than this goes in circles.
MAX_REQUESTS = 100

#: Larger answers are refused.
MAX_BYTES = 200_000

# --- what may come ---------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    [
        "",
        "0",
        "-",
        "12",
        "9" * 30,
        "9" * 5000,
        "²",
        "٣",
        "1e5",
        "=1+1",
        "null",
        "0000-00-00 00:00:00",
        "99:99",
        "\ud800",
    ]
)
numbers = (
    st.integers()
    | st.sampled_from([2**63, -(2**63), 10**30, 10**4000, 1e400, -0.0, 10_000, 1_700_000_000, 9_999_999_999_999])
    | st.floats(allow_nan=False)
)
scalars = st.none() | st.booleans() | numbers | texts
any_json = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)

labels = st.sampled_from(LABELS) | texts
positions = st.sampled_from([str(number) for number in range(18)] + ["01", "-1", "x"]) | texts
column_arrs = st.dictionaries(positions, labels, max_size=17) | st.lists(labels, max_size=17) | any_json
keys = positions | labels | st.sampled_from(["callId", "_id", "sort", "sAftr", "_source", "ivrSTime"])
rows = st.recursive(
    st.dictionaries(keys, scalars | any_json, max_size=8) | st.lists(scalars, max_size=17),
    lambda row: st.fixed_dictionaries({"_source": row}, optional={"_id": scalars, "sort": any_json}),
    max_leaves=2,
)
datas = st.lists(rows, max_size=5) | st.dictionaries(positions, rows, max_size=5) | any_json
counts = st.integers(0, 12) | st.integers(0, 12).map(str) | scalars | any_json
cursors = st.lists(st.integers(0, 5) | scalars, max_size=2) | any_json
answers = st.fixed_dictionaries(
    {},
    optional={
        "columnArr": column_arrs,
        "hideSectionArr": any_json,
        "data": datas,
        "cnt": counts,
        "sAftr": cursors,
        "status": st.sampled_from(["error", "success", 200, 500]) | scalars,
        "code": st.sampled_from([0, 200, 1000, 1009, 1012, "1014"]) | scalars,
        "message": texts | any_json,
    },
)
#: The right answer, with one part of it replaced.
nearly_right = st.builds(
    lambda number, change: {
        "columnArr": {str(place): label for place, label in enumerate(LABELS, 1)},
        "hideSectionArr": [],
        "data": [{**{str(place): f"{number}-{place}" for place in range(1, 17)}, "callId": f"call{number}"}],
        "cnt": 2,
        **change,
    },
    st.integers(0, 2),
    answers,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """An answer's bytes: JSON, near to an answer or far from it, whole or bent."""
    body = json.dumps(draw(nearly_right | answers | any_json)).encode()
    match draw(st.integers(0, 9)):
        case 0:
            return body[: draw(st.integers(0, len(body)))]
        case 1:
            return draw(st.binary(max_size=60))
        case 2:
            place = draw(st.integers(0, len(body)))
            return body[:place] + draw(st.binary(min_size=1, max_size=4)) + body[place + 1 :]
        case 3:
            return b"\xef\xbb\xbf" + body
        case _:
            return body


# --- values ----------------------------------------------------------------------------------------------------------


class Canned(BaseAdapter):
    """What `requests` reaches instead of a server: gives these bodies in turn, and the last one from then on.

    Attributes:
        asked: how often.
    """

    def __init__(self, answers: Sequence[tuple[int, Mapping[str, str], bytes]]) -> None:
        super().__init__()
        self.answers = answers
        self.asked = 0

    def send(self, request: requests.PreparedRequest, *arguments: Any, **keywords: Any) -> requests.Response:
        """Give the next answer, whatever was asked."""
        status, headers, body = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        assert self.asked <= MAX_REQUESTS, "the report goes in circles"
        response = requests.Response()
        response.request = request
        response.url = request.url or ""
        response.status_code = status
        response.headers.update(headers)
        response.raw = HTTPResponse(BytesIO(body), headers=dict(headers), status=status, preload_content=False)
        return response

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def client_to(adapter: Canned) -> Iterator[CallReportClient]:
    """A client that reaches nothing else."""
    with CallReportClient(client_settings("http://127.0.0.1:9", max_response_bytes=MAX_BYTES)) as client:
        client._session.mount("http://", adapter)
        yield client


def export(client: CallReportClient, **changes: Any) -> tuple[Proof, int] | None:
    """Make the report's file; what was proved and the calls in the file, or None when an error of ours came."""
    request = ExportRequest("calls", DAY, **{"file_format": "jsonl", "rounds_wait": (0,), "page_size": 2, **changes})
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = Export(client, request, Path(folder), wants_figures=True).make_files()
        except CallReportError as error:
            check_words(error)
            return None
        return made.proof, made.files[0].path.read_bytes().count(b"\n")


def check_words(error: CallReportError) -> None:
    """An error says something."""
    assert len(str(error)) > 10, repr(error)


CHANGES: Sequence[Mapping[str, Any]] = (
    {},
    {"redact": {"Caller Number": "last4"}},
    {"columns": {"Caller Number": "Phone", "Time": "When"}},
    {"on_incomplete": "warn", "concurrency": 3},
)


@FUZZ
@given(
    st.lists(bodies(), min_size=1, max_size=4), st.sampled_from([200] * 12 + [204, 404, 503]), st.sampled_from(CHANGES)
)
def test_any_answers_make_a_proved_report_or_an_error_of_ours(
    contents: list[bytes], status: int, changes: Mapping[str, Any]
) -> None:
    """any-answer: any JSON, any bytes as answers; no other exception, no circle, no call more or less than proved."""
    with client_to(Canned([(status, {"Content-Type": "application/json"}, body) for body in contents])) as client:
        result = export(client, **changes)
    if result is not None:
        proof, lines = result
        assert lines == proof.rows
        assert proof.complete is not True or proof.rows == proof.reported_total


@FUZZ
@given(bodies(), st.dictionaries(st.sampled_from(["Content-Encoding", "Retry-After", "Content-Length"]), texts))
def test_any_count_is_a_number_or_an_error_of_ours(body: bytes, headers: dict[str, str]) -> None:
    """any-answer: the same for ``reportCount``."""
    with client_to(Canned([(200, headers, body)])) as client:
        try:
            assert client.count({}) >= 0
        except CallReportError as error:
            check_words(error)


HOSTILE: Mapping[str, bytes] = {
    "arrays within arrays": b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a count of 5000 digits": b'{"data": [], "cnt": "' + b"9" * 5000 + b'"}',
    "a number of 5000 digits": b'{"data": [], "cnt": ' + b"9" * 5000 + b"}",
    "a code of 5000 digits": b'{"code": "' + b"9" * 5000 + b'"}',
    "a column number of 5000 digits": b'{"columnArr": {"' + b"9" * 5000 + b'": "x"}, "data": [[1]], "cnt": 1}',
    "a row number of 5000 digits": b'{"data": {"' + b"9" * 5000 + b'": [1]}, "cnt": 1}',
    "a digit that is no decimal": '{"columnArr": {"²": "x"}, "data": {"²": [1]}, "cnt": "²"}'.encode(),
    "an infinite cursor": b'{"data": [{"1": "x"}], "cnt": 9, "sAftr": [1e999]}',
    "a time beyond the calendar": b'{"columnArr": {"1": "Time"}, "data": [{"1": 9999999999999}], "cnt": 1}',
    "an offset beyond the calendar": b'{"columnArr": ["Time"], "data": [["9999-12-31T23:59:59-14:00"]], "cnt": 1}',
    "a total beyond all calls": b'{"data": [], "cnt": 1000000000000000}',
    "one label for all columns": json.dumps({"columnArr": ["x"] * 9000, "data": [["y"] * 9000], "cnt": 1}).encode(),
    "one key for each call": json.dumps({"data": [{str(n): n} for n in range(500)], "cnt": 500}).encode(),
    "a huge text": json.dumps({"data": [{"1": "x" * 190_000}], "cnt": 1}).encode(),
    "only blanks": b" " * 150_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_bounded(name: str) -> None:
    """any-answer: what is made to cost much costs little: 2 seconds, and 40 MB for an answer of up to 200 kB."""
    tracemalloc.start()
    try:
        began = time.process_time()
        with client_to(Canned([(200, {}, HOSTILE[name])])) as client:
            export(client)
        assert time.process_time() - began < 2 * TRACED
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("count", [10_000, 12_000])
@pytest.mark.parametrize("cursor", [{}, {"sAftr": [1]}])
def test_fewer_calls_than_a_capped_total_are_an_error(rows: int, count: int, cursor: Mapping[str, Any]) -> None:
    """whole-or-red, capped-totals: 10,000 is no total, but so many calls there are at least; and an empty answer is no
    window to split.
    """
    calls = [{"1": "x", "callId": f"c{number}"} for number in range(rows)]
    page: dict[str, Any] = {"columnArr": {"1": "Status"}, "data": calls, "cnt": count, **cursor}
    adapter = Canned([(200, {}, json.dumps(answer).encode()) for answer in (page, {**page, "data": [], "sAftr": []})])
    with client_to(adapter) as client:
        reader = ReportReader(client, "calls", {}, DAY, page_size=2, rounds_wait=(0,))
        with pytest.raises(IncompleteReportError):
            list(reader.pages())
    assert adapter.asked < 12


DEEP: Mapping[str, str] = {
    "a row": '{"data": [{"1": %s}], "cnt": 1}',
    "a row that is an array": '{"data": [%s], "cnt": 1}',
    "rows": '{"data": %s, "cnt": 1}',
    "a column": '{"columnArr": [%s], "data": [[1]], "cnt": 1}',
    "an amount": '{"columnArr": ["Amount"], "data": [[{"amount": %s}]], "cnt": 1}',
    "a cursor": '{"data": [{"1": "x"}], "cnt": 9, "sAftr": %s}',
    "a sort": '{"data": [{"1": "x", "sort": %s}], "cnt": 9}',
    "a message": '{"status": "error", "message": %s}',
    "a count": '{"data": [], "cnt": %s}',
}


@pytest.mark.parametrize("where", DEEP)
def test_answers_nested_as_deeply_as_python_reads_them(where: str) -> None:
    """any-answer: what JSON's decoder just about reads may be too deep for whoever looks at it next."""
    for depth in (*range(300, 900, 100), *range(900, 1000, 4), 2500, 9000):
        nested = "[" * depth + "1.5" + "]" * depth
        with client_to(Canned([(200, {}, (DEEP[where] % nested).encode())])) as client:
            export(client)


def test_rows_beyond_what_the_ledger_reads_are_refused() -> None:
    """any-answer: the same for Python 3.12 and later, whose decoder reads more levels than this one's."""
    nested: Any = "x"
    for _ in range(2500):
        nested = [nested]
    with pytest.raises(TableError, match="nested too deeply"):
        Ledger().enter([{"1": nested}], 0)


#: tracemalloc makes Python some times slower.
TRACED = 4

# --- bytes -----------------------------------------------------------------------------------------------------------

header_names = st.sampled_from(["Content-Length", "Transfer-Encoding", "Content-Encoding", "Location", "Connection"])
header_values = st.sampled_from(
    ["0", "5", "-1", "chunked", "gzip", "br", "deflate", "close", "x" * 3000, "²"]
) | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """The bytes of an HTTP response: right, nearly right, or anything."""
    body = draw(bodies())
    if draw(st.integers(0, 9)) == 0:
        return body
    status = draw(st.sampled_from([200, 200, 200, 100, 204, 301, 304, 401, 429, 500, 999]))
    headers = {"Content-Length": str(len(body)), **draw(st.dictionaries(header_names, header_values, max_size=2))}
    if headers.get("Transfer-Encoding") == "chunked":
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (draw(st.sampled_from([len(body), len(body) + 1, 0, 2**40])), body)
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    whole = "\r\n".join(lines).encode("latin-1", "replace") + body
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 4)) == 0 else whole


class RawServer:
    """Answers every request with the same bytes, and hangs up."""

    def __init__(self) -> None:
        self.says = b""
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(2)
                    self._read_request(connection)
                    connection.sendall(self.says)
                except OSError:
                    continue

    @staticmethod
    def _read_request(connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            body += connection.recv(65536)

    def close(self) -> None:
        """Stop."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()


@pytest.fixture(scope="module")
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


@settings(FUZZ, suppress_health_check=[*FUZZ.suppress_health_check, HealthCheck.function_scoped_fixture])
@given(responses())
@example(b"")
@example(b"\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n{}")
@example(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}")
@example(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n{}")
@example(b"HTTP/1.1 301 X\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n")
def test_any_bytes_on_the_wire_are_an_answer_or_an_error_of_ours(raw_server: RawServer, says: bytes) -> None:
    """any-answer: bytes that are HTTP, nearly, or not at all; no other exception, and no more than the deadline."""
    raw_server.says = says
    wish = client_settings(raw_server.url, timeout=1, deadline=2, max_response_bytes=MAX_BYTES)
    began = time.monotonic()
    with CallReportClient(wish) as client:
        try:
            client.call("list", {"filter": {}}, parse_answer)
        except CallReportError as error:
            check_words(error)
    assert time.monotonic() - began < 30
