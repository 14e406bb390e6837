"""The run that `test_operators_airflow` and `test_operators_bad_input` look at: their Dags in one Airflow process."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

from airflow_provider_callreport.export.summary import ExportSummary, FileSummary
from airflow_provider_callreport.report import ExportedFile, ReportInfo, ReportOutcome
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.calls import ListedCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SmtpSettings
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from support.runs import AIRFLOW, KOLKATA, AirflowRuns, Api, Evidence, once_a_session, run_dags

#: The logical date. The Dags' data interval for it is the day before.
LOGICAL_DATE = datetime(2026, 3, 14, tzinfo=KOLKATA)
DAY = datetime(2026, 3, 13)

#: The calls of the day, from its first second to its last.
CALLS = tuple(
    Call(DAY + timedelta(seconds=second), number=f"9198765012{index:02d}", status=status, call_duration=30 + index)
    for index, (second, status) in enumerate(
        [
            (0, "Answered"),
            (1, "Missed"),
            (36_000, "Answered"),
            (36_000, "Busy"),
            (60_000, "Missed"),
            (86_399, "Answered"),
        ]
    )
)
#: Calls of the same account a second before and after the day.
NEIGHBOURS = (Call(DAY - timedelta(seconds=1), number="918000000001"), Call(DAY + timedelta(days=1)))
MASKED_CALLS = tuple(
    Call(DAY + timedelta(hours=hour), number=f"9197000000{hour:02d}", mask=f"mask_{hour}") for hour in range(4)
)

#: The token of a call's recording.
RECORDING = "token1*mp3*acme*2026*03*13*a.mp3"

#: More columns than the XCom value has room for.
WIDE_LABELS = tuple(f"Question {number}: what did the customer say?" for number in range(300))

#: Events of OpenLineage, one a line, in the run's directory.
LINEAGE_FILE = "openlineage.jsonl"

#: What is at a key already, of somebody else.
TAKEN = b"somebody else's report"


def operators_run(airflow_runs: AirflowRuns) -> Evidence:
    """Run the Dags of ``exports.py``, ``wrong.py`` and ``assets.py``, once a session.

    OpenLineage, where it is installed, writes what it has to say of the Dag ``assets`` to `LINEAGE_FILE`.
    """

    def run(directory: Path) -> Evidence:
        return run_dags(
            airflow_runs,
            directory,
            ["exports.py", "wrong.py", "assets.py"],
            [
                ("exports", LOGICAL_DATE),
                ("shared_defaults", LOGICAL_DATE),
                ("by_hand", None),
                ("no_interval", LOGICAL_DATE),
                ("wrong", LOGICAL_DATE),
                ("assets", LOGICAL_DATE),
            ],
            # What remembers over a task's tries that its mail went came with 3.3.
            clears=[("exports", "mailed_once"), ("exports", "mail_in_doubt")] if AIRFLOW >= (3, 3) else [],
            smtp={
                "smtp_default": SmtpSettings(),
                "smtp_dropping": SmtpSettings(drop="lost", drop_times=1),
            },
            apis={
                # Three calls a page: every report has several.
                "callreport_default": Api(_settings(), {"page_size": 3}),
                "callreport_empty": Api(_settings(calls=ListedCalls())),
                "callreport_incomplete": Api(_settings(faults=[Fault("wrong_total", by=-2)])),
                "callreport_fatal": Api(_settings(), fields={"password": "wrong-token"}),
                # One try of the task makes one request here: only Airflow tries again.
                "callreport_transient": Api(
                    _settings(faults=[Fault("vendor_error", code=1009, times=1)]),
                    {"max_retry_time": 0, "page_size": 100},
                ),
                "callreport_wide": Api(_settings(labels=WIDE_LABELS)),
                "callreport_recorded": Api(
                    _settings(
                        calls=ListedCalls(
                            [Call(DAY, call_id="call1", recording=RECORDING), Call(DAY, call_id="call2")]
                        ),
                    )
                ),
                "callreport_untouched": Api(_settings()),
                "callreport_both_secrets": Api(_settings(), {"ssid": "some-session"}),
            },
            environment={
                "AIRFLOW_VAR_DELIVERED": str(directory / "home" / "delivered"),
                "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                    {"type": "file", "log_file_path": str(directory / LINEAGE_FILE), "append": True}
                ),
                "AIRFLOW__OPENLINEAGE__SELECTIVE_ENABLE": "True",
            },
            objects={f"taken/{policy}.csv": TAKEN for policy in ("replace", "fail", "skip")},
        )

    return once_a_session(airflow_runs, "operators-run", run)


def summary_of(*files: tuple[str, str]) -> ExportSummary:
    """An export of the day, without a run: an object with one row for each address and status."""
    start = DAY.replace(tzinfo=KOLKATA)
    info = ReportInfo("calls", "Calls", start, start + timedelta(days=1), KOLKATA.key)
    outcome = ReportOutcome(len(files), len(files), True, "Complete.")
    made = [FileSummary(ExportedFile(Path(uri), uri, "text/csv", 1, 10, "0" * 64), uri, what) for uri, what in files]
    return ExportSummary(info, outcome, "csv", [], 1, 0, made)


def _settings(**settings: object) -> SandboxSettings:
    usual = {"calls": ListedCalls([*CALLS, *NEIGHBOURS]), "masked_calls": ListedCalls(MASKED_CALLS)}
    return SandboxSettings(**{**usual, **settings})  # type: ignore[arg-type]
