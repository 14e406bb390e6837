"""A TCP proxy that breaks connections on purpose: what a network does and no web framework can be made to do.

In front of the stand-in API it understands HTTP/1.1 as far as framing goes (requests with a Content-Length or in
chunks, keep-alive), so a fault hits one request on a connection and not its neighbours. In front of any other server
(S3, SMTP) it moves bytes, and only the faults of `Stage.CONNECTION` apply.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.wire import HEAD_LIMIT, RefuseConnections, Stream, relay

T = TypeVar("T")

_LOOPBACK = "127.0.0.1"
_CALL_SECONDS = 10.0


class TcpProxy:
    """A proxy on a port of this machine, in a thread of this process, from ``with`` to the end of the block.

    Example::

        with SandboxSmtp() as smtp, TcpProxy(smtp.host, smtp.port, faults=[Fault("reset_on_connect")]) as proxy:
            ...  # connect to proxy.host, proxy.port

    Args:
        target_host, target_port: the server behind it.
        faults: what goes wrong: a sequence, or a function that gives the list of the moment.
        http: whether HTTP is spoken. Without it the faults of `Stage.HTTP` have no effect.
        port: 0 for a free one.
    """

    def __init__(
        self,
        target_host: str,
        target_port: int,
        *,
        faults: Sequence[Fault] | Callable[[], list[Fault]] = (),
        http: bool = False,
        port: int = 0,
    ) -> None:
        self.host = _LOOPBACK
        self.port = port
        self.faults: list[Fault] = [] if callable(faults) else list(faults)
        self._faults = faults if callable(faults) else lambda: self.faults
        self._target = (target_host, target_port)
        self._http = http
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._closed_door: socket.socket | None = None
        self._refusal: asyncio.Task[None] | None = None
        self._connections: dict[asyncio.Task[None], Stream] = {}

    @property
    def url(self) -> str:
        """Its base URL, where HTTP is spoken."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start to take connections.

        Raises:
            OSError: the port is taken.
        """
        door = _bind(self.host, self.port)
        self.port = door.getsockname()[1]
        self._thread.start()
        self._run(self._open(door))

    def stop(self) -> None:
        """Cut all connections and free the port."""
        if not self._thread.is_alive():
            return
        self._run(self._close())
        if self._closed_door is not None:
            self._closed_door.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Inside the block the port is closed: open connections are reset and new ones refused (ECONNREFUSED)."""
        self._run(self._shut())
        try:
            yield
        finally:
            self._run(self._reopen())

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_SECONDS)

    async def _open(self, door: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=door, limit=HEAD_LIMIT)

    async def _close(self) -> None:
        if self._refusal is not None and self._refusal is not asyncio.current_task():
            self._refusal.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        for task, client in list(self._connections.items()):
            client.reset()
            task.cancel()
        if self._connections:
            await asyncio.wait(set(self._connections))

    async def _shut(self) -> None:
        # A socket that is bound and does not listen keeps the port ours and refuses whoever knocks.
        await self._close()
        self._closed_door = _bind(self.host, self.port)

    async def _reopen(self) -> None:
        if self._closed_door is not None:
            door, self._closed_door = self._closed_door, None
            await self._open(door)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Stream(reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = client
        try:
            # A connection that breaks, on either side or by a fault, is what this server is for.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await relay(client, self._connect, self._faults(), http=self._http)
        except RefuseConnections as refusal:
            self._refusal = asyncio.create_task(self._refuse_for(refusal.seconds))
        finally:
            del self._connections[task]
            client.close()

    async def _refuse_for(self, seconds: float) -> None:
        await self._shut()
        await asyncio.sleep(seconds)
        await self._reopen()

    async def _connect(self) -> Stream:
        return Stream(*await asyncio.open_connection(*self._target, limit=HEAD_LIMIT))


def _bind(host: str, port: int) -> socket.socket:
    """A socket that holds the port and does not listen yet."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
