"""Exports that are killed: real processes against slow servers, and what is at each place afterwards.

An export runs in a process of its own that is forked from one that has imported everything (`multiprocessing`'s fork
server), because importing Airflow takes ten times as long as the export. It tells when it begins; from then on it can
be killed at any moment. Vendor, S3 and SMTP are servers in the test's process, slow enough for each stage of an export
to take a part of its time.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, cast

import pytest

from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from support.api import DAY

#: Calls in the report, calls a page, and seconds that the vendor takes for each page.
CALLS, PAGE, PAGE_SECONDS = 600, 50, 0.02

#: How fast S3 and SMTP take bytes, and how many go at a time.
BYTES_A_SECOND, PIECE = 750_000, 8192

#: Size of a part where the export goes in parts; S3 itself wants 5 MiB at least.
PART_BYTES = 20_000

#: The environment variable that tells `crash_warm_up` where the servers are.
SITE_VARIABLE = "CALLREPORT_CRASH_SITE"

#: Instead of the SHA-256 of what is not there.
NOTHING = "nothing"

#: A process that takes longer than this hangs; seconds, for a machine that has much else to do.
PATIENCE = 200


class Terminated(BaseException):
    """What a task's ``SIGTERM`` handler raises: as Airflow's ``AirflowTaskTerminated``, no `Exception`."""


@dataclass(frozen=True)
class Export:
    """One export to S3 and by mail. Every try of it is the same run.

    Attributes:
        name: of the run; the object's key and the recipient are made from it.
        file_format, in_parts, if_exists: how it is written and delivered.
        folder: a directory of its own, with the temporary directory and the record of its mail.
    """

    name: str
    folder: Path
    file_format: str
    in_parts: bool
    if_exists: str

    @property
    def key(self) -> str:
        """The object's key."""
        return f"{self.name}/calls"

    @property
    def recipient(self) -> str:
        """The mail's recipient."""
        return f"{self.name}@example.com"

    @property
    def temp(self) -> Path:
        """The temporary directory."""
        return self.folder / "tmp"

    @property
    def record(self) -> FileRecord:
        """What remembers over the tries that the mail went."""
        return FileRecord(self.folder / "record.json")


@dataclass(frozen=True)
class FileRecord:
    """A `delivery.sent_mails.SendRecord` that outlives the process: Airflow's state store, as a file."""

    path: Path
    clears: int = 0

    @property
    def states(self) -> list[str]:
        """The states of the mails that are remembered."""
        return [mail["state"] for mail in (self.get() or {}).get("mails", {}).values()]

    def get(self) -> Mapping[str, Any] | None:
        """The value, or None."""
        try:
            value: Mapping[str, Any] = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        return value

    def set(self, value: Mapping[str, Any]) -> None:
        """Store it whole or not at all."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(value))
        new.rename(self.path)


@dataclass(frozen=True)
class Site:
    """The servers.

    Attributes:
        api, s3, smtp: them.
        forks: makes the processes.
    """

    api: SandboxServer
    s3: SandboxS3
    smtp: SandboxSmtp
    forks: ForkServerContext

    def object(self, key: str) -> bytes | None:
        """What is at a key, or None."""
        keys = self.s3.keys()
        return self.s3.read(key) if key in keys else None

    def mails(self, recipient: str) -> list[EmailMessage]:
        """The mails to a recipient."""
        return [mail.message for mail in self.smtp.messages if mail.recipients == (recipient,)]

    def uploads(self, key: str) -> list[int]:
        """Multipart uploads to a key that were begun and neither completed nor aborted: their numbers of parts."""
        client = self.s3.client()
        found = client.list_multipart_uploads(Bucket="reports", Prefix=key).get("Uploads", ())
        return [
            len(client.list_parts(Bucket="reports", Key=key, UploadId=upload["UploadId"]).get("Parts", ()))
            for upload in found
        ]


@contextmanager
def slow_site() -> Iterator[Site]:
    """Servers that take their time."""
    settings = SandboxSettings(calls=SyntheticCalls(CALLS), faults=[Fault("delay", seconds=PAGE_SECONDS)])
    with SandboxServer(settings) as api, SandboxS3(["reports"]) as s3, SandboxSmtp() as smtp, ExitStack() as open_lines:
        lines = slow_lines(api, s3, smtp)
        for line in lines.values():
            open_lines.callback(line.close)
        yield Site(api, s3, smtp, fork_server(connections(lines, api, s3, smtp)))


def slow_lines(api: SandboxServer, s3: SandboxS3, smtp: SandboxSmtp) -> dict[Stage, SlowLine]:
    """A line to each server; what S3 and SMTP get is slow."""
    return {
        Stage.READING: SlowLine(api.host, api.port, count_answers=True),
        Stage.S3: SlowLine(s3.host, s3.port),
        Stage.MAIL: SlowLine(smtp.host, smtp.port),
    }


def connections(
    lines: Mapping[Stage, SlowLine], api: SandboxServer, s3: SandboxS3, smtp: SandboxSmtp
) -> dict[str, str]:
    """Airflow's variables for the servers, each over its line."""
    urls = {stage: f"http://{line.host}:{line.port}" for stage, line in lines.items()}
    api_fields, smtp_fields = json.loads(api.connection_json(page_size=PAGE)), json.loads(smtp.connection_json())
    mail_line = lines[Stage.MAIL]
    return {
        "AIRFLOW_CONN_CALLREPORT_DEFAULT": json.dumps({**api_fields, "host": urls[Stage.READING]}),
        "AIRFLOW_CONN_AWS_DEFAULT": s3.connection_json(endpoint_url=urls[Stage.S3]),
        "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps({**smtp_fields, "host": mail_line.host, "port": mail_line.port}),
    }


class Stage(StrEnum):
    """What an export is about, told by the line that it uses. How far it is, is told by the bytes that have passed."""

    READING = "reading"
    """From the beginning on; bytes that the vendor answers."""
    S3 = "S3"
    """From the first byte for S3 on; bytes that S3 gets."""
    MAIL = "mail"
    """From the first byte for SMTP on; bytes that SMTP gets."""


@dataclass
class Run:
    """A process that exports, over lines of its own.

    Attributes:
        process: it.
        said: what it tells: ``"began"``, and at its end ``"done"`` or the name of the error.
        lines: by the stage that uses them.
    """

    process: Any
    said: Connection
    lines: Mapping[Stage, SlowLine]

    def kill(self, stage: Stage, at: int, number: signal.Signals, *, hold: bool, delay: float = 0) -> int:
        """Send a signal at a moment, and wait until all is quiet; the exit code.

        Args:
            stage: the line that is watched.
            at: how many of its bytes have passed at that moment.
            number: the signal.
            hold: let no further byte pass until the signal has struck, however long that takes on a busy machine. The
                bytes that a killed process has sent and that have not passed are lost, as when its machine goes down.
            delay: seconds from that moment to the signal.
        """
        line = self.lines[stage]
        if hold:
            line.hold(at)
        self.hear()
        line.wait_for(at, self.process.is_alive)
        self.process.join(delay)
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        killed = number is signal.SIGKILL
        if killed or stage is Stage.READING:
            # What cleans up asks the vendor for nothing, but it has something to say to S3 and SMTP.
            self.process.join(PATIENCE)
        line.release(cut=hold and killed)
        self._end()
        code: int = self.process.exitcode
        return code

    def watch(self) -> tuple[str, dict[Stage, int]]:
        """Wait for the end of an undisturbed export; what it said last, and the bytes that passed in each stage."""
        word = self.end()
        return word, {stage: line.passed for stage, line in self.lines.items()}

    def end(self) -> str:
        """Wait for the end of an undisturbed export; what it said last."""
        self.hear()
        word = self.hear()
        self._end()
        return word

    def hear(self) -> str:
        """What the process says next."""
        assert self.said.poll(PATIENCE), "the export hangs"
        word: str = self.said.recv()
        return word

    def _end(self) -> None:
        self.process.join(PATIENCE)
        assert not self.process.is_alive(), "the process does not end"
        for line in self.lines.values():
            line.close()


def fork_server(environment: Mapping[str, str]) -> ForkServerContext:
    """Start the process that all exports are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.crash_warm_up"])
    with pytest.MonkeyPatch.context() as patch:
        # Python 3.11's fork server imports with the sys.path that it starts with.
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv(SITE_VARIABLE, json.dumps(environment))
        forkserver.ensure_running()
    return context


def start(site: Site, folder: Path, work: Callable[..., None], *arguments: object) -> Run:
    """Start a process.

    Args:
        site: the servers.
        folder: where its output goes.
        work: what it does; a function of a module, with the keyword arguments ``environment`` (how Airflow finds the
            servers) and ``tell`` (where it says ``"began"``, and how it ended).
        arguments: further arguments of ``work``.
    """
    lines = slow_lines(site.api, site.s3, site.smtp)
    ours, theirs = site.forks.Pipe(duplex=False)
    process = site.forks.Process(
        target=_work,
        args=(folder / "log", work, *arguments),
        kwargs={"environment": connections(lines, site.api, site.s3, site.smtp), "tell": theirs},
        daemon=True,
    )
    process.start()
    theirs.close()
    return Run(process, ours, lines)


def start_export(site: Site, what: Export) -> Run:
    """Start a try of an export."""
    what.temp.mkdir(parents=True, exist_ok=True)
    return start(site, what.folder, _try, what)


def export(what: Export, environment: Mapping[str, str]) -> None:
    """Export: what an operator does, without Airflow around it."""
    from airflow_provider_callreport.delivery.email import EmailDestination
    from airflow_provider_callreport.delivery.s3 import S3Destination
    from airflow_provider_callreport.export.road import ExportRequest, export_report
    from airflow_provider_callreport.hooks.callreport import CallReportHook
    from airflow_provider_callreport.report import RunIdentity

    os.environ.update(environment)
    if what.in_parts:
        S3Destination.part_bytes = PART_BYTES
    with CallReportHook().get_conn() as client:
        export_report(
            client,
            ExportRequest("calls", DAY, file_format=what.file_format),
            run=RunIdentity("crash", "export", what.name),
            destination=S3Destination("reports", what.key, if_exists=what.if_exists),
            email=EmailDestination(to=what.recipient),
            send_record=what.record,
        )


def _try(what: Export, *, environment: Mapping[str, str], tell: Connection) -> None:
    os.environ["TMPDIR"] = str(what.temp)
    tempfile.tempdir = None
    signal.signal(signal.SIGTERM, _terminate)
    tell.send("began")
    try:
        export(what, environment)
    except Terminated:
        sys.exit(128 + signal.SIGTERM)
    except Exception as error:
        tell.send(type(error).__name__)
        raise
    tell.send("done")


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def _work(log: Path, work: Callable[..., None], *arguments: object, **keywords: object) -> None:
    """The process. Its output goes to a file: what is killed must not write into the test's."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    # New files are as open as they can be, so that what is private is so by its own mode.
    os.umask(0)
    work(*arguments, **keywords)


def interrupt_spools(temp: Path, times: int, *, environment: Mapping[str, str], tell: Connection) -> None:
    """Make spool directories and terminate them at random moments, so often; tell how many are left."""
    from airflow_provider_callreport.spool import spool_directory

    tempfile.tempdir = str(temp)
    signal.signal(signal.SIGALRM, _terminate)
    chance = random.Random(1)
    terminated = left = 0
    # A signal that comes after the end terminates nothing: another takes its place.
    while terminated < times:
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3e-3))
            with spool_directory() as directory:
                for number in range(10):
                    (directory / str(number)).touch()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except (Terminated, OSError):
            # shutil.rmtree makes an OSError of what comes while it closes a descriptor.
            terminated += 1
        for directory in temp.iterdir():
            left += 1
            shutil.rmtree(directory)
    tell.send(str(left))


def sha256(content: bytes | None) -> str:
    """Its SHA-256, or `NOTHING`."""
    return NOTHING if content is None else hashlib.sha256(content).hexdigest()


def attachment_sha256(mail: EmailMessage) -> str:
    """The SHA-256 of a mail's only attachment."""
    (part,) = mail.iter_attachments()
    return sha256(cast(bytes, part.get_payload(decode=True)))


class SlowLine:
    """A TCP line to a server, without a buffer to speak of, on which the bytes of one direction are counted and held.

    So a large request is under way for as long as it would be on a real line, and whoever is killed meanwhile has sent
    a part of it.

    Args:
        target_host, target_port: where it ends.
        count_answers: count what the server says. Otherwise what it gets is counted, and takes the line no faster than
            `BYTES_A_SECOND`.

    Attributes:
        host, port: where it begins.
        passed: bytes that have passed so far.
    """

    def __init__(self, target_host: str, target_port: int, *, count_answers: bool = False) -> None:
        self.passed = 0
        self._target = (target_host, target_port)
        self._count_answers = count_answers
        self._pumps: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._most: int | None = None
        self._held = self._cut = False
        self._door = socket.socket()
        # Before listen(), so that connections have it from their first byte on (tcp(7)).
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        self._door.bind(("127.0.0.1", 0))
        self._door.listen()
        self.host, self.port = self._door.getsockname()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def hold(self, most: int) -> None:
        """Let no more than so many bytes pass."""
        with self._changed:
            self._most = most

    def release(self, *, cut: bool) -> None:
        """Let those that are held pass, or none any more."""
        with self._changed:
            self._most, self._cut = None, cut
            self._changed.notify_all()

    def wait_for(self, passed: int, still: Callable[[], bool]) -> None:
        """Wait until so many bytes have passed, or the next ones are held; no longer than ``still`` says True."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while self.passed < passed and not self._held and still():
                assert time.monotonic() < deadline, "the bytes do not come"
                self._changed.wait(0.05)

    def close(self) -> None:
        """Take no more connections, and wait until those that there are have ended."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone does not
        self._door.close()
        self._acceptor.join(PATIENCE)
        for pump in self._pumps:
            pump.join(PATIENCE)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(self._target)
                for source, sink, counted in (
                    (client, server, not self._count_answers),
                    (server, client, self._count_answers),
                ):
                    self._pumps.append(threading.Thread(target=self._pump, args=(source, sink, counted), daemon=True))
                    self._pumps[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        """Move bytes until the source ends or the line is cut, then end both sides."""
        pace = 1 / BYTES_A_SECOND if counted and not self._count_answers else 0.0
        with suppress(OSError):
            while data := source.recv(PIECE):
                time.sleep(pace * len(data))
                if counted and not self._admit(len(data)):
                    break
                sink.sendall(data)
        for side in (source, sink):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        source.close()

    def _admit(self, size: int) -> bool:
        """Wait until so many bytes may pass; False when they never may."""
        with self._changed:
            while self._most is not None and self.passed + size > self._most:
                self._held = True
                self._changed.notify_all()
                self._changed.wait()
            self._held = False
            if not self._cut:
                self.passed += size
                self._changed.notify_all()
            return not self._cut
