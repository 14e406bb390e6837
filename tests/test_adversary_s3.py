"""What stands in front of S3 answers in its place: a proxy, a page to log in, a server that is being repaired."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.delivery import INFO, OUTCOME, RUN, S3Gate, aws_connection, exported, new_bucket, s3_server

from airflow_provider_callreport.delivery.errors import DestinationUnavailableError
from airflow_provider_callreport.delivery.s3 import S3Destination

SMALL = b"Caller Number,Time\r\n"
LARGE = random.Random(7).randbytes(S3Destination.part_bytes + 1)

PAGE = ("200 OK", [("Content-Type", "text/html")], b"<html><body>Please log in to this network.</body></html>")
OTHER_XML = ("200 OK", [("Content-Type", "application/xml")], b"<?xml version='1.0'?><html/>")
NOTHING = ("200 OK", list[tuple[str, str]](), b"")

#: Operation, the method and query by which its request is known, a file that needs it, what is answered, if_exists.
CASES = [
    ("HeadObject", "HEAD", "", SMALL, NOTHING, "replace"),
    ("HeadObject", "HEAD", "", SMALL, PAGE, "skip"),
    ("PutObject", "PUT", "", SMALL, PAGE, "replace"),
    ("PutObject", "PUT", "", SMALL, NOTHING, "fail"),
    ("CreateMultipartUpload", "POST", "uploads", LARGE, PAGE, "replace"),
    ("UploadPart", "PUT", "partNumber", LARGE, NOTHING, "replace"),
    ("CompleteMultipartUpload", "POST", "uploadId", LARGE, PAGE, "replace"),
    ("CompleteMultipartUpload", "POST", "uploadId", LARGE, OTHER_XML, "skip"),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[tuple[str, S3Gate]]:
    with s3_server() as started:
        yield started


@pytest.mark.parametrize(("operation", "method", "query", "content", "answer", "if_exists"), CASES)
def test_http_200_alone_is_no_delivery(
    endpoint: tuple[str, S3Gate],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    operation: str,
    method: str,
    query: str,
    content: bytes,
    answer: Any,
    if_exists: str,
) -> None:
    """D3: an answer that cannot be S3's is red, to be tried again, and names what to check; it is never "written"."""
    import boto3

    url, gate = endpoint
    gate.before = None
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(url))
    client: Any = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    bucket = new_bucket(client)
    gate.before = lambda e: answer if e["REQUEST_METHOD"] == method and query in e.get("QUERY_STRING", "") else None
    target = S3Destination(bucket, "calls.csv", if_exists=if_exists)
    with pytest.raises(DestinationUnavailableError, match=f"{operation} was answered without .*endpoint_url") as caught:
        target.deliver(exported(tmp_path, content), info=INFO, outcome=OUTCOME, run=RUN)
    assert caught.value.retryable is True
    gate.before = None
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket), "the upload was given up"
