"""The tables of docs/ name what the code has: fields, formats, placeholders, keys, modes, errors."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import boto3
import pytest
from support.readme import README, code_blocks, codes, is_literal, page, section, table

from airflow_provider_callreport.api.errors import CODE_TABLE, ApiError
from airflow_provider_callreport.api.profile import KNOWN_FIELDS, KNOWN_LABELS
from airflow_provider_callreport.connection import (
    CONNECTION_FIELDS,
    DEFAULT_HOST,
    FURTHER_EXTRAS,
    HOOK_NAME,
    RELABELING,
)
from airflow_provider_callreport.delivery.mail_body import mail_context
from airflow_provider_callreport.export.redaction import MODES, last4, pseudonym
from airflow_provider_callreport.export.summary import ExportSummary, FileSummary
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.hooks.callreport import CallReportHook
from airflow_provider_callreport.privacy.phone_numbers import international
from airflow_provider_callreport.report import ColumnKind, ExportedFile, ReportInfo, ReportOutcome
from airflow_provider_callreport.sandbox.servers import SandboxS3

ROOT = Path(__file__).parent.parent

INFO = ReportInfo("calls", "Calls", datetime(2026, 10, 15, tzinfo=UTC), datetime(2026, 10, 16, tzinfo=UTC), "UTC")
OUTCOME = ReportOutcome(rows=1, reported_total=1, complete=True, note="Complete.")
FILE = ExportedFile(Path("calls.csv"), "calls.csv", "text/csv", rows=1, bytes=10, sha256="0" * 64)


# --- tables ----------------------------------------------------------------------------------------------------------


def test_every_connection_field_is_in_the_table() -> None:
    """true-docs: each field with the form's label, its key and its default; the extras beside the form
    are named too.
    """
    rows = {row[1]: row for row in table(page("connection.md"), "Field")}
    assert list(rows)[:4] == ["`host`", "`port`", "`login`", "`password`"]
    assert rows["`host`"][3] == f"`{DEFAULT_HOST}`"
    assert (rows["`login`"][0], rows["`password`"][0]) == (RELABELING["login"], RELABELING["password"])
    assert list(rows)[4:] == [f"extra `{field.name}`" for field in CONNECTION_FIELDS]
    for field in CONNECTION_FIELDS:
        row = rows[f"extra `{field.name}`"]
        assert row[0] == field.label
        if field.default is not None:
            assert codes(row[3]) == [str(field.default).lower() if field.type == "boolean" else str(field.default)]
        assert ("kept secret" in row[2]) is field.secret
    assert all(f"`{name}`" in page("connection.md") for name in FURTHER_EXTRAS)
    assert HOOK_NAME in page("connection.md")


def test_every_format_and_option_is_in_the_table() -> None:
    """true-docs: formats in the registry's order, each with its options and their values."""
    rows = table(section("Formats", page("operators.md")), "`file_format`")
    assert [row[0].strip("`") for row in rows] == list(FORMATS)
    for row, file_format in zip(rows, FORMATS.values(), strict=True):
        named = codes(row[2])
        for option in file_format.options:
            position = named.index(option.name)
            values = [ast.literal_eval(text.replace("\\t", "\t")) for text in named[position + 1 :] if is_literal(text)]
            assert values[0] == (list(option.default) if isinstance(option.default, tuple) else option.default)
        assert bool(file_format.options) is (row[2] != "none")
        assert (file_format.extra is not None) is ("Needs the extra" in row[1])


def test_every_placeholder_of_the_mail_is_in_the_table() -> None:
    """true-docs: the variables that a mail template can use are exactly those of the table."""
    named = [name for row in table(page("mail.md"), "Placeholder") for name in codes(row[0])]
    assert sorted(named) == sorted(mail_context(INFO, OUTCOME, [FILE], []))


def test_the_returned_object_has_the_keys_that_are_shown() -> None:
    """known-to-airflow: the XCom example is complete, and proved whole by its own numbers."""
    (shown,) = [json.loads(block) for block in code_blocks("json", page("operators.md")) if '"reported_total"' in block]
    summary = ExportSummary(INFO, OUTCOME, "csv", ["Time"], 1, 0, files=[FileSummary(FILE, "s3://b/k", "written")])
    value = summary.to_xcom()
    assert list(shown) == list(value)
    assert list(shown["window"]) == list(value["window"])
    assert list(shown["files"][0]) == list(value["files"][0])
    assert shown["rows"] == shown["reported_total"]


def test_redaction_examples_are_what_the_code_does() -> None:
    """redacted-cells: modes and examples of the table and the list."""
    rows = table(section("Keep phone numbers in", page("how_to.md")), "Mode")
    assert [ast.literal_eval(row[0].strip("`")) for row in rows] == list(MODES)
    assert last4("919876543210") == codes(rows[0][1])[0]
    assert re.fullmatch(r"p_[a-z2-7]{16}", pseudonym("919876543210", "k" * 16))
    spellings = codes(re.search(r"- For `hmac`,(.*?) are one number", page("how_to.md"), re.DOTALL)[1])  # type: ignore[index]
    assert len(spellings) == 4
    assert {international(text) for text in spellings} == {"919876543210"}


def test_every_column_is_in_the_table() -> None:
    """true-docs: the labels with their kinds, and only redaction that the kind allows; the other fields are named."""
    text = page("columns.md")
    rows = table(text, "Label")
    assert {codes(row[0])[0]: row[1] for row in rows} == KNOWN_LABELS
    assert [row[1] for row in rows if set(codes(row[3])) & {"last4", "hmac"} and row[1] != ColumnKind.TEXT] == []
    (others,) = [part for part in text.split("\n\n") if part.startswith("Also known")]
    assert set(KNOWN_FIELDS) <= set(codes(others))


def test_every_extra_is_in_the_table() -> None:
    """true-docs: what can be installed besides, and no more."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [name for row in table(page("requirements.md"), "Extra") for name in codes(row[0])]
    assert sorted(named) == sorted(pyproject["project"]["optional-dependencies"])


# --- deployment ------------------------------------------------------------------------------------------------------


def test_the_connection_of_a_secrets_back_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """true-docs: the JSON of the page, stored under the name of the page, is a connection that the hook takes."""
    text = page("deployment.md")
    (value,) = code_blocks("json", text)
    assert json.dumps(json.loads(value)) in " ".join(README.split()).replace("{ ", "{").replace(" }", "}")
    (row,) = [row[1] for row in table(text, "Back end") if "amazon" in row[1]]
    backend, secret = codes(row)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "sandbox")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with SandboxS3() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        boto3.client("secretsmanager").create_secret(Name=secret, SecretString=value)
        module, _, name = backend.rpartition(".")
        stored = getattr(import_module(module), name)().get_conn_value("callreport_default")
    monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", stored)
    settings = CallReportHook().settings
    assert (settings.credentials.user_id, settings.requests_per_second) == ("my-user-id", 2)


# --- errors ----------------------------------------------------------------------------------------------------------

ERRORS = table(page("errors.md"), "What the task says")


def numbers(text: str) -> set[int]:
    """Vendor codes in a cell, with ranges spelled out."""
    found: set[int] = set()
    for first, last in re.findall(r"\b(1\d{3})(?: to (1\d{3}))?\b", text):
        found.update(range(int(first), int(last or first) + 1))
    return found


def test_every_vendor_code_is_in_the_table() -> None:
    """error-kinds: each known code stands in one row, beside those of its kind, and the row says whether
    it is retried.
    """
    rows = [(numbers(row[0]), row[3]) for row in ERRORS if row[0].startswith("code")]
    assert sorted(code for codes_of_row, _ in rows for code in codes_of_row) == sorted(CODE_TABLE)
    for codes_of_row, retried in rows:
        (kind,) = {CODE_TABLE[code] for code in codes_of_row}
        assert kind.retryable is (retried == "yes")
    (other,) = [row for row in ERRORS if row[0] == "any other code"]
    assert ApiError.retryable is (other[3] == "yes")


def messages() -> list[str]:
    """Every text in the package's source, with ``...`` where a value is put in."""
    found = []
    for path in (ROOT / "airflow_provider_callreport").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_quoted_messages_are_messages_of_the_code() -> None:
    """true-docs: a user who searches the page for what the log says finds it."""
    known = messages()
    quoted = [text for row in ERRORS for text in codes(row[0])]
    assert len(quoted) > 20
    for text in quoted:
        for piece in text.replace(": ", "...").split("..."):
            piece = piece.strip(" /()")
            assert any(piece in message for message in known), f"no message has {piece!r}"
