"""The facts of a report as people read them, made once for the mail, the sheet's Summary and the PDF's first page.

`report_facts` says what is known of a report in the words that all three use. Each of them decides only where the words
stand and how they look::

    facts = report_facts(info, outcome)
    facts.title, facts.window, facts.verdict, facts.note      # the head
    facts.tiles                                               # the large numbers
    facts.lines                                               # (label, text) pairs: from, until, calls, total, ...
    facts.by_hour, facts.rankings                             # tables and charts
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from airflow_provider_callreport.report import Figures, ReportInfo, ReportOutcome, Tally, TallyKind, wording

#: What a cover, a table and a mail say where there is no call.
NO_CALLS = "No calls in this window."

#: What stands in the place of the API's total where it gave none, or none that proves anything.
NO_TOTAL = "no usable total"

#: The line of a ranking that adds up the names behind its last one.
OTHERS = "(other)"

#: Names that a ranking shows; one more when it is the last.
TOP_NAMES = 10


@dataclass(frozen=True, slots=True)
class Ranking:
    """How many calls each status, agent or campaign has.

    Attributes:
        title: its heading: ``"Calls by agent"``.
        lines: most calls first, at most `TOP_NAMES` names, then ``"(other)"`` for two or more further names, then
            ``"no agent"`` for calls without one. ``Tally.kind`` tells the three apart.
        talk: what the lines' talk time is called, ``"Talk time"``, or empty when they have none.
    """

    title: str
    lines: tuple[Tally, ...]
    talk: str


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What is known of a report, in words.

    Attributes:
        title: the report's title.
        window: the window in few words: ``"15 Oct 2026"``.
        timezone: IANA name of the account's zone.
        start, end: both ends of the window, exactly; the end is not part of it.
        verdict: ``"Complete"``, ``"Not proved"`` or ``"Incomplete"``; ``"Complete so far"`` when the window was open.
        note: the proof, one sentence.
        still_open: one sentence when the window had not ended when the report was read, else empty.
        calls: number of calls: ``"1,200"``.
        total: the API's own total, or `NO_TOTAL`.
        filters: the filters, or ``"none"``.
        redacted: the redacted columns, or ``"none"``.
        tiles: the large numbers as (label, text) pairs: calls, and talk time where the report has it.
        by_hour: calls for each of the 24 hours of a day, named ``"00"`` to ``"23"``; empty without a column of times.
        no_time: calls without a readable time, which are in no hour.
        rankings: by status, agent and campaign, as far as the report has these columns.
    """

    title: str
    window: str
    timezone: str
    start: str
    end: str
    verdict: str
    note: str
    still_open: str
    calls: str
    total: str
    filters: str
    redacted: str
    tiles: tuple[tuple[str, str], ...]
    by_hour: tuple[Tally, ...]
    no_time: int
    rankings: tuple[Ranking, ...]

    @property
    def proof(self) -> str:
        """Verdict and proof in one text; the proof often begins with the verdict's first word."""
        says_it = self.note.casefold().startswith(self.verdict.partition(" ")[0].casefold())
        return self.note if says_it else f"{self.verdict}. {self.note}"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The facts that have no place of their own as (label, text) pairs."""
        return [
            ("From", self.start),
            ("Until", f"{self.end}, not included"),
            ("Time zone", self.timezone),
            ("Calls", self.calls),
            ("Total by the API", self.total),
            ("Completeness", self.proof),
            ("Filters", self.filters),
            ("Redacted columns", self.redacted),
        ]


def report_facts(info: ReportInfo, outcome: ReportOutcome) -> ReportFacts:
    """The facts of a report.

    Args:
        info: what was known before its first row.
        outcome: what is known after its last one; without figures there are no rankings and no hours.
    """
    figures = outcome.figures or Figures()
    by_hour = tuple(Tally(f"{hour:02}", calls) for hour, calls in enumerate(figures.by_hour or ()))
    return ReportFacts(
        title=info.title,
        window=wording.window(info.window_start, info.window_end),
        timezone=info.timezone,
        start=wording.exact_time(info.window_start),
        end=wording.exact_time(info.window_end),
        verdict=_verdict(outcome),
        note=outcome.note,
        still_open=_still_open(info, outcome),
        calls=wording.count(outcome.rows),
        total=_total(outcome),
        filters="; ".join(info.filters) or "none",
        redacted=", ".join(f"{column} ({how})" for column, how in info.redacted.items()) or "none",
        tiles=(("Calls", wording.count(outcome.rows)), *_talk_tiles(figures)),
        by_hour=by_hour,
        no_time=max(outcome.rows - sum(tally.calls for tally in by_hour), 0) if by_hour else 0,
        rankings=_rankings(figures),
    )


def top_names(tallies: Iterable[Tally], most: int = TOP_NAMES) -> tuple[Tally, ...]:
    """The lines of a ranking.

    Args:
        tallies: names, most calls first, and calls of several names and of none; also the lines of a longer ranking.
        most: how many names are shown.

    Returns:
        The first names; the others in one line, which never stands for a single name; last, calls without a name.
    """
    kinds: dict[TallyKind, list[Tally]] = {kind: [] for kind in TallyKind}
    for tally in tallies:
        kinds[tally.kind].append(tally)
    names = kinds[TallyKind.NAME]
    rest = names[most:] + kinds[TallyKind.OTHER]
    if len(rest) > 1:
        calls, talk_seconds = sum(tally.calls for tally in rest), sum(tally.talk_seconds for tally in rest)
        rest = [Tally(OTHERS, calls, talk_seconds, TallyKind.OTHER)]
    return (*names[:most], *rest, *kinds[TallyKind.NO_NAME])


def _rankings(figures: Figures) -> tuple[Ranking, ...]:
    columns = (("status", figures.by_status), ("agent", figures.by_agent), ("campaign", figures.by_campaign))
    return tuple(
        Ranking(f"Calls by {column}", top_names(_named(tallies, f"no {column}")), _talk(figures))
        for column, tallies in columns
        if tallies
    )


def _named(tallies: Iterable[Tally], no_name: str) -> Iterator[Tally]:
    names = {TallyKind.OTHER: OTHERS, TallyKind.NO_NAME: no_name}
    return (replace(tally, name=names.get(tally.kind, tally.name)) for tally in tallies)


def _talk_tiles(figures: Figures) -> list[tuple[str, str]]:
    if figures.talk_seconds is None:
        return []
    average = figures.talk_average
    # Talk time is that of answered calls; a call that nobody answered may have a duration too.
    averaged = "Average of calls with a duration" if figures.talk_is_call_time else "Average of answered calls"
    return [
        (_talk(figures), wording.duration(figures.talk_seconds)),
        (averaged, "none" if average is None else wording.duration(average)),
    ]


def _talk(figures: Figures) -> str:
    if figures.talk_seconds is None:
        return ""
    return "Call time" if figures.talk_is_call_time else "Talk time"


def _total(outcome: ReportOutcome) -> str:
    if outcome.reported_total is None:
        return NO_TOTAL
    whole = " (of the whole report)" if outcome.is_part else ""
    return f"{wording.count(outcome.reported_total)}{whole}"


def _verdict(outcome: ReportOutcome) -> str:
    if outcome.complete and outcome.window_open:
        return "Complete so far"
    return {True: "Complete", None: "Not proved", False: "Incomplete"}[outcome.complete]


def _still_open(info: ReportInfo, outcome: ReportOutcome) -> str:
    if not outcome.window_open:
        return ""
    read_at = ""
    if outcome.read_at is not None:
        local = outcome.read_at.astimezone(info.window_end.tzinfo).replace(second=0)
        read_at = f" (at {wording.time_of_day(local)} on {wording.day(local)}, {info.timezone})"
    return f"The window had not ended when this was read{read_at}; later calls are missing."
