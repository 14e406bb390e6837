"""The endpoints around files that the server makes: ``exportCsv``, ``exportCsvBulk``, ``changeTitle``, ``downloadPdf``.

The vendor documents that they exist and nothing of what they answer, so `SandboxSettings` chooses the form.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from airflow_provider_callreport.sandbox.errors import VendorError
from airflow_provider_callreport.sandbox.query import select
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.sandbox.source import Selection

_ROWS_AT_A_TIME = 1000

#: The smallest PDF that readers open: one empty page.
_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


@dataclass
class ExportRequest:
    """An export that was asked for.

    Attributes:
        title: its title, which ``changeTitle`` changes.
        selection: the calls in it.
    """

    title: str
    selection: Selection


class ExportDesk:
    """Takes requests for exports and hands the files out under ``/sandbox/exports/<id>``."""

    def __init__(self) -> None:
        self._requests: dict[str, ExportRequest] = {}
        self._asked: dict[str, int] = {}

    def export(self, body: Mapping[str, Any], settings: SandboxSettings) -> Response:
        """Note an export and answer in the form that the settings choose."""
        export_id = f"export{len(self._requests) + 1:06d}"
        request = ExportRequest(str(body.get("title", "")), select(body, settings.calls, settings))
        self._requests[export_id] = request
        url = f"{settings.link_base}/sandbox/exports/{export_id}"
        match settings.export_answer:
            case "url":
                return JSONResponse(url)
            case "object":
                return JSONResponse({"data": {"url": url, "id": export_id}})
            case "request_id":
                return JSONResponse({"data": export_id})
            case "bytes":
                return _file(request.selection, settings)
            case _:
                return JSONResponse({"status": "success", "message": "Request accepted", "id": export_id}, 202)

    def change_title(self, body: Mapping[str, Any]) -> Response:
        """Rename an export.

        Raises:
            VendorError: 1000 without ``id`` and ``title``, 1012 for an unknown ``id``.
        """
        export_id, title = body.get("id"), body.get("title")
        if not export_id or not isinstance(title, str):
            raise VendorError(1000, "Invalid parameters: id and title are required")
        if str(export_id) not in self._requests:
            raise VendorError(1012)
        self._requests[str(export_id)].title = title
        return JSONResponse({"status": "success", "message": "Title changed"})

    def download_pdf(self, settings: SandboxSettings) -> Response:
        """Hand a PDF out in the form that the settings choose.

        Raises:
            VendorError: 1004 or 1012, when the settings say that it is not ready.
        """
        self._wait("downloadPdf", settings)
        match settings.pdf_answer:
            case "bytes":
                return Response(_PDF, media_type="application/pdf")
            case "link":
                return JSONResponse({"data": {"url": f"{settings.link_base}/sandbox/exports/report.pdf"}})
            case "base64":
                return JSONResponse({"data": base64.b64encode(_PDF).decode()})
            case _:
                raise VendorError(1012)

    def download(self, export_id: str, settings: SandboxSettings) -> Response:
        """The file behind a link, or 404.

        Raises:
            VendorError: 1004 or 1012, when the settings say that it is not ready.
        """
        self._wait(export_id, settings)
        match settings.download_answer:
            case "missing":
                return Response("no such export", 404)
            case "html":
                return Response("<html><body>Please sign in</body></html>", media_type="text/html")
            case "redirect":
                return Response(status_code=302, headers={"Location": "/sandbox/exports/report.pdf"})
            case "wrong_type":
                return Response(_PDF, media_type="image/png")
        if export_id == "report.pdf":
            return Response(_PDF, media_type="application/pdf")
        request = self._requests.get(export_id)
        return _file(request.selection, settings) if request else Response("no such export", 404)

    def _wait(self, name: str, settings: SandboxSettings) -> None:
        asked = self._asked[name] = self._asked.get(name, 0) + 1
        if asked <= settings.not_ready_answers:
            raise VendorError(settings.not_ready_code)


def _file(selection: Selection, settings: SandboxSettings) -> Response:
    return StreamingResponse(_csv(selection, settings), media_type="text/csv; charset=utf-8")


def _csv(selection: Selection, settings: SandboxSettings) -> Iterator[str]:
    shape = replace(settings.row, row="array")
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(shape.labels)
    for start in range(0, len(selection), _ROWS_AT_A_TIME):
        writer.writerows(map(json.loads, selection.encode(start, start + _ROWS_AT_A_TIME, shape)))
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()
