"""The PDF format: the document, equal bytes, empty reports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from support.pdf import COLUMNS, FIGURES, INFO, SCRIPTS, calls, make, outcome, pages, run, words

from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.pdf.writer import PdfTooManyRowsError, PdfWriter
from airflow_provider_callreport.report import Column, ColumnKind, ReportOutcome, Row

WIDTH, HEIGHT = 841.89, 595.28


def test_every_row_is_found_in_order(tmp_path: Path) -> None:
    """pdf-text: text is selectable, and no row is lost at a page border."""
    text = pages(make(tmp_path / "r.pdf", calls(120)))
    assert len(text) >= 4
    ids = re.findall(r"call-\d{6}", "".join(text))
    assert ids == [f"call-{i:06}" for i in range(120)]


def test_rows_do_not_depend_on_batches(tmp_path: Path) -> None:
    """same-bytes: pages of 7, 100 or 1,000 rows from the API give the same bytes."""
    rows = calls(450)
    files = [make(tmp_path / f"{batch}.pdf", rows, batch=batch).read_bytes() for batch in (7, 100, 1000)]
    assert files[0] == files[1] == files[2]


def test_header_is_repeated_and_pages_are_counted(tmp_path: Path) -> None:
    """pdf-text: every page says "Page n of m" and the window; every table page has all sixteen labels."""
    text = pages(make(tmp_path / "r.pdf", calls(100)))
    for number, page in enumerate(text, 1):
        assert f"Page {number} of {len(text)}" in page
        assert "5 Jan 2026, Asia/Kolkata" in page
    for page in text[1:]:
        seen = set(page.split())
        assert {word for column in COLUMNS for word in column.label.split()} <= seen


def test_summary_is_the_first_page(tmp_path: Path) -> None:
    """pdf-text: title, zone, filters, redactions, total, proof and figures are on page 1, though known last."""
    first = pages(make(tmp_path / "r.pdf", calls(100)))[0]
    flat = " ".join(first.split())
    for expected in (
        "Masked calls",
        "5 Jan 2026, Asia/Kolkata",
        "From 5 Jan 2026 00:00:00 (UTC+05:30)",
        "Until 6 Jan 2026 00:00:00 (UTC+05:30), not included",
        "agent is Asha",
        "Caller Number (last4)",
        "All 100 calls that the API reports are here.",
        "1 h 10 min",  # talk time, total
        "1 min 00 s",  # talk time, average
        "Calls by hour",
        "Answered 70 70%",
        "Winter sale 100 100%",
        "Asha 60 60% 50 min 00 s",
    ):
        assert expected in flat


@pytest.mark.parametrize(
    ("complete", "total", "shown"), [(None, None, "no usable total"), (False, 150, "150"), (True, 100, "100")]
)
def test_completeness_is_stated(tmp_path: Path, complete: bool | None, total: int | None, shown: str) -> None:
    """pdf-text: the note of the outcome stands on page 1 word for word, in each of the three states."""
    result = ReportOutcome(100, total, complete, "What is known of the total is said here.")
    first = pages(make(tmp_path / "r.pdf", calls(100), result=result))[0]
    assert "What is known of the total is said here." in first
    assert shown in first


def test_summary_shows_no_figure_that_the_report_lacks(tmp_path: Path) -> None:
    """pdf-text: without a column of durations, of campaigns or of times, their figures are not there,
    and never zeros.
    """
    figures = replace(FIGURES, by_campaign=None, by_hour=None, talk_seconds=None, talk_calls=0)
    first = pages(make(tmp_path / "r.pdf", calls(100), result=outcome(100, figures=figures)))[0]
    flat = " ".join(first.split())
    assert "Calls by agent" in flat
    assert "Asha 60 60%" in flat
    for absent in ("Calls by campaign", "Calls by hour", "Talk time", "Average", " min "):
        assert absent not in flat


@pytest.mark.parametrize("count", [1, 2, 16, 17, 60])
def test_nothing_leaves_the_margins(tmp_path: Path, count: int) -> None:
    """pdf-text: however many columns and however long their text, every word is inside the page and every column is
    there.
    """
    columns = [Column(f"Label{i} of the column") for i in range(count)]
    rows = [[f"r{row}c{i} " + "longish text " * (i % 4) + "x" * (i % 50) for i in range(count)] for row in range(30)]
    path = make(tmp_path / "r.pdf", rows, columns)
    found = words(path)
    assert min(word.left for word in found) >= 33
    assert max(word.right for word in found) <= WIDTH - 33
    assert min(word.top for word in found) > 10
    assert max(word.bottom for word in found) < HEIGHT - 10
    text = {word.text for word in found}
    assert {f"r{row}c{i}" for row in range(30) for i in range(count)} <= text
    assert {f"Label{i}" for i in range(count)} <= text


def test_first_column_is_on_every_panel(tmp_path: Path) -> None:
    """pdf-text: columns that do not fit go to further pages, each row on one line with its first cell."""
    columns = [Column("Call id"), *(Column(f"Field {i}") for i in range(60))]
    values = [[f"value-of-{row}-{i}-{'x' * (i * 7 % 23)}" for i in range(60)] for row in range(5)]
    rows = [[f"call-{row}", *values[row]] for row in range(5)]
    found = words(make(tmp_path / "r.pdf", rows, columns))
    line = {(word.page, word.text): word.top for word in found}
    for word in found:
        if word.text.startswith("value-of-"):
            row = word.text.split("-")[2]
            assert abs(line[word.page, f"call-{row}"] - word.top) < 1
    assert len({word.page for word in found if word.text == "call-0"}) > 2
    assert {value for row in values for value in row} <= {word.text for word in found}


@pytest.mark.parametrize("count", [10, 14, 18, 22, 26])
def test_narrow_columns_do_not_break_words(tmp_path: Path, count: int) -> None:
    """pdf-text: a table is narrowed only as far as its words go; then its columns are parted."""
    columns = [Column(f"Name{i}") for i in range(count)]
    rows = [[f"{row}lengthy{i} {row}wording{i} {row}forever{i}" for i in range(count)] for row in range(3)]
    text = {word.text for word in words(make(tmp_path / "r.pdf", rows, columns))}
    whole = {f"{row}{word}{i}" for word in ("lengthy", "wording", "forever") for row in range(3) for i in range(count)}
    assert whole <= text


def test_cells_of_a_row_do_not_overlap(tmp_path: Path) -> None:
    """pdf-text: in a full table of sixteen columns, words of one line have space between them."""
    rows = [[*row[:13], "Customer asked for a call back tomorrow, or the day after", *row[14:]] for row in calls(40)]
    found = sorted(words(make(tmp_path / "r.pdf", rows)), key=lambda word: (word.page, word.top, word.left))
    for one, other in pairwise(found):
        if one.page == other.page > 1 and one.top == other.top:
            assert one.right < other.left


def test_values_are_printed_for_people(tmp_path: Path) -> None:
    """pdf-text: times, durations and numbers by kind; digits of equal weight below one another."""
    columns = [
        Column("Time", ColumnKind.DATETIME),
        Column("Length", ColumnKind.DURATION),
        Column("Amount", ColumnKind.NUMBER),
        Column("Phone"),
    ]
    rows: list[Row] = [
        [datetime(2026, 1, 5, 9, 7, 3), 59, 0.5, "+919876543210"],
        [None, 3600 * 30 + 61.6, 1234, "00123"],
        ["not a time", -5, -2.25, "1e5"],
        ["", "broken", "n/a", "12345678901234567890"],
    ]
    found = words(make(tmp_path / "r.pdf", rows, columns))
    by_text = {word.text: word for word in found}
    for expected in ("09:07:03", "0:00:59", "30:01:02", "-0:00:05", "0.50", "1,234.00", "-2.25", "+919876543210"):
        assert expected in by_text
    assert {"not", "broken", "n/a", "00123", "1e5", "12345678901234567890"} <= by_text.keys()
    for group in (("0:00:59", "30:01:02", "-0:00:05"), ("0.50", "1,234.00", "-2.25")):
        assert max(by_text[text].right for text in group) - min(by_text[text].right for text in group) < 0.2
    assert by_text["n/a"].left < by_text["0.50"].left


def test_long_cells_are_cut_visibly_and_counted(tmp_path: Path) -> None:
    """pdf-text: a cell of 50,000 characters ends with an ellipsis, and page 1 says how many were shortened."""
    rows = [[f"call-{i}", "endless " * 6250 if i < 2 else "short"] for i in range(5)]
    text = pages(make(tmp_path / "r.pdf", rows, [Column("Id"), Column("Details")]))
    assert text[1].count("\N{HORIZONTAL ELLIPSIS}") == 2
    assert "2 cells are longer than there is room for" in text[0]
    assert "call-4" in text[1]


def test_document_properties(tmp_path: Path) -> None:
    """pdf-text: title, author, subject, language and dates are set, and the dates are the window's end."""
    path = make(tmp_path / "r.pdf", calls(3))
    info = run("pdfinfo", "-rawdates", path).decode()
    assert re.search(r"Title: +Masked calls\n", info)
    assert re.search(r"Author: +airflow-provider-callreport\n", info)
    assert re.search(r"Subject: +5 Jan 2026, Asia/Kolkata\n", info)
    assert re.search(r"CreationDate: +D:20260106000000\+05'30'\n", info)
    assert re.search(r"Page size: +841.89 x 595.28 pts \(A4\)", info)
    data = path.read_bytes()
    assert b"/Lang(en)" in data
    assert b"/DisplayDocTitle true" in data


def test_title_in_any_script(tmp_path: Path) -> None:
    """pdf-text: the document title and the heading hold Hindi and brackets."""
    info = replace(INFO, title="मासिक (कॉल) रिपोर्ट \\")
    path = make(tmp_path / "r.pdf", calls(1), info=info)
    assert "Title:           मासिक (कॉल) रिपोर्ट \\" in run("pdfinfo", path).decode()
    assert "मासिक (कॉल) रिपोर्ट" in pages(path)[0]


def test_every_object_is_where_the_table_says(tmp_path: Path) -> None:
    """pdf-text: the cross-reference table is exact, so no reader has to repair the file."""
    data = make(tmp_path / "r.pdf", calls(250)).read_bytes()
    start = int(re.findall(rb"startxref\n(\d+)\n%%EOF\n$", data)[0])
    assert data[start:].startswith(b"xref\n0 ")
    offsets = [int(entry) for entry in re.findall(rb"^(\d{10}) 00000 n $", data[start:], re.MULTILINE)]
    assert len(offsets) > 20
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(b"%d 0 obj\n" % number)


def test_fonts_are_embedded(tmp_path: Path) -> None:
    """pdf-text: the file looks the same everywhere, because each of its fonts is inside."""
    lines = run(
        "pdffonts", make(tmp_path / "r.pdf", [["नाम", "محمد", "😀", "é"]], [Column(c) for c in "abcd"])
    ).decode()
    fonts = lines.splitlines()[2:]
    assert len(fonts) >= 5
    assert all(re.search(r" yes yes (yes|no ) +\d+ +0$", font) for font in fonts)


def test_outline_leads_into_the_table(tmp_path: Path) -> None:
    """pdf-text: a long document has an entry for the summary, the table and each thousand calls."""
    data = make(tmp_path / "r.pdf", [[f"{i}"] for i in range(2_500)], [Column("Call id")]).read_bytes()
    titles = re.findall(rb"/Title\(([^)]*)\)/Parent", data)
    assert titles == [b"Summary", b"Calls", b"Calls from 1,001", b"Calls from 2,001"]


def test_data_becomes_text_only(tmp_path: Path) -> None:
    """pdf-text: links, scripts and PDF operators in the data are drawn as text and nothing else."""
    nasty = [
        "https://example.com/?a=(1)",
        "mailto:a@example.com",
        "javascript:alert(1)",
        ") Tj ET endstream",
        "\\(",
        "\\",
    ]
    path = make(tmp_path / "r.pdf", [[text] for text in nasty], [Column("Details")])
    for word in (b"/Annots", b"/Annot", b"/URI", b"/JavaScript", b"/AA", b"/OpenAction", b"/Launch"):
        assert word not in path.read_bytes()
    text = pages(path)[1]
    for expected in nasty:
        assert expected in text


@pytest.mark.slow
def test_equal_bytes_in_another_process(tmp_path: Path) -> None:
    """same-bytes: another hash seed, locale, time zone and moment change nothing."""
    # Pieces of words: the same glyph stands for this text in one and for that in another.
    names = [text[start:] for text in SCRIPTS.values() for start in range(len(text))]
    script = (
        "import sys; from pathlib import Path; from support.pdf import make, calls, COLUMNS\n"
        f"names = {names!r}\n"
        "rows = [[*row[:4], names[i % len(names)], *row[5:]] for i, row in enumerate(calls(300))]\n"
        "make(Path(sys.argv[1]), rows)\n"
    )
    files = []
    for seed, zone in (("1", "UTC"), ("2", "America/New_York"), ("3", "Asia/Tokyo")):
        path = tmp_path / f"{seed}.pdf"
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C.UTF-8" if seed == "1" else "C"}
        environment["PYTHONPATH"] = os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parent.parent)))
        subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=True)
        files.append(path.read_bytes())
    assert files[0] == files[1] == files[2]


def test_equal_bytes_in_one_process(tmp_path: Path) -> None:
    """same-bytes: what a first report left behind in caches does not change a second one."""
    one = make(tmp_path / "1.pdf", calls(250)).read_bytes()
    make(tmp_path / "between.pdf", [["नाम ₹ 😀"]], [Column("Agents")])
    assert make(tmp_path / "2.pdf", calls(250)).read_bytes() == one


def test_identifier_tells_documents_apart(tmp_path: Path) -> None:
    """same-bytes: the file identifier follows from the content."""
    ids = {
        re.findall(rb"/ID\[<(\w{32})><\1>\]", make(tmp_path / f"{i}.pdf", calls(i)).read_bytes())[0] for i in (1, 2, 3)
    }
    assert len(ids) == 3


def test_empty_report_says_so_and_has_its_header(tmp_path: Path) -> None:
    """empty-report: page 1 states that there are no calls; the table is there with its labels."""
    text = pages(make(tmp_path / "r.pdf", [], result=outcome(0)))
    assert "No calls in this window." in text[0]
    assert len(text) == 2
    assert "No calls in this window." in text[1]
    assert "Campaign" in text[1]


def test_report_without_columns(tmp_path: Path) -> None:
    """empty-report: an account that sends no columns gives a summary page that says so."""
    for rows in (0, 300):
        text = pages(make(tmp_path / "r.pdf", [[]] * rows, [], result=outcome(rows, figures=None)))
        assert len(text) == 1
        assert "the report has no columns" in text[0]
        assert ("No calls in this window." in text[0]) == (rows == 0)


def test_row_limit_fails_as_soon_as_it_is_passed(tmp_path: Path) -> None:
    """pdf-text: the default names the limit and the rows seen, before the rest is fetched."""
    writer = PdfWriter(tmp_path / "r.pdf", COLUMNS, INFO, {"max_rows": 250})
    writer.write(calls(250))
    with pytest.raises(
        PdfTooManyRowsError, match=r'"max_rows" of file_format "pdf" is 250, but 251 rows came so far; raise it'
    ):
        writer.write(calls(1))
    writer.abort()


def test_row_limit_holds_exactly(tmp_path: Path) -> None:
    """pdf-text: a report of exactly ``max_rows`` rows is written whole."""
    text = "".join(pages(make(tmp_path / "r.pdf", calls(250), options={"max_rows": 250})))
    assert len(re.findall(r"call-\d{6}", text)) == 250


def test_summary_only_leaves_the_table_out_and_says_so(tmp_path: Path) -> None:
    """pdf-text: over the limit, ``summary_only`` gives one page with the figures of all rows and the reason."""
    options = {"max_rows": 250, "over_max_rows": "summary_only"}
    path = make(tmp_path / "r.pdf", calls(600), options=options)
    text = pages(path)
    assert len(text) == 1
    assert "left out, because the report has more than 250 rows (max_rows)" in text[0]
    assert "600" in text[0]
    assert "Page 1 of 1" in text[0]
    assert not re.search(r"call-\d{6}", text[0])
    assert path.stat().st_size < 100_000


def test_default_limit_is_50_000_rows() -> None:
    """pdf-text: the documented default."""
    assert FORMATS["pdf"].check_options({}) == {"max_rows": 50_000, "over_max_rows": "fail", "font_paths": ()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_row": 5}, "has no option 'max_row'"),
        ({"max_rows": 0}, "max_rows is 0; allowed is a whole number of at least 1"),
        ({"max_rows": "many"}, "max_rows is 'many'; allowed is a whole number of at least 1"),
        ({"max_rows": True}, "max_rows is True; allowed is a whole number of at least 1"),
        ({"over_max_rows": "cut"}, "over_max_rows is 'cut'; allowed are fail, summary_only, split"),
        ({"font_paths": "fonts"}, "font_paths is 'fonts'; allowed is a list of texts"),
        ({"font_paths": ["no/such/font.ttf"]}, 'font_paths: "no/such/font.ttf" does not exist'),
        ({"font_paths": [__file__]}, f'font_paths: "{__file__}" is not a TrueType or OpenType font'),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, object], message: str) -> None:
    """clear-sentence: one sentence with the option, what it was and what is allowed; no file is begun."""
    with pytest.raises(ValueError, match=re.escape(message)):
        PdfWriter(tmp_path / "r.pdf", COLUMNS, INFO, options)
    assert list(tmp_path.iterdir()) == []


def test_pages_are_on_disk_before_the_end(tmp_path: Path) -> None:
    """pdf-text: memory does not grow with the report: what is drawn is written."""
    path = tmp_path / "r.pdf"
    writer = PdfWriter(path, COLUMNS, INFO, {})
    # Since Python 3.14 a file's buffer holds 128 KiB.
    writer.write(calls(10_000))
    before = path.stat().st_size
    writer.write(calls(10_000))
    assert before > 100_000
    assert path.stat().st_size > before * 1.8
    writer.abort()
    assert list(tmp_path.iterdir()) == [path]


def test_abort_can_be_called_at_any_time(tmp_path: Path) -> None:
    """The contract: before the first row, after some, twice, and after the end."""
    for rows in (0, 1, 300):
        writer = PdfWriter(tmp_path / "r.pdf", COLUMNS, INFO, {})
        writer.write(calls(rows))
        writer.abort()
        writer.abort()
    writer = PdfWriter(tmp_path / "r.pdf", COLUMNS, INFO, {})
    writer.close(outcome(0))
    writer.abort()
    assert len(pages(tmp_path / "r.pdf")) == 2
