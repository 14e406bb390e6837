"""A terminal of somebody who has only the built wheel: the commands of a page, one by one, in a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow-provider-callreport"

#: What belongs to the process that runs the tests, and would lead to another Airflow, account or environment.
_UNWANTED = ("AIRFLOW", "AWS_", "PYTHON", "PYTEST", "VIRTUAL_ENV", "COV_")

#: uv installs from its cache in seconds what pip downloads and compiles in minutes. The versions are the tested ones,
#: as a constraints file would have them.
_PIP = f"""pip() {{
    [[ $1 = install ]] || return 2
    {sys.executable} -m uv pip install --quiet --system-certs --python "$VIRTUAL_ENV/bin/python" \\
        --constraint {ROOT / "requirements" / "dev.txt"} "${{@:2}}"
}}"""

#: What uv says when it cannot reach a registry.
_NO_REGISTRY = re.compile(r"Failed to fetch|error sending request|dns error|network was disabled")


def build_wheel(folder: Path) -> Path:
    """Build the wheel from the tree as it is, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass
class Terminal:
    """A shell in ``folder``.

    Attributes:
        folder: where it is.
        wheel: what `pip install` takes for the package's name.
        typed: lines that were entered before and that hold for later commands: activations and exports.
    """

    folder: Path
    wheel: Path
    typed: list[str] = field(default_factory=list)

    def run(self, command: str, *, status: int | None = 0) -> str:
        """Enter a command; return all that it prints.

        Args:
            command: one or more lines, as a page shows them.
            status: the exit status that it must have; None for any.
        """
        done = subprocess.run(
            ["bash", "-c", self._script(command)],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        if "pip install" in command and _NO_REGISTRY.search(done.stdout):
            pytest.skip(f"no package registry can be reached, so nothing can be installed: {done.stdout[-300:]}")
        assert status is None or done.returncode == status, f"$ {command}\n{done.stdout}"
        self.typed += re.findall(r"^(?:\. |export |set ).*", command, re.MULTILINE)
        return done.stdout

    @contextmanager
    def running(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """Enter a command that goes on until Ctrl-C; give its process, and stop it as Ctrl-C does."""
        process = subprocess.Popen(
            ["bash", "-c", self._script(f"exec {command}")],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()

    def _script(self, command: str) -> str:
        installed = re.sub(rf"'?{PACKAGE}(\[\w+\])?'?(?=\s|$)", rf"'{self.wheel}\1'", command)
        return "\n".join(["set -e", _PIP, *self.typed, installed if "pip install" in command else command])

    def _environment(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)}
        # `python3` is the one that the tests' environment was made with, and nothing of that environment is found.
        programs = self.folder / ".programs"
        programs.mkdir(exist_ok=True)
        python = programs / "python3"
        if not python.exists():
            python.symlink_to(os.path.realpath(sys.executable))
        path = [part for part in kept["PATH"].split(":") if part != str(Path(sys.executable).parent)]
        return {**kept, "PATH": ":".join([str(programs), *path]), "AWS_EC2_METADATA_DISABLED": "true", "NO_COLOR": "1"}


def wait_for_servers(process: subprocess.Popen[str]) -> None:
    """Wait until a sandbox says that it serves; skip the test where another program has one of its ports."""
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("# The API is at"):
            return
    if "choose another with --" in "".join(said):
        pytest.skip(f"the tutorial's servers have fixed ports: {said[-1]}")
    raise AssertionError(f"the sandbox ended with status {process.wait()}: {''.join(said)}")
