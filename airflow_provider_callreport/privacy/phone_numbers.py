"""Phone numbers: one spelling for each, and texts without them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_callreport.privacy.readings import TooManyLayersError, readings

#: DeepCall serves India: a national number (ten digits, or eleven with a leading 0) gets this country code.
HOME_COUNTRY_CODE = "91"

#: Stands for what is hidden.
HIDDEN = "***"

_SEPARATORS = re.compile(r"[ ().\-/]")
_NATIONAL_DIGITS = 10
#: Seven digits or more, as many as a local number has. Between two of them may stand a few signs, or one letter.
_NUMBER = re.compile(r"\+?[0-9](?:(?:[\W_]{0,5}|[^\W\d_])[0-9]){6,}")
#: A day, or a day and a time, is no number.
_DAY = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[ T][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?)?(?![0-9])"
)


def international(text: str) -> str | None:
    """The digits of a number in international form without ``+``, or None when it is no phone number.

    The rule: separators go; a leading ``+`` or ``00`` goes; ten digits, or eleven with a leading 0, are an Indian
    national number and get 91 in front. What is left must be 8 to 15 digits (E.164) that do not begin with 0. So
    ``+91 98765 43210``, ``0091-9876543210``, ``09876543210`` and ``9876543210`` are one number.
    """
    compact = _SEPARATORS.sub("", text.strip())
    if compact.startswith("+"):
        digits = compact[1:]
    elif compact.startswith("00"):
        digits = compact[2:]
    elif len(compact) == _NATIONAL_DIGITS and compact[:1] != "0":
        digits = HOME_COUNTRY_CODE + compact
    elif len(compact) == _NATIONAL_DIGITS + 1 and compact[:1] == "0":
        digits = HOME_COUNTRY_CODE + compact[1:]
    else:
        digits = compact
    if not digits.isascii() or not digits.isdigit() or not 8 <= len(digits) <= 15 or digits[0] == "0":
        return None
    return digits


def without_numbers(text: str) -> str:
    """A text with ``***`` for all that may be a phone number, in any spelling; see `privacy.readings`.

    Days and times of the form ``2026-03-13 09:00:00`` stay. A text with too many layers of escapes is hidden whole.
    """
    spans: list[tuple[int, int]] = []
    try:
        for reading in readings(text):
            # As long as before, so that places stay.
            without_days = _DAY.sub(lambda day: "d" * len(day[0]), reading.text)
            spans += [reading.original_span(*number.span()) for number in _NUMBER.finditer(without_days)]
    except TooManyLayersError:
        return HIDDEN
    return hide_spans(text, spans)


def hide_spans(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """A text with ``***`` in place of each span; spans that overlap or touch are one."""
    pieces: list[str] = []
    done = -1
    for start, end in sorted(spans):
        if start > done:
            pieces += (text[max(0, done) : start], HIDDEN)
        done = max(done, end)
    return "".join((*pieces, text[max(0, done) :]))
