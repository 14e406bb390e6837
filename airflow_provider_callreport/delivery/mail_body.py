"""What the mail says: subject, HTML and a plain-text twin with the same facts.

A user may replace the subject (``email_subject``) and the HTML (``email_html``). Airflow renders both once, before we
see them, with its own ``{{ }}`` and ``{% %}``; the report's own facts are only known after the export. So ours are
written in square brackets, which Airflow leaves alone, and both kinds can stand in one text::

    email_subject="{{ dag.dag_id }}: [[ title ]], [[ window ]], [[ rows|count ]] calls"
    email_html="<p>Run {{ ds }} has [[ rows|count ]] calls.</p>[% if proof != 'complete' %]<b>[[ note ]]</b>[% endif %]"

It is Jinja otherwise (``[[ value ]]``, ``[% statement %]``, ``[# comment #]``), with HTML escaped, in Jinja's sandbox:
a text that came in through ``{{ dag_run.conf }}`` can show our variables and do nothing else. An unknown variable is
an error, not an empty place. The text twin is always ours. The shipped ``templates/report.html`` is written in the
same way and is a good start for one's own.

Variables:

=================== ====================================================================================
``title``           the report's title
``report``          ``"calls"`` or ``"masked_calls"``
``window``          the window in words, ``"13 Mar 2026"`` or ``"13 Mar 2026 09:00 to 10:00"``
``window_start``    first instant (aware ``datetime``)
``window_end``      first instant after the window (aware ``datetime``)
``timezone``        IANA name of the zone of both
``rows``            calls in the report
``reported_total``  the API's own total, or None
``proof``           ``"complete"``, ``"unproved"`` (the API gave no usable total) or ``"incomplete"``
``note``            the same as one sentence
``facts``           the facts of the head as (name, text) pairs: window, zone, rows, total, ...
``filters``         the filters in words
``redactions``      one sentence per redacted column
``statements``      one sentence per thing a reader must know: incompleteness, redaction, no attachment
``files``           each with ``filename``, ``rows``, ``bytes``, ``sha256``, ``content_type``
``links``           each with ``uri``, ``url``, ``expires_at``, ``expiry`` (in words), ``filename``
``attached``        whether the files are in the mail
``figures``         `Figures`, or None; names in it have no phone numbers
``bars``            the figures as (heading, rows) pairs; each row has ``name``, ``calls``, ``share`` (0 to 100)
``hours``           24 rows with ``hour``, ``calls``, ``share``, or empty
``talk``            total and average talk time in words as (name, text) pairs, or empty
``info, outcome``   the whole `ReportInfo` and `ReportOutcome`
=================== ====================================================================================

Filters beside Jinja's own: ``count`` (1,234), ``size`` (1.2 MB), ``duration`` (seconds to 2 h 05 min).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_provider_callreport.delivery.message import MailText
from airflow_provider_callreport.delivery.receipts import Link
from airflow_provider_callreport.report import ExportedFile, Figures, ReportInfo, ReportOutcome, Tally

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

#: Rows of a bar chart; the rest is added up.
_MAX_BARS = 8
_MAX_NAME = 60

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_REDACTIONS = {
    "last4": "{column}: only the last 4 digits are left",
    "drop": "{column}: the column was removed",
    "hmac": "{column}: each number is replaced by a token, the same number by the same token",
}

_DEFAULT_SUBJECT = (
    "[% if proof == 'incomplete' %]INCOMPLETE: [% endif %][[ title ]] [[ window ]]: "
    "[% if proof == 'incomplete' and reported_total not in (none, rows) %]"
    "[[ rows|count ]] of [[ reported_total|count ]] calls"
    "[% elif rows == 0 %]no calls[% elif rows == 1 %]1 call[% else %][[ rows|count ]] calls[% endif %]"
)

#: Nine digits and more, however they are grouped: the shortest numbers with an area code, and longer than any date.
_PHONE_NUMBER = re.compile(r"\+?\d(?:[ .()/-]{0,2}\d){8,}")


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart: ``share`` is its length as a percentage of the longest."""

    name: str
    calls: int
    share: int
    talk_seconds: float = 0


@dataclass(frozen=True, slots=True)
class _FileLine:
    """An `ExportedFile` without its place on disk."""

    filename: str
    rows: int
    bytes: int
    sha256: str
    content_type: str


@dataclass(frozen=True, slots=True)
class _LinkLine:
    uri: str
    url: str | None
    expires_at: datetime | None
    expiry: str
    filename: str


def render_mail(
    info: ReportInfo,
    outcome: ReportOutcome,
    files: Sequence[ExportedFile],
    links: Sequence[Link],
    *,
    not_attached: str = "",
    subject: str | None = None,
    html: str | None = None,
) -> MailText:
    """Write the mail.

    Args:
        info: the report's description.
        outcome: its proof and figures.
        files: the files, attached or not.
        links: where they are besides.
        not_attached: why they are not attached, one sentence; empty when they are.
        subject: a template that replaces the subject, or None.
        html: a template that replaces the HTML, or None.

    Raises:
        ValueError: a template has a syntax error, an unknown variable or a forbidden operation, or the subject is
            empty or more than one line.
    """
    context = mail_context(info, outcome, files, links, not_attached=not_attached)
    return MailText(
        subject=_render_subject(_DEFAULT_SUBJECT if subject is None else subject, context),
        html=_render(html if html is not None else _shipped("report.html"), context, "email_html", escape=True),
        text=_render(_shipped("report.txt"), context, "report.txt", escape=False),
    )


def check_templates(subject: str | None, html: str | None) -> None:
    """Refuse templates that Jinja cannot read, before any call is fetched.

    Raises:
        ValueError: a syntax error; the sentence names the argument and the line.
    """
    for argument, source in (("email_subject", subject), ("email_html", html)):
        if source is not None:
            _compile(source, argument, escape=argument == "email_html")


def mail_context(
    info: ReportInfo,
    outcome: ReportOutcome,
    files: Sequence[ExportedFile],
    links: Sequence[Link],
    *,
    not_attached: str = "",
) -> dict[str, Any]:
    """The variables that the module's docstring lists."""
    figures = _without_phone_numbers(outcome.figures)
    proof = {True: "complete", False: "incomplete", None: "unproved"}[outcome.complete]
    redactions = [
        _REDACTIONS.get(how, "{column}: redacted ({how})").format(column=column, how=how)
        for column, how in info.redacted.items()
    ]
    statements = [outcome.note] if proof != "complete" else []
    statements += [f"Redacted. {sentence}." for sentence in redactions]
    statements += [not_attached] if not_attached else []
    return {
        "info": info,
        "outcome": replace(outcome, figures=figures),
        "title": info.title,
        "report": info.report,
        "window": window_words(info.window_start, info.window_end),
        "window_start": info.window_start,
        "window_end": info.window_end,
        "timezone": info.timezone,
        "rows": outcome.rows,
        "reported_total": outcome.reported_total,
        "proof": proof,
        "note": outcome.note,
        "facts": _facts(info, outcome),
        "filters": list(info.filters),
        "redactions": redactions,
        "statements": statements,
        "files": [_FileLine(f.filename, f.rows, f.bytes, f.sha256, f.content_type) for f in files],
        "links": [_link_line(link, several=len(links) > 1) for link in links],
        "attached": not not_attached,
        "figures": figures,
        "bars": _charts(figures),
        "hours": _hours(figures),
        "talk": _talk(figures),
    }


def window_words(start: datetime, end: datetime) -> str:
    """A half-open window in as few words as are exact: a month, a day, hours of a day, or both ends in full."""
    whole_days = _is_midnight(start) and _is_midnight(end)
    last_day = (end - timedelta(days=1)).date()
    if whole_days and start.day == 1 and end.day == 1 and (last_day.year, last_day.month) == (start.year, start.month):
        return f"{_MONTHS[start.month - 1]} {start.year}"
    if whole_days and last_day == start.date():
        return _day(start)
    if whole_days:
        return f"{_day(start)} to {_day(end - timedelta(days=1))}"
    if start.date() == end.date():
        return f"{_moment(start)} to {_clock(end)}"
    return f"{_moment(start)} to {_moment(end)}"


def count(number: int) -> str:
    """1234567 as ``1,234,567``."""
    return f"{number:,}"


def size(number: int) -> str:
    """Bytes in the largest fitting decimal unit: ``999 bytes``, ``1.2 kB``, ``15 MB``."""
    if number < 1000:
        return f"{number} byte{'' if number == 1 else 's'}"
    value, unit = number / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}".replace(".0 ", " ") if value < 99.95 else f"{value:.0f} {unit}"


def duration(seconds: float) -> str:
    """Seconds in words: ``41 h 02 min``, ``3 min 05 s``, ``42 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_of_hour = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes_of_hour:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _facts(info: ReportInfo, outcome: ReportOutcome) -> list[tuple[str, str]]:
    total = "not given" if outcome.reported_total is None else count(outcome.reported_total)
    facts = [
        ("From", _exact(info.window_start)),
        ("Until", f"{_exact(info.window_end)}, not included"),
        ("Time zone", info.timezone),
        ("Rows", count(outcome.rows)),
        ("API total", total),
        ("Proof", outcome.note),
        ("Filters", "; ".join(info.filters) or "none"),
    ]
    if info.redacted:
        facts.append(("Redacted", ", ".join(f"{column} ({how})" for column, how in info.redacted.items())))
    return facts


def _exact(moment: datetime) -> str:
    offset = moment.strftime("%z")
    return f"{_day(moment)} {moment:%H:%M:%S}" + (f" (UTC{offset[:3]}:{offset[3:5]})" if offset else "")


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)


def _day(moment: datetime) -> str:
    # Not strftime: its month names follow the worker's locale.
    return f"{moment.day} {_MONTHS[moment.month - 1][:3]} {moment.year}"


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def _moment(moment: datetime) -> str:
    return f"{_day(moment)} {_clock(moment)}"


def _link_line(link: Link, *, several: bool) -> _LinkLine:
    expiry = ""
    if link.expires_at is not None:
        at_most = "at most until" if link.may_expire_earlier else "until"
        expiry = f"works {at_most} {_moment(link.expires_at.astimezone(UTC).replace(second=0))} UTC"
    return _LinkLine(link.uri, link.url, link.expires_at, expiry, link.filename if several else "")


def _charts(figures: Figures | None) -> list[tuple[str, list[Bar]]]:
    if figures is None:
        return []
    charts = (
        ("Calls by status", figures.by_status),
        ("Calls by campaign", figures.by_campaign),
        ("Top agents", figures.by_agent),
    )
    return [(heading, _bars(tallies)) for heading, tallies in charts if tallies]


def _bars(tallies: Sequence[Tally]) -> list[Bar]:
    """The longest bars first; the rest, with what was added up before, in one row at the end."""
    named = [tally for tally in tallies if tally.name != "(other)"]
    shown = named[:_MAX_BARS]
    rest = [*named[_MAX_BARS:], *(tally for tally in tallies if tally.name == "(other)")]
    if rest:
        shown.append(Tally("(other)", sum(t.calls for t in rest), sum(t.talk_seconds for t in rest)))
    shares = _shares(tally.calls for tally in shown)
    return [Bar(t.name, t.calls, share, t.talk_seconds) for t, share in zip(shown, shares, strict=True)]


def _hours(figures: Figures | None) -> list[Bar]:
    if figures is None or not figures.by_hour or not any(figures.by_hour):
        return []
    shares = _shares(figures.by_hour)
    return [Bar(f"{hour:02}", n, share) for hour, (n, share) in enumerate(zip(figures.by_hour, shares, strict=True))]


def _shares(counts: Iterable[int]) -> list[int]:
    """Lengths in percent of the longest; never 0 for a count above 0, so that it can be seen."""
    numbers = list(counts)
    longest = max(numbers, default=0) or 1
    return [max(round(100 * number / longest), 1) if number else 0 for number in numbers]


def _talk(figures: Figures | None) -> list[tuple[str, str]]:
    if figures is None or figures.talk_seconds is None:
        return []
    talk = [("Talk time", duration(figures.talk_seconds))]
    if figures.talk_average is not None:
        talk.append(("Average talk", duration(figures.talk_average)))
    return talk


def _without_phone_numbers(figures: Figures | None) -> Figures | None:
    """Names as they may stand in a mail: an agent may be entered as a phone number, which only the file may hold."""
    if figures is None:
        return None

    def clean(tallies: tuple[Tally, ...] | None) -> tuple[Tally, ...] | None:
        return tallies and tuple(replace(tally, name=_clean_name(tally.name)) for tally in tallies)

    return replace(
        figures,
        by_status=clean(figures.by_status),
        by_campaign=clean(figures.by_campaign),
        by_agent=clean(figures.by_agent),
    )


def _clean_name(name: str) -> str:
    visible = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    hidden = _PHONE_NUMBER.sub(lambda found: f"...{re.sub(r'[^0-9]', '', found[0])[-4:]}", visible)
    return hidden if len(hidden) <= _MAX_NAME else f"{hidden[: _MAX_NAME - 3]}..."


def _render_subject(source: str, context: Mapping[str, Any]) -> str:
    # A block of text in YAML or a file ends in a line break, which is not meant.
    subject = _render(source, context, "email_subject", escape=False).strip()
    if not subject or not subject.isprintable():
        raise ValueError(f"email_subject must be one line of text without control characters, got {subject!r}.")
    return subject


def _render(source: str, context: Mapping[str, Any], argument: str, *, escape: bool) -> str:
    from jinja2 import TemplateError

    template = _compile(source, argument, escape=escape)
    try:
        return str(template.render(context))
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ValueError(
            f"{argument} cannot be rendered: {error}; its variables are {', '.join(sorted(context))}."
        ) from error


def _compile(source: str, argument: str, *, escape: bool) -> Any:
    from jinja2 import TemplateSyntaxError

    try:
        return _environment(escape).from_string(source)
    except TemplateSyntaxError as error:
        raise ValueError(f"{argument} has a mistake in line {error.lineno}: {error.message}.") from error


@cache
def _environment(escape: bool) -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(count=count, size=size, duration=duration)
    return environment


@cache
def _shipped(name: str) -> str:
    from importlib.resources import files

    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
