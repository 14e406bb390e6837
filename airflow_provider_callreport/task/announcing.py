"""What an operator tells Airflow of a delivery: events of its outlets, OpenLineage's datasets, the link in the UI."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.task.links import DeliveredFileLink, file_url, put_link_away, remember_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_callreport.assets import Delivery


class AnnouncesDelivery:
    """Mixed into the operators that deliver something."""

    operator_extra_links: Collection[Any] = (DeliveredFileLink(),)
    _lineage: Callable[[], Any] | None = None

    def _do_render_template_fields(self, parent: Any, *arguments: Any, **named: Any) -> None:
        if parent is self:
            operator: Any = self
            put_link_away(operator)
        super()._do_render_template_fields(parent, *arguments, **named)  # type: ignore[misc]

    def announce(
        self, context: Context, delivery: Delivery, *, conn_id: str | None, lineage: Callable[[], Any]
    ) -> None:
        """Tell Airflow what was delivered.

        Args:
            context: the task's context.
            delivery: what was delivered, for the events of the outlets and the link.
            conn_id: the connection that it went by, which says whether an S3 server is AWS.
            lineage: makes the datasets for OpenLineage, when it asks for them.
        """
        from airflow_provider_callreport.assets import emit_events

        operator: Any = self
        emit_events(operator, context, delivery)
        remember_link(operator, context, file_url(delivery, conn_id))
        self._lineage = lineage

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What OpenLineage's provider gets when the task is done; None when nothing was delivered."""
        return None if self._lineage is None else self._lineage()
