"""One spelling for a phone number, whatever it was written with."""

from __future__ import annotations

import re

#: DeepCall serves India: a national number (ten digits, or eleven with a leading 0) gets this country code.
HOME_COUNTRY_CODE = "91"

_SEPARATORS = re.compile(r"[ ().\-/]")
_NATIONAL_DIGITS = 10


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
