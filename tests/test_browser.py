"""connection-form: the connection form, the Test button and a run, clicked in a real browser against a running Airflow.

It takes a minute or two of both cores, so it runs only with ``CALLREPORT_BROWSER=1``. ``CALLREPORT_PICTURES=1`` saves
the screenshots of the documentation, in ``docs/images``.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
from support.browser import Airflow, Browser, chromium, missing, sheet_picture, standalone, wait_for
from support.readme import code_blocks
from support.runs import AIRFLOW

from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp
from airflow_provider_callreport.sandbox.settings import SandboxSettings

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "images"
WANTED = os.environ.get("CALLREPORT_PICTURES") == "1"

DAG_ID = "daily_masked_calls_to_s3"
TUTORIAL = "daily_sheet"
MAIL = "//table[@class='card']"
DIALOG = "//*[@role='dialog']"
KEY = "masked_calls/dt=2026-10-15/masked_calls.csv"
#: A Dag with a mapped task for each quarter of a day.
SLICES = """
from datetime import timedelta
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.windows import windows

with DAG(dag_id="calls_in_slices", schedule=None, is_paused_upon_creation=False):
    CallReportExportOperator.partial(task_id="export", s3_bucket="reports").expand_kwargs(
        windows("2026-10-15", "2026-10-16", every=timedelta(hours=6), s3_key="slices/{start:%H}.csv")
    )
"""
#: Where the right half of a run's or a task's page begins, in pixels.
_PANE = 330

HMAC_SECRET = "canary-key-of-the-pseudonyms"

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(os.environ.get("CALLREPORT_BROWSER") != "1", reason="only with CALLREPORT_BROWSER=1"),
    pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}"),
    pytest.mark.skipif(AIRFLOW < (3, 3), reason="the clicks are those of the UI of Airflow 3.3"),
    # It waits for Airflow's parts, each up to a minute on a busy machine.
    pytest.mark.timeout(1_200),
]


@dataclass(frozen=True)
class Desk:
    """What a person has in front of her.

    Attributes:
        airflow: the running Airflow.
        browser: signed in to it.
        api, s3, smtp: the servers that the connections lead to.
    """

    airflow: Airflow
    browser: Browser
    api: SandboxServer
    s3: SandboxS3
    smtp: SandboxSmtp


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A running Airflow with an example Dag and that of the tutorial, a browser, and the servers."""
    directory = tmp_path_factory.mktemp("desk")
    dags = directory / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "example_dags" / f"{DAG_ID}.py", dags)
    (block,) = code_blocks("python", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    (dags / f"{TUTORIAL}.py").write_text(block, encoding="utf-8")
    (dags / "calls_in_slices.py").write_text(SLICES, encoding="utf-8")
    settings = SandboxSettings(masked_calls=SyntheticCalls(300, masked=True))
    with (
        SandboxServer(settings) as api,
        SandboxS3() as s3,
        SandboxSmtp() as smtp,
        standalone(
            directory,
            dags,
            {"AIRFLOW_CONN_AWS_DEFAULT": s3.connection_json(), "AIRFLOW_CONN_SMTP_DEFAULT": smtp.connection_json()},
        ) as airflow,
        chromium(directory / "profile", PICTURES if WANTED else None) as browser,
    ):
        browser.sign_in(airflow)
        yield Desk(airflow, browser, api, s3, smtp)


def test_from_an_empty_form_to_a_green_run(desk: Desk) -> None:
    """connection-form: fill in, Test (red, says why), correct, Test (green), run a Dag with a date, find the file."""
    fill_in(desk, token="a-wrong-token")
    press_test(desk, "Correct User id and Token in the Airflow connection")
    correct(desk)
    press_test(desk, f"as {desk.api.settings.user_id}; the call log can be read.", picture="connection-test")
    stored = desk.airflow.command("connections", "get", "callreport_default", "--output", "json")
    assert desk.api.settings.token in stored
    assert HMAC_SECRET in stored
    assert "Asia/Kolkata" in stored
    run_by_hand(desk, DAG_ID, with_date)
    rows = list(csv.reader(desk.s3.read(KEY).decode().splitlines()))
    assert len(rows) == 300 + 1
    run_by_hand(desk, TUTORIAL)
    desk.browser.driver.refresh()
    desk.browser.wait_for_text("Success")
    desk.browser.picture("green-run", height=720)
    mails = [mail for mail in desk.smtp.messages if mail.recipients == ("head@example.com",)]
    assert mails
    for mail in mails:
        (sheet,) = mail.message.iter_attachments()
        assert re.fullmatch(r"calls_\d{4}-\d\d-\d\d\.xlsx", sheet.get_filename() or "")
        assert "2,000 calls" in mail.message["Subject"]
    if WANTED:
        pictures_of(desk, mails[-1].message, sheet.get_content())


def test_mapped_tasks_have_names_and_a_red_task_shows_its_numbers(desk: Desk) -> None:
    """known-to-airflow, whole-or-red: what a person reads in the list of mapped tasks, and in the log of a red one."""
    browser = desk.browser
    run_by_hand(desk, "calls_in_slices", count=5)
    browser.driver.get(f"{desk.airflow.url}/dags/calls_in_slices/runs/by_hand/tasks/export/mapped")
    for name in ("00:00-06:00", "06:00-12:00", "12:00-18:00", "18:00-00:00"):
        browser.wait_for_text(f"2026-10-15 {name}")
    browser.picture("mapped-names", height=800, left=_PANE)
    desk.api.settings.faults = [Fault("short_page", page=1)]
    run_by_hand(desk, TUTORIAL, run_id="red", ends="Failed")
    browser.driver.get(f"{desk.airflow.url}/dags/{TUTORIAL}/runs/red/tasks/calls")
    browser.wait_for_text("IncompleteReportError")
    assert re.search("1,?995 of 2,?000", browser.text())
    assert "Skipping masking" not in browser.text()
    browser.press("//button[@aria-label='Log Settings']")
    browser.press("//*[@role='menuitem' and @data-value='wrap']")
    browser.picture("red-log", left=_PANE, until="(//*[starts-with(normalize-space(text()), 'File')])[1]")


def pictures_of(desk: Desk, mail: EmailMessage, book: bytes) -> None:
    """Save what the mail and its sheet look like."""
    html = mail.get_body(("html",))
    assert html is not None
    path = desk.airflow.home / "mail.html"
    path.write_text(html.get_content(), encoding="utf-8")
    desk.browser.driver.get(path.as_uri())
    desk.browser.picture("mail", MAIL, until="//*[normalize-space(text())='Calls by agent']")
    sheet_picture(book, PICTURES / "sheet.png", page=2, width=1103, height=380)


def fill_in(desk: Desk, token: str) -> None:
    """Add the connection with a wrong token and a key for pseudonyms."""
    browser = desk.browser
    open_connections(desk)
    browser.click("Add Connection")
    browser.choose("//input[@role='combobox']", "DeepCall Call Report")
    browser.fill("connection_id", "callreport_default")
    browser.fill("login", "my-user-id")
    browser.fill("password", token)
    browser.picture("connection-form", DIALOG, height=1_040)
    browser.fill("host", "http://127.0.0.1")
    # Airflow 3.3.1 and 3.3.2 refuse to test a connection without a port: their UI sends 0 for it.
    browser.fill("port", str(desk.api.port))
    browser.fill("login", desk.api.settings.user_id)
    assert browser.find("//input[@name='password']").get_attribute("type") == "password"
    browser.press("//button[normalize-space()='Extra Fields']")
    browser.fill("element_hmac_secret", HMAC_SECRET)
    for secret in ("element_ssid", "element_hmac_secret"):
        assert browser.find(f"//input[@name='{secret}']").get_attribute("type") == "password"
    assert browser.find("//input[@name='element_timezone']").get_attribute("value") == "Asia/Kolkata"
    browser.picture("connection-form-extra", DIALOG, height=2_000)
    browser.click("Save")
    browser.find("//td[normalize-space()='callreport_default']")


def correct(desk: Desk) -> None:
    """Open the connection again, see that no secret comes back, and give the right token."""
    browser = desk.browser
    open_connections(desk)
    browser.click("Edit Connection")
    browser.find("//input[@name='password']")
    browser.press("//button[normalize-space()='Extra Fields']")
    assert browser.find("//input[@name='element_hmac_secret']").get_attribute("value") == "***"
    for secret in ("a-wrong-token", HMAC_SECRET):
        assert secret not in browser.driver.page_source
    browser.press("//button[normalize-space()='Standard Fields']")
    assert browser.find("//input[@name='password']").get_attribute("value") == "***"
    browser.fill("password", desk.api.settings.token)
    browser.click("Save")
    wait_for(lambda: not browser.driver.find_elements("xpath", "//input[@name='password']"), "the end of the form")


def press_test(desk: Desk, sentence: str, picture: str | None = None) -> None:
    """Press the Test button and wait for what it says."""
    open_connections(desk)
    desk.browser.click("Test Connection")
    desk.browser.wait_for_text(sentence)
    if picture is not None:
        desk.browser.picture(picture, height=620)


def open_connections(desk: Desk) -> None:
    """Go to the list of connections, drawn anew: nothing of an earlier answer is left on it."""
    desk.browser.driver.get(f"{desk.airflow.url}/connections")
    desk.browser.wait_for_text("Add Connection")


def run_by_hand(
    desk: Desk,
    dag_id: str,
    fill_in: Callable[[Browser], None] | None = None,
    *,
    run_id: str = "by_hand",
    ends: str = "Success",
    count: int = 2,
) -> None:
    """Trigger a Dag, after ``fill_in`` has changed what the dialog has, and wait until it and its tasks have ended."""
    browser = desk.browser
    browser.driver.get(f"{desk.airflow.url}/dags/{dag_id}")
    browser.click("Trigger Dag")
    browser.press(f"{DIALOG}//button[normalize-space()='Advanced Options']")
    browser.fill("dagRunId", run_id)
    if fill_in is not None:
        fill_in(browser)
    browser.press(f"{DIALOG}//button[normalize-space()='Trigger']")
    browser.driver.get(f"{desk.airflow.url}/dags/{dag_id}/runs/{run_id}")
    wait_for(lambda: browser.text().count(ends) >= count, f"a run and its tasks that say {ends}")


def with_date(browser: Browser) -> None:
    """Give the run a logical date."""
    browser.press("//label[normalize-space()='Logical Date']/following::*[@type='button'][1]")
    browser.type("//input[@placeholder='YYYY/MM/DD']", "2026/10/16")
    browser.type("//input[@placeholder='HH:mm']", "01:00")
    browser.escape()
    browser.wait_for_text("Oct 16, 2026 01:00")
