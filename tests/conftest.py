"""What every test needs: an Airflow home of its own, set before Airflow is imported anywhere, and compiled modules."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from support.aws import make_clients_quick

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

#: Files that take longest, the longest first: what begins last should be short, or one process ends long before the
#: other. Those that ask for the same run of Airflow are apart, as the second one would only wait for it.
_SLOW = (
    "test_crash",
    "test_operators_bad_input",
    "test_example_dags",
    "test_rest_of_api",
    "test_privacy",
    "test_same_bytes",
    "test_soak",
    "test_windows_mapped",
    "test_recordings",
    "test_fuzz_answers",
    "test_completeness",
    "test_docs_site",
    "test_sensor",
    "test_delivery_s3",
    "test_security_page",
    "test_import_cost",
    "test_openapi",
    "test_format_agreement",
    "test_paging_machine",
    "test_manifest",
    "test_cli",
    "test_readme",
    "test_benchmarks",
    "test_errors_and_pace",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow files; with ``--no-loadscope-reorder``, pytest-xdist keeps to this order."""
    place = {name: number for number, name in enumerate(_SLOW)}
    items.sort(key=lambda item: place.get(item.path.stem, len(_SLOW)))
