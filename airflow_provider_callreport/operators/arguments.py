"""Checking what users type into a Dag file, as early as it can be checked.

An argument that is written out is checked when the Dag is parsed. One that is a template, or comes from another task,
is checked after it has been rendered. The checks are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_callreport.delivery.email import ON_OVERSIZE, ON_REFUSED
from airflow_provider_callreport.delivery.recipients import parse_recipients
from airflow_provider_callreport.delivery.s3 import IF_EXISTS
from airflow_provider_callreport.formats import FORMATS

_JINJA = ("{{", "{%", "{#")


def is_settled(value: Any) -> bool:
    """Whether a value is what it will be at run time: no template in it, and no other task's result."""
    if isinstance(value, str):
        return not any(mark in value for mark in _JINJA)
    if isinstance(value, Mapping):
        return all(is_settled(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple, set)):
        return all(map(is_settled, value))
    return not isinstance(value, XComArg) and not hasattr(value, "iter_references")


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the arguments that are settled, each alone and then together.

    Raises:
        ValueError: one sentence that names the argument, what it was and what is allowed.
    """
    settled = {name: value for name, value in arguments.items() if is_settled(value)}
    for name, allowed in CHOICES.items():
        if name in settled and not (name == "on_oversize" and settled[name] is None):
            check_choice(name, settled[name], allowed)
    for name in ("s3_bucket", "s3_key", "filename", "report_title", "email_subject", "email_html"):
        _check_text(name, settled.get(name))
    for name in ("callreport_conn_id", "smtp_conn_id"):
        if name in settled and (not isinstance(settled[name], str) or not settled[name].strip()):
            raise ValueError(f"{name} is {settled[name]!r}; allowed is the id of an Airflow connection")
    for name in ("email_to", "email_cc", "email_bcc"):
        if settled.get(name) is not None:
            parse_recipients(settled[name], name)
    _check_objects(settled)
    _check_numbers(settled)
    _check_destinations(arguments, settled)


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse a value that is not one of a few.

    Raises:
        ValueError: it is not.
    """
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")


def _check_text(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; allowed is text")


def _check_objects(settled: Mapping[str, Any]) -> None:
    from airflow_provider_callreport.api.filters import check_filters
    from airflow_provider_callreport.api.table import check_choice as check_columns
    from airflow_provider_callreport.delivery.s3 import check_extra_args
    from airflow_provider_callreport.redaction import check_redact

    if settled.get("filters") is not None:
        check_filters(settled["filters"])
    check_columns(settled.get("columns"))
    check_redact(settled.get("redact"))
    if settled.get("s3_extra_args"):
        if not isinstance(settled["s3_extra_args"], Mapping):
            raise ValueError(f"s3_extra_args is {settled['s3_extra_args']!r}; allowed is an object of S3 arguments")
        check_extra_args(settled["s3_extra_args"])
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


def _check_destinations(arguments: Mapping[str, Any], settled: Mapping[str, Any]) -> None:
    has_s3 = bool(arguments.get("s3_bucket") or arguments.get("s3_key"))
    has_email = bool(arguments.get("email_to"))
    if not has_s3 and not has_email:
        raise ValueError("there is no destination; set s3_bucket and s3_key, or email_to, or both")
    if has_s3 and not arguments.get("s3_bucket"):
        raise ValueError("s3_key is set and s3_bucket is not; set both")
    if has_s3 and not arguments.get("s3_key"):
        raise ValueError("s3_bucket is set and s3_key is not; set both")
    if not has_email and (arguments.get("email_cc") or arguments.get("email_bcc")):
        raise ValueError("email_cc or email_bcc is set and email_to is not; set email_to")
    if has_email and not has_s3 and settled.get("on_oversize") == "link":
        raise ValueError(
            'on_oversize is "link" and there is no S3 object to link to; '
            'set s3_bucket and s3_key, or on_oversize="fail"'
        )


#: Arguments that take one of a few values.
CHOICES: dict[str, Sequence[str]] = {
    "report": ("calls", "masked_calls"),
    "file_format": tuple(FORMATS),
    "if_exists": IF_EXISTS,
    "on_oversize": ON_OVERSIZE,
    "on_refused": ON_REFUSED,
    "empty": ("write", "skip", "fail"),
    "on_incomplete": ("fail", "warn"),
}
