"""Following recorded causes in an archive, level by level: one look into an index for each."""

from __future__ import annotations

from typing import Final

from xcstore.errors import NotFoundError
from xcstore.store.archive_database import Question
from xcstore.store.archive_queries import Place, ids_of_causes, places_of_ids, read_events
from xcstore.store.base import Direction, Trace
from xcstore.store.codec import Redaction

__all__ = ["trace"]

Step = tuple[str, str]
"""Event id, and the way it was come to: 'causes' or 'effects'."""

_WAYS: Final = ("causes", "effects")


def trace(question: Question, root: str, direction: Direction, max_events: int, redact: Redaction) -> Trace:
    """Breadth first, nearest first, then by time and id.

    Raises
    ------
    NotFoundError
        `root` is not stored.
    """
    known = places_of_ids(question, [root])
    if root not in known:
        raise NotFoundError(f"no event {root!r}")
    places: dict[str, Place] = {root: known[root][0]}
    causes: dict[str, tuple[str, ...]] = {root: known[root][1]}
    loaded = {root: None}
    left: dict[str, None] = {}
    level: list[Step] = [(root, way) for way in _WAYS if direction in (way, "both")]
    walked = set(level)
    while level:
        reached: dict[Step, None] = {}
        effects = ids_of_causes(question, [event_id for event_id, way in level if way == "effects"])
        places.update(place for found in effects.values() for place in found)
        named = [cause for event_id, way in level if way == "causes" for cause in causes[event_id]]
        found = places_of_ids(question, [cause for cause in dict.fromkeys(named) if cause not in causes])
        places.update((cause, place) for cause, (place, _) in found.items())
        causes.update((cause, its) for cause, (_, its) in found.items())
        for event_id, way in level:
            if way == "effects":
                neighbours = [effect for effect, _ in effects.get(event_id, ())]
            else:
                neighbours = [cause for cause in causes[event_id] if cause in places]
            for neighbour in neighbours:
                if (neighbour, way) not in walked:
                    walked.add((neighbour, way))
                    reached[neighbour, way] = None
        level = []
        for event_id, way in sorted(reached, key=lambda step: (places[step[0]][0], step[0])):
            if event_id in loaded or len(loaded) < max_events:
                loaded[event_id] = None
                level.append((event_id, way))
            else:
                left[event_id] = None
        behind = [event_id for event_id, way in level if way == "causes" and event_id not in causes]
        causes.update((event_id, its) for event_id, (_, its) in places_of_ids(question, behind).items())
    events = {event.id: event for event in read_events(question, (places[event_id] for event_id in loaded), redact)}
    every_cause = dict.fromkeys(cause for event_id in loaded for cause in events[event_id].caused_by)
    unknown = [cause for cause in every_cause if cause not in places]
    stored = places.keys() | places_of_ids(question, unknown).keys()
    links = {
        (cause, event_id): None
        for event_id in loaded
        for cause in events[event_id].caused_by
        if cause in loaded or cause not in stored
    }
    return Trace(
        root_id=root,
        events=tuple(events[event_id] for event_id in loaded),
        links=tuple(links),
        missing=tuple(cause for cause in every_cause if cause not in stored),
        truncated=bool(left),
        unread=len(left),
    )
