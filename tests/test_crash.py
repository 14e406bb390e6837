"""Exports that are killed in the middle: nothing half-visible, and the next try is right (D1)."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from api_support import SOAK
from crash_support import Export, Site, attachment_sha256, sha256, slow_site, start

FORMATS = ("csv", "jsonl", "parquet", "xlsx", "pdf")
POINTS = 500 if SOAK else 46
SEED = 20_260_313
AT_ONCE = 4


@dataclass(frozen=True)
class Point:
    """Where an export is killed.

    Attributes:
        export: which.
        number: the signal.
        moment: when, as a part of the time that the export takes undisturbed.
    """

    export: Export
    number: signal.Signals
    moment: float

    @property
    def variant(self) -> tuple[str, bool]:
        """What decides the bytes of the file, and how they travel."""
        return self.export.file_format, self.export.in_parts


@dataclass(frozen=True)
class Truth:
    """An undisturbed export.

    Attributes:
        sha256: of the file.
        seconds: how long it took.
    """

    sha256: str
    seconds: float


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch, slow_site() as servers:
        # S3 refuses parts of less than 5 MiB, and so does moto; files of 5 MiB would take too long.
        patch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
        yield servers


def test_an_export_that_is_killed_leaves_nothing_half_visible(site: Site, tmp_path: Path) -> None:
    """D1: SIGKILL and SIGTERM at random points of an export; objects and mails whole or absent, the next try right."""
    shuffle = random.Random(SEED)
    variants = [(file_format, in_parts) for file_format in FORMATS for in_parts in (False, True)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        truths = dict(zip(variants, pool.map(lambda variant: undisturbed(site, tmp_path, *variant), variants)))
        for file_format in FORMATS:
            assert truths[file_format, False].sha256 == truths[file_format, True].sha256, "D1: the same bytes"
        points = [point(tmp_path, number, variants, shuffle) for number in range(POINTS)]
        traces = list(pool.map(lambda one: killed(site, one, truths[one.variant]), points))
    print({v: t.seconds for v,t in truths.items()})
    print(f"\n{POINTS} kill points, seed {SEED}: {table(traces)}")
    seen = Counter(trace.stage for trace in traces)
    assert seen["nothing delivered"] >= POINTS // 5, "the points are spread over the export"
    assert seen["object delivered"] + seen["object and mail delivered"] >= POINTS // 10
    assert sum(trace.spool_left for trace in traces) >= POINTS // 10, "SIGKILL did strike while there was a file"


@dataclass(frozen=True)
class Trace:
    """What a killed export left, before the next try.

    Attributes:
        number: the signal.
        stage: what had been delivered.
        spool_left: whether its spool directory was left behind.
        uploads_left: multipart uploads that nobody completed or aborted.
        unsure: whether the next try could not know whether the mail went.
    """

    number: signal.Signals
    stage: str
    spool_left: bool
    uploads_left: int
    unsure: bool


def undisturbed(site: Site, folder: Path, file_format: str, in_parts: bool) -> Truth:
    """Run an export to its end; what it makes, and in how much time."""
    name = f"undisturbed-{file_format}-{'parts' if in_parts else 'whole'}"
    export = Export(name, folder / name, file_format, in_parts, "fail")
    word, seconds = start(site, export).end()
    assert word == "done"
    content = site.object(export.key)
    assert content
    assert list(map(attachment_sha256, site.mails(export.recipient))) == [sha256(content)]
    assert not list(export.temp.iterdir())
    return Truth(sha256(content), seconds)


def point(folder: Path, number: int, variants: list[tuple[str, bool]], shuffle: random.Random) -> Point:
    """A kill point; each variant gets as many as any other."""
    name = f"point-{number}"
    file_format, in_parts = variants[number % len(variants)]
    export = Export(name, folder / name, file_format, in_parts, shuffle.choice(("replace", "fail", "skip")))
    return Point(export, shuffle.choice((signal.SIGKILL, signal.SIGTERM)), shuffle.random())


def killed(site: Site, one: Point, truth: Truth) -> Trace:
    """Kill an export, look, and try again."""
    export = one.export
    run = start(site, export)
    run.kill_after(one.moment * truth.seconds, one.number)
    found, mails, uploads = site.object(export.key), site.mails(export.recipient), site.uploads(export.key)
    assert sha256(found) in ("nothing", truth.sha256), f"{one}: a partial object"
    assert len(mails) <= 1
    assert [truth.sha256] * len(mails) == list(map(attachment_sha256, mails)), f"{one}: a partial mail"
    spool = list(export.temp.iterdir())
    if one.number is signal.SIGTERM:
        assert not spool, f"{one}: SIGTERM leaves {spool}"
        assert not any(uploads), f"{one}: SIGTERM leaves parts in S3"
    for directory in spool:
        assert directory.stat().st_mode & 0o777 == 0o700
        # A directory without a lock yet is removed when it is a minute old.
        os.utime(directory, (time.time() - 120,) * 2)

    state = (export.record.get() or {}).get("state")
    word, _ = start(site, export).end()
    after = site.mails(export.recipient)
    if state == "intent":
        assert word == "MailMaybeSentError", one
        assert len(after) <= 1
    else:
        assert word == "done", one
        assert len(after) == 1
    assert [truth.sha256] * len(after) == list(map(attachment_sha256, after))
    assert sha256(site.object(export.key)) == truth.sha256, f"{one}: the next try is not right"
    assert not list(export.temp.iterdir()), f"{one}: something is left after the next try"
    stages = {(False, False): "nothing", (True, False): "object", (True, True): "object and mail"}
    return Trace(
        number=one.number,
        stage=f"{stages[found is not None, bool(mails)]} delivered",
        spool_left=bool(spool),
        uploads_left=len(uploads),
        unsure=state == "intent",
    )


def table(traces: list[Trace]) -> str:
    """The counts."""
    signals = Counter(trace.number.name for trace in traces)
    stages = Counter(trace.stage for trace in traces)
    return (
        f"{dict(signals)}, {dict(stages)}, {sum(trace.spool_left for trace in traces)} spool directories and "
        f"{sum(trace.uploads_left for trace in traces)} uploads left until the next try or the lifecycle rule, "
        f"{sum(trace.unsure for trace in traces)} times unsure of the mail; wrong files: 0"
    )
