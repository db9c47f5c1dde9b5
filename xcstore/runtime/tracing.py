"""What the registry asks of the stores of its components: single events, and traces that lead from one to another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, get_args

from xcstore.errors import NotFoundError, QueryError
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Count, CountBy, Direction, EventQuery, Trace

__all__ = ["History", "SpecifiedStore", "effects_of", "get_event", "trace_across", "with_effects"]


class History(Protocol):
    """What the registry asks of an event store."""

    @property
    def identity(self) -> str: ...
    def get_all_events(self) -> Iterator[PersistedEvent]: ...
    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]: ...
    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]: ...
    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]: ...
    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace: ...
    def count(self, query: EventQuery, *, by: Sequence[CountBy] = ()) -> Sequence[Count]: ...


class SpecifiedStore:
    """Somebody's own store, with the methods that the specification names and no more; all events answer the rest."""

    def __init__(self, store: Any) -> None:
        self.identity = f"{type(store).__name__} {id(store):#x}"
        self._store = store
        self.get_events_for_instance = store.get_events_for_instance
        self.get_caused_events = store.get_caused_events

    def get_all_events(self) -> Iterator[PersistedEvent]:
        return iter(self._store.get_all_events())

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        wanted = set(event_ids)
        return {event.id: event for event in self.get_all_events() if event.id in wanted}

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        return trace_across([self], event_id, direction, max_events)

    def count(self, query: EventQuery, *, by: Sequence[CountBy] = ()) -> Sequence[Count]:
        counts = Counter(tuple(getattr(event, name) for name in by) for event in self.get_all_events())
        return [Count(key=key, bucket=None, count=number) for key, number in sorted(counts.items())]


def get_event(stores: Sequence[History], event_id: str) -> PersistedEvent:
    """From whichever store holds it; `NotFoundError` where none does."""
    event = _load(stores, [event_id]).get(event_id)
    if event is None:
        names = ", ".join(store.identity for store in stores) or "no component keeps events that can be read"
        raise NotFoundError(f"no event {event_id!r}; looked in: {names}")
    return event


def _load(stores: Sequence[History], event_ids: Iterable[str]) -> dict[str, PersistedEvent]:
    left = dict.fromkeys(event_ids)
    found: dict[str, PersistedEvent] = {}
    for store in stores:
        if left:
            found.update(store.get_events(left))
            left = dict.fromkeys(event_id for event_id in left if event_id not in found)
    return found


def effects_of(stores: Sequence[History], event_id: str) -> dict[str, PersistedEvent]:
    """Events of any store that name this one as their cause, by id."""
    return {event.id: event for store in stores for event in store.get_caused_events(event_id)}


def _neighbours(stores: Sequence[History], events: Sequence[PersistedEvent], way: str) -> Mapping[str, PersistedEvent]:
    if way == "causes":
        return _load(stores, (cause for event in events for cause in event.caused_by))
    return {effect_id: effect for event in events for effect_id, effect in effects_of(stores, event.id).items()}


def trace_across(stores: Sequence[History], event_id: str, direction: Direction, max_events: int) -> Trace:
    """A trace over several stores. One store answers by itself, with fewer questions."""
    if direction not in get_args(Direction):
        raise QueryError(f"a trace cannot go {direction!r}; the directions are {', '.join(get_args(Direction))}")
    if max_events < 1:
        raise QueryError(f"a trace of {max_events} events cannot be asked for; give max_events of 1 or more")
    root = get_event(stores, event_id)
    loaded = {root.id: root}
    left: set[str] = set()
    ways = [way for way in ("causes", "effects") if direction in (way, "both")]
    level = [(root, way) for way in ways]
    walked = {(root.id, way) for way in ways}
    while level:
        reached: dict[tuple[str, str], PersistedEvent] = {}
        for way in ways:
            for event in _neighbours(stores, [event for event, its_way in level if its_way == way], way).values():
                if (event.id, way) not in walked:
                    walked.add((event.id, way))
                    reached[event.id, way] = event
        level = []
        for (_, way), event in sorted(reached.items(), key=lambda item: (item[1].persisted_at, item[0])):
            if event.id in loaded or len(loaded) < max_events:
                loaded[event.id] = event
                level.append((event, way))
            else:
                left.add(event.id)
    causes = dict.fromkeys(cause for event in loaded.values() for cause in event.caused_by if cause not in loaded)
    stored = _load(stores, causes)
    missing = dict.fromkeys(cause for cause in causes if cause not in stored)
    links = (
        (cause, event.id)
        for event in loaded.values()
        for cause in event.caused_by
        if cause in loaded or cause in missing
    )
    return Trace(
        root_id=root.id,
        events=tuple(loaded.values()),
        links=tuple(dict.fromkeys(links)),
        missing=tuple(missing),
        truncated=bool(left),
        unread=len(left),
    )


def with_effects(trace: Trace) -> Trace:
    """The same with `caused` of each event filled from what its effects say."""
    effects: defaultdict[str, list[str]] = defaultdict(list)
    for cause, effect in trace.links:
        effects[cause].append(effect)
    events = tuple(
        replace(event, caused=tuple(dict.fromkeys((*event.caused, *effects[event.id])))) for event in trace.events
    )
    return replace(trace, events=events)
