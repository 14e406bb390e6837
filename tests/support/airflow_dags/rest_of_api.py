"""Dags that `test_rest_of_api` runs: recordings and the audit, green and red.

The second Dag is the first one again, for a run without Airflow's secrets masker.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.operators.check import CallReportCheckOperator
from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator

NUMBER = {"cNum": "{{ var.value.canary_number }}"}


def recordings(task_id: str, **arguments: Any) -> CallRecordingsToS3Operator:
    """Copy the day's recordings, below a prefix that is the Dag's and the task's own."""
    prefix = f"{{{{ dag.dag_id }}}}/{arguments.pop('prefix', task_id)}"
    return CallRecordingsToS3Operator(
        task_id=task_id,
        s3_bucket="reports",
        s3_key=f"{prefix}/[[ call ]]_[[ part ]].mp3",
        manifest_key=f"{prefix}/manifest.jsonl",
        **arguments,
    )


def rest_dag(dag_id: str) -> DAG:
    """Every operator, green and red."""
    with DAG(
        dag_id,
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="Asia/Kolkata"),
        start_date=datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Kolkata")),
        catchup=False,
        default_args={"retries": 2, "retry_delay": timedelta(0)},
    ) as dag:
        # Recordings.
        first = recordings("copied", filters=NUMBER, outlets=[Asset(f"{dag_id}_recordings")])
        first >> recordings("copied_again", prefix="copied", outlets=[AssetAlias("manifests")])
        recordings("copied_elsewhere", outlets=[AssetAlias("manifests")])
        recordings("being_made", callreport_conn_id="callreport_being_made", retries=1)
        recordings("no_account", callreport_conn_id="callreport_refused")
        recordings("echoing_stream", callreport_conn_id="callreport_echoing", retries=0)
        # The audit.
        delivered = Asset(f"{dag_id}_calls")
        export = CallReportExportOperator(
            task_id="export",
            s3_bucket="reports",
            s3_key="{{ dag.dag_id }}/e.csv",
            redact={"Caller Number": "drop"},
            outlets=[delivered],
        )
        export >> [
            CallReportCheckOperator(
                task_id="check_s3", s3_bucket="reports", s3_key="{{ dag.dag_id }}/e.csv", check_bytes=True
            ),
            CallReportCheckOperator(task_id="check_xcom", delivered="{{ ti.xcom_pull('export')['rows'] }}"),
            CallReportCheckOperator(task_id="check_drift", delivered=2),
            CallReportCheckOperator(task_id="check_asset", asset=delivered),
        ]
    return dag


rest = rest_dag("rest")
rest_unmasked = rest_dag("rest_unmasked")

with DAG(
    "rest_by_hand", schedule=None, start_date=datetime(2026, 3, 1, tzinfo=ZoneInfo("UTC")), catchup=False
) as rest_by_hand:
    recordings("no_window")
