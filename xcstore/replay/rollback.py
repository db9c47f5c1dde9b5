"""Where an instance went back to: a restart from an older snapshot undoes what came after it."""

from __future__ import annotations

from collections.abc import Iterable

from xcstore.analysis.context import same_json
from xcstore.model.history import InstanceSnapshot
from xcstore.replay.origins import MAX_FITTING, Place
from xcstore.replay.reasons import moment_words

__all__ = ["as_then_words", "lost_words", "origin_words", "snapshot_of"]


def origin_words(place: Place, undone: int, snapshot: InstanceSnapshot | None) -> str:
    """What it means that an instance goes on from an earlier place."""
    events = "the event since is undone" if undone == 1 else f"the {undone:,} events since are undone"
    kept = "" if snapshot is None else f"; the snapshot of {moment_words(snapshot.snapshot_at)} is of that moment"
    return (
        f"as after {_place_words(place)}: {events}, "
        f"as by a restart from an older snapshot, or by a second runtime that holds the instance{kept}"
    )


def as_then_words(place: Place, undone: int) -> str:
    """What else values may mean that are those of an earlier place, where user code may have made them."""
    events = "the event since was undone" if undone == 1 else f"the {undone:,} events since were undone"
    return f"or {events}: they are as after {_place_words(place)}"


def _place_words(place: Place) -> str:
    named = f"{place.event_type} of {moment_words(place.at)} (event {place.event_id})"
    if place.fitting == 1:
        return named
    many = f"{place.fitting} or more" if place.fitting == MAX_FITTING else str(place.fitting)
    return f"{named}, the last of {many} events that fit, if it is that one"


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
