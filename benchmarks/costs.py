"""What each promise costs: CPU time for a call, each step of the reading alone, in one process over the same answers.

The steps are those of ``api/paging.py`` and ``export/road.py``, in their order. "Needed anyway" is what a task without
any promise does, too.
"""

from __future__ import annotations

import gc
import hashlib
import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_callreport.api.answer import parse_answer
from airflow_provider_callreport.api.answer_check import decode
from airflow_provider_callreport.api.bounds import check_keys, check_size
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.ledger import Ledger
from airflow_provider_callreport.api.profile import bodies, learn_form
from airflow_provider_callreport.api.table import Table
from airflow_provider_callreport.api.window_check import WindowCheck
from airflow_provider_callreport.export.redaction import Redactor
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import Column, ReportInfo, ReportOutcome, Row
from airflow_provider_callreport.sandbox.call import LABELS
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.filters import parse_filter
from airflow_provider_callreport.sandbox.rows import RowShape
from benchmarks.jobs import DAY, FILTER, ZONE, request

RESULTS = Path(__file__).parent / "results" / "costs.json"
PAGE = 1_000

#: The promise that each step keeps; "" is needed anyway.
STEPS = {
    "decode the JSON": "",
    "bounds: rows and cells of an answer": "an answer cannot fill the memory",
    "JSON keys once each": "no value is lost to a key that comes twice",
    "profile: each row as on the first page": "learn once, enforce always",
    "window: each call's time": "no call of another day",
    "ledger: each call once, 100,000 calls": "no call twice, none lost",
    "ledger, 1,000,000 calls": "the same for a million",
    "types: times, durations, numbers": "real dates and numbers in the file",
    "redaction: last4 of a number, looked for in all cells": "no number leaves in full",
    "CSV, formulas not guarded": "",
    "CSV, formulas guarded": "a cell is never run as a formula",
    "SHA-256 of the file": "the file in S3 is the file that was made",
}


def costs(calls: int, rounds: int, *, results: Path = RESULTS) -> None:
    """Print the table, in microseconds of CPU a call (medians and spread), and keep it."""
    found = [_measured(calls) for _ in range(rounds)]
    table = {name: sorted(one[name] for one in found) for name in STEPS}
    for name, values in table.items():
        print(f"  {name:<58} {statistics.median(values):>6.2f} us ({values[0]:.2f} to {values[-1]:.2f})", flush=True)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({"calls": calls, "us_per_call": table}, indent=1) + "\n")


def _measured(calls: int) -> dict[str, float]:
    # Pages that an export would drop are kept here; without this the collector would walk over them again and again.
    gc.disable()
    raw = _answers(calls)
    window = Window(DAY, DAY + timedelta(days=1), ZONE)
    payloads = [decode(one) for one in raw]
    answers = [parse_answer(payload, one) for payload, one in zip(payloads, raw, strict=True)]
    form, _ = learn_form(answers[0].records, answers[0].column_arr, window)
    pages = [bodies(answer.records) for answer in answers]
    table = Table(ZONE)
    columns = table.start(form, pages[0])
    rows = [table.rows(page, form) for page in pages]
    redactor = Redactor({"Caller Number": "last4"}, table.labels, table.columns)
    info = request("csv").info()

    def check_window() -> None:
        check = WindowCheck(window, 3600)
        for page in pages:
            check.add(form.times(page, window.zone))

    def enter() -> None:
        ledger = Ledger("callId")
        for number, answer in enumerate(answers):
            ledger.enter(answer.records, number)
        ledger.close()

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "calls.csv")
        work: dict[str, Callable[[], object]] = {
            "decode the JSON": lambda: _each(decode, raw),
            "bounds: rows and cells of an answer": lambda: _each(partial(check_size, asked=PAGE), raw),
            "JSON keys once each": lambda: _each(check_keys, payloads, raw),
            "profile: each row as on the first page": lambda: _each(form.check, pages),
            "window: each call's time": check_window,
            "ledger: each call once, 100,000 calls": enter,
            "types: times, durations, numbers": lambda: _each(partial(table.rows, form=form), pages),
            "redaction: last4 of a number, looked for in all cells": lambda: _each(redactor.rows, rows),
            "CSV, formulas not guarded": lambda: _write(path, columns, info, rows, guard=False),
            "CSV, formulas guarded": lambda: _write(path, columns, info, rows, guard=True),
            "SHA-256 of the file": lambda: hashlib.sha256(path.read_bytes()),
        }
        found = {name: _cpu(step) / calls * 1e6 for name, step in work.items()}
    found["ledger, 1,000,000 calls"] = ledger_cost(1_000_000)
    gc.enable()
    gc.collect()
    return found


def ledger_cost(calls: int) -> float:
    """Microseconds of CPU a call that the ledger takes, for calls with ids, a page at a time."""
    source = SyntheticCalls(calls).select(parse_filter(FILTER))
    ledger, spent = Ledger("callId"), 0.0
    for start in range(0, calls, PAGE):
        records = decode(b"[%s]" % ",".join(source.encode(start, start + PAGE, RowShape())).encode())
        spent += _cpu(partial(ledger.enter, records, start))
    ledger.close()
    return spent / calls * 1e6


def _answers(calls: int) -> list[bytes]:
    source = SyntheticCalls(calls).select(parse_filter(FILTER))
    labels = json.dumps({str(number): label for number, label in enumerate(LABELS, 1)}, separators=(",", ":"))
    return [
        b'{"columnArr":%s,"data":[%s],"cnt":%d}'
        % (labels.encode(), ",".join(source.encode(start, start + PAGE, RowShape())).encode(), calls)
        for start in range(0, calls, PAGE)
    ]


def _write(path: Path, columns: tuple[Column, ...], info: ReportInfo, pages: list[list[Row]], *, guard: bool) -> None:
    options: Mapping[str, Any] = FORMATS["csv"].check_options({"guard_formulas": guard})
    writer = FORMATS["csv"].load()(path, columns, info, options)
    for page in pages:
        writer.write(page)
    count = sum(map(len, pages))
    writer.close(ReportOutcome(count, count, True, ""))


def _each(step: Callable[..., object], *items: Iterable[object]) -> None:
    deque(map(step, *items), maxlen=0)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
