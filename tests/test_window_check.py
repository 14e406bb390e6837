"""Calls outside the window show that the answer belongs to another question, for example one from a cache."""

from __future__ import annotations

from typing import Any, cast

import pytest
from support.api import ScriptedServer, json_answer, read_report

from airflow_provider_callreport.api.errors import AnswerError

COLUMNS = {"1": "Caller Number", "2": "Time"}


def rows_of(*times: Any, column_arr: Any = COLUMNS, **request: Any) -> list[tuple[str, ...]]:
    """Export calls of these times, asked for as those of 13 March 2026."""
    data = [{"callId": str(number), "1": "919876543210", "2": time} for number, time in enumerate(times)]
    answer = {"columnArr": column_arr, "data": data, "cnt": len(data)}
    with ScriptedServer(json_answer(answer), json_answer({**answer, "data": []})) as server:
        return read_report(cast(Any, server), **request).rows


@pytest.mark.parametrize(
    "strange", ["2025-01-01 10:00:00", "2026-03-12 22:59:59", "2026-03-14 01:00:00", 1_700_000_000]
)
@pytest.mark.parametrize("others", [[], ["2026-03-13 10:00:00"]])
def test_calls_of_other_days_are_red(strange: Any, others: list[str]) -> None:
    """right-window: the numbers agree, and the file would hold calls that nobody asked for."""
    with pytest.raises(AnswerError, match=r"answered calls from 20.* did not obey the window") as caught:
        rows_of(*others, strange)
    assert caught.value.retryable is True


def test_calls_about_the_window_are_believed() -> None:
    """proved-total: a call may be filed under its end, and a clock be wrong by less than an hour."""
    times = [
        "2026-03-12 23:30:00",
        "2026-03-13 00:00:00",
        "2026-03-13 23:59:59",
        "2026-03-14 00:29:59",
        "",
        "soon",
        None,
    ]
    assert len(rows_of(*times)) == len(times)


@pytest.mark.parametrize("label", ["Time (Callback)", "When"])
def test_another_column_says_nothing_of_the_window(label: str) -> None:
    """right-window: only the time at which a call began is looked at."""
    assert len(rows_of("2025-01-01 10:00:00", column_arr={"1": "Caller Number", "2": label})) == 1
