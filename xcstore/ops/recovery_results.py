"""The preview of a recovery: what `ops.recovery_plan` finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from xcstore.units import EpochMs

__all__ = ["REASONS", "Conflict", "EventRepair", "Reason", "RecoveryPlan", "Skipped", "SnapshotRepair"]

Reason = Literal["missing", "behind", "disagrees", "unknown_event", "events_added"]
REASONS: Final[Mapping[Reason, str]] = {
    "missing": "it has no snapshot",
    "behind": "its snapshot is older than its last event",
    "disagrees": "its snapshot disagrees with its events",
    "unknown_event": "its snapshot follows an event that is not in its history",
    "events_added": "events are added to it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRepair:
    """A snapshot that would be made from the events."""

    instance_id: str
    component_name: str
    machine_name: str
    reason: Reason
    state: str
    """That it would show."""
    last_event_id: str
    """Of the instance; where it is another by the time of the recovery, nothing is written."""
    replaces: str = ""
    """Fingerprint of the latest snapshot now; '' for none."""
    text: str = ""
    """How the present one differs, where it disagrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRepair:
    """Events of one instance that the backup has and the store lacks."""

    instance_id: str
    component_name: str
    machine_name: str
    event_ids: tuple[str, ...]
    """In stream order."""
    last_event_id: str
    """Of the instance in the store now; '' where it is not there at all."""
    state: str
    """In which it would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """An event that store and backup both have, with other content."""

    event_id: str
    instance_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something that is left as it is."""

    instance_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPlan:
    """The preview: exactly what would be written."""

    store: str
    source: str | None
    asked_at: EpochMs
    snapshots: tuple[SnapshotRepair, ...] = ()
    events: tuple[EventRepair, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    """The first of them; while there is one, nothing is recovered."""
    conflict_count: int = 0
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.snapshots and not self.events

    @property
    def event_count(self) -> int:
        return sum(len(one.event_ids) for one in self.events)

    @property
    def writes(self) -> int:
        """Events and snapshots that would be written: what is typed to confirm."""
        return self.event_count + len(self.snapshots)

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {**asdict(self), "event_count": self.event_count, "writes": self.writes}
