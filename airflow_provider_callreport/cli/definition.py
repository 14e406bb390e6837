"""The commands for Airflow's own command line, named by ``cli`` in provider info: Airflow 3.2 and later read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_callreport.cli.commands import COMMANDS, Command
from airflow_provider_callreport.cli.main import for_airflow


def get_callreport_cli_commands() -> list[Any]:
    """The group ``airflow callreport``, in the classes of the installed Airflow."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def arguments(command: Command) -> tuple[Any, ...]:
        found: list[Any] = []
        make: Callable[..., Any] = Arg
        command.add_arguments(lambda *flags, **options: found.append(make(flags, **options)))
        return tuple(found)

    return [
        GroupCommand(
            name="callreport",
            help="Check, preview and export call reports of DeepCall",
            subcommands=tuple(
                ActionCommand(
                    name=command.name,
                    help=command.help,
                    func=for_airflow(command),
                    args=arguments(command),
                    epilog=command.epilog() if command.epilog else None,
                )
                for command in COMMANDS
            ),
        )
    ]
