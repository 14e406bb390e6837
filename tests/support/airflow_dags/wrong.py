"""A Dag of wrong arguments that only show when they have been rendered: `test_operators_bad_input` runs it.

``WRONG`` is what the test compares with: task id -> (arguments, sentence of the task's error).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_callreport.operators.callreport import CallReportExportOperator

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "report": (
        {"report": "{{ 'call' }}"},
        "report is 'call' (did you mean 'calls'?); allowed are calls, masked_calls",
    ),
    "file_format": (
        {"file_format": "{{ 'xls' }}"},
        "file_format is 'xls' (did you mean 'xlsx'?); allowed are csv, xlsx",
    ),
    "if_exists": (
        {"if_exists": "{{ 'overwrite' }}"},
        "if_exists is 'overwrite'; allowed are replace, fail, skip",
    ),
    "empty": (
        {"empty": "{{ 'ignore' }}"},
        "empty is 'ignore'; allowed are write, skip, fail",
    ),
    "on_incomplete": (
        {"on_incomplete": "{{ 'ok' }}"},
        "on_incomplete is 'ok'; allowed are fail, warn",
    ),
    "window": (
        {"window_start": "{{ 'yesterday' }}"},
        "window_start is 'yesterday', which is no time; allowed is ISO 8601, such as 2026-01-31T00:00:00+05:30",
    ),
    "window_backwards": (
        {"window_start": "{{ data_interval_end }}", "window_end": "{{ data_interval_start }}"},
        "which is earlier; set a later window_end",
    ),
    "window_none": (
        {"window_end": "{{ none }}"},
        "set window_start and window_end",
    ),
    "bucket": (
        {"s3_bucket": "{{ 's3://reports' }}"},
        "s3_bucket is 's3://reports'; allowed is a bucket's name alone",
    ),
    "bucket_empty": (
        {"s3_bucket": "{{ '' }}"},
        "s3_bucket is ''; allowed is a bucket's name alone",
    ),
    "bucket_missing": (
        {"s3_bucket": "{{ 'nobodys' }}", "callreport_conn_id": "callreport_untouched"},
        "the bucket does not exist; create it or correct s3_bucket",
    ),
    "key_hole": (
        {"s3_key": "calls/{{ dag_run.conf.get('team') }}/calls.csv"},
        "s3_key is 'calls/None/calls.csv', in which a template gave None; give it a value, or write",
    ),
    "subject_hole": (
        {"email_to": "a@example.com", "email_subject": "Calls of {{ none }}: [[ rows ]]"},
        "email_subject is 'Calls of None: [[ rows ]]', in which a template gave None",
    ),
    "key_folder": (
        {"s3_key": "{{ 'calls/' }}"},
        "s3_key is 'calls/'; allowed is the key of an object, not of a folder ending in \"/\"",
    ),
    "destination": (
        {"s3_bucket": None, "s3_key": None, "destination": "{{ '/data/calls.csv' }}"},
        "destination is '/data/calls.csv'; allowed is an address that begins with a scheme in lower case, such as",
    ),
    "destination_connection": (
        {"s3_bucket": None, "s3_key": None, "destination": "gs://a/b", "destination_conn_id": "{{ '' }}"},
        "destination_conn_id is ''; allowed is the id of an Airflow connection, or None",
    ),
    "email_empty": (
        {"email_to": "{{ '' }}"},
        "email_to has ''; allowed are addresses",
    ),
    "email_header": (
        {"email_to": "{{ 'a@example.com\\nBcc: b@example.com' }}"},
        "it has a line break or another control character",
    ),
    "subject_header": (
        {"email_to": "a@example.com", "email_subject": "{{ 'Calls\\nBcc: b@example.com' }}"},
        "email_subject is 'Calls\\nBcc: b@example.com'; allowed is one line of text that is not empty, or None",
    ),
    "columns": (
        {"columns": ["{{ 'Time' }}", "Time"]},
        "columns names 'Time' twice; name each column once",
    ),
    "column_names": (
        {"column_names": "{{ 'camelCase' }}"},
        "column_names is 'camelCase' (did you mean 'snake_case'?); allowed are as_is, snake_case",
    ),
    "on_new_columns": (
        {"on_new_columns": "{{ 'drop' }}"},
        "on_new_columns is 'drop'; allowed are add, ignore, fail",
    ),
    "columns_unknown": (
        {"columns": ["{{ 'Tme' }}"]},
        "columns names 'Tme' (did you mean 'Time'?), which the report does not have; it has Caller Number,",
    ),
    "redact": (
        {"redact": {"Caller Number": "{{ 'mask' }}"}},
        "redact of 'Caller Number' is 'mask'; allowed are last4, drop, hmac",
    ),
    "redact_unknown": (
        {"redact": {"Caller": "{{ 'last4' }}"}},
        "redact names 'Caller' (did you mean 'Caller Number'?), which the report does not have; nothing was exported.",
    ),
    "redact_without_key": (
        {"redact": {"Caller Number": "{{ 'hmac' }}"}},
        "redact uses hmac, and the connection has no",
    ),
    "filters": (
        {"filters": {"dtGte": "{{ ds }}"}},
        "filters has dtGte, which belongs to the window; set window_start and window_end instead",
    ),
    "format_options": (
        {"format_options": {"delimiter": "{{ '::' }}"}},
        "format_options of file_format \"csv\": delimiter is '::'; allowed are ',', ';'",
    ),
    "group_by": (
        {"group_by": "{{ 'Campaigns' }}", "s3_key": "wrong/[[ group ]].csv"},
        "group_by names 'Campaigns' (did you mean 'Campaign'?), which is not a column of the file; it has",
    ),
    "group_by_without_place": (
        {"group_by": "{{ 'Campaign' }}"},
        "group_by is set and s3_key has no [[ group ]], so that all files would have one name; add it",
    ),
    "s3_extra_args": (
        {"s3_extra_args": "{{ 'ACL=private' }}"},
        "s3_extra_args is 'ACL=private'; allowed is an object of S3 arguments",
    ),
    "filename": (
        {"filename": "{{ ' ' }}"},
        "filename is ' '; allowed is one line of text that is not empty, or None",
    ),
    "report_title": (
        {"report_title": "{{ 'Calls\\nBcc: b@example.com' }}"},
        "report_title is 'Calls\\nBcc: b@example.com'; allowed is one line of text that is not empty, or None",
    ),
    "email_cc": (
        {"email_to": "a@example.com", "email_cc": "{{ 'A@example.com' }}"},
        "comes twice, in email_to and email_cc; each address may come once",
    ),
    "email_bcc": (
        {"email_to": "a@example.com", "email_bcc": ["{{ 'b' }}"]},
        "email_bcc has 'b'; allowed are addresses",
    ),
    "email_html": (
        {"email_to": "a@example.com", "email_html": "{{ ds }} [% if %]"},
        "email_html",
    ),
    "on_oversize": (
        {"email_to": "a@example.com", "on_oversize": "{{ 'split' }}"},
        "on_oversize is 'split'; allowed are link, fail",
    ),
    "on_refused": (
        {"email_to": "a@example.com", "on_refused": "{{ 'ignore' }}"},
        "on_refused is 'ignore'; allowed are fail, warn",
    ),
    "aws_connection": (
        {"aws_conn_id": "{{ '' }}"},
        "aws_conn_id is ''; allowed is the id of an Airflow connection, or None",
    ),
    "connection": (
        {"callreport_conn_id": "{{ 'nowhere' }}"},
        'Airflow connection "nowhere" does not exist; create it (Admin, Connections, type DeepCall Call Report), or '
        "correct callreport_conn_id",
    ),
    "attachment_password": (
        {"email_to": "a@example.com", "attachment_password_conn_id": "{{ 'nowhere' }}"},
        'Airflow connection "nowhere" does not exist; create it (Admin, Connections), or correct '
        "attachment_password_conn_id.",
    ),
    "smtp_connection": (
        {"email_to": "a@example.com", "smtp_conn_id": "{{ 'nowhere' }}"},
        'Airflow connection "nowhere" does not exist; create it (Admin, Connections, type SMTP), or correct '
        "smtp_conn_id.",
    ),
    "connection_fields": (
        {"callreport_conn_id": "callreport_both_secrets"},
        "the connection has both Token and Session id (ssid)",
    ),
}

with DAG(
    "wrong",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="Asia/Kolkata"),
    start_date=datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Kolkata")),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(0)},
) as wrong:
    for name, (arguments, _) in WRONG.items():
        CallReportExportOperator(task_id=name, **{"s3_bucket": "reports", "s3_key": f"wrong/{name}.csv", **arguments})
