"""The reference implementation: lists, dicts and bisect. The first store to read.

Events are kept sorted by `(persisted_at, seq)`: appends nearly always go to the end, a late event is inserted where it
belongs. Three indexes (by id, by instance, by cause) keep reads from scanning what they need not.
Writers hold a lock; readers hold it only while they take a copy of what they are about to look at.

Nothing here is a container per event (no row tuples, no list for a single effect): the garbage collector visits
containers, and with them an append took three times as long.
"""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from xcstore.errors import ConcurrencyError, DuplicateEventError, NotFoundError, QueryError, UnknownEventError
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store import filtering
from xcstore.store.base import (
    Count,
    CountBy,
    Cursor,
    Direction,
    EventQuery,
    InstanceQuery,
    InstanceSummary,
    Layout,
    OutboxChange,
    Page,
    StateCount,
    StoredDefinition,
    StoredWork,
    Stores,
    Trace,
)
from xcstore.store.codec import (
    NO_REDACTION,
    Redaction,
    check_writable,
    check_writable_outbox,
    check_writable_snapshot,
    event_from_document,
    event_to_document,
    snapshot_from_document,
    snapshot_to_document,
)
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["InMemoryDefinitionStore", "InMemoryEventStore", "InMemorySnapshotStore", "open_memory_stores"]

Key = tuple[int, int]
"""(persisted_at, seq): the order of pages."""

_BATCH: Final = 1_000
_names = itertools.count(1)

_SLOTS: Final = tuple(
    (getattr(PersistedEvent, field.name).__get__, getattr(PersistedEvent, field.name).__set__)
    for field in fields(PersistedEvent)
    if field.name != "seq"
)


def open_memory_stores(
    name: str | None = None, *, redact: Redaction = NO_REDACTION, retention: int = 10, search_seconds: float = 3.0
) -> Stores:
    """Empty stores in the memory of this process. Without a name each call makes one that is not like any other."""
    return Stores(
        events=InMemoryEventStore(name, redact=redact, search_seconds=search_seconds),
        snapshots=InMemorySnapshotStore(retention=retention, redact=redact),
        definitions=InMemoryDefinitionStore(),
    )


class InMemoryEventStore:
    """Append-only history in memory; see `store.base.EventStore` for what it promises.

    Parameters
    ----------
    name : str, optional
        Part of `identity`; a number of its own where not given, as caches take the identity for the contents.
    redact : Redaction
        Masks payload paths in all that is read, and so in what searches can find.
    search_seconds : float
        When a search through text gives up, see `Page.searched_to`.
    """

    layout: Layout = "documents"
    read_only = False
    keeps_outbox = True

    def __init__(
        self, name: str | None = None, *, redact: Redaction = NO_REDACTION, search_seconds: float = 3.0
    ) -> None:
        self._name = name if name is not None else str(next(_names))
        self._redact = redact
        self._search_seconds = search_seconds
        self._lock = threading.Lock()
        self._ordered: list[PersistedEvent] = []
        self._by_id: dict[str, PersistedEvent] = {}
        self._seq: dict[str, int] = {}
        self._by_instance: dict[str, list[PersistedEvent]] = {}
        self._effects: dict[str, str | list[str]] = {}
        """Ids of effects by id of their cause, in order of insertion; a single one, the usual case, without a list."""
        self._summaries: dict[str, InstanceSummary] = {}
        """What has been asked for; an append to the instance drops it."""
        self._chained: set[str] = set()
        """Instances whose last moment is in order as it was appended: each of its events goes on where the one before
        it ended, the first where the moment before ended. The last event of these is the last that came."""
        self._outbox: dict[str, StoredWork] = {}

    @property
    def identity(self) -> str:
        return f"memory://{self._name}"

    def connect(self) -> None:
        """Nothing to connect to; here because the specification's stores have it."""

    def close(self) -> None:
        """Nothing to close: the events live as long as this object."""

    # Writing

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        check_writable(event)
        if outbox is not None:
            check_writable_outbox(outbox)
        with self._lock:
            if expected_last_id is not None and expected_last_id != self._last_id(event.instance_id):
                raise ConcurrencyError(
                    f"instance {event.instance_id!r} ends with event {self._last_id(event.instance_id)!r}, "
                    f"not {expected_last_id!r}; read it again, then append"
                )
            if event.id in self._by_id:
                raise DuplicateEventError(event.id)
            self._add(event)
            if outbox is not None:
                self._change_outbox(outbox)

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        batch = list(events)
        for event in batch:
            check_writable(event)
        with self._lock:
            seen: set[str] = set()
            for event in batch:
                if event.id in self._by_id or event.id in seen:
                    raise DuplicateEventError(event.id)
                seen.add(event.id)
            for event in batch:
                self._add(event)
        return len(batch)

    def change_outbox(self, change: OutboxChange) -> None:
        check_writable_outbox(change)
        with self._lock:
            self._change_outbox(change)

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        with self._lock:
            kept = list(self._outbox.values())
        found = [work for work in kept if component_name is None or work.component_name == component_name]
        return sorted(found, key=lambda work: (work.position, work.id))

    def _add(self, event: PersistedEvent) -> None:
        # Spelled out for speed: all that the runtime does in memory passes here.
        event_id, instance_id, at = event.id, event.instance_id, event.persisted_at
        self._by_id[event_id] = event
        self._seq[event_id] = len(self._by_id)
        ordered = self._ordered
        if ordered and ordered[-1].persisted_at > at:
            insort(ordered, event, key=self._key)
        else:
            ordered.append(event)
        stream = self._by_instance.get(instance_id)
        if stream is None:
            self._by_instance[instance_id] = [event]
            if event.state_before == "":
                self._chained.add(instance_id)
        else:
            last = stream[-1]
            if last.persisted_at > at:
                insort(stream, event, key=self._key)
                self._chained.discard(instance_id)
            else:
                if last.state_after != event.state_before:
                    self._chained.discard(instance_id)
                elif last.persisted_at < at and instance_id not in self._chained and _ends_alone(stream):
                    self._chained.add(instance_id)
                stream.append(event)
        if event.caused_by:
            for cause in dict.fromkeys(event.caused_by):
                effects = self._effects.setdefault(cause, event_id)
                if isinstance(effects, list):
                    effects.append(event_id)
                elif effects != event_id:
                    self._effects[cause] = [effects, event_id]
        if self._summaries:
            self._summaries.pop(instance_id, None)

    def _last_id(self, instance_id: str) -> str:
        """Id of the last event of the stream; '' where there is none."""
        stream = self._by_instance.get(instance_id)
        if stream is None:
            return ""
        if instance_id in self._chained or _ends_alone(stream):
            return stream[-1].id
        return self._summary(instance_id).last_event_id

    def _change_outbox(self, change: OutboxChange) -> None:
        for work_id in change.remove:
            self._outbox.pop(work_id, None)
        for work in change.add:
            self._outbox[work.id] = work

    # One stream, one event

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        return self._read(order_stream(self._stamped(self._instance(instance_id))))

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        streams: dict[str, Sequence[PersistedEvent]] = {}
        for instance_id in dict.fromkeys(instance_ids):
            events = [
                event
                for event in self._instance(instance_id)
                if (not event_types or event.event_type in event_types)
                and (start is None or event.persisted_at >= start)
            ]
            if events:
                streams[instance_id] = self._read(order_stream(self._stamped(events)))
        return streams

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        stream = self.get_events_for_instance(instance_id)
        for position, event in enumerate(stream):
            if event.id == last_event_id:
                return stream[position + 1 :]
        raise UnknownEventError(
            f"event {last_event_id!r} is not among the {len(stream)} events of instance {instance_id!r}"
        )

    def get_event(self, event_id: str) -> PersistedEvent:
        event = self._by_id.get(event_id)
        if event is None:
            raise NotFoundError(f"no event {event_id!r} in {self.identity}")
        return self._read([event])[0]

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        with self._lock:
            found = [self._by_id[event_id] for event_id in dict.fromkeys(event_ids) if event_id in self._by_id]
        return {event.id: event for event in self._read(found)}

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        with self._lock:
            return self._read(sorted(self._effects_of(event_id), key=self._key))

    # Many events

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]:
        return self._read(self._between(start, end))

    def get_all_events(self) -> Iterator[PersistedEvent]:
        for batch in self._batches(None, None, None, newest_first=False):
            yield from self._read(batch)

    def find(
        self, query: EventQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = False
    ) -> Page[PersistedEvent]:
        filtering.check_query(query, self._redact)
        filtering.check_limit(limit)
        kind = "events-desc" if newest_first else "events-asc"
        key = None if after is None else _decode(after, kind)
        holds = self._condition(query)
        deadline = time.monotonic() + self._search_seconds if query.text else None
        found: list[PersistedEvent] = []
        for batch in self._candidates(query, key, newest_first=newest_first):
            for event in batch:
                if holds(event):
                    found.append(event)
                    if len(found) > limit:
                        found.pop()
                        return Page(items=tuple(self._read(found)), next=encode_cursor(kind, *self._key(found[-1])))
            if deadline is not None and time.monotonic() >= deadline:
                last = batch[-1]
                return Page(
                    items=tuple(self._read(found)),
                    next=encode_cursor(kind, *self._key(last)),
                    searched_to=last.persisted_at,
                )
        return Page(items=tuple(self._read(found)))

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_count(by, bucket_ms)
        events = self._matching(query)
        if not by and bucket_ms is None:
            return [Count(key=(), bucket=None, count=sum(1 for _ in events))]
        values = [attrgetter(name) for name in by]
        counts = Counter(
            (
                tuple(value(event) for value in values),
                None if bucket_ms is None else event.persisted_at // bucket_ms * bucket_ms,
            )
            for event in events
        )
        return [
            Count(key=key, bucket=None if bucket is None else EpochMs(bucket), count=number)
            for (key, bucket), number in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] or 0))
        ]

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        with self._lock:
            if not self._ordered:
                return None
            return self._ordered[0].persisted_at, self._ordered[-1].persisted_at

    # Instances

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        filtering.check_limit(limit)
        kind = "instances-desc" if newest_first else "instances-asc"
        found = sorted((*self._last_key(summary), summary) for summary in self._matching_summaries(query))
        if after is not None:
            key = _decode(after, kind)
            if newest_first:
                found = found[: bisect_left(found, key, key=_page_key)]
            else:
                found = found[bisect_right(found, key, key=_page_key) :]
        page = found[: -limit - 1 : -1] if newest_first else found[:limit]
        more = len(found) > limit
        return Page(
            items=tuple(summary for _, _, summary in page),
            next=encode_cursor(kind, *_page_key(page[-1])) if more else None,
        )

    def count_instances(self, query: InstanceQuery) -> Sequence[StateCount]:
        times: defaultdict[tuple[str, str, str], list[EpochMs]] = defaultdict(list)
        for summary in self._matching_summaries(query):
            times[summary.component_name, summary.machine_name, summary.state].append(summary.updated_at)
        return [
            StateCount(
                component_name=component,
                machine_name=machine,
                state=state,
                count=len(updated),
                oldest_updated_at=min(updated),
                newest_updated_at=max(updated),
            )
            for (component, machine, state), updated in sorted(times.items())
        ]

    # Causes

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        """Follow recorded causes; `NotFoundError` for an unknown event.

        'effects' are what the event caused, what that caused, and so on; 'causes' the same backwards; 'both' is the
        two together, without the other effects of its causes.
        """
        filtering.check_trace(direction, max_events)
        with self._lock:
            root = self._by_id.get(event_id)
            if root is None:
                raise NotFoundError(f"no event {event_id!r} in {self.identity}")
            loaded, left = self._walk(root, direction, max_events)
            links: dict[tuple[str, str], None] = {}
            missing: dict[str, None] = {}
            for event in loaded.values():
                for cause in event.caused_by:
                    if cause not in self._by_id:
                        missing[cause] = None
                    if cause in missing or cause in loaded:
                        links[cause, event.id] = None
        return Trace(
            root_id=event_id,
            events=tuple(self._read(loaded.values())),
            links=tuple(links),
            missing=tuple(missing),
            truncated=left > 0,
            unread=left,
        )

    def _walk(
        self, root: PersistedEvent, direction: Direction, max_events: int
    ) -> tuple[dict[str, PersistedEvent], int]:
        """Events by id, breadth first, and how many next to them were left out."""
        loaded = {root.id: root}
        left: set[str] = set()
        level = [(root, way) for way in ("causes", "effects") if direction in (way, "both")]
        walked = {(root.id, way) for _, way in level}
        while level:
            reached: dict[tuple[str, str], PersistedEvent] = {}
            for event, way in level:
                for neighbour in self._neighbours(event, way):
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
        return loaded, len(left)

    def _neighbours(self, event: PersistedEvent, way: str) -> Iterable[PersistedEvent]:
        if way == "effects":
            return self._effects_of(event.id)
        return (self._by_id[cause] for cause in event.caused_by if cause in self._by_id)

    def _effects_of(self, event_id: str) -> list[PersistedEvent]:
        effects = self._effects.get(event_id, ())
        return [self._by_id[effect] for effect in ([effects] if isinstance(effects, str) else effects)]

    # Frames

    def to_arrow(
        self,
        query: EventQuery,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> pa.Table:
        from xcstore.store.arrow_tables import events_table  # pyarrow takes a while to import

        events = itertools.islice(self._matching(query, newest_first=newest_first), limit)
        return events_table(((self._seq[event.id], self._masked(event)) for event in events), columns)

    # Events as they are kept, and on their way out

    def _key(self, event: PersistedEvent) -> Key:
        return event.persisted_at, self._seq[event.id]

    def _instance(self, instance_id: str) -> list[PersistedEvent]:
        with self._lock:
            return self._by_instance[instance_id][:] if instance_id in self._by_instance else []

    def _between(self, start: EpochMs | None, end: EpochMs | None) -> list[PersistedEvent]:
        with self._lock:
            return self._ordered[self._position(start) : None if end is None else self._position(end + 1)]

    def _position(self, moment: int | None) -> int:
        """Where the events from `moment` on begin."""
        return 0 if moment is None else bisect_left(self._ordered, moment, key=_persisted_at)

    def _candidates(
        self, query: EventQuery, after: Key | None, *, newest_first: bool
    ) -> Iterator[Sequence[PersistedEvent]]:
        """Batches of events in page order, among which are all that the query asks for."""
        if not query.instance_ids:
            yield from self._batches(query.start, query.end, after, newest_first=newest_first)
            return
        events = [event for instance_id in set(query.instance_ids) for event in self._instance(instance_id)]
        events.sort(key=self._key, reverse=newest_first)
        if after is not None and newest_first:
            events = [event for event in events if self._key(event) < after]
        elif after is not None:
            events = [event for event in events if self._key(event) > after]
        if events:
            yield events

    def _batches(
        self, start: EpochMs | None, end: EpochMs | None, after: Key | None, *, newest_first: bool
    ) -> Iterator[list[PersistedEvent]]:
        """The events of a time range, a batch at a time; what is appended meanwhile neither repeats nor hides any."""
        while True:
            with self._lock:
                low = self._position(start)
                high = len(self._ordered) if end is None else self._position(end + 1)
                if after is not None and newest_first:
                    high = min(high, bisect_left(self._ordered, after, key=self._key))
                elif after is not None:
                    low = max(low, bisect_right(self._ordered, after, key=self._key))
                if newest_first:
                    batch = self._ordered[max(low, high - _BATCH) : max(low, high)][::-1]
                else:
                    batch = self._ordered[low : min(high, low + _BATCH)]
            if not batch:
                return
            yield batch
            after = self._key(batch[-1])

    def _matching(self, query: EventQuery, *, newest_first: bool = False) -> Iterator[PersistedEvent]:
        """All that the query asks for, of one moment."""
        filtering.check_query(query, self._redact)
        holds = self._condition(query)
        if query.instance_ids:
            batches: Iterable[Sequence[PersistedEvent]] = self._candidates(query, None, newest_first=newest_first)
        else:
            events = self._between(query.start, query.end)
            batches = [events[::-1] if newest_first else events]
        return (event for batch in batches for event in batch if holds(event))

    def _condition(self, query: EventQuery) -> Callable[[PersistedEvent], bool]:
        holds = filtering.condition(query)
        if not self._redact:
            return holds
        return lambda event: holds(self._masked(event))

    def _matching_summaries(self, query: InstanceQuery) -> list[InstanceSummary]:
        holds = filtering.instance_condition(query)
        with self._lock:
            ids = dict.fromkeys(query.instance_ids) if query.instance_ids else self._by_instance
            summaries = [self._summary(instance_id) for instance_id in ids if instance_id in self._by_instance]
        return [summary for summary in summaries if holds(summary)]

    def _summary(self, instance_id: str) -> InstanceSummary:
        known = self._summaries.get(instance_id)
        if known is None:
            events = self._by_instance[instance_id]
            last = events[-1]
            if instance_id not in self._chained and not _ends_alone(events):  # only ties need the stream's order
                last = order_stream(self._stamped(events))[-1]
            known = self._summaries[instance_id] = InstanceSummary(
                instance_id=instance_id,
                component_name=last.component_name,
                machine_name=last.machine_name,
                state=last.state_after,
                created_at=events[0].persisted_at,
                updated_at=last.persisted_at,
                event_count=len(events),
                last_event_id=last.id,
                last_event_type=last.event_type,
            )
        return known

    def _last_key(self, summary: InstanceSummary) -> Key:
        return summary.updated_at, self._seq[summary.last_event_id]

    def _stamped(self, events: Iterable[PersistedEvent]) -> list[PersistedEvent]:
        return [_with_seq(event, self._seq[event.id]) for event in events]

    def _masked(self, event: PersistedEvent) -> PersistedEvent:
        if not self._redact:
            return event
        masked = event_from_document(event_to_document(event), redact=self._redact)
        return replace(masked, seq=event.seq, definition_hash=event.definition_hash, faults=event.faults)

    def _read(self, events: Iterable[PersistedEvent]) -> list[PersistedEvent]:
        """Events as they are given out: with their `seq`, and masked."""
        return [self._masked(event) for event in self._stamped(events)]


class InMemorySnapshotStore:
    """Snapshots in memory: the latest of each instance, and the last `retention` as its history."""

    def __init__(self, *, retention: int = 10, redact: Redaction = NO_REDACTION) -> None:
        if retention < 1:
            raise QueryError(f"retention={retention} would keep no snapshot; give 1 or more")
        self._retention = retention
        self._redact = redact
        self._lock = threading.RLock()
        self._history: dict[str, deque[InstanceSnapshot]] = {}

    def connect(self) -> None:
        """Nothing to connect to; here because the specification's stores have it."""

    def close(self) -> None:
        """Nothing to close."""

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        self.save_snapshots([snapshot])

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        given = list(snapshots)
        for snapshot in given:
            check_writable_snapshot(snapshot)
        with self._lock:
            for snapshot in given:
                self._history.setdefault(snapshot.instance.id, deque(maxlen=self._retention)).append(snapshot)
        return len(given)

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        with self._lock:
            kept = self._history.get(instance_id)
            return self._masked(kept[-1]) if kept else None

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        found = ((instance_id, self.get_snapshot(instance_id)) for instance_id in dict.fromkeys(instance_ids))
        return {instance_id: snapshot for instance_id, snapshot in found if snapshot is not None}

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        after: Cursor | None = None
        while True:
            page = self.find(after=after, limit=_BATCH)
            yield from page.items
            after = page.next
            if after is None:
                return

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        with self._lock:
            kept = list(self._history.get(instance_id, ()))
        return [self._masked(snapshot) for snapshot in kept]

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        filtering.check_limit(limit)
        ids = sorted(self._ids())
        if after is not None:
            (last,) = decode_cursor(after, "snapshots", (str,))
            assert isinstance(last, str)
            ids = ids[bisect_right(ids, last) :]
        items = self.get_snapshots(ids[:limit])
        more = len(ids) > limit
        return Page(items=tuple(items.values()), next=encode_cursor("snapshots", ids[limit - 1]) if more else None)

    def delete_snapshot(self, instance_id: str) -> None:
        with self._lock:
            self._history.pop(instance_id, None)

    def count(self) -> int:
        return len(self._history)

    def _ids(self) -> list[str]:
        with self._lock:
            return list(self._history)

    def _masked(self, snapshot: InstanceSnapshot) -> InstanceSnapshot:
        if not self._redact:
            return snapshot
        masked = snapshot_from_document(snapshot_to_document(snapshot), redact=self._redact)
        return replace(masked, status_recorded=snapshot.status_recorded, faults=snapshot.faults)


class InMemoryDefinitionStore:
    """Component documents by hash."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._definitions: dict[str, StoredDefinition] = {}

    def save_definition(self, definition: StoredDefinition) -> None:
        with self._lock:
            self._definitions.setdefault(definition.hash, definition)

    def get_all_definitions(self) -> Sequence[StoredDefinition]:
        with self._lock:
            return list(self._definitions.values())


def _ends_alone(stream: Sequence[PersistedEvent]) -> bool:
    """Whether the last moment has one event only."""
    return len(stream) < 2 or stream[-2].persisted_at != stream[-1].persisted_at


def _persisted_at(event: PersistedEvent) -> int:
    return event.persisted_at


def _page_key(item: tuple[int, int, InstanceSummary]) -> Key:
    return item[0], item[1]


def _decode(cursor: Cursor, kind: str) -> Key:
    at, seq = decode_cursor(cursor, kind, (int, int))
    assert isinstance(at, int)
    assert isinstance(seq, int)
    return at, seq


def _with_seq(event: PersistedEvent, seq: int) -> PersistedEvent:
    """The event with its place of insertion. Stamped on reading: most events are appended more often than read."""
    if event.seq == seq:
        return event
    # dataclasses.replace does the same in three times the time
    stamped = PersistedEvent.__new__(PersistedEvent)
    for get, set_ in _SLOTS:
        set_(stamped, get(event))
    object.__setattr__(stamped, "seq", seq)
    return stamped
