"""Runs the command ``callreport`` in this process, as its console script does."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout, suppress

# Before a test has a standard output of its own: Airflow's handlers keep the one that they find when it is imported,
# and would write to it after the test, when it is closed.
import airflow  # noqa: F401
import pytest

from airflow_provider_callreport.cli.main import main
from support.runs import AIRFLOW

PROGRAM = [sys.executable, "-m", "airflow_provider_callreport.cli"]
VARIABLE = "AIRFLOW_CONN_CALLREPORT_DEFAULT"
DAY = ("--start", "2026-10-15")


class Ended:
    """How a command ended, and what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        capsys.readouterr()
        try:
            self.code = main(arguments)
        except SystemExit as ending:
            self.code = int(str(ending.code))
        self.out, self.err = capsys.readouterr()

    @property
    def sentence(self) -> str:
        """The last line on standard error; the only one, unless an old Airflow has something to say."""
        *others, line = self.err.splitlines()
        assert AIRFLOW < (3, 3) or not others
        assert line.startswith("callreport: ")
        return line.removeprefix("callreport: ")


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command whose output is a terminal: its status, and what the terminal got, less control sequences."""
    ours, theirs = pty.openpty()
    said: list[bytes] = []

    def read() -> None:
        with suppress(OSError):
            while part := os.read(ours, 65536):
                said.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, redirect_stdout(terminal), redirect_stderr(terminal):
        code = main(arguments)
        terminal.flush()
    reader.join()
    os.close(ours)
    return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(said).decode()).replace("\r\n", "\n")
