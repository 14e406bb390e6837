"""How a command ends."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of a command; each has its meaning as ``meaning``."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """A member with its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "done"
    FAILED = 1, "an error that should not happen (`--debug` shows where); a port of the sandbox is taken"
    USAGE = 2, "an argument is wrong, or needs an extra that is not installed; nothing was asked"
    CONNECTION = 3, "the connection is missing or wrong, or the API refuses its credentials or rights"
    LATER = 4, "the API or the network has a fault that may pass"
    REFUSED = 5, "the API refuses the request, or its answer cannot be read; another try does not help"
    INCOMPLETE = 6, "the report is not whole; no file was written"
    FILE = 7, "the file cannot be written, or exists already"
    NO_CALLS = 8, "there are no calls, and `--empty fail` was given"
    SETTING = 9, "`probe` found something that needs a setting, or a person"
    WRITTEN_INCOMPLETE = 10, "the report is not whole, and `--on-incomplete warn` wrote the file all the same"
    INTERRUPTED = 130, "interrupted (Ctrl-C)"


class CommandError(Exception):
    """A command ends here.

    Args:
        code: how.
        sentence: for the person who typed the command.
    """

    def __init__(self, code: ExitCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
