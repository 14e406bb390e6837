"""``callreport preview``: the first calls of a report, on the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_provider_callreport.api.errors import scrub
from airflow_provider_callreport.api.filters import NUMBER_FILTERS, warn_of_undocumented
from airflow_provider_callreport.api.settings import DEFAULT_PAGE_SIZE
from airflow_provider_callreport.cli.account import open_account
from airflow_provider_callreport.cli.arguments import pairs, window
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.export.redaction import last4
from airflow_provider_callreport.privacy.phone_numbers import international
from airflow_provider_callreport.report import Value
from airflow_provider_callreport.rules import whole_number
from airflow_provider_callreport.task.arguments.together import check_filter_values

#: Wide enough for all columns of any report: what is not a terminal has no width.
_NO_WIDTH = 100_000
#: A cell takes no more of a terminal than this.
_LONGEST_CELL = 40


def run(options: argparse.Namespace) -> ExitCode:
    """Print the first calls as a table.

    Args:
        options: those of `commands.add_preview`.

    Raises:
        ValueError: an argument is wrong.
        CallReportError: the report could not be read so far.
    """
    whole_number(1, 1000)("--limit", options.limit)
    filters = pairs("--filter", options.filters, texts=NUMBER_FILTERS)
    check_filter_values(filters)
    warn_of_undocumented(filters)
    hook = open_account(options.callreport_conn_id)
    span = window(options, hook.settings.timezone)
    rows = hook.iter_rows(
        options.report,
        filters,
        window_start=span.start,
        window_end=span.end,
        columns=options.columns,
        page_size=min(options.limit, hook.settings.page_size or DEFAULT_PAGE_SIZE),
        reads_ahead=False,
    )
    # One more than asked for shows whether the window has further calls.
    found = list(islice(rows, options.limit + 1))
    shown, out = found[: options.limit], options.out
    if shown:
        cells = [[_cell(value, show_numbers=options.show_numbers) for value in row.values()] for row in shown]
        _print_table(list(shown[0]), cells, out)
    if len(found) > len(shown):
        out.write(f"The first {len(shown)} calls of the window; there are more.\n")
    else:
        out.write(f"{len(shown)} calls; these are all of the window.\n" if shown else "No calls in the window.\n")
    return ExitCode.OK


def _cell(value: Value, *, show_numbers: bool) -> str:
    """A value for people, in one line, without what a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if not isinstance(value, str):
        return str(value)
    if show_numbers:
        return " ".join("".join(character if character.isprintable() else " " for character in value).split())
    return last4(value) if international(value) is not None else scrub(value)


def _print_table(labels: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    """The columns that fit, in order, and the names of the others."""
    console = Console(file=out, highlight=False, width=None if out.isatty() else _NO_WIDTH)
    longest = _LONGEST_CELL if out.isatty() else _NO_WIDTH
    kept, width = 0, 0
    for number, label in enumerate(labels):
        cells = [label, *(row[number] for row in rows)]
        width += 2 + min(longest, max(Text(cell).cell_len for cell in cells))
        if number and width > console.width:
            break
        kept += 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for label in labels[:kept]:
        table.add_column(Text(scrub(label)), no_wrap=True, overflow="ellipsis", max_width=longest)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row[:kept]))
    # Rich ends the process when its reader is gone; so we write.
    with console.capture() as drawn:
        console.print(table)
        if labels[kept:]:
            others = ", ".join(map(scrub, labels[kept:]))
            console.print(Text(f"Not shown in this narrow terminal: {others}. Choose columns with --columns."))
    out.write(drawn.get())
