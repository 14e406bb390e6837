"""The figures that are counted while rows stream past."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from support.format import SIXTEEN, call

from airflow_provider_callreport.export.figures import MAX_NAMES, NONE, OTHER, FiguresCollector
from airflow_provider_callreport.report import Column, ColumnKind, Figures, Row, Tally, TallyKind

COLUMNS = [
    Column("Outcome", source="Status"),
    Column("Campaign"),
    Column("Agents"),
    Column("When", ColumnKind.DATETIME, source="Time"),
    Column("Call Duration", ColumnKind.DURATION),
    Column("Talk", ColumnKind.DURATION, source="Total Talk Duration"),
]
NINE, TEN = datetime(2026, 10, 1, 9, 59, 59), datetime(2026, 10, 1, 10)
ROWS: list[Row] = [
    ["Answered", "Sales", "Asha", NINE, 100, 60],
    ["Answered", "Sales", "Ravi", TEN, 100, 30],
    ["Missed", "", None, TEN, 20, 0],
    ["Busy", "Sales", "Asha", None, 5, None],
    ["Busy", None, "Asha", "soon", "?", "?"],
]


def figures(rows: list[Row], columns: list[Column] = COLUMNS, page_size: int = 2) -> Figures:
    collector = FiguresCollector(columns)
    for start in range(0, len(rows), page_size):
        collector.add(rows[start : start + page_size])
    return collector.figures()


def test_calls_are_counted_by_status_campaign_agent_and_hour() -> None:
    """Most calls first, then by name; empty values last, under (none); unreadable ones count as no time, no talk."""
    assert figures(ROWS) == Figures(
        by_status=(Tally("Answered", 2, 90), Tally("Busy", 2, 0), Tally("Missed", 1, 0)),
        by_campaign=(Tally("Sales", 3, 90), Tally(NONE, 2, 0, TallyKind.NO_NAME)),
        by_agent=(Tally("Asha", 3, 60), Tally("Ravi", 1, 30), Tally(NONE, 1, 0, TallyKind.NO_NAME)),
        by_hour=(*[0] * 9, 1, 2, *[0] * 13),
        talk_seconds=90,
        talk_calls=2,
    )
    assert figures(ROWS).talk_average == 45


def test_a_column_that_is_not_in_the_file_gives_no_figure() -> None:
    """A figure never shows more than the file does: dropped, not chosen, or hashed out of its type."""
    assert figures([["x"]], [Column("Details")]) == Figures()
    assert figures([["4f2a"]], [Column("Time", ColumnKind.TEXT)]).by_hour is None
    assert figures([["a"]], [Column("Status", source="Details")]).by_status is None


def test_call_duration_stands_in_for_a_missing_talk_duration() -> None:
    """`Figures.talk_seconds` is of "Total Talk Duration", else of "Call Duration"."""
    made = figures([row[:5] for row in ROWS], COLUMNS[:5])
    assert (made.talk_seconds, made.talk_is_call_time) == (225, True)
    assert not figures(ROWS).talk_is_call_time


def test_the_keys_of_webhook_records_are_known() -> None:
    """The rows may bear the vendor's other names for the same things."""
    columns = [
        Column("callStatus"),
        Column("campId"),
        Column("masterAgent"),
        Column("ivrSTime", ColumnKind.DATETIME),
        Column("talkDuration", ColumnKind.DURATION),
    ]
    made = figures([["3", "-1", "Asha", NINE, 48]], columns)
    assert made.by_status == (Tally("3", 1, 48),)
    assert made.by_campaign == (Tally("-1", 1, 48),)
    assert made.by_agent == (Tally("Asha", 1, 48),)
    assert made.by_hour is not None
    assert made.by_hour[9] == 1


def test_names_beyond_the_limit_are_added_up_and_no_call_is_lost() -> None:
    """flat-memory: memory does not grow with the number of agents."""
    names: list[Row] = [[f"agent {index}"] for index in range(MAX_NAMES + 500)]
    rows = names * 2
    by_agent = figures(rows, [Column("Agents")], page_size=100).by_agent
    assert by_agent is not None
    assert by_agent[-1] == Tally(OTHER, 1_000, 0, TallyKind.OTHER)
    assert len(by_agent) == MAX_NAMES + 1
    assert sum(tally.calls for tally in by_agent) == len(rows)


def test_one_name_beyond_the_limit_keeps_its_name() -> None:
    """A single name is never told as "(other)", and a name that reads like that is a name."""
    names: list[Row] = [[OTHER], [NONE], [" "], [None], *([f"agent {index}"] for index in range(MAX_NAMES - 2))]
    by_agent = figures([*names, ["late"], ["late"]], [Column("Agents")], page_size=100).by_agent
    assert by_agent is not None
    assert by_agent[0] == Tally("late", 2)
    assert {tally.kind for tally in by_agent[:-1]} == {TallyKind.NAME}
    assert {Tally(OTHER, 1), Tally(NONE, 1)} < set(by_agent)
    assert by_agent[-1] == Tally(NONE, 2, 0, TallyKind.NO_NAME)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "", None]), st.floats(0, 1e6).map(lambda s: round(s, 3)))),
    st.integers(1, 7),
)
def test_figures_do_not_depend_on_the_page_size(rows: list[tuple[str | None, float]], page_size: int) -> None:
    """same-again: the same rows give the same figures, to the last digit, however they are paged."""
    columns = [Column("Status"), Column("Total Talk Duration", ColumnKind.DURATION)]
    assert figures(list(rows), columns, page_size) == figures(list(rows), columns, max(len(rows), 1))


def test_many_calls_add_up() -> None:
    """The sums are those of a plain count over all rows at once."""
    rows = [call(index) for index in range(5_000)]
    made = figures(list(rows), SIXTEEN, page_size=73)
    assert made.by_status is not None
    assert {tally.name: tally.calls for tally in made.by_status} == Counter(row[12] for row in rows)
    assert made.by_hour == tuple(Counter(row[1].hour for row in rows)[hour] for hour in range(24))  # type: ignore[union-attr]
    assert made.talk_seconds == sum(row[8] for row in rows)  # type: ignore[misc]
