"""Every night: yesterday's calls from S3 into Redshift, one day in one transaction.

The file is copied into a staging table; only when that has as many rows as the export proved, the day is deleted and
inserted again, so a retry, a clear or a backfill leaves each call once.

**Install**: ``airflow-provider-callreport[parquet]``. The connection ``redshift_default`` is the database. The tables:

    CREATE TABLE calls_staged (time TIMESTAMP, caller_number VARCHAR(64), campaign VARCHAR(256), agents VARCHAR(1024),
        status VARCHAR(64), total_talk_duration DOUBLE PRECISION, _unread VARCHAR(65535));
    CREATE TABLE calls (day DATE, LIKE calls_staged);

**Watch**: Redshift takes Parquet columns by position, and their number must agree: ``columns`` fixes both, and
``_unread`` is always last. Bucket and database must be in one region. With ``role_arn`` in the extra of ``aws_default``
Redshift reads with that role; without it, the worker's own keys are in the COPY statement. All runs use one staging
table, hence ``max_active_runs=1``. Times are the account's, without a zone.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.amazon.aws.transfers.s3_to_redshift import S3ToRedshiftOperator
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator, SQLValueCheckOperator

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"
KEY = f"redshift/dt={DAY}/calls.parquet"

with DAG(
    dag_id="calls_to_redshift",
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
    stage = S3ToRedshiftOperator(
        task_id="stage",
        table="calls_staged",
        s3_bucket="reports",
        s3_key=KEY,
        copy_options=["FORMAT AS PARQUET"],
        method="REPLACE",
        aws_conn_id="aws_default",
        redshift_conn_id="redshift_default",
    )
    check = SQLValueCheckOperator(
        task_id="check",
        conn_id="redshift_default",
        sql="SELECT count(*) FROM calls_staged",
        pass_value="{{ ti.xcom_pull(task_ids='export')['rows'] }}",
    )
    load = SQLExecuteQueryOperator(
        task_id="load",
        conn_id="redshift_default",
        sql=[
            f"DELETE FROM calls WHERE day = '{DAY}'",
            f"INSERT INTO calls SELECT CAST('{DAY}' AS DATE), calls_staged.* FROM calls_staged",
        ],
        # One transaction for both.
        autocommit=False,
    )
    export >> stage >> check >> load
