"""Components that know of each other: who lives where, how an event gets there, and what came of it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from xcstore.errors import ConfigError, NotFoundError, StoreError
from xcstore.model.definition import Component
from xcstore.model.history import Instance, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.runtime.agenda import Agenda
from xcstore.runtime.interpreter import Event
from xcstore.runtime.matching import PropertyFilter
from xcstore.runtime.restoring import RestoreReport
from xcstore.runtime.reviving import Reviver, resume, start_timers
from xcstore.runtime.tracing import History, SpecifiedStore, effects_of, get_event, trace_across, with_effects
from xcstore.store.base import Direction, EventQuery, Trace

if TYPE_CHECKING:
    from xcstore.runtime.engine import FSMRuntime, Listener
    from xcstore.runtime.executor import Executor
    from xcstore.runtime.live import Causes

__all__ = ["ComponentRegistry", "ComponentStatistics", "LocatedInstance", "RegistryStatistics"]


class LocatedInstance(NamedTuple):
    """An instance, and the component that it lives in."""

    component_name: str
    instance: Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatistics:
    """What one component is doing."""

    component_name: str
    version: str
    machines: int
    """How many it defines."""
    instances: Mapping[tuple[str, str], int] = field(hash=False)
    """Live instances by (machine, current state), sorted by these."""
    pending_timers: int
    queued: int
    """Pieces of work that wait for a failing store."""
    events: int | None
    """Stored under its name, in all the stores; None where not counted."""

    @property
    def instance_count(self) -> int:
        return sum(self.instances.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStatistics:
    """What all registered components are doing."""

    components: tuple[ComponentStatistics, ...]
    """In order of registration."""

    @property
    def instance_count(self) -> int:
        return sum(component.instance_count for component in self.components)

    @property
    def pending_timers(self) -> int:
        return sum(component.pending_timers for component in self.components)

    @property
    def queued(self) -> int:
        return sum(component.queued for component in self.components)


class ComponentRegistry:
    """Runtimes by the name of their component, and all that their stores hold.

    Questions about history look at every event store that a registered runtime was given, each once (by its
    `identity`), and at all that is in it: also at events of components that are not registered, or no longer.

    What is sent from within a user's method waits until the transition is stored, and is caused by it. The method's
    `Sender` does the same, and also records the component that sent.
    """

    def __init__(self) -> None:
        self._runtimes: dict[str, FSMRuntime] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._agenda = Agenda()

    # Who is there

    def register_component(self, component: Component, runtime: FSMRuntime) -> None:
        """`register`, by the name and with the arguments that the specification has.

        Raises
        ------
        ConfigError
            `runtime` runs another component, or one of that name is registered.
        """
        if component != runtime.component:
            raise ConfigError(
                f"the runtime runs {runtime.component.name!r}, not this {component.name!r}; make one for the component"
            )
        self.register(runtime)

    def register(self, runtime: FSMRuntime) -> None:
        """Make `runtime` reachable for the others, and start its entry machine where it has one.

        Raises
        ------
        ConfigError
            A component of that name is registered.
        """
        name = runtime.component.name
        if runtime.registry is not None and runtime.registry is not self:
            raise ConfigError(f"the runtime of {name!r} is in another registry; unregister it there first")
        if name in self._runtimes:
            raise ConfigError(f"component {name!r} is registered already; unregister it first")
        self._runtimes[name] = runtime
        runtime.registry = self
        runtime.executor.join(self._agenda)
        runtime.executor.reach = self._reach
        self._introduce(runtime)
        try:
            runtime.start_entry_point()
        except BaseException:
            self.unregister(name)
            raise

    def unregister(self, component_name: str) -> None:
        """The others no longer reach it. An unknown name: nothing happens."""
        runtime = self._runtimes.pop(component_name, None)
        if runtime is not None:
            runtime.registry = None
            runtime.executor.reach = None
            runtime.executor.join(Agenda())

    def _reach(self, component_name: str) -> Executor | None:
        runtime = self._runtimes.get(component_name)
        return None if runtime is None else runtime.executor

    def restore(self) -> tuple[RestoreReport, ...]:
        """Bring back what lived in all registered components, then go on; see `FSMRuntime.restore`.

        Components without a store to read from are left as they are.
        """
        runtimes = [runtime for runtime in self if runtime.persistence.event_sourcing or runtime.persistence.snapshots]
        revivers = [Reviver(runtime.executor, runtime.persistence) for runtime in runtimes]
        for reviver in revivers:
            reviver.read()
        start_timers(revivers)
        resume(revivers)
        for runtime in runtimes:
            runtime.resume()
        return tuple(reviver.report() for reviver in revivers)

    def __iter__(self) -> Iterator[FSMRuntime]:
        return iter(tuple(self._runtimes.values()))

    def find_runtime(self, component_name: str) -> FSMRuntime | None:
        return self._runtimes.get(component_name)

    def get_runtime(self, component_name: str) -> FSMRuntime:
        """`NotFoundError` where no such component is registered."""
        runtime = self._runtimes.get(component_name)
        if runtime is None:
            known = ", ".join(sorted(self._runtimes)) or "none"
            raise NotFoundError(f"no component {component_name!r} is registered; registered: {known}")
        return runtime

    def find_instance(self, instance_id: str) -> LocatedInstance | None:
        """The live instance with its component's name, wherever it lives."""
        for name, runtime in self._runtimes.items():
            instance = runtime.find_instance(instance_id)
            if instance is not None:
                return LocatedInstance(name, instance)
        return None

    def instances(self) -> Iterator[LocatedInstance]:
        """Live instances, component by component, each in order of creation."""
        for runtime in self:
            for instance in runtime.instances():
                yield LocatedInstance(runtime.component.name, instance)

    def statistics(self, *, count_events: bool = True) -> RegistryStatistics:
        """What lives, waits and is stored now.

        `count_events`: also count stored events. Stores of ours in SQLite keep these numbers; the others look at
        each event, so leave it out where this is asked for often.
        """
        events: Counter[str] = Counter()
        for store in self._event_stores() if count_events else ():
            for row in store.count(EventQuery(), by=("component_name",)):
                events[row.key[0]] += row.count
        return RegistryStatistics(
            components=tuple(
                _statistics(runtime, events[name] if count_events else None) for name, runtime in self._runtimes.items()
            )
        )

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of what happens in every component, those included that will be registered later."""
        self._listeners = (*self._listeners, listener)
        for runtime in self:
            runtime.listen(listener)

    def _introduce(self, runtime: FSMRuntime) -> None:
        """What a new runtime has to be told, before it does anything."""
        for listener in self._listeners:
            runtime.listen(listener)

    # Events on their way

    def create_instance(
        self,
        component_name: str,
        machine_name: str,
        data: Mapping[str, object] | None = None,
        *,
        caused_by: Causes = (),
    ) -> str:
        """Make an instance in a component; see `FSMRuntime.create_instance`.

        Raises
        ------
        InvalidEventError
            It is the entry machine, its `entryMachineMode` is `singleton`, and an instance lives.
        """
        runtime = self.get_runtime(component_name)
        runtime.executor.check_singleton(machine_name)
        return runtime.create_instance(machine_name, data, caused_by=caused_by)

    def send(
        self,
        component_name: str,
        instance_id: str,
        event: Event | str,
        payload: Mapping[str, object] | None = None,
        *,
        caused_by: Causes = (),
    ) -> None:
        """Send an event to an instance of a component; see `FSMRuntime.send`."""
        self.get_runtime(component_name).send(instance_id, event, payload, caused_by=caused_by)

    def broadcast(
        self,
        machine_name: str,
        event: Event | str,
        payload: Mapping[str, object] | None = None,
        *,
        component_name: str | None = None,
        state: str | None = None,
        filters: Sequence[PropertyFilter] = (),
        caused_by: Causes = (),
    ) -> int:
        """Send an event to the instances of a machine, in every component that has it or in one; returns how many.

        See `FSMRuntime.broadcast` for whom it reaches, and what is counted.

        Raises
        ------
        NotFoundError
            No registered component has the machine, or not the one that was named.
        StoreError
            The store of a component still refuses earlier work, so this was not sent there. It was sent to the
            others all the same; a note on the error says which, to leave them out when it is sent again.
        """
        if component_name is not None:
            runtimes = [self.get_runtime(component_name)]
        else:
            runtimes = [runtime for runtime in self if runtime.component.find_machine(machine_name) is not None]
        if not runtimes:
            known = sorted({machine.name for runtime in self for machine in runtime.component.machines})
            raise NotFoundError(
                f"no registered component has a machine {machine_name!r}; there are: {', '.join(known) or 'none'}"
            )
        reached: dict[str, int] = {}
        failure: StoreError | None = None
        for runtime in runtimes:
            try:
                count = runtime.broadcast(
                    machine_name, event, payload, state=state, filters=filters, caused_by=caused_by
                )
            except StoreError as error:
                failure = failure or error
            else:
                reached[runtime.component.name] = count
        if failure is not None:
            failure.add_note(f"the broadcast to {machine_name!r} was sent to: {', '.join(reached) or 'no component'}")
            raise failure
        return sum(reached.values())

    # What is stored

    def get_all_persisted_events(self) -> Iterator[PersistedEvent]:
        """Everything in the stores by `persisted_at`, streaming; an event that two stores hold comes once.

        At equal times, events of one store keep its order, and stores come in order of registration.
        """
        moment: int | None = None
        seen: set[str] = set()
        streams = [store.get_all_events() for store in self._event_stores()]
        for event in heapq.merge(*streams, key=lambda event: event.persisted_at):
            if event.persisted_at != moment:
                moment, seen = event.persisted_at, set()
            if event.id not in seen:
                seen.add(event.id)
                yield event

    def get_persisted_event(self, event_id: str) -> PersistedEvent:
        """`NotFoundError` where no store holds it."""
        return get_event(self._event_stores(), event_id)

    def get_caused_events(self, event_id: str) -> Sequence[PersistedEvent]:
        """Events of any component that name `event_id` as a cause, by time."""
        found = effects_of(self._event_stores(), event_id)
        return sorted(found.values(), key=lambda event: event.persisted_at)

    def get_instance_history(self, instance_id: str) -> Sequence[PersistedEvent]:
        """The stream of an instance, live or ended, from all the stores that have a part of it; empty if none has."""
        streams = [stream for store in self._event_stores() if (stream := store.get_events_for_instance(instance_id))]
        if len(streams) == 1:
            return streams[0]
        return order_stream({event.id: event for stream in streams for event in stream}.values())

    def trace_event_across_components(
        self, event_id: str, direction: Direction = "effects", max_events: int = 500
    ) -> Trace:
        """Follow recorded causes from one event through all components, whichever stores they write to.

        Parameters
        ----------
        event_id : str
        direction : {'effects', 'causes', 'both'}
            What it led to, as the specification has it; what led to it; or the two together.
        max_events : int
            Most events to load; `Trace.truncated` says when there are more.

        Returns
        -------
        Trace
            The event first, then breadth first, nearest first. `caused` of each event names its effects among these,
            read from what the effects say; nothing stored is changed.

        Raises
        ------
        NotFoundError
            No store holds the event.
        QueryError
            `direction` or `max_events` is not one of those.
        """
        stores = self._event_stores()
        if len(stores) == 1:
            return with_effects(stores[0].trace(event_id, direction, max_events))
        return with_effects(trace_across(stores, event_id, direction, max_events))

    def _event_stores(self) -> list[History]:
        """Those that can be read, each once, in order of registration."""
        found: dict[str, History] = {}
        for runtime in self:
            given: Any = runtime.persistence.event_store
            if hasattr(given, "get_all_events"):  # a runtime may also write into something that only takes events
                store: History = given if hasattr(given, "get_events") else SpecifiedStore(given)
                found.setdefault(store.identity, store)
        return list(found.values())


def _statistics(runtime: FSMRuntime, events: int | None) -> ComponentStatistics:
    instances: Counter[tuple[str, str]] = Counter()
    timers = 0
    for instance in runtime.instances():
        instances[instance.machine_name, instance.current_state] += 1
        timers += len(runtime.pending_timeouts(instance.id))
    return ComponentStatistics(
        component_name=runtime.component.name,
        version=runtime.component.version,
        machines=len(runtime.component.machines),
        instances=dict(sorted(instances.items())),
        pending_timers=timers,
        queued=runtime.queued,
        events=events,
    )
