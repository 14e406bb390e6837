"""Recordings and the audit in real Airflow: what each task did, and what it left where (no-leak, known-to-airflow)."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.runs import KOLKATA, AirflowRuns, Api, Evidence, once_a_session, run_dags
from test_import_cost import heavy, timed_import

from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.recordings import recording_bytes
from airflow_provider_callreport.sandbox.settings import SandboxSettings

NUMBER = "919876501234"
TOKEN = "canarytoken7f3a<&"
CANARIES = {
    "number": b"9876501234",
    "token": b"canarytoken7f3a",
    "recording": b"canaryrecording",
}
DAGS = ("rest", "rest_unmasked")
GREEN = {
    *("copied", "copied_again", "copied_elsewhere", "export", "check_s3", "check_xcom", "check_asset"),
}
#: Task -> how often it ran, and a part of the sentence that it failed with.
RED = {
    "being_made": (2, "3 are missing, 0 failed"),
    "no_account": (1, "code 1014"),
    "echoing_stream": (1, "0 are missing, 3 failed"),
    "check_drift": (1, "the API counts 3 calls from 2026-03-13T00:00:00+05:30"),
}
START = datetime(2026, 3, 13, 9)
CALLS = [
    Call(
        START + timedelta(minutes=minute),
        number=NUMBER,
        call_id=f"call{minute}",
        recording=f"canaryrecording{minute}*mp3*acme*2026*03*13*{NUMBER}_{minute}.mp3",
    )
    for minute in range(3)
]


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return once_a_session(airflow_runs, "rest-run", lambda directory: _run(airflow_runs, directory))


def _run(airflow_runs: AirflowRuns, directory: Path) -> Evidence:
    day = datetime(2026, 3, 14, tzinfo=KOLKATA)
    return run_dags(
        airflow_runs,
        directory,
        ["rest_of_api.py"],
        [*((dag_id, day) for dag_id in DAGS), ("rest_by_hand", None)],
        unmasked="rest_unmasked",
        apis={
            "callreport_default": _api(),
            "callreport_being_made": _api(detail_answer="being_made"),
            "callreport_refused": Api(_settings(token="another"), fields={"password": TOKEN}),
            "callreport_echoing": _api(recording_answer="error"),
        },
        environment={
            "AIRFLOW_VAR_CANARY_NUMBER": NUMBER,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        },
        debug_log=True,
    )


def _api(**settings: Any) -> Api:
    return Api(_settings(**settings), {"max_retry_time": 0})


def _settings(**settings: Any) -> SandboxSettings:
    return SandboxSettings(**{"calls": ListedCalls(CALLS), "token": TOKEN, **settings})


@pytest.mark.parametrize("dag_id", DAGS)
def test_green_is_green_and_red_is_red(run: Evidence, dag_id: str) -> None:
    """error-kinds: what another try may mend is tried again by Airflow, what it cannot is not; each red
    task says why.
    """
    states = {task: one.state for (dag, task, _), one in run.tasks.items() if dag == dag_id}
    assert {task for task, state in states.items() if state == "success"} == GREEN, states
    assert {task for task, state in states.items() if state == "failed"} == set(RED)
    for task, (tries, words) in RED.items():
        evidence = run.task(dag_id, task)
        assert evidence.tries == tries, task
        assert words in evidence.log, task


def test_recordings_are_in_s3_once(run: Evidence) -> None:
    """all-or-nothing, stored-bytes: bytes and manifest; the second task found them there."""
    first, second = run.task("rest", "copied").xcom, run.task("rest", "copied_again").xcom
    assert (first["copied"], first["already_there"]) == (3, 0)
    assert (second["copied"], second["already_there"]) == (0, 3)
    assert first["manifest"] == second["manifest"]
    manifest = run.objects["rest/copied/manifest.jsonl"]
    assert hashlib.sha256(manifest.body).hexdigest() == first["manifest"]["sha256"]
    for call in CALLS:
        assert run.objects[f"rest/copied/{call.call_id}_n1.mp3"].body == recording_bytes(
            call.recording, SandboxSettings()
        )
    for task in ("being_made", "no_account", "echoing_stream"):
        assert [key for key in run.objects if key.startswith(f"rest/{task}/")] == []


def test_deliveries_are_events_of_assets(run: Evidence) -> None:
    """known-to-airflow: of the manifest; none of a manifest that another task had written already."""
    events = {(event.task_id, event.uri): event.extra for event in run.asset_events("rest")}
    assert set(events) == {
        ("copied", "rest_recordings"),
        ("copied_elsewhere", "s3://reports/rest/copied_elsewhere/manifest.jsonl"),
        ("export", "rest_calls"),
    }
    copied = run.task("rest", "copied").xcom
    extra = events["copied", "rest_recordings"]
    assert extra == {**copied["manifest"], **{name: copied[name] for name in copied if name != "manifest"}}
    assert (extra["calls"], extra["rows"], extra["sha256"]) == (3, 3, copied["manifest"]["sha256"])


def test_the_audit_compares(run: Evidence) -> None:
    """proved-total: from the object's metadata and from XCom; the drift is in the red task's sentence."""
    for task in ("check_s3", "check_xcom", "check_asset"):
        xcom = run.task("rest", task).xcom
        assert (xcom["counted"], xcom["delivered"], xcom["drift"]) == (3, 3, 0)


def test_a_run_without_an_interval_says_what_to_set(run: Evidence) -> None:
    """clear-sentence: started by hand."""
    evidence = run.task("rest_by_hand", "no_window")
    assert evidence.state == "failed"
    assert "set window_start and window_end" in evidence.log


def test_xcom_values_are_small(run: Evidence) -> None:
    """known-to-airflow: under 4 KB each."""
    assert all(one.xcom_bytes < 4096 for one in run.tasks.values())


def test_rendered_templates_hide_numbers(run: Evidence) -> None:
    """no-leak: what the UI shows of filters."""
    for dag_id in DAGS:
        assert str(run.task(dag_id, "copied").rendered["filters"]) == "{'cNum': '***'}"


def test_nothing_secret_is_left_anywhere(run: Evidence) -> None:
    """no-leak: logs at DEBUG (also with Airflow's masker blind), database, S3, temporary directory."""
    log = "\n".join(line for line in run.log.splitlines() if "Sending request" not in line or "MaskSecret(" not in line)
    debug = (run.home.parent / "debug.log").read_text()
    assert "DEBUG urllib3.connectionpool" in debug
    assert leaks(log.encode()) == []
    assert leaks(debug.encode()) == []
    for path in (path for place in (run.home, run.temp) for path in place.rglob("*") if path.is_file()):
        assert leaks(path.read_bytes()) == [], path
    for key, stored in run.objects.items():
        assert leaks(key.encode() + json.dumps(dict(stored.metadata)).encode()) == [], key
        # A report's Rec. column holds tokens unless it is redacted.
        assert leaks(stored.body) == (["recording"] if key.endswith("/e.csv") else []), key
    assert [path for path in run.temp.rglob("*") if "callreport" in path.name] == []


def test_the_examples_run(airflow_runs: AirflowRuns, tmp_path: Path) -> None:
    """every-airflow: a week of exports, and then the night's audit finds each of them whole; the recordings' Dag runs
    as well.
    """
    night = datetime(2026, 3, 14, 3, tzinfo=KOLKATA)
    examples = Path(__file__).parent.parent / "example_dags"
    settings = SandboxSettings(
        calls=SyntheticCalls(12, timezone="Asia/Kolkata"), masked_calls=SyntheticCalls(5, masked=True)
    )
    evidence = run_dags(
        airflow_runs,
        tmp_path,
        ["examples.py"],
        [
            *(("daily_masked_calls_to_s3", night.replace(hour=1) - timedelta(days=ago)) for ago in range(7)),
            ("nightly_check", night),
            ("recordings_to_s3", night),
        ],
        apis={"callreport_default": Api(settings)},
        environment={"CALLREPORT_EXAMPLE_DAGS": str(examples)},
    )
    checks = [evidence.task("nightly_check", f"check_{ago}_days_ago") for ago in range(1, 8)]
    assert [(one.state, one.xcom["counted"], one.xcom["drift"]) for one in checks] == [("success", 5, 0)] * 7
    assert len({one.xcom["window"]["start"] for one in checks}) == 7
    recordings = evidence.task("recordings_to_s3", "recordings").xcom
    assert recordings["calls"] == recordings["reported_total"] > 0
    assert recordings["recordings"] == sum(key.endswith(".mp3") for key in evidence.objects) > 0


def leaks(content: bytes) -> list[str]:
    """Which canaries are in it."""
    return [name for name, canary in CANARIES.items() if canary in content]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["recordings", "check", "manifest"])
def test_importing_an_operator_brings_no_heavy_library(module: str) -> None:
    """light-import: a Dag file pays for none of the libraries that do the work."""
    _, loaded = timed_import(f"import airflow_provider_callreport.operators.{module}")
    assert f"airflow_provider_callreport.operators.{module}" in loaded
    assert heavy(loaded) == []
