"""The sensor in real Airflow: each way to wait ends alike, and what waits in the triggerer knows no secret
(cheap-waiting, no-leak).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException
from support.runs import KOLKATA, AirflowRuns, Api, Evidence, once_a_session, run_dags

from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.listed import ListedSelection
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.sensors.callreport import CallReportSensor

NUMBER = "919876501234"
TOKEN = "canarytoken7f3a<&"
CANARIES = {"number": b"9876501234", "token": b"canarytoken7f3a"}
NOON = datetime(2026, 3, 13, 12)
CALLS = [Call(NOON + timedelta(minutes=minute), number=NUMBER, mask="mask_7") for minute in range(3)]
WINDOW = {
    "start": "2026-03-13T00:00:00+05:30",
    "end": "2026-03-14T00:00:00+05:30",
    "timezone": "Asia/Kolkata",
}
#: The ways to wait, as `support/airflow_dags/sensors.py` names them.
MODES = ("poke", "reschedule", "deferred")


class LateCalls(ListedCalls):
    """Calls that show up after some looks.

    Args:
        looks: how many looks find none.
    """

    def __init__(self, looks: int) -> None:
        super().__init__(CALLS)
        self._looks = looks

    def select(self, wanted: CallFilter) -> ListedSelection:
        """None at first, then the calls."""
        self._looks -= 1
        return super().select(wanted) if self._looks < 0 else ListedCalls().select(wanted)


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return once_a_session(airflow_runs, "sensor-run", lambda directory: _run(airflow_runs, directory))


def _run(airflow_runs: AirflowRuns, directory: Path) -> Evidence:
    day = datetime(2026, 3, 14, tzinfo=KOLKATA)
    refused = Api(_settings(token="another"), fields={"password": TOKEN})
    late = {f"callreport_late_{name}": _api(calls=LateCalls(2)) for name in (*MODES, "unmasked")}
    return run_dags(
        airflow_runs,
        directory,
        ["sensors.py"],
        [("sensors", day), ("sensors_by_hand", None), ("sensors_unmasked", day)],
        unmasked="sensors_unmasked",
        apis={
            **late,
            **{f"callreport_refused_{mode}": refused for mode in ("poke", "deferred")},
            "callreport_refused": Api(_settings(faults=[Fault("leaky_error", code=1014)]), {"max_retry_time": 0}),
            "callreport_few": _api(),
            "callreport_number": _api(calls=LateCalls(2)),
            "callreport_masked": _api(masked_calls=LateCalls(2), faults=[Fault("vendor_error", code=1009, times=1)]),
        },
        smtp={},
        environment={"AIRFLOW_VAR_CANARY_NUMBER": NUMBER, "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"},
        debug_log=True,
    )


def _api(**settings: Any) -> Api:
    # One look is one request: nothing is tried again inside it.
    return Api(_settings(**settings), {"max_retry_time": 0})


def _settings(**settings: Any) -> SandboxSettings:
    return SandboxSettings(**{"calls": ListedCalls(CALLS), "token": TOKEN, **settings})


def asked(run: Evidence, account: str) -> list[str]:
    """The endpoints that an account's sensors asked."""
    return [request.endpoint for request in run.requests[f"callreport_{account}"]]


def test_each_way_to_wait_finds_the_same(run: Evidence) -> None:
    """cheap-waiting: the value is equal to the last letter; a look costs one request, and the deferred sensor makes one
    more.
    """
    found = {"report": "calls", "window": WINDOW, "calls": 3, "exact": True}
    for mode, looks in (("poke", 3), ("reschedule", 3), ("deferred", 4)):
        task = run.task("sensors", mode)
        assert (task.state, task.xcom, task.tries) == ("success", found, 1), task.log
        assert asked(run, f"late_{mode}") == ["reportCount"] * looks
    assert run.task("sensors", "deferred").log.count("running trigger in line") == 1


def test_masked_calls_are_counted_by_a_page(run: Evidence) -> None:
    """cheap-waiting: nobody knows whether reportCount counts masked calls; an error that passes is lived through
    (silent_fail).
    """
    found = {"report": "masked_calls", "window": WINDOW, "calls": 3, "exact": True}
    task = run.task("sensors", "masked")
    assert (task.state, task.xcom) == ("success", found), task.log
    assert asked(run, "masked") == ["masklist"] * 4


def test_a_number_in_a_filter_stays_with_the_task(run: Evidence) -> None:
    """cheap-waiting, no-leak: the trigger waits and wakes the worker up, which counts: the same looks as without it."""
    task = run.task("sensors", "number")
    assert (task.state, task.xcom["calls"]) == ("success", 3), task.log
    assert asked(run, "number") == ["reportCount"] * 3
    assert task.log.count("running trigger in line") == 2


def test_what_no_retry_mends_ends_the_task_at_once(run: Evidence) -> None:
    """error-kinds: one request and one try, though the task has a retry; the sentence says what to do."""
    for mode in ("poke", "deferred"):
        task = run.task("sensors", f"refused_{mode}")
        assert (task.state, task.tries) == ("failed", 1)
        assert "Correct User id and Token in the Airflow connection" in task.log
        assert len(asked(run, f"refused_{mode}")) == 1


def test_too_few_calls_in_the_time_are_red(run: Evidence) -> None:
    """cheap-waiting: however the sensor waits."""
    for mode in ("poke", "deferred"):
        assert run.task("sensors", f"too_few_{mode}").state == "failed"
        assert "timeout of 0" in run.task("sensors", f"too_few_{mode}").log


def test_a_timeout_that_passes_in_the_triggerer_ends_the_sensor(run: Evidence) -> None:
    """cheap-waiting: also in ``dag.test()``, where nobody but the trigger looks at the time."""
    task = run.task("sensors", "too_late_deferred")
    assert (task.state, task.tries) == ("failed", 1), task.log
    assert "fewer than 9 calls after the timeout of 2 s" in task.log
    assert "running trigger in line" in task.log


def test_a_sensor_that_never_fails_is_skipped_after_its_timeout(run: Evidence) -> None:
    """cheap-waiting: however the sensor waits; Airflow's own sensors are red when they poll on a worker."""
    for mode in MODES:
        task = run.task("sensors", f"never_fails_{mode}")
        assert task.state == "skipped", task.log
        assert "timeout of 0" in task.log


def test_sensors_can_be_mapped(run: Evidence) -> None:
    """A mapped sensor is checked, waits and returns like any other; a wrong argument is red and says which."""
    first, second, wrong = (run.task("sensors", "mapped", index) for index in range(3))
    assert (first.state, first.xcom["calls"]) == ("success", 3)
    assert (second.state, str(second.rendered["filters"])) == ("failed", "{'cNum': '***'}")
    assert wrong.state == "failed"
    assert "min_calls is 0; allowed is a whole number of at least 1" in wrong.log


def test_a_run_without_an_interval_says_what_to_set(run: Evidence) -> None:
    """clear-sentence: a sensor never waits for "everything"."""
    task = run.task("sensors_by_hand", "waits")
    assert (task.state, task.tries) == ("failed", 1)
    assert "set window_start and window_end" in task.log


def test_nothing_secret_is_left_anywhere(run: Evidence) -> None:
    """no-leak: database, logs at DEBUG (also with Airflow's masker blind), rendered templates, triggers' arguments."""
    for dag_id, task in (("sensors", "number"), ("sensors_unmasked", "deferred")):
        assert str(run.task(dag_id, task).rendered["filters"]) == "{'cNum': '***'}"
    assert run.task("sensors_unmasked", "deferred").state == "success"
    assert run.task("sensors_unmasked", "refused").state == "failed"
    log = "\n".join(line for line in run.log.splitlines() if "Sending request" not in line or "MaskSecret(" not in line)
    debug = (run.home.parent / "debug.log").read_text()
    assert "DEBUG urllib3.connectionpool" in debug
    assert leaks(log.encode()) == []
    assert leaks(debug.encode()) == []
    for path in (path for place in (run.home, run.temp) for path in place.rglob("*") if path.is_file()):
        assert leaks(path.read_bytes()) == [], path


def leaks(content: bytes) -> list[str]:
    """Which canaries are in it."""
    return [name for name, canary in CANARIES.items() if canary in content]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"report": "list"}, "report is 'list'; allowed are calls, masked_calls"),
        ({"min_calls": 0}, "min_calls is 0; allowed is a whole number of at least 1"),
        ({"min_calls": "many"}, "min_calls is 'many'; allowed is a whole number of at least 1"),
        ({"min_calls": True}, "min_calls is True; allowed is a whole number of at least 1"),
        ({"deferrable": "yes"}, "deferrable is 'yes'; allowed are True and False"),
        ({"filters": {"cNum": 919876501234}}, "filters has cNum of type int; allowed is text, or a list of texts"),
        ({"filters": {"dtGte": "2026-01-01"}}, "filters has dtGte, which belongs to the window"),
        ({"window_start": "today"}, "window_start is 'today', which is no time"),
        (
            {"window_start": "2026-03-14", "window_end": "2026-03-13"},
            "window_start is 2026-03-14T00:00:00 and window_end",
        ),
        ({"callreport_conn_id": " "}, "callreport_conn_id is ' '; allowed is the id of an Airflow connection"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: while the Dag is parsed, and without the number."""
    with pytest.raises(ValueError, match=r"allowed|belongs|must be|no time|set a later") as refusal:
        CallReportSensor(task_id="waits", **arguments)
    assert str(refusal.value).startswith(sentence)
    assert NUMBER not in str(refusal.value)


def test_templates_are_left_for_the_run() -> None:
    """What is a template, or comes from another task, is not judged while the Dag is parsed."""
    templates: dict[str, Any] = {
        "report": "{{ params.report }}",
        "filters": "{{ ti.xcom_pull('filters') }}",
        "min_calls": "{{ params.number }}",
        "window_start": "{{ ds }}",
    }
    sensor = CallReportSensor(task_id="waits", **templates)
    assert set(sensor.template_fields) == {
        *("report", "filters", "window_start", "window_end", "min_calls", "callreport_conn_id"),
    }


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        ({}, AirflowSensorTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
    ],
)
def test_a_timeout_in_the_triggerer_is_the_sensors(policy: dict[str, Any], outcome: type[Exception]) -> None:
    """cheap-waiting: Airflow ends a deferral that lasts too long, and resumes the sensor with that; soft_fail still
    skips.

    The second sentence is that of Airflow 2.11.
    """
    sensor = CallReportSensor(task_id="waits", deferrable=True, **policy)
    for sentence in ("Trigger timeout", "Trigger/execution timeout"):
        with pytest.raises(outcome):
            sensor.resume_execution("__fail__", {"error": sentence}, {})


@pytest.mark.parametrize("policy", [{"soft_fail": True}, {"never_fail": True}, {}])
def test_an_error_in_the_triggerer_is_no_timeout(policy: dict[str, Any]) -> None:
    """cheap-waiting: the trigger has died; the policies skip, and without one the task fails with what Airflow says."""
    sensor = CallReportSensor(task_id="waits", deferrable=True, **policy)
    with pytest.raises(AirflowSkipException if policy else Exception, match=r"Trigger failure|Skipping") as caught:
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, {})
    assert not isinstance(caught.value, AirflowSensorTimeout)
    assert isinstance(caught.value, AirflowSkipException) is bool(policy)
