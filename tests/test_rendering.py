"""What templates become: text stays text under native rendering, and a date that a run lacks is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from jinja2 import UndefinedError

from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.sensors.callreport import CallReportSensor

WINDOW: dict[str, Any] = {"window_start": "2026-03-13T00:00:00", "window_end": "2026-03-14T00:00:00"}


def operator(*, native: bool = True, **arguments: Any) -> CallReportExportOperator:
    with DAG("rendering", render_template_as_native_obj=native):
        return CallReportExportOperator(task_id="calls", **{"email_to": "a@example.com", **WINDOW, **arguments})


@pytest.mark.parametrize(
    "number",
    [
        "919876543210",
        "+919876543210",
        "-5",
        "00919876543210",
        "9876543210.50",
        "1e5",
        "0x1F",
        "1_000",
        "12345678901234567890",
    ],
)
@pytest.mark.parametrize("native", [True, False])
def test_a_number_in_a_filter_stays_the_text_that_it_was(number: str, native: bool) -> None:
    """text-stays-text: airflow's native rendering reads ``+919876543210`` as Python does: an int without its sign."""
    task = operator(native=native, filters={"cNum": "{{ params.number }}", "to": ["{{ params.number }}", "x"]})
    task.render_template_fields({"params": {"number": number}})
    assert dict(task.filters or {}) == {"cNum": number, "to": [number, "x"]}
    task.check_all(rendered=True)


def test_a_parameter_that_is_a_number_becomes_its_text() -> None:
    """text-stays-text: as in a Dag without native rendering."""
    task = operator(filters={"cNum": "{{ params.number }}"}, filename="{{ ds_nodash }}")
    task.render_template_fields({"params": {"number": 919876543210}, "ds_nodash": "20260313"})
    assert dict(task.filters or {}) == {"cNum": "919876543210"}
    assert task.filename == "20260313"
    task.check_all(rendered=True)


def test_what_native_rendering_is_for_still_works() -> None:
    """text-stays-text: A list, an object, a datetime and None come out as what they are."""
    start = datetime(2026, 3, 13, tzinfo=UTC)
    task = operator(
        email_to="{{ params.people }}",
        filters="{{ params.filters }}",
        window_start="{{ params.start }}",
        filename="{{ params.nothing }}",
    )
    task.render_template_fields(
        {"params": {"people": ["a@example.com"], "filters": {"agent": ["Asha"]}, "start": start, "nothing": None}}
    )
    assert (task.email_to, dict(task.filters or {}), task.window_start, task.filename) == (
        ["a@example.com"],
        {"agent": ["Asha"]},
        start,
        None,
    )


def test_the_sensor_waits_for_a_number_of_calls_that_a_template_gives() -> None:
    """text-stays-text: native rendering or not: ``min_calls`` is read from the text."""
    for native in (True, False):
        with DAG("rendering", render_template_as_native_obj=native):
            sensor = CallReportSensor(task_id="wait", min_calls="{{ params.n }}", **WINDOW)
        sensor.render_template_fields({"params": {"n": 5}})
        sensor.check_all(rendered=True)
        assert int(sensor.min_calls) == 5


@pytest.mark.parametrize("template", ["calls_{{ ds }}.csv", "{{ logical_date.year }}", "{{ ts_nodash }}"])
@pytest.mark.parametrize("native", [True, False])
def test_a_date_that_the_run_does_not_have_is_named(template: str, native: bool) -> None:
    """text-stays-text: A run that was started without a logical date: the sentence says what to write instead."""
    task = operator(native=native, filename=template)
    with pytest.raises(AirflowFailException) as failed:
        task.render_template_fields({"params": {}, "run_id": "manual__1"})
    name = template.partition("{{ ")[2].split(".")[0].split(" ")[0]
    assert str(failed.value).startswith(f"a template uses {name}, and this run has no logical date")
    assert "use {{ dag_run.run_after | ds }} or {{ run_id }} there" in str(failed.value)


def test_another_mistake_in_a_template_is_airflows_to_tell() -> None:
    """text-stays-text: A name that nothing has is a slip."""
    with pytest.raises(UndefinedError, match="'dss' is undefined"):
        operator(filename="{{ dss }}").render_template_fields({"params": {}})
