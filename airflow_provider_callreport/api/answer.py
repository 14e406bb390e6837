"""One answer of ``list`` or ``masklist``, read without judging it: its rows, its count, its cursor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_callreport.api.answer_check import sign_of_error
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
    """

    records: list[Record]
    count: int | None
    column_arr: Any
    cursor: str | None


def parse_answer(payload: Any, raw: bytes) -> Answer:
    """Read an answer.

    Accepted for ``data``: a list of objects or arrays, an object of rows, ``{}``, and null beside a ``cnt`` of 0.

    Raises:
        AnswerError: it is no answer: another type, no ``data``, ``data: null`` without ``cnt`` 0, or something beside
            ``data`` says that it is none.
        TableError: a row is neither object nor array.
    """
    if not isinstance(payload, Mapping):
        raise AnswerError(f"the answer is {_type_name(payload)} where an object with data was expected")
    if "data" not in payload:
        raise AnswerError("the answer has no data")
    count = whole_number(payload.get("cnt"))
    records = _records(payload["data"], count)
    if (sign := sign_of_error(payload, len(records))) is not None:
        raise AnswerError(f"the answer has {len(records)} rows and says {sign}, so it is no result")
    return Answer(records, count, payload.get("columnArr"), _cursor(payload, records, raw))


def record_id(record: Record) -> str | int | None:
    """The call's own id, or None."""
    if isinstance(record, dict):
        for key in ID_KEYS:
            value = record.get(key)
            if value is not None and value != "" and isinstance(value, (str, int)):
                return value
        source = record.get("_source")
        if isinstance(source, dict):
            return record_id(source)
    return None


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


def _cursor(payload: Mapping[str, Any], records: list[Record], raw: bytes) -> str | None:
    """Top-level ``sAftr``, else the last row's ``sAftr``, else its ``sort``."""
    found = _find_cursor(payload, records)
    if found is None:
        return None
    if _has_float(found):
        # A float may have lost digits when it was decoded: read this answer again with exact numbers.
        exact = json.loads(raw, parse_float=Decimal)
        found = _find_cursor(exact, _records(exact["data"], None if exact["data"] is not None else 0))
    return _exact_json(found)


def _find_cursor(payload: Mapping[str, Any], records: list[Record]) -> Any:
    candidates = [payload.get("sAftr")]
    if records and isinstance(records[-1], dict):
        candidates += [records[-1].get("sAftr"), records[-1].get("sort")]
    for candidate in candidates:
        if candidate is not None and candidate != [] and candidate != {} and candidate != "":
            return candidate
    return None


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
