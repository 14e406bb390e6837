"""Whether an object in S3 has the bytes that were sent, and was written in the same way.

S3 keeps fingerprints of what it stores: the SHA-256 that was sent with it, and an ETag, which is an MD5 unless the
object is encrypted with SSE-C or SSE-KMS (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html). Of an
object that was sent in parts, both are made of the fingerprints of its parts, with the number of parts behind it.

Metadata alone is not believed: whoever edits an object can copy it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Name of the metadata entry that `stamped` adds.
WRITTEN_AS = "written-as"

#: Name of the metadata entry that says when the try of the task began that wrote the object.
TRY_BEGAN = "try-began"

#: Metadata in which two objects may differ that were written in the same way.
_OF_THE_RUN = ("run", TRY_BEGAN)

#: Arguments that are not part of the stamp. Secrets are hashed nowhere: a HEAD with another SSE-C key fails, so an
#: object under another key is written again.
_LEFT_OUT = ("SSECustomerKey", "SSECustomerKeyMD5")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What S3 says of an object that was sent in certain parts.

    Attributes:
        checksum: its SHA-256, as the header ``x-amz-checksum-sha256`` has it.
        etag: its ETag where that is an MD5, without the quotation marks.
        parts: how many they were.
    """

    checksum: str
    etag: str
    parts: int = 1

    @classmethod
    def of(cls, parts: Iterable[bytes]) -> Fingerprint:
        """The fingerprint of parts, as they are sent; of a single one for what is sent in one request."""
        sha256s, md5s = [], []
        for part in parts:
            sha256s.append(hashlib.sha256(part).digest())
            md5s.append(hashlib.md5(part, usedforsecurity=False).digest())
        return cls.of_digests(sha256s, md5s)

    @classmethod
    def of_digests(cls, sha256s: Sequence[bytes], md5s: Sequence[bytes]) -> Fingerprint:
        """The fingerprint of parts of which only the digests are left."""
        number = len(sha256s)
        if number == 1:
            return cls(base64.b64encode(sha256s[0]).decode("ascii"), md5s[0].hex())
        checksum = base64.b64encode(hashlib.sha256(b"".join(sha256s)).digest()).decode("ascii")
        etag = hashlib.md5(b"".join(md5s), usedforsecurity=False).hexdigest()
        return cls(f"{checksum}-{number}", f"{etag}-{number}", number)

    def is_of(self, answer: Mapping[str, Any]) -> bool:
        """Whether one of the fingerprints in an answer is this one. An ETag that is not an MD5 never is.

        Args:
            answer: the answer to ``HeadObject`` with ``ChecksumMode="ENABLED"``, or to a write.
        """
        return answer.get("ChecksumSHA256") == self.checksum or str(answer.get("ETag", "")).strip('"') == self.etag


def stamped(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``PutObject`` with a hash of themselves in the metadata.

    HEAD does not show everything, such as tags and access lists. The hash covers it: an object that was written with
    other arguments is written again.
    """
    settings = {name: value for name, value in args.items() if name not in _LEFT_OUT}
    settings["Metadata"] = {name: text for name, text in args["Metadata"].items() if name not in _OF_THE_RUN}
    text = json.dumps(settings, sort_keys=True, default=str)
    stamp = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return {**args, "Metadata": {**args["Metadata"], WRITTEN_AS: stamp}}


def is_written_as(head: Mapping[str, Any], args: Mapping[str, Any], size: int) -> bool:
    """Whether size and metadata are those of a write. Only the run and its try may differ.

    Args:
        head: the answer of ``HeadObject``.
        args: the arguments of the write, `stamped`.
        size: bytes of the body.
    """
    stored, wanted = head.get("Metadata", {}), args["Metadata"]
    # S3 keeps names of metadata in lower case.
    return head.get("ContentLength") == size and all(
        stored.get(name.lower()) == text for name, text in wanted.items() if name not in _OF_THE_RUN
    )
