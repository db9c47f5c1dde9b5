"""The inputs of a recorded history, and what else of it a run needs that repeats them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from xcstore.model.definition import Component
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.runtime.folding import Folded
from xcstore.units import EpochMs

__all__ = ["Input", "InputKind", "Left", "Recording", "merged_payload"]

InputKind = Literal["outside", "code", "pending", "assumed"]
"""Sent from outside; by user code; before the point where a run begins, to arrive after it; or made up by an edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One thing that is sent to a runtime.

    Attributes
    ----------
    at : EpochMs
        When it was processed.
    instance_id : str
        The recorded one, or the name of a new one.
    event_type : str
        '' makes the instance.
    payload : mapping
        Of a creation: the initial data.
    origin : str or None
        The recorded event that it is; None where an edit made it up.
    cause : str or None
        The recorded event that it answers. Of `code`: the event whose method sent it; it is sent where and when that
        happens in the run.
    order : float
        Its place among inputs of one moment.
    """

    at: EpochMs
    component_name: str
    machine_name: str
    instance_id: str
    event_type: str
    payload: Mapping[str, object] = field(default_factory=dict, hash=False)
    origin: str | None = None
    kind: InputKind = "outside"
    cause: str | None = None
    order: float = 0.0
    entry_point: bool = False
    parent: tuple[str, str] | None = None
    """Id and machine of the instance that made it."""
    source: str | None = None
    """The component that sent it, where it was another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a user method left in an instance, as top-level values."""

    values: Mapping[str, object] = field(default_factory=dict, hash=False)
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """What a run needs to know of the recording that it repeats."""

    components: tuple[Component, ...]
    inputs: tuple[Input, ...]
    start: Mapping[str, Folded]
    """Instances as they are where the run begins, ended ones too."""
    start_at: EpochMs
    end: EpochMs
    """When the recording ends."""
    index: Mapping[str, int]
    """Recorded events after the beginning: their place in the track."""
    made: Mapping[str, tuple[str, str]]
    """Those that the runtime makes itself: (instance, event type). Their order is that of the track."""
    causes: Mapping[str, str]
    """Event -> its cause, recorded or inferred, where that can be trusted."""
    moments: Mapping[str, EpochMs]
    """When the recorded events happened, those before the beginning too."""
    children: Mapping[tuple[str, str, str], tuple[str, ...]]
    """(event, component, machine) -> the instances that the transition made, in order."""
    timers: Mapping[tuple[str, str, str], tuple[int, int]]
    """(instance, event type, event that started it) -> how many ms late the timer fired, and its place in the track."""
    left_before: Mapping[str, Left]
    """Event -> what methods on exit and on the transition left."""
    left_after: Mapping[str, Left]
    """Event -> what the method on entry left."""
    unknown: frozenset[str] = frozenset()
    """Events whose machine has no definition, so that nothing can make them again."""
    notes: tuple[str, ...] = ()


def merged_payload(event: PersistedEvent) -> Mapping[str, object]:
    """What an event gives to its instance: of a creation the initial data, else its payload."""
    payload = event.payload if isinstance(event.payload, Mapping) else {}
    if event.event_type != CREATION:
        return payload
    initial = payload.get("initialContext")
    return initial if isinstance(initial, Mapping) else {}
