"""CSV files, byte by byte."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.format import INFO, SIXTEEN, call, csv_lines, write

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.report import Column, ColumnKind, Row

TYPED = [
    Column("Text"),
    Column("Amount", ColumnKind.NUMBER),
    Column("Talk", ColumnKind.DURATION),
    Column("Time", ColumnKind.DATETIME),
]


def test_lines_end_in_crlf_and_quotes_stand_only_where_they_are_needed(tmp_path: Path) -> None:
    """csv-guard: RFC 4180, UTF-8, no byte order mark."""
    rows: list[Row] = [
        ["+919876543210", 12, 75, datetime(2026, 10, 1, 9, 30)],
        ['say "no", please', 0.5, 75.0, None],
        ["two\r\nlines", None, 0.5, datetime(2026, 10, 1)],
        ["नमस्ते", -5, "n/a", "soon"],
    ]
    path = write("csv", tmp_path / "f", rows, TYPED)
    assert (
        path.read_bytes()
        == (
            "Text,Amount,Talk,Time\r\n"
            "+919876543210,12,75,2026-10-01 09:30:00\r\n"
            '"say ""no"", please",0.5,75,\r\n'
            '"two\r\nlines",,0.5,2026-10-01 00:00:00\r\n'
            "नमस्ते,-5,n/a,soon\r\n"
        ).encode()
    )


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_can_be_chosen_and_is_quoted_in_texts(tmp_path: Path, delimiter: str) -> None:
    """csv-guard: a text that holds the delimiter stays one cell."""
    rows: list[Row] = [[f"a{delimiter}b,c", 1, 2, None]]
    path = write("csv", tmp_path / "f", rows, TYPED, {"delimiter": delimiter})
    assert csv_lines(path, delimiter) == [["Text", "Amount", "Talk", "Time"], [f"a{delimiter}b,c", "1", "2", ""]]


ANY = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.datetimes(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\r\n"), max_size=6),
    st.text(',;|"\r\n\t ab', max_size=4),
)


@given(
    table=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(ANY, min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
def test_the_bytes_are_those_of_the_csv_module(table: list[Row], delimiter: str) -> None:
    """csv-guard: whatever is in the cells; ours writes a page at once."""
    expected = StringIO(newline="")
    csv.writer(expected, delimiter=delimiter).writerows([[f"c{place}" for place in range(len(table[0]))], *table])
    columns = [Column(f"c{place}") for place in range(len(table[0]))]
    with TemporaryDirectory() as directory:
        options = {"delimiter": delimiter, "guard_formulas": False}
        path = write("csv", Path(directory, "f"), table, columns, options)
        assert path.read_bytes().decode() == clean(expected.getvalue())


@pytest.mark.parametrize(
    ("options", "has_mark"), [({}, False), ({"bom": True}, True), ({"excel_friendly": True}, True)]
)
def test_a_byte_order_mark_is_there_when_it_is_asked_for(
    tmp_path: Path, options: dict[str, bool], has_mark: bool
) -> None:
    """csv-guard: ``bom`` and ``excel_friendly`` mark the file as UTF-8."""
    data = write("csv", tmp_path / "f", [call(1)], options=options).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") is has_mark
    assert data.count(b"\xef\xbb\xbf") == has_mark


def test_cells_and_headers_are_guarded_unless_that_is_turned_off(tmp_path: Path) -> None:
    """csv-guard: the guard covers labels, texts, and texts in columns of numbers; the number -5 stays."""
    columns = [Column("=Label"), Column("Amount", ColumnKind.NUMBER)]
    rows: list[Row] = [["=1+1", -5], ["+919876543210", "-1+1"]]
    guarded = [["'=Label", "Amount"], ["'=1+1", "-5"], ["+919876543210", "'-1+1"]]
    bare = [["=Label", "Amount"], ["=1+1", "-5"], ["+919876543210", "-1+1"]]

    def lines(options: dict[str, Any]) -> list[list[str]]:
        return csv_lines(write("csv", tmp_path / "f", rows, columns, options))

    assert lines({}) == guarded
    assert lines({"guard_formulas": False}) == bare
    assert lines({"guard_formulas": False, "excel_friendly": True}) == guarded


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (["ID", "Time"], b'"ID",Time\r\n'),
        (["IDNumber"], b'"IDNumber"\r\n'),
        (["ID, of the call", "Time"], b'"ID, of the call",Time\r\n'),
        (["Id", "ID"], b"Id,ID\r\n"),
        (["DID Number", "ID"], b"DID Number,ID\r\n"),
    ],
)
def test_no_file_begins_like_sylk(tmp_path: Path, labels: list[str], first: bytes) -> None:
    """csv-guard: Excel takes a file that begins with the letters ID for another format; in quotes it does not."""
    path = write("csv", tmp_path / "f", [], [Column(label) for label in labels])
    assert path.read_bytes() == first
    assert csv_lines(path) == [labels]


def test_line_breaks_become_spaces_when_that_is_asked_for(tmp_path: Path) -> None:
    """csv-guard: each record is one line, for readers that know no others; the guard still sees the cell."""
    columns = [Column("Two\nlines"), Column("Amount", ColumnKind.NUMBER)]
    rows: list[Row] = [["a\r\nb\nc\rd", 1], ["\n=1+1", "n\n/a"], [None, 2]]
    path = write("csv", tmp_path / "f", rows, columns, {"line_breaks": "space"})
    assert path.read_bytes() == b"Two lines,Amount\r\na b c d,1\r\n' =1+1,n /a\r\n,2\r\n"
    assert csv_lines(write("csv", tmp_path / "g", rows, columns))[1][0] == "a\r\nb\nc\rd"


def test_gzip_is_the_same_csv_with_no_time_and_no_name_in_its_header(tmp_path: Path) -> None:
    """same-bytes: RFC 1952 header: magic, deflate, no flags, MTIME 0; the registry calls it .csv.gz."""
    rows = [call(index) for index in range(500)]
    plain = write("csv", tmp_path / "plain", rows).read_bytes()
    packed = write("csv", tmp_path / "packed.csv.gz", rows, options={"gzip": True}).read_bytes()
    assert packed[:8] == b"\x1f\x8b\x08\x00" + bytes(4)
    assert gzip.decompress(packed) == plain
    assert FORMATS["csv"].extension_for({"gzip": True}) == ".csv.gz"
    assert FORMATS["csv"].content_type_for({"gzip": True}) == "application/gzip"
    assert FORMATS["csv"].extension_for({}) == ".csv"


def test_an_empty_report_is_a_header(tmp_path: Path) -> None:
    """empty-report: a reader finds the columns and no row."""
    assert csv_lines(write("csv", tmp_path / "f", [])) == [[column.label for column in SIXTEEN]]


def test_rows_of_another_length_are_refused_rather_than_cut(tmp_path: Path) -> None:
    """same-rows: a row that lost a cell must not move the others into wrong columns."""
    with pytest.raises(ValueError, match="zip"):
        write("csv", tmp_path / "f", [call(0), call(1)[:-1]])


@pytest.mark.parametrize("name", ["csv", "jsonl", "xlsx", "parquet"])
def test_abort_frees_the_file_and_may_be_called_twice(tmp_path: Path, name: str) -> None:
    """all-or-nothing: a failed export holds no file open and leaves nothing beside it."""
    path = tmp_path / "f"
    writer = FORMATS[name].load()(path, SIXTEEN, INFO, {})
    writer.write([call(index) for index in range(700)])
    writer.abort()
    writer.abort()
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
    path.unlink()
    write(name, path, [call(0)])
