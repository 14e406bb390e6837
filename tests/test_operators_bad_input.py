"""clear-sentence: each argument and connection field wrong in the ways people get them wrong, and the sentence they
read.

Written-out values are refused when the Dag is parsed (`WRITTEN`), values that templates give when they have been
rendered (`support/airflow_dags/wrong.py`), connection fields when the hook reads them (`FIELDS`), before any request.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator
from support.airflow_dags.wrong import WRONG
from support.operators import operators_run
from support.runs import AIRFLOW, AirflowRuns, Evidence

from airflow_provider_callreport.connection import CONNECTION_FIELDS, FURTHER_EXTRAS
from airflow_provider_callreport.hooks.callreport import CallReportHook
from airflow_provider_callreport.operators.callreport import CallReportExportOperator, MaskListToS3Operator
from airflow_provider_callreport.operators.check import CallReportCheckOperator
from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator
from airflow_provider_callreport.sensors.callreport import CallReportSensor

S3: dict[str, Any] = {"s3_bucket": "reports", "s3_key": "calls.csv"}
MAIL: dict[str, Any] = {"email_to": "head@example.com"}
NO_S3: dict[str, Any] = {"s3_bucket": None, "s3_key": None}

#: Arguments of an export to S3, and what the error says. One row for each mistake.
WRITTEN: list[tuple[dict[str, Any], str]] = [
    ({"report": "call"}, "report is 'call' (did you mean 'calls'?); allowed are calls, masked_calls"),
    ({"report": "Calls"}, "report is 'Calls' (did you mean 'calls'?); allowed are calls, masked_calls"),
    ({"report": None}, "report is None; allowed are calls, masked_calls"),
    ({"report": ["calls"]}, "report is ['calls']; allowed are calls, masked_calls"),
    ({"file_format": "excel"}, "file_format is 'excel'; allowed are csv, xlsx"),
    ({"file_format": ".csv"}, "file_format is '.csv' (did you mean 'csv'?); allowed are csv, xlsx"),
    ({"file_format": {"csv": 1}}, "file_format is {'csv': 1}; allowed are csv, xlsx"),
    ({"if_exists": "overwrite"}, "if_exists is 'overwrite'; allowed are replace, fail, skip"),
    ({"if_exists": True}, "if_exists is True; allowed are replace, fail, skip"),
    ({"empty": "ignore"}, "empty is 'ignore'; allowed are write, skip, fail"),
    ({"empty": False}, "empty is False; allowed are write, skip, fail"),
    ({"on_incomplete": "ignore"}, "on_incomplete is 'ignore'; allowed are fail, warn"),
    ({"on_oversize": "split"}, "on_oversize is 'split'; allowed are link, fail"),
    ({"on_refused": "ignore"}, "on_refused is 'ignore'; allowed are fail, warn"),
    ({"preflight": "yes"}, "preflight is 'yes'; allowed are True and False"),
    ({"on_refused": None}, "on_refused is None; allowed are fail, warn"),
    # The window.
    ({"window_start": "yesterday"}, "window_start is 'yesterday', which is no time; allowed is ISO 8601, such as"),
    ({"window_end": "14/03/2026"}, "window_end is '14/03/2026', which is no time; allowed is ISO 8601, such as"),
    ({"window_end": 1773340200}, "window_end is '1773340200', which is no time; allowed is ISO 8601, such as"),
    (
        {"window_start": None},
        "window_start is None; allowed is a time in ISO 8601, such as 2026-01-31T00:00:00+05:30, or",
    ),
    ({"window_end": "  "}, "window_end is '  '; allowed is a time in ISO 8601, such as"),
    (
        {"window_start": "2026-03-14", "window_end": "2026-03-13"},
        "window_start is 2026-03-14T00:00:00 and window_end is 2026-03-13T00:00:00, which is earlier; set a "
        "later window_end",
    ),
    (
        {"window_start": datetime(2026, 3, 14, tzinfo=UTC), "window_end": "2026-03-14T00:00:00Z"},
        "both ends are equal: window_start and window_end are 2026-03-14T00:00:00+00:00, an empty window; set a later",
    ),
    # Filters.
    (
        {"filters": "cNum=9876543210"},
        'filters is of type str; allowed is an object of text keys, such as {"cNum": "919876543210"}',
    ),
    (
        {"filters": ["agent"]},
        'filters is of type list; allowed is an object of text keys, such as {"cNum": "919876543210"}',
    ),
    (
        {"filters": {1: "x"}},
        'filters is of type dict; allowed is an object of text keys, such as {"cNum": "919876543210"}',
    ),
    ({"filters": {"dtLte": "2026-03-14"}}, "filters has dtLte, which belongs to the window; set window_start and"),
    ({"filters": {"cNum": 919876543210}}, "filters has cNum of type int; allowed is text, or a list of texts"),
    ({"filters": {"to": ["91987", 5]}}, "filters has to of type list; allowed is text, or a list of texts"),
    (
        {"filters": {"day": datetime(2026, 3, 13)}},
        "filters has day of type datetime, which JSON cannot hold; allowed are",
    ),
    (
        {"filters": {"agent": {"Asha"}}},
        "filters has agent of type set, which JSON cannot hold; allowed are text, numbers",
    ),
    ({"filters": {"dur": float("nan")}}, "filters has dur of type float, which JSON cannot hold; allowed are text"),
    # Columns and redaction.
    ({"column_names": "snake"}, "column_names is 'snake' (did you mean 'snake_case'?); allowed are as_is, snake_case"),
    ({"on_new_columns": "keep"}, "on_new_columns is 'keep'; allowed are add, ignore, fail"),
    ({"columns": "Time"}, "columns is of type str; allowed are a list of labels and an object of label to new"),
    ({"columns": 5}, "columns is of type int; allowed are a list of labels and an object of label to new"),
    ({"columns": []}, "columns is empty; leave it out for every column, or name at least one"),
    ({"columns": ["Time", "Time"]}, "columns names 'Time' twice; name each column once"),
    ({"columns": ["Time", ""]}, "columns has ''; allowed are labels and names that are not empty"),
    ({"columns": [1]}, "columns has 1; allowed are labels and names that are not empty"),
    ({"columns": {"Time": None}}, "columns has None; allowed are labels and names that are not empty"),
    (
        {"columns": {"Time": "When", "Status": "When"}},
        "columns gives the name 'When' twice; give each column a name of its own",
    ),
    (
        {"redact": "Caller Number"},
        'redact is of type str; allowed is an object of label to mode, such as {"Caller Number": "last4"}',
    ),
    ({"redact": ["Caller Number"]}, "redact is of type list; allowed is an object of label to mode"),
    ({"redact": {"Caller Number": "mask"}}, "redact of 'Caller Number' is 'mask'; allowed are last4, drop, hmac"),
    ({"redact": {"Caller Number": None}}, "redact of 'Caller Number' is None; allowed are last4, drop, hmac"),
    ({"redact": {"": "drop"}}, "redact has the label ''; allowed is text that is not empty"),
    # The file.
    ({"format_options": "delimiter=;"}, "format_options is 'delimiter=;'; allowed is an object of option to value"),
    (
        {"format_options": {"delimeter": ";"}},
        "file_format \"csv\" has no option 'delimeter' (did you mean 'delimiter'?); allowed are",
    ),
    (
        {"format_options": {"delimiter": "::"}},
        "of file_format \"csv\": delimiter is '::'; allowed are ',', ';'",
    ),
    ({"format_options": {"bom": "yes"}}, "file_format \"csv\": bom is 'yes'; allowed are True and False"),
    ({"filename": 5}, "filename is 5; allowed is one line of text that is not empty, or None"),
    ({"filename": ""}, "filename is ''; allowed is one line of text that is not empty, or None"),
    ({"filename": "calls\n.csv"}, "filename is 'calls\\n.csv'; allowed is one line of text that is not empty"),
    ({"report_title": " "}, "report_title is ' '; allowed is one line of text that is not empty, or None"),
    (
        {"report_title": "Calls\r\nBcc: x@example.com"},
        "report_title is 'Calls\\r\\nBcc: x@example.com'; allowed is one line",
    ),
    ({"group_by": ""}, "group_by is ''; allowed is one line of text that is not empty, or None"),
    ({"group_by": ["Campaign"]}, "group_by is ['Campaign']; allowed is one line of text that is not empty, or None"),
    ({"group_by": "Campaign"}, "group_by is set and s3_key has no [[ group ]], so that all files would have one name"),
    ({"s3_key": "[[ group ]].csv"}, "s3_key has [[ group ]] and group_by is not set; set group_by, or take it out"),
    (
        {"group_by": "Campaign", "s3_key": "[[ group ]].csv", "filename": "calls.csv"},
        "group_by is set and filename has no [[ group ]], so that all files would have one name; add it",
    ),
    ({"s3_key": "[[ grup ]].csv"}, "s3_key has [[ grup ]]; the one placeholder there is [[ group ]]"),
    (
        {"email_to": "a@b.example", "email_subject": "[[ row ]] calls"},
        "email_subject: a mail has no variable 'row' (did you mean 'rows'?); allowed are title, report, window, ",
    ),
    ({"concurrency": 0}, "concurrency is 0; allowed is a whole number from 1 to 16"),
    ({"concurrency": 17}, "concurrency is 17; allowed is a whole number from 1 to 16"),
    ({"concurrency": "4"}, "concurrency is '4'; allowed is a whole number from 1 to 16"),
    ({"concurrency": True}, "concurrency is True; allowed is a whole number from 1 to 16"),
    # S3.
    (
        {"s3_bucket": "s3://reports"},
        "s3_bucket is 's3://reports'; allowed is a bucket's name alone, without \"s3://\", slashes or spaces",
    ),
    ({"s3_bucket": "reports/calls"}, "s3_bucket is 'reports/calls'; allowed is a bucket's name alone"),
    ({"s3_bucket": ""}, "s3_bucket is ''; allowed is a bucket's name alone"),
    ({"s3_bucket": 5}, "s3_bucket is 5; allowed is a bucket's name alone"),
    ({"s3_key": "calls/"}, "s3_key is 'calls/'; allowed is the key of an object, not of a folder ending in \"/\""),
    ({"s3_key": "s3://reports/calls.csv"}, "'; allowed is a key inside the bucket, not an address"),
    ({"s3_key": ""}, "s3_key is ''; allowed is the key of an object"),
    ({"s3_key": "calls\x00.csv"}, "s3_key is 'calls\\x00.csv'; allowed is a key without control characters"),
    ({"s3_key": "k" * 1025}, "allowed is a key of 1024 bytes; this one has 1025"),
    ({"s3_bucket": None}, "s3_key is set and s3_bucket is not; set both"),
    ({"s3_key": None}, "s3_bucket is set and s3_key is not; set both"),
    ({"s3_bucket": "{{ var.value.bucket }}", "s3_key": None}, "s3_bucket is set and s3_key is not; set both"),
    ({"s3_extra_args": "ACL=private"}, "s3_extra_args is 'ACL=private'; allowed is an object of S3 arguments"),
    ({"s3_extra_args": {"KMSKey": "x"}}, "s3_extra_args has no argument 'KMSKey' (did you mean 'SSEKMSKeyId'?)"),
    (
        {"s3_extra_args": {"Metadata": {"rows": "1"}}},
        "Metadata in s3_extra_args has rows; the export sets these itself",
    ),
    ({"aws_conn_id": ""}, "aws_conn_id is ''; allowed is the id of an Airflow connection, or None"),
    ({"aws_conn_id": 5}, "aws_conn_id is 5; allowed is the id of an Airflow connection, or None"),
    ({"callreport_conn_id": None}, "callreport_conn_id is None; allowed is the id of an Airflow connection"),
    ({"callreport_conn_id": " "}, "callreport_conn_id is ' '; allowed is the id of an Airflow connection"),
    # Local files and other clouds.
    ({**NO_S3, "destination": ""}, "destination is ''; allowed is the address of a file, such as file:///data/calls"),
    ({**NO_S3, "destination": 5}, "destination is 5; allowed is the address of a file, such as"),
    ({**NO_S3, "destination": "gs://a/b\n"}, "destination is 'gs://a/b\\n'; allowed is an address without control"),
    ({**NO_S3, "destination": "/data/calls.csv"}, "is '/data/calls.csv'; allowed is an address that begins with a"),
    (
        {**NO_S3, "destination": "GS://a/b"},
        "destination is 'GS://a/b'; allowed is an address that begins with a scheme",
    ),
    ({**NO_S3, "destination": "https://x/a"}, "'; allowed is an address such as"),
    ({**NO_S3, "destination": "gs://a/b?c"}, "destination is 'gs://a/b?c'; allowed is an address without ? and #"),
    ({**NO_S3, "destination": "gs://a/b#1"}, "destination is 'gs://a/b#1'; allowed is an address without ? and #"),
    ({**NO_S3, "destination": "file://data/a"}, "; allowed is a local file with three slashes, as in file:///data/a"),
    ({**NO_S3, "destination": "file:///data/"}, '; allowed is the address of a file, not of a folder ending in "/"'),
    ({**NO_S3, "destination": "gs://bucket"}, '; allowed is the address of a file, not of a folder ending in "/"'),
    (
        {**NO_S3, "destination": "gs:///calls.csv"},
        "; allowed is an address with a bucket or container, as in gs://bucket",
    ),
    ({**NO_S3, "destination": "file:///data/../etc/a"}, "; allowed is an address without //, /./ and /../ in its path"),
    ({**NO_S3, "destination": "gs://a//b"}, "; allowed is an address without //, /./ and /../ in its path"),
    ({**NO_S3, "destination": "gs://me:word@a/b"}, "a user and a password before @; credentials belong to destination"),
    (
        {**NO_S3, "destination": "abfs://box@account.dfs.core.windows.net/a"},
        "; allowed is abfs://box/a; the account belongs to destination_conn_id",
    ),
    (
        {**NO_S3, "destination": "gs://[[ group ]]/a", "group_by": "Campaign"},
        "; allowed is an address with [[ group ]] in the path only",
    ),
    (
        {**NO_S3, "destination": "file:///data/a.csv", "group_by": "Campaign"},
        "group_by is set and destination has no [[ group ]], so that all files would have one name",
    ),
    ({**NO_S3, "destination": f"s3://reports/{'k' * 1025}"}, "allowed is a key of 1024 bytes; this one has 1025"),
    (
        {**NO_S3, "destination": "s3://two words/a"},
        "the bucket of destination is 'two words'; allowed is a bucket's name alone",
    ),
    (
        {**NO_S3, "destination": "sftp://host/a", "if_exists": "fail"},
        'destination begins with sftp://, where two writers could both win; allowed is "replace"',
    ),
    (
        {**NO_S3, "destination": "gs://a/b", "s3_extra_args": {"ACL": "private"}},
        "s3_extra_args is set and destination begins with gs://; it is for S3 only",
    ),
    ({**NO_S3, "destination_conn_id": ""}, "destination_conn_id is ''; allowed is the id of an Airflow connection, or"),
    ({"destination_conn_id": "google"}, "destination_conn_id is set and destination is not; set destination"),
    (
        {**NO_S3, "destination": "gs://one@a/b", "destination_conn_id": "two"},
        "destination names the connection 'one' and destination_conn_id is 'two'; name one",
    ),
    (
        {**NO_S3, "destination": "file:///data/a.csv", "destination_conn_id": "disk"},
        "destination_conn_id is 'disk' and destination is a local file, which needs none",
    ),
    # Destinations together.
    ({"destination": "file:///data/a.csv"}, "destination is set, and s3_bucket or s3_key too; choose one of the two"),
    (
        {**NO_S3, **MAIL, "destination": "file:///data/a.csv", "on_oversize": "link"},
        'on_oversize is "link" and destination is a local file, which a mail cannot link to; set on_oversize="fail"',
    ),
    (
        {**NO_S3, **MAIL, "destination": "gs://a/b", "link_expires_in": 60},
        "link_expires_in is 60 and destination begins with gs://; links that work for a time are made for S3 only",
    ),
    (NO_S3, "there is no destination; set s3_bucket and s3_key, or destination, or email_to"),
    ({**NO_S3, "email_cc": "a@example.com"}, "email_cc or email_bcc is set and email_to is not; set email_to"),
    ({"email_bcc": ["a@example.com"]}, "email_cc or email_bcc is set and email_to is not; set email_to"),
    (
        {**NO_S3, **MAIL, "on_oversize": "link"},
        'on_oversize is "link" and there is no S3 object to link to; set s3_bucket and s3_key, or on_oversize="fail"',
    ),
    # Mail.
    ({"email_to": ""}, "email_to has ''; allowed are addresses such as asha@example.com or Asha Rao <asha"),
    ({"email_to": []}, "email_to has no address; allowed are one or more"),
    ({"email_to": 5}, "; allowed are addresses such as asha@example.com"),
    (
        {"email_to": "head"},
        "email_to has 'head'; allowed are addresses such as asha@example.com or Asha Rao <asha",
    ),
    ({"email_to": ["a@example.com", None]}, "; allowed are addresses such as asha@example.com"),
    ({"email_to": "a@example.com\nBcc: b@example.com"}, "it has a line break or another control character"),
    ({**MAIL, "email_cc": "copy"}, "email_cc has 'copy'; allowed are addresses such as"),
    ({**MAIL, "email_bcc": "a@b@c"}, "email_bcc has 'a@b@c'; allowed are addresses such as"),
    ({**MAIL, "email_cc": "HEAD@example.com"}, "comes twice, in email_to and email_cc; each address may come once"),
    ({**MAIL, "email_subject": ""}, "email_subject is ''; allowed is one line of text that is not empty, or None"),
    (
        {**MAIL, "email_subject": "a\nBcc: b@example.com"},
        "email_subject is 'a\\nBcc: b@example.com'; allowed is one line",
    ),
    ({**MAIL, "email_subject": "[[ rows"}, "email_subject"),
    ({**MAIL, "email_html": "[% if %]"}, "email_html"),
    ({**MAIL, "email_html": 5}, "email_html is 5; allowed is text that is not empty, or None"),
    ({**MAIL, "smtp_conn_id": ""}, "smtp_conn_id is ''; allowed is the id of an Airflow connection"),
    ({**MAIL, "max_attachment_bytes": 0}, "max_attachment_bytes is 0; allowed is a whole number of at least 1"),
    (
        {**MAIL, "max_attachment_bytes": "15MB"},
        "max_attachment_bytes is '15MB'; allowed is a whole number of at least 1",
    ),
    (
        {**MAIL, "max_attachment_bytes": 1e6},
        "max_attachment_bytes is 1000000.0; allowed is a whole number of at least 1",
    ),
    ({**MAIL, "max_attachment_bytes": None}, "max_attachment_bytes is None; allowed is a whole number of at least 1"),
    ({**MAIL, "link_expires_in": 0}, "link_expires_in is 0; allowed are seconds from 1 to 604800 (seven days)"),
    ({**MAIL, "link_expires_in": 604_801}, "link_expires_in is 604801; allowed are seconds from 1 to 604800"),
    ({**MAIL, "link_expires_in": timedelta(days=1)}, "allowed are seconds from 1 to 604800 (seven days)"),
    ({**MAIL, "link_expires_in": "1 day"}, "link_expires_in is '1 day'; allowed are seconds from 1 to 604800"),
    (
        {**MAIL, "attachment_password_conn_id": " "},
        "attachment_password_conn_id is ' '; allowed is the id of an Airflow connection, or None",
    ),
    ({**MAIL, "resend_if_unsure": "no"}, "resend_if_unsure is 'no'; allowed are True and False"),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRITTEN, ids=lambda value: str(value)[:50])
def test_written_value_is_refused_when_the_dag_is_parsed(arguments: Mapping[str, Any], sentence: str) -> None:
    """The constructor raises `ValueError`; the sentence names the argument, what it was and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        CallReportExportOperator(task_id="export", **{**S3, **arguments})
    assert "\n" not in str(caught.value)
    assert "me:word" not in str(caught.value)


def test_every_argument_has_been_got_wrong() -> None:
    """The table above misses no argument of the constructor."""
    tried = {name for arguments, _ in WRITTEN for name in arguments}
    assert tried == set(inspect.signature(CallReportExportOperator).parameters) - {"kwargs"}


def test_every_template_field_has_been_got_wrong() -> None:
    """The Dag of wrong templates misses no template field."""
    tried = {name for arguments, _ in WRONG.values() for name in arguments}
    assert tried == set(CallReportExportOperator.template_fields)


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return operators_run(airflow_runs)


@pytest.mark.parametrize("task_id", WRONG)
def test_rendered_value_is_refused_when_the_task_runs(run: Evidence, task_id: str) -> None:
    """In Airflow: the same sentences after rendering, one try although there are two retries, nothing delivered."""
    task = run.task("wrong", task_id)
    assert (task.state, task.tries) == ("failed", 1)
    assert WRONG[task_id][1] in task.log
    assert f"wrong/{task_id}.csv" not in run.objects


def test_wrong_input_makes_no_request(run: Evidence) -> None:
    """Only what the API must answer first, its labels, costs a request."""
    asked_first = {"columns_unknown", "redact_unknown"}
    assert asked_first < set(WRONG)
    assert run.requests["callreport_both_secrets"] == []
    assert run.requests["callreport_untouched"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"report": "{{ var.value.report }}"},
        {"file_format": "{% if true %}xls{% endif %}"},
        {"s3_bucket": "{{ '' }}"},
        {"email_to": ["{{ var.value.head }}", "not an address yet"]},
        {"columns": ["{{ var.value.column }}", ""]},
        {"columns": {"Time": "{{ var.value.name }}", "Status": "{{ var.value.name }}"}},
        {"redact": {"Caller Number": "{{ var.value.mode }}"}},
        {"window_start": "{{ macros.ds_add(ds, -7) }}", "window_end": "2026-03-14"},
        {"filters": {"cNum": "{{ var.value.number }}"}},
        {"format_options": {"delimiter": "{{ var.value.delimiter }}"}},
        {"s3_key": "{{ ds }}/"},
        {"callreport_conn_id": "{{ var.value.account }}"},
        {"email_html": lambda context, jinja_env: "<p>made at run time</p>", **MAIL},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_template_is_not_judged_before_it_is_rendered(arguments: Mapping[str, Any]) -> None:
    """What may become right is let through when the Dag is parsed."""
    CallReportExportOperator(task_id="export", **{**S3, **arguments})


def test_other_tasks_result_is_not_judged_before_it_is_there() -> None:
    """XComArgs stand for any argument, also inside lists and objects."""
    with DAG("given", schedule=None):
        given: Any = BaseOperator(task_id="given").output
        CallReportExportOperator(
            task_id="export",
            report=given,
            columns=given,
            filters={"cNum": given},
            email_to=[given, "head@example.com"],
            window_start=given,
            **S3,
        )
        CallReportExportOperator(task_id="mail", email_to=given)


def test_mapped_arguments_are_not_judged_before_they_are_there() -> None:
    """``partial().expand()`` of either operator parses, with and without the missing half of a destination."""
    with DAG("mapped", schedule=None):
        CallReportExportOperator.partial(task_id="export", s3_bucket="reports").expand(s3_key=["a.csv", "b.csv"])
        MaskListToS3Operator.partial(task_id="mask", s3_bucket="reports").expand_kwargs([{"s3_key": "a.csv"}])


def test_default_args_are_judged() -> None:
    """A Dag's ``default_args`` are arguments like any other."""
    with (
        DAG("defaults", schedule=None, default_args={"file_format": "xls"}),
        pytest.raises(ValueError, match=r"file_format is 'xls' .did you mean 'xlsx'\?.; allowed are csv, xlsx"),
    ):
        CallReportExportOperator(task_id="export", **S3)
    with DAG("defaults", schedule=None, default_args={"file_format": "xlsx", "empty": "skip", **S3}):
        task = CallReportExportOperator(task_id="export")
    assert (task.file_format, task.empty, task.s3_bucket) == ("xlsx", "skip", "reports")


@pytest.mark.parametrize(
    "name",
    [
        "report",
        "destination",
        "email_to",
        "email_cc",
        "email_subject",
        "smtp_conn_id",
        "on_oversize",
        "link_expires_in",
    ],
)
def test_mask_list_operator_refuses_report_and_mail(name: str) -> None:
    """`MaskListToS3Operator` names the argument that it does not take and the operator that does."""
    with pytest.raises(ValueError, match=f"MaskListToS3Operator has no argument '{name}'; use CallReport"):
        MaskListToS3Operator(task_id="mask", **{**S3, name: "x"})


def test_mask_list_operator_ignores_recipients_of_default_args() -> None:
    """Recipients that a Dag gives to all of its tasks do not reach it."""
    with DAG("defaults", schedule=None, default_args={"email_to": "a@example.com", "email_bcc": "b@example.com"}):
        task = MaskListToS3Operator(task_id="mask", **S3)
    assert (task.email_to, task.email_bcc, task.report) == (None, None, "masked_calls")


@pytest.mark.parametrize("value", ["xls", "", None])
def test_mask_list_operator_judges_the_rest(value: Any) -> None:
    """All other arguments are checked as those of the export operator."""
    with pytest.raises(ValueError, match=r"file_format is .*; allowed are csv, xlsx"):
        MaskListToS3Operator(task_id="mask", **{**S3, "file_format": value})


RIGHT = {"conn_type": "callreport", "login": "user-1", "password": "some-token-1"}

#: Fields of a connection, and what the hook says of them. ``extra`` is what the extra field is as a whole.
FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"host": "ftp://example.com"}, "Host begins with ftp://; allowed are https:// and, for this machine, http://"),
    ({"host": "http://example.com"}, "Host is http://example.com, and the token would travel in clear text; use https"),
    ({"host": "https://user:secret@example.com"}, "Host holds credentials before an @; write them into User id"),
    ({"host": "https://"}, "which is no host and no URL; write a host such as v4-api.deepcall.com"),
    ({"host": "two words"}, "which is no host and no URL; write a host such as v4-api.deepcall.com"),
    ({"host": "https://example.com/api?x=1"}, "Host has a query or a fragment; write only scheme, host, port and path"),
    ({"host": "https://example.com:99999"}, "which is no host and no URL; write a host such as v4-api.deepcall.com"),
    ({"host": "https://example.com:8443", "port": 443}, "Host names port 8443 and Port is 443; clear one of them"),
    ({"login": None}, "the connection has Token and no User id; set User id to the account's userId"),
    ({"password": None}, "the connection has User id and no Token; set Token to"),
    (
        {"login": None, "password": None},
        "the connection has no credentials; set User id and Token, or",
    ),
    ({"extra": "timezone: UTC"}, "Extra of the connection is no JSON object; write one such as"),
    ({"extra": "[1]"}, "Extra of the connection is no JSON object; write one such as"),
    (
        {"extra": {"ssid": "some-session-1"}},
        "the connection has both Token and Session id (ssid), and the API allows one",
    ),
    ({"extra": {"ssid": 5}}, "extra field ssid is of type int; allowed is text"),
    ({"extra": {"timezone": "IST"}}, "extra field timezone is 'IST'; allowed is an IANA time zone, such as"),
    ({"extra": {"timezone": "+05:30"}}, "extra field timezone is '+05:30'; allowed is an IANA time zone"),
    ({"extra": {"timezone": 5}}, "extra field timezone is of type int; allowed is text"),
    ({"extra": {"page_size": 0}}, "extra field page_size is 0; allowed is a whole number of at least 1"),
    ({"extra": {"page_size": "many"}}, "extra field page_size is 'many'; allowed is a whole number of at least 1"),
    ({"extra": {"page_size": 1.5}}, "extra field page_size is 1.5; allowed is a whole number of at least 1"),
    ({"extra": {"page_size": True}}, "extra field page_size is True; allowed is a whole number of at least 1"),
    ({"extra": {"timeout": -1}}, "extra field timeout is -1; allowed is a number of at least 0.001"),
    ({"extra": {"timeout": "10s"}}, "extra field timeout is '10s'; allowed is a number of at least 0.001"),
    ({"extra": {"deadline": 0}}, "extra field deadline is 0; allowed is a number of at least 0.001"),
    ({"extra": {"max_retry_time": -5}}, "extra field max_retry_time is -5; allowed is a number of at least 0"),
    (
        {"extra": {"requests_per_second": 0}},
        "extra field requests_per_second is 0; allowed is a number of at least 0.001",
    ),
    (
        {"extra": {"verify": "/no/such/bundle"}},
        "extra field verify is '/no/such/bundle'; allowed are true, false, or the",
    ),
    ({"extra": {"allow_http": "maybe"}}, "extra field allow_http is 'maybe'; allowed are true and false"),
    ({"extra": {"hmac_secret": "short"}}, "extra field hmac_secret has 5 characters; allowed are 16 or more"),
    (
        {"extra": {"max_response_bytes": 10}},
        "extra field max_response_bytes is 10; allowed is a whole number of at least",
    ),
    ({"extra": {"endpoints": "masklist"}}, "extra field endpoints is of type str; allowed is an object of names"),
    ({"extra": {"cursor_page": "one"}}, "extra field cursor_page is 'one'; allowed are zero, count"),
    ({"extra": {"use_cursor": "perhaps"}}, "extra field use_cursor is 'perhaps'; allowed are true and false"),
    ({"extra": {"profile": 5}}, "extra field profile is of type int; allowed is the object that `callreport probe`"),
    ({"extra": {"window_slack": "long"}}, "extra field window_slack is 'long'; allowed is a number of at least 0, or"),
    (
        {"extra": {"empty_answer": "none"}},
        "extra field empty_answer is of type str; allowed is an object of keys and values",
    ),
    ({"extra": {"use_report_count": 2}}, "extra field use_report_count is 2; allowed are true and false"),
]


@pytest.mark.parametrize(("fields", "sentence"), FIELDS, ids=lambda value: str(value)[:50])
def test_wrong_connection_field_is_named(
    monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, Any], sentence: str
) -> None:
    """The hook raises `ValueError` before any request; the sentence is one line and has no secret in it."""
    if (3, 0) <= AIRFLOW < (3, 2) and isinstance(fields.get("extra"), str):
        pytest.skip("Airflow 3.0 and 3.1 take a connection with such an extra for none at all")
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", json.dumps({**RIGHT, **fields}))
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        CallReportHook().get_conn()
    text = str(caught.value)
    assert "\n" not in text
    assert not any(secret in text for secret in ("some-token-1", "some-session-1", ":secret@"))


def test_every_connection_field_has_been_got_wrong() -> None:
    """The table above misses no extra field."""
    tried = {
        name for fields, _ in FIELDS for name in (fields["extra"] if isinstance(fields.get("extra"), dict) else ())
    }
    assert tried == {field.name for field in CONNECTION_FIELDS} | set(FURTHER_EXTRAS)


@pytest.mark.usefixtures("connection_table")
def test_missing_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection id that Airflow does not know gives a sentence, not a traceback's last line."""
    monkeypatch.delenv("AIRFLOW_CONN_NOWHERE", raising=False)
    with pytest.raises(ValueError, match=r'"nowhere" does not exist; create it .*type DeepCall'):
        CallReportHook("nowhere").get_conn()


def test_unknown_client_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting given to the hook must be one that there is."""
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", json.dumps(RIGHT))
    with pytest.raises(
        ValueError, match=r"unknown client setting 'pagesize' \(did you mean 'page_size'\?\); allowed are"
    ):
        CallReportHook(pagesize=5).get_conn()


@pytest.mark.parametrize(
    "operator",
    [
        CallReportExportOperator,
        MaskListToS3Operator,
        CallReportCheckOperator,
        CallRecordingsToS3Operator,
        CallReportSensor,
    ],
)
def test_every_operator_can_be_mapped(operator: Any) -> None:
    """A class without a constructor of its own would give its mapped tasks None for inlets, and they would fail."""
    with DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        mapped: Any = operator.partial(task_id="mapped").expand(callreport_conn_id=["one", "two"])
    assert not [name for name in ("inlets", "outlets") if mapped.partial_kwargs.get(name, []) is None]
