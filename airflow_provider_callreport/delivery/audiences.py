"""Who gets which files: everybody all of them, or each manager those of her own agents.

``email_to`` may be an object of group to addresses, beside ``group_by``::

    email_to={"Asha": "asha.manager@example.com", "Ravi": "ravi.manager@example.com", "*": "head@example.com"}

Each address gets one mail, with the files of all the groups that name it. ``"*"`` names the groups that the object does
not; ``"*": None`` sends them to nobody. Without ``"*"``, a group that is not named is an error, before anything is
delivered. A group that is named and has no calls gets no mail.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.headerregistry import Address
from typing import Any

from airflow_provider_callreport.delivery.errors import DestinationRefusedError
from airflow_provider_callreport.delivery.recipients import check_no_duplicates, parse_recipients
from airflow_provider_callreport.report import (
    ExportedFile,
    Figures,
    ReportInfo,
    ReportOutcome,
    Tally,
    TallyKind,
    wording,
)
from airflow_provider_callreport.rules import did_you_mean

#: The key of ``email_to`` for all groups that it does not name.
REST = "*"

#: Groups without an address that the error names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Audience:
    """The people who get one mail together.

    Attributes:
        to: their addresses.
        files: the files that they may see.
        info, outcome: the report as these files show it.
    """

    to: tuple[Address, ...]
    files: tuple[ExportedFile, ...]
    info: ReportInfo
    outcome: ReportOutcome


def parse_groups(value: Mapping[Any, Any], argument: str) -> dict[str, tuple[Address, ...]]:
    """Read an object of group to addresses.

    Args:
        value: the object; addresses as `parse_recipients` reads them, or None for nobody.
        argument: the argument's name, for messages.

    Raises:
        ValueError: a key is no text, an address is not valid or comes twice in a group, or nobody is named.
    """
    groups: dict[str, tuple[Address, ...]] = {}
    for group, addresses in value.items():
        where = f"{argument}[{group!r}]"
        if not isinstance(group, str) or not group:
            raise ValueError(f'{argument} has the key {group!r}; allowed are values of the group_by column, and "*"')
        groups[group] = parse_recipients(addresses, where)
        check_no_duplicates({where: groups[group]})
        if addresses is not None and not groups[group]:
            raise ValueError(f"{where} has no address; allowed are one or more, or None to send this group to nobody")
    if not any(groups.values()):
        raise ValueError(f"{argument} has no address; allowed are one or more")
    return groups


def audiences(
    groups: Mapping[str, tuple[Address, ...]],
    files: Sequence[ExportedFile],
    info: ReportInfo,
    outcome: ReportOutcome,
) -> list[Audience]:
    """Who gets which of a report's files. No address is in two audiences.

    Args:
        groups: what `parse_groups` read.
        files: the files of the groups, or the one file of a report without calls, which everybody gets.
        info: the whole report's description.
        outcome: its proof and figures.

    Raises:
        DestinationRefusedError: a group has no address, and there is no ``"*"``.
    """
    _check_addressed(groups, files)
    people: dict[str, Address] = {}
    keys_of: dict[str, list[str]] = {}
    for key, addresses in groups.items():
        for address in addresses:
            # One person, however the address is written.
            person = address.addr_spec.casefold()
            people.setdefault(person, address)
            keys_of.setdefault(person, []).append(key)
    together: dict[tuple[str, ...], list[Address]] = {}
    for person, keys_of_person in keys_of.items():
        together.setdefault(tuple(keys_of_person), []).append(people[person])
    found = []
    for keys, to in together.items():
        theirs = tuple(file for file in files if not file.group_value or _key(groups, file) in keys)
        if theirs:
            found.append(Audience(tuple(to), theirs, *_as_shown(theirs, info, outcome)))
    return found


def _check_addressed(groups: Mapping[str, Any], files: Sequence[ExportedFile]) -> None:
    if REST in groups:
        return
    missing = [file.group_value for file in files if file.group_value and file.group_value not in groups]
    if not missing:
        return
    names = ", ".join(repr(name) for name in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    near = did_you_mean(missing[0], groups)
    raise DestinationRefusedError(
        f"email_to has no address for {'the group' if len(missing) == 1 else 'the groups'} {names}{more}{near}; name "
        f'them, or "*" for all groups that are not named ("*": None sends those to nobody). Nothing was delivered'
    )


def _key(groups: Mapping[str, Any], file: ExportedFile) -> str:
    return file.group_value if file.group_value in groups else REST


def _as_shown(
    files: Sequence[ExportedFile], info: ReportInfo, outcome: ReportOutcome
) -> tuple[ReportInfo, ReportOutcome]:
    """The report as some of its files show it: their calls and figures, and no others'."""
    if not files[0].group_value:
        return info, outcome
    names = [file.group_value for file in files]
    title = f"{info.title} - {names[0]}" if len(names) == 1 else f"{info.title} - {len(names)} groups"
    rows = sum(file.rows for file in files)
    note = (
        f"{wording.count(rows)} of the report's {wording.calls(outcome.rows)}, in "
        f"{'this file' if len(files) == 1 else f'these {len(files)} files'}. Of the whole report: {outcome.note}"
    )
    figures = combined([file.figures for file in files if file.figures is not None])
    return replace(info, title=title), replace(outcome, rows=rows, note=note, figures=figures, is_part=True)


def combined(several: Sequence[Figures]) -> Figures | None:
    """The figures of several files together, or None when there are none."""
    if not several:
        return None
    first = several[0]
    talked = [figures.talk_seconds for figures in several if figures.talk_seconds is not None]
    return replace(
        first,
        by_status=_combined_tallies(figures.by_status for figures in several),
        by_campaign=_combined_tallies(figures.by_campaign for figures in several),
        by_agent=_combined_tallies(figures.by_agent for figures in several),
        by_hour=(
            None
            if first.by_hour is None
            else tuple(map(sum, zip(*(figures.by_hour or (0,) * 24 for figures in several), strict=True)))
        ),
        talk_seconds=sum(talked) if talked else None,
        talk_calls=sum(figures.talk_calls for figures in several),
    )


def _combined_tallies(several: Iterable[tuple[Tally, ...] | None]) -> tuple[Tally, ...] | None:
    calls: Counter[tuple[str, TallyKind]] = Counter()
    talked: dict[tuple[str, TallyKind], float] = defaultdict(int)
    known = [tallies for tallies in several if tallies is not None]
    for tally in (tally for tallies in known for tally in tallies):
        calls[tally.name, tally.kind] += tally.calls
        talked[tally.name, tally.kind] += tally.talk_seconds
    ranked = sorted(calls, key=lambda one: (-calls[one], one[0]))
    return tuple(Tally(name, calls[name, kind], talked[name, kind], kind) for name, kind in ranked) if known else None
