"""A report goes to an SFTP server: whole, by an own rename, and to no server that is not known."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow.providers.sftp.fs.sftp")
pytest.importorskip("sshfs")

from support.delivery import INFO, OTHER_RUN, OUTCOME, RUN, exported
from support.sftp import PASSWORD, SftpServer, asyncssh, sftp_server

from airflow_provider_callreport.assets import read_index
from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
)
from airflow_provider_callreport.delivery.object_storage import destination_at
from airflow_provider_callreport.delivery.receipts import DeliveredFile, DeliveryStatus, Link
from airflow_provider_callreport.export.file_set import FileSet, deliver_set
from airflow_provider_callreport.report import RunIdentity

SMALL = b"Caller Number,Time\r\n" * 50
LARGE = random.Random(7).randbytes(3 * 1024 * 1024 + 4_321)

CONN = "AIRFLOW_CONN_SFTP_REPORTS"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpServer]:
    """A server, and the connection ``sftp_reports`` to it with its host key; the worker knows no other hosts."""
    folder = tmp_path / "server"
    folder.mkdir()
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    with sftp_server(folder) as started:
        monkeypatch.setenv(CONN, started.connection(host_key=started.host_key))
        yield started


def deliver(
    folder: Path, content: bytes, address: str = "sftp://sftp_reports@/dt=2026-03-13/calls.csv", run: RunIdentity = RUN
) -> DeliveredFile:
    """Deliver to the server."""
    place = destination_at(address)
    return place.deliver(exported(folder, content), info=INFO, outcome=OUTCOME, run=run)


def files(folder: Path) -> dict[str, bytes]:
    """All files below a directory."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_a_file_arrives_with_its_bytes_and_nothing_beside_it(
    server: SftpServer, tmp_path: Path, content: bytes
) -> None:
    """stored-bytes: directories are made, the bytes are read back, and the address says which server it is."""
    done = deliver(tmp_path, content)
    assert files(server.folder) == {"dt=2026-03-13/calls.csv": content}
    assert done.status is DeliveryStatus.WRITTEN
    assert done.uri == f"sftp://127.0.0.1:{server.port}/dt=2026-03-13/calls.csv"
    assert deliver(tmp_path, content, run=OTHER_RUN).status is DeliveryStatus.UNCHANGED
    assert deliver(tmp_path, content + b"more").status is DeliveryStatus.WRITTEN
    assert files(server.folder) == {"dt=2026-03-13/calls.csv": content + b"more"}


@pytest.mark.parametrize(
    "address",
    ["sftp://sftp_reports@/calls.csv", "ssh://sftp_reports@/calls.csv", "sftp://sftp_reports@127.0.0.1/calls.csv"],
)
def test_every_form_of_the_address_works(server: SftpServer, tmp_path: Path, address: str) -> None:
    """clear-sentence: as Airflow's ObjectStoragePath has it, with the host or without."""
    assert deliver(tmp_path, SMALL, address).status is DeliveryStatus.WRITTEN
    assert files(server.folder) == {"calls.csv": SMALL}


def test_an_unknown_host_key_is_one_sentence_and_no_password_is_sent(
    server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safe-transport: without a key in the connection or in known_hosts nobody knows whose server it is."""
    monkeypatch.setenv(CONN, server.connection())
    with pytest.raises(DestinationRefusedError) as caught:
        deliver(tmp_path, SMALL)
    assert "the server's host key is not known, or is not the one that is known" in str(caught.value)
    assert 'put it into host_key in the extra of connection "sftp_reports"' in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert server.passwords == []
    assert files(server.folder) == {}


def test_another_servers_key_is_refused(server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safe-transport: a server in the middle has a key, too; only, another."""
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    monkeypatch.setenv(CONN, server.connection(host_key=other, no_host_key_check="true"))
    with pytest.raises(DestinationRefusedError, match="is not the one that is known"):
        deliver(tmp_path, SMALL)
    assert server.passwords == []


def test_a_key_in_known_hosts_is_believed(server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safe-transport: as for the `sftp` command on the worker."""
    monkeypatch.setenv(CONN, server.connection())
    (tmp_path / "home" / ".ssh" / "known_hosts").write_text(server.known_hosts())
    assert deliver(tmp_path, SMALL).status is DeliveryStatus.WRITTEN


def test_the_check_can_be_switched_off_and_the_log_says_so(
    server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """safe-transport: by the name that Airflow's SSH connection has for it."""
    monkeypatch.setenv(CONN, server.connection(no_host_key_check="true"))
    assert deliver(tmp_path, SMALL).status is DeliveryStatus.WRITTEN
    assert "The host key of 127.0.0.1 is not checked, because connection 'sftp_reports' has no_host_key_check" in (
        caplog.text
    )


def test_what_is_wrong_with_the_connection_is_one_sentence(
    server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """clear-sentence: a wrong password, another host, no connection, nobody there."""
    monkeypatch.setenv(CONN, server.connection(password="wrong", host_key=server.host_key))
    with pytest.raises(DestinationRefusedError, match='nobody can sign in with connection "sftp_reports"'):
        deliver(tmp_path, SMALL)
    monkeypatch.setenv(CONN, server.connection(host_key=server.host_key))
    with pytest.raises(DestinationRefusedError, match=r"the host of connection 'sftp_reports' is 127\.0\.0\.1:\d+"):
        deliver(tmp_path, SMALL, "sftp://sftp_reports@elsewhere.example.com/calls.csv")
    with pytest.raises(DestinationRefusedError, match="sftp:// needs a connection; name it in destination_conn_id"):
        deliver(tmp_path, SMALL, "sftp://127.0.0.1/calls.csv")
    with pytest.raises(DestinationRefusedError, match=r'"nobody" does not exist; create it \(.*type SFTP\)'):
        deliver(tmp_path, SMALL, "sftp://nobody@/calls.csv")
    server.port = 9
    monkeypatch.setenv(CONN, server.connection(host_key=server.host_key))
    with pytest.raises(DestinationUnavailableError, match="could not be reached or has a fault") as caught:
        deliver(tmp_path, SMALL)
    assert caught.value.retryable


def test_a_directory_without_permission_is_one_sentence(
    server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """clear-sentence: what the server says of it is "permission denied", and another try does not help."""

    async def refuse(*arguments: Any, **keywords: Any) -> None:
        raise asyncssh.SFTPPermissionDenied("Permission denied")

    monkeypatch.setattr(asyncssh.SFTPServer, "open", refuse)
    with pytest.raises(DestinationRefusedError, match="access is denied; grant it to connection"):
        deliver(tmp_path, SMALL)
    assert files(server.folder) == {}


def test_no_reader_sees_half_a_file(server: SftpServer, tmp_path: Path) -> None:
    """all-or-nothing: while a file is replaced again and again, what is under its name is one version, whole."""
    versions = [bytes([65 + number]) * 400_000 for number in range(6)]
    deliver(tmp_path, versions[0])
    path, seen, over = server.folder / "dt=2026-03-13" / "calls.csv", set[bytes](), threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for content in versions[1:]:
            deliver(tmp_path, content)
    finally:
        over.set()
        reader.join(60)
    assert seen <= set(versions)
    assert files(server.folder) == {"dt=2026-03-13/calls.csv": versions[-1]}


def test_a_server_that_cannot_replace_in_one_step_takes_new_files_only(
    server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """all-or-nothing: without posix-rename a replacement would be seen half; the file stays as it is."""
    handler = import_handler()
    extensions = [one for one in handler._extensions if not one[0].startswith(b"posix-rename")]
    monkeypatch.setattr(handler, "_extensions", extensions)
    assert deliver(tmp_path, SMALL).status is DeliveryStatus.WRITTEN
    with pytest.raises(DestinationRefusedError, match="the store does not replace what is there; remove it first"):
        deliver(tmp_path, LARGE)
    assert files(server.folder) == {"dt=2026-03-13/calls.csv": SMALL}


def import_handler() -> Any:
    """The class whose attribute says what the server can do."""
    from asyncssh import sftp

    return sftp.SFTPServerHandler


def test_bytes_that_the_server_changes_are_noticed(
    server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stored-bytes: what was sent is read back before it gets its name."""
    right = asyncssh.SFTPServer.write

    def wrong(self: Any, file: Any, offset: int, data: bytes) -> int:
        return int(right(self, file, offset, bytes([data[0] ^ 1]) + data[1:]))

    monkeypatch.setattr(asyncssh.SFTPServer, "write", wrong)
    with pytest.raises(DamagedUploadError, match="Other bytes were read back"):
        deliver(tmp_path, SMALL)
    assert files(server.folder) == {}


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_only_replace_is_allowed(if_exists: str) -> None:
    """if-exists: where two writers could both win, the other policies are refused while the Dag is parsed."""
    with pytest.raises(
        ValueError, match="destination begins with sftp://, where two writers could both win; allowed is"
    ):
        destination_at("sftp://sftp_reports@/calls.csv", if_exists=if_exists)


def test_a_password_in_the_address_is_refused() -> None:
    """no-leak: an address is shown, logged and kept."""
    with pytest.raises(ValueError, match="credentials belong to destination_conn_id") as caught:
        destination_at("sftp://reports:secret@sftp.example.com/calls.csv")
    assert "secret" not in str(caught.value)


def test_a_set_goes_over_one_connection_and_is_cleaned(server: SftpServer, tmp_path: Path) -> None:
    """same-again: index, files of groups that are gone, links; and one login for all of them."""

    def write(groups: dict[str, int]) -> None:
        made = [_of_group(tmp_path, name, f"{name}\r\n".encode() * rows, rows) for name, rows in groups.items()]
        target = destination_at("sftp://sftp_reports@/agents/[[ group ]].csv")
        done = deliver_set(FileSet(made, "Agents", "csv", ["Agents"], INFO, OUTCOME), target, tmp_path, run=RUN)
        assert done.not_removed == []
        assert done.index is not None
        assert done.index.uri == f"sftp://127.0.0.1:{server.port}/agents/_index.csv.json"

    write({"Asha": 2, "Ravi": 3})
    assert server.logins == 1
    write({"Asha": 1})
    assert set(files(server.folder)) == {"agents/Asha.csv", "agents/_index.csv.json"}
    index = read_index("sftp://sftp_reports@/agents/_index.csv.json")
    assert [(one["group"], one["rows"]) for one in index["files"]] == [("Asha", 1)]
    link = destination_at("sftp://sftp_reports@/agents/Asha.csv").connected().link(exported(tmp_path, b""))
    assert link == Link(f"sftp://127.0.0.1:{server.port}/agents/Asha.csv", filename="calls.csv")


def _of_group(folder: Path, name: str, content: bytes, rows: int) -> Any:
    from dataclasses import replace

    return replace(exported(folder, content), group=name, group_value=name, rows=rows)


def test_errors_of_the_library_never_come_through(
    server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """error-kinds: whatever the server does while a file is written, it is a delivery error, and nothing half stays."""

    async def fail(*arguments: Any, **keywords: Any) -> None:
        raise asyncssh.SFTPFailure("Failure")

    for operation in ("open", "write", "read", "posix_rename", "mkdir", "stat"):
        with monkeypatch.context() as patch:
            patch.setattr(asyncssh.SFTPServer, operation, fail)
            with pytest.raises(DeliveryError):
                deliver(tmp_path, SMALL, f"sftp://sftp_reports@/new-{operation}/calls.csv")
        assert files(server.folder) == {}
