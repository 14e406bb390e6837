"""Imported once by the fork server of `crash_support`: what a process pays at its first export, paid before the fork.

Importing Airflow takes seconds. The first S3 request takes one more, for caches that last as long as the process; so
here one is made, to a port where nobody listens.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from importlib import import_module

_MODULES = (
    "airflow.providers.smtp.hooks.smtp",
    "airflow_provider_callreport.delivery.email",
    "airflow_provider_callreport.delivery.s3",
    "airflow_provider_callreport.export",
    *(f"airflow_provider_callreport.formats.{name}" for name in ("csv", "jsonl", "parquet", "pdf", "xlsx")),
)


def warm_up() -> None:
    """Import everything, and make a request in vain."""
    for module in _MODULES:
        import_module(module)

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from botocore.exceptions import BotoCoreError

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        os.environ["AIRFLOW_CONN_NOBODY"] = json.dumps(
            {
                "conn_type": "aws",
                "login": "nobody",
                "password": "nothing",
                "extra": {
                    "endpoint_url": f"http://127.0.0.1:{nobody.getsockname()[1]}",
                    "region_name": "us-east-1",
                    "config_kwargs": {"retries": {"total_max_attempts": 1}},
                },
            }
        )
        with suppress(BotoCoreError):
            S3Hook(aws_conn_id="nobody").get_conn().put_object(Bucket="reports", Key="nothing", Body=b"")
    del os.environ["AIRFLOW_CONN_NOBODY"]


warm_up()
