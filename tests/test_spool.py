"""The file lies in a private directory that does not stay (all-or-nothing, no-leak)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from support.delivery import INFO
from support.disk import small_disk

from airflow_provider_callreport.export.sinks import FilePlan, FileSink, GroupedFiles, SingleFile, SplitFile
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import Column, ReportOutcome
from airflow_provider_callreport.spool import SpoolFullError, spool_directory


class Odd(BaseException):
    """Derives from no Exception, as Airflow's signals do not."""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_spool_is_private_and_goes(temporary: Path) -> None:
    """no-leak: mode 0700 from the first moment, removed on success with whatever is in it."""
    old = os.umask(0)
    try:
        with spool_directory() as path:
            assert path.parent == temporary
            assert path.stat().st_mode & 0o777 == 0o700
            (path / "deep").mkdir()
            (path / "deep" / "file").write_text("x")
    finally:
        os.umask(old)
    assert list(temporary.iterdir()) == []


def _fail_while_spooling(kind: type[BaseException]) -> None:
    with spool_directory() as path:
        (path / "file").write_text("x")
        raise kind


@pytest.mark.parametrize("kind", [ValueError, Odd, KeyboardInterrupt])
def test_the_spool_goes_on_failure(temporary: Path, kind: type[BaseException]) -> None:
    """no-leak: an exception of any kind, SIGTERM's in Airflow included, leaves nothing behind."""
    with pytest.raises(kind):
        _fail_while_spooling(kind)
    assert list(temporary.iterdir()) == []


_KILLED = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from airflow_provider_callreport.spool import spool_directory
with spool_directory() as path:
    (path / "file").write_text("919876543210")
    print(path.name, flush=True)
    time.sleep(60)
"""


def _start_spooling(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_KILLED), str(temporary)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, temporary / process.stdout.readline().strip()


def test_the_next_run_removes_what_a_killed_one_left(temporary: Path) -> None:
    """all-or-nothing: after SIGKILL nothing is left once the next run begins; a live run keeps its own directory."""
    killed, orphan = _start_spooling(temporary)
    alive, kept = _start_spooling(temporary)
    with killed, alive:
        assert (orphan / "file").exists(), "a new run leaves the directories of live ones alone"
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (orphan / "file").exists()
        with spool_directory() as path:
            assert sorted(temporary.iterdir()) == sorted([kept, path])
            assert (kept / "file").exists()
        alive.send_signal(signal.SIGKILL)
    with spool_directory() as path:
        assert list(temporary.iterdir()) == [path]


def test_directories_of_one_process_leave_each_other_alone(temporary: Path) -> None:
    """all-or-nothing: two exports may run in one process."""
    with spool_directory() as one:
        with spool_directory() as other:
            assert one.exists()
        assert one.exists()
        assert not other.exists()


def test_other_directories_are_left_alone(temporary: Path) -> None:
    """all-or-nothing: only what a spool made is removed: not a link, not a file, not somebody's directory with a
    similar name.
    """
    target = temporary / "target"
    target.mkdir()
    (target / "file").write_text("x")
    (temporary / "airflow-callreport-spool-link").symlink_to(target)
    (temporary / "airflow-callreport-spool-file").write_text("x")
    (temporary / "callreport-notes").mkdir()
    (temporary / ".airflow-callreport-spool-young").mkdir()
    old = temporary / ".airflow-callreport-spool-old"
    old.mkdir()
    os.utime(old, (1, 1))
    before = set(temporary.iterdir())
    with spool_directory():
        pass
    assert set(temporary.iterdir()) == before - {old}
    assert (target / "file").exists()


def _sink(kind: str, directory: Path) -> FileSink:
    """What writes a file of one format, a file per group, or parts."""
    name, _, how = kind.partition(" ")
    file_format = FORMATS[name]
    columns = [Column("Caller Number"), Column("Campaign")]
    options = {"gzip": True} if how == "gzip" else {}
    plan = FilePlan(directory, columns, INFO, file_format, file_format.check_options(options), "calls-[[ group ]]")
    if how == "groups":
        return GroupedFiles(plan, "Campaign")
    return SplitFile(plan, 1000) if how == "parts" else SingleFile(plan)


def _fill(kind: str) -> None:
    """Write a file of 20,000 calls, as an export does."""
    chance = random.Random(3)
    with spool_directory() as directory:
        sink = _sink(kind, directory)
        try:
            for _ in range(40):
                sink.write([(chance.randbytes(8).hex(), f"Campaign {chance.randrange(5)}") for _ in range(500)])
            sink.close(ReportOutcome(20_000, 20_000, True, "Complete."))
        except BaseException:
            sink.abort()
            raise


@pytest.mark.parametrize(
    "kind", ["csv", "csv gzip", "jsonl", "parquet", "xlsx", "pdf", "csv groups", "xlsx groups", "pdf parts"]
)
def test_a_full_disk_is_one_sentence(temporary: Path, kind: str) -> None:
    """all-or-nothing: whichever write meets it, the task says which disk, and may be tried again."""
    with small_disk(temporary, kilobytes=200):
        with pytest.raises(SpoolFullError, match="disk of the worker's temporary directory") as caught:
            _fill(kind)
        assert f"{temporary} is full (ENOSPC)" in str(caught.value)
        assert caught.value.retryable
        assert list(temporary.iterdir()) == []


def test_a_disk_on_which_not_even_the_directory_fits_is_one_sentence(temporary: Path) -> None:
    """all-or-nothing: the disk holds no further file, whatever its size."""
    with small_disk(temporary, kilobytes=64, files=2):
        (temporary / "full").mkdir()
        with pytest.raises(SpoolFullError, match="is full"), spool_directory():
            pass
