"""Excel workbooks: typed cells, the Summary, Excel's limits, and the package itself."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from support.format import INFO, SIXTEEN, call, outcome, read_xlsx, write

from airflow_provider_callreport.formats.xlsx.strings import CUT_MARK, MAX_TEXT, SharedStrings
from airflow_provider_callreport.formats.xlsx.writer import XlsxWriter
from airflow_provider_callreport.report import Column, ColumnKind, Figures, ReportOutcome, Row, Tally, TallyKind

TYPED = [
    Column("Number"),
    Column("Amount", ColumnKind.NUMBER),
    Column("Talk", ColumnKind.DURATION),
    Column("Time", ColumnKind.DATETIME),
]


def facts(path: Path) -> dict[Any, Any]:
    """The Summary's lines of a label and its text."""
    return {row[0]: row[1] for row in load_workbook(path)["Summary"].iter_rows(values_only=True) if row[0] is not None}


def entry(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as package:
        return package.read(name).decode()


def part_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as package:
        return package.namelist()


@pytest.mark.parametrize(
    "text",
    ["+919876543210", "0049301234", "00123", "12345678901234567890", "-5", "1e5", "2026-10-01", "TRUE", "=1+1", "#N/A"],
)
def test_numbers_ids_and_codes_are_string_cells(tmp_path: Path, text: str) -> None:
    """excel-cells: +91..., 0049..., 00123 and 20 digits survive, and =1+1 is a text."""
    sheet = load_workbook(write("xlsx", tmp_path / "f.xlsx", [[text, 1, 1, None]], TYPED))["Calls"]
    cell = sheet["A2"]
    assert (cell.value, cell.data_type, cell.number_format) == (text, "s", "@")


def test_amounts_durations_and_times_are_real_cells(tmp_path: Path) -> None:
    """excel-cells: a number to add, a duration in [h]:mm:ss beyond a day, a date."""
    moment = datetime(2026, 10, 1, 9, 30, 15)
    sheet = load_workbook(write("xlsx", tmp_path / "f.xlsx", [["x", 12.5, 100_000, moment]], TYPED))["Calls"]
    amount, talk, time = sheet["B2"], sheet["C2"], sheet["D2"]
    assert (amount.value, amount.data_type) == (12.5, "n")
    assert (talk.value, talk.number_format) == (timedelta(seconds=100_000), "[h]:mm:ss")
    assert (time.value, time.number_format, time.is_date) == (moment, "yyyy-mm-dd hh:mm:ss", True)


def test_what_a_typed_cell_cannot_hold_is_a_string(tmp_path: Path) -> None:
    """same-rows: unreadable values, 16 digits, NaN and days that Excel's calendar has not lose nothing."""
    rows: list[Row] = [
        ["a", "n/a", "=1+1", "soon"],
        ["b", 10**16, float("nan"), datetime(1899, 5, 1, 12)],
        ["c", float("inf"), None, datetime(1900, 3, 1)],
        ["d", 1, 1, datetime(9999, 12, 31, 23, 59, 59, 999_999)],
        ["e", 1, 1, datetime(9999, 12, 30, 23, 59, 59)],
    ]
    assert read_xlsx(write("xlsx", tmp_path / "f.xlsx", rows, TYPED), TYPED) == [
        ["a", "n/a", "=1+1", "soon"],
        ["b", "10000000000000000", "nan", "1899-05-01 12:00:00"],
        ["c", "inf", None, datetime(1900, 3, 1)],
        ["d", 1, 1, "9999-12-31 23:59:59.999999"],
        ["e", 1, 1, datetime(9999, 12, 30, 23, 59, 59)],
    ]


@pytest.mark.parametrize("text", [" edge", "edge ", "two\nlines", "\tTAB"])
def test_white_space_that_excel_would_drop_is_marked(tmp_path: Path, text: str) -> None:
    """same-rows: Excel keeps outer white space only where xml:space asks for it."""
    xml = entry(write("xlsx", tmp_path / "f.xlsx", [[text, 1, 1, None]], TYPED), "xl/sharedStrings.xml")
    assert f'<t xml:space="preserve">{text}</t>' in xml


def test_nothing_from_the_data_becomes_a_formula_or_a_link(tmp_path: Path) -> None:
    """excel-cells: no formula element and no hyperlink, in any sheet, for data in cells, labels, names and titles."""
    evil = '=HYPERLINK("http://x.example")'
    columns = [Column("=1+1", source="Status"), Column("Agents"), Column("http://x.example", source="Campaign")]
    rows: list[Row] = [[evil, "@SUM(A1)", "http://x.example/a"]] * 3
    info = replace(INFO, title=evil, filters=(evil,), redacted={evil: "last4"}, timezone=evil)
    path = tmp_path / "f.xlsx"
    write("xlsx", path, rows, columns, info=info)
    for name in part_names(path):
        xml = entry(path, name)
        assert "<f>" not in xml or name.startswith("xl/charts/"), name
        assert "hyperlink" not in xml.lower().replace("=hyperlink(", ""), name
    for name in part_names(path):
        if name.startswith("xl/charts/"):
            assert {formula[:10] for formula in re.findall("<f>(.*?)</f>", entry(path, name))} == {"'Summary'!"}
    assert load_workbook(path)["Summary"]["A1"].value == evil


def test_the_sheet_of_calls_is_ready_to_use_and_to_print(tmp_path: Path) -> None:
    """excel-cells: frozen header, filter, sensible widths, landscape, one page wide, header on every
    page, page n of m.
    """
    sheet = load_workbook(write("xlsx", tmp_path / "f.xlsx", [call(index) for index in range(50)]))["Calls"]
    assert sheet.freeze_panes == "A2"
    table = sheet.tables["Calls"]
    assert table.ref == table.autoFilter.ref == "A1:P51"
    assert table.tableStyleInfo.showRowStripes
    assert table.column_names == [column.label for column in SIXTEEN]
    widths = {column.label: sheet.column_dimensions[chr(65 + index)].width for index, column in enumerate(SIXTEEN)}
    assert widths["Time"] > 19
    assert widths["Caller Number"] > len("+919876500000")
    assert widths["Rec."] > len("tok*mp3*u1*2026*10*01*49.mp3")
    assert max(widths.values()) <= 50
    assert sheet.page_setup.orientation == "landscape"
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 0)
    assert sheet.sheet_properties.pageSetUpPr is not None
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.print_title_rows == "$1:$1"
    assert sheet.oddFooter is not None
    assert sheet.oddFooter.right.text == "Page &P of &N"


def test_phone_numbers_get_no_warning_corner(tmp_path: Path) -> None:
    """excel-cells: Excel is asked not to mark each phone number as "Number Stored as Text"; the wish stands where it
    must.
    """
    path = write("xlsx", tmp_path / "f.xlsx", [call(index) for index in range(3)])
    xml = entry(path, "xl/worksheets/sheet2.xml")
    assert '<ignoredError sqref="A1:P4" numberStoredAsText="1"/>' in xml
    assert xml.index("<headerFooter>") < xml.index("<ignoredErrors>") < xml.index("<tableParts")


@pytest.mark.parametrize(
    "labels", [["Name", "name"], ["two\nlines", "b"], [" edge", "b"], ["=1", "b"], ["_x0041_", "b"], ["x" * 256, "b"]]
)
def test_labels_that_a_table_cannot_bear_get_a_plain_filter(tmp_path: Path, labels: list[str]) -> None:
    """excel-cells: Excel would repair a table with such columns; the filter is on all the same."""
    columns = [Column(label) for label in labels]
    sheet = load_workbook(write("xlsx", tmp_path / "f.xlsx", [["a", "b"]], columns))["Calls"]
    assert not sheet.tables
    assert sheet.auto_filter.ref == "A1:B2"


def test_rows_beyond_the_limit_go_to_further_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """excel-cells: "Calls 2" and so on, each with its header, none empty; the Summary names them."""
    monkeypatch.setattr(XlsxWriter, "MAX_ROWS", 101)
    rows = [call(index) for index in range(200)]
    path = write("xlsx", tmp_path / "f.xlsx", rows, page_size=33)
    assert load_workbook(path).sheetnames == ["Summary", "Calls", "Calls 2"]
    assert read_xlsx(path, SIXTEEN) == [[value if value != "" else None for value in row] for row in rows]
    assert facts(path)["Sheets"].startswith("Calls, Calls 2")
    path = write("xlsx", tmp_path / "g.xlsx", [*rows, call(200)], page_size=33)
    assert load_workbook(path).sheetnames == ["Summary", "Calls", "Calls 2", "Calls 3"]


def test_a_sheet_that_would_outgrow_its_zip_entry_is_continued_on_a_further_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """excel-cells: many columns fill a sheet before 1,048,576 rows do."""
    monkeypatch.setattr(XlsxWriter, "MAX_SHEET_BYTES", 5_000)
    monkeypatch.setattr("airflow_provider_callreport.formats.xlsx.writer._CHUNK", 10)
    rows: list[Row] = [["x" * 30_000, 1, 1, None]] * 40
    path = write("xlsx", tmp_path / "f.xlsx", rows, TYPED, page_size=10)
    assert load_workbook(path).sheetnames == ["Summary", "Calls", "Calls 2"]
    assert read_xlsx(path, TYPED) == rows


def test_drawings_have_a_prefix_and_relationships_are_relative(tmp_path: Path) -> None:
    """excel-cells: exceljs opens no workbook of openpyxl's, which the standard allows, too; Excel writes as here."""
    path = write("xlsx", tmp_path / "f.xlsx", [call(index) for index in range(3)])
    names = set(part_names(path))
    drawing = entry(path, "xl/drawings/drawing1.xml")
    assert set(re.findall(r"</?(\w*:?)\w", drawing)) == {"xdr:", "a:", "c:"}
    assert drawing.startswith("<xdr:wsDr xmlns:xdr=")
    for name in (name for name in names if name.endswith(".rels")):
        folder = Path(name).parent.parent
        targets = re.findall(r'Target="([^"]*)"', entry(path, name))
        assert targets
        for target in targets:
            assert os.path.normpath(folder / target) in names, f"{name}: {target}"


def test_no_text_stands_in_its_cell(tmp_path: Path) -> None:
    """excel-cells: previews of iPhones show a text in its cell as nothing; the Summary's texts are in the table too."""
    rows: list[Row] = [["a & b <c>", "n/a", "_x0041_", "soon"], ["a & b <c>", 1, None, None]]
    path = write("xlsx", tmp_path / "f.xlsx", rows, TYPED)
    for number in (1, 2):
        sheet = entry(path, f"xl/worksheets/sheet{number}.xml")
        assert "inlineStr" not in sheet
        assert ' t="s"><v>' in sheet
    table = entry(path, "xl/sharedStrings.xml")
    assert table.count("<t>a &amp; b &lt;c&gt;</t>") == 1
    assert "<t>_x005F_x0041_</t>" in table
    assert "<t>Masked calls</t>" in table
    assert int(re.findall(r'uniqueCount="(\d+)"', table)[0]) == table.count("<si>")


def test_names_of_every_script_stand_in_the_summary_as_they_are(tmp_path: Path) -> None:
    """excel-cells: openpyxl writes what is not ASCII as character references, which must not be shown."""
    names = ["सुनीता वर्मा", "Zoë & Søn <1>", "&#2360;", "😀"]
    tallies = tuple(Tally(name, 1, 60) for name in names)
    path = tmp_path / "f.xlsx"
    writer = XlsxWriter(path, SIXTEEN, INFO, {})
    writer.close(ReportOutcome(4, 4, True, "All.", Figures((), tallies, (), tuple(range(24)), 240, 4)))
    assert set(names) <= {row[0] for row in load_workbook(path)["Summary"].iter_rows(values_only=True)}


@pytest.mark.slow
def test_the_table_of_texts_is_bounded_in_memory_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """flat-memory: any number of different texts is written; what waits on disk has no name, so no kill leaves it."""
    monkeypatch.setattr("airflow_provider_callreport.formats.xlsx.strings.REMEMBERED", 100)
    monkeypatch.setattr("airflow_provider_callreport.formats.xlsx.strings._IN_MEMORY", 1_000)
    rows = [call(index % 900) for index in range(3_000)]
    path = tmp_path / "f.xlsx"
    writer = XlsxWriter(path, SIXTEEN, INFO, {})
    writer.write(rows)
    assert list(tmp_path.iterdir()) == [path]
    writer.close(outcome(rows))
    assert list(tmp_path.iterdir()) == [path]
    assert read_xlsx(path, SIXTEEN) == [[value if value != "" else None for value in row] for row in rows]


@pytest.mark.slow
def test_texts_stand_in_their_cells_when_the_table_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """excel-cells: a table of 2 GB would need the Zip64 format; no text is lost for it."""
    monkeypatch.setattr(SharedStrings, "MAX_BYTES", 20_000)
    rows = [call(index) for index in range(2_000)]
    path = write("xlsx", tmp_path / "f.xlsx", rows)
    assert "inlineStr" in entry(path, "xl/worksheets/sheet2.xml")
    assert read_xlsx(path, SIXTEEN) == [[value if value != "" else None for value in row] for row in rows]


def test_the_limit_is_excels() -> None:
    """excel-cells: Microsoft, "Excel specifications and limits"."""
    assert XlsxWriter.MAX_ROWS == 1_048_576
    assert XlsxWriter.MAX_COLUMNS == 16_384


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 32_767, "x" * 32_767),
        ("x" * 32_768, "x" * (32_767 - len(CUT_MARK)) + CUT_MARK),
        ("😀" * 16_383, "😀" * 16_383),
        ("x" + "😀" * 16_384, "x" + "😀" * 16_379 + CUT_MARK),  # half an emoji is left out
    ],
    ids=["fits", "one too many", "emoji fit", "emoji too many"],
)
def test_long_texts_end_in_a_mark_and_are_counted(tmp_path: Path, text: str, kept: str) -> None:
    """excel-cells: a stated cut at 32,767 UTF-16 units, never in silence."""
    path = write("xlsx", tmp_path / "f.xlsx", [[text, 1, 1, None]], TYPED)
    assert read_xlsx(path, TYPED)[0][0] == kept
    assert len(kept.encode("utf-16-le")) // 2 <= MAX_TEXT
    assert facts(path).get("Shortened texts", "").startswith("1 text was longer" if kept != text else "")
    assert ("Shortened texts" in facts(path)) is (kept != text)


def test_the_summary_comes_first_and_says_what_the_report_is(tmp_path: Path) -> None:
    """excel-cells: title, window with zone, filters, rows, total, proof, redactions; then figures and charts."""
    rows = [call(index) for index in range(300)]
    path = write("xlsx", tmp_path / "f.xlsx", rows)
    book = load_workbook(path)
    assert book.sheetnames == ["Summary", "Calls"]
    assert book.active is not None
    assert book.active.title == "Summary"
    found = facts(path)
    assert next(iter(found)) == "Masked calls"
    assert found["From"] == "1 Oct 2026 00:00:00 (UTC+05:30)"
    assert found["Until"] == "2 Oct 2026 00:00:00 (UTC+05:30), not included"
    assert found["Time zone"] == "Asia/Kolkata"
    assert found["Filters"] == "agent is Asha or Ravi"
    assert found["Calls"] == found["Total by the API"] == "300"
    assert found["Completeness"] == "Complete. All 300 calls that the API reported."
    assert found["Redacted columns"] == "Caller Number (last4)"
    assert (found["Answered"], found["Asha"], found["Sales"]) == (100, 75, 100)
    figures = outcome(rows).figures
    assert figures is not None
    assert figures.by_hour is not None
    assert [found[hour] for hour in range(24)] == list(figures.by_hour)
    tiles = {book["Summary"][f"{column}4"].value: book["Summary"][f"{column}5"] for column in "ABFI"}
    assert tiles["Calls"].value == 300
    assert tiles["Talk time"].value == pytest.approx((figures.talk_seconds or 0) / 86_400), "a number to compute with"
    assert tiles["Talk time"].number_format == '"10 h 00 min"'
    assert tiles["Completeness"].value == "Complete"


@pytest.mark.parametrize(
    ("total", "complete", "verdict", "shown"),
    [(None, None, "Not proved", "no usable total"), (400, False, "Incomplete", "400")],
)
def test_the_summary_never_says_complete_when_that_is_not_proved(
    tmp_path: Path, total: int | None, complete: bool | None, verdict: str, shown: str
) -> None:
    """whole-or-red: what could not be proved is said in the file."""
    path = tmp_path / "f.xlsx"
    writer = XlsxWriter(path, SIXTEEN, INFO, {})
    writer.write([call(0)])
    writer.close(ReportOutcome(1, total, complete, "What is known.", Figures()))
    assert (
        load_workbook(path)["Summary"]["I5"].value == verdict or load_workbook(path)["Summary"]["B5"].value == verdict
    )
    assert facts(path)["Total by the API"] == shown
    assert facts(path)["Completeness"] == f"{verdict}. What is known."


def test_charts_stand_beside_their_tables_and_never_on_each_other(tmp_path: Path) -> None:
    """excel-cells: native charts by hour, status, agent and campaign, whatever the number of names."""
    names = tuple(Tally(f"name {index}", 100 - index, 60) for index in range(45))
    figures = Figures(names[:1], names, names[:25], tuple(range(24)), 2_700, 45)
    path = tmp_path / "f.xlsx"
    writer = XlsxWriter(path, SIXTEEN, INFO, {})
    writer.close(ReportOutcome(10_000, 10_000, True, "All.", figures))
    sheet: Any = load_workbook(path)["Summary"]
    spans = []
    for chart in sheet._charts:
        first = chart.anchor._from.row
        assert chart.anchor._from.col == 5, "charts begin in column F, tables end in D"
        spans.append((first, first + chart.anchor.ext.height / 12_700 / 15))
        points = chart.series[0].val.numRef.numCache.pt
        assert [point.v for point in points] == [
            sheet.cell(row, 2).value for row in range(first + 2, first + 2 + len(points))
        ], "the chart's own numbers are those of the table beside it"
    assert len(spans) == 4
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    others = [row[1].value for row in sheet.iter_rows() if row[0].value == "(other)"]
    assert others == [sum(tally.calls for tally in names[10:25]), sum(tally.calls for tally in names[10:])]


def test_the_summary_prints_on_one_page(tmp_path: Path) -> None:
    """One page of A4 whatever the figures are, the text not smaller than half its size."""
    names = (*(Tally(f"name {index}", 100 - index, 60) for index in range(45)), Tally("", 9, 0, TallyKind.NO_NAME))
    figures = Figures(names, names, names, (*range(23), 0), 2_700, 45)
    path = tmp_path / "f.xlsx"
    writer = XlsxWriter(path, SIXTEEN, INFO, {})
    writer.close(ReportOutcome(10_000, 10_000, True, "All.", figures))
    sheet = load_workbook(path)["Summary"]
    assert sheet.sheet_properties.pageSetUpPr is not None
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 1)
    assert not sheet.row_breaks.brk
    height = sum(sheet.row_dimensions[row].height or 15 for row in range(1, sheet.max_row + 1))
    assert height < 2 * 760, "points of A4 between the margins"


def test_an_empty_report_says_so_and_has_a_header(tmp_path: Path) -> None:
    """empty-report: a stated "no calls" on the Summary, and the columns on Calls."""
    path = write("xlsx", tmp_path / "f.xlsx", [])
    book = load_workbook(path)
    assert "No calls in this window." in facts(path)
    assert [cell.value for cell in book["Calls"][1]] == [column.label for column in SIXTEEN]
    assert book["Calls"].max_row == 1
    assert book["Calls"].auto_filter.ref == "A1:P1"
    assert facts(write("xlsx", tmp_path / "g.xlsx", [], []))["Calls"] == "0"


def test_too_many_columns_are_refused_in_one_sentence(tmp_path: Path) -> None:
    """clear-sentence: what it was and what is allowed."""
    with pytest.raises(ValueError, match=r"has 16,385 columns, but an Excel sheet holds at most 16,384"):
        XlsxWriter(tmp_path / "f.xlsx", [Column(str(index)) for index in range(16_385)], INFO, {})


def test_zip_times_and_properties_are_the_windows_end(tmp_path: Path) -> None:
    """same-bytes: the only time in the file is `ReportInfo.file_time`, in UTC."""
    path = write("xlsx", tmp_path / "f.xlsx", [call(1)])
    with zipfile.ZipFile(path) as package:
        assert {info.date_time for info in package.infolist()} == {(2026, 10, 1, 18, 30, 0)}
        assert not any(info.extra for info in package.infolist()), "no Zip64 fields, which some readers refuse"
    properties = load_workbook(path).properties
    assert properties.created == properties.modified == datetime(2026, 10, 1, 18, 30)
    assert (properties.title, properties.creator) == ("Masked calls", "airflow-provider-callreport")


def test_nothing_is_written_but_the_file_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """no-leak: no temporary file anywhere, also when two reports are written in two threads."""
    home, temporary = tmp_path / "reports", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    temporary.chmod(0o500)
    opened: list[str] = []
    watching = True

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        mode = arguments[1] if event == "open" and len(arguments) > 1 else None
        if watching and isinstance(mode, str) and set(mode) & set("wxa+"):
            opened.append(str(arguments[0]))

    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    rows = [call(index) for index in range(1_000)]
    sys.addaudithook(audit)
    try:
        with ThreadPoolExecutor(2) as pool:
            paths = list(pool.map(lambda name: write("xlsx", home / name, rows), ["a.xlsx", "b.xlsx"]))
    finally:
        watching = False
    assert sorted(opened) == sorted(map(str, paths))
    assert sorted(entry.name for entry in home.iterdir()) == ["a.xlsx", "b.xlsx"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.slow
def test_the_file_is_right_without_lxml_too(tmp_path: Path) -> None:
    """same-rows: openpyxl writes with lxml if it is there, else with the standard library."""
    code = (
        "from pathlib import Path; import sys, openpyxl; assert not openpyxl.LXML;"
        "from support.format import call, write;"
        "write('xlsx', Path(sys.argv[1]), [call(i) for i in range(300)])"
    )
    path = tmp_path / "f.xlsx"
    here = Path(__file__).parent
    environment = {**os.environ, "OPENPYXL_LXML": "False", "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
    rows = [call(index) for index in range(300)]
    assert read_xlsx(path, SIXTEEN) == [[value if value != "" else None for value in row] for row in rows]
    assert len(load_workbook(io.BytesIO(path.read_bytes()))["Summary"]._charts) == 4  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_it_and_saves_the_same_values(tmp_path: Path) -> None:
    """excel-cells: another program reads every cell as we meant it."""
    rows = [call(index) for index in range(400)]
    for row, text in zip(
        rows,
        [
            "=1+1",
            " edge ",
            "two\nlines",
            "<&>",
            "12345678901234567890",
            "TRUE",
            "#N/A",
            "1e5",
            "'=1",
            "مرحبا 😀",
            "a  b",
        ],
        strict=False,
    ):
        row[13] = text
    rows[20][6:11] = ["n/a", 100_000, 0, 1, -12.75]
    path = write("xlsx", tmp_path / "f.xlsx", rows)
    saved = tmp_path / "saved"
    subprocess.run(
        [
            "soffice",
            "--headless",
            f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}",
            *("--convert-to", "xlsx:Calc MS Excel 2007 XML"),
            *("--outdir", str(saved), str(path)),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    expected = [[value if value != "" else None for value in row] for row in rows]
    assert read_xlsx(saved / "f.xlsx", SIXTEEN) == expected
    book = load_workbook(saved / "f.xlsx")
    assert book.sheetnames == ["Summary", "Calls"]
    assert facts(saved / "f.xlsx")["Time zone"] == "Asia/Kolkata"
    assert len(book["Summary"]._charts) == 4  # type: ignore[attr-defined]
