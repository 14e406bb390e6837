"""The Dags of ``example_dags/`` by name, for `airflow_runner`, which looks for Dags among a file's own variables."""

from __future__ import annotations

import os

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

bag = DagBag(os.environ["CALLREPORT_EXAMPLE_DAGS"])
assert not bag.import_errors, bag.import_errors
globals().update(bag.dags)
