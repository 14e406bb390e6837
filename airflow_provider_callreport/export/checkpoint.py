"""What a long export keeps for the task's next try: the slices of its window that it has read and proved.

A window of 10,000 calls or more is read in parts. As each part is whole, its rows go to an object under a prefix that
the user chose, and the task's state store (Airflow 3.3) remembers it. A later try of the same task instance takes those
rows instead of asking the API again; the file comes out the same, byte for byte. When the report is delivered, the
objects are removed.

Before a slice is used, the API counts its calls once more, which costs one request. A slice of which the number has
changed is read again. What this cannot see is a slice in which as many calls have come as have gone since it was kept,
and a call that was changed: there the file has the slice as it was when it was read, at most `MAX_AGE` ago.

What is stored is what would be in the file: rows after redaction. The store itself holds no call, only times, numbers
and hashes. Nothing here fails an export: what cannot be kept, or is no longer there, is read again.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_callreport.api.errors import ReportChangedError
from airflow_provider_callreport.api.slices import KeptSlice
from airflow_provider_callreport.delivery.errors import DeliveryError
from airflow_provider_callreport.spool import private_file

if TYPE_CHECKING:
    from airflow_provider_callreport.api.filters import Window
    from airflow_provider_callreport.api.settings import ClientSettings
    from airflow_provider_callreport.delivery.slice_objects import SliceObjects
    from airflow_provider_callreport.report import Column, Row, RunIdentity, Value

log = logging.getLogger(__name__)

#: Slices older than this are read again: calls are updated after they end.
MAX_AGE = timedelta(days=1)

#: Changes when what is stored changes.
_LAYOUT = "1"


class StateStore(Protocol):
    """What remembers a JSON object over the tries of a task instance."""

    def get(self) -> Mapping[str, Any] | None:
        """What an earlier try has set, or None."""

    def set(self, value: Mapping[str, Any]) -> None:
        """Store durably."""

    def delete(self) -> None:
        """Forget."""


@dataclass(frozen=True)
class Checkpoint:
    """Where slices are kept, and what remembers them.

    Attributes:
        objects: the place of their rows.
        store: the task's state store.
    """

    objects: SliceObjects
    store: StateStore

    def open(
        self,
        directory: Path,
        rows: Mapping[str, Any],
        settings: ClientSettings,
        run: RunIdentity,
        count: Callable[[Window], int | None],
    ) -> CheckpointKeeper | None:
        """The keeper of one export; None where there is no place to keep anything.

        Args:
            directory: private directory for files on their way.
            rows: all of the request that decides what the rows are; slices of other rows are not used.
            settings: the account. Hashes are keyed with its token, so that nobody can guess what they are of.
            run: who exports.
            count: asks the API how many calls it has in a window now; None where it gives no exact number.
        """
        key = hmac.new(settings.secrets()[0].encode(), b"callreport checkpoint", hashlib.sha256).digest()
        try:
            client = self.objects.connect()
            return CheckpointKeeper(self, client, directory, key, _fingerprint(key, rows, settings), run, count)
        except Exception as error:
            _tell("Nothing is kept for a later try", error)
            return None


class CheckpointKeeper:
    """A `SliceKeeper` over S3 and the task's state store.

    Attributes:
        identity_key: key of the ledger's hashes.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        client: Any,
        directory: Path,
        key: bytes,
        fingerprint: str,
        run: RunIdentity,
        count: Callable[[Window], int | None],
    ) -> None:
        self.identity_key = key
        self._count = count
        self._objects = checkpoint.objects
        self._store = checkpoint.store
        self._client = client
        self._directory = directory
        # Two task instances that export the same do not share slices, nor remove each other's.
        self._folder = hmac.new(key, run.key.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
        self._columns: list[list[str]] = []
        self._rows: Any = None
        self._parts: dict[str, int] = {}
        self._slices: dict[str, str] = {}
        self._state: dict[str, Any] = {
            "fingerprint": fingerprint,
            "since": datetime.now(UTC).isoformat(),
            "parts": self._parts,
            "slices": self._slices,
        }
        found = self._store.get()
        if found is not None and found.get("fingerprint") == fingerprint and _age(found) < MAX_AGE:
            self._parts.update(found["parts"])
            self._slices.update(found["slices"])
            self._state["since"] = found["since"]
            log.info("An earlier try has kept %d slices of this report", len(self._slices))

    def start(self, columns: Sequence[Column]) -> None:
        """The columns of the rows, after redaction."""
        self._columns = [[column.label, column.kind.value] for column in columns]

    def number_of_parts(self, window: Window) -> int | None:
        """In how many parts an earlier try read a window, or None."""
        return self._parts.get(_name(window))

    def split(self, window: Window, number: int) -> None:
        """A window is going to be read in so many parts."""
        self._parts[_name(window)] = number

    def kept(self, window: Window) -> KeptSlice | None:
        """What is kept of a window, or None where it is not, is gone, is not what was stored, or has changed since."""
        digest = self._slices.get(_name(window))
        if digest is None:
            return None
        path = self._path(window)
        try:
            private_file(path)
            self._objects.get(self._client, self._object_name(window), path)
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest()[: len(digest)] != digest:
                    raise ValueError("it is not the object that was stored")
            with gzip.open(path, "rt", encoding="ascii") as lines:
                head = json.loads(next(lines))
            counted = None if head["total"] is None else self._count(window)
            if counted is not None and counted != head["total"]:
                raise _ChangedSliceError(f"it holds {head['total']} calls, and the API counts {counted} in it now")
            return KeptSlice(
                window,
                head["rows"],
                head["pages"],
                head["total"],
                head["complete"],
                head["identities"],
                head["identified"],
            )
        except Exception as error:
            _tell("A slice that was kept is read again", error)
            del self._slices[_name(window)]
            path.unlink(missing_ok=True)
            return None

    def rows(self, kept: KeptSlice) -> Iterator[list[Row]]:
        """The rows of a slice that `kept` has just found, a page at a time.

        Raises:
            ReportChangedError: they have other columns than the report has now.
        """
        path = self._path(kept.window)
        with gzip.open(path, "rt", encoding="ascii") as lines:
            # A slice without a call may have been finished before the columns were known.
            if json.loads(next(lines))["columns"] != self._columns and kept.rows:
                raise ReportChangedError(
                    "the report's columns are not those of the slices that were kept",
                    page=kept.pages,
                    rows=0,
                    promised=kept.total,
                )
            for line in lines:
                yield [[_restored(cell) for cell in row] for row in json.loads(line)]
        path.unlink()

    def begin(self) -> None:
        """The pages that follow are those of one slice."""
        self._close_rows()
        private_file(self._rows_path)
        self._rows = gzip.open(self._rows_path, "wt", compresslevel=1, encoding="ascii")  # noqa: SIM115

    def add(self, rows: Sequence[Row]) -> None:
        """Rows of the slice that has begun; nothing happens where none has."""
        if self._rows is not None:
            self._rows.write(json.dumps([[_stored(cell) for cell in row] for row in rows]) + "\n")

    def finish(self, finished: KeptSlice) -> None:
        """Its last page has been written: store it."""
        if self._rows is None:
            return
        self._close_rows()
        path = self._path(finished.window)
        head = {
            "columns": self._columns,
            "rows": finished.rows,
            "pages": finished.pages,
            "total": finished.total,
            "complete": finished.complete,
            "identified": finished.identified,
            "identities": list(finished.identities),
        }
        try:
            private_file(path)
            # Two gzip members, one behind the other, are one file: the head is known last and stands first.
            path.write_bytes(gzip.compress(json.dumps(head).encode() + b"\n") + self._rows_path.read_bytes())
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
            self._objects.put(self._client, self._object_name(finished.window), path)
            self._slices[_name(finished.window)] = digest
            self._store.set(self._state)
        except Exception as error:
            self._slices.pop(_name(finished.window), None)
            _tell("A slice is not kept for a later try", error)
        finally:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all that is kept."""
        self._close_rows()
        if not self._slices:
            return
        try:
            self._objects.remove(self._client, [f"{self._folder}/{name}" for name in self._slices])
            self._store.delete()
        except Exception as error:
            _tell("Slices that were kept could not be removed; a lifecycle rule of the bucket can", error)
        self._slices.clear()
        self._parts.clear()

    def _close_rows(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    @property
    def _rows_path(self) -> Path:
        return self._directory / "slice-rows"

    def _path(self, window: Window) -> Path:
        return self._directory / f"slice-{_name(window)}"

    def _object_name(self, window: Window) -> str:
        return f"{self._folder}/{_name(window)}"


class _ChangedSliceError(ValueError):
    """The API no longer has as many calls in a slice."""


def _fingerprint(key: bytes, rows: Mapping[str, Any], settings: ClientSettings) -> str:
    """A keyed hash of all that decides what the rows are."""
    parts = {**rows, "layout": _LAYOUT, "base_url": settings.base_url, "hmac": settings.hmac_secret}
    return hmac.new(key, json.dumps(parts, sort_keys=True, default=str).encode(), hashlib.sha256).hexdigest()


def _name(window: Window) -> str:
    return f"{window.start.timestamp():.0f}-{window.end.timestamp():.0f}"


def _age(state: Mapping[str, Any]) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(state["since"])


def _stored(cell: Value) -> Any:
    # No cell is a list, so that one stands for a time.
    return [cell.isoformat()] if isinstance(cell, datetime) else cell


def _restored(cell: Any) -> Value:
    value: Value = datetime.fromisoformat(cell[0]) if isinstance(cell, list) else cell
    return value


def _tell(what: str, error: Exception) -> None:
    # A foreign exception's text may hold anything.
    own = isinstance(error, (DeliveryError, _ChangedSliceError))
    log.warning("%s (%s)", what, error if own else type(error).__name__)
