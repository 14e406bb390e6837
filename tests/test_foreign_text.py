"""What a server says is shown without secrets, whatever way it spells them."""

from __future__ import annotations

import html
import json
import logging
import traceback
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import ScriptedServer, client_settings, json_answer

from airflow_provider_callreport.api.answer import parse_answer
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import ApiError
from airflow_provider_callreport.api.settings import Credentials
from airflow_provider_callreport.privacy.foreign_text import scrub

TOKEN = "a7/Qz+kP=9x/Wm2_vB&<n>4.tL"


def entities(text: str, form: str) -> str:
    return "".join(form.format(ord(character)) for character in text)


SPELLINGS = {
    "as it is": TOKEN,
    "upper case": TOKEN.upper(),
    "lower case": TOKEN.lower(),
    "JSON": json.dumps(TOKEN),
    "JSON with escaped slashes": json.dumps(TOKEN).replace("/", "\\/"),
    "JSON in JSON": json.dumps(json.dumps(TOKEN)),
    "JSON, every letter": "".join(f"\\u{ord(character):04x}" for character in TOKEN),
    "JavaScript, every letter": "".join(f"\\x{ord(character):02X}" for character in TOKEN),
    "URL": quote(TOKEN, safe=""),
    "URL in lower case": quote(TOKEN, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "URL twice": quote(quote(TOKEN, safe=""), safe=""),
    "URL, every letter": "".join(f"%{ord(character):02x}" for character in TOKEN),
    "HTML": html.escape(TOKEN),
    "HTML with escaped slashes": html.escape(TOKEN).replace("/", "&#x2F;"),
    "HTML, every letter": entities(TOKEN, "&#{};"),
    "HTML, every letter, hex": entities(TOKEN, "&#x{:x};"),
    "HTML of JSON of a URL": html.escape(json.dumps(quote(TOKEN, safe=""))),
    "wrapped": "\n".join(TOKEN[at : at + 5] for at in range(0, len(TOKEN), 5)),
    "spaced out": " ".join(TOKEN),
    "full width": "".join(chr(ord(c) + 0xFEE0) if 0x21 <= ord(c) <= 0x7E else c for c in TOKEN),
    "the first half": TOKEN[:13],
    "the second half": TOKEN[13:],
    "its middle": TOKEN[5:20],
    "its beginning": TOKEN[:6],
    "its beginning, cut": f"{TOKEN[:6]}…",
    "its beginning, cut with dots": f"{TOKEN[:6]}...",
    "its beginning, in quotes": f'"{TOKEN[:8]}", "sz": 100',
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_secret_is_shown(spelling: str) -> None:
    """No run of four of its letters and digits is left, however one reads what is shown."""
    shown = scrub(f"query failed for {SPELLINGS[spelling]}", (TOKEN,))
    assert shown.startswith("query failed for ")
    assert "***" in shown
    bare = "".join(character for character in html.unescape(shown).casefold() if character.isalnum())
    token = "".join(character for character in TOKEN.casefold() if character.isalnum())
    assert not any(token[at : at + 4] in bare for at in range(len(token) - 3)), shown


WAYS: list[Callable[[str], str]] = [json.dumps, html.escape, lambda text: quote(text, safe=""), str.upper]


@given(st.text("abcXYZ0189/+=_-.%&<>\\\"' ", min_size=8, max_size=40), st.data())
def test_no_spelling_of_any_secret_is_shown(secret: str, data: st.DataObject) -> None:
    """Spellings of spellings, drawn at random."""
    text = secret
    for way in data.draw(st.lists(st.sampled_from(WAYS), max_size=3)):
        text = way(text)
    shown = scrub(f"failed: {text}; wait", (secret,))
    bare = "".join(character for character in shown.removeprefix("failed").casefold() if character.isalnum())
    wanted = "".join(character for character in secret.casefold() if character.isalnum())
    for piece in (wanted[at : at + 8] for at in range(len(wanted) - 7)):
        assert piece not in bare


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Invalid token", TOKEN),
        ("The parameter dtGte is missing", TOKEN),
        ("from + size must be at most 10000 but was 10100", TOKEN),
        ("user is locked", "u1"),
    ],
)
def test_a_message_that_tells_no_secret_is_shown_whole(text: str, secret: str) -> None:
    """It is what helps."""
    assert scrub(text, (secret,)) == text


def test_a_message_that_is_encoded_without_end_is_hidden_whole() -> None:
    """In case of doubt nothing is shown."""
    text = TOKEN
    for _ in range(12):
        text = quote(text, safe="")
    assert scrub(f"failed for {text}", (TOKEN,)) == "***"


def test_a_long_message_is_read_in_bounded_time() -> None:
    """A megabyte of secrets: what is not looked at is not shown."""
    shown = scrub(TOKEN * 40_000, (TOKEN,))
    assert shown in ("***", "***>", "***<")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_answer_that_repeats_the_request_leaks_nothing(spelling: str, caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: over a real socket, in exception, traceback and log."""
    caplog.set_level(logging.DEBUG)
    script = json_answer({"status": "error", "code": 1009, "message": f"failed for {SPELLINGS[spelling]}"})
    with ScriptedServer(script) as server:
        settings = client_settings(server.url, credentials=Credentials("u1", TOKEN), max_retry_time=0.01)
        with CallReportClient(settings) as client, pytest.raises(ApiError) as failed:
            client.call("list", {"filter": {}, "sz": 1, "page": 0}, parse_answer)
    shown = "".join(traceback.format_exception(failed.value)) + caplog.text + repr(failed.value.__dict__)
    assert "failed for" in shown
    assert SPELLINGS[spelling][:12] not in shown
