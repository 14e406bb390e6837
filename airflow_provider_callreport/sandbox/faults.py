"""What can go wrong: the table of faults by name, and one fault as it is switched on.

A fault is switched on in Python (``settings.faults = [Fault("error_on_page", page=1)]``), on the command line
(``--fault error_on_page:page=1,code=1009``) or while the sandbox runs (``POST /sandbox/faults`` with
``{"faults": [{"name": "error_on_page", "page": 1, "code": 1009}]}``). Three options belong to every fault:

* ``page``: only the page with this number, counted from 0 as the API counts; None for every page. In a read by cursor
  the number follows from the place that the cursor points to.
* ``times``: how many requests (or, for the faults of a connection, connections) are hit before all is well; None for
  all of them.
* ``endpoint``: only this endpoint, such as ``"reportCount"``; None for any that the fault can hit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """Where a fault takes effect."""

    REQUEST = "request"
    """Instead of an answer, or before it."""
    PAGE = "page"
    """In the choice of the rows of a page and of the cursor behind it."""
    ANSWER = "answer"
    """In the JSON of a page."""
    BODY = "body"
    """In its bytes and headers."""
    HTTP = "http"
    """On the wire, while an HTTP answer is sent. Needs the proxy."""
    CONNECTION = "connection"
    """On the wire, whatever is spoken. Needs the proxy; works in front of S3 and SMTP as well."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One line of the table.

    Attributes:
        stage: where it takes effect.
        summary: what it does.
        options: its own options and their defaults.
        page, times: defaults of those two.
    """

    stage: Stage
    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    page: int | None = None
    times: int | None = None


#: Every fault, by name.
FAULTS: dict[str, FaultKind] = {
    # Answers that are none, all with a status of the server's choice.
    "http_status": FaultKind(
        Stage.REQUEST,
        "HTTP status with an HTML body, as a web server in front of the API sends it; retry_after is sent as it is",
        {"status": 503, "retry_after": None},
        times=1,
    ),
    "vendor_error": FaultKind(
        Stage.REQUEST,
        "error answer of the vendor's form; http_status None is the setting error_status, message None the usual one",
        {"code": 1009, "message": None, "http_status": None, "retry_after": None},
    ),
    "error_on_page": FaultKind(
        Stage.REQUEST,
        "the same, on the second page unless page says otherwise",
        {"code": 1009, "message": None, "http_status": None, "retry_after": None},
        page=1,
    ),
    "error_with_cnt": FaultKind(
        Stage.REQUEST,
        "an error answer that also has cnt and data: null, with HTTP status 200",
        {"code": 1009, "cnt": 0},
        page=1,
    ),
    "leaky_error": FaultKind(
        Stage.REQUEST,
        "an error answer whose message repeats the request's body, credentials and phone numbers included",
        {"code": 1000, "http_status": 200, "html": False},
    ),
    "html_page": FaultKind(Stage.REQUEST, "an HTML page with status 200", {"status": 200}, page=1),
    "empty_body": FaultKind(Stage.REQUEST, "status 200 and no body", page=1),
    "redirect": FaultKind(
        Stage.REQUEST, "a redirect to another path or host", {"status": 302, "location": "/elsewhere"}
    ),
    "delay": FaultKind(Stage.REQUEST, "the right answer, after some seconds", {"seconds": 1.0}),
    "gzip_bomb": FaultKind(
        Stage.REQUEST, "a gzip body that is about a thousand times as long when unpacked", {"megabytes": 100}
    ),
    "huge_body": FaultKind(
        Stage.REQUEST,
        "a body of many megabytes; declared says whether a Content-Length announces it",
        {"megabytes": 100, "declared": False},
    ),
    # Pages that do not fit together.
    "overlapping_pages": FaultKind(
        Stage.PAGE,
        "a page begins some rows too early: as many rows come twice as never",
        {"rows": 5},
        page=1,
    ),
    "ignores_page": FaultKind(Stage.PAGE, "the first page again, whatever page or cursor was asked for"),
    "stuck_cursor": FaultKind(Stage.PAGE, "every answer has the cursor of the first page. Needs a cursor"),
    "cycling_cursor": FaultKind(
        Stage.PAGE, "answers have the cursors of the first and second page in turn: A, B, A. Needs a cursor"
    ),
    "growing_total": FaultKind(
        Stage.PAGE,
        "the newest calls are missing at first; some more appear with every page that is read",
        {"rows": 10, "step": 10},
    ),
    "shrinking_total": FaultKind(
        Stage.PAGE,
        'with every page that is read some calls vanish, up to a number, from the "newest" or "oldest" end',
        {"rows": 10, "step": 1, "end": "newest"},
    ),
    # Pages that are not what they say.
    "short_page": FaultKind(Stage.ANSWER, "some rows out of the middle of a page are lost", {"rows": 5}, page=1),
    "empty_page": FaultKind(Stage.ANSWER, "data is [] while cnt says that there is more", page=1),
    "null_data": FaultKind(Stage.ANSWER, "data is null", page=1),
    "missing_data": FaultKind(Stage.ANSWER, "there is no data key", page=1),
    "odd_row": FaultKind(Stage.ANSWER, "the first row of a page is some other value", {"value": "row"}, page=1),
    "wrong_total": FaultKind(Stage.ANSWER, "cnt is off by some calls on every page", {"by": 5}),
    # Bytes.
    "truncated_json": FaultKind(Stage.BODY, "the second half of the body is missing; the length is right", page=1),
    "bom": FaultKind(Stage.BODY, "a byte order mark before the JSON"),
    "json_as_html": FaultKind(Stage.BODY, "right JSON, labelled text/html"),
    # The wire, HTTP.
    "no_answer": FaultKind(Stage.HTTP, "the request is taken and never answered", times=1),
    "reset_before_headers": FaultKind(Stage.HTTP, "connection reset instead of an answer", times=1),
    "reset_after_headers": FaultKind(Stage.HTTP, "connection reset after the headers", times=1),
    "reset_mid_body": FaultKind(Stage.HTTP, "connection reset after half of the body", times=1),
    "truncated_body": FaultKind(
        Stage.HTTP, "connection closed after half of the body that Content-Length announced", times=1
    ),
    "truncated_chunk": FaultKind(Stage.HTTP, "a chunked body; connection closed in the middle of a chunk", times=1),
    "no_length": FaultKind(
        Stage.HTTP,
        "a body that ends where the connection is closed, with no length announced; share says how much of it comes",
        {"share": 1.0},
    ),
    "slow_body": FaultKind(Stage.HTTP, "one byte of the body every interval seconds", {"interval": 60.0}, times=1),
    "slow_headers": FaultKind(
        Stage.HTTP, "one byte of the headers every interval seconds", {"interval": 60.0}, times=1
    ),
    "garbage": FaultKind(Stage.HTTP, "bytes that are no HTTP", times=1),
    "drop_keepalive": FaultKind(
        Stage.HTTP, "a good answer, then the connection is closed although it was to be kept alive", times=1
    ),
    # The wire, any protocol.
    "reset_on_connect": FaultKind(Stage.CONNECTION, "connection reset as soon as it is there", times=1),
    "refuse_connections": FaultKind(
        Stage.CONNECTION,
        "one connection reset, then the port is closed (connection refused) for some seconds",
        {"seconds": 1.0},
        times=1,
    ),
    "reset_connection": FaultKind(
        Stage.CONNECTION,
        'connection reset after some bytes in one direction: "up" to the server, "down" from it',
        {"after_bytes": 1000, "direction": "up"},
        times=1,
    ),
    "silence": FaultKind(Stage.CONNECTION, "the connection is taken and nothing is ever said on it", times=1),
    "slow_connection": FaultKind(
        Stage.CONNECTION, "what the server says arrives one byte every interval seconds", {"interval": 60.0}, times=1
    ),
}


class Fault:
    """A fault that is switched on.

    Attributes:
        name: its name in `FAULTS`.
        kind: its line there.
        page, times, endpoint: when it is due; see the module's text.
        options: its own options, defaults filled in.
        hits: how often it was due so far.

    Raises:
        ValueError: there is no such fault, or it has no such option.
    """

    def __init__(self, name: str, **options: Any) -> None:
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; known are {', '.join(FAULTS)}")
        kind = FAULTS[name]
        allowed = {**kind.options, "page": kind.page, "times": kind.times, "endpoint": None}
        unknown = sorted(set(options) - set(allowed))
        if unknown:
            raise ValueError(f"fault {name} has no option {unknown[0]!r}; it has {', '.join(allowed)}")
        chosen = allowed | options
        self.name = name
        self.kind = kind
        self.page: int | None = chosen.pop("page")
        self.times: int | None = chosen.pop("times")
        self.endpoint: str | None = chosen.pop("endpoint")
        self.options: dict[str, Any] = chosen
        self.hits = 0

    @classmethod
    def parse(cls, raw: str | Mapping[str, Any]) -> Fault:
        """Read ``"name"``, ``"name:key=value,key=value"`` (values in JSON, or text) or a mapping with a ``name``.

        Raises:
            ValueError: it is neither, or names something that is not known.
        """
        if isinstance(raw, str):
            name, _, text = raw.partition(":")
            pairs = [pair.partition("=") for pair in text.split(",")] if text else []
            return cls(name, **{key: _read_value(value) for key, _, value in pairs})
        if not isinstance(raw, Mapping) or "name" not in raw:
            raise ValueError('a fault must be a name or an object with a "name"')
        return cls(**raw)

    def __getitem__(self, option: str) -> Any:
        """The value of one of its own options."""
        return self.options[option]

    def __repr__(self) -> str:
        """As it is written in Python, with the hits so far."""
        return f"<Fault {self.to_dict()}>"

    def to_dict(self) -> dict[str, Any]:
        """Everything about it, as ``GET /sandbox/faults`` shows it."""
        return {
            "name": self.name,
            "page": self.page,
            "times": self.times,
            "endpoint": self.endpoint,
            **self.options,
            "hits": self.hits,
        }

    def is_due(self, endpoint: str | None = None, page: int | None = None) -> bool:
        """Whether it takes effect this time; then it counts a hit."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.page is not None and self.page != page:
            return False
        if self.endpoint is not None and self.endpoint.lower() != (endpoint or "").lower():
            return False
        self.hits += 1
        return True


def due_faults(
    faults: list[Fault], stage: Stage, endpoint: str | None = None, page: int | None = None
) -> Iterator[Fault]:
    """The faults of a stage that take effect this time, in their order; each counts a hit when it is yielded."""
    for fault in faults:
        if fault.kind.stage is stage and fault.is_due(endpoint, page):
            yield fault


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
