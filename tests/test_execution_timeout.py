"""``execution_timeout`` ends a task where it is, and every thread of it within a second."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, timeout
from support.api import DAY, client_settings
from support.network import SocketServer, http_answer, read_request

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.export.road import Export, ExportRequest
from airflow_provider_callreport.recordings.copy import RecordingsRequest, copy_recordings
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.servers import SandboxS3

pytestmark = pytest.mark.slow

PAGE = 10


def api(hangs: Callable[[str, dict[str, Any]], bool], *, calls: int) -> SocketServer:
    """An API that answers at once, and hangs where it is told to: before the head, or in the middle of a stream."""

    def serve(peer: socket.socket, number: int) -> None:
        while raw := read_request(peer):
            head, _, body = raw.partition(b"\r\n\r\n")
            path = head.split()[1].decode().rpartition("/")[2]
            asked = json.loads(body) if body else {}
            if hangs(path, asked):
                if path.endswith(".mp3"):
                    peer.sendall(http_answer(b"ID3" + bytes(100_000), "200 OK", "Content-Type: audio/mpeg")[:-10])
                time.sleep(120)
            peer.sendall(http_answer(json.dumps(answer(path, asked)).encode()))

    def answer(path: str, asked: dict[str, Any]) -> Any:
        if path == "detail":
            parts = ("token", "mp3", "acme", "2026", "03", "13", f"{asked['clId']}.mp3")
            return {"data": {"rcrdAr": [{"ndId": "n1", "rcrd": "*".join(parts)}]}}
        if path == "reportCount":
            return {"cnt": calls}
        start = asked["page"] * PAGE
        rows = [
            {"callId": f"c{number}", "Time": "2026-03-13 12:00:00", "Caller Number": "919876543210"}
            for number in range(start, min(start + PAGE, calls))
        ]
        return {"data": rows, "cnt": calls}

    return SocketServer(serve)


def threads() -> list[threading.Thread]:
    """Threads of the package, without those that the triggerer's client keeps for other tests of this process."""
    names = {thread: thread.name for thread in threading.enumerate()}
    return [one for one, name in names.items() if name.startswith("callreport") and "async" not in name]


def ends_within_a_second(work: Callable[[], object], *, least: int, seconds: float = 1.0) -> None:
    """Let Airflow's own timeout end some work while so many threads of it are under way."""
    assert not threads()
    seen: list[int] = []
    watcher = threading.Timer(seconds - 0.2, lambda: seen.append(len(threads())))
    watcher.start()
    struck = time.monotonic() + seconds
    with pytest.raises(AirflowTaskTimeout), timeout(seconds):  # type: ignore[no-untyped-call]
        work()
    while threads() and time.monotonic() - struck < 10:
        time.sleep(0.01)
    assert time.monotonic() - struck < 1, threads()
    assert seen[0] >= least, "the test proves nothing: nothing was under way"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_export_whose_pages_hang(concurrency: int, tmp_path: Path) -> None:
    """ends-in-time: the first page comes, the others never do."""
    with (
        api(lambda path, asked: path == "list" and asked["page"] > 0, calls=1000) as server,
        tempfile.TemporaryDirectory() as directory,
    ):

        def export() -> None:
            settings = client_settings(f"{server.url}/api/v2/CallReport", timeout=100, deadline=100, max_retry_time=100)
            request = ExportRequest("calls", DAY, page_size=PAGE, concurrency=concurrency)
            with CallReportClient(settings) as client:
                Export(client, request, Path(directory)).make_files()

        ends_within_a_second(export, least=concurrency)


@pytest.mark.parametrize("where", ["detail", ".mp3"])
def test_recordings_that_hang(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ends-in-time: in the question for a call, and in the middle of a stream."""
    with SandboxS3() as s3, api(lambda path, asked: path.endswith(where), calls=PAGE) as server:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection_json())
        request = RecordingsRequest(
            *("calls", DAY, "reports", "rec/[[ call ]]_[[ part ]].mp3"),
            manifest_key="rec/manifest.jsonl",
            concurrency=4,
            page_size=PAGE,
        )

        def copy() -> None:
            settings = client_settings(f"{server.url}/api/v2/CallReport", timeout=100, deadline=100, max_retry_time=100)
            with CallReportClient(settings) as client:
                copy_recordings(client, request, run=RunIdentity("dag", "recordings", "run"))

        # Connecting to AWS takes a second or two.
        ends_within_a_second(copy, least=4, seconds=4)
