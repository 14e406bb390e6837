"""What an exception of the network means: one table, by class.

``requests`` wraps what went wrong in up to four layers, and each layer has it elsewhere: as cause, as context, among
the arguments, as ``reason``. All of them are looked at, and the first row of the table that knows one of them decides.
No text of an exception is read, or shown: it holds addresses of objects, URLs, and sometimes the request.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from urllib3 import exceptions as urllib3_errors
from urllib3.util.ssl_match_hostname import CertificateError

from airflow_provider_callreport.api.errors import (
    CallReportError,
    SettingsError,
    TimeoutExceededError,
    TransportError,
)

#: What names the proxy.
_PROXY = "the proxy of the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY)"


class GivenUpError(OSError):
    """The request was ended from outside: its client was closed."""


#: What sending a request and reading its answer may raise. Not every OSError: a full disk raises one, too.
NETWORK_ERRORS: tuple[type[Exception], ...] = (
    requests.exceptions.RequestException,
    urllib3_errors.HTTPError,
    GivenUpError,
)


class ProxyStatusError(OSError):
    """A proxy answered CONNECT with something other than 200.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Patience:
    """How long was waited, in seconds: for a connection, for a silent server, and in all."""

    connect_timeout: float
    timeout: float
    deadline: float


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A row of the table: what it means when one of some exceptions is among the causes.

    Attributes:
        kinds: the exceptions.
        sentence: the cause, and what to do.
        retryable: whether the same request may succeed later.
        sent: False where it is certain that nothing of the request had left.
    """

    kinds: tuple[type[BaseException], ...]
    sentence: str
    retryable: bool = True
    sent: bool = True

    def error(self, where: str) -> TransportError:
        return TransportError(f"{where}: {self.sentence}", retryable=self.retryable, sent=self.sent)


#: OpenSSL's ``X509_V_ERR_...`` of a certificate that was refused -> why, and what to do.
_CERTIFICATE = {
    9: "the server's TLS certificate is not valid yet; set the clock of this worker, or have the certificate replaced",
    10: "the server's TLS certificate has expired; its administrator must renew it (or this worker's clock is wrong)",
    23: "the server's TLS certificate was revoked; its administrator must replace it",
    **dict.fromkeys(
        (62, 64), "the server's TLS certificate belongs to another host; check Host, or have the certificate replaced"
    ),
    **dict.fromkeys(
        (2, 18, 19, 20, 21),
        "the server's TLS certificate is signed by nobody whom this worker trusts; set the extra field verify to your "
        "CA bundle, by its path on the workers (a company proxy that reads TLS has one)",
    ),
    **dict.fromkeys(
        (66, 67, 68), "the server's TLS certificate has a key or a signature that is too weak; it must be replaced"
    ),
}

_TOO_OLD = (
    "the server speaks only a version of TLS or a cipher that is too old to be safe; its administrator must turn on "
    "TLS 1.2 or later"
)
_NO_TLS = "the server does not speak TLS at this address; check Host and its port"

#: OpenSSL's name of what went wrong with TLS -> why, and whether it may pass.
_TLS = {
    **dict.fromkeys(
        (
            *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "WRONG_SSL_VERSION"),
            *("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_INSUFFICIENT_SECURITY", "NO_SHARED_CIPHER"),
            *("DH_KEY_TOO_SMALL", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED", "WRONG_CIPHER_RETURNED"),
        ),
        (_TOO_OLD, False),
    ),
    # Such a server may be one that is being mended.
    **dict.fromkeys(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"), (_NO_TLS, True)),
    **dict.fromkeys(
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"),
        (
            "the server wants a certificate of the client, which this connection has none of; ask for another host",
            False,
        ),
    ),
}

#: What a proxy says -> what to do. Any other status may pass.
_PROXY_STATUSES = {
    407: f"{_PROXY} wants a user name and a password (HTTP 407); write them into it: http://user:password@host:port",
    403: f"{_PROXY} lets no request to this host through (HTTP 403); have the host allowed, or list it in NO_PROXY",
}

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})

#: What a closed connection looks like to somebody who writes to it or reads from it.
_CLOSED = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)

_CONNECT_TIMEOUTS = (requests.exceptions.ConnectTimeout, urllib3_errors.ConnectTimeoutError)
_TIMEOUTS = (TimeoutError, requests.exceptions.Timeout, urllib3_errors.TimeoutError)

_NO_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3_errors.LocationValueError,
)

#: The first row that knows a cause decides. http.client's exceptions come first: some are connection errors as well.
_TABLE = (
    _Meaning((GivenUpError,), "the client was closed", retryable=False),
    _Meaning((socket.gaierror,), "the host name does not resolve; check Host", sent=False),
    _Meaning((http.client.RemoteDisconnected,), "the connection was closed without an answer"),
    _Meaning((ConnectionRefusedError,), "the connection was refused", sent=False),
    _Meaning((urllib3_errors.DecodeError,), "the answer cannot be unpacked"),
    _Meaning(
        (http.client.IncompleteRead, urllib3_errors.IncompleteRead, urllib3_errors.InvalidChunkLength),
        "the answer was cut off",
    ),
    _Meaning((ConnectionResetError, ConnectionAbortedError, BrokenPipeError), "the connection was reset"),
    _Meaning((http.client.HTTPException,), "the answer was not HTTP"),
    _Meaning((ssl.SSLEOFError, ssl.SSLZeroReturnError), "the connection was closed"),
)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it wraps, nearest first; an error of this package ends the search in its direction."""
    seen: set[int] = set()
    queue: list[BaseException] = [error]
    while queue:
        one = queue.pop(0)
        if id(one) in seen or isinstance(one, CallReportError):
            continue
        seen.add(id(one))
        yield one
        inner: tuple[Any, ...] = (getattr(one, "reason", None), *one.args, one.__cause__, one.__context__)
        queue += [cause for cause in inner if isinstance(cause, BaseException)]


def is_closed_connection(error: BaseException) -> bool:
    """Whether the other side had closed the connection."""
    found = list(causes(error))
    return any(isinstance(cause, _CLOSED) for cause in found) and not any(isinstance(c, GivenUpError) for c in found)


def transport_error(where: str, base_url: str, error: BaseException, patience: Patience) -> CallReportError:
    """What an exception of ``requests``, urllib3 or the standard library means, without the request that it holds.

    Args:
        where: what was asked for, and where.
        base_url: the connection's own address.
        error: the exception.
        patience: named in the message when it has ended.
    """
    found = list(causes(error))
    if (refused := _first(found, ProxyStatusError)) is not None:
        return _proxy_error(where, refused.status)
    # urllib3's class for other failures to connect is below the one for a timeout.
    waits = [cause for cause in found if not isinstance(cause, urllib3_errors.NewConnectionError)]
    if any(isinstance(cause, _CONNECT_TIMEOUTS) for cause in waits):
        return TimeoutExceededError(f"{where}: no connection within {patience.connect_timeout:g} s", sent=False)
    if (tls := _tls_error(where, found)) is not None:
        return tls
    if any(isinstance(cause, _NO_URL) for cause in found):
        return SettingsError(f"Host gives the address {base_url}, which is no usable URL")
    through = f"{_PROXY} cannot be used: " if any(_is_proxy_error(cause) for cause in found) else ""
    for meaning in _TABLE:
        if any(isinstance(cause, meaning.kinds) for cause in found):
            return meaning.error(f"{where}: {through}".removesuffix(": "))
    if any(isinstance(cause, _TIMEOUTS) for cause in waits):
        return TimeoutExceededError(
            f"{where}: no whole answer within the timeout of {patience.timeout:g} s of silence and "
            f"{patience.deadline:g} s in all"
        )
    unreachable = any(isinstance(cause, OSError) and cause.errno in _UNREACHABLE for cause in found)
    sentence = "the host cannot be reached from this worker" if unreachable else type(found[-1]).__name__
    unsent = any(isinstance(cause, urllib3_errors.NewConnectionError) for cause in found)
    return TransportError(f"{where}: {through}{sentence}", sent=not unsent)


def _tls_error(where: str, found: list[BaseException]) -> TransportError | None:
    certificate = _first(found, ssl.SSLCertVerificationError)
    if certificate is not None or _first(found, CertificateError) is not None:
        code = 62 if certificate is None else certificate.verify_code
        sentence = _CERTIFICATE.get(
            code,
            f"the server's TLS certificate was not accepted (OpenSSL's code {code}); check Host, or set the extra "
            "field verify to the path of your CA bundle",
        )
        return TransportError(f"{where}: {sentence}", retryable=False, sent=False)
    failure = _first(found, ssl.SSLError)
    if failure is None or isinstance(failure, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return None
    name = failure.reason or type(failure).__name__
    sentence, retryable = _TLS.get(name, (f"TLS failed ({name}); a later try may work", True))
    return TransportError(f"{where}: {sentence}", retryable=retryable, sent=name not in _TLS)


def _proxy_error(where: str, status: int) -> TransportError:
    sentence = _PROXY_STATUSES.get(status, f"{_PROXY} made no connection (HTTP {status})")
    return TransportError(f"{where}: {sentence}", retryable=status not in _PROXY_STATUSES, sent=False)


def _is_proxy_error(cause: BaseException) -> bool:
    """Whether a proxy could not be reached, or refused; PySocks has a class of its own."""
    return isinstance(cause, (requests.exceptions.ProxyError, urllib3_errors.ProxyError)) or (
        type(cause).__module__ == "socks"
    )


def _first(found: list[BaseException], kind: type[Any]) -> Any:
    return next((cause for cause in found if isinstance(cause, kind)), None)
