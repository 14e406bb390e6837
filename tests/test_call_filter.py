"""Typed filters: what each helper becomes, and what it refuses."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.api import NOON, behave, listed, read_report, sandbox

from airflow_provider_callreport.api.call_filter import KEYS, CallReportFilter
from airflow_provider_callreport.api.errors import SettingsError
from airflow_provider_callreport.api.filters import NUMBER_FILTERS, check_filters
from airflow_provider_callreport.operators.callreport import CallReportExportOperator
from airflow_provider_callreport.sandbox.call import Call
from airflow_provider_callreport.sandbox.servers import SandboxServer

build: Any = CallReportFilter


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with sandbox() as one:
        yield one


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({}, {}),
        ({"caller": "+91 98765 43210"}, {"cNum": "919876543210"}),
        ({"caller": ["09876543210", "0044 20 7946 0958"]}, {"cNum": ["919876543210", "442079460958"]}),
        ({"from_number": "9876543210", "to_number": "91-80-4500-0001"}, {"frm": "919876543210", "to": "918045000001"}),
        ({"caller": "98X", "normalise_numbers": False}, {"cNum": "98X"}),
        ({"mask": "mask_12345"}, {"mask": "mask_12345"}),
        ({"mask": ["12345", " mask_6 "]}, {"mask": ["mask_12345", "mask_6"]}),
        ({"min_duration": timedelta(minutes=2)}, {"dur": {"gte": 120}}),
        ({"min_duration": 0.5, "max_duration": 60.0}, {"dur": {"gte": 0.5, "lte": 60}}),
        ({"agents": ["Asha Rao"], "status": "Answered"}, {"agent": "Asha Rao", "status": "Answered"}),
        ({"campaigns": ["Sales", "Support"]}, {"campaign": ["Sales", "Support"]}),
        ({"call_type": ["ibd", "MASK"]}, {"cType": ["IBD", "MASK"]}),
        ({"fields": {"leadScore": {"gte": 5}}}, {"leadScore": {"gte": 5}}),
        ({"agents": "A", "key_names": {"agents": "agentName"}}, {"agentName": "A"}),
        ({"max_duration": 5, "key_names": {"duration": "callDuration"}}, {"callDuration": {"lte": 5}}),
        (
            {"caller": "{{ var.value.number }}", "call_type": "{{ params.t }}"},
            {"cNum": "{{ var.value.number }}", "cType": "{{ params.t }}"},
        ),
    ],
)
def test_each_helper_becomes_its_key(arguments: dict[str, Any], sent: dict[str, Any]) -> None:
    """The table in the module's docstring, line by line."""
    assert build(**arguments) == sent


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"agnts": "A"}, "CallReportFilter has no argument 'agnts' (did you mean 'agents'?); allowed are caller, "),
        ({"durationn": 5}, "CallReportFilter has no argument 'durationn' (did you mean 'min_duration'?); allowed are"),
        ({"zzz": 5}, "CallReportFilter has no argument 'zzz'; allowed are caller, "),
        (
            {"call_type": "MSAK"},
            "call_type is 'MSAK' (did you mean 'MASK'?); allowed are IBD, OBD, CTC, QC, BRD, POOL, MASK, FLASH",
        ),
        ({"key_names": {"agent": "x"}}, "key_names has no filter 'agent' (did you mean 'agents'?); allowed are"),
        ({"key_names": ["agent"]}, "key_names is ['agent']; allowed is an object of argument to API key"),
        ({"caller": 919876543210}, "caller is of type int; allowed is text, or a list of texts"),
        ({"caller": [919876543210]}, "caller has an entry of type int; allowed is text that is not empty"),
        ({"caller": "12345"}, "caller has a text of 5 characters that is no phone number; allowed are 8 to 15 digits"),
        ({"caller": ""}, "caller has an empty text; allowed is text that is not empty"),
        ({"agents": []}, "agents is an empty list, which would filter nothing; leave it out"),
        ({"agents": {"a": 1}}, "agents is of type dict; allowed is text, or a list of texts"),
        ({"mask": "mask 5"}, "mask is 'mask 5'; allowed is the id of a masked number, such as mask_12345"),
        ({"min_duration": -1}, "min_duration is -1; allowed are seconds of at least 0, or a timedelta"),
        ({"max_duration": True}, "max_duration is True; allowed are seconds of at least 0, or a timedelta"),
        ({"min_duration": "60"}, "min_duration is '60'; allowed are seconds of at least 0, or a timedelta"),
        (
            {"min_duration": 9, "max_duration": 5},
            "min_duration is 9 s and max_duration is 5 s; min_duration must",
        ),
        ({"fields": ["x"]}, "fields is of type list; allowed is an object of API keys and values"),
        ({"fields": {"dtGte": "x"}}, "fields has dtGte, which belongs to the window"),
        ({"fields": {"dtgte": "x"}}, "fields has dtgte; the API's name is dtGte, which belongs to the window"),
        ({"fields": {"cnum": "x"}}, "fields has cnum; the API's name is cNum"),
        ({"fields": {"x": {1, 2}}}, "fields has x of type set, which JSON cannot hold"),
        ({"agents": "A", "fields": {"agent": "B"}}, "fields has agent, which another argument sets already"),
    ],
)
def test_a_mistake_is_refused_with_what_is_allowed(arguments: dict[str, Any], sentence: str) -> None:
    """clear-sentence: one sentence, the nearest valid name, and no phone number in it."""
    with pytest.raises(SettingsError, match=re.escape(sentence)) as caught:
        build(**arguments)
    assert "9876543210" not in str(caught.value)


def test_a_number_with_a_slip_is_not_repeated() -> None:
    """no-leak: a number that is refused may be a real one."""
    with pytest.raises(SettingsError) as caught:
        build(caller="+91 81234 4321O")
    assert "81234" not in str(caught.value)


def test_it_goes_where_filters_go() -> None:
    """It is a dict: checked, copied, pickled and sent as one, and Airflow renders templates in it."""
    chosen = CallReportFilter(caller=["{{ 'a' }}", "9876543210"], agents="Asha")
    assert check_filters(chosen) is chosen
    assert copy.deepcopy(chosen) == pickle.loads(pickle.dumps(chosen)) == json.loads(json.dumps(chosen)) == chosen
    operator = CallReportExportOperator(task_id="a", filters=chosen, s3_bucket="b", s3_key="k")
    rendered = operator.render_template(operator.filters, {})
    assert rendered == {"cNum": ["a", "919876543210"], "agent": "Asha"}


def test_number_filters_are_those_that_are_kept_private() -> None:
    """no-leak: every argument that takes phone numbers becomes a key that logs and rendered templates hide."""
    assert {KEYS[name] for name in ("caller", "from_number", "to_number")} == set(NUMBER_FILTERS)


def test_it_filters(server: SandboxServer) -> None:
    """Over HTTP: the calls that come are those that the arguments mean."""
    calls = [
        Call(NOON, number="919876543210", agents="Asha Rao, Ravi", call_duration=60, status="Answered"),
        Call(NOON, number="919876543210", agents="Ravi", call_duration=61, campaign="Support"),
        Call(NOON, number="919876543211", agents="Asha Rao", call_duration=5, mask="mask_7", did="918045000009"),
    ]
    behave(server, calls=listed(*calls), reject_unknown_filters=True)

    def durations(**arguments: Any) -> list[str]:
        return sorted(row[6] for row in read_report(server, filters=build(**arguments)).rows)

    assert durations(caller="+91 98765 43210") == ["60", "61"]
    assert durations(agents="Asha Rao") == ["5", "60"]
    assert durations(min_duration=timedelta(minutes=1), max_duration=60) == ["60"]
    assert durations(campaigns=["Support"]) == ["61"]
    assert durations(mask="7") == ["5"]
    assert durations(to_number="080 4500 0009") == ["5"]
