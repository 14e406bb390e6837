"""``make wide``: a day of calls in slices, on a cluster of Airflow that is treated badly.

CeleryExecutor with Redis, PostgreSQL and two workers, all of them processes of this machine that end with this one,
run ``example_dags/calls_by_day.py`` in slices of a day against the stand-in API. The day is exported with 1, 2 and 4
slices at once, undisturbed, and then once more with 4, while

* one slice is cleared by hand after it was green,
* the API answers 429 for a while,
* a worker and all its processes get SIGKILL in the middle of slices, and a new one is started,
* another one stands still in the middle of slices until Airflow has given them to others, and then goes on.

After each run every row of every file is compared with the API's own list. The figures go to
``benchmarks/results/wide.json``. Exit status: 0 when all is green and nothing is lost or doubled, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxS3
from tools.wide.airflow_api import Airflow, call
from tools.wide.cluster import HEARTBEAT_TIMEOUT, WORKER_CONCURRENCY, Cluster, WideError, find_programs, freeze, kill
from tools.wide.proof import compare

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "example_dags" / "calls_by_day.py"
RESULTS = ROOT / "benchmarks" / "results" / "wide.json"

DAY = date(2026, 10, 15)
POOL = "callreport"
MANIFEST = "calls/manifest.json"

#: Slices at once.
WIDTHS = (1, 2, 4)

#: Seconds for which the API answers 429, and the Retry-After that it sends.
BUSY_SECONDS = 10
RETRY_AFTER = 2

#: Seconds for which a worker stands still: longer than Airflow waits for it.
FROZEN_SECONDS = HEARTBEAT_TIMEOUT + 15

#: Longest time of one run, in seconds.
_PATIENCE = 3600

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of the Dag.

    Attributes:
        name: what was done to it.
        at_once: slots of the pool.
        seconds: from its start to its end, by Airflow's clock.
        rows: calls in S3.
        requests: requests that the API answered, those with 429 among them.
        per_second: requests a second, over the whole run.
        peak_per_second: the most in any one second.
        limit: slots times the connection's ``requests_per_second``.
        refused: requests that got 429.
        retries: tries of tasks beyond the first, without the one that clearing makes.
        duplicates, losses: rows too many and too few, against the API's own list.
    """

    name: str
    at_once: int
    seconds: float
    rows: int
    requests: int
    per_second: float
    peak_per_second: int
    limit: float
    refused: int
    retries: int
    duplicates: int
    losses: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description="Run a day of calls in slices on a cluster of Airflow.")
    parser.add_argument("--calls", type=int, default=2_000_000, help="calls in the day (default 2,000,000)")
    parser.add_argument("--slices", type=int, default=24, help="slices of the day, a divisor of 24 (default 24)")
    parser.add_argument("--rate", type=float, default=10, help="requests a second of one task (default 10)")
    parser.add_argument("--widths", type=int, nargs="*", default=WIDTHS, help="slices at once (default 1 2 4)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the figures")
    parser.add_argument("--keep", type=Path, help="a new folder for all that is made, which stays; to look at the logs")
    options = parser.parse_args(arguments)
    if options.slices not in (2, 3, 4, 6, 8, 12, 24):
        parser.error(f"--slices must be a divisor of 24, at least 2, not {options.slices}")
    # The folder has the servers' passwords, and PostgreSQL's user must be able to pass through it.
    os.umask(0o077)
    # So that a terminated run ends its processes as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = options.keep or Path(tempfile.mkdtemp(prefix="callreport-wide-"))
    try:
        find_programs()
        folder.mkdir(parents=True, exist_ok=options.keep is None)
        runs = wide(options, folder.resolve())
    except (WideError, OSError) as error:
        say(f"red: {error}{'' if options.keep else ' (--keep FOLDER keeps the logs)'}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    write_results(options, runs)
    say(f"green; figures: {options.results}")
    return 0


def wide(options: argparse.Namespace, folder: Path) -> list[Figures]:
    """All runs.

    Raises:
        WideError: something is not as it must be.
    """
    began = time.monotonic()
    with SandboxS3() as s3:
        cluster = Cluster(
            folder,
            sliced_dag(EXAMPLE.read_text("utf-8"), options.slices),
            ["--calls-per-day", str(options.calls), "--cursor", "top"],
            {"requests_per_second": options.rate},
            s3.connection_json(),
        )
        with cluster:
            rehearsal = Rehearsal(options, cluster, s3)
            say(f"the cluster is up after {time.monotonic() - began:.0f} s; its logs: {cluster.logs}")
            runs = [rehearsal.undisturbed(width) for width in options.widths]
            runs.append(rehearsal.disturbed(max(WIDTHS)))
            return runs


class Rehearsal:
    """Runs of the Dag on a cluster, one after the other.

    Args:
        options: of the command line.
        cluster: it has two workers.
        s3: where the files go.
    """

    def __init__(self, options: argparse.Namespace, cluster: Cluster, s3: SandboxS3) -> None:
        self._options = options
        self._cluster = cluster
        self._s3 = s3
        self._calls = SyntheticCalls(options.calls)
        self._airflow = Airflow(cluster.airflow_url, cluster.admin_password, EXAMPLE.stem)
        self._runs = 0
        self._right: dict[tuple[str, str], int] = {}
        self._wait("the Dag was not read", self._airflow.is_parsed)

    def undisturbed(self, at_once: int) -> Figures:
        """A run that nothing happens to."""
        return self._finish("undisturbed", at_once, self._start(at_once))

    def disturbed(self, at_once: int) -> Figures:
        """A run with a cleared slice, a busy API, a worker that is killed, and one that stands still."""
        run_id = self._start(at_once)
        eighth = max(1, self._options.slices // 8)
        self._wait("no slice became green", lambda: len(self._exports(run_id, "success")) >= eighth, run_id)
        cleared = self._exports(run_id, "success")[0]
        self._airflow.clear(run_id, [("export", cleared["map_index"])])
        say(f"    slice {cleared['map_index']} was green and is cleared")
        self._faults({"name": "http_status", "status": 429, "retry_after": RETRY_AFTER, "times": None})
        say(f"    the API answers 429 for {BUSY_SECONDS} s")
        time.sleep(BUSY_SECONDS)
        self._faults()
        worker, inside = self._busy_worker(run_id)
        kill(worker)
        say(f"    a worker is killed in the middle of slices {inside}; Airflow notices after {HEARTBEAT_TIMEOUT} s")
        self._cluster.start_worker("worker-3")
        worker, inside = self._busy_worker(run_id)
        say(f"    a worker stands still for {FROZEN_SECONDS} s in the middle of slices {inside}")
        freeze(worker, FROZEN_SECONDS)
        return self._finish("disturbed", at_once, run_id, cleared=1)

    def _start(self, at_once: int) -> str:
        self._s3.reset()
        call("DELETE", f"{self._cluster.api_url}/sandbox/requests")
        self._airflow.set_pool(POOL, at_once)
        self._runs += 1
        run_id = f"wide-{self._runs}"
        # A Dag has one run at an instant; the day before is the same for all of these.
        moment = datetime(DAY.year, DAY.month, DAY.day, 2, self._runs) + timedelta(days=1)
        self._airflow.start_run(run_id, f"{moment.isoformat()}+05:30")
        say(f"{run_id}: {self._options.calls:,} calls in {self._options.slices} slices, {at_once} at once")
        return run_id

    def _finish(self, name: str, at_once: int, run_id: str, cleared: int = 0) -> Figures:
        """Wait for the run's end, compare what it made, and take its figures.

        Raises:
            WideError: it is red, or its files are not the API's calls.
        """
        self._wait(f"{run_id} did not end", lambda: self._has_ended(run_id))
        run = self._airflow.run(run_id)
        if run["state"] != "success":
            raise WideError(f"{run_id} is {run['state']}: {self._reason(run_id)}")
        midnight = datetime(DAY.year, DAY.month, DAY.day)
        window = (midnight, midnight + timedelta(days=1))
        proof = compare(self._s3, "reports", MANIFEST, self._calls, window, self._options.slices, self._right)
        left = [path.name for path in self._cluster.temp.glob("*callreport*")]
        if left:
            proof.problems.append(f"private files are left on the workers: {', '.join(left)}")
        requests = call("GET", f"{self._cluster.api_url}/sandbox/requests")["requests"]
        peak, limit = peak_per_second([one["time"] for one in requests]), at_once * self._options.rate
        # A task sends its first request at once, so that a second may have one more of each.
        if peak > limit + at_once:
            proof.problems.append(f"{peak} requests in one second are more than {at_once} tasks may send")
        if proof.problems:
            raise WideError(f"{run_id} is green and wrong: {'; '.join(proof.problems)}")
        start, end = (datetime.fromisoformat(run[key]) for key in ("start_date", "end_date"))
        seconds = (end - start).total_seconds()
        figures = Figures(
            name,
            at_once,
            round(seconds, 1),
            proof.rows,
            len(requests),
            round(len(requests) / seconds, 1),
            peak,
            limit,
            sum(one["status"] == 429 for one in requests),
            sum(max(0, task["try_number"] - 1) for task in self._airflow.tasks(run_id)) - cleared,
            proof.duplicates,
            proof.losses,
        )
        say(f"    green after {seconds:.0f} s, {figures.rows:,} rows, {figures.duplicates} doubled, "
            f"{figures.losses} lost; {figures.requests:,} requests, {figures.per_second} a second, at most "
            f"{figures.peak_per_second} in one, limit {figures.limit:g}; {figures.refused} refused, "
            f"{figures.retries} retries")  # fmt: skip
        return figures

    def _exports(self, run_id: str, state: str) -> list[dict[str, Any]]:
        return [one for one in self._airflow.tasks(run_id) if one["task_id"] == "export" and one["state"] == state]

    def _busy_worker(self, run_id: str) -> tuple[psutil.Process, str]:
        """Wait for a worker that is in the middle of slices; returns it and their numbers."""
        found = []

        def look() -> bool:
            since = datetime.now(UTC) - timedelta(seconds=2)
            running = [
                one for one in self._exports(run_id, "running") if datetime.fromisoformat(one["start_date"]) < since
            ]
            for worker in filter(psutil.Process.is_running, self._cluster.workers):
                children = {one.pid for one in worker.children(recursive=True)}
                if inside := [str(one["map_index"]) for one in running if one["pid"] in children]:
                    found.append((worker, ", ".join(inside)))
            return bool(found)

        self._wait("no worker was in the middle of slices", look, run_id)
        return found[0]

    def _faults(self, *faults: Mapping[str, object]) -> None:
        call("POST", f"{self._cluster.api_url}/sandbox/faults", {"faults": faults})

    def _reason(self, run_id: str) -> str:
        """The last error in the log of a task that failed."""
        failed = [one for one in self._airflow.tasks(run_id) if one["state"] == "failed"]
        for one in failed:
            logs = sorted(self._cluster.logs.glob(f"tasks/**/run_id={run_id}/task_id={one['task_id']}/**/*.log"))
            errors = [line for log in logs for line in log.read_text("utf-8").splitlines() if '"level":"error"' in line]
            if errors:
                return f"{one['task_id']} {one['map_index']}: {errors[-1][:2000]}"
        return f"tasks {[(one['task_id'], one['map_index']) for one in failed]}; no log says why"

    def _has_ended(self, run_id: str) -> bool:
        return self._airflow.run(run_id)["state"] in ("success", "failed")

    def _wait(self, problem: str, done: Callable[[], bool], run_id: str = "") -> None:
        """Look until it is done.

        Args:
            problem: what is wrong when it is never done.
            done: looks.
            run_id: the run in which it must happen, if any.

        Raises:
            WideError: it takes too long, a process has ended, the Dag cannot be read, or the run ends before.
        """
        deadline = time.monotonic() + _PATIENCE
        while not done():
            self._cluster.check()
            if errors := self._airflow.import_errors():
                raise WideError(f"the Dag cannot be read: {errors[0]}")
            if run_id and self._has_ended(run_id):
                raise WideError(f"{problem} before the end of {run_id}; {self._reason(run_id)}")
            if time.monotonic() > deadline:
                raise WideError(f"{problem} within {_PATIENCE} s")
            time.sleep(_LOOK_SECONDS)


def sliced_dag(example: str, slices: int) -> str:
    """The example Dag with slices of a day instead of days, a pool, and no schedule of its own.

    Nothing is redacted: in one row of a million, redaction also hides a part of a recording's name that has the
    number's seven digits by chance, and every cell is to be compared.

    Raises:
        WideError: the example has changed, and what is replaced is not in it once.
    """
    changes = {
        'schedule="0 2 * * *"': "schedule=None",
        "LOOKBACK = 2": "LOOKBACK = 0",
        '        redact={"Caller Number": "last4"},\n': "",
        "lookback=LOOKBACK,": f"lookback=LOOKBACK,\n            every=timedelta(hours={24 // slices}),",
        "dt={start:%Y-%m-%d}/calls.csv": "dt={start:%Y-%m-%d}/hour={start:%H}/calls.csv",
        "max_active_tis_per_dag=4": f'pool="{POOL}"',
        "retry_delay\": timedelta(minutes=5)": "retry_delay\": timedelta(seconds=5)",
        'partition_key="{start:%Y-%m-%d}"': 'partition_key="{start:%Y-%m-%dT%H}"',
    }  # fmt: skip
    for old, new in changes.items():
        if example.count(old) != 1:
            raise WideError(f"{EXAMPLE.name} has {old!r} {example.count(old)} times instead of once")
        example = example.replace(old, new)
    return example


def peak_per_second(times: Sequence[float]) -> int:
    """The most requests in any one second."""
    times = sorted(times)
    peak = first = 0
    for place, now in enumerate(times):
        while times[first] <= now - 1:
            first += 1
        peak = max(peak, place - first + 1)
    return peak


def write_results(options: argparse.Namespace, runs: Sequence[Figures]) -> None:
    """Write the figures, and what they were measured on."""
    where = {
        "day": f"{date.today():%Y-%m-%d}",
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load": round(os.getloadavg()[2], 1),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    kept = {
        "calls": options.calls,
        "slices": options.slices,
        "rate": options.rate,
        "workers": 2,
        "worker_concurrency": WORKER_CONCURRENCY,
        "heartbeat_timeout": HEARTBEAT_TIMEOUT,
        "busy_seconds": BUSY_SECONDS,
        "machine": where,
        "runs": [asdict(one) for one in runs],
    }
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Print a line at once, with the time."""
    sys.stdout.write(f"[{datetime.now():%H:%M:%S}] {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
