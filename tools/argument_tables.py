"""Makes the tables of arguments in docs/ from the code's own table.

A table stands between two lines::

    <!-- arguments: CallReportExportOperator -->
    <!-- /arguments -->

`page_blocks` (`make pages`) writes all of them anew. `tests/test_arguments.py` fails when one is out of date.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_callreport.task.arguments.argument import REQUIRED, Argument
from airflow_provider_callreport.task.arguments.tables import (
    CHECK,
    EVENT_TRIGGER,
    EXPORT,
    MANIFEST,
    MASK_LIST,
    RECORDINGS,
    SENSOR,
)

ROOT = Path(__file__).parent.parent

TABLES: dict[str, Sequence[Argument]] = {
    "CallReportExportOperator": EXPORT,
    "CallRecordingsToS3Operator": RECORDINGS,
    "CallReportManifestOperator": MANIFEST,
    "CallReportCheckOperator": CHECK,
    "CallReportSensor": SENSOR,
    "CallReportEventTrigger": EVENT_TRIGGER,
}

_PLACE = re.compile(r"(<!-- arguments: (\w+) -->\n).*?(<!-- /arguments -->\n)", re.DOTALL)


def table(name: str) -> str:
    """The Markdown table of what a class takes."""
    header, rows = ["Argument", "Meaning", "Default"], []
    for argument in TABLES[name]:
        row = [f"`{argument.name}`", argument.doc, _default(argument)]
        if name == "CallReportExportOperator":
            row.append(_for_mask_list(argument))
        rows.append(row)
    if name == "CallReportExportOperator":
        header.append("`MaskListToS3Operator`")
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def written(text: str) -> str:
    """A page with its tables as they should be."""
    return _PLACE.sub(lambda found: f"{found[1]}\n{table(found[2])}\n{found[3]}", text)


def pages() -> list[Path]:
    """The pages that have such tables."""
    candidates = sorted((ROOT / "docs").rglob("*.md"))
    return [path for path in candidates if _PLACE.search(path.read_text(encoding="utf-8"))]


def _default(argument: Argument) -> str:
    if argument.default is REQUIRED:
        return ""
    if argument.default_doc:
        return argument.default_doc
    value = argument.default
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{value:_}`" if isinstance(value, int) and value > 999_999 else f"`{value!r}`"


def _for_mask_list(argument: Argument) -> str:
    found = next((one for one in MASK_LIST if one.name == argument.name), None)
    if found is None:
        return "no"
    return "required" if found.default is REQUIRED else "yes"
