"""Every argument of the operators, the sensor and the event trigger, in the order of the signatures.

`rules` has the types of closed sets, and the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_provider_callreport.api.table import check_choice
from airflow_provider_callreport.delivery.s3 import check_bucket, check_extra_args
from airflow_provider_callreport.delivery.s3 import check_key as check_s3_key
from airflow_provider_callreport.export.redaction import check_redact
from airflow_provider_callreport.recordings.keys import check_key
from airflow_provider_callreport.rules import (
    BOOLEAN,
    CONNECTION_ID,
    LINE,
    TEXT,
    ColumnNames,
    CountBy,
    Empty,
    FileFormat,
    IfExists,
    ManifestFormat,
    ManifestIfExists,
    OnIncomplete,
    OnNewColumns,
    OnOversize,
    OnRefused,
    RecordingIfExists,
    Report,
    WindowSize,
    choices,
    mapping,
    one_of,
    optional,
    seconds,
    whole_number,
)
from airflow_provider_callreport.task.arguments.argument import REQUIRED, Argument
from airflow_provider_callreport.task.arguments.together import check_filter_values
from airflow_provider_callreport.windows import check_text

#: More requests at once than this are an attack on the vendor.
MAX_CONCURRENCY = 16
#: Calls whose recordings are copied at once.
MAX_RECORDING_CONCURRENCY = 32
#: Airflow has an event in its database within a second or so, and a look later the trigger takes that for granted.
MIN_POLL_INTERVAL = 2

_TEXTS = "str | Sequence[str] | None"
_OBJECT = "Mapping[str, Any] | None"
_RUN = "the run's data interval"


def _alone(check: Callable[[Any], Any]) -> Callable[[str, Any], None]:
    """A check that knows the argument's name itself."""

    def checked(_: str, value: Any) -> None:
        check(value)

    return checked


def _if_given(check: Callable[[str, Any], Any]) -> Callable[[str, Any], None]:
    """A check of what may also be None."""

    def checked(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return checked


def _count(name: str, value: Any) -> None:
    """A whole number that a template may have made, so that it is text."""
    whole_number(1)(name, int(value) if isinstance(value, str) and value.isdecimal() else value)


def _s3_extra_args(name: str, value: Any) -> None:
    optional(mapping("S3 arguments"))(name, value)
    check_extra_args(value or {})


def _recording_key(name: str, value: Any) -> None:
    check_s3_key(name, value)
    check_key(name, value)


# What several of them take.

REPORT = Argument(
    "report",
    "Report",
    "calls",
    '`"calls"` (the call log) or `"masked_calls"` (calls of masked-number campaigns)',
    one_of(choices(Report)),
)
FILTERS = Argument(
    "filters",
    _OBJECT,
    None,
    "API filter keys, such as `CallReportFilter(caller=...)` makes",
    _alone(check_filter_values),
    default_doc="none",
)
WINDOW_START = Argument(
    "window_start",
    "datetime | str",
    "{{ data_interval_start }}",
    "first instant of the window, ISO 8601; without an offset in the account's zone",
)
WINDOW_END = Argument("window_end", "datetime | str", "{{ data_interval_end }}", "first instant after the window")
CALLREPORT_CONN_ID = Argument("callreport_conn_id", "str", "callreport_default", "connection to the API", CONNECTION_ID)
AWS_CONN_ID = Argument(
    "aws_conn_id",
    "str | None",
    "aws_default",
    "AWS connection; `None` leaves the search for credentials to boto3",
    optional(CONNECTION_ID),
)
S3_EXTRA_ARGS = Argument(
    "s3_extra_args",
    _OBJECT,
    None,
    'further arguments of boto3\'s `put_object`, such as `{"ServerSideEncryption": "aws:kms"}`',
    _s3_extra_args,
    default_doc="none",
)
S3_BUCKET = Argument("s3_bucket", "str", REQUIRED, "bucket", check_bucket)
S3_KEY = Argument("s3_key", "str", REQUIRED, "key of the object", check_s3_key)
CONCURRENCY = Argument(
    "concurrency",
    "int",
    1,
    f"pages that are asked for at once, 1 to {MAX_CONCURRENCY}",
    whole_number(1, MAX_CONCURRENCY),
    template=False,
)
ON_INCOMPLETE = Argument(
    "on_incomplete",
    "OnIncomplete",
    "fail",
    'the calls do not equal the API\'s total: `"fail"`, or `"warn"` to deliver all the same',
    one_of(choices(OnIncomplete)),
)
CHECK_BYTES = Argument(
    "check_bytes",
    "bool",
    False,
    "read each object and compare its SHA-256, instead of believing its metadata",
    BOOLEAN,
    template=False,
)

#: `CallReportExportOperator`.
EXPORT: tuple[Argument, ...] = (
    REPORT,
    replace(FILTERS, doc=f"{FILTERS.doc}; see [Filters](#filters)"),
    replace(WINDOW_START, doc="first instant of the window; see [The window](#the-window)"),
    WINDOW_END,
    Argument(
        "columns",
        "Sequence[str] | Mapping[str, str] | None",
        None,
        "a list of labels to keep, in order, or an object of label to new name; may also name further fields of the "
        'rows, such as `"callId"`',
        _alone(check_choice),
        default_doc="all",
    ),
    Argument(
        "column_names",
        "ColumnNames",
        "as_is",
        '`"as_is"`, or `"snake_case"` for names that databases take: `caller_number`',
        one_of(choices(ColumnNames)),
    ),
    Argument(
        "on_new_columns",
        "OnNewColumns",
        "add",
        'columns that a pinned profile does not know: `"add"`, `"ignore"`, or `"fail"`',
        one_of(choices(OnNewColumns)),
    ),
    Argument(
        "redact",
        "Mapping[str, RedactMode] | None",
        None,
        'an object of label to `"last4"`, `"drop"` or `"hmac"`; see [Redaction](how_to.md#keep-phone-numbers-in)',
        _alone(check_redact),
        default_doc="none",
    ),
    Argument(
        "file_format",
        "FileFormat",
        "csv",
        '`"csv"`, `"xlsx"`, `"jsonl"`, `"parquet"` or `"pdf"`',
        one_of(choices(FileFormat)),
    ),
    Argument(
        "format_options",
        _OBJECT,
        None,
        "an object of options; see [Formats](#formats)",
        optional(mapping("option to value")),
        default_doc="none",
    ),
    Argument(
        "filename",
        "str | None",
        None,
        "name of the file in the mail",
        optional(LINE),
        default_doc="from report, window and format: `calls_2026-01-31.csv`",
    ),
    Argument(
        "report_title",
        "str | None",
        None,
        "title in the file and in the mail",
        optional(LINE),
        default_doc='`"Calls"`, `"Masked calls"`',
    ),
    Argument(
        "group_by",
        "str | None",
        None,
        "the API's label of a column: one file for each of its values; see [One file per group](#one-file-per-group)",
        optional(LINE),
        default_doc="one file",
    ),
    Argument(
        "destination",
        "str | None",
        None,
        "address of the file, instead of `s3_bucket` and `s3_key`; see [Local files and other "
        "clouds](how_to.md#put-it-onto-a-disk-or-into-another-cloud)",
        default_doc="none",
    ),
    Argument(
        "destination_conn_id",
        "str | None",
        None,
        "Airflow's connection for it",
        optional(CONNECTION_ID),
        default_doc="the store's own search for credentials; for `s3://` `aws_conn_id`",
    ),
    replace(S3_BUCKET, type="str | None", default=None, check=_if_given(check_bucket), default_doc="no S3"),
    replace(S3_KEY, type="str | None", default=None, check=_if_given(check_s3_key), default_doc="no S3"),
    AWS_CONN_ID,
    Argument(
        "if_exists",
        "IfExists",
        "replace",
        '`"replace"`, `"fail"` or `"skip"`, when an object is there; see [S3](how_to.md#put-it-into-s3)',
        one_of(choices(IfExists)),
    ),
    S3_EXTRA_ARGS,
    Argument(
        "email_to",
        "str | Sequence[str] | Mapping[str, str | Sequence[str] | None] | None",
        None,
        "addresses, as a list, or as text with commas or semicolons; with `group_by` also an object of group to "
        "addresses",
        default_doc="no mail",
    ),
    Argument("email_cc", _TEXTS, None, "addresses in copy", default_doc="none"),
    Argument("email_bcc", _TEXTS, None, "addresses in blind copy", default_doc="none"),
    Argument(
        "email_subject",
        "str | None",
        None,
        "subject; see [The mail](mail.md#subject-and-body)",
        optional(LINE),
        default_doc="title, window, calls",
    ),
    Argument(
        "email_html",
        "str | None",
        None,
        "HTML body, or the name of a `.html` file beside the Dag",
        optional(TEXT),
        default_doc="the report's summary",
    ),
    Argument("smtp_conn_id", "str", "smtp_default", 'SMTP connection; its "From email" is the sender', CONNECTION_ID),
    Argument(
        "max_attachment_bytes",
        "int",
        15_000_000,
        "largest mail, encoded as it is sent (about 4/3 of the file)",
        whole_number(1),
        template=False,
    ),
    Argument(
        "on_oversize",
        "OnOversize | None",
        None,
        'a larger one: `"link"` mails the S3 address instead of the file, `"fail"` sends nothing',
        optional(one_of(choices(OnOversize))),
        default_doc='`"link"` with S3 or another cloud, else `"fail"`',
    ),
    Argument(
        "on_refused",
        "OnRefused",
        "fail",
        'the mail server refuses some recipients: `"fail"` sends to nobody, `"warn"` sends to the others',
        one_of(choices(OnRefused)),
    ),
    Argument("resend_if_unsure", "bool", False, "send although an earlier try may have sent", BOOLEAN, template=False),
    Argument(
        "attachment_password_conn_id",
        "str | None",
        None,
        "the Airflow connection whose password protects the attachments (AES; the extra `encrypt`); the files in S3 "
        "are as they are",
        optional(CONNECTION_ID),
        default_doc="no password",
    ),
    Argument(
        "link_expires_in",
        "float | None",
        None,
        "seconds that a link in the mail works, up to 604800; `None` mails the `s3://` address, which only works for "
        "those who may read the bucket",
        optional(seconds(1, 604_800, note=" (seven days)")),
        template=False,
    ),
    Argument(
        "empty",
        "Empty",
        "write",
        'no calls: `"write"` delivers a report that says so, `"skip"` skips the task, `"fail"` fails it',
        one_of(choices(Empty)),
    ),
    replace(ON_INCOMPLETE, doc=f"{ON_INCOMPLETE.doc}; see [the rules](proof.md)"),
    replace(CONCURRENCY, doc=f"{CONCURRENCY.doc}; see [Limits](#limits)"),
    Argument(
        "preflight",
        "bool",
        True,
        "before the first page, ask S3 for the bucket and log in to the mail or SFTP server; see "
        "[Before the first page](#before-the-first-page)",
        BOOLEAN,
        template=False,
    ),
    CALLREPORT_CONN_ID,
)

_NOT_FOR_MASK_LIST = (
    *("report", "destination", "destination_conn_id", "on_oversize", "on_refused", "resend_if_unsure"),
    "attachment_password_conn_id",
)

#: `MaskListToS3Operator`: an export without the report, the mail and the other destinations.
MASK_LIST: tuple[Argument, ...] = (
    S3_BUCKET,
    S3_KEY,
    *(
        argument
        for argument in EXPORT
        if not argument.name.startswith(("email_", "smtp_", "s3_bucket", "s3_key", "max_attachment", "link_"))
        and argument.name not in _NOT_FOR_MASK_LIST
    ),
)

#: `CallRecordingsToS3Operator`.
RECORDINGS: tuple[Argument, ...] = (
    replace(S3_BUCKET, doc="bucket of recordings and manifest"),
    Argument("s3_key", "str", REQUIRED, "key of a recording; needs `[[ call ]]` and `[[ part ]]`", _recording_key),
    Argument("manifest_key", "str", REQUIRED, "key of the manifest", check_s3_key),
    Argument("manifest_format", "ManifestFormat", "jsonl", '`"jsonl"` or `"csv"`', one_of(choices(ManifestFormat))),
    REPORT,
    FILTERS,
    WINDOW_START,
    WINDOW_END,
    Argument(
        "if_exists",
        "RecordingIfExists",
        "skip",
        '`"skip"` or `"replace"`; see below',
        one_of(choices(RecordingIfExists)),
    ),
    replace(ON_INCOMPLETE, doc='`"fail"` or `"warn"`; see below'),
    Argument(
        "concurrency",
        "int",
        4,
        f"calls at a time, 1 to {MAX_RECORDING_CONCURRENCY}",
        whole_number(1, MAX_RECORDING_CONCURRENCY),
        template=False,
    ),
    Argument("max_recording_bytes", "int", 200_000_000, "the largest recording", whole_number(1), template=False),
    AWS_CONN_ID,
    S3_EXTRA_ARGS,
    CALLREPORT_CONN_ID,
)

#: `CallReportManifestOperator`.
MANIFEST: tuple[Argument, ...] = (
    Argument("exports", "Any", REQUIRED, "what the exports returned: `mapped_task.output`"),
    replace(S3_BUCKET, doc="bucket of the manifest"),
    replace(S3_KEY, doc="key of the manifest"),
    replace(REPORT, doc="as exported"),
    replace(FILTERS, doc="as exported, for the API's count"),
    WINDOW_START,
    WINDOW_END,
    CHECK_BYTES,
    Argument(
        "if_exists",
        "ManifestIfExists",
        "replace",
        '`"replace"` or `"fail"`, when another run\'s manifest is at the key',
        one_of(choices(ManifestIfExists)),
    ),
    Argument(
        "partition_key",
        "str | None",
        None,
        "key of the asset partition of a slice; see below",
        _if_given(check_text),
        template=False,
        default_doc="none",
    ),
    AWS_CONN_ID,
    S3_EXTRA_ARGS,
    CALLREPORT_CONN_ID,
)

#: `CallReportCheckOperator`.
CHECK: tuple[Argument, ...] = (
    replace(
        S3_BUCKET,
        type="str | None",
        default=None,
        check=_if_given(check_bucket),
        doc="bucket of the delivered files",
        default_doc="none",
    ),
    Argument("s3_key", _TEXTS, None, "key, or list of keys", default_doc="none"),
    CHECK_BYTES,
    Argument("delivered", "Any", None, "a number of calls, or an export's XCom value", default_doc="none"),
    Argument(
        "asset",
        "Any",
        None,
        "the asset whose event has the number and the window in its `extra`",
        template=False,
        default_doc="none",
    ),
    replace(REPORT, doc="as exported"),
    replace(FILTERS, doc="as exported"),
    WINDOW_START,
    WINDOW_END,
    Argument(
        "count_by",
        "CountBy",
        "auto",
        '`"count"` asks `reportCount`, `"read"` reads the report and counts, `"auto"` counts `calls` and reads '
        "`masked_calls`",
        one_of(choices(CountBy)),
    ),
    Argument("tolerance", "int", 0, "how many calls the two numbers may differ by", whole_number(0), template=False),
    AWS_CONN_ID,
    CALLREPORT_CONN_ID,
)

#: `CallReportSensor`.
SENSOR: tuple[Argument, ...] = (
    REPORT,
    FILTERS,
    WINDOW_START,
    WINDOW_END,
    Argument("min_calls", "int | str", 1, "how many calls are enough", _count),
    Argument(
        "deferrable",
        "bool | None",
        None,
        "wait in the triggerer, without a worker slot",
        optional(BOOLEAN),
        template=False,
        default_doc="Airflow's `[operators] default_deferrable`",
    ),
    CALLREPORT_CONN_ID,
)

#: `CallReportEventTrigger`. Airflow renders no argument of a trigger.
EVENT_TRIGGER: tuple[Argument, ...] = tuple(
    replace(argument, template=False)
    for argument in (
        replace(REPORT, default="masked_calls"),
        replace(FILTERS, type="Mapping[str, Any] | str | None", doc="API filter keys; no phone numbers"),
        Argument(
            "window",
            "WindowSize",
            "hour",
            '`"hour"` or `"day"`, by the clock in the account\'s zone',
            one_of(choices(WindowSize)),
        ),
        Argument(
            "min_new_calls",
            "int",
            1,
            "how many new calls are an event; when a window has ended, fewer are enough",
            whole_number(1),
        ),
        Argument(
            "lookback",
            "float | timedelta",
            3600,
            "seconds after a window's end in which calls of it may still show up",
            seconds(0, timedeltas=True),
        ),
        Argument(
            "catch_up",
            "float | timedelta",
            604_800,
            "seconds that are looked back at most after the triggerer, or the Dag, was stopped",
            seconds(0, timedeltas=True),
        ),
        Argument(
            "poll_interval",
            "float | timedelta",
            60,
            f"seconds between two looks, at least {MIN_POLL_INTERVAL}",
            seconds(MIN_POLL_INTERVAL, timedeltas=True),
        ),
        CALLREPORT_CONN_ID,
    )
)
