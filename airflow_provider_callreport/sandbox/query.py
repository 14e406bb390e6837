"""One request for a page of calls: which calls match, and which of them are on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_callreport.sandbox.errors import VendorError
from airflow_provider_callreport.sandbox.filters import FilterError, parse_filter
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.sandbox.source import CallSource, Selection


@dataclass
class PageQuery:
    """A page of a selection.

    Places are counted from 0 in the order of the answer; `low` and `high` cut the selection (which is oldest first)
    down to the calls that are visible at this moment.

    Attributes:
        selection: the calls that match.
        size: rows a page.
        offset: place of the page's first row.
        newest_first: the order.
        low, high: the visible part of the selection.
        cursor_place: place of the row whose cursor the answer shows as the page's; None for the page's last row.
    """

    selection: Selection
    size: int
    offset: int
    newest_first: bool
    low: int
    high: int
    cursor_place: int | None = None

    @property
    def total(self) -> int:
        """How many calls match."""
        return self.high - self.low

    @property
    def page(self) -> int:
        """The page's number, counted from 0, also in a read by cursor."""
        return self.offset // self.size

    def rows(self, settings: SandboxSettings) -> list[str]:
        """The JSON of the page's rows."""
        first, stop = min(self.offset, self.total), min(self.offset + self.size, self.total)
        if self.newest_first:
            return self.selection.encode(self.high - stop, self.high - first, settings.row)[::-1]
        return self.selection.encode(self.low + first, self.low + stop, settings.row)

    def last_place(self) -> int | None:
        """The place of the page's last row, None when the page is empty."""
        last = min(self.offset + self.size, self.total) - 1
        return last if last >= self.offset else None

    def key(self, place: int) -> tuple[int, int]:
        """The sort key of the row at a place."""
        return self.selection.cursor(self.high - 1 - place if self.newest_first else self.low + place)


def page_query(body: Mapping[str, Any], source: CallSource, settings: SandboxSettings) -> PageQuery:
    """Understand the body of a ``list`` or ``masklist`` request.

    Raises:
        VendorError: 1000, for a filter, size, page or cursor that cannot be understood or is not allowed.
    """
    selection = select(body, source, settings)
    size = _whole_number("sz", body.get("sz", settings.page_size), least=1)
    if settings.max_page_size is not None and size > settings.max_page_size:
        if settings.page_size_policy == "refuse":
            raise VendorError(1000, f"sz must be at most {settings.max_page_size}, not {size}")
        size = settings.max_page_size
    page = _whole_number("page", body.get("page", 0), least=0)
    query = PageQuery(
        selection,
        size=size,
        offset=page * size,
        newest_first=settings.order == "newest",
        low=0,
        high=len(selection),
    )
    cursor = body.get("sAftr")
    if settings.cursor != "none" and cursor not in (None, [], ""):
        if page and settings.page_with_cursor == "refuse":
            raise VendorError(1000, "page must be 0 when sAftr is used")
        query.offset = _place_after(query, _sort_key(cursor))
    elif settings.deep_page_limit is not None and query.offset + size > settings.deep_page_limit:
        raise VendorError(
            1000,
            f"Result window is too large, from + size must be at most {settings.deep_page_limit}"
            f" but was {query.offset + size}",
        )
    return query


def select(body: Mapping[str, Any], source: CallSource, settings: SandboxSettings) -> Selection:
    """The calls that match a body's ``filter``.

    Raises:
        VendorError: 1000, when the filter cannot be understood.
    """
    try:
        return source.select(parse_filter(body.get("filter"), reject_unknown=settings.reject_unknown_filters))
    except FilterError as error:
        raise VendorError(1000, str(error)) from None


def _place_after(query: PageQuery, key: tuple[int | None, int]) -> int:
    """The place of the first row behind a sort key."""
    milliseconds, serial = key
    if query.newest_first:
        place = query.high - query.selection.rank(milliseconds, serial, inclusive=False)
    else:
        place = query.selection.rank(milliseconds, serial, inclusive=True) - query.low
    return min(max(place, 0), query.total)


def _sort_key(raw: object) -> tuple[int | None, int]:
    """Read a cursor. A number that came back with a fraction or as text was not sent back unchanged."""
    match raw:
        case [int(milliseconds), int(serial)]:
            return milliseconds, serial
        case [int(serial)] | int(serial):
            return None, serial
    raise VendorError(1000, "sAftr is not a cursor of this server")


def _whole_number(key: str, raw: object, *, least: int) -> int:
    if isinstance(raw, str) and raw.isdecimal():
        raw = int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool) or raw < least:
        raise VendorError(1000, f"{key} must be a whole number of at least {least}")
    return raw
