"""An SFTP server on loopback (asyncssh), with a directory of its own and a host key of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

asyncssh: Any = pytest.importorskip("asyncssh")

USER, PASSWORD = "reports", "canary-sftp-password"


@dataclass
class SftpServer:
    """What the server is, and what it saw.

    Attributes:
        folder: what clients see as ``/``.
        port: where it listens.
        host_key: its public key, as one line of a key file.
        passwords: the passwords that it was sent.
        logins: how many clients signed in.
    """

    folder: Path
    port: int = 0
    host_key: str = ""
    passwords: list[str] = field(default_factory=list)
    logins: int = 0

    def connection(self, *, host: str = "127.0.0.1", password: str = PASSWORD, **extra: Any) -> str:
        """An Airflow connection to it, as the value of ``AIRFLOW_CONN_...``."""
        fields = {"conn_type": "sftp", "host": host, "port": self.port, "login": USER, "password": password}
        return json.dumps({**fields, "extra": extra})

    def known_hosts(self) -> str:
        """Its line in a known_hosts file."""
        return f"[127.0.0.1]:{self.port} {self.host_key}\n"


@contextmanager
def sftp_server(folder: Path) -> Iterator[SftpServer]:
    """Start a server.

    Args:
        folder: an empty directory.
    """
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = SftpServer(folder, host_key=key.export_public_key().decode().strip())

    open_connections: list[Any] = []

    class Doorkeeper(asyncssh.SSHServer):  # type: ignore[misc]
        def connection_made(self, conn: Any) -> None:
            open_connections.append(conn)

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            server.passwords.append(password)
            right = (username, password) == (USER, PASSWORD)
            server.logins += right
            return right

    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(
        asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Doorkeeper,
            server_host_keys=[key],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder)),
        )
    )
    server.port = listening.get_port()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def close() -> None:
        listening.close()
        for connection in open_connections:
            connection.abort()
            await connection.wait_closed()
        await listening.wait_closed()

    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
