"""One page of a PDF: rectangles below, text above, and the pages of a document in their order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from airflow_provider_callreport.formats.pdf.file import PdfFile, pdf_date, pdf_number, pdf_text
from airflow_provider_callreport.formats.pdf.fonts import FontBook
from airflow_provider_callreport.formats.pdf.text import Line, TextStyle

#: A4 on its side, in points.
PAGE_WIDTH, PAGE_HEIGHT = 841.89, 595.28
MARGIN = 34.0
#: Width of what is drawn between the margins.
CONTENT_WIDTH = PAGE_WIDTH - 2 * MARGIN

#: Colours as the operands of the operator ``rg``.
INK = "0.11 0.15 0.20"
MUTED = "0.38 0.43 0.50"
ACCENT = "0.13 0.39 0.62"
RULE = "0.80 0.83 0.87"
BAND = "0.957 0.965 0.976"
HEADER_BAND = "0.90 0.925 0.95"
GOOD = "0.13 0.50 0.32"
WARN = "0.72 0.45 0.05"
BAD = "0.72 0.15 0.13"

_FOOTER_SIZE = 7.5
_FOOTER_Y = MARGIN - 16
#: Room for "Page 123,456 of 123,456".
_PAGE_NUMBER_WIDTH = 120.0


class Page:
    """The content of one page. Coordinates are points from the lower left corner."""

    def __init__(self) -> None:
        """Start with an empty page."""
        self._shapes: list[str] = []
        self._texts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Fill a rectangle whose lower left corner is at x, y."""
        self._shapes.append(f"{color} rg {' '.join(map(pdf_number, (x, y, width, height)))} re f")

    def text(self, style: TextStyle, x: float, y: float, text: str | Line, color: str = INK) -> float:
        """Draw a line of text that starts at x on the base line y, and return its width."""
        line = style.line(text) if isinstance(text, str) else text
        self._texts.append(f"{color} rg {style.select} 1 0 0 1 {pdf_number(x)} {pdf_number(y)} Tm {line.operators}")
        return line.width

    def text_right(self, style: TextStyle, x: float, y: float, text: str | Line, color: str = INK) -> None:
        """Draw a line of text that ends at x."""
        line = style.line(text) if isinstance(text, str) else text
        self.text(style, x - line.width, y, line, color)

    def add_text(self, operators: str) -> None:
        """Add text operators that were made elsewhere; they choose their font and colour."""
        self._texts.append(operators)

    def operators(self) -> str:
        """The page's content stream, shapes first."""
        return "\n".join((*self._shapes, "BT", *self._texts, "ET"))


class Document:
    """The pages of one document. Each is on disk as soon as it is added; the first one may come last."""

    def __init__(self, path: Path, book: FontBook, footer: str) -> None:
        """Start the document at ``path``; ``footer`` stands at the foot of every page, cut when it is too long."""
        self._file = PdfFile(path)
        self._book = book
        self._style = TextStyle(book, _FOOTER_SIZE)
        self._footer = self._style.fit(footer, CONTENT_WIDTH - _PAGE_NUMBER_WIDTH, 1)[0][0]
        self._tree = self._file.reserve()
        self._fonts = self._file.reserve()
        # "of 12" is drawn on every page and known only at the end: one form that all pages show.
        self._total = self._file.reserve()
        self._pages: list[int] = []
        self._outline: list[tuple[str, int]] = []

    def add_page(self, operators: str, outline: str | None = None, *, first: bool = False) -> None:
        """Write a page.

        Args:
            operators: its content stream.
            outline: title of an entry in the document's outline that leads to the page.
            first: whether it goes before all others. The pages before it are numbered as if it were there.
        """
        number = 1 if first else len(self._pages) + 2
        foot = Page()
        width = foot.text(self._style, MARGIN, _FOOTER_Y, f"Page {number} ", MUTED)
        foot.text_right(self._style, PAGE_WIDTH - MARGIN, _FOOTER_Y, self._footer, MUTED)
        total = f"q 1 0 0 1 {pdf_number(MARGIN + width)} {pdf_number(_FOOTER_Y)} cm /Total Do Q"
        content = self._file.add_stream(f"{operators}\n{foot.operators()}\n{total}".encode("latin-1"))
        page = self._file.add(f"<</Type/Page/Parent {self._tree} 0 R/Contents {content} 0 R>>")
        if first:
            self._pages.insert(0, page)
        else:
            self._pages.append(page)
        if outline:
            self._outline.insert(0 if first else len(self._outline), (outline, page))

    def finish(self, title: str, subject: str, creator: str, moment: datetime) -> None:
        """Write what all pages share, and close the file.

        Args:
            title: the document's title, which viewers show in place of the file name.
            subject: one line on what it holds.
            creator: the program that made it.
            moment: the one time in the file, aware.
        """
        total = Page()
        total.text(self._style, 0, 0, f"of {len(self._pages)}", MUTED)
        self._file.add_stream(
            total.operators().encode("latin-1"),
            f"/Type/XObject/Subtype/Form/BBox[0 -4 {pdf_number(_PAGE_NUMBER_WIDTH)} 12]"
            f"/Resources<</Font {self._fonts} 0 R>>",
            self._total,
        )
        self._file.add(self._book.write(self._file), self._fonts)
        kids = " ".join(f"{page} 0 R" for page in self._pages)
        self._file.add(
            f"<</Type/Pages/Count {len(self._pages)}/Kids[{kids}]"
            f"/MediaBox[0 0 {pdf_number(PAGE_WIDTH)} {pdf_number(PAGE_HEIGHT)}]"
            f"/Resources<</Font {self._fonts} 0 R/XObject<</Total {self._total} 0 R>>>>>>",
            self._tree,
        )
        outlines = _write_outline(self._file, self._outline)
        catalog = self._file.add(
            f"<</Type/Catalog/Pages {self._tree} 0 R/Outlines {outlines} 0 R/Lang(en)"
            "/ViewerPreferences<</DisplayDocTitle true>>>>"
        )
        date = pdf_date(moment)
        info = self._file.add(
            f"<</Title{pdf_text(title)}/Subject{pdf_text(subject)}/Author{pdf_text(creator)}/Creator{pdf_text(creator)}"
            f"/Producer{pdf_text(creator)}/CreationDate{date}/ModDate{date}>>"
        )
        self._file.finish(catalog, info)

    def close(self) -> None:
        """Release the file handle; safe to call twice."""
        self._file.close()


def _write_outline(file: PdfFile, entries: Sequence[tuple[str, int]]) -> int:
    """Write a flat outline (ISO 32000-1, 12.3.3) and return its number."""
    root = file.reserve()
    numbers = [file.reserve() for _ in entries]
    for i, ((title, page), number) in enumerate(zip(entries, numbers, strict=True)):
        around = (f"/Prev {numbers[i - 1]} 0 R" if i else "") + (
            f"/Next {numbers[i + 1]} 0 R" if i + 1 < len(numbers) else ""
        )
        file.add(f"<</Title{pdf_text(title)}/Parent {root} 0 R{around}/Dest[{page} 0 R/Fit]>>", number)
    ends = f"/First {numbers[0]} 0 R/Last {numbers[-1]} 0 R" if numbers else ""
    return file.add(f"<</Type/Outlines{ends}/Count {len(numbers)}>>", root)
