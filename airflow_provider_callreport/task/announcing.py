"""What an operator tells Airflow of a delivery: events of its outlets, OpenLineage's datasets, links in the UI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.task.links import CallReportLink, remember_links

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.assets import Delivery


class AnnouncesDelivery:
    """A part of the operators that deliver something."""

    _lineage: Callable[[], Any] | None = None

    def announce(
        self,
        context: Context,
        delivery: Delivery,
        *,
        lineage: Callable[[], Any],
        links: Mapping[type[CallReportLink], str],
    ) -> None:
        """Tell Airflow what was delivered.

        Args:
            context: the task's context.
            delivery: what was delivered, for the events of the outlets.
            lineage: makes what OpenLineage is told, once it asks.
            links: addresses by class of the link; empty ones are left out.
        """
        from airflow_provider_callreport.assets import emit_events

        operator: Any = self
        emit_events(operator, context, delivery)
        remember_links(operator, context, links)
        self._lineage = lineage

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What OpenLineage's provider asks for when the task is done; None when nothing was delivered."""
        return None if self._lineage is None else self._lineage()
