"""The commands under a parser of our own, and how any of them ends."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any, NoReturn

from airflow_provider_callreport import __version__
from airflow_provider_callreport.cli.commands import COMMANDS, Command
from airflow_provider_callreport.cli.environment import environment
from airflow_provider_callreport.cli.exit_codes import ExitCode

_OURS = "airflow_provider_callreport"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``callreport``.

    Args:
        arguments: as on the command line; those of the process if None.

    Returns:
        The exit status; see `exit_codes.ExitCode`.
    """
    root = parser()
    if "_ARGCOMPLETE" in os.environ:
        # A shell asks what could come next, and the process ends here; see `completion`.
        import argcomplete

        argcomplete.autocomplete(root)
    options = root.parse_args(arguments)
    command: Command = options.command
    return run(command, options)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, as all others of ours, and not the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"callreport: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The parser of ``callreport``."""
    codes = "\n".join(f"  {code.value:3}  {code.meaning.replace('`', '')}" for code in ExitCode)
    root = _Parser(
        prog="callreport",
        description=(
            "Call reports of the DeepCall Call Report API. The account is an Airflow connection: callreport_default,\n"
            "or the one that --conn-id names. callreport COMMAND --help shows the arguments of a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"exit status:\n{codes}",
    )
    root.add_argument("--version", action="version", version=f"callreport {__version__}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            epilog=command.epilog() if command.epilog else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub.add_argument)
        sub.set_defaults(command=command)
    return root


def run(command: Command, options: argparse.Namespace) -> ExitCode:
    """Run a command; an error becomes one sentence on standard error.

    Args:
        command: which.
        options: what was typed.

    Returns:
        How it ended.
    """
    debug = getattr(options, "debug", False)
    options.out = sys.stdout
    # The sandbox needs no Airflow.
    airflow = _airflow(command, options) if hasattr(options, "callreport_conn_id") else nullcontext()
    with _stopped_by_sigterm(), airflow:
        try:
            code = command.run(options)
            options.out.flush()
            return code
        except KeyboardInterrupt:
            return _end(ExitCode.INTERRUPTED, "interrupted")
        except BrokenPipeError:
            # Whoever read our output, such as `head`, has seen enough. What is left goes nowhere, or Python would
            # complain when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), options.out.fileno())
            return ExitCode.OK
        except Exception as error:
            from airflow_provider_callreport.cli.errors import command_error, in_flags

            ending = command_error(error)
            if debug and ending.code is ExitCode.FAILED:
                traceback.print_exc()
            return _end(ending.code, in_flags(str(ending), command.flags()))


def for_airflow(command: Command) -> Callable[[argparse.Namespace], None]:
    """What Airflow's parser calls for a command: it looks at no return value, so the process ends here."""

    def call(options: argparse.Namespace) -> None:
        code = run(command, options)
        if code is not ExitCode.OK:
            raise SystemExit(int(code))

    return call


def _end(code: ExitCode, sentence: str) -> ExitCode:
    sys.stderr.write(f"callreport: {sentence}\n")
    return code


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Inside the block SIGTERM clears up as Ctrl-C does, where signals can be had at all."""

    def stop(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        # Not the main thread.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _airflow(command: Command, options: argparse.Namespace) -> Iterator[None]:
    """Inside the block Airflow is imported, and nothing but ``options.out`` writes to standard output.

    Our warnings go to standard error; with ``--debug`` all that we and Airflow log, and what libraries warn of.
    """
    sentences = None if options.debug else _Sentences(command)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        _import_airflow(debug=options.debug)
        if not options.debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        root, ours = logging.getLogger(), logging.getLogger(_OURS)
        streams = (options.out, sys.stderr)
        replaced = [
            (handler, _on_stderr(handler, sentences))
            for handler in root.handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream in streams
        ]
        for before, after in replaced:
            root.removeHandler(before)
            root.addHandler(after)
        level_before = ours.level
        ours.setLevel(logging.DEBUG if options.debug else logging.WARNING)
        try:
            yield
        finally:
            ours.setLevel(level_before)
            for before, after in replaced:
                root.removeHandler(after)
                root.addHandler(before)


def _import_airflow(*, debug: bool) -> None:
    """Import Airflow, which makes its handlers and filters of warnings, and says this and that meanwhile."""
    if not debug:
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
    # Airflow 3's own loggers pass no handler of ours.
    quiet = nullcontext() if debug else environment("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")
    try:
        with quiet:
            import airflow  # noqa: F401
    finally:
        logging.disable(logging.NOTSET)


def _on_stderr(handler: logging.Handler, sentences: logging.Formatter | None) -> logging.Handler:
    """A handler for standard error in place of one: that of Airflow 2 cannot be given another stream.

    Args:
        handler: the one whose place it takes.
        sentences: how a warning of ours is written, and nothing else is; None for all that ``handler`` writes.
    """
    other = logging.StreamHandler(sys.stderr)
    other.setFormatter(sentences or handler.formatter)
    other.filters = list(handler.filters)
    if sentences is not None:
        other.setLevel(logging.WARNING)
        # A hook's logger has the hook's module at the end of its name.
        other.addFilter(lambda record: _OURS in record.name)
    return other


class _Sentences(logging.Formatter):
    """Warnings as the errors of a command are written.

    Args:
        command: whose flags they name.
    """

    def __init__(self, command: Command) -> None:
        super().__init__()
        self._flags = command.flags()

    def format(self, record: logging.LogRecord) -> str:
        from airflow_provider_callreport.cli.errors import in_flags

        return f"callreport: {in_flags(record.getMessage(), self._flags)}"
