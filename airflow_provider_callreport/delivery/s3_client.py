"""The one way to S3: a boto3 client, as the Airflow connection configures it.

``S3Hook`` reads the connection: credentials, roles, endpoint, region, retries. The requests are made with its client,
because the hook's own methods do not suffice: ``S3Hook.load_file`` is a HEAD and then an unconditional PUT, so two
writers can both win; it cannot send a checksum of ours; and it reports the temporary file as a lineage input.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from airflow_provider_callreport.connection import no_such_connection
from airflow_provider_callreport.delivery.errors import DestinationRefusedError, DestinationUnavailableError
from airflow_provider_callreport.delivery.receipts import Link, quoted_key
from airflow_provider_callreport.delivery.s3_errors import answer_of, error_status, s3_errors

log = logging.getLogger(__name__)

#: How long S3 is asked for a bucket before a report is read, in seconds; the question is asked once.
_SOON = 5

_signing: ContextVar[bool] = ContextVar("callreport_signing_an_address", default=False)


@dataclass(frozen=True, slots=True)
class S3Connection:
    """An open connection to S3.

    Attributes:
        hook: Airflow's ``S3Hook``.
        client: its boto3 client, which may be used by several threads.
    """

    hook: Any
    client: Any

    def ask_for_bucket(self, bucket: str, **arguments: Any) -> None:
        """Ask S3 whether a bucket exists, once and for seconds, whatever the connection says of retries.

        Args:
            bucket: the bucket.
            arguments: further arguments of ``HeadBucket``.

        Raises:
            ClientError: there is no such bucket, it is in another region, or credentials are refused.
            DestinationUnavailableError: S3 has a fault.
        """
        from botocore.config import Config
        from botocore.exceptions import ClientError

        once = Config(connect_timeout=_SOON, read_timeout=_SOON, retries={"total_max_attempts": 1})
        client = self.hook.get_client_type(region_name=self.hook.region_name, config=self.hook.config.merge(once))
        try:
            client.head_bucket(Bucket=bucket, **arguments)
        except ClientError as error:
            status = error_status(error)
            if error.operation_name != "HeadBucket" or status in (301, 404):
                raise
            # HEAD has no body: 403 is a wrong key, or only a missing s3:ListBucket; 400 may be an expired token.
            if status not in (400, 403):
                raise DestinationUnavailableError(
                    f"S3 does not tell whether {bucket} exists: {answer_of(error)}."
                ) from error
            log.info("S3 does not tell whether the bucket %s exists (HTTP %d); the delivery will.", bucket, status)
        except RecursionError:
            # botocore follows a redirect that does not say where to, until it can no more.
            log.info("S3 does not tell whether the bucket %s exists (a redirect); the delivery will.", bucket)

    def report_output(self, bucket: str, key: str) -> None:
        """Name an object that this run wrote as a lineage output, as ``S3Hook`` does."""
        try:
            from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
        except ImportError:
            return
        # Airflow makes an address of the key: what follows a "?" or "#" would be lost, and two keys be one dataset.
        name = quoted_key(key) if re.search("[?#]", key) else key
        collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]
        collector.add_output_asset(context=self.hook, scheme="s3", asset_kwargs={"bucket": bucket, "key": name})

    def presign(self, bucket: str, key: str, filename: str, expires_in: timedelta) -> Link:
        """Make an address that works for some time without credentials.

        Args:
            bucket: the bucket.
            key: the object's key.
            filename: the name under which a browser saves the object.
            expires_in: how long the address works.
        """
        from botocore.config import Config

        meta, session = self.client.meta, self.hook.get_session()
        # Version 4 by name: boto3 still presigns with version 2 in old regions, and that fails for SSE-KMS.
        signer = session.client(
            "s3",
            endpoint_url=meta.endpoint_url,
            region_name=meta.region_name,
            config=meta.config.merge(Config(signature_version="s3v4")),
        )
        disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        signing = _signing.set(True)
        try:
            url = signer.generate_presigned_url(
                "get_object",
                Params={"Bucket": bucket, "Key": key, "ResponseContentDisposition": disposition},
                ExpiresIn=int(expires_in.total_seconds()),
            )
        finally:
            _signing.reset(signing)
        expires_at = _signed_until(url)
        # A presigned address dies with the session that signed it; refreshable credentials know their end.
        credentials = session.get_credentials()
        session_end = getattr(credentials, "_expiry_time", None)
        if isinstance(session_end, datetime):
            expires_at = min(expires_at, session_end.astimezone(UTC))
        temporary = bool(getattr(credentials, "token", None)) and session_end is None
        return Link(f"s3://{bucket}/{key}", url, expires_at, may_expire_earlier=temporary, filename=filename)


def connect(aws_conn_id: str | None, uri: str) -> S3Connection:
    """Connect as an Airflow connection says. Call it in the task's own thread: only there connections can be read.

    Args:
        aws_conn_id: Airflow's AWS connection; None uses boto3's own search for credentials.
        uri: what the client is for, such as ``s3://bucket/key``; for the message of an error.

    Raises:
        DeliveryError: the connection does not exist, or does not give a client. Only ``aws_default`` may be missing, as
            everywhere in Airflow: boto3 then looks for credentials.
    """
    with s3_errors(uri, aws_conn_id):
        hook = _hook_of(aws_conn_id, uri)
        # boto3 reads a megabyte of models for each session, so the clients of a connection share one.
        session = hook.get_session(region_name=hook.region_name)
        hook.get_session = lambda *_, **__: session
        return S3Connection(hook, hook.get_conn())


def check_connection(aws_conn_id: str | None, uri: str) -> None:
    """Look for the Airflow connection, without a word to AWS.

    Raises:
        DestinationRefusedError: there is none.
    """
    with s3_errors(uri, aws_conn_id):
        _hook_of(aws_conn_id, uri)


def _hook_of(aws_conn_id: str | None, uri: str) -> Any:
    """Airflow's ``S3Hook``.

    It takes a connection that does not exist for none at all, and boto3 may then find the credentials of another
    account. That is allowed for ``aws_default`` only, which nobody had to name.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    hook = S3Hook(aws_conn_id=aws_conn_id)
    if aws_conn_id not in (None, S3Hook.default_conn_name) and not hook.conn_config:
        absent = no_such_connection(str(aws_conn_id), "aws_conn_id", "Amazon Web Services")
        raise DestinationRefusedError(f"Could not write {uri}: {absent}; None leaves it to boto3.")
    return hook


def _signed_until(url: str) -> datetime:
    """When a version 4 presigned address ends, read from the address itself."""
    query = parse_qs(urlsplit(url).query)
    signed_at = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed_at + timedelta(seconds=int(query["X-Amz-Expires"][0]))


def _is_loggable(record: logging.LogRecord) -> bool:
    """Drop what botocore logs while it signs an address: whoever has the signature can read the file."""
    return not _signing.get()


logging.getLogger("botocore.auth").addFilter(_is_loggable)
