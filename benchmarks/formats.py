"""What a format costs beside the plainest loop that writes the same cells: CPU time, in turns, in one process.

``csv.writer`` for CSV, ``json.dumps`` for JSON Lines, ``openpyxl``'s write-only sheet for XLSX, reportlab's canvas for
PDF; none of them types a cell, guards a formula, or makes a summary. More PDF libraries are in ``pdf_libraries.py``.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.table import KNOWN_LABELS
from airflow_provider_callreport.export.figures import FiguresCollector
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row

ZONE = ZoneInfo("Asia/Kolkata")
DAY = datetime(2026, 1, 31, tzinfo=ZONE)
COLUMNS = [Column(label, kind) for label, kind in KNOWN_LABELS.items()]
INFO = ReportInfo("calls", "Calls", DAY, DAY + timedelta(days=1), "Asia/Kolkata")
PAGE = 100


def sample(rows: int) -> list[list[Row]]:
    """Pages of calls that look like the real ones."""
    start = DAY.replace(tzinfo=None)
    made: list[Row] = [
        (
            f"9198{number:08d}",
            start + timedelta(seconds=number % 86_400),
            "918045678902",
            ("Sales", "Support", "Collections")[number % 3],
            ("Asha Rao", "Vikram Singh", "Priya Nair", None)[number % 4],
            None,
            number % 700,
            number % 690,
            number % 650,
            number % 640,
            number % 40 / 4,
            f"{number:016x}*mp3*sandbox*2026*01*31*20260131cal{number:016x}.mp3",
            ("Answered", "Missed", "Busy")[number % 3],
            None,
            "false",
            "12",
        )
        for number in range(rows)
    ]
    return [made[start : start + PAGE] for start in range(0, rows, PAGE)]


def ours(name: str, pages: Sequence[Sequence[Row]], directory: Path) -> None:
    file_format = FORMATS[name]
    collector = FiguresCollector(COLUMNS) if file_format.needs_figures else None
    options = {"max_rows": sum(map(len, pages))} if name == "pdf" else {}
    writer = file_format.load()(directory / "ours", COLUMNS, INFO, file_format.check_options(options))
    for page in pages:
        writer.write(page)
        if collector is not None:
            collector.add(page)
    rows = sum(map(len, pages))
    writer.close(ReportOutcome(rows, rows, True, "", collector.figures() if collector else None))


def plain_csv(pages: Sequence[Sequence[Row]], directory: Path) -> None:
    with (directory / "plain").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(column.label for column in COLUMNS)
        for page in pages:
            for row in page:
                writer.writerow(row)


def plain_jsonl(pages: Sequence[Sequence[Row]], directory: Path) -> None:
    labels = [column.label for column in COLUMNS]
    with (directory / "plain").open("w", encoding="utf-8") as file:
        for page in pages:
            for row in page:
                file.write(json.dumps(dict(zip(labels, row, strict=True)), default=str, ensure_ascii=False) + "\n")


def plain_xlsx(pages: Sequence[Sequence[Row]], directory: Path) -> None:
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("Calls")
    sheet.append([column.label for column in COLUMNS])
    for page in pages:
        for row in page:
            sheet.append(list(row))
    workbook.save(directory / "plain.xlsx")


def plain_pdf(pages: Sequence[Sequence[Row]], directory: Path) -> None:
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.pdfgen.canvas import Canvas

    width, height = landscape(A4)
    canvas = Canvas(str(directory / "plain.pdf"), pagesize=(width, height))
    rows = [row for page in pages for row in page]
    labels = [column.label for column in COLUMNS]
    step = (width - 56) / len(labels)
    for start in range(0, len(rows), 45):
        canvas.setFont("Helvetica", 6)
        for line, row in enumerate([labels, *rows[start : start + 45]]):
            for place, value in enumerate(row):
                canvas.drawString(28 + place * step, height - 28 - 11 * line, "" if value is None else str(value))
        canvas.showPage()
    canvas.save()


PLAIN = {"csv": plain_csv, "jsonl": plain_jsonl, "xlsx": plain_xlsx, "pdf": plain_pdf}


def cpu(job: Callable[[], None]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def compare(name: str, rows: int, rounds: int) -> list[tuple[float, float]]:
    """CPU seconds of ours and of the plain loop, in pairs."""
    plain = PLAIN[name]
    pages = sample(rows)
    pairs = []
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        ours(name, pages[:10], folder)
        for _ in range(rounds):
            pairs.append((cpu(lambda: ours(name, pages, folder)), cpu(lambda: plain(pages, folder))))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=tuple(PLAIN))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(compare(arguments.format, arguments.rows, arguments.rounds)))


if __name__ == "__main__":
    main()
