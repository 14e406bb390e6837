"""Exports that are killed in the middle: nothing half-visible, and the next try is right (all-or-nothing)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from support.api import SOAK
from support.crash import (
    NOTHING,
    Export,
    Site,
    Stage,
    attachment_sha256,
    interrupt_spools,
    sha256,
    slow_site,
    start,
    start_export,
)
from support.crash_airflow import Deployment, start_first_try, start_next_tries
from support.runs import AirflowRuns, airflow_environment, empty_home

pytestmark = pytest.mark.slow

AIRFLOW_VERSION = tuple(map(int, version("apache-airflow").split(".")[:2]))

FORMATS = ("csv", "jsonl", "parquet", "xlsx", "pdf")
POINTS = 480 if SOAK else 46
SEED = 20_260_313
AT_ONCE = 4

#: A spool directory that was not locked yet when its process was killed is removed when it is a minute old.
LATER = 120


@dataclass(frozen=True)
class Point:
    """Where an export is killed.

    Attributes:
        export: which.
        number: the signal.
        stage: in which stage.
        moment: when, as a part of the bytes that pass in this stage undisturbed.
        held: whether no byte more passes until the signal has struck, so that what is there afterwards is certain.
        delay: seconds from that moment to the signal, where nothing is held.
    """

    export: Export
    number: signal.Signals
    stage: Stage
    moment: float
    held: bool
    delay: float


@dataclass(frozen=True)
class Truth:
    """An undisturbed export.

    Attributes:
        sha256: of the file.
        passed: bytes that passed in each stage.
    """

    sha256: str
    passed: Mapping[Stage, int]


@dataclass(frozen=True)
class Trace:
    """What a killed export left, before the next try.

    Attributes:
        stage, number: when it was killed, and how.
        in_time: whether the signal came before the end.
        delivered: what was there.
        spool_left: whether its spool directory was left behind.
        uploads_left: multipart uploads that nobody completed or aborted.
        unsure: whether the next try could not know whether the mail went.
    """

    stage: Stage
    number: signal.Signals
    in_time: bool
    delivered: str
    spool_left: bool
    uploads_left: int
    unsure: bool


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch, slow_site() as servers:
        # S3 refuses parts of less than 5 MiB, and so does moto; files of 5 MiB would take too long.
        patch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
        yield servers


def test_an_export_that_is_killed_leaves_nothing_half_visible(site: Site, tmp_path: Path) -> None:
    """all-or-nothing: SIGKILL and SIGTERM at random points of an export; objects and mails whole or absent, the next
    try right.
    """
    shuffle = random.Random(SEED)
    variants = [(file_format, in_parts) for file_format in FORMATS for in_parts in (False, True)]
    traces: list[Trace] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = pool.map(lambda variant: undisturbed(site, tmp_path, *variant), variants)
        truths = dict(zip(variants, made, strict=True))
        for file_format in FORMATS:
            assert truths[file_format, False].sha256 == truths[file_format, True].sha256, "the same bytes"
        # A signal that comes after the end kills nothing: another takes its place.
        while (missing := POINTS - sum(trace.in_time for trace in traces)) and len(traces) < 2 * POINTS:
            numbers = range(len(traces), len(traces) + missing)
            points = [make_point(tmp_path, variants, number, shuffle) for number in numbers]
            truth_of = [truths[point.export.file_format, point.export.in_parts] for point in points]
            traces += pool.map(lambda point, truth: kill(site, point, truth), points, truth_of)
    print(f"\nseed {SEED}: {in_words(traces)}")
    assert sum(trace.in_time for trace in traces) == POINTS
    assert {trace.delivered for trace in traces if trace.in_time} >= {"nothing", "object"}


def test_a_spool_directory_that_is_terminated_at_any_moment_is_gone(site: Site, tmp_path: Path) -> None:
    """all-or-nothing: SIGTERM also while the directory is made or removed. A few machine instructions are left to the
    next run.
    """
    temp = tmp_path / "tmp"
    temp.mkdir()
    run = start(site, tmp_path, interrupt_spools, temp, 1000)
    left = int(run.hear())
    assert left <= 5, f"{left} of 1000 are left"


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="before Airflow 3.3 a task's tries are run in another way")
def test_a_task_that_is_killed_is_right_at_its_next_try(site: Site, tmp_path: Path, airflow_runs: AirflowRuns) -> None:
    """all-or-nothing: the same in task processes of Airflow, whose handlers the signals meet; the next try is in the
    same run.
    """
    shuffle = random.Random(SEED)
    truth = undisturbed(site, tmp_path, "csv", False, name="undisturbed-airflow")
    deployment = deploy(tmp_path, airflow_runs)
    names: dict[datetime, str] = {}
    for number in (signal.SIGKILL, signal.SIGTERM):
        for stage in (Stage.READING, Stage.S3):
            date = datetime(2026, 5, 1 + len(names), tzinfo=UTC)
            names[date] = name = f"airflow-{date:%Y-%m-%d}"
            run = start_first_try(site, deployment, date)
            run.kill(stage, int(shuffle.uniform(0, 0.8) * truth.passed[stage]), number, hold=True)
            content = site.object(f"{name}/calls")
            # SIGTERM cuts no line: what was on its way in a buffer of the machine arrives.
            whole = stage is Stage.S3 and number is signal.SIGTERM and sha256(content) == truth.sha256
            assert content is None or whole, f"{number.name} while {stage}"
            assert site.mails(f"{name}@example.com") == [], f"{number.name} while {stage}"
            left = list(deployment.temp.glob("*callreport*"))
            assert not left or number is signal.SIGKILL, f"{number.name} while {stage}"
            age(left)
    assert start_next_tries(site, deployment, list(names)).end() == ",".join(["success"] * len(names))
    for name in names.values():
        assert sha256(site.object(f"{name}/calls")) == truth.sha256
        assert list(map(attachment_sha256, site.mails(f"{name}@example.com"))) == [truth.sha256]
    assert not list(deployment.temp.glob("*callreport*"))


def make_point(folder: Path, variants: list[tuple[str, bool]], number: int, shuffle: random.Random) -> Point:
    """A kill point; each variant gets as many as any other."""
    name = f"point-{number}"
    file_format, in_parts = variants[number % len(variants)]
    return Point(
        export=Export(name, folder / name, file_format, in_parts, shuffle.choice(("replace", "fail", "skip"))),
        number=shuffle.choice((signal.SIGKILL, signal.SIGTERM)),
        stage=shuffle.choice(list(Stage)),
        moment=shuffle.uniform(0, 0.9),
        held=shuffle.random() < 0.5,
        delay=shuffle.uniform(0, 0.05),
    )


def undisturbed(site: Site, folder: Path, file_format: str, in_parts: bool, name: str = "undisturbed") -> Truth:
    """Run an export to its end; what it makes, and how many bytes pass meanwhile."""
    name = f"{name}-{file_format}-{'parts' if in_parts else 'whole'}"
    export = Export(name, folder / name, file_format, in_parts, "fail")
    word, passed = start_export(site, export).watch()
    assert word == "done"
    content = site.object(export.key)
    assert content
    assert list(map(attachment_sha256, site.mails(export.recipient))) == [sha256(content)]
    assert not list(export.temp.iterdir())
    return Truth(sha256(content), passed)


def kill(site: Site, point: Point, truth: Truth) -> Trace:
    """Kill an export, look at everything that it left, try again, and look again."""
    export = point.export
    at, delay = int(point.moment * truth.passed[point.stage]), 0 if point.held else point.delay
    code = start_export(site, export).kill(point.stage, at, point.number, hold=point.held, delay=delay)
    delivered, mails, uploads = site.object(export.key), site.mails(export.recipient), site.uploads(export.key)
    assert sha256(delivered) in (truth.sha256, NOTHING), f"{point}: a partial object"
    assert list(map(attachment_sha256, mails)) in ([truth.sha256], []), f"{point}: a partial mail, or two"
    left = list(export.temp.iterdir())
    if point.held:
        assert code != 0, f"{point}: the signal struck"
        # SIGTERM cuts no line: what was on its way in a buffer of the machine arrives.
        if point.stage is Stage.READING or point.number is signal.SIGKILL:
            assert (delivered is None, mails) == (point.stage is not Stage.MAIL, []), f"{point}: killed in time"
        assert left or point.number is signal.SIGTERM, f"{point}: SIGKILL did strike while there was a file"
    if point.number is signal.SIGTERM:
        assert not left, f"{point}: SIGTERM leaves {left}"
        # In the moment between S3's answer to CreateMultipartUpload and its arrival nobody knows what to abort.
        assert not any(uploads), f"{point}: SIGTERM leaves parts in S3"
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for place in left for path in (place, *place.rglob("*"))}
    assert modes <= {(True, 0o700), (False, 0o600)}, f"{point}: others can look into it"
    age(left)
    handed_over = export.record.states == ["intent"]

    word = start_export(site, export).end()
    after = site.mails(export.recipient)
    assert word == ("MailMaybeSentError" if handed_over else "done"), point
    assert sha256(site.object(export.key)) == truth.sha256, f"{point}: the object of the next try is not right"
    assert list(map(attachment_sha256, after)) in ([truth.sha256], [] if handed_over else [truth.sha256]), point
    assert not list(export.temp.iterdir()), f"{point}: something is left after the next try"
    return Trace(
        stage=point.stage,
        number=point.number,
        in_time=code != 0,
        delivered="mail" if mails else "object" if delivered else "nothing",
        spool_left=bool(left),
        uploads_left=len(uploads),
        unsure=handed_over,
    )


def age(directories: Sequence[Path]) -> None:
    """Let the time pass after which a directory that never was locked is removed."""
    for directory in directories:
        os.utime(directory, (time.time() - LATER,) * 2)


def deploy(folder: Path, airflow_runs: AirflowRuns) -> Deployment:
    """Airflow with the one Dag."""
    home, dags = folder / "home", folder / "dags"
    shutil.copytree(empty_home(airflow_runs), home)
    dags.mkdir()
    (folder / "tmp").mkdir()
    dag_file = shutil.copy(Path(__file__).parent / "support" / "airflow_dags" / "crash.py", dags)
    environment = {**airflow_environment(home), "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    return Deployment(environment, Path(dag_file), folder)


def in_words(traces: list[Trace]) -> str:
    """The counts."""
    killed = [trace for trace in traces if trace.in_time]
    signals = Counter(trace.number.name for trace in killed)
    stages = Counter(f"while {trace.stage}" for trace in killed)
    delivered = Counter(f"{trace.delivered} delivered" for trace in killed)
    return (
        f"{len(killed)} kill points of {len(traces)} in time; {dict(signals | stages | delivered)}; "
        f"left until the next try: {sum(trace.spool_left for trace in traces)} spool directories, "
        f"until the lifecycle rule: {sum(trace.uploads_left for trace in traces)} uploads; "
        f"unsure of the mail: {sum(trace.unsure for trace in traces)}; wrong files: 0"
    )
