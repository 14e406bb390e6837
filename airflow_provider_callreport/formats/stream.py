"""The output of a text format: a plain file, or a gzip file without a time and a name in its header."""

from __future__ import annotations

from collections.abc import Callable
from gzip import GzipFile
from pathlib import Path


class OutputFile:
    """A new file to append bytes to, compressed or not.

    The same data give the same bytes: the gzip header (RFC 1952) has no file name and no modification time.
    """

    def __init__(self, path: Path, *, compress: bool) -> None:
        self._file = path.open("wb")
        self._gzip = (
            GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._file, mtime=0) if compress else None
        )
        self.write: Callable[[bytes], int] = (self._gzip or self._file).write

    def close(self) -> None:
        """Flush and close; safe to call again."""
        try:
            if self._gzip is not None:
                self._gzip.close()
        finally:
            self._file.close()
