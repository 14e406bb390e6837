"""What Airflow knows of the package: provider, hook, and the connection's form."""

from __future__ import annotations

import json
import logging
from importlib import resources
from importlib.metadata import distributions
from typing import Any

import airflow
import airflow.providers_manager
import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from support.runs import AIRFLOW

from airflow_provider_callreport import __version__, get_provider_info
from airflow_provider_callreport.connection import CONNECTION_FIELDS, FURTHER_EXTRAS, HIDDEN_FIELDS
from airflow_provider_callreport.hooks.callreport import CallReportHook

NAME = "airflow-provider-callreport"
HOOK = "airflow_provider_callreport.hooks.callreport.CallReportHook"
SECRETS = {"ssid", "hmac_secret"}


def test_info_follows_airflows_runtime_schema() -> None:
    """`get_provider_info()` validates against the ``provider_info.schema.json`` that Airflow ships."""
    validator(read_schema("provider_info.schema.json")).validate(get_provider_info())


def test_form_follows_airflows_grammar() -> None:
    """The connection type validates against the grammar of ``conn-fields``, which the runtime schema does not have.

    ``provider.yaml.schema.json`` lets unknown keys pass in some places; where it means not to, a key that is misspelt
    (with an underscore) would be ignored in silence, so here it is an error.
    """
    grammar = read_schema("provider.yaml.schema.json")["properties"]["connection-types"]
    if "conn-fields" not in grammar["items"]["properties"]:
        pytest.skip(f"Airflow {airflow.__version__} has no grammar of conn-fields yet")
    (connection_type,) = get_provider_info()["connection-types"]
    validator(grammar).validate([connection_type])
    # Airflow 3.2 has forgotten the one key here that it reads all the same.
    assert set(connection_type) <= {"hook-name", *grammar["items"]["properties"]}


def test_every_name_in_the_info_can_be_imported() -> None:
    """Modules and classes that the info names are there."""
    info = get_provider_info()
    for group in (*info["hooks"], *info["operators"], *info["sensors"], *info["triggers"]):
        for module in group["python-modules"]:
            assert __import__(module)
    assert f"{CallReportHook.__module__}.{CallReportHook.__name__}" == HOOK


def test_airflow_lists_the_provider() -> None:
    """`ProvidersManager` finds the package by its entry point, in the installed version."""
    provider = providers_manager().providers[NAME]
    assert provider.version == __version__
    assert provider.data["name"] == "DeepCall Call Report"


def test_form_is_what_the_ui_draws() -> None:
    """The API that the UI asks gives every extra field with title, help and default; secrets as passwords."""
    fields = drawn_form()["extra_fields"]
    assert list(fields) == [field.name for field in CONNECTION_FIELDS]
    for field in CONNECTION_FIELDS:
        drawn = fields[field.name]
        assert drawn["schema"]["title"] == field.label
        assert drawn["description"] == field.description
        if AIRFLOW >= (3, 2):
            assert drawn["schema"]["type"] == [field.type, "null"]
            assert drawn["schema"].get("minimum") == field.minimum
            assert drawn["value"] == field.default
        else:
            # Drawn from the WTForms fields, of which none is for numbers with a fraction.
            kind = "string" if field.type == "number" else field.type
            assert drawn["schema"]["type"] == [kind, "null"]
            assert str(drawn["value"]) == str(field.default)
    assert {name for name, drawn in fields.items() if drawn["schema"].get("format") == "password"} == SECRETS


def test_no_default_is_too_short_for_the_masker() -> None:
    """Airflow gives a connection's texts to its secrets masker, which warns of those with less than five characters."""
    texts = [field.default for field in CONNECTION_FIELDS if isinstance(field.default, str)]
    assert [text for text in texts if len(text) < 5] == []


def test_form_names_the_vendors_fields() -> None:
    """User id and Token carry the vendor's names, and the field that has no meaning is hidden."""
    standard = drawn_form()["standard_fields"]
    assert standard["login"]["title"] == "User id (userId)"
    assert standard["password"]["title"] == "Token"
    assert standard["host"]["placeholder"] == "v4-api.deepcall.com"
    # Their Test button refuses a connection without a port, of any type.
    assert "Test Connection in Airflow 3.3.1 and 3.3.2 needs it" in standard["port"]["placeholder"]
    hidden = {name for name, behaviour in standard.items() if behaviour and behaviour["hidden"]}
    # Airflow calls the field `schema` `url_schema` here.
    assert {name.removeprefix("url_") for name in hidden} == set(HIDDEN_FIELDS)


def test_empty_form_is_a_connection_that_works() -> None:
    """A form that is saved as it comes, with userId and token, has only settings that the client takes."""
    from airflow_provider_callreport.api.settings import settings_from_connection

    as_it_comes = {name: drawn["value"] for name, drawn in drawn_form()["extra_fields"].items()}
    settings = settings_from_connection(
        host="", port=None, scheme="", login="user", password="some-token", extra=as_it_comes
    )
    assert settings.base_url == "https://v4-api.deepcall.com/api/v2/CallReport"
    assert (settings.timezone.key, settings.page_size, settings.verify) == ("Asia/Kolkata", None, True)
    plain = settings_from_connection(host="", port=None, scheme="", login="user", password="some-token", extra={})
    assert settings == plain


def test_secret_fields_have_names_or_formats_that_hide_them() -> None:
    """The table's secrets are exactly those that must not be read over a shoulder."""
    assert {field.name for field in CONNECTION_FIELDS if field.secret} == SECRETS
    assert not SECRETS & set(FURTHER_EXTRAS)


def test_older_airflows_form_comes_from_the_same_table() -> None:
    """Airflow 2.11 draws the hook's WTForms widgets: one a field, the same text and default, of the kinds it knows."""
    # Airflow 3 puts mock modules of that name where it is not installed.
    if not list(distributions(name="flask-appbuilder")):
        pytest.skip("Flask-AppBuilder is not installed")
    fields = pytest.importorskip("wtforms.fields")
    validators = pytest.importorskip("wtforms.validators")

    widgets = CallReportHook.get_connection_form_widgets()
    assert list(widgets) == [field.name for field in CONNECTION_FIELDS]
    kinds = {"boolean": fields.BooleanField, "integer": fields.IntegerField}
    for field in CONNECTION_FIELDS:
        widget = widgets[field.name]
        assert widget.field_class is (
            fields.PasswordField if field.secret else kinds.get(field.type, fields.StringField)
        )
        assert widget.kwargs["description"] == field.description
        assert str(widget.kwargs["default"]) == str(field.default)
        if field.type == "integer":
            assert any(isinstance(rule, validators.NumberRange) for rule in widget.kwargs["validators"])


def test_older_airflows_behaviour_comes_from_the_same_table() -> None:
    """Airflow 2.11 spells the keys with underscores; the values are those of the info."""
    (connection_type,) = get_provider_info()["connection-types"]
    behaviour = connection_type["ui-field-behaviour"]
    assert CallReportHook.get_ui_field_behaviour() == {
        "hidden_fields": behaviour["hidden-fields"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }
    validator(read_schema("customized_form_field_behaviours.schema.json")).validate(
        CallReportHook.get_ui_field_behaviour()
    )


# The next two load the hooks for good. Airflow before 3.2 then cannot draw the form any more, so they come last.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "row"),
    [
        ("list", {"package_name": NAME, "version": __version__}),
        ("hooks", {"connection_type": "callreport", "class": HOOK, "conn_id_attribute_name": "callreport_conn_id"}),
    ],
)
def test_airflow_providers_command_shows_it(
    capsys: pytest.CaptureFixture[str], command: str, row: dict[str, str]
) -> None:
    """``airflow providers list`` and ``airflow providers hooks`` show the package."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(["providers", command, "--output", "json"])
    arguments.func(arguments)
    shown = json.loads(next(line for line in capsys.readouterr().out.splitlines() if line.startswith("[{")))
    assert [entry for entry in shown if row.items() <= entry.items()]


def test_hook_is_found_without_warnings(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    """Loading the hook by its connection type warns of nothing, such as a form that is declared twice."""
    with caplog.at_level(logging.WARNING):
        hook = providers_manager().hooks["callreport"]
    assert hook is not None
    assert (hook.hook_class_name, hook.hook_name, hook.connection_testable) == (HOOK, "DeepCall Call Report", True)
    assert [record for record in caplog.records if "callreport" in record.getMessage().lower()] == []
    assert [warning for warning in recwarn if "callreport" in str(warning.message).lower()] == []


def providers_manager() -> Any:
    """Airflow's own, without types."""
    module: Any = airflow.providers_manager
    return module.ProvidersManager()


def read_schema(name: str) -> Any:
    """A schema of the installed Airflow."""
    path = resources.files(airflow) / name
    if not path.is_file():
        pytest.skip(f"Airflow {airflow.__version__} ships no {name}")
    return json.loads(path.read_text())


def validator(schema: Any) -> Draft7Validator:
    """A validator that also judges the schema itself."""
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def drawn_form() -> Any:
    """The form as the UI of Airflow 3 gets it; before 3.2 only where Flask-AppBuilder is installed."""
    if AIRFLOW < (3, 2):
        pytest.importorskip("flask_appbuilder")
    services = pytest.importorskip("airflow.api_fastapi.core_api.services.ui.connections")
    (form,) = [meta for meta in services.HookMetaService.hook_meta_data() if meta.connection_type == "callreport"]
    return form.model_dump()
