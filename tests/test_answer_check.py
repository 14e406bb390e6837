"""An error that comes as HTTP 200 with ``data: []`` and the truth in another key is no report without calls."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import DAY, ScriptedServer, client_settings, json_answer

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import AnswerError, IncompleteReportError
from airflow_provider_callreport.api.paging import ReportReader

ROWS = [{"callId": str(number)} for number in range(10)]


def calls_in(*answers: Any) -> int:
    """Read a report from these answers."""
    with ScriptedServer(*map(json_answer, answers)) as server:
        reader = ReportReader(CallReportClient(client_settings(server.url)), "calls", {}, DAY, page_size=10)
        return sum(len(page.records) for page in reader.pages())


@pytest.mark.parametrize("cnt", [{"cnt": 0}, {}])
@pytest.mark.parametrize(
    ("error", "says"),
    [
        ({"success": False, "message": "The database is down."}, "success"),
        ({"success": "false"}, "success"),
        ({"ok": False}, "ok"),
        ({"timed_out": True}, "timed_out"),
        ({"status": "Queued"}, "status"),
        ({"status": "timeout"}, "status"),
        ({"statusCode": 502, "message": "Bad gateway"}, "statusCode"),
        ({"err": "caller 919876543210 is unknown"}, "err"),
        ({"errorCode": 1014, "errorMessage": "Invalid token"}, "errorCode"),
    ],
)
def test_an_error_is_no_day_without_calls(error: dict[str, Any], says: str, cnt: dict[str, int]) -> None:
    """whole-or-red: the sentence names the key, and nothing of what stands in it."""
    with pytest.raises(AnswerError, match=f"the answer is no result: its key {says} does not say") as caught:
        calls_in({"data": [], **cnt, **error})
    assert caught.value.retryable is True
    assert "9198" not in str(caught.value)


def test_rows_beside_a_timeout_are_no_page() -> None:
    """empty-is-proved: a search that gave up has some rows and their number; so it is red, on a later page as well."""
    with pytest.raises(AnswerError, match="its key timed_out does not say that all is well"):
        calls_in({"data": ROWS, "cnt": 10, "timed_out": True})
    with pytest.raises(IncompleteReportError, match=r"not whole: 10 of 20 .*; page 1: .* key success does not say"):
        calls_in({"data": ROWS, "cnt": 20}, {"data": [], "cnt": 20, "success": False})


@pytest.mark.parametrize(
    "beside",
    [
        {},
        {"success": True, "ok": 1, "timed_out": False, "status": "success", "statusCode": 200},
        {"err": None, "errorCode": 0, "error_code": "0", "errorMessage": "", "error_message": []},
    ],
)
def test_a_day_without_calls_stays_one(beside: dict[str, Any]) -> None:
    """empty-is-proved: keys that say that all is well do not make a right report red."""
    assert calls_in({"data": [], "cnt": 0, **beside}) == 0
