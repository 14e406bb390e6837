"""OpenLineage: the API's report is the input of an export, the objects in S3 are its outputs.

`delivery_lineage` does the same for the other operators.

A mail is not a dataset, so a report that goes by mail only has an input and no output. Names follow OpenLineage's
rules: ``s3://bucket`` and the key for an object, ``callreport://host`` and the report's name for the API. OpenLineage
gets names and types of columns, and never a filter or a cell.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_callreport.api.table import base_label
from airflow_provider_callreport.provider_info import ASSET_SCHEME
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo

if TYPE_CHECKING:
    from airflow_provider_callreport.assets import DeliveredObject, Delivery

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: One event names at most so many inputs, and as many outputs, as Airflow's own collector does.
MAX_DATASETS = 100

_TYPES: Mapping[ColumnKind, str] = {
    ColumnKind.TEXT: "string",
    ColumnKind.NUMBER: "number",
    ColumnKind.DURATION: "number",
    ColumnKind.DATETIME: "timestamp",
}


def export_lineage(host: str, info: ReportInfo, columns: Sequence[Column], delivery: Delivery) -> Any:
    """What OpenLineage's provider wants to know about an export.

    Args:
        host: the API's host.
        info: the report's description.
        columns: columns of the files.
        delivery: what was delivered.

    Returns:
        An ``OperatorLineage``, or None where OpenLineage is not installed.
    """
    lineage_class = _lineage_class()
    if lineage_class is None:
        return None
    from airflow.providers.common.compat.openlineage.facet import Dataset

    namespace, name = api_dataset(host, info.report)
    source = Dataset(namespace=namespace, name=name, facets={"schema": _schema(columns, info, of_source=True)})
    facets = {
        "schema": _schema(columns, info, of_source=False),
        "columnLineage": _column_lineage(namespace, info, columns),
    }
    return lineage_class(inputs=[source], outputs=[_output(one, facets) for one in _some(delivery.new)])


def delivery_lineage(objects: Sequence[DeliveredObject], *, inputs: Sequence[tuple[str, str]] = ()) -> Any:
    """What OpenLineage's provider wants to know about a manifest or about recordings.

    Args:
        objects: what was delivered; OpenLineage gets ``rows`` and ``bytes`` from the ``extra`` of each new one.
        inputs: namespace and name of what it was made from, where that is known.

    Returns:
        An ``OperatorLineage``, or None where OpenLineage is not installed.
    """
    lineage_class = _lineage_class()
    if lineage_class is None:
        return None
    from airflow.providers.common.compat.openlineage.facet import Dataset

    sources = [Dataset(namespace=namespace, name=name) for namespace, name in _some(inputs)]
    outputs = [_output(one, {}) for one in _some([one for one in objects if one.new])]
    return lineage_class(inputs=sources, outputs=outputs)


def api_dataset(host: str, name: str) -> tuple[str, str]:
    """Namespace and name of what the API has.

    Args:
        host: the API's host.
        name: a report, ``"calls"`` or ``"masked_calls"``.
    """
    return f"{ASSET_SCHEME}://{host}", name


def _lineage_class() -> Any:
    """OpenLineage's class of what an operator tells; None where it is not installed."""
    try:
        # By name, because it is not a dependency.
        return import_module("airflow.providers.openlineage.extractors").OperatorLineage
    except ImportError:
        return None


def _some(datasets: Sequence[_T]) -> Sequence[_T]:
    if len(datasets) > MAX_DATASETS:
        log.info("OpenLineage gets %d of %d objects", MAX_DATASETS, len(datasets))
    return datasets[:MAX_DATASETS]


def _output(one: DeliveredObject, facets: Mapping[str, Any]) -> Any:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet

    rows, size = one.extra.get("rows"), one.extra.get("bytes")
    return OutputDataset(
        # A file of the machine has no store but the machine.
        namespace="file" if one.store == "file://" else one.store,
        name=f"/{one.key}" if one.store == "file://" else one.key,
        facets=dict(facets),
        outputFacets={}
        if size is None
        else {"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)},
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
    """Which column of the API each column of a file comes from, and which of them are redacted."""
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
