"""The neighbourhood of one event, and events to start from."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from xcstore.analysis.causality import MODES, CausalGraph, Link, Mode, causal_graph, linked_graph
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.queries.inferring import LinkFinder
from xcstore.store.base import Direction, EventQuery, Stores, Trace

__all__ = [
    "MAX_EVENTS",
    "MAX_SECONDS",
    "Neighbourhood",
    "links_between",
    "neighbourhood",
    "recent_events",
    "records_true_causes",
]

MAX_EVENTS = 500
"""Most events of one trace that are shown as a picture; a table may hold more."""
MAX_SECONDS = 8.0
"""How long the rules may go on, where nothing else is asked for."""


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
    """More is connected than was loaded; or, where `unread` is 0, may be: a question of the rules had more to say than
    was read, or time was up. What is cut is farthest: whole levels, so that no child is without parent."""
    unread: int = 0
    """When truncated: how many connected events are known, but not loaded; at least so many are left. 0 where none is
    known, though there may be some."""
    replaced: int = 0
    """Doubtful recorded links that are not shown, because a rule says otherwise (mode 'repaired'). Where that rule is
    `succession`, its own link is shown only if both its events are shown anyway."""

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
    max_seconds: float | None = MAX_SECONDS,
    catalog: Catalog | None = None,
) -> Neighbourhood:
    """Causes and effects of an event.

    What only followed another event in its instance (rule `succession`) is neither its effect nor leads on to others;
    such a link is shown between events that are connected otherwise.

    Parameters
    ----------
    direction : {'both', 'causes', 'effects'}
    mode : {'recorded', 'repaired', 'both'}
        See `analysis.causality.Mode`.
    max_events : int
        Most events to load; 1 or more. A level of events equally far that does not fit is left out as a whole; of the
        nearest level the earliest events are kept.
    max_depth : int, optional
        Most steps from the event, 0 or more; None for no limit.
    max_seconds : float, optional
        How long the rules may go on; then what was found so far is the answer, and it is truncated. Each level asks
        the store a few questions, which a long chain makes many. None for no limit; as recorded there is none.
    catalog : Catalog, optional
        Definitions, for the rules and doubts that need them; none: these find nothing.

    Raises
    ------
    NotFoundError
        The event is not in the store.
    QueryError
        There is no such direction or mode, or a limit is too small.
    """
    _check(direction, mode, max_events, max_depth)
    if mode == "recorded":
        return _recorded(stores, event_id, direction, max_events, max_depth, catalog)
    until = math.inf if max_seconds is None else time.monotonic() + max_seconds
    finder = LinkFinder(stores.events, mode, catalog, until)
    if direction != "causes":
        # One more than wanted tells that a level does not fit.
        trace = stores.events.trace(event_id, "effects", max_events + 1)
        finder.note(trace, _distances(trace, "effects"))
    walk = _walked(finder, stores.events.get_event(event_id), direction, max_events, max_depth, until)
    graph = _graph(finder, walk.events)
    reached = _reached(graph, event_id, direction)
    if len(reached) < len(walk.events):
        # Walked over an inferred link that turned out to close a ring, and so is no link.
        walk.events = {name: event for name, event in walk.events.items() if name in reached}
        graph = _graph(finder, walk.events)
    return Neighbourhood(
        root_id=event_id,
        direction=direction,
        mode=mode,
        graph=graph,
        depths=graph.depths(event_id),
        truncated=walk.truncated or finder.cut,
        unread=walk.unread,
        replaced=sum(map(finder.replaced, walk.events)),
    )


def links_between(
    stores: Stores, events: Sequence[PersistedEvent], *, mode: Mode = "recorded", catalog: Catalog | None = None
) -> tuple[Link, ...]:
    """The links of the mode that lead to these events, whatever their causes are; for `linked_graph`.

    A cause may be another one of the events, stored elsewhere in the store, or missing. What is asked of the store
    grows with the number of events.
    """
    return tuple(LinkFinder(stores.events, mode, catalog).into(events))


def _graph(finder: LinkFinder, events: Mapping[str, PersistedEvent]) -> CausalGraph:
    into = finder.into(events.values())
    links = [link for link in into if link.cause_id in events or finder.find(link.cause_id) is None]
    return linked_graph(events.values(), links)


def _reached(graph: CausalGraph, root_id: str, direction: Direction) -> set[str]:
    depths = graph.depths(root_id)
    if direction == "both":
        return set(depths)
    # In a ring what is nearer the other way counts that way.
    ring = {name for cycle in graph.cycles if root_id in cycle for name in cycle}
    return {
        name for name, depth in depths.items() if name in ring or (depth >= 0) == (direction == "effects") or not depth
    }


@dataclass(slots=True)
class _Walk:
    events: dict[str, PersistedEvent]
    truncated: bool = False
    unread: int = 0


def _walked(
    finder: LinkFinder,
    root: PersistedEvent,
    direction: Direction,
    max_events: int,
    max_depth: int | None,
    until: float,
) -> _Walk:
    """Breadth first, causes of causes and effects of effects; a level is taken as a whole or not at all."""
    walk = _Walk({root.id: root})
    ways: tuple[Direction, ...] = ("causes", "effects") if direction == "both" else (direction,)
    level = {way: [root] for way in ways}
    walked = {(way, root.id) for way in level}
    depth = 0
    while any(level.values()):
        if time.monotonic() >= until:
            walk.truncated = True
            break
        depth += 1
        room = max_events - len(walk.events)
        whole = True
        for way, events in level.items():
            found, all_there = finder.causes(events) if way == "causes" else finder.effects(events, walk.events, room)
            reached = {event.id: event for event in found if (way, event.id) not in walked}
            walked.update((way, name) for name in reached)
            level[way] = list(reached.values())
            whole = whole and all_there
        new = {event.id: event for events in level.values() for event in events if event.id not in walk.events}
        ordered = sorted(new.values(), key=lambda event: (event.persisted_at, event.id))
        too_deep = max_depth is not None and depth > max_depth
        if too_deep or not whole or len(ordered) > room:
            taken = ordered[:room] if depth == 1 and not too_deep else []
            walk.events |= {event.id: event for event in taken}
            walk.unread = len(ordered) - len(taken)
            walk.truncated = walk.unread > 0 or not whole
            break
        walk.events |= {event.id: event for event in ordered}
    return walk


def _recorded(
    stores: Stores, event_id: str, direction: Direction, max_events: int, max_depth: int | None, catalog: Catalog | None
) -> Neighbourhood:
    # One more than wanted tells whether the last level is there as a whole.
    trace = stores.events.trace(event_id, direction, max_events + 1)
    kept = _fitting(_distances(trace, direction), max_events, max_depth)
    dropped = len(trace.events) - kept
    loaded = {event.id for event in trace.events[:kept]}
    left_out = {event.id for event in trace.events[kept:]}
    links = [link for link in trace.links if link[1] in loaded and link[0] not in left_out]
    graph = causal_graph(trace.events[:kept], links, catalog=catalog)
    return Neighbourhood(
        root_id=event_id,
        direction=direction,
        mode="recorded",
        graph=graph,
        depths=graph.depths(event_id),
        truncated=trace.truncated or dropped > 0,
        unread=trace.unread + dropped,
    )


def _distances(trace: Trace, direction: Direction) -> list[int]:
    """Steps from the root to each event, the way the trace went."""
    effects: defaultdict[str, list[str]] = defaultdict(list)
    causes: defaultdict[str, list[str]] = defaultdict(list)
    for cause, effect in trace.links:
        effects[cause].append(effect)
        causes[effect].append(cause)
    nearest: dict[str, int] = {}
    for way, neighbours in (("causes", causes), ("effects", effects)):
        steps = {trace.root_id: 0}
        level = [trace.root_id] if direction in (way, "both") else []
        while level:
            reached = dict.fromkeys(name for event in level for name in neighbours[event] if name not in steps)
            steps |= dict.fromkeys(reached, steps[level[0]] + 1)
            level = list(reached)
        for name, distance in steps.items():
            nearest[name] = min(distance, nearest.get(name, distance))
    return [nearest[event.id] for event in trace.events]


def _fitting(distances: Sequence[int], max_events: int, max_depth: int | None) -> int:
    """How many events, nearest first, make whole levels within both limits; of the first level any number does.

    Examples
    --------
    >>> _fitting([0, 1, 1, 2, 2], max_events=4, max_depth=None)
    3
    """
    kept = len(distances)
    if kept > max_events:
        first_out = distances[max_events]
        kept = max_events if first_out <= 1 else distances.index(first_out)
    if max_depth is not None:
        kept = sum(distance <= max_depth for distance in distances[:kept])
    return kept


def _check(direction: Direction, mode: Mode, max_events: int, max_depth: int | None) -> None:
    if direction not in get_args(Direction):
        raise QueryError(f"a trace cannot go {direction!r}; the directions are {', '.join(get_args(Direction))}")
    if mode not in MODES:
        raise QueryError(f"links cannot be shown as {mode!r}; the modes are {', '.join(MODES)}")
    if max_events < 1:
        raise QueryError(f"a trace of {max_events} events cannot be asked for; give max_events of 1 or more")
    if max_depth is not None and max_depth < 0:
        raise QueryError(f"a trace of {max_depth} steps cannot be asked for; give max_depth of 0 or more, or None")


def recent_events(stores: Stores, components: tuple[str, ...] = (), limit: int = 50) -> tuple[PersistedEvent, ...]:
    """The newest events, to pick one from."""
    return stores.events.find(EventQuery(components=components), limit=limit, newest_first=True).items


def records_true_causes(events: Iterable[PersistedEvent]) -> bool:
    """Whether a runtime wrote all of them that records the event being processed as the cause.

    Ours does, and stamps its events with a definition. The TypeScript runtime names the previous transition of the
    same runtime; its events may have been imported into a store of ours, so the layout does not tell.
    """
    return all(event.definition_hash for event in events)
