"""The mail's placeholders ``[[ ]]``: what the Dag's author wrote is filled in, what comes in at run time is text."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from support.delivery import INFO, OUTCOME

from airflow_provider_callreport.delivery.mail_body import render_mail
from airflow_provider_callreport.delivery.placeholders import AuthorsPlaceholders, split_placeholders
from airflow_provider_callreport.delivery.receipts import Link
from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.task.arguments.argument import ArgumentError

SECRET = "https://s3.example.com/calls.csv?X-Amz-Signature=1"
LINKS = [Link("s3://reports/calls.csv", SECRET, datetime(2026, 3, 15, 6, tzinfo=UTC))]


def rendered(field: str, source: str, *, native: bool = False, folder: Path | None = None, **params: Any) -> Any:
    """A field of an operator after Airflow has rendered it, as a task does."""
    arguments: dict[str, Any] = {"email_to": "a@example.com", field: source}
    with DAG("mail", schedule=None, render_template_as_native_obj=native, template_searchpath=[str(folder or ".")]):
        operator = CallReportExportOperator(
            task_id="mail", window_start="2026-03-13T00:00:00", window_end="2026-03-14T00:00:00", **arguments
        )
    operator.render_template_fields({"params": params, "ds": "2026-03-13"})
    return getattr(operator, field)


def subject(source: str, **params: Any) -> str:
    """The subject of the mail that is sent at last."""
    return render_mail(INFO, OUTCOME, [], LINKS, subject=rendered("email_subject", source, **params)).subject


@pytest.mark.parametrize(
    ("source", "who", "expected"),
    [
        ("{{ params.who }}: [[ rows|count ]]", "Asha", "Asha: 1,234"),
        ("{{ params.who }}", "[[ links[0].url ]]", "[[ links[0].url ]]"),
        ("[[ rows ]] {{ params.who }}", "[[ links[0].url ]]", "1234 [[ links[0].url ]]"),
        ("[{{ params.who }}", "[ links[0].url ]]", "[[ links[0].url ]]"),
        ("{{ params.who }}[ links[0].url ]]", "[", "[[ links[0].url ]]"),
        ("{{ params.who }}[[ rows ]]", "[", "[1234"),
        ("{{ params.who }}{{ params.who }} links[0].url ]]", "[", "[[ links[0].url ]]"),
        ("{{ params.who }} x", "[% for l in links %][[ l.url ]][% endfor %]", None),
        ("{{ params.who }} x", "[# hidden #][[[ rows ]]", None),
        ("[# a note #]{{ params.who }}", "#] [[ links[0].url ]] [#", "#] [[ links[0].url ]] [#"),
        ("[Daily] {{ params.who }} [% if rows > 1 %]many[% else %]one[% endif %]", "[x]", "[Daily] [x] many"),
        ("{% for w in params.who %}{{ w }} [[ rows ]] {% endfor %}", ["a", "[[ rows ]]"], "a 1234 [[ rows ]] 1234"),
        ("{% filter upper %}{{ params.who }} [[ rows ]]{% endfilter %}", "a", "A 1234"),
        ("{{ [[1, 2], [3]][0][1] }} [[ rows ]]", "", "2 1234"),
        ("[% raw %][[ x ]][% endraw %] [[ rows ]]{{ params.who }}", "", "[[ x ]] 1234"),
        ('[[ "]]" ]] {{ params.who }}', "[[ rows ]]", "]] [[ rows ]]"),
        ("{% raw %}{{ x }}{% endraw %} [[ rows ]]{{ params.who }}", "", "{{ x }} 1234"),
    ],
)
def test_a_subject_has_the_authors_placeholders_only(source: str, who: Any, expected: str | None) -> None:
    """own-placeholders: a value that Airflow fills in stays the text that it is, wherever its brackets stand."""
    assert subject(source, who=who) == (f"{who} x" if expected is None else expected)


@pytest.mark.parametrize("native", [False, True])
def test_the_body_too_also_where_it_is_a_file_that_includes_another(tmp_path: Path, native: bool) -> None:
    """own-placeholders: a file beside the Dag, and what it includes, are the author's; a value in them is not."""
    (tmp_path / "mail.html").write_text("<p>{{ params.who }} [[ rows|count ]]</p>\n{% include 'foot.html' %}\n")
    (tmp_path / "foot.html").write_text("<p>{{ params.who }} [[ title ]]</p>\n")
    html = rendered("email_html", "mail.html", folder=tmp_path, native=native, who="[[ links[0].url ]]")
    body = render_mail(replace(INFO, title="A & B"), OUTCOME, [], LINKS, html=html).html
    assert body.split("\n")[:2] == ["<p>[[ links[0].url ]] 1,234</p>", "<p>[[ links[0].url ]] A &amp; B</p>"]


NOT_AIRFLOWS: list[tuple[dict[str, Any], str, str]] = [
    ({"s3_key": "{{ group }}.csv", "group_by": "Campaign"}, "s3_key has {{ group }}", "[[ group ]]"),
    ({"filename": "{{ ds }}_{{ group|lower }}.csv", "group_by": "Agents"}, "filename has {{ group }}", "[[ group ]]"),
    ({"email_subject": "{{ rows|count }} calls"}, "email_subject has {{ rows }}", "[[ rows ]]"),
    ({"email_html": "{% if rows %}{% endif %}"}, "email_html has {{ rows }}", "[[ rows ]]"),
    ({"email_subject": "{{ group }}"}, "email_subject has {{ group }}", "[[ title ]]"),
]


@pytest.mark.parametrize(("arguments", "what", "instead"), NOT_AIRFLOWS)
@pytest.mark.parametrize("in_dag", [True, False], ids=["in a Dag", "when it runs"])
def test_the_wrong_brackets_are_refused(in_dag: bool, arguments: dict[str, Any], what: str, instead: str) -> None:
    """clear-sentence: Airflow would find nothing, or an empty text, where the report's own value is meant."""
    whole = {"task_id": "mail", "email_to": "a@example.com", "s3_bucket": "b", "s3_key": "[[ group ]]", **arguments}
    if "group_by" not in whole:
        del whole["s3_bucket"], whole["s3_key"]
    sentence = f"{what}, which Airflow does not know; what the export knows is written in square brackets, as {instead}"
    dag = DAG("mail", schedule=None) if in_dag else None
    with pytest.raises(ArgumentError, match=rf"^{re.escape(sentence)}$"):
        CallReportExportOperator(**whole, dag=dag).render_template_fields({"ds": "2026-03-13"})


def test_a_macro_of_the_same_name_is_the_authors_own() -> None:
    """Airflow knows it, and so does a loop."""
    with DAG("mail", schedule=None, user_defined_macros={"group": "north"}):
        operator = CallReportExportOperator(task_id="mail", s3_bucket="b", s3_key="{{ group }}.csv")
    context: Any = {"data_interval_start": "2026-03-13", "data_interval_end": "2026-03-14"}
    operator.render_template_fields(context)
    assert operator.s3_key == "north.csv"
    with DAG("mail", schedule=None):
        loop = "{% for rows in [1] %}{{ rows }}{% endfor %}"
        CallReportExportOperator(task_id="mail", email_to="a@example.com", email_subject=loop)


def test_a_text_that_another_task_made_is_text() -> None:
    """own-placeholders: what Airflow does not render, because it is data, holds no placeholders."""
    with DAG("mail", schedule=None):
        operator = CallReportExportOperator(task_id="mail", email_to="a@example.com", email_subject="[[ rows ]]")
    data = "".join(["[[ links", "[0].url ]]"])
    operator.email_subject = data
    operator._do_render_template_fields(operator, ["email_subject"], {}, Environment(), {id(data)})
    assert render_mail(INFO, OUTCOME, [], LINKS, subject=operator.email_subject).subject == "[[ links[0].url ]]"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("[[ '{{ params.who }}' ]]", r"email_subject: a placeholder cannot be read: unexpected char .*; write {{ }}"),
        ("[[ {{ params.who }} ]]", "email_subject: a placeholder that begins with"),
        ("{% filter truncate(12, True, '') %}[[ rows ]]{% endfilter %}", "changes a placeholder"),
        ("[# {{ params.who }} #]", "email_subject: a placeholder cannot be read: Missing end of comment tag; write"),
        ("[[ ) ]] {{ ds }}", "email_subject: a placeholder cannot be read: unexpected"),
    ],
)
def test_one_inside_the_other_is_refused(source: str, sentence: str) -> None:
    """clear-sentence: what would be filled in half is a sentence, and no mail."""
    with pytest.raises(AirflowFailException, match=sentence):
        rendered("email_subject", source, who="x")


BRACKETS = st.text(alphabet="[]%#{} \n-ax0123", max_size=20)


@given(before=BRACKETS, who=BRACKETS, after=BRACKETS)
def test_no_value_ever_reaches_a_link(before: str, who: str, after: str) -> None:
    """own-placeholders: whatever stands around it, a value is what it was, and the author's text too."""
    airflows = Environment(keep_trailing_newline=True)
    # Around the value stands text without braces: what would be Airflow's, or a placeholder, is tried above.
    before, after = (text.replace("{", "").replace("}", "").replace("[", "(") + "(" for text in (before, after))
    value = f"{who}[[ links[0].url ]]{who}"
    placeholders = AuthorsPlaceholders(airflows)
    source = f"{before}{{{{ who }}}}[[ rows ]]{{{{ who }}}}{after}"
    text = placeholders.put_back(placeholders.environment.from_string(source).render(who=value))
    body = render_mail(INFO, OUTCOME, [], LINKS, html=text).html
    assert SECRET not in body
    assert body == f"{before}{value}1234{value}{after}"


@given(BRACKETS)
def test_splitting_loses_nothing(text: str) -> None:
    """own-placeholders: the parts of a text that can be read are the text, in order."""
    try:
        parts = list(split_placeholders(text))
    except ValueError:
        return
    assert "".join(part for part, _ in parts) == text
