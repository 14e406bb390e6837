"""What can go wrong, one class per kind, all of one base.

::

    CallReportError
    ├── SettingsError (ValueError)       a connection field or an argument is wrong; nothing was sent
    │   └── WindowError                  the run has no window, or an empty one
    ├── ApiError                         the vendor answered with an error: code, message, HTTP status
    │   ├── AuthenticationError          1014, 1011, 1013, 1020, 1044, HTTP 401
    │   ├── PermissionDeniedError        1015, 1027, 1039-1042, HTTP 403
    │   ├── RequestRejectedError         1047, 1000-1002, 1022-1031, HTTP 400 and other 4xx
    │   ├── RateLimitedError             HTTP 429                                                   (retried)
    │   └── ServiceError                 1009, 1010, 1032, 1033, 1046, HTTP 408, 425, 5xx           (retried)
    ├── TransportError                   no whole answer arrived: refused, reset, cut, TLS, proxy   (retried)
    │   └── TimeoutExceededError         the connect, read or overall deadline passed               (retried)
    ├── AnswerError                      HTTP 200 whose body is no answer: HTML, cut JSON,
    │                                    no ``data``, ``data: null`` with calls promised            (retried)
    ├── AnswerTooLargeError              more bytes than ``max_response_bytes``
    ├── RedirectError                    3xx: not followed, the body carries credentials
    ├── TableError                       rows or columns of a shape that cannot be read
    ├── FileError                        a file that the API's server made or keeps could not be taken
    │   ├── AddressRefusedError          its address is one that we do not go to; nothing was sent
    │   └── WrongFileError               what came is no such file: HTML, cut, another type         (retried)
    ├── NotReadyError                    1004, 1012: the file is not made yet                       (retried)
    ├── MaybeAcceptedError               nobody can tell whether a request that changes something was accepted
    ├── DriftError                       a delivered report no longer has the calls that the API counts
    ├── RecordingsMissingError           recordings of the report's calls could not be copied       (retried)
    ├── IncompleteReportError            the report is provably not whole
    │   ├── RepeatedPageError            a page or a cursor came a second time
    │   └── ReportChangedError           the report moved while it was read; it is read again       (retried)
    │       └── AnswerChangedError       an answer is unlike the ones before it; it is read again   (retried)
    ├── EmptyReportError                 there are no calls, and ``empty="fail"``                   (retried)
    ├── SpoolFullError                   the disk that the file is made on is full                  (retried)
    ├── FontError (ValueError)           PDF: a font cannot be used
    ├── PdfTooManyRowsError (ValueError) PDF: more rows than ``max_rows``
    └── DeliveryError                    a finished file could not be delivered
        ├── FileChangedError             the file on disk is not the one that was verified          (retried)
        ├── DestinationRefusedError      the destination says no: login, permission, name, sender
        ├── DestinationUnavailableError  unreachable, overloaded, or busy with somebody else        (retried)
        ├── ObjectExistsError            S3, ``if_exists="fail"``: another run's object is there
        ├── DamagedUploadError           S3 stored other bytes than were sent                       (retried)
        ├── RecipientsRefusedError       mail: the server does not take addresses  (retried where all are temporary)
        ├── MailTooLargeError            mail: larger than allowed, and no link to send instead
        └── MailMaybeSentError           mail: nobody can tell whether it went

Each class stands where it is raised: those of the API, down to `AnswerChangedError`, in `api.errors` (the import path
for users), the others in `export.road`, `spool`, `formats.pdf` and `delivery.errors`.
"""

from __future__ import annotations


class CallReportError(Exception):
    """Base of every error of this package. Its text is a sentence for the person who reads the task's log.

    No error holds a response body, a credential or a phone number.

    Args:
        message: what happened and what to do.
        retryable: whether another try may help; None for the answer of the class.

    Attributes:
        retryable: whether another try may help. The client tries a request again inside ``max_retry_time``, and after
            that Airflow may try the task again. Everything else is fatal: an operator fails the task at once.
    """

    retryable: bool = False

    def __init__(self, message: str = "", *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable
