"""What may not leave in full does not leave in full (redacted-cells)."""

from __future__ import annotations

import html
import json
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import DAY, NOON, behave, client_of, listed, read_report, sandbox

from airflow_provider_callreport.api.errors import SettingsError, TableError
from airflow_provider_callreport.export.redaction import Redactor, check_redact, last4, pseudonym
from airflow_provider_callreport.export.road import Export, ExportRequest
from airflow_provider_callreport.privacy.phone_numbers import HIDDEN, international, without_numbers
from airflow_provider_callreport.report import Column, ColumnKind
from airflow_provider_callreport.sandbox.calls import Call, SyntheticCalls
from airflow_provider_callreport.sandbox.servers import SandboxServer

KEY = "a key of 16 or more"
NUMBER = "919876543210"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as running:
        yield running


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("919876543210", "********3210"),
        ("+919876543210", "+********3210"),
        ("+91 98765-43210", "+** *****-*3210"),
        ("(0)11 4567 8901", "(*)** **** 8901"),
        ("12345678", "****5678"),
        (" 919876543210 ", "********3210"),
        ("1234567", HIDDEN),
        ("4321", HIDDEN),
        ("91XXXXXX3210", HIDDEN),
        ("anonymous", HIDDEN),
        ("mask_10042", HIDDEN),
        ("mask_1004212345", HIDDEN),
        ("919876543210, 918012345678", HIDDEN),
        ("Asha 919876543210", HIDDEN),
        ("919876543210@example.com", HIDDEN),
        ("e3b0c44298fc1c149afbf4c8996fb924", HIDDEN),
        ("", HIDDEN),
    ],
)
def test_last4(number: str, shown: str) -> None:
    """redacted-cells: all digits but the last four; hidden whole when it is no phone number of at least
    eight digits.
    """
    assert last4(number) == shown


@given(st.text())
def test_last4_never_shows_more_than_four_digits(text: str) -> None:
    """redacted-cells: it fails closed for any text."""
    shown = last4(text)
    assert sum(character.isdigit() for character in shown) <= 4
    assert shown == HIDDEN or not any(character.isalpha() for character in shown.replace("x", "").replace("X", ""))


SAME = [
    "919876543210",
    "+919876543210",
    "00919876543210",
    "09876543210",
    "9876543210",
    "+91 98765 43210",
    "0091-98765-43210",
    "(+91) 98765.43210",
]


@pytest.mark.parametrize("number", SAME)
def test_one_number_has_one_pseudonym(number: str) -> None:
    """redacted-cells: however it is written, +91, 0091, 0 or nothing in front."""
    assert international(number) == NUMBER
    assert pseudonym(number, KEY) == pseudonym(NUMBER, KEY)


def test_a_pseudonym_is_keyed_and_stable() -> None:
    """redacted-cells: other keys and numbers have others; one key has the same for ever, so that files of years can be
    joined.
    """
    # printf 919876543210 | openssl dgst -sha256 -hmac "$KEY" -binary | head -c 10 | base32 | tr A-Z a-z
    assert pseudonym(NUMBER, KEY) == "p_yhjqbhcz52unhqgb"
    assert pseudonym(NUMBER, KEY + "!") != pseudonym(NUMBER, KEY)
    assert len({pseudonym(str(919876543210 + step), KEY) for step in range(1000)}) == 1000


@pytest.mark.parametrize(
    "number",
    [
        "",
        "anonymous",
        "1234567",
        "91XXXXXX3210",
        "+0919876543210",
        "0000000000",
        "1" * 16,
        "919876543210x12",
        "٩١٩٨٧٦٥٤٣٢١٠",
        "mask_10042",
    ],
)
def test_what_is_no_number_has_no_pseudonym(number: str) -> None:
    """redacted-cells: it is hidden whole: a pseudonym of a name or a masked number would look like one of a number."""
    assert international(number) is None
    assert pseudonym(number, KEY) == HIDDEN


def _redactor(redact: dict[str, str], *labels: str, **options: Any) -> Redactor:
    return Redactor(redact, labels, [Column(label) for label in labels], KEY, **options)


def test_each_mode() -> None:
    """redacted-cells: last4 and hmac keep the column, drop removes it; empty cells stay empty."""
    redact = {"A": "last4", "B": "hmac", "C": "drop"}
    redactor = _redactor(redact, "A", "B", "C", "D")
    assert [column.label for column in redactor.columns] == ["A", "B", "D"]
    row = ("919876543210", "918012345678", "secret name", "kept")
    assert redactor.rows([row, (None, None, None, None)]) == [
        ["********3210", pseudonym("918012345678", KEY), "kept"],
        [None, None, None],
    ]


ELSEWHERE = [
    ("rec_919876543210_1.mp3", "rec_***_1.mp3"),
    ("called +91 98765-43210 back", "called *** back"),
    ("0091 9876543210", "***"),
    ("9876543210 and 09876543210", "*** and ***"),
    ("(98765) 43210", "(***"),
    ('{"from":"919876543210"}', '{"from":"***"}'),
    ("98765432109", "***"),
    ("20260313919876543210", "***"),
    ("20260313 919876543210", "20260313 ***"),
    ("9 8 7 6 5 4 3 2 1 0", "***"),
    ("98765---43210", "***"),
    ("98765/43210", "***"),
    ("+91\u00a098765\u201143210", "***"),
    ("नंबर 98765 – 43210", "नंबर ***"),
    ("9876543211", "9876543211"),
    ("43210", "43210"),
]


@pytest.mark.parametrize("mode", ["last4", "hmac", "drop"])
@pytest.mark.parametrize(("cell", "left"), ELSEWHERE)
def test_the_number_is_hidden_in_other_cells_too(mode: str, cell: str, left: str) -> None:
    """redacted-cells: recordings and details carry the caller's number, spelled in their own way."""
    rows = _redactor({"A": mode}, "A", "B").rows([("919876543210", cell)])
    assert rows[0][-1] == left


def test_every_number_of_a_cell_is_hidden_elsewhere() -> None:
    """redacted-cells: a cell with two numbers hides both in the other cells."""
    (row,) = _redactor({"A": "last4"}, "A", "B").rows([("919876543210, 918012345678", "8012345678 then 9876543210")])
    assert row == [HIDDEN, "*** then ***"]


def test_a_hidden_text_is_hidden_elsewhere() -> None:
    """redacted-cells: so is a text that is no number, when it is long enough to be told from others."""
    (row,) = _redactor({"A": "drop"}, "A", "B").rows([("mask_10042", "via mask_10042")])
    assert row == ["via ***"]


def test_stray_text_in_a_column_of_another_kind_is_searched_too() -> None:
    """redacted-cells: what could not be read as a number stands in the column as text, and may hold the
    phone number.
    """
    columns = [Column("A"), Column("Amount", ColumnKind.NUMBER), Column("Time", ColumnKind.DATETIME)]
    redactor = Redactor({"A": "last4"}, ["A", "Amount", "Time"], columns)
    assert redactor.rows([(NUMBER, f"for {NUMBER}", NOON)]) == [["********3210", "for ***", NOON]]


def test_a_dropped_amount_or_time_is_not_searched_for() -> None:
    """redacted-cells: it is no phone number, and its digits mean something else elsewhere; what could not be read as
    one may be.
    """
    columns = [
        Column("Time", ColumnKind.DATETIME),
        Column("Amount", ColumnKind.NUMBER),
        Column("Total Talk Duration", ColumnKind.DURATION),
        Column("Details"),
    ]
    labels = [column.label for column in columns]
    redactor = Redactor(dict.fromkeys(labels[:3], "drop"), labels, columns)
    said = "rec_20260313120000_12345678_98765432.mp3 of 2026-03-13 12:00:00"
    assert redactor.columns == (columns[3],)
    assert redactor.rows([(NOON, 12345678, 98765432, said)]) == [[said]]
    assert redactor.rows([("at noon, 2026", f"+{NUMBER}", "12345678", f"{said}, at noon, 2026, {NUMBER}")]) == [
        ["rec_20260313120000_***_98765432.mp3 of 2026-03-13 12:00:00, ***, ***"]
    ]


def test_columns_that_are_only_there_to_be_hidden_do_not_leave() -> None:
    """redacted-cells: a redacted column that nobody chose is read, so that its number can be hidden in
    the chosen ones.
    """
    redactor = _redactor({"A": "last4"}, "B", "A", keep=1)
    assert [column.label for column in redactor.columns] == ["B"]
    assert redactor.rows([("rec_9876543210", NUMBER)]) == [["rec_***"]]


@pytest.mark.parametrize("redact", [{"Agents": "drop"}, {"Agents": "last4"}])
def test_a_label_that_columns_share_means_all_of_them(redact: dict[str, str]) -> None:
    """redacted-cells: the API prints one label twice, we call the second "Agents (2)"; neither may slip through."""
    redactor = _redactor(redact, "Agents", "Status", "Agents (2)")
    (row,) = redactor.rows([("919876543210", "x", "918012345678")])
    assert "918012345678" not in row
    assert "919876543210" not in row
    only_second = _redactor({"Agents (2)": "drop"}, "Agents", "Status", "Agents (2)")
    assert [column.label for column in only_second.columns] == ["Agents", "Status"]


def test_a_column_that_is_not_there_is_an_error(server: SandboxServer) -> None:
    """redacted-cells: a renamed column must not slip through, so nothing is exported; rename by columns= does not
    matter.
    """
    behave(server, calls=SyntheticCalls(5))
    with pytest.raises(TableError, match=r"redact names 'Phone', .* nothing was exported. The report has Caller"):
        read_report(server, columns={"Caller Number": "Phone"}, redact={"Phone": "last4"})
    reading = read_report(server, columns={"Caller Number": "Phone"}, redact={"Caller Number": "last4"})
    assert reading.header == ["Phone"]
    assert all(row[0].startswith("********") for row in reading.rows)


@pytest.mark.parametrize(
    ("redact", "error", "sentence"),
    [
        ({"Time": "last4"}, SettingsError, "redact has 'last4' for 'Time', a datetime column; allowed is drop"),
        ({"Amount": "hmac"}, SettingsError, "redact has 'hmac' for 'Amount', a number column; allowed is drop"),
        (
            {"A": "drop", "Time": "drop", "Amount": "drop"},
            SettingsError,
            "redact drops every column; keep at least one",
        ),
        (
            {"B": "drop"},
            TableError,
            "redact names 'B', which the report does not have; nothing was exported. The report has A, Time",
        ),
    ],
)
def test_a_rule_that_cannot_hold_is_one_sentence(redact: dict[str, str], error: type[Exception], sentence: str) -> None:
    """redacted-cells: the sentence names label and mode, and what is allowed."""
    columns = [Column("A"), Column("Time", ColumnKind.DATETIME), Column("Amount", ColumnKind.NUMBER)]
    with pytest.raises(error) as failed:
        Redactor(redact, ["A", "Time", "Amount"], columns, KEY)
    assert str(failed.value).startswith(sentence)


def test_a_label_of_the_vendors_cannot_break_a_message() -> None:
    """no-leak: control characters and phone numbers in labels stay out of the sentences that list them."""
    nasty = "Evil\r\nERROR \x1b[31m 919876543210"
    for redact, kind in (({"Phone": "drop"}, ColumnKind.TEXT), ({nasty: "last4"}, ColumnKind.NUMBER)):
        with pytest.raises((TableError, SettingsError)) as failed:
            Redactor(redact, [nasty], [Column(nasty, kind)], KEY)
        assert "Evil ERROR [31m ***" in str(failed.value)
        assert str(failed.value).isprintable()


def test_a_pseudonym_needs_a_key() -> None:
    """redacted-cells: without one anybody could try out all numbers."""
    with pytest.raises(SettingsError, match="redact uses hmac, and the connection has no hmac_secret; set that extra"):
        Redactor({"A": "hmac"}, ["A"], [Column("A")], None)


@pytest.mark.parametrize(
    ("redact", "sentence"),
    [
        ("last4", 'redact is of type str; allowed is an object of label to mode, such as {"Caller Number": "last4"}'),
        (
            ["Caller Number"],
            'redact is of type list; allowed is an object of label to mode, such as {"Caller Number": "last4"}',
        ),
        ({"Caller Number": "mask"}, "redact of 'Caller Number' is 'mask'; allowed are last4, drop, hmac"),
        ({"Caller Number": None}, "redact of 'Caller Number' is None; allowed are last4, drop, hmac"),
        ({"Caller Number": ["drop"]}, "redact of 'Caller Number' is ['drop']; allowed are last4, drop, hmac"),
        ({"": "drop"}, "redact has the label ''; allowed is text that is not empty"),
        ({5: "drop"}, "redact has the label 5; allowed is text that is not empty"),
    ],
)
def test_a_wrong_rule_is_one_sentence(redact: Any, sentence: str) -> None:
    """redacted-cells: the sentence names the argument, what it was and what is allowed."""
    with pytest.raises(SettingsError) as failed:
        check_redact(redact)
    assert str(failed.value) == sentence


@pytest.mark.parametrize("mode", ["last4", "drop", "hmac"])
@pytest.mark.parametrize("number_shape", ["text", "integer", "plus"])
@pytest.mark.parametrize("row_shape", ["position", "array", "label"])
@pytest.mark.parametrize("columns", [None, ["Details", "Rec.", "Status"]], ids=["all columns", "others only"])
def test_no_number_is_in_the_file(
    server: SandboxServer, mode: str, number_shape: str, row_shape: str, columns: list[str] | None
) -> None:
    """no-leak: 0 bytes of a redacted number in the file, in any shape, whether its column was chosen or not."""
    cells = {"Details": f"callback to +91 98765 43210 for {NUMBER}", "Rec.": f"tok*mp3*{NUMBER}.mp3"}
    calls = [Call(NOON, number=NUMBER, cells=cells, call_id=f"call-{step}") for step in range(12)]
    behave(server, calls=listed(*calls), number_shape=number_shape, row_shape=row_shape)
    reading = read_report(
        server, redact={"Caller Number": mode}, columns=columns, client={"hmac_secret": KEY}, page_size=5
    )
    text = repr(reading)
    assert len(reading.rows) == 12
    assert "98765" not in text
    assert "*** for ***" in text


HINDI = str.maketrans("0123456789", "०१२३४५६७८९")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
MATHEMATICAL = str.maketrans("0123456789", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")
CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")
CHINESE = str.maketrans("0123456789", "〇一二三四五六七八九")


def redacted(caller: str, other: str, mode: str = "last4") -> str | None:
    """What becomes of the other cell of a row whose caller is redacted."""
    columns = [Column("Caller Number"), Column("Details")]
    redactor = Redactor({"Caller Number": mode}, [column.label for column in columns], columns, "k" * 16)
    ((*_, cell),) = redactor.rows([(caller, other)])
    assert cell is None or isinstance(cell, str)
    return cell


SPELLINGS = [
    # separators
    ("98765 / 43210", "***"),
    ("98765,43210", "***"),
    ("98765:43210", "***"),
    ("98765\t43210", "***"),
    ("98765+43210", "***"),
    ("+91 (98765) 43210", "***"),
    ("9-8-7-6-5-4-3-2-1-0", "***"),
    ("98765\u200b43210", "***"),
    ("98765\u00a043210", "***"),
    ("98765\u201143210", "***"),
    ("2026*03*13*98765_43210.mp3", "2026*03*13****.mp3"),
    ('["98765","43210"]', '["***"]'),
    # letters in between do not end a number
    ("98765x43210", "***"),
    ("98765 and 43210", "***"),
    # URLs
    ("https://example.com/rec?from=98765%2043210&f=1", "https://example.com/rec?from=***&f=1"),
    ("https://example.com/rec?from=%2B91%2098765%2D43210", "https://example.com/rec?from=***"),
    ("https://example.com/rec?from=98765+43210", "https://example.com/rec?from=***"),
    ("98765%252043210.mp3", "***.mp3"),
    ("98765%25252043210.mp3", "***.mp3"),
    ("98765%C2%A043210", "***"),
    ("98765%E2%80%9143210", "***"),
    ("98765%A043210", "***"),
    ("98765%u00a043210", "***"),
    ("%39%38%37%36%35%34%33%32%31%30", "***"),
    ("%D9%A9%D9%A8%D9%A7%D9%A6%D9%A5%D9%A4%D9%A3%D9%A2%D9%A1%D9%A0", "***"),
    # JSON and JavaScript in text
    (r'{"from":"98765\u00a043210"}', '{"from":"***"}'),
    (r'{"from":"98765\u201143210"}', '{"from":"***"}'),
    (r'{"body":"{\"from\":\"98765\\u00a043210\"}"}', r'{"body":"{\"from\":\"***\"}"}'),
    (r'{"from":"\u0039\u0038\u0037\u0036\u0035\u0034\u0033\u0032\u0031\u0030"}', '{"from":"***"}'),
    (r'{"from":"98765\ud83d\ude0043210"}', '{"from":"***"}'),
    (r"987654\ud835\udfd1210", "***"),
    (r"98765\xa043210", "***"),
    (r"98765\u{a0}43210", "***"),
    (r"98765\t43210", "***"),
    # HTML
    ("<b>98765&nbsp;43210</b>", "<b>***</b>"),
    ("98765&#160;43210", "***"),
    ("98765&#xA0;43210", "***"),
    ("98765&nbsp43210", "***"),
    ("98765&amp;nbsp;43210", "***"),
    ("98765%26nbsp%3B43210", "***"),
    ("&#57;&#56;&#55;&#54;&#53;&#52;&#51;&#50;&#49;&#48;", "***"),
    # scripts
    (NUMBER.translate(HINDI), "***"),
    (NUMBER.translate(ARABIC), "***"),
    (NUMBER.translate(FULL_WIDTH), "***"),
    (NUMBER.translate(MATHEMATICAL), "***"),
    (NUMBER.translate(CIRCLED), "***"),
    (NUMBER.translate(CHINESE), "***"),
    ("９８７６５％２０４３２１０", "***"),
    (f"कॉल {NUMBER[2:7].translate(HINDI)} {NUMBER[7:].translate(HINDI)} को", "कॉल *** को"),
]


@pytest.mark.parametrize("mode", ["last4", "hmac", "drop"])
@pytest.mark.parametrize(("spelled", "left"), SPELLINGS)
def test_a_number_is_found_however_it_is_spelled(spelled: str, left: str, mode: str) -> None:
    """redacted-cells: nothing of the number is left, in no script and behind no encoding; the rest of
    the cell stays.
    """
    assert redacted(NUMBER, spelled, mode) == left


FOREIGN = [
    ("+971501234567", "0501234567"),  # United Arab Emirates
    ("+966512345678", "0512345678"),  # Saudi Arabia
    ("+6591234567", "9123 4567"),  # Singapore
    ("+97433123456", "3312 3456"),  # Qatar
    ("+96550012345", "5001-2345"),  # Kuwait
    ("+96892123456", "92 123 456"),  # Oman
    ("+85261234567", "6123-4567"),  # Hong Kong
    ("+4915112345678", "0151 / 1234 5678"),  # Germany
    ("+12125550123", "(212) 555-0123"),  # United States
    ("00971501234567", "+971 50 123 4567"),
    ("0501234567", "+971 50-123-4567"),
    ("2345678", "0112345678"),
    ("919876543210", "6543210"),
]


@pytest.mark.parametrize(("number", "national"), FOREIGN)
@pytest.mark.parametrize("cell", ["{}_in.mp3", "rec {}.mp3", "a*mp3*{}*x"])
def test_a_number_of_any_country_is_found_in_its_national_form(number: str, national: str, cell: str) -> None:
    """redacted-cells: the last seven digits tell a number, however many its country code and trunk prefix take."""
    left = redacted(number, cell.format(national))
    assert left is not None
    assert left.replace("(", "") == cell.format("***")


#: Ways to write a text into another one, and back.
ENCODERS: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "URL": (lambda text: quote(text, safe=""), unquote),
    "form": (quote_plus, unquote),
    "JSON": (lambda text: json.dumps(text)[1:-1], lambda text: str(json.loads(f'"{text}"'))),
    "HTML": (lambda text: "".join(c if c.isalnum() else f"&#{ord(c)};" for c in text), html.unescape),
    "HTML in hexadecimal": (lambda text: "".join(f"&#x{ord(c):x};" for c in text), html.unescape),
}


@given(
    number=st.text("0123456789", min_size=7, max_size=15),
    gaps=st.lists(
        st.sampled_from(["", "", " ", "-", "\u00a0", "\u2011", " (", ") ", "/", "x"]), min_size=15, max_size=15
    ),
    script=st.sampled_from([{}, HINDI, ARABIC, FULL_WIDTH, MATHEMATICAL]),
    around=st.sampled_from(["{}", "rec_{}.mp3", '{{"from":"{}"}}', "<b>{}</b>", "+{} of 12", "0{}", "00 91 {}"]),
    layers=st.lists(st.sampled_from(sorted(ENCODERS)), max_size=4),
)
def test_no_seven_digits_of_a_number_are_left(
    number: str, gaps: list[str], script: dict[int, int], around: str, layers: list[str]
) -> None:
    """redacted-cells: in any mixture of separators, scripts and up to four layers of encoding."""
    cell = around.format("".join(digit + gap for digit, gap in zip(number, gaps, strict=False)).translate(script))
    for layer in layers:
        cell = ENCODERS[layer][0](cell)
    left = redacted(number, cell)
    assert left is not None
    assert HIDDEN in left
    for layer in reversed(layers if left != HIDDEN else []):
        left = ENCODERS[layer][1](left)
    digits = "".join(str(unicodedata.digit(character)) for character in left if character.isdigit())
    assert number[-7:] not in digits


@pytest.mark.parametrize(
    ("caller", "cell", "left"),
    [
        ("56161", "from 56161", "from ***"),
        ("56161", "sms_56161.txt", "sms_***.txt"),
        ("56161", "from 561612, not 156161", "from 561612, not 156161"),
        ("56161", "from 56161, not 561612", "from ***, not 561612"),
        ("204", "ext%20204 of 2040", "ext%20*** of 2040"),
        ("12", "12 calls", "12 calls"),
    ],
)
def test_a_short_code_is_hidden_where_it_stands_alone(caller: str, cell: str, left: str) -> None:
    """redacted-cells: a number of three to six digits is in too many longer ones to be hidden in them."""
    assert redacted(caller, cell) == left


@pytest.mark.parametrize("cell", ["%" + "25" * 12 + "20", "\\" * 600, "&" + "amp;" * 12 + "nbsp;"])
def test_a_cell_that_cannot_be_decoded_to_its_end_is_hidden(cell: str) -> None:
    """redacted-cells: what is encoded again and again may hide the number, so the cell fails closed."""
    assert redacted(NUMBER, cell) == HIDDEN


@pytest.mark.parametrize("cell", ["9" * 40, "9 " * 40, "99999-99999 99999", "09999999999/9999999999"])
def test_a_number_of_equal_digits_leaves_none_of_them(cell: str) -> None:
    """redacted-cells: where a number can be found at many places that overlap, all of them are hidden."""
    assert "9" not in (redacted("9999999999", cell) or "")


HUGE: list[tuple[str, Callable[[int], tuple[str, str]]]] = [
    ("one number again and again", lambda size: ("911234567", "12345670" * (size // 8))),
    ("places that overlap", lambda size: ("9999999999", "9 " * (size // 2))),
    ("percent signs", lambda size: (NUMBER, "%" + "25" * (size // 2))),
    ("ampersands", lambda size: (NUMBER, "&" * size)),
    ("backslashes", lambda size: (NUMBER, "\\" * size)),
    ("escapes", lambda size: (NUMBER, r"98765\u00a043210 " * (size // 16))),
    ("digits of another script", lambda size: (NUMBER, "९" * size)),
    ("a redacted cell of digits", lambda size: ("0123456789" * (size // 10), "9876543210" * (size // 10))),
    ("a redacted cell of groups", lambda size: ("01234 56789 " * (size // 12), "98765 43210 " * (size // 12))),
    ("a redacted text", lambda size: ("ab" * (size // 2) + "c", "ab" * (size // 2))),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cells"), HUGE)
def test_a_row_takes_time_in_proportion_to_its_size(name: str, cells: Callable[[int], tuple[str, str]]) -> None:
    """A cell of 200 KB costs eight times one of 25 KB, not sixty-four times."""

    def seconds(size: int) -> float:
        row = cells(size)
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            redacted(*row)
            best = min(best, time.process_time() - start)
        return best

    redacted(*cells(1000))
    assert seconds(200_000) < 24 * max(seconds(25_000), 0.0005), name


@pytest.mark.parametrize("caller", [NUMBER.translate(HINDI), "98765\u200b43210", "\u202a+91 98765 43210\u202c"])
def test_the_redacted_cell_itself_may_be_spelled_in_that_way(caller: str) -> None:
    """redacted-cells: what is looked for elsewhere is the number, not its spelling."""
    assert redacted(caller, f"rec {NUMBER}") == "rec ***"


@pytest.mark.parametrize("between", ["/", " ", " / ", "-", "\t"])
def test_each_of_two_numbers_in_one_cell_is_hidden_elsewhere(between: str) -> None:
    """redacted-cells: also where nothing but what may stand inside a number stands between them."""
    for number in ("9876543210", "8012345678"):
        assert redacted(f"91987654 3210{between}91801234 5678", f"of {number}.") == "of ***."


@pytest.mark.parametrize(
    "cell",
    ["98765 and 43211", "543210", "98765 4321", "100% of 98765", "%98765", "2026-03-13 09:00:00", "दिवाली १२३४५६७८९०"],
)
def test_what_is_not_the_number_stays(cell: str) -> None:
    """redacted-cells: other digits are not hidden."""
    assert redacted(NUMBER, cell) == cell


def test_no_spelling_of_a_number_leaves_an_export(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: over HTTP, in every text column, with the file, its name, its title and the log searched."""
    caplog.set_level("DEBUG")
    spelled = ["+91 (98765) 43210", "98765%252043210", r'{"from":"98765\u00a043210"}', NUMBER.translate(HINDI)]
    calls = [
        Call(
            NOON,
            number=NUMBER,
            campaign=text,
            agents=f"of {text}",
            status=text,
            recording=f"a*mp3*{text}.mp3",
            details=text,
            forward=text,
            call_id=f"call-{step}",
        )
        for step, text in enumerate(spelled)
    ]
    behave(server, calls=listed(*calls))
    request = ExportRequest(
        "calls",
        DAY,
        redact={"Caller Number": "last4"},
        group_by="Campaign",
        filename="[[ group ]].jsonl",
        file_format="jsonl",
    )
    with client_of(server) as client, tempfile.TemporaryDirectory() as directory:
        made = Export(client, request, Path(directory), wants_figures=True).make_files()
        said = [file.path.read_text(encoding="utf-8") for file in made.files]
        said += [repr(made), caplog.text]
    assert made.outcome.rows == len(calls)
    for text in said:
        digits = "".join(
            str(unicodedata.digit(character)) for character in unquote(unquote(text)) if character.isdigit()
        )
        assert "43210" not in digits.replace("00a0", "")
        assert "98765" not in digits
    assert "********3210" in said[0]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("+91 (98123) 45678", "***"),
        ("98123/45678", "***"),
        ("98123 / 45678", "***"),
        ("98123x45678", "***"),
        ("98123%2045678", "***"),
        ("call 98123&nbsp;45678 back", "call *** back"),
        (r"98123\u00a045678", "***"),
        ("9812345678".translate(HINDI), "***"),
        ("1234567", "***"),
        ("123456", "123456"),
        (
            "between 2026-03-13 09:00:00 and 2026-03-14T09:00+05:30",
            "between 2026-03-13 09:00:00 and 2026-03-14T09:00+05:30",
        ),
        ("2026-03-13", "2026-03-13"),
        ("20260313", "***"),
        ("ext 1234 in room 5678", "ext 1234 in room 5678"),
        ("%" + "25" * 12 + "20", "***"),
    ],
)
def test_a_text_is_shown_without_numbers(text: str, left: str) -> None:
    """no-leak: where nobody knows which number it is, seven digits in a row are one, in any spelling; a day is not."""
    assert without_numbers(text) == left
