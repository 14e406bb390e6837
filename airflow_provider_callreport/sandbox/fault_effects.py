"""What each fault of the API itself does; the faults of the wire are in `wire`."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from html import escape

from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from airflow_provider_callreport.sandbox.answer import Answer, encode_cursor
from airflow_provider_callreport.sandbox.errors import error_body
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.query import PageQuery
from airflow_provider_callreport.sandbox.rows import encode_json
from airflow_provider_callreport.sandbox.settings import SandboxSettings

JSON = "application/json; charset=utf-8"

_MEGABYTE = 1 << 20


class FaultMisuse(ValueError):
    """A fault that cannot be played with these settings."""


@dataclass(frozen=True, slots=True)
class FaultyRequest:
    """The request that a fault of the stage REQUEST answers.

    Attributes:
        raw: the request's body as it came.
        settings: those of the sandbox.
    """

    raw: bytes
    settings: SandboxSettings


def _error(code: object, message: str | None, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(encode_json(error_body(code, message)), status, headers, JSON)


def _retry_after(fault: Fault) -> dict[str, str] | None:
    return None if fault["retry_after"] is None else {"Retry-After": str(fault["retry_after"])}


async def _http_status(fault: Fault, request: FaultyRequest) -> Response:
    status = fault["status"]
    return HTMLResponse(
        f"<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>",
        status,
        _retry_after(fault),
    )


async def _vendor_error(fault: Fault, request: FaultyRequest) -> Response:
    status = fault["http_status"] or request.settings.error_status
    return _error(fault["code"], fault["message"], status, _retry_after(fault))


async def _error_with_cnt(fault: Fault, request: FaultyRequest) -> Response:
    return Response(encode_json(error_body(fault["code"]) | {"data": None, "cnt": fault["cnt"]}), media_type=JSON)


async def _leaky_error(fault: Fault, request: FaultyRequest) -> Response:
    message = f"Query failed for {request.raw.decode('utf-8', 'replace')}"
    if fault["html"]:
        return HTMLResponse(f"<html><body><pre>{escape(message)}</pre></body></html>", fault["http_status"])
    return _error(fault["code"], message, fault["http_status"])


async def _html_page(fault: Fault, request: FaultyRequest) -> Response:
    return HTMLResponse(
        "<!DOCTYPE html><html><head><title>Login</title></head><body>Please sign in.</body></html>", fault["status"]
    )


async def _empty_body(fault: Fault, request: FaultyRequest) -> Response:
    return Response(b"", media_type=JSON)


async def _redirect(fault: Fault, request: FaultyRequest) -> Response:
    return RedirectResponse(fault["location"], fault["status"])


async def _delay(fault: Fault, request: FaultyRequest) -> None:
    await asyncio.sleep(fault["seconds"])


async def _gzip_bomb(fault: Fault, request: FaultyRequest) -> Response:
    return Response(_bomb(fault["megabytes"]), headers={"Content-Encoding": "gzip"}, media_type=JSON)


async def _huge_body(fault: Fault, request: FaultyRequest) -> Response:
    size = fault["megabytes"]

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"data":['
        for _ in range(size):
            yield b" " * _MEGABYTE
        yield b"]}"

    headers = {"Content-Length": str(size * _MEGABYTE + len(b'{"data":[]}'))} if fault["declared"] else None
    return StreamingResponse(chunks(), headers=headers, media_type=JSON)


@lru_cache(maxsize=2)
def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    spaces = b" " * _MEGABYTE
    parts = [packer.compress(b'{"data":[')]
    parts += [packer.compress(spaces) for _ in range(megabytes)]
    parts += [packer.compress(b"]}"), packer.flush()]
    return b"".join(parts)


#: Each gives the answer that is sent instead of the page, or None for the right answer.
REQUEST_FAULTS: dict[str, Callable[[Fault, FaultyRequest], Awaitable[Response | None]]] = {
    "http_status": _http_status,
    "vendor_error": _vendor_error,
    "error_on_page": _vendor_error,
    "error_with_cnt": _error_with_cnt,
    "leaky_error": _leaky_error,
    "html_page": _html_page,
    "empty_body": _empty_body,
    "redirect": _redirect,
    "delay": _delay,
    "gzip_bomb": _gzip_bomb,
    "huge_body": _huge_body,
}


def _overlapping_pages(fault: Fault, query: PageQuery) -> None:
    # The cursor stays that of the row that should have been the last, so that the next page begins where it should.
    query.cursor_place = query.last_place()
    query.offset = max(query.offset - fault["rows"], 0)


def _ignores_page(fault: Fault, query: PageQuery) -> None:
    query.offset = 0


def _stuck_cursor(fault: Fault, query: PageQuery) -> None:
    query.cursor_place = min(query.size, query.total) - 1


def _cycling_cursor(fault: Fault, query: PageQuery) -> None:
    pages = 2 if query.page % 2 else 1
    query.cursor_place = min(pages * query.size, query.total) - 1


def _growing_total(fault: Fault, query: PageQuery) -> None:
    missing = max(fault["rows"] - fault["step"] * (fault.hits - 1), 0)
    query.high = max(query.high - missing, query.low)


def _shrinking_total(fault: Fault, query: PageQuery) -> None:
    gone = min(fault["rows"], fault["step"] * (fault.hits - 1), query.total)
    if fault["end"] == "oldest":
        query.low += gone
    else:
        query.high -= gone


#: Change which rows a page has.
PAGE_FAULTS: dict[str, Callable[[Fault, PageQuery], None]] = {
    "overlapping_pages": _overlapping_pages,
    "ignores_page": _ignores_page,
    "stuck_cursor": _stuck_cursor,
    "cycling_cursor": _cycling_cursor,
    "growing_total": _growing_total,
    "shrinking_total": _shrinking_total,
}


def _short_page(fault: Fault, answer: Answer, query: PageQuery) -> None:
    middle = max(len(answer.rows) - fault["rows"], 0) // 2
    del answer.rows[middle : middle + fault["rows"]]


def _empty_page(fault: Fault, answer: Answer, query: PageQuery) -> None:
    answer.rows = []
    answer.data = "[]"


def _null_data(fault: Fault, answer: Answer, query: PageQuery) -> None:
    answer.data = "null"


def _missing_data(fault: Fault, answer: Answer, query: PageQuery) -> None:
    answer.data = ""


def _odd_row(fault: Fault, answer: Answer, query: PageQuery) -> None:
    answer.rows[:1] = [encode_json(fault["value"])]


def _wrong_total(fault: Fault, answer: Answer, query: PageQuery) -> None:
    answer.cnt = str(query.total + fault["by"])


#: Change the JSON of a page.
ANSWER_FAULTS: dict[str, Callable[[Fault, Answer, PageQuery], None]] = {
    "short_page": _short_page,
    "empty_page": _empty_page,
    "null_data": _null_data,
    "missing_data": _missing_data,
    "odd_row": _odd_row,
    "wrong_total": _wrong_total,
}


def _truncated_json(fault: Fault, body: bytes, media_type: str) -> tuple[bytes, str]:
    return body[: len(body) // 2], media_type


def _bom(fault: Fault, body: bytes, media_type: str) -> tuple[bytes, str]:
    return b"\xef\xbb\xbf" + body, media_type


def _json_as_html(fault: Fault, body: bytes, media_type: str) -> tuple[bytes, str]:
    return body, "text/html; charset=utf-8"


#: Change the bytes of a body and its content type.
BODY_FAULTS: dict[str, Callable[[Fault, bytes, str], tuple[bytes, str]]] = {
    "truncated_json": _truncated_json,
    "bom": _bom,
    "json_as_html": _json_as_html,
}


def page_cursor(query: PageQuery, rows: list[str], settings: SandboxSettings) -> str | None:
    """The cursor of a page.

    Mostly it is that of the page's last row. Where a fault chose another one, the last row gets that cursor, too.

    Raises:
        FaultMisuse: a fault changes the cursor of a server that has none.
    """
    last = query.last_place()
    if settings.cursor == "none":
        if query.cursor_place is not None and "overlapping_pages" not in {fault.name for fault in settings.faults}:
            raise FaultMisuse('the faults stuck_cursor and cycling_cursor need the setting cursor, which is "none"')
        return None
    if last is None:
        return None
    own = encode_cursor(settings, query.key(last))
    if query.cursor_place is None:
        return own
    chosen = encode_cursor(settings, query.key(query.cursor_place))
    if settings.cursor != "top":
        rows[-1] = chosen.join(rows[-1].rsplit(own, 1))
    return chosen
