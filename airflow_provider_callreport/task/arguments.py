"""Checking what users type into a Dag file, as early as it can be checked.

An argument that is written out is checked when the Dag is parsed. One that is a template, or comes from another task,
is checked after it has been rendered. The checks are the same, and no connection is read for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_callreport.api.filters import NUMBER_FILTERS, check_filters, parse_time
from airflow_provider_callreport.api.table import check_choice as check_columns
from airflow_provider_callreport.delivery.email import ON_OVERSIZE, ON_REFUSED, EmailDestination
from airflow_provider_callreport.delivery.object_storage import destination_at, parse_address
from airflow_provider_callreport.delivery.s3 import IF_EXISTS, S3Destination
from airflow_provider_callreport.export.groups import check_placeholder
from airflow_provider_callreport.export.redaction import check_redact
from airflow_provider_callreport.formats import FORMATS

#: Arguments that take one of a few values. ``on_oversize`` may also be None: its default depends on the destinations.
CHOICES: dict[str, Sequence[str]] = {
    "report": ("calls", "masked_calls"),
    "file_format": tuple(FORMATS),
    "if_exists": IF_EXISTS,
    "on_oversize": ON_OVERSIZE,
    "on_refused": ON_REFUSED,
    "empty": ("write", "skip", "fail"),
    "on_incomplete": ("fail", "warn"),
}


class ArgumentError(AirflowFailException, ValueError):
    """An argument is wrong.

    A ``ValueError`` for who writes the Dag. A mapped task's arguments are only known when it runs, and are given to the
    constructor then: for Airflow this is the kind of error that another try does not help.
    """


#: More requests at once than this are an attack on the vendor.
MAX_CONCURRENCY = 16

_JINJA = ("{{", "{%", "{#")


def is_settled(value: Any) -> bool:
    """Whether a value is what it will be at run time: no template, no other task's result, nothing to be called."""
    if isinstance(value, str):
        return not any(mark in value for mark in _JINJA)
    if isinstance(value, Mapping):
        return all(is_settled(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple, set)):
        return all(map(is_settled, value))
    # `iter_references` is what marks Airflow's values of later: XComArg, DagParam, literal().
    return not hasattr(value, "iter_references") and not callable(value)


def check_arguments(arguments: Mapping[str, Any], *, rendered: bool = False) -> None:
    """Check the arguments that are settled, each alone and then together.

    Args:
        arguments: the operator's arguments by name.
        rendered: True when all of them are settled, because their templates have been rendered.

    Raises:
        ValueError: one sentence that names the argument, what it was and what is allowed.
    """
    settled = {name: value for name, value in arguments.items() if rendered or is_settled(value)}
    for name, allowed in CHOICES.items():
        if name in settled and not (name == "on_oversize" and settled[name] is None):
            check_choice(name, settled[name], allowed)
    for name in ("filename", "report_title", "group_by", "email_subject", "email_html"):
        check_text(name, settled.get(name), one_line=name != "email_html")
    for name in ("callreport_conn_id", "smtp_conn_id", "aws_conn_id", "destination_conn_id"):
        optional = name in ("aws_conn_id", "destination_conn_id")
        check_connection_id(name, settled.get(name, "unsettled"), optional=optional)
    if not rendered:
        # After rendering, the operator reads them in the account's zone and with the run at hand.
        check_window(settled)
    check_filter_values(settled.get("filters"))
    check_columns(settled.get("columns"))
    check_redact(settled.get("redact"))
    _check_format_options(settled)
    _check_numbers(settled)
    _check_destinations(arguments, settled)
    if "group_by" in settled:
        for name in ("s3_key", "destination", "filename"):
            check_placeholder(name, settled.get(name), settled["group_by"])


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse a value that is not one of a few.

    Raises:
        ValueError: it is not.
    """
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")


def check_text(name: str, value: Any, *, one_line: bool) -> None:
    """Refuse what is neither None nor text that says something.

    Raises:
        ValueError: it is not.
    """
    if value is None:
        return
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is {value!r}; allowed is text that is not empty, or None")
    # A line break in a subject would begin a header of its own.
    if one_line and not value.isprintable():
        raise ValueError(f"{name} is {value!r}; allowed is one line without control characters")


def check_connection_id(name: str, value: Any, *, optional: bool) -> None:
    """Refuse what cannot be the id of a connection.

    Raises:
        ValueError: it cannot.
    """
    if value is None and optional:
        return
    if not isinstance(value, str) or not value.strip():
        also = ", or None" if optional else ""
        raise ValueError(f"{name} is {value!r}; allowed is the id of an Airflow connection{also}")


def check_window(settled: Mapping[str, Any]) -> None:
    """Refuse a window that is written out and cannot be one.

    Args:
        settled: the arguments whose value is final, by name.

    Raises:
        ValueError: ``window_start`` or ``window_end`` is no time, or they stand in the wrong order.
    """
    start, end = (_moment(name, settled) for name in ("window_start", "window_end"))
    # One local time and one with an offset can only be compared when the account's zone is known.
    if start and end and (start.tzinfo is None) == (end.tzinfo is None) and start >= end:
        raise ValueError(f"window_start is {start} and window_end is {end}; window_start must be earlier")


def _moment(name: str, settled: Mapping[str, Any]) -> datetime | None:
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
    """Refuse filters that are none, and phone numbers that are not text.

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


def _check_format_options(settled: Mapping[str, Any]) -> None:
    options = settled.get("format_options")
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"format_options is {options!r}; allowed is an object of option to value")
    if "file_format" in settled and "format_options" in settled:
        FORMATS[settled["file_format"]].check_options(options or {})


def _check_numbers(settled: Mapping[str, Any]) -> None:
    limit = settled.get("max_attachment_bytes", 1)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"max_attachment_bytes is {limit!r}; allowed is a whole number of at least 1")
    seconds = settled.get("link_expires_in")
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds <= 604_800
    ):
        raise ValueError(f"link_expires_in is {seconds!r}; allowed are seconds from 1 to 604800 (seven days)")
    concurrency = settled.get("concurrency", 1)
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency <= MAX_CONCURRENCY:
        raise ValueError(f"concurrency is {concurrency!r}; allowed is a whole number from 1 to {MAX_CONCURRENCY}")
    resend = settled.get("resend_if_unsure", False)
    if not isinstance(resend, bool):
        raise ValueError(f"resend_if_unsure is {resend!r}; allowed are True and False")


def _check_destinations(arguments: Mapping[str, Any], settled: Mapping[str, Any]) -> None:
    given = {name for name, value in arguments.items() if value is not None}
    has_s3 = bool(given & {"s3_bucket", "s3_key"})
    has_address = "destination" in given
    has_email = "email_to" in given
    if not has_email and given & {"email_cc", "email_bcc"}:
        raise ValueError("email_cc or email_bcc is set and email_to is not; set email_to")
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
    if has_s3:
        _check_s3(settled)
    if has_address and "destination" in settled:
        _check_address(settled, has_email=has_email)
    if has_email:
        _check_email(settled)
        if isinstance(arguments["email_to"], Mapping) and arguments.get("group_by") is None:
            raise ValueError(
                "email_to is an object of groups, and group_by is not set; set group_by, or give a list of addresses"
            )


def _check_s3(settled: Mapping[str, Any]) -> None:
    S3Destination(settled.get("s3_bucket", "bucket"), settled.get("s3_key", "key"), extra_args=_s3_extra_args(settled))


def _s3_extra_args(settled: Mapping[str, Any]) -> Mapping[str, Any]:
    extra_args = settled.get("s3_extra_args") or {}
    if not isinstance(extra_args, Mapping):
        raise ValueError(f"s3_extra_args is {extra_args!r}; allowed is an object of S3 arguments")
    return extra_args


def _check_address(settled: Mapping[str, Any], *, has_email: bool) -> None:
    destination_at(
        settled["destination"],
        conn_id=settled.get("destination_conn_id"),
        if_exists=settled.get("if_exists", "replace"),
        s3_extra_args=_s3_extra_args(settled),
    )
    address = parse_address(settled["destination"])
    if has_email and address.is_local and settled.get("on_oversize") == "link":
        raise ValueError(
            'on_oversize is "link" and destination is a local file, which a mail cannot link to; '
            'set on_oversize="fail", or a destination in a cloud'
        )
    if settled.get("link_expires_in") is not None and not address.is_s3:
        raise ValueError(
            f"link_expires_in is set and destination begins with {address.scheme}://; links that work for a time are "
            "made for S3 only"
        )


def _check_email(settled: Mapping[str, Any]) -> None:
    EmailDestination(
        to=settled.get("email_to", "somebody@example.com"),
        cc=settled.get("email_cc"),
        bcc=settled.get("email_bcc"),
        subject=settled.get("email_subject"),
        html=settled.get("email_html"),
    )
