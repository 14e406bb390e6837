"""The arguments of operators, sensor and event trigger are those of one table; refusals are sentences of one kind."""

from __future__ import annotations

import ast
import inspect
import re
import typing
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import jedi
import pytest
from airflow.providers.common.compat.sdk import DAG
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_callreport import rules
from airflow_provider_callreport.formats import FORMATS
from airflow_provider_callreport.operators.callreport import CallReportExportOperator, MaskListToS3Operator
from airflow_provider_callreport.operators.check import CallReportCheckOperator
from airflow_provider_callreport.operators.manifest import CallReportManifestOperator
from airflow_provider_callreport.operators.recordings import CallRecordingsToS3Operator
from airflow_provider_callreport.rules import Rule
from airflow_provider_callreport.sensors.callreport import CallReportSensor
from airflow_provider_callreport.task.arguments.argument import REQUIRED, Argument
from airflow_provider_callreport.task.arguments.tables import (
    CHECK,
    EVENT_TRIGGER,
    EXPORT,
    MANIFEST,
    MASK_LIST,
    RECORDINGS,
    SENSOR,
)
from airflow_provider_callreport.triggers.events import CallReportEventTrigger
from tools.argument_tables import TABLES, pages, written

CONSTRUCTORS: list[tuple[Any, Sequence[Argument]]] = [
    (CallReportExportOperator, EXPORT),
    (MaskListToS3Operator, MASK_LIST),
    (CallRecordingsToS3Operator, RECORDINGS),
    (CallReportManifestOperator, MANIFEST),
    (CallReportCheckOperator, CHECK),
    (CallReportSensor, SENSOR),
    (CallReportEventTrigger, EVENT_TRIGGER),
]
OPERATORS = [(operator, table) for operator, table in CONSTRUCTORS if operator is not CallReportEventTrigger]
NAMES = [constructor.__name__ for constructor, _ in CONSTRUCTORS]
#: What makes each of them without an error.
RIGHT: dict[Any, dict[str, Any]] = {
    CallReportExportOperator: {"s3_bucket": "b", "s3_key": "k"},
    MaskListToS3Operator: {"s3_bucket": "b", "s3_key": "k"},
    CallRecordingsToS3Operator: {"s3_bucket": "b", "s3_key": "[[ call ]]_[[ part ]]", "manifest_key": "m"},
    CallReportManifestOperator: {"s3_bucket": "b", "s3_key": "k", "exports": []},
    CallReportCheckOperator: {"delivered": 1},
    CallReportSensor: {},
    CallReportEventTrigger: {},
}
#: All rules, with where they stand.
RULES = [
    pytest.param(constructor, one, id=f"{constructor.__name__}-{one.name}")
    for constructor, table in CONSTRUCTORS
    for one in table
    if isinstance(one.check, Rule)
]


def made(constructor: Any, **arguments: Any) -> Any:
    """An instance, with what it needs besides."""
    task = {} if constructor is CallReportEventTrigger else {"task_id": "task"}
    return constructor(**{**task, **RIGHT[constructor], **arguments})


@pytest.mark.parametrize(("constructor", "table"), CONSTRUCTORS, ids=NAMES)
def test_the_signature_is_the_table(constructor: Any, table: Sequence[Argument]) -> None:
    """Names in this order, types and defaults; each is a keyword with a name of its own."""
    parameters = [
        one for one in inspect.signature(constructor.__init__).parameters.values() if one.name not in ("self", "kwargs")
    ]
    assert [(one.name, one.annotation, one.default) for one in parameters] == [
        (one.name, one.type, inspect.Parameter.empty if one.default is REQUIRED else one.default) for one in table
    ]
    assert {one.kind for one in parameters} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(("constructor", "table"), CONSTRUCTORS, ids=NAMES)
def test_an_editor_completes_the_table(constructor: Any, table: Sequence[Argument]) -> None:
    """By the short import path, and nothing that is no argument."""
    name = constructor.__name__
    completions = jedi.Script(f"from airflow_provider_callreport import {name}\n{name}(").complete(2, len(name) + 1)
    offered = {one.name for one in completions if one.name.endswith("=")}
    assert offered == {f"{one.name}=" for one in table}


@pytest.mark.parametrize(("constructor", "table"), CONSTRUCTORS, ids=NAMES)
def test_the_docstring_names_every_argument(constructor: Any, table: Sequence[Argument]) -> None:
    """In the order of the signature, as far as the docstring goes in that order; none is missing, none too many."""
    section = (constructor.__doc__ or "").partition("    Args:\n")[2]
    section = re.split(r"\n\n    \S", section)[0]
    named = re.findall(r"^        (\w+): ", section, re.MULTILINE)
    assert sorted(set(named) - {"kwargs"}) == sorted(one.name for one in table)


@pytest.mark.parametrize(("operator", "table"), OPERATORS, ids=[operator.__name__ for operator, _ in OPERATORS])
def test_template_fields_are_those_of_the_table(operator: Any, table: Sequence[Argument]) -> None:
    """And every one of them is an attribute of that name, as Airflow wants."""
    assert operator.template_fields == tuple(one.name for one in table if one.template)
    instance = made(operator)
    assert all(hasattr(instance, one.name) for one in table)
    # Numbers and switches come out of a template as text: they are none.
    assert not [one for one in table if one.template and one.type.split(" | ")[0] in ("bool", "int", "float")][1:]


@pytest.mark.parametrize(("constructor", "table"), CONSTRUCTORS, ids=NAMES)
def test_defaults_are_allowed(constructor: Any, table: Sequence[Argument]) -> None:
    """By the rules, and by the constructor."""
    for one in table:
        if one.check is not None and one.default is not REQUIRED and one.template is False:
            one.check(one.name, one.default)
    made(constructor)


@pytest.mark.parametrize(("constructor", "table"), CONSTRUCTORS, ids=NAMES)
def test_closed_sets_are_types(constructor: Any, table: Sequence[Argument]) -> None:
    """An editor completes what the rule allows: the annotation is a `Literal` with the same values."""
    for one in table:
        if isinstance(one.check, Rule) and one.check.choices:
            closed_set = getattr(rules, one.type.split(" | ")[0])
            assert typing.get_origin(closed_set) is typing.Literal
            assert rules.choices(closed_set) == one.check.choices, one.name
            # The row of the table names each of them.
            told = one.doc + one.default_doc + f'`"{one.default}"`'
            assert [
                value for value in one.check.choices if f'`"{value}"`' not in told and one.doc != "as exported"
            ] == []


def test_formats_are_those_of_the_registry() -> None:
    """A new format is one file, one line of the registry and one value of the type."""
    assert rules.choices(rules.FileFormat) == tuple(FORMATS)


@pytest.mark.parametrize(("constructor", "argument"), RULES)
def test_a_wrong_value_is_refused_in_one_sentence(constructor: Any, argument: Argument) -> None:
    """clear-sentence: name, value and what is allowed, when the Dag is parsed; a long value is cut."""
    assert isinstance(argument.check, Rule)
    for value in (object, "x" * 5000 if argument.check.choices else ["x"], -1, float("nan"), "", " ", b"x"):
        if argument.check.accepts(value):
            continue
        with pytest.raises(ValueError, match=rf"^{argument.name} is .*; allowed (is|are) ") as caught:
            argument.check(argument.name, value)
        assert len(str(caught.value)) < 450
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=rf"^{argument.name} is b'wrong'; allowed (is|are) "):
        made(constructor, **{argument.name: b"wrong"})


@pytest.mark.parametrize(
    ("value", "near"),
    [("call", "calls"), ("CALLS", "calls"), ("masked-calls", "masked_calls"), ("masked", "masked_calls")],
)
def test_the_nearest_value_is_named(value: str, near: str) -> None:
    """clear-sentence: one sentence shows how to correct a slip."""
    with pytest.raises(
        ValueError, match=rf"^report is '{value}' \(did you mean '{near}'\?\); allowed are calls, masked_calls$"
    ):
        made(CallReportSensor, report=value)
    with pytest.raises(ValueError, match=r"allowed are calls, masked_calls$"):
        made(CallReportSensor, report="recordings!")


@pytest.mark.parametrize(("operator", "table"), OPERATORS, ids=[operator.__name__ for operator, _ in OPERATORS])
def test_an_unknown_argument_is_refused_with_the_nearest(operator: Any, table: Sequence[Argument]) -> None:
    """clear-sentence: Airflow's own error names no argument that exists."""
    name = f"{table[0].name}s"
    sentence = rf"^{operator.__name__} has no argument '{name}' \(did you mean '{table[0].name}'\?\); allowed are "
    with pytest.raises(ValueError, match=sentence):
        made(operator, **{name: "x"})
    with pytest.raises(ValueError, match=r"has no argument 'zzzzzz'; allowed are [\w, ]+$"):
        made(operator, zzzzzz="x")


@pytest.mark.parametrize(("operator", "table"), OPERATORS, ids=[operator.__name__ for operator, _ in OPERATORS])
def test_arguments_of_every_airflow_operator_are_taken(operator: Any, table: Sequence[Argument]) -> None:
    """Also by mapped tasks, and from ``default_args``."""
    further: dict[str, Any] = {"retries": 3, "pool": "callreport", "doc_md": "text", "execution_timeout": timedelta(1)}
    if operator is CallReportSensor:
        further |= {"poke_interval": 5, "mode": "reschedule", "soft_fail": True}
    assert made(operator, **further).retries == 3
    with DAG("given", schedule=None, default_args={"nothing_of_ours": 5, **further}):
        assert made(operator).pool == "callreport"
        operator.partial(task_id="mapped", **{**RIGHT[operator], **further}).expand(callreport_conn_id=["a", "b"])


@pytest.mark.parametrize("one", [one for one in EXPORT if one.name not in {other.name for other in MASK_LIST}])
def test_the_masked_operator_names_the_one_that_takes_more(one: Argument) -> None:
    """Of an argument that only the export operator has."""
    sentence = rf"^MaskListToS3Operator has no argument '{one.name}'; use CallReportExportOperator with report=\"masked"
    with pytest.raises(ValueError, match=sentence):
        made(MaskListToS3Operator, **{one.name: "x"})


def test_tables_of_the_pages_are_those_of_the_code() -> None:
    """`make pages` writes them anew."""
    found = ""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        assert text == written(text), f"{path.name} is out of date: run make pages"
        found += text
    assert [name for name in TABLES if f"<!-- arguments: {name} -->" not in found] == []


@given(
    st.sampled_from(["a", "link_expires_in"]), st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.binary())
)
def test_refusals_are_one_line(name: str, value: Any) -> None:
    """Whatever somebody gives: a repr has no line break, and no more than the beginning of a long text."""
    sentence = rules.whole_number(1, 5).refusal(name, value)
    assert sentence.startswith(f"{name} is ")
    assert len(sentence) < 250
    assert "\n" not in sentence


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text()))
def test_numbers_are_numbers(value: Any) -> None:
    """A boolean is none, and no text is."""
    assert rules.is_whole_number(value) is (type(value) is int)
    assert rules.whole_number(1, 5).accepts(value) is (type(value) is int and 1 <= value <= 5)
    assert rules.seconds(0).accepts(value) is (type(value) in (int, float) and 0 <= value < float("inf"))


def test_no_rule_stands_twice() -> None:
    """What is a number and what is a boolean is said in `rules`, besides where data of the API is read."""
    package = pages()[0].parent / "airflow_provider_callreport"
    value = r"isinstance\([\w.]+, "
    idiom = re.compile(rf"{value}bool\) or not {value}(int|\(int, float\))\)|{value}int\) and not isinstance")
    allowed = {"rules.py", "query.py", "answer_check.py"}
    found = {
        path.name
        for path in package.rglob("*.py")
        if path.name not in allowed and idiom.search(path.read_text(encoding="utf-8"))
    }
    assert found == set()
    for path in package.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
