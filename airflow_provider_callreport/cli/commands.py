"""The commands and their arguments: one list for our own parser and for Airflow's.

Every ``airflow`` command imports this module, whatever it does; so it imports nothing that is not cheap.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from airflow_provider_callreport.cli.arguments import columns
from airflow_provider_callreport.cli.completion import INSTALL
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.rules import (
    ColumnNames,
    Empty,
    IfExists,
    OnIncomplete,
    OnNewColumns,
    Report,
    choices,
)
from airflow_provider_callreport.sandbox.__main__ import DESCRIPTION, add_arguments, list_of_faults


class AddArgument(Protocol):
    """``ArgumentParser.add_argument``, or what collects its arguments for Airflow's own parser."""

    def __call__(self, *flags: str, **options: Any) -> Any:
        """Declare one argument."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. An argument that operators have too keeps their name for it as ``dest``; see `flags`.

    Attributes:
        name: what is typed.
        help: what it does, in one sentence.
        add_arguments: declares its arguments.
        module: where its ``run`` is, imported when it runs.
        epilog: text below its help, made when it is shown.
    """

    name: str
    help: str
    add_arguments: Callable[[AddArgument], None]
    module: str
    epilog: Callable[[], str] | None = None

    def run(self, options: argparse.Namespace) -> ExitCode:
        """Run it.

        Args:
            options: what was typed.

        Raises:
            Exception: see `errors.command_error`.
        """
        code: ExitCode = import_module(self.module).run(options)
        return code

    def flags(self) -> dict[str, str]:
        """Name of an argument -> its flag."""
        found: dict[str, str] = {}

        def note(*flags: str, **options: Any) -> None:
            found[options.get("dest") or flags[0].removeprefix("--").replace("-", "_")] = flags[0]

        self.add_arguments(note)
        return found


def add_account(add: AddArgument) -> None:
    """The connection, and how much is logged."""
    add(
        "--conn-id",
        dest="callreport_conn_id",
        default="callreport_default",
        metavar="ID",
        help="Airflow connection of type callreport (default callreport_default)",
    )
    add("--debug", action="store_true", help="show log lines, and where an unexpected error happened")


def add_report(add: AddArgument) -> None:
    """What to read: the report, its window and filters."""
    _add_choice(add, "--report", Report, "which report")
    add(
        "--start",
        dest="window_start",
        required=True,
        metavar="TIME",
        help="first instant, such as 2026-10-15 or 2026-10-15T08:00; in the account's zone, unless an offset follows",
    )
    _add_end(add)
    _add_pairs(add, "--filter", "filters", "KEY=VALUE", "an API filter key, such as cNum=919876543210")
    add(
        "--columns",
        type=columns,
        metavar="LABEL[=NAME],...",
        help="columns to keep, in this order, by the API's labels; NAME renames one (default: all)",
    )


def _add_end(add: AddArgument) -> None:
    add("--end", dest="window_end", metavar="TIME", help="first instant after the window (default: --start plus a day)")


def _add_pairs(add: AddArgument, flag: str, dest: str, metavar: str, words: str) -> None:
    """A flag that may be repeated, each time with a name and a value."""
    add(flag, dest=dest, action="append", default=[], metavar=metavar, help=f"{words}; may be repeated")


def _add_choice(add: AddArgument, flag: str, closed_set: Any, words: str, default: str | None = None) -> None:
    """A flag with a few values; the default is the first, unless another is named."""
    values = choices(closed_set)
    default = default or values[0]
    add(flag, choices=values, default=default, help=f"{words} (default {default})")


def add_probe(add: AddArgument) -> None:
    """The arguments of ``probe``."""
    _add_choice(add, "--report", Report, "which report")
    add(
        "--start",
        dest="window_start",
        metavar="TIME",
        help="begin of a day with calls (default: the last full day, or a day of the 30 before)",
    )
    _add_end(add)
    add("--save", metavar="PATH", help="write the profile there: names of columns and types, no value of a call")
    add("--force", action="store_true", help="replace a file that is there")
    add("--json", action="store_true", help="print all that was found as JSON")
    add_account(add)


def add_preview(add: AddArgument) -> None:
    """The arguments of ``preview``."""
    add_report(add)
    add("--limit", type=int, default=20, metavar="N", help="how many calls, at most 1000 (default 20)")
    add("--show-numbers", action="store_true", help="show phone numbers; by default their last four digits at most")
    add_account(add)


def add_export(add: AddArgument) -> None:
    """The arguments of ``export``. An argument of the operator has its name as ``dest``."""
    add_report(add)
    _add_choice(add, "--column-names", ColumnNames, "snake_case: names that databases take, such as caller_number")
    _add_pairs(add, "--redact", "redact", "LABEL=MODE", "last4, drop or hmac for a column, by the API's label")
    add(
        "--format",
        dest="file_format",
        choices=tuple(FORMATS),
        help="format of the file (default: what the file's name says, or csv)",
    )
    _add_pairs(add, "--option", "format_options", "NAME=VALUE", "an option of the format, such as gzip=true")
    add("--title", dest="report_title", metavar="TEXT", help="title in the file")
    add("--group-by", metavar="LABEL", help="one file for each value of a column, in place of [[ group ]] in the name")
    add("--output", metavar="PATH", help="the file, or a folder for it (default: here, named after the report)")
    add("--mkdir", action="store_true", help="make the folder of --output if it is missing")
    add(
        "--to",
        dest="destination",
        metavar="ADDRESS",
        help="in place of --output: s3://bucket/calls.csv, gs://..., or another address that Airflow can write to",
    )
    add(
        "--aws-conn-id",
        default="aws_default",
        metavar="ID",
        help="Airflow connection for s3:// (default aws_default; without it, the credentials that boto3 finds)",
    )
    _add_pairs(add, "--s3-arg", "s3_extra_args", "NAME=VALUE", "for s3://, such as ServerSideEncryption=aws:kms")
    add("--to-conn-id", dest="destination_conn_id", metavar="ID", help="Airflow connection for any other address")
    # Not the operator's "replace": a retry of a task writes its own file again, a person seldom means to.
    _add_choice(add, "--if-exists", IfExists, "what to do when the file exists", default="fail")
    add("--force", action="store_true", help="the same as --if-exists replace")
    _add_choice(add, "--empty", Empty, "no calls: write a file that says so, skip it, or fail")
    _add_choice(add, "--on-incomplete", OnIncomplete, "the calls are not the API's total: fail, or write the file")
    _add_choice(add, "--on-new-columns", OnNewColumns, "columns that the connection's profile does not know")
    add("--concurrency", type=int, default=1, metavar="N", help="pages asked for at once, 1 to 16 (default 1)")
    add("--json", action="store_true", help="print the summary as JSON, as a task returns it")
    add_account(add)


def add_completion(add: AddArgument) -> None:
    """The arguments of ``completion``."""
    add("shell", choices=("bash", "zsh", "fish"), help="your shell")


_EXAMPLES = """\
Examples:
  callreport export --start 2026-10-15
  callreport export --start 2026-10-01 --end 2026-11-01 --output october.xlsx --redact 'Caller Number=last4'
  callreport export --start 2026-10-15 --to s3://reports/calls/
  callreport export --start 2026-10-15 --group-by Agents --output 'agents/[[ group ]].csv' --mkdir"""

_HERE = __package__ or "airflow_provider_callreport.cli"

COMMANDS: tuple[Command, ...] = (
    Command("check", "Sign in, and say whether the connection works.", add_account, f"{_HERE}.check"),
    Command(
        "probe",
        "Find out what the account's answers look like, in at most 15 requests that change nothing.",
        add_probe,
        f"{_HERE}.probe",
    ),
    Command("preview", "Show the first calls of a report.", add_preview, f"{_HERE}.preview"),
    Command(
        "export",
        "Write a whole report to a file, or fail and say why.",
        add_export,
        f"{_HERE}.export",
        lambda: _EXAMPLES,
    ),
    Command("sandbox", DESCRIPTION, add_arguments, f"{_HERE}.sandbox", list_of_faults),
    Command(
        "completion",
        "Print the script that lets bash, zsh or fish complete callreport.",
        add_completion,
        f"{_HERE}.completion",
        lambda: INSTALL,
    ),
)
