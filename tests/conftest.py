"""What every test needs: an Airflow home of its own, set before Airflow is imported anywhere, and compiled modules."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from support.aws import make_clients_quick

if TYPE_CHECKING:
    from support.runs import AirflowRuns

_HOME = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

# Tests start some hundred processes, and half of them import Airflow: without bytecode files, each would compile it
# anew. As many containers ask for none beside the sources, they have a folder of their own.
_BYTECODE = str(Path(__file__).parent.parent / ".cache" / "bytecode")
sys.dont_write_bytecode, sys.pycache_prefix = False, _BYTECODE
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

os.environ.update(
    {
        "PYTHONPYCACHEPREFIX": _BYTECODE,
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{_HOME}/dags",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
)
for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
    del os.environ[name]

make_clients_quick()

#: How many cases of a table, and how many examples of hypothesis, ``--quick`` runs of each test.
_FEW_CASES, _FEW_EXAMPLES = 1, 10


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--quick``, which `make quick` gives."""
    parser.addoption("--quick", action="store_true", help="leave out slow tests and Airflow, and run few cases of each")


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis measure no time, which a busy machine would fail; draw few examples under ``--quick``."""
    hypothesis.settings.register_profile("whole", deadline=None)
    hypothesis.settings.register_profile("quick", deadline=None, max_examples=_FEW_EXAMPLES)
    hypothesis.settings.load_profile("quick" if config.getoption("--quick") else "whole")


@pytest.fixture(scope="session")
def airflow_runs(tmp_path_factory: pytest.TempPathFactory) -> AirflowRuns:
    """What a test needs to run Airflow. Every test that asks for it, itself or by another fixture, is ``airflow``."""
    from support.runs import AirflowRuns

    root = tmp_path_factory.getbasetemp()
    return AirflowRuns(root.parent if "PYTEST_XDIST_WORKER" in os.environ else root)


@pytest.fixture
def connection_table() -> None:
    """Make the table in which Airflow 2 looks for a connection that is nowhere else; Airflow 3 needs no database."""
    from support.runs import AIRFLOW

    if AIRFLOW < (3, 0):
        from airflow import settings
        from airflow.models import Connection

        Connection.__table__.create(settings.engine, checkfirst=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that run Airflow, and begin with them: they take longest, and wait most of the time."""
    for item in items:
        if "airflow_runs" in getattr(item, "fixturenames", ()):
            item.add_marker("airflow")
    items.sort(key=lambda item: item.get_closest_marker("airflow") is None)
    if config.getoption("--quick"):
        kept = _quick(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _quick(items: list[pytest.Item]) -> dict[pytest.Item, None]:
    """The tests that neither run Airflow nor take long, with the first few cases of each."""
    cases: Counter[str] = Counter()
    kept: dict[pytest.Item, None] = {}
    for item in items:
        if item.get_closest_marker("airflow") or item.get_closest_marker("slow"):
            continue
        name = item.nodeid.partition("[")[0]
        cases[name] += 1
        if cases[name] <= _FEW_CASES:
            kept[item] = None
    return kept
