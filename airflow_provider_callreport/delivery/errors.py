"""What can go wrong while a finished file is delivered.

::

    DeliveryError
    ├── FileChangedError             the file on disk is not the one that was verified           retry
    ├── DestinationRefusedError      the destination says no: login, permission, name, sender    give up
    ├── DestinationUnavailableError  unreachable, overloaded, or busy with somebody else         retry
    ├── ObjectExistsError            S3, if_exists="fail": another run's object is there         give up
    ├── DamagedUploadError           S3 stored other bytes than were sent                        retry
    ├── RecipientsRefusedError       mail: addresses that the server does not take               both
    ├── MailTooLargeError            mail: larger than allowed, and no link to send instead      give up
    └── MailMaybeSentError           mail: nobody can tell whether it went                       give up

``retryable`` tells whether another try of the task may help. It is an attribute of the class, and an instance may
differ: a recipient refused with 450 (try later) is retryable, one refused with 550 is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_callreport.delivery.receipts import Refusal


class DeliveryError(Exception):
    """A file could not be delivered; the message is one sentence for the person who reads the task's log.

    Args:
        message: what happened and what to do, without credentials and phone numbers.
        retryable: whether another try may help; None takes the class's own answer.
    """

    retryable: bool = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class FileChangedError(DeliveryError):
    """The file's bytes are no longer those whose SHA-256 the export took; nothing was delivered."""

    retryable = True


class DestinationRefusedError(DeliveryError):
    """The destination refuses: credentials, permission, a missing bucket, an invalid name, a refused sender."""


class DestinationUnavailableError(DeliveryError):
    """The destination cannot be reached or asks to come back later; nothing was delivered."""

    retryable = True


class ObjectExistsError(DeliveryError):
    """``if_exists="fail"`` and an object of another run is at the key; it was left as it is."""


class DamagedUploadError(DeliveryError):
    """S3 answered with a checksum that is not the file's; the upload was aborted or removed."""

    retryable = True


class RecipientsRefusedError(DeliveryError):
    """The mail server refused recipients, and because of that no mail was sent to anybody.

    Attributes:
        refused: who was refused, with the server's code and words.
        retryable: True when every refusal is temporary (4xx).
    """

    def __init__(self, message: str, refused: Sequence[Refusal] = ()) -> None:
        super().__init__(message, retryable=bool(refused) and all(refusal.temporary for refusal in refused))
        self.refused = tuple(refused)


class MailTooLargeError(DeliveryError):
    """The encoded mail is larger than allowed, and there is nothing to send instead; no mail was sent."""


class MailMaybeSentError(DeliveryError):
    """The mail may or may not have gone, and sending again could send it twice.

    Raised when the connection is lost after the whole mail was handed over and before the server answered, and by
    a later try of the same run that finds it so.
    """
