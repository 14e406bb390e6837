"""Pages side by side: several requests under way at once, answers in order.

Only pages by number can be asked for ahead; a cursor is known when its page has come. Nothing is asked for beyond the
last page that the API's total promises, so that reading side by side makes no request more than reading in turn.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from airflow_provider_callreport.api.answer import Answer
from airflow_provider_callreport.api.errors import CallReportError, RateLimitedError, TimeoutExceededError

#: After so many answers in a row without trouble, one more request may be under way again.
_CALM = 20


class Lookahead:
    """Asks for the next pages while the present one is worked on.

    The width adapts: each sign that the server has enough (HTTP 429, a timeout) halves it, a calm stretch widens it by
    one, up to ``concurrency``.

    Args:
        ask: asks for one page by its number and calls the second argument with each error that is tried again.
        concurrency: requests under way at once, 1 or more.
    """

    def __init__(self, ask: Callable[[int, Callable[[CallReportError], None]], Answer], concurrency: int) -> None:
        self._ask = ask
        self._most = concurrency
        self._width = concurrency
        self._calm = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="callreport-page")
        self._under_way: dict[int, Future[Answer]] = {}

    def answer(self, page: int, last: int) -> Answer:
        """The answer of ``page``; pages up to ``last`` may be asked for ahead.

        Raises:
            CallReportError: of this page; later pages' errors wait for their turn.
        """
        for number in range(page, min(page + self._width, last + 1)):
            if number not in self._under_way:
                context = contextvars.copy_context()
                self._under_way[number] = self._pool.submit(context.run, self._ask, number, self._trouble)
        answer = self._under_way.pop(page).result()
        self._went_well()
        return answer

    def close(self) -> None:
        """Ask for nothing more; requests that are under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _trouble(self, error: CallReportError) -> None:
        if isinstance(error, (RateLimitedError, TimeoutExceededError)):
            with self._lock:
                self._width, self._calm = max(1, self._width // 2), 0

    def _went_well(self) -> None:
        with self._lock:
            self._calm += 1
            if self._calm >= _CALM and self._width < self._most:
                self._width, self._calm = self._width + 1, 0
