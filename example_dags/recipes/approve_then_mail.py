"""On the first of each month: last month's calls as a PDF in S3, and by mail once somebody has approved that very file.

The mail's attachment is the object's own bytes, compared with the SHA-256 that was approved; an export of the same
window would read the API again, and calls change after they end.

**Install**: nothing; Airflow 3.1 or later (human-in-the-loop), and before 3.3 a running triggerer.

**Watch**: after seven days without an answer the task is red, and nothing is mailed; "Reject" skips the mail. Everybody
who may edit the Dag's runs can answer, unless ``assigned_users`` names them, and must be able to read the bucket. The
mail is sent by Airflow's ``SmtpHook``: unlike a mail of ``CallReportExportOperator``, it goes again when the task is
cleared.
"""

from __future__ import annotations

import hashlib
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, task
from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.providers.standard.operators.hitl import ApprovalOperator

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
MONTH = f"{{{{ data_interval_end.in_timezone('{ZONE}').start_of('month').subtract(months=1).date() }}}}"
NEXT_MONTH = f"{{{{ data_interval_end.in_timezone('{ZONE}').start_of('month').date() }}}}"

with DAG(
    dag_id="approve_then_mail",
    schedule="0 2 1 * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):
    export = CallReportExportOperator(
        task_id="export",
        window_start=MONTH,
        window_end=NEXT_MONTH,
        redact={"Caller Number": "last4"},
        file_format="pdf",
        s3_bucket="reports",
        s3_key=f"statements/calls_{MONTH}.pdf",
        if_exists="fail",
    )

    approve = ApprovalOperator(
        task_id="approve",
        subject=f"Mail the calls of {MONTH} to the auditor?",
        body="""
{% set export = ti.xcom_pull(task_ids="export") %}
- {{ export["rows"] }} calls, the API's own total is {{ export["reported_total"] }}
- {{ export["files"][0]["uri"] }}
- SHA-256 {{ export["files"][0]["sha256"] }}
""",
        response_timeout=timedelta(days=7),
        # A question that timed out is not asked again by a retry.
        retries=0,
    )

    @task
    def mail(summary: Any, month: str) -> None:
        """Mail the object that was approved."""
        (file,) = summary["files"]
        bucket, key = S3Hook.parse_s3_url(file["uri"])
        with tempfile.TemporaryDirectory() as folder, SmtpHook(smtp_conn_id="smtp_default") as smtp:
            path = Path(folder, Path(key).name)
            S3Hook(aws_conn_id="aws_default").get_key(key, bucket).download_file(str(path))
            if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                raise AirflowFailException(f"{file['uri']} is not the file that was approved")
            smtp.send_email_smtp(
                to=["auditor@example.com"],
                subject=f"Calls of {month}",
                html_content=f"<p>{summary['rows']} calls. SHA-256 of the file: {file['sha256']}</p>",
                files=[str(path)],
            )

    export >> approve >> mail(export.output, MONTH)
