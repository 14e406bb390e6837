"""The triggerer's client: the worker's own, in a few threads, and ended as soon as nobody waits for it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import pytest
from support.api import ScriptedServer, client_settings, json_answer
from support.network import SocketServer, read_request

from airflow_provider_callreport.api.async_client import MAX_BYTES, MAX_RETRY_TIME, AsyncCallReportClient
from airflow_provider_callreport.api.errors import ServiceError

SEVEN = json_answer({"cnt": 7})


def silent() -> SocketServer:
    """Takes requests and answers none."""

    def serve(peer: socket.socket, number: int) -> None:
        read_request(peer)
        time.sleep(60)

    return SocketServer(serve)


def is_asking(client: AsyncCallReportClient) -> bool:
    """Whether a thread of the client is at a request."""
    return client._client is not None and bool(client._client._session._under_way)


async def until(client: AsyncCallReportClient, *, asks: bool) -> bool:
    end = time.monotonic() + 10
    while is_asking(client) != asks and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return is_asking(client) == asks


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_wait_that_is_given_up_ends_its_request(how: str) -> None:
    """Airflow cancels triggers; a thread that went on would be missing for the others."""

    async def give_up(url: str) -> float:
        async with AsyncCallReportClient(client_settings(url, timeout=60, deadline=60)) as client:
            asking = asyncio.create_task(client.count({"filter": {}}))
            assert await until(client, asks=True)
            began = time.monotonic()
            if how == "cancel":
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asking, 0.01)
            assert await until(client, asks=False)
            return time.monotonic() - began

    with silent() as server:
        assert asyncio.run(give_up(server.url)) < 1


def test_a_few_threads_serve_many_accounts() -> None:
    """Sixty counts at once need no more than eight threads, and the event loop goes on meanwhile."""

    async def ask(url: str) -> tuple[list[int], int, int]:
        beats, most = 0, 0

        async def beat() -> None:
            nonlocal beats, most
            while True:
                beats += 1
                names = [thread.name for thread in threading.enumerate()]
                most = max(most, sum(name.startswith("callreport-async") for name in names))
                await asyncio.sleep(0.001)

        async def one() -> int:
            async with AsyncCallReportClient(client_settings(url)) as client:
                return await client.count({"filter": {}})

        beating = asyncio.create_task(beat())
        counts = await asyncio.gather(*(one() for _ in range(60)))
        beating.cancel()
        return counts, beats, most

    with ScriptedServer(SEVEN) as server:
        counts, beats, most = asyncio.run(ask(server.url))
        assert counts == [7] * 60
        assert len(server.seen) == 60
    assert 1 <= most <= 8
    assert beats > 10


def test_a_busy_server_does_not_keep_a_thread_for_long() -> None:
    """A wait that would pass the bound ends the trying, whatever the connection allows: the trigger looks again."""

    async def ask(url: str) -> Any:
        async with AsyncCallReportClient(client_settings(url, max_retry_time=3600, max_response_bytes=2**30)) as client:
            assert client.settings.max_retry_time == MAX_RETRY_TIME
            assert client.settings.max_response_bytes == MAX_BYTES
            return await client.count({"filter": {}})

    with ScriptedServer(json_answer({}, 503, Retry_After="60")) as server:
        began = time.monotonic()
        with pytest.raises(ServiceError):
            asyncio.run(ask(server.url))
        assert time.monotonic() - began < 10
        assert len(server.seen) == 1


def test_it_is_used_in_a_block_only() -> None:
    """Outside of one there is no connection, and nobody would close it."""
    with pytest.raises(RuntimeError, match="`async with` block"):
        asyncio.run(AsyncCallReportClient(client_settings("http://127.0.0.1:9")).count({}))
