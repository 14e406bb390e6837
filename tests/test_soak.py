"""A soak: reports in every format to every destination while vendor, S3 and mail server misbehave. Right or red (E, D).

Each run has one or two faults, drawn from all that the sandbox knows. It must end as an undisturbed run would, with the
same bytes at each destination, or with an error of this package and nothing but whole files anywhere. A run that ended
red is tried again without faults, and must then be right.
"""

from __future__ import annotations

import csv
import queue
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from support.api import DAY, SOAK, WIDTH, client_of, truth
from support.delivery import MemoryRecord, smtp_connection

from airflow_provider_callreport.api.errors import CallReportError
from airflow_provider_callreport.delivery.email import EmailDestination
from airflow_provider_callreport.delivery.errors import DeliveryError, MailMaybeSentError
from airflow_provider_callreport.delivery.s3 import S3Destination
from airflow_provider_callreport.export.road import Export, ExportRequest, export_report
from airflow_provider_callreport.report import RunIdentity
from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import FAULTS, Fault, Stage
from airflow_provider_callreport.sandbox.servers import SandboxS3, SandboxServer, SandboxSmtp, SmtpSettings, TcpProxy
from airflow_provider_callreport.sandbox.settings import SandboxSettings

pytestmark = pytest.mark.slow

RUNS = 200 if SOAK else 40
SEED = 20_260_313
AT_ONCE = 4

#: Calls in the report, and calls a page: five pages, of which the last is short.
CALLS, PAGE = 56, 12

#: A silent server costs this many seconds, and a request is tried again for as long.
PATIENCE, RETRY_TIME = 1.0, 1.5

FORMATS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("csv", {}),
    ("csv", {"gzip": True}),
    ("jsonl", {}),
    ("xlsx", {}),
    ("pdf", {}),
    ("parquet", {}),
)

#: What faults are told, where their defaults would take minutes or gigabytes.
OPTIONS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "http_status": {"status": (408, 429, 500, 502, 503, 404), "times": (1, None)},
    "vendor_error": {"code": (1000, 1009, 1010, 1014, 1015, 1047, 1501), "times": (1, None)},
    "error_on_page": {"code": (1009, 1012, 1014, 1501), "page": (1, 2, 4), "times": (1, None)},
    "error_with_cnt": {"page": (1, 2), "times": (1, None)},
    "delay": {"seconds": (0.02, 0.2, 3.0), "page": (None, 2), "times": (2,)},
    "gzip_bomb": {"megabytes": (20,), "page": (None, 1)},
    "huge_body": {"megabytes": (8,), "declared": (True, False), "page": (None, 1)},
    "refuse_connections": {"seconds": (0.2, 4.0)},
    "reset_connection": {"after_bytes": (50, 500, 3000), "direction": ("up", "down")},
    "slow_connection": {"interval": (0.0005, 60.0)},
    "wrong_total": {"by": (5, -5, 1, -1, 10_000)},
    "growing_total": {"rows": (10, 30)},
    **{
        name: {"page": (0, 1, 3), "times": (1, None)}
        for name in ("html_page", "empty_body", "null_data", "missing_data", "empty_page", "odd_row", "truncated_json")
    },
    **{name: {"page": (1, 3)} for name in ("short_page", "overlapping_pages")},
    **{
        name: {"page": (None, 2), "times": (1, 2, None)}
        for name in ("no_answer", "reset_before_headers", "reset_mid_body", "truncated_body", "truncated_chunk")
    },
}

#: After it, nobody can say which calls an undisturbed run would have (moving-report: test_paging_machine).
LEFT_OUT = {"shrinking_total"}

#: What a mail server says.
MAIL_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "later": {"answer": "451 4.3.0 Try again later", "answer_times": 1},
    "never": {"answer": "554 5.7.1 Refused"},
    "dropped, kept": {"drop": "kept", "drop_times": 1},
    "dropped, lost": {"drop": "lost", "drop_times": 1},
    "recipient refused": {"refuse": {"second@example.com": "550 5.1.1 No such user here"}},
    "small": {"max_size": 2000},
}


class InParts(S3Destination):
    """An object in small parts."""

    part_bytes: ClassVar[int] = 3000


@dataclass(frozen=True)
class Scenario:
    """One run.

    Attributes:
        number: names its key, its recipient and its run.
        file_format, options: of the file.
        s3, in_parts, mail: where it goes, and how.
        if_exists: for S3.
        vendor: the API's settings.
        faults: at the vendor, in front of S3 and in front of SMTP.
        mail_answer: a key of `MAIL_ANSWERS`, or ``""``.
    """

    number: int
    file_format: str
    options: Mapping[str, Any]
    s3: bool
    in_parts: bool
    mail: bool
    if_exists: str
    vendor: Mapping[str, Any]
    faults: Mapping[str, Sequence[Fault]]
    mail_answer: str = ""

    @property
    def key(self) -> str:
        """The object's key."""
        return f"soak/{self.number}"

    @property
    def recipient(self) -> str:
        """The first recipient."""
        return f"soak-{self.number}@example.com"

    @property
    def request(self) -> ExportRequest:
        """What is exported."""
        return ExportRequest(
            "calls",
            DAY,
            file_format=self.file_format,
            format_options=self.options,
            page_size=PAGE,
            rounds_wait=(0.05, 0.05),
        )


@dataclass
class Bench:
    """A vendor, a line to S3 and a mail server, for one run at a time."""

    name: str
    api: SandboxServer
    s3: SandboxS3
    s3_line: TcpProxy
    smtp: SandboxSmtp
    smtp_line: TcpProxy

    def misbehave(self, scenario: Scenario) -> None:
        """Switch the scenario's faults on."""
        self.smtp.reset()
        self.api.settings = SandboxSettings(
            calls=SyntheticCalls(CALLS), faults=list(scenario.faults.get("vendor", ())), **scenario.vendor
        )
        self.s3_line.faults = list(scenario.faults.get("s3", ()))
        self.smtp_line.faults = list(scenario.faults.get("smtp", ()))
        self.smtp.settings = SmtpSettings(**MAIL_ANSWERS[scenario.mail_answer] if scenario.mail_answer else {})

    def behave(self) -> None:
        """Switch all faults off."""
        self.api.settings.faults = []
        self.s3_line.faults = self.smtp_line.faults = []
        self.smtp.settings = SmtpSettings()

    def export(self, scenario: Scenario, record: MemoryRecord) -> int:
        """Run it; the number of rows."""
        patience = {"timeout": PATIENCE, "deadline": 2 * PATIENCE, "connect_timeout": PATIENCE}
        limits = {"max_retry_time": RETRY_TIME, "max_response_bytes": 2_000_000}
        kind = InParts if scenario.in_parts else S3Destination
        with client_of(self.api, **patience, **limits) as client:
            summary = export_report(
                client,
                scenario.request,
                run=RunIdentity("soak", "export", str(scenario.number)),
                destination=kind("reports", scenario.key, f"aws_{self.name}", scenario.if_exists)
                if scenario.s3
                else None,
                email=EmailDestination(
                    to=[scenario.recipient, "second@example.com"],
                    smtp_conn_id=f"smtp_{self.name}",
                    on_oversize="link" if scenario.s3 else "fail",
                    answer_timeout=PATIENCE,
                )
                if scenario.mail
                else None,
                send_record=record,
            )
        return summary.outcome.rows

    def object(self, key: str) -> bytes | None:
        """What is at a key, by a line without faults."""
        keys = self.s3.keys()
        return self.s3.read(key) if key in keys else None


@pytest.fixture(scope="module")
def benches() -> Iterator[Sequence[Bench]]:
    # Airflow sets itself up at its first import, and that is not meant to happen in several threads at once.
    for module in ("airflow.providers.amazon.aws.hooks.s3", "airflow.providers.smtp.hooks.smtp"):
        import_module(module)
    with ExitStack() as running:
        patch = running.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
        s3 = running.enter_context(SandboxS3(["reports"]))
        made = [running.enter_context(bench(f"bench_{number}", s3, patch)) for number in range(AT_ONCE)]
        yield made


@contextmanager
def bench(name: str, s3: SandboxS3, patch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Servers, and Airflow's connections to them."""
    with (
        SandboxServer(proxy=True) as api,
        TcpProxy(s3.host, s3.port) as s3_line,
        SandboxSmtp() as smtp,
        TcpProxy(smtp.host, smtp.port) as smtp_line,
    ):
        config = {"connect_timeout": PATIENCE, "read_timeout": PATIENCE, "retries": {"total_max_attempts": 2}}
        patch.setenv(
            f"AIRFLOW_CONN_AWS_{name.upper()}",
            s3.connection_json(endpoint_url=f"http://{s3_line.host}:{s3_line.port}", config_kwargs=config),
        )
        patch.setenv(f"AIRFLOW_CONN_SMTP_{name.upper()}", smtp_connection(smtp_line.port, timeout=PATIENCE))
        yield Bench(name, api, s3, s3_line, smtp, smtp_line)


@dataclass(frozen=True)
class Verdict:
    """What became of a run.

    Attributes:
        scenario: which.
        error: None when it was right, else the error's class.
        struck: names of the faults that did strike.
    """

    scenario: Scenario
    error: str | None
    struck: tuple[str, ...]


def test_every_run_is_right_or_red(benches: Sequence[Bench]) -> None:
    """network-faults, all-or-nothing, one-mail: faults x formats x destinations; every run has the bytes of an
    undisturbed one, or is red.
    """
    scenarios = draw(RUNS)
    free: queue.Queue[Bench] = queue.Queue()
    for one in benches:
        free.put(one)

    def run(scenario: Scenario) -> Verdict:
        taken = free.get()
        try:
            return judge(taken, scenario)
        finally:
            free.put(taken)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = list(pool.map(run, scenarios))
    right = sum(verdict.error is None for verdict in verdicts)
    errors = Counter(verdict.error for verdict in verdicts if verdict.error)
    struck = Counter(name for verdict in verdicts for name in verdict.struck)
    print(f"\nseed {SEED}: {RUNS} runs, {right} right, {RUNS - right} red, 0 wrong; red: {dict(errors)}")
    print(f"{len(struck)} kinds of faults struck: {dict(sorted(struck.items()))}")
    assert right >= RUNS // 5, "not everything is given up"
    assert RUNS - right >= RUNS // 5, "the faults do harm"
    assert sum(bool(verdict.struck) for verdict in verdicts) >= 0.9 * RUNS


def judge(bench: Bench, scenario: Scenario) -> Verdict:
    """Run a scenario, look at every destination, and try again if it was red."""
    expected = undisturbed(scenario.file_format, tuple(scenario.options.items()), tuple(scenario.vendor.items()))
    record = MemoryRecord()
    bench.misbehave(scenario)
    error: Exception | None = None
    try:
        rows = bench.export(scenario, record)
    except (CallReportError, DeliveryError) as raised:
        error = raised
    else:
        assert rows == CALLS, f"{scenario}: {rows} rows"
    struck = tuple(struck_by(scenario))
    look(bench, scenario, expected, complete=error is None)
    if error is not None:
        bench.behave()
        try:
            assert export_later(bench, scenario, record) == CALLS
        except MailMaybeSentError:
            assert isinstance(error, MailMaybeSentError), f"{scenario}: in doubt after {error!r}"
            look(bench, scenario, expected, complete=False)
        else:
            look(bench, scenario, expected, complete=True)
    return Verdict(scenario, None if error is None else type(error).__name__, struck)


def export_later(bench: Bench, scenario: Scenario, record: MemoryRecord) -> int:
    """Try again, as Airflow does; a port that was closed takes some seconds to open again."""
    for _ in range(10):
        try:
            return bench.export(scenario, record)
        except (CallReportError, DeliveryError) as error:
            if not error.retryable:
                raise
            time.sleep(1)
    raise AssertionError(f"{scenario}: no later try is right")


def look(bench: Bench, scenario: Scenario, expected: bytes, *, complete: bool) -> None:
    """See that there are whole files only; and, of a run that says so, that each is there."""
    found = bench.object(scenario.key)
    is_whole = found in (expected, None)
    assert is_whole, f"{scenario}: a wrong object"
    mails = [mail for mail in bench.smtp.messages if scenario.recipient in mail.recipients]
    assert len(mails) <= 1, f"{scenario}: {len(mails)} mails"
    attached = [part.get_payload(decode=True) for mail in mails for part in mail.message.iter_attachments()]
    are_whole = attached in ([expected], [])
    assert are_whole, f"{scenario}: a wrong attachment"
    if complete:
        assert (found is not None) == scenario.s3, f"{scenario}: no object, and no error"
        assert len(mails) == scenario.mail, f"{scenario}: no mail, and no error"
        # Where a mail server takes no large mails, a link goes instead.
        assert len(attached) == len(mails) or scenario.mail_answer == "small", f"{scenario}: no attachment, no error"


@cache
def undisturbed(file_format: str, options: tuple[tuple[str, Any], ...], vendor: tuple[tuple[str, Any], ...]) -> bytes:
    """The file of an undisturbed run; that of plain CSV is held against the vendor's own calls."""
    calls = SyntheticCalls(CALLS)
    request = ExportRequest("calls", DAY, file_format=file_format, format_options=dict(options), page_size=PAGE)
    with (
        SandboxServer(SandboxSettings(calls=calls, **dict(vendor))) as api,
        client_of(api) as client,
        TemporaryDirectory() as folder,
    ):
        made = Export(client, request, Path(folder), wants_figures=True).make_files()
        content = made.files[0].path.read_bytes()
    if file_format == "csv" and not options:
        _, *rows = csv.reader(content.decode().splitlines())
        assert [tuple(row[:WIDTH]) for row in rows] == truth(calls)
    return content


def draw(runs: int) -> list[Scenario]:
    """The scenarios: every fault at every place comes before any comes twice."""
    chance = random.Random(SEED)
    places: list[tuple[str, str]] = [
        *(("vendor", name) for name in FAULTS if name not in LEFT_OUT),
        *((place, name) for place in ("s3", "smtp") for name in FAULTS if FAULTS[name].stage is Stage.CONNECTION),
        *(("mail server", name) for name in MAIL_ANSWERS),
    ]
    drawn: list[tuple[str, str]] = []
    while len(drawn) < runs:
        drawn += chance.sample(places, len(places))
    return [draw_one(chance, number, *drawn[number]) for number in range(runs)]


def draw_one(chance: random.Random, number: int, place: str, name: str) -> Scenario:
    """A scenario with this fault, and sometimes a second one."""
    faults: dict[str, list[Fault]] = {}
    if place != "mail server":
        faults[place] = [draw_fault(chance, name)]
    s3, mail = chance.choice(((True, False), (False, True), (True, True)))
    s3, mail = s3 or place == "s3", mail or place in ("smtp", "mail server")
    two = chance.random() < 0.3
    if two:
        second = chance.choice([one for one in ("vendor", "s3" if s3 else "", "smtp" if mail else "") if one])
        names = [one for one, kind in FAULTS.items() if kind.stage is Stage.CONNECTION or second == "vendor"]
        faults.setdefault(second, []).append(draw_fault(chance, chance.choice(sorted(set(names) - LEFT_OUT))))
    file_format, options = chance.choice(FORMATS)
    return Scenario(
        number=number,
        file_format=file_format,
        options=options,
        s3=s3,
        in_parts=chance.random() < 0.5,
        mail=mail,
        if_exists=chance.choice(("replace", "fail", "skip")),
        vendor=draw_vendor(chance, faults, two),
        faults=faults,
        mail_answer=name if place == "mail server" else "",
    )


def draw_fault(chance: random.Random, name: str) -> Fault:
    """A fault with options."""
    return Fault(name, **{option: chance.choice(values) for option, values in OPTIONS.get(name, {}).items()})


def draw_vendor(chance: random.Random, faults: Mapping[str, Sequence[Fault]], two: bool) -> dict[str, Any]:
    """How the API behaves. It gives a total in some way: without one, nothing could be proved."""
    names = {fault.name for fault in faults.get("vendor", ())}
    cursors = ["top", "row_sAftr", "row_sort"]
    if names.isdisjoint({"stuck_cursor", "cycling_cursor"}):
        cursors.append("none")
    # With two faults at once the only witness may be silenced by the one while the other takes calls away.
    counts = ["total", "text"] if two else ["total", "text", "page", "missing"]
    if "empty_page" in names and not two:
        # Twelve calls beside cnt 12, and then none beside cnt 12, is what a report of twelve calls looks like.
        counts.remove("page")
    return {
        "cursor": chance.choice(cursors),
        "ids": chance.random() < 0.5,
        "row_shape": chance.choice(("position", "label", "fields", "hit")),
        "cnt": chance.choice(counts),
        "page_size": PAGE,
    }


def struck_by(scenario: Scenario) -> Iterator[str]:
    """The faults that did strike."""
    for place, faults in scenario.faults.items():
        for fault in faults:
            if fault.hits:
                yield f"{place}: {fault.name}"
    if scenario.mail_answer:
        yield f"mail server: {scenario.mail_answer}"
