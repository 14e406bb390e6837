"""The same for a task of Airflow: its tries, each in a process that `crash` forks and `test_crash` kills."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from support.airflow_runner import load_dags
from support.crash import Run, Site, start

DAG_ID, TASK_ID = "crash", "export"


@dataclass(frozen=True)
class Deployment:
    """An Airflow whose workers are killed.

    Attributes:
        environment: its ``AIRFLOW_HOME`` and so on.
        dag_file: its only Dag file.
        folder: a directory for the workers' output and their temporary directory.
    """

    environment: Mapping[str, str]
    dag_file: Path
    folder: Path

    @property
    def temp(self) -> Path:
        """The workers' temporary directory."""
        return self.folder / "tmp"


def start_first_try(site: Site, deployment: Deployment, logical_date: datetime) -> Run:
    """Start the first try of the task in a new Dag run."""
    return start(site, deployment.folder, _first_try, deployment, logical_date)


def start_next_tries(site: Site, deployment: Deployment, logical_dates: Sequence[datetime]) -> Run:
    """Start the next tries in these Dag runs, one after the other; it says their states, separated by commas."""
    return start(site, deployment.folder, _next_tries, deployment, logical_dates)


def _first_try(
    deployment: Deployment, logical_date: datetime, *, environment: Mapping[str, str], tell: Connection
) -> None:
    """``dag.test()`` runs a task with Airflow's own task runner and its signal handlers."""
    dag = _join(deployment, environment)
    tell.send("began")
    dag.test(logical_date=logical_date)
    tell.send(_with_instance(logical_date, lambda session, instance: str(instance.state.value)))


def _next_tries(
    deployment: Deployment, logical_dates: Sequence[datetime], *, environment: Mapping[str, str], tell: Connection
) -> None:
    """What the scheduler makes of a task whose process is gone: the same Dag run, the next try."""
    from airflow.models.taskinstance import clear_task_instances
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.state import TaskInstanceState

    dag = _join(deployment, environment)

    def run(session: Any, instance: Any) -> str:
        clear_task_instances([instance], session)
        instance.try_number += 1
        instance.state = TaskInstanceState.SCHEDULED
        session.commit()
        _run_task(ti=instance, task=dag.task_dict[TASK_ID])
        return str(instance.state.value)

    tell.send("began")
    tell.send(",".join(_with_instance(date, run) for date in logical_dates))


def _join(deployment: Deployment, environment: Mapping[str, str]) -> Any:
    """Make this process one of the deployment's; the Dag."""
    os.environ.update(environment)
    os.environ.update(deployment.environment)
    os.environ["TMPDIR"] = str(deployment.temp)
    tempfile.tempdir = None

    settings: Any = import_module("airflow.settings")
    settings.configure_vars()
    settings.configure_orm()
    return load_dags(deployment.dag_file)[DAG_ID]


def _with_instance(logical_date: datetime, use: Callable[[Any, Any], str]) -> str:
    """What ``use`` makes of the database session and the task instance."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(TaskInstance).join(DagRun, DagRun.run_id == TaskInstance.run_id)
    with create_session() as session:
        instance = session.scalars(query.where(DagRun.dag_id == DAG_ID, DagRun.logical_date == logical_date)).one()
        return use(session, instance)
