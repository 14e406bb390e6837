"""The sandbox answers like one's own account: settings from the profile that ``callreport probe --save`` wrote.

The sandbox knows nothing of the rest of the package, so it reads the profile's JSON itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_callreport.sandbox.call import FIELD_NAMES, LABELS
from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.rows import RowShape, encode_json
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.sandbox.source import CallSource, Selection

#: What a profile calls these, and the sandbox's settings.
_CNT = {"total": "total", "page": "page", "so far": "so_far", "capped": "capped", "none": "missing"}
_CURSOR = {"none": "none", "top": "top", "row sAftr": "row_sAftr", "row sort": "row_sort"}
_REPORT_COUNT = {"agrees": "cnt", "differs": "differs", "missing": "missing"}

#: Any spelling of a column -> the sandbox's own label.
_OWN_LABELS = {
    name.casefold(): label for label, field in zip(LABELS, FIELD_NAMES, strict=True) for name in (label, field)
}

#: Page sizes that are asked for one after the other while the API refuses them. Another size is one that came.
_ROUND_SIZES = (1_000, 500, 100, 50)

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ProfileRows:
    """How rows of an account look, by its profile; see `api.profile.Profile`.

    Attributes:
        rows: ``position``, ``label``, ``field`` or ``array``.
        columns: label and key of each column.
        further: keys that are no column.
        width: cells of an array.
        ragged: whether every second array leaves out its last cell.
        id: the key of a call's id, or ``""``.
        legs: whether two rows share an id.
        day_first, twelve_hours, fractions: how times are written.
    """

    rows: str
    columns: tuple[tuple[str, str | int], ...]
    further: tuple[str, ...] = ()
    width: int = 0
    ragged: bool = False
    id: str = ""
    legs: bool = False
    day_first: bool | None = None
    twelve_hours: bool = False
    fractions: bool = False

    def column_arr(self) -> dict[str, str] | None:
        """The ``columnArr`` that goes with such rows; None where the rows' fields are the columns."""
        if self.rows == "field":
            return None
        if self.rows == "array":
            return {str(int(key) + 1): _printed(label) for label, key in self.columns}
        if self.rows == "position":
            return {str(key): _printed(label) for label, key in self.columns}
        return {str(place): label for place, (label, _) in enumerate(self.columns, 1)}

    def row(self, call: Mapping[str, Any], serial: int, cursor: Mapping[str, Any]) -> Any:
        """One row.

        Args:
            call: the call by the sandbox's own labels, with its ``callId``.
            serial: the call's serial.
            cursor: the row's cursor under its key, or nothing.
        """
        call_id = f"legs{serial // 2:023x}" if self.legs else call["callId"]
        cells = [call_id if key == self.id else self._cell(label, call) for label, key in self.columns]
        if self.rows == "array":
            return self._array(cells, serial)
        made: dict[str, Any] = {str(key): cell for (_, key), cell in zip(self.columns, cells, strict=True)}
        made.update(dict.fromkeys(self.further, ""))
        if self.id:
            made[self.id] = call_id
        return {**made, **cursor}

    def _array(self, cells: list[Any], serial: int) -> list[Any]:
        made: list[Any] = [""] * self.width
        for (_, key), cell in zip(self.columns, cells, strict=True):
            if isinstance(key, int) and key < self.width:
                made[key] = cell
        return made[:-1] if self.ragged and serial % 2 else made

    def _cell(self, label: str, call: Mapping[str, Any]) -> Any:
        own = _OWN_LABELS.get(_printed(label).strip().casefold())
        if own is None:
            return ""
        return self._time(call[own]) if own == "Time" else call[own]

    def _time(self, text: str) -> str:
        moment = datetime.fromisoformat(text)
        date = {True: "%d-%m-%Y", False: "%m/%d/%Y", None: "%Y-%m-%d"}[self.day_first]
        half = moment.strftime(" %p") if self.twelve_hours else ""
        clock = "%I:%M:%S" if self.twelve_hours else "%H:%M:%S"
        return moment.strftime(f"{date} {clock}") + (".500" if self.fractions else "") + half


@dataclass(frozen=True, slots=True)
class CallsLikeAccount:
    """The calls of another source, in rows as an account has them.

    Attributes:
        source: the calls.
        shape: how the rows look.
    """

    source: CallSource
    shape: ProfileRows

    def select(self, wanted: CallFilter) -> Selection:
        """The calls that match a filter."""
        if self.shape.fractions and wanted.end is not None:
            # A call at half past a second comes after that second, with which the window ends.
            wanted = replace(wanted, end=wanted.end - _SECOND)
        return _SelectionLikeAccount(self.source.select(wanted), self.shape)

    def recording(self, call_id: str) -> str | None:
        """The recording of a call."""
        return self.source.recording(call_id)


@dataclass(frozen=True, slots=True)
class _SelectionLikeAccount:
    inner: Selection
    shape: ProfileRows

    def __len__(self) -> int:
        return len(self.inner)

    def cursor(self, position: int) -> tuple[int, int]:
        return self.inner.cursor(position)

    def rank(self, milliseconds: int | None, serial: int, *, inclusive: bool) -> int:
        return self.inner.rank(milliseconds, serial, inclusive=inclusive)

    def encode(self, start: int, stop: int, shape: RowShape) -> list[str]:
        plain = RowShape(row="label", row_cursor=shape.row_cursor, scalar_cursor=shape.scalar_cursor)
        rows = []
        for position, text in enumerate(self.inner.encode(start, stop, plain), start):
            call = json.loads(text)
            cursor = {key: call[key] for key in (shape.row_cursor,) if key is not None}
            rows.append(encode_json(self.shape.row(call, self.inner.cursor(position)[1], cursor)))
        return rows


def read_profile(path: Path) -> Mapping[str, Any]:
    """The profile in a file.

    Raises:
        ValueError: it cannot be read, or is no profile.
    """
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--profile is {str(path)!r}, which cannot be read: {error.strerror}") from None
    except ValueError:
        profile = None
    if not isinstance(profile, dict) or profile.get("version") != 1:
        raise ValueError(f"--profile is {str(path)!r}, which is no profile; `callreport probe --save` writes one")
    return profile


def apply_profile(settings: SandboxSettings, profile: Mapping[str, Any]) -> None:
    """Make the sandbox answer like the account of a profile. What the profile does not say stays as it is.

    Args:
        settings: changed.
        profile: JSON of a profile.

    Raises:
        ValueError: the profile says something that is not allowed.
    """
    for part, names, setting in (
        ("count", _CNT, "cnt"),
        ("cursor", _CURSOR, "cursor"),
        ("report_count", _REPORT_COUNT, "report_count"),
    ):
        said = profile.get(part)
        if said is not None:
            setattr(settings, setting, _one_of(part, said, names))
    if profile.get("cap") is not None:
        settings.cnt_cap = int(profile["cap"])
    if profile.get("page_size") is not None:
        settings.max_page_size = int(profile["page_size"])
        settings.page_size_policy = "refuse" if settings.max_page_size in _ROUND_SIZES else "clamp"
    settings.beside = {str(key): tuple(said) for key, said in profile.get("beside", {}).items()}
    if not profile.get("columns"):
        return
    shape = _rows(profile)
    settings.column_arr = shape.column_arr()
    if settings.column_arr is None:
        settings.columns_shape = "missing"
    settings.calls = CallsLikeAccount(settings.calls, shape)
    settings.masked_calls = CallsLikeAccount(settings.masked_calls, shape)


def _rows(profile: Mapping[str, Any]) -> ProfileRows:
    time = profile.get("time") or {}
    return ProfileRows(
        rows=_one_of("rows", profile.get("rows"), {name: name for name in ("position", "label", "field", "array")}),
        columns=tuple((str(label), key) for label, key in profile["columns"]),
        further=tuple(map(str, profile.get("further", ()))),
        width=int(profile.get("width") or 0),
        ragged=bool(profile.get("ragged")),
        id=str(profile.get("id") or ""),
        legs=bool(profile.get("legs")),
        day_first=time.get("day_first"),
        twelve_hours=bool(time.get("twelve_hours")),
        fractions=bool(time.get("fractions")),
    )


def _one_of(part: str, said: Any, names: Mapping[str, str]) -> str:
    if said not in names:
        raise ValueError(f"the profile has {part}: {said!r}; allowed are {', '.join(names)}")
    return names[said]


def _printed(label: str) -> str:
    """A label as the API prints it: without the number that tells two columns of one label apart."""
    head, found, tail = label.rpartition(" (")
    return head if found and tail.endswith(")") and tail[:-1].isdigit() else label
