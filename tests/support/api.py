"""What the tests of the API side share: the stand-in vendor on loopback, a client for it, and a whole export's reading.

The truth that a report is held against comes from the sandbox's own calls and never passes through the code under test.
"""

from __future__ import annotations

import csv
import json
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.reading import Proof
from airflow_provider_callreport.api.settings import ClientSettings, Credentials
from airflow_provider_callreport.export.road import Export, ExportRequest
from airflow_provider_callreport.report import ReportOutcome
from airflow_provider_callreport.sandbox.calls import Call, CallSource, ListedCalls
from airflow_provider_callreport.sandbox.filters import parse_filter
from airflow_provider_callreport.sandbox.rows import RowShape
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

KOLKATA = ZoneInfo("Asia/Kolkata")
#: The day that the tests read.
DAY = Window(datetime(2026, 3, 13, tzinfo=KOLKATA), datetime(2026, 3, 14, tzinfo=KOLKATA), KOLKATA)
NOON = datetime(2026, 3, 13, 12)
#: Columns of the vendor's example answer.
WIDTH = 16
#: Whether the long versions of tests run: ``CALLREPORT_SOAK=1 pytest``.
SOAK = os.environ.get("CALLREPORT_SOAK") == "1"


@dataclass(frozen=True)
class Reading:
    """What an export made of the vendor's answers.

    Attributes:
        header: the file's columns.
        rows: the file's rows as text, in order.
        proof, outcome: what was proved of them.
        requests: requests that the client made.
    """

    header: list[str]
    rows: list[tuple[str, ...]]
    proof: Proof
    outcome: ReportOutcome
    requests: int

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The cells of the sixteen columns, without further ones."""
        return [row[:WIDTH] for row in self.rows]


def api_url(server: SandboxServer | AnsweringServer) -> str:
    """Base URL of the API of a sandbox."""
    return f"{server.url}/api/v2/CallReport"


def client_settings(base_url: str, **changes: Any) -> ClientSettings:
    """Settings of a client that is in no mood to wait: nothing is tried again unless a test says so."""
    settings = ClientSettings(
        base_url=base_url,
        credentials=Credentials("sandbox-user", "sandbox-token"),
        timeout=5,
        deadline=10,
        page_size=100,
        max_retry_time=0,
    )
    return replace(settings, **changes)


@contextmanager
def client_of(server: SandboxServer | AnsweringServer, **changes: Any) -> Iterator[CallReportClient]:
    """A client for a sandbox."""
    with CallReportClient(client_settings(api_url(server), **changes)) as client:
        yield client


def read_report(
    server: SandboxServer | AnsweringServer,
    *,
    window: Window = DAY,
    report: str = "calls",
    client: Mapping[str, Any] | None = None,
    **request: Any,
) -> Reading:
    """Export a report to a CSV file the way the operators do, and read the file.

    Args:
        server: the vendor.
        window: which calls.
        report: ``"calls"`` or ``"masked_calls"``.
        client: changed `ClientSettings`.
        request: changed fields of `ExportRequest`.

    Raises:
        CallReportError: as the export does.
    """
    asked = ExportRequest(report, window, **{"rounds_wait": (0, 0, 0), **request})
    with client_of(server, **(client or {})) as caller, tempfile.TemporaryDirectory() as directory:
        made = Export(caller, asked, Path(directory)).make_files()
        with made.files[0].path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert len(list(Path(directory).iterdir())) == 1, "nothing but the file is left in the spool"
        return Reading(header, [tuple(row) for row in rows], made.proof, made.outcome, caller.requests_made)


def truth(source: CallSource, window: Window = DAY, filters: Mapping[str, Any] | None = None) -> list[tuple[str, ...]]:
    """The calls that a report must hold, oldest first, as the cells of a CSV file with the sixteen columns."""
    selection = source.select(parse_filter({**(filters or {}), **(window.api_filter() or {})}))
    rows = map(json.loads, selection.encode(0, len(selection), RowShape(row="array")))
    return [tuple("" if cell is None else str(cell) for cell in row) for row in rows]


def listed(*calls: Call, timezone: str = "Asia/Kolkata") -> ListedCalls:
    """Exactly these calls."""
    return ListedCalls(calls, timezone=timezone)


def asked_pages(server: SandboxServer) -> list[int | None]:
    """The pages that were asked for, in order."""
    return [request.page for request in server.requests if request.endpoint in ("list", "masklist")]


@dataclass(frozen=True)
class Seen:
    """A request that a `ScriptedServer` got."""

    path: str
    headers: dict[str, str]
    body: bytes
    time: float


Script = tuple[int, Mapping[str, str], bytes]


class LoopbackServer:
    """An HTTP server on loopback whose answers a function makes of the requests.

    Args:
        respond: gets a request, and returns the answer to it.
        tls: a server-side TLS context, for https.

    Attributes:
        seen: the requests, in order.
    """

    def __init__(self, respond: Callable[[Seen], Script], *, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        received = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append(Seen(self.path, dict(self.headers), body, time.monotonic()))
                status, headers, content = respond(received[-1])
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class ScriptedServer(LoopbackServer):
    """A server that answers what it is told, in order: for answers that the stand-in vendor does not know.

    Args:
        answers: status, headers and body of each answer; the last one is repeated for ever.
        tls: a server-side TLS context, for https.
    """

    def __init__(self, *answers: Script, tls: ssl.SSLContext | None = None) -> None:
        script = list(answers)
        super().__init__(lambda request: script.pop(0) if len(script) > 1 else script[0], tls=tls)


class AnsweringServer(LoopbackServer):
    """A server that looks at what is asked.

    Args:
        answer: gets the endpoint's name and the request's body, and returns what is sent as JSON, as bytes as they are,
            or as (status, either). None is HTTP 404.
    """

    def __init__(self, answer: Callable[[str, dict[str, Any]], Any]) -> None:
        def respond(request: Seen) -> Script:
            made = answer(*_asked(request))
            status, made = made if isinstance(made, tuple) else (404 if made is None else 200, made)
            return status, {}, made if isinstance(made, bytes) else json.dumps(made).encode()

        super().__init__(respond)

    @property
    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        """Endpoint and body of each request, in order."""
        return list(map(_asked, self.seen))

    def pages_asked(self) -> list[int]:
        """The pages that were asked for, in order."""
        return [body["page"] for endpoint, body in self.asked if endpoint != "reportCount"]


def _asked(request: Seen) -> tuple[str, dict[str, Any]]:
    return request.path.rpartition("/")[2], json.loads(request.body)


def json_answer(payload: Any, status: int = 200, **headers: str) -> Script:
    """An answer in JSON; ``Retry_After="1"`` is the header ``Retry-After``."""
    return (
        status,
        {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}},
        json.dumps(payload).encode(),
    )


@contextmanager
def sandbox(*, proxy: bool = False) -> Iterator[SandboxServer]:
    """A sandbox for a whole module; each test gives it settings of its own with `behave`."""
    with SandboxServer(SandboxSettings(), proxy=proxy) as server:
        yield server


def behave(server: SandboxServer, faults: Sequence[Any] = (), **settings: Any) -> SandboxServer:
    """Make a sandbox forget what was, and behave as these settings say."""
    server.reset()
    server.settings = SandboxSettings(faults=list(faults), **settings)
    return server
