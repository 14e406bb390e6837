"""One object in S3: what is at a key, its bytes, its end. How it is written is in `s3_write`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_callreport.delivery.errors import DestinationUnavailableError
from airflow_provider_callreport.delivery.s3_errors import error_status, is_not_found
from airflow_provider_callreport.delivery.same_object import TRY_BEGAN

#: Arguments that requests about an existing object or upload take, too.
_ROUTING_ARGS = ("ExpectedBucketOwner", "RequestPayer")
_READING_ARGS = (*_ROUTING_ARGS, "SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")

_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The object that is at a key.

    Attributes:
        etag: its ETag, as S3 sends it.
        bytes: its size.
        metadata: its metadata.
        version_id: its version in a bucket with versioning, else None.
        readable: False when S3 does not tell whether an object is there; the other attributes are empty then.
        head: the answer of ``HeadObject``.
    """

    etag: str = ""
    bytes: int = -1
    metadata: Mapping[str, str] = field(default_factory=dict)
    version_id: str | None = None
    readable: bool = True
    head: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> str | None:
        """The hash of the run that wrote it, or None when this package did not."""
        return self.metadata.get("run")

    @property
    def sha256(self) -> str | None:
        """The SHA-256 that this package wrote to its metadata, or None."""
        return self.metadata.get("sha256")

    @property
    def parts(self) -> int:
        """How many parts the ETag says that it was sent in; 0 when it does not say."""
        number = self.etag.strip('"').rpartition("-")[2] if "-" in self.etag else ""
        return int(number) if number.isdigit() else 0

    def is_of_later_try(self, metadata: Mapping[str, str]) -> bool:
        """Whether a try of the same run wrote it that began later.

        Args:
            metadata: the metadata that this try writes.
        """
        if self.run != metadata["run"] or TRY_BEGAN not in self.metadata or TRY_BEGAN not in metadata:
            return False
        try:
            return datetime.fromisoformat(self.metadata[TRY_BEGAN]) > datetime.fromisoformat(metadata[TRY_BEGAN])
        except (ValueError, TypeError):
            return False


@dataclass(frozen=True, slots=True)
class S3Object:
    """One key in one bucket, with a client.

    Attributes:
        client: a boto3 client.
        bucket: the bucket.
        key: the key.
        extra_args: see `s3.S3Destination`.
    """

    client: Any
    bucket: str
    key: str
    extra_args: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"

    def look(self) -> StoredObject | None:
        """What is at the key; None when nothing is."""
        from botocore.exceptions import ClientError

        # S3 tells the checksum of an object under SSE-KMS to those with kms:Decrypt only, and the rest to everybody.
        modes = [{"ChecksumMode": "ENABLED"}, {}] if self.has_checksums else [{}]
        for mode in modes:
            try:
                answer = self.client.head_object(**self.address, **self.reading_args, **mode)
            except ClientError as error:
                if is_not_found(error):
                    return None
                # 403: without s3:ListBucket S3 says it of a missing key, without s3:GetObject of a present one.
                # 400: an object under another SSE-C key.
                if error_status(error) not in (400, 403):
                    raise
                continue
            return StoredObject(
                etag=self.require(answer, "ETag", "HeadObject"),
                bytes=answer.get("ContentLength", -1),
                metadata=answer.get("Metadata", {}),
                version_id=version_of(answer),
                head=answer,
            )
        return StoredObject(readable=False)

    def read(self, most: int) -> bytes | None:
        """The object's bytes; None when nothing is there, it may not be read, or is larger.

        Args:
            most: the most bytes that are read.
        """
        from botocore.exceptions import ClientError

        try:
            answer = self.client.get_object(**self.address, **self.reading_args)
        except ClientError as error:
            if is_not_found(error) or error_status(error) in (400, 403):
                return None
            raise
        with closing(answer["Body"]) as body:
            content: bytes = body.read(most + 1)
        return content if len(content) <= most else None

    def sha256_of(self, found: StoredObject) -> str:
        """The SHA-256 of the object's bytes, lower-case hex: S3's own, or read, where S3 has none of the whole.

        Args:
            found: what `look` has found.
        """
        checksum = found.head.get("ChecksumSHA256", "-")
        return self.read_sha256(found.etag) if "-" in checksum else base64.b64decode(checksum).hex()

    def read_sha256(self, etag: str | None = None) -> str:
        """The SHA-256 of the object's bytes, read piece by piece.

        Args:
            etag: the ETag that the object must have, or None for any.
        """
        digest = hashlib.sha256()
        condition = {} if etag is None else {"IfMatch": etag}
        answer = self.client.get_object(**self.address, **self.reading_args, **condition)
        with closing(answer["Body"]) as body:
            for piece in body.iter_chunks(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def remove(self, *, etag: str, version_id: str | None = None) -> None:
        """Remove the object, or one version of it, and nothing that somebody else wrote since.

        Args:
            etag: the ETag that it must have; not needed with a version.
            version_id: the version.
        """
        which = {"VersionId": version_id} if version_id else {"IfMatch": etag}
        self.client.delete_object(**self.address, **which, **self._some_args(_ROUTING_ARGS))

    def remove_listed(self, etag: str) -> None:
        """Remove an object that was just looked at, also where the server knows no condition for that.

        Args:
            etag: the ETag that it had.
        """
        from botocore.exceptions import ClientError

        try:
            self.remove(etag=etag)
        except ClientError as error:
            if error_status(error) != 501:
                raise
            self.client.delete_object(**self.address, **self._some_args(_ROUTING_ARGS))

    def abort(self, upload: Mapping[str, str]) -> None:
        """Drop the parts of an upload."""
        self.client.abort_multipart_upload(**upload, **self._some_args(_ROUTING_ARGS))

    @property
    def has_checksums(self) -> bool:
        """Whether the connection lets checksums be sent; boto3 before 1.36 has no such setting."""
        return getattr(self.client.meta.config, "request_checksum_calculation", None) != "when_required"

    @property
    def address(self) -> dict[str, str]:
        """Bucket and key as arguments."""
        return {"Bucket": self.bucket, "Key": self.key}

    @property
    def reading_args(self) -> dict[str, Any]:
        """Those of the extra arguments that requests about an existing object or upload take, too."""
        return self._some_args(_READING_ARGS)

    def require(self, answer: Mapping[str, Any], name: str, operation: str) -> str:
        """What every answer of S3 to an operation has. HTTP 200 alone proves nothing: a proxy may have said it.

        Raises:
            DestinationUnavailableError: the answer does not have it.
        """
        if not answer.get(name):
            raise DestinationUnavailableError(
                f"Could not write {self.uri}: {operation} was answered without {name}, so it was not S3 that "
                f"answered; check endpoint_url in the connection, and the proxy."
            )
        return str(answer[name])

    def _some_args(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.extra_args[name] for name in names if name in self.extra_args}


def version_of(answer: Mapping[str, Any]) -> str | None:
    """The version that an answer names; None in a bucket without versioning."""
    version = answer.get("VersionId")
    return None if version in (None, "", "null") else str(version)
