"""Where this package's CPU time goes, a row at a time, beside the floor of the machine.

Each stage is timed alone, over the same answers, in one process; the rest of the reading (HTTP, checks of the answer's
form, paging) is what is left of the whole reading's time.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_callreport.api.answer_check import decode
from airflow_provider_callreport.api.ledger import Ledger
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.api.reading import Page
from airflow_provider_callreport.api.table import Table
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import ReportOutcome
from benchmarks.harness import ROOT, servers
from benchmarks.jobs import ZONE, client, floor, request

RESULTS = Path(__file__).parent / "results" / "stages.json"


def stages(calls: int, rounds: int, *, results: Path = RESULTS) -> None:
    """Print the table, in microseconds of CPU a row (medians), and keep it."""
    found: list[dict[str, float]] = []
    with servers(calls) as where:
        for _ in range(rounds):
            command = [sys.executable, "-m", "benchmarks.stages", json.dumps(where), str(calls)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            found.append(json.loads(done.stdout.strip().splitlines()[-1]))
    table = {name: statistics.median(one[name] for one in found) for name in found[0]}
    for name, cost in table.items():
        print(f"  {name:<42} {cost:>6.2f} us CPU/row")
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({"calls": calls, "us_per_row": table}, indent=1) + "\n")


def measured(where: Mapping[str, Any], calls: int) -> dict[str, float]:
    """Microseconds of CPU a row of each stage, in the order of the road."""
    servers_of = dict(where)
    wanted = request("csv")

    def read() -> Iterator[Page]:
        return ReportReader(client(servers_of), "calls", {}, wanted.window).pages()

    reading = _cpu(lambda: _drain(read()))
    # An export never holds more than a page; without this the collector would walk over all of them again and again.
    gc.disable()
    pages = list(read())
    answers = [json.dumps({"columnArr": page.column_arr, "data": page.records}).encode() for page in pages]
    table = Table(ZONE)
    columns = table.start(pages[0].form, pages[0].bodies)
    typed = [table.rows(page.bodies, page.form) for page in pages]
    gc.freeze()
    gc.enable()
    decoding = _cpu(lambda: _drain(map(decode, answers)))
    ledger = Ledger("callId")
    entering = _cpu(lambda: _drain(ledger.enter(page.records, page.number) for page in pages))
    ledger.close()
    typing = _cpu(lambda: _drain(table.rows(page.bodies, page.form) for page in pages))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "calls.csv")
        writer = FORMATS["csv"].load()(path, columns, wanted.info(), wanted.format_options)

        def write() -> None:
            for rows in typed:
                writer.write(rows)
            writer.close(ReportOutcome(calls, calls, True, ""))

        writing = _cpu(write)
        hashing = _cpu(lambda: hashlib.sha256(path.read_bytes()))
    bottom = _cpu(floor(servers_of, "csv"))
    costs = {
        "HTTP, checks of the answer, paging": reading - decoding - entering,
        "JSON": decoding,
        "ledger (each call once)": entering,
        "typing (times, durations, numbers)": typing,
        "CSV with formula guard": writing,
        "SHA-256": hashing,
        "all of it": reading + typing + writing + hashing,
        "the floor: socket, JSON, csv.writer": bottom,
    }
    return {name: cost / calls * 1e6 for name, cost in costs.items()}


def _drain(items: Iterable[object]) -> None:
    deque(items, maxlen=0)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where")
    parser.add_argument("calls", type=int)
    arguments = parser.parse_args()
    sys.stdout.write(json.dumps(measured(json.loads(arguments.where), arguments.calls)) + "\n")


if __name__ == "__main__":
    main()
