"""``make bench``: what this package costs, as ratios measured side by side in one run.

Every contestant runs in a fresh process against the same servers, which run in a process of their own. Contestants
take turns (A B A B ...), a ratio is the median of the pairs' ratios, and its spread is printed beside it: machines
drift, and a single figure says little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@contextmanager
def servers(calls_per_day: int, latency: float = 0.0) -> Iterator[dict[str, str]]:
    command = [sys.executable, str(HERE / "servers.py"), f"--calls-per-day={calls_per_day}", f"--latency={latency}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(timeout=20)


def run(job: str, file_format: str, where: dict[str, str]) -> dict[str, Any]:
    environment = {**os.environ, "BENCHMARK_SERVERS": json.dumps(where), "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}
    done = subprocess.run(
        [sys.executable, str(HERE / "jobs.py"), job, file_format],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def ratio(pairs: list[tuple[float, float]]) -> str:
    values = sorted(first / second for first, second in pairs)
    return f"{statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def say(claim: str, target: str, measured: str) -> None:
    print(f"{claim:<66} target {target:<8} measured {measured}", flush=True)


def speed(calls: int, rounds: int) -> None:
    with servers(calls) as where:
        results: dict[str, list[dict[str, Any]]] = {"ours": [], "pandas": [], "bare": []}
        for _ in range(rounds):
            for job, found in results.items():
                found.append(run(job, "csv", where))
                if found[-1]["rows"] != calls:
                    raise SystemExit(f"{job} got {found[-1]['rows']} of {calls} rows")
    for job, found in results.items():
        seconds = statistics.median(result["seconds"] for result in found)
        cpu = statistics.median(result["cpu"] for result in found)
        peak = statistics.median(result["peak_mib"] for result in found)
        print(f"  {job:<8} {calls / seconds:>9,.0f} rows/s {cpu / calls * 1e6:>7.1f} us CPU/row {peak:>7.0f} MiB peak")
    for other in ("pandas", "bare"):
        pairs = [(b["seconds"], a["seconds"]) for a, b in zip(results["ours"], results[other], strict=True)]
        say(f"CSV end to end, {calls:,} calls, speed over the {other} task", ">= 1.0", ratio(pairs))


def memory(file_format: str, small: int, large: int, rounds: int) -> None:
    peaks: dict[int, list[float]] = {}
    for calls in (small, large):
        with servers(calls) as where:
            peaks[calls] = [run("export", file_format, where)["peak_mib"] for _ in range(rounds)]
    print(
        f"  {file_format} peak: {min(peaks[small]):.1f} MiB at {small:,} calls, "
        f"{min(peaks[large]):.1f} MiB at {large:,} calls"
    )
    pairs = list(zip(peaks[large], peaks[small], strict=True))
    say(f"{file_format} peak memory, {large:,} over {small:,} calls", "<= 1.10", ratio(pairs))


def overlap(file_format: str, calls: int, latency: float, rounds: int) -> None:
    pairs, sums = [], []
    with servers(calls, latency) as where:
        for _ in range(rounds):
            fetch, write, both = (run(job, file_format, where)["seconds"] for job in ("fetch", "write", "export"))
            pairs.append((both, max(fetch, write)))
            sums.append((both, fetch + write))
            print(f"  {file_format}: fetch {fetch:.2f} s, write {write:.2f} s, together {both:.2f} s")
    say(f"{file_format}, {latency * 1000:.0f} ms latency: wall over max(fetch, write)", "<= 1.15", ratio(pairs))
    say(f"{file_format}, {latency * 1000:.0f} ms latency: wall over fetch + write", "< 1", ratio(sums))


def formats(rows: int, rounds: int) -> None:
    for name, target in (("csv", "<= 1.5"), ("jsonl", "<= 1.5"), ("xlsx", "<= 1.15")):
        command = [sys.executable, str(HERE / "formats.py"), name, f"--rows={rows}", f"--rounds={rounds}"]
        pairs = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        print(f"  {name}: {rows / min(first for first, _ in pairs):,.0f} rows per CPU second")
        say(f"{name}, {rows:,} x 16: CPU over the plain loop", target, ratio(pairs))


def side_by_side(calls: int, latency: float, rounds: int) -> None:
    pairs = []
    with servers(calls, latency) as where:
        for _ in range(rounds):
            pairs.append((run("fetch", "csv", where)["seconds"], run("fetch4", "csv", where)["seconds"]))
    say(f"{latency * 1000:.0f} ms latency: speed of concurrency=4 over 1", ">= 3", ratio(pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000, help="calls of the speed comparison")
    parser.add_argument("--large", type=int, default=300_000, help="calls of the larger memory run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("only", nargs="*", help="speed, memory, overlap, side_by_side, formats; all when empty")
    arguments = parser.parse_args()
    parts = arguments.only or ["speed", "memory", "overlap", "side_by_side", "formats"]
    if "speed" in parts:
        speed(arguments.calls, arguments.rounds)
    if "memory" in parts:
        for file_format in ("csv", "xlsx"):
            memory(file_format, 10_000, arguments.large, max(1, arguments.rounds - 1))
    if "overlap" in parts:
        for file_format in ("csv", "xlsx"):
            overlap(file_format, 9_000, 0.05, max(1, arguments.rounds - 1))
    if "side_by_side" in parts:
        side_by_side(9_000, 0.05, max(1, arguments.rounds - 1))
    if "formats" in parts:
        formats(arguments.calls, arguments.rounds)


if __name__ == "__main__":
    main()
