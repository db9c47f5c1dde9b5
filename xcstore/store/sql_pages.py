"""Pages and conditions of events in SQL: keyset paging, never an OFFSET, one row comparison instead of ORs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from xcstore.errors import QueryError
from xcstore.store.base import Cursor, EventQuery
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.sql_layout import AnySelect, SqlLayout, int64

__all__ = ["Key", "after_key", "conditions", "cursor_of", "expect_scan", "key_of", "ordered", "select_events"]

Key = tuple[int, int | str]
"""Where a row stands in page order: (`persisted_at`, seq or id)."""


def conditions(layout: SqlLayout, query: EventQuery) -> list[sa.ColumnElement[bool]]:
    """What `query` asks of the columns; its text and payload conditions are for `sql_search`."""
    found = [
        layout.among(name, values)
        for name, values in (
            ("component_name", query.components),
            ("machine_name", query.machines),
            ("event_type", query.event_types),
            ("instance_id", query.instance_ids),
            ("state_after", query.states),
            ("state_before", query.states_before),
        )
        if values
    ]
    persisted_at = layout.columns["persisted_at"]
    if query.start is not None:
        found.append(persisted_at >= int64(query.start) if query.start < 2**63 else sa.false())
    if query.end is not None:
        found.append(persisted_at <= int64(query.end) if query.end >= -(2**63) else sa.false())
    return found


def select_events(layout: SqlLayout) -> AnySelect:
    """All that makes an event, in no order yet."""
    return sa.select(*layout.event_columns()).select_from(layout.source())


def ordered(select: AnySelect, layout: SqlLayout, *, newest_first: bool) -> AnySelect:
    at, last = layout.order()
    return select.order_by(at.desc(), last.desc()) if newest_first else select.order_by(at, last)


def after_key(layout: SqlLayout, key: Key, *, newest_first: bool) -> sa.ColumnElement[bool]:
    """Rows that follow `key` in page order. The first condition is implied; it lets an index on the time be used."""
    at, last = layout.order()
    moment, value = sa.literal(key[0], sa.BigInteger), _literal(layout, key[1])
    if newest_first:
        return sa.and_(at <= moment, sa.tuple_(at, last) < sa.tuple_(moment, value))
    return sa.and_(at >= moment, sa.tuple_(at, last) > sa.tuple_(moment, value))


def expect_scan(connection: sa.Connection, layout: SqlLayout) -> None:
    """For the rest of the transaction: a question about all events is coming.

    PostgreSQL guesses that there are as many different values as rows, and would sort them on disk rather than tally
    them in memory, and hesitates to use more than one core.
    """
    if layout.dialect == "postgresql":
        settings = {"work_mem": "64MB", "parallel_setup_cost": "0", "parallel_tuple_cost": "0"}
        connection.execute(sa.select(*(sa.func.set_config(name, value, True) for name, value in settings.items())))


def key_of(layout: SqlLayout, cursor: Cursor, kind: str) -> Key:
    """The key in a cursor; `QueryError` where it is none of this listing."""
    moment, last = decode_cursor(cursor, kind, (int, int if layout.is_ours else str))
    assert isinstance(moment, int)
    if isinstance(last, str) and not layout.ids([last]):
        raise QueryError(f"{cursor!r} is not a page of this list; start again from the first page")
    return moment, last


def cursor_of(kind: str, key: Key) -> Cursor:
    return encode_cursor(kind, *key)


def _literal(layout: SqlLayout, value: int | str) -> sa.ColumnElement[Any]:
    if layout.is_ours:
        return sa.literal(value, sa.BigInteger)
    if layout.uuid_ids:
        return sa.cast(sa.literal(value, sa.Text), layout.columns["id"].type)
    return sa.literal(value, sa.Text)
