"""One text, looked up everywhere: ids first, as they are exact and fast; then the payloads, newest first, in bounds."""

from __future__ import annotations

from dataclasses import dataclass

from xcstore.model.history import PersistedEvent
from xcstore.store.base import Cursor, EventQuery, InstanceQuery, InstanceSummary, Stores
from xcstore.units import EpochMs

__all__ = ["Found", "Mentions", "by_id", "mentions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What has the text as its id."""

    event: PersistedEvent | None = None
    instances: tuple[InstanceSummary, ...] = ()
    """The instance of that id, or those whose ids start with it."""
    more_instances: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """Events that mention the text, newest first."""

    events: tuple[PersistedEvent, ...]
    next: Cursor | None = None
    """Where to search further; None: everything was searched."""
    searched_to: EpochMs | None = None
    """How far back the search has looked when it stopped at its time limit."""

    @property
    def instances(self) -> tuple[tuple[PersistedEvent, int], ...]:
        """The newest of the events for each instance that they speak of, and how many of the events are its own."""
        newest: dict[str, PersistedEvent] = {}
        counts: dict[str, int] = {}
        for event in self.events:
            newest.setdefault(event.instance_id, event)
            counts[event.instance_id] = counts.get(event.instance_id, 0) + 1
        return tuple((event, counts[instance_id]) for instance_id, event in newest.items())


def by_id(stores: Stores, text: str, *, limit: int = 10) -> Found:
    """The event, or the instances, that `text` is the id of, or the beginning of the id of."""
    event = stores.events.get_events((text,)).get(text)
    exact = stores.events.instances(InstanceQuery(instance_ids=(text,)), limit=1).items
    if exact:
        return Found(event=event, instances=exact)
    page = stores.events.instances(InstanceQuery(id_prefix=text), limit=limit)
    return Found(event=event, instances=page.items, more_instances=page.next is not None)


def mentions(stores: Stores, text: str, *, after: Cursor | None = None, limit: int = 50) -> Mentions:
    """Events with `text` in an id, their type, or any key or value of the payload."""
    page = stores.events.find(EventQuery(text=text), after=after, limit=limit, newest_first=True)
    return Mentions(events=page.items, next=page.next, searched_to=page.searched_to)
