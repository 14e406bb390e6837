"""whole-or-red: `make wide` finds a lost or doubled row, and its Dag is the example's; see `tools.wide`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from typing import Any

import pendulum
import pytest
from support.api import KOLKATA, client_of

from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from tools.run_dags import DagBag
from tools.wide.__main__ import EXAMPLE, peak_per_second, sliced_dag
from tools.wide.cluster import WideError, find_programs
from tools.wide.proof import Proof, compare

CALLS = SyntheticCalls(600)
NIGHT, NOON, MIDNIGHT = datetime(2026, 10, 15), datetime(2026, 10, 15, 12), datetime(2026, 10, 16)
MANIFEST = "calls/manifest.json"


@pytest.fixture(scope="module")
def s3() -> Iterator[SandboxS3]:
    """A day in two slices, exported, and a manifest of them."""
    with (
        SandboxS3() as server,
        SandboxServer(SandboxSettings(calls=CALLS)) as api,
        client_of(api) as client,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("AIRFLOW_CONN_AWS_DEFAULT", server.connection_json())
        files = []
        for number, (start, end) in enumerate(((NIGHT, NOON), (NOON, MIDNIGHT))):
            window = Window(start.replace(tzinfo=KOLKATA), end.replace(tzinfo=KOLKATA), KOLKATA)
            asked = ExportRequest("calls", window)
            run = RunIdentity("dag", "export", "run", number)
            (file,) = export_report(client, asked, run=run, destination=S3Destination("reports", f"{number}.csv")).files
            sides = {"start": window.start.isoformat(), "end": window.end.isoformat()}
            files.append({"uri": file.uri, "rows": file.file.rows, "window": sides})
        server.client().put_object(Bucket="reports", Key=MANIFEST, Body=json.dumps({"rows": 600, "files": files}))
        yield server


def compared(s3: SandboxS3, right: dict[tuple[str, str], int] | None = None) -> Proof:
    """What `make wide` would say."""
    return compare(s3, "reports", MANIFEST, CALLS, (NIGHT, MIDNIGHT), 2, {} if right is None else right)


def test_a_day_that_is_whole_has_no_problem(s3: SandboxS3) -> None:
    """whole-or-red: the rows of the files are the API's own; the same bytes are looked at once."""
    right: dict[tuple[str, str], int] = {}
    for _ in range(2):
        assert astuple(compared(s3, right)) == (600, 0, 0, [])
    assert sum(right.values()) == 600


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda lines: [*lines, lines[-1]], (601, 1, 0)),
        (lambda lines: lines[:-1], (599, 0, 1)),
        (lambda lines: [*lines[:-1], lines[-1].replace("false", "true")], (600, 1, 1)),
    ],
    ids=["doubled", "lost", "changed"],
)
def test_a_row_that_is_not_the_api_s_is_found(
    s3: SandboxS3, harm: Callable[[list[str]], list[str]], found: tuple[int, int, int]
) -> None:
    """whole-or-red: one row is enough."""
    right = s3.read("1.csv")
    lines = right.decode().splitlines(keepends=True)
    assert harm(lines) != lines
    s3.client().put_object(Bucket="reports", Key="1.csv", Body="".join(harm(lines)).encode())
    proof = compared(s3)
    s3.client().put_object(Bucket="reports", Key="1.csv", Body=right)
    assert (proof.rows, proof.duplicates, proof.losses) == found
    assert proof.problems


def test_a_slice_that_is_missing_is_found(s3: SandboxS3) -> None:
    """whole-or-red: a manifest of half a day is none of the day."""
    right = s3.read(MANIFEST)
    manifest = json.loads(right)
    half = {"rows": manifest["files"][0]["rows"], "files": manifest["files"][:1]}
    s3.client().put_object(Bucket="reports", Key=MANIFEST, Body=json.dumps(half))
    problems = compared(s3).problems
    s3.client().put_object(Bucket="reports", Key=MANIFEST, Body=right)
    assert problems == [
        "the last file ends at 2026-10-15 12:00:00, and the day at 2026-10-16 00:00:00",
        "the manifest has 1 files instead of 2",
    ]


def test_its_dag_is_the_example_in_slices(tmp_path: Path) -> None:
    """every-airflow: Airflow reads it, without a schedule of its own; the example still has what is replaced."""
    (tmp_path / "calls_by_day.py").write_text(sliced_dag(EXAMPLE.read_text("utf-8"), 24), "utf-8")
    bag = DagBag(str(tmp_path))
    assert bag.import_errors == {}
    dag = bag.dags["calls_by_day"]
    assert not dag.timetable.can_be_scheduled
    task: Any = dag.get_task("days")
    days = task.python_callable(pendulum.datetime(2026, 10, 16, 2, tz="Asia/Kolkata"))
    assert len(days) == 24
    assert days[9]["s3_key"] == "calls/dt=2026-10-15/hour=09/calls.csv"
    with pytest.raises(WideError, match=r"has 'schedule=\"0 2 \* \* \*\"' 0 times instead of once"):
        sliced_dag("", 24)


def test_what_is_not_installed_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """clear-sentence: the Debian packages by name."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WideError) as error:
        find_programs(tmp_path)
    assert str(error.value) == (
        "redis-server and postgresql must be installed: apt-get install redis-server postgresql"
    )


def test_the_peak_is_of_any_second() -> None:
    """Not of a second of the clock."""
    assert peak_per_second([0.0, 0.9, 1.5, 1.6, 1.89, 5.0]) == 4
    assert peak_per_second([]) == 0
