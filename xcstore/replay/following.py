"""What the instances of a recorded history held before and after each event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xcstore.model.history import Instance
from xcstore.replay.track import Track
from xcstore.runtime.folding import Folded
from xcstore.runtime.interpreter import properties_of
from xcstore.units import EpochMs

__all__ = ["Held", "Followed", "follow"]

Held = tuple[str, Mapping[str, object]]
"""State and values of an instance."""


@dataclass(slots=True)
class Followed:
    """A recording, followed event by event: by event what was held before and after it, by instance how it ends."""

    before: dict[str, Held] = field(default_factory=dict)
    after: dict[str, Held] = field(default_factory=dict)
    ends: dict[str, Instance] = field(default_factory=dict)
    created: dict[str, EpochMs] = field(default_factory=dict)


def follow(track: Track) -> Followed:
    """Fold a track, each event by its own definition."""
    found = Followed()
    held: dict[str, Folded] = dict(track.before)
    for event in track.events:
        base = held.get(event.instance_id)
        if base is None:
            found.created.setdefault(event.instance_id, event.persisted_at)
        folded = track.tables.fold((event,), base)
        assert folded is not None  # there is an event
        found.before[event.id] = _held(base)
        found.after[event.id] = _held(folded)
        held[event.instance_id] = folded
    for name, folded in track.before.items():
        if folded.instance.created_at is not None:
            found.created[name] = folded.instance.created_at
    found.ends = {name: folded.instance for name, folded in held.items()}
    return found


def _held(folded: Folded | None) -> Held:
    if folded is None:
        return "", {}
    return folded.instance.current_state, properties_of(folded.instance)
