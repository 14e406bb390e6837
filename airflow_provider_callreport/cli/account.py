"""The account that a command works with: an Airflow connection, wherever Airflow keeps it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.cli.environment import environment
from airflow_provider_callreport.cli.exit_codes import CommandError, ExitCode
from airflow_provider_callreport.hooks.callreport import CallReportHook


class CommandHook(CallReportHook):
    """The hook outside a task.

    There the task SDK looks for connections in the environment and in secrets backends only. Airflow itself looks in
    its database as well, and so do the commands.
    """

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """The connection; from the database too, where Airflow's core is installed."""
        try:
            return super().get_connection(conn_id)
        except AirflowNotFoundException as missing:
            try:
                from airflow.models.connection import Connection
            except ImportError:
                raise missing from None
            return Connection.get_connection_from_secrets(conn_id)


def airflows_database() -> AbstractContextManager[None]:
    """Inside the block other hooks find connections of Airflow's database too, as in ``airflow connections test``.

    The mark is Airflow's own (3.3.2, ``ensure_secrets_backend_loaded``).
    """
    return environment("_AIRFLOW_PROCESS_CONTEXT", "server")


def open_account(conn_id: str) -> CommandHook:
    """A hook whose connection has been read and checked.

    Raises:
        CommandError: the connection does not exist, or a field of it is wrong.
    """
    hook = CommandHook(conn_id)
    try:
        # Reading them is what checks them.
        _ = hook.settings
    except SettingsError as error:
        raise CommandError(ExitCode.CONNECTION, str(error)) from error
    return hook
