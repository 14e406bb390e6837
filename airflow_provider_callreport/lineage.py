"""OpenLineage: the API's report is the input of an export, the objects in S3 are its outputs.

A mail is no dataset, so a report that goes by mail only has an input and no output. Names follow OpenLineage's rules:
``s3://bucket`` and the key for an object, ``callreport://host`` and the report's name for the API. No filter and no
cell is part of it, only names and types of columns.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.api.table import base_label
from airflow_provider_callreport.provider_info import ASSET_SCHEME
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo

if TYPE_CHECKING:
    from airflow_provider_callreport.assets import DeliveredObject, Delivery

log = logging.getLogger(__name__)

#: One event names at most so many objects, as Airflow's own collector does.
MAX_OUTPUTS = 100

_TYPES: Mapping[ColumnKind, str] = {
    ColumnKind.TEXT: "string",
    ColumnKind.NUMBER: "number",
    ColumnKind.DURATION: "number",
    ColumnKind.DATETIME: "timestamp",
}


def export_lineage(host: str, info: ReportInfo, columns: Sequence[Column], delivery: Delivery) -> Any:
    """What OpenLineage's provider wants to know of an export.

    Args:
        host: the API's host.
        info: the report's description.
        columns: columns of the files.
        delivery: what was delivered.

    Returns:
        An ``OperatorLineage``, or None where OpenLineage is not installed.
    """
    try:
        # By name, because it is no dependency.
        lineage_class = import_module("airflow.providers.openlineage.extractors").OperatorLineage
    except ImportError:
        return None
    from airflow.providers.common.compat.openlineage.facet import Dataset

    namespace = f"{ASSET_SCHEME}://{host}"
    source = Dataset(namespace=namespace, name=info.report, facets={"schema": _schema(columns, info, of_source=True)})
    objects = delivery.new
    if len(objects) > MAX_OUTPUTS:
        log.info("OpenLineage is told of %d of %d objects", MAX_OUTPUTS, len(objects))
    outputs = [_output(one, namespace, info, columns) for one in objects[:MAX_OUTPUTS]]
    return lineage_class(inputs=[source], outputs=outputs)


def _output(one: DeliveredObject, namespace: str, info: ReportInfo, columns: Sequence[Column]) -> Any:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet

    return OutputDataset(
        # A file of the machine has no store but the machine.
        namespace="file" if one.store == "file://" else one.store,
        name=f"/{one.key}" if one.store == "file://" else one.key,
        facets={
            "schema": _schema(columns, info, of_source=False),
            "columnLineage": _column_lineage(namespace, info, columns),
        },
        outputFacets={
            "outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=one.extra["rows"], size=one.extra["bytes"])
        },
    )


def _schema(columns: Sequence[Column], info: ReportInfo, *, of_source: bool) -> Any:
    from airflow.providers.common.compat.openlineage.facet import SchemaDatasetFacet, SchemaDatasetFacetFields

    return SchemaDatasetFacet(
        fields=[
            SchemaDatasetFacetFields(
                name=column.source if of_source else column.label,
                type=_TYPES[column.kind],
                description=_description(column.kind, info.timezone),
            )
            for column in columns
        ]
    )


def _description(kind: ColumnKind, timezone: str) -> str | None:
    if kind is ColumnKind.DURATION:
        return "seconds"
    return f"local time of {timezone}" if kind is ColumnKind.DATETIME else None


def _column_lineage(namespace: str, info: ReportInfo, columns: Sequence[Column]) -> Any:
    """Which column of the API each column of a file comes from, and which of them no longer tell what they told."""
    from airflow.providers.common.compat.openlineage.facet import ColumnLineageDatasetFacet, Fields, InputField

    fields = {}
    for column in columns:
        mode = info.redacted.get(column.source) or info.redacted.get(base_label(column.source))
        fields[column.label] = Fields(
            inputFields=[InputField(namespace=namespace, name=info.report, field=column.source)],
            transformationType="MASKED" if mode else "IDENTITY",
            transformationDescription=f"redacted: {mode}" if mode else "as the API has it",
        )
    return ColumnLineageDatasetFacet(fields=fields)
