"""The Dag whose task is killed by `test_crash`. Every run exports the same day, to a key and a recipient of its own."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

with DAG("crash", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")), catchup=False) as crash:
    CallReportExportOperator(
        task_id="export",
        window_start="2026-03-13T00:00:00+05:30",
        window_end="2026-03-14T00:00:00+05:30",
        s3_bucket="reports",
        s3_key="airflow-{{ ds }}/calls",
        if_exists="fail",
        email_to="airflow-{{ ds }}@example.com",
        # What is tried again, and when, is the test's business.
        retries=0,
    )
