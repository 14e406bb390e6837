"""How to ask for the next page: by its number, or by the cursor of the last one.

Each takes an answer in and says what to ask for next. Whether an answer is right is not their business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_callreport.api.answer import Answer


class CursorRepeatedError(Exception):
    """The API sent the same cursor twice."""


class Paginator(Protocol):
    """Where in the report the next request stands.

    Attributes:
        page: the ``page`` to send, from 0.
        cursor: the ``sAftr`` to send, as JSON text; None for none.
    """

    page: int
    cursor: str | None

    def step(self, answer: Answer) -> None:
        """Move behind an answer."""


@dataclass(slots=True)
class PageNumbers:
    """Pages by number."""

    page: int = 0
    cursor: str | None = None

    def step(self, answer: Answer) -> None:
        """Move to the next page."""
        self.page += 1


@dataclass(slots=True)
class Cursors:
    """Pages by search-after cursor.

    Attributes:
        counts: whether ``page`` counts up as well; it stays 0 else.
    """

    counts: bool = False
    page: int = 0
    cursor: str | None = None
    _seen: set[int] = field(default_factory=set)

    def step(self, answer: Answer) -> None:
        """Move behind the answer's cursor.

        Raises:
            CursorRepeatedError: the API has sent it before.
        """
        digest = hash(answer.cursor)
        if digest in self._seen:
            raise CursorRepeatedError
        self._seen.add(digest)
        self.cursor = answer.cursor
        if self.counts:
            self.page += 1
