"""DeepCall over HTTP for an event loop: the triggerer's client.

It asks for numbers only, never for rows. Requests are built by `request` and answers judged by `answer_check`, as those
of `client` are; only what carries them differs: ``httpx``, which Airflow itself brings.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from airflow_provider_callreport.api.answer_check import check_answer, check_no_redirect, read_count
from airflow_provider_callreport.api.body import ENCODINGS
from airflow_provider_callreport.api.errors import (
    AnswerError,
    AnswerTooLargeError,
    CallReportError,
    SettingsError,
    TimeoutExceededError,
    TransportError,
    scrub,
)
from airflow_provider_callreport.api.pace import Pace
from airflow_provider_callreport.api.request import HEADERS, build_body, endpoint_url
from airflow_provider_callreport.api.retry import acall_with_retries, log_retry
from airflow_provider_callreport.api.settings import ClientSettings
from airflow_provider_callreport.api.transport import environment

T = TypeVar("T")

#: Larger answers hold up the event loop while they are decoded, and a number does not need them.
MAX_BYTES = 4 * 1024 * 1024

#: A body of many tiny gzip members takes long to unpack; servers send one.
_MAX_MEMBERS = 100

#: Encodings that leave a body as it is.
_PLAIN = frozenset({"", "identity"})


class AsyncCallReportClient:
    """A connection to one account, for one event loop.

    Args:
        settings: where, who, how patiently.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._pace = Pace(settings.requests_per_second)
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> AsyncCallReportClient:
        # Reading a CA bundle takes as long as a request; the event loop is not kept waiting for it.
        self._http = await asyncio.to_thread(_make_http_client, self.settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def call(self, endpoint: str, fields: Mapping[str, Any], parse: Callable[[Any, bytes], T]) -> T:
        """Make one reading request and return what ``parse`` makes of its answer; see `CallReportClient.call`.

        Raises:
            CallReportError: one of the tree in `errors`.
        """
        body = build_body(self.settings.credentials, fields)

        async def attempt() -> T:
            try:
                payload, raw = await self._attempt(endpoint, body)
                return parse(payload, raw)
            except RecursionError:
                raise AnswerError(f"{endpoint} answered JSON that is nested too deeply") from None

        return await acall_with_retries(
            attempt, max_retry_time=self.settings.max_retry_time, before_sleep=log_retry(endpoint)
        )

    async def count(self, fields: Mapping[str, Any]) -> int:
        """Ask ``reportCount`` how many calls a filter matches; see `CallReportClient.count`.

        Raises:
            AnswerError: the answer holds no number.
        """
        return await self.call("reportCount", fields, lambda payload, _: read_count(payload))

    async def _attempt(self, endpoint: str, body: bytes) -> tuple[Any, bytes]:
        if self._http is None:
            raise RuntimeError("the client is used in an `async with` block only")
        await asyncio.sleep(self._pace.reserve())
        settings = self.settings
        try:
            async with (
                asyncio.timeout(settings.deadline),
                self._http.stream("POST", endpoint_url(settings, endpoint), content=body, headers=HEADERS) as response,
            ):
                check_no_redirect(endpoint, response)
                raw = await self._read(response, endpoint)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, zlib.error) as error:
            failure = _transport_error(f"{endpoint} at {settings.base_url}", error, settings)
        else:
            secrets = (*settings.secrets(), settings.credentials.user_id or "")
            return check_answer(endpoint, response, raw, secrets=secrets), raw
        # Outside the handler, so that the new error does not carry the original as its context: that one holds the
        # request, and with it the credentials.
        raise failure

    async def _read(self, response: httpx.Response, endpoint: str) -> bytes:
        """The body, bounded on the wire and unpacked (httpx unpacks without a bound, so it is not asked to)."""
        limit = min(self.settings.max_response_bytes, MAX_BYTES)
        too_large = AnswerTooLargeError(f"{endpoint} answered more than {limit} bytes where a number was asked for")
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            raise AnswerError(f"{endpoint} answered with the Content-Encoding {scrub(encoding)!r}; gzip was asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                raise too_large
        if encoding in _PLAIN:
            return bytes(body)
        unpacked = _unpack(bytes(body), encoding, limit + 1)
        if len(unpacked) > limit:
            raise too_large
        return unpacked


def _make_http_client(settings: ClientSettings) -> httpx.AsyncClient:
    verify, proxies = environment(settings.base_url, verify=settings.verify)
    scheme = urlsplit(settings.base_url).scheme
    proxy = proxies.get(scheme) or proxies.get("all")
    return httpx.AsyncClient(
        verify=_tls(verify) if scheme == "https" else False,
        # As requests reads a proxy that is given without a scheme.
        proxy=f"http://{proxy}" if proxy and "://" not in proxy else proxy,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
    )


def _tls(verify: bool | str) -> ssl.SSLContext | bool:
    if isinstance(verify, bool):
        return verify
    bundle = Path(verify)
    if bundle.is_dir():
        return ssl.create_default_context(capath=str(bundle))
    return ssl.create_default_context(cafile=str(bundle))


def _unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """At most ``limit`` bytes of gzip or deflate data; what is cut off is unpacked as far as it goes.

    Raises:
        zlib.error: it is no such data.
    """
    if encoding != "deflate":
        return _members(body, limit)
    try:
        return zlib.decompressobj().decompress(body, limit)
    except zlib.error:
        # "deflate" is zlib data by RFC 9110, and bare deflate data by some servers.
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, limit)


def _members(body: bytes, limit: int) -> bytes:
    """The data of a gzip body, which may be several members; what follows them and is none is left out."""
    unpacked = b""
    for _ in range(_MAX_MEMBERS):
        if not body or len(unpacked) >= limit:
            break
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            unpacked += unpacker.decompress(body, limit - len(unpacked))
        except zlib.error:
            if unpacked:
                break
            raise
        body = unpacker.unused_data
    return unpacked


def _transport_error(where: str, error: Exception, settings: ClientSettings) -> CallReportError:
    """What an exception of the transport means, without the request that it holds."""
    if isinstance(error, httpx.ConnectTimeout):
        return TimeoutExceededError(f"{where}: no connection within {settings.connect_timeout:g} s")
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return TimeoutExceededError(
            f"{where}: no whole answer within the timeout of {settings.timeout:g} s of silence and "
            f"{settings.deadline:g} s in all"
        )
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return SettingsError(f"Host gives the address {settings.base_url}, which is no usable URL")
    causes = list(_chain(error))
    refused = [cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)]
    failure = TransportError(f"{where}: {_reason(error, causes)}")
    failure.retryable = not refused
    return failure


def _reason(error: Exception, causes: list[BaseException]) -> str:
    for kind, words in (
        (
            ssl.SSLCertVerificationError,
            "the TLS certificate was not accepted; check Host, or set verify",
        ),
        (ssl.SSLError, "TLS failed"),
        (ConnectionRefusedError, "the connection was refused"),
        (ConnectionResetError, "the connection was reset"),
        (BrokenPipeError, "the connection was reset"),
        (socket.gaierror, "the host name does not resolve"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return words
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer was cut off, or was not HTTP"
    if isinstance(error, zlib.error):
        return "the answer cannot be unpacked"
    return type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _chain(one)
        error = error.__cause__ or error.__context__
