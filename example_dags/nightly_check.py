"""Every night: do last week's files still have every call?

Calls show up late in a telephony system, and a file in S3 can be overwritten by somebody else. So each of the seven
files that ``daily_masked_calls_to_s3`` wrote last is compared with what the API has now: the number of calls, and the
file's SHA-256. A day that drifted is a red task that says by how many calls; clear that day's run to deliver it again.

It needs two connections: ``callreport_default`` (the account) and ``aws_default`` (the bucket).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_callreport.operators.check import CallReportCheckOperator

# Days begin at midnight in the account's zone, the one in the connection's field "timezone".
ZONE = "Asia/Kolkata"


def day(days_ago: int) -> str:
    """The template of a date, so many days before the run."""
    return f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days={days_ago}).date() }}}}"


with DAG(
    dag_id="nightly_check",
    description="Compares last week's masked calls in S3 with the API",
    # Two hours after daily_masked_calls_to_s3, so that yesterday's file exists.
    schedule="0 3 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    # The API is asked for one day after the other, not for seven at a time.
    max_active_tasks=1,
    default_args={
        # Only errors that may pass are tried again. Drift fails the task at once.
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
    },
    tags=["callreport"],
):
    for days_ago in range(1, 8):
        CallReportCheckOperator(
            task_id=f"check_{days_ago}_days_ago",
            report="masked_calls",
            # The window, the filters (none) and the key are those of the export.
            window_start=day(days_ago),
            window_end=day(days_ago - 1),
            s3_bucket="reports",
            s3_key=f"masked_calls/dt={day(days_ago)}/masked_calls.csv",
            # Reads the file, and so notices one that was edited by hand with its metadata copied.
            check_bytes=True,
        )
