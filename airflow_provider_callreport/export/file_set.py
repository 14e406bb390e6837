"""Several files of one report: written, named by an index, and rid of what an earlier export of them has left.

A report that is grouped, or cut into parts, has another set of files each time that its calls change. So a set has an
index, a JSON object that is written last: where it is, see `groups.index_key`. It is what makes the set valid: whoever
reads the files by their index never sees half a set, nor a file that is none of it::

    {"index": 1, "report": "calls",
     "window": {"start": "2026-03-13T00:00:00+05:30", "end": "2026-03-14T00:00:00+05:30", "timezone": "Asia/Kolkata"},
     "file_format": "csv", "filters": [], "group_by": "Campaign", "columns": ["Time", "Campaign"],
     "redacted": {"Caller Number": "last4"},
     "rows": 15, "reported_total": 15, "complete": true, "bytes": 1234,
     "files": [{"group": "North/South", "key": "calls/North_South-8ad9a55c13.csv", "uri": "s3://...", "rows": 15,
                "bytes": 1234, "sha256": "..."}]}

``group`` is the value as the column has it, ``"(none)"`` for calls without one, null for a report without calls. A set
of parts has ``part`` in its place, from 1. Neither clock nor run is in the index: the same calls give the same bytes.

**What is removed.** After the index is written, the files go that the index before it lists and the new one does not:
those that are still as they were listed, and, in S3, that an export of the same report and window wrote. What cannot
be removed is named in the log and in the summary, and is tried again by the next export of the set.

A run that is killed has written files that no index lists. So before the first file a second object, the index's key
with ``.pending`` behind it, lists what may be there beside the new set. It is gone when the set is complete.

``if_exists="fail"`` and ``"skip"`` look at the index and all files before the first is written, and take the set as a
whole: one object of another run, and nothing is written.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.delivery.errors import ObjectExistsError
from airflow_provider_callreport.delivery.receipts import DeliveredFile, DeliveryStatus, ListedFile
from airflow_provider_callreport.export.groups import index_key, place
from airflow_provider_callreport.export.sinks import exported_file
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity
from airflow_provider_callreport.spool import private_file

if TYPE_CHECKING:
    from airflow_provider_callreport.delivery.object_storage import ObjectStorageDestination
    from airflow_provider_callreport.delivery.s3 import S3Destination

    Destination = S3Destination | ObjectStorageDestination

log = logging.getLogger(__name__)

#: Version of the index's layout.
LAYOUT = 1

#: The largest index that is read: 1,000 files with the longest keys have 2 MB.
MAX_INDEX_BYTES = 4 * 1024 * 1024

#: What the index says of each file, and of which type it is.
_FILE_TYPES = {"key": str, "uri": str, "rows": int, "bytes": int, "sha256": str}

_CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class FileSet:
    """The files of one report.

    Attributes:
        files: the finished files.
        group_by: the API's label of the column whose values they are, or None for parts.
        file_format: the format's name.
        columns: the columns' names as written.
        info: the report's description.
        outcome: its proof.
    """

    files: Sequence[ExportedFile]
    group_by: str | None
    file_format: str
    columns: Sequence[str]
    info: ReportInfo
    outcome: ReportOutcome


@dataclass(frozen=True, slots=True)
class DeliveredSet:
    """What became of a set.

    Attributes:
        files: what became of each file.
        index: the index; None where another run's set was left as it is.
        not_removed: addresses of files of an earlier set that could not be removed.
    """

    files: Sequence[DeliveredFile]
    index: DeliveredFile | None = None
    not_removed: Sequence[str] = ()


def deliver_set(file_set: FileSet, destination: Destination, directory: Path, *, run: RunIdentity) -> DeliveredSet:
    """Write the files, then their index; then remove what an earlier set had and this one has not.

    Args:
        file_set: the files.
        destination: where they go; its key is the one with the placeholder.
        directory: the spool directory.
        run: who delivers; the same for every try of one task instance.

    Raises:
        ObjectExistsError: ``if_exists="fail"``, and an object of another run is at one of the keys.
        DeliveryError: a file, or the index, could not be written.
    """
    delivery = _Delivery(file_set, destination.connected(), directory, run)
    taken = delivery.taken()
    if taken:
        return delivery.leave_alone(taken)
    stale = delivery.begin()
    files = delivery.write_files()
    if any(one.status is DeliveryStatus.SKIPPED for one in files):
        log.warning("Another run has written some of the files meanwhile; the set has no index.")
        return DeliveredSet(files)
    index = delivery.write_index()
    return DeliveredSet(files, index, delivery.end(stale))


def read_index(address: str, *, aws_conn_id: str | None, conn_id: str | None = None) -> dict[str, Any]:
    """Read the index of a set.

    Args:
        address: where it is, such as ``s3://bucket/calls/_index.csv.json``.
        aws_conn_id: AWS connection, for an index in S3.
        conn_id: Airflow's connection for another store.

    Raises:
        ValueError: there is none, or one of a layout that this version does not know.
        DeliveryError: the store does not answer.
    """
    from airflow_provider_callreport.delivery.object_storage import destination_at
    from airflow_provider_callreport.delivery.s3 import S3Destination, bucket_and_key

    place: Destination
    if address.startswith("s3://") and conn_id is None:
        place = S3Destination(*bucket_and_key(address), aws_conn_id)
    else:
        place = destination_at(address, conn_id=conn_id, aws_conn_id=aws_conn_id)
    content = place.read(MAX_INDEX_BYTES)
    if content is None:
        raise ValueError(f"nothing is at {address} that can be read as an index")
    try:
        value = json.loads(content)
        known = value["index"] == LAYOUT and all(
            isinstance(file[name], kind) for file in value["files"] for name, kind in _FILE_TYPES.items()
        )
    except (ValueError, TypeError, LookupError):
        known = False
    if not known:
        raise ValueError(f"{address} is no index of a set of files, or of a layout that this version does not know")
    return dict(value)


class _Delivery:
    """One set on its way to its place."""

    def __init__(self, file_set: FileSet, destination: Destination, directory: Path, run: RunIdentity) -> None:
        self._set = file_set
        self._destination = destination
        self._directory = directory
        self._run = run
        self._keys = [place(destination.key, file.group) for file in file_set.files]
        self._index_key = index_key(destination.key)
        self._index = self._json_file(self._index_key, self._index_value(), file_set.outcome.rows)
        # The note of what may be there, while it is there.
        self._note: ListedFile | None = None

    def taken(self) -> list[str]:
        """Addresses at which something is that ``if_exists`` protects."""
        if self._destination.if_exists == "replace":
            return []
        pairs = zip([*self._keys, self._index_key], [*self._set.files, self._index], strict=True)
        targets = [(self._at(key), file) for key, file in pairs]
        return [target.uri for target, file in targets if target.is_taken(file, self._run)]

    def leave_alone(self, taken: Sequence[str]) -> DeliveredSet:
        """Write nothing, because something is there already.

        Raises:
            ObjectExistsError: ``if_exists="fail"``.
        """
        more = f" and {len(taken) - 1} more of the set exist" if len(taken) > 1 else " exists"
        if self._destination.if_exists == "fail":
            raise ObjectExistsError(
                f'{taken[0]}{more} already and not written by this run; if_exists="fail" leaves the set as it is, and '
                f'nothing was written (allowed are "replace", "fail", "skip").'
            )
        log.info('%s%s already; if_exists="skip" leaves the set as it is.', taken[0], more)
        return DeliveredSet(
            [
                DeliveredFile(self._at(key).uri, DeliveryStatus.SKIPPED, file)
                for key, file in zip(self._keys, self._set.files, strict=True)
            ]
        )

    def begin(self) -> list[ListedFile]:
        """Note what may be there until the set is complete; say what of it is not in the set."""
        new = [ListedFile(key, file.bytes, file.sha256) for key, file in zip(self._keys, self._set.files, strict=True)]
        before, noted = self._listed_at(self._index_key), self._listed_at(self._note_key)
        # A run that did not end may have written another version of a file than the index lists.
        known = dict.fromkeys([*before, *noted])
        if noted or set(before) != set(new):
            self._write_note([*known, *(file for file in new if file not in known)])
        return [file for file in known if file.key not in self._keys]

    def write_files(self) -> list[DeliveredFile]:
        """Write the files in their order."""
        return [self._deliver(key, file) for key, file in zip(self._keys, self._set.files, strict=True)]

    def write_index(self) -> DeliveredFile:
        """Write the index: from now on the set is valid."""
        return self._deliver(self._index_key, self._index)

    def end(self, stale: Sequence[ListedFile]) -> list[str]:
        """Remove what is not in the set, and the note. Returns the addresses of what could not be removed."""
        left = []
        for key in sorted({file.key for file in stale}):
            versions = [file for file in stale if file.key == key]
            if why := self._remove(key, versions):
                log.warning("%s is of an earlier set, and was not removed: %s", self._at(key).uri, why)
                left += versions
        if left:
            self._write_note(left)
        elif self._note is not None and (why := self._remove(self._note_key, [self._note])):
            log.warning("%s is not needed any more, and was not removed: %s", self._at(self._note_key).uri, why)
            self._write_note([])
        return list(dict.fromkeys(self._at(file.key).uri for file in left))

    def _remove(self, key: str, versions: Sequence[ListedFile]) -> str:
        alike = {_folded(key) for key in self._keys}
        if not self._destination.tells_case_apart and _folded(key) in alike:
            return "a file of the new set has the same name but for case"
        return self._at(key).remove(versions, self._set.info, self._run)

    @property
    def _note_key(self) -> str:
        return f"{self._index_key}.pending"

    def _write_note(self, files: Sequence[ListedFile]) -> None:
        value = {**self._report(), "pending": [{"key": f.key, "bytes": f.bytes, "sha256": f.sha256} for f in files]}
        file = self._json_file(self._note_key, value, 0)
        # It is this package's own, whoever wrote it.
        target = replace(self._at(self._note_key), if_exists="replace")
        target.deliver(file, info=self._set.info, outcome=self._set.outcome, run=self._run)
        self._note = ListedFile(self._note_key, file.bytes, file.sha256)

    def _listed_at(self, key: str) -> list[ListedFile]:
        """What an index or a note of the same report and window lists."""
        content = self._at(key).read(MAX_INDEX_BYTES)
        if content is None:
            return []
        try:
            value = json.loads(content)
            files = [ListedFile(f["key"], f["bytes"], f["sha256"]) for f in value.get("pending", value.get("files"))]
        except (ValueError, TypeError, LookupError, AttributeError):
            log.warning("%s is no index of this package; what it may list stays.", self._at(key).uri)
            return []
        if {name: value.get(name) for name in self._report()} != self._report():
            stay = sum(file.key not in self._keys for file in files)
            if stay:
                log.warning("%s is of another report or window; %d files that it lists stay.", self._at(key).uri, stay)
            return []
        return files

    def _at(self, key: str) -> Destination:
        return replace(self._destination, key=key)

    def _deliver(self, key: str, file: ExportedFile) -> DeliveredFile:
        return self._at(key).deliver(file, info=self._set.info, outcome=self._set.outcome, run=self._run)

    def _json_file(self, key: str, value: Mapping[str, Any], rows: int) -> ExportedFile:
        path = private_file(self._directory / f"set-{key.rpartition('/')[2]}")
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        # Half of a character pair is an escape in JSON, and nothing in UTF-8.
        path.write_bytes(text.encode("utf-8", "backslashreplace"))
        return exported_file(path, path.name, _CONTENT_TYPE, rows)

    def _report(self) -> dict[str, Any]:
        return {"report": self._set.info.report, "window": self._set.info.window_json()}

    def _index_value(self) -> dict[str, Any]:
        one, outcome = self._set, self._set.outcome
        return {
            "index": LAYOUT,
            **self._report(),
            "file_format": one.file_format,
            "filters": list(one.info.filters),
            "group_by": one.group_by,
            "columns": list(one.columns),
            "redacted": dict(one.info.redacted),
            "rows": outcome.rows,
            "reported_total": outcome.total_to_compare,
            "complete": outcome.complete,
            **({"window_open": True} if outcome.window_open else {}),
            "bytes": sum(file.bytes for file in one.files),
            "files": [
                {
                    **({"part": number} if one.group_by is None else {"group": file.group_value or None}),
                    "key": key,
                    "uri": self._at(key).uri,
                    "rows": file.rows,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                }
                for number, (key, file) in enumerate(zip(self._keys, one.files, strict=True), start=1)
            ],
        }


def _folded(key: str) -> str:
    return unicodedata.normalize("NFC", key).casefold()
