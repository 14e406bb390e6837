"""HTTP with an overall deadline: what ``requests`` cannot be told.

Its read timeout bounds the silence between two bytes, so a server that sends one byte a second holds a worker for
days. Here every read of a socket, of headers and of body alike, is given at most the time that is left until the
request's deadline.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_callreport.api.settings import is_loopback

if TYPE_CHECKING:
    import socket


#: Bytes asked of a socket at a time.
_BUFFER = 64 * 1024

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


class _OneSend:
    """Head and body of a request in one send.

    urllib3 makes two sends, and so two packets and two wake-ups of the server.
    """

    _held: list[bytes] | None = None

    def request(self, *args: Any, **options: Any) -> None:
        self._held = []
        try:
            super().request(*args, **options)  # type: ignore[misc]
            held = b"".join(self._held)
        finally:
            self._held = None
        self.send(held)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class Connection(_OneSend, HTTPConnection):
    """A connection that obeys `deadline`."""

    response_class = _DeadlineResponse


class SecureConnection(_OneSend, HTTPSConnection):
    """The same with TLS."""

    response_class = _DeadlineResponse


class Pool(HTTPConnectionPool):
    """A pool of `Connection`."""

    ConnectionCls = Connection


class SecurePool(HTTPSConnectionPool):
    """A pool of `SecureConnection`."""

    ConnectionCls = SecureConnection


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
