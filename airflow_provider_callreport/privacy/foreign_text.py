"""What a server says, made fit for a log and a message."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from urllib.parse import quote

from airflow_provider_callreport.privacy.phone_numbers import without_numbers


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Foreign text made fit for a log: secrets and phone-like numbers replaced, one line, at most 300 characters.

    A secret is found as it is and as servers echo it: escaped for JSON, HTML or a URL.
    """
    for secret in filter(None, secrets):
        in_json = (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
        for form in (secret, *in_json, html.escape(secret), quote(secret), quote(secret, safe="")):
            text = text.replace(form, "***")
    return one_line(without_numbers(text))


def one_line(text: str) -> str:
    """Foreign text without control characters and line breaks, at most 300 characters: for ids, which are numbers."""
    text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:299] + "…"
