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
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn

from airflow_provider_callreport import __version__
from airflow_provider_callreport.cli.commands import COMMANDS, Command
from airflow_provider_callreport.cli.exit_codes import ExitCode

_OURS = "airflow_provider_callreport"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``callreport``.

    Args:
        arguments: as on the command line; those of the process if None.

    Returns:
        The exit status; see `exit_codes.ExitCode`.
    """
    options = parser().parse_args(arguments)
    command: Command = options.command
    return run(command, options)


def parser() -> argparse.ArgumentParser:
    """The parser of ``callreport``."""
    codes = "\n".join(f"  {code.value:3}  {code.meaning.replace('`', '')}" for code in ExitCode)
    root = argparse.ArgumentParser(
        prog="callreport",
        description="Call reports of the DeepCall Call Report API, for the accounts of Airflow's connections.",
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
    # The sandbox needs no Airflow.
    log = _log_on_stderr(debug=debug) if hasattr(options, "conn_id") else nullcontext()
    with _stopped_by_sigterm(), log:
        try:
            code = command.run(options)
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            return _end(ExitCode.INTERRUPTED, "interrupted")
        except BrokenPipeError:
            # Whoever read our output, such as `head`, has seen enough. What is left goes nowhere, or Python would
            # complain when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.OK
        except Exception as error:
            from airflow_provider_callreport.cli.errors import command_error

            ending = command_error(error)
            if debug and ending.code is ExitCode.FAILED:
                traceback.print_exc()
            return _end(ending.code, str(ending))


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
def _log_on_stderr(*, debug: bool) -> Iterator[None]:
    """Inside the block the log goes to standard error, where it is in nobody's way: our warnings, and no more.

    Args:
        debug: everything that this package logs, what Airflow logs, and warnings of libraries as well.
    """
    with warnings.catch_warnings():
        _import_airflow(debug=debug)
        if not debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        root, ours = logging.getLogger(), logging.getLogger(_OURS)
        replaced = [(handler, _on_stderr(handler, debug=debug)) for handler in root.handlers if _is_on_stdout(handler)]
        for before, after in replaced:
            root.removeHandler(before)
            root.addHandler(after)
        level_before = ours.level
        ours.setLevel(logging.DEBUG if debug else logging.WARNING)
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
    try:
        import airflow  # noqa: F401
    finally:
        logging.disable(logging.NOTSET)


def _is_on_stdout(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout


def _on_stderr(handler: logging.Handler, *, debug: bool) -> logging.Handler:
    """A handler that says the same on standard error: that of Airflow 2 cannot be given another stream."""
    other = logging.StreamHandler(sys.stderr)
    other.setLevel(logging.DEBUG if debug else logging.WARNING)
    other.setFormatter(handler.formatter)
    other.filters = list(handler.filters)
    if not debug:
        # A hook's logger has the hook's module at the end of its name.
        other.addFilter(lambda record: _OURS in record.name)
    return other
