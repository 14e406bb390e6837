"""The operator of the audit: it compares what was delivered for a window with what the API counts now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_callreport.delivery.s3 import check_key
from airflow_provider_callreport.rules import CountBy, Report
from airflow_provider_callreport.task.arguments.argument import template_fields
from airflow_provider_callreport.task.arguments.tables import CHECK
from airflow_provider_callreport.task.base import CallReportBaseOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.api.filters import Window
    from airflow_provider_callreport.audit.delivered import Delivered


class CallReportCheckOperator(CallReportBaseOperator):
    """Fails when the API counts more calls in a window now, or fewer, than were delivered.

    The number of delivered calls comes from exactly one source: the objects in S3, a value, or an asset's events.

    Args:
        s3_bucket: bucket of the delivered files.
        s3_key: key, or list of keys for a report with ``group_by``. The number of calls, the window and the SHA-256 are
            in the metadata that this package's operators write. A manifest can be checked, too.
        check_bytes: read each object and compare its SHA-256, so that an overwritten file is noticed.
        delivered: a number of calls, or an export's XCom value, such as ``"{{ ti.xcom_pull('export')['rows'] }}"``.
        asset: the asset whose event has the number and the window in its ``extra``; it becomes an inlet of the task.
        report: ``"calls"`` or ``"masked_calls"``.
        filters: the filters that the report was exported with.
        window_start: first instant of the window, ISO 8601; default the start of the run's data interval.
        window_end: first instant after the window; default the end of the run's data interval.
        count_by: ``"count"`` asks ``reportCount`` (one request), ``"read"`` reads the report and counts, ``"auto"``
            counts ``calls`` and reads ``masked_calls``.
        tolerance: how many calls the two numbers may differ by.
        aws_conn_id: AWS connection.
        callreport_conn_id: connection to the API.

    Returns:
        A dict: ``window``, ``counted``, ``delivered``, ``drift`` (counted minus delivered), ``files``.
    """

    arguments = CHECK
    template_fields: Sequence[str] = template_fields(CHECK)
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}

    def __init__(
        self,
        *,
        s3_bucket: str | None = None,
        s3_key: str | Sequence[str] | None = None,
        check_bytes: bool = False,
        delivered: Any = None,
        asset: Any = None,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        window_start: datetime | str = "{{ data_interval_start }}",
        window_end: datetime | str = "{{ data_interval_end }}",
        count_by: CountBy = "auto",
        tolerance: int = 0,
        aws_conn_id: str | None = "aws_default",
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        if asset is not None:
            kwargs["inlets"] = [*(kwargs.get("inlets") or ()), asset]
        super().__init__(**kwargs)
        self.s3_bucket = s3_bucket
        self.s3_key = s3_key
        self.check_bytes = check_bytes
        self.delivered = delivered
        self.asset = asset
        self.report = report
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.count_by = count_by
        self.tolerance = tolerance
        self.aws_conn_id = aws_conn_id
        self.callreport_conn_id = callreport_conn_id
        self.check_now()

    def check(self, settled: Mapping[str, Any]) -> None:
        """Refuse more than one source of what was delivered, and none."""
        if ("s3_bucket" in settled or "s3_key" in settled) and (self.s3_bucket is None) != (self.s3_key is None):
            raise ValueError("s3_bucket and s3_key belong together; set both or neither")
        given = [name for name in ("s3_key", "delivered", "asset") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"what was delivered is given by {' and '.join(given) or 'nothing'}; set exactly one of s3_bucket with "
                "s3_key, delivered, and asset"
            )
        if settled.get("s3_key") is not None:
            keys = self._keys()
            if not keys:
                raise ValueError("s3_key is an empty list; allowed is one key at least")
            for key in keys:
                check_key("s3_key", key)

    def execute(self, context: Context) -> dict[str, Any]:
        """Look up what was delivered, count, compare."""
        from airflow_provider_callreport.audit.delivered import compare, count_calls
        from airflow_provider_callreport.hooks.callreport import CallReportHook

        with self.errors_for_airflow():
            hook = CallReportHook(self.callreport_conn_id)
            window = self.window(hook.settings.timezone)
            # First, because a missing file needs no request to the API.
            delivered = self._delivered(context, window)
            with hook.get_conn() as client:
                counted = count_calls(client, self.report, self.filters or {}, window, by=self.count_by)
            return compare(counted, delivered, window, tolerance=self.tolerance)

    def _delivered(self, context: Context, window: Window) -> list[Delivered]:
        from airflow_provider_callreport.audit.delivered import delivered_in_s3, delivered_in_summary, latest_for_window

        if self.s3_bucket is not None:
            return delivered_in_s3(self.s3_bucket, self._keys(), self.aws_conn_id, check_bytes=self.check_bytes)
        if self.asset is not None:
            events: Any = context["inlet_events"][self.asset]
            # Airflow 2.11 calls it a dataset, and knows it by its address only.
            name = getattr(self.asset, "name", None) or self.asset.uri
            return [latest_for_window(events, window, f"the asset {name}")]
        return [delivered_in_summary(self.delivered, "delivered")]

    def _keys(self) -> list[str]:
        return [self.s3_key] if isinstance(self.s3_key, str) else list(self.s3_key or ())
