"""Names for mapped tasks in Airflow's grid: the window of each, instead of 0, 1, 2."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.errors import WindowError
from airflow_provider_callreport.api.filters import parse_time
from airflow_provider_callreport.task.arguments.tables import WINDOW_START

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_MIDNIGHT = time()


def name_by_window(context: Context, task_id: str, raw_start: Any, start: Any, end: Any) -> None:
    """Name a mapped task by its window, unless the Dag has a ``map_index_template`` or maps over something else.

    Airflow renders the template of the context before and after ``execute``, in every version from 2.11 on.

    Args:
        context: the task's context.
        task_id: the mapped task.
        raw_start: the window's start before templates are rendered; one that all mapped tasks share gives no name.
        start: the window's start, rendered.
        end: the window's end, rendered.
    """
    # Whoever renders a template in a test of a Dag gives what the template needs, and no Dag.
    dag = context.get("dag")
    partial = None if dag is None else getattr(dag.get_task(task_id), "partial_kwargs", None)
    if partial is None or context.get("map_index_template") is not None:
        return
    shared = partial.get("window_start", WINDOW_START.default)
    if raw_start != shared and (name := window_name(start, end)):
        context["map_index_template"] = name


def window_name(start: datetime | str, end: datetime | str) -> str:
    """A window for people, such as ``2026-10-15``, ``2026-10-01 to 2026-10-31`` or ``2026-10-15 00:00-06:00``.

    Args:
        start: first instant, shown as it is written.
        end: first instant after it. Whole days end with the last one that belongs to them.

    Returns:
        The name, or an empty text for what is no time.
    """
    try:
        first, last = (parse_time(value, "window", ZoneInfo("UTC")) for value in (start, end))
    except WindowError:
        return ""
    if first.time() == last.time() == _MIDNIGHT and first.date() < last.date():
        day = (last - timedelta(days=1)).date()
        return f"{first.date()}" if first.date() == day else f"{first.date()} to {day}"
    from_time, to_time = (moment.strftime("%H:%M:%S").removesuffix(":00") for moment in (first, last))
    if first.date() == (last - timedelta(microseconds=1)).date():
        return f"{first.date()} {from_time}-{to_time}"
    return f"{first.date()} {from_time} to {last.date()} {to_time}"
