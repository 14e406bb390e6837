"""The tools of ``make matrix``: a check that finds nothing wrong must be one that would have found it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from support.runs import AirflowRuns, airflow_environment, empty_home

ROOT = Path(__file__).resolve().parent.parent

GOOD = """
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG
from airflow_provider_callreport.operators.callreport import MaskListToS3Operator

with DAG("good", start_date=datetime(2026, 1, 1), schedule=None):
    MaskListToS3Operator(task_id="export", s3_bucket="reports", s3_key="calls.csv", if_exists="replace")
"""

#: An import that this Airflow calls deprecated, because of the line that has it.
DEPRECATED = (
    "from airflow.operators.bash_operator import BashOperator"
    if version("apache-airflow").startswith("2.")
    else "from airflow.operators.python import PythonOperator"
)


def test_what_is_wrong_in_a_dag_file_is_found(tmp_path: Path, airflow_runs: AirflowRuns) -> None:
    """every-airflow: a deprecated import, a warning of Python, a file that cannot be read; each is named, and nothing
    else is.
    """
    for name, text in {
        "good": GOOD,
        "old": f"{DEPRECATED}\n{GOOD}",
        "escape": f'{GOOD}TEXT = "\\d"\n',
        "broken": f"{GOOD}from airflow_provider_callreport import nothing_of_that_name\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text.replace('"good"', f'"{name}"'))
    home = shutil.copytree(empty_home(airflow_runs), tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-m", "tools.parse_dags", str(tmp_path)],
        cwd=ROOT,
        env=airflow_environment(home),
        capture_output=True,
        text=True,
        timeout=200,
    )
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG ")]
    assert done.returncode == 1, done.stderr
    for pattern in (
        rf"WRONG {tmp_path}/old\.py:1: \w+Warning: .*deprecated",
        rf"WRONG {tmp_path}/escape\.py:9: \w+Warning: .*invalid escape sequence",
        rf"WRONG {tmp_path}/broken\.py: ",
    ):
        assert any(re.match(pattern, line) for line in wrong), (pattern, done.stdout)
    assert {Path(line.split()[1].partition(":")[0]).stem for line in wrong} == {"old", "escape", "broken"}, done.stdout
    assert "nothing_of_that_name" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 Dags read, ")
