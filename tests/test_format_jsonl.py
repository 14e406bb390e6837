"""JSON Lines, byte by byte."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

from support.format import call, write

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import Column, ColumnKind, Row

TYPED = [
    Column("Text %s"),
    Column("Amount", ColumnKind.NUMBER),
    Column("Talk", ColumnKind.DURATION),
    Column("Time", ColumnKind.DATETIME),
]


def test_a_call_is_one_object_on_one_line(tmp_path: Path) -> None:
    """F1: labels as keys in the columns' order, numbers as numbers, times as ISO 8601, empty as null."""
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


def test_gzip_is_the_same_lines_under_another_name(tmp_path: Path) -> None:
    """F5: no time, no name in the header; the registry calls it .jsonl.gz."""
    rows = [call(index) for index in range(300)]
    plain = write("jsonl", tmp_path / "plain", rows).read_bytes()
    packed = write("jsonl", tmp_path / "packed.jsonl.gz", rows, options={"gzip": True}).read_bytes()
    assert packed[:8] == b"\x1f\x8b\x08\x00" + bytes(4)
    assert gzip.decompress(packed) == plain
    assert FORMATS["jsonl"].extension_for({"gzip": True}) == ".jsonl.gz"


def test_an_empty_report_is_an_empty_file(tmp_path: Path) -> None:
    """F6: JSON Lines has no header, so no call is no line."""
    assert write("jsonl", tmp_path / "f", []).read_bytes() == b""
