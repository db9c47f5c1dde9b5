"""Events, instances and snapshots as DataFrames. The column tables below are the contract.

Moments (`*_at` and `timestamp`) are `datetime64[ms, UTC]`, with the whole number that is stored beside them under the
same name with `_ms`. A moment that no calendar reaches (before year 1, after 9999) is NaT, its number stays, and
`out_of_range` is True. Words that repeat are categoricals, sorted; JSON stays text. Empty frames have all columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from xcstore.errors import QueryError
from xcstore.jsontext import json_text
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.store.arrow_tables import events_table
from xcstore.store.base import EventQuery, EventStore, InstanceSummary
from xcstore.units import MAX_UTC, MIN_UTC

__all__ = [
    "EVENT_COLUMNS",
    "INSTANCE_COLUMNS",
    "SNAPSHOT_COLUMNS",
    "Column",
    "events_frame",
    "events_to_frame",
    "instances_to_frame",
    "snapshots_to_frame",
]

TEXT: Final = "str"
WORD: Final = "category"
MOMENT: Final = "datetime64[ms, UTC]"
WHOLE: Final = "int64"
OPTIONAL_WHOLE: Final = "Int64"
FLAG: Final = "bool"
TEXTS: Final = "list<item: string>[pyarrow]"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a frame."""

    name: str
    dtype: str
    meaning: str


OUT_OF_RANGE: Final = Column("out_of_range", FLAG, "a moment of the row is outside the years 1 to 9999")

EVENT_COLUMNS: Final = (
    Column("id", TEXT, "id of the event"),
    Column("instance_id", TEXT, "the instance it happened to"),
    Column("component_name", WORD, "its component; '' where none is recorded"),
    Column("machine_name", WORD, "its state machine"),
    Column("event_type", WORD, "what happened; INSTANCE_CREATED for the first"),
    Column("state_before", WORD, "'' for the first"),
    Column("state_after", WORD, "the state that it led to"),
    Column("persisted_at", MOMENT, "when it was stored"),
    Column("persisted_at_ms", WHOLE, "the same as stored"),
    Column("timestamp", MOMENT, "when it was made; NaT where not recorded"),
    Column("timestamp_ms", OPTIONAL_WHOLE, "the same as stored"),
    Column("payload", TEXT, "JSON"),
    Column("caused_by", TEXTS, "ids of its recorded causes"),
    Column("caused", TEXTS, "ids of its effects as recorded with it; nearly always empty, see caused_by of others"),
    Column("source_component_name", WORD, "the component it was sent from; missing where it was not"),
    Column("target_component_name", WORD, "the component it was sent to; missing where it was not"),
    Column("public_member_snapshot", TEXT, "JSON; missing where not recorded"),
    Column("context", TEXT, "JSON of the context after it; missing where not recorded: fold it"),
    Column("seq", OPTIONAL_WHOLE, "order of insertion; missing in stores that are not ours"),
    Column("definition_hash", WORD, "hash of the definition that governed it; missing where not recorded"),
    OUT_OF_RANGE,
)

INSTANCE_COLUMNS: Final = (
    Column("instance_id", TEXT, "id of the instance"),
    Column("component_name", WORD, "its component; '' where none is recorded"),
    Column("machine_name", WORD, "its state machine"),
    Column("state", WORD, "state after its last event"),
    Column("created_at", MOMENT, "moment of its first event"),
    Column("created_at_ms", WHOLE, "the same as stored"),
    Column("updated_at", MOMENT, "moment of its last event"),
    Column("updated_at_ms", WHOLE, "the same as stored"),
    Column("event_count", WHOLE, "how many events it has"),
    Column("last_event_id", TEXT, "id of its last event"),
    Column("last_event_type", WORD, "type of its last event"),
    OUT_OF_RANGE,
)

SNAPSHOT_COLUMNS: Final = (
    Column("instance_id", TEXT, "id of the instance"),
    Column("component_name", WORD, "its component; '' where none is recorded"),
    Column("machine_name", WORD, "its state machine"),
    Column("current_state", WORD, "its state when the snapshot was taken"),
    Column("status", WORD, "active, completed or error; missing where the layout has no status"),
    Column("snapshot_at", MOMENT, "when it was taken"),
    Column("snapshot_at_ms", WHOLE, "the same as stored"),
    Column("last_event_id", TEXT, "the event it stands after; '' where not recorded"),
    Column("context", TEXT, "JSON"),
    Column("public_member", TEXT, "JSON; missing where there is none"),
    Column("created_at", MOMENT, "when the instance was made; NaT where not recorded"),
    Column("created_at_ms", OPTIONAL_WHOLE, "the same as stored"),
    Column("updated_at", MOMENT, "when the instance was last changed; NaT where not recorded"),
    Column("updated_at_ms", OPTIONAL_WHOLE, "the same as stored"),
    Column("parent_instance_id", TEXT, "missing where it has no parent"),
    Column("parent_machine_name", WORD, "missing where it has no parent"),
    Column("is_entry_point", FLAG, "whether it is the entry point of its component"),
    Column("pending_timeouts", TEXT, "JSON: running timers, as a list of state_key, event_type, remaining_ms"),
    OUT_OF_RANGE,
)


def events_frame(
    store: EventStore,
    query: EventQuery,
    *,
    columns: Sequence[str] | None = None,
    limit: int | None = 100_000,
    newest_first: bool = False,
) -> pd.DataFrame:
    """Events that `query` asks for, in page order, by the fastest road the store has.

    Parameters
    ----------
    columns : sequence of str, optional
        Names from `EVENT_COLUMNS`, in the order wanted; all where not given. Fewer are read faster.
    limit : int, optional
        At most so many rows; None for all. `frame.attrs["truncated"]` says whether there were more.

    Raises
    ------
    QueryError
        A column that events do not have.
    """
    wanted = _columns(EVENT_COLUMNS, columns)
    table = store.to_arrow(
        query,
        columns=list(dict.fromkeys(source for column in wanted for source in _sources(column))),
        limit=None if limit is None else limit + 1,
        newest_first=newest_first,
    )
    truncated = limit is not None and table.num_rows > limit
    frame = _frame(table.slice(0, limit) if truncated else table, wanted)
    frame.attrs["truncated"] = truncated
    return frame


def events_to_frame(events: Iterable[PersistedEvent]) -> pd.DataFrame:
    """Events at hand as a frame of `EVENT_COLUMNS`, in the order given."""
    return _frame(events_table((event.seq, event) for event in events), EVENT_COLUMNS)


def instances_to_frame(items: Iterable[InstanceSummary]) -> pd.DataFrame:
    """Summaries of instances as a frame of `INSTANCE_COLUMNS`, in the order given."""
    return _from_items(items, INSTANCE_COLUMNS, {})


def snapshots_to_frame(items: Iterable[InstanceSnapshot]) -> pd.DataFrame:
    """Snapshots as a frame of `SNAPSHOT_COLUMNS`, in the order given."""
    return _from_items(items, SNAPSHOT_COLUMNS, _SNAPSHOT_VALUES)


_SNAPSHOT_VALUES: Final[dict[str, Callable[[InstanceSnapshot], object]]] = {
    "instance_id": lambda item: item.instance.id,
    "component_name": lambda item: item.instance.component_name,
    "machine_name": lambda item: item.instance.machine_name,
    "current_state": lambda item: item.instance.current_state,
    "status": lambda item: item.instance.status if item.status_recorded else None,
    "context": lambda item: json_text(item.instance.context),
    "public_member": lambda item: (
        None if item.instance.public_member is None else json_text(item.instance.public_member)
    ),
    "created_at": lambda item: item.instance.created_at,
    "updated_at": lambda item: item.instance.updated_at,
    "parent_instance_id": lambda item: item.instance.parent_instance_id,
    "parent_machine_name": lambda item: item.instance.parent_machine_name,
    "is_entry_point": lambda item: item.instance.is_entry_point,
    "pending_timeouts": lambda item: json_text(
        [
            {"state_key": timer.state_key, "event_type": timer.event_type, "remaining_ms": timer.remaining_ms}
            for timer in item.pending_timeouts
        ]
    ),
}

_ARROW_TYPES: Final = {
    TEXT: pa.string(),
    WORD: pa.string(),
    MOMENT: pa.int64(),
    WHOLE: pa.int64(),
    OPTIONAL_WHOLE: pa.int64(),
    FLAG: pa.bool_(),
}


def _from_items(
    items: Iterable[object], columns: Sequence[Column], values: dict[str, Callable[[InstanceSnapshot], object]]
) -> pd.DataFrame:
    held = list(items)
    arrays: dict[str, pa.Array] = {}
    for column in columns:
        name = column.name.removesuffix("_ms")
        if column is OUT_OF_RANGE or name in arrays:
            continue
        read: Callable[[object], object] = values.get(name) or attrgetter(name)  # type: ignore[assignment]
        arrays[name] = pa.array([read(item) for item in held], _ARROW_TYPES[column.dtype])
    return _frame(pa.table(arrays), columns)


def _columns(known: Sequence[Column], names: Sequence[str] | None) -> Sequence[Column]:
    if names is None:
        return known
    by_name = {column.name: column for column in known}
    for name in names:
        if name not in by_name:
            raise QueryError(f"there is no column {name!r}; the columns are {', '.join(by_name)}")
    return [by_name[name] for name in dict.fromkeys(names)]


def _sources(column: Column) -> tuple[str, ...]:
    """The columns of an event that a column of the frame is made of."""
    if column is OUT_OF_RANGE:
        return ("persisted_at", "timestamp")
    return (column.name.removesuffix("_ms"),)


def _frame(table: pa.Table, columns: Sequence[Column]) -> pd.DataFrame:
    """Each column on its own: little is held twice, and Arrow's memory is shared where pandas can."""
    moments = {name: _Moments(table[name]) for name in table.column_names if f"{name}_ms" in _MOMENT_NUMBERS}
    data: dict[str, object] = {}
    for column in columns:
        name = column.name.removesuffix("_ms")
        if column is OUT_OF_RANGE:
            flags = [moment.out_of_range for moment in moments.values()]
            data[column.name] = np.logical_or.reduce(flags) if flags else np.zeros(table.num_rows, dtype=bool)
        elif column.dtype == MOMENT:
            data[column.name] = moments[name].utc()
        elif name in moments:
            data[column.name] = moments[name].numbers(optional=column.dtype == OPTIONAL_WHOLE)
        else:
            data[column.name] = _CONVERTERS[column.dtype](table[name])
    return pd.DataFrame(data, index=pd.RangeIndex(table.num_rows), copy=False)


_MOMENT_NUMBERS: Final = {
    column.name for column in (*EVENT_COLUMNS, *INSTANCE_COLUMNS, *SNAPSHOT_COLUMNS) if column.name.endswith("_ms")
}


class _Moments:
    """One column of epoch milliseconds, in the forms that a frame shows."""

    def __init__(self, values: pa.ChunkedArray) -> None:
        self.missing = np.asarray(values.is_null())
        self.values: npt.NDArray[np.int64] = np.asarray(values.fill_null(0) if values.null_count else values)
        self.out_of_range = (self.values < MIN_UTC) | (self.values > MAX_UTC)

    def utc(self) -> pd.DatetimeIndex:
        moments = self.values.astype("datetime64[ms]")
        moments[self.missing | self.out_of_range] = np.datetime64("NaT")
        return pd.DatetimeIndex(moments, tz="UTC")

    def numbers(self, *, optional: bool) -> object:
        return pd.arrays.IntegerArray(self.values, self.missing) if optional else self.values


def _words(values: pa.ChunkedArray) -> pd.Categorical:
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    encoded = values.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.string()).dictionary_encode()
    words = encoded.dictionary.to_pylist()
    order = sorted(range(len(words)), key=words.__getitem__)
    place = np.empty(len(words) + 1, dtype=np.int64)
    place[order] = np.arange(len(words))
    place[-1] = -1  # missing
    codes = place[np.asarray(encoded.indices.fill_null(-1))]
    return pd.Categorical.from_codes(codes, categories=pd.Index([words[position] for position in order], dtype="str"))


def _texts(values: pa.ChunkedArray) -> object:
    return pd.array(values.cast(pa.list_(pa.string())), dtype=pd.ArrowDtype(pa.list_(pa.string())))


def _text(values: pa.ChunkedArray) -> object:
    return values.to_pandas(types_mapper=lambda _: pd.StringDtype(na_value=np.nan))


_CONVERTERS: Final[dict[str, Callable[[pa.ChunkedArray], object]]] = {
    TEXT: _text,
    WORD: _words,
    TEXTS: _texts,
    WHOLE: np.asarray,
    FLAG: np.asarray,
    OPTIONAL_WHOLE: lambda values: _Moments(values).numbers(optional=True),
}
