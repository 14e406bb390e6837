"""A connection that exists and cannot be read: Airflow says that there is none, and the hook says why."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.hooks.callreport import CallReportHook

VARIABLE = "AIRFLOW_CONN_UNREADABLE"
TOKEN = "canary-token-1"

#: What somebody wrote into the environment -> what is wrong with it.
UNREADABLE = {
    f'{{"conn_type": "callreport", "login": 12345, "password": "{TOKEN}"}}': (
        'has a login that is no text; write it in quotes: "login": "..."'
    ),
    '{"conn_type": "callreport", "login": "u", "password": 678901234}': (
        'has a password that is no text; write it in quotes: "password": "..."'
    ),
    f'{{"conn_type": "callreport", "login": "u", "token": "{TOKEN}"}}': (
        "has the unknown key 'token'; allowed are conn_type, description, host, login, password, schema, port, extra"
    ),
    f'{{"conn_type": "callreport", "logn": "u", "password": "{TOKEN}"}}': (
        "has the unknown key 'logn' (did you mean 'login'?); allowed are conn_type, "
    ),
    f'{{"conn_type": "callreport", "login": "u", "password": "{TOKEN}", "port": "https"}}': (
        "has a port that is no whole number"
    ),
    f'{{"conn_type": "callreport", "password": "{TOKEN}",': "is no JSON, from line 1, column ",
    f"callreport://user:{TOKEN}#x/y@host:443": "is a URI whose host and port cannot be told; in login (User id",
    f"callreport://user:{TOKEN}@host:port": "is a URI whose host and port cannot be told",
    f"callreport://user:{TOKEN}[x@host": "is a URI whose host and port cannot be told; in login (User id",
    f"callreport://a:b@https://https://host/{TOKEN}": "is a URI that Airflow does not take; write it as JSON",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """In the hook, in the triggerer and at the Test button, without a word of the value."""
    monkeypatch.setenv(VARIABLE, text)
    hook = CallReportHook("unreadable")
    with pytest.raises(SettingsError) as failed:
        _ = hook.settings
    sentence = str(failed.value)
    assert sentence.startswith(
        f'Airflow connection "unreadable" cannot be read: the environment variable {VARIABLE} {UNREADABLE[text]}'
    )
    with pytest.raises(SettingsError) as failed:
        asyncio.run(CallReportHook("unreadable").aget_settings())
    assert str(failed.value) == sentence
    end = "" if sentence.endswith("?") else "."
    assert CallReportHook("unreadable").test_connection() == (False, f"{sentence[0].upper()}{sentence[1:]}{end}")
    seen: BaseException | None = failed.value
    while seen is not None:
        assert "canary" not in repr(seen)
        assert "678901234" not in repr(seen)
        seen = seen.__cause__ or seen.__context__


@pytest.mark.usefixtures("connection_table")
def test_a_connection_that_does_not_exist_still_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wrote it down anywhere."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(SettingsError, match='Airflow connection "unreadable" does not exist; create it'):
        _ = CallReportHook("unreadable").settings


@pytest.mark.slow
def test_a_numeric_login_in_a_file_of_connections(tmp_path: Path) -> None:
    """In YAML a login of digits is a number, and Airflow then reads none of the file's connections."""
    file = tmp_path / "connections.yaml"
    file.write_text(f"other:\n  conn_type: callreport\n  password: 12345\nmine: callreport://u:{TOKEN}@host\n")
    script = """
from airflow_provider_callreport.hooks.callreport import CallReportHook
print(CallReportHook("mine").test_connection())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
            "AIRFLOW__SECRETS__BACKEND_KWARGS": f'{{"connections_file_path": "{file}"}}',
        },
        check=True,
    )
    assert 'Airflow connection "mine" cannot be read: the secrets backend LocalFilesystemBackend failed' in done.stdout
    assert "a login (User id) or a password (Token) that is a number must be in quotes" in done.stdout
    assert "canary" not in done.stdout
