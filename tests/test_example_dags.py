"""every-airflow: the example Dags are read without warnings, choose the right days, and run in real Airflow (``make
demo``).
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import subprocess
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pendulum
import pytest
from support.readme import code_blocks, page
from support.runs import WITHOUT_DAG

import airflow_provider_callreport.operators.callreport  # noqa: F401 - so that only the Dag files' own warnings count
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxSmtp
from tools.demo import RUNS, Delivered
from tools.run_dags import DagBag

ROOT = Path(__file__).parent.parent
WAIT = """
import subprocess, sys
from tools.demo import wait_aloud
wait_aloud(subprocess.Popen([sys.executable, "-c", "input()"]), every=0.1)
"""
EXAMPLES = ROOT / "example_dags"


@pytest.fixture(scope="module")
def bag() -> DagBag:
    """The example Dags as Airflow reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        return DagBag(str(EXAMPLES))


def rendered(task: Any, run_time: str) -> dict[str, Any]:
    """The task's templates as Airflow would render them at a run whose data interval ends at ``run_time``."""
    context = {"data_interval_end": pendulum.instance(datetime.fromisoformat(run_time)).in_timezone("UTC")}
    names = ("window_start", "window_end", "s3_key")
    return {name: task.render_template(getattr(task, name), context) for name in names}


def test_every_example_file_is_a_dag_of_its_name(bag: DagBag) -> None:
    """every-airflow: no import error, no warning, one Dag a file; the demo runs all that export a report."""
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - WITHOUT_DAG == set(bag.dags)
    exports = {dag_id for dag_id, dag in bag.dags.items() if any(hasattr(task, "redact") for task in dag.tasks)}
    assert exports == {run.dag_id for run in RUNS}


def test_they_are_fit_for_daily_use(bag: DagBag) -> None:
    """Days of the account's zone, no surprise catch-up, retries, and no secret or full number in sight."""
    for dag in bag.dags.values():
        assert str(dag.timezone) == "Asia/Kolkata", dag.dag_id
        assert dag.catchup is False, dag.dag_id
        tasks: list[Any] = list(dag.tasks)
        assert all(task.retries >= 2 for task in tasks), dag.dag_id
        assert all(task.redact["Caller Number"] == "last4" for task in tasks if hasattr(task, "redact")), dag.dag_id


@pytest.mark.parametrize(
    ("run_time", "day", "next_day"),
    [
        ("2026-10-16T01:00:00+05:30", "2026-10-15", "2026-10-16"),
        ("2026-10-16T00:00:00+05:30", "2026-10-15", "2026-10-16"),
        # 23:59 in India is the same day in UTC, 01:00 is not.
        ("2026-10-16T23:59:59+05:30", "2026-10-15", "2026-10-16"),
        ("2026-03-01T01:00:00+05:30", "2026-02-28", "2026-03-01"),
        ("2027-01-01T01:00:00+05:30", "2026-12-31", "2027-01-01"),
    ],
)
def test_daily_dags_take_the_day_before_the_run(bag: DagBag, run_time: str, day: str, next_day: str) -> None:
    """exact-window: the window is the account's calendar day before the run, whatever UTC says, and so is the key's."""
    for dag_id in ("daily_masked_calls_to_s3", "daily_calls_by_email"):
        (task,) = bag.dags[dag_id].tasks
        found = rendered(task, run_time)
        assert (found["window_start"], found["window_end"]) == (day, next_day)
        if found["s3_key"] is not None:
            assert f"/dt={day}/" in found["s3_key"]


@pytest.mark.parametrize(
    ("run_time", "month", "next_month"),
    [
        ("2026-11-01T02:00:00+05:30", "2026-10-01", "2026-11-01"),
        ("2028-03-01T02:00:00+05:30", "2028-02-01", "2028-03-01"),
        ("2027-01-01T02:00:00+05:30", "2026-12-01", "2027-01-01"),
        # Started by hand on the last day of a month that is longer than the one before.
        ("2026-03-31T15:00:00+05:30", "2026-02-01", "2026-03-01"),
    ],
)
def test_the_monthly_dag_takes_the_month_before_the_run(
    bag: DagBag, run_time: str, month: str, next_month: str
) -> None:
    """exact-window: from the first of the month before the run to the first of the run's month."""
    (task,) = bag.dags["monthly_calls_pdf"].tasks
    found = rendered(task, run_time)
    assert (found["window_start"], found["window_end"]) == (month, next_month)
    assert found["s3_key"] == f"statements/calls_{month[:7]}.pdf"


def shown_row(line: str) -> list[str]:
    """Dag, state, rows and file of a line of the demo's table."""
    return re.split(r" {2,}", line)[:4]


def demo(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``tools/demo.py``."""
    command = [sys.executable, str(ROOT / "tools" / "demo.py"), "--output", str(output), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.airflow
def test_the_demo_delivers_what_it_says(tmp_path: Path) -> None:
    """every-airflow: all example Dags run in real Airflow against real servers; every file is the one that was told."""
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    table = [shown_row(line) for line in done.stdout.splitlines() if " success " in line]
    assert [row[0] for row in table] == [run.dag_id for run in RUNS]
    steps = re.findall(r"^(\w.+) \.\.\.$", done.stdout, re.MULTILINE)
    assert steps[:2] == ["Making Airflow's database", "Starting Airflow and reading the Dag files"]
    assert steps[2:] == [f"Running {run.dag_id}" for run in RUNS]
    # The README shows this table; bytes and hashes may change with a library that compresses or draws.
    assert table == [shown_row(line) for line in code_blocks("text")[0].splitlines()[1:]]

    results = json.loads((tmp_path / "summaries.json").read_text())
    delivered = {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("[sm]*/**/*") if path.is_file()
    }
    for result in results.values():
        (task,) = result["tasks"]
        (file,) = task["xcom"]["files"]
        assert file["sha256"] in delivered
        assert task["xcom"]["rows"] == task["xcom"]["reported_total"] == file["rows"]

    (shown,) = [json.loads(block) for block in code_blocks("json", page("operators.md")) if '"reported_total"' in block]
    returned = results["daily_masked_calls_to_s3"]["tasks"][0]["xcom"]
    assert {key: returned[key] for key in shown if key not in ("columns", "schema_id")} == {
        key: value for key, value in shown.items() if key not in ("columns", "schema_id")
    }

    masked = tmp_path / "s3/reports/masked_calls/dt=2026-10-15/masked_calls.csv"
    with masked.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3000
    assert all(row["Time"].startswith("2026-10-15 ") for row in rows)
    assert all(re.fullmatch(r"\*{8}\d{4}", row["Caller Number"]) for row in rows)
    assert sorted(path.suffix for path in (tmp_path / "mails").iterdir()) == [
        *(".eml", ".eml", ".html", ".html", ".pdf", ".xlsx"),
    ]


@pytest.mark.airflow
def test_the_demo_is_red_when_a_dag_is(tmp_path: Path) -> None:
    """whole-or-red: with a hole in the report the demo says why, ends with 1, and nothing was delivered."""
    done = demo(tmp_path, "--dag", "daily_masked_calls_to_s3", "--fault", "short_page")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "RED  daily_masked_calls_to_s3: not whole: 2,995 of 3,000 calls came; page" in done.stdout
    assert not (tmp_path / "s3").exists()


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", WAIT],
        ["make", "--silent", "EVERY=0.1", "--eval=waiting: ; @$(ALOUD) head -n 1", "waiting"],
    ],
    ids=["demo", "make"],
)
def test_who_waits_for_the_demo_sees_that_it_still_runs(command: list[str]) -> None:
    """true-docs: what waits for a line that nobody writes says so; when the line comes, it ends."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("  ...")
        process.communicate("\n", timeout=60)
    assert process.returncode == 0


@pytest.mark.airflow
def test_the_demo_refuses_a_fault_that_it_does_not_know(tmp_path: Path) -> None:
    """clear-sentence: one sentence with what is allowed."""
    done = demo(tmp_path, "--fault", "earthquake")
    assert done.returncode == 2
    assert "unknown fault 'earthquake'; known are http_status, " in done.stderr


@pytest.mark.airflow
def test_the_demo_notices_another_file(tmp_path: Path) -> None:
    """The demo compares bytes: a task that names another SHA-256, or a mail that never came, is red."""
    with SandboxS3() as s3, SandboxSmtp() as smtp:
        s3.client().put_object(Bucket="reports", Key="a/b.csv", Body=b"a whole report")
        delivered = Delivered(s3, smtp, tmp_path)
    file = {"uri": "s3://reports/a/b.csv", "sha256": hashlib.sha256(b"a whole report").hexdigest()}
    other = {**file, "sha256": hashlib.sha256(b"a third of it").hexdigest()}
    assert delivered.problems({"files": [file], "emailed_to": []}) == []
    assert delivered.problems({"files": [other], "emailed_to": []}) == [
        "s3://reports/a/b.csv is not the file that the task returned"
    ]
    assert delivered.problems({"files": [file], "emailed_to": ["head@example.com"]}) == [
        "no mail to head@example.com arrived"
    ]
    assert (tmp_path / "s3/reports/a/b.csv").read_bytes() == b"a whole report"
