"""The README is true: what it shows runs, and what it names exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from airflow.providers.common.compat.sdk import Connection
from support.readme import README, code_blocks, codes, table

from airflow_provider_callreport.api.settings import settings_from_connection
from airflow_provider_callreport.cli.main import parser
from airflow_provider_callreport.rules import Rule
from airflow_provider_callreport.task.arguments.tables import EXPORT

ROOT = Path(__file__).parent.parent


def test_the_connection_example_can_be_used() -> None:
    """true-docs: the value of the environment variable makes a connection without a warning."""
    (block,) = [block for block in code_blocks("console") if "AIRFLOW_CONN" in block]
    (assignment,) = [word for word in shlex.split(block) if word.startswith("AIRFLOW_CONN_CALLREPORT_DEFAULT=")]
    connection = Connection.from_json(assignment.partition("=")[2])
    settings = settings_from_connection(
        host=connection.host,
        port=connection.port,
        scheme=connection.schema,
        login=connection.login,
        password=connection.password,
        extra=connection.extra_dejson,
    )
    assert connection.conn_type == "callreport"
    assert settings.credentials.user_id == "my-user-id"


def test_the_dag_runs_as_it_stands() -> None:
    """true-docs: every Python block makes its Dag; there is one."""
    (block,) = code_blocks("python")
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_commands_exist() -> None:
    """true-docs: `make` targets are in the Makefile, and `callreport` takes what stands here."""
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= {one or other for one, other in named} <= targets
    commands = re.findall(r"`(callreport [^`\n]+)`", README)
    assert len(commands) == 2
    for command in commands:
        parser().parse_args(shlex.split(command)[1:])


def test_arguments_of_the_table_exist() -> None:
    """true-docs: the arguments that matter are arguments of the operator, with the values that they take."""
    names = {argument.name: argument for argument in EXPORT}
    for arguments, meaning in table(README, "Argument"):
        assert set(codes(arguments)) <= names.keys()
        for name in codes(arguments):
            check = names[name].check
            if isinstance(check, Rule) and check.choices:
                assert sorted(f'"{choice}"' for choice in check.choices) == sorted(codes(meaning))


def test_it_is_short() -> None:
    """true-docs: what is longer is a page of docs/."""
    assert 150 <= len(README.splitlines()) <= 200
