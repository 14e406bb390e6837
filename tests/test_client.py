"""One request, one checked answer: what is sent, where it goes, and what never leaves (no-leak, safe-transport)."""

from __future__ import annotations

import datetime
import ipaddress
import json
import logging
import pickle
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.api import ScriptedServer, behave, client_of, client_settings, json_answer, read_report, sandbox, truth

from airflow_provider_callreport.api.answer import Answer, parse_answer
from airflow_provider_callreport.api.answer_check import read_count
from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.errors import (
    AnswerError,
    ApiError,
    AuthenticationError,
    IncompleteReportError,
    RedirectError,
    RepeatedPageError,
    SettingsError,
    TransportError,
    scrub,
)
from airflow_provider_callreport.api.settings import Credentials
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer

CALLS = SyntheticCalls(250)
EMPTY = json_answer({"data": [], "cnt": 0})
#: A token with everything that some escaping changes.
TOKEN = 'tök"en/<&>+canary'
NUMBER = "919876543210"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as running:
        yield running


def ask(client: CallReportClient, **fields: Any) -> Answer:
    return client.call("list", {"filter": {}, "sz": 100, "page": 0, **fields}, parse_answer, page=0)


@pytest.mark.parametrize(
    ("credentials", "body"),
    [
        (Credentials("u1", "t1"), {"userId": "u1", "token": "t1"}),
        (Credentials(ssid="s1"), {"ssid": "s1"}),
        (Credentials("u1", ssid="s1"), {"ssid": "s1", "userId": "u1"}),
    ],
)
def test_what_is_sent(credentials: Credentials, body: dict[str, str]) -> None:
    """Credentials travel in the body only; with userId and token there is no ssid key."""
    with ScriptedServer(EMPTY) as server:
        settings = client_settings(f"{server.url}/api/v2/CallReport", credentials=credentials)
        with CallReportClient(settings) as client:
            ask(client)
    (seen,) = server.seen
    assert seen.path == "/api/v2/CallReport/list"
    assert json.loads(seen.body) == {**body, "filter": {}, "sz": 100, "page": 0}
    assert seen.headers["Content-Type"] == "application/json"
    assert int(seen.headers["Content-Length"]) == len(seen.body)
    outside = seen.path + json.dumps(seen.headers)
    assert not any(secret in outside for secret in ("u1", "t1", "s1"))


def test_endpoints_may_be_spelled_otherwise() -> None:
    """A brand's own names."""
    with ScriptedServer(EMPTY) as server:
        settings = client_settings(f"{server.url}/x", endpoints={"list": "CallLog"})
        with CallReportClient(settings) as client:
            ask(client)
            client.call("detail", {}, lambda payload, raw: payload)
    assert [seen.path for seen in server.seen] == ["/x/CallLog", "/x/detail"]


@pytest.mark.parametrize("fault", ["bom", "json_as_html"])
def test_json_is_read_whatever_it_is_labelled(server: SandboxServer, fault: str) -> None:
    """A byte order mark, or a Content-Type of text/html."""
    behave(server, [Fault(fault)], calls=CALLS)
    assert read_report(server).rows == truth(CALLS)


def test_one_connection_serves_a_report(server: SandboxServer) -> None:
    """Requests of one client go over one connection."""
    behave(server, calls=CALLS)
    with client_of(server) as client:
        for page in range(3):
            ask(client, page=page)
        (pool,) = client._session.get_adapter("http://").poolmanager.pools._container.values()  # type: ignore[attr-defined]
        assert (pool.num_connections, pool.num_requests) == (1, 3)


@pytest.mark.parametrize("shape", ["cnt", "count", "total", "data", "data_cnt", "bare", "numeral"])
def test_count_reads_every_shape(server: SandboxServer, shape: str) -> None:
    """The count is a number in some shape."""
    behave(server, calls=CALLS, report_count=shape)
    with client_of(server) as client:
        day = {"dtGte": "2026-03-13 00:00:00", "dtLte": "2026-03-13 23:59:59"}
        assert client.count({"filter": day}) == 250


@pytest.mark.parametrize("payload", [{"data": [{"count": 5}]}, [5], {"data": "5"}, {"cnt": None, "total": "5"}, 5.0])
def test_more_shapes_of_a_count(payload: Any) -> None:
    """Lists, nesting, numerals."""
    assert read_count(payload) == 5


@pytest.mark.parametrize(
    "payload", [{}, [], {"cnt": "many"}, {"cnt": -1}, {"cnt": 1.5}, True, None, [1, 2], {"data": []}]
)
def test_what_is_no_count(payload: Any) -> None:
    """No number is an error and not 0."""
    with pytest.raises(AnswerError, match="reportCount answered no number but"):
        read_count(payload)


@pytest.mark.parametrize(
    "payload",
    [
        {"cnt": 0, "success": False},
        {"count": 0, "timed_out": True},
        {"cnt": 0, "statusCode": 502},
        {"cnt": 0, "err": "x"},
    ],
)
def test_a_number_beside_an_error_is_no_count(payload: Any) -> None:
    """proved-total: a witness, or a sensor, is not told "0" by a gateway that has failed."""
    with pytest.raises(AnswerError, match="does not say that all is well"):
        read_count(payload)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """safe-transport: the credentials of the body go nowhere else, and the sentence says what to set."""
    with ScriptedServer(EMPTY) as elsewhere:
        to_there = (status, {"Location": f"{elsewhere.url}/list"}, b"")
        with (
            ScriptedServer(to_there) as server,
            CallReportClient(client_settings(server.url, max_retry_time=5)) as client,
            pytest.raises(RedirectError, match=f"list answered HTTP {status}, a redirect; it is not followed"),
        ):
            ask(client)
        assert len(server.seen) == 1
        assert elsewhere.seen == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody but itself vouches for, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "callreport test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedServer(EMPTY, tls=context) as server:
        yield server


def test_tls_is_verified_by_default(tls_server: ScriptedServer) -> None:
    """safe-transport: a certificate that nobody vouches for ends the request before a byte is sent; it is not tried
    again.
    """
    with (
        CallReportClient(client_settings(tls_server.url, max_retry_time=30)) as client,
        pytest.raises(
            TransportError, match="certificate is signed by nobody whom this worker trusts; set the extra field verify"
        ) as failed,
    ):
        ask(client)
    assert "set the extra field verify to your CA bundle" in str(failed.value)
    assert not failed.value.retryable
    assert tls_server.seen == []


def test_a_ca_bundle_makes_a_certificate_good(tls_server: ScriptedServer, certificate: Path) -> None:
    """safe-transport: verify may be a path; the host name is checked all the same."""
    with CallReportClient(client_settings(tls_server.url, verify=str(certificate))) as client:
        assert ask(client).count == 0
    other_name = tls_server.url.replace("127.0.0.1", "localhost")
    with (
        CallReportClient(client_settings(other_name, verify=str(certificate))) as client,
        pytest.raises(TransportError, match="certificate"),
    ):
        ask(client)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_of_the_environment_counts(
    tls_server: ScriptedServer, certificate: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safe-transport: companies set it for all of ``requests``; it is what "true" verifies against."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(certificate))
    with CallReportClient(client_settings(tls_server.url)) as client:
        assert ask(client).count == 0


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verification_can_be_turned_off(tls_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """safe-transport: only by saying so; a bundle of the environment does not turn it on again."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    with CallReportClient(client_settings(tls_server.url, verify=False)) as client:
        assert ask(client).count == 0


@pytest.mark.parametrize("host", ["a..invalid", "a" * 64 + ".invalid"])
def test_a_host_that_cannot_be_is_a_wrong_setting(host: str) -> None:
    """clear-sentence: a name that no resolver takes is the connection's fault, said in our words."""
    with (
        CallReportClient(client_settings(f"https://{host}")) as client,
        pytest.raises(SettingsError, match=rf"Host gives the address https://{host}, which is no usable URL"),
    ):
        client.call("list", {}, lambda payload, _: payload)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_request_to_this_machine_passes_no_proxy(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """safe-transport: plain http is for this machine only, and a proxy is another machine."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with ScriptedServer(EMPTY) as proxy, ScriptedServer(EMPTY) as server:
        monkeypatch.setenv(variable, proxy.url)
        with CallReportClient(client_settings(server.url)) as client:
            ask(client)
        assert (len(proxy.seen), len(server.seen)) == (0, 1)


def test_a_proxy_of_the_environment_is_used_for_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers often reach the internet through a proxy only. (https would be a tunnel; http shows that it is used.)"""
    with ScriptedServer(EMPTY) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with CallReportClient(client_settings("http://brand.example.com/x")) as client:
            ask(client)
        assert [seen.path for seen in proxy.seen] == ["http://brand.example.com/x/list"]


def test_no_netrc_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """no-leak: ``requests`` would add a header of its own from it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer(EMPTY) as server, CallReportClient(client_settings(server.url)) as client:
        ask(client)
    assert "Authorization" not in server.seen[0].headers


LEAKS = {
    "as it is": TOKEN,
    "in JSON": json.dumps({"token": TOKEN}),
    "in JSON, unescaped": json.dumps({"token": TOKEN}, ensure_ascii=False),
    "in HTML": "tök&quot;en/&lt;&amp;&gt;+canary",
    "in a URL": "?token=t%C3%B6k%22en/%3C%26%3E%2Bcanary",
    "in a URL, slash too": "?token=t%C3%B6k%22en%2F%3C%26%3E%2Bcanary",
}


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("form", LEAKS)
def test_an_error_that_echoes_the_request_leaks_nothing(
    form: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """no-leak: token and numbers in a vendor's message are replaced in exception, traceback and log,
    however escaped.
    """
    caplog.set_level(logging.DEBUG)
    message = f"query failed for {LEAKS[form]} and +{NUMBER}, 98765 43210, (987) 654-3210"
    script = json_answer({"status": "error", "code": 1009, "message": message}, status)
    settings = {"credentials": Credentials("user-canary", TOKEN), "max_retry_time": 0.01}
    with (
        ScriptedServer(script) as server,
        CallReportClient(client_settings(server.url, **settings)) as client,
        pytest.raises(ApiError) as failed,
    ):
        ask(client, filter={"cNum": NUMBER})
    shown = "".join(traceback.format_exception(failed.value)) + caplog.text + repr(failed.value.__dict__)
    assert "query failed for" in shown
    for canary in ("canary", "3210", "43210", TOKEN):
        assert canary not in shown, canary


@pytest.mark.parametrize("html", [True, False])
def test_a_body_is_never_part_of_an_error(server: SandboxServer, html: bool, caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: a page that shows the request to the world is named, not quoted."""
    caplog.set_level(logging.DEBUG)
    behave(server, [Fault("leaky_error", html=html)], calls=CALLS)
    with client_of(server) as client, pytest.raises(AnswerError if html else ApiError) as failed:
        ask(client, filter={"cNum": NUMBER})
    shown = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert "sandbox-token" not in shown
    assert NUMBER not in shown


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:9", "https://callreport.invalid"])
def test_an_error_of_the_wire_carries_no_request(url: str) -> None:
    """no-leak: the exception of ``requests`` holds the prepared body; ours has neither cause nor context."""
    with CallReportClient(client_settings(url)) as client, pytest.raises(TransportError) as failed:
        ask(client)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None


def test_the_log_at_debug_shows_no_secret(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: neither ours nor that of urllib3."""
    caplog.set_level(logging.DEBUG)
    behave(server, calls=CALLS)
    read_report(server, filters={"cNum": NUMBER})
    assert "calls page 0: 0 rows, cnt 0" in caplog.text
    assert "sandbox-token" not in caplog.text
    assert NUMBER not in caplog.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("call +91 98765-43210 now", "call *** now"),
        ("(0)11 4567 8901", "(***"),
        ("from + size must be at most 10000 but was 10100", "from + size must be at most 10000 but was 10100"),
        ("a\nb\x00c\u202ed", "a b c d"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_how_foreign_text_is_shown(text: str, shown: str) -> None:
    """no-leak: one line, no control characters, no phone numbers, at most 300 characters; short numbers stay."""
    assert scrub(text) == shown


ERRORS = [
    AuthenticationError(code=1014, vendor_message="no", http_status=200, endpoint="list", page=3, retry_after=1.5),
    ApiError(code=None, vendor_message="", http_status=500, endpoint="list"),
    IncompleteReportError("short", page=3, rows=5, promised=None, code=7, retryable=True),
    RepeatedPageError("again", page=3, rows=5, promised=9),
    TransportError("list at x: refused"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_travel_between_processes(error: Exception) -> None:
    """Airflow pickles exceptions; all that they know must arrive, with a note that somebody added."""
    error.add_note("seen by a test")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__
