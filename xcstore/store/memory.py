"""The reference implementation: lists, dicts and bisect. The first store to read.

Events are kept sorted by `(persisted_at, seq)`: appends nearly always go to the end, a late event is inserted where it
belongs. Three indexes (by id, by instance, by cause) keep reads from scanning what they need not.
Writers hold a lock; readers hold it only while they take a copy of what they are about to look at.

Each event is kept as a row, see `store.memory_rows`, and little is made beside it: no entry in a second dict, no list
for a single effect. What many events cost is mostly what the garbage collector and the processor's caches see of them.
"""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from xcstore.errors import ConcurrencyError, DuplicateEventError, NotFoundError, QueryError
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store import filtering
from xcstore.store.base import (
    FEATURES,
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
    StoreStatus,
    Trace,
)
from xcstore.store.codec import (
    NO_REDACTION,
    Redaction,
    check_writable_outbox,
    check_writable_snapshot,
    event_from_document,
    event_to_document,
    snapshot_from_document,
    snapshot_to_document,
)
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.limits import pack
from xcstore.store.memory_rows import (
    AFTER,
    AT,
    BEFORE,
    CAUSED_BY,
    COMPONENT,
    ID,
    INSTANCE,
    LABEL_NAMES,
    LABELS,
    MACHINE,
    SEQ,
    TYPE,
    VIEWED,
    Key,
    Row,
    key_of,
    row_of,
    unpack,
    view_of,
    viewing,
)
from xcstore.store.reading import all_pages, sorted_counts, stream_after
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["InMemoryDefinitionStore", "InMemoryEventStore", "InMemorySnapshotStore", "open_memory_stores"]

_BATCH: Final = 1_000
_names = itertools.count(1)


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
    declares = FEATURES
    keeps_outbox = True

    def __init__(
        self, name: str | None = None, *, redact: Redaction = NO_REDACTION, search_seconds: float = 3.0
    ) -> None:
        self._name = name if name is not None else str(next(_names))
        self._redact = redact
        self._search_seconds = search_seconds
        self._lock = threading.Lock()
        self._ordered: list[Row] = []
        self._by_id: dict[str, Row] = {}
        """In order of insertion."""
        self._by_instance: dict[str, list[Row]] = {}
        self._effects: dict[str, str | list[str]] = {}
        """Ids of effects by id of their cause; a single one, the usual case, without a list."""
        self._indexed = 0
        """So many events are in `_effects`; the others are added when somebody asks, as most runs never do."""
        self._summaries: dict[str, InstanceSummary] = {}
        """What has been asked for; an append to the instance drops it."""
        self._chained: set[str] = set()
        """Instances whose last moment is in order as it was appended: each of its events goes on where the one before
        it ended, the first where the moment before ended. The last event of these is the last that came."""
        self._gone = 0
        """So many events were deleted; their `seq` is not given again."""
        self._outbox: dict[str, StoredWork] = {}
        self._notes: dict[str, str] = {}

    @property
    def identity(self) -> str:
        return f"memory://{self._name}"

    def connect(self) -> None:
        """Nothing to connect to; here because the specification's stores have it."""

    def status(self) -> StoreStatus:
        return StoreStatus(server="memory", event_count=len(self._by_id))

    def close(self) -> None:
        """Nothing to close: the events live as long as this object."""

    # Writing

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        labels, values = pack(event, self._by_instance)
        if outbox is not None:
            check_writable_outbox(outbox)
        event_id, instance_id, at = event.id, event.instance_id, event.persisted_at
        lock, by_id = self._lock, self._by_id
        lock.acquire()  # `with` takes twice as long
        try:
            stream = self._by_instance.get(instance_id)
            # Nearly all go on from the last event of a chain, and name it; for these nothing else need be found out.
            goes_on = stream is not None and stream[-1][ID] == expected_last_id and instance_id in self._chained
            if not goes_on and expected_last_id is not None and expected_last_id != self._last_id(instance_id):
                raise ConcurrencyError(
                    f"instance {instance_id!r} ends with event {self._last_id(instance_id)!r}, "
                    f"not {expected_last_id!r}; read it again, then append"
                )
            if event_id in by_id:
                raise DuplicateEventError(event_id)
            row = by_id[event_id] = row_of(event, len(by_id) + self._gone + 1, labels, values)
            if goes_on and stream and stream[-1][LABELS][AFTER] == labels[BEFORE] and self._ordered[-1][AT] <= at:
                self._ordered.append(row)
                stream.append(row)
            else:
                self._insert(row)
            if self._summaries:
                self._summaries.pop(instance_id, None)
            if outbox is not None:
                self._change_outbox(outbox)
        finally:
            lock.release()

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        batch = [(event, *pack(event, self._by_instance)) for event in events]
        with self._lock:
            seen: set[str] = set()
            for event, _, _ in batch:
                if event.id in self._by_id or event.id in seen:
                    raise DuplicateEventError(event.id)
                seen.add(event.id)
            for event, labels, values in batch:
                row = self._by_id[event.id] = row_of(event, len(self._by_id) + self._gone + 1, labels, values)
                self._insert(row)
                self._summaries.pop(event.instance_id, None)
        return len(batch)

    def delete_events(self, event_ids: Iterable[str]) -> int:
        """Remove events, for retention; returns how many there were. Unknown ids: nothing happens."""
        wanted = list(dict.fromkeys(event_ids))
        with self._lock:
            gone = {event_id: row for event_id in wanted if (row := self._by_id.pop(event_id, None)) is not None}
            if not gone:
                return 0
            first, last = min(map(key_of, gone.values())), max(map(key_of, gone.values()))
            low = bisect_left(self._ordered, first, key=key_of)
            high = bisect_right(self._ordered, last, key=key_of)
            self._ordered[low:high] = [row for row in self._ordered[low:high] if row[ID] not in gone]
            for instance_id in {row[INSTANCE] for row in gone.values()}:
                stream = [row for row in self._by_instance[instance_id] if row[ID] not in gone]
                if stream:
                    self._by_instance[instance_id] = stream
                else:
                    del self._by_instance[instance_id]
                self._chained.discard(instance_id)
                self._summaries.pop(instance_id, None)
            self._gone += len(gone)
            self._effects, self._indexed = {}, 0
        return len(gone)

    def put_note(self, note_id: str, text: str) -> None:
        """Keep a note about the store, such as of what was removed."""
        self._notes[note_id] = text

    def get_notes(self) -> Sequence[str]:
        """All notes, by id."""
        return [text for _, text in sorted(self._notes.items())]

    def change_outbox(self, change: OutboxChange) -> None:
        check_writable_outbox(change)
        with self._lock:
            self._change_outbox(change)

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        with self._lock:
            kept = list(self._outbox.values())
        found = [work for work in kept if component_name is None or work.component_name == component_name]
        return sorted(found, key=lambda work: (work.position, work.id))

    def _insert(self, row: Row) -> None:
        """Put a row where it belongs: among all, and among those of its instance."""
        at, instance_id, before = row[AT], row[INSTANCE], row[LABELS][BEFORE]
        if self._ordered and self._ordered[-1][AT] > at:
            insort(self._ordered, row, key=key_of)
        else:
            self._ordered.append(row)
        stream = self._by_instance.get(instance_id)
        if stream is None:
            self._by_instance[instance_id] = [row]
            if before == "":
                self._chained.add(instance_id)
            return
        last = stream[-1]
        if last[AT] > at:
            insort(stream, row, key=key_of)
            self._chained.discard(instance_id)
            return
        if last[LABELS][AFTER] != before:
            self._chained.discard(instance_id)
        elif last[AT] < at and instance_id not in self._chained and _ends_alone(stream):
            self._chained.add(instance_id)
        stream.append(row)

    def _index_effects(self) -> None:
        # From the end: from the start, all that were indexed before would be passed first.
        for row in islice(reversed(self._by_id.values()), len(self._by_id) - self._indexed):
            for cause in dict.fromkeys(row[CAUSED_BY]):
                effects = self._effects.setdefault(cause, row[ID])
                if isinstance(effects, list):
                    effects.append(row[ID])
                elif effects != row[ID]:
                    self._effects[cause] = [effects, row[ID]]
        self._indexed = len(self._by_id)

    def _last_id(self, instance_id: str) -> str:
        """Id of the last event of the stream; '' where there is none."""
        stream = self._by_instance.get(instance_id)
        if stream is None:
            return ""
        if instance_id in self._chained or _ends_alone(stream):
            return stream[-1][ID]
        return self._summary(instance_id).last_event_id

    def _change_outbox(self, change: OutboxChange) -> None:
        for work_id in change.remove:
            self._outbox.pop(work_id, None)
        for work in change.add:
            self._outbox[work.id] = work

    # One stream, one event

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        return self._in_order(self._instance(instance_id))

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        return stream_after(self.get_events_for_instance(instance_id), instance_id, last_event_id)

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        streams: dict[str, Sequence[PersistedEvent]] = {}
        for instance_id in dict.fromkeys(instance_ids):
            rows = [
                row
                for row in self._instance(instance_id)
                if (not event_types or row[LABELS][TYPE] in event_types) and (start is None or row[AT] >= start)
            ]
            if rows:
                streams[instance_id] = self._in_order(rows)
        return streams

    def get_event(self, event_id: str) -> PersistedEvent:
        row = self._by_id.get(event_id)
        if row is None:
            raise NotFoundError(f"no event {event_id!r} in {self.identity}")
        return self._unpacked(row)

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        with self._lock:
            found = [self._by_id[event_id] for event_id in dict.fromkeys(event_ids) if event_id in self._by_id]
        return {event.id: event for event in self._read(found)}

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        with self._lock:
            self._index_effects()
            return self._read(sorted(self._effects_of(event_id), key=key_of))

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
        found: list[Row] = []
        for batch in self._candidates(query, key, newest_first=newest_first):
            for row in batch:
                if holds(row):
                    found.append(row)
                    if len(found) > limit:
                        found.pop()
                        return Page(items=tuple(self._read(found)), next=encode_cursor(kind, *key_of(found[-1])))
            if deadline is not None and time.monotonic() >= deadline:
                last = batch[-1]
                return Page(
                    items=tuple(self._read(found)),
                    next=encode_cursor(kind, *key_of(last)),
                    searched_to=last[AT],
                )
        return Page(items=tuple(self._read(found)))

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_count(by, bucket_ms)
        rows = self._matching(query)
        if not by and bucket_ms is None:
            return [Count(key=(), bucket=None, count=sum(1 for _ in rows))]
        labels = [itemgetter(LABEL_NAMES.index(name)) for name in by]
        counts = Counter(
            (
                tuple(label(row[LABELS]) for label in labels),
                None if bucket_ms is None else row[AT] // bucket_ms * bucket_ms,
            )
            for row in rows
        )
        return sorted_counts(counts, by, bucket_ms)

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        with self._lock:
            if not self._ordered:
                return None
            return self._ordered[0][AT], self._ordered[-1][AT]

    # Instances

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        filtering.check_limit(limit)
        kind = "instances-desc" if newest_first else "instances-asc"
        last_rows = ((self._by_id.get(summary.last_event_id), summary) for summary in self._matching_summaries(query))
        # Without a row: deleted since.
        found = sorted((*key_of(row), summary) for row, summary in last_rows if row is not None)
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
            self._index_effects()
            loaded, left = self._walk(root, direction, max_events)
            links: dict[tuple[str, str], None] = {}
            missing: dict[str, None] = {}
            for row in loaded.values():
                for cause in row[CAUSED_BY]:
                    if cause not in self._by_id:
                        missing[cause] = None
                    if cause in missing or cause in loaded:
                        links[cause, row[ID]] = None
        return Trace(
            root_id=event_id,
            events=tuple(self._read(loaded.values())),
            links=tuple(links),
            missing=tuple(missing),
            truncated=left > 0,
            unread=left,
        )

    def _walk(self, root: Row, direction: Direction, max_events: int) -> tuple[dict[str, Row], int]:
        """Events by id, breadth first, and how many next to them were left out."""
        loaded = {root[ID]: root}
        left: set[str] = set()
        level = [(root, way) for way in ("causes", "effects") if direction in (way, "both")]
        walked = {(root[ID], way) for _, way in level}
        while level:
            reached: dict[tuple[str, str], Row] = {}
            for row, way in level:
                for neighbour in self._neighbours(row, way):
                    step = neighbour[ID], way
                    if step not in walked:
                        walked.add(step)
                        reached[step] = neighbour
            level = []
            for (event_id, way), row in sorted(reached.items(), key=lambda item: (item[1][AT], item[0])):
                if event_id in loaded or len(loaded) < max_events:
                    loaded[event_id] = row
                    level.append((row, way))
                else:
                    left.add(event_id)
        return loaded, len(left)

    def _neighbours(self, row: Row, way: str) -> Iterable[Row]:
        if way == "effects":
            return self._effects_of(row[ID])
        return (self._by_id[cause] for cause in row[CAUSED_BY] if cause in self._by_id)

    def _effects_of(self, event_id: str) -> list[Row]:
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

        rows = islice(self._matching(query, newest_first=newest_first), limit)
        # A view spares decoding values where none is asked for.
        viewed = columns is not None and VIEWED.issuperset(columns) and not self._redact
        read = view_of if viewed else self._unpacked
        return events_table(((row[SEQ], read(row)) for row in rows), columns)

    # Events as they are kept, and on their way out

    def _instance(self, instance_id: str) -> list[Row]:
        with self._lock:
            return self._by_instance[instance_id][:] if instance_id in self._by_instance else []

    def _between(self, start: EpochMs | None, end: EpochMs | None) -> list[Row]:
        with self._lock:
            return self._ordered[self._position(start) : None if end is None else self._position(end + 1)]

    def _position(self, moment: int | None) -> int:
        """Where the events from `moment` on begin."""
        return 0 if moment is None else bisect_left(self._ordered, moment, key=itemgetter(AT))

    def _candidates(self, query: EventQuery, after: Key | None, *, newest_first: bool) -> Iterator[Sequence[Row]]:
        """Batches of events in page order, among which are all that the query asks for."""
        if not query.instance_ids:
            yield from self._batches(query.start, query.end, after, newest_first=newest_first)
            return
        rows = [row for instance_id in set(query.instance_ids) for row in self._instance(instance_id)]
        rows.sort(key=key_of, reverse=newest_first)
        if after is not None and newest_first:
            rows = [row for row in rows if key_of(row) < after]
        elif after is not None:
            rows = [row for row in rows if key_of(row) > after]
        if rows:
            yield rows

    def _batches(
        self, start: EpochMs | None, end: EpochMs | None, after: Key | None, *, newest_first: bool
    ) -> Iterator[list[Row]]:
        """The events of a time range, a batch at a time; what is appended meanwhile neither repeats nor hides any."""
        while True:
            with self._lock:
                low = self._position(start)
                high = len(self._ordered) if end is None else self._position(end + 1)
                if after is not None and newest_first:
                    high = min(high, bisect_left(self._ordered, after, key=key_of))
                elif after is not None:
                    low = max(low, bisect_right(self._ordered, after, key=key_of))
                if newest_first:
                    batch = self._ordered[max(low, high - _BATCH) : max(low, high)][::-1]
                else:
                    batch = self._ordered[low : min(high, low + _BATCH)]
            if not batch:
                return
            yield batch
            after = key_of(batch[-1])

    def _matching(self, query: EventQuery, *, newest_first: bool = False) -> Iterator[Row]:
        """All that the query asks for, of one moment."""
        filtering.check_query(query, self._redact)
        holds = self._condition(query)
        if query.instance_ids:
            batches: Iterable[Sequence[Row]] = self._candidates(query, None, newest_first=newest_first)
        else:
            rows = self._between(query.start, query.end)
            batches = [rows[::-1] if newest_first else rows]
        return (row for batch in batches for row in batch if holds(row))

    def _condition(self, query: EventQuery) -> Callable[[Row], bool]:
        holds = filtering.condition(query)
        if self._redact:
            return lambda row: holds(self._unpacked(row))
        return viewing(holds)

    def _matching_summaries(self, query: InstanceQuery) -> list[InstanceSummary]:
        holds = filtering.instance_condition(query)
        with self._lock:
            ids = dict.fromkeys(query.instance_ids) if query.instance_ids else self._by_instance
            summaries = [self._summary(instance_id) for instance_id in ids if instance_id in self._by_instance]
        return [summary for summary in summaries if holds(summary)]

    def _summary(self, instance_id: str) -> InstanceSummary:
        known = self._summaries.get(instance_id)
        if known is None:
            rows = self._by_instance[instance_id]
            last = rows[-1]
            if instance_id not in self._chained and not _ends_alone(rows):  # only ties need the stream's order
                last = self._by_id[order_stream(map(unpack, rows))[-1].id]
            labels = last[LABELS]
            known = self._summaries[instance_id] = InstanceSummary(
                instance_id=instance_id,
                component_name=labels[COMPONENT],
                machine_name=labels[MACHINE],
                state=labels[AFTER],
                created_at=rows[0][AT],
                updated_at=last[AT],
                event_count=len(rows),
                last_event_id=last[ID],
                last_event_type=labels[TYPE],
            )
        return known

    def _masked(self, event: PersistedEvent) -> PersistedEvent:
        if not self._redact:
            return event
        masked = event_from_document(event_to_document(event), redact=self._redact)
        return replace(masked, seq=event.seq, definition_hash=event.definition_hash, faults=event.faults)

    def _unpacked(self, row: Row) -> PersistedEvent:
        """The event as it is given out: with its `seq`, and masked."""
        return self._masked(unpack(row)) if self._redact else unpack(row)

    def _read(self, rows: Iterable[Row]) -> list[PersistedEvent]:
        return [self._unpacked(row) for row in rows]

    def _in_order(self, rows: Iterable[Row]) -> list[PersistedEvent]:
        """Events of one instance, in the order of its stream."""
        return [self._masked(event) for event in order_stream(map(unpack, rows))]


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
        yield from all_pages(lambda after: self.find(after=after, limit=_BATCH))

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

    def count_beyond(self, keep: int) -> int:
        filtering.check_keep(keep)
        with self._lock:
            return sum(max(0, len(kept) - keep) for kept in self._history.values())

    def trim(self, keep: int) -> int:
        filtering.check_keep(keep)
        trimmed = 0
        with self._lock:
            for kept in self._history.values():
                while len(kept) > keep:
                    kept.popleft()
                    trimmed += 1
        return trimmed

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


def _ends_alone(stream: Sequence[Row]) -> bool:
    """Whether the last moment has one event only."""
    return len(stream) < 2 or stream[-2][AT] != stream[-1][AT]


def _page_key(item: tuple[int, int, InstanceSummary]) -> Key:
    return item[0], item[1]


def _decode(cursor: Cursor, kind: str) -> Key:
    at, seq = decode_cursor(cursor, kind, (int, int))
    assert isinstance(at, int)
    assert isinstance(seq, int)
    return at, seq
