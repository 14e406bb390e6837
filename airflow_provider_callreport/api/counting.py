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

from airflow_provider_callreport.api.answer import parse_answer
from airflow_provider_callreport.api.answer_check import read_count
from airflow_provider_callreport.api.errors import AnswerError, RequestRejectedError, SettingsError
from airflow_provider_callreport.api.filters import REPORTS, Window, build_filter
from airflow_provider_callreport.api.paging import split
from airflow_provider_callreport.api.settings import DEFAULT_PAGE_SIZE
from airflow_provider_callreport.api.totals import is_capped
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
    api_filter = build_filter(filters, window)
    if api_filter is None:
        return CallCount(0, True, "rows")
    if report == "calls" and (number := _report_count(client, filters, window, [_MAX_REQUESTS])) is not None:
        return CallCount(number, not is_capped(number), "reportCount")
    size = min(up_to, client.settings.page_size or DEFAULT_PAGE_SIZE)
    answer = client.call(REPORTS[report], {"filter": api_filter, "sz": size, "page": 0}, parse_answer)
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


def _report_count(client: CallReportClient, filters: Mapping[str, Any], window: Window, left: list[int]) -> int | None:
    """What ``reportCount`` says; None where it says no number, or does not exist. A capped number is counted in parts.

    Args:
        client: the account.
        filters: API filter keys.
        window: which calls.
        left: how many requests may still be made.
    """
    api_filter = build_filter(filters, window)
    if api_filter is None:
        return 0
    left[0] -= 1
    try:
        number = client.call("reportCount", {"filter": api_filter}, _number_or_none)
    except RequestRejectedError as error:
        if error.http_status not in (404, 405) or error.code is not None:
            raise
        return None
    parts = split(window, 2) if number is not None and is_capped(number) and left[0] >= 2 else []
    whole = 0
    for part in parts:
        counted = _report_count(client, filters, part, left)
        if counted is None or is_capped(counted):
            # No more requests, or too many calls in one second: the capped number is all that is known.
            return number
        whole += counted
    return whole if parts else number


def _number_or_none(payload: Any, raw: bytes) -> int | None:
    try:
        return read_count(payload)
    except AnswerError:
        return None
