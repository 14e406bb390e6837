"""A file that the API's server made goes to S3 or by mail: its calls were never counted, and nothing says they were."""

from __future__ import annotations

import html
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import MailTooLargeError
from airflow_provider_callreport.delivery.mail_body import count, size
from airflow_provider_callreport.delivery.message import Envelope, MailText, compose, encoded_size
from airflow_provider_callreport.delivery.receipts import DeliveredFile, Link
from airflow_provider_callreport.delivery.s3 import S3Destination, run_stamp
from airflow_provider_callreport.delivery.s3_errors import s3_errors
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome, RunIdentity

log = logging.getLogger(__name__)

#: What a reader must know of such a file.
UNPROVED = (
    "This file was made by the API's server. Its calls were not compared with the API's total: whether it is whole "
    "could not be proved."
)


class ServerFileObject(S3Destination):
    """Writes the file as `S3Destination` does, with metadata that claims no number of rows."""

    def deliver_file(self, file: ExportedFile, *, run: RunIdentity) -> DeliveredFile:
        """Write the file to the key.

        Raises:
            DeliveryError: as `S3Destination.deliver`.
        """
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        metadata = {"complete": "unproved", "sha256": file.sha256, "run": run_stamp(run)}
        args: Mapping[str, Any] = {
            "ContentType": file.content_type,
            **self.extra_args,
            **self._address(),
            "Metadata": {**self.extra_args.get("Metadata", {}), **metadata},
        }
        with s3_errors(self.uri, self.aws_conn_id):
            hook = S3Hook(aws_conn_id=self.aws_conn_id)
            delivered = self._deliver(hook.get_conn(), file, args)
        self._report_lineage(hook, delivered)
        log.info("%s: %s (%d bytes, sha256 %s)", delivered.status, self.uri, file.bytes, file.sha256)
        return delivered


class ServerFileEmail(EmailDestination):
    """Sends the file as `EmailDestination` does, in a mail that claims no number of calls.

    ``subject`` and ``html`` are plain: they have no ``[[ ]]`` of ours, since there are no figures.
    """

    def _compose(
        self,
        files: Sequence[ExportedFile],
        links: Sequence[Link],
        info: ReportInfo,
        outcome: ReportOutcome,
        envelope: Envelope,
        identity: str,
        server_limit: int | None,
    ) -> tuple[bytes, bool]:
        limit = min(self.max_attachment_bytes, server_limit or self.max_attachment_bytes)
        now = datetime.now(UTC)
        (file,) = files
        if encoded_size(file) <= limit:
            mail = compose(self._text(info.title, file, ()), envelope, files, identity=identity, date=now)
            if len(mail) <= limit:
                return mail, True
        why = (
            f"The mail with its file would have about {size(encoded_size(file))} where {count(limit)} bytes "
            f"({size(limit)}) are allowed"
        )
        if self.on_oversize == "fail" or not links:
            raise MailTooLargeError(f'{why}; set s3_bucket and s3_key and on_oversize="link" to send a link instead.')
        text = self._text(info.title, file, [f"Not attached: {why[0].lower()}{why[1:]}. It is at {links[0].uri}"])
        return compose(text, envelope, (), identity=identity, date=now), False

    def _text(self, title: str, file: ExportedFile, more: Sequence[str]) -> MailText:
        lines = [UNPROVED, *more, f"{file.filename}: {count(file.bytes)} bytes, SHA-256 {file.sha256}"]
        body = self.html if self.html is not None else "".join(f"<p>{html.escape(line)}</p>\n" for line in lines)
        return MailText(self.subject or f"{title}: {file.filename}", body, "\n\n".join([title, *lines]) + "\n")
