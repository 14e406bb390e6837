"""Every morning: a workbook for each agent, mailed to the agent's own manager and to nobody else.

Each address gets one mail, with the files and the figures of the agents that it is named for.

**Install**: nothing.

**Watch**: ``"*"`` is who gets the agents that are not named; without it, a new agent makes the task red before anything
is mailed. A call with two agents ("Asha Rao, Neha Kulkarni") is a group of its own. The names are the API's, letter by
letter (``docs/mail.md``).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"

with DAG(
    dag_id="calls_by_agent_mail",
    schedule="0 7 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):
    CallReportExportOperator(
        task_id="mails",
        window_start=DAY,
        window_end=NEXT_DAY,
        redact={"Caller Number": "last4"},
        group_by="Agents",
        file_format="xlsx",
        email_to={
            "Asha Rao": "head.north@example.com",
            "Vikram Singh": "head.north@example.com",
            "Priya Nair": ["head.south@example.com", "deputy.south@example.com"],
            "*": "head@example.com",
        },
        # A day without calls (a holiday) sends no mail, and the task is shown as skipped.
        empty="skip",
    )
