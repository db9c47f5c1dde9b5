"""What is in the store, in which state, and what waits for too long. Counts come from the backend, never from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from xcstore.analysis.intervals import DWELL_COLUMNS, dwell
from xcstore.analysis.stuck import Limit, WaitingState, limits
from xcstore.queries.machines import latest_streams
from xcstore.store.base import (
    Count,
    CountBy,
    Cursor,
    EventQuery,
    InstanceQuery,
    InstanceSummary,
    Layout,
    StateCount,
    Stores,
)
from xcstore.units import DAY, HOUR, MINUTE, SECOND, DurationMs, EpochMs

__all__ = [
    "Activity",
    "Facts",
    "OddSample",
    "StuckInstance",
    "Waiting",
    "activity",
    "bucket_for",
    "facts",
    "flows",
    "odd_sample",
    "state_counts",
    "waiting",
]

SAMPLE_EVENTS: Final = 200
MANY_EVENTS: Final = 100_000
MAX_WAITERS: Final = 5_000
"""Waiting instances looked at, the oldest first; beyond that the result says that there are more."""
MAX_LOOPING: Final = 500
"""Instances looked at in each state with self-loops."""
_WAITERS_PAGE: Final = MAX_WAITERS
"""All at once: where no table of instances is kept, each page is a look through the whole store."""

_BUCKETS: Final = tuple(
    DurationMs(count * unit)
    for unit, counts in (
        (SECOND, (1, 5, 10, 30)),
        (MINUTE, (1, 5, 10, 30)),
        (HOUR, (1, 3, 6, 12)),
        (DAY, (1, 2, 7, 14, 30, 90, 365, 3_650, 36_500, 365_000)),
    )
    for count in counts
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the sidebar says about a store."""

    identity: str
    layout: Layout
    read_only: bool
    components: tuple[tuple[str, int], ...]
    """Events of each component, most first. '' is the name where none is recorded."""
    time_range: tuple[EpochMs, EpochMs] | None

    @property
    def events(self) -> int:
        return sum(count for _, count in self.components)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Events over time by component."""

    bucket_ms: DurationMs
    counts: tuple[Count, ...]
    """Key: the component."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckInstance:
    """An instance that waits for longer than `limit` allows."""

    instance: InstanceSummary
    limit: Limit
    since: EpochMs
    """When it entered its state."""
    waited_ms: DurationMs

    @property
    def excess(self) -> float:
        """How many times longer than the limit: how abnormal it is."""
        return self.waited_ms / self.limit.limit_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Instances that wait for too long, the most abnormal first, as of `as_of`."""

    as_of: EpochMs
    stuck: tuple[StuckInstance, ...] = ()
    complete: bool = True
    """False where more than `MAX_WAITERS` wait: the oldest were looked at."""
    sampled: tuple[tuple[str, str, int, int], ...] = ()
    """(component, machine, instances read, instances there are) behind the normal lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OddSample:
    """How many of the latest events are stored in an odd form."""

    read: int
    odd: int
    kinds: tuple[tuple[str, int], ...] = ()
    """Faults in words, most frequent first."""
    event_ids: tuple[str, ...] = ()
    """Some odd events, newest first."""


def facts(stores: Stores) -> Facts:
    """Layout, size and time range of a store."""
    events = stores.events
    counts = events.count(EventQuery(), by=("component_name",))
    by_component = sorted(((count.key[0], count.count) for count in counts), key=lambda item: (-item[1], item[0]))
    return Facts(
        identity=stores.identity,
        layout=events.layout,
        read_only=events.read_only,
        components=tuple(by_component),
        time_range=events.time_range(),
    )


def state_counts(stores: Stores, components: tuple[str, ...] = ()) -> tuple[StateCount, ...]:
    """Instances by component, machine and current state."""
    return tuple(stores.events.count_instances(InstanceQuery(components=components)))


def flows(stores: Stores, components: tuple[str, ...] = ()) -> tuple[Count, ...]:
    """Events by (component, machine, state before, event type, state after): every transition that was observed."""
    by: tuple[CountBy, ...] = ("component_name", "machine_name", "state_before", "event_type", "state_after")
    return tuple(stores.events.count(EventQuery(components=components), by=by))


def bucket_for(start: EpochMs, end: EpochMs, *, bins: int = 90, events: int = 0) -> DurationMs:
    """The shortest round length of time that cuts the range into at most `bins` pieces (give or take the ends).

    Of many events (`events` says of how many) whole hours: stores of ours keep counts for these.
    """
    span = max(0, end - start)
    shortest = HOUR if events > MANY_EVENTS else SECOND
    return next((length for length in _BUCKETS if length >= shortest and span <= length * bins), _BUCKETS[-1])


def activity(stores: Stores, components: tuple[str, ...] = (), *, bucket_ms: DurationMs) -> Activity:
    """Events over time, counted by the backend."""
    counts = stores.events.count(EventQuery(components=components), by=("component_name",), bucket_ms=bucket_ms)
    return Activity(bucket_ms=bucket_ms, counts=tuple(counts))


def waiting(stores: Stores, states: tuple[WaitingState, ...], *, as_of: EpochMs) -> Waiting:
    """Which instances in `states` have waited for longer than such a state normally lasts.

    `states` are those in which instances are now and which have a way on; see `views.overview.waiting_states`.
    """
    machines = dict.fromkeys((state.component_name, state.machine_name) for state in states)
    samples = {machine: latest_streams(stores, *machine) for machine in machines}
    frames = [sample.events for sample in samples.values() if not sample.events.empty]
    normal = dwell(pd.concat(frames, ignore_index=True)) if frames else pd.DataFrame(columns=pd.Index(DWELL_COLUMNS))
    allowed = {
        (state.component_name, state.machine_name, state.state): limit
        for state, limit in zip(states, limits(states, normal), strict=True)
    }
    quiet = [state for state in states if not state.entered_from]
    waiters, complete = _waiters(stores, tuple(map(_key, quiet)), before=_latest_limit(quiet, allowed, as_of))
    wanted = set(map(_key, quiet))
    entered = [(item, item.updated_at) for item in waiters if _key(item) in wanted]
    for state in states:
        if state.entered_from:
            found, all_of_them = _entries(stores, state)
            entered += found
            complete = complete and all_of_them
    stuck = [
        StuckInstance(instance=item, limit=limit, since=since, waited_ms=DurationMs(as_of - since))
        for item, since in entered
        if as_of - since >= (limit := allowed[_key(item)]).limit_ms
    ]
    stuck.sort(key=lambda item: (-item.excess, item.instance.updated_at, item.instance.instance_id))
    totals = _instances_by_machine(states)
    return Waiting(
        as_of=as_of,
        stuck=tuple(stuck),
        complete=complete,
        sampled=tuple(
            (*machine, sample.instances, totals.get(machine, sample.instances)) for machine, sample in samples.items()
        ),
    )


def odd_sample(stores: Stores, components: tuple[str, ...] = (), *, limit: int = SAMPLE_EVENTS) -> OddSample:
    """Faults of the latest events. A sample: the whole store is for the integrity check."""
    items = stores.events.find(EventQuery(components=components), limit=limit, newest_first=True).items
    odd = [event for event in items if event.faults]
    kinds: dict[str, int] = {}
    for event in odd:
        for fault in event.faults:
            kinds[fault] = kinds.get(fault, 0) + 1
    return OddSample(
        read=len(items),
        odd=len(odd),
        kinds=tuple(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:10]),
        event_ids=tuple(event.id for event in odd[:10]),
    )


def _latest_limit(
    states: Sequence[WaitingState], allowed: Mapping[tuple[str, str, str], Limit], as_of: EpochMs
) -> EpochMs | None:
    """Nobody whose last event is later can be stuck; None: nobody at all can."""
    before = [
        moment
        for state in states
        if (moment := as_of - allowed[state.component_name, state.machine_name, state.state].limit_ms)
        >= state.oldest_updated_at
    ]
    return EpochMs(max(before)) if before else None


def _waiters(
    stores: Stores, keys: Sequence[tuple[str, str, str]], before: EpochMs | None
) -> tuple[list[InstanceSummary], bool]:
    """Instances in one of these states, without event since `before`, and whether these are all.

    One question for all states: each would have to look through the instances again.
    """
    found: list[InstanceSummary] = []
    if before is None:
        return found, True
    components, machines, names = (tuple(dict.fromkeys(column)) for column in zip(*keys, strict=True))
    query = InstanceQuery(components=components, machines=machines, states=names, updated_to=before)
    after: Cursor | None = None
    while True:
        page = stores.events.instances(query, after=after, limit=_WAITERS_PAGE, newest_first=False)
        found += page.items
        if page.next is None:
            return found, True
        if len(found) >= MAX_WAITERS:
            return found, False
        after = page.next


def _key(item: WaitingState | InstanceSummary) -> tuple[str, str, str]:
    return item.component_name, item.machine_name, item.state


def _entries(stores: Stores, state: WaitingState) -> tuple[list[tuple[InstanceSummary, EpochMs]], bool]:
    """Instances in a state with self-loops, when each entered it, and whether these are all.

    At most `MAX_LOOPING` instances are looked at, those without an event for longest.
    """
    query = InstanceQuery(components=(state.component_name,), machines=(state.machine_name,), states=(state.state,))
    page = stores.events.instances(query, limit=MAX_LOOPING, newest_first=False)
    if not page.items:
        return [], True
    entries = EventQuery(
        instance_ids=tuple(item.instance_id for item in page.items),
        states=(state.state,),
        states_before=state.entered_from,
    )
    table = stores.events.to_arrow(entries, columns=("instance_id", "persisted_at"), limit=20 * MAX_LOOPING)
    latest = dict(zip(*(table[name].to_pylist() for name in ("instance_id", "persisted_at")), strict=True))
    # An entry that is not among them (its chain is broken) leaves the last event, which waits for less.
    entered = [(item, EpochMs(latest.get(item.instance_id, item.updated_at))) for item in page.items]
    return entered, page.next is None


def _instances_by_machine(states: Sequence[WaitingState]) -> dict[tuple[str, str], int]:
    return {(state.component_name, state.machine_name): state.machine_instances for state in states}
