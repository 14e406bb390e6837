"""``make bench``: what this package costs, as ratios measured side by side in one run.

Every contestant runs in a fresh process against the same servers, which run in a process of their own. Contestants
take turns (A B A B ...), a ratio is the median of the rounds' ratios, and its spread is printed beside it: machines
drift, and a single figure says little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable

from benchmarks.costs import costs
from benchmarks.harness import ROOT, ratio, run_green, say, servers
from benchmarks.others import MILLION, MILLION_RACE, RACES, bad_servers, races
from benchmarks.page import keep, write_page
from benchmarks.scale import scale
from benchmarks.starts import starts

LATENCY = 0.05


def memory(file_format: str, small: int, large: int, rounds: int) -> None:
    peaks: dict[int, list[float]] = {}
    for calls in (small, large):
        with servers(calls) as where:
            peaks[calls] = [run_green("export", where, file_format).peak_mib for _ in range(rounds)]
    print(
        f"  {file_format} peak: {min(peaks[small]):.1f} MiB at {small:,} calls, "
        f"{min(peaks[large]):.1f} MiB at {large:,} calls"
    )
    pairs = list(zip(peaks[large], peaks[small], strict=True))
    keep("memory", file_format, {"calls": [small, large], "mib": [min(peaks[small]), min(peaks[large])]})
    say(f"{file_format} peak memory, {large:,} over {small:,} calls", "<= 1.10", ratio(pairs))


def overlap(file_format: str, calls: int, rounds: int) -> None:
    pairs, sums = [], []
    with servers(calls, LATENCY) as where:
        for _ in range(rounds):
            fetch, write, both = (run_green(job, where, file_format).seconds for job in ("fetch", "write", "export"))
            pairs.append((both, max(fetch, write)))
            sums.append((both, fetch + write))
            print(f"  {file_format}: fetch {fetch:.2f} s, write {write:.2f} s, together {both:.2f} s")
    say(f"{file_format}, {LATENCY * 1000:.0f} ms latency: wall over max(fetch, write)", "<= 1.15", ratio(pairs))
    say(f"{file_format}, {LATENCY * 1000:.0f} ms latency: wall over fetch + write", "< 1", ratio(sums))


def formats(rows: int, rounds: int) -> None:
    for name, target in (("csv", "<= 1"), ("jsonl", "<= 0.5"), ("xlsx", "<= 0.2"), ("pdf", "<= 0.33")):
        command = [sys.executable, "-m", "benchmarks.formats", name, f"--rows={rows}", f"--rounds={rounds}"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        pairs = json.loads(done.stdout)
        print(f"  {name}: {rows / min(first for first, _ in pairs):,.0f} rows per CPU second")
        keep("writers", name, {"rows": rows, "pairs": pairs})
        say(f"{name}, {rows:,} x 16: CPU over the plain loop", target, ratio(pairs))


def side_by_side(calls: int, rounds: int) -> None:
    pairs = []
    with servers(calls, LATENCY) as where:
        for _ in range(rounds):
            pairs.append((run_green("fetch", where).seconds, run_green("fetch4", where).seconds))
    say(f"{LATENCY * 1000:.0f} ms latency: speed of concurrency=4 over 1", ">= 3.5", ratio(pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000, help="calls of the parts costs and formats")
    parser.add_argument("--large", action="store_true", help="1,000,000 calls as well: races, memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("only", nargs="*", help="some of the parts; all when empty")
    arguments = parser.parse_args()
    calls, rounds = arguments.calls, arguments.rounds
    few = max(1, rounds - 1)

    def memories() -> None:
        for file_format in ("csv", "jsonl", "parquet", "xlsx"):
            memory(file_format, 10_000, MILLION if arguments.large else 3 * calls, few)

    def overlaps() -> None:
        for file_format in ("csv", "xlsx"):
            overlap(file_format, 9_000, few)

    parts: dict[str, Callable[[], object]] = {
        "races": lambda: races([*RACES, MILLION_RACE] if arguments.large else RACES),
        "bad": bad_servers,
        "costs": lambda: costs(calls, rounds),
        "starts": lambda: starts(rounds),
        "memory": memories,
        "overlap": overlaps,
        "side_by_side": lambda: side_by_side(9_000, few),
        "formats": lambda: formats(calls, rounds),
        "scale": lambda: scale(few),
        "page": write_page,
    }
    unknown = sorted(set(arguments.only) - set(parts))
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(parts)}")
    for name in arguments.only or parts:
        print(f"== {name}", flush=True)
        parts[name]()


if __name__ == "__main__":
    main()
