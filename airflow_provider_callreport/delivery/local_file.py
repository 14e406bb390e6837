"""A file on the worker's machine: it appears under its name when it is whole, or not at all.

The bytes go to a temporary file beside it. They are flushed to the disk, read back and compared with the export's
SHA-256. Then one system call gives the file its name: ``rename`` where the name may be taken, ``link`` where it must be
free. The kernel refuses ``link`` when anything has the name, so of any number of writers exactly one wins.

A process that is killed leaves its temporary file behind; its name begins with a dot. The next delivery to the same
directory removes it (`remove_leftovers`). A temporary file is in use while its writer holds a lock on it, as in a spool
directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_callreport.delivery.body import verified_parts
from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
)
from airflow_provider_callreport.report import ExportedFile

_PREFIX, _SUFFIX = ".callreport-", ".tmp"

_PIECE = 1024 * 1024

#: Errors that another try does not cure, and what to do.
_REFUSED = {
    errno.EACCES: "permission is denied; let the user that runs the worker write into the directory",
    errno.EPERM: "permission is denied; let the user that runs the worker write into the directory",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of its path is a file and no directory",
    errno.EISDIR: "there is a directory of that name",
    errno.ENAMETOOLONG: "a name in its path is too long for the file system",
    errno.EINVAL: "a name in its path has a character that the file system does not take",
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.EFBIG: "the file is larger than the file system, or the limit of the worker's process, allows",
}

_UNAVAILABLE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
}

#: How ``link`` says that the file system has no hard links.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def write_file(path: Path, file: ExportedFile, *, exclusive: bool) -> None:
    """Write the file to a path, and make missing directories.

    A file that is replaced hands on its mode and, where the worker may set it, its group; a new one has the mode that
    the worker's umask gives. A symbolic link at the path is replaced, not followed; one in the directories is followed.

    Args:
        path: absolute.
        file: the finished file.
        exclusive: whether the name must be free.

    Raises:
        FileExistsError: ``exclusive``, and something has the name.
        FileChangedError: the file is not the one that was hashed; the path is as it was.
        DamagedUploadError: the bytes that were read back are not those that were written; the path is as it was.
        DestinationRefusedError: the path is a device or the like, or the file system has no hard links and
            ``exclusive`` cannot be kept.
        OSError: see `local_errors`.
    """
    _make_directory(path.parent)
    with _temporary_file(path.parent) as (temporary, descriptor):
        if not exclusive:
            _take_over(path, descriptor)
        _write(file, descriptor, path)
        if exclusive:
            _link(temporary, path)
        else:
            temporary.replace(path)
    _sync(path.parent)


def check_writable(path: Path) -> None:
    """Check that a file can be made at a path, as far as its nearest existing directory tells.

    Args:
        path: absolute; missing directories are made when it is written.

    Raises:
        OSError: see `local_errors`.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is no directory")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, "is read-only")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, "may not be written to")


def holds(path: Path, size: int, sha256: str) -> bool | None:
    """True when these bytes are at the path already, False when something else is, None when nothing is.

    Args:
        path: absolute.
        size: how many they are.
        sha256: their SHA-256, lower-case hex.

    Raises:
        OSError: see `local_errors`.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        return False
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return None
    except PermissionError:
        # What the worker may not read is not what it wrote.
        return False


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files whose writers are gone; those of writers at work stay."""
    for path in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


@contextmanager
def local_errors(uri: str, *, doing: str = "write") -> Iterator[None]:
    """Turn an ``OSError`` into a `DeliveryError` that names the file and what to do.

    Args:
        uri: ``file:///path``, for the message.
        doing: what is done with it: ``"write"``, ``"read"`` or ``"remove"``.

    Raises:
        DeliveryError: in place of it; `FileExistsError` and all else passes.
    """
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise _delivery_error(error, f"Could not {doing} {uri}") from error


def _delivery_error(error: OSError, failed: str) -> DeliveryError:
    number = error.errno or 0
    said = f"The system says {errno.errorcode.get(number, type(error).__name__)}."
    if number in _REFUSED:
        return DestinationRefusedError(f"{failed}: {_REFUSED[number]}. {said}")
    why = _UNAVAILABLE.get(number, "the file system has a fault or is not reachable")
    return DestinationUnavailableError(f"{failed}: {why}. {said}")


def _make_directory(directory: Path) -> None:
    """Make a directory and its parents; each is on the disk before anything is written into it."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    try:
        directory.mkdir(exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory)) from None
    _sync(directory.parent)


@contextmanager
def _temporary_file(directory: Path) -> Iterator[tuple[Path, int]]:
    """A new locked file in the directory, and a descriptor of it. Its temporary name is removed at the end."""
    # The name is known before there is a file: a signal's exception can come at any moment.
    path, descriptor = directory / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}", None
    try:
        while descriptor is None:
            descriptor = _locked(path)
        yield path, descriptor
    finally:
        # If it cannot be removed now, the next writer does it.
        with contextlib.suppress(OSError):
            path.unlink()
        if descriptor is not None:
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Make the file and lock it; None when somebody took it for an orphan before it was locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    # A file system without locks: then nobody else can lock and remove it, either.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if path.exists():
        return descriptor
    os.close(descriptor)
    return None


def _take_over(path: Path, descriptor: int) -> None:
    """Give the new file the mode and group of the old one, so that a replacement does not open it to others."""
    try:
        old = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(old.st_mode):
        return
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(old.st_mode):
        raise DestinationRefusedError(
            f"Could not write file://{path}: it is a device, a pipe or a socket, and these are not replaced."
        )
    if old.st_gid != os.fstat(descriptor).st_gid:
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, -1, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)


def _write(file: ExportedFile, descriptor: int, path: Path) -> None:
    """Write the bytes, bring them to the disk, and read them back."""
    with os.fdopen(descriptor, "r+b", closefd=False) as target:
        for part in verified_parts(file, _PIECE):
            target.write(part)
        target.flush()
        os.fsync(descriptor)
        target.seek(0)
        if hashlib.file_digest(target, "sha256").hexdigest() != file.sha256:
            raise DamagedUploadError(
                f"Other bytes were read back than were written for file://{path}; the file was not made."
            )


def _link(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise DestinationRefusedError(
            f'Could not write file://{path}: its file system has no hard links, so that if_exists="fail" and "skip" '
            f'cannot be kept; allowed is "replace".'
        ) from error


def _sync(directory: Path) -> None:
    """Flush a directory's names to the disk; some file systems cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
