"""What remembers something over the tries of a task: Airflow 3.3's task state store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

#: A run that is cleared later than this sends its mail again.
_MAIL_RETENTION = timedelta(days=90)


class TaskStateRecord:
    """One JSON object in ``context["task_state_store"]``: a `delivery.sent_mails.SendRecord`.

    Args:
        store: Airflow's store.
        key: the object's name in it.
        retention: how long Airflow keeps it.
        clears: a number that changes when somebody clears the task.
    """

    def __init__(self, store: Any, key: str, retention: timedelta, clears: int = 0) -> None:
        self._store = store
        self._key = key
        self._retention = retention
        self.clears = clears

    def get(self) -> Mapping[str, Any] | None:
        """What an earlier try of this task instance has set, or None."""
        value = self._store.get(self._key)
        return value if isinstance(value, Mapping) else None

    def set(self, value: Mapping[str, Any]) -> None:
        """Store durably: the call returns when Airflow's API server has it."""
        self._store.set(self._key, dict(value), retention=self._retention)


def send_record(context: Mapping[str, Any]) -> TaskStateRecord | None:
    """What remembers that this task instance's mail went, or None before Airflow 3.3."""
    store = context.get("task_state_store")
    # Clearing gives a task its retries anew (airflow.models.taskinstance, clear_task_instances).
    clears = getattr(context["ti"], "max_tries", 0)
    return None if store is None else TaskStateRecord(store, "callreport_mail", _MAIL_RETENTION, clears)
