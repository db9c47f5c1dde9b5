"""What a store holds: events, snapshots, and the instances they speak of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from xcstore.units import DurationMs, EpochMs

__all__ = [
    "CREATION",
    "Instance",
    "InstanceSnapshot",
    "OpenEvent",
    "PendingTimeout",
    "PersistedEvent",
    "Status",
    "new_event",
]

CREATION: Final = "INSTANCE_CREATED"
"""Event type of the first event of an instance; its `state_before` is ''."""

Status = Literal["active", "completed", "error"]

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistedEvent:
    """One event as the store holds it. Never changed after it is appended.

    Text that is absent in the store is '' here, and a list that is absent is (): the codec remembers in
    `original` which of the two it was, so that what goes out equals what came in.
    """

    id: str
    instance_id: str
    machine_name: str
    component_name: str = ""
    event_type: str
    payload: object = field(default_factory=dict, hash=False)
    """Any JSON value; an object in nearly every store."""
    timestamp: EpochMs | None = None
    """When the event was made (`event.timestamp`), as against stored; None where not recorded."""
    state_before: str = ""
    state_after: str = ""
    persisted_at: EpochMs
    caused_by: tuple[str, ...] = ()
    caused: tuple[str, ...] = ()
    source_component_name: str | None = None
    target_component_name: str | None = None
    public_member_snapshot: JsonObject | None = field(default=None, hash=False)
    context: JsonObject | None = field(default=None, hash=False)
    """Context after the event, in the layouts that store it; None elsewhere: fold it."""
    seq: int | None = field(default=None, compare=False)
    """Order of insertion, in stores that are ours; None elsewhere."""
    definition_hash: str | None = None
    faults: tuple[str, ...] = field(default=(), compare=False)
    """What is odd about the stored form, in words; shown and counted, never hidden."""
    original: JsonObject | None = field(default=None, compare=False, repr=False)
    """The document it was read from; only the codec reads it."""


class OpenEvent:
    """An event whose fields can still be set; see `new_event`."""

    __slots__ = tuple(PersistedEvent.__dataclass_fields__)


def new_event(
    event_id: str,
    instance_id: str,
    machine_name: str,
    component_name: str,
    event_type: str,
    payload: object,
    timestamp: EpochMs,
    state_before: str,
    state_after: str,
    persisted_at: EpochMs,
    caused_by: tuple[str, ...],
    source_component_name: str | None,
    target_component_name: str | None,
    public_member_snapshot: JsonObject | None,
    definition_hash: str | None,
) -> PersistedEvent:
    """The same as `PersistedEvent(...)`, in a seventh of the time.

    For who makes them by the hundred thousand. A frozen dataclass sets each field by a call; here the fields of an
    open twin, which has the same slots, are set, and then it becomes a `PersistedEvent`.
    """
    event: Any = OpenEvent()
    event.id = event_id
    event.instance_id = instance_id
    event.machine_name = machine_name
    event.component_name = component_name
    event.event_type = event_type
    event.payload = payload
    event.timestamp = timestamp
    event.state_before = state_before
    event.state_after = state_after
    event.persisted_at = persisted_at
    event.caused_by = caused_by
    event.caused = ()
    event.source_component_name = source_component_name
    event.target_component_name = target_component_name
    event.public_member_snapshot = public_member_snapshot
    event.context = None
    event.seq = None
    event.definition_hash = definition_hash
    event.faults = ()
    event.original = None
    event.__class__ = PersistedEvent
    made: PersistedEvent = event
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTimeout:
    """A timer that was running when a snapshot was taken."""

    state_key: str
    event_type: str
    remaining_ms: DurationMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running (or finished) state machine.

    `created_at` and `updated_at` are None where the layout does not store them.
    """

    id: str
    machine_name: str
    component_name: str = ""
    current_state: str
    status: Status = "active"
    context: JsonObject = field(default_factory=dict, hash=False)
    public_member: JsonObject | None = field(default=None, hash=False)
    internal_member: JsonObject | None = field(default=None, hash=False)
    created_at: EpochMs | None = None
    updated_at: EpochMs | None = None
    parent_instance_id: str | None = None
    parent_machine_name: str | None = None
    is_entry_point: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSnapshot:
    """An instance as of `last_event_id`."""

    instance: Instance
    snapshot_at: EpochMs
    last_event_id: str = ""
    """'' where the layout does not store it."""
    pending_timeouts: tuple[PendingTimeout, ...] = ()
    status_recorded: bool = True
    """False where the layout has no status (shipped PostgreSQL): 'active' then means 'not known'."""
    timeouts_recorded: bool = field(default=True, compare=False)
    """False where nothing was written about timers, as by the TypeScript runtime: () then means 'not known'."""
    faults: tuple[str, ...] = field(default=(), compare=False)
    original: JsonObject | None = field(default=None, compare=False, repr=False)
