"""HTTP with an overall deadline, and with the next request on its way early: what ``requests`` cannot be told.

Its read timeout bounds the silence between two bytes, so a server that sends one byte a second holds a worker for
days. Here every read of a socket, of headers and of body alike, is given at most the time that is left until the
request's deadline.

And it sends a request when its answer is asked for. Here a request can be sent ahead (`Connection.send_ahead`): the
server works on it, and the network carries it, while the caller works on the previous answer. A thread would do the
same and cost more than it gains: Python lets only one of two threads run at a time.
"""

from __future__ import annotations

import http.client
import io
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import Full, LifoQueue
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError
from urllib3.exceptions import SSLError as TlsError

from airflow_provider_callreport.api.settings import is_loopback

if TYPE_CHECKING:
    import socket

    from urllib3.response import BaseHTTPResponse

#: Bytes asked of a socket at a time.
_BUFFER = 64 * 1024

#: urllib3 1 lacks what tells whether a connection is idle and open.
_CAN_SEND_AHEAD = hasattr(HTTPConnection, "is_connected")

_deadline: ContextVar[float | None] = ContextVar("callreport_deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound every socket read inside the block: together they take at most ``seconds`` from now."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


class _DeadlineReader(io.RawIOBase):
    """A socket's raw reader that gives each read at most the time left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, until: float) -> None:
        self._raw = raw
        self._sock = sock
        self._until = until
        self._silence = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        self._sock.settimeout(left if self._silence is None else min(left, self._silence))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        until = _deadline.get()
        if until is not None:
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_DeadlineReader(raw, sock, until), _BUFFER)


class Response(Protocol):
    """What this package needs of a ``requests.Response``.

    Attributes:
        raw: urllib3's response.
        status_code: HTTP status.
    """

    raw: Any
    status_code: int

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers; names are found in upper and lower case."""

    def iter_content(self, chunk_size: int) -> Iterator[bytes]:
        """The body, unpacked, in pieces of at most ``chunk_size`` bytes."""


class EarlyResponse:
    """The answer to a request that was sent ahead. See `Response`."""

    def __init__(self, raw: BaseHTTPResponse) -> None:
        self.raw = raw
        self.status_code = raw.status
        self.headers = raw.headers

    def iter_content(self, chunk_size: int) -> Iterator[bytes]:
        """The body, unpacked, in pieces of at most ``chunk_size`` bytes."""
        return self.raw.stream(chunk_size, decode_content=True)


class _EarlySend:
    """Head and body of a request in one send, which may happen before its answer is asked for.

    ``http.client`` makes two sends, and so two packets and two wake-ups of the server.
    """

    #: The pool that the connection comes from.
    home: _Lending

    _held: list[bytes] | None = None
    _last: tuple[Any, ...] | None = None

    def send_ahead(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Send the last request once more, with another body. Its answer must be taken (`answer`) or forgotten.

        The connection must be idle: its last answer has been read. It leaves its pool until the answer has been taken,
        so that no other request can come between.

        Returns:
            Whether it was sent. False where the connection is in use or closed, or breaks.
        """
        if not _CAN_SEND_AHEAD or self._last is None or not self.is_connected or not self.home.lend(self):  # type: ignore[attr-defined]
            return False
        method, url, options = self._last
        try:
            self.request(method, url, body, headers, **options)
        except OSError:
            self.forget()
            return False
        return True

    @contextmanager
    def answer(self) -> Iterator[EarlyResponse]:
        """The answer to what was sent ahead; it must be read to its end inside the block.

        It comes straight from the connection, past ``requests`` and urllib3's pool, which take time for each page.

        Raises:
            requests.RequestException: as ``requests`` would raise it.
        """
        try:
            with _errors_as_requests_has_them():
                yield EarlyResponse(self.getresponse())  # type: ignore[attr-defined]
        except BaseException:
            self.close()
            raise
        finally:
            self.home.take_back(self)

    def forget(self) -> None:
        """Give up what was sent ahead. The answer may still come, so that the connection is of no more use."""
        self.close()
        self.home.take_back(self)

    def close(self) -> None:
        """Close the connection; the next request opens it anew."""
        super().close()  # type: ignore[misc]

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        self._last = method, url, options
        self._held = []
        try:
            super().request(method, url, body=body, headers=headers, **options)  # type: ignore[misc]
            held = b"".join(self._held)
        finally:
            self._held = None
        self.send(held)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class Connection(_EarlySend, HTTPConnection):
    """A connection that obeys `deadline` and can send ahead."""

    response_class = _DeadlineResponse


class SecureConnection(_EarlySend, HTTPSConnection):
    """The same with TLS."""

    response_class = _DeadlineResponse


class _Lending:
    """A pool that lends its connections for requests that are sent ahead."""

    pool: LifoQueue[Any] | None

    def urlopen(self, *args: Any, **options: Any) -> Any:
        """As urllib3 has it, with the connection told where it belongs."""
        response = super().urlopen(*args, **options)  # type: ignore[misc]
        if isinstance(response.connection, _EarlySend):
            response.connection.home = self
        return response

    def lend(self, connection: _EarlySend) -> bool:
        """Take an idle connection out of the pool; False where another request has it."""
        if self.pool is None:
            return False
        with self.pool.mutex, suppress(ValueError):
            self.pool.queue.remove(connection)
            return True
        return False

    def take_back(self, connection: _EarlySend) -> None:
        """Put a connection that was lent back; close it where the pool is closed, or full."""
        try:
            if self.pool is not None:
                self.pool.put(connection, block=False)
                return
        except Full:
            pass
        connection.close()


class Pool(_Lending, HTTPConnectionPool):
    """A pool of `Connection`."""

    ConnectionCls = Connection


class SecurePool(_Lending, HTTPSConnectionPool):
    """A pool of `SecureConnection`."""

    ConnectionCls = SecureConnection


@contextmanager
def _errors_as_requests_has_them() -> Iterator[None]:
    """What goes wrong with a connection, as the exceptions that ``requests`` makes of it."""
    try:
        yield
    except (TimeoutError, ReadTimeoutError) as error:
        raise requests.exceptions.ReadTimeout(error) from None
    except (ssl.SSLError, TlsError) as error:
        raise requests.exceptions.SSLError(error) from None
    except DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from None
    except (OSError, http.client.HTTPException, HTTPError) as error:
        raise requests.exceptions.ConnectionError(f"Connection aborted: {error!r}") from None


class DeadlineAdapter(HTTPAdapter):
    """A ``requests`` adapter whose connections obey `deadline`. It never retries by itself: the client does."""

    def __init__(self, pool_size: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager with this module's connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}

    def proxy_manager_for(self, proxy: Any, **proxy_kwargs: Any) -> Any:
        """The same for a proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: with a target, requests would parse it and read the whole body, also where it is told not to follow."""


def environment(base_url: str, *, verify: bool | str) -> tuple[bool | str, dict[str, str]]:
    """What the process's environment says of TLS and proxies for one host, as ``requests`` reads it.

    Returns:
        ``verify`` - the CA bundle of the environment where it is True - and the proxies by scheme.
    """
    if verify is True:
        settings = requests.Session().merge_environment_settings(base_url, {}, None, None, None)
        verify = settings["verify"] or verify
    if is_loopback(urlsplit(base_url).hostname or ""):
        # A request to this machine may be plain http, and a proxy is another machine.
        return verify, {}
    return verify, dict(requests.utils.get_environ_proxies(base_url))


def make_session(base_url: str, *, verify: bool | str, pool_size: int = 32) -> requests.Session:
    """One session for one host: a connection pool, environment proxies and CA bundle read once, no redirects.

    ``trust_env`` is off because with it ``requests`` reads ``.netrc`` and the environment anew for each request, and a
    ``.netrc`` entry would add a header of its own.
    """
    session = _Session()
    session.trust_env = False
    session.verify, session.proxies = environment(base_url, verify=verify)
    adapter = DeadlineAdapter(pool_size)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
