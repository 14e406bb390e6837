"""Links beside a task in Airflow's UI: the file that it delivered, the mail that it sent, the report in the portal.

A link is an address that anybody may see: no presigned one, no filter, no credential. It is made on the worker when the
delivery is done. Airflow 3 asks `get_link` right then and keeps the answer as an XCom; Airflow 2.11 asks when somebody
looks, so there the worker puts it into the XCom itself, under the same key.

The AWS console is known. Where a MinIO server, a mail archive or a brand's portal is, only the deployment knows; it
says so in Airflow's configuration, section ``[callreport]``: see `provider_info.LINK_OPTIONS`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_callreport.provider_info import CONFIG_SECTION

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey

    from airflow_provider_callreport.assets import DeliveredObject, Delivery
    from airflow_provider_callreport.report import ReportInfo

log = logging.getLogger(__name__)

#: Attribute of an operator with the addresses of this run's links, by class of the link.
_ATTRIBUTE = "callreport_links"

#: The AWS console of each partition (https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html).
_CONSOLES = {
    "aws": "https://console.aws.amazon.com",
    "aws-cn": "https://console.amazonaws.cn",
    "aws-us-gov": "https://console.amazonaws-us-gov.com",
}


class CallReportLink(BaseOperatorLink):
    """One of the links; without an address the UI does not show it."""

    @property
    def xcom_key(self) -> str:
        """Where the address is kept: what Airflow 3 does by default, and 2.11 does not know."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or an empty text.

        Args:
            operator: the operator that ran; in Airflow 2.11's webserver one that only looks like it.
            ti_key: the task instance.
        """
        links: Mapping[str, str] | None = getattr(operator, _ATTRIBUTE, None)
        if links is not None:
            return links.get(type(self).__name__, "")
        if _keeps_links_itself():
            return ""
        from airflow.providers.common.compat.sdk import XCom

        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")


class DeliveredFileLink(CallReportLink):
    """The object in S3, or the folder of all of them."""

    name = "Delivered file"


class SentMailLink(CallReportLink):
    """The mail, found by its Message-ID in the mail archive that the deployment names."""

    name = "Sent mail"


class PortalLink(CallReportLink):
    """The report in the vendor's portal, at the address that the deployment names."""

    name = "Report in the portal"


def remember_links(operator: BaseOperator, context: Context, links: Mapping[type[CallReportLink], str]) -> None:
    """Keep the addresses where the links look for them.

    Args:
        operator: the operator that runs.
        context: its context.
        links: the addresses; empty ones are left out.
    """
    found = {link.__name__: url for link, url in links.items() if url}
    setattr(operator, _ATTRIBUTE, found)
    if not _keeps_links_itself() and getattr(operator, "do_xcom_push", True):
        for link, url in links.items():
            if url:
                context["ti"].xcom_push(key=link().xcom_key, value=url)


def file_url(delivery: Delivery, aws_conn_id: str | None) -> str:
    """Where a person finds what was delivered, or an empty text.

    Args:
        delivery: what was delivered.
        aws_conn_id: the connection that it went by, which says whether the server is AWS.
    """
    objects = [one for one in delivery.objects if one.ours]
    if not objects:
        return ""
    store, single = objects[0].store, len(objects) == 1
    key = objects[0].key if single else _folder(objects)
    template = _option("file_url")
    if template:
        return _filled("file_url", template, {"store": store, "bucket": store.partition("://")[2], "key": key})
    if not store.startswith("s3://"):
        return ""
    try:
        return _console_url(store.removeprefix("s3://"), key, aws_conn_id, single=single)
    except Exception as error:
        # The file is delivered. Not the error's text: it may come from a connection.
        log.warning("no link to the delivered file: %s", type(error).__name__)
        return ""


def mail_url(message_id: str | None) -> str:
    """Where a person finds the mail, or an empty text.

    Args:
        message_id: its Message-ID, with its angle brackets; None when there is no mail.
    """
    template = _option("mail_url")
    if not template or not message_id:
        return ""
    return _filled("mail_url", template, {"message_id": message_id.strip("<>")})


def portal_url(host: str, info: ReportInfo) -> str:
    """Where a person finds the report in the vendor's portal, or an empty text.

    Args:
        host: the API's host.
        info: the report's description.
    """
    template = _option("portal_url")
    if not template:
        return ""
    start, end = (moment.replace(tzinfo=None).isoformat() for moment in (info.window_start, info.window_end))
    return _filled("portal_url", template, {"host": host, "report": info.report, "start": start, "end": end})


def _console_url(bucket: str, key: str, aws_conn_id: str | None, *, single: bool) -> str:
    """The page of AWS's console; empty for another server, and for an access point, which the console has elsewhere."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    if bucket.startswith("arn:"):
        return ""
    meta = S3Hook(aws_conn_id=aws_conn_id).get_conn().meta
    host = urlsplit(meta.endpoint_url).hostname or ""
    console = _CONSOLES.get(meta.partition)
    if console is None or not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return ""
    region = "" if meta.region_name in (None, "aws-global") else f"region={quote(meta.region_name)}&"
    return f"{console}/s3/{'object' if single else 'buckets'}/{quote(bucket)}?{region}prefix={quote(key, safe='/')}"


def _folder(objects: Sequence[DeliveredObject]) -> str:
    """The folder that all keys are in, with a slash at its end."""
    folders = [one.key.split("/")[:-1] for one in objects]
    common = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    return "".join(f"{names[0]}/" for names in common)


def _option(name: str) -> str:
    from airflow.providers.common.compat.sdk import conf

    return str(conf.get(CONFIG_SECTION, name, fallback="") or "").strip()


def _filled(name: str, template: str, values: Mapping[str, str]) -> str:
    """The address that a template of the configuration makes, or an empty text and a warning."""
    from airflow_provider_callreport.api.settings import is_loopback

    try:
        url = template.format_map({key: quote(value, safe="/:") for key, value in values.items()})
        parts = urlsplit(url)
        host = parts.hostname or ""
    except (ValueError, LookupError, AttributeError):
        allowed = ", ".join(f"{{{key}}}" for key in values)
        log.warning("[%s] %s in Airflow's configuration is no address with %s", CONFIG_SECTION, name, allowed)
        return ""
    # The UI makes a link of it, whatever it is: "javascript:" would be run in the browser of who clicks.
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not safe or not url.isprintable():
        log.warning("[%s] %s in Airflow's configuration is no https:// address", CONFIG_SECTION, name)
        return ""
    return url


def _keeps_links_itself() -> bool:
    """Whether Airflow keeps what `get_link` answers on the worker (since 3.0)."""
    from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

    return bool(AIRFLOW_V_3_0_PLUS)
