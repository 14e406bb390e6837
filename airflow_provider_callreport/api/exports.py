"""Files that the API's server makes: ``exportCsv``, ``exportCsvBulk``, ``changeTitle`` and ``downloadPdf``.

The vendor's page names these endpoints and does not say what they take or answer. No endpoint is known that tells how
far an export is. So each function posts what is known, once, and returns what it found in the answer. Nothing proves
that such a file is whole: the proven way to a whole report is ``list`` and ``masklist``.

Answers that are understood: a URL, an object with a URL or an id, an id alone, a bare "accepted", and the file itself;
for a PDF also base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.api.body import SavedBody
from airflow_provider_callreport.api.download import FileDownloader
from airflow_provider_callreport.api.errors import AnswerError, ApiError, MaybeAcceptedError, NotReadyError
from airflow_provider_callreport.api.file_kind import check_kind
from airflow_provider_callreport.rules import is_whole_number
from airflow_provider_callreport.spool import private_file

if TYPE_CHECKING:
    from airflow_provider_callreport.api.client import CallReportClient

#: Where a URL may be in an answer; the first that fits is taken. ``""`` is the answer itself.
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

#: "Not found" and "no data found": a file that was asked for is not made yet.
NOT_READY_CODES = frozenset({1004, 1012})

#: The largest file that is taken when nothing else is said.
MAX_FILE_BYTES = 1_000_000_000

_MAX_ID = 200


@dataclass(frozen=True, slots=True)
class ExportAnswer:
    """The answer to a request for an export.

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
    client: CallReportClient, fields: Mapping[str, Any], path: Path, *, bulk: bool = False
) -> ExportAnswer:
    """Ask the server to make a CSV file. The request is sent once, whatever happens after it has left.

    Args:
        client: the account.
        fields: the body without credentials; ``filter`` as for ``list`` is what is known.
        path: where the file goes if the answer is the file itself; at most `MAX_FILE_BYTES`.
        bulk: ask ``exportCsvBulk`` instead of ``exportCsv``.

    Raises:
        MaybeAcceptedError: nobody can tell whether the request was accepted.
        CallReportError: it was refused, or never left.
    """
    endpoint = "exportCsvBulk" if bulk else "exportCsv"
    answer = client.save(endpoint, fields, path, max_bytes=MAX_FILE_BYTES, changes_state=True)
    if not answer.is_json:
        return ExportAnswer(None, None, None, answer.body)
    path.unlink(missing_ok=True)
    return ExportAnswer(find_id(answer.payload), find_url(answer.payload), answer.payload)


def rename_export(client: CallReportClient, fields: Mapping[str, Any], path: Path) -> Any:
    """Rename an export (``changeTitle``). The request is sent once, as in `request_export`.

    Args:
        client: the account.
        fields: the body without credentials. What it must hold is not documented: ``{"id": ..., "title": ...}`` is our
            reading.
        path: a file in a private directory, for the answer while it is read.

    Returns:
        The answer's JSON.

    Raises:
        MaybeAcceptedError: nobody can tell whether the request was accepted; an answer that is not JSON counts so.
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
) -> SavedBody:
    """Take a PDF that the server has made (``downloadPdf``): the bytes, base64, or what is behind a link.

    Args:
        client: the account.
        fields: the body without credentials; not documented.
        path: where the file goes.
        downloader: fetches what is behind a link.
        max_bytes: the largest file.

    Raises:
        NotReadyError: the server has not made it yet (1004, 1012).
        WrongFileError: what came is not a whole PDF.
        AnswerError: the answer has neither a file nor a link.
        CallReportError: one of the tree in `errors`.
    """
    what = "the PDF"
    try:
        answer = client.save("downloadPdf", fields, path, max_bytes=max_bytes, changes_state=False)
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
        url = find_url(answer.payload)
        if url is None:
            raise AnswerError("downloadPdf answered neither a file nor a link")
        return downloader.fetch(downloader.absolute(url), path, kind="pdf", what=what)
    except ApiError as error:
        if error.code in NOT_READY_CODES:
            raise NotReadyError(f"{what} is not ready: {error}") from None
        raise


def find_url(payload: Any) -> str | None:
    """The first text at one of `URL_PATHS` that is a URL or a path from the root, or None."""
    for path in URL_PATHS:
        value = _at(payload, path)
        if isinstance(value, str) and value.strip().startswith(("https://", "http://", "/")):
            return value.strip()
    return None


def find_id(payload: Any) -> str | None:
    """The first text or whole number at one of `ID_PATHS` that can be an id, or None; a URL or a sentence cannot."""
    for path in ID_PATHS:
        value = _at(payload, path)
        if is_whole_number(value):
            return str(value)
        if isinstance(value, str) and 0 < len(value) <= _MAX_ID and not set(value) & set(" /\n\t"):
            return value
    return None


def _at(payload: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        if not isinstance(payload, Mapping):
            return None
        payload = payload.get(name)
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
