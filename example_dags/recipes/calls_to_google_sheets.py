"""Every morning: yesterday's calls in a tab of a Google Sheet, which is emptied and written again.

The tab is read back, and the task is red when it has another number of calls than the file that was exported. A run of
an older day, as after a clear, leaves the tab alone: ``fill`` is skipped.

**Install**: ``apache-airflow-providers-google``. Share the sheet with the service account of ``google_cloud_default``,
whose scopes need ``https://www.googleapis.com/auth/spreadsheets``.

**Watch**: a sheet holds 10 million cells and is slow long before; Google takes 60 writes a minute and asks for 2 MB a
request at most. More than ``MAX_CALLS`` is red: send such a day as a file. ``RAW`` writes text as it is: no formula
runs, and ``+91...`` keeps its plus. Everybody with whom the sheet is shared sees the calls: redact.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task
from airflow.providers.google.suite.hooks.sheets import GSheetsHook

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

ZONE = "Asia/Kolkata"  # the account's zone, the one in the connection's field "timezone"
DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').subtract(days=1).date() }}}}"
NEXT_DAY = f"{{{{ data_interval_end.in_timezone('{ZONE}').date() }}}}"
SHEET = "the-id-in-the-address-of-the-sheet"
TAB = "Yesterday"
MAX_CALLS = 20_000
ROWS_A_REQUEST = 2_000

with DAG(
    dag_id="calls_to_google_sheets",
    schedule="0 7 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    # Two runs at a time would write into one tab.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["callreport"],
):
    export = CallReportExportOperator(
        task_id="export",
        window_start=DAY,
        window_end=NEXT_DAY,
        columns=["Time", "Caller Number", "Campaign", "Agents", "Status", "Total Talk Duration"],
        redact={"Caller Number": "last4"},
        file_format="jsonl",
        s3_bucket="reports",
        s3_key=f"sheets/dt={DAY}/calls.jsonl",
    )

    @task
    def fill(summary: Any, day: str) -> int:
        """Write the tab again, and count what is in it."""
        yesterday = str(pendulum.now(ZONE).subtract(days=1).date())
        if day != yesterday:
            raise AirflowSkipException(f"the run is of {day}, and the tab {TAB!r} is for {yesterday}")
        if summary["rows"] > MAX_CALLS:
            raise ValueError(f"the day has {summary['rows']} calls; {MAX_CALLS} are allowed in a sheet")
        (file,) = summary["files"]
        bucket, key = S3Hook.parse_s3_url(file["uri"])
        lines = S3Hook(aws_conn_id="aws_default").get_key(key, bucket).get()["Body"].iter_lines()
        columns = summary["columns"]
        rows = [
            columns,
            *(["" if call[name] is None else call[name] for name in columns] for call in map(json.loads, lines)),
        ]
        sheets = GSheetsHook(gcp_conn_id="google_cloud_default")
        sheets.clear(SHEET, TAB)
        for first in range(0, len(rows), ROWS_A_REQUEST):
            # append_values makes the tab longer where that is needed; update_values would refuse.
            sheets.append_values(SHEET, f"{TAB}!A1", rows[first : first + ROWS_A_REQUEST], value_input_option="RAW")
        found = len(sheets.get_values(SHEET, f"{TAB}!A:A")) - 1
        if found != summary["rows"]:
            raise RuntimeError(f"the tab has {found} calls, and the export wrote {summary['rows']}")
        return found

    fill(export.output, DAY)
