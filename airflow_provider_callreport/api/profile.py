"""What an account's answers look like: learned once, then held against every answer.

The vendor documents no row. So the first page tells how rows are keyed, which key belongs to which column, where a
call's id stands and how times are written. From then on a row that does not fit is an error: nothing about it is
guessed again. `Form` is that knowledge of rows, `learn_form` finds it, `Form.check` enforces it.

A `Profile` is the same as JSON, with what was learned of totals, cursors and page sizes: `callreport probe` writes
one, and a connection that has it (extra field ``profile``) is held to it from its first answer.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from airflow_provider_callreport.api.answer import ID_KEYS, Record
from airflow_provider_callreport.api.bounds import check_cells
from airflow_provider_callreport.api.errors import SettingsError, TableError, scrub
from airflow_provider_callreport.api.filters import Window
from airflow_provider_callreport.api.values import TimeForm, converter, learn_times, whole_number
from airflow_provider_callreport.report import ColumnKind
from airflow_provider_callreport.rules import OnNewColumns, did_you_mean
from airflow_provider_callreport.rules import unknown as unknown_name

log = logging.getLogger(__name__)

#: The sixteen labels of the vendor's page, in its order, with the kind of each.
KNOWN_LABELS: dict[str, ColumnKind] = {
    "Caller Number": ColumnKind.TEXT,
    "Time": ColumnKind.DATETIME,
    "DID Number": ColumnKind.TEXT,
    "Campaign": ColumnKind.TEXT,
    "Agents": ColumnKind.TEXT,
    "Master Agent": ColumnKind.TEXT,
    "Call Duration": ColumnKind.DURATION,
    "Customer Duration": ColumnKind.DURATION,
    "Total Talk Duration": ColumnKind.DURATION,
    "Agent on Call Duration": ColumnKind.DURATION,
    "Amount": ColumnKind.NUMBER,
    "Rec.": ColumnKind.TEXT,
    "Status": ColumnKind.TEXT,
    "Details": ColumnKind.TEXT,
    "Forward": ColumnKind.TEXT,
    "DTMF": ColumnKind.TEXT,
}

#: Field names of the vendor's webhook records, for rows that are keyed by them. Ids and codes are text.
KNOWN_FIELDS: dict[str, ColumnKind] = {
    **dict.fromkeys(("ivrSTime", "ivrETime"), ColumnKind.DATETIME),
    **dict.fromkeys(
        ("ivrDuration", "talkDuration", "agentOnCallDuration", "totalHoldDuration", "customerDuration"),
        ColumnKind.DURATION,
    ),
    **dict.fromkeys(("amount", "totalCreditsUsed"), ColumnKind.NUMBER),
}

_KINDS = {name.casefold(): kind for name, kind in {**KNOWN_LABELS, **KNOWN_FIELDS}.items()}

#: Names of fields that the vendor's webhooks have, by one of which the rows of calls are known.
_KNOWN_KEYS = frozenset(
    name.casefold()
    for name in (
        *KNOWN_LABELS,
        *KNOWN_FIELDS,
        *ID_KEYS,
        *("cNumber", "did", "callStatus", "cType", "campId", "masterAgent", "agents", "recordings", "status"),
    )
)

#: Labels and fields that say when a call began.
_BEGINNINGS = frozenset({"time", "ivrstime"})

#: Keys of a row that are about the row and not of it.
ENVELOPE = frozenset({"_id", "_index", "_score", "_type", "sort", "sAftr"})

#: Most columns of a report that nobody chose columns for. The vendor's has sixteen; a page of rows that all have other
#: fields would make a table as wide as the whole answer, and each of its rows would hold a cell for every one of them.
MAX_COLUMNS = 1000

#: Labels that one message names, and characters that it shows of each.
_MAX_NAMED = 40
_MAX_LABEL = 60

#: Rows whose fields are looked at together.
_BLOCK = 10

#: Two names this alike are one name, spelled in two ways (`difflib`'s ratio).
_ALIKE = 0.8

#: A time this far from the window is no time of a call that was asked for, whatever the window's slack.
_FAR = timedelta(days=2)

#: A page of so many rows that all lack a column says more than one row that does.
_MANY = 10

_NAME_THE_FIELD = (
    "where the account's rows are so, name the field in the connection's extra field profile, as {\"further\": [...]}"
)

RowKind = Literal["position", "label", "field", "array"]


def kind_of(label: str) -> ColumnKind:
    """The kind of a column by its label or field name; text when it is not known."""
    return _KINDS.get(label.strip().casefold(), ColumnKind.TEXT)


def listed(labels: Iterable[str]) -> str:
    """Labels of the vendor's for a message: scrubbed, at most 60 characters of each, at most 40 of them."""
    shown = [scrub(label) for label in islice(labels, _MAX_NAMED + 1)]
    cut = [label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 1] + "…" for label in shown[:_MAX_NAMED]]
    return ", ".join(cut) + (", and more" if len(shown) > _MAX_NAMED else "")


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of one report are read.

    Attributes:
        rows: how rows are keyed: by the ``position`` of ``columnArr``, by ``label``, by ``field`` names of their own
            (which are the columns then), or as an ``array``.
        labels: the columns' labels, unique.
        kinds: the columns' kinds.
        keys: each column's key in a row; of arrays its index.
        further: keys of the rows that are no column. ``columns=`` may name them.
        optional: keys of columns that rows may lack.
        absent: keys of columns that no row of the first page had.
        width: cells of an array; 0 for objects.
        time: how times are written.
        ragged: whether arrays may leave out empty cells at their end. Only a pinned profile says so.
        shift: how much lower rows count positions than ``columnArr``: -1 where they begin at 0 and it at 1.
        open: whether rows that are keyed by fields have more of them than a table may have columns.
    """

    rows: RowKind
    labels: tuple[str, ...]
    kinds: tuple[ColumnKind, ...]
    keys: tuple[str | int, ...]
    further: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    width: int = 0
    time: TimeForm = field(default_factory=TimeForm)
    ragged: bool = False
    shift: int = 0
    open: bool = False
    _seen: set[tuple[str, ...]] = field(default_factory=set, compare=False, repr=False)

    @property
    def began(self) -> int | None:
        """Which column says when a call began, or None."""
        return next((at for at, label in enumerate(self.labels) if label.strip().casefold() in _BEGINNINGS), None)

    def check(self, bodies: list[Any]) -> None:
        """Refuse rows that do not have this form.

        Raises:
            TableError: one does not.
        """
        if not bodies:
            return
        if isinstance(bodies[0], list) != (self.rows == "array"):
            raise TableError("rows changed between objects and arrays while the report was read")
        if self.rows == "array":
            self._check_width(bodies)
            return
        # Most rows have the same keys in the same order: each such sequence is looked at once.
        sequences = set(map(tuple, bodies))
        self._refuse_renamed(sequences, len(bodies))
        for keys in sequences - self._seen:
            self._check_keys(keys)
            if len(self._seen) < MAX_COLUMNS:
                self._seen.add(keys)
        check_cells(len(bodies), len(self.keys))

    def doubts(self) -> list[str]:
        """What about the columns is taken on trust, in sentences."""
        if self.rows == "array" and 0 < self.width < len(self.labels):
            return [f"The rows have {self.width} cells for {len(self.labels)} columns: the last ones are empty."]
        others = self.further - set(ID_KEYS)
        absent = [label for label, key in zip(self.labels, self.keys, strict=True) if key in self.absent]
        if not absent or not others or self.rows not in ("label", "position"):
            return []
        name = listed(sorted(others)[:1])
        return [f"No row of the first page has the column {listed(absent[:1])}; rows have the field {name}."]

    def cells(self, column: int, bodies: list[Any]) -> list[Any]:
        """One column's cells; None where a row lacks it."""
        key = self.keys[column]
        if isinstance(key, int):
            return [body[key] if key < len(body) else None for body in bodies]
        return [body.get(key) for body in bodies]

    def times(self, bodies: list[Any], zone: ZoneInfo) -> Sequence[Any]:
        """When the calls began, typed; empty where no column says so."""
        at = self.began
        return () if at is None else converter(ColumnKind.DATETIME, zone, self.time)(self.cells(at, bodies))

    def reordered(self, bodies: list[Any], column_arr: Any) -> Form:
        """The form of a later page whose ``columnArr`` names the same columns in another order.

        Raises:
            TableError: it names other columns.
        """
        named = read_column_arr(column_arr)
        labels = [label for _, label in named]
        if sorted(labels) != sorted(self.labels) and self.rows != "field":
            gone, new = set(self.labels) - set(labels), set(labels) - set(self.labels)
            raise TableError(
                f"columnArr changed while the report was read; gone: {listed(sorted(gone)) or 'none'}; "
                f"new: {listed(sorted(new)) or 'none'}"
            )
        if self.rows in ("field", "label") or not bodies:
            return self
        places: dict[str, str | int] = {}
        for at, (position, label) in enumerate(named):
            places[label] = at if self.rows == "array" else str(int(position) + self.shift)
        return replace(self, keys=tuple(places[label] for label in self.labels), _seen=set())

    def _check_width(self, bodies: list[Any]) -> None:
        widths = set(map(len, bodies))
        if self.rows_are_whole(widths):
            return
        strange = next(width for width in sorted(widths) if width != self.width)
        if strange > self.width and self.labels and self.labels[0] == "Column 1":
            raise TableError(
                f"a later row has the field 'Column {self.width + 1}', which the first page did not have, so it has "
                "no column; name the columns you want in columns="
            )
        raise TableError(
            f"a row has {strange} cells and the first one had {self.width}, so it cannot be told which cell belongs to "
            'which column (where the account leaves out empty cells at the end of a row, set "ragged": true in the '
            "connection's extra field profile)"
        )

    def rows_are_whole(self, widths: set[int]) -> bool:
        """Whether arrays of these widths can be read."""
        return widths == {self.width} or (self.ragged and max(widths) <= self.width)

    def _check_keys(self, keys: tuple[str, ...]) -> None:
        if not keys:
            raise TableError("a row is an empty object, so nothing of the call can be read")
        present, columns = set(keys), set(self.keys)
        if present.isdisjoint(columns):
            raise TableError(f"a row with the fields {listed(sorted(present)[:5])} fits none of the report's columns")
        new = present - columns - self.further - ENVELOPE
        if not new or self.open:
            return
        if self.rows == "field":
            raise TableError(
                f"a later row has the field {listed(sorted(new)[:1])!r}, which the first page did not have, so it has "
                "no column; name the columns you want in columns="
            )
        self._refuse_other_keys(new)
        missing = columns - present - self.optional
        if missing:
            raise TableError(
                f"a row lacks {self._label_of(min(map(str, missing)))} and has the field {listed(sorted(new)[:1])!r}, "
                f"which no earlier row had: rows are keyed in two ways; {_NAME_THE_FIELD}"
            )
        log.info("rows carry further fields, which columns= can name: %s", listed(sorted(new)))

    def _refuse_renamed(self, sequences: set[tuple[str, ...]], rows: int) -> None:
        """Refuse a page on which no row has a column that earlier rows had, and rows have a new field instead."""
        if rows < _MANY or self.rows == "field" or not self._seen:
            return
        present = set(chain.from_iterable(sequences))
        new = present - set(self.keys) - self.further - ENVELOPE
        had = set(chain.from_iterable(self._seen)) & set(self.keys)
        if new and (gone := had - present):
            raise TableError(
                f"no row of a page has {self._label_of(min(map(str, gone)))}, and rows have the new field "
                f"{listed(sorted(new)[:1])!r}; {_NAME_THE_FIELD}"
            )

    def _refuse_other_keys(self, new: set[str]) -> None:
        """Refuse a key that stands for a column in another way than the rest of the rows."""
        spelled = {label.strip().casefold(): label for label in self.labels}
        for key in sorted(new):
            label = spelled.get(key.strip().casefold())
            if self.rows == "position" and whole_number(key) is not None:
                raise TableError(f"a row has the position {listed((key,))!r}, which no earlier row had")
            if label is not None or (self.rows == "label" and _is_position(key, len(self.labels))):
                raise TableError(
                    f"a row has the field {listed((key,))!r} for the column "
                    f"{listed((label or self.labels[int(key) - 1],))!r}, and other rows have it under another key"
                )

    def _label_of(self, key: str) -> str:
        at = list(map(str, self.keys)).index(key)
        return repr(listed((self.labels[at],)))


def _is_position(key: str, columns: int) -> bool:
    number = whole_number(key)
    return number is not None and 1 <= number <= columns


@dataclass(frozen=True, slots=True)
class Profile:
    """What an account's answers look like, as far as it is known. None, or an empty value, means "not known".

    Holds names of fields and columns, and no value of a call.

    Attributes:
        rows: see `Form`.
        columns: label and key of each column, in order.
        further: keys of rows that are no column.
        width: cells of an array row.
        ragged: see `Form`.
        time: how times are written.
        id: the key of a call's own id; ``""`` where rows have none.
        legs: whether the rows of a call's legs share its id.
        count: what ``cnt`` counts; see `totals.Totals`.
        cap: the number at which ``cnt`` stops counting, below 10,000.
        cursor: where the cursor stands, or ``"none"``.
        page_size: the largest page that was accepted.
        beside: keys beside the documented ones, and what they may say; an empty list allows anything.
        report_count: whether ``reportCount`` agrees with the list: ``agrees``, ``differs`` or ``missing``.
    """

    rows: RowKind | None = None
    columns: tuple[tuple[str, str | int], ...] = ()
    further: tuple[str, ...] = ()
    width: int | None = None
    ragged: bool = False
    time: TimeForm | None = None
    id: str | None = None
    legs: bool = False
    count: str | None = None
    cap: int | None = None
    cursor: str | None = None
    page_size: int | None = None
    beside: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    report_count: Literal["agrees", "differs", "missing"] | None = None

    @property
    def first_position(self) -> int | None:
        """The smallest position by which rows are keyed, or None."""
        numbers = [whole_number(key) for _, key in self.columns]
        return min((number for number in numbers if number is not None), default=None)

    @classmethod
    def parse(cls, value: Any) -> Profile | None:
        """The extra field ``profile``: an object, its JSON, or the path of a file that holds it. None when empty.

        Raises:
            SettingsError: it is none of these, or a part of it is wrong.
        """
        if value is None or value == "":
            return None
        if isinstance(value, str):
            value = _load(value)
        if not isinstance(value, Mapping):
            raise SettingsError(f"extra field profile is {type(value).__name__}; allowed is a JSON object, or its path")
        known = {one.name for one in fields(cls)} | {"version"}
        if unknown := sorted(set(value) - known):
            raise SettingsError(unknown_name("extra field profile", unknown[0], sorted(known), "key"))
        return cls(
            **{name: _part(name, part) for name, part in value.items() if name != "version" and part is not None}
        )

    def to_json(self) -> dict[str, Any]:
        """The profile as plain JSON types, without what is not known."""
        made: dict[str, Any] = {"version": 1}
        for name, value in asdict(self).items():
            if value is not None and value != () and value != {} and value is not False:
                made[name] = value
        return json.loads(json.dumps(made))  # type: ignore[no-any-return]

    def fit(self, form: Form, *, has_rows: bool, on_new_columns: OnNewColumns) -> Form:
        """Hold a learned form against this profile.

        Returns:
            The form with the columns that stay.

        Raises:
            TableError: rows are keyed otherwise, a column is gone or stands under another key, or one is new and
                ``on_new_columns`` is ``"fail"``.
        """
        if has_rows and self.rows is not None and form.rows != self.rows:
            raise TableError(f"the profile says that rows are keyed by {self.rows}, and they came by {form.rows}")
        if has_rows and self.width is not None and form.rows == "array" and form.width != self.width:
            raise TableError(f"the profile says that rows have {self.width} cells, and they have {form.width}")
        if not self.columns:
            return form
        at = dict(zip(form.labels, form.keys, strict=True))
        known = dict(self.columns)
        if gone := [label for label in known if label not in at]:
            raise TableError(
                f"the profile has the column {listed(gone[:1])!r}, which the report does not have; it has "
                f"{listed(form.labels)}"
            )
        by_name = form.rows == "label"
        moved_key = next((label for label, key in known.items() if by_name and at[label] != key), None)
        if moved_key is not None and has_rows:
            raise TableError(
                f"the profile has the column {listed((moved_key,))!r} under the key "
                f"{listed((str(known[moved_key]),))!r}, and it came under {listed((str(at[moved_key]),))!r}"
            )
        new = [label for label in form.labels if label not in known]
        if not new or on_new_columns == "add":
            return form
        if on_new_columns == "fail":
            raise TableError(f'the report has the new column {listed(new[:1])!r}, and on_new_columns is "fail"')
        kept = [place for place, label in enumerate(form.labels) if label in known]
        log.info("columns that the profile does not know are left out: %s", listed(new))
        return replace(
            form,
            labels=tuple(form.labels[place] for place in kept),
            kinds=tuple(form.kinds[place] for place in kept),
            keys=tuple(form.keys[place] for place in kept),
            further=form.further | {str(at[label]) for label in new},
            _seen=set(),
        )


def _load(text: str) -> Any:
    """The JSON of a text, or of the file that it names."""
    if not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError):
            raise SettingsError(
                f"extra field profile is {text[:200]!r}; allowed is a JSON object, or the path of a file on the worker"
            ) from None
    try:
        return json.loads(text)
    except ValueError:
        raise SettingsError(
            "extra field profile is no JSON; write what `callreport probe --save` has written"
        ) from None


def _part(name: str, value: Any) -> Any:
    """One part of a profile, checked.

    Raises:
        SettingsError: it is of the wrong type or not among the allowed values.
    """
    choices = {
        "rows": get_args(RowKind),
        "report_count": ("agrees", "differs", "missing"),
        "count": ("total", "page", "so far", "capped", "none"),
        "cursor": ("none", "top", "row sAftr", "row sort"),
    }.get(name)
    if choices is not None:
        if value not in choices:
            near = did_you_mean(value, choices)
            raise SettingsError(f"extra field profile has {name}: {value!r}{near}; allowed are {', '.join(choices)}")
        return value
    if name in ("ragged", "legs") and isinstance(value, bool):
        return value
    if name in ("width", "cap", "page_size") and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if name == "id" and isinstance(value, str):
        return value
    if name == "further" and isinstance(value, (list, tuple)) and all(isinstance(key, str) for key in value):
        return tuple(value)
    if name == "columns" and isinstance(value, (list, tuple)) and all(map(_is_pair, value)):
        return tuple((str(label), key) for label, key in value)
    if name == "beside" and isinstance(value, Mapping):
        return {str(key): tuple(said) if isinstance(said, (list, tuple)) else (said,) for key, said in value.items()}
    if name == "time" and isinstance(value, Mapping) and set(value) <= {one.name for one in fields(TimeForm)}:
        order = value.get("day_first")
        return TimeForm(
            None if order is None else bool(order), bool(value.get("twelve_hours")), bool(value.get("fractions"))
        )
    raise SettingsError(f"extra field profile has a wrong {name}; write what `callreport probe --save` has written")


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (str, int))
    )


def learn_form(
    records: list[Record],
    column_arr: Any,
    window: Window,
    *,
    pinned: Profile | None = None,
    on_new_columns: OnNewColumns = "add",
) -> tuple[Form, list[Any]]:
    """How the rows of a report are read, from its first page with rows, or from ``columnArr`` alone.

    Args:
        records: the page's rows.
        column_arr: the answer's ``columnArr``.
        window: what was asked for: a column of times holds times of it.
        pinned: what the connection says of the account, or None. It decides what rows leave open, and what it says
            must be so.
        on_new_columns: what to do with columns that the pinned profile does not know.

    Returns:
        The form, and the rows' bodies.

    Raises:
        TableError: the rows cannot be placed, there is more than one way to place them, or they are not what the
            profile says.
    """
    found = bodies(records)
    known = pinned or Profile()
    near = partial(_is_near, window)
    form = _learn(found, column_arr, near, window.zone, known)
    cells = chain.from_iterable(
        form.cells(at, found) for at, kind in enumerate(form.kinds) if kind is ColumnKind.DATETIME
    )
    time = learn_times(cells, near, window.zone)
    form = replace(
        form,
        ragged=known.ragged,
        time=time if known.time is None else known.time,
        further=form.further | set(known.further),
    )
    form.check(found)
    _refuse_shifted(form, found, near, window.zone)
    if pinned is not None and (found or column_arr):
        form = pinned.fit(form, has_rows=bool(found), on_new_columns=on_new_columns)
    return form, found


def _refuse_shifted(form: Form, found: list[Any], near: Callable[[datetime], bool], zone: ZoneInfo) -> None:
    """Refuse rows whose column of times holds none, while another of their cells does: the cells are shifted.

    Raises:
        TableError: they are; or arrays are narrower than the columns, and no time shows that they begin with the first.
    """
    at = form.began
    if at is None or not found or any(isinstance(time, datetime) for time in form.times(found, zone)):
        return
    if form.rows == "array" and form.width < len(form.labels):
        raise TableError(
            f"the rows have {form.width} cells for {len(form.labels)} columns, and the column "
            f"{listed((form.labels[at],))!r} holds no time, so it cannot be told which cell belongs to which column"
        )
    read = converter(ColumnKind.DATETIME, zone, form.time)
    known = {form.keys[place] for place, kind in enumerate(form.kinds) if kind is ColumnKind.DATETIME}
    for body in found[:_MANY]:
        cells = enumerate(body) if isinstance(body, list) else body.items()
        texts = [cell for key, cell in cells if key not in known and isinstance(cell, str) and ":" in cell]
        if any(isinstance(time, datetime) and near(time) for time in read(texts)):
            raise TableError(
                f"the column {listed((form.labels[at],))!r} holds no time, and another cell of its rows does: it "
                "cannot be told which cell belongs to which column"
            )


def _is_near(window: Window, time: datetime) -> bool:
    start, end = (moment.replace(tzinfo=None) for moment in (window.local_start, window.local_end))
    return moved(start, -_FAR) <= time <= moved(end, _FAR)


def moved(moment: datetime, by: timedelta) -> datetime:
    """A naive time moved; at the ends of the calendar, the end."""
    try:
        return moment.replace(tzinfo=None) + by
    except OverflowError:
        return datetime.min if by < timedelta(0) else datetime.max


def _learn(
    found: list[Any], column_arr: Any, near: Callable[[datetime], bool], zone: ZoneInfo, pinned: Profile
) -> Form:
    named = read_column_arr(column_arr)
    labels = [label for _, label in named]
    if not found:
        labels = labels or list(KNOWN_LABELS)
        return _form("position", labels, [key for key, _ in named] or labels)
    if isinstance(found[0], list):
        return _learn_arrays(found, named)
    present = _all_keys(found)
    if not present:
        raise TableError("the rows are empty objects, so nothing of the calls can be read")
    positions = _positions(
        found, named, present, near, zone, pinned.first_position, is_list=isinstance(column_arr, list)
    )
    spelled = _spelled(labels, present)
    by_position, by_label = len(present.keys() & set(positions)), sum(key is not None for key in spelled)
    own = [key for key in present if key not in ENVELOPE]
    fitting = max(by_position, by_label)
    # A field that happens to be called like one column does not make the others empty columns.
    if not fitting or not (2 * fitting >= len(labels) or 2 * fitting >= len(own)):
        if not own:
            raise TableError("the rows are empty objects, so nothing of the calls can be read")
        if named:
            if not {key.casefold() for key in own} & _KNOWN_KEYS:
                raise TableError(
                    f"columnArr names columns that the rows do not have, and their fields {listed(own[:5])} are "
                    "none of a call"
                )
            log.warning("columnArr names columns that the rows do not have; the rows' own fields are the columns")
        own = own[: MAX_COLUMNS + 1]
        return _form("field", own, own, open=len(own) > MAX_COLUMNS)
    if len(present) > len(labels) + MAX_COLUMNS:
        raise TableError(f"the rows have more than {MAX_COLUMNS:,} different fields beside their columns")
    if by_position >= by_label:
        shift = int(positions[0]) - int(named[0][0]) if whole_number(positions[0]) is not None else 0
        return _learn_objects("position", labels, positions, found, pinned, shift)
    _refuse_doubled(column_arr, spelled)
    return _learn_objects(
        "label", labels, [key or label for key, label in zip(spelled, labels, strict=True)], found, pinned
    )


def _form(rows: RowKind, labels: Sequence[str], keys: Sequence[str | int], **more: Any) -> Form:
    kinds = tuple(kind_of(label if rows == "field" else base_label(label)) for label in labels)
    return Form(rows, tuple(labels), kinds, tuple(keys), **more)


def _learn_arrays(found: list[Any], named: list[tuple[str, str]]) -> Form:
    widest = max(map(len, found))
    width = min(widest, MAX_COLUMNS + 1)
    labels = [label for _, label in named] or [f"Column {number}" for number in range(1, width + 1)]
    cells = _cell_numbers(named, width) or list(range(len(labels)))
    further = {f"Column {number}" for number in range(len(labels) + 1, min(widest, len(labels) + MAX_COLUMNS) + 1)}
    if named and further:
        log.info("rows carry further fields, which columns= can name: %s", listed(sorted(further)))
    return _form("array", labels, cells, width=widest, further=frozenset(further))


def _learn_objects(
    rows: RowKind, labels: list[str], keys: list[str], found: list[Any], pinned: Profile, shift: int = 0
) -> Form:
    """The form of rows that are objects; every row must be keyed in the same way.

    Raises:
        TableError: rows are keyed in two ways, or a column's cells stand under a name that is no label.
    """
    columns, lacking, spare = set(keys), set[str](), set[str]()
    whole: set[str] = set()
    sequences = set(map(tuple, found))
    for sequence in sequences:
        missing = columns.difference(sequence)
        lacking |= missing
        (spare if missing else whole).update(set(sequence) - columns - ENVELOPE)
    further = frozenset(whole | spare)
    form = _form(rows, labels, keys, further=further, optional=frozenset(lacking), shift=shift)
    form._refuse_other_keys({key for key in further if rows == "label" or whole_number(key) is None})
    known = whole | set(ID_KEYS) | set(pinned.further)
    if any(columns.issubset(sequence) for sequence in sequences) and (new := spare - known):
        raise TableError(
            f"some rows lack {form._label_of(min(lacking))} and have the field {listed(sorted(new)[:1])!r}, which the "
            f"whole rows do not have: rows are keyed in two ways; {_NAME_THE_FIELD}"
        )
    absent = [label for label, key in zip(labels, keys, strict=True) if all(key not in s for s in sequences)]
    form = replace(form, absent=frozenset(key for key in keys if all(key not in s for s in sequences)))
    for label in absent:
        alike = difflib.get_close_matches(label.casefold(), [key.casefold() for key in form.further], 1, _ALIKE)
        if alike:
            raise TableError(f"no row has the column {listed((label,))!r}, and rows have the field {listed(alike)!r}")
    if form.further:
        log.info("rows carry further fields, which columns= can name: %s", listed(sorted(form.further)))
    return form


def _positions(
    found: list[Any],
    named: list[tuple[str, str]],
    present: Mapping[str, None],
    near: Callable[[datetime], bool],
    zone: ZoneInfo,
    pinned: int | None,
    *,
    is_list: bool,
) -> list[str]:
    """Each column's key where rows are keyed by position: as ``columnArr`` counts, or from 0 where it counts from 1.

    Raises:
        TableError: both are possible.
    """
    positions = [key for key, _ in named]
    if "0" not in present or "0" in positions or not _are_positions(positions) or positions[-1] in present:
        return positions
    from_zero = [str(int(key) - 1) for key in positions]
    if pinned is not None:
        return from_zero if pinned == 0 else positions
    labels = [label for _, label in named]
    fits = [_has_times(found, labels, keys, near, zone) for keys in (positions, from_zero)]
    if fits[0] != fits[1]:
        return positions if fits[0] else from_zero
    if is_list:
        return from_zero
    raise TableError(
        'rows have the key "0" and lack the last position of columnArr: it cannot be told whether they count from 0, '
        "or leave out the last column (set the connection's extra field profile, which says how rows are keyed)"
    )


def _has_times(
    found: list[Any], labels: list[str], keys: list[str], near: Callable[[datetime], bool], zone: ZoneInfo
) -> bool:
    """Whether the column of times holds times of the window, if rows are keyed in this way."""
    key = next((key for key, label in zip(keys, labels, strict=True) if label.strip().casefold() in _BEGINNINGS), None)
    cells = [] if key is None else [body.get(key) for body in found]
    form = learn_times(cells, near, zone)
    values = [value for value in converter(ColumnKind.DATETIME, zone, form)(cells) if value is not None]
    return bool(values) and all(isinstance(value, datetime) and near(value) for value in values)


def _spelled(labels: list[str], present: Mapping[str, None]) -> list[str | None]:
    """Each label's key where rows are keyed by label: the label itself, or the one key that differs in case or blanks.

    Raises:
        TableError: two keys differ from a label in case or blanks only.
    """
    folded: dict[str, list[str]] = {}
    for key in present:
        folded.setdefault(key.strip().casefold(), []).append(key)
    spelled: list[str | None] = []
    for label in labels:
        alike = folded.get(label.strip().casefold(), [])
        if len(alike) > 1:
            raise TableError(f"rows spell the column {listed((label,))!r} in {len(alike)} ways: {listed(alike)}")
        spelled.append(alike[0] if alike else None)
    return spelled


def _refuse_doubled(column_arr: Any, spelled: Sequence[str | None]) -> None:
    """Refuse rows keyed by label where a label stands for two columns: one of the two would be lost."""
    printed = [label for _, label in _printed_labels(column_arr)]
    for label in printed:
        if printed.count(label) > 1 and sum(key is not None for key in spelled) < len(printed):
            raise TableError(
                f"columnArr names {listed((label,))!r} twice and the rows are keyed by label, so one of the two "
                "columns would be lost"
            )


def _all_keys(found: list[dict[str, Any]]) -> dict[str, None]:
    """The rows' keys in the order in which they come; not all of them where there are more than `MAX_COLUMNS`."""
    keys: dict[str, None] = {}
    for start in range(0, len(found), _BLOCK):
        keys.update(dict.fromkeys(chain.from_iterable(found[start : start + _BLOCK])))
        if len(keys) > MAX_COLUMNS + len(ENVELOPE):
            break
    return keys


def _are_positions(keys: Sequence[str]) -> bool:
    return bool(keys) and all(whole_number(key) is not None for key in keys)


def _cell_numbers(named: Sequence[tuple[str, str]], width: int) -> list[int]:
    """For arrays, each column's cell where ``columnArr`` leaves positions out and the rows do not; else nothing.

    Raises:
        TableError: the rows have more cells than there are columns, and fewer than the last position.
    """
    keys = [key for key, _ in named]
    if not _are_positions(keys) or int(keys[-1]) <= len(keys) or width <= len(keys):
        return []
    if width < int(keys[-1]):
        raise TableError(
            f"columnArr has {len(keys)} columns at positions up to {int(keys[-1])} and the rows have {width} cells, so "
            "it cannot be told which cell belongs to which column"
        )
    return [int(key) - 1 for key in keys]


def read_column_arr(column_arr: Any) -> list[tuple[str, str]]:
    """(position, unique label) of each column, in numeric order: "10" comes after "9".

    Raises:
        TableError: it is neither object nor list.
    """
    items = _printed_labels(column_arr)
    return list(zip([key for key, _ in items], _unique([label for _, label in items]), strict=True))


def _printed_labels(column_arr: Any) -> list[tuple[str, str]]:
    if not column_arr:
        return []
    if isinstance(column_arr, Mapping):
        items = list(column_arr.items())
        if all(whole_number(key) is not None for key, _ in items):
            items.sort(key=lambda item: int(item[0]))
    elif isinstance(column_arr, list):
        items = [(str(number), label) for number, label in enumerate(column_arr, start=1)]
    else:
        raise TableError(f"columnArr is {type(column_arr).__name__}; an object or a list was expected")
    return [(str(key), _label(label, key)) for key, label in items]


def _label(label: Any, position: Any) -> str:
    if isinstance(label, Mapping):
        label = next((label[key] for key in ("label", "name", "title") if label.get(key)), None)
    try:
        text = label.strip() if isinstance(label, str) else ("" if label is None else str(label))
    except RecursionError:
        raise TableError("a label of columnArr is nested too deeply to be written as text") from None
    return text or f"Column {position}"


_REPEATED = " ({})"


def _unique(labels: list[str]) -> list[str]:
    """Labels made unique: ``Agents``, ``Agents (2)``."""
    given = set(labels)
    numbers: dict[str, int] = {}
    unique = []
    for label in labels:
        name, number = label, numbers.get(label, 0) + 1
        if number > 1:
            while (name := label + _REPEATED.format(number)) in given:
                number += 1
        numbers[label] = number
        unique.append(name)
    return unique


def base_label(label: str) -> str:
    """The label as the API prints it: without the number that made it unique in the report."""
    head, separator, tail = label.rpartition(" (")
    return head if separator and tail.endswith(")") and tail[:-1].isdigit() else label


def bodies(records: list[Record]) -> list[Any]:
    """The rows themselves: of search hits their ``_source``, with the hit's own id beside it.

    Raises:
        TableError: objects and arrays are mixed, or a ``_source`` is neither.
    """
    kinds = set(map(type, records))
    if kinds == {list} or (kinds == {dict} and not any("_source" in record for record in records)):
        return records
    found = list(map(_body, records))
    if len(set(map(type, found))) > 1:
        raise TableError("rows are objects and arrays mixed; they must be of one kind")
    return found


def _body(record: Record) -> Any:
    if not isinstance(record, dict) or "_source" not in record:
        return record
    source = record["_source"]
    if isinstance(source, dict):
        return {**source, "_id": record["_id"]} if "_id" in record and "_id" not in source else source
    if isinstance(source, list):
        return source
    raise TableError(f"a search hit's _source is {type(source).__name__}; an object or an array was expected")
