"""An answer's body in a file: bounded while it comes, hashed, and looked at afterwards.

What a server sends where a file is expected may be the file, an error in JSON, a link in JSON, or a page of HTML. So a
body goes to disk first, whatever it is, and is judged there.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airflow_provider_callreport.api.errors import (
    AnswerError,
    AnswerTooLargeError,
    FileError,
    TransportError,
    scrub,
)
from airflow_provider_callreport.api.values import whole_number
from airflow_provider_callreport.spool import private_file

#: The most bytes in a piece of a body, read or unpacked.
_CHUNK = 128 * 1024

#: Encodings that are unpacked; others pack better than 1:1000, and several of them multiply.
_PLAIN = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})

#: A gzip body may be several members one behind the other (RFC 1952, 2.2); servers send one.
_MAX_MEMBERS = 1000
_GZIP_MAGIC = b"\x1f\x8b"

#: Bytes kept from the beginning, to see what it is.
_HEAD = 4096

#: An error in JSON is small; a longer body is the file.
_MAX_JSON = 1024 * 1024

_JSON_TYPES = frozenset({"application/json", "text/json"})
_BLANK = b"\xef\xbb\xbf \t\r\n"


@dataclass(frozen=True, slots=True)
class SavedBody:
    """A body as it lies on disk.

    Attributes:
        path: where.
        size: its bytes, unpacked.
        sha256: its SHA-256, lower-case hex.
        content_type: the answer's MIME type in lower case, without parameters; empty when it gave none.
        head: its first bytes.
        proved: whether a Content-Length or the chunked coding told that nothing is missing at its end.
    """

    path: Path
    size: int
    sha256: str
    content_type: str
    head: bytes
    proved: bool

    @property
    def fault(self) -> str | None:
        """Why a body that is not JSON (`decode_saved`) cannot be a file either, or None."""
        start = self.head.lstrip(_BLANK)[:1]
        if not start:
            return "an empty body"
        if start == b"<":
            return "an HTML page instead of a file"
        if start == b"{" or self.content_type in _JSON_TYPES:
            return "JSON that is cut off or broken"
        return None


def body_pieces(response: requests.Response, limit: int, what: str, too_large: str) -> Iterator[bytes]:
    """The body of a streamed answer, unpacked, in pieces of bounded size.

    Args:
        response: the answer, not read yet.
        limit: the largest body in bytes, on the wire and unpacked.
        what: what it is, for messages.
        too_large: what to say when it is larger.

    Raises:
        AnswerTooLargeError: it is larger.
        AnswerError: its encoding is unknown, or its end is missing.
        TransportError: it cannot be unpacked.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    wire = response.raw.stream(_CHUNK, decode_content=False)
    if encoding in _PLAIN:
        yield from _bounded(wire, limit, too_large)
    elif encoding in _GZIP or encoding == "deflate":
        # Members of a gzip body may unpack to nothing, so that both sides have to be counted.
        yield from _bounded(_unpacked(_bounded(wire, limit, too_large), encoding, what), limit, too_large)
    else:
        raise AnswerError(f"{what} came with the Content-Encoding {scrub(encoding)!r}; allowed are gzip and none")


def _bounded(pieces: Iterable[bytes], limit: int, too_large: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise AnswerTooLargeError(too_large)
        yield piece


def _unpacked(pieces: Iterable[bytes], encoding: str, what: str) -> Iterator[bytes]:
    """Gzip or deflate data, unpacked, in pieces of at most `_CHUNK` bytes; what follows its end is left out."""
    unpacker, started, members = _unpacker(encoding, b""), False, 1
    for piece in pieces:
        if not started and piece:
            unpacker, started = _unpacker(encoding, piece), True
        while piece:
            if unpacker.eof:
                if not piece.startswith(_GZIP_MAGIC[: len(piece)]) or encoding not in _GZIP:
                    return
                members += 1
                if members > _MAX_MEMBERS:
                    raise AnswerError(f"{what} came as more than {_MAX_MEMBERS} pieces of gzip; one is usual")
                unpacker = _unpacker(encoding, piece)
            try:
                yield unpacker.decompress(piece, _CHUNK)
            except zlib.error:
                if members > 1:
                    # What follows the end and only begins like gzip is left out as well.
                    return
                raise TransportError(
                    f"{what} came with the Content-Encoding {encoding}, and its body is not packed that way; a proxy "
                    "between this worker and the server may have unpacked it"
                ) from None
            piece = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if started and not unpacker.eof:
        raise AnswerError(f"{what} came as {encoding} data without its end, so that the rest of it is missing")


def _unpacker(encoding: str, start: bytes) -> zlib._Decompress:
    if encoding in _GZIP:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    # "deflate" is zlib data by RFC 9110, 8.4.1.2, and bare deflate data by some servers. zlib data begins with a method
    # of 8 and, from its second byte on, is a multiple of 31 (RFC 1950, 2.2).
    is_zlib = len(start) > 1 and start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0
    return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def save_body(
    response: requests.Response,
    path: Path,
    max_bytes: int,
    what: str,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> SavedBody:
    """Write a streamed answer's body to ``path``.

    Args:
        response: the answer, not read yet.
        path: a file in a private directory; overwritten, with mode 0600.
        max_bytes: the largest body, on the wire and unpacked.
        what: what it is, for messages.
        stopped: asked between two pieces; True ends the reading.

    Raises:
        AnswerTooLargeError: it is larger.
        AnswerError: its encoding is unknown, or its end is missing.
        TransportError: it cannot be unpacked.
        FileError: the reading was stopped.
    """
    promised = whole_number(response.headers.get("Content-Length"))
    too_large = f"{what} has more than the {max_bytes} bytes that are allowed"
    if promised is not None and promised > max_bytes:
        raise AnswerTooLargeError(too_large)
    digest, size, head = hashlib.sha256(), 0, b""
    with private_file(path).open("wb") as file:
        for chunk in body_pieces(response, max_bytes, what, too_large):
            if stopped():
                raise FileError(f"{what}: the reading was stopped")
            size += len(chunk)
            if len(head) < _HEAD:
                head = (head + chunk)[:_HEAD]
            digest.update(chunk)
            file.write(chunk)
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    proved = promised is not None or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return SavedBody(path, size, digest.hexdigest(), content_type, head, proved)


def decode_saved(body: SavedBody, decode: Callable[[bytes], Any], max_bytes: int = _MAX_JSON) -> tuple[bool, Any]:
    """Whether a saved body is an answer in JSON, and what it says.

    A bare number or text counts only where the answer does not call it a file: ``123`` may be a CSV file of one cell.

    Args:
        body: the saved body.
        decode: reads JSON, and raises `AnswerError` when it is none.
        max_bytes: the longest body that is read as JSON.
    """
    start = body.head.lstrip(_BLANK)[:1]
    bare = start.isdigit() or start in (b'"', b"t", b"f", b"n", b"-")
    called_a_file = body.content_type not in {"", "text/plain", "text/html", *_JSON_TYPES}
    if body.size > max_bytes or not (start in (b"{", b"[") or (bare and not called_a_file)):
        return False, None
    try:
        return True, decode(body.path.read_bytes())
    except AnswerError:
        return False, None
