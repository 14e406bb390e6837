"""S3 delivery against a real server: whole or nothing, one winner, the right bytes."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import random
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.delivery import (
    INFO,
    OTHER_RUN,
    OUTCOME,
    RUN,
    S3Gate,
    S3Request,
    aws_connection,
    exported,
    new_bucket,
    s3_error,
    s3_server,
)

from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
    FileChangedError,
    ObjectExistsError,
)
from airflow_provider_callreport.delivery.receipts import DeliveredFile, DeliveryStatus
from airflow_provider_callreport.delivery.s3 import EXTRA_ARGS, METADATA, S3Destination, run_stamp
from airflow_provider_callreport.report import ExportedFile, ReportInfo, RunIdentity

SMALL = b"Caller Number,Time\r\n" + b"+919876543210,2026-03-13 09:00:00\r\n" * 50
LARGE = random.Random(7).randbytes(2 * S3Destination.part_bytes + 4_321)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, S3Gate]]:
    """One S3 server for the module; each test has a bucket of its own."""
    with s3_server() as started:
        yield started


@pytest.fixture
def gate(server: tuple[str, S3Gate], monkeypatch: pytest.MonkeyPatch) -> S3Gate:
    """The server's gate, well-behaved and with nothing recorded, and the connection ``aws_default`` to it."""
    endpoint, gate = server
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(endpoint))
    gate.requests.clear()
    gate.before = gate.after = gate.barrier = None
    return gate


@pytest.fixture
def client(server: tuple[str, S3Gate]) -> Any:
    """A plain boto3 client, to look at what is stored."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=server[0], region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )


@pytest.fixture
def bucket(gate: S3Gate, client: Any) -> str:
    """A bucket of its own."""
    name = new_bucket(client)
    gate.requests.clear()
    return name


def deliver(destination: S3Destination, file: ExportedFile, run: RunIdentity = RUN) -> DeliveredFile:
    """Deliver with the module's report."""
    return destination.deliver(file, info=INFO, outcome=OUTCOME, run=run)


def stored(client: Any, bucket: str, key: str = "calls.csv") -> bytes:
    """The object's bytes."""
    content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def keys(client: Any, bucket: str) -> list[str]:
    """Every key in the bucket."""
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def uploads(client: Any, bucket: str) -> list[Any]:
    """Unfinished multipart uploads."""
    return list(client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "one request", "parts"])
def test_a_file_arrives_with_its_bytes_type_and_metadata(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, content: bytes
) -> None:
    """stored-bytes: same bytes; Content-Type and metadata say what it is; the run is a hash; the checksum travelled."""
    file = exported(tmp_path, content)
    result = deliver(S3Destination(bucket, "calls.csv"), file)

    assert result == DeliveredFile(f"s3://{bucket}/calls.csv", DeliveryStatus.WRITTEN, file)
    assert stored(client, bucket) == content
    head = client.head_object(Bucket=bucket, Key="calls.csv")
    assert head["ContentType"] == "text/csv; charset=utf-8"
    assert head["Metadata"] == {
        "report": "masked_calls",
        "window-start": "2026-03-13T00:00:00+05:30",
        "window-end": "2026-03-14T00:00:00+05:30",
        "timezone": "Asia/Kolkata",
        "rows": "1234",
        "complete": "yes",
        "sha256": hashlib.sha256(content).hexdigest(),
        "run": run_stamp(RUN),
        "try-began": "2026-03-14T00:05:00+05:30",
        "written-as": head["Metadata"]["written-as"],
    }
    assert sorted(head["Metadata"]) == list(METADATA)
    assert "daily" not in str(head["Metadata"])
    assert uploads(client, bucket) == []
    if content is not LARGE:
        sent = [r.headers.get("x-amz-checksum-sha256") for r in gate.requests if r.method == "PUT"]
        assert sent == [base64.b64encode(hashlib.sha256(content).digest()).decode()]
    else:
        parts = [r for r in gate.requests if r.method == "PUT" and "partNumber" in r.query]
        assert len(parts) == 3
        assert all("x-amz-checksum-sha256" in part.headers for part in parts)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "parts"])
def test_encryption_tags_and_storage_class_are_reachable(
    client: Any, bucket: str, tmp_path: Path, content: bytes
) -> None:
    """stored-bytes: SSE-KMS, tags, storage class and metadata of one's own reach the object, in one request and in
    parts.
    """
    extra = {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "key-1",
        "Tagging": "team=sales&kind=report",
        "StorageClass": "STANDARD_IA",
        "Metadata": {"team": "sales"},
    }
    deliver(S3Destination(bucket, "calls.csv", extra_args=extra), exported(tmp_path, content))
    head = client.head_object(Bucket=bucket, Key="calls.csv")
    tags = client.get_object_tagging(Bucket=bucket, Key="calls.csv")["TagSet"]
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "key-1")
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["Metadata"]["team"] == "sales"
    assert head["Metadata"]["run"] == run_stamp(RUN)
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "sales", "kind": "report"}


def test_every_part_carries_the_key_of_ones_own(bucket: str, gate: S3Gate, tmp_path: Path) -> None:
    """stored-bytes: with SSE-C the key goes with each part and the completion, not only with the upload's begin."""
    extra = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    deliver(S3Destination(bucket, "calls.csv", extra_args=extra), exported(tmp_path, LARGE))
    # A look, the upload's begin, three parts, the completion, a look.
    assert len(gate.requests) == 7
    assert all("x-amz-server-side-encryption-customer-key" in request.headers for request in gate.requests)


def race(gate: S3Gate, bucket: str, folder: Path, policy: str, content: Callable[[int], bytes]) -> list[Any]:
    """Twenty runs write one key at once, each with its own client; all have looked before the first may write."""
    writers = 20
    gate.barrier = threading.Barrier(writers)
    files = [exported(folder, content(number)) for number in range(writers)]

    def write(number: int) -> DeliveredFile | DeliveryError:
        destination = S3Destination(bucket, "calls.csv", if_exists=policy)
        try:
            return deliver(destination, files[number], RunIdentity("daily", "calls", f"run-{number}"))
        except DeliveryError as error:
            return error

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(write, range(writers)))


def numbered(number: int) -> bytes:
    """Each writer's own content."""
    return f"writer {number}\r\n".encode() * 1000


def test_of_twenty_writers_exactly_one_wins_under_fail(client: Any, bucket: str, gate: S3Gate, tmp_path: Path) -> None:
    """if-exists: 20 parallel writers of one key, all past their HEAD: one object, one success, 19 times "exists"."""
    results = race(gate, bucket, tmp_path, "fail", numbered)
    written = [n for n, result in enumerate(results) if isinstance(result, DeliveredFile)]
    assert len(written) == 1
    assert sum(isinstance(result, ObjectExistsError) for result in results) == 19
    assert stored(client, bucket) == numbered(written[0])


def test_of_twenty_writers_one_writes_and_nineteen_skip_under_skip(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path
) -> None:
    """if-exists: the same under skip: nobody fails, one says written, 19 say skipped."""
    results = race(gate, bucket, tmp_path, "skip", numbered)
    statuses = [result.status for result in results]
    assert sorted(statuses) == ["skipped"] * 19 + ["written"]
    assert stored(client, bucket) == numbered(statuses.index(DeliveryStatus.WRITTEN))


def test_twenty_writers_all_succeed_under_replace_and_the_object_is_whole(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path
) -> None:
    """if-exists: replace: everybody succeeds, and what is there is one writer's bytes from end to end."""
    results = race(gate, bucket, tmp_path, "replace", numbered)
    assert [result.status for result in results] == [DeliveryStatus.WRITTEN] * 20
    assert stored(client, bucket) in [numbered(number) for number in range(20)]


def test_two_large_writers_one_wins_and_the_other_leaves_no_parts(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path
) -> None:
    """if-exists, stored-bytes: the condition holds on CompleteMultipartUpload, too, and the loser's
    parts are aborted.
    """
    gate.barrier = threading.Barrier(2)
    file = exported(tmp_path, LARGE)

    def write(run: RunIdentity) -> object:
        try:
            return deliver(S3Destination(bucket, "calls.csv", if_exists="fail"), file, run).status
        except ObjectExistsError as error:
            return type(error)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(write, (RUN, OTHER_RUN)))
    assert sorted(map(str, results)) == sorted([str(ObjectExistsError), "written"])
    assert gate.count("POST", "uploads") == 2
    assert stored(client, bucket) == LARGE
    assert uploads(client, bucket) == []


@pytest.mark.parametrize("policy", ["fail", "skip"])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "parts"])
def test_a_retry_after_the_own_upload_is_a_success(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, policy: str, content: bytes
) -> None:
    """if-exists: the second try of the same run finds its own object and sends nothing."""
    destination = S3Destination(bucket, "calls.csv", if_exists=policy)
    file = exported(tmp_path, content)
    assert deliver(destination, file).status is DeliveryStatus.WRITTEN
    gate.requests.clear()
    assert deliver(destination, file).status is DeliveryStatus.ALREADY_THERE
    assert [request.method for request in gate.requests] == ["HEAD"]


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_retry_of_the_same_run_with_other_bytes_replaces_its_own_object(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, policy: str
) -> None:
    """if-exists: late calls made the second try's file another: it replaces the first's, on the ETag that was looked
    at.
    """
    destination = S3Destination(bucket, "calls.csv", if_exists=policy)
    deliver(destination, exported(tmp_path, SMALL))
    result = deliver(destination, exported(tmp_path, SMALL + b"one more\r\n"))
    assert result.status is DeliveryStatus.WRITTEN
    assert stored(client, bucket) == SMALL + b"one more\r\n"
    (put,) = [request for request in gate.requests if request.method == "PUT"][1:]
    assert put.headers.get("if-match") == f'"{hashlib.md5(SMALL, usedforsecurity=False).hexdigest()}"'


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "one request", "parts"])
def test_replace_leaves_an_object_that_is_the_same(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, content: bytes
) -> None:
    """same-again: another run with the same bytes sends a HEAD and nothing else; the object keeps the run that wrote
    it.
    """
    destination = S3Destination(bucket, "calls.csv", extra_args={"Metadata": {"Team": "sales"}, "Tagging": "a=b"})
    file = exported(tmp_path, content)
    deliver(destination, file)
    gate.requests.clear()
    assert deliver(destination, file, OTHER_RUN).status is DeliveryStatus.UNCHANGED
    assert deliver(destination, file).status is DeliveryStatus.ALREADY_THERE
    assert [request.method for request in gate.requests] == ["HEAD", "HEAD"]
    assert client.head_object(Bucket=bucket, Key="calls.csv")["Metadata"]["run"] == run_stamp(RUN)


def test_replace_writes_what_differs_in_anything(client: Any, bucket: str, tmp_path: Path) -> None:
    """same-again, stored-bytes: other bytes, window, tags or type are written; so is what was edited, with its metadata
    copied.
    """
    place, file = S3Destination(bucket, "calls.csv"), exported(tmp_path, SMALL)

    def again(destination: S3Destination = place, file: ExportedFile = file, info: ReportInfo = INFO) -> DeliveryStatus:
        return destination.deliver(file, info=info, outcome=OUTCOME, run=OTHER_RUN).status

    assert again() is DeliveryStatus.WRITTEN
    assert again() is DeliveryStatus.ALREADY_THERE
    assert again(replace(place, extra_args={"Tagging": "a=b"})) is DeliveryStatus.WRITTEN
    assert again(file=replace(file, content_type="text/plain")) is DeliveryStatus.WRITTEN
    assert again(info=replace(INFO, timezone="UTC")) is DeliveryStatus.WRITTEN
    assert again() is DeliveryStatus.WRITTEN
    metadata = client.head_object(Bucket=bucket, Key="calls.csv")["Metadata"]
    client.put_object(Bucket=bucket, Key="calls.csv", Body=SMALL[::-1], Metadata=metadata)
    assert again() is DeliveryStatus.WRITTEN
    assert stored(client, bucket) == SMALL


def test_replace_writes_where_it_may_not_look(bucket: str, gate: S3Gate, tmp_path: Path) -> None:
    """if-exists: s3:PutObject alone is enough for replace; what cannot be seen is written."""
    gate.before = lambda e: ("403 Forbidden", [], b"") if e["REQUEST_METHOD"] == "HEAD" else None
    destination, file = S3Destination(bucket, "calls.csv"), exported(tmp_path, SMALL)
    assert [deliver(destination, file).status for _ in range(2)] == [DeliveryStatus.WRITTEN] * 2


def test_an_own_object_that_another_run_replaced_meanwhile_is_not_overwritten(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path
) -> None:
    """if-exists: between the look and the write somebody else wrote: If-Match fails, and the second look says whose it
    is.
    """
    destination = S3Destination(bucket, "calls.csv", if_exists="fail")
    deliver(destination, exported(tmp_path, SMALL))
    pending = iter([True])

    def steal(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "PUT" and "HTTP_IF_MATCH" in environ and next(pending, False):
            client.put_object(Bucket=bucket, Key="calls.csv", Body=b"theirs", Metadata={"run": "theirs"})

    gate.before = steal
    with pytest.raises(ObjectExistsError, match=f"s3://{bucket}/calls.csv"):
        deliver(destination, exported(tmp_path, b"ours, changed"))
    assert stored(client, bucket) == b"theirs"


def test_an_object_of_somebody_else_is_named_or_skipped(client: Any, bucket: str, tmp_path: Path) -> None:
    """if-exists: an object without our metadata, in the quiet case: fail names it, skip says so, both leave it."""
    client.put_object(Bucket=bucket, Key="calls.csv", Body=b"theirs")
    file = exported(tmp_path, SMALL)
    with pytest.raises(ObjectExistsError) as caught:
        deliver(S3Destination(bucket, "calls.csv", if_exists="fail"), file)
    assert f"s3://{bucket}/calls.csv exists already" in str(caught.value)
    assert caught.value.retryable is False
    assert deliver(S3Destination(bucket, "calls.csv", if_exists="skip"), file).status is DeliveryStatus.SKIPPED
    assert stored(client, bucket) == b"theirs"


def test_without_permission_to_look_the_conditional_write_decides(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path
) -> None:
    """if-exists: s3:PutObject alone is enough: HEAD says 403, and If-None-Match still keeps the other's object."""
    gate.before = lambda e: ("403 Forbidden", [], b"") if e["REQUEST_METHOD"] == "HEAD" else None
    destination = S3Destination(bucket, "calls.csv", if_exists="fail")
    assert deliver(destination, exported(tmp_path, SMALL)).status is DeliveryStatus.WRITTEN
    with pytest.raises(ObjectExistsError):
        deliver(destination, exported(tmp_path, b"other"), OTHER_RUN)
    assert stored(client, bucket) == SMALL


@pytest.mark.parametrize("policy", ["replace", "fail"])
def test_a_conditional_request_conflict_is_tried_again(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, policy: str
) -> None:
    """if-exists: 409 ConditionalRequestConflict is S3's word for "try again"; it is, at once and only so often."""
    conflicts = iter([True, True])

    def conflict(environ: dict[str, Any]) -> Any:
        if environ["REQUEST_METHOD"] == "PUT" and next(conflicts, False):
            return s3_error("ConditionalRequestConflict", "409 Conflict")
        return None

    gate.before = conflict
    assert deliver(S3Destination(bucket, "calls.csv", if_exists=policy), exported(tmp_path, SMALL)).status == "written"
    assert gate.count("PUT") == 3
    assert stored(client, bucket) == SMALL


@pytest.mark.slow
def test_endless_conflicts_end_as_a_retryable_error(bucket: str, gate: S3Gate, tmp_path: Path) -> None:
    """if-exists: six conflicts in a row are left to Airflow's own retries."""
    gate.before = lambda e: (
        s3_error("ConditionalRequestConflict", "409 Conflict") if e["REQUEST_METHOD"] == "PUT" else None
    )
    with pytest.raises(DestinationUnavailableError, match="kept writing the same key") as caught:
        deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, SMALL))
    assert caught.value.retryable is True
    assert gate.count("PUT") == 6


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "parts"])
@pytest.mark.parametrize("change", ["other byte", "longer", "shorter", "gone"])
def test_a_file_that_changed_after_hashing_leaves_no_object(
    client: Any, bucket: str, tmp_path: Path, content: bytes, change: str
) -> None:
    """stored-bytes: the bytes that are sent are the bytes that were hashed, or nothing becomes visible and no parts
    stay.
    """
    file = exported(tmp_path, content)
    if change == "gone":
        file.path.unlink()
    else:
        altered = {"other byte": content[:-1] + b"\x00", "longer": content + b"!", "shorter": content[:-1]}[change]
        assert altered != content
        file.path.write_bytes(altered)
    with pytest.raises(FileChangedError, match=r"calls\.csv") as caught:
        deliver(S3Destination(bucket, "calls.csv"), file)
    assert str(tmp_path) not in str(caught.value)
    assert keys(client, bucket) == []
    assert uploads(client, bucket) == []


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "parts"])
def test_a_checksum_that_does_not_match_the_answer_leaves_no_object(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, content: bytes
) -> None:
    """stored-bytes: the server says that it stored other bytes: red, retryable, and the object or the parts are
    removed.
    """
    wrong = base64.b64encode(bytes(32)).decode()

    def lie(request: S3Request, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(k, wrong if k.lower() == "x-amz-checksum-sha256" else v) for k, v in headers]

    gate.after = lie
    with pytest.raises(DamagedUploadError) as caught:
        deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, content))
    assert caught.value.retryable is True
    assert keys(client, bucket) == []
    assert uploads(client, bucket) == []


def test_without_a_checksum_in_the_answer_the_etag_or_the_bytes_are_compared(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path
) -> None:
    """stored-bytes: without SHA-256 the ETag is compared, where it is an MD5; else the object is read."""

    def old_server(request: S3Request, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(k, v) for k, v in headers if k.lower() != "x-amz-checksum-sha256"]

    gate.after = old_server
    assert deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, SMALL)).status is DeliveryStatus.WRITTEN
    assert gate.count("GET") == 0

    gate.after = lambda request, headers: [
        (k, f'"{"0" * 32}"' if k.lower() == "etag" else v) for k, v in old_server(request, headers)
    ]
    gate.before = lambda e: e.pop("HTTP_IF_MATCH", None) and None
    assert deliver(S3Destination(bucket, "other.csv"), exported(tmp_path, SMALL)).status is DeliveryStatus.WRITTEN
    assert gate.count("GET") == 1


def test_a_damaged_object_that_cannot_be_removed_is_named(bucket: str, gate: S3Gate, tmp_path: Path) -> None:
    """stored-bytes: no permission to delete: the sentence warns of the object that is still there."""
    gate.after = lambda request, headers: [
        (k, base64.b64encode(bytes(32)).decode() if k.lower() == "x-amz-checksum-sha256" else v) for k, v in headers
    ]
    gate.before = lambda e: s3_error("AccessDenied", "403 Forbidden") if e["REQUEST_METHOD"] == "DELETE" else None
    with pytest.raises(DamagedUploadError, match=r"could not be removed .*do not use it"):
        deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, SMALL))


@pytest.mark.parametrize("broken", ["partNumber=2", "complete"])
def test_a_failed_multipart_upload_is_aborted(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, broken: str
) -> None:
    """stored-bytes: the second part, or the completion, fails: no object, and no parts that somebody pays for."""

    def fail(environ: dict[str, Any]) -> Any:
        query = environ.get("QUERY_STRING", "")
        completing = environ["REQUEST_METHOD"] == "POST" and "uploadId" in query
        if completing if broken == "complete" else broken in query:
            return s3_error("InternalError", "500 Internal Server Error")
        return None

    gate.before = fail
    with pytest.raises(DestinationUnavailableError) as caught:
        deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, LARGE))
    assert caught.value.retryable is True
    assert gate.count("DELETE", "uploadId") == 1
    assert keys(client, bucket) == []
    assert uploads(client, bucket) == []


def test_a_task_that_is_stopped_in_the_middle_aborts_its_upload(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stored-bytes: an interrupt (a killed or timed-out task) is no ordinary exception, and the parts go
    all the same.
    """
    file = exported(tmp_path, LARGE)

    class Interrupting(type(file.path)):  # type: ignore[misc]
        def open(self, *args: Any, **kwargs: Any) -> Any:
            source = super().open(*args, **kwargs)
            read = source.read

            class Source:
                reads = 0

                def __enter__(self) -> Source:
                    return self

                def __exit__(self, *error: object) -> None:
                    source.close()

                def read(self, size: int) -> bytes:
                    self.reads += 1
                    if self.reads == 2:
                        raise KeyboardInterrupt
                    content: bytes = read(size)
                    return content

            return Source()

    with pytest.raises(KeyboardInterrupt):
        deliver(S3Destination(bucket, "calls.csv"), replace(file, path=Interrupting(file.path)))
    assert gate.count("PUT", "partNumber=1") == 1
    assert uploads(client, bucket) == []
    assert keys(client, bucket) == []


def test_a_file_that_cannot_be_read_whole_in_10000_parts_gets_larger_parts(
    client: Any, bucket: str, gate: S3Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stored-bytes: S3 allows 10,000 parts; with a limit of two, the same file goes in two larger ones."""
    monkeypatch.setattr("airflow_provider_callreport.delivery.s3._MAX_PARTS", 2)
    deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, LARGE))
    assert gate.count("PUT", "partNumber") == 2
    assert stored(client, bucket) == LARGE


def test_a_connection_that_does_not_exist_is_said_not_to(
    gate: S3Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """clear-sentence: Airflow takes it for an empty one, and the file could go to another account's bucket."""
    file = exported(tmp_path, SMALL)
    with pytest.raises(DestinationRefusedError) as caught:
        deliver(S3Destination("reports", "calls.csv", "aws_nowhere"), file)
    assert str(caught.value) == (
        'Could not write s3://reports/calls.csv: Airflow connection "aws_nowhere" does not exist; create it (Admin, '
        "Connections, type Amazon Web Services), or correct aws_conn_id; None leaves it to boto3."
    )
    assert gate.requests == []
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DestinationRefusedError, match='"aws_default" does not exist or has none'):
        deliver(S3Destination("reports", "calls.csv"), file)


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("AccessDenied", "403 Forbidden", DestinationRefusedError, "s3:PutObject"),
        ("InvalidAccessKeyId", "403 Forbidden", DestinationRefusedError, 'check connection "aws_default"'),
        ("SignatureDoesNotMatch", "403 Forbidden", DestinationRefusedError, 'check connection "aws_default"'),
        ("PermanentRedirect", "301 Moved Permanently", DestinationRefusedError, "another region"),
        ("KMS.NotFoundException", "400 Bad Request", DestinationRefusedError, "SSEKMSKeyId"),
        ("NotImplemented", "501 Not Implemented", DestinationRefusedError, "request_checksum_calculation"),
        ("Whatever", "400 Bad Request", DestinationRefusedError, "Whatever"),
        ("ExpiredToken", "400 Bad Request", DestinationUnavailableError, "session has expired"),
        ("SlowDown", "503 Slow Down", DestinationUnavailableError, "busy"),
        ("InternalError", "500 Internal Server Error", DestinationUnavailableError, "busy or has a fault"),
        ("BadDigest", "400 Bad Request", DamagedUploadError, "damaged on their way"),
    ],
)
def test_an_answer_of_s3_is_one_sentence_and_retryable_or_not(
    bucket: str, gate: S3Gate, tmp_path: Path, code: str, status: str, kind: type[DeliveryError], words: str
) -> None:
    """error-kinds: for S3, what to do is said, credentials are not, and only what may pass is retryable."""
    gate.before = lambda environ: s3_error(code, status) if environ["REQUEST_METHOD"] == "PUT" else None
    with pytest.raises(kind) as caught:
        deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, SMALL))
    text = str(caught.value)
    assert words in text
    assert code in text
    assert f"s3://{bucket}/calls.csv" in text
    assert "CANARY" not in text.upper()
    assert caught.value.retryable is (kind is not DestinationRefusedError)


def test_a_missing_bucket_and_a_closed_port_are_told_apart(
    gate: S3Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """error-kinds: for S3, no bucket: give up; nobody listens: try later."""
    file = exported(tmp_path, SMALL)
    with pytest.raises(DestinationRefusedError, match="the bucket does not exist"):
        deliver(S3Destination("no-such-bucket", "calls.csv", if_exists="fail"), file)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection("http://127.0.0.1:9"))
    with pytest.raises(DestinationUnavailableError, match="could not be reached") as caught:
        deliver(S3Destination("any", "calls.csv"), file)
    assert caught.value.retryable is True


def test_a_secret_in_wrong_arguments_is_not_quoted(bucket: str, tmp_path: Path) -> None:
    """no-leak: boto3 quotes the value that it does not accept; a secret must not reach the log that way,
    nor by repr.
    """
    destination = S3Destination(bucket, "calls.csv", extra_args={"SSEKMSEncryptionContext": 4711_4711})
    with pytest.raises(DestinationRefusedError, match="SSEKMSEncryptionContext") as caught:
        deliver(destination, exported(tmp_path, SMALL))
    assert "47114711" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "47114711" not in repr(destination)


def test_the_object_is_a_lineage_output_and_the_temporary_file_no_input(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """known-to-airflow: what OpenLineage sees is the object alone."""
    from airflow.providers.amazon.aws.assets.s3 import convert_asset_to_openlineage
    from airflow.providers.common.compat.lineage import hook

    try:
        from airflow.providers.common.compat.sdk import HookLineageCollector
    except ImportError:
        pytest.skip("this version of common-compat does not name the collector")
    # Without a lineage plugin Airflow hands out a collector that forgets; this is the one that it hands out with one.
    collector: Any = HookLineageCollector()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(hook, "get_hook_lineage_collector", lambda: collector)
    keys = ["calls.csv", "a b/ü%41.csv", "calls#1.csv", "calls#2.csv", "calls?b=1&a.csv"]
    for key in keys:
        deliver(S3Destination(bucket, key), exported(tmp_path, SMALL))
    lineage = collector.collected_assets
    assert lineage.inputs == []
    assert [output.asset.uri for output in lineage.outputs] == [
        # As they are; where Airflow would take a part for a query or a fragment, no part is lost.
        *(f"s3://{bucket}/{key}" for key in keys[:2]),
        *(f"s3://{bucket}/{key}" for key in ("calls%231.csv", "calls%232.csv", "calls%3Fb=1&a.csv")),
    ]
    # What another run has written is no output of this one.
    for policy, status in (("replace", "unchanged"), ("skip", "skipped")):
        again = deliver(S3Destination(bucket, "calls.csv", if_exists=policy), exported(tmp_path, SMALL), OTHER_RUN)
        assert again.status.value == status
    assert len(collector.collected_assets.outputs) == len(keys)
    # OpenLineage wants the key as it is, and gets it where no part of it would be lost.
    pytest.importorskip("openlineage.client")
    names = [convert_asset_to_openlineage(output.asset, None).name for output in lineage.outputs]
    assert names[:2] == keys[:2]
    assert len(set(names)) == len(keys)


def test_a_link_works_and_says_when_it_ends(bucket: str, tmp_path: Path) -> None:
    """one-mail: the presigned address gives the file under its own name; its end is what the signature says."""
    file = exported(tmp_path, SMALL, filename="कॉल report.csv")
    destination = S3Destination(bucket, "calls.csv")
    deliver(destination, file)
    before = datetime.now(UTC)
    link = destination.link(file, timedelta(hours=6))
    assert link.url is not None
    assert link.expires_at is not None
    assert abs(link.expires_at - before - timedelta(hours=6)) < timedelta(seconds=5)
    assert link.may_expire_earlier is False
    assert "X-Amz-Signature" in link.url
    assert link.url not in repr(link)
    with urllib.request.urlopen(link.url) as answer:
        assert answer.read() == SMALL
    plain = destination.link(file)
    assert (plain.uri, plain.url, plain.expires_at) == (f"s3://{bucket}/calls.csv", None, None)


def test_the_log_of_a_link_has_no_signature(bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: botocore logs signatures at DEBUG; that of an address is all that one needs to read the file."""
    with caplog.at_level(logging.DEBUG):
        link = S3Destination(bucket, "calls.csv").link(exported(tmp_path, SMALL), timedelta(hours=1))
        deliver(S3Destination(bucket, "calls.csv"), exported(tmp_path, SMALL))
    assert link.url is not None
    signature = link.url.partition("X-Amz-Signature=")[2].partition("&")[0]
    assert len(signature) == 64
    assert signature not in caplog.text
    assert "botocore.auth" in {record.name for record in caplog.records}, "other signatures are logged as ever"


def test_a_link_signed_by_a_session_without_a_known_end_says_so(
    server: tuple[str, S3Gate], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """one-mail: a temporary session may end before the address does; the mail says "at most"."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(server[0], aws_session_token="session"))
    link = S3Destination(bucket, "calls.csv").link(exported(tmp_path, SMALL), timedelta(hours=1))
    assert link.may_expire_earlier is True


def test_a_link_ends_with_the_role_that_signed_it(
    server: tuple[str, S3Gate], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """one-mail: asked for seven days by a role session of 15 minutes to an hour: the true end is the session's."""
    role = {
        "role_arn": "arn:aws:iam::123456789012:role/reports",
        "service_config": {"sts": {"endpoint_url": server[0]}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(server[0], **role))
    link = S3Destination(bucket, "calls.csv").link(exported(tmp_path, SMALL), timedelta(days=7))
    assert link.expires_at is not None
    assert link.expires_at - datetime.now(UTC) < timedelta(hours=13)
    assert link.may_expire_earlier is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"bucket": " "}, "s3_bucket is ' '; allowed is a bucket's name alone"),
        ({"bucket": "s3://reports"}, "'; allowed is a bucket's name alone"),
        ({"bucket": "reports/calls"}, "'; allowed is a bucket's name alone"),
        ({"key": ""}, "s3_key is ''; allowed is the key of an object"),
        ({"key": "s3://reports/calls.csv"}, "'; allowed is a key inside the bucket, not an address"),
        ({"key": "calls/"}, "s3_key is 'calls/'; allowed is the key of an object, not of a folder"),
        (
            {"key": "/calls.csv"},
            """s3_key is '/calls.csv'; allowed is a key that does not begin with "/" and has no "//"; perhaps""",
        ),
        (
            {"key": "calls//day.csv"},
            """s3_key is 'calls//day.csv'; allowed is a key that does not begin with "/" and has no "//";""",
        ),
        ({"key": "calls\n.csv"}, "; allowed is a key without control characters"),
        ({"key": "\udc80"}, "; allowed is a key without control characters"),
        ({"key": "é" * 513}, "; allowed is a key of 1024 bytes; this one has 1026"),
        ({"if_exists": "overwrite"}, "if_exists is 'overwrite'; allowed are replace, fail, skip"),
        ({"extra_args": {"Acl": "private"}}, "s3_extra_args has no argument 'Acl' (did you mean 'ACL'?)"),
        ({"extra_args": {"ChecksumSHA256": "x"}}, "s3_extra_args has no argument 'ChecksumSHA256'; allowed are "),
        (
            {"extra_args": {"SSECustomerKey": 4711}},
            "SSECustomerKey in s3_extra_args is of type int; allowed are text and bytes",
        ),
        (
            {"extra_args": {"Metadata": {"rows": "1"}}},
            "Metadata in s3_extra_args has rows; the export sets these itself",
        ),
        ({"extra_args": {"Metadata": {"Run": "1"}}}, "Metadata in s3_extra_args has Run; the export sets these itself"),
        ({"extra_args": {"Metadata": {"team": 1}}}, "; allowed is an object of ASCII text to ASCII text"),
        ({"extra_args": {"Metadata": {"team": "é"}}}, "; allowed is an object of ASCII text to ASCII text"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: names the argument, what it was and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        S3Destination(**{"bucket": "reports", "key": "calls.csv", **arguments})


def test_an_access_points_arn_is_a_bucket() -> None:
    """Access points are named by ARNs with a slash in them."""
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/reports"
    assert S3Destination(arn, "calls.csv").uri == f"s3://{arn}/calls.csv"


def test_the_extra_arguments_are_boto3s_without_what_is_ours() -> None:
    """The spelled-out list agrees with the boto3 that is installed."""
    from boto3.s3.transfer import S3Transfer

    theirs = {name for name in S3Transfer.ALLOWED_UPLOAD_ARGS if "Checksum" not in name and name != "MpuObjectSize"}
    assert theirs | {"BucketKeyEnabled"} == EXTRA_ARGS


def test_importing_delivery_brings_neither_airflow_nor_boto3_nor_jinja() -> None:
    """light-import: a Dag file pays nothing for delivery."""
    code = (
        "import sys, airflow_provider_callreport.delivery.s3, airflow_provider_callreport.delivery.email;"
        "print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'boto3', 'botocore', 'jinja2', 'requests')])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == "[]"


# What a proxy, a page to log in, or a server that is being repaired answers in the place of S3.
PAGE = ("200 OK", [("Content-Type", "text/html")], b"<html><body>Please log in to this network.</body></html>")
OTHER_XML = ("200 OK", [("Content-Type", "application/xml")], b"<?xml version='1.0'?><html/>")
NOTHING = ("200 OK", list[tuple[str, str]](), b"")

#: Operation, the method and query by which its request is known, a file that needs it, what is answered, if_exists.
INTERCEPTED = [
    ("HeadObject", "HEAD", "", SMALL, NOTHING, "replace"),
    ("HeadObject", "HEAD", "", SMALL, PAGE, "skip"),
    ("PutObject", "PUT", "", SMALL, PAGE, "replace"),
    ("PutObject", "PUT", "", SMALL, NOTHING, "fail"),
    ("CreateMultipartUpload", "POST", "uploads", LARGE, PAGE, "replace"),
    ("UploadPart", "PUT", "partNumber", LARGE, NOTHING, "replace"),
    ("CompleteMultipartUpload", "POST", "uploadId", LARGE, PAGE, "replace"),
    ("CompleteMultipartUpload", "POST", "uploadId", LARGE, OTHER_XML, "skip"),
]


@pytest.mark.parametrize(("operation", "method", "query", "content", "answer", "if_exists"), INTERCEPTED)
def test_http_200_alone_is_no_delivery(
    gate: S3Gate,
    bucket: str,
    client: Any,
    tmp_path: Path,
    operation: str,
    method: str,
    query: str,
    content: bytes,
    answer: Any,
    if_exists: str,
) -> None:
    """stored-bytes: an answer that cannot be S3's is red, to be tried again, and names what to check; it is never
    "written".
    """
    gate.before = lambda e: answer if e["REQUEST_METHOD"] == method and query in e.get("QUERY_STRING", "") else None
    target = S3Destination(bucket, "calls.csv", if_exists=if_exists)
    with pytest.raises(DestinationUnavailableError, match=f"{operation} was answered without .*endpoint_url") as caught:
        deliver(target, exported(tmp_path, content))
    assert caught.value.retryable is True
    gate.before = None
    assert keys(client, bucket) == []
    assert uploads(client, bucket) == [], "the upload was given up"
