"""The fields of an Airflow connection of type ``callreport``: one table for the form, the hook and the client.

Airflow 3.2 and later draw the form from ``conn-fields`` in `provider_info`; Airflow 2.11 to 3.1 draw it from the hook's
form methods. Both read this table, and so does `api.settings`.

No default is a text of less than five characters: Airflow gives all texts of the extra to its secrets masker, and that
logs "Skipping masking for a secret" in every task that reads the connection.
"""

from __future__ import annotations

from dataclasses import dataclass

CONNECTION_TYPE = "callreport"
HOOK_NAME = "DeepCall Call Report"
DEFAULT_HOST = "v4-api.deepcall.com"


@dataclass(frozen=True, slots=True)
class ConnectionField:
    """One extra field of the connection form.

    Attributes:
        name: key in the connection's extra.
        label: what the form shows.
        type: JSON type: ``string``, ``integer``, ``number`` or ``boolean``.
        description: help text below the field.
        default: value that an empty field stands for, or None.
        secret: whether the form hides it and the log masks it.
        minimum: smallest allowed number, or None.
    """

    name: str
    label: str
    type: str
    description: str
    default: str | int | float | bool | None = None
    secret: bool = False
    minimum: float | None = None


CONNECTION_FIELDS: tuple[ConnectionField, ...] = (
    ConnectionField(
        "ssid",
        "Session id (ssid)",
        "string",
        "A panel session, instead of the token. It expires: unattended jobs want userId and token.",
        secret=True,
    ),
    ConnectionField(
        "timezone",
        "Account time zone",
        "string",
        "IANA zone of the times that the API prints, such as Asia/Kolkata or Etc/UTC.",
        default="Asia/Kolkata",
    ),
    ConnectionField(
        "page_size",
        "Page size",
        "integer",
        "Calls per request; empty for as many as the API takes.",
        minimum=1,
    ),
    ConnectionField(
        "timeout", "Timeout (s)", "number", "Longest silence of the server, in seconds.", default=30, minimum=0.001
    ),
    ConnectionField(
        "deadline",
        "Deadline (s)",
        "number",
        "Longest whole answer to one request, in seconds.",
        default=120,
        minimum=0.001,
    ),
    ConnectionField(
        "max_retry_time",
        "Retry time (s)",
        "number",
        "How long one request is tried again after transient errors, in seconds; 0 for never.",
        default=120,
        minimum=0,
    ),
    ConnectionField(
        "requests_per_second",
        "Requests per second",
        "number",
        "The most requests per second that one task makes; empty for no limit.",
        minimum=0.001,
    ),
    ConnectionField(
        "verify",
        "Verify TLS",
        "string",
        "Empty checks the server's certificate, false does not; or the path of a CA bundle on the workers.",
    ),
    ConnectionField(
        "allow_http",
        "Allow http",
        "boolean",
        "Permit an http:// host other than this machine. The token then travels in clear text.",
        default=False,
    ),
    ConnectionField(
        "profile",
        "Profile of the account",
        "string",
        "What callreport probe found out about the answers: its JSON, or a path on the workers.",
    ),
    ConnectionField(
        "hmac_secret",
        "Key for redact=hmac",
        "string",
        "Secret key of the pseudonyms that redact={...: 'hmac'} writes; at least 16 characters.",
        secret=True,
    ),
)

#: Extras that are read but are not in the form: they are for unusual accounts and for tests.
FURTHER_EXTRAS = (
    "max_response_bytes",
    "endpoints",
    "cursor_page",
    "use_cursor",
    "window_slack",
    "empty_answer",
    "use_report_count",
)

RELABELING = {"login": "User id (userId)", "password": "Token"}

#: What messages call the credentials: the words of the form.
USER_ID, TOKEN, SESSION_ID = "User id", "Token", "Session id (ssid)"

PLACEHOLDERS = {
    "host": DEFAULT_HOST,
    "port": "443; Test Connection in Airflow 3.3.1 and 3.3.2 needs it",
    "login": "userId of your account's API",
    "password": "API token of that user; empty with a Session id",
}

HIDDEN_FIELDS = ("schema",)


def no_such_connection(conn_id: str, argument: str, kind: str = "") -> str:
    """The sentence for the id of a connection that does not exist, without a full stop.

    Args:
        conn_id: the id.
        argument: what it is the value of, as the user typed it.
        kind: the type of connection to create, as Airflow's form calls it.
    """
    form = f"Admin, Connections{f', type {kind}' if kind else ''}"
    return f'Airflow connection "{conn_id}" does not exist; create it ({form}), or correct {argument}'
