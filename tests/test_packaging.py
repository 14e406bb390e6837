"""What is built and what is installed: wheel, sdist, metadata, dependencies, locks."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import airflow_provider_callreport
from tools import sbom

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_provider_callreport"
LOCKS = ROOT / "requirements"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

#: Distributions whose modules the package imports without naming them as dependencies, and what brings them.
BROUGHT_BY = {
    "boto3": "apache-airflow-providers-amazon",
    "botocore": "apache-airflow-providers-amazon",
    "idna": "requests",
    "urllib3": "requests",
    "jinja2": "apache-airflow",
    "pendulum": "apache-airflow",
    "argcomplete": "apache-airflow",
    "rich": "apache-airflow",
    # The form's widgets on Airflow 2.11, imported only there; see hooks/connection_form.py.
    "flask-appbuilder": "apache-airflow",
    "flask-babel": "apache-airflow",
    "wtforms": "apache-airflow",
    "apache-airflow-core": "apache-airflow",
    "apache-airflow-task-sdk": "apache-airflow",
    "flask": "moto",
    "werkzeug": "moto",
}


#: Run beside an unpacked wheel, which then comes first on the path.
LOOK_AT_INSTALLED = """
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path

here = Path(__file__).parent
(found,) = distributions(path=[str(here)])
(entry,) = found.entry_points.select(group="apache_airflow_provider")
info = entry.load()()
assert info["package-name"] == found.metadata["Name"] == "airflow-provider-callreport"

import airflow_provider_callreport
from airflow_provider_callreport.formats.pdf.fonts import FontBook, font_files

assert Path(airflow_provider_callreport.__file__).is_relative_to(here)
assert "<html" in files("airflow_provider_callreport.delivery").joinpath("templates/report.html").read_text("utf-8")
assert FontBook(font_files(()))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from the tree as it is, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel."""
    (path,) = built.glob("*.whl")
    return path


def wheel_names(wheel: Path) -> list[str]:
    """Names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def metadata(wheel: Path, name: str = "METADATA") -> str:
    """A file of the wheel's metadata folder."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (entry for entry in archive.namelist() if entry.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """whole-package: typed, with templates, fonts and their licence, and sandbox; no tests, tools or compiled
    leftovers.
    """
    names = wheel_names(wheel)
    tops = {name.split("/")[0] for name in names}
    assert tops == {PACKAGE, f"{PACKAGE}-{airflow_provider_callreport.__version__}.dist-info"}
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith(f"{PACKAGE}/")} == source
    fonts = "formats/pdf/typefaces/OFL.txt"
    for wanted in ("py.typed", "delivery/templates/report.html", fonts, "sandbox/__main__.py"):
        assert f"{PACKAGE}/{wanted}" in names
    assert wheel.stat().st_size < 4_000_000


def test_the_wheel_says_what_is_in_it_that_is_not_ours(wheel: Path) -> None:
    """whole-package: each font, with licence and SHA-256 (PEP 770). When it is out of date run tools/sbom.py."""
    assert metadata(wheel, "sboms/sbom.cdx.json") == sbom.text()
    with zipfile.ZipFile(wheel) as archive:
        fonts = {name: archive.read(name) for name in archive.namelist() if name.endswith(".ttf")}
    listed = {one["name"]: one["hashes"][0]["content"] for one in sbom.document()["components"]}
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in fonts.items()}
    assert len(listed) > 10


def test_the_sdist_can_run_its_tests_and_demo(built: Path) -> None:
    """whole-package: whoever has the sdist has what `make demo` and `make test` need."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    for wanted in (
        "Makefile",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "requirements/dev.txt",
        "tests/test_packaging.py",
        "tools/demo.py",
        "example_dags/monthly_calls_pdf.py",
    ):
        assert wanted in names
    assert not any(name.startswith((".venv", "demo-output", ".git/")) for name in names)


def test_the_metadata_say_what_a_user_must_know(wheel: Path) -> None:
    """whole-package: name, version, Python, licence, extras, and the entry point that Airflow looks for."""
    text = metadata(wheel)
    for line in (
        "Name: airflow-provider-callreport",
        f"Version: {airflow_provider_callreport.__version__}",
        "Requires-Python: >=3.11",
        "License-Expression: Apache-2.0",
        "Classifier: Framework :: Apache Airflow :: Provider",
        "Provides-Extra: parquet",
        "Provides-Extra: sandbox",
        "Requires-Dist: apache-airflow>=2.11.0",
    ):
        assert line in text.splitlines()
    assert metadata(wheel, "entry_points.txt").split() == [
        "[console_scripts]",
        "callreport",
        "=",
        f"{PACKAGE}.cli.main:main",
        "[apache_airflow_provider]",
        "provider_info",
        "=",
        f"{PACKAGE}:get_provider_info",
    ]


def test_the_installed_wheel_finds_its_data(wheel: Path, tmp_path: Path) -> None:
    """every-airflow: unpacked elsewhere, the package is found by its entry point, and so are templates and fonts."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = tmp_path / "look.py"
    script.write_text(LOOK_AT_INSTALLED, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def imported_modules() -> Iterator[tuple[Path, str]]:
    """Top-level modules that the package imports, wherever in a file."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield path, node.module


def names_of(requirements: list[str]) -> set[str]:
    """Canonical names of requirements."""
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def test_every_import_has_a_dependency() -> None:
    """whole-package: what the package imports is declared, so that an installation from nothing works."""
    project = PROJECT["project"]
    declared = names_of(project["dependencies"]).union(*map(names_of, project["optional-dependencies"].values()))
    providers = packages_distributions()
    missing = set()
    for path, module in imported_modules():
        top = module.split(".")[0]
        if top in sys.stdlib_module_names or top == PACKAGE:
            continue
        owners: set[str] = {canonicalize_name(name) for name in providers.get(top, [top.replace("_", "-")])}
        if top == "airflow":
            # One namespace for many distributions: the provider is in the module's name.
            found = re.match(r"airflow\.providers\.(amazon|smtp|common\.compat)", module)
            owners = {f"apache-airflow-providers-{found[1].replace('.', '-')}" if found else "apache-airflow"}
        if not any(owner in declared or BROUGHT_BY.get(owner) in declared for owner in owners):
            missing.add((path.relative_to(ROOT).as_posix(), module))
    assert not missing


def locked(name: str) -> dict[str, set[str]]:
    """Versions of a lock by name; more than one where Python versions need different ones."""
    versions: dict[str, set[str]] = {}
    for line in (LOCKS / name).read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==([\w.!+]+)", line):
            versions.setdefault(canonicalize_name(found[1]), set()).add(found[2])
    return versions


@pytest.mark.parametrize("name", ["demo.txt", "dev.txt", "docs.txt", "uv.txt"])
def test_locks_are_exact_and_name_no_host(name: str) -> None:
    """whole-package: exact versions with hashes, no URL and no registry: each machine takes its own mirror."""
    text = (LOCKS / name).read_text(encoding="utf-8")
    assert not re.search(r"://|pypi|pythonhosted|--(extra-)?index-url|--find-links|--trusted-host", text)
    entries = [entry for entry in re.sub(r"\\\n", " ", text).splitlines() if entry and not entry.startswith("#")]
    assert len(entries) == len(re.findall(r"^[\w.-]+==[\w.!+]+(?: ;| )", text, re.MULTILINE)) > 0
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def test_locks_cover_what_pyproject_asks_for() -> None:
    """whole-package: a dependency that is added without `make lock` is noticed; demo and tests use the
    same versions.
    """
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    sandbox, parquet = (project["optional-dependencies"][extra] for extra in ("sandbox", "parquet"))
    demo, dev = locked("demo.txt"), locked("dev.txt")
    common = [*project["dependencies"], *sandbox, *groups["airflow"], *groups["build"]]
    for lock, requirements in (
        (demo, common),
        (dev, [*common, *parquet, *groups["test"], *groups["check"], *groups["bench"]]),
        (locked("docs.txt"), [*groups["build"], *groups["docs"]]),
        (locked("uv.txt"), groups["uv"]),
    ):
        for requirement in map(Requirement, requirements):
            versions = lock.get(canonicalize_name(requirement.name), set())
            assert any(requirement.specifier.contains(version, prereleases=True) for version in versions), requirement
    assert {name: dev.get(name) for name in demo} == demo
    assert demo["apache-airflow"] == {"3.3.2"}


def test_the_demo_installs_no_more_than_it_needs() -> None:
    """whole-package: the newcomer's first command does not wait for test tools and data frames."""
    assert not {"pandas", "pyarrow", "mypy", "ruff", "pytest"} & set(locked("demo.txt"))


def test_the_changelog_has_this_version() -> None:
    """whole-package: `CHANGELOG.md` speaks of the version that is built."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(airflow_provider_callreport.__version__)}\]", text, re.MULTILINE)
