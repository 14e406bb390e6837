"""``hook.get_df`` and ``hook.get_arrow``: a whole report as a data frame, or as a stream of Arrow record batches."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_overloads
from zoneinfo import ZoneInfo

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException
from pyarrow import parquet

from airflow_provider_callreport.api.errors import IncompleteReportError, SettingsError, TableError
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.delivery.object_storage import destination_at
from airflow_provider_callreport.export.road import ExportRequest, export_report
from airflow_provider_callreport.hooks.callreport import CallReportHook
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.call import LABELS, Call
from airflow_provider_callreport.sandbox.calls import ListedCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

DAY = datetime(2026, 3, 13)
CALLS = [
    Call(DAY + timedelta(hours=hour), number=f"91987650{hour:04d}", talk_duration=75 * hour, amount=hour / 2)
    for hour in range(24)
]
WINDOW: dict[str, Any] = {"window_start": "2026-03-13", "window_end": "2026-03-14"}
COLUMNS = ["Caller Number", "Time", "Total Talk Duration", "Amount"]
LIBRARIES = ("pandas", "polars")

Library = Literal["pandas", "polars"]


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(calls=ListedCalls(CALLS))) as one:
        yield one


@pytest.fixture
def connect(server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CallReportHook]:
    """Makes a hook for a connection to the server, with five calls a page."""

    def connect(**extra: Any) -> CallReportHook:
        connection = server.connection_json(page_size=5, max_retry_time=0, **extra)
        monkeypatch.setenv("AIRFLOW_CONN_CALLREPORT_DEFAULT", connection)
        return CallReportHook()

    return connect


def test_pandas_gets_its_own_types(connect: Callable[..., CallReportHook]) -> None:
    """Texts are strings, durations are durations, times have the account's zone."""
    frame = connect().get_df("calls", columns=COLUMNS, **WINDOW)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "Caller Number": "string",
        "Time": "datetime64[us, Asia/Kolkata]",
        "Total Talk Duration": "timedelta64[us]",
        "Amount": "Float64",
        "_unread": "string",
    }
    assert frame.iloc[3, :4].tolist() == [
        "919876500003",
        pandas.Timestamp("2026-03-13T03:00+05:30"),
        timedelta(seconds=225),
        1.5,
    ]
    assert frame["_unread"].isna().all()


def test_polars_gets_its_own_types(connect: Callable[..., CallReportHook]) -> None:
    """The same table as for pandas."""
    frame = connect().get_df("calls", columns=COLUMNS, df_type="polars", **WINDOW)
    assert frame.schema == {
        "Caller Number": polars.String(),
        "Time": polars.Datetime("us", "Asia/Kolkata"),
        "Total Talk Duration": polars.Duration("us"),
        "Amount": polars.Float64(),
        "_unread": polars.String(),
    }
    time = datetime(2026, 3, 13, 3, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert frame.row(3) == ("919876500003", time, timedelta(seconds=225), 1.5, None)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_has_every_column_and_call(connect: Callable[..., CallReportHook], library: Library) -> None:
    """whole-or-red: as `iter_rows` gives them, and filters go to the API."""
    hook = connect()
    frame = hook.get_df("calls", df_type=library, **WINDOW)
    assert (list(frame.columns), len(frame)) == ([*LABELS, "_unread"], 24)
    assert list(frame["Caller Number"]) == [row["Caller Number"] for row in hook.iter_rows("calls", **WINDOW)]
    assert len(hook.get_df("calls", {"cNum": "919876500007"}, df_type=library, **WINDOW)) == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frame_that_is_not_whole_is_an_error(
    connect: Callable[..., CallReportHook], server: SandboxServer, library: Library
) -> None:
    """whole-or-red: no part of a report is returned."""
    server.settings.faults = [Fault("wrong_total", by=-2)]
    with pytest.raises(IncompleteReportError, match="24 of 22 calls came"):
        connect().get_df("calls", df_type=library, **WINDOW)


def test_a_report_that_changed_is_read_again_for_a_frame(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """As for a file: the second reading is the one that is returned."""
    server.settings.faults = [Fault("shrinking_total", rows=2, end="oldest")]
    assert len(connect(use_report_count=False).get_df("calls", **WINDOW)) == 22


def test_a_value_that_cannot_be_read_is_kept_as_text(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """same-rows: nothing that the API sent is lost."""
    server.settings.calls = ListedCalls([Call(DAY, cells={"Amount": "n/a", "Call Duration": "soon"})])
    frame = connect().get_df("calls", **WINDOW)
    assert json.loads(frame["_unread"][0]) == {"Amount": "n/a", "Call Duration": "soon"}
    assert frame[["Amount", "Call Duration"]].isna().all(axis=None)


def test_a_duration_that_no_frame_holds_is_an_error(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """It is named, and `get_arrow` gives it."""
    server.settings.calls = ListedCalls([Call(DAY, cells={"Call Duration": 10**14})])
    with pytest.raises(TableError, match="column 'Call Duration' has a duration of more than 292,000 years"):
        connect().get_df("calls", **WINDOW)
    assert connect().get_arrow("calls", **WINDOW).read_all()["Call Duration"].to_pylist() == [1e14]


def test_a_report_without_calls_is_a_frame_with_columns(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """empty-report: the types are those of any other day."""
    hook = connect()
    empty = hook.get_df("calls", window_start="2026-03-15", window_end="2026-03-16")
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == hook.get_df("calls", **WINDOW).dtypes.to_dict()


def test_a_wall_time_that_comes_twice_is_the_second_one(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """As the windows of a day of 25 hours have it; one that clocks skip is the first after the gap."""
    times = [datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30)]
    server.settings.calls = ListedCalls([Call(time) for time in times])
    zone = "Europe/Berlin"
    frame = connect(timezone=zone).get_df("calls", columns=["Time"], window_start="2026-03-29", window_end="2026-10-26")
    assert [time.isoformat() for time in frame["Time"]] == ["2026-03-29T03:00:00+02:00", "2026-10-25T02:30:00+01:00"]


def test_batches_are_what_a_parquet_file_has(connect: Callable[..., CallReportHook], tmp_path: Path) -> None:
    """same-rows: schema, metadata and rows; a batch a page."""
    hook = connect()
    reader = hook.get_arrow("calls", **WINDOW)
    schema, batches = reader.schema, list(reader)
    assert [batch.num_rows for batch in batches] == [5, 5, 5, 5, 4]

    path = tmp_path / "calls.parquet"
    with hook.get_conn() as client:
        zone = hook.settings.timezone
        window = Window(datetime(2026, 3, 13, tzinfo=zone), datetime(2026, 3, 14, tzinfo=zone), zone)
        request = ExportRequest("calls", window, file_format="parquet")
        export_report(client, request, run=RunIdentity("d", "t", "r"), destination=destination_at(path.as_uri()))
    written = parquet.read_table(path)
    assert schema.equals(written.schema, check_metadata=True)
    assert pa.Table.from_batches(batches).equals(written)


def test_a_stream_that_is_not_whole_ends_in_an_error(
    connect: Callable[..., CallReportHook], server: SandboxServer
) -> None:
    """whole-or-red: behind the last batch, where `StopIteration` would say that all came."""
    server.settings.faults = [Fault("wrong_total", by=-2)]
    reader = connect().get_arrow("calls", **WINDOW)
    assert [reader.read_next_batch().num_rows for _ in range(5)] == [5, 5, 5, 5, 4]
    with pytest.raises(IncompleteReportError, match="24 of 22 calls came"):
        reader.read_next_batch()


def test_duckdb_reads_the_stream(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """whole-or-red: in threads of its own, and a report that is not whole is no result of a query."""
    query = "SELECT count(*), sum(Amount) FROM calls"
    calls = connect().get_arrow("calls", **WINDOW)
    assert duckdb.execute(query).fetchall() == [(24, 138.0)]
    server.settings.faults = [Fault("wrong_total", by=-2)]
    calls = connect().get_arrow("calls", **WINDOW)
    with pytest.raises(duckdb.Error, match="24 of 22 calls came"):
        duckdb.execute(query).fetchall()
    del calls


def test_a_stream_can_be_given_up(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """Pages are asked for as they are wanted, the first at once and at most one ahead."""
    reader = connect().get_arrow("calls", **WINDOW)
    assert reader.read_next_batch().num_rows == 5
    del reader
    assert 1 <= len(server.requests) <= 2


@pytest.mark.parametrize(
    ("read", "library", "extra"),
    [
        (lambda hook: hook.get_df(**WINDOW), "pandas", "pandas"),
        (lambda hook: hook.get_df(df_type="polars", **WINDOW), "polars", "polars"),
        (lambda hook: hook.get_df(**WINDOW), "pyarrow", "pandas"),
        (lambda hook: hook.get_arrow(**WINDOW), "pyarrow", "parquet"),
    ],
    ids=["pandas", "polars", "pyarrow for a frame", "pyarrow"],
)
def test_a_library_that_is_missing_is_named_before_anything_is_read(
    connect: Callable[..., CallReportHook],
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[CallReportHook], Any],
    library: str,
    extra: str,
) -> None:
    """With Airflow's own exception for it, and the extra that brings the library."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(AirflowOptionalProviderFeatureException, match=rf"{library} is not installed.*\[{extra}\]"):
        read(connect())
    assert server.requests == []


def test_another_df_type_is_refused(connect: Callable[..., CallReportHook], server: SandboxServer) -> None:
    """The nearest name is said."""
    arguments: dict[str, Any] = {"df_type": "panda", **WINDOW}
    with pytest.raises(SettingsError, match=r"df_type is 'panda' .did you mean 'pandas'"):
        connect().get_df(**arguments)
    assert server.requests == []


def test_an_editor_knows_which_frame_comes() -> None:
    """Overloads by ``df_type``, with the arguments of `get_df` itself."""
    arguments = list(inspect.signature(CallReportHook.get_df).parameters)
    overloads = [inspect.signature(one) for one in get_overloads(CallReportHook.get_df)]
    assert [list(one.parameters) for one in overloads] == [arguments, arguments]
    assert [(one.parameters["df_type"].annotation, one.return_annotation) for one in overloads] == [
        ("Literal['pandas']", "PandasDataFrame"),
        ("Literal['polars']", "PolarsDataFrame"),
    ]
