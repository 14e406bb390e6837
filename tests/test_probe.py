"""``callreport probe`` against small servers that are each odd in one way, and the sandbox that plays a profile.

Each server has one day of 60 calls, seven minutes apart. What the command says and what it saves is looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.api import DAY, KOLKATA, AnsweringServer, api_url, client_of, client_settings, listed, read_report, truth

from airflow_provider_callreport.api.client import CallReportClient
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.probe import MAX_REQUESTS, ProbeResult, probe
from airflow_provider_callreport.api.profile import Profile
from airflow_provider_callreport.cli.exit_codes import ExitCode
from airflow_provider_callreport.cli.main import main
from airflow_provider_callreport.sandbox.calls import Call, ListedCalls, SyntheticCalls
from airflow_provider_callreport.sandbox.from_profile import apply_profile
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import SandboxSettings

VARIABLE = "AIRFLOW_CONN_CALLREPORT_DEFAULT"
LABELS = ("Caller Number", "Time", "Agents", "Call Duration")
COLUMNS = {str(number): label for number, label in enumerate(LABELS, 1)}
#: What no file and no sentence may hold.
PHONE, NAME, TOKEN = "9198760", "Asha Canary", "canary-token-7f3a91"
CALLS = 60


def began(number: int) -> datetime:
    """When a call began: those beyond the 60th fill the rest of the day."""
    return datetime(2026, 3, 13, 8) + (
        timedelta(minutes=7 * number) if number < CALLS else timedelta(minutes=7 * CALLS, seconds=number)
    )


def cells(number: int, time: str = "%Y-%m-%d %H:%M:%S") -> tuple[Any, ...]:
    return f"{PHONE}{number:05}", began(number).strftime(time), NAME, number


def by_position(number: int) -> Any:
    """The usual row."""
    return {**dict(zip(COLUMNS, cells(number), strict=True)), "callId": f"call{number:023}"}


@dataclass
class Account:
    """A server. All but what a test changes is as documented, or as the reader expects it."""

    row: Callable[[int], Any] = by_position
    column_arr: Any = field(default_factory=lambda: COLUMNS)
    limit: int = 10_000
    refuses: bool = False
    obeys: str = "hours"
    pages: bool = True
    cursor: str = ""
    cursor_works: bool = True
    cnt: Callable[[int, int, int], Any] = lambda total, rows, before: total
    witness: Callable[[int], Any] = lambda total: {"cnt": total}
    beside: Mapping[str, Any] = field(default_factory=dict)
    empty: Mapping[str, Any] = field(default_factory=dict)
    calls: int = CALLS

    def answer(self, endpoint: str, body: dict[str, Any]) -> Any:
        """What `AnsweringServer` sends."""
        found = self._matching(body["filter"])
        if endpoint == "reportCount":
            return self.witness(len(found))
        size = body["sz"]
        if size > self.limit:
            if self.refuses:
                return 400, {"status": "error", "code": 1000, "message": f"sz must be at most {self.limit}"}
            size = self.limit
        before = body["page"] * size if self.pages else 0
        if self.cursor and body["sAftr"] and self.cursor_works:
            before = body["sAftr"][0] + 1
        on_page = found[before : before + size]
        rows = [self.row(number) for number in on_page]
        if self.cursor == "sort":
            rows = [{**row, "sort": [number]} for number, row in zip(on_page, rows, strict=True)]
        made = {"columnArr": self.column_arr, "data": rows, "cnt": self.cnt(len(found), len(rows), before)}
        if self.cursor == "sAftr":
            made["sAftr"] = on_page[-1:]
        made = {**made, **self.beside, **({} if rows else self.empty)}
        return {key: value for key, value in made.items() if value is not None}

    def _matching(self, asked: Mapping[str, Any]) -> list[int]:
        first, last = (datetime.fromisoformat(asked[key]) for key in ("dtGte", "dtLte"))
        if self.obeys == "dates":
            first, last = first.replace(hour=0, minute=0), last.replace(hour=23, minute=59)
        every = range(self.calls)
        return list(every) if self.obeys == "nothing" else [one for one in every if first <= began(one) <= last]


@dataclass(frozen=True)
class Probed:
    """How the command ended, what it said, and what it saved."""

    code: int
    out: str
    saved: dict[str, Any]
    requests: int

    def line(self, topic: str) -> str:
        """What it says of a topic."""
        return "\n".join(re.findall(rf"^- {re.escape(topic)}: (.*)$", self.out, re.MULTILINE))

    @property
    def settings(self) -> dict[str, Any]:
        """What it proposes to paste."""
        line = next(line for line in self.out.splitlines() if line.startswith("{"))
        pasted: dict[str, Any] = json.loads(line)
        return pasted


@pytest.fixture
def probed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Probed]:
    """Runs the command against a server."""

    def run(account: Account, *arguments: str, **extra: Any) -> Probed:
        path = tmp_path / "profile.json"
        with AnsweringServer(account.answer) as server:
            connection = {"conn_type": "callreport", "host": server.url, "login": "canary-user", "password": TOKEN}
            monkeypatch.setenv(VARIABLE, json.dumps({**connection, "extra": extra}))
            capsys.readouterr()
            code = main(["probe", "--start", "2026-03-13", "--save", str(path), "--force", *arguments])
            said = capsys.readouterr()
        assert len(server.asked) <= MAX_REQUESTS
        everything = said.out + said.err + path.read_text(encoding="utf-8")
        assert not [secret for secret in (PHONE, NAME, TOKEN, "canary-user") if secret in everything]
        assert not re.search(r"\d{8}", everything)
        return Probed(code, said.out, json.loads(path.read_text(encoding="utf-8")), len(server.asked))

    return run


def label_row(number: int) -> Any:
    return {**dict(zip(LABELS, cells(number), strict=True)), "callId": f"call{number:023}"}


def field_row(number: int) -> Any:
    return dict(zip(("cNumber", "ivrSTime", "agents", "ivrDuration"), cells(number), strict=True))


def array_row(number: int) -> Any:
    return list(cells(number))


def ragged_row(number: int) -> Any:
    return list(cells(number)) if number % 2 else list(cells(number))[:3]


def from_zero(number: int) -> Any:
    return {str(place): cell for place, cell in enumerate(cells(number))}


def leg_row(number: int) -> Any:
    return {**by_position(number), "callId": f"call{number // 2:023}"}


def no_id_row(number: int) -> Any:
    return {**by_position(number), "callId": "" if number == 7 else f"call{number:023}"}


def panel_row(number: int) -> Any:
    return dict(zip(COLUMNS, cells(number, "%d/%m/%Y %I:%M %p"), strict=True))


def month_row(number: int) -> Any:
    return dict(zip(COLUMNS, cells(number, "%m/%d/%Y %H:%M:%S.250"), strict=True))


#: Server; topic and what is said of it; what the profile has of it; settings to paste; exit status.
CASES: dict[str, tuple[Account, dict[str, str], dict[str, Any], dict[str, Any], ExitCode]] = {
    "as expected": (
        Account(),
        {
            "page size": r"1,000 calls a page are taken",
            "pages": "page 1 follows page 0",
            "cnt": "cnt is the number of all calls",
            "reportCount": "agrees with the list",
            "cursor": "no cursor",
            "hours": "has the calls of that hour",
            "no calls": "as documented",
            "window": "all calls are of the day",
            "other report": "both reports have as many calls",
            "unknown filter": "is ignored",
        },
        {"rows": "position", "id": "callId", "count": "total", "report_count": "agrees", "cursor": "none"},
        {},
        ExitCode.OK,
    ),
    "clamps the page size": (
        Account(limit=25),
        {"page size": r"1,000 calls a page were asked for and 25 came", "pages": "page 1 follows page 0"},
        {"page_size": 25},
        {"page_size": 25},
        ExitCode.OK,
    ),
    "clamps the page size, and nothing tells the total": (
        Account(limit=25, cnt=lambda *_: None, witness=lambda _: None),
        {"page size": r"and 25 came: that is the limit", "cnt": "no cnt that can be used"},
        {"page_size": 25, "count": "none", "report_count": "missing"},
        {"page_size": 25},
        ExitCode.SETTING,
    ),
    "refuses large pages": (
        Account(limit=120, refuses=True),
        {"page size": r"1,000 and 500 calls a page are refused, 100 are taken \(sz must be at most 120"},
        {"page_size": 100},
        {"page_size": 100},
        ExitCode.OK,
    ),
    "obeys the date only": (
        Account(obeys="dates"),
        {"hours": "obeys the date only, so ask for whole days"},
        {"rows": "position"},
        {},
        ExitCode.SETTING,
    ),
    "does not obey the window": (
        Account(obeys="nothing"),
        {"hours": "ask for whole days", "no calls": "a day of the year 2001 has calls"},
        {},
        {},
        ExitCode.SETTING,
    ),
    "does not obey its cursor": (
        Account(cursor="sort", cursor_works=False),
        {"cursor": "it is not obeyed; pages are asked for by number", "pages": "page 1 follows page 0"},
        {"cursor": "none"},
        {},
        ExitCode.OK,
    ),
    "cursor in the rows": (
        Account(cursor="sort"),
        {"cursor": r"the last row's sort\), and it is obeyed"},
        {"cursor": "row sort"},
        {},
        ExitCode.OK,
    ),
    "cursor of the answer, and no page numbers": (
        Account(cursor="sAftr", pages=False),
        {"cursor": r"\(sAftr\), and it is obeyed", "pages": "page 1 repeats page 0"},
        {"cursor": "top"},
        {},
        ExitCode.OK,
    ),
    "neither pages nor cursor": (
        Account(pages=False),
        {"pages": "page 1 repeats page 0"},
        {"cursor": "none"},
        {},
        ExitCode.SETTING,
    ),
    "reportCount counts other calls": (
        Account(witness=lambda total: {"cnt": total + 9}),
        {"reportCount": "counts 69 and the list has 60"},
        {"report_count": "differs"},
        {"use_report_count": False},
        ExitCode.SETTING,
    ),
    "reportCount is missing": (
        Account(witness=lambda _: None),
        {"reportCount": "gives no number"},
        {"report_count": "missing"},
        {},
        ExitCode.OK,
    ),
    "cnt is the page's": (
        Account(cnt=lambda total, rows, before: rows),
        {"cnt": "rows of its page"},
        {"count": "page", "report_count": "agrees"},
        {},
        ExitCode.OK,
    ),
    "cnt is that of the calls so far": (
        Account(cnt=lambda total, rows, before: before + rows),
        {"cnt": "until this page"},
        {"count": "so far"},
        {},
        ExitCode.OK,
    ),
    "cnt stops at 1,000": (
        Account(calls=1_900, limit=100, cnt=lambda total, rows, before: min(total, 1_000)),
        {"cnt": "stops counting at 1,000"},
        {"count": "capped", "cap": 1_000},
        {"page_size": 100},
        ExitCode.OK,
    ),
    "empty answers carry a sentence": (
        Account(empty={"message": "No calls in this range"}, witness=lambda _: None),
        {"no calls": "also has message"},
        {},
        {"empty_answer": {"message": "No calls in this range"}},
        ExitCode.SETTING,
    ),
    "empty answers carry a sentence with a number": (
        Account(empty={"note": f"Nothing for {PHONE}12345"}),
        {"no calls": "also has note, with what may be a number"},
        {},
        {},
        ExitCode.OK,
    ),
    "empty answers look like an error": (
        Account(empty={"success": False}),
        {"no calls": "looks like an error"},
        {},
        {},
        ExitCode.SETTING,
    ),
    "keys beside the documented ones": (
        Account(beside={"status": "success", "server": "node-2", "owner": f"{PHONE}12345", "who": TOKEN}),
        {"further keys": "owner, who|answers have owner"},
        {"beside": {"status": ["success"], "server": ["node-2"]}},
        {},
        ExitCode.OK,
    ),
    "twelve-hour times, the day first": (
        Account(row=panel_row),
        {"times": "with AM and PM, the day before the month", "ids": "no id"},
        {"time": {"day_first": True, "twelve_hours": True, "fractions": False}, "id": ""},
        {},
        ExitCode.OK,
    ),
    "the month first, with parts of a second": (
        Account(row=month_row),
        {"times": "with parts of a second, the month before the day"},
        {"time": {"day_first": False, "twelve_hours": False, "fractions": True}},
        {},
        ExitCode.OK,
    ),
    "rows by label": (
        Account(row=label_row),
        {"rows": "keyed by the column's label; 4 columns"},
        {"rows": "label", "columns": [[label, label] for label in LABELS], "further": ["callId"]},
        {},
        ExitCode.OK,
    ),
    "rows by field": (
        Account(row=field_row, column_arr=None),
        {"rows": "fields of their own", "ids": "no id"},
        {"rows": "field", "id": ""},
        {},
        ExitCode.OK,
    ),
    "rows as arrays": (
        Account(row=array_row),
        {"rows": "arrays, in the order of the columns", "ids": "no id"},
        {"rows": "array", "width": 4, "columns": [[label, at] for at, label in enumerate(LABELS)]},
        {},
        ExitCode.OK,
    ),
    "arrays without their last cells": (
        Account(row=ragged_row),
        {"rows": "put the profile into the connection"},
        {"ragged": True, "width": 4},
        {},
        ExitCode.SETTING,
    ),
    "rows by position from 0": (
        Account(row=from_zero),
        {"rows": "keyed by the column's position"},
        {"rows": "position", "columns": [[label, str(at)] for at, label in enumerate(LABELS)]},
        {},
        ExitCode.OK,
    ),
    "legs of a call": (
        Account(row=leg_row),
        {"ids": "legs of one call are rows of their own"},
        {"id": "callId", "legs": True},
        {},
        ExitCode.OK,
    ),
    "a row without an id": (Account(row=no_id_row), {"ids": "no id"}, {"id": ""}, {}, ExitCode.OK),
    "rows that are keyed in two ways": (
        Account(row=lambda number: label_row(number) if number % 2 else by_position(number)),
        {"rows": "the rows cannot be read"},
        {"rows": None, "count": "total"},
        {},
        ExitCode.SETTING,
    ),
    "columnArr is text": (
        Account(column_arr="Time"),
        {"rows": "columnArr is str"},
        {"rows": None},
        {},
        ExitCode.SETTING,
    ),
    "columns named by numbers": (
        Account(row=lambda number: {**field_row(number), f"{PHONE}12345": 1}, column_arr=None),
        {"rows": "look like numbers"},
        {},
        {},
        ExitCode.OK,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_account_is_like(probed: Callable[..., Probed], name: str) -> None:
    """account-probe: in words, in the profile, in the settings to paste, and in the exit status."""
    account, words, profile, settings, code = CASES[name]
    found = probed(account)
    for topic, pattern in words.items():
        assert re.search(pattern, found.line(topic)), (topic, found.out)
    assert {key: found.saved.get(key) for key in profile} == profile
    assert {key: value for key, value in found.settings.items() if key != "profile"} == settings
    assert found.code == code, found.out
    assert Profile.parse(found.saved) is not None, "the connection takes what was saved"


# --- the requests ----------------------------------------------------------------------------------------------------


def test_a_faulty_account_gets_no_more_than_fifteen_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """account-probe: each question is asked once more after a fault that passes, and what is left is not asked."""
    monkeypatch.setattr("airflow_provider_callreport.api.probe._WAIT", 0.01)
    well = Account(limit=60, refuses=True, cursor="sort")
    asked: list[str] = []

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        asked.append(endpoint)
        odd = len(asked) % 2 and len(asked) > 1
        return (503, {"status": "error", "code": 1010, "message": "busy"}) if odd else well.answer(endpoint, body)

    with AnsweringServer(answer) as server, client_of(server) as client:
        found = probe(client, "calls", DAY)
        assert client.requests_made == len(server.asked) <= MAX_REQUESTS
    assert found.requests == len(asked) >= MAX_REQUESTS - 1
    last = found.findings[-1]
    assert (last.verdict, "which is the limit" in last.sentence) == ("unknown", True)


def test_it_keeps_the_pace_of_the_connection(probed: Callable[..., Probed]) -> None:
    """account-probe, request-pace: requests_per_second of the connection holds for the questions too."""
    before = datetime.now(UTC)
    found = probed(Account(), requests_per_second=20)
    assert datetime.now(UTC) - before >= timedelta(seconds=(found.requests - 1) / 20)


def test_it_only_reads(probed: Callable[..., Probed]) -> None:
    """account-probe: list, masklist and reportCount, and nothing else."""
    account = Account()
    endpoints: set[str] = set()
    whole = account.answer

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        endpoints.add(endpoint)
        return whole(endpoint, body)

    account.answer = answer  # type: ignore[method-assign]
    probed(account)
    assert endpoints == {"list", "masklist", "reportCount"}


def test_an_api_that_limits_the_pace_is_named() -> None:
    """account-probe: the question is asked again after Retry-After, and the setting is proposed."""
    well = Account()
    asked: list[str] = []

    def answer(endpoint: str, body: dict[str, Any]) -> Any:
        asked.append(endpoint)
        limited = len(asked) == 2
        return (429, {"status": "error", "message": "too many"}) if limited else well.answer(endpoint, body)

    with AnsweringServer(answer) as server, client_of(server) as client:
        found = probe(client, "calls", DAY)
    assert (found.settings["requests_per_second"], found.needs_setting) == (1, True)
    assert found.profile.page_size == 1_000


def test_the_profile_of_the_connection_is_compared(probed: Callable[..., Probed]) -> None:
    """account-probe: what has changed since is named."""
    first = probed(Account())
    again = probed(Account(), profile=first.saved)
    assert (again.code, again.line("profile")) == (ExitCode.OK, "the connection's profile is still right.")
    changed = probed(Account(row=label_row), profile=first.saved)
    assert changed.code == ExitCode.SETTING
    assert "another rows, columns: put the new one" in changed.line("profile")


def test_masked_calls_are_counted_apart(probed: Callable[..., Probed]) -> None:
    """account-probe: that reportCount counts other calls than masklist needs no setting."""
    found = probed(Account(witness=lambda total: {"cnt": total + 9}), "--report", "masked_calls")
    assert (found.code, found.saved["report_count"]) == (ExitCode.OK, "differs")
    assert found.line("reportCount") == "reportCount counts 69, the list 60: it counts other calls."
    assert found.line("other report") == "calls can be read; reportCount counts neither of the two reports."


# --- the window ------------------------------------------------------------------------------------------------------


def look(account: Account, window: Window = DAY, zone: str = "Asia/Kolkata", **options: Any) -> ProbeResult:
    """Probe without the command."""
    with (
        AnsweringServer(account.answer) as server,
        CallReportClient(client_settings(api_url(server), timezone=ZoneInfo(zone))) as client,
    ):
        return probe(client, "calls", window, **options)


def test_a_day_with_calls_is_looked_for() -> None:
    """account-probe: where yesterday has no calls, a day of the month before is taken."""
    later = Window(DAY.start + timedelta(days=9), DAY.end + timedelta(days=9), KOLKATA)
    found = look(Account(), later, look_back=True)
    assert (found.window, found.profile.rows) == (DAY, "position")


def test_no_calls_at_all_is_said() -> None:
    """account-probe: nothing is learned of rows, and the sentence says what to do."""
    found = look(Account(calls=0), look_back=True)
    assert "name a day with calls (--start)" in next(one.sentence for one in found.findings if one.topic == "calls")
    assert (found.profile.rows, found.profile.columns, found.needs_setting) == (None, (), False)


@pytest.mark.parametrize(
    ("zone", "minutes_ago", "verdict", "proposed"),
    [
        ("Asia/Kolkata", 4, "works", None),
        ("Asia/Kolkata", 300, "unknown", None),
        ("UTC", 4, "setting", "Asia/Kolkata"),
        ("Asia/Dubai", 4, "setting", "Asia/Kolkata"),
        ("Asia/Singapore", 4, "unknown", None),
    ],
)
def test_the_newest_call_is_held_against_the_clock(
    zone: str, minutes_ago: int, verdict: str, proposed: str | None
) -> None:
    """account-probe: a call of the future shows that the connection's time zone is not the account's."""
    account = Account()
    newest = began(CALLS - 1).replace(tzinfo=KOLKATA)
    window = Window(
        datetime(2026, 3, 13, tzinfo=ZoneInfo(zone)), datetime(2026, 3, 14, tzinfo=ZoneInfo(zone)), ZoneInfo(zone)
    )
    found = look(account, window, zone, now=newest + timedelta(minutes=minutes_ago))
    said = next(one for one in found.findings if one.topic == "time zone")
    assert (said.verdict, found.settings.get("timezone")) == (verdict, proposed)


@pytest.mark.parametrize(("zone", "verdict"), [("Asia/Kolkata", "works"), ("UTC", "unknown")])
def test_the_newest_call_of_a_busy_account_is_not_on_the_first_page(zone: str, verdict: str) -> None:
    """account-probe: a full page of the last two hours says nothing of the newest call, so it is looked for apart."""
    here = ZoneInfo(zone)
    window = Window(datetime(2026, 3, 13, tzinfo=here), datetime(2026, 3, 14, tzinfo=here), here)
    found = look(Account(limit=5), window, zone, now=began(CALLS - 1).replace(tzinfo=KOLKATA) + timedelta(minutes=1))
    assert next(one.verdict for one in found.findings if one.topic == "time zone") == verdict


def test_calls_that_are_filed_elsewhere_need_slack(probed: Callable[..., Probed]) -> None:
    """account-probe: a call two hours off the window is a setting to paste."""

    def late(number: int) -> Any:
        return {**by_position(number), "2": "2026-03-14 01:30:00"} if number == 59 else by_position(number)

    found = probed(Account(row=late))
    assert (found.code, found.settings["window_slack"]) == (ExitCode.SETTING, 7200)


# --- the command -----------------------------------------------------------------------------------------------------


def test_json_says_the_same(probed: Callable[..., Probed], capsys: pytest.CaptureFixture[str]) -> None:
    """account-probe: one object for machines, with the profile in it."""
    found = probed(Account(limit=25), "--json")
    said = json.loads(found.out)
    assert said["profile"] == found.saved
    assert (said["settings"], said["needs_setting"], said["requests"]) == ({"page_size": 25}, False, found.requests)
    assert said["window"]["start"] == "2026-03-13T00:00:00+05:30"
    assert {"topic": "cnt", "verdict": "works", "sentence": "cnt is the number of all calls."} in said["findings"]


def test_a_setting_that_is_there_is_not_asked_for_again(probed: Callable[..., Probed]) -> None:
    """account-probe: what the connection already says needs no person."""
    differs = Account(witness=lambda total: {"cnt": total + 9})
    assert probed(differs, use_report_count=False).code == ExitCode.OK
    sentence = Account(empty={"message": "No calls"}, witness=lambda _: None)
    assert probed(sentence, empty_answer={"message": "No calls"}).code == ExitCode.OK


def test_wrong_arguments_and_accounts_ask_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """account-probe, clear-sentence: one sentence and the right status; a file that exists stays."""
    with SandboxServer() as server:
        monkeypatch.setenv(VARIABLE, server.connection_json())
        assert main(["probe", "--end", "2026-03-13"]) == ExitCode.USAGE
        assert "--end is given without --start" in capsys.readouterr().err
        path = tmp_path / "profile.json"
        path.write_text("mine", encoding="utf-8")
        assert main(["probe", "--save", str(path)]) == ExitCode.FILE
        assert (path.read_text(encoding="utf-8"), server.requests) == ("mine", [])
        server.settings.token = "another"
        assert main(["probe"]) == ExitCode.CONNECTION


# --- the sandbox plays a profile -------------------------------------------------------------------------------------


@contextmanager
def playing(account: Account, profile: Mapping[str, Any]) -> Iterator[tuple[SandboxServer, ListedCalls]]:
    """The sandbox with the account's calls of the day and with its shape."""
    calls = listed(*(Call(began(number), number=f"91{PHONE}{number:03}") for number in range(account.calls)))
    settings = SandboxSettings(calls=calls, masked_calls=calls)
    apply_profile(settings, profile)
    with SandboxServer(settings) as server:
        yield server, calls


#: Accounts whose reports can be read to the end with nothing but their profile.
READABLE = [
    name
    for name, (account, _, profile, settings, _) in CASES.items()
    if account.obeys == "hours" and not account.empty and "use_report_count" not in settings and "beside" not in profile
    if name
    not in (
        "neither pages nor cursor",
        "columns named by numbers",
        "rows that are keyed in two ways",
        "columnArr is text",
    )
]


@pytest.mark.parametrize("name", READABLE)
def test_the_sandbox_plays_the_account(name: str) -> None:
    """account-probe: the sandbox with a profile is probed to the same profile, and both can be exported with it."""
    account = CASES[name][0]
    learned = look(account).profile
    pinned = {"profile": learned.to_json(), "page_size": None}
    with AnsweringServer(account.answer) as server:
        real = read_report(server, client=pinned)
    with playing(account, learned.to_json()) as (sandbox, calls), client_of(sandbox) as client:
        assert probe(client, "calls", DAY).profile == learned
        played = read_report(sandbox, client=pinned)
        assert len(played.rows) == len(truth(calls)) == account.calls
    assert len(real.rows) == account.calls
    assert played.header == real.header


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"row_shape": "label", "cursor": "row_sAftr"},
        {"row_shape": "fields", "ids": False},
        {"row_shape": "hit", "cursor": "row_sort"},
        {"row_shape": "array", "cursor": "top"},
        {"time_shape": "dmy", "max_page_size": 150},
        {"max_page_size": 150, "page_size_policy": "refuse", "report_count": "missing"},
        {"cnt": "page", "report_count": "differs"},
        {"cnt": "so_far"},
        {"columns_shape": "list", "hide_section": "missing"},
        {"labels": ("Time", "Agents", "Agents", "Status", "Score")},
        {"beside": {"status": ["success"], "took": []}},
    ],
    ids=str,
)
def test_the_sandbox_plays_itself(settings: dict[str, Any]) -> None:
    """account-probe: of each shape of the sandbox a profile is learned, with which the sandbox has that shape again."""
    with SandboxServer(SandboxSettings(calls=SyntheticCalls(400), **settings)) as server, client_of(server) as client:
        first = probe(client, "calls", DAY).profile
    again = SandboxSettings(calls=SyntheticCalls(400))
    apply_profile(again, json.loads(json.dumps(first.to_json())))
    with SandboxServer(again) as server, client_of(server) as client:
        assert probe(client, "calls", DAY).profile == first
        extra = {"page_size": None, "profile": first.to_json(), "use_report_count": first.report_count != "differs"}
        assert len(read_report(server, client=extra).rows) == 400


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "which is no profile"),
        ("{", "which is no profile"),
        ('{"version": 1, "count": "many"}', "the profile has count: 'many'; allowed are total, page"),
        ('{"version": 1, "columns": [["Time", "1"]], "rows": "odd"}', "the profile has rows: 'odd'"),
    ],
)
def test_the_sandbox_refuses_what_is_no_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    """account-probe, clear-sentence: status 2, before a server starts."""
    path = tmp_path / "profile.json"
    path.write_text(text, encoding="utf-8")
    assert main(["sandbox", "--profile", str(path)]) == ExitCode.USAGE
    assert sentence in capsys.readouterr().err
    assert main(["sandbox", "--profile", str(tmp_path / "none.json")]) == ExitCode.USAGE
