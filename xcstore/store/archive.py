"""An archive: a folder of Parquet files that anybody can read, and a store over it.

`archive:///relative/folder`, `archive:////absolute/folder`. One commit is one manifest; see `archive_layout` for what
lies where, `archive_folder` for how a commit comes to count, `archive_queries` for how little of it a question reads.
An archive keeps every event that was put into it, and no outbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from xcstore.errors import (
    ConcurrencyError,
    ConfigError,
    NotFoundError,
    ReadOnlyStoreError,
)
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store import archive_arrow, archive_instances, archive_queries, archive_traces, filtering
from xcstore.store.archive_database import ArchiveDatabase, Question
from xcstore.store.archive_folder import ArchiveFolder
from xcstore.store.archive_queries import Key
from xcstore.store.archive_search import search
from xcstore.store.archive_snapshots import ArchiveDefinitionStore, ArchiveSnapshotStore
from xcstore.store.archive_writing import Commit, stage_events, write_staged_events
from xcstore.store.base import (
    FEATURES,
    Count,
    CountBy,
    Cursor,
    Direction,
    EventQuery,
    Feature,
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
from xcstore.store.codec import NO_REDACTION, Redaction, check_writable
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.reading import only_event, sorted_counts, stream_after
from xcstore.store.searching import needs_search, searched_all, searched_page
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArchiveEventStore", "archive_folder", "archive_damage", "open_archive_stores"]

_BATCH: Final = 5_000
_FEW: Final = 1_000


def open_archive_stores(
    url: str,
    *,
    read_only: bool = True,
    redact: Redaction = NO_REDACTION,
    statement_timeout_ms: int = 10_000,
    snapshot_retention: int = 10,
    search_seconds: float = 3.0,
) -> Stores:
    """The stores in a folder; parameters and errors as `opening.open_stores`.

    Opened for writing, a folder that is missing or empty becomes an archive.
    """
    folder = ArchiveFolder(archive_folder(url), read_only=read_only)
    database = ArchiveDatabase(folder, statement_timeout_ms=statement_timeout_ms)
    return Stores(
        events=ArchiveEventStore(database, redact=redact, search_seconds=search_seconds),
        snapshots=ArchiveSnapshotStore(database, redact=redact, retention=snapshot_retention),
        definitions=ArchiveDefinitionStore(database),
    )


def archive_folder(url: str) -> Path:
    """The folder that the URL of an archive names.

    Examples
    --------
    >>> archive_folder("archive:///history/2025").as_posix(), archive_folder("archive:////srv/history").as_posix()
    ('history/2025', '/srv/history')
    """
    path = url.removeprefix("archive://").partition("?")[0]
    if not path.startswith("/") or not path.strip("/"):
        raise ConfigError(
            "the URL of the archive names no folder; write archive:///relative/folder or archive:////absolute/folder"
        )
    return Path(path[1:])


def archive_damage(url: str) -> tuple[str, ...]:
    """What is wrong with the files of an archive, a sentence each; nothing where each is as it was written.

    Reads every file once, and none that the manifest does not list.
    """
    return tuple(_damage(ArchiveFolder(archive_folder(url), read_only=True)))


def _damage(folder: ArchiveFolder) -> list[str]:
    return folder.damage(folder.latest().every_part())


class ArchiveEventStore:
    """Append-only history in Parquet files; see `store.base.EventStore` for what it promises.

    Parameters
    ----------
    database : ArchiveDatabase
    redact : Redaction
        Masks payload paths in all that is read, and so in what searches can find.
    search_seconds : float
        When a search through text gives up, see `Page.searched_to`.
    """

    layout: Layout = "documents"
    declares: frozenset[Feature] = FEATURES - {"outbox", "delete"}
    keeps_outbox = False

    def __init__(
        self, database: ArchiveDatabase, *, redact: Redaction = NO_REDACTION, search_seconds: float = 3.0
    ) -> None:
        self._database: Final = database
        self._redact: Final = redact
        self._search_seconds: Final = search_seconds

    @property
    def identity(self) -> str:
        return self._database.identity

    @property
    def read_only(self) -> bool:
        return self._database.folder.read_only

    def connect(self) -> None:
        """Look whether the archive is there; stores are connected from the start."""
        self._database.folder.latest()

    def close(self) -> None:
        self._database.close()

    def cancel_running(self, owner: Hashable) -> int:
        """Cancel the queries that run under `cancelling.running_for(owner)`; returns how many there were."""
        return self._database.cancel_running(owner)

    def status(self) -> StoreStatus:
        manifest = self._database.folder.latest()
        return StoreStatus(
            server=f"DuckDB {duckdb.__version__}, Parquet",
            size_bytes=sum(part.bytes for part in manifest.every_part()),
            event_count=manifest.rows("events"),
        )

    def file_damage(self) -> Sequence[str]:
        """What is wrong with the files, a sentence each; every file is read once."""
        return _damage(self._database.folder)

    # Writing

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        """Add one event. Each call is a commit of its own: whole batches are many times faster."""
        self._database.folder.check_writable()
        check_writable(event)
        if outbox is not None:
            self._refuse_outbox()
        with self._database.staging() as cursor:
            count = stage_events(cursor, [event])
            with self._database.writing() as question, Commit(self._database, question) as commit:
                if expected_last_id is not None:
                    last = archive_instances.last_event_id(question, event.instance_id)
                    if last != expected_last_id:
                        raise ConcurrencyError(
                            f"instance {event.instance_id!r} ends with event {last!r}, not {expected_last_id!r}; "
                            "read it again, then append"
                        )
                write_staged_events(commit, cursor, count)

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        self._database.folder.check_writable()
        with self._database.staging() as cursor:
            count = stage_events(cursor, events)
            if count:
                with self._database.writing() as question, Commit(self._database, question) as commit:
                    write_staged_events(commit, cursor, count)
        return count

    def change_outbox(self, change: OutboxChange) -> None:
        self._database.folder.check_writable()
        self._refuse_outbox()

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        return []

    def delete_events(self, event_ids: Iterable[str]) -> int:
        self._database.folder.check_writable()
        raise ReadOnlyStoreError(f"{self.identity} is an archive, which keeps every event; nothing was removed")

    def _refuse_outbox(self) -> None:
        raise ReadOnlyStoreError(f"{self.identity} is an archive, which keeps no outbox; nothing was written")

    # One stream, one event

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        return self.get_streams([instance_id]).get(instance_id, [])

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        query = EventQuery(event_types=tuple(event_types), start=start)
        streams: dict[str, list[PersistedEvent]] = {instance_id: [] for instance_id in instance_ids}

        def work(question: Question) -> list[PersistedEvent]:
            places = archive_queries.places_of_instances(question, streams, query)
            return archive_queries.read_events(question, places, self._redact, query)

        for event in self._database.ask(work):
            streams[event.instance_id].append(event)
        return {instance_id: order_stream(stream) for instance_id, stream in streams.items() if stream}

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        return stream_after(self.get_events_for_instance(instance_id), instance_id, last_event_id)

    def get_event(self, event_id: str) -> PersistedEvent:
        return only_event(self.get_events([event_id]), event_id, self.identity)

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        wanted = list(dict.fromkeys(event_ids))

        def work(question: Question) -> list[PersistedEvent]:
            places = [place for place, _ in archive_queries.places_of_ids(question, wanted).values()]
            return archive_queries.read_events(question, places, self._redact)

        found = {event.id: event for event in self._database.ask(work)}
        return {event_id: found[event_id] for event_id in wanted if event_id in found}

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        def work(question: Question) -> list[PersistedEvent]:
            effects = archive_queries.ids_of_causes(question, [event_id]).get(event_id, [])
            return archive_queries.read_events(question, [place for _, place in effects], self._redact)

        return self._database.ask(work)

    # Many events

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]:
        return list(self._paged_all(EventQuery(start=start, end=end), newest_first=False))

    def get_all_events(self) -> Iterator[PersistedEvent]:
        return self._paged_all(EventQuery(), newest_first=False)

    def find(
        self, query: EventQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = False
    ) -> Page[PersistedEvent]:
        filtering.check_query(query, self._redact)
        filtering.check_limit(limit)
        kind = "events-desc" if newest_first else "events-asc"
        key = None if after is None else _decode(after, kind)
        if needs_search(query):
            return self._searched_page(query, key, limit, kind, newest_first=newest_first)
        events, following = self._page(query, key, limit, newest_first=newest_first)
        return Page(items=tuple(events), next=None if following is None else encode_cursor(kind, *following))

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_query(query, self._redact)
        filtering.check_count(by, bucket_ms)
        if needs_search(query):
            counts: Mapping[tuple[tuple[str, ...], EpochMs | None], int] = Counter(
                (
                    tuple(getattr(event, name) for name in by),
                    None if bucket_ms is None else EpochMs(event.persisted_at // bucket_ms * bucket_ms),
                )
                for event in self._searched_all(query, newest_first=False)
            )
        else:
            counts = self._database.ask(lambda question: archive_queries.count_rows(question, query, by, bucket_ms))
        return sorted_counts(counts, by, bucket_ms)

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        times = [part.times for part in self._database.folder.latest().parts("events") if part.times is not None]
        if not times:
            return None
        return EpochMs(min(first for first, _ in times)), EpochMs(max(last for _, last in times))

    # Instances

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        filtering.check_limit(limit)
        kind = "instances-desc" if newest_first else "instances-asc"
        key = None if after is None else _decode(after, kind)
        holds = filtering.instance_condition(query)
        found = self._database.ask(
            lambda question: archive_instances.find_instances(
                question, query, holds, key, limit + 1, newest_first=newest_first
            )
        )
        return Page(
            items=tuple(summary for _, summary in found[:limit]),
            next=encode_cursor(kind, *found[limit - 1][0]) if len(found) > limit else None,
        )

    def count_instances(self, query: InstanceQuery) -> Sequence[StateCount]:
        holds = filtering.instance_condition(query)
        return self._database.ask(lambda question: archive_instances.count_states(question, query, holds))

    # Causes

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        """Follow recorded causes; `NotFoundError` for an unknown event.

        'effects' are what the event caused, what that caused, and so on; 'causes' the same backwards; 'both' is the
        two together, without the other effects of its causes.
        """
        filtering.check_trace(direction, max_events)
        try:
            return self._database.ask(
                lambda question: archive_traces.trace(question, event_id, direction, max_events, self._redact)
            )
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
        filtering.check_query(query, self._redact)
        if not needs_search(query) and archive_arrow.is_fast(self._redact, columns):
            return self._database.ask(
                lambda question: archive_arrow.fetch(question, query, columns, limit, newest_first=newest_first)
            )
        from xcstore.store.arrow_tables import events_table  # pyarrow takes a while to import

        if needs_search(query):
            events = self._searched_all(query, newest_first=newest_first)
        else:
            events = self._paged_all(query, newest_first=newest_first)
        return events_table(((event.seq, event) for event in islice(events, limit)), columns)

    # Pages

    def _page(
        self, query: EventQuery, after: Key | None, limit: int, *, newest_first: bool
    ) -> tuple[list[PersistedEvent], Key | None]:
        """Up to `limit` events, and the key to go on from where there are more."""
        if query.instance_ids:
            return self._page_of_instances(query, after, limit, newest_first=newest_first)

        def few(question: Question) -> tuple[list[PersistedEvent], Key | None]:
            places = archive_queries.find_places(question, query, after, limit + 1, newest_first=newest_first)
            events = archive_queries.read_events(question, places[:limit], self._redact)
            if newest_first:
                events.reverse()
            return events, places[limit - 1][:2] if len(places) > limit else None

        def many(question: Question) -> tuple[list[PersistedEvent], Key | None]:
            events: list[PersistedEvent] = []
            for stretch in archive_queries.stretches(question, query, after, newest_first=newest_first):
                events += archive_queries.read_stretch(
                    question,
                    query,
                    stretch,
                    after,
                    limit + 1 - len(events),
                    self._redact,
                    newest_first=newest_first,
                )
                if len(events) > limit:
                    return events[:limit], _key(events[limit - 1])
            return events, None

        return self._database.ask(few if limit < _FEW else many)

    def _page_of_instances(
        self, query: EventQuery, after: Key | None, limit: int, *, newest_first: bool
    ) -> tuple[list[PersistedEvent], Key | None]:
        def work(question: Question) -> tuple[list[PersistedEvent], Key | None]:
            places = archive_queries.places_of_instances(question, query.instance_ids, query)
            if after is not None:
                places = [place for place in places if (place[:2] < after if newest_first else place[:2] > after)]
            if newest_first:
                places.reverse()
            events: list[PersistedEvent] = []
            for start in range(0, len(places), limit + 1):
                found = archive_queries.read_events(question, places[start : start + limit + 1], self._redact, query)
                events += reversed(found) if newest_first else found
                if len(events) > limit:
                    return events[:limit], _key(events[limit - 1])
            return events, None

        return self._database.ask(work)

    def _paged_all(self, query: EventQuery, *, newest_first: bool) -> Iterator[PersistedEvent]:
        after: Key | None = None
        while True:
            events, after = self._page(query, after, _BATCH, newest_first=newest_first)
            yield from events
            if after is None:
                return

    def _searched_page(
        self, query: EventQuery, after: Key | None, limit: int, kind: str, *, newest_first: bool
    ) -> Page[PersistedEvent]:
        steps = search(self._database, query, self._redact, after=after, newest_first=newest_first)
        return searched_page(steps, limit, self._search_seconds, lambda place: encode_cursor(kind, *place))

    def _searched_all(self, query: EventQuery, *, newest_first: bool) -> Iterator[PersistedEvent]:
        steps = search(self._database, query, self._redact, after=None, newest_first=newest_first)
        return searched_all(steps, self._database.statement_timeout_ms / 1000, self.identity)


def _key(event: PersistedEvent) -> Key:
    assert event.seq is not None
    return event.persisted_at, event.seq


def _decode(cursor: Cursor, kind: str) -> Key:
    at, seq = decode_cursor(cursor, kind, (int, int))
    assert isinstance(at, int)
    assert isinstance(seq, int)
    return at, seq
