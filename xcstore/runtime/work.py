"""What waits in a runtime's queue, and what a runtime remembers of an instance. Private to the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from xcstore.model.definition import MatchingRule
from xcstore.model.history import Instance
from xcstore.runtime.clock import Timer
from xcstore.runtime.interpreter import Event, MachineTable
from xcstore.units import EpochMs

__all__ = ["Across", "Broadcast", "Call", "Causes", "Create", "Live", "RunningTimer", "Send", "Tally", "Work"]

Causes = tuple[str, ...]
"""Ids of the events that asked for a piece of work."""


@dataclass(slots=True)
class RunningTimer:
    """A timer of one instance, kept until its event has been processed."""

    event_type: str
    due: EpochMs
    causes: Causes
    """The event that entered the state."""
    timer: Timer | None = None


@dataclass(slots=True)
class Live:
    """An instance, and what the runtime remembers beside it."""

    instance: Instance
    table: MachineTable
    last_event_id: str
    number: int = 0
    """Order of creation."""
    transitions: int = 0
    timers: dict[str, RunningTimer] = field(default_factory=dict)
    index_keys: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """How many instances a broadcast reached; `moved_only`: how many changed their state."""

    moved_only: bool
    count: int = 0


@dataclass(slots=True)
class Send:
    instance_id: str
    event: Event
    causes: Causes = ()
    source: str | None = None
    tally: Tally | None = None
    timer: RunningTimer | None = None


@dataclass(slots=True)
class Create:
    instance_id: str
    machine_name: str
    data: Mapping[str, object]
    trigger: str
    causes: Causes = ()
    source: str | None = None
    parent: Instance | None = None
    is_entry_point: bool = False


@dataclass(slots=True)
class Broadcast:
    """An event for the instances of a machine.

    Whom it reaches is decided when its turn comes, not when it is sent: by `rules` of the sender where there are
    any, by the machine's own matching rules, or, with `everybody`, by the state alone.
    """

    machine_name: str
    event: Event
    state: str | None = None
    causes: Causes = ()
    source: str | None = None
    everybody: bool = False
    rules: tuple[MatchingRule, ...] = ()
    done: Callable[[int], None] | None = None


@dataclass(slots=True)
class Across:
    """Work for another component."""

    component_name: str
    work: Send | Create | Broadcast


@dataclass(slots=True)
class Call:
    """Something to do in turn."""

    callback: Callable[[], None]


Work = Send | Create | Broadcast | Across | Call
