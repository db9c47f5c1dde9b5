"""Where an instance went back to: a restart from an older snapshot undoes what came after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from xcstore.analysis.context import same_json
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.replay.reasons import moment_words
from xcstore.units import EpochMs

__all__ = ["Past", "Place", "as_then_words", "lost_words", "origin_words", "snapshot_of"]

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Place:
    """An instance as it was after one of its events."""

    position: int
    event_id: str
    event_type: str
    at: EpochMs
    values: Values
    context: Values
    """Of a machine with a public member, the context beside it."""


class Past:
    """What one instance has been, by state."""

    def __init__(self) -> None:
        self._by_state: defaultdict[str, list[Place]] = defaultdict(list)

    def add(self, position: int, event: PersistedEvent, values: Values, context: Values) -> None:
        self._by_state[event.state_after].append(
            Place(position, event.id, event.event_type, event.persisted_at, values, context)
        )

    def find(self, state: str, fits: Callable[[Place], bool], *, before: int, most: int = 10_000) -> Place | None:
        """The latest place in that state, before position `before`, that fits; of the latest `most`."""
        for place in islice(reversed(self._by_state.get(state, ())), most):
            if place.position < before and fits(place):
                return place
        return None

    def was_in(self, state: str) -> bool:
        return state in self._by_state


def origin_words(place: Place, undone: int, snapshot: InstanceSnapshot | None) -> str:
    """What it means that an instance goes on from an earlier place."""
    events = "the event since is undone" if undone == 1 else f"the {undone:,} events since are undone"
    kept = "" if snapshot is None else f"; the snapshot of {moment_words(snapshot.snapshot_at)} is of that moment"
    return (
        f"as after {place.event_type} of {moment_words(place.at)} (event {place.event_id}): {events}, "
        f"as by a restart from an older snapshot, or by a second runtime that holds the instance{kept}"
    )


def as_then_words(place: Place, undone: int) -> str:
    """What else values may mean that are those of an earlier place, where user code may have made them."""
    events = "the event since was undone" if undone == 1 else f"the {undone:,} events since were undone"
    return f"or {events}: they are as after {place.event_type} of {moment_words(place.at)} (event {place.event_id})"


def lost_words(place: Place, undone: int) -> str:
    """What it means that the public member of an instance is gone."""
    since = f"; what came since {place.event_type} of {moment_words(place.at)} is undone" if undone else ""
    return f"those of the context alone, as after a restart from a snapshot that keeps no public member{since}"


def snapshot_of(place: Place, state: str, snapshots: Iterable[InstanceSnapshot]) -> InstanceSnapshot | None:
    """The snapshot of the instance as it was then: it names the event, or names none and holds the same."""
    for snapshot in snapshots:
        instance = snapshot.instance
        if snapshot.last_event_id:
            if snapshot.last_event_id == place.event_id:
                return snapshot
        elif instance.current_state == state and snapshot.snapshot_at >= place.at:
            values = instance.context if instance.public_member is None else instance.public_member
            if same_json(values, place.values):
                return snapshot
    return None
