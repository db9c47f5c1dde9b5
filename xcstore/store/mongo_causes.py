"""Following recorded causes in MongoDB, breadth first.

One question for each level and direction, by the index on `causedBy` or on the id: it works the same on a sharded
cluster. A long chain has many levels; where it begins to look like one, `$graphLookup` learns the next levels inside
the server, with one question. Where the server refuses that, as older ones do for sharded collections, levels it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from xcstore.errors import NotFoundError, StoreError
from xcstore.model.history import PersistedEvent
from xcstore.redaction import NO_REDACTION
from xcstore.store.base import Direction, Trace
from xcstore.store.mongo_layout import EVENTS
from xcstore.store.mongo_pages import MongoEvents, all_of, key_of
from xcstore.store.values import is_encodable

__all__ = ["caused_events", "trace"]

Way = Literal["causes", "effects"]

_CHUNK: Final = 1_000
_NARROW: Final = 20
"""Events on a level of what may be a chain."""
_PATIENCE: Final = 3
"""So many narrow levels are walked before a chain is expected."""
_DEPTH: Final = 400
_LINK_FIELDS: Final = {"id": 1, "instanceId": 1, "persistedAt": 1, "causedBy": 1, "xcstore.seq": 1, "xcstore.batch": 1}


def caused_events(events: MongoEvents, event_id: str) -> list[PersistedEvent]:
    """Events that name `event_id` as a cause, in page order."""
    if not is_encodable(event_id):
        return []
    found = events.select({"causedBy": event_id})
    return sorted((event for event in found if event_id in event.caused_by), key=key_of)


def trace(events: MongoEvents, root: str, direction: Direction, max_events: int) -> Trace:
    """The neighbourhood of an event.

    Raises
    ------
    NotFoundError
        `root` is not stored.
    """
    graph = _Graph(replace(events, redact=NO_REDACTION))
    if not graph.stored([root]):
        raise NotFoundError(f"no event {root!r} in {events.database.identity}")
    ids, left = _walk(graph, root, direction, max_events)
    loaded = events.get(ids)
    causes = dict.fromkeys(cause for event in loaded.values() for cause in event.caused_by)
    stored = graph.stored(causes)
    links = {
        (cause, event.id): None
        for event in loaded.values()
        for cause in event.caused_by
        if cause in loaded or cause not in stored
    }
    return Trace(
        root_id=root,
        events=tuple(loaded.values()),
        links=tuple(links),
        missing=tuple(cause for cause in causes if cause not in stored),
        truncated=left > 0,
        unread=left,
    )


def _walk(graph: _Graph, root: str, direction: Direction, max_events: int) -> tuple[list[str], int]:
    """Ids, nearest first, then by time and id, and how many next to them were left out."""
    ways: list[Way] = ["causes", "effects"] if direction == "both" else [direction]
    loaded = {root: None}
    level: list[tuple[str, Way]] = [(root, way) for way in ways]
    walked = set(level)
    left: set[str] = set()
    while level:
        reached: dict[tuple[str, Way], None] = {}
        for way in ways:
            ids = [event_id for event_id, its_way in level if its_way == way]
            for neighbour in graph.neighbours(ids, way, max_events) if ids else ():
                if (neighbour, way) not in walked:
                    walked.add((neighbour, way))
                    reached[neighbour, way] = None
        times = graph.stored(event_id for event_id, _ in reached)
        level = []
        for event_id, way in sorted(
            (one for one in reached if one[0] in times), key=lambda one: (times[one[0]], one[0])
        ):
            if event_id in loaded or len(loaded) < max_events:
                loaded[event_id] = None
                level.append((event_id, way))
            else:
                left.add(event_id)
    return list(loaded), len(left)


@dataclass(slots=True)
class _Graph:
    """Links between events, as far as they are known."""

    events: MongoEvents
    _known: dict[str, PersistedEvent | None] = field(default_factory=dict)
    """By id; None: not stored."""
    _effects: dict[str, Sequence[str]] = field(default_factory=dict)
    _narrow: defaultdict[Way, int] = field(default_factory=lambda: defaultdict(int))
    """Narrow levels since the last look ahead."""
    _looks_ahead: bool = True

    def stored(self, ids: Iterable[str]) -> dict[str, int]:
        """`persisted_at` of those of the ids that are stored."""
        wanted = list(dict.fromkeys(ids))
        unknown = [event_id for event_id in wanted if event_id not in self._known]
        self._known.update(dict.fromkeys(unknown))
        for chunk in _chunks(unknown):
            self._learn(self.events.select(self.events.by_id(chunk), fields=_LINK_FIELDS))
        found = ((event_id, self._known[event_id]) for event_id in wanted)
        return {event_id: event.persisted_at for event_id, event in found if event is not None}

    def neighbours(self, ids: Sequence[str], way: Way, most: int) -> Iterator[str]:
        self._expect(ids, way, most)
        if way == "causes":
            self.stored(ids)
            for event_id in ids:
                event = self._known[event_id]
                yield from () if event is None else event.caused_by
            return
        unknown = [event_id for event_id in ids if event_id not in self._effects]
        for chunk in _chunks(unknown):
            found = self.events.select(
                {"causedBy": {"$in": [one for one in chunk if is_encodable(one)]}}, fields=_LINK_FIELDS
            )
            self._learn(found)
            self._learn_effects(chunk, found)
        for event_id in ids:
            yield from self._effects[event_id]

    def _learn(self, found: Iterable[PersistedEvent]) -> None:
        self._known.update((event.id, event) for event in found)

    def _learn_effects(self, causes: Iterable[str], found: Iterable[PersistedEvent]) -> None:
        """All effects of these causes are among what was found."""
        effects: dict[str, list[str]] = {cause: [] for cause in causes}
        for event in found:
            for cause in dict.fromkeys(event.caused_by):
                if cause in effects:
                    effects[cause].append(event.id)
        self._effects.update(effects)

    # Ahead

    def _expect(self, ids: Sequence[str], way: Way, most: int) -> None:
        """Learn many levels at once, where those before were narrow and what is asked for is not known."""
        known: Mapping[str, object] = self._effects if way == "effects" else self._known
        if len(ids) > _NARROW:
            self._narrow[way] = 0
            return
        self._narrow[way] += 1
        if not self._looks_ahead or self._narrow[way] <= _PATIENCE or self.events.layout.key != "_id":
            return
        if way == "effects" and all(event_id in known for event_id in ids):
            return
        if way == "causes" and self._has_causes(ids):
            return
        self._look_ahead(ids, way, min(most, _DEPTH))

    def _has_causes(self, ids: Sequence[str]) -> bool:
        events = (self._known.get(event_id) for event_id in ids)
        return all(event is None or all(cause in self._known for cause in event.caused_by) for event in events)

    def _look_ahead(self, ids: Sequence[str], way: Way, depth: int) -> None:
        there, here = ("causedBy", "_id") if way == "effects" else ("_id", "causedBy")
        lookup = {
            "from": EVENTS,
            "startWith": f"${here}",
            "connectFromField": here,
            "connectToField": there,
            "as": "reached",
            "depthField": "depth",
            "maxDepth": depth,
        }
        stages: list[dict[str, Any]] = [
            {"$match": all_of([self.events.by_id(ids)])},
            {"$graphLookup": lookup},
            {"$unwind": "$reached"},
            {"$replaceRoot": {"newRoot": "$reached"}},
            {"$project": {**_LINK_FIELDS, "depth": 1}},
        ]
        try:
            rows = list(self.events.database.aggregate(EVENTS, stages))
        except StoreError:  # it may not, or the reach is too large for it
            self._looks_ahead = False
            return
        self._narrow[way] = 0
        # An event that is reached from several starts comes several times, at several depths.
        nearest = {str(row["_id"]): row for row in sorted(rows, key=lambda row: -int(row["depth"]))}
        inner = [event_id for event_id, row in nearest.items() if row.pop("depth") < depth]
        found = list(self.events.decoded(nearest.values()))
        self._learn(found)
        if way == "effects":
            self._learn_effects([*ids, *inner], found)


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    return (list(ids[start : start + _CHUNK]) for start in range(0, len(ids), _CHUNK))
