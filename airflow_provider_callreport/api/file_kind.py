"""What kind of file some bytes are: the beginning, the end and the content type must agree with what was asked for.

A name or a content type alone proves nothing: an error page is served as ``audio/mpeg`` when its address ends in
``.mp3``, and half a PDF begins like a whole one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_callreport.api.body import SavedBody
from airflow_provider_callreport.api.errors import WrongFileError, scrub

_TAIL = 64 * 1024
_ANY_TYPE = (
    "",
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-download",
    "application/force-download",
)


@dataclass(frozen=True, slots=True)
class FileKind:
    """One kind of file.

    Attributes:
        content_types: MIME types that a server may call it; one that ends with a slash stands for all below it.
        begins: whether the first bytes are such a file's.
        ends: whether the last bytes are such a file's; kinds without an end of their own always say yes.
    """

    content_types: tuple[str, ...]
    begins: Callable[[bytes], bool]
    ends: Callable[[bytes], bool] = lambda tail: True


def _is_mp3(head: bytes) -> bool:
    """An ID3v2 tag, or the header of an MPEG audio frame (ISO/IEC 11172-3, 2.4.1.3; no reserved value in it)."""
    if head.startswith(b"ID3"):
        return True
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and bit_rate not in (0, 15) and sample_rate != 3


#: Every kind, by its name.
FILE_KINDS: dict[str, FileKind] = {
    "pdf": FileKind(
        ("application/pdf", "application/x-pdf"),
        # Readers accept the mark within the first kilobyte (PDF 1.7, Annex H, 3.4.1), and the end likewise.
        lambda head: b"%PDF-" in head[:1024],
        lambda tail: b"%%EOF" in tail[-1024:],
    ),
    "mp3": FileKind(("audio/",), _is_mp3),
}


def check_kind(body: SavedBody, name: str, what: str) -> None:
    """Refuse a body that is not a whole file of a kind, as far as that can be seen.

    Args:
        body: what came.
        name: a key of `FILE_KINDS`.
        what: what it is, for the message.

    Raises:
        WrongFileError: it is not.
    """
    kind = FILE_KINDS[name]
    if body.fault is not None:
        raise WrongFileError(f"{what} came as {body.fault}; a {name} file was expected")
    if not kind.begins(body.head):
        raise WrongFileError(f"{what} does not begin like a {name} file")
    if not kind.ends(_tail(body.path)):
        raise WrongFileError(f"{what} does not end like a whole {name} file")
    allowed = (*_ANY_TYPE, *kind.content_types)
    if not any(
        body.content_type == one or (one.endswith("/") and body.content_type.startswith(one)) for one in allowed
    ):
        raise WrongFileError(
            f"{what} has the content type {scrub(body.content_type)!r}; allowed for {name} are "
            f"{', '.join(kind.content_types)} and application/octet-stream"
        )


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read()
