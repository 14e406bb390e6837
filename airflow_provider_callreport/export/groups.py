"""One file per campaign or agent: rows are sorted into groups on disk while they stream past.

A spreadsheet cannot be closed and opened again, and an account may have hundreds of agents. So the groups' files are
not written side by side. Rows are parked in the private spool directory, in one small file per group, which is open
only while rows are added. When the report is proved whole, the real files are written one after another.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_provider_callreport.api.errors import SettingsError, TableError
from airflow_provider_callreport.api.table import listed
from airflow_provider_callreport.report import Column, Row, Value
from airflow_provider_callreport.rules import did_you_mean
from airflow_provider_callreport.spool import private_file

#: What a user writes into ``s3_key`` or ``filename`` where the group's name goes.
PLACEHOLDER = "[[ group ]]"

#: More groups than this are a mistake in the choice of column: nobody wants ten thousand files in a mail.
MAX_GROUPS = 1000

#: What the group of calls whose cell is empty is called.
NO_VALUE = "(none)"

#: The one group of a report without calls.
NO_CALLS = "no calls"

_PLACEHOLDER = re.compile(r"\[\[\s*group\s*\]\]")
_ANY_PLACEHOLDER = re.compile(r"\[\[\s*(\w+)\s*\]\]")
_ALSO_SAFE = frozenset("._-()+,@=&' ")
_MAX_NAME = 80
_MAX_NAME_BYTES = 180
_HASH_DIGITS = 10
_HASHED = re.compile(rf"-[0-9a-f]{{{_HASH_DIGITS}}}$", re.IGNORECASE)
#: Names of this package: a group that is called so gets another.
_TAKEN = frozenset({"", NO_VALUE, NO_CALLS})
#: Windows takes these for devices, whatever follows after a dot.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})


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
            labels = [column.source for column in columns]
            near = did_you_mean(group_by, (listed([label]) for label in labels))
            raise TableError(
                f"group_by names {group_by!r}{near}, which is not a column of the file; it has {listed(labels)}"
            )
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
                # The file is emptied: when a report is read again, rows of its first reading are in it.
                self._paths[name] = private_file(self._directory / f"group-{len(self._paths)}")
            with self._paths[name].open("ab") as file:
                pickle.dump(members, file, protocol=pickle.HIGHEST_PROTOCOL)
            self._rows[name] = self._rows.get(name, 0) + len(members)

    def groups(self) -> list[tuple[str, int]]:
        """Each group's name and number of rows, by name; ``""`` are the calls whose cell is empty."""
        return sorted(self._rows.items())

    def take(self, name: str) -> Iterator[Sequence[Row]]:
        """Yield the rows of one group in their order, a batch at a time, and remove them at the end."""
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
    """A key or name must have the placeholder if the report has groups, and must not have it otherwise.

    Raises:
        SettingsError: it is missing, or is there without groups, or another one is there.
    """
    for name in () if text is None else _ANY_PLACEHOLDER.findall(text):
        if name != "group":
            raise SettingsError(f"{argument} has [[ {name} ]]; the one placeholder there is {PLACEHOLDER}")
    if text is None or has_placeholder(text) == (group_by is not None):
        return
    if group_by is None:
        raise SettingsError(f"{argument} has {PLACEHOLDER} and group_by is not set; set group_by, or take it out")
    raise SettingsError(
        f"group_by is set and {argument} has no {PLACEHOLDER}, so that all files would have one name; add it"
    )


def place(text: str, group: str) -> str:
    """The key or file name of one group or part. Its name replaces the placeholder, or goes before the suffix.

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


def index_key(text: str) -> str:
    """Where the index of a set of files is: in the folder where the files' names begin to differ.

    ==================================== =============================================
    key of the files                     key of the index
    ==================================== =============================================
    ``calls/[[ group ]].csv``            ``calls/_index.csv.json``
    ``calls/agent=[[ group ]]/day.csv``  ``calls/_index_agent=_day.csv.json``
    ``calls/day.pdf``, in parts          ``calls/_index_day.pdf.json``
    ==================================== =============================================

    Spark, Hive and Athena pass over files whose names begin with ``_``. No group's name begins so.

    Args:
        text: the key of the files, with the placeholder or without.
    """
    match = _PLACEHOLDER.search(text)
    start = text.rfind("/", 0, match.start() if match else len(text)) + 1
    rest = _PLACEHOLDER.sub("", text[start:]).strip("/").replace("/", "_")
    return f"{text[:start]}_index{'' if rest.startswith('.') else '_'}{rest}.json"


def safe_names(names: Sequence[str]) -> dict[str, str]:
    """Names that fit keys and files. No two groups ever share a name, in one report or in two.

    A name that fits stays as it is: letters of any script, digits, ``._-()+,@=&'`` and blanks. Any other name is made
    to fit, and a hash of the whole name follows it: ``a/b`` becomes ``a_b-c14cddc033``. A name also gets a hash when it
    could be taken for another: it ends as if it had a hash, this package uses it, or another group's name differs from
    it in case only.

    Args:
        names: the groups; that of calls whose cell is empty is ``""``.
    """
    alike = Counter(map(_folded, names))
    safe = {name: name if _is_fit(name) and alike[_folded(name)] == 1 else _with_hash(name) for name in names}
    return {**safe, **({"": NO_VALUE} if "" in safe else {})}


def _group(value: Value) -> str:
    return "" if value is None else str(value)


def _folded(name: str) -> str:
    """One text for all names that a file system may take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_fit(name: str) -> bool:
    taken = name.casefold() in _TAKEN or name.split(".")[0].casefold() in _DEVICES
    return name == _made_fit(name) and not taken and not _HASHED.search(name)


def _with_hash(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_made_fit(name) or 'group'}-{digest[:_HASH_DIGITS]}"


def _made_fit(name: str) -> str:
    # Marks (category M) are the vowel signs of Indian scripts: part of a name, and no letter.
    text = "".join(
        character
        if character.isalnum() or character in _ALSO_SAFE or unicodedata.category(character)[0] == "M"
        else "_"
        for character in unicodedata.normalize("NFC", name)
    )
    # File systems count bytes.
    short = text[:_MAX_NAME].encode("utf-8")[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
    # Spark, Hive and Athena pass over files whose names begin with "_" or ".", and Windows drops a "." at the end.
    return short.lstrip("._ ").rstrip(". ")
