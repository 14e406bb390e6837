"""The operators of files that the API's server makes.

They rest on answers that the vendor does not document; `operators.callreport` is the proven road to a whole report.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_callreport.api.errors import (
    AddressRefusedError,
    CallReportError,
    MaybeAcceptedError,
    NotReadyError,
    WindowError,
    WrongFileError,
)
from airflow_provider_callreport.delivery.s3 import IF_EXISTS, S3Destination
from airflow_provider_callreport.task.announcing import AnnouncesDelivery
from airflow_provider_callreport.task.arguments import check_choice
from airflow_provider_callreport.task.base import CallReportBaseOperator, check_whole_number, run_identity
from airflow_provider_callreport.task.links import CallReportLink, DeliveredFileLink, file_url
from airflow_provider_callreport.task.state import send_record

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.api.body import SavedBody
    from airflow_provider_callreport.delivery.email import SendRecord
    from airflow_provider_callreport.delivery.server_file import ServerFileObject
    from airflow_provider_callreport.hooks.callreport import CallReportHook
    from airflow_provider_callreport.report import ExportedFile, RunIdentity

#: What `api.file_kind` knows; named here because that module is not needed to read a Dag file.
FILE_TYPES = ("csv", "pdf", "xlsx", "zip", "gzip")

#: What an event says of a file.
_TOLD = ("file_type", "bytes", "sha256", "uri", "complete", "window")

_RECORD = "callreport_export"
_RECORD_KEPT = timedelta(days=90)


class CallReportRequestExportOperator(AnnouncesDelivery, CallReportBaseOperator):
    """Asks the API's server to make a CSV file of the calls of a window, once.

    The answer is not documented. What was found in it (an id, a URL) is returned for a `CallReportDownloadOperator`;
    when the answer is the file itself, it goes to S3.

    The request changes something on the server, so it is never sent twice: ``retries`` is 0 whatever ``default_args``
    say, and only a request of which nothing had left (no name, no connection) is tried again, inside the connection's
    ``max_retry_time``. When nobody can tell whether it was accepted, the task fails and says so.

    Args:
        bulk: ask ``exportCsvBulk`` instead of ``exportCsv``; what differs is not documented.
        filters: API filter keys.
        window_start: first instant of the window, ISO 8601; default the start of the run's data interval.
        window_end: first instant after the window; default the end of the run's data interval.
        fields: further keys of the body, such as ``{"title": "March"}``; not documented.
        url_paths: where to look for a URL in the answer, such as ``["data.url"]``; default
            `airflow_provider_callreport.api.exports.URL_PATHS`.
        id_paths: where to look for an id; default `airflow_provider_callreport.api.exports.ID_PATHS`.
        s3_bucket: bucket for the file, should the answer be the file itself; without it such an answer is an error.
        s3_key: key of the file.
        if_exists: ``"replace"``, ``"fail"`` or ``"skip"`` when the key is taken by another run's object.
        aws_conn_id: AWS connection.
        s3_extra_args: further arguments for S3.
        max_bytes: the largest file.
        request_again_if_unsure: send although an earlier try of this task instance may have been accepted. Airflow 3.3
            and later remember that over a crash of the worker.
        callreport_conn_id: connection to the API.

    An asset among the ``outlets`` gets its event when the answer was the file and this run brought it to S3: with
    ``file_type``, ``bytes``, ``sha256``, ``uri``, ``complete`` and ``window`` in ``extra``, an asset alias one at the
    object's address. A request that was only accepted delivers nothing, so there is no event.

    Returns:
        A dict: ``endpoint``, ``window``, ``id``, ``url``, ``file`` ({``uri``, ``status``, ``bytes``, ``sha256``} or
        None; what is at ``uri`` when the status is ``"skipped"`` is not this file) and
        ``answer`` (the JSON without phone numbers, secrets and the queries of URLs, at most 2 KB). ``url`` is whole,
        because a download needs it: whoever reads the XCom can read the file while the URL works.
    """

    template_fields: Sequence[str] = (
        "filters",
        "window_start",
        "window_end",
        "fields",
        "url_paths",
        "id_paths",
        "s3_bucket",
        "s3_key",
        "if_exists",
        "aws_conn_id",
        "s3_extra_args",
        "callreport_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json", "fields": "json", "s3_extra_args": "json"}
    operator_extra_links: Collection[CallReportLink] = (DeliveredFileLink(),)
    private_fields: ClassVar[Sequence[str]] = ("filters", "fields")

    def __init__(
        self,
        *,
        bulk: bool = False,
        filters: Mapping[str, Any] | None = None,
        window_start: datetime | str = "{{ data_interval_start }}",
        window_end: datetime | str = "{{ data_interval_end }}",
        fields: Mapping[str, Any] | None = None,
        url_paths: Sequence[str] | None = None,
        id_paths: Sequence[str] | None = None,
        s3_bucket: str | None = None,
        s3_key: str | None = None,
        if_exists: str = "replace",
        aws_conn_id: str | None = "aws_default",
        s3_extra_args: Mapping[str, Any] | None = None,
        max_bytes: int = 1_000_000_000,
        request_again_if_unsure: bool = False,
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "retries": 0})
        self.bulk = bulk
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.fields = fields
        self.url_paths = url_paths
        self.id_paths = id_paths
        self.s3_bucket = s3_bucket
        self.s3_key = s3_key
        self.if_exists = if_exists
        self.aws_conn_id = aws_conn_id
        self.s3_extra_args = s3_extra_args
        self.max_bytes = max_bytes
        self.request_again_if_unsure = request_again_if_unsure
        self.callreport_conn_id = callreport_conn_id
        self.check_now("bulk", "max_bytes", "request_again_if_unsure")

    def check(self, settled: Mapping[str, Any]) -> None:
        """Refuse wrong arguments."""
        _check_fields("fields", settled.get("fields"))
        for name in ("url_paths", "id_paths"):
            _check_paths(name, settled.get(name))
        for name in ("bulk", "request_again_if_unsure"):
            _check_boolean(name, settled.get(name, False))
        check_whole_number("max_bytes", settled.get("max_bytes", 1), 1)
        _check_s3(settled, self)

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, look at the answer, and keep the file if it is one."""
        from airflow_provider_callreport.api.counting import window_json
        from airflow_provider_callreport.api.exports import (
            ID_PATHS,
            URL_PATHS,
            holds_secret,
            request_export,
            shown_answer,
        )
        from airflow_provider_callreport.api.filters import build_filter
        from airflow_provider_callreport.hooks.callreport import CallReportHook
        from airflow_provider_callreport.spool import spool_directory

        with self.errors_for_airflow(), spool_directory() as directory:
            hook = CallReportHook(self.callreport_conn_id)
            window = self.window(hook.settings.timezone)
            api_filter = build_filter(self.filters or {}, window)
            if api_filter is None:
                raise WindowError("the window lies in an hour that clocks repeat, and no wall time belongs to it")
            record = _Record(context)
            record.begin(again=self.request_again_if_unsure)
            with hook.get_conn() as client:
                try:
                    answer = request_export(
                        client,
                        {**(self.fields or {}), "filter": api_filter},
                        directory / "answer",
                        bulk=self.bulk,
                        max_bytes=self.max_bytes,
                        url_paths=self.url_paths or URL_PATHS,
                        id_paths=self.id_paths or ID_PATHS,
                    )
                except CallReportError as error:
                    if not isinstance(error, MaybeAcceptedError):
                        # Refused, or never sent: nothing was begun.
                        record.end()
                    raise
            record.end()
            file = None
            if answer.file is not None:
                file = self._keep(answer.file, run_identity(context))
            secrets = hook.settings.secrets()
            url, export_id = answer.url, answer.export_id
            if url is not None:
                mask_secret(url)
                if holds_secret(url, secrets):
                    self.log.warning("the URL in the answer holds the account's own secret; it is not passed on")
                    url = None
            if export_id is not None and holds_secret(export_id, secrets):
                self.log.warning("the id in the answer holds the account's own secret; it is not passed on")
                export_id = None
            value = {
                "endpoint": "exportCsvBulk" if self.bulk else "exportCsv",
                "window": window_json(window),
                "id": export_id,
                "url": url,
                "file": file,
                "answer": shown_answer(answer.payload, secrets),
            }
        told = {} if file is None else {"file_type": "csv", **file, "complete": None, "window": value["window"]}
        _announce(self, context, hook, told)
        return value

    def _keep(self, body: SavedBody, run: RunIdentity) -> dict[str, Any]:
        from airflow_provider_callreport.api.file_kind import check_kind

        if self.s3_bucket is None or self.s3_key is None:
            raise WrongFileError(
                f"the answer is the file itself ({body.size} bytes), and there is no place for it; set s3_bucket and "
                "s3_key"
            )
        check_kind(body, "csv", "the answer")
        file = _exported(body, self.s3_key.rpartition("/")[2], "csv")
        delivered = _object(self).deliver_file(file, run=run)
        return {
            "uri": delivered.uri,
            "status": delivered.status.value,
            "bytes": file.bytes,
            "sha256": file.sha256,
        }


class CallReportDownloadOperator(AnnouncesDelivery, CallReportBaseOperator):
    """Takes a file that the API's server has made, and brings it to S3, by mail, or both.

    The file is behind a URL, or is what ``downloadPdf`` answers (bytes, base64, or a link). It is checked before it is
    delivered: beginning, end, content type, size. A URL is fetched without credentials, and only from the public
    internet or the connection's own host; redirects are not followed.

    While the server says that it is not ready (codes 1004, 1012), the task waits between polls, in the triggerer when
    it is deferrable, up to ``wait_timeout``.

    Args:
        url: URL of the file, or a path on the connection's own host; usually
            ``"{{ ti.xcom_pull('request')['url'] }}"``. Either this or ``pdf_fields``.
        pdf_fields: body of ``downloadPdf``, such as ``{"id": "..."}``; what it must hold is not documented.
        file_type: ``"csv"``, ``"pdf"``, ``"xlsx"``, ``"zip"`` or ``"gzip"``: what the file must be. Default ``"csv"``
            with ``url``, ``"pdf"`` with ``pdf_fields``.
        filename: name of the file in the mail; default the last part of ``s3_key``, else ``export`` with the type.
        title: title of the mail.
        url_paths: where to look for a link in the answer of ``downloadPdf``.
        s3_bucket: bucket, or None for no S3.
        s3_key: key of the object.
        if_exists: ``"replace"``, ``"fail"`` or ``"skip"`` when the key is taken by another run's object.
        aws_conn_id: AWS connection.
        s3_extra_args: further arguments for S3.
        email_to: addresses, or None for no mail. A later try of the same run does not send again what an earlier one
            has sent (Airflow 3.3 and later).
        email_subject: subject of the mail.
        smtp_conn_id: SMTP connection.
        max_attachment_bytes: largest encoded mail; a larger one has the S3 address instead of the file.
        max_bytes: the largest file.
        poll_interval: seconds between two polls.
        wait_timeout: seconds from the first poll to the last.
        deferrable: wait in the triggerer instead of on a worker.
        callreport_conn_id: connection to the API.

    An asset among the ``outlets`` gets its event with ``file_type``, ``bytes``, ``sha256``, ``uri`` and ``complete`` in
    ``extra``, an asset alias one at the object's address; there is none of an object that was left as it was.

    Returns:
        A dict: ``file_type``, ``bytes``, ``sha256``, ``uri`` (or None), ``status`` in S3 (or None), ``emailed_to``,
        ``complete`` (always None: nothing proves that a file of the server is whole).
    """

    template_fields: Sequence[str] = (
        "url",
        "pdf_fields",
        "file_type",
        "filename",
        "title",
        "url_paths",
        "s3_bucket",
        "s3_key",
        "if_exists",
        "aws_conn_id",
        "s3_extra_args",
        "email_to",
        "email_subject",
        "smtp_conn_id",
        "callreport_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"pdf_fields": "json", "s3_extra_args": "json"}
    operator_extra_links: Collection[CallReportLink] = (DeliveredFileLink(),)
    private_fields: ClassVar[Sequence[str]] = ("pdf_fields",)

    def __init__(
        self,
        *,
        url: str | None = None,
        pdf_fields: Mapping[str, Any] | None = None,
        file_type: str | None = None,
        filename: str | None = None,
        title: str = "Call report",
        url_paths: Sequence[str] | None = None,
        s3_bucket: str | None = None,
        s3_key: str | None = None,
        if_exists: str = "replace",
        aws_conn_id: str | None = "aws_default",
        s3_extra_args: Mapping[str, Any] | None = None,
        email_to: str | Sequence[str] | None = None,
        email_subject: str | None = None,
        smtp_conn_id: str = "smtp_default",
        max_attachment_bytes: int = 15_000_000,
        max_bytes: int = 1_000_000_000,
        poll_interval: float = 60,
        wait_timeout: float = 3600,
        deferrable: bool = False,
        callreport_conn_id: str = "callreport_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.url = url
        self.pdf_fields = pdf_fields
        self.file_type = file_type
        self.filename = filename
        self.title = title
        self.url_paths = url_paths
        self.s3_bucket = s3_bucket
        self.s3_key = s3_key
        self.if_exists = if_exists
        self.aws_conn_id = aws_conn_id
        self.s3_extra_args = s3_extra_args
        self.email_to = email_to
        self.email_subject = email_subject
        self.smtp_conn_id = smtp_conn_id
        self.max_attachment_bytes = max_attachment_bytes
        self.max_bytes = max_bytes
        self.poll_interval = poll_interval
        self.wait_timeout = wait_timeout
        self.deferrable = deferrable
        self.callreport_conn_id = callreport_conn_id
        self.check_now("max_attachment_bytes", "max_bytes", "poll_interval", "wait_timeout", "deferrable")

    def check(self, settled: Mapping[str, Any]) -> None:
        """Refuse wrong arguments."""
        if (self.url is None) == (self.pdf_fields is None):
            raise ValueError("url and pdf_fields are both set or both missing; set one of them")
        if isinstance(settled.get("url"), PrivateUrl):
            settled = {**settled, "url": settled["url"].address}
        url = settled.get("url")
        if url is not None and not (isinstance(url, str) and url.startswith(("https://", "http://", "/"))):
            # Not the value: a mangled URL may hold a signature all the same.
            raise ValueError(
                "url is no URL; allowed is https://host/path, or a path on the connection's own host such as /a/b.csv"
            )
        _check_fields("pdf_fields", settled.get("pdf_fields"))
        _check_paths("url_paths", settled.get("url_paths"))
        if settled.get("file_type") is not None:
            check_choice("file_type", settled["file_type"], FILE_TYPES)
            if self.pdf_fields is not None and settled["file_type"] != "pdf":
                raise ValueError(f"file_type is {settled['file_type']!r}; allowed with pdf_fields is pdf")
        for name in ("title", "filename", "email_subject"):
            value = settled.get(name)
            if value is not None and (not isinstance(value, str) or not value.strip() or not value.isprintable()):
                raise ValueError(f"{name} is {value!r}; allowed is one line of text")
        for name in ("max_attachment_bytes", "max_bytes"):
            check_whole_number(name, settled.get(name, 1), 1)
        for name, least in (("poll_interval", 1), ("wait_timeout", 0)):
            value = settled.get(name, least)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
                raise ValueError(f"{name} is {value!r}; allowed are seconds of at least {least}")
        _check_boolean("deferrable", settled.get("deferrable", False))
        _check_s3(settled, self)
        if self.s3_bucket is None and self.email_to is None:
            raise ValueError("there is no destination; set s3_bucket and s3_key, or email_to, or both")
        if settled.get("email_to") is not None:
            from airflow_provider_callreport.delivery.email import EmailDestination

            EmailDestination(to=settled["email_to"])

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        """Render, and keep the URL private: Airflow stores rendered arguments and shows them."""
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        if parent is self and isinstance(self.url, str):
            mask_secret(self.url)
            self.url = PrivateUrl(self.url)

    def execute(self, context: Context) -> dict[str, Any]:
        """Poll until there is a file, then deliver it."""
        return self._poll(context, time.time() + self.wait_timeout)

    def execute_complete(self, context: Context, event: Any = None, *, give_up_at: float) -> dict[str, Any]:
        """Go on after a wait in the triggerer. The event says nothing: the server is asked again."""
        return self._poll(context, give_up_at)

    def _poll(self, context: Context, give_up_at: float) -> dict[str, Any]:
        from airflow_provider_callreport.hooks.callreport import CallReportHook

        hook = CallReportHook(self.callreport_conn_id)
        while True:
            with self.errors_for_airflow():
                try:
                    value = self._take(hook, run_identity(context), send_record(context))
                    break
                except NotReadyError as error:
                    if time.time() + self.poll_interval > give_up_at:
                        raise NotReadyError(f"{error} (waited up to wait_timeout={self.wait_timeout:g} s)") from None
                    self.log.info("%s; asking again in %g s", error, self.poll_interval)
            if self.deferrable:
                from airflow.providers.common.compat.standard.triggers import TimeDeltaTrigger

                self.defer(
                    trigger=TimeDeltaTrigger(timedelta(seconds=self.poll_interval)),
                    method_name="execute_complete",
                    kwargs={"give_up_at": give_up_at},
                )
            time.sleep(self.poll_interval)
        _announce(self, context, hook, value)
        return value

    def _take(self, hook: CallReportHook, run: RunIdentity, record: SendRecord | None) -> dict[str, Any]:
        from airflow_provider_callreport.api.download import FileDownloader
        from airflow_provider_callreport.api.exports import URL_PATHS, download_pdf, fetch_file
        from airflow_provider_callreport.spool import spool_directory

        kind = self.file_type or ("csv" if self.pdf_fields is None else "pdf")
        with (
            spool_directory() as directory,
            hook.get_conn() as client,
            FileDownloader(client, max_bytes=self.max_bytes) as downloader,
        ):
            path = directory / "file"
            if self.pdf_fields is not None:
                paths = self.url_paths or URL_PATHS
                body = download_pdf(
                    client, self.pdf_fields, path, downloader, max_bytes=self.max_bytes, url_paths=paths
                )
            else:
                url = self.url.address if isinstance(self.url, PrivateUrl) else self.url
                if url is None:
                    raise AddressRefusedError("url is empty after rendering; there is nothing to download")
                body = fetch_file(url, path, downloader, kind=kind, what="the export")
            return self._deliver(body, kind, run, record)

    def _deliver(self, body: SavedBody, kind: str, run: RunIdentity, record: SendRecord | None) -> dict[str, Any]:
        from airflow_provider_callreport.delivery.receipts import Link
        from airflow_provider_callreport.export.road import safe_filename

        name = safe_filename(self.filename or (self.s3_key or "").rpartition("/")[2]) or f"export.{kind}"
        file = _exported(body, name, kind)
        uri = status = None
        links = []
        if self.s3_bucket is not None:
            delivered = _object(self).deliver_file(file, run=run)
            uri, status = delivered.uri, delivered.status.value
            if status != "skipped":
                links.append(Link(uri, filename=file.filename))
        emailed_to = [] if self.email_to is None else self._mail(file, links, run, record)
        return {
            "file_type": kind,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "uri": uri,
            "status": status,
            "emailed_to": emailed_to,
            "complete": None,
        }

    def _mail(self, file: ExportedFile, links: Sequence[Any], run: RunIdentity, record: SendRecord | None) -> list[str]:
        from datetime import UTC

        from airflow_provider_callreport.delivery.server_file import UNPROVED, ServerFileEmail
        from airflow_provider_callreport.report import ReportInfo, ReportOutcome

        mail = ServerFileEmail(
            to=self.email_to or (),
            subject=self.email_subject,
            smtp_conn_id=self.smtp_conn_id,
            max_attachment_bytes=self.max_attachment_bytes,
            on_oversize="link" if links else "fail",
        )
        # The mail shows the title and the file only: there is no window to speak of.
        nowhen = datetime.fromtimestamp(0, UTC)
        info = ReportInfo("calls", self.title, nowhen, nowhen, "UTC")
        outcome = ReportOutcome(0, None, None, UNPROVED)
        receipt = mail.deliver([file], info=info, outcome=outcome, run=run, links=links, record=record)
        return list(receipt.emailed_to)


class PrivateUrl:
    """A URL that is shown by its host only: whoever has the rest may have the file."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __repr__(self) -> str:
        return self.serialize()

    def serialize(self) -> str:
        """What Airflow stores and shows."""
        try:
            host = urlsplit(self.address).hostname
        except ValueError:
            host = None
        return f"https://{host}/***" if host else "***"


class _Record:
    """Remembers over the tries of a task that a request may have been accepted (Airflow 3.3's task state store)."""

    def __init__(self, context: Mapping[str, Any] | Context) -> None:
        self._store: Any = context.get("task_state_store")

    def begin(self, *, again: bool) -> None:
        """Note that a request is about to leave.

        Raises:
            MaybeAcceptedError: an earlier try noted that, and never what became of it.
        """
        if self._store is None:
            return
        if self._store.get(_RECORD) == "intent" and not again:
            raise MaybeAcceptedError(
                "an earlier try of this task may have asked for the export already, so it is not asked for again. "
                "Look into the account's list of exports; request_again_if_unsure=True asks in spite of the doubt"
            )
        self._store.set(_RECORD, "intent", retention=_RECORD_KEPT)

    def end(self) -> None:
        """Note that nothing is in doubt any more."""
        if self._store is not None:
            self._store.set(_RECORD, "done", retention=_RECORD_KEPT)


def _exported(body: SavedBody, filename: str, kind: str) -> ExportedFile:
    from airflow_provider_callreport.api.file_kind import FILE_KINDS
    from airflow_provider_callreport.report import ExportedFile

    return ExportedFile(Path(body.path), filename, FILE_KINDS[kind].content_type, 0, body.size, body.sha256)


def _object(operator: Any) -> ServerFileObject:
    from airflow_provider_callreport.delivery.server_file import ServerFileObject

    return ServerFileObject(
        operator.s3_bucket,
        operator.s3_key,
        operator.aws_conn_id,
        if_exists=operator.if_exists,
        extra_args=operator.s3_extra_args or {},
    )


def _announce(
    operator: CallReportRequestExportOperator | CallReportDownloadOperator,
    context: Context,
    hook: CallReportHook,
    told: Mapping[str, Any],
) -> None:
    """Tell Airflow what was delivered; nothing when ``told`` is empty."""
    from airflow_provider_callreport.assets import DeliveredObject, Delivery
    from airflow_provider_callreport.task.lineage import SERVER_FILES, api_dataset, delivery_lineage

    extra = {name: told[name] for name in _TOLD if name in told}
    objects = []
    if extra and operator.s3_bucket is not None and operator.s3_key is not None:
        new, ours = told["status"] not in ("skipped", "unchanged"), told["status"] != "skipped"
        store = f"s3://{operator.s3_bucket}"
        objects.append(DeliveredObject(store, operator.s3_key, new=new, ours=ours, extra=extra))
    delivery = Delivery(objects, extra)
    operator.announce(
        context,
        delivery,
        lineage=partial(
            delivery_lineage,
            objects,
            inputs=[api_dataset(urlsplit(hook.settings.base_url).netloc, SERVER_FILES)] if extra else [],
        ),
        links={DeliveredFileLink: file_url(delivery, operator.aws_conn_id)},
    )


def _check_s3(settled: Mapping[str, Any], operator: Any) -> None:
    for name, other in (("s3_bucket", "s3_key"), ("s3_key", "s3_bucket")):
        if getattr(operator, name) is None and getattr(operator, other) is not None:
            raise ValueError(f"{other} is set and {name} is not; set both")
    if "if_exists" in settled:
        check_choice("if_exists", settled["if_exists"], IF_EXISTS)
    extra_args = settled.get("s3_extra_args") or {}
    if not isinstance(extra_args, Mapping):
        raise ValueError(f"s3_extra_args is {extra_args!r}; allowed is an object of S3 arguments")
    if operator.s3_bucket is not None:
        S3Destination(settled.get("s3_bucket", "bucket"), settled.get("s3_key", "key"), extra_args=extra_args)


def _check_fields(name: str, fields: Any) -> None:
    if fields is None:
        return
    if not isinstance(fields, Mapping) or not all(isinstance(key, str) for key in fields):
        raise ValueError(f"{name} is of type {type(fields).__name__}; allowed is an object of keys for the request")
    taken = sorted({"userId", "token", "ssid", "filter"} & set(fields))
    if taken:
        raise ValueError(f"{name} has {taken[0]}, which comes from the connection, or from filters and the window")


def _check_paths(name: str, paths: Any) -> None:
    if paths is None:
        return
    wrong = isinstance(paths, str) or not isinstance(paths, Sequence) or not all(isinstance(one, str) for one in paths)
    if wrong or not paths:
        raise ValueError(f'{name} is {paths!r}; allowed is a list of paths, such as ["data.url", "url"]')


def _check_boolean(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; allowed are True and False")
