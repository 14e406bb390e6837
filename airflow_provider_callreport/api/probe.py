"""What is this account's API like? A dozen small questions, and what the answers teach.

The vendor documents no row, no largest page, no cursor and no answer of ``reportCount``. `probe` asks the account
itself, reads only, and makes at most `MAX_REQUESTS` requests. It returns a `Profile`, which holds names and types and
no value of a call, and sentences for a person.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from airflow_provider_callreport.api.answer import ID_KEYS, Answer, Record, id_key, ids_under, parse_answer
from airflow_provider_callreport.api.answer_check import says_all_is_well
from airflow_provider_callreport.api.bounds import check_keys, check_size
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    AnswerError,
    AnswerTooLargeError,
    CallReportError,
    RateLimitedError,
    RequestRejectedError,
    ServiceError,
    TableError,
    TimeoutExceededError,
    TransportError,
    scrub,
)
from airflow_provider_callreport.api.filters import REPORTS, Window, build_filter
from airflow_provider_callreport.api.profile import Form, Profile, bodies, learn_form, listed, read_column_arr
from airflow_provider_callreport.api.totals import TOTAL_CAP, is_capped

#: Requests that one probe makes at most.
MAX_REQUESTS = 15

#: Page sizes to try, the largest first; the next one where the API does not take it.
SIZES = (1_000, 500, 100, 50)

#: Days before the window in which a day with calls is looked for.
_LOOK_BACK = timedelta(days=30)

#: Calls of the small pages.
_FEW = 20

#: A day before there was such an account.
_LONG_AGO = datetime(2001, 1, 1)

#: How far ahead of the clock calls are looked for: no zone is more than 14 hours ahead of UTC.
_AHEAD = timedelta(hours=15)
_RECENT = timedelta(hours=2)
_CLOCKS_DIFFER = timedelta(minutes=10)

#: A filter key that no API has.
_UNKNOWN_FILTER = "zzUnknownKey"

#: Seconds before a question is asked once more after a fault that passes; the longest wait that the API may ask for.
_WAIT = 1.0
_LONGEST_WAIT = 30.0

#: Requests per second to propose where the API complains of the pace.
_SLOW = 1

#: A text with so many digits in a row may be a phone number or an id.
_NUMBER = re.compile(r"\d(?:[ ().+-]?\d){4,}")
_LONGEST_VALUE = 80

#: Zones to propose, by their distance from UTC in minutes.
_ZONES = {
    0: "UTC",
    240: "Asia/Dubai",
    330: "Asia/Kolkata",
    345: "Asia/Kathmandu",
    360: "Asia/Dhaka",
    480: "Asia/Singapore",
}

T = TypeVar("T")

Verdict = Literal["works", "unlike", "setting", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question.

    Attributes:
        topic: what was asked.
        verdict: ``works``; ``unlike`` the documents, and learned; ``setting``, something that a setting or a person has
            to settle; ``unknown``.
        sentence: for a person. Holds no phone number and no credential.
    """

    topic: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        report: ``"calls"`` or ``"masked_calls"``.
        window: the window whose calls were looked at.
        requests: requests that were made.
        findings: the answers, in the order of the questions.
        settings: entries for the connection's extra, without the profile.
        profile: what the account's answers look like.
    """

    report: str
    window: Window
    requests: int
    findings: tuple[Finding, ...]
    settings: Mapping[str, Any]
    profile: Profile

    @property
    def needs_setting(self) -> bool:
        """Whether something has to be settled before reports can be trusted."""
        return any(finding.verdict == "setting" for finding in self.findings)


class _NoRequestLeftError(Exception):
    """The next question would take one request too many."""


@dataclass(slots=True)
class _Asker:
    """Asks, and counts the requests.

    Attributes:
        client: the account; it tries nothing again by itself.
        report: which report.
        paged: every page that came with rows.
        was_limited: whether the API said that there were too many requests.
    """

    client: CallReportClient
    report: str
    paged: list[Answer] = field(default_factory=list)
    was_limited: bool = False

    def page(
        self,
        window: Window,
        size: int,
        number: int = 0,
        *,
        cursor: str | None = None,
        filters: Mapping[str, Any] | None = None,
        report: str | None = None,
    ) -> Answer:
        """Ask for one page.

        Raises:
            CallReportError: there is no answer that can be read.
        """
        fields = {"filter": build_filter(filters or {}, window), "sz": size, "page": number}

        def parse(payload: Any, raw: bytes) -> Answer:
            check_keys(payload, raw)
            return parse_answer(payload, raw)

        endpoint = REPORTS[report or self.report]
        answer = self._ask(
            lambda: self.client.call(
                endpoint,
                fields,
                parse,
                raw_fields={"sAftr": cursor or "[]"},
                check_size=lambda raw: check_size(raw, size),
            )
        )
        if answer.records and report is None:
            self.paged.append(answer)
        return answer

    def count(self, window: Window) -> int:
        """Ask ``reportCount``."""
        return self._ask(lambda: self.client.count({"filter": build_filter({}, window)}))

    def _ask(self, request: Callable[[], T]) -> T:
        try:
            return self._once(request)
        except TimeoutExceededError:
            raise
        except (RateLimitedError, ServiceError, TransportError) as error:
            self.was_limited = self.was_limited or isinstance(error, RateLimitedError)
            if not error.retryable:
                raise
            wait = getattr(error, "retry_after", None)
            time.sleep(min(_WAIT if wait is None else max(_WAIT, wait), _LONGEST_WAIT))
            return self._once(request)

    def _once(self, request: Callable[[], T]) -> T:
        # A request that meets a closed connection is sent once more, and counts as two.
        if self.client.requests_made + 2 > MAX_REQUESTS:
            raise _NoRequestLeftError
        return request()


@dataclass(slots=True)
class _Known:
    """What the answers have shown so far.

    Attributes:
        window: whose calls are looked at.
        look_back: whether another window may be chosen where this one has no calls.
        now: the clock.
        one: a page of one call.
        day: the largest page.
        asked: calls that it was asked for.
        form: how rows are read; None where they cannot be read.
        second: the page after a small first one, or None.
        counted: what ``reportCount`` says.
        total: how many calls the window has, as far as that is known.
        profile, findings, settings: see `ProbeResult`.
    """

    window: Window
    look_back: bool
    now: datetime
    one: Answer | None = None
    day: Answer | None = None
    asked: int = 0
    form: Form | None = None
    second: Answer | None = None
    counted: int | None = None
    total: int | None = None
    profile: Profile = field(default_factory=Profile)
    findings: list[Finding] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def say(self, topic: str, verdict: Verdict, sentence: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(topic, verdict, sentence))

    def learn(self, **parts: Any) -> None:
        """Add to the profile."""
        self.profile = replace(self.profile, **parts)

    @property
    def rows(self) -> list[Record]:
        """The rows of the largest page."""
        return self.day.records if self.day is not None else []


def probe(
    client: CallReportClient,
    report: str,
    window: Window,
    *,
    look_back: bool = False,
    now: datetime | None = None,
) -> ProbeResult:
    """Ask an account what its answers look like.

    Args:
        client: the account. Make it with ``max_retry_time=0``, or its own retries count as requests.
        report: ``"calls"`` or ``"masked_calls"``.
        window: a day with calls.
        look_back: look for calls in the 30 days before where the window has none.
        now: the clock; the present if None.

    Raises:
        CallReportError: the first question got no answer that can be read.
    """
    ask = _Asker(client, report)
    known = _Known(window, look_back, now or datetime.now(UTC))
    _first_call(ask, known)
    for topic, question in _QUESTIONS:
        try:
            question(ask, known)
        except _NoRequestLeftError:
            known.say(
                topic, "unknown", f"was not asked: {client.requests_made} requests were made, which is the limit."
            )
        except (AnswerError, TableError) as error:
            known.say(topic, "setting", f"the answer cannot be read: {error}")
        except CallReportError as error:
            known.say(topic, "unknown", f"could not be found out: {error}")
    profile = _without_numbers(known)
    _pace(ask, known)
    _pinned(ask, known, profile)
    return ProbeResult(report, known.window, client.requests_made, tuple(known.findings), known.settings, profile)


# --- the questions ---------------------------------------------------------------------------------------------------


def _first_call(ask: _Asker, known: _Known) -> None:
    """Can the report be read at all, and is there a call?"""
    topic = "sign in"
    known.one = ask.page(known.window, 1)
    known.say(topic, "works", f"the {ask.report} can be read.")
    if known.one.records:
        return
    if known.look_back:
        wide = Window(known.window.end - _LOOK_BACK, known.window.end, known.window.zone)
        found = ask.page(wide, 1)
        if found.records:
            known.window = _day_of(found, wide)
            known.one = ask.page(known.window, 1)
            if not known.one.records:
                known.window, known.one = wide, found
            return
    known.say(
        "calls",
        "unknown",
        f"there are no calls from {_shown(known.window)}, so nothing could be learned of rows and pages; name a day "
        "with calls (--start).",
    )


def _day_of(answer: Answer, wide: Window) -> Window:
    """The day of the first call of an answer, or the whole window where its time cannot be read."""
    try:
        form, found = learn_form(answer.records, answer.column_arr, wide)
    except TableError:
        return wide
    moment = next((one for one in form.times(found, wide.zone) if isinstance(one, datetime)), None)
    if moment is None:
        return wide
    start = datetime(moment.year, moment.month, moment.day, tzinfo=wide.zone)
    return Window(start, start + timedelta(days=1), wide.zone)


def _largest_page(ask: _Asker, known: _Known) -> None:
    """Which page size does the API take?"""
    if known.one is None or not known.one.records:
        return
    refused: list[int] = []
    for size in SIZES:
        try:
            known.day = ask.page(known.window, size)
        except (RequestRejectedError, AnswerTooLargeError, TimeoutExceededError) as error:
            refused.append(size)
            reason = (error.vendor_message if isinstance(error, RequestRejectedError) else "") or str(error)
            continue
        known.asked = size
        break
    else:
        known.day, known.asked = known.one, 1
        known.say("page size", "setting", f"no page of {SIZES[-1]} calls or more is taken: {reason}")
        return
    if refused:
        known.say(
            "page size",
            "unlike",
            f"{_numbers(refused)} calls a page are refused, {known.asked:,} are taken ({reason}).",
        )
        known.settings["page_size"] = known.asked
        known.learn(page_size=known.asked)
    if len(known.one.records) > 1:
        known.say("page size", "unlike", f"1 call was asked for and {len(known.one.records):,} came: sz is not obeyed.")


def _rows(ask: _Asker, known: _Known) -> None:
    """How are rows keyed, what are their columns, and how are times written?"""
    if known.day is None or not known.rows:
        _columns_of_no_rows(known)
        return
    try:
        pinned = Profile(ragged=_is_ragged(known.day))
        form, found = learn_form(known.rows, known.day.column_arr, known.window, pinned=pinned)
    except TableError as error:
        known.say("rows", "setting", f"the rows cannot be read: {error}")
        return
    known.form = form
    known.learn(
        rows=form.rows,
        columns=tuple(zip(form.labels, form.keys, strict=True)),
        further=tuple(sorted(form.further)),
        width=form.width or None,
        ragged=form.ragged,
        time=form.time,
    )
    kind = {
        "position": "objects, keyed by the column's position",
        "label": "objects, keyed by the column's label",
        "field": "objects, keyed by fields of their own, which are the columns",
        "array": "arrays, in the order of the columns",
    }[form.rows]
    more = f" Beside the columns rows have {listed(sorted(form.further))}." if form.further else ""
    known.say("rows", "works", f"rows are {kind}; {len(form.labels)} columns: {listed(form.labels)}.{more}")
    if form.ragged:
        known.say("rows", "setting", "rows leave out cells at their end: put the profile into the connection.")
    _times(known, form, found)
    _ids(known)


def _columns_of_no_rows(known: _Known) -> None:
    labels = [label for _, label in read_column_arr(known.one.column_arr)] if known.one is not None else []
    if labels:
        known.say("rows", "unknown", f"there are {len(labels)} columns: {listed(labels)}; no row was seen.")


def _is_ragged(day: Answer) -> bool:
    found = bodies(day.records)
    widths = {len(body) for body in found if isinstance(body, list)}
    return len(widths) > 1 and max(widths) <= len(read_column_arr(day.column_arr))


def _times(known: _Known, form: Form, found: list[Any]) -> None:
    if form.began is None:
        known.say(
            "times", "unknown", "no column says when a call began, so it cannot be checked whether the window is."
        )
        return
    times = form.times(found, known.window.zone)
    unread = sum(isinstance(moment, str) for moment in times)
    if unread:
        known.say(
            "times",
            "setting",
            f"{unread:,} of {len(times):,} times cannot be read (which is the day, which the month?); probe a day "
            "after the 12th of its month.",
        )
        return
    said = [
        words
        for words, holds in (
            ("with AM and PM", form.time.twelve_hours),
            ("with parts of a second", form.time.fractions),
            ("the day before the month", form.time.day_first is True),
            ("the month before the day", form.time.day_first is False),
        )
        if holds
    ]
    known.say("times", "unlike" if said else "works", "times can be read" + (f": {', '.join(said)}." if said else "."))
    _check_window(known, [moment for moment in times if isinstance(moment, datetime)])


def _check_window(known: _Known, times: Sequence[datetime]) -> None:
    """Are the calls of the window that was asked for?"""
    first, end = known.window.wall_times() or (times[0], times[0])
    off = [max(first - moment, moment - end + timedelta(seconds=1)) for moment in times if not first <= moment < end]
    if not off:
        if times:
            known.say("window", "works", "all calls are of the day that was asked for.")
        return
    farthest = max(off)
    if farthest > timedelta(hours=12) or 2 * len(off) > len(times):
        known.say(
            "window",
            "setting",
            f"{len(off):,} of {len(times):,} calls are off the window, up to {farthest}: the API does not obey dtGte "
            "and dtLte, or the connection's timezone is wrong.",
        )
        return
    slack = _whole_hours(farthest)
    known.say(
        "window",
        "setting",
        f"{len(off):,} of {len(times):,} calls are off the window, up to {farthest}; window_slack allows it.",
    )
    known.settings["window_slack"] = slack


def _whole_hours(span: timedelta) -> int:
    return -(-int(span.total_seconds()) // 3600) * 3600


def _ids(known: _Known) -> None:
    records = known.rows
    key = id_key(records)
    if key is not None:
        known.learn(id=key)
        known.say("ids", "works", f"each row has the id of its call, {key}.")
        return
    shared = next((key for key in ID_KEYS if ids_under(key, records) is not None), None)
    if shared is not None:
        known.learn(id=shared, legs=True)
        known.say("ids", "unlike", f"rows share an id ({shared}): the legs of one call are rows of their own.")
        return
    known.learn(id="")
    known.say("ids", "unlike", "rows have no id of their call, so they are known by all they hold.")


def _count(ask: _Asker, known: _Known) -> None:
    """What does ``cnt`` count, and does ``reportCount`` agree?"""
    if known.day is None or known.one is None:
        return
    try:
        known.counted = ask.count(known.window)
    except (AnswerError, RequestRejectedError) as error:
        known.learn(report_count="missing")
        known.say("reportCount", "unlike", f"reportCount gives no number ({error}); cnt alone proves a report.")


def _next_page(ask: _Asker, known: _Known) -> None:
    """Does page 1 follow page 0?"""
    if known.day is None or known.one is None:
        return
    rows = len(known.rows)
    if rows < 2:
        known.say("pages", "unknown", "the window has a single call, so nothing could be learned of pages.")
        return
    if _may_be_clamped(known):
        # Page 1 of the size that came has rows where the API has made the size smaller.
        second = ask.page(known.window, rows, 1)
        if second.records and not _begin_alike(second.records, known.rows):
            known.say("pages", "works", "page 1 follows page 0.")
            _say_clamped(known)
            return
        known.total = None if second.records else rows
    size = min(max(1, rows // 3), _FEW)
    known.second = ask.page(known.window, size, 1)
    _judge_next(known, known.second.records, size, max(size, len(known.one.records)))


def _judge_next(known: _Known, came: list[Record], size: int, size_that_came: int) -> None:
    if came == known.rows[size : 2 * size]:
        known.say("pages", "works", "page 1 follows page 0.")
    elif _begin_alike(came, known.rows):
        known.say(
            "pages",
            "setting" if known.one is None or known.one.cursor is None else "unlike",
            "page 1 repeats page 0: page is not obeyed, or counted from 1; without a cursor only reports of one page "
            "can be read.",
        )
    elif came and all(row in known.rows[size_that_came:] for row in came):
        known.say("pages", "unlike", "page 1 follows page 0, by a size of the API's own.")
    else:
        known.say("pages", "unknown", "page 1 is not what stands behind page 0; calls may have come meanwhile.")


def _may_be_clamped(known: _Known) -> bool:
    """Whether the API may have made the page smaller, and no total tells."""
    one, day = known.one, known.day
    if one is None or day is None or len(day.records) >= known.asked:
        return False
    return day.count is None or one.count != day.count or day.count < len(day.records)


def _say_clamped(known: _Known) -> None:
    came = len(known.rows)
    known.learn(page_size=came)
    known.settings["page_size"] = came
    known.say(
        "page size", "unlike", f"{known.asked:,} calls a page were asked for and {came:,} came: that is the limit."
    )


def _totals(ask: _Asker, known: _Known) -> None:
    """What do the numbers say together?"""
    one, day = known.one, known.day
    if one is None or day is None:
        return
    rows = len(day.records)
    meaning = _meaning(one, day, known.second)
    counted = known.counted
    if meaning == "total" and day.count is not None:
        known.total = day.count
        if counted is not None and counted > day.count and day.count % 1_000 == 0:
            known.learn(cap=day.count)
            meaning, known.total = "capped", counted
    elif known.total is None and counted is not None and not is_capped(counted):
        known.total = counted
    known.learn(count=meaning)
    words = {
        "total": "cnt is the number of all calls.",
        "page": "cnt is the number of rows of its page, and no total.",
        "so far": "cnt is the number of calls until this page, and no total.",
        "capped": f"cnt stops counting at {day.count or TOTAL_CAP:,}.",
        "none": "there is no cnt that can be used.",
    }[meaning]
    known.say("cnt", "works" if meaning == "total" else "unlike", words)
    if known.profile.page_size is None and rows > 0:
        _size(known, rows)
    if counted is not None:
        _agreement(ask, known, counted)


def _meaning(one: Answer, day: Answer, second: Answer | None) -> str:
    """What ``cnt`` counts, by up to three answers."""
    if day.count is None:
        return "none"
    pages = [page for page in (one, day, second) if page is not None and page.records]
    if len(pages) > 1 and len({len(page.records) for page in pages}) > 1:
        if all(page.count == len(page.records) for page in pages):
            return "page"
        if all(page.count == len(page.records) for page in pages[:2]) and second is not None:
            return "so far" if second.count == 2 * len(second.records) else "page"
    if any(page.count != day.count for page in pages) or day.count < len(day.records):
        return "none"
    return "capped" if is_capped(day.count) else "total"


def _size(known: _Known, rows: int) -> None:
    if rows >= known.asked:
        known.learn(page_size=known.asked)
        known.say("page size", "works", f"{known.asked:,} calls a page are taken.")
    elif known.total is None:
        known.say(
            "page size", "unknown", f"{known.asked:,} calls were asked for and {rows:,} came; no number tells why."
        )
    elif known.total > rows:
        _say_clamped(known)
    else:
        known.learn(page_size=known.asked)
        known.say("page size", "works", f"{known.asked:,} calls a page are taken; the window has {rows:,} calls.")


def _agreement(ask: _Asker, known: _Known, counted: int) -> None:
    """Does ``reportCount`` agree with the list?"""
    total = known.total
    if known.profile.count == "total" and known.day is not None:
        total = known.day.count
    elif known.profile.count != "capped":
        whole = len(known.rows) < (known.profile.page_size or 0)
        total = len(known.rows) if whole else None
    if total is None or (is_capped(counted) and counted != total):
        known.say(
            "reportCount", "unknown", f"reportCount counts {counted:,}, and no other number can be held against it."
        )
        return
    if counted == total:
        known.learn(report_count="agrees")
        known.say("reportCount", "works", "reportCount agrees with the list, and is a second witness.")
        return
    known.learn(report_count="differs")
    if ask.report != "calls":
        known.say(
            "reportCount", "unlike", f"reportCount counts {counted:,}, the list {total:,}: it counts other calls."
        )
        return
    known.settings["use_report_count"] = False
    known.say(
        "reportCount",
        "setting" if ask.client.settings.use_report_count else "unlike",
        f"reportCount counts {counted:,} and the list has {total:,}: it counts other calls, and is no witness.",
    )


def _cursor(ask: _Asker, known: _Known) -> None:
    """Is there a cursor, and is it obeyed?"""
    one, day = known.one, known.day
    if one is None or day is None:
        return
    if one.cursor is None:
        known.learn(cursor="none")
        if day.cursor is None:
            known.say("cursor", "works", "answers have no cursor, so pages are asked for by number.")
        return
    before = len(one.records)
    size = min(max(1, len(known.rows) // 3), _FEW)
    place = {"top": "sAftr", "row sAftr": "the last row's sAftr", "row sort": "the last row's sort"}[
        one.cursor_place or "top"
    ]
    try:
        after = ask.page(known.window, size, cursor=one.cursor)
    except RequestRejectedError as error:
        known.learn(cursor="none")
        known.say("cursor", "unlike", f"answers have a cursor ({place}) and the API refuses it: {error}")
        return
    expected = known.rows[before : before + len(after.records)]
    if len(known.rows) <= before:
        known.say("cursor", "unknown", f"answers have a cursor ({place}); there is no second page to try it with.")
    elif after.records and after.records == expected:
        known.learn(cursor=one.cursor_place)
        known.say("cursor", "works", f"answers have a cursor ({place}), and it is obeyed.")
    elif _begin_alike(after.records, known.rows):
        known.learn(cursor="none")
        known.say(
            "cursor", "unlike", f"answers have a cursor ({place}) and it is not obeyed; pages are asked for by number."
        )
    else:
        known.say("cursor", "unknown", f"answers have a cursor ({place}); what follows it is not what was expected.")


def _hour(ask: _Asker, known: _Known) -> None:
    """Does the API obey the hour, or only the date?"""
    form = known.form
    if form is None or form.began is None:
        return
    zone = known.window.zone
    times = [one for one in form.times(bodies(known.rows), zone) if isinstance(one, datetime)]
    hours = Counter(moment.replace(minute=0, second=0, microsecond=0) for moment in times)
    if len(hours) < 2:
        known.say("hours", "unknown", "the calls lie in one hour, so it could not be seen whether the API obeys hours.")
        return
    hour = min(hours, key=lambda one: (hours[one], one))
    window = Window(hour.replace(tzinfo=zone), hour.replace(tzinfo=zone) + timedelta(hours=1), zone)
    answer = ask.page(window, min(known.asked, 100))
    found = bodies(answer.records)
    form.check(found)
    inside = [hour <= one < hour + timedelta(hours=1) for one in form.times(found, zone) if isinstance(one, datetime)]
    if not inside:
        known.say("hours", "setting", f"an hour with calls ({hour:%Y-%m-%d %H}:00) was answered with none.")
    elif all(inside):
        known.say("hours", "works", "a window of one hour has the calls of that hour.")
    else:
        known.say(
            "hours",
            "setting",
            "a window of one hour has calls of other hours: the API obeys the date only, so ask for whole days.",
        )


def _long_ago(ask: _Asker, known: _Known) -> None:
    """What does an empty answer carry?"""
    zone = known.window.zone
    start = _LONG_AGO.replace(tzinfo=zone)
    try:
        answer = ask.page(Window(start, start + timedelta(days=1), zone), 1)
    except AnswerError as error:
        known.say("no calls", "setting", f"a day without calls is answered with what looks like an error: {error}")
        return
    if answer.records:
        known.say("no calls", "setting", "a day of the year 2001 has calls: the API does not obey the window.")
        return
    ours = ask.client.settings.empty_answer
    known_beside = _beside(ask)
    new = {
        key: value
        for key, value in answer.beside.items()
        if not (key in known_beside and (not known_beside[key] or value in known_beside[key]))
    }
    confirmed = known.profile.report_count == "agrees"
    if new:
        told = all(key in ours and ours[key] in (None, value) for key, value in new.items())
        names = f"an answer without calls also has {listed(sorted(map(_hidden, new)))}"
        if all(_may_be_shown(ask, one) for pair in new.items() for one in pair):
            known.settings["empty_answer"] = new
            names += ", which empty_answer tells apart from an error."
        else:
            names += ", with what may be a number or a secret; if it is always the same, write it into empty_answer."
        known.say("no calls", "unlike" if told or confirmed else "setting", names)
    elif answer.count != 0:
        known.say(
            "no calls",
            "unlike" if confirmed else "setting",
            "an answer without calls has no cnt of 0; "
            + ("reportCount confirms it." if confirmed else "nothing proves that a day has no calls, so it is red."),
        )
    else:
        known.say("no calls", "works", "an answer without calls is as documented.")


def _clock(ask: _Asker, known: _Known) -> None:
    """Is the time zone plausible?"""
    form = known.form
    if form is None or form.began is None:
        return
    zone = known.window.zone
    full = known.profile.page_size or len(known.rows)
    times = _times_in(ask, Window(known.now - _RECENT, known.now + _AHEAD, zone), known, form)
    if len(times) >= full:
        # The newest call may be on a later page.
        ahead_of_clock = Window(known.now + _CLOCKS_DIFFER, known.now + _AHEAD, zone)
        times = _times_in(ask, ahead_of_clock, known, form) or [min(times)]
    if not times:
        known.say(
            "time zone",
            "unknown",
            f"no call began in the last two hours, so the time zone ({zone.key}) could not be held against the clock; "
            "probe again at a busy hour.",
        )
        return
    here = known.now.astimezone(zone).replace(tzinfo=None)
    ahead = max(times) - here
    if ahead > _AHEAD - timedelta(hours=1) or len(times) >= full > 1:
        known.say(
            "time zone",
            "unknown",
            "the API has calls of the future, as the sandbox has, so the clock says nothing of the time zone.",
        )
    elif ahead > _CLOCKS_DIFFER:
        _say_zone(known, ahead)
    else:
        known.say("time zone", "works", f"the newest call fits the clock in {zone.key}.")


def _times_in(ask: _Asker, window: Window, known: _Known, form: Form) -> list[datetime]:
    """When the calls on the first page of a window began."""
    found = bodies(ask.page(window, known.asked).records)
    form.check(found)
    return [one for one in form.times(found, window.zone) if isinstance(one, datetime)]


def _say_zone(known: _Known, ahead: timedelta) -> None:
    offset = known.now.astimezone(known.window.zone).utcoffset() or timedelta(0)
    # The newest call began some minutes ago.
    minutes = -(-int((offset + ahead).total_seconds()) // 900) * 15
    proposed = _ZONES.get(minutes)
    if proposed is not None:
        known.settings["timezone"] = proposed
    shown = f"UTC{'+' if minutes >= 0 else '-'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    known.say(
        "time zone",
        "setting",
        f"the newest call is {ahead - timedelta(microseconds=ahead.microseconds)} ahead of the clock in "
        f"{known.window.zone.key}: the account's zone seems to be {shown}{f', as {proposed}' if proposed else ''}.",
    )


def _other_report(ask: _Asker, known: _Known) -> None:
    """Which report does ``reportCount`` count?"""
    if known.counted is None or known.total is None:
        return
    other = next(report for report in REPORTS if report != ask.report)
    answer = ask.page(known.window, 1, report=other)
    if answer.count is None or known.profile.count not in ("total", "capped"):
        known.say("other report", "unknown", f"{other} can be read; whether reportCount counts them is not known.")
        return
    masked, calls = (known.total, answer.count) if ask.report == "masked_calls" else (answer.count, known.total)
    if known.counted == calls == masked:
        words = "both reports have as many calls as reportCount counts."
    elif known.counted == masked + calls:
        words = "reportCount counts both reports together."
    elif known.counted in (calls, masked):
        words = f"reportCount counts {'calls' if known.counted == calls else 'masked_calls'} only."
    else:
        words = "reportCount counts neither of the two reports."
    known.say("other report", "works", f"{other} can be read; {words}")


def _unknown_filter(ask: _Asker, known: _Known) -> None:
    """What becomes of a filter key that the API does not know?"""
    if known.one is None or not known.one.records:
        return
    topic = "unknown filter"
    try:
        answer = ask.page(known.window, 1, filters={_UNKNOWN_FILTER: "1"})
    except RequestRejectedError:
        known.say(topic, "works", "a filter key that the API does not know is refused.")
        return
    if answer.records == known.one.records:
        known.say(topic, "unlike", "a filter key that the API does not know is ignored: a slip brings every call.")
    else:
        known.say(topic, "unlike", "a filter key that the API does not know is taken for one that matches other calls.")


def _what_is_beside(ask: _Asker, known: _Known) -> None:
    """What do answers with rows carry beside the documented keys?"""
    beside = _beside(ask)
    seen = {key for answer in ask.paged for key in answer.beside}
    known.learn(beside=beside)
    if strange := {
        key
        for key in seen - beside.keys()
        if not all(says_all_is_well(key, answer.beside[key]) for answer in ask.paged if key in answer.beside)
    }:
        known.say(
            "further keys",
            "unlike" if known.profile.report_count == "agrees" else "setting",
            f"answers have {listed(sorted(map(_hidden, strange)))}, whose text differs: such an answer is believed "
            "only where reportCount confirms it.",
        )
    elif beside:
        known.say("further keys", "unlike", f"answers also have {listed(sorted(beside))}.")


def _pace(ask: _Asker, known: _Known) -> None:
    """Did the API complain of too many requests?"""
    if not ask.was_limited:
        return
    ours = ask.client.settings.requests_per_second
    known.settings["requests_per_second"] = _SLOW if ours is None else ours / 2
    known.say(
        "pace",
        "setting",
        "the API answered that there are too many requests; set requests_per_second (the vendor names no limit).",
    )


def _pinned(ask: _Asker, known: _Known, profile: Profile) -> None:
    """Is the profile that the connection has still right?"""
    pinned = Profile.parse(ask.client.settings.profile)
    if pinned is None:
        return
    before, now = pinned.to_json(), profile.to_json()
    changed = [part for part in now if now[part] != before.get(part)] if known.rows else []
    if changed:
        words = f"the connection's profile has another {', '.join(changed)}: put the new one into the connection."
        known.say("profile", "setting", words)
    else:
        known.say("profile", "works", "the connection's profile is still right.")


_QUESTIONS: tuple[tuple[str, Callable[[_Asker, _Known], None]], ...] = (
    ("page size", _largest_page),
    ("rows", _rows),
    ("reportCount", _count),
    ("pages", _next_page),
    ("cnt", _totals),
    ("cursor", _cursor),
    ("hours", _hour),
    ("further keys", _what_is_beside),
    ("no calls", _long_ago),
    ("time zone", _clock),
    ("other report", _other_report),
    ("unknown filter", _unknown_filter),
)


# --- what may be kept ------------------------------------------------------------------------------------------------


def _beside(ask: _Asker) -> dict[str, tuple[Any, ...]]:
    """The keys beside the documented ones in answers with rows, and what they may say.

    A number that differs from answer to answer may be any. A text that differs may be a sentence about a failure, so
    its key is left out.
    """
    said: dict[str, list[Any]] = {}
    for answer in ask.paged:
        for key, value in answer.beside.items():
            values = said.setdefault(key, [])
            if not any(one == value and type(one) is type(value) for one in values):
                values.append(value)
    kept: dict[str, tuple[Any, ...]] = {}
    for key, values in said.items():
        if not _may_be_shown(ask, key):
            continue
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        shown = all(_may_be_shown(ask, value) for value in values)
        if numbers and (len(values) > 1 or not shown):
            kept[key] = ()
        elif shown and (len(values) == 1 or all(says_all_is_well(key, value) for value in values)):
            kept[key] = tuple(values)
    return kept


def _may_be_shown(ask: _Asker, value: Any) -> bool:
    """Whether a value is short, and neither a number of a phone nor a secret."""
    if value is None or isinstance(value, bool):
        return True
    if not isinstance(value, (str, int, float)):
        return False
    text = str(value)
    secrets = (*ask.client.settings.secrets(), ask.client.settings.credentials.user_id or "")
    return len(text) <= _LONGEST_VALUE and not _NUMBER.search(text) and scrub(text, secrets) == text


def _hidden(text: str) -> str:
    return _NUMBER.sub("***", text)


def _without_numbers(known: _Known) -> Profile:
    """The profile without names that look like a phone number: a report can be keyed by anything."""
    profile = known.profile
    names = [part for label, key in profile.columns for part in (label, key if isinstance(key, str) else "")]
    if any(_NUMBER.search(name) or len(name) > _LONGEST_VALUE for name in names):
        known.say("rows", "unknown", "names of columns look like numbers or texts, so the profile has no columns.")
        return replace(profile, rows=None, columns=(), further=(), width=None)
    further = tuple(key for key in profile.further if not _NUMBER.search(key) and len(key) <= _LONGEST_VALUE)
    return replace(profile, further=further)


# --- words -----------------------------------------------------------------------------------------------------------


def _begin_alike(rows: Sequence[Record], others: Sequence[Record]) -> bool:
    return bool(rows) and rows[0] == others[0]


def _numbers(numbers: Iterable[int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers)


def _shown(window: Window) -> str:
    return f"{window.local_start:%Y-%m-%d %H:%M} to {window.local_end:%Y-%m-%d %H:%M} ({window.zone.key})"
