"""The XLSX package around the sheets: a zip file that is the same for the same report.

openpyxl writes styles, charts, relationships and properties. Four things that it does are changed here:

- It stamps zip entries with the clock.
- It writes every sheet through a file in the system's temporary directory.
- It cannot take a sheet that is in the archive already.
- It writes drawings without the prefix ``xdr``, and relationships with absolute targets. The standard allows both
  (ECMA-376 part 2, 9.3); exceljs, which reads workbooks in many browsers and phones, opens no such file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Set
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.drawing.spreadsheet_drawing import SpreadsheetDrawing
from openpyxl.packaging.relationship import RelationshipList
from openpyxl.worksheet._writer import WorksheetWriter
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

_FIRST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the format knows no earlier one
_LAST_ZIP_TIME = (2107, 12, 31, 23, 59, 58)

_ABSOLUTE_TARGET = re.compile(rb'(?<= Target=")/([^"]+)')
_TAG_WITHOUT_PREFIX = re.compile(rb"<(/?)(\w+)(?=[\s/>])")


class Package(ZipFile):
    """A zip file whose entries all bear one given time.

    Args:
        path: the file to create.
        file_time: an aware time; entries bear it in UTC.
    """

    def __init__(self, path: Path, file_time: datetime) -> None:
        utc = file_time.astimezone(UTC)
        self._entry_time = min(max(utc.timetuple()[:6], _FIRST_ZIP_TIME), _LAST_ZIP_TIME)
        super().__init__(path, "w", ZIP_DEFLATED)

    def entry(self, name: str) -> ZipInfo:
        """A new entry to open for writing."""
        info = ZipInfo(name, self._entry_time)
        info.compress_type = ZIP_DEFLATED
        info.create_system = 3  # the same on every system
        info.external_attr = 0o600 << 16
        return info

    def writestr(self, zinfo_or_arcname: Any, data: Any, *args: Any, **kwargs: Any) -> None:
        """Add an entry in one piece; openpyxl calls this with a name."""
        info = zinfo_or_arcname if isinstance(zinfo_or_arcname, ZipInfo) else self.entry(zinfo_or_arcname)
        if info.filename.endswith(".rels"):
            data = _with_relative_targets(data, posixpath.dirname(posixpath.dirname(info.filename)))
        elif info.filename.startswith("xl/drawings/"):
            data = _with_drawing_prefix(data)
        super().writestr(info, data)


def _with_relative_targets(relationships: bytes, folder: str) -> bytes:
    """Targets from ``folder`` on, in which the relationships' source is, instead of from the package's root."""
    return _ABSOLUTE_TARGET.sub(
        lambda target: posixpath.relpath(target[1].decode(), folder or ".").encode(), relationships
    )


def _with_drawing_prefix(drawing: bytes) -> bytes:
    """The drawing's own elements as ``xdr:...``; those of charts have prefixes already."""
    named = drawing.replace(b" xmlns=", b" xmlns:xdr=", 1)
    return _TAG_WITHOUT_PREFIX.sub(rb"<\1xdr:\2", named)


def sheet_entry(position: int) -> str:
    """The name under which openpyxl looks for the sheet at a position of the workbook, counted from 1."""
    return f"xl/worksheets/sheet{position}.xml"


def sheet_frame(sheet: Worksheet) -> tuple[bytes, bytes]:
    """What stands before and after the content of ``sheetData`` in the XML of a sheet without cells."""
    xml = _WorksheetWriterInMemory.xml(sheet)[0]
    before, _, after = xml.partition(b"<sheetData")
    # "<sheetData/>" or "<sheetData></sheetData>", as the XML library at hand has it
    after = after.partition(b">")[2].removeprefix(b"</sheetData>")
    return before + b"<sheetData>", b"</sheetData>" + after


def write_package(workbook: Workbook, package: Package, written: Set[str]) -> None:
    """Write the workbook and close the package.

    Args:
        workbook: the workbook; sheets whose names are in ``written`` need only hold what surrounds their cells.
        package: where to write.
        written: titles of the sheets that are in the package already.
    """
    _PackageWriter(workbook, package, written).save()


class _WorksheetWriterInMemory(WorksheetWriter):
    _rels: RelationshipList  # the stubs do not know it

    def write_dimensions(self) -> None:
        """Left out: it is optional, and when the head of a sheet is written its length is unknown."""

    @classmethod
    def xml(cls, sheet: Worksheet) -> tuple[bytes, RelationshipList]:
        writer = cls(sheet, out=BytesIO())
        writer.write()
        return writer.read(), writer._rels


class _PackageWriter(ExcelWriter):
    def __init__(self, workbook: Workbook, package: Package, written: Set[str]) -> None:
        super().__init__(workbook, package)
        self._package = package
        self._written = written

    def write_worksheet(self, ws: Any) -> None:
        """What the overridden method does, less its temporary file and the sheets that are written already."""
        ws._drawing = SpreadsheetDrawing()
        ws._drawing.charts = ws._charts
        ws._drawing.images = ws._images
        xml, ws._rels = _WorksheetWriterInMemory.xml(ws)
        if ws.title not in self._written:
            self._package.writestr(ws.path[1:], xml)
        self.manifest.append(ws)
