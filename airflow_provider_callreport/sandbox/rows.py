"""Row and value shapes: how one call looks as JSON.

No answer of the vendor's with calls in it was ever seen, so every shape that may come can be played. For speed a row
is not encoded from scratch: what many calls share is encoded once, as a `RowTemplate` with holes for what differs from
call to call (`Moving`), and a page is made by filling templates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import itemgetter
from typing import Any, TypeVar

from airflow_provider_callreport.sandbox.call import FIELD_NAMES, LABELS, Call

T = TypeVar("T")

ROW_SHAPES = ("position", "label", "fields", "hit", "array", "short_array", "long_array", "data_object")
NUMBER_SHAPES = ("text", "integer", "plus", "starred", "hashed", "mask", "null", "mixed")
TIME_SHAPES = ("naive", "dmy", "iso", "epoch", "epoch_ms", "zero", "mixed")
DURATION_SHAPES = ("seconds", "numeral", "mm_ss", "hh_mm_ss", "dash", "empty", "null", "mixed")
AMOUNT_SHAPES = ("number", "text", "object", "null", "mixed")
RECORDING_SHAPES = ("token", "boolean", "count", "path", "url", "list", "null", "mixed")
DTMF_SHAPES = ("text", "list", "mixed")

#: How many cells a ``short_array`` row lacks at its end.
SHORT_BY = 3

#: What a ``long_array`` row has beyond its columns.
SURPLUS_CELL = "surplus"

# A cell that is a hole is this text until its row is encoded; private-use characters, so that no real cell is one.
_HOLE = re.compile('"\ue000([a-z]+)\ue001"')
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Moving(IntEnum):
    """What differs from call to call, as places in the tuple that fills a template."""

    NUMBER = 0
    """The JSON of the caller's number."""
    EPOCH = 1
    """Start of the call in whole seconds since 1970 UTC."""
    DATE = 2
    """Its local date, ``YYYY-MM-DD``."""
    DMY = 3
    """The same as ``DD-MM-YYYY``."""
    CLOCK = 4
    """Its local time of day, ``HH:MM:SS``."""
    OFFSET = 5
    """The zone's offset at that instant, ``+05:30``."""
    TOKEN = 6
    """The recording's token path, escaped for JSON."""
    ID = 7
    """The call's id, escaped for JSON."""
    SERIAL = 8
    """The call's serial in cursors."""


@dataclass(frozen=True, slots=True)
class RowShape:
    """Everything that decides how a row looks; hashable, so that templates can be kept for it."""

    labels: tuple[str, ...] = LABELS
    row: str = "position"
    ids: bool = True
    row_cursor: str | None = None
    scalar_cursor: bool = False
    number: str = "text"
    time: str = "naive"
    duration: str = "seconds"
    amount: str = "number"
    recording: str = "token"
    dtmf: str = "text"


@dataclass(frozen=True, slots=True)
class RowTemplate:
    """A row with holes: ``text % moving(values)``, with one value a `Moving`, is the row's JSON.

    Attributes:
        text: the JSON with a ``%s`` a hole.
        moving: picks the values for the holes, in their order.
        number: the number shape: which of `NUMBERS` makes the `Moving.NUMBER` of this row.
        has_recording: whether `Moving.TOKEN` is asked for.
    """

    text: str
    moving: Callable[[Sequence[object]], Any]
    number: str
    has_recording: bool


def encode_json(value: Any) -> str:
    """Encode as ``JSON.stringify`` does: compact, real characters, and lone surrogates as escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def row_template(shape: RowShape, call: Call, variant: int = 0) -> RowTemplate:
    """Encode what is fixed of a call.

    Args:
        shape: the shape of the row and its values.
        call: the call; its ``number``, ``time``, ``call_id`` and the text of its ``recording`` are not looked at
            (only how many recordings it has).
        variant: picks the shape of each value where ``shape`` says ``"mixed"``.
    """
    holes = {
        "number": ("%s", (Moving.NUMBER,)),
        "time": _pick(_TIMES, shape.time, variant),
        "recording": _pick(_RECORDINGS, shape.recording, variant),
        "id": ('"%s"', (Moving.ID,)),
        "sort": ("%s", (Moving.SERIAL,)) if shape.scalar_cursor else ("[%s000,%s]", (Moving.EPOCH, Moving.SERIAL)),
    }
    order: list[int] = []

    def open_hole(match: re.Match[str]) -> str:
        text, moving = holes[match[1]]
        order.extend(moving)
        return text

    text = _HOLE.sub(open_hole, encode_json(_row(shape, call, variant)).replace("%", "%%"))
    return RowTemplate(
        text=text,
        moving=itemgetter(*order) if order else _no_values,
        number=_pick_name(NUMBERS, shape.number, variant),
        has_recording=Moving.TOKEN in order,
    )


def _row(shape: RowShape, call: Call, variant: int) -> Any:
    cells = [_cell(label, shape, call, variant) for label in shape.labels]
    match shape.row:
        case "array":
            return cells
        case "short_array":
            return cells[:-SHORT_BY]
        case "long_array":
            return [*cells, SURPLUS_CELL]
        case "label":
            row = dict(zip(shape.labels, cells, strict=True))
        case "fields" | "hit":
            names = dict(zip(LABELS, FIELD_NAMES, strict=True))
            row = {names.get(label, label): cell for label, cell in zip(shape.labels, cells, strict=True)}
        case _:  # "position", and "data_object", which differs in the envelope only
            row = {str(position): cell for position, cell in enumerate(cells, 1)}
    row |= call.extra
    if shape.row == "hit":
        row = {"_id": _hole("id"), "_source": row} if shape.ids else {"_source": row}
    elif shape.ids:
        row["callId"] = _hole("id")
    if shape.row_cursor:
        row[shape.row_cursor] = _hole("sort")
    return row


def _cell(label: str, shape: RowShape, call: Call, variant: int) -> Any:
    if label in call.cells:
        return call.cells[label]
    match label:
        case "Caller Number":
            return _hole("number")
        case "Time":
            return _hole("time")
        case "DID Number":
            return call.did
        case "Campaign":
            return call.campaign
        case "Agents":
            return call.agents
        case "Master Agent":
            return call.master_agent
        case "Call Duration":
            return _pick(_DURATIONS, shape.duration, variant)(call.call_duration)
        case "Customer Duration":
            return _pick(_DURATIONS, shape.duration, variant)(call.customer_duration)
        case "Total Talk Duration":
            return _pick(_DURATIONS, shape.duration, variant)(call.talk_duration)
        case "Agent on Call Duration":
            return _pick(_DURATIONS, shape.duration, variant)(call.agent_duration)
        case "Amount":
            return _pick(_AMOUNTS, shape.amount, variant)(call.amount)
        case "Rec.":
            return _recording_cell(_pick_name(_RECORDINGS, shape.recording, variant), len(call.recording.split()))
        case "Status":
            return call.status
        case "Details":
            return call.details
        case "Forward":
            return call.forward
        case "DTMF":
            return _pick(_DTMFS, shape.dtmf, variant)(call.dtmf)
        case _:
            return ""


def _hole(name: str) -> str:
    return f"\ue000{name}\ue001"


def _no_values(values: Sequence[object]) -> tuple[()]:
    return ()


def _pick_name(table: dict[str, T], name: str, variant: int) -> str:
    return list(table)[variant % len(table)] if name == "mixed" else name


def _pick(table: dict[str, T], name: str, variant: int) -> T:
    return table[_pick_name(table, name, variant)]


def _minutes(seconds: int) -> str:
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _hours(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _recording_cell(shape: str, recordings: int) -> Any:
    match shape:
        case "boolean":
            return recordings > 0
        case "count":
            return recordings
        case "null":
            return None
        case "list":
            return [{"nodeid": "n1", "visitId": 1, "file": _hole("recording")}] if recordings else []
        case _:
            return _hole("recording") if recordings else ""


def _plain(amount: float) -> float:
    """A whole number without a fraction, as JavaScript writes it."""
    return int(amount) if amount == int(amount) else amount


def _starred(number: str, _mask: str) -> str:
    return f'"{number[:2]}{"X" * max(len(number) - 6, 0)}{number[-4:]}"'


def _hashed(number: str, _mask: str) -> str:
    return f'"{hashlib.sha256(number.encode()).hexdigest()[:32]}"'


#: Number and mask id, both escaped for JSON, to the JSON of the number's cell, by shape.
NUMBERS: dict[str, Callable[[str, str], str]] = {
    "text": lambda number, mask: f'"{number}"',
    "integer": lambda number, mask: number or "null",
    "plus": lambda number, mask: f'"+{number}"',
    "starred": _starred,
    "hashed": _hashed,
    "mask": lambda number, mask: f'"{mask}"',
    "null": lambda number, mask: "null",
}

_TIMES: dict[str, tuple[str, tuple[Moving, ...]]] = {
    "naive": ('"%s %s"', (Moving.DATE, Moving.CLOCK)),
    "dmy": ('"%s %s"', (Moving.DMY, Moving.CLOCK)),
    "iso": ('"%sT%s%s"', (Moving.DATE, Moving.CLOCK, Moving.OFFSET)),
    "epoch": ("%s", (Moving.EPOCH,)),
    "epoch_ms": ("%s000", (Moving.EPOCH,)),
    "zero": ('"0000-00-00 00:00:00"', ()),
}

# "boolean", "count" and "null" are written by `_recording_cell` and have no hole.
_RECORDINGS: dict[str, tuple[str, tuple[Moving, ...]]] = {
    "token": ('"%s"', (Moving.TOKEN,)),
    "boolean": ("", ()),
    "count": ("", ()),
    "path": ('"recordings/%s"', (Moving.TOKEN,)),
    "url": ('"https://recordings.example.com/play?token=%s"', (Moving.TOKEN,)),
    "list": ('"%s"', (Moving.TOKEN,)),
    "null": ("", ()),
}

_DURATIONS: dict[str, Callable[[int], Any]] = {
    "seconds": lambda seconds: seconds,
    "numeral": str,
    "mm_ss": _minutes,
    "hh_mm_ss": _hours,
    "dash": lambda seconds: "-",
    "empty": lambda seconds: "",
    "null": lambda seconds: None,
}

_AMOUNTS: dict[str, Callable[[float], Any]] = {
    "number": lambda amount: _plain(amount),
    "text": lambda amount: str(_plain(amount)),
    "object": lambda amount: {"freeHit": 2, "paidHit": 0, "amount": _plain(amount)},
    "null": lambda amount: None,
}

_DTMFS: dict[str, Callable[[str], Sequence[str]]] = {"text": lambda keys: keys, "list": list}
