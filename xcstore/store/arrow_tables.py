"""The Arrow form of events that every backend's `to_arrow` gives, and how to build it from events.

Column names are those of `PersistedEvent`. Words that repeat (names, types, states) are dictionary-encoded, JSON is
text, times are epoch milliseconds. `frames` makes DataFrames of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import pyarrow as pa

from xcstore.errors import QueryError
from xcstore.model.history import PersistedEvent
from xcstore.store.codec import json_text

__all__ = ["EVENT_SCHEMA", "events_schema", "events_table"]

_BATCH: Final = 50_000
_WORD: Final = pa.dictionary(pa.int32(), pa.string())

EVENT_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("instance_id", pa.string(), nullable=False),
        pa.field("component_name", _WORD, nullable=False),
        pa.field("machine_name", _WORD, nullable=False),
        pa.field("event_type", _WORD, nullable=False),
        pa.field("state_before", _WORD, nullable=False),
        pa.field("state_after", _WORD, nullable=False),
        pa.field("persisted_at", pa.int64(), nullable=False),
        pa.field("timestamp", pa.int64()),
        pa.field("payload", pa.string(), nullable=False),
        pa.field("caused_by", pa.list_(pa.string()), nullable=False),
        pa.field("caused", pa.list_(pa.string()), nullable=False),
        pa.field("source_component_name", _WORD),
        pa.field("target_component_name", _WORD),
        pa.field("public_member_snapshot", pa.string()),
        pa.field("context", pa.string()),
        pa.field("seq", pa.int64()),
        pa.field("definition_hash", _WORD),
    ]
)
"""All columns, in order. Text that may be absent in the model is null here; '' stays ''."""


def events_schema(columns: Sequence[str] | None = None) -> pa.Schema:
    """The schema of these columns, in the order given; all of `EVENT_SCHEMA` for None.

    Raises
    ------
    QueryError
        A column that events do not have.
    """
    if columns is None:
        return EVENT_SCHEMA
    unknown = [name for name in columns if name not in EVENT_SCHEMA.names]
    if unknown:
        raise QueryError(f"events have no column {unknown[0]!r}; the columns are {', '.join(EVENT_SCHEMA.names)}")
    return pa.schema([EVENT_SCHEMA.field(name) for name in dict.fromkeys(columns)])


def events_table(events: Iterable[tuple[int | None, PersistedEvent]], columns: Sequence[str] | None = None) -> pa.Table:
    """Events with their `seq`, as a table of these columns. A batch at a time, so that little is held twice."""
    schema = events_schema(columns)
    batches = list(_batches(iter(events), schema))
    return pa.Table.from_batches(batches, schema).unify_dictionaries()


def _batches(events: Iterator[tuple[int | None, PersistedEvent]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while batch := list(islice(events, _BATCH)):
        arrays = []
        for field in schema:
            if field.name == "seq":
                arrays.append(pa.array((seq for seq, _ in batch), field.type))
                continue
            value = _READERS.get(field.name)
            if value is None:
                values = [getattr(event, field.name) for _, event in batch]
            else:
                values = [value(event) for _, event in batch]
            arrays.append(_array(values, field.type))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _optional_json(value: object) -> str | None:
    return None if value is None else json_text(value)


_READERS: Final[dict[str, Callable[[PersistedEvent], object]]] = {
    "payload": lambda event: json_text(event.payload),
    "public_member_snapshot": lambda event: _optional_json(event.public_member_snapshot),
    "context": lambda event: _optional_json(event.context),
}
