"""Connection fields, right and wrong in each way a person gets them wrong; http only to this machine
(safe-transport).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.api.settings import (
    MAX_RESPONSE_BYTES,
    ClientSettings,
    Credentials,
    is_loopback,
    settings_from_connection,
)
from airflow_provider_callreport.connection import CONNECTION_FIELDS, FURTHER_EXTRAS

TOKEN, SSID, KEY = "token-canary-1", "ssid-canary-2", "hmac-canary-3-long"


def read(
    *, extra: dict[str, Any] | None = None, overrides: dict[str, Any] | None = None, **fields: Any
) -> ClientSettings:
    """The settings of a connection with a userId and a token, but for what a test changes."""
    given: dict[str, Any] = {"host": None, "port": None, "scheme": None, "login": "u1", "password": TOKEN, **fields}
    return settings_from_connection(**given, extra=extra or {}, overrides=overrides)


def test_defaults() -> None:
    """An empty host is the vendor's, over https, in the spelling of its samples; TLS is verified."""
    settings = read()
    assert settings.base_url == "https://v4-api.deepcall.com/api/v2/CallReport"
    assert settings.credentials.body() == {"userId": "u1", "token": TOKEN}
    assert settings.timezone.key == "Asia/Kolkata"
    assert (settings.page_size, settings.timeout, settings.deadline, settings.max_retry_time) == (None, 30, 120, 120)
    assert (settings.requests_per_second, settings.verify, settings.use_cursor, settings.cursor_page) == (
        None,
        True,
        True,
        "zero",
    )
    assert settings.max_response_bytes == MAX_RESPONSE_BYTES
    assert (settings.profile, settings.window_slack, settings.empty_answer, settings.use_report_count) == (
        None,
        3600,
        {},
        True,
    )


def test_the_forms_defaults_are_the_clients() -> None:
    """What the form shows for an empty field is what an empty field does."""
    settings = read()
    for field in CONNECTION_FIELDS:
        if field.default is not None and field.name not in ("allow_http", "verify", "timezone", "page_size"):
            assert getattr(settings, field.name) == field.default, field.name
    assert read(extra={"page_size": "auto"}).page_size is settings.page_size is None
    assert settings.timezone.key == next(field.default for field in CONNECTION_FIELDS if field.name == "timezone")


def test_empty_fields_are_defaults() -> None:
    """The form sends null or "" for a field that was left empty."""
    names = [field.name for field in CONNECTION_FIELDS] + list(FURTHER_EXTRAS)
    assert read(extra=dict.fromkeys(names)) == read(extra=dict.fromkeys(names, "")) == read()


@pytest.mark.parametrize(
    ("host", "port", "scheme", "url"),
    [
        ("brand.example.com", None, None, "https://brand.example.com/api/v2/CallReport"),
        (" brand.example.com/ ", None, "", "https://brand.example.com/api/v2/CallReport"),
        ("brand.example.com", 8443, None, "https://brand.example.com:8443/api/v2/CallReport"),
        ("brand.example.com:8443", None, "https", "https://brand.example.com:8443/api/v2/CallReport"),
        ("brand.example.com:8443", 8443, None, "https://brand.example.com:8443/api/v2/CallReport"),
        ("https://brand.example.com/api/v2/callreport/", None, None, "https://brand.example.com/api/v2/callreport"),
        ("HTTPS://Brand.Example.com/x", None, None, "https://brand.example.com/x"),
        ("brand.example.com/x/y", None, "HTTPS", "https://brand.example.com/x/y"),
        ("127.0.0.1", 8080, "http", "http://127.0.0.1:8080/api/v2/CallReport"),
        ("http://localhost:8080", None, None, "http://localhost:8080/api/v2/CallReport"),
        ("http://[::1]:8080", None, None, "http://[::1]:8080/api/v2/CallReport"),
        ("[::1]", None, "http", "http://[::1]/api/v2/CallReport"),
    ],
)
def test_how_host_is_read(host: str, port: int | None, scheme: str | None, url: str) -> None:
    """A host, a host with a port, or a base URL."""
    assert read(host=host, port=port, scheme=scheme).base_url == url


WRONG_HOSTS: list[tuple[str, int | None, str | None, str]] = [
    (
        "http://brand.example.com",
        None,
        None,
        "Host is http://brand.example.com, and the token would travel in clear text; use https, "
        "or set the extra field allow_http to true",
    ),
    ("brand.example.com", None, "http", "Host is http://brand.example.com, and the token would travel in clear text"),
    ("http://127.0.0.1.example.com", None, None, "Host is http://127.0.0.1.example.com, and the token would"),
    ("http://localhost.example.com", None, None, "Host is http://localhost.example.com, and the token would"),
    ("http://0.0.0.0", None, None, "Host is http://0.0.0.0, and the token would travel in clear text"),
    ("http://192.168.0.5", None, None, "Host is http://192.168.0.5, and the token would travel in clear text"),
    ("http://127.0.0.1@brand.example.com", None, None, "Host holds credentials before an @; write them into User id"),
    (
        "u1:secret@brand.example.com",
        None,
        None,
        "Host holds credentials before an @; write them into User id and Token",
    ),
    (
        "ftp://brand.example.com",
        None,
        None,
        "Host begins with ftp://; allowed are https:// and, for this machine, http://",
    ),
    (
        "brand example.com",
        None,
        None,
        "Host is 'brand example.com', which is no host and no URL; write a host such as v4-api.deepcall.com",
    ),
    ("https://", None, None, "Host is 'https://', which is no host and no URL"),
    ("http//brand.example.com", None, None, "Host is 'http//brand.example.com', which is no host and no URL"),
    ("https://https://brand.example.com", None, None, "Host is 'https://https://brand.example.com', which is no host"),
    ("brand.example.com:eighty", None, None, "Host is 'brand.example.com:eighty', which is no host and no URL"),
    ("brand.example.com:99999", None, None, "Host is 'brand.example.com:99999', which is no host and no URL"),
    ("https://[::1", None, None, "Host is 'https://[::1', which is no host and no URL"),
    ("brand.example.com?x=1", None, None, "Host has a query or a fragment; write only scheme, host, port and path"),
    ("brand.example.com/#top", None, None, "Host has a query or a fragment; write only scheme, host, port and path"),
    (
        "https://brand.example.com/api/v2/CallReport/masklist",
        None,
        None,
        "Host ends with the endpoint masklist; leave it off, it is added to each request",
    ),
    ("brand.example.com/api/v2/callreport/list/", None, None, "Host ends with the endpoint list; leave it off"),
    ("brand.example.com:8443", 443, None, "Host names port 8443 and Port is 443; clear one of them"),
    ("brand.example.com", 0, None, "Port is 0; allowed is a whole number from 1 to 65535"),
    ("brand.example.com", 70000, None, "Port is 70000; allowed is a whole number from 1 to 65535"),
]


@pytest.mark.parametrize(("host", "port", "scheme", "sentence"), WRONG_HOSTS)
def test_a_wrong_host_is_one_sentence(host: str, port: int | None, scheme: str | None, sentence: str) -> None:
    """safe-transport: http only to this machine; the sentence names the field, what it was and what is allowed, and no
    secret.
    """
    with pytest.raises(SettingsError) as failed:
        read(host=host, port=port, scheme=scheme)
    assert str(failed.value).startswith(sentence)
    assert "secret" not in str(failed.value)


def test_http_to_another_host_is_a_choice() -> None:
    """safe-transport: allow_http has to be said."""
    assert read(host="http://brand.example.com", extra={"allow_http": True}).base_url.startswith("http://brand")
    assert read(host="http://brand.example.com", extra={"allow_http": "true"}).base_url.startswith("http://brand")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("127.1", False),
        ("10.0.0.1", False),
        ("localhost.", False),
        ("", False),
    ],
)
def test_what_this_machine_is(host: str, loopback: bool) -> None:
    """safe-transport: localhost, 127.0.0.0/8 and ::1; anything doubtful is another machine."""
    assert is_loopback(host) is loopback


WRONG_CREDENTIALS: list[tuple[dict[str, Any], str]] = [
    (
        {"extra": {"ssid": SSID}},
        "the connection has both Token and Session id (ssid), and the API allows one of them; clear Session id (ssid) "
        "to sign in with User id and Token, or clear Token to sign in with the session id",
    ),
    ({"login": None}, "the connection has Token and no User id; set User id to the account's userId"),
    ({"login": ""}, "the connection has Token and no User id; set User id to the account's userId"),
    (
        {"password": None},
        "the connection has User id and no Token; set Token to the account's API token, or set Session id (ssid)",
    ),
    (
        {"login": "", "password": ""},
        "the connection has no credentials; set User id and Token, or Session id (ssid)",
    ),
    ({"login": " u1"}, "User id begins or ends with a space or a line break; remove it"),
    ({"password": TOKEN + "\n"}, "Token begins or ends with a space or a line break; remove it"),
    (
        {"password": None, "extra": {"ssid": SSID + " "}},
        "Session id (ssid) begins or ends with a space or a line break; remove it",
    ),
    ({"extra": {"ssid": 5}}, "extra field ssid is of type int; allowed is text"),
]


@pytest.mark.parametrize(("fields", "sentence"), WRONG_CREDENTIALS)
def test_wrong_credentials_are_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    """no-leak: the sentence says what to do and holds no secret."""
    with pytest.raises(SettingsError) as failed:
        read(**fields)
    assert str(failed.value) == sentence
    assert TOKEN not in str(failed.value)
    assert SSID not in str(failed.value)


@pytest.mark.parametrize(
    ("login", "body"), [(None, {"ssid": SSID}), ("u1", {"ssid": SSID, "userId": "u1"})], ids=["alone", "with userId"]
)
def test_a_session_id_instead_of_the_token(login: str | None, body: dict[str, str]) -> None:
    """``ssid`` alone or with a userId; never beside a token."""
    assert read(login=login, password=None, extra={"ssid": SSID}).credentials.body() == body


def test_no_secret_shows_in_a_repr() -> None:
    """no-leak: a settings object may end up in a log."""
    settings = read(extra={"hmac_secret": KEY})
    session = Credentials(ssid=SSID)
    shown = repr(settings) + repr(session) + str(settings)
    assert not any(secret in shown for secret in (TOKEN, SSID, KEY))
    assert settings.secrets() == (TOKEN, KEY)
    assert session.secrets() == (SSID,)


WRONG_EXTRAS: list[tuple[str, Any, str]] = [
    (
        "timezone",
        "IST",
        "extra field timezone is 'IST'; allowed is an IANA time zone, such as",
    ),
    ("timezone", "+05:30", "extra field timezone is '+05:30'; allowed is an IANA time zone"),
    ("timezone", "../etc/passwd", "extra field timezone is '../etc/passwd'; allowed is an IANA time zone"),
    ("timezone", "Asia", "extra field timezone is 'Asia'; allowed is an IANA time zone"),
    ("timezone", 5.5, "extra field timezone is of type float; allowed is text"),
    ("page_size", 0, "extra field page_size is 0; allowed is a whole number of at least 1, or auto"),
    ("page_size", -1, "extra field page_size is -1; allowed is a whole number of at least 1, or auto"),
    ("page_size", 1.5, "extra field page_size is 1.5; allowed is a whole number of at least 1, or auto"),
    ("page_size", "many", "extra field page_size is 'many'; allowed is a whole number of at least 1, or auto"),
    ("page_size", True, "extra field page_size is True; allowed is a whole number of at least 1, or auto"),
    ("page_size", [100], "extra field page_size is [100]; allowed is a whole number of at least 1, or auto"),
    ("page_size", "inf", "extra field page_size is 'inf'; allowed is a whole number of at least 1, or auto"),
    ("timeout", 0, "extra field timeout is 0; allowed is a number of at least 0.001"),
    ("timeout", "30s", "extra field timeout is '30s'; allowed is a number of at least 0.001"),
    ("timeout", float("nan"), "extra field timeout is nan; allowed is a number of at least 0.001"),
    ("deadline", 0, "extra field deadline is 0; allowed is a number of at least 0.001"),
    ("max_retry_time", -1, "extra field max_retry_time is -1; allowed is a number of at least 0"),
    ("requests_per_second", 0, "extra field requests_per_second is 0; allowed is a number of at least 0.001"),
    ("requests_per_second", "fast", "extra field requests_per_second is 'fast'; allowed is a number of at least 0.001"),
    ("max_response_bytes", 10, "extra field max_response_bytes is 10; allowed is a whole number of at least 1024"),
    (
        "verify",
        "/no/such/bundle.pem",
        "extra field verify is '/no/such/bundle.pem'; allowed are true, false, "
        "or the path of a CA bundle on the worker",
    ),
    ("allow_http", "maybe", "extra field allow_http is 'maybe'; allowed are true and false"),
    ("use_cursor", 2, "extra field use_cursor is 2; allowed are true and false"),
    ("timezone", "Asia/Kolkatta", "extra field timezone is 'Asia/Kolkatta' (did you mean 'Asia/Kolkata'?); allowed is"),
    ("cursor_page", "one", "extra field cursor_page is 'one'; allowed are zero, count"),
    (
        "endpoints",
        "list",
        'extra field endpoints is of type str; allowed is an object of names, such as {"masklist": "maskList"}',
    ),
    (
        "endpoints",
        {"maskList": "x"},
        "extra field endpoints has no endpoint 'maskList' (did you mean 'masklist'?); allowed are list, masklist, ",
    ),
    ("endpoints", {"list": 5}, "extra field endpoints is of type dict; allowed is an object of names"),
    (
        "profile",
        5,
        "extra field profile is of type int; allowed is the object that `callreport probe` prints",
    ),
    ("window_slack", -1, "extra field window_slack is -1; allowed is a number of at least 0, or off"),
    ("window_slack", "an hour", "extra field window_slack is 'an hour'; allowed is a number of at least 0, or off"),
    (
        "empty_answer",
        "No calls",
        "extra field empty_answer is of type str; allowed is an object of keys and values, such as "
        '{"message": "No calls found"}',
    ),
    ("empty_answer", ["message"], "extra field empty_answer is of type list; allowed is an object of keys and values"),
    ("use_report_count", "never", "extra field use_report_count is 'never'; allowed are true and false"),
    ("hmac_secret", "short", "extra field hmac_secret has 5 characters; allowed are 16 or more"),
    ("hmac_secret", 5, "extra field hmac_secret is of type int; allowed is text"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG_EXTRAS)
def test_a_wrong_extra_is_one_sentence(name: str, value: Any, sentence: str) -> None:
    """The sentence names the field, what it was and what is allowed; a secret's value is not in it."""
    for where in ("extra", "overrides"):
        with pytest.raises(SettingsError) as failed:
            read(**{where: {name: value}})
        assert str(failed.value).startswith(sentence)
        assert "short" not in str(failed.value)


def test_every_extra_has_a_wrong_value_above() -> None:
    """No field of the form, nor one beside it, is without a line in the tables."""
    tested = {name for name, _, _ in WRONG_EXTRAS} | {"ssid"}
    assert tested == {field.name for field in CONNECTION_FIELDS} | set(FURTHER_EXTRAS)


RIGHT_EXTRAS: list[tuple[str, Any, Any]] = [
    ("page_size", "50", 50),
    ("page_size", 50.0, 50),
    ("page_size", "Auto ", None),
    ("timeout", "7.5", 7.5),
    ("profile", {"rows": "label"}, {"rows": "label"}),
    ("profile", '{"rows": "label"}', '{"rows": "label"}'),
    ("profile", " /etc/callreport/profile.json ", "/etc/callreport/profile.json"),
    ("window_slack", "0", 0),
    ("window_slack", 7200, 7200),
    ("window_slack", "off", None),
    ("empty_answer", {"message": "No calls found"}, {"message": "No calls found"}),
    ("empty_answer", '{"message": "No calls found"}', {"message": "No calls found"}),
    ("use_report_count", "false", False),
    ("max_retry_time", 0, 0),
    ("requests_per_second", 0.5, 0.5),
    ("verify", "false", False),
    ("verify", False, False),
    ("verify", "True", True),
    ("verify", 1, True),
    ("use_cursor", "off", False),
    ("cursor_page", "count", "count"),
    ("endpoints", {"list": "callList"}, {"list": "callList"}),
    ("hmac_secret", KEY, KEY),
    ("max_response_bytes", "2048", 2048),
]


@pytest.mark.parametrize(("name", "value", "read_as"), RIGHT_EXTRAS)
def test_a_right_extra(name: str, value: Any, read_as: Any) -> None:
    """Numbers and switches may come as text: the form and environment variables write them so."""
    assert getattr(read(extra={name: value}), name) == read_as
    assert getattr(read(overrides={name: value}), name) == read_as


def test_a_ca_bundle_is_a_path(tmp_path: Path) -> None:
    """safe-transport: a path that exists is handed on."""
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert read(extra={"verify": str(bundle)}).verify == str(bundle)


def test_the_connect_timeout_is_never_longer_than_the_timeout() -> None:
    """A short timeout bounds the connection too."""
    assert read(extra={"timeout": 3}).connect_timeout == 3
    assert read(extra={"timeout": 60}).connect_timeout == 10


def test_overrides_win_and_unknown_ones_are_refused() -> None:
    """The hook's arguments win over the connection's extras; a name that is none is an error."""
    assert read(extra={"page_size": 10}, overrides={"page_size": 20, "timeout": None}).page_size == 20
    with pytest.raises(
        SettingsError, match=r"unknown client setting 'pagesize' \(did you mean 'page_size'\?\); allowed are"
    ):
        read(overrides={"pagesize": 20})


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("time_zone", "timezone"),
        ("TimeZone", "timezone"),
        ("pagesize", "page_size"),
        ("request_per_second", "requests_per_second"),
        ("use_cursors", "use_cursor"),
        ("hmac_key", "hmac_secret"),
    ],
)
def test_a_misspelt_extra_is_refused_with_the_right_name(name: str, near: str) -> None:
    """What it was meant to change would else stay as it is, in silence."""
    with pytest.raises(SettingsError) as failed:
        read(extra={name: "UTC", "page_size": 5})
    assert str(failed.value).startswith(
        f"unknown extra field {name!r} (did you mean {near!r}?); allowed are allow_http, "
    )


def test_an_extra_that_is_like_none_is_refused_as_well() -> None:
    """The allowed names are in the sentence."""
    with pytest.raises(SettingsError, match=r"unknown extra field 'colour'; allowed are allow_http, .*window_slack"):
        read(extra={"colour": "blue"})


@pytest.mark.parametrize("scheme", ["api/v9", "/api/v2/CallReport", "ken@host", "gopher"])
def test_the_path_of_a_connection_uri_is_refused(scheme: str) -> None:
    """Nothing would read it. It is not shown: where a / in a token was not encoded, it is a part of the token."""
    with pytest.raises(SettingsError) as failed:
        read(host="brand.example.com", scheme=scheme)
    assert "write the API's path into Host, as in https://host.example/api/v3" in str(failed.value)
    assert scheme not in str(failed.value)
