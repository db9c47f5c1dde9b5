"""What a critical path needs beside a trace: the other events of the instances that take part."""

from __future__ import annotations

from dataclasses import dataclass, field

from xcstore.analysis.causality import CausalGraph, causal_graph, linked_graph
from xcstore.model.catalog import Catalog
from xcstore.queries.causality import Neighbourhood, links_between
from xcstore.store.base import EventQuery, Stores

__all__ = ["MAX_EVENTS", "MAX_INSTANCES", "WithStreams", "with_streams"]

MAX_INSTANCES = 100
MAX_EVENTS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WithStreams:
    """A trace, and what else happened to its instances between its first and its last event."""

    graph: CausalGraph = field(hash=False)
    """The trace's own events first; its own links, and those of its mode into the events that came in addition."""
    target_id: str = ""
    """Where the path of the trace ends: the event asked for where its causes were, else the last one of the trace."""
    cut: bool = False
    """There are more instances or events than were read: the newest were."""


def with_streams(stores: Stores, found: Neighbourhood, *, catalog: Catalog | None = None) -> WithStreams:
    """The trace `found` with the streams of its instances, over the same time.

    A trace holds what is connected by causes. An event from outside, for which an instance waited, has none, and would
    be missing on the critical path. `catalog`: for the rules that infer links, in the modes that do.
    """
    events = found.graph.events
    instances = dict.fromkeys(event.instance_id for event in events.values())
    query = EventQuery(
        instance_ids=tuple(instances)[:MAX_INSTANCES],
        start=min(event.persisted_at for event in events.values()),
        end=max(event.persisted_at for event in events.values()),
    )
    read = stores.events.find(query, limit=MAX_EVENTS, newest_first=True)
    every = {**events, **{event.id: event for event in reversed(read.items) if event.id not in events}}
    added = [event for name, event in every.items() if name not in events]
    if found.mode == "recorded":
        pairs = [(cause, event.id) for event in added for cause in event.caused_by]
        links = causal_graph(every.values(), pairs, catalog=catalog).links
    else:
        links = links_between(stores, added, mode=found.mode, catalog=catalog)
    among = [link for link in links if link.cause_id in every]
    return WithStreams(
        graph=linked_graph(every.values(), [*found.graph.links, *among]),
        target_id=_target_id(found),
        cut=read.next is not None or len(instances) > MAX_INSTANCES,
    )


def _target_id(found: Neighbourhood) -> str:
    events = found.graph.events
    if found.direction == "causes":
        return found.root_id
    # At one moment, what is farthest from the event that was asked for comes last.
    return max(events, key=lambda name: (events[name].persisted_at, found.depths.get(name, 0)))
