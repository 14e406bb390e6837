"""What ``cnt`` counts: the whole report, one page, the calls so far, a capped number, or nothing.

The vendor does not say. So it is found out from the answers themselves, and a number is believed only while it fits
one meaning.
"""

from __future__ import annotations

from airflow_provider_callreport.api.answer import Answer

#: Search engines stop counting, and refuse to page by number, at this many rows: a total of exactly this is no proof.
TOTAL_CAP = 10_000


def is_capped(count: int, cap: int | None = None) -> bool:
    """Whether a count may be the number at which the server stops counting.

    Args:
        count: what the server says.
        cap: a smaller cap that was learned of this account, or None.
    """
    return count in (TOTAL_CAP, cap)


class Totals:
    """What ``cnt`` has said so far in one filter's answers.

    Args:
        cap: a cap that was learned of this account, or None.
        meaning: what a profile says that it counts, or None.

    Attributes:
        shrank: whether it became smaller, which says something of the report when `usable` is not None.
        grew: whether it became larger, likewise.
    """

    def __init__(self, cap: int | None = None, meaning: str | None = None) -> None:
        self._cap = cap
        self._is_known_no_total = meaning in ("page", "so far", "none")
        self._answers = 0
        self._equals_length = True
        self._equals_calls_so_far = True
        self._had_rows = False
        self._pages = 0
        self._largest = 0
        self._last: int | None = None
        self.shrank = False
        self.grew = False

    def add(self, answer: Answer) -> None:
        """Take note of an answer's ``cnt``."""
        count, rows = answer.count, len(answer.records)
        self._answers += 1
        # Beyond the last page nothing may be said, and 0 may be the length of that page; neither tells of the whole.
        self._equals_length = self._equals_length and (count == rows or (count is None and not rows))
        if count is not None and (rows or count or not self._had_rows):
            self.shrank = self.shrank or count < self._largest
            self.grew = self.grew or (self._last is not None and count > self._largest)
            self._largest = max(self._largest, count)
            self._last = count
        self._had_rows = self._had_rows or rows > 0

    def compare(self, answer: Answer, calls: int) -> None:
        """Hold an answer with rows against the number of calls that have come, its own included."""
        self._pages += 1
        self._equals_calls_so_far = self._equals_calls_so_far and answer.count == calls

    def usable(self) -> int | None:
        """The total as far as it can be believed now."""
        if self._last is None or self._is_no_total or is_capped(self._last, self._cap):
            return None
        return self._last

    def least(self) -> int:
        """How many calls there are at least: where a total is capped, so many."""
        if self._last is None or self._is_no_total or not is_capped(self._last, self._cap):
            return 0
        return self._last

    @property
    def meaning(self) -> str:
        """What it counts: ``total``, ``page``, ``so far``, ``capped`` or ``none``."""
        if self._last is None:
            return "none"
        if self.is_calls_so_far:
            return "so far"
        if self._is_no_total:
            return "page"
        return "capped" if is_capped(self._last, self._cap) else "total"

    @property
    def _is_no_total(self) -> bool:
        return (
            self._is_known_no_total
            or self.is_calls_so_far
            or (self._equals_length and self._answers > 1 and self._had_rows)
        )

    @property
    def is_calls_so_far(self) -> bool:
        """Whether it grew by just the calls of each page: then it is what came until now, and no total."""
        return self._equals_calls_so_far and self._pages > 1
