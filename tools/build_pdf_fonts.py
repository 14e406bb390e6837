"""Make the fonts that ship in ``airflow_provider_callreport/formats/pdf/typefaces`` from the Noto originals.

Not part of the package and never run by it: the output is checked in. Run it again to take up a newer Noto:

    pip install fonttools manimgx-fonts --target noto       # Noto's variable fonts, as Google publishes them
    apt-get install fonts-noto-core                         # Noto Sans Symbols 2 (static)
    python tools/build_pdf_fonts.py noto/manimgx_fonts /usr/share/fonts/truetype/noto

Every font is pinned to one weight, loses its hints (a PDF viewer does not use them at print sizes) and keeps the
characters of its own script only, so that a character is always drawn by the same font. The same input gives the same
bytes. The SIL Open Font License permits this; Noto reserves no font name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fontTools.subset import Options, Subsetter  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from fontTools.varLib import instancer  # type: ignore[import-untyped]

_TARGET = Path(__file__).parent.parent / "airflow_provider_callreport" / "formats" / "pdf" / "typefaces"

_LATIN = ((0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x36F), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x20A0, 0x20CF))
_GREEK_CYRILLIC = ((0x370, 0x52F), (0x1F00, 0x1FFF))
_LETTERLIKE = ((0x250, 0x2AF), (0x2070, 0x209F), (0x2100, 0x215F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0xFFFD, 0xFFFD))
_INDIC_COMMON = ((0x20, 0x20), (0x964, 0x965), (0x200C, 0x200D), (0x25CC, 0x25CC), (0x1CD0, 0x1CFF), (0xA830, 0xA839))


@dataclass(frozen=True)
class _Source:
    """One font to make: which characters of which file, at which weight, with which OpenType features."""

    name: str
    ranges: tuple[tuple[int, int], ...]
    weight: int = 400
    static: bool = False
    features: tuple[str, ...] = ("*",)


def _indic(name: str, *blocks: tuple[int, int]) -> _Source:
    return _Source(f"NotoSans{name}", (*_INDIC_COMMON, *blocks))


# Latin text is set without kerning and ligatures, so that a cell has one width however it is drawn: its features are
# those that place accents.
_ACCENTS = ("ccmp", "locl", "mark", "mkmk")

_SOURCES = (
    _Source("NotoSans", _LATIN + _GREEK_CYRILLIC + _LETTERLIKE, features=_ACCENTS),
    _Source("NotoSans", _LATIN + _GREEK_CYRILLIC, weight=700, features=_ACCENTS),
    _indic("Devanagari", (0x900, 0x97F), (0xA8E0, 0xA8FF)),
    _indic("Bengali", (0x980, 0x9FF)),
    _indic("Gurmukhi", (0xA00, 0xA7F)),
    _indic("Gujarati", (0xA80, 0xAFF)),
    _indic("Oriya", (0xB00, 0xB7F)),
    _indic("Tamil", (0xB80, 0xBFF)),
    _indic("Telugu", (0xC00, 0xC7F)),
    _indic("Kannada", (0xC80, 0xCFF)),
    _indic("Malayalam", (0xD00, 0xD7F)),
    _indic("Sinhala", (0xD80, 0xDFF)),
    # The older, static font: the variable one draws a letter and its dots as two glyphs, which readers that copy
    # right-to-left text cannot put together again.
    _Source(
        "NotoSansArabic", ((0x20, 0x20), (0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0x200C, 0x200F)), static=True
    ),
    _Source("NotoSansHebrew", ((0x20, 0x20), (0x590, 0x5FF), (0xFB1D, 0xFB4F))),
    _Source("NotoSansThai", ((0x20, 0x20), (0xE00, 0xE7F))),
    _Source("NotoSansSymbols2", ((0x2300, 0x23FF), (0x2460, 0x27BF), (0x2B00, 0x2BFF))),
    _Source("NotoEmoji", ((0, 0x10FFFF),)),
)


def _codepoints(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)


def _find(source: _Source, folders: Iterable[Path]) -> Path:
    names = (
        [f"{source.name}-Regular.ttf"] if source.static else [f"{source.name}[wght].ttf", f"{source.name}-Regular.ttf"]
    )
    for folder in folders:
        for file in (folder / name for name in names):
            if file.exists():
                return file
    raise SystemExit(f"{source.name}: not in {', '.join(map(str, folders))}")


def _build(source: _Source, folders: list[Path]) -> Path:
    font = TTFont(_find(source, folders), recalcTimestamp=False)
    style = {400: "Regular", 700: "Bold"}[source.weight]
    if "fvar" in font:
        limits = {axis.axisTag: axis.defaultValue for axis in font["fvar"].axes} | {"wght": source.weight}
        font = instancer.instantiateVariableFont(font, limits)
        font["name"].setName(f"{source.name}-{style}", 6, 3, 1, 0x409)
    options = Options(hinting=False, glyph_names=False, notdef_outline=True, layout_features=list(source.features))
    options.name_IDs = [0, 1, 2, 3, 5, 6, 13, 14]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=_codepoints(source.ranges))
    subsetter.subset(font)
    target = _TARGET / f"{source.name}-{style}.ttf"
    font.save(target)
    return target


def main() -> None:
    """Build every font from the folders given on the command line."""
    folders = [Path(argument) for argument in sys.argv[1:]]
    for source in _SOURCES:
        target = _build(source, folders)
        sys.stdout.write(f"{target.name:32} {target.stat().st_size / 1024:7.0f} KB\n")


if __name__ == "__main__":
    main()
