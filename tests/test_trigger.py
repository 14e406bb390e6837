"""The sensor's trigger, over real sockets: it holds nobody up, wakes a worker for anything, and loses nothing
(cheap-waiting).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from support.api import DAY, NOON, behave, listed, sandbox
from test_import_cost import heavy, timed_import

from airflow_provider_callreport.api.errors import ServiceError
from airflow_provider_callreport.hooks import callreport as hook_module
from airflow_provider_callreport.hooks.callreport import CallReportHook
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.listed import ListedSelection
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sensors.callreport import CallReportSensor
from airflow_provider_callreport.triggers.callreport import CallReportTrigger

NUMBER = "919876501234"
CALLS = [Call(NOON + timedelta(minutes=minute), number=NUMBER) for minute in range(3)]
WAITING: dict[str, Any] = {
    "callreport_conn_id": "callreport_default",
    "report": "calls",
    "filters": {},
    "window_start": DAY.start.isoformat(),
    "window_end": DAY.end.isoformat(),
    "min_calls": 3,
    "poke_interval": 0.05,
    "next_poke_at": None,
    "backoff": False,
    "max_wait": None,
    "until": None,
}
LOOK = {"status": "look", "until": None}


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    with sandbox() as one:
        yield one


@pytest.fixture
def server(running: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> SandboxServer:
    """A vendor without calls, behind the default connection."""
    connect(monkeypatch, running)
    return behave(running, calls=listed(), masked_calls=listed())


def connect(monkeypatch: pytest.MonkeyPatch, server: SandboxServer, **changes: Any) -> None:
    """Make it the default connection. What fails is to fail now."""
    connection = {**json.loads(server.connection_json(max_retry_time=0)), **changes}
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", json.dumps(connection))


def again(trigger: Any) -> Any:
    """The trigger as a triggerer makes it after a restart: from its name and its arguments in the database."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))


async def first_event(trigger: Any) -> Any:
    """The payload of the next event."""
    async with aclosing(trigger.run()) as events:
        return (await anext(events)).payload


async def until(what: Callable[[], bool]) -> None:
    """Wait for something that another task or thread does."""
    stop = time.monotonic() + 30
    while not what():
        assert time.monotonic() < stop, "it did not happen"
        await asyncio.sleep(0.01)


def deferred(**arguments: Any) -> CallReportTrigger:
    """The trigger that a deferrable sensor leaves behind when there are too few calls."""
    sensor = CallReportSensor(
        task_id="waits",
        window_start="2026-03-13",
        window_end="2026-03-14",
        deferrable=True,
        **arguments,
    )
    with pytest.raises(TaskDeferred) as handed_over:
        sensor.execute_complete({})
    assert isinstance(handed_over.value.trigger, CallReportTrigger)
    return handed_over.value.trigger


@pytest.mark.parametrize(
    ("policy", "fault", "outcome"),
    [
        ({"timeout": 0}, None, AirflowSensorTimeout),
        ({"timeout": 0, "soft_fail": True}, None, AirflowSkipException),
        ({}, 1014, AirflowFailException),
        ({"soft_fail": True}, 1014, AirflowSkipException),
        ({"never_fail": True}, 1014, AirflowSkipException),
        ({}, 1009, ServiceError),
        ({"soft_fail": True}, 1009, ServiceError),
        ({"never_fail": True}, 1009, AirflowSkipException),
        ({"silent_fail": True}, 1009, TaskDeferred),
        ({"silent_fail": True}, 1014, AirflowFailException),
    ],
)
def test_a_deferred_sensor_ends_as_airflows_sensors_do(
    server: SandboxServer, policy: dict[str, Any], fault: int | None, outcome: type[BaseException]
) -> None:
    """cheap-waiting: what soft_fail, never_fail and silent_fail do with too few calls, a fatal error, and one that
    passes.
    """
    if fault is not None:
        server.settings.faults = [Fault("vendor_error", code=fault)]
    sensor = CallReportSensor(
        task_id="waits", window_start="2026-03-13", window_end="2026-03-14", deferrable=True, **policy
    )
    with pytest.raises(outcome):
        sensor.execute_complete(
            {}, until=(datetime.now(UTC) + timedelta(seconds=policy.get("timeout", 60))).isoformat()
        )
    assert len(server.requests) == 1


def test_it_fires_when_there_are_enough(server: SandboxServer) -> None:
    """cheap-waiting: two of three calls are not enough; the event says nothing but that it is time to look."""
    behave(server, calls=listed(*CALLS[:2]))

    async def wait() -> Any:
        firing = asyncio.create_task(first_event(CallReportTrigger(**WAITING)))
        await until(lambda: len(server.requests) >= 3)
        assert not firing.done()
        server.settings.calls = listed(*CALLS)
        return await firing

    assert asyncio.run(wait()) == LOOK
    assert {request.endpoint for request in server.requests} == {"reportCount"}


def test_a_restart_loses_nothing(server: SandboxServer) -> None:
    """cheap-waiting: the triggerer dies while it waits; what is made of the stored arguments goes on, any number of
    times.
    """
    trigger = CallReportTrigger(**WAITING)
    assert again(trigger).serialize() == trigger.serialize()

    async def wait() -> Any:
        for _ in range(2):
            dying = asyncio.create_task(first_event(again(trigger)))
            looks = len(server.requests)
            await until(lambda looks=looks: len(server.requests) >= looks + 2)  # type: ignore[misc]
            dying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dying
        server.settings.calls = listed(*CALLS)
        return await asyncio.gather(first_event(again(trigger)), first_event(again(trigger)))

    assert asyncio.run(wait()) == [LOOK, LOOK]


def test_its_arguments_are_ids_and_plain_json(server: SandboxServer) -> None:
    """cheap-waiting, no-leak: what Airflow's database and API show of a waiting sensor: no secret, and
    no phone number.
    """
    trigger = deferred(filters={"agent": ("Asha",), "dur": {"gte": 60}}, min_calls="3", poke_interval=7)
    path, arguments = trigger.serialize()
    assert path == "airflow_provider_callreport.triggers.callreport.CallReportTrigger"
    assert arguments.pop("next_poke_at") < arguments.pop("until")
    expected = {**WAITING, "filters": {"agent": ["Asha"], "dur": {"gte": 60}}, "poke_interval": 7.0}
    del expected["next_poke_at"], expected["until"]
    assert arguments == expected
    for filters in (
        {"cNum": NUMBER},
        {"to": [NUMBER]},
        {"remark": f"call {NUMBER}"},
        {"x": {"y": int(NUMBER)}},
        {"remark": "+91 (98123) 45678"},
        {"any": ["98123/45678"]},
    ):
        shown = json.dumps(deferred(filters=filters).serialize()) + repr(deferred(filters=filters))
        assert '"filters": null' in shown
        assert NUMBER[2:] not in shown
        assert "sandbox-token" not in shown


def test_a_number_in_a_filter_makes_it_a_clock(server: SandboxServer) -> None:
    """no-leak: it asks nobody, and wakes the worker up."""
    trigger = deferred(filters={"cNum": NUMBER}, poke_interval=0)
    # The worker has looked.
    assert [(request.body or {})["filter"].get("cNum") for request in server.requests] == [NUMBER]
    assert asyncio.run(first_event(trigger)) == {**LOOK, "until": trigger.until}
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"fault": Fault("vendor_error", code=1014)},
        {"fault": Fault("vendor_error", code=1009)},
        {"fault": Fault("html_page", page=None)},
        {"fault": Fault("leaky_error", code=1000)},
        {"fault": Fault("redirect")},
        {"connection": {"host": "http://127.0.0.1:9"}},
        {"connection": {"host": "http://vendor.example"}},
        {"connection": {"password": ""}},
        {"connection": {"extra": "no JSON"}},
        {"connection": {"extra": {"verify": "/nowhere"}, "host": "https://127.0.0.1:9"}},
        {"arguments": {"callreport_conn_id": "nowhere"}},
        {"arguments": {"report": "no such report"}},
        {"arguments": {"window_end": DAY.start.isoformat()}},
        {"arguments": {"min_calls": 101, "report": "masked_calls"}, "settings": {"cnt": "missing", "rows": 100}},
    ],
    ids=lambda wrong: json.dumps(wrong, default=str)[:60],
)
def test_errors_of_every_kind_wake_the_worker_up(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    """cheap-waiting: the worker is the place to raise them; the triggerer's log has one line of it, and no secret."""
    settings = dict(wrong.get("settings", {}))
    rows = settings.pop("rows", 0)
    calls = [Call(NOON + timedelta(seconds=second)) for second in range(rows)]
    behave(server, [wrong["fault"]] if "fault" in wrong else [], masked_calls=listed(*calls), **settings)
    connect(monkeypatch, server, **wrong.get("connection", {}))
    trigger = CallReportTrigger(**{**WAITING, **wrong.get("arguments", {})})
    assert asyncio.run(first_event(trigger)) == LOOK
    assert "counting failed, a worker looks into it" in caplog.text
    assert "sandbox-token" not in caplog.text


class HeldCalls(ListedCalls):
    """Calls that are not found until somebody lets go."""

    def __init__(self) -> None:
        super().__init__(CALLS)
        self.asked, self.let_go = threading.Event(), threading.Event()

    def select(self, wanted: CallFilter) -> ListedSelection:
        """Wait, then find them."""
        self.asked.set()
        assert self.let_go.wait(60), "whoever waits for the answer holds up everybody else"
        return super().select(wanted)


def test_it_holds_nobody_up(server: SandboxServer) -> None:
    """cheap-waiting: while it waits for an answer, others of the same event loop run; else the answer
    would never come.
    """
    calls = HeldCalls()
    behave(server, calls=calls)

    async def wait() -> tuple[int, Any]:
        firing = asyncio.create_task(first_event(CallReportTrigger(**WAITING)))
        ticks = 0
        while ticks < 200 or not calls.asked.is_set():
            await asyncio.sleep(0)
            ticks += 1
        assert not firing.done()
        calls.let_go.set()
        return ticks, await firing

    ticks, payload = asyncio.run(wait())
    assert ticks >= 200
    assert payload == LOOK


def test_it_reads_its_connection_without_blocking(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """cheap-waiting: what waits for Airflow's supervisor, for the connection and for the masker, waits in a thread."""
    behave(server, calls=listed(*CALLS))
    threads: dict[str, set[int]] = {"connection": set(), "mask": set()}
    masks: Callable[[Any], None] = vars(hook_module)["mask_secret"]
    get_connection = CallReportHook.get_connection

    def mask(secret: Any) -> None:
        threads["mask"].add(threading.get_ident())
        masks(secret)

    def get(conn_id: str) -> Any:
        threads["connection"].add(threading.get_ident())
        return get_connection(conn_id)

    monkeypatch.setattr(CallReportHook, "get_connection", staticmethod(get))
    monkeypatch.setattr(hook_module, "mask_secret", mask)

    async def count() -> int:
        return await CallReportHook().acount({}, window_start="2026-03-13", window_end="2026-03-14")

    assert asyncio.run(count()) == 3
    assert all(threads.values())
    assert threading.get_ident() not in set.union(*threads.values())


def test_it_waits_for_its_time(server: SandboxServer) -> None:
    """cheap-waiting: the first look is at `next_poke_at`, which is a time and not a delay: a restart does not begin it
    anew.
    """
    behave(server, calls=listed(*CALLS))
    past, future = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))

    async def wait() -> bool:
        assert await first_event(CallReportTrigger(**{**WAITING, "next_poke_at": past.isoformat()})) == LOOK
        waiting = asyncio.create_task(first_event(CallReportTrigger(**{**WAITING, "next_poke_at": future.isoformat()})))
        await asyncio.sleep(0.2)
        return waiting.cancel()

    assert asyncio.run(wait())
    assert len(server.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "waits",
    [{}, {"poke_interval": 3600.0}, {"next_poke_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}],
    ids=["between looks", "for the next look", "for the first look"],
)
@pytest.mark.parametrize("filters", [{}, None])
def test_it_wakes_the_worker_up_after_the_sensors_timeout(
    server: SandboxServer, waits: dict[str, Any], filters: dict[str, Any] | None
) -> None:
    """cheap-waiting: Airflow ends the wait by itself, and ``dag.test()`` does not; there it would never end."""
    until = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    trigger = CallReportTrigger(**{**WAITING, **waits, "filters": filters, "until": until})
    began = time.monotonic()
    assert asyncio.run(asyncio.wait_for(first_event(trigger), 20)) == {**LOOK, "until": until}
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_importing_them_brings_no_heavy_library() -> None:
    """light-import: neither a Dag file with a sensor or a watcher pays for what does the work, nor the triggerer's
    event loop.
    """
    modules = ("sensors.callreport", "triggers.callreport", "triggers.events")
    _, loaded = timed_import("\n".join(f"import airflow_provider_callreport.{module}" for module in modules))
    assert {f"airflow_provider_callreport.{module}" for module in modules} <= set(loaded)
    assert heavy(loaded) == []
