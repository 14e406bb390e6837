"""The facts of a report and how they are written: the same in the mail, on the sheet's Summary and in the PDF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from support.format import INFO, KOLKATA, SIXTEEN
from support.pdf import make, pages

from airflow_provider_callreport.delivery.mail_body import render_mail
from airflow_provider_callreport.export.summary import ExportSummary
from airflow_provider_callreport.formats.xlsx.writer import XlsxWriter
from airflow_provider_callreport.report import Figures, ReportInfo, ReportOutcome, Tally, TallyKind, wording
from airflow_provider_callreport.report.facts import report_facts, top_names

OTHER, NO_NAME = TallyKind.OTHER, TallyKind.NO_NAME
FIGURES = Figures(
    by_status=(Tally("Answered", 1_150, 41_798_280), Tally("Missed", 50)),
    by_campaign=(Tally("Winter sale", 700, 41_798_280), Tally("(none)", 500, 0, NO_NAME)),
    by_agent=(
        *(Tally(f"Agent {number:02}", 60 - number, 3_600) for number in range(12)),
        Tally("(none)", 500, 0, NO_NAME),
    ),
    by_hour=(*[50] * 23, 40),
    talk_seconds=41_798_280,
    talk_calls=1_150,
)
OUTCOME = ReportOutcome(1_200, 1_200, True, "Complete: all 1,200 calls are here.", FIGURES)


def sheet_text(info: ReportInfo, outcome: ReportOutcome, folder: Path) -> str:
    """The Summary as a reader sees it, one row a line. Numbers that show as a text are read as that text."""
    path = folder / "f.xlsx"
    writer = XlsxWriter(path, SIXTEEN, info, {})
    writer.close(outcome)
    rows = load_workbook(path)["Summary"].iter_rows()
    return "\n".join("  ".join(_shown(cell) for cell in row if cell.value is not None) for row in rows)


def _shown(cell: Any) -> str:
    number_format = str(cell.number_format)
    if number_format.startswith('"'):
        return number_format.strip('"')
    if number_format == "0.0%":
        return f"{cell.value:.0%}"
    return f"{cell.value:,}" if isinstance(cell.value, int) else str(cell.value)


def pdf_text(info: ReportInfo, outcome: ReportOutcome, folder: Path) -> str:
    """The first page."""
    return pages(make(folder / "f.pdf", [], info=info, result=outcome))[0]


def mail_text(info: ReportInfo, outcome: ReportOutcome, folder: Path) -> str:
    """The plain twin of the mail."""
    return render_mail(info, outcome, [], []).text


def mail_html(info: ReportInfo, outcome: ReportOutcome, folder: Path) -> str:
    """The HTML of the mail."""
    return render_mail(info, outcome, [], []).html


Shown = Callable[[ReportInfo, ReportOutcome, Path], str]
FACES = pytest.mark.parametrize("shown", [sheet_text, pdf_text, mail_text, mail_html])


@FACES
def test_mail_sheet_and_pdf_use_the_same_words(shown: Shown, tmp_path: Path) -> None:
    """one-face: dates, thousands, durations, labels and names are written alike."""
    text = " ".join(shown(INFO, OUTCOME, tmp_path).split())
    for words in (
        "Masked calls",
        "1 Oct 2026",
        "1 Oct 2026 00:00:00 (UTC+05:30)",
        "2 Oct 2026 00:00:00 (UTC+05:30), not included",
        "Asia/Kolkata",
        "Complete: all 1,200 calls are here.",
        "1,200",
        "Total by the API",
        "Talk time",
        "11,610 h 38 min",
        "Average of answered calls",
        "10 h 05 min",
        "Filters",
        "agent is Asha or Ravi",
        "Redacted columns",
        "Caller Number (last4)",
        "Calls by hour",
        "Calls by status",
        "Calls by agent",
        "Calls by campaign",
        "Agent 09",
        "(other)",
        "no agent",
        "no campaign",
    ):
        assert words in text, words
    for words in ("2026-10-", "File time", "Agent 10", "Agent 11", "(none)", "11610"):
        assert words not in text, words
    assert text.index("Agent 00") < text.index("Agent 09") < text.index("(other)") < text.index("no agent")


@FACES
@pytest.mark.parametrize(
    ("complete", "total", "words"),
    [
        (None, None, ["Not proved", "no usable total"]),
        (False, 3_000, ["Incomplete", "3,000"]),
    ],
)
def test_what_is_not_proved_is_told_in_the_same_words(
    shown: Shown, tmp_path: Path, complete: bool | None, total: int | None, words: list[str]
) -> None:
    """The verdict and the total are never dressed up."""
    text = shown(INFO, replace(OUTCOME, complete=complete, reported_total=total, note="The note."), tmp_path)
    for expected in (*words, "The note."):
        assert expected in text
    assert "Complete" not in text.replace("Completeness", "")


@FACES
def test_a_window_that_had_not_ended_is_told_in_one_sentence(shown: Shown, tmp_path: Path) -> None:
    """Whoever reads the file knows that it is of a part of its window, and when it was read."""
    still_open = replace(OUTCOME, window_open=True, read_at=datetime(2026, 10, 1, 8, 35, 59, 7, tzinfo=UTC))
    sentence = (
        "The window had not ended when this was read (at 14:05 on 1 Oct 2026, Asia/Kolkata); later calls are missing."
    )
    assert sentence in " ".join(shown(INFO, still_open, tmp_path).split())
    assert "had not ended" not in shown(INFO, OUTCOME, tmp_path)
    assert report_facts(INFO, still_open).verdict == "Complete so far"


def test_a_window_that_had_not_ended_is_told_in_subject_log_and_xcom() -> None:
    """`window_open` is in the summary's dict when it is true; the sentence needs no time of reading."""
    for is_open in (True, False):
        outcome = replace(OUTCOME, window_open=is_open)
        summary = ExportSummary(INFO, outcome, "csv", ["Time"], 12, 0)
        assert summary.to_xcom().get("window_open") is (True if is_open else None)
        assert ("had not ended when this was read; later calls are missing." in summary.log_line()) is is_open
        assert render_mail(INFO, outcome, [], []).subject.endswith("1,200 calls so far") is is_open


@pytest.mark.parametrize(
    ("tallies", "lines"),
    [
        ([("a", 3), ("b", 2), ("c", 1)], [("a", 3), ("b", 2), ("c", 1)]),
        ([("a", 4), ("b", 3), ("c", 2), ("d", 1)], [("a", 4), ("b", 3), ("(other)", 3)]),
        ([("a", 3), ("b", 2), ("c", 1), ("", 9, NO_NAME)], [("a", 3), ("b", 2), ("c", 1), ("", 9)]),
        ([("a", 3), ("b", 2), ("(other)", 50, OTHER)], [("a", 3), ("b", 2), ("(other)", 50)]),
        ([("a", 3), ("b", 2), ("c", 1), ("(other)", 50, OTHER)], [("a", 3), ("b", 2), ("(other)", 51)]),
        ([("(other)", 5), ("a", 3), ("b", 1)], [("(other)", 5), ("a", 3), ("b", 1)]),
        ([], []),
    ],
    ids=["one more", "two more", "no name last", "others of the data", "all others together", "a name", "none"],
)
def test_other_never_stands_for_one_name(tallies: list[tuple[Any, ...]], lines: list[tuple[str, int]]) -> None:
    """At most two names here; a third is shown when it is the last, further ones are added up."""
    made = [Tally(name, calls, calls * 10, *kind) for name, calls, *kind in tallies]
    shown = top_names(made, most=2)
    assert [(line.name, line.calls) for line in shown] == lines
    assert sum(line.calls for line in shown) == sum(tally.calls for tally in made)
    assert all(line.talk_seconds == line.calls * 10 for line in shown)


def test_call_time_is_not_called_talk_time() -> None:
    """Without a talk column the figure is of "Call Duration", which calls that nobody answered have, too."""
    facts = report_facts(INFO, replace(OUTCOME, figures=replace(FIGURES, talk_is_call_time=True)))
    assert [label for label, _ in facts.tiles] == ["Calls", "Call time", "Average of calls with a duration"]
    assert facts.rankings[0].talk == "Call time"


def test_a_group_shows_the_total_of_the_whole_report_as_such() -> None:
    """The API gives no total of one agent; it is not told that there is none, nor that 1,200 calls are missing."""
    assert report_facts(INFO, replace(OUTCOME, rows=20, is_part=True)).total == "1,200 (of the whole report)"
    assert report_facts(INFO, replace(OUTCOME, rows=20, reported_total=None, is_part=True)).total == "no usable total"


def test_calls_without_a_time_are_in_no_hour_and_told() -> None:
    """1,190 of 1,200 calls have a time."""
    assert report_facts(INFO, OUTCOME).no_time == 10
    assert report_facts(INFO, replace(OUTCOME, figures=replace(FIGURES, by_hour=None))).no_time == 0


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ((2026, 3, 1), (2026, 4, 1), "March 2026"),
        ((2025, 12, 1), (2026, 1, 1), "December 2025"),
        ((2026, 3, 13), (2026, 3, 14), "13 Mar 2026"),
        ((2026, 3, 9), (2026, 3, 16), "9 Mar 2026 to 15 Mar 2026"),
        ((2026, 3, 13, 9), (2026, 3, 13, 10), "13 Mar 2026 09:00 to 10:00"),
        ((2026, 3, 13, 23), (2026, 3, 14), "13 Mar 2026 23:00 to 14 Mar 2026 00:00"),
        ((2026, 3, 13, 9, 0, 30), (2026, 3, 14, 6, 15), "13 Mar 2026 09:00:30 to 14 Mar 2026 06:15"),
    ],
)
def test_a_window_is_told_in_few_exact_words(start: tuple[int, ...], end: tuple[int, ...], words: str) -> None:
    """one-mail: a month, a day, days, hours, or both ends."""

    def moment(parts: tuple[int, ...]) -> datetime:
        year, month, day, hour, minute, second = (*parts, 0, 0, 0)[:6]
        return datetime(year, month, day, hour, minute, second, tzinfo=KOLKATA)

    assert wording.window(moment(start), moment(end)) == words


def test_sizes_and_durations_are_told_in_words() -> None:
    """one-mail: human figures, without rounding up into the next unit's 1000."""
    sizes = (1, 999, 1000, 1234, 999_499, 999_500, 15_000_000, 1_234_567_890)
    words = ["1 byte", "999 bytes", "1 kB", "1.2 kB", "999 kB", "1 MB", "15 MB", "1.2 GB"]
    assert [wording.size(n) for n in sizes] == words
    assert [wording.duration(s) for s in (0, 42.4, 60, 185, 3600, 148_020, 41_798_280, -185)] == [
        "0 s",
        "42 s",
        "1 min 00 s",
        "3 min 05 s",
        "1 h 00 min",
        "41 h 07 min",
        "11,610 h 38 min",
        "-3 min 05 s",
    ]
    assert [wording.calls(n) for n in (0, 1, 1_200)] == ["0 calls", "1 call", "1,200 calls"]
