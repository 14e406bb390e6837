"""A column whose cells are all of the usual kind is typed in one step, to the same values as cell by cell."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_callreport.api.answer_check import decode
from airflow_provider_callreport.api.errors import AnswerError
from airflow_provider_callreport.api.values import converter
from airflow_provider_callreport.report import ColumnKind, Value

ZONE = ZoneInfo("Asia/Kolkata")

NUMBERS = st.one_of(st.none(), st.integers(), st.integers(-100, 100), st.floats(), st.floats(-100, 100).map(float))
TIMES = st.one_of(
    st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=st.none()).map(lambda time: str(time)[:19]),
    st.just("2026-02-30 00:00:00"),
    st.just("2026-01-31T09:30:00"),
    st.just("20260131 09:30:00.0"),
    st.just("2026-01-31 09:30+05"),
    st.just("2026-01-31 09+05:00"),
)


def alike(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and repr(one) == repr(other)


def same_as_alone(convert: Callable[[Sequence[Any]], Sequence[Value]], cells: list[Any], stranger: Any) -> bool:
    """Whether a column is typed as it is beside a cell of another kind, which is looked at cell by cell."""
    slowly = convert([*cells, stranger])[:-1]
    return all(map(alike, convert(cells), slowly))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ColumnKind.NUMBER, ColumnKind.DURATION])
@given(cells=st.lists(NUMBERS, max_size=8))
@example(cells=[0.1, 1e15, None])
@example(cells=[123456789012345.6])
@example(cells=[10**15, 1])
@example(cells=[-0.0, 0, 1e-300, 1e300])
@example(cells=[float("inf"), 1.0])
def test_numbers_of_a_column_are_those_of_its_cells(kind: ColumnKind, cells: list[Any]) -> None:
    """same-rows: at most 15 significant digits stay a number, whichever way they are looked at."""
    assert same_as_alone(converter(kind, ZONE), cells, "no number")


@given(cells=st.lists(TIMES, max_size=8))
@example(cells=["2026-01-31 09:30+05"])
@example(cells=["2026-01-31 09+05:00"])
def test_times_of_a_column_are_those_of_its_cells(cells: list[str]) -> None:
    """same-rows: a whole column of usual times, and one with other spellings in it."""
    assert same_as_alone(converter(ColumnKind.DATETIME, ZONE), cells, None)


@given(cells=st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=8))
def test_texts_of_a_column_are_those_of_its_cells(cells: list[str | None]) -> None:
    """same-rows: empty text is None."""
    assert same_as_alone(converter(ColumnKind.TEXT, ZONE), cells, True)
    assert list(converter(ColumnKind.TEXT, ZONE)(cells)) == [cell or None for cell in cells]


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@given(payload=JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_json_is_read_as_python_reads_it(payload: Any, ascii_only: bool, indent: int | None) -> None:
    """same-rows: values and their types, keys and their order, lone surrogates and infinities included."""
    text = json.dumps(payload, ensure_ascii=ascii_only, indent=indent).replace("Infinity", "1e999")
    raw = text.encode("utf-8", "surrogatepass")
    assert repr(decode(raw)) == repr(json.loads(text))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"-0", 0),
        (b"1E2", 100.0),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'"\\ud83d\\ude00\\ud800"', "\U0001f600\ud800"),
        (b"[1e400]", [math.inf]),
    ],
)
def test_json_that_needs_care(raw: bytes, value: Any) -> None:
    """same-rows: what one reader of JSON takes and another does not."""
    assert decode(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        b"[1,]",
        b"[NaN]",
        b"[Infinity]",
        b'"a\nb"',
        b"{} x",
        b"01",
        b"[1.]",
        b'"\xff"',
        b"{'a': 1}",
    ],
)
def test_what_is_no_json(raw: bytes) -> None:
    """whole-or-red: refused by both readers."""
    with pytest.raises(AnswerError, match="JSON"):
        decode(raw)
