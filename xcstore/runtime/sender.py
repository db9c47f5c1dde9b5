"""What the user's methods get in hand: a way to send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from xcstore.model.history import Instance
from xcstore.runtime.interpreter import Event
from xcstore.runtime.work import Broadcast, Create, Send

if TYPE_CHECKING:
    from xcstore.runtime.engine import FSMRuntime

__all__ = ["Method", "Sender"]


class Sender:
    """What a user's method may send. All of it waits until the transition is stored, and is caused by it."""

    __slots__ = ("_instance", "_runtime")

    def __init__(self, runtime: FSMRuntime, instance: Instance) -> None:
        self._runtime = runtime
        self._instance = instance

    def send_to_self(self, event_type: str, payload: Mapping[str, object] | None = None) -> None:
        self._runtime.send(self._instance.id, event_type, payload)

    def send_to(self, instance_id: str, event_type: str, payload: Mapping[str, object] | None = None) -> None:
        self._runtime.send(instance_id, event_type, payload)

    def send_to_component(
        self, component_name: str, instance_id: str, event_type: str, payload: Mapping[str, object] | None = None
    ) -> None:
        self._runtime.send_across(component_name, Send(instance_id, Event(event_type, payload or {})))

    def broadcast(
        self,
        machine_name: str,
        event_type: str,
        payload: Mapping[str, object] | None = None,
        *,
        state: str | None = None,
        component_name: str | None = None,
    ) -> None:
        """To the instances of a machine, here or in another component."""
        if component_name is None:
            self._runtime.broadcast(machine_name, event_type, payload, state=state)
        else:
            event = Event(event_type, payload or {})
            self._runtime.send_across(component_name, Broadcast(machine_name, event, state))

    def create_instance(self, machine_name: str, data: Mapping[str, object] | None = None) -> str:
        """The id that the instance will have."""
        return self._runtime.create_instance(machine_name, data)

    def create_instance_in_component(
        self, component_name: str, machine_name: str, data: Mapping[str, object] | None = None
    ) -> str:
        work = Create(self._runtime.new_instance_id(), machine_name, data or {}, "manual create")
        self._runtime.send_across(component_name, work)
        return work.instance_id


Method = Callable[[Event, Instance, Sender], None]
"""A user's method. It may change what is in `instance.context` and `public_member`, which are copies for it.

What a method on exit or on a transition changes is stored with its event. A method on entry runs when the event is
stored already, as in the reference, so what it changes shows with the next event only.
"""
