"""Events as Arrow without making objects of them, where nothing needs to look at each one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import array

from xcstore.store.base import EventQuery
from xcstore.store.codec import Redaction
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_layout import SqlLayout
from xcstore.store.sql_pages import conditions, ordered
from xcstore.store.sql_tables import event_extra

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_column", "fetch", "is_fast"]

_PLAIN: Final = ("component_name", "machine_name", "event_type", "state_before", "state_after")
_DOCUMENT: Final = {
    "timestamp": "event.timestamp",
    "public_member_snapshot": "publicMemberSnapshot",
    "context": "context",
}
"""In stores of ours these have no column and come out of the document kept beside the event."""
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
    select = sa.select(*(_column(layout, name).label(name) for name in schema.names)).select_from(layout.source())
    select = ordered(select.where(*conditions(layout, query)), layout, newest_first=newest_first).limit(limit)
    return database.fetch_arrow(select, schema)


def arrow_column(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    """Values of one column as the driver gives them, lists as JSON text."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if pa.types.is_list(kind):
        return pa.array([_NO_IDS if text == "[]" else orjson.loads(text) for text in values], kind)  # type: ignore[arg-type]
    return pa.array(values, kind)


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
