"""What the ledger says of calls that come again: against a plain set (few-requests, alike-calls, moving-report)."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_callreport.api import seen as seen_module
from airflow_provider_callreport.api.ledger import Ledger
from airflow_provider_callreport.api.seen import Seen

#: Pages of ids; few different ones, so that many come again.
PAGES = st.lists(st.lists(st.integers(0, 25), max_size=6, unique=True), max_size=12)


@pytest.mark.slow
@given(pages=PAGES)
def test_a_call_is_let_through_once(pages: list[list[int]]) -> None:
    """moving-report: by id, against a plain set."""
    ledger, seen = Ledger("callId"), set[int]()
    for number, page in enumerate(pages):
        records: list[Any] = [{"callId": f"call-{identity}"} for identity in page]
        assert ledger.has_any(records) is not seen.isdisjoint(page)
        entry = ledger.enter(records, number)
        fresh = [index for index, identity in enumerate(page) if identity not in seen]
        assert (entry.fresh, entry.known) == (fresh, len(page) - len(fresh))
        seen.update(page)
    assert ledger.unique == len(seen)
    assert ledger.dropped == sum(map(len, pages)) - len(seen)
    ledger.close()


@pytest.mark.parametrize("drop_alike", [False, True])
@given(pages=st.lists(st.lists(st.integers(0, 8), max_size=6), max_size=10))
def test_rows_without_an_id_are_compared_with_those_of_earlier_pages(drop_alike: bool, pages: list[list[int]]) -> None:
    """alike-calls: rows that look alike, within a page and across pages, and which page they were on first."""
    ledger = Ledger(drop_alike=drop_alike)
    first: dict[int, int] = {}
    for number, page in enumerate(pages):
        entry = ledger.enter([[cell] for cell in page], number)
        alike = [index for index, cell in enumerate(page) if cell in first]
        assert (entry.alike, entry.known) == (len(alike), 0)
        assert entry.fresh == [index for index in range(len(page)) if not (drop_alike and index in alike)]
        shared = [first[cell] for cell in {page[index] for index in alike}]
        assert entry.overlaps == min((one for one in shared if shared.count(one) >= 2), default=None)
        for cell in page:
            first.setdefault(cell, number)
    ledger.close()


@pytest.mark.parametrize("share", [0.25, 4])
@given(batches=st.lists(st.lists(st.integers(-40, 40), max_size=12, unique=True), max_size=12))
def test_what_has_been_seen_is_exact_however_little_is_kept_in_memory(share: float, batches: list[list[int]]) -> None:
    """moving-report: runs of eight hashes, blocks of two, a filter that grows from one word; against a dictionary."""
    with (
        patch.multiple(seen_module, _RECENT=8, _PART=8, _BLOCK=2, _WORDS=1, _SHARE=share),
        closing(Seen()) as seen,
    ):
        known: dict[int, int] = {}
        for number, batch in enumerate(batches):
            # Spread over all 64 bits, the sign included, as hashes are.
            hashes = [one * 0x0123456789ABCDEF for one in batch]
            found = seen.find(hashes)
            assert found == {one: known[one] for one in hashes if one in known}
            new = {one: number << 32 for one in hashes if one not in known}
            seen.add(new.items())
            known |= new
        assert seen.find(list(known)) == known


def test_half_a_surrogate_pair_does_not_make_two_rows_of_one() -> None:
    """moving-report: a row is known again on another page, whatever text stands beside it there."""
    odd, plain = ["\ud83d", "half an emoji"], ["1", "2"]
    with closing(Ledger()) as ledger:
        ledger.enter([odd, plain], 0)
        assert ledger.enter([plain], 1).alike == 1
        assert ledger.enter([odd, ["3", "4"]], 2).alike == 1
        assert ledger.enter([{"1": "a", "sort": ["\ud83d"]}, {"1": "b", "sort": ["\ud83e"]}], 3).known == 0
