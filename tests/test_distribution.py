"""What is published: nothing is forgotten in the sdist, the registry takes the metadata, the command is installed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

#: Tracked files, and folders of them, that only a checkout needs.
NOT_SHIPPED = (".ci/", ".github/", ".pre-commit-config.yaml")
#: What a build adds.
MADE = {"PKG-INFO"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_sdist_is_the_checkout(built: Path) -> None:
    """whole-package: each tracked file is shipped, or is named above; nothing else is."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}
    assert len(tracked) > 200
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        shipped = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    # What is not committed yet may be there as well.
    others = {name for name in shipped - tracked - MADE if not is_new(name)}
    forgotten = {name for name in tracked - shipped if not name.startswith(NOT_SHIPPED)}
    assert (forgotten, others) == (set(), set())


def is_new(name: str) -> bool:
    """Whether git would take a file that it does not know yet."""
    command = ["git", "ls-files", "--others", "--exclude-standard", "--error-unmatch", "--", name]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


def test_the_registry_takes_the_metadata(built: Path) -> None:
    """whole-package: `twine check --strict`: the long description can be shown, and no field is missing."""
    if importlib.util.find_spec("twine") is None:
        pytest.skip("twine is not installed")
    files = sorted(map(str, built.iterdir()))
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


def test_the_console_script_is_our_command() -> None:
    """command-line: what pyproject names as `callreport` can be called, and says how it is called."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert list(scripts) == ["callreport"]
    module, _, function = scripts["callreport"].partition(":")
    with pytest.raises(SystemExit, match="0"):
        getattr(import_module(module), function)(["--version"])
