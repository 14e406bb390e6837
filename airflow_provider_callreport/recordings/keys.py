"""Where recordings go: keys made from the ids of a call and of its part, and from nothing else.

Imported while a Dag is parsed, so nothing heavy is here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_callreport.privacy.phone_numbers import without_numbers

#: What a user writes into ``s3_key`` where the ids of the call and of its part go.
PLACEHOLDERS = ("[[ call ]]", "[[ part ]]")

_PLACEHOLDER = re.compile(r"\[\[\s*(call|part)\s*\]\]")
_ANY_PLACEHOLDER = re.compile(r"\[\[\s*(\w+)\s*\]\]")
_UNSAFE = re.compile(r"[^\w.\-]", re.ASCII)
_PLACE = re.compile(r"part\d+")


def check_key(name: str, key: str) -> None:
    """Refuse a key that lacks a placeholder, because recordings would overwrite each other, or has another one.

    Raises:
        ValueError: a placeholder is missing, or is unknown.
    """
    for other in _ANY_PLACEHOLDER.findall(key):
        if f"[[ {other} ]]" not in PLACEHOLDERS:
            raise ValueError(f"{name} has [[ {other} ]]; the placeholders there are {' and '.join(PLACEHOLDERS)}")
    found = {match[1] for match in _PLACEHOLDER.finditer(key)}
    missing = [placeholder for placeholder in PLACEHOLDERS if placeholder[3:-3] not in found]
    if missing:
        raise ValueError(
            f"{name} is {key!r} and has no {missing[0]}; write a key such as recordings/[[ call ]]_[[ part ]].mp3"
        )


def fill_key(key: str, call: str, part: str) -> str:
    """The key of one recording."""
    return _PLACEHOLDER.sub(lambda match: _safe(call) if match[1] == "call" else _safe(part), key)


def key_folder(key: str) -> str:
    """The folder that all recordings are below, without a slash at its end; ``"/"`` for the bucket itself."""
    return _PLACEHOLDER.split(key, maxsplit=1)[0].rpartition("/")[0] or "/"


def part_names(nodes: Sequence[str]) -> list[str]:
    """A name for each recording of a call: the API's own id of the part, else its place in the list.

    Args:
        nodes: the API's ids of the parts, in order; ``""`` for none.
    """
    return [
        # An id that looks like a phone number may be one, so it must not be in a key. An id that looks like a place may
        # be the place of another part: one recording would be taken for the other.
        node
        if node and nodes.count(node) == 1 and without_numbers(node) == node and not _PLACE.fullmatch(node)
        else f"part{place}"
        for place, node in enumerate(nodes, 1)
    ]


def _safe(text: str) -> str:
    """An id as a part of a key: another id never becomes the same."""
    return _UNSAFE.sub(
        lambda match: "".join(f"~{byte:02x}" for byte in match[0].encode("utf-8", "surrogatepass")), text
    ).replace("..", "~2e~2e")
