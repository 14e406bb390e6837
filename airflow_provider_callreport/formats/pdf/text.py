"""Text of a PDF: any string becomes drawing operators, a width, and lines that fit.

There are two ways. Plain text, of Windows code page 1252, is nearly all text; it is written byte for byte, with widths
from a table. Other text is shaped: fonts are chosen by character, the bidirectional order is made, and HarfBuzz makes
conjuncts, joined letters and marks. A character that no font has is drawn as a box, so nothing vanishes. The text that
the drawing stands for is written beside it (``ActualText``), so that copying and searching give the original.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple
from unicodedata import category

import uharfbuzz as hb

from airflow_provider_callreport.formats.pdf.bidi import is_rtl, visual_runs
from airflow_provider_callreport.formats.pdf.file import pdf_literal, pdf_number
from airflow_provider_callreport.formats.pdf.fonts import WIN_ANSI, EmbeddedFont, FontBook

#: What is drawn for a character that no font has (Unicode 15.0, 5.3: "show a visible representation").
REPLACEMENT = "\u25a1"
ELLIPSIS = "\u2026"

_VARIATION_16 = "\ufe0f"
#: Invisible characters that choose a shape, so the shaper has to see them: joiners, variation selectors, tags.
_SHAPING = frozenset((0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0xE0020, 0xE0080)))
#: Format characters that are drawn: the Arabic signs that enclose a number.
_VISIBLE_FORMAT = frozenset((*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2))
_VIRAMAS = frozenset("\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u200d")
#: Characters around a piece of text that the shaper sees, HarfBuzz's own limit.
_CONTEXT = 5
_CLUSTER_LEVEL = hb.BufferClusterLevel.MONOTONE_CHARACTERS
#: Codepoints that one character takes at most: an emoji family of four with skin tones has 11.
_LONGEST_CHARACTER = 24
#: Shaped lines that are remembered: names of agents and campaigns come again and again.
_REMEMBERED_LINES = 4096


class Line(NamedTuple):
    """One line of text, ready to be drawn.

    Attributes:
        operators: content stream operators that draw it from the current text position.
        width: its width in points.
        replaced: characters of it that are drawn as `REPLACEMENT`.
    """

    operators: str
    width: float
    replaced: int = 0


class _Word:
    """What is drawn for a piece of text, and whether its glyphs alone tell the text to a reader."""

    def __init__(self) -> None:
        self._operators: list[str] = []
        self._text: list[str] = []
        self._tells = True

    def add(self, operators: str, text: str, *, tells: bool) -> None:
        self._operators.append(operators)
        self._text.append(text)
        self._tells = self._tells and tells

    def operators(self) -> str:
        """The operators, within a span that says what they stand for if need be (ISO 32000-1, 14.9.4)."""
        operators = "".join(self._operators)
        if self._tells:
            return operators
        text = "".join(self._text).encode("utf-16-be", "replace").hex()
        return f"/Span<</ActualText<feff{text}>>>BDC {operators}EMC "


class TextStyle:
    """One weight at one size: measures, cuts and draws text."""

    def __init__(self, book: FontBook, size: float, *, bold: bool = False) -> None:
        """Set text of ``size`` points with the fonts of ``book``."""
        self.size = size
        self._book = book
        self._font = book.bold if bold else book.regular
        self._font.use_text()
        #: The operator that chooses this style, as it must be chosen when a line's operators run.
        self.select = f"{self._font.win_ansi} {pdf_number(size)} Tf"
        scale = size / 1000
        file = self._font.file
        #: Width in points of each byte of `WIN_ANSI` text.
        self.widths = [file.advance(file.glyph(ord(WIN_ANSI.get(code, " ")))) * scale for code in range(256)]
        self._unicode_line = lru_cache(_REMEMBERED_LINES)(self._set_unicode)

    def line(self, text: str, *, rtl: bool | None = None) -> Line:
        """``text`` on one line, whatever its length. Line breaks and tabs are drawn as spaces.

        Args:
            text: any string.
            rtl: whether it belongs to a right-to-left paragraph; None decides by its first letter.
        """
        return self.plain_line(text) or self._unicode_line(text, rtl)

    def plain_line(self, text: str) -> Line | None:
        """``text`` on one line when it is of Windows code page 1252, else None: it has to be shaped."""
        data = win_ansi(text)
        if data is None:
            return None
        return Line(f"({pdf_literal(data.decode('latin-1'))})Tj", _added(map(self.widths.__getitem__, data)))

    def width(self, text: str) -> float:
        """Width of ``text`` on one line, in points."""
        data = win_ansi(text)
        return self._unicode_line(text, None).width if data is None else _added(map(self.widths.__getitem__, data))

    def fit(self, text: str, width: float, lines: int) -> tuple[list[Line], bool]:
        """Break ``text`` into at most so many lines of at most ``width`` points.

        Breaks come at spaces, inside a word only when it alone is too long. What does not fit is cut, and the last
        line ends with an ellipsis.

        Returns:
            The lines, and whether the text was cut.
        """
        # No line has four characters a point, so this bounds the work on a text of megabytes.
        bound = int(width * lines * 4) + 4
        more = len(text) > bound
        plain = win_ansi(text[:bound])
        if plain is not None:
            return self._fit_plain(plain.decode("cp1252"), width, lines, more=more)
        if not more:
            whole = self._unicode_line(text, None)
            if whole.width <= width:
                return [whole], False
        texts, cut = self._break(text[:bound], width, lines, more=more)
        rtl = is_rtl(text[:bound])
        return [self.line(part, rtl=rtl) for part in texts], cut

    def _fit_plain(self, text: str, width: float, lines: int, *, more: bool) -> tuple[list[Line], bool]:
        """`fit` for text of Windows code page 1252, where widths add up; ``more`` as for `_break`."""
        ends = [0.0, *accumulate(map(self.widths.__getitem__, text.encode("cp1252")))]
        if not more and ends[-1] <= width:
            return [self._plain(text, ends[-1])], False
        joined = " ".join(text.split())
        if joined != text:
            text, ends = joined, [0.0, *accumulate(map(self.widths.__getitem__, joined.encode("cp1252")))]
        done: list[Line] = []
        start, last = 0, len(text)
        while True:
            stop = bisect_right(ends, ends[start] + width) - 1
            if stop == last and not more:
                return [*done, self._plain(text[start:], ends[last] - ends[start])], False
            if len(done) == lines - 1 or stop == last:
                return [*done, self.line(self._cut(text[start:], width))], True
            # Behind the last space that leaves the line short enough, inside a word only when it alone is too long.
            space = text.rfind(" ", start, stop + 1)
            stop = space if space > start else max(stop, start + 1)
            done.append(self._plain(text[start:stop], ends[stop] - ends[start]))
            if stop == last:  # one character, wider than the line
                return done, False
            start = stop + (text[stop] == " ")

    def _plain(self, text: str, width: float) -> Line:
        return Line(f"({pdf_literal(text.encode('cp1252').decode('latin-1'))})Tj", width)

    def _break(self, text: str, width: float, lines: int, *, more: bool = False) -> tuple[list[str], bool]:
        """The lines of `fit` as strings; ``more`` says that there is text behind ``text``, which does not fit."""
        words = text.split()
        done: list[str] = []
        line = ""
        while words:
            word = words.pop(0)
            # The whole line is measured: in shaped text, widths do not add up.
            if self.width(longer := f"{line} {word}" if line else word) <= width:
                line = longer
            elif len(done) == lines - 1:
                return [*done, self._cut(f"{longer} {' '.join(words)}", width)], True
            elif line:
                done.append(line)
                line = ""
                words.insert(0, word)
            else:
                head = self._shrink(word, self._prefix(word, width), width)
                done.append(word[:head])
                words.insert(0, word[head:])
        return [*done, self._cut(line, width) if more else line], more

    def _cut(self, text: str, width: float) -> str:
        """The longest beginning of ``text`` that fits with an ellipsis behind it."""
        length = self._prefix(text, width - self.width(ELLIPSIS), least=0)
        return text[: self._shrink(text, length, width, ELLIPSIS)].rstrip() + ELLIPSIS

    def _shrink(self, text: str, length: int, width: float, end: str = "") -> int:
        """``length`` less what it takes to fit: part of a shaped text may be wider than the same part in the whole."""
        while length > 1 and self.width(text[:length].rstrip() + end) > width:
            length = max(length - 1 - length // 20, 1)
        return length

    def _prefix(self, text: str, width: float, least: int = 1) -> int:
        """How many characters of ``text`` fit into ``width``; characters that belong together stay together."""
        low, high = least, min(len(text), int(width * 4) + 1)
        data = win_ansi(text[:high])
        if data is not None:  # widths of single bytes add up, and none of these characters belongs to another
            ends = list(accumulate(map(self.widths.__getitem__, data)))
            return max(bisect_right(ends, width), least)
        while low < high:
            middle = (low + high + 1) // 2
            if self.width(text[:middle]) <= width:
                low = middle
            else:
                high = middle - 1
        # Step back to where the text may be broken. A pile of marks without such a place is broken all the same.
        for end in range(low, max(least, low - _LONGEST_CHARACTER), -1):
            if end == len(text) or not _belongs_to_previous(text, end):
                return end
        return low

    def _set_unicode(self, text: str, rtl: bool | None) -> Line:
        """Shape one line."""
        drawn, fonts, kept, replaced = self._choose_fonts(text)
        operators: list[str] = []
        width = 0.0
        for start, end, backwards in visual_runs(kept, rtl=rtl):
            spans = list(_spans(fonts, start, end))
            for first, last in reversed(spans) if backwards else spans:
                font = fonts[first]
                line = self._shape(font, drawn, kept, first, last, backwards)
                operators.append(f"{font.glyphs} {pdf_number(self.size)} Tf {line.operators}")
                width += line.width
        return Line("".join(operators) + self.select, width, replaced)

    def _choose_fonts(self, text: str) -> tuple[str, list[EmbeddedFont], str, int]:
        """A font for every character.

        Returns:
            The characters to draw, the font of each, the characters that they stand for (as many), and how many of
            them are replaced.
        """
        drawn: list[str] = []
        fonts: list[EmbeddedFont] = []
        kept: list[str] = []
        replaced = 0
        box = self._book.find(ord(REPLACEMENT), self._font) or self._font
        for i, c in enumerate(text):
            current = fonts[-1] if fonts else self._font
            code = ord(c)
            kind = category(c)
            wanted: EmbeddedFont | None
            if c.isspace():
                c, wanted = (
                    " ",
                    current if 32 in current.file.covers and current is not self._book.emoji else self._font,
                )
            elif code in _SHAPING:
                wanted = current
            elif kind == "Cf" and code not in _VISIBLE_FORMAT:
                continue  # invisible by definition (soft hyphen, direction marks): nothing to draw
            elif kind[0] == "M" and code in current.file.covers:
                wanted = current
            elif text[i + 1 : i + 2] == _VARIATION_16 and code in self._book.emoji.file.covers:
                wanted = self._book.emoji
            elif code in self._font.file.covers:
                wanted = self._font
            else:
                wanted = current if code in current.file.covers else self._book.find(code, self._font)
            kept.append("\ufffd" if kind in ("Cc", "Cs") and c != " " else c)
            drawn.append(c if wanted else REPLACEMENT)
            fonts.append(wanted or box)
            replaced += wanted is None
        return "".join(drawn), fonts, "".join(kept), replaced

    def _shape(self, font: EmbeddedFont, drawn: str, kept: str, start: int, end: int, rtl: bool) -> Line:
        """Set ``drawn[start:end]``, which stands for ``kept[start:end]``, with one font in one direction."""
        buffer = hb.Buffer()
        buffer.cluster_level = _CLUSTER_LEVEL
        # With what stands around it: Arabic letters join across a change of font.
        first = max(start - _CONTEXT, 0)
        buffer.add_codepoints([ord(c) for c in drawn[first : end + _CONTEXT]], start - first, end - start)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if rtl else "ltr"
        buffer.language = "en"  # else the process's locale chooses glyphs
        hb.shape(font.file.font, buffer)
        glyphs = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        clusters = sorted({info.cluster + first for info, _ in glyphs})
        ends = dict(pairwise((*clusters, end)))
        width = sum(position.x_advance for _, position in glyphs) * font.file.scale * self.size / 1000
        parts: list[str] = []
        word = _Word()
        for cluster, group in groupby(glyphs, lambda glyph: int(glyph[0].cluster) + first):
            shown, text = drawn[cluster : ends[cluster]], kept[cluster : ends[cluster]]
            if rtl:
                # Readers (poppler, pdfium, MuPDF) take right-to-left characters as they stand on the page and turn
                # them round, those of one ligature as well.
                shown, text = shown[::-1], text[::-1]
            operators, tells = self._draw_cluster(font, list(group), shown)
            if text == " ":
                parts.append(word.operators())
                word = _Word()
            word.add(operators, text, tells=tells and shown == text)
            # They also part a sign from the letter that it stands on, so a word with signs is told as a whole;
            # right to left they would turn it round once more, so there each cluster is told by itself.
            if rtl or text == " ":
                parts.append(word.operators())
                word = _Word()
        parts.append(word.operators())
        return Line("".join(parts).replace("]TJ [", " "), width)

    def _draw_cluster(self, font: EmbeddedFont, glyphs: list[tuple[Any, Any]], text: str) -> tuple[str, bool]:
        """Draw the glyphs that stand for ``text`` together.

        Returns:
            The operators, and whether the glyphs alone tell the text to a reader.
        """
        scale = font.file.scale
        tells = len(glyphs) == 1 and glyphs[0][1].x_advance > 0
        out: list[str] = []
        for i, (info, position) in enumerate(glyphs):
            glyph = info.codepoint
            tells = font.use_glyph(glyph, "" if i else text) and tells
            # TJ moves by thousandths of the font size, to the left; Ts raises by points.
            before = position.x_offset * scale
            after = font.file.advance(glyph) - position.x_advance * scale + before
            array = f"<{glyph:04x}>"
            if before:
                array = pdf_number(-before) + array
            if abs(after) > 0.01:
                array += pdf_number(after)
            if position.y_offset:
                rise = position.y_offset * scale * self.size / 1000
                out.append(f"{pdf_number(rise)} Ts [{array}]TJ 0 Ts ")
            else:
                out.append(f"[{array}]TJ ")
        return "".join(out), tells


def win_ansi(text: str) -> bytes | None:
    """``text`` in one byte a character, or None when it has to be shaped."""
    if not text.isprintable():
        return None
    if text.isascii():
        return text.encode("ascii")
    try:
        return text.encode("cp1252")
    except UnicodeEncodeError:
        return None


def _added(widths: Iterable[float]) -> float:
    """Their sum as `TextStyle.fit` makes it, one after the other.

    Since Python 3.12 `sum` rounds in another way, and a text would be a hair wider than its own width.
    """
    return deque(accumulate(widths, initial=0.0), 1)[0]


def _spans(fonts: list[EmbeddedFont], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches of ``fonts[start:end]`` that have one font."""
    first = start
    for i in range(start + 1, end + 1):
        if i == end or fonts[i] is not fonts[first]:
            yield first, i
            first = i


def _belongs_to_previous(text: str, at: int) -> bool:
    """Whether a line must not break before ``text[at]``: it would part a character from its marks or conjunct."""
    c = text[at]
    return (
        category(c)[0] == "M"
        or ord(c) in _SHAPING
        or text[at - 1] in _VIRAMAS
        or 0x1F3FB <= ord(c) <= 0x1F3FF
        or (0x1F1E6 <= ord(c) <= 0x1F1FF and 0x1F1E6 <= ord(text[at - 1]) <= 0x1F1FF)
    )
