"""Rows and columns without a server: pages become a table as in a reading."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_callreport.api.answer import Record
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.profile import Form, Profile, bodies, learn_form
from airflow_provider_callreport.api.table import ColumnChoice, Table
from airflow_provider_callreport.report import Column, Row
from airflow_provider_callreport.rules import OnNewColumns
from support.api import DAY


class PagesTable:
    """Learns the form of rows from a first page (`start`) and types the rows of all pages (`rows`)."""

    def __init__(
        self,
        choice: ColumnChoice = None,
        also: Iterable[str] = (),
        *,
        window: Window = DAY,
        profile: Profile | None = None,
        on_new_columns: OnNewColumns = "add",
    ) -> None:
        self._window = window
        self._profile = profile
        self._on_new_columns = on_new_columns
        self._table = Table(window.zone, choice, also)
        self._column_arr: Any = None
        self.form: Form | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._table.columns

    @property
    def labels(self) -> tuple[str, ...]:
        return self._table.labels

    def start(self, records: list[Record], column_arr: Any) -> None:
        self.form, found = learn_form(
            records, column_arr, self._window, pinned=self._profile, on_new_columns=self._on_new_columns
        )
        self._column_arr = column_arr
        self._table.start(self.form, found, is_named=bool(column_arr))

    def rows(self, records: list[Record], column_arr: Any) -> list[Row]:
        form, found = self.form, bodies(records)
        assert form is not None
        if column_arr and column_arr != self._column_arr:
            form = form.reordered(found, column_arr)
        form.check(found)
        return self._table.rows(found, form)
