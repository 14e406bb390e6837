"""The join after many exports: if the slices make one whole report, a manifest names their files.

Read `write_manifest` from top to bottom. It compares what the exports returned with the window, with the objects in S3
and with the API's own count of the whole window. Any drift is an error of one sentence. The manifest is written last:
if it exists, the report is whole.

The manifest holds no time of writing and no name of a run, so that the same slices give the same bytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airflow_provider_callreport import __version__
from airflow_provider_callreport.api import counting
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import DriftError, SettingsError, scrub
from airflow_provider_callreport.api.filters import TITLES, Window
from airflow_provider_callreport.api.totals import TOTAL_CAP
from airflow_provider_callreport.audit.delivered import Delivered, compare, count_calls, delivered_in_s3
from airflow_provider_callreport.delivery.receipts import DeliveredFile
from airflow_provider_callreport.delivery.s3 import S3Destination, run_stamp
from airflow_provider_callreport.delivery.s3_client import connect
from airflow_provider_callreport.delivery.s3_errors import error_status, s3_errors
from airflow_provider_callreport.export.file_set import read_index
from airflow_provider_callreport.export.sinks import exported_file
from airflow_provider_callreport.report import ReportInfo, ReportOutcome, RunIdentity, wording
from airflow_provider_callreport.spool import private_file, spool_directory
from airflow_provider_callreport.windows import MAX_WINDOWS

log = logging.getLogger(__name__)

#: Version of the manifest's own layout.
LAYOUT = 1

_CONTENT_TYPE = "application/json"
#: What an export's XCom value has, and of which type.
_PARTS: Mapping[str, Any] = {
    "report": str,
    "file_format": str,
    "window": Mapping,
    "rows": int,
    "reported_total": (int, type(None)),
    "columns": list,
    "redacted_columns": list,
    "schema_id": str,
    "files": list,
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One export, as its XCom value describes it.

    Attributes:
        window: which calls.
        rows: calls in it.
        files: its files: ``uri``, ``rows``, ``bytes``, ``sha256``.
        value: the whole XCom value.
    """

    window: Window
    rows: int
    files: Sequence[Mapping[str, Any]]
    value: Mapping[str, Any]

    @property
    def span(self) -> str:
        """The window, for messages."""
        return self.window.span


@dataclass(frozen=True, slots=True)
class ManifestRequest:
    """What to join. Every value has been checked; see `operators.manifest` for what users may give.

    Attributes:
        report: ``"calls"`` or ``"masked_calls"``.
        window: the whole window.
        slices: the exports.
        s3: where the manifest goes.
        filters: the filters that the slices were exported with.
        check_bytes: whether each object is read and its SHA-256 compared, or only its size and metadata.
    """

    report: str
    window: Window
    slices: Sequence[Slice]
    s3: S3Destination
    filters: Mapping[str, Any] = field(default_factory=dict)
    check_bytes: bool = False

    def info(self) -> ReportInfo:
        """The report's description."""
        window = self.window
        return ReportInfo(self.report, TITLES[self.report], window.local_start, window.local_end, window.zone.key)


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """The result of a join.

    Attributes:
        request: what was joined.
        rows: calls in all slices, and by the API's count.
        bytes: size of all files.
        manifest: the manifest and where it is.
        changed: the slices that the manifest that was at the key before does not have as they are now, and those that
            this run wrote. The second, because a try that died after its manifest was written leaves the next one
            nothing to compare with.
    """

    request: ManifestRequest
    rows: int
    bytes: int
    manifest: DeliveredFile
    changed: Sequence[Slice]

    @property
    def datasets(self) -> list[tuple[str, str]]:
        """The files of all slices as OpenLineage names them: ``s3://bucket`` and the key."""
        places = [file["uri"].removeprefix("s3://").partition("/") for file in _files(self.request)]
        return [(f"s3://{bucket}", key) for bucket, _, key in places]

    def to_xcom(self) -> dict[str, Any]:
        """The small dict that the operator returns."""
        return {
            "report": self.request.report,
            "window": counting.window_json(self.request.window),
            "rows": self.rows,
            "reported_total": self.rows,
            "slices": len(self.request.slices),
            "bytes": self.bytes,
            "manifest": _entry(self.manifest),
        }


def read_slices(value: Any, window: Window, aws_conn_id: str | None = "aws_default") -> list[Slice]:
    """The exports in the order of their windows.

    Args:
        value: XCom values of exports: a list, or what Airflow gives for those of a mapped task.
        window: the whole window, for its zone.
        aws_conn_id: AWS connection, to read the index of an export with more files than an XCom value names.

    Raises:
        SettingsError: it is something else, or a value that does not name all its files.
        DriftError: an export is not whole, or delivered nothing.
    """
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise SettingsError(
            f"exports is of type {type(value).__name__}; allowed are the XCom values of exports, such as the output of "
            "a mapped CallReportExportOperator"
        )
    # Airflow's sequence of a mapped task's values fetches a slice in one request, and each item in one of its own.
    values = value[:]
    # A task that was skipped returned nothing; the window then has a hole, and that is what is said.
    slices = [
        _read_slice(one, f"exports[{number}]", window, aws_conn_id)
        for number, one in enumerate(values)
        if one is not None
    ]
    if not slices:
        raise DriftError("there are no exports to join: none of the tasks before returned a value")
    return sorted(slices, key=lambda one: (one.window.start, one.window.end))


def write_manifest(
    client: CallReportClient, request: ManifestRequest, *, run: RunIdentity, exporters: Iterable[str] = ()
) -> ManifestSummary:
    """Hold the slices against the window, S3 and the API; then write the manifest.

    Args:
        client: the account.
        request: what to join, and where to.
        run: who joins; the same for every try of one task instance.
        exporters: ids of the tasks that may have written slices in this run.

    Raises:
        DriftError: the slices are not one whole report.
        CallReportError: the API does not count.
        delivery.errors.DeliveryError: S3 does not answer, or does not take the manifest.
    """
    _check_alike(request)
    _check_tiles(request)
    s3 = connect(request.s3.aws_conn_id, request.s3.uri).client
    written_by = _check_objects(request, s3)
    rows = sum(one.rows for one in request.slices)
    where = f"{len(request.slices)} slices, the first {request.slices[0].span}"
    together = Delivered(rows, where, request.window.start, request.window.end)
    compare(_count(client, request), [together], request.window)
    before, own = _files_before(request, s3), _stamps(run, exporters)
    changed = [
        one
        for one in request.slices
        if any(before.get(file["uri"]) != file["sha256"] or written_by[file["uri"]] in own for file in one.files)
    ]
    with spool_directory() as directory:
        path = private_file(directory / "manifest.json")
        path.write_bytes(_manifest(request, rows))
        file = exported_file(path, request.s3.key.rpartition("/")[2], _CONTENT_TYPE, rows)
        delivered = request.s3.deliver(file, info=request.info(), outcome=_outcome(request), run=run)
    log.info("%s %s: %s", _outcome(request).note, delivered.status, delivered.uri)
    return ManifestSummary(request, rows, sum(file["bytes"] for file in _files(request)), delivered, changed)


def _read_slice(value: Any, where: str, window: Window, aws_conn_id: str | None) -> Slice:
    wrong = f"{where} is not the XCom value of an export"
    if not isinstance(value, Mapping):
        raise SettingsError(f"{wrong}: it is of type {type(value).__name__}")
    for name, kind in _PARTS.items():
        if not isinstance(value.get(name), kind):
            raise SettingsError(f"{wrong}: it has no {name}")
    span = value["window"]
    try:
        start, end = (datetime.fromisoformat(span[side]) for side in ("start", "end"))
        one = Slice(Window(start, end, window.zone), value["rows"], value["files"], value)
    except (KeyError, TypeError, ValueError):
        raise SettingsError(f"{wrong}: its window cannot be read") from None
    if span.get("timezone") != window.zone.key:
        raise DriftError(
            f"the export {one.span} was made in the zone {span.get('timezone')}, and the connection's is "
            f"{window.zone.key}; export it again"
        )
    if value.get("files_omitted") and isinstance(value.get("index"), str):
        one = replace(one, files=read_index(value["index"], aws_conn_id=aws_conn_id)["files"])
    elif value.get("files_omitted"):
        raise SettingsError(
            f"the export {one.span} names {len(one.files)} of its {len(one.files) + value['files_omitted']} files, "
            "because an XCom value is small, and no index; a manifest needs all"
        )
    if value["reported_total"] is not None and value["reported_total"] != one.rows:
        raise DriftError(
            f"not whole: {one.rows} of {value['reported_total']} calls are in the export {one.span}; export it again"
        )
    for file in one.files:
        if file.get("status") == "skipped":
            raise DriftError(
                f"the export {one.span} left another run's object at {file.get('uri')}, and nobody has proved what it "
                'holds; export it with if_exists="replace"'
            )
        if not str(file.get("uri", "")).startswith("s3://"):
            raise SettingsError(f"the export {one.span} did not go to S3; a manifest names objects in S3 only")
    if sum(file["rows"] for file in one.files) != one.rows:
        raise DriftError(f"the export {one.span} has {wording.calls(one.rows)}, and its files have another number")
    return one


def _check_alike(request: ManifestRequest) -> None:
    first = request.slices[0]
    if first.value["report"] != request.report:
        raise DriftError(f"the exports are of the report {first.value['report']}, and the manifest of {request.report}")
    for one in request.slices[1:]:
        for name in ("report", "file_format"):
            if one.value[name] != first.value[name]:
                raise DriftError(
                    f"the slices are not alike: {name} is {first.value[name]} {first.span}, and {one.value[name]} "
                    f"{one.span}"
                )
        for name in ("columns", "redacted_columns"):
            if not _same_list(first.value, one.value, name):
                raise DriftError(
                    f"the slices are not alike: {name} are {_shown(first.value[name])} {first.span}, and "
                    f"{_shown(one.value[name])} {one.span}; export both again with the same columns"
                )
        if one.value["schema_id"] != first.value["schema_id"]:
            raise DriftError(
                f"the slices are not alike: those {first.span} and {one.span} have other columns, or redact them "
                f"otherwise; export both again with the same columns, column_names and redact"
            )


def _check_tiles(request: ManifestRequest) -> None:
    window, slices = request.window, request.slices
    whole = f"the window {window.span}"
    for outside in (one for one in slices if one.window.start < window.start or one.window.end > window.end):
        raise DriftError(f"the slice {outside.span} is not inside {whole}")
    edges = [window.local_start, *(one.window.local_end for one in slices)]
    starts = [*(one.window.local_start for one in slices), window.local_end]
    for end, start in zip(edges, starts, strict=True):
        # In UTC: Python compares two times of one zone by their wall times.
        gap = start.timestamp() - end.timestamp()
        if gap > 0:
            raise DriftError(
                f"not whole: no slice has the calls from {end.isoformat()} to {start.isoformat()} of {whole}"
            )
        if gap < 0:
            raise DriftError(f"two slices of {whole} have the calls from {start.isoformat()} to {end.isoformat()}")


def _check_objects(request: ManifestRequest, s3: Any) -> dict[str, str | None]:
    """Look at each object; say which run wrote it."""
    expected: dict[str, tuple[Slice, Mapping[str, Any]]] = {}
    buckets: dict[str, list[str]] = {}
    for one in request.slices:
        for file in one.files:
            if file["uri"] in expected:
                raise DriftError(f"{file['uri']} is the file of two slices; one overwrote the other")
            expected[file["uri"]] = one, file
            bucket, _, key = file["uri"].removeprefix("s3://").partition("/")
            buckets.setdefault(bucket, []).append(key)
    written_by: dict[str, str | None] = {}
    for bucket, keys in buckets.items():
        for found in delivered_in_s3(bucket, keys, request.s3.aws_conn_id, check_bytes=request.check_bytes, client=s3):
            one, file = expected[found.where]
            wanted = (file["rows"], file["bytes"], file["sha256"], one.window.start, one.window.end)
            if (found.calls, found.bytes, found.sha256, found.start, found.end) != wanted:
                raise DriftError(
                    f"{found.where} is not the file that the export {one.span} delivered: its calls, size, SHA-256 or "
                    "window differ; export that slice again"
                )
            written_by[found.where] = found.run
    return written_by


def _files_before(request: ManifestRequest, s3: Any) -> dict[str, str]:
    """Address and SHA-256 of the files in the manifest that is at the key now; empty when the key has no manifest."""
    from botocore.exceptions import ClientError

    place = request.s3
    with s3_errors(place.uri, place.aws_conn_id):
        try:
            with closing(s3.get_object(Bucket=place.bucket, Key=place.key)["Body"]) as body:
                content: bytes = body.read()
        except ClientError as error:
            if error_status(error) >= 500:
                raise
            # Not there, or not to be read: then every slice counts as changed.
            return {}
    try:
        return {file["uri"]: file["sha256"] for file in json.loads(content)["files"]}
    except (ValueError, TypeError, LookupError):
        return {}


def _stamps(run: RunIdentity, exporters: Iterable[str]) -> set[str]:
    """How objects are marked that those tasks write in this run, mapped or not."""
    return {
        run_stamp(replace(run, task_id=task_id, map_index=map_index))
        for task_id in exporters
        for map_index in range(-1, MAX_WINDOWS)
    }


def _count(client: CallReportClient, request: ManifestRequest) -> int:
    """The API's count of the whole window; where it stops counting, of the slices; where that fails too, by reading."""
    whole = _counted(client, request, request.window)
    if whole is not None:
        return whole
    log.info("The API does not count the whole window at once; its slices are counted.")
    calls = 0
    for one in request.slices:
        counted = _counted(client, request, one.window)
        if counted is None:
            counted = count_calls(client, request.report, request.filters, one.window, by="read")
        calls += counted
    return calls


def _counted(client: CallReportClient, request: ManifestRequest, window: Window) -> int | None:
    count = counting.count_calls(client, request.report, request.filters, window)
    return count.calls if count.exact and count.calls != TOTAL_CAP else None


def _outcome(request: ManifestRequest) -> ReportOutcome:
    rows = sum(one.rows for one in request.slices)
    note = f"All {rows:,} calls that the API counts are in the {len(request.slices)} slices."
    return ReportOutcome(rows, rows, True, note)


def _entry(delivered: DeliveredFile) -> dict[str, Any]:
    file = delivered.file
    return {"uri": delivered.uri, "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}


def _manifest(request: ManifestRequest, rows: int) -> bytes:
    first = request.slices[0].value
    schema: dict[str, Any] = {}
    for name in ("columns", "redacted_columns"):
        shortest = min((one.value[name] for one in request.slices), key=len)
        schema[name] = list(shortest)
        if omitted := _length(first, name) - len(shortest):
            schema[f"{name}_omitted"] = omitted
    value = {
        "manifest": LAYOUT,
        "written_by": f"airflow-provider-callreport {__version__}",
        "report": request.report,
        "file_format": first["file_format"],
        "window": counting.window_json(request.window),
        "schema": schema,
        "rows": rows,
        "reported_total": rows,
        "bytes": sum(file["bytes"] for file in _files(request)),
        "files": [
            {
                **{name: file[name] for name in ("uri", "rows", "bytes", "sha256")},
                "window": {name: counting.window_json(one.window)[name] for name in ("start", "end")},
            }
            for one in request.slices
            for file in one.files
        ],
    }
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _files(request: ManifestRequest) -> list[Mapping[str, Any]]:
    return [file for one in request.slices for file in one.files]


def _same_list(first: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    """Whether two lists are alike, as far as their XCom values have room for them."""
    shown = min(len(first[name]), len(other[name]))
    return _length(first, name) == _length(other, name) and first[name][:shown] == other[name][:shown]


def _length(value: Mapping[str, Any], name: str) -> int:
    return len(value[name]) + int(value.get(f"{name}_omitted", 0))


def _shown(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 8} more" if len(labels) > 8 else ""
    return scrub(", ".join(labels[:8])) + more if labels else "none"
