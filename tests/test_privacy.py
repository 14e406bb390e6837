"""no-leak: a phone number with a redaction set, a token and a session id leave nothing behind, wherever one looks.

The Dag of `support/airflow_dags/privacy.py` runs twice in real Airflow, everything at DEBUG: once as Airflow is, and
once with Airflow's own secrets masker made blind, so that what keeps secrets out is this package alone.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.runs import KOLKATA, AirflowRuns, Api, Evidence, once_a_session, run_dags

from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SmtpSettings
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from airflow_provider_callreport.task.private_filters import PrivateFilters, has_phone_numbers
from airflow_provider_callreport.triggers.events import CallReportEventTrigger

NUMBER = "919876501234"
#: What is searched for: the number's national part, however it is prefixed, and the heart of each secret. The token has
#: characters that JSON, HTML and URLs write otherwise, as a password generator's would.
CANARIES = {
    "number": b"9876501234",
    "number in groups": b"98765 01234",
    "number in brackets": b"98765) 01234",
    "number in a URL": b"98765%2001234",
    "token": b"canarytoken7f3a",
    "ssid": b"canaryssid91bc",
    "hmac secret": b"canaryhmac55aa",
    "key of SSE-C": b"canaryown4e21",
}
TOKEN = 'q"1\\canarytoken7f3a<&ü'
SSID = "canaryssid91bc/+=="
HMAC_SECRET = "canaryhmac55aa-0123456789"
OWN_KEY = "canaryown4e21-0123456789-0123456"

SUCCEED = {"last4_csv", "last4_xlsx", "last4_pdf", "last4_jsonl", "drop", "hmac", "not_chosen", "gzip", "own_key"}
FAIL = {
    "refused",
    "repeats",
    "repeats_html",
    "repeats_later",
    "incomplete",
    "broken",
    "both_secrets",
    "missing_label",
    "no_bucket",
    "no_s3",
    "refused_recipient",
    "refused_mail",
    "lost_mail",
    "wrong_filter",
}


DAGS = ("privacy", "privacy_unmasked")


@pytest.fixture(scope="session")
def run(airflow_runs: AirflowRuns) -> Evidence:
    return once_a_session(airflow_runs, "privacy-run", lambda directory: _run(airflow_runs, directory))


@pytest.mark.parametrize("dag_id", DAGS)
def test_run_went_as_intended(run: Evidence, dag_id: str) -> None:
    """Otherwise the other tests prove little: what should succeed did, what should fail did, and DEBUG was on."""
    states = {task_id: task.state for (dag, task_id, _), task in run.tasks.items() if dag == dag_id}
    assert {task_id for task_id, state in states.items() if state == "success"} == SUCCEED
    assert {task_id for task_id, state in states.items() if state == "failed"} == FAIL
    log = debug_log(run)
    for said in ("DEBUG urllib3.connectionpool", "DEBUG botocore", "DEBUG airflow_provider_callreport.api.paging"):
        assert said in log
    assert "PutObject" in log


def test_logs_hold_no_secret_and_no_number(run: Evidence) -> None:
    """no-leak: neither what Airflow prints nor what any library says at DEBUG, exceptions and their causes included."""
    assert leaks(without_airflows_own(run.log).encode()) == []
    assert leaks(debug_log(run).encode()) == []


def test_database_holds_no_secret_and_no_number(run: Evidence) -> None:
    """no-leak: no XCom value, no rendered template and nothing else in Airflow's database or home."""
    for dag_id in DAGS:
        filters = run.task(dag_id, "last4_csv").rendered["filters"]
        # Airflow 2 keeps an object of ours as text.
        assert str(filters) == str({"any": ["***"], "cNum": "***", "remark": "asked for ***"})
        arguments = run.task(dag_id, "own_key").rendered["s3_extra_args"]
        assert str(arguments) == str({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "***"})
    found = {str(path): leaks(path.read_bytes()) for path in files_below(run.home)}
    assert {path: what for path, what in found.items() if what} == {}


def test_objects_hold_no_secret_and_no_number(run: Evidence) -> None:
    """no-leak: no object's body, packed or not, key or metadata."""
    assert len(run.objects) >= len(DAGS) * len(SUCCEED)
    for key, stored in run.objects.items():
        assert leaks(key.encode()) == []
        assert leaks(json.dumps(dict(stored.metadata)).encode()) == []
        for layer in unpacked(stored.body):
            assert leaks(layer) == [], key


def test_mails_hold_no_secret_and_no_number(run: Evidence) -> None:
    """no-leak: no header, body or attachment of a mail, also of those that were refused or lost."""
    mails = [mail for mails in run.mails.values() for mail in mails]
    assert len(mails) >= len(DAGS) * 4
    for mail in mails:
        assert leaks(mail.content) == []
        for part in mail.message.walk():
            content = part.get_payload(decode=True)
            for layer in unpacked(content) if isinstance(content, bytes) else ():
                assert leaks(layer) == []


def test_no_file_is_left_behind(run: Evidence) -> None:
    """no-leak: the temporary directory has no report, and nothing in it has a secret."""
    assert [path for path in run.temp.rglob("*") if "callreport" in path.name] == []
    assert {str(path): leaks(path.read_bytes()) for path in files_below(run.temp) if leaks(path.read_bytes())} == {}


def test_the_search_finds_what_is_there(run: Evidence) -> None:
    """The tests above can fail: the last four digits, which may leave, are found in every kind of place."""
    shown = re.compile(rb"\*{8}1234")
    for task_id in ("last4_csv", "last4_xlsx", "last4_pdf", "last4_jsonl", "gzip"):
        assert any(shown.search(layer) for layer in unpacked(run.objects[f"privacy/{task_id}"].body)), task_id
    attachments = [
        layer
        for mail in run.mails["smtp_default"]
        for part in mail.message.iter_attachments()
        for layer in unpacked(bytes(part.get_payload(decode=True)))
    ]
    assert sum(bool(shown.search(layer)) for layer in attachments) >= 4
    assert leaks(b"+9198765 01234, 919876501234, +91 (98765) 01234 or ?98765%2001234") == [
        "number",
        "number in groups",
        "number in brackets",
        "number in a URL",
    ]


HIDDEN_FILTERS = [
    {"cNum": "43210"},
    {"frm": ["12", "34"]},
    {"remark": "+91 (98123) 45678"},
    {"remark": "98123/45678"},
    {"any": {"inner": ["98123 / 45678"]}},
    {"any": [{"98123 45678": True}]},
    {"98123-45678": True},
    {"campaign": 9812345678},
    {"campaign": 9812345678.0},
    {"remark": "98123%2045678"},
    {"remark": "98123&nbsp;45678"},
    {"remark": "९८१२३४५६७८"},
]
SHOWN_FILTERS = [
    {},
    {"agent": ["Asha", "Ravi 12"], "dur": {"gte": 30}, "live": True, "none": None},
    {"dtGte": "2026-03-13 00:00:00", "day": "2026-03-13"},
    {"cNum": "", "frm": None},
]


@pytest.mark.parametrize("filters", HIDDEN_FILTERS)
def test_filters_are_shown_without_phone_numbers(filters: dict[str, Any]) -> None:
    """no-leak: in Airflow's rendered fields and in whatever prints them, under any key; and they are
    known to hold one.
    """
    private = PrivateFilters(filters)
    for shown in (json.dumps(private.serialize(), ensure_ascii=False), repr(private), str(private)):
        assert "***" in shown
        assert not any(character.isdigit() for character in shown)
    assert dict(private) == filters
    assert has_phone_numbers(filters)


@pytest.mark.parametrize("filters", SHOWN_FILTERS)
def test_other_filters_are_shown_as_they_are(filters: dict[str, Any]) -> None:
    """no-leak: a day, a name, a duration is no phone number."""
    assert PrivateFilters(filters).serialize() == filters
    assert not has_phone_numbers(filters)


@pytest.mark.parametrize("filters", HIDDEN_FILTERS)
def test_an_event_trigger_refuses_a_phone_number(filters: dict[str, Any]) -> None:
    """no-leak: Airflow stores a trigger's arguments, and shows them."""
    with pytest.raises(ValueError, match="filters may hold a phone number"):
        CallReportEventTrigger(filters=filters)


def leaks(content: bytes) -> list[str]:
    """Which canaries are in it."""
    return [name for name, canary in CANARIES.items() if canary in content]


def without_airflows_own(log: str) -> str:
    """The log without the one line that tells secrets and is not ours.

    At DEBUG, ``dag.test()`` prints the message by which a secret is made known to the masker. A worker does not.
    """
    return "\n".join(line for line in log.splitlines() if "Sending request" not in line or "MaskSecret(" not in line)


def debug_log(run: Evidence) -> str:
    """What all loggers said at DEBUG, unmasked."""
    return (run.home.parent / "debug.log").read_text()


def files_below(directory: Path) -> Iterator[Path]:
    """All files."""
    return (path for path in directory.rglob("*") if path.is_file())


def unpacked(content: bytes) -> Iterator[bytes]:
    """The bytes themselves and what is packed in them: gzip, the parts of a workbook, the text of a PDF."""
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from map(archive.read, archive.namelist())
    elif content.startswith(b"%PDF"):
        if shutil.which("pdftotext") is None:
            pytest.skip("pdftotext (poppler-utils) is not installed")
        done = subprocess.run(["pdftotext", "-layout", "-", "-"], input=content, capture_output=True, check=True)
        yield done.stdout


def _run(airflow_runs: AirflowRuns, directory: Path) -> Evidence:
    return run_dags(
        airflow_runs,
        directory,
        ["privacy.py"],
        [(dag_id, datetime(2026, 3, 14, tzinfo=KOLKATA)) for dag_id in DAGS],
        unmasked="privacy_unmasked",
        apis={
            "callreport_default": _api(),
            "callreport_ssid": Api(_settings(), {"ssid": SSID}, {"login": None, "password": None}),
            "callreport_refused": Api(_settings(token="another"), fields={"password": TOKEN}),
            "callreport_repeats": _api(Fault("leaky_error", code=1014)),
            "callreport_repeats_html": _api(Fault("leaky_error", code=1009, http_status=500, html=True)),
            "callreport_repeats_later": _api(Fault("leaky_error", page=1, code=1000)),
            "callreport_incomplete": _api(Fault("wrong_total", by=-2)),
            "callreport_broken": _api(Fault("truncated_json", page=0)),
            "callreport_both_secrets": Api(_settings(), {"ssid": SSID}),
        },
        smtp={
            "smtp_default": SmtpSettings(),
            "smtp_refusing": SmtpSettings(refuse={"refused@example.com": ""}),
            "smtp_answering": SmtpSettings(answer="554 5.6.0 Message refused"),
            "smtp_dropping": SmtpSettings(drop="kept"),
        },
        environment={
            "AIRFLOW_VAR_CANARY_NUMBER": NUMBER,
            "AIRFLOW_VAR_CANARY_OWN": OWN_KEY,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "AIRFLOW_CONN_AWS_NOWHERE": json.dumps(
                {
                    "conn_type": "aws",
                    "login": "key",
                    "password": "secret",
                    "extra": {
                        "endpoint_url": "http://127.0.0.1:9",
                        "region_name": "us-east-1",
                        "config_kwargs": {"retries": {"max_attempts": 0}},
                    },
                }
            ),
        },
        debug_log=True,
    )


def _api(*faults: Fault) -> Api:
    # Two calls a page, and no patience: what fails is to fail now.
    return Api(_settings(faults=list(faults)), {"page_size": 2, "max_retry_time": 0, "hmac_secret": HMAC_SECRET})


def _settings(*, token: str = TOKEN, faults: list[Fault] | None = None) -> SandboxSettings:
    start = datetime(2026, 3, 13, 9)
    calls = [
        Call(
            start + timedelta(minutes=minute),
            number=NUMBER,
            details=f"call back +{NUMBER}" if minute % 2 else "asked for +91 (98765) 01234",
            recording=f"abc*mp3*user*2026*03*13*{NUMBER}_{minute}.mp3" if minute else "?from=98765%2001234",
        )
        for minute in range(5)
    ]
    return SandboxSettings(calls=ListedCalls(calls), token=token, ssid=SSID, faults=faults or [])
