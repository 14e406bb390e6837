"""Recordings: matching calls, their sound in S3, and a manifest in which no call is silently missing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.api import (
    DAY,
    ScriptedServer,
    api_url,
    behave,
    client_of,
    client_settings,
    json_answer,
    listed,
    sandbox,
)
from support.files import MP3, NOON, RawServer, answers, closes, drips, recorded_calls, resets, token

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.download import FileDownloader
from airflow_provider_callreport.api.errors import (
    AddressRefusedError,
    AnswerError,
    AnswerTooLargeError,
    AuthenticationError,
    CallReportError,
    IncompleteReportError,
    RecordingsMissingError,
    RedirectError,
    TableError,
    TransportError,
    WrongFileError,
)
from airflow_provider_callreport.delivery.errors import DestinationRefusedError
from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator
from airflow_provider_callreport.recordings.copy import RecordingsRequest, RecordingsSummary, copy_recordings
from airflow_provider_callreport.recordings.keys import check_key, fill_key, part_names
from airflow_provider_callreport.recordings.promised import promised_recordings
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.recordings import recording_bytes
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer

RUN = RunIdentity("dag", "recordings", "run")
OTHER_RUN = RunIdentity("dag", "recordings", "another run")
KEY = "rec/[[ call ]]_[[ part ]].mp3"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as one:
        yield one


@pytest.fixture(scope="module")
def running_s3() -> Iterator[SandboxS3]:
    with SandboxS3() as one:
        yield one


@pytest.fixture
def s3(running_s3: SandboxS3, monkeypatch: pytest.MonkeyPatch) -> SandboxS3:
    running_s3.reset()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", running_s3.connection_json())
    return running_s3


def copy(
    server: SandboxServer, *, run: RunIdentity = RUN, client: dict[str, Any] | None = None, **request: Any
) -> RecordingsSummary:
    """Copy the recordings of the tests' day."""
    asked = RecordingsRequest(
        "calls", DAY, "reports", KEY, **{"manifest_key": "rec/manifest.jsonl", "rounds_wait": (0, 0, 0), **request}
    )
    with client_of(server, **(client or {})) as caller:
        return copy_recordings(caller, asked, run=run)


def manifest(s3: SandboxS3) -> list[dict[str, Any]]:
    return [json.loads(line) for line in s3.read("rec/manifest.jsonl").splitlines()]


def key(number: int, part: str = "n1") -> str:
    return f"rec/20260313call{number:015d}_{part}.mp3"


def fetched(server: SandboxServer) -> int:
    """Streams that were asked for."""
    return sum(request.endpoint == "recording" for request in server.requests)


def test_every_recording_is_in_s3_byte_for_byte_and_in_the_manifest(server: SandboxServer, s3: SandboxS3) -> None:
    """whole-or-red, stored-bytes: the truth comes from the sandbox's own calls; sizes and hashes are those of the bytes
    in S3.
    """
    calls = recorded_calls(25, without=(3, 7))
    behave(server, calls=listed(*calls))
    summary = copy(server)
    lines = manifest(s3)
    assert [line["call"] for line in lines] == [call.call_id for call in calls]
    for number, (call, line) in enumerate(zip(calls, lines, strict=True)):
        if not call.recording:
            assert line == {
                **{"call": call.call_id, "part": None, "status": "no_recording"},
                **{"key": None, "bytes": None, "sha256": None},
            }
            continue
        truth = recording_bytes(call.recording, server.settings)
        assert s3.read(key(number)) == truth
        assert (line["status"], line["part"], line["key"], line["bytes"], line["sha256"]) == (
            *("stored", "n1", key(number), len(truth)),
            hashlib.sha256(truth).hexdigest(),
        )
    assert s3.keys() == sorted([*(key(n) for n in range(25) if n not in (3, 7)), "rec/manifest.jsonl"])
    xcom = summary.to_xcom()
    assert {name: xcom[name] for name in ("calls", "reported_total", "recordings", "copied", "already_there")} == {
        **{"calls": 25, "reported_total": 25, "recordings": 23, "copied": 23, "already_there": 0}
    }
    assert {name: xcom[f"calls_{name}"] for name in ("stored", "no_recording", "missing", "failed")} == {
        **{"stored": 23, "no_recording": 2, "missing": 0, "failed": 0}
    }
    body = s3.read("rec/manifest.jsonl")
    assert xcom["manifest"] == {
        "uri": "s3://reports/rec/manifest.jsonl",
        "rows": 25,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert len(json.dumps(xcom)) < 1024


def test_objects_say_what_they_are(server: SandboxServer, s3: SandboxS3) -> None:
    """stored-bytes: content type, and metadata with call, part, window and SHA-256; the user's own
    arguments reach S3.
    """
    behave(server, calls=listed(*recorded_calls(1)))
    copy(server, s3_extra_args={"Metadata": {"team": "sales"}, "StorageClass": "STANDARD_IA"})
    head = s3.client().head_object(Bucket="reports", Key=key(0))
    assert (head["ContentType"], head["StorageClass"]) == ("audio/mpeg", "STANDARD_IA")
    metadata = head["Metadata"]
    # A keyed hash: neither the file's name nor its token.
    assert re.fullmatch("[0-9a-f]{64}", metadata["recording-source"])
    metadata["recording-source"] = "?"
    assert metadata.pop("run")
    assert metadata.pop("written-as")
    assert metadata == {
        "call": "20260313call000000000000000",
        "part": "n1",
        "recording-source": "?",
        "team": "sales",
        "sha256": hashlib.sha256(s3.read(key(0))).hexdigest(),
        "rows": "1",
        "complete": "yes",
        "report": "calls",
        "timezone": "Asia/Kolkata",
        "window-start": "2026-03-13T00:00:00+05:30",
        "window-end": "2026-03-14T00:00:00+05:30",
    }
    manifest_head = s3.client().head_object(Bucket="reports", Key="rec/manifest.jsonl")
    assert manifest_head["ContentType"] == "application/jsonl; charset=utf-8"


def test_several_recordings_of_a_call_have_a_line_each(server: SandboxServer, s3: SandboxS3) -> None:
    """whole-or-red: none silently missing within a call either."""
    behave(server, calls=listed(Call(NOON, call_id="two", recording=f"{token(1)} {token(2)}")))
    copy(server)
    assert [(line["part"], line["key"]) for line in manifest(s3)] == [
        ("n1", "rec/two_n1.mp3"),
        ("n2", "rec/two_n2.mp3"),
    ]
    assert s3.read("rec/two_n2.mp3") == recording_bytes(token(2), server.settings)


def test_a_second_run_fetches_nothing_and_writes_the_same_manifest(server: SandboxServer, s3: SandboxS3) -> None:
    """all-or-nothing, same-again: resumable; what is there is known by its metadata, also to another run."""
    behave(server, calls=listed(*recorded_calls(6, without=(2,))))
    copy(server)
    first, times = s3.read("rec/manifest.jsonl"), modified(s3)
    server.requests.clear()
    xcom = copy(server, run=OTHER_RUN).to_xcom()
    assert fetched(server) == 0
    assert (xcom["copied"], xcom["already_there"]) == (0, 5)
    assert s3.read("rec/manifest.jsonl") == first
    assert modified(s3) == times


def modified(s3: SandboxS3) -> list[Any]:
    entries = s3.client().list_objects_v2(Bucket="reports")["Contents"]
    return [(entry["Key"], entry["ETag"], entry["LastModified"]) for entry in entries if entry["Key"].endswith(".mp3")]


def test_a_run_that_was_stopped_goes_on(server: SandboxServer, s3: SandboxS3) -> None:
    """all-or-nothing: the recordings of a red run stay, no manifest is there, and the next try fetches
    only the rest.
    """
    behave(server, [Fault("http_status", status=404, times=2, endpoint="recording")], calls=listed(*recorded_calls(8)))
    with pytest.raises(RecordingsMissingError, match="2 failed and 6 are in place; no manifest was written"):
        copy(server)
    assert len(s3.keys()) == 6
    server.requests.clear()
    assert copy(server).copied == 2
    assert fetched(server) == 2
    assert len(manifest(s3)) == 8


def test_replace_fetches_all_again(server: SandboxServer, s3: SandboxS3) -> None:
    """if-exists: if_exists="replace" trusts nothing that is there."""
    behave(server, calls=listed(*recorded_calls(3)))
    copy(server)
    s3.client().put_object(Bucket="reports", Key=key(1), Body=b"damaged")
    server.requests.clear()
    assert copy(server, if_exists="replace").copied == 3
    assert fetched(server) == 3
    assert s3.read(key(1)) == recording_bytes(token(1), server.settings)


def test_a_foreign_object_of_the_same_content_is_taken_for_the_recording(server: SandboxServer, s3: SandboxS3) -> None:
    """A recording that another tool has copied is not written again."""
    behave(server, calls=listed(*recorded_calls(1)))
    truth = recording_bytes(token(0), server.settings)
    s3.client().put_object(Bucket="reports", Key=key(0), Body=truth)
    assert copy(server).copied == 0
    assert manifest(s3)[0]["sha256"] == hashlib.sha256(truth).hexdigest()


@pytest.mark.parametrize("same_size", [True, False])
def test_a_foreign_object_of_other_content_is_an_error(server: SandboxServer, s3: SandboxS3, same_size: bool) -> None:
    """if-exists: somebody else's object is neither overwritten nor taken for the recording, whatever its size."""
    behave(server, calls=listed(*recorded_calls(2)))
    other = bytes(len(recording_bytes(token(1), server.settings))) if same_size else b"somebody else's"
    s3.client().put_object(Bucket="reports", Key=key(1), Body=other)
    with pytest.raises(RecordingsMissingError, match='remove it, choose another s3_key, or set if_exists="replace"'):
        copy(server)
    assert s3.read(key(1)) == other


@pytest.mark.parametrize("keeps_metadata", [True, False])
def test_an_object_whose_bytes_were_changed_is_not_believed(
    server: SandboxServer, s3: SandboxS3, keeps_metadata: bool
) -> None:
    """stored-bytes: metadata can be copied with other bytes; S3's own checksum of the bytes decides."""
    behave(server, calls=listed(*recorded_calls(1)))
    copy(server)
    truth = recording_bytes(token(0), server.settings)
    head = s3.client().head_object(Bucket="reports", Key=key(0))
    metadata = head["Metadata"] if keeps_metadata else {}
    s3.client().put_object(Bucket="reports", Key=key(0), Body=bytes(len(truth)), Metadata=metadata)
    if keeps_metadata:
        assert copy(server).copied == 1
        (line,) = manifest(s3)
        assert line["key"] == key(0, f"n1-{hashlib.sha256(truth).hexdigest()[:12]}")
        assert s3.read(line["key"]) == truth
    else:
        with pytest.raises(RecordingsMissingError, match="its content is another one"):
            copy(server)


FIRST, SECOND = token(1), token(2)


@pytest.mark.parametrize("run", [RUN, OTHER_RUN])
@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("later", [f"{SECOND} {FIRST}", f"{FIRST} {SECOND}", SECOND])
def test_parts_of_a_call_do_not_take_each_others_place(
    server: SandboxServer, s3: SandboxS3, later: str, ids: bool, run: RunIdentity
) -> None:
    """whole-or-red: an earlier run saw one recording of two; whichever comes first now, each is stored as itself."""
    answer = "recordings" if ids else "no_ids"
    behave(server, calls=listed(Call(NOON, call_id="one", recording=FIRST)), detail_answer=answer)
    copy(server)
    behave(server, calls=listed(Call(NOON, call_id="one", recording=later)), detail_answer=answer)
    copy(server, run=run)
    lines = manifest(s3)
    assert [line["status"] for line in lines] == ["stored"] * len(later.split())
    for line, recording in zip(lines, later.split(), strict=True):
        truth = recording_bytes(recording, server.settings)
        assert s3.read(line["key"]) == truth
        assert line["sha256"] == hashlib.sha256(truth).hexdigest()
    assert len({line["key"] for line in lines}) == len(lines)
    times = modified(s3)
    assert copy(server, run=OTHER_RUN).copied == 0
    assert manifest(s3) == lines
    assert modified(s3) == times


def test_a_recording_that_is_signed_anew_is_fetched_and_not_written_again(server: SandboxServer, s3: SandboxS3) -> None:
    """all-or-nothing: a token that changes leads to the same file."""
    behave(server, calls=listed(Call(NOON, call_id="one", recording=token(1))))
    copy(server)
    server.requests.clear()
    behave(server, calls=listed(Call(NOON, call_id="one", recording=token(1).replace("canary", "canary2"))))
    assert copy(server).copied == 0
    assert fetched(server) == 0


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_stream_without_a_length_is_not_stored_as_proved(s3: SandboxS3, share: float) -> None:
    """whole-or-red: it ends with the connection, so that nobody can tell whether all of it came."""
    with sandbox(proxy=True) as server:
        behave(server, [Fault("no_length", endpoint="recording", share=share)], calls=listed(*recorded_calls(1)))
        with pytest.raises(RecordingsMissingError, match="came as a stream without a length") as failed:
            copy(server)
        assert failed.value.retryable
        assert s3.keys() == []
        xcom = copy(server, on_incomplete="warn").to_xcom()
        assert (xcom["calls_unproved"], xcom["calls_stored"], xcom["recordings"]) == (1, 0, 1)
        (line,) = manifest(s3)
        assert (line["status"], line["key"]) == ("unproved", key(0))
        assert s3.client().head_object(Bucket="reports", Key=key(0))["Metadata"]["complete"] == "unproved"
        # A later run that gets the length does not believe what is there.
        behave(server, calls=listed(*recorded_calls(1)))
        copied = copy(server).copied
        (line,) = manifest(s3)
        assert line["status"] == "stored"
        assert copied == (0 if share == 1 else 1)
        assert s3.read(line["key"]) == recording_bytes(token(0), server.settings)


@pytest.mark.slow
def test_of_parallel_runs_each_succeeds_and_one_writes(server: SandboxServer, s3: SandboxS3) -> None:
    """if-exists: eight runs at the same keys at the same time: all green, every object whole, the manifests equal."""
    behave(server, calls=listed(*recorded_calls(4)))
    results: list[RecordingsSummary | BaseException] = []

    def one(number: int) -> None:
        try:
            results.append(copy(server, run=RunIdentity("dag", "recordings", f"run {number}"), concurrency=2))
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result for result in results if isinstance(result, BaseException)] == []
    assert {result.manifest.sha256 for result in results if isinstance(result, RecordingsSummary)} == {
        hashlib.sha256(s3.read("rec/manifest.jsonl")).hexdigest()
    }
    for number in range(4):
        assert s3.read(key(number)) == recording_bytes(token(number), server.settings)


def test_a_promised_recording_that_is_not_there_is_red(server: SandboxServer, s3: SandboxS3) -> None:
    """whole-or-red: the report says that there is one, detail says none: still being made; another try may find it."""
    behave(server, calls=listed(*recorded_calls(3, without=(1,))), detail_answer="being_made")
    with pytest.raises(RecordingsMissingError, match="2 are missing, 0 failed and 0 are in place") as caught:
        copy(server)
    assert caught.value.retryable
    assert "20260313call000000000000002" in str(caught.value)
    assert s3.keys() == []


def test_warn_delivers_a_manifest_that_names_what_is_missing(
    server: SandboxServer, s3: SandboxS3, caplog: pytest.LogCaptureFixture
) -> None:
    """whole-or-red: on_incomplete="warn" is green, and manifest, log and XCom say what is missing."""
    calls = recorded_calls(4, without=(1,))
    behave(server, [Fault("http_status", status=410, times=1, endpoint="recording")], calls=listed(*calls))
    with caplog.at_level(logging.WARNING):
        xcom = copy(server, on_incomplete="warn", concurrency=1).to_xcom()
    assert [line["status"] for line in manifest(s3)] == ["failed", "no_recording", "stored", "stored"]
    assert manifest(s3)[0]["key"] is None
    assert (xcom["calls_failed"], xcom["recordings"]) == (1, 2)
    assert "call 20260313call000000000000000" in caplog.text
    server.settings.detail_answer = "being_made"
    copy(server, on_incomplete="warn")
    assert [line["status"] for line in manifest(s3)] == ["missing", "no_recording", "missing", "missing"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "promised"),
    [
        ("token", True),
        ("boolean", True),
        ("count", True),
        ("path", True),
        ("url", True),
        ("list", True),
        ("null", False),
    ],
)
@pytest.mark.parametrize("row_shape", ["position", "label", "fields", "hit"])
def test_the_report_promises_a_recording_in_every_shape(
    server: SandboxServer, s3: SandboxS3, shape: str, promised: bool, row_shape: str
) -> None:
    """whole-or-red: whatever `Rec.` looks like, a promised recording is missed; a call without one is not."""
    settings = {"recording_shape": shape, "row_shape": row_shape, "detail_answer": "being_made"}
    behave(server, calls=listed(*recorded_calls(2, without=(1,))), **settings)
    copy(server, on_incomplete="warn")
    assert [line["status"] for line in manifest(s3)] == ["missing" if promised else "no_recording", "no_recording"]


@pytest.mark.parametrize(
    ("cell", "promised"),
    [
        *((nothing, 0) for nothing in (None, "", " ", "0", "0.0", "no", "False", "-", "[]", "{}", "null")),
        *(
            (one, 1)
            for one in ("1", "01", "1.0", "true", "yes", "a/b.mp3", "t*mp3*u*2026*03*13*f.mp3", "my call 2.mp3")
        ),
        *((two, 2) for two in ("2", "02", "2.0", "a.mp3 b.mp3", "a.mp3, b.wav", "https://x/a.mp3?t=1;https://x/b.mp3")),
        *((two, 2) for two in ('["a.mp3","b.mp3"]', '[{"file":"a"},{"file":"b"}]', '["a.mp3","","b.mp3",null]')),
        *((large, 1) for large in ("21", "120", "1710313200", "1048576", "n1", "[1", "see details")),
    ],
)
def test_the_cell_says_how_many_recordings_there_must_be(cell: str | None, promised: int) -> None:
    """whole-or-red: a small number is a number of recordings, a list has its length; a size or an id promises one."""
    assert promised_recordings(cell) == promised


@pytest.mark.slow
@pytest.mark.parametrize("cell", [2, "2", [{"file": "a"}, {"file": "b"}], f"{token(1)} {token(2)}"])
def test_fewer_recordings_than_promised_are_missing_ones(server: SandboxServer, s3: SandboxS3, cell: Any) -> None:
    """whole-or-red: `Rec.` says two and detail has one: the one is stored, the other is missing, and the run is red."""
    behave(server, calls=listed(Call(NOON, call_id="two", recording=token(1), cells={"Rec.": cell})))
    with pytest.raises(RecordingsMissingError, match="1 are missing, 0 failed and 1 are in place") as failed:
        copy(server)
    assert "call two: the report promises 2 recordings and the API has 1: still being made, or deleted" in str(
        failed.value
    )
    assert s3.keys() == ["rec/two_n1.mp3"]
    xcom = copy(server, on_incomplete="warn").to_xcom()
    assert [(line["part"], line["status"]) for line in manifest(s3)] == [("n1", "stored"), (None, "missing")]
    assert (xcom["calls_missing"], xcom["calls_stored"]) == (1, 0)


def test_more_recordings_than_promised_are_all_stored(server: SandboxServer, s3: SandboxS3) -> None:
    """whole-or-red: the promise is the least."""
    behave(server, calls=listed(Call(NOON, call_id="two", recording=f"{token(1)} {token(2)}", cells={"Rec.": 1})))
    copy(server)
    assert [line["status"] for line in manifest(s3)] == ["stored", "stored"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("error_on_page", code=1014),
        Fault("null_data", page=1),
        Fault("empty_page", page=1),
        Fault("truncated_json", page=1),
        Fault("short_page", page=1, rows=1),
        Fault("html_page"),
    ],
    ids=lambda fault: str(fault.name),
)
def test_a_list_of_calls_that_is_not_whole_copies_nothing(server: SandboxServer, s3: SandboxS3, fault: Fault) -> None:
    """whole-or-red, proved-total: no recording is fetched, and nothing is written, before the list of calls is proved
    whole.
    """
    behave(server, [fault], calls=listed(*recorded_calls(9)))
    with pytest.raises(IncompleteReportError):
        copy(server, page_size=3)
    assert fetched(server) == 0
    assert s3.keys() == []


def test_a_list_of_calls_of_another_day_copies_nothing(s3: SandboxS3) -> None:
    """whole-or-red: a server, or a cache before it, that does not heed the window has a total that fits
    its own calls.
    """
    stale = {"columnArr": {"1": "Time"}, "data": [{"callId": "call-1", "1": "2025-01-01 10:00:00"}], "cnt": 1}
    asked = RecordingsRequest("calls", DAY, "reports", KEY, manifest_key="rec/manifest.jsonl", rounds_wait=(0, 0, 0))
    with ScriptedServer(json_answer(stale), json_answer({**stale, "data": []})) as scripted:
        with CallReportClient(client_settings(scripted.url)) as client, pytest.raises(AnswerError, match="the window"):
            copy_recordings(client, asked, run=RUN)
        assert {seen.path for seen in scripted.seen} == {"/list"}
    assert s3.keys() == []


def test_the_list_costs_few_requests(server: SandboxServer, s3: SandboxS3) -> None:
    """few-requests: the list as many requests as an export's, one detail a call, one stream a recording."""
    behave(server, calls=listed(*recorded_calls(20, without=(5,))))
    copy(server, page_size=5)
    count = {name: sum(one.endpoint == name for one in server.requests) for name in ("list", "detail", "recording")}
    assert count["list"] <= 20 / 5 + 2
    assert (count["detail"], count["recording"]) == (20, 19)


@pytest.mark.slow
def test_ten_thousand_calls_by_cursor_are_all_there(server: SandboxServer, s3: SandboxS3) -> None:
    """capped-totals: a total of exactly 10,000 is no proof; the list goes on by cursor."""
    calls = [Call(NOON, call_id=f"call{number}") for number in range(10_050)]
    behave(server, calls=listed(*calls), cnt="capped", cursor="top", report_count="missing")
    asked = RecordingsRequest("calls", DAY, "reports", KEY, "rec/manifest.jsonl", page_size=2000, rounds_wait=(0,))
    from airflow_provider_callreport.recordings.copy import _list_calls, _read_calls

    with client_of(server) as client, tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "calls"
        _list_calls(client, asked, path)
        assert [call for call, _ in _read_calls(path)] == [call.call_id for call in calls]


def test_a_call_with_a_row_for_each_leg_is_asked_for_once(tmp_path: Path) -> None:
    """whole-or-red: the largest promise of its rows counts, and the calls keep their order."""
    from airflow_provider_callreport.recordings.copy import _read_calls

    path = tmp_path / "calls"
    path.write_text("".join(json.dumps(line) + "\n" for line in [["a", 1], ["b", 0], ["a", 2], ["c", 1], ["b", 0]]))
    assert list(_read_calls(path)) == [("a", 2), ("b", 0), ("c", 1)]


def test_rows_without_an_id_are_an_error(server: SandboxServer, s3: SandboxS3) -> None:
    """whole-or-red: without the call's id no recording can be asked for; that is said, and not an empty manifest."""
    behave(server, calls=listed(*recorded_calls(2)), ids=False)
    with pytest.raises(TableError, match=r"have no id of the call \(callId\)"):
        copy(server)


def test_a_window_without_calls_is_a_manifest_without_lines(server: SandboxServer, s3: SandboxS3) -> None:
    """empty-report: nothing happened, and the manifest is there to say so."""
    behave(server, calls=listed())
    assert copy(server).to_xcom()["calls"] == 0
    assert s3.read("rec/manifest.jsonl") == b""


def test_the_manifest_as_csv(server: SandboxServer, s3: SandboxS3) -> None:
    """The same lines for a spreadsheet."""
    behave(server, calls=listed(*recorded_calls(2, without=(1,))))
    copy(server, manifest_format="csv", manifest_key="rec/manifest.csv")
    rows = list(csv.DictReader(io.StringIO(s3.read("rec/manifest.csv").decode())))
    assert [(row["status"], row["key"]) for row in rows] == [("stored", key(0)), ("no_recording", "")]


# What streams may be: each wrong one is red, and nothing of it is in S3.


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("missing", "HTTP 404"),
        ("html", "an HTML page instead of a file"),
        ("error", "code 1009"),
        ("empty", "an empty body"),
        ("cut", "cut off|without an answer"),
        ("text", "does not begin like a mp3 file"),
    ],
)
def test_what_is_no_recording_is_never_stored(server: SandboxServer, s3: SandboxS3, answer: str, words: str) -> None:
    """whole-or-red, stored-bytes: an error page, a vendor error with 200, half a file, or text is a failure that names
    the call.
    """
    behave(server, calls=listed(*recorded_calls(1)), recording_answer=answer)
    with pytest.raises(RecordingsMissingError, match=words) as caught:
        copy(server)
    assert "call 20260313call000000000000000" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert s3.keys() == []


def test_a_refused_account_ends_the_run_at_once(server: SandboxServer, s3: SandboxS3) -> None:
    """error-kinds: 1014 from detail is fatal: no second try, and the other calls are not asked for."""
    fault = Fault("vendor_error", code=1014, endpoint="detail")
    behave(server, [fault], calls=listed(*recorded_calls(50)))
    with pytest.raises(AuthenticationError):
        copy(server, concurrency=2, client={"max_retry_time": 30})
    assert sum(request.endpoint == "detail" for request in server.requests) <= 5


def test_a_service_that_keeps_failing_is_left_alone(server: SandboxServer, s3: SandboxS3) -> None:
    """error-kinds: after twenty recordings that cannot be had the run stops and says so."""
    behave(server, calls=listed(*recorded_calls(60)), recording_answer="missing")
    with pytest.raises(RecordingsMissingError, match="20 failed and 0 are in place; the copying was stopped"):
        copy(server)
    assert fetched(server) < 40


def test_ids_of_the_vendor_cannot_break_a_log_line(
    server: SandboxServer, s3: SandboxS3, caplog: pytest.LogCaptureFixture
) -> None:
    """no-leak, flat-memory: an id has no line break in log and error; of any number of troubles twenty are told, all
    are counted.
    """
    calls = [replace(call, call_id=f"id\r\nERROR \x1b[31m{number}") for number, call in enumerate(recorded_calls(25))]
    behave(server, calls=listed(*calls), detail_answer="being_made")
    with caplog.at_level(logging.WARNING):
        xcom = copy(server, on_incomplete="warn").to_xcom()
    told = [message for message in caplog.messages if message.startswith("call ")]
    assert [message.partition(":")[0] for message in told] == [f"call id ERROR [31m{number}" for number in range(20)]
    assert all(message.isprintable() for message in told)
    assert xcom["calls_missing"] == 25
    with pytest.raises(RecordingsMissingError, match="and 17 more") as failed:
        copy(server)
    assert str(failed.value).isprintable()


@pytest.mark.slow
def test_pace_holds_for_streams_and_details_together(server: SandboxServer, s3: SandboxS3) -> None:
    """request-pace: requests_per_second is one pace for list, detail and stream, whatever the concurrency."""
    behave(server, calls=listed(*recorded_calls(5)))
    copy(server, concurrency=5, client={"requests_per_second": 5})
    times = [request.time for request in server.requests]
    assert len(times) >= 11
    assert max(sum(0 <= other - one < 1 for other in times) for one in times) <= 6


def test_a_denied_bucket_is_one_error(server: SandboxServer, s3: SandboxS3) -> None:
    """clear-sentence: a bucket that does not exist ends the run with the sentence of S3."""
    behave(server, calls=listed(*recorded_calls(3)))
    asked = RecordingsRequest("calls", DAY, "no-such-bucket", KEY, "m.jsonl", rounds_wait=(0,))
    with client_of(server) as client, pytest.raises(DestinationRefusedError, match="the bucket does not exist"):
        copy_recordings(client, asked, run=RUN)


def test_memory_and_disk_stay_bounded(server: SandboxServer, s3: SandboxS3, tmp_path: Path) -> None:
    """flat-memory: two at a time means at most two recordings on disk, and none is left."""
    behave(server, calls=listed(*recorded_calls(30)), recording_bytes=400_000)
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(sum(path.suffix == ".mp3" for path in tmp_path.glob("*/*")))

    old, tempfile.tempdir = tempfile.tempdir, str(tmp_path)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        copy(server, concurrency=2)
    finally:
        done.set()
        watcher.join()
        tempfile.tempdir = old
    assert 1 <= max(seen) <= 2
    assert list(tmp_path.iterdir()) == []


# One download, on a wire that misbehaves.


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., Any]:
    """Fetches an MP3 from a server that stands for the connection's own host."""

    def fetch(raw: RawServer, *, limit: int = 10_000, wait: float = 0, seconds: float = 5, **settings: Any) -> Any:
        mine = client_settings(f"{raw.url}/api/v2/CallReport", max_retry_time=wait, **settings)
        with (
            CallReportClient(mine) as client,
            FileDownloader(client, max_bytes=limit, deadline_seconds=seconds) as downloader,
        ):
            return downloader.fetch(f"{raw.url}/canarysecret/a.mp3", tmp_path / "a", kind="mp3", what="the recording")

    return fetch


@pytest.mark.parametrize(
    "first",
    [
        resets(),
        closes,
        resets(b"HTTP/1.1 200 OK\r\nContent-Length: 2050\r\n\r\nID3"),
        answers(MP3[:100], length=len(MP3)),
        answers(b"", status="503 Busy"),
        answers(b"", status="429 Slow down", Retry_After="0"),
        answers(b"", status="408 Timeout"),
        answers(b"<html>", content_type="text/html"),
        answers(b"5\r\nID3\x04\x00\r\n", length=None, Transfer_Encoding="chunked"),
    ],
    ids=["reset", "closed", "reset in the body", "cut", "503", "429", "408", "html", "chunk cut"],
)
def test_a_download_recovers(fetch: Callable[..., Any], first: Any) -> None:
    """network-faults: each transient fault costs one more request, and the file is whole."""
    with RawServer(first, answers(MP3)) as raw:
        body = fetch(raw, wait=10)
        assert len(raw.heard) == 2
    assert (body.size, body.sha256, body.proved) == (len(MP3), hashlib.sha256(MP3).hexdigest(), True)
    assert body.path.read_bytes() == MP3


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        (answers(b"", status="404 Not Found"), CallReportError, "HTTP 404"),
        (answers(b"", status="302 Found", Location="http://127.0.0.1:9/canary"), RedirectError, "not followed"),
        (answers(MP3 * 10, length=None), AnswerTooLargeError, "more than the 10000 bytes"),
        (answers(MP3, length=10_001), AnswerTooLargeError, "more than the 10000 bytes"),
        (answers(MP3, Content_Encoding="br"), CallReportError, "Content-Encoding 'br'"),
        (answers(MP3, content_type="image/png"), WrongFileError, "content type 'image/png'"),
        (answers(b"RIFF....WAVE"), WrongFileError, "does not begin like a mp3 file"),
        (answers(b'{"status": "error", "code": 1014}'), AuthenticationError, "code 1014"),
        (answers(b'{"data": "x"}'), WrongFileError, "came as JSON"),
    ],
    ids=["404", "redirect", "long", "announced long", "brotli", "type", "magic", "vendor error", "json"],
)
def test_a_download_that_cannot_succeed_is_one_error(
    fetch: Callable[..., Any], behaviour: Any, error: type[Exception], words: str
) -> None:
    """error-kinds, bounded-answers: one request where a second cannot help, the limit holds, and no sentence has the
    address (P1).
    """
    with RawServer(behaviour) as raw:
        with pytest.raises(error, match=words) as caught:
            fetch(raw)
        assert len(raw.heard) == 1
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)


def test_a_dripping_server_is_left_at_the_deadline(fetch: Callable[..., Any]) -> None:
    """network-faults: one byte at a time holds a worker no longer than the deadline."""
    began = time.monotonic()
    dripping = RawServer(drips(b"HTTP/1.1 200 OK\r\nContent-Length: 2050\r\n\r\n"))
    with dripping as raw, pytest.raises(TransportError, match="1 s in all"):
        fetch(raw, seconds=1)
    assert time.monotonic() - began < 30


def test_a_gzip_bomb_ends_at_the_limit(fetch: Callable[..., Any]) -> None:
    """bounded-answers: what unpacks to more than is allowed is stopped while it unpacks."""
    import gzip

    bomb = RawServer(answers(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip"))
    with bomb as raw, pytest.raises(AnswerTooLargeError):
        fetch(raw, limit=1_000_000)


def test_a_download_carries_no_credentials(fetch: Callable[..., Any]) -> None:
    """safe-transport: neither body, nor cookie, nor Authorization, nor anything of the account."""
    with RawServer(answers(MP3, Set_Cookie="session=canary"), answers(MP3)) as raw:
        fetch(raw)
        fetch(raw)
        for heard in raw.heard:
            assert heard.line == "GET /canarysecret/a.mp3 HTTP/1.1"
            assert heard.body == b""
            names = {line.split(":")[0] for line in heard.head.split("\r\n")[1:]}
            assert names <= {"host", "accept", "accept-encoding", "connection", "user-agent"}
            assert "sandbox" not in heard.head


def test_the_log_of_a_download_has_no_address(fetch: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: not at DEBUG, not of a success, a refusal or a retry; other requests' lines are still there."""
    caplog.set_level(logging.DEBUG)
    with RawServer(resets(), answers(b'{"code": 1009, "message": "GET /canarysecret/a.mp3"}'), answers(MP3)) as raw:
        fetch(raw, wait=15)
        assert len(raw.heard) == 3
    assert "the recording failed at try 2" in caplog.text
    assert "canarysecret" not in caplog.text
    ordinary = RawServer(answers(b'{"data": []}', content_type="application/json"))
    with ordinary as raw, CallReportClient(client_settings(raw.url)) as client:
        client.call("detail", {}, lambda payload, _: payload)
    assert "/detail HTTP" in caplog.text


def test_the_address_must_not_lead_elsewhere(tmp_path: Path) -> None:
    """safe-transport: the vendor's own answers cannot make a worker visit another host: parts are
    quoted, dots refused.
    """
    mine = client_settings("https://api.example.com/api/v2/CallReport")
    with CallReportClient(mine) as client, FileDownloader(client, max_bytes=10) as downloader:
        for url in ("http://127.0.0.1:9/a.mp3", "https://127.0.0.1:9/a.mp3", "https://[::1]:9/a.mp3"):
            with pytest.raises(AddressRefusedError):
                downloader.fetch(url, tmp_path / "a", kind="mp3", what="the recording")


# Stopped at any moment.

_KILLED = """
import sys
sys.path.insert(0, {tests!r})
from test_recordings import *
settings = client_settings({base!r})
asked = RecordingsRequest("calls", DAY, "reports", KEY, "rec/manifest.jsonl", rounds_wait=(0,))
with CallReportClient(settings) as client:
    copy_recordings(client, asked, run=RUN)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_no_partial_object_and_the_next_one_ends_it(
    server: SandboxServer, s3: SandboxS3, tmp_path: Path, how: signal.Signals
) -> None:
    """all-or-nothing: killed amid its downloads; every object is whole, no manifest, and the next run leaves no file
    behind.
    """
    behave(server, [Fault("delay", seconds=0.15, endpoint="recording")], calls=listed(*recorded_calls(40)))
    program = _KILLED.format(tests=str(Path(__file__).parent), base=api_url(server))
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "AIRFLOW_CONN_AWS_DEFAULT": s3.connection_json(),
    }
    child = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 60
    while len(s3.keys()) < 5:
        assert time.monotonic() < give_up
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(how)
    child.wait(timeout=20)
    there = s3.keys()
    assert 5 <= len(there) < 40
    for name in there:
        assert s3.read(name) == recording_bytes(token(int(name[-22:-7])), server.settings), name
    server.settings.faults = []
    old, tempfile.tempdir = tempfile.tempdir, str(tmp_path)
    try:
        summary = copy(server)
    finally:
        tempfile.tempdir = old
    assert (summary.recordings, summary.copied) == (40, 40 - len(there))
    assert list(tmp_path.glob("*callreport*")) == []


# Keys.


def test_keys_are_made_from_ids_and_nothing_else() -> None:
    """no-leak: no file name, which may hold a number; ids of odd characters stay apart and cannot climb."""
    assert fill_key(KEY, "20260313call1", "n1") == "rec/20260313call1_n1.mp3"
    assert fill_key("[[call]]/[[  part ]]", "a/../b c", "é") == "a~2f~2e~2e~2fb~20c/~c3~a9"
    ids = ["\ud800", "a b", "a~20b", "a/b", "a\\b", "..", "~2e~2e", "."]
    assert len({fill_key(KEY, one, "n1") for one in ids}) == len(ids)


def test_parts_have_names_of_their_own() -> None:
    """An id of a part is used where it is one; what may be a phone number is not."""
    assert part_names(["n1", "n2"]) == ["n1", "n2"]
    assert part_names(["n1", "n1", "", "919876501234"]) == ["part1", "part2", "part3", "part4"]
    assert part_names(["98765-01234", "n+91 (98765) 01234", "987%2065012"]) == ["part1", "part2", "part3"]


@pytest.mark.parametrize("key", ["rec/a.mp3", "rec/[[ call ]].mp3", "rec/[[ part ]].mp3"])
def test_a_key_without_the_ids_is_refused(key: str) -> None:
    """clear-sentence: recordings would overwrite each other."""
    with pytest.raises(ValueError, match=r"has no \[\[ (call|part) \]\]; write a key such as"):
        check_key("s3_key", key)


# The operator's arguments.

RIGHT: dict[str, Any] = {"task_id": "a", "s3_bucket": "b", "s3_key": KEY, "manifest_key": "m.jsonl"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"report": "call"}, "report is 'call' (did you mean 'calls'?); allowed are calls, masked_calls"),
        ({"if_exists": "fail"}, "if_exists is 'fail'; allowed are skip, replace"),
        ({"manifest_format": "xlsx"}, "manifest_format is 'xlsx'; allowed are jsonl, csv"),
        ({"on_incomplete": "ignore"}, "on_incomplete is 'ignore'; allowed are fail, warn"),
        ({"concurrency": 0}, "concurrency is 0; allowed is a whole number from 1 to 32"),
        ({"concurrency": True}, "concurrency is True; allowed is a whole number from 1 to 32"),
        ({"max_recording_bytes": "1"}, "max_recording_bytes is '1'; allowed is a whole number of at least 1"),
        ({"s3_key": "a.mp3"}, "has no [[ call ]]; write a key such as"),
        ({"manifest_key": "m/"}, "manifest_key is 'm/'; allowed is the key of an object"),
        ({"s3_bucket": "s3://b"}, "s3_bucket is 's3://b'; allowed is a bucket's name alone"),
        ({"s3_extra_args": "x"}, "s3_extra_args is 'x'; allowed is an object of S3 arguments"),
        ({"callreport_conn_id": ""}, "callreport_conn_id is ''; allowed is the id of an Airflow connection"),
        ({"filters": {"dtGte": "x"}}, "filters has dtGte, which belongs to the window"),
        ({"window_start": "2026-03-14", "window_end": "2026-03-13"}, "which is earlier; set a later window_end"),
    ],
)
def test_a_wrong_argument_is_refused_while_the_dag_is_parsed(wrong: dict[str, Any], sentence: str) -> None:
    """clear-sentence: one sentence that names the argument, what it was and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        CallRecordingsToS3Operator(**{**RIGHT, **wrong})


def test_every_text_argument_is_a_template() -> None:
    """Every text argument is a template field, and a template is not judged before it is rendered."""
    operator = CallRecordingsToS3Operator(**{**RIGHT, "s3_key": "{{ params.key }}", "report": "{{ params.report }}"})
    assert {"s3_bucket", "s3_key", "manifest_key", "report", "filters", "window_start", "callreport_conn_id"} <= set(
        operator.template_fields
    )


@pytest.mark.parametrize("nodes", [["part2", ""], ["", "part1"], ["part2", "919876543210"], ["part3", "n", "n"]])
def test_an_id_that_looks_like_a_place_is_no_name(nodes: list[str]) -> None:
    """all-or-nothing: with one name for two recordings, the second would be taken for one that is at its
    key already.
    """
    assert len(set(part_names(nodes))) == len(nodes)
