"""Whether the object at a key is already what a write would make of it, so that the write can be left out.

Three things must hold: the metadata says that it was written from the same file, for the same report and window, with
the same arguments; its size is the file's; and S3's own fingerprint of what it stores (SHA-256 checksum, or ETag where
that is an MD5) is that of the file. Metadata alone is not believed: whoever edits an object can copy it.

Only the run may differ: the object of an earlier run with the same bytes is left as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: Name of the metadata entry that `stamped` adds.
WRITTEN_AS = "written-as"

#: Not part of the stamp. Whose object it is may differ, and secrets are hashed nowhere: a HEAD with another SSE-C key
#: fails, so an object under another key is written again.
_LEFT_OUT = ("Bucket", "Key", "SSECustomerKey", "SSECustomerKeyMD5")


def stamped(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``PutObject`` with a hash of themselves in the metadata.

    What HEAD does not show, such as tags and access lists, is in the hash: an object that was written with others is
    written again.
    """
    settings = {name: value for name, value in args.items() if name not in _LEFT_OUT}
    settings["Metadata"] = {name: text for name, text in args["Metadata"].items() if name != "run"}
    text = json.dumps(settings, sort_keys=True, default=str)
    stamp = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return {**args, "Metadata": {**args["Metadata"], WRITTEN_AS: stamp}}


def may_be_same(head: Mapping[str, Any], args: Mapping[str, Any], size: int) -> bool:
    """Whether metadata and size speak for it, so that the file is worth reading once for `is_same`.

    Args:
        head: the answer of ``HeadObject``.
        args: what `stamped` made.
        size: bytes of the file.
    """
    stored, wanted = head.get("Metadata", {}), args["Metadata"]
    # S3 keeps names of metadata in lower case.
    return head.get("ContentLength") == size and all(
        stored.get(name.lower()) == text for name, text in wanted.items() if name != "run"
    )


def is_same(head: Mapping[str, Any], parts: Iterable[bytes]) -> bool:
    """Whether S3's own fingerprint of the object is that of these parts, as they would be sent.

    Args:
        head: the answer of ``HeadObject`` with ``ChecksumMode="ENABLED"``.
        parts: the file, in the parts of an upload; a single one for a file that is sent in one request.
    """
    sha256s, md5s = [], []
    for part in parts:
        sha256s.append(hashlib.sha256(part).digest())
        md5s.append(hashlib.md5(part, usedforsecurity=False).digest())
    if not sha256s:
        sha256s, md5s = [hashlib.sha256().digest()], [hashlib.md5(usedforsecurity=False).digest()]
    return same_fingerprint(head, sha256s, md5s)


def same_fingerprint(head: Mapping[str, Any], sha256s: Sequence[bytes], md5s: Sequence[bytes]) -> bool:
    """`is_same` of parts that have been hashed already.

    Args:
        head: the answer of ``HeadObject`` with ``ChecksumMode="ENABLED"``.
        sha256s: SHA-256 of each part; a single one for what is sent in one request.
        md5s: MD5 of each part.
    """
    if len(sha256s) > 1:
        checksum = composite_checksum(sha256s)
        etag = f"{hashlib.md5(b''.join(md5s), usedforsecurity=False).hexdigest()}-{len(md5s)}"
    else:
        checksum = base64.b64encode(sha256s[0]).decode("ascii")
        etag = md5s[0].hex()
    # Either one is enough. With SSE-KMS the ETag is no MD5, and then never equal.
    return head.get("ChecksumSHA256") == checksum or str(head.get("ETag", "")).strip('"') == etag


def composite_checksum(digests: Iterable[bytes]) -> str:
    """The checksum of a multipart object: that of its parts' SHA-256 digests, with their number behind it."""
    parts = list(digests)
    return f"{base64.b64encode(hashlib.sha256(b''.join(parts)).digest()).decode('ascii')}-{len(parts)}"
