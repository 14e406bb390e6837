"""Wide on many workers: a window in slices for mapped tasks, a backfill in any order, days that are read again."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import runpy
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.providers.common.compat.sdk import Asset
from hypothesis import given
from hypothesis import strategies as st
from jinja2.nativetypes import NativeEnvironment
from support.api import client_of
from support.readme import code_blocks
from support.runs import AIRFLOW, KOLKATA, AirflowRuns, Api, Evidence, once_a_session, run_dags

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import SettingsError, WindowError
from airflow_provider_callreport.api.filters import Window, parse_time
from airflow_provider_callreport.connection import CONNECTION_FIELDS
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.task.mapped_names import window_name
from airflow_provider_callreport.windows import MAX_WINDOWS, windows

DAY_KEY = "calls/dt={start:%Y-%m-%d}/calls.csv"
EXAMPLE = Path(__file__).parent.parent / "example_dags" / "calls_by_day.py"
MARCH = windows("2026-03-01", "2026-03-31", s3_key=DAY_KEY)


def edges(found: list[dict[str, str]]) -> list[tuple[datetime, datetime]]:
    """The windows as instants."""
    return [(datetime.fromisoformat(one["window_start"]), datetime.fromisoformat(one["window_end"])) for one in found]


def hours(found: list[dict[str, str]]) -> list[float]:
    """How long the windows are."""
    return [(end - start) / timedelta(hours=1) for start, end in edges(found)]


#: What the form saves: its defaults, and null for empty fields.
AS_THE_FORM_SAVES = {field.name: field.default for field in CONNECTION_FIELDS} | {"page_size": 500}

# --- windows() -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        # Midnight itself does not exist on this day.
        ("Africa/Cairo", "2026-04-24", 23),
        ("Asia/Kolkata", "2026-03-13", 24),
    ],
)
def test_days_are_those_of_the_account(zone: str, day: str, length: float) -> None:
    """exact-window: a day begins at the account's midnight, and is as long as it is there."""
    first = date.fromisoformat(day)
    found = windows(first - timedelta(days=1), first + timedelta(days=2), timezone=zone, s3_key="{start:%Y-%m-%d}")
    assert hours(found) == [24, length, 24]
    assert [one["s3_key"] for one in found] == [str(first + timedelta(days=number)) for number in (-1, 0, 1)]
    # Hours are elapsed time: none is lost or doubled, and each has a key of its own.
    hourly = windows(*(found[1][side] for side in ("window_start", "window_end")), every="hour", timezone=zone)
    assert sum(hours(hourly)) == length
    assert {(one["window_start"], one["window_end"]) for one in hourly[-1:]} <= {
        (one["window_start"], found[1]["window_end"]) for one in hourly
    }


@given(
    start=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)),
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=70)),
    every=st.sampled_from(["day", "week", "month", timedelta(hours=7), timedelta(days=2)]),
    zone=st.sampled_from(["Asia/Kolkata", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia"]),
    lookback=st.integers(0, 3),
)
def test_windows_partition_the_time(start: datetime, length: timedelta, every: Any, zone: str, lookback: int) -> None:
    """exact-window: no gap, no overlap, from the first instant to the last, whatever clocks do; and a lookback only
    adds.
    """
    begin = start.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found = windows(begin, begin + length, every=every, timezone=zone)
    moments = edges(found)
    assert (moments[0][0], moments[-1][1]) == (begin, begin + length)
    assert all(before[1] == after[0] for before, after in pairwise(moments))
    assert all(begin < end for begin, end in moments)
    more = windows(begin, begin + length, every=every, timezone=zone, lookback=lookback)
    assert more[len(more) - len(found) :] == found
    assert all(before[1] == after[0] for before, after in pairwise(edges(more)))


def test_months_are_of_the_calendar_and_count_from_the_first() -> None:
    """exact-window: the 31st of a month is its last day where it has no 31st, and the next one is the 31st again."""
    found = windows("2026-01-31", "2026-05-01", every="month", lookback=1)
    assert [one["window_start"][:10] for one in found] == [
        *("2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30")
    ]
    assert found[-1]["window_end"][:10] == "2026-05-01"


def test_keys_are_hive_style_in_either_zone() -> None:
    """same-again: the same window gives the same key, in the account's zone or in UTC."""
    key = "dt={start:%Y-%m-%d}/utc={utc_start:%Y-%m-%dT%H%M}/{end:%d}-{utc_end:%d}.csv"
    (one,) = windows("2026-03-13", "2026-03-14", s3_key=key, filename="calls {start:%d %b}.csv")
    assert one == {
        "window_start": "2026-03-13T00:00:00+05:30",
        "window_end": "2026-03-14T00:00:00+05:30",
        "s3_key": "dt=2026-03-13/utc=2026-03-12T1830/14-13.csv",
        "filename": "calls 13 Mar.csv",
    }


def test_it_works_where_airflow_gives_the_times() -> None:
    """every-airflow: Airflow's own times, dates and texts mean the same; also in a template, as a macro."""
    expected = windows("2026-03-12", "2026-03-14", s3_key=DAY_KEY)
    end = pendulum.datetime(2026, 3, 14, tz="Asia/Kolkata")
    assert windows(end.subtract(days=2), end.in_timezone("UTC"), s3_key=DAY_KEY) == expected
    assert windows(date(2026, 3, 12), datetime(2026, 3, 14), s3_key=DAY_KEY) == expected
    template = NativeEnvironment().from_string("{{ windows(end.subtract(days=2), end, s3_key=key) }}")
    rendered: Any = template.render(windows=windows, end=end, key=DAY_KEY)
    assert rendered == expected
    assert json.loads(json.dumps(expected)) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"every": "hours"},
            "every is 'hours' (did you mean 'hour'?); allowed are hour, day, week, month, or a timedelta",
        ),
        ({"every": timedelta(0)}, "every is datetime.timedelta(0); allowed are"),
        ({"every": timedelta(milliseconds=1500)}, "or a timedelta of whole seconds"),
        ({"every": None}, "every is None; allowed are"),
        ({"timezone": "Mars/Base"}, "timezone is 'Mars/Base'; allowed is an IANA time zone"),
        ({"timezone": "../etc/passwd"}, "allowed is an IANA time zone"),
        ({"lookback": -1}, "lookback is -1; allowed is a whole number of at least 0"),
        ({"lookback": True}, "lookback is True; allowed is a whole number"),
        ({"limit": 0}, "limit is 0; allowed is a whole number of at least 1"),
        ({"limit": 8}, "there are more than 8 windows from 2026-10-01T00:00:00+05:30 to 2026-10-10"),
        ({"every": timedelta(seconds=1)}, f"there are more than {MAX_WINDOWS} windows from"),
        ({"lookback": 10**9}, f"there are more than {MAX_WINDOWS} windows from"),
        ({"s3_key": "calls.csv"}, "s3_key is 'calls.csv' for the windows that begin at 2026-10-01T00:00:00+05:30 and"),
        ({"manifest_key": "m"}, "manifest_key is 'm' for the windows"),
        ({"s3_key": "{ds}.csv"}, "s3_key has {ds}; allowed in braces are start, end, utc_start, utc_end"),
        ({"s3_key": "{start.year}"}, "s3_key has {start.year} (did you mean 'start'?); allowed in braces are"),
        ({"s3_key": "{}"}, "s3_key has {}; allowed in braces are"),
        ({"s3_key": "{{ ds }}.csv"}, "s3_key has an Airflow template, which is not rendered here"),
        ({"s3_key": "{start"}, "s3_key is '{start', which has a brace too many or too few"),
        ({"s3_key": "{start!z}"}, "s3_key is '{start!z}', which could not be filled"),
        ({"s3_key": 3}, "s3_key is 3; allowed is text"),
        ({"window_start": "x"}, "window_start is what windows() gives; leave it out"),
    ],
)
def test_bad_arguments_have_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: it names the argument, what it was and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        windows("2026-10-01", "2026-10-10", **arguments)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        ("2026-10-10", "2026-10-10", "both ends are equal: start and end are 2026-10-10T00:00:00+05:30"),
        ("2026-10-11", "2026-10-10", "end is 2026-10-10T00:00:00+05:30, which is earlier; set a later end"),
        ("yesterday", "2026-10-10", "start is 'yesterday', which is no time"),
        ("2026-10-10", None, "end is empty"),
        ("9998-10-10", "9999-10-10", "windows of 9999 days, 0:00:00 from 9998-10-10"),
    ],
)
def test_a_time_that_is_none_is_refused(start: Any, end: Any, sentence: str) -> None:
    """clear-sentence: an empty or unreadable time is never "everything"."""
    with pytest.raises(WindowError) as caught:
        windows(start, end, every=timedelta(days=9999))
    assert sentence in str(caught.value)


# --- a backfill ------------------------------------------------------------------------------------------------------


def calls_of_march(*further: Call) -> ListedCalls:
    """Five calls a day for 30 days, and what came later."""
    days = range(30)
    usual = [Call(datetime(2026, 3, 1, 4 * hour) + timedelta(days=day)) for day in days for hour in range(5)]
    return ListedCalls([*usual, *further])


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxS3]:
    with SandboxS3() as running:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", running.connection_json())
        yield running


def export_all(client: CallReportClient, found: list[dict[str, str]], run_id: str, page_size: int) -> dict[str, str]:
    """Export the windows side by side, in an order of their own; what became of each key."""
    order = random.Random(run_id).sample(range(len(found)), len(found))

    def export(number: int) -> tuple[str, str | None]:
        one = found[number]
        start, end = (parse_time(one[f"window_{side}"], side, KOLKATA) for side in ("start", "end"))
        asked = ExportRequest("calls", Window(start, end, KOLKATA), page_size=page_size)
        run = RunIdentity("dag", "export", run_id, number)
        (file,) = export_report(client, asked, run=run, destination=S3Destination("reports", one["s3_key"])).files
        return one["s3_key"], file.status

    with ThreadPoolExecutor(6) as workers:
        return {key: str(status) for key, status in workers.map(export, order)}


@pytest.mark.slow
def test_a_backfill_of_a_month_in_any_order_gives_the_same_bytes(s3: SandboxS3) -> None:
    """same-again: 30 days in parallel; days that are run again, in other pages, write nothing; and then one late day
    is.
    """

    def stored() -> dict[str, tuple[bytes, Any]]:
        client = s3.client()
        objects = {key: client.get_object(Bucket="reports", Key=key) for key in sorted(s3.keys())}
        # The metadata has the run: an object that was written again would differ.
        return {key: (one["Body"].read(), one["Metadata"]) for key, one in objects.items()}

    settings = SandboxSettings(calls=calls_of_march())
    with SandboxServer(settings) as server, client_of(server) as client:
        assert set(export_all(client, MARCH, "scheduled", 100).values()) == {"written"}
        first = stored()
        assert list(first) == [one["s3_key"] for one in MARCH]
        for day, (content, _) in zip(MARCH, first.values(), strict=True):
            times = [row["Time"] for row in csv.DictReader(content.decode().splitlines())]
            assert times == [f"{day['window_start'][:10]} {4 * hour:02d}:00:00" for hour in range(5)]
        some = random.Random(3).sample(MARCH, 8)
        assert set(export_all(client, some, "backfill", 3).values()) == {"unchanged"}
        assert stored() == first
        # A call of the 28th shows up late. A look back over the last days writes that day only.
        server.settings.calls = calls_of_march(Call(datetime(2026, 3, 28, 15), status="Late"))
        last_days = windows("2026-03-30", "2026-03-31", lookback=3, s3_key=DAY_KEY)
        late = "calls/dt=2026-03-28/calls.csv"
        statuses = export_all(client, last_days, "lookback", 100)
        assert statuses == {one["s3_key"]: "written" if one["s3_key"] == late else "unchanged" for one in last_days}
        now = stored()
        assert b"Late" in now.pop(late)[0]
        assert now.items() < first.items()


# --- names in the grid -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        ("2026-10-15T00:00:00+05:30", "2026-10-16T00:00:00+05:30", "2026-10-15"),
        ("2026-10-01", "2026-11-01", "2026-10-01 to 2026-10-31"),
        ("2026-10-15T00:00:00+05:30", "2026-10-15T06:00:00+05:30", "2026-10-15 00:00-06:00"),
        ("2026-10-15T18:00:00+05:30", "2026-10-16T00:00:00+05:30", "2026-10-15 18:00-00:00"),
        ("2026-10-15T18:00:00", "2026-10-16T06:00:00", "2026-10-15 18:00 to 2026-10-16 06:00"),
        ("2026-10-15T18:00:30", datetime(2026, 10, 15, 19), "2026-10-15 18:00:30-19:00"),
        # The hour that comes twice has two names.
        ("2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25 02:00-02:00"),
        ("2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00", "2026-10-25 02:00-03:00"),
        ("soon", "2026-10-15", ""),
    ],
)
def test_a_window_has_a_short_name(start: str, end: Any, name: str) -> None:
    """known-to-airflow: a day, days with the last one in it, or times of a day."""
    assert window_name(start, end) == name


# --- in real Airflow -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    """The example Dag on two days that follow one another."""

    def make(directory: Path) -> Evidence:
        return run_dags(
            airflow_runs,
            directory,
            ["mapped.py"],
            [("calls_by_day", datetime(2026, 3, day, 2, tzinfo=KOLKATA)) for day in (6, 7)],
            apis={"callreport_default": Api(SandboxSettings(calls=calls_of_march()), AS_THE_FORM_SAVES)},
            environment={"CALLREPORT_EXAMPLE_DAG": str(EXAMPLE)},
        )

    return once_a_session(airflow_runs, "mapped-run", make)


def test_mapped_tasks_are_named_by_their_windows(run: Evidence) -> None:
    """known-to-airflow: the grid shows days, not 0, 1, 2, though the Dag says nothing of names."""
    with closing(sqlite3.connect(run.home / "airflow.db")) as database:
        rows = database.execute(
            "select task_id, rendered_map_index from task_instance order by run_id, task_id, map_index"
        )
        named = [(task_id, name) for task_id, name in rows if name is not None]
    assert named == [("export", f"2026-03-0{day}") for first in (3, 4) for day in range(first, first + 3)]


def test_the_forms_values_make_no_noise(run: Evidence) -> None:
    """clear-sentence: Airflow gives all texts of the extra to its masker, which warns of one with less than five
    characters in every task; the form saves none.
    """
    assert "2026-03-03" in run.log
    assert "Skipping masking" not in run.log


def test_the_example_dag_exports_each_day_and_joins_them(run: Evidence) -> None:
    """every-airflow, exact-window: a task a day, then the manifest, whose window moves on with the run."""
    assert {one.state for (dag_id, _, _), one in run.tasks.items() if dag_id == "calls_by_day"} == {"success"}, run.log
    exports = sorted(index for _, task_id, index in run.tasks if task_id == "export")
    assert exports == [0, 1, 2]
    days = [f"calls/dt=2026-03-0{day}/calls.csv" for day in range(3, 7)]
    assert sorted(run.objects) == [*days, "calls/manifest.json"]
    manifest = json.loads(run.objects["calls/manifest.json"].body)
    assert [file["uri"] for file in manifest["files"]] == [f"s3://reports/{key}" for key in days[1:]]
    assert (manifest["rows"], manifest["window"]["start"]) == (15, "2026-03-04T00:00:00+05:30")
    value = run.task("calls_by_day", "manifest").xcom
    assert (value["slices"], value["rows"], value["reported_total"]) == (3, 15, 15)
    assert value["manifest"]["sha256"] == hashlib.sha256(run.objects["calls/manifest.json"].body).hexdigest()


def test_a_day_that_is_as_it_was_is_not_written_again_and_has_no_event(run: Evidence) -> None:
    """same-again, known-to-airflow: the second run writes one day of three; from Airflow 3.3 on there is an event for
    each new day.
    """
    assert run.log.count("written: s3://reports/calls/dt=") == 4
    assert run.log.count("unchanged: s3://reports/calls/dt=") == 2
    events = run.asset_events("calls_by_day")
    assert {(event.task_id, event.uri) for event in events} == {("manifest", "call_days")}
    assert len(events) == 4 if AIRFLOW >= (3, 3) else 2
    if AIRFLOW >= (3, 3):
        with closing(sqlite3.connect(run.home / "airflow.db")) as database:
            keys = [key for (key,) in database.execute("select partition_key from asset_event order by partition_key")]
        assert keys == [f"2026-03-0{day}" for day in range(3, 7)]
    extra = events[-1].extra
    assert (extra["rows"], extra["window"]["end"]) == (15, "2026-03-07T00:00:00+05:30")
    assert extra["sha256"] == hashlib.sha256(run.objects["calls/manifest.json"].body).hexdigest()


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="Airflow 3.3 brought partitions of assets")
def test_the_page_shows_how_to_wait_for_a_day() -> None:
    """every-airflow: the Dag in docs/scale_out.md is one, and waits for the asset of the example Dag."""
    (block,) = code_blocks("py", (EXAMPLE.parent.parent / "docs" / "scale_out.md").read_text(encoding="utf-8"))
    exec(compile(block, "docs/scale_out.md", "exec"), {"__name__": "docs"})
    (asset,) = [value for value in runpy.run_path(str(EXAMPLE)).values() if isinstance(value, Asset)]
    assert f'assets=Asset("{asset.name}")' in block
