"""The page of the benchmarks, ``docs/benchmarks.md``: its tables and its charts, made of what was measured.

What stands between ``<!-- measured: name -->`` and ``<!-- end -->`` is replaced; the rest of a page is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import stages
from benchmarks.charts import bars_chart
from benchmarks.harness import DLT, ROOT, ratio
from benchmarks.others import CONTESTANTS, RESULTS, TARGETS, grouped, load, paired, summary

PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"

_BLOCK = re.compile(r"(<!-- measured: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def write_page(results: Path = RESULTS, page: Path = PAGE, images: Path = IMAGES) -> None:
    """Make the tables and charts of what was kept.

    Raises:
        SystemExit: nothing has been measured yet.
    """
    kept = load(results)
    if not kept["runs"]:
        raise SystemExit("nothing has been measured yet: run the part others")
    blocks = {"others": _races(kept["runs"]), "machine": _machine(kept["machine"])}
    if kept["bad_servers"]:
        blocks["bad servers"] = _bad_servers(kept["bad_servers"])
    if stages.RESULTS.exists():
        blocks["stages"] = _stages(json.loads(stages.RESULTS.read_text()))
    replace_blocks(page, blocks)
    images.mkdir(parents=True, exist_ok=True)
    largest = max((one["calls"] for one in kept["runs"] if not one["latency"]), default=0)
    runs = grouped([one for one in kept["runs"] if (one["calls"], one["latency"]) == (largest, 0.0)])
    if runs:
        (images / "benchmark_speed.svg").write_text(_speed_chart(runs, largest), encoding="utf-8")
        (images / "benchmark_memory.svg").write_text(_memory_chart(runs, largest), encoding="utf-8")


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


def _races(runs: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for latency, calls in sorted({(one["latency"], one["calls"]) for one in runs}):
        here = grouped([one for one in runs if (one["calls"], one["latency"]) == (calls, latency)])
        rows = []
        for job, found in here.items():
            middle = summary(found)
            speed = ratio(paired(found, here["ours"], "seconds")) if job != "ours" and "ours" in here else ""
            cpu = ratio(paired(found, here["ours"], "cpu")) if job != "ours" and "ours" in here else ""
            rows.append(
                (
                    CONTESTANTS[job],
                    f"{middle['rate']:,.0f}",
                    f"{middle['cpu_row']:.1f} us",
                    f"{middle['peak_mib']:.0f} MiB",
                    f"{middle['requests']:,}",
                    f"{middle['wrong']:,}",
                    speed,
                    cpu,
                    TARGETS.get(job, "") if not latency and calls >= 100_000 else "",
                )
            )
        head = ("", "rows/s", "CPU a row", "peak memory", "requests", "rows wrong", "our speed over it",
                "its CPU over ours", "target")  # fmt: skip
        parts.append(f"**{calls:,} calls, {latency * 1000:.0f} ms latency**\n\n{table(head, rows)}")
    return "\n".join(parts)


def _bad_servers(outcomes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    jobs = [job for job in CONTESTANTS if any(job in cells for cells in outcomes.values())]
    words = {"right": "right", "red": "red", "endless": "**never ends**"}
    rows = [
        (name, *(words.get(cells[job]["outcome"], f"**green, {cells[job]['wrong']} rows wrong**") for job in jobs))
        for name, cells in outcomes.items()
    ]
    bad = [sum(cells[job]["outcome"] not in ("right", "red") for cells in outcomes.values()) for job in jobs]
    return table(("server", *(CONTESTANTS[job] for job in jobs)), [*rows, ("wrong in all", *bad)])


def _stages(kept: Mapping[str, Any]) -> str:
    rows = [(name, f"{cost:.2f} us") for name, cost in kept["us_per_row"].items()]
    return table((f"stage, {kept['calls']:,} calls", "CPU a row"), rows)


def _machine(where: Mapping[str, Any]) -> str:
    return f"{where['cores']} cores, {where['system']}, Python {where['python']}, {DLT}; {where['day']}.\n"


def _speed_chart(runs: Mapping[str, Sequence[Mapping[str, Any]]], calls: int) -> str:
    bars = [(job, summary(found)) for job, found in runs.items()]
    return bars_chart(
        f"Rows a second, {calls:,} calls to CSV in S3, no latency (longer is better)",
        [(CONTESTANTS[job], one["rate"], f"{one['rate']:,.0f}") for job, one in bars],
    )


def _memory_chart(runs: Mapping[str, Sequence[Mapping[str, Any]]], calls: int) -> str:
    bars = [(job, summary(found)) for job, found in runs.items()]
    return bars_chart(
        f"Peak memory, {calls:,} calls to CSV in S3 (shorter is better)",
        [(CONTESTANTS[job], one["peak_mib"], f"{one['peak_mib']:,.0f} MiB") for job, one in bars],
    )


if __name__ == "__main__":
    write_page()
