"""The one rule for characters that a file cannot hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_callreport.formats.text import clean, encode, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x00\x1f", "␀␟"),
        ("a\tb\r\n", "a\tb\r\n"),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d", "\ufffd"),
        ("\ufffe\uffff", "\ufffd\ufffd"),
        ("\x7f\x85\u2028", "\x7f\x85\u2028"),
        ("नमस्ते مرحبا 👨‍👩‍👧", "नमस्ते مرحبا 👨‍👩‍👧"),
    ],
)
def test_a_character_is_kept_or_visibly_replaced(text: str, shown: str) -> None:
    """same-rows: the table in the docstring of `formats.text`."""
    assert clean(text) == shown


@example("a\x00b")
@example("\ufffe")
@given(st.text(st.characters()))
def test_the_fast_way_for_whole_pages_gives_the_same_bytes(text: str) -> None:
    """same-rows: `encode` is `clean` and UTF-8, for every text."""
    assert encode(text) == clean(text).encode()


@given(st.text(st.characters()))
def test_a_cleaned_text_is_clean(text: str) -> None:
    """same-rows: reading a file and writing it again changes nothing."""
    assert clean(clean(text)) == clean(text)


def test_a_title_is_one_line_of_bounded_length() -> None:
    """Titles and names on a summary cannot push its layout apart."""
    assert one_line(" two\r\nlines\t\x00 ") == "two lines ␀"
    assert one_line("x" * 300, 10) == "x" * 9 + "…"
