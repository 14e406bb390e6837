"""Every morning: yesterday's calls as an Excel file in the mail.

The mail shows the day's figures (calls by status, campaign, agent and hour); the workbook in it has the same on its
first sheet, with charts, and every call on the second.

It needs two connections: ``callreport_default`` (the account) and ``smtp_default`` (the mail server; its "From email"
is the sender).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone; see daily_masked_calls_to_s3.py for this and the next lines
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"

with DAG(
    dag_id="daily_calls_by_email",
    description="Yesterday's calls by mail, as Excel",
    schedule="0 7 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "retry_exponential_backoff": True},
    tags=["callreport"],
):
    CallReportExportOperator(
        task_id="calls_by_email",
        report="calls",
        window_start=DAY,
        window_end=NEXT_DAY,
        # Chosen columns, in this order. An object gives new names: {"the API's label": "name in the file"}.
        columns={
            "Time": "Time",
            "Caller Number": "Customer",
            "Campaign": "Campaign",
            "Agents": "Agent",
            "Status": "Outcome",
            "Total Talk Duration": "Talk time",
            "Call Duration": "Call time",
            "Details": "Remarks",
        },
        # Redaction goes by the API's label, so that a new name cannot switch it off.
        redact={"Caller Number": "last4"},
        file_format="xlsx",
        email_to=["sales.head@example.com"],
        email_cc="team.leads@example.com",
        # [[ ... ]] is filled in after the export, {{ ... }} by Airflow before it. See docs/mail.md.
        email_subject="Calls of [[ window ]]: [[ rows|count ]]",
        # A day without calls (a holiday) sends no mail, and the task is shown as skipped.
        empty="skip",
    )
