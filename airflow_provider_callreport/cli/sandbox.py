"""``callreport sandbox``: the stand-in servers, as ``python -m airflow_provider_callreport.sandbox`` starts them."""

from __future__ import annotations

import argparse

from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.sandbox.__main__ import serve


def run(options: argparse.Namespace) -> ExitCode:
    """Serve until interrupted.

    Args:
        options: see `sandbox.__main__.add_arguments`.

    Raises:
        ValueError: an argument is wrong.
    """
    return ExitCode.OK if serve(options) == 0 else ExitCode.FAILED
