"""The client for an event loop: what it does goes on in one of a few threads.

The triggerer asks for numbers only, never for rows, and a number is one small request. So a handful of threads serves
many triggers, and the triggerer talks to the API exactly as a worker does.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from types import TracebackType
from typing import Any, TypeVar

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.settings import ClientSettings

T = TypeVar("T")

#: Larger answers hold up the event loop while a thread decodes them, and a number does not need them.
MAX_BYTES = 4 * 1024 * 1024

#: Seconds. A request that is tried again keeps its thread while it waits; after this the trigger decides what to do.
MAX_RETRY_TIME = 30.0

_THREADS = 8


class AsyncCallReportClient:
    """A connection to one account, for an event loop; use it in an ``async with`` block.

    Args:
        settings: where, who, how patiently. Here an answer has at most `MAX_BYTES`, and a request is tried again for at
            most `MAX_RETRY_TIME`.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = replace(
            settings,
            max_response_bytes=min(settings.max_response_bytes, MAX_BYTES),
            max_retry_time=min(settings.max_retry_time, MAX_RETRY_TIME),
        )
        self._client: CallReportClient | None = None

    async def __aenter__(self) -> AsyncCallReportClient:
        # Reading a CA bundle takes as long as a request; the event loop is not kept waiting for it.
        self._client = await _in_thread(CallReportClient, self.settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    async def run(self, function: Callable[[CallReportClient], T]) -> T:
        """What a function makes with the client, in a thread.

        When the caller is cancelled, the client is closed, and with it the thread's request ends.

        Raises:
            CallReportError: one of the tree in `errors`.
        """
        if self._client is None:
            raise RuntimeError("the client is used in an `async with` block only")
        try:
            return await _in_thread(function, self._client)
        except asyncio.CancelledError:
            self._client.close()
            raise

    async def call(self, endpoint: str, fields: Mapping[str, Any], parse: Callable[[Any, bytes], T]) -> T:
        """Make one reading request and return what ``parse`` makes of its answer; see `CallReportClient.call`.

        Raises:
            CallReportError: one of the tree in `errors`.
        """
        return await self.run(lambda client: client.call(endpoint, fields, parse))

    async def count(self, fields: Mapping[str, Any]) -> int:
        """Ask ``reportCount`` how many calls a filter matches; see `CallReportClient.count`.

        Raises:
            AnswerError: the answer holds no number.
        """
        return await self.run(lambda client: client.count(fields))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="callreport-async")


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_threads(), context.run, function, *arguments)
