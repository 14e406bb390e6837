r"""The ways to read one text: as it is, and decoded, layer by layer.

A phone number that must not leave can stand in a text as ``98765\u00a043210`` (JSON in text), ``98765%252043210``
(percent-encoded twice), ``98765&nbsp;43210`` (HTML) or in digits of another script. Whoever looks for a number searches
every reading. Each reading knows where its characters stand in the original text, so that what is found can be hidden
there.
"""

from __future__ import annotations

import html
import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

#: A text with more layers of escapes than this is not read to its end.
MAX_LAYERS = 8

#: One edit of a text: start, end, and what stands there instead.
_Edit = tuple[int, int, str]

_ESCAPE = re.compile(
    r"%[0-7][0-9a-fA-F]"
    r"|%[89a-fA-F][0-9a-fA-F](?:%[89a-fA-F][0-9a-fA-F])*"
    r"|%u[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u[0-9a-fA-F]{4}"
    r"|\\u\{[0-9a-fA-F]{1,6}\}"
    r"|\\x[0-9a-fA-F]{2}"
    r"|\\[\"'\\/bfnrt]"
    r"|&#[0-9]{1,10};?"
    r"|&#[xX][0-9a-fA-F]{1,8};?"
    r"|&[A-Za-z]{2,32}[0-9]{0,2};?"
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

#: What a fold must have to be of use here: digits, letters (of hexadecimal escapes), and what escapes begin with.
_USEFUL = frozenset(string.digits + string.ascii_letters + "%&\\#;{}")

#: Beyond these no character has a numeric value or is a form of an ASCII character.
_FOLDED_RANGES = ((0x80, 0x20000), (0x2F800, 0x2FA20))


class TooManyLayersError(ValueError):
    """A text is still encoded after `MAX_LAYERS` layers were taken off."""


class Reading:
    """One way to read a text.

    Args:
        text: what it says.
        before: the reading that this one was decoded from, or None when this is the original text.
        edits: what was decoded in it.

    Attributes:
        text: what it says.
    """

    __slots__ = ("_before", "_edits", "_origin", "text")

    def __init__(self, text: str, before: Reading | None = None, edits: Sequence[_Edit] = ()) -> None:
        self.text = text
        self._before = before
        self._edits = edits
        self._origin: tuple[Sequence[int], Sequence[int]] | None = None

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Where in the original text stands what some characters of this reading were decoded from.

        Args:
            start: the first of the characters.
            end: behind the last of them; more than ``start``.
        """
        starts, ends = self._origins()
        return starts[start], ends[end - 1]

    def _origins(self) -> tuple[Sequence[int], Sequence[int]]:
        """For each character, where in the original text that which it was decoded from begins and ends."""
        if self._origin is not None:
            return self._origin
        if self._before is None:
            return range(len(self.text)), range(1, len(self.text) + 1)
        starts_before, ends_before = self._before._origins()
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for start, end, new in self._edits:
            starts += starts_before[done:start]
            ends += ends_before[done:start]
            starts += [starts_before[start]] * len(new)
            ends += [ends_before[end - 1]] * len(new)
            done = end
        self._origin = ([*starts, *starts_before[done:]], [*ends, *ends_before[done:]])
        return self._origin


def readings(text: str) -> Iterator[Reading]:
    """A text as it is, then with one layer decoded after another, until nothing is left to decode.

    A layer is: forms of ASCII characters and the digits of all scripts become ASCII (NFKC); or the escapes of JSON,
    JavaScript, URLs and HTML become what they stand for. The last reading has the numerals of Chinese as digits.

    The time is linear in the size of the text.

    Raises:
        TooManyLayersError: after `MAX_LAYERS` layers there is still something to decode.
    """
    reading = Reading(text)
    yield reading
    layers = 0
    while edits := _folds(reading.text) or _escapes(reading.text):
        if layers == MAX_LAYERS:
            raise TooManyLayersError(f"a text has more than {MAX_LAYERS} layers of escapes")
        layers += 1
        reading = _edited(reading, edits)
        yield reading
    if not reading.text.isascii() and (edits := _replaced(reading.text, _numerals())):
        yield _edited(reading, edits)


def is_plain(text: str) -> bool:
    """Whether there is only one way to read a text. False in case of doubt; this costs less than `readings`."""
    if text.isascii():
        return is_plain_ascii(text)
    return not _has_escapes(text) and _forms().keys().isdisjoint(text) and _numerals().keys().isdisjoint(text)


def is_plain_ascii(text: str) -> bool:
    """Whether a text is ASCII and there is only one way to read it. False in case of doubt; this costs least."""
    return text.isascii() and not _has_escapes(text)


def _has_escapes(text: str) -> bool:
    return "%" in text or "\\" in text or "&" in text


def _edited(reading: Reading, edits: Sequence[_Edit]) -> Reading:
    pieces: list[str] = []
    done = 0
    for start, end, new in edits:
        pieces += (reading.text[done:start], new)
        done = end
    return Reading("".join((*pieces, reading.text[done:])), reading, edits)


def _folds(text: str) -> list[_Edit]:
    return [] if text.isascii() else _replaced(text, _forms())


def _replaced(text: str, table: dict[str, str]) -> list[_Edit]:
    if table.keys().isdisjoint(text):
        return []
    return [(at, at + 1, table[character]) for at, character in enumerate(text) if character in table]


def _escapes(text: str) -> list[_Edit]:
    if not _has_escapes(text):
        return []
    edits: list[_Edit] = []
    for match in _ESCAPE.finditer(text):
        escape, start = match[0], match.start()
        if escape[0] == "%" and escape[1] in "89abcdefABCDEF":
            edits += _utf8(escape, start)
            continue
        decoded = _decoded(escape)
        if decoded != escape:
            edits.append((start, match.end(), decoded))
    return edits


def _decoded(escape: str) -> str:
    """What an escape of ASCII, JSON or HTML stands for; the escape itself when it stands for nothing."""
    if escape[0] == "&":
        return html.unescape(escape)
    kind, code = escape[1], escape[2:]
    if escape[0] == "%":
        return chr(int(code if kind == "u" else escape[1:], 16))
    if kind == "u" and code[0] == "{":
        number = int(code[1:-1], 16)
        return chr(number) if number < 0x110000 else escape
    if kind in "ux" and len(code) <= len("0000"):
        return chr(int(code, 16))
    if kind == "u":
        high, low = int(escape[2:6], 16), int(escape[8:12], 16)
        return chr(0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00)
    return _CONTROLS.get(kind, kind)


def _utf8(escapes: str, start: int) -> Iterator[_Edit]:
    """The characters of percent-encoded bytes; a byte that is no UTF-8 is taken for Latin-1."""
    for character in bytes.fromhex(escapes.replace("%", "")).decode("utf-8", "surrogateescape"):
        if "\udc80" <= character <= "\udcff":
            size, character = 1, chr(ord(character) - 0xDC00)
        else:
            size = len(character.encode())
        end = start + size * len("%00")
        yield start, end, character
        start = end


@cache
def _forms() -> dict[str, str]:
    """Other forms of ASCII characters, the digits of all scripts among them, and what they are forms of."""
    return _tables()[0]


@cache
def _numerals() -> dict[str, str]:
    """Characters that are no digits and stand for 0 to 9 all the same, such as those of Chinese."""
    return _tables()[1]


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    # Made once, when the first text needs it: it takes some 50 ms.
    forms: dict[str, str] = {}
    numerals: dict[str, str] = {}
    for first, end in _FOLDED_RANGES:
        for character in map(chr, range(first, end)):
            digit = unicodedata.digit(character, None)
            if digit is not None:
                forms[character] = str(digit)
            elif unicodedata.decomposition(character) and not _USEFUL.isdisjoint(
                form := unicodedata.normalize("NFKC", character)
            ):
                forms[character] = form
            elif unicodedata.numeric(character, None) in range(10):
                numerals[character] = str(int(unicodedata.numeric(character)))
    return forms, numerals
