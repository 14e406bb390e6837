"""The deferred sensor's trigger: it counts in the triggerer until there is something for a worker to look at."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_callreport.errors import CallReportError

log = logging.getLogger(__name__)

#: Seconds; an interval that doubles ends here where nobody says another one.
_LONGEST_INTERVAL = 86_400.0


class CallReportTrigger(BaseTrigger):
    """Fires when a filter may match enough calls, or when the counting fails: in short, when a worker should look.

    The event holds no count and no error: `CallReportSensor` counts again on the worker and raises what is to be
    raised there. So the trigger can be started any number of times, after a restart of the triggerer as well, and the
    task's result is the one that it would have had without being deferred.

    Airflow keeps a trigger's arguments in its database and shows them in its API. So there is the id of a connection in
    them and no secret, and where the filters hold phone numbers they stay with the task (``filters`` is None): the
    trigger then only wakes the worker up at each interval.

    Args:
        callreport_conn_id: connection to the API.
        report: ``"calls"`` or ``"masked_calls"``.
        filters: API filter keys, or None to wait without counting.
        window_start: first instant, ISO 8601 with an offset.
        window_end: first instant after the window, ISO 8601 with an offset.
        min_calls: fires when there are at least so many.
        poke_interval: seconds between two counts.
        next_poke_at: when to count first, ISO 8601 with an offset; None for at once.
        backoff: double the interval after each count.
        max_wait: the longest interval in seconds, or None.
        until: when a worker looks at the latest, ISO 8601 with an offset; None for never. The event repeats it:
            ``dag.test()`` neither ends a wait nor hands on what the sensor gave it for later.
    """

    def __init__(
        self,
        *,
        callreport_conn_id: str,
        report: str,
        filters: Mapping[str, Any] | None,
        window_start: str,
        window_end: str,
        min_calls: int = 1,
        poke_interval: float = 60.0,
        next_poke_at: str | None = None,
        backoff: bool = False,
        max_wait: float | None = None,
        until: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.callreport_conn_id = callreport_conn_id
        self.report = report
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.min_calls = min_calls
        self.poke_interval = poke_interval
        self.next_poke_at = next_poke_at
        self.backoff = backoff
        self.max_wait = max_wait
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, in plain JSON types."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "callreport_conn_id": self.callreport_conn_id,
                "report": self.report,
                "filters": None if self.filters is None else json.loads(json.dumps(dict(self.filters))),
                "window_start": self.window_start,
                "window_end": self.window_end,
                "min_calls": self.min_calls,
                "poke_interval": self.poke_interval,
                "next_poke_at": self.next_poke_at,
                "backoff": self.backoff,
                "max_wait": self.max_wait,
                "until": self.until,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Count, wait, count again; one event in the end."""
        until = None if self.until is None else datetime.fromisoformat(self.until)
        if self.next_poke_at is not None:
            await _sleep_to(datetime.fromisoformat(self.next_poke_at), until)
        interval = self.poke_interval
        while not (_has_come(until) or await self._worker_should_look()):
            await _sleep_to(datetime.now(UTC) + timedelta(seconds=interval), until)
            if self.backoff:
                interval = min(interval * 2, self.max_wait or _LONGEST_INTERVAL)
        yield TriggerEvent({"status": "look", "until": self.until})  # type: ignore[no-untyped-call]

    async def _worker_should_look(self) -> bool:
        if self.filters is None:
            return True
        from airflow_provider_callreport.api.filters import Window
        from airflow_provider_callreport.hooks.callreport import CallReportHook

        hook, filters = CallReportHook(self.callreport_conn_id), self.filters
        try:
            async with await hook.aget_client() as client:
                from airflow_provider_callreport.api.counting import count_calls

                start, end = (datetime.fromisoformat(text) for text in (self.window_start, self.window_end))
                window = Window(start, end, client.settings.timezone)
                count = await client.run(
                    lambda caller: count_calls(caller, self.report, filters, window, up_to=self.min_calls)
                )
        except Exception as error:
            # Whatever it is, the worker is the place to raise it: there the task's retries and policies apply.
            log.warning("counting failed, a worker looks into it (%s)", safe_text(error))
            return True
        log.info("%s of %s; waiting for at least %d", count, self.report, self.min_calls)
        return count.calls >= self.min_calls


def _has_come(time: datetime | None) -> bool:
    return time is not None and time <= datetime.now(UTC)


async def _sleep_to(time: datetime, until: datetime | None) -> None:
    """Sleep to a time, and no longer than to another one."""
    end = time if until is None else min(time, until)
    await asyncio.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))


def safe_text(error: Exception) -> str:
    """What a log may say of an error that was raised in the triggerer."""
    # A foreign exception's text may hold the request, and with it the credentials.
    return str(error) if isinstance(error, CallReportError) else type(error).__name__
