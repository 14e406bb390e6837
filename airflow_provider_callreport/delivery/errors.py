"""What can go wrong while a finished file is delivered.

The tree of all errors is drawn in `airflow_provider_callreport.errors`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_callreport.delivery.receipts import Refusal
from airflow_provider_callreport.errors import CallReportError

log = logging.getLogger(__name__)


class DeliveryError(CallReportError):
    """A file could not be delivered.

    An instance may differ from its class in ``retryable``: a recipient refused with 450 (try later) is retryable, one
    refused with 550 is not.
    """


class FileChangedError(DeliveryError):
    """The file's bytes are no longer those whose SHA-256 the export took; nothing was delivered."""

    retryable = True


class DestinationRefusedError(DeliveryError):
    """The destination refuses: credentials, permission, a missing bucket, an invalid name, a refused sender."""


class DestinationUnavailableError(DeliveryError):
    """The destination cannot be reached or asks to come back later; nothing was delivered."""

    retryable = True


@contextmanager
def left_to_delivery() -> Iterator[None]:
    """For a check before a report is read: who cannot be reached now may be back when the file is there."""
    try:
        yield
    except DestinationUnavailableError as error:
        log.warning("%s The report is read all the same; the server may be back when it is needed.", error)


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
