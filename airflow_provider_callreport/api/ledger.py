"""Which calls have come: exact, for any number of them, in a few megabytes.

A row is known by its call's own id, else by everything in it, a ``sort`` key included. For each row the ledger keeps a
64-bit hash of what it is known by, the page that brought it, and a 32-bit hash of its content, in a private SQLite file
that the operating system removes with the process. A collision, one in some thirty million reports of a million calls,
would make a report one row short of its total, which is an error and not a silent loss. The hashes are Python's own,
which differ from one process to the next.

Rows are known by an id only while every row has one of its own. Where rows share an id, which the legs of a call do, or
one lacks it, the whole report must be known by its rows: half a report by id and half by row would not show a row that
comes in both halves. The ledger says so (`IdsError`), and the report is read again.
"""

from __future__ import annotations

import marshal
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_callreport.api.answer import Record, ids_under, record_sort
from airflow_provider_callreport.api.errors import TableError

#: Pages of SQLite's cache, in KiB: what bounds the ledger's memory.
_CACHE_KIB = 2000

#: Version 2 of marshal has no back references, so equal rows give equal bytes.
_MARSHAL = 2
_NOTHING: tuple[Any, ...] = (None, [], {}, "")
_NO_SORT = frozenset(marshal.dumps(nothing, _MARSHAL) for nothing in _NOTHING)
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
        # "" is SQLite's private temporary database: kept in its cache, spilled to an unlinked file. It holds hashes
        # only. Pages are fetched in another thread than the one that closes, hence check_same_thread.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "temp_store=FILE"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE seen (identity INTEGER PRIMARY KEY, first INTEGER NOT NULL)")
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Drop everything; safe to call twice."""
        self._database.close()

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
        inserted = self._insert(identities, contents, page)
        if inserted == len(records):
            entry = Entry(list(range(len(records))), digest=digest, distinct=distinct)
        else:
            firsts = self._firsts(identities)
            earlier = {at: first for at, first in enumerate(firsts) if first >> 32 != page}
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
        find = "SELECT 1 FROM seen WHERE identity = ?"
        contents = _contents(records)
        try:
            identities, _ = self._identities(records, contents)
        except IdsError:
            return True
        return any(self._database.execute(find, (identity,)).fetchone() for identity in identities)

    def _insert(self, identities: Sequence[int], contents: Sequence[int], page: int) -> int:
        """Insert what is new, and return how many that were."""
        base = page << 32
        rows = [(identity, base | (content & _CONTENT)) for identity, content in zip(identities, contents, strict=True)]
        before = self._database.total_changes
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        return self._database.total_changes - before

    def _identities(self, records: list[Record], contents: list[int]) -> tuple[list[int], bool]:
        """A hash per row, and whether equal hashes are one and the same call."""
        ids = None if self.id_key is None else ids_under(self.id_key, records)
        if self.by_row and ids is not None:
            # Two legs that are equal in everything, the id included, would stand in one answer.
            return contents, True
        if self.id_key is not None and not self.by_row:
            if ids is None or len(set(ids)) < len(ids):
                raise IdsError
            return list(map(hash, ids)), True
        sorts = [marshal.dumps(record_sort(record), _MARSHAL) for record in records]
        return contents, _NO_SORT.isdisjoint(sorts) and len(set(sorts)) == len(sorts)

    def _firsts(self, identities: Sequence[int]) -> list[int]:
        find = "SELECT first FROM seen WHERE identity = ?"
        return [self._database.execute(find, (identity,)).fetchone()[0] for identity in identities]

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
        return [hash(marshal.dumps(record, _MARSHAL)) for record in records]
    except ValueError:
        # marshal stops at 2000 levels, and from Python 3.12 on json does not.
        raise TableError("a row of the answer is nested too deeply") from None
