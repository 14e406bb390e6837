"""What Airflow reads about this package: its hooks, operators and the form of its connection."""

from __future__ import annotations

from typing import Any

from airflow_provider_callreport.connection import (
    CONNECTION_FIELDS,
    CONNECTION_TYPE,
    HIDDEN_FIELDS,
    HOOK_NAME,
    PLACEHOLDERS,
    RELABELING,
    ConnectionField,
)

#: Scheme of the assets that stand for a report of the API: ``callreport://host/report``.
ASSET_SCHEME = "callreport"


def _field_schema(field: ConnectionField) -> dict[str, Any]:
    # The types are nullable because the form sends null for a field that is left empty.
    schema: dict[str, Any] = {"type": [field.type, "null"]}
    if field.default is not None:
        schema["default"] = field.default
    if field.secret:
        schema["format"] = "password"
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    return schema


def get_provider_info() -> dict[str, Any]:
    """Entry point ``apache_airflow_provider``: validated against the ``provider_info.schema.json`` Airflow ships."""
    package = __package__ or "airflow_provider_callreport"
    integration = "DeepCall Call Report"
    asset_uris = [
        {
            "schemes": [ASSET_SCHEME],
            "handler": f"{package}.assets.sanitize_uri",
            "factory": f"{package}.assets.report_asset",
            "to_openlineage_converter": f"{package}.assets.convert_to_openlineage",
        }
    ]
    return {
        "package-name": "airflow-provider-callreport",
        "name": "DeepCall Call Report",
        "description": "Whole call reports of the DeepCall Call Report API, delivered to S3 and e-mail.",
        "integrations": [
            {
                "integration-name": integration,
                "external-doc-url": "https://deepcall.com",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": integration, "python-modules": [f"{package}.hooks.callreport"]}],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": [
                    f"{package}.operators.{module}" for module in ("callreport", "recordings", "check", "manifest")
                ],
            }
        ],
        "sensors": [{"integration-name": integration, "python-modules": [f"{package}.sensors.callreport"]}],
        "triggers": [
            {
                "integration-name": integration,
                "python-modules": [f"{package}.triggers.{module}" for module in ("callreport", "events")],
            }
        ],
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": f"{package}.hooks.callreport.CallReportHook",
                "hook-name": HOOK_NAME,
                "conn-fields": {
                    field.name: {
                        "label": field.label,
                        "description": field.description,
                        "schema": _field_schema(field),
                    }
                    for field in CONNECTION_FIELDS
                },
                "ui-field-behaviour": {
                    "hidden-fields": list(HIDDEN_FIELDS),
                    "relabeling": dict(RELABELING),
                    "placeholders": dict(PLACEHOLDERS),
                },
            }
        ],
        "extra-links": [f"{package}.task.links.DeliveredFileLink"],
        "asset-uris": asset_uris,
        # The name of the same in Airflow 2.
        "dataset-uris": asset_uris,
        # The commands `airflow callreport ...`; Airflow before 3.2 does not look at this key.
        "cli": [f"{package}.cli.definition.get_callreport_cli_commands"],
    }
