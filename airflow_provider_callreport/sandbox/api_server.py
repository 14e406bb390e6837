"""The stand-in API on a port of this machine, in a thread of this process."""

from __future__ import annotations

import json
import socket
import threading
import time
from types import TracebackType
from typing import Self

import uvicorn

from airflow_provider_callreport.sandbox.app import ReceivedRequest, SandboxApp
from airflow_provider_callreport.sandbox.proxy import TcpProxy
from airflow_provider_callreport.sandbox.settings import SandboxSettings

_LOOPBACK = "127.0.0.1"
_START_SECONDS = 10.0


class SandboxServer:
    """The stand-in for the vendor's API, from ``with`` to the end of the block.

    Example::

        with SandboxServer(SandboxSettings(cursor="top")) as server:
            os.environ["AIRFLOW_CONN_CALLREPORT_DEFAULT"] = server.connection_json()
            server.settings.faults = [Fault("error_on_page", page=1)]

    Args:
        settings: how it behaves; `SandboxSettings` with its defaults if None.
        port: 0 for a free one.
        proxy: whether requests go through a `TcpProxy`, which the faults of the wire need. None: when the settings
            have such a fault at the start.

    Attributes:
        host, port: where it is reached.
        proxy: the proxy in front of it, or None.
    """

    def __init__(self, settings: SandboxSettings | None = None, *, port: int = 0, proxy: bool | None = None) -> None:
        self.app = SandboxApp(settings)
        self.host = _LOOPBACK
        self.port = port
        self.proxy: TcpProxy | None = None
        self._proxied = self.app.settings.needs_proxy if proxy is None else proxy
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def settings(self) -> SandboxSettings:
        """How it behaves; change or replace it between two requests."""
        return self.app.settings

    @settings.setter
    def settings(self, settings: SandboxSettings) -> None:
        self.app.settings = settings

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests that it answered, oldest first, without credentials."""
        return self.app.requests

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.host}:{self.port}"

    def reset(self) -> None:
        """Forget the requests and switch all faults off."""
        self.app.requests.clear()
        self.settings.faults = []

    def connection_json(self, **extra: object) -> str:
        """The value of ``AIRFLOW_CONN_CALLREPORT_DEFAULT`` for it.

        Args:
            extra: entries of the connection's extra.
        """
        return json.dumps(
            {
                "conn_type": "callreport",
                "host": self.url,
                "login": self.settings.user_id,
                "password": self.settings.token,
                "extra": extra,
            }
        )

    def start(self) -> None:
        """Start serving.

        Raises:
            OSError: the port is taken.
            RuntimeError: the server did not come up.
        """
        door = socket.create_server((self.host, 0 if self._proxied else self.port))
        inner_port = door.getsockname()[1]
        config = uvicorn.Config(
            self.app.asgi,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [door]}, name="sandbox-api", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the sandbox API did not start")
            time.sleep(0.002)
        if self._proxied:
            self.app.proxied = True
            self.proxy = TcpProxy(self.host, inner_port, faults=lambda: self.settings.faults, http=True, port=self.port)
            self.proxy.start()
            self.port = self.proxy.port
        else:
            self.app.proxied = False
            self.port = inner_port

    def stop(self) -> None:
        """Stop serving; open connections are cut after a second."""
        if self.proxy is not None:
            self.proxy.stop()
            self.proxy = None
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
