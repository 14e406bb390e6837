"""``column_names``: names of columns that databases take, the same in every format and in the summary."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.api import DAY, client_of, sandbox
from support.format import SIXTEEN, csv_lines

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.export.column_names import named_columns, snake_case_names
from airflow_provider_callreport.export.road import Export, ExportRequest
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import Column, ColumnKind

VENDORS = [
    "caller_number", "time", "did_number", "campaign", "agents", "master_agent", "call_duration", "customer_duration",
    "total_talk_duration", "agent_on_call_duration", "amount", "rec", "status", "details", "forward", "dtmf",
]  # fmt: skip


def test_the_vendors_columns_become_names_of_a_database() -> None:
    """`Caller Number` and `Rec.` are no names in BigQuery and Spark; kinds and sources stay."""
    columns = named_columns(SIXTEEN, "snake_case")
    assert [column.label for column in columns] == VENDORS
    assert [(column.kind, column.source) for column in columns] == [(c.kind, c.label) for c in SIXTEEN]
    assert named_columns(SIXTEEN, "as_is") == tuple(SIXTEEN)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["callId", "ivrSTime", "DTMFInput", "cNum2"], ["call_id", "ivr_s_time", "dtmf_input", "c_num2"]),
        (["Rec.", "Rec", "rec "], ["rec", "rec_2", "rec_3"]),
        (["Rec.", "Rec", "Rec 2"], ["rec", "rec_3", "rec_2"]),
        (["Score (10)", "Score"], ["score_10", "score"]),
        (["1st call", "%", "?", ""], ["_1st_call", "column", "column_2", "column_3"]),
        (["Durée", "Größe", "I\u0307d", "_TABLE_x"], ["duree", "grosse", "id", "table_x"]),
        (["नाम", "কল আইডি"], ["नाम", "কল_আইডি"]),
        (["x" * 80, "x" * 81], ["x" * 56, "x" * 56 + "_2"]),
    ],
)
def test_any_label_becomes_one_name(labels: list[str], names: list[str]) -> None:
    """Camel case is parted, accents go, other scripts stay; labels that would be one name get a number."""
    assert snake_case_names(labels) == names


@given(st.lists(st.text(max_size=8), max_size=8))
def test_names_are_unique_whatever_the_labels_are(labels: list[str]) -> None:
    """No two columns get one name, also for readers that ignore case; a name has letters, digits and underscores."""
    names = snake_case_names(labels)
    assert len({name.casefold() for name in names}) == len(labels)
    assert all(name and len(name.encode()) < 255 and not re.search(r"[\s.,;{}()=\"'`-]", name) for name in names)
    assert snake_case_names(labels) == names


def test_another_value_is_refused_in_one_sentence() -> None:
    """The sentence names the argument, what it was and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        named_columns([Column("Time", ColumnKind.DATETIME)], "snake")
    assert str(caught.value) == "column_names is 'snake' (did you mean 'snake_case'?); allowed are as_is, snake_case"


def test_the_file_the_summary_and_renamed_columns_have_the_same_names(tmp_path: Path) -> None:
    """The header and `MadeFiles.columns` (XCom's ``columns``) agree; figures and ``group_by`` find the API's label."""
    chosen = {"Agents": "Agent Name", "Rec.": "Rec.", "Caller Number": "Caller Number"}
    names = ["agent_name", "rec", "caller_number"]
    with sandbox() as server, client_of(server) as client:
        for group_by in (None, "Agents"):
            request = ExportRequest(
                *("calls", DAY),
                columns=chosen,
                column_names="snake_case",
                redact={"Caller Number": "last4"},
                group_by=group_by,
                format_options=FORMATS["csv"].check_options({}),
            )
            made = Export(client, request, tmp_path, wants_figures=True).make_files()
            assert [column.label for column in made.columns] == names
            assert {tuple(csv_lines(file.path)[0]) for file in made.files} == {tuple(names)}
            assert made.outcome.figures is not None
            assert made.outcome.figures.by_agent
