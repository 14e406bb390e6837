"""Every morning: yesterday's calls by status, as a message in Slack and in Microsoft Teams.

The figures are counted in the file that was delivered, and the message goes only when they add up to its rows; a report
that is not whole posts nothing, since the export is red.

**Install**: ``apache-airflow-providers-slack``. The connection ``slack_default`` (type Slack Incoming Webhook) has the
webhook's token as its password, ``teams_workflow`` (any type) the whole address that the Teams workflow "Post to a
channel when a webhook request is received" shows. Delete the half that you do not need.

**Watch**: a channel has many readers, so post counts, not names. A post whose answer is lost is tried again: a message
may come twice. The address of a workflow is a secret, since its signature is in it: no error may repeat it.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from html import escape
from typing import Any

import pendulum
import requests
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.common.compat.sdk import DAG, BaseHook, task
from airflow.providers.slack.operators.slack_webhook import SlackWebhookOperator

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"

with DAG(
    dag_id="figures_to_chat",
    schedule="0 7 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):
    export = CallReportExportOperator(
        task_id="export",
        window_start=DAY,
        window_end=NEXT_DAY,
        redact={"Caller Number": "last4"},
        file_format="jsonl",
        s3_bucket="reports",
        s3_key=f"chat/dt={DAY}/calls.jsonl",
    )

    @task
    def figures(summary: Any) -> dict[str, int]:
        """Calls by status."""
        (file,) = summary["files"]
        bucket, key = S3Hook.parse_s3_url(file["uri"])
        lines = S3Hook(aws_conn_id="aws_default").get_key(key, bucket).get()["Body"].iter_lines()
        found = Counter(json.loads(line)["Status"] or "(none)" for line in lines)
        if found.total() != summary["rows"]:
            raise RuntimeError(f"{file['uri']} has {found.total()} calls, and the export wrote {summary['rows']}")
        return dict(found.most_common())

    @task
    def message(counts: Any, day: str) -> str:
        """The text for Slack, which wants &, < and > escaped."""
        lines = [f"*Calls of {day}: {sum(counts.values()):,}*"]
        return "\n".join(lines + [f"{escape(status, quote=False)}: {calls:,}" for status, calls in counts.items()])

    @task
    def teams(counts: Any, day: str) -> None:
        """Post an Adaptive Card."""
        card = {
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                {"type": "TextBlock", "weight": "bolder", "text": f"Calls of {day}: {sum(counts.values()):,}"},
                {"type": "FactSet", "facts": [{"title": name, "value": f"{n:,}"} for name, n in counts.items()]},
            ],
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        address = BaseHook.get_connection("teams_workflow").password or ""
        try:
            answer = requests.post(address, json={"type": "message", "attachments": [attachment]}, timeout=30)
        except requests.RequestException as error:
            raise RuntimeError(f"Teams cannot be reached: {type(error).__name__}") from None
        if not answer.ok:
            raise RuntimeError(f"Teams answered {answer.status_code}")

    counted: Any = figures(export.output)
    text: Any = message(counted, DAY)
    SlackWebhookOperator(task_id="slack", slack_webhook_conn_id="slack_default", message=text)
    teams(counted, DAY)
