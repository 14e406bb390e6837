"""What the rooms hand to each other: a report's columns, rows, description, figures and finished files.

This package is the vocabulary that the rooms share. ``api`` turns the vendor's answers into `Column` and `Row`,
``formats`` turns those into an `ExportedFile`, ``delivery`` carries that file to its place; the three do not know each
other. `facts` says what is known of a report in the words of mail, sheet and PDF, and `wording` how numbers and times
are written in them. Nothing here imports Airflow, ``requests`` or a file library, so importing it costs nothing in a
Dag file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

#: One typed cell. ``datetime`` is naive and in the account's time zone (as the API prints it). In a column of any
#: kind a ``str`` may stand where the API sent something that could not be read as that kind: nothing is dropped.
Value = str | int | float | datetime | None

#: One call: as many values as there are columns, in their order.
Row = Sequence[Value]


class ColumnKind(StrEnum):
    """How a column's values are typed; every format maps the four to its own types."""

    TEXT = "text"
    """``str`` or None: phone numbers, ids, codes, names. Never a number, whatever it looks like."""
    NUMBER = "number"
    """``int`` or finite ``float``, or None: amounts. At most 15 significant digits, so that every format keeps it."""
    DURATION = "duration"
    """Seconds as ``int`` or ``float``, or None."""
    DATETIME = "datetime"
    """Naive ``datetime`` in the account's zone, or None."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a report.

    Attributes:
        label: the header as it is written to the file; unique within a report.
        kind: how its values are typed.
        source: the API's own label (or row key) before renaming. Figures are found by it: ``"Status"`` stays
            ``"Status"`` when the user calls the column ``"Outcome"``.
    """

    label: str
    kind: ColumnKind = ColumnKind.TEXT
    source: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            object.__setattr__(self, "source", self.label)


@dataclass(frozen=True, slots=True)
class ReportInfo:
    """What is known of a report before its first row: the words on its cover.

    All of it follows from the run's window and arguments, never from the clock or a run id: a retry, a clear and a
    backfill describe the same report in the same bytes.

    Attributes:
        report: ``"calls"`` or ``"masked_calls"``.
        title: the human title, such as ``"Masked calls"``.
        window_start: first instant of the window, aware, in the account's zone.
        window_end: first instant after the window (half open), aware, in the account's zone.
        timezone: IANA name of the account's zone.
        filters: the filters in words, one per entry, without phone numbers; empty when there are none.
        redacted: redacted columns by the API's label: ``{"Caller Number": "last4"}``.
    """

    report: str
    title: str
    window_start: datetime
    window_end: datetime
    timezone: str
    filters: Sequence[str] = ()
    redacted: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_time(self) -> datetime:
        """The one time that is written into files (document properties, zip entries): the window's end."""
        return self.window_end

    def window_json(self) -> dict[str, str]:
        """The window as XCom values and events hold it; see `span_json`."""
        return span_json(self.window_start, self.window_end, self.timezone)


def span_json(start: datetime, end: datetime, timezone: str) -> dict[str, str]:
    """A window in JSON types: ``start``, ``end`` (ISO 8601) and ``timezone``.

    Args:
        start: first instant, aware, in the account's zone.
        end: first instant after the window, likewise.
        timezone: IANA name of the account's zone.
    """
    return {"start": start.isoformat(), "end": end.isoformat(), "timezone": timezone}


class TallyKind(StrEnum):
    """What a `Tally` counts."""

    NAME = "name"
    """The calls of one name."""
    OTHER = "other"
    """The calls of two or more names, which are not counted one by one."""
    NO_NAME = "no_name"
    """The calls whose cell is empty."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many calls, and how much talk time, one value of a column has.

    Attributes:
        name: the value, ``"(other)"`` or ``"(none)"``.
        calls: number of calls.
        talk_seconds: their talk time in seconds, 0 without a column of it.
        kind: whether it is one name, several, or none. A name may read ``"(other)"`` and still be one name.
    """

    name: str
    calls: int
    talk_seconds: float = 0
    kind: TallyKind = TallyKind.NAME


@dataclass(frozen=True, slots=True)
class Figures:
    """The summary of a report, accumulated while its rows streamed past.

    A tuple is None when the column it is made from is not part of the report (not sent by the API, not chosen, or
    dropped by redaction): a figure never shows more than the file does.

    Attributes:
        by_status, by_campaign, by_agent: calls per value, most calls first, then by name. Behind the names comes
            ``"(other)"``, which adds up the values beyond the first 1,000, and then ``"(none)"``, the empty values.
        by_hour: 24 counts of calls by hour of day in the account's zone.
        talk_seconds: sum of the "Total Talk Duration" column, else of "Call Duration", in seconds.
        talk_calls: number of calls with a duration above 0; the divisor of the average.
        talk_is_call_time: True when the report has no talk time, and ``talk_seconds`` is of "Call Duration".
    """

    by_status: tuple[Tally, ...] | None = None
    by_campaign: tuple[Tally, ...] | None = None
    by_agent: tuple[Tally, ...] | None = None
    by_hour: tuple[int, ...] | None = None
    talk_seconds: float | None = None
    talk_calls: int = 0
    talk_is_call_time: bool = False

    @property
    def talk_average(self) -> float | None:
        """Mean talk time in seconds of the calls that had any, or None."""
        if self.talk_seconds is None or not self.talk_calls:
            return None
        return self.talk_seconds / self.talk_calls


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """What is known of a report after its last row: the proof.

    Attributes:
        rows: rows written (unique calls).
        reported_total: the API's own total, or None when it gave no usable one.
        complete: True when ``rows`` equals a usable total; None when there was no usable total, so that completeness
            could not be proved; False only under ``on_incomplete="warn"``.
        note: one sentence that says the same, for a cover, a mail or a log line.
        figures: the summary figures, or None when nobody asked for them.
        window_open: whether the window had not ended when the report was read, so that later calls are missing.
        read_at: when the report was read, aware; files and mails say it when ``window_open``, and only then.
        is_part: whether it is of one group or part of a report. Then ``rows`` and ``figures`` are the part's, and
            ``reported_total`` and ``complete`` the whole report's.
    """

    rows: int
    reported_total: int | None
    complete: bool | None
    note: str
    figures: Figures | None = None
    window_open: bool = False
    read_at: datetime | None = None
    is_part: bool = False

    @property
    def total_to_compare(self) -> int | None:
        """The API's total for whoever takes ``rows == total`` for the proof, as programs that read an XCom do.

        None where the two are equal and prove nothing all the same, because the total changed while the calls were
        read; otherwise ``reported_total``.
        """
        equal_by_chance = self.complete is not True and self.rows == self.reported_total
        return None if equal_by_chance else self.reported_total


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One finished, closed, verified file in the private spool directory.

    Attributes:
        path: where it lies now.
        filename: the name it is delivered under.
        content_type: its MIME type.
        rows: calls in it.
        bytes: its size.
        sha256: its SHA-256, lower-case hex.
        group: the group that it holds, as a safe name; empty for a whole report.
        group_value: the same as the column has it; empty for a whole report, and for its parts.
        figures: the figures of a group's own calls, or None.
    """

    path: Path
    filename: str
    content_type: str
    rows: int
    bytes: int
    sha256: str
    group: str = ""
    group_value: str = ""
    figures: Figures | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Who delivers: the same for every try of one task instance, different for every other.

    Attributes:
        dag_id, task_id, run_id: Airflow's names.
        map_index: index of a mapped task, -1 when it is not mapped.
        began: when this try began, aware; None when nobody knows. It says which of two tries is the later one, and is
            no part of the identity.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    began: datetime | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The four in one string, stable and unambiguous; hash it before it leaves the deployment."""
        return "\x1f".join((self.dag_id, self.task_id, self.run_id, str(self.map_index)))
