"""Servers in one process, each measured job in a fresh process of its own, and ratios of what was measured."""

from __future__ import annotations

import csv
import io
import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.filters import parse_filter
from airflow_provider_callreport.sandbox.rows import RowShape
from benchmarks.jobs import FILTER, s3_client
from benchmarks.jobs import PATH as LIST
from benchmarks.servers import BUCKET

ROOT = Path(__file__).resolve().parent.parent
#: dlt pulls some fifty packages of versions of its own, so it lives apart.
DLT_VENV = ROOT / ".venv-dlt"
DLT = "dlt[s3]==1.31.0"

#: What a call is known by in every contestant's file, as places in the vendor's columns: number, time, recording.
_KNOWN_BY = (1, 2, 12)
_LABELS = ("Caller Number", "Time", "Rec.")

CallKey = tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """One run of one job.

    Attributes:
        job: its name.
        ended: ``"green"``; ``"red"`` when it failed; ``"endless"`` when it was stopped after too many requests.
        rows: rows that it says it delivered.
        seconds, cpu: wall and CPU seconds, imports left out.
        peak_mib: peak memory of its process, imports included.
        requests: requests that the API got from it.
        s3_requests: requests to S3 by HTTP method; empty for a job that does not use boto3.
        error: last line of what it wrote to standard error.
    """

    job: str
    ended: str
    rows: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    peak_mib: float = 0.0
    requests: int = 0
    s3_requests: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@contextmanager
def servers(calls_per_day: int, latency: float = 0.0, cursor: bool = False) -> Iterator[dict[str, Any]]:
    """The stand-in API and S3.

    Args:
        calls_per_day: calls of each day.
        latency: seconds before each answer of the API.
        cursor: whether answers have a cursor.
    """
    command = [sys.executable, "-m", "benchmarks.servers", f"--calls-per-day={calls_per_day}", f"--latency={latency}"]
    command.append(f"--cursor={'top' if cursor else 'none'}")
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            where = {**json.loads(process.stdout.readline()), "cursor": cursor}
            # The server's first answer takes longer; whoever runs first should not pay for it.
            body = {"userId": where["user"], "token": where["token"], "filter": FILTER, "sz": 1000, "page": 0}
            urlopen(where["api"] + LIST, json.dumps(body).encode(), timeout=60).close()
            yield where
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def run(job: str, where: Mapping[str, Any], file_format: str = "csv", *, most_requests: int | None = None) -> Result:
    """Run one job with an empty bucket.

    Args:
        job: its name in `jobs.JOBS`, or ``"dlt"``.
        where: what `servers` gave; ``page_size``, ``extra`` (of the connection) and ``to`` (``"mail"``) may be added.
        file_format: of the file.
        most_requests: stop the job when the API has got more.
    """
    empty_bucket(where)
    _api(where, "requests", "DELETE")
    module = ["dlt_job"] if job == "dlt" else ["jobs", job, file_format]
    python = DLT_VENV / "bin" / "python" if job == "dlt" else sys.executable
    environment = {
        **os.environ,
        "BENCHMARK_SERVERS": json.dumps(where),
        "AIRFLOW_CONN_SMTP_DEFAULT": where["smtp_connection"],
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    command = [str(python), "-m", f"benchmarks.{module[0]}", *module[1:]]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=None if most_requests is None else 0.5)
                break
            except subprocess.TimeoutExpired:
                if most_requests is not None and _requests(where) > most_requests:
                    process.kill()
                    process.communicate()
                    return Result(job, "endless", requests=_requests(where))
    if process.returncode:
        last = (errors.strip().splitlines() or [""])[-1]
        return Result(job, "red", requests=_requests(where), error=last)
    return Result(job, "green", requests=_requests(where), **json.loads(output.strip().splitlines()[-1]))


def run_green(job: str, where: Mapping[str, Any], file_format: str = "csv") -> Result:
    """Run a job that must not fail."""
    result = run(job, where, file_format)
    if result.ended != "green":
        raise SystemExit(f"{job} failed: {result.error}")
    return result


def truth(calls_per_day: int) -> Counter[CallKey]:
    """The calls of the day that is read, from the stand-in's own source."""
    selection = SyntheticCalls(calls_per_day).select(parse_filter(FILTER))
    rows = map(json.loads, selection.encode(0, len(selection), RowShape(row="array")))
    return Counter(_key(row[place - 1] for place in _KNOWN_BY) for row in rows)


def rows_wrong(where: Mapping[str, Any], job: str, calls: Counter[CallKey]) -> int:
    """How many calls are missing in what a job left in S3, plus how many are there too often."""
    delivered = _delivered(where, job)
    return (calls - delivered).total() + (delivered - calls).total()


def delivered_bytes(where: Mapping[str, Any]) -> int:
    """Bytes of all objects in S3."""
    pages = s3_client(dict(where)).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return sum(entry["Size"] for page in pages for entry in page.get("Contents", ()))


def set_faults(where: Mapping[str, Any], faults: Sequence[str]) -> None:
    """Switch faults of the API on, in the words of its command line, and all others off."""
    _api(where, "faults", "POST", {"faults": faults})


def empty_bucket(where: Mapping[str, Any]) -> None:
    """Delete every object, so that no job finds its file delivered already."""
    s3 = s3_client(dict(where))
    for key in _keys(s3):
        s3.delete_object(Bucket=BUCKET, Key=key)


def make_dlt() -> bool:
    """Make dlt's environment where there is none yet.

    Returns:
        Whether there is one.
    """
    python = DLT_VENV / "bin" / "python"
    if python.exists():
        return True
    uv = Path(sys.executable).with_name("uv")
    made = uv.exists() and all(
        subprocess.run([str(uv), *command], cwd=ROOT).returncode == 0
        for command in (
            ["venv", "--quiet", "--python", sys.executable, str(DLT_VENV)],
            ["pip", "install", "--quiet", "--system-certs", "--python", str(python), DLT],
        )
    )
    if not made:
        sys.stderr.write(f"{DLT} could not be installed; it is left out\n")
    return made


def ratio(pairs: Iterable[tuple[float, float]]) -> str:
    """The median of the pairs' ratios, with the smallest and largest."""
    values = sorted(first / second for first, second in pairs)
    return f"{statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def say(claim: str, target: str, measured: str) -> None:
    """Print one claim."""
    print(f"{claim:<66} target {target:<8} measured {measured}", flush=True)


def _delivered(where: Mapping[str, Any], job: str) -> Counter[CallKey]:
    s3, found = s3_client(dict(where)), Counter[CallKey]()
    # dlt keeps its own state beside the rows, and calls the columns 1 to 16 _1 to _16.
    folder = "dlt/calls/calls/" if job == "dlt" else f"{job.removesuffix('4')}/"
    for key in _keys(s3):
        if key.startswith(folder):
            with io.TextIOWrapper(s3.get_object(Bucket=BUCKET, Key=key)["Body"], "utf-8", newline="") as text:
                rows = csv.reader(text)
                header = next(rows, [])
                names = _LABELS if _LABELS[0] in header else tuple(f"_{place}" for place in _KNOWN_BY)
                places = [header.index(name) for name in names]
                found.update(_key(row[place] for place in places) for row in rows)
    return found


def _key(cells: Iterable[Any]) -> CallKey:
    """Times to the second, without a zone: dlt reads naive times as UTC and writes so."""
    number, when, recording = cells
    return str(number), str(when)[:19].replace("T", " "), str(recording or "")


def _keys(s3: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def _requests(where: Mapping[str, Any]) -> int:
    return len(_api(where, "requests", "GET")["requests"])


def _api(where: Mapping[str, Any], what: str, method: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{where['api']}/sandbox/{what}", data, method=method), timeout=60) as answer:
        return json.load(answer)
