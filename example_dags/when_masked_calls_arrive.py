"""Whenever new masked calls arrive: the hour that they belong to, as a CSV file in S3. Airflow 3.0 and later.

There is no schedule by the clock. A trigger in the triggerer counts the calls of each hour, once a minute; when an hour
has more of them than before, this Dag runs and exports that hour again, to the same key. So the file of the present
hour grows while it lasts, and calls that show up late are in the file of the hour in which they were made.

It needs two connections: ``callreport_default`` (the account) and ``aws_default`` (the bucket).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum

from airflow_provider_callreport.operators.callreport import MaskListToS3Operator
from airflow_provider_callreport.triggers.events import CallReportEventTrigger, event_windows

try:
    from airflow.sdk import DAG, Asset, AssetWatcher, task
except ImportError:
    # Airflow 2 has no asset watchers: the file is read there, and has no Dag.
    WATCHERS = False
else:
    WATCHERS = True

# Hours begin when the clocks of this zone say so, the one in the connection's field "timezone".
ZONE = "Asia/Kolkata"

if WATCHERS:
    masked_calls = Asset(
        "masked_calls",
        watchers=[
            AssetWatcher(
                name="masked_calls_arrive",
                trigger=CallReportEventTrigger(
                    report="masked_calls",
                    window="hour",
                    # Calls that show up within six hours of the end of theirs are noticed.
                    lookback=timedelta(hours=6),
                    poll_interval=timedelta(minutes=1),
                ),
            )
        ],
    )

    with DAG(
        dag_id="when_masked_calls_arrive",
        description="Masked calls to S3 as they arrive, one CSV file an hour",
        schedule=masked_calls,
        start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
        catchup=False,
        # Two runs at a time could write the file of one hour in the wrong order.
        max_active_runs=1,
        default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
        tags=["callreport"],
    ):

        @task
        def hours(triggering_asset_events: Any = None) -> list[dict[str, str]]:
            """The hours that have new calls. A run of this Dag has no data interval: its events say what to export."""
            return [
                {
                    **window,
                    "s3_key": f"masked_calls/dt={window['window_start'][:10]}/{window['window_start'][11:13]}.csv",
                }
                for window in event_windows(triggering_asset_events)
            ]

        # An export for each of them. Started by hand, the Dag has no events, and this task is skipped.
        MaskListToS3Operator.partial(
            task_id="hour_to_s3",
            redact={
                "Caller Number": "last4",  # ********3210
                "Rec.": "drop",  # a recording's address holds a key to the recording
            },
            s3_bucket="reports",
            if_exists="replace",
        ).expand_kwargs(hours())
