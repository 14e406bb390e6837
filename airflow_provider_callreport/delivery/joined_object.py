"""Many objects in S3 become one, and S3 does the copying (``UploadPartCopy``).

The objects are read once, to take the SHA-256 of each, of the whole and of every part of the upload. What is copied
then is tied to what was read by its ETag, and S3's checksum of each part is compared with ours. Only the ends that are
too small for a part of their own are sent: S3 wants 5 MiB at least in every part but the last.

All that `S3Destination` promises of a write holds here as well: conditions, metadata, nothing visible before the end.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from airflow_provider_callreport.delivery.errors import DamagedUploadError, FileChangedError
from airflow_provider_callreport.delivery.receipts import DeliveredFile
from airflow_provider_callreport.delivery.s3 import READING_ARGS, S3Destination
from airflow_provider_callreport.delivery.s3_errors import error_status, s3_errors
from airflow_provider_callreport.delivery.same_object import composite_checksum, may_be_same, same_fingerprint
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity
from airflow_provider_callreport.spool import private_file

_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """One of the objects.

    Attributes:
        bucket, key: where it is.
        size: its bytes.
        sha256: its SHA-256, lower-case hex.
        rows: calls in it.
        header: what it begins with and is left out.
    """

    bucket: str
    key: str
    size: int
    sha256: str
    rows: int
    header: bytes = b""

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of one object: ``[start, end)``."""

    source: Source
    start: int
    end: int

    @property
    def range(self) -> str:
        """As an HTTP range."""
        return f"bytes={self.start}-{self.end - 1}"


Part = Sequence[Span]


@dataclass(frozen=True, slots=True)
class JoinedFile(ExportedFile):
    """A file that is nowhere yet but in its sources.

    Attributes:
        parts: what each part of the upload is made of.
        sha256s: SHA-256 of each part.
        md5s: MD5 of each part.
        etags: ETag of each source when it was read, by address.
    """

    parts: Sequence[Part] = ()
    sha256s: Sequence[bytes] = ()
    md5s: Sequence[bytes] = ()
    etags: Mapping[str, str] | None = None


class JoinedObject(S3Destination):
    """The object that is made of others.

    Attributes:
        least_part: class attribute: the least bytes of a part that is not the last.
        most_part: class attribute: the most bytes of a part.
    """

    least_part: ClassVar[int] = 5 * 1024 * 1024
    most_part: ClassVar[int] = 5 * 1024 * 1024 * 1024

    def deliver_joined(
        self,
        client: Any,
        sources: Sequence[Source],
        content_type: str,
        directory: Path,
        *,
        info: ReportInfo,
        outcome: ReportOutcome,
        run: RunIdentity,
    ) -> DeliveredFile:
        """Join the objects in their order.

        Args:
            client: a boto3 client.
            sources: the objects.
            content_type: MIME type of the whole.
            directory: a spool directory, for a whole that is small enough for one request.
            info: the report's description, for the metadata.
            outcome: the report's proof, for the metadata.
            run: who delivers.

        Raises:
            FileChangedError: an object is not, or no longer, what its source says; nothing was written.
            DeliveryError: as `S3Destination.deliver`.
        """
        with s3_errors(self.uri, self.aws_conn_id):
            file = self._read(client, sources, content_type, directory)
            return self._deliver(client, file, self._object_args(file, info, outcome, run))

    def _read(self, client: Any, sources: Sequence[Source], content_type: str, directory: Path) -> ExportedFile:
        """Read all objects once, to measure and hash them."""
        spans = [Span(source, len(source.header), source.size) for source in sources]
        size = sum(span.end - span.start for span in spans)
        name, rows = self.key.rpartition("/")[2], sum(source.rows for source in sources)
        whole, path, etags = hashlib.sha256(), directory / "joined", dict[str, str]()
        content = _content(client, sources, etags)
        if size <= self.part_bytes:
            with private_file(path).open("wb") as file:
                for piece in content:
                    whole.update(piece)
                    file.write(piece)
            return ExportedFile(path, name, content_type, rows, size, whole.hexdigest())
        parts = plan_parts(spans, self.least_part, self.most_part)
        sha256s, md5s = [], []
        rest = b""
        for part in parts:
            sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
            left = sum(span.end - span.start for span in part)
            while left:
                rest = rest or next(content)
                taken, rest = rest[:left], rest[left:]
                left -= len(taken)
                for digest in (whole, sha256, md5):
                    digest.update(taken)
            sha256s.append(sha256.digest())
            md5s.append(md5.digest())
        # The last object is compared with its SHA-256 when its end is reached.
        for _ in content:
            pass
        return JoinedFile(
            path,
            name,
            content_type,
            rows,
            size,
            whole.hexdigest(),
            parts=parts,
            sha256s=sha256s,
            md5s=md5s,
            etags=etags,
        )

    def _is_same(self, found: Any, file: ExportedFile, args: Mapping[str, Any]) -> bool:
        if not isinstance(file, JoinedFile):
            return super()._is_same(found, file, args)
        return may_be_same(found.head, args, file.bytes) and same_fingerprint(found.head, file.sha256s, file.md5s)

    def _put_parts(
        self, client: Any, file: ExportedFile, args: Mapping[str, Any], condition: Mapping[str, str]
    ) -> Mapping[str, Any]:
        assert isinstance(file, JoinedFile), "what is not joined goes in one request"
        upload = self._begin_upload(client, args)
        reading = self._some_args(READING_ARGS)
        try:
            done = []
            for number, (part, digest) in enumerate(zip(file.parts, file.sha256s, strict=True), start=1):
                checksum = base64.b64encode(digest).decode("ascii")
                answer = self._put_part(client, {**upload, **reading, "PartNumber": number}, part, checksum, file.etags)
                if answer.get("ChecksumSHA256", checksum) != checksum:
                    raise DamagedUploadError(
                        f"Could not write {self.uri}: S3 stored other bytes than were read (part {number}); the upload "
                        f"was aborted."
                    )
                stored = {"ChecksumSHA256": checksum} if "ChecksumSHA256" in answer else {}
                done.append({"PartNumber": number, "ETag": self._told(answer, "ETag", "UploadPart"), **stored})
            completed: Mapping[str, Any] = client.complete_multipart_upload(
                **upload, **reading, **condition, MultipartUpload={"Parts": done}, MpuObjectSize=file.bytes
            )
            self._told(completed, "ETag", "CompleteMultipartUpload")
        except BaseException:
            self._abort(client, upload)
            raise
        promised = composite_checksum(file.sha256s)
        if completed.get("ChecksumSHA256", promised) != promised:
            raise self._damaged(client, completed)
        return completed

    def _put_part(
        self, client: Any, upload: Mapping[str, Any], part: Part, checksum: str, etags: Mapping[str, str] | None
    ) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        known = etags or {}
        span = part[0]
        try:
            if len(part) == 1 and span.end - span.start > self.least_part:
                answer: Mapping[str, Any] = client.upload_part_copy(
                    **upload,
                    CopySource={"Bucket": span.source.bucket, "Key": span.source.key},
                    CopySourceRange=span.range,
                    CopySourceIfMatch=known[span.source.uri],
                ).get("CopyPartResult", {})
                return answer
            body = b"".join(_range(client, span, known[span.source.uri]) for span in part)
        except ClientError as error:
            if error_status(error) != 412:
                raise
            raise FileChangedError(
                f"Could not write {self.uri}: an object that belongs into it was replaced meanwhile; nothing was "
                f"written."
            ) from error
        sent: Mapping[str, Any] = client.upload_part(
            **upload, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum, Body=body
        )
        return sent


def plan_parts(spans: Sequence[Span], least: int, most: int) -> list[list[Span]]:
    """Cut the content into parts: as few bytes as possible in parts that are not a piece of one object.

    Args:
        spans: the content.
        least: the least bytes of a part that is not the last.
        most: the most bytes of a part.

    Returns:
        The parts. One that is a single span of more than ``least`` bytes can be copied, the others have at most
        ``least`` bytes.
    """
    parts: list[list[Span]] = []
    open_part: list[Span] = []
    for span in spans:
        start = span.start
        while start < span.end:
            held = sum(one.end - one.start for one in open_part)
            if not open_part and span.end - start > least:
                taken = min(span.end - start, most)
                parts.append([Span(span.source, start, start + taken)])
            else:
                taken = min(span.end - start, least - held)
                open_part.append(Span(span.source, start, start + taken))
                if held + taken == least:
                    parts.append(open_part)
                    open_part = []
            start += taken
    return [*parts, open_part] if open_part else parts


def _content(client: Any, sources: Sequence[Source], etags: dict[str, str]) -> Iterator[bytes]:
    """The content of all objects without their headers; each is compared with its SHA-256. Notes their ETags."""
    for source in sources:
        answer = client.get_object(Bucket=source.bucket, Key=source.key)
        etags[source.uri] = answer.get("ETag", "")
        digest, size, header = hashlib.sha256(), 0, source.header
        with closing(answer["Body"]) as body:
            for piece in body.iter_chunks(_PIECE):
                digest.update(piece)
                size += len(piece)
                if not header.startswith(piece[: len(header)]):
                    raise FileChangedError(f"{source.uri} begins otherwise than the first file; nothing was written.")
                if content := piece[len(header) :]:
                    yield content
                header = header[len(piece) :]
        if (size, digest.hexdigest()) != (source.size, source.sha256) or header:
            raise FileChangedError(f"{source.uri} has other bytes than were delivered; nothing was written.")


def _range(client: Any, span: Span, etag: str) -> bytes:
    answer = client.get_object(Bucket=span.source.bucket, Key=span.source.key, Range=span.range, IfMatch=etag)
    with closing(answer["Body"]) as body:
        content: bytes = body.read()
    return content
