"""One answer of ``list`` or ``masklist``, read without judging it: its rows, its count, its cursor."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

from airflow_provider_callreport.api.answer_check import said_beside
from airflow_provider_callreport.api.errors import AnswerError, TableError
from airflow_provider_callreport.api.values import whole_number

#: One call as it came: an object or an array of cells.
Record = dict[str, Any] | list[Any]

#: Keys under which a call's own id may stand. Webhook records call it ``callId``; ``clId`` is what ``detail`` takes;
#: ``_id`` is a search hit's. A plain ``id`` is left out: it may be an agent's or a campaign's, and two calls that share
#: one would be taken for the same call.
ID_KEYS = ("callId", "clId", "call_id", "_id")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer's contents.

    Attributes:
        records: the rows as they came.
        count: ``cnt`` as a number, or None when it is missing or no number. What it counts is for `paging` to find out.
        column_arr: ``columnArr`` as it came, or None.
        cursor: the search-after cursor as JSON text, to be sent back unchanged, or None.
        cursor_place: where it stood: ``"top"``, ``"row sAftr"`` or ``"row sort"``; None without a cursor.
        beside: keys beside the documented ones, with their values.
        form: ``data`` as it came: ``"list"``, ``"object"`` or ``"null"``.
    """

    records: list[Record]
    count: int | None
    column_arr: Any
    cursor: str | None
    cursor_place: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    form: str = "list"


def parse_answer(payload: Any, raw: bytes, known: Collection[str] = ()) -> Answer:
    """Read an answer.

    Accepted for ``data``: a list of objects or arrays, an object of rows, ``{}``, and null beside a ``cnt`` of 0.

    Args:
        payload: the decoded JSON.
        raw: its bytes.
        known: keys beside the documented ones that the caller knows and judges.

    Raises:
        AnswerError: it is no answer: another type, no ``data``, ``data: null`` without ``cnt`` 0, or something beside
            ``data`` says that it is none.
        TableError: a row is neither object nor array.
    """
    if not isinstance(payload, Mapping):
        raise AnswerError(f"the answer is {_type_name(payload)} where an object with data was expected")
    if "data" not in payload:
        raise AnswerError("the answer has no data")
    beside = said_beside(payload, known)
    data = payload["data"]
    count = whole_number(payload.get("cnt"))
    records = _records(data, count)
    cursor, place = _cursor(payload, records, raw)
    form = "null" if data is None else "object" if isinstance(data, dict) else "list"
    return Answer(records, count, payload.get("columnArr"), cursor, place, beside, form)


def id_key(records: list[Record]) -> str | None:
    """The key under which every one of the rows has an id of its own, or None.

    A row of a search hit is looked at in the hit and then in its ``_source``.
    """
    for key in ID_KEYS:
        found = ids_under(key, records)
        if found is not None and len(set(found)) == len(found):
            return key
    return None


def ids_under(key: str, records: list[Record]) -> list[str] | None:
    """The rows' ids under a key, as text; None where a row has none."""
    try:
        # The usual case, at the speed of C: all rows are objects with the key.
        ids: list[Any] = list(map(itemgetter(key), records))
    except (KeyError, TypeError):
        ids = [_id_in(record, key) for record in records]
    kinds = set(map(type, ids))
    if not kinds <= {str, int} or "" in ids:
        return None
    return ids if kinds == {str} else list(map(str, ids))


def record_id(record: Record | Any) -> str | int | None:
    """The call's own id, or None."""
    if not isinstance(record, dict):
        return None
    return next((found for key in ID_KEYS if (found := _id_in(record, key)) is not None), None)


def _id_in(record: Any, key: str) -> str | int | None:
    if not isinstance(record, dict):
        return None
    found = _as_id(record.get(key))
    return _id_in(record.get("_source"), key) if found is None else found


def _as_id(value: Any) -> str | int | None:
    return value if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else None


def record_sort(record: Record) -> Any:
    """The row's ``sort`` key of a search hit, or None."""
    return record.get("sort") if isinstance(record, dict) else None


def _records(data: Any, count: int | None) -> list[Record]:
    if data is None:
        if count == 0:
            return []
        promised = "no cnt" if count is None else f"a cnt of {count}"
        raise AnswerError(f"the answer has data: null beside {promised}")
    if isinstance(data, dict):
        keys = list(data)
        numbered = all(whole_number(key) is not None for key in keys)
        rows = [data[key] for key in (sorted(keys, key=int) if numbered else keys)]
        if not numbered and list in map(type, rows):
            # Such as {"list": [...]}: the array in it is not one row.
            raise AnswerError("the answer's data is an object with an array in it where a list of rows was expected")
    elif isinstance(data, list):
        rows = data
    else:
        raise AnswerError(f"the answer's data is {_type_name(data)} where a list was expected")
    kinds = set(map(type, rows))
    if not kinds <= {dict, list}:
        strange = next(index for index, row in enumerate(rows) if not isinstance(row, (dict, list)))
        raise TableError(
            f"row {strange} of the answer is {_type_name(rows[strange])}; a row must be an object or an array"
        )
    return rows


def _cursor(payload: Mapping[str, Any], records: list[Record], raw: bytes) -> tuple[str | None, str | None]:
    """Top-level ``sAftr``, else the last row's ``sAftr``, else its ``sort``; and which of them it is."""
    found, place = _find_cursor(payload, records)
    if place is None:
        return None, None
    if _has_float(found):
        # A float may have lost digits when it was decoded: read this answer again with exact numbers.
        exact = json.loads(raw, parse_float=Decimal)
        found, _ = _find_cursor(exact, _records(exact["data"], None if exact["data"] is not None else 0))
    return _exact_json(found), place


def _find_cursor(payload: Mapping[str, Any], records: list[Record]) -> tuple[Any, str | None]:
    candidates = [("top", payload.get("sAftr"))]
    if records and isinstance(records[-1], dict):
        candidates += [("row sAftr", records[-1].get("sAftr")), ("row sort", records[-1].get("sort"))]
    for place, candidate in candidates:
        if candidate is not None and candidate != [] and candidate != {} and candidate != "":
            return candidate, place
    return None, None


def _has_float(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_float, value))
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return isinstance(value, float)


def _exact_json(value: Any) -> str:
    """JSON text that repeats every number as it came (`json.dumps` cannot write a Decimal)."""
    if isinstance(value, list):
        return f"[{', '.join(map(_exact_json, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)}: {_exact_json(item)}' for key, item in value.items())}}}"
    if isinstance(value, Decimal):
        return str(value)
    return json.dumps(value)


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
