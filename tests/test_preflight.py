"""red-early: what is certainly wrong with a destination is red before the first page of the API is asked for."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.api import DAY, behave, client_of, listed, sandbox
from support.delivery import (
    RUN,
    MailServer,
    S3Gate,
    aws_connection,
    new_bucket,
    s3_error,
    s3_server,
    smtp_connection,
    smtp_server,
)

from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import DeliveryError
from airflow_provider_callreport.delivery.object_storage import destination_at
from airflow_provider_callreport.errors import CallReportError
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.export.summary import ExportSummary
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.servers import SandboxServer


@dataclass
class World:
    """An account with one call, S3 with a bucket, a mail server, and Airflow's connections to them."""

    api: SandboxServer
    s3: S3Gate
    mail: MailServer
    bucket: str
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def connection(self, name: str, value: str | None) -> None:
        """Set a connection, or take it away."""
        if value is None:
            self.monkeypatch.delenv(f"AIRFLOW_CONN_{name.upper()}", raising=False)
        else:
            self.monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)

    def export(
        self, destination: str | None = None, *, mail: dict[str, Any] | None = None, **ask: Any
    ) -> ExportSummary:
        """One export, with the checks that the operators make by default."""
        preflight = ask.pop("preflight", True)
        place = None if destination is None else destination_at(destination)
        email = None if mail is None else EmailDestination(to="a@example.com", **mail)
        with client_of(self.api) as client:
            request = ExportRequest("calls", DAY, **ask)
            return export_report(client, request, run=RUN, destination=place, email=email, preflight=preflight)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SandboxServer, str, S3Gate, MailServer]]:
    with sandbox() as api, s3_server() as (endpoint, gate), smtp_server() as mail:
        yield api, endpoint, gate, mail


@pytest.fixture
def world(
    servers: tuple[SandboxServer, str, S3Gate, MailServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    import boto3

    api, endpoint, gate, mail = servers
    gate.before = None
    mail.refuse_login = ""
    mail.mails.clear()
    mail.connections = 0
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    bucket = new_bucket(client)
    gate.requests.clear()
    behave(api, calls=listed(Call(DAY.local_start.replace(tzinfo=None, hour=12))))
    made = World(api, gate, mail, bucket, tmp_path, monkeypatch)
    made.connection("aws_default", aws_connection(endpoint))
    made.connection("smtp_default", smtp_connection(mail.port, login="reports", password="canary-password"))
    return made


def answer_heads(world: World, code: str, status: str, *headers: tuple[str, str]) -> None:
    """Let S3 answer HeadBucket so, and all else as it does."""
    status, usual, body = s3_error(code, status)

    def before(request: dict[str, Any]) -> Any:
        is_question = request["REQUEST_METHOD"] == "HEAD" and request["PATH_INFO"].strip("/") == world.bucket
        return (status, [*usual, *headers], body) if is_question else None

    world.s3.before = before


def take_away_credentials(world: World) -> None:
    """Leave boto3 nothing to find."""
    extra = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]
    world.connection("aws_default", json.dumps({"conn_type": "aws", "extra": extra}))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        world.monkeypatch.delenv(name, raising=False)
    world.monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


def hide(module: str) -> Callable[[World], None]:
    """A library that is not installed."""

    def away(world: World) -> None:
        world.monkeypatch.setitem(sys.modules, module, None)
        if module == "pyarrow":
            world.monkeypatch.delitem(sys.modules, "airflow_provider_callreport.formats.parquet", raising=False)

    return away


def sftp_connection(port: int = 9) -> str:
    """An SFTP connection to that port, where nobody listens by default."""
    return json.dumps({"conn_type": "sftp", "host": "127.0.0.1", "port": port, "login": "reports", "password": "p"})


def nothing(world: World) -> None:
    """Leave the world as it is."""


S3 = "s3://{bucket}/calls.csv"
PASSWORD = {"attachment_password_conn_id": "mail_password"}

#: What servers are asked: what is wrong -> (destination, mail, what the world is like, the sentence).
CERTAIN: dict[str, tuple[str | None, dict[str, Any] | None, Callable[[World], None], str]] = {
    "no bucket": ("s3://nobodys-bucket/calls.csv", None, nothing, "the bucket does not exist; create it or correct"),
    "no bucket, and a mail": ("s3://nobodys-bucket/c.csv", {}, nothing, "the bucket does not exist; create it or"),
    "another region": (
        S3,
        None,
        lambda world: answer_heads(
            world, "PermanentRedirect", "301 Moved Permanently", ("x-amz-bucket-region", "eu-west-1")
        ),
        "the bucket is in another region or the endpoint is wrong; set region_name or endpoint_url",
    ),
    "no name of a bucket": ("s3://a_/calls.csv", None, nothing, "Could not write s3://a_/calls.csv: "),
    "no credentials": (S3, None, take_away_credentials, 'connection "aws_default" has no complete AWS credentials'),
    "login refused": (
        S3,
        {},
        lambda world: setattr(world.mail, "refuse_login", "535 5.7.8 wrong password"),
        "The mail server refused the login of SMTP connection",
    ),
}

#: What costs no request, and is found without ``preflight`` too: (destination, mail, what is asked, ..., sentence).
FREE: dict[str, tuple[str | None, dict[str, Any] | None, dict[str, Any], Callable[[World], None], str]] = {
    "no pyarrow": (S3, None, {"file_format": "parquet"}, hide("pyarrow"), 'file_format "parquet" needs the extra'),
    "no key for hmac": (S3, None, {"redact": {"Agents": "hmac"}}, nothing, "the connection has no hmac_secret"),
    "no mail connection": (
        None,
        {},
        {},
        lambda world: world.connection("smtp_default", None),
        'There is no SMTP connection "smtp_default"',
    ),
    "no sender": (
        None,
        {},
        {},
        lambda world: world.connection("smtp_default", smtp_connection(world.mail.port, from_email="")),
        "does not say who sends",
    ),
    "no msal": (
        None,
        {},
        {},
        lambda world: (
            world.connection(
                "smtp_default", smtp_connection(world.mail.port, auth_type="oauth2", client_id="a", client_secret="b")
            ),
            hide("msal")(world),
        ),
        "install airflow-provider-callreport[oauth2]",
    ),
    "no password": (None, PASSWORD, {}, nothing, 'There is no connection "mail_password"'),
    "no library for the password": (
        None,
        PASSWORD,
        {"file_format": "xlsx"},
        lambda world: (
            world.connection("mail_password", '{"conn_type": "generic", "password": "long-enough"}'),
            hide("msoffcrypto")(world),
        ),
        "the library msoffcrypto-tool is not installed; install airflow-provider-callreport[encrypt]",
    ),
    "no provider": ("nowhere://a/calls.csv", None, {}, nothing, "there is no file system for nowhere://"),
    "no SFTP library": (
        "sftp://reports_sftp@/c.csv",
        None,
        {},
        lambda world: (world.connection("reports_sftp", sftp_connection()), hide("sshfs")(world)),
        "install apache-airflow-providers-sftp[sshfs]",
    ),
    "no SFTP connection": ("sftp://reports_sftp@/c.csv", None, {}, nothing, 'connection "reports_sftp" does not exist'),
    "no SFTP connection named": ("sftp://host/c.csv", None, {}, nothing, "sftp:// needs a connection"),
    "a file in the path": (
        "file://{folder}/taken/c.csv",
        None,
        {},
        lambda world: (world.folder / "taken").write_text("a file"),
        "a part of its path is a file and no directory",
    ),
    "a directory of that name": (
        "file://{folder}/taken",
        None,
        {},
        lambda world: (world.folder / "taken").mkdir(),
        "there is a directory of that name",
    ),
    "a read-only file system": ("file:///proc/1/calls.csv", None, {}, nothing, "Could not write file:///proc/1/calls."),
}


def address(text: str | None, world: World) -> str | None:
    """An address of the tables."""
    return None if text is None else text.format(bucket=world.bucket, folder=world.folder)


@pytest.mark.parametrize("case", CERTAIN)
def test_what_is_certainly_wrong_is_red_before_the_first_page(world: World, case: str) -> None:
    """red-early: one sentence, no retry, and not one request of the API."""
    destination, mail, make, sentence = CERTAIN[case]
    make(world)
    with pytest.raises(DeliveryError) as caught:
        world.export(address(destination, world), mail=mail)
    assert sentence in str(caught.value)
    assert not caught.value.retryable
    assert list(world.api.requests) == []
    assert world.mail.mails == []


@pytest.mark.parametrize("preflight", [True, False])
@pytest.mark.parametrize("case", FREE)
def test_what_costs_no_request_is_always_looked_at(world: World, case: str, preflight: bool) -> None:
    """red-early: libraries, connections, keys and local directories."""
    destination, mail, ask, make, sentence = FREE[case]
    make(world)
    with pytest.raises((CallReportError, ImportError)) as caught:
        world.export(address(destination, world), mail=mail, preflight=preflight, **ask)
    assert sentence in str(caught.value)
    assert not getattr(caught.value, "retryable", False)
    assert list(world.api.requests) == []
    assert world.mail.connections == 0 or preflight


@pytest.mark.parametrize(
    ("code", "status", "line"),
    [
        ("AccessDenied", "403 Forbidden", "S3 does not tell whether the bucket {bucket} exists (HTTP 403)"),
        ("ExpiredToken", "400 Bad Request", "S3 does not tell whether the bucket {bucket} exists (HTTP 400)"),
        ("SlowDown", "503 Slow Down", "S3 does not tell whether {bucket} exists: S3 answered 503"),
        ("MethodNotAllowed", "405 Method Not Allowed", "S3 does not tell whether {bucket} exists: S3 answered 405"),
    ],
)
def test_what_s3_does_not_tell_is_left_to_the_delivery(
    world: World, caplog: pytest.LogCaptureFixture, code: str, status: str, line: str
) -> None:
    """red-early: one line in the log, one question, and the file arrives."""
    caplog.set_level(logging.INFO)
    answer_heads(world, code, status)
    summary = world.export(S3.format(bucket=world.bucket))
    assert [file.status for file in summary.files] == ["written"]
    said = [record.getMessage() for record in caplog.records if "does not tell" in record.getMessage()]
    assert len(said) == 1
    assert line.format(bucket=world.bucket) in said[0]


def test_servers_that_are_down_are_left_to_the_delivery(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """red-early: they may be back when the file is there; the report is read."""
    world.connection("aws_default", aws_connection("http://127.0.0.1:9"))
    world.connection("smtp_default", smtp_connection(9))
    with pytest.raises(DeliveryError) as caught:
        world.export(S3.format(bucket=world.bucket), mail={})
    assert caught.value.retryable
    assert world.api.requests
    said = [record.getMessage() for record in caplog.records if "is read all the same" in record.getMessage()]
    assert len(said) == 2
    assert "AWS could not be reached" in said[0]
    assert "Could not connect to the mail server" in said[1]


def test_without_preflight_no_server_is_asked(world: World) -> None:
    """red-early: the bucket is missed when the file is delivered, and the mail server is not spoken to before."""
    with pytest.raises(DeliveryError, match="the bucket does not exist"):
        world.export("s3://nobodys-bucket/calls.csv", mail={}, preflight=False)
    assert world.api.requests
    assert world.s3.count("HEAD", "") == 0 or all(
        request.path.strip("/") != "nobodys-bucket" for request in world.s3.requests
    )
    assert world.mail.connections == 0


def test_a_preflight_costs_one_question_and_one_login(world: World) -> None:
    """red-early: and the mail goes once."""
    world.export(S3.format(bucket=world.bucket), mail={})
    questions = [one for one in world.s3.requests if one.method == "HEAD" and one.path.strip("/") == world.bucket]
    assert len(questions) == 1
    # The second is that of the mail itself.
    assert world.mail.connections == 2
    assert len(world.mail.mails) == 1
