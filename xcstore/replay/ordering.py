"""The order in which the events of several instances are replayed."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby

from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream

__all__ = ["in_replay_order"]


def in_replay_order(events: Iterable[PersistedEvent]) -> tuple[PersistedEvent, ...]:
    """Streams keep their order; else by time, at equal times causes before effects, then by (`seq`, id).

    Causes that contradict the streams or each other are given up, so the order is the same whatever came in.
    """
    streams = _streams(events)
    if len(streams) == 1:
        return tuple(next(iter(streams.values())))
    place = {event.id: number for stream in streams.values() for number, event in enumerate(stream)}
    merged = sorted(
        (event for stream in streams.values() for event in stream), key=lambda event: (event.persisted_at, _key(event))
    )
    ordered: list[PersistedEvent] = []
    for _, moment in groupby(merged, key=lambda event: event.persisted_at):
        tied = list(moment)
        ordered += tied if len(tied) == 1 else _untied(tied, place)
    return tuple(ordered)


def _untied(events: list[PersistedEvent], place: Mapping[str, int]) -> list[PersistedEvent]:
    """Events of one moment: each stream in its order, then causes first, then by key."""
    waiting: defaultdict[str, set[str]] = defaultdict(set)
    leads: defaultdict[str, list[str]] = defaultdict(list)
    here = {event.id: event for event in events}
    streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
    for event in sorted(events, key=lambda event: place[event.id]):
        streams[event.instance_id].append(event)
        for cause in event.caused_by:
            if cause in here and cause != event.id and here[cause].instance_id != event.instance_id:
                waiting[event.id].add(cause)
                leads[cause].append(event.id)
    heads = dict.fromkeys(streams, 0)
    ready: list[tuple[tuple[int, bytes], str]] = []
    queued: set[str] = set()

    def offer(event: PersistedEvent) -> None:
        if not waiting[event.id] and event.id not in queued:
            queued.add(event.id)
            heapq.heappush(ready, (_key(event), event.id))

    for stream in streams.values():
        offer(stream[0])
    ordered: list[PersistedEvent] = []
    while len(ordered) < len(events):
        if not ready:  # a ring of causes, or causes against a stream: go on with the first that its stream allows
            open_ends = [stream[heads[name]] for name, stream in streams.items() if heads[name] < len(stream)]
            first = min(open_ends, key=_key)
            waiting[first.id].clear()
            offer(first)
        event = here[heapq.heappop(ready)[1]]
        ordered.append(event)
        heads[event.instance_id] += 1
        for effect in leads[event.id]:
            waiting[effect].discard(event.id)
            stream = streams[here[effect].instance_id]
            at = heads[here[effect].instance_id]
            if at < len(stream) and stream[at].id == effect:
                offer(stream[at])
        stream = streams[event.instance_id]
        if heads[event.instance_id] < len(stream):
            offer(stream[heads[event.instance_id]])
    return ordered


def _streams(events: Iterable[PersistedEvent]) -> dict[str, list[PersistedEvent]]:
    streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
    for event in events:
        streams[event.instance_id].append(event)
    return {name: order_stream(stream) for name, stream in streams.items()}


def _key(event: PersistedEvent) -> tuple[int, bytes]:
    # As in streams: events without a seq come after those with one.
    return event.seq if event.seq is not None else 2**63, event.id.encode("utf-8", "surrogatepass")
