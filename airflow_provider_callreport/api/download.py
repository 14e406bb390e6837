"""A file behind an address that an answer gave: fetched without credentials, from where it may come from only.

An address in an answer is foreign text, and a worker stands inside the company's network. So the rules are:

- ``https``. Plain ``http`` only to this machine, and only when the connection's own host is this machine (the sandbox).
- No private, link-local or otherwise special network address, however it is written and whatever a name resolves to:
  the address is checked before connecting, and again on the connected socket, so that a name which changes between the
  two gains nothing. The connection's own host and port are the exception, since its administrator chose them.
- No credentials, cookies or ``.netrc``. Redirects are not followed.
- Bounded: bytes, silence, and time in all.

Behind a proxy (``HTTPS_PROXY``) the proxy resolves names, so that only addresses written as numbers can be checked.

The address itself may be a secret (a recording's token, a presigned signature). It is in no message, and the library's
own log of it is kept back.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import requests
from urllib3.connectionpool import HTTPConnectionPool

from airflow_provider_callreport.api.answer_check import decode, vendor_error
from airflow_provider_callreport.api.body import SavedBody, decode_saved, save_body
from airflow_provider_callreport.api.client import patience_of
from airflow_provider_callreport.api.errors import (
    AddressRefusedError,
    CallReportError,
    RedirectError,
    TransportError,
    WrongFileError,
)
from airflow_provider_callreport.api.file_kind import check_kind
from airflow_provider_callreport.api.retry import call_with_retries
from airflow_provider_callreport.api.settings import is_loopback
from airflow_provider_callreport.api.transport import (
    Connection,
    ExchangeAdapter,
    Pool,
    SecureConnection,
    SecurePool,
    make_session,
    proxies_to,
)
from airflow_provider_callreport.api.transport_errors import NETWORK_ERRORS, transport_error

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from airflow_provider_callreport.api.client import CallReportClient

log = logging.getLogger(__name__)

#: Longest whole download, in seconds.
DEADLINE = 900.0

#: Addresses that carry an IPv4 address inside (RFC 6052): a way around a check of the outer one.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

#: Parts of an address as long as this may be a token.
_SECRET_LENGTH = 8

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip"}

_secret_address: ContextVar[bool] = ContextVar("callreport_secret_address", default=False)
_judge: ContextVar[Callable[[str], None] | None] = ContextVar("callreport_address_judge", default=None)


class FileDownloader:
    """Fetches files for one account.

    Safe to use from several threads.

    Args:
        client: the account; its host is allowed, its pace, timeouts and TLS settings hold, its credentials stay.
        max_bytes: the largest file.
        deadline_seconds: the longest whole download.
        pool_size: connections that are kept open.
        stopped: asked while bytes come; True ends a download.
    """

    def __init__(
        self,
        client: CallReportClient,
        *,
        max_bytes: int,
        deadline_seconds: float = DEADLINE,
        pool_size: int = 4,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self._deadline = deadline_seconds
        self._stopped = stopped
        self._own = urlsplit(client.settings.base_url)
        settings = client.settings
        self._session = make_session(
            settings.base_url, verify=settings.verify, pool_size=pool_size, adapter=_CheckedAdapter
        )
        self._session.proxies = {}

    def __enter__(self) -> FileDownloader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way in other threads at once, and close the connections."""
        self._session.close()

    def absolute(self, url: str) -> str:
        """An address as it stands in an answer, made absolute; a path is one of the connection's own host.

        Raises:
            AddressRefusedError: it is no address.
        """
        try:
            return urljoin(self._client.settings.base_url, url.strip())
        except ValueError:
            raise AddressRefusedError("the address is no URL; allowed is https://host/path") from None

    def fetch(self, url: str, path: Path, *, kind: str, what: str) -> SavedBody:
        """Fetch a file, and again as the client does when that may help.

        Args:
            url: where it is.
            path: a file in a private directory; overwritten.
            kind: a key of `file_kind.FILE_KINDS`.
            what: what it is, for messages; without anything secret.

        Raises:
            AddressRefusedError: the address breaks the module's rules.
            WrongFileError: what came is no such file.
            CallReportError: one of the tree in `errors`.
        """

        def attempt() -> SavedBody:
            with self._answer(url, what) as response:
                body = save_body(response, path, self._max_bytes, what, stopped=self._stopped)
                is_json, payload = decode_saved(body, decode)
                error = vendor_error(what, response, payload, secrets=self._secrets(url))
                if error is not None:
                    raise error
            if is_json:
                raise WrongFileError(f"{what} came as JSON; a {kind} file was expected")
            check_kind(body, kind, what)
            return body

        return call_with_retries(
            attempt,
            max_retry_time=self._client.settings.max_retry_time,
            before_sleep=_log_retry(what),
            sleep=self._sleep,
        )

    @contextmanager
    def _answer(self, url: str, what: str) -> Iterator[requests.Response]:
        settings = self._client.settings
        parts, proxies = self._checked(url, what)
        if _same_place(parts, self._own):
            self._client.wait_for_turn()
        where = f"{what} at {parts.hostname}"
        secret = _secret_address.set(True)
        judge = _judge.set(None if proxies or _same_place(parts, self._own) else self._judge_of(what))
        failure: CallReportError | None = None

        def send() -> requests.Response:
            return self._session.get(
                url,
                headers=_HEADERS,
                timeout=(settings.connect_timeout, settings.timeout),
                allow_redirects=False,
                stream=True,
                proxies=proxies,
            )

        try:
            with (
                self._session.exchange(self._deadline) as exchange,
                self._session.answer(exchange, send) as response,
            ):
                # Cookies of one answer are none of the next one's business.
                self._session.cookies.clear()
                if 300 <= response.status_code < 400:
                    raise RedirectError(
                        f"{what} answered HTTP {response.status_code}, a redirect; it is not followed, because where "
                        "it leads was not checked. Give the final address"
                    )
                yield response
        except NETWORK_ERRORS as error:
            failure = transport_error(where, settings.base_url, error, patience_of(settings, self._deadline))
        finally:
            _secret_address.reset(secret)
            _judge.reset(judge)
        if failure is not None:
            # Outside the handler: the original exception names the address.
            raise failure

    def _sleep(self, seconds: float) -> None:
        if self._session.closed.wait(seconds):
            raise TransportError("the downloads were ended", retryable=False, sent=False)

    def _secrets(self, url: str) -> tuple[str, ...]:
        """What must not be quoted of an answer that repeats the request: credentials, the address's long parts."""
        parts = urlsplit(url)
        pieces = re.split(r"[/?&=]", f"{parts.path}?{parts.query}")
        long_ones = {text for piece in pieces for text in (piece, unquote(piece)) if len(text) >= _SECRET_LENGTH}
        return (*self._client.settings.secrets(), *sorted(long_ones, key=len, reverse=True))

    def _checked(self, url: str, what: str) -> tuple[SplitResult, dict[str, str]]:
        """The address taken apart, and the proxies to it."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise AddressRefusedError(f"{what}: the address is no URL; allowed is https://host/path") from None
        if parts.scheme not in ("https", "http") or not host:
            raise AddressRefusedError(f"{what}: the address is no URL of the web; allowed is https://host/path")
        if parts.username is not None or parts.password is not None:
            raise AddressRefusedError(f"{what}: the address holds credentials; allowed is https://host/path")
        if _same_place(parts, self._own):
            return parts, proxies_to(url)
        local = is_loopback(host) and is_loopback(self._own.hostname or "")
        if parts.scheme == "http" and not local:
            raise AddressRefusedError(f"{what}: the address is plain http to {host}; allowed is https")
        proxies = proxies_to(url)
        judge = self._judge_of(what)
        if not proxies:
            for address in _resolve(host, what):
                judge(address)
        elif (literal := _literal(host)) is not None:
            judge(literal)
        return parts, proxies

    def _judge_of(self, what: str) -> Callable[[str], None]:
        loopback_allowed = is_loopback(self._own.hostname or "")

        def judge(address: str) -> None:
            if not is_public(address) and not (loopback_allowed and is_loopback(address)):
                raise AddressRefusedError(
                    f"{what}: the address leads to {address}, which is in no public network; only the host of the "
                    "connection itself may be private"
                )

        return judge


def is_public(address: str) -> bool:
    """Whether a numeric IP address is one of the public internet, also where it hides an IPv4 address inside."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _literal(host: str) -> str | None:
    """The IP address that a host name is, also in the spellings of `inet_aton` (``127.1``, ``0x7f000001``), or None."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return "127.0.0.1" if host.lower().rstrip(".").rpartition(".")[2] == "localhost" else None


def _resolve(host: str, what: str) -> list[str]:
    try:
        return list(
            dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        )
    except (OSError, UnicodeError):
        failure = TransportError(f"{what} at {host}: the host name does not resolve", sent=False)
    raise failure


def _same_place(one: SplitResult, other: SplitResult) -> bool:
    return (one.scheme, one.hostname, _port(one)) == (other.scheme, other.hostname, _port(other))


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _log_retry(what: str) -> Callable[[RetryCallState], None]:
    def log_retry(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        log.warning("%s failed at try %d (%s); trying again", what, state.attempt_number, error)

    return log_retry


class _Checked:
    """Judges the connected peer before the first byte is sent."""

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        judge = _judge.get()
        if judge is not None:
            try:
                judge(str(sock.getpeername()[0]))
            except BaseException:
                sock.close()
                raise
        return sock


class _CheckedConnection(_Checked, Connection):
    pass


class _CheckedSecureConnection(_Checked, SecureConnection):
    pass


class _CheckedPool(Pool):
    ConnectionCls = _CheckedConnection


class _CheckedSecurePool(SecurePool):
    ConnectionCls = _CheckedSecureConnection


class _CheckedAdapter(ExchangeAdapter):
    pools: ClassVar[Mapping[str, type[HTTPConnectionPool]]] = {"http": _CheckedPool, "https": _CheckedSecurePool}


def _keep_back(record: logging.LogRecord) -> bool:
    """Drop what urllib3 logs of a download: it names the address."""
    return not _secret_address.get()


logging.getLogger("urllib3.connectionpool").addFilter(_keep_back)
