"""The contract of every store, in prose and types. `tests/contract/` checks each promise on each backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, Literal, NewType, Protocol, TypeVar, get_args

from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import pyarrow as pa

    from xcstore.model.history import InstanceSnapshot, PersistedEvent

__all__ = [
    "Count",
    "CountBy",
    "Cursor",
    "DefinitionStore",
    "Direction",
    "EventQuery",
    "EventStore",
    "FEATURES",
    "Feature",
    "InstanceQuery",
    "InstanceSummary",
    "Layout",
    "OutboxChange",
    "Page",
    "PoolUse",
    "SnapshotStore",
    "StateCount",
    "StoreStatus",
    "StoredDefinition",
    "StoredWork",
    "Stores",
    "Trace",
]

T = TypeVar("T", covariant=True)

Cursor = NewType("Cursor", str)
"""Where a page ended. Opaque; valid for the same store, query and order only."""

Direction = Literal["effects", "causes", "both"]
Layout = Literal["ours", "documented", "shipped", "documents"]
"""`ours`: the documented tables or collections with ours beside them. `documented`, `shipped`: the tables of others.
`documents`: camelCase documents, in memory or as others or other backends keep them."""
Feature = Literal[
    "append",
    "append_many_whole",
    "expected_last_id",
    "outbox",
    "delete",
    "snapshots",
    "definitions",
    "any_time",
    "large_values",
]
FEATURES: Final[frozenset[Feature]] = frozenset(get_args(Feature))
"""All that a backend can promise; most promise all of it."""
CountBy = Literal["component_name", "machine_name", "event_type", "state_before", "state_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events. All conditions hold together; within a tuple, any of the values; empty means no condition."""

    components: tuple[str, ...] = ()
    """'' finds events without a component."""
    machines: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    instance_ids: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    """States that the event led to (`state_after`)."""
    states_before: tuple[str, ...] = ()
    start: EpochMs | None = None
    """Earliest `persisted_at`, included."""
    end: EpochMs | None = None
    """Latest `persisted_at`, included."""
    text: str = ""
    """Case-insensitive part of the id, instance id, event type, or of any value or key of the payload."""
    payload_path: tuple[str, ...] = ()
    """Keys (or list positions as text) from the payload's root; with `payload_value`."""
    payload_value: str = ""
    """The scalar at `payload_path`, as text: '42' finds 42 and '42'; 'true', 'false' and 'null' as in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceQuery:
    """Which instances, by what their last event says."""

    components: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    """Current state: `state_after` of the last event."""
    instance_ids: tuple[str, ...] = ()
    id_prefix: str = ""
    updated_from: EpochMs | None = None
    updated_to: EpochMs | None = None
    """Bounds of the last event's `persisted_at`, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items, and where to go on."""

    items: tuple[T, ...]
    next: Cursor | None = None
    """None: there is no more."""
    searched_to: EpochMs | None = None
    """Set when a search through text stopped at its time limit: it has looked at everything up to here;
    `next` goes on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many events share these values, in this bucket of time."""

    key: tuple[str, ...]
    """Values of `by`, in its order."""
    bucket: EpochMs | None
    """Start of the bucket: a multiple of its length since the epoch; None without `bucket_ms`."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSummary:
    """One instance as its events tell it. State and times are those of the first and last event in stream order."""

    instance_id: str
    component_name: str
    machine_name: str
    state: str
    created_at: EpochMs
    updated_at: EpochMs
    event_count: int
    last_event_id: str
    last_event_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCount:
    """How many instances of a machine are in a state now, and since when the first and the last of them."""

    component_name: str
    machine_name: str
    state: str
    count: int
    oldest_updated_at: EpochMs
    newest_updated_at: EpochMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The neighbourhood of one event along recorded causes (`caused_by`), as stored.

    `events` start with the one asked for and go breadth first, nearest first, then by time and id.
    Cycles are walked once.
    """

    root_id: str
    events: tuple[PersistedEvent, ...]
    links: tuple[tuple[str, str], ...]
    """(cause id, effect id) between loaded events, and from missing causes to loaded events."""
    missing: tuple[str, ...] = ()
    """Ids named as causes of a loaded event that are not in the store."""
    truncated: bool = False
    """True when more events than `max_events` are connected."""
    unread: int = 0
    """When truncated: how many directly connected events are known but not loaded (at least this many are left)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWork:
    """Something that a runtime has still to do, kept in one transaction with the event that asked for it."""

    id: str
    """At most 50 characters."""
    position: int
    """The order in which it is to be done, ascending; may be negative, to come before what is there. 64 bits."""
    component_name: str
    """Whose work it is."""
    document: Mapping[str, object] = field(hash=False)
    """JSON; the runtime's own. Not to be changed after it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxChange:
    """What is taken out of the outbox, and then put in."""

    add: tuple[StoredWork, ...] = ()
    """An id that is present is replaced; of one id twice, the last counts."""
    remove: tuple[str, ...] = ()
    """Unknown ids: nothing happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """The connections of one store at this moment."""

    maximum: int
    open: int
    in_use: int
    waiting: int = 0
    """Callers that wait for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """What a store knows about itself without reading what it holds."""

    server: str
    """Product and version: 'PostgreSQL 18.4'."""
    size_bytes: int | None = None
    """On disk, or in the server's memory: events, snapshots, indexes and what is kept beside; None: not known."""
    event_count: int | None = None
    event_count_is_exact: bool = True
    """False: an estimate of the database's own."""
    pool: PoolUse | None = None
    """None where there are no connections."""


class EventStore(Protocol):
    """Append-only history.

    Every backend keeps these promises:

    1. Reads have one total, repeatable order. A stream is ordered by `model.ordering.order_stream`; pages over
       several instances by (`persisted_at`, `seq`) where the store is ours, (`persisted_at`, `id`) in byte order
       elsewhere. It is not causal order; see `analysis.causality`.
    2. Appending an id that is present raises `DuplicateEventError` and changes nothing; so does an id that is twice
       in one batch.
    3. Time ranges include both ends. Times are UTC epoch milliseconds.
    4. An unknown instance has an empty stream; that is not an error.
    5. Paging gives every row exactly once, also at equal times, and rows appended later never repeat or hide others.
    6. What cannot be written (`store.codec.LIMITS`) raises `LimitExceededError` before anything is written;
       a batch is written whole or not at all.
    7. A store opened read-only refuses writes with `ReadOnlyStoreError`, and the database refuses them as well.
    8. Driver errors come out as `StoreError`s, without passwords.
    9. Odd stored values are decoded with `faults`, never raised.
    10. Objects are safe to share between threads.
    11. Where `keeps_outbox`, an event and the change of the outbox that comes with it are written together or not at
        all, and stay written when the process is killed.
    """

    @property
    def identity(self) -> str:
        """The URL without password: what caches and pages name the store by."""
        ...

    @property
    def layout(self) -> Layout: ...

    @property
    def read_only(self) -> bool: ...

    @property
    def declares(self) -> frozenset[Feature]:
        """What of this contract the backend keeps where the store is one of ours; the rest it refuses.

        `append_many_whole`: a batch goes in whole or not at all; `expected_last_id`: checked and appended in one step;
        `any_time`: every time of 64 bits; `large_values`: all that `store.codec.LIMITS` allows.
        """
        ...

    @property
    def keeps_outbox(self) -> bool:
        """Whether this store has an outbox: those of ours do, those of other writers do not."""
        ...

    def append(
        self, event: PersistedEvent, *, expected_last_id: str | None = None, outbox: OutboxChange | None = None
    ) -> None:
        """Add one event, durable when this returns.

        `expected_last_id`: id of the event that must be the last of the instance now ('' for none yet), else
        `ConcurrencyError`; None checks nothing. `outbox`: changed in the same transaction.
        """
        ...

    def change_outbox(self, change: OutboxChange) -> None:
        """Change it whole or not at all, durable when this returns. Stores that have none refuse as they do writes."""
        ...

    def get_outbox(self, component_name: str | None = None) -> Sequence[StoredWork]:
        """What is still to do, of one component or of all, by (`position`, `id`); nothing in stores without one.

        Where the store may be written to, what others have begun to write is waited for: a server finishes what a
        killed process has sent, and whoever goes on in its place has to know.
        """
        ...

    def append_many(self, events: Iterable[PersistedEvent]) -> int:
        """Add all, or none; returns how many."""
        ...

    def get_events_for_instance(self, instance_id: str) -> Sequence[PersistedEvent]:
        """The whole stream. Views that may meet a long one use `find`."""
        ...

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        """Whole streams of many instances, in the order of the ids; those without such events are left out.

        The cost follows the events of these instances, not what is stored; all are in memory at once, so ask for some
        hundred at a time. With `event_types` or `start` (included), each stream is what `order_stream` makes of the
        events that are left. Each is of one moment, but not all of the same.
        """
        ...

    def get_events_by_time_range(self, start: EpochMs, end: EpochMs) -> Sequence[PersistedEvent]: ...

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        """Events that name `event_id` in `caused_by`, in page order."""
        ...

    def get_all_events(self) -> Iterator[PersistedEvent]:
        """Everything in page order, streaming; holds at most one batch in memory."""
        ...

    def get_events_after_snapshot(self, instance_id: str, last_event_id: str) -> Sequence[PersistedEvent]:
        """The stream after that event; `UnknownEventError` where it is '' or not in the stream."""
        ...

    def get_event(self, event_id: str) -> PersistedEvent:
        """`NotFoundError` where there is none."""
        ...

    def get_events(self, event_ids: Iterable[str]) -> Mapping[str, PersistedEvent]:
        """Those of the ids that are stored."""
        ...

    def find(
        self, query: EventQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = False
    ) -> Page[PersistedEvent]:
        """A page by keyset; at most `limit` events. With `text` it may come back short, see `Page.searched_to`."""
        ...

    def count(
        self, query: EventQuery, *, by: Sequence[CountBy] = (), bucket_ms: DurationMs | None = None
    ) -> Sequence[Count]:
        """Exact counts, sorted by key and bucket. Without `by` and bucket: one row, also when it is 0."""
        ...

    def time_range(self) -> tuple[EpochMs, EpochMs] | None:
        """First and last `persisted_at`; None when empty."""
        ...

    def instances(
        self, query: InstanceQuery, *, after: Cursor | None = None, limit: int = 100, newest_first: bool = True
    ) -> Page[InstanceSummary]:
        """A page by keyset, ordered by (`updated_at`, order of the last event)."""
        ...

    def count_instances(self, query: InstanceQuery) -> Sequence[StateCount]:
        """Instances per component, machine and current state, sorted by these."""
        ...

    def trace(self, event_id: str, direction: Direction = "both", max_events: int = 500) -> Trace:
        """Follow recorded causes; `NotFoundError` for an unknown event."""
        ...

    def to_arrow(
        self,
        query: EventQuery,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> pa.Table:
        """Events as an Arrow table in page order: the fast road of `frames`, which documents the columns.

        Times are int64 epoch ms; `payload`, `context`, `public_member_snapshot` are JSON text; `caused_by` and
        `caused` are lists of text. `text` and payload conditions are answered as in `find`. Numbers may be written as
        the backend writes them (JSONB: 1e2 as 100).
        """
        ...

    def delete_events(self, event_ids: Iterable[str]) -> int:
        """Remove events, for retention; returns how many there were. Unknown ids: nothing happens.

        All or none where the backend has transactions. What is kept beside them in stores of ours follows: an
        instance without events is no instance any more. Also in stores of other writers, where they were opened for
        writing, as nothing of ours is put there. Refused, as any write, by stores opened for reading.
        """
        ...

    def status(self) -> StoreStatus:
        """Asked often: costs a few milliseconds, whatever is stored."""
        ...

    def close(self) -> None: ...


class SnapshotStore(Protocol):
    """The latest known state of instances, and where we own the store the last few."""

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None:
        """Replace the latest snapshot of its instance."""
        ...

    def save_snapshots(self, snapshots: Iterable[InstanceSnapshot]) -> int:
        """Save all, in their order, or none; returns how many. An instance may have several."""
        ...

    def get_snapshot(self, instance_id: str) -> InstanceSnapshot | None:
        """The latest; None where there is none."""
        ...

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        """The latest of each instance that has one."""
        ...

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        """The latest of each instance by instance id, streaming."""
        ...

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        """All that are kept, oldest first; at most the latest in stores that keep one."""
        ...

    def find(self, *, after: Cursor | None = None, limit: int = 100) -> Page[InstanceSnapshot]:
        """A page of latest snapshots by instance id."""
        ...

    def delete_snapshot(self, instance_id: str) -> None:
        """Unknown instance: nothing happens."""
        ...

    def count_beyond(self, keep: int) -> int:
        """How many kept snapshots are older than the last `keep` (1 or more) of their instance."""
        ...

    def trim(self, keep: int) -> int:
        """Remove these; returns how many. The latest of an instance always stays."""
        ...

    def count(self) -> int: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDefinition:
    """A component document kept beside the events that it governed."""

    hash: str
    component_name: str
    document: Mapping[str, object] = field(hash=False)


class DefinitionStore(Protocol):
    """Definitions by hash. Empty, and read-only, in stores that are not ours."""

    def save_definition(self, definition: StoredDefinition) -> None:
        """Keep it; a hash that is present is left as it is."""
        ...

    def get_all_definitions(self) -> Sequence[StoredDefinition]:
        """In order of first saving."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What one URL opens. Use as a context manager, or call `close`."""

    events: EventStore
    snapshots: SnapshotStore
    definitions: DefinitionStore

    @property
    def identity(self) -> str:
        return self.events.identity

    def close(self) -> None:
        self.events.close()
        self.snapshots.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
