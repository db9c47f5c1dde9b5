"""Traces where events can be read by id, and the effects of some events together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from xcstore.model.history import PersistedEvent
from xcstore.store.base import Direction, Trace

__all__ = ["Effects", "walk"]

Effects = Callable[[Sequence[str]], Mapping[str, Sequence[PersistedEvent]]]
"""From ids of causes to what names them in `caused_by`."""
_Step = tuple[str, str]
"""(event id, way)"""


def walk(
    root: PersistedEvent,
    direction: Direction,
    max_events: int,
    get_events: Callable[[Iterable[str]], Mapping[str, PersistedEvent]],
    effects: Effects,
    check: Callable[[], None],
) -> Trace:
    """Follow recorded causes level by level, two questions for each; as `EventStore.trace` says.

    `check` is called before each level, and may raise.
    """
    loaded = {root.id: root}
    left: set[str] = set()
    missing: dict[str, None] = {}
    level = [(root, way) for way in ("causes", "effects") if direction in (way, "both")]
    walked: set[_Step] = {(root.id, way) for _, way in level}
    while level:
        check()
        reached: dict[_Step, PersistedEvent] = {}
        for neighbour, way in _neighbours(level, get_events, effects):
            step = neighbour.id, way
            if step not in walked:
                walked.add(step)
                reached[step] = neighbour
        level = []
        for (event_id, way), event in sorted(reached.items(), key=lambda item: (item[1].persisted_at, item[0])):
            if event_id in loaded or len(loaded) < max_events:
                loaded[event_id] = event
                level.append((event, way))
            else:
                left.add(event_id)
    named = {cause for event in loaded.values() for cause in event.caused_by}
    stored = get_events(sorted(named - loaded.keys()))
    links: dict[tuple[str, str], None] = {}
    for event in loaded.values():
        for cause in event.caused_by:
            if cause not in loaded and cause not in stored:
                missing[cause] = None
            if cause in missing or cause in loaded:
                links[cause, event.id] = None
    return Trace(
        root_id=root.id,
        events=tuple(loaded.values()),
        links=tuple(links),
        missing=tuple(missing),
        truncated=bool(left),
        unread=len(left),
    )


def _neighbours(
    level: Sequence[tuple[PersistedEvent, str]],
    get_events: Callable[[Iterable[str]], Mapping[str, PersistedEvent]],
    effects: Effects,
) -> Iterable[tuple[PersistedEvent, str]]:
    causes = dict.fromkeys(cause for event, way in level if way == "causes" for cause in event.caused_by)
    if causes:
        yield from ((event, "causes") for event in get_events(causes).values())
    forward = [event.id for event, way in level if way == "effects"]
    if forward:
        yield from ((event, "effects") for found in effects(forward).values() for event in found)
