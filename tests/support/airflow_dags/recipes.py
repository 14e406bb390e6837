"""Recipes of ``example_dags/recipes/`` for `airflow_runner`: as they are, but that a red task is not tried again.

``CALLREPORT_RECIPES`` has their paths. Of those that load into a warehouse only the export runs. With
``CALLREPORT_ANSWER`` (``Approve`` or ``Reject``) somebody answers the question of a human-in-the-loop task as soon as
it is there, by the function of Airflow's API; before that, the key ``CALLREPORT_OVERWRITE`` gets other bytes.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

for path in map(Path, os.environ["CALLREPORT_RECIPES"].split(os.pathsep)):
    bag = DagBag(str(path))
    assert not bag.import_errors, bag.import_errors
    dag: Any = bag.dags[path.stem]
    if path.stem.startswith("calls_to_"):
        dag = dag.partial_subset("export")
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    globals()[path.stem] = dag
del dag


class Manager:
    """Who answers."""

    def get_id(self) -> str:
        return "manager"

    def get_name(self) -> str:
        return "Manager"


def answer(chosen: str) -> None:
    """Wait for a question and answer it."""
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    while True:
        time.sleep(0.2)
        with create_session() as session:
            waits = select(TaskInstance).where(TaskInstance.state == TaskInstanceState.AWAITING_INPUT)
            asked: Any = session.scalars(waits).first()
            if asked is not None:
                if key := os.environ.get("CALLREPORT_OVERWRITE"):
                    S3Hook("aws_default").load_string("other bytes", key, "reports", replace=True)
                payload = UpdateHITLDetailPayload(chosen_options=[chosen])
                who: Any = Manager()
                update_hitl_detail(asked.dag_id, asked.run_id, asked.task_id, payload, who, session)
                return


# Airflow reads this file again for each run: one thread is enough.
if "CALLREPORT_ANSWER" in os.environ:
    threading.Thread(target=answer, args=(os.environ.pop("CALLREPORT_ANSWER"),), daemon=True).start()
