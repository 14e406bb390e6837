"""DeepCall over HTTP: one request in, one checked answer out.

A client signs the request in its body, paces it, bounds its time and its size, tries it again when that can help, and
raises one of `errors` when what came back is no answer. It knows nothing of pages and rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import requests

from airflow_provider_callreport.api.answer_check import (
    check_answer,
    check_no_redirect,
    decode,
    read_count,
    vendor_error,
)
from airflow_provider_callreport.api.body import SavedBody, body_pieces, decode_saved, save_body
from airflow_provider_callreport.api.errors import (
    AnswerError,
    AnswerTooLargeError,
    CallReportError,
    MaybeAcceptedError,
    RateLimitedError,
    RedirectError,
    ServiceError,
    TransportError,
)
from airflow_provider_callreport.api.pace import Pace
from airflow_provider_callreport.api.request import HEADERS, build_body, endpoint_url
from airflow_provider_callreport.api.retry import call_with_retries, log_retry
from airflow_provider_callreport.api.settings import ClientSettings
from airflow_provider_callreport.api.transport import make_session
from airflow_provider_callreport.api.transport_errors import NETWORK_ERRORS, Patience, transport_error

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """A checked answer that may be a file.

    Attributes:
        body: the answer's body on disk.
        is_json: whether it is JSON rather than a file.
        payload: the decoded JSON; None for a file.
    """

    body: SavedBody
    is_json: bool
    payload: Any = field(repr=False)


class CallReportClient:
    """A connection to one account.

    Safe to use from several threads: they share the connection pool and the pace.

    Args:
        settings: where, who, how patiently.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._session = make_session(settings.base_url, verify=settings.verify)
        self._pace = Pace(settings.requests_per_second)
        self.requests_made = 0
        self._templates: dict[str, requests.PreparedRequest] = {}

    def __enter__(self) -> CallReportClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way in other threads at once, and close the connections. A closed client stays closed."""
        self._session.close()

    def call(
        self,
        endpoint: str,
        fields: Mapping[str, Any],
        parse: Callable[[Any, bytes], T],
        *,
        raw_fields: Mapping[str, str] | None = None,
        page: int | None = None,
        max_retry_time: float | None = None,
        on_retry: Callable[[CallReportError], None] | None = None,
        check_size: Callable[[bytes], None] | None = None,
    ) -> T:
        """Make one reading request and return what ``parse`` makes of its answer.

        Args:
            endpoint: ``list``, ``masklist``, ``reportCount`` or ``detail``: requests that change nothing, so that each
                may be tried again.
            fields: the body without credentials.
            parse: gets the decoded JSON and the raw bytes. An `AnswerError` from it counts as a bad answer and is tried
                again like any other.
            raw_fields: further keys of the body whose values are JSON text, sent as they are.
            page: number of the request within a report, for error messages.
            max_retry_time: seconds; None for the connection's setting.
            on_retry: told of each error after which the request is tried again.
            check_size: raises when the body holds more than it may, before it is decoded.

        Raises:
            CallReportError: one of the tree in `errors`.
        """
        body = build_body(self.settings.credentials, fields, raw_fields)

        def attempt() -> T:
            try:
                payload, raw = self._attempt(endpoint, body, page, check_size)
                return parse(payload, raw)
            except RecursionError:
                raise AnswerError(f"{endpoint} answered JSON that is nested too deeply") from None

        return call_with_retries(
            attempt,
            max_retry_time=self.settings.max_retry_time if max_retry_time is None else max_retry_time,
            before_sleep=log_retry(endpoint, page, on_retry),
            sleep=self._sleep,
        )

    def count(self, fields: Mapping[str, Any], *, max_retry_time: float | None = None) -> int:
        """Ask ``reportCount`` how many calls a filter matches.

        The answer's shape is not documented; a number is taken from any of the shapes in `read_count`.

        Raises:
            AnswerError: the answer holds no number.
        """
        return self.call("reportCount", fields, lambda payload, _: read_count(payload), max_retry_time=max_retry_time)

    def save(
        self, endpoint: str, fields: Mapping[str, Any], path: Path, *, max_bytes: int, changes_state: bool
    ) -> SavedAnswer:
        """Make one request whose answer may be a file, and write the answer's body to ``path``.

        Args:
            endpoint: ``exportCsv``, ``exportCsvBulk``, ``changeTitle`` or ``downloadPdf``.
            fields: the body without credentials.
            path: where the body goes; overwritten.
            max_bytes: the largest body.
            changes_state: the request must not be made twice. It is tried again only where it is certain that nothing
                of it had left: no name, no connection.

        Raises:
            MaybeAcceptedError: ``changes_state``, and no answer says whether the request was accepted.
            CallReportError: one of the tree in `errors`.
        """
        body = build_body(self.settings.credentials, fields)

        def attempt() -> SavedAnswer:
            try:
                return self._save_once(endpoint, body, path, max_bytes, once=changes_state)
            except (AnswerError, AnswerTooLargeError, RateLimitedError, RedirectError, ServiceError) as error:
                failure: CallReportError = error
            except TransportError as error:
                if not error.sent:
                    raise
                failure = error
            if not changes_state:
                raise failure
            raise MaybeAcceptedError(
                f"{endpoint} may or may not have been accepted, so it is not sent again: {failure}. Look into the "
                "account's list of exports before you ask once more"
            ) from failure

        return call_with_retries(
            attempt,
            max_retry_time=self.settings.max_retry_time,
            before_sleep=log_retry(endpoint),
            sleep=self._sleep,
        )

    def wait_for_turn(self) -> None:
        """Wait until the pace of this client (``requests_per_second``) allows one more request to its host."""
        self._pace.wait(self._sleep)

    def _save_once(self, endpoint: str, body: bytes, path: Path, max_bytes: int, *, once: bool) -> SavedAnswer:
        def read(response: requests.Response) -> SavedBody:
            return save_body(response, path, max_bytes, endpoint)

        response, saved = self._exchange(endpoint, body, read, once=once)
        is_json, payload = decode_saved(saved, decode, self.settings.max_response_bytes)
        if is_json or response.status_code >= 400:
            error = vendor_error(endpoint, response, payload, secrets=self._secrets())
            if error is not None:
                raise error
        elif (fault := saved.fault) is not None:
            raise AnswerError(f"{endpoint} answered HTTP {response.status_code} with {fault}")
        return SavedAnswer(saved, is_json, payload)

    def _attempt(
        self, endpoint: str, body: bytes, page: int | None, check_size: Callable[[bytes], None] | None
    ) -> tuple[Any, bytes]:
        response, raw = self._exchange(endpoint, body, lambda response: self._read(response, endpoint))
        if check_size is not None:
            check_size(raw)
        return check_answer(endpoint, response, raw, page=page, secrets=self._secrets()), raw

    def _exchange(
        self, endpoint: str, body: bytes, read: Callable[[requests.Response], T], *, once: bool = False
    ) -> tuple[requests.Response, T]:
        """One request and what ``read`` makes of its answer's body, all inside the deadline.

        Args:
            endpoint: what to ask.
            body: the signed body.
            read: reads the answer's body.
            once: the request must not be sent a second time, not even where the first met a closed connection.
        """
        settings = self.settings
        # The deadline is the server's; waiting for one's turn may take longer.
        self._pace.wait(self._sleep)
        sent = 0

        def send() -> requests.Response:
            nonlocal sent
            request = self._prepare(endpoint, body)
            if sent:
                self._pace.wait(self._sleep)
            sent += 1
            self.requests_made += 1
            timeout = (settings.connect_timeout, settings.timeout)
            return self._session.send(request, timeout=timeout, allow_redirects=False, stream=True)

        try:
            with (
                self._session.exchange(settings.deadline) as exchange,
                send() if once else self._session.answer(exchange, send) as response,
            ):
                check_no_redirect(endpoint, response)
                return response, read(response)
        except NETWORK_ERRORS as error:
            where, patience = f"{endpoint} at {settings.base_url}", patience_of(settings)
            failure = transport_error(where, settings.base_url, error, patience)
        # Outside the handler, so that the new error does not carry the original as its context: that one holds the
        # prepared request, and with it the credentials.
        raise failure

    def _sleep(self, seconds: float) -> None:
        """Sleep, unless the client is closed meanwhile."""
        if self._session.closed.wait(seconds):
            raise TransportError("the client was closed", retryable=False, sent=False)

    def _prepare(self, endpoint: str, body: bytes) -> requests.PreparedRequest:
        request = self._template(endpoint).copy()
        request.prepare_body(body, None)
        request.prepare_cookies(self._session.cookies)
        return request

    def _template(self, endpoint: str) -> requests.PreparedRequest:
        """An endpoint's request without body and cookies: preparing one takes ``requests`` as long as the rest."""
        if endpoint not in self._templates:
            request = requests.Request("POST", endpoint_url(self.settings, endpoint), headers=HEADERS)
            self._templates[endpoint] = self._session.prepare_request(request)
        return self._templates[endpoint]

    def _read(self, response: requests.Response, endpoint: str) -> bytes:
        limit = self.settings.max_response_bytes
        too_large = (
            f"{endpoint} answered more than {limit} bytes; ask for fewer calls a page (page_size), "
            "or raise max_response_bytes"
        )
        return b"".join(body_pieces(response, limit, f"the answer of {endpoint}", too_large))

    def _secrets(self) -> tuple[str, ...]:
        return (*self.settings.secrets(), self.settings.credentials.user_id or "")


def patience_of(settings: ClientSettings, deadline: float | None = None) -> Patience:
    """How long a client waits, in seconds; with another deadline where it is given."""
    return Patience(settings.connect_timeout, settings.timeout, settings.deadline if deadline is None else deadline)
