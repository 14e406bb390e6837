"""The link beside a task in Airflow's UI: to the file that it delivered, in the AWS console.

A link is an address that anybody may see: no presigned one, no filter, no credential. It is made on the worker when the
delivery is done. Airflow 3 asks `get_link` right then and keeps the answer as an XCom; Airflow 2.11 asks when somebody
looks, so there the worker puts it into the XCom itself, under the same key. Other stores have no console that is known,
so an object there has no link.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, TaskInstanceKey

    from airflow_provider_callreport.assets import DeliveredObject, Delivery

log = logging.getLogger(__name__)

#: Attribute of an operator with the address of this run's link.
_ATTRIBUTE = "callreport_file_url"

#: The AWS console of each partition (https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html).
_CONSOLES = {
    "aws": "https://console.aws.amazon.com",
    "aws-cn": "https://console.amazonaws.cn",
    "aws-us-gov": "https://console.amazonaws-us-gov.com",
}

#: Hosts of AWS's S3 end in one of these.
AWS_HOSTS: tuple[str, ...] = (".amazonaws.com", ".amazonaws.com.cn")


class DeliveredFileLink(BaseOperatorLink):
    """The object in S3, or the folder of all of them; without an address the UI does not show the link."""

    name = "Delivered file"

    @property
    def xcom_key(self) -> str:
        """Where the address is kept: what Airflow 3 does by default, and 2.11 does not know."""
        return "_link_DeliveredFileLink"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or an empty text.

        Args:
            operator: the operator that ran; in Airflow 2.11's webserver one that only looks like it.
            ti_key: the task instance.
        """
        url: str | None = getattr(operator, _ATTRIBUTE, None)
        if url is not None:
            return url
        if _keeps_links_itself():
            return ""
        from airflow.providers.common.compat.sdk import XCom

        return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")


def put_link_away(operator: BaseOperator) -> None:
    """Take the link from an operator that is about to run: Airflow 3 would keep an XCom without a value for it."""
    links = operator.operator_extra_links
    operator.operator_extra_links = tuple(link for link in links if not isinstance(link, DeliveredFileLink))


def remember_link(operator: BaseOperator, context: Context, url: str) -> None:
    """Keep the address where the link looks for it, and give the operator its link back.

    Args:
        operator: the operator that runs.
        context: its context.
        url: the address, or an empty text.
    """
    setattr(operator, _ATTRIBUTE, url)
    if url:
        operator.operator_extra_links = (*operator.operator_extra_links, DeliveredFileLink())
    if url and not _keeps_links_itself() and getattr(operator, "do_xcom_push", True):
        context["ti"].xcom_push(key=DeliveredFileLink().xcom_key, value=url)


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
    if not store.startswith("s3://"):
        return ""
    try:
        return _console_url(store.removeprefix("s3://"), key, aws_conn_id, single=single)
    except Exception as error:
        # The file is delivered. Not the error's text: it may come from a connection.
        log.warning("no link to the delivered file: %s", type(error.__cause__ or error).__name__)
        return ""


def _console_url(bucket: str, key: str, aws_conn_id: str | None, *, single: bool) -> str:
    """The page of AWS's console; empty for another server, and for an access point, which the console has elsewhere."""
    from airflow_provider_callreport.delivery.s3_client import connect

    if bucket.startswith("arn:"):
        return ""
    meta = connect(aws_conn_id, f"s3://{bucket}").client.meta
    host = urlsplit(meta.endpoint_url).hostname or ""
    console = _CONSOLES.get(meta.partition)
    if console is None or not host.endswith(AWS_HOSTS):
        return ""
    region = "" if meta.region_name in (None, "aws-global") else f"region={quote(meta.region_name)}&"
    return f"{console}/s3/{'object' if single else 'buckets'}/{quote(bucket)}?{region}prefix={quote(key, safe='/')}"


def _folder(objects: Sequence[DeliveredObject]) -> str:
    """The folder that all keys are in, with a slash at its end."""
    folders = [one.key.split("/")[:-1] for one in objects]
    common = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    return "".join(f"{names[0]}/" for names in common)


def _keeps_links_itself() -> bool:
    """Whether Airflow keeps what `get_link` answers on the worker (since 3.0)."""
    from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

    return bool(AIRFLOW_V_3_0_PLUS)
