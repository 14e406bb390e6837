"""S3 and SMTP of the sandbox, and the command that starts all three."""

from __future__ import annotations

import json
import logging
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
import requests
from airflow.providers.common.compat.sdk import BaseHook
from support.readme import page
from support.sandbox import CREDENTIALS, DAY

from airflow_provider_callreport.sandbox.__main__ import PORTS, _parser, _ports, main
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxSmtp, SmtpSettings

MODULE = [sys.executable, "-m", "airflow_provider_callreport.sandbox"]


@pytest.fixture
def smtp() -> Iterator[SandboxSmtp]:
    with SandboxSmtp() as server:
        yield server


def mail(server: SandboxSmtp, *recipients: str, size: int = 10, login: bool = False) -> dict[str, tuple[int, bytes]]:
    """Send a message; the refused recipients."""
    message = EmailMessage()
    message["Subject"] = "Anrufe für Köln"
    message["From"] = "callreport@example.com"
    message["To"] = ", ".join(recipients)
    message.set_content("x" * 60 + "\n" * size)
    with smtplib.SMTP(server.host, server.port, timeout=5) as client:
        client.ehlo()
        if login:
            client.login("anybody", "anything")
        return client.send_message(message)


def test_s3_keeps_objects_and_honours_conditional_writes() -> None:
    with SandboxS3(["kept", "other"], region="ap-south-1") as s3:
        connection = json.loads(s3.connection_json())
        client = boto3.client(
            "s3",
            endpoint_url=connection["extra"]["endpoint_url"],
            region_name=connection["extra"]["region_name"],
            aws_access_key_id=connection["login"],
            aws_secret_access_key=connection["password"],
        )
        client.put_object(Bucket="kept", Key="calls/a.csv", Body=b"a", IfNoneMatch="*")
        with pytest.raises(botocore.exceptions.ClientError, match="PreconditionFailed"):
            client.put_object(Bucket="kept", Key="calls/a.csv", Body=b"b", IfNoneMatch="*")
        client.create_multipart_upload(Bucket="kept", Key="half")

        assert (s3.keys("kept"), s3.keys("other"), s3.read("calls/a.csv", "kept")) == (["calls/a.csv"], [], b"a")
        s3.reset()
        assert s3.keys("kept") == []
        assert "Uploads" not in client.list_multipart_uploads(Bucket="kept")
    with SandboxS3() as s3:
        assert s3.keys() == []
        assert s3.connection_uri().startswith("aws://sandbox-access-key:sandbox-secret-key@/?endpoint_url=http%3A")


def test_smtp_keeps_messages_as_they_came(smtp: SandboxSmtp, tmp_path: Path) -> None:
    smtp._save_dir = tmp_path
    assert mail(smtp, "a@example.com", "b@example.com", login=True) == {}

    [received] = smtp.messages
    assert (received.sender, received.recipients) == ("callreport@example.com", ("a@example.com", "b@example.com"))
    assert received.message["Subject"] == "Anrufe für Köln"
    assert (tmp_path / "mail-0001.eml").read_bytes() == received.content


def test_mails_of_an_earlier_run_stay(tmp_path: Path) -> None:
    """A mail is written beside those that are there, of this server before its reset and of others."""
    (tmp_path / "mail-0002.eml").write_text("mine")
    for _ in range(2):
        with SandboxSmtp(save_dir=tmp_path) as server:
            mail(server, "a@example.com")
            server.reset()
            mail(server, "b@example.com")
    names = [f"mail-{number:04d}.eml" for number in range(1, 6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / "mail-0002.eml").read_text() == "mine"


def test_smtp_refuses_named_recipients(smtp: SandboxSmtp) -> None:
    """one-mail: one refused recipient of three."""
    smtp.settings.refuse = {"b@example.com": ""}

    refused = mail(smtp, "a@example.com", "b@example.com", "c@example.com")

    assert {address: code for address, (code, _) in refused.items()} == {"b@example.com": 550}
    assert smtp.messages[0].recipients == ("a@example.com", "c@example.com")


def test_smtp_answers_an_error_and_heals(smtp: SandboxSmtp) -> None:
    smtp.settings = SmtpSettings(answer="451 4.3.0 Try again later", answer_times=1)

    with pytest.raises(smtplib.SMTPDataError, match="451"):
        mail(smtp, "a@example.com")
    assert smtp.messages == []
    mail(smtp, "a@example.com")
    assert len(smtp.messages) == 1


def test_smtp_enforces_its_size(smtp: SandboxSmtp) -> None:
    smtp.settings.max_size = 5000
    with smtplib.SMTP(smtp.host, smtp.port, timeout=5) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "5000"

    with pytest.raises(smtplib.SMTPResponseException, match="552"):
        mail(smtp, "a@example.com", size=10_000)
    assert smtp.messages == []


@pytest.mark.parametrize(("drop", "kept"), [("kept", 1), ("lost", 0)])
def test_smtp_drops_the_connection_after_the_message(smtp: SandboxSmtp, drop: str, kept: int) -> None:
    """one-mail: at most one mail a run, also when nobody knows whether the first was taken."""
    smtp.settings = SmtpSettings(drop=drop, drop_times=1)

    with pytest.raises(smtplib.SMTPServerDisconnected):
        mail(smtp, "a@example.com")
    assert len(smtp.messages) == kept
    mail(smtp, "a@example.com")
    assert len(smtp.messages) == kept + 1


def test_the_servers_log_nothing_of_what_they_serve(smtp: SandboxSmtp, caplog: pytest.LogCaptureFixture) -> None:
    """no-leak: its test looks for canaries in the logs at DEBUG; the rehearsal servers must not put them there."""
    with caplog.at_level(logging.DEBUG):
        mail(smtp, "canary@example.com")

    assert "canary" not in caplog.text


@pytest.mark.slow
def test_the_command_starts_all_servers_and_ends_cleanly(tmp_path: Path) -> None:
    with command("--calls-per-day", "30", "--set", "cnt=text", "--save", str(tmp_path / "mails"), "--json") as process:
        started = json.loads(read_line(process))
        connections = {name: json.loads(value) for name, value in started["connections"].items()}
        body = {**CREDENTIALS, "filter": DAY}
        answered = requests.post(f"{started['url']}/api/v2/CallReport/list", json=body, timeout=5).json()
        assert answered["cnt"] == "30"
        aws, smtp = connections["AIRFLOW_CONN_AWS_DEFAULT"], connections["AIRFLOW_CONN_SMTP_DEFAULT"]
        assert requests.get(f"{aws['extra']['endpoint_url']}/reports", timeout=5).status_code == 200
        with smtplib.SMTP(smtp["host"], smtp["port"], timeout=5) as client:
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\ny")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert [path.name for path in (tmp_path / "mails").iterdir()] == ["mail-0001.eml"]


def test_the_command_prints_lines_for_a_shell() -> None:
    with command("--no-s3", "--no-smtp", "--fault", "error_on_page:page=0,code=1014") as process:
        line = read_line(process)
        assert line.startswith("export AIRFLOW_CONN_CALLREPORT_DEFAULT='{")
        value = json.loads(line.partition("=")[2].strip().strip("'"))
        answered = requests.post(f"{value['host']}/api/v2/CallReport/list", json=CREDENTIALS, timeout=5).json()
        assert answered["code"] == 1014
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--fault", "nonesuch"], "unknown fault 'nonesuch'; known are"),
        (["--set", "colour=red"], "unknown sandbox setting 'colour'; known are"),
        (["--set", "cnt=most"], "cnt must be one of total, page, so_far, text, capped, missing, not 'most'"),
        (["--set", "cnt"], "--set takes NAME=VALUE, not 'cnt'"),
        (["--timezone", "Asia/Atlantis"], "timezone must be an IANA zone such as Asia/Kolkata, not 'Asia/Atlantis'"),
        (["--calls-per-day", "-1"], "per_day must be 0 or more, not -1"),
    ],
)
def test_mistakes_on_the_command_line_get_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_port_that_is_taken_gets_a_sentence(smtp: SandboxSmtp, capsys: pytest.CaptureFixture[str]) -> None:
    """clear-sentence: which server, which port, and what to do; also for S3, whose server would wait for ever."""
    for flag, server in (("--port", "the API"), ("--s3-port", "S3"), ("--smtp-port", "SMTP")):
        assert main(["--free-ports", flag, str(smtp.port)]) == 1
        assert capsys.readouterr().err == (
            f"cannot serve {server}: port {smtp.port} is taken, perhaps by another sandbox; "
            f"choose another with {flag}, or use --free-ports\n"
        )


def test_ports_are_fixed_unless_others_are_asked_for() -> None:
    """A connection that was made for one run is right for the next; the page names the ports."""
    assert all(f" {port} " in page("command_line.md").replace(",", " ") for port in PORTS.values())
    assert _ports(_parser().parse_args([])) == {"port": 8710, "s3_port": 8711, "smtp_port": 8712}
    assert _ports(_parser().parse_args(["--no-s3", "--port", "80"])) == {"port": 80, "smtp_port": 8712}
    assert _ports(_parser().parse_args(["--free-ports", "--port", "80"])) == {"port": 80, "s3_port": 0, "smtp_port": 0}


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["sh", "docker"])
def test_the_env_file_is_one_for_a_shell_and_for_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    """true-docs: a shell that reads it, and a program that takes each value as it stands, as docker does, can use the
    account, S3 as boto3 finds it, and the mail server.
    """
    file = tmp_path / "sandbox.env"
    file.write_text("# Written by callreport sandbox, before")
    with command("--calls-per-day", "5", "--env-file", str(file)) as process:
        while "# The API is at" not in read_line(process):
            pass
        environment = {**os.environ}
        callreport = f"{sys.executable} -m airflow_provider_callreport.cli"
        export = "export --start 2026-10-15 --to s3://reports/a.csv"
        script = f"set -e; cd {tmp_path}; {callreport} check; {callreport} {export}"
        if reader == "sh":
            script = f"set -a; . {file}; set +a; {script}"
        else:
            pairs = (line.partition("=") for line in file.read_text().splitlines() if not line.startswith("#"))
            environment.update({name: value for name, _, value in pairs})
        done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "s3://reports/a.csv (5 calls" in done.stdout
        values = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", values["AIRFLOW_CONN_SMTP_DEFAULT"])
        smtp = BaseHook.get_connection("smtp_default")
        with smtplib.SMTP(str(smtp.host), int(smtp.port or 0), timeout=5) as client:
            assert client.noop()[0] == 250
        assert (smtp.extra_dejson["disable_tls"], smtp.extra_dejson["from_email"]) == (True, "callreport@example.com")
        s3 = boto3.client(
            "s3",
            endpoint_url=values["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
            region_name=values["AWS_DEFAULT_REGION"],
        )
        assert [one["Key"] for one in s3.list_objects_v2(Bucket="reports")["Contents"]] == ["a.csv"]


def test_a_file_of_anothers_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """clear-sentence: an .env file of a project is easily named."""
    (tmp_path / ".env").write_text("SECRET=1\n")
    with pytest.raises(SystemExit):
        main(["--free-ports", "--env-file", str(tmp_path / ".env")])
    assert "exists and is not of a sandbox; name another file" in capsys.readouterr().err
    assert (tmp_path / ".env").read_text() == "SECRET=1\n"


def test_without_the_extra_there_is_a_sentence() -> None:
    """The command says what to install; nothing else of the package needs the extra."""
    code = (
        "import sys, importlib.util as util; find = util.find_spec;"
        "util.find_spec = lambda name, *a: None if name in ('moto', 'aiosmtpd') else find(name, *a);"
        "from airflow_provider_callreport.sandbox.__main__ import main; sys.exit(main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)

    assert done.returncode == 1
    assert done.stderr == ("the sandbox needs moto, aiosmtpd: pip install 'airflow-provider-callreport[sandbox]'\n")


def test_the_sandbox_knows_neither_airflow_nor_our_client() -> None:
    """It is a second witness of the API, so it shares no line with the code that it judges."""
    code = (
        "import sys, airflow_provider_callreport.sandbox.servers, airflow_provider_callreport.sandbox.app;"
        "print([name for name in sys.modules if name == 'airflow' or name.startswith("
        "('airflow.', 'airflow_provider_callreport.api', 'airflow_provider_callreport.formats'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout.strip() == "[]"


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running on free ports."""
    with subprocess.Popen(
        [*MODULE, "--free-ports", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def read_line(process: subprocess.Popen[Any]) -> str:
    """The first line that it prints, which it prints when all servers are up."""
    assert process.stdout is not None
    line: str = process.stdout.readline()
    return line
