"""Every night: the recordings of yesterday's answered calls, and a manifest that names every one of them.

A recording goes to ``recordings/dt=YYYY-MM-DD/<call>_<part>.mp3``. The manifest beside them has a line for each: call,
part, status, key, bytes, SHA-256. A call without a recording has a line, too.

It needs two connections: ``callreport_default`` (the account) and ``aws_default`` (the bucket). Recordings are personal
data: give the bucket encryption, and a lifecycle rule that ends with your retention period.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_callreport.api import CallReportFilter
from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator

# Days begin at midnight in the account's zone, the one in the connection's field "timezone".
ZONE = "Asia/Kolkata"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"

with DAG(
    dag_id="recordings_to_s3",
    description="Yesterday's recordings to S3, with a manifest",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    default_args={
        # DeepCall may still be making a recording that the report promises. The task fails then, and a later try
        # fetches only what is not in S3 yet, so that many tries cost little.
        "retries": 4,
        "retry_delay": timedelta(minutes=15),
    },
    tags=["callreport"],
):
    CallRecordingsToS3Operator(
        task_id="recordings",
        window_start=DAY,
        window_end=NEXT_DAY,
        # A guess of the API's key "status": compare the result once with the panel (see CallReportFilter).
        filters=CallReportFilter(status="Answered"),
        s3_bucket="reports",
        s3_key=f"recordings/dt={DAY}/[[ call ]]_[[ part ]].mp3",
        manifest_key=f"recordings/dt={DAY}/manifest.jsonl",
        # Four calls at a time. The connection's requests_per_second holds for all of them together.
        concurrency=4,
    )
