"""A small server that speaks S3 and can be odd in the ways in which servers are.

Parts get lost, answers are cut, checksums are unknown, conditions are ignored. One bucket, in memory, over sockets.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "reports"


@dataclass
class Stored:
    """One object."""

    body: bytes
    etag: str
    checksum: str | None
    metadata: Mapping[str, str]


@dataclass
class Upload:
    """One multipart upload."""

    key: str
    metadata: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Request:
    """One request as it came."""

    operation: str
    key: str
    headers: Mapping[str, str]


@dataclass
class OddS3:
    """The server's state and its oddities.

    Attributes:
        checksums: ``"known"``, ``"ignored"``, or ``"refused"`` with HTTP 400.
        etags: ``"md5"``, or ``"opaque"`` as with SSE-KMS.
        conditions: ``"known"``, ``"ignored"``, or ``"refused"`` with HTTP 501.
        keeps_metadata: whether metadata is stored.
        may_read: whether HEAD and GET are allowed.
        lost_parts: how many parts CompleteMultipartUpload forgets.
        loses: whether writes are answered and not stored.
        damages: whether a stored byte is another.
        cuts: operations whose answers are cut off, each once.
        may_remove: whether DELETE is allowed.
        hidden: how many looks after a write do not show it yet.
        before: called before a request is handled; for what others do meanwhile.
    """

    checksums: str = "known"
    etags: str = "md5"
    conditions: str = "known"
    keeps_metadata: bool = True
    may_read: bool = True
    may_remove: bool = True
    lost_parts: int = 0
    loses: bool = False
    damages: bool = False
    cuts: list[str] = field(default_factory=list)
    hidden: int = 0
    before: Callable[[Request], None] | None = None
    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    url: str = ""

    def operations(self) -> list[str]:
        """What was asked for, in order."""
        return [request.operation for request in self.requests]

    def put(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Store an object, as somebody else does."""
        self.objects[key] = self._stored([body], metadata or {})

    def _stored(self, parts: list[bytes], metadata: Mapping[str, str]) -> Stored:
        body = b"".join(parts)
        md5s, sha256s = ([hashlib.new(name, part).digest() for part in parts] for name in ("md5", "sha256"))
        if len(parts) == 1 and not metadata.get("x-parts"):
            etag, checksum = md5s[0].hex(), base64.b64encode(sha256s[0]).decode()
        else:
            etag = f"{hashlib.md5(b''.join(md5s)).hexdigest()}-{len(parts)}"
            checksum = f"{base64.b64encode(hashlib.sha256(b''.join(sha256s)).digest()).decode()}-{len(parts)}"
        if self.etags == "opaque":
            etag = secrets.token_hex(16) + ("" if len(parts) == 1 else f"-{len(parts)}")
        if self.damages and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        kept = {name: text for name, text in metadata.items() if name != "x-parts"} if self.keeps_metadata else {}
        return Stored(body, etag, checksum if self.checksums == "known" else None, kept)


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def _operation(method: str, query: Mapping[str, list[str]]) -> str:
    if "uploads" in query:
        return "CreateMultipartUpload"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[method]
    return f"{method.title()}Object"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: OddS3

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Send an answer."""
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        """One request."""
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = _operation(self.command, query)
        headers = {name.lower(): text for name, text in self.headers.items()}
        request = Request(operation, unquote(parts.path).removeprefix(f"/{BUCKET}/"), headers)
        self.store.requests.append(request)
        if self.store.before is not None:
            self.store.before(request)
        with self.store.lock:
            try:
                status, answer_headers, answer_body = self.do(request, query, body)
            except Refusal as error:
                status, answer_headers = error.status, {"Content-Type": "application/xml"}
                answer_body = f"<Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>".encode()
            cut = operation in self.store.cuts
            if cut:
                self.store.cuts.remove(operation)
        if cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.answer(status, answer_headers, answer_body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def do(self, request: Request, query: Mapping[str, list[str]], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer."""
        store, key, headers = self.store, request.key, request.headers
        if store.checksums == "refused" and any("checksum" in name or "mp-object-size" in name for name in headers):
            raise Refusal(400, "InvalidRequest", "No checksum headers here, call +91 98765 43210 for help")
        metadata = {name[11:]: text for name, text in headers.items() if name.startswith("x-amz-meta-")}
        match request.operation:
            case "HeadObject" | "GetObject":
                return self.read(key, headers, with_body=request.operation == "GetObject")
            case "PutObject":
                self.check_conditions(key, headers)
                return self.keep(key, [body], metadata)
            case "CreateMultipartUpload":
                name = secrets.token_hex(8)
                store.uploads[name] = Upload(key, metadata)
                return 200, {}, _xml("InitiateMultipartUploadResult", UploadId=name)
            case "UploadPart":
                store.uploads[query["uploadId"][0]].parts[int(query["partNumber"][0])] = body
                return 200, self.fingerprints(store._stored([body], {})), b""
            case "CompleteMultipartUpload":
                if query["uploadId"][0] not in store.uploads:
                    raise Refusal(404, "NoSuchUpload", "It is gone")
                self.check_conditions(key, headers)
                upload = store.uploads.pop(query["uploadId"][0])
                numbers = sorted(int(number) for number in re.findall(rb"<PartNumber>(\d+)<", body))
                parts = [upload.parts[number] for number in numbers[: len(numbers) - store.lost_parts]]
                _, answered, _ = self.keep(key, parts, {**upload.metadata, "x-parts": "yes"})
                return 200, {}, _xml("CompleteMultipartUploadResult", ETag=answered["ETag"])
            case "AbortMultipartUpload":
                if store.uploads.pop(query["uploadId"][0], None) is None:
                    raise Refusal(404, "NoSuchUpload", "It is gone")
                return 204, {}, b""
            case "DeleteObject" if not store.may_remove:
                raise Refusal(403, "AccessDenied", "Not for you")
            case "DeleteObject":
                self.check_conditions(key, headers)
                store.objects.pop(key, None)
                return 204, {}, b""
        raise Refusal(501, "NotImplemented")

    def read(self, key: str, headers: Mapping[str, str], *, with_body: bool) -> tuple[int, Mapping[str, str], bytes]:
        """HEAD and GET."""
        store = self.store
        if not store.may_read:
            raise Refusal(403, "AccessDenied", "Not for you")
        found = store.objects.get(key)
        if found is not None and store.hidden and found.metadata:
            store.hidden -= 1
            found = None
        if found is None:
            raise Refusal(404, "NoSuchKey")
        shown = dict(self.fingerprints(found)) | {f"x-amz-meta-{name}": text for name, text in found.metadata.items()}
        return 200, {**shown, "Content-Length": str(len(found.body))}, found.body if with_body else b""

    def check_conditions(self, key: str, headers: Mapping[str, str]) -> None:
        """If-Match and If-None-Match."""
        store, found = self.store, self.store.objects.get(key)
        match, none_match = headers.get("if-match"), headers.get("if-none-match")
        if store.conditions == "ignored" or (match is None and none_match is None):
            return
        if store.conditions == "refused":
            raise Refusal(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
        if match is not None and found is None:
            raise Refusal(404, "NoSuchKey")
        held = found is None if none_match else found is not None and match in (f'"{found.etag}"', found.etag, "*")
        if not held:
            raise Refusal(412, "PreconditionFailed", "At least one of the preconditions you specified did not hold")

    def keep(self, key: str, parts: list[bytes], metadata: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        """Store an object, or say so."""
        stored = self.store._stored(parts, metadata)
        if not self.store.loses:
            self.store.objects[key] = stored
        return 200, self.fingerprints(stored), b""

    def fingerprints(self, stored: Stored) -> Mapping[str, str]:
        """The headers that say what is stored."""
        checksum = {} if stored.checksum is None else {"x-amz-checksum-sha256": stored.checksum}
        return {"ETag": f'"{stored.etag}"', **checksum}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a test has raised it, or the client has gone."""


def _xml(name: str, **elements: str) -> bytes:
    inner = "".join(f"<{tag}>{text}</{tag}>" for tag, text in elements.items())
    return f"<?xml version='1.0'?><{name}>{inner}</{name}>".encode()


@contextmanager
def odd_s3(**oddities: Any) -> Iterator[OddS3]:
    """Start a server on a free port.

    Args:
        oddities: see `OddS3`.
    """
    store = OddS3(**oddities)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": store}))
    server.daemon_threads = True
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
