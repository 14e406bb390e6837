"""One file per campaign or agent: rows are sorted into groups on disk while they stream past.

A spreadsheet cannot be closed and opened again, and an account may have hundreds of agents, so the groups' files are
not written side by side. Rows are parked in the private spool directory, one small file per group that is open only
for the moment of writing; when the report has been proved whole, the real files are written one after another.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_provider_callreport.api.errors import SettingsError, TableError
from airflow_provider_callreport.api.table import in_words
from airflow_provider_callreport.report import Column, Row, Value
from airflow_provider_callreport.spool import private_file

#: What a user writes into ``s3_key`` or ``filename`` where the group's name goes.
PLACEHOLDER = "[[ group ]]"

#: More groups than this are a mistake in the choice of column: nobody wants ten thousand files in a mail.
MAX_GROUPS = 1000

#: The group of calls whose cell is empty.
NO_VALUE = "(none)"

#: The one group of a report without calls.
NO_CALLS = "no calls"

_PLACEHOLDER = re.compile(r"\[\[\s*group\s*\]\]")
_ALSO_SAFE = frozenset("._-()+,@= ")
_MAX_NAME = 80


class GroupSpool:
    """Parks rows by the value of one column.

    Args:
        directory: the private spool directory.
        columns: columns of the rows.
        group_by: the API's label of the column.

    Raises:
        TableError: the file has no such column.
    """

    def __init__(self, directory: Path, columns: Sequence[Column], group_by: str) -> None:
        self._directory = directory
        self._index = next((index for index, column in enumerate(columns) if column.source == group_by), -1)
        if self._index < 0:
            labels = in_words(column.source for column in columns)
            raise TableError(f"group_by names {group_by!r}, which is no column of the file; it has {labels}")
        self._group_by = group_by
        self._paths: dict[str, Path] = {}
        self._rows: dict[str, int] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """Park some rows.

        Raises:
            TableError: there are more than `MAX_GROUPS` groups.
        """
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(_group(row[self._index]), []).append(row)
        for name, members in groups.items():
            if name not in self._paths:
                if len(self._paths) == MAX_GROUPS:
                    raise TableError(
                        f"group_by={self._group_by!r} gives more than {MAX_GROUPS} files; "
                        "choose a column with fewer values"
                    )
                # Emptied: when a report is read again, its first reading has left rows here.
                self._paths[name] = private_file(self._directory / f"group-{len(self._paths)}")
            with self._paths[name].open("ab") as file:
                pickle.dump(members, file, protocol=pickle.HIGHEST_PROTOCOL)
            self._rows[name] = self._rows.get(name, 0) + len(members)

    def groups(self) -> list[tuple[str, int]]:
        """Each group's name and number of rows, by name."""
        return sorted(self._rows.items())

    def take(self, name: str) -> Iterator[Sequence[Row]]:
        """The rows of one group, in the order in which they came, a batch at a time; then they are gone."""
        if name not in self._paths:
            return
        path = self._paths[name]
        with path.open("rb") as file:
            while True:
                try:
                    yield pickle.load(file)
                except EOFError:
                    break
        path.unlink()


def has_placeholder(text: str) -> bool:
    """Whether a key or file name says where the group's name goes."""
    return _PLACEHOLDER.search(text) is not None


def check_placeholder(argument: str, text: str | None, group_by: str | None) -> None:
    """A key or name must have the placeholder if, and only if, there are groups.

    Raises:
        SettingsError: it has not, or has.
    """
    if text is None or has_placeholder(text) == (group_by is not None):
        return
    if group_by is None:
        raise SettingsError(f"{argument} has {PLACEHOLDER} and group_by is not set; set group_by, or take it out")
    raise SettingsError(
        f"group_by is set and {argument} has no {PLACEHOLDER}, so that all files would have one name; add it"
    )


def place(text: str, group: str) -> str:
    """A key or file name for one group or part: in the placeholder's place, else before the suffix.

    Args:
        text: the key or file name, with the placeholder or without.
        group: the group's or part's safe name; empty for a whole report, which is ``text`` as it is.
    """
    if has_placeholder(text):
        return _PLACEHOLDER.sub(lambda _: group, text)
    if not group:
        return text
    folder, slash, name = text.rpartition("/")
    stem, dot, suffix = name.partition(".")
    return f"{folder}{slash}{stem}-{group}{dot}{suffix}"


def safe_names(names: Sequence[str]) -> dict[str, str]:
    """Names fit for keys and files: no slash, no control character, at most 80 characters, no two alike.

    Letters of any script stay. Names that become alike, also on file systems that ignore case, get a short hash.
    """
    safe = {name: _safe(name) for name in names}
    folded = [name.casefold() for name in safe.values()]
    return {
        name: f"{candidate}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
        if folded.count(candidate.casefold()) > 1
        else candidate
        for name, candidate in safe.items()
    }


def _group(value: Value) -> str:
    return NO_VALUE if value is None else str(value)


def _safe(name: str) -> str:
    # Marks (category M) are the vowel signs of Indian scripts: part of a name, and no letter.
    text = "".join(
        character
        if character.isalnum() or character in _ALSO_SAFE or unicodedata.category(character)[0] == "M"
        else "_"
        for character in unicodedata.normalize("NFC", name)
    )
    return text.strip(". ")[:_MAX_NAME] or "_"
