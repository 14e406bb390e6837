"""One body becomes one object in S3: whole or not at all, and looked at after the write.

Reads of the body are bounded by its `Body.part_bytes`, and the bytes that are sent are the very bytes that were hashed:
a body up to that size goes in one ``PutObject``, a larger one in parts, and the last request, the one that makes the
object visible, is sent only when the SHA-256 of everything read is the body's.

``if_exists``, when an object is at the key already:

========= ============================== ==========================================
policy    another run's object           an object of an earlier try of the same run
========= ============================== ==========================================
replace   same: ``UNCHANGED``; else      same: ``ALREADY_THERE``; else overwritten
          overwritten
fail      `ObjectExistsError`            same: ``ALREADY_THERE``; else overwritten
skip      left alone, status ``SKIPPED`` same: ``ALREADY_THERE``; else overwritten
========= ============================== ==========================================

"Same" means: same size, same metadata but for the run and its try, same ``extra_args``, and the same bytes (below).
Then nothing is written: a backfill or a look back over past days touches what changed, and says so by the status.

**What is overwritten.** The metadata of an object says whose it is (``run``, a hash of the run's identity) and when
that try began (``try-began``). A write overwrites what it has looked at and nothing else: it carries the ETag that it
saw (``If-Match``), or that nothing was there (``If-None-Match: *``). When the condition does not hold, the object is
looked at again. A try leaves the object of a later try of its own run alone: a first try that was given up for dead,
and wakes after the second, does not put older calls over newer ones.

AWS S3, MinIO, Cloudflare R2 and Ceph (from Squid) honour the conditions. A server that ignores them gives all this the
strength of the look only: of two writers within the same moment the second wins. From a server that answers 501 to
conditions ``replace`` takes the same, with a warning in the log; ``fail`` and ``skip`` are refused there. Where the
credentials may not look (no ``s3:GetObject``), ``replace`` overwrites whatever is there.

**What is proved.** An answer proves nothing: a proxy may have given it, and servers lose parts. After a write the
object is looked at, and its size, its number of parts and its bytes are compared: by the SHA-256 that S3 keeps, or by
an ETag that is an MD5, or, where a server has neither, by reading the object back. What is not right is removed. An
error in place of the answer does not prove that nothing was stored, either: where the look finds this run's own object
with these bytes, the write has succeeded. Without the permission to look, the checksum or the MD5 in the answer has to
do.

A connection with ``request_checksum_calculation="when_required"`` is for servers that refuse checksum headers. None are
sent there; ``Content-MD5`` goes in their place, and the ETag or the reading back proves the bytes.

A process that is killed in the middle of a multipart upload leaves its parts behind, which nobody sees but the bill:
give the bucket a lifecycle rule ``AbortIncompleteMultipartUpload``. Every other failure aborts the upload.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_callreport.delivery.body import Body
from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DestinationRefusedError,
    DestinationUnavailableError,
    ObjectExistsError,
)
from airflow_provider_callreport.delivery.receipts import DeliveryStatus
from airflow_provider_callreport.delivery.s3_errors import RACE_CODES, answer_of, error_code, error_status, is_not_found
from airflow_provider_callreport.delivery.s3_object import S3Object, StoredObject, version_of
from airflow_provider_callreport.delivery.same_object import TRY_BEGAN, WRITTEN_AS, Fingerprint, is_written_as, stamped

log = logging.getLogger(__name__)

#: How often a write is tried that raced with others: in a row while the object stays as it is, and in all. Then the
#: task's own retries take over.
_RACES_WITHOUT_CHANGE = 6
_RACES = 50

#: Seconds before each further look for an object that was just written. S3 shows it at once; other servers may not.
_LOOKS_WAIT = (0.0, 0.2, 1.0)


def write(place: S3Object, body: Body, args: Mapping[str, Any], if_exists: str) -> tuple[DeliveryStatus, str | None]:
    """Write the body, unless it is there already or ``if_exists`` forbids it; then prove that it is there.

    Args:
        place: where the body goes.
        body: the bytes.
        args: further arguments of ``PutObject``, with ``Metadata`` that has ``run``.
        if_exists: see the module.

    Returns:
        What was done, and the object's version in a bucket with versioning.

    Raises:
        DeliveryError: see `s3.S3Destination.deliver`.
        botocore.exceptions.ClientError: other answers of S3.
    """
    one = _Write(place, body, stamped(args), if_exists)
    unchanged, before = 0, None
    for attempt in range(_RACES):
        if attempt:
            time.sleep(min(0.1 * 2**unchanged, 2.0) * random.uniform(0.25, 1))
        found = place.look()
        if (done := one.without_sending(found)) is not None:
            return done
        seen = (found is not None, found.etag if found is not None else "")
        unchanged = unchanged + 1 if seen == before else 0
        if unchanged == _RACES_WITHOUT_CHANGE:
            break
        before = seen
        if (done := one.send(found)) is not None:
            return done
    raise DestinationUnavailableError(
        f"Could not write {place.uri}: others kept writing the same key, {attempt} times in a row."
    )


@dataclass(slots=True)
class _Write:
    """One body on its way to one key.

    Attributes:
        place: the key.
        body: the bytes.
        args: arguments of ``PutObject``, `stamped`.
        if_exists: the policy.
        conditional: whether the server knows conditions.
        sent: whether the body was sent, with whatever answer.
    """

    place: S3Object
    body: Body
    args: Mapping[str, Any]
    if_exists: str
    conditional: bool = True
    sent: bool = False
    _fingerprint: Fingerprint | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What S3 says of the body; it is read when nobody has read it yet."""
        if self._fingerprint is None:
            self._fingerprint = Fingerprint.of(self.body.parts())
        return self._fingerprint

    def without_sending(self, found: StoredObject | None) -> _Done | None:
        """What is done where nothing has to be sent; None when the body is to be sent.

        Args:
            found: what is at the key.
        """
        if found is None or not found.readable:
            return None
        own = found.run == self.args["Metadata"]["run"]
        if not own and self.if_exists != "replace":
            return self._leave_alone()
        if is_written_as(found.head, self.args, self.body.size) and not self._doubt(found):
            if own:
                # The answer to the write was lost, and the object is there.
                return (DeliveryStatus.WRITTEN if self.sent else DeliveryStatus.ALREADY_THERE), found.version_id
            return DeliveryStatus.UNCHANGED, found.version_id
        self._give_way(found)
        return None

    def send(self, found: StoredObject | None) -> _Done | None:
        """Send the body on the condition that nothing has changed; None when something has.

        Args:
            found: what is at the key.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        condition = self._condition(found)
        self.sent = True
        try:
            answer = self._put_parts(condition) if self.body.in_parts else self._put(condition)
        except ClientError as error:
            if condition and error_status(error) == 501:
                self._without_condition(error)
                return None
            if error_code(error) in RACE_CODES or ("IfMatch" in condition and is_not_found(error)):
                if error_status(error) == 412 and found is not None and not found.readable:
                    return self._leave_alone()
                return None
            return self._done_in_spite_of(error)
        except BotoCoreError as error:
            return self._done_in_spite_of(error)
        version = self._prove(answer, found)
        if not self.conditional:
            log.warning(
                "%s: the server knows no conditional writes; what others write at the same moment is overwritten.",
                self.place.uri,
            )
        return DeliveryStatus.WRITTEN, version

    def _without_condition(self, error: Exception) -> None:
        """Go on without conditions, where the policy can do without.

        Raises:
            DestinationRefusedError: it cannot.
        """
        if self.if_exists == "replace":
            self.conditional = False
            return
        raise DestinationRefusedError(
            f"Could not write {self.place.uri}: the server does not support a part of the request. It may be "
            f'conditional writes, which if_exists="{self.if_exists}" needs and "replace" does not. {answer_of(error)}.'
        ) from error

    def _condition(self, found: StoredObject | None) -> dict[str, str]:
        if not self.conditional:
            return {}
        if found is not None and found.readable:
            return {"IfMatch": found.etag}
        # What may not be looked at is replaced, whatever it is.
        return {} if found is not None and self.if_exists == "replace" else {"IfNoneMatch": "*"}

    def _leave_alone(self) -> _Done:
        if self.if_exists == "skip":
            return DeliveryStatus.SKIPPED, None
        raise ObjectExistsError(
            f'{self.place.uri} exists already and was not written by this run; if_exists="fail" leaves it as it is '
            f'(allowed are "replace", "fail", "skip").'
        )

    def _give_way(self, found: StoredObject) -> None:
        if found.is_of_later_try(self.args["Metadata"]):
            raise DestinationUnavailableError(
                f"Could not write {self.place.uri}: a later try of this run, begun at {found.metadata[TRY_BEGAN]}, has "
                f"written it, and an earlier try does not overwrite that."
            )

    def _done_in_spite_of(self, error: Exception) -> _Done:
        """The error is the answer; what it answers may have been done all the same.

        Raises:
            Exception: the error, where it was not done.
        """
        refused = 400 <= error_status(error) < 500 and error_code(error) != "NoSuchUpload"
        try:
            found = None if refused else self.place.look()
        except Exception:
            found = None
        if found is None or found.run != self.args["Metadata"]["run"]:
            raise error
        done = self.without_sending(found)
        if done is None:
            raise error
        return done

    def _prove(self, answer: Mapping[str, Any], before: StoredObject | None) -> str | None:
        """Look at what was written.

        Returns:
            Its version.

        Raises:
            DamagedUploadError: it is not there, or not what was sent.
            DestinationUnavailableError: another try of this run has written since.
        """
        answered = self.fingerprint.is_of(answer)
        found = self._look_for_new(before)
        if found is None:
            raise DamagedUploadError(
                f"S3 answered that {self.place.uri} was written, and has not stored it: "
                f"{'nothing is there' if before is None else 'what was there before still is'}. Check endpoint_url in "
                f"the connection, and the proxy."
            )
        if not found.readable:
            if answered:
                return version_of(answer)
            raise self._damaged(
                answer, "nothing proves the bytes: the answer has no checksum, and s3:GetObject is not granted"
            )
        metadata = self.args["Metadata"]
        own = all(found.metadata.get(name) == metadata.get(name) for name in ("run", TRY_BEGAN, WRITTEN_AS))
        if own or found.etag == answer.get("ETag"):
            why = self._doubt(found, answered=answered)
            if why:
                raise self._damaged(found.head, why)
            return found.version_id
        self._give_way(found)
        log.info("%s was written, and has been overwritten by another run since.", self.place.uri)
        return version_of(answer)

    def _look_for_new(self, before: StoredObject | None) -> StoredObject | None:
        """What is at the key after the write; None while that is what was there before it."""
        for wait in _LOOKS_WAIT:
            time.sleep(wait)
            found = self.place.look()
            if found is None:
                continue
            if not found.readable or before is None or found.etag != before.etag:
                return found
            # The same bytes have the same ETag. Where a server drops metadata, nothing else tells the two apart.
            same_bytes = not found.metadata and self.fingerprint.is_of(found.head)
            if same_bytes or is_written_as(found.head, self.args, self.body.size):
                return found
        return None

    def _doubt(self, found: StoredObject, *, answered: bool = False) -> str:
        """Why the object is not the body; empty when it is proved to be.

        Args:
            found: what is at the key.
            answered: whether the answer to the write had the right checksum.
        """
        from botocore.exceptions import ClientError

        if found.bytes != self.body.size:
            return f"it has {found.bytes} bytes, and {self.body.size} were sent"
        if self.fingerprint.is_of(found.head):
            return ""
        if found.parts and found.parts != self.fingerprint.parts:
            return f"it has {found.parts} parts, and {self.fingerprint.parts} were sent"
        try:
            sha256 = self.place.read_sha256(found.etag)
        except ClientError as error:
            if answered and error_status(error) == 403:
                return ""
            raise
        return "" if sha256 == self.body.sha256 else "its SHA-256 is not the file's"

    def _put(self, condition: Mapping[str, str]) -> Mapping[str, Any]:
        place = self.place
        (content,) = self.body.parts()
        self._fingerprint = Fingerprint.of((content,))
        answer: Mapping[str, Any] = place.client.put_object(
            **place.address, **self.args, **condition, **self._checksum(content), Body=content
        )
        place.require(answer, "ETag", "PutObject")
        if not _agrees(answer, content):
            raise self._damaged(answer, "the answer has another checksum")
        return answer

    def _put_parts(self, condition: Mapping[str, str]) -> Mapping[str, Any]:
        place = self.place
        algorithm = {"ChecksumAlgorithm": "SHA256"} if place.has_checksums else {}
        begun = place.client.create_multipart_upload(**place.address, **self.args, **algorithm)
        upload = {**place.address, "UploadId": place.require(begun, "UploadId", "CreateMultipartUpload")}
        try:
            parts = self._send_parts(upload)
            size = {"MpuObjectSize": self.body.size} if place.has_checksums else {}
            completed: Mapping[str, Any] = place.client.complete_multipart_upload(
                **upload, **place.reading_args, **condition, **size, MultipartUpload={"Parts": parts}
            )
            place.require(completed, "ETag", "CompleteMultipartUpload")
        except BaseException:
            # Also when the task is being stopped: parts that nobody completes are paid for until a lifecycle rule.
            self._abort(upload)
            raise
        return completed

    def _send_parts(self, upload: Mapping[str, str]) -> list[dict[str, Any]]:
        place = self.place
        parts: list[dict[str, Any]] = []
        sha256s, md5s = [], []
        for number, content in enumerate(self.body.parts(), start=1):
            answer = place.client.upload_part(
                **upload, **place.reading_args, **self._checksum(content), PartNumber=number, Body=content
            )
            if not _agrees(answer, content):
                raise DamagedUploadError(
                    f"Could not write {place.uri}: S3 stored other bytes than were sent (part {number}); the upload "
                    f"was aborted."
                )
            part = {"PartNumber": number, "ETag": place.require(answer, "ETag", "UploadPart")}
            if "ChecksumSHA256" in answer:
                part["ChecksumSHA256"] = answer["ChecksumSHA256"]
            parts.append(part)
            sha256s.append(hashlib.sha256(content).digest())
            md5s.append(hashlib.md5(content, usedforsecurity=False).digest())
        self._fingerprint = Fingerprint.of_digests(sha256s, md5s)
        return parts

    def _checksum(self, content: bytes) -> dict[str, str]:
        if self.place.has_checksums:
            return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": _base64(hashlib.sha256(content).digest())}
        return {"ContentMD5": _base64(hashlib.md5(content, usedforsecurity=False).digest())}

    def _abort(self, upload: Mapping[str, str]) -> None:
        try:
            self.place.abort(upload)
        except Exception as error:
            if error_code(error) == "NoSuchUpload":
                # It was completed, and only the answer was lost.
                return
            log.warning(
                "The multipart upload to %s could not be aborted (%s); the bucket's lifecycle rule "
                "AbortIncompleteMultipartUpload removes its parts.",
                self.place.uri,
                type(error).__name__,
            )

    def _damaged(self, answer: Mapping[str, Any], why: str) -> DamagedUploadError:
        """Remove the object that this write made."""
        try:
            self.place.remove(etag=answer.get("ETag", "*"), version_id=version_of(answer))
        except Exception as error:
            after = f"it could not be removed ({type(error).__name__}): do not use it"
        else:
            after = "it was removed"
        return DamagedUploadError(f"S3 stored other bytes at {self.place.uri} than were sent: {why}; {after}.")


_Done = tuple[DeliveryStatus, str | None]


def _agrees(answer: Mapping[str, Any], content: bytes) -> bool:
    """Whether the answer's checksum is the content's, where it has one. An ETag may be anything."""
    checksum = answer.get("ChecksumSHA256")
    return checksum is None or checksum == _base64(hashlib.sha256(content).digest())


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
