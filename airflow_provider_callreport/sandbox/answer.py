"""The envelope of ``list`` and ``masklist``: columns, rows and count around a page of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from airflow_provider_callreport.sandbox.rows import encode_json
from airflow_provider_callreport.sandbox.settings import SandboxSettings


@dataclass
class Answer:
    """An answer before it is encoded. Its parts are JSON texts, so that a fault can change each of them.

    Attributes:
        columns, hidden: ``columnArr`` and ``hideSectionArr``, None to leave them out.
        rows: one text a row.
        data: replaces the rows when it is not None; ``""`` leaves ``data`` out.
        cnt: None to leave it out.
        s_after: the top-level cursor, None to leave it out.
        head: keys that come first, as JSON text with a comma at its end.
    """

    columns: str | None = None
    hidden: str | None = None
    rows: list[str] = field(default_factory=list)
    data: str | None = None
    cnt: str | None = None
    s_after: str | None = None
    head: str = ""
    keyed_rows: bool = False
    empty: str = "[]"

    def encode(self) -> bytes:
        """The body, compact and in UTF-8, byte for byte what the vendor sends where that is known."""
        data = self._encode_rows() if self.data is None else self.data
        parts = (
            ("columnArr", self.columns),
            ("hideSectionArr", self.hidden),
            ("data", data or None),
            ("cnt", self.cnt),
            ("sAftr", self.s_after),
        )
        body = ",".join(f'"{key}":{text}' for key, text in parts if text is not None)
        return f"{{{self.head}{body}}}".encode()

    def _encode_rows(self) -> str:
        if not self.rows:
            return self.empty
        if self.keyed_rows:
            return "{" + ",".join(f'"{key}":{row}' for key, row in enumerate(self.rows)) + "}"
        return "[" + ",".join(self.rows) + "]"


def make_answer(settings: SandboxSettings, rows: list[str], total: int, cursor: str | None, before: int = 0) -> Answer:
    """Wrap a page.

    Args:
        settings: decide the form.
        rows: the page's rows.
        total: how many calls match.
        cursor: JSON of the cursor of the last row, None when the page is empty.
        before: calls on the pages before.
    """
    cnt = _encode_count(settings, total, len(rows), before)
    # null beside a count of calls is not a form of "no more calls" but a fault, and has a name among the faults.
    says_none = cnt in ("0", '"0"')
    return Answer(
        columns=encode_columns(settings.labels, settings.columns_shape)
        if settings.column_arr is None
        else encode_json(dict(settings.column_arr)),
        hidden={"list": "[]", "object": "{}"}.get(settings.hide_section),
        rows=rows,
        cnt=cnt,
        head="".join(
            f"{encode_json(key)}:{encode_json(said[0] if said else len(rows))},"
            for key, said in settings.beside.items()
        ),
        s_after=(cursor or "[]") if settings.cursor == "top" else None,
        keyed_rows=settings.row_shape == "data_object",
        empty={"list": "[]", "null": "null" if says_none else "[]", "object": "{}"}[settings.empty_data],
    )


@lru_cache(maxsize=64)
def encode_columns(labels: tuple[str, ...], shape: str) -> str | None:
    """``columnArr`` in one of its forms, None when it is missing."""
    numbered = {str(position): label for position, label in enumerate(labels, 1)}
    match shape:
        case "object":
            return encode_json(numbered)
        case "shuffled":
            return encode_json(dict(sorted(numbered.items())))
        case "list":
            return encode_json(list(labels))
        case "empty_object":
            return "{}"
        case "empty_list":
            return "[]"
        case _:
            return None


def encode_cursor(settings: SandboxSettings, key: tuple[int, int]) -> str:
    """A sort key as the settings write cursors."""
    milliseconds, serial = key
    return str(serial) if settings.cursor_shape == "scalar" else f"[{milliseconds},{serial}]"


def _encode_count(settings: SandboxSettings, total: int, rows: int, before: int) -> str | None:
    match settings.cnt:
        case "total":
            return str(total)
        case "page":
            return str(rows)
        case "so_far":
            return str(before + rows if rows else 0)
        case "text":
            return f'"{total}"'
        case "capped":
            return str(min(total, settings.cnt_cap))
        case _:
            return None
