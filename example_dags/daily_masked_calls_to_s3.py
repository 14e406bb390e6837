"""Every night: yesterday's calls of the masked-number campaigns, as a CSV file in S3.

One file per day under ``masked_calls/dt=YYYY-MM-DD/``, the layout that Athena, Glue and Spark read as partitions. No
full phone number of a customer is in it.

It needs two connections: ``callreport_default`` (the account) and ``aws_default`` (the bucket).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_callreport.operators.callreport import MaskListToS3Operator

# Days begin at midnight in the account's zone, the one in the connection's field "timezone".
ZONE = "Asia/Kolkata"

# The day before the run, as two dates. Airflow computes in UTC, so {{ ds }} can be a day off: it is not used here.
# The window is half open: it begins with the first instant of DAY and ends before the first instant of NEXT_DAY.
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"

with DAG(
    dag_id="daily_masked_calls_to_s3",
    description="Yesterday's masked calls to S3, as CSV",
    # 01:00, not midnight: a call that began at 23:59 shows up in the API only when it has ended.
    # The schedule is read in the zone of start_date.
    schedule="0 1 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    # Without this, the first run would be followed by one for each day since start_date. To fill the past on
    # purpose, start a backfill: each day is written to its own key, in any order.
    catchup=False,
    default_args={
        # Only errors that may pass are tried again. A wrong token fails the task at once, whatever these lines say.
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
    },
    tags=["callreport"],
):
    MaskListToS3Operator(
        task_id="masked_calls_to_s3",
        window_start=DAY,
        window_end=NEXT_DAY,
        redact={
            "Caller Number": "last4",  # ********3210
            "Rec.": "drop",  # a recording's address holds a key to the recording
        },
        file_format="csv",
        s3_bucket="reports",
        s3_key=f"masked_calls/dt={DAY}/masked_calls.csv",
        # A run that is cleared, or started again by a backfill, writes the same key again: one object per day.
        if_exists="replace",
    )
