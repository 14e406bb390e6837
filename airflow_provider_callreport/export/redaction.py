"""What may not leave in full: redaction of columns, before anything is written, logged, pushed or mailed.

These rules hold for every mode:

- A redacted column that the report does not have is an error. The privacy officer asked for a column by name; a renamed
  column must not slip through.
- A value that does not look like a phone number is hidden whole: the modes fail closed.
- What a redacted cell says is hidden in the other text cells of its row as well: recordings and details often carry
  the caller's number in their names. `number_search` says how a number is found in another spelling. A text of eight
  characters or more that is no number is found as it is written.
- Amounts, durations and times that were read as such are not searched and not searched for. A value in such a column
  that could not be read as its kind is text, and takes part.
- Empty cells stay empty.

No cell is kept longer than its row: there is no cache.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from airflow_provider_callreport.api.errors import SettingsError, TableError
from airflow_provider_callreport.api.table import base_label, listed
from airflow_provider_callreport.export.number_search import cells_without, wanted
from airflow_provider_callreport.privacy.phone_numbers import HIDDEN, international
from airflow_provider_callreport.report import Column, ColumnKind, Row, Value
from airflow_provider_callreport.rules import RedactMode, choices, did_you_mean, one_of, shown

#: What users may type in ``redact={label: mode}``.
MODES = choices(RedactMode)

#: What people type for a phone number, in which some digits may be hidden already.
_PHONE = re.compile(r"[+(]?[\d*xX][\d*xX ().\-/]*")
_DIGIT = re.compile(r"\d")
#: Fewer digits than this are no subscriber number: showing four of them would show nearly all.
_MIN_DIGITS = 8
#: How many digits `last4` shows.
_SHOWN = 4


def check_redact(redact: Any) -> dict[str, str]:
    """``redact`` as label -> mode.

    Raises:
        SettingsError: it is no mapping, or a mode is unknown.
    """
    if redact is None:
        return {}
    if not isinstance(redact, Mapping):
        raise SettingsError(
            f"redact is of type {type(redact).__name__}; allowed is an object of label to mode, such as "
            '{"Caller Number": "last4"}'
        )
    for label, mode in redact.items():
        if not isinstance(label, str) or not label.strip():
            raise SettingsError(f"redact has the label {shown(label)}; allowed is text that is not empty")
        one_of(MODES)(f"redact of {label!r}", mode, SettingsError)
    return dict(redact)


def check_secret(redact: Mapping[str, str], hmac_secret: str | None) -> None:
    """Check that there is a key for the mode ``hmac``.

    Raises:
        SettingsError: there is none.
    """
    if "hmac" in redact.values() and not hmac_secret:
        raise SettingsError("redact uses hmac, and the connection has no hmac_secret; set that extra field")


class Redactor:
    """Redacts the typed rows of one report.

    Args:
        redact: label (as the API prints it) -> mode. Where several columns have one label, it stands for all of them.
        labels: every label of the report.
        columns: the columns of the rows, in order.
        hmac_secret: key for the mode ``hmac``.
        keep: how many of the columns may stay, from the first on, or None for all. The others are only there for
            their values to be hidden elsewhere.

    Raises:
        TableError: a label is not in the report.
        SettingsError: ``hmac`` without a key, or ``last4``/``hmac`` for a column that holds no text.

    Attributes:
        columns: the columns that are left.
    """

    def __init__(
        self,
        redact: Mapping[str, str],
        labels: Sequence[str],
        columns: Sequence[Column],
        hmac_secret: str | None = None,
        keep: int | None = None,
    ) -> None:
        known = {*map(base_label, labels), *labels, *(column.source for column in columns)}
        for label in redact:
            if label not in known:
                near = did_you_mean(label, (listed([one]) for one in labels))
                raise TableError(
                    f"redact names {label!r}{near}, which the report does not have; nothing was exported. The report "
                    f"has {listed(labels)}"
                )
        check_secret(redact, hmac_secret)
        self._modes: dict[int, Callable[[str], str]] = {}
        self._kept: list[int] = []
        for index, column in enumerate(columns):
            mode = redact.get(column.source) or redact.get(base_label(column.source))
            if mode in ("last4", "hmac") and column.kind is not ColumnKind.TEXT:
                name = listed((column.source,))
                raise SettingsError(f"redact has {mode!r} for {name!r}, a {column.kind.value} column; allowed is drop")
            if mode:
                self._modes[index] = _mode(mode, hmac_secret)
            if mode != "drop" and (keep is None or index < keep):
                self._kept.append(index)
        if not self._kept:
            raise SettingsError("redact drops every column; keep at least one")
        self.columns = tuple(columns[index] for index in self._kept)
        # Of any kind: what could not be read as a number or a time stands in such a column as text.
        self._others = [index for index in self._kept if index not in self._modes]
        self._all_kept = len(self._kept) == len(columns)

    def rows(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows without what may not leave."""
        if not self._modes:
            return rows
        return [self._row(list(row)) for row in rows]

    def _row(self, row: list[Value]) -> Row:
        for index, mode in self._modes.items():
            value = row[index]
            if value is None:
                continue
            if isinstance(value, str):
                self._hide_elsewhere(row, value)
                row[index] = mode(value)
            else:
                row[index] = mode(str(value))
        return row if self._all_kept else [row[index] for index in self._kept]

    def _hide_elsewhere(self, row: list[Value], redacted: str) -> None:
        places = [index for index in self._others if isinstance(row[index], str)]
        cells: list[Any] = [row[index] for index in places]
        hidden = cells_without(cells, wanted(redacted))
        if hidden is not cells:
            for index, cell in zip(places, hidden, strict=True):
                row[index] = cell


def last4(text: str) -> str:
    """All digits but the last four as ``*``; separators stay. Hidden whole when it is no phone number."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) >= _MIN_DIGITS:
        return "*" * (len(text) - _SHOWN) + text[-_SHOWN:]
    if not _PHONE.fullmatch(text):
        return HIDDEN
    digits = [match.start() for match in _DIGIT.finditer(text)]
    if len(digits) < _MIN_DIGITS:
        return HIDDEN
    shown = digits[-_SHOWN]
    return _DIGIT.sub("*", text[:shown]) + text[shown:]


def pseudonym(text: str, key: str) -> str:
    """A keyed pseudonym (HMAC-SHA-256, 80 bits): one for all spellings of a number; hidden whole when it is none."""
    digits = international(text)
    if digits is None:
        return HIDDEN
    digest = hmac.digest(key.encode(), digits.encode(), "sha256")
    return "p_" + base64.b32encode(digest[:10]).decode().lower()


def _mode(mode: str, hmac_secret: str | None) -> Callable[[str], str]:
    if mode == "hmac":
        return partial(pseudonym, key=hmac_secret or "")
    return last4 if mode == "last4" else lambda _: HIDDEN
