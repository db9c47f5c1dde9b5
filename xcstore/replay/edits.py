"""What can be changed of a recorded history, and from where on: a fork before it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xcstore.model.definition import Component
from xcstore.replay.track import Scope
from xcstore.units import EpochMs

__all__ = ["ChangeDefinition", "DropEvent", "Edit", "EditEvent", "Fork", "InsertEvent", "MoveEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditEvent:
    """Another type or payload for a recorded event. None: as recorded."""

    event_id: str
    event_type: str | None = None
    payload: Mapping[str, object] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropEvent:
    """The event does not happen."""

    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertEvent:
    """Send one more event.

    Attributes
    ----------
    after : str or None
        The recorded event that it comes after; None: where the fork begins.
    instance_id : str
        A recorded instance, or the name of a new one as a result of this fork shows it.
    event_type : str
        `INSTANCE_CREATED` makes an instance; it needs `component_name` and `machine_name`.
    at : EpochMs or None
        None: at the time of `after`.
    """

    instance_id: str
    event_type: str
    payload: Mapping[str, object] = field(default_factory=dict, hash=False)
    after: str | None = None
    at: EpochMs | None = None
    component_name: str = ""
    machine_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveEvent:
    """The event happens just after another one; None: where the fork begins."""

    event_id: str
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDefinition:
    """Another definition for the component of that name, from where the fork begins."""

    component: Component


Edit = EditEvent | DropEvent | InsertEvent | MoveEvent | ChangeDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Where to begin, and what to change.

    Attributes
    ----------
    scope : Scope
        Of the track.
    at : int
        The step up to which everything is as recorded; edits concern what comes after it.
    until : EpochMs or None
        How long timers go on; None: for `forks.AFTER_MS` after the last event.
    """

    scope: Scope
    at: int = 0
    edits: tuple[Edit, ...] = ()
    until: EpochMs | None = None
