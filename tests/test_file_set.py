"""A report that is several files: its index, what is gone, and what a killed run leaves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.api import DAY, client_of
from support.delivery import INFO, OTHER_RUN, OUTCOME, RUN, aws_connection, exported
from support.odd_s3 import BUCKET, OddS3, Request, odd_s3

from airflow_provider_callreport.assets import delivery_of, read_index
from airflow_provider_callreport.delivery.errors import DeliveryError, ObjectExistsError
from airflow_provider_callreport.delivery.object_storage import destination_at
from airflow_provider_callreport.delivery.receipts import DeliveryStatus
from airflow_provider_callreport.delivery.s3 import S3Destination, bucket_and_key
from airflow_provider_callreport.export.file_set import DeliveredSet, FileSet, deliver_set
from airflow_provider_callreport.export.groups import safe_names
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.export.summary import ExportSummary
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import ReportInfo, RunIdentity
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

KEY = "calls/dt=2026-03-13/[[ group ]].csv"
INDEX = "calls/dt=2026-03-13/_index.csv.json"
NOTE = f"{INDEX}.pending"

#: Campaign -> number of calls, before and after.
BEFORE = {"North": 5, "South": 5, "a/b": 5}
AFTER = {"North": 5, "South": 4, "West": 1}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddS3]:
    """An S3 server that can be odd, and the connection to it."""
    with odd_s3() as server:
        config = {"connect_timeout": 5, "read_timeout": 30, "retries": {"total_max_attempts": 1}}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(server.url, config_kwargs=config))
        yield server


def file_set(folder: Path, groups: Mapping[str, int], info: ReportInfo = INFO) -> FileSet:
    """Small files of some groups; a row is the group's name."""
    names = safe_names(list(groups))
    files = [
        replace(
            exported(folder, f"{name}\r\n".encode() * rows), rows=rows, group=names[name], group_value=name or "(none)"
        )
        for name, rows in groups.items()
    ]
    outcome = replace(OUTCOME, rows=sum(groups.values()), reported_total=sum(groups.values()))
    return FileSet(files, "Campaign", "csv", ["Time", "Campaign"], info, outcome)


def deliver(
    folder: Path, groups: Mapping[str, int], *, run: RunIdentity = RUN, if_exists: str = "replace", **changes: Any
) -> DeliveredSet:
    """Deliver a set to S3."""
    return deliver_set(
        file_set(folder, groups, **changes), S3Destination(BUCKET, KEY, if_exists=if_exists), folder, run=run
    )


def held(store: OddS3) -> dict[str, int]:
    """Rows of each data file in the bucket."""
    return {key: found.body.count(b"\r\n") for key, found in sorted(store.objects.items()) if not key.startswith(INDEX)}


def expected(groups: Mapping[str, int]) -> dict[str, int]:
    """What `held` is to be."""
    names = safe_names(list(groups))
    return dict(sorted((KEY.replace("[[ group ]]", names[name]), rows) for name, rows in groups.items()))


def index_of(store: OddS3) -> Any:
    """The index."""
    return json.loads(store.objects[INDEX].body)


def test_the_index_says_what_the_set_is(store: OddS3, tmp_path: Path) -> None:
    """same-rows: group -> key, rows, bytes and SHA-256, and of which report, window and redaction."""
    done = deliver(tmp_path, BEFORE)
    assert done.index is not None
    assert done.index.uri == f"s3://{BUCKET}/{INDEX}"
    index = index_of(store)
    files = index.pop("files")
    assert index == {
        "index": 1,
        "report": "masked_calls",
        "window": {
            "start": "2026-03-13T00:00:00+05:30",
            "end": "2026-03-14T00:00:00+05:30",
            "timezone": "Asia/Kolkata",
        },
        "file_format": "csv",
        "filters": ["duration at least 10 s"],
        "group_by": "Campaign",
        "columns": ["Time", "Campaign"],
        "redacted": {"Caller Number": "last4"},
        "rows": 15,
        "reported_total": 15,
        "complete": True,
        "bytes": sum(len(one.body) for key, one in store.objects.items() if key != INDEX),
    }
    assert [(one["group"], one["rows"]) for one in files] == list(BEFORE.items())
    for one in files:
        found = store.objects[one["key"]]
        assert one["uri"] == f"s3://{BUCKET}/{one['key']}"
        assert (one["bytes"], one["sha256"]) == (len(found.body), found.metadata["sha256"])
    assert "run" not in json.dumps(index)


def test_what_is_gone_from_the_report_goes_from_the_store(store: OddS3, tmp_path: Path) -> None:
    """same-again: 15 calls, then 10: below the prefix are 10, and nothing else than the index names."""
    deliver(tmp_path, BEFORE)
    assert held(store) == expected(BEFORE)
    done = deliver(tmp_path, AFTER, run=OTHER_RUN)
    assert done.not_removed == []
    assert held(store) == expected(AFTER)
    assert sum(held(store).values()) == 10
    assert NOTE not in store.objects
    assert {one["key"] for one in index_of(store)["files"]} == set(held(store))


def test_the_index_is_written_last_and_removal_comes_after_it(store: OddS3, tmp_path: Path) -> None:
    """all-or-nothing: who reads by the index sees the old set whole, then the new one."""
    deliver(tmp_path, BEFORE)
    store.requests.clear()
    deliver(tmp_path, AFTER)
    writes = [one.key for one in store.requests if one.operation == "PutObject"]
    assert writes[0] == NOTE
    assert writes[-1] == INDEX
    after = store.requests[max(n for n, one in enumerate(store.requests) if one.operation == "PutObject") :]
    gone = (set(expected(BEFORE)) - set(expected(AFTER))) | {NOTE}
    assert {one.key for one in store.requests if one.operation == "DeleteObject"} == gone
    assert [one.operation for one in after].count("DeleteObject") == len(gone)


def test_the_same_set_again_writes_nothing(store: OddS3, tmp_path: Path) -> None:
    """same-again: another run, the same calls: one look a file, one at the index."""
    deliver(tmp_path, BEFORE)
    before = {key: one.etag for key, one in store.objects.items()}
    store.requests.clear()
    done = deliver(tmp_path, BEFORE, run=OTHER_RUN)
    assert {one.status for one in done.files} == {DeliveryStatus.UNCHANGED}
    assert done.index is not None
    assert done.index.status is DeliveryStatus.UNCHANGED
    assert set(store.operations()) == {"HeadObject", "GetObject"}
    assert {key: one.etag for key, one in store.objects.items()} == before


@pytest.mark.parametrize("other", ["other bytes", "another window", "nobody's"])
def test_what_is_not_the_listed_object_stays_and_is_named(
    store: OddS3, tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    """if-exists: what somebody else has put at a stale key since is not this package's to remove."""
    deliver(tmp_path, BEFORE)
    stale = next(iter(set(expected(BEFORE)) - set(expected(AFTER))))
    found = store.objects[stale]
    if other == "other bytes":
        store.put(stale, found.body[::-1], found.metadata)
    elif other == "another window":
        store.put(stale, found.body, {**found.metadata, "window-end": "2026-03-15T00:00:00+05:30"})
    else:
        store.put(stale, found.body)
    done = deliver(tmp_path, AFTER)
    assert done.not_removed == [f"s3://{BUCKET}/{stale}"]
    assert f"s3://{BUCKET}/{stale} is of an earlier set, and was not removed: it is not the object" in caplog.text
    assert set(held(store)) == {*expected(AFTER), stale}


def test_what_could_not_be_removed_is_tried_again_next_time(store: OddS3, tmp_path: Path) -> None:
    """same-again: s3:DeleteObject is not granted today, and is tomorrow: the next export cleans."""
    deliver(tmp_path, BEFORE)
    store.may_remove = False
    done = deliver(tmp_path, AFTER)
    (left,) = done.not_removed
    assert left.startswith(f"s3://{BUCKET}/calls/dt=2026-03-13/a_b-")
    assert sum(held(store).values()) == 15
    assert [one["key"] for one in json.loads(store.objects[NOTE].body)["pending"]] == [
        left.removeprefix(f"s3://{BUCKET}/")
    ]
    store.may_remove = True
    assert deliver(tmp_path, AFTER, run=OTHER_RUN).not_removed == []
    assert held(store) == expected(AFTER)
    assert NOTE not in store.objects


def test_a_note_that_cannot_be_removed_says_that_nothing_is_pending(store: OddS3, tmp_path: Path) -> None:
    """same-again: without s3:DeleteObject the note stays, empty, and another export of the same set leaves it alone."""
    store.may_remove = False
    assert deliver(tmp_path, BEFORE).not_removed == []
    assert json.loads(store.objects[NOTE].body)["pending"] == []
    store.requests.clear()
    deliver(tmp_path, BEFORE, run=OTHER_RUN)
    assert set(store.operations()) == {"HeadObject", "GetObject"}


def test_the_files_of_another_window_stay(store: OddS3, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """if-exists: a key without the day holds what each day brings; only the day's own files are its to remove."""
    deliver(tmp_path, BEFORE)
    tomorrow = replace(INFO, window_start=INFO.window_end, window_end=INFO.window_end + timedelta(days=1))
    assert deliver(tmp_path, AFTER, info=tomorrow).not_removed == []
    assert held(store) == expected(BEFORE) | expected(AFTER)
    assert f"s3://{BUCKET}/{INDEX} is of another report or window; 1 files that it lists stay" in caplog.text


def test_something_else_at_the_indexs_key_is_replaced_and_lists_nothing(
    store: OddS3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """any-answer: an index that cannot be read removes nothing."""
    for content in (b"\xff", b"[]", b'{"files": 1}', b'{"files": [{"key": 1}]}', b"null"):
        store.put(INDEX, content)
        deliver(tmp_path, BEFORE)
        assert index_of(store)["rows"] == 15
        assert "is no index of this package" in caplog.text
        caplog.clear()
    assert held(store) == expected(BEFORE)


@pytest.mark.parametrize("taken", [*expected(BEFORE), INDEX])
def test_fail_looks_at_all_keys_before_it_writes_the_first(store: OddS3, tmp_path: Path, taken: str) -> None:
    """if-exists: one of the keys is another run's, whichever: red, and nothing was written."""
    store.put(taken, b"theirs", {"run": "theirs"})
    with pytest.raises(ObjectExistsError, match="leaves the set as it is, and nothing was written") as caught:
        deliver(tmp_path, BEFORE, if_exists="fail")
    assert f"s3://{BUCKET}/{taken} exists already" in str(caught.value)
    assert list(store.objects) == [taken]
    assert "PutObject" not in store.operations()


@pytest.mark.parametrize("taken", [*expected(BEFORE), INDEX])
def test_skip_takes_the_set_as_a_whole(store: OddS3, tmp_path: Path, taken: str) -> None:
    """if-exists: half a set of this run beside half a set of another is no report."""
    store.put(taken, b"theirs", {"run": "theirs"})
    done = deliver(tmp_path, BEFORE, if_exists="skip")
    assert {one.status for one in done.files} == {DeliveryStatus.SKIPPED}
    assert done.index is None
    assert list(store.objects) == [taken]


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_a_retry_of_the_run_has_its_own_set_again(store: OddS3, tmp_path: Path, if_exists: str) -> None:
    """if-exists: what an earlier try of the same run wrote is no obstacle, and what is gone since goes."""
    deliver(tmp_path, BEFORE, if_exists=if_exists)
    assert deliver(tmp_path, AFTER, if_exists=if_exists).not_removed == []
    assert held(store) == expected(AFTER)
    with pytest.raises(ObjectExistsError) if if_exists == "fail" else _nothing():
        deliver(tmp_path, BEFORE, if_exists=if_exists, run=OTHER_RUN)
    assert held(store) == expected(AFTER)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@pytest.mark.slow
def test_a_run_that_dies_at_any_request_leaves_nothing_behind_for_good(store: OddS3, tmp_path: Path) -> None:
    """all-or-nothing: killed before each of its requests in turn, with a set before it and another one after it."""

    class Died(Exception):
        """The process is gone."""

    third = {"North": 2, "East": 1}
    deliver(tmp_path, BEFORE)
    start = dict(store.objects)
    store.requests.clear()
    deliver(tmp_path, AFTER)
    requests = len(store.requests)
    assert requests > 15
    for number in range(requests):
        store.objects.clear()
        store.objects.update(start)
        left = iter([False] * number)

        def die(request: Request, left: Iterator[bool] = left) -> None:
            if next(left, True):
                raise Died

        store.before = die
        # What dies while it removes has delivered.
        with suppress(DeliveryError):
            deliver(tmp_path, AFTER)
        store.before = None
        # Whoever reads by the index has one of the two sets whole, with the bytes that it names.
        index = index_of(store)
        assert index["rows"] in (15, 10)
        deliver(tmp_path, third, run=OTHER_RUN)
        assert held(store) == expected(third), f"after {number} of {requests} requests"
        assert set(store.objects) == {*expected(third), INDEX}


@pytest.mark.parametrize("conditions", ["ignored", "refused"])
def test_servers_without_conditions_are_cleaned_as_well(store: OddS3, tmp_path: Path, conditions: str) -> None:
    """same-again: a DELETE with If-Match is refused there (501); the object was looked at a moment before."""
    store.conditions = conditions
    deliver(tmp_path, BEFORE)
    assert deliver(tmp_path, AFTER).not_removed == []
    assert held(store) == expected(AFTER)


def names(folder: Path) -> dict[str, int]:
    """Rows of each file below a directory but for the index."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("_index")]
    return {str(path.relative_to(folder)): path.read_bytes().count(b"\r\n") for path in sorted(found)}


def test_a_set_on_a_disk_is_the_same(tmp_path: Path) -> None:
    """same-again: for local files too: index, what is gone, what is not ours, fail."""
    folder = tmp_path / "data"

    def write(groups: Mapping[str, int], if_exists: str = "replace", run: RunIdentity = RUN) -> DeliveredSet:
        target = destination_at(f"file://{folder}/agent=[[ group ]]/day.csv", if_exists=if_exists)
        return deliver_set(file_set(tmp_path, groups), target, tmp_path, run=run)

    done = write(BEFORE)
    assert done.index is not None
    index = folder / "_index_agent=_day.csv.json"
    assert done.index.uri == f"file://{index}"
    assert [one["uri"] for one in read_index(f"file://{index}")["files"]] == [one.uri for one in done.files]
    theirs = folder / "agent=South" / "day.csv"
    assert write({"North": 5}).not_removed == []
    assert names(folder) == {"agent=North/day.csv": 5}
    write(BEFORE)
    theirs.write_text("edited\r\n")
    assert write({"North": 4}).not_removed == [f"file://{theirs}"]
    assert names(folder) == {"agent=North/day.csv": 4, "agent=South/day.csv": 1}
    assert (folder / f"{index.name}.pending").exists()
    theirs.unlink()
    assert write({"North": 4}).not_removed == []
    assert not (folder / f"{index.name}.pending").exists()
    with pytest.raises(ObjectExistsError, match="nothing was written"):
        write(BEFORE, "fail", OTHER_RUN)
    assert names(folder) == {"agent=North/day.csv": 4}
    assert {one.status for one in write({"North": 4}, "fail", OTHER_RUN).files} == {DeliveryStatus.ALREADY_THERE}


def test_on_a_disk_a_name_that_differs_in_case_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """if-exists: where the disk takes the two names for one file, removing the old one would remove the new."""
    target = destination_at(f"file://{tmp_path}/data/[[ group ]].csv")
    deliver_set(file_set(tmp_path, {"Sales": 2}), target, tmp_path, run=RUN)
    done = deliver_set(file_set(tmp_path, {"sales": 3}), target, tmp_path, run=RUN)
    assert done.not_removed == [f"file://{tmp_path}/data/Sales.csv"]
    assert "a file of the new set has the same name but for case" in caplog.text


def calls(groups: Mapping[str, int]) -> ListedCalls:
    """Calls of some campaigns."""
    start = DAY.local_start.replace(tzinfo=None)
    campaigns = [name for name, number in groups.items() for _ in range(number)]
    return ListedCalls(
        [Call(start + timedelta(minutes=n), cells={"Campaign": name}) for n, name in enumerate(campaigns)]
    )


def export(groups: Mapping[str, int], run: RunIdentity = RUN, key: str = KEY, **request: Any) -> ExportSummary:
    """A whole export from the sandbox's API."""
    with SandboxServer(SandboxSettings(calls=calls(groups))) as server, client_of(server) as client:
        asked = ExportRequest("calls", DAY, **{"group_by": "Campaign", **request})
        return export_report(client, asked, run=run, destination=S3Destination(BUCKET, key))


@pytest.mark.slow
def test_an_export_names_its_index_and_a_task_maps_over_it(store: OddS3) -> None:
    """same-rows: with 90 groups the XCom value has room for some, and the index lists all of them."""
    groups = {f"Campaign {number:02}": 1 + number % 3 for number in range(90)}
    value = export(groups).to_xcom()
    assert value["index"] == f"s3://{BUCKET}/{INDEX}"
    assert value["files_omitted"] > 50
    assert len(json.dumps(value)) <= 4096
    for named in (value, value["index"], {"index": value["index"]}):
        index = read_index(named)
        assert {one["group"]: one["rows"] for one in index["files"]} == groups
    rows = [
        row
        for one in index["files"]
        for row in csv.DictReader(io.StringIO(store.objects[one["key"]].body.decode(), newline=""))
    ]
    assert len(rows) == index["rows"] == sum(groups.values())
    # A second export with fewer campaigns: its files alone are there.
    fewer = dict(list(groups.items())[:10])
    export(fewer, OTHER_RUN)
    assert len(held(store)) == 10


def test_a_report_without_calls_and_cells_without_a_value_are_in_the_index(store: OddS3) -> None:
    """empty-report: the one file says "no calls", and no group is named; an empty cell is a group of its own."""
    export({"": 2, "(none)": 1})
    assert [(one["group"], one["rows"]) for one in index_of(store)["files"]] == [("(none)", 2), ("(none)", 1)]
    summary = export({}, OTHER_RUN)
    assert [(one["group"], one["key"], one["rows"]) for one in index_of(store)["files"]] == [
        (None, KEY.replace("[[ group ]]", "no calls"), 0)
    ]
    assert summary.index is not None
    assert set(store.objects) == {KEY.replace("[[ group ]]", "no calls"), INDEX}


def test_parts_of_a_pdf_are_a_set(store: OddS3) -> None:
    """same-again: three parts, then two, then a report that fits: no part of an earlier day stays."""
    options = FORMATS["pdf"].check_options({"max_rows": 50, "over_max_rows": "split"})
    request: dict[str, Any] = {
        "group_by": None,
        "file_format": "pdf",
        "format_options": options,
        "key": "calls/day.pdf",
    }
    index = "calls/_index_day.pdf.json"
    for number, parts in ((120, 3), (90, 2), (40, 1), (51, 2)):
        summary = export({"North": number}, **request)
        assert summary.to_xcom()["index"] == f"s3://{BUCKET}/{index}"
        listed = json.loads(store.objects[index].body)["files"]
        assert [one["part"] for one in listed] == list(range(1, parts + 1))
        assert set(store.objects) == {index, *(one["key"] for one in listed)}
        assert sum(one["rows"] for one in listed) == number


def test_a_single_file_has_no_index(store: OddS3) -> None:
    """same-rows: nothing changes for a report that is one file."""
    value = export({"North": 3}, key="calls/day.csv", group_by=None).to_xcom()
    assert "index" not in value
    assert list(store.objects) == ["calls/day.csv"]


def test_an_asset_has_an_event_when_only_a_group_is_gone(store: OddS3) -> None:
    """known-to-airflow: no file is new, and the set is another: who reads it wants to know."""
    export(BEFORE)
    again = delivery_of(export(BEFORE, OTHER_RUN))
    assert (again.new, again.index_is_new) == ([], False)
    gone = delivery_of(export({"North": 5, "South": 5}, OTHER_RUN))
    assert (gone.new, gone.index_is_new) == ([], True)
    assert gone.extra["index"] == f"s3://{BUCKET}/{INDEX}"


def test_an_index_is_read_at_any_key(store: OddS3) -> None:
    """same-rows: characters that an address may not have elsewhere, and access points, are read all the same."""
    for key in ("calls/#1/[[ group ]]?x.csv", "calls/%41/[[ group ]].csv"):
        value = export(BEFORE, key=key).to_xcom()
        assert sum(one["rows"] for one in read_index(value)["files"]) == 15
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/reports"
    assert bucket_and_key(f"s3://{arn}/calls/a b#1.csv") == (arn, "calls/a b#1.csv")


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"rows": 3, "files": []}, "the export has no index: only a report with group_by"),
        (None, "the export has no index"),
        (f"s3://{BUCKET}/nothing.json", "nothing is at s3://reports/nothing.json that can be read as an index"),
        (f"s3://{BUCKET}/broken.json", "is no index of a set of files, or of a layout"),
        (f"s3://{BUCKET}/later.json", "is no index of a set of files, or of a layout that this version does not know"),
        ("s3://reports", "s3_key is ''; allowed is the key of an object"),
        ("calls/index.json", "allowed is an address that begins with a scheme"),
    ],
)
def test_an_index_that_cannot_be_read_is_one_sentence(store: OddS3, wanted: Any, sentence: str) -> None:
    """clear-sentence: what was asked for, and what is wrong with it."""
    store.put("broken.json", b'{"index": 1, "files": [{"key": "a"}]}')
    store.put("later.json", b'{"index": 2, "files": []}')
    with pytest.raises(ValueError, match=sentence):
        read_index(wanted)
