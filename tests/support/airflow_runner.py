"""Runs Dags through ``dag.test()``: a program of its own, started by `runs` in a fresh process.

``python -m support.airflow_runner JOB.json``, where the job has

- ``files``: Dag files;
- ``runs``: pairs of Dag id and logical date or null;
- ``clears``: pairs of Dag id and task id, to clear afterwards and to run again;
- ``unmasked``: the Dag id from which on Airflow's secrets masker masks nothing, or null;
- ``debug_log``: a path or null. With it every logger of the process is at DEBUG, and a handler on the root logger
  writes there what they say, as it is.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from support.aws import make_clients_quick

#: Loggers that libraries keep at a level of their own, or that Airflow's configuration does.
_CHATTY = ("airflow", "airflow_provider_callreport", "boto3", "botocore", "requests", "s3transfer", "urllib3")


def main(job_file: str) -> None:
    """Run the job."""
    job = json.loads(Path(job_file).read_text())
    _keep_one_api_server()
    make_clients_quick()
    dags = {dag_id: dag for file in job["files"] for dag_id, dag in load_dags(Path(file)).items()}
    if job["debug_log"]:
        _log_everything(job["debug_log"])
    for dag_id, logical_date in job["runs"]:
        if dag_id == job["unmasked"]:
            _mask_nothing()
        _test(dags[dag_id], None if logical_date is None else datetime.fromisoformat(logical_date))
    for dag_id, task_id in job["clears"]:
        _clear(dags[dag_id], task_id)


def _keep_one_api_server() -> None:
    """Keep one of the API servers that ``dag.test()`` of Airflow 3 makes for each task: on 3.1 that takes seconds."""
    try:
        from airflow.sdk.execution_time import supervisor
    except ImportError:  # Airflow 2 has none
        return
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)


def load_dags(path: Path) -> dict[str, Any]:
    """The Dags of a file, by id."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return {value.dag_id: value for value in vars(module).values() if type(value).__name__ == "DAG"}


def _test(dag: Any, logical_date: datetime | None) -> None:
    import airflow

    if airflow.__version__.startswith("2."):
        # Its outlets are known to a scheduler's Airflow before a run; 3 sees to that in dag.test().
        dag.sync_to_db()
        dag.test(execution_date=logical_date)
    elif logical_date is None:
        dag.test(logical_date=None)
    else:
        dag.test(logical_date=logical_date)


def _clear(dag: Any, task_id: str) -> None:
    """Clear a task instance and run it again in the same Dag run, as ``dag.test()`` runs a task. Airflow 3.3."""
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    with create_session() as session:
        where = (TaskInstance.dag_id == dag.dag_id, TaskInstance.task_id == task_id)
        instance = session.scalars(select(TaskInstance).where(*where)).one()
        clear_task_instances([instance], session)
        instance.try_number += 1
        instance.state = TaskInstanceState.SCHEDULED
        session.commit()
        _run_task(ti=instance, task=dag.task_dict[task_id])


def _mask_nothing() -> None:
    """Make the secrets maskers of this process blind, and see that they are."""
    from airflow_provider_callreport.hooks.masking import mask_secret

    names = [name for name in sys.modules if name.endswith("secrets_masker")]
    maskers = [sys.modules[name]._secrets_masker() for name in names if hasattr(sys.modules[name], "_secrets_masker")]
    for masker in maskers:
        masker.patterns, masker.replacer = set(), None
        masker.add_mask = lambda *secret: None
    mask_secret("a-secret-to-try")
    assert maskers
    assert all(masker.redact("a-secret-to-try") == "a-secret-to-try" for masker in maskers)


def _log_everything(path: str) -> None:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.disable(logging.NOTSET)
    root = logging.getLogger()
    root.addHandler(handler)
    for logger in (root, *map(logging.getLogger, _CHATTY)):
        logger.setLevel(logging.DEBUG)
        logger.disabled = False


if __name__ == "__main__":
    main(sys.argv[1])
