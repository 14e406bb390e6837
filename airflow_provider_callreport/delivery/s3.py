"""S3: one file becomes one object, whole or not at all.

Why not ``S3Hook.load_file``: it is a HEAD and then an unconditional PUT, so two writers can both win; it cannot send
a checksum of ours; and it reports the temporary file as a lineage input. The hook's client, with all that the
connection configures (roles, endpoint, retries), is what we use.

Reads of the file are bounded by `S3Destination.part_bytes`, and the bytes that are sent are the very bytes that were
hashed: a file up to that size goes in one ``PutObject``, a larger one in parts, and the last request, the one that
makes the object visible, is sent only when the SHA-256 of everything read equals the export's.

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
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DestinationUnavailableError,
    FileChangedError,
    ObjectExistsError,
)
from airflow_provider_callreport.delivery.receipts import DeliveredFile, DeliveryStatus, Link, quoted_key
from airflow_provider_callreport.delivery.s3_errors import (
    RACE_CODES,
    error_code,
    error_status,
    is_not_found,
    s3_errors,
)
from airflow_provider_callreport.delivery.same_object import (
    WRITTEN_AS,
    composite_checksum,
    is_same,
    may_be_same,
    stamped,
)
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity

log = logging.getLogger(__name__)

#: Values of ``if_exists``.
IF_EXISTS = ("replace", "fail", "skip")

#: What ``extra_args`` may hold: boto3's ``ALLOWED_UPLOAD_ARGS`` without the checksums, which are ours, and with
#: ``BucketKeyEnabled``. Spelled out, because importing boto3 costs a Dag file half a second.
EXTRA_ARGS = frozenset(
    {
        "ACL",
        "BucketKeyEnabled",
        "CacheControl",
        "ContentDisposition",
        "ContentEncoding",
        "ContentLanguage",
        "ContentType",
        "ExpectedBucketOwner",
        "Expires",
        "GrantFullControl",
        "GrantRead",
        "GrantReadACP",
        "GrantWriteACP",
        "Metadata",
        "ObjectLockLegalHoldStatus",
        "ObjectLockMode",
        "ObjectLockRetainUntilDate",
        "RequestPayer",
        "SSECustomerAlgorithm",
        "SSECustomerKey",
        "SSECustomerKeyMD5",
        "SSEKMSEncryptionContext",
        "SSEKMSKeyId",
        "ServerSideEncryption",
        "StorageClass",
        "Tagging",
        "WebsiteRedirectLocation",
    }
)

#: The metadata that every object carries; ``Metadata`` in ``extra_args`` may add to it, not replace it.
METADATA = ("complete", "report", "rows", "run", "sha256", "timezone", "window-end", "window-start", WRITTEN_AS)

#: Arguments that requests about an existing object or upload take, too.
_ROUTING_ARGS = ("ExpectedBucketOwner", "RequestPayer")
READING_ARGS = (*_ROUTING_ARGS, "SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")

#: S3 allows 10,000 parts an upload and presigned addresses of seven days.
_MAX_PARTS = 10_000
_MAX_LINK_AGE = timedelta(days=7)

_signing: ContextVar[bool] = ContextVar("callreport_signing_an_address", default=False)

#: How often a write that raced with another is looked at again before the task's own retries take over.
_RACE_ATTEMPTS = 6


def run_stamp(run: RunIdentity) -> str:
    """The run's identity as it is written to an object: a hash, so that Dag and run names do not leave."""
    return hashlib.sha256(run.key.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class S3Destination:
    """One key in one bucket.

    Attributes:
        bucket: the bucket's name, or an access point's ARN.
        key: the object's key, up to 1,024 bytes of UTF-8.
        aws_conn_id: Airflow's AWS connection; None uses boto3's own search for credentials.
        if_exists: ``"replace"`` (default), ``"fail"`` or ``"skip"``; see the module.
        extra_args: further arguments of ``PutObject`` and ``CreateMultipartUpload``, such as ``ServerSideEncryption``,
            ``SSEKMSKeyId``, ``Tagging``, ``StorageClass``, ``ACL``. Kept out of ``repr``: an SSE-C key may be in it.
        part_bytes: class attribute, in bytes: what is held in memory at a time, and the size from which a file goes
            in parts. S3 wants 5 MiB at least. Larger than asked where 10,000 parts would not do.

    Raises:
        ValueError: an argument is not valid; the sentence names it and what is allowed.
    """

    bucket: str
    key: str
    aws_conn_id: str | None = "aws_default"
    if_exists: str = "replace"
    extra_args: Mapping[str, Any] = field(default_factory=dict, repr=False)

    part_bytes: ClassVar[int] = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        _check_bucket(self.bucket)
        _check_key(self.key)
        if self.if_exists not in IF_EXISTS:
            allowed = ", ".join(f'"{policy}"' for policy in IF_EXISTS)
            raise ValueError(f"if_exists must be one of {allowed}, got {self.if_exists!r}.")
        check_extra_args(self.extra_args)

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"

    def deliver(
        self, file: ExportedFile, *, info: ReportInfo, outcome: ReportOutcome, run: RunIdentity
    ) -> DeliveredFile:
        """Write the file to the key.

        Args:
            file: the finished file.
            info: the report's description, for the metadata.
            outcome: the report's proof, for the metadata.
            run: who delivers; the same for each try of a task instance.

        Returns:
            What was done: written, unchanged, already there from an earlier try, or skipped.

        Raises:
            ObjectExistsError: ``if_exists="fail"`` and another run's object is there.
            FileChangedError: the file is not the one that was hashed; no object was written.
            DamagedUploadError: S3 reports another checksum; the object was removed or never became visible.
            DestinationRefusedError: credentials, permission, bucket, key or arguments.
            DestinationUnavailableError: no answer, an overloaded server, or never-ending races.
        """
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        with s3_errors(self.uri, self.aws_conn_id):
            hook = S3Hook(aws_conn_id=self.aws_conn_id)
            client = hook.get_conn()
            delivered = self._deliver(client, file, self._object_args(file, info, outcome, run))
        self._report_lineage(hook, delivered)
        log.info(
            "%s: %s (%d rows, %d bytes, sha256 %s)", delivered.status, self.uri, file.rows, file.bytes, file.sha256
        )
        return delivered

    def link(self, file: ExportedFile, expires_in: timedelta | None = None) -> Link:
        """Say where the file is, with a presigned address when a time is given.

        Args:
            file: the delivered file, for the name under which a browser saves it.
            expires_in: how long the address is to work, from a second to seven days; None makes no address.

        Raises:
            ValueError: ``expires_in`` is out of range.
            DestinationRefusedError: there are no credentials to sign with.
        """
        if expires_in is None:
            return Link(self.uri, filename=file.filename)
        if not timedelta(seconds=1) <= expires_in <= _MAX_LINK_AGE:
            raise ValueError(f"A presigned link may work from one second to seven days, got {expires_in}.")
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook
        from botocore.config import Config

        with s3_errors(self.uri, self.aws_conn_id):
            hook = S3Hook(aws_conn_id=self.aws_conn_id)
            meta = hook.get_conn().meta
            session = hook.get_session()
            # Version 4 by name: boto3 still presigns with version 2 in old regions, and that fails for SSE-KMS.
            signer = session.client(
                "s3",
                endpoint_url=meta.endpoint_url,
                region_name=meta.region_name,
                config=meta.config.merge(Config(signature_version="s3v4")),
            )
            credentials = session.get_credentials()
            signing = _signing.set(True)
            try:
                url = signer.generate_presigned_url(
                    "get_object",
                    Params={
                        "Bucket": self.bucket,
                        "Key": self.key,
                        "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
                    },
                    ExpiresIn=int(expires_in.total_seconds()),
                )
            finally:
                _signing.reset(signing)
        expires_at = _signed_until(url)
        # A presigned address dies with the session that signed it; refreshable credentials know their end.
        session_end = getattr(credentials, "_expiry_time", None)
        if isinstance(session_end, datetime):
            expires_at = min(expires_at, session_end.astimezone(UTC))
        temporary = bool(getattr(credentials, "token", None)) and session_end is None
        return Link(self.uri, url, expires_at, may_expire_earlier=temporary, filename=file.filename)

    def _deliver(self, client: Any, file: ExportedFile, args: Mapping[str, Any]) -> DeliveredFile:
        args = stamped(args)
        stamp = args["Metadata"]["run"]
        for attempt in range(_RACE_ATTEMPTS):
            if attempt:
                time.sleep(min(0.1 * 2**attempt, 2.0) * (0.5 + random.random() / 2))
            found = self._look(client)
            if self.if_exists == "replace":
                if found is not None and self._is_same(found, file, args):
                    own = DeliveryStatus.ALREADY_THERE if found.run == stamp else DeliveryStatus.UNCHANGED
                    return DeliveredFile(self.uri, own, file, found.version_id)
                condition = {}
            elif found is None or not found.readable:
                condition = {"IfNoneMatch": "*"}
            elif found.run != stamp:
                return self._leave_alone(file)
            elif (found.sha256, found.bytes) == (file.sha256, file.bytes):
                return DeliveredFile(self.uri, DeliveryStatus.ALREADY_THERE, file, found.version_id)
            else:
                condition = {"IfMatch": found.etag}
            try:
                answer = self._write(client, file, args, condition)
            except _RacedError as race:
                if race.exists and found is not None and not found.readable:
                    return self._leave_alone(file)
                continue
            return DeliveredFile(self.uri, DeliveryStatus.WRITTEN, file, _version(answer))
        raise DestinationUnavailableError(
            f"Could not write {self.uri}: others kept writing the same key, {_RACE_ATTEMPTS} times in a row."
        )

    def _leave_alone(self, file: ExportedFile) -> DeliveredFile:
        if self.if_exists == "skip":
            return DeliveredFile(self.uri, DeliveryStatus.SKIPPED, file)
        raise ObjectExistsError(
            f'{self.uri} exists already and was not written by this run; if_exists="fail" leaves it as it is '
            f'(allowed are "replace", "fail", "skip").'
        )

    def _is_same(self, found: _Stored, file: ExportedFile, args: Mapping[str, Any]) -> bool:
        if not may_be_same(found.head, args, file.bytes):
            return False
        return is_same(found.head, verified_parts(file, self._size_of_parts(file)))

    def _look(self, client: Any) -> _Stored | None:
        from botocore.exceptions import ClientError

        # With SSE-KMS the checksum takes kms:Decrypt; it is asked for where it decides.
        checksum = {"ChecksumMode": "ENABLED"} if self.if_exists == "replace" else {}
        try:
            answer = client.head_object(**self._address(), **self._some_args(READING_ARGS), **checksum)
        except ClientError as error:
            if is_not_found(error):
                return None
            # 403: without s3:ListBucket S3 says it of a missing key, without s3:GetObject of a present one.
            # 400: an object under another SSE-C key. Either way the conditional write is what decides.
            if error_status(error) in (400, 403):
                return _Stored(readable=False)
            raise
        metadata = answer.get("Metadata", {})
        return _Stored(
            etag=self._told(answer, "ETag", "HeadObject"),
            run=metadata.get("run"),
            sha256=metadata.get("sha256"),
            bytes=answer.get("ContentLength", -1),
            version_id=_version(answer),
            head=answer,
        )

    def _write(
        self, client: Any, file: ExportedFile, args: Mapping[str, Any], condition: Mapping[str, str]
    ) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        try:
            if file.bytes <= self.part_bytes:
                return self._put(client, file, args, condition)
            return self._put_parts(client, file, args, condition)
        except ClientError as error:
            if error_code(error) in RACE_CODES or ("IfMatch" in condition and is_not_found(error)):
                raise _RacedError(exists=error_status(error) == 412) from error
            raise

    def _put(
        self, client: Any, file: ExportedFile, args: Mapping[str, Any], condition: Mapping[str, str]
    ) -> Mapping[str, Any]:
        body = b"".join(verified_parts(file, self.part_bytes))
        answer: Mapping[str, Any] = client.put_object(**args, **condition, **_checksum(body), Body=body)
        self._told(answer, "ETag", "PutObject")
        if not _agrees(answer, body):
            raise self._damaged(client, answer)
        return answer

    def _put_parts(
        self, client: Any, file: ExportedFile, args: Mapping[str, Any], condition: Mapping[str, str]
    ) -> Mapping[str, Any]:
        upload = self._begin_upload(client, args)
        reading = self._some_args(READING_ARGS)
        try:
            parts: list[dict[str, Any]] = []
            digests: list[bytes] = []
            for number, body in enumerate(verified_parts(file, self._size_of_parts(file)), start=1):
                checksum = _checksum(body)
                answer = client.upload_part(**upload, **reading, **checksum, PartNumber=number, Body=body)
                if not _agrees(answer, body):
                    raise DamagedUploadError(
                        f"Could not write {self.uri}: S3 stored other bytes than were sent (part {number}); the upload "
                        f"was aborted."
                    )
                part = {"PartNumber": number, "ETag": self._told(answer, "ETag", "UploadPart")}
                if "ChecksumSHA256" in answer:
                    part["ChecksumSHA256"] = answer["ChecksumSHA256"]
                parts.append(part)
                digests.append(base64.b64decode(checksum["ChecksumSHA256"]))
            completed: Mapping[str, Any] = client.complete_multipart_upload(
                **upload, **reading, **condition, MultipartUpload={"Parts": parts}, MpuObjectSize=file.bytes
            )
            self._told(completed, "ETag", "CompleteMultipartUpload")
        except BaseException:
            # Also when the task is being stopped: parts that nobody completes are paid for until a lifecycle rule.
            self._abort(client, upload)
            raise
        promised = composite_checksum(digests)
        if completed.get("ChecksumSHA256", promised) != promised:
            raise self._damaged(client, completed)
        return completed

    def _begin_upload(self, client: Any, args: Mapping[str, Any]) -> dict[str, str]:
        answer = client.create_multipart_upload(**args, ChecksumAlgorithm="SHA256")
        return {**self._address(), "UploadId": self._told(answer, "UploadId", "CreateMultipartUpload")}

    def _told(self, answer: Mapping[str, Any], field: str, operation: str) -> str:
        """What every answer of S3 to an operation has. HTTP 200 alone proves nothing: a proxy may have said it.

        Raises:
            DestinationUnavailableError: the answer does not have it.
        """
        if not answer.get(field):
            raise DestinationUnavailableError(
                f"Could not write {self.uri}: {operation} was answered without {field}, so it was not S3 that "
                f"answered; check endpoint_url in the connection, and the proxy."
            )
        return str(answer[field])

    def _abort(self, client: Any, upload: Mapping[str, str]) -> None:
        try:
            client.abort_multipart_upload(**upload, **self._some_args(_ROUTING_ARGS))
        except Exception as error:
            log.warning(
                "The multipart upload to %s could not be aborted (%s); the bucket's lifecycle rule "
                "AbortIncompleteMultipartUpload removes its parts.",
                self.uri,
                type(error).__name__,
            )

    def _damaged(self, client: Any, answer: Mapping[str, Any]) -> DamagedUploadError:
        """Remove the object that this write made, and nothing that somebody else wrote since."""
        which = {"VersionId": version} if (version := _version(answer)) else {"IfMatch": answer.get("ETag", "*")}
        try:
            client.delete_object(**self._address(), **which, **self._some_args(_ROUTING_ARGS))
        except Exception as error:
            after = f"it could not be removed ({type(error).__name__}): do not use it"
        else:
            after = "it was removed"
        return DamagedUploadError(f"S3 stored other bytes at {self.uri} than were sent; {after}.")

    def _size_of_parts(self, file: ExportedFile) -> int:
        return max(self.part_bytes, -(-file.bytes // _MAX_PARTS))

    def _address(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}

    def _some_args(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.extra_args[name] for name in names if name in self.extra_args}

    def _object_args(
        self, file: ExportedFile, info: ReportInfo, outcome: ReportOutcome, run: RunIdentity
    ) -> dict[str, Any]:
        proof = {True: "yes", False: "no", None: "unproved"}[outcome.complete]
        metadata = {
            "report": info.report,
            "window-start": info.window_start.isoformat(),
            "window-end": info.window_end.isoformat(),
            "timezone": info.timezone,
            "rows": str(file.rows),
            "complete": proof,
            "sha256": file.sha256,
            "run": run_stamp(run),
        }
        return {
            "ContentType": file.content_type,
            **self.extra_args,
            **self._address(),
            "Metadata": {**self.extra_args.get("Metadata", {}), **metadata},
        }

    def _report_lineage(self, hook: Any, delivered: DeliveredFile) -> None:
        """Name an object that this run wrote as an output, as ``S3Hook`` does; never the temporary file as an input."""
        if delivered.status in (DeliveryStatus.UNCHANGED, DeliveryStatus.SKIPPED):
            return
        # Airflow makes an address of it: what follows a "?" or "#" would be lost, and two keys be one dataset.
        key = quoted_key(self.key) if re.search("[?#]", self.key) else self.key
        try:
            from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
        except ImportError:
            return
        collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]
        collector.add_output_asset(context=hook, scheme="s3", asset_kwargs={"bucket": self.bucket, "key": key})


@dataclass(frozen=True, slots=True)
class _Stored:
    """The object that is at the key now; ``readable`` is False when S3 does not tell whether there is one."""

    etag: str = ""
    run: str | None = None
    sha256: str | None = None
    bytes: int = -1
    version_id: str | None = None
    readable: bool = True
    head: Mapping[str, Any] = field(default_factory=dict)


class _RacedError(Exception):
    """The condition did not hold, or another write was under way; ``exists`` when it is known that one is there."""

    def __init__(self, *, exists: bool) -> None:
        super().__init__()
        self.exists = exists


def check_extra_args(extra_args: Mapping[str, Any]) -> None:
    """Refuse what S3 would refuse later, or what is ours to set.

    Raises:
        ValueError: an unknown name, an ``SSECustomerKey`` of another type, or ``Metadata`` that is not text or
            takes one of `METADATA`'s names.
    """
    unknown = sorted(set(extra_args) - EXTRA_ARGS)
    if unknown:
        raise ValueError(f"s3_extra_args has {', '.join(unknown)}; allowed are {', '.join(sorted(EXTRA_ARGS))}.")
    if not isinstance(extra_args.get("SSECustomerKey", ""), str | bytes):
        raise ValueError("SSECustomerKey in s3_extra_args must be text or bytes.")
    metadata = extra_args.get("Metadata", {})
    if not isinstance(metadata, Mapping) or not all(
        isinstance(text, str) and text.isascii() for pair in metadata.items() for text in pair
    ):
        raise ValueError('Metadata in s3_extra_args must map ASCII text to ASCII text, such as {"team": "sales"}.')
    taken = sorted(name for name in metadata if name.lower() in METADATA)
    if taken:
        raise ValueError(f"Metadata in s3_extra_args has {', '.join(taken)}; these are set by the export itself.")


def _check_bucket(bucket: str) -> None:
    if not isinstance(bucket, str) or not bucket.strip():
        raise ValueError(f"s3_bucket must be the name of a bucket, got {bucket!r}.")
    # Only an access point's ARN has slashes; the rules of names are S3's to judge, endpoints differ in them.
    if "://" in bucket or ("/" in bucket and not bucket.startswith("arn:")) or re.search(r"\s", bucket):
        raise ValueError(
            f's3_bucket must be a bucket\'s name alone, without "s3://", slashes or spaces, got {bucket!r}.'
        )


def _check_key(key: str) -> None:
    if not isinstance(key, str) or not key.strip():
        raise ValueError(f"s3_key must be the key of an object, got {key!r}.")
    if "://" in key:
        raise ValueError(f"s3_key must be a key inside s3_bucket, not an address, got {key!r}.")
    if key.endswith("/"):
        raise ValueError(f's3_key must name an object, not a folder ending in "/", got {key!r}.')
    if not all(character.isprintable() for character in key):
        raise ValueError(f"s3_key must not have control characters, got {key!r}.")
    if len(key.encode("utf-8")) > 1024:
        raise ValueError(f"s3_key may have 1024 bytes, got {len(key.encode('utf-8'))}.")


def verified_parts(file: ExportedFile, size: int) -> Iterator[bytes]:
    """Read the file once, in parts; end with `FileChangedError` instead of ending when it is not the hashed file.

    Args:
        file: the finished file.
        size: bytes of a part; the last one may have fewer.

    Raises:
        FileChangedError: its size or SHA-256 is not the export's, or it can no longer be read.
    """
    changed = (
        f"{file.filename} on disk is not the file that was exported (its size or SHA-256 differs); nothing was written."
    )
    digest = hashlib.sha256()
    total = 0
    try:
        with file.path.open("rb") as source:
            while part := source.read(size):
                total += len(part)
                if total > file.bytes:
                    raise FileChangedError(changed)
                digest.update(part)
                yield part
    except OSError as error:
        raise FileChangedError(f"{file.filename} can no longer be read ({error.strerror}).") from error
    if total != file.bytes or digest.hexdigest() != file.sha256:
        raise FileChangedError(changed)


def _checksum(body: bytes) -> dict[str, str]:
    return {
        "ChecksumAlgorithm": "SHA256",
        "ChecksumSHA256": base64.b64encode(hashlib.sha256(body).digest()).decode("ascii"),
    }


def _agrees(answer: Mapping[str, Any], body: bytes) -> bool:
    """Whether the answer's checksum is the body's, else whether its ETag is, where an ETag is an MD5.

    An ETag is the MD5 only without SSE-C and SSE-KMS
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html); servers that know no SHA-256 have it.
    """
    if "ChecksumSHA256" in answer:
        return bool(answer["ChecksumSHA256"] == _checksum(body)["ChecksumSHA256"])
    encrypted = "SSECustomerAlgorithm" in answer or str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    etag = str(answer.get("ETag", "")).strip('"')
    if encrypted or not re.fullmatch(r"[0-9a-f]{32}", etag):
        return True
    return etag == hashlib.md5(body, usedforsecurity=False).hexdigest()


def _version(answer: Mapping[str, Any]) -> str | None:
    version = answer.get("VersionId")
    return None if version in (None, "", "null") else str(version)


def _signed_until(url: str) -> datetime:
    """When a version 4 presigned address ends, read from the address itself."""
    query = parse_qs(urlsplit(url).query)
    signed_at = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed_at + timedelta(seconds=int(query["X-Amz-Expires"][0]))


def _keep_back(record: logging.LogRecord) -> bool:
    """Drop what botocore logs while it signs an address: whoever has the signature can read the file."""
    return not _signing.get()


logging.getLogger("botocore.auth").addFilter(_keep_back)
