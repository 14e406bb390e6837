"""What `docs/readers.md` says of other people's readers, run: no call and no digit is lost on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.format import write

from airflow_provider_callreport.report import Column, ColumnKind, Row

ROOT = Path(__file__).parents[1]
#: Where `npm install --prefix .cache/node exceljs` puts it.
NODE_MODULES = ROOT / ".cache" / "node" / "node_modules"

COLUMNS = [
    Column("Caller Number"),
    Column("Code"),
    Column("Time", ColumnKind.DATETIME),
    Column("Agents"),
    Column("Talk", ColumnKind.DURATION),
    Column("Amount", ColumnKind.NUMBER),
    Column("Details"),
]
ROWS: list[Row] = [
    ["+919876543210", "00123", datetime(2026, 10, 1, 9, 30), "Asha", 75, 0.5, 'two\r\nlines, "so" & <so>'],
    ["0049301234", "01", datetime(2026, 10, 1), None, None, 1234, "a, b; c"],
    ["12345678901234567890", "1e5", None, "जॉन", 100_000, None, "NA"],
    ["919876543210", "007", datetime(2026, 10, 1, 23, 59, 59), "NA", 0, -2.25, "null"],
]
EXTENSIONS = {"CSV": "csv", "JSON Lines": "jsonl", "Parquet": "parquet", "Excel": "xlsx"}


def _documented() -> list[Any]:
    """The lines of the table as (format, expression), named by reader and format."""
    text = (ROOT / "docs" / "readers.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `(\w+\.\w+\([^|]+\))` \|", text, re.M)
    return [pytest.param(name, expression, id=f"{reader}-{name}") for reader, name, expression in lines]


def as_text(value: Any) -> str:
    """A cell in one form, whatever types a reader knows."""
    if value is None or value != value or str(value) in ("NaT", "<NA>", ""):
        return ""
    if isinstance(value, time):  # pandas' word for a duration below a day
        value = datetime.combine(date.min, value) - datetime.combine(date.min, time())
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if isinstance(value, date):
        return (value if isinstance(value, datetime) else datetime.combine(value, time())).isoformat(" ")
    if isinstance(value, (int, float)):
        return f"{value:g}" if abs(value) < 100_000 else f"{value:.0f}"
    # Times are texts in CSV and JSON.
    return re.sub(r"^(\d{4}-\d\d-\d\d)T", r"\1 ", str(value))


EXPECTED = [[as_text(cell) for cell in row] for row in ROWS]


def cells(read: Any) -> list[list[str]]:
    """What a reader returned, as rows of texts."""
    rows: Iterable[Any]
    if hasattr(read, "fetchall"):  # DuckDB
        rows = read.fetchall()
    elif hasattr(read, "rows"):  # polars
        rows = read.rows()
    else:
        rows = read.values.tolist() if hasattr(read, "values") else read[1:]  # pandas, calamine
    # The column for what could not be read, of Parquet, is empty here.
    return [[as_text(cell) for cell in row[: len(COLUMNS)]] for row in rows]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "expression"), _documented())
def test_a_documented_reader_reads_every_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expression: str
) -> None:
    """same-rows: each line of the table, as it is written there."""
    module = expression.partition(".")[0]
    pytest.importorskip(module)
    file_format = EXTENSIONS[name]
    options = {"guard_formulas": False} if file_format == "csv" else {}
    write(file_format, tmp_path / f"calls.{file_format}", ROWS, COLUMNS, options)
    monkeypatch.chdir(tmp_path)
    assert cells(eval(expression, {module: import_module(module)})) == EXPECTED


@pytest.mark.parametrize(
    ("module", "expression"),
    [
        ("pandas", 'pandas.read_csv("calls.csv.gz", dtype=str, keep_default_na=False)'),
        ("polars", 'polars.read_csv("calls.csv.gz", infer_schema=False)'),
        ("duckdb", "duckdb.sql(\"FROM read_csv('calls.csv.gz', all_varchar = true)\")"),
    ],
)
def test_compressed_files_are_read_under_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, expression: str
) -> None:
    """same-rows: `.csv.gz` needs no more than its name."""
    pytest.importorskip(module)
    write("csv", tmp_path / "calls.csv.gz", ROWS, COLUMNS, {"gzip": True})
    monkeypatch.chdir(tmp_path)
    assert cells(eval(expression, {module: import_module(module)})) == EXPECTED


def test_what_the_options_are_for_is_true(tmp_path: Path) -> None:
    """true-docs: without them pandas takes zeros from codes and the name from an agent."""
    pandas: Any = pytest.importorskip("pandas")
    path = write("csv", tmp_path / "calls.csv", ROWS, COLUMNS)
    row = pandas.read_csv(path, usecols=["Agents", "Code"]).iloc[3]
    assert as_text(row["Agents"]) == ""
    numbers = write("jsonl", tmp_path / "calls.jsonl", [["007"], ["01"]], [Column("Code")])
    assert pandas.read_json(numbers, lines=True)["Code"].tolist() == [7, 1]


def _exceljs(script: str, path: Path) -> Any:
    """Run a script in Node.js with exceljs, and return the JSON that it prints."""
    node = shutil.which("node")
    environment = {**os.environ, "NODE_PATH": os.environ.get("NODE_PATH") or str(NODE_MODULES)}
    if (
        node is None
        or subprocess.run([node, "-e", "require('exceljs')"], env=environment, stderr=subprocess.DEVNULL).returncode
    ):
        pytest.skip("exceljs is not installed (npm install --prefix .cache/node exceljs)")
    done = subprocess.run([node, "-e", script, str(path)], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("rows", [ROWS, ROWS * 200, []], ids=["some", "many", "none"])
def test_exceljs_opens_the_workbook(tmp_path: Path, rows: list[Row]) -> None:
    """excel-cells: with all its charts; texts are texts, times are times, and it can save what it read."""
    path = write("xlsx", tmp_path / "calls.xlsx", rows, COLUMNS)
    found = _exceljs(
        """
        const { Workbook } = require('exceljs');
        (async () => {
          const book = new Workbook();
          await book.xlsx.readFile(process.argv[1]);
          await book.xlsx.writeBuffer();
          const rows = [];
          book.getWorksheet('Calls').eachRow(row => rows.push(row.values.slice(1)));
          console.log(JSON.stringify({ sheets: book.worksheets.map(sheet => sheet.name), rows,
                                       title: book.getWorksheet('Summary').getCell('A1').value }));
        })();
        """,
        path,
    )
    assert (found["sheets"], found["title"]) == (["Summary", "Calls"], "Masked calls")
    header, *calls = found["rows"]
    assert header == [column.label for column in COLUMNS]
    assert len(calls) == len(rows)
    for row, call in zip(rows, calls, strict=True):
        assert call[:2] == row[:2]
        assert call[6] == row[6]
        assert (call[2] or "")[:19] == ("" if row[2] is None else row[2].isoformat())  # type: ignore[union-attr]
