"""Dags that `test_sensor` runs: sensors that wait in each way, green, red and skipped, one by one and mapped.

The second Dag is for a run without Airflow's secrets masker. The number to filter by comes from an Airflow variable of
the environment, so that this file does not hold it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_callreport.sensors.callreport import CallReportSensor

#: How a sensor can wait.
MODES: dict[str, dict[str, Any]] = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferred": {"deferrable": True}}
NUMBER = {"cNum": "{{ var.value.canary_number }}"}

USUAL: dict[str, Any] = {
    "schedule": CronDataIntervalTimetable("0 0 * * *", timezone="Asia/Kolkata"),
    "start_date": datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Kolkata")),
    "catchup": False,
    "default_args": {"retries": 1, "retry_delay": timedelta(0), "poke_interval": 0, "timeout": 240},
}


def sensor(task_id: str, account: str, **arguments: Any) -> None:
    """A sensor that looks at one of the test's accounts."""
    CallReportSensor(task_id=task_id, callreport_conn_id=f"callreport_{account}", **arguments)


with DAG("sensors", **USUAL) as sensors:
    for mode, how in MODES.items():
        # The calls are there at the third look.
        sensor(mode, f"late_{mode}", min_calls="{{ 3 }}", filters={"mask": "mask_{{ 4 + 3 }}"}, **how)
    for mode in ("poke", "deferred"):
        sensor(f"refused_{mode}", f"refused_{mode}", **MODES[mode])
        sensor(f"too_few_{mode}", "few", min_calls=9, timeout=0, retries=0, **MODES[mode])
    for mode, how in MODES.items():
        sensor(f"never_fails_{mode}", "few", min_calls=9, timeout=0, retries=0, never_fail=True, **how)
    # It looks, waits in the triggerer, and its time is up there.
    sensor("too_late_deferred", "few", min_calls=9, timeout=2, poke_interval=0.5, retries=0, deferrable=True)
    # The first look ends with an error that passes.
    sensor("masked", "masked", report="masked_calls", min_calls=2, silent_fail=True, deferrable=True)
    # The number stays with the task: the trigger only tells the time.
    sensor("number", "number", filters=NUMBER, deferrable=True)
    CallReportSensor.partial(
        task_id="mapped", callreport_conn_id="callreport_few", timeout=0, retries=0, deferrable=True
    ).expand_kwargs([{"min_calls": 1}, {"min_calls": 2, "filters": {"cNum": "919800000001"}}, {"min_calls": 0}])

with DAG("sensors_unmasked", **USUAL) as sensors_unmasked:
    sensor("deferred", "late_unmasked", filters=NUMBER, deferrable=True)
    sensor("refused", "refused", filters=NUMBER, deferrable=True)

with DAG(
    "sensors_by_hand", schedule=None, start_date=datetime(2026, 3, 1, tzinfo=ZoneInfo("UTC")), catchup=False
) as sensors_by_hand:
    CallReportSensor(task_id="waits", callreport_conn_id="callreport_few", deferrable=True, retries=1)
