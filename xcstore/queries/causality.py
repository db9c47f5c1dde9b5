"""The neighbourhood of one event, and events to start from."""

from __future__ import annotations

from collections.abc import Iterable

from xcstore.model.history import PersistedEvent
from xcstore.store.base import Direction, EventQuery, Stores, Trace

__all__ = ["MAX_EVENTS", "neighbourhood", "recent_events", "records_true_causes"]

MAX_EVENTS = 500
"""Most events of one trace that are shown as a picture; a table may hold more."""


def neighbourhood(stores: Stores, event_id: str, direction: Direction = "both", max_events: int = MAX_EVENTS) -> Trace:
    """Causes and effects of an event as recorded; `NotFoundError` for an unknown one."""
    return stores.events.trace(event_id, direction, max_events)


def recent_events(stores: Stores, components: tuple[str, ...] = (), limit: int = 50) -> tuple[PersistedEvent, ...]:
    """The newest events, to pick one from."""
    return stores.events.find(EventQuery(components=components), limit=limit, newest_first=True).items


def records_true_causes(events: Iterable[PersistedEvent]) -> bool:
    """Whether a runtime wrote all of them that records the event being processed as the cause.

    Ours does, and stamps its events with a definition. The TypeScript runtime names the previous transition of the
    same runtime; its events may have been imported into a store of ours, so the layout does not tell.
    """
    return all(event.definition_hash for event in events)
