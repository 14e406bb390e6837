"""The commands and their arguments: one list for our own parser and for Airflow's.

Every ``airflow`` command imports this module, whatever it does; so it imports nothing that is not cheap.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from airflow_provider_callreport.api.filters import REPORTS
from airflow_provider_callreport.cli.arguments import labels
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.sandbox.__main__ import DESCRIPTION, add_arguments, list_of_faults


class AddArgument(Protocol):
    """``ArgumentParser.add_argument``, or what collects its arguments for Airflow's own parser."""

    def __call__(self, *flags: str, **options: Any) -> Any:
        """Declare one argument."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

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


def add_account(add: AddArgument) -> None:
    """The connection, and how much is logged."""
    add(
        "--conn-id",
        default="callreport_default",
        metavar="ID",
        help="Airflow connection of type callreport (default callreport_default)",
    )
    add("--debug", action="store_true", help="show log lines, and where an unexpected error happened")


def add_report(add: AddArgument) -> None:
    """What to read: the report, its window and filters."""
    add("--report", choices=tuple(REPORTS), default="calls", help="which report (default calls)")
    add(
        "--start",
        required=True,
        metavar="TIME",
        help="first instant, ISO 8601; without an offset it is in the account's zone",
    )
    add("--end", metavar="TIME", help="first instant after the window (default: a day after --start)")
    _add_pairs(add, "--filter", "KEY=VALUE", "an API filter key, its value as text or JSON")
    add(
        "--columns",
        type=labels,
        metavar="LABEL,...",
        help="columns to keep, in this order, by the API's labels (default: all)",
    )


def _add_pairs(add: AddArgument, flag: str, metavar: str, words: str) -> None:
    """A flag that may be repeated, each time with a name and a value."""
    add(flag, action="append", default=[], metavar=metavar, help=f"{words}; may be repeated")


def add_probe(add: AddArgument) -> None:
    """The arguments of ``probe``."""
    add_account(add)
    add("--report", choices=tuple(REPORTS), default="calls", help="which report (default calls)")
    add(
        "--start",
        metavar="TIME",
        help="begin of a day with calls, ISO 8601 (default: the last full day, or a day of the 30 before)",
    )
    add("--end", metavar="TIME", help="first instant after the window (default: a day after --start)")
    add("--save", metavar="PATH", help="write the profile there: names of columns and types, no value of a call")
    add("--force", action="store_true", help="replace a file that is there")
    add("--json", action="store_true", help="print all that was found as JSON")


def add_preview(add: AddArgument) -> None:
    """The arguments of ``preview``."""
    add_account(add)
    add_report(add)
    add("--limit", type=int, default=20, metavar="N", help="how many calls, at most 1000 (default 20)")
    add("--show-numbers", action="store_true", help="show phone numbers; by default their last four digits at most")


def add_export(add: AddArgument) -> None:
    """The arguments of ``export``."""
    add_account(add)
    add_report(add)
    add("--format", choices=tuple(FORMATS), help="format of the file (default: that of --output's name, or csv)")
    words = "an option of the format, its value as text or JSON, such as gzip=true"
    _add_pairs(add, "--option", "NAME=VALUE", words)
    add("--output", metavar="PATH", help="the file, or a directory for it (default: here, named after the report)")
    add("--force", action="store_true", help="replace a file that is there")
    add("--title", metavar="TEXT", help="title in the file")
    _add_pairs(add, "--redact", "LABEL=MODE", "last4, drop or hmac for a column, by the API's label")
    add("--empty", default="write", metavar="POLICY", help="no calls: write, skip or fail (default write)")
    add(
        "--on-incomplete",
        default="fail",
        metavar="POLICY",
        help="the calls do not equal the API's total: fail, or warn to write the file all the same (default fail)",
    )
    add("--concurrency", type=int, default=1, metavar="N", help="pages asked for at once, 1 to 16 (default 1)")
    add("--json", action="store_true", help="print the summary as JSON, as a task returns it")


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
    Command("export", "Write a whole report to a file, or fail and say why.", add_export, f"{_HERE}.export"),
    Command("sandbox", DESCRIPTION, add_arguments, f"{_HERE}.sandbox", list_of_faults),
)
