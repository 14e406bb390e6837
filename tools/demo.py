"""``make demo``: every example Dag, run by real Airflow against the sandbox, in about a minute.

The stand-in API, an S3 server and a mail server run in this process, on free ports of 127.0.0.1. Airflow runs in
another, with a home of its own. When it is done, what was delivered is taken out of S3 and the mails, checked against
what the tasks said of it and against what the stand-in API holds, and saved under ``demo-output/``.

Exit status: 0 when every Dag is green and every check holds, 1 otherwise. ``--fault NAME`` lets the stand-in API
misbehave, to see what a red task says; ``python -m airflow_provider_callreport.sandbox --help`` lists the names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from airflow_provider_callreport.sandbox.calls import CallSource, SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.filters import CallFilter
from airflow_provider_callreport.sandbox.servers import ReceivedMail, SandboxS3, SandboxServer, SandboxSmtp
from airflow_provider_callreport.sandbox.settings import SandboxSettings, parse_faults

ROOT = Path(__file__).resolve().parent.parent

CALLS_PER_DAY = 1_200
MASKED_CALLS_PER_DAY = 3_000

#: Longest time that Airflow may take for all Dags, in seconds.
_PATIENCE = 600


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One run of an example Dag. The days are in the past and always the same: so are the bytes that are delivered.

    Attributes:
        dag_id: the Dag.
        logical_date: when the run is, as the scheduler would say it.
        start, end: the window that the Dag should choose, naive, in the account's zone; half open.
        masked: whether it exports masked calls.
    """

    dag_id: str
    logical_date: str
    start: datetime
    end: datetime
    masked: bool = False

    def calls(self, settings: SandboxSettings) -> int:
        """How many calls the stand-in API has in the window."""
        source: CallSource = settings.masked_calls if self.masked else settings.calls
        return len(source.select(CallFilter(self.start, self.end - timedelta(seconds=1))))


RUNS = (
    DemoRun(
        "daily_masked_calls_to_s3",
        "2026-10-16T01:00:00+05:30",
        datetime(2026, 10, 15),
        datetime(2026, 10, 16),
        masked=True,
    ),
    DemoRun(
        "daily_calls_by_email",
        "2026-10-16T07:00:00+05:30",
        datetime(2026, 10, 15),
        datetime(2026, 10, 16),
    ),
    DemoRun(
        "monthly_calls_pdf",
        "2026-11-01T02:00:00+05:30",
        datetime(2026, 10, 1),
        datetime(2026, 11, 1),
    ),
)


class Delivered:
    """What is in S3 and in the mails, and where it is saved.

    Args:
        s3: the S3 server.
        smtp: the mail server.
        folder: where it is saved.
    """

    def __init__(self, s3: SandboxS3, smtp: SandboxSmtp, folder: Path) -> None:
        self._objects = {
            f"s3://{bucket}/{key}": s3.read(key, bucket) for bucket in s3.buckets for key in s3.keys(bucket)
        }
        self._mails = {frozenset(mail.recipients): mail for mail in smtp.messages}
        for uri, content in self._objects.items():
            _save(folder / "s3" / uri.removeprefix("s3://"), content)
        for mail in smtp.messages:
            _save_mail(folder / "mails", mail)

    def problems(self, summary: Mapping[str, Any]) -> list[str]:
        """What is wrong with a delivery, by what the task returned."""
        found = []
        mail = self._mails.get(frozenset(summary["emailed_to"]))
        if summary["emailed_to"] and mail is None:
            found.append(f"no mail to {', '.join(summary['emailed_to'])} arrived")
        attachments = {} if mail is None else _attachments(mail)
        for file in summary["files"]:
            copies = list(attachments.values()) if attachments else []
            if "uri" in file:
                copies.append(self._objects.get(file["uri"], b""))
            if not copies or any(_sha256(copy) != file["sha256"] for copy in copies):
                found.append(f"{_name(file)} is not the file that the task returned")
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; see the module."""
    parser = argparse.ArgumentParser(description="Run the example Dags against the sandbox.")
    parser.add_argument("--output", type=Path, default=ROOT / "demo-output", help="folder for all that is made")
    parser.add_argument("--dag", action="append", choices=[run.dag_id for run in RUNS], help="only this Dag")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="a fault of the stand-in API")
    options = parser.parse_args(arguments)
    try:
        faults = parse_faults(options.fault)
    except ValueError as error:
        parser.error(str(error))
    _keep_to_this_machine()
    # So that a terminated demo stops its servers and Airflow as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    output = _fresh_folder(options.output)
    runs = [run for run in RUNS if not options.dag or run.dag_id in options.dag]
    return 0 if demo(runs, faults, output) else 1


def demo(runs: Sequence[DemoRun], faults: list[Fault], output: Path) -> bool:
    """Run the Dags, print the table, save what was delivered; True when all is green."""
    settings = SandboxSettings(
        calls=SyntheticCalls(CALLS_PER_DAY),
        masked_calls=SyntheticCalls(MASKED_CALLS_PER_DAY, masked=True),
        cursor="top",
        faults=faults,
    )
    with SandboxServer(settings) as api, SandboxS3() as s3, SandboxSmtp() as smtp:
        _say(f"Sandbox: API {api.url}, S3 {s3.url}, mail {smtp.host}:{smtp.port}")
        _say(f"Airflow's log: {_shown(output / 'logs' / 'airflow.log')}")
        connections = {
            "AIRFLOW_CONN_CALLREPORT_DEFAULT": api.connection_json(max_retry_time=5),
            "AIRFLOW_CONN_AWS_DEFAULT": s3.connection_json(),
            "AIRFLOW_CONN_SMTP_DEFAULT": smtp.connection_json(),
        }
        results = run_in_airflow(runs, connections, output)
        delivered = Delivered(s3, smtp, output)
        (output / "summaries.json").write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
        lines, problems = [], []
        for run in runs:
            result = results.get(run.dag_id, {"state": "not run", "errors": [], "tasks": []})
            summaries = [task["xcom"] for task in result["tasks"] if task["xcom"]]
            lines += _lines(run.dag_id, result["state"], summaries)
            problems += [f"{run.dag_id}: {text}" for text in _problems(run, result, summaries, settings, delivered)]
    _say("\n" + _table(lines) + "\n")
    _say(f"Files and mails: {_shown(output)}/s3, {_shown(output)}/mails; what the tasks returned: summaries.json")
    for problem in problems:
        _say(f"RED  {problem}")
    if not problems:
        _say("Green: every report is whole, and each file is the one whose SHA-256 the task returned.")
    return not problems


def run_in_airflow(runs: Sequence[DemoRun], connections: Mapping[str, str], output: Path) -> dict[str, Any]:
    """Run the Dags in a process of its own; the results by Dag, or nothing when Airflow did not start."""
    home, logs, results = output / "airflow", output / "logs", output / "airflow" / "results.json"
    home.mkdir()
    logs.mkdir()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs),
        **connections,
    }
    wanted = [f"{run.dag_id}={run.logical_date}" for run in runs]
    sys.stdout.flush()
    with (logs / "airflow.log").open("wb") as log:

        def start(*command: str, stdout: BinaryIO | None = None) -> None:
            command = (sys.executable, *command)
            wait_aloud(
                subprocess.Popen(
                    command, env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log
                )
            )

        _say("Making Airflow's database ...")
        start("-m", "airflow", "db", "migrate", stdout=log)
        _say("Starting Airflow and reading the Dag files ...")
        start(str(ROOT / "tools" / "run_dags.py"), str(results), *wanted)
    if not results.exists():
        return {}
    return {result["dag_id"]: result for result in json.loads(results.read_text("utf-8"))}


def wait_aloud(process: subprocess.Popen[bytes], every: float = 5) -> None:
    """Wait for a process, and say every few seconds that it still runs.

    Raises:
        subprocess.TimeoutExpired: it takes longer than ten minutes; it is killed.
    """
    begin = time.monotonic()
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(every)
                break
            seconds = time.monotonic() - begin
            if seconds > _PATIENCE:
                raise subprocess.TimeoutExpired(process.args, _PATIENCE)
            _say(f"  ... {seconds:.0f} s")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _keep_to_this_machine() -> None:
    """Drop settings of the caller's shell that are not meant for the demo: Airflow's, AWS's, proxies."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_"))]:
        del os.environ[name]
    os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "*", "no_proxy": "*"}


def _problems(
    run: DemoRun,
    result: Mapping[str, Any],
    summaries: Sequence[Mapping[str, Any]],
    settings: SandboxSettings,
    delivered: Delivered,
) -> list[str]:
    if result["state"] != "success":
        return result["errors"] or [f"the Dag's state is {result['state']}; the reason is in logs/airflow.log"]
    found = [] if summaries else ["no task returned a summary"]
    for summary in summaries:
        expected = run.calls(settings)
        if not summary["rows"] == summary["reported_total"] == expected:
            found.append(
                f"{summary['rows']} rows and a total of {summary['reported_total']}, and the API has {expected}"
            )
        found += delivered.problems(summary)
    return found


def _lines(dag_id: str, state: str, summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    files = [file for summary in summaries for file in summary["files"]]
    if not files:
        return [(dag_id, state, "", "", "", "")]
    return [
        (dag_id, state, f"{file['rows']:,}", _name(file), f"{file['bytes']:,}", file["sha256"][:16]) for file in files
    ]


def _table(lines: Sequence[tuple[str, ...]]) -> str:
    rows = [("Dag", "state", "rows", "file", "bytes", "sha256 (begin)"), *lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numbers = (2, 4)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _name(file: Mapping[str, Any]) -> str:
    return str(file.get("uri") or f"mail: {file['filename']}")


def _attachments(mail: ReceivedMail) -> dict[str, bytes]:
    found = {}
    for part in mail.message.iter_attachments():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)  # only a multipart has a list here
        found[part.get_filename() or ""] = content
    return found


def _save_mail(folder: Path, mail: ReceivedMail) -> None:
    """The mail as it came, its HTML, and what is attached to it, under the name of its first attachment or subject."""
    attachments = _attachments(mail)
    stem = Path(next(iter(attachments), "mail")).stem
    _save(folder / f"{stem}.eml", mail.content)
    html = mail.message.get_body(("html",))
    if html is not None:
        _save(folder / f"{stem}.html", html.get_content().encode())
    for name, content in attachments.items():
        _save(folder / name, content)


def _save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _fresh_folder(folder: Path) -> Path:
    """The folder, without what an earlier demo left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("airflow", "logs", "mails", "s3"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "summaries.json").unlink(missing_ok=True)
    return folder.resolve()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
