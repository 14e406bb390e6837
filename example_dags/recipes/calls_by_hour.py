"""Every hour: the last hour's calls as Parquet below ``dt=YYYY-MM-DD/hour=HH/``, the partitions that lakes read.

The two hours before are read again, because calls show up late: an hour that has not changed is not written again.

**Install**: ``airflow-provider-callreport[parquet]``.

**Watch**: the run waits until twenty minutes past, since a call may show up only when it has ended. A call that comes
more than two hours late is missing: raise ``LOOKBACK``, or let ``CallReportCheckOperator`` look at night
(``docs/recordings.md``). ``window_slack`` of the connection does not help here: it says how far outside its window a
call may lie before the answer is refused.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.windows import windows

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
LOOKBACK = 2  # hours that are read again

with DAG(
    dag_id="calls_by_hour",
    schedule="20 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    # A later run would write the same hours at the same time.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=2)},
    tags=["callreport"],
):

    @task
    def hours(data_interval_end: Any = None) -> list[dict[str, str]]:
        """The last hour that has ended, by the clock of the account, and those before it."""
        end = data_interval_end.in_timezone(ZONE).start_of("hour")
        return windows(
            end - timedelta(hours=1),
            end,
            every="hour",
            timezone=ZONE,
            lookback=LOOKBACK,
            s3_key="calls_by_hour/dt={start:%Y-%m-%d}/hour={start:%H}/calls.parquet",
        )

    CallReportExportOperator.partial(
        task_id="export",
        redact={"Caller Number": "last4"},
        file_format="parquet",
        column_names="snake_case",
        s3_bucket="reports",
        max_active_tis_per_dag=2,
    ).expand_kwargs(hours())
