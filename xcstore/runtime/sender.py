"""What the user's methods get in hand: a way to send."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from xcstore.errors import NotFoundError
from xcstore.model.history import Instance
from xcstore.runtime.checking import to_event, to_mapping
from xcstore.runtime.interpreter import Event
from xcstore.runtime.matching import PropertyFilter, filter_rules
from xcstore.runtime.work import Broadcast, Create, Send

if TYPE_CHECKING:
    from xcstore.runtime.executor import Executor

__all__ = ["Method", "Sender"]


class Sender:
    """What a user's method may send. All of it waits until the transition is stored, and is caused by it.

    What goes to another component is an error where no such component is registered; it is told as the method's own.
    """

    __slots__ = ("_executor", "_instance")

    def __init__(self, executor: Executor, instance: Instance) -> None:
        self._executor = executor
        self._instance = instance

    def send_to_self(self, event_type: str, payload: Mapping[str, object] | None = None) -> None:
        self.send_to(self._instance.id, event_type, payload)

    def send_to(self, instance_id: str, event_type: str, payload: Mapping[str, object] | None = None) -> None:
        event = to_event(event_type, payload)
        self._executor.send(instance_id, event.type, event.payload, None, ())

    def send_to_component(
        self, component_name: str, instance_id: str, event_type: str, payload: Mapping[str, object] | None = None
    ) -> None:
        there = self._reach(component_name)
        there.ask(Send(there, instance_id, to_event(event_type, payload), source=self._executor.name))

    def broadcast(
        self,
        machine_name: str,
        event_type: str,
        payload: Mapping[str, object] | None = None,
        *,
        state: str | None = None,
        filters: Iterable[PropertyFilter] = (),
        component_name: str | None = None,
    ) -> None:
        """To the instances of a machine, here or in another component; see `FSMRuntime.broadcast`."""
        there = self._executor if component_name is None else self._reach(component_name)
        rules, wanted = filter_rules(filters)
        work = Broadcast(
            there,
            machine_name,
            to_event(event_type, payload),
            None if state == "*" else state,
            rules=rules,
            wanted=wanted if rules else None,
        )
        if there is self._executor:
            there.broadcast(work)
        else:
            work.source = self._executor.name
            there.ask(work)

    def create_instance(self, machine_name: str, data: Mapping[str, object] | None = None) -> str:
        """The id that the instance will have."""
        return self._executor.create(machine_name, to_mapping(data, "the data of an instance"), ())

    def create_instance_in_component(
        self, component_name: str, machine_name: str, data: Mapping[str, object] | None = None
    ) -> str:
        there, made = self._reach(component_name), self._executor.ids.instance_id()
        data = to_mapping(data, "the data of an instance")
        there.check_singleton(machine_name)
        there.ask(Create(there, made, machine_name, data, "manual create", source=self._executor.name))
        return made

    def _reach(self, component_name: str) -> Executor:
        if component_name == self._executor.name:
            return self._executor
        found = self._executor.find_component(component_name)
        if found is None:
            raise NotFoundError(f"component {component_name!r} cannot be reached: it is not registered")
        return found


Method = Callable[[Event, Instance, Sender], None]
"""A user's method. It may change what is in `instance.context` and `public_member`, which are copies for it.

What a method on exit or on a transition changes is stored with its event; `internal_member` is in snapshots alone. A
method on entry runs when the event is stored already, as in the reference: what it changes is kept by a snapshot, and
shows in the next event. A process that is killed between the two runs the method on entry again when it is restored.
"""
