"""Answers that say less, or other things, than they seem to: totals that are none, rows beside other columns."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import DAY, KOLKATA, ScriptedServer, client_settings, json_answer

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import IncompleteReportError, TableError
from airflow_provider_callreport.api.paging import Proof, ReportReader
from airflow_provider_callreport.api.table import Table

SIZE = 10
NO_WITNESS: dict[str, Any] = {}


def proof_of(pages: list[tuple[int, int | None]], witness: Any = NO_WITNESS) -> Proof:
    """Read pages, each so many rows beside a ``cnt``, and then what reportCount answers."""
    first, answers = 0, []
    for rows, count in pages:
        data = [{"callId": str(number)} for number in range(first, first + rows)]
        answers.append(json_answer({"data": data} if count is None else {"data": data, "cnt": count}))
        first += rows
    with ScriptedServer(*answers, json_answer(witness)) as server:
        reader = ReportReader(
            CallReportClient(client_settings(server.url)), "calls", {}, DAY, page_size=SIZE, rounds_wait=()
        )
        for _ in reader.pages():
            pass
    assert reader.proof is not None
    return reader.proof


@pytest.mark.parametrize("at_the_end", [25, 0, None])
def test_a_count_of_the_rows_so_far_proves_nothing(at_the_end: int | None) -> None:
    """C2: ``cnt`` that is always what came until now would call any report whole, and end it at a short page."""
    proof = proof_of([(10, 10), (8, 18), (7, 25), (0, at_the_end)])
    assert (proof.rows, proof.reported_total, proof.complete) == (25, None, None)


def test_a_count_of_the_rows_so_far_has_a_second_witness() -> None:
    """C2: reportCount convicts a hole that such a ``cnt`` hides."""
    with pytest.raises(IncompleteReportError, match="got 25 of 27 rows"):
        proof_of([(10, 10), (8, 18), (7, 25), (0, 25)], {"cnt": 27})


@pytest.mark.parametrize("pages", [[(10, 10), (10, 10), (0, None)], [(10, 10), (10, 10), (5, 5), (0, None)]])
def test_a_page_count_may_be_missing_beyond_the_last_page(pages: list[tuple[int, int | None]]) -> None:
    """C2: a whole report whose ``cnt`` counts pages is not red for ever because the empty page has none."""
    rows = sum(rows for rows, _ in pages)
    assert proof_of(pages).complete is None
    assert proof_of(pages, {"cnt": rows}).complete is True


def rows_of(column_arr: Any, *records: Any) -> list[dict[str, Any]]:
    """The rows of one page by label."""
    table = Table(KOLKATA)
    table.start(list(records), column_arr)
    return [dict(zip(table.labels, row, strict=True)) for row in table.rows(list(records), column_arr)]


def test_positions_from_zero_beside_columns_from_one() -> None:
    """F1: each cell stands under its own label, not under that of its neighbour."""
    assert rows_of({"1": "A", "2": "B"}, {"0": "a", "1": "b"}) == [{"A": "a", "B": "b"}]
    assert rows_of({"1": "A", "2": "B"}, {"0": "x", "1": "a", "2": "b"}) == [{"A": "a", "B": "b"}]


def test_arrays_beside_columns_with_hidden_positions() -> None:
    """F1: where a position is left out of columnArr and not of the rows, the cells behind it do not move up."""
    hidden = {"2": "B", "4": "D"}
    assert rows_of(hidden, ["a", "b", "c", "d"]) == [{"B": "b", "D": "d"}]
    assert rows_of(hidden, ["b", "d"]) == [{"B": "b", "D": "d"}]
    with pytest.raises(TableError, match=r"2 columns at positions up to 4 and the rows have 3 cells"):
        rows_of(hidden, ["a", "b", "c"])


@pytest.mark.parametrize("spelled", ["Caller Number ", " Caller Number", "caller number", "CALLER NUMBER"])
def test_a_label_that_rows_spell_otherwise_finds_its_cells(spelled: str) -> None:
    """F1: a column is not empty because rows, or columnArr, have its label with a blank more or in small letters."""
    cells = {"Caller Number": "919876543210", "B": "b", "C": "c"}
    rows = {spelled if label == "Caller Number" else label: cell for label, cell in cells.items()}
    assert rows_of({"1": "Caller Number", "2": "B", "3": "C"}, rows) == [cells]
    assert rows_of({"1": spelled, "2": "B", "3": "C"}, rows) == [{spelled.strip(): "919876543210", "B": "b", "C": "c"}]
