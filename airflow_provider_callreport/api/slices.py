"""Slices of a long report: what a reader asks of somebody who keeps them from one try of a task to the next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_callreport.api.filters import Window


@dataclass(frozen=True, slots=True)
class KeptSlice:
    """A part of a report's window that has been read and proved.

    Attributes:
        window: the part.
        rows: calls in it.
        pages: answers that brought them.
        total: the API's own total for it, or None when it gave no usable one.
        complete: True when the two are equal; None when there was no usable total.
        identities: the ledger's hashes of its calls.
        identified: whether a hash is that of a call's own id; else of all that is in its row.
    """

    window: Window
    rows: int
    pages: int
    total: int | None
    complete: bool | None
    identities: Collection[int]
    identified: bool


class SliceKeeper(Protocol):
    """Keeps slices. None of its methods fails: what cannot be kept is read again."""

    @property
    def identity_key(self) -> bytes:
        """Key of the ledger's hashes, up to 64 bytes; the same in each try."""

    def number_of_parts(self, window: Window) -> int | None:
        """In how many parts an earlier try read a window, or None."""

    def split(self, window: Window, number: int) -> None:
        """A window is going to be read in so many parts."""

    def kept(self, window: Window) -> KeptSlice | None:
        """What is kept of a window, or None."""

    def begin(self) -> None:
        """The pages that follow are those of one slice."""

    def finish(self, finished: KeptSlice) -> None:
        """Its last page has been written."""
