"""The operators inside real Airflow, against real servers: what Airflow, S3 and the readers of the mail get to see."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from support.operators import CALLS, MASKED_CALLS, TAKEN, WIDE_LABELS, operators_run
from support.runs import AIRFLOW, KOLKATA, AirflowRuns, Evidence, TaskEvidence

from airflow_provider_callreport.export.summary import ExportSummary, FileSummary
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome
from airflow_provider_callreport.sandbox.call import LABELS
from airflow_provider_callreport.sandbox.servers import ReceivedMail

#: The public contract of the return value (design, section 2).
XCOM_KEYS = {
    "report",
    "file_format",
    "window",
    "rows",
    "reported_total",
    "pages",
    "duplicates_dropped",
    "columns",
    "schema_id",
    "redacted_columns",
    "files",
    "emailed_to",
}
WINDOW = {"start": "2026-03-13T00:00:00+05:30", "end": "2026-03-14T00:00:00+05:30", "timezone": "Asia/Kolkata"}


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return operators_run(airflow_runs)


def test_csv_in_s3_holds_the_calls_of_the_data_interval(run: Evidence) -> None:
    """exact-window: the calls from the interval's first second to its last, in the account's zone, and no neighbour."""
    rows = csv_rows(run, "csv/2026-03-13.csv")
    assert [row["Caller Number"] for row in rows] == [call.number for call in CALLS]
    assert [row["Time"] for row in rows] == [str(call.time) for call in CALLS]
    asked = {
        (request.body["filter"]["dtGte"], request.body["filter"]["dtLte"])
        for request in run.requests["callreport_default"]
        if request.body
    }
    assert asked == {("2026-03-13 00:00:00", "2026-03-13 23:59:59")}


def test_xlsx_in_s3_holds_every_call(run: Evidence) -> None:
    """excel-cells: the file is a workbook with one row a call, numbers as text."""
    stored = run.objects["xlsx/calls.xlsx"]
    sheet = load_workbook(io.BytesIO(stored.body))["Calls"]
    header, *rows = sheet.iter_rows(values_only=True)
    assert header == LABELS
    assert [row[0] for row in rows] == [call.number for call in CALLS]
    assert stored.content_type == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def test_pdf_in_s3_is_a_pdf(run: Evidence) -> None:
    """pdf-text: the object is a PDF, and its summary says how many calls it shows."""
    stored = run.objects["pdf/calls.pdf"]
    assert stored.body.startswith(b"%PDF-")
    assert stored.body.rstrip().endswith(b"%%EOF")
    assert stored.content_type == "application/pdf"
    assert run.task("exports", "pdf_to_s3").xcom["rows"] == len(CALLS)


def test_mask_list_operator_reads_the_mask_list(run: Evidence) -> None:
    """`MaskListToS3Operator` asks ``masklist`` and writes the masked calls."""
    rows = csv_rows(run, "masked/calls.csv")
    assert [row["Caller Number"] for row in rows] == [call.number for call in MASKED_CALLS]
    assert run.task("exports", "masked_to_s3").xcom["report"] == "masked_calls"


def test_mail_goes_to_everybody_with_the_file(run: Evidence) -> None:
    """one-mail: one mail to all recipients, the blind ones in no header, the file attached, the subject filled in."""
    mail = mail_to(run, "head@example.com")
    assert mail.recipients == ("head@example.com", "analyst@example.com", "copy@example.com", "hidden@example.com")
    assert mail.message["Subject"] == f"xlsx_by_mail: {len(CALLS)} calls"
    assert b"hidden@example.com" not in mail.content
    (attachment,) = mail.message.iter_attachments()
    assert attachment.get_filename() == "calls_2026-03-13.xlsx"
    xcom = run.task("exports", "xlsx_by_mail").xcom
    assert xcom["emailed_to"] == list(mail.recipients)
    assert xcom["files"] == [
        {
            "filename": "calls_2026-03-13.xlsx",
            "rows": len(CALLS),
            "bytes": len(content_of(attachment)),
            "sha256": sha256(content_of(attachment)),
        }
    ]


def test_s3_and_mail_get_the_same_file(run: Evidence) -> None:
    """One file, two destinations, the same bytes."""
    (attachment,) = mail_to(run, "both@example.com").message.iter_attachments()
    assert content_of(attachment) == run.objects["both/calls.pdf"].body


def test_oversized_mail_has_a_link_instead_of_the_file(run: Evidence) -> None:
    """one-mail: on_oversize="link" is the default with S3; the mail has the presigned address and no attachment."""
    message = mail_to(run, "linked@example.com").message
    assert list(message.iter_attachments()) == []
    html = message.get_body(("html",))
    assert html is not None
    assert "linked/calls.csv" in html.get_content()
    assert "X-Amz-Expires=3600" in html.get_content()


def test_columns_are_picked_ordered_renamed_and_redacted(run: Evidence) -> None:
    """redacted-cells: the file has exactly the chosen columns under their new names, and of the number four digits."""
    body = run.objects["columns/calls.csv"].body.decode()
    assert list(csv.reader(io.StringIO(body), delimiter=";")) == [
        ["Outcome", "Phone", "Seconds"],
        ["Answered", "********1202", "32"],
    ]
    xcom = run.task("exports", "columns_renamed").xcom
    assert xcom["columns"] == ["Outcome", "Phone", "Seconds"]
    assert xcom["redacted_columns"] == ["Caller Number", "DID Number"]


def test_filters_reach_the_api_and_stay_out_of_the_rendered_fields(run: Evidence) -> None:
    """no-leak: the API gets the rendered number, Airflow's database shows ``***`` and the rest of the filter."""
    filters = [request.body["filter"] for request in run.requests["callreport_default"] if request.body]
    assert {one["cNum"] for one in filters if "agent" in one} == {"919876501202"}
    assert {one["remark"] for one in filters if "remark" in one} == {"asked for +91 98765 01234"}
    # Airflow 2 keeps an object of ours as text.
    shown = str if AIRFLOW < (3, 0) else dict
    assert run.task("exports", "columns_renamed").rendered["filters"] == shown({"cNum": "***", "agent": ["Asha Rao"]})
    for index in (0, 1):
        assert run.task("exports", "mapped", index).rendered["filters"] == shown({"remark": "asked for ***"})


def test_groups_get_a_file_each(run: Evidence) -> None:
    """``group_by``: one object per status, together the whole report, each with its own line in the summary."""
    xcom = run.task("exports", "grouped").xcom
    assert [file["uri"] for file in xcom["files"]] == [
        f"s3://reports/grouped/{status}.csv" for status in ("Answered", "Busy", "Missed")
    ]
    numbers = [row["Caller Number"] for file in xcom["files"] for row in csv_rows(run, key_of(file))]
    assert sorted(numbers) == sorted(call.number for call in CALLS)
    assert sum(file["rows"] for file in xcom["files"]) == xcom["rows"] == xcom["reported_total"] == len(CALLS)


@pytest.mark.parametrize(("policy", "state"), [("write", "success"), ("skip", "skipped"), ("fail", "failed")])
def test_empty_report_does_as_it_is_told(run: Evidence, policy: str, state: str) -> None:
    """empty-report: written with its header, skipped, or failed; nothing is delivered but under ``write``."""
    task = run.task("exports", f"empty_{policy}")
    assert task.state == state
    assert (f"empty/{policy}.csv" in run.objects) == (policy == "write")
    if policy == "write":
        assert csv_rows(run, "empty/write.csv") == []
        assert (task.xcom["rows"], task.xcom["reported_total"]) == (0, 0)
    else:
        assert task.xcom is None


def test_taken_key_is_replaced(run: Evidence) -> None:
    """if-exists: ``replace`` overwrites another run's object."""
    assert run.task("exports", "taken_replace").state == "success"
    assert len(csv_rows(run, "taken/replace.csv")) == len(CALLS)


def test_taken_key_fails_at_once(run: Evidence) -> None:
    """if-exists: ``fail`` leaves the object as it is, names it, and is not tried again."""
    task = run.task("exports", "taken_fail")
    assert (task.state, task.tries) == ("failed", 1)
    assert "s3://reports/taken/fail.csv exists already and was not written by this run" in task.log
    assert run.objects["taken/fail.csv"].body == TAKEN


def test_taken_key_is_skipped(run: Evidence) -> None:
    """if-exists: ``skip`` leaves the object as it is, and the summary says that it is not this file."""
    task = run.task("exports", "taken_skip")
    assert task.state == "success"
    assert run.objects["taken/skip.csv"].body == TAKEN
    (file,) = task.xcom["files"]
    assert file["status"] == "skipped"
    assert file["sha256"] != sha256(TAKEN)


def test_retry_after_its_own_upload_succeeds(run: Evidence) -> None:
    """if-exists: under ``fail``, a second try finds the first one's object and is content with it."""
    task = run.task("exports", "own_upload_again")
    assert (task.state, task.tries) == ("success", 2)
    assert len(csv_rows(run, "own/calls.csv")) == len(CALLS)


def test_incomplete_report_fails_and_delivers_nothing(run: Evidence) -> None:
    """whole-or-red: a report that is not whole is a failed task that says what came and what was promised."""
    task = run.task("exports", "incomplete_fail")
    assert task.state == "failed"
    assert f"not whole: {len(CALLS)} of {len(CALLS) - 2} calls came" in task.log
    assert "incomplete/fail.csv" not in run.objects


def test_incomplete_report_is_delivered_with_a_warning(run: Evidence) -> None:
    """whole-or-red: under ``warn`` the numbers are in the summary, the log, the object's metadata and the mail's
    subject.
    """
    task = run.task("exports", "incomplete_warn")
    assert task.state == "success"
    assert (task.xcom["rows"], task.xcom["reported_total"]) == (len(CALLS), len(CALLS) - 2)
    assert any("warning" in line.lower() and str(len(CALLS) - 2) in line for line in task.log.splitlines())
    assert run.objects["incomplete/warn.csv"].metadata["complete"] == "no"
    assert mail_to(run, "warned@example.com").message["Subject"].startswith("INCOMPLETE: ")


def test_fatal_error_costs_one_request_and_one_try(run: Evidence) -> None:
    """error-kinds: refused credentials fail the task at once although it has two retries, and say how to fix the
    connection.
    """
    task = run.task("exports", "fatal")
    assert (task.state, task.tries) == ("failed", 1)
    assert len(run.requests["callreport_fatal"]) == 1
    assert "code 1014: Invalid token. Correct User id and Token in the Airflow connection" in task.log


def test_transient_error_is_left_to_airflow(run: Evidence) -> None:
    """error-kinds: when the client's own patience is used up, Airflow tries the task again, and it succeeds."""
    task = run.task("exports", "transient")
    assert (task.state, task.tries) == ("success", 2)
    assert len(csv_rows(run, "transient.csv")) == len(CALLS)


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="Airflow has no task state store before 3.3")
def test_retried_and_cleared_task_mails_once(run: Evidence) -> None:
    """one-mail: a task that died after its mail, was tried again and was then cleared has sent one mail
    (Airflow 3.3).
    """
    task = run.task("exports", "mailed_once")
    assert (task.state, task.tries) == ("success", 3)
    assert task.log.count("was sent by an earlier try of this run; it is not sent again") == 2
    assert len([mail for mail in run.mails["smtp_default"] if "once@example.com" in mail.recipients]) == 1
    assert task.xcom["emailed_to"] == ["once@example.com"]


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="Airflow has no task state store before 3.3")
def test_a_mail_in_doubt_is_sent_when_the_task_is_cleared(run: Evidence) -> None:
    """one-mail: nobody knows whether it went: red without another try, although there are two; cleared, it sends."""
    task = run.task("exports", "mail_in_doubt")
    assert (task.state, task.tries) == ("success", 2)
    assert "it may have gone" in task.log
    assert "The task said so and was cleared: it is sent." in task.log
    assert [mail.recipients for mail in run.mails["smtp_dropping"]] == [("doubt@example.com",)]


def test_arguments_come_from_other_tasks(run: Evidence) -> None:
    """An XComArg works for report, columns and recipients; it is checked when it is known."""
    xcom = run.task("exports", "from_xcom").xcom
    assert (xcom["report"], xcom["columns"], xcom["emailed_to"]) == (
        "masked_calls",
        ["Time", "Status"],
        ["given@example.com"],
    )


def test_mapped_tasks_export_each_their_own(run: Evidence) -> None:
    """``partial().expand_kwargs()``: one task instance a mapping; a wrong one fails alone and is not tried again."""
    assert [run.task("exports", "mapped", index).xcom["rows"] for index in (0, 1)] == [len(CALLS), len(MASKED_CALLS)]
    assert [row["Caller Number"] for row in csv_rows(run, "mapped/masked.csv")] == [c.number for c in MASKED_CALLS]
    wrong = run.task("exports", "mapped", 2)
    assert (wrong.state, wrong.tries) == ("failed", 1)
    assert "report is 'call' (did you mean 'calls'?); allowed are calls, masked_calls" in wrong.log


def test_shared_defaults_do_not_make_the_mask_list_operator_mail(run: Evidence) -> None:
    """A Dag's ``default_args`` may hold recipients for other tasks; `MaskListToS3Operator` has no mail."""
    task = run.task("shared_defaults", "masked_without_mail")
    assert task.state == "success"
    assert task.xcom["emailed_to"] == []
    assert not any("everybody@example.com" in mail.recipients for mail in run.mails["smtp_default"])


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="every run of Airflow 2 has a data interval")
@pytest.mark.parametrize(("task_id", "map_index"), [("no_window", -1), ("no_window_mapped", 0)])
def test_run_without_data_interval_fails_at_once(run: Evidence, task_id: str, map_index: int) -> None:
    """exact-window: a run started by hand exports nothing rather than everything, says what to set, and is not tried
    again.
    """
    task = run.task("by_hand", task_id, map_index)
    assert (task.state, task.tries) == ("failed", 1)
    assert "this run has no data interval" in task.log
    assert "set window_start and window_end" in task.log


def test_run_without_data_interval_takes_a_written_window(run: Evidence) -> None:
    """exact-window: a written window is all that such a run needs; a time without an offset is in the
    account's zone.
    """
    task = run.task("by_hand", "with_window")
    assert task.state == "success"
    assert task.xcom["window"] == WINDOW
    assert len(csv_rows(run, "by_hand/with_window.csv")) == len(CALLS)


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="a cron schedule of Airflow 2 has data intervals")
def test_empty_data_interval_fails_and_names_the_timetable(run: Evidence) -> None:
    """exact-window: Airflow 3 gives ``schedule="@daily"`` an interval without length; the sentence says what to write
    instead.
    """
    task = run.task("no_interval", "empty_interval")
    assert (task.state, task.tries) == ("failed", 1)
    assert 'CronDataIntervalTimetable("0 0 * * *", timezone="Asia/Kolkata")' in task.log


def test_summary_has_the_keys_of_the_contract(run: Evidence) -> None:
    """known-to-airflow: the XCom value of every export has the contract's keys and no others."""
    for (_, task_id, _), task in exports(run).items():
        further = {"wide": {"columns_omitted"}, "columns_renamed": {"undocumented_filters"}}
        further |= {"mapped": {"undocumented_filters"}, "grouped": {"index"}, "to_files": {"index"}}
        assert set(task.xcom) == XCOM_KEYS | further.get(task_id, set()), task_id
        for file in task.xcom["files"]:
            place = "uri" if "uri" in file else "filename"
            status = {"status"} if task_id == "taken_skip" else set()
            assert set(file) == {place, "rows", "bytes", "sha256"} | status, task_id
        assert task.xcom["window"] == WINDOW
        assert task.xcom["pages"] >= 1


def test_a_filter_that_nobody_documents_is_named(run: Evidence) -> None:
    """whole-or-red: in the log, the XCom value and the mail; a documented one is not."""
    task = run.task("exports", "columns_renamed")
    assert task.xcom["undocumented_filters"] == ["agent"]
    assert "filters has agent, not documented by the vendor; the API may take no notice of it" in task.log
    (mail,) = [mail for mail in run.mails["smtp_default"] if mail.recipients == ("renamed@example.com",)]
    body = mail.message.get_body(("plain",))
    assert body is not None
    assert "agent: Asha Rao (not documented); cNum: number ending in 02" in " ".join(body.get_content().split())
    assert run.task("exports", "mapped", 0).xcom["undocumented_filters"] == ["remark"]


def test_summary_fits_into_airflows_database(run: Evidence) -> None:
    """known-to-airflow: under 4 KB as stored, also of a report of 300 columns, and it says how many names it leaves
    out.
    """
    assert all(0 < task.xcom_bytes < 4096 for task in exports(run).values())
    wide = run.task("exports", "wide").xcom
    assert len(wide["columns"]) + wide["columns_omitted"] == len(WIDE_LABELS)
    assert wide["columns"] == list(WIDE_LABELS[: len(wide["columns"])])
    assert len(wide["columns"]) > 50


def test_summary_is_cut_where_it_is_longest() -> None:
    """known-to-airflow: a thousand files, three hundred columns in Hindi and as many readers fit, and what is left out
    is counted.
    """
    start = datetime(2026, 3, 13, tzinfo=KOLKATA)
    info = ReportInfo("calls", "Calls", start, start + timedelta(days=1), "Asia/Kolkata")
    file = ExportedFile(Path("report.csv"), "calls.csv", "text/csv", 5, 500, "0" * 64)
    summary = ExportSummary(
        info=info,
        outcome=ReportOutcome(5000, 5000, True, "Complete."),
        file_format="csv",
        columns=[f"प्रश्न {number}" for number in range(300)],
        pages=51,
        duplicates_dropped=0,
        files=[FileSummary(file, f"s3://reports/{number}.csv", "written") for number in range(1000)],
        emailed_to=[f"reader-{number}@example.com" for number in range(300)],
    )
    value = summary.to_xcom()
    assert 3800 < len(json.dumps(value)) < 4096
    for name, entries in {"columns": 300, "files": 1000, "emailed_to": 300}.items():
        assert len(value[name]) > 3
        assert len(value[name]) + value[f"{name}_omitted"] == entries
    assert "redacted_columns_omitted" not in value


def test_delivered_bytes_are_the_summarys(run: Evidence) -> None:
    """stored-bytes: size, SHA-256 and row count in XCom are those of the object, and of its metadata."""
    checked = 0
    for (_, task_id, _), task in exports(run).items():
        for file in task.xcom["files"]:
            if not file.get("uri", "").startswith("s3://") or "status" in file:
                continue
            stored = run.objects[key_of(file)]
            assert file["sha256"] == sha256(stored.body) == stored.metadata["sha256"], task_id
            assert file["bytes"] == len(stored.body)
            assert str(file["rows"]) == stored.metadata["rows"]
            checked += 1
    assert checked >= 15


def test_reports_are_read_in_as_few_requests_as_there_are_pages(run: Evidence) -> None:
    """few-requests: a clean run asks at most two times more than its calls fill pages."""
    pages = -(-len(CALLS) // 3)
    assert run.task("exports", "csv_to_s3").xcom["pages"] <= pages + 2
    assert len(run.requests["callreport_wide"]) <= 3


def test_nothing_is_left_behind(run: Evidence) -> None:
    """all-or-nothing: after successes and failures alike, the temporary directory holds no report."""
    assert [path for path in run.temp.rglob("*") if "callreport" in path.name] == []


def exports(run: Evidence) -> Mapping[tuple[str, str, int], TaskEvidence]:
    """Every task that exported something, but those of the Dag ``assets``, which has tests of its own."""
    found = {
        key: task
        for key, task in run.tasks.items()
        if task.state == "success" and key[0] != "assets" and key[1] != "wanted"
    }
    assert len(found) >= 20
    return found


def key_of(file: Mapping[str, Any]) -> str:
    """The key of a file of the summary."""
    uri: str = file["uri"]
    return uri.removeprefix("s3://reports/")


def csv_rows(run: Evidence, key: str) -> list[dict[str, str]]:
    """The rows of a CSV object."""
    return list(csv.DictReader(io.StringIO(run.objects[key].body.decode("utf-8-sig"))))


def mail_to(run: Evidence, address: str) -> ReceivedMail:
    """The one mail that went to an address."""
    (mail,) = [mail for mail in run.mails["smtp_default"] if address in mail.recipients]
    return mail


def content_of(part: EmailMessage) -> bytes:
    """The bytes of an attachment."""
    content: Any = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def sha256(content: bytes) -> str:
    """Lower-case hex."""
    return hashlib.sha256(content).hexdigest()
