"""What travels while a report is read: its pages, where the reading stands, what it has taught, and its proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

from airflow_provider_callreport.api.answer import Record
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.paginators import PageNumbers, Paginator
from airflow_provider_callreport.api.profile import Form
from airflow_provider_callreport.api.totals import Totals
from airflow_provider_callreport.api.window_check import WindowCheck
from airflow_provider_callreport.report.wording import calls, count

#: A window is read in at most so many parts at a time, whatever the API says that it holds; a part may have parts.
_MAX_PARTS = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """The calls of one answer that had not come before.

    Attributes:
        number: 0-based number of the page within the report.
        records: rows as they came, without repeated ones.
        column_arr: the answer's ``columnArr``.
        bodies: the rows themselves; of search hits their ``_source``.
        form: how they are read.
    """

    number: int
    records: list[Record]
    column_arr: Any
    bodies: list[Any]
    form: Form


@dataclass(frozen=True, slots=True)
class Proof:
    """What the reading of a report proved.

    Attributes:
        rows: unique calls.
        reported_total: the API's own total, or None when it gave no usable one.
        complete: True when the two are equal; None when there was no usable total; False only when an incomplete
            report was allowed.
        pages: requests that answered a page.
        duplicates_dropped: rows that came a second time.
        note: the same in one sentence, and what could not be checked.
        window_open: whether the window had not ended when the reading began.
        window_checked: whether the calls' own times showed that they are of the window; True without calls.
    """

    rows: int
    reported_total: int | None
    complete: bool | None
    pages: int
    duplicates_dropped: int
    note: str
    window_open: bool = False
    window_checked: bool = True


@dataclass(frozen=True, slots=True)
class Lessons:
    """What one reading of a report has taught that the next one begins with.

    Attributes:
        by_row: rows share ids, so that they are known by their content.
        drop_alike: rows without an id that equal an earlier one are surplus, by the total.
        cap: the number at which ``cnt`` stops counting, below 10,000; None when not known.
        page_size: the size that was accepted, or None.
        follows_cursor: False where the API answers a cursor and does not heed it.
    """

    by_row: bool = False
    drop_alike: bool = False
    cap: int | None = None
    page_size: int | None = None
    follows_cursor: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of the total of one window, or of several together."""

    total: int | None
    complete: bool | None
    note: str = ""

    def joined(self, other: Verdict) -> Verdict:
        """The verdict of both windows together."""
        total = None if self.total is None or other.total is None else self.total + other.total
        if False in (self.complete, other.complete):
            return Verdict(total, False)
        return Verdict(total, True if self.complete and other.complete else None)


@dataclass(slots=True)
class Scan:
    """Where the reading of one filter stands.

    Attributes:
        filter: the API's filter object.
        window: the part of the window that it asks for.
        since: number of its first request.
        size: calls a page.
        asked: calls that the first page was asked for.
        totals: what ``cnt`` has said.
        check: holds the calls' times against the window.
        place: what to ask for next.
        unique: calls that have come, those that an earlier part of the window had brought included.
        received: rows that have come.
        alike, overlaps: see `ledger.Entry`, over all answers.
        changed: rows whose call had come with another content.
        longest: rows of the longest page.
        digests: hashes of the answers with rows.
        tail: rows of the last answer with rows.
        has_no_end: a full page had no cursor, where the pages before had one.
        counted: what ``reportCount`` said before the pages, where ``cnt`` says nothing.
        counts_left: on how many pages it may still be asked; not on each one where it is no witness.
    """

    filter: Mapping[str, Any]
    window: Window
    since: int
    size: int
    asked: int
    totals: Totals
    check: WindowCheck
    place: Paginator = field(default_factory=PageNumbers)
    unique: int = 0
    received: int = 0
    alike: int = 0
    changed: int = 0
    overlaps: int | None = None
    longest: int = 0
    digests: list[int] = field(default_factory=list)
    tail: list[Record] = field(default_factory=list)
    has_no_end: bool = False
    counted: int | None = None
    counts_left: int = 5


def split(window: Window, number: int) -> list[Window]:
    """The window in some equal parts on whole seconds, without those that hold no wall time; none for a single second.

    Args:
        window: the window.
        number: how many parts; two at least, and no more than there are seconds, or `_MAX_PARTS`.
    """
    span = window.wall_times()
    seconds = (window.end - window.start) // timedelta(seconds=1)
    if span is None or span[1] - span[0] < timedelta(seconds=2) or seconds < 2:
        return []
    number = min(max(2, number), seconds, _MAX_PARTS)
    edges = [window.start + timedelta(seconds=seconds * part // number) for part in range(number)] + [window.end]
    parts = [Window(start, end, window.zone) for start, end in pairwise(edges)]
    return [part for part in parts if part.wall_times()]


def note_of(verdict: Verdict, rows: int) -> str:
    """A verdict in one sentence."""
    came = f"{calls(rows)} came"
    if verdict.complete:
        return f"Complete: the API reports {calls(verdict.total or 0)} and all of them came."
    if verdict.complete is None:
        return f"Completeness could not be proved: {came} and the API gave no usable total."
    if verdict.total is None:
        return f"INCOMPLETE: {came}, and not all that the API counts."
    if rows == verdict.total:
        return f"INCOMPLETE, perhaps: {came}, and the API's total changed while they were read."
    return f"INCOMPLETE: {came} and the API reports {count(verdict.total)}."
