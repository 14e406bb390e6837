"""Everything a client must be told before its first request: where, who, how patiently.

The fields of an Airflow connection arrive here as plain values and leave as one checked, frozen `ClientSettings`. A
field that is wrong raises `SettingsError` with a sentence that names it, what it was and what is allowed. Secrets are
never part of a sentence or of a ``repr``.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.connection import (
    CONNECTION_FIELDS,
    DEFAULT_HOST,
    FURTHER_EXTRAS,
    SESSION_ID,
    TOKEN,
    USER_ID,
    ConnectionField,
)
from airflow_provider_callreport.rules import did_you_mean, one_of, time_zone, unknown

#: Path of the samples on the vendor's page; the page's own "Base URL" spells it ``callreport``.
DEFAULT_PATH = "/api/v2/CallReport"

#: Calls per request where the connection leaves it to us and nothing is known of what the API takes.
DEFAULT_PAGE_SIZE = 100

#: Largest answer. A page of 100 calls has some 50 kB, so this is room for 60,000 calls a page.
MAX_RESPONSE_BYTES = 32 * 1024 * 1024

_FIELDS = {f.name: f for f in CONNECTION_FIELDS}
_KNOWN_EXTRAS = frozenset(_FIELDS) | frozenset(FURTHER_EXTRAS)
_ENDPOINTS = (
    *("list", "masklist", "reportCount", "detail"),
    *("exportCsv", "exportCsvBulk", "changeTitle", "downloadPdf"),
)
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_MIN_HMAC_KEY = 16

#: Seconds. Calls this far off the window are a clock's or a zone's doing; farther ones are another window's.
_WINDOW_SLACK = 3600.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """How requests are signed: ``userId`` and ``token``, or ``ssid`` (with or without ``userId``).

    The vendor's page: "When userId and token are used, ssid should not be present in the request." So an ssid beside a
    token is refused here, before any request.
    """

    user_id: str | None = None
    token: str | None = field(default=None, repr=False)
    ssid: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, value in ((USER_ID, self.user_id), (TOKEN, self.token), (SESSION_ID, self.ssid)):
            if value and value != value.strip():
                raise SettingsError(f"{name} begins or ends with a space or a line break; remove it")
        if self.ssid and self.token:
            raise SettingsError(
                f"the connection has both {TOKEN} and {SESSION_ID}, and the API allows one of them; clear "
                f"{SESSION_ID} to sign in with {USER_ID} and {TOKEN}, or clear {TOKEN} to sign in with the session id"
            )
        if self.ssid:
            return
        if self.token and not self.user_id:
            raise SettingsError(f"the connection has {TOKEN} and no {USER_ID}; set {USER_ID} to the account's userId")
        if self.user_id and not self.token:
            raise SettingsError(
                f"the connection has {USER_ID} and no {TOKEN}; set {TOKEN} to the account's API token, or set "
                f"{SESSION_ID}"
            )
        if not self.user_id:
            raise SettingsError(f"the connection has no credentials; set {USER_ID} and {TOKEN}, or {SESSION_ID}")

    def body(self) -> dict[str, str]:
        """The keys that sign a request body."""
        if self.ssid:
            return {"ssid": self.ssid, "userId": self.user_id} if self.user_id else {"ssid": self.ssid}
        return {"userId": self.user_id or "", "token": self.token or ""}

    def secrets(self) -> tuple[str, ...]:
        """The values that no log line, exception or XCom may contain."""
        return tuple(secret for secret in (self.token, self.ssid) if secret)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where, who, how patiently. Times are in seconds.

    Attributes:
        base_url: scheme, host, port and path, without a slash at the end.
        credentials: how requests are signed.
        timezone: zone of the API's naive times.
        page_size: calls asked for per request (``sz``; the API's own default is 50, its samples use 100), or None for
            as many as the API takes.
        connect_timeout: longest wait for a connection.
        timeout: longest silence between two bytes of an answer.
        deadline: longest whole answer to one request, from the first byte sent to the last received.
        max_retry_time: longest time from a request's first try to the start of its last one; 0 never retries.
        requests_per_second: pace of this client, or None for no limit.
        verify: True, False, or the path of a CA bundle.
        max_response_bytes: largest answer, on the wire and unpacked.
        endpoints: endpoint name -> name in the URL, for brands that spell them otherwise.
        use_cursor: follow the search-after cursor when the API answers one.
        cursor_page: ``"zero"`` keeps ``page`` at 0 while a cursor is followed, ``"count"`` counts it up.
        profile: what this account's answers look like, as the connection gives it: an object, or text that is JSON or
            the path of a file on the worker; None where it is learned anew.
        window_slack: how many seconds a call may lie off the window that was asked for; None for no limit.
        empty_answer: keys, with their values, that this account's empty answers carry beside the documented ones.
        use_report_count: ask ``reportCount`` as a second witness of the total.
        hmac_secret: key of the pseudonyms of ``redact={...: "hmac"}``, or None.
    """

    base_url: str
    credentials: Credentials
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Kolkata"))
    page_size: int | None = None
    connect_timeout: float = 10.0
    timeout: float = 30.0
    deadline: float = 120.0
    max_retry_time: float = 120.0
    requests_per_second: float | None = None
    verify: bool | str = True
    max_response_bytes: int = MAX_RESPONSE_BYTES
    endpoints: Mapping[str, str] = field(default_factory=dict)
    use_cursor: bool = True
    cursor_page: str = "zero"
    profile: Mapping[str, Any] | str | None = None
    window_slack: float | None = 3600.0
    empty_answer: Mapping[str, Any] = field(default_factory=dict)
    use_report_count: bool = True
    hmac_secret: str | None = field(default=None, repr=False)

    def secrets(self) -> tuple[str, ...]:
        """The values that no log line, exception or XCom may contain."""
        return self.credentials.secrets() + ((self.hmac_secret,) if self.hmac_secret else ())


def settings_from_connection(
    *,
    host: str | None,
    port: int | None,
    scheme: str | None,
    login: str | None,
    password: str | None,
    extra: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
) -> ClientSettings:
    """Read a connection's fields.

    Args:
        host: host name or base URL; empty for the vendor's own host.
        port: port, when the host does not name one.
        scheme: ``"http"`` or ``"https"`` for a host without a scheme, or empty. Airflow calls it Schema, and puts the
            path of a connection URI there.
        login: userId.
        password: token.
        extra: the connection's extra fields.
        overrides: settings that win over ``extra``, as given to the hook; an unknown name is refused.

    Raises:
        SettingsError: a field is wrong, or an extra field means nothing here (a typing mistake, most likely).
    """
    _check_names("unknown client setting", overrides or {})
    _check_names("unknown extra field", extra)
    values = {**extra, **{name: value for name, value in (overrides or {}).items() if value is not None}}
    allow_http = _boolean(values, "allow_http", default=False)
    return ClientSettings(
        base_url=_base_url(host, port, scheme, allow_http=allow_http),
        credentials=Credentials(user_id=_text(login), token=_text(password), ssid=_text(_secret(values, "ssid"))),
        timezone=time_zone(
            "extra field timezone",
            _string(values, "timezone") or str(_FIELDS["timezone"].default),
            SettingsError,
        ),
        page_size=_page_size(values),
        timeout=_positive(values, "timeout", 30.0),
        connect_timeout=min(10.0, _positive(values, "timeout", 30.0)),
        deadline=_positive(values, "deadline", 120.0),
        max_retry_time=_positive(values, "max_retry_time", 120.0),
        requests_per_second=_number(values, "requests_per_second"),
        verify=_verify(values.get("verify")),
        max_response_bytes=int(_number(values, "max_response_bytes", whole=True, minimum=1024) or MAX_RESPONSE_BYTES),
        endpoints=_endpoints(values.get("endpoints")),
        use_cursor=_boolean(values, "use_cursor", default=True),
        cursor_page=_choice(values, "cursor_page", ("zero", "count")),
        profile=_profile(values.get("profile")),
        window_slack=_window_slack(values),
        empty_answer=_empty_answer(values.get("empty_answer")),
        use_report_count=_boolean(values, "use_report_count", default=True),
        hmac_secret=_hmac_secret(values),
    )


def _check_names(problem: str, given: Mapping[str, Any]) -> None:
    for name in sorted(given):
        if name not in _KNOWN_EXTRAS:
            known = sorted(_KNOWN_EXTRAS)
            raise SettingsError(f"{problem} {name!r}{did_you_mean(name, known)}; allowed are {', '.join(known)}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: ``localhost``, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(host: str | None, port: int | None, scheme: str | None, *, allow_http: bool) -> str:
    text = (host or "").strip() or DEFAULT_HOST
    # Airflow's Connection accepts both `callreport://http://host` and schema=http for the scheme.
    chosen = (scheme or "").strip().lower()
    if chosen not in ("", "http", "https"):
        # It is not shown: where a token with a / in it was not encoded, this is a part of the token.
        raise SettingsError(
            "the connection has a Schema, which is the path of a connection URI; nothing reads it, so write the API's "
            "path into Host, as in https://host.example/api/v3 (in a URI: "
            "callreport://userId:token@https%3A%2F%2Fhost.example%2Fapi%2Fv3), and a / in userId or token as %2F"
        )
    if "://" not in text:
        text = f"{chosen or 'https'}://{text}"
    try:
        parts = urlsplit(text)
        url_port = parts.port
    except ValueError:
        raise SettingsError(
            f"Host is {host!r}, which is no host and no URL; write a host such as {DEFAULT_HOST}"
        ) from None
    if parts.username or parts.password:
        raise SettingsError(f"Host holds credentials before an @; write them into {USER_ID} and {TOKEN}")
    if not parts.hostname or parts.hostname in ("http", "https") or any(c.isspace() for c in text):
        raise SettingsError(f"Host is {host!r}, which is no host and no URL; write a host such as {DEFAULT_HOST}")
    if parts.scheme not in ("http", "https"):
        raise SettingsError(f"Host begins with {parts.scheme}://; allowed are https:// and, for this machine, http://")
    if parts.query or parts.fragment:
        raise SettingsError("Host has a query or a fragment; write only scheme, host, port and path")
    path = parts.path.rstrip("/")
    if path.rpartition("/")[2].lower() in map(str.lower, _ENDPOINTS):
        raise SettingsError(
            f"Host ends with the endpoint {path.rpartition('/')[2]}; leave it off, it is added to each request"
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise SettingsError(
            f"Host is http://{parts.hostname}, and the token would travel in clear text; use https, "
            "or set the extra field allow_http to true"
        )
    if port is not None and url_port is not None and port != url_port:
        raise SettingsError(f"Host names port {url_port} and Port is {port}; clear one of them")
    if port is not None and not 0 < port < 65536:
        raise SettingsError(f"Port is {port}; allowed is a whole number from 1 to 65535")
    final_port = url_port or port
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = name if final_port is None else f"{name}:{final_port}"
    return f"{parts.scheme}://{netloc}{path or DEFAULT_PATH}"


def _text(value: str | None) -> str | None:
    # The form sends "" for a field that is left empty.
    return value if value else None


def _string(values: Mapping[str, Any], name: str) -> str | None:
    value = _secret(values, name)
    return None if value is None else value.strip()


def _secret(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise SettingsError(f"extra field {name} is of type {type(value).__name__}; allowed is text")
    return value


def _number(
    values: Mapping[str, Any], name: str, *, whole: bool = False, minimum: float | None = None, also: str = ""
) -> float | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    rule: ConnectionField | None = _FIELDS.get(name)
    least = minimum if minimum is not None else (rule.minimum if rule else None)
    kind = "a whole number" if whole else "a number"
    allowed = kind if least is None else f"{kind} of at least {least:g}"
    allowed += f", or {also}" if also else ""
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError):
        raise SettingsError(f"extra field {name} is {value!r}; allowed is {allowed}") from None
    if not math.isfinite(number) or (whole and number != int(number)) or (least is not None and number < least):
        raise SettingsError(f"extra field {name} is {value!r}; allowed is {allowed}")
    return number


def _positive(values: Mapping[str, Any], name: str, default: float) -> float:
    number = _number(values, name)
    return default if number is None else number


def _page_size(values: Mapping[str, Any]) -> int | None:
    value = values.get("page_size")
    if isinstance(value, str) and value.strip().lower() == "auto":
        return None
    number = _number(values, "page_size", whole=True, minimum=1, also="auto")
    return None if number is None else int(number)


def _window_slack(values: Mapping[str, Any]) -> float | None:
    value = values.get("window_slack")
    if isinstance(value, str) and value.strip().lower() == "off":
        return None
    number = _number(values, "window_slack", minimum=0, also="off")
    return _WINDOW_SLACK if number is None else number


def _profile(value: Any) -> Mapping[str, Any] | str | None:
    if value is None or value == "" or isinstance(value, Mapping):
        return value or None
    if not isinstance(value, str):
        raise SettingsError(
            f"extra field profile is of type {type(value).__name__}; allowed is the object that `callreport probe` "
            "prints, its JSON as text, or the path of a file on the worker"
        )
    return value.strip() or None


def _empty_answer(value: Any) -> Mapping[str, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        with suppress(ValueError):
            value = json.loads(value)
    if not isinstance(value, Mapping):
        raise SettingsError(
            f"extra field empty_answer is of type {type(value).__name__}; allowed is an object of keys and values, "
            'such as {"message": "No calls found"}'
        )
    return dict(value)


def _boolean(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise SettingsError(f"extra field {name} is {value!r}; allowed are true and false")


def _choice(values: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = values.get(name)
    if value is None or value == "":
        return allowed[0]
    one_of(allowed)(f"extra field {name}", value, SettingsError)
    return str(value)


def _verify(value: Any) -> bool | str:
    if value is None or value == "":
        return True
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    if not Path(text).exists():
        raise SettingsError(
            f"extra field verify is {text!r}; allowed are true, false, or the path of a CA bundle on the worker"
        )
    return text


def _endpoints(value: Any) -> Mapping[str, str]:
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise SettingsError(
            f"extra field endpoints is of type {type(value).__name__}; allowed is an object of names, such as "
            '{"masklist": "maskList"}'
        )
    for name in value:
        if name not in _ENDPOINTS:
            raise SettingsError(unknown("extra field endpoints", name, _ENDPOINTS, "endpoint"))
    return dict(value)


def _hmac_secret(values: Mapping[str, Any]) -> str | None:
    key = _string(values, "hmac_secret")
    if not key:
        return None
    if len(key) < _MIN_HMAC_KEY:
        raise SettingsError(f"extra field hmac_secret has {len(key)} characters; allowed are {_MIN_HMAC_KEY} or more")
    return key
