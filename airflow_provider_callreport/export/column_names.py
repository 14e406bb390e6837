"""The names of columns in a file: the API's labels, or names that every database and query engine takes.

BigQuery, Spark and Athena refuse column names such as ``Caller Number`` and ``Rec.``, or want quotes at each use. With
``column_names="snake_case"`` the columns of every format, and ``columns`` in the summary, have names of lower-case
letters, digits and underscores: ``caller_number``, ``rec``.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.report import Column
from airflow_provider_callreport.rules import ColumnNames, choices, one_of

#: Values of ``column_names``; the first is the default.
COLUMN_NAMES = choices(ColumnNames)

#: A name of a label without a letter or digit.
_NAMELESS = "column"

#: PostgreSQL cuts names after 63 bytes; the rest is room for a number that makes a name unique.
_LONGEST = 56

_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ACCENT = re.compile("[\u0300-\u036f]")


def named_columns(columns: Sequence[Column], column_names: str) -> tuple[Column, ...]:
    """The columns as they are called in the file.

    Args:
        columns: the columns that are left after choice and redaction.
        column_names: ``"as_is"`` leaves the labels, and the names that ``columns`` gave, as they are; ``"snake_case"``
            makes database names of both, see `snake_case_names`.

    Raises:
        SettingsError: another value of ``column_names``.
    """
    one_of(COLUMN_NAMES)("column_names", column_names, SettingsError)
    if column_names == "as_is":
        return tuple(columns)
    names = snake_case_names([column.label for column in columns])
    return tuple(replace(column, label=name) for column, name in zip(columns, names, strict=True))


def snake_case_names(labels: Sequence[str]) -> list[str]:
    """A unique name in lower case for each label.

    ``Caller Number`` becomes ``caller_number``, ``Rec.`` becomes ``rec``, ``ivrSTime`` becomes ``ivr_s_time``. Accents
    are dropped; letters of other scripts stay. A name that begins with a digit gets ``_`` in front. When several labels
    give one name, the first keeps it and the others get ``_2``, ``_3`` and so on, without those that are names of other
    labels.
    """
    names = [_snake_case(label) for label in labels]
    taken = Counter(names)
    given: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate in given or (number > 1 and candidate in taken):
            number += 1
            candidate = f"{name}_{number}"
        given.add(candidate)
        unique.append(candidate)
    return unique


def _snake_case(label: str) -> str:
    # NFKD parts a Latin letter from its accent. Marks of other scripts are vowels, and belong to the word.
    text = unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFKD", label)))
    text = _WORD_BORDER.sub(" ", text)
    spaced = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text)
    name = "_".join(spaced.casefold().split())[:_LONGEST].strip("_") or _NAMELESS
    return f"_{name}" if name[0].isdigit() else name
