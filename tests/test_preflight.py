"""red-early: what is certainly wrong with a destination is red before the first page of the API is asked for."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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

from airflow_provider_callreport.delivery import s3_client
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

    def connect(self, name: str, value: str | None) -> None:
        """Set a connection, or take it away."""
        if value is None:
            self.monkeypatch.delenv(f"AIRFLOW_CONN_{name.upper()}", raising=False)
        else:
            self.monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)

    def connect_mail(self, **fields: Any) -> None:
        """Set the connection to the mail server."""
        fields = {"login": "reports", "password": "canary-password", **fields}
        self.connect("smtp_default", smtp_connection(self.mail.port, **fields))

    def export(
        self, destination: str | None = None, *, mail: dict[str, Any] | None = None, preflight: bool = True, **ask: Any
    ) -> ExportSummary:
        """One export, with the checks that the operators make by default."""
        address = None if destination is None else destination.format(bucket=self.bucket, folder=self.folder)
        place = None if address is None else destination_at(address)
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
    made.connect("aws_default", aws_connection(endpoint))
    made.connect_mail()
    return made


def answer_heads(world: World, code: str, status: str, *headers: tuple[str, str]) -> None:
    """Let S3 answer HeadBucket so, and all else as it does."""
    status, usual, body = s3_error(code, status)

    def before(request: dict[str, Any]) -> Any:
        is_question = request["REQUEST_METHOD"] == "HEAD" and request["PATH_INFO"].strip("/") == world.bucket
        return (status, [*usual, *headers], body) if is_question else None

    world.s3.before = before


def move_away(world: World) -> None:
    """The bucket is in another region."""
    answer_heads(world, "PermanentRedirect", "301 Moved Permanently", ("x-amz-bucket-region", "eu-west-1"))


def take_credentials(world: World) -> None:
    """Leave boto3 nothing to find."""
    extra = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]
    world.connect("aws_default", json.dumps({"conn_type": "aws", "extra": extra}))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        world.monkeypatch.delenv(name, raising=False)
    world.monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


def gone(module: str) -> Callable[[World], None]:
    """A library that is not installed."""

    def away(world: World) -> None:
        world.monkeypatch.setitem(sys.modules, module, None)
        world.monkeypatch.delitem(sys.modules, "airflow_provider_callreport.formats.parquet", raising=False)

    return away


def oauth2_without_its_library(world: World) -> None:
    """The mail server's token is to come from Microsoft."""
    world.connect_mail(auth_type="oauth2", client_id="a", client_secret="b")
    gone("msal")(world)


def password_without_its_library(world: World) -> None:
    """A password for the attachments, which are sheets."""
    world.connect("mail_password", '{"conn_type": "generic", "password": "long-enough"}')
    gone("msoffcrypto")(world)


def sftp_without_its_library(world: World) -> None:
    """A connection to a port where nobody listens."""
    world.connect("reports_sftp", '{"conn_type": "sftp", "host": "127.0.0.1", "port": 9}')
    gone("sshfs")(world)


def nothing(world: World) -> None:
    """Leave the world as it is."""


SFTP = "sftp://reports_sftp@/calls.csv"
S3 = "s3://{bucket}/calls.csv"
PASSWORD = {"attachment_password_conn_id": "mail_password"}


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong: the sentence, the export that meets it, and what makes the world so.

    Attributes:
        mail: arguments of the mail, or None for no mail.
        ask: arguments of the request.
    """

    sentence: str
    to: str | None = None
    mail: dict[str, Any] | None = None
    ask: dict[str, Any] = field(default_factory=dict)
    make: Callable[[World], object] = nothing


#: What S3 and the mail server are asked for.
ASKED = {
    "no bucket": Wrong("the bucket does not exist; create it or correct s3_bucket", "s3://nobodys-bucket/calls.csv"),
    "no bucket, and a mail": Wrong("the bucket does not exist; create it", "s3://nobodys-bucket/c.csv", mail={}),
    "another region": Wrong(
        "the bucket is in another region or the endpoint is wrong; set region_name or endpoint_url", S3, make=move_away
    ),
    "no name of a bucket": Wrong("Could not write s3://a_/calls.csv: ", "s3://a_/calls.csv"),
    "no credentials": Wrong('connection "aws_default" does not exist or has none', S3, make=take_credentials),
    "login refused": Wrong(
        "The mail server refused the login of SMTP connection",
        mail={},
        make=lambda world: setattr(world.mail, "refuse_login", "535 5.7.8 wrong password"),
    ),
}

#: What costs no request, and is found without ``preflight`` too.
FREE = {
    "no pyarrow": Wrong(
        'file_format "parquet" needs the extra "parquet"', S3, ask={"file_format": "parquet"}, make=gone("pyarrow")
    ),
    "no key for hmac": Wrong("the connection has no hmac_secret", S3, ask={"redact": {"Agents": "hmac"}}),
    "no AWS connection": Wrong('Airflow connection "nowhere"', "s3://nowhere@reports/c.csv"),
    "no mail connection": Wrong(
        '"smtp_default" does not exist; create it', mail={}, make=lambda world: world.connect("smtp_default", None)
    ),
    "no sender": Wrong("does not say who sends", mail={}, make=lambda world: world.connect_mail(from_email="")),
    "no msal": Wrong("install airflow-provider-callreport[oauth2]", mail={}, make=oauth2_without_its_library),
    "no password": Wrong('Airflow connection "mail_password" does not exist', mail=PASSWORD),
    "no library for the password": Wrong(
        "the library msoffcrypto-tool is not installed; install airflow-provider-callreport[encrypt]",
        mail=PASSWORD,
        ask={"file_format": "xlsx"},
        make=password_without_its_library,
    ),
    "no provider": Wrong("there is no file system for nowhere://", "nowhere://a/calls.csv"),
    "no SFTP library": Wrong("install apache-airflow-providers-sftp[sshfs]", SFTP, make=sftp_without_its_library),
    "no SFTP connection": Wrong('Airflow connection "reports_sftp" does not exist; create it', SFTP),
    "no SFTP connection named": Wrong("sftp:// needs a connection", "sftp://host/calls.csv"),
    "a file in the path": Wrong(
        "a part of its path is a file and no directory",
        "file://{folder}/taken/calls.csv",
        make=lambda world: (world.folder / "taken").write_text("a file"),
    ),
    "a directory of that name": Wrong("there is a directory of that name", "file://{folder}"),
    "a file system that is no disk": Wrong("Could not write file:///proc/1/calls.csv: ", "file:///proc/1/calls.csv"),
}


def sentence_of(world: World, wrong: Wrong, *, preflight: bool) -> str:
    """The error of the export, after which nobody has asked the API for anything, nor sent anything."""
    wrong.make(world)
    with pytest.raises((CallReportError, ImportError)) as caught:
        world.export(wrong.to, mail=wrong.mail, preflight=preflight, **wrong.ask)
    assert not getattr(caught.value, "retryable", False)
    assert list(world.api.requests) == []
    assert world.mail.mails == []
    return str(caught.value)


@pytest.mark.parametrize("case", ASKED)
def test_what_is_certainly_wrong_is_red_before_the_first_page(world: World, case: str) -> None:
    """red-early: one sentence, no retry, and not one request of the API."""
    assert ASKED[case].sentence in sentence_of(world, ASKED[case], preflight=True)


@pytest.mark.parametrize("preflight", [True, False])
@pytest.mark.parametrize("case", FREE)
def test_what_costs_no_request_is_always_looked_at(world: World, case: str, preflight: bool) -> None:
    """red-early: libraries, connections, keys and local directories."""
    assert FREE[case].sentence in sentence_of(world, FREE[case], preflight=preflight)
    assert preflight or not world.mail.connections


def test_an_sftp_server_is_asked_for_its_key_and_the_login(world: World) -> None:
    """red-early: a login is refused, or the server is not the known one."""
    support = pytest.importorskip("support.sftp")
    pytest.importorskip("sshfs")
    world.monkeypatch.setenv("HOME", str(world.folder))
    (world.folder / "files").mkdir()
    with support.sftp_server(world.folder / "files") as server:
        for connection, sentence in (
            (server.connection(host_key=server.host_key, password="wrong"), "nobody can sign in with connection"),
            (server.connection(), "the server's host key is not known"),
        ):
            world.connect("reports_sftp", connection)
            assert sentence in sentence_of(world, Wrong(sentence, SFTP), preflight=True)
        world.connect("reports_sftp", server.connection(host_key=server.host_key))
        assert world.export(SFTP).files[0].status == "written"


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
    summary = world.export(S3)
    assert [file.status for file in summary.files] == ["written"]
    said = [record.getMessage() for record in caplog.records if "does not tell" in record.getMessage()]
    assert len(said) == 1
    assert line.format(bucket=world.bucket) in said[0]


def test_servers_that_are_down_are_left_to_the_delivery(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """red-early: they may be back when the file is there; the report is read."""
    world.connect("aws_default", aws_connection("http://127.0.0.1:9"))
    world.connect("smtp_default", smtp_connection(9))
    with pytest.raises(DeliveryError) as caught:
        world.export(S3, mail={})
    assert caught.value.retryable
    assert world.api.requests
    said = [record.getMessage() for record in caplog.records if "is read all the same" in record.getMessage()]
    assert len(said) == 2
    assert "AWS could not be reached" in said[0]
    assert "Could not connect to the mail server" in said[1]


def test_a_server_that_does_not_answer_is_waited_for_shortly(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """red-early: once and for seconds, whatever the connection says of retries."""
    world.monkeypatch.setattr(s3_client, "_SOON", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        retries = {"read_timeout": 60, "retries": {"mode": "standard", "max_attempts": 9}}
        world.connect(
            "aws_default", aws_connection(f"http://127.0.0.1:{silent.getsockname()[1]}", config_kwargs=retries)
        )
        destination_at("s3://reports/calls.csv").check_before_reading(online=True)
    assert "AWS could not be reached (ReadTimeoutError)" in caplog.text


def test_without_preflight_no_server_is_asked(world: World) -> None:
    """red-early: the bucket is missed when the file is delivered, and the mail server is not spoken to before."""
    with pytest.raises(DeliveryError, match="the bucket does not exist"):
        world.export("s3://nobodys-bucket/calls.csv", mail={}, preflight=False)
    assert world.api.requests
    assert not [one for one in world.s3.requests if one.path.strip("/") == "nobodys-bucket"]
    assert world.mail.connections == 0


def test_a_preflight_costs_one_question_and_one_login(world: World) -> None:
    """red-early: and the mail goes once."""
    world.export(S3, mail={})
    questions = [one for one in world.s3.requests if one.method == "HEAD" and one.path.strip("/") == world.bucket]
    assert len(questions) == 1
    # The second is that of the mail itself.
    assert world.mail.connections == 2
    assert len(world.mail.mails) == 1
