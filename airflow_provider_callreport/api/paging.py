"""Answers become a stream of pages that ends with a proof, or with an error that says why there is none.

An HTTP 200 proves nothing here. `ReportReader.pages` asks for one page after another, by cursor when the API answers
one and by page number otherwise, lets every call through once, and believes that it is done only when the number of
calls equals the API's own total. The rules are in the section "The total, the end, and proof" of the README.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from airflow_provider_callreport.api.answer import Answer, Record, parse_answer
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    ApiError,
    CallReportError,
    IncompleteReportError,
    RepeatedPageError,
    ReportChangedError,
    RequestRejectedError,
)
from airflow_provider_callreport.api.filters import REPORTS, Window, build_filter
from airflow_provider_callreport.api.ledger import Ledger
from airflow_provider_callreport.api.lookahead import Lookahead
from airflow_provider_callreport.api.settings import DEFAULT_PAGE_SIZE

log = logging.getLogger(__name__)

#: Search engines stop counting, and refuse to page by number, at this many rows: a total of exactly this is no proof.
TOTAL_CAP = 10_000

#: How often an end that is short of the total is asked again, and how long we wait before each: a search index needs
#: about a second to show a new call.
ROUNDS_WAIT = (0.5, 1.0, 2.0)

#: No report has more pages than this; a server that never stops is stopped.
MAX_PAGES = 1_000_000

#: Code 1000 says that something in the request is wrong. Only a message about the size lets us ask for fewer calls.
_ABOUT_SIZE = re.compile(r"\b(sz|size|limit)\b", re.IGNORECASE)
_MIN_PAGE_SIZE = 10

#: A window is read in at most so many parts at a time, whatever the API says that it holds; a part may have parts.
_MAX_PARTS = 1000

#: `reportCount` is a second witness, not a condition: it gets little patience.
_WITNESS_RETRY_TIME = 10.0


@dataclass(frozen=True, slots=True)
class Page:
    """The calls of one answer that had not come before.

    Attributes:
        number: 0-based number of the page within the report.
        records: rows as they came, without repeated ones.
        column_arr: the answer's ``columnArr``.
    """

    number: int
    records: list[Record]
    column_arr: Any


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
        note: the same in one sentence.
    """

    rows: int
    reported_total: int | None
    complete: bool | None
    pages: int
    duplicates_dropped: int
    note: str


class AlikeRowsError(ReportChangedError):
    """The total says that rows which equal an earlier row in everything are surplus: read again and drop them."""


class ReportReader:
    """Reads one report from the first page to the proof.

    Args:
        client: where to ask.
        report: ``"calls"`` or ``"masked_calls"``.
        filters: API filter keys, without the window.
        window: which calls.
        page_size: calls per request, or None for the client's setting.
        allow_incomplete: end with ``proof.complete`` False instead of an error when the calls that came do not equal
            the total. Errors on the way there are raised all the same.
        drop_alike: see `ledger.Ledger`.
        rounds_wait: seconds before each further look when the end is short of the total.
        concurrency: pages under way at once; 1 reads in turn. Above 1 pages are read by number, even where the API
            answers a cursor: a cursor is known when its page has come.

    Attributes:
        follows_cursor: whether a cursor is followed where the API answers one.
        requests: answers received so far.
        page: 0-based number of the page that was asked for last; asking for it again does not count.
        proof: set when `pages` has ended.
    """

    def __init__(
        self,
        client: CallReportClient,
        report: str,
        filters: Mapping[str, Any],
        window: Window,
        *,
        page_size: int | None = None,
        allow_incomplete: bool = False,
        drop_alike: bool = False,
        rounds_wait: tuple[float, ...] = ROUNDS_WAIT,
        concurrency: int = 1,
    ) -> None:
        self.client = client
        self.report = report
        self.filters = filters
        self.window = window
        self.page_size = page_size or client.settings.page_size or DEFAULT_PAGE_SIZE
        self.allow_incomplete = allow_incomplete
        self.rounds_wait = rounds_wait
        self.concurrency = concurrency
        self.follows_cursor = client.settings.use_cursor and concurrency == 1
        self.ledger = Ledger(drop_alike=drop_alike)
        self.requests = 0
        self.page = -1
        self.proof: Proof | None = None
        self._column_arr: Any = None

    def pages(self) -> Generator[Page, None, None]:
        """Yield every page that brings calls, then set ``proof``. A reader is read once.

        A report without calls is one page without rows, which is there because it brings the columns.

        Raises:
            CallReportError: the first page could not be read.
            IncompleteReportError: a later page could not be read, or the calls do not equal the total.
        """
        try:
            verdict = yield from self._read(self.window)
            ledger = self.ledger
            if not ledger.unique:
                yield Page(max(0, self.page), [], self._column_arr)
            note = verdict.note or _note(verdict, ledger.unique)
            self.proof = Proof(ledger.unique, verdict.total, verdict.complete, self.requests, ledger.dropped, note)
        finally:
            self.ledger.close()

    def _read(self, window: Window) -> Generator[Page, None, _Verdict]:
        """Read one window; in parts when it reaches beyond what can be counted or read by page number."""
        api_filter = build_filter(self.filters, window)
        if api_filter is None:
            return _Verdict(None, None, "The window lies in an hour that clocks repeat; its calls are in the next one.")
        scan = _Scan(self, api_filter)
        before = self.ledger.unique
        first = scan.ask_first()
        parts = self._parts(window, first)
        if not parts:
            with closing(scan):
                yield from scan.pages(first)
            return scan.verdict()
        log.info("%s: %d calls or more; the window is read in %d parts", self.report, TOTAL_CAP, len(parts))
        verdict = _Verdict(0, True)
        for part in parts:
            verdict = verdict.joined((yield from self._read(part)))
        held, count = self.ledger.unique - before if verdict.total is None else verdict.total, first.count or 0
        # More than the count is no error: calls may come while parts are read.
        if held < count:
            raise self.incomplete(
                ReportChangedError, f"the parts of a window hold {held} calls and the whole {count}", count
            )
        return verdict

    def _parts(self, window: Window, first: Answer) -> list[Window]:
        """The parts that a window is to be read in, or none."""
        by_page, count = first.cursor is None or not self.follows_cursor, first.count or 0
        # Without a row in it, it is no answer that another window would make better.
        if count < TOTAL_CAP or not first.records or not by_page:
            return []
        return _parts(window, 2 * count // TOTAL_CAP)

    def fetch(
        self,
        fields: Mapping[str, Any],
        cursor: str | None,
        page: int,
        on_retry: Callable[[CallReportError], None] | None = None,
    ) -> Answer:
        """Make one request; touches nothing of the reader, so that several may be under way."""
        return self.client.call(
            REPORTS[self.report], fields, parse_answer, raw_fields=_raw_fields(cursor), page=page, on_retry=on_retry
        )

    def receive(self, fetch: Callable[[], Answer], promised: int | None, *, deep: bool) -> Answer:
        """Take the next answer. An error on a later page says how far the report had come.

        Args:
            fetch: brings the answer.
            promised: the total, as far as it is known.
            deep: whether the page is one that search engines refuse to reach by number.
        """
        if self.requests >= MAX_PAGES:
            raise self.incomplete(IncompleteReportError, f"the API still answers after {MAX_PAGES} requests", promised)
        try:
            answer = fetch()
        except CallReportError as error:
            if self.requests == 0:
                raise
            advice = f" (many servers answer no page beyond {TOTAL_CAP} rows: make the window shorter)"
            raise IncompleteReportError(
                str(error) + (advice if deep and isinstance(error, RequestRejectedError) else ""),
                page=self.page,
                rows=self.ledger.unique,
                promised=promised,
                code=error.code if isinstance(error, ApiError) else None,
                retryable=error.retryable,
            ) from error
        self.requests += 1
        self._column_arr = self._column_arr or answer.column_arr
        log.debug("%s page %d: %d rows, cnt %s", self.report, self.page, len(answer.records), answer.count)
        return answer

    def witness(self, api_filter: Mapping[str, Any], rows: int) -> int | None:
        """Ask ``reportCount`` for the total that ``cnt`` did not give; None when it is no witness either.

        The vendor does not say whether it counts calls of masked numbers apart. So for that report its number proves
        something when it equals the ``rows`` that came, and nothing when it does not.
        """
        patience = min(_WITNESS_RETRY_TIME, self.client.settings.max_retry_time)
        try:
            count = self.client.count({"filter": api_filter}, max_retry_time=patience)
        except CallReportError as error:
            log.info("%s: no usable total, and reportCount is no witness (%s)", self.report, error)
            return None
        if count == TOTAL_CAP or (self.report != "calls" and count != rows):
            log.info("%s: no usable total, and reportCount is no witness (it says %d)", self.report, count)
            return None
        return count

    def incomplete(
        self, kind: type[IncompleteReportError], reason: str, promised: int | None, *, surplus: int = 0
    ) -> IncompleteReportError:
        """An error at the page asked for last. Numbers that disagree now may agree at a later try of the task."""
        return kind(
            reason,
            page=self.page,
            rows=self.ledger.unique - surplus,
            promised=promised,
            retryable=kind is not RepeatedPageError,
        )


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is known of the total of one window, or of several together."""

    total: int | None
    complete: bool | None
    note: str = ""

    def joined(self, other: _Verdict) -> _Verdict:
        total = None if self.total is None or other.total is None else self.total + other.total
        if False in (self.complete, other.complete):
            return _Verdict(total, False)
        return _Verdict(total, True if self.complete and other.complete else None)


class _Totals:
    """What ``cnt`` has said so far: a total, each page's own length, the calls so far, a capped total, or nothing.

    Attributes:
        shrank, grew: whether it did, which says something of the report when `usable` is not None.
    """

    def __init__(self) -> None:
        self._answers = 0
        self._equals_length = True
        self._equals_calls_so_far = True
        self._had_rows = False
        self._pages = 0
        self._largest = 0
        self._last: int | None = None
        self.shrank = False
        self.grew = False

    def add(self, answer: Answer) -> None:
        count, rows = answer.count, len(answer.records)
        self._answers += 1
        # Beyond the last page nothing may be said, and 0 may be the length of that page; neither tells of the whole.
        self._equals_length = self._equals_length and (count == rows or (count is None and not rows))
        if count is not None and (rows or count or not self._had_rows):
            self.shrank = self.shrank or count < self._largest
            self.grew = self.grew or (self._last is not None and count > self._largest)
            self._largest = max(self._largest, count)
            self._last = count
        self._had_rows = self._had_rows or rows > 0

    def compare(self, answer: Answer, calls: int) -> None:
        """Hold an answer with rows against the number of calls that have come, its own included."""
        self._pages += 1
        self._equals_calls_so_far = self._equals_calls_so_far and answer.count == calls

    def usable(self) -> int | None:
        """The total as far as it can be believed now."""
        if self._last is None or self._is_no_total or self._last == TOTAL_CAP:
            return None
        return self._last

    def least(self) -> int:
        """How many calls there are at least: where a total is capped, so many."""
        return TOTAL_CAP if self._last == TOTAL_CAP and not self._is_no_total else 0

    @property
    def _is_no_total(self) -> bool:
        return self.is_calls_so_far or (self._equals_length and self._answers > 1 and self._had_rows)

    @property
    def is_calls_so_far(self) -> bool:
        """Whether it grew by just the calls of each page: then it is what came until now, and no total."""
        return self._equals_calls_so_far and self._pages > 1


class _Scan:
    """One filter, read page after page until it ends."""

    def __init__(self, reader: ReportReader, api_filter: Mapping[str, Any]) -> None:
        self._reader = reader
        self._filter = api_filter
        self._totals = _Totals()
        self._unique = 0
        self._received = 0
        self._alike = 0
        self._overlaps: int | None = None
        self._longest = 0
        self._page = 0
        self._cursor: str | None = None
        self._cursors: set[int] = set()
        self._digests: set[int] = set()
        self._tail: list[Record] = []
        self._lookahead: Lookahead[Answer] | None = None

    def ask_first(self) -> Answer:
        """Ask for the first page; with half the page size, again and again, while the API says that it is too large."""
        reader = self._reader
        reader.page += 1
        while True:
            try:
                return self._ask()
            except RequestRejectedError as error:
                if reader.page_size <= _MIN_PAGE_SIZE or not _ABOUT_SIZE.search(error.vendor_message):
                    raise
                reader.page_size //= 2
                log.warning("%s; asking for %d calls a page", error, reader.page_size)

    def pages(self, answer: Answer) -> Iterator[Page]:
        reader = self._reader
        rounds = iter(reader.rounds_wait)
        fresh = self._accept(answer)
        while True:
            ended, page = self._ended(answer), Page(reader.page, fresh, answer.column_arr)
            if not ended:
                self._step(answer)
            if fresh:
                yield page
            if not ended:
                answer = self._ask()
                fresh = self._accept(answer)
                continue
            total = self._totals.usable()
            wait = next(rounds, None)
            if wait is None or total is None or self._unique >= total:
                return
            time.sleep(wait)
            answer, fresh = self._look_again(answer)

    def verdict(self) -> _Verdict:
        """Whether the calls that came are all there are.

        Raises:
            IncompleteReportError: they provably are not.
        """
        reader, totals = self._reader, self._totals
        total = totals.usable()
        shrank = total is not None and totals.shrank
        # What looks like the calls so far may be a total that new calls have moved.
        grew = totals.grew and (total is not None or totals.is_calls_so_far)
        # Rows that equal an earlier one and were kept all the same.
        alike = 0 if reader.ledger.drop_alike else self._alike
        if total is None or self._unique == total == reader.page_size:
            # One full page, and a total that equals it: it may be that page's length.
            count = reader.witness(self._filter, self._unique)
            total = total if count is None else count
        if self._overlaps is not None and not reader.ledger.drop_alike and self._unique - alike != total:
            raise reader.incomplete(
                ReportChangedError,
                f"pages share rows (with page {self._overlaps}) and no id tells calls apart, so some came twice and "
                "others perhaps not at all",
                total,
            )
        if total is None and self._unique < totals.least():
            if reader.allow_incomplete:
                return _Verdict(
                    None, False, f"INCOMPLETE: {self._unique} calls came and the API counts {totals.least()} or more."
                )
            raise reader.incomplete(
                IncompleteReportError, "fewer calls came than there are at least by the API's total", totals.least()
            )
        if total is None:
            return _Verdict(None, None)
        # While the total fell, rows may have moved past the place that was read; while it rose, a row that equals an
        # earlier one may be that row, pushed on to the next page. Then equal numbers prove nothing.
        if self._unique == total and not shrank and not (grew and alike):
            return _Verdict(total, True)
        if alike and self._unique - alike == total:
            raise reader.incomplete(AlikeRowsError, "rows that equal an earlier row are surplus", total)
        if reader.allow_incomplete:
            return _Verdict(total, False)
        if shrank or grew:
            raise reader.incomplete(ReportChangedError, "the API's total changed while the report was read", total)
        raise reader.incomplete(IncompleteReportError, "the calls that came do not equal the API's total", total)

    def close(self) -> None:
        if self._lookahead is not None:
            self._lookahead.close()

    def _ask(self) -> Answer:
        reader, total = self._reader, self._totals.usable()
        deep = self._cursor is None and (self._page + 1) * reader.page_size > TOTAL_CAP
        last = self._last_page()
        if last is not None:
            return reader.receive(lambda: self._ask_ahead(last), total, deep=deep)
        return reader.receive(
            lambda: reader.fetch(self._fields(self._page), self._cursor, reader.page), total, deep=deep
        )

    def _last_page(self) -> int | None:
        """The page that pages side by side go up to, or None where they are asked for in turn."""
        total = self._totals.usable()
        if self._cursor is None and total is not None and self._longest and self._reader.concurrency > 1:
            return math.ceil(total / self._longest) - 1
        return None

    def _ask_ahead(self, last: int) -> Answer:
        """The present page by number, with others up to the page ``last`` under way."""
        reader = self._reader
        if self._lookahead is None:
            self._lookahead = Lookahead(reader.concurrency)
        last = max(last, self._page)
        for page in range(self._page, min(self._page + reader.concurrency, last + 1)):
            self._lookahead.ask(page, self._request(page, self._lookahead))
        return self._lookahead.answer(self._page, self._request(self._page, self._lookahead))

    def _request(self, page: int, lookahead: Lookahead[Answer]) -> Callable[[], Answer]:
        reader, fields, number = self._reader, self._fields(page), self._reader.page - self._page + page
        return lambda: reader.fetch(fields, None, number, lookahead.trouble)

    def _fields(self, page: int) -> dict[str, Any]:
        return {"filter": self._filter, "sz": self._reader.page_size, "page": page}

    def _accept(self, answer: Answer, skip: int = 0) -> list[Record]:
        """Enter an answer into the ledger and return the rows that are new; the first ``skip`` have been entered.

        Raises:
            RepeatedPageError: nothing in it is new.
        """
        self._totals.add(answer)
        self._tail = answer.records or self._tail
        records = answer.records[skip:] if skip else answer.records
        if not records:
            return []
        reader = self._reader
        entry = reader.ledger.enter(records, reader.requests - 1)
        self._totals.compare(answer, self._unique + len(entry.fresh))
        total = self._totals.usable()
        if entry.known == len(records) or (
            entry.digest in self._digests and (entry.distinct > 1 or total is None) and not entry.known
        ):
            moved = total is not None and (self._totals.shrank or self._totals.grew)
            raise reader.incomplete(
                ReportChangedError if moved else RepeatedPageError,
                "the API answered a page that had come before",
                total,
                surplus=len(entry.fresh),
            )
        self._digests.add(entry.digest)
        self._received += len(records)
        if total is not None and self._received > 2 * total + self._longest + len(records):
            raise reader.incomplete(IncompleteReportError, "the API answers many more rows than its total", total)
        self._unique += len(entry.fresh)
        self._alike += entry.alike
        self._overlaps = entry.overlaps if self._overlaps is None else self._overlaps
        self._longest = max(self._longest, len(answer.records))
        return records if len(entry.fresh) == len(records) else [records[index] for index in entry.fresh]

    def _ended(self, answer: Answer) -> bool:
        rows = len(answer.records)
        if not rows or (self._cursor is not None and answer.cursor is None):
            return True
        total = self._totals.usable()
        if total is None or self._unique < total:
            return False
        if rows > self._reader.page_size:
            # More than asked for: a server that does not page at all, or one with a page size of its own, whose cnt
            # may be the page's. reportCount knows which.
            return self._reader.witness(self._filter, self._unique) == total
        return rows < self._longest

    def _step(self, answer: Answer) -> None:
        """Move to the next page: by cursor when the answer has one, by page number otherwise."""
        settings = self._reader.client.settings
        if answer.cursor is None or not self._reader.follows_cursor:
            self._page += 1
            self._reader.page += 1
            return
        digest = hash(answer.cursor)
        if digest in self._cursors:
            raise self._reader.incomplete(
                RepeatedPageError,
                "the API answered a cursor that had come before (extra field use_cursor=false reads by page number)",
                self._totals.usable(),
            )
        self._cursors.add(digest)
        self._cursor = answer.cursor
        self._page = self._page + 1 if settings.cursor_page == "count" else 0
        self._reader.page += 1

    def _look_again(self, last: Answer) -> tuple[Answer, list[Record]]:
        """The end is short of the total: ask for the last page again, in case calls have appeared since.

        Raises:
            ReportChangedError: the page now begins with other calls.
        """
        tail = self._tail
        if self._cursor is None and not last.records and len(tail) < self._longest:
            # The last page with rows was a short one, so new calls stand at its end.
            self._page -= 1
            self._reader.page -= 1
        answer = self._ask()
        repeats_tail = bool(tail) and answer.records[: len(tail)] == tail
        if tail and not repeats_tail and self._reader.ledger.has_any(answer.records):
            raise self._reader.incomplete(
                ReportChangedError, "the last page now begins with other calls", self._totals.usable()
            )
        return answer, self._accept(answer, skip=len(tail) if repeats_tail else 0)


def _raw_fields(cursor: str | None) -> dict[str, str]:
    return {"sAftr": cursor or "[]"}


def _parts(window: Window, number: int) -> list[Window]:
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


def _note(verdict: _Verdict, rows: int) -> str:
    if verdict.complete:
        return f"Complete: the API reports {verdict.total} calls and all of them came."
    if verdict.complete is None:
        return f"Completeness could not be proved: {rows} calls came and the API gave no usable total."
    if verdict.total is None:
        return f"INCOMPLETE: {rows} calls came, and not all that the API counts."
    if rows == verdict.total:
        return f"INCOMPLETE, perhaps: {rows} calls came, and the API's total changed while they were read."
    return f"INCOMPLETE: {rows} calls came and the API reports {verdict.total}."
