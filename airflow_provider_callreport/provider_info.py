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

#: Section of Airflow's configuration, with the options that say where links lead: name -> (description, example).
CONFIG_SECTION = "callreport"
LINK_OPTIONS: dict[str, tuple[str, str]] = {
    "file_url": (
        "Where a person finds a delivered file, instead of the AWS console: for MinIO and others. {bucket} and {key} "
        "are filled in, and {store}, such as s3://bucket; of several files, {key} is their folder.",
        "https://minio.example.com/browser/{bucket}/{key}",
    ),
    "mail_url": (
        "Where a person finds a sent mail, by its Message-ID: {message_id} is filled in.",
        "https://mail.google.com/mail/#search/rfc822msgid:{message_id}",
    ),
    "portal_url": (
        "Where a person finds a report in the vendor's portal. {host} (of the API), {report} (calls or masked_calls), "
        "{start} and {end} (of the window, in the account's zone, ISO 8601) are filled in.",
        "https://panel.example.com/reports?from={start}&to={end}",
    ),
}


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


def _link_option(description: str, example: str) -> dict[str, Any]:
    return {
        "description": f"{description}\nAn https:// address; empty for no link.\n",
        "version_added": "0.1.0",
        "type": "string",
        "example": example,
        "default": "",
    }


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
                    f"{package}.operators.{module}"
                    for module in ("callreport", "recordings", "exports", "check", "manifest")
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
        "extra-links": [f"{package}.task.links.{link}" for link in ("DeliveredFileLink", "SentMailLink", "PortalLink")],
        "asset-uris": asset_uris,
        # The name of the same in Airflow 2.
        "dataset-uris": asset_uris,
        "config": {
            CONFIG_SECTION: {
                "description": "Links of the DeepCall Call Report provider in Airflow's UI.",
                "options": {name: _link_option(*option) for name, option in LINK_OPTIONS.items()},
            }
        },
        # The commands `airflow callreport ...`; Airflow before 3.2 does not look at this key.
        "cli": [f"{package}.cli.definition.get_callreport_cli_commands"],
    }
