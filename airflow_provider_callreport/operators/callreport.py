"""The operators: a call report as a file in S3 or elsewhere, in the mail, or both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_callreport.delivery.mail_body import VARIABLES
from airflow_provider_callreport.rules import (
    ColumnNames,
    Empty,
    FileFormat,
    IfExists,
    OnIncomplete,
    OnNewColumns,
    OnOversize,
    OnRefused,
    RedactMode,
    Report,
)
from airflow_provider_callreport.task.announcing import AnnouncesDelivery
from airflow_provider_callreport.task.arguments.argument import ArgumentError, template_fields
from airflow_provider_callreport.task.arguments.tables import EXPORT, MASK_LIST
from airflow_provider_callreport.task.arguments.together import check_export
from airflow_provider_callreport.task.base import CallReportBaseOperator, run_identity

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.api.settings import ClientSettings
    from airflow_provider_callreport.delivery.email import EmailDestination
    from airflow_provider_callreport.delivery.object_storage import ObjectStorageDestination
    from airflow_provider_callreport.delivery.s3 import S3Destination
    from airflow_provider_callreport.export.road import ExportRequest
    from airflow_provider_callreport.export.summary import ExportSummary


class CallReportExportOperator(AnnouncesDelivery, CallReportBaseOperator):
    """Exports one call report to S3 or elsewhere, by mail, or both: the whole report, or the task is red and says why.

    Every text argument is a template field. Arguments that are written out are checked when the Dag is parsed,
    templates after they have been rendered; a wrong one raises a `ValueError` with what it was and what is allowed.

    Args:
        report: ``"calls"`` (the call log) or ``"masked_calls"`` (calls of masked-number campaigns).
        filters: API filter keys, such as ``{"cNum": "919876543210"}``; `CallReportFilter` has names for them. A key
            that the vendor does not document is sent, and named in the log, the summary and the mail.
        window_start: first instant of the window, ISO 8601; default the start of the run's data interval. A time
            without an offset is in the account's zone.
        window_end: first instant after the window; default the end of the run's data interval.
        columns: labels to keep, in order, or a mapping of label to new name; None keeps all. May also name further
            fields of the rows, such as ``"callId"``.
        column_names: ``"as_is"``, or ``"snake_case"`` for names that databases take (``caller_number``), of the labels
            and of the new names in ``columns``.
        on_new_columns: what to do with columns that a pinned profile does not know: ``"add"``, ``"ignore"`` or
            ``"fail"``.
        redact: label -> ``"last4"``, ``"drop"`` or ``"hmac"``, by the API's label. A label that the report does not
            have is an error.
        file_format: a key of `airflow_provider_callreport.formats.FORMATS`.
        format_options: options of that format; see docs/operators.md.
        filename: name of the file in the mail; default from report, window and format.
        report_title: title inside the file and the mail; default "Calls" or "Masked calls".
        group_by: the API's label of a column, such as ``"Campaign"``: one file for each of its values. ``s3_key`` or
            ``destination`` (and ``filename``, when given) then need ``[[ group ]]`` where the value goes.
        destination: address of the file, instead of ``s3_bucket`` and ``s3_key``: ``file:///data/calls.csv``,
            ``s3://bucket/key``, ``gs://bucket/key``, ``abfs://container/key``, or another that Airflow's
            ``ObjectStoragePath`` knows; see `airflow_provider_callreport.delivery.object_storage`.
        destination_conn_id: Airflow's connection for it; None leaves the search for credentials to the store's
            library, and to ``aws_conn_id`` for ``s3://``.
        s3_bucket: bucket, or None for no S3.
        s3_key: key of the object.
        aws_conn_id: AWS connection; None lets boto3 look for credentials.
        if_exists: ``"replace"``, ``"fail"`` or ``"skip"`` when another run's object is at the key. Outside of S3 nobody
            knows whose file it is: there, another file is one with other bytes.
        s3_extra_args: further arguments for S3, such as ``{"ServerSideEncryption": "aws:kms", "Tagging": "a=b"}``.
        email_to: addresses, or None for no mail. With ``group_by`` also an object of group to addresses, such as
            ``{"Asha": "head.north@example.com", "*": "head@example.com"}``: each address gets one mail, with the files
            of its groups. ``"*"`` names all other groups; ``"*": None`` sends these to nobody, and without ``"*"`` they
            are an error.
        email_cc: addresses in copy.
        email_bcc: addresses in blind copy.
        email_subject: subject; may hold ``[[ rows ]]`` and the other placeholders of docs/mail.md.
        email_html: HTML body, or a ``.html`` file beside the Dag; may hold the same placeholders.
        smtp_conn_id: SMTP connection; its ``from_email`` is the sender.
        max_attachment_bytes: largest encoded mail.
        on_oversize: ``"link"`` mails the file's address in S3 or another cloud instead of the file when the mail would
            be larger, ``"fail"`` fails. Default: ``"link"`` with such an address, ``"fail"`` without.
        on_refused: ``"fail"`` sends to all recipients or to none, ``"warn"`` to those whom the mail server takes.
        resend_if_unsure: send although an earlier try may have sent.
        attachment_password_conn_id: the Airflow connection whose password protects the attachments (AES; the extra
            ``encrypt``), or None. The files in S3 are as they are.
        link_expires_in: seconds that a presigned address in the mail works; None mails the ``s3://`` address only.
        empty: ``"write"`` delivers a report without calls, ``"skip"`` skips the task, ``"fail"`` fails it.
        on_incomplete: ``"fail"``, or ``"warn"`` to deliver although the calls do not equal the API's total; the file,
            the mail, the log and the summary then say so.
        concurrency: requests under way at once, 1 to 16, where the API is read by page number. The connection's
            ``requests_per_second`` holds all the same.
        preflight: before the first page is read, ask S3 whether the bucket exists, and log in to the mail or SFTP
            server. What is certainly wrong fails the task at once; what they do not tell is left to the delivery.
        callreport_conn_id: connection to the API.

    An asset among the ``outlets`` gets its event with rows, calls, bytes, SHA-256 and window in ``extra``, an asset
    alias one for each object, at ``s3://bucket/key``. An object that already exists gets no event.

    Returns:
        The summary as a dict under 4 KB; see docs/operators.md.
    """

    arguments = EXPORT
    template_fields: Sequence[str] = template_fields(EXPORT)
    template_ext: Sequence[str] = (".html",)
    mail_texts: ClassVar[Sequence[str]] = ("email_subject", "email_html")
    placeholders: ClassVar[Mapping[str, Collection[str]]] = {
        **dict.fromkeys(("s3_key", "destination", "filename"), ("group",)),
        **dict.fromkeys(mail_texts, VARIABLES),
    }
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "filters": "json",
        "columns": "json",
        "redact": "json",
        "format_options": "json",
        "s3_extra_args": "json",
        "email_html": "html",
    }

    def __init__(
        self,
        *,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        window_start: datetime | str = "{{ data_interval_start }}",
        window_end: datetime | str = "{{ data_interval_end }}",
        columns: Sequence[str] | Mapping[str, str] | None = None,
        column_names: ColumnNames = "as_is",
        on_new_columns: OnNewColumns = "add",
        redact: Mapping[str, RedactMode] | None = None,
        file_format: FileFormat = "csv",
        format_options: Mapping[str, Any] | None = None,
        filename: str | None = None,
        report_title: str | None = None,
        group_by: str | None = None,
        destination: str | None = None,
        destination_conn_id: str | None = None,
        s3_bucket: str | None = None,
        s3_key: str | None = None,
        aws_conn_id: str | None = "aws_default",
        if_exists: IfExists = "replace",
        s3_extra_args: Mapping[str, Any] | None = None,
        email_to: str | Sequence[str] | Mapping[str, str | Sequence[str] | None] | None = None,
        email_cc: str | Sequence[str] | None = None,
        email_bcc: str | Sequence[str] | None = None,
        email_subject: str | None = None,
        email_html: str | None = None,
        smtp_conn_id: str = "smtp_default",
        max_attachment_bytes: int = 15_000_000,
        on_oversize: OnOversize | None = None,
        on_refused: OnRefused = "fail",
        resend_if_unsure: bool = False,
        attachment_password_conn_id: str | None = None,
        link_expires_in: float | None = None,
        empty: Empty = "write",
        on_incomplete: OnIncomplete = "fail",
        concurrency: int = 1,
        preflight: bool = True,
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.report = report
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.columns = columns
        self.column_names = column_names
        self.on_new_columns = on_new_columns
        self.redact = redact
        self.file_format = file_format
        self.format_options = format_options
        self.filename = filename
        self.report_title = report_title
        self.group_by = group_by
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.s3_bucket = s3_bucket
        self.s3_key = s3_key
        self.aws_conn_id = aws_conn_id
        self.if_exists = if_exists
        self.s3_extra_args = s3_extra_args
        self.email_to = email_to
        self.email_cc = email_cc
        self.email_bcc = email_bcc
        self.email_subject = email_subject
        self.email_html = email_html
        self.smtp_conn_id = smtp_conn_id
        self.max_attachment_bytes = max_attachment_bytes
        self.on_oversize = on_oversize
        self.on_refused = on_refused
        self.resend_if_unsure = resend_if_unsure
        self.attachment_password_conn_id = attachment_password_conn_id
        self.link_expires_in = link_expires_in
        self.empty = empty
        self.on_incomplete = on_incomplete
        self.concurrency = concurrency
        self.preflight = preflight
        self.callreport_conn_id = callreport_conn_id
        self.check_now()

    def check(self, settled: Mapping[str, Any]) -> None:
        """Refuse what does not fit together."""
        check_export(self.values(), settled)

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch, write, deliver; return the summary."""
        from airflow_provider_callreport.export.road import export_report
        from airflow_provider_callreport.hooks.callreport import CallReportHook
        from airflow_provider_callreport.task.state import send_record

        with self.errors_for_airflow():
            hook = CallReportHook(self.callreport_conn_id)
            with hook.get_conn() as client:
                summary = export_report(
                    client,
                    self._request(hook.settings),
                    run=run_identity(context),
                    destination=self._place(),
                    link_expires_in=None if self.link_expires_in is None else timedelta(seconds=self.link_expires_in),
                    email=self._email(),
                    send_record=send_record(context),
                    preflight=self.preflight,
                )
        if summary.skipped:
            raise AirflowSkipException('the report has no calls, and empty="skip"')
        self._announce(context, hook.settings, summary)
        return summary.to_xcom()

    def _announce(self, context: Context, settings: ClientSettings, summary: ExportSummary) -> None:
        """Tell Airflow what was delivered."""
        from airflow_provider_callreport.assets import delivery_of
        from airflow_provider_callreport.task.lineage import export_lineage

        delivery = delivery_of(summary, bucket=self.s3_bucket, try_number=context["ti"].try_number)
        host = urlsplit(settings.base_url).netloc
        lineage = partial(export_lineage, host, summary.info, summary.schema, delivery)
        self.announce(context, delivery, conn_id=self.destination_conn_id or self.aws_conn_id, lineage=lineage)

    def _request(self, settings: ClientSettings) -> ExportRequest:
        from airflow_provider_callreport.export.road import ExportRequest
        from airflow_provider_callreport.formats import FORMATS

        return ExportRequest(
            report=self.report,
            window=self.window(settings.timezone),
            filters=self.filters or {},
            columns=self.columns,
            column_names=self.column_names,
            on_new_columns=self.on_new_columns,
            redact=self.redact or {},
            file_format=self.file_format,
            format_options=FORMATS[self.file_format].check_options(self.format_options or {}),
            filename=self.filename,
            title=self.report_title,
            group_by=self.group_by,
            empty=self.empty,
            on_incomplete=self.on_incomplete,
            concurrency=self.concurrency,
        )

    def _place(self) -> S3Destination | ObjectStorageDestination | None:
        if self.destination is not None:
            from airflow_provider_callreport.delivery.object_storage import destination_at

            return destination_at(
                self.destination,
                conn_id=self.destination_conn_id,
                if_exists=self.if_exists,
                aws_conn_id=self.aws_conn_id,
                s3_extra_args=self.s3_extra_args,
            )
        if self.s3_bucket is None or self.s3_key is None:
            return None
        from airflow_provider_callreport.delivery.s3 import S3Destination

        return S3Destination(
            self.s3_bucket, self.s3_key, self.aws_conn_id, if_exists=self.if_exists, extra_args=self.s3_extra_args or {}
        )

    def _email(self) -> EmailDestination | None:
        if self.email_to is None:
            return None
        from airflow_provider_callreport.delivery.email import EmailDestination
        from airflow_provider_callreport.delivery.object_storage import parse_address

        if self.destination is None:
            can_link = self.s3_bucket is not None
        else:
            can_link = not parse_address(self.destination).is_local
        return EmailDestination(
            to=self.email_to,
            cc=self.email_cc,
            bcc=self.email_bcc,
            subject=self.email_subject,
            html=self.email_html,
            smtp_conn_id=self.smtp_conn_id,
            max_attachment_bytes=self.max_attachment_bytes,
            on_oversize=self.on_oversize or ("link" if can_link else "fail"),
            on_refused=self.on_refused,
            resend_if_unsure=self.resend_if_unsure,
            attachment_password_conn_id=self.attachment_password_conn_id,
        )


class MaskListToS3Operator(CallReportExportOperator):
    """Exports the calls of masked-number campaigns (``masklist``) to S3.

    `CallReportExportOperator` with ``report="masked_calls"``, and without mail and other destinations.

    Args:
        s3_bucket: bucket.
        s3_key: key of the object.
        filters: see `CallReportExportOperator`, as for all arguments below.
        window_start: first instant of the window.
        window_end: first instant after the window.
        columns: labels to keep, or a mapping of label to new name.
        column_names: ``"as_is"`` or ``"snake_case"``.
        on_new_columns: ``"add"``, ``"ignore"`` or ``"fail"``.
        redact: label -> ``"last4"``, ``"drop"`` or ``"hmac"``.
        file_format: a key of `airflow_provider_callreport.formats.FORMATS`.
        format_options: options of that format.
        filename: name of the file, which is in no key; default from report, window and format.
        report_title: title inside the file; default "Masked calls".
        group_by: the API's label of a column that gives one file for each of its values.
        aws_conn_id: AWS connection.
        if_exists: ``"replace"``, ``"fail"`` or ``"skip"``.
        s3_extra_args: further arguments for S3.
        empty: ``"write"``, ``"skip"`` or ``"fail"``.
        on_incomplete: ``"fail"`` or ``"warn"``.
        concurrency: requests under way at once, 1 to 16.
        preflight: ask S3 whether the bucket exists, before the first page is read.
        callreport_conn_id: connection to the API.
    """

    arguments = MASK_LIST
    template_fields: Sequence[str] = template_fields(MASK_LIST)

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_key: str,
        filters: Mapping[str, Any] | None = None,
        window_start: datetime | str = "{{ data_interval_start }}",
        window_end: datetime | str = "{{ data_interval_end }}",
        columns: Sequence[str] | Mapping[str, str] | None = None,
        column_names: ColumnNames = "as_is",
        on_new_columns: OnNewColumns = "add",
        redact: Mapping[str, RedactMode] | None = None,
        file_format: FileFormat = "csv",
        format_options: Mapping[str, Any] | None = None,
        filename: str | None = None,
        report_title: str | None = None,
        group_by: str | None = None,
        aws_conn_id: str | None = "aws_default",
        if_exists: IfExists = "replace",
        s3_extra_args: Mapping[str, Any] | None = None,
        empty: Empty = "write",
        on_incomplete: OnIncomplete = "fail",
        concurrency: int = 1,
        preflight: bool = True,
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        for name in kwargs:
            if name in _EXPORT_ONLY:
                raise ArgumentError(self.refusal_of_unknown(name))
        # Editors follow a parameter ``kwargs`` to the base class, and would offer arguments for mail.
        every_operators = dict(kwargs)
        # The other destinations are said to be None, or a Dag's default_args would fill them in.
        super().__init__(
            report="masked_calls",
            filters=filters,
            window_start=window_start,
            window_end=window_end,
            columns=columns,
            column_names=column_names,
            on_new_columns=on_new_columns,
            redact=redact,
            file_format=file_format,
            format_options=format_options,
            filename=filename,
            report_title=report_title,
            group_by=group_by,
            destination=None,
            destination_conn_id=None,
            s3_bucket=s3_bucket,
            s3_key=s3_key,
            aws_conn_id=aws_conn_id,
            if_exists=if_exists,
            s3_extra_args=s3_extra_args,
            email_to=None,
            email_cc=None,
            email_bcc=None,
            empty=empty,
            on_incomplete=on_incomplete,
            concurrency=concurrency,
            preflight=preflight,
            callreport_conn_id=callreport_conn_id,
            **every_operators,
        )

    def refusal_of_unknown(self, name: str) -> str:
        """The sentence for an argument that does not exist, or that the other operator has."""
        if name in _EXPORT_ONLY:
            return (
                f"MaskListToS3Operator has no argument {name!r}; use CallReportExportOperator with "
                'report="masked_calls" to choose the report, to send mail or to write elsewhere'
            )
        return super().refusal_of_unknown(name)


_EXPORT_ONLY = {argument.name for argument in EXPORT} - {argument.name for argument in MASK_LIST}
