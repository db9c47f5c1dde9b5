"""What is replayed: the events of an instance, a trace, a component or a range of time, in the order of replay."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.replay.earlier import batches, earlier
from xcstore.replay.ordering import in_replay_order
from xcstore.replay.tables import Tables
from xcstore.runtime.folding import Folded
from xcstore.store.base import Direction, EventQuery, Stores
from xcstore.units import EpochMs

__all__ = [
    "MAX_EVENTS",
    "ComponentScope",
    "EventsScope",
    "InstanceScope",
    "RangeScope",
    "Scope",
    "TraceScope",
    "Track",
    "open_track",
    "uncollected",
]

MAX_EVENTS: Final = 100_000
_PAGE: Final = 20_000
_IDS: Final = 500
"""Instances asked about at a time."""

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceScope:
    """All events of one instance."""

    instance_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceScope:
    """An event with what caused it and what it caused, along recorded causes."""

    event_id: str
    direction: Direction = "both"
    max_events: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsScope:
    """Any events: a trace along repaired causes, what a business key touched."""

    event_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentScope:
    """The events of one component; both ends included, None for no end."""

    component_name: str
    start: EpochMs | None = None
    end: EpochMs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeScope:
    """All events of a range of time, of some components or of all; both ends included."""

    start: EpochMs
    end: EpochMs
    components: tuple[str, ...] = ()


Scope = InstanceScope | TraceScope | EventsScope | ComponentScope | RangeScope


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """Events in the order of replay, and what is needed to fold them. Two tracks are equal only if they are the same.

    Examples
    --------
    >>> from xcstore.store.memory import open_memory_stores
    >>> track = open_track(open_memory_stores(), RangeScope(start=EpochMs(0), end=EpochMs(10)))
    >>> track.length, track.truncated
    (0, False)
    """

    scope: Scope
    events: tuple[PersistedEvent, ...]
    """All that is folded. Streams keep their order; else by time, causes before effects at equal times."""
    steps: Sequence[int]
    """Step k, counted from 1, is `events[steps[k - 1]]`. Events between steps are folded silently: other events of the
    instances of a trace."""
    before: Mapping[str, Folded]
    """Instances that were there before their first event of the track, as they were then."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Instances of which is not known what they held before their first event of the track, and why, in words."""
    tables: Tables
    truncated: bool = False
    """More events belong to it than were read; the latest are left out."""
    total: int | None = None
    """How many events belong to it; None where that is not known."""
    notes: tuple[str, ...] = ()
    _positions: dict[str, int] = field(init=False, repr=False)
    _instance_ids: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        positions = {self.events[index].id: position for position, index in enumerate(self.steps, 1)}
        object.__setattr__(self, "_positions", positions)
        ids = dict.fromkeys(event.instance_id for event in self.events)
        object.__setattr__(self, "_instance_ids", tuple(dict.fromkeys([*ids, *self.before])))

    @property
    def length(self) -> int:
        """How many steps there are."""
        return len(self.steps)

    @property
    def instance_ids(self) -> tuple[str, ...]:
        """The instances involved, in the order of their first event here."""
        return self._instance_ids

    def step(self, position: int) -> PersistedEvent:
        """The event of step `position`, counted from 1."""
        return self.events[self.steps[position - 1]]

    def position_of(self, event_id: str) -> int | None:
        """The step that is this event, counted from 1; None where it is no step."""
        return self._positions.get(event_id)


def open_track(
    stores: Stores,
    scope: Scope,
    *,
    catalog: Catalog | None = None,
    max_events: int = MAX_EVENTS,
    on_progress: Progress = lambda done, total: None,
) -> Track:
    """Read what is replayed. Only reads; at most `max_events` events are held.

    Parameters
    ----------
    scope : Scope
    catalog : Catalog, optional
        Definitions for events that name no version which the store keeps; none: the last ones that the store keeps.
    max_events : int
        Most events to read, the earliest first. Where there are more, the track is `truncated`.
    on_progress : callable
        Told after every some thousand events how many were read, and of how many where that is known.

    Raises
    ------
    NotFoundError
        Nothing is stored of the instance; the event of a trace, or none of the events asked for, is stored.
    QueryError
        `max_events` is less than 1, or the range ends before it starts.
    """
    if max_events < 1:
        raise QueryError(f"a track of {max_events} events cannot be opened; give max_events of 1 or more")
    tables = Tables(catalog or Catalog(), stores.definitions.get_all_definitions())
    chosen: Sequence[PersistedEvent] | None = None
    notes: list[str] = []
    with uncollected():
        match scope:
            case InstanceScope():
                query = EventQuery(instance_ids=(scope.instance_id,))
                read = _read(stores, query, max_events, on_progress)
            case TraceScope() | EventsScope():
                chosen, notes = _chosen(stores, scope)
                read = _whole_streams(stores, chosen, max_events, on_progress)
            case ComponentScope() | RangeScope():
                read = _read(stores, _query(scope), max_events, on_progress)
                if scope.start is not None or scope.end is not None:
                    notes = ["instances without an event in this range are not part of it"]
        events = in_replay_order(read.events)
    streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
    for event in events:
        streams[event.instance_id].append(event)
    if isinstance(scope, InstanceScope):
        streams[scope.instance_id]  # there may be a snapshot though there is no event
    held = len(read.events)
    began = earlier(stores, streams, tables, read.start, lambda: on_progress(held, read.total))
    if isinstance(scope, InstanceScope) and not events and not began.found:
        raise NotFoundError(f"nothing is stored of instance {scope.instance_id!r}")
    wanted = None if chosen is None else {event.id for event in chosen}
    steps = range(len(events))
    return Track(
        scope=scope,
        events=events,
        steps=steps if wanted is None else tuple(index for index in steps if events[index].id in wanted),
        before=began.found,
        unknown=began.unknown,
        tables=tables,
        truncated=read.truncated,
        total=read.total,
        notes=(*notes, *read.notes, *began.notes, *tables.notes(events)),
    )


def _query(scope: ComponentScope | RangeScope) -> EventQuery:
    if scope.start is not None and scope.end is not None and scope.end < scope.start:
        raise QueryError(f"the range ends at {scope.end}, before it starts at {scope.start}")
    names = (scope.component_name,) if isinstance(scope, ComponentScope) else scope.components
    return EventQuery(components=names, start=scope.start, end=scope.end)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: it would go through all that is read again and again, and all of it stays.

    For making a long track, and what is made of it.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@dataclass(slots=True)
class _Reading:
    events: list[PersistedEvent]
    truncated: bool
    total: int | None
    start: EpochMs | None = None
    notes: list[str] = field(default_factory=list)


def _read(stores: Stores, query: EventQuery, max_events: int, on_progress: Progress) -> _Reading:
    total = stores.events.count(query)[0].count
    on_progress(0, total)
    events: list[PersistedEvent] = []
    for event in _paged(stores, query, max_events):
        events.append(event)
        if len(events) % _PAGE == 0:
            on_progress(len(events), total)
    total = max(total, len(events))  # the store may have grown meanwhile
    on_progress(len(events), total)
    return _Reading(events, total > len(events), total, query.start, _cut(len(events), total))


def _paged(stores: Stores, query: EventQuery, max_events: int) -> Iterator[PersistedEvent]:
    cursor, left = None, max_events
    while left > 0:
        page = stores.events.find(query, after=cursor, limit=min(_PAGE, left))
        yield from page.items
        cursor, left = page.next, left - len(page.items)
        if cursor is None:
            return


def _cut(held: int, total: int) -> list[str]:
    return [f"{held:,} of {total:,} events were read, the earliest first"] if total > held else []


def _chosen(stores: Stores, scope: TraceScope | EventsScope) -> tuple[list[PersistedEvent], list[str]]:
    """The events that are steps, in no order, and what there is to say."""
    if isinstance(scope, TraceScope):
        trace = stores.events.trace(scope.event_id, scope.direction, scope.max_events)
        notes = [f"{len(trace.missing):,} recorded causes are not in the store"] if trace.missing else []
        if trace.truncated:
            notes.append(f"the {len(trace.events):,} nearest events of the trace are steps; more are connected")
        return list(trace.events), notes
    found: list[PersistedEvent] = []
    for ids in batches(tuple(dict.fromkeys(scope.event_ids)), _IDS):
        found += stores.events.get_events(ids).values()
    missing = len(set(scope.event_ids)) - len(found)
    if not found:
        raise NotFoundError(f"none of the {len(set(scope.event_ids)):,} events to replay is in the store")
    return found, [f"{missing:,} of the events to replay are not in the store"] if missing else []


def _whole_streams(
    stores: Stores, chosen: Sequence[PersistedEvent], max_events: int, on_progress: Progress
) -> _Reading:
    """All events of the instances that the chosen ones belong to; where these are too many, those meanwhile."""
    ids = tuple(dict.fromkeys(event.instance_id for event in chosen))
    total = sum(stores.events.count(EventQuery(instance_ids=some))[0].count for some in batches(ids, _IDS))
    on_progress(0, total)
    if total <= max_events:
        events: list[PersistedEvent] = []
        for some in batches(ids, _IDS):
            for stream in stores.events.get_streams(some).values():
                events += stream
            on_progress(len(events), total)
        return _Reading(events, False, total)
    start = min(event.persisted_at for event in chosen)
    end = max(event.persisted_at for event in chosen)
    held = {event.id: event for event in chosen}
    meanwhile = 0
    for some in batches(ids, _IDS):
        query = EventQuery(instance_ids=some, start=start, end=end)
        meanwhile += stores.events.count(query)[0].count
        for event in _paged(stores, query, max(0, max_events - len(held))):
            held[event.id] = event
        on_progress(len(held), total)
    cut = meanwhile > len(held)
    note = f"of the {total:,} events of these instances, {len(held):,} between the first and the last step were read"
    return _Reading(list(held.values()), cut, total, start, [note])
