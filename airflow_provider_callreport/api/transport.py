"""HTTP on ``requests``, with what ``requests`` cannot be told.

- An overall deadline. Its read timeout bounds the silence between two bytes, so a server that sends one byte a second
  holds a worker for days. Here every read of a socket, of headers and of body alike, is given at most the time that is
  left until the request's deadline.
- An end from outside. `Session.close` ends every request that is under way in another thread at once, in whatever state
  it is: connecting, in the TLS handshake, sending, reading.
- Idle connections that the server has closed. A request that meets one is sent again at once over a new connection.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.api.settings import is_loopback
from airflow_provider_callreport.api.transport_errors import (
    NETWORK_ERRORS,
    GivenUpError,
    ProxyStatusError,
    is_closed_connection,
)

#: Bytes asked of a socket at a time.
_BUFFER = 64 * 1024

#: RFC 9110, 15.5.9: after 408 a client "MAY repeat that request on a new connection".
_REQUEST_TIMEOUT = 408
_BAD_REQUEST = 400


class Exchange:
    """One request and its answer.

    Args:
        seconds: the longest that both may take together.

    Attributes:
        until: when the time is up, by ``time.monotonic``.
        connection: what carries it, as soon as there is one.
        reused: whether the connection carried a request before.
        answered: whether a byte of the answer has come.
    """

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.connection: _Cuttable | None = None
        self.reused = False
        self.answered = False
        self._given_up = False

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            GivenUpError: another thread has ended it.
            TimeoutError: none are left.
        """
        if self._given_up:
            raise GivenUpError
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return left

    def give_up(self) -> None:
        """End it, from any thread."""
        self._given_up = True
        if self.connection is not None:
            self.connection.cut()


_exchange: ContextVar[Exchange | None] = ContextVar("callreport_exchange", default=None)


class _ExchangeReader(io.RawIOBase):
    """A socket's raw reader that gives each read at most the time left."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, exchange: Exchange) -> None:
        self._raw = raw
        self._sock = sock
        self._exchange = exchange
        self._silence = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._exchange.left()
        self._sock.settimeout(left if self._silence is None else min(left, self._silence))
        size = self._raw.readinto(buffer)
        self._exchange.answered = self._exchange.answered or bool(size)
        # A socket that another thread has cut reads like one that has ended.
        self._exchange.left()
        return size

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        exchange = _exchange.get()
        if exchange is not None:
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_ExchangeReader(raw, sock, exchange), _BUFFER)


class _TunnelResponse(_Response):
    """A proxy's answer to CONNECT; its status is kept, where the library keeps a sentence."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if status != http.HTTPStatus.OK:
            raise ProxyStatusError(status)
        return version, status, reason


class _Cuttable:
    """A connection of an `Exchange`, with head and body of a request in one send.

    urllib3 makes two sends, and so two packets and two wake-ups of the server.
    """

    response_class: Any = _Response

    #: A second descriptor of the socket: TLS takes the first one over, also in the middle of its handshake.
    _handle: socket.socket | None = None
    _held: list[bytes] | None = None
    _requests = 0

    def cut(self) -> None:
        """End what goes on here, from any thread."""
        handle = self._handle
        if handle is not None:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def hold(self, sock: socket.socket) -> None:
        """Make a new socket one that `cut` ends."""
        self._drop_handle()
        self._handle = sock.dup()
        self._requests = 0
        exchange = _exchange.get()
        if exchange is not None:
            exchange.connection = self
            exchange.left()

    def _drop_handle(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        self.hold(sock)
        return sock

    def _tunnel(self) -> None:
        self.response_class = _TunnelResponse
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            del self.response_class

    def close(self) -> None:
        """Close the connection; the next request opens it anew."""
        try:
            super().close()  # type: ignore[misc]
        finally:
            self._drop_handle()

    def request(self, *args: Any, **options: Any) -> None:
        exchange = _exchange.get()
        if exchange is not None:
            exchange.connection, exchange.reused = self, self._requests > 0
            exchange.left()
        self._held = []
        try:
            super().request(*args, **options)  # type: ignore[misc]
            held = b"".join(self._held)
        finally:
            self._held = None
        self.send(held)
        self._requests += 1

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class _Direct(_Cuttable):
    """A connection that can be cut while it is being made."""

    def _new_conn(self) -> socket.socket:
        here: Any = self
        host, port = here.host.strip("[]"), here.port
        try:
            host.encode("idna")
        except UnicodeError:
            raise LocationParseError(f"{host!r}, label empty or too long") from None
        try:
            addresses = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
            return self._connect(addresses)
        except TimeoutError as error:
            raise ConnectTimeoutError(here, f"no connection within {here.timeout} s") from error
        except OSError as error:
            raise NewConnectionError(here, "no connection") from error

    def _connect(self, addresses: list[Any]) -> socket.socket:
        """A socket to the first of some addresses that takes a connection; each is given the connect timeout."""
        here: Any = self
        failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in here.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(here.timeout)
                self.hold(sock)
                sock.connect(address)
            except OSError as error:
                sock.close()
                if isinstance(error, GivenUpError):
                    raise
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure


class Connection(_Direct, HTTPConnection):
    """A connection that obeys an `Exchange`."""


class SecureConnection(_Direct, HTTPSConnection):
    """The same with TLS."""


class Pool(HTTPConnectionPool):
    """A pool of `Connection`."""

    ConnectionCls = Connection


class SecurePool(HTTPSConnectionPool):
    """A pool of `SecureConnection`."""

    ConnectionCls = SecureConnection


class ExchangeAdapter(HTTPAdapter):
    """A ``requests`` adapter whose connections obey an `Exchange`. It never retries by itself: the client does."""

    #: The pools of connections by scheme.
    pools: ClassVar[Mapping[str, type[HTTPConnectionPool]]] = {"http": Pool, "https": SecurePool}

    def __init__(self, pool_size: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager with this module's connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self.pools

    def proxy_manager_for(self, proxy: Any, **proxy_kwargs: Any) -> Any:
        """The same for a proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _socks_pools() if _is_socks(proxy) else self.pools
        return manager


class Session(requests.Session):
    """A ``requests`` session whose requests go on in an `exchange` each."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way: set[Exchange] = set()
        self._lock = threading.Lock()
        self.closed = threading.Event()

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: with a target, requests would parse it and read the whole body, also where it is told not to follow."""

    @contextmanager
    def exchange(self, seconds: float) -> Iterator[Exchange]:
        """Bound what is sent and read inside the block: together it takes at most so many seconds from now.

        Raises:
            GivenUpError: the session is closed.
        """
        exchange = Exchange(seconds)
        with self._lock:
            if self.closed.is_set():
                raise GivenUpError
            self._under_way.add(exchange)
        token = _exchange.set(exchange)
        try:
            yield exchange
        except NETWORK_ERRORS as error:
            # What a cut connection looks like depends on what it was doing.
            if self.closed.is_set():
                raise GivenUpError from error
            raise
        finally:
            _exchange.reset(token)
            with self._lock:
                self._under_way.discard(exchange)

    def answer(self, exchange: Exchange, send: Callable[[], requests.Response]) -> requests.Response:
        """The head of an answer; ``send`` is called once more where it met a connection that the server had closed.

        A server that closes an idle connection does so without a word, or with 408 or 400 to whatever comes next.

        Args:
            exchange: the exchange that is under way.
            send: sends a request that changes nothing.
        """
        try:
            response = send()
        except requests.exceptions.RequestException as error:
            if not exchange.reused or exchange.answered or not is_closed_connection(error):
                raise
        else:
            if not exchange.reused or not _says_closed(response):
                return _checked(response)
            response.close()
        # The others have been idle as long.
        for adapter in self.adapters.values():
            adapter.close()
        return _checked(send())

    def close(self) -> None:
        """End every request that is under way in another thread, and close the connections. It stays closed."""
        self.closed.set()
        with self._lock:
            under_way = list(self._under_way)
        for exchange in under_way:
            exchange.give_up()
        super().close()


def _checked(response: requests.Response) -> requests.Response:
    """The answer of the server, and not of a proxy that plain http goes through.

    Raises:
        requests.exceptions.ProxyError: the proxy wants to know who asks.
    """
    if response.status_code == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        response.close()
        raise requests.exceptions.ProxyError(ProxyStatusError(response.status_code))
    return response


def _says_closed(response: requests.Response) -> bool:
    """Whether an answer is about the connection and not about the request."""
    if response.status_code == _REQUEST_TIMEOUT:
        return True
    return (
        response.status_code == _BAD_REQUEST
        and response.headers.get("Connection", "").strip().lower() == "close"
        and "json" not in response.headers.get("Content-Type", "").lower()
    )


def environment(base_url: str, *, verify: bool | str) -> tuple[bool | str, dict[str, str]]:
    """What the process's environment says of TLS and proxies for one host, as ``requests`` reads it.

    Returns:
        ``verify`` - the CA bundle of the environment where it is True - and the proxies by scheme.

    Raises:
        SettingsError: the bundle or the proxy cannot be used.
    """
    source = "the extra field verify"
    if verify is True:
        settings = requests.Session().merge_environment_settings(base_url, {}, None, None, None)
        verify = settings["verify"] or verify
        source = "the environment variable REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
    if isinstance(verify, str) and base_url.startswith("https:"):
        _check_bundle(verify, source)
    return verify, proxies_to(base_url)


def proxies_to(url: str) -> dict[str, str]:
    """The environment's proxies for a URL, by scheme; none for this machine.

    Raises:
        SettingsError: the proxy cannot be used.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        # A request to this machine may be plain http, and a proxy is another machine.
        return {}
    proxies = dict(requests.utils.get_environ_proxies(url))
    _check_proxy(proxies.get(parts.scheme) or proxies.get("all") or "")
    return proxies


def _check_bundle(bundle: str, source: str) -> None:
    if not Path(bundle).exists():
        raise SettingsError(f"{source} names the CA bundle {bundle!r}, and this worker has no such file; correct it")
    if Path(bundle).is_dir():
        return
    try:
        ssl.create_default_context(cafile=bundle)
    except (OSError, ValueError):
        raise SettingsError(
            f"{source} names the CA bundle {bundle!r}, which cannot be read as certificates in PEM form; correct it"
        ) from None


def _is_socks(proxy: str) -> bool:
    return proxy.lower().startswith("socks")


def _check_proxy(proxy: str) -> None:
    scheme, separator, _ = proxy.lower().partition("://")
    if not separator or scheme in ("http", "https"):
        return
    allowed = ("socks5", "socks5h", "socks4", "socks4a")
    if scheme not in allowed:
        raise SettingsError(
            f"the proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) begins with {scheme}://; allowed are "
            f"http, https, {', '.join(allowed)}"
        )
    if find_spec("socks") is None:
        raise SettingsError(
            "the proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) is a SOCKS proxy, and the library for "
            "it is missing: install airflow-provider-callreport[socks] on the workers, or name an HTTP proxy"
        )


def _socks_pools() -> dict[str, type[HTTPConnectionPool]]:
    """Pools whose connections go through a SOCKS proxy and obey an `Exchange` as soon as they are made."""
    from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

    class SocksConnection(_Cuttable, SOCKSConnection):
        pass

    class SecureSocksConnection(_Cuttable, SOCKSHTTPSConnection):
        pass

    class SocksPool(HTTPConnectionPool):
        ConnectionCls = SocksConnection

    class SecureSocksPool(HTTPSConnectionPool):
        ConnectionCls = SecureSocksConnection

    return {"http": SocksPool, "https": SecureSocksPool}


def make_session(
    base_url: str, *, verify: bool | str, pool_size: int = 32, adapter: type[ExchangeAdapter] = ExchangeAdapter
) -> Session:
    """One session for one host: a connection pool, environment proxies and CA bundle read once, no redirects.

    ``trust_env`` is off because with it ``requests`` reads ``.netrc`` and the environment anew for each request, and a
    ``.netrc`` entry would add a header of its own.

    Raises:
        SettingsError: the environment's CA bundle or proxy cannot be used.
    """
    session = Session()
    session.trust_env = False
    session.verify, session.proxies = environment(base_url, verify=verify)
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter(pool_size))
    return session
