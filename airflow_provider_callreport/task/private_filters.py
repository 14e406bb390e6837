"""Arguments as they may be shown: Airflow keeps rendered arguments in its database and shows them in its UI."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_callreport.api.filters import NUMBER_FILTERS
from airflow_provider_callreport.privacy.phone_numbers import HIDDEN, without_numbers

_JSON = (str, int, float, bool, type(None), dict, list)

#: Arguments for S3 that hold an encryption key.
SECRET_ARGS = frozenset({"SSECustomerKey"})


class PrivateFilters(Mapping[str, Any]):
    """Filters that read like any mapping, and are shown without phone numbers.

    Airflow calls ``serialize`` (Airflow 3) or ``str`` to show a template field. So numbers stay out of its database,
    also those that its secrets masker does not know.

    Args:
        filters: the rendered filters.
    """

    def __init__(self, filters: Mapping[str, Any]) -> None:
        self._filters = dict(filters)

    def __getitem__(self, key: str) -> Any:
        return self._filters[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._filters)

    def __len__(self) -> int:
        return len(self._filters)

    def __repr__(self) -> str:
        return repr(self.serialize())

    def serialize(self) -> dict[str, Any]:
        """The filters with ``***`` for each phone number."""
        return {_shown(key): _hide(value, whole=key in NUMBER_FILTERS) for key, value in self._filters.items()}


class PrivateS3Arguments(PrivateFilters):
    """Arguments for S3 that read like any mapping, and are shown without the user's encryption key (SSE-C)."""

    def serialize(self) -> dict[str, Any]:
        """The arguments with ``***`` for the key; values that JSON cannot hold become text."""
        return {
            name: HIDDEN if name in SECRET_ARGS else value if isinstance(value, _JSON) else str(value)
            for name, value in self.items()
        }


def _hide(value: Any, *, whole: bool) -> Any:
    if isinstance(value, Mapping):
        return {_shown(key): _hide(item, whole=whole) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(item, whole=whole) for item in value]
    if whole and value not in (None, ""):
        return HIDDEN
    return _shown(value)


def _shown(value: Any) -> Any:
    """A text without phone numbers; another value as it is, or hidden when its digits may be a number's."""
    text = str(value)
    shown = without_numbers(text)
    if isinstance(value, str):
        return shown
    return value if shown == text else HIDDEN


def has_phone_numbers(filters: Mapping[str, Any]) -> bool:
    """Whether a filter holds what may be a phone number."""
    # As JSON, in which a tuple is a list.
    return json.dumps(PrivateFilters(filters).serialize(), default=str) != json.dumps(dict(filters), default=str)
