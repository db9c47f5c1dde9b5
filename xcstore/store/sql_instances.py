"""Instances as their events tell them, in SQL.

The last event of an instance is the last of its stream: the greatest `persisted_at`, and where several events share
it, the end of their chain. SQL finds the moment; where it is shared (`tied`), `model.ordering` finds the event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store.base import InstanceQuery, InstanceSummary, StateCount
from xcstore.store.sql_layout import AnyRow, SqlLayout, int64, is_storable
from xcstore.store.sql_pages import Key, after_key, expect_scan, ordered
from xcstore.store.sql_tables import event_extra, instances
from xcstore.store.values import read_moment
from xcstore.units import EpochMs

__all__ = ["StandingSummary", "count_states", "find_instances", "last_event_id"]

_CHUNK: Final = 1_000
_SPARE: Final = 16
"""Candidates beyond a page, for those that share their moment with the last event and are not it."""
_WALKS: Final = (5_000, 40_000)
"""Events that PostgreSQL looks at from the start of a page, before it compares all with all."""
_FEW_STATES: Final = 3
_NEAREST: Final = 5_000
_LIGHT: Final = (
    "id",
    "instance_id",
    "component_name",
    "machine_name",
    "event_type",
    "state_before",
    "state_after",
)

StandingSummary = tuple[Key, InstanceSummary]
"""A summary and its place in the list: (`updated_at`, seq or id of the last event)."""


def find_instances(
    connection: sa.Connection,
    layout: SqlLayout,
    query: InstanceQuery,
    holds: Callable[[InstanceSummary], bool],
    after: Key | None,
    limit: int,
    *,
    newest_first: bool,
) -> list[StandingSummary]:
    """The next `limit` instances (fewer: there are no more)."""
    if _is_projected(layout):
        return _projected(connection, layout, query, holds, after, limit, newest_first=newest_first)
    found: list[StandingSummary] = []
    asked = limit + _SPARE
    while len(found) < limit:
        rows = _candidates(connection, layout, query, after, asked, newest_first=newest_first)
        for start in range(0, len(rows), _CHUNK):
            found += _summaries(connection, layout, rows[start : start + _CHUNK])
        if len(rows) < asked:
            break
        after = _standing(layout, rows[-1])
    return [item for item in found if holds(item[1])][:limit]


def count_states(
    connection: sa.Connection, layout: SqlLayout, query: InstanceQuery, holds: Callable[[InstanceSummary], bool]
) -> list[StateCount]:
    """Instances per component, machine and current state."""
    tally: defaultdict[tuple[str, str, str], _Tally] = defaultdict(_Tally)
    if _is_projected(layout):
        c = instances.c
        select = (
            sa.select(c.component_name, c.machine_name, c.state, *_tallied(c.updated_at))
            .where(c.settled == sa.true(), *_projected_conditions(layout, query))
            .group_by(c.component_name, c.machine_name, c.state)
        )
        rows: Iterable[AnyRow] = connection.execute(select)
        unsettled: Iterable[InstanceSummary] = (summary for _, summary in _unsettled(connection, layout, query))
    else:
        expect_scan(connection, layout)
        rows, tied = _last_states(connection, layout, query)
        unsettled = (summary for _, summary in _tied_summaries(connection, layout, tied).values())
    for component, machine, state, count, oldest, newest in rows:
        tally[component or "", machine or "", state or ""].add(count, _moment(oldest), _moment(newest))
    for summary in unsettled:
        if holds(summary):
            at = summary.updated_at
            tally[summary.component_name, summary.machine_name, summary.state].add(1, at, at)
    return [
        StateCount(
            component_name=component,
            machine_name=machine,
            state=state,
            count=found.count,
            oldest_updated_at=EpochMs(found.oldest),
            newest_updated_at=EpochMs(found.newest),
        )
        for (component, machine, state), found in sorted(tally.items())
    ]


def last_event_id(connection: sa.Connection, layout: SqlLayout, instance_id: str) -> str:
    """Id of the last event of the stream; '' where there is none."""
    if _is_projected(layout):
        c = instances.c
        known = connection.execute(sa.select(c.last_event_id, c.settled).where(c.instance_id == instance_id)).first()
        if known is None or known.settled:
            return known.last_event_id if known else ""
    events = order_stream(_light_streams(connection, layout, [instance_id]).get(instance_id, ()))
    return events[-1].id if events else ""


@dataclass(slots=True)
class _Tally:
    count: int = 0
    oldest: int = 2**63
    newest: int = -(2**63)

    def add(self, count: int, oldest: int, newest: int) -> None:
        self.count += count
        self.oldest = min(self.oldest, oldest)
        self.newest = max(self.newest, newest)


def _moment(value: object) -> EpochMs:
    """A time as the codec reads it: tables of others may hold anything."""
    return EpochMs(value) if type(value) is int else read_moment(value, "", [])


# --- From the table of instances that triggers keep


def _is_projected(layout: SqlLayout) -> bool:
    return layout.is_ours


def _projected(
    connection: sa.Connection,
    layout: SqlLayout,
    query: InstanceQuery,
    holds: Callable[[InstanceSummary], bool],
    after: Key | None,
    limit: int,
    *,
    newest_first: bool,
) -> list[StandingSummary]:
    c = instances.c
    updated_at = _updated_at(layout, query)
    key = sa.tuple_(updated_at, c.last_seq)
    select = sa.select(instances).where(c.settled == sa.true(), *_projected_conditions(layout, query))
    if after is not None:
        place = sa.tuple_(sa.literal(after[0], sa.BigInteger), sa.literal(after[1], sa.BigInteger))
        select = select.where(key < place if newest_first else key > place)
    if newest_first:
        select = select.order_by(updated_at.desc(), c.last_seq.desc())
    else:
        select = select.order_by(updated_at, c.last_seq)
    found = [((row.updated_at, row.last_seq), _summary_of(row)) for row in connection.execute(select.limit(limit))]
    beyond = [
        item
        for item in _unsettled(connection, layout, query)
        if holds(item[1]) and (after is None or (item[0] < after if newest_first else item[0] > after))
    ]
    if beyond:
        found = sorted(found + beyond, key=lambda item: item[0], reverse=newest_first)
    return found[:limit]


def _summary_of(row: AnyRow) -> InstanceSummary:
    return InstanceSummary(
        instance_id=row.instance_id,
        component_name=row.component_name,
        machine_name=row.machine_name,
        state=row.state,
        created_at=EpochMs(row.created_at),
        updated_at=EpochMs(row.updated_at),
        event_count=row.event_count,
        last_event_id=row.last_event_id,
        last_event_type=row.last_event_type,
    )


def _unsettled(connection: sa.Connection, layout: SqlLayout, query: InstanceQuery) -> list[StandingSummary]:
    """Those that the triggers could not follow, worked out from their streams."""
    c = instances.c
    select = sa.select(c.instance_id).where(c.settled == sa.false())
    if query.instance_ids:
        select = select.where(c.instance_id.in_([value for value in query.instance_ids if is_storable(value)]))
    ids = list(connection.execute(select).scalars())
    return list(_tied_summaries(connection, layout, ids).values()) if ids else []


def _projected_conditions(layout: SqlLayout, query: InstanceQuery) -> Iterator[sa.ColumnElement[bool]]:
    c = instances.c
    for column, values in (
        (c.component_name, query.components),
        (c.machine_name, query.machines),
        (c.state, query.states),
        (c.instance_id, query.instance_ids),
    ):
        if values:
            yield column.in_([value for value in values if is_storable(value)])
    if query.id_prefix:
        yield _starts_with(c.instance_id, query.id_prefix)
        if layout.dialect == "sqlite" and is_storable(query.id_prefix):  # it compares bytes; others by a language
            yield c.instance_id.between(query.id_prefix, query.id_prefix + "\U0010ffff")
    if query.updated_from is not None:
        yield _updated_at(layout, query) >= int64(query.updated_from)
    if query.updated_to is not None:
        yield _updated_at(layout, query) <= int64(query.updated_to)


def _updated_at(layout: SqlLayout, query: InstanceQuery) -> sa.ColumnElement[int]:
    if query.states and layout.dialect == "sqlite":
        # Few may be in the state: to read the table once is faster than to look up each row that the index on the
        # time names. With the sign it is no longer what the index holds.
        return sa.literal_column("+fsm_instances.updated_at", sa.BigInteger)
    return instances.c.updated_at


# --- From the events themselves


def _candidates(
    connection: sa.Connection,
    layout: SqlLayout,
    query: InstanceQuery,
    after: Key | None,
    limit: int,
    *,
    newest_first: bool,
) -> Sequence[AnyRow]:
    """Events of the last moment of their instance, in page order.

    A walk along the time stops after a page, early for states that many instances are in. Where few are, it would look
    up the instance of each event of the store; PostgreSQL is told when to stop walking, and joins instead.
    """
    at, last = layout.order()
    select = (
        sa.select(*(layout.text(name).label(name) for name in _LIGHT), at.label("persisted_at"), last.label("key"))
        .select_from(layout.source())
        .where(_is_last(layout), *_event_conditions(layout, query))
    )
    if after is not None:
        select = select.where(after_key(layout, after, newest_first=newest_first))
    walked = ordered(select, layout, newest_first=newest_first).limit(limit)
    if layout.dialect == "sqlite":
        return connection.execute(walked).all()
    if not query.instance_ids:
        for length in _WALKS if newest_first else _WALKS[:1]:
            end = _walk_end(connection, layout, query, after, length, newest_first=newest_first)
            if end is None:
                break
            rows = connection.execute(walked.where(at >= end if newest_first else at <= end)).all()
            if len(rows) == limit:
                return rows
    expect_scan(connection, layout)
    if (
        query.states
        and len(query.states) <= _FEW_STATES
        and not query.instance_ids
        and "state_before" in layout.columns
    ):
        return _not_left(connection, layout, query, after, limit, newest_first=newest_first)
    # Within the same question, ORDER BY and LIMIT would make the planner walk after all.
    every = select.cte("every").prefix_with("MATERIALIZED", dialect="postgresql")
    order = [every.c.persisted_at, every.c.key]
    joined = sa.select(every).order_by(*(column.desc() if newest_first else column for column in order))
    return connection.execute(joined.limit(limit)).all()


def _not_left(
    connection: sa.Connection,
    layout: SqlLayout,
    query: InstanceQuery,
    after: Key | None,
    limit: int,
    *,
    newest_first: bool,
) -> list[AnyRow]:
    """What `_candidates` gives, for a few states, by one scan instead of two.

    The scan finds the events that lead into these states and those that lead out of them. Where an instance was not
    seen to leave, which are few in most histories, the index tells whether anything else came later.
    """
    at, last = layout.order()
    found: list[AnyRow] = []
    while True:
        enters = sa.and_(*_event_conditions(layout, query))
        if after is not None:
            enters = sa.and_(enters, after_key(layout, after, newest_first=newest_first))
        touching = (
            sa.select(
                *(layout.text(name).label(name) for name in _LIGHT),
                layout.columns["instance_id"].label("instance"),
                at.label("persisted_at"),
                last.label("key"),
                enters.label("enters"),
            )
            .select_from(layout.source())
            .where(sa.or_(enters, layout.among("state_before", query.states)))
            .cte("touching")
            .prefix_with("MATERIALIZED", dialect="postgresql")
        )
        other, later = touching.alias("other"), layout.events.alias("later")
        order = [touching.c.persisted_at, touching.c.key]
        nearest = (
            sa.select(touching)
            .where(
                touching.c.enters,
                ~sa.exists().where(
                    other.c.instance == touching.c.instance, other.c.persisted_at > touching.c.persisted_at
                ),
            )
            .order_by(*(column.desc() if newest_first else column for column in order))
            .limit(_NEAREST)
            .cte("nearest")
            .prefix_with("MATERIALIZED", dialect="postgresql")
        )
        names = layout.columns["instance_id"].name, layout.columns["persisted_at"].name
        is_last = ~sa.exists().where(
            later.c[names[0]] == nearest.c.instance, later.c[names[1]] > nearest.c.persisted_at
        )
        order = [nearest.c.persisted_at, nearest.c.key]
        rows = connection.execute(
            sa.select(nearest, is_last.label("is_last")).order_by(
                *(column.desc() if newest_first else column for column in order)
            )
        ).all()
        found += [row for row in rows if row.is_last]
        if len(found) >= limit or len(rows) < _NEAREST:
            return found[:limit]
        after = _standing(layout, rows[-1])


def _walk_end(
    connection: sa.Connection,
    layout: SqlLayout,
    query: InstanceQuery,
    after: Key | None,
    length: int,
    *,
    newest_first: bool,
) -> int | None:
    """The moment `length` events further on; None where there are fewer."""
    at = layout.columns["persisted_at"]
    select = sa.select(at).select_from(layout.events).where(*_time_conditions(layout, query))
    if after is not None:
        select = select.where(at <= after[0] if newest_first else at >= after[0])
    select = select.order_by(at.desc() if newest_first else at).offset(length).limit(1)
    moment: int | None = connection.execute(select).scalar()
    return moment


def _is_last(layout: SqlLayout) -> sa.ColumnElement[bool]:
    """Whether no event of the instance is later; several may share its last moment."""
    later = layout.events.alias("later")
    instance_id, at = layout.columns["instance_id"], layout.columns["persisted_at"]
    return ~sa.exists().where(later.c[instance_id.name] == instance_id, later.c[at.name] > at)


def _event_conditions(layout: SqlLayout, query: InstanceQuery) -> Iterator[sa.ColumnElement[bool]]:
    for name, values in (
        ("component_name", query.components),
        ("machine_name", query.machines),
        ("state_after", query.states),
    ):
        if values:
            yield layout.among(name, values)
    yield from _instance_conditions(layout, query)
    yield from _time_conditions(layout, query)


def _time_conditions(layout: SqlLayout, query: InstanceQuery) -> Iterator[sa.ColumnElement[bool]]:
    at = layout.columns["persisted_at"]
    if query.updated_from is not None:
        yield at >= int64(query.updated_from)
    if query.updated_to is not None:
        yield at <= int64(query.updated_to)


def _instance_conditions(layout: SqlLayout, query: InstanceQuery) -> Iterator[sa.ColumnElement[bool]]:
    if query.instance_ids:
        yield layout.among("instance_id", query.instance_ids)
    if query.id_prefix:
        yield _starts_with(layout.text("instance_id"), query.id_prefix)


def _starts_with(text: sa.ColumnElement[str], prefix: str) -> sa.ColumnElement[bool]:
    if not is_storable(prefix):
        return sa.false()
    return sa.func.substr(text, 1, len(prefix)) == prefix


def _summaries(connection: sa.Connection, layout: SqlLayout, rows: Sequence[AnyRow]) -> Iterator[StandingSummary]:
    """Summaries of the candidates that are the last event of their instance."""
    if not rows:
        return
    ids = layout.ids(dict.fromkeys(row.instance_id for row in rows))
    instance_id, at = layout.columns["instance_id"], layout.columns["persisted_at"]
    totals = {
        str(row.instance_id): row
        for row in connection.execute(
            sa.select(
                instance_id.label("instance_id"), sa.func.min(at).label("first_at"), sa.func.count().label("size")
            )
            .select_from(layout.events)
            .where(instance_id.in_(ids))
            .group_by(instance_id)
        )
    }
    # A table of others may hold anything as a time; what is none cannot be asked for among numbers.
    moments = [(row.instance_id, row.persisted_at) for row in rows if isinstance(row.persisted_at, int)]
    tied = [
        str(found)
        for found in connection.execute(
            sa.select(instance_id)
            .select_from(layout.events)
            .where(instance_id.in_(ids), sa.tuple_(instance_id, at).in_(moments))
            .group_by(instance_id)
            .having(sa.func.count() > 1)
        ).scalars()
    ]
    resolved = {item.instance_id: item for _, item in _tied_summaries(connection, layout, tied).values()}
    for row in rows:
        if row.instance_id in resolved and resolved[row.instance_id].last_event_id != row.id:
            continue  # another event of this moment is the last; it has its own place in the list
        total = totals[row.instance_id]
        yield (
            _standing(layout, row),
            InstanceSummary(
                instance_id=row.instance_id,
                component_name=row.component_name,
                machine_name=row.machine_name,
                state=row.state_after,
                created_at=_moment(total.first_at),
                updated_at=_moment(row.persisted_at),
                event_count=total.size,
                last_event_id=row.id,
                last_event_type=row.event_type,
            ),
        )


def _standing(layout: SqlLayout, row: AnyRow) -> Key:
    return row.persisted_at, row.key if layout.is_ours else str(row.key)


def _last_states(connection: sa.Connection, layout: SqlLayout, query: InstanceQuery) -> tuple[list[AnyRow], list[str]]:
    """Tallies of the instances with one last event, and the ids of those with several at their last moment."""
    names = ("component_name", "machine_name", "state_after")
    # Not a join with the greatest time of each: PostgreSQL runs this form in parallel, the other not.
    last = (
        sa.select(
            layout.columns["instance_id"].label("instance_id"),
            layout.columns["persisted_at"].label("updated_at"),
            *(layout.columns.get(name, sa.literal("")).label(name) for name in names),
        )
        .select_from(layout.events)
        .where(_is_last(layout), *_instance_conditions(layout, query))
        .subquery("last")
    )
    single = (
        sa.select(
            last.c.instance_id,
            sa.func.count().label("size"),
            *(sa.func.min(last.c[name]).label(name) for name in ("updated_at", *names)),
        )
        .group_by(last.c.instance_id)
        .cte("single")
    )
    tally = sa.select(
        sa.null().label("tied"),
        *(single.c[name] for name in names),
        *_tallied(single.c.updated_at),
    ).where(single.c.size == 1)
    for name, values in zip(names, (query.components, query.machines, query.states), strict=True):
        if values:
            wanted = [value for value in values if is_storable(value)]
            tally = tally.where(sa.func.coalesce(single.c[name], "").in_(wanted))
    if query.updated_from is not None:
        tally = tally.where(single.c.updated_at >= int64(query.updated_from))
    if query.updated_to is not None:
        tally = tally.where(single.c.updated_at <= int64(query.updated_to))
    tally = tally.group_by(*(single.c[name] for name in names))
    nothing = [sa.null(), sa.null(), sa.null(), sa.literal(0), sa.literal(0), sa.literal(0)]
    tied = sa.select(sa.cast(single.c.instance_id, sa.Text), *nothing).where(single.c.size > 1)
    rows: Sequence[Any] = connection.execute(sa.union_all(tally, tied)).all()
    return [row[1:] for row in rows if row[0] is None], [row[0] for row in rows if row[0] is not None]


def _tallied(updated_at: sa.ColumnElement[int]) -> tuple[sa.ColumnElement[int], ...]:
    return sa.func.count(), sa.func.min(updated_at), sa.func.max(updated_at)


# --- Streams of the few instances whose last moment is shared


def _tied_summaries(
    connection: sa.Connection, layout: SqlLayout, instance_ids: Sequence[str]
) -> dict[str, StandingSummary]:
    found: dict[str, StandingSummary] = {}
    for start in range(0, len(instance_ids), _CHUNK):
        ids = instance_ids[start : start + _CHUNK]
        for instance_id, events in _light_streams(connection, layout, ids).items():
            last = order_stream(events)[-1]
            found[instance_id] = (
                (last.persisted_at, last.id if last.seq is None else last.seq),
                InstanceSummary(
                    instance_id=instance_id,
                    component_name=last.component_name,
                    machine_name=last.machine_name,
                    state=last.state_after,
                    created_at=min(event.persisted_at for event in events),
                    updated_at=last.persisted_at,
                    event_count=len(events),
                    last_event_id=last.id,
                    last_event_type=last.event_type,
                ),
            )
    return found


def _light_streams(
    connection: sa.Connection, layout: SqlLayout, instance_ids: Iterable[str]
) -> Mapping[str, list[PersistedEvent]]:
    """Events without payloads, by instance, in no order."""
    seq: sa.ColumnElement[Any] = event_extra.c.seq if layout.is_ours else sa.null()
    select = (
        sa.select(
            *(layout.text(name).label(name) for name in _LIGHT),
            layout.columns["persisted_at"].label("persisted_at"),
            seq.label("seq"),
        )
        .select_from(layout.source())
        .where(layout.columns["instance_id"].in_(layout.ids(instance_ids)))
    )
    streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
    for row in connection.execute(select):
        streams[row.instance_id].append(PersistedEvent(**row._mapping))
    return streams
