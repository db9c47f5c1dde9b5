"""Events as Arrow without making objects of them, where nothing needs to look at each one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import array

from xcstore.store.base import EventQuery
from xcstore.store.codec import Redaction
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_layout import AnySelect, SqlLayout
from xcstore.store.sql_pages import conditions, ordered
from xcstore.store.sql_rollups import are_many, unindexed
from xcstore.store.sql_tables import event_extra

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["arrow_column", "fetch", "is_fast", "lists"]

_PLAIN: Final = ("component_name", "machine_name", "event_type", "state_before", "state_after")
_DOCUMENT: Final = {
    "timestamp": "event.timestamp",
    "public_member_snapshot": "publicMemberSnapshot",
    "context": "context",
}
"""In stores of ours these have no column and come out of the document kept beside the event."""
_PIECE: Final = 100_000
_NO_IDS: Final[list[str]] = []
_MASKED: Final = frozenset({"payload", "public_member_snapshot", "context"})


def is_fast(layout: SqlLayout, redact: Redaction, columns: Sequence[str] | None) -> bool:
    """Whether the database alone can give these columns."""
    if layout.dialect == "sqlite" and not layout.is_ours:
        return False  # lists and JSON may be anything there
    return not redact or (columns is not None and not _MASKED.intersection(columns))


def fetch(
    database: SqlDatabase,
    layout: SqlLayout,
    query: EventQuery,
    columns: Sequence[str] | None,
    limit: int | None,
    *,
    newest_first: bool,
) -> pa.Table:
    from xcstore.store.arrow_tables import events_schema

    schema = events_schema(columns)
    if layout.dialect == "sqlite":
        return _fetch_from_sqlite(database, layout, query, schema, limit, newest_first=newest_first)
    select = _select(layout, schema.names).select_from(layout.source()).where(*conditions(layout, query))
    return database.fetch_arrow(ordered(select, layout, newest_first=newest_first).limit(limit), schema)


def arrow_column(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    """Values of one column as the driver gives them, lists as JSON text."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if pa.types.is_list(kind):
        return lists(values, kind)
    return pa.array(values, kind)


def lists(texts: Sequence[object], kind: pa.DataType) -> pa.Array:
    """JSON texts as lists."""
    import pyarrow as pa

    return pa.array([_NO_IDS if text == "[]" else orjson.loads(text) for text in texts], kind)  # type: ignore[arg-type]


def _select(layout: SqlLayout, names: Sequence[str]) -> AnySelect:
    return sa.select(*(_column(layout, name).label(name) for name in names))


# --- SQLite: page order without a look beside each event
#
# The order of insertion is kept beside the events, and to look it up for each would take longer than all else. Rows of
# one table are nearly always in that order themselves. So events are read by the index on the time, those of one
# moment as they lie there; where moments are shared, and only there, their order is looked up and put right.


def _fetch_from_sqlite(
    database: SqlDatabase,
    layout: SqlLayout,
    query: EventQuery,
    schema: pa.Schema,
    limit: int | None,
    *,
    newest_first: bool,
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    from xcstore.store.arrow_tables import EVENT_SCHEMA

    fields = [EVENT_SCHEMA.field(name) for name in ("id", "persisted_at") if name not in schema.names]
    whole = pa.schema([*schema, *fields])
    table = _fetch_by_time(database, layout, query, whole, limit, newest_first=newest_first)
    if limit is not None and limit == table.num_rows > 0:
        # Of the last moment perhaps not the right events: read it whole.
        last = table["persisted_at"][-1].as_py()
        begin = pc.index(table["persisted_at"], last).as_py()
        moment = replace(query, start=last, end=last)
        rest = _fetch_by_time(database, layout, moment, whole, None, newest_first=newest_first)
        table = pa.concat_tables([table.slice(0, begin), rest]).unify_dictionaries()
    return _put_right(database, table, newest_first=newest_first).select(schema.names).slice(0, limit)


def _fetch_by_time(
    database: SqlDatabase,
    layout: SqlLayout,
    query: EventQuery,
    schema: pa.Schema,
    limit: int | None,
    *,
    newest_first: bool,
) -> pa.Table:
    at = layout.columns["persisted_at"]
    rowid: sa.ColumnElement[int] = sa.literal_column("fsm_events.rowid", sa.BigInteger)
    beside = any(name in _DOCUMENT or name in ("seq", "definition_hash") for name in schema.names)
    select = _select(layout, schema.names).select_from(layout.source() if beside else layout.events)
    times = EventQuery(start=query.start, end=query.end)
    others = conditions(layout, replace(query, start=None, end=None))
    # Where most rows fit, they come one after the other on the way through time.
    steady = not others or (
        not query.instance_ids
        and (limit is None or limit > _PIECE)
        and database.read(lambda connection: are_many(connection, query))
    )
    select = select.where(*conditions(layout, times), *(unindexed(others) if steady else others))
    select = select.order_by(at.desc(), rowid.desc()) if newest_first else select.order_by(at, rowid)
    return database.fetch_arrow(select.limit(limit).execution_options(steady=steady), schema)


def _put_right(database: SqlDatabase, table: pa.Table, *, newest_first: bool) -> pa.Table:
    """The table with events of one moment in the order of insertion."""
    import pyarrow as pa

    moments = np.asarray(table["persisted_at"])
    same = np.flatnonzero(moments[1:] == moments[:-1])
    if not len(same):
        return table
    tied = np.union1d(same, same + 1)
    if "seq" in table.column_names:
        places = np.asarray(table["seq"].take(pa.array(tied)))
    else:
        places = _places(database, table["id"].take(pa.array(tied)).to_pylist())
    moment = np.cumsum(np.diff(moments[tied], prepend=moments[tied[0]]) != 0)
    order = tied[np.lexsort((-places if newest_first else places, moment))]
    if np.array_equal(order, tied):
        return table
    positions = np.arange(len(moments))
    positions[tied] = order
    begins = np.flatnonzero(np.diff(moments, prepend=~moments[0]))
    # A piece at a time: Arrow puts what it picks from into one, which may be more than it can address.
    cuts = [0, *begins[np.searchsorted(begins, np.arange(_PIECE, len(moments), _PIECE), "right") - 1], len(moments)]
    pieces = [
        table.slice(start, end - start).take(pa.array(positions[start:end] - start))
        for start, end in pairwise(dict.fromkeys(cuts))
    ]
    return pa.concat_tables(pieces).unify_dictionaries()


def _places(database: SqlDatabase, ids: Sequence[str]) -> npt.NDArray[np.int64]:
    asked = sa.func.json_each(orjson.dumps(ids).decode()).table_valued("key", "value", name="asked")
    select = (
        sa.select(event_extra.c.seq)
        .select_from(asked.join(event_extra, event_extra.c.event_id == asked.c.value))
        .order_by(asked.c.key)
    )
    found = database.read(lambda connection: connection.execute(select).scalars().all())
    return np.fromiter(found, np.int64, len(ids))


def _column(layout: SqlLayout, name: str) -> sa.ColumnElement[Any]:
    stored = layout.events.c
    if name in ("id", "instance_id", *_PLAIN):
        return layout.text(name)
    if name == "persisted_at":
        return layout.columns[name]
    if name == "payload":
        payload = stored.get("event_payload")
        return sa.literal("{}") if payload is None else sa.func.coalesce(sa.cast(payload, sa.Text), "{}")
    if name in ("caused_by", "caused"):
        return _links(layout, name)
    if layout.is_ours:
        if name in ("seq", "definition_hash"):
            return event_extra.c[name]
        if name in _DOCUMENT:
            return _from_document(layout, name)
    if name in stored and name != "timestamp":
        return sa.cast(stored[name], sa.Text)
    return sa.cast(sa.null(), sa.BigInteger if name in ("seq", "timestamp") else sa.Text)


def _links(layout: SqlLayout, name: str) -> sa.ColumnElement[Any]:
    """Ids as a list: an array of PostgreSQL, JSON text of SQLite."""
    stored = layout.events.c
    if layout.dialect == "sqlite":
        return sa.func.coalesce(stored[name], "[]")
    texts = sa.ARRAY(sa.Text)
    empty = sa.cast(sa.literal("{}", sa.Text), texts)
    if layout.name == "shipped" and name == "caused_by":
        names = [column for column in ("causation_id", "correlation_id") if column in stored]
        causes: list[sa.ColumnElement[Any]] = [sa.cast(stored[column], sa.Text) for column in names]
        if len(causes) == 2:
            causes[1] = sa.func.nullif(causes[1], causes[0])
        return sa.func.array_remove(array(causes), None) if causes else empty
    if name not in stored:
        return empty
    if layout.name == "shipped":  # JSONB
        items = sa.func.jsonb_array_elements_text(stored[name]).table_valued("value", name="item")
        ids = sa.select(sa.func.array_agg(items.c.value)).scalar_subquery()
        is_list = sa.func.jsonb_typeof(stored[name]) == "array"
        return sa.case((is_list, sa.func.coalesce(ids, empty)), else_=empty)
    return sa.func.coalesce(sa.cast(stored[name], texts), empty)


def _from_document(layout: SqlLayout, name: str) -> sa.ColumnElement[Any]:
    path = _DOCUMENT[name].split(".")
    if layout.dialect == "sqlite":
        return sa.func.json_extract(event_extra.c.original, "$." + ".".join(path))
    found = sa.cast(event_extra.c.original, sa.JSON).op("#>>")(sa.cast("{" + ",".join(path) + "}", sa.ARRAY(sa.Text)))
    return sa.cast(found, sa.BigInteger) if name == "timestamp" else found
