"""The Dag that `test_assets_lineage` and `test_links` look at: what Airflow is told of a delivery.

The data interval for the logical date of the test is the 13th of March 2026 in Kolkata.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_callreport.assets import read_index, report_asset
from airflow_provider_callreport.operators.callreport import CallReportExportOperator, MaskListToS3Operator
from airflow_provider_callreport.operators.check import CallReportCheckOperator
from airflow_provider_callreport.operators.manifest import CallReportManifestOperator
from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator
from airflow_provider_callreport.task import links

KOLKATA = "Asia/Kolkata"
#: A filter that must not be seen in any event, facet or link.
FILTERS = {"cNum": "919876501200"}

# The S3 server of the test stands for AWS: its objects have a link into the console.
links.AWS_HOSTS += ("127.0.0.1",)


def fail(context: Any, result: Any = None) -> None:
    """After the delivery."""
    raise RuntimeError("the worker died after the delivery")


def fail_at_first_try(context: Any, result: Any = None) -> None:
    """After the delivery, once."""
    if context["ti"].try_number == 1:
        fail(context)


with DAG(
    "assets",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone=KOLKATA),
    start_date=datetime(2026, 3, 1, tzinfo=ZoneInfo(KOLKATA)),
    catchup=False,
    # No bucket: Airflow 2 gives default_args to a mapped function too, which refuses it.
    default_args={"retries": 0, "retry_delay": timedelta(0)},
) as assets:
    by_name = CallReportExportOperator(
        task_id="by_name",
        s3_bucket="reports",
        s3_key="assets/{{ ds }}.csv",
        columns={"Time": "When", "Caller Number": "Phone", "Call Duration": "Seconds", "Status": "Status"},
        redact={"Caller Number": "last4"},
        email_to="named@example.com",
        inlets=[report_asset("calls")],
        outlets=[Asset("delivered_calls")],
    )
    MaskListToS3Operator(
        task_id="by_address",
        s3_bucket="reports",
        s3_key="assets/a b.csv",
        outlets=[Asset("s3://reports/assets/a b.csv")],
    )
    CallReportExportOperator(
        task_id="filtered",
        s3_bucket="reports",
        s3_key="assets/filtered.csv",
        filters=FILTERS,
        outlets=[AssetAlias("filtered_files")],
    )
    grouped = CallReportExportOperator(
        task_id="grouped",
        s3_bucket="reports",
        s3_key="assets/#ग्रुप/[[ group ]].csv",
        group_by="Status",
        outlets=[AssetAlias("grouped_files"), Asset("grouped_calls")],
    )
    CallReportExportOperator(
        task_id="mailed",
        email_to="mailed@example.com",
        outlets=[Asset("mailed_calls"), AssetAlias("mailed_files")],
    )
    CallReportExportOperator(
        task_id="left_alone",
        s3_bucket="reports",
        s3_key="taken/skip.csv",
        if_exists="skip",
        outlets=[Asset("left_alone"), AssetAlias("left_alone_files")],
    )
    first = CallReportExportOperator(
        task_id="first", s3_bucket="reports", s3_key="assets/same.csv", outlets=[Asset("same")]
    )
    again = CallReportExportOperator(
        task_id="again", s3_bucket="reports", s3_key="assets/same.csv", outlets=[Asset("same")]
    )
    CallReportExportOperator(
        task_id="tried_twice",
        s3_bucket="reports",
        s3_key="assets/twice.csv",
        retries=1,
        post_execute=fail_at_first_try,
        outlets=[Asset("tried_twice")],
    )
    CallReportExportOperator(
        task_id="failed", s3_bucket="reports", s3_key="assets/failed.csv", post_execute=fail, outlets=[Asset("failed")]
    )
    CallReportExportOperator(
        task_id="empty",
        s3_bucket="reports",
        s3_key="assets/empty.csv",
        empty="skip",
        callreport_conn_id="callreport_empty",
        outlets=[Asset("empty")],
    )
    if hasattr(Asset, "ref"):
        # Since Airflow 3: an asset that is declared elsewhere.
        CallReportExportOperator(
            task_id="referring",
            s3_bucket="reports",
            s3_key="assets/referring.csv",
            outlets=[Asset.ref(name="mailed_calls")],
        )
    # 990 bytes of key, and 2,970 characters of address.
    CallReportExportOperator(
        task_id="too_long", s3_bucket="reports", s3_key="ग" * 330, outlets=[AssetAlias("long_files")]
    )
    checked = CallReportCheckOperator(task_id="checked", asset=Asset("delivered_calls"))
    checked_groups = CallReportCheckOperator(task_id="checked_groups", asset=AssetAlias("grouped_files"))

    # What is no export. Of the calls of the account "callreport_recorded" the first has a recording.
    CallReportManifestOperator(
        task_id="joined",
        s3_bucket="reports",
        exports=[first.output],
        s3_key="assets/#manifest?.json",
        outlets=[Asset("joined"), AssetAlias("manifests")],
    )
    recordings: dict[str, Any] = {
        "s3_bucket": "reports",
        "s3_key": "assets/#recordings/[[ call ]]_[[ part ]].mp3",
        "manifest_key": "assets/recordings.jsonl",
        "callreport_conn_id": "callreport_recorded",
        "outlets": [AssetAlias("recording_lists")],
    }
    recorded = CallRecordingsToS3Operator(task_id="recorded", **recordings)
    recorded_again = CallRecordingsToS3Operator(task_id="recorded_again", **recordings)

    @task
    def files_of(export: Any) -> list[dict[str, Any]]:
        return list(read_index(export)["files"])

    @task
    def rows_of(file: dict[str, Any]) -> list[Any]:
        return [file["group"], file["rows"]]

    rows_of.expand(file=files_of(grouped.output))

    first >> again
    recorded >> recorded_again
    by_name >> checked
    grouped >> checked_groups

with suppress(ImportError):
    import_module("airflow.providers.openlineage.utils.selective_enable").enable_lineage(assets)
