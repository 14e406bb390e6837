"""A running Airflow of one's own, and a headless Chromium to click through its UI.

Airflow is ``airflow standalone`` in a process group of its own, with an ``AIRFLOW_HOME`` and ports of its own. The
browser is Debian's Chromium, driven by selenium; `missing` says what of it this machine has not.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from support.runs import airflow_environment

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")

#: Longest wait for anything, in seconds: a busy machine with two cores starts five processes of Airflow.
PATIENCE = 180

#: Of the browser's window, in pixels.
_WIDTH, _HEIGHT = 1300, 1000

#: The last five keep Chromium from asking for hosts outside of this machine.
_CHROMIUM = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    f"--window-size={_WIDTH},{_HEIGHT}",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str:
    """What the browser tests need and this machine has not; empty when it has all."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if find_spec("selenium") is None:
        lacking.append("selenium")
    return ", ".join(lacking)


@dataclass(frozen=True)
class Airflow:
    """A running Airflow.

    Attributes:
        url: address of its UI.
        user, password: of its administrator.
        home: its ``AIRFLOW_HOME``.
        environment: variables that its commands need.
    """

    url: str
    user: str
    password: str
    home: Path
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> str:
        """What an ``airflow`` command prints to its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def standalone(directory: Path, dags: Path, environment: Mapping[str, str]) -> Iterator[Airflow]:
    """Run ``airflow standalone`` until the end of the block.

    Args:
        directory: an empty directory; its ``standalone.log`` is what Airflow printed.
        dags: the Dags folder.
        environment: further variables, such as ``AIRFLOW_CONN_AWS_DEFAULT``.
    """
    home, port = directory / "home", free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {
        **airflow_environment(home),
        # The commands of Airflow's parts are started by name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # Five seconds by default. A busy machine's server may need longer, and the Dag's retry comes after minutes.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": str(PATIENCE),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-sixty-four-bytes-for-the-tokens-of-this-test-and-no-more",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        **environment,
    }
    log = directory / "standalone.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(lambda: _all_healthy(process, url, log), "a healthy Airflow")
            passwords = json.loads((home / "simple_auth_manager_passwords.json.generated").read_text())
            yield Airflow(url, "admin", passwords["admin"], home, variables)
        finally:
            _end(process)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
        return port


def wait_for(condition: Callable[[], T], what: str) -> T:
    """What ``condition`` returns as soon as that is true; its exceptions mean "not yet"."""
    deadline, problem = time.monotonic() + PATIENCE, ""
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
            problem = ""
        except AssertionError:
            raise
        except Exception as error:
            problem = f" ({type(error).__name__}: {error})"
        time.sleep(0.2)
    raise AssertionError(f"waited {PATIENCE} s in vain for {what}{problem}")


class Browser:
    """A headless Chromium that finds things by what a person reads.

    Args:
        driver: the running browser.
        pictures: where screenshots go, or None for nowhere.
    """

    def __init__(self, driver: Chrome, pictures: Path | None = None) -> None:
        self.driver = driver
        self._pictures = pictures

    def sign_in(self, airflow: Airflow) -> None:
        """Sign in to Airflow's UI as its administrator."""
        self.driver.get(airflow.url)
        self.fill("username", airflow.user)
        self.fill("password", airflow.password)
        self.click("Sign in")
        self.wait_for_text("Admin")

    def find(self, xpath: str) -> WebElement:
        """The first visible element, as soon as there is one."""

        def visible() -> WebElement | None:
            found = self.driver.find_elements("xpath", xpath)
            return next((element for element in found if element.is_displayed()), None)

        element = wait_for(visible, f"{xpath} on {self.driver.current_url}")
        assert element is not None
        return element

    def click(self, label: str, within: str = "") -> None:
        """Press the button or link that shows a text or has it as its label."""
        xpath = (
            f"{within}//*[self::button or self::a or @role='button' or @role='menuitem' or @role='option']"
            f"[normalize-space()='{label}' or @aria-label='{label}' or @title='{label}']"
        )
        self.press(xpath)

    def press(self, xpath: str) -> None:
        """Press an element; again, if it was drawn anew at that moment or was covered."""

        def pressed() -> bool:
            self.find(xpath).click()
            return True

        wait_for(pressed, f"a press on {xpath}")

    def fill(self, name: str, text: str) -> None:
        """Type a text into the field of a name, in place of what it has."""
        self.type(f"//input[@name='{name}']", text)

    def type(self, xpath: str, text: str) -> None:
        """Type a text into a field, in place of what it has."""
        from selenium.webdriver.common.keys import Keys

        self.find(xpath).send_keys(Keys.CONTROL + "a" + Keys.NULL + text)
        wait_for(lambda: self.find(xpath).get_attribute("value") == text, f"{xpath} to have what was typed")

    def escape(self) -> None:
        """Press Escape."""
        from selenium.webdriver.common.keys import Keys

        self.driver.switch_to.active_element.send_keys(Keys.ESCAPE)

    def choose(self, xpath: str, text: str) -> None:
        """Pick an entry of a list that one can type into."""
        self.find(xpath).send_keys(text)
        self.press(f"//*[@role='option'][contains(normalize-space(), '{text}')]")

    def wait_for_text(self, text: str) -> None:
        """Wait until a text can be seen."""
        wait_for(lambda: text in self.text(), f"the text {text!r} on {self.driver.current_url}")

    def text(self) -> str:
        """All that can be read on the page."""
        return str(self.driver.find_element("tag name", "body").text)

    def picture(self, name: str, of: str = "//body", *, height: int = _HEIGHT, left: int = 0, until: str = "") -> None:
        """Save a screenshot, if pictures are wanted.

        Args:
            name: of the file, without ``.png``.
            of: XPath of the element that it shows.
            height: of the window meanwhile, in pixels.
            left: how many pixels of the window's left side to cut off.
            until: XPath of an element; the picture ends above it.
        """
        if self._pictures is None:
            return
        self.driver.set_window_size(_WIDTH, height)
        time.sleep(1)  # until nothing moves any more
        box = self.find(of).rect
        x, y = max(box["x"], left), box["y"]
        seen: float = self.driver.execute_script("return window.innerHeight")
        bottom = self.find(until).rect["y"] if until else min(y + box["height"], seen)
        clip = {"x": x, "y": y, "width": box["x"] + box["width"] - x, "height": bottom - y, "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "clip": clip})
        self.driver.set_window_size(_WIDTH, _HEIGHT)
        path = self._pictures / f"{name}.png"
        path.write_bytes(b64decode(shot["data"]))
        make_small(path)


def sheet_picture(book: bytes, picture: Path, page: int, width: int, height: int) -> None:
    """Save the top left of a page of a workbook, as LibreOffice prints it, in pixels."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "book.xlsx"
        path.write_bytes(book)
        office = ["soffice", f"-env:UserInstallation=file://{name}/profile", "--headless", "--convert-to", "pdf"]
        subprocess.run([*office, "--outdir", name, str(path)], check=True, capture_output=True, timeout=PATIENCE)
        cut = ["-r", "165", "-f", str(page), "-x", "60", "-y", "78", "-W", str(width), "-H", str(height)]
        pdf = path.with_suffix(".pdf")
        subprocess.run(["pdftoppm", "-png", "-singlefile", *cut, pdf, picture.with_suffix("")], check=True)
    make_small(picture)


def make_small(picture: Path) -> None:
    """Leave a picture 64 colours, which is enough for a screen, where pngquant is installed."""
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--strip", "--output", picture, "64", picture], check=True)


@contextmanager
def chromium(profile: Path, pictures: Path | None = None) -> Iterator[Browser]:
    """A browser until the end of the block."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (*_CHROMIUM, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    try:
        yield Browser(driver, pictures)
    finally:
        driver.quit()


def _all_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-6000:]
    with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
        health = json.load(answer)
    return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor", "triggerer"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Airflow with all of its parts: they are one process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
