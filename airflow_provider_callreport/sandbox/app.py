"""The stand-in for the vendor's Call Report API, as an ASGI application.

Where the vendor documents something, it answers exactly so: the answer to a request that matches no call is byte for
byte the one example answer that the vendor prints. Where the vendor documents nothing, `SandboxSettings` chooses one of
the answers that are possible.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from airflow_provider_callreport.sandbox.answer import make_answer
from airflow_provider_callreport.sandbox.errors import VendorError, error_body
from airflow_provider_callreport.sandbox.exports import ExportDesk
from airflow_provider_callreport.sandbox.fault_effects import (
    ANSWER_FAULTS,
    BODY_FAULTS,
    JSON,
    PAGE_FAULTS,
    REQUEST_FAULTS,
    FaultMisuse,
    FaultyRequest,
    page_cursor,
)
from airflow_provider_callreport.sandbox.faults import Stage, due_faults
from airflow_provider_callreport.sandbox.query import PageQuery, page_query, select
from airflow_provider_callreport.sandbox.recordings import detail, stream
from airflow_provider_callreport.sandbox.rows import encode_json
from airflow_provider_callreport.sandbox.settings import SandboxSettings, parse_faults
from airflow_provider_callreport.sandbox.wire import PAGE_HEADER

#: At most so many requests are remembered.
KEPT_REQUESTS = 100_000

_CREDENTIALS = ("userId", "token", "ssid")


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that the API answered.

    Attributes:
        endpoint: such as ``"list"``, in the spelling of the request.
        body: its JSON without the credentials; None when it was not a JSON object.
        credentials: the names of the credential keys that it had.
        page: number of the page that was asked for, also in a read by cursor; None at other endpoints.
        time: when it came, as `time.monotonic` seconds of the sandbox's process.
        status: HTTP status that was answered, whatever became of the answer on the wire.
    """

    endpoint: str
    body: Mapping[str, Any] | None
    credentials: tuple[str, ...]
    page: int | None
    time: float
    status: int


class SandboxApp:
    """The ASGI application and what it remembers.

    Attributes:
        settings: how it behaves; may be changed or replaced between two requests.
        requests: what it answered, oldest first.
        proxied: whether a `TcpProxy` is in front. Page answers then have a header with the page's number, which the
            proxy has to know and cannot compute in a read by cursor.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.requests: list[ReceivedRequest] = []
        self.proxied = False
        self._desk = ExportDesk()
        self.asgi = Starlette(
            routes=[
                Route(
                    "/api/v2/recording/directstream/{token}/mp3/{user}/{year}/{month}/{day}/{file}",
                    self._stream,
                    methods=["GET"],
                ),
                Route("/api/v2/{room}/{endpoint}", self._call, methods=["POST"]),
                Route("/api/v2/{room}/{endpoint}/", self._call, methods=["POST"]),
                Route("/sandbox/faults", self._faults, methods=["GET", "POST"]),
                Route("/sandbox/requests", self._list_requests, methods=["GET", "DELETE"]),
                Route("/sandbox/exports/{export_id}", self._download, methods=["GET"]),
            ],
            exception_handlers={404: _not_found, 405: _not_found},
        )
        # The vendor's examples spell paths with and without a slash at the end: both are answered, none is redirected.
        self.asgi.router.redirect_slashes = False

    async def _call(self, request: Request) -> Response:
        if request.path_params["room"].lower() != "callreport":
            return await _not_found(request, None)
        began = time.monotonic()
        endpoint = request.path_params["endpoint"]
        try:
            raw = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        body = _json_object(raw)
        exchange = _Exchange(endpoint, raw, body)
        try:
            response = await self._answer(exchange)
        except VendorError as error:
            text = encode_json(error_body(error.code, error.message))
            response = Response(text, self.settings.error_status, media_type=JSON)
        except FaultMisuse as error:
            response = Response(f"sandbox: {error}", 500, media_type="text/plain")
        if self.proxied and exchange.page is not None:
            response.headers[PAGE_HEADER] = str(exchange.page)
        self._remember(exchange, began, response.status_code)
        return response

    async def _answer(self, exchange: _Exchange) -> Response:
        settings, name = self.settings, exchange.endpoint.lower()
        if settings.needs_proxy and not self.proxied:
            raise FaultMisuse("faults of the wire need the proxy: SandboxServer(..., proxy=True), or --proxy")
        authenticate(exchange.body, settings)
        body = exchange.body or {}
        if name in ("list", "masklist"):
            source = settings.masked_calls if name == "masklist" else settings.calls
            exchange.query = page_query(body, source, settings)
            exchange.page = exchange.query.page
        for fault in due_faults(settings.faults, Stage.REQUEST, name, exchange.page):
            response = await REQUEST_FAULTS[fault.name](fault, FaultyRequest(exchange.raw, settings))
            if response is not None:
                return response
        if exchange.query is not None:
            return self._page(exchange, exchange.query)
        match name:
            case "reportcount":
                return report_count(len(select(body, settings.calls, settings)), settings.report_count, settings)
            case "detail":
                return detail(body, settings)
            case "exportcsv" | "exportcsvbulk":
                return self._desk.export(body, settings)
            case "changetitle":
                return self._desk.change_title(body)
            case "downloadpdf":
                return self._desk.download_pdf(settings)
        return _cannot_post(f"/api/v2/CallReport/{exchange.endpoint}")

    def _page(self, exchange: _Exchange, query: PageQuery) -> Response:
        settings, name, page = self.settings, exchange.endpoint.lower(), exchange.page
        for fault in due_faults(settings.faults, Stage.PAGE, name, page):
            PAGE_FAULTS[fault.name](fault, query)
        rows = query.rows(settings)
        answer = make_answer(settings, rows, query.total, page_cursor(query, rows, settings), query.offset)
        for fault in due_faults(settings.faults, Stage.ANSWER, name, page):
            ANSWER_FAULTS[fault.name](fault, answer, query)
        encoded, media_type = answer.encode(), JSON
        for fault in due_faults(settings.faults, Stage.BODY, name, page):
            encoded, media_type = BODY_FAULTS[fault.name](fault, encoded, media_type)
        return Response(encoded, media_type=media_type)

    def _remember(self, exchange: _Exchange, began: float, status: int) -> None:
        body = exchange.body
        self.requests.append(
            ReceivedRequest(
                endpoint=exchange.endpoint,
                body=None if body is None else {key: value for key, value in body.items() if key not in _CREDENTIALS},
                credentials=tuple(key for key in _CREDENTIALS if body and key in body),
                page=exchange.page,
                time=began,
                status=status,
            )
        )
        if len(self.requests) > KEPT_REQUESTS:
            del self.requests[: KEPT_REQUESTS // 2]

    async def _faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                body = json.loads(await request.body())
                self.settings.faults = parse_faults(body["faults"])
            except (ValueError, KeyError, TypeError) as error:
                hint = 'send {"faults": [{"name": ..., ...}]}'
                return JSONResponse({"error": str(error) if isinstance(error, ValueError) else hint}, 400)
        return JSONResponse({"faults": [fault.to_dict() for fault in self.settings.faults]})

    async def _list_requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.requests.clear()
        return JSONResponse(
            {
                "requests": [
                    {"endpoint": one.endpoint, "page": one.page, "time": one.time, "status": one.status}
                    for one in self.requests
                ]
            }
        )

    async def _download(self, request: Request) -> Response:
        return await self._file(
            request, "download", lambda: self._desk.download(request.path_params["export_id"], self.settings)
        )

    async def _stream(self, request: Request) -> Response:
        part = request.path_params
        recording = "*".join(
            (part["token"], "mp3", part["user"], part["year"], part["month"], part["day"], part["file"])
        )
        return await self._file(request, "recording", lambda: stream(recording, self.settings))

    async def _file(self, request: Request, name: str, make: Callable[[], Response]) -> Response:
        """A file that is fetched with GET, without credentials; faults of the stage REQUEST know it as ``name``."""
        began = time.monotonic()
        try:
            for fault in due_faults(self.settings.faults, Stage.REQUEST, name, None):
                response = await REQUEST_FAULTS[fault.name](fault, FaultyRequest(b"", self.settings))
                if response is not None:
                    break
            else:
                response = make()
        except VendorError as error:
            response = JSONResponse(error_body(error.code, error.message), self.settings.error_status)
        assert response is not None
        query = {key: "" for key in request.query_params if key in _CREDENTIALS}
        self._remember(_Exchange(name, b"", query), began, response.status_code)
        return response


@dataclass
class _Exchange:
    endpoint: str
    raw: bytes
    body: dict[str, Any] | None
    query: PageQuery | None = None
    page: int | None = None


def authenticate(body: Mapping[str, Any] | None, settings: SandboxSettings) -> None:
    """Check a body's credentials as the vendor documents it.

    Raises:
        VendorError: 1047 for a body that is no JSON object, 1000 for missing or mixed credentials, 1014 for wrong
            ones, 1015 for a user who may not list calls.
    """
    if body is None:
        raise VendorError(1047)
    ssid, token, user_id = body.get("ssid"), body.get("token"), body.get("userId")
    if "ssid" in body and "token" in body:
        raise VendorError(1000, "Invalid parameters: ssid must not be present when userId and token are used")
    if ssid:
        if ssid != settings.ssid:
            raise VendorError(1014)
    elif not token or not user_id:
        raise VendorError(1000, "Invalid parameters: send ssid, or userId and token")
    elif token != settings.token or str(user_id) not in {settings.user_id, *settings.users_without_permission}:
        raise VendorError(1014)
    if user_id is not None and str(user_id) in settings.users_without_permission:
        raise VendorError(1015)


def report_count(count: int, shape: str, settings: SandboxSettings) -> Response:
    """The answer of ``reportCount`` in one of the forms it may have.

    Raises:
        VendorError: 1009, in the form ``"error"``.
    """
    match shape:
        case "cnt" | "count" | "total" | "data":
            return JSONResponse({shape: count})
        case "data_cnt":
            return JSONResponse({"data": {"cnt": count}})
        case "bare":
            return JSONResponse(count)
        case "numeral":
            return JSONResponse(str(count))
        case "differs":
            return JSONResponse({"cnt": count + count // 7 + (count > 0)})
        case "error":
            raise VendorError(1009)
        case _:
            return _cannot_post("/api/v2/CallReport/reportCount")


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


async def _not_found(request: Request, _error: Exception | None) -> Response:
    return _cannot_post(request.url.path, request.method)


def _cannot_post(path: str, method: str = "POST") -> Response:
    # The vendor's API looks like an Express server, which answers unknown paths in this way.
    return HTMLResponse(f"<!DOCTYPE html>\n<html><body><pre>Cannot {method} {path}</pre></body></html>\n", 404)
