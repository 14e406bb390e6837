"""The public face: what `__all__` names, imported when it is used; the arguments of all of it, frozen.

A change of `public_face.txt` is a change that users see. ``python tests/test_public_face.py`` writes it anew.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_callreport as package
from airflow_provider_callreport.windows import windows

FROZEN = Path(__file__).parent / "public_face.txt"
LAZY = [name for name in package.__all__ if name not in ("__version__", "get_provider_info")]


@pytest.mark.parametrize("name", LAZY)
def test_a_public_name_is_that_of_its_module(name: str) -> None:
    """The short path and the long one lead to one object, also when the package is asked twice."""
    module = __import__(package._MODULES[name], fromlist=[name])
    assert getattr(package, name) is getattr(module, name) is getattr(package, name)


def test_the_face_has_no_name_too_many() -> None:
    """``__all__``, what is imported when it is used, and what type checkers see are the same names."""
    assert package.__all__ == sorted(package.__all__)
    assert sorted(package._MODULES) == sorted(LAZY)
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in typed.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name: node.module for node in imports for alias in node.names} == package._MODULES
    assert set(package.__all__) <= set(dir(package))


def test_another_name_is_an_attribute_error() -> None:
    """Also where somebody only asks whether it exists."""
    with pytest.raises(AttributeError, match="has no attribute 'CallReportOperator'"):
        _ = package.CallReportOperator
    assert not hasattr(package, "windows_of")


def test_the_face_costs_nothing_before_it_is_used() -> None:
    """light-import: Airflow imports the package at every start."""
    code = """
import sys
import airflow_provider_callreport as package
dir(package)
heavy = {"airflow", "requests", "boto3", "airflow_provider_callreport.operators", "airflow_provider_callreport.rules"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from airflow_provider_callreport import CallReportFilter
assert CallReportFilter(mask="7") == {"mask": "mask_7"}
assert "airflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_signatures_are_frozen() -> None:
    """Names, order, types and defaults of all arguments that users write."""
    assert "".join(signatures()) == FROZEN.read_text(encoding="utf-8"), "run python tests/test_public_face.py"


def signatures() -> Iterator[str]:
    """A line for each argument of what is public."""
    for name in [*LAZY, "windows"]:
        value = windows if name == "windows" else getattr(package, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            yield f"{name}({value.__mro__[1].__name__})\n"
        elif inspect.isclass(value):
            yield from _signature(name, value.__init__)
            for method, function in sorted(vars(value).items()):
                # Airflow's own methods are Airflow's to change.
                if name == "CallReportHook" and inspect.isfunction(function) and not method.startswith("_"):
                    yield from _signature(f"{name}.{method}", function)
        elif callable(value) and inspect.isfunction(value):
            yield from _signature(name, value)
        else:
            yield f"{name} = {value!r}\n".replace("typing.", "")


def _signature(name: str, function: Any) -> Iterator[str]:
    signature = inspect.signature(function)
    returned = "" if signature.return_annotation in (signature.empty, "None") else f" -> {signature.return_annotation}"
    yield f"{name}{returned}\n"
    marks: dict[Any, str] = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    for one in signature.parameters.values():
        if one.name != "self":
            default = "" if one.default is one.empty else f" = {one.default!r}"
            yield f"    {marks.get(one.kind, '')}{one.name}: {one.annotation}{default}\n"


if __name__ == "__main__":
    FROZEN.write_text("".join(signatures()), encoding="utf-8")
