"""The sheets "Calls", "Calls 2" and so on: how they look, and how their rows get into the package."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.filters import AutoFilter
from openpyxl.worksheet.header_footer import HeaderFooterItem, _HeaderFooterPart
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.table import Table, TableColumn, TableStyleInfo
from openpyxl.worksheet.worksheet import Worksheet

from airflow_provider_callreport.formats.guard import guard
from airflow_provider_callreport.formats.xlsx.package import Package, sheet_entry, sheet_frame
from airflow_provider_callreport.formats.xlsx.rows import CellStyles, RowEncoder
from airflow_provider_callreport.report import Column, ColumnKind, Row

DARK = "1F3864"
LINE = "D9DEE7"
FONT = "Calibri"

_FORMATS = {
    ColumnKind.TEXT: "@",
    ColumnKind.NUMBER: "#,##0.00##",
    ColumnKind.DURATION: "[h]:mm:ss",
    ColumnKind.DATETIME: "yyyy-mm-dd hh:mm:ss",
}
_ALIGNMENTS = {
    ColumnKind.TEXT: "left",
    ColumnKind.NUMBER: "right",
    ColumnKind.DURATION: "right",
    ColumnKind.DATETIME: "left",
}
_VALUE_WIDTHS = {ColumnKind.TEXT: 0, ColumnKind.NUMBER: 9, ColumnKind.DURATION: 8, ColumnKind.DATETIME: 19}
_PADDING = 3  # characters: the indent and a little air
_FILTER_BUTTON = 4
_NARROWEST, _WIDEST = 9, 50
_MAX_TABLE_COLUMN_NAME = 255


class CallsSheet:
    """One sheet of calls, streamed into the package from its header to `end`.

    While it is open nothing else can be written to the package.

    Attributes:
        title: the sheet's name.
        length: rows so far, header included.
        size: bytes of XML so far.
    """

    def __init__(
        self,
        workbook: Workbook,
        package: Package,
        columns: Sequence[Column],
        encoder: RowEncoder,
        widths: Sequence[int],
    ) -> None:
        number = len(workbook.worksheets)  # the Summary is the first
        self.title = "Calls" if number == 1 else f"Calls {number}"
        self.length = 1
        self._columns = columns
        self._encoder = encoder
        self._table_name = self.title.replace(" ", "_")
        self._sheet: Worksheet = workbook.create_sheet(self.title)
        _set_up(self._sheet, widths)
        head, _ = sheet_frame(self._sheet)
        self._stream = package.open(package.entry(sheet_entry(number + 1)), "w")
        header = encoder.header([column.label for column in columns])
        self.size = self._stream.write(head) + self._stream.write(header)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        self.size += self._stream.write(self._encoder.rows(rows, self.length + 1))
        self.length += len(rows)

    def end(self) -> None:
        """Write what follows the rows: the filter, the print set-up."""
        _add_filter(self._sheet, self._table_name, self._columns, self.length)
        _, tail = sheet_frame(self._sheet)
        self._stream.write(_without_warnings(tail, self._columns, self.length))
        self._stream.close()

    def abort(self) -> None:
        """Free the package for closing."""
        self._stream.close()


def cell_styles(workbook: Workbook) -> CellStyles:
    """Register the cell formats of the calls sheets in the workbook."""
    sheet = workbook.worksheets[0]
    line = Border(bottom=Side("hair", color=LINE))

    def register(kind: ColumnKind) -> int:
        cell = Cell(sheet, row=1, column=1)
        cell.number_format = _FORMATS[kind]
        cell.alignment = Alignment(horizontal=_ALIGNMENTS[kind], indent=1)
        cell.border = line
        cell.font = Font(FONT, 10)
        return cell.style_id

    header = Cell(sheet, row=1, column=1)
    header.number_format = "@"
    header.font = Font(FONT, 10, bold=True, color="FFFFFF")
    header.fill = PatternFill("solid", DARK)
    header.alignment = Alignment(horizontal="left", vertical="center", indent=1, wrap_text=True)
    return CellStyles(
        header=header.style_id,
        text=register(ColumnKind.TEXT),
        number=register(ColumnKind.NUMBER),
        duration=register(ColumnKind.DURATION),
        datetime=register(ColumnKind.DATETIME),
    )


def column_widths(columns: Sequence[Column], sample: Sequence[Row]) -> list[int]:
    """Widths in characters that fit the labels, in two lines if they have several words, and a sample of the rows."""
    widths = []
    for index, column in enumerate(columns):
        width = _label_width(column.label) + _FILTER_BUTTON
        width = max(width, _VALUE_WIDTHS[column.kind] + _PADDING)
        for row in sample:
            value = row[index]
            if isinstance(value, str):
                width = max(width, _display_width(value[:_WIDEST]) + _PADDING)
        widths.append(min(max(width, _NARROWEST), _WIDEST))
    return widths


def _set_up(sheet: Worksheet, widths: Sequence[int]) -> None:
    for index, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(index)].width = width
    sheet.freeze_panes = "A2"
    sheet.sheet_view.showGridLines = False
    sheet.sheet_view.tabSelected = False
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0  # as many pages as it takes
    sheet.print_title_rows = "1:1"
    set_margins_and_footer(sheet)


def set_margins_and_footer(sheet: Worksheet) -> None:
    """Margins in inches, and "sheet name - page n of m" at the foot."""
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.page_margins.top = 0.5
    sheet.page_margins.bottom = 0.6
    sheet.page_margins.footer = 0.3
    sheet.oddFooter = HeaderFooterItem(
        left=_HeaderFooterPart(text="&A", size=8), right=_HeaderFooterPart(text="Page &P of &N", size=8)
    )


def _add_filter(sheet: Worksheet, table_name: str, columns: Sequence[Column], length: int) -> None:
    """A table, which has bands and filter buttons; a bare filter where a table could not be named or would be empty."""
    if not columns:
        return
    area = f"A1:{get_column_letter(len(columns))}{length}"
    labels = [column.label for column in columns]
    if length == 1 or not _can_name_table_columns(labels):
        sheet.auto_filter.ref = area
        return
    table = Table(displayName=table_name, ref=area)
    table.tableColumns = [TableColumn(id=index, name=label) for index, label in enumerate(labels, 1)]
    table.autoFilter = AutoFilter(ref=area)
    table.tableStyleInfo = TableStyleInfo(name="TableStyleLight1", showRowStripes=True)
    sheet.add_table(table)


def _without_warnings(tail: bytes, columns: Sequence[Column], length: int) -> bytes:
    """Ask Excel for no green corner on each phone number ("Number stored as text"); openpyxl cannot."""
    if not columns:
        return tail
    area = f"A1:{get_column_letter(len(columns))}{length}"
    wish = f'<ignoredErrors><ignoredError sqref="{area}" numberStoredAsText="1"/></ignoredErrors>'.encode()
    # Its place is before the table (ECMA-376 part 1, 18.3.1.99).
    at = tail.find(b"<tableParts")
    at = tail.index(b"</worksheet>") if at < 0 else at
    return tail[:at] + wish + tail[at:]


def _can_name_table_columns(labels: Sequence[str]) -> bool:
    """Excel repairs a file whose table columns are not named exactly as their header cells, and apart from case."""
    return len({label.casefold() for label in labels}) == len(labels) and all(
        0 < len(label) <= _MAX_TABLE_COLUMN_NAME
        and label == label.strip()
        and label.isprintable()
        and "_x" not in label
        and guard(label) == label
        for label in labels
    )


def _label_width(label: str) -> int:
    """Width of the wider line when a label is set in at most two lines."""
    words = label.split()
    if len(words) < 2:
        return _display_width(label)
    return min(
        max(_display_width(" ".join(words[:cut])), _display_width(" ".join(words[cut:])))
        for cut in range(1, len(words))
    )


def _display_width(text: str) -> int:
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)
