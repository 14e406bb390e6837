"""What remembers, over the tries of a task, that its mail went: Airflow 3.3's task state store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

_KEY = "callreport_mail"

#: A run that is cleared later than this sends its mail again.
_RETENTION = timedelta(days=90)


class TaskStateRecord:
    """A `delivery.email.SendRecord` in ``context["task_state_store"]``."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def get(self) -> Mapping[str, Any] | None:
        """What an earlier try of this task instance has set, or None."""
        value = self._store.get(_KEY)
        return value if isinstance(value, Mapping) else None

    def set(self, value: Mapping[str, Any]) -> None:
        """Store durably: the call returns when Airflow's API server has it."""
        self._store.set(_KEY, dict(value), retention=_RETENTION)


def send_record(context: Mapping[str, Any]) -> TaskStateRecord | None:
    """The record of this task instance, or None before Airflow 3.3."""
    store = context.get("task_state_store")
    return None if store is None else TaskStateRecord(store)
