"""Fonts of a PDF: which font draws a character, how wide a glyph is, and the subset that goes into the file.

Fonts come from the folder ``typefaces`` beside this module and from the user's ``font_paths``. Fonts that are installed
on a machine are never used: two workers would make two different files of one report. HarfBuzz (``uharfbuzz``) reads,
shapes and subsets them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import uharfbuzz as hb

from airflow_provider_callreport.errors import CallReportError
from airflow_provider_callreport.formats.pdf.file import PdfFile, pdf_number

_FOLDER = Path(__file__).parent / "typefaces"
_REGULAR = "NotoSans-Regular.ttf"
_BOLD = "NotoSans-Bold.ttf"

#: Tried in this order for what Noto Sans does not have. The emoji font is last: it also has the digits.
_FALLBACKS = (
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansGurmukhi-Regular.ttf",
    "NotoSansGujarati-Regular.ttf",
    "NotoSansOriya-Regular.ttf",
    "NotoSansTamil-Regular.ttf",
    "NotoSansTelugu-Regular.ttf",
    "NotoSansKannada-Regular.ttf",
    "NotoSansMalayalam-Regular.ttf",
    "NotoSansSinhala-Regular.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "NotoSansSymbols2-Regular.ttf",
    "NotoEmoji-Regular.ttf",
)

_FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")

#: Tables that a PDF viewer does not need: it draws glyphs that are already chosen and placed.
_DROPPED_TABLES = (b"GSUB", b"GPOS", b"GDEF", b"kern", b"name", b"STAT", b"DSIG", b"vhea", b"vmtx", b"VORG")

#: The characters of PDF's WinAnsiEncoding that print: Windows code page 1252 without the no-break space and the soft
#: hyphen, by their code. They are drawn with one byte each.
WIN_ANSI = {code: c for code in range(256) if (c := bytes((code,)).decode("cp1252", "ignore")) and c.isprintable()}


class FontError(CallReportError, ValueError):
    """A font named in ``font_paths`` cannot be used; the message names the file and the reason."""


class FontFile:
    """One font, opened: what it covers and how it measures. Shared by all documents of a process."""

    def __init__(self, path: Path) -> None:
        """Open a TrueType or OpenType font, the first one of a collection.

        Raises:
            FontError: not such a font, or its licence bits forbid embedding (OS/2 ``fsType`` 2).
        """
        try:
            self.face: Any = hb.Face(hb.Blob.from_file_path(str(path)))
        except (OSError, RuntimeError, hb.HarfBuzzError) as error:
            raise FontError(f'font_paths: "{path}" cannot be read as a font ({error})') from error
        tables = set(self.face.table_tags)
        if not self.face.glyph_count or not tables & {"glyf", "CFF ", "CFF2"}:
            raise FontError(f'font_paths: "{path}" is not a TrueType or OpenType font with outlines')
        if "OS/2" in tables and int.from_bytes(self.face.reference_table("OS/2").data[8:10], "big") & 0x000F == 2:
            raise FontError(f'font_paths: the licence bits of "{path}" forbid embedding it in a document')
        self.is_truetype = "glyf" in tables
        self.font: Any = hb.Font(self.face)
        self.covers: frozenset[int] = frozenset(self.face.unicodes)
        #: Font units to thousandths of the font size, PDF's glyph space.
        self.scale: float = 1000 / self.face.upem
        name = self.face.get_name(hb.OTNameIdPredefined.POSTSCRIPT_NAME) or path.stem
        self.name = "".join(c for c in name if c.isascii() and (c.isalnum() or c == "-")) or "Font"

    def advance(self, glyph: int) -> float:
        """Width of a glyph in thousandths of the font size."""
        return float(self.font.get_glyph_h_advance(glyph) * self.scale)

    def glyph(self, codepoint: int) -> int:
        """The plain glyph of a character, 0 when the font does not have one."""
        return int(self.font.get_nominal_glyph(codepoint) or 0)


@cache
def open_font(path: Path) -> FontFile:
    """The font at ``path``, opened once in a process."""
    return FontFile(path)


def font_files(paths: Iterable[str | Path]) -> list[Path]:
    """The font files among ``paths`` and in the folders among them, in the order given, folders by file name.

    Raises:
        FontError: a path does not exist, or a folder holds no font.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _FONT_SUFFIXES)
            if not found:
                raise FontError(f'font_paths: the folder "{path}" holds no {", ".join(_FONT_SUFFIXES)} file')
            files.extend(found)
        elif path.is_file():
            files.append(path)
        else:
            raise FontError(f'font_paths: "{path}" does not exist')
    return files


class EmbeddedFont:
    """A font in one document: collects the glyphs that are drawn and writes just those.

    Attributes:
        file: the font.
        glyphs: its name in content streams when glyph numbers are drawn (two bytes each).
        win_ansi: its name when `WIN_ANSI` text is drawn (one byte each).
    """

    def __init__(self, file: FontFile, number: int) -> None:
        """Take the ``number``-th font of the document."""
        self.file = file
        self.glyphs = f"/G{number}"
        self.win_ansi = f"/W{number}"
        self._used: dict[int, str] = {}
        self._text_drawn = False

    def use_glyph(self, glyph: int, text: str) -> bool:
        """Note that a glyph is drawn for ``text``, empty when it is only a part of a character.

        Returns:
            Whether the glyph alone tells that text to a reader; it cannot when it was drawn for another one before.
        """
        return self._used.setdefault(glyph, text) == text

    def use_text(self) -> None:
        """Note that `WIN_ANSI` text is drawn."""
        self._text_drawn = True

    def write(self, document: PdfFile) -> list[str]:
        """Write the font and return its entries for the resource dictionary."""
        if not (self._used or self._text_drawn):
            return []
        data = self._subset()
        tag = "".join(chr(65 + byte % 26) for byte in hashlib.sha256(data).digest()[:6])
        name = f"{tag}+{self.file.name}"
        if self.file.is_truetype:
            program = f"/FontFile2 {document.add_stream(data, f'/Length1 {len(data)}')} 0 R"
        else:
            program = f"/FontFile3 {document.add_stream(data, '/Subtype/OpenType')} 0 R"
        entries = []
        if self._text_drawn:
            entries.append(f"{self.win_ansi} {self._write_simple(document, name, program)} 0 R")
        if self._used:
            entries.append(f"{self.glyphs} {self._write_composite(document, name, program)} 0 R")
        return entries

    def _subset(self) -> bytes:
        """The font program with the used glyphs only; glyph numbers stay as they are."""
        request = hb.SubsetInput()
        request.flags = (
            hb.SubsetFlags.RETAIN_GIDS
            | hb.SubsetFlags.NO_HINTING
            | hb.SubsetFlags.NO_LAYOUT_CLOSURE
            | hb.SubsetFlags.NOTDEF_OUTLINE
        )
        if not self.file.is_truetype:
            request.flags |= hb.SubsetFlags.CFF_IDENTITY_CHARSET
        request.glyph_set.update(self._used)
        if self._text_drawn:
            request.unicode_set.update(ord(c) for c in WIN_ANSI.values())
        request.drop_table_tag_set.update(int.from_bytes(tag, "big") for tag in _DROPPED_TABLES)
        if self.file.face.has_var_data:
            request.pin_all_axes_to_default(self.file.face)
        return bytes(hb.subset(self.file.face, request).blob.data)

    def _write_simple(self, document: PdfFile, name: str, program: str) -> int:
        """A simple TrueType font with WinAnsiEncoding (ISO 32000-1, 9.6.3)."""
        widths = (self.file.advance(self.file.glyph(ord(WIN_ANSI.get(code, " ")))) for code in range(32, 256))
        return document.add(
            f"<</Type/Font/Subtype/TrueType/BaseFont/{name}/Encoding/WinAnsiEncoding/FirstChar 32/LastChar 255"
            f"/Widths[{' '.join(map(pdf_number, widths))}]"
            f"/FontDescriptor {self._write_descriptor(document, name, program, flags=32)} 0 R>>"
        )

    def _write_composite(self, document: PdfFile, name: str, program: str) -> int:
        """A composite font whose codes are glyph numbers (ISO 32000-1, 9.7.4), with the text they stand for."""
        glyphs = sorted(self._used)
        widths = "".join(f"{glyph}[{pdf_number(self.file.advance(glyph))}]" for glyph in glyphs)
        kind = "/CIDFontType2/CIDToGIDMap/Identity" if self.file.is_truetype else "/CIDFontType0"
        descendant = document.add(
            f"<</Type/Font/Subtype{kind}/BaseFont/{name}"
            "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
            f"/W[{widths}]/FontDescriptor {self._write_descriptor(document, name, program, flags=4)} 0 R>>"
        )
        cmap = document.add_stream(_to_unicode(self._used).encode("ascii"))
        return document.add(
            f"<</Type/Font/Subtype/Type0/BaseFont/{name}/Encoding/Identity-H"
            f"/DescendantFonts[{descendant} 0 R]/ToUnicode {cmap} 0 R>>"
        )

    def _write_descriptor(self, document: PdfFile, name: str, program: str, flags: int) -> int:
        scale = self.file.scale
        head = self.file.face.reference_table("head").data
        box = " ".join(
            pdf_number(int.from_bytes(head[at : at + 2], "big", signed=True) * scale) for at in (36, 38, 40, 42)
        )
        extents = self.file.font.get_font_extents("ltr")
        return document.add(
            f"<</Type/FontDescriptor/FontName/{name}/Flags {flags}/FontBBox[{box}]/ItalicAngle 0"
            f"/Ascent {pdf_number(extents.ascender * scale)}/Descent {pdf_number(extents.descender * scale)}"
            f"/CapHeight 714/StemV 80{program}>>"
        )


def _to_unicode(glyphs: dict[int, str]) -> str:
    """A ToUnicode CMap (ISO 32000-1, 9.10.3): what a copied or searched glyph means."""
    pairs = [
        f"<{glyph:04x}><{text.encode('utf-16-be', 'replace').hex()}>" for glyph, text in sorted(glyphs.items()) if text
    ]
    # A block holds at most 100 pairs.
    blocks = [pairs[i : i + 100] for i in range(0, len(pairs), 100)]
    return (
        "/CIDInit/ProcSet findresource begin 12 dict begin begincmap"
        "/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def"
        "/CMapName/Adobe-Identity-UCS def/CMapType 2 def\n"
        "1 begincodespacerange<0000><ffff>endcodespacerange\n"
        + "".join(f"{len(block)} beginbfchar\n{chr(10).join(block)}\nendbfchar\n" for block in blocks)
        + "endcmap CMapName currentdict/CMap defineresource pop end end"
    )


class FontBook:
    """The fonts of one document, in the order in which they are asked for a character."""

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        """Take the fonts that ship, then ``extra`` ones in their order.

        Raises:
            FontError: see `FontFile`.
        """
        self.regular = EmbeddedFont(open_font(_FOLDER / _REGULAR), 0)
        self.bold = EmbeddedFont(open_font(_FOLDER / _BOLD), 1)
        # The user's fonts come before the emoji font, whose digits and signs are for emoji sequences only.
        names = [_FOLDER / name for name in _FALLBACKS]
        paths = [*names[:-1], *extra, names[-1]]
        self.fallbacks = [EmbeddedFont(open_font(path), number) for number, path in enumerate(paths, 2)]
        self.emoji = self.fallbacks[-1]

    def __iter__(self) -> Iterator[EmbeddedFont]:
        """All fonts, the regular one first."""
        return iter((self.regular, self.bold, *self.fallbacks))

    def find(self, codepoint: int, first: EmbeddedFont) -> EmbeddedFont | None:
        """The font that draws a character: ``first`` if it can, else the next that can, else None."""
        fonts = (first, self.regular, *self.fallbacks)
        return next((font for font in fonts if codepoint in font.file.covers), None)

    def write(self, document: PdfFile) -> str:
        """Write the fonts that were used and return the document's font resource dictionary."""
        entries = [entry for font in self for entry in font.write(document)]
        return f"<<{''.join(entries)}>>"
