"""Which calls have come: exact, for any number of them, in a few megabytes.

A call is known by its own id, else by everything in its row, a ``sort`` key included. The ledger keeps a 64-bit hash of
each in a private SQLite file that the operating system removes with the process. A collision, one in some thirty
million reports of a million calls, would make a report one row short of its total, which is an error and not a
silent loss. The hashes are Python's own, which differ from one process to the next.

Ids and ``sort`` keys are only believed while all rows of an answer have different ones. No server sends a call twice in
one answer; so when two rows share an id it is not the row's own (it may be that of a call with several legs), and when
they share a ``sort`` it is a time that other calls have too.
"""

from __future__ import annotations

import json
import marshal
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from airflow_provider_callreport.api.answer import ID_KEYS, Record, record_id, record_sort
from airflow_provider_callreport.api.errors import TableError

#: Pages of SQLite's cache, in KiB: what bounds the ledger's memory.
_CACHE_KIB = 2000

#: Version 2 of marshal has no back references, so equal rows give equal bytes.
_MARSHAL = 2
_first_key: Callable[[Any], Any] = itemgetter(ID_KEYS[0])
_NOTHING: tuple[Any, ...] = (None, [], {}, "")
_NO_SORT = frozenset(marshal.dumps(nothing, _MARSHAL) for nothing in _NOTHING)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of one answer's rows.

    Attributes:
        fresh: indexes of the rows to keep, in order.
        known: number of rows that had come before, by id, or with the same ``sort`` and content.
        alike: number of rows without either that equal a row of an earlier page in everything.
        overlaps: number of an earlier page with which this one shares two or more different such rows, or None.
        digest: a hash of all the rows in order.
        distinct: number of different rows.
    """

    fresh: list[int]
    known: int = 0
    alike: int = 0
    overlaps: int | None = None
    digest: int = 0
    distinct: int = 0


class Ledger:
    """The calls of one report.

    Args:
        drop_alike: drop rows that have neither id nor ``sort`` and equal a row of an earlier page. Only right when the
            API's total says that so many rows are surplus: two real calls may look alike in every column.

    Attributes:
        unique: rows kept.
        dropped: rows dropped because they had come before.
    """

    def __init__(self, *, drop_alike: bool = False) -> None:
        self.drop_alike = drop_alike
        self.unique = 0
        self.dropped = 0
        self._believes_ids = True
        # "" is SQLite's private temporary database: kept in its cache, spilled to an unlinked file. It holds hashes
        # only. Pages are fetched in another thread than the one that closes, hence check_same_thread.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "temp_store=FILE"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE seen (identity INTEGER PRIMARY KEY, page INTEGER NOT NULL)")
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Drop everything; safe to call twice."""
        self._database.close()

    def enter(self, records: list[Record], page: int) -> Entry:
        """Enter one answer's rows.

        Args:
            records: the rows.
            page: number of the request that brought them, not used before.
        """
        identities, identified = self._identities(records)
        digest, distinct = hash(tuple(identities)), len(set(identities))
        inserted = self._insert(identities, page)
        known = alike = 0
        overlaps = None
        if not records or inserted == len(records):
            fresh = list(range(len(records)))
        elif identified:
            fresh = self._fresh(identities, page)
            known = len(records) - len(fresh)
        else:
            fresh, alike, overlaps = self._alike(identities, page)
        entry = Entry(fresh, known, alike, overlaps, digest, distinct)
        self.unique += len(entry.fresh)
        self.dropped += len(records) - len(entry.fresh)
        return entry

    def has_any(self, records: list[Record]) -> bool:
        """Whether any of the rows has been entered."""
        find = "SELECT 1 FROM seen WHERE identity = ?"
        return any(self._database.execute(find, (identity,)).fetchone() for identity in self._identities(records)[0])

    def _insert(self, identities: list[int], page: int) -> int:
        """Insert what is new, and return how many that were."""
        # One statement for all of them takes two thirds of the time of one for each.
        insert = "INSERT OR IGNORE INTO seen SELECT value, ? FROM json_each(?)"
        return self._database.execute(insert, (page, json.dumps(identities))).rowcount

    def _identities(self, records: list[Record]) -> tuple[list[int], bool]:
        """A hash per row, and whether equal hashes are one and the same call."""
        if self._believes_ids:
            ids = _ids(records)
            if None not in ids:
                hashes = list(map(hash, map(str, ids)))
                self._believes_ids = len(set(hashes)) == len(hashes)
                if self._believes_ids:
                    return hashes, True
        try:
            sorts = [marshal.dumps(record_sort(record), _MARSHAL) for record in records]
            hashes = [hash(marshal.dumps(record, _MARSHAL)) for record in records]
        except ValueError:
            # marshal stops at 2000 levels, and from Python 3.12 on json does not.
            raise TableError("a row of the answer is nested too deeply") from None
        return hashes, _NO_SORT.isdisjoint(sorts) and len(set(sorts)) == len(sorts)

    def _first_pages(self, identities: list[int]) -> list[int]:
        find = "SELECT page FROM seen WHERE identity = ?"
        return [self._database.execute(find, (identity,)).fetchone()[0] for identity in identities]

    def _fresh(self, identities: list[int], page: int) -> list[int]:
        return [index for index, first in enumerate(self._first_pages(identities)) if first == page]

    def _alike(self, identities: list[int], page: int) -> tuple[list[int], int, int | None]:
        earlier = {
            index: (identity, first)
            for index, (identity, first) in enumerate(zip(identities, self._first_pages(identities), strict=True))
            if first != page
        }
        shared = Counter(first for _, first in set(earlier.values()))
        overlaps = min((first for first, number in shared.items() if number >= 2), default=None)
        fresh = [index for index in range(len(identities)) if not (self.drop_alike and index in earlier)]
        return fresh, len(earlier), overlaps


def _ids(records: Sequence[Record]) -> Sequence[str | int | None]:
    """Each row's own id, or None."""
    # The usual case, at the speed of C: all rows are objects with an id under the first of the keys.
    with suppress(KeyError, TypeError):
        ids: list[Any] = list(map(_first_key, records))
        if set(map(type, ids)) <= {str, int} and "" not in ids:
            return ids
    return [record_id(record) for record in records]
