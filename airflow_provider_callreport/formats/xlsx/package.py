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
from dataclasses import dataclass
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
from openpyxl.xml.constants import ARC_WORKBOOK_RELS, SHARED_STRINGS

from airflow_provider_callreport.formats.xlsx.strings import SharedStrings

#: zlib's level. Its default, 6, takes a quarter more time for sheets that are 2 % smaller.
_COMPRESSION = 5

_STRINGS = "xl/sharedStrings.xml"
_STRINGS_RELATIONSHIP = (
    b'<Relationship Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"'
    b' Target="sharedStrings.xml" Id="strings"/>'
)

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
        info._compresslevel = _COMPRESSION  # type: ignore[attr-defined]  # there is no other way for an open entry
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
        if info.filename == ARC_WORKBOOK_RELS:
            data = data.replace(b"</Relationships>", _STRINGS_RELATIONSHIP + b"</Relationships>")
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


def write_package(workbook: Workbook, package: Package, written: Set[str], strings: SharedStrings) -> None:
    """Write the workbook and close the package.

    Args:
        workbook: the workbook; sheets whose names are in ``written`` need only hold what surrounds their cells.
        package: where to write.
        written: titles of the sheets that are in the package already.
        strings: the texts of these sheets; those of the others are added.
    """
    _PackageWriter(workbook, package, written, strings).save()
    strings.close()


class _WorksheetWriterInMemory(WorksheetWriter):
    _rels: RelationshipList  # the stubs do not know it

    def write_dimensions(self) -> None:
        """Nothing: the element is optional, and the sheet's length is unknown when its head is written."""

    @classmethod
    def xml(cls, sheet: Worksheet) -> tuple[bytes, RelationshipList]:
        writer = cls(sheet, out=BytesIO())
        writer.write()
        return writer.read(), writer._rels


@dataclass(frozen=True)
class _Part:
    """A part of the package as openpyxl's manifest takes it."""

    path: str
    mime_type: str


class _PackageWriter(ExcelWriter):
    def __init__(self, workbook: Workbook, package: Package, written: Set[str], strings: SharedStrings) -> None:
        super().__init__(workbook, package)
        self._package = package
        self._written = written
        self._strings = strings

    def write_data(self) -> None:
        """What the overridden method does, and the table of texts, of which openpyxl 3.1 knows nothing."""
        self.manifest.append(_Part(f"/{_STRINGS}", SHARED_STRINGS))
        super().write_data()
        with self._package.open(self._package.entry(_STRINGS), "w") as entry:
            for block in self._strings.xml():
                entry.write(block)

    def write_worksheet(self, ws: Any) -> None:
        """What the overridden method does, less its temporary file and the sheets that are written already."""
        ws._drawing = SpreadsheetDrawing()
        ws._drawing.charts = ws._charts
        ws._drawing.images = ws._images
        xml, ws._rels = _WorksheetWriterInMemory.xml(ws)
        if ws.title not in self._written:
            self._package.writestr(ws.path[1:], self._strings.share(xml))
        self.manifest.append(ws)
