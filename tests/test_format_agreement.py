"""The formats hold one and the same table."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.format import SIXTEEN, call, read_csv, read_jsonl, read_parquet, read_xlsx, write

from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.formats.xlsx.strings import fit_text
from airflow_provider_callreport.report import Column, ColumnKind, Row, Value

pytestmark = pytest.mark.slow

READERS = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet, "xlsx": read_xlsx}

COLUMNS = [
    Column("Who"),
    Column('=Label, with "all" & <more>'),
    Column("Amount", ColumnKind.NUMBER),
    Column("Talk", ColumnKind.DURATION),
    Column("Time", ColumnKind.DATETIME),
]

NASTY = [
    "+919876543210", "0049301234", "00123", "12345678901234567890", "-5", "1e5", "TRUE", "=1+1", "@SUM(A1)", "+1-1",
    "-1+1", "'", "'=1", "''=1", " =1", "\t=1", "\r\n", "a\r\nb", "a\rb", "\n", "＝1", 'say "no"', ",", ";", "a,b;c",
    "_x0041_", "_x005F_x0041_", "_x000D_", "&amp;", "<b>", "]]>", " edge ", "a  b", "\x00", "\x01\x1f", "\x7f\x85",
    "\ud800", "\udfff", "\ud83d\ude00", "\ufffe\uffff", "\ufeffbom", "שלום", "مرحبا", "नमस्ते", "😀👨‍👩‍👧", "http://x.example/?a=b",
    "null", "None", "NaN", "{{%%x%%}}", "{\"a\": [1]}", "%s %(x)s", "\\u0000", "\\", "x" * 32_767, "x" * 32_768,
    "😀" * 16_384, "|", "a | b", "\u2028", "",
]  # fmt: skip

texts = st.one_of(st.none(), st.sampled_from(NASTY), st.text(st.characters(), max_size=12))
numbers = st.one_of(
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.floats(-1e14, 1e14).map(lambda value: float(f"{value:.12g}")),
)
seconds = st.one_of(st.integers(0, 10**6), st.integers(0, 10**4).map(lambda value: value / 2))
times = st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 31, 23, 59, 59)).map(lambda t: t.replace(microsecond=0))
strays = st.one_of(st.none(), st.sampled_from(["n/a", "=1+1", "-", "?\x00", "\ud800", "-1+1"]))
rows_of_calls = st.lists(
    st.tuples(texts, texts, st.one_of(numbers, strays), st.one_of(seconds, strays), st.one_of(times, strays)),
    max_size=12,
)


def expected(rows: Sequence[Row], name: str) -> list[list[Value]]:
    """The rows as every format shows them; only Excel's limits on a cell's length and on days are its own."""

    def shown(value: Value) -> Value:
        if isinstance(value, str):
            return (fit_text(value)[0] if name == "xlsx" else clean(value)) or None
        if isinstance(value, datetime) and value >= datetime(9999, 12, 31) and name == "xlsx":
            return str(value)
        return value

    return [[shown(value) for value in row] for row in rows]


@pytest.mark.parametrize("name", sorted(READERS))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@example(rows=[(text, text, 1, 1, datetime(2026, 10, 1)) for text in NASTY], page_size=1)
@example(rows=[(None, None, None, None, datetime(9999, 12, 31))], page_size=1)
@example(rows=[(text, text, 0.1, 0.5, datetime(2026, 10, 1)) for text in NASTY], page_size=100)
@given(rows=rows_of_calls, page_size=st.integers(1, 12))
def test_every_format_reads_back_as_the_same_table(name: str, rows: list[Row], page_size: int) -> None:
    """same-rows: same rows, order and values in CSV, XLSX, JSON Lines and Parquet, whatever the texts are."""
    with tempfile.TemporaryDirectory() as directory:
        path = write(name, Path(directory) / "file", rows, COLUMNS, page_size=page_size)
        assert READERS[name](path, COLUMNS) == expected(rows, name)


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_nasty_text_survives_alone(tmp_path: Path, name: str) -> None:
    """same-rows: no text needs another beside it to be noticed by the writers' fast ways for plain columns."""
    for text in NASTY:
        rows: list[Row] = [(text, "plain", 1, 1, None)]
        assert READERS[name](write(name, tmp_path / "file", rows, COLUMNS), COLUMNS) == expected(rows, name), repr(text)


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_number_among_texts_is_a_text(tmp_path: Path, name: str) -> None:
    """same-rows: 0 and False too, which Python takes for nothing."""
    columns = [Column("Who"), Column("What")]
    rows: list[Row] = [[0, "a"], [False, None], [0.0, ""], [7, "b"]]
    path = write(name, tmp_path / "file", rows, columns)
    assert READERS[name](path, columns) == [["0", "a"], ["False", None], ["0.0", None], ["7", "b"]]


@pytest.mark.parametrize("name", sorted(READERS))
def test_ordinary_calls_read_back_in_every_format(tmp_path: Path, name: str) -> None:
    """same-rows: the sixteen columns of the vendor, 1,234 calls."""
    rows = [call(index) for index in range(1_234)]
    assert READERS[name](write(name, tmp_path / "file", rows), SIXTEEN) == expected(rows, name)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("csv", {}),
        ("csv", {"gzip": True}),
        ("jsonl", {}),
        ("jsonl", {"gzip": True}),
        ("parquet", {}),
        ("xlsx", {}),
    ],
)
def test_the_same_rows_give_the_same_bytes_however_they_are_paged(
    tmp_path: Path, name: str, options: dict[str, bool]
) -> None:
    """same-bytes: bytes follow from rows, info and outcome; not from the clock, the path or the API's page size."""
    rows = [call(index) for index in range(20_000)]
    rows[600][13] = "a text that is wider than those on the first pages"
    first = write(name, tmp_path / "a", rows, options=options, page_size=100).read_bytes()
    second = write(name, tmp_path / "another name", rows, options=options, page_size=777).read_bytes()
    assert first == second
