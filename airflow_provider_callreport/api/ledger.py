"""Which calls have come: exact, for any number of them, in a few megabytes.

A row is known by its call's own id, else by everything in it, a ``sort`` key included. For each row the ledger keeps
(`seen.py`) a 64-bit hash of what it is known by, the page that brought it, and a 32-bit hash of its content. A
collision, one in some thirty million reports of a million calls, would make a report one row short of its total, which
is an error and not a silent loss. The hashes are Python's own, which differ from one process to the next.

Rows are known by an id only while every row has one of its own. Where rows share an id, which the legs of a call do, or
one lacks it, the whole report must be known by its rows: half a report by id and half by row would not show a row that
comes in both halves. The ledger says so (`IdsError`), and the report is read again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_callreport.api.answer import Record, ids_under, record_sort
from airflow_provider_callreport.api.errors import TableError
from airflow_provider_callreport.api.seen import Seen

_encode = msgspec.json.Encoder().encode
_NOTHING: tuple[Any, ...] = (None, [], {}, "")
_NO_SORT = frozenset(map(_encode, _NOTHING))
_CONTENT = (1 << 32) - 1


class IdsError(Exception):
    """A row lacks the id that the others have, or rows of one answer share theirs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of one answer's rows.

    Attributes:
        fresh: indexes of the rows to keep, in order.
        known: number of rows that had come before, by id, or with the same ``sort`` and content.
        changed: how many of these had come with another content: the call changed meanwhile, or it is another leg.
        elsewhere: how many of the known rows had come before the page ``since``: in another part of the window.
        alike: number of rows without id and ``sort`` that equal a row of an earlier page in everything.
        overlaps: number of an earlier page with which this one shares two or more different such rows, or None.
        digest: a hash of all the rows in order.
        distinct: number of different rows.
    """

    fresh: list[int]
    known: int = 0
    changed: int = 0
    elsewhere: int = 0
    alike: int = 0
    overlaps: int | None = None
    digest: int = 0
    distinct: int = 0


class Ledger:
    """The rows of one report.

    Args:
        id_key: the key of a call's own id, or None where rows have none.
        by_row: know rows by their content although they have ids, because the legs of a call share one.
        drop_alike: drop rows that have neither id nor ``sort`` and equal a row of an earlier page. Only right when the
            API's total says that so many rows are surplus: two real calls may look alike in every column.

    Attributes:
        unique: rows kept.
        dropped: rows dropped because they had come before.
    """

    def __init__(self, id_key: str | None = None, *, by_row: bool = False, drop_alike: bool = False) -> None:
        self.id_key = id_key
        self.by_row = by_row
        self.drop_alike = drop_alike
        self.unique = 0
        self.dropped = 0
        self._seen = Seen()

    def close(self) -> None:
        """Drop everything; safe to call twice."""
        self._seen.close()

    def enter(self, records: list[Record], page: int, since: int = 0) -> Entry:
        """Enter one answer's rows.

        Args:
            records: the rows.
            page: number of the request that brought them, not used before.
            since: the page at which the present part of the window began.

        Raises:
            IdsError: rows are known by id, and not every row has an id of its own.
            TableError: a row is nested too deeply.
        """
        contents = _contents(records)
        identities, is_call = self._identities(records, contents)
        digest, distinct = hash(tuple(identities)), len(set(identities))
        known = self._seen.find(identities)
        base = page << 32
        pairs = zip(identities, [base | content & _CONTENT for content in contents], strict=True)
        if not known:
            self._seen.add(pairs)
            entry = Entry(list(range(len(records))), digest=digest, distinct=distinct)
        else:
            self._seen.add(pair for pair in pairs if pair[0] not in known)
            earlier = {at: known[identity] for at, identity in enumerate(identities) if identity in known}
            if is_call:
                fresh = [at for at in range(len(records)) if at not in earlier]
                changed = sum(first & _CONTENT != contents[at] & _CONTENT for at, first in earlier.items())
                elsewhere = sum(first >> 32 < since for first in earlier.values())
                entry = Entry(fresh, len(earlier), changed, elsewhere, digest=digest, distinct=distinct)
            else:
                entry = self._alike(identities, earlier, since, digest, distinct)
        self.unique += len(entry.fresh)
        self.dropped += len(records) - len(entry.fresh)
        return entry

    def has_any(self, records: list[Record]) -> bool:
        """Whether any of the rows has been entered."""
        try:
            identities, _ = self._identities(records, _contents(records))
        except IdsError:
            return True
        return bool(self._seen.find(identities))

    def _identities(self, records: list[Record], contents: list[int]) -> tuple[list[int], bool]:
        """A hash per row, and whether equal hashes are one and the same call."""
        ids = None if self.id_key is None else ids_under(self.id_key, records)
        if self.by_row and ids is not None:
            # Two legs that are equal in everything, the id included, would stand in one answer.
            return contents, True
        if self.id_key is not None and not self.by_row:
            identities = [] if ids is None else list(map(hash, ids))
            if len(set(identities)) < len(records):
                raise IdsError
            return identities, True
        sorts = [_encode_any(record_sort(record)) for record in records]
        return contents, _NO_SORT.isdisjoint(sorts) and len(set(sorts)) == len(sorts)

    def _alike(
        self, identities: Sequence[int], earlier: dict[int, int], since: int, digest: int, distinct: int
    ) -> Entry:
        # A row that stands in another part of the window is the same call: its time belongs to one part only.
        elsewhere = {at for at, first in earlier.items() if first >> 32 < since}
        alike = {at: first >> 32 for at, first in earlier.items() if at not in elsewhere}
        shared = Counter(first for _, first in {(identities[at], first) for at, first in alike.items()})
        overlaps = min((first for first, number in shared.items() if number >= 2), default=None)
        gone = elsewhere | (alike.keys() if self.drop_alike else set())
        return Entry(
            fresh=[at for at in range(len(identities)) if at not in gone],
            known=len(elsewhere),
            elsewhere=len(elsewhere),
            alike=len(alike),
            overlaps=overlaps,
            digest=digest,
            distinct=distinct,
        )


def _contents(records: list[Record]) -> list[int]:
    """A hash of everything in each row."""
    try:
        return list(map(hash, map(_encode, records)))
    except UnicodeEncodeError:
        return [hash(_encode_any(record)) for record in records]
    except RecursionError:
        raise TableError("a row of the answer is nested too deeply") from None


def _encode_any(value: Any) -> bytes:
    """The same bytes as `_encode` wherever that can write the value: half of a surrogate pair it cannot."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()
