"""The endpoints around files that the server makes: ``exportCsv``, ``exportCsvBulk``, ``changeTitle``, ``downloadPdf``.

The vendor documents that they exist and nothing of what they answer, so `SandboxSettings` chooses the form.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
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


class ExportDesk:
    """Takes requests for exports, and hands the files out below ``/sandbox/exports/``."""

    def __init__(self) -> None:
        self._exports: dict[str, Selection] = {}

    def export(self, body: Mapping[str, Any], settings: SandboxSettings) -> Response:
        """Note an export and answer in the form that the settings choose."""
        export_id = f"export{len(self._exports) + 1:06d}"
        selection = self._exports[export_id] = select(body, settings.calls, settings)
        url = f"/sandbox/exports/{export_id}"
        match settings.export_answer:
            case "url":
                return JSONResponse(url)
            case "object":
                return JSONResponse({"data": {"url": url, "id": export_id}})
            case "request_id":
                return JSONResponse({"data": export_id})
            case "bytes":
                return _file(selection, settings)
            case _:
                return JSONResponse({"status": "success", "message": "Request accepted", "id": export_id}, 202)

    def change_title(self, body: Mapping[str, Any]) -> Response:
        """Rename an export; the title is shown nowhere.

        Raises:
            VendorError: 1000 without ``id`` and ``title``, 1012 for an unknown ``id``.
        """
        export_id, title = body.get("id"), body.get("title")
        if not export_id or not isinstance(title, str):
            raise VendorError(1000, "Invalid parameters: id and title are required")
        if str(export_id) not in self._exports:
            raise VendorError(1012)
        return JSONResponse({"status": "success", "message": "Title changed"})

    def download_pdf(self, settings: SandboxSettings) -> Response:
        """Hand a PDF out in the form that the settings choose.

        Raises:
            VendorError: 1012, when the settings say that it is not ready.
        """
        match settings.pdf_answer:
            case "bytes":
                return Response(_PDF, media_type="application/pdf")
            case "link":
                return JSONResponse({"data": {"url": "/sandbox/exports/report.pdf"}})
            case "base64":
                return JSONResponse({"data": base64.b64encode(_PDF).decode()})
            case _:
                raise VendorError(1012)

    def download(self, export_id: str, settings: SandboxSettings) -> Response:
        """The file behind a link, or 404."""
        if export_id == "report.pdf":
            return Response(_PDF, media_type="application/pdf")
        selection = self._exports.get(export_id)
        return Response("no such export", 404) if selection is None else _file(selection, settings)


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
