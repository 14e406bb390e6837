"""The private directory, and the private files in it, in which a report is made before anybody may see it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_callreport.errors import CallReportError

_PREFIX = "airflow-callreport-spool-"
#: A directory is called so until it is locked. One that stays so is empty: its process was killed at that moment.
_UNLOCKED_PREFIX = ".airflow-callreport-spool-"
_UNLOCKED_SECONDS = 60.0


class SpoolFullError(CallReportError):
    """The disk that reports are made on is full. Others may free space before the next try."""

    retryable = True


@contextmanager
def spool_directory() -> Iterator[Path]:
    """A new directory with mode 0700, removed on success, failure and a task's ``SIGTERM``.

    A process that was killed outright cannot clean up; so each new spool removes those that nobody uses any more. A
    directory is in use while its owner holds a lock on it, which the kernel takes away with the process. A process id
    in its name would not do: containers that share a temporary directory do not see each other's processes, and give
    the same ids to others after a restart.

    Raises:
        SpoolFullError: the disk is full, or the user's quota of it, when the directory or a file in it is written.
    """
    root = Path(tempfile.gettempdir())
    _remove_orphans(root)
    name = secrets.token_hex(8)
    new, path = root / f"{_UNLOCKED_PREFIX}{name}", root / f"{_PREFIX}{name}"
    lock = None
    try:
        # Not tempfile.mkdtemp: a signal's exception in it would leave a directory whose name nobody knows.
        new.mkdir(mode=0o700)
        lock = _locked(new)
        new.rename(path)
        yield path
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SpoolFullError(
            f"The disk of the worker's temporary directory {root} is full ({errno.errorcode[error.errno]}), so the "
            "file could not be made. Free space there, or set TMPDIR in the worker's environment to a directory of a "
            "larger disk."
        ) from error
    finally:
        _remove(new, path)
        if lock is not None:
            os.close(lock)


def private_file(path: Path) -> Path:
    """Make an empty file that its owner alone may read and write (mode 0600), whatever the umask.

    A writer that opens it afterwards keeps the mode. The directory is closed to others already; this is for the day
    when somebody copies or moves a file out of it.

    Args:
        path: in a spool directory; a file that is there is emptied.

    Returns:
        The same path.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    return path


def _remove(*paths: Path) -> None:
    """Remove the directories that are there, to the end: a signal's exception that comes meanwhile has to wait."""
    try:
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)
    except BaseException:
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)
        raise


def _remove_orphans(root: Path) -> None:
    for path in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = _locked(path) if path.lstat().st_uid == os.getuid() else None
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)
    for path in root.glob(f"{_UNLOCKED_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > _UNLOCKED_SECONDS:
                path.rmdir()


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock on a directory, or None when another process holds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
