"""same-again: a retry, a clear and a backfill in any order give byte-identical files, one object a key."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support.api import DAY, api_url, client_of

from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

pytestmark = pytest.mark.slow

#: Five days, each a run of its own.
DAYS = [Window(DAY.start + timedelta(days=day), DAY.end + timedelta(days=day), DAY.zone) for day in range(5)]

_IN_ANOTHER_PROCESS = """
import json, sys, tempfile
from pathlib import Path
sys.path[:0] = {path!r}
from support.api import DAY, client_settings
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.export.road import Export, ExportRequest
from airflow_provider_callreport.formats import FORMATS
client = CallReportClient(client_settings({url!r}))
found = {{}}
for name, file_format in FORMATS.items():
    options, redact = file_format.check_options({{}}), {{"Caller Number": "last4"}}
    request = ExportRequest("calls", DAY, file_format=name, format_options=options, redact=redact)
    with tempfile.TemporaryDirectory() as directory:
        made = Export(client, request, Path(directory), wants_figures=True).make_files()
        found[name] = made.files[0].sha256
print(json.dumps(found))
"""


@pytest.mark.parametrize("file_format", FORMATS)
def test_any_order_of_runs_gives_the_same_object(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """same-again: scheduled runs in order, then clears, retries and a backfill in another order, read in
    other pages.
    """
    options = FORMATS[file_format].check_options({})
    shuffle = random.Random(7)
    with (
        SandboxServer(SandboxSettings(calls=SyntheticCalls(180))) as server,
        SandboxS3() as s3,
        client_of(server) as client,
    ):
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection_json())

        def run(day: int, run_id: str, page_size: int, concurrency: int) -> str:
            request = ExportRequest(
                "calls",
                DAYS[day],
                redact={"Caller Number": "last4"},
                file_format=file_format,
                format_options=options,
                page_size=page_size,
                concurrency=concurrency,
            )
            place = S3Destination("reports", f"calls/day={day}/calls")
            summary = export_report(client, request, run=RunIdentity("dag", "task", run_id), destination=place)
            return summary.files[0].file.sha256

        first = [run(day, f"scheduled__{day}", 100, 1) for day in range(len(DAYS))]
        objects = {key: s3.read(key, "reports") for key in s3.keys("reports")}
        for kind, page_size, concurrency in (("scheduled", 100, 1), ("manual", 37, 1), ("backfill", 60, 4)):
            for day in shuffle.sample(range(len(DAYS)), len(DAYS)):
                assert run(day, f"{kind}__{day}", page_size, concurrency) == first[day]
        assert {key: s3.read(key, "reports") for key in s3.keys("reports")} == objects
    assert len(set(first)) == len(objects) == len(DAYS)


def test_another_process_with_other_hashes_gives_the_same_bytes() -> None:
    """same-again, same-bytes: nothing in a file depends on the order of a set, a dict of another
    process, or the clock.
    """
    with SandboxServer(SandboxSettings(calls=SyntheticCalls(300))) as server:
        code = _IN_ANOTHER_PROCESS.format(path=[str(Path(__file__).parent), *sys.path], url=api_url(server))
        found = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={"PYTHONHASHSEED": seed, "TZ": zone},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed, zone in (("1", "UTC"), ("2", "America/New_York"))
        }
    assert len(found) == 1
    assert set(json.loads(found.pop())) == set(FORMATS)
