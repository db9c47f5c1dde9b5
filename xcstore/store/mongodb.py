"""The event store over MongoDB: the documents of the specification, ours or another writer's.

Which module does what: `mongo_database` connections and errors, `mongo_layout` whose store it is, `mongo_documents`
documents to events and back, `mongo_writing` and `mongo_batches` appending, `mongo_pages` and `mongo_search` finding,
`mongo_heads` and `mongo_instances` instances, `mongo_causes` traces, `mongo_snapshots` snapshots and definitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from xcstore.errors import NotFoundError
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store import filtering, mongo_causes, mongo_instances, mongo_outbox
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
    StoredWork,
    Stores,
    StoreStatus,
    Trace,
)
from xcstore.store.codec import NO_REDACTION, Redaction, check_writable_outbox
from xcstore.store.mongo_batches import Visible, roll_back_abandoned
from xcstore.store.mongo_counts import count_events, tally, time_range
from xcstore.store.mongo_database import MongoDatabase, MongoReader, check_writable, open_database
from xcstore.store.mongo_deleting import delete_events
from xcstore.store.mongo_layout import MongoLayout, find_layout
from xcstore.store.mongo_pages import Key, MongoEvents, cursor_of, key_of, key_of_cursor
from xcstore.store.mongo_search import search
from xcstore.store.mongo_snapshots import DocumentDefinitionStore, DocumentSnapshotStore, refuse_foreign
from xcstore.store.mongo_status import read_status
from xcstore.store.mongo_writing import MongoWriter
from xcstore.store.reading import sorted_counts, stream_after
from xcstore.store.searching import needs_search, searched_all, searched_page
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DocumentEventStore", "open_mongodb_stores"]

_STREAMS: Final = 500
"""Instances whose streams are asked for at a time."""


def open_mongodb_stores(
    url: str,
    *,
    read_only: bool = True,
    redact: Redaction = NO_REDACTION,
    statement_timeout_ms: int = 10_000,
    snapshot_retention: int = 10,
    search_seconds: float = 3.0,
) -> Stores:
    """The stores behind ``mongodb://user:password@host:port/database``; parameters and errors as `open_stores`."""
    database = open_database(url, read_only=read_only, statement_timeout_ms=statement_timeout_ms)
    try:
        layout = find_layout(database)
        events = DocumentEventStore(database, layout, redact=redact, search_seconds=search_seconds)
        if isinstance(database, MongoDatabase) and layout.is_ours:
            events.recover()
    except BaseException:
        database.close()
        raise
    return Stores(
        events=events,
        snapshots=DocumentSnapshotStore(database, layout, redact=redact, retention=snapshot_retention),
        definitions=DocumentDefinitionStore(database, layout),
    )


class DocumentEventStore:
    """Append-only history in MongoDB; see `store.base.EventStore` for what it promises.

    Parameters
    ----------
    database : MongoReader
        A `MongoDatabase` where it was opened for writing.
    layout : MongoLayout
        As `mongo_layout.find_layout` found it.
    redact : Redaction
        Masks payload paths in all that is read, and so in what searches can find.
    search_seconds : float
        When a search through text gives up, see `Page.searched_to`.
    """

    declares = FEATURES

    def __init__(
        self,
        database: MongoReader,
        layout: MongoLayout,
        *,
        redact: Redaction = NO_REDACTION,
        search_seconds: float = 3.0,
    ) -> None:
        self._database: Final = database
        self._layout: Final = layout
        self._redact: Final = redact
        self._search_seconds: Final = search_seconds
        visible = Visible(database, ours=layout.is_ours)
        self._all_events: Final = MongoEvents(database, layout, visible, redact)
        self._writer: Final = MongoWriter(database, visible) if isinstance(database, MongoDatabase) else None

    @property
    def _events(self) -> MongoEvents:
        return self._all_events.at_present()

    @property
    def identity(self) -> str:
        return self._database.identity

    @property
    def layout(self) -> Layout:
        return self._layout.name

    @property
    def read_only(self) -> bool:
        return self._database.read_only or not self._layout.is_ours

    @property
    def keeps_outbox(self) -> bool:
        return self._layout.is_ours

    def connect(self) -> None:
        """Look whether the server answers; stores are connected from the start."""
        self._database.ping()

    def status(self) -> StoreStatus:
        return read_status(self._events)

    def close(self) -> None:
        self._database.close()

    def cancel_running(self, owner: Hashable) -> int:
        """Give up, at their next batch, the queries under `cancelling.running_for(owner)`; returns how many."""
        return self._database.cancel_running(owner)

    # Writing

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        self._own_writer().append(event, expected_last_id, outbox)

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        return self._own_writer().append_many(events)

    def change_outbox(self, change: OutboxChange) -> None:
        database = refuse_foreign(self._database, self._layout)
        check_writable_outbox(change)
        mongo_outbox.change_outbox(database, change)

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        if not self._layout.is_ours:
            return ()
        if self._writer is not None:
            self._writer.finish_open()
        return mongo_outbox.read_outbox(self._database, component_name)

    def delete_events(self, event_ids: Iterable[str]) -> int:
        """Remove events, for retention; returns how many there were. Unknown ids: nothing happens."""
        database = check_writable(self._database)
        return delete_events(database, self._events, MongoWriter(database, self._all_events.visible), event_ids)

    def recover(self) -> None:
        """Finish or undo what programs that are gone have begun."""
        writer = self._own_writer()
        roll_back_abandoned(refuse_foreign(self._database, self._layout))
        writer.finish_open()

    def _own_writer(self) -> MongoWriter:
        refuse_foreign(self._database, self._layout)
        assert self._writer is not None
        return self._writer

    # One stream, one event

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        return self.get_streams([instance_id]).get(instance_id, [])

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        events = self._events
        wanted = list(dict.fromkeys(instance_ids))
        holds = filtering.condition(EventQuery(event_types=tuple(event_types), start=start))
        streams: defaultdict[str, list[PersistedEvent]] = defaultdict(list)
        for first in range(0, len(wanted), _STREAMS):
            query = EventQuery(
                instance_ids=tuple(wanted[first : first + _STREAMS]), event_types=tuple(event_types), start=start
            )
            # What others have stored may have no time that a range finds.
            for event in events.select(*events.conditions(query, timed=events.layout.is_plain)):
                if holds(event):
                    streams[event.instance_id].append(event)
        return {instance_id: order_stream(streams[instance_id]) for instance_id in wanted if instance_id in streams}

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        return stream_after(self.get_events_for_instance(instance_id), instance_id, last_event_id)

    def get_event(self, event_id: str) -> PersistedEvent:
        found = self._events.get([event_id]).get(event_id)
        if found is None:
            raise NotFoundError(f"no event {event_id!r} in {self.identity}")
        return found

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        return self._events.get(event_ids)

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        return mongo_causes.caused_events(self._events, event_id)

    # Many events

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]:
        return list(self._events.all(EventQuery(start=start, end=end), newest_first=False))

    def get_all_events(self) -> Iterator[PersistedEvent]:
        return self._events.all(EventQuery(), newest_first=False)

    def find(
        self, query: EventQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = False
    ) -> Page[PersistedEvent]:
        filtering.check_query(query, self._redact)
        filtering.check_limit(limit)
        kind = "events-desc" if newest_first else "events-asc"
        key = None if after is None else key_of_cursor(after, kind)
        if needs_search(query):
            return self._searched_page(query, key, limit, kind, newest_first=newest_first)
        found = self._events.page(query, key, limit + 1, newest_first=newest_first)
        return Page(
            items=tuple(found[:limit]),
            next=cursor_of(kind, key_of(found[limit - 1])) if len(found) > limit else None,
        )

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_query(query, self._redact)
        filtering.check_count(by, bucket_ms)
        if needs_search(query):
            counts = tally(self._searched_all(query, newest_first=False), by, bucket_ms)
        else:
            counts = count_events(self._events, query, by, bucket_ms)
        return sorted_counts(counts, by, bucket_ms)

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        return time_range(self._events)

    # Instances

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        filtering.check_limit(limit)
        kind = "instances-desc" if newest_first else "instances-asc"
        key = None if after is None else key_of_cursor(after, kind)
        holds = filtering.instance_condition(query)
        found = mongo_instances.find_instances(self._events, query, holds, key, limit + 1, newest_first=newest_first)
        return Page(
            items=tuple(summary for _, summary in found[:limit]),
            next=cursor_of(kind, found[limit - 1][0]) if len(found) > limit else None,
        )

    def count_instances(self, query: InstanceQuery) -> Sequence[StateCount]:
        return mongo_instances.count_states(self._events, query, filtering.instance_condition(query))

    # Causes

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        """Follow recorded causes; `NotFoundError` for an unknown event.

        'effects' are what the event caused, what that caused, and so on; 'causes' the same backwards; 'both' is the
        two together, without the other effects of its causes.
        """
        filtering.check_trace(direction, max_events)
        return mongo_causes.trace(self._events, event_id, direction, max_events)

    # Frames

    def to_arrow(
        self,
        query: EventQuery,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> pa.Table:
        filtering.check_query(query, self._redact)
        from xcstore.store.arrow_tables import events_table  # pyarrow takes a while to import

        if needs_search(query):
            events = self._searched_all(query, newest_first=newest_first)
        else:
            events = self._events.all(query, newest_first=newest_first)
        return events_table(((event.seq, event) for event in islice(events, limit)), columns)

    # Searching

    def _searched_page(
        self, query: EventQuery, after: Key | None, limit: int, kind: str, *, newest_first: bool
    ) -> Page[PersistedEvent]:
        steps = search(self._events, query, after=after, newest_first=newest_first)
        return searched_page(steps, limit, self._search_seconds, lambda place: cursor_of(kind, place))

    def _searched_all(self, query: EventQuery, *, newest_first: bool) -> Iterator[PersistedEvent]:
        steps = search(self._events, query, after=None, newest_first=newest_first)
        return searched_all(steps, self._database.statement_timeout_ms / 1000, self.identity)
