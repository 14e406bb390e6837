"""Started by hand, with a year: a file for each month, and one manifest that proves that they are the whole year.

Each month is a task with retries of its own, two at a time; the manifest is written last, so whoever reads it reads a
year without a gap.

**Install**: ``airflow-provider-callreport[parquet]``.

**Watch**: a year that has not ended is refused, because the rest of it is still to come. Months that are done are not
written again when the run is cleared. The vendor limits the account, not a task: other Dags share that limit
(``docs/scale_out.md``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.operators.manifest import CallReportManifestOperator
from airflow_provider_callreport.windows import windows

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"

with DAG(
    dag_id="calls_of_a_year",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    params={"year": Param(2025, type="integer", minimum=2000, maximum=2100)},
    max_active_tasks=2,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):

    @task
    def months(params: Any = None) -> list[dict[str, str]]:
        """The months of the year, as arguments of the export."""
        year = params["year"]
        if pendulum.now(ZONE) < pendulum.datetime(year + 1, 1, 1, tz=ZONE):
            raise ValueError(f"year is {year}, which has not ended")
        return windows(
            f"{year}-01-01",
            f"{year + 1}-01-01",
            every="month",
            timezone=ZONE,
            s3_key="archive/year={start:%Y}/month={start:%m}/calls.parquet",
        )

    exports = CallReportExportOperator.partial(
        task_id="export",
        redact={"Caller Number": "last4"},
        file_format="parquet",
        column_names="snake_case",
        s3_bucket="reports",
    ).expand_kwargs(months())

    CallReportManifestOperator(
        task_id="manifest",
        exports=exports.output,
        window_start="{{ params.year }}-01-01",
        window_end="{{ params.year + 1 }}-01-01",
        s3_bucket="reports",
        s3_key="archive/year={{ params.year }}/manifest.json",
    )
