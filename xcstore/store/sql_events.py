"""The event store over SQL, whatever the database and the layout."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from xcstore.errors import NotFoundError, ReadOnlyStoreError
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store import (
    filtering,
    sql_arrow,
    sql_deleting,
    sql_instances,
    sql_notes,
    sql_outbox,
    sql_rollups,
    sql_search,
    sql_status,
    sql_writing,
)
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
    StoreStatus,
    Trace,
)
from xcstore.store.codec import NO_REDACTION, Redaction, check_writable_outbox
from xcstore.store.reading import only_event, sorted_counts, stream_after
from xcstore.store.searching import needs_search, searched_all, searched_page
from xcstore.store.sql_causes import Causes
from xcstore.store.sql_counts import Counts, count_events
from xcstore.store.sql_database import SqlDatabase
from xcstore.store.sql_layout import AnyRow, AnySelect, SqlLayout
from xcstore.store.sql_pages import Key, after_key, conditions, cursor_of, key_of, ordered, select_events
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SqlEventStore", "refuse_foreign"]

_BATCH: Final = 1_000
_STREAMS: Final = 500
"""Instances whose streams are asked for at a time."""


class SqlEventStore:
    """Append-only history in a SQL database; see `store.base.EventStore` for what it promises.

    Parameters
    ----------
    database : SqlDatabase
    layout : SqlLayout
        As `sql_layout.detect_layout` found it.
    redact : Redaction
        Masks payload paths in all that is read, and so in what searches can find.
    search_seconds : float
        When a search through text gives up, see `Page.searched_to`.
    """

    declares = FEATURES

    def __init__(
        self,
        database: SqlDatabase,
        layout: SqlLayout,
        *,
        redact: Redaction = NO_REDACTION,
        search_seconds: float = 3.0,
    ) -> None:
        self._database: Final = database
        self._layout: Final = layout
        self._redact: Final = redact
        self._search_seconds: Final = search_seconds
        self._causes: Final = Causes(layout)

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
        """Look whether the database answers; stores are connected from the start."""
        self._database.read(lambda connection: connection.execute(sa.select(1)).scalar())

    def status(self) -> StoreStatus:
        known = self._database.read(lambda connection: sql_status.read_status(connection, self._layout))
        return replace(known, pool=self._database.pool_use())

    def file_damage(self) -> Sequence[str] | None:
        """What is wrong with the file of the database, a sentence each; None where a server looks after its own."""
        return self._database.read(sql_status.sqlite_damage) if self._layout.dialect == "sqlite" else None

    def close(self) -> None:
        self._database.close()

    def cancel_running(self, owner: Hashable) -> int:
        """Cancel the queries that run under `cancelling.running_for(owner)`; returns how many there were."""
        return self._database.cancel_running(owner)

    # Writing

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        refuse_foreign(self._database, self._layout)
        sql_writing.append(self._database, self._layout, event, expected_last_id, outbox)

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        refuse_foreign(self._database, self._layout)
        return sql_writing.append_many(self._database, events)

    def delete_events(self, event_ids: Iterable[str]) -> int:
        """Remove events, for retention; returns how many there were. Unknown ids: nothing happens."""
        return sql_deleting.delete_events(self._database, self._layout, event_ids)

    def put_note(self, note_id: str, text: str) -> None:
        """Keep a note about the store, such as of what was removed; stores of other writers get none."""
        if self._layout.is_ours:
            sql_notes.put_note(self._database, note_id, text)

    def get_notes(self) -> Sequence[str]:
        """All notes, by id."""
        return sql_notes.get_notes(self._database) if self._layout.is_ours else ()

    def change_outbox(self, change: OutboxChange) -> None:
        refuse_foreign(self._database, self._layout)
        check_writable_outbox(change)
        works = sql_outbox.work_rows(change)
        self._database.write(lambda connection: sql_outbox.change_outbox(connection, works))

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        if self.keeps_outbox and not self.read_only:
            self._database.write(self._database.await_writers)
        return self._database.read(lambda connection: sql_outbox.read_outbox(connection, self._layout, component_name))

    # One stream, one event

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        wanted = self._layout.among("instance_id", [instance_id])
        return order_stream(self._select(select_events(self._layout).where(wanted)))

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        query = EventQuery(event_types=tuple(event_types), start=start)
        known = self._layout.ids(dict.fromkeys(instance_ids))
        streams: dict[str, list[PersistedEvent]] = {instance_id: [] for instance_id in known}
        for first in range(0, len(known), _STREAMS):
            read = partial(self._stream_rows, known[first : first + _STREAMS], query)
            for event in self._events(self._database.read(read)):
                if event.instance_id in streams:  # a column of others may find '7' where '07' was asked for
                    streams[event.instance_id].append(event)
        return {instance_id: order_stream(stream) for instance_id, stream in streams.items() if stream}

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        return stream_after(self.get_events_for_instance(instance_id), instance_id, last_event_id)

    def get_event(self, event_id: str) -> PersistedEvent:
        return only_event(self.get_events([event_id]), event_id, self.identity)

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        wanted = list(dict.fromkeys(event_ids))
        found = self._database.read(lambda connection: self._by_id(connection, wanted))
        return {event_id: found[event_id] for event_id in wanted if event_id in found}

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        def work(connection: sa.Connection) -> list[PersistedEvent]:
            ids = self._causes.caused_ids(connection, event_id)
            return list(self._by_id(connection, ids).values())

        return sorted(self._database.read(work), key=self._place)

    # Many events

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]:
        select = select_events(self._layout).where(*conditions(self._layout, EventQuery(start=start, end=end)))
        return self._select(ordered(select, self._layout, newest_first=False))

    def get_all_events(self) -> Iterator[PersistedEvent]:
        after: Key | None = None
        while True:
            events, after = self._page(EventQuery(), after, _BATCH, newest_first=False)
            yield from events
            if after is None:
                return

    def find(
        self, query: EventQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = False
    ) -> Page[PersistedEvent]:
        filtering.check_query(query)
        filtering.check_limit(limit)
        sql_search.refuse_masked(query, self._redact)
        kind = "events-desc" if newest_first else "events-asc"
        key = None if after is None else key_of(self._layout, after, kind)
        if needs_search(query):
            return self._searched_page(query, key, limit, kind, newest_first=newest_first)
        events, following = self._page(query, key, limit, newest_first=newest_first)
        return Page(items=tuple(events), next=None if following is None else cursor_of(kind, following))

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_query(query)
        filtering.check_count(by, bucket_ms)
        sql_search.refuse_masked(query, self._redact)
        if needs_search(query):
            counts = Counts(
                (
                    tuple(getattr(event, name) for name in by),
                    None if bucket_ms is None else EpochMs(event.persisted_at // bucket_ms * bucket_ms),
                )
                for event in self._searched_all(query, newest_first=False)
            )
        else:
            counts = self._database.read(
                lambda connection: count_events(connection, self._layout, query, by, bucket_ms)
            )
        return sorted_counts(counts, by, bucket_ms)

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        at = self._layout.columns["persisted_at"]
        # Two questions in one: each walks one step in the index, both together would scan it.
        ends = [sa.select(end(at)).select_from(self._layout.events).scalar_subquery() for end in _ENDS]
        first, last = self._database.read(lambda connection: connection.execute(sa.select(*ends)).one())
        return None if first is None else (EpochMs(first), EpochMs(last))

    # Instances

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        filtering.check_limit(limit)
        kind = "instances-desc" if newest_first else "instances-asc"
        key = None if after is None else key_of(self._layout, after, kind)
        found = self._database.read(
            lambda connection: sql_instances.find_instances(
                connection,
                self._layout,
                query,
                filtering.instance_condition(query),
                key,
                limit + 1,
                newest_first=newest_first,
            )
        )
        return Page(
            items=tuple(summary for _, summary in found[:limit]),
            next=cursor_of(kind, found[limit - 1][0]) if len(found) > limit else None,
        )

    def count_instances(self, query: InstanceQuery) -> Sequence[StateCount]:
        holds = filtering.instance_condition(query)
        return self._database.read(
            lambda connection: sql_instances.count_states(connection, self._layout, query, holds)
        )

    # Causes

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        """Follow recorded causes; `NotFoundError` for an unknown event.

        'effects' are what the event caused, what that caused, and so on; 'causes' the same backwards; 'both' is the
        two together, without the other effects of its causes.
        """
        filtering.check_trace(direction, max_events)

        def work(connection: sa.Connection) -> Trace:
            walk = self._causes.walk(connection, event_id, direction, max_events)
            events = self._by_id(connection, walk.ids)
            causes = dict.fromkeys(cause for id_ in walk.ids for cause in events[id_].caused_by)
            unknown = [cause for cause in causes if cause not in events]
            stored = events.keys() | self._causes.stored_ids(connection, unknown)
            links = {
                (cause, id_): None
                for id_ in walk.ids
                for cause in events[id_].caused_by
                if cause in events or cause not in stored
            }
            return Trace(
                root_id=event_id,
                events=tuple(events[id_] for id_ in walk.ids),
                links=tuple(links),
                missing=tuple(cause for cause in causes if cause not in stored),
                truncated=walk.left > 0,
                unread=walk.left,
            )

        try:
            return self._database.read(work)
        except NotFoundError as error:
            raise NotFoundError(f"no event {event_id!r} in {self.identity}") from error

    # Frames

    def to_arrow(
        self,
        query: EventQuery,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> pa.Table:
        filtering.check_query(query)
        sql_search.refuse_masked(query, self._redact)
        if not needs_search(query) and sql_arrow.is_fast(self._layout, self._redact, columns):
            return sql_arrow.fetch(self._database, self._layout, query, columns, limit, newest_first=newest_first)
        from xcstore.store.arrow_tables import events_table  # pyarrow takes a while to import

        if needs_search(query):
            events = self._searched_all(query, newest_first=newest_first)
        else:
            events = self._paged_all(query, newest_first=newest_first)
        return events_table(((event.seq, event) for event in islice(events, limit)), columns)

    # Rows

    def _select(self, select: AnySelect) -> list[PersistedEvent]:
        rows = self._database.read(lambda connection: connection.execute(select).all())
        return self._events(rows)

    def _events(self, rows: Sequence[AnyRow]) -> list[PersistedEvent]:
        if not rows:
            return []
        # The codec asks for each column several times, which a plain dict answers many times faster than a Row does.
        names = rows[0]._fields
        return [self._layout.event(dict(zip(names, row, strict=True)), self._redact) for row in rows]

    def _stream_rows(
        self, instance_ids: Sequence[str], query: EventQuery, connection: sa.Connection
    ) -> Sequence[AnyRow]:
        """Events of these instances that `query` asks for, in no order.

        By the index on the instance: an order and a limit would make PostgreSQL walk along the time, past the events
        of all other instances, and SQLite sort them all for each page.
        """
        wanted = self._layout.columns["instance_id"].in_(instance_ids)
        select = select_events(self._layout).where(wanted, *conditions(self._layout, query))
        return connection.execute(select).all()

    def _by_id(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, PersistedEvent]:
        found: dict[str, PersistedEvent] = {}
        known = self._layout.ids(ids)
        for start in range(0, len(known), _BATCH):
            chunk = known[start : start + _BATCH]
            select = select_events(self._layout).where(self._layout.columns["id"].in_(chunk))
            found.update((event.id, event) for event in self._events(connection.execute(select).all()))
        return {event_id: found[event_id] for event_id in ids if event_id in found}

    def _page(
        self, query: EventQuery, after: Key | None, limit: int, *, newest_first: bool
    ) -> tuple[list[PersistedEvent], Key | None]:
        """Up to `limit` events, and the key to go on from where there are more."""

        def work(connection: sa.Connection) -> Sequence[AnyRow]:
            select = ordered(select_events(self._layout), self._layout, newest_first=newest_first)
            if after is not None:
                select = select.where(after_key(self._layout, after, newest_first=newest_first))
            hours: Sequence[EpochMs] | None = None
            if self._is_rolled_up(query):
                hours = sql_rollups.hours_of_page(connection, query, after, limit + 1, newest_first=newest_first)
            if hours is None:
                return connection.execute(select.where(*conditions(self._layout, query)).limit(limit + 1)).all()
            # Walked by the index on the time, one stretch after the other, so that nothing need be sorted.
            timeless = replace(query, start=None, end=None)
            select = select.where(*sql_rollups.unindexed(conditions(self._layout, timeless)))
            rows: list[AnyRow] = []
            for first, last in sql_rollups.stretches(hours, query, after, newest_first=newest_first):
                within = self._layout.columns["persisted_at"].between(first, last)
                rows += connection.execute(select.where(within).limit(limit + 1 - len(rows)))
                if len(rows) > limit:
                    break
            return rows

        rows = self._database.read(work)
        events = self._events(rows[:limit])
        return events, self._place(events[-1]) if len(rows) > limit else None

    def _is_rolled_up(self, query: EventQuery) -> bool:
        """Whether a table that triggers keep knows in which hours the events lie."""
        filtered = query.components or query.machines or query.event_types or query.states or query.states_before
        return bool(filtered) and not query.instance_ids and self._layout.is_ours and self._layout.dialect == "sqlite"

    def _place(self, event: PersistedEvent) -> Key:
        if self._layout.is_ours:
            assert event.seq is not None
            return event.persisted_at, event.seq
        return event.persisted_at, event.id

    def _paged_all(self, query: EventQuery, *, newest_first: bool) -> Iterator[PersistedEvent]:
        after: Key | None = None
        while True:
            events, after = self._page(query, after, _BATCH, newest_first=newest_first)
            yield from events
            if after is None:
                return

    # Searches

    def _searched_page(
        self, query: EventQuery, after: Key | None, limit: int, kind: str, *, newest_first: bool
    ) -> Page[PersistedEvent]:
        steps = sql_search.search(
            self._database, self._layout, query, self._redact, after=after, newest_first=newest_first
        )
        return searched_page(steps, limit, self._search_seconds, lambda place: cursor_of(kind, place))

    def _searched_all(self, query: EventQuery, *, newest_first: bool) -> Iterator[PersistedEvent]:
        steps = sql_search.search(
            self._database, self._layout, query, self._redact, after=None, newest_first=newest_first
        )
        return searched_all(steps, self._database.statement_timeout_ms / 1000, self.identity)


def refuse_foreign(database: SqlDatabase, layout: SqlLayout) -> None:
    """Only stores of ours are written."""
    if database.read_only:
        raise ReadOnlyStoreError(f"{database.identity} was opened for reading; open it with read_only=False to write")
    if not layout.is_ours:
        raise ReadOnlyStoreError(
            f"{database.identity} belongs to another writer ({layout.name} layout); "
            "import it into a store of your own to write"
        )


_ENDS: Final = (sa.func.min, sa.func.max)
