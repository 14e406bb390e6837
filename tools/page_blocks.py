"""Writes what the pages of ``docs/`` take from the code: ``python -m tools.page_blocks`` (`make pages`).

It stands between two lines, of which the second is ``<!-- /table -->`` and the like:

``<!-- table: vendor codes -->``     a table made from the code; see `TABLES`
``<!-- help: export -->``            what ``callreport export --help`` prints
``<!-- example: daily_calls -->``    ``example_dags/daily_calls.py``: its docstring, then its code; a name may be a path
``<!-- arguments: SomeOperator -->`` the arguments of a class; see `argument_tables`

`tests/test_docs_site.py` fails when one is out of date.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from openpyxl import load_workbook
from packaging.requirements import Requirement
from pyarrow import parquet

from airflow_provider_callreport import errors
from airflow_provider_callreport.api.errors import CODE_TABLE, ApiError, error_class
from airflow_provider_callreport.cli.commands import COMMANDS, Command
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.formats.pdf.values import printer
from airflow_provider_callreport.report import Column, ColumnKind, ReportInfo, ReportOutcome, Value
from tools import argument_tables
from tools.docs_site import DOCS, LLMS, ROOT, llms

EXAMPLES = ROOT / "example_dags"
WIDE_RESULTS = ROOT / "benchmarks" / "results" / "wide.json"

_BLOCK = re.compile(r"^<!-- (table|help|example): (.+?) -->\n.*?^<!-- /\1 -->$", re.MULTILINE | re.DOTALL)
#: A page that an example's docstring names as code.
_PAGE = re.compile(r"`docs/([\w/]+\.\w+)`")


class BlockError(Exception):
    """A page asks for what does not exist; the message is one sentence."""


def written(name: str, text: str) -> str:
    """A page with its tables, helps and examples as the code has them now.

    Args:
        name: the page, as the error names it.
        text: the page.

    Raises:
        BlockError: it asks for what does not exist.
    """

    def block(match: re.Match[str]) -> str:
        kind, what = match[1], match[2]
        made = _made(name, kind, what)
        return f"<!-- {kind}: {what} -->\n\n{made}\n\n<!-- /{kind} -->"

    return argument_tables.written(_BLOCK.sub(block, text))


def _made(page: str, kind: str, name: str) -> str:
    if kind == "example":
        return _example(page, name)
    helps = {command.name: partial(help_of, command) for command in COMMANDS}
    makers: Mapping[str, Callable[[], str]] = TABLES if kind == "table" else helps
    if name not in makers:
        raise BlockError(f"docs/{page} asks for the {kind} {name!r}; there are {', '.join(sorted(makers))}")
    return makers[name]()


def _example(page: str, name: str) -> str:
    file = EXAMPLES / f"{name}.py"
    if not file.is_file():
        raise BlockError(f"docs/{page} asks for the example {name!r}, and example_dags/ has no such file")
    text = file.read_text(encoding="utf-8")
    docstring = (ast.get_docstring(ast.parse(text)) or "").replace("``", "`")
    code = text.split('"""', 2)[2].strip()
    docstring = _PAGE.sub(r"[`docs/\1`](\1)", docstring)
    return f"## {file.stem}\n\n{docstring}\n\n```python\n{code}\n```"


# --- what is made from the code --------------------------------------------------------------------------------------


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _row_of(error: ApiError, what: str) -> tuple[str, ...]:
    meaning = (type(error).__doc__ or "").strip().splitlines()[0]
    advice = error.advice or "The message is shown; ask DeepCall."
    return what, meaning, advice, "yes" if error.retryable else "no"


def _answered(kind: type[ApiError], code: int | None, status: int = 200) -> ApiError:
    return kind(code=code, vendor_message="", http_status=status, endpoint="list")


def vendor_codes() -> str:
    """Every vendor code that is known, and what the package makes of it."""
    rows = [_row_of(_answered(CODE_TABLE[code], code), str(code)) for code in sorted(CODE_TABLE)]
    rows.append(_row_of(_answered(ApiError, 0), "any other"))
    return _table(("Code", "Meaning", "What to do", "Tried again"), rows)


def http_statuses() -> str:
    """HTTP statuses of answers that bring no vendor code."""
    named = {401: "401", 403: "403", 404: "other 4xx", 408: "408", 425: "425", 429: "429", 500: "5xx"}
    rows = [_row_of(_answered(error_class(status, None), None, status), name) for status, name in named.items()]
    return _table(("HTTP status", "Meaning", "What to do", "Tried again"), rows)


def exit_codes() -> str:
    """How the commands end."""
    return _table(("Exit status", "Meaning"), [(str(code.value), code.meaning) for code in ExitCode])


def error_classes() -> str:
    """The tree of errors, as the module has it."""
    tree = (errors.__doc__ or "").split("::\n\n", 1)[1].split("\n\n", 1)[0]
    return f"```text\n{textwrap.dedent(tree)}\n```"


#: A value of each kind, to show what the formats make of it.
_SAMPLES: dict[ColumnKind, Value] = {
    ColumnKind.TEXT: "00919876543210",
    ColumnKind.NUMBER: 1234.5,
    ColumnKind.DURATION: 3675,
    ColumnKind.DATETIME: datetime(2026, 10, 1, 9, 30),
}


def column_kinds() -> str:
    """What stands in a file of each format for a value of each kind: files are written, and read back."""
    columns = [Column(kind.value, kind) for kind in _SAMPLES]
    day = datetime(2026, 10, 1, tzinfo=UTC)
    info = ReportInfo("calls", "Calls", day, day, "UTC")
    found: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("csv", "xlsx", "jsonl", "parquet"):
            path = Path(folder) / f"calls.{name}"
            writer = FORMATS[name].load()(path, columns, info, {})
            writer.write([list(_SAMPLES.values())])
            writer.close(ReportOutcome(rows=1, reported_total=1, complete=True, note="Complete."))
            found.append(_READERS[name](path))
    paper = [f"`{printer(kind)(value)}`" for kind, value in _SAMPLES.items()]
    header = ("Kind", "CSV", "Excel", "JSON Lines", "Parquet", "PDF")
    return _table(header, list(zip(_SAMPLES, *found, paper, strict=True)))


def _csv_cells(path: Path) -> list[str]:
    return [f"`{cell}`" for cell in path.read_text("utf-8").splitlines()[1].split(",")]


def _excel_cells(path: Path) -> list[str]:
    (cells,) = load_workbook(path)["Calls"].iter_rows(min_row=2)
    # To Excel, a date and a duration are numbers; openpyxl tells a date by the format.
    return [f"{'text' if cell.data_type == 's' else 'number'}, `{cell.number_format}`" for cell in cells]


def _json_values(path: Path) -> list[str]:
    return [f"`{value}`" for value in re.findall(r':("[^"]*"|[^,}]+)', path.read_text("utf-8"))]


def _parquet_types(path: Path) -> list[str]:
    return [f"`{parquet.read_schema(path).field(kind.value).type}`" for kind in _SAMPLES]


_READERS: dict[str, Callable[[Path], list[str]]] = {
    "csv": _csv_cells,
    "xlsx": _excel_cells,
    "jsonl": _json_values,
    "parquet": _parquet_types,
}

#: Why a requirement is there, and why it has its floor.
_WHY = {
    "python": "the oldest that the official providers still support",
    "aiosmtpd": "the mail server that stands in",
    "apache-airflow": "the oldest that the official providers still support",
    "apache-airflow-providers-amazon": "`S3Hook`: connection and client of S3",
    "apache-airflow-providers-common-compat": "one import for Airflow 2 and 3 (`common.compat.sdk`, whole since 1.13)",
    "apache-airflow-providers-sftp": "Airflow's file system for SFTP",
    "apache-airflow-providers-smtp": "the SMTP connection, with OAuth2 since 2.2",
    "asgiref": "reads the connection in a thread of the triggerer, as Airflow does",
    "boto3": "conditional writes (`If-Match`), and the size of an upload in parts (since 1.36)",
    "moto": "the S3 that stands in",
    "msal": "tokens of Microsoft 365",
    "msgspec": "reads and writes JSON",
    "msoffcrypto-tool": "Excel files with a password",
    "openpyxl": "styles, charts and properties of Excel files",
    "pandas": "frames of `hook.get_df`",
    "polars": "frames of `hook.get_df`",
    "pyarrow": "Parquet files, record batches, and what frames are made of",
    "pypdf": "PDFs with a password",
    "pyzipper": "ZIP archives with a password",
    "requests": "HTTP",
    "starlette": "the API that stands in",
    "tenacity": "waits between two tries",
    "tzdata": "time zones where the system has none",
    "uharfbuzz": "shapes the text of PDFs and cuts their fonts down",
    "uvicorn": "the API that stands in",
}


def requirements() -> str:
    """What `pyproject.toml` asks for, and why."""
    rows: list[tuple[str, ...]] = []
    for requirement, extra in _requirements():
        name = requirement.name + (f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else "")
        why = "SOCKS proxies" if extra == "socks" else _WHY.get(requirement.name)
        if why is None:
            raise BlockError(f"say in tools/page_blocks.py why {requirement.name} is required")
        rows.append((f"`{name}`", str(requirement.specifier).replace(",", ", "), why, extra and f"`{extra}`"))
    return _table(("Package", "Version", "For", "Extra"), rows).replace("|  |", "| |")


def _requirements() -> Iterator[tuple[Requirement, str]]:
    """Each requirement with the extra that brings it; without the extra, what is always installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    yield Requirement(f"python{project['requires-python']}"), ""
    for extra, texts in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        yield from ((Requirement(text), extra) for text in texts)


def wide() -> str:
    """What `make wide` measured last."""
    kept = json.loads(WIDE_RESULTS.read_text(encoding="utf-8"))
    head = ("run", "at once", "time", "requests a second: mean, most, limit", "429", "retries", "doubled, lost")
    rows: list[tuple[str, ...]] = [
        (run["name"], f"{run['at_once']}", f"{run['seconds']:.0f} s",
         f"{run['per_second']:.1f}, {run['peak_per_second']}, {run['limit']:g}",
         f"{run['refused']}", f"{run['retries']}", f"{run['duplicates']}, {run['losses']}")
        for run in kept["runs"]
    ]  # fmt: skip
    where = kept["machine"]
    return (
        f"{_table(head, rows)}\n\n{kept['calls']:,} calls in {kept['slices']} slices, `requests_per_second` "
        f"{kept['rate']:g}, heartbeat timeout {kept['heartbeat_timeout']} s.\n"
        f"Everything, API and S3 included, shares {where['cores']} cores "
        f"(load {where['load']}), Python {where['python']}; {where['day']}."
    )


TABLES: dict[str, Callable[[], str]] = {
    "column kinds": column_kinds,
    "requirements": requirements,
    "vendor codes": vendor_codes,
    "HTTP statuses": http_statuses,
    "exit codes": exit_codes,
    "error classes": error_classes,
    "wide": wide,
}


def help_of(command: Command) -> str:
    """What a command prints when it is asked for help, as a code block; the list of faults is left out."""
    parser = argparse.ArgumentParser(
        prog=f"callreport {command.name}",
        description=command.help,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=84),
    )
    command.add_arguments(parser.add_argument)
    return f"```text\n{parser.format_help()}```"


def pages() -> dict[str, Path]:
    """The pages by their path within ``docs/``."""
    return {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}


def write() -> None:
    """Write what the pages take from the code again, where it differs.

    Raises:
        BlockError: a page asks for what does not exist.
    """
    for name, path in pages().items():
        text = path.read_text(encoding="utf-8")
        if (now := written(name, text)) != text:
            path.write_text(now, encoding="utf-8")
    LLMS.write_text(llms(), encoding="utf-8")


def main() -> int:
    """Write the blocks of all pages; return 1 after a mistake."""
    try:
        write()
    except BlockError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
