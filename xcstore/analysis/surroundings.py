"""Events that are known around others: what the rules of `analysis.inference` look at."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from xcstore.analysis.routes import Place, recorded_values
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.ordering import order_stream

__all__ = ["Surroundings", "stored_before"]


class Surroundings:
    """Events around those whose causes are wanted; what is not among them no rule can name. It can grow."""

    def __init__(self, events: Iterable[PersistedEvent] = ()) -> None:
        self._events: dict[str, PersistedEvent] = {}
        self._streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
        self._places: defaultdict[Place, list[PersistedEvent]] = defaultdict(list)
        self._positions: dict[str, Mapping[str, int]] = {}
        """Event id -> position in the stream; for the instances whose stream is in order."""
        self._sorted: set[Place] = set()
        self.add(events)

    def add(self, events: Iterable[PersistedEvent]) -> None:
        """Events that are there already count once."""
        for event in events:
            if event.id not in self._events:
                self._events[event.id] = event
                self._streams[event.instance_id].append(event)
                self._positions.pop(event.instance_id, None)
                place = (event.component_name, event.machine_name)
                self._places[place].append(event)
                self._sorted.discard(place)

    def get(self, event_id: str) -> PersistedEvent | None:
        return self._events.get(event_id)

    def stream(self, instance_id: str) -> Sequence[PersistedEvent]:
        """What is known of an instance, in stream order."""
        if instance_id not in self._streams:
            return ()
        if instance_id not in self._positions:
            ordered = order_stream(self._streams[instance_id])
            self._streams[instance_id] = ordered
            self._positions[instance_id] = {event.id: number for number, event in enumerate(ordered)}
        return self._streams[instance_id]

    def before(self, event: PersistedEvent) -> Sequence[PersistedEvent]:
        """The stream up to the event, without it."""
        stream = self.stream(event.instance_id)
        position = self._positions.get(event.instance_id, {}).get(event.id)
        return stream[:position] if position is not None else [e for e in stream if stored_before(e, event)]

    def after(self, event: PersistedEvent) -> Sequence[PersistedEvent]:
        """The stream after the event."""
        stream = self.stream(event.instance_id)
        position = self._positions.get(event.instance_id, {}).get(event.id)
        return stream[position + 1 :] if position is not None else ()

    def place(self, place: Place, start: int, end: int) -> Sequence[PersistedEvent]:
        """Events of a machine from `start` to `end`, both included, by time."""
        events = self._places.get(place)
        if events is None:
            return ()
        if place not in self._sorted:
            events.sort(key=_order)
            self._sorted.add(place)
        return events[
            bisect_left(events, start, key=lambda event: event.persisted_at) : bisect_right(
                events, end, key=lambda event: event.persisted_at
            )
        ]

    def window(self, start: int, end: int) -> list[PersistedEvent]:
        """All that is known from `start` to `end`, both included, by machine and time."""
        return [event for place in list(self._places) for event in self.place(place, start, end)]

    def values(self, event: PersistedEvent) -> Mapping[str, object] | None:
        """What the instance held after the event: as stored, else its payloads laid over each other; None: unknown."""
        held = recorded_values(event)
        if held is not None:
            return held
        folded: dict[str, object] = {}
        for one in (*self.before(event), event):
            payload = one.payload if isinstance(one.payload, Mapping) else {}
            given = payload.get("initialContext") if one.event_type == CREATION else payload
            folded |= given if isinstance(given, Mapping) else {}
        return folded or None


def stored_before(event: PersistedEvent, effect: PersistedEvent) -> bool:
    """Whether the order of storing lets the first have been there when the second was stored."""
    if event.persisted_at != effect.persisted_at or event.seq is None or effect.seq is None:
        return event.persisted_at <= effect.persisted_at
    return event.seq < effect.seq


def _order(event: PersistedEvent) -> tuple[int, int, str]:
    return event.persisted_at, event.seq or 0, event.id
