"""The neighbourhood of one event, and events to start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xcstore.analysis.causality import CausalGraph, Mode, causal_graph
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.store.base import Direction, EventQuery, Stores

__all__ = ["MAX_EVENTS", "Neighbourhood", "neighbourhood", "recent_events", "records_true_causes"]

MAX_EVENTS = 500
"""Most events of one trace that are shown as a picture; a table may hold more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """One event with what caused it and what it caused, as far as was asked for."""

    root_id: str
    direction: Direction
    mode: Mode
    graph: CausalGraph = field(hash=False)
    """Loaded events, the one asked for first, nearest first; and the links of the mode between them."""
    depths: Mapping[str, int] = field(hash=False)
    """Steps from the root along the links of the mode: causes are negative, effects positive."""
    truncated: bool = False
    """More is connected than was loaded. What is cut is farthest: whole levels, so that no child is without parent."""
    unread: int = 0
    """When truncated: how many connected events are known, but not loaded; at least so many are left."""
    replaced: int = 0
    """Doubtful recorded links that are not shown, because inferred ones stand in their place (mode 'repaired')."""

    @property
    def root(self) -> PersistedEvent:
        return self.graph.events[self.root_id]


def neighbourhood(
    stores: Stores,
    event_id: str,
    *,
    direction: Direction = "both",
    mode: Mode = "recorded",
    max_events: int = MAX_EVENTS,
    max_depth: int | None = None,
    catalog: Catalog | None = None,
) -> Neighbourhood:
    """Causes and effects of an event.

    Parameters
    ----------
    direction : {'both', 'causes', 'effects'}
    mode : {'recorded', 'repaired', 'both'}
        See `analysis.causality.Mode`.
    max_events : int
        Most events to load; 1 or more.
    max_depth : int, optional
        Most steps from the event; None for no limit.
    catalog : Catalog, optional
        Definitions, for the rules that need them; none: these rules find nothing.

    Raises
    ------
    NotFoundError
        The event is not in the store.
    """
    trace = stores.events.trace(event_id, direction, max_events)
    graph = causal_graph(trace.events, trace.links)
    return Neighbourhood(
        root_id=event_id,
        direction=direction,
        mode=mode,
        graph=graph,
        depths=graph.depths(event_id),
        truncated=trace.truncated,
        unread=trace.unread,
    )


def recent_events(stores: Stores, components: tuple[str, ...] = (), limit: int = 50) -> tuple[PersistedEvent, ...]:
    """The newest events, to pick one from."""
    return stores.events.find(EventQuery(components=components), limit=limit, newest_first=True).items


def records_true_causes(events: Iterable[PersistedEvent]) -> bool:
    """Whether a runtime wrote all of them that records the event being processed as the cause.

    Ours does, and stamps its events with a definition. The TypeScript runtime names the previous transition of the
    same runtime; its events may have been imported into a store of ours, so the layout does not tell.
    """
    return all(event.definition_hash for event in events)
