"""The page of the benchmarks, ``docs/benchmarks.md``: its tables and its chart, made of what was measured.

What stands between ``<!-- measured: name -->`` and ``<!-- end -->`` is replaced; the rest of a page is written by hand.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import costs, starts
from benchmarks.charts import bars_chart
from benchmarks.harness import DLT, ROOT, ratio
from benchmarks.others import CONTESTANTS, FORMAT_NAMES, RESULTS, TARGETS, Race, grouped, load, paired, summary

PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"

#: Memory and writers, by format.
FORMATS_RESULTS = RESULTS.with_name("formats.json")

_BLOCK = re.compile(r"(<!-- measured: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def write_page(results: Path = RESULTS, page: Path = PAGE, images: Path = IMAGES) -> None:
    """Make the tables and the chart of what was kept.

    Raises:
        SystemExit: nothing has been measured yet.
    """
    kept = load(results)
    if not kept["races"]:
        raise SystemExit("nothing has been measured yet: run the part races")
    held = [(_race(one["race"]), one["runs"]) for one in kept["races"]]
    csv = [one for one in held if (one[0].file_format, one[0].to) == ("csv", "s3")]
    blocks = {
        "waits": _ratios(csv),
        "races": "\n".join(f"**{race.title}**\n\n{_race_table(race, runs)}" for race, runs in csv),
        "formats": _formats([one for one in held if one not in csv]),
        "machine": _machine(kept["machine"]),
    }
    if kept["bad_servers"]:
        blocks["bad servers"] = _bad_servers(kept["bad_servers"])
    if costs.RESULTS.exists():
        blocks["costs"] = _costs(json.loads(costs.RESULTS.read_text()))
    if starts.RESULTS.exists():
        blocks["starts"] = _starts(json.loads(starts.RESULTS.read_text()))
    if FORMATS_RESULTS.exists():
        blocks["writers"] = _writers(json.loads(FORMATS_RESULTS.read_text()))
    replace_blocks(page, blocks)
    images.mkdir(parents=True, exist_ok=True)
    for race, runs in csv:
        if (race.latency, race.calls < 50_000) == (0.05, True):
            (images / "benchmark_waits.svg").write_text(_chart(race, runs), encoding="utf-8")


def keep(part: str, file_format: str, measured: Mapping[str, Any]) -> None:
    """Keep what was measured of a format: ``part`` is ``"memory"`` or ``"writers"``."""
    kept = json.loads(FORMATS_RESULTS.read_text()) if FORMATS_RESULTS.exists() else {}
    kept.setdefault(part, {})[file_format] = measured
    FORMATS_RESULTS.parent.mkdir(parents=True, exist_ok=True)
    FORMATS_RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


def replace_blocks(page: Path, blocks: Mapping[str, str]) -> None:
    """Put texts in the places that a page has for them.

    Args:
        page: a Markdown file.
        blocks: text by the place's name.

    Raises:
        ValueError: the page has no such place.
    """
    text = page.read_text(encoding="utf-8")
    missing = sorted(set(blocks) - {match[2] for match in _BLOCK.finditer(text)})
    if missing:
        raise ValueError(f"{page.name} has no place for {missing[0]!r}")

    def filled(match: re.Match[str]) -> str:
        return f"{match[1]}\n{blocks[match[2]]}\n{match[4]}" if match[2] in blocks else match[0]

    page.write_text(_BLOCK.sub(filled, text), encoding="utf-8")


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _race(kept: Mapping[str, Any]) -> Race:
    return Race(**{**kept, "contestants": tuple(kept["contestants"])})


def _ratios(held: Sequence[tuple[Race, Sequence[Mapping[str, Any]]]]) -> str:
    """How many times as fast as each other one: a line a contestant, a column a race."""
    by_race = {race.title.removesuffix(", CSV to S3"): (race, grouped(runs)) for race, runs in held}
    rows = []
    for name, one in CONTESTANTS.items():
        if name == "ours":
            continue
        cells = []
        for race, runs in by_race.values():
            target = TARGETS.get(race.latency, {}).get(name)
            cells.append(
                ratio(paired(runs[name], runs["ours"], "seconds")) + (f"; wanted {target:g}" if target else "")
                if {name, "ours"} <= set(runs)
                else ""
            )
        rows.append((one.name, *cells))
    return table(("our speed over", *by_race), rows)


def _race_table(race: Race, runs: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for name, found in grouped(runs).items():
        one = summary(found)
        rows.append(
            (
                CONTESTANTS[name].name,
                f"{one['seconds']:.2f} s",
                f"{one['cpu_row']:.1f} us",
                f"{one['peak_mib']:.0f} MiB",
                f"{one['requests']:,}",
                f"{one['wrong']:,}",
            )
        )
    return table(("", "from first request to file in S3", "CPU a call", "peak memory", "requests", "rows wrong"), rows)


def _formats(held: Sequence[tuple[Race, Sequence[Mapping[str, Any]]]]) -> str:
    rows = []
    for race, kept in held:
        runs = grouped(kept)
        if "ours" not in runs:
            continue
        cells = [
            f"{summary(runs[name])['seconds']:.2f} s, {ratio(paired(runs[name], runs['ours'], 'seconds'))}"
            if name in runs
            else ""
            for name in ("script", "script1000")
        ]
        mine = summary(runs["ours"])
        rows.append((race.title, f"{mine['seconds']:.2f} s", f"{mine['peak_mib']:.0f} MiB", *cells))
    return table(("", "this package", "its peak", "the script, 100 a page", "the script, 1,000 a page"), rows)


def _writers(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """CPU of a writer beside the plainest loop, and the peak of a whole export of few and of many calls."""
    names, rows = {**FORMAT_NAMES, "jsonl": "JSON Lines"}, []
    for file_format, name in names.items():
        writer, memory = kept.get("writers", {}).get(file_format), kept.get("memory", {}).get(file_format)
        speed = ratio((second, first) for first, second in writer["pairs"]) if writer else ""
        peaks = " to ".join(f"{peak:.0f} MiB" for peak in memory["mib"]) if memory else ""
        growth = f"{memory['mib'][1] / memory['mib'][0]:.2f}" if memory else ""
        rows.append((name, speed, peaks, growth))
    return table(("", "speed over the plain loop", "peak of 10,000 and of 1,000,000 calls", "growth"), rows)


def _bad_servers(outcomes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    names = {"ours": "this package", "script": "the script", "http_operator": "HttpOperator", "dlt": "dlt"}
    jobs = [job for job in names if any(job in cells for cells in outcomes.values())]
    words = {"right": "right", "red": "red", "endless": "**never ends**"}
    rows = [
        (name, *(words.get(cells[job]["outcome"], f"**green, {cells[job]['wrong']} rows wrong**") for job in jobs))
        for name, cells in outcomes.items()
    ]
    bad = [sum(cells[job]["outcome"] not in ("right", "red") for cells in outcomes.values()) for job in jobs]
    return table(("server", *(names[job] for job in jobs)), [*rows, ("wrong in all", *bad)])


def _costs(kept: Mapping[str, Any]) -> str:
    rows = []
    for name, values in kept["us_per_call"].items():
        spread = f"{statistics.median(values):.2f} us ({min(values):.2f} to {max(values):.2f})"
        rows.append((name, costs.STEPS[name] or "(needed anyway)", spread))
    return table(("step", "what it promises", "CPU a call"), rows)


def _starts(kept: Mapping[str, Sequence[float]]) -> str:
    base = kept["a Dag with a BashOperator"]
    rows = [
        (name, f"{statistics.median(seconds):.2f} s", ratio(zip(seconds, base, strict=True)))
        for name, seconds in kept.items()
    ]
    return table(("", "CPU", "over the Dag with a BashOperator"), rows)


def _machine(where: Mapping[str, Any]) -> str:
    return f"{where['cores']} cores, {where['system']}, Python {where['python']}, {DLT}; {where['day']}.\n"


def _chart(race: Race, runs: Sequence[Mapping[str, Any]]) -> str:
    bars = [(name, summary(found)) for name, found in grouped(runs).items()]
    return bars_chart(
        f"Seconds, {race.title} (shorter is better)",
        [(CONTESTANTS[name].name, one["seconds"], f"{one['seconds']:.1f} s") for name, one in bars],
    )


if __name__ == "__main__":
    write_page()
