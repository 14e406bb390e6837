"""How many recordings a report promises of a call: what its column ``Rec.`` says.

The vendor documents no value of that column. It may be yes or no, a number, a path, a token, an address, or a list of
these. Any other text promises one recording.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

from airflow_provider_callreport.report import Value

_LABELS = frozenset({"rec.", "rec", "recording", "recordings"})
_SAYS_NO = frozenset({"", "0", "false", "no", "none", "null", "-", "[]", "{}"})

#: A larger number is no number of recordings of one call; perhaps it is a size or an id.
_MOST = 20
_COUNT = re.compile(r"0*([0-9]{1,2})(?:\.0+)?", re.ASCII)
#: Between the recordings of a list in text.
_BETWEEN = re.compile(r"[\s,;|]+")
_FILE = re.compile(r"\.(?:mp3|wav|ogg|m4a|amr|gsm)(?:[?#\"'].*)?", re.IGNORECASE)


def is_recording_label(label: str) -> bool:
    """Whether a column says which recordings there are.

    Args:
        label: the column's label, as the API has it.
    """
    return label.strip().casefold() in _LABELS


def promised_recordings(cell: Value) -> int:
    """How many recordings there must be at least.

    Args:
        cell: the cell of the column, or None for an empty one.
    """
    text = "" if cell is None else str(cell).strip()
    if text.casefold() in _SAYS_NO:
        return 0
    if text.startswith("["):
        with suppress(ValueError, RecursionError):
            items = json.loads(text)
            return sum(str(item).strip().casefold() not in _SAYS_NO for item in items)
    count = _COUNT.fullmatch(text)
    if count is not None and int(count[1]) <= _MOST:
        return int(count[1])
    return max(1, sum(_FILE.search(piece) is not None for piece in _BETWEEN.split(text)))
