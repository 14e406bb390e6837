"""One request of the API: its address, its headers, its body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_callreport.api.settings import ClientSettings, Credentials

#: Headers of every request.
HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip"}


def endpoint_url(settings: ClientSettings, endpoint: str) -> str:
    """The address of an endpoint, spelled as the connection says."""
    return f"{settings.base_url}/{settings.endpoints.get(endpoint, endpoint)}"


def build_body(
    credentials: Credentials, fields: Mapping[str, Any], raw_fields: Mapping[str, str] | None = None
) -> bytes:
    """A signed body.

    Args:
        credentials: who asks.
        fields: the body without credentials.
        raw_fields: further keys whose values are JSON text, sent as they are.
    """
    text = json.dumps({**credentials.body(), **fields})
    for key, json_text in (raw_fields or {}).items():
        text = f"{text[:-1]}, {json.dumps(key)}: {json_text}}}"
    return text.encode()
