"""What Airflow is told of a delivery: events of assets, and OpenLineage's datasets.

The Dag of `support/airflow_dags/assets.py` has run in real Airflow. The events are read from Airflow's database,
OpenLineage's from the file that its own transport wrote.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset
from support.operators import LINEAGE_FILE, operators_run, summary_of
from support.runs import AIRFLOW, AirflowRuns, AssetEvent, Evidence

from airflow_provider_callreport.assets import Delivery, convert_to_openlineage, delivery_of, report_asset
from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.report import Column
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.task.lineage import delivery_lineage, export_lineage

WINDOW = {"start": "2026-03-13T00:00:00+05:30", "end": "2026-03-14T00:00:00+05:30", "timezone": "Asia/Kolkata"}
WHOLE = {"report": "calls", "file_format": "csv", "window": WINDOW, "calls": 6, "reported_total": 6, "complete": True}
FOLDER = "assets/#ग्रुप"
ASCII_FOLDER = "s3://reports/assets/%23%E0%A4%97%E0%A5%8D%E0%A4%B0%E0%A5%81%E0%A4%AA"
GROUPS = {"Answered": 3, "Busy": 1, "Missed": 2}


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return operators_run(airflow_runs)


@pytest.fixture
def lineage(run: Evidence) -> Mapping[str, Any]:
    """The last event of each task."""
    pytest.importorskip("airflow.providers.openlineage")
    lines = (run.home.parent / LINEAGE_FILE).read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["eventType"] != "START"]
    return {event["job"]["name"].removeprefix("assets."): event for event in events}


def test_the_run_went_as_intended(run: Evidence) -> None:
    """Otherwise the other tests prove little."""
    states = {task_id: task.state for (dag_id, task_id, _), task in run.tasks.items() if dag_id == "assets"}
    assert {task_id: state for task_id, state in states.items() if state != "success"} == {
        "failed": "failed",
        "empty": "skipped",
    }
    assert run.task("assets", "tried_twice").tries == 2


def test_events_are_of_what_was_delivered_and_of_nothing_else(run: Evidence) -> None:
    """known-to-airflow: none for an object that was left as it was or was there already, for a failed task, or for a
    skipped one.
    """
    assert sorted((event.task_id, event.uri) for event in run.asset_events("assets")) == [
        ("by_address", "s3://reports/assets/a b.csv"),
        ("by_name", "delivered_calls"),
        ("filtered", "s3://reports/assets/filtered.csv"),
        ("first", "same"),
        ("grouped", "grouped_calls"),
        *(("grouped", f"{ASCII_FOLDER}/{name}.csv") for name in GROUPS),
        ("joined", "joined"),
        ("joined", "s3://reports/assets/%23manifest%3F.json"),
        ("mailed", "mailed_calls"),
        ("recorded", "s3://reports/assets/recordings.jsonl"),
        *([("referring", "mailed_calls")] if AIRFLOW >= (3, 0) else []),
        ("tried_twice", "tried_twice"),
    ]
    log = run.task("assets", "left_alone").log
    assert "has no event" in log
    assert "skipped: s3://reports/taken/skip.csv" in log
    assert "unchanged: s3://reports/assets/same.csv" in run.task("assets", "again").log


@pytest.mark.parametrize(
    ("task_id", "key", "whole"),
    [
        ("by_name", "assets/2026-03-13.csv", WHOLE),
        ("by_address", "assets/a b.csv", {**WHOLE, "report": "masked_calls", "calls": 4, "reported_total": 4}),
        ("filtered", "assets/filtered.csv", {**WHOLE, "calls": 1, "reported_total": 1}),
        ("tried_twice", "assets/twice.csv", WHOLE),
        pytest.param(
            *("referring", "assets/referring.csv", WHOLE),
            marks=pytest.mark.skipif(AIRFLOW < (3, 0), reason="references came with Airflow 3"),
        ),
    ],
)
def test_event_says_what_is_in_the_object(run: Evidence, task_id: str, key: str, whole: Mapping[str, Any]) -> None:
    """known-to-airflow: rows, bytes, SHA-256 and window, by name, address and alias; also when an earlier try had
    written it.
    """
    (event,) = events_of(run, task_id)
    body = run.objects[key].body
    assert event.extra == {
        **whole,
        "uri": f"s3://reports/{key}",
        "rows": body.count(b"\r\n") - 1,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def test_groups_have_an_event_each_and_one_together(run: Evidence) -> None:
    """known-to-airflow: an alias gets an event for each object, an asset the sum; `calls` are the report's, `rows` the
    object's.
    """
    events = {event.uri: event.extra for event in events_of(run, "grouped")}
    bodies = {name: run.objects[f"{FOLDER}/{name}.csv"].body for name in GROUPS}
    for name, rows in GROUPS.items():
        assert events[f"{ASCII_FOLDER}/{name}.csv"] == {
            **WHOLE,
            "uri": f"s3://reports/{FOLDER}/{name}.csv",
            "rows": rows,
            "bytes": len(bodies[name]),
            "sha256": hashlib.sha256(bodies[name]).hexdigest(),
        }
    # A task that maps over the index gets each file.
    assert [run.task("assets", "rows_of", number).xcom for number in range(3)] == [
        [name, rows] for name, rows in GROUPS.items()
    ]
    assert events["grouped_calls"] == {
        **WHOLE,
        "rows": 6,
        "bytes": sum(map(len, bodies.values())),
        "files": 3,
        "index": f"s3://reports/{FOLDER}/_index.csv.json",
    }


def test_mail_is_an_event_without_an_object(run: Evidence) -> None:
    """known-to-airflow: the asset of a mailed report says what went; an alias has no object to speak of."""
    (event,) = events_of(run, "mailed")
    (mail,) = [mail for mail in run.mails["smtp_default"] if mail.recipients == ("mailed@example.com",)]
    (attachment,) = mail.message.iter_attachments()
    body = attachment.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert event.extra == {
        **WHOLE,
        "filename": "calls_2026-03-13.csv",
        "rows": 6,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


@pytest.mark.parametrize(
    ("task_id", "uri", "key", "told"),
    [
        ("joined", "joined", "assets/#manifest?.json", {"rows": 6, "slices": 1, "reported_total": 6, "window": WINDOW}),
        ("recorded", "s3://reports/assets/recordings.jsonl", "assets/recordings.jsonl", {"rows": 2, "calls": 2}),
    ],
)
def test_what_is_no_export_says_what_it_delivered(
    run: Evidence, task_id: str, uri: str, key: str, told: Mapping[str, Any]
) -> None:
    """known-to-airflow: manifest and list of recordings: address, size, SHA-256, rows."""
    (extra,) = [event.extra for event in events_of(run, task_id) if event.uri == uri]
    body = run.objects[key].body
    # The bytes of the list of recordings are those of the recordings.
    size = {} if task_id == "recorded" else {"bytes": len(body)}
    own = {"uri": f"s3://reports/{key}", "sha256": hashlib.sha256(body).hexdigest(), **size, **told}
    assert {name: extra[name] for name in own} == own


def test_address_that_is_too_long_for_an_asset_is_said(run: Evidence) -> None:
    """known-to-airflow: the object is there, the task is green, and the log says what is missing."""
    assert f"{'ग' * 330}" in run.objects
    assert events_of(run, "too_long") == []
    assert "has no event" in run.task("assets", "too_long").log


def test_audit_reads_the_events(run: Evidence) -> None:
    """proved-total: `CallReportCheckOperator` finds the number and the window in an asset's event, and in those of an
    alias.
    """
    for task_id in ("checked", "checked_groups"):
        xcom = run.task("assets", task_id).xcom
        assert (xcom["counted"], xcom["delivered"], xcom["window"]) == (6, 6, WINDOW)


def test_no_number_and_no_secret_in_events_and_lineage(run: Evidence) -> None:
    """no-leak: no filter and no credential in an event's extra, nor anywhere in what OpenLineage is sent."""
    told = "".join(f"{event.uri}{json.dumps(dict(event.extra))}" for event in run.asset_events("assets"))
    file = run.home.parent / LINEAGE_FILE
    if file.exists():
        told += file.read_text()
    # The search works: what may be said is found.
    assert "delivered_calls" in told
    assert "filtered.csv" in told
    settings = SandboxSettings()
    for canary in ("9876501200", settings.token, settings.user_id):
        assert canary not in told


def test_lineage_leads_from_the_api_to_the_object(lineage: Mapping[str, Any]) -> None:
    """known-to-airflow: datasets, schema with types, where each column comes from, what is masked, and how much was
    written.
    """
    event = lineage["by_name"]
    (source,), (output,) = event["inputs"], event["outputs"]
    assert event["eventType"] == "COMPLETE"
    assert source["namespace"].startswith("callreport://127.0.0.1:")
    assert source["name"] == "calls"
    assert (output["namespace"], output["name"]) == ("s3://reports", "assets/2026-03-13.csv")
    assert fields(source) == [
        ("Time", "timestamp", "local time of Asia/Kolkata"),
        ("Caller Number", "string", None),
        ("Call Duration", "number", "seconds"),
        ("Status", "string", None),
    ]
    assert [name for name, *_ in fields(output)] == ["When", "Phone", "Seconds", "Status"]
    columns = output["facets"]["columnLineage"]["fields"]
    assert {label: field["inputFields"][0]["field"] for label, field in columns.items()} == {
        "When": "Time",
        "Phone": "Caller Number",
        "Seconds": "Call Duration",
        "Status": "Status",
    }
    assert {label for label, field in columns.items() if field["transformationType"] == "MASKED"} == {"Phone"}
    statistics = output["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (6, 295)


def test_lineage_names_new_objects_only(lineage: Mapping[str, Any]) -> None:
    """known-to-airflow: each group's object is an output; a mail is none, nor is an object that was left as it was."""
    outputs = {task_id: [one["name"] for one in event["outputs"]] for task_id, event in lineage.items()}
    assert outputs["grouped"] == [f"{FOLDER}/{name}.csv" for name in GROUPS]
    assert outputs["mailed"] == outputs["left_alone"] == outputs["again"] == []
    assert outputs["failed"] == ["assets/failed.csv"]
    assert lineage["failed"]["eventType"] == "FAIL"
    assert all(lineage[task_id]["inputs"][0]["name"] == "calls" for task_id in ("mailed", "left_alone", "again"))
    assert lineage["by_address"]["inputs"][0]["name"] == "masked_calls"


def test_lineage_of_what_is_no_export(lineage: Mapping[str, Any]) -> None:
    """known-to-airflow: keys as they are, also with "#", "?" and spaces; nothing of what was left as it was, or not
    delivered.
    """

    def told(task_id: str, side: str) -> list[tuple[str, str]]:
        return [(one["namespace"], one["name"]) for one in lineage[task_id][side]]

    def statistics(task_id: str) -> list[tuple[Any, Any]]:
        found = [one.get("outputFacets", {}).get("outputStatistics", {}) for one in lineage[task_id]["outputs"]]
        return [(one.get("rowCount"), one.get("size")) for one in found]

    assert told("joined", "inputs") == [("s3://reports", "assets/same.csv")]
    assert told("joined", "outputs") == [("s3://reports", "assets/#manifest?.json")]
    assert [rows for rows, _ in statistics("joined")] == [6]
    assert [name for _, name in told("recorded", "inputs")] == ["calls"]
    assert told("recorded", "outputs") == [
        *(("s3://reports", f"assets/{key}") for key in ("recordings.jsonl", "#recordings"))
    ]
    assert [rows for rows, _ in statistics("recorded")] == [2, None]
    assert all(size > 0 for _, size in statistics("joined"))
    assert lineage["recorded_again"]["outputs"] == []


def test_without_openlineage_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """known-to-airflow: the method has nothing to say before a delivery, and after one where the provider is not
    installed.
    """
    operator = CallReportExportOperator(task_id="calls", s3_bucket="reports", s3_key="calls.csv")
    assert operator.get_openlineage_facets_on_complete(None) is None
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.extractors", None)
    assert export_lineage("api.example.com", summary_of().info, [Column("Time")], Delivery((), {})) is None
    assert delivery_lineage(()) is None


@pytest.mark.parametrize("status", ["written", "already_there"])
def test_object_of_this_run_is_new(status: str) -> None:
    """known-to-airflow: also when an earlier try of the task wrote it, and died before Airflow knew."""
    assert [one.new for one in delivery_of(summary_of(("s3://reports/a", status))).objects] == [True]


@pytest.mark.parametrize(
    ("uri", "status", "try_number", "new"),
    [
        ("s3://reports/a", "unchanged", 1, False),
        ("s3://reports/a", "unchanged", 2, False),
        ("s3://reports/a", "skipped", 2, False),
        ("gs://reports/a", "unchanged", 1, False),
        ("gs://reports/a", "unchanged", 2, True),
        ("file:///data/a", "skipped", 2, False),
    ],
)
def test_object_of_another_run_is_not_new(uri: str, status: str, try_number: int, new: bool) -> None:
    """known-to-airflow: an event too many is better than none where nobody knows whose object it is: outside of S3,
    after a retry.
    """
    delivery = delivery_of(summary_of((uri, status)), try_number=try_number)
    assert [one.new for one in delivery.objects] == [new]
    assert delivery.extra.get("rows") == int(new)


@pytest.mark.parametrize(
    ("uri", "bucket", "store", "key", "asset"),
    [
        ("s3://b/k?#%/x y.csv", "b", "s3://b", "k?#%/x y.csv", "s3://b/k%3F%23%25/x y.csv"),
        ("s3://arn:aws:s3:x:1:accesspoint/a/k", "arn:aws:s3:x:1:accesspoint/a", None, "k", None),
        ("gs://b/k", None, "gs://b", "k", "gs://b/k"),
        ("abfss://box@account/k/l", None, "abfss://box@account", "k/l", "abfss://box@account/k/l"),
        ("file:///data/ü.csv", None, "file://", "data/ü.csv", "file:///data/%C3%BC.csv"),
    ],
)
def test_object_has_a_store_and_a_key(uri: str, bucket: str | None, store: str | None, key: str, asset: str) -> None:
    """known-to-airflow: OpenLineage wants the two apart and as they are, Airflow one address in ASCII."""
    (one,) = delivery_of(summary_of((uri, "written")), bucket=bucket).objects
    assert (one.store, one.key) == (store or f"s3://{bucket}", key)
    assert one.asset_uri == (asset or uri)


def test_asset_of_a_report_has_one_spelling() -> None:
    """known-to-airflow: Airflow calls the package for ``callreport://``, so that host, slash and fragment make no
    second asset.
    """
    assert report_asset().uri == "callreport://v4-api.deepcall.com/calls"
    assert report_asset("masked_calls", "api.brand.example").uri == "callreport://api.brand.example/masked_calls"
    assert Asset(uri="callreport://V4-API.deepcall.com/calls/#x").uri == report_asset().uri


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("callreport:///calls", "needs the API's host"),
        ("callreport://user@v4-api.deepcall.com/calls", "no user"),
        ("callreport://v4-api.deepcall.com/call", "ends in one of calls, masked_calls"),
        ("callreport://v4-api.deepcall.com", "ends in one of calls, masked_calls"),
        ("callreport://v4-api.deepcall.com/calls?cNum=919876501200", "has no filters"),
    ],
)
def test_wrong_asset_of_a_report_is_refused(uri: str, why: str) -> None:
    """no-leak, clear-sentence: one sentence that says what is allowed, without the phone number of a filter."""
    if AIRFLOW >= (3, 0):
        with pytest.raises(ValueError, match=why) as caught:
            Asset(uri=uri)
        assert "91987" not in str(caught.value)
    else:
        # Airflow 2.11 drops the user itself.
        with warnings.catch_warnings(record=True) as caught_warnings:
            warnings.simplefilter("always")
            Asset(uri=uri)
        assert caught_warnings
    host, _, report = uri.removeprefix("callreport://").partition("/")
    with pytest.raises(ValueError, match=why):
        report_asset(report, host)  # type: ignore[arg-type]


def test_airflow_knows_the_scheme() -> None:
    """known-to-airflow: `asset-uris` (Airflow 2: `dataset-uris`) of the provider info is what Airflow
    has registered.
    """
    try:
        manager: Any = import_module("airflow.sdk.providers_manager_runtime").ProvidersManagerTaskRuntime()
    except ImportError:
        # Before Airflow 3.2.
        manager = import_module("airflow.providers_manager").ProvidersManager()
    kind = "asset" if AIRFLOW >= (3, 0) else "dataset"
    factories = manager.asset_factories if kind == "asset" else manager.dataset_factories
    assert factories["callreport"](host="api.brand.example", report="calls", extra=None) == report_asset(
        "calls", "api.brand.example"
    )
    assert getattr(manager, f"{kind}_to_openlineage_converters")["callreport"] is convert_to_openlineage


def test_openlineage_name_of_the_asset_is_that_of_the_input(lineage: Mapping[str, Any]) -> None:
    """known-to-airflow: an inlet ``callreport://host/calls`` and the input of an export are one dataset."""
    (source,) = lineage["by_name"]["inputs"]
    host = source["namespace"].removeprefix("callreport://")
    dataset = convert_to_openlineage(report_asset("calls", host), None)
    assert (dataset.namespace, dataset.name) == (source["namespace"], source["name"])


def events_of(run: Evidence, task_id: str) -> list[AssetEvent]:
    """The events of one task."""
    return [event for event in run.asset_events("assets") if event.task_id == task_id]


def fields(dataset: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    """Name, type and description of a dataset's columns."""
    schema = dataset["facets"]["schema"]["fields"]
    return [(field["name"], field["type"], field.get("description")) for field in schema]
