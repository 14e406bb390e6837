"""Files that the API's server makes: ``exportCsv``, ``exportCsvBulk``, ``changeTitle`` and ``downloadPdf``.

The vendor's page names these endpoints and says nothing of what they take or answer, and no endpoint is known that
tells how far an export is. So there is no state machine here: what is known is posted once, and what comes back is
looked at. The proven road to a whole report is ``list`` and ``masklist``.

Answers that are understood: a URL, an object with a URL or an id (where, is told by paths such as ``"data.url"``), an
id alone, a bare "accepted", and the file itself; for a PDF also base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus

from airflow_provider_callreport.api.body import SavedBody
from airflow_provider_callreport.api.download import FileDownloader
from airflow_provider_callreport.api.errors import (
    AnswerError,
    ApiError,
    MaybeAcceptedError,
    NotReadyError,
    scrub,
)
from airflow_provider_callreport.api.file_kind import check_kind
from airflow_provider_callreport.spool import private_file

if TYPE_CHECKING:
    from airflow_provider_callreport.api.client import CallReportClient

#: Where a URL may be in an answer, the first that fits wins; ``""`` is the answer itself.
URL_PATHS = (
    *("data.url", "data.link", "data.fileUrl", "data.file", "data.path"),
    *("url", "link", "fileUrl", "file", "path", "data", ""),
)

#: Where the id of an export may be.
ID_PATHS = (
    *("data.id", "data._id", "data.requestId", "data.reqId", "data.exportId"),
    *("id", "_id", "requestId", "reqId", "exportId", "data", ""),
)

#: Where the base64 of a file may be.
BASE64_PATHS = ("data.pdf", "data.file", "data.content", "data.base64", "pdf", "file", "content", "base64", "data", "")

#: "Not found" and "no data found": of a file that was asked for, that it is not made yet.
NOT_READY_CODES = frozenset({1004, 1012})

#: The largest file that is taken when nothing else is said.
MAX_FILE_BYTES = 1_000_000_000

_MAX_ID = 200


@dataclass(frozen=True, slots=True)
class ExportAnswer:
    """What came back for an export that was asked for.

    Attributes:
        export_id: the id found in it, or None.
        url: the URL or path found in it, or None. It may be all that is needed to read the file: in no ``repr``.
        payload: the decoded JSON as it came; None when the answer is the file.
        file: the file, when the answer is the file itself, else None.
    """

    export_id: str | None
    url: str | None = field(repr=False)
    payload: Any = field(repr=False)
    file: SavedBody | None = None


def request_export(
    client: CallReportClient,
    fields: Mapping[str, Any],
    path: Path,
    *,
    bulk: bool = False,
    max_bytes: int = MAX_FILE_BYTES,
    url_paths: Sequence[str] = URL_PATHS,
    id_paths: Sequence[str] = ID_PATHS,
) -> ExportAnswer:
    """Ask the server to make a CSV file. Asked once, whatever happens after the request has left.

    Args:
        client: the account.
        fields: the body without credentials; ``filter`` as for ``list`` is what is known.
        path: where the file goes, should the answer be the file itself.
        bulk: ask ``exportCsvBulk`` instead of ``exportCsv``.
        max_bytes: the largest such file.
        url_paths: where to look for a URL.
        id_paths: where to look for an id.

    Raises:
        MaybeAcceptedError: nobody can tell whether the request was accepted.
        CallReportError: it was refused, or never left.
    """
    endpoint = "exportCsvBulk" if bulk else "exportCsv"
    answer = client.save(endpoint, fields, path, max_bytes=max_bytes, changes_state=True)
    if not answer.is_json:
        return ExportAnswer(None, None, None, answer.body)
    path.unlink(missing_ok=True)
    return ExportAnswer(find_id(answer.payload, id_paths), find_url(answer.payload, url_paths), answer.payload)


def rename_export(client: CallReportClient, fields: Mapping[str, Any], path: Path) -> Any:
    """Rename an export (``changeTitle``). Asked once, as `request_export`.

    Args:
        client: the account.
        fields: the body without credentials. What it must hold is not documented: ``{"id": ..., "title": ...}`` is our
            reading.
        path: a file in a private directory, for the answer while it is read.

    Returns:
        The answer's JSON.

    Raises:
        MaybeAcceptedError: nobody can tell whether the request was accepted; an answer that is no JSON counts so.
        CallReportError: it was refused, or never left.
    """
    answer = client.save("changeTitle", fields, path, max_bytes=client.settings.max_response_bytes, changes_state=True)
    path.unlink(missing_ok=True)
    if not answer.is_json:
        raise MaybeAcceptedError("changeTitle answered something that is not JSON; look whether the title has changed")
    return answer.payload


def download_pdf(
    client: CallReportClient,
    fields: Mapping[str, Any],
    path: Path,
    downloader: FileDownloader,
    *,
    max_bytes: int = MAX_FILE_BYTES,
    url_paths: Sequence[str] = URL_PATHS,
) -> SavedBody:
    """Take a PDF that the server has made (``downloadPdf``): the bytes, base64, or what is behind a link.

    Args:
        client: the account.
        fields: the body without credentials; not documented.
        path: where the file goes.
        downloader: fetches what is behind a link.
        max_bytes: the largest file.
        url_paths: where to look for a link.

    Raises:
        NotReadyError: it is not made yet.
        WrongFileError: what came is no whole PDF.
        AnswerError: there is neither a file nor a link in the answer.
        CallReportError: one of the tree in `errors`.
    """
    what = "the PDF"
    try:
        answer = client.save("downloadPdf", fields, path, max_bytes=max_bytes, changes_state=False)
    except ApiError as error:
        raise not_ready(error, what) from None
    if not answer.is_json:
        check_kind(answer.body, "pdf", what)
        return answer.body
    path.unlink(missing_ok=True)
    content = _find_base64(answer.payload)
    if content is not None:
        private_file(path).write_bytes(content)
        body = SavedBody(path, len(content), hashlib.sha256(content).hexdigest(), "", content[:4096], True)
        check_kind(body, "pdf", what)
        return body
    url = find_url(answer.payload, url_paths)
    if url is None:
        raise AnswerError("downloadPdf answered neither a file nor a link")
    return fetch_file(url, path, downloader, kind="pdf", what=what)


def fetch_file(url: str, path: Path, downloader: FileDownloader, *, kind: str, what: str) -> SavedBody:
    """Take the file behind a URL, under the rules of `download`.

    Args:
        url: the URL, or a path on the connection's own host.
        path: where the file goes.
        downloader: what fetches it.
        kind: a key of `file_kind.FILE_KINDS`.
        what: what it is, for messages.

    Raises:
        NotReadyError: the server says that it is not made yet (1004, 1012).
        CallReportError: one of the tree in `errors`.
    """
    try:
        return downloader.fetch(downloader.absolute(url), path, kind=kind, what=what)
    except ApiError as error:
        raise not_ready(error, what) from None


def not_ready(error: ApiError, what: str) -> ApiError | NotReadyError:
    """The same error, as `NotReadyError` where its code says so."""
    if error.code in NOT_READY_CODES:
        return NotReadyError(f"{what} is not ready: {error}")
    return error


def find_url(payload: Any, paths: Sequence[str] = URL_PATHS) -> str | None:
    """The first text at one of the paths that is a URL or a path from the root, or None."""
    for path in paths:
        value = _at(payload, path)
        if isinstance(value, str) and value.strip().startswith(("https://", "http://", "/")):
            return value.strip()
    return None


def find_id(payload: Any, paths: Sequence[str] = ID_PATHS) -> str | None:
    """The first text or whole number at one of the paths that can be an id, or None. A URL or a sentence is none."""
    for path in paths:
        value = _at(payload, path)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and 0 < len(value) <= _MAX_ID and not set(value) & set(" /\n\t"):
            return value
    return None


def holds_secret(text: str, secrets: Sequence[str]) -> bool:
    """Whether a text holds a secret, as it is or as URLs write it."""
    return any(secret in form for secret in secrets if secret for form in (text, unquote(text), unquote_plus(text)))


def shown_answer(payload: Any, secrets: Sequence[str], max_bytes: int = 2000) -> Any:
    """An answer fit for an XCom value: phone numbers and secrets hidden, queries of URLs cut off, bounded.

    Args:
        payload: decoded JSON.
        secrets: what may not be shown.
        max_bytes: of JSON; a longer answer is shown by the beginning of its text.
    """
    shown = _shown(payload, secrets)
    text = json.dumps(shown)
    return shown if len(text) <= max_bytes else {"cut_off": text[:max_bytes]}


def _shown(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        return {scrub(str(key), secrets): _shown(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item, secrets) for item in value]
    if isinstance(value, str):
        head, mark, _ = value.partition("?") if "://" in value or value.startswith("/") else (value, "", "")
        return scrub(head + (mark and "?***"), secrets)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and scrub(str(value)) != str(value):
        return "***"
    return value


def _at(payload: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        if isinstance(payload, list) and name.isdigit() and int(name) < len(payload):
            payload = payload[int(name)]
        elif isinstance(payload, Mapping):
            payload = payload.get(name)
        else:
            return None
    return payload


def _find_base64(payload: Any) -> bytes | None:
    for path in BASE64_PATHS:
        value = _at(payload, path)
        if not isinstance(value, str):
            continue
        text = "".join(value.rpartition("base64,")[2].split())
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        # A short path or id may happen to be base64; a file that begins like one does not happen.
        if content.startswith(b"%PDF"):
            return content
    return None
