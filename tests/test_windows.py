"""A run's window becomes the API's times, and every call falls into exactly one window (exact-window); filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import DAY, KOLKATA, behave, client_of, listed, read_report, sandbox

from airflow_provider_callreport.api.errors import SettingsError, WindowError
from airflow_provider_callreport.api.filters import (
    Window,
    build_filter,
    filter_lines,
    parse_time,
    undocumented_filters,
    warn_of_undocumented,
)
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.sandbox.calls import Call, SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxServer

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

#: Zone, day, and the hours that it has.
DAYS = [
    ("Europe/Berlin", datetime(2026, 3, 29), 23),
    ("Europe/Berlin", datetime(2026, 10, 25), 25),
    ("America/New_York", datetime(2026, 3, 8), 23),
    ("America/New_York", datetime(2026, 11, 1), 25),
    ("Australia/Lord_Howe", datetime(2026, 4, 5), 24.5),
    ("Australia/Lord_Howe", datetime(2026, 10, 4), 23.5),
    ("Asia/Kolkata", datetime(2026, 3, 13), 24),
]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as running:
        yield running


def _day(name: str, day: datetime) -> tuple[ZoneInfo, datetime, datetime]:
    """The zone, and the first instants of a local day and the next in UTC."""
    zone = ZoneInfo(name)
    start, end = (moment.replace(tzinfo=zone).astimezone(UTC) for moment in (day, day + timedelta(days=1)))
    return zone, start, end


def _hourly(start: datetime, end: datetime, zone: ZoneInfo, first: timedelta) -> list[Window]:
    """The hourly runs of a day, as Airflow makes them: an hour of real time each, cut off at both ends of the day."""
    edges, edge = [start], start + first
    while edge < end:
        edges.append(edge)
        edge += HOUR
    return [Window(one, other, zone) for one, other in pairwise([*edges, end])]


@pytest.mark.slow
@pytest.mark.parametrize("first", [HOUR, HOUR / 2], ids=["at :00", "at :30"])
@pytest.mark.parametrize(("name", "day", "hours"), DAYS)
def test_hourly_runs_partition_the_day(
    server: SandboxServer, name: str, day: datetime, hours: float, first: timedelta
) -> None:
    """exact-window: 23, 24 or 25 hourly runs over a day on which clocks change: every call is in exactly one of them.

    Each run happens at the end of its window and sees the calls that have happened by then, and no later one.
    """
    zone, start, end = _day(name, day)
    assert (end - start) / HOUR == hours
    instants = [start + timedelta(minutes=6 * step) for step in range(int((end - start) / timedelta(minutes=6)))]
    # The last second of the day, and the seconds on either side of a border of windows.
    instants += [start + second for second in (end - start - SECOND, first, first - SECOND)]
    calls = {
        moment: Call(moment.astimezone(zone).replace(tzinfo=None), call_id=f"call-{number}", number=f"9198{number:08}")
        for number, moment in enumerate(sorted(set(instants)))
    }
    source = listed(timezone=name)
    behave(server, calls=source)
    windows = _hourly(start, end, zone, first)
    got: Counter[str] = Counter()
    with client_of(server) as client:
        for window in windows:
            source.calls = [call for moment, call in calls.items() if moment < window.end]
            reader = ReportReader(client, "calls", {}, window, rounds_wait=())
            got.update(record["1"] for page in reader.pages() for record in page.records)  # type: ignore[call-overload]
            assert reader.proof is not None
            assert reader.proof.complete is (None if window.api_filter() is None else True)
    assert got == Counter(call.number for call in calls.values())
    assert len(windows) in (ceil(hours), ceil(hours) + 1)


@pytest.mark.parametrize(("name", "day", "hours"), DAYS)
def test_the_day_as_one_window_has_every_call(name: str, day: datetime, hours: float) -> None:
    """exact-window: a daily run asks from the first second of the local day to its last."""
    zone, start, end = _day(name, day)
    assert Window(start, end, zone).api_filter() == {
        "dtGte": f"{day:%Y-%m-%d} 00:00:00",
        "dtLte": f"{day:%Y-%m-%d} 23:59:59",
    }


def test_a_utc_day_of_an_indian_account() -> None:
    """exact-window: midnight UTC is half past five in the morning in Kolkata."""
    window = Window(datetime(2026, 3, 13, tzinfo=UTC), datetime(2026, 3, 14, tzinfo=UTC), KOLKATA)
    assert window.api_filter() == {"dtGte": "2026-03-13 05:30:00", "dtLte": "2026-03-14 05:29:59"}


def test_the_repeated_hour_belongs_to_its_second_pass() -> None:
    """exact-window: the hour from 2 to 3 that Berlin has twice is asked for once, when all of its calls
    have happened.
    """
    zone = ZoneInfo("Europe/Berlin")
    starts = [datetime(2026, 10, 24, 23, tzinfo=UTC) + hour * HOUR for hour in range(4)]
    before, first, second, after = (Window(start, start + HOUR, zone) for start in starts)
    assert before.api_filter() == {"dtGte": "2026-10-25 01:00:00", "dtLte": "2026-10-25 01:59:59"}
    assert first.api_filter() is None
    assert second.api_filter() == {"dtGte": "2026-10-25 02:00:00", "dtLte": "2026-10-25 02:59:59"}
    assert after.api_filter() == {"dtGte": "2026-10-25 03:00:00", "dtLte": "2026-10-25 03:59:59"}


def test_a_window_without_wall_time_is_an_empty_report_that_says_why(server: SandboxServer) -> None:
    """exact-window: the first pass of a repeated hour makes no request, and its file says where the calls are."""
    behave(server, calls=listed(timezone="Europe/Berlin"))
    zone = ZoneInfo("Europe/Berlin")
    reading = read_report(
        server, window=Window(datetime(2026, 10, 25, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC), zone)
    )
    assert reading.rows == []
    assert reading.outcome.note == "The window lies in an hour that clocks repeat; its calls are in the next one."
    assert server.requests == []


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "Asia/Kathmandu"]


#: Hours around the changes of the clocks, and any others.
STARTS = st.sampled_from([_day(name, day)[1] for name, day, _ in DAYS]) | st.datetimes(
    datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)
)


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    start=STARTS,
    cuts=st.lists(st.integers(1, 30_000_000), min_size=1, max_size=6, unique=True),
)
def test_adjacent_windows_leave_no_gap_and_no_overlap(zone: ZoneInfo, start: datetime, cuts: list[int]) -> None:
    """exact-window: whatever the edges, fractions of a second included, one window ends a second before the next
    begins.
    """
    edges = [start, *(start + timedelta(milliseconds=cut) for cut in sorted(cuts))]
    spans = [span for one, other in pairwise(edges) if (span := Window(one, other, zone).wall_times()) is not None]
    whole = Window(edges[0], edges[-1], zone).wall_times()
    assert (whole is None) == (not spans)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert not spans or whole == (spans[0][0], spans[-1][1])


@pytest.mark.slow
@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    call=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
)
def test_every_wall_time_is_in_the_hour_that_it_names(zone: ZoneInfo, call: datetime) -> None:
    """exact-window: a call at an instant is in the window of the hour of its second pass, or of its only one."""
    instant = call.replace(tzinfo=UTC)
    wall = instant.astimezone(zone).replace(tzinfo=None)
    hour = instant.replace(minute=0, second=0)
    containing = [
        offset
        for offset in range(-3, 4)
        if (span := Window(hour + offset * HOUR, hour + (offset + 1) * HOUR, zone).wall_times()) is not None
        and span[0] <= wall < span[1]
    ]
    assert len(containing) == 1
    assert 0 <= containing[0] <= 1


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-03-13", datetime(2026, 3, 13, tzinfo=KOLKATA)),
        (" 2026-03-13T10:00:00 ", datetime(2026, 3, 13, 10, tzinfo=KOLKATA)),
        ("2026-03-13T10:00:00+00:00", datetime(2026, 3, 13, 10, tzinfo=UTC)),
        ("2026-03-13 10:00:00Z", datetime(2026, 3, 13, 10, tzinfo=UTC)),
        (datetime(2026, 3, 13), datetime(2026, 3, 13, tzinfo=KOLKATA)),
        (datetime(2026, 3, 13, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC)),
    ],
)
def test_how_a_time_is_read(value: Any, moment: datetime) -> None:
    """exact-window: a time without an offset is in the account's zone."""
    assert parse_time(value, "window_start", KOLKATA) == moment


@pytest.mark.parametrize("value", [None, "", "  ", "None"])
def test_a_missing_time_is_one_sentence(value: Any) -> None:
    """exact-window: a run without a data interval never exports everything."""
    with pytest.raises(WindowError, match="window_start is empty: this run has no data interval"):
        parse_time(value, "window_start", KOLKATA)


@pytest.mark.parametrize("value", ["yesterday", "13/03/2026", "1700000000", "2026-02-30", 5])
def test_an_unreadable_time_is_one_sentence(value: Any) -> None:
    """exact-window: the sentence names the argument, what it was and what is allowed."""
    with pytest.raises(WindowError, match=rf"window_end is '{value}', which is no time; allowed is ISO 8601, such as"):
        parse_time(value, "window_end", KOLKATA)


def test_fractions_of_a_second_are_rounded_up() -> None:
    """exact-window: the API's whole second 12:00:00 is before 12:00:00.5, so it belongs to the window
    that ends there.
    """
    half = timedelta(milliseconds=500)
    noon = DAY.start + 12 * HOUR
    assert Window(noon - HOUR, noon + half, KOLKATA).api_filter() == {
        "dtGte": "2026-03-13 11:00:00",
        "dtLte": "2026-03-13 12:00:00",
    }
    assert Window(noon + half, noon + HOUR, KOLKATA).api_filter() == {
        "dtGte": "2026-03-13 12:00:01",
        "dtLte": "2026-03-13 12:59:59",
    }


def test_an_empty_or_turned_window_is_refused() -> None:
    """exact-window: start and end must differ, in this order, and be aware."""
    with pytest.raises(WindowError, match="both ends are equal: window_start and window_end are 2026-03-13T00:00:00"):
        Window(DAY.start, DAY.start, KOLKATA)
    with pytest.raises(WindowError, match="which is earlier; set a later window_end"):
        Window(DAY.end, DAY.start, KOLKATA)
    with pytest.raises(WindowError, match=r"window_end is 2026-03-14T00:00:00, which has no time zone"):
        Window(DAY.start, datetime(2026, 3, 14), KOLKATA)


def test_filters_reach_the_api_untouched(server: SandboxServer) -> None:
    """exact-window: known and unknown keys pass through; the window's own are added."""
    filters = {"agent": ["Asha Rao"], "dur": {"gte": 30}, "anything": {"new": [1, None, True]}, "cNum": "919876543210"}
    behave(server, calls=SyntheticCalls(10))
    read_report(server, filters=filters)
    (request,) = server.requests[:1]
    assert request.body == {
        "filter": {**filters, "dtGte": "2026-03-13 00:00:00", "dtLte": "2026-03-13 23:59:59"},
        "sz": 100,
        "page": 0,
        "sAftr": [],
    }
    assert request.credentials == ("userId", "token")


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"dtGte": "x"}, "filters has dtGte, which belongs to the window; set window_start and window_end instead"),
        ({"dtLte": "x"}, "filters has dtLte, which belongs to the window; set window_start and window_end instead"),
        (["cNum"], 'filters is of type list; allowed is an object of text keys, such as {"cNum": "919876543210"}'),
        ({1: "x"}, 'filters is of type dict; allowed is an object of text keys, such as {"cNum": "919876543210"}'),
        ({"since": DAY.start}, "filters has since of type datetime, which JSON cannot hold"),
        ({"dur": {"gte": float("nan")}}, "filters has dur of type dict, which JSON cannot hold"),
        ({"agent": {"a", "b"}}, "filters has agent of type set, which JSON cannot hold"),
        # A documented key, spelled otherwise.
        *(
            ({key: "x"}, f"filters has {key}; the API's name is cNum")
            for key in ("cnum", "CNUM", "cNumm", "cNm", "nNum")
        ),
        *(({key: "x"}, f"filters has {key}; the API's name is frm") for key in ("from", "fmr", "Frm")),
        *(({key: "x"}, f"filters has {key}; the API's name is to") for key in ("To", "too", "ot", "t")),
        *(({key: "x"}, f"filters has {key}; the API's name is dur") for key in ("dura", "drr", "DUR")),
        *(({key: "x"}, f"filters has {key}; the API's name is mask") for key in ("masks", "mak", "Mask")),
        *(
            ({key: "x"}, f"filters has {key}; the API's name is {right}, which belongs to the window; set window_start")
            for key, right in (("dtgte", "dtGte"), ("dtLt", "dtLte"), ("DTLTE", "dtLte"), ("dtGet", "dtGte"))
        ),
    ],
)
def test_a_wrong_filter_is_one_sentence(filters: Any, sentence: str) -> None:
    """exact-window: the sentence names the key, what it was and what is allowed, and never a value."""
    with pytest.raises(SettingsError) as failed:
        build_filter(filters, DAY)
    assert str(failed.value).startswith(sentence)


def test_filter_lines_show_no_number() -> None:
    """no-leak: covers and mails say that a number was asked for, with its last two digits at most."""
    filters = {
        "cNum": ["919876543210", "919876500011"],
        "frm": "anonymous",
        "note": "call back 98765 43210 today",
        "agent": ["Asha Rao"],
        "dur": {"gte": 30, "lte": 60},
        "to": None,
        "mask": {},
        "list": [],
        "zero": 0,
    }
    assert filter_lines(filters) == (
        "agent: Asha Rao (not documented)",
        "cNum: number ending in 10, number ending in 11",
        "dur: gte 30, lte 60",
        "frm: a number",
        "note: number ending in 10 (not documented)",
        "zero: 0 (not documented)",
    )


@pytest.mark.parametrize(
    "key", ["agent", "cType", "number", "cNumber", "direction", "masked", "fromTo", "duration", ""]
)
def test_a_key_of_another_name_passes(key: str, caplog: pytest.LogCaptureFixture) -> None:
    """exact-window: an account may have filters that the vendor's page does not name; they are named as
    not documented.
    """
    assert build_filter({key: "x", "cNum": "1"}, DAY) == {key: "x", "cNum": "1", **(DAY.api_filter() or {})}
    warn_of_undocumented({key: "x", "cNum": "1"})
    assert f"filters has {key}, not documented by the vendor; the API may take no notice of it" in caplog.text


def test_documented_keys_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """exact-window: the vendor's own keys, all of them."""
    filters = {"cNum": "1", "frm": "1", "to": "1", "mask": "mask_1", "dur": {}}
    warn_of_undocumented(filters)
    assert undocumented_filters(filters) == ()
    assert caplog.text == ""


def test_a_number_as_a_key_is_shown_nowhere() -> None:
    """no-leak: whatever a user writes."""
    shown = undocumented_filters({"919876543210": "x"}) + filter_lines({"919876543210": "x"})
    assert "9876543210" not in "".join(shown)
