"""What a runtime remembers of a live instance. Private to the runtime.

Its values stand open here and become an `Instance` only when somebody looks: making one for each transition would take
as long as the transition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xcstore.model.history import Instance, PendingTimeout, Status
from xcstore.runtime.clock import Timer
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    from xcstore.runtime.executor import Attempt
    from xcstore.runtime.interpreter import MachineTable, Move
    from xcstore.runtime.work import Send

__all__ = ["Causes", "Live", "RunningTimer"]

Causes = tuple[str, ...]
"""Ids of the events that asked for something."""


@dataclass(slots=True, eq=False)
class RunningTimer:
    """A timer of one instance, kept until its event has been processed."""

    event_type: str
    due: EpochMs
    causes: Causes
    """The event that entered the state."""
    timer: Timer | None = None
    work: Send = field(init=False)
    """What it will do."""


@dataclass(slots=True, eq=False)
class Live:
    """An instance, and what the runtime remembers beside it. Mappings are replaced, never changed."""

    id: str
    table: MachineTable
    state: str
    status: Status
    context: Mapping[str, object]
    public: Mapping[str, object] | None
    internal: Mapping[str, object] | None
    created_at: EpochMs | None
    updated_at: EpochMs | None
    parent_id: str | None
    parent_machine: str | None
    is_entry_point: bool
    last_event_id: str
    machine_name: str = field(init=False)
    moves: Mapping[str, Move] = field(init=False)
    """Where events lead from the present state."""
    number: int = 0
    """Order of creation."""
    transitions: int = 0
    """Since it was created, or brought back."""
    timers: dict[str, RunningTimer] = field(default_factory=dict)
    index_keys: list[tuple[str, str]] = field(default_factory=list)
    attempt: Attempt | None = None
    """A transition that the store may or may not have taken."""

    def __post_init__(self) -> None:
        self.moves = self.table.moves.get(self.state, {})
        self.machine_name = self.table.machine.name

    @classmethod
    def of(cls, instance: Instance, table: MachineTable, last_event_id: str) -> Live:
        return cls(
            instance.id,
            table,
            instance.current_state,
            instance.status,
            instance.context,
            instance.public_member,
            instance.internal_member,
            instance.created_at,
            instance.updated_at,
            instance.parent_instance_id,
            instance.parent_machine_name,
            instance.is_entry_point,
            last_event_id,
        )

    def follow(self, instance: Instance, last_event_id: str) -> None:
        """Take the values of `instance`, which is this one later on."""
        self.state, self.status = instance.current_state, instance.status
        self.moves = self.table.moves.get(self.state, {})
        self.context, self.public, self.internal = instance.context, instance.public_member, instance.internal_member
        self.updated_at = instance.updated_at
        self.last_event_id = last_event_id

    @property
    def properties(self) -> Mapping[str, object]:
        """What matching rules and templates look at: the public member where there is one, else the context."""
        return self.context if self.public is None else self.public

    def to_instance(self, component_name: str) -> Instance:
        return Instance(
            id=self.id,
            machine_name=self.machine_name,
            component_name=component_name,
            current_state=self.state,
            status=self.status,
            context=self.context,
            public_member=self.public,
            internal_member=self.internal,
            created_at=self.created_at,
            updated_at=self.updated_at,
            parent_instance_id=self.parent_id,
            parent_machine_name=self.parent_machine,
            is_entry_point=self.is_entry_point,
        )

    def pending(self, now: EpochMs) -> Iterator[PendingTimeout]:
        """Its timers, with the time that is left to each."""
        for timer in self.timers.values():
            yield PendingTimeout(
                state_key=_state_key(self.id, self.state, timer),
                event_type=timer.event_type,
                remaining_ms=DurationMs(max(0, timer.due - now)),
            )


def _state_key(instance_id: str, state: str, timer: RunningTimer) -> str:
    """How the TypeScript runtime names a timer."""
    automatic = timer.work.event.payload.get("reason") == "auto-transition"
    return f"{instance_id}-{state}-{'auto-' if automatic else ''}{timer.event_type}"
