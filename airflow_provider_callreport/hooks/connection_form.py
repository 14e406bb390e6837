"""The connection form for Airflow before 3.2, drawn from the same table as ``conn-fields``.

Airflow 3.2 and later read the form from provider info and do not call this.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_callreport.connection import (
    CONNECTION_FIELDS,
    HIDDEN_FIELDS,
    PLACEHOLDERS,
    RELABELING,
    ConnectionField,
)


def form_widgets() -> dict[str, Any]:
    """A WTForms field for each extra field, as ``get_connection_form_widgets`` wants them."""
    return {field.name: _widget(field) for field in CONNECTION_FIELDS}


def field_behaviour() -> dict[str, Any]:
    """Labels, placeholders and hidden fields, as ``get_ui_field_behaviour`` wants them."""
    return {
        "hidden_fields": list(HIDDEN_FIELDS),
        "relabeling": dict(RELABELING),
        "placeholders": dict(PLACEHOLDERS),
    }


def _widget(field: ConnectionField) -> Any:
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, IntegerField, PasswordField, StringField
    from wtforms.validators import NumberRange, Optional

    label = lazy_gettext(field.label)
    if field.type == "boolean":
        return BooleanField(label, description=field.description, default=bool(field.default))
    # Airflow 2.11 knows text, password, whole number and checkbox; other numbers are checked when they are read.
    kind = PasswordField if field.secret else IntegerField if field.type == "integer" else StringField
    widget = BS3PasswordFieldWidget() if field.secret else BS3TextFieldWidget()
    validators: list[Any] = [Optional()]
    if field.type == "integer" and field.minimum is not None:
        validators.append(NumberRange(min=field.minimum))
    default = field.default if kind is IntegerField or field.default is None else str(field.default)
    return kind(label, description=field.description, widget=widget, validators=validators, default=default)
