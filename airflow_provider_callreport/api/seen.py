"""A map from 64-bit hashes to 64-bit numbers: exact, for millions of them, in a few megabytes.

New hashes go to a dictionary. When it is full, its sorted content becomes a *run* in a temporary file without a name,
which the operating system removes with the process, and each hash sets two bits of one word of a Bloom filter.
Nearly every hash that is looked up is new, and then one of its two bits is not set: no file is read. Otherwise the runs
are searched, so the answer is exact. The filter is made anew, twice as large, when an eighth of its bits may be set.

Memory: some 2 MB for the dictionary and 4 MB for the filter, which doubles at 2 million hashes; from then on both
together take 4 to 6 bytes a hash. A report of fewer than 12,000 calls touches neither filter nor file.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import IO

#: Entries of the dictionary before it becomes a run, or a part of all hashes where that is more: so there are never
#: many runs to search.
_RECENT = 12_000
_PART = 64
#: Entries of a run that are read at a time; the first of each such block is held in memory.
_BLOCK = 256
_WORD = 8
#: Words of the filter at first, a power of two, and how many hashes share one before it grows.
_WORDS = 1 << 19
_SHARE = 4
#: The two bits that a hash sets in its word: one word is touched, and a look into a list is faster than two shifts.
_PAIRS = [1 << (pair & 63) | 1 << (pair >> 6) for pair in range(64 * 64)]


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted hashes in the file, and then their numbers in the same order."""

    start: int
    length: int
    firsts: array[int]


class Seen:
    """Signed 64-bit hashes, each with an unsigned 64-bit number."""

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._runs: list[_Run] = []
        self._total = 0
        self._filter = array("Q")
        self._file: IO[bytes] | None = None

    def close(self) -> None:
        """Drop everything; safe to call twice."""
        self._recent, self._runs, self._filter = {}, [], array("Q")
        if self._file is not None:
            self._file.close()
            self._file = None

    def find(self, hashes: Sequence[int]) -> dict[int, int]:
        """Those hashes that have been added, each with its number.

        Raises:
            OSError: the temporary file cannot be read.
        """
        recent = self._recent
        found = {} if recent.keys().isdisjoint(hashes) else {one: recent[one] for one in hashes if one in recent}
        if self._runs:
            words, shift, mask = self._words()
            maybe = [one for one in hashes if words[one >> shift & mask] & (pair := _PAIRS[one & 4095]) == pair]
            for one in maybe:
                if one not in found and (number := self._search(one)) is not None:
                    found[one] = number
        return found

    def add(self, numbers: Iterable[tuple[int, int]]) -> None:
        """Add hashes that `find` did not find, each with its number.

        Raises:
            OSError: the temporary file cannot be written.
        """
        self._recent.update(numbers)
        if len(self._recent) >= max(_RECENT, self._total // _PART):
            self._write_run()

    def _write_run(self) -> None:
        order = sorted(self._recent)
        hashes, numbers = array("q", order), array("Q", itemgetter(*order)(self._recent))
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="callreport-")  # noqa: SIM115 - `close` closes it
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(hashes)
        self._file.write(numbers)
        self._file.flush()
        self._runs.append(_Run(start, len(hashes), hashes[::_BLOCK]))
        self._total += len(hashes)
        self._recent.clear()
        self._mark(order)

    def _mark(self, hashes: Iterable[int]) -> None:
        """Set the bits of a new run, or of all runs where the filter has to grow."""
        if self._total > len(self._filter) * _SHARE:
            size = max(_WORDS, len(self._filter) * 2)
            self._filter = array("Q", bytes(size * _WORD))
            hashes = chain.from_iterable(self._read(run.start, run.length) for run in self._runs)
        words, shift, mask = self._words()
        for one in hashes:
            words[one >> shift & mask] |= _PAIRS[one & 4095]

    def _words(self) -> tuple[array[int], int, int]:
        """The filter, and how a hash's highest bits choose its word: a sorted run goes over the words in order."""
        return self._filter, 65 - len(self._filter).bit_length(), len(self._filter) - 1

    def _search(self, wanted: int) -> int | None:
        for run in self._runs:
            block = bisect_right(run.firsts, wanted) - 1
            if block < 0:
                continue
            at = block * _BLOCK
            hashes = self._read(run.start + at * _WORD, min(_BLOCK, run.length - at))
            place = bisect_left(hashes, wanted)
            if place < len(hashes) and hashes[place] == wanted:
                return self._read(run.start + (run.length + at + place) * _WORD, 1, "Q")[0]
        return None

    def _read(self, start: int, length: int, kind: str = "q") -> array[int]:
        assert self._file is not None
        content = os.pread(self._file.fileno(), length * _WORD, start)
        if len(content) != length * _WORD:
            raise OSError("the ledger's temporary file is shorter than what was written to it")
        return array(kind, content)
