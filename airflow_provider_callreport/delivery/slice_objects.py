"""Objects under a prefix in S3 that a task keeps for its own next try: written, read, removed; no delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_callreport.delivery.s3 import READING_ARGS, S3Destination
from airflow_provider_callreport.delivery.s3_errors import s3_errors

#: Arguments of the report's own objects that hold for these as well: how they are encrypted, and who pays.
_WRITING_ARGS = (*READING_ARGS, "BucketKeyEnabled", "SSEKMSEncryptionContext", "SSEKMSKeyId", "ServerSideEncryption")

_PIECE = 1024 * 1024


@dataclass(frozen=True)
class SliceObjects:
    """A place for slices.

    Attributes:
        bucket: the bucket's name.
        prefix: what their keys begin with, without a slash at the end; may be empty.
        aws_conn_id: Airflow's AWS connection; None uses boto3's own search for credentials.
        extra_args: ``s3_extra_args`` of the report; only what is about encryption and payment is used.
    """

    bucket: str
    prefix: str
    aws_conn_id: str | None = "aws_default"
    extra_args: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, url: str, aws_conn_id: str | None, extra_args: Mapping[str, Any]) -> SliceObjects:
        """The place that a URL names.

        Args:
            url: ``s3://bucket/prefix/``.
            aws_conn_id: the AWS connection.
            extra_args: ``s3_extra_args``.

        Raises:
            ValueError: it is no such URL.
        """
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"checkpoint is {url!r}; allowed is an address such as s3://my-bucket/callreport/")
        place = cls(parts.netloc, parts.path.strip("/"), aws_conn_id, dict(extra_args))
        place._object("name")
        return place

    def connect(self) -> Any:
        """A boto3 client.

        Raises:
            DeliveryError: the connection does not give one.
        """
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        with s3_errors(f"s3://{self.bucket}", self.aws_conn_id):
            return S3Hook(aws_conn_id=self.aws_conn_id).get_conn()

    def put(self, client: Any, name: str, path: Path) -> None:
        """Write a file.

        Raises:
            DeliveryError: S3 does not take it.
        """
        target = self._object(name)
        with s3_errors(target.uri, self.aws_conn_id), path.open("rb") as body:
            client.put_object(Bucket=target.bucket, Key=target.key, Body=body, **self._some_args(_WRITING_ARGS))

    def get(self, client: Any, name: str, path: Path) -> None:
        """Read an object into a file.

        Raises:
            DeliveryError: it is not there, or S3 does not give it.
        """
        target = self._object(name)
        with s3_errors(target.uri, self.aws_conn_id), path.open("wb") as file:
            answer = client.get_object(Bucket=target.bucket, Key=target.key, **self._some_args(READING_ARGS))
            for piece in answer["Body"].iter_chunks(_PIECE):
                file.write(piece)

    def remove(self, client: Any, names: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error.

        Raises:
            DeliveryError: S3 does not do it.
        """
        for name in names:
            target = self._object(name)
            with s3_errors(target.uri, self.aws_conn_id):
                client.delete_object(Bucket=target.bucket, Key=target.key)

    def _object(self, name: str) -> S3Destination:
        return S3Destination(self.bucket, f"{self.prefix}/{name}" if self.prefix else name, self.aws_conn_id)

    def _some_args(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.extra_args[name] for name in names if name in self.extra_args}
