"""One argument, and checking its value as early as it can be checked.

An argument that is written out is checked when the Dag is parsed. One that is a template, or comes from another task,
is checked after it has been rendered. The checks are the same, and no connection is read for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

_JINJA = ("{{", "{%", "{#")


class ArgumentError(AirflowFailException, ValueError):
    """An argument is wrong.

    It is a ``ValueError`` for the author of the Dag. A mapped task's arguments are known when it runs, and the
    constructor gets them then: for Airflow it is an error that another try does not help.
    """


class Missing(Enum):
    """The mark of an argument without a default."""

    REQUIRED = "required"


REQUIRED = Missing.REQUIRED


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a constructor.

    Attributes:
        name: as users type it.
        type: as the signature annotates it.
        default: its default, or `REQUIRED`.
        doc: what it means, in one line of Markdown.
        check: refuses a value with a ``ValueError`` of one sentence, given the name and the value; see `rules`. None
            where a value can only be judged with others.
        template: whether it is a template field.
        default_doc: what happens without it, where the default does not say so; Markdown.
    """

    name: str
    type: str
    default: Any
    doc: str
    check: Callable[[str, Any], None] | None = None
    template: bool = True
    default_doc: str = ""


def template_fields(arguments: Iterable[Argument]) -> tuple[str, ...]:
    """The names of the arguments that may be templates, for ``BaseOperator.template_fields``."""
    return tuple(argument.name for argument in arguments if argument.template)


def settled_values(arguments: Iterable[Argument], values: Mapping[str, Any], *, rendered: bool) -> dict[str, Any]:
    """The values that are final, by name.

    Args:
        arguments: the arguments.
        values: their values as they are now.
        rendered: whether templates have been rendered, so that all of them are final.
    """
    return {one.name: values[one.name] for one in arguments if rendered or is_settled(values[one.name])}


def check_each(arguments: Iterable[Argument], settled: Mapping[str, Any]) -> None:
    """Check each value alone.

    Args:
        arguments: the arguments.
        settled: the values that are final, by name.

    Raises:
        ValueError: one is wrong.
    """
    for one in arguments:
        if one.check is not None and one.name in settled:
            one.check(one.name, settled[one.name])


def is_settled(value: Any) -> bool:
    """Whether a value is what it will be at run time: no template, no other task's result, nothing to be called."""
    if isinstance(value, str):
        return not any(mark in value for mark in _JINJA)
    if isinstance(value, Mapping):
        return all(is_settled(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple, set)):
        return all(map(is_settled, value))
    # `iter_references` is what marks Airflow's values of later: XComArg, DagParam, literal().
    return not hasattr(value, "iter_references") and not callable(value)
