"""Imported once by the fork server of `crash`: what a process pays at its first export, paid before the fork.

Importing Airflow takes seconds, and first uses of boto3, Jinja and pyarrow take one more; so each format is exported
once here, undisturbed, to the servers that the environment names.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from importlib import import_module
from pathlib import Path

from support.aws import make_clients_quick
from support.crash import SITE_VARIABLE, Export, export

for _module in (
    "airflow.api_fastapi.execution_api.app",
    "airflow.dag_processing.dagbag",
    "airflow.models.dagrun",
    "airflow.sdk.execution_time.supervisor",
    "airflow_provider_callreport.operators.callreport",
):
    import_module(_module)
make_clients_quick()
_site = json.loads(os.environ[SITE_VARIABLE])
with tempfile.TemporaryDirectory() as _folder:
    for _format in ("csv", "jsonl", "parquet", "xlsx", "pdf"):
        export(Export(f"warm-up-{_format}", Path(_folder), _format, False, "replace"), _site)
# Forked processes need not copy what they only look at.
gc.freeze()
