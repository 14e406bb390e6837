"""Runs Dags through real Airflow against real servers, and brings back everything that can be looked at afterwards.

A run is a fresh process with an ``AIRFLOW_HOME`` and a temporary directory of its own. The servers (vendor API, S3,
SMTP) are in this process; Airflow finds them by ``AIRFLOW_CONN_*`` variables. What a run left behind is an `Evidence`;
it is made once a session, also when pytest-xdist divides the session among processes.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_callreport.sandbox.app import ReceivedRequest
from airflow_provider_callreport.sandbox.servers import (
    ReceivedMail,
    SandboxS3,
    SandboxServer,
    SandboxSmtp,
    SmtpSettings,
)
from airflow_provider_callreport.sandbox.settings import SandboxSettings

T = TypeVar("T")

#: The installed version, such as ``(3, 3)``.
AIRFLOW = tuple(int(number) for number in version("apache-airflow").split(".")[:2])

#: Examples that have no Dag here: Airflow 2 has no asset watchers.
WITHOUT_DAG = {"when_masked_calls_arrive"} if AIRFLOW < (3, 0) else set()

KOLKATA = ZoneInfo("Asia/Kolkata")

_HERE = Path(__file__).parent
_RUN_SECONDS = 340


@dataclass(frozen=True)
class Api:
    """A vendor API behind one connection.

    Attributes:
        settings: how it behaves.
        extra: the connection's extra fields.
        fields: fields of the connection that replace the right ones, such as ``{"password": "wrong"}``.
    """

    settings: SandboxSettings = field(default_factory=SandboxSettings)
    extra: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredObject:
    """One object in S3."""

    body: bytes
    content_type: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class TaskEvidence:
    """What Airflow knows of one task instance.

    Attributes:
        state: its last state.
        tries: how often it ran.
        xcom: its return value, or None.
        xcom_bytes: how many bytes of Airflow's database that takes.
        rendered: its template fields, as Airflow's database shows them.
        log: what was logged while it ran, all tries.
    """

    state: str
    tries: int
    xcom: Any
    xcom_bytes: int
    rendered: Mapping[str, Any]
    log: str


@dataclass(frozen=True)
class AssetEvent:
    """One event of an asset (Airflow 2: dataset) in Airflow's database.

    Attributes:
        dag_id, task_id: the task that made it.
        uri: the asset's address; what it has instead of one is its name.
        extra: what the event says.
    """

    dag_id: str
    task_id: str
    uri: str
    extra: Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What a run left behind.

    Attributes:
        tasks: by Dag, task and map index (-1 when not mapped).
        log: all that the process printed.
        home: its ``AIRFLOW_HOME``, as it was left.
        temp: its temporary directory, as it was left.
        objects: S3 objects by key.
        mails: by SMTP connection, oldest first.
        requests: by API connection, oldest first.
    """

    tasks: Mapping[tuple[str, str, int], TaskEvidence]
    log: str
    home: Path
    temp: Path
    objects: Mapping[str, StoredObject]
    mails: Mapping[str, Sequence[ReceivedMail]]
    requests: Mapping[str, Sequence[ReceivedRequest]]

    def task(self, dag_id: str, task_id: str, map_index: int = -1) -> TaskEvidence:
        """One task instance."""
        return self.tasks[dag_id, task_id, map_index]

    def asset_events(self, dag_id: str) -> list[AssetEvent]:
        """The events of the tasks of a Dag, oldest first."""
        name = "asset" if AIRFLOW >= (3, 0) else "dataset"
        query = (
            f"select source_dag_id, source_task_id, uri, e.extra from {name}_event e "  # noqa: S608
            f"join {name} a on a.id = e.{name}_id where source_dag_id = ? order by e.id"
        )
        with sqlite3.connect(self.home / "airflow.db") as database:
            rows = database.execute(query, (dag_id,)).fetchall()
        return [AssetEvent(dag, task, uri, json.loads(extra)) for dag, task, uri, extra in rows]

    def xcoms(self, dag_id: str, key: str) -> dict[str, Any]:
        """The XComs of a Dag under a key, by task."""
        with sqlite3.connect(self.home / "airflow.db") as database:
            rows = database.execute("select task_id, value from xcom where dag_id = ? and key = ?", (dag_id, key))
            return {task_id: json.loads(value) for task_id, value in rows}


@dataclass(frozen=True)
class AirflowRuns:
    """The session's runs of Airflow. Tests get it from the fixture ``airflow_runs``, which marks them ``airflow``.

    Attributes:
        directory: where runs leave their files; the processes of pytest-xdist share it.
    """

    directory: Path


def once_a_session(airflow_runs: AirflowRuns, name: str, make: Callable[[Path], T]) -> T:
    """What ``make`` returns for a directory of its own; made by the first process that asks, read by the others."""
    root = airflow_runs.directory
    made, directory = root / f"{name}.pickle", root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            if directory.exists():
                pytest.fail(f"{name} failed for an earlier test")
            directory.mkdir()
            made.write_bytes(pickle.dumps(make(directory)))
    result: T = pickle.loads(made.read_bytes())
    return result


def run_dags(
    airflow_runs: AirflowRuns,
    directory: Path,
    dag_files: Sequence[str],
    runs: Sequence[tuple[str, datetime | None]],
    *,
    apis: Mapping[str, Api],
    clears: Sequence[tuple[str, str]] = (),
    smtp: Mapping[str, SmtpSettings] | None = None,
    objects: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    unmasked: str | None = None,
    debug_log: bool = False,
) -> Evidence:
    """Run Dags in a fresh process.

    Args:
        airflow_runs: of the session.
        directory: an empty directory for the run.
        dag_files: names of files in ``tests/airflow_dags``.
        runs: Dag ids and logical dates, in the order in which they run.
        clears: Dag and task ids of task instances to clear and run again, after that.
        apis: vendor APIs by connection id.
        smtp: mail servers by connection id; one that behaves well as ``smtp_default`` if None.
        objects: what is in the bucket before, by key.
        environment: further variables of the process.
        unmasked: the Dag from which on Airflow's secrets masker masks nothing.
        debug_log: log everything at DEBUG; ``debug.log`` in the run's directory then has it as well.
    """
    home, temp, dags = directory / "home", directory / "temp", directory / "dags"
    shutil.copytree(empty_home(airflow_runs), home)
    for folder in (temp, dags):
        folder.mkdir()
    files = [str(shutil.copy(_HERE / "airflow_dags" / name, dags)) for name in dag_files]
    job = directory / "job.json"
    with ExitStack() as running:
        servers = {name: running.enter_context(SandboxServer(api.settings)) for name, api in apis.items()}
        mail_settings = {"smtp_default": SmtpSettings()} if smtp is None else smtp
        mailers = {name: running.enter_context(SandboxSmtp(one)) for name, one in mail_settings.items()}
        s3 = running.enter_context(SandboxS3(["reports"]))
        for key, body in (objects or {}).items():
            s3.client().put_object(Bucket="reports", Key=key, Body=body)
        connections = {"aws_default": s3.connection_json()}
        for name, api in apis.items():
            connections[name] = json.dumps(
                {**json.loads(servers[name].connection_json(**api.extra)), **api.fields},
            )
        for name, mailer in mailers.items():
            connections[name] = mailer.connection_json()
        job.write_text(
            json.dumps(
                {
                    "files": files,
                    "clears": clears,
                    "unmasked": unmasked,
                    "runs": [(dag_id, None if date is None else date.isoformat()) for dag_id, date in runs],
                    "debug_log": str(directory / "debug.log") if debug_log else None,
                }
            )
        )
        log = _run(
            ["-m", "support.airflow_runner", str(job)],
            {
                **airflow_environment(home),
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "TMPDIR": str(temp),
                **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()},
                **(environment or {}),
            },
        )
        keys = s3.keys()
        stored = {key: _stored(s3, key) for key in keys}
    return Evidence(
        tasks=_tasks(home, log),
        log=log,
        home=home,
        temp=temp,
        objects=stored,
        mails={name: list(mailer.messages) for name, mailer in mailers.items()},
        requests={name: list(server.requests) for name, server in servers.items()},
    )


def empty_home(airflow_runs: AirflowRuns) -> Path:
    """An ``AIRFLOW_HOME`` with a migrated database and nothing in it."""

    def migrate(directory: Path) -> Path:
        home = directory / "home"
        _run(["-m", "airflow", "db", "migrate"], airflow_environment(home))
        return home

    return once_a_session(airflow_runs, "empty-home", migrate)


def airflow_environment(home: Path) -> dict[str, str]:
    """Variables of a process that is to use an ``AIRFLOW_HOME`` of its own, and nothing of the caller's Airflow."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_COLOR": "1",
        # The package under test, where it is not installed.
        "PYTHONPATH": os.pathsep.join((str(_HERE.parent), str(_HERE.parents[1]))),
    }


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def _stored(s3: SandboxS3, key: str) -> StoredObject:
    answer = s3.client().get_object(Bucket="reports", Key=key)
    return StoredObject(answer["Body"].read(), answer["ContentType"], answer["Metadata"])


def _tasks(home: Path, log: str) -> dict[tuple[str, str, int], TaskEvidence]:
    """Read what is in Airflow's database; its tables have had these columns since 2.11 at least."""
    with sqlite3.connect(home / "airflow.db") as database:
        xcoms = {
            row[:3]: row[3]
            for row in database.execute(
                "select dag_id, task_id, map_index, value from xcom where key = 'return_value' and map_index >= -1"
            )
        }
        rendered = {
            row[:3]: json.loads(row[3])
            for row in database.execute(
                "select dag_id, task_id, map_index, rendered_fields from rendered_task_instance_fields"
            )
        }
        instances = database.execute("select dag_id, task_id, map_index, state, try_number from task_instance")
        logs = _split_log(log)
        return {
            (dag_id, task_id, map_index): TaskEvidence(
                state=state or "none",
                tries=tries,
                xcom=json.loads(xcoms.get((dag_id, task_id, map_index)) or "null"),
                xcom_bytes=len(xcoms.get((dag_id, task_id, map_index)) or ""),
                rendered=rendered.get((dag_id, task_id, map_index), {}),
                log=logs.get((dag_id, task_id, map_index), ""),
            )
            for dag_id, task_id, map_index, state, tries in instances
        }


_STARTS = re.compile(
    r"\[DAG TEST\] running task <TaskInstance: (?P<dag>[\w-]+)\.(?P<task>[\w-]+) \S+ (?:map_index=(?P<index>\d+) )?"
)
_ENDS = re.compile(r"\[DAG TEST\] end task task_id=(?P<task>[\w-]+)")


def _split_log(log: str) -> dict[tuple[str, str, int], str]:
    """The log's parts by task instance: ``dag.test()`` runs one after the other and says which."""
    parts: dict[tuple[str, str, int], list[str]] = {}
    current: list[str] = []
    for line in log.splitlines():
        if start := _STARTS.search(line):
            current = parts.setdefault((start["dag"], start["task"], int(start["index"] or -1)), [])
        current.append(line)
        if _ENDS.search(line):
            current = []
    return {key: "\n".join(lines) for key, lines in parts.items()}
