"""One connection through the proxy: it moves bytes or HTTP messages, and does what the faults say."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from airflow_provider_callreport.sandbox.faults import Fault, Stage, due_faults

#: Set by the stand-in API, for the faults that are for one page.
PAGE_HEADER = "x-sandbox-page"

#: In the addresses of recordings' streams.
_RECORDINGS = "/recording/directstream/"

#: Longest head of a message, and the largest piece of a body that is moved at a time.
HEAD_LIMIT = 1 << 20
_PIECE = 1 << 16

#: Time for bytes that were sent to be read on the other side before a reset overtakes them.
_SETTLE_SECONDS = 0.05

#: LINGER on, for 0 seconds: closing sends a reset instead of an orderly end (socket(7)).
_LINGER_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Stream:
    """Both directions of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, and wait while the other side is slow."""
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """End it in order, after what was sent."""
        self.writer.close()

    def reset(self) -> None:
        """End it with a TCP reset."""
        connection = self.writer.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the other side has ended it; what it still says is dropped."""
        while await self.reader.read(_PIECE):
            pass

    async def drip(self, data: bytes, interval: float) -> None:
        """Send a byte every so many seconds for as long as the other side stays."""
        gone = asyncio.ensure_future(self.gone())
        try:
            for position in range(len(data)):
                await self.send(data[position : position + 1])
                done, _ = await asyncio.wait({gone}, timeout=interval)
                if done:
                    return
        finally:
            gone.cancel()


@dataclass(frozen=True, slots=True)
class Head:
    """The first line and the headers of an HTTP message.

    Attributes:
        raw: as it came, with the empty line.
        first_line: without the line end.
        headers: by lower-case name.
    """

    raw: bytes
    first_line: str
    headers: dict[str, str]

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int:
        """The length of a body that does not come in chunks."""
        return int(self.headers.get("content-length", 0))


class RefuseConnections(Exception):
    """The proxy is to close its port.

    Attributes:
        seconds: for how long.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(seconds)


#: Opens a connection to the server behind the proxy.
Connect = Callable[[], Awaitable[Stream]]


async def relay(client: Stream, connect: Connect, faults: list[Fault], *, http: bool) -> None:
    """Serve one connection to its end.

    Raises:
        RefuseConnections: a fault wants the port closed.
        OSError, asyncio.IncompleteReadError: one of the two sides broke off.
    """
    fault = next(due_faults(faults, Stage.CONNECTION), None)
    match fault.name if fault else None:
        case "reset_on_connect":
            client.reset()
        case "refuse_connections" if fault is not None:
            client.reset()
            raise RefuseConnections(fault["seconds"])
        case "silence":
            await client.gone()
        case None if http:
            await _relay_http(client, connect, faults)
        case _:
            await _relay_bytes(client, await connect(), fault)


async def _relay_bytes(client: Stream, server: Stream, fault: Fault | None) -> None:
    limits: dict[str, int | None] = {"up": None, "down": None}
    interval = None
    if fault is not None and fault.name == "reset_connection":
        limits[fault["direction"]] = fault["after_bytes"]
    elif fault is not None:
        interval = fault["interval"]
    pumps = {
        asyncio.ensure_future(_pump(client, server, limits["up"], None)),
        asyncio.ensure_future(_pump(server, client, limits["down"], interval)),
    }
    try:
        # The first direction to end ends both: no server here is spoken to over a half-closed connection.
        done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        if any(pump.exception() is None and pump.result() for pump in done):
            await asyncio.sleep(_SETTLE_SECONDS)
            client.reset()
            server.reset()
    finally:
        for pump in pumps:
            pump.cancel()
        server.close()


async def _pump(source: Stream, sink: Stream, limit: int | None, interval: float | None) -> bool:
    """Move bytes until the source ends, or a limit is reached; whether it was the limit."""
    moved = 0
    while data := await source.reader.read(_PIECE):
        if limit is not None and moved + len(data) >= limit:
            await sink.send(data[: limit - moved])
            return True
        moved += len(data)
        if interval is None:
            await sink.send(data)
        else:
            for position in range(len(data)):
                await sink.send(data[position : position + 1])
                await asyncio.sleep(interval)
    return False


async def _relay_http(client: Stream, connect: Connect, faults: list[Fault]) -> None:
    server: Stream | None = None
    try:
        while (request := await _read_head(client.reader)) is not None:
            server = server or await connect()
            await server.send(request.raw)
            async for piece in _body(client.reader, request):
                await server.send(piece)
            response = await _read_head(server.reader)
            if response is None:
                return
            fault = next(due_faults(faults, Stage.HTTP, _endpoint(request), _page(response)), None)
            if fault is not None:
                body = b"".join([piece async for piece in _body(server.reader, response)])
                await HTTP_FAULTS[fault.name](fault, client, response, body)
                return
            await client.send(response.raw)
            async for piece in _body(server.reader, response):
                await client.send(piece)
            if "close" in (request.headers.get("connection"), response.headers.get("connection")):
                return
    finally:
        if server is not None:
            server.close()


async def _read_head(reader: asyncio.StreamReader) -> Head | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first_line, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return Head(raw, first_line, {name.strip().lower(): value.strip() for name, _, value in pairs})


async def _body(reader: asyncio.StreamReader, head: Head) -> AsyncIterator[bytes]:
    """The body as it is on the wire, in pieces."""
    if head.chunked:
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
        return
    left = head.length
    while left:
        piece = await reader.read(min(left, _PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


def _endpoint(request: Head) -> str:
    path = request.first_line.split(" ")[1].rstrip("/")
    return "recording" if _RECORDINGS in path else path.rpartition("/")[2]


def _page(response: Head) -> int | None:
    page = response.headers.get(PAGE_HEADER)
    return None if page is None else int(page)


async def _no_answer(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.gone()


async def _reset_before_headers(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    client.reset()


async def _reset_after_headers(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.send(head.raw)
    await asyncio.sleep(_SETTLE_SECONDS)
    client.reset()


async def _reset_mid_body(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.send(head.raw + body[: len(body) // 2])
    await asyncio.sleep(_SETTLE_SECONDS)
    client.reset()


async def _truncated_body(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.send(head.raw + body[: len(body) // 2])


async def _truncated_chunk(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    chunked_head = _without_length(head, "Transfer-Encoding: chunked")
    await client.send(chunked_head + b"%x\r\n" % len(body) + body[: len(body) // 2])


async def _no_length(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.send(_without_length(head, "Connection: close") + body[: int(len(body) * fault["share"])])


def _without_length(head: Head, instead: str) -> bytes:
    lines = head.raw.decode("latin-1").split("\r\n")
    kept = [line for line in lines if line and not line.lower().startswith(("content-length:", "transfer-encoding:"))]
    return "\r\n".join([*kept, instead, "", ""]).encode("latin-1")


async def _slow_body(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.send(head.raw)
    await client.drip(body, fault["interval"])


async def _slow_headers(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.drip(head.raw + body, fault["interval"])


async def _garbage(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.send(b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n")


async def _drop_keepalive(fault: Fault, client: Stream, head: Head, body: bytes) -> None:
    await client.send(head.raw + body)


#: Each sends what its fault makes of the server's answer; the connection is closed afterwards.
HTTP_FAULTS: dict[str, Callable[[Fault, Stream, Head, bytes], Awaitable[None]]] = {
    "no_answer": _no_answer,
    "reset_before_headers": _reset_before_headers,
    "reset_after_headers": _reset_after_headers,
    "reset_mid_body": _reset_mid_body,
    "truncated_body": _truncated_body,
    "truncated_chunk": _truncated_chunk,
    "no_length": _no_length,
    "slow_body": _slow_body,
    "slow_headers": _slow_headers,
    "garbage": _garbage,
    "drop_keepalive": _drop_keepalive,
}
