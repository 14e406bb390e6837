"""The guard against formula injection in CSV files, and its exact inverse.

A spreadsheet that opens a CSV file runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula (OWASP, "CSV
Injection"). A caller who can choose a name could make the reader's machine send data away. The guard puts an apostrophe
before such a text. XLSX, JSON Lines and Parquet have types and need no guard.

A text is guarded when it begins with
- TAB, CR or LF, which some readers drop before they look for a formula;
- ``=`` or ``@``, or their full-width and small forms (``＝``, ``﹦``, ``＠``, ``﹫``), which some readers fold;
- ``+`` or ``-`` or their full-width and small forms, unless the text is a plain signed number or a phone number;
- any of these after spaces or characters that have no width;
- apostrophes and then any of these; so the guard can be removed again without doubt.

A signed number or phone number stays as it is: ``+919876543210``, ``-5``, ``-1,234.50``, ``+91 98765 43210``,
``+1 (555) 010-9999``, and a ``-`` alone. It has only digits, spaces, dots, commas, brackets and hyphens, so it calls no
function. It is not a sum either: a second hyphen is accepted only in a text with two groups of digits side by side,
which no formula has. ``+1-1`` and ``+91-98765-43210`` are guarded: a spreadsheet would show their difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from airflow_provider_callreport.report import Value

GUARD = "'"
"""The character put before a text that a spreadsheet would run."""

# Spaces, marks of writing direction and characters without width. `text.clean` has replaced the C0 controls before.
_BLANKS = " \x85\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
_BREAKS = "\t\r\n"
_OPERATORS = "=@＝﹦＠﹫"
_SIGNS = "+\\-＋﹢－﹣"
_NUMBER = (
    "[+-]"
    r"(?=[^-]*\Z|.*[0-9] [0-9(])"  # no second hyphen, or two groups side by side
    r"[0-9(][0-9 .,()-]*\Z"
)
_PLACEHOLDER = r"[+-]+\Z"
_DANGEROUS = re.compile(
    f"{GUARD}*(?:[{_BREAKS}]|[{_BLANKS}{_BREAKS}]*(?:[{_OPERATORS}]|(?!{_NUMBER}|{_PLACEHOLDER})[{_SIGNS}]))"
)

# Two tests for a whole column. The first looks at the set of first characters, which are harmless in most columns. The
# second matches all lines of a column at once, and passes numbers that begin with "+".
_SUSPECTS = f"{GUARD}{_BREAKS}{_BLANKS}{_OPERATORS}{_SIGNS}"
_SUSPECT = re.compile(f"[{_SUSPECTS}]")
_HARMLESS_LINES = re.compile(f"(?>(?:[^{_SUSPECTS}][^\\n]*|[+-][0-9]+)(?:\\n|\\Z))*+\\Z")
_first_character: Callable[[Any], str] = itemgetter(0)


def guard(text: str) -> str:
    """Return ``text``, with an apostrophe before it if a spreadsheet would take it for a formula."""
    return GUARD + text if _DANGEROUS.match(text) else text


def unguard(text: str) -> str:
    """Return what `guard` was given: ``unguard(guard(x)) == x`` for every text."""
    return text[1:] if text.startswith(GUARD) and _DANGEROUS.match(text) else text


def guard_texts(values: Sequence[Value]) -> Sequence[Value]:
    """Guard the values of a column of texts.

    Returns:
        ``values`` itself when nothing in it needs the guard.
    """
    texts: list[Any] = list(filter(None, values))
    try:
        if not _SUSPECT.search("".join(set(map(_first_character, texts)))):
            return values
        lines = "\n".join(texts)
        if lines.count("\n") == len(texts) - 1 and _HARMLESS_LINES.match(lines):  # one line is one text
            return values
    except TypeError:  # a number or a time, which should not be in the column
        pass
    return _guard_each(values)


def guard_strays(values: Sequence[Value]) -> Sequence[Value]:
    """Guard the texts in a column of another kind; its numbers and times need no guard.

    Returns:
        ``values`` itself when it has no text.
    """
    return _guard_each(values) if str in set(map(type, values)) else values


def _guard_each(values: Sequence[Value]) -> Sequence[Value]:
    dangerous = _DANGEROUS.match
    return [GUARD + value if isinstance(value, str) and dangerous(value) else value for value in values]
