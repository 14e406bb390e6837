"""``callreport probe``: what are this account's answers like?"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.counting import window_json
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.probe import MAX_REQUESTS, Finding, ProbeResult, probe
from airflow_provider_callreport.cli.account import open_account
from airflow_provider_callreport.cli.arguments import window
from airflow_provider_callreport.cli.exit_codes import CommandError, ExitCode

_PARTS = (
    ("works", "What works"),
    ("unlike", "What is unlike the documents, and was learned"),
    ("setting", "What needs a setting, or a person"),
    ("unknown", "What could not be found out"),
)


def run(options: argparse.Namespace) -> ExitCode:
    """Ask the account, and say what was found.

    Args:
        options: those of `commands.add_probe`.

    Raises:
        ValueError: an argument is wrong.
        CommandError: the connection does not work, or the file is there already.
        CallReportError: the first question got no answer that can be read.
    """
    if options.window_start is None and options.window_end is not None:
        raise ValueError("--end is given without --start; set --start, or leave out both for the last full day")
    path = None if options.save is None else Path(options.save).expanduser()
    if path is not None and path.exists() and not options.force:
        raise CommandError(ExitCode.FILE, f"{path} exists already; --force replaces it")
    hook = open_account(options.callreport_conn_id)
    span = _window(options, hook.settings.timezone)
    # A retry would be a request that nobody counts.
    with CallReportClient(replace(hook.settings, max_retry_time=0)) as client:
        found = probe(client, options.report, span, look_back=options.window_start is None)
    if path is not None:
        path.write_text(json.dumps(found.profile.to_json(), indent=2) + "\n", encoding="utf-8")
    options.out.write(json.dumps(_as_json(found)) + "\n" if options.json else _as_text(found, path))
    return ExitCode.SETTING if found.needs_setting else ExitCode.OK


def _window(options: argparse.Namespace, zone: ZoneInfo) -> Window:
    """The window that was asked for, or the last full day."""
    if options.window_start is not None:
        return window(options, zone)
    today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(today - timedelta(days=1), today, zone)


def _as_json(found: ProbeResult) -> dict[str, Any]:
    return {
        "report": found.report,
        "window": window_json(found.window),
        "requests": found.requests,
        "findings": [{"topic": one.topic, "verdict": one.verdict, "sentence": one.sentence} for one in found.findings],
        "needs_setting": found.needs_setting,
        "settings": dict(found.settings),
        "profile": found.profile.to_json(),
    }


def _as_text(found: ProbeResult, saved: Path | None) -> str:
    start, end = found.window.local_start, found.window.local_end
    lines = [
        f"{found.report}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({found.window.zone.key}); "
        f"{found.requests} of at most {MAX_REQUESTS} requests."
    ]
    for verdict, title in _PARTS:
        if said := [one for one in found.findings if one.verdict == verdict]:
            lines += ["", f"{title}:", *map(_line, said)]
    profile = {"profile": found.profile.to_json() if saved is None else str(saved.absolute())}
    lines += ["", "Settings to paste into the connection's extra:", json.dumps({**found.settings, **profile})]
    if saved is not None:
        lines.append(f"The profile is in {saved}; its path must exist on every worker, or paste its content instead.")
    return "\n".join(lines) + "\n"


def _line(finding: Finding) -> str:
    return f"- {finding.topic}: {finding.sentence}"
