"""An S3 server on a port of this machine, in a thread of this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from airflow_provider_callreport.sandbox.quiet import quiet

_LOOPBACK = "127.0.0.1"
_CALL_SECONDS = 10

#: The server accepts any credentials; these are what its connection gives.
ACCESS_KEY = "sandbox-access-key"
SECRET_KEY = "sandbox-secret-key"

#: The only region whose name must not be given when a bucket is created (AWS API reference, CreateBucket).
_DEFAULT_REGION = "us-east-1"


class SandboxS3:
    """An S3 server (moto in server mode), from ``with`` to the end of the block.

    All objects are in the memory of this process. Two servers of one process share them, because moto keeps them by
    account, and the end of either forgets them.

    Args:
        buckets: names of the buckets to create.
        region: AWS region they are in.
        port: 0 for a free one.

    Attributes:
        host, port: where it is reached.
    """

    def __init__(self, buckets: Sequence[str] = ("reports",), *, region: str = _DEFAULT_REGION, port: int = 0) -> None:
        self.buckets = tuple(buckets)
        self.region = region
        self.host = _LOOPBACK
        self.port = port
        self._running = ExitStack()

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"http://{self.host}:{self.port}"

    def client(self) -> Any:
        """A boto3 S3 client for it; always the same one."""
        return self._client

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def keys(self, bucket: str = "reports") -> list[str]:
        """The keys of a bucket, sorted."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def read(self, key: str, bucket: str = "reports") -> bytes:
        """The bytes of an object."""
        body: bytes = self.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def reset(self) -> None:
        """Empty the buckets and drop uploads that were begun and not completed."""
        client = self.client()
        for bucket in self.buckets:
            for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            for key in self.keys(bucket):
                client.delete_object(Bucket=bucket, Key=key)

    def connection_json(self, **extra: object) -> str:
        """The value of ``AIRFLOW_CONN_AWS_DEFAULT`` for it, as JSON.

        Args:
            extra: further entries of the connection's extra.
        """
        return json.dumps(
            {
                "conn_type": "aws",
                "login": ACCESS_KEY,
                "password": SECRET_KEY,
                "extra": {"endpoint_url": self.url, "region_name": self.region, **extra},
            }
        )

    def connection_uri(self) -> str:
        """The same as a URI."""
        extra = urlencode({"endpoint_url": self.url, "region_name": self.region})
        return f"aws://{ACCESS_KEY}:{SECRET_KEY}@/?{extra}"

    def start(self) -> None:
        """Start serving, and create the buckets.

        Raises:
            ImportError: moto's server is not installed.
        """
        from moto.server import ThreadedMotoServer

        with ExitStack() as stack:
            stack.enter_context(quiet("werkzeug"))
            server = ThreadedMotoServer(self.host, self.port, verbose=False)
            server.start()
            stack.callback(server.stop)
            self.port = server.get_host_and_port()[1]
            stack.callback(self._forget)
            client = self.client()
            place = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
            for bucket in self.buckets:
                client.create_bucket(Bucket=bucket, **({} if self.region == _DEFAULT_REGION else place))
            self._running = stack.pop_all()

    def stop(self) -> None:
        """Stop serving and forget the objects."""
        self._running.close()

    def _forget(self) -> None:
        # The state is the process's and would outlive the server (moto's documentation, "Reset API").
        urlopen(Request(f"{self.url}/moto-api/reset", method="POST"), timeout=_CALL_SECONDS).close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
