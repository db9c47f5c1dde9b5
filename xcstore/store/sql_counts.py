"""Counting events in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from xcstore.store.base import CountBy, EventQuery
from xcstore.store.sql_layout import AnySelect, SqlLayout, int64
from xcstore.store.sql_pages import conditions, expect_scan
from xcstore.store.sql_rollups import counted_in_rollup, edges, rollup_conditions
from xcstore.store.sql_tables import event_counts
from xcstore.units import DurationMs, EpochMs

__all__ = ["Counts", "count_events"]

Counts = Counter[tuple[tuple[str, ...], EpochMs | None]]


def count_events(
    connection: sa.Connection,
    layout: SqlLayout,
    query: EventQuery,
    by: Sequence[CountBy],
    bucket_ms: DurationMs | None,
) -> Counts:
    """Counts by (values, bucket); text and payload conditions are not looked at."""
    if not (layout.is_ours and layout.dialect == "sqlite" and counted_in_rollup(query, bucket_ms)):
        if not query.instance_ids:
            expect_scan(connection, layout)
        return Counter(dict(_from_events(connection, layout, query, by, bucket_ms)))
    (first, last), rest = edges(query)
    counts: Counts = Counter()
    if first is None or last is None or first <= last:
        counts.update(dict(_from_rollup(connection, query, by, bucket_ms, first, last)))
    for start, end in rest:
        counts.update(dict(_from_events(connection, layout, replace(query, start=start, end=end), by, bucket_ms)))
    return counts


def _from_events(
    connection: sa.Connection,
    layout: SqlLayout,
    query: EventQuery,
    by: Sequence[CountBy],
    bucket_ms: DurationMs | None,
) -> Iterator[tuple[tuple[tuple[str, ...], EpochMs | None], int]]:
    # Grouped by the columns as they are: what is NULL becomes '' in the few rows that come out.
    keys: list[sa.ColumnElement[Any]] = [layout.columns.get(name, sa.literal("")) for name in by]
    if bucket_ms is not None:
        at = layout.columns["persisted_at"]
        # A table of others may have none, which is shown as 0.
        keys.append(_bucket(at if layout.is_ours else sa.func.coalesce(at, 0), bucket_ms))
    select = sa.select(*keys, sa.func.count()).select_from(layout.events).where(*conditions(layout, query))
    yield from _grouped(connection, select, len(keys), by, bucket_ms)


def _from_rollup(
    connection: sa.Connection,
    query: EventQuery,
    by: Sequence[CountBy],
    bucket_ms: DurationMs | None,
    first: EpochMs | None,
    last: EpochMs | None,
) -> Iterator[tuple[tuple[tuple[str, ...], EpochMs | None], int]]:
    c = event_counts.c
    keys: list[sa.ColumnElement[Any]] = [c[name] for name in by]
    if bucket_ms is not None:
        keys.append(_bucket(c.hour_at, bucket_ms))
    select = sa.select(*keys, sa.func.coalesce(sa.func.sum(c.count), 0)).where(*rollup_conditions(query))
    if first is not None:
        select = select.where(c.hour_at >= int64(first))
    if last is not None:
        select = select.where(c.hour_at <= int64(last))
    yield from _grouped(connection, select, len(keys), by, bucket_ms)


def _grouped(
    connection: sa.Connection,
    select: AnySelect,
    keys: int,
    by: Sequence[CountBy],
    bucket_ms: DurationMs | None,
) -> Iterator[tuple[tuple[tuple[str, ...], EpochMs | None], int]]:
    if keys:
        select = select.group_by(*(sa.text(str(position + 1)) for position in range(keys)))
    found: Counts = Counter()
    for row in connection.execute(select):
        values = tuple("" if value is None else str(value) for value in row[: len(by)])
        found[values, None if bucket_ms is None else EpochMs(int(row[len(by)]))] += int(row[-1])
    yield from found.items()


def _bucket(at: sa.ColumnElement[Any], bucket_ms: DurationMs) -> sa.ColumnElement[Any]:
    """The start of the bucket. Rounded down before 1970 too, where SQL's division rounds up."""
    length = sa.literal(int(bucket_ms), sa.BigInteger)
    return at - ((at % length) + length) % length
