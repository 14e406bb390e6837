"""``detail``: one call, its recordings, and their addresses, which are secrets."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.api import behave, client_of, listed, sandbox
from support.files import NOON, token

from airflow_provider_callreport.api.detail import fetch_detail, read_detail
from airflow_provider_callreport.api.errors import AnswerError, AuthenticationError, SettingsError, TimeoutExceededError
from airflow_provider_callreport.hooks.callreport import CallReportHook
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

BASE = "https://v4-api.deepcall.com/api/v2/CallReport"
ONE = {"ndId": "n1", "rcrd": token(1)}


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as one:
        yield one


def test_a_call_has_its_recordings_in_order(server: SandboxServer) -> None:
    """The documented answer; several recordings of a call come each once, in the API's order."""
    call = Call(NOON, call_id="call-a", recording=f"{token(1)} {token(2)}")
    behave(server, calls=listed(call))
    with client_of(server) as client:
        detail = fetch_detail(client, "call-a")
    assert [recording.node for recording in detail.recordings] == ["n1", "n2"]
    assert detail.call_id == "call-a"
    assert detail.data["rcrdAr"][1]["rcrd"] == token(2)
    (request,) = server.requests
    assert (request.endpoint, request.body) == ("detail", {"clId": "call-a", "rType": ["rcrd"]})


def test_a_token_becomes_the_address_of_the_stream() -> None:
    """The form that other clients use, beside the last part of the base URL; every part quoted."""
    (recording,) = read_detail({"data": {"rcrdAr": [ONE]}}, "a").recordings
    assert recording.stream_url(BASE) == (
        "https://v4-api.deepcall.com/api/v2/recording/directstream/canaryrecording0001/mp3/acme/2026/03/13/rec1.mp3"
    )
    odd = {"rcrd": "t/o?k=n#*mp3*a b*2026*03*13*f%2F..é.mp3"}
    (recording,) = read_detail({"data": {"rcrdAr": [odd]}}, "a").recordings
    assert recording.stream_url("https://host/x/api/v2/callreport") == (
        "https://host/x/api/v2/recording/directstream/t%2Fo%3Fk%3Dn%23/mp3/a%20b/2026/03/13/f%252F..%C3%A9.mp3"
    )


def test_the_stream_behind_the_address_is_the_sandboxs(server: SandboxServer) -> None:
    """The address is made from what the sandbox's own rows say: the synthetic calls' recordings can be fetched."""
    import requests

    source = SyntheticCalls(50)
    behave(server, calls=source)
    with client_of(server) as client:
        call_id = next(
            identity
            for identity in (f"{day}cal{source.bits(ordinal):016x}" for day, ordinal in _some_ids(source))
            if source.recording(identity)
        )
        (recording,) = fetch_detail(client, call_id).recordings
        answer = requests.get(recording.stream_url(client.settings.base_url), timeout=5)
    assert answer.status_code == 200
    assert answer.content[:3] == b"ID3"


def _some_ids(source: SyntheticCalls) -> Iterator[tuple[str, int]]:
    for ordinal in range(50):
        yield f"{source.first_day:%Y%m%d}", ordinal


@pytest.mark.parametrize("data", [None, [], {}, {"rcrdAr": []}, {"rcrdAr": None}])
def test_a_call_without_recordings_has_none(data: Any) -> None:
    """None, or still being made: every way to say so."""
    assert read_detail({"data": data}, "a").recordings == ()


def test_the_same_recording_twice_is_one() -> None:
    """An answer that repeats itself does not make two files."""
    assert len(read_detail({"data": {"rcrdAr": [ONE, ONE]}}, "a").recordings) == 1


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ([], "no object with data"),
        ({"cnt": 0}, "no object with data"),
        ({"data": "none"}, "without rcrdAr"),
        ({"data": {"recordings": []}}, "without rcrdAr"),
        ({"data": {"rcrdAr": "x"}}, "rcrdAr of type str"),
        ({"data": {"rcrdAr": ["x"]}}, "a recording of type str"),
        ({"data": {"rcrdAr": [{"ndId": "n1"}]}}, "not of the form"),
        *(
            ({"data": {"rcrdAr": [{"rcrd": text}]}}, "not of the form")
            for text in (
                "",
                "a*b",
                token(1).replace("*mp3*", "*wav*"),
                token(1).removesuffix(".mp3"),
                token(1).replace("2026", "26"),
                token(1).replace("acme", ".."),
                token(1).replace("acme", ""),
                token(1) + "*x.mp3",
                ["a"],
            )
        ),
    ],
)
def test_a_shape_that_cannot_be_read_is_an_error_and_no_empty_answer(payload: Any, words: str) -> None:
    """whole-or-red: none silently missing; no-leak: the sentence has nothing of the token."""
    with pytest.raises(AnswerError, match=words) as caught:
        read_detail(payload, "a")
    assert "canary" not in str(caught.value)


def test_no_repr_has_the_token() -> None:
    """no-leak: what a debugger, a log line or an assertion prints of a call has no address in it."""
    detail = read_detail({"data": {"rcrdAr": [ONE]}}, "a")
    assert "canary" not in repr(detail) + repr(detail.recordings) + str(detail.recordings[0])


def test_a_read_is_tried_again_and_a_refusal_is_not(server: SandboxServer) -> None:
    """error-kinds: 1009 costs a second request, 1014 none."""
    behave(server, [Fault("vendor_error", code=1009, times=1)], calls=listed(Call(NOON, call_id="a")))
    with client_of(server, max_retry_time=5) as client:
        assert fetch_detail(client, "a").recordings == ()
        assert client.requests_made == 2
        server.settings.faults = [Fault("vendor_error", code=1014)]
        with pytest.raises(AuthenticationError):
            fetch_detail(client, "a")
        assert client.requests_made == 3


def test_an_unreadable_shape_is_tried_again_and_then_fails(server: SandboxServer) -> None:
    """whole-or-red: an answer of another shape may be a hiccup, and is never "no recording"."""
    behave(server, calls=listed(Call(NOON, call_id="a", recording=token(1))), detail_answer="odd_shape")
    with client_of(server) as client, pytest.raises(AnswerError, match="without rcrdAr"):
        fetch_detail(client, "a")


def test_a_slow_answer_ends_at_the_timeout(server: SandboxServer) -> None:
    """network-faults: detail is slow while a recording is made; the connection's patience holds."""
    behave(server, [Fault("delay", seconds=60)], calls=listed(Call(NOON, call_id="a")))
    began = time.monotonic()
    with client_of(server, timeout=0.3) as client, pytest.raises(TimeoutExceededError):
        fetch_detail(client, "a")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("call_id", "parts", "sentence"),
    [
        ("", ["rcrd"], "call_id is ''; allowed is the id of a call, as text"),
        (12, ["rcrd"], "call_id is 12; allowed is the id of a call, as text"),
        ("a", "rcrd", "parts is 'rcrd'; allowed is a list of texts, such as [\"rcrd\"]"),
        ("a", [], 'parts is []; allowed is a list of texts, such as ["rcrd"]'),
    ],
)
def test_bad_input_gets_one_sentence(server: SandboxServer, call_id: Any, parts: Any, sentence: str) -> None:
    """clear-sentence: before any request."""
    behave(server)
    with client_of(server) as client, pytest.raises(SettingsError) as caught:
        fetch_detail(client, call_id, parts)
    assert str(caught.value) == sentence
    assert server.requests == []


def test_the_hook_gets_a_call(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The hook's method is the same over an Airflow connection, and logs no token at DEBUG (no-leak)."""
    behave(server, calls=listed(Call(NOON, call_id="a", recording=token(7))))
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", server.connection_json())
    with caplog.at_level(logging.DEBUG):
        detail = CallReportHook().get_call("a")
    assert len(detail.recordings) == 1
    assert "canaryrecording" not in caplog.text
    assert SandboxSettings().token not in caplog.text
