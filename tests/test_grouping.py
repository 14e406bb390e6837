"""One file per campaign or agent."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import DAY as WINDOW

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import IncompleteReportError, TableError
from airflow_provider_callreport.api.settings import settings_from_connection
from airflow_provider_callreport.export.groups import (
    MAX_GROUPS,
    GroupSpool,
    check_placeholder,
    index_key,
    place,
    safe_names,
)
from airflow_provider_callreport.export.road import Export, ExportRequest, default_filename, export_report
from airflow_provider_callreport.export.sinks import FilePlan, GroupedFiles
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import Column, ReportOutcome, RunIdentity
from airflow_provider_callreport.sandbox.calls import Call, ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp
from airflow_provider_callreport.sandbox.settings import SandboxSettings

DAY = WINDOW.local_start


def client_of(server: SandboxServer) -> CallReportClient:
    fields = json.loads(server.connection_json())
    settings = settings_from_connection(
        host=fields["host"], port=None, scheme=None, login=fields["login"], password=fields["password"], extra={}
    )
    return CallReportClient(settings)


def grouped(**changes: object) -> ExportRequest:
    return ExportRequest(**{"report": "calls", "window": WINDOW, "group_by": "Campaign", **changes})  # type: ignore[arg-type]


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_every_call_is_in_the_file_of_its_campaign_and_in_no_other(tmp_path: Path) -> None:
    """The groups' files partition the report, in the report's order, whatever the number of pages."""
    with SandboxServer(SandboxSettings(calls=SyntheticCalls(700))) as server, client_of(server) as client:
        whole = Export(client, grouped(group_by=None), tmp_path).make_files()
        rows = read(whole.files[0].path)
        made = Export(client, grouped(), tmp_path).make_files()
    campaigns = sorted({row["Campaign"] or "(none)" for row in rows})
    assert len(campaigns) > 2
    assert len(made.files) == len(campaigns)
    for campaign, file in zip(campaigns, made.files, strict=True):
        expected = [row for row in rows if (row["Campaign"] or "(none)") == campaign]
        assert read(file.path) == expected
        assert file.rows == len(expected)
        assert file.filename == f"calls_{DAY.date()}_{file.group}.csv"
    assert sum(file.rows for file in made.files) == made.outcome.rows == 700


def test_a_report_that_is_read_again_has_each_call_once(tmp_path: Path) -> None:
    """proved-total, alike-calls: what the first reading had put into the groups is not in the files of the second."""
    calls = SyntheticCalls(450)
    with SandboxServer(
        SandboxSettings(calls=calls, faults=[Fault("shrinking_total", rows=3)], report_count="missing")
    ) as server:
        with client_of(server) as client:
            made = Export(client, grouped(), tmp_path).make_files()
        assert [request.page for request in server.requests].count(0) == 3, "it was read until it stood still"
    held = [read(file.path) for file in made.files]
    assert list(map(len, held)) == [file.rows for file in made.files]
    assert sum(map(len, held)) == made.outcome.rows == 447


@pytest.mark.parametrize("change", [lambda parked: parked + parked, lambda parked: b""], ids=["more", "fewer"])
def test_a_group_that_changed_on_disk_is_red(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """whole-or-red: what is written for a group is counted against what came."""
    info, outcome = grouped().info(), ReportOutcome(2, 2, True, "Complete.")
    columns = [Column("Campaign"), Column("Status")]
    plan = FilePlan(tmp_path, columns, info, FORMATS["csv"], FORMATS["csv"].check_options({}), "a")
    sink = GroupedFiles(plan, "Campaign")
    sink.write([("Sales", "Missed"), ("Sales", "Missed")])
    (parked,) = tmp_path.iterdir()
    parked.write_bytes(change(parked.read_bytes()))
    with pytest.raises(IncompleteReportError, match=r"not whole: [04] of 2 calls came; page 0:"):
        sink.close(outcome)
    sink.abort()


@pytest.mark.parametrize("file_format", ["xlsx", "pdf"])
def test_each_spreadsheet_and_pdf_is_a_whole_file_of_its_own(tmp_path: Path, file_format: str) -> None:
    """Formats that cannot be reopened are written one after another, in the same bytes each time."""
    with SandboxServer(SandboxSettings(calls=SyntheticCalls(60))) as server, client_of(server) as client:
        request = grouped(file_format=file_format, format_options={})
        first = Export(client, request, tmp_path, wants_figures=True).make_files()
        hashes = [file.sha256 for file in first.files]
        second = Export(client, request, tmp_path, wants_figures=True).make_files()
    assert len(set(hashes)) == len(hashes) > 1
    assert hashes == [file.sha256 for file in second.files]
    assert not list(tmp_path.glob("group-*"))


def test_groups_go_to_their_keys_and_into_one_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 gets an object per group, and the mail has all of them attached."""
    from airflow_provider_callreport.delivery.email import EmailDestination
    from airflow_provider_callreport.delivery.s3 import S3Destination

    run = RunIdentity("dag", "task", "run")
    with (
        SandboxServer(SandboxSettings(calls=SyntheticCalls(90))) as server,
        SandboxS3() as s3,
        SandboxSmtp() as smtp,
        client_of(server) as client,
    ):
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", s3.connection_json())
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", smtp.connection_json())
        summary = export_report(
            client,
            grouped(),
            run=run,
            destination=S3Destination("reports", "calls/campaign=[[ group ]]/calls.csv"),
            email=EmailDestination(to="head@example.com"),
        )
        keys = [key for key in s3.keys("reports") if "_index" not in key]
        attachments = [part.get_filename() for part in smtp.messages[0].message.iter_attachments()]
        assert len(smtp.messages) == 1
        assert sum(len(read_bytes(s3.read(key, "reports"))) for key in keys) == 90
    assert sorted(file.uri or "" for file in summary.files) == [f"s3://reports/{key}" for key in sorted(keys)]
    assert all(key.startswith("calls/campaign=") and "[[" not in key for key in keys)
    assert len(attachments) == len(keys) == len(summary.files) > 2


def read_bytes(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_an_empty_report_gives_one_file_that_says_so(tmp_path: Path) -> None:
    """empty-report: `empty="write"` delivers something even when there is no group."""
    with SandboxServer(SandboxSettings(calls=ListedCalls([]))) as server, client_of(server) as client:
        made = Export(client, grouped(), tmp_path).make_files()
    assert [(file.group, file.rows) for file in made.files] == [("no calls", 0)]
    assert read(made.files[0].path) == []


def test_a_group_column_that_the_file_does_not_have_is_named(tmp_path: Path) -> None:
    """Grouping by a dropped column would show what was to be hidden."""
    with SandboxServer(SandboxSettings(calls=SyntheticCalls(5))) as server, client_of(server) as client:
        request = grouped(group_by="Agents", redact={"Agents": "drop"})
        with pytest.raises(
            TableError, match="group_by names 'Agents', which is not a column of the file; it has Caller Num"
        ):
            Export(client, request, tmp_path).make_files()


def test_a_label_of_the_vendors_cannot_break_the_message(tmp_path: Path) -> None:
    """no-leak: control characters and phone numbers in labels stay out of the sentence that lists them."""
    with pytest.raises(TableError) as failed:
        GroupSpool(tmp_path, [Column("Evil\r\nERROR \x1b[31m 919876543210")], "Campaign")
    assert str(failed.value).endswith("it has Evil ERROR [31m ***")


def test_groups_by_a_redacted_column_show_only_what_is_left(tmp_path: Path) -> None:
    """no-leak: the group's name is the redacted value."""
    calls = [Call(DAY.replace(tzinfo=None), cells={"Caller Number": "919876543210", "Campaign": "Sales"})]
    with SandboxServer(SandboxSettings(calls=ListedCalls(calls))) as server, client_of(server) as client:
        request = grouped(group_by="Caller Number", redact={"Caller Number": "last4"})
        made = Export(client, request, tmp_path).make_files()
    assert [file.group for file in made.files] == ["3210-ad27496909"]


def test_too_many_groups_are_refused(tmp_path: Path) -> None:
    """A column of ids does not become ten thousand files."""
    spool = GroupSpool(tmp_path, [Column("Id")], "Id")
    spool.add([(str(number),) for number in range(MAX_GROUPS)])
    with pytest.raises(TableError, match=f"gives more than {MAX_GROUPS} files"):
        spool.add([("one more",)])


def test_names_are_safe_and_differ() -> None:
    """No path, no control character, no two names that a file system takes for one."""
    names = ["Sales", "sales", "a/b", "a:b", "../../etc", "अनिल", "x\ny", ""]
    safe = safe_names(names)
    assert safe["अनिल"] == "अनिल"
    assert re.fullmatch(r"etc-[0-9a-f]{10}", safe["../../etc"])
    assert len({name.casefold() for name in safe.values()}) == len(names)
    assert not any(set("/\\\n:") & set(name) for name in safe.values())


#: Values that have been, or could be, taken for one another.
ALIKE = [
    "a/b",
    "a?b",
    "a_b",
    "A_B",
    "a_b-c14cddc033",
    "A_B-C14CDDC033",
    "a_b ",
    "a_b.",
    "a_b..",
    ".a_b",
    "_a_b",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "cafe\N{COMBINING ACUTE ACCENT}",
    "CAF\N{LATIN CAPITAL LETTER E WITH ACUTE}",
    "x" * 80,
    "x" * 81,
    "x" * 82,
    "\N{DEVANAGARI LETTER A}" * 60,
    "\N{DEVANAGARI LETTER A}" * 61,
    "CON",
    "con.2026",
    "\udc80",
    "\udc81",
    "/",
    "//",
    "",
    "(none)",
    "(None)",
    "no calls",
    "group",
    "_index.csv.json",
    "stra\N{LATIN SMALL LETTER SHARP S}e",
    "STRASSE",
]


def test_groups_never_share_a_name_now_or_later() -> None:
    """same-rows: whatever the other groups are, no group gets a name that another had, on any file system."""
    together = safe_names(ALIKE)
    used: dict[str, str] = {}
    for value in ALIKE:
        for name in (together[value], safe_names([value])[value]):
            folded = unicodedata.normalize("NFC", name)
            assert used.setdefault(folded, value) == value, f"{value!r} and {used[folded]!r} share {name!r}"
    assert len({unicodedata.normalize("NFC", name).casefold() for name in together.values()}) == len(ALIKE)
    for name in together.values():
        assert name == name.strip(". ")
        assert not name.startswith("_"), "Spark and Athena pass over it"
        assert len(name.encode()) <= 200
    assert safe_names(["Asha Rao", "अनिल", "R&D", "O'Neil", "50%"]) == {
        "Asha Rao": "Asha Rao",
        "अनिल": "अनिल",
        "R&D": "R&D",
        "O'Neil": "O'Neil",
        "50%": "50_-" + hashlib.sha256(b"50%").hexdigest()[:10],
    }


@given(names=st.lists(st.text(max_size=90), unique=True, max_size=12))
def test_any_values_have_names_of_their_own(names: list[str]) -> None:
    """same-rows: hypothesis finds no two values with one name, on file systems that ignore case and normal form."""
    safe = safe_names(names)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in safe.values()}) == len(names)


def test_empty_cells_and_a_text_that_is_called_so_are_two_groups(tmp_path: Path) -> None:
    """same-rows: "(none)" and "no calls" are also what a campaign can be called."""
    plan_of = FilePlan(
        tmp_path,
        [Column("Campaign")],
        grouped().info(),
        FORMATS["csv"],
        FORMATS["csv"].check_options({}),
        "[[ group ]]",
    )
    sink = GroupedFiles(plan_of, "Campaign")
    sink.write([(None,), ("(none)",), ("no calls",), (None,)])
    files = sink.close(ReportOutcome(4, 4, True, "Complete."))
    assert [(file.group, file.rows, file.group_value) for file in files] == [
        ("(none)", 2, "(none)"),
        ("(none)-" + hashlib.sha256(b"(none)").hexdigest()[:10], 1, "(none)"),
        ("no calls-" + hashlib.sha256(b"no calls").hexdigest()[:10], 1, "no calls"),
    ]


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("calls/[[ group ]].csv", "calls/_index.csv.json"),
        ("[[group]].jsonl", "_index.jsonl.json"),
        ("calls/agent=[[ group ]]/day.csv", "calls/_index_agent=_day.csv.json"),
        ("calls/[[ group ]]/day.csv", "calls/_index_day.csv.json"),
        ("calls/[[ group ]]/[[ group ]].csv", "calls/_index.csv.json"),
        ("calls/day-[[ group ]].xlsx", "calls/_index_day-.xlsx.json"),
        ("calls/day.pdf", "calls/_index_day.pdf.json"),
        ("day.pdf", "_index_day.pdf.json"),
    ],
)
def test_the_index_is_in_the_folder_where_names_begin_to_differ(key: str, index: str) -> None:
    """true-docs: as the module's table says; another format or another key has another index."""
    assert index_key(key) == index


@pytest.mark.parametrize(
    ("text", "group_by", "sentence"),
    [
        ("calls.csv", "Campaign", r"group_by is set and s3_key has no \[\[ group \]\]"),
        ("[[group]].csv", None, r"s3_key has \[\[ group \]\] and group_by is not set"),
    ],
)
def test_placeholder_and_group_by_go_together(text: str, group_by: str | None, sentence: str) -> None:
    """Without the placeholder all groups would overwrite one key."""
    with pytest.raises(ValueError, match=sentence):
        check_placeholder("s3_key", text, group_by)


def test_default_filename_has_the_placeholder() -> None:
    """Attachments differ by name."""
    assert default_filename(grouped()) == f"calls_{DAY.date()}_[[ group ]].csv"


@pytest.mark.parametrize(("calls", "rows"), [(0, [0]), (50, [50]), (51, [50, 1]), (150, [50, 50, 50])])
def test_a_pdf_over_its_limit_is_split_into_parts(tmp_path: Path, calls: int, rows: list[int]) -> None:
    """pdf-text: `over_max_rows="split"`: parts of `max_rows` rows, together the whole report; one file when it fits."""
    options = FORMATS["pdf"].check_options({"max_rows": 50, "over_max_rows": "split"})
    request = grouped(group_by=None, file_format="pdf", format_options=options, page_size=40)
    with SandboxServer(SandboxSettings(calls=SyntheticCalls(calls))) as server, client_of(server) as client:
        made = Export(client, request, tmp_path, wants_figures=True).make_files()
    assert [file.rows for file in made.files] == rows
    names = [f"calls_{DAY.date()}-part-{number + 1}.pdf" for number in range(len(rows))]
    assert [file.filename for file in made.files] == (names if len(rows) > 1 else [f"calls_{DAY.date()}.pdf"])
    assert all(file.path.read_bytes().startswith(b"%PDF-") for file in made.files)


def test_split_and_groups_exclude_each_other(tmp_path: Path) -> None:
    """One file name cannot say both."""
    options = FORMATS["pdf"].check_options({"over_max_rows": "split"})
    request = grouped(file_format="pdf", format_options=options)
    with (
        SandboxServer(SandboxSettings(calls=SyntheticCalls(5))) as server,
        client_of(server) as client,
        pytest.raises(ValueError, match='over_max_rows is "split" and group_by is set; choose one of the two'),
    ):
        Export(client, request, tmp_path, wants_figures=True).make_files()


def test_parts_have_keys_of_their_own() -> None:
    """The part goes before the suffix, or where the placeholder stands."""
    assert place("a.b/calls.csv.gz", "part-2") == "a.b/calls-part-2.csv.gz"
    assert place("calls/[[ group ]].pdf", "part-2") == "calls/part-2.pdf"
    assert place("calls.pdf", "") == "calls.pdf"
