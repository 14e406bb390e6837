"""The first hour of somebody who has only the built wheel: README and tutorial, followed literally."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from support.first_hour import Terminal, build_wheel, wait_for_servers
from support.readme import README, code_blocks, page

from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp
from airflow_provider_callreport.sandbox.settings import SandboxSettings

pytestmark = [pytest.mark.slow, pytest.mark.airflow, pytest.mark.timeout(900)]

TUTORIAL = page("tutorial.md")


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal in an empty folder, with the wheel that pip finds under the package's name."""
    (tmp_path / "dist").mkdir()
    (tmp_path / "home").mkdir()
    return Terminal(tmp_path / "home", build_wheel(tmp_path / "dist"))


def test_the_tutorial_can_be_followed(terminal: Terminal) -> None:
    """true-docs: every command of it, from an empty folder to a mailed sheet and to a red task."""
    install, sandbox, second, look, export, run, _standalone, faulty, probe = code_blocks("console", TUTORIAL)
    (dag,) = code_blocks("python", TUTORIAL)
    (place,) = re.findall(r"Save this as `([^`]+)`", TUTORIAL)
    (said,) = re.findall(r"its log says\s+`([^`]+)`", TUTORIAL)
    folder = terminal.folder
    terminal.run(install)
    with terminal.running(sandbox) as servers:
        wait_for_servers(servers)
        other = Terminal(folder, terminal.wheel)
        other.run(second)
        assert "Signed in to http://127.0.0.1:" in other.run(look)
        other.run(export)
        assert (folder / "calls_2026-10-15.xlsx").stat().st_size > 10_000
        (folder / place).write_text(dag, encoding="utf-8")
        assert "state=success" in other.run(run)
        other.run(probe)
        assert (folder / "profile.json").is_file()
        (mail,) = (folder / "mails").glob("*.eml")
        text = mail.read_text(encoding="utf-8")
        assert "calls_2026-10-15.xlsx" in text
        assert "\nTo: head@example.com\n" in text
    with terminal.running(faulty) as servers:
        wait_for_servers(servers)
        log = " ".join(other.run(run, status=None).split())
        assert "state=failed" in log
        assert " ".join(said.split()) in log
    assert list((folder / "mails").glob("*.eml")) == [mail]


def test_the_readme_can_be_followed(terminal: Terminal) -> None:
    """true-docs: its package without an extra, its connection, its Dag and its commands, beside Airflow alone."""
    (install,) = [block for block in code_blocks("console") if block.startswith("pip install")]
    (connection,) = [block for block in code_blocks("console") if "AIRFLOW_CONN" in block]
    (dag,) = code_blocks("python")
    folder = terminal.folder
    terminal.run(f"python3 -m venv airflow\n. airflow/bin/activate\npip install apache-airflow\n{install}")
    terminal.run(f"export AIRFLOW_HOME={folder}/home AIRFLOW__CORE__LOAD_EXAMPLES=False\nairflow db migrate")
    assert "airflow-provider-callreport" in terminal.run("airflow providers list")
    settings = SandboxSettings(user_id="my-user-id", token="my-token")
    with SandboxServer(settings) as api, SandboxS3(["my-bucket"]) as s3, SandboxSmtp() as smtp:
        # As it stands, but for the host: that of the servers on this machine.
        value = json.loads(shlex.split(connection)[1].partition("=")[2])
        variables = {
            "CALLREPORT": json.dumps({**value, "host": api.url}),
            "AWS": s3.connection_json(),
            "SMTP": smtp.connection_json(),
        }
        exports = [f"export AIRFLOW_CONN_{name}_DEFAULT={shlex.quote(text)}" for name, text in variables.items()]
        terminal.run("\n".join(exports))
        for command in re.findall(r"`(callreport [^`\n]+)`", README):
            terminal.run(command, status=None if "probe" in command else 0)
        (folder / "home" / "dags").mkdir()
        (folder / "home" / "dags" / "mine.py").write_text(dag, encoding="utf-8")
        assert "state=success" in terminal.run("airflow dags test my_daily_calls 2026-10-16T07:00:00+05:30")
        assert s3.keys("my-bucket") == ["calls/dt=2026-10-15/calls.xlsx"]
        (mail,) = smtp.messages
        assert mail.recipients == ("head@example.com",)
