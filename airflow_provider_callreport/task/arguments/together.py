"""Checks of values that have a shape of their own, or must fit to one another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.filters import NUMBER_FILTERS, check_filters, empty_window, parse_time
from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.object_storage import destination_at, parse_address
from airflow_provider_callreport.export.groups import check_placeholder
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.rules import shown


def check_window(settled: Mapping[str, Any]) -> None:
    """Refuse a window that is written out and is wrong.

    Args:
        settled: the arguments whose value is final, by name.

    Raises:
        ValueError: ``window_start`` or ``window_end`` cannot be read as a time, or the end is not after the start.
    """
    start, end = (_time_written(name, settled) for name in ("window_start", "window_end"))
    # One local time and one with an offset can only be compared when the account's zone is known.
    if start and end and (start.tzinfo is None) == (end.tzinfo is None) and start >= end:
        raise ValueError(empty_window(start, end))


def _time_written(name: str, settled: Mapping[str, Any]) -> datetime | None:
    if name not in settled:
        return None
    value = settled[name]
    if value is None or not str(value).strip():
        raise ValueError(
            f"{name} is {value!r}; allowed is a time in ISO 8601, such as 2026-01-31T00:00:00+05:30, or a template"
        )
    parse_time(value, name, ZoneInfo("UTC"))
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())


def check_filter_values(filters: Any) -> None:
    """Refuse what is not an object of filters, and phone numbers that are not text.

    Raises:
        ValueError: one sentence.
    """
    if filters is None:
        return
    for key, value in check_filters(filters).items():
        items = value if isinstance(value, (list, tuple)) else (value,)
        if key in NUMBER_FILTERS and not all(isinstance(item, str) for item in items):
            # Also because only text can be kept out of logs and rendered templates.
            raise ValueError(f"filters has {key} of type {type(value).__name__}; allowed is text, or a list of texts")


def check_export(values: Mapping[str, Any], settled: Mapping[str, Any]) -> None:
    """Check the arguments of an export together.

    Args:
        values: all of them, templates too, by name.
        settled: those whose value is final.

    Raises:
        ValueError: they do not fit together, or an option of the format, an address or a key is wrong.
    """
    if "file_format" in settled and "format_options" in settled:
        FORMATS[settled["file_format"]].check_options(settled["format_options"] or {})
    _check_destinations(values, settled)
    if "group_by" in settled:
        for name in ("s3_key", "destination", "filename"):
            check_placeholder(name, settled.get(name), settled["group_by"])


def _check_destinations(values: Mapping[str, Any], settled: Mapping[str, Any]) -> None:
    given = {name for name, value in values.items() if value is not None}
    has_s3 = bool(given & {"s3_bucket", "s3_key"})
    has_address = "destination" in given
    has_email = "email_to" in given
    if not has_email and given & {"email_cc", "email_bcc"}:
        raise ValueError("email_cc or email_bcc is set and email_to is not; set email_to")
    if not has_email and "attachment_password_conn_id" in given:
        raise ValueError("attachment_password_conn_id is set and email_to is not; set email_to")
    if not has_s3 and not has_address and not has_email:
        raise ValueError("there is no destination; set s3_bucket and s3_key, or destination, or email_to")
    if has_s3 and has_address:
        raise ValueError("destination is set, and s3_bucket or s3_key too; choose one of the two")
    if "destination_conn_id" in given and not has_address:
        raise ValueError("destination_conn_id is set and destination is not; set destination")
    for name, other in (("s3_bucket", "s3_key"), ("s3_key", "s3_bucket")):
        if has_s3 and name not in given:
            raise ValueError(f"{other} is set and {name} is not; set both")
    if has_email and not has_s3 and not has_address and settled.get("on_oversize") == "link":
        raise ValueError(
            'on_oversize is "link" and there is no S3 object to link to; '
            'set s3_bucket and s3_key, or on_oversize="fail"'
        )
    # The destinations know best what they take. A stand-in fills the place of what is not settled.
    if has_address and "destination" in settled:
        _check_address(settled, has_email=has_email)
    if has_email:
        _check_email(settled)
        if "attachment_password_conn_id" in given and "link_expires_in" in given:
            raise ValueError(
                "attachment_password_conn_id is set, and link_expires_in too: a link in the mail would open the file "
                "without the password; choose one of the two"
            )
        if isinstance(values["email_to"], Mapping) and values.get("group_by") is None:
            raise ValueError(
                "email_to is an object of groups, and group_by is not set; set group_by, or give a list of addresses"
            )


def _check_address(settled: Mapping[str, Any], *, has_email: bool) -> None:
    destination_at(
        settled["destination"],
        conn_id=settled.get("destination_conn_id"),
        if_exists=settled.get("if_exists", "replace"),
        s3_extra_args=settled.get("s3_extra_args") or {},
    )
    address = parse_address(settled["destination"])
    if has_email and address.is_local and settled.get("on_oversize") == "link":
        raise ValueError(
            'on_oversize is "link" and destination is a local file, which a mail cannot link to; '
            'set on_oversize="fail", or a destination in a cloud'
        )
    if settled.get("link_expires_in") is not None and not address.is_s3:
        raise ValueError(
            f"link_expires_in is {shown(settled['link_expires_in'])} and destination begins with {address.scheme}://; "
            "links that work for a time are made for S3 only"
        )


def _check_email(settled: Mapping[str, Any]) -> None:
    EmailDestination(
        to=settled.get("email_to", "somebody@example.com"),
        cc=settled.get("email_cc"),
        bcc=settled.get("email_bcc"),
        subject=settled.get("email_subject"),
        html=settled.get("email_html"),
    )
