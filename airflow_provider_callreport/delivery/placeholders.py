"""The mail's own placeholders, ``[[ ]]``, in a text that Airflow renders first: only those that its author wrote count.

Airflow fills in ``{{ params.who }}`` before the report is read; ``[[ rows ]]`` is filled in afterwards, with what the
report has. Without care, a value that comes in through ``{{ }}`` could hold ``[[ links[0].url ]]`` and put a presigned
address into the subject. So the author's placeholders are taken out before Airflow renders, and put back afterwards;
a bracket that is there then and was not written by the author becomes text.

This module knows Jinja and nothing of Airflow.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from jinja2 import Environment, TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.meta import find_undeclared_variables

#: How placeholders are written. Airflow's Jinja leaves square brackets alone.
DELIMITERS = {
    "variable_start_string": "[[",
    "variable_end_string": "]]",
    "block_start_string": "[%",
    "block_end_string": "%]",
    "comment_start_string": "[#",
    "comment_end_string": "#]",
}

#: A bracket that would begin a placeholder.
_OPENING = re.compile(r"\[(?=[\[%#])")

#: The same as text, in our own syntax.
_BRACKET = '[[ "[" ]]'

#: Around the mark of a placeholder that was taken out: noncharacters of Unicode, which no text has.
_BEGIN, _END = "\ufdd0", "\ufdd1"

_BEGINS = frozenset({"variable_begin", "block_begin", "comment_begin", "raw_begin"})
_ENDS = frozenset({"variable_end", "block_end", "comment_end", "raw_end"})


def name_in_braces(text: str, names: Collection[str]) -> str | None:
    """The first of our own names that a text has in Airflow's braces, where Airflow finds nothing; None for none.

    Args:
        text: a text that Airflow renders.
        names: names of values that are filled in after Airflow has rendered.
    """
    if "{{" not in text and "{%" not in text:
        return None
    try:
        used = find_undeclared_variables(_airflows().parse(text))
    except TemplateSyntaxError:
        return None
    return min(used.intersection(names), default=None)


class PlaceholderError(ValueError):
    """A placeholder cannot be read; the message is one sentence without the argument's name."""


class AuthorsPlaceholders:
    """The placeholders of the texts that one rendering reads.

    Args:
        airflows: the environment that Airflow renders with.

    Attributes:
        environment: the environment to render with instead. It takes the placeholders out of every template that it
            reads: texts, files, and what these include.
    """

    def __init__(self, airflows: Environment) -> None:
        # Digits, which no filter changes, and too many to be guessed by who writes a value.
        self._mark = str(secrets.randbits(80))
        self._taken: list[str] = []
        self.environment = airflows.overlay(extensions=[_TakeOut])
        self.environment.extensions[_TakeOut.identifier].owner = self  # type: ignore[attr-defined]

    def put_back(self, text: str) -> str:
        """A rendered text with the author's placeholders, and with all other brackets as text.

        Raises:
            PlaceholderError: Airflow's rendering has cut a placeholder in two.
        """
        parts = re.split(f"{_BEGIN}{self._mark}([0-9]+){_END}", text)
        if any(character in part for part in parts[::2] for character in (_BEGIN, _END)):
            raise PlaceholderError("a filter or function of {{ }} or {% %} changes a placeholder [[ ]]")
        texts = [_as_text(part, before_placeholder=index < len(parts) - 1) for index, part in enumerate(parts[::2])]
        placeholders = [self._taken[int(number)] for number in parts[1::2]]
        return "".join(text + placeholder for text, placeholder in zip(texts, [*placeholders, ""], strict=True))

    def take_out(self, source: str) -> str:
        """The author's text with a mark in the place of each placeholder."""
        taken = "".join(
            self._without_placeholders(value) if token == "data" else value
            for _, token, value in self.environment.lex(source)
        )
        # The lexer drops one line break at the end, and drops another one when the text is rendered.
        return taken + "\n" if source.endswith("\n") else taken

    def _without_placeholders(self, text: str) -> str:
        marked = []
        for part, is_placeholder in split_placeholders(text):
            if is_placeholder:
                marked.append(f"{_BEGIN}{self._mark}{len(self._taken)}{_END}")
                self._taken.append(part)
            else:
                marked.append(part)
        return "".join(marked)


class _TakeOut(Extension):
    """Shows each template to an `AuthorsPlaceholders` before it is compiled."""

    owner: AuthorsPlaceholders

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Take the placeholders out."""
        return self.owner.take_out(source)


def split_placeholders(text: str) -> Iterator[tuple[str, bool]]:
    """Split a text at its placeholders: (part, whether it is one).

    Args:
        text: a text, or a piece of one between two of Airflow's ``{{ }}``.

    Raises:
        PlaceholderError: a placeholder is not closed within the text, or cannot be read.
    """
    part, inside = "", False
    try:
        for _, token, value in _lexer().lex(text):
            if token in _BEGINS and not inside:
                yield part, False
                part, inside = "", True
            part += value
            if token in _ENDS and inside:
                yield part, True
                part, inside = "", False
    except TemplateSyntaxError as error:
        raise PlaceholderError(f"a placeholder cannot be read: {error.message}; {_ALLOWED}") from error
    if inside:
        raise PlaceholderError(f"a placeholder that begins with {part[:20]!r} does not end; {_ALLOWED}")
    yield part, False


_ALLOWED = "write {{ }} and [[ ]] beside each other, never one inside the other"


def _as_text(text: str, *, before_placeholder: bool) -> str:
    text = _OPENING.sub(lambda _: _BRACKET, text)
    return text[:-1] + _BRACKET if before_placeholder and text.endswith("[") else text


@cache
def _airflows() -> Environment:
    """It only reads: Airflow's own environment is not known while a Dag is parsed."""
    return Environment()


@cache
def _lexer() -> Environment:
    options: dict[str, Any] = {**DELIMITERS, "keep_trailing_newline": True}
    # It only reads, and renders nothing.
    return Environment(**options)
