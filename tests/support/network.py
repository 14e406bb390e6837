"""Servers and proxies on loopback that do below HTTP what no library does: TLS, SOCKS, CONNECT, bare sockets."""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(path: Path, *names: str, days: tuple[int, int] = (-1, 1)) -> Path:
    """A certificate that signed itself, with its key, in one file.

    Args:
        path: the file.
        names: host names and addresses that it is for.
        days: first and last day of its life, from today.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "callreport test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_tls(certificate: Path, maximum: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """What a server with this certificate speaks; at most a version, if one is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if maximum is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = maximum
    return context


class SocketServer:
    """Gives each connection to a function, in a thread of its own.

    Args:
        serve: gets the connection and its number, from 0; the connection is closed when it returns or fails.

    Attributes:
        connections: how many there were.
    """

    def __init__(self, serve: Callable[[socket.socket, int], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Its address in plain http."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # Closing alone does not wake up who waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number, self.connections = self.connections, self.connections + 1
            self._open.append(connection)
            threading.Thread(target=self._run, args=(connection, number), daemon=True).start()

    def _run(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError, ValueError):
            self._serve(connection, number)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def read_request(connection: socket.socket) -> bytes:
    """One whole HTTP request; empty when the other side has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    while found and len(body) < int(found[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def connect_proxy(target: int, status: str = "200 Connection established") -> SocketServer:
    """A proxy that answers CONNECT with a status, and after 200 passes everything on to a port of this machine."""

    def serve(connection: socket.socket, number: int) -> None:
        assert read_request(connection).startswith(b"CONNECT ")
        connection.sendall(f"HTTP/1.1 {status}\r\nProxy-Agent: test\r\n\r\n".encode())
        if status.startswith("200"):
            _pass_on(connection, target)

    return SocketServer(serve)


def socks_proxy(target: int, *, login: tuple[str, str] | None = None, refuse: int = 0) -> SocketServer:
    """A SOCKS 5 proxy (RFC 1928) that passes everything on to a port of this machine, whatever it is asked for.

    Args:
        target: the port.
        login: user name and password that it wants (RFC 1929), or None.
        refuse: what it answers to every request; 0 lets them through.
    """

    def serve(connection: socket.socket, number: int) -> None:
        methods = _exactly(connection, _exactly(connection, 2)[1])
        method = 0 if login is None else 2
        connection.sendall(bytes((5, method if method in methods else 255)))
        if login is not None:
            user = _exactly(connection, _exactly(connection, 2)[1])
            password = _exactly(connection, _exactly(connection, 1)[0])
            right = (user.decode(), password.decode()) == login
            connection.sendall(bytes((1, 0 if right else 1)))
            if not right:
                return
        kind = _exactly(connection, 4)[3]
        _exactly(connection, {1: 4, 4: 16}.get(kind) or _exactly(connection, 1)[0])
        _exactly(connection, 2)
        connection.sendall(bytes((5, refuse, 0, 1)) + bytes(4) + struct.pack(">H", 0))
        if not refuse:
            _pass_on(connection, target)

    return SocketServer(serve)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ValueError("closed")
        data += piece
    return data


def _pass_on(one: socket.socket, target: int) -> None:
    with socket.create_connection(("127.0.0.1", target)) as other:

        def back() -> None:
            with suppress(OSError):
                while piece := other.recv(65536):
                    one.sendall(piece)
                one.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=back, daemon=True).start()
        while piece := one.recv(65536):
            other.sendall(piece)


@contextmanager
def full_listener() -> Iterator[int]:
    """A port that takes no connection and refuses none: whoever connects to it waits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for one in waiting:
                one.close()
