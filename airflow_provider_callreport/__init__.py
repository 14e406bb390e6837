"""Airflow provider for the DeepCall Call Report API.

The file you get is the whole report, or the task is red and says why.

`__all__` is the public face: what it names keeps its place and its arguments, see docs/support.md. Each name is
imported when it is first used, so that importing the package stays cheap: Airflow does so at every start. Also public
are the modules `windows`, `assets`, `api.filters`, `api.errors` and `sandbox`, by their own names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.provider_info import get_provider_info

if TYPE_CHECKING:
    from airflow_provider_callreport.api.call_filter import CallReportFilter
    from airflow_provider_callreport.api.errors import (
        AnswerChangedError,
        ApiError,
        DriftError,
        IncompleteReportError,
        SettingsError,
        TransportError,
    )
    from airflow_provider_callreport.assets import report_asset
    from airflow_provider_callreport.delivery.errors import DeliveryError
    from airflow_provider_callreport.errors import CallReportError
    from airflow_provider_callreport.export.road import EmptyReportError
    from airflow_provider_callreport.hooks.callreport import CallReportHook
    from airflow_provider_callreport.operators.callreport import CallReportExportOperator, MaskListToS3Operator
    from airflow_provider_callreport.operators.check import CallReportCheckOperator
    from airflow_provider_callreport.operators.manifest import CallReportManifestOperator
    from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator
    from airflow_provider_callreport.rules import (
        ColumnNames,
        CountBy,
        Empty,
        FileFormat,
        IfExists,
        OnIncomplete,
        OnNewColumns,
        OnOversize,
        OnRefused,
        RedactMode,
        Report,
    )
    from airflow_provider_callreport.sensors.callreport import CallReportSensor
    from airflow_provider_callreport.triggers.events import CallReportEventTrigger, event_windows

__version__ = "0.1.0"

__all__ = [
    "AnswerChangedError",
    "ApiError",
    "CallRecordingsToS3Operator",
    "CallReportCheckOperator",
    "CallReportError",
    "CallReportEventTrigger",
    "CallReportExportOperator",
    "CallReportFilter",
    "CallReportHook",
    "CallReportManifestOperator",
    "CallReportSensor",
    "ColumnNames",
    "CountBy",
    "DeliveryError",
    "DriftError",
    "Empty",
    "EmptyReportError",
    "FileFormat",
    "IfExists",
    "IncompleteReportError",
    "MaskListToS3Operator",
    "OnIncomplete",
    "OnNewColumns",
    "OnOversize",
    "OnRefused",
    "RedactMode",
    "Report",
    "SettingsError",
    "TransportError",
    "__version__",
    "event_windows",
    "get_provider_info",
    "report_asset",
]

#: Module -> the public names that it has.
_NAMES = {
    "api.call_filter": ("CallReportFilter",),
    "api.errors": (
        "AnswerChangedError",
        "ApiError",
        "DriftError",
        "IncompleteReportError",
        "SettingsError",
        "TransportError",
    ),
    "assets": ("report_asset",),
    "delivery.errors": ("DeliveryError",),
    "errors": ("CallReportError",),
    "export.road": ("EmptyReportError",),
    "hooks.callreport": ("CallReportHook",),
    "operators.callreport": ("CallReportExportOperator", "MaskListToS3Operator"),
    "operators.check": ("CallReportCheckOperator",),
    "operators.manifest": ("CallReportManifestOperator",),
    "operators.recordings": ("CallRecordingsToS3Operator",),
    "rules": (
        "ColumnNames",
        "CountBy",
        "Empty",
        "FileFormat",
        "IfExists",
        "OnIncomplete",
        "OnNewColumns",
        "OnOversize",
        "OnRefused",
        "RedactMode",
        "Report",
    ),
    "sensors.callreport": ("CallReportSensor",),
    "triggers.events": ("CallReportEventTrigger", "event_windows"),
}
_MODULES = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
