"""Events and snapshots for tests: sensible defaults, ids that count up, everything can be overridden."""

from __future__ import annotations

from itertools import count
from typing import Any

from xcstore.model.history import Instance, InstanceSnapshot, PersistedEvent
from xcstore.units import EpochMs

__all__ = ["START", "event", "snapshot"]

START = EpochMs(1_767_225_600_000)
"""2026-01-01T00:00Z."""

_numbers = count(1)


def event(**overrides: Any) -> PersistedEvent:
    """An event of instance 'i1'; each has a new id and comes one second after the one made before."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "id": f"e{number}",
        "instance_id": "i1",
        "machine_name": "Order",
        "component_name": "Shop",
        "event_type": "PAY",
        "payload": {"amount": 10},
        "state_before": "Created",
        "state_after": "Paid",
        "persisted_at": START + number * 1_000,
    }
    return PersistedEvent(**{**fields, **overrides})


def snapshot(**overrides: Any) -> InstanceSnapshot:
    """A snapshot of a new instance. Fields of the instance and of the snapshot may be given alike."""
    number = next(_numbers)
    instance: dict[str, Any] = {
        "id": f"i{number}",
        "machine_name": "Order",
        "component_name": "Shop",
        "current_state": "Paid",
        "context": {"amount": 10},
        "created_at": START,
        "updated_at": START + number * 1_000,
    }
    fields: dict[str, Any] = {"snapshot_at": START + number * 1_000, "last_event_id": f"e{number}"}
    of_snapshot = {"snapshot_at", "last_event_id", "pending_timeouts", "status_recorded", "faults", "original"}
    for name, value in overrides.items():
        (fields if name in of_snapshot or name == "instance" else instance)[name] = value
    fields.setdefault("instance", Instance(**instance) if "instance" not in overrides else None)
    return InstanceSnapshot(**fields)
