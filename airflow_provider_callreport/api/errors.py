"""What can go wrong between us and the API, one class per kind.

The tree of all errors is drawn in `airflow_provider_callreport.errors`. Vendor messages pass through `scrub`.

Sources: the codes 1000, 1009, 1010, 1014, 1015 and 1047 are on the vendor's page; the others are on sister pages of
the same API family, where codes 15xx mean different things per family and are therefore "any other".
"""

from __future__ import annotations

from typing import Any

from airflow_provider_callreport.errors import CallReportError
from airflow_provider_callreport.privacy.foreign_text import one_line, scrub
from airflow_provider_callreport.report import wording

__all__ = [
    "CODE_TABLE",
    "EMPTY_CODE",
    "AddressRefusedError",
    "AnswerChangedError",
    "AnswerError",
    "AnswerTooLargeError",
    "ApiError",
    "AuthenticationError",
    "CallReportError",
    "DriftError",
    "FileError",
    "IncompleteReportError",
    "MaybeAcceptedError",
    "NotReadyError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RecordingsMissingError",
    "RedirectError",
    "RepeatedPageError",
    "ReportChangedError",
    "RequestRejectedError",
    "ServiceError",
    "SettingsError",
    "TableError",
    "TimeoutExceededError",
    "TransportError",
    "WindowError",
    "WrongFileError",
    "error_class",
    "one_line",
    "scrub",
]


class SettingsError(CallReportError, ValueError):
    """A connection field or an argument is wrong; no request was made."""


class WindowError(SettingsError):
    """The window is missing, empty or cannot be read as times."""


class ApiError(CallReportError):
    """The vendor answered with an error.

    Attributes:
        code: the vendor's code, or None when there was none.
        vendor_message: the vendor's message, scrubbed, at most 300 characters.
        http_status: HTTP status of the answer.
        endpoint: endpoint name, such as ``"list"``.
        page: 0-based page number or request number within the report, or None.
        retry_after: seconds the server asked us to wait, or None.
    """

    hint = ""

    def __init__(
        self,
        *,
        code: int | None,
        vendor_message: str,
        http_status: int,
        endpoint: str,
        page: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.code = code
        self.vendor_message = vendor_message
        self.http_status = http_status
        self.endpoint = endpoint
        self.page = page
        self.retry_after = retry_after
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.endpoint}, page {self.page}" if self.page is not None else self.endpoint
        error = f"HTTP {self.http_status}"
        if self.code is not None:
            error += f", code {self.code}"
        elif self.http_status == 200:
            error = f"an error in {error}"
        message = f": {self.vendor_message}" if self.vendor_message else " and no message"
        return f"the API answered {where} with {error}{message}. {self.advice}".rstrip()

    @property
    def advice(self) -> str:
        """What to do about it; empty when nobody knows."""
        return self.hint if self.code is None else _HINTS.get(self.code, self.hint)

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments: Exception's own pickling would lose them on the way between processes.
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


class AuthenticationError(ApiError):
    """The credentials were refused."""

    hint = "Correct User id and Token in the Airflow connection, or set a fresh Session id (ssid)."


class PermissionDeniedError(ApiError):
    """The account may not read this report."""

    hint = "Ask the account's administrator for the permission LIST_CALL_LOG."


class RequestRejectedError(ApiError):
    """The request itself was refused."""

    hint = "Check the filters and the connection."


class RateLimitedError(ApiError):
    """Too many requests."""

    retryable = True
    hint = "Set requests_per_second in the connection."


class ServiceError(ApiError):
    """The service itself failed."""

    retryable = True
    hint = "A later try may work."


class TransportError(CallReportError):
    """No whole answer arrived.

    Args:
        message: what happened and what to do.
        retryable: whether another try may help; None for True.
        sent: False when it is certain that nothing of the request had left, so that the server cannot have acted on it.
    """

    retryable = True

    def __init__(self, message: str = "", *, retryable: bool | None = None, sent: bool = True) -> None:
        super().__init__(message, retryable=retryable)
        self.sent = sent


class TimeoutExceededError(TransportError):
    """The connect timeout, the read timeout or the overall deadline passed."""


class AnswerError(CallReportError):
    """HTTP says success, and the body is not an answer."""

    retryable = True


class AnswerTooLargeError(CallReportError):
    """The answer is larger than ``max_response_bytes``, on the wire or unpacked."""


class RedirectError(CallReportError):
    """The server redirects. The body carries credentials, so it is never sent on."""


class TableError(CallReportError):
    """Rows or columns have a shape that cannot be read without losing something."""


class FileError(CallReportError):
    """A file that the API's server made or keeps could not be taken."""


class AddressRefusedError(FileError):
    """A file's address breaks the rules of `download`: not https, or in a private network. Nothing was sent there."""


class WrongFileError(FileError):
    """What came is not the kind of file that was asked for, or not the whole of it."""

    retryable = True


class NotReadyError(CallReportError):
    """The server has not made the file yet (codes 1004 and 1012). Asking again later may help."""

    retryable = True


class MaybeAcceptedError(CallReportError):
    """A request that changes something was sent, and no answer says whether it was accepted; it is not sent again."""


class DriftError(CallReportError):
    """A delivered report does not have as many calls as the API counts now, or is not the file that was delivered."""


class RecordingsMissingError(CallReportError):
    """Some recordings of the report's calls could not be copied. Those that were are in place; a later try goes on."""

    retryable = True


class IncompleteReportError(CallReportError):
    """The report is provably not whole, or a page of it could not be read.

    Attributes:
        page: 0-based number of the page at which it was noticed.
        rows: unique rows received until then.
        promised: rows the API promised, or None.
        code: vendor code of the answer that ended the reading, or None.
    """

    def __init__(
        self,
        reason: str,
        *,
        page: int,
        rows: int,
        promised: int | None,
        code: int | None = None,
        retryable: bool = False,
    ) -> None:
        self.reason = reason
        self.page = page
        self.rows = rows
        self.promised = promised
        self.code = code
        super().__init__(str(self), retryable=retryable)

    def __str__(self) -> str:
        # The numbers first: a log viewer shows one line, and cuts it.
        code = "" if self.code is None else f", vendor code {self.code}"
        return f"not whole: {_calls_of(self.rows, self.promised)} came; {self.where}{code}: {self.reason}"

    @property
    def where(self) -> str:
        """The answer at which it was noticed."""
        return f"page {self.page}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


class RepeatedPageError(IncompleteReportError):
    """A page or a cursor came a second time: the server does not move on."""


class ReportChangedError(IncompleteReportError):
    """The report moved while it was read; a second reading may be whole."""


class AnswerChangedError(ReportChangedError):
    """An answer is unlike what this account's answers are known to be. The report is read again.

    Args:
        expected: what was expected, such as ``"rows keyed by position from 1"``.
        came: what came instead. A text from an answer is scrubbed first.
        where: in which answer, such as ``"page 3, row 17"``.
        page: 0-based number of the page, as far as it is known.
        rows: unique rows received until then, as far as they are counted.
        promised: rows the API promised, or None.
    """

    def __init__(
        self, *, expected: str, came: str, where: str, page: int = 0, rows: int = 0, promised: int | None = None
    ) -> None:
        self.expected = expected
        self.came = came
        self._where = where
        reason = f"an answer is unlike those of this account: expected {expected}; came {came}"
        super().__init__(reason, page=page, rows=rows, promised=promised, retryable=True)

    @property
    def where(self) -> str:
        """The answer at which it was noticed."""
        return self._where


def _calls_of(rows: int, promised: int | None) -> str:
    whole = "an unknown number of calls" if promised is None else wording.calls(promised)
    return f"{wording.count(rows)} of {whole}"


def _rebuild(cls: type[CallReportError], args: tuple[Any, ...], state: dict[str, Any]) -> CallReportError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


#: Vendor code -> class. A code that is not here is an `ApiError`: fatal, shown with its message.
CODE_TABLE: dict[int, type[ApiError]] = {
    **dict.fromkeys((1011, 1013, 1014, 1020, 1044), AuthenticationError),
    **dict.fromkeys((1015, 1027, 1039, 1040, 1041, 1042), PermissionDeniedError),
    **dict.fromkeys(
        (1000, 1001, 1002, 1022, 1023, 1024, 1025, 1026, 1028, 1029, 1030, 1031, 1047), RequestRejectedError
    ),
    **dict.fromkeys((1009, 1010, 1032, 1033, 1046), ServiceError),
}

#: "no data found" on the vendor's sister pages: an empty report, no error.
EMPTY_CODE = 1012

_HINTS: dict[int, str] = {
    1000: "The vendor uses this code for wrong filters and for wrong credentials: check the filters, and User id and "
    "Token, or Session id (ssid), in the Airflow connection.",
}

_RETRIED_STATUSES = frozenset({408, 425})


def error_class(http_status: int, code: int | None) -> type[ApiError]:
    """The class for an answer's HTTP status and vendor code.

    HTTP 429 wins over any code, because the limit is what to act on. Otherwise a known code wins over the status: the
    vendor does not say which status its errors have. A server's own failure (5xx) with an unknown code is retried.
    """
    if http_status == 429:
        return RateLimitedError
    if code is not None and code in CODE_TABLE:
        return CODE_TABLE[code]
    if http_status in _RETRIED_STATUSES or http_status >= 500:
        return ServiceError
    if http_status == 401:
        return AuthenticationError
    if http_status == 403:
        return PermissionDeniedError
    if 400 <= http_status < 500:
        return RequestRejectedError
    return ApiError
