"""Headers of a mail as bytes that every mail program reads alike: subject, names, addresses, parameters.

Why not the standard library's ``email`` package: its folding breaks RFC 2047, and how depends on Python's patch level
(cpython issues 144156, 92081, 136052, 100884). Encoded words stand glued together, blanks between words are lost, and
a comma between two recipients becomes part of an encoded word, so that an address vanishes.

The rules here are simple. A text that needs no encoding and fits on its line stays as it is. Any other text becomes
encoded words as a whole, blanks included: readers join adjacent encoded words without what stands between them
(RFC 2047, 6.2). An address is never encoded, and each recipient begins a line.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from email.headerregistry import Address
from urllib.parse import quote

#: RFC 5322, 2.1.1: a line should have at most 78 characters.
_LINE = 78

#: RFC 2047, 2: an encoded word has at most 75 characters; ``=?utf-8?q?`` and ``?=`` are 12 of them.
_WORD = 75
_WORD_FRAME = 12

#: What a Q-encoded word may hold as it is wherever encoded words may stand, also in names (RFC 2047, 5 (3)).
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")

#: Words of RFC 5322's atom characters with one blank between them: a name that needs no quotes.
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")

_PRINTABLE_ASCII = re.compile(r"[ -~]*")

#: What readers without a full parser stumble over in a file's name, quoted or not: separators, quotes, encoded words.
_UNSAFE_IN_FALLBACK = re.compile(r"[^\w .\-()\[\]=+,@]+", re.ASCII)

#: Longest part of a parameter's value on one line. RFC 5322 forbids lines of more than 998 characters.
_PARAMETER_PART = 900


def text_header(name: str, text: str) -> bytes:
    """A header of free text, such as the subject, with its line end.

    Args:
        name: the header's name.
        text: one line of text in any script.
    """
    plain = f"{name}: {text}"
    if _stays_plain(text) and len(plain) <= _LINE:
        return f"{plain}\r\n".encode()
    words = _encoded_words(text, _LINE - len(name) - 2)
    return f"{name}: {_folded(words)}\r\n".encode()


def address_header(name: str, addresses: Sequence[Address]) -> bytes:
    """A header of addresses, such as To, with its line end. Each address begins a line.

    Args:
        name: the header's name.
        addresses: one address at least. Bytes beyond ASCII remain only in what stands before an ``@``.
    """
    room = _LINE - len(name) - 2
    mailboxes = ",\r\n ".join(_mailbox(address, room) for address in addresses)
    return f"{name}: {mailboxes}\r\n".encode()


def file_parameters(filename: str, fallback: str) -> tuple[str, str]:
    """A file's name for Content-Type and for Content-Disposition, to be appended to their values.

    Args:
        filename: the file's name, in any script.
        fallback: the same in printable ASCII, for programs that do not know RFC 2231; see `ascii_filenames`.

    Returns:
        ``; name="..."`` and ``; filename="..."``, where needed with ``filename*`` in front. Who knows ``filename*`` and
        finds two names takes the first (Python's ``email.policy.default``), or ``filename*`` wherever it stands.
    """
    plain = f'"{fallback}"'
    if filename == fallback:
        return f";\r\n name={plain}", f";\r\n filename={plain}"
    encoded = ";\r\n ".join(_extended_parameter("filename", filename))
    return f";\r\n name={plain}", f";\r\n {encoded};\r\n filename={plain}"


def ascii_filenames(filenames: Sequence[str]) -> list[str]:
    """The names in ASCII, no two alike unless they were so before, for programs that do not know RFC 2231.

    Args:
        filenames: the names, in any script.
    """
    found: dict[str, str] = {}
    for filename in filenames:
        plain = _UNSAFE_IN_FALLBACK.sub("_", filename)
        if plain != filename and plain in found.values():
            stem, dot, suffix = plain.rpartition(".")
            plain = f"{stem or suffix}-{len(found) + 1}{dot and dot + suffix}"
        found[filename] = plain
    return [found[filename] for filename in filenames]


def _mailbox(address: Address, room: int) -> str:
    """``Asha Rao <asha@example.com>``; the address stands on a line of its own where both do not fit on one."""
    name, spec = address.display_name, address.addr_spec
    if not name:
        return spec
    phrase = _phrase(name, room)
    last_line = phrase.rpartition("\r\n")[2]
    fits = len(last_line) + len(spec) + len(" <>,") <= (room if last_line == phrase else _LINE)
    return f"{phrase}{' ' if fits else f'{chr(13)}{chr(10)} '}<{spec}>"


def _phrase(name: str, room: int) -> str:
    """A display name as atoms, as a quoted string, or as encoded words."""
    if _stays_plain(name):
        if _ATOMS.fullmatch(name) and len(name) <= room:
            return name
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        if len(escaped) + 2 <= room:
            return f'"{escaped}"'
    return _folded(_encoded_words(name, room))


def _stays_plain(text: str) -> bool:
    """Whether a text may stand in a header as it is.

    A text that looks like an encoded word may not: a reader would decode it, and an encoded word can hold a line break.
    A blank at an end, or beside another blank, gets lost in readers that tidy up.
    """
    return bool(_PRINTABLE_ASCII.fullmatch(text)) and "=?" not in text and text == " ".join(text.split())


def _encoded_words(text: str, first_room: int) -> list[str]:
    """The text as encoded words: in Q, which people can half read, unless that is much longer than base64.

    Args:
        text: the text.
        first_room: characters that the first line has room for.
    """
    first, other = min(first_room, _WORD) - _WORD_FRAME, _WORD - _WORD_FRAME
    in_q = ["".join(map(_q_byte, _utf8(character))) for character in text]
    if sum(map(len, in_q)) <= 2 * len(_utf8(text)):
        return [f"=?utf-8?q?{chunk}?=" for chunk in _chunks(in_q, map(len, in_q), first, other)]
    # Base64 makes four characters of three bytes.
    sizes = (len(_utf8(character)) for character in text)
    chunks = _chunks(text, sizes, first // 4 * 3, other // 4 * 3)
    return [f"=?utf-8?b?{base64.b64encode(_utf8(chunk)).decode()}?=" for chunk in chunks]


def _chunks(units: Iterable[str], sizes: Iterable[int], first: int, other: int) -> Iterator[str]:
    """Units joined to chunks of at most so much size; a unit is one character, and is never split (RFC 2047, 5)."""
    chunk, used, room = "", 0, first
    for unit, size in zip(units, sizes, strict=True):
        if chunk and used + size > room:
            yield chunk
            chunk, used, room = "", 0, other
        chunk += unit
        used += size
    yield chunk


def _folded(words: Sequence[str]) -> str:
    return "\r\n ".join(words)


def _q_byte(byte: int) -> str:
    if byte == 0x20:
        return "_"
    return chr(byte) if byte in _Q_SAFE else f"={byte:02X}"


def _utf8(text: str) -> bytes:
    # A lone surrogate is no character; where one comes in all the same, it is shown as "?".
    return text.encode("utf-8", "replace")


def _extended_parameter(name: str, value: str) -> list[str]:
    """A parameter in RFC 2231's form, in as many parts as its length needs."""
    encoded = quote(_utf8(value), safe="!#$&+-.^_`{}~")
    if len(encoded) <= _PARAMETER_PART:
        return [f"{name}*=utf-8''{encoded}"]
    # A part ends where a percent-encoded byte ends.
    parts = re.findall(rf"(?:%..|[^%]){{1,{_PARAMETER_PART // 3}}}", f"utf-8''{encoded}")
    return [f"{name}*{number}*={part}" for number, part in enumerate(parts)]
