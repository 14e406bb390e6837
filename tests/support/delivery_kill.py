"""Deliveries to a path of this machine, in a process that kills them. It imports little: the process is a new one."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from pathlib import Path

from airflow_provider_callreport.delivery.object_storage import destination_at
from airflow_provider_callreport.delivery.receipts import DeliveredFile
from airflow_provider_callreport.report import ExportedFile, RunIdentity
from support.delivery import INFO, OUTCOME, RUN

#: What is at the path before.
OLD = b"yesterday's report\r\n"

KILLS = 50


def deliver(path: Path, file: ExportedFile, *, if_exists: str = "replace", run: RunIdentity = RUN) -> DeliveredFile:
    """Deliver to a path of this machine."""
    place = destination_at(f"file://{path}", if_exists=if_exists)
    return place.deliver(file, info=INFO, outcome=OUTCOME, run=run)


def names(folder: Path) -> list[str]:
    """All that is in a directory, with what begins with a dot."""
    return sorted(path.name for path in folder.iterdir())


def write_and_die(target: Path, source: Path, seed: int) -> None:
    """Deliver again and again, each time in a child that is killed at some moment, and look at what it has left.

    A timer of the kernel without a handler kills as SIGKILL does: no ``finally`` runs.
    """
    content = source.read_bytes()
    file = ExportedFile(source, "calls.csv", "text/csv", 1, len(content), hashlib.sha256(content).hexdigest())
    chance = random.Random(seed)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    begin = time.monotonic()
    deliver(target, file)
    whole = time.monotonic() - begin
    kills = leftovers = tries = 0
    while (kills < KILLS or not leftovers) and tries < 20 * KILLS:
        tries += 1
        if_exists = chance.choice(("replace", "fail"))
        before = OLD if if_exists == "replace" else None
        target.unlink()
        if before is not None:
            target.write_bytes(before)
        child = os.fork()
        if not child:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.01, 1) * whole)
            deliver(target, file, if_exists=if_exists)
            os._exit(0)
        _, code = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(code)
        leftovers += any(target.parent.glob(".callreport-*.tmp"))
        # Whatever it was, what is visible is whole, and the next try is right.
        found = target.read_bytes() if target.exists() else None
        assert found in (content, before), "half a file is visible"
        deliver(target, file, if_exists=if_exists)
        assert target.read_bytes() == content
        assert names(target.parent) == ["calls.csv"], "something is left"
    assert kills >= KILLS
    assert leftovers
