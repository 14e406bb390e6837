"""How many calls a filter matches, in one or two small requests and without a row kept.

Where the number comes from:

1. ``calls``: ``reportCount``. Its answer is not documented; where it holds no number, or the endpoint is not there,
   step 2 is next. Whether it counts masked calls nobody knows, so ``masked_calls`` begin with step 2.
2. One page of the report itself. ``cnt`` may be the total, this page's own length, or missing. So it is taken for the
   total only where it is larger than the page; else the page's rows, which are certain, are the number. The page is
   asked to be as long as the number that is waited for, so that the rows alone can be enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.api.answer import Answer, parse_answer
from airflow_provider_callreport.api.answer_check import read_count, says_all_is_well
from airflow_provider_callreport.api.errors import AnswerError, RequestRejectedError, SettingsError, scrub
from airflow_provider_callreport.api.filters import REPORTS, Window, build_filter
from airflow_provider_callreport.api.profile import Profile, learn_form
from airflow_provider_callreport.api.reading import split
from airflow_provider_callreport.api.settings import DEFAULT_PAGE_SIZE, ClientSettings
from airflow_provider_callreport.api.totals import is_capped
from airflow_provider_callreport.api.window_check import WindowCheck
from airflow_provider_callreport.report import span_json

if TYPE_CHECKING:
    from airflow_provider_callreport.api.client import CallReportClient

#: Requests that one count may take: a number at which the server stops counting is counted again in parts.
_MAX_REQUESTS = 64


@dataclass(frozen=True, slots=True)
class CallCount:
    """A number of calls and what it is worth.

    Attributes:
        calls: the number.
        exact: whether it is all of them; else there are at least so many.
        source: ``"reportCount"``, ``"cnt"`` or ``"rows"``.
    """

    calls: int
    exact: bool
    source: str

    def __str__(self) -> str:
        return f"{'' if self.exact else 'at least '}{self.calls} calls (by {self.source})"


def window_json(window: Window) -> dict[str, str]:
    """A window as XCom values and events hold it: ``start``, ``end`` (ISO 8601) and ``timezone``."""
    return span_json(window.local_start, window.local_end, window.zone.key)


def count_calls(
    client: CallReportClient, report: str, filters: Mapping[str, Any], window: Window, *, up_to: int = 1
) -> CallCount:
    """Count.

    Args:
        client: the account.
        report: ``"calls"`` or ``"masked_calls"``.
        filters: API filter keys.
        window: which calls.
        up_to: the number that matters to the caller; beyond it the count need not be exact.

    Raises:
        SettingsError: the API gives no total, and ``up_to`` is more than a page holds.
        CallReportError: the API does not answer.
    """
    return _count(client, report, filters, window, up_to, [_MAX_REQUESTS])


def check_alone(answer: Answer, window: Window, settings: ClientSettings) -> None:
    """Hold an answer that comes alone against what is known: its rows, their times, and what stands beside them.

    Raises:
        AnswerError: its calls are off the window, or it has no rows and a key that nobody knows.
        TableError: its rows cannot be read.
    """
    profile = Profile.parse(settings.profile)
    if not answer.records:
        known = {} if profile is None else profile.beside
        strange = [key for key, value in answer.beside.items() if not says_all_is_well(key, value)]
        strange = [key for key in strange if key not in known and key not in settings.empty_answer]
        if strange:
            raise AnswerError(
                f"the answer has no rows and the key {scrub(strange[0])[:60]!r}, which is not documented; where this "
                "account's empty answers carry it, say so in the connection's extra field empty_answer"
            )
        return
    form, found = learn_form(answer.records, answer.column_arr, window, pinned=profile)
    check = WindowCheck(window, settings.window_slack)
    check.add(form.times(found, window.zone))
    check.finish()


def _count(
    client: CallReportClient, report: str, filters: Mapping[str, Any], window: Window, up_to: int, left: list[int]
) -> CallCount:
    """One window; a capped number is counted again in parts, while ``left`` requests may still be made."""
    api_filter = build_filter(filters, window)
    if api_filter is None:
        return CallCount(0, True, "rows")
    count = _count_once(client, report, api_filter, window, up_to, left)
    parts = split(window, 2) if not count.exact and is_capped(count.calls) and left[0] >= 4 else []
    whole = 0
    for part in parts:
        counted = _count(client, report, filters, part, up_to, left)
        if not counted.exact:
            # No more requests, or too many calls in one second: the capped number is all that is known.
            return count
        whole += counted.calls
    return CallCount(whole, True, count.source) if parts else count


def _count_once(
    client: CallReportClient,
    report: str,
    api_filter: Mapping[str, Any],
    window: Window,
    up_to: int,
    left: list[int],
) -> CallCount:
    if report == "calls":
        left[0] -= 1
        if (number := _report_count(client, api_filter)) is not None:
            return CallCount(number, not is_capped(number), "reportCount")
    left[0] -= 1
    size = min(up_to, client.settings.page_size or DEFAULT_PAGE_SIZE)
    answer = client.call(REPORTS[report], {"filter": api_filter, "sz": size, "page": 0}, parse_answer)
    check_alone(answer, window, client.settings)
    rows, total = len(answer.records), answer.count
    if total is not None and total > rows:
        return CallCount(total, not is_capped(total), "cnt")
    if size <= rows < up_to:
        raise SettingsError(
            f"the API gives no total of {report}, and only the {size} calls of one page can be counted; "
            f"wait for at most that many, not {up_to}, or raise page_size in the connection"
        )
    # A server may answer fewer rows than it was asked for, and cnt may be their number: only "none" is certain.
    return CallCount(rows, rows == 0, "rows")


def _report_count(client: CallReportClient, api_filter: Mapping[str, Any]) -> int | None:
    """What ``reportCount`` says; None where it says no number, or does not exist."""
    try:
        return client.call("reportCount", {"filter": api_filter}, _number_or_none)
    except RequestRejectedError as error:
        if error.http_status not in (404, 405) or error.code is not None:
            raise
        return None


def _number_or_none(payload: Any, raw: bytes) -> int | None:
    try:
        return read_count(payload)
    except AnswerError:
        return None
