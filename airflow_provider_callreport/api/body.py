"""An answer's body in a file: bounded while it comes, hashed, and looked at afterwards.

What a server sends where a file is expected may be the file, an error in JSON, a link in JSON, or a page of HTML. So a
body goes to disk first, whatever it is, and is judged there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airflow_provider_callreport.api.errors import AnswerError, AnswerTooLargeError, FileError, scrub
from airflow_provider_callreport.api.values import whole_number
from airflow_provider_callreport.spool import private_file

#: Read at a time. gzip unpacks to a thousand times its size at most, and not every urllib3 stops before the whole
#: piece is unpacked, so this bounds what a hostile answer costs beyond the limit.
CHUNK = 16 * 1024

#: Encodings that are unpacked; others pack better than 1:1000, and several of them multiply.
ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})

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
        AnswerError: its encoding is unknown.
        FileError: the reading was stopped.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ENCODINGS:
        raise AnswerError(f"{what} came with the Content-Encoding {scrub(encoding)!r}; allowed are gzip and none")
    promised = whole_number(response.headers.get("Content-Length"))
    too_large = f"{what} has more than the {max_bytes} bytes that are allowed"
    if promised is not None and promised > max_bytes:
        raise AnswerTooLargeError(too_large)
    digest, size, head = hashlib.sha256(), 0, b""
    with private_file(path).open("wb") as file:
        for chunk in response.iter_content(CHUNK):
            if stopped():
                raise FileError(f"{what}: the reading was stopped")
            size += len(chunk)
            if size > max_bytes:
                raise AnswerTooLargeError(too_large)
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
