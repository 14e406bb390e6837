"""The road of recordings: matching calls -> their recordings -> S3 -> a manifest that names every call.

Read `copy_recordings` from top to bottom. It lists the calls in a private file until the ledger has proved that the
list is whole. Then it asks the API for the recordings of each call, and fetches, checks, hashes and writes each
recording. It delivers the manifest when no recording is missing.

A later run continues where a stopped run ended: it does not fetch a recording that is already at its key (`store`). The
manifest says what is there and not who put it there, so that a second run of the same window writes the same bytes.

No address and no file name of a recording leaves this module: an address holds a token, and some accounts put the
customer's number into the name. Keys are made from the ids of the call and of its part.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.api.answer import record_id
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.detail import Recording, fetch_detail
from airflow_provider_callreport.api.download import FileDownloader
from airflow_provider_callreport.api.errors import (
    CallReportError,
    FileError,
    RecordingsMissingError,
    TableError,
    one_line,
)
from airflow_provider_callreport.api.filters import TITLES, Window, filter_lines
from airflow_provider_callreport.api.lookahead import Lookahead
from airflow_provider_callreport.api.paging import ROUNDS_WAIT, ReportReader, read_until_whole
from airflow_provider_callreport.api.reading import Lessons, Page, Proof
from airflow_provider_callreport.api.table import Table
from airflow_provider_callreport.delivery.errors import DeliveryError, ObjectExistsError
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.delivery.s3_client import connect
from airflow_provider_callreport.export.sinks import FilePlan, SingleFile
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.recordings.keys import part_names
from airflow_provider_callreport.recordings.promised import is_recording_label, promised_recordings
from airflow_provider_callreport.recordings.store import RecordingStore, Stored, Target
from airflow_provider_callreport.report import (
    Column,
    ColumnKind,
    ExportedFile,
    ReportInfo,
    ReportOutcome,
    Row,
    RunIdentity,
)
from airflow_provider_callreport.spool import private_file, spool_directory

if TYPE_CHECKING:
    from typing import TextIO

log = logging.getLogger(__name__)

#: The manifest's columns; programs read them, so sizes are plain numbers of bytes.
MANIFEST_COLUMNS = (
    Column("call"),
    Column("part"),
    Column("status"),
    Column("key"),
    Column("bytes", ColumnKind.NUMBER),
    Column("sha256"),
)

#: Seconds that an ending run waits for what is under way, so that nothing is written into a directory that goes.
_PATIENCE = 1.0

#: Why a recording is not stored when every one must be whole.
_NO_LENGTH = (
    '{what} came as a stream without a length, so nobody can tell whether its end is missing; on_incomplete="warn" '
    'stores it, and the manifest says "unproved"'
)

#: After so many failures the run does not ask for the rest.
_MAX_FAILURES = 20


class Status(StrEnum):
    """What the manifest says of a call's recording."""

    STORED = "stored"
    """It is at ``key``."""
    NO_RECORDING = "no_recording"
    """The report promises none, and the API has none."""
    UNPROVED = "unproved"
    """It is at ``key``, and its stream ended without its length being known: the end may be missing."""
    MISSING = "missing"
    """The report promises more than the API has: it is still being made, or was deleted."""
    FAILED = "failed"
    """It could not be copied."""


@dataclass(frozen=True, slots=True)
class RecordingsRequest:
    """What to copy, and where to. Every value has been checked; see the operator for what users may give.

    Attributes:
        report: ``"calls"`` or ``"masked_calls"``.
        window: which calls.
        s3_bucket: the bucket.
        s3_key: the recordings' key, with the placeholders of `recordings.keys`.
        manifest_key: the manifest's key.
        filters: API filter keys.
        manifest_format: ``"jsonl"`` or ``"csv"``.
        aws_conn_id: Airflow's AWS connection, or None for boto3's own search.
        s3_extra_args: further arguments for S3.
        if_exists: ``"skip"`` leaves a recording that is there, ``"replace"`` fetches and writes each one again.
        on_incomplete: ``"fail"``, or ``"warn"`` to deliver a manifest that names what is missing.
        concurrency: calls that are worked on at a time.
        max_recording_bytes: the largest recording.
        page_size: calls per request of the list, or None for the connection's.
        rounds_wait: see `paging.ReportReader`.
    """

    report: str
    window: Window
    s3_bucket: str
    s3_key: str
    manifest_key: str
    filters: Mapping[str, Any] = field(default_factory=dict)
    manifest_format: str = "jsonl"
    aws_conn_id: str | None = "aws_default"
    s3_extra_args: Mapping[str, Any] = field(default_factory=dict, repr=False)
    if_exists: str = "skip"
    on_incomplete: str = "fail"
    concurrency: int = 4
    max_recording_bytes: int = 200_000_000
    page_size: int | None = None
    rounds_wait: tuple[float, ...] = ROUNDS_WAIT

    def info(self) -> ReportInfo:
        """The description that the objects' metadata is made of."""
        return ReportInfo(
            report=self.report,
            title=f"Recordings: {TITLES[self.report]}",
            window_start=self.window.local_start,
            window_end=self.window.local_end,
            timezone=self.window.zone.key,
            filters=filter_lines(self.filters),
        )


@dataclass(frozen=True, slots=True)
class RecordingsSummary:
    """The result of one run.

    Attributes:
        info: the description.
        proof: the proof of the list of calls.
        recordings: recordings that are in place.
        bytes: their size in all.
        copied: how many of them this run fetched; the others were there.
        calls: number of calls by status; a call with several recordings counts once, with the worst status.
        manifest: the manifest.
        manifest_uri: where it is.
        manifest_new: False when another run had written the same manifest, and it was left as it is.
    """

    info: ReportInfo
    proof: Proof
    recordings: int
    bytes: int
    copied: int
    calls: Mapping[Status, int]
    manifest: ExportedFile
    manifest_uri: str
    manifest_new: bool = True

    def to_xcom(self) -> dict[str, Any]:
        """The small dict that the operator returns."""
        return {
            "report": self.info.report,
            "window": self.info.window_json(),
            "calls": self.proof.rows,
            "reported_total": _outcome(self.proof).total_to_compare,
            "recordings": self.recordings,
            "bytes": self.bytes,
            "copied": self.copied,
            "already_there": self.recordings - self.copied,
            **{f"calls_{status}": self.calls.get(status, 0) for status in Status},
            "manifest": {
                "uri": self.manifest_uri,
                "rows": self.manifest.rows,
                "bytes": self.manifest.bytes,
                "sha256": self.manifest.sha256,
            },
        }


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the manifest, with what the log and the totals need besides."""

    call: str
    status: Status
    part: str | None = None
    key: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    copied: bool = False
    reason: str = ""

    def at(self, stored: Stored) -> _Entry:
        """The entry of a recording that is in S3."""
        return replace(self, key=stored.key, bytes=stored.bytes, sha256=stored.sha256, copied=stored.copied)

    def row(self) -> Row:
        """The values of `MANIFEST_COLUMNS`."""
        return (self.call, self.part, self.status.value, self.key, self.bytes, self.sha256)


def copy_recordings(client: CallReportClient, request: RecordingsRequest, *, run: RunIdentity) -> RecordingsSummary:
    """Copy the recordings of the calls that a filter matches.

    Args:
        client: the account.
        request: what, and where to.
        run: who copies; the same for every try of one task instance.

    Raises:
        RecordingsMissingError: ``on_incomplete="fail"`` and a recording is missing or could not be copied. The others
            are in place, the manifest is not, and a later try goes on.
        CallReportError: the list of calls could not be read whole, or the API refuses.
        delivery.errors.DeliveryError: S3 does not take an object.
    """
    with spool_directory() as directory:
        calls = directory / "calls.jsonl"
        proof = _list_calls(client, request, calls)
        tally = _Tally()
        manifest = _ManifestFile(directory, request)
        try:
            with _Copier(client, request, run, directory, proof) as copier:
                for entries in copier.copied(_read_calls(calls)):
                    tally.add(entries)
                    manifest.write(entries)
                    if request.on_incomplete == "fail" and tally.in_trouble >= _MAX_FAILURES:
                        raise tally.error(proof.rows, stopped=True)
            if tally.in_trouble and request.on_incomplete == "fail":
                raise tally.error(proof.rows)
            file = manifest.close(proof)
        except BaseException:
            manifest.abort()
            raise
        # The manifest's rows are recordings; how many calls were looked at is for the audit.
        metadata = {**request.s3_extra_args.get("Metadata", {}), "calls": str(proof.rows)}
        place = S3Destination(
            request.s3_bucket,
            request.manifest_key,
            request.aws_conn_id,
            extra_args={**request.s3_extra_args, "Metadata": metadata},
        )
        delivered = place.deliver(file, info=request.info(), outcome=_outcome(proof), run=run)
    summary = RecordingsSummary(
        request.info(),
        proof,
        tally.recordings,
        tally.bytes,
        tally.copied,
        tally.calls,
        file,
        delivered.uri,
        manifest_new=delivered.status.value != "unchanged",
    )
    for trouble in tally.troubles:
        log.warning("%s", trouble)
    log.info(
        "%d calls, %d recordings in place (%d copied now, %d bytes in all), calls by status: %s; manifest %s",
        proof.rows,
        tally.recordings,
        tally.copied,
        tally.bytes,
        ", ".join(f"{status} {number}" for status, number in sorted(tally.calls.items())) or "none",
        delivered.uri,
    )
    return summary


def _list_calls(client: CallReportClient, request: RecordingsRequest, path: Path) -> Proof:
    """Write the id of every call, and how many recordings the report promises, to a private file."""

    def reader(lessons: Lessons | None) -> ReportReader:
        return ReportReader(
            client,
            request.report,
            request.filters,
            request.window,
            page_size=request.page_size,
            allow_incomplete=request.on_incomplete == "warn",
            rounds_wait=request.rounds_wait,
            lessons=lessons,
        )

    def read(reader: ReportReader) -> Proof:
        with private_file(path).open("w", encoding="utf-8") as file:
            table = Table(request.window.zone)
            for page in reader.pages():
                _note_calls(table, page, file)
        assert reader.proof is not None, "an iteration that ends has a proof"
        return reader.proof

    return read_until_whole(reader, read)


def _note_calls(table: Table, page: Page, file: TextIO) -> None:
    if not table.columns:
        table.start(page.form, page.bodies)
    column = next((at for at, one in enumerate(table.columns) if is_recording_label(one.source)), None)
    rows = table.rows(page.bodies, page.form)
    for record, row in zip(page.records, rows, strict=True):
        call = record_id(record)
        if call is None:
            raise TableError(
                "the report's rows have no id of the call (callId), and only by it can a recording be asked for"
            )
        promised = 0 if column is None else promised_recordings(row[column])
        file.write(json.dumps([str(call), promised]) + "\n")


def _read_calls(path: Path) -> Iterator[tuple[str, int]]:
    """Each call once, with the largest promise of its rows: a call may have a row for each of its legs."""
    promises: dict[bytes, int] = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            call, promised = json.loads(line)
            name = _short_name(call)
            promises[name] = max(promised, promises.get(name, 0))
        file.seek(0)
        for line in file:
            call, _ = json.loads(line)
            promised = promises.pop(_short_name(call), None)
            if promised is not None:
                yield call, promised


def _short_name(call: str) -> bytes:
    # A month has a million calls: their ids would take twice the memory.
    return hashlib.blake2b(call.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class _Copier:
    """Copies the recordings of several calls at a time, and returns their entries in the order of the calls.

    It connects to AWS once, in the task's own thread, because only there Airflow's connections can be read.
    """

    def __init__(
        self,
        client: CallReportClient,
        request: RecordingsRequest,
        run: RunIdentity,
        directory: Path,
        proof: Proof,
    ) -> None:
        self._client = client
        self._request = request
        self._directory = directory
        self._stop = threading.Event()
        self._store = RecordingStore(
            connect(request.aws_conn_id, f"s3://{request.s3_bucket}").client,
            request.s3_bucket,
            request.s3_key,
            request.aws_conn_id,
            request.s3_extra_args,
            request.if_exists,
            request.info(),
            run,
        )
        self._downloader = FileDownloader(
            client,
            max_bytes=request.max_recording_bytes,
            pool_size=request.concurrency,
            stopped=self._stop.is_set,
        )
        # A call that is slow holds the ones behind it up, so that more are asked for than are worked on.
        self._ahead = Lookahead[list[_Entry]](2 * request.concurrency)
        self._turns = threading.BoundedSemaphore(request.concurrency)

    def __enter__(self) -> _Copier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._downloader.close()
        if error is not None:
            # After an error, a task's SIGTERM or its timeout, what is under way ends now.
            self._client.close()
            self._ahead.close(_PATIENCE)

    def copied(self, calls: Iterator[tuple[str, int]]) -> Iterator[list[_Entry]]:
        """The entries of each call, in order. The number of calls that are worked on at a time is bounded."""
        under_way: deque[tuple[int, Callable[[], list[_Entry]]]] = deque()
        for number, (call, promised) in enumerate(calls):
            work = partial(self._in_turn, number, call, promised)
            while not self._ahead.ask(number, work):
                yield self._ahead.answer(*under_way.popleft())
            under_way.append((number, work))
        while under_way:
            yield self._ahead.answer(*under_way.popleft())

    def _in_turn(self, number: int, call: str, promised: int) -> list[_Entry]:
        with self._turns:
            if self._stop.is_set():
                raise FileError("the copying was stopped")
            return self._call(number, call, promised)

    def _call(self, number: int, call: str, promised: int) -> list[_Entry]:
        recordings = fetch_detail(self._client, call).recordings
        parts = part_names([recording.node for recording in recordings])
        entries = [
            self._recording(f"{number}-{at}", call, part, recording)
            for at, (part, recording) in enumerate(zip(parts, recordings, strict=True))
        ]
        missing = _Entry(call, Status.MISSING, reason=_what_is_missing(promised, len(recordings)))
        entries += [missing] * (promised - len(recordings))
        return entries or [_Entry(call, Status.NO_RECORDING)]

    def _recording(self, name: str, call: str, part: str, recording: Recording) -> _Entry:
        entry = _Entry(call, Status.STORED, part)
        source = recording.source(self._client.settings.secrets()[-1])
        target = Target(call, part, source, f"the recording of call {one_line(call)}, part {one_line(part)}")
        path = self._directory / f"{name}.mp3"
        try:
            stored = self._store.find(target)
            if stored is not None:
                return entry.at(stored)
            url = recording.stream_url(self._client.settings.base_url)
            body = self._downloader.fetch(url, path, kind="mp3", what=target.what)
            if body.proved:
                return entry.at(self._store.put(target, body))
            if self._request.on_incomplete == "fail":
                return _failed(entry, _NO_LENGTH.format(what=target.what))
            return replace(entry.at(self._store.put(target, body)), status=Status.UNPROVED)
        except ObjectExistsError as error:
            return _failed(entry, str(error))
        except DeliveryError:
            raise  # A bucket that refuses one recording refuses them all.
        except CallReportError as error:
            if self._stop.is_set():
                raise
            return _failed(entry, str(error))
        finally:
            path.unlink(missing_ok=True)


class _ManifestFile:
    """The manifest in the spool directory, written as entries come."""

    def __init__(self, directory: Path, request: RecordingsRequest) -> None:
        file_format = FORMATS[request.manifest_format]
        name, options = request.manifest_key.rpartition("/")[2], file_format.check_options({})
        self._sink = SingleFile(FilePlan(directory, MANIFEST_COLUMNS, request.info(), file_format, options, name))
        self._rows = 0

    def write(self, entries: Sequence[_Entry]) -> None:
        self._sink.write([entry.row() for entry in entries])
        self._rows += len(entries)

    def close(self, proof: Proof) -> ExportedFile:
        (file,) = self._sink.close(replace(_outcome(proof), rows=self._rows))
        return file

    def abort(self) -> None:
        self._sink.abort()


class _Tally:
    """Totals of the entries. It counts every problem, and keeps the first `_MAX_FAILURES` for messages."""

    def __init__(self) -> None:
        self.calls: dict[Status, int] = {}
        self.recordings = self.bytes = self.copied = 0
        self.missing = self.failed = 0
        self.troubles: list[str] = []

    @property
    def in_trouble(self) -> int:
        """How many recordings are missing or failed."""
        return self.missing + self.failed

    def add(self, entries: Sequence[_Entry]) -> None:
        worst = max((entry.status for entry in entries), key=list(Status).index)
        self.calls[worst] = self.calls.get(worst, 0) + 1
        for entry in entries:
            if entry.key is not None:
                self.recordings += 1
                self.bytes += entry.bytes or 0
                self.copied += entry.copied
            elif entry.reason:
                self.missing += entry.status is Status.MISSING
                self.failed += entry.status is Status.FAILED
                if len(self.troubles) < _MAX_FAILURES:
                    self.troubles.append(f"call {one_line(entry.call)}: {entry.reason}")

    def error(self, calls: int, *, stopped: bool = False) -> RecordingsMissingError:
        shown = "; ".join(self.troubles[:3])
        more = f"; and {self.in_trouble - 3} more" if self.in_trouble > 3 else ""
        how = "the copying was stopped; " if stopped else ""
        return RecordingsMissingError(
            f"not whole: of the recordings of {calls:,} calls, {self.missing:,} are missing, {self.failed:,} failed "
            f"and {self.recordings:,} are in place; {how}no manifest was written. {shown}{more}"
        )


def _what_is_missing(promised: int, there: int) -> str:
    what = f"{promised} recordings" if promised > 1 else "a recording"
    return f"the report promises {what} and the API has {there or 'none'}: still being made, or deleted"


def _failed(entry: _Entry, reason: str) -> _Entry:
    return replace(entry, status=Status.FAILED, reason=reason)


def _outcome(proof: Proof) -> ReportOutcome:
    return ReportOutcome(proof.rows, proof.reported_total, proof.complete, proof.note)
