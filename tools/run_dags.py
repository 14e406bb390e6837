"""Runs Dags once each, one after the other, in this process: ``run_dags.py RESULTS DAG_ID=LOGICAL_DATE...``.

The Dags are those of Airflow's own Dags folder. What they did goes to the file RESULTS as JSON: for each Dag its state,
what was raised in it and, for each task, state and XCom return value. Standard output gets a line before each Dag, and
all that Airflow prints goes to standard error. `demo.py` starts this in a process of its own, with an Airflow home of
its own.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import pendulum

try:
    from airflow.dag_processing.dagbag import DagBag as DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag as DagBag  # type: ignore[no-redef]


def main(arguments: list[str]) -> int:
    """Run the Dags; the exit status is 1 when a Dag file cannot be read and 0 otherwise, also when a Dag fails."""
    results, *wanted = arguments
    steps = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    bag = DagBag()
    if bag.import_errors:
        sys.stderr.write(f"Dag files that cannot be read: {bag.import_errors}\n")
        return 1
    runs = [run(bag.dags[dag_id], date, steps) for dag_id, _, date in (text.partition("=") for text in wanted)]
    Path(results).write_text(json.dumps(runs, indent=2), encoding="utf-8")
    return 0


def run(dag: Any, logical_date: str, steps: TextIO) -> dict[str, Any]:
    """Say that a Dag runs now, run it as ``airflow dags test`` does, and return what came of it."""
    steps.write(f"Running {dag.dag_id} ...\n")
    errors: list[str] = []
    for task in dag.tasks:
        task.retries = 0  # a run in the foreground would wait for minutes before each further try
        task.on_failure_callback = [lambda context: errors.append(str(context["exception"]))]
    date_argument = "logical_date" if "logical_date" in inspect.signature(dag.test).parameters else "execution_date"
    dag_run = dag.test(**{date_argument: pendulum.parse(logical_date)})
    return {
        "dag_id": dag.dag_id,
        "state": str(dag_run.state),
        "errors": errors,
        "tasks": [
            {"task_id": ti.task_id, "state": str(ti.state), "xcom": ti.xcom_pull(task_ids=ti.task_id)}
            for ti in dag_run.get_task_instances()
        ],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
