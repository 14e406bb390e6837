"""Every night: yesterday's calls to Google Cloud Storage, and from there into one partition of a BigQuery table.

A load job replaces the partition as a whole or not at all, so a retry, a clear or a backfill leaves each call once;
then the partition's rows are compared with those that the export proved.

**Install**: ``airflow-provider-callreport[parquet]``, ``apache-airflow-providers-google`` and ``gcsfs``. No step goes
over S3: ``destination`` writes to Google's bucket.

**Watch**: the table is partitioned by ``_PARTITIONDATE``, which is the account's day here whatever the zone of the
project. ``source_objects`` names one file, never a prefix with ``*``: a forgotten file would be loaded with it. A new
column of the report needs ``schema_update_options=["ALLOW_FIELD_ADDITION"]`` or a fixed list in ``columns``.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.google.cloud.operators.bigquery import BigQueryValueCheckOperator
from airflow.providers.google.cloud.transfers.gcs_to_bigquery import GCSToBigQueryOperator

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"
PARTITION = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).strftime('%Y%m%d') }}}}"
KEY = f"bigquery/dt={DAY}/calls.parquet"
TABLE = "my-project.telephony.calls"

with DAG(
    dag_id="calls_to_bigquery",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
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
        destination=f"gs://reports/{KEY}",
        destination_conn_id="google_cloud_default",
    )
    load = GCSToBigQueryOperator(
        task_id="load",
        bucket="reports",
        source_objects=[KEY],
        destination_project_dataset_table=f"{TABLE}${PARTITION}",
        source_format="PARQUET",
        time_partitioning={"type": "DAY"},
        write_disposition="WRITE_TRUNCATE",
        gcp_conn_id="google_cloud_default",
    )
    check = BigQueryValueCheckOperator(
        task_id="check",
        sql=f"SELECT count(*) FROM `{TABLE}` WHERE _PARTITIONDATE = '{DAY}'",
        pass_value="{{ ti.xcom_pull(task_ids='export')['rows'] }}",
        use_legacy_sql=False,
        gcp_conn_id="google_cloud_default",
    )
    export >> load >> check
