"""How a job is measured. Standard library only: the interpreters of other tools run this, too."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def measure(job: Callable[[], int], more: Callable[[], Mapping[str, Any]] = dict) -> None:
    """Run a job and print one line of JSON: ``rows``, ``seconds``, ``cpu`` (seconds), ``peak_mib``.

    Args:
        job: returns how many rows it delivered.
        more: further entries of the line, asked for after the job.
    """
    cpu, start = _cpu(), time.perf_counter()
    rows = job()
    seconds = time.perf_counter() - start
    line = {"rows": rows, "seconds": seconds, "cpu": _cpu() - cpu, "peak_mib": _peak_mib(), **more()}
    sys.stdout.write(json.dumps(line) + "\n")


def _cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_mib() -> float:
    """Peak memory. Linux's ``ru_maxrss`` is at least that of the process that started this one; VmHWM is our own."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
