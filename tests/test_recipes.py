"""every-airflow: the recipes of ``example_dags/recipes/`` are read by real Airflow with the real providers, and those
whose other side can be had on this machine run.

`make recipes` runs this with the providers that are too large for the environment of the other tests.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from support.api import ScriptedServer
from support.runs import AIRFLOW, KOLKATA, WITHOUT_DAG, AirflowRuns, Api, Evidence, once_a_session, run_dags

from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.settings import SandboxSettings
from tools.run_dags import DagBag

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "example_dags" / "recipes"
NAMES = sorted(path.stem for path in RECIPES.glob("*.py"))

#: What a recipe imports that is not in every environment, and the oldest Airflow that has it.
NEEDS: dict[str, tuple[str, tuple[int, int]]] = {
    "approve_then_mail": ("airflow.providers.standard", (3, 1)),
    "calls_to_bigquery": ("airflow.providers.google", (2, 11)),
    "calls_to_google_sheets": ("airflow.providers.google", (2, 11)),
    "figures_to_chat": ("airflow.providers.slack", (2, 11)),
}
#: dag.test() waits for an answer since Airflow 3.3.
ASKS = AIRFLOW >= (3, 3)
CALLS_A_DAY = 48


def read(name: str) -> Any:
    """A recipe's Dag, as Airflow reads it; skips where what it needs is not installed."""
    module, oldest = NEEDS.get(name, ("airflow", (2, 11)))
    if oldest > AIRFLOW or not _is_there(module):
        pytest.skip(f"{name} needs {module}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        bag = DagBag(str(RECIPES / f"{name}.py"))
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    (dag,) = bag.dags.values()
    return dag


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def at(text: str) -> datetime:
    """A time of the account."""
    return datetime.fromisoformat(text).replace(tzinfo=KOLKATA)


def run(
    airflow_runs: AirflowRuns,
    case: str,
    runs: Sequence[tuple[str, datetime | None]],
    folder: Path = RECIPES,
    **environment: str,
) -> Evidence:
    """Run recipes of a folder one after the other, in one process."""
    return once_a_session(
        airflow_runs,
        f"recipes-{case}",
        lambda directory: run_dags(
            airflow_runs,
            directory,
            ["recipes.py"],
            runs,
            apis={"callreport_default": Api(SandboxSettings(calls=SyntheticCalls(CALLS_A_DAY)))},
            environment={
                "CALLREPORT_RECIPES": os.pathsep.join({str(folder / f"{name}.py") for name, _ in runs}),
                **environment,
            },
        ),
    )


@pytest.fixture(scope="module")
def done(airflow_runs: AirflowRuns) -> Evidence:
    """What the recipes leave behind whose other side is on this machine."""
    runs = [
        ("calls_by_hour", at("2026-10-16 01:20")),
        ("calls_by_hour", at("2026-10-16 12:20")),
        ("figures_with_duckdb", at("2026-10-16 06:00")),
        ("calls_by_agent_mail", at("2026-10-16 07:00")),
        ("calls_of_a_year", None),
        ("calls_to_redshift", at("2026-10-16 02:00")),
        *([("approve_then_mail", at("2026-10-01 02:00"))] if ASKS else []),
    ]
    return run(airflow_runs, "all", runs, CALLREPORT_ANSWER="Approve")


def states(evidence: Evidence, name: str) -> dict[str, str]:
    """Task ids and states of a recipe."""
    return {task_id: task.state for (dag_id, task_id, _), task in evidence.tasks.items() if dag_id == name}


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_a_dag_of_its_name_fit_for_daily_use(name: str) -> None:
    """every-airflow: no import error, no warning; retries, days of the account, no number in full, no `ds`."""
    dag = read(name)
    assert dag.dag_id == name
    assert (str(dag.timezone), dag.catchup) == ("Asia/Kolkata", False)
    for task in dag.tasks:
        options = getattr(task, "partial_kwargs", vars(task))
        assert options["retries"] >= 2 or "HITL" in str(type(task).__mro__), task.task_id
        if (redact := options.get("redact")) is not None:
            assert redact == {"Caller Number": "last4"}
    code = (RECIPES / f"{name}.py").read_text(encoding="utf-8").split('"""', 2)[2]
    assert not re.search(r"\bds\b", code), "the day of UTC"


def test_a_copy_of_the_examples_shows_no_recipe(tmp_path: Path) -> None:
    """every-airflow: a recipe without its provider is no import error of those who copied the folder."""
    shutil.copytree(ROOT / "example_dags", tmp_path / "dags")
    bag = DagBag(str(tmp_path / "dags"))
    assert bag.import_errors == {}
    assert set(bag.dags) == {path.stem for path in RECIPES.parent.glob("*.py")} - WITHOUT_DAG


# --- those that run --------------------------------------------------------------------------------------------------


def test_calls_by_hour(done: Evidence) -> None:
    """exact-window: three hours a run, each in its own partition, and none of the hour that has just begun."""
    assert set(states(done, "calls_by_hour").values()) == {"success"}
    hours = {key: stored.metadata for key, stored in done.objects.items() if key.startswith("calls_by_hour/")}
    assert {key: [facts[f"window-{end}"][11:16] for end in ("start", "end")] for key, facts in hours.items()} == {
        "calls_by_hour/dt=2026-10-15/hour=22/calls.parquet": ["22:00", "23:00"],
        "calls_by_hour/dt=2026-10-15/hour=23/calls.parquet": ["23:00", "00:00"],
        "calls_by_hour/dt=2026-10-16/hour=00/calls.parquet": ["00:00", "01:00"],
        "calls_by_hour/dt=2026-10-16/hour=09/calls.parquet": ["09:00", "10:00"],
        "calls_by_hour/dt=2026-10-16/hour=10/calls.parquet": ["10:00", "11:00"],
        "calls_by_hour/dt=2026-10-16/hour=11/calls.parquet": ["11:00", "12:00"],
    }


def test_figures_with_duckdb(airflow_runs: AirflowRuns, tmp_path: Path) -> None:
    """same-rows: yesterday's calls in the files that `calls_by_hour` wrote, and not those of today."""
    for name, old, new in [
        ("calls_by_hour", "LOOKBACK = 2", "LOOKBACK = 24"),
        ("figures_with_duckdb", "= 7\n", "= 1\n"),
    ]:
        code = (RECIPES / f"{name}.py").read_text(encoding="utf-8")
        assert code.count(old) == 1
        (tmp_path / f"{name}.py").write_text(code.replace(old, new), encoding="utf-8")
    runs = [("calls_by_hour", at("2026-10-16 01:20")), ("figures_with_duckdb", at("2026-10-16 06:00"))]
    done = run(airflow_runs, "figures", runs, folder=tmp_path)
    assert states(done, "figures_with_duckdb") == {"figures": "success"}
    figures = done.task("figures_with_duckdb", "figures").xcom
    keys = [key for key in done.objects if key.startswith("calls_by_hour/dt=")]
    assert len(keys) == 25
    assert sum(line["calls"] for line in figures) == CALLS_A_DAY
    assert any(line["talk_seconds"] > 0 for line in figures)


def test_figures_with_duckdb_of_days_with_a_missing_hour(done: Evidence) -> None:
    """whole-or-red: two hours of the week were exported; the task is red and names the first file that is missing."""
    assert states(done, "figures_with_duckdb") == {"figures": "failed"}
    first = "s3://reports/calls_by_hour/dt=2026-10-09/hour=00/calls.parquet"
    assert f"166 of 168 hours are missing, the first is {first}" in done.log


def test_calls_by_agent_mail(done: Evidence) -> None:
    """right-reader: the named managers get their own agents' files and no others, the head gets the rest."""
    assert states(done, "calls_by_agent_mail") == {"mails": "success"}
    files: dict[str, set[str]] = {}
    for mail in done.mails["smtp_default"]:
        for address in mail.recipients:
            files[address] = {str(part.get_filename()) for part in mail.message.iter_attachments()}
    north, head = files["head.north@example.com"], files["head@example.com"]
    assert all("Asha Rao" in name or "Vikram Singh" in name for name in north)
    assert not any(re.search("Asha Rao|Vikram Singh|Priya Nair", name) for name in head)
    assert files["head.south@example.com"] == files["deputy.south@example.com"]
    assert sum(file["rows"] for file in done.task("calls_by_agent_mail", "mails").xcom["files"]) <= CALLS_A_DAY


def test_calls_of_a_year(done: Evidence) -> None:
    """whole-or-red: twelve files and a manifest of all of them, which has as many calls as the API counts."""
    assert set(states(done, "calls_of_a_year").values()) == {"success"}
    manifest = json.loads(done.objects["archive/year=2025/manifest.json"].body)
    assert [file["uri"] for file in manifest["files"]] == [
        f"s3://reports/archive/year=2025/month={month:02}/calls.parquet" for month in range(1, 13)
    ]
    assert manifest["rows"] == manifest["reported_total"] == CALLS_A_DAY * 365


@pytest.fixture(params=["calls_to_redshift", "calls_to_snowflake"])
def warehouse(request: pytest.FixtureRequest, done: Evidence, tmp_path: Path) -> Any:
    """A recipe's tasks as functions that run its own statements in DuckDB, on the file that was exported."""
    duckdb: Any = pytest.importorskip("duckdb")
    dag = read(request.param)
    export = done.task("calls_to_redshift", "export").xcom
    file = tmp_path / "calls.parquet"
    file.write_bytes(done.objects["redshift/dt=2026-10-15/calls.parquet"].body)
    with duckdb.connect() as database:

        def statements(task_id: str, day: int) -> list[str]:
            context = {
                "data_interval_end": pendulum.instance(at(f"2026-10-{day + 1} 02:00")),
                "ti": SimpleNamespace(xcom_pull=lambda task_ids: export),
            }
            task = dag.get_task(task_id)
            sql = [task.sql] if isinstance(task.sql, str) else task.sql
            return [task.render_template(line, context).replace("TIMESTAMP_NTZ", "TIMESTAMP") for line in sql]

        def execute(task_id: str, day: int = 15) -> None:
            """A task; one transaction, where the recipe asks for it."""
            database.execute("BEGIN")
            try:
                for statement in statements(task_id, day):
                    database.execute(statement)
                database.execute("COMMIT")
            except BaseException:
                database.execute("ROLLBACK")
                raise

        def stage(day: int = 15) -> None:
            """By position, as Redshift does it: number, order and types are those of the staging table."""
            create = "create" if dag.has_task("create") else "stage"
            for statement in statements(create, day)[:2]:
                database.execute(statement)
            table = f"calls_staged_202610{day}"
            header = [column[0] for column in database.read_parquet(str(file)).description]
            assert header == [column[0] for column in database.table(table).description]
            database.read_parquet(str(file)).insert_into(table)

        def days() -> dict[str, int]:
            return {
                str(day): calls
                for day, calls in database.execute("SELECT day, count(*) FROM calls GROUP BY day").fetchall()
            }

        assert dag.get_task("load").autocommit is False
        (table,) = re.findall(r"^ +(CREATE TABLE .*?);", dag_docs(request.param), re.M | re.S)
        database.execute(table.replace("TIMESTAMP_NTZ", "TIMESTAMP"))
        database.execute("INSERT INTO calls (day) VALUES ('2026-10-14')")
        yield SimpleNamespace(database=database, file=file, execute=execute, stage=stage, days=days)


def test_a_day_is_loaded_once_however_often_it_is_loaded(warehouse: Any) -> None:
    """same-again: a load that is repeated leaves each call once, and other days as they were."""
    warehouse.stage()
    for _ in range(2):
        warehouse.execute("load")
    warehouse.execute("drop")
    assert warehouse.days() == {"2026-10-14": 1, "2026-10-15": CALLS_A_DAY}


def test_a_load_that_is_cleared_alone_never_takes_another_day(warehouse: Any) -> None:
    """whole-or-red: the day after is in a table of its own, and a table that is gone or has another number of rows
    than the export leaves the day as it was.
    """
    warehouse.stage(16)
    with pytest.raises(Exception, match="calls_staged_20261015"):
        warehouse.execute("load", 15)
    warehouse.stage(15)
    warehouse.execute("load", 15)
    warehouse.database.execute("INSERT INTO calls_staged_20261015 SELECT * FROM calls_staged_20261015")
    with pytest.raises(Exception, match=f"calls_staged_20261015 has not {CALLS_A_DAY} rows"):
        warehouse.execute("load", 15)
    assert warehouse.days() == {"2026-10-14": 1, "2026-10-15": CALLS_A_DAY}


def test_the_order_of_the_table_s_columns_is_free(warehouse: Any) -> None:
    """same-rows: a column that ALTER TABLE put last gets its own values."""
    warehouse.database.execute("ALTER TABLE calls DROP COLUMN status")
    warehouse.database.execute("ALTER TABLE calls ADD COLUMN status VARCHAR")
    warehouse.stage()
    warehouse.execute("load")
    names = "time, caller_number, campaign, agents, status, total_talk_duration, _unread"
    loaded = warehouse.database.table("calls").filter("day = '2026-10-15'").project(names).fetchall()
    exported = warehouse.database.read_parquet(str(warehouse.file)).project(names).fetchall()
    assert sorted(loaded, key=repr) == sorted(exported, key=repr)


def dag_docs(name: str) -> str:
    """The text above a recipe's code."""
    return (RECIPES / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]


def test_figures_to_chat(airflow_runs: AirflowRuns) -> None:
    """one-face: both messages have the calls of the file by status, and they add up."""
    read("figures_to_chat")
    with ScriptedServer((200, {}, b"ok")) as slack, ScriptedServer((202, {}, b"")) as teams:
        done = run(
            airflow_runs,
            "chat",
            [("figures_to_chat", at("2026-10-16 07:00"))],
            AIRFLOW_CONN_SLACK_DEFAULT=json.dumps(
                {"conn_type": "slackwebhook", "host": slack.url, "password": "T000/B000/a-secret-token"}
            ),
            AIRFLOW_CONN_TEAMS_WORKFLOW=json.dumps(
                {"conn_type": "generic", "password": f"{teams.url}/workflows/1/invoke?sig=a-secret-signature"}
            ),
        )
    assert set(states(done, "figures_to_chat").values()) == {"success"}
    counts = done.task("figures_to_chat", "figures").xcom
    assert sum(counts.values()) == CALLS_A_DAY
    lines = [f"{status}: {calls}" for status, calls in counts.items()]
    assert asked(slack) == ["/T000/B000/a-secret-token"]
    assert json.loads(slack.seen[0].body)["text"].splitlines() == [f"*Calls of 2026-10-15: {CALLS_A_DAY}*", *lines]
    assert asked(teams) == ["/workflows/1/invoke?sig=a-secret-signature"]
    (attachment,) = json.loads(teams.seen[0].body)["attachments"]
    title, facts = attachment["content"]["body"]
    assert title["text"] == f"Calls of 2026-10-15: {CALLS_A_DAY}"
    assert [f"{fact['title']}: {fact['value']}" for fact in facts["facts"]] == lines
    assert "a-secret" not in done.log


def asked(server: ScriptedServer) -> list[str]:
    """The paths that a server was asked for."""
    return [request.path for request in server.seen]


@pytest.mark.skipif(not ASKS, reason="dag.test() waits for an answer since Airflow 3.3")
def test_approve_then_mail(done: Evidence) -> None:
    """right-reader: who is asked sees rows and SHA-256; after a yes the very bytes that are in S3 are mailed."""
    assert set(states(done, "approve_then_mail").values()) == {"success"}
    stored = done.objects["statements/calls_2026-09-01.pdf"].body
    question = done.task("approve_then_mail", "approve").rendered["body"]
    assert hashlib.sha256(stored).hexdigest() in question
    assert f"{CALLS_A_DAY * 30} calls" in question
    (mail,) = [mail for mail in done.mails["smtp_default"] if mail.recipients == ("auditor@example.com",)]
    (attached,) = mail.message.iter_attachments()
    assert attached.get_payload(decode=True) == stored


@pytest.mark.skipif(not ASKS, reason="dag.test() waits for an answer since Airflow 3.3")
def test_approve_then_mail_after_a_no(airflow_runs: AirflowRuns) -> None:
    """right-reader: the file stays in S3, and nothing is mailed."""
    done = run(airflow_runs, "no", [("approve_then_mail", at("2026-10-01 02:00"))], CALLREPORT_ANSWER="Reject")
    assert states(done, "approve_then_mail") == {"export": "success", "approve": "success", "mail": "skipped"}
    assert list(done.objects) == ["statements/calls_2026-09-01.pdf"]
    assert list(done.mails["smtp_default"]) == []


@pytest.mark.skipif(not ASKS, reason="dag.test() waits for an answer since Airflow 3.3")
def test_approve_then_mail_of_a_file_that_was_changed(airflow_runs: AirflowRuns) -> None:
    """right-reader: what somebody put at the key after the question is not what was approved, and is not mailed."""
    done = run(
        airflow_runs,
        "changed",
        [("approve_then_mail", at("2026-10-01 02:00"))],
        CALLREPORT_ANSWER="Approve",
        CALLREPORT_OVERWRITE="statements/calls_2026-09-01.pdf",
    )
    assert states(done, "approve_then_mail") == {"export": "success", "approve": "success", "mail": "failed"}
    assert "is not the file that was approved" in done.log
    assert list(done.mails["smtp_default"]) == []
