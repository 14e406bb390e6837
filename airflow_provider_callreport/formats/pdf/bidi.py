"""The order in which text of both directions is drawn: the Unicode Bidirectional Algorithm (UAX #9).

A cell is one paragraph. Its rules P2 to L2 are here; explicit embeddings, overrides and isolates (X1 to X8) are read
as if they were not there, which also keeps a hostile name from reversing the cell around it.
"""

from __future__ import annotations

import re
from unicodedata import bidirectional

#: Finds text that has anything to reorder: the blocks whose characters are right-to-left (types R, AL and AN).
HAS_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")

_REMOVED = frozenset(("BN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
_NEUTRAL = frozenset(("B", "S", "WS", "ON"))
_CLOSING = dict(zip("([{（［｛「『〈《⟨", ")]}）］｝」』〉》⟩", strict=True))


def is_rtl(text: str) -> bool:
    """Whether ``text`` is a right-to-left paragraph: its first letter is (P2 and P3)."""
    return bool(HAS_RTL.search(text)) and _paragraph_level([bidirectional(c) for c in text]) == 1


def visual_runs(text: str, *, rtl: bool | None = None) -> list[tuple[int, int, bool]]:
    """Cut text into runs of one direction, in the order in which they are drawn from left to right.

    Args:
        text: one line.
        rtl: whether it belongs to a right-to-left paragraph; None decides by its own first letter.

    Returns:
        ``(start, end, rtl)`` for each run: a slice of ``text`` and whether its characters run right to left.
    """
    if not text:
        return []
    if not (rtl or HAS_RTL.search(text)):
        return [(0, len(text), False)]
    levels = _levels(text, rtl)
    runs: list[tuple[int, int, int]] = []
    start = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or levels[i] != levels[start]:
            runs.append((start, i, levels[start]))
            start = i
    # L2: from the highest level down to the lowest odd one, reverse every stretch at that level or above.
    for level in range(max(levels), 0, -1):
        i = 0
        while i < len(runs):
            j = i
            while j < len(runs) and runs[j][2] >= level:
                j += 1
            runs[i:j] = reversed(runs[i:j])
            i = max(j, i + 1)
    return [(first, last, level % 2 == 1) for first, last, level in runs]


def _levels(text: str, rtl: bool | None) -> list[int]:
    """The embedding level of every character: even is left to right."""
    original = [bidirectional(c) or "L" for c in text]
    base = _paragraph_level(original) if rtl is None else int(rtl)
    # X9: what is removed takes no part; it gets the level of what stands before it.
    kept = [i for i, kind in enumerate(original) if kind not in _REMOVED]
    kinds = [original[i] for i in kept]
    marks = [kind == "NSM" for kind in kinds]
    _resolve_weak(kinds, base)
    _resolve_brackets([text[i] for i in kept], kinds, marks, base)
    _resolve_neutral(kinds, base)
    levels = [base] * len(text)
    for i, kind in zip(kept, kinds, strict=True):
        # I1 and I2
        if kind == "R":
            levels[i] = 1
        elif kind in ("EN", "AN"):
            levels[i] = 2
        else:
            levels[i] = base * 2
    for i, kind in enumerate(original):
        if kind in _REMOVED and i:
            levels[i] = levels[i - 1]
    # L1: separators, and white space before them or at the end, stand where the paragraph ends.
    trailing = True
    for i in range(len(text) - 1, -1, -1):
        trailing = original[i] in ("S", "B") or (trailing and (original[i] == "WS" or original[i] in _REMOVED))
        if trailing:
            levels[i] = base
    return levels


def _paragraph_level(kinds: list[str]) -> int:
    """P2 and P3: the direction of the first letter."""
    return next((0 if kind == "L" else 1 for kind in kinds if kind in ("L", "R", "AL")), 0)


def _resolve_weak(kinds: list[str], base: int) -> None:
    """W1 to W7: numbers, their separators and signs, and combining marks."""
    edge = "R" if base else "L"
    previous, strong = edge, edge
    for i, kind in enumerate(kinds):
        if kind == "NSM":  # W1
            kinds[i] = kind = previous
        if kind in ("L", "R", "AL"):
            strong = kind
        elif kind == "EN" and strong == "AL":  # W2
            kinds[i] = "AN"
        previous = kinds[i]
    kinds[:] = ["R" if kind == "AL" else kind for kind in kinds]  # W3
    for i in range(1, len(kinds) - 1):  # W4
        before, after = kinds[i - 1], kinds[i + 1]
        if before == after and ((before == "EN" and kinds[i] in ("ES", "CS")) or (before == "AN" and kinds[i] == "CS")):
            kinds[i] = before
    i = 0
    while i < len(kinds):  # W5
        j = i
        while j < len(kinds) and kinds[j] == "ET":
            j += 1
        if j > i and ((i and kinds[i - 1] == "EN") or (j < len(kinds) and kinds[j] == "EN")):
            kinds[i:j] = ["EN"] * (j - i)
        i = max(j, i + 1)
    strong = edge
    for i, kind in enumerate(kinds):  # W6, W7
        if kind in ("ES", "ET", "CS"):
            kinds[i] = "ON"
        elif kind in ("L", "R"):
            strong = kind
        elif kind == "EN" and strong == "L":
            kinds[i] = "L"


def _direction(kind: str) -> str | None:
    """What a resolved type counts as for its neighbours: numbers count as right to left."""
    return "L" if kind == "L" else "R" if kind in ("R", "EN", "AN") else None


def _resolve_brackets(text: list[str], kinds: list[str], marks: list[bool], base: int) -> None:
    """N0: a pair of brackets takes the direction of what it holds, or of what stands before it."""
    ours = "R" if base else "L"
    for start, end in _bracket_pairs(text, kinds):
        inside = {_direction(kind) for kind in kinds[start + 1 : end]} - {None}
        if not inside:
            continue
        if ours in inside:
            chosen = ours
        else:
            before = next((d for kind in reversed(kinds[:start]) if (d := _direction(kind))), ours)
            chosen = before if before != ours else ours
        for bracket in (start, end):
            kinds[bracket] = chosen
            for i in range(bracket + 1, len(kinds)):  # a mark on a bracket goes with it
                if not marks[i]:
                    break
                kinds[i] = chosen


def _bracket_pairs(text: list[str], kinds: list[str]) -> list[tuple[int, int]]:
    """BD16: the pairs, in the order of their opening brackets."""
    stack: list[tuple[str, int]] = []
    pairs: list[tuple[int, int]] = []
    for i, c in enumerate(text):
        if kinds[i] != "ON":
            continue
        if c in _CLOSING:
            if len(stack) == 63:
                break
            stack.append((_CLOSING[c], i))
            continue
        for depth in range(len(stack) - 1, -1, -1):
            if stack[depth][0] == c:
                pairs.append((stack[depth][1], i))
                del stack[depth:]
                break
    return sorted(pairs)


def _resolve_neutral(kinds: list[str], base: int) -> None:
    """N1 and N2: what is between takes the direction of both sides, else the paragraph's."""
    ours = "R" if base else "L"
    i = 0
    while i < len(kinds):
        j = i
        while j < len(kinds) and kinds[j] in _NEUTRAL:
            j += 1
        if j > i:
            before = _direction(kinds[i - 1]) if i else ours
            after = _direction(kinds[j]) if j < len(kinds) else ours
            kinds[i:j] = [before if before is not None and before == after else ours] * (j - i)
        i = max(j, i + 1)
