"""The same for a task of Airflow: its tries, each in a process that `crash_support` forks and `test_crash` kills."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from crash_support import silence

DAG_ID, TASK_ID = "crash", "export"


def first_try(
    folder: Path, environment: Mapping[str, str], dag_file: Path, logical_date: datetime, tell: Connection
) -> None:
    """The first try: ``dag.test()``, which runs the task with Airflow's own task runner and its signal handlers."""
    dag = _airflow(folder, environment, dag_file)
    tell.send("began")
    dag.test(logical_date=logical_date)
    tell.send(_state(logical_date))


def next_try(
    folder: Path, environment: Mapping[str, str], dag_file: Path, logical_date: datetime, tell: Connection
) -> None:
    """The next try in the same Dag run: what the scheduler makes of a task whose process is gone."""
    dag = _airflow(folder, environment, dag_file)

    from airflow.models.taskinstance import clear_task_instances
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    tell.send("began")
    with create_session() as session:
        instance = _instance(session, logical_date)
        clear_task_instances([instance], session)
        instance.try_number += 1
        instance.state = TaskInstanceState.SCHEDULED
        session.commit()
        _run_task(ti=instance, task=dag.task_dict[TASK_ID])
    tell.send(_state(logical_date))


def _airflow(folder: Path, environment: Mapping[str, str], dag_file: Path) -> Any:
    """Make this process one of the deployment that the environment describes; the Dag."""
    silence(folder / "log")
    os.environ.update(environment)
    tempfile.tempdir = None

    from airflow import settings
    from airflow_runner import _load

    settings.configure_vars()
    settings.configure_orm()
    return _load(dag_file)[DAG_ID]


def _instance(session: Any, logical_date: datetime) -> Any:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    query = select(TaskInstance).join(DagRun, DagRun.run_id == TaskInstance.run_id)
    return session.scalars(query.where(DagRun.dag_id == DAG_ID, DagRun.logical_date == logical_date)).one()


def _state(logical_date: datetime) -> str:
    from airflow.utils.session import create_session

    with create_session() as session:
        return str(_instance(session, logical_date).state)
