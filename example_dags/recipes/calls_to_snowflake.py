"""Every night: yesterday's calls from S3 into Snowflake, one day in one transaction.

The file is copied into a staging table; only when that has as many rows as the export proved, the day is deleted and
inserted again, so a retry, a clear or a backfill leaves each call once.

**Install**: ``airflow-provider-callreport[parquet]`` and ``apache-airflow-providers-snowflake``. The connection
``snowflake_default`` names database and schema; ``reports_stage`` is an external stage of the bucket. The tables:

    CREATE TABLE calls_staged (time TIMESTAMP_NTZ, caller_number VARCHAR, campaign VARCHAR, agents VARCHAR,
        status VARCHAR, total_talk_duration DOUBLE, _unread VARCHAR);
    CREATE TABLE calls (day DATE, time TIMESTAMP_NTZ, caller_number VARCHAR, campaign VARCHAR, agents VARCHAR,
        status VARCHAR, total_talk_duration DOUBLE, _unread VARCHAR);

**Watch**: Snowflake leaves out a file that it has loaded before, and loads a changed one beside the old rows;
``TRUNCATE`` and ``FORCE`` settle both. Columns go by name: one that the table lacks is left out without a word, so a
column that you add to ``columns`` needs ``ALTER TABLE`` first. All runs use one staging table, hence
``max_active_runs=1``.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator, SQLValueCheckOperator
from airflow.providers.snowflake.transfers.copy_into_snowflake import CopyFromExternalStageToSnowflakeOperator

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"
KEY = f"snowflake/dt={DAY}/calls.parquet"

with DAG(
    dag_id="calls_to_snowflake",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):
    export = CallReportExportOperator(
        task_id="export",
        window_start=DAY,
        window_end=NEXT_DAY,
        columns=["Time", "Caller Number", "Campaign", "Agents", "Status", "Total Talk Duration"],
        column_names="snake_case",
        redact={"Caller Number": "last4"},
        file_format="parquet",
        s3_bucket="reports",
        s3_key=KEY,
    )
    empty = SQLExecuteQueryOperator(task_id="empty", conn_id="snowflake_default", sql="TRUNCATE TABLE calls_staged")
    stage = CopyFromExternalStageToSnowflakeOperator(
        task_id="stage",
        snowflake_conn_id="snowflake_default",
        table="calls_staged",
        stage="reports_stage",
        # The one argument that is a template: prefix and pattern are not.
        files=[KEY],
        file_format="(TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)",
        copy_options="MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE",
    )
    check = SQLValueCheckOperator(
        task_id="check",
        conn_id="snowflake_default",
        sql="SELECT count(*) FROM calls_staged",
        pass_value="{{ ti.xcom_pull(task_ids='export')['rows'] }}",
    )
    load = SQLExecuteQueryOperator(
        task_id="load",
        conn_id="snowflake_default",
        sql=[
            f"DELETE FROM calls WHERE day = '{DAY}'",
            f"INSERT INTO calls SELECT CAST('{DAY}' AS DATE), calls_staged.* FROM calls_staged",
        ],
        # One transaction for both.
        autocommit=False,
    )
    export >> empty >> stage >> check >> load
