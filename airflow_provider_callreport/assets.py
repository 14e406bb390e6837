"""Assets: a delivery as events of the task's outlets, and ``callreport://host/report`` for where the calls come from.

The author of the Dag decides which assets exist, as everywhere in Airflow:

- an `Asset` among the task's ``outlets`` gets its event with what was delivered in ``extra``;
- an `AssetAlias` gets one event for each object, at the object's own address, which need not be known before the run.

A task without outlets has no events: nobody wants an asset for each day's key in the list of assets unasked.
Airflow 2.11 calls the two ``Dataset`` and ``DatasetAlias``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_callreport.api.filters import TITLES
from airflow_provider_callreport.connection import DEFAULT_HOST
from airflow_provider_callreport.delivery.receipts import DeliveryStatus, quoted_key
from airflow_provider_callreport.provider_info import ASSET_SCHEME

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset
    from airflow.providers.common.compat.sdk import Asset, BaseOperator, Context

    from airflow_provider_callreport.export.summary import ExportSummary, FileSummary
    from airflow_provider_callreport.report import ExportedFile
    from airflow_provider_callreport.rules import Report

log = logging.getLogger(__name__)

#: What Airflow 3 checks; in 2.11 its database may refuse a longer one, when the task has long been green.
_MAX_URI = 1500


@dataclass(frozen=True, slots=True)
class DeliveredObject:
    """One object, in S3 or another store.

    Attributes:
        store: scheme and bucket, such as ``s3://reports``.
        key: its key; of a file, its path.
        new: whether this run brought it there.
        ours: whether it is this report, from this run or another; False when something else stays at the key.
        extra: what is in it: JSON types, no row's content.
    """

    store: str
    key: str
    new: bool
    ours: bool
    extra: Mapping[str, Any]

    @property
    def asset_uri(self) -> str:
        """The address as an asset has it: ASCII, and nothing in it that Airflow would take for a query."""
        return f"{self.store}/{quoted_key(self.key)}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that one task delivered.

    Attributes:
        objects: the objects; none when the report went by mail only.
        extra: what is in them together, or in the mail; empty when nothing was delivered at all.
        index_is_new: whether this run changed which files a set has; that is news even where no file is new.
    """

    objects: Sequence[DeliveredObject]
    extra: Mapping[str, Any]
    index_is_new: bool = False

    @property
    def new(self) -> Sequence[DeliveredObject]:
        """The objects that this run brought there."""
        return [one for one in self.objects if one.new]


def delivery_of(summary: ExportSummary, *, bucket: str | None = None, try_number: int = 1) -> Delivery:
    """What an export delivered.

    Args:
        summary: the export's result.
        bucket: the S3 bucket, if it is known: the name of an access point has a slash in it.
        try_number: which try of the task it is. Outside of S3 nobody knows who wrote an object that already has the
            right bytes. From the second try on it counts as new, because the first may have died before Airflow knew.
    """
    info, outcome = summary.info, summary.outcome
    report: dict[str, Any] = {
        "report": info.report,
        "file_format": summary.file_format,
        "window": info.window_json(),
        # `rows` are those of the object, `calls` those of the report: they differ where it has several files.
        "calls": outcome.rows,
        "reported_total": outcome.total_to_compare,
        "complete": outcome.complete,
    }
    objects = [
        DeliveredObject(
            *_store_and_key(one.uri, bucket),
            _is_new(one, try_number),
            one.status != "skipped",
            {**report, "uri": one.uri, **_size(one.file)},
        )
        for one in summary.files
        if one.uri is not None
    ]
    if objects:
        parts: list[Mapping[str, Any]] = [one.extra for one in objects if one.new]
    else:
        parts = [{**report, "filename": one.file.filename, **_size(one.file)} for one in summary.files]
    index = summary.index
    index_is_new = index is not None and index.status in (DeliveryStatus.WRITTEN, DeliveryStatus.ALREADY_THERE)
    named = {} if index is None else {"index": index.uri}
    if len(parts) == 1:
        return Delivery(objects, {**parts[0], **named}, index_is_new)
    together = {name: sum(part[name] for part in parts) for name in ("rows", "bytes")}
    return Delivery(objects, {**report, **together, "files": len(parts), **named}, index_is_new)


def emit_events(operator: BaseOperator, context: Context, delivery: Delivery) -> None:
    """Give the task's outlets their events.

    Airflow makes an event for every asset among the outlets of a task that succeeds. So an asset with nothing new is
    taken out of the outlets of this run. A task that fails later has no events.

    Args:
        operator: the operator that runs.
        context: its context.
        delivery: what it delivered.
    """
    if not operator.outlets:
        return
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    events: Any = context["outlet_events"]
    kept: list[Any] = []
    for outlet in operator.outlets:
        if isinstance(outlet, AssetAlias):
            for one in delivery.new:
                _add(events[outlet], Asset, one)
        elif isinstance(outlet, Asset) or _is_reference(outlet):
            extra = _extra_for(getattr(outlet, "uri", None), delivery)
            if extra is None:
                log.info("%r has no event: this run brought nothing new", outlet)
                continue
            events[outlet].extra.update(extra)
        kept.append(outlet)
    operator.outlets = kept


def report_asset(report: Report = "calls", host: str = DEFAULT_HOST, extra: Mapping[str, Any] | None = None) -> Asset:
    """The asset that stands for a report of the API: an inlet, or what an asset watcher watches.

    Args:
        report: ``"calls"`` or ``"masked_calls"``.
        host: the API's host.
        extra: further values of the asset.

    Raises:
        ValueError: the report does not exist, or the host cannot be one.
    """
    from airflow.providers.common.compat.sdk import Asset

    uri = f"{ASSET_SCHEME}://{host}/{report}"
    # Airflow 2.11 only warns of what `sanitize_uri` refuses.
    sanitize_uri(urlsplit(uri))
    return Asset(uri=uri, extra=dict(extra or {}))


def read_index(
    export: str | Mapping[str, Any], *, aws_conn_id: str | None = "aws_default", conn_id: str | None = None
) -> dict[str, Any]:
    """The index of a report that is several files (``group_by``, PDF in parts): what files it has, and of which groups.

    For a task that maps over the files::

        @task
        def files(export):
            return read_index(export)["files"]

        load.expand(file=files(export.output))

    Each file has ``group`` (or ``part``), ``key``, ``uri``, ``rows``, ``bytes`` and ``sha256``. A whole index is in
    `airflow_provider_callreport.export.file_set`.

    Args:
        export: what the export returned, the ``extra`` of its asset event, or the address of the index.
        aws_conn_id: AWS connection, for an index in S3.
        conn_id: Airflow's connection for another store.

    Raises:
        ValueError: there is no index at the address, or ``export`` names none.
        delivery.errors.DeliveryError: the store does not answer.
    """
    from airflow_provider_callreport.export import file_set

    address = export.get("index") if isinstance(export, Mapping) else export
    if not isinstance(address, str):
        raise ValueError(
            "the export has no index: only a report with group_by and a PDF in parts have one, and not where "
            'if_exists="skip" kept what was there'
        )
    return file_set.read_index(address, aws_conn_id=aws_conn_id, conn_id=conn_id)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check and normalize ``callreport://host/report``; Airflow calls it for every asset of this scheme.

    Raises:
        ValueError: it is something else.
    """
    report = uri.path.strip("/")
    if not uri.netloc or "@" in uri.netloc:
        raise ValueError(f"an asset of {ASSET_SCHEME}:// needs the API's host and no user, as in {_example()}")
    if report not in TITLES:
        raise ValueError(f"an asset of {ASSET_SCHEME}:// ends in one of {', '.join(TITLES)}, as in {_example()}")
    if uri.query:
        # Not what it was: filters hold phone numbers.
        raise ValueError(f"an asset of {ASSET_SCHEME}:// has no filters, as in {_example()}")
    return uri._replace(netloc=uri.netloc.lower(), path=f"/{report}")


def convert_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:
    """The OpenLineage dataset of an asset of this scheme; the same that the operators name as their input."""
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

    parts = urlsplit(asset.uri)
    return OpenLineageDataset(namespace=f"{ASSET_SCHEME}://{parts.netloc}", name=unquote(parts.path.strip("/")))


def _is_new(one: FileSummary, try_number: int) -> bool:
    if one.status == "unchanged":
        return try_number > 1 and not (one.uri or "").startswith("s3://")
    return one.status != "skipped"


def _store_and_key(uri: str, bucket: str | None) -> tuple[str, str]:
    if bucket is not None and uri.startswith(f"s3://{bucket}/"):
        return f"s3://{bucket}", uri.removeprefix(f"s3://{bucket}/")
    scheme, _, rest = uri.partition("://")
    place, _, key = rest.partition("/")
    return f"{scheme}://{place}", key


def _size(file: ExportedFile) -> dict[str, Any]:
    return {"rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}


def _example() -> str:
    return f"{ASSET_SCHEME}://{DEFAULT_HOST}/calls"


def _add(event: Any, asset_class: Any, one: DeliveredObject) -> None:
    uri = one.asset_uri
    try:
        if len(uri) > _MAX_URI:
            raise ValueError(f"its address has {len(uri)} characters, an asset's at most {_MAX_URI}")
        asset = asset_class(uri=uri)
    except ValueError as error:
        # Airflow does not take every address. The object is there all the same.
        log.warning("the object %s has no event: %s", one.key, error)
        return
    # Airflow 2.11 hashes the values.
    hashable = {name: _HashableDict(value) if isinstance(value, dict) else value for name, value in one.extra.items()}
    event.add(asset, extra=hashable)


def _extra_for(uri: str | None, delivery: Delivery) -> Mapping[str, Any] | None:
    """What the event of an asset at this address says; None when nothing of it is new."""
    if not delivery.extra or (delivery.objects and not delivery.new and not delivery.index_is_new):
        return None
    for one in delivery.objects:
        if uri == one.asset_uri:
            return one.extra if one.new else None
    return delivery.extra


def _is_reference(outlet: Any) -> bool:
    """Whether it is ``Asset.ref(...)``, which Airflow 2.11 does not have."""
    try:
        from airflow.sdk.definitions.asset import AssetRef
    except ImportError:
        return False
    return isinstance(outlet, AssetRef)


class _HashableDict(dict[str, Any]):
    """A dict as the value of what is put into a set."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))
