"""Parquet: types, row groups, and values that have no place in a typed column."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from support.format import SIXTEEN, call, write

from airflow_provider_callreport.formats.parquet import ParquetWriter
from airflow_provider_callreport.report import Column, ColumnKind, Row

pq = pytest.importorskip("pyarrow.parquet")

TYPED = [
    Column("Text"),
    Column("Amount", ColumnKind.NUMBER),
    Column("Talk", ColumnKind.DURATION),
    Column("Time", ColumnKind.DATETIME),
]


def test_columns_are_typed_and_compressed_and_the_window_is_in_the_metadata(tmp_path: Path) -> None:
    """same-rows: string, double, double, timestamp without a zone; Zstandard; metadata from the report alone."""
    file = pq.ParquetFile(write("parquet", tmp_path / "f", [["+91", 1, 2, datetime(2026, 10, 1)]], TYPED))
    schema = file.schema_arrow
    assert [str(field.type) for field in schema] == ["string", "double", "double", "timestamp[us]", "string"]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert {key.decode(): value.decode() for key, value in schema.metadata.items()} == {
        "report": "masked_calls",
        "window_start": "2026-10-01T00:00:00+05:30",
        "window_end": "2026-10-02T00:00:00+05:30",
        "timezone": "Asia/Kolkata",
    }


def test_what_a_typed_column_cannot_hold_is_kept_in_the_last_one(tmp_path: Path) -> None:
    """same-rows: nothing that the API sent is lost; the schema is the same on days without such values."""
    rows: list[Row] = [
        ["a", "n/a", "=1+1", "soon"],
        ["b", float("inf"), 0.5, None],
        ["c", 1, 2, datetime(2026, 10, 1, 9)],
    ]
    table = pq.read_table(write("parquet", tmp_path / "f", rows, TYPED)).to_pylist()
    assert [list(record.values())[1:4] for record in table] == [
        [None, None, None],
        [None, 0.5, None],
        [1.0, 2.0, datetime(2026, 10, 1, 9)],
    ]
    assert [json.loads(record["_unread"] or "null") for record in table] == [
        {"Amount": "n/a", "Talk": "=1+1", "Time": "soon"},
        {"Amount": "inf"},
        None,
    ]


def test_the_extra_column_gives_way_to_a_column_of_the_report(tmp_path: Path) -> None:
    """same-rows: an account may have a column of that very name."""
    table = pq.read_table(write("parquet", tmp_path / "f", [["mine"]], [Column("_unread")]))
    assert table.to_pylist() == [{"_unread": "mine", "_unread_": None}]


def test_row_groups_are_cut_by_rows_and_not_by_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """flat-memory, same-bytes: a bounded number of rows is held, and the page size of the API is not in the bytes."""
    monkeypatch.setattr(ParquetWriter, "ROW_GROUP", 100)
    rows = [call(index) for index in range(250)]
    small = write("parquet", tmp_path / "a", rows, page_size=30)
    large = write("parquet", tmp_path / "b", rows, page_size=1_000)
    metadata = pq.ParquetFile(small).metadata
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [100, 100, 50]
    assert small.read_bytes() == large.read_bytes()


def test_an_empty_report_has_a_schema_and_no_rows(tmp_path: Path) -> None:
    """empty-report: a reader of many days finds the columns on a day without calls."""
    table = pq.read_table(write("parquet", tmp_path / "f", []))
    assert table.num_rows == 0
    assert table.schema.names == [*(column.label for column in SIXTEEN), "_unread"]
