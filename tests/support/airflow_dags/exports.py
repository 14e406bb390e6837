"""Dags that `test_operators_airflow` runs: one task for each promise of the operators.

Each Dag's data interval for the logical date of the test is the 13th of March 2026 in Kolkata.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import DAG, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_callreport.operators.callreport import CallReportExportOperator, MaskListToS3Operator

KOLKATA = "Asia/Kolkata"
START = datetime(2026, 3, 1, tzinfo=ZoneInfo(KOLKATA))
DAILY = CronDataIntervalTimetable("0 0 * * *", timezone=KOLKATA)
RETRIES: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(0)}


def fail_at_first_try(context: Any, result: Any = None) -> None:
    """What a worker that dies after the delivery, and before Airflow knows of it, looks like to Airflow."""
    if context["ti"].try_number == 1:
        raise RuntimeError("the worker died after the delivery")


with DAG(
    "exports", schedule=DAILY, start_date=START, catchup=False, default_args={**RETRIES, "s3_bucket": "reports"}
) as exports:
    # Formats and destinations.
    CallReportExportOperator(task_id="csv_to_s3", s3_key="csv/{{ ds }}.csv")
    CallReportExportOperator(task_id="xlsx_to_s3", s3_key="xlsx/calls.xlsx", file_format="xlsx")
    CallReportExportOperator(task_id="pdf_to_s3", s3_key="pdf/calls.pdf", file_format="pdf")
    MaskListToS3Operator(task_id="masked_to_s3", s3_bucket="reports", s3_key="masked/calls.csv")
    CallReportExportOperator(
        task_id="xlsx_by_mail",
        s3_bucket=None,
        file_format="xlsx",
        email_to=["Head of Sales <head@example.com>", "analyst@example.com"],
        email_cc="copy@example.com",
        email_bcc="hidden@example.com",
        email_subject="{{ task.task_id }}: [[ rows ]] calls",
    )
    CallReportExportOperator(
        task_id="pdf_to_both", s3_key="both/calls.pdf", file_format="pdf", email_to="both@example.com"
    )
    CallReportExportOperator(
        task_id="linked_by_mail",
        s3_key="linked/calls.csv",
        email_to="linked@example.com",
        max_attachment_bytes=100,
        link_expires_in=3600,
    )
    # Columns and redaction.
    CallReportExportOperator(
        task_id="columns_renamed",
        s3_key="columns/calls.csv",
        columns={"Status": "Outcome", "Caller Number": "Phone", "Call Duration": "Seconds"},
        redact={"Caller Number": "last4", "DID Number": "drop"},
        format_options={"delimiter": ";"},
        filters={"cNum": "{{ '9198' ~ '76501202' }}", "agent": ["Asha Rao"]},
        email_to="renamed@example.com",
    )
    CallReportExportOperator(task_id="grouped", s3_key="grouped/[[ group ]].csv", group_by="Status")
    # Files of the machine.
    CallReportExportOperator(
        task_id="to_a_file",
        s3_bucket=None,
        destination="file://{{ var.value.delivered }}/calls.csv",
        if_exists="fail",
        post_execute=fail_at_first_try,
    )
    CallReportExportOperator(
        task_id="to_files",
        s3_bucket=None,
        destination="file://{{ var.value.delivered }}/by status/[[ group ]].csv",
        group_by="Status",
        email_to="files@example.com",
    )
    # Empty reports.
    for policy in ("write", "skip", "fail"):
        CallReportExportOperator(
            task_id=f"empty_{policy}",
            s3_key=f"empty/{policy}.csv",
            empty=policy,
            callreport_conn_id="callreport_empty",
            retries=0,
        )
    # Keys that are taken.
    for if_exists in ("replace", "fail", "skip"):
        CallReportExportOperator(task_id=f"taken_{if_exists}", s3_key=f"taken/{if_exists}.csv", if_exists=if_exists)
    CallReportExportOperator(
        task_id="own_upload_again", s3_key="own/calls.csv", if_exists="fail", post_execute=fail_at_first_try
    )
    # Reports that are not whole.
    CallReportExportOperator(
        task_id="incomplete_fail",
        s3_key="incomplete/fail.csv",
        callreport_conn_id="callreport_incomplete",
        retries=0,
    )
    CallReportExportOperator(
        task_id="incomplete_warn",
        s3_key="incomplete/warn.csv",
        email_to="warned@example.com",
        on_incomplete="warn",
        callreport_conn_id="callreport_incomplete",
    )
    # Errors of the API.
    CallReportExportOperator(task_id="fatal", s3_key="fatal.csv", callreport_conn_id="callreport_fatal")
    CallReportExportOperator(task_id="transient", s3_key="transient.csv", callreport_conn_id="callreport_transient")
    # Mail, once.
    CallReportExportOperator(
        task_id="mailed_once", s3_bucket=None, email_to="once@example.com", post_execute=fail_at_first_try
    )
    # A mail that the server took or not; it never said.
    CallReportExportOperator(
        task_id="mail_in_doubt", s3_bucket=None, email_to="doubt@example.com", smtp_conn_id="smtp_dropping"
    )
    # A report that is as wide as none.
    CallReportExportOperator(task_id="wide", s3_key="wide.csv", callreport_conn_id="callreport_wide")

    # Arguments from other tasks.
    @task
    def wanted() -> dict[str, Any]:
        """What to export, decided by another task."""
        return {"columns": ["Time", "Status"], "to": ["given@example.com"], "report": "masked_calls"}

    choice: Any = wanted()
    CallReportExportOperator(
        task_id="from_xcom",
        s3_bucket=None,
        report=choice["report"],
        columns=choice["columns"],
        email_to=choice["to"],
    )
    CallReportExportOperator.partial(task_id="mapped", filters={"remark": "asked for +91 98765 01234"}).expand_kwargs(
        [
            {"s3_key": "mapped/calls.csv", "report": "calls"},
            {"s3_key": "mapped/masked.csv", "report": "masked_calls"},
            {"s3_key": "mapped/wrong.csv", "report": "call"},
        ]
    )

with DAG(
    "shared_defaults",
    schedule=DAILY,
    start_date=START,
    catchup=False,
    default_args={**RETRIES, "email_to": "everybody@example.com", "email_cc": "cc@example.com"},
) as shared_defaults:
    MaskListToS3Operator(task_id="masked_without_mail", s3_bucket="reports", s3_key="defaults/masked.csv")

with DAG(
    "by_hand", schedule=None, start_date=START, catchup=False, default_args={**RETRIES, "s3_bucket": "reports"}
) as by_hand:
    CallReportExportOperator(task_id="no_window", s3_key="by_hand/no_window.csv")
    MaskListToS3Operator.partial(task_id="no_window_mapped").expand(s3_key=["by_hand/mapped.csv"])
    CallReportExportOperator(
        task_id="with_window",
        s3_key="by_hand/with_window.csv",
        window_start="2026-03-13",
        window_end="{{ '2026-03-14T00:00:00+05:30' }}",
    )

with DAG("no_interval", schedule="@daily", start_date=START, catchup=False, default_args=RETRIES) as no_interval:
    CallReportExportOperator(task_id="empty_interval", s3_bucket="reports", s3_key="no_interval.csv")
