"""An error becomes a sentence of flags and an exit code."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


#: Arguments of operators that a terminal has under another name.
_ALSO = {"s3_bucket": "--to", "s3_key": "--to"}


def in_flags(sentence: str, flags: Mapping[str, str]) -> str:
    """A sentence of the operators in the words of a terminal: ``if_exists="fail"`` becomes ``--if-exists fail``.

    What is in quotes stays: a user wrote it. A name that is also a word, such as ``columns``, is an argument where a
    sentence says something of it.

    Args:
        sentence: the text of an error or a warning.
        flags: name of an argument -> its flag, as `commands.Command.flags`.
    """
    known = {**_ALSO, **flags}
    names = "|".join(name for name in known if "_" in name)
    words = "|".join(name for name in known if "_" not in name)
    before = r"(?:^|(?<=set )|(?<=and )|(?<=or )|(?<=of )|(?<=correct ))"
    after = r"(?= (?:is|has|names|gives|uses|drops|begins)\b|;|$| \()"
    pattern = (
        r"""(?P<quoted>(?<!\w)'[^']*'(?!\w)|"[^"]*")"""
        rf"""|(?:\b(?P<name>{names})\b|{before}(?P<word>{words})\b{after}"""
        rf"""|\b(?P<set>{words})(?==))(?:="(?P<value>\w+)"|(?P<equals>=\s?))?"""
    )

    def flag(match: re.Match[str]) -> str:
        if match["quoted"]:
            return match[0]
        found = known[match["name"] or match["word"] or match["set"]]
        return f"{found} {match['value'] or ''}" if match["value"] or match["equals"] else found

    return re.sub(pattern, flag, sentence)
