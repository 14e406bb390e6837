"""A report that changes while it is read (moving-report)."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from support.api import DAY, SOAK, client_settings

from airflow_provider_callreport.api.errors import CallReportError, IncompleteReportError
from airflow_provider_callreport.api.paging import ReportReader
from airflow_provider_callreport.api.reading import Page

pytestmark = pytest.mark.slow

T = TypeVar("T")

HISTORIES = 20_000 if SOAK else 500

#: How the readings ended.
OUTCOMES: Counter[str] = Counter()


@dataclass(frozen=True)
class Regime:
    """What the vendor offers, and what may happen to its calls.

    Attributes:
        cursor: pages by cursor, else by page number.
        ids: rows carry the call's id; without ids they carry a ``sort`` key when there is a cursor, else nothing.
        moves: the time of a call may change, and its place with it.
    """

    cursor: bool
    ids: bool
    moves: bool

    @property
    def updates(self) -> bool:
        """Whether a row's content may change; without id and ``sort`` nobody could know that it is the same call."""
        return self.ids or self.cursor

    @property
    def replaces(self) -> bool:
        """Whether calls may be added and deleted between the same two requests.

        Page numbers cannot stand that: a call deleted in front draws one unread call past the border, and the call
        added behind makes the total right again. No sequence of answers shows it, short of reading everything twice.
        """
        return self.cursor and not self.moves


REGIMES = [
    Regime(cursor=True, ids=True, moves=False),
    Regime(cursor=True, ids=True, moves=True),
    Regime(cursor=True, ids=False, moves=False),
    Regime(cursor=False, ids=True, moves=False),
    Regime(cursor=False, ids=True, moves=True),
    Regime(cursor=False, ids=False, moves=False),
]


@dataclass(frozen=True)
class LiveCall:
    """A call as the vendor has it: ``number`` is what this test knows it by, ``version`` counts its changes."""

    number: int
    time: int
    version: int = 0


class LiveVendor:
    """Stands in for `CallReportClient`: the methods that a reader uses, over calls that change.

    Not over HTTP, for once: a history takes some tens of requests, and thousands of histories must run in a minute.
    What HTTP can do to an answer is the subject of the other modules; here it is the order of things.
    """

    def __init__(self, regime: Regime) -> None:
        self.settings = replace(client_settings("http://127.0.0.1"), cursor_page="zero")
        self.regime = regime
        self.calls: dict[int, LiveCall] = {}
        self.label = "number"
        self.keeps_ids = True

    def call(
        self,
        endpoint: str,
        fields: Mapping[str, Any],
        parse: Callable[[Any, bytes], T],
        *,
        raw_fields: Mapping[str, str],
        page: int,
        on_retry: Callable[[CallReportError], None] | None = None,
        check_size: Callable[[bytes], None] | None = None,
    ) -> T:
        """Answer a page, as JSON that is decoded again."""
        ordered = sorted(self.calls.values(), key=_key)
        cursor, size = json.loads(raw_fields["sAftr"]), fields["sz"]
        start = bisect_right(ordered, tuple(cursor), key=_key) if cursor else fields["page"] * size
        raw = json.dumps({"data": [self._row(call) for call in ordered[start : start + size]], "cnt": len(ordered)})
        return parse(json.loads(raw), raw.encode())

    def count(self, fields: Mapping[str, Any], *, max_retry_time: float) -> int:
        """Answer `reportCount`: asked when every ``cnt`` so far was as large as its page."""
        return len(self.calls)

    def _row(self, call: LiveCall) -> dict[str, Any]:
        row: dict[str, Any] = {self.label: call.number, "version": call.version}
        if self.regime.ids and self.keeps_ids:
            row["callId"] = f"call-{call.number}"
        if self.regime.cursor:
            row["sort"] = _key(call)
        return row


def _key(call: LiveCall) -> tuple[int, int]:
    return call.time, call.number


class MovingReport(RuleBasedStateMachine):
    """Calls are added, deleted, changed and moved between the pages of a report."""

    def __init__(self) -> None:
        super().__init__()
        self.next_number = 0
        self.pages: Iterator[Page] | None = None

    @initialize(
        regime=st.sampled_from(REGIMES),
        size=st.integers(1, 4),
        times=st.lists(st.integers(0, 9), max_size=14),
    )
    def open(self, regime: Regime, size: int, times: list[int]) -> None:
        self.regime, self.size = regime, size
        self.vendor = LiveVendor(regime)
        for time in times:
            self._add(time)
        self.start()

    @precondition(lambda self: self.pages is None)
    @rule()
    def start(self) -> None:
        """Begin to read."""
        vendor: Any = self.vendor
        self.reader = ReportReader(
            vendor, "calls", {}, DAY, page_size=self.size, rounds_wait=(0, 0, 0), reads_ahead=False
        )
        self.pages = self.reader.pages()
        self.got: list[int] = []
        self.always = set(self.vendor.calls)
        self.quiet = True
        self.gap: set[str] = set()
        self.vendor.keeps_ids = True

    @precondition(lambda self: self.pages is not None)
    @rule()
    def read_a_page(self) -> None:
        assert self.pages is not None
        self.gap = set()
        try:
            page = next(self.pages)
        except StopIteration:
            self._check()
        except IncompleteReportError as error:
            if self.quiet:
                raise AssertionError("nothing changed, and the report is refused") from error
            OUTCOMES["red"] += 1
            self.pages = None
        else:
            self.got += [record[self.vendor.label] for record in page.records]  # type: ignore[call-overload]

    @precondition(lambda self: self.regime.replaces or "delete" not in self.gap)
    @rule(time=st.integers(0, 9))
    def add(self, time: int) -> None:
        self._add(time)
        self._happened("add")

    @precondition(lambda self: self.vendor.calls and (self.regime.replaces or not self.gap & {"add", "move"}))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        number = self._pick(data)
        del self.vendor.calls[number]
        self.always.discard(number)
        self._happened("delete")

    # Without an id a changed row is another row: `docs/proof.md`, "Rows without any id".
    @precondition(lambda self: self.vendor.calls and self.regime.updates and self.vendor.keeps_ids)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        call = self.vendor.calls[self._pick(data)]
        self.vendor.calls[call.number] = replace(call, version=call.version + 1)
        self._happened("change")

    @precondition(lambda self: self.vendor.calls and self.regime.moves and "delete" not in self.gap)
    @rule(data=st.data(), time=st.integers(0, 9))
    def move(self, data: st.DataObject, time: int) -> None:
        call = self.vendor.calls[self._pick(data)]
        self.vendor.calls[call.number] = replace(call, time=time)
        self._happened("move")

    @precondition(lambda self: self.pages is not None)
    @rule()
    def rename(self) -> None:
        """The vendor calls a field otherwise from now on: pages of two spellings are no one report."""
        self.vendor.label = {"number": "Number", "Number": "number"}[self.vendor.label]
        self._happened("rename")

    @precondition(lambda self: self.pages is not None and self.regime.ids and not self.regime.moves)
    @rule()
    def lose_ids(self) -> None:
        """Rows have no id from now on, until the report is read anew."""
        self.vendor.keeps_ids = False
        self._happened("lose ids")

    def teardown(self) -> None:
        """Read to the end whatever is being read."""
        while self.pages is not None:
            self.read_a_page()

    def _add(self, time: int) -> None:
        self.vendor.calls[self.next_number] = LiveCall(self.next_number, time)
        self.next_number += 1

    def _pick(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.vendor.calls)))

    def _happened(self, what: str) -> None:
        self.gap.add(what)
        self.quiet = False

    def _check(self) -> None:
        """Green: every call that was there throughout has come, and none twice."""
        OUTCOMES["green, in peace" if self.quiet else "green, among changes"] += 1
        self.pages = None
        assert len(self.got) == len(set(self.got)), f"{self.got} has a call twice"
        assert self.always <= set(self.got), f"{self.always - set(self.got)} was there all the time and has not come"
        assert self.reader.proof is not None
        assert self.reader.proof.complete is True


def test_a_report_that_changes_is_whole_or_red() -> None:
    """moving-report: in 500 histories (soak: 20,000) a green report has every call that was there throughout, and none
    twice.
    """
    OUTCOMES.clear()
    run_state_machine_as_test(
        MovingReport,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    for end in ("red", "green, in peace", "green, among changes"):
        assert OUTCOMES[end] > HISTORIES / 20, OUTCOMES
