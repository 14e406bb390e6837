"""Local files and other clouds: one file goes to the address of an ``ObjectStoragePath``, whole or not at all.

Stores differ in what they can do. Each has a row here, and what a store cannot do is refused:

================ ================================= ========================== ===========================
scheme           how it becomes visible            how it is checked          ``if_exists``
================ ================================= ========================== ===========================
file             ``rename`` or ``link`` of a whole read back before it is     replace, fail, skip
                 file                              visible
s3               as `delivery.s3`                  by S3, before it is        replace, fail, skip
                                                   visible and after
gs, gcs          one upload; visible when it is    read back                  replace, fail, skip
                 complete                                                     (``ifGenerationMatch=0``)
abfs, abfss      one Put Blob, or Put Block List   read back                  replace, fail, skip
                                                                              (``If-None-Match: *``)
sftp, ssh        one rename of a whole file, see   read back before it is     replace
                 `delivery.sftp`                   visible
any other        the store's own move of a whole   read back before it is     replace
                 file from a name beginning with   visible
                 a dot
================ ================================= ========================== ===========================

"Read back" means that every byte is read and the SHA-256 is compared with the export's. An object in a cloud can be
read as soon as its upload is complete, so a reader can see it before it is checked. It is whole then, by the store's
rules. Do not use a zonal bucket of Google (Rapid Storage): its objects can be seen while they are written. Google keeps
the condition of an upload in parts (over 5 MiB) with the upload's session. Its emulator does not, so no test covers
that; it depends on what gcsfs sends.

Outside S3 nobody can tell whose file it is. The same bytes are taken for our own:

========= ===================================== ===============================
policy    other bytes are there                 the same bytes are there
========= ===================================== ===============================
replace   overwritten                           status ``UNCHANGED``
fail      `ObjectExistsError`                   status ``ALREADY_THERE``
skip      left alone, status ``SKIPPED``        status ``ALREADY_THERE``
========= ===================================== ===============================

Sources: https://cloud.google.com/storage/docs/request-preconditions,
https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations,
and the source of gcsfs and adlfs.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow_provider_callreport.connection import no_such_connection
from airflow_provider_callreport.delivery import sftp
from airflow_provider_callreport.delivery.body import verified_parts
from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
    ObjectExistsError,
    left_to_delivery,
)
from airflow_provider_callreport.delivery.local_file import (
    check_writable,
    holds,
    local_errors,
    remove_leftovers,
    write_file,
)
from airflow_provider_callreport.delivery.receipts import DeliveredFile, DeliveryStatus, Link, ListedFile
from airflow_provider_callreport.delivery.s3 import S3Destination, check_bucket, check_key, run_stamp
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity
from airflow_provider_callreport.rules import IfExists, choices, one_of, shown

log = logging.getLogger(__name__)

_LOCAL = "file"
_S3 = "s3"
_GOOGLE = ("gs", "gcs")
_AZURE = ("abfs", "abfss")
#: Stores whose address begins with a bucket or container.
_WITH_BUCKET = (_S3, *_GOOGLE, *_AZURE)
#: Where "only if nothing is there" can be kept.
_EXCLUSIVE = (_LOCAL, *_GOOGLE, *_AZURE)

#: What Airflow needs for a scheme.
_PROVIDERS = {
    **dict.fromkeys(_GOOGLE, "apache-airflow-providers-google"),
    **dict.fromkeys(_AZURE, "apache-airflow-providers-microsoft-azure[adlfs]"),
    **dict.fromkeys(
        ("sharepoint", "onedrive", "msgd", "msgraph"),
        "a recent apache-airflow-providers-microsoft-azure, with msgraphfs",
    ),
    **dict.fromkeys(sftp.SCHEMES, sftp.PROVIDER),
}

#: Older ones take the condition and do not send it.
_GCSFS_WITH_CONDITIONS = (2024, 12)

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_EXAMPLES = "file:///data/calls.csv, s3://bucket/calls.csv, gs://bucket/calls.csv or abfs://container/calls.csv"

_PIECE = 8 * 1024 * 1024

#: How often we look again at a file that appears and disappears.
_RACE_ATTEMPTS = 6

#: Errors of the libraries, by name because they are no dependencies, that say that nobody may sign in.
_CREDENTIALS = (
    "ClientAuthenticationError",
    "CredentialUnavailableError",
    "DefaultCredentialsError",
    "PermissionDenied",
    "RefreshError",
)
#: Errors of SFTP, likewise.
_DENIED = ("SFTPPermissionDenied", "SFTPWriteProtect")
_FULL = ("SFTPNoSpaceOnFilesystem", "SFTPQuotaExceeded")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a ``destination``.

    Attributes:
        scheme: such as ``"gs"``.
        container: the bucket, container or host; empty for a local file.
        key: what comes after it, without the slash between the two.
        conn_id: the connection that the address names before an ``@``, or None.
    """

    scheme: str
    container: str
    key: str
    conn_id: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is a file on the worker's machine."""
        return self.scheme == _LOCAL

    @property
    def is_s3(self) -> bool:
        """Whether `S3Destination` is what writes there."""
        return self.scheme == _S3


def parse_address(destination: Any) -> Address:
    """Take a ``destination`` apart.

    Args:
        destination: the address of a file, such as ``gs://bucket/calls.csv``.

    Raises:
        ValueError: it is not such an address; the sentence says what is allowed.
    """
    if not isinstance(destination, str) or not destination.strip():
        raise ValueError(f"destination is {destination!r}; allowed is the address of a file, such as {_EXAMPLES}")
    if not destination.isprintable():
        raise ValueError(f"destination is {destination!r}; allowed is an address without control characters")
    scheme, separator, rest = destination.partition("://")
    place, _, key = rest.partition("/")
    user, at, container = place.rpartition("@")
    if ":" in user:
        # It may be a password, so it is not shown.
        raise ValueError("destination has a user and a password before @; credentials belong to destination_conn_id")

    def wrong(allowed: str) -> ValueError:
        return ValueError(f"destination is {shown(destination)}; allowed is {allowed}")

    if not separator or not _SCHEME.fullmatch(scheme):
        raise wrong(f"an address that begins with a scheme in lower case, such as {_EXAMPLES}")
    if scheme in ("s3a", "s3n"):
        raise wrong(f"s3://{rest}")
    if scheme in ("http", "https"):
        raise wrong(f"an address such as {_EXAMPLES}, not a web address, which cannot be written to")
    if "?" in destination or "#" in destination:
        raise wrong("an address without ? and #")
    if at and container.endswith(".core.windows.net"):
        raise wrong(f"{scheme}://{user}/{key}; the account belongs to destination_conn_id")
    if scheme == _LOCAL and place:
        raise wrong(f"a local file with three slashes, as in file:///{place}/{key}")
    if scheme in _WITH_BUCKET and not container:
        raise wrong(f"an address with a bucket or container, as in {scheme}://bucket/calls.csv")
    if "[" in container or "]" in container:
        raise wrong("an address with [[ group ]] in the path only")
    if not key or key.endswith("/"):
        raise wrong('the address of a file, not of a folder ending in "/"')
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise wrong("an address without //, /./ and /../ in its path")
    return Address(scheme, container, key, user or None)


def destination_at(
    destination: Any,
    *,
    conn_id: str | None = None,
    if_exists: str = "replace",
    aws_conn_id: str | None = "aws_default",
    s3_extra_args: Mapping[str, Any] | None = None,
) -> S3Destination | ObjectStorageDestination:
    """What writes to an address: for ``s3://`` the same as for ``s3_bucket`` and ``s3_key``.

    Args:
        destination: the address.
        conn_id: the connection, or None for the one in the address, and then for the store's own way to find
            credentials.
        if_exists: ``"replace"``, ``"fail"`` or ``"skip"``.
        aws_conn_id: the connection for ``s3://`` when no other is named.
        s3_extra_args: as `S3Destination`, for ``s3://`` only.

    Raises:
        ValueError: the address is not valid, or the arguments do not fit together.
    """
    address = parse_address(destination)
    if conn_id is not None and address.conn_id is not None and conn_id != address.conn_id:
        raise ValueError(
            f"destination names the connection {address.conn_id!r} and destination_conn_id is {conn_id!r}; name one"
        )
    conn_id = conn_id or address.conn_id
    if address.is_s3:
        check_bucket("the bucket of destination", address.container)
        check_key("the key of destination", address.key)
        return S3Destination(
            address.container, address.key, conn_id or aws_conn_id, if_exists, extra_args=s3_extra_args or {}
        )
    if s3_extra_args:
        raise ValueError(f"s3_extra_args is set and destination begins with {address.scheme}://; it is for S3 only")
    if address.is_local and conn_id is not None:
        raise ValueError(f"destination_conn_id is {conn_id!r} and destination is a local file, which needs none")
    return ObjectStorageDestination(address.scheme, address.container, address.key, conn_id, if_exists)


@dataclass(frozen=True)
class ObjectStorageDestination:
    """One file's address outside S3.

    Attributes:
        scheme: ``"file"``, ``"gs"``, ``"abfs"`` or any that Airflow knows.
        container: the bucket, container or host; empty for a local file.
        key: what comes after it, without the slash between the two.
        conn_id: Airflow's connection; None leaves the search for credentials to the store's library.
        if_exists: ``"replace"`` (default), ``"fail"`` or ``"skip"``; see the module.
        file_system: an open connection, where Airflow does not keep one; see `connected`.

    Raises:
        ValueError: ``if_exists`` is not one of the three, or the store cannot keep it.
    """

    scheme: str
    container: str
    key: str
    conn_id: str | None = None
    if_exists: str = "replace"
    file_system: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        one_of(choices(IfExists))("if_exists", self.if_exists)
        if self.if_exists != "replace" and self.scheme not in _EXCLUSIVE:
            raise ValueError(
                f'if_exists is "{self.if_exists}" and destination begins with {self.scheme}://, where two writers '
                'could both win; allowed is "replace"'
            )

    @property
    def uri(self) -> str:
        """The address, without the connection."""
        return f"{self.scheme}://{self.container}/{self.key}"

    @property
    def tells_case_apart(self) -> bool:
        """Whether two keys that differ in case are certainly two files. A disk may be one that ignores case."""
        return self.scheme in (*_GOOGLE, *_AZURE)

    def deliver(
        self, file: ExportedFile, *, info: ReportInfo, outcome: ReportOutcome, run: RunIdentity
    ) -> DeliveredFile:
        """Write the file to the address.

        Args:
            file: the finished file.
            info: the report's description; not used, because only S3 has metadata for it.
            outcome: the report's proof; not used either.
            run: who delivers; the same for each try of a task instance.

        Returns:
            What was done: written, unchanged, already there, or skipped.

        Raises:
            ObjectExistsError: ``if_exists="fail"`` and another file is there.
            FileChangedError: the file is not the one that was hashed; nothing was written.
            DamagedUploadError: other bytes were read back.
            DestinationRefusedError: credentials, permission, bucket or path are wrong, or a provider is missing.
            DestinationUnavailableError: a full disk, no answer, a fault of the store, or races without an end.
        """
        target = self.connected()
        with target._place(run=run) as place:
            delivered = target._deliver(place, file)
        log.info(
            "%s: %s (%d rows, %d bytes, sha256 %s)", delivered.status, target.uri, file.rows, file.bytes, file.sha256
        )
        return delivered

    def link(self, file: ExportedFile, expires_in: timedelta | None = None) -> Link | None:
        """Say where the file is; None for a local file, because a reader of the mail cannot use its path.

        Args:
            file: the delivered file.
            expires_in: must be None: only S3 has addresses that work for a time.
        """
        if expires_in is not None:
            raise ValueError(f"link_expires_in is set and destination begins with {self.scheme}://; it is for S3 only")
        return None if self.scheme == _LOCAL else Link(self.uri, filename=file.filename)

    def check_before_reading(self, *, online: bool) -> ObjectStorageDestination:
        """Find what is certainly wrong before a report is read.

        Args:
            online: whether to log in over SFTP, and to ask Google for the bucket; without it, only connection and
                libraries are checked.

        Returns:
            The same: no connection is held while the report is read.

        Raises:
            DestinationRefusedError: no such connection, provider or bucket, a login that is refused, or a local
                directory that cannot be written to.
        """
        if self.scheme == _LOCAL:
            path = Path(f"/{self.key}")
            # What is there already may be all that is needed.
            if not (self.if_exists == "skip" and path.is_file()):
                with local_errors(self.uri, doing="write"):
                    check_writable(path)
            return self
        with left_to_delivery(), _storage_errors(self.uri, self.conn_id, doing="write"):
            if self.scheme in sftp.SCHEMES and self.conn_id is not None and not online:
                with self._missing_provider():
                    sftp.check_connection(self.conn_id)
                return self
            file_system, _ = self.store()
            if online and self.scheme in _GOOGLE:
                _ask_for_bucket(file_system, self.container)
        return self

    def connected(self) -> ObjectStorageDestination:
        """The same with an open connection, where Airflow does not keep one for all files; and with the host's name.

        Raises:
            DeliveryError: the connection is missing, or the server cannot be reached or is not believed.
        """
        if self.scheme not in sftp.SCHEMES or self.file_system is not None:
            return self
        if self.conn_id is None:
            raise DestinationRefusedError(
                f"Could not write {self.uri}: {self.scheme}:// needs a connection; name it in destination_conn_id, or "
                f"write {self.scheme}://conn_id@/{self.key}."
            )
        with _storage_errors(self.uri, self.conn_id, doing="write"), self._missing_provider():
            file_system, host = sftp.open_file_system(self.scheme, self.conn_id)
        if self.container not in ("", host, host.partition(":")[0]):
            raise DestinationRefusedError(
                f"Could not write {self.uri}: the host of connection {self.conn_id!r} is {host}; name it, or no host."
            )
        return replace(self, container=host, file_system=file_system)

    def read(self, most: int) -> bytes | None:
        """The bytes at the address; None when nothing is there, or more than ``most`` bytes.

        Raises:
            DeliveryError: the store does not answer.
        """
        with self._place(doing="read") as place:
            return place.read(most)

    def is_taken(self, file: ExportedFile, run: RunIdentity) -> bool:
        """Whether another file is at the address.

        Args:
            file: the file that is to be there.
            run: not used: nobody knows who wrote a file.

        Raises:
            DeliveryError: the store does not answer.
        """
        with self._place(doing="read") as place:
            return place.holds(file.bytes, file.sha256) is False

    def remove(self, listed: Collection[ListedFile], info: ReportInfo, run: RunIdentity) -> str:
        """Remove the file, if it has bytes that were listed.

        Args:
            listed: what may be at the address.
            info: not used: a file does not say which report it is.
            run: not used: nobody knows who wrote a file.

        Returns:
            Why it was not removed; empty when it is gone.
        """
        try:
            with self._place(doing="remove") as place:
                for one in listed:
                    held = place.holds(one.bytes, one.sha256)
                    if held:
                        place.remove()
                    if held is not False:
                        return ""
        except DeliveryError as error:
            return str(error)
        return "it is not the file that was listed: something else was written there since"

    @contextmanager
    def _place(self, *, doing: str = "write", run: RunIdentity | None = None) -> Iterator[_LocalFile | _StoredObject]:
        if self.scheme == _LOCAL:
            with local_errors(self.uri, doing=doing):
                yield _LocalFile(Path(f"/{self.key}"))
        else:
            with _storage_errors(self.uri, self.conn_id, doing=doing):
                yield _StoredObject(self, run)

    def store(self) -> tuple[Any, str]:
        """Fsspec's file system, and the file's path in it.

        Raises:
            DestinationRefusedError: Airflow has no file system for the scheme, or its library is not installed.
        """
        if self.scheme in sftp.SCHEMES:
            return self.connected().file_system, f"/{self.key}"
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        with self._missing_provider():
            path = ObjectStoragePath(self.uri, conn_id=self.conn_id)
            # Made when it is asked for, and this is what asks.
            return path.fs, path.path

    @contextmanager
    def _missing_provider(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, ImportError) as error:
            if isinstance(error, ValueError) and type(error) is not ValueError:
                # A library's own, such as that of a key that cannot be read.
                raise
            provider = _PROVIDERS.get(self.scheme, "the Airflow provider that has it")
            raise DestinationRefusedError(
                f"Could not write {self.uri}: there is no file system for {self.scheme}:// ({type(error).__name__}); "
                f"install {provider}."
            ) from error

    def _deliver(self, place: _LocalFile | _StoredObject, file: ExportedFile) -> DeliveredFile:
        exclusive = self.if_exists != "replace"
        for _ in range(_RACE_ATTEMPTS):
            found = place.holds(file.bytes, file.sha256)
            if found is True:
                return DeliveredFile(
                    self.uri, DeliveryStatus.ALREADY_THERE if exclusive else DeliveryStatus.UNCHANGED, file
                )
            if found is False and exclusive:
                return self._leave_alone(file)
            try:
                place.write(file, exclusive=exclusive)
            except FileExistsError as error:
                if not exclusive:
                    raise DestinationRefusedError(
                        f"Could not write {self.uri}: the store does not replace what is there; remove it first."
                    ) from error
                continue
            return DeliveredFile(self.uri, DeliveryStatus.WRITTEN, file)
        raise DestinationUnavailableError(
            f"Could not write {self.uri}: others kept writing and removing it, {_RACE_ATTEMPTS} times in a row."
        )

    def _leave_alone(self, file: ExportedFile) -> DeliveredFile:
        if self.if_exists == "skip":
            return DeliveredFile(self.uri, DeliveryStatus.SKIPPED, file)
        raise ObjectExistsError(
            f'{self.uri} exists already and is another file; if_exists="fail" leaves it as it is '
            f'(allowed are "replace", "fail", "skip").'
        )


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """A file on the worker's machine."""

    path: Path

    def holds(self, size: int, sha256: str) -> bool | None:
        # Also when nothing will be written.
        remove_leftovers(self.path.parent)
        return holds(self.path, size, sha256)

    def read(self, most: int) -> bytes | None:
        try:
            with self.path.open("rb") as file:
                content = file.read(most + 1)
        except FileNotFoundError:
            return None
        return content if len(content) <= most else None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def write(self, file: ExportedFile, *, exclusive: bool) -> None:
        write_file(self.path, file, exclusive=exclusive)


class _StoredObject:
    """An object in a store that fsspec knows."""

    def __init__(self, destination: ObjectStorageDestination, run: RunIdentity | None) -> None:
        self._fs, self._path = destination.store()
        self._scheme = destination.scheme
        self._uri = destination.uri
        folder, slash, _ = self._path.rpartition("/")
        # The same for each try of a run, so that the next one overwrites what a killed one has left.
        stamp = run_stamp(run)[:16] if run is not None else ""
        self._temporary = f"{folder}{slash}.callreport-{stamp}.tmp"

    def holds(self, size: int, sha256: str) -> bool | None:
        """True when these bytes are there already, False when something else is, None when nothing is."""
        self._fs.invalidate_cache(self._path)
        try:
            found = self._fs.info(self._path)
            if found.get("type") != "file":
                return None
            return found.get("size") == size and self._sha256(self._path) == sha256
        except FileNotFoundError:
            return None

    def read(self, most: int) -> bytes | None:
        """All bytes; None when nothing is there, or more than ``most``."""
        self._fs.invalidate_cache(self._path)
        try:
            with self._fs.open(self._path, "rb") as content:
                found: bytes = content.read(most + 1)
        except FileNotFoundError:
            return None
        return found if len(found) <= most else None

    def remove(self) -> None:
        """Remove what is there."""
        self._fs.rm_file(self._path)

    def write(self, file: ExportedFile, *, exclusive: bool) -> None:
        """Write the file, and read it back.

        Raises:
            FileExistsError: ``exclusive``, and an object exists already.
        """
        for _ in verified_parts(file, _PIECE):
            # The library reads the file itself, and what it sends is visible: so the file is checked first.
            pass
        if self._scheme in (*_GOOGLE, *_AZURE):
            arguments = _google if self._scheme in _GOOGLE else _azure
            self._fs.put_file(str(file.path), self._path, **arguments(file, self._uri, exclusive=exclusive))
            self._check(self._path, file, "it is not to be used, unless another run has just written it")
            return
        folder = self._path.rpartition("/")[0]
        if folder:
            self._fs.makedirs(folder, exist_ok=True)
        try:
            self._fs.put_file(str(file.path), self._temporary)
            self._check(self._temporary, file, "nothing was written")
            if self._scheme in sftp.SCHEMES:
                sftp.rename(self._fs, self._temporary, self._path)
            else:
                self._fs.mv(self._temporary, self._path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(self._temporary)
            raise

    def _check(self, path: str, file: ExportedFile, after: str) -> None:
        self._fs.invalidate_cache(path)
        if self._sha256(path) != file.sha256:
            raise DamagedUploadError(f"Other bytes were read back than were sent to {self._uri}; {after}.")

    def _sha256(self, path: str) -> str:
        digest = hashlib.sha256()
        with self._fs.open(path, "rb") as content:
            while piece := content.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()


def _ask_for_bucket(file_system: Any, bucket: str) -> None:
    """Ask Google for a bucket, with gcsfs; its ``info`` takes an empty bucket for a missing one.

    Raises:
        FileNotFoundError: there is no such bucket.
    """
    try:
        file_system.call("GET", f"b/{bucket}")
    except OSError as error:
        # HTTP 403: storage.buckets.get, which nobody needs to write an object.
        if not str(error).startswith("Forbidden"):
            raise
        log.info("Google does not tell whether the bucket %s exists (HTTP 403); the delivery will.", bucket)


def _google(file: ExportedFile, uri: str, *, exclusive: bool) -> dict[str, Any]:
    """Arguments of gcsfs."""
    arguments = {"content_type": file.content_type, "chunksize": _PIECE}
    if not exclusive:
        return arguments
    from importlib.metadata import version

    found = version("gcsfs")
    if tuple(int(part) for part in found.split(".")[:2]) < _GCSFS_WITH_CONDITIONS:
        raise DestinationRefusedError(
            f"Could not write {uri}: gcsfs {found} cannot write only where no object exists; install gcsfs "
            '2024.12.0 or newer, or set if_exists="replace".'
        )
    return {**arguments, "mode": "create"}


def _azure(file: ExportedFile, uri: str, *, exclusive: bool) -> dict[str, Any]:
    """Arguments of adlfs."""
    from importlib import import_module

    # By name, because it is no dependency.
    settings = import_module("azure.storage.blob").ContentSettings(content_type=file.content_type)
    return {"content_settings": settings, "overwrite": not exclusive}


@contextmanager
def _storage_errors(uri: str, conn_id: str | None, *, doing: str) -> Iterator[None]:
    """Turn what the store's library raises into a `DeliveryError` that names the address and what to do.

    The sentence leaves out the library's own words, because nobody knows what they hold. The chained exception has
    them.
    """
    try:
        yield
    except (DeliveryError, FileExistsError):
        raise
    except Exception as error:
        if conn_id and type(error).__name__ == "AirflowNotFoundException":
            kind = "SFTP" if uri.startswith(tuple(f"{scheme}:" for scheme in sftp.SCHEMES)) else ""
            absent = no_such_connection(conn_id, "destination_conn_id", kind)
            raise DestinationRefusedError(f"Could not {doing} {uri}: {absent}.") from error
        credentials = f'connection "{conn_id}"' if conn_id else "the store's default credentials"
        raise _delivery_error(error, f"Could not {doing} {uri}", credentials) from error


def _delivery_error(error: Exception, failed: str, credentials: str) -> DeliveryError:
    kind = type(error).__name__
    if kind == "HostKeyNotVerifiable":
        return DestinationRefusedError(
            f"{failed}: the server's host key is not known, or is not the one that is known, so that it may be another "
            f"server. Ask who runs it for the key, and put it into host_key in the extra of {credentials}, or into "
            f"~/.ssh/known_hosts of the worker ({kind})."
        )
    if kind in _FULL:
        return DestinationUnavailableError(f"{failed}: the disk, or the quota on it, is full ({kind}).")
    status = next((n for name in ("status_code", "status", "code") if isinstance(n := getattr(error, name, 0), int)), 0)
    # gcsfs makes an OSError with these words of HTTP 403.
    if kind in _CREDENTIALS or type(error.__cause__).__name__ in _CREDENTIALS or status == 401:
        return DestinationRefusedError(f"{failed}: nobody can sign in with {credentials} ({kind}).")
    if isinstance(error, PermissionError) or kind in _DENIED or status == 403 or str(error).startswith("Forbidden"):
        return DestinationRefusedError(f"{failed}: access is denied; grant it to {credentials} ({kind}).")
    if isinstance(error, FileNotFoundError) or status == 404:
        return DestinationRefusedError(
            f"{failed}: its bucket or container does not exist; create it or correct destination ({kind})."
        )
    if isinstance(error, ValueError | TypeError | NotImplementedError | ImportError) or (
        400 <= status < 500 and status not in (408, 429)
    ):
        return DestinationRefusedError(f"{failed}: the store or its library does not take it ({kind}).")
    return DestinationUnavailableError(
        f"{failed}: the store could not be reached or has a fault ({kind}); check the network and {credentials}."
    )
