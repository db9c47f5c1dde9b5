"""Where the runtime writes what happened, and how often it takes a snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from xcstore.model.definition import Component
from xcstore.model.history import Instance, InstanceSnapshot, PendingTimeout, PersistedEvent
from xcstore.store.base import DefinitionStore, StoredDefinition
from xcstore.units import EpochMs

__all__ = ["EventSink", "Persistence", "PersistenceConfig", "SnapshotSink"]

DEFAULT_SNAPSHOT_INTERVAL = 10


class EventSink(Protocol):
    """The one thing that the runtime asks of an event store; every `EventStore` has it."""

    def append(self, event: PersistedEvent, *, expected_last_id: str | None = None) -> None: ...


class SnapshotSink(Protocol):
    """The one thing that the running engine asks of a snapshot store."""

    def save_snapshot(self, snapshot: InstanceSnapshot) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistenceConfig:
    """What is kept, and where. Several components may share the same stores."""

    event_sourcing: bool = False
    snapshots: bool = False
    snapshot_interval: int = DEFAULT_SNAPSHOT_INTERVAL
    """Transitions of one instance between two snapshots; its end always makes one."""
    event_store: EventSink | None = None
    snapshot_store: SnapshotSink | None = None
    definition_store: DefinitionStore | None = None

    def __post_init__(self) -> None:
        if self.event_sourcing and self.event_store is None:
            raise ValueError("event_sourcing=True needs an event_store to write to")
        if self.snapshots and self.snapshot_store is None:
            raise ValueError("snapshots=True needs a snapshot_store to write to")
        if self.snapshot_interval < 1:
            raise ValueError(f"snapshot_interval is {self.snapshot_interval}; it counts transitions, from 1 on")


class Persistence:
    """Writes events and snapshots of one component as its configuration says."""

    def __init__(self, component: Component, config: PersistenceConfig) -> None:
        self._component_name = component.name
        self._hash = component.hash or None
        self._events = config.event_store if config.event_sourcing else None
        self._snapshots = config.snapshot_store if config.snapshots else None
        self._interval = config.snapshot_interval
        if config.definition_store is not None and component.hash:
            config.definition_store.save_definition(
                StoredDefinition(hash=component.hash, component_name=component.name, document=component.source)
            )

    def append(
        self,
        event_id: str,
        before: str,
        instance: Instance,
        event_type: str,
        payload: object,
        *,
        timestamp: EpochMs,
        persisted_at: EpochMs,
        caused_by: tuple[str, ...],
        source: str | None,
        expected_last_id: str,
    ) -> None:
        """Make one transition durable. `instance` is as it is after it, `before` the state it leaves.

        Raises whatever the store raises; then nothing was written and the transition has not happened.
        """
        if self._events is None:
            return
        self._events.append(
            PersistedEvent(
                id=event_id,
                instance_id=instance.id,
                machine_name=instance.machine_name,
                component_name=self._component_name,
                event_type=event_type,
                payload=payload,
                timestamp=timestamp,
                state_before=before,
                state_after=instance.current_state,
                persisted_at=persisted_at,
                caused_by=caused_by,
                source_component_name=source,
                target_component_name=None if source is None else self._component_name,
                public_member_snapshot=instance.context if instance.public_member is None else instance.public_member,
                definition_hash=self._hash,
            ),
            expected_last_id=expected_last_id,
        )

    def snapshot_due(self, transitions: int, instance: Instance) -> bool:
        """Whether the transition just made asks for a snapshot."""
        return self._snapshots is not None and (instance.status != "active" or transitions % self._interval == 0)

    def save_snapshot(
        self, instance: Instance, at: EpochMs, last_event_id: str, pending: Iterable[PendingTimeout]
    ) -> None:
        if self._snapshots is not None:
            self._snapshots.save_snapshot(
                InstanceSnapshot(
                    instance=instance,
                    snapshot_at=at,
                    last_event_id=last_event_id,
                    pending_timeouts=tuple(pending),
                )
            )
