"""How much one answer may hold: looked at before it is decoded, while it is still a row of bytes.

An answer of 4 MB can decode to a million rows and take 20 times its size. So its brackets and commas are counted
first, which bounds the rows and cells that decoding can make.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

import msgspec

from airflow_provider_callreport.api.errors import AnswerError, AnswerTooLargeError, scrub

#: Rows that are accepted although fewer were asked for: room for a server that does not page.
SPARE_ROWS = 10_000

#: Lists and objects a row may hold, itself included. A call has a handful; text cells may hold JSON as text.
_NESTED_A_ROW = 40
#: How many of these may be empty.
_EMPTY_A_ROW = 8

#: Cells of one answer's table: rows x columns. A page of 1,000 calls with 20 columns has 20,000.
MAX_CELLS = 1_000_000

_encode = msgspec.json.Encoder().encode
_SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')


def check_size(raw: bytes, asked: int) -> None:
    """Refuse an answer that holds many more rows or cells than were asked for, before it is decoded.

    Args:
        raw: the answer's body, unpacked.
        asked: rows that were asked for.

    Raises:
        AnswerTooLargeError: it does.
    """
    most = max(asked, SPARE_ROWS)
    # Brackets inside texts count too: the bound leaves room for them. Empty ones are counted where they may be many.
    brackets = raw.count(b"{") + raw.count(b"[")
    if brackets > most * _NESTED_A_ROW or (brackets > most * _EMPTY_A_ROW and _empties(raw) > most * _EMPTY_A_ROW):
        raise too_many_rows(asked)
    if raw.count(b",") > 4 * MAX_CELLS:
        raise AnswerTooLargeError(
            "the answer holds more than 4,000,000 values; ask for fewer calls a page (page_size in the connection)"
        )


def too_many_rows(asked: int) -> AnswerTooLargeError:
    """The error for an answer with many more rows than were asked for."""
    return AnswerTooLargeError(
        f"the answer holds more than {max(asked, SPARE_ROWS):,} rows, and {asked:,} were asked for"
    )


def check_cells(rows: int, columns: int) -> None:
    """Refuse a page whose table would hold too many cells.

    Raises:
        AnswerTooLargeError: it would.
    """
    if rows * columns > MAX_CELLS:
        raise AnswerTooLargeError(
            f"a page of {rows:,} rows with {columns:,} columns is more than {MAX_CELLS:,} cells; ask for fewer calls "
            "a page (page_size in the connection), or name the columns you want in columns="
        )


def _empties(raw: bytes) -> int:
    """Empty objects and lists: a few bytes each, and what an answer of millions of rows is made of."""
    return raw.count(b"{}") + raw.count(b"[]")


def check_keys(payload: Any, raw: bytes) -> None:
    """Refuse JSON in which an object names a key twice: decoders keep the last value and say nothing.

    An answer that equals what its decoded value encodes to has lost nothing: most servers write JSON as plainly as our
    encoder. Else its keys are counted, and only where the count of decoded keys and of colons behind a quotation mark
    differ is it decoded once more by a reader that sees each pair.

    Args:
        payload: the decoded JSON.
        raw: its bytes.

    Raises:
        AnswerError: an object has a key twice.
    """
    with suppress(UnicodeEncodeError, RecursionError):
        if _encode(payload) == raw:
            return
    plain, may_hide = raw.count(b'":'), False
    if b"\\" in raw:
        # A quotation mark behind a backslash ends no key, unless the backslash is itself behind one.
        plain, may_hide = plain - raw.count(b'\\":'), b'\\\\"' in raw
    if plain == _count_keys(payload) and not may_hide and not _SPACED_KEY.search(raw):
        return
    json.loads(raw, object_pairs_hook=_pairs)


def _count_keys(value: Any) -> int:
    keys, layer = 0, [value] if isinstance(value, (dict, list)) else []
    while layer:
        below: list[Any] = []
        for one in layer:
            if isinstance(one, dict):
                keys += len(one)
                below.append(one.values())
            else:
                below.append(one)
        cells = list(chain.from_iterable(below))
        kinds = set(map(type, cells))
        layer = [cell for cell in cells if type(cell) in (dict, list)] if kinds & {dict, list} else []
    return keys


def _pairs(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(key for key, number in Counter(key for key, _ in pairs).items() if number > 1)
        raise AnswerError(
            f"an object of the answer names the key {scrub(twice)[:60]!r} twice, so one value would be lost"
        )
    return made
