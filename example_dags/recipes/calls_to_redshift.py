"""Every night: yesterday's calls from S3 into Redshift, one day in one transaction.

The file is copied into a staging table of that day; only when that has as many rows as the export proved, the day is
deleted and inserted again, so a retry, a clear or a backfill leaves each call once.

**Install**: ``airflow-provider-callreport[parquet]``. The connection ``redshift_default`` is the database. The table:

    CREATE TABLE calls (day DATE, time TIMESTAMP, caller_number VARCHAR(64), campaign VARCHAR(256),
        agents VARCHAR(1024), status VARCHAR(64), total_talk_duration DOUBLE PRECISION, _unread VARCHAR(65535));

**Watch**: Redshift takes Parquet columns by position: add a column to ``COLUMNS`` and, by ``ALTER TABLE``, to
``calls``, whose order is free. Once ``drop`` has run, clear a day from ``export`` on, not ``load`` alone. Bucket and
database must be in one region. With ``role_arn`` in the extra of ``aws_default`` Redshift reads with that role; without
it, the worker's own keys are in the COPY statement. Times are the account's, without a zone.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.amazon.aws.transfers.s3_to_redshift import S3ToRedshiftOperator
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"
KEY = f"redshift/dt={DAY}/calls.parquet"

# The report's columns, and what each is in the staging table: one list for both, so that their order is the same.
COLUMNS = {
    "Time": "time TIMESTAMP",
    "Caller Number": "caller_number VARCHAR(64)",
    "Campaign": "campaign VARCHAR(256)",
    "Agents": "agents VARCHAR(1024)",
    "Status": "status VARCHAR(64)",
    "Total Talk Duration": "total_talk_duration DOUBLE PRECISION",
}
STAGED_COLUMNS = [*COLUMNS.values(), "_unread VARCHAR(65535)"]
NAMES = ", ".join(column.split()[0] for column in STAGED_COLUMNS)
STAGED = f"calls_staged_{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).strftime('%Y%m%d') }}}}"
ROWS = "{{ ti.xcom_pull(task_ids='export')['rows'] }}"

with DAG(
    dag_id="calls_to_redshift",
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
    create = SQLExecuteQueryOperator(
        task_id="create",
        conn_id="redshift_default",
        sql=[f"DROP TABLE IF EXISTS {STAGED}", f"CREATE TABLE {STAGED} ({', '.join(STAGED_COLUMNS)})"],
    )
    stage = S3ToRedshiftOperator(
        task_id="stage",
        table=STAGED,
        s3_bucket="reports",
        s3_key=KEY,
        copy_options=["FORMAT AS PARQUET"],
        method="REPLACE",
        aws_conn_id="aws_default",
        redshift_conn_id="redshift_default",
    )
    load = SQLExecuteQueryOperator(
        task_id="load",
        conn_id="redshift_default",
        # One transaction. The cast is an error, with that text, when the count differs.
        sql=[
            f"SELECT CAST(CASE WHEN count(*) = {ROWS} THEN '1' ELSE '{STAGED} has not {ROWS} rows' END AS INTEGER)"
            f" FROM {STAGED}",
            f"DELETE FROM calls WHERE day = '{DAY}'",
            f"INSERT INTO calls (day, {NAMES}) SELECT CAST('{DAY}' AS DATE), {NAMES} FROM {STAGED}",
        ],
        autocommit=False,
    )
    drop = SQLExecuteQueryOperator(task_id="drop", conn_id="redshift_default", sql=f"DROP TABLE IF EXISTS {STAGED}")
    export >> create >> stage >> load >> drop
