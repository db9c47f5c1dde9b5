"""A component that runs: what its users call, and what they see."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from xcstore.errors import ConfigError, NotFoundError, StoreError
from xcstore.model.definition import Component
from xcstore.model.history import Instance, InstanceSnapshot, PendingTimeout, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.runtime.checking import to_causes, to_event, to_mapping
from xcstore.runtime.clock import Clock, SystemClock
from xcstore.runtime.executor import Executor
from xcstore.runtime.folding import Folded, fold, from_snapshot
from xcstore.runtime.ids import IdSource, TimeOrderedIds
from xcstore.runtime.interpreter import Event
from xcstore.runtime.live import Causes
from xcstore.runtime.matching import PropertyFilter, filter_rules
from xcstore.runtime.notices import Listener, Notice
from xcstore.runtime.persistence import EventSink, PersistenceConfig, SnapshotSink, persistence_from
from xcstore.runtime.restoring import RestoreReport
from xcstore.runtime.reviving import Reviver, start_timers
from xcstore.runtime.reviving import resume as go_on
from xcstore.runtime.sender import Method
from xcstore.runtime.work import Broadcast
from xcstore.store.base import DefinitionStore, StoredDefinition, Stores
from xcstore.store.limits import check_json

if TYPE_CHECKING:
    from xcstore.runtime.registry import ComponentRegistry

__all__ = ["FSMRuntime", "Listener", "Notice"]


class FSMRuntime:
    """Runs the instances of one component.

    Parameters
    ----------
    component : Component
    persistence : PersistenceConfig, Stores or mapping, optional
        What is written, and where; `Stores` take everything. Or give its fields one by one. Share stores between
        components to trace across them. See `PersistenceConfig` for what is left out: the environment decides, and
        then what stores there are.
    clock : Clock
        Share one between components. `SystemClock` by default; its timers need its `run_due` or `run_for`.
    ids : IdSource
        Share one between components.
    methods : mapping of str to callable
        The user's methods by the names that the document uses; others can follow by `register_method`.
    environment : mapping of str to str
        Where settings are looked up.

    Notes
    -----
    For one thread. Sending from within a method or a listener queues; sending from outside returns when everything
    that followed from it is done, timers aside.
    """

    def __init__(
        self,
        component: Component,
        persistence: PersistenceConfig | Stores | Mapping[str, object] | None = None,
        *,
        event_sourcing: bool | None = None,
        snapshots: bool | None = None,
        snapshot_interval: int | None = None,
        event_store: EventSink | None = None,
        snapshot_store: SnapshotSink | None = None,
        definition_store: DefinitionStore | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        methods: Mapping[str, Method] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        if not isinstance(component, Component):
            raise ConfigError(f"component is of type {type(component).__name__}; give one that load_component has read")
        self.component = component
        self.registry: ComponentRegistry | None = None
        self.persistence = persistence_from(
            persistence,
            event_sourcing=event_sourcing,
            snapshots=snapshots,
            snapshot_interval=snapshot_interval,
            event_store=event_store,
            snapshot_store=snapshot_store,
            definition_store=definition_store,
            environment=environment,
        )
        self.clock = clock or SystemClock()
        self._executor = Executor(component, self.persistence, self.clock, ids or TimeOrderedIds())
        for name, method in (methods or {}).items():
            self.register_method(name, method)
        self._population = self._executor.population
        self._waiting: list[Reviver] = []
        definitions = self.persistence.definition_store
        if definitions is not None and component.hash:
            definitions.save_definition(
                StoredDefinition(hash=component.hash, component_name=component.name, document=component.source)
            )

    # What callers do

    def create_instance(
        self, machine_name: str, data: Mapping[str, object] | None = None, *, caused_by: Causes = ()
    ) -> str:
        """Make an instance in its initial state; returns its id.

        Raises
        ------
        NotFoundError
            The component has no such machine.
        StoreError
            It could not be stored, and has not been made. Called again with the same data, it is not made twice,
            also where the store broke off in the middle.
        """
        return self._executor.create(machine_name, to_mapping(data, "the data of an instance"), to_causes(caused_by))

    def send(
        self,
        instance_id: str,
        event: Event | str,
        payload: Mapping[str, object] | None = None,
        *,
        caused_by: Causes = (),
    ) -> None:
        """Send an event to an instance. Give either an `Event`, or its type and payload.

        The payload is the runtime's from now on; do not change what is in it. `caused_by` is for answers from outside:
        it names the events that they answer. From within a method or a listener, the event being processed is the
        cause, and the sending waits its turn.

        Raises
        ------
        InvalidEventError
            The type is no name, or the payload no mapping.
        InstanceNotActiveError
            The instance is unknown here, or finished.
        ConcurrencyError
            Another runtime has moved the instance on. It has been read again: what is sent next is looked at as things
            are now.
        StoreError
            The event could not be stored; nothing has changed. Sent again, it is not stored twice, also where the
            store broke off in the middle.
        """
        if type(caused_by) is not tuple:
            caused_by = to_causes(caused_by)
        if type(event) is str and event and (payload is None or type(payload) is dict):
            self._executor.send(instance_id, event, payload or {}, None, caused_by)
        else:
            checked = to_event(event, payload)
            self._executor.send(instance_id, checked.type, checked.payload, checked.timestamp, caused_by)

    def send_event(self, instance_id: str, event: Event) -> None:
        """`send`, by the name that the specification has."""
        self.send(instance_id, event)

    def broadcast(
        self,
        machine_name: str,
        event: Event | str,
        payload: Mapping[str, object] | None = None,
        *,
        state: str | None = None,
        filters: Iterable[PropertyFilter] = (),
        caused_by: Causes = (),
    ) -> int:
        """Send an event to the instances of a machine, all of them or those in `state`; returns how many it reached.

        With `filters`, it goes to those whose properties they all fit. Else, where transitions on this event have
        matching rules, it goes to the instances for which these hold, and the number is of those that changed their
        state. What a failing store holds up is not counted; see `queued`.
        """
        event = to_event(event, payload)
        if self._executor.events is not None:
            check_json("payload", event.payload)  # else it would be refused for each instance, and reach nobody
        rules, wanted = filter_rules(filters)
        where = None if state == "*" else state
        work = Broadcast(self._executor, machine_name, event, where, to_causes(caused_by), rules=rules)
        work.wanted = wanted if rules else None
        return self._executor.broadcast(work)

    def register_method(self, name: str, method: Method) -> None:
        """Call `method` where the document names `name`."""
        if not callable(method):
            raise ConfigError(f"method {name!r} is of type {type(method).__name__}, which cannot be called")
        self._executor.methods[name] = method

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of everything that happens from now on."""
        if not callable(listener):
            raise ConfigError(f"the listener is of type {type(listener).__name__}, which cannot be called")
        self._executor.listeners = (*self._executor.listeners, listener)

    def retry(self) -> int:
        """Work on what a failing store left in the queue; returns how much is left.

        Every `send` does so first.
        """
        if not self._executor.agenda.busy:
            with suppress(StoreError):
                self._executor.agenda.catch_up(self._executor)
        return self.queued

    # Bringing back

    def restore(self, *, resume: bool = True) -> RestoreReport:
        """Bring back all that lived when the last process ended, and go on where it was.

        Each instance is its latest snapshot and the events after it, in the component that it belongs to; where
        a snapshot does not fit the history, all its events. Timers go on with the time that is left; those that
        fell due meanwhile fire once. Work that was waiting is done. Instances that live here already are left alone.

        Parameters
        ----------
        resume : bool
            False: bring back only; `resume` goes on. Use `ComponentRegistry.restore` for components that know of each
            other: it brings all of them back before any goes on.

        Raises
        ------
        ConfigError
            There is no store to read from.
        """
        reviver = Reviver(self._executor, self.persistence)
        reviver.read()
        start_timers([reviver])
        if resume:
            go_on([reviver])
            self.start_entry_point()
        else:
            self._waiting.append(reviver)
        return reviver.report()

    def resume(self) -> None:
        """Go on with what `restore(resume=False)` brought back."""
        waiting, self._waiting = self._waiting, []
        go_on(waiting)
        self.start_entry_point()

    def restore_from_snapshot(self, snapshot: InstanceSnapshot) -> Instance:
        """Bring one instance back as its snapshot shows it; `replay` the events after it.

        One that has ended is returned, and does not live here. Timers go on with the time that was left when the
        snapshot was taken.

        Raises
        ------
        NotFoundError
            The component has no such machine.
        ConfigError
            The instance lives here already.
        """
        instance = snapshot.instance
        table = self._population.get_table(instance.machine_name)
        if instance.id in self._population.by_id:
            raise ConfigError(f"instance {instance.id} lives here already; restore it into a fresh runtime")
        folded = from_snapshot(snapshot, table)
        self._revive([folded])
        return folded.instance

    def replay(self, events: Iterable[PersistedEvent]) -> int:
        """Follow recorded events; returns how many. Nothing is appended, no method is called, and nothing is sent.

        Events of an instance that does not live here must begin with its creation. Events of other components are
        left out.
        """
        streams: dict[str, list[PersistedEvent]] = {}
        for event in events:
            if event.component_name in ("", self.component.name):
                streams.setdefault(event.instance_id, []).append(event)
        revived = []
        for instance_id, stream in streams.items():
            table = self._population.get_table(stream[0].machine_name)
            live = self._population.find(instance_id)
            if live is not None:
                self._executor.follow(live, order_stream(stream))
            elif (folded := fold(table, order_stream(stream))) is not None:
                revived.append(folded)
        self._revive(revived)
        return sum(len(stream) for stream in streams.values())

    def _revive(self, instances: list[Folded]) -> None:
        reviver = Reviver(self._executor, self.persistence)
        for folded in instances:
            reviver.add(folded)
        start_timers([reviver])

    # For the registry

    def start_entry_point(self) -> None:
        """Make the one instance of the entry machine, unless there is one, here or in the store.

        The registry calls this. What is in the store is for `restore` to bring back.
        """
        name = self.component.entry_machine
        if name is None or any(live.is_entry_point for live in self._population.of_machine(name)):
            return
        if self._executor.agenda.busy or not Reviver(self._executor, self.persistence).has_entry_point():
            self._executor.create(name, {}, (), entry_point=True)

    @property
    def executor(self) -> Executor:
        """The inside, for the registry."""
        return self._executor

    # What callers see

    @property
    def queued(self) -> int:
        """How many pieces of work of this component wait: none, unless the store failed."""
        waiting = sum(work.executor is self._executor for work in self._executor.agenda.queue)
        return waiting + len(self._executor.held)

    def find_instance(self, instance_id: str) -> Instance | None:
        live = self._population.find(instance_id)
        return None if live is None else copy.deepcopy(live.to_instance(self.component.name))

    def get_instance(self, instance_id: str) -> Instance:
        """`NotFoundError` where it is unknown here, or has ended and was disposed of."""
        instance = self.find_instance(instance_id)
        if instance is None:
            raise NotFoundError(f"Instance {instance_id} not found in {self.component.name!r}")
        return instance

    def instances(self, machine_name: str | None = None) -> Iterator[Instance]:
        """Live instances in order of creation, as copies that are the caller's."""
        return (
            copy.deepcopy(live.to_instance(self.component.name)) for live in self._population.of_machine(machine_name)
        )

    def pending_timeouts(self, instance_id: str) -> tuple[PendingTimeout, ...]:
        """Timers of an instance with the time that is left."""
        live = self._population.find(instance_id)
        return () if live is None else tuple(live.pending(self.clock.now()))

    def last_event_id(self, instance_id: str) -> str | None:
        live = self._population.find(instance_id)
        return None if live is None else live.last_event_id
