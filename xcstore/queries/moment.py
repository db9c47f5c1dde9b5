"""The whole store as of a time: how many instances were in which state, and which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.queries.keys import business_keys
from xcstore.store.base import CountBy, Cursor, EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.units import EpochMs

__all__ = ["InstanceThen", "InstancesThen", "StateThen", "StatesThen", "instances_then", "states_then"]

MAX_MOVED: Final = 2_000
MAX_FOLLOWED: Final = 20_000
"""Instances that went on since, and their events up to then, that are looked at one by one."""
MAX_READ: Final = 5_000
"""Events up to then that are read at once, of a small store or of a page of instances."""
_TIED: Final = 50
_ROUNDS: Final = 5

Key = tuple[str, str, str]
"""Component, machine, state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateThen:
    """How many instances of a machine were in a state."""

    component_name: str
    machine_name: str
    state: str
    then: int | None
    """None: cannot be told, as the streams do not chain."""
    at_least: int
    """Those that are there still, unchanged since."""
    now: int
    """How many are there by the last event stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesThen:
    """How many instances were in which state."""

    at: EpochMs
    rows: tuple[StateThen, ...]
    """By component, machine and state; states in which no instance was or is are left out."""
    exact: bool
    """True: by the last event of each instance up to then. False: so many have gone on since that events which entered
    a state are counted, less those that left it; where a stream does not chain, that is off."""
    created: int
    """Creations stored up to then; more than instances where one was created twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceThen:
    """One instance as of a time."""

    instance_id: str
    component_name: str
    machine_name: str
    state: str
    """By its last event up to then."""
    last: PersistedEvent = field(hash=False)
    """That event."""
    state_now: str
    updated_at: EpochMs
    """When its last event of all was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesThen:
    """Some of the instances that there were."""

    instances: tuple[InstanceThen, ...]
    next: Cursor | None
    keys: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Business keys by instance id, of those that have one."""


def states_then(stores: Stores, at: EpochMs, components: tuple[str, ...] = ()) -> StatesThen:
    """Instances by component, machine and state as of `at`. The cost does not grow with what is stored."""
    now = _by_state(stores, InstanceQuery(components=components))
    unchanged = _by_state(stores, InstanceQuery(components=components, updated_to=at))
    moved = sum(now.values()) - sum(unchanged.values())
    there = EventQuery(components=components, event_types=(CREATION,), end=at)
    created = stores.events.count(there)[0].count
    then = _all_then(stores, at, components)
    if then is None and moved <= MAX_MOVED and (since := _moved(stores, at, components)) is not None:
        then = unchanged + since
    exact = then is not None
    if then is None:
        by: tuple[CountBy, ...] = ("component_name", "machine_name")
        query = EventQuery(components=components, end=at)
        then = Counter(_counted(stores, query, (*by, "state_after")))
        then.subtract(_counted(stores, query, (*by, "state_before")))
    keys = sorted({*then, *now})
    rows = [
        StateThen(
            component_name=key[0],
            machine_name=key[1],
            state=key[2],
            then=then[key] if then[key] >= unchanged[key] else None,
            at_least=unchanged[key],
            now=now[key],
        )
        for key in keys
        if then[key] or now[key]
    ]
    return StatesThen(at=at, rows=tuple(rows), exact=exact, created=created)


def instances_then(
    stores: Stores,
    at: EpochMs,
    *,
    components: tuple[str, ...] = (),
    machine: str = "",
    state: str = "",
    after: Cursor | None = None,
    limit: int = 25,
) -> InstancesThen:
    """A page of instances that there were at `at`, latest creation first; with `state`, latest entry first.

    Instances whose creation is not stored are found with `state` only. A page may come back short, with more to follow.
    """
    query = EventQuery(
        components=components,
        machines=(machine,) if machine else (),
        event_types=() if state else (CREATION,),
        states=(state,) if state else (),
        end=at,
    )
    found: dict[str, PersistedEvent] = {}
    cursor = after
    for _ in range(_ROUNDS):
        page = stores.events.find(query, after=cursor, limit=limit - len(found), newest_first=True)
        cursor = page.next
        last = _last_events(stores, [event.instance_id for event in page.items], at)
        for event in page.items:
            # An instance that entered the state several times is shown where it did so last.
            if not state or last[event.instance_id].id == event.id:
                found.setdefault(event.instance_id, last[event.instance_id])
        if cursor is None or len(found) >= limit:
            break
    now = _summaries(stores, found)
    return InstancesThen(
        instances=tuple(
            InstanceThen(
                instance_id=name,
                component_name=event.component_name,
                machine_name=event.machine_name,
                state=event.state_after,
                last=event,
                state_now=now[name].state if name in now else event.state_after,
                updated_at=now[name].updated_at if name in now else event.persisted_at,
            )
            for name, event in found.items()
        ),
        next=cursor,
        keys=business_keys(stores, tuple(found)),
    )


def _by_state(stores: Stores, query: InstanceQuery) -> Counter[Key]:
    rows = stores.events.count_instances(query)
    return Counter({(row.component_name, row.machine_name, row.state): row.count for row in rows})


def _counted(stores: Stores, query: EventQuery, by: Sequence[CountBy]) -> dict[Key, int]:
    counts = stores.events.count(query, by=by)
    return {(row.key[0], row.key[1], row.key[2]): row.count for row in counts if row.key[2]}


def _all_then(stores: Stores, at: EpochMs, components: tuple[str, ...]) -> Counter[Key] | None:
    """States then, from all events up to then; None where they are too many to read."""
    query = EventQuery(components=components, end=at)
    if stores.events.count(query)[0].count > MAX_READ:
        return None
    return _states_of(_last_of_each(stores, query))


def _states_of(last: Mapping[str, PersistedEvent]) -> Counter[Key]:
    return Counter((event.component_name, event.machine_name, event.state_after) for event in last.values())


def _moved(stores: Stores, at: EpochMs, components: tuple[str, ...]) -> Counter[Key] | None:
    """States then of the instances that went on since; None where they are too many to look at."""
    query = InstanceQuery(components=components, updated_from=EpochMs(at + 1))
    page = stores.events.instances(query, limit=MAX_MOVED + 1)
    if page.next is not None:
        return None
    ids = [summary.instance_id for summary in page.items if summary.created_at <= at]
    found: Counter[Key] = Counter()
    left = MAX_FOLLOWED
    for start in range(0, len(ids), 500):
        some = tuple(ids[start : start + 500])
        left -= stores.events.count(EventQuery(instance_ids=some, end=at))[0].count
        if left < 0:
            return None
        found += _states_of(_last_of_each(stores, EventQuery(instance_ids=some, end=at)))
    return found


def _last_of_each(stores: Stores, query: EventQuery) -> dict[str, PersistedEvent]:
    """The last event of each instance of those asked for, by reading all of them."""
    streams: dict[str, list[PersistedEvent]] = {}
    cursor = None
    while True:
        page = stores.events.find(query, after=cursor, limit=5_000)
        for event in page.items:
            streams.setdefault(event.instance_id, []).append(event)
        cursor = page.next
        if cursor is None:
            return {name: order_stream(stream)[-1] for name, stream in streams.items()}


def _last_events(stores: Stores, ids: Iterable[str], at: EpochMs) -> dict[str, PersistedEvent]:
    """The last event of each up to then."""
    names = tuple(dict.fromkeys(ids))
    if not names:
        return {}
    query = EventQuery(instance_ids=names, end=at)
    if stores.events.count(query)[0].count <= MAX_READ:
        return _last_of_each(stores, query)
    found = {}
    for name in names:
        latest = stores.events.find(EventQuery(instance_ids=(name,), end=at), limit=_TIED, newest_first=True)
        # Events of one moment are in no order there: the states that they lead to tell.
        found[name] = order_stream(latest.items)[-1]
    return found


def _summaries(stores: Stores, ids: Iterable[str]) -> Mapping[str, InstanceSummary]:
    names = tuple(ids)
    if not names:
        return {}
    page = stores.events.instances(InstanceQuery(instance_ids=names), limit=len(names))
    return {summary.instance_id: summary for summary in page.items}
