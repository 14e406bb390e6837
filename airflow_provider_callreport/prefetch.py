"""One page ahead: the next page is fetched while the previous one is written."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: How often a fetching thread whose consumer is gone looks up.
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


def fetched_ahead(source: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """Yield what ``source`` yields, running it in a thread that is up to ``depth`` items ahead.

    An error of ``source`` is raised here, after the items before it. When this generator is closed early, by an error
    of the consumer or by a killed task, the thread ends after the request that it is in.

    Args:
        source: anything that is slow to yield.
        depth: items that wait; memory holds at most ``depth + 2`` of them.
    """
    items: queue.Queue[_Item[T] | _End] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: _Item[T] | _End) -> bool:
        while not stopped.is_set():
            try:
                items.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False

    def fetch() -> None:
        error: BaseException | None = None
        try:
            for value in source:
                if not put(_Item(value)):
                    break
            close = getattr(source, "close", None)
            if close is not None:
                close()
        except BaseException as raised:
            error = raised
        # Whatever happened, or the consumer would wait for ever.
        put(_End(error))

    # The thread runs in a copy of the context, so that logging and Airflow see the task that it works for. It is a
    # daemon: a task that is killed does not wait for an answer that nobody needs.
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(fetch,), name="callreport-fetch", daemon=True
    )
    thread.start()
    try:
        while True:
            item = items.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item.value
    finally:
        stopped.set()
