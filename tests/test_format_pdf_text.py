"""Text in a PDF: every script, right or visibly replaced, and never an exception."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import uharfbuzz as hb
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pdf import SCRIPTS, make, pages, picture, run, words

from airflow_provider_callreport.formats.pdf import fonts as pdf_fonts
from airflow_provider_callreport.formats.pdf.bidi import visual_runs
from airflow_provider_callreport.formats.pdf.fonts import FontBook, FontError
from airflow_provider_callreport.formats.pdf.text import ELLIPSIS, Line, TextStyle
from airflow_provider_callreport.formats.pdf.writer import PdfWriter
from airflow_provider_callreport.report import Column


def style(size: float = 7) -> TextStyle:
    """A text style of its own document."""
    return TextStyle(FontBook(), size)


def found(path: Path) -> str:
    """The text of page 2 in reading order, without poppler's marks of direction, spaces as single ones."""
    text = run("pdftotext", "-f", "2", "-l", "2", path, "-").decode()
    return " ".join(re.sub("[\u202a-\u202e]", "", text).split())


def glyphs(line: Line) -> set[str]:
    """The glyph numbers that a line draws, four hexadecimal digits each."""
    return set(re.findall(r"<([0-9a-f]{4})>", line.operators))


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_drawn_and_copied_right(tmp_path: Path, script: str) -> None:
    """pdf-text: every character has a glyph, and copying gives the text back, conjuncts and right-to-left as well."""
    text = SCRIPTS[script]
    assert style().line(text).replaced == 0
    assert text in found(make(tmp_path / "r.pdf", [[text]], [Column("Agents")]))


def test_conjuncts_and_joining_are_shaped() -> None:
    """pdf-text: a word is not its letters side by side: conjuncts are narrower, Arabic letters take
    their joined forms.
    """
    for script in ("Devanagari", "Bengali", "Malayalam"):
        text = SCRIPTS[script].split()[0]
        assert style().width(text) < 0.9 * sum(style().width(c) for c in text)
    alone = set().union(*(glyphs(style().line(c)) for c in "محمد"))
    assert not glyphs(style().line("محم")) & alone - glyphs(style().line("م"))


@pytest.mark.parametrize("text", ["क्षत्रिय्किँ", "שָׁלוֹם", "مُحَمَّد", "e\u0301\u0323x\u0351", "ශ්‍රී"])
def test_glyphs_stand_where_harfbuzz_puts_them(text: str) -> None:
    """pdf-text: the operators move the pen so that each letter and mark is at HarfBuzz's own place."""
    book = FontBook()
    font = book.find(ord(text[0]), book.regular)
    assert font is not None
    buffer = hb.Buffer()
    buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_CHARACTERS
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.language = "en"
    hb.shape(font.file.font, buffer)
    expected, pen = [], 0
    for info, at in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        expected.append((info.codepoint, pen + at.x_offset, at.y_offset))
        pen += at.x_advance

    drawn, pen_now, rise, numbers = [], 0.0, 0.0, 0.0
    operators = re.sub(r"/Span<<.*?>>BDC", "", TextStyle(book, 1000).line(text).operators)
    for glyph, operator, number in re.findall(r"<([0-9a-f]{4})>|(?<!/)(TJ|Ts|Tf)\b|(?<![/G\d])(-?[\d.]+)", operators):
        if glyph or operator == "TJ":
            pen_now -= numbers
            numbers = 0.0
        if glyph:
            drawn.append((int(glyph, 16), round(pen_now), round(rise)))
            pen_now += font.file.advance(int(glyph, 16))
        elif number:
            numbers += float(number)
        elif operator == "Ts":
            rise, numbers = numbers, 0.0
        elif operator == "Tf":
            numbers = 0.0
    assert drawn == expected


@pytest.mark.parametrize("text", ["王小明", "አማርኛ", "\x01", "\ud83d", "\ue000", "\U000e0fff", "𒀀"])
def test_what_no_font_has_is_replaced_visibly(tmp_path: Path, text: str) -> None:
    """pdf-text: a box is drawn for each character, and page 1 says how many cells have one."""
    assert style().line(text).replaced == len(text)
    path = make(tmp_path / "r.pdf", [[text], ["x"]], [Column("Agents")])
    assert "1 cell has characters that no font here can draw; they show as □" in pages(path)[0]
    blank = make(tmp_path / "blank.pdf", [[" "], ["x"]], [Column("Agents")])
    assert picture(path, 2) != picture(blank, 2)


def test_replaced_text_is_copied_as_it_was(tmp_path: Path) -> None:
    """pdf-text: the boxes stand for the original, so searching finds it."""
    assert "before 王小明 after" in found(make(tmp_path / "r.pdf", [["before 王小明 after"]], [Column("Agents")]))


def test_font_paths_draw_what_shipped_fonts_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pdf-text: ``font_paths`` takes a font file or a folder; its glyphs replace the boxes."""
    fonts = Path(pdf_fonts.__file__).parent / "typefaces"
    monkeypatch.setattr(pdf_fonts, "_FALLBACKS", ("NotoSansSymbols2-Regular.ttf", "NotoEmoji-Regular.ttf"))
    for number, paths in enumerate(([], [str(fonts / "NotoSansThai-Regular.ttf")], [str(fonts)])):
        path = make(tmp_path / f"{number}.pdf", [["กรุงเทพ"]], [Column("Agents")], options={"font_paths": paths})
        assert ("no font here can draw" in pages(path)[0]) == (not paths)
        assert "กรุงเทพ" in found(path)


def test_broken_and_empty_font_paths_are_named(tmp_path: Path) -> None:
    """clear-sentence: a file that is no font and a folder without fonts are told in one sentence."""
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"\x00\x01\x00\x00nonsense")
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, reason in ((broken, "is not a TrueType or OpenType font"), (folder, "holds no .ttf, .otf")):
        with pytest.raises(FontError, match=f"{re.escape(str(path))}.*{reason}"):
            FontBook(pdf_fonts.font_files([path]))


def test_a_font_that_forbids_embedding_is_refused(tmp_path: Path) -> None:
    """A font whose OS/2 table says "restricted licence embedding" does not get into the file."""
    data = bytearray((Path(pdf_fonts.__file__).parent / "typefaces" / "NotoSansThai-Regular.ttf").read_bytes())
    tables = int.from_bytes(data[4:6], "big")
    records = {bytes(data[12 + 16 * i : 16 + 16 * i]): 12 + 16 * i for i in range(tables)}
    os2 = int.from_bytes(data[records[b"OS/2"] + 8 : records[b"OS/2"] + 12], "big")
    data[os2 + 8 : os2 + 10] = b"\x00\x02"
    font = tmp_path / "restricted.ttf"
    font.write_bytes(data)
    with pytest.raises(FontError, match="licence bits"):
        FontBook([font])


# st.text() makes no surrogates; the API's JSON can.
any_text = st.text(st.characters(), max_size=40) | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Mn", "Lo"]))


@settings(max_examples=150, deadline=None)
@given(any_text, st.floats(25, 200), st.integers(1, 4))
def test_any_text_fits_and_loses_nothing(text: str, width: float, lines: int) -> None:
    """pdf-text: every string is set without an exception, no line is too wide, and a cut is marked."""
    made, cut = style().fit(text, width, lines)
    assert 1 <= len(made) <= lines
    assert all(line.width <= width for line in made)
    "".join(line.operators for line in made).encode("latin-1")
    mark = f"{FontBook().regular.file.glyph(ord(ELLIPSIS)):04x}"
    assert not cut or made[-1].operators.endswith("\x85)Tj") or mark in glyphs(made[-1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("abcdefghij", min_size=1, max_size=8), min_size=1, max_size=12), st.floats(45, 120))
def test_lines_break_between_words(parts: list[str], width: float) -> None:
    """pdf-text: words are kept whole and in order, none is lost and none is drawn twice."""
    made, cut = style().fit(" ".join(parts), width, 12)
    shown = " ".join(line.operators[1:-3] for line in made)
    assert not cut
    assert shown == " ".join(parts)
    assert all(line.width <= width for line in made)


@settings(deadline=None)
@given(st.text("abc iWm\u00e9\u20ac.*-   ", max_size=60), st.floats(3, 120), st.integers(1, 4))
def test_plain_text_breaks_where_other_text_does(text: str, width: float, lines: int) -> None:
    """pdf-text: the quick way for Windows code page 1252 makes the lines of the way that measures each piece."""
    plain = style()
    fitted, cut = plain.fit(text, width, lines)
    if plain.width(text) <= width:
        assert (fitted, cut) == ([plain.line(text)], False)
        return
    bound = int(width * lines * 4) + 4
    parts, was_cut = plain._break(text[:bound], width, lines, more=len(text) > bound)
    # That way ends with an empty line where the last character alone is wider than the line.
    made = [line.operators for line in fitted if line.operators != "()Tj"]
    assert made == [plain.line(part).operators for part in parts if part]
    assert cut == was_cut


def test_a_line_never_parts_a_letter_from_its_marks() -> None:
    """pdf-text: breaking inside of a long word keeps vowel signs, viramas and emoji modifiers with their base."""
    for word in ("किशोरी" * 20, "क्ष" * 40, "👍🏽" * 30, "e\u0301" * 60):
        for width in range(20, 60, 7):
            pieces, _ = style()._break(word, width, 100)
            assert "".join(pieces) == word
            for piece in pieces[1:]:
                assert piece[0] in "कशर👍e"


def test_control_and_invisible_characters(tmp_path: Path) -> None:
    """pdf-text: line breaks and tabs are spaces; direction overrides do not turn the cell around."""
    row = ["one\ttwo\r\nthree", "x\u202eyz\u202c", "soft\u00adhyphen\ufeff"]
    text = found(make(tmp_path / "r.pdf", [row], [Column(c) for c in "abc"]))
    assert re.search("one two three xyz softhyphen", text)


def test_wide_text_of_every_script_stays_in_its_cell(tmp_path: Path) -> None:
    """pdf-text: measured and drawn width agree for shaped text: nothing reaches into the next column."""
    rows = [[f"{text} " * 9, "next"] for text in SCRIPTS.values()]
    path = make(tmp_path / "r.pdf", rows, [Column("Agents"), Column("Next")])
    edges = {word.left for word in words(path) if word.text == "next"}
    assert len(edges) == 1
    assert max(word.right for word in words(path) if word.page == 2 and word.text not in ("next", "Next")) < 842 - 33
    assert all(word.right < min(edges) for word in words(path) if word.page > 1 and word.top < 540 and word.left < 200)


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in ("Arabic", "Urdu", "Hebrew")])
def test_text_is_as_wide_as_it_measures(tmp_path: Path, script: str) -> None:
    """pdf-text: kerning, marks and conjuncts are placed where the shaper puts them, so the last word ends where it
    should.
    """
    text = f"{SCRIPTS[script]} e\u0301 END"
    found = words(make(tmp_path / "r.pdf", [[text]], [Column("Agents")]))
    right = next(word.right for word in found if word.text == "END")
    left = next(word.left for word in found if word.text == "Agents")
    assert right - left == pytest.approx(style(8).line(text).width, abs=0.1)


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("abc", "abc"),
        ("אבג", "גבא"),
        ("abc אבג def", "abc גבא def"),
        ("אבג abc דהו", "והד abc גבא"),
        ("אבג 123", "123 גבא"),
        ("abc (אבג) def", "abc (גבא) def"),
        ("אבג (abc) דהו", "והד )abc( גבא"),
        ("محمد 12:30", "12:30 دمحم"),
        ("12 محمد 34", "34 دمحم 12"),
        ("a \u202eb\u202c c", "a \u202eb\u202c c"),
        ("-5 אב", "בא 5-"),
        ("", ""),
    ],
)
def test_direction(text: str, drawn: str) -> None:
    """UAX #9: the order of characters from left to right (mirrored brackets are the font's work)."""
    assert "".join(text[a:b][::-1] if rtl else text[a:b] for a, b, rtl in visual_runs(text)) == drawn


def test_a_wrapped_paragraph_keeps_its_direction() -> None:
    """UAX #9: a line that begins with Arabic inside of an English cell is still an English line."""
    text = "محمد abc"
    assert [rtl for *_, rtl in visual_runs(text)] == [False, True]
    assert [rtl for *_, rtl in visual_runs(text, rtl=False)] == [True, False]
    latin = style()
    _, last = latin.fit(f"forwarded {text}", latin.width("forwarded"), 2)[0]
    assert last == latin.line(text, rtl=False)
    assert last != latin.line(text)


def test_writer_takes_the_contract_arguments(tmp_path: Path) -> None:
    """The registry can load the writer."""
    from airflow_provider_callreport.formats import FORMATS

    assert FORMATS["pdf"].load() is PdfWriter
