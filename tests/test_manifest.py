"""The join after many exports: a manifest is written when together they are the whole report, and any drift is red."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.api import KOLKATA, ScriptedServer, behave, client_of, client_settings, json_answer, listed, sandbox

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import DriftError, SettingsError
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.audit.delivered import compare, count_calls, delivered_in_s3
from airflow_provider_callreport.audit.manifest import ManifestRequest, ManifestSummary, read_slices, write_manifest
from airflow_provider_callreport.delivery.errors import ObjectExistsError
from airflow_provider_callreport.delivery.receipts import DeliveryStatus
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.operators.manifest import CallReportManifestOperator
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer

START = datetime(2026, 3, 13, tzinfo=KOLKATA)
WHOLE = Window(START, START + timedelta(days=3), KOLKATA)
#: One, two and three calls a day.
CALLS = [Call(datetime(2026, 3, 13 + day, 9 + number)) for day in range(3) for number in range(day + 1)]
JOIN = RunIdentity("dag", "manifest", "run-1")
MANIFEST = S3Destination("reports", "calls/manifest.json")

Values = list[dict[str, Any]]


def day(number: int) -> Window:
    """One of the days."""
    return Window(START + timedelta(days=number), START + timedelta(days=number + 1), KOLKATA)


def key(number: int) -> str:
    """Where it is."""
    return f"calls/dt={day(number).start:%Y-%m-%d}/calls.csv"


def export(
    server: SandboxServer, number: int, run_id: str = "run-1", prefix: str = "", **request: Any
) -> dict[str, Any]:
    """Export a day as a mapped task does; its XCom value."""
    asked = ExportRequest("calls", day(number), **request)
    run = RunIdentity("dag", "export", run_id, number)
    with client_of(server, hmac_secret="a secret of 32 characters at least") as client:
        value = export_report(
            client, asked, run=run, destination=S3Destination("reports", prefix + key(number))
        ).to_xcom()
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[SandboxServer, SandboxS3]]:
    with sandbox() as server, SandboxS3() as s3:
        yield server, s3


@pytest.fixture(scope="module")
def exported(running: tuple[SandboxServer, SandboxS3]) -> Values:
    """The XCom values of the three days, whose objects are in S3."""
    server, s3 = running
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection_json())
        behave(server, calls=listed(*CALLS))
        return [export(server, number) for number in range(3)]


@pytest.fixture
def server(
    running: tuple[SandboxServer, SandboxS3], exported: Values, monkeypatch: pytest.MonkeyPatch
) -> SandboxServer:
    """The API with exactly the calls that were exported, S3 with their files, and no manifest."""
    server, s3 = running
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection_json())
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", server.connection_json(max_retry_time=0))
    s3.client().delete_object(Bucket="reports", Key=MANIFEST.key)
    return behave(server, calls=listed(*CALLS))


@pytest.fixture
def s3(running: tuple[SandboxServer, SandboxS3]) -> SandboxS3:
    return running[1]


def join(server: SandboxServer, values: Any, **request: Any) -> ManifestSummary:
    """Join the values of exports."""
    window, run = request.pop("window", WHOLE), request.pop("run", JOIN)
    asked = ManifestRequest("calls", window, read_slices(values, window), request.pop("s3", MANIFEST), **request)
    with client_of(server) as client:
        return write_manifest(client, asked, run=run, exporters=["export"])


def test_the_manifest_names_every_file_of_a_whole_report(
    server: SandboxServer, s3: SandboxS3, exported: Values
) -> None:
    """proved-total, stored-bytes: window, rows, bytes, schema and files; the order in which the tasks ended does not
    matter.
    """
    summary = join(server, [exported[2], exported[0], None, exported[1]], check_bytes=True)
    content = s3.read(MANIFEST.key)
    manifest = json.loads(content)
    span = {"start": "2026-03-13T00:00:00+05:30", "end": "2026-03-16T00:00:00+05:30", "timezone": "Asia/Kolkata"}
    assert manifest == {
        "manifest": 1,
        "written_by": manifest["written_by"],
        "report": "calls",
        "file_format": "csv",
        "window": span,
        "schema": {"columns": exported[0]["columns"], "redacted_columns": []},
        "rows": 6,
        "reported_total": 6,
        "bytes": sum(len(s3.read(key(number))) for number in range(3)),
        "files": [
            {
                "uri": f"s3://reports/{key(number)}",
                "rows": number + 1,
                "bytes": len(s3.read(key(number))),
                "sha256": hashlib.sha256(s3.read(key(number))).hexdigest(),
                "window": {name: exported[number]["window"][name] for name in ("start", "end")},
            }
            for number in range(3)
        ],
    }
    assert manifest["written_by"].startswith("airflow-provider-callreport ")
    xcom = summary.to_xcom()
    sha256 = hashlib.sha256(content).hexdigest()
    assert xcom == {
        **{"report": "calls", "window": span, "rows": 6, "reported_total": 6, "slices": 3, "bytes": manifest["bytes"]},
        "manifest": {"uri": MANIFEST.uri, "rows": 6, "bytes": len(content), "sha256": sha256},
    }
    # The audit reads it like an export.
    (delivered,) = delivered_in_s3("reports", [MANIFEST.key], "aws_default", check_bytes=True)
    with client_of(server) as client:
        counted = count_calls(client, "calls", {}, WHOLE)
    assert compare(counted, [delivered], WHOLE)["drift"] == 0


def test_the_same_slices_give_the_same_bytes(server: SandboxServer, s3: SandboxS3, exported: Values) -> None:
    """same-again, if-exists: another run finds the manifest as it would write it; under fail it is refused, and stays.

    What changed is told from the manifest before: all slices of the first run, none of the second. A try that died
    after it wrote its manifest does not lose them, because the objects carry its run's mark.
    """
    first = join(server, exported)
    content = s3.read(MANIFEST.key)
    second = join(server, exported[::-1], run=replace(JOIN, run_id="run-2"))
    again = join(server, exported)
    assert [one.manifest.status for one in (first, second, again)] == [
        *(DeliveryStatus.WRITTEN, DeliveryStatus.UNCHANGED, DeliveryStatus.ALREADY_THERE)
    ]
    assert [len(one.changed) for one in (first, second, again)] == [3, 0, 3]
    with pytest.raises(ObjectExistsError):
        join(server, exported, s3=replace(MANIFEST, if_exists="fail"), run=replace(JOIN, run_id="run-3"))
    assert s3.read(MANIFEST.key) == content


def edit(number: int, **changes: Any) -> Callable[[Values], object]:
    """Change something in one value; ``of_file_...`` in its file."""

    def change(values: Values) -> None:
        for name, value in changes.items():
            target = values[number]["files"][0] if name.startswith("of_file_") else values[number]
            target[name.removeprefix("of_file_")] = value

    return change


SPAN_13 = "from 2026-03-13T00:00:00+05:30 to 2026-03-14T00:00:00+05:30"
SPAN_14 = "from 2026-03-14T00:00:00+05:30 to 2026-03-15T00:00:00+05:30"


def span(start: str, end: str, zone: str = "Asia/Kolkata") -> dict[str, str]:
    return {"start": f"{start}+05:30", "end": f"{end}+05:30", "timezone": zone}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda values: values.pop(1), f"not whole: no slice has the calls {SPAN_14}"),
        (lambda values: values.pop(0), f"not whole: no slice has the calls {SPAN_13}"),
        (lambda values: values.pop(), "no slice has the calls from 2026-03-15T00:00:00+05:30 to 2026-03-16T00:00:00"),
        (lambda values: values.append(values[0]), f"two slices of the window from .* have the calls {SPAN_13}"),
        (
            edit(1, window=span("2026-03-13T23:00:00", "2026-03-15T00:00:00")),
            "two slices of .* have the calls from 2026-03-13T23:00:00+05:30 to 2026-03-14T00:00:00+05:30",
        ),
        (
            edit(1, window=span("2026-03-14T00:00:01", "2026-03-15T00:00:00")),
            "no slice has the calls from 2026-03-14T00:00:00+05:30 to 2026-03-14T00:00:01+05:30",
        ),
        (
            edit(2, window=span("2026-03-15T00:00:00", "2026-03-16T00:00:01")),
            "the slice from 2026-03-15T00:00:00+05:30 to 2026-03-16T00:00:01+05:30 is not inside the window",
        ),
        (
            edit(1, window=span("2026-03-14T00:00:00", "2026-03-15T00:00:00", "UTC")),
            "was made in the zone UTC, and the",
        ),
        (edit(1, reported_total=3), f"not whole: 2 of 3 calls are in the export {SPAN_14}; export it again"),
        (
            edit(1, rows=1, reported_total=1),
            f"the export {SPAN_14} has 1 call, and its files have another number",
        ),
        (edit(1, report="masked_calls"), f"not alike: report is calls {SPAN_13}, and masked_calls {SPAN_14}"),
        (edit(1, file_format="jsonl"), f"not alike: file_format is csv {SPAN_13}, and jsonl {SPAN_14}"),
        (edit(1, columns=["Time"]), f"not alike: columns are .* {SPAN_13}, and Time {SPAN_14}"),
        (edit(1, redacted_columns=["Caller Number"]), f"redacted_columns are none {SPAN_13}, and Caller Number"),
        (edit(1, of_file_status="skipped"), "left another run's object at s3://reports/calls/dt=2026-03-14/calls.csv"),
        (edit(1, of_file_sha256="0" * 64), "dt=2026-03-14/calls.csv is not the file that the export from 2026-03-14"),
        (edit(1, of_file_bytes=1), "dt=2026-03-14/calls.csv is not the file that the export from 2026-03-14"),
        (edit(1, of_file_uri="s3://reports/gone.csv"), "s3://reports/gone.csv does not exist"),
        (edit(1, of_file_uri=f"s3://reports/{key(0)}"), "is the file of two slices; one overwrote the other"),
        (lambda values: values.clear(), "there are no exports to join"),
    ],
)
def test_any_drift_is_red(
    server: SandboxServer, s3: SandboxS3, exported: Values, change: Callable[[Values], object], sentence: str
) -> None:
    """whole-or-red: gaps, overlaps, parts that are not whole or not alike, other objects: one sentence, and no
    manifest.
    """
    values = copy.deepcopy(exported)
    change(values)
    with pytest.raises(DriftError, match=sentence.replace("+05:30", r"\+05:30")) as caught:
        join(server, values)
    assert not caught.value.retryable
    assert MANIFEST.key not in set(s3.keys())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (edit(1, files=None), "exports[1] is not the XCom value of an export: it has no files"),
        (edit(1, window={"start": "x"}), "exports[1] is not the XCom value of an export: its window cannot be read"),
        (lambda values: values.insert(0, "x"), "exports[0] is not the XCom value of an export: it is of type str"),
        (edit(1, files_omitted=4), "names 1 of its 5 files, because an XCom value is small"),
        (edit(1, of_file_uri="file:///data/calls.csv"), "did not go to S3; a manifest names objects in S3 only"),
        (edit(1, files=[{"filename": "calls.csv", "rows": 2}]), "did not go to S3"),
    ],
)
def test_what_is_no_export_is_named(
    server: SandboxServer, exported: Values, change: Callable[[Values], object], sentence: str
) -> None:
    """clear-sentence: the value's place in the list and what it lacks."""
    values = copy.deepcopy(exported)
    change(values)
    with pytest.raises(SettingsError) as caught:
        join(server, values)
    assert sentence in str(caught.value)
    with pytest.raises(SettingsError, match="exports is of type int; allowed are the XCom values of exports"):
        read_slices(3, WHOLE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"redact": {"Caller Number": "last4"}}, {"redact": {"Caller Number": "hmac"}}),
        ({"redact": {}}, {"redact": {"Caller Number": "drop"}}),
        ({"columns": {"Time": "Time", "Agents": "Who"}}, {"columns": {"Time": "Time", "Campaign": "Who"}}),
        ({"columns": {"Time": "Time"}}, {"columns": {"Time": "Zeit"}}),
        ({"column_names": "as_is"}, {"column_names": "snake_case"}),
    ],
)
def test_slices_with_other_columns_or_redaction_are_no_report(
    server: SandboxServer, s3: SandboxS3, one: dict[str, Any], other: dict[str, Any]
) -> None:
    """redacted-cells: "last4" beside "hmac", or "Who" from another column, is no one table; both slices are named."""
    values = [export(server, number, prefix="mixed/", **(other if number == 1 else one)) for number in range(3)]
    with pytest.raises(DriftError, match="the slices are not alike") as caught:
        join(server, values)
    for number in range(2):
        assert f"from {day(number).local_start.isoformat()} to {day(number).local_end.isoformat()}" in str(caught.value)
    assert MANIFEST.key not in set(s3.keys())


def test_a_slice_of_many_files_is_read_from_its_index(
    server: SandboxServer, s3: SandboxS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """whole-or-red: with more groups than an XCom value names, the manifest has the files of the index."""
    monkeypatch.setattr("airflow_provider_callreport.export.summary.MAX_XCOM_BYTES", 900)
    values = [export(server, number, prefix="[[ group ]]/", group_by="Time", columns=["Time"]) for number in range(3)]
    assert values[2]["files_omitted"] > 0
    summary = join(server, values)
    content = json.loads(s3.read(MANIFEST.key))
    assert [file["rows"] for file in content["files"]] == [1] * 6
    assert summary.rows == 6
    values[2]["index"] = "s3://reports/gone.json"
    with pytest.raises(ValueError, match=r"nothing is at s3://reports/gone\.json that can be read as an index"):
        join(server, values)


def test_a_call_that_came_late_is_red(server: SandboxServer, s3: SandboxS3, exported: Values) -> None:
    """proved-total: the API's own count of the whole window is the second witness."""
    server.settings.calls = listed(*CALLS, Call(datetime(2026, 3, 14, 20)))
    with pytest.raises(DriftError, match=r"counts 7 calls .*, and 6 were delivered \(3 slices, .*\): \+1"):
        join(server, exported)
    assert MANIFEST.key not in set(s3.keys())


def test_an_edited_object_is_red(server: SandboxServer, s3: SandboxS3, exported: Values) -> None:
    """stored-bytes: other bytes of the same size with copied metadata are noticed when the bytes are read."""
    client = s3.client()
    content, head = s3.read(key(1)), client.head_object(Bucket="reports", Key=key(1))
    edited = content.replace(b"2026-03-14", b"2026-03-15")
    try:
        client.put_object(Bucket="reports", Key=key(1), Body=edited, Metadata=head["Metadata"])
        with pytest.raises(DriftError, match="has other bytes than were delivered"):
            join(server, exported, check_bytes=True)
    finally:
        # The next export is not fooled by the metadata either.
        assert export(server, 1) == exported[1]
    assert s3.read(key(1)) == content


def test_where_the_api_has_no_number_the_slices_are_read(server: SandboxServer, exported: Values) -> None:
    """proved-total: no reportCount and a cnt that is each page's own: the calls of each slice are counted by reading
    them.
    """
    server.settings.report_count, server.settings.cnt = "missing", "page"
    summary = join(server, exported, run=replace(JOIN, run_id="run-2"))
    # The slices are another run's, and no manifest has them yet: they count as changed.
    assert (summary.rows, len(summary.changed)) == (6, 3)
    server.settings.calls = listed(*CALLS[1:])
    with pytest.raises(DriftError, match=r"counts 5 calls .*: -1"):
        join(server, exported)


@pytest.mark.parametrize(("counts", "drift"), [((10_000, 2, 4), None), ((10_000, 3, 4), r"\+1"), ((6,), None)])
def test_a_count_that_stops_at_ten_thousand_is_none(
    server: SandboxServer, exported: Values, counts: tuple[int, ...], drift: str | None
) -> None:
    """capped-totals: exactly 10,000 is where search engines stop; then the window is counted in parts."""
    with ScriptedServer(*(json_answer({"status": "success", "cnt": count}) for count in counts)) as api:
        asked = ManifestRequest("calls", WHOLE, read_slices(exported, WHOLE), MANIFEST)
        with CallReportClient(client_settings(api.url)) as client:
            if drift is None:
                assert write_manifest(client, asked, run=JOIN).rows == 6
            else:
                with pytest.raises(DriftError, match=drift):
                    write_manifest(client, asked, run=JOIN)
        assert len(api.seen) == len(counts)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"report": "call"}, "report is 'call' (did you mean 'calls'?); allowed are calls, masked_calls"),
        ({"if_exists": "skip"}, "if_exists is 'skip'; allowed are replace, fail"),
        ({"check_bytes": "yes"}, "check_bytes is 'yes'; allowed are True and False"),
        ({"partition_key": "{ds}"}, "partition_key has {ds}; allowed in braces are start"),
        ({"s3_key": "calls/"}, "s3_key is 'calls/'; allowed is the key of an object"),
        ({"s3_extra_args": ["x"]}, "s3_extra_args is ['x']; allowed is an object of S3 arguments"),
        ({"window_start": "yesterday"}, "window_start is 'yesterday', which is no time"),
    ],
)
def test_wrong_arguments_are_refused_when_the_dag_is_parsed(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: at parse time, with what is allowed."""
    usual = {"task_id": "manifest", "exports": [], "s3_bucket": "reports", "s3_key": "manifest.json"}
    with pytest.raises(AirflowFailException) as caught:
        CallReportManifestOperator(**{**usual, **arguments})
    assert sentence in str(caught.value)
