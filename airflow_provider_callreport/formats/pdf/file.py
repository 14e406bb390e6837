"""The PDF container: numbered objects, written to disk as they come, and the table that finds them.

Written from ISO 32000-1 (PDF 1.7), section 7.5. An object is on disk as soon as it is given; only its offset stays in
memory, so a document of any length costs a few bytes an object.
"""

from __future__ import annotations

import hashlib
import zlib
from datetime import datetime
from pathlib import Path


def pdf_number(value: float) -> str:
    """A coordinate for a content stream: at most two decimals, never an exponent."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def pdf_literal(text: str) -> str:
    """The inside of a PDF string literal. ``text`` holds bytes as Latin-1 characters."""
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").replace("\r", r"\r")


def pdf_text(text: str) -> str:
    """A text string for titles and outlines: ASCII as it is, anything else as UTF-16 (ISO 32000-1, 7.9.2.2)."""
    if text.isascii() and text.isprintable():
        return f"({pdf_literal(text)})"
    return f"<feff{text.encode('utf-16-be', 'replace').hex()}>"


def pdf_date(moment: datetime) -> str:
    """A date string (ISO 32000-1, 7.9.4) with the zone of ``moment``, which must be aware."""
    offset = moment.strftime("%z")
    return f"(D:{moment:%Y%m%d%H%M%S}{offset[:3]}'{offset[3:5]}')"


class PdfFile:
    """A PDF file that is being written.

    Objects are known by their number. A number can be taken before its object is written (`reserve`), which is how a
    page points at fonts and totals that are known only at the end.
    """

    def __init__(self, path: Path) -> None:
        """Create or empty the file at ``path``."""
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._position = 0
        self._offsets: list[int] = []
        # The second line's bytes above 127 tell transfer programs that the file is binary (ISO 32000-1, 7.5.2).
        self._put(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def reserve(self) -> int:
        """Take the next object number; its object must be written later."""
        self._offsets.append(-1)
        return len(self._offsets)

    def add(self, body: str, number: int | None = None) -> int:
        """Write an object and return its number, by default the next free one."""
        return self._object(body.encode("latin-1"), number)

    def add_stream(self, data: bytes, entries: str = "", number: int | None = None) -> int:
        """Write a compressed stream with further dictionary ``entries`` and return its number."""
        packed = zlib.compress(data, 6)
        head = f"<<{entries}/Filter/FlateDecode/Length {len(packed)}>>\nstream\n".encode("latin-1")
        return self._object(head + packed + b"\nendstream", number)

    def finish(self, root: int, info: int) -> None:
        """Write the cross-reference table and the trailer, and close the file.

        The file identifier is a digest of what was written, so that equal documents have equal identifiers.
        """
        missing = [number for number, offset in enumerate(self._offsets, 1) if offset < 0]
        if missing:
            raise RuntimeError(f"PDF objects {missing} were reserved and never written")
        start = self._position
        identifier = self._digest.hexdigest()[:32]
        entries = "".join(f"{offset:010} 00000 n \n" for offset in self._offsets)
        size = len(self._offsets) + 1
        self._put(
            f"xref\n0 {size}\n0000000000 65535 f \n{entries}trailer\n"
            f"<</Size {size}/Root {root} 0 R/Info {info} 0 R/ID[<{identifier}><{identifier}>]>>\n"
            f"startxref\n{start}\n%%EOF\n".encode()
        )
        self.close()

    def close(self) -> None:
        """Release the file handle; safe to call twice."""
        self._file.close()

    def _object(self, body: bytes, number: int | None) -> int:
        number = number or self.reserve()
        self._offsets[number - 1] = self._position
        self._put(b"%d 0 obj\n%b\nendobj\n" % (number, body))
        return number

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._position += len(data)
