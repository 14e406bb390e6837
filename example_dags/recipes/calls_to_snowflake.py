"""Every night: yesterday's calls from S3 into Snowflake, one day in one transaction.

The file is copied into a staging table of that day; only when that has as many rows as the export proved, the day is
deleted and inserted again, so a retry, a clear or a backfill leaves each call once.

**Install**: ``airflow-provider-callreport[parquet]`` and ``apache-airflow-providers-snowflake``. The connection
``snowflake_default`` names database and schema; ``reports_stage`` is an external stage of the bucket. The table:

    CREATE TABLE calls (day DATE, time TIMESTAMP_NTZ, caller_number VARCHAR, campaign VARCHAR, agents VARCHAR,
        status VARCHAR, total_talk_duration DOUBLE, _unread VARCHAR);

**Watch**: Snowflake leaves out a file that it has loaded before, and loads a changed one beside the old rows; a new
staging table and ``FORCE`` settle both. Add a column to ``COLUMNS`` and, by ``ALTER TABLE``, to ``calls``, whose order
is free. Once ``drop`` has run, clear a day from ``export`` on, not ``load`` alone.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"
KEY = f"snowflake/dt={DAY}/calls.parquet"

# The report's columns, and what each is in the staging table: one list for both, so that their order is the same.
COLUMNS = {
    "Time": "time TIMESTAMP_NTZ",
    "Caller Number": "caller_number VARCHAR",
    "Campaign": "campaign VARCHAR",
    "Agents": "agents VARCHAR",
    "Status": "status VARCHAR",
    "Total Talk Duration": "total_talk_duration DOUBLE",
}
STAGED_COLUMNS = [*COLUMNS.values(), "_unread VARCHAR"]
NAMES = ", ".join(column.split()[0] for column in STAGED_COLUMNS)
STAGED = f"calls_staged_{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).strftime('%Y%m%d') }}}}"
ROWS = "{{ ti.xcom_pull(task_ids='export')['rows'] }}"

with DAG(
    dag_id="calls_to_snowflake",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    # Two runs of one day would share a staging table.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):
    export = CallReportExportOperator(
        task_id="export",
        window_start=DAY,
        window_end=NEXT_DAY,
        columns=list(COLUMNS),
        column_names="snake_case",
        redact={"Caller Number": "last4"},
        file_format="parquet",
        s3_bucket="reports",
        s3_key=KEY,
    )
    stage = SQLExecuteQueryOperator(
        task_id="stage",
        conn_id="snowflake_default",
        sql=[
            f"DROP TABLE IF EXISTS {STAGED}",
            f"CREATE TABLE {STAGED} ({', '.join(STAGED_COLUMNS)})",
            f"COPY INTO {STAGED} FROM @reports_stage FILES = ('{KEY}')"
            " FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
            " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE",
        ],
    )
    load = SQLExecuteQueryOperator(
        task_id="load",
        conn_id="snowflake_default",
        # One transaction. The cast is an error, with that text, when the count differs.
        sql=[
            f"SELECT CAST(CASE WHEN count(*) = {ROWS} THEN '1' ELSE '{STAGED} has not {ROWS} rows' END AS INTEGER)"
            f" FROM {STAGED}",
            f"DELETE FROM calls WHERE day = '{DAY}'",
            f"INSERT INTO calls (day, {NAMES}) SELECT CAST('{DAY}' AS DATE), {NAMES} FROM {STAGED}",
        ],
        autocommit=False,
    )
    drop = SQLExecuteQueryOperator(task_id="drop", conn_id="snowflake_default", sql=f"DROP TABLE IF EXISTS {STAGED}")
    export >> stage >> load >> drop
