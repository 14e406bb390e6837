"""A report's rows become typed rows of the chosen columns.

How rows are read is learned by `profile`; here the columns are chosen, ordered and typed. What cannot be placed without
losing something is a `TableError`, never an empty cell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import SettingsError, TableError
from airflow_provider_callreport.api.profile import (
    ENVELOPE,
    KNOWN_LABELS,
    MAX_COLUMNS,
    Form,
    base_label,
    kind_of,
    listed,
)
from airflow_provider_callreport.api.values import converter
from airflow_provider_callreport.report import Column, Row, Value
from airflow_provider_callreport.rules import did_you_mean

__all__ = ["KNOWN_LABELS", "MAX_COLUMNS", "ColumnChoice", "Table", "base_label", "check_choice", "listed"]


#: ``columns`` as users give it.
ColumnChoice = Sequence[str] | Mapping[str, str] | None

#: Of a search hit, what stands around the call; its ``_id`` may be chosen as a column.
_NO_EXTRAS = ENVELOPE - {"_id"}


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
        self._form: Form | None = None
        self._keys: list[Any] = []
        self._get: Callable[[Any], Sequence[Any]] | None = None
        self._converters: list[Callable[[Sequence[Any]], Sequence[Value]]] = []
        self.columns: tuple[Column, ...] = ()
        self.labels: tuple[str, ...] = ()

    def start(self, form: Form, bodies: list[Any], *, is_named: bool = True) -> tuple[Column, ...]:
        """Choose the columns.

        Args:
            form: how the report's rows are read.
            bodies: the first page's rows.
            is_named: whether the report named its columns; one without rows may not have.

        Raises:
            TableError: a chosen column does not exist, or there are more than `MAX_COLUMNS` and none was chosen.
        """
        labels = form.labels
        if not bodies and not is_named:
            # Nothing is known of this report's columns: those that somebody asked for are taken to exist.
            labels = tuple(dict.fromkeys([*labels, *(self._choice or ()), *self._also]))
        self.labels = labels
        kinds = dict(zip(form.labels, form.kinds, strict=True))
        if self._choice is None:
            if len(labels) > MAX_COLUMNS:
                raise TableError(
                    f"the report has more than {MAX_COLUMNS:,} columns (the first are {listed(labels[:5])}); "
                    f"allowed are {MAX_COLUMNS:,}, so name the columns you want in columns="
                )
            self.columns = tuple(Column(label, kinds.get(label) or kind_of(label)) for label in labels)
        else:
            for label in self._choice if bodies else ():
                if label not in labels and not _has_field(label, form, bodies):
                    raise _unknown_column(label, form)
            also = [label for label in labels if label in self._also or base_label(label) in self._also]
            order = dict.fromkeys([*self._choice, *also])
            self.columns = tuple(
                Column(self._choice.get(label, label), kinds.get(label) or kind_of(base_label(label)), source=label)
                for label in order
            )
        self._converters = [converter(column.kind, self._zone, form.time) for column in self.columns]
        return self.columns

    def rows(self, bodies: list[Any], form: Form) -> list[Row]:
        """Type one page's rows, which `Form.check` has looked at."""
        if not bodies:
            return []
        if form is not self._form:
            self._form = form
            at = dict(zip(form.labels, form.keys, strict=True))
            self._keys = [at.get(c.source, _field_key(c.source, form)) for c in self.columns]
            self._get = itemgetter(*self._keys) if len(self._keys) > 1 else None
        raw = self._cells(bodies)
        typed = [convert(cells) for convert, cells in zip(self._converters, zip(*raw, strict=True), strict=True)]
        return list(zip(*typed, strict=True))

    def _cells(self, bodies: list[Any]) -> list[Sequence[Any]]:
        """The rows' cells, in the columns' order; None where a row has none."""
        if self._get is not None:
            # The usual case, at the speed of C: every row has every cell.
            with suppress(KeyError, IndexError):
                return list(map(self._get, bodies))
        if isinstance(bodies[0], list):
            return [[body[key] if key < len(body) else None for key in self._keys] for body in bodies]
        return [[body.get(key) for key in self._keys] for body in bodies]


def _unknown_column(label: str, form: Form) -> TableError:
    known = [*form.labels, *sorted(form.further - _NO_EXTRAS)]
    near = did_you_mean(label, (listed([one]) for one in known))
    return TableError(f"columns names {label!r}{near}, which the report does not have; it has {listed(known)}")


def _has_field(label: str, form: Form, bodies: list[Any]) -> bool:
    """Whether a row has a further field of that name."""
    key = _field_key(label, form)
    if isinstance(key, int):
        return any(key < len(body) for body in bodies)
    return key not in _NO_EXTRAS and any(key in body for body in bodies)


def _field_key(label: str, form: Form) -> str | int:
    """The key of a further field: its name, or the index of an array's ``"Column n"``."""
    if form.rows != "array":
        return label
    head, _, number = label.rpartition(" ")
    return int(number) - 1 if head == "Column" and number.isdigit() and number != "0" else sys.maxsize
