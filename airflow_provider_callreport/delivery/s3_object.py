"""One object in S3: looked at, and written whole or not at all.

Reads of the body are bounded by its `Body.part_bytes`, and the bytes that are sent are the very bytes that were hashed:
a body up to that size goes in one ``PutObject``, a larger one in parts, and the last request, the one that makes the
object visible, is sent only when the SHA-256 of everything read is the body's.

``if_exists``, when an object is at the key already:

========= ============================== ==========================================
policy    another run's object           an object of an earlier try of the same run
========= ============================== ==========================================
replace   same: ``UNCHANGED``; else      same: ``ALREADY_THERE``; else overwritten
          overwritten
fail      `ObjectExistsError`            same bytes: success; else overwritten
skip      left alone, status ``SKIPPED`` same bytes: success; else overwritten
========= ============================== ==========================================

"Same" means: same bytes by S3's own checksum, same metadata but for ``run``, same ``extra_args`` (`same_object`). Then
nothing is written: a backfill or a look back over past days touches what changed, and says so by the status.

Whose object it is stands in its metadata (``run``, a hash of the run's identity). Under ``fail`` and ``skip``
"overwritten" is conditional on the ETag that was looked at (``If-Match``), and a new object on there being none
(``If-None-Match: *``), so that of any number of writers exactly one wins. A HEAD before the write spares a long upload
that would be refused or change nothing; it is never what lets one write win over another. AWS S3, MinIO, Cloudflare R2
and Ceph (from Squid) honour the conditions. A server that ignores them gives ``fail`` and ``skip`` the strength of the
HEAD only: two writers within the same moment can both win there. A server that answers 501 to them can be used with
``replace``.

A process that is killed in the middle of a multipart upload leaves its parts behind, which nobody sees but the bill:
give the bucket a lifecycle rule ``AbortIncompleteMultipartUpload``. Every other failure aborts the upload.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_callreport.delivery.body import Body
from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DestinationUnavailableError,
    ObjectExistsError,
)
from airflow_provider_callreport.delivery.receipts import DeliveryStatus
from airflow_provider_callreport.delivery.s3_errors import RACE_CODES, error_code, error_status, is_not_found
from airflow_provider_callreport.delivery.same_object import Fingerprint, is_written_as, stamped

log = logging.getLogger(__name__)

#: Arguments that requests about an existing object or upload take, too.
_ROUTING_ARGS = ("ExpectedBucketOwner", "RequestPayer")
_READING_ARGS = (*_ROUTING_ARGS, "SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")

#: How often a write that raced with another is looked at again before the task's own retries take over.
_RACE_ATTEMPTS = 6

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

    def look(self, *, checksum: bool = False) -> StoredObject | None:
        """What is at the key; None when nothing is.

        Args:
            checksum: whether S3's checksum is needed. With SSE-KMS that takes the permission kms:Decrypt.
        """
        from botocore.exceptions import ClientError

        mode = {"ChecksumMode": "ENABLED"} if checksum else {}
        try:
            answer = self.client.head_object(**self._address, **self._some_args(_READING_ARGS), **mode)
        except ClientError as error:
            if is_not_found(error):
                return None
            # 403: without s3:ListBucket S3 says it of a missing key, without s3:GetObject of a present one.
            # 400: an object under another SSE-C key. Either way the conditional write is what decides.
            if error_status(error) in (400, 403):
                return StoredObject(readable=False)
            raise
        return StoredObject(
            etag=self._field(answer, "ETag", "HeadObject"),
            bytes=answer.get("ContentLength", -1),
            metadata=answer.get("Metadata", {}),
            version_id=_version(answer),
            head=answer,
        )

    def read_sha256(self) -> str:
        """The SHA-256 of the object's bytes, read piece by piece."""
        digest = hashlib.sha256()
        answer = self.client.get_object(**self._address, **self._some_args(_READING_ARGS))
        for piece in answer["Body"].iter_chunks(_PIECE):
            digest.update(piece)
        return digest.hexdigest()

    def write(self, body: Body, args: Mapping[str, Any], if_exists: str) -> tuple[DeliveryStatus, str | None]:
        """Write the body, unless it is there already or ``if_exists`` forbids it.

        Args:
            body: the bytes.
            args: further arguments of ``PutObject``, with ``Metadata`` that has ``run``.
            if_exists: see the module.

        Returns:
            What was done, and the object's version in a bucket with versioning.

        Raises:
            DeliveryError: see `s3.S3Destination.deliver`.
            botocore.exceptions.ClientError: other answers of S3.
        """
        args = stamped(args)
        run = args["Metadata"]["run"]
        for attempt in range(_RACE_ATTEMPTS):
            if attempt:
                time.sleep(min(0.1 * 2**attempt, 2.0) * (0.5 + random.random() / 2))
            # Where the checksum does not decide, its permission is not asked for.
            found = self.look(checksum=if_exists == "replace")
            if if_exists == "replace":
                if found is not None and self._is_same(found, body, args):
                    own = DeliveryStatus.ALREADY_THERE if found.run == run else DeliveryStatus.UNCHANGED
                    return own, found.version_id
                condition = {}
            elif found is None or not found.readable:
                condition = {"IfNoneMatch": "*"}
            elif found.run != run:
                return self._leave_alone(if_exists)
            elif (found.sha256, found.bytes) == (body.sha256, body.size):
                return DeliveryStatus.ALREADY_THERE, found.version_id
            else:
                condition = {"IfMatch": found.etag}
            try:
                answer = self._send(body, args, condition)
            except _RacedError as race:
                if race.exists and found is not None and not found.readable:
                    return self._leave_alone(if_exists)
                continue
            return DeliveryStatus.WRITTEN, _version(answer)
        raise DestinationUnavailableError(
            f"Could not write {self.uri}: others kept writing the same key, {_RACE_ATTEMPTS} times in a row."
        )

    @property
    def _address(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}

    def _some_args(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.extra_args[name] for name in names if name in self.extra_args}

    def _leave_alone(self, if_exists: str) -> tuple[DeliveryStatus, str | None]:
        if if_exists == "skip":
            return DeliveryStatus.SKIPPED, None
        raise ObjectExistsError(
            f'{self.uri} exists already and was not written by this run; if_exists="fail" leaves it as it is '
            f'(allowed are "replace", "fail", "skip").'
        )

    def _is_same(self, found: StoredObject, body: Body, args: Mapping[str, Any]) -> bool:
        return is_written_as(found.head, args, body.size) and Fingerprint.of(body.parts()).is_of(found.head)

    def _send(self, body: Body, args: Mapping[str, Any], condition: Mapping[str, str]) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        try:
            if body.in_parts:
                return self._put_parts(body, args, condition)
            return self._put(body, args, condition)
        except ClientError as error:
            if error_code(error) in RACE_CODES or ("IfMatch" in condition and is_not_found(error)):
                raise _RacedError(exists=error_status(error) == 412) from error
            raise

    def _put(self, body: Body, args: Mapping[str, Any], condition: Mapping[str, str]) -> Mapping[str, Any]:
        (content,) = body.parts()
        answer: Mapping[str, Any] = self.client.put_object(
            **self._address, **args, **condition, **_checksum(content), Body=content
        )
        self._field(answer, "ETag", "PutObject")
        if not _agrees(answer, content):
            raise self._damaged(answer)
        return answer

    def _put_parts(self, body: Body, args: Mapping[str, Any], condition: Mapping[str, str]) -> Mapping[str, Any]:
        begun = self.client.create_multipart_upload(**self._address, **args, ChecksumAlgorithm="SHA256")
        upload = {**self._address, "UploadId": self._field(begun, "UploadId", "CreateMultipartUpload")}
        reading = self._some_args(_READING_ARGS)
        try:
            parts: list[dict[str, Any]] = []
            sha256s, md5s = [], []
            for number, content in enumerate(body.parts(), start=1):
                answer = self.client.upload_part(
                    **upload, **reading, **_checksum(content), PartNumber=number, Body=content
                )
                if not _agrees(answer, content):
                    raise DamagedUploadError(
                        f"Could not write {self.uri}: S3 stored other bytes than were sent (part {number}); the upload "
                        f"was aborted."
                    )
                part = {"PartNumber": number, "ETag": self._field(answer, "ETag", "UploadPart")}
                if "ChecksumSHA256" in answer:
                    part["ChecksumSHA256"] = answer["ChecksumSHA256"]
                parts.append(part)
                sha256s.append(hashlib.sha256(content).digest())
                md5s.append(hashlib.md5(content, usedforsecurity=False).digest())
            completed: Mapping[str, Any] = self.client.complete_multipart_upload(
                **upload, **reading, **condition, MultipartUpload={"Parts": parts}, MpuObjectSize=body.size
            )
            self._field(completed, "ETag", "CompleteMultipartUpload")
        except BaseException:
            # Also when the task is being stopped: parts that nobody completes are paid for until a lifecycle rule.
            self._abort(upload)
            raise
        promised = Fingerprint.of_digests(sha256s, md5s).checksum
        if completed.get("ChecksumSHA256", promised) != promised:
            raise self._damaged(completed)
        return completed

    def _field(self, answer: Mapping[str, Any], name: str, operation: str) -> str:
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

    def _abort(self, upload: Mapping[str, str]) -> None:
        try:
            self.client.abort_multipart_upload(**upload, **self._some_args(_ROUTING_ARGS))
        except Exception as error:
            log.warning(
                "The multipart upload to %s could not be aborted (%s); the bucket's lifecycle rule "
                "AbortIncompleteMultipartUpload removes its parts.",
                self.uri,
                type(error).__name__,
            )

    def _damaged(self, answer: Mapping[str, Any]) -> DamagedUploadError:
        """Remove the object that this write made, and nothing that somebody else wrote since."""
        which = {"VersionId": version} if (version := _version(answer)) else {"IfMatch": answer.get("ETag", "*")}
        try:
            self.client.delete_object(**self._address, **which, **self._some_args(_ROUTING_ARGS))
        except Exception as error:
            after = f"it could not be removed ({type(error).__name__}): do not use it"
        else:
            after = "it was removed"
        return DamagedUploadError(f"S3 stored other bytes at {self.uri} than were sent; {after}.")


class _RacedError(Exception):
    """The condition did not hold, or another write was under way; ``exists`` when it is known that one is there."""

    def __init__(self, *, exists: bool) -> None:
        super().__init__()
        self.exists = exists


def _checksum(content: bytes) -> dict[str, str]:
    return {
        "ChecksumAlgorithm": "SHA256",
        "ChecksumSHA256": base64.b64encode(hashlib.sha256(content).digest()).decode("ascii"),
    }


def _agrees(answer: Mapping[str, Any], content: bytes) -> bool:
    """Whether the answer's checksum is the content's, else whether its ETag is, where an ETag is an MD5."""
    if "ChecksumSHA256" in answer:
        return bool(answer["ChecksumSHA256"] == _checksum(content)["ChecksumSHA256"])
    encrypted = "SSECustomerAlgorithm" in answer or str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    etag = str(answer.get("ETag", "")).strip('"')
    if encrypted or not re.fullmatch(r"[0-9a-f]{32}", etag):
        return True
    return etag == hashlib.md5(content, usedforsecurity=False).hexdigest()


def _version(answer: Mapping[str, Any]) -> str | None:
    version = answer.get("VersionId")
    return None if version in (None, "", "null") else str(version)
