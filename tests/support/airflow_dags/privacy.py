"""Dags that `test_privacy` runs: exports that succeed and fail in every way, of calls whose number may not leave.

The second Dag is the first one again, for a run without Airflow's secrets masker. The number to filter by and
an encryption key come from Airflow variables of the environment, so that this file does not hold them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

NUMBER = "{{ var.value.canary_number }}"
IN_BRACKETS = "{{ '+91 (' ~ var.value.canary_number[2:7] ~ ') ' ~ var.value.canary_number[7:] }}"


def export(task_id: str, **arguments: Any) -> None:
    """An export with the caller's number redacted, to S3 unless the arguments say otherwise."""
    usual = {"s3_bucket": "reports", "s3_key": f"{{{{ dag.dag_id }}}}/{task_id}", "redact": {"Caller Number": "last4"}}
    CallReportExportOperator(task_id=task_id, **{**usual, **arguments})


def privacy_dag(dag_id: str) -> DAG:
    """Every export once."""
    with DAG(
        dag_id,
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="Asia/Kolkata"),
        start_date=datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Kolkata")),
        catchup=False,
    ) as dag:
        # Success: every format, every mode, both destinations, both ways to sign in.
        for file_format in ("csv", "xlsx", "pdf", "jsonl"):
            export(
                f"last4_{file_format}",
                file_format=file_format,
                email_to="reader@example.com",
                filters={"cNum": NUMBER, "remark": f"asked for {NUMBER}", "any": [IN_BRACKETS]},
            )
        export("drop", redact={"Caller Number": "drop"}, callreport_conn_id="callreport_ssid")
        export("hmac", redact={"Caller Number": "hmac"}, filters={"cNum": [NUMBER]})
        export("not_chosen", columns=["Time", "Details", "Rec."])
        export("gzip", format_options={"gzip": True})
        key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "{{ var.value.canary_own }}"}
        export("own_key", s3_extra_args=key)
        # Failure: the API, which likes to repeat what it was sent.
        for account in ("refused", "repeats", "repeats_html", "repeats_later", "incomplete", "broken"):
            export(account, filters={"cNum": NUMBER}, callreport_conn_id=f"callreport_{account}")
        export("both_secrets", callreport_conn_id="callreport_both_secrets")
        export("missing_label", redact={"Caller Nmber": "last4", "Caller Number": "drop"}, filters={"cNum": NUMBER})
        # Failure: the destinations.
        export("no_bucket", s3_bucket="no-such-bucket")
        export("no_s3", aws_conn_id="aws_nowhere")
        export("refused_recipient", email_to="refused@example.com", smtp_conn_id="smtp_refusing")
        export("refused_mail", email_to="reader@example.com", smtp_conn_id="smtp_answering", file_format="xlsx")
        export("lost_mail", email_to="reader@example.com", smtp_conn_id="smtp_dropping")
        # Failure: a filter that cannot be sent.
        export("wrong_filter", filters={"cNum": {"{{ ds }}": NUMBER}})
    return dag


privacy = privacy_dag("privacy")
privacy_unmasked = privacy_dag("privacy_unmasked")
