"""Edits applied to the inputs of a recorded history, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from xcstore.errors import QueryError
from xcstore.model.definition import Component
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.edits import ChangeDefinition, DropEvent, Edit, EditEvent, InsertEvent, MoveEvent
from xcstore.replay.recording import Input, Recording, merged_payload
from xcstore.replay.track import Track
from xcstore.units import EpochMs

__all__ = ["Editing"]

_PAST: Final = {"edit": "edited", "drop": "dropped", "move": "moved"}


class Editing:
    """The inputs of a recording while edits are applied to them, one after the other."""

    def __init__(self, track: Track, recording: Recording) -> None:
        self._track, self._recording = track, recording
        self._events = {event.id: event for event in track.events}
        self.inputs = list(recording.inputs)
        self.suppressed: set[str] = set()
        self.replaced: dict[str, tuple[str, Mapping[str, object]]] = {}
        self.edited: set[str] = set()
        self.dropped: set[str] = set()
        self.definitions: dict[str, Component] = {}
        self._behind: dict[float, int] = {}

    def apply(self, edit: Edit) -> None:
        match edit:
            case EditEvent():
                self._edit(edit)
            case DropEvent():
                self._drop(self._later(edit.event_id, "drop"))
                self.dropped.add(edit.event_id)
                self.edited.add(edit.event_id)
            case MoveEvent():
                self._move(edit)
            case InsertEvent():
                self._insert(edit)
            case ChangeDefinition():
                name = edit.component.name
                if all(one.name != name for one in self._recording.components):
                    raise QueryError(f"component {name!r} takes no part in what is replayed")
                self.definitions[name] = edit.component

    def _later(self, event_id: str, what: str) -> PersistedEvent:
        if event_id not in self._events:
            raise QueryError(f"event {event_id!r}, which is to be {_PAST[what]}, is not part of what is replayed")
        if event_id not in self._recording.index:
            raise QueryError(f"event {event_id!r} cannot be {_PAST[what]}: it comes before the fork begins")
        if event_id in self._recording.unknown:
            raise QueryError(f"event {event_id!r} cannot be {_PAST[what]}: its machine has no definition")
        return self._events[event_id]

    def _input(self, event_id: str) -> int | None:
        return next((number for number, one in enumerate(self.inputs) if one.origin == event_id), None)

    def _edit(self, edit: EditEvent) -> None:
        event = self._later(edit.event_id, "edit")
        kind = event.event_type if edit.event_type is None else edit.event_type
        if (kind == CREATION) != (event.event_type == CREATION) or not kind:
            raise QueryError(f"the type of event {edit.event_id!r} cannot become {kind!r}")
        given = event.payload if edit.payload is None else edit.payload
        payload = merged_payload(replace(event, payload=given))
        if event.event_type == CREATION and edit.payload is not None and "initialContext" not in edit.payload:
            payload = edit.payload
        self.edited.add(event.id)
        number = self._input(event.id)
        if number is None:
            self.replaced[event.id] = kind, payload
            return
        self.inputs[number] = replace(
            self.inputs[number], event_type="" if kind == CREATION else kind, payload=dict(payload)
        )

    def _drop(self, event: PersistedEvent) -> Input:
        number = self._input(event.id)
        if number is not None:
            return self.inputs.pop(number)
        self.suppressed.add(event.id)
        replaced = self.replaced.pop(event.id, None)
        kind, payload = replaced or (event.event_type, merged_payload(event))
        return self._sent(event.instance_id, kind, payload, event.component_name, event.machine_name)

    def _move(self, edit: MoveEvent) -> None:
        event = self._later(edit.event_id, "move")
        if edit.after == edit.event_id:
            raise QueryError(f"event {edit.event_id!r} cannot come after itself")
        at, order = self._place(edit.after)
        one = self._drop(event)
        moved = replace(one, at=at, order=order, origin=event.id, kind="assumed")
        self.inputs.append(moved)
        self.edited.add(event.id)

    def _insert(self, edit: InsertEvent) -> None:
        at, order = self._place(edit.after)
        if not edit.event_type:
            raise QueryError("the event to insert needs a type")
        if edit.at is not None:
            if edit.at < self._recording.start_at:
                raise QueryError(
                    f"an event cannot be inserted at {edit.at}: the fork begins at {self._recording.start_at}"
                )
            if edit.at != at:
                # Behind all that was recorded at that time.
                at, order = edit.at, self._next(float(len(self._track.events)))
        component, machine = edit.component_name, edit.machine_name
        if not machine:
            component, machine = self._machine_of(edit.instance_id)
        one = self._sent(edit.instance_id, edit.event_type, edit.payload, component, machine)
        self.inputs.append(replace(one, at=at, order=order))

    def _machine_of(self, instance_id: str) -> tuple[str, str]:
        for event in reversed(self._track.events):
            if event.instance_id == instance_id:
                return event.component_name, event.machine_name
        if instance_id in self._track.before:
            instance = self._track.before[instance_id].instance
            return instance.component_name, instance.machine_name
        for one in self.inputs:
            if one.instance_id == instance_id:
                return one.component_name, one.machine_name
        if instance_id.startswith("new-"):
            machine = instance_id.removeprefix("new-").rpartition("-")[0]
            for component in self._recording.components:
                for found in component.machines:
                    if found.name[:30] == machine:
                        return component.name, found.name
        raise QueryError(f"instance {instance_id!r} is not part of what is replayed")

    def _sent(
        self, instance_id: str, event_type: str, payload: Mapping[str, object], component_name: str, machine_name: str
    ) -> Input:
        return Input(
            at=self._recording.start_at,
            component_name=component_name,
            machine_name=machine_name,
            instance_id=instance_id,
            event_type="" if event_type == CREATION else event_type,
            payload=dict(payload),
            kind="assumed",
        )

    def _place(self, after: str | None) -> tuple[EpochMs, float]:
        """When and where an event comes that follows `after`."""
        if after is None:
            return self._recording.start_at, self._next(-1.0)
        if after not in self._events:
            raise QueryError(f"event {after!r}, after which another one is to come, is not part of what is replayed")
        event = self._events[after]
        place = self._recording.index.get(after)
        if place is None:
            return self._recording.start_at, self._next(-1.0)
        return EpochMs(max(event.persisted_at, self._recording.start_at)), self._next(float(place))

    def _next(self, place: float) -> float:
        """Just after a place, and after what other edits put there."""
        number = self._behind[place] = self._behind.get(place, 0) + 1
        return place + 1 - 1 / (1 + number)
