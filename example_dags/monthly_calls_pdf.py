"""On the first of each month: last month's calls as a PDF, kept in S3 and sent by mail.

An auditor gets one document with a summary page and every call. If it is too large for a mail, the mail goes without
it and holds a link to the object in S3.

It needs three connections: ``callreport_default`` (the account), ``aws_default`` (the bucket) and ``smtp_default`` (the
mail server).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone; see daily_masked_calls_to_s3.py

# The first days of last month and of this month, and last month without a day.
MONTH = f"{{{{ data_interval_end.in_timezone('{ZONE}').start_of('month').subtract(months=1).date() }}}}"
NEXT_MONTH = f"{{{{ data_interval_end.in_timezone('{ZONE}').start_of('month').date() }}}}"
MONTH_NAME = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(months=1).strftime('%Y-%m') }}}}"

with DAG(
    dag_id="monthly_calls_pdf",
    description="Last month's calls to S3 and by mail, as PDF",
    schedule="0 2 1 * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10), "retry_exponential_backoff": True},
    tags=["callreport"],
):
    CallReportExportOperator(
        task_id="calls_pdf",
        report="calls",
        report_title="Calls, monthly statement",
        window_start=MONTH,
        window_end=NEXT_MONTH,
        columns=[
            "Time",
            "Caller Number",
            "DID Number",
            "Campaign",
            "Agents",
            "Status",
            "Call Duration",
            "Total Talk Duration",
            "Amount",
        ],
        redact={"Caller Number": "last4"},
        file_format="pdf",
        s3_bucket="reports",
        s3_key=f"statements/calls_{MONTH_NAME}.pdf",
        # An audited file is written once. A retry of the same run keeps it; a file of another run is an error.
        if_exists="fail",
        email_to=["auditor@example.com"],
        # Used when the mail would be larger than max_attachment_bytes (15 MB): it then holds a link that works for
        # seven days, the longest that S3 allows. Whoever has the link can read the file.
        on_oversize="link",
        link_expires_in=7 * 24 * 3600,
    )
