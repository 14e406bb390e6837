"""Requests that are under way while the caller works on an earlier answer: one of them, or several side by side.

`Lookahead` knows nothing of pages. A caller gives each request a key, asks for it early, and takes its answer when it
wants it.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

from airflow_provider_callreport.api.errors import CallReportError, RateLimitedError, TimeoutExceededError

T = TypeVar("T")

#: After so many answers in a row without trouble, one more request may be under way again.
_CALM = 20


class Lookahead(Generic[T]):
    """Starts requests before their answers are wanted.

    Requests run in a few daemon threads, which do not hold up the end of the process. They stay until `close`: memory
    that a thread took and left behind is dear to reuse, and with a thread for each request a reading took half as much
    CPU time again. The width adapts: each `trouble` halves it, and a calm stretch widens it by one again, up to
    ``width``.

    One thread calls `ask`, `answer` and `close`. Any thread may call `trouble`.

    Args:
        width: the most answers that are under way, or have come and were not taken; 1 or more.
    """

    def __init__(self, width: int) -> None:
        self._process = os.getpid()
        self._most = width
        self._width = width
        self._calm = 0
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[T]] = {}
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0

    def ask(self, key: Hashable, request: Callable[[], T]) -> bool:
        """Start a request, unless it is under way already or there is no room.

        Args:
            key: what `answer` asks for it with. It names everything that makes this request another one.
            request: makes the request. It runs with a copy of the caller's context variables.

        Returns:
            Whether it is under way now.
        """
        self._look_for_a_fork()
        if key in self._under_way:
            return True
        if len(self._under_way) >= self._width:
            return False
        future: Future[T] = Future()
        self._under_way[key] = future
        if self._threads < len(self._under_way):
            self._threads += 1
            threading.Thread(target=_serve, args=(self._work,), name="callreport-lookahead", daemon=True).start()
        self._work.put(partial(_run, future, contextvars.copy_context(), request))
        return True

    def answer(self, key: Hashable, request: Callable[[], T]) -> T:
        """Wait for a request's answer; make the request in this thread if it is not under way.

        Raises:
            Exception: what ``request`` raised. It waits until its answer is asked for.
        """
        self._look_for_a_fork()
        future = self._under_way.pop(key, None)
        answer = request() if future is None else future.result()
        self._went_well()
        return answer

    def close(self, patience: float = 0.0) -> None:
        """Give up all that was asked for and not taken. It ends by itself, at once when the client is closed.

        Args:
            patience: how many seconds to wait until it has ended.
        """
        futures = list(self._under_way.values())
        self._under_way.clear()
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = 0
        if patience and futures:
            wait(futures, patience)

    def trouble(self, error: CallReportError) -> None:
        """Take note of an error after which a request is tried again. A server that has enough gets half as much."""
        if isinstance(error, (RateLimitedError, TimeoutExceededError)):
            with self._lock:
                self._width, self._calm = max(1, self._width // 2), 0

    def _look_for_a_fork(self) -> None:
        """A child process has no threads of its parent: what was under way there does not come here."""
        if self._process != os.getpid():
            Lookahead.__init__(self, self._most)

    def _went_well(self) -> None:
        with self._lock:
            self._calm += 1
            if self._calm >= _CALM and self._width < self._most:
                self._width, self._calm = self._width + 1, 0


def _serve(work: SimpleQueue[Callable[[], None] | None]) -> None:
    while (run := work.get()) is not None:
        run()
        # Or the last answer would be held until the next request.
        del run


def _run(future: Future[T], context: contextvars.Context, request: Callable[[], T]) -> None:
    try:
        future.set_result(context.run(request))
    except BaseException as error:
        future.set_exception(error)
