"""The operator that joins many exports: one manifest of all files, if together they are the whole report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.rules import ManifestIfExists, Report
from airflow_provider_callreport.task.announcing import AnnouncesDelivery
from airflow_provider_callreport.task.arguments.argument import template_fields
from airflow_provider_callreport.task.arguments.tables import MANIFEST
from airflow_provider_callreport.task.base import CallReportBaseOperator, run_identity
from airflow_provider_callreport.windows import fill_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.audit.manifest import ManifestSummary


class CallReportManifestOperator(AnnouncesDelivery, CallReportBaseOperator):
    """Writes a manifest of many exports, if together they are the whole report; otherwise it fails and says why.

    It follows a mapped `CallReportExportOperator` that has a task for each window of
    `airflow_provider_callreport.windows.windows`. Green means that

    - the exports' windows follow one another from ``window_start`` to ``window_end`` without gap and overlap, each is
      whole, and all have the same report, format and columns;
    - every object is in S3 with the size, the SHA-256, the rows and the window that its export stated;
    - the API counts as many calls in the whole window as the exports have.

    The manifest is written last, with the conditions of ``if_exists``. It is JSON, the same bytes for the same slices,
    and `CallReportCheckOperator` can check it like an export.

    An asset among the ``outlets`` gets an event when this run wrote a slice, or when the manifest before it has
    another state of a slice. Otherwise it gets no event. An asset alias gets one at the manifest's address.

    Args:
        exports: XCom values of the exports: ``exports=mapped_task.output``.
        s3_bucket: bucket of the manifest.
        s3_key: key of the manifest.
        report: ``"calls"`` or ``"masked_calls"``, as exported.
        filters: the filters that the slices were exported with, for the API's count.
        window_start: first instant of the whole window, ISO 8601; default the start of the run's data interval.
        window_end: first instant after it; default the end of the run's data interval.
        check_bytes: read each object and compare its SHA-256, instead of believing the metadata.
        if_exists: ``"replace"`` or ``"fail"`` when another run's manifest is at the key.
        partition_key: key of the asset partition that a slice belongs to, with fields in braces as in `windows`, such
            as ``"{start:%Y-%m-%d}"``: each partition with something new gets an event. Airflow 3.3 and later; earlier
            versions make one event without a partition.
        aws_conn_id: AWS connection; None lets boto3 look for credentials.
        s3_extra_args: further arguments for S3, such as ``{"ServerSideEncryption": "aws:kms"}``.
        callreport_conn_id: connection to the API.

    Returns:
        A dict: ``report``, ``window``, ``rows``, ``reported_total``, ``slices``, ``bytes`` (of all files), ``manifest``
        {``uri``, ``rows``, ``bytes``, ``sha256``}.
    """

    arguments = MANIFEST
    template_fields: Sequence[str] = template_fields(MANIFEST)
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json", "s3_extra_args": "json"}

    def __init__(
        self,
        *,
        exports: Any,
        s3_bucket: str,
        s3_key: str,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        window_start: datetime | str = "{{ data_interval_start }}",
        window_end: datetime | str = "{{ data_interval_end }}",
        check_bytes: bool = False,
        if_exists: ManifestIfExists = "replace",
        partition_key: str | None = None,
        aws_conn_id: str | None = "aws_default",
        s3_extra_args: Mapping[str, Any] | None = None,
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.exports = exports
        self.s3_bucket = s3_bucket
        self.s3_key = s3_key
        self.report = report
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.check_bytes = check_bytes
        self.if_exists = if_exists
        self.partition_key = partition_key
        self.aws_conn_id = aws_conn_id
        self.s3_extra_args = s3_extra_args
        self.callreport_conn_id = callreport_conn_id
        self.check_now()

    def execute(self, context: Context) -> dict[str, Any]:
        """Check the slices, write the manifest."""
        from airflow_provider_callreport.audit.manifest import ManifestRequest, read_slices, write_manifest
        from airflow_provider_callreport.hooks.callreport import CallReportHook

        with self.errors_for_airflow():
            hook = CallReportHook(self.callreport_conn_id)
            window = self.window(hook.settings.timezone)
            request = ManifestRequest(
                report=self.report,
                window=window,
                slices=read_slices(self.exports, window, self.aws_conn_id),
                s3=S3Destination(
                    self.s3_bucket,
                    self.s3_key,
                    self.aws_conn_id,
                    if_exists=self.if_exists,
                    extra_args=self.s3_extra_args or {},
                ),
                filters=self.filters or {},
                check_bytes=self.check_bytes,
            )
            with hook.get_conn() as client:
                summary = write_manifest(client, request, run=run_identity(context), exporters=self.upstream_task_ids)
            self._announce(context, summary)
        return summary.to_xcom()

    def _announce(self, context: Context, summary: ManifestSummary) -> None:
        """Tell Airflow what was delivered, and which partitions are new."""
        from airflow_provider_callreport.assets import DeliveredObject, Delivery
        from airflow_provider_callreport.task.lineage import delivery_lineage

        value, store = summary.to_xcom(), f"s3://{self.s3_bucket}"
        extra = {**value, **value["manifest"]}
        manifest = DeliveredObject(store, self.s3_key, new=bool(summary.changed), ours=True, extra=extra)
        delivery = Delivery([manifest], extra)
        self.announce(
            context,
            delivery,
            conn_id=self.aws_conn_id,
            lineage=partial(delivery_lineage, [manifest], inputs=summary.datasets),
        )
        if self.partition_key is not None:
            self._add_partitions(context, summary)

    def _add_partitions(self, context: Context, summary: ManifestSummary) -> None:
        from airflow.providers.common.compat.sdk import AssetAlias

        keys = sorted(
            {
                fill_text("partition_key", self.partition_key or "", one.window.local_start, one.window.local_end)
                for one in summary.changed
            }
        )
        self.log.info("Partitions with something new: %s", ", ".join(keys) or "none")
        for outlet in self.outlets:
            # Before Airflow 3.3 there are no partitions, and events of an alias have none.
            event: Any = None if isinstance(outlet, AssetAlias) else context["outlet_events"][outlet]
            if hasattr(event, "add_partitions"):
                event.add_partitions(keys)
