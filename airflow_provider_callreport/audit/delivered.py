"""The audit: does the API still count as many calls in a window as were delivered?

Calls appear late, and an object in S3 can be overwritten by somebody else. So a file that was whole when it was
delivered is compared again, days later, with what the API counts now.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_callreport.api import counting
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.counting import window_json
from airflow_provider_callreport.api.errors import CallReportError, DriftError, SettingsError
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.delivery.s3_client import connect
from airflow_provider_callreport.delivery.s3_errors import is_not_found, s3_errors
from airflow_provider_callreport.rules import is_whole_number

log = logging.getLogger(__name__)

_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery, as its source describes it.

    Attributes:
        calls: calls in it.
        where: where that is written, for messages.
        start, end: its window, or None where the source has none.
        bytes: size of the object, or None where the source is not an object.
        sha256: its SHA-256, or None likewise.
        run: a hash of the run that wrote the object (`delivery.s3.run_stamp`), or None.
    """

    calls: int
    where: str
    start: datetime | None = None
    end: datetime | None = None
    bytes: int | None = None
    sha256: str | None = None
    run: str | None = None


def count_calls(
    client: CallReportClient, report: str, filters: Mapping[str, Any], window: Window, *, by: str = "auto"
) -> int:
    """How many calls the API has now.

    Args:
        client: the account.
        report: ``"calls"`` or ``"masked_calls"``.
        filters: API filter keys.
        window: which calls.
        by: ``"count"`` asks ``reportCount``, one request; ``"read"`` reads the report and counts, which is proved;
            ``"auto"`` counts ``calls`` and reads ``masked_calls``, because nobody knows whether ``reportCount`` counts
            those.

    Raises:
        CallReportError: the API gives no number, or the report cannot be read whole.
    """
    if by == "read" or (by == "auto" and report != "calls"):
        return _read(client, report, filters, window)
    count = counting.count_calls(client, report, filters, window)
    if count.exact and count.source == "reportCount":
        return count.calls
    if by == "auto":
        return _read(client, report, filters, window)
    raise CallReportError(
        f"the API's count is {count}, which is not exact; set count_by to 'read' to read the report instead"
    )


def _read(client: CallReportClient, report: str, filters: Mapping[str, Any], window: Window) -> int:
    return sum(len(page.records) for page in ReportReader(client, report, filters, window).pages())


def delivered_in_s3(
    bucket: str, keys: Sequence[str], aws_conn_id: str | None, *, check_bytes: bool, client: Any = None
) -> list[Delivered]:
    """What the metadata of delivered objects says.

    Args:
        bucket: the bucket.
        keys: the files of one report; several for a report that was grouped, or the manifest of recordings.
        aws_conn_id: Airflow's AWS connection.
        check_bytes: read each object and compare its SHA-256.
        client: a boto3 client of that connection, if the caller has one.

    Raises:
        DriftError: an object does not exist, was not written by this package, or has other bytes.
        DeliveryError: S3 does not answer.
    """
    from botocore.exceptions import ClientError

    if client is None:
        client = connect(aws_conn_id, f"s3://{bucket}").client
    found = []
    for key in keys:
        uri = f"s3://{bucket}/{key}"
        with s3_errors(uri, aws_conn_id):
            try:
                answer = client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if not is_not_found(error):
                    raise
                raise DriftError(
                    f"{uri} does not exist; nothing was delivered for this window, or it was removed"
                ) from None
            metadata = answer.get("Metadata", {})
            with closing(answer["Body"]) as body:
                sha256 = _hash(body) if check_bytes else metadata.get("sha256")
        number = metadata.get("calls", metadata.get("rows", ""))
        if not number.isdigit() or "sha256" not in metadata:
            raise DriftError(
                f"{uri} does not say how many calls it has; it was not written by this package's operators"
            )
        if sha256 != metadata["sha256"]:
            raise DriftError(f"{uri} has other bytes than were delivered: its SHA-256 is not the one in its metadata")
        start, end = (_time_or_none(metadata.get(f"window-{side}")) for side in ("start", "end"))
        found.append(Delivered(int(number), uri, start, end, answer.get("ContentLength"), sha256, metadata.get("run")))
    return found


def delivered_in_summary(value: Any, where: str) -> Delivered:
    """What a number, an operator's XCom value, or an asset event's extra says.

    Raises:
        SettingsError: it has no number of calls.
    """
    if isinstance(value, Mapping):
        number = value.get("calls", value.get("rows"))
        span = value.get("window")
        window = span if isinstance(span, Mapping) else {}
        start, end = _time_or_none(window.get("start")), _time_or_none(window.get("end"))
    else:
        number, start, end = value, None, None
    if isinstance(number, str) and number.strip().isdigit():
        number = int(number)
    if not is_whole_number(number) or number < 0:
        raise SettingsError(
            f"{where} has no number of calls; allowed is a whole number, or an object with rows or calls such as an "
            "export's XCom value"
        )
    return Delivered(number, where, start, end)


def latest_for_window(events: Sequence[Any], window: Window, where: str) -> Delivered:
    """The newest of an asset's events that is for this window.

    Raises:
        DriftError: no event is for this window.
    """
    for event in reversed(list(events)):
        extra = getattr(event, "extra", None)
        if isinstance(extra, Mapping) and extra:
            try:
                delivered = delivered_in_summary(extra, where)
            except SettingsError:
                continue
            if (delivered.start, delivered.end) == (window.start, window.end):
                return delivered
    raise DriftError(f"no event of {where} is for the window {window.span}: nothing was delivered for it")


def compare(counted: int, delivered: Sequence[Delivered], window: Window, *, tolerance: int = 0) -> dict[str, Any]:
    """Compare the two numbers.

    Args:
        counted: calls that the API has now.
        delivered: what was delivered for the window.
        window: the window.
        tolerance: how many calls the two may differ by.

    Raises:
        DriftError: they differ by more, or something was delivered for another window.
    """
    span = window.span
    for one in delivered:
        if one.start is not None and one.end is not None and (one.start, one.end) != (window.start, window.end):
            raise DriftError(
                f"{one.where} is of the window from {one.start.isoformat()} to {one.end.isoformat()}, not {span}"
            )
    calls = sum(one.calls for one in delivered)
    where = delivered[0].where if len(delivered) == 1 else f"{len(delivered)} files beginning with {delivered[0].where}"
    if abs(counted - calls) > tolerance:
        raise DriftError(
            f"the API counts {counted} calls {span}, and {calls} were delivered ({where}): {counted - calls:+d}. "
            "Calls came late, or were changed or removed; clear the export's run to deliver the window again"
        )
    log.info("The API counts %d calls %s, and %d were delivered (%s).", counted, span, calls, where)
    return {
        "window": window_json(window),
        "counted": counted,
        "delivered": calls,
        "drift": counted - calls,
        "files": len(delivered),
    }


def _hash(body: Any) -> str:
    digest = hashlib.sha256()
    for piece in body.iter_chunks(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _time_or_none(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
