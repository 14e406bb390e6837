"""A disk that is small, for tests of what happens when it is full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, kilobytes: int, files: int = 1000) -> Iterator[None]:
    """A disk in place of a directory; the test is skipped where this user may not mount one.

    Args:
        folder: the directory.
        kilobytes: size of the disk.
        files: how many files and directories it holds.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,nr_inodes={files}", "tmpfs", str(folder)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
