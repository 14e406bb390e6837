"""The slices of a long export that a failed try leaves to the next one: nothing twice, nothing lost, nothing to see."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.api import DAY, KOLKATA, NOON, client_of
from support.delivery import S3Gate, aws_connection, s3_error, s3_server

from airflow_provider_callreport.api import paging
from airflow_provider_callreport.api.errors import CallReportError
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.delivery.slice_objects import SliceObjects
from airflow_provider_callreport.export.checkpoint import MAX_AGE, Checkpoint
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

#: Windows of so many calls are read in parts here, not from 10,000 calls on: the tests are about parts, not about size.
CAP = 1000
#: Read in four parts of some 500 calls.
CALLS = 2000
PAGE_SIZE = 100
RUN = RunIdentity("dag", "task", "run")
REPORTS, KEPT = "checkpoint-reports", "checkpoint-kept"
STAGING = f"s3://{KEPT}/callreport/"


class Store:
    """Airflow's task state store, in this process: JSON in, JSON out."""

    def __init__(self) -> None:
        self.text: str | None = None

    def get(self) -> Mapping[str, Any] | None:
        value: Mapping[str, Any] | None = None if self.text is None else json.loads(self.text)
        return value

    def set(self, value: Mapping[str, Any]) -> None:
        self.text = json.dumps(value)

    def delete(self) -> None:
        self.text = None


class Site:
    """The vendor and S3, and what an export of them left."""

    def __init__(self, api: SandboxServer, gate: S3Gate, client: Any) -> None:
        self.api = api
        self.gate = gate
        self.client = client
        self.store = Store()

    def export(
        self,
        key: str = "calls",
        *,
        fail_at: int | None = None,
        checkpoint: bool = True,
        run: RunIdentity = RUN,
        **request: Any,
    ) -> str:
        """One try of a task; its SHA-256. The API breaks down after ``fail_at`` rows."""

        def on_rows(rows: int) -> None:
            if fail_at is not None and rows >= fail_at:
                self.api.settings.faults = [Fault("vendor_error", code=1009)]

        self.api.requests.clear()
        self.api.settings.faults = []
        asked = ExportRequest("calls", DAY, page_size=PAGE_SIZE, rounds_wait=(0,), **request)
        asked = replace(asked, format_options=FORMATS[asked.file_format].check_options(asked.format_options))
        with client_of(self.api, hmac_secret="0123456789abcdef") as client:
            summary = export_report(
                client,
                asked,
                run=run,
                destination=S3Destination(REPORTS, key),
                on_rows=on_rows,
                checkpoint=Checkpoint(SliceObjects.at(STAGING, "aws_default", {}), self.store) if checkpoint else None,
            )
        assert summary.outcome.complete is True
        return " ".join(file.file.sha256 for file in summary.files)

    def pages(self) -> int:
        """Requests of the last try."""
        return len(self.api.requests)

    def kept(self) -> dict[str, bytes]:
        """The objects of the staging bucket."""
        listed = self.client.list_objects_v2(Bucket=KEPT).get("Contents", [])
        return {item["Key"]: self.client.get_object(Bucket=KEPT, Key=item["Key"])["Body"].read() for item in listed}

    def kept_pages(self) -> int:
        """Pages of the slices in the staging bucket."""
        heads = [json.loads(gzip.decompress(content).splitlines()[0]) for content in self.kept().values()]
        return sum(head["pages"] for head in heads)

    def break_off(self, fail_at: int = 1100, **request: Any) -> None:
        """A try that fails."""
        with pytest.raises(CallReportError, match="1009"):
            self.export(fail_at=fail_at, **request)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SandboxServer, S3Gate, str]]:
    with SandboxServer(SandboxSettings()) as api, s3_server() as (endpoint, gate):
        yield api, gate, endpoint


@pytest.fixture
def site(servers: tuple[SandboxServer, S3Gate, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    api, gate, endpoint = servers
    monkeypatch.setattr(paging, "TOTAL_CAP", CAP)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(endpoint))
    api.settings = SandboxSettings(calls=SyntheticCalls(CALLS), max_page_size=PAGE_SIZE)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    site = Site(api, gate, client)
    for bucket in (REPORTS, KEPT):
        client.create_bucket(Bucket=bucket)
    yield site
    gate.before = None
    for key in site.kept():
        client.delete_object(Bucket=KEPT, Key=key)


KINDS: dict[str, dict[str, Any]] = {
    "csv": {},
    "csv by cursor": {"api": {"cursor": "top"}},
    "xlsx side by side": {"concurrency": 3, "file_format": "xlsx"},
    "a file a status": {
        "group_by": "Status",
        "file_format": "jsonl",
        "redact": {"Caller Number": "hmac", "Campaign": "drop"},
        "columns": ["Time", "Caller Number", "Status"],
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_try_reads_on_and_makes_the_same_file(site: Site, kind: str) -> None:
    """T2, C4: slices that a failed try has completed are not fetched again, and the bytes are those of one try."""
    request = dict(KINDS[kind])
    for name, value in request.pop("api", {}).items():
        setattr(site.api.settings, name, value)
    key = "calls/[[ group ]]" if "group_by" in request else "calls"
    at_once = site.export(key, checkpoint=False, **request)
    whole = site.pages()
    site.break_off(key=key, **request)
    if kind == "csv by cursor":
        # By cursor a report is read in parts only where they are kept: each of the four begins and ends for itself.
        whole += 4 + 4
    # Each slice costs a request, which asks whether it has still as many calls.
    kept = site.kept_pages() - len(site.kept())
    # The try breaks off a page earlier or later, as the next request had reached the API before or not.
    assert kept > whole / 5
    assert site.export(key, **request) == at_once
    assert site.pages() <= whole - kept
    assert (site.kept(), site.store.text) == ({}, None), "nothing is left"


def test_tries_may_fail_at_each_place(site: Site) -> None:
    """T2: try after try gets further."""
    at_once = site.export(checkpoint=False)
    whole = site.pages()
    for rows in (100, 600, 1500):
        site.break_off(rows)
    kept = site.kept_pages() - len(site.kept())
    assert site.export() == at_once
    assert site.pages() <= whole - kept


def test_a_short_report_keeps_nothing(site: Site) -> None:
    """C4: below the cap there are no slices, and no further request to the API or to S3."""
    site.api.settings.calls = SyntheticCalls(900)
    site.gate.requests.clear()
    site.break_off(500)
    assert not site.kept()
    assert site.store.text is None
    site.export()
    assert site.pages() <= 9 + 2
    assert {request.path for request in site.gate.requests if request.method in ("PUT", "DELETE")} == {
        "/checkpoint-reports/calls"
    }


def test_without_a_place_or_a_store_an_export_begins_anew(site: Site) -> None:
    """C1: a checkpoint that cannot be had is no reason to fail, nor to lose a call."""
    at_once = site.export(checkpoint=False)
    site.gate.before = lambda environ: (
        s3_error("AccessDenied", "403 Forbidden") if environ["PATH_INFO"].startswith(f"/{KEPT}") else None
    )
    site.break_off()
    assert site.store.text is None
    assert site.export() == at_once


@pytest.mark.parametrize("harm", ["gone", "changed", "a day old", "another run"])
def test_what_is_gone_old_or_not_ours_is_read_again(site: Site, harm: str) -> None:
    """C1, T2: a slice is used only if it is what this task instance has stored, not long ago."""
    at_once = site.export(checkpoint=False)
    whole = site.pages()
    site.break_off()
    run, kept = RUN, site.kept_pages()
    key, content = max(site.kept().items())
    if harm == "gone":
        site.client.delete_object(Bucket=KEPT, Key=key)
    elif harm == "changed":
        lines = gzip.decompress(content).replace(b"Answered", b"Answorod")
        site.client.put_object(Bucket=KEPT, Key=key, Body=gzip.compress(lines))
    elif harm == "a day old":
        state = dict(site.store.get() or {})
        site.store.set({**state, "since": (datetime.now(UTC) - MAX_AGE - timedelta(minutes=1)).isoformat()})
    else:
        run, site.store = replace(RUN, run_id="another"), Store()
    assert site.export(run=run) == at_once
    assert site.pages() > whole - kept if harm in ("gone", "changed") else site.pages() == whole


@pytest.mark.parametrize(
    "change",
    [{"columns": ["Time", "Status"]}, {"redact": {"Caller Number": "drop"}}, {"filters": {"agent": ["Asha Rao"]}}],
)
def test_another_request_does_not_take_what_was_kept(site: Site, change: dict[str, Any]) -> None:
    """P1, C1: somebody mended the Dag between two tries; rows that were redacted or filtered less do not leave."""
    at_once = site.export(checkpoint=False, **change)
    site.break_off()
    assert site.export(**change) == at_once


def broken_off(site: Site) -> list[Call]:
    """The calls of a try that failed when most of its slices were kept."""
    # Ids of their own: the stand-in would number the calls anew, and so tell of a change in another way.
    calls = [
        Call(NOON + timedelta(seconds=second), f"9198{second:08d}", call_id=f"call{second:023d}")
        for second in range(CALLS)
    ]
    site.api.settings.calls = ListedCalls(calls)
    site.break_off(1900)
    assert site.kept()
    return calls


def exported_anew(site: Site, calls: list[Call]) -> tuple[bytes, bool]:
    """The file of the next try when the API has these calls now, and whether that took fewer requests than usual."""
    site.api.settings.calls = ListedCalls(calls)
    whole = site.export(checkpoint=False)
    usual = site.pages()
    assert site.export() == whole
    content: bytes = site.client.get_object(Bucket=REPORTS, Key="calls")["Body"].read()
    return content, site.pages() < usual


def test_calls_that_came_late_are_in_the_file(site: Site) -> None:
    """C1, C6: the slice's own count tells that it has grown since it was kept; then it is read again, and it alone."""
    early = Call(NOON + timedelta(milliseconds=500), "919999999999", call_id="early")
    content, spared = exported_anew(site, [*broken_off(site), early])
    assert early.number.encode() in content
    assert spared


def test_calls_that_were_removed_are_not_in_the_file(site: Site) -> None:
    """C1, C6: the slice's own count tells that it has shrunk since it was kept; then it is read again, and it alone."""
    calls = broken_off(site)
    content, spared = exported_anew(site, calls[1:])
    assert calls[0].number.encode() not in content
    assert spared


def test_a_call_that_was_removed_and_one_that_came_late_are_noticed(site: Site) -> None:
    """C1, C6: the number of the whole window is the same, those of the two slices are not."""
    calls = broken_off(site)
    edges = [key.rpartition("/")[2].split("-") for key in site.kept()]
    slices = [[datetime.fromtimestamp(int(edge), KOLKATA).replace(tzinfo=None) for edge in pair] for pair in edges]
    # From the first slice with calls one goes, to the last one comes.
    starts = sorted(start for start, end in slices if any(start <= call.time < end for call in calls))
    assert len(starts) >= 2
    late = Call(starts[-1] + timedelta(milliseconds=500), "919999999999", call_id="late")
    content, _ = exported_anew(site, [*calls[1:], late])
    assert (calls[0].number.encode() in content, late.number.encode() in content) == (False, True)


def test_nothing_private_is_kept(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """P1: rows are kept as they would leave, and the store holds no call; neither holds a secret."""
    calls = [Call(NOON + timedelta(seconds=second), "919876501234", campaign=f"c{second}") for second in range(CALLS)]
    site.api.settings.calls = ListedCalls(calls)
    with caplog.at_level("DEBUG"):
        site.break_off(redact={"Caller Number": "last4"}, filters={"cNum": "919876501234"})
    kept = b"".join(map(gzip.decompress, site.kept().values()))
    assert b"********1234" in kept
    for text in (kept.decode(), site.store.text or "", caplog.text, " ".join(site.kept())):
        assert "9876501234" not in text
        assert "sandbox-token" not in text
        assert "0123456789abcdef" not in text
    assert site.store.text is not None
    assert "c123" not in site.store.text


@pytest.mark.parametrize("url", ["", "bucket/prefix", "s3://", "s3:///prefix", "gs://bucket/x", "s3://b/x?y", None, 5])
def test_a_wrong_place_is_refused(url: Any) -> None:
    """Bad input: what it was and what is allowed."""
    with pytest.raises(ValueError, match=r"checkpoint is .*; allowed is an address such as s3://my-bucket/callreport/"):
        SliceObjects.at(url, None, {})


def test_slices_are_encrypted_as_the_report_is(site: Site, tmp_path: Path) -> None:
    """P1: encryption and payment of ``s3_extra_args`` hold for slices; tags and access rights are the report's."""
    seen: list[Mapping[str, str]] = []
    args = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key", "Tagging": "a=b", "ACL": "public-read"}
    place = SliceObjects.at(STAGING, "aws_default", args)

    def look(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "PUT":
            seen.append({name[5:]: value for name, value in environ.items() if name.startswith("HTTP_X_AMZ")})

    site.gate.before = look
    path = tmp_path / "rows"
    path.write_bytes(b"rows")
    place.put(place.connect(), "name", path)
    assert seen[0]["X_AMZ_SERVER_SIDE_ENCRYPTION"] == "aws:kms"
    assert not [name for name in seen[0] if "TAG" in name or "ACL" in name]
