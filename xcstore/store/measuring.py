"""Stores that keep how long each call took, see `store.latency`. Everything else is as in the store within.

Not for stores in memory: what would be measured there takes as long as the measuring.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from xcstore.store.base import (
    Count,
    CountBy,
    Cursor,
    Direction,
    EventQuery,
    EventStore,
    Feature,
    InstanceQuery,
    InstanceSummary,
    Layout,
    OutboxChange,
    Page,
    SnapshotStore,
    StateCount,
    StoredWork,
    Stores,
    StoreStatus,
    Trace,
)
from xcstore.store.latency import APPEND, DEFAULT_ALERT_MS, Latency, latency_of
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    import pyarrow as pa

    from xcstore.model.history import InstanceSnapshot, PersistedEvent

__all__ = ["MeasuredEventStore", "MeasuredSnapshotStore", "measured"]


def measured(stores: Stores, *, alert_ms: float = DEFAULT_ALERT_MS) -> Stores:
    """The same stores, measured. Closing these closes those.

    Parameters
    ----------
    stores : Stores
    alert_ms : float
        Appends that take longer are warned of through `logging`.
    """
    latency = latency_of(stores.identity)
    latency.alert_ms = alert_ms
    return replace(
        stores,
        events=MeasuredEventStore(stores.events, latency),
        snapshots=MeasuredSnapshotStore(stores.snapshots, latency),
    )


class _Measured:
    _inner: Any
    _latency: Latency

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The store within: measured or not, a `SqlEventStore` is one to `isinstance`."""
        inner: type = type(self._inner)
        return inner

    def __getattr__(self, name: str) -> Any:
        """What only some backends have, such as `connect` and `cancel_running`."""
        if name == "_inner":  # asked for before it is there
            raise AttributeError(name)
        return getattr(self._inner, name)

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self._latency.observe(operation, (perf_counter() - started) * 1_000)


class MeasuredEventStore(_Measured):
    """An event store that keeps how long it takes; also when it fails, as one that times out is slow."""

    def __init__(self, inner: EventStore, latency: Latency) -> None:
        self._inner: EventStore = inner
        self._latency = latency

    @property
    def identity(self) -> str:
        return self._inner.identity

    @property
    def layout(self) -> Layout:
        return self._inner.layout

    @property
    def read_only(self) -> bool:
        return self._inner.read_only

    @property
    def declares(self) -> frozenset[Feature]:
        return self._inner.declares

    @property
    def keeps_outbox(self) -> bool:
        return self._inner.keeps_outbox

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        started = perf_counter()  # not `_timed`: a runtime waits for this
        try:
            self._inner.append(event, expected_last_id=expected_last_id, outbox=outbox)
        finally:
            self._latency.observe(APPEND, (perf_counter() - started) * 1_000)

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        with self._timed("append_many"):
            return self._inner.append_many(events)

    def change_outbox(self, change: OutboxChange) -> None:
        with self._timed("change_outbox"):
            self._inner.change_outbox(change)

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        with self._timed("get_outbox"):
            return self._inner.get_outbox(component_name)

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        with self._timed("get_events_for_instance"):
            return self._inner.get_events_for_instance(instance_id)

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        with self._timed("get_streams"):
            return self._inner.get_streams(instance_ids, event_types=event_types, start=start)

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]:
        with self._timed("get_events_by_time_range"):
            return self._inner.get_events_by_time_range(start, end)

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        with self._timed("get_caused_events"):
            return self._inner.get_caused_events(event_id)

    def get_all_events(self) -> Iterator[PersistedEvent]:
        """Not measured: how long it takes is up to whoever reads it."""
        return self._inner.get_all_events()

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        with self._timed("get_events_after_snapshot"):
            return self._inner.get_events_after_snapshot(instance_id, last_event_id)

    def get_event(self, event_id: str) -> PersistedEvent:
        with self._timed("get_event"):
            return self._inner.get_event(event_id)

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        with self._timed("get_events"):
            return self._inner.get_events(event_ids)

    def find(
        self, query: EventQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = False
    ) -> Page[PersistedEvent]:
        with self._timed("search" if query.text or query.payload_path else "find"):
            return self._inner.find(query, after=after, limit=limit, newest_first=newest_first)

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        with self._timed("count"):
            return self._inner.count(query, by=by, bucket_ms=bucket_ms)

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        with self._timed("time_range"):
            return self._inner.time_range()

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        with self._timed("instances"):
            return self._inner.instances(query, after=after, limit=limit, newest_first=newest_first)

    def count_instances(self, query: InstanceQuery) -> Sequence[StateCount]:
        with self._timed("count_instances"):
            return self._inner.count_instances(query)

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        with self._timed("trace"):
            return self._inner.trace(event_id, direction, max_events)

    def to_arrow(
        self,
        query: EventQuery,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> pa.Table:
        with self._timed("to_arrow"):
            return self._inner.to_arrow(query, columns=columns, limit=limit, newest_first=newest_first)

    def delete_events(self, event_ids: Iterable[str]) -> int:
        with self._timed("delete_events"):
            return self._inner.delete_events(event_ids)

    def status(self) -> StoreStatus:
        with self._timed("status"):
            return self._inner.status()

    def close(self) -> None:
        self._inner.close()


class MeasuredSnapshotStore(_Measured):
    """A snapshot store that keeps how long it takes."""

    def __init__(self, inner: SnapshotStore, latency: Latency) -> None:
        self._inner: SnapshotStore = inner
        self._latency = latency

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        with self._timed("save_snapshot"):
            self._inner.save_snapshot(snapshot)

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        with self._timed("save_snapshots"):
            return self._inner.save_snapshots(snapshots)

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        with self._timed("get_snapshot"):
            return self._inner.get_snapshot(instance_id)

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        with self._timed("get_snapshots"):
            return self._inner.get_snapshots(instance_ids)

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        """Not measured: how long it takes is up to whoever reads it."""
        return self._inner.get_all_snapshots()

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        with self._timed("list_snapshots"):
            return self._inner.list_snapshots(instance_id)

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        with self._timed("find_snapshots"):
            return self._inner.find(after=after, limit=limit)

    def delete_snapshot(self, instance_id: str) -> None:
        with self._timed("delete_snapshot"):
            self._inner.delete_snapshot(instance_id)

    def count_beyond(self, keep: int) -> int:
        with self._timed("count_beyond"):
            return self._inner.count_beyond(keep)

    def trim(self, keep: int) -> int:
        with self._timed("trim"):
            return self._inner.trim(keep)

    def count(self) -> int:
        with self._timed("count_snapshots"):
            return self._inner.count()

    def close(self) -> None:
        self._inner.close()
