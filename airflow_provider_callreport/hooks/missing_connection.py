"""Why Airflow finds no connection of an id: it does not exist, or it exists and cannot be read.

Airflow takes a connection that it cannot read for one that does not exist, and says why at DEBUG at most. So it is
looked for once more here, where somebody may have written it down. No value is shown: it may be the token.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.connection import HOOK_NAME, no_such_connection
from airflow_provider_callreport.rules import did_you_mean

#: What Airflow's ``Connection`` takes, as far as a person writes it.
_KEYS = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")

_QUOTES = "a login (User id) or a password (Token) that is a number must be in quotes"


def missing_connection(conn_id: str) -> SettingsError:
    """The error to raise where Airflow says that there is no such connection."""
    why = _unreadable_variable(conn_id) or _unreadable_secret(conn_id)
    if why is None:
        return SettingsError(no_such_connection(conn_id, "callreport_conn_id", HOOK_NAME))
    return SettingsError(f'Airflow connection "{conn_id}" cannot be read: {why}')


def _unreadable_variable(conn_id: str) -> str | None:
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = os.environ.get(name)
    return None if not text else f"the environment variable {name} {_what_is_wrong(text)}"


def _unreadable_secret(conn_id: str) -> str | None:
    """What is wrong in a secrets backend, or None where none of them has the connection."""
    for backend in _backends():
        name = type(backend).__name__
        try:
            backend.get_connection(conn_id=conn_id)
        except NotImplementedError:
            continue
        except Exception as error:
            text = None
            with suppress(Exception):
                text = backend.get_conn_value(conn_id)
            if isinstance(text, str) and text:
                return f"what the secrets backend {name} has {_what_is_wrong(text)}"
            failed = f"the secrets backend {name} failed ({type(error).__name__})"
            if name == "MetastoreBackend":
                return f"{failed}; look after Airflow's database"
            return f"{failed}; in a file of connections one entry that is wrong spoils all of them, and {_QUOTES}"
    return None


def _backends() -> Iterable[Any]:
    with suppress(Exception):
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

        return list(ensure_secrets_backend_loaded())
    with suppress(Exception):
        from airflow.configuration import ensure_secrets_loaded

        return list(ensure_secrets_loaded())
    return ()


def _what_is_wrong(text: str) -> str:
    if text.lstrip().startswith("{"):
        return _wrong_json(text)
    if "://" not in text:
        return 'is neither JSON, such as {"conn_type": "callreport", ...}, nor a URI, such as callreport://...'
    try:
        _ = urlsplit(text).port
    except ValueError:
        return (
            "is a URI whose host and port cannot be told; in login (User id) and password (Token) write # as "
            "%23, / as %2F, ? as %3F, @ as %40, : as %3A, [ as %5B and ] as %5D, or write it as JSON"
        )
    return "is a URI that Airflow does not take; write it as JSON"


def _wrong_json(text: str) -> str:
    try:
        fields = json.loads(text)
    except ValueError as error:
        at = f", from line {error.lineno}, column {error.colno} on" if isinstance(error, json.JSONDecodeError) else ""
        return f"is no JSON{at}"
    for key, value in fields.items():
        if key not in _KEYS:
            return f"has the unknown key {key!r}{did_you_mean(key, _KEYS)}; allowed are {', '.join(_KEYS)}"
        if key not in ("port", "extra") and value is not None and not isinstance(value, str):
            return f'has a {key} that is no text; write it in quotes: "{key}": "..."'
        if key == "port" and not str(value or 0).isdigit():
            return "has a port that is no whole number"
    return "is JSON that Airflow does not take as a connection"
