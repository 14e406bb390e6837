"""S3: one file becomes one object, whole or not at all; how it is written is in `s3_write`."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from airflow_provider_callreport.delivery.body import body_of
from airflow_provider_callreport.delivery.errors import DeliveryError, left_to_delivery
from airflow_provider_callreport.delivery.receipts import DeliveredFile, DeliveryStatus, Link, ListedFile
from airflow_provider_callreport.delivery.s3_client import S3Connection, check_connection, connect
from airflow_provider_callreport.delivery.s3_errors import s3_errors
from airflow_provider_callreport.delivery.s3_object import S3Object
from airflow_provider_callreport.delivery.s3_write import write
from airflow_provider_callreport.delivery.same_object import TRY_BEGAN, WRITTEN_AS
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity
from airflow_provider_callreport.rules import IfExists, choices, one_of, shown, unknown

log = logging.getLogger(__name__)

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
METADATA = (
    "complete",
    "report",
    "rows",
    "run",
    "sha256",
    "timezone",
    TRY_BEGAN,
    "window-end",
    "window-start",
    WRITTEN_AS,
)

#: S3 allows 10,000 parts an upload and presigned addresses of seven days.
_MAX_PARTS = 10_000
_MAX_LINK_AGE = timedelta(days=7)

#: A key's length, in bytes of UTF-8 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
MAX_KEY_BYTES = 1024


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The two parts of the address of an object, whatever characters its key has.

    Args:
        uri: ``s3://bucket/key``; in place of a bucket an access point's ARN, which has a slash in it.
    """
    rest = uri.removeprefix("s3://")
    slashes = 2 if rest.startswith("arn:") else 1
    parts = rest.split("/", slashes)
    return "/".join(parts[:slashes]), "".join(parts[slashes:])


def run_stamp(run: RunIdentity) -> str:
    """The run's identity as an object's metadata has it: a hash, so that names of Dags and runs do not leave."""
    return hashlib.sha256(run.key.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class S3Destination:
    """One key in one bucket.

    Attributes:
        bucket: the bucket's name, or an access point's ARN.
        key: the object's key, up to 1,024 bytes of UTF-8.
        aws_conn_id: Airflow's AWS connection; None uses boto3's own search for credentials.
        if_exists: ``"replace"`` (default), ``"fail"`` or ``"skip"``; see `s3_write`.
        extra_args: further arguments of ``PutObject`` and ``CreateMultipartUpload``, such as ``ServerSideEncryption``,
            ``SSEKMSKeyId``, ``Tagging``, ``StorageClass``, ``ACL``. Kept out of ``repr``: an SSE-C key may be in it.
        connection: an open connection of ``aws_conn_id``, or None to connect for each file; see `connected`.
        part_bytes: class attribute, in bytes: what is held in memory at a time, and the size from which a file goes
            in parts. S3 wants 5 MiB at least. Larger than asked where 10,000 parts would not do.
        tells_case_apart: class attribute: two keys that differ in case are two objects.

    Raises:
        ValueError: an argument is not valid; the sentence names it and what is allowed.
    """

    bucket: str
    key: str
    aws_conn_id: str | None = "aws_default"
    if_exists: str = "replace"
    extra_args: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connection: S3Connection | None = field(default=None, repr=False, compare=False)

    part_bytes: ClassVar[int] = 8 * 1024 * 1024
    tells_case_apart: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_bucket("s3_bucket", self.bucket)
        check_key("s3_key", self.key)
        one_of(choices(IfExists))("if_exists", self.if_exists)
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
        connection = self.connection or connect(self.aws_conn_id, self.uri)
        delivered = self.deliver_with(connection.client, file, info=info, outcome=outcome, run=run)
        # Only what this run wrote; never the temporary file as an input.
        if delivered.status in (DeliveryStatus.WRITTEN, DeliveryStatus.ALREADY_THERE):
            connection.report_output(self.bucket, self.key)
        log.info(
            "%s: %s (%d rows, %d bytes, sha256 %s)", delivered.status, self.uri, file.rows, file.bytes, file.sha256
        )
        return delivered

    def deliver_with(
        self, client: Any, file: ExportedFile, *, info: ReportInfo, outcome: ReportOutcome, run: RunIdentity
    ) -> DeliveredFile:
        """Write the file as `deliver` does, with a client that is open already and without lineage.

        For one of thousands of files, such as recordings.
        """
        with s3_errors(self.uri, self.aws_conn_id):
            body = body_of(file, max(self.part_bytes, -(-file.bytes // _MAX_PARTS)))
            args = self._object_args(file, info, outcome, run)
            status, version_id = write(self.object(client), body, args, self.if_exists)
        return DeliveredFile(self.uri, status, file, version_id)

    def check_before_reading(self, *, online: bool) -> S3Destination:
        """Find what is certainly wrong before a report is read.

        Args:
            online: whether S3 is asked for the bucket; without it, only the connection is looked for.

        Returns:
            The same, with the connection that was opened.

        Raises:
            DestinationRefusedError: no such connection or bucket, another region, no credentials.
        """
        if not online:
            check_connection(self.aws_conn_id, self.uri)
            return self
        owner = {name: self.extra_args[name] for name in ("ExpectedBucketOwner",) if name in self.extra_args}
        connection = self.connection
        with left_to_delivery(), s3_errors(self.uri, self.aws_conn_id):
            connection = connection or connect(self.aws_conn_id, self.uri)
            connection.ask_for_bucket(self.bucket, **owner)
        return replace(self, connection=connection)

    def object(self, client: Any) -> S3Object:
        """The object at the key.

        Args:
            client: a boto3 client of `s3_client.connect`.
        """
        return S3Object(client, self.bucket, self.key, self.extra_args)

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
            raise ValueError(f"link_expires_in is {expires_in}; allowed is from one second to seven days")
        with s3_errors(self.uri, self.aws_conn_id):
            connection = self.connection or connect(self.aws_conn_id, self.uri)
            return connection.presign(self.bucket, self.key, file.filename, expires_in)

    def connected(self) -> S3Destination:
        """The same with an open connection, for several files. `dataclasses.replace` gives it another key.

        Raises:
            DeliveryError: the connection does not give a client.
        """
        return replace(self, connection=self.connection or connect(self.aws_conn_id, self.uri))

    def read(self, most: int) -> bytes | None:
        """The bytes at the key; None when nothing is there, it may not be read, or is larger than ``most`` bytes.

        Raises:
            DeliveryError: S3 does not answer.
        """
        with s3_errors(self.uri, self.aws_conn_id, doing="read"):
            return self._open_object().read(most)

    def is_taken(self, file: ExportedFile, run: RunIdentity) -> bool:
        """Whether an object of another run is at the key; False where S3 does not tell.

        Args:
            file: not used; see `object_storage`.
            run: who asks.

        Raises:
            DeliveryError: S3 does not answer.
        """
        with s3_errors(self.uri, self.aws_conn_id, doing="read"):
            found = self._open_object().look()
        return found is not None and found.readable and found.run != run_stamp(run)

    def remove(self, listed: Collection[ListedFile], info: ReportInfo, run: RunIdentity) -> str:
        """Remove the object, if it is one that was listed and an export of the same report and window wrote it.

        Args:
            listed: what may be at the key.
            info: the report.
            run: who removes. Under ``if_exists="fail"`` and ``"skip"`` only its own objects are removed.

        Returns:
            Why it was not removed; empty when it is gone.
        """
        wanted = _report_metadata(info)
        if self.if_exists != "replace":
            wanted["run"] = run_stamp(run)
        target = self._open_object()
        try:
            with s3_errors(self.uri, self.aws_conn_id, doing="remove"):
                found = target.look()
                if found is None:
                    return ""
                if not found.readable:
                    return "s3:GetObject is not granted"
                known = {(one.bytes, one.sha256) for one in listed}
                ours = wanted.items() <= found.metadata.items() and (found.bytes, found.sha256) in known
                # Whoever edits an object can copy its metadata: the bytes decide.
                if not ours or target.sha256_of(found) != found.sha256:
                    return "it is not the object that was listed: something else was written there since"
                target.remove_listed(found.etag)
        except DeliveryError as error:
            return str(error)
        return ""

    def _open_object(self) -> S3Object:
        connection = self.connection or connect(self.aws_conn_id, self.uri)
        return self.object(connection.client)

    def _object_args(
        self, file: ExportedFile, info: ReportInfo, outcome: ReportOutcome, run: RunIdentity
    ) -> dict[str, Any]:
        proof = {True: "yes", False: "no", None: "unproved"}[outcome.complete]
        metadata = {
            **_report_metadata(info),
            "rows": str(file.rows),
            "complete": proof,
            "sha256": file.sha256,
            "run": run_stamp(run),
            **({} if run.began is None else {TRY_BEGAN: run.began.isoformat()}),
        }
        return {
            "ContentType": file.content_type,
            **self.extra_args,
            "Metadata": {**self.extra_args.get("Metadata", {}), **metadata},
        }


def _report_metadata(info: ReportInfo) -> dict[str, str]:
    return {
        "report": info.report,
        "window-start": info.window_start.isoformat(),
        "window-end": info.window_end.isoformat(),
        "timezone": info.timezone,
    }


def check_extra_args(extra_args: Mapping[str, Any]) -> None:
    """Refuse what S3 would refuse later, and what the export itself sets.

    Raises:
        ValueError: an unknown name, an ``SSECustomerKey`` of another type, or ``Metadata`` that is not text or
            takes one of `METADATA`'s names.
    """
    for name in extra_args:
        if name not in EXTRA_ARGS:
            raise ValueError(unknown("s3_extra_args", name, sorted(EXTRA_ARGS)))
    key = extra_args.get("SSECustomerKey", "")
    if not isinstance(key, str | bytes):
        raise ValueError(f"SSECustomerKey in s3_extra_args is of type {type(key).__name__}; allowed are text and bytes")
    metadata = extra_args.get("Metadata", {})
    if not isinstance(metadata, Mapping) or not all(
        isinstance(text, str) and text.isascii() for pair in metadata.items() for text in pair
    ):
        raise ValueError(
            f"Metadata in s3_extra_args is {shown(metadata)}; allowed is an object of ASCII text to ASCII text, such "
            'as {"team": "sales"}'
        )
    taken = sorted(name for name in metadata if name.lower() in METADATA)
    if taken:
        raise ValueError(f"Metadata in s3_extra_args has {', '.join(taken)}; the export sets these itself")


def check_bucket(name: str, bucket: Any) -> None:
    """Refuse what cannot be the name of a bucket. Only an access point's ARN has slashes.

    The rules of names are S3's to judge: endpoints differ in them.

    Raises:
        ValueError: it cannot.
    """
    wrong = not isinstance(bucket, str) or not bucket.strip() or "://" in bucket or re.search(r"\s", bucket)
    if wrong or ("/" in bucket and not bucket.startswith("arn:")):
        raise ValueError(
            f'{name} is {shown(bucket)}; allowed is a bucket\'s name alone, without "s3://", slashes or spaces'
        )


def check_key(name: str, key: Any) -> None:
    """Refuse what cannot be the key of an object.

    Raises:
        ValueError: it cannot.
    """
    if not isinstance(key, str) or not key.strip():
        allowed = "the key of an object"
    elif "://" in key:
        allowed = "a key inside the bucket, not an address"
    elif key.startswith("/") or "//" in key:
        # S3 takes it, and makes folders without a name that consoles and other programs do not show.
        allowed = 'a key that does not begin with "/" and has no "//"; perhaps a template in it gave an empty text'
    elif key.endswith("/"):
        allowed = 'the key of an object, not of a folder ending in "/"'
    elif not key.isprintable():
        allowed = "a key without control characters"
    elif len(key.encode("utf-8")) > MAX_KEY_BYTES:
        allowed = f"a key of {MAX_KEY_BYTES} bytes; this one has {len(key.encode('utf-8'))}"
    else:
        return
    raise ValueError(f"{name} is {shown(key)}; allowed is {allowed}")
