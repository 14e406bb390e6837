"""The event trigger, over real sockets: every new call is told of, in the window it belongs to, and none twice
(cheap-waiting).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.providers.common.compat.sdk import Asset
from support.api import KOLKATA, behave, listed, sandbox
from support.runs import AIRFLOW

from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.triggers.events import CallReportEventTrigger, event_windows, windows_between

pytestmark = pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 watches no assets")

NUMBER = "919876501234"
#: What is done before a look, and when the look is, as a wall time of the account.
Step = tuple[Callable[[], Any], str]


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    with sandbox() as one:
        yield one


@pytest.fixture
def server(running: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> SandboxServer:
    """A vendor without calls, behind the default connection."""
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", running.connection_json(max_retry_time=0, page_size=5))
    return behave(running, calls=listed(), masked_calls=listed())


def has(server: SandboxServer, *times: str) -> Callable[[], None]:
    """A step: the vendor has masked calls of these wall times of 13 March, and no others."""
    calls = [Call(at(time).replace(tzinfo=None), mask="mask_1", number=NUMBER) for time in times]

    def change() -> None:
        server.settings.masked_calls = listed(*calls)

    return change


def at(time: str) -> datetime:
    """A wall time of 13 March, such as ``"12:30"``, in the account's zone."""
    return datetime.fromisoformat(f"2026-03-13T{time}").replace(tzinfo=KOLKATA)


def nothing() -> None:
    """A step: all stays as it is."""


def told(trigger: CallReportEventTrigger, *steps: Step) -> list[tuple[str, int, int]]:
    """What the trigger tells of while these looks come by: for each event the window's hour, its calls and the new."""
    return [
        (payload["window"]["start"][11:16], payload["calls"], payload["new"]) for payload in payloads(trigger, *steps)
    ]


def payloads(trigger: CallReportEventTrigger, *steps: Step) -> list[Any]:
    """The events' payloads."""

    async def looks() -> AsyncIterator[Any]:
        last = None
        for change, time in steps:
            change()
            now = at(time)
            yield await trigger.look(last or now, now)
            last = now

    async def collect() -> list[Any]:
        return [event.payload async for event in trigger.filter_shared_stream(looks())]

    return asyncio.run(collect())


class Store:
    """What the triggerer gives a trigger of an asset to remember with, without Airflow's database behind it."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def aget(self, key: str) -> Any:
        """What is kept."""
        return json.loads(self.kept[key]) if key in self.kept else None

    async def aset(self, key: str, value: Any) -> None:
        """Keep it."""
        self.kept[key] = json.dumps(value)


class WaitingStore:
    """The same as Airflow 3.3.0 has it: methods that wait."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str) -> Any:
        """What is kept."""
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return json.loads(self.kept[key]) if key in self.kept else None

    def set(self, key: str, value: Any) -> None:
        """Keep it."""
        self.kept[key] = json.dumps(value)


class BrokenStore:
    """One that fails, as that of a trigger with several assets does."""

    async def aget(self, key: str) -> Any:
        """Fail."""
        raise ValueError("Task has 2 concrete inlets and outlets")

    async def aset(self, key: str, value: Any) -> None:
        """Fail."""
        raise ValueError("Task has 2 concrete inlets and outlets")


def remembering(store: Any, **arguments: Any) -> CallReportEventTrigger:
    """A trigger as it is after a restart: new, and with the store of its asset."""
    trigger = CallReportEventTrigger(**arguments)
    trigger.asset_state_store = store
    return trigger


def test_a_state_is_told_of_once(server: SandboxServer) -> None:
    """cheap-waiting: calls that are there at first and calls that come are told of, each once; the payload holds
    numbers only.
    """
    events = payloads(
        CallReportEventTrigger(),
        (has(server, "12:10"), "12:20"),
        (nothing, "12:21"),
        (has(server, "12:10", "12:21", "12:22"), "12:22"),
        (nothing, "12:23"),
    )
    hour = {"start": "2026-03-13T12:00:00+05:30", "end": "2026-03-13T13:00:00+05:30", "timezone": "Asia/Kolkata"}
    assert events == [
        {"report": "masked_calls", "window": hour, "calls": 1, "new": 1, "exact": False},
        {"report": "masked_calls", "window": hour, "calls": 3, "new": 2, "exact": True},
    ]


def test_each_window_has_its_own_events(server: SandboxServer) -> None:
    """cheap-waiting: a call that shows up late belongs to the hour in which it was made, as long as
    lookback reaches.
    """
    assert told(
        CallReportEventTrigger(lookback=timedelta(hours=1)),
        (has(server, "11:50", "12:10"), "12:20"),
        (has(server, "11:50", "11:55", "12:10"), "12:50"),
        (has(server, "11:30", "11:50", "11:55", "12:10", "13:05"), "13:10"),
    ) == [("11:00", 1, 1), ("12:00", 1, 1), ("11:00", 2, 1), ("11:00", 3, 1), ("13:00", 1, 1)]


def test_days_are_the_accounts(server: SandboxServer) -> None:
    """exact-window: a day begins at midnight of the account's zone, which is 18:30 in UTC."""
    (event,) = payloads(CallReportEventTrigger(window="day", lookback=0), (has(server, "00:10", "23:50"), "23:55"))
    assert event["window"]["start"] == "2026-03-13T00:00:00+05:30"
    assert event["window"]["end"] == "2026-03-14T00:00:00+05:30"
    assert event["calls"] == 2


def test_few_calls_wait_for_more_or_for_the_end(server: SandboxServer) -> None:
    """cheap-waiting: min_new_calls bundles them; what is left when the window has ended is told of, and
    loses nothing.
    """
    assert told(
        CallReportEventTrigger(min_new_calls=3, lookback=0),
        (has(server, "12:10", "12:11"), "12:20"),
        (has(server, "12:10", "12:11", "12:30"), "12:40"),
        (has(server, "12:10", "12:11", "12:30", "12:45"), "12:50"),
        (nothing, "13:00:01"),
    ) == [("12:00", 3, 3), ("12:00", 4, 1)]


def test_a_count_that_flaps_is_no_new_call(server: SandboxServer) -> None:
    """cheap-waiting: a number that falls for one look brings no event when it rises; one that stays low does."""
    both, one = has(server, "12:10", "12:11"), has(server, "12:10")
    flaps = [(both, "12:20"), (one, "12:21"), (both, "12:22"), (one, "12:23"), (both, "12:24")]
    assert told(CallReportEventTrigger(), *flaps) == [("12:00", 2, 2)]
    stays = [(both, "12:20"), (one, "12:21"), (one, "12:22"), (both, "12:23"), (both, "12:24")]
    assert told(CallReportEventTrigger(), *stays) == [("12:00", 2, 2), ("12:00", 2, 1)]


@pytest.mark.parametrize("kind", [Store, WaitingStore])
def test_a_restart_goes_on_where_it_was(server: SandboxServer, kind: type[Any]) -> None:
    """cheap-waiting: the state outlives the trigger; hours that passed while none ran are looked at, and told of."""
    store = kind()
    first = (has(server, "12:10"), "12:20"), (nothing, "12:21")
    assert told(remembering(store), *first) == [("12:00", 1, 1)]
    assert told(remembering(store), (nothing, "12:22")) == []
    later = has(server, "12:10", "12:59", "15:30", "18:05")
    assert told(remembering(store), (later, "18:10"), (nothing, "18:11")) == [
        ("12:00", 2, 1),
        ("15:00", 1, 1),
        ("18:00", 1, 1),
    ]
    assert told(remembering(store), (later, "18:12")) == []
    # Other arguments that do not change what is counted do not begin anew; another report does.
    assert told(remembering(store, poll_interval=5, min_new_calls=2, lookback=7200), (later, "18:13")) == []
    assert len(store.kept) == 1
    assert told(remembering(store, filters={"mask": "mask_1"}), (later, "18:13")) == [("18:00", 1, 1)]


def test_an_event_is_remembered_a_look_later(server: SandboxServer) -> None:
    """cheap-waiting: a triggerer that dies before Airflow has stored the event tells of it again, rather than never."""
    store = Store()
    assert told(remembering(store), (has(server, "12:10"), "12:20")) == [("12:00", 1, 1)]
    assert store.kept == {}
    assert told(remembering(store), (nothing, "12:21"), (nothing, "12:22")) == [("12:00", 1, 1)]
    assert told(remembering(store), (nothing, "12:23")) == []


def test_catching_up_has_an_end(server: SandboxServer) -> None:
    """cheap-waiting: a Dag that was stopped for long looks back no further than it is told to."""
    store = Store()
    assert told(remembering(store), (has(server), "01:00"), (nothing, "01:01")) == []
    calls = has(server, "02:30", "17:30", "20:05")
    late = remembering(store, catch_up=timedelta(hours=2), lookback=timedelta(hours=1))
    assert told(late, (calls, "20:10")) == [("17:00", 1, 1), ("20:00", 1, 1)]


def test_an_hour_that_could_not_be_caught_up_with_is_tried_again(server: SandboxServer) -> None:
    """cheap-waiting: the API fails while a restarted trigger looks at what it missed; nothing is told of, and nothing
    lost.
    """
    store = Store()
    assert told(remembering(store), (has(server), "12:20"), (nothing, "12:21")) == []
    trigger = remembering(store)
    late = has(server, "14:30", "18:05")

    async def collect() -> list[Any]:
        late()
        look, again = await trigger.look(at("18:10"), at("18:10")), await trigger.look(at("18:10"), at("18:11"))
        server.settings.faults = [Fault("vendor_error", code=1009, times=1)]

        async def looks() -> AsyncIterator[Any]:
            yield look
            yield again

        return [event.payload["window"]["start"][11:13] async for event in trigger.filter_shared_stream(looks())]

    assert asyncio.run(collect()) == ["14", "18"]


def test_without_a_store_a_restart_begins_anew(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """cheap-waiting: before Airflow 3.3, and where the store fails: again what lookback reaches, as it
    is documented.
    """
    steps = ((has(server, "12:10"), "12:20"), (nothing, "12:21"))
    for store in (None, BrokenStore()):
        for _ in range(2):
            assert told(remembering(store), *steps) == [("12:00", 1, 1)]
    assert "is not remembered over a restart (ValueError)" in caplog.text


def test_without_a_total_a_page_is_counted(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """proved-total: cnt that is the page's own length is no total; a page of rows is the most, and the log says so."""
    server.settings.cnt = "page"
    minutes = [f"12:{minute}" for minute in range(10, 19)]
    assert told(
        CallReportEventTrigger(lookback=0),
        (has(server, *minutes[:4]), "12:20"),
        (has(server, *minutes[:5]), "12:21"),
        (has(server, *minutes), "12:22"),
    ) == [("12:00", 4, 4), ("12:00", 5, 1)]
    assert "there are at least 5 from 2026-03-13T12:00:00+05:30: more are not noticed" in caplog.text


@pytest.mark.slow
def test_it_looks_for_ever_whatever_happens(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """cheap-waiting: a look that fails is followed by others; the log says why, and no secret."""
    server.settings.faults = [Fault("leaky_error", code=1014, times=1)]
    server.settings.masked_calls = listed(Call(datetime.now(KOLKATA).replace(tzinfo=None), mask="mask_1"))

    async def first() -> Any:
        looking: Any = CallReportEventTrigger(poll_interval=2, lookback=0).run()
        async with aclosing(looking) as events:
            return (await anext(events)).payload

    payload = asyncio.run(first())
    assert payload["new"] == 1
    assert "masked_calls could not be counted" in caplog.text
    assert "sandbox-token" not in caplog.text


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="the shared stream came with Airflow 3.3")
def test_alike_triggers_share_their_looks(server: SandboxServer) -> None:
    """cheap-waiting: Airflow's own stream manager makes one stream of them; each tells of its own."""
    import structlog
    from airflow.triggers.shared_stream import SharedStreamManager

    now = datetime.now(KOLKATA).replace(tzinfo=None)
    server.settings.masked_calls = listed(*[Call(now, mask="mask_1", call_id=f"call{number}") for number in range(3)])
    one, three = (CallReportEventTrigger(min_new_calls=number, lookback=0) for number in (1, 3))
    assert one.shared_stream_key() == three.shared_stream_key()
    assert CallReportEventTrigger(window="day").shared_stream_key() != one.shared_stream_key()
    assert hash(one.shared_stream_key())

    async def events() -> list[int]:
        manager = SharedStreamManager(log=structlog.get_logger())
        streams = [
            trigger.filter_shared_stream(manager.subscribe(trigger_id=number, trigger=trigger, key=key))
            for number, (trigger, key) in enumerate(
                [(one, one.shared_stream_key()), (three, three.shared_stream_key())]
            )
        ]
        found = await asyncio.gather(*(anext(stream) for stream in streams))
        await manager.stop_all()
        return [event.payload["new"] for event in found]

    assert asyncio.run(events()) == [3, 3]
    assert len(server.requests) == 1


def test_airflow_finds_it_again_by_its_arguments() -> None:
    """cheap-waiting: what comes back from Airflow's database is the same trigger, so that no parse of the Dag starts it
    anew.
    """
    from airflow.models.trigger import Trigger
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
    from airflow.serialization.encoders import encode_trigger
    from airflow.triggers.base import BaseEventTrigger

    trigger = CallReportEventTrigger(
        filters={"agent": ("Asha", "Ben"), "dur": {"gte": 60}}, lookback=timedelta(hours=6)
    )
    encoded = encode_trigger(trigger)
    stored = Trigger(encoded["classpath"], encoded["kwargs"])
    assert BaseEventTrigger.hash(stored.classpath, stored.kwargs) == BaseEventTrigger.hash(**encoded)
    decode: Callable[[Any], Any] = smart_decode_trigger_kwargs
    arguments = {name: decode(value) for name, value in stored.kwargs.items()}
    assert CallReportEventTrigger(**arguments).serialize() == trigger.serialize()
    # Plain text: a tuple would be something else to Airflow 3.0, and a dict to 3.2.
    assert json.loads(trigger.serialize()[1]["filters"]) == {"agent": ["Asha", "Ben"], "dur": {"gte": 60}}
    assert {type(value) for value in trigger.serialize()[1].values()} <= {str, int, float}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"report": "list"}, "report is 'list'; allowed are calls, masked_calls"),
        ({"window": "week"}, "window is 'week'; allowed are hour, day"),
        ({"min_new_calls": 0}, "min_new_calls is 0; allowed is a whole number of at least 1"),
        ({"lookback": -1}, "lookback is -1; allowed are seconds of at least 0, or a timedelta"),
        ({"catch_up": 60}, "catch_up is 60; allowed are seconds of at least 3600, or a timedelta"),
        ({"poll_interval": 1}, "poll_interval is 1; allowed are seconds of at least 2, or a timedelta"),
        ({"poll_interval": "1 min"}, "poll_interval is '1 min'; allowed are seconds of at least 2, or a timedelta"),
        ({"callreport_conn_id": ""}, "callreport_conn_id is ''; allowed is the id of an Airflow connection"),
        ({"filters": {"dtGte": "2026-01-01"}}, "filters has dtGte, which belongs to the window; set window_start"),
        (
            {"filters": "agent=Asha"},
            "filters is text that is no JSON; allowed is an object of filter keys, also as",
        ),
        ({"filters": f'{{"cNum": "{NUMBER}"}}'}, "filters may hold a phone number, and Airflow shows a trigger's"),
        ({"filters": {"cNum": NUMBER}}, "filters may hold a phone number, and Airflow shows a trigger's arguments"),
        ({"filters": {"x": [f"of {NUMBER}"]}}, "filters may hold a phone number, and Airflow shows a trigger's"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: while the Dag is parsed; a number is not repeated (P1)."""
    with pytest.raises(ValueError, match=r"allowed|belongs|may hold") as refusal:
        CallReportEventTrigger(**arguments)
    assert str(refusal.value).startswith(sentence)
    assert NUMBER not in str(refusal.value)


@pytest.mark.parametrize("window", ["hour", "day"])
@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Kolkata", "2026-03-13", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 24),
        ("America/New_York", "2026-11-01", 24),
        ("Australia/Lord_Howe", "2026-10-04", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24),
        # The clocks leave out midnight, and go back to before it.
        ("Africa/Cairo", "2026-04-24", 23),
        ("Africa/Cairo", "2026-10-29", 24),
    ],
)
def test_windows_leave_no_gap(window: str, zone: str, day: str, hours: int) -> None:
    """exact-window: over a clock change they are adjacent, whole hours and days by the clock, and every moment is in
    one.
    """
    clocks = ZoneInfo(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=clocks).astimezone(UTC)
    end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=clocks).astimezone(UTC)
    windows = windows_between(start, end - timedelta.resolution, window, clocks)
    assert len(windows) == (hours if window == "hour" else 1)
    assert windows[0].start == start
    assert windows[-1].end == end
    assert all(one.end == two.start for one, two in pairwise(windows))
    moment = start
    while moment < end:
        (found,) = windows_between(moment, moment, window, clocks)
        assert found in windows
        assert found.start <= moment < found.end
        moment += timedelta(minutes=10)


def events(*spans: tuple[str, str]) -> list[Any]:
    """Asset events as Airflow gives them to a task."""
    return [
        SimpleNamespace(extra={"from_trigger": True, "payload": {"window": {"start": start, "end": end}, "calls": 3}})
        for start, end in spans
    ]


def test_a_runs_events_become_windows() -> None:
    """A run may have several events, of several assets: each window once, oldest first."""
    ten, eleven, twelve = (f"2026-03-13T{hour}:00:00+05:30" for hour in (10, 11, 12))
    found: dict[Any, Sequence[Any]] = {
        Asset("masked_calls"): events((eleven, twelve), (ten, eleven)),
        Asset("calls"): events((eleven, twelve)),
    }
    assert event_windows(found) == [
        {"window_start": ten, "window_end": eleven},
        {"window_start": eleven, "window_end": twelve},
    ]
    assert event_windows({}) == []


@pytest.mark.parametrize("extra", [None, {}, {"payload": "new"}, {"payload": {"window": {"start": "2026-03-13"}}}])
def test_an_event_without_a_window_is_an_error(extra: Any) -> None:
    """clear-sentence: an event that somebody made by hand; nothing is exported in its place."""
    with pytest.raises(ValueError, match="an event of the asset masked_calls names no window"):
        event_windows({Asset("masked_calls"): [SimpleNamespace(extra=extra)]})


def test_the_example_exports_what_the_events_name() -> None:
    """every-airflow: from a run's events to windows and keys: one file an hour, named by the account's clock."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(Path(__file__).parent.parent / "example_dags" / "when_masked_calls_arrive.py"))
    dag: Any = bag.dags["when_masked_calls_arrive"]
    (watcher,) = dag.timetable.asset_condition.watchers
    assert isinstance(watcher.trigger, CallReportEventTrigger)
    assert dag.max_active_runs == 1
    hours = dag.get_task("hours").python_callable
    span = ("2026-03-13T09:00:00+05:30", "2026-03-13T10:00:00+05:30")
    assert hours(triggering_asset_events={Asset("masked_calls"): events(span)}) == [
        {"window_start": span[0], "window_end": span[1], "s3_key": "masked_calls/dt=2026-03-13/09.csv"}
    ]
