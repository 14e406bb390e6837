"""The bytes that are sent: read once, in parts, and compared with the SHA-256 that the export took."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from airflow_provider_callreport.delivery.errors import FileChangedError
from airflow_provider_callreport.report import ExportedFile


@dataclass(frozen=True, slots=True)
class Body:
    """What one object is to hold.

    Attributes:
        size: its bytes.
        sha256: its SHA-256, lower-case hex.
        content: reads the bytes once, in parts of the size that it is given; raises `FileChangedError` instead of
            ending when they are not the bytes of `sha256`.
        part_bytes: bytes of a part. What is not larger than one part is sent in one request.
    """

    size: int
    sha256: str
    content: Callable[[int], Iterator[bytes]]
    part_bytes: int

    @property
    def in_parts(self) -> bool:
        """Whether it takes more than one part."""
        return self.size > self.part_bytes

    def parts(self) -> Iterator[bytes]:
        """The parts in order; one, perhaps empty, for what is sent in one request."""
        parts = self.content(self.part_bytes)
        return parts if self.in_parts else iter((b"".join(parts),))


def body_of(file: ExportedFile, part_bytes: int) -> Body:
    """The body that is a finished file.

    Args:
        file: the file.
        part_bytes: bytes of a part.
    """
    return Body(file.bytes, file.sha256, partial(verified_parts, file), part_bytes)


def verified_parts(file: ExportedFile, size: int) -> Iterator[bytes]:
    """Read the file once, in parts; end with `FileChangedError` instead of ending when it is not the hashed file.

    Args:
        file: the finished file.
        size: bytes of a part; the last one may have fewer.

    Raises:
        FileChangedError: its size or SHA-256 is not the export's, or it can no longer be read.
    """
    changed = (
        f"{file.filename} on disk is not the file that was exported (its size or SHA-256 differs); nothing was written."
    )
    digest = hashlib.sha256()
    total = 0
    try:
        with file.path.open("rb") as source:
            while part := source.read(size):
                total += len(part)
                if total > file.bytes:
                    raise FileChangedError(changed)
                digest.update(part)
                yield part
    except OSError as error:
        raise FileChangedError(f"{file.filename} can no longer be read ({error.strerror}).") from error
    if total != file.bytes or digest.hexdigest() != file.sha256:
        raise FileChangedError(changed)
