"""How the sandbox behaves: one object, which may be changed between two requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_callreport.sandbox.call import LABELS
from airflow_provider_callreport.sandbox.calls import CallSource, SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault, Stage
from airflow_provider_callreport.sandbox.rows import (
    AMOUNT_SHAPES,
    DTMF_SHAPES,
    DURATION_SHAPES,
    NUMBER_SHAPES,
    RECORDING_SHAPES,
    ROW_SHAPES,
    TIME_SHAPES,
    RowShape,
)

#: The allowed values of every setting that is a choice.
CHOICES: dict[str, tuple[str, ...]] = {
    "order": ("oldest", "newest"),
    "cursor": ("none", "top", "row_sAftr", "row_sort"),
    "cursor_shape": ("list", "scalar"),
    "page_with_cursor": ("refuse", "ignore"),
    "page_size_policy": ("clamp", "refuse"),
    "cnt": ("total", "page", "so_far", "text", "capped", "missing"),
    "report_count": ("cnt", "count", "total", "data", "data_cnt", "bare", "numeral", "differs", "error", "missing"),
    "row_shape": ROW_SHAPES,
    "columns_shape": ("object", "shuffled", "list", "empty_object", "empty_list", "missing"),
    "hide_section": ("list", "object", "missing"),
    "empty_data": ("list", "null", "object"),
    "number_shape": NUMBER_SHAPES,
    "time_shape": TIME_SHAPES,
    "duration_shape": DURATION_SHAPES,
    "amount_shape": AMOUNT_SHAPES,
    "recording_shape": RECORDING_SHAPES,
    "dtmf_shape": DTMF_SHAPES,
    "export_answer": ("url", "object", "request_id", "accepted", "bytes"),
    "pdf_answer": ("bytes", "link", "base64", "not_ready"),
    "detail_answer": ("recordings", "no_ids", "being_made", "data_list", "data_null", "odd_shape", "odd_token"),
    "recording_answer": ("mp3", "missing", "html", "error", "empty", "cut", "text"),
}


@dataclass
class SandboxSettings:
    """What the stand-in API serves and how.

    Attributes:
        calls: what ``list`` shows: 2,000 synthetic calls a day by default.
        masked_calls: what ``masklist`` shows: 500 synthetic masked calls a day by default.
        user_id, token: one way to authenticate.
        ssid: the other way, alone or with any ``userId``.
        users_without_permission: ``userId`` values that authenticate with ``token`` and then get error 1015.
        error_status: HTTP status of an error answer ``{"status": "error", ...}``.
        reject_unknown_filters: answer error 1000 to a filter key that is not known, instead of ignoring it.

        page_size: rows a page when the request has no ``sz``.
        max_page_size: the largest ``sz``, None for any.
        page_size_policy: a larger one is made smaller (``"clamp"``) or gets error 1000 (``"refuse"``).
        deep_page_limit: rows that can be reached by page number, None for all; beyond it the answer is error 1000, as
            of a search engine with a result window.
        order: ``"oldest"`` or ``"newest"`` call first.
        cursor: whether and where an answer carries a search-after cursor: ``"none"``, ``"top"`` (key ``sAftr`` of the
            answer), ``"row_sAftr"`` or ``"row_sort"`` (that key of each row; rows that are arrays have no room for it).
        cursor_shape: a list of milliseconds and a serial beyond 2^53, or the serial alone (``"scalar"``).
        page_with_cursor: a request with a cursor and a ``page`` above 0 gets error 1000, or its ``page`` is ignored.

        cnt: what ``cnt`` says: the ``"total"``, the rows of this ``"page"``, the total as ``"text"``, the total
            ``"capped"`` at 10,000, or it is ``"missing"``.
            ``"so_far"`` counts the calls until the end of this page.
        cnt_cap: where a ``"capped"`` ``cnt`` stops.
        report_count: the answer of ``reportCount``: ``{"cnt": n}``, ``{"count": n}``, ``{"total": n}``,
            ``{"data": n}``, ``{"data": {"cnt": n}}`` (``"data_cnt"``), ``"bare"`` number, ``"numeral"`` in quotes,
            ``"error"`` 1009, HTTP 404 (``"missing"``) or the
            number of other calls (``"differs"``).

        row_shape: rows as objects keyed by ``"position"``, ``"label"`` or webhook field names (``"fields"``), as search
            hits (``"hit"``), as ``"array"``, ``"short_array"`` (three cells too few), ``"long_array"`` (one too many),
            or as ``"position"`` rows in an object instead of a list (``"data_object"``).
        ids: whether rows that are objects carry the call's id, as ``callId`` (hits: ``_id``).
        labels: the columns. Unknown labels have empty cells; duplicates are allowed.
        columns_shape: the form of ``columnArr``; ``"shuffled"`` is the object with its keys in text order ("10"
            before "2").
        column_arr: ``columnArr`` itself, or None for one of ``labels`` in ``columns_shape``.
        beside: further keys of each answer with the values that they may have; the first is sent, and of none a number
            that differs from page to page.
        hide_section: the form of ``hideSectionArr``.
        empty_data: the form of ``data`` when there are no calls; ``"null"`` only beside a ``cnt`` of 0.
        number_shape, time_shape, duration_shape, amount_shape, recording_shape, dtmf_shape: how such values are
            written; ``"mixed"`` differs from call to call. The choices are in `CHOICES`.
        export_answer: what ``exportCsv`` and ``exportCsvBulk`` answer.
        pdf_answer: what ``downloadPdf`` answers.
        detail_answer: what ``detail`` answers for a call that has a recording: the ``"recordings"``, those without ids
            of their parts (``"no_ids"``), an empty list (``"being_made"``), ``data`` as an empty list or null, or
            shapes that nobody has seen.
        recording_answer: what a recording's stream is.
        recording_bytes: about how long a recording is; it differs by up to half from call to call.
        faults: what goes wrong; see `faults.FAULTS`. Takes `Fault` objects, names, ``"name:key=value,..."`` texts and
            mappings.

    Raises:
        ValueError: a setting has a value that is not among its choices; also on later assignment.
    """

    calls: CallSource = field(default_factory=SyntheticCalls)
    masked_calls: CallSource = field(default_factory=lambda: SyntheticCalls(500, masked=True))
    user_id: str = "sandbox-user"
    token: str = "sandbox-token"
    ssid: str = "sandbox-ssid"
    users_without_permission: frozenset[str] = frozenset({"sandbox-guest"})
    error_status: int = 200
    reject_unknown_filters: bool = False

    page_size: int = 50
    max_page_size: int | None = None
    page_size_policy: str = "clamp"
    deep_page_limit: int | None = None
    order: str = "oldest"
    cursor: str = "none"
    cursor_shape: str = "list"
    page_with_cursor: str = "refuse"

    cnt: str = "total"
    cnt_cap: int = 10_000
    report_count: str = "cnt"

    row_shape: str = "position"
    ids: bool = True
    labels: tuple[str, ...] = LABELS
    columns_shape: str = "object"
    column_arr: Mapping[str, str] | None = None
    beside: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    hide_section: str = "list"
    empty_data: str = "list"
    number_shape: str = "text"
    time_shape: str = "naive"
    duration_shape: str = "seconds"
    amount_shape: str = "number"
    recording_shape: str = "token"
    dtmf_shape: str = "text"
    export_answer: str = "accepted"
    pdf_answer: str = "bytes"
    detail_answer: str = "recordings"
    recording_answer: str = "mp3"
    recording_bytes: int = 24_000
    faults: list[Fault] = field(default_factory=list)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dataclass_fields__:
            raise ValueError(f"unknown sandbox setting {name!r}; known are {', '.join(self.__dataclass_fields__)}")
        allowed = CHOICES.get(name)
        if allowed is not None and value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if name == "faults":
            value = parse_faults(value)
        if name == "labels":
            value = tuple(value)
        super().__setattr__(name, value)

    @property
    def needs_proxy(self) -> bool:
        """Whether a fault is switched on that only a proxy can play."""
        return any(fault.kind.stage in (Stage.HTTP, Stage.CONNECTION) for fault in self.faults)

    @property
    def row(self) -> RowShape:
        """What of the settings decides how a row looks."""
        return RowShape(
            labels=self.labels,
            row=self.row_shape,
            ids=self.ids,
            row_cursor={"row_sAftr": "sAftr", "row_sort": "sort"}.get(self.cursor),
            scalar_cursor=self.cursor_shape == "scalar",
            number=self.number_shape,
            time=self.time_shape,
            duration=self.duration_shape,
            amount=self.amount_shape,
            recording=self.recording_shape,
            dtmf=self.dtmf_shape,
        )


def parse_faults(raw: Iterable[Fault | str | Mapping[str, Any]]) -> list[Fault]:
    """Read a list of faults, each given as a `Fault`, a text or a mapping.

    Raises:
        ValueError: one of them names an unknown fault or option.
    """
    return [fault if isinstance(fault, Fault) else Fault.parse(fault) for fault in raw]
