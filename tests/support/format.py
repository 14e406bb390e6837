"""What the tests of the formats share: a report, a way to write it, and a reader for each format.

The readers are other people's (csv, openpyxl, json, pyarrow); what they return is brought to one form, so that the
formats can be compared: text, number, seconds, ``datetime`` or None.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from airflow_provider_callreport.export.figures import FiguresCollector
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.guard import unguard
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Row, Value

KOLKATA = ZoneInfo("Asia/Kolkata")
INFO = ReportInfo(
    report="masked_calls",
    title="Masked calls",
    window_start=datetime(2026, 10, 1, tzinfo=KOLKATA),
    window_end=datetime(2026, 10, 2, tzinfo=KOLKATA),
    timezone="Asia/Kolkata",
    filters=("agent is Asha or Ravi",),
    redacted={"Caller Number": "last4"},
)
SIXTEEN = [
    Column("Caller Number"),
    Column("Time", ColumnKind.DATETIME),
    Column("DID Number"),
    Column("Campaign"),
    Column("Agents"),
    Column("Master Agent"),
    Column("Call Duration", ColumnKind.DURATION),
    Column("Customer Duration", ColumnKind.DURATION),
    Column("Total Talk Duration", ColumnKind.DURATION),
    Column("Agent on Call Duration", ColumnKind.DURATION),
    Column("Amount", ColumnKind.NUMBER),
    Column("Rec."),
    Column("Status"),
    Column("Details"),
    Column("Forward"),
    Column("DTMF"),
]


def call(index: int) -> list[Value]:
    """One plausible call of the sixteen columns, the same for the same index."""
    return [
        f"+91987650{index % 10_000:04}",
        datetime(2026, 10, 1) + timedelta(seconds=index * 37 % 86_400),
        f"0049{index % 1_000_000:06}",
        ("Sales", "Support", "Renewals")[index % 3],
        ("Asha", "Ravi", "Meena", "जॉन")[index % 4],
        None if index % 2 else "",
        index % 600,
        index % 500,
        index % 400 if index % 5 else 0,
        index % 300,
        0.5 * (index % 7),
        f"tok*mp3*u1*2026*10*01*{index}.mp3",
        ("Answered", "Missed", "Busy")[index % 3],
        "asked for a call back, soon" if index % 5 == 0 else "none",
        "false",
        str(index % 10) if index % 3 else None,
    ]


def outcome(rows: Sequence[Row], columns: Sequence[Column] = SIXTEEN) -> ReportOutcome:
    """The outcome of a complete report of these rows, with its figures."""
    collector = FiguresCollector(columns)
    collector.add(rows)
    count = len(rows)
    return ReportOutcome(count, count, True, f"All {count} calls that the API reported.", collector.figures())


def write(
    name: str,
    path: Path,
    rows: Sequence[Row],
    columns: Sequence[Column] = SIXTEEN,
    options: Mapping[str, Any] | None = None,
    *,
    info: ReportInfo = INFO,
    page_size: int = 100,
) -> Path:
    """Write a file of the format ``name``, a page at a time."""
    writer = FORMATS[name].load()(path, columns, info, options or {})
    for start in range(0, len(rows), page_size):
        writer.write(rows[start : start + page_size])
    writer.close(outcome(rows, columns))
    return path


def csv_lines(path: Path, delimiter: str = ",") -> list[list[str]]:
    """The cells of a CSV file, header included, exactly as they are written."""
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    text = data.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def read_csv(path: Path, columns: Sequence[Column]) -> list[list[Value]]:
    header, *lines = csv_lines(path)
    assert [unguard(label) for label in header] == [column.label for column in columns]
    return [[_from_csv(cell, column.kind) for cell, column in zip(line, columns, strict=True)] for line in lines]


def _from_csv(cell: str, kind: ColumnKind) -> Value:
    text = unguard(cell)
    if text == "":
        return None
    try:
        if kind in (ColumnKind.NUMBER, ColumnKind.DURATION):
            return float(text)
        if kind is ColumnKind.DATETIME:
            return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        pass
    return text


def read_jsonl(path: Path, columns: Sequence[Column]) -> list[list[Value]]:
    rows = []
    for line in path.read_bytes().decode().split("\n")[:-1]:
        record = json.loads(line)
        assert list(record) == [column.label for column in columns]
        rows.append([_from_json(record[column.label], column.kind) for column in columns])
    return rows


def _from_json(value: Value, kind: ColumnKind) -> Value:
    if kind is ColumnKind.DATETIME and isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+", value):
        return datetime.fromisoformat(value)
    return value


def read_parquet(path: Path, columns: Sequence[Column]) -> list[list[Value]]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    *labels, unread = table.schema.names
    assert labels == [column.label for column in columns]
    rows = []
    for record in table.to_pylist():
        strays = json.loads(record.pop(unread) or "{}")
        rows.append([strays.get(label, record[label]) for label in labels])
    return rows


def read_xlsx(path: Path, columns: Sequence[Column]) -> list[list[Value]]:
    """The rows of all sheets of calls.

    openpyxl undoes half of the format's own escapes in its table of texts; here they are left, and undone by the rule.
    """
    from openpyxl.reader import excel

    with patch.object(excel, "read_string_table", _table_of_texts):
        book = excel.load_workbook(io.BytesIO(path.read_bytes()))
    assert book.sheetnames[0] == "Summary"
    rows = []
    for title in book.sheetnames[1:]:
        header, *lines = book[title].iter_rows()
        assert [_from_cell(cell) for cell in header] == [column.label for column in columns]
        rows += [[_from_cell(cell) for cell in line] for line in lines]
    return rows


def _table_of_texts(source: Any) -> list[str]:
    texts = ElementTree.parse(source).iterfind("{*}si")
    return ["".join(element.text or "" for element in text.iterfind("{*}t")) for text in texts]


def _from_cell(cell: Any) -> Value:
    value: Value | timedelta = cell.value
    assert cell.data_type != "f", f"{cell.coordinate} is a formula"
    assert cell.hyperlink is None, f"{cell.coordinate} is a link"
    if isinstance(value, str):
        return re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value
