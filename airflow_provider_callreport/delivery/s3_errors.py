"""S3's error codes in one sentence each, and whether another try may help.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. The server's own words stand behind our
sentence, without what may be a phone number, an account's number or a credential in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_callreport.delivery.errors import (
    DamagedUploadError,
    DeliveryError,
    DestinationRefusedError,
    DestinationUnavailableError,
)
from airflow_provider_callreport.privacy.foreign_text import scrub

#: Somebody else writes the same key at this moment, or has changed it since we looked. We look again.
RACE_CODES = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "OperationAborted"})

_NOT_FOUND_CODES = frozenset({"404", "NoSuchKey", "NotFound"})

_CREDENTIALS = "the AWS credentials are not accepted; check {credentials}"
_EXPIRED = "the AWS session has expired; the next try asks for a new one"
_REGION = "the bucket is in another region or the endpoint is wrong; set region_name or endpoint_url in {credentials}"

_NO_CHECKSUMS = (
    'For a server that does not know checksums, set "config_kwargs": {{"request_checksum_calculation": '
    '"when_required"}} in the extra of {credentials}'
)

#: Codes for which giving up is right, with what to do about them.
_REFUSED = {
    "NoSuchBucket": "the bucket does not exist; create it or correct s3_bucket",
    # HEAD has no body that says which, and a missing object is no error.
    "404": "the bucket does not exist; create it or correct s3_bucket",
    "InvalidBucketName": "the bucket name is not valid; correct s3_bucket",
    "AccessDenied": "access is denied; grant s3:PutObject (s3:GetObject to tell whose object is there, "
    "kms:GenerateDataKey with SSE-KMS, s3:PutObjectTagging with tags) to {credentials}",
    "403": "access is denied; grant s3:PutObject to {credentials}",
    "AllAccessDisabled": "the bucket's owner has disabled all access",
    "AccountProblem": "the AWS account has a problem",
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "KeyTooLongError": "the key is longer than 1024 bytes; shorten s3_key",
    "InvalidURI": "the key is not valid; correct s3_key",
    "EntityTooLarge": "the file is larger than the server allows",
    "MetadataTooLarge": "metadata may have 2 KB; shorten Metadata in s3_extra_args",
    "InvalidStorageClass": "the storage class is not valid; correct StorageClass in s3_extra_args",
    "InvalidTag": "a tag is not valid; correct Tagging in s3_extra_args",
    "KMS.NotFoundException": "the KMS key does not exist; correct SSEKMSKeyId in s3_extra_args",
    "KMS.DisabledException": "the KMS key is disabled",
    "AccessControlListNotSupported": "the bucket does not allow ACLs; remove ACL from s3_extra_args",
    "NotImplemented": f"the server does not support a part of the request; check s3_extra_args. {_NO_CHECKSUMS}",
    "InvalidObjectState": "the object is archived",
}

#: Client errors (4xx) that pass with time.
_TRANSIENT = frozenset(
    {
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "NoSuchUpload",
    }
)

_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})

_DAMAGED_CODES = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})

#: What is no word of a sentence but a key's id, a token or a signature.
_TOKEN = re.compile(r"\b[A-Z0-9]{16,}\b|[A-Za-z0-9+/=_-]{40,}")

_PARAMETER = re.compile(r"parameter (?:in input: \")?([\w.]+)", re.IGNORECASE)


def error_code(error: Any) -> str:
    """S3's code in an error of boto3; empty when S3 did not answer."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def error_status(error: Any) -> int:
    """The HTTP status in an error of boto3; 0 when S3 did not answer."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def answer_of(error: Any) -> str:
    """What S3 answered, for a sentence: code, HTTP status, operation, and the server's own words, scrubbed."""
    words = scrub(_TOKEN.sub("***", str(_answer(error).get("Error", {}).get("Message") or ""))).rstrip(".")
    code, status = error_code(error), error_status(error)
    said = f"S3 answered {scrub(code) or 'no code'} (HTTP {status}) to {error.operation_name}"
    return f"{said}: {words}" if words else said


def is_not_found(error: Any) -> bool:
    """Whether the key (not the bucket) is missing."""
    return error_code(error) in _NOT_FOUND_CODES


def _answer(error: Any) -> Mapping[str, Any]:
    return getattr(error, "response", None) or {}


@contextmanager
def s3_errors(uri: str, aws_conn_id: str | None, *, doing: str = "write") -> Iterator[None]:
    """Turn what boto3 raises into a `DeliveryError` that names the object and what to do.

    Args:
        uri: ``s3://bucket/key``, for the message.
        aws_conn_id: the connection, for the message.
        doing: what is done with the object: ``"write"``, ``"read"`` or ``"remove"``.

    Raises:
        DeliveryError: in place of ``ClientError`` and ``BotoCoreError``; all else passes.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    credentials = f'connection "{aws_conn_id}"' if aws_conn_id else "the default AWS credentials"
    failed = f"Could not {doing} {uri}"
    try:
        yield
    except ClientError as error:
        raise _from_client_error(error, failed, credentials) from error
    except ParamValidationError as error:
        # Its text quotes the values, and an SSE-C key may be among them: only the names go on.
        names = ", ".join(dict.fromkeys(_PARAMETER.findall(str(error)))) or "an argument"
        raise DestinationRefusedError(
            f"{failed}: boto3 does not accept {names}; check s3_bucket, s3_key and s3_extra_args, and that "
            "boto3 is 1.36.0 or newer."
        ) from None
    except BotoCoreError as error:
        raise _from_botocore_error(error, failed, credentials) from error


def _from_client_error(error: Any, failed: str, credentials: str) -> DeliveryError:
    code, status = error_code(error), error_status(error)
    said = answer_of(error)
    if code in _DAMAGED_CODES:
        return DamagedUploadError(f"{failed}: the bytes were damaged on their way. {said}.")
    if code in _EXPIRED_CODES:
        return DestinationUnavailableError(f"{failed}: {_EXPIRED}. {said}.")
    if code in _REFUSED:
        advice = _REFUSED[code].format(credentials=credentials)
        return DestinationRefusedError(f"{failed}: {advice}. {said}.")
    if code in _TRANSIENT or status >= 500 or status == 429:
        return DestinationUnavailableError(f"{failed}: S3 is busy or has a fault. {said}.")
    return DestinationRefusedError(f"{failed}. {said}. {_NO_CHECKSUMS.format(credentials=credentials)}.")


def _from_botocore_error(error: Exception, failed: str, credentials: str) -> DeliveryError:
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return DestinationRefusedError(
            f"{failed}: there are no AWS credentials: {credentials} does not exist or has none, and the worker has "
            f"none. "
            f"Create the connection (Admin, Connections, type Amazon Web Services), or give the worker a role."
        )
    kind = type(error).__name__
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return DestinationUnavailableError(
            f"{failed}: AWS could not be reached ({kind}); check the network and endpoint_url in {credentials}."
        )
    return DestinationRefusedError(f"{failed}: {kind}; check {credentials}.")
