"""When a request is tried again, and after how long."""

from __future__ import annotations

import email.utils
import logging
import math
import time
from collections.abc import Callable
from datetime import UTC
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_before_delay,
    wait_random_exponential,
)

from airflow_provider_callreport.errors import CallReportError

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Exponential backoff with full jitter: a wait is drawn from 0 to 1, 2, 4, ... and at most 30 seconds.
#: (AWS Architecture Blog, "Exponential Backoff And Jitter".)
_BACKOFF = wait_random_exponential(multiplier=1, max=30)


def retry_after_seconds(header: str | None) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3): seconds or an HTTP date.

    Returns:
        Seconds to wait, 0 for a time that has passed, or None when the header is missing or says nothing usable.
    """
    if header is None:
        return None
    text = header.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):
            return None
        # HTTP dates are GMT, also those that forget to say so.
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = getattr(error, "retry_after", None)
    backoff = float(_BACKOFF(state))
    # The server's wish is a lower bound and never shortens the backoff: a server that always says "0" would be asked
    # without a pause. The jitter on top keeps many mapped tasks from coming back at one instant.
    return backoff if asked is None else max(backoff, asked + min(1.0, backoff))


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, CallReportError) and error.retryable


def call_with_retries(
    request: Callable[[], T],
    *,
    max_retry_time: float,
    before_sleep: Callable[[RetryCallState], None],
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call ``request`` until it succeeds, fails for good, or the next wait would pass ``max_retry_time`` seconds.

    Args:
        request: what to call.
        max_retry_time: seconds.
        before_sleep: called before each wait.
        sleep: waits so many seconds; what it raises ends the trying.

    Raises:
        CallReportError: the last error, as it was.
    """
    start = time.monotonic()
    try:
        return request()
    except CallReportError as error:
        failed = [error]

    # tenacity comes in when the first try has failed: for each page of a report it would take as long as its JSON.
    def first_or_next() -> T:
        if failed:
            raise failed.pop()
        return request()

    retrying = Retrying(
        retry=retry_if_exception(_is_retryable),
        wait=_wait,
        stop=stop_before_delay(max_retry_time - (time.monotonic() - start)),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )
    return retrying(first_or_next)


def log_retry(
    endpoint: str, page: int | None = None, on_retry: Callable[[CallReportError], None] | None = None
) -> Callable[[RetryCallState], None]:
    """A ``before_sleep`` that says in the log what failed.

    Args:
        endpoint: what was asked for.
        page: number of the request within a report, or None.
        on_retry: told of each error after which the request is tried again.
    """

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if on_retry is not None and isinstance(error, CallReportError):
            on_retry(error)
        wait = state.next_action.sleep if state.next_action is not None else 0.0
        log.warning(
            "%s%s failed at try %d (%s); trying again in %.1f s",
            endpoint,
            "" if page is None else f" page {page}",
            state.attempt_number,
            error,
            wait,
        )

    return before_sleep
