"""The operator of recordings: it copies those of the calls that a filter matches to S3, with a manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow_provider_callreport.recordings.keys import key_folder
from airflow_provider_callreport.rules import ManifestFormat, OnIncomplete, RecordingIfExists, Report
from airflow_provider_callreport.task.announcing import AnnouncesDelivery
from airflow_provider_callreport.task.arguments.argument import template_fields
from airflow_provider_callreport.task.arguments.tables import RECORDINGS
from airflow_provider_callreport.task.base import CallReportBaseOperator, run_identity

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.recordings.copy import RecordingsSummary


class CallRecordingsToS3Operator(AnnouncesDelivery, CallReportBaseOperator):
    """Copies the recordings of the calls of a window to S3, and writes a manifest that names every call.

    The task is green when every recording is in place. It is red when the report promises recordings that the API does
    not have (yet); a later try continues then, and does not fetch what is already at its key.

    Args:
        s3_bucket: bucket of the recordings and the manifest.
        s3_key: key of a recording, with ``[[ call ]]`` and ``[[ part ]]`` where the ids of the call and of its part go,
            such as ``"recordings/[[ call ]]_[[ part ]].mp3"``.
        manifest_key: key of the manifest, which has a line for each recording and for each call without one.
        manifest_format: ``"jsonl"`` or ``"csv"``.
        report: ``"calls"`` or ``"masked_calls"``.
        filters: API filter keys; see `airflow_provider_callreport.api.call_filter.CallReportFilter`.
        window_start: first instant of the window, ISO 8601; default the start of the run's data interval.
        window_end: first instant after the window; default the end of the run's data interval.
        if_exists: ``"skip"`` leaves a recording that is at its key: the same call, part and content. Another object at
            the key is an error. ``"replace"`` fetches all again.
        on_incomplete: ``"fail"``, or ``"warn"`` to deliver a manifest in which some recordings are ``missing``,
            ``failed`` or ``unproved`` (their streams had no length).
        concurrency: calls whose recordings are copied at a time, 1 to 32. The connection's ``requests_per_second``
            holds for all of them together.
        max_recording_bytes: the largest recording.
        aws_conn_id: AWS connection; None lets boto3 look for credentials.
        s3_extra_args: further arguments for S3, such as ``{"ServerSideEncryption": "aws:kms"}``.
        callreport_conn_id: connection to the API.

    An asset among the ``outlets`` gets its event with what is returned and the manifest's ``uri``, ``rows`` and
    ``sha256`` in ``extra``, an asset alias one at the manifest's address. A manifest that another run had written
    already gets no event.

    Returns:
        A dict under 1 KB: ``report``, ``window``, ``calls``, ``reported_total``, ``recordings``, ``bytes``, ``copied``,
        ``already_there``, ``calls_stored``, ``calls_no_recording``, ``calls_unproved``, ``calls_missing``,
        ``calls_failed``, ``manifest`` {``uri``, ``rows``, ``bytes``, ``sha256``}. No address of a recording is in it:
        such an address is a secret.
    """

    arguments = RECORDINGS
    template_fields: Sequence[str] = template_fields(RECORDINGS)
    placeholders: ClassVar[Mapping[str, Collection[str]]] = {"s3_key": ("call", "part")}
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json", "s3_extra_args": "json"}

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_key: str,
        manifest_key: str,
        manifest_format: ManifestFormat = "jsonl",
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        window_start: datetime | str = "{{ data_interval_start }}",
        window_end: datetime | str = "{{ data_interval_end }}",
        if_exists: RecordingIfExists = "skip",
        on_incomplete: OnIncomplete = "fail",
        concurrency: int = 4,
        max_recording_bytes: int = 200_000_000,
        aws_conn_id: str | None = "aws_default",
        s3_extra_args: Mapping[str, Any] | None = None,
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.s3_bucket = s3_bucket
        self.s3_key = s3_key
        self.manifest_key = manifest_key
        self.manifest_format = manifest_format
        self.report = report
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.if_exists = if_exists
        self.on_incomplete = on_incomplete
        self.concurrency = concurrency
        self.max_recording_bytes = max_recording_bytes
        self.aws_conn_id = aws_conn_id
        self.s3_extra_args = s3_extra_args
        self.callreport_conn_id = callreport_conn_id
        self.check_now()

    def execute(self, context: Context) -> dict[str, Any]:
        """List the calls, copy their recordings, write the manifest."""
        from airflow_provider_callreport.hooks.callreport import CallReportHook
        from airflow_provider_callreport.recordings.copy import RecordingsRequest, copy_recordings

        with self.errors_for_airflow():
            hook = CallReportHook(self.callreport_conn_id)
            request = RecordingsRequest(
                report=self.report,
                window=self.window(hook.settings.timezone),
                s3_bucket=self.s3_bucket,
                s3_key=self.s3_key,
                manifest_key=self.manifest_key,
                filters=self.filters or {},
                manifest_format=self.manifest_format,
                aws_conn_id=self.aws_conn_id,
                s3_extra_args=self.s3_extra_args or {},
                if_exists=self.if_exists,
                on_incomplete=self.on_incomplete,
                concurrency=self.concurrency,
                max_recording_bytes=self.max_recording_bytes,
            )
            with hook.get_conn() as client:
                summary = copy_recordings(client, request, run=run_identity(context))
        self._announce(context, urlsplit(hook.settings.base_url).netloc, summary)
        return summary.to_xcom()

    def _announce(self, context: Context, host: str, summary: RecordingsSummary) -> None:
        """Tell Airflow what was delivered; the link leads to the manifest."""
        from airflow_provider_callreport.assets import DeliveredObject, Delivery
        from airflow_provider_callreport.task.lineage import api_dataset, delivery_lineage

        value, store = summary.to_xcom(), f"s3://{self.s3_bucket}"
        of_manifest = value.pop("manifest")
        # `bytes` are those of the recordings.
        extra = {**of_manifest, **value}
        manifest = DeliveredObject(store, self.manifest_key, new=summary.manifest_new, ours=True, extra=extra)
        delivery = Delivery([manifest], extra)
        # All recordings are one dataset, because a day has thousands of them.
        folder = DeliveredObject(store, key_folder(self.s3_key), new=summary.copied > 0, ours=True, extra={})
        self.announce(
            context,
            delivery,
            conn_id=self.aws_conn_id,
            lineage=partial(
                delivery_lineage,
                [replace(manifest, extra=of_manifest), folder],
                inputs=[api_dataset(host, self.report)],
            ),
        )
