"""Answers become a stream of pages that ends with a proof, or with an error that says why there is none.

An HTTP 200 proves nothing here. `ReportReader.pages` asks for one page after another, by cursor when the API answers
one and by page number otherwise, holds every answer against what the first ones have taught (`profile`), lets every
call through once, and believes that it is done only when the number of calls equals the API's own total and
``reportCount``, as far as these exist.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from airflow_provider_callreport.api import totals
from airflow_provider_callreport.api.answer import Answer, Record, id_key, parse_answer, record_sort
from airflow_provider_callreport.api.answer_check import says_all_is_well
from airflow_provider_callreport.api.bounds import SPARE_ROWS, check_keys, check_size, too_many_rows
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    AnswerChangedError,
    AnswerError,
    AnswerTooLargeError,
    ApiError,
    CallReportError,
    IncompleteReportError,
    RepeatedPageError,
    ReportChangedError,
    RequestRejectedError,
    ServiceError,
    TableError,
    TimeoutExceededError,
    scrub,
)
from airflow_provider_callreport.api.filters import REPORTS, Window, build_filter
from airflow_provider_callreport.api.ledger import Entry, IdsError, Ledger
from airflow_provider_callreport.api.lookahead import Lookahead
from airflow_provider_callreport.api.paginators import CursorRepeatedError, Cursors, PageNumbers
from airflow_provider_callreport.api.profile import (
    KNOWN_LABELS,
    Form,
    Profile,
    bodies,
    learn_form,
    read_column_arr,
)
from airflow_provider_callreport.api.reading import Lessons, Page, Proof, Scan, Verdict, note_of, split
from airflow_provider_callreport.api.totals import Totals, is_capped
from airflow_provider_callreport.api.values import contradicts
from airflow_provider_callreport.api.window_check import WindowCheck
from airflow_provider_callreport.rules import OnNewColumns

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How often an end that is short of the total is asked again, and how long we wait before each: a search index needs
#: about a second to show a new call.
ROUNDS_WAIT = (0.5, 1.0, 2.0)

#: A report that changed while it was read is read again from its start, at most so often in all.
MAX_READINGS = 4

#: No report has more pages than this; a server that never stops is stopped.
MAX_PAGES = 1_000_000

#: Page sizes that ``page_size = auto`` asks for: the second where the API does not take the first. In a network with
#: 50 ms of latency, 1,000 calls a page are seven times as fast as 100, which is what the vendor's samples ask for.
AUTO_SIZES = (1_000, 100)

#: Calls a page where a request does not say how many (the vendor's page).
_DEFAULT_SIZE = 50

#: The first page of a size that nobody has set is asked for so often while the service fails.
_MAX_FAILURES = 3

#: Code 1000 says that something in the request is wrong. Only a message about the size lets us ask for fewer calls
#: than the user has set.
_ABOUT_SIZE = re.compile(r"\b(sz|size|limit)\b", re.IGNORECASE)
_MIN_PAGE_SIZE = 10

#: A count that is a multiple of this, and smaller than ``reportCount``, is a number at which the server stops counting.
_ROUND = 1_000

#: `reportCount` is a second witness, not a condition: it gets little patience.
_WITNESS_RETRY_TIME = 10.0

#: Calls that may come to a window that has not ended between two requests; of a large report one in a hundred.
_MOVING = 5

#: Pages that the last second of a window may have.
_MAX_EDGE_PAGES = 50


def read_until_whole(make: Callable[[Lessons | None], ReportReader], read: Callable[[ReportReader], T]) -> T:
    """Read a report; where it changed meanwhile, read it again, at most `MAX_READINGS` times in all.

    Args:
        make: a reader that knows what the readings before have taught; None before the first.
        read: reads it to its end.

    Raises:
        CallReportError: the report could not be read whole.
    """
    # Before the first reading what is known is the profile.
    lessons: Lessons | None = None
    for reading in range(1, MAX_READINGS + 1):
        reader = make(lessons)
        try:
            return read(reader)
        except ReportChangedError as error:
            if reading == MAX_READINGS:
                raise
            log.warning("Reading the report again from its start: %s", error)
            lessons = reader.lessons
    raise AssertionError("unreachable")


class ReportReader:
    """Reads one report from the first page to the proof. A reader is read once.

    Args:
        client: where to ask.
        report: ``"calls"`` or ``"masked_calls"``.
        filters: API filter keys, without the window.
        window: which calls.
        page_size: calls per request, or None for the connection's.
        allow_incomplete: end with ``proof.complete`` False instead of an error when the calls that came do not equal
            the total. Errors on the way there are raised all the same.
        rounds_wait: seconds before each further look when the end is short of the total.
        concurrency: pages under way at once. With 1, the next page is asked for while the present one is worked on.
            Above 1 pages are read by number, even where the API answers a cursor: a cursor is known when its page has
            come.
        lessons: what earlier readings of the same report have taught.
        on_new_columns: what to do with columns that a pinned profile does not know.
        reads_ahead: False asks for a page when it is wanted, and not before.

    Attributes:
        requests: answers received so far.
        page: 0-based number of the page that was asked for last; asking for it again does not count.
        page_size: calls asked for per request now.
        form: how rows are read, once the first page has come.
        lessons: what this reading has taught.
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
        rounds_wait: tuple[float, ...] = ROUNDS_WAIT,
        concurrency: int = 1,
        lessons: Lessons | None = None,
        on_new_columns: OnNewColumns = "add",
        reads_ahead: bool = True,
    ) -> None:
        settings = client.settings
        self.client = client
        self.report = report
        self.filters = filters
        self.window = window
        self.allow_incomplete = allow_incomplete
        self.rounds_wait = rounds_wait
        self.concurrency = concurrency
        self.on_new_columns = on_new_columns
        self.profile = Profile.parse(settings.profile)
        known = self.profile or Profile()
        self.lessons = lessons or Lessons(
            by_row=known.legs, cap=known.cap, page_size=known.page_size, follows_cursor=known.cursor != "none"
        )
        asked = page_size or settings.page_size
        self.page_size: int = asked or self.lessons.page_size or AUTO_SIZES[0]
        self._size_is_open = asked is None and self.lessons.page_size is None
        self.requests = 0
        self.page = -1
        self.form: Form | None = None
        self.proof: Proof | None = None
        self._ledger = Ledger(by_row=self.lessons.by_row, drop_alike=self.lessons.drop_alike)
        self._lookahead: Lookahead[Answer] | None = Lookahead(concurrency) if reads_ahead else None
        self._is_open = False
        self._column_arr: Any = None
        self._named = False
        self._meaning = "none"
        self._cursor_place: str | None = None
        self._beside: dict[str, Any] = {}
        self._unknown_key: tuple[str, int] | None = None
        self._is_plain_empty = False
        self._agreed: bool | None = None
        self._counted: tuple[Mapping[str, Any], int, int] | None = None
        self._calls_checked = 0
        self._calls_unread = 0
        self._calls_off = 0
        self._failures = 0

    def pages(self) -> Generator[Page, None, None]:
        """Yield every page that brings calls, then set ``proof``.

        A report without calls is one page without rows, which is there because it brings the columns.

        Raises:
            CallReportError: the first page could not be read.
            IncompleteReportError: a later page could not be read, or the calls do not equal the total.
        """
        is_open = self._is_open = self.window.end > datetime.now(UTC)
        try:
            verdict = yield from self._read(self.window)
            ledger = self._ledger
            if not verdict.note:
                verdict = self._confirmed(verdict)
            if not ledger.unique:
                form = self.form or self._learned([], self._column_arr)
                yield Page(max(0, self.page), [], self._column_arr, [], form)
            self.proof = Proof(
                ledger.unique,
                verdict.total,
                verdict.complete,
                self.requests,
                ledger.dropped,
                " ".join(self._sentences(verdict, is_open=is_open)),
                window_open=is_open,
                window_checked=self._window_is_checked,
            )
        finally:
            if self._lookahead is not None:
                self._lookahead.close()
            self._ledger.close()

    @property
    def has_named_columns(self) -> bool:
        """Whether an answer named columns."""
        return self._named

    def learned(self) -> Profile:
        """What this reading has found out of the account. Holds no value of a call."""
        form = self.form
        made = Profile(
            count=self._meaning,
            cap=self.lessons.cap,
            cursor=self._cursor_place if self.lessons.follows_cursor and self._cursor_place else "none",
            page_size=self.page_size,
            legs=self.lessons.by_row,
            id=None if form is None else (self._ledger.id_key or ""),
            beside={key: (value,) for key, value in self._beside.items()},
            report_count=None if self._agreed is None else "agrees" if self._agreed else "differs",
        )
        if form is None or not self._ledger.unique:
            return made
        return replace(
            made,
            rows=form.rows,
            columns=tuple(zip(form.labels, form.keys, strict=True)),
            further=tuple(sorted(form.further)),
            width=form.width or None,
            ragged=form.ragged,
            time=form.time,
        )

    # --- windows and their parts -------------------------------------------------------------------------------------

    def _read(self, window: Window) -> Generator[Page, None, Verdict]:
        """Read one window; in parts when it reaches beyond what can be counted or read by page number."""
        api_filter = build_filter(self.filters, window)
        if api_filter is None:
            return Verdict(None, None, "The window lies in an hour that clocks repeat; its calls are in the next one.")
        scan = self._scan(api_filter, window)
        before = self._ledger.unique
        first = self._ask_first(scan)
        parts = self._parts(scan, first)
        if not parts:
            yield from self._scan_pages(scan, first)
            verdict = self._verdict(scan)
            scan.check.finish()
            self._calls_checked += scan.check.checked
            self._calls_unread += scan.check.unread
            self._calls_off += scan.check.off
            if scan.check.fractions or (self.form is not None and self.form.time.fractions):
                verdict = yield from self._last_second(scan, verdict)
            return verdict
        log.info("%s: many calls; the window is read in %d parts", self.report, len(parts))
        verdict = Verdict(0, True)
        for part in parts:
            verdict = verdict.joined((yield from self._read(part)))
        held, count = self._ledger.unique - before, first.count or 0
        # More than the count is no error: calls may come while parts are read. Fewer is one.
        if held < count:
            raise self._error(
                ReportChangedError, f"the parts of a window hold {held} calls and the whole {count}", count
            )
        # A call that stands in two parts counts in both of them, and is one call.
        return verdict if verdict.total is None else replace(verdict, total=held if verdict.complete else verdict.total)

    def _scan(self, api_filter: Mapping[str, Any], window: Window) -> Scan:
        settings = self.client.settings
        return Scan(
            api_filter,
            window,
            self.requests,
            self.page_size,
            self.page_size,
            Totals(self.lessons.cap, None if self.profile is None else self.profile.count),
            WindowCheck(window, settings.window_slack),
        )

    def _parts(self, scan: Scan, first: Answer) -> list[Window]:
        """The parts that a window is to be read in, or none."""
        by_page, count = first.cursor is None or not self._follows_cursor, first.count or 0
        if first.count is None and by_page and len(first.records) >= scan.asked and self._count(scan) is not None:
            count = 0 if self._counted is None else self._counted[2]
        cap = self.lessons.cap or totals.TOTAL_CAP
        # Without a row in it, it is no answer that another window would make better.
        if count < cap or not first.records or not by_page:
            return []
        return split(scan.window, 2 * count // cap)

    def _last_second(self, scan: Scan, verdict: Verdict) -> Generator[Page, None, Verdict]:
        """Calls in the last second of a window, where the account's times have fractions.

        The API's window ends with a whole second, inclusive: a call at 23:59:59.5 is in neither of two windows that
        meet at midnight. So it is asked for apart, up to the next second, and taken where it lies before the end.
        """
        span = scan.window.wall_times()
        assert span is not None, "a window without wall times is not read"
        end = span[1]
        last = scan.window.end - timedelta(seconds=1)
        api_filter = build_filter(self.filters, Window(last, scan.window.end + timedelta(seconds=1), scan.window.zone))
        if api_filter is None or self.form is None:
            return verdict
        place = PageNumbers()
        fresh = 0
        for _ in range(_MAX_EDGE_PAGES):
            self.page += 1
            answer = self._receive(partial(self._fetch, api_filter, place.page, None, scan.size), verdict.total)
            found = bodies(answer.records)
            self.form.check(found)
            times = self.form.times(found, scan.window.zone)
            kept = [
                record
                for record, time in zip(answer.records, times, strict=False)
                if isinstance(time, datetime) and end - timedelta(seconds=1) < time < end
            ]
            # The server may have rounded up, and brought them with the others.
            kept = [record for record in kept if not self._ledger.has_any([record])]
            entry = self._enter(kept, scan)
            if entry.fresh:
                fresh += len(entry.fresh)
                records = [kept[at] for at in entry.fresh]
                yield Page(self.page, records, answer.column_arr, bodies(records), self.form)
            if len(answer.records) < scan.longest:
                break
            place.step(answer)
        else:
            raise self._error(
                IncompleteReportError,
                f"the last second of the window has not ended after {_MAX_EDGE_PAGES} pages",
                verdict.total,
            )
        return verdict if verdict.total is None else replace(verdict, total=verdict.total + fresh)

    # --- one filter, page after page ---------------------------------------------------------------------------------

    def _ask_first(self, scan: Scan) -> Answer:
        """Ask for the first page; for fewer calls where the API does not take the size."""
        self.page += 1
        while True:
            try:
                answer = self._ask(scan)
                if answer.records or not self._size_is_open or self.page_size <= AUTO_SIZES[1]:
                    return answer
                # A server may answer "none" to a size that it does not take.
                self._size_is_open = False
                self.page_size = scan.size = scan.asked = AUTO_SIZES[1]
            except (RequestRejectedError, AnswerTooLargeError, TimeoutExceededError, ServiceError) as error:
                smaller = self._smaller_size(error)
                if smaller is None:
                    raise
                self.page_size = scan.size = scan.asked = smaller
                log.warning("%s; asking for %d calls a page", error, smaller)

    def _smaller_size(self, error: CallReportError) -> int | None:
        """The page size to try after an error, or None where it is not about the size."""
        if self._size_is_open and self.page_size > AUTO_SIZES[1]:
            self._size_is_open = False
            return AUTO_SIZES[1]
        about_size = isinstance(error, RequestRejectedError) and _ABOUT_SIZE.search(error.vendor_message)
        return self.page_size // 2 if about_size and self.page_size > _MIN_PAGE_SIZE else None

    def _scan_pages(self, scan: Scan, answer: Answer) -> Generator[Page, None, None]:
        rounds = iter(self.rounds_wait)
        self._choose_place(scan, answer)
        page = self._accept(scan, answer)
        while True:
            ended = self._has_ended(scan, answer)
            if not ended:
                self._step(scan, answer)
                self._ask_ahead(scan)
            if page is not None and page.records:
                yield page
            if not ended:
                following = self._next_answer(scan)
                if following is None:
                    return
                answer = following
                page = self._accept(scan, answer)
                if page is None:
                    return
                continue
            total = scan.totals.usable()
            wait = next(rounds, None)
            if wait is None or total is None or scan.unique >= total:
                return
            time.sleep(wait)
            answer, page = self._look_again(scan, answer)

    def _choose_place(self, scan: Scan, first: Answer) -> None:
        """By cursor where the first answer has one, else by number; and no more calls a page than came."""
        sorts = [record_sort(record) for record in first.records] if first.cursor_place == "row sort" else []
        is_shared = sorts.count(sorts[-1]) > 1 if sorts else False
        if first.cursor is not None and self._follows_cursor and not is_shared:
            self._cursor_place = first.cursor_place
            scan.place = Cursors(counts=self.client.settings.cursor_page == "count")
            return
        rows, total = len(first.records), first.count
        if 0 < rows < scan.size and (total is None or total >= rows):
            # The server may have made the size smaller. Asked for by the size that came, the next page begins behind
            # this one, whichever of the two sizes the server counts by.
            scan.size = rows
            if total is not None and total > rows:
                self.page_size = rows
        elif rows == scan.size:
            self.lessons = replace(self.lessons, page_size=rows)

    @property
    def _follows_cursor(self) -> bool:
        return self.client.settings.use_cursor and self.concurrency == 1 and self.lessons.follows_cursor

    def _next_answer(self, scan: Scan) -> Answer | None:
        """The next answer, or None where the API refuses a page past the end of a report that has come whole."""
        try:
            return self._ask(scan)
        except IncompleteReportError as error:
            refused = isinstance(error.__cause__, RequestRejectedError) and scan.place.cursor is None
            if refused and scan.unique == self._known_total(scan):
                return None
            raise

    def _known_total(self, scan: Scan) -> int | None:
        """What ``cnt`` says, else what ``reportCount`` counts."""
        total = scan.totals.usable()
        return self._count(scan) if total is None else total

    def _accept(self, scan: Scan, answer: Answer, skip: int = 0) -> Page | None:
        """Hold an answer against what is known, and enter its rows; the first ``skip`` have been entered.

        Returns:
            The page of the rows that are new; None where the answer is the last page once more, and all have come.

        Raises:
            AnswerChangedError: it is unlike the answers before.
            RepeatedPageError: nothing in it is new.
        """
        before = copy(scan.totals)
        scan.totals.add(answer)
        self._meaning = scan.totals.meaning
        self._judge_beside(answer)
        scan.tail = answer.records or scan.tail
        records = answer.records[skip:] if skip else answer.records
        form, found = self._formed(records, answer.column_arr)
        if not records:
            return Page(self.page, [], answer.column_arr, [], form)
        self._check_times(scan, form, found)
        entry = self._enter(records, scan)
        known_here = entry.known - entry.elsewhere
        scan.totals.compare(answer, scan.unique + len(entry.fresh) + entry.elsewhere)
        total = scan.totals.usable()
        came_before = entry.digest in scan.digests
        if entry.changed and entry.known == len(records):
            raise self._learns_legs(total)
        if (entry.known == len(records) and known_here) or (
            came_before and (entry.distinct > 1 or total is None) and not entry.known
        ):
            return self._repeated(scan, entry, before, form)
        scan.digests.append(entry.digest)
        rows = len(records)
        may_be_page = len(scan.digests) == 1 and total == rows and rows >= min(scan.asked, _DEFAULT_SIZE)
        if scan.counted is None and scan.counts_left and (total is None or may_be_page):
            # A total that moves while the pages are read shows in two counts, where no cnt shows it.
            scan.counted, scan.counts_left = self._count(scan), scan.counts_left - 1
        scan.received += len(records)
        if total is not None and scan.received > 2 * total + scan.longest + len(records):
            raise self._error(IncompleteReportError, "the API answers many more rows than its total", total)
        scan.unique += len(entry.fresh) + entry.elsewhere
        scan.alike += entry.alike
        scan.changed += entry.changed
        scan.overlaps = entry.overlaps if scan.overlaps is None else scan.overlaps
        scan.longest = max(scan.longest, len(answer.records))
        if len(entry.fresh) == len(records):
            return Page(self.page, records, answer.column_arr, found, form)
        fresh = [records[at] for at in entry.fresh]
        return Page(self.page, fresh, answer.column_arr, [found[at] for at in entry.fresh], form)

    def _check_times(self, scan: Scan, form: Form, found: list[Any]) -> None:
        """Hold the calls' times against the window, and against the form in which the first ones came."""
        times = form.times(found, scan.window.zone)
        at = form.began
        if at is not None and contradicts(form.cells(at, found), form.time):
            raise self._changed("times as on the first page", "a time in another form", scan.totals.usable())
        scan.check.add(times)

    def _repeated(self, scan: Scan, entry: Entry, before: Totals, form: Form) -> Page | None:
        """An answer brings nothing new: its server answers the last page for ever, or heeds no cursor, or is wrong.

        Returns:
            None at the end of a report that has come whole; a page without rows where the pages are now read by number.

        Raises:
            RepeatedPageError: none of the two.
        """
        self._ledger.unique -= len(entry.fresh)
        total = scan.totals.usable()
        moved = total is not None and (scan.totals.shrank or scan.totals.grew)
        is_last = bool(scan.digests) and entry.digest == scan.digests[-1]
        if scan.place.cursor is None:
            # No server is known with pages shorter than the API's default: a shorter one is the report's last.
            is_short = len(scan.tail) < (scan.longest if len(scan.digests) > 1 else min(scan.asked, _DEFAULT_SIZE))
            if is_last and not moved and (scan.unique == self._known_total(scan) or is_short):
                # The last page once more says nothing new of the total either.
                scan.totals = before
                return None
        elif is_last and len(scan.digests) == 1:
            log.warning("%s: the API does not heed its cursor; it is read by page number", self.report)
            self.lessons = replace(self.lessons, follows_cursor=False)
            scan.place = PageNumbers()
            return Page(self.page, [], self._column_arr, [], form)
        raise self._error(ReportChangedError if moved else RepeatedPageError, "the API sent the same page twice", total)

    def _has_ended(self, scan: Scan, answer: Answer) -> bool:
        rows = len(answer.records)
        if not rows:
            return True
        total = scan.totals.usable()
        if isinstance(scan.place, Cursors) and answer.cursor is None:
            # A short page is the last one. After a full one there may be more, and no cursor leads there.
            scan.has_no_end = rows >= scan.longest and (total is None or scan.unique != total)
            return True
        if total is None or scan.unique < total:
            return False
        if rows > scan.size:
            # More than asked for: a server that does not page at all, or one with a page size of its own, whose cnt
            # may be the page's. reportCount knows which.
            return self._count(scan) == total
        return rows < scan.longest

    def _step(self, scan: Scan, answer: Answer) -> None:
        self.page += 1
        try:
            scan.place.step(answer)
        except CursorRepeatedError:
            self.page -= 1
            raise self._error(
                RepeatedPageError,
                "the API sent the same cursor twice (set the connection's extra field use_cursor to false to read by "
                "page number)",
                scan.totals.usable(),
            ) from None

    def _look_again(self, scan: Scan, last: Answer) -> tuple[Answer, Page | None]:
        """The end is short of the total: ask for the last page again, in case calls have appeared since.

        Raises:
            ReportChangedError: the page now begins with other calls.
        """
        tail = scan.tail
        if scan.place.cursor is None and not last.records and len(tail) < scan.longest:
            # The last page with rows was a short one, so new calls stand at its end.
            scan.place.page -= 1
            self.page -= 1
        answer = self._ask(scan)
        repeats_tail = bool(tail) and answer.records[: len(tail)] == tail
        if tail and not repeats_tail and self._ledger.has_any(answer.records):
            raise self._error(ReportChangedError, "the last page now begins with other calls", scan.totals.usable())
        return answer, self._accept(scan, answer, skip=len(tail) if repeats_tail else 0)

    def _verdict(self, scan: Scan) -> Verdict:
        """Whether the calls that came are all there are, by ``cnt``.

        Raises:
            IncompleteReportError: they provably are not.
        """
        total = scan.totals.usable()
        shrank = total is not None and scan.totals.shrank
        # What looks like the calls so far may be a total that new calls have moved.
        grew = scan.totals.grew and (total is not None or scan.totals.is_calls_so_far)
        # Rows that equal an earlier one and were kept all the same.
        alike = 0 if self.lessons.drop_alike else scan.alike
        if total is None or scan.unique == total == scan.asked:
            # One full page, and a total that equals it: it may be that page's length.
            count = self._count(scan)
            if total is None and count is not None and scan.counted is not None:
                shrank = count < scan.counted
                grew = grew or count > scan.counted
            total = total if count is None else count
        is_pinned = self.profile is not None and self.profile.count == "total"
        if is_pinned and scan.unique and total is None and scan.totals.meaning in ("page", "so far", "none"):
            raise self._changed("a cnt that counts the whole report, as the profile says", "another cnt", None)
        if scan.has_no_end and scan.unique != total:
            raise self._changed("a cursor on each full page", "a full page without one", total)
        if scan.overlaps is not None and not self.lessons.drop_alike and scan.unique - alike != total:
            raise self._error(
                ReportChangedError,
                f"pages share rows (with page {scan.overlaps}) and no id tells calls apart, so some came twice and "
                "others perhaps not at all",
                total,
            )
        if scan.changed and not self.lessons.by_row:
            self._refuse_changed(scan, total, moved=shrank or grew)
        if total is None and scan.unique < scan.totals.least():
            return self._refused(
                IncompleteReportError,
                "fewer calls came than there are at least by the API's total",
                scan.totals.least(),
                note=f"INCOMPLETE: {scan.unique} calls came and the API counts {scan.totals.least()} or more.",
            )
        if total is None:
            return Verdict(None, None)
        # While the total fell, rows may have moved past the place that was read; while it rose, a row that equals an
        # earlier one may be that row, pushed on to the next page. Then equal numbers prove nothing.
        doubtful = alike or self.lessons.by_row
        if scan.unique == total and not shrank and not (grew and doubtful):
            return Verdict(total, True)
        if alike and scan.unique - alike == total:
            self.lessons = replace(self.lessons, drop_alike=True)
            raise self._error(ReportChangedError, "rows that equal an earlier row are surplus", total)
        if shrank or grew:
            return self._refused(ReportChangedError, "the API's total changed while the report was read", total)
        kind = IncompleteReportError if scan.totals.usable() == total else ReportChangedError
        return self._refused(kind, "the calls that came do not equal the API's total", total)

    def _refuse_changed(self, scan: Scan, total: int | None, *, moved: bool) -> None:
        """Where a call came again with another content, and the total does not say that it is the same one.

        Raises:
            ReportChangedError: it may be another leg of the call; read again, and know rows by their content.
        """
        if total is None or (scan.unique + scan.changed == total and not moved):
            raise self._learns_legs(total)

    def _learns_legs(self, total: int | None) -> IncompleteReportError:
        """The error after which the report is read again with its rows known by their content."""
        self.lessons = replace(self.lessons, by_row=True)
        return self._error(
            ReportChangedError,
            'rows of one id differ; they may be legs of one call (the extra field profile: {"legs": true})',
            total,
        )

    def _refused(self, kind: type[IncompleteReportError], reason: str, promised: int, *, note: str = "") -> Verdict:
        """The verdict of a report that is not whole where that is allowed, else the error."""
        if self.allow_incomplete:
            return Verdict(None if note else promised, False, note)
        raise self._error(kind, reason, promised)

    # --- one answer --------------------------------------------------------------------------------------------------

    def _formed(self, records: list[Record], column_arr: Any) -> tuple[Form, list[Any]]:
        """How an answer's rows are read, and the rows themselves.

        Raises:
            TableError: the first page cannot be read.
            AnswerChangedError: a later one is keyed otherwise.
        """
        self._named = self._named or bool(column_arr)
        if self.form is None or not self._ledger.unique:
            form = self._learned(records, column_arr)
            return form, bodies(records)
        form = self.form
        try:
            found = bodies(records)
            if column_arr and column_arr != self._column_arr:
                form = form.reordered(found, column_arr)
            form.check(found)
        except TableError as error:
            raise self._changed("rows as on the first page", str(error), None) from None
        return form, found

    def _learned(self, records: list[Record], column_arr: Any) -> Form:
        form, _ = learn_form(records, column_arr, self.window, pinned=self.profile, on_new_columns=self.on_new_columns)
        self._column_arr = column_arr or self._column_arr
        if records:
            self.form = form
            key = id_key(records) if self.profile is None or self.profile.id is None else (self.profile.id or None)
            self._ledger.id_key = key
        return form

    def _enter(self, records: list[Record], scan: Scan) -> Entry:
        """Enter rows into the ledger.

        Raises:
            ReportChangedError: ids are no longer ids of rows; the report is read again and known by its rows.
        """
        # Without a time, equal rows of two parts may be two calls.
        has_time = self.form is not None and self.form.began is not None
        try:
            return self._ledger.enter(records, self.requests - 1, scan.since if has_time else 0)
        except IdsError:
            if self.profile is not None and self.profile.id:
                raise self._changed(
                    f"an id of its own in each row, under {scrub(self.profile.id)!r}, as the profile says",
                    "rows that lack it or share it",
                    scan.totals.usable(),
                ) from None
            self.lessons = replace(self.lessons, by_row=True)
            raise self._error(
                ReportChangedError, "rows share an id, or lack one, and earlier rows did not", scan.totals.usable()
            ) from None

    def _judge_beside(self, answer: Answer) -> None:
        """Note a key beside the documented ones that nothing has taught: the numbers must then be confirmed."""
        unknown = [key for key, value in answer.beside.items() if not self._knows(key, value, answer)]
        if unknown and self._unknown_key is None:
            self._unknown_key = unknown[0], self.page
        if not self._ledger.unique:
            said = self.client.settings.empty_answer
            told = bool(said.keys() & answer.beside.keys())
            # Where an account has no cnt, its columns show that the report has answered, and not something before it.
            columns = answer.count is None and bool(answer.column_arr)
            self._is_plain_empty = (
                not answer.records
                and not unknown
                and (told or ((answer.count == 0 or columns) and self._has_known_columns(answer)))
            )

    def _has_known_columns(self, answer: Answer) -> bool:
        """Whether an answer without rows names no columns, or one at least that is known."""
        labels = {label for _, label in read_column_arr(answer.column_arr)}
        known = {*KNOWN_LABELS, *(() if self.profile is None else dict(self.profile.columns))}
        return not labels or not labels.isdisjoint(known)

    def _knows(self, key: str, value: Any, answer: Answer) -> bool:
        said = self.client.settings.empty_answer
        if key in said and said[key] in (None, value):
            return True
        pinned = {} if self.profile is None else self.profile.beside
        if key in pinned and (not pinned[key] or value in pinned[key]):
            return True
        if answer.records and says_all_is_well(key, value):
            self._beside[key] = value
            return True
        # Beside no rows, a key says nothing new where it said the same beside rows.
        return key in self._beside and self._beside[key] == value

    def _ask(self, scan: Scan) -> Answer:
        """Make the scan's next request, or take its answer where it is under way."""
        deep = scan.place.cursor is None and (scan.place.page + 1) * scan.size > totals.TOTAL_CAP
        key, request = self._request(scan, scan.place.page)
        lookahead = self._lookahead
        fetch = request if lookahead is None else partial(lookahead.answer, key, request)
        return self._receive(fetch, scan.totals.usable(), deep=deep)

    def _ask_ahead(self, scan: Scan) -> None:
        """Start the requests that are going to be wanted next."""
        lookahead = self._lookahead
        if lookahead is None or self.requests >= MAX_PAGES:
            return
        page, total = scan.place.page, scan.totals.usable()
        last = page
        if self.concurrency > 1 and total is not None and scan.longest:
            last = max(page, math.ceil(total / scan.longest) - 1)
        for number in range(page, min(last, page + self.concurrency - 1) + 1):
            if not lookahead.ask(*self._request(scan, number)):
                return

    def _request(self, scan: Scan, number: int) -> tuple[tuple[Any, ...], Callable[[], Answer]]:
        """A request by page number, or by the scan's cursor, with the key that it is known by."""
        cursor = scan.place.cursor
        page = self.page + number - scan.place.page
        fetch = partial(self._fetch, scan.filter, number, cursor, scan.size, page)
        return (id(scan), number, cursor, scan.size), fetch

    def _fetch(
        self, api_filter: Mapping[str, Any], number: int, cursor: str | None, size: int, page: int = 0
    ) -> Answer:
        """Make one request; touches nothing of the reader, so that several may be under way."""
        known = {*self.client.settings.empty_answer, *(() if self.profile is None else self.profile.beside)}

        def parse(payload: Any, raw: bytes) -> Answer:
            check_keys(payload, raw)
            answer = parse_answer(payload, raw, known)
            if len(answer.records) > max(size, SPARE_ROWS):
                raise too_many_rows(size)
            return answer

        def on_retry(error: CallReportError) -> None:
            if self._lookahead is not None:
                self._lookahead.trouble(error)
            if self._size_is_open and self.requests == 0:
                # A large page that takes too long is asked for smaller, and not once more.
                self._failures += isinstance(error, ServiceError)
                if isinstance(error, TimeoutExceededError) or self._failures >= _MAX_FAILURES:
                    raise error

        return self.client.call(
            REPORTS[self.report],
            {"filter": api_filter, "sz": size, "page": number},
            parse,
            raw_fields={"sAftr": cursor or "[]"},
            page=page or self.page,
            on_retry=on_retry,
            check_size=lambda raw: check_size(raw, size),
        )

    def _receive(self, fetch: Callable[[], Answer], promised: int | None, *, deep: bool = False) -> Answer:
        """Take the next answer. An error on a later page says how far the report had come.

        Args:
            fetch: brings the answer.
            promised: the total, as far as it is known.
            deep: whether the page is one that search engines refuse to reach by number.
        """
        if self.requests >= MAX_PAGES:
            raise self._error(IncompleteReportError, f"the API still answers after {MAX_PAGES} requests", promised)
        try:
            answer = fetch()
        except CallReportError as error:
            if self.requests == 0:
                raise
            advice = f" (many servers answer no page beyond {totals.TOTAL_CAP} rows: make the window shorter)"
            raise IncompleteReportError(
                str(error) + (advice if deep and isinstance(error, RequestRejectedError) else ""),
                page=self.page,
                rows=self._ledger.unique,
                promised=promised,
                code=error.code if isinstance(error, ApiError) else None,
                retryable=error.retryable,
            ) from error
        self.requests += 1
        log.debug("%s page %d: %d rows, cnt %s", self.report, self.page, len(answer.records), answer.count)
        return answer

    # --- the second witness ------------------------------------------------------------------------------------------

    def _confirmed(self, verdict: Verdict) -> Verdict:
        """The verdict, held against ``reportCount``.

        Raises:
            ReportChangedError: it counts another number of calls.
            AnswerError: something is doubtful, and nothing confirms the numbers.
        """
        unique = self._ledger.unique
        doubt = self._doubt()
        if verdict.complete is False or not self._asks_count or (self.report != "calls" and doubt is None):
            counted = None
        else:
            counted = self._witness(unique)
            for wait in self.rounds_wait if counted is not None and counted < unique else ():
                # Its index may be behind the list's.
                time.sleep(wait)
                self._counted = None
                if (counted := self._witness(unique)) == unique:
                    break
        if counted is None:
            if doubt is not None and verdict.complete is not False:
                raise AnswerError(doubt)
            return verdict
        self._agreed = counted == unique
        if self._is_open and verdict.complete and 0 < counted - unique <= max(_MOVING, unique // 100):
            # Calls that came between the last page and the count; the window has not ended.
            return verdict
        if counted == unique:
            return Verdict(unique if verdict.total is None else verdict.total, True)
        if verdict.total == unique < counted and unique % _ROUND == 0 and unique:
            self.lessons = replace(self.lessons, cap=unique)
        return self._refused(
            ReportChangedError,
            f"the list shows {unique} calls and reportCount counts {counted} (where reportCount counts other calls, "
            "set the connection's extra field use_report_count to false)",
            counted,
        )

    @property
    def _asks_count(self) -> bool:
        """Whether ``reportCount`` is a witness, by the connection and its profile."""
        differs = self.profile is not None and self.profile.report_count in ("differs", "missing")
        return self.client.settings.use_report_count and not differs

    def _doubt(self) -> str | None:
        """Why the answers alone are not believed, or None."""
        if self._unknown_key is not None:
            key, page = self._unknown_key
            return (
                f"the answer of page {page} has the key {scrub(key)[:60]!r}, which is not documented, and reportCount "
                f"does not confirm the {self._ledger.unique} calls that came; where this account's good answers carry "
                "it, say so in the connection's extra field empty_answer, an object of key to value"
            )
        if not self._ledger.unique and not self._is_plain_empty:
            return (
                "the answer has no rows and neither a cnt of 0 nor columns, and reportCount does not confirm that "
                "there are no calls; where this account's empty answers are so, say so in the connection's extra field "
                "empty_answer"
            )
        return None

    def _witness(self, rows: int) -> int | None:
        """What ``reportCount`` counts in the whole window, or None where it is no witness."""
        api_filter = build_filter(self.filters, self.window)
        return None if api_filter is None else self._ask_count(api_filter, rows)

    def _count(self, scan: Scan) -> int | None:
        """What ``reportCount`` counts for a scan's filter, or None where it is no witness."""
        return self._ask_count(scan.filter, scan.unique) if self._asks_count else None

    def _ask_count(self, api_filter: Mapping[str, Any], rows: int) -> int | None:
        """Ask ``reportCount``.

        The vendor does not say whether it counts calls of masked numbers apart. So for that report its number proves
        something when it equals the ``rows`` that came, and nothing when it does not.
        """
        if self._counted is not None and self._counted[:2] == (api_filter, self.requests):
            return self._usable_count(self._counted[2], rows)
        patience = min(_WITNESS_RETRY_TIME, self.client.settings.max_retry_time)
        try:
            count = self.client.count({"filter": api_filter}, max_retry_time=patience)
        except CallReportError as error:
            log.info("%s: reportCount is no witness (%s)", self.report, error)
            return None
        self._counted = api_filter, self.requests, count
        return self._usable_count(count, rows)

    def _usable_count(self, count: int, rows: int) -> int | None:
        if (is_capped(count, self.lessons.cap) and count != rows) or (self.report != "calls" and count != rows):
            log.info("%s: reportCount is no witness (it says %d)", self.report, count)
            return None
        return None if count == totals.TOTAL_CAP else count

    # --- errors and sentences ----------------------------------------------------------------------------------------

    def _error(self, kind: type[IncompleteReportError], reason: str, promised: int | None) -> IncompleteReportError:
        """An error at the page asked for last. Numbers that disagree now may agree at a later try of the task."""
        return kind(
            reason,
            page=self.page,
            rows=self._ledger.unique,
            promised=promised,
            retryable=kind is not RepeatedPageError,
        )

    def _changed(self, expected: str, came: str, promised: int | None) -> AnswerChangedError:
        return AnswerChangedError(
            expected=expected,
            came=came,
            where=f"page {self.page}",
            page=self.page,
            rows=self._ledger.unique,
            promised=promised,
        )

    @property
    def _window_is_checked(self) -> bool:
        return not self._ledger.unique or (self._calls_checked > 0 and not self._calls_unread)

    def _sentences(self, verdict: Verdict, *, is_open: bool) -> Sequence[str]:
        """The proof in words."""
        note = verdict.note or note_of(verdict, self._ledger.unique)
        said = [note.replace("Complete:", "Complete so far:", 1) if is_open else note]
        if not self._window_is_checked:
            said.append("Whether the calls are of the window could not be checked, because their times cannot be read.")
        if self._calls_off:
            said.append(f"{self._calls_off} of them lie off the window by less than window_slack.")
        said += [] if self.form is None else self.form.doubts()
        for sentence in said[1:]:
            log.warning("%s: %s", self.report, sentence)
        return said
