"""The cluster of `make wide`: Redis, PostgreSQL, the stand-in API, and Airflow's parts, each a process of its own.

Everything listens on free ports of 127.0.0.1 and keeps its files in one temporary directory.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"

#: Slices that one Celery worker runs side by side: two workers have room for the widest run.
WORKER_CONCURRENCY = 2

#: Seconds without a sign of life after which Airflow gives a task up. Its default is 300.
HEARTBEAT_TIMEOUT = 30

#: Seconds that a server may take to come up, and a process to end after it was asked to.
_START_SECONDS = 120
_STOP_SECONDS = 15

#: Debian installs PostgreSQL's programs outside of PATH.
_POSTGRESQL = Path("/usr/lib/postgresql")


class WideError(Exception):
    """The run cannot go on; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the servers' programs."""

    redis: str
    initdb: str
    postgres: str


def find_programs(postgresql: Path = _POSTGRESQL) -> Programs:
    """Find Redis and PostgreSQL.

    Args:
        postgresql: where the versions of PostgreSQL are, as Debian has them.

    Raises:
        WideError: one of them is not installed; says which Debian packages to install.
    """
    newest_first = sorted(postgresql.glob("*/bin"), key=lambda path: -int(path.parent.name))
    found = {
        name: shutil.which(name) or next((str(path / name) for path in newest_first if (path / name).is_file()), None)
        for name in ("redis-server", "initdb", "postgres")
    }
    packages = {"redis-server": "redis-server", "initdb": "postgresql", "postgres": "postgresql"}
    missing = dict.fromkeys(packages[name] for name, path in found.items() if path is None)
    if missing:
        raise WideError(f"{' and '.join(missing)} must be installed: apt-get install {' '.join(missing)}")
    return Programs(*(str(path) for path in found.values()))


class Cluster:
    """All processes of a run, until its ``with`` block ends.

    Args:
        folder: a directory of its own; logs are in ``logs/``.
        dag: text of the only Dag file.
        api_options: arguments of the sandbox's command.
        connection_extra: extras of the connection to the stand-in API.
        s3_connection: the connection to S3, as JSON.
    """

    def __init__(
        self,
        folder: Path,
        dag: str,
        api_options: Sequence[str],
        connection_extra: Mapping[str, object],
        s3_connection: str,
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.temp = folder / "tmp"
        self.workers: list[psutil.Process] = []
        self.api_url = ""
        self.airflow_url = f"http://{LOOPBACK}:{_free_port()}"
        self.admin_password = secrets.token_hex(16)
        self._dag = dag
        self._api_options = api_options
        self._connection_extra = connection_extra
        self._s3_connection = s3_connection
        self._environment: dict[str, str] = {}
        self._parts: dict[str, psutil.Popen] = {}

    def __enter__(self) -> Cluster:
        """Start everything, and wait until it answers."""
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End every process that was started."""
        self._end()

    def check(self) -> None:
        """Look whether all processes that nobody killed still run.

        Raises:
            WideError: one has ended.
        """
        for name, process in self._parts.items():
            if process.poll() not in (None, -signal.SIGKILL):
                raise WideError(f"{name} has ended; its last words: {self._last_words(name)}")

    def start_worker(self, name: str) -> None:
        """Start a Celery worker."""
        options = (f"--concurrency={WORKER_CONCURRENCY}", f"--celery-hostname={name}@{LOOPBACK}")
        pid = f"--pid={self.folder / name}.pid"
        self.workers.append(self._airflow(name, "celery", "worker", "--skip-serve-logs", *options, pid))

    def _start(self) -> None:
        programs = find_programs()
        for folder in (self.logs, self.temp, self.folder / "home", self.folder / "dags"):
            folder.mkdir()
        (self.folder / "dags" / "calls_by_day.py").write_text(self._dag, "utf-8")
        redis = self._start_redis(programs)
        database = self._start_postgresql(programs)
        connection = self._start_api()
        self._environment = self._airflow_environment(redis, database, connection)
        self._migrate()
        self._airflow("scheduler", "scheduler", "--skip-serve-logs")
        self._airflow("dag-processor", "dag-processor")
        for name in ("worker-1", "worker-2"):
            self.start_worker(name)
        port = self.airflow_url.rpartition(":")[2]
        self._airflow("api-server", "api-server", "--host", LOOPBACK, "--port", port, "--workers", "1")
        self._wait("Airflow's api-server", lambda: _answers(int(port)))

    def _start_redis(self, programs: Programs) -> str:
        port, password = _free_port(), secrets.token_hex(16)
        settings = f'bind {LOOPBACK}\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {self.folder}\n'
        (self.folder / "redis.conf").write_text(settings)
        self._process("redis", [programs.redis, str(self.folder / "redis.conf")])
        self._wait("Redis", lambda: _answers(port))
        return f"redis://:{password}@{LOOPBACK}:{port}/0"

    def _start_postgresql(self, programs: Programs) -> str:
        """PostgreSQL with a cluster of its own; it refuses to run as root, and runs as Debian's user then."""
        port, password = _free_port(), secrets.token_hex(16)
        data, secret = self.folder / "postgresql" / "data", self.folder / "postgresql" / "password"
        user = "postgres" if os.geteuid() == 0 else None
        data.parent.mkdir()
        secret.write_text(password)
        if user:
            self.folder.chmod(0o711)
            for path in (data.parent, secret):
                shutil.chown(path, user, user)
        made = subprocess.run(
            [programs.initdb, "-D", data, "-U", "airflow", "-A", "scram-sha-256", f"--pwfile={secret}",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            user=user, group=user, extra_groups=[] if user else None, cwd="/", capture_output=True, text=True,
        )  # fmt: skip
        if made.returncode:
            raise WideError(f"initdb failed: {made.stderr.strip().splitlines()[-1]}")
        options = {"listen_addresses": LOOPBACK, "port": port, "unix_socket_directories": "", "max_connections": 200}
        command = [programs.postgres, "-D", str(data), "-F", *(f"--{key}={value}" for key, value in options.items())]
        self._process("postgresql", command, user=user)
        self._wait("PostgreSQL", lambda: _answers(port))
        return f"airflow:{password}@{LOOPBACK}:{port}/postgres"

    def _start_api(self) -> str:
        """The stand-in API; returns the connection to it."""
        command = [sys.executable, "-m", "airflow_provider_callreport.sandbox", "--free-ports", "--no-s3", "--no-smtp"]
        self._process("sandbox", [*command, "--json", *self._api_options])
        said = self.logs / "sandbox.log"
        self._wait("the stand-in API", lambda: said.read_text().endswith("\n"))
        announced = json.loads(said.read_text().splitlines()[0])
        self.api_url = announced["url"]
        connection = json.loads(announced["connections"]["AIRFLOW_CONN_CALLREPORT_DEFAULT"])
        connection["extra"] = {**connection["extra"], **self._connection_extra}
        return json.dumps(connection)

    def _airflow_environment(self, redis: str, database: str, connection: str) -> dict[str, str]:
        passwords = self.folder / "passwords.json"
        passwords.touch(0o600)
        passwords.write_text(json.dumps({"admin": self.admin_password}))
        options = {
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__DAGS_FOLDER": self.folder / "dags",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "API__BASE_URL": self.airflow_url,
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "CELERY__BROKER_URL": redis,
            "CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
            "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": 86_400,
            "LOGGING__BASE_LOG_FOLDER": self.logs / "tasks",
            "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": self.logs / "dags",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": HEARTBEAT_TIMEOUT,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 5,
        }
        return {
            **clean_environment(),
            **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
            "AIRFLOW_HOME": str(self.folder / "home"),
            "AIRFLOW_CONN_CALLREPORT_DEFAULT": connection,
            "AIRFLOW_CONN_AWS_DEFAULT": self._s3_connection,
            "TMPDIR": str(self.temp),
            "C_FORCE_ROOT": "1",
        }

    def _migrate(self) -> None:
        with (self.logs / "migrate.log").open("wb") as log:
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            if subprocess.run(command, env=self._environment, cwd=self.folder, stdout=log, stderr=log).returncode:
                raise WideError(f"airflow db migrate failed: {self._last_words('migrate')}")

    def _airflow(self, name: str, *arguments: str) -> psutil.Popen:
        return self._process(name, [sys.executable, "-m", "airflow", *arguments])

    def _process(self, name: str, command: Sequence[str], user: str | None = None) -> psutil.Popen:
        """Start a process in a session of its own, so that Ctrl-C reaches this one alone, which then ends it."""
        with (self.logs / f"{name}.log").open("ab") as log:
            process = psutil.Popen(
                command,
                env=self._environment or clean_environment(),
                cwd="/" if user else self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )
        self._parts[name] = process
        return process

    def _end(self) -> None:
        """Ask all to end, and end by force what is left of them and their children."""
        running = [process for process in self._parts.values() if process.poll() is None]
        family = [*running, *(child for process in running for child in process.children(recursive=True))]
        for process in running:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, left = psutil.wait_procs(family, timeout=_STOP_SECONDS)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=_STOP_SECONDS)

    def _last_words(self, name: str) -> str:
        lines = (self.logs / f"{name}.log").read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "none"

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise WideError(f"{name} did not start within {_START_SECONDS} seconds")
            time.sleep(0.1)


def kill(process: psutil.Process) -> None:
    """SIGKILL for a process and all that it started, as when a machine is gone."""
    family = [process, *process.children(recursive=True)]
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, timeout=_STOP_SECONDS)


def freeze(process: psutil.Process, seconds: float) -> None:
    """Let a process and all that it started stand still, as on a machine that is paused, and then go on."""
    family = [process, *process.children(recursive=True)]
    for one in family:
        one.suspend()
    try:
        time.sleep(seconds)
    finally:
        for one in family:
            one.resume()


def clean_environment() -> dict[str, str]:
    """This process's environment without what is not meant for the cluster: Airflow's settings, AWS's, proxies."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "*", "no_proxy": "*", "PYTHONUNBUFFERED": "1"}


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port
