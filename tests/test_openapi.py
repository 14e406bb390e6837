"""``docs/openapi.yaml`` is a valid document, says what the vendor's page says, and the stand-in API keeps to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from support.api import DAY, SOAK
from support.sandbox import answer, post

from airflow_provider_callreport.sandbox.calls import SyntheticCalls
from airflow_provider_callreport.sandbox.faults import Fault
from airflow_provider_callreport.sandbox.rows import ROW_SHAPES
from airflow_provider_callreport.sandbox.servers import SandboxServer
from airflow_provider_callreport.sandbox.settings import CHOICES, SandboxSettings

pytestmark = pytest.mark.slow

openapi_spec_validator = pytest.importorskip(
    "openapi_spec_validator", reason="openapi-spec-validator is not installed; it comes with the group test"
)
schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed; it comes with the group test")

DOCUMENT = Path(__file__).parent.parent / "docs" / "openapi.yaml"
CALLS = 7

checks = pytest.importorskip("schemathesis.specs.openapi.checks")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]

schema = schemathesis.openapi.from_path(DOCUMENT)
operations = {operation.ok().path: operation.ok() for operation in schema.get_all_operations()}
#: Forms that the sandbox plays because a client must refuse them.
ODD = {"odd_shape", "odd_token"}
#: Sandbox settings that decide the form of an answer.
behaviours = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.booleans(),
        **{name: st.sampled_from([value for value in values if value not in ODD]) for name, values in CHOICES.items()},
    },
)
#: Right ones for the sandbox, or None for whatever the document's schema gave.
credentials = st.sampled_from(
    [
        {"userId": "sandbox-user", "token": "sandbox-token"},
        {"ssid": "sandbox-ssid"},
        {"ssid": "sandbox-ssid", "userId": "somebody"},
        None,
    ]
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


def behave(server: SandboxServer, **behaviour: Any) -> None:
    """Let the sandbox answer in this form, about few calls."""
    calls, masked_calls = SyntheticCalls(CALLS), SyntheticCalls(CALLS, masked=True)
    server.settings = SandboxSettings(calls, masked_calls, **behaviour)


def validator(document: Mapping[str, Any], name: str) -> Draft202012Validator:
    """A validator for one of the document's schemas."""
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_the_document_is_valid(document: Mapping[str, Any]) -> None:
    """api-document: OpenAPI 3.1, with every endpoint that the vendor's page names, and every statement marked."""
    openapi_spec_validator.validate(document)
    assert document["openapi"].startswith("3.1")
    names = ["list", "masklist", "reportCount", "detail", "exportCsv", "exportCsvBulk", "changeTitle", "downloadPdf"]
    assert [path.removeprefix("/") for path in document["paths"]] == names
    for path, methods in document["paths"].items():
        assert list(methods) == ["post"], path
        assert methods["post"]["description"].startswith("D: "), path


def test_the_vendors_only_answer_is_in_it(document: Mapping[str, Any], server: SandboxServer) -> None:
    """api-document: the example is byte for byte the answer with the ETag and length (330) of the vendor's page."""
    example = document["components"]["responses"]["Page"]["content"]["application/json"]["examples"]["empty"]["value"]
    assert len(json.dumps(example, separators=(",", ":"))) == 330
    behave(server)
    nowhere = {"dtGte": "1999-01-01 00:00:00", "dtLte": "1999-01-01 23:59:59"}
    assert post(server, "masklist", filter=nowhere).text == json.dumps(example, separators=(",", ":"))


def test_examples_keep_to_their_schemas(document: Mapping[str, Any]) -> None:
    """api-document: every example of the document."""
    page = document["components"]["responses"]["Page"]["content"]["application/json"]
    requests = document["components"]["requestBodies"]["PageRequest"]["content"]["application/json"]
    for example in requests["examples"].values():
        validator(document, "PageRequest").validate(example["value"])
    validator(document, "Page").validate(page["examples"]["empty"]["value"])
    validator(document, "Error").validate(page["examples"]["error"]["value"])
    for name in ("Error", "WallTime"):
        for example in document["components"]["schemas"][name]["examples"]:
            validator(document, name).validate(example)


@pytest.mark.parametrize("shape", ROW_SHAPES)
def test_each_row_shape_has_its_schema(document: Mapping[str, Any], server: SandboxServer, shape: str) -> None:
    """api-document: a row keeps to the schema of its own form, and to no other where forms can be told apart."""
    expected = {
        "position": {"RowByPosition"},
        "data_object": {"RowByPosition"},
        "label": {"RowByLabel"},
        "fields": {"RowByField"},
        "hit": {"SearchHit"},
        "array": {"RowArray"},
        "short_array": {"RowArray"},
        "long_array": {"RowArray"},
    }[shape]
    behave(server, row_shape=shape)
    page = answer(server, filter=window())
    validator(document, "Page").validate(page)
    rows = list(page["data"].values()) if shape == "data_object" else page["data"]
    assert len(rows) == CALLS
    names = ("RowByPosition", "RowByLabel", "RowByField", "RowArray", "SearchHit")
    for row in rows:
        assert {name for name in names if validator(document, name).is_valid(row)} == expected


@pytest.mark.parametrize(
    "fault",
    [
        Fault("null_data", page=0),
        Fault("missing_data", page=0),
        Fault("odd_row", page=0),
        Fault("vendor_error", code=1009),
        Fault("error_with_cnt", page=0),
    ],
    ids=lambda fault: str(fault.name),
)
def test_an_answer_that_is_none_is_no_page(document: Mapping[str, Any], server: SandboxServer, fault: Fault) -> None:
    """api-document: the schema of a page is narrow enough to refuse what the client refuses."""
    behave(server, faults=[fault])
    page = answer(server, filter=window())
    assert fault.hits == 1
    assert not validator(document, "Page").is_valid(page)


def test_a_page_beyond_the_last_is_a_page(document: Mapping[str, Any], server: SandboxServer) -> None:
    """api-document: ``data: null`` stands only beside a count of 0, also where there were calls before."""
    behave(server, empty_data="null")
    beyond = answer(server, filter=window(), page=99)
    assert (beyond["data"], beyond["cnt"]) == ([], CALLS)
    validator(document, "Page").validate(beyond)


@pytest.mark.parametrize("form", sorted(ODD))
def test_an_odd_detail_is_no_detail(document: Mapping[str, Any], server: SandboxServer, form: str) -> None:
    """api-document: the same for ``detail``."""
    behave(server, detail_answer=form)
    call_id = answer(server, filter=window())["data"][0]["callId"]
    found = answer(server, "detail", clId=call_id)
    assert "data" in found
    assert not validator(document, "Detail").is_valid(found)


@pytest.mark.parametrize("path", operations)
def test_the_sandbox_keeps_to_the_document(server: SandboxServer, path: str) -> None:
    """api-document: requests made from the document, right and wrong ones, to the sandbox in all of its forms."""
    behave(server)
    known = {"/detail": {"clId": answer(server, filter=window())["data"][0]["callId"]}}
    if path == "/changeTitle":
        known[path] = {"id": answer(server, "exportCsv")["id"], "title": "March"}
    seen: Counter[str] = Counter()

    @settings(
        max_examples=300 if SOAK else 80,
        deadline=None,
        derandomize=not SOAK,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(
        requests_of(path),
        behaviours,
        credentials,
        st.booleans(),
        st.sampled_from((200, 400)),
    )
    def check(
        case: Any, behaviour: dict[str, Any], who: dict[str, str] | None, is_known: bool, error_status: int
    ) -> None:
        behave(server, **behaviour, error_status=error_status)
        if who and isinstance(case.body, dict):
            kept = {key: value for key, value in case.body.items() if key not in ("userId", "token", "ssid")}
            case.body = {**kept, **who, **(known.get(path, {}) if is_known else {})}
        response = case.call_and_validate(base_url=f"{server.url}/api/v2/CallReport", checks=CHECKS)
        seen["error" if response.status_code >= 400 or b'"status":"error"' in response.content else "success"] += 1

    check()
    print(f"{path}: {dict(seen)}")
    assert seen["success"] >= 3
    assert seen["error"] >= 3


def requests_of(path: str) -> st.SearchStrategy[Any]:
    """Requests that keep to the document, and some that do not."""
    modes = schemathesis.GenerationMode
    right, wrong = (operations[path].as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE))
    return st.one_of(right, right, right, wrong)


def window() -> dict[str, str]:
    """The filter for the day of the tests."""
    asked = DAY.api_filter()
    assert asked
    return dict(asked)
