"""Every night: a file a day for yesterday and the two days before, one task each, and a manifest of all of them.

Calls are updated after they end (dispositions, recordings), and some come late, so the last days are read again. A day
that has not changed is not written again. The days are exported side by side on as many workers as there are. The
manifest is written last, if together they are the whole report. For a backfill, set another LOOKBACK for one run, or
start this Dag's runs in any order: each day has a key of its own, and the same calls give the same bytes.

It needs two connections: ``callreport_default`` (the account) and ``aws_default`` (the bucket).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.operators.manifest import CallReportManifestOperator
from airflow_provider_callreport.windows import windows

# Days begin at midnight in the account's zone, the one in the connection's field "timezone".
ZONE = "Asia/Kolkata"

# How many days before yesterday are read again.
LOOKBACK = 2

# A Dag that loads the files can wait for this asset. From Airflow 3.3 on each day that changed gets an event.
CALL_DAYS = Asset("call_days")

FIRST_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days={LOOKBACK + 1}).date() }}}}"
TODAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"


with DAG(
    dag_id="calls_by_day",
    description="The last days' calls to S3, a file a day, with a manifest",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    # A later run would write the same days at the same time.
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
    },
    tags=["callreport"],
):

    @task
    def days(data_interval_end: Any = None) -> list[dict[str, str]]:
        """The days, as arguments of the export."""
        today = data_interval_end.in_timezone(ZONE).date()
        return windows(
            today - timedelta(days=1),
            today,
            timezone=ZONE,
            lookback=LOOKBACK,
            # The layout that Athena, Glue and Spark read as partitions.
            s3_key="calls/dt={start:%Y-%m-%d}/calls.csv",
        )

    exports = CallReportExportOperator.partial(
        task_id="export",
        redact={"Caller Number": "last4"},
        file_format="csv",
        s3_bucket="reports",
        # The vendor limits the account, not a task. A pool limits all Dags together: docs/scale_out.md.
        max_active_tis_per_dag=4,
    ).expand_kwargs(days())

    CallReportManifestOperator(
        task_id="manifest",
        exports=exports.output,
        # The whole window: a day that is missing among the exports makes this task red.
        window_start=FIRST_DAY,
        window_end=TODAY,
        s3_bucket="reports",
        # One key: the event is for what differs from the manifest of the run before.
        s3_key="calls/manifest.json",
        outlets=[CALL_DAYS],
        partition_key="{start:%Y-%m-%d}",
    )
