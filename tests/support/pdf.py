"""Makes small PDF reports and reads them back with poppler's command line tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_callreport.formats.pdf.writer import PdfWriter
from airflow_provider_callreport.report import Column, ColumnKind, Figures, ReportInfo, ReportOutcome, Row, Tally

ZONE = ZoneInfo("Asia/Kolkata")
INFO = ReportInfo(
    report="masked_calls",
    title="Masked calls",
    window_start=datetime(2026, 1, 5, tzinfo=ZONE),
    window_end=datetime(2026, 1, 6, tzinfo=ZONE),
    timezone="Asia/Kolkata",
    filters=("agent is Asha",),
    redacted={"Caller Number": "last4"},
)
#: The sixteen columns that the vendor prints.
COLUMNS = [
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
FIGURES = Figures(
    by_status=(Tally("Answered", 70, 4200), Tally("Missed", 30)),
    by_campaign=(Tally("Winter sale", 100, 4200),),
    by_agent=(Tally("Asha", 60, 3000), Tally("Vikram", 40, 1200)),
    by_hour=tuple(range(24)),
    talk_seconds=4200,
    talk_calls=70,
)

#: Text in every script that the shipped fonts draw, with conjuncts, joined letters, marks and sequences.
SCRIPTS = {
    "Latin": "José Łukasz Şişli “quoted” – € ₹500",
    "Vietnamese": "Tiếng Việt",
    "Greek": "Αθήνα",
    "Cyrillic": "Русский",
    "Devanagari": "क्षत्रिय श्रीमती कृष्णा द्वितीय",
    "Bengali": "ক্ষমা বন্দ্যোপাধ্যায় চট্টগ্রাম",
    "Gurmukhi": "ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ",
    "Gujarati": "ક્ષત્રિય શ્રી પટેલ",
    "Odia": "ଓଡ଼ିଆ ପଟ୍ଟନାୟକ",
    "Tamil": "தமிழ்ச்செல்வி ஸ்ரீ",
    "Telugu": "శ్రీనివాస్ లక్ష్మి",
    "Kannada": "ಶ್ರೀಕೃಷ್ಣ ಕ್ಷಮಾ",
    "Malayalam": "കൃഷ്ണൻ ശ്രീലക്ഷ്മി",
    "Sinhala": "ශ්‍රී ලංකා",
    "Thai": "กรุงเทพ",
    "Arabic": "محمد السلام خان",
    "Urdu": "ٹیلیفون گفتگو",
    "Hebrew": "עולם",
    "emoji": "😀 👩‍👩‍👧 🇮🇳 👍🏽",
    "symbols": "done ✓ phone ☎",
}


def calls(count: int) -> list[Row]:
    """Calls in order of time, each with an id of its own in "Details"."""
    start = datetime(2026, 1, 5)
    return [
        (
            f"******{i:04}",
            start + timedelta(seconds=i),
            "+911140001234",
            f"Campaign {i % 4}",
            ("Asha", "Vikram Rao", "Neha")[i % 3],
            None,
            i % 900,
            i % 700,
            i % 500,
            i % 300,
            i / 8,
            "Yes",
            "Answered",
            f"call-{i:06}",
            "false",
            "",
        )
        for i in range(count)
    ]


def outcome(rows: int, *, figures: Figures | None = FIGURES) -> ReportOutcome:
    """The outcome of a complete report."""
    return ReportOutcome(rows, rows, True, f"All {rows:,} calls that the API reports are here.", figures)


def make(
    path: Path,
    rows: Sequence[Row],
    columns: Sequence[Column] = COLUMNS,
    *,
    info: ReportInfo = INFO,
    options: Mapping[str, Any] | None = None,
    result: ReportOutcome | None = None,
    batch: int = 100,
) -> Path:
    """Write a whole report, ``batch`` rows at a time."""
    writer = PdfWriter(path, columns, info, options or {})
    for i in range(0, len(rows), batch):
        writer.write(rows[i : i + batch])
    writer.close(result or outcome(len(rows)))
    return path


def run(tool: str, *arguments: str | Path) -> bytes:
    """The output of one of poppler's tools; its complaints about the file fail the test."""
    if shutil.which(tool) is None:
        message = f"{tool} is not installed (Debian package poppler-utils)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, check=True)
    assert done.stderr == b"", done.stderr.decode()
    return done.stdout


def pages(path: Path) -> list[str]:
    """The text of every page, laid out as on paper."""
    return run("pdftotext", "-layout", path, "-").decode().split("\f")[:-1]


@dataclass(frozen=True)
class Word:
    """A word on a page, with its box in points from the upper left corner."""

    page: int
    left: float
    top: float
    right: float
    bottom: float
    text: str


def words(path: Path) -> list[Word]:
    """Every word of a document with its place."""
    found: list[Word] = []
    page = 0
    for line in run("pdftotext", "-bbox", path, "-").decode().splitlines():
        page += line.strip().startswith("<page ")
        match = re.search(r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*)</word>', line)
        if match:
            left, top, right, bottom = map(float, match.groups()[:4])
            found.append(Word(page, left, top, right, bottom, unescape(match[5])))
    return found


def picture(path: Path, page: int) -> bytes:
    """A page as a grey picture (PGM) at 60 dots an inch."""
    return run("pdftoppm", "-r", "60", "-gray", "-f", str(page), "-l", str(page), path)
