"""Which way to write the PDF: speed, memory and what becomes of text, side by side in one run.

Run ``python benchmarks/pdf_libraries.py [rows]`` in an environment with ``reportlab`` and ``fpdf2`` (dependency group
``bench``) and poppler's ``pdftotext``. It prints three tables:

1. CPU time for a table of 16 columns, as a ratio to the bare loop over reportlab's canvas (``drawString`` per cell,
   Helvetica, no widths, nothing shortened). The bar is 1.3 for `PdfWriter` with all that it does.
2. `PdfWriter` at 5,000 and 50,000 rows: time per row and peak memory over the bare interpreter and the rows' own.
3. Names in seven scripts: does ``pdftotext`` read back what went in.
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import uharfbuzz  # noqa: F401 - both libraries shape with it, so none is measured without
from fpdf import FPDF
from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont, shapeStr
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import LongTable, SimpleDocTemplate

from airflow_provider_callreport.formats.pdf import writer as pdf
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Row

ZONE = ZoneInfo("Asia/Kolkata")
INFO = ReportInfo(
    "calls", "Calls", datetime(2026, 1, 5, tzinfo=ZONE), datetime(2026, 1, 6, tzinfo=ZONE), "Asia/Kolkata"
)
FONTS = Path(pdf.__file__).parent / "typefaces"
WIDTH, HEIGHT = landscape(A4)
LABELS = {
    "Caller Number": ColumnKind.TEXT,
    "Time": ColumnKind.DATETIME,
    "DID Number": ColumnKind.TEXT,
    "Campaign": ColumnKind.TEXT,
    "Agents": ColumnKind.TEXT,
    "Master Agent": ColumnKind.TEXT,
    "Call Duration": ColumnKind.DURATION,
    "Customer Duration": ColumnKind.DURATION,
    "Total Talk Duration": ColumnKind.DURATION,
    "Agent on Call Duration": ColumnKind.DURATION,
    "Amount": ColumnKind.NUMBER,
    "Rec.": ColumnKind.TEXT,
    "Status": ColumnKind.TEXT,
    "Details": ColumnKind.TEXT,
    "Forward": ColumnKind.TEXT,
    "DTMF": ColumnKind.TEXT,
}
COLUMNS = [Column(label, kind) for label, kind in LABELS.items()]

#: Names and the font file that has their script.
NAMES = {
    "Latin": ("José Łukasz", "NotoSans-Regular.ttf"),
    "Hindi": ("क्षमा श्रीवास्तव", "NotoSansDevanagari-Regular.ttf"),
    "Bengali": ("ক্ষমা বন্দ্যোপাধ্যায়", "NotoSansBengali-Regular.ttf"),
    "Tamil": ("தமிழ்ச்செல்வி", "NotoSansTamil-Regular.ttf"),
    "Malayalam": ("ശ്രീലക്ഷ്മി", "NotoSansMalayalam-Regular.ttf"),
    "Arabic": ("السلام محمد", "NotoSansArabic-Regular.ttf"),
    "emoji": ("😀👍🏽", "NotoEmoji-Regular.ttf"),
}


def calls(count: int) -> Iterator[Row]:
    """Calls with plausible repetition: agents and campaigns come again, times, numbers and ids do not."""
    agents = ["Asha Verma", "Vikram Rao", "Neha", "Imran Khan", "Lakshmi Narayanan"]
    start = datetime(2026, 1, 5)
    for i in range(count):
        seconds = i * 37 % 900
        yield (
            f"+9198{i * 7919 % 100_000_000:08}",
            start + timedelta(seconds=i * 86_400 // count),
            "+911140001234",
            f"Campaign {i % 4}",
            agents[i % 5],
            None if i % 3 else "Ravi",
            seconds,
            seconds,
            max(0, seconds - 20),
            seconds // 2,
            round(seconds * 0.013, 2),
            "Yes" if i % 2 else None,
            ("Answered", "Missed", "Busy", "Failed")[i * 7 % 11 % 4],
            "Customer asked for a call back tomorrow" if i % 10 == 0 else f"call-{i:07}",
            "false",
            None,
        )


def texts(rows: list[Row]) -> Iterator[list[str]]:
    """Cells as the plainest loop prints them."""
    for row in rows:
        yield ["" if value is None else str(value) for value in row]


def write_ours(path: Path, rows: list[Row]) -> None:
    """`PdfWriter`: typed, sized from data, wrapped, summary page, page n of m."""
    writer = pdf.PdfWriter(path, COLUMNS, INFO, {"max_rows": 10_000_000})
    for i in range(0, len(rows), 100):
        writer.write(rows[i : i + 100])
    writer.close(ReportOutcome(len(rows), len(rows), True, "All calls are in this file."))


def write_canvas(path: Path, rows: list[Row], font: str = "Helvetica") -> None:
    """The bare loop: one ``drawString`` a cell, header on each page, 45 rows a page."""
    canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), invariant=1)
    step = (WIDTH - 56) / 16
    for start in range(0, len(rows), 45):
        canvas.setFont(font, 6)
        for line, row in enumerate(itertools.chain([list(LABELS)], texts(rows[start : start + 45]))):
            for i, text in enumerate(row):
                canvas.drawString(28 + i * step, HEIGHT - 28 - 11 * line, text)
        canvas.showPage()
    canvas.save()


def write_canvas_unicode(path: Path, rows: list[Row]) -> None:
    """The same loop with an embedded TrueType font, which names outside of Latin-1 need."""
    pdfmetrics.registerFont(TTFont("bench", str(FONTS / "NotoSans-Regular.ttf")))
    write_canvas(path, rows, "bench")


def write_table(path: Path, rows: list[Row]) -> None:
    """Reportlab's table engine."""
    table = LongTable([list(LABELS), *texts(rows)], repeatRows=1)
    SimpleDocTemplate(str(path), pagesize=(WIDTH, HEIGHT), invariant=1).build([table])


def write_fpdf(path: Path, rows: list[Row]) -> None:
    """fpdf2: one ``cell`` a cell."""
    document = FPDF(orientation="landscape", format="A4")
    document.set_font("Helvetica", size=6)
    for start in range(0, len(rows), 45):
        document.add_page()
        for row in itertools.chain([list(LABELS)], texts(rows[start : start + 45])):
            for text in row:
                document.cell(17, 4, text)
            document.ln()
    document.output(str(path))


WRITERS: dict[str, Callable[[Path, list[Row]], None]] = {
    "reportlab canvas, bare": write_canvas,
    "reportlab canvas, TrueType": write_canvas_unicode,
    "reportlab table": write_table,
    "fpdf2": write_fpdf,
    "PdfWriter (ours)": write_ours,
}


def cpu_seconds(write: Callable[[Path, list[Row]], None], path: Path, rows: list[Row]) -> float:
    """CPU time of one document; other work on the machine does not count."""
    start = time.process_time()
    write(path, rows)
    return time.process_time() - start


def print_speed(folder: Path, count: int) -> None:
    """Table 1: the best of three, the writers taking turns."""
    rows = list(calls(count))
    best: dict[str, float] = {}
    for _ in range(3):
        for name, write in WRITERS.items():
            seconds = cpu_seconds(write, folder / "speed.pdf", rows)
            best[name] = min(seconds, best.get(name, seconds))
    bare = best["reportlab canvas, bare"]
    print(f"{count:,} rows x 16 columns     CPU s   rows/s   ratio to the bare canvas loop")
    for name, seconds in best.items():
        print(f"{name:28} {seconds:6.2f} {count / seconds:8,.0f} {seconds / bare:7.2f}")


def print_growth(folder: Path) -> None:
    """Table 2: each size in its own process, so that memory is its own."""
    print("\nPdfWriter      CPU s   us/row   peak MB over the rows'")
    for count in (5_000, 50_000):
        code = f"import pdf_libraries as b; b.report_growth(b.Path({str(folder / 'growth.pdf')!r}), {count})"
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)


def report_growth(path: Path, count: int) -> None:
    """One line of table 2."""
    rows = list(calls(count))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = cpu_seconds(write_ours, path, rows)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{count:6,} rows {seconds:8.2f} {seconds / count * 1e6:8.0f} {peak:8.1f}")


def names_ours(path: Path) -> None:
    """Every name in a cell."""
    writer = pdf.PdfWriter(path, [Column("Agents")], INFO, {})
    writer.write([[name] for name, _ in NAMES.values()])
    writer.close(ReportOutcome(len(NAMES), None, None, "No total."))


def names_reportlab(path: Path) -> None:
    """Every name with its font, shaped as reportlab shapes."""
    canvas = Canvas(str(path), invariant=1)
    for i, (script, (name, font)) in enumerate(NAMES.items()):
        pdfmetrics.registerFont(TTFont(script, str(FONTS / font)))
        canvas.setFont(script, 12)
        canvas.drawString(50, 800 - 30 * i, shapeStr(name, script, 12))
    canvas.save()


def names_fpdf(path: Path) -> None:
    """Every name with its font, shaped as fpdf2 shapes."""
    document = FPDF()
    document.add_page()
    document.set_text_shaping(True)
    for script, (name, font) in NAMES.items():
        document.add_font(script, fname=str(FONTS / font))
        document.set_font(script, size=12)
        document.cell(100, 10, name)
        document.ln()
    document.output(str(path))


def print_names(folder: Path) -> None:
    """Table 3."""
    print(f"\n{'pdftotext finds':20}" + "".join(f"{script:>10}" for script in NAMES))
    for label, write in (("reportlab", names_reportlab), ("fpdf2", names_fpdf), ("PdfWriter (ours)", names_ours)):
        path = folder / "names.pdf"
        write(path)
        text = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True).stdout.decode()
        found = (" ".join(name.split()) in text for name, _ in NAMES.values())
        print(f"{label:20}" + "".join(f"{'yes' if hit else 'no':>10}" for hit in found))


def main() -> None:
    """Print the three tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print_speed(folder, count)
        sys.stdout.flush()
        print_growth(folder)
        print_names(folder)


if __name__ == "__main__":
    main()
