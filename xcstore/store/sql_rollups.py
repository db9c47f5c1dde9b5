"""What the two tables that triggers keep in SQLite stores of ours are good for.

`fsm_event_counts` answers counts without reading events, and says in which hours a page of filtered events lies, so
that a filter that fits nothing, or little, costs no scan. `fsm_instances` is the list of instances.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from xcstore.store.base import EventQuery
from xcstore.store.sql_layout import AnySelect, SqlLayout, int64, is_storable
from xcstore.store.sql_pages import Key
from xcstore.store.sql_tables import HOUR_MS, event_counts
from xcstore.units import DurationMs, EpochMs

__all__ = ["EdgeRange", "counted_in_rollup", "edges", "hours_of_page", "rollup_conditions", "select_within"]

EdgeRange = tuple[EpochMs | None, EpochMs | None]
"""Both ends included; None is open."""

_MANY: Final = 2_000
"""Hours of one query; beyond, the page comes back from a plain walk."""


def rollup_conditions(query: EventQuery) -> list[sa.ColumnElement[bool]]:
    c = event_counts.c
    found: list[sa.ColumnElement[bool]] = []
    for column, values in (
        (c.component_name, query.components),
        (c.machine_name, query.machines),
        (c.event_type, query.event_types),
        (c.state_after, query.states),
        (c.state_before, query.states_before),
    ):
        if values:
            found.append(column.in_([value for value in values if is_storable(value)]))
    return found


def counted_in_rollup(query: EventQuery, bucket_ms: DurationMs | None) -> bool:
    """Whether whole hours answer it, apart from the two ends of the range."""
    return not query.instance_ids and (bucket_ms is None or bucket_ms % HOUR_MS == 0)


def edges(query: EventQuery) -> tuple[EdgeRange, list[EdgeRange]]:
    """The range of whole hours (as starts of hours) and the ranges before and after it that are less than an hour."""
    start, end = query.start, query.end
    first = None if start is None else EpochMs(-(-start // HOUR_MS) * HOUR_MS)
    last = None if end is None else EpochMs((end + 1) // HOUR_MS * HOUR_MS - HOUR_MS)
    if first is not None and last is not None and last < first:
        return (EpochMs(0), EpochMs(-1)), [(start, end)]
    rest: list[EdgeRange] = []
    if start is not None and first is not None and start < first:
        rest.append((start, EpochMs(first - 1)))
    if end is not None and last is not None and last + HOUR_MS <= end:
        rest.append((EpochMs(last + HOUR_MS), end))
    return (first, last), rest


def hours_of_page(
    connection: sa.Connection, query: EventQuery, after: Key | None, limit: int, *, newest_first: bool
) -> Sequence[EpochMs] | None:
    """Hours in which the next `limit` fitting events lie; None where there are too many of them to name."""
    c = event_counts.c
    select = sa.select(c.hour_at, sa.func.sum(c.count)).where(*rollup_conditions(query)).group_by(c.hour_at)
    start, end = query.start, query.end
    if after is not None:
        start, end = (start, _lesser(end, after[0])) if newest_first else (_greater(start, after[0]), end)
    if start is not None:
        select = select.where(c.hour_at > int64(start - HOUR_MS))
    if end is not None:
        select = select.where(c.hour_at <= int64(end))
    select = select.order_by(c.hour_at.desc() if newest_first else c.hour_at)
    hours: list[EpochMs] = []
    counted = 0
    for hour_at, count in connection.execute(select):
        hours.append(hour_at)
        # An hour that the range or the cursor cuts may hold none of its events in the page.
        whole = (start is None or hour_at >= start) and (end is None or hour_at + HOUR_MS - 1 < end)
        counted += count if whole else 0
        if counted >= limit:
            break
        if len(hours) > _MANY:
            return None
    return hours


def select_within(
    select: AnySelect,
    layout: SqlLayout,
    hours: Sequence[EpochMs],
    asked: Sequence[sa.ColumnElement[bool]],
) -> AnySelect:
    """Events of these hours that are as asked, walked by the index on the time. Hours that touch are one range."""
    ranges: list[tuple[int, int]] = []
    for hour in sorted(hours):
        if ranges and ranges[-1][1] + 1 == hour:
            ranges[-1] = ranges[-1][0], hour + HOUR_MS - 1
        else:
            ranges.append((hour, hour + HOUR_MS - 1))
    part = sa.func.json_each(json.dumps(ranges)).table_valued("value", name="part")
    first, last = (sa.cast(sa.func.json_extract(part.c.value, f"$[{place}]"), sa.BigInteger) for place in (0, 1))
    select = select.join(part, layout.columns["persisted_at"].between(first, last))
    # A sum is a condition that no index serves: SQLite would take one on a name, which finds more.
    return (
        select.where(sa.func.min(1, *(sa.cast(condition, sa.Integer) for condition in asked)) == 1) if asked else select
    )


def _lesser(left: EpochMs | None, right: int) -> EpochMs:
    return EpochMs(right if left is None else min(left, right))


def _greater(left: EpochMs | None, right: int) -> EpochMs:
    return EpochMs(right if left is None else max(left, right))
