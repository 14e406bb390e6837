"""JSON Lines, byte by byte."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from support.format import call, write

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.text import clean
from airflow_provider_callreport.report import Column, ColumnKind, Row, Value

TYPED = [
    Column("Text %s"),
    Column("Amount", ColumnKind.NUMBER),
    Column("Talk", ColumnKind.DURATION),
    Column("Time", ColumnKind.DATETIME),
]


def test_a_call_is_one_object_on_one_line(tmp_path: Path) -> None:
    """same-rows: labels as keys in the columns' order, numbers as numbers, times as ISO 8601, empty as null."""
    rows: list[Row] = [
        ["+919876543210", 12, 75.0, datetime(2026, 10, 1, 9, 30)],
        ['नमस्ते "😀"\r\n', 0.5, None, None],
        ["", float("nan"), "n/a", "soon"],
        [7, 10**16, 0.5, datetime(2026, 10, 1)],
    ]
    assert write("jsonl", tmp_path / "f", rows, TYPED).read_bytes().decode().split("\n") == [
        '{"Text %s":"+919876543210","Amount":12,"Talk":75,"Time":"2026-10-01T09:30:00"}',
        r'{"Text %s":"नमस्ते \"😀\"\r\n","Amount":0.5,"Talk":null,"Time":null}',
        '{"Text %s":null,"Amount":"nan","Talk":"n/a","Time":"soon"}',
        '{"Text %s":"7","Amount":"10000000000000000","Talk":0.5,"Time":"2026-10-01T00:00:00"}',
        "",
    ]


ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.datetimes(),
    st.text(st.characters(), max_size=8),
    st.sampled_from(["", "\ud800", "\ud83d\ude00", "\x00", "\u2028", '"', "\\"]),
)


def as_json(value: Value, kind: ColumnKind) -> Any:
    """What a cell is in the file, told without the code under test."""
    if value is None or value == "":
        return None
    if kind is ColumnKind.DURATION and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind is ColumnKind.DATETIME and isinstance(value, datetime):
        return value.isoformat()
    if kind in (ColumnKind.NUMBER, ColumnKind.DURATION) and isinstance(value, (int, float)) and abs(value) < 10**15:
        return value
    return clean(str(value))


@given(rows=st.lists(st.tuples(*[ANY] * len(TYPED)), min_size=1, max_size=5))
def test_the_standard_librarys_json_reads_what_is_meant(rows: list[Row]) -> None:
    """same-rows: whatever is in the cells, lone surrogates and NaN too, each line is what `json` writes of the same
    values.
    """
    expected = [
        json.dumps({column.label: as_json(value, column.kind) for value, column in zip(row, TYPED, strict=True)})
        for row in rows
    ]
    with TemporaryDirectory() as directory:
        written = write("jsonl", Path(directory, "f"), rows, TYPED).read_bytes()
    assert [json.dumps(json.loads(line)) for line in written.decode().split("\n")[:-1]] == [
        json.dumps(json.loads(line)) for line in expected
    ]


def test_labels_that_clean_alike_stay_two_columns(tmp_path: Path) -> None:
    """same-rows: no cell is lost where one label holds half a character and the other what stands for it."""
    columns = [Column("a\ud800"), Column("a\ufffd"), Column("a\ufffd (2)")]
    for name in ("jsonl", "parquet"):
        path = write(name, tmp_path / name, [["1", "2", "3"]], columns)
        labels = ["a\ufffd", "a\ufffd (2)", "a\ufffd (2) (2)"]
        if name == "jsonl":
            assert json.loads(path.read_bytes()) == dict(zip(labels, "123", strict=True))
        else:
            assert parquet.read_schema(path).names == [*labels, "_unread"]


def test_gzip_is_the_same_lines_under_another_name(tmp_path: Path) -> None:
    """same-bytes: no time, no name in the header; the registry calls it .jsonl.gz."""
    rows = [call(index) for index in range(300)]
    plain = write("jsonl", tmp_path / "plain", rows).read_bytes()
    packed = write("jsonl", tmp_path / "packed.jsonl.gz", rows, options={"gzip": True}).read_bytes()
    assert packed[:8] == b"\x1f\x8b\x08\x00" + bytes(4)
    assert gzip.decompress(packed) == plain
    assert FORMATS["jsonl"].extension_for({"gzip": True}) == ".jsonl.gz"


def test_an_empty_report_is_an_empty_file(tmp_path: Path) -> None:
    """empty-report: JSON Lines has no header, so no call is no line."""
    assert write("jsonl", tmp_path / "f", []).read_bytes() == b""
