"""What the two tables that triggers keep in SQLite stores of ours are good for.

`fsm_event_counts` answers counts without reading events, and says in which hours a page of filtered events lies, so
that a filter that fits nothing, or little, costs no scan. `fsm_instances` is the list of instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from xcstore.store.base import EventQuery
from xcstore.store.sql_layout import int64, is_storable
from xcstore.store.sql_pages import Key
from xcstore.store.sql_tables import HOUR_MS, event_counts
from xcstore.units import DurationMs, EpochMs

__all__ = [
    "EdgeRange",
    "are_many",
    "counted_in_rollup",
    "edges",
    "hours_of_page",
    "rollup_conditions",
    "stretches",
    "unindexed",
]

EdgeRange = tuple[EpochMs | None, EpochMs | None]
"""Both ends included; None is open."""

_MANY: Final = 2_000
"""Hours of one query; beyond, the page comes back from a plain walk."""
_WORTH_A_WALK: Final = 20
"""Of so many events one must fit."""


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
    start, end = _left(query, after, newest_first=newest_first)
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


def are_many(connection: sa.Connection, query: EventQuery) -> bool:
    """Whether so many events fit that a walk through all in the range of time is the best way to them."""
    c = event_counts.c
    fitting = sa.func.min(1, 1, *(sa.cast(condition, sa.Integer) for condition in rollup_conditions(query)))
    select = sa.select(sa.func.sum(c.count), sa.func.sum(c.count * fitting))
    if query.start is not None:
        select = select.where(c.hour_at > int64(query.start - HOUR_MS))
    if query.end is not None:
        select = select.where(c.hour_at <= int64(query.end))
    walked, found = connection.execute(select).one()
    return bool(found) and found * _WORTH_A_WALK >= walked


def unindexed(asked: Sequence[sa.ColumnElement[bool]]) -> list[sa.ColumnElement[bool]]:
    """The conditions in a form that no index serves: SQLite would take one on a name, which finds more."""
    return [sa.func.min(1, *(sa.cast(condition, sa.Integer) for condition in asked)) == 1] if asked else []


def stretches(
    hours: Sequence[EpochMs], query: EventQuery, after: Key | None, *, newest_first: bool
) -> list[tuple[int, int]]:
    """The part of the hours that `query` and `after` leave, as ranges of time in the order of the page.

    Both ends are included; hours that touch are one range.
    """
    ranges: list[tuple[int, int]] = []
    for hour in sorted(hours):
        if ranges and ranges[-1][1] + 1 == hour:
            ranges[-1] = ranges[-1][0], hour + HOUR_MS - 1
        else:
            ranges.append((hour, hour + HOUR_MS - 1))
    start, end = _left(query, after, newest_first=newest_first)
    lowest, highest = int64(-(2**63) if start is None else start), int64(2**63 - 1 if end is None else end)
    ranges = [(max(first, lowest), min(last, highest)) for first, last in ranges]
    return ranges[::-1] if newest_first else ranges


def _left(query: EventQuery, after: Key | None, *, newest_first: bool) -> EdgeRange:
    """The range of time that is left to look at, both ends included."""
    if after is None:
        return query.start, query.end
    if newest_first:
        return query.start, _lesser(query.end, after[0])
    return _greater(query.start, after[0]), query.end


def _lesser(left: EpochMs | None, right: int) -> EpochMs:
    return EpochMs(right if left is None else min(left, right))


def _greater(left: EpochMs | None, right: int) -> EpochMs:
    return EpochMs(right if left is None else max(left, right))
