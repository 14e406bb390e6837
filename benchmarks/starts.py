"""How long a Dag file takes to parse, and the command to answer, beside a Dag that has a BashOperator only."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import ROOT, ratio, say

RESULTS = Path(__file__).parent / "results" / "starts.json"

#: What every Dag file of Airflow costs.
BASH = """
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("bash", schedule=None):
    BashOperator(task_id="one", bash_command="true")
"""


def starts(rounds: int, *, results: Path = RESULTS) -> None:
    """Print the table, in CPU seconds of fresh processes, and keep it."""
    jobs = {"a Dag with a BashOperator": ["-c", BASH], "nothing: Python alone": ["-c", ""]}
    for module in ("operators.callreport", "operators.recordings", "operators.check", "sensors.callreport"):
        jobs[f"import {module}"] = ["-c", f"{BASH}\nimport airflow_provider_callreport.{module}"]
    for path in sorted((ROOT / "example_dags").glob("*.py")):
        jobs[f"parse {path.name}"] = [str(path)]
    jobs["callreport --help"] = ["-m", "airflow_provider_callreport.cli", "--help"]
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, command in jobs.items():
            found[name].append(_seconds(command))
    base = found["a Dag with a BashOperator"]
    for name, seconds in found.items():
        say(f"{name}: seconds {min(seconds):.2f}, over the Bash Dag", "", ratio(zip(seconds, base, strict=True)))
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(found, indent=1) + "\n")


def _seconds(command: list[str]) -> float:
    environment = {**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
