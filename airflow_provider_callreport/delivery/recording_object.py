"""One recording in S3: an object that says whose recording it is, so that a later run knows it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_callreport.delivery.receipts import DeliveredFile
from airflow_provider_callreport.delivery.s3 import READING_ARGS, S3Destination
from airflow_provider_callreport.delivery.s3_errors import error_status, is_not_found, s3_errors
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity

_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FoundObject:
    """What is at a key.

    Attributes:
        bytes: its size.
        sha256: the SHA-256 that this package wrote to its metadata, or None.
        metadata: all of its metadata.
    """

    bytes: int
    sha256: str | None
    metadata: Mapping[str, str]


class RecordingObject(S3Destination):
    """A destination among thousands of one run: they share a client, and are no lineage each."""

    @staticmethod
    def s3_client(hook_class: Any, bucket: str, aws_conn_id: str | None) -> Any:
        """A boto3 client, which may be used by several threads.

        Raises:
            DeliveryError: the connection does not give one.
        """
        with s3_errors(f"s3://{bucket}", aws_conn_id):
            return hook_class(aws_conn_id=aws_conn_id).get_conn()

    def find(self, client: Any) -> FoundObject | None:
        """What is at the key; None when nothing is, or when S3 does not tell without more permissions.

        Raises:
            DeliveryError: S3 does not say.
        """
        from botocore.exceptions import ClientError

        with s3_errors(self.uri, self.aws_conn_id):
            try:
                answer = client.head_object(**self._address(), **self._some_args(READING_ARGS))
            except ClientError as error:
                # Without s3:ListBucket S3 says 403 of a missing key. The conditional write is what decides.
                if is_not_found(error) or error_status(error) in (400, 403):
                    return None
                raise
        self._told(answer, "ETag", "HeadObject")
        metadata = answer.get("Metadata", {})
        return FoundObject(answer["ContentLength"], metadata.get("sha256"), metadata)

    def hash(self, client: Any) -> str:
        """The SHA-256 of the object's bytes, read piece by piece.

        Raises:
            DeliveryError: it cannot be read.
        """
        digest = hashlib.sha256()
        with s3_errors(self.uri, self.aws_conn_id):
            answer = client.get_object(**self._address(), **self._some_args(READING_ARGS))
            for piece in answer["Body"].iter_chunks(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def deliver_with(
        self, client: Any, file: ExportedFile, *, info: ReportInfo, outcome: ReportOutcome, run: RunIdentity
    ) -> DeliveredFile:
        """As `deliver`, with a client that is there already."""
        with s3_errors(self.uri, self.aws_conn_id):
            return self._deliver(client, file, self._object_args(file, info, outcome, run))
