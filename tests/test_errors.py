"""Every error of the package: one base, one tree, and all of it survives the way between processes."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re

import pytest

import airflow_provider_callreport
from airflow_provider_callreport import errors
from airflow_provider_callreport.api.errors import (
    AnswerChangedError,
    ApiError,
    AuthenticationError,
    IncompleteReportError,
    RateLimitedError,
    ReportChangedError,
    SettingsError,
    TransportError,
)
from airflow_provider_callreport.delivery.errors import DestinationRefusedError, RecipientsRefusedError
from airflow_provider_callreport.delivery.receipts import Refusal
from airflow_provider_callreport.errors import CallReportError
from airflow_provider_callreport.formats.pdf.fonts import FontError


def all_classes(base: type[CallReportError] = CallReportError) -> list[type[CallReportError]]:
    return [base, *(kind for one in base.__subclasses__() for kind in all_classes(one))]


def drawn() -> dict[str, str]:
    """Each class of the drawing and the one that it hangs below."""
    parents, stack = {}, ["CallReportError"]
    for depth, name in re.findall(r"^    ([│ ]*[├└])── (\w+)", errors.__doc__ or "", re.MULTILINE):
        level = len(depth) // 4 + 1
        stack[level:] = [name]
        parents[name] = stack[level - 1]
    return parents


def test_the_drawing_is_the_tree() -> None:
    """A class that is not drawn, or hangs elsewhere, is found here."""
    for module in pkgutil.walk_packages(airflow_provider_callreport.__path__, "airflow_provider_callreport."):
        if not re.search(r"\.(sandbox|__main__)", module.name):
            importlib.import_module(module.name)
    tree = {kind.__name__: kind.__mro__[1].__name__ for kind in all_classes()[1:] if "paging" not in kind.__module__}
    assert drawn() == {name: parent for name, parent in tree.items() if not name.startswith("_")}


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError(code=1, vendor_message="m", http_status=429, endpoint="list", page=3, retry_after=2.5),
        AuthenticationError(code=None, vendor_message="", http_status=401, endpoint="list"),
        IncompleteReportError("short", page=1, rows=2, promised=None, code=1009, retryable=True),
        AnswerChangedError(expected="rows by label", came="an array", where="page 3, row 17", page=3, rows=250),
        TransportError("refused", sent=False, retryable=False),
        SettingsError("Host is wrong"),
        FontError("no font"),
        DestinationRefusedError("no"),
        RecipientsRefusedError("no", [Refusal("a@example.com", 450, "later")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_to_another_process(error: CallReportError) -> None:
    """Airflow hands errors from the task's process to others: class, text and all that it carries stay."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.retryable == error.retryable


def test_an_answer_that_changed_says_what_was_expected_what_came_and_where() -> None:
    """The report is read again, as after every `ReportChangedError`."""
    error = AnswerChangedError(expected="label 'Time'", came="'Call Time'", where="page 1", rows=5, promised=9000)
    assert str(error) == (
        "not whole: 5 of 9,000 calls came; page 1: an answer is unlike those of this account: "
        "expected label 'Time'; came 'Call Time'"
    )
    assert isinstance(error, ReportChangedError)
    assert error.retryable


def test_what_was_a_value_error_still_is_one() -> None:
    """Code that catches `ValueError` for wrong input keeps working."""
    assert [kind.__name__ for kind in all_classes() if issubclass(kind, ValueError)] == [
        "SettingsError",
        "WindowError",
        "FontError",
        "PdfTooManyRowsError",
    ]
    assert not issubclass(ApiError, ValueError)
