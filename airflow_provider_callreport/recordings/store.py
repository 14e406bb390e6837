"""Recordings in S3: which object is which recording, and how a new one gets a key.

An object is believed to be a recording only when it was written for the same call, the same part and the same content:

- Its metadata names the call and the part (``call``, ``part``).
- Its metadata names the file that the API streams it from (``recording-source``, a keyed hash, because file names may
  hold phone numbers). When that is another file, or not told, the stream is fetched and the content compared.
- S3's own checksum of its bytes is the SHA-256 in its metadata. Where S3 has none, the object is read.
- Its metadata says that the stream was whole (``complete``).

An object that this package wrote for the same part with other content is left as it is: parts may have been numbered
anew, or the sound made anew. The new content then gets a key of its own, with the beginning of its SHA-256 behind the
part. Anything else at the key is somebody else's, and an error.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from airflow_provider_callreport.api.body import SavedBody
from airflow_provider_callreport.delivery.errors import ObjectExistsError
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.delivery.s3_errors import s3_errors
from airflow_provider_callreport.delivery.s3_object import StoredObject
from airflow_provider_callreport.recordings.keys import fill_key
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity

#: Characters of a SHA-256 that tell one content of a part from another in a key.
_HASH_IN_KEY = 12


@dataclass(frozen=True, slots=True)
class Target:
    """One recording that is to be in S3.

    Attributes:
        call: the id of its call.
        part: the name of its part; see `keys.part_names`.
        source: a keyed hash of the file that it is streamed from.
        what: what it is, for messages.
    """

    call: str
    part: str
    source: str
    what: str


@dataclass(frozen=True, slots=True)
class Stored:
    """One recording that is in S3.

    Attributes:
        key: where.
        bytes: its size.
        sha256: its SHA-256, lower-case hex.
        copied: whether this run wrote it.
    """

    key: str
    bytes: int
    sha256: str
    copied: bool = False


@dataclass(frozen=True, slots=True)
class RecordingStore:
    """The recordings of one run in one bucket. Safe to use from several threads.

    Attributes:
        client: a boto3 client.
        bucket: the bucket.
        key: the recordings' key, with placeholders.
        aws_conn_id: the connection that the client is of, for messages.
        extra_args: further arguments for S3.
        if_exists: ``"skip"`` or ``"replace"``.
        info: the report's description, for the metadata.
        run: who writes, for the metadata.
    """

    client: Any
    bucket: str
    key: str
    aws_conn_id: str | None
    extra_args: Mapping[str, Any] = field(repr=False)
    if_exists: str
    info: ReportInfo
    run: RunIdentity

    def find(self, target: Target) -> Stored | None:
        """The recording, when it can be told without its content that it is at its key; else None.

        Raises:
            DeliveryError: S3 does not say.
        """
        place = self._place(target)
        found = None if self.if_exists == "replace" else self._look(place)
        if found is None or not _is_of(found, target) or found.metadata.get("complete") != "yes":
            return None
        if found.metadata.get("recording-source") != target.source:
            return None
        sha256 = self._sha256(place, found)
        return None if sha256 != found.sha256 else Stored(place.key, found.bytes, sha256)

    def put(self, target: Target, body: SavedBody) -> Stored:
        """Write the recording to its key, unless it is there already.

        Args:
            target: which recording.
            body: its content.

        Raises:
            ObjectExistsError: somebody else's object is at its key.
            DeliveryError: S3 does not take it.
        """
        if self.if_exists == "replace":
            return self._write(self._place(target), target, body)
        for suffix in ("", f"-{body.sha256[:_HASH_IN_KEY]}"):
            place = self._place(target, suffix)
            found = self._look(place)
            if found is None:
                try:
                    return self._write(place, target, body)
                except ObjectExistsError:
                    # Another run was faster; what it wrote is judged like anything that is there.
                    found = self._look(place)
                    if found is None:
                        raise
            if found.bytes == body.size and self._sha256(place, found) == body.sha256:
                return Stored(place.key, body.size, body.sha256)
            if not _is_of(found, target):
                break
        raise ObjectExistsError(
            f"{place.uri} has an object that is not {target.what}: its content is another one; remove it, choose "
            'another s3_key, or set if_exists="replace"'
        )

    def _place(self, target: Target, suffix: str = "") -> S3Destination:
        mark = {**_mark(target), "recording-source": target.source}
        return S3Destination(
            self.bucket,
            fill_key(self.key, target.call, target.part + suffix),
            self.aws_conn_id,
            # A new object is written on there being none: of two runs at the same key, one writes.
            if_exists="fail" if self.if_exists == "skip" else "replace",
            extra_args={**self.extra_args, "Metadata": {**self.extra_args.get("Metadata", {}), **mark}},
        )

    def _look(self, place: S3Destination) -> StoredObject | None:
        """What is at a key; None when nothing is, or when S3 does not tell without more permissions."""
        with s3_errors(place.uri, place.aws_conn_id):
            found = place.object(self.client).look()
        return found if found is not None and found.readable else None

    def _sha256(self, place: S3Destination, found: StoredObject) -> str:
        """The SHA-256 of an object's bytes: as S3 keeps it, else of the bytes themselves."""
        checksum = str(found.head.get("ChecksumSHA256", ""))
        if checksum and "-" not in checksum:
            return base64.b64decode(checksum).hex()
        with s3_errors(place.uri, place.aws_conn_id):
            return place.object(self.client).read_sha256(found.etag)

    def _write(self, place: S3Destination, target: Target, body: SavedBody) -> Stored:
        file = ExportedFile(body.path, body.path.name, "audio/mpeg", 1, body.size, body.sha256)
        outcome = ReportOutcome(1, None, True if body.proved else None, target.what)
        place.deliver_with(self.client, file, info=self.info, outcome=outcome, run=self.run)
        return Stored(place.key, body.size, body.sha256, copied=True)


def _mark(target: Target) -> dict[str, str]:
    """Whose recording an object is, in its metadata."""
    ids = {"call": target.call, "part": target.part}
    return {name: quote(text, safe="", errors="surrogatepass") for name, text in ids.items()}


def _is_of(found: StoredObject, target: Target) -> bool:
    """Whether this package wrote an object for the call and the part."""
    return found.sha256 is not None and _mark(target).items() <= found.metadata.items()
