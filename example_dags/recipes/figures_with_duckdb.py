"""Every morning: the calls and talk time of the last seven days by agent, by DuckDB over the Parquet files in S3.

The files are those of ``calls_by_hour``: the folders ``dt=`` are a column, so only seven days are read. The task is
red, and names the first file, when an hour of those days is missing.

**Install**: ``airflow-provider-callreport[parquet]`` and ``duckdb``.

**Watch**: the files are read by pyarrow, since DuckDB's own way to S3 is an extension (``httpfs``) that each worker
downloads from the internet at run time. Phone numbers are text in Parquet, and times are the account's, without a
zone: compare them with times of that zone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_callreport.windows import windows

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAYS = 7
FILES = "calls_by_hour/dt={start:%Y-%m-%d}/hour={start:%H}/calls.parquet"

FIGURES = """
    SELECT agents, count(*) AS calls, count(*) FILTER (WHERE status = 'Missed') AS missed,
           sum(total_talk_duration) AS talk_seconds
    FROM calls WHERE dt >= $first AND dt < $today
    GROUP BY agents ORDER BY calls DESC, agents LIMIT 20
"""

with DAG(
    dag_id="figures_with_duckdb",
    schedule="0 6 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):

    @task
    def figures(data_interval_end: Any = None) -> list[dict[str, Any]]:
        """The twenty agents with the most calls."""
        import duckdb
        import pyarrow as pa
        from pyarrow import dataset, fs

        today = data_interval_end.in_timezone(ZONE).date()
        first = today - timedelta(days=DAYS)
        s3 = S3Hook(aws_conn_id="aws_default")
        login = s3.get_credentials()
        calls = dataset.dataset(
            "reports/calls_by_hour/",
            filesystem=fs.S3FileSystem(
                access_key=login.access_key,
                secret_key=login.secret_key,
                session_token=login.token,
                region=s3.region_name,
                endpoint_override=s3.conn_config.endpoint_url,
            ),
            partitioning=dataset.partitioning(pa.schema([("dt", pa.string()), ("hour", pa.string())]), flavor="hive"),
        )
        hours = windows(first, today, every="hour", timezone=ZONE, s3_key=FILES)
        if missing := sorted({f"reports/{hour['s3_key']}" for hour in hours} - set(calls.files)):
            raise RuntimeError(f"{len(missing)} of {len(hours)} hours are missing, the first is s3://{missing[0]}")
        with duckdb.connect() as database:
            database.register("calls", calls)
            days = {"first": str(first), "today": str(today)}
            found = database.execute(FIGURES, days)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    figures()
