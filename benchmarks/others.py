"""The same job by other tools: one day's calls to a CSV file in S3, from good servers and from ten bad ones.

What is measured is kept in ``benchmarks/results/others.json``; `page.py` makes the page and the chart of it.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    CallKey,
    Result,
    make_dlt,
    ratio,
    rows_wrong,
    run,
    say,
    servers,
    set_faults,
    truth,
)

RESULTS = Path(__file__).parent / "results" / "others.json"

#: By job: how it is called in tables and charts.
CONTESTANTS = {
    "ours": "this package",
    "ours4": "this package, concurrency=4",
    "pandas": "requests + pandas + boto3",
    "http_operator": "HttpOperator + a write",
    "dlt": "dlt rest_api to filesystem",
    "bare": "bare loop, no checks",
    "floor": "floor: socket, json, csv",
}

#: What writes no file to S3, so there is nothing to compare with the truth; its row count is.
NO_FILE = ("floor",)

BAD_CALLS = 450
#: A job that asks for so many times the pages that there are does not end.
_ENDLESS = 10


@dataclass(frozen=True)
class BadServer:
    """One of the ten bad servers (whole-or-red).

    Attributes:
        words: what it does; pages are counted from 1.
        fault: the fault, as the sandbox's command line takes it.
        cursor: whether the API answers cursors, and is read by them.
    """

    words: str
    fault: str
    cursor: bool = False


BAD_SERVERS = (
    BadServer("page 2 is HTTP 200 with an error body", "error_on_page:page=1,code=1009"),
    BadServer("page 1 is HTTP 200 with error 1014", "error_on_page:page=0,code=1014"),
    BadServer("page 2 is an error body with cnt and data: null", f"error_with_cnt:page=1,cnt={BAD_CALLS}"),
    BadServer("page 2 is [] while the total says more", "empty_page:page=1"),
    BadServer("page 2 is cut JSON", "truncated_json:page=1"),
    BadServer("page 2 is an HTML page with HTTP 200", "html_page:page=1"),
    BadServer("page 2 is 5 calls short", "short_page:page=1,rows=5"),
    BadServer("page 2 overlaps page 1: 5 calls twice, 5 lost", "overlapping_pages:page=1,rows=5"),
    BadServer("a cursor that never moves", "stuck_cursor", cursor=True),
    BadServer("a cursor that cycles A-B-A", "cycling_cursor", cursor=True),
)


def contestants(names: Sequence[str] = tuple(CONTESTANTS)) -> list[str]:
    """The contestants that can run here."""
    return [name for name in names if name != "dlt" or make_dlt()]


def race(jobs: Sequence[str], calls: int, latency: float, rounds: int) -> list[dict[str, Any]]:
    """Every contestant in turn, round after round; one entry a run, with ``wrong``: rows missing or too many."""
    entries = []
    right = truth(calls)
    with servers(calls, latency) as where:
        for turn in range(rounds):
            for job in jobs:
                result = run(job, where)
                entries.append(
                    {
                        "calls": calls,
                        "latency": latency,
                        "round": turn,
                        **asdict(result),
                        **_check(result, where, right),
                    }
                )
    return entries


def bad(jobs: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """What each contestant makes of each bad server: see `outcome`."""
    outcomes: dict[str, dict[str, dict[str, Any]]] = {server.words: {} for server in BAD_SERVERS}
    right = truth(BAD_CALLS)
    for cursor in (False, True):
        with servers(BAD_CALLS, cursor=cursor) as where:
            # No patience: these servers stay bad.
            hasty = {**where, "extra": {"max_retry_time": 0}}
            for server in BAD_SERVERS:
                if server.cursor is not cursor:
                    continue
                for job in jobs:
                    set_faults(where, [server.fault])
                    result = run(job, hasty, most_requests=_ENDLESS * (BAD_CALLS // 100 + 1))
                    outcomes[server.words][job] = outcome(result, _check(result, where, right)["wrong"])
    return outcomes


def outcome(result: Result, wrong: int) -> dict[str, Any]:
    """One cell of the table of bad servers: ``right``, ``red``, ``endless``, or ``wrong`` with how many rows."""
    kind = result.ended if result.ended != "green" else "wrong" if wrong else "right"
    return {"outcome": kind, "wrong": wrong if kind == "wrong" else 0, "error": result.error}


def others(sizes: Sequence[int], latencies: Sequence[float], rounds: int, *, results: Path = RESULTS) -> None:
    """Race, print the ratios, and keep what was measured; other sizes and latencies of the file stay."""
    jobs = contestants()
    for latency in latencies:
        for calls in sizes:
            entries = race(jobs, calls, latency, rounds)
            report(entries)
            _keep(results, entries, calls, latency)


def bad_servers(*, results: Path = RESULTS) -> None:
    """The ten bad servers; prints a line for each contestant."""
    jobs = contestants(["ours", "pandas", "http_operator", "dlt"])
    outcomes = bad(jobs)
    for job in jobs:
        ended = Counter(cells[job]["outcome"] for cells in outcomes.values())
        say(
            f"ten bad servers, {CONTESTANTS[job]}",
            "0 wrong",
            f"{ended['wrong'] + ended['endless']} wrong {dict(ended)}",
        )
    kept = load(results)
    _save(results, {**kept, "bad_servers": outcomes})


def report(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print a table and the ratios over this package's run of the same round."""
    calls, latency = entries[0]["calls"], entries[0]["latency"]
    print(f"{calls:,} calls, {latency * 1000:.0f} ms latency")
    by_job = grouped(entries)
    for job, runs in by_job.items():
        middle = summary(runs)
        print(
            f"  {CONTESTANTS[job]:<28} {middle['rate']:>9,.0f} rows/s {middle['cpu_row']:>7.1f} us CPU/row "
            f"{middle['peak_mib']:>7.0f} MiB peak {middle['requests']:>6} requests {middle['wrong']:>4} rows wrong"
        )
    for job, runs in by_job.items():
        if job != "ours" and "ours" in by_job:
            say(f"speed over: {CONTESTANTS[job]}", TARGETS.get(job, ""), ratio(paired(runs, by_job["ours"], "seconds")))


#: What this package's speed over the contestant's should be, without latency.
TARGETS = {"pandas": ">= 2.2", "bare": ">= 1.0", "dlt": ">= 2"}


def grouped(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Entries by contestant, in the order of `CONTESTANTS`, green ones only."""
    found = {job: [one for one in entries if one["job"] == job and one["ended"] == "green"] for job in CONTESTANTS}
    return {job: runs for job, runs in found.items() if runs}


def paired(
    runs: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], what: str
) -> list[tuple[float, float]]:
    """The two contestants' figures of the same rounds."""
    theirs = {one["round"]: one[what] for one in other}
    return [(one[what], theirs[one["round"]]) for one in runs if one["round"] in theirs]


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The medians of one contestant's runs."""
    calls = runs[0]["calls"]
    return {
        "rate": calls / statistics.median(one["seconds"] for one in runs),
        "cpu_row": statistics.median(one["cpu"] for one in runs) / calls * 1e6,
        "peak_mib": statistics.median(one["peak_mib"] for one in runs),
        "requests": max(one["requests"] for one in runs),
        "wrong": max(one["wrong"] for one in runs),
    }


def load(results: Path = RESULTS) -> dict[str, Any]:
    """What has been measured so far."""
    kept: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {"runs": [], "bad_servers": {}}
    return kept


def machine() -> dict[str, Any]:
    """Where and when it was measured."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "day": datetime.now(UTC).date().isoformat(),
    }


def _check(result: Result, where: Mapping[str, Any], right: Counter[CallKey]) -> dict[str, int]:
    if result.ended != "green":
        return {"wrong": 0}
    if result.job in NO_FILE:
        return {"wrong": abs(result.rows - right.total())}
    return {"wrong": rows_wrong(where, result.job, right)}


def _keep(results: Path, entries: Sequence[Mapping[str, Any]], calls: int, latency: float) -> None:
    kept = load(results)
    others = [one for one in kept["runs"] if (one["calls"], one["latency"]) != (calls, latency)]
    _save(results, {**kept, "runs": [*others, *entries]})


def _save(results: Path, kept: Mapping[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({**kept, "machine": machine()}, indent=1, ensure_ascii=False) + "\n")
