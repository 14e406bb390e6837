"""The audit: what was delivered is compared with what the API counts now, and drift is red."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.api import DAY, KOLKATA, behave, client_of, listed, sandbox
from support.files import NOON, recorded_calls

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    AnswerError,
    CallReportError,
    DriftError,
    IncompleteReportError,
    SettingsError,
)
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.audit.delivered import (
    Delivered,
    compare,
    count_calls,
    delivered_in_s3,
    delivered_in_summary,
    latest_for_window,
)
from airflow_provider_callreport.delivery.errors import DestinationRefusedError
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.operators.check import CallReportCheckOperator
from airflow_provider_callreport.recordings.copy import RecordingsRequest, copy_recordings
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer

RUN = RunIdentity("dag", "task", "run")
SPAN = {"start": "2026-03-13T00:00:00+05:30", "end": "2026-03-14T00:00:00+05:30"}


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


def export(client: CallReportClient, key: str = "calls.csv", **request: Any) -> None:
    asked = ExportRequest("calls", DAY, **request)
    export_report(client, asked, run=RUN, destination=S3Destination("reports", key))


def audit(client: CallReportClient, *keys: str, check_bytes: bool = False, tolerance: int = 0) -> dict[str, Any]:
    delivered = delivered_in_s3("reports", keys or ("calls.csv",), "aws_default", check_bytes=check_bytes)
    return compare(count_calls(client, "calls", {}, DAY), delivered, DAY, tolerance=tolerance)


def test_a_delivered_export_is_whole_until_a_call_comes_late(server: SandboxServer, s3: SandboxS3) -> None:
    """whole-or-red, proved-total: equal is green; a call that shows up after the export is red, with both numbers."""
    calls = recorded_calls(5)
    behave(server, calls=listed(*calls))
    with client_of(server) as client:
        export(client)
        assert audit(client, check_bytes=True) == {
            "window": {**SPAN, "timezone": "Asia/Kolkata"},
            **{"counted": 5, "delivered": 5, "drift": 0, "files": 1},
        }
        server.settings.calls = listed(*calls, Call(NOON + timedelta(hours=1), call_id="late"))
        with pytest.raises(DriftError, match=r"counts 6 calls .*, and 5 were delivered .*: \+1\.") as caught:
            audit(client)
        assert not caught.value.retryable
        assert audit(client, tolerance=1)["drift"] == 1
        server.settings.calls = listed(*calls[:3])
        with pytest.raises(DriftError, match=r": -2\."):
            audit(client, tolerance=1)


def test_a_grouped_export_is_added_up(server: SandboxServer, s3: SandboxS3) -> None:
    """proved-total: the files of one report together."""
    behave(server, calls=listed(Call(NOON, status="A"), Call(NOON, status="B"), Call(NOON, status="B")))
    with client_of(server) as client:
        export(client, "by/[[ group ]].csv", group_by="Status")
        assert audit(client, "by/A.csv", "by/B.csv")["files"] == 2
        with pytest.raises(DriftError, match=r"2 were delivered .*: \+1"):
            audit(client, "by/B.csv")


def test_a_manifest_of_recordings_counts_calls_and_not_lines(server: SandboxServer, s3: SandboxS3) -> None:
    """proved-total: a call with two recordings is one call."""
    calls = [*recorded_calls(2), Call(NOON, call_id="two", recording=recorded_calls(2)[0].recording + " " + TOKEN)]
    behave(server, calls=listed(*calls))
    asked = RecordingsRequest("calls", DAY, "reports", "r/[[ call ]]_[[ part ]]", "m.jsonl", rounds_wait=(0,))
    with client_of(server) as client:
        assert copy_recordings(client, asked, run=RUN).manifest.rows == 4
        assert audit(client, "m.jsonl")["delivered"] == 3


TOKEN = "canaryrecording9999*mp3*acme*2026*03*13*other.mp3"


def test_an_overwritten_file_is_noticed(server: SandboxServer, s3: SandboxS3) -> None:
    """stored-bytes: the bytes are read and compared, when asked; metadata alone can be copied."""
    behave(server, calls=listed(*recorded_calls(2)))
    with client_of(server) as client:
        export(client)
        metadata = s3.client().head_object(Bucket="reports", Key="calls.csv")["Metadata"]
        s3.client().put_object(Bucket="reports", Key="calls.csv", Body=b"edited by hand", Metadata=metadata)
        assert audit(client)["drift"] == 0
        with pytest.raises(DriftError, match="has other bytes than were delivered"):
            audit(client, check_bytes=True)
        s3.client().put_object(Bucket="reports", Key="calls.csv", Body=b"edited by hand")
        with pytest.raises(DriftError, match="does not say how many calls it has"):
            audit(client)


def test_a_missing_file_is_drift_and_a_missing_bucket_an_error(server: SandboxServer, s3: SandboxS3) -> None:
    """all-or-nothing: nothing delivered is not "zero calls", also on a day without calls."""
    behave(server, calls=listed())
    with client_of(server) as client, pytest.raises(DriftError, match=r"s3://reports/calls\.csv does not exist"):
        audit(client)
    assert server.requests == []
    with pytest.raises(DestinationRefusedError, match="the bucket does not exist"):
        delivered_in_s3("no-such-bucket", ["a"], "aws_default", check_bytes=False)


def test_a_file_of_another_window_is_drift(server: SandboxServer, s3: SandboxS3) -> None:
    """proved-total: as many calls of another day prove nothing."""
    behave(server, calls=listed(*recorded_calls(2)))
    other = Window(DAY.start, DAY.end - timedelta(hours=1), KOLKATA)
    with client_of(server) as client:
        export(client)
        delivered = delivered_in_s3("reports", ["calls.csv"], "aws_default", check_bytes=False)
    with pytest.raises(DriftError, match=r"is of the window from 2026-03-13T00:00:00\+05:30 to 2026-03-14"):
        compare(2, delivered, other)


@pytest.mark.parametrize("report", ["calls", "masked_calls"])
def test_counting_asks_or_reads(server: SandboxServer, report: str) -> None:
    """proved-total, few-requests: reportCount is one request; what it may not know of is read and proved."""
    behave(server, calls=listed(*recorded_calls(7)), masked_calls=listed(*recorded_calls(4)))
    with client_of(server) as client:
        assert count_calls(client, report, {}, DAY) == (7 if report == "calls" else 4)
        assert [one.endpoint for one in server.requests] == (
            ["reportCount"] if report == "calls" else ["masklist"] * len(server.requests)
        )
        assert count_calls(client, "calls", {"agent": "nobody"}, DAY) == 0
        assert count_calls(client, "calls", {}, DAY, by="read") == 7


@pytest.mark.slow
def test_a_count_that_cannot_be_had_is_an_error(server: SandboxServer) -> None:
    """whole-or-red: neither an HTML page nor a report with a hole is a number."""
    behave(server, calls=listed(*recorded_calls(9)), report_count="missing")
    with client_of(server) as client, pytest.raises(CallReportError, match="which is not exact"):
        count_calls(client, "calls", {}, DAY, by="count")
    with client_of(server) as client:
        assert count_calls(client, "calls", {}, DAY) == 9, "the report is read where it cannot be counted"
    behave(server, [Fault("html_page", page=None)], calls=listed(*recorded_calls(9)))
    with client_of(server) as client, pytest.raises(AnswerError):
        count_calls(client, "calls", {}, DAY)
    behave(server, [Fault("empty_page", page=1)], calls=listed(*recorded_calls(9)))
    with client_of(server, page_size=3) as client, pytest.raises(IncompleteReportError):
        count_calls(client, "calls", {}, DAY, by="read")


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        (5, 5),
        ("5", 5),
        ({"rows": 5}, 5),
        ({"rows": 5, "window": SPAN}, 5),
        ({"calls": 5, "manifest": {"rows": 9}}, 5),
        ({"rows": 0}, 0),
    ],
)
def test_a_value_says_how_many(value: Any, calls: int) -> None:
    """A number, an export's XCom value, a recordings' XCom value, an asset event's extra."""
    assert delivered_in_summary(value, "delivered").calls == calls


@pytest.mark.parametrize("value", [None, "", "many", -1, True, 1.5, {}, {"rows": None}, [5], "None"])
def test_a_value_without_a_number_is_refused(value: Any) -> None:
    """whole-or-red: an XCom value that is not there is not "zero calls"."""
    with pytest.raises(SettingsError, match="delivered has no number of calls; allowed is a whole number"):
        delivered_in_summary(value, "delivered")


@dataclass
class Event:
    extra: Any


def test_the_newest_event_of_the_window_counts() -> None:
    """A backfill emits another event for the same window; events of other windows and of other tools are left out."""
    tomorrow = {"start": SPAN["end"], "end": "2026-03-15T00:00:00+05:30"}
    events = [
        Event({"rows": 5, "window": SPAN}),
        Event({"rows": 6, "window": {"start": "2026-03-12T18:30:00+00:00", "end": "2026-03-13T18:30:00+00:00"}}),
        Event({"rows": 9, "window": tomorrow}),
        *(Event({}), Event(None), Event({"rows": 7}), Event({"other": 1})),
    ]
    assert latest_for_window(events, DAY, "the asset a") == Delivered(
        6, "the asset a", datetime(2026, 3, 12, 18, 30, tzinfo=UTC), datetime(2026, 3, 13, 18, 30, tzinfo=UTC)
    )
    with pytest.raises(DriftError, match="no event of the asset a is for the window from 2026-03-13T00:00:00"):
        latest_for_window(events[2:], DAY, "the asset a")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"delivered": None}, "what was delivered is given by nothing; set exactly one of s3_bucket with s3_key"),
        ({"s3_bucket": "b", "s3_key": "k"}, "what was delivered is given by s3_key and delivered; set exactly one"),
        ({"delivered": None, "s3_bucket": "b"}, "s3_bucket and s3_key belong together; set both or neither"),
        ({"report": "call"}, "report is 'call' (did you mean 'calls'?); allowed are calls, masked_calls"),
        ({"count_by": "guess"}, "count_by is 'guess'; allowed are auto, count, read"),
        ({"tolerance": -1}, "tolerance is -1; allowed is a whole number of at least 0"),
        ({"check_bytes": "yes"}, "check_bytes is 'yes'; allowed are True and False"),
        ({"delivered": None, "s3_bucket": "b", "s3_key": []}, "s3_key is an empty list; allowed is one key at least"),
        ({"delivered": None, "s3_bucket": "b", "s3_key": "k/"}, "s3_key is 'k/'; allowed is the key of an object"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], sentence: str) -> None:
    """clear-sentence: one sentence, while the Dag is parsed."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        CallReportCheckOperator(**{"task_id": "a", "delivered": 5, **wrong})
