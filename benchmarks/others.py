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


@dataclass(frozen=True)
class Contestant:
    """Who does the job.

    Attributes:
        name: in tables and charts.
        job: a key of `jobs.JOBS`, or ``"dlt"``.
        page_size: calls a page; ours is the default of a new connection.
    """

    name: str
    job: str
    page_size: int | str


CONTESTANTS = {
    "ours": Contestant("this package", "ours", "auto"),
    "ours4": Contestant("this package, concurrency=4", "ours4", "auto"),
    "script": Contestant("the script, 100 a page", "script", 100),
    "script1000": Contestant("the script, 1,000 a page", "script", 1000),
    "http_operator": Contestant("HttpOperator, 100 a page", "http_operator", 100),
    "dlt": Contestant("dlt, 100 a page", "dlt", 100),
    "bare": Contestant("bare loop, 1,000 a page", "bare", 1000),
    "floor": Contestant("floor, 1,000 a page", "floor", 1000),
}


@dataclass(frozen=True)
class Race:
    """One job that several do in turn.

    Attributes:
        file_format: of the file.
        to: ``"s3"`` or ``"mail"``.
        latency: seconds before each answer of the API.
        calls: how many. Not 10,000 or 100,000 to the call: the first is a total that this package does not believe.
        rounds: how often.
        contestants: keys of `CONTESTANTS`.
    """

    file_format: str
    to: str
    latency: float
    calls: int
    rounds: int
    contestants: tuple[str, ...]

    @property
    def title(self) -> str:
        """In tables."""
        where = "S3" if self.to == "s3" else "mail"
        return f"{self.calls:,} calls, {self.latency * 1000:.0f} ms, {FORMAT_NAMES[self.file_format]} to {where}"


FORMAT_NAMES = {"csv": "CSV", "xlsx": "XLSX", "parquet": "Parquet", "pdf": "PDF"}
_ALL = tuple(CONTESTANTS)
_FAST = ("ours", "ours4", "script1000", "bare", "floor")
_WRITERS = ("ours", "script", "script1000")
SMALL, LARGE, MILLION = 10_020, 100_100, 1_000_000

RACES = (
    Race("csv", "s3", 0.0, SMALL, 5, _ALL),
    Race("csv", "s3", 0.0, LARGE, 3, _ALL),
    Race("csv", "s3", 0.05, SMALL, 3, _ALL),
    Race("csv", "s3", 0.05, LARGE, 2, ("ours", "ours4", "script", "script1000", "bare", "floor")),
    Race("csv", "s3", 0.2, SMALL, 2, _ALL),
    # A thousand requests of 200 ms take 200 seconds; ten times `SMALL` says the same.
    Race("csv", "s3", 0.2, LARGE, 2, _FAST),
    Race("xlsx", "s3", 0.05, SMALL, 2, _WRITERS),
    Race("parquet", "s3", 0.05, SMALL, 2, _WRITERS),
    Race("pdf", "s3", 0.05, SMALL, 2, _WRITERS),
    Race("xlsx", "s3", 0.0, LARGE, 2, ("ours", "script1000")),
    Race("parquet", "s3", 0.0, LARGE, 2, ("ours", "script1000")),
    # A PDF has at most 50,000 rows unless one says otherwise.
    Race("pdf", "s3", 0.0, 40_040, 1, ("ours", "script1000")),
    Race("csv", "mail", 0.05, SMALL, 2, _WRITERS),
    Race("xlsx", "mail", 0.05, SMALL, 2, _WRITERS),
)
#: Much longer: asked for with ``--large``.
MILLION_RACE = Race("csv", "s3", 0.0, MILLION, 1, ("ours", "script1000", "bare"))

#: This package's speed over a contestant's that we want, by latency in seconds.
TARGETS = {
    0.0: {"script": 2.0, "script1000": 1.2, "bare": 0.95},
    0.05: {"script": 6.0, "script1000": 1.0, "bare": 0.95},
    0.2: {"script": 8.0, "script1000": 1.0, "bare": 0.95},
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


def contestants(names: Sequence[str]) -> list[str]:
    """The contestants that can run here."""
    return [name for name in names if name != "dlt" or make_dlt()]


def hold(race: Race) -> list[dict[str, Any]]:
    """Every contestant in turn, round after round; one entry a run, with ``wrong``: rows missing or too many."""
    entries = []
    right = truth(race.calls)
    with servers(race.calls, race.latency, cursor=True) as where:
        for turn in range(race.rounds):
            for name in contestants(race.contestants):
                one = CONTESTANTS[name]
                # The others count pages: it is what their users write for this API.
                here = {**where, "cursor": False, "page_size": one.page_size, "to": race.to}
                result = run(one.job, here, race.file_format)
                readable = race.to == "s3" and race.file_format == "csv"
                wrong = _wrong(result, here, right) if readable else abs(result.rows - right.total())
                entries.append(
                    {"contestant": name, "round": turn, "calls": race.calls, **asdict(result), "wrong": wrong}
                )
    return entries


def bad(jobs: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """What each contestant makes of each bad server: see `outcome`."""
    outcomes: dict[str, dict[str, dict[str, Any]]] = {server.words: {} for server in BAD_SERVERS}
    right = truth(BAD_CALLS)
    for cursor in (False, True):
        with servers(BAD_CALLS, cursor=cursor) as where:
            # No patience: these servers stay bad.
            hasty = {**where, "page_size": 100, "extra": {"max_retry_time": 0}}
            for server in BAD_SERVERS:
                if server.cursor is not cursor:
                    continue
                for job in jobs:
                    set_faults(where, [server.fault])
                    result = run(job, hasty, most_requests=_ENDLESS * (BAD_CALLS // 100 + 1))
                    outcomes[server.words][job] = outcome(result, _wrong(result, where, right))
    return outcomes


def outcome(result: Result, wrong: int) -> dict[str, Any]:
    """One cell of the table of bad servers: ``right``, ``red``, ``endless``, or ``wrong`` with how many rows."""
    kind = result.ended if result.ended != "green" else "wrong" if wrong else "right"
    return {"outcome": kind, "wrong": wrong if kind == "wrong" else 0, "error": result.error}


def races(chosen: Sequence[Race] = RACES, *, results: Path = RESULTS) -> None:
    """Hold races, print the ratios, and keep what was measured; other races of the file stay."""
    for race in chosen:
        entries = hold(race)
        report(race, entries)
        kept = load(results)
        mine = asdict(race) | {"contestants": list(race.contestants)}
        key = [mine[name] for name in ("file_format", "to", "latency", "calls")]
        others = [
            one
            for one in kept["races"]
            if [one["race"][name] for name in ("file_format", "to", "latency", "calls")] != key
        ]
        _save(results, {**kept, "races": [*others, {"race": mine, "runs": entries}]})


def bad_servers(*, results: Path = RESULTS) -> None:
    """The ten bad servers; prints a line for each contestant."""
    jobs = contestants(["ours", "script", "http_operator", "dlt"])
    outcomes = bad(jobs)
    for job in jobs:
        ended = Counter(cells[job]["outcome"] for cells in outcomes.values())
        say(
            f"ten bad servers, {CONTESTANTS[job].name}",
            "0 wrong",
            f"{ended['wrong'] + ended['endless']} wrong {dict(ended)}",
        )
    kept = load(results)
    _save(results, {**kept, "bad_servers": outcomes})


def report(race: Race, entries: Sequence[Mapping[str, Any]]) -> None:
    """Print a table, and the ratios over this package's run of the same round."""
    print(race.title)
    runs = grouped(entries)
    for name, found in runs.items():
        one = summary(found)
        print(
            f"  {CONTESTANTS[name].name:<28} {one['seconds']:>7.2f} s {one['cpu_row']:>7.1f} us CPU/row "
            f"{one['peak_mib']:>7.0f} MiB peak {one['requests']:>6} requests {one['wrong']:>4} rows wrong"
        )
    for entry in entries:
        if entry["ended"] != "green":
            print(f"  {entry['contestant']} was {entry['ended']}: {entry['error']}")
    for name in runs:
        if name != "ours" and "ours" in runs:
            target = TARGETS.get(race.latency, {}).get(name)
            say(
                f"speed over: {CONTESTANTS[name].name}",
                f">= {target}" if target else "",
                ratio(paired(runs[name], runs["ours"], "seconds")),
            )


def grouped(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Entries by contestant, in the order of `CONTESTANTS`, green ones only."""
    found = {name: [one for one in entries if (one["contestant"], one["ended"]) == (name, "green")] for name in _ALL}
    return {name: runs for name, runs in found.items() if runs}


def paired(
    runs: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], what: str
) -> list[tuple[float, float]]:
    """The two contestants' figures of the same rounds."""
    theirs = {one["round"]: one[what] for one in other}
    return [(one[what], theirs[one["round"]]) for one in runs if one["round"] in theirs]


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The medians of one contestant's runs."""
    return {
        "seconds": statistics.median(one["seconds"] for one in runs),
        "cpu_row": statistics.median(one["cpu"] / one["calls"] for one in runs) * 1e6,
        "peak_mib": statistics.median(one["peak_mib"] for one in runs),
        "requests": max(one["requests"] for one in runs),
        "wrong": max(one["wrong"] for one in runs),
    }


def load(results: Path = RESULTS) -> dict[str, Any]:
    """What has been measured so far."""
    kept: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {"races": [], "bad_servers": {}}
    return kept


def machine() -> dict[str, Any]:
    """Where and when it was measured."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "day": datetime.now(UTC).date().isoformat(),
    }


def _wrong(result: Result, where: Mapping[str, Any], right: Counter[CallKey]) -> int:
    if result.ended != "green":
        return 0
    if result.job in NO_FILE:
        return abs(result.rows - right.total())
    return rows_wrong(where, result.job, right)


def _save(results: Path, kept: Mapping[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({**kept, "machine": machine()}, indent=1, ensure_ascii=False) + "\n")
