"""The hook: credentials from an Airflow connection, and the report as pages, rows or a number."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, overload

from airflow.providers.common.compat.sdk import (
    AirflowNotFoundException,
    AirflowOptionalProviderFeatureException,
    BaseHook,
)

from airflow_provider_callreport.connection import CONNECTION_TYPE, HOOK_NAME
from airflow_provider_callreport.hooks.masking import mask_secret
from airflow_provider_callreport.hooks.missing_connection import missing_connection

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow
    from airflow.providers.common.compat.sdk import Connection
    from pandas import DataFrame as PandasDataFrame
    from polars import DataFrame as PolarsDataFrame

    from airflow_provider_callreport.api.async_client import AsyncCallReportClient
    from airflow_provider_callreport.api.body import SavedBody
    from airflow_provider_callreport.api.client import CallReportClient
    from airflow_provider_callreport.api.detail import CallDetail
    from airflow_provider_callreport.api.exports import ExportAnswer
    from airflow_provider_callreport.api.filters import Window
    from airflow_provider_callreport.api.paging import ReportReader
    from airflow_provider_callreport.api.reading import Lessons, Page
    from airflow_provider_callreport.api.settings import ClientSettings
    from airflow_provider_callreport.api.table import ColumnChoice
    from airflow_provider_callreport.report import Value
    from airflow_provider_callreport.rules import Report

DEFAULT_CONN_ID = "callreport_default"

#: The Test button's patience: Airflow's own limit for it is not far above.
_TEST_SECONDS = 8.0


class CallReportHook(BaseHook):
    """Talks to one DeepCall account.

    Args:
        callreport_conn_id: the Airflow connection; its fields are in ``docs/connection.md``.
        client_settings: extra fields of the connection, to be overridden here: ``page_size``, ``timeout``,
            ``deadline``, ``max_retry_time``, ``requests_per_second``, ``timezone``, ``verify`` and so on.

    Example::

        with CallReportHook().get_conn() as client: ...

        for row in CallReportHook().iter_rows("calls", window_start="2026-01-31", window_end="2026-02-01"):
            print(row["Status"], row["Total Talk Duration"])

        frame = CallReportHook().get_df("calls", window_start="2026-01-31", window_end="2026-02-01", df_type="polars")
    """

    conn_name_attr = "callreport_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONNECTION_TYPE
    hook_name = HOOK_NAME

    def __init__(self, callreport_conn_id: str = DEFAULT_CONN_ID, **client_settings: Any) -> None:
        super().__init__()
        self.callreport_conn_id = callreport_conn_id
        self._overrides = client_settings
        self._settings: ClientSettings | None = None

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The form's extra fields, for Airflow before 3.2."""
        from airflow_provider_callreport.hooks.connection_form import form_widgets

        return form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The form's labels, for Airflow before 3.2."""
        from airflow_provider_callreport.hooks.connection_form import field_behaviour

        return field_behaviour()

    @property
    def settings(self) -> ClientSettings:
        """The connection, checked. Its secrets are registered with Airflow's masker before anything else is done.

        Raises:
            SettingsError: a field is wrong.
        """
        if self._settings is None:
            connection = self._connection()
            _check_extra(connection)
            extra = connection.extra_dejson
            for secret in _secrets(connection, extra):
                mask_secret(secret)
            self._settings = self._read(connection, extra)
        return self._settings

    async def aget_settings(self) -> ClientSettings:
        """`settings` without blocking the event loop, for triggers.

        Raises:
            SettingsError: a field is wrong.
        """
        from asgiref.sync import sync_to_async

        # Airflow's own way of reading a connection on an event loop can deadlock before 3.3.2. In a thread, which may
        # wait for the supervisor, the usual way works on every Airflow.
        return await sync_to_async(lambda: self.settings)()

    async def aget_client(self) -> AsyncCallReportClient:
        """`get_conn` for triggers: a client whose requests go on in threads; use it in an ``async with`` block.

        Raises:
            SettingsError: a field of the connection is wrong.
        """
        settings = await self.aget_settings()
        # In a thread, because the first import brings libraries that take a fifth of a second.
        return await asyncio.to_thread(_async_client, settings)

    def get_conn(self) -> CallReportClient:
        """A client for the connection's account; close it, or use it in a ``with`` block.

        Raises:
            SettingsError: a field of the connection is wrong.
        """
        from airflow_provider_callreport.api.client import CallReportClient

        return CallReportClient(self.settings)

    def test_connection(self) -> tuple[bool, str]:
        """Ask for one call of the last minute: the cheapest request that needs the credentials.

        Airflow's Test button comes here where ``[core] test_connection`` is ``Enabled``; in Airflow 3.3.1 and 3.3.2
        only for a connection with a Port. `callreport check` comes here always.

        Returns:
            Whether it worked, and one sentence: what works, or what to fix.
        """
        from airflow_provider_callreport.api.errors import CallReportError

        self._overrides = {
            **self._overrides,
            "timeout": min(5.0, _TEST_SECONDS),
            "deadline": _TEST_SECONDS,
            "max_retry_time": 0,
        }
        self._settings = None
        now = datetime.now(UTC)
        try:
            settings = self.settings
            with self.get_conn() as client:
                self._probe(client, now)
        except (CallReportError, ValueError) as error:
            return False, _sentence(str(error))
        except Exception as error:
            # The button shows whatever is returned; a foreign exception's text may hold the connection.
            return False, f"The connection could not be tested: {type(error).__name__}."
        who = settings.credentials.user_id or "the session of ssid"
        return True, f"Signed in to {settings.base_url} as {who}; the call log can be read."

    def iter_pages(
        self,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
        page_size: int | None = None,
        reads_ahead: bool = True,
    ) -> Iterator[Page]:
        """The report's pages as the API sends them, each call once.

        Only an iteration that ends by itself proves that the report is whole.

        Args:
            report: ``"calls"`` or ``"masked_calls"``.
            filters: API filter keys; unknown ones pass through.
            window_start: first instant; text without an offset is in the account's zone.
            window_end: first instant after the window.
            page_size: calls per request, or None for the connection's.
            reads_ahead: ask for the next page while the present one is worked on; False for a caller that stops early.

        Raises:
            SettingsError: an argument or the connection is wrong.
            CallReportError: the report could not be read.
            IncompleteReportError: it could not be read whole.
        """
        from airflow_provider_callreport.api.paging import ReportReader

        window = self._window(window_start, window_end)
        with self.get_conn() as client:
            yield from ReportReader(
                client, _report(report), filters or {}, window, page_size=page_size, reads_ahead=reads_ahead
            ).pages()

    def iter_rows(
        self,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
        columns: ColumnChoice = None,
        page_size: int | None = None,
        reads_ahead: bool = True,
    ) -> Iterator[dict[str, Value]]:
        """The report's calls as typed dicts, label -> value. Arguments and errors as in `iter_pages`.

        Args:
            report: see `iter_pages`.
            filters: see `iter_pages`.
            window_start: see `iter_pages`.
            window_end: see `iter_pages`.
            columns: labels to keep, or a mapping of label to new name, or None for all.
            page_size: see `iter_pages`.
            reads_ahead: see `iter_pages`.
        """
        from airflow_provider_callreport.api.table import Table

        table = Table(self.settings.timezone, columns)
        pages = self.iter_pages(
            report,
            filters,
            window_start=window_start,
            window_end=window_end,
            page_size=page_size,
            reads_ahead=reads_ahead,
        )
        for number, page in enumerate(pages):
            if number == 0:
                table.start(page.form, page.bodies)
            labels = [column.label for column in table.columns]
            for row in table.rows(page.bodies, page.form):
                yield dict(zip(labels, row, strict=True))

    @overload
    def get_df(
        self,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
        columns: ColumnChoice = None,
        page_size: int | None = None,
        df_type: Literal["pandas"] = "pandas",
    ) -> PandasDataFrame: ...

    @overload
    def get_df(
        self,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
        columns: ColumnChoice = None,
        page_size: int | None = None,
        df_type: Literal["polars"],
    ) -> PolarsDataFrame: ...

    def get_df(
        self,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
        columns: ColumnChoice = None,
        page_size: int | None = None,
        df_type: Literal["pandas", "polars"] = "pandas",
    ) -> PandasDataFrame | PolarsDataFrame:
        """The whole report as a data frame of pandas or polars, or an error; never a part of it.

        A report that changed while it was read is read again, as an operator does. Needs the extra ``pandas`` or
        ``polars``. The whole report is in memory; `get_arrow` holds a page at a time.

        Texts are ``string`` / ``String``, amounts ``Float64``, durations ``timedelta64[us]`` / ``Duration("us")``,
        times ``datetime64[us, ZONE]`` / ``Datetime("us", ZONE)`` in the account's zone. Of a wall time that clocks
        show twice it is the second; one that they skip becomes the first after it. The last column, ``_unread``, is as
        in `formats.arrow`: the text of what could not be read as its column's type, and nothing otherwise.

        Args:
            report: see `iter_pages`.
            filters: see `iter_pages`.
            window_start: see `iter_pages`.
            window_end: see `iter_pages`.
            columns: see `iter_rows`.
            page_size: see `iter_pages`.
            df_type: ``"pandas"`` or ``"polars"``.

        Raises:
            AirflowOptionalProviderFeatureException: the library is not installed; nothing was read.
            SettingsError: an argument or the connection is wrong.
            CallReportError: the report could not be read whole.
        """
        from airflow_provider_callreport.api.errors import SettingsError
        from airflow_provider_callreport.api.paging import ReportReader, read_until_whole
        from airflow_provider_callreport.rules import one_of

        one_of(("pandas", "polars"))("df_type", df_type, SettingsError)
        _require(df_type, "pyarrow", extra=df_type)
        from airflow_provider_callreport.hooks import frames

        window = self._window(window_start, window_end)
        with self.get_conn() as client:

            def make(lessons: Lessons | None) -> ReportReader:
                return ReportReader(
                    client, _report(report), filters or {}, window, page_size=page_size, lessons=lessons
                )

            table = read_until_whole(make, partial(frames.read_table, choice=columns))
        return frames.to_pandas(table) if df_type == "pandas" else frames.to_polars(table)

    def get_arrow(
        self,
        report: Report = "calls",
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
        columns: ColumnChoice = None,
        page_size: int | None = None,
    ) -> pyarrow.RecordBatchReader:
        """The report as a stream of Arrow record batches, a page at a time, for DuckDB, polars, pyarrow and others.

        Only a stream that ends by itself proves that the report is whole: where it is not, reading behind the last
        batch raises instead. Columns, types and metadata are those of the Parquet format, see `formats.arrow`. Needs
        the extra ``parquet``. The first page is asked for at once.

        Args:
            report: see `iter_pages`.
            filters: see `iter_pages`.
            window_start: see `iter_pages`.
            window_end: see `iter_pages`.
            columns: see `iter_rows`.
            page_size: see `iter_pages`.

        Raises:
            AirflowOptionalProviderFeatureException: pyarrow is not installed; nothing was read.
            SettingsError: an argument or the connection is wrong.
            CallReportError: the report could not be read; while the batches are read, that it could not be read whole.
        """
        _require("pyarrow", extra="parquet")
        import pyarrow

        from airflow_provider_callreport.api.paging import ReportReader
        from airflow_provider_callreport.hooks.frames import record_batches

        name, window = _report(report), self._window(window_start, window_end)

        def stream() -> Iterator[Any]:
            with self.get_conn() as client:
                yield from record_batches(
                    ReportReader(client, name, filters or {}, window, page_size=page_size), columns
                )

        batches = stream()
        return pyarrow.RecordBatchReader.from_batches(next(batches).schema, batches)

    def count(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
    ) -> int:
        """How many calls a filter matches, by the API's ``reportCount``.

        Raises:
            CallReportError: the API gave no number.
        """
        fields = self._count_fields(filters, window_start, window_end)
        if fields is None:
            return 0
        with self.get_conn() as client:
            return client.count(fields)

    async def acount(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
    ) -> int:
        """`count` without blocking the event loop, for triggers and async tasks.

        Raises:
            CallReportError: the API gave no number.
        """
        # Read without blocking; what asks for `settings` from here on finds them.
        await self.aget_settings()
        fields = self._count_fields(filters, window_start, window_end)
        if fields is None:
            return 0
        async with await self.aget_client() as client:
            return await client.count(fields)

    def get_call(self, call_id: str, parts: Sequence[str] = ("rcrd",)) -> CallDetail:
        """One call, by the API's ``detail``: its recordings.

        Args:
            call_id: the call's id (``callId`` of a row).
            parts: what to ask for; ``"rcrd"``, the recordings, is the only part that is known.

        Raises:
            SettingsError: an argument or the connection is wrong.
            CallReportError: the API did not answer, or in a shape that cannot be read.
        """
        from airflow_provider_callreport.api.detail import fetch_detail

        with self.get_conn() as client:
            return fetch_detail(client, call_id, parts)

    def request_export(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        window_start: datetime | str,
        window_end: datetime | str,
        path: Path,
        bulk: bool = False,
        fields: Mapping[str, Any] | None = None,
    ) -> ExportAnswer:
        """Ask the server to make a CSV file (``exportCsv``). Nothing is known of its answer; see `api.exports`.

        Args:
            filters: see `iter_pages`.
            window_start: see `iter_pages`.
            window_end: see `iter_pages`.
            path: where the file goes, should the answer be the file itself.
            bulk: ask ``exportCsvBulk``.
            fields: further keys of the body.

        Raises:
            SettingsError: an argument or the connection is wrong.
            MaybeAcceptedError: nobody can tell whether the request was accepted; it was not sent again.
            CallReportError: it was refused.
        """
        from airflow_provider_callreport.api.errors import WindowError
        from airflow_provider_callreport.api.exports import request_export
        from airflow_provider_callreport.api.filters import build_filter

        api_filter = build_filter(filters or {}, self._window(window_start, window_end))
        if api_filter is None:
            raise WindowError("the window lies in an hour that clocks repeat, and no wall time belongs to it")
        with self.get_conn() as client:
            return request_export(client, {**(fields or {}), "filter": api_filter}, path, bulk=bulk)

    def rename_export(self, export_id: str, title: str, *, path: Path, fields: Mapping[str, Any] | None = None) -> Any:
        """Rename an export (``changeTitle``) and return the answer's JSON. Errors as `request_export`.

        Args:
            export_id: sent as ``id``; what the API calls it is not documented.
            title: sent as ``title``.
            path: a file in a private directory, for the answer while it is read.
            fields: further keys of the body, or other names for the two.
        """
        from airflow_provider_callreport.api.exports import rename_export

        with self.get_conn() as client:
            return rename_export(client, {"id": export_id, "title": title, **(fields or {})}, path)

    def download_pdf(self, fields: Mapping[str, Any], path: Path, *, max_bytes: int = 100_000_000) -> SavedBody:
        """Take a PDF that the server has made (``downloadPdf``): bytes, base64, or what is behind a link.

        Args:
            fields: the body; not documented.
            path: where the file goes.
            max_bytes: the largest file.

        Raises:
            NotReadyError: it is not made yet.
            CallReportError: what came is no PDF, or the API did not answer.
        """
        from airflow_provider_callreport.api.download import FileDownloader
        from airflow_provider_callreport.api.exports import download_pdf

        with self.get_conn() as client, FileDownloader(client, max_bytes=max_bytes) as downloader:
            return download_pdf(client, fields, path, downloader, max_bytes=max_bytes)

    def _connection(self) -> Connection:
        try:
            return self.get_connection(self.callreport_conn_id)
        except AirflowNotFoundException:
            failure = missing_connection(self.callreport_conn_id)
        # Outside the handler: what Airflow says of a connection that it cannot read may hold the token.
        raise failure

    def _read(self, connection: Connection, extra: Mapping[str, Any]) -> ClientSettings:
        from airflow_provider_callreport.api.settings import settings_from_connection

        return settings_from_connection(
            host=connection.host,
            port=connection.port,
            scheme=connection.schema,
            login=connection.login,
            password=connection.password,
            extra=extra,
            overrides=self._overrides,
        )

    def _window(self, start: datetime | str, end: datetime | str) -> Window:
        from airflow_provider_callreport.api.filters import Window, parse_time

        zone = self.settings.timezone
        return Window(parse_time(start, "window_start", zone), parse_time(end, "window_end", zone), zone)

    def _count_fields(
        self, filters: Mapping[str, Any] | None, start: datetime | str, end: datetime | str
    ) -> dict[str, Any] | None:
        """What ``reportCount`` is asked; None where no wall time belongs to the window, so that no call can."""
        from airflow_provider_callreport.api.filters import build_filter

        api_filter = build_filter(filters or {}, self._window(start, end))
        return None if api_filter is None else {"filter": api_filter}

    def _probe(self, client: CallReportClient, now: datetime) -> None:
        from airflow_provider_callreport.api.answer import parse_answer
        from airflow_provider_callreport.api.counting import check_alone
        from airflow_provider_callreport.api.filters import Window, build_filter

        window = Window(now - timedelta(minutes=1), now, client.settings.timezone)
        answer = client.call("list", {"filter": build_filter({}, window) or {}, "sz": 1, "page": 0}, parse_answer)
        check_alone(answer, window, client.settings)


def _async_client(settings: ClientSettings) -> AsyncCallReportClient:
    from airflow_provider_callreport.api.async_client import AsyncCallReportClient

    return AsyncCallReportClient(settings)


def _require(*libraries: str, extra: str) -> None:
    """Refuse what needs libraries that are not installed.

    Raises:
        AirflowOptionalProviderFeatureException: one is missing; the message names the extra that brings it.
    """
    for library in libraries:
        try:
            import_module(library)
        except ImportError as error:
            raise AirflowOptionalProviderFeatureException(
                f"{library} is not installed; run: pip install 'airflow-provider-callreport[{extra}]' ({error})"
            ) from error


def _secrets(connection: Connection, extra: Mapping[str, Any]) -> list[str]:
    candidates = (connection.password, extra.get("ssid"), extra.get("hmac_secret"))
    return [secret for secret in candidates if isinstance(secret, str) and secret]


def _check_extra(connection: Connection) -> None:
    """Refuse extra fields that are no object: Airflow's own ``extra_dejson`` takes them for none at all."""
    from airflow_provider_callreport.api.errors import SettingsError

    with contextlib.suppress(ValueError):
        if isinstance(json.loads(connection.extra or "{}"), dict):
            return
    raise SettingsError('Extra of the connection is no JSON object; write one such as {"timezone": "Asia/Kolkata"}')


def _report(name: str) -> str:
    from airflow_provider_callreport.api.errors import SettingsError
    from airflow_provider_callreport.api.filters import REPORTS
    from airflow_provider_callreport.rules import one_of

    one_of(REPORTS)("report", name, SettingsError)
    return name


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
