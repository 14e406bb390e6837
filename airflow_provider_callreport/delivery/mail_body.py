"""What the mail says: subject, HTML and a plain-text twin with the same facts.

A user may replace the subject (``email_subject``) and the HTML (``email_html``). Airflow renders both once, before we
see them, with its own ``{{ }}`` and ``{% %}``; the report's own facts are only known after the export. So ours are
written in square brackets, which Airflow leaves alone, and both kinds can stand in one text::

    email_subject="{{ dag.dag_id }}: [[ title ]], [[ window ]], [[ rows|count ]] calls"
    email_html="<p>{{ run_id }}: [[ rows|count ]] calls.</p>[% if proof != 'complete' %]<b>[[ note ]]</b>[% endif %]"

It is Jinja otherwise (``[[ value ]]``, ``[% statement %]``, ``[# comment #]``), with HTML escaped, in Jinja's sandbox.
Only what the Dag's author wrote counts: brackets that come in through ``{{ dag_run.conf }}`` or from another task are
text (see `placeholders`). An unknown variable is an error, not an empty place. The text twin is always ours. The
shipped ``templates/report.html`` is written in the same way and is a good start for one's own.

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
``verdict``         the same in a word or two: ``"Complete"``, ``"Not proved"``, ``"Incomplete"``
``note``            the same as one sentence
``still_open``      one sentence when the window had not ended when the report was read, else ``""``
``facts``           the facts as (label, text) pairs: from, until, zone, calls, total, ...
``filters``         the filters in words
``redactions``      one sentence per redacted column
``statements``      one sentence per thing a reader must know: incompleteness, redaction, no attachment
``files``           each with ``filename``, ``rows``, ``bytes``, ``sha256``, ``content_type``, ``attached_as`` (the
                    attachment's name), ``uri`` and ``url`` (where it is besides; empty and None where it is not)
``listed``          those of ``files`` that the shipped HTML shows: as many as fit into 100 KB
``unlisted``        how many it does not show
``archive``         name of the attached archive that holds all files; empty when there is none
``links``           each with ``uri``, ``url``, ``expires_at``, ``expiry`` (in words), ``filename``
``attached``        whether the files are in the mail
``protected``       whether the attachments need a password
``figures``         `Figures`, or None; names in it have no phone numbers
``bars``            the figures as (heading, rows) pairs; each row has ``name``, ``calls``, ``share`` (0 to 100, the
                    length of its bar)
``hours``           24 rows with ``name`` ("00" to "23"), ``calls``, ``share``, or empty
``talk``            total and average talk time in words as (name, text) pairs, or empty
``info, outcome``   the whole `ReportInfo` and `ReportOutcome`
=================== ====================================================================================

Filters beside Jinja's own: ``count`` (1,234), ``size`` (1.2 MB), ``duration`` (seconds to 2 h 05 min).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_callreport.delivery.message import MailText
from airflow_provider_callreport.delivery.receipts import Link
from airflow_provider_callreport.report import (
    ExportedFile,
    Figures,
    ReportInfo,
    ReportOutcome,
    Tally,
    TallyKind,
    wording,
)
from airflow_provider_callreport.report.facts import report_facts
from airflow_provider_callreport.rules import LINE, did_you_mean, unknown

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

log = logging.getLogger(__name__)

#: The variables that the module's docstring lists, in its order.
VARIABLES = (
    *("title", "report", "window", "window_start", "window_end", "timezone", "rows", "reported_total", "proof"),
    *("verdict", "note", "still_open", "facts", "filters", "redactions", "statements", "files", "listed", "unlisted"),
    *("archive", "links", "attached", "protected", "figures", "bars", "hours", "talk", "info", "outcome"),
)

_MAX_NAME = 60

#: Gmail shows no more than 102 KB of a mail.
MAX_HTML_BYTES = 100_000

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
    "[% if still_open %] so far[% endif %]"
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
    """An `ExportedFile` without its place on disk, and where a reader finds it."""

    filename: str
    rows: int
    bytes: int
    sha256: str
    content_type: str
    attached_as: str
    uri: str
    url: str | None


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
    attached_as: Sequence[str] = (),
    is_protected: bool = False,
    changes: Sequence[str] = (),
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
        attached_as: names of the attachments where they are not those of the files: one for each file, or the name of
            the archive that holds them all.
        is_protected: whether the attachments need a password.
        changes: what has changed since an earlier mail of the report, one sentence a file.
        subject: a template that replaces the subject, or None.
        html: a template that replaces the HTML, or None.

    Raises:
        ValueError: a template has a syntax error, an unknown variable or a forbidden operation, or the subject is
            empty or more than one line.
    """
    context = mail_context(
        info,
        outcome,
        files,
        links,
        not_attached=not_attached,
        attached_as=attached_as,
        is_protected=is_protected,
        changes=changes,
    )
    if html is None:
        body = _render_shipped(context)
    else:
        body = _render(html, context, "email_html", escape=True)
        if len(body.encode("utf-8", "replace")) > MAX_HTML_BYTES:
            log.warning("The mail's HTML has %d bytes; Gmail shows the first 102,000 of them.", len(body))
    return MailText(
        subject=_render_subject(_DEFAULT_SUBJECT if subject is None else subject, context),
        html=body,
        text=_render(_shipped("report.txt"), context, "report.txt", escape=False),
    )


def _render_shipped(context: dict[str, Any]) -> str:
    """The shipped HTML with as many files in it as its limit allows; ``listed`` and ``unlisted`` then say how many."""
    while True:
        html = _render(_shipped("report.html"), context, "email_html", escape=True)
        size, listed = len(html.encode("utf-8", "replace")), len(context["listed"])
        if size <= MAX_HTML_BYTES or not listed:
            return html
        # A tenth less than the share that would fit, since not all of it is files.
        fewer = min(listed - 1, listed * MAX_HTML_BYTES * 9 // (size * 10))
        context["listed"] = context["listed"][:fewer]
        context["unlisted"] = len(context["files"]) - fewer


def check_templates(subject: str | None, html: str | None) -> None:
    """Refuse templates that Jinja cannot read, and variables that do not exist, before any call is fetched.

    Raises:
        ValueError: one sentence, which names the argument and the line or the variable.
    """
    from jinja2.meta import find_undeclared_variables

    for argument, source in (("email_subject", subject), ("email_html", html)):
        if source is None:
            continue
        _compile(source, argument, escape=argument == "email_html")
        environment = _environment(argument == "email_html")
        used = find_undeclared_variables(environment.parse(source))
        for name in sorted(used.difference(VARIABLES, environment.globals)):
            raise ValueError(f"{argument}: {unknown('a mail', name, VARIABLES, 'variable')}")


def mail_context(
    info: ReportInfo,
    outcome: ReportOutcome,
    files: Sequence[ExportedFile],
    links: Sequence[Link],
    *,
    not_attached: str = "",
    attached_as: Sequence[str] = (),
    is_protected: bool = False,
    changes: Sequence[str] = (),
) -> dict[str, Any]:
    """The variables that the module's docstring lists."""
    outcome = replace(outcome, figures=_without_phone_numbers(outcome.figures))
    told = report_facts(info, outcome)
    proof = {True: "complete", False: "incomplete", None: "unproved"}[outcome.complete]
    redactions = [
        _REDACTIONS.get(how, "{column}: redacted ({how})").format(column=column, how=how)
        for column, how in info.redacted.items()
    ]
    statements = [outcome.note] if proof != "complete" else []
    statements += [told.still_open] if told.still_open else []
    statements += changes
    statements += [f"Redacted. {sentence}." for sentence in redactions]
    statements += [not_attached] if not_attached else []
    if is_protected and not not_attached:
        what = "attachment is" if len(attached_as or files) == 1 else "attachments are"
        statements.append(f"The {what} protected with a password, which does not come by mail.")
    lines = _file_lines(files, links, attached_as)
    return {
        "info": info,
        "outcome": outcome,
        "title": info.title,
        "report": info.report,
        "window": told.window,
        "window_start": info.window_start,
        "window_end": info.window_end,
        "timezone": info.timezone,
        "rows": outcome.rows,
        "reported_total": outcome.reported_total,
        "proof": proof,
        "verdict": told.verdict,
        "note": outcome.note,
        "still_open": told.still_open,
        "facts": told.lines,
        "filters": list(info.filters),
        "redactions": redactions,
        "statements": statements,
        "files": lines,
        "listed": lines,
        "unlisted": 0,
        "archive": attached_as[0] if len(attached_as) == 1 < len(files) else "",
        "links": [_link_line(link, info, several=len(links) > 1) for link in links],
        "attached": not not_attached,
        "protected": is_protected and not not_attached,
        "figures": outcome.figures,
        "bars": [(ranking.title, _bars(ranking.lines)) for ranking in told.rankings],
        "hours": _bars(told.by_hour) if any(hour.calls for hour in told.by_hour) else [],
        "talk": list(told.tiles[1:]),
    }


def _file_lines(files: Sequence[ExportedFile], links: Sequence[Link], attached_as: Sequence[str]) -> list[_FileLine]:
    by_name = {link.filename: link for link in links}
    names = attached_as if len(attached_as) == len(files) else [file.filename for file in files]
    lines = []
    for file, name in zip(files, names, strict=True):
        link = links[0] if len(files) == len(links) == 1 else by_name.get(file.filename)
        where = ("", None) if link is None else (link.uri, link.url)
        lines.append(_FileLine(file.filename, file.rows, file.bytes, file.sha256, file.content_type, name, *where))
    return lines


def _link_line(link: Link, info: ReportInfo, *, several: bool) -> _LinkLine:
    expiry = ""
    if link.expires_at is not None:
        at_most = "at most until" if link.may_expire_earlier else "until"
        # Like all times of the report, in its zone.
        local = link.expires_at.astimezone(info.window_end.tzinfo).replace(second=0, microsecond=0)
        expiry = f"works {at_most} {wording.day_and_time(local)} ({info.timezone})"
    return _LinkLine(link.uri, link.url, link.expires_at, expiry, link.filename if several else "")


def _bars(lines: Sequence[Tally]) -> list[Bar]:
    """Lines of a ranking with the lengths of their bars. Only names get one: "(other)" would dwarf them."""
    shares = _shares(line.calls if line.kind is TallyKind.NAME else 0 for line in lines)
    return [Bar(line.name, line.calls, share, line.talk_seconds) for line, share in zip(lines, shares, strict=True)]


def _shares(counts: Iterable[int]) -> list[int]:
    """Lengths in percent of the longest; never 0 for a count above 0, so that it can be seen."""
    numbers = list(counts)
    longest = max(numbers, default=0) or 1
    return [max(round(100 * number / longest), 1) if number else 0 for number in numbers]


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
    LINE("email_subject", subject)
    return subject


def _render(source: str, context: Mapping[str, Any], argument: str, *, escape: bool) -> str:
    from jinja2 import TemplateError

    template = _compile(source, argument, escape=escape)
    try:
        return str(template.render(context))
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        undefined = re.match(r"'(\w+)' is undefined", str(error))
        near = did_you_mean(undefined[1], context) if undefined else ""
        raise ValueError(
            f"{argument} cannot be rendered: {error}{near}; its variables are {', '.join(sorted(context))}."
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

    from airflow_provider_callreport.delivery.placeholders import DELIMITERS

    environment = ImmutableSandboxedEnvironment(
        **cast(Any, DELIMITERS),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(count=wording.count, size=wording.size, duration=wording.duration)
    return environment


@cache
def _shipped(name: str) -> str:
    from importlib.resources import files

    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
