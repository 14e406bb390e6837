"""The event trigger: it watches an account and tells Airflow's assets of new calls. Airflow 3.0 and later.

Time is cut into windows, the hours or days of the account's zone. Each look counts the calls of the windows that may
still change, and a window that has more calls than before is an event. So an event names a window, and a Dag that runs
for it exports that window whole, to a key of the window's own: an event that comes twice gives the same file again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import TriggerEvent

from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.rules import Report, WindowSize, seconds
from airflow_provider_callreport.task.arguments.argument import check_each
from airflow_provider_callreport.task.arguments.tables import EVENT_TRIGGER
from airflow_provider_callreport.task.private_filters import has_phone_numbers
from airflow_provider_callreport.triggers.callreport import safe_text

if TYPE_CHECKING:
    from airflow_provider_callreport.api.async_client import AsyncCallReportClient
    from airflow_provider_callreport.api.counting import CallCount

if TYPE_CHECKING or AIRFLOW_V_3_0_PLUS:
    from airflow.triggers.base import BaseEventTrigger
else:  # Airflow 2 watches no assets. The class can be imported there, and nothing runs it.
    from airflow.triggers.base import BaseTrigger as BaseEventTrigger

log = logging.getLogger(__name__)

#: Length of a window by the clock.
WINDOWS: dict[str, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

#: While the API fails, the pause between two looks doubles up to this, or to ``poll_interval`` if that is longer.
_MAX_PAUSE = 3600.0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the account.

    Attributes:
        at: when.
        counts: the windows that may still change, oldest first, and how many calls each has.
    """

    at: datetime
    counts: Sequence[tuple[Window, CallCount]]


@dataclass(slots=True)
class _State:
    """What a trigger remembers: when it last looked, and the calls that it has told of, by the window's start.

    ``low`` holds numbers that were lower than that at the last look.
    """

    looked_at: datetime | None = None
    told: dict[str, int] = field(default_factory=dict)
    low: dict[str, int] = field(default_factory=dict)


class CallReportEventTrigger(BaseEventTrigger):
    """Fires when a window has new calls; for an asset's ``AssetWatcher``.

    An event's payload holds numbers only: ``report``, ``window`` (``start``, ``end``, ``timezone``), ``calls`` (in the
    window now), ``new`` (of them since the last event for it) and ``exact`` (False: there are at least so many).
    `event_windows` makes of a run's events what an operator takes.

    - It fires once for each state of a window. What it has told of is kept in the asset's state store (Airflow 3.3),
      a look later than the event itself: after a restart of the triggerer an event may come again, and none is lost.
    - Airflow 3.0 to 3.2 have no such store: after a restart it begins anew with the last ``lookback`` seconds and
      tells of all calls there again. Calls of longer ago that came while no triggerer ran are not told of.
    - An error ends nothing: it is logged, and the next look goes back to where the last one was.

    Triggers that watch the same with another ``min_new_calls`` share their requests (Airflow 3.3).

    Args:
        report: ``"masked_calls"`` or ``"calls"``.
        filters: API filter keys, or the same as JSON text; without phone numbers: Airflow shows a trigger's arguments.
        window: ``"hour"`` or ``"day"``, by the clock in the account's zone. An hour that clocks repeat is one window.
        min_new_calls: how many new calls are an event. When a window has ended, fewer are enough.
        lookback: seconds after a window's end in which calls of it may still show up.
        catch_up: seconds that are looked back at most after the triggerer, or the Dag, was stopped.
        poll_interval: seconds between two looks, at least 2. A look is one request (two where the API gives no total)
            for each window; mostly there are two windows, the present one and the one before.
        callreport_conn_id: connection to the API.

    Raises:
        ValueError: an argument is wrong.

    Example::

        new_calls = CallReportEventTrigger(report="masked_calls", window="hour")
        masked_calls = Asset("masked_calls", watchers=[AssetWatcher(name="masked_calls", trigger=new_calls)])
    """

    def __init__(
        self,
        *,
        report: Report = "masked_calls",
        filters: Mapping[str, Any] | str | None = None,
        window: WindowSize = "hour",
        min_new_calls: int = 1,
        lookback: float | timedelta = 3600,
        catch_up: float | timedelta = 604_800,
        poll_interval: float | timedelta = 60,
        callreport_conn_id: str = "callreport_default",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        decoded = _decoded(filters)
        values = {
            "report": report,
            "filters": decoded,
            "window": window,
            "min_new_calls": min_new_calls,
            "lookback": lookback,
            "catch_up": catch_up,
            "poll_interval": poll_interval,
            "callreport_conn_id": callreport_conn_id,
        }
        check_each(EVENT_TRIGGER, values)
        if has_phone_numbers(decoded or {}):
            raise ValueError(
                "filters may hold a phone number, and Airflow shows a trigger's arguments to everybody who may see the "
                "Dag; watch without it, and set it in the filters of the operator"
            )
        self.report = report
        # As they come back from Airflow's database: equal arguments must look equal, or Airflow starts a new trigger.
        self.filters: dict[str, Any] = json.loads(json.dumps(dict(decoded or {})))
        self.window = window
        self.min_new_calls = min_new_calls
        self.lookback = _seconds(lookback)
        seconds(self.lookback, timedeltas=True)("catch_up", catch_up)
        self.catch_up = _seconds(catch_up)
        self.poll_interval = _seconds(poll_interval)
        self.callreport_conn_id = callreport_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments: texts and numbers only."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "report": self.report,
                # As text, since Airflow 3.2 gives an event trigger another dict than it had.
                "filters": json.dumps(self.filters),
                "window": self.window,
                "min_new_calls": self.min_new_calls,
                "lookback": self.lookback,
                "catch_up": self.catch_up,
                "poll_interval": self.poll_interval,
                "callreport_conn_id": self.callreport_conn_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for ever, by oneself."""
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event

    def shared_stream_key(self) -> Hashable:
        """What triggers must have in common to share their looks."""
        _, arguments = self.serialize()
        own = ("min_new_calls", "catch_up")
        return json.dumps({name: value for name, value in arguments.items() if name not in own}, sort_keys=True)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Look]:
        """Look for ever; one `Look` each ``poll_interval`` seconds."""
        watch = cls(**kwargs)
        looked_at: datetime | None = None
        failures = 0
        while True:
            now = datetime.now(UTC)
            try:
                look = await watch.look(now if looked_at is None else looked_at, now)
            except Exception as error:
                failures += 1
                log.warning("%s could not be counted (%s)", watch.report, safe_text(error))
            else:
                looked_at, failures = now, 0
                yield look
            pause = watch.poll_interval * 2 ** min(failures, 12)
            await asyncio.sleep(min(pause, max(_MAX_PAUSE, watch.poll_interval)))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Turn looks into events."""
        state = await self._load()
        async for look in shared_stream:
            # What was told of before this look is in Airflow's database by now.
            await self._save(state)
            try:
                counts = [*await self._missed(state, look), *look.counts]
            except Exception as error:
                log.warning("%s could not be counted (%s)", self.report, safe_text(error))
                continue
            told, low = dict[str, int](), dict[str, int]()
            for window, count in counts:
                key = window.start.isoformat()
                told[key] = state.told.get(key, 0)
                if count.calls < told[key]:
                    # A number that falls for one look only brings no new calls when it rises again.
                    if key in state.low:
                        told[key] = max(count.calls, state.low[key])
                    low[key] = count.calls
                new = count.calls - told[key]
                if new >= (self.min_new_calls if window.end > look.at else 1):
                    told[key] = count.calls
                    yield self._event(window, count, new)
            state = _State(look.at, told, low)

    async def look(self, since: datetime, until: datetime) -> Look:
        """Count the windows that may have changed.

        Args:
            since: when the last look was, aware.
            until: now, aware.

        Raises:
            CallReportError: the API does not answer.
        """
        from airflow_provider_callreport.hooks.callreport import CallReportHook

        hook = CallReportHook(self.callreport_conn_id)
        async with await hook.aget_client() as client:
            first = since - timedelta(seconds=self.lookback)
            windows = windows_between(first, until, self.window, client.settings.timezone)
            return Look(until, [(window, await self._count(client, window)) for window in windows])

    async def _count(self, client: AsyncCallReportClient, window: Window) -> CallCount:
        from airflow_provider_callreport.api.counting import count_calls
        from airflow_provider_callreport.api.settings import DEFAULT_PAGE_SIZE

        count = await client.run(lambda caller: count_calls(caller, self.report, self.filters, window))
        if count.source == "rows" and not count.exact:
            # The API gives no total, or a single call. A whole page of rows is the most that can be counted.
            most = client.settings.page_size or DEFAULT_PAGE_SIZE
            count = await client.run(lambda caller: count_calls(caller, self.report, self.filters, window, up_to=most))
            if count.calls >= most:
                log.warning(
                    "the API gives no total of %s, and there are at least %d from %s: more are not noticed; raise "
                    "page_size in the connection",
                    self.report,
                    count.calls,
                    window.local_start.isoformat(),
                )
        return count

    async def _missed(self, state: _State, look: Look) -> Sequence[tuple[Window, CallCount]]:
        """The windows between this trigger's last look and the first window of the present one, counted now."""
        if state.looked_at is None:
            return []
        first = max(state.looked_at, look.at - timedelta(seconds=self.catch_up))
        seen = look.counts[0][0].start
        if first - timedelta(seconds=self.lookback) >= seen:
            return []
        return (await self.look(first, seen - timedelta.resolution)).counts

    def _event(self, window: Window, count: CallCount, new: int) -> TriggerEvent:
        from airflow_provider_callreport.api.counting import window_json

        log.info("%d new %s, %s, from %s", new, self.report, count, window.local_start.isoformat())
        payload = {
            "report": self.report,
            "window": window_json(window),
            "calls": count.calls,
            "new": new,
            "exact": count.exact,
        }
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _load(self) -> _State:
        store = getattr(self, "asset_state_store", None)
        if store is None:
            return _State()
        try:
            kept = await _get(store, self._store_key())
            if kept is None:
                return _State()
            told = {str(start): int(calls) for start, calls in kept["told"].items()}
            return _State(datetime.fromisoformat(kept["looked_at"]), told)
        except Exception as error:
            # Such as several assets with one trigger: Airflow keeps no state that belongs to all of them.
            log.warning("what was told of before is not known (%s)", type(error).__name__)
            return _State()

    async def _save(self, state: _State) -> None:
        store = getattr(self, "asset_state_store", None)
        if store is None or state.looked_at is None:
            return
        try:
            await _set(store, self._store_key(), {"looked_at": state.looked_at.isoformat(), "told": dict(state.told)})
        except Exception as error:
            log.warning("what was told of is not remembered over a restart (%s)", type(error).__name__)

    def _store_key(self) -> str:
        """The same for every trigger that counts the same: another ``poll_interval`` does not begin anew."""
        identity = json.dumps([self.callreport_conn_id, self.report, self.filters, self.window], sort_keys=True)
        return f"callreport_events:{hashlib.sha256(identity.encode()).hexdigest()}"


def windows_between(since: datetime, until: datetime, window: str, zone: ZoneInfo) -> list[Window]:
    """The windows that touch a span of time, oldest first: adjacent, from whole hour to whole hour or day to day.

    Args:
        since: first instant, aware.
        until: last instant, aware.
        window: ``"hour"`` or ``"day"``.
        zone: whose clocks count.
    """
    windows = []
    moment = since
    while moment <= until:
        local = moment.astimezone(zone).replace(minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
        first = local if window == "hour" else local.replace(hour=0)
        # Where clocks leave the time out, this is the moment at which they do; where they repeat it, the first pass.
        start, end = (wall.replace(tzinfo=zone).astimezone(UTC) for wall in (first, first + WINDOWS[window]))
        windows.append(Window(start, end, zone))
        moment = end
    return windows


def event_windows(triggering_asset_events: Mapping[Any, Iterable[Any]]) -> list[dict[str, str]]:
    """The windows that a run's events name, each once, oldest first: for ``.expand_kwargs(...)`` of an operator.

    Airflow makes one run of all the events that have come since the last one, so a run may have several windows.

    Args:
        triggering_asset_events: the value of that name in a task's context.

    Returns:
        A list of dicts with ``window_start`` and ``window_end``, ISO 8601 with offsets. Empty for a run that no event
        has started.

    Raises:
        ValueError: an event is not one of `CallReportEventTrigger`, and names no window.
    """
    windows: dict[tuple[datetime, datetime], dict[str, str]] = {}
    for asset, events in triggering_asset_events.items():
        for event in events:
            payload = (event.extra or {}).get("payload")
            named = payload.get("window") if isinstance(payload, Mapping) else None
            if not isinstance(named, Mapping) or not {"start", "end"} <= named.keys():
                raise ValueError(
                    f"an event of the asset {asset.name} names no window; its extra must hold "
                    '{"payload": {"window": {"start": ..., "end": ...}}}, as those of CallReportEventTrigger do'
                )
            span = datetime.fromisoformat(named["start"]), datetime.fromisoformat(named["end"])
            windows[span] = {"window_start": named["start"], "window_end": named["end"]}
    return [windows[span] for span in sorted(windows)]


async def _get(store: Any, key: str) -> Any:
    # Before Airflow 3.3.2 the store has only methods that wait.
    return await (store.aget(key) if hasattr(store, "aget") else asyncio.to_thread(store.get, key))


async def _set(store: Any, key: str, value: Any) -> None:
    await (store.aset(key, value) if hasattr(store, "aset") else asyncio.to_thread(store.set, key, value))


def _decoded(filters: Any) -> Any:
    """Filters that came back from Airflow's database, and others as they are."""
    if not isinstance(filters, str):
        return filters
    try:
        return json.loads(filters)
    except ValueError:
        raise ValueError("filters is text that is no JSON; allowed is an object of filter keys, also as JSON") from None


def _seconds(value: float | timedelta) -> float:
    return float(value.total_seconds() if isinstance(value, timedelta) else value)
