"""The one rule for characters that a file cannot hold, so that all formats show the same text.

=========================================  ==========================================
in the data                                in every file
=========================================  ==========================================
C0 control (U+0000-001F; not TAB, LF, CR)  its control picture: U+0000 is shown as ``␀``
lone surrogate, U+FFFE, U+FFFF             ``U+FFFD``, the replacement character
surrogate pair that was split in two       the character that the pair stands for
anything else                              itself
=========================================  ==========================================

CSV, JSON and Parquet can hold more of them than XML 1.0, the grammar of XLSX. But then the formats would differ, and a
NUL in a CSV stops PostgreSQL, Spark and older Pythons. The pictures are visible, and say which character it was.
"""

from __future__ import annotations

import re

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PICTURES = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A, 0x0D)} | {
    0xFFFE: 0xFFFD,
    0xFFFF: 0xFFFD,
}
_CONTROL_BYTES = bytes(code for code in _PICTURES if code < 0x20)
_NONCHARACTERS = tuple(character.encode() for character in "\ufffe\uffff")


def clean(text: str) -> str:
    """Return ``text`` with every character that some format cannot hold replaced by a visible one."""
    if not _UNFIT.search(text):
        return text
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.translate(_PICTURES)


def is_clean(encoded: bytes) -> bool:
    """Whether `clean` would replace nothing in UTF-8 bytes. Fast enough for whole pages."""
    return len(encoded.translate(None, _CONTROL_BYTES)) == len(encoded) and not any(
        character in encoded for character in _NONCHARACTERS
    )


def encode(text: str) -> bytes:
    """Return the UTF-8 bytes of ``clean(text)``; several times faster when nothing has to be replaced."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # a surrogate
        return clean(text).encode()
    return encoded if is_clean(encoded) else clean(text).encode()


def one_line(text: str, longest: int = 200) -> str:
    """Return a cleaned text for a title or a label: white space runs become one space, a long one ends in ``…``."""
    words = " ".join(clean(text).split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"
