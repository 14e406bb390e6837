"""Synthetic calls: any number of them, by arithmetic, on ordinary days and on days on which clocks change."""

from __future__ import annotations

import json
import statistics
import time
import tracemalloc
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_callreport.sandbox.calls import Call, ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.filters import CallFilter, parse_filter
from airflow_provider_callreport.sandbox.rows import RowShape

ISO_ROWS = RowShape(row="label", time="iso", row_cursor="sort")


def rows(source: SyntheticCalls | ListedCalls, start: datetime, end: datetime) -> list[dict[str, str]]:
    """The rows of a window, both ends inclusive."""
    selection = source.select(CallFilter(start, end))
    return [json.loads(row) for row in selection.encode(0, len(selection), ISO_ROWS)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Kolkata", date(2025, 11, 22), 24),
        ("Europe/Berlin", date(2025, 3, 30), 23),
        ("Europe/Berlin", date(2025, 10, 26), 25),
        ("America/New_York", date(2025, 3, 9), 23),
        ("America/New_York", date(2025, 11, 2), 25),
        ("Australia/Lord_Howe", date(2025, 10, 5), 23.5),
        ("Australia/Lord_Howe", date(2025, 4, 6), 24.5),
        ("Africa/Cairo", date(2025, 4, 25), 23),
    ],
)
@pytest.mark.parametrize("per_day", [7, 1000])
def test_a_day_of_any_length_has_its_calls_in_order(zone: str, day: date, hours: float, per_day: int) -> None:
    """exact-window: its tests need calls on both DST days: exactly so many a day, at real instants, in rising order,
    within the day.
    """
    source = SyntheticCalls(per_day, timezone=zone)
    midnight = datetime(day.year, day.month, day.day)
    shown = rows(source, midnight, midnight + timedelta(hours=23, minutes=59, seconds=59))

    instants = [datetime.fromisoformat(row["Time"]) for row in shown]

    assert len(instants) == per_day
    assert all(earlier <= later for earlier, later in pairwise(instants))
    start, end = ((midnight + timedelta(days=n)).replace(tzinfo=ZoneInfo(zone)).timestamp() for n in (0, 1))
    assert end - start == hours * 3600
    assert all(start <= instant.timestamp() < end for instant in instants)
    for instant in instants:
        assert instant.utcoffset() == instant.astimezone(ZoneInfo(zone)).utcoffset()


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"])
def test_wall_clock_hours_partition_a_day_on_which_clocks_change(zone: str) -> None:
    """The window filter works on the wall clock, so a repeated hour has both its runs and a skipped one nothing."""
    source = SyntheticCalls(2000, timezone=zone)
    for day in (date(2025, 3, 30), date(2025, 10, 26), date(2025, 10, 5), date(2025, 4, 6)):
        midnight = datetime(day.year, day.month, day.day)
        whole = rows(source, midnight, midnight + timedelta(days=1, seconds=-1))
        parts = [
            row
            for hour in range(24)
            for row in rows(
                source, midnight + timedelta(hours=hour), midnight + timedelta(hours=hour, minutes=59, seconds=59)
            )
        ]
        assert sorted(row["callId"] for row in parts) == sorted(row["callId"] for row in whole)
        assert len(whole) == 2000


def test_ids_are_unique_and_27_characters_long() -> None:
    source = SyntheticCalls(5000)

    found = [row["callId"] for row in rows(source, datetime(2025, 11, 22), datetime(2025, 11, 24, 23, 59, 59))]

    assert len(set(found)) == 15_000
    assert {len(call_id) for call_id in found} == {27}


def test_a_window_of_years_costs_no_memory_and_no_time() -> None:
    """A million calls a day for seven years: nothing is held, and a page from the middle is there at once."""
    source = SyntheticCalls(1_000_000)
    tracemalloc.start()
    began = time.process_time()
    selection = source.select(CallFilter(datetime(2024, 1, 1), datetime(2030, 12, 31, 23, 59, 59)))
    middle = selection.encode(1_234_567_890, 1_234_567_990, ISO_ROWS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(selection) == 2557 * 1_000_000
    assert len(middle) == 100
    assert time.process_time() - began < 2
    assert peak < 40_000_000


def test_outside_the_span_there_are_no_calls() -> None:
    source = SyntheticCalls(10, first_day=date(2025, 11, 22), last_day=date(2025, 11, 23))

    assert len(source.select(CallFilter())) == 20
    assert len(source.select(CallFilter(None, datetime(2025, 11, 21, 23, 59, 59)))) == 0
    assert len(source.select(CallFilter(datetime(2025, 11, 24), None))) == 0
    assert len(source.select(CallFilter(datetime(2020, 1, 1), datetime(2030, 1, 1)))) == 20
    assert len(source.select(CallFilter(datetime(2025, 11, 23), datetime(2025, 11, 22)))) == 0
    assert len(SyntheticCalls(0).select(CallFilter())) == 0


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="per_day must be 0 or more, not -1"):
        SyntheticCalls(-1)
    with pytest.raises(ValueError, match="last_day 2025-01-01 must not be before first_day 2025-01-02"):
        SyntheticCalls(first_day=date(2025, 1, 2), last_day=date(2025, 1, 1))
    with pytest.raises(ValueError, match="hourly_weights must be 24 numbers"):
        SyntheticCalls(hourly_weights=[0] * 24)


def test_a_scan_finds_what_a_look_at_every_row_finds() -> None:
    source = SyntheticCalls(3000)
    day = {"dtGte": "2025-11-22 00:00:00", "dtLte": "2025-11-22 23:59:59"}
    everything = rows(source, datetime(2025, 11, 22), datetime(2025, 11, 22, 23, 59, 59))

    selection = source.select(parse_filter({**day, "agent": ["Asha Rao", "Rahul Mehta"], "dur": {"gte": 100}}))

    found = [json.loads(row)["callId"] for row in selection.encode(0, len(selection), ISO_ROWS)]
    assert found == [
        row["callId"]
        for row in everything
        if {"Asha Rao", "Rahul Mehta"} & set(row["Agents"].split(", ")) and int(row["Call Duration"]) >= 100
    ]
    assert 0 < len(found) < 1000


def test_listed_calls_know_the_second_run_of_an_hour() -> None:
    """exact-window: fold tells the two 02:30 of a Berlin October apart; both are in the wall-clock window."""
    calls = [
        Call(datetime(2025, 10, 26, 2, 30, fold=1), call_id="second"),
        Call(datetime(2025, 10, 26, 2, 30), call_id="first"),
    ]
    shown = rows(ListedCalls(calls, timezone="Europe/Berlin"), datetime(2025, 10, 26, 2), datetime(2025, 10, 26, 2, 59))

    assert [row["callId"] for row in shown] == ["first", "second"]
    assert [row["Time"] for row in shown] == ["2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00"]


def test_a_window_of_listed_calls_is_inclusive_at_both_ends() -> None:
    source = ListedCalls(Call(datetime(2025, 11, 22, 0, 0, second)) for second in range(5))

    assert len(source.select(CallFilter(datetime(2025, 11, 22, 0, 0, 1), datetime(2025, 11, 22, 0, 0, 3)))) == 3


@pytest.mark.parametrize("by_serial_alone", [False, True])
def test_a_cursor_parts_listed_calls_of_one_instant(by_serial_alone: bool) -> None:
    """alike-calls: ties at page borders; the calls up to a cursor and the calls before it differ by the one that it
    names.
    """
    selection = ListedCalls([Call(datetime(2025, 11, 22))] * 50).select(CallFilter())

    for position in range(50):
        milliseconds, serial = selection.cursor(position)
        key = (None if by_serial_alone else milliseconds, serial)
        assert selection.rank(*key, inclusive=False) == position
        assert selection.rank(*key, inclusive=True) == position + 1


def test_pages_are_built_fast_enough_for_benchmarks() -> None:
    """The server must not be the slow part: it does 366,000 rows a second when idle; a busy machine may do less."""
    source = SyntheticCalls(100_000)
    selection = source.select(CallFilter(datetime(2025, 11, 22), datetime(2025, 11, 22, 23, 59, 59)))
    selection.encode(0, 1, RowShape())
    began = time.process_time()
    for start in range(0, 20_000, 100):
        ",".join(selection.encode(start, start + 100, RowShape())).encode()

    assert 20_000 / (time.process_time() - began) > 50_000


DAY_OF_CALLS = (datetime(2025, 11, 20), datetime(2025, 11, 20, 23, 59, 59))


def test_people_talk_as_long_as_in_a_call_centre() -> None:
    """Half of the talks are shorter than two to three minutes, few are long, and nobody talks more than nine hours."""
    calls = rows(SyntheticCalls(2000), *DAY_OF_CALLS)
    talks = sorted(int(call["Total Talk Duration"]) for call in calls if call["Status"] == "Answered")
    assert 120 <= statistics.median(talks) <= 180
    assert 180 <= statistics.mean(talks) <= 300
    assert 400 <= talks[len(talks) * 95 // 100] <= 900
    assert talks[0] >= 1
    assert talks[-1] <= 3600
    hours: Counter[str] = Counter()
    for call in calls:
        for agent in filter(None, call["Agents"].split(", ")):
            hours[agent] += int(call["Total Talk Duration"])
    assert 20 <= len(hours) <= 40
    assert max(hours.values()) <= 9 * 3600


def test_more_calls_are_missed_at_night_and_at_lunch() -> None:
    """The share of unanswered calls follows the hours, and is about a fifth in all."""
    calls = rows(SyntheticCalls(20_000), *DAY_OF_CALLS)
    all_of, missed = Counter(call["Time"][11:13] for call in calls), Counter[str]()
    missed.update(call["Time"][11:13] for call in calls if call["Status"] != "Answered")
    share = {hour: missed[hour] / number for hour, number in all_of.items()}
    assert share["10"] < share["13"] < share["20"] < share["22"]
    assert 0.15 <= sum(missed.values()) / len(calls) <= 0.25


@pytest.mark.parametrize("masked", [False, True])
def test_the_times_of_a_call_agree(masked: bool) -> None:
    """The call contains the customer's part, that the agent's, and that the talk; who did not talk was not answered."""
    for call in rows(SyntheticCalls(5000, masked=masked), *DAY_OF_CALLS):
        whole, customer, agent, talk = (
            int(call[label])
            for label in ("Call Duration", "Customer Duration", "Agent on Call Duration", "Total Talk Duration")
        )
        assert whole >= customer >= agent >= talk >= 0
        answered = call["Status"] == "Answered"
        assert (talk > 0) is answered
        if not answered:
            assert (agent, float(call["Amount"]), call["Agents"], call["Rec."]) == (0, 0, "", "")


def test_a_campaign_has_its_own_number_and_team() -> None:
    """Who reads a report by campaign, number or lead sees one company and not dice."""
    calls = rows(SyntheticCalls(5000), *DAY_OF_CALLS)
    assert len({(call["Campaign"], call["DID Number"]) for call in calls}) == len({call["Campaign"] for call in calls})
    leads = {(call["Campaign"], call["Master Agent"]) for call in calls if call["Master Agent"]}
    assert len(leads) == 5


def test_a_synthetic_call_is_found_by_its_id_with_its_recording() -> None:
    """`detail` and the list agree on which calls have a recording, at every hour of the day."""
    source = SyntheticCalls(2000)
    for call in rows(source, *DAY_OF_CALLS):
        assert source.recording(call["callId"]) == call["Rec."]
