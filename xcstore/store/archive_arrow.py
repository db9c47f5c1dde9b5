"""Events of an archive as Arrow: columns as they lie in the files, in page order, a stretch of time after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from xcstore.store.archive_database import Question
from xcstore.store.archive_queries import (
    FIRST,
    LAST,
    Stretch,
    conditions,
    event_parts,
    ordered,
    places_of_instances,
    stretches,
)
from xcstore.store.arrow_tables import events_schema
from xcstore.store.base import EventQuery
from xcstore.store.codec import Redaction

__all__ = ["fetch", "is_fast"]

_MASKED: Final = frozenset({"payload", "public_member_snapshot", "context"})
_STORED: Final = {"payload": "event_payload"}
_ROWS: Final = 131_072
"""Events that are put in order at a time, about."""


def is_fast(redact: Redaction, columns: Sequence[str] | None) -> bool:
    """Whether the columns can be given as they lie there."""
    return not redact or (columns is not None and not _MASKED.intersection(columns))


def fetch(
    question: Question, query: EventQuery, columns: Sequence[str] | None, limit: int | None, *, newest_first: bool
) -> pa.Table:
    schema = events_schema(columns)
    selected = ", ".join(f"{_STORED.get(name, name)} AS {name}" for name in schema.names)
    pieces: list[pa.Table] = []
    left = limit
    for stretch in _stretches(question, query, limit, newest_first=newest_first):
        if left is not None and left <= 0:
            break
        first, last = question.value(stretch.first), question.value(stretch.last)
        tests = [f"persisted_at BETWEEN {first} AND {last}", *conditions(question, query)]
        piece = question.arrow(
            f"SELECT {selected} FROM {question.source('events', stretch.parts)} WHERE {' AND '.join(tests)} "
            f"{ordered(newest_first=newest_first)} {'' if left is None else f'LIMIT {left}'}"
        )
        pieces.append(_as(piece, schema))
        left = None if left is None else left - piece.num_rows
    if not pieces:
        return schema.empty_table()
    return pa.concat_tables(pieces).unify_dictionaries()


def _stretches(question: Question, query: EventQuery, limit: int | None, *, newest_first: bool) -> list[Stretch]:
    if not query.instance_ids:
        rows = _ROWS if limit is None else max(8_192, min(_ROWS, limit))
        return list(stretches(question, query, None, newest_first=newest_first, rows=rows, growing=limit is not None))
    places = places_of_instances(question, query.instance_ids, query)
    if not places:
        return []
    first, last = places[0][0], places[-1][0]
    parts = [part for part in event_parts(question, query) if part.times and part.times[0] <= last]
    return [
        Stretch(
            max(first, FIRST), min(last, LAST), tuple(part for part in parts if part.times and part.times[1] >= first)
        )
    ]


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        column = table[field.name]
        if pa.types.is_dictionary(field.type):
            column = column.cast(pa.string()).dictionary_encode()
        columns.append(column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)
