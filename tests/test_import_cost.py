"""light-import: what a Dag file pays for importing the operators."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

#: What a Dag file imports anyway.
AIRFLOW = "from airflow.providers.common.compat.sdk import DAG, BaseOperator, BaseHook"

#: Libraries that are needed when a report is made, and not before.
HEAVY = (
    "aiobotocore",
    "aiosmtplib",
    "boto3",
    "botocore",
    "flask_appbuilder",
    "openpyxl",
    "pandas",
    "phonenumbers",
    "polars",
    "pyarrow",
    "uharfbuzz",
    "requests",
    "starlette",
    "uvicorn",
    "wtforms",
    "airflow.providers.amazon",
    "airflow.providers.smtp",
)

_TIMED = """
import json, sys, time
{before}
known, start = set(sys.modules), time.process_time()
{module}
print(json.dumps([time.process_time() - start, sorted(set(sys.modules) - known)]))
"""

OPERATORS = "airflow_provider_callreport.operators.callreport"

#: Fresh processes that are measured; the median counts.
_RUNS = 3


@pytest.fixture(scope="module")
def imports() -> list[tuple[float, list[str]]]:
    return [timed_import(f"import {OPERATORS}") for _ in range(_RUNS)]


def test_import_costs_a_blink(imports: list[tuple[float, list[str]]]) -> None:
    """light-import: the median of fresh processes is below 0.3 s over what importing Airflow costs,
    whatever else runs.
    """
    costs = [seconds for seconds, _ in imports]
    assert statistics.median(costs) <= 0.3, costs


def test_import_brings_no_heavy_library(imports: list[tuple[float, list[str]]]) -> None:
    """light-import: importing the operators after Airflow's own loads none of the libraries that do the work."""
    _, loaded = imports[0]
    assert OPERATORS in loaded
    assert heavy(loaded) == []


def test_importing_the_hook_brings_no_heavy_library() -> None:
    """light-import: the same for the hook, which Airflow imports to show a connection."""
    _, loaded = timed_import("import airflow_provider_callreport.hooks.callreport")
    assert heavy(loaded) == []


def test_import_of_the_package_brings_nothing_of_airflow() -> None:
    """Airflow reads the provider's info at every start: it costs two small modules of ours, and none of Airflow's."""
    _, loaded = timed_import("import airflow_provider_callreport; airflow_provider_callreport.get_provider_info()", "")
    assert [name for name in loaded if name.partition(".")[0] in ("airflow", "requests", "boto3")] == []
    assert [name for name in loaded if name.startswith("airflow_provider_callreport.")] == [
        "airflow_provider_callreport.connection",
        "airflow_provider_callreport.provider_info",
    ]


def heavy(modules: list[str]) -> list[str]:
    """Those of the modules that belong to a heavy library."""
    return [name for name in modules if any(name == one or name.startswith(f"{one}.") for one in HEAVY)]


def timed_import(statement: str, before: str = AIRFLOW) -> tuple[float, list[str]]:
    """CPU seconds that a statement takes in a fresh process, and the modules that it loads."""
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(before=before, module=statement)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    return seconds, modules
