"""`callreport export` beside the operator: the same arguments under flags, the same destinations, the same files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api import behave, listed
from support.command import DAY, PROGRAM, VARIABLE, Ended
from support.runs import AIRFLOW

from airflow_provider_callreport.cli.commands import COMMANDS
from airflow_provider_callreport.cli.errors import in_flags
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer
from airflow_provider_callreport.task.arguments.tables import EXPORT

#: The operator's arguments that `export` does not have, and why.
LEFT_OUT = {
    "filename": "the name in the mail; here the file's name is in --output or --to",
    "s3_bucket": "in --to s3://bucket/key",
    "s3_key": "in --to s3://bucket/key",
    **dict.fromkeys(
        ("email_to", "email_cc", "email_bcc", "email_subject", "email_html", "smtp_conn_id", "max_attachment_bytes"),
        "a mail goes once a run, and Airflow remembers that; a terminal has no run",
    ),
    **dict.fromkeys(
        ("on_oversize", "on_refused", "resend_if_unsure", "attachment_password_conn_id", "link_expires_in"),
        "of the mail",
    ),
    "preflight": "always: nobody waits for a month to be read to hear that there is no bucket",
}

#: Flags of `export` that are no argument of the operator.
OF_A_TERMINAL = {"--debug", "--output", "--mkdir", "--force", "--json"}

(EXPORT_COMMAND,) = [command for command in COMMANDS if command.name == "export"]
FLAGS = EXPORT_COMMAND.flags()

HOUR = (*DAY, "--end", "2026-10-15T01:00")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SandboxServer, SandboxS3]]:
    with SandboxServer() as api, SandboxS3() as s3:
        yield api, s3


@pytest.fixture
def api(servers: tuple[SandboxServer, SandboxS3], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SandboxServer:
    behave(servers[0])
    monkeypatch.setenv(VARIABLE, servers[0].connection_json(max_retry_time=0))
    monkeypatch.chdir(tmp_path)
    return servers[0]


@pytest.fixture
def s3(servers: tuple[SandboxServer, SandboxS3], monkeypatch: pytest.MonkeyPatch) -> SandboxS3:
    servers[1].reset()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", servers[1].connection_json())
    return servers[1]


# --- arguments -------------------------------------------------------------------------------------------------------


def test_every_argument_of_the_operator_has_a_flag_or_a_reason() -> None:
    """command-line: nobody has to write a Dag for want of a flag."""
    names = {argument.name for argument in EXPORT}
    assert names - set(FLAGS) == set(LEFT_OUT)
    assert {flag for name, flag in FLAGS.items() if name not in names} == OF_A_TERMINAL


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ('Calls has no calls, and empty="fail"', "Calls has no calls, and --empty fail"),
        ("group_by='Agents' gives more than 1000 files", "--group-by 'Agents' gives more than 1000 files"),
        ('a.csv exists; if_exists="fail" leaves it', "a.csv exists; --if-exists fail leaves it"),
        ("window_start is 'soon', which is no time", "--start is 'soon', which is no time"),
        ("create the bucket or correct s3_bucket", "create the bucket or correct --to"),
        ("create it or correct destination (NotFound).", "create it or correct --to (NotFound)."),
        ("columns is empty; leave it out", "--columns is empty; leave it out"),
        ("the field, which columns= can name", "the field, which --columns can name"),
        # What a user wrote, and words that are no arguments.
        ("columns names 'group_by' twice", "--columns names 'group_by' twice"),
        ('destination is "s3://a/if_exists"; no', '--to is "s3://a/if_exists"; no'),
        ("the account's zone and group_by are 'x'", "the account's zone and --group-by are 'x'"),
        ("the report is not whole: it is empty", "the report is not whole: it is empty"),
    ],
)  # fmt: skip
def test_messages_name_flags(sentence: str, said: str) -> None:
    """clear-sentence: the sentences of the operators, in what a person can type."""
    assert in_flags(sentence, FLAGS) == said


@pytest.mark.slow
def test_a_warning_names_flags_too(api: SandboxServer) -> None:
    """clear-sentence: one line on standard error, without the clock and the module of a log."""
    done = subprocess.run([*PROGRAM, "export", *HOUR, "--filter", "team=north"], capture_output=True, text=True)
    assert done.returncode == ExitCode.OK
    *others, line = done.stderr.splitlines()
    assert line.startswith("callreport: --filter has team, not documented by the vendor;")
    assert AIRFLOW < (3, 3) or not others


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--output", "a.csv", "--to", "s3://reports/a.csv"), "--output and --to are both given"),
        (("--output", "a.csv", "--group-by", "Status"), "--group-by is set and --output has no [[ group ]]"),
        (("--to", "s3://reports/a.csv", "--group-by", "Status"), "--group-by is set and --to has no [[ group ]]"),
        (("--output", "a-[[ group ]].csv"), "--output has [[ group ]] and --group-by is not set"),
        (("--to", "reports/a.csv"), "--to is 'reports/a.csv'; allowed is an address"),
        (("--to", "file://folder/a.csv"), "allowed is a local file with three slashes, as in file:///folder/a.csv"),
        (("--output", "a.csv", "--to-conn-id", "x"), "--to-conn-id or --s3-arg is given and --to is not"),
        (("--to", "sftp://host/a.csv"), '--if-exists is "fail" and --to begins with sftp://'),
        (("--to", "s3://reports/a.csv", "--s3-arg", "Colour=red"), "--s3-arg"),
        (("--to", "s3://reports/a.csv", "--s3-arg", "SSECustomerKey=k"), "--s3-arg has SSECustomerKey"),
        (("--columns", "Time=a,Status=a"), "--columns gives the name 'a' twice"),
        (("--column-names", "camel"), "argument --column-names: invalid choice: 'camel'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    api: SandboxServer, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """command-line: in flags, before anything is asked."""
    ended = Ended(capsys, "export", *DAY, *arguments)
    assert ended.code == ExitCode.USAGE
    assert words in ended.sentence
    assert api.requests == []


# --- files -----------------------------------------------------------------------------------------------------------


def test_one_file_for_each_value(api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """command-line: as `group_by` of the operator, with its list of files; together they are the whole report."""
    ended = Ended(capsys, "export", *DAY, "--group-by", "Status", "--columns", "Status=state,Time")
    assert ended.code == ExitCode.OK
    note, *lines = ended.out.splitlines()
    assert note.startswith("Complete: the API reports 2,000 calls")
    assert lines[-1] == f"file://{tmp_path}/_index_calls_2026-10-15_.csv.json (the list of these files)"
    files = sorted(tmp_path.glob("calls_2026-10-15_*.csv"))
    assert len(files) == len(lines) - 1
    rows = [row for file in files for row in csv.DictReader(file.open(encoding="utf-8"))]
    assert len(rows) == 2000
    assert list(rows[0]) == ["state", "Time"]
    assert all(file.stem.endswith(f"_{next(csv.DictReader(file.open()))['state']}") for file in files)

    again = Ended(capsys, "export", *DAY, "--group-by", "Status")
    assert again.code == ExitCode.FILE
    assert "more of the set exist already and not written by this run; --if-exists fail leaves" in again.sentence


def test_a_missing_folder_is_made_when_asked(
    api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line: a folder that nobody made may be a slip; --mkdir makes it, for nobody else."""
    for output in ("new/folder/a.csv", "new/folder/", f"file://{tmp_path}/new/folder/a.csv"):
        flag = "--to" if "://" in output else "--output"
        ended = Ended(capsys, "export", *HOUR, flag, output)
        assert (ended.code, api.requests) == (ExitCode.FILE, [])
        assert ended.sentence == f"the folder {tmp_path / 'new/folder'} does not exist; --mkdir makes it"
    assert Ended(capsys, "export", *HOUR, "--output", "new/folder/", "--mkdir").code == ExitCode.OK
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["calls_2026-10-15T0000_2026-10-15T0100.csv"]
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0

    grouped = ("--output", "by/[[ group ]]/a.csv", "--group-by", "Status")
    assert "the folder" in Ended(capsys, "export", *HOUR, *grouped).sentence
    (tmp_path / "by").mkdir()
    assert Ended(capsys, "export", *HOUR, *grouped).code == ExitCode.OK


def test_column_names_for_databases(api: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """command-line: as `column_names` of the operator."""
    assert Ended(capsys, "export", *HOUR, "--output", "a.csv", "--column-names", "snake_case").code == ExitCode.OK
    assert (tmp_path / "a.csv").read_text().startswith("caller_number,time,did_number,")


def test_new_columns_of_a_pinned_profile(
    api: SandboxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line, learn-once: as `on_new_columns` of the operator, and the sentence names the flag."""
    assert Ended(capsys, "probe", *DAY, "--save", "profile.json").code == ExitCode.OK
    behave(api, labels=(*api.settings.labels, "Sentiment"))
    profile = json.loads((tmp_path / "profile.json").read_text())
    monkeypatch.setenv(VARIABLE, api.connection_json(max_retry_time=0, profile=profile))
    ended = Ended(capsys, "export", *HOUR, "--output", "a.csv", "--on-new-columns", "fail")
    assert ended.code == ExitCode.REFUSED
    assert "the report has the new column 'Sentiment', and --on-new-columns is" in ended.sentence
    assert Ended(capsys, "export", *HOUR, "--output", "a.csv", "--on-new-columns", "ignore").code == ExitCode.OK
    assert "Sentiment" not in (tmp_path / "a.csv").read_text()


# --- S3 --------------------------------------------------------------------------------------------------------------


def test_export_to_s3_as_the_operator_does(
    api: SandboxServer, s3: SandboxS3, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line, stored-bytes, if-exists: proved bytes at the key, with metadata and the arguments of S3; nothing is
    replaced unasked.
    """
    to = ("--to", "s3://reports/calls/day.csv.gz")
    ended = Ended(capsys, "export", *DAY, *to, "--s3-arg", "StorageClass=STANDARD_IA", "--json")
    (file,) = json.loads(ended.out)["files"]
    assert (ended.code, file["uri"]) == (ExitCode.OK, "s3://reports/calls/day.csv.gz")
    rows = list(csv.reader(io.StringIO(gzip.decompress(s3.read("calls/day.csv.gz")).decode())))
    assert len(rows) == 2001
    head = s3.client().head_object(Bucket="reports", Key="calls/day.csv.gz")
    assert (head["Metadata"]["sha256"], head["Metadata"]["complete"]) == (file["sha256"], "yes")
    assert head["StorageClass"] == "STANDARD_IA"

    behave(api, calls=listed())
    ended = Ended(capsys, "export", *DAY, *to)
    assert ended.code == ExitCode.FILE
    assert "; --if-exists fail leaves it as it is" in ended.err
    ended = Ended(capsys, "export", *DAY, *to, "--if-exists", "skip")
    assert ended.out.splitlines()[1] == "s3://reports/calls/day.csv.gz exists already and was left as it is"
    assert Ended(capsys, "export", *DAY, *to, "--force").code == ExitCode.OK
    assert s3.client().head_object(Bucket="reports", Key="calls/day.csv.gz")["Metadata"]["rows"] == "0"


def test_an_address_of_a_folder_takes_the_reports_name(
    api: SandboxServer, s3: SandboxS3, capsys: pytest.CaptureFixture[str]
) -> None:
    """command-line: as a folder of --output, also with groups."""
    assert Ended(capsys, "export", *DAY, "--to", "s3://reports/x/", "--format", "jsonl").code == ExitCode.OK
    assert Ended(capsys, "export", *DAY, "--to", "s3://reports/g/", "--group-by", "Status").code == ExitCode.OK
    keys = s3.keys()
    assert "x/calls_2026-10-15.jsonl" in keys
    assert {"g/calls_2026-10-15_Answered.csv", "g/_index_calls_2026-10-15_.csv.json"} <= set(keys)


def test_what_s3_refuses_has_the_status_of_a_file(
    api: SandboxServer, s3: SandboxS3, capsys: pytest.CaptureFixture[str]
) -> None:
    """clear-sentence: with the flag to correct, before a page is read."""
    ended = Ended(capsys, "export", *DAY, "--to", "s3://no-such-bucket/a.csv")
    assert ended.code == ExitCode.FILE
    assert "the bucket does not exist; create it or correct --to." in ended.err
    assert api.requests == []


@pytest.mark.slow
def test_credentials_of_boto3_do_where_there_is_no_connection(
    api: SandboxServer, s3: SandboxS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """command-line: without aws_default boto3 looks for credentials; standard output has our lines only."""
    fields = json.loads(s3.connection_json())
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", fields["login"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", fields["password"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    done = subprocess.run(
        [*PROGRAM, "export", *DAY, "--to", "s3://reports/a.csv", "--json"], capture_output=True, text=True
    )
    assert done.returncode == ExitCode.OK, done.stderr
    assert AIRFLOW < (3, 3) or done.stderr == ""
    assert json.loads(done.stdout)["files"][0]["uri"] == "s3://reports/a.csv"
    assert s3.keys() == ["a.csv"]


def test_a_connection_that_was_named_must_exist(
    api: SandboxServer, s3: SandboxS3, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """clear-sentence: or what boto3 finds could write into another account."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "account")
    ended = Ended(capsys, "export", *DAY, "--to", "s3://reports/a.csv", "--aws-conn-id", "my_asw")
    assert (ended.code, api.requests, s3.keys()) == (ExitCode.FILE, [], [])
    assert (
        'Airflow connection "my_asw" does not exist; create it (Admin, Connections, type Amazon Web Services), or '
        "correct --aws-conn-id"
    ) in ended.err


@pytest.mark.slow
def test_a_connection_of_airflows_database_is_found(
    api: SandboxServer, s3: SandboxS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """command-line: --aws-conn-id is found wherever --conn-id is."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/airflow.db")
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from airflow.models.connection import Connection as C\n"
            "from airflow.models.base import Base\n"
            "from airflow.settings import engine\n"
            "Base.metadata.create_all(engine, tables=[C.__table__])",
        ],
        check=True,
    )
    fields = json.loads(s3.connection_json())
    with sqlite3.connect(tmp_path / "airflow.db") as database:
        database.execute(
            "insert into connection (conn_id, conn_type, login, password, extra, is_encrypted, is_extra_encrypted) "
            "values ('my_aws', 'aws', ?, ?, ?, 0, 0)",
            (fields["login"], fields["password"], json.dumps(fields["extra"])),
        )
    to = ("--to", "s3://reports/b.csv", "--aws-conn-id", "my_aws")
    done = subprocess.run([*PROGRAM, "export", *DAY, *to], capture_output=True, text=True)
    assert done.returncode == ExitCode.OK, done.stderr
    assert AIRFLOW < (3, 3) or done.stderr == ""
    assert s3.keys() == ["b.csv"]


# --- completion ------------------------------------------------------------------------------------------------------

#: Each shell reads the script that is printed for it, and says how it would go on after "callreport export --on-in".
SHELLS = {
    "bash": """
        source <(callreport completion bash)
        COMP_LINE="$LINE" COMP_POINT=${#LINE} COMP_TYPE=9 COMP_WORDS=($LINE) COMP_CWORD=2
        _python_argcomplete callreport
        echo "${COMPREPLY[@]}"
    """,
    "zsh": """
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "autoload -U compinit; compinit -u -D; eval \\"\\$(callreport completion zsh)\\"; echo READY-\\$?"
        zpty -r -m shell said '*READY-0*'
        zpty -w -n shell "$LINE"$'\\t'
        zpty -r -m shell said '*incomplete*'
        print -r -- "$said"
    """,
    "fish": """
        callreport completion fish | source
        complete -C "$LINE"
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_the_command(shell: str, tmp_path: Path) -> None:
    """command-line: the printed script works in the shell itself."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "callreport").write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    (tmp_path / "callreport").chmod(0o755)
    done = subprocess.run(
        [shell, *(["-f"] if shell == "zsh" else []), "-c", SHELLS[shell]],
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LINE": "callreport export --on-in",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "--on-incomplete" in done.stdout.replace("\x1b[K", ""), done.stdout + done.stderr
