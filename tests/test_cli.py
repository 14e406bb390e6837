"""The command line: each command against the stand-in API, and the group ``airflow callreport`` in real Airflow."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from support.api import behave, client_of, listed
from support.command import DAY, PROGRAM, VARIABLE, Ended, on_a_terminal
from support.runs import AIRFLOW, KOLKATA, AirflowRuns, airflow_environment, empty_home

from airflow_provider_callreport import get_provider_info
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.cli.commands import COMMANDS
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.cli.main import main
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer

PHONE = re.compile(r"\d{8,}")


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def api(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> SandboxServer:
    """The stand-in API, well again, as Airflow's default connection that tries nothing twice."""
    behave(server)
    monkeypatch.setenv(VARIABLE, server.connection_json(max_retry_time=0))
    return server


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_signs_in_and_says_so(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """command-line: one sentence, after one request."""
    ended = Ended(capsys, "check")
    assert ended.code == ExitCode.OK
    assert re.fullmatch(
        r"Signed in to http://127\.0\.0\.1:\d+\S* as sandbox-user; the call log can be read\.\n", ended.out
    )
    assert len(api.requests) == 1


@pytest.mark.usefixtures("connection_table")
def test_check_says_what_to_fix(
    api: SandboxServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line: a missing connection, a field of it that is wrong, and credentials that are, in one
    sentence each.
    """
    ended = Ended(capsys, "check", "--conn-id", "no_such_connection")
    assert (ended.code, ended.out) == (ExitCode.CONNECTION, "")
    assert ended.sentence == (
        'Airflow connection "no_such_connection" does not exist; create it (Admin, Connections, type '
        "DeepCall Call Report), or correct --conn-id"
    )

    monkeypatch.setenv(VARIABLE, api.connection_json(page_size=0))
    ended = Ended(capsys, "check")
    assert ended.code == ExitCode.CONNECTION
    assert "page_size" in ended.sentence

    monkeypatch.setenv(VARIABLE, api.connection_json(time_zone="UTC"))
    ended = Ended(capsys, "check")
    assert ended.code == ExitCode.CONNECTION
    assert "unknown extra field 'time_zone' (did you mean 'timezone'?); allowed are allow_http, " in ended.sentence

    monkeypatch.setenv(VARIABLE, json.dumps({**json.loads(api.connection_json()), "password": "canary-token"}))
    ended = Ended(capsys, "check")
    assert ended.code == ExitCode.CONNECTION
    assert "code 1014" in ended.sentence
    assert "canary" not in ended.sentence + ended.out


# --- preview ---------------------------------------------------------------------------------------------------------


def test_preview_hides_numbers_until_they_are_asked_for(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """no-leak: by default no cell shows more than the last four digits of a number, in any column."""
    hidden = Ended(capsys, "preview", "--report", "masked_calls", *DAY, "--limit", "4")
    assert (hidden.code, hidden.err) == (ExitCode.OK, "")
    header, *rows, footer = hidden.out.splitlines()
    assert header.split("  ")[0] == "Caller Number"
    assert len(rows) == 4
    assert all(re.match(r"\*{8}\d{4} ", row) for row in rows)
    assert not PHONE.search(hidden.out)
    assert footer == "The first 4 calls of the window; there are more."

    shown = Ended(capsys, "preview", "--report", "masked_calls", *DAY, "--limit", "4", "--show-numbers")
    numbers = [row.split()[0] for row in shown.out.splitlines()[1:-1]]
    assert all(PHONE.fullmatch(number) for number in numbers)
    assert [number[-4:] for number in numbers] == [row.split()[0][-4:] for row in rows]


def test_preview_reads_no_further_than_it_must(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """command-line: columns, filters and the window reach the API; two pages of the limit's size are enough."""
    ended = Ended(capsys, "preview", *DAY, "--limit", "3", "--columns", "Status, Time", "--filter", "cNum=919800000000")
    assert ended.out == "No calls in the window.\n"
    ended = Ended(capsys, "preview", *DAY, "--end", "2026-10-15T01:00:00", "--limit", "3", "--columns", "Status, Time")
    assert ended.out.splitlines()[0].split() == ["Status", "Time"]
    assert all(" 2026-10-15 00:" in line for line in ended.out.splitlines()[1:-1])
    first, *others = [request.body or {} for request in api.requests if request.endpoint == "list"]
    assert first["filter"]["cNum"] == "919800000000"
    assert {request["sz"] for request in others} == {3}
    assert len(others) <= 2


def test_preview_says_that_it_shows_all(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """whole-or-red: only a reading that came to its end is called one."""
    ended = Ended(capsys, "preview", *DAY, "--end", "2026-10-15T00:30:00", "--limit", "1000")
    *_, footer = ended.out.splitlines()
    assert re.fullmatch(r"\d+ calls; these are all of the window\.", footer)
    assert int(footer.split()[0]) == len(ended.out.splitlines()) - 2


def test_preview_obeys_nothing_that_a_cell_says(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """private-files: no control character of a call reaches the terminal, and no markup is one."""
    behave(api, calls=listed(Call(time=datetime(2026, 10, 15, 9), campaign="[bold]\x1b[31mred\x9b1m\nnext")))
    for option in ((), ("--show-numbers",)):
        ended = Ended(capsys, "preview", *DAY, "--columns", "Campaign", *option)
        assert ended.out.splitlines()[1].strip() == "[bold] [31mred 1m next"


def test_preview_fits_the_terminal(api: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """command-line: on a terminal no line is longer than it, and the columns that do not fit are named."""
    monkeypatch.setenv("COLUMNS", "80")
    code, text = on_a_terminal("preview", *DAY, "--limit", "2")
    assert code == ExitCode.OK
    lines = text.splitlines()
    assert max(len(line) for line in lines[:3]) <= 80
    assert lines[0].startswith("Caller Number  Time ")
    assert "Not shown in this narrow terminal: " in text
    assert "DTMF" in text.partition("narrow terminal")[2]


def test_wide_characters_keep_the_columns_straight(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """command-line: a column begins at one place in every line, as a terminal counts: Chinese and emoji take two
    cells, accents and vowel signs that stand over or under a letter take none.
    """
    campaigns = ["東京営業所", "Cafe\u0301", "हिन्दी", "한국어 😀", "plain", "x" * 12]
    behave(api, calls=listed(*(Call(time=datetime(2026, 10, 15, 9), campaign=name) for name in campaigns)))
    ended = Ended(capsys, "preview", *DAY, "--columns", "Campaign,Time")
    lines = ended.out.splitlines()[1:-1]
    assert [line.partition("  ")[0] for line in lines] == campaigns
    assert len({cells(line.partition("2026-10-15")[0]) for line in lines}) == 1


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    width = {character: 2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text}
    marks = (unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") for character in text)
    return sum(0 if is_mark else width[character] for character, is_mark in zip(text, marks, strict=True))


def test_a_reader_may_have_seen_enough(api: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    """command-line: `callreport preview | head` is no error."""
    theirs, ours = os.pipe()
    os.close(theirs)
    with os.fdopen(ours, "w") as pipe, redirect_stdout(pipe):
        assert main(["preview", *DAY, "--limit", "2"]) == ExitCode.OK
    assert capsys.readouterr().err == ""


# --- export ----------------------------------------------------------------------------------------------------------


def test_export_writes_the_operators_file(
    api: SandboxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """same-again, private-files: the bytes are those of the road that the operators take, in a file for nobody else."""
    monkeypatch.chdir(tmp_path)
    ended = Ended(capsys, "export", *DAY, "--redact", "Caller Number=last4", "--filter", 'frm=["9180"]')
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    path = tmp_path / "calls_2026-10-15.csv"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ended.out.splitlines()[1] == f"file://{path} (0 calls, {path.stat().st_size} bytes)"
    assert api.requests[0].body is not None
    assert api.requests[0].body["filter"]["frm"] == ["9180"]

    ended = Ended(capsys, "export", *DAY, "--redact", "Caller Number=last4", "--force", "--json")
    (file,) = json.loads(ended.out)["files"]
    window = Window(datetime(2026, 10, 15, tzinfo=KOLKATA), datetime(2026, 10, 16, tzinfo=KOLKATA), KOLKATA)
    options = FORMATS["csv"].check_options({})
    request = ExportRequest("calls", window, redact={"Caller Number": "last4"}, format_options=options)
    with client_of(api) as client:
        made = export_report(client, request, run=RunIdentity("dag", "task", "run")).files[0].file
    assert file == {"uri": f"file://{path}", "rows": 2000, "bytes": made.bytes, "sha256": made.sha256}
    assert hashlib.sha256(path.read_bytes()).hexdigest() == made.sha256


def test_export_replaces_nothing_unasked(
    api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line: a file that is there stays, and the API is not asked; --force replaces it whole."""
    path = tmp_path / "calls.csv"
    path.write_text("mine")
    ended = Ended(capsys, "export", *DAY, "--output", str(path))
    assert (ended.code, ended.sentence) == (ExitCode.FILE, f"{path} exists already; --force replaces it")
    assert (path.read_text(), api.requests) == ("mine", [])

    assert Ended(capsys, "export", *DAY, "--output", str(path), "--force").code == ExitCode.OK
    assert path.read_text().count("\n") == 2001


@pytest.mark.parametrize(
    ("name", "begin"), [("a.jsonl", b"{"), ("a.csv.gz", b"\x1f\x8b"), ("a.xlsx", b"PK"), ("a.pdf", b"%PDF")]
)
def test_the_files_name_tells_its_format(
    api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, begin: bytes
) -> None:
    """command-line: any format, chosen by the ending of the name."""
    hour = (*DAY, "--end", "2026-10-15T01:00")
    assert Ended(capsys, "export", *hour, "--output", str(tmp_path / name)).code == ExitCode.OK
    assert (tmp_path / name).read_bytes().startswith(begin)


def test_export_shows_progress_on_a_terminal_only(
    api: SandboxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """command-line: a bar that reaches the API's own count; elsewhere there is none (see the tests above)."""
    monkeypatch.chdir(tmp_path)
    code, text = on_a_terminal("export", *DAY)
    assert code == ExitCode.OK
    assert "2000/2000" in text
    assert text.splitlines()[-1].startswith("file://")


@pytest.mark.slow
def test_columns_options_and_policies_reach_the_road(
    api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line: the arguments mean what the operators' do."""
    path = tmp_path / "a.csv"
    ended = Ended(capsys, "export", *DAY, "--columns", "Status,Time", "--option", "delimiter=;", "--output", str(path))
    assert ended.code == ExitCode.OK
    assert path.read_text().splitlines()[0] == "Status;Time"

    behave(api, calls=listed())
    none = tmp_path / "none.csv"
    ended = Ended(capsys, "export", *DAY, "--empty", "skip", "--output", str(none))
    assert (ended.code, ended.out) == (ExitCode.OK, "No calls in the window; no file was written.\n")
    assert Ended(capsys, "export", *DAY, "--empty", "fail", "--output", str(none)).code == ExitCode.NO_CALLS
    assert not none.exists()

    behave(api, [Fault("short_page", page=1)])
    ended = Ended(capsys, "export", *DAY, "--on-incomplete", "warn", "--output", str(none))
    assert ended.code == ExitCode.WRITTEN_INCOMPLETE
    assert "1,995" in ended.out.splitlines()[0]
    assert none.read_text().count("\n") == 1996


# --- errors ----------------------------------------------------------------------------------------------------------

EXPORT = ("export", *DAY, "--output")


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Fault("vendor_error", code=1014), ExitCode.CONNECTION, "code 1014"),
        (Fault("vendor_error", code=1015), ExitCode.CONNECTION, "LIST_CALL_LOG"),
        (Fault("redirect"), ExitCode.CONNECTION, "redirect"),
        (Fault("vendor_error", code=1047), ExitCode.REFUSED, "code 1047"),
        (Fault("vendor_error", code=1009), ExitCode.LATER, "code 1009"),
        (Fault("html_page", page=0), ExitCode.LATER, "HTML"),
        (Fault("error_on_page", page=1, code=1009), ExitCode.INCOMPLETE, "1,000 of 2,000 calls came"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_each_kind_of_error_has_its_status(
    api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: Fault, code: ExitCode, words: str
) -> None:
    """error-kinds, whole-or-red: one sentence, the status of the table, and no file."""
    behave(api, [fault])
    ended = Ended(capsys, *EXPORT, str(tmp_path / "a.csv"))
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--start", "soon"), "--start is 'soon'"),
        (("--start", "2026-10-16", "--end", "2026-10-15"), "which is earlier; set a later --end"),
        ((*DAY, "--filter", "cNum"), "--filter is 'cNum'; allowed is KEY=VALUE"),
        ((*DAY, "--filter", "a=1", "--filter", "a=2"), "--filter names 'a' twice"),
        ((*DAY, "--filter", "dtGte=2026"), "dtGte"),
        ((*DAY, "--redact", "Caller Number=most"), "last4, drop, hmac"),
        ((*DAY, "--option", "colour=red"), "colour"),
        ((*DAY, "--empty", "perhaps"), "argument --empty: invalid choice: 'perhaps'"),
        ((*DAY, "--concurrency", "99"), "--concurrency is 99"),
        ((*DAY, "--title", "a\nb"), "--title"),
        ((*DAY, "--output", "calls.doc"), "whose name tells no format"),
        ((*DAY, "--columns", ","), "names no column"),
        ((), "--start"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_asked(
    api: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    """command-line: status 2, a sentence with the argument, no request, no file."""
    monkeypatch.chdir(tmp_path)
    ended = Ended(capsys, "export", *arguments)
    assert ended.code == ExitCode.USAGE
    assert words in ended.err.splitlines()[-1]
    assert (api.requests, list(tmp_path.iterdir())) == ([], [])


def test_what_cannot_be_written_is_said(api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """clear-sentence: a path below a file has status 7, and its reason."""
    (tmp_path / "file").write_text("")
    ended = Ended(capsys, *EXPORT, str(tmp_path / "file" / "a.csv"))
    assert ended.code == ExitCode.FILE
    assert "a part of its path is a file" in ended.sentence


def test_an_unexpected_error_shows_its_place_but_not_its_text(
    api: SandboxServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """no-leak: nobody knows what a foreign error's text holds."""

    def fail(*_: Any) -> None:
        raise RuntimeError("canary-text")

    monkeypatch.setattr("airflow_provider_callreport.cli.check.open_account", fail)
    ended = Ended(capsys, "check")
    assert ended.code == ExitCode.FAILED
    assert ended.sentence == "unexpected RuntimeError; with --debug the command shows where it happened"
    assert "in fail" in Ended(capsys, "check", "--debug").err


def test_nothing_secret_is_logged_at_debug(
    api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """no-leak: with --debug, neither the token nor a phone number of a redacted column."""
    ended = Ended(capsys, *EXPORT, str(tmp_path / "a.csv"), "--debug", "--redact", "Caller Number=drop")
    assert ended.code == ExitCode.OK
    assert "calls page 1: 1000 rows" in caplog.text
    said = caplog.text + ended.out + ended.err
    assert json.loads(api.connection_json())["password"] not in said
    assert not re.search(r"\b91\d{10}\b", said)


@pytest.mark.slow
def test_sigterm_leaves_nothing_behind(api: SandboxServer, tmp_path: Path) -> None:
    """all-or-nothing: a command that is told to stop while it waits for page 3 removes what it has made, and has status
    130.
    """
    behave(api, [Fault("delay", page=2, seconds=60)])
    (tmp_path / "temp").mkdir()
    command = subprocess.Popen(
        [*PROGRAM, *EXPORT, str(tmp_path / "a.csv")],
        env={**os.environ, "TMPDIR": str(tmp_path / "temp")},
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(api.requests) < 2 or not any((tmp_path / "temp").iterdir()):
        assert command.poll() is None
        time.sleep(0.01)
    command.terminate()
    _, err = command.communicate(timeout=60)
    assert (command.returncode, err.splitlines()[-1]) == (ExitCode.INTERRUPTED, "callreport: interrupted")
    assert [path.name for path in tmp_path.rglob("*")] == ["temp"]


# --- sandbox ---------------------------------------------------------------------------------------------------------


def test_sandbox_serves_until_it_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line: the servers of `python -m airflow_provider_callreport.sandbox`, with its arguments."""
    command = subprocess.Popen(
        [*PROGRAM, "sandbox", "--free-ports", "--no-s3", "--no-smtp", "--calls-per-day", "7", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    monkeypatch.setenv(VARIABLE, json.loads(command.stdout.readline())["connections"][VARIABLE])
    assert Ended(capsys, "preview", *DAY).out.endswith("7 calls; these are all of the window.\n")
    command.terminate()
    assert command.wait(timeout=60) == ExitCode.OK


def test_sandbox_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    """command-line: status 2 and one sentence, before a server starts."""
    ended = Ended(capsys, "sandbox", "--set", "page_size")
    assert (ended.code, ended.sentence) == (ExitCode.USAGE, "--set takes NAME=VALUE, not 'page_size'")


# --- in Airflow ------------------------------------------------------------------------------------------------------


def test_airflow_has_the_commands_too(api: SandboxServer, airflow_runs: AirflowRuns, tmp_path: Path) -> None:
    """every-airflow: `airflow callreport` where Airflow looks for it, with a connection that is only in Airflow's
    database.
    """
    if AIRFLOW < (3, 2):
        pytest.skip("Airflow before 3.2 has no commands of providers")
    home = tmp_path / "home"
    shutil.copytree(empty_home(airflow_runs), home)
    fields = json.loads(api.connection_json())
    row = (
        "stored",
        *(fields[name] for name in ("conn_type", "host", "login", "password")),
        json.dumps(fields["extra"]),
    )
    with sqlite3.connect(home / "airflow.db") as database:
        database.execute(
            "insert into connection "
            "(conn_id, conn_type, host, login, password, extra, is_encrypted, is_extra_encrypted) "
            "values (?, ?, ?, ?, ?, ?, 0, 0)",
            row,
        )
    arguments = ["preview", *DAY, "--limit", "2", "--conn-id", "stored", "--debug"]
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "callreport", *arguments],
        env=airflow_environment(home),
        capture_output=True,
        text=True,
    )
    assert done.returncode == ExitCode.OK, done.stderr
    header, _, _, footer = done.stdout.splitlines()
    assert header.startswith("Caller Number ")
    assert "calls page 0: " in done.stderr
    assert footer == "The first 2 calls of the window; there are more."
    assert fields["password"] not in done.stdout + done.stderr


def test_airflows_parser_takes_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """every-airflow: the commands and their arguments are the same in both, and a status of ours ends Airflow's
    process.
    """
    if AIRFLOW < (3, 2):
        pytest.skip("Airflow before 3.2 has no commands of providers")
    Draft7Validator(json.loads(resources.files("airflow").joinpath("provider_info.schema.json").read_text())).validate(
        get_provider_info()
    )
    (name,) = get_provider_info()["cli"]
    module, _, function = name.rpartition(".")
    (group,) = getattr(import_module(module), function)()
    commands = {command.name: command for command in group.subcommands}
    names = ["check", "probe", "preview", "export", "sandbox", "completion"]
    assert list(commands) == [command.name for command in COMMANDS] == names
    for command in COMMANDS:
        ours: list[tuple[str, ...]] = []
        command.add_arguments(lambda *flags, found=ours, **_: found.append(flags))
        assert [tuple(argument.flags) for argument in commands[command.name].args] == ours
    with pytest.raises(SystemExit) as ending:
        commands["check"].func(argparse.Namespace(callreport_conn_id="no_such_connection", debug=False))
    assert ending.value.code == ExitCode.CONNECTION


def test_nothing_heavy_is_imported_for_airflows_parser() -> None:
    """light-import: what every `airflow` command pays for ours."""
    program = (
        "import sys, airflow_provider_callreport.cli.definition\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('airflow', 'requests', 'rich', 'boto3')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
