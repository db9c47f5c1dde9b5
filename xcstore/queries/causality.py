"""The neighbourhood of one event, and events to start from."""

from __future__ import annotations

from xcstore.model.history import PersistedEvent
from xcstore.store.base import Direction, EventQuery, Layout, Stores, Trace

__all__ = ["MAX_EVENTS", "neighbourhood", "recent_events", "records_true_causes"]

MAX_EVENTS = 500
"""Most events of one trace that are shown as a picture; a table may hold more."""


def neighbourhood(stores: Stores, event_id: str, direction: Direction = "both", max_events: int = MAX_EVENTS) -> Trace:
    """Causes and effects of an event as recorded; `NotFoundError` for an unknown one."""
    return stores.events.trace(event_id, direction, max_events)


def recent_events(stores: Stores, components: tuple[str, ...] = (), limit: int = 50) -> tuple[PersistedEvent, ...]:
    """The newest events, to pick one from."""
    return stores.events.find(EventQuery(components=components), limit=limit, newest_first=True).items


def records_true_causes(layout: Layout) -> bool:
    """Whether the runtime that wrote this layout records the event that was being processed as the cause.

    Ours does. The TypeScript runtime, which writes the others, names the previous transition of the same runtime.
    """
    return layout == "ours"
