"""The private directory in which a file is made before anybody may see it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "callreport-"


@contextmanager
def spool_directory() -> Iterator[Path]:
    """A new directory with mode 0700, removed on success, failure and a task's ``SIGTERM``.

    A process that was killed outright cannot clean up; so each new spool removes those of processes that are gone.
    """
    root = Path(tempfile.gettempdir())
    _remove_orphans(root)
    path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _remove_orphans(root: Path) -> None:
    for path in root.glob(f"{_PREFIX}*-*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.name.removeprefix(_PREFIX).split("-", 1)[0])
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid() and not _is_alive(pid):
                shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
