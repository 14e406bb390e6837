"""``callreport check``: does the connection work?"""

from __future__ import annotations

import argparse

from airflow_provider_callreport.cli.account import open_account
from airflow_provider_callreport.cli.exit_codes import CommandError, ExitCode


def run(options: argparse.Namespace) -> ExitCode:
    """Sign in, as the Test button does, and print one sentence.

    Args:
        options: ``callreport_conn_id``.

    Raises:
        CommandError: the connection does not work.
    """
    works, sentence = open_account(options.callreport_conn_id).test_connection()
    if not works:
        raise CommandError(ExitCode.CONNECTION, sentence)
    options.out.write(f"{sentence}\n")
    return ExitCode.OK
