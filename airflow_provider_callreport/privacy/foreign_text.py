"""What a server says, made fit for a log and a message.

A server may repeat the request in its message, and spell it in ways that nobody can list: escaped for JSON, HTML or a
URL, once or twice, in upper case, wrapped, or cut in the middle. So no spelling is looked for. Every reading of the
message (`privacy.readings`) is compared with the secret letter by letter, and what could be a piece of it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from airflow_provider_callreport.privacy.phone_numbers import HIDDEN, hide_spans, without_numbers
from airflow_provider_callreport.privacy.readings import Reading, TooManyLayersError, readings

#: The longest text that is looked at, and the longest that is shown, in characters.
_READ = 4000
_SHOWN = 300

#: So many letters and digits of a secret in a row are a piece of it. A shorter secret is looked for as a whole.
_PIECE = 8
#: Of so many are words, and the end of a text that was cut, with which the secret begins.
_BEGINNING = 4


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Foreign text made fit for a log: secrets and phone-like numbers replaced, one line, at most 300 characters.

    In case of doubt a word too many is hidden. A text with too many layers of escapes is hidden whole.

    Args:
        text: a message of a server, a header, a label.
        secrets: what it must not tell, in whatever spelling.
    """
    text = text[:_READ]
    known = [secret for secret in secrets if secret]
    if known:
        spans: list[tuple[int, int]] = []
        try:
            for reading in readings(text):
                found = [span for secret in known for span in _spans(reading, secret)]
                spans += [reading.original_span(*span) for span in found]
        except TooManyLayersError:
            return HIDDEN
        text = hide_spans(text, spans)
    return one_line(without_numbers(text))


def one_line(text: str) -> str:
    """Foreign text without control characters and line breaks, at most 300 characters: for ids, which are numbers."""
    text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _spans(reading: Reading, secret: str) -> Iterator[tuple[int, int]]:
    """Where a reading has a secret, or what could be a piece of it."""
    wanted, _ = _bare(_last_reading(secret))
    if len(wanted) < _BEGINNING:
        for match in re.finditer(re.escape(secret), reading.text, re.IGNORECASE):
            yield match.span()
        return
    found, places = _bare(reading.text)
    size = min(_PIECE, len(wanted))
    pieces = {wanted[at : at + size] for at in range(len(wanted) - size + 1)}
    for at in range(len(found) - size + 1):
        if found[at : at + size] in pieces:
            yield places[at], places[at + size - 1] + 1
    yield from _beginnings(reading.text, wanted, found, places)
    for length in range(min(len(wanted), len(found)), _BEGINNING - 1, -1):
        if found.endswith(wanted[:length]):
            yield places[-length], places[-1] + 1
            return


def _beginnings(text: str, wanted: str, found: str, places: list[int]) -> Iterator[tuple[int, int]]:
    """Where words of a text are the beginning of a secret, from the start of one word to the end of one."""
    for at, place in enumerate(places):
        if found[at] != wanted[0] or (place and text[place - 1].isalnum()):
            continue
        end = 0
        for length, (one, other) in enumerate(zip(found[at:], wanted, strict=False), start=1):
            if one != other:
                break
            behind = places[at + length - 1] + 1
            if behind == len(text) or not text[behind].isalnum():
                end = length
        if end >= _BEGINNING:
            yield place, places[at + end - 1] + 1


def _last_reading(text: str) -> str:
    """A secret as it reads without escapes, for the one that has some in it."""
    try:
        *_, last = readings(text)
    except TooManyLayersError:
        return text
    return last.text


def _bare(text: str) -> tuple[str, list[int]]:
    """The letters and digits of a text in one case, and where each of them stands."""
    bare: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isalnum():
            folded = character.casefold()
            bare.append(folded)
            places += [place] * len(folded)
    return "".join(bare), places
