"""One page is fetched ahead and no more; the file lies in a private directory that does not stay (K3, D1)."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_callreport.prefetch import fetched_ahead
from airflow_provider_callreport.spool import spool_directory


def _wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def _fetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "callreport-fetch"]


@pytest.mark.parametrize("number", [0, 1, 2, 50])
def test_everything_comes_in_order(number: int) -> None:
    """K3: the thread changes nothing of what comes."""
    assert list(fetched_ahead(iter(range(number)))) == list(range(number))
    assert _wait_for(lambda: not _fetching())


def test_at_most_a_page_and_the_next_are_ahead() -> None:
    """K1: a slow writer does not pile up pages: one waits, one is in the hand of the fetching thread."""
    fetched: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            fetched.append(number)
            yield number

    with closing(fetched_ahead(source())) as items:
        for number in items:
            ahead = min(number + 3, 20)
            assert _wait_for(lambda ahead=ahead: len(fetched) >= ahead), "the next pages come meanwhile"  # type: ignore[misc]
            time.sleep(0.002)
            assert len(fetched) <= number + 3
    assert fetched == list(range(20))


def test_fetching_overlaps_writing() -> None:
    """K3: ten pages of 50 ms to fetch and 50 ms to write take little more than half a second, not a whole one."""

    def source() -> Iterator[int]:
        for number in range(10):
            time.sleep(0.05)
            yield number

    began = time.monotonic()
    for _ in fetched_ahead(source()):
        time.sleep(0.05)
    assert time.monotonic() - began < 0.85


class Odd(BaseException):
    """Derives from no Exception, as Airflow's signals do not."""


@pytest.mark.parametrize("kind", [ValueError, Odd])
def test_an_error_comes_after_what_came_before_it(kind: type[BaseException]) -> None:
    """C1: an error of a later page is raised where the pages are read, whatever its kind; none is swallowed."""

    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise kind("page 3")

    items = fetched_ahead(source())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(kind, match="page 3"):
        next(items)


def test_an_error_while_the_source_is_closed_does_not_hang() -> None:
    """C1: the consumer is told, and not left to wait."""

    class Source(Iterator[int]):
        def __next__(self) -> int:
            raise StopIteration

        def close(self) -> None:
            raise OSError("closing")

    with pytest.raises(OSError, match="closing"):
        list(fetched_ahead(Source()))


def test_a_consumer_that_stops_ends_the_thread_and_closes_the_source() -> None:
    """P1: after an error of the writer, or a killed task, nobody goes on asking for pages."""
    closed, fetched = threading.Event(), []

    def source() -> Iterator[int]:
        try:
            for number in range(1_000_000):
                fetched.append(number)
                yield number
        finally:
            closed.set()

    items = fetched_ahead(source())
    next(items)
    items.close()
    assert closed.wait(5)
    assert _wait_for(lambda: not _fetching())
    assert len(fetched) < 5


def test_the_thread_sees_the_context_of_the_task() -> None:
    """P1: Airflow finds the task's log and its secrets masker through context variables."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("task")
    variable.set("mine")
    assert list(fetched_ahead(variable.get() for _ in range(1))) == ["mine"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_spool_is_private_and_goes(temporary: Path) -> None:
    """P1: mode 0700 from the first moment, removed on success with whatever is in it."""
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
    """P1: an exception of any kind, SIGTERM's in Airflow included, leaves nothing behind."""
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
    """D1: after SIGKILL nothing is left once the next run begins; a live run keeps its own directory."""
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
    """D1: two exports may run in one process."""
    with spool_directory() as one:
        with spool_directory() as other:
            assert one.exists()
        assert one.exists()
        assert not other.exists()


def test_other_directories_are_left_alone(temporary: Path) -> None:
    """D1: only what a spool made is removed: not a link, not a file, not somebody's directory with a similar name."""
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
