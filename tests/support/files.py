"""What the tests of recordings and server-made files share: a server that speaks raw bytes, and some recorded calls."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from airflow_provider_callreport.sandbox.call import Call

NOON = datetime(2026, 3, 13, 12)

#: An MP3 of 2,090 bytes: an empty ID3 tag and ten frames of nothing.
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + (b"\xff\xfb\x50\xc4" + b"\x00" * 204) * 10

Behaviour = Callable[[socket.socket, bytes], None]


def token(number: int, file: str = "") -> str:
    """A recording's token path as the API sends it."""
    return f"canaryrecording{number:04d}*mp3*acme*2026*03*13*{file or f'rec{number}'}.mp3"


def recorded_calls(count: int, *, without: tuple[int, ...] = ()) -> list[Call]:
    """Calls with a recording each, but those whose number is in ``without``."""
    return [
        Call(
            NOON + timedelta(seconds=number),
            call_id=f"20260313call{number:015d}",
            recording="" if number in without else token(number),
        )
        for number in range(count)
    ]


@dataclass(frozen=True)
class Heard:
    """A request as it came: its first line, its head in lower case, its body."""

    line: str
    head: str
    body: bytes


class RawServer:
    """A server on loopback that does to each connection what it is told.

    Args:
        behaviours: what is done to the first, second, ... connection; the last one goes on for ever. Each gets the
            socket and the request's bytes, and leaves the socket to be closed.

    Attributes:
        heard: the requests, in order.
    """

    def __init__(self, *behaviours: Behaviour) -> None:
        self.heard: list[Heard] = []
        self._behaviours = list(behaviours)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._door.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
            threading.Thread(target=self._talk, args=(connection, behaviour), daemon=True).start()

    def _talk(self, connection: socket.socket, behaviour: Behaviour) -> None:
        with connection:
            connection.settimeout(10)
            try:
                request = _request(connection)
                head, _, body = request.partition(b"\r\n\r\n")
                text = head.decode("latin-1")
                self.heard.append(Heard(text.partition("\r\n")[0], text.lower(), body))
                behaviour(connection, request)
            except OSError:
                pass


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answers(
    body: bytes, *, status: str = "200 OK", content_type: str = "audio/mpeg", length: int | None = -1, **headers: str
) -> Behaviour:
    """Answer with a body; ``length`` is what Content-Length says, None to leave it out."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", f"Content-Type: {content_type}"]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()

    def behave(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head + body)

    return behave


def resets(after: bytes = b"") -> Behaviour:
    """Send some bytes, then reset the connection."""

    def behave(connection: socket.socket, request: bytes) -> None:
        if after:
            connection.sendall(after)
            time.sleep(0.05)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def drips(head: bytes, every: float = 0.2) -> Behaviour:
    """Send a head and then a byte at a time."""

    def behave(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"\x00")
            time.sleep(every)

    return behave


def closes(connection: socket.socket, request: bytes) -> None:
    """Close without an answer."""
