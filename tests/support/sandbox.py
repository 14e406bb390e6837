"""What the tests of the sandbox share: a client that is as simple as can be, so that it hides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests

from airflow_provider_callreport.sandbox.servers import SandboxServer

#: A day whose calls the tests read; any would do.
DAY = {"dtGte": "2025-11-22 00:00:00", "dtLte": "2025-11-22 23:59:59"}
CREDENTIALS = {"userId": "sandbox-user", "token": "sandbox-token"}


def post(server: SandboxServer, endpoint: str = "list", *, timeout: float = 5, **body: Any) -> requests.Response:
    """One request with the right credentials, unless ``body`` has others; never follows a redirect."""
    return requests.post(
        f"{server.url}/api/v2/CallReport/{endpoint}",
        json={**CREDENTIALS, **body},
        timeout=timeout,
        allow_redirects=False,
    )


def answer(server: SandboxServer, endpoint: str = "list", **body: Any) -> Any:
    """The decoded answer of one request."""
    return json.loads(post(server, endpoint, **body).content)


def rows_of(page: dict[str, Any]) -> list[Any]:
    """The rows of an answer, whatever ``data`` is."""
    data = page["data"]
    return list(data.values()) if isinstance(data, dict) else data or []


def cursor_of(page: dict[str, Any]) -> Any:
    """The cursor of an answer, wherever it is."""
    last = rows_of(page)[-1] if rows_of(page) else {}
    inside = last if isinstance(last, dict) else {}
    return page.get("sAftr") or inside.get("sAftr") or inside.get("sort")


def pages(server: SandboxServer, *, by_cursor: bool = False, limit: int = 20, **body: Any) -> Iterator[dict[str, Any]]:
    """Pages up to the first empty one, or up to a limit where a fault never ends."""
    asked: dict[str, Any] = {"filter": DAY, "sz": 100, "page": 0, **body}
    for number in range(limit):
        page = answer(server, **(asked if by_cursor else {**asked, "page": number}))
        yield page
        if not rows_of(page):
            return
        if by_cursor:
            asked["sAftr"] = cursor_of(page)


def read(server: SandboxServer, **options: Any) -> list[Any]:
    """All rows of all pages."""
    return [row for page in pages(server, **options) for row in rows_of(page)]


def ids(rows: list[Any]) -> list[str]:
    """The calls' ids in their order."""
    return [row.get("callId") or row["_id"] for row in rows]
