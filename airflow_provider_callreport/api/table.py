"""``columnArr`` and rows of any shape become `Column` and typed rows.

No non-empty answer of the vendor was ever published, so every plausible shape is read: rows as arrays, as objects keyed
by position, by label or by field names, as search hits; columns as an object, a list, or not at all. What cannot be
placed without losing something is a `TableError`, never an empty cell.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice, repeat
from operator import contains, itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.answer import Record
from airflow_provider_callreport.api.errors import SettingsError, TableError, scrub
from airflow_provider_callreport.api.values import converter, whole_number
from airflow_provider_callreport.report import Column, ColumnKind, Row, Value

log = logging.getLogger(__name__)

#: The sixteen labels of the vendor's page, in its order, with the kind of each.
KNOWN_LABELS: dict[str, ColumnKind] = {
    "Caller Number": ColumnKind.TEXT,
    "Time": ColumnKind.DATETIME,
    "DID Number": ColumnKind.TEXT,
    "Campaign": ColumnKind.TEXT,
    "Agents": ColumnKind.TEXT,
    "Master Agent": ColumnKind.TEXT,
    "Call Duration": ColumnKind.DURATION,
    "Customer Duration": ColumnKind.DURATION,
    "Total Talk Duration": ColumnKind.DURATION,
    "Agent on Call Duration": ColumnKind.DURATION,
    "Amount": ColumnKind.NUMBER,
    "Rec.": ColumnKind.TEXT,
    "Status": ColumnKind.TEXT,
    "Details": ColumnKind.TEXT,
    "Forward": ColumnKind.TEXT,
    "DTMF": ColumnKind.TEXT,
}

#: Field names of the vendor's webhook records, for rows that are keyed by them. Ids and codes are text.
KNOWN_FIELDS: dict[str, ColumnKind] = {
    **dict.fromkeys(("ivrSTime", "ivrETime"), ColumnKind.DATETIME),
    **dict.fromkeys(
        ("ivrDuration", "talkDuration", "agentOnCallDuration", "totalHoldDuration", "customerDuration"),
        ColumnKind.DURATION,
    ),
    **dict.fromkeys(("amount", "totalCreditsUsed"), ColumnKind.NUMBER),
}

_KINDS = {name.casefold(): kind for name, kind in {**KNOWN_LABELS, **KNOWN_FIELDS}.items()}

#: Keys of a row that are about the row and not of it.
_ENVELOPE = frozenset({"_id", "_index", "_score", "_type", "sort", "sAftr"})
_NO_EXTRAS = _ENVELOPE - {"_id"}

#: Most columns of a report that nobody chose columns for. The vendor's has sixteen; a page of rows that all have other
#: fields would make a table as wide as the whole answer, and each of its rows would hold a cell for every one of them.
MAX_COLUMNS = 1000

#: Labels that one message names, and characters that it shows of each.
_MAX_NAMED = 40
_MAX_LABEL = 60

#: Rows whose fields are looked at together.
_BLOCK = 10

#: ``columns`` as users give it.
ColumnChoice = Sequence[str] | Mapping[str, str] | None


def kind_of(label: str) -> ColumnKind:
    """The kind of a column by its label or field name; text when it is not known."""
    return _KINDS.get(label.strip().casefold(), ColumnKind.TEXT)


def in_words(labels: Iterable[str]) -> str:
    """Labels of the vendor's for a message: scrubbed, at most 60 characters of each, at most 40 of them."""
    shown = [scrub(label) for label in islice(labels, _MAX_NAMED + 1)]
    cut = [label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 1] + "…" for label in shown[:_MAX_NAMED]]
    return ", ".join(cut) + (", and more" if len(shown) > _MAX_NAMED else "")


def check_choice(columns: Any) -> dict[str, str] | None:
    """``columns`` as label -> new name.

    Raises:
        SettingsError: it is neither a list of labels nor a mapping of label to new name, or names repeat.
    """
    if columns is None:
        return None
    if isinstance(columns, Mapping):
        chosen = dict(columns)
    elif isinstance(columns, Sequence) and not isinstance(columns, (str, bytes)):
        chosen = {}
        for label in columns:
            if label in chosen:
                raise SettingsError(f"columns names {label!r} twice; name each column once")
            chosen[label] = label
    else:
        raise SettingsError(
            f"columns is of type {type(columns).__name__}; allowed are a list of labels and an object of label to new "
            "name"
        )
    if not chosen:
        raise SettingsError("columns is empty; leave it out for every column, or name at least one")
    for label, name in chosen.items():
        for text in (label, name):
            if not isinstance(text, str) or not text.strip():
                raise SettingsError(f"columns has {text!r}; allowed are labels and names that are not empty")
    names = list(chosen.values())
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise SettingsError(f"columns gives the name {repeated!r} twice; give each column a name of its own")
    return chosen


class Table:
    """Types the rows of one report.

    The columns are settled by the first page (`start`) and hold for all: a later page whose ``columnArr`` names them in
    another order is put back into the first one's order by label.

    Args:
        zone: the account's zone.
        choice: columns to keep, in order, with their names in the file, or None for all. Besides the report's labels
            it may name extra keys of the rows, such as ``"callId"``.
        also: labels to keep behind the chosen ones although nobody chose them, where the report has them, with the
            further columns of the same label. Redaction needs the values that must not show elsewhere.

    Attributes:
        columns: the chosen columns, after `start`.
        labels: every label of the report, chosen or not, after `start`.
    """

    def __init__(self, zone: ZoneInfo, choice: ColumnChoice = None, also: Iterable[str] = ()) -> None:
        self._zone = zone
        self._also = tuple(also)
        self._choice = check_choice(choice)
        self._layout: _Layout | None = None
        self._column_arr: Any = None
        self._converters: list[Callable[[Sequence[Any]], Sequence[Value]]] = []
        self._told_extras = False
        self.columns: tuple[Column, ...] = ()
        self.labels: tuple[str, ...] = ()

    def start(self, records: list[Record], column_arr: Any) -> tuple[Column, ...]:
        """Settle the columns by the first page.

        Raises:
            TableError: a chosen column does not exist, there are more than `MAX_COLUMNS` and none was chosen, or the
                rows cannot be placed.
        """
        bodies = _bodies(records)
        layout = _layout(bodies, column_arr)
        if not records and not column_arr:
            # Nothing is known of this report's columns: those that somebody asked for are taken to exist.
            labels = list(dict.fromkeys([*layout.labels, *(self._choice or ()), *self._also]))
            layout = _Layout(labels, labels, arrays=False)
        self._column_arr = column_arr
        self.labels = tuple(layout.labels)
        if self._choice is None:
            if len(self.labels) > MAX_COLUMNS:
                raise TableError(
                    f"the report has more than {MAX_COLUMNS:,} columns (the first are {in_words(self.labels[:5])}); "
                    f"allowed are {MAX_COLUMNS:,}, so name the columns you want in columns="
                )
            self.columns = tuple(Column(label, kind_of(base_label(label))) for label in layout.labels)
            self._layout = layout
        else:
            unknown = [
                label for label in self._choice if label not in layout.labels and not layout.finds(label, bodies)
            ]
            if unknown and records:
                known = in_words(chain(layout.labels, sorted(_extra_keys(bodies, layout))))
                raise TableError(f"columns names {unknown[0]!r}, which the report does not have; it has {known}")
            also = [label for label in layout.labels if label in self._also or base_label(label) in self._also]
            order = list(dict.fromkeys([*self._choice, *also]))
            self.columns = tuple(
                Column(self._choice.get(label, label), kind_of(base_label(label)), source=label) for label in order
            )
            self._layout = layout.chosen(order)
        self._converters = [converter(column.kind, self._zone) for column in self.columns]
        return self.columns

    def rows(self, records: list[Record], column_arr: Any) -> list[Row]:
        """Type one page's rows.

        Raises:
            TableError: the page's columns are not the report's, or a row cannot be placed.
        """
        if not records:
            return []
        assert self._layout is not None, "start() comes first"
        bodies = _bodies(records)
        layout = self._layout
        if column_arr != self._column_arr and column_arr:
            layout = self._reconciled(bodies, column_arr)
        self._check_keys(bodies, layout)
        raw = layout.cells(bodies)
        typed = [convert(cells) for convert, cells in zip(self._converters, zip(*raw, strict=True), strict=True)]
        return list(zip(*typed, strict=True))

    def _reconciled(self, bodies: list[Any], column_arr: Any) -> _Layout:
        layout = _layout(bodies, column_arr)
        if sorted(layout.labels) != sorted(self.labels):
            gone, new = set(self.labels) - set(layout.labels), set(layout.labels) - set(self.labels)
            raise TableError(
                f"columnArr changed while the report was read; gone: {in_words(sorted(gone)) or 'none'}; "
                f"new: {in_words(sorted(new)) or 'none'}"
            )
        return layout.chosen([column.source for column in self.columns])

    def _check_keys(self, bodies: list[Any], layout: _Layout) -> None:
        if self._told_extras and not layout.from_rows:
            return
        extras = _extra_keys(bodies, layout)
        if not extras:
            return
        if layout.from_rows and (new := sorted(extras - set(self.labels) - _ENVELOPE)):
            raise TableError(
                f"a later row has the field {in_words(new[:1])!r}, which the first page did not have, so it has no "
                "column; name the columns you want in columns="
            )
        if not layout.from_rows:
            self._told_extras = True
            log.info("rows carry further fields, which columns= can name: %s", in_words(sorted(extras)))


class _Layout:
    """Where each column's cell is in a row.

    Args:
        labels: the columns' labels.
        keys: for rows that are objects, each column's key; for arrays, each column's index.
        arrays: whether rows are arrays.
        from_rows: whether the columns were taken from the rows' own keys.
        width: for arrays, cells that belong to a column.
    """

    def __init__(self, labels: list[str], keys: list[Any], *, arrays: bool, from_rows: bool = False) -> None:
        self.labels = labels
        self.keys = keys
        self.arrays = arrays
        self.from_rows = from_rows
        self.known = frozenset(keys)
        self._all_keys = keys
        self._get = itemgetter(*keys) if len(keys) > 1 else None

    def chosen(self, labels: list[str]) -> _Layout:
        """The same for some of the columns; a label that is no column is the key of an extra field."""
        at = dict(zip(self.labels, self.keys, strict=True))
        layout = _Layout(labels, [at.get(label, _extra_position(label, self)) for label in labels], arrays=self.arrays)
        layout.known = self.known
        layout._all_keys = self._all_keys
        layout.from_rows = False
        return layout

    def finds(self, label: str, bodies: list[Any]) -> bool:
        """Whether a row has an extra field of that name."""
        key = _extra_position(label, self)
        if self.arrays:
            return any(key < len(body) for body in bodies)
        return key not in _NO_EXTRAS and any(key in body for body in bodies)

    def cells(self, bodies: list[Any]) -> list[Sequence[Any]]:
        """The rows' cells, in the columns' order; None where a row has none."""
        if isinstance(bodies[0], list) != self.arrays:
            raise TableError("rows changed between objects and arrays while the report was read")
        if self._get is not None:
            # The usual case, at the speed of C: every row has every cell.
            with suppress(KeyError, IndexError):
                return list(map(self._get, bodies))
        return [self._row(body) for body in bodies]

    def _row(self, body: Any) -> list[Any]:
        if self.arrays:
            return [body[key] if isinstance(key, int) and key < len(body) else None for key in self.keys]
        if body and self.known.isdisjoint(body):
            fields = in_words(sorted(body)[:5])
            raise TableError(f"a row with the fields {fields} fits none of the report's columns")
        return [body.get(key) for key in self.keys]


def _layout(bodies: list[Any], column_arr: Any) -> _Layout:
    """Find out how rows are keyed."""
    named = _read_column_arr(column_arr)
    if not bodies:
        labels = [label for _, label in named] or list(KNOWN_LABELS)
        return _Layout(labels, [key for key, _ in named] or labels, arrays=False)
    if isinstance(bodies[0], list):
        width = min(max(map(len, bodies)), MAX_COLUMNS + 1)
        labels = [label for _, label in named] or [f"Column {number}" for number in range(1, width + 1)]
        return _Layout(
            labels, _cell_numbers(named, width) or list(range(len(labels))), arrays=True, from_rows=not named
        )
    present = set(chain.from_iterable(body for body in bodies if isinstance(body, dict)))
    labels = [label for _, label in named]
    positions = [key for key, _ in named]
    counts_from_one = "0" not in positions and _are_positions(positions)
    if "0" in present and counts_from_one and (isinstance(column_arr, list) or positions[-1] not in present):
        # They count from 1 and the rows from 0.
        positions = [str(int(key) - 1) for key in positions]
    # A row may spell a label in other letters, and with the blanks that `_label` has taken off.
    folded = {base_label(label).casefold() for label in labels}
    spelled = {fold: key for key in present if (fold := key.strip().casefold()) in folded}
    plain = [spelled.get(base_label(label).casefold(), base_label(label)) for label in labels]
    by_position, by_label = len(present.intersection(positions)), len(present.intersection(plain))
    fields = _fields(bodies)
    fitting = max(by_position, by_label)
    # A field that happens to be called like one column does not make the others empty columns.
    if fitting and (2 * fitting >= len(labels) or 2 * fitting >= len(fields)):
        keys = (
            positions
            if by_position >= by_label
            else [label if label in present else key for label, key in zip(labels, plain, strict=True)]
        )
        return _Layout(labels, keys, arrays=False)
    if not fields:
        raise TableError("the rows are empty objects, so nothing of the calls can be read")
    if named:
        log.warning("columnArr names columns that the rows do not have; the rows' own fields are the columns")
    return _Layout(fields, fields, arrays=False, from_rows=True)


def _are_positions(keys: Sequence[str]) -> bool:
    return bool(keys) and all(whole_number(key) is not None for key in keys)


def _cell_numbers(named: Sequence[tuple[str, str]], width: int) -> list[int]:
    """For arrays, each column's cell where ``columnArr`` leaves positions out and the rows do not; else nothing.

    Raises:
        TableError: the rows have more cells than there are columns, and fewer than the last position.
    """
    keys = [key for key, _ in named]
    if not _are_positions(keys) or int(keys[-1]) <= len(keys) or width <= len(keys):
        return []
    if width < int(keys[-1]):
        raise TableError(
            f"columnArr has {len(keys)} columns at positions up to {int(keys[-1])} and the rows have {width} cells, so "
            "it cannot be told which cell belongs to which column"
        )
    return [int(key) - 1 for key in keys]


def _fields(bodies: list[dict[str, Any]]) -> list[str]:
    """The rows' own keys in the order in which they come; not all of them where there are more than `MAX_COLUMNS`."""
    fields: dict[str, None] = {}
    for start in range(0, len(bodies), _BLOCK):
        fields.update(dict.fromkeys(chain.from_iterable(bodies[start : start + _BLOCK])))
        if len(fields) > MAX_COLUMNS + len(_ENVELOPE):
            break
    return list(islice((key for key in fields if key not in _ENVELOPE), MAX_COLUMNS + 1))


def _read_column_arr(column_arr: Any) -> list[tuple[str, str]]:
    """(position, unique label) of each column, in numeric order: "10" comes after "9".

    Raises:
        TableError: it is neither object nor list.
    """
    if not column_arr:
        return []
    if isinstance(column_arr, Mapping):
        items = list(column_arr.items())
        if all(whole_number(key) is not None for key, _ in items):
            items.sort(key=lambda item: int(item[0]))
    elif isinstance(column_arr, list):
        items = [(str(number), label) for number, label in enumerate(column_arr, start=1)]
    else:
        raise TableError(f"columnArr is {type(column_arr).__name__}; an object or a list was expected")
    return list(zip([str(key) for key, _ in items], _unique([_label(label, key) for key, label in items]), strict=True))


def _label(label: Any, position: Any) -> str:
    if isinstance(label, Mapping):
        label = next((label[key] for key in ("label", "name", "title") if label.get(key)), None)
    try:
        text = label.strip() if isinstance(label, str) else ("" if label is None else str(label))
    except RecursionError:
        raise TableError("a label of columnArr is nested too deeply to be written as text") from None
    return text or f"Column {position}"


_REPEATED = " ({})"


def _unique(labels: list[str]) -> list[str]:
    """Labels made unique: ``Agents``, ``Agents (2)``."""
    given = set(labels)
    numbers: dict[str, int] = {}
    unique = []
    for label in labels:
        name, number = label, numbers.get(label, 0) + 1
        if number > 1:
            while (name := label + _REPEATED.format(number)) in given:
                number += 1
        numbers[label] = number
        unique.append(name)
    return unique


def base_label(label: str) -> str:
    """The label as the API prints it: without the number that made it unique in the report."""
    head, separator, tail = label.rpartition(" (")
    return head if separator and tail.endswith(")") and tail[:-1].isdigit() else label


def _bodies(records: list[Record]) -> list[Any]:
    kinds = set(map(type, records))
    if kinds == {list} or (kinds == {dict} and not any(map(contains, records, repeat("_source")))):
        return records
    bodies = list(map(_body, records))
    if len(set(map(type, bodies))) > 1:
        raise TableError("rows are objects and arrays mixed; they must be of one kind")
    return bodies


def _body(record: Record) -> Any:
    """The row itself; of a search hit its ``_source``, with the hit's own id beside it."""
    if not isinstance(record, dict) or "_source" not in record:
        return record
    source = record["_source"]
    if isinstance(source, dict):
        return {**source, "_id": record["_id"]} if "_id" in record and "_id" not in source else source
    if isinstance(source, list):
        return source
    raise TableError(f"a search hit's _source is {type(source).__name__}; an object or an array was expected")


def _extra_keys(bodies: list[Any], layout: _Layout) -> set[str]:
    """Keys of the rows that are no column, or of arrays the numbers of further cells; some `MAX_COLUMNS` at most."""
    columns = len(layout._all_keys)
    if layout.arrays:
        width = min(max(map(len, bodies), default=0), columns + MAX_COLUMNS)
        return {f"Column {number}" for number in range(columns + 1, width + 1)}
    present: set[str] = set()
    for start in range(0, len(bodies), _BLOCK):
        present.update(*bodies[start : start + _BLOCK])
        if len(present) > columns + MAX_COLUMNS:
            break
    return present - layout.known - _NO_EXTRAS


def _extra_position(label: str, layout: _Layout) -> Any:
    """The key of an extra field: its name, or the index of an array's ``"Column n"``."""
    if not layout.arrays:
        return label
    head, _, number = label.rpartition(" ")
    return int(number) - 1 if head == "Column" and number.isdigit() and number != "0" else sys.maxsize
