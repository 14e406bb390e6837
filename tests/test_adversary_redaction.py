"""A redacted number comes back in another cell of its row, in a spelling that nobody types but some program writes."""

from __future__ import annotations

import pytest

from airflow_provider_callreport.export.redaction import HIDDEN, Redactor
from airflow_provider_callreport.report import Column

NUMBER = "919876543210"
HINDI = str.maketrans("0123456789", "०१२३४५६७८९")
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


def redacted(caller: str, other: str, mode: str = "last4") -> str | None:
    """What becomes of the other cell of a row whose caller is redacted."""
    columns = [Column("Caller Number"), Column("Details")]
    redactor = Redactor({"Caller Number": mode}, [column.label for column in columns], columns, "k" * 16)
    ((*_, cell),) = redactor.rows([(caller, other)])
    assert cell is None or isinstance(cell, str)
    return cell


@pytest.mark.parametrize("mode", ["last4", "hmac", "drop"])
@pytest.mark.parametrize(
    "spelled",
    [
        "https://example.com/rec?from=98765%2043210",
        "https://example.com/rec?from=%2B91%2098765%2D43210",
        "https://example.com/rec?from=98765+43210",
        "2026*03*13*98765_43210.mp3",
        "98765,43210",
        "98765:43210",
        "98765\t43210",
        "98765\u200b43210",
        '["98765","43210"]',
        NUMBER.translate(HINDI),
        NUMBER.translate(FULL_WIDTH),
        f"कॉल {NUMBER[2:7].translate(HINDI)} {NUMBER[7:].translate(HINDI)}",
    ],
)
def test_a_number_is_found_however_it_is_spelled(spelled: str, mode: str) -> None:
    """P2: nothing of the number is left, in no script and behind no encoding."""
    assert redacted(NUMBER, spelled, mode) == HIDDEN


@pytest.mark.parametrize("caller", [NUMBER.translate(HINDI), "98765\u200b43210", "\u202a+91 98765 43210\u202c"])
def test_the_redacted_cell_itself_may_be_spelled_in_that_way(caller: str) -> None:
    """P2: what is looked for elsewhere is the number, not its spelling."""
    assert redacted(caller, f"rec {NUMBER}") == "rec ***"


@pytest.mark.parametrize("between", ["/", " ", " / ", "-", "\t"])
def test_each_of_two_numbers_in_one_cell_is_hidden_elsewhere(between: str) -> None:
    """P2: also where nothing but what may stand inside a number stands between them."""
    for number in ("9876543210", "8012345678"):
        assert redacted(f"91987654 3210{between}91801234 5678", f"of {number}.") == "of ***."


@pytest.mark.parametrize(
    "cell", ["98765 and 43211", "100% of 98765", "%98765", "2026-03-13 09:00:00", "दिवाली १२३४५६७८९०"]
)
def test_what_is_not_the_number_stays(cell: str) -> None:
    """P2: other digits are not hidden."""
    assert redacted(NUMBER, cell) == cell
