"""The sensor: waits until a filter matches enough calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_callreport.api.errors import CallReportError
from airflow_provider_callreport.rules import Report
from airflow_provider_callreport.task.arguments.argument import template_fields
from airflow_provider_callreport.task.arguments.tables import SENSOR
from airflow_provider_callreport.task.base import CallReportBaseOperator
from airflow_provider_callreport.task.private_filters import has_phone_numbers

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


#: What Airflow resumes a task with when it has ended its deferral: after a timeout, or an error of the trigger.
_ENDED_BY_AIRFLOW = "__fail__"


class CallReportSensor(CallReportBaseOperator, BaseSensorOperator):
    """Waits until a filter matches at least ``min_calls`` calls in a window.

    Each look costs one small request: ``reportCount`` for ``calls``, one page of ``masklist`` for ``masked_calls``
    (nobody knows whether ``reportCount`` counts those). See `airflow_provider_callreport.api.counting`.

    A sensor says that calls are there, not that they are all there: calls show up late. To export a window whole, let
    it end some minutes in the past.

    Args:
        report: ``"calls"`` or ``"masked_calls"``.
        filters: API filter keys, such as ``{"cNum": "919876543210"}``; unknown ones pass through.
        window_start: first instant of the window, ISO 8601; default the start of the run's data interval.
        window_end: first instant after the window; default the end of the run's data interval.
        min_calls: how many calls are enough. Where the API gives no usable total, at most the connection's
            ``page_size``.
        deferrable: wait in the triggerer, without a worker slot. Default: Airflow's ``[operators] default_deferrable``.
            Filters with phone numbers are not handed to the triggerer: a worker looks at each interval instead.
        callreport_conn_id: connection to the API.
        kwargs: those of every sensor: ``poke_interval``, ``timeout``, ``mode``, ``soft_fail`` and so on. After the
            ``timeout`` the task is skipped with ``soft_fail`` or ``never_fail``, else it fails with
            ``AirflowSensorTimeout``, however the sensor waits. (Airflow itself fails a sensor with ``never_fail`` that
            polls on a worker, and skips it when it waits in the triggerer.)

    Returns:
        A dict: ``report``, ``window``, ``calls`` (the number found), ``exact`` (False: there are at least so many).
    """

    arguments = SENSOR
    template_fields: Sequence[str] = template_fields(SENSOR)
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}

    def __init__(
        self,
        *,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        window_start: datetime | str = "{{ data_interval_start }}",
        window_end: datetime | str = "{{ data_interval_end }}",
        min_calls: int | str = 1,
        deferrable: bool | None = None,
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.report = report
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.min_calls = min_calls
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self.callreport_conn_id = callreport_conn_id
        self.check_now()

    def poke(self, context: Context) -> PokeReturnValue:
        """Count once."""
        from airflow_provider_callreport.api.counting import count_calls, window_json
        from airflow_provider_callreport.hooks.callreport import CallReportHook

        try:
            with self.errors_for_airflow():
                hook = CallReportHook(self.callreport_conn_id)
                window = self.window(hook.settings.timezone)
                with hook.get_conn() as client:
                    count = count_calls(client, self.report, self.filters or {}, window, up_to=int(self.min_calls))
        except CallReportError as error:
            if error.retryable:
                raise
            # Also where a retry policy looks at errors itself: soft_fail knows Airflow's exceptions only.
            raise AirflowFailException(str(error)) from error
        self.log.info("%s of %s; waiting for at least %s", count, self.report, self.min_calls)
        if count.calls < int(self.min_calls):
            return PokeReturnValue(False)
        found = {"report": self.report, "window": window_json(window), "calls": count.calls, "exact": count.exact}
        return PokeReturnValue(True, found)

    def execute(self, context: Context) -> Any:
        """Wait on the worker, or look once and wait in the triggerer."""
        if self.deferrable:
            return self._look_or_defer(context, self._until())
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            if self.never_fail:
                raise self._timed_out(str(error)) from error
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a wait in the triggerer, also one that Airflow has ended.

        Airflow 2.11 and 3.0 do not heed every policy there, and 2.11 has no exception for a timeout.

        Raises:
            AirflowSensorTimeout: the wait lasted too long.
            AirflowSkipException: likewise, or it was ended by an error, and ``soft_fail`` or ``never_fail`` is set.
        """
        if next_method != _ENDED_BY_AIRFLOW:
            return super().resume_execution(next_method, next_kwargs, context)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if isinstance(error, AirflowSensorTimeout) or "timeout" in str(error):
                raise self._timed_out(str(error)) from error
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped because of soft_fail or never_fail: {error}") from error
            raise

    def execute_complete(self, context: Context, event: Any = None, until: str | None = None) -> Any:
        """Look again: the trigger's event only says that it is time to.

        Args:
            context: the task's context.
            event: the trigger's; ``dag.test()`` hands on nothing else.
            until: when the sensor's timeout passes, ISO 8601.
        """
        if until is None and isinstance(event, Mapping):
            until = event.get("until")
        return self._look_or_defer(context, self._until() if until is None else datetime.fromisoformat(until))

    def _until(self) -> datetime:
        """When the timeout of a wait that begins now passes."""
        return datetime.now(UTC) + timedelta(seconds=self.timeout)

    def _look_or_defer(self, context: Context, until: datetime) -> Any:
        try:
            found = self.poke(context)
        except AirflowFailException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped because of soft_fail or never_fail: {error}") from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"skipped because of never_fail: {error}") from error
            if not self.silent_fail:
                raise
            self.log.exception("counting failed; it is tried again because of silent_fail")
            found = PokeReturnValue(False)
        if found:
            return found.xcom_value
        if until <= datetime.now(UTC):
            raise self._timed_out(f"fewer than {self.min_calls} calls after the timeout of {self.timeout:g} s")
        self._defer(until)
        return None

    def _timed_out(self, message: str) -> Exception:
        """What ends the sensor after its timeout."""
        return (AirflowSkipException if self.soft_fail or self.never_fail else AirflowSensorTimeout)(message)

    def _defer(self, until: datetime) -> None:
        from airflow_provider_callreport.hooks.callreport import CallReportHook
        from airflow_provider_callreport.triggers.callreport import CallReportTrigger

        window = self.window(CallReportHook(self.callreport_conn_id).settings.timezone)
        filters = dict(self.filters or {})
        now = datetime.now(UTC)
        self.defer(
            trigger=CallReportTrigger(
                callreport_conn_id=self.callreport_conn_id,
                report=self.report,
                filters=None if has_phone_numbers(filters) else filters,
                window_start=window.start.isoformat(),
                window_end=window.end.isoformat(),
                min_calls=int(self.min_calls),
                poke_interval=self.poke_interval,
                next_poke_at=(now + timedelta(seconds=self.poke_interval)).isoformat(),
                backoff=self.exponential_backoff,
                max_wait=None if self.max_wait is None else self.max_wait.total_seconds(),
                until=until.isoformat(),
            ),
            method_name="execute_complete",
            kwargs={"until": until.isoformat()},
            timeout=max(timedelta(0), until - now),
        )
