"""How a snapshot compares with the events of its instance. Facts only: a lag is normal, a difference may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xcstore.analysis.context import Change, ContextStep, diff
from xcstore.model.history import InstanceSnapshot
from xcstore.units import DurationMs

__all__ = ["SnapshotFacts", "compare_snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFacts:
    """One snapshot against the stream."""

    snapshot: InstanceSnapshot
    anchor: Literal["last event id", "time", "none"]
    """What it was compared by: the event it names; where it names none, the last event stored up to its time."""
    event_id: str = ""
    """The event it was compared with; '' where there is none among the events."""
    events_behind: int | None = None
    """Events after that one."""
    behind_ms: DurationMs | None = None
    """From that event to the last one."""
    state_agrees: bool | None = None
    changes: tuple[Change, ...] | None = None
    """From the instance's values after that event to those in the snapshot; None where they cannot be compared."""


def compare_snapshot(snapshot: InstanceSnapshot, steps: Sequence[ContextStep]) -> SnapshotFacts:
    """What the snapshot says against the steps of its instance, in stream order."""
    position, anchor = _position(snapshot, steps)
    if position is None:
        return SnapshotFacts(snapshot=snapshot, anchor=anchor)
    step = steps[position]
    instance = snapshot.instance
    held = instance.public_member if instance.public_member is not None else instance.context
    return SnapshotFacts(
        snapshot=snapshot,
        anchor=anchor,
        event_id=step.event.id,
        events_behind=len(steps) - 1 - position,
        behind_ms=DurationMs(steps[-1].event.persisted_at - step.event.persisted_at),
        state_agrees=instance.current_state == step.event.state_after,
        changes=diff(step.values, held),
    )


def _position(
    snapshot: InstanceSnapshot, steps: Sequence[ContextStep]
) -> tuple[int | None, Literal["last event id", "time", "none"]]:
    if snapshot.last_event_id:
        for position in range(len(steps) - 1, -1, -1):
            if steps[position].event.id == snapshot.last_event_id:
                return position, "last event id"
        return None, "last event id"
    for position in range(len(steps) - 1, -1, -1):
        if steps[position].event.persisted_at <= snapshot.snapshot_at:
            return position, "time"
    return None, "none"
