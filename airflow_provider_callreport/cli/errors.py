"""An error becomes a sentence and an exit code."""

from __future__ import annotations

from airflow_provider_callreport.api.errors import (
    AuthenticationError,
    CallReportError,
    IncompleteReportError,
    PermissionDeniedError,
    RedirectError,
    SettingsError,
    TransportError,
)
from airflow_provider_callreport.cli.exit_codes import CommandError, ExitCode
from airflow_provider_callreport.delivery.errors import DeliveryError
from airflow_provider_callreport.export.road import EmptyReportError

#: The first class that fits decides.
_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (EmptyReportError, ExitCode.NO_CALLS),
    (SettingsError, ExitCode.USAGE),
    (IncompleteReportError, ExitCode.INCOMPLETE),
    (AuthenticationError, ExitCode.CONNECTION),
    (PermissionDeniedError, ExitCode.CONNECTION),
    (RedirectError, ExitCode.CONNECTION),
    (DeliveryError, ExitCode.FILE),
    # What a writer or an argument's check has to say.
    (ValueError, ExitCode.USAGE),
    (ImportError, ExitCode.USAGE),
    (OSError, ExitCode.FILE),
)


def command_error(error: Exception) -> CommandError:
    """The error as a sentence and a code.

    The text of an error that is not ours is not shown: nobody knows what is in it.
    """
    if isinstance(error, CommandError):
        return error
    sentence = str(error)
    if isinstance(error, OSError):
        where = f": {error.filename}" if isinstance(error.filename, str) else ""
        sentence = f"{error.strerror or type(error).__name__}{where}"
    for kind, code in _CODES:
        if isinstance(error, kind):
            return CommandError(code, sentence)
    if isinstance(error, TransportError) and not error.retryable:
        return CommandError(ExitCode.CONNECTION, sentence)
    if isinstance(error, CallReportError):
        return CommandError(ExitCode.LATER if error.retryable else ExitCode.REFUSED, sentence)
    return CommandError(
        ExitCode.FAILED, f"unexpected {type(error).__name__}; with --debug the command shows where it happened"
    )
