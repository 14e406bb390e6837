"""What many calls cost: a model fitted to measured runs, and the tables and plot of ``docs/scale.md`` made with it.

A report of ``n`` calls in ``q`` requests costs

* CPU: ``start + per_request * q + per_row * n`` seconds, fitted to runs without latency;
* wall: ``start + q * max((latency + service) / side_by_side, work)``, where ``work`` is the CPU time of a page: the
  next request is on its way while a page is worked on, so the slower of the two counts.

``service`` is what the API and the network take for a page besides the latency that was set: so much for each request,
and so much for each call in it. It is fitted to runs with latency.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airflow_provider_callreport.api.totals import TOTAL_CAP
from airflow_provider_callreport.delivery.s3 import S3Destination
from benchmarks.charts import Line, lines_chart
from benchmarks.harness import ROOT, delivered_bytes, run_green, servers
from benchmarks.others import machine
from benchmarks.page import replace_blocks, table

RESULTS = Path(__file__).parent / "results" / "scale.json"
PAGE = ROOT / "docs" / "scale.md"
PLOT = ROOT / "docs" / "images" / "scale.svg"

#: (calls, page size, latency in seconds, pages side by side) of the measured runs.
GRID = (
    (5_000, 100, 0.0, 1),
    (5_000, 1_000, 0.0, 1),
    (40_000, 100, 0.0, 1),
    (40_000, 1_000, 0.0, 1),
    (5_000, 100, 0.05, 1),
    (5_000, 100, 0.05, 4),
    (40_000, 1_000, 0.05, 1),
    (40_000, 1_000, 0.05, 4),
)

MONTHS = (10_000_000, 1_000_000_000)
DAYS = 30


@dataclass(frozen=True)
class Prices:
    """US dollars, AWS region us-east-1, as widely quoted in 2026, on demand, S3 Standard, Fargate Linux x86.

    Attributes:
        put: 1,000 PUT, POST or LIST requests.
        get: 1,000 GET or HEAD requests.
        storage: one GB for a month.
        cpu_hour, memory_hour: a worker's vCPU, and one GB of its memory, for an hour.
    """

    put: float = 0.005
    get: float = 0.0004
    storage: float = 0.023
    cpu_hour: float = 0.04048
    memory_hour: float = 0.004445

    def worker_hour(self) -> float:
        """One vCPU with 2 GB, the least of Fargate's sizes that an Airflow task fits well."""
        return self.cpu_hour + 2 * self.memory_hour


PRICES = Prices()


@dataclass(frozen=True)
class Model:
    """The constants: see the module's text.

    Attributes:
        start: CPU seconds of a report whatever its size.
        per_request, per_row: CPU seconds.
        service_per_request, service_per_row: seconds.
        bytes_per_row: of a CSV file.
        peak_mib: peak memory of the process.
        error: median of the differences between measured and modelled wall seconds, as a share of the measured.
    """

    start: float
    per_request: float
    per_row: float
    service_per_request: float
    service_per_row: float
    bytes_per_row: float
    peak_mib: float
    error: float = 0.0

    def requests(self, calls: float, size: int) -> int:
        """Requests of a report that is read by page number: in parts where it has `TOTAL_CAP` calls or more.

        A part ends with a page that is not full, and before the parts comes the first page of the whole.
        """
        if calls < TOTAL_CAP:
            return math.floor(calls / size) + 1
        parts = math.floor(2 * calls / TOTAL_CAP)
        return parts * (math.floor(calls / parts / size) + 1) + 1

    def cpu(self, calls: float, size: int) -> float:
        """CPU seconds of one report."""
        return self.start + self.per_request * self.requests(calls, size) + self.per_row * calls

    def wall(self, calls: float, size: int, latency: float, side_by_side: int = 1) -> float:
        """Seconds of one report."""
        requests = self.requests(calls, size)
        rows = calls / requests
        answer = latency + self.service_per_request + self.service_per_row * rows
        page = max(answer / side_by_side, self.per_request + self.per_row * rows)
        return self.start + requests * page

    def s3_requests(self, calls: float) -> tuple[int, int]:
        """PUT-like and GET-like requests of one file."""
        size = calls * self.bytes_per_row
        parts = math.ceil(size / S3Destination.part_bytes)
        # A HEAD before and after; between them a PUT, or the begin, the parts and the end of an upload in parts.
        return (1 if parts <= 1 else parts + 2), 2


def scale(rounds: int, grid: Sequence[tuple[int, int, float, int]] = GRID, *, results: Path = RESULTS) -> Model:
    """Measure the grid, fit the model, keep both, and write the page and its plot."""
    runs: list[dict[str, Any]] = []
    for calls, size, latency, side_by_side in grid:
        with servers(calls, latency) as where:
            for _ in range(rounds):
                result = run_green("ours4" if side_by_side == 4 else "ours", {**where, "page_size": size})
                runs.append(
                    {
                        "calls": calls,
                        "size": size,
                        "latency": latency,
                        "side_by_side": side_by_side,
                        "seconds": result.seconds,
                        "cpu": result.cpu,
                        "peak_mib": result.peak_mib,
                        "requests": result.requests,
                        "bytes": delivered_bytes(where),
                    }
                )
    model = fit(runs)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({"runs": runs, "model": asdict(model), "machine": machine()}, indent=1) + "\n")
    print(f"  {model}")
    if results == RESULTS:
        write_scale_page()
    return model


def fit(runs: Sequence[Mapping[str, Any]]) -> Model:
    """The model of some runs; those of at least two sizes and two page sizes without latency, and some with."""
    still = [one for one in runs if not one["latency"]]
    start, per_request, per_row = _solve(
        [[1.0, one["requests"], one["calls"]] for one in still], [one["cpu"] for one in still]
    )
    slow = [one for one in runs if one["latency"] and one["side_by_side"] == 1]
    service_per_request, service_per_row = _solve(
        [[one["requests"], one["calls"]] for one in slow],
        [max(0.001, one["seconds"] - start - one["requests"] * one["latency"]) for one in slow],
    )
    model = Model(
        start=start,
        per_request=per_request,
        per_row=per_row,
        service_per_request=service_per_request,
        service_per_row=service_per_row,
        bytes_per_row=statistics.median(one["bytes"] / one["calls"] for one in runs),
        peak_mib=max(one["peak_mib"] for one in runs),
    )
    off = statistics.median(
        abs(model.wall(one["calls"], one["size"], one["latency"], one["side_by_side"]) / one["seconds"] - 1)
        for one in runs
    )
    return Model(**{**asdict(model), "error": off})


def _solve(matrix: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Least squares of the relative errors: otherwise the long runs alone would decide. Nothing costs less than 0."""
    import numpy as np

    weight = 1 / np.array(wanted)
    solved, *_ = np.linalg.lstsq(np.array(matrix) * weight[:, None], np.ones(len(wanted)), rcond=None)
    return [max(0.0, float(value)) for value in solved]


def write_scale_page(results: Path = RESULTS, page: Path = PAGE, plot: Path = PLOT) -> None:
    """Make the tables of the page, and its plot, of what was kept."""
    kept = json.loads(results.read_text())
    model = Model(**kept["model"])
    blocks = {"model": _model_table(model, kept), "limits": _limits_table(model)}
    for calls in MONTHS:
        blocks[f"month {calls}"] = _month_table(model, calls)
    replace_blocks(page, blocks)
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(_plot(model, kept["runs"]), encoding="utf-8")


def _month_table(model: Model, calls: int) -> str:
    """One export a day; each line a latency, a page size and pages side by side."""
    rows = []
    daily = calls / DAYS
    puts, gets = model.s3_requests(daily)
    s3 = DAYS * (puts * PRICES.put + gets * PRICES.get) / 1000
    for latency in (0.05, 0.2):
        for size, side_by_side in ((100, 1), (1_000, 1), (1_000, 4)):
            seconds = model.wall(daily, size, latency, side_by_side)
            worker = DAYS * seconds / 3600 * PRICES.worker_hour()
            rows.append(
                (
                    f"{latency * 1000:.0f} ms",
                    f"{size:,}",
                    side_by_side,
                    f"{DAYS * model.requests(daily, size):,}",
                    _span(seconds),
                    _span(DAYS * model.cpu(daily, size)),
                    f"{model.peak_mib:.0f} MiB",
                    f"{DAYS * (puts + gets):,}",
                    _dollars(s3),
                    _dollars(worker),
                )
            )
    head = (
        "latency", "page", "side by side", "requests", "a day's export takes", "CPU a month", "peak memory",
        "S3 requests", "S3 requests cost", "worker costs",
    )  # fmt: skip
    stored = calls * model.bytes_per_row / 1e9
    return table(head, rows) + (
        f"\nThe month's files hold {stored:,.1f} GB, which cost {_dollars(stored * PRICES.storage)} for each month "
        "that they are kept.\n"
    )


def _limits_table(model: Model) -> str:
    """The least time that a rate limit allows for a day's calls."""
    rows = []
    for limit in (20, 200, 1_200):
        for size in (100, 1_000):
            spans = [_span(model.requests(calls / DAYS, size) / limit * 60) for calls in MONTHS]
            rows.append((f"{limit:,} a minute", f"{size:,}", *spans))
    return table(("the vendor allows", "page", "a day of 10 M a month", "a day of 1 B a month"), rows)


def _model_table(model: Model, kept: Mapping[str, Any]) -> str:
    rows = (
        ("CPU of a report, whatever its size", f"{model.start:.2f} s"),
        ("CPU of a request", f"{model.per_request * 1e3:.2f} ms"),
        ("CPU of a call", f"{model.per_row * 1e6:.1f} us"),
        ("server and network, a request, besides the latency", f"{model.service_per_request * 1e3:.2f} ms"),
        ("server and network, a call", f"{model.service_per_row * 1e6:.1f} us"),
        ("a call in CSV", f"{model.bytes_per_row:.0f} bytes"),
        ("peak memory of the process, Airflow's modules included", f"{model.peak_mib:.0f} MiB"),
        ("measured wall is off the model by (median)", f"{model.error * 100:.0f} %"),
    )
    where = kept["machine"]
    return table(("constant", "fitted"), rows) + (
        f"\n{len(kept['runs'])} runs on {where['cores']} cores, {where['system']}, Python {where['python']}, "
        f"{where['day']}.\n"
    )


def _plot(model: Model, runs: Iterable[Mapping[str, Any]]) -> str:
    sizes = [10 ** (exponent / 4) for exponent in range(14, 37)]
    chosen = ((0.05, 100, 1), (0.05, 100, 4), (0.05, 1_000, 1), (0.05, 1_000, 4))
    drawn = [
        Line(
            f"{latency * 1000:.0f} ms, {size} a page, {side_by_side} side by side",
            [(calls, model.wall(calls, size, latency, side_by_side) / 60) for calls in sizes],
            [
                (one["calls"], one["seconds"] / 60)
                for one in runs
                if (one["latency"], one["size"], one["side_by_side"]) == (latency, size, side_by_side)
            ],
        )
        for latency, size, side_by_side in chosen
    ]
    return lines_chart("One export: minutes by calls (lines: the model; dots: measured)", "calls", "minutes", drawn)


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:,.1f} days"


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.01 or not amount else "under $0.01"


if __name__ == "__main__":
    write_scale_page()
