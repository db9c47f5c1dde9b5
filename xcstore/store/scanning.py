"""An event store over a backend that orders events by time, and knows little else.

Redis and InfluxDB give the events of a range of time, in batches; what they cannot be asked is answered here, by
looking at these. A batch is held at a time: an answer costs what was looked at, not what is stored. What a backend can
answer by itself it does, by overriding the method.
"""

from __future__ import annotations

import heapq
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from xcstore.errors import ReadOnlyStoreError, StoreTimeoutError
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.store import filtering
from xcstore.store.base import (
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
    Trace,
)
from xcstore.store.cancelling import RunningQueries
from xcstore.store.codec import NO_REDACTION, Redaction
from xcstore.store.cursors import decode_cursor, encode_cursor
from xcstore.store.reading import only_event, sorted_counts, stream_after
from xcstore.store.scanned_instances import Lifetime, Source, counted_states, find_instances
from xcstore.store.scanned_rows import Key, Row, decoded
from xcstore.store.scanned_traces import Effects, walk
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Question", "ScanningEventStore", "Scope"]

_BATCH: Final = 1_000
_ALL: Final = EventQuery()


class Scope(NamedTuple):
    """Among which events is looked."""

    query: EventQuery
    """Conditions that the backend may use to leave out what does not meet them; times and instances are not among
    these."""
    instance_id: str | None = None
    """None: those of all instances."""


class Question:
    """One question with its time limit; asked between batches whether it is still to be answered."""

    def __init__(self, identity: str, limit_ms: int) -> None:
        self._identity: Final = identity
        self._limit_ms: Final = limit_ms
        self._deadline = time.monotonic() + limit_ms / 1000
        self._withdrawn: Final = threading.Event()

    def withdraw(self) -> None:
        self._withdrawn.set()

    def check(self) -> None:
        """`StoreTimeoutError` where nobody wants the answer any more."""
        if self._withdrawn.is_set() or time.monotonic() > self._deadline:
            raise StoreTimeoutError(f"{self._identity} took longer than {self._limit_ms / 1000:g} s, or was withdrawn")

    def check_step(self) -> None:
        """As `check`; what follows has its own time limit."""
        self.check()
        self._deadline = time.monotonic() + self._limit_ms / 1000


class ScanningEventStore(ABC):
    """Reading, from batches of rows in order of time; see `store.base.EventStore` for what it promises.

    Page order is (`persisted_at`, `id`), ids by their bytes.

    Parameters
    ----------
    identity : str
        The URL without password.
    read_only : bool
    redact : Redaction
        Masks payload paths in all that is read, and so in what searches can find.
    statement_timeout_ms : int
        After which a question is given up, with `StoreTimeoutError`.
    search_seconds : float
        When a search through text gives up, see `Page.searched_to`.
    """

    layout: Layout = "documents"
    keeps_outbox = False
    declares: ClassVar[frozenset[Feature]] = frozenset()
    """What it can do of that which not every backend can; the contract suite asks for no more."""

    def __init__(
        self,
        identity: str,
        *,
        read_only: bool,
        redact: Redaction = NO_REDACTION,
        statement_timeout_ms: int = 10_000,
        search_seconds: float = 3.0,
    ) -> None:
        self._identity: Final = identity
        self._read_only: Final = read_only
        self._redact: Final = redact
        self._statement_timeout_ms: Final = statement_timeout_ms
        self._search_seconds: Final = search_seconds
        self._running: Final = RunningQueries()

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def read_only(self) -> bool:
        return self._read_only

    def cancel_running(self, owner: Hashable) -> int:
        """Cancel what runs under `cancelling.running_for(owner)`, from any thread; returns how many there were."""
        return self._running.cancel(owner)

    # What a backend brings

    @abstractmethod
    def _read_rows(
        self, scope: Scope, low: int | None, high: int | None, *, newest_first: bool, limit: int
    ) -> list[Row]:
        """The first `limit` rows of these moments (both included) in order of time, from the end for `newest_first`.

        Within a moment in any order, as long as it is the same each time. Fewer than `limit` means: no more.
        """

    @abstractmethod
    def _read_moment(self, scope: Scope, moment: int) -> Iterator[list[Row]]:
        """All rows of one moment, a batch at a time; for moments of more rows than a batch."""

    @abstractmethod
    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]: ...

    @abstractmethod
    def _effects(self, question: Question) -> Effects:
        """What reads the effects of events; called once for each trace."""

    @abstractmethod
    def _lifetimes(self, instance_ids: Sequence[str]) -> Mapping[str, Lifetime]:
        """First and last time and the number of events of instances; those without any are left out."""

    def _moment_beside(self, moment: int, *, before: bool) -> int | None:
        """The next moment that the backend can tell from this one; None where there is none."""
        return moment - 1 if before else moment + 1

    def _moment_of(self, at: int) -> int:
        """The moment of an event of this `persisted_at`: coarser where the backend's times are."""
        return at

    # Writing: a backend that can be written overrides

    def _refuse(self) -> ReadOnlyStoreError:
        return ReadOnlyStoreError(f"{self.identity} is only read; nothing was written")

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        raise self._refuse()

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        raise self._refuse()

    def delete_events(self, event_ids: Iterable[str]) -> int:
        raise self._refuse()

    def change_outbox(self, change: OutboxChange) -> None:
        raise self._refuse()

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        return ()

    # One stream, one event

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        rows = [row for batch in self._batches(Scope(_ALL, instance_id)) for row in batch]
        return order_stream(self._decoded(row) for row in rows)

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        holds = filtering.condition(EventQuery(event_types=tuple(event_types), start=start))
        streams: dict[str, Sequence[PersistedEvent]] = {}
        with self._asking() as question:
            for instance_id in dict.fromkeys(instance_ids):
                scope = Scope(EventQuery(event_types=tuple(event_types)), instance_id)
                rows: list[Row] = []
                for batch in self._batches(scope, start=start):
                    question.check()
                    rows += (row for row in batch if holds(row.event))
                if rows:
                    streams[instance_id] = order_stream(self._decoded(row) for row in rows)
        return streams

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        return stream_after(self.get_events_for_instance(instance_id), instance_id, last_event_id)

    def get_event(self, event_id: str) -> PersistedEvent:
        return only_event(self.get_events([event_id]), event_id, self.identity)

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        with self._asking() as question:
            found = self._effects(question)([event_id]).get(event_id, ())
        return sorted(found, key=lambda event: (event.persisted_at, event.id))

    # Many events

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]:
        with self._asking() as question:
            return [self._decoded(row) for row in self._matching(EventQuery(start=start, end=end), question)]

    def get_all_events(self) -> Iterator[PersistedEvent]:
        for batch in self._batches(Scope(_ALL)):
            yield from (self._decoded(row) for row in batch)

    def find(
        self, query: EventQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = False
    ) -> Page[PersistedEvent]:
        filtering.check_query(query, self._redact)
        filtering.check_limit(limit)
        kind = "events-desc" if newest_first else "events-asc"
        key = None if after is None else self._decode_cursor(after, kind)
        holds = self._condition(query)
        search_until = time.monotonic() + self._search_seconds if query.text else None
        size = min(_BATCH, limit + 1) if _is_open(query) else _BATCH
        found: list[Row] = []
        with self._asking() as question:
            for batch in self._candidates(query, key, newest_first=newest_first, size=size):
                found += islice((row for row in batch if holds(row)), limit + 1 - len(found))
                if len(found) > limit:
                    return self._page(found[:limit], kind, goes_on_from=found[limit - 1])
                if search_until is None:
                    question.check()
                elif time.monotonic() >= search_until:
                    page = self._page(found, kind, goes_on_from=batch[-1])
                    return replace(page, searched_to=EpochMs(batch[-1].at))
        return self._page(found, kind)

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        filtering.check_count(by, bucket_ms)
        filtering.check_query(query, self._redact)
        with self._asking() as question:
            counts = Counter(
                (
                    tuple(getattr(row.event, name) for name in by),
                    None if bucket_ms is None else row.at // bucket_ms * bucket_ms,
                )
                for row in self._matching(query, question)
            )
        return sorted_counts(counts, by, bucket_ms)

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        ends = [self._read_rows(Scope(_ALL), None, None, newest_first=last, limit=1) for last in (False, True)]
        if not ends[0] or not ends[1]:
            return None
        return EpochMs(ends[0][0].at), EpochMs(ends[1][0].at)

    def to_arrow(
        self,
        query: EventQuery,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> pa.Table:
        from xcstore.store.arrow_tables import events_table  # pyarrow takes a while to import

        filtering.check_query(query, self._redact)
        with self._asking() as question:
            rows = islice(self._matching(query, question, newest_first=newest_first), limit)
            return events_table(((None, self._decoded(row)) for row in rows), columns)

    # Instances

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        filtering.check_limit(limit)
        kind = "instances-desc" if newest_first else "instances-asc"
        key = None if after is None else self._decode_instance_cursor(after, kind)
        with self._asking() as question:
            found = find_instances(self._instances_source(question), query, key, limit, newest_first=newest_first)
        last = found[limit - 1] if len(found) > limit else None
        return Page(
            items=tuple(found[:limit]),
            next=None if last is None else encode_cursor(kind, last.updated_at, last.last_event_id),
        )

    def count_instances(self, query: InstanceQuery) -> Sequence[StateCount]:
        with self._asking() as question:
            return counted_states(self._instances_source(question), query)

    # Causes

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        filtering.check_trace(direction, max_events)
        with self._asking() as question:
            root = self.get_event(event_id)
            return walk(root, direction, max_events, self.get_events, self._effects(question), question.check_step)

    # Rows

    @contextmanager
    def _asking(self) -> Iterator[Question]:
        """A question that another thread can withdraw, and that ends with its time limit."""
        question = Question(self.identity, self._statement_timeout_ms)
        with self._running.cancellable(question.withdraw):
            yield question

    def _batches(
        self,
        scope: Scope,
        *,
        start: int | None = None,
        end: int | None = None,
        after: Key | None = None,
        newest_first: bool = False,
        size: int = _BATCH,
    ) -> Iterator[list[Row]]:
        """Rows of a range of time in page order, whole moments at a time (but for those larger than a batch).

        Where there is no event of a later moment, an event appended meanwhile neither repeats nor hides any.
        """
        low = None if start is None else self._moment_of(start)
        high = None if end is None else self._moment_of(end)
        if after is not None and newest_first:
            high = after.moment if high is None else min(high, after.moment)
        elif after is not None:
            low = after.moment if low is None else max(low, after.moment)
        while low is None or high is None or low <= high:
            rows = self._read_rows(scope, low, high, newest_first=newest_first, limit=size)
            if len(rows) < size:
                yield from _in_page_order(rows, after, newest_first=newest_first)
                return
            # The last moment may go on after the batch: it is read again, whole.
            edge = rows[-1].key.moment
            whole = [row for row in rows if row.key.moment != edge]
            if whole:
                yield from _in_page_order(whole, after, newest_first=newest_first)
                following = edge
            elif size < _BATCH:
                size, following = _BATCH, edge
            else:
                yield from self._large_moment(scope, edge, after, newest_first=newest_first)
                beyond = self._moment_beside(edge, before=newest_first)
                if beyond is None:
                    return
                following = beyond
            if newest_first:
                high = following
            else:
                low = following
            size = _BATCH

    def _large_moment(self, scope: Scope, moment: int, after: Key | None, *, newest_first: bool) -> Iterator[list[Row]]:
        """The rows of a moment that is not to be held whole: the next batch is picked from all of them each time."""
        pick = heapq.nlargest if newest_first else heapq.nsmallest
        while True:
            rows = (row for batch in self._read_moment(scope, moment) for row in batch)
            best = pick(_BATCH, (row for row in rows if _is_beyond(row, after, newest_first)), key=lambda row: row.key)
            if best:
                yield best
            if len(best) < _BATCH:
                return
            after = best[-1].key

    def _candidates(
        self, query: EventQuery, after: Key | None = None, *, newest_first: bool = False, size: int = _BATCH
    ) -> Iterator[list[Row]]:
        """Batches in page order, among which are all that the query asks for."""
        conditions = replace(query, instance_ids=(), start=None, end=None)
        ids: list[str | None] = [*dict.fromkeys(query.instance_ids)] or [None]
        readers = [
            self._batches(
                Scope(conditions, instance_id),
                start=query.start,
                end=query.end,
                after=after,
                newest_first=newest_first,
                size=size,
            )
            for instance_id in ids
        ]
        if len(readers) == 1:
            yield from readers[0]
            return
        rows = [(row for batch in reader for row in batch) for reader in readers]
        merged = heapq.merge(*rows, key=lambda row: row.key, reverse=newest_first)
        while batch := list(islice(merged, _BATCH)):
            yield batch

    def _matching(self, query: EventQuery, question: Question, *, newest_first: bool = False) -> Iterator[Row]:
        holds = None if query == _ALL else self._condition(query)
        for batch in self._candidates(query, newest_first=newest_first):
            question.check()
            yield from batch if holds is None else filter(holds, batch)

    def _condition(self, query: EventQuery) -> Callable[[Row], bool]:
        holds = filtering.condition(query)
        if self._redact:
            return lambda row: holds(self._decoded(row))
        return lambda row: holds(row.event)

    def _decoded(self, row: Row) -> PersistedEvent:
        return decoded(row, self._redact)

    def _page(self, rows: Sequence[Row], kind: str, goes_on_from: Row | None = None) -> Page[PersistedEvent]:
        key = None if goes_on_from is None else goes_on_from.key
        return Page(
            items=tuple(self._decoded(row) for row in rows),
            next=None if key is None else encode_cursor(kind, key.at, key.id, key.tie),
        )

    def _decode_cursor(self, cursor: Cursor, kind: str) -> Key:
        at, event_id, tie = decode_cursor(cursor, kind, (int, str, str))
        assert isinstance(at, int)
        return Key(self._moment_of(at), at, str(event_id), str(tie))

    def _decode_instance_cursor(self, cursor: Cursor, kind: str) -> tuple[int, str]:
        at, event_id = decode_cursor(cursor, kind, (int, str))
        assert isinstance(at, int)
        return at, str(event_id)

    def _instances_source(self, question: Question) -> Source:
        def batches(newest_first: bool) -> Iterator[list[Row]]:
            for batch in self._batches(Scope(_ALL), newest_first=newest_first):
                question.check()
                yield batch

        return Source(batches, self.get_streams, self._lifetimes)


def _is_open(query: EventQuery) -> bool:
    """Whether a page is filled by the first events that are read."""
    return replace(query, start=None, end=None, instance_ids=()) == _ALL


def _is_beyond(row: Row, after: Key | None, newest_first: bool) -> bool:
    return after is None or (row.key < after if newest_first else row.key > after)


def _in_page_order(rows: list[Row], after: Key | None, *, newest_first: bool) -> Iterator[list[Row]]:
    """These rows as a batch; no batch where none is left."""
    left = [row for row in rows if _is_beyond(row, after, newest_first)]
    if left:
        left.sort(key=lambda row: row.key, reverse=newest_first)
        yield left
