"""The running machines: one queue per component, timers, effects, and what is written about all of it.

One transition at a time, whatever is sent meanwhile waits its turn. Two rules keep a history true:

- *Durable first.* What a transition sends waits in an outbox until its event is stored. A store that fails leaves
  the instance, its timers and everybody else as they were. New instances and what goes to other components come before
  whatever else waits, as the reference does these at once; sends and cascades queue at the end.
- *The cause is what was being processed.* Each piece of work carries the ids of the events that asked for it.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xcstore.errors import (
    ConcurrencyError,
    DuplicateEventError,
    InstanceNotActiveError,
    LimitExceededError,
    NotFoundError,
    StoreError,
)
from xcstore.model.definition import Component
from xcstore.model.history import CREATION, Instance, PendingTimeout
from xcstore.runtime.clock import Clock, SystemClock
from xcstore.runtime.ids import IdSource, TimeOrderedIds
from xcstore.runtime.interpreter import (
    Cascade,
    CreateInstance,
    Dispose,
    Effect,
    Event,
    NotifyParent,
    RunMethod,
    SendAcross,
    StartTimer,
    Step,
    StopTimer,
)
from xcstore.runtime.persistence import Persistence, PersistenceConfig
from xcstore.runtime.population import Population
from xcstore.runtime.sender import Method, Sender
from xcstore.runtime.work import Across, Broadcast, Call, Causes, Create, Live, RunningTimer, Send, Tally, Work
from xcstore.units import DurationMs, EpochMs

if TYPE_CHECKING:
    from xcstore.runtime.registry import ComponentRegistry

__all__ = ["FSMRuntime", "Listener", "Notice"]

log = logging.getLogger(__name__)

_MANY = 100_000
# Trying again cannot help against these, and keeping the work would block everything behind it.
_HOPELESS = (InstanceNotActiveError, NotFoundError, LimitExceededError, ConcurrencyError, DuplicateEventError)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the runtime tells its listeners, under the name that the TypeScript runtime gives it."""

    name: str
    component_name: str
    instance_id: str = ""
    data: Mapping[str, object] = field(default_factory=dict, hash=False)


Listener = Callable[[Notice], None]


class FSMRuntime:
    """Runs the instances of one component.

    Parameters
    ----------
    component : Component
    persistence : PersistenceConfig
        What is written, and where. Share stores between components to trace across them. Nothing by default.
    clock : Clock
        Share one between components. `SystemClock` by default; its timers need its `run_due` or `run_for`.
    ids : IdSource
        Share one between components.
    methods : mapping of str to callable
        The user's methods by the names that the document uses; others can follow by `register_method`.

    Notes
    -----
    For one thread. Sending from within a method or a listener queues; sending from outside returns when everything
    that followed from it is done, timers aside.
    """

    def __init__(
        self,
        component: Component,
        *,
        persistence: PersistenceConfig | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        methods: Mapping[str, Method] | None = None,
    ) -> None:
        self.component = component
        self.registry: ComponentRegistry | None = None
        self._clock = clock or SystemClock()
        self._ids = ids or TimeOrderedIds()
        self._methods: dict[str, Method] = dict(methods or {})
        self._persistence = Persistence(component, persistence or PersistenceConfig())
        self._population = Population(component)
        self._listeners: tuple[Listener, ...] = ()
        self._queue: deque[Work] = deque()
        self._prompt: list[Work] = []
        self._outbox: list[Work] = []
        self._busy = False
        self._current: Causes = ()
        self._failure: StoreError | None = None

    # What callers do

    def create_instance(
        self, machine_name: str, data: Mapping[str, object] | None = None, *, caused_by: Causes = ()
    ) -> str:
        """Make an instance in its initial state; returns its id.

        Raises
        ------
        NotFoundError
            The component has no such machine.
        """
        self._population.get_table(machine_name)
        work = Create(self._ids.instance_id(), machine_name, data or {}, "manual create", caused_by)
        self._submit(work)
        return work.instance_id

    def send(
        self,
        instance_id: str,
        event: Event | str,
        payload: Mapping[str, object] | None = None,
        *,
        caused_by: Causes = (),
    ) -> None:
        """Send an event to an instance. Give either an `Event`, or its type and payload.

        `caused_by` is for answers from outside: it names the events that they answer. From within a method or a
        listener, the event being processed is the cause, and the sending waits its turn.

        Raises
        ------
        InstanceNotActiveError
            The instance is unknown here, or finished.
        StoreError
            The event could not be stored; nothing has changed, and it can be sent again.
        """
        if isinstance(event, str):
            event = Event(event, payload or {})
        self._submit(Send(instance_id, event, caused_by))

    def broadcast(
        self,
        machine_name: str,
        event: Event | str,
        payload: Mapping[str, object] | None = None,
        *,
        state: str | None = None,
        caused_by: Causes = (),
    ) -> int:
        """Send an event to the instances of a machine, all of them or those in `state`; returns how many it reached.

        Where transitions on this event have matching rules, it goes to the instances for which these hold, and the
        number is of those that changed their state. What a failing store holds up is not counted; see `queued`.
        """
        self._population.get_table(machine_name)
        if isinstance(event, str):
            event = Event(event, payload or {})
        counts: list[int] = []
        work = Broadcast(machine_name, event, None if state == "*" else state, caused_by, done=counts.append)
        if self._busy:
            reached = len(self._population.targets(work)[0])
            self._submit(work)
            return reached
        self._submit(work)
        return counts[0] if counts else 0

    def register_method(self, name: str, method: Method) -> None:
        """Call `method` where the document names `name`."""
        self._methods[name] = method

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of everything that happens from now on."""
        self._listeners = (*self._listeners, listener)

    def start_entry_point(self) -> None:
        """Make the one instance of the entry machine, unless it is there. The registry calls this."""
        name = self.component.entry_machine
        if name is None or any(live.instance.is_entry_point for live in self._population.of_machine(name)):
            return
        self._population.get_table(name)
        self._submit(Create(self._ids.instance_id(), name, {}, "manual create", is_entry_point=True))

    def retry(self) -> int:
        """Work on what a failing store left in the queue; returns how much is left.

        Every `send` does so first.
        """
        if not self._busy:
            self._drain()
        return len(self._queue)

    def send_across(self, component_name: str, work: Send | Create | Broadcast) -> None:
        """Hand work to another component, caused by what is being processed here. For `Sender`."""
        work.causes = work.causes or self._current
        work.source = self.component.name
        self._submit(Across(component_name, work))

    def new_instance_id(self) -> str:
        return self._ids.instance_id()

    # What callers see

    @property
    def queued(self) -> int:
        """How many pieces of work wait: none, unless the store failed."""
        return len(self._queue)

    def find_instance(self, instance_id: str) -> Instance | None:
        live = self._population.find(instance_id)
        return None if live is None else live.instance

    def get_instance(self, instance_id: str) -> Instance:
        """`NotFoundError` where it is unknown here, or has ended and was disposed of."""
        live = self._population.find(instance_id)
        if live is None:
            raise NotFoundError(f"Instance {instance_id} not found in {self.component.name!r}")
        return live.instance

    def instances(self, machine_name: str | None = None) -> Iterator[Instance]:
        """Live instances in order of creation."""
        return (live.instance for live in self._population.of_machine(machine_name))

    def pending_timeouts(self, instance_id: str) -> tuple[PendingTimeout, ...]:
        """Timers of an instance with the time that is left."""
        live = self._population.find(instance_id)
        return () if live is None else tuple(self._pending(live, self._clock.now()))

    def last_event_id(self, instance_id: str) -> str | None:
        live = self._population.find(instance_id)
        return None if live is None else live.last_event_id

    # The queue

    def _submit(self, work: Work) -> None:
        """Do `work` and all that follows, or queue it when something is being processed."""
        if self._busy:
            if isinstance(work, Send | Create | Broadcast) and not work.causes:
                work.causes = self._current
            prompt = isinstance(work, Create | Across)
            (self._prompt if prompt else self._outbox).append(work)
            return
        if self._queue:
            self._drain()
            if self._queue and self._failure is not None:
                raise self._failure  # earlier work goes first, and the store still refuses it
        self._process(work)
        if self._queue:
            self._drain()

    def accept(self, work: Work) -> None:
        """Take work from another component, and do it now unless something is being processed."""
        self._queue.append(work)
        if not self._busy:
            self._drain()

    def _drain(self) -> None:
        """Do what is queued. Stops at work that the store cannot take now, and keeps it; the rest fails alone."""
        queue = self._queue
        done = 0
        while queue:
            work = queue.popleft()
            done += 1
            if done == _MANY:
                log.warning("%d pieces of work followed from one; a loop? component=%s", _MANY, self.component.name)
            try:
                self._process(work)
            except _HOPELESS as error:
                self._give_up(work, error)
            except StoreError as error:
                queue.appendleft(work)
                self._failure = error
                log.warning("the store refused an event; %d wait for it component=%s", len(queue), self.component.name)
                self._notify("delivery_failed", _target_of(work), error=str(error), kept=True)
                return
        self._failure = None

    def _give_up(self, work: Work, error: Exception) -> None:
        log.warning("an event could not be delivered component=%s: %s", self.component.name, error)
        if isinstance(work, Send) and work.timer is not None and (live := self._population.find(work.instance_id)):
            live.timers.pop(work.timer.event_type, None)
        self._notify("delivery_failed", _target_of(work), error=str(error), kept=False)

    def _process(self, work: Work) -> None:
        self._busy = True
        try:
            if isinstance(work, Send):
                self._process_send(work)
            elif isinstance(work, Create):
                self._process_create(work)
            elif isinstance(work, Broadcast):
                self._process_broadcast(work)
            elif isinstance(work, Across):
                self._process_across(work)
            else:
                work.callback()
        except BaseException:
            self._prompt.clear()
            self._outbox.clear()
            raise
        finally:
            self._busy = False
            self._current = ()
        if self._prompt:
            self._queue.extendleft(reversed(self._prompt))
            self._prompt.clear()
        if self._outbox:
            self._queue.extend(self._outbox)
            self._outbox.clear()

    # One transition

    def _process_send(self, work: Send) -> None:
        live = self._population.find(work.instance_id)
        timer = work.timer
        if timer is not None and (live is None or live.timers.get(timer.event_type) is not timer):
            return  # the state was left while the timer's event waited behind a failing store
        if live is None:
            raise InstanceNotActiveError(f"Instance {work.instance_id} not found")
        instance = live.instance
        if instance.status != "active":
            raise InstanceNotActiveError(f"Instance {work.instance_id} is not active")
        event, table = work.event, live.table
        plan, ambiguous = table.choose(instance, event)
        if ambiguous:
            log.warning("several transitions fit; took the first state=%s event=%s", instance.current_state, event.type)
            self._notify("ambiguous_transition", instance.id, state=instance.current_state, event=event.type)
        if plan is None:
            if timer is not None:
                del live.timers[timer.event_type]
            self._notify("event_ignored", instance.id, state=instance.current_state, event=event.type)
            if work.tally is not None and not work.tally.moved_only:
                work.tally.count += 1
            return

        now = self._clock.now()
        event_id = self._ids.event_id(now)
        causes = (event_id,)
        self._current = causes
        if plan.before:
            instance = self._run_methods(plan.before, event, instance)
        step = table.apply(instance, plan, event, now)
        self._persistence.append(
            event_id,
            instance.current_state,
            step.instance,
            event.type,
            event.payload,
            timestamp=now if event.timestamp is None else event.timestamp,
            persisted_at=now,
            caused_by=work.causes,
            source=work.source,
            expected_last_id=live.last_event_id,
        )
        # From here on it has happened.
        if timer is not None:
            del live.timers[timer.event_type]
        live.instance = step.instance
        live.last_event_id = event_id
        live.transitions += 1
        if work.tally is not None and (
            not work.tally.moved_only or step.instance.current_state != instance.current_state
        ):
            work.tally.count += 1
        self._carry_out(live, step, instance.current_state, event, causes)

    def _carry_out(self, live: Live, step: Step, before: str, event: Event, causes: Causes) -> None:
        """The effects of a step that is stored, in their order."""
        instance = step.instance
        effects = step.effects
        position = 0
        while position < len(effects) and isinstance(stop := effects[position], StopTimer):
            self._stop_timer(live, stop.event_type)
            position += 1
        if self._listeners:
            state = live.table.find_state(instance.current_state)
            self._notify(
                "state_change",
                instance.id,
                machine=instance.machine_name,
                before=before,
                after=instance.current_state,
                event=event.type,
                state_type=state.type if state else "regular",
                event_id=causes[0],
            )
        snapshot_due = self._persistence.snapshot_due(live.transitions, instance)
        for effect in effects[position:]:
            if snapshot_due and not isinstance(effect, RunMethod | NotifyParent):
                self._snapshot(live, effects)
                snapshot_due = False
            self._carry_out_one(live, effect, event, causes)
        if snapshot_due:
            self._snapshot(live, effects)

    def _carry_out_one(self, live: Live, effect: Effect, event: Event, causes: Causes) -> None:
        if isinstance(effect, StartTimer):
            self._start_timer(live, effect, causes)
        elif isinstance(effect, RunMethod):
            live.instance = self._run_methods((effect,), event, live.instance)
        elif isinstance(effect, Cascade):
            self._cascade(live.instance, effect, causes)
        elif isinstance(effect, SendAcross):
            self._send_across(live.instance, effect, causes)
        elif isinstance(effect, CreateInstance):
            self._create_child(live, effect, causes)
        elif isinstance(effect, NotifyParent):
            self._notify_parent(live.instance, effect, causes)
        elif isinstance(effect, Dispose):
            self._dispose(live)

    def _run_methods(self, methods: Sequence[RunMethod], event: Event, instance: Instance) -> Instance:
        """Call the user's methods with a copy of the instance; returns the copy, with what they changed in it."""
        for method in methods:
            self._notify(method.moment, instance.id, method=method.name, event=event.type)
            function = self._methods.get(method.name)
            if function is None:
                continue
            # A deep copy: a method may change nested values, and the transition may still fail to be stored.
            instance = replace(
                instance,
                context=copy.deepcopy(instance.context),
                public_member=copy.deepcopy(instance.public_member),
                internal_member=copy.deepcopy(instance.internal_member),
            )
            try:
                function(event, instance, Sender(self, instance))
            except Exception as error:
                log.warning(
                    "user method failed component=%s method=%s", self.component.name, method.name, exc_info=True
                )
                self._notify("user_code_error", instance.id, method=method.name, moment=method.moment, error=str(error))
        return instance

    def _snapshot(self, live: Live, effects: Sequence[Effect] = ()) -> None:
        """Save a snapshot; timers that the step has yet to start count as running.

        The event is stored already, so a snapshot that fails is reported and does not undo it.
        """
        now = self._clock.now()
        pending = list(self._pending(live, now))
        running = {timeout.event_type for timeout in pending}
        for effect in effects:
            if isinstance(effect, StartTimer) and effect.event_type not in running:
                pending.append(_pending_timeout(live.instance, effect.event_type, effect.delay_ms))
        try:
            self._persistence.save_snapshot(live.instance, now, live.last_event_id, pending)
        except StoreError as error:
            log.warning("snapshot failed instance=%s", live.instance.id, exc_info=True)
            self._notify("snapshot_failed", live.instance.id, error=str(error))

    def _pending(self, live: Live, now: EpochMs) -> Iterator[PendingTimeout]:
        for timer in live.timers.values():
            yield _pending_timeout(live.instance, timer.event_type, DurationMs(max(0, timer.due - now)))

    # Timers

    def _start_timer(self, live: Live, effect: StartTimer, causes: Causes) -> None:
        self._stop_timer(live, effect.event_type)
        running = RunningTimer(effect.event_type, EpochMs(self._clock.now() + effect.delay_ms), causes)
        work = Send(live.instance.id, Event(effect.event_type, {"reason": effect.reason}), causes, timer=running)
        running.timer = self._clock.call_at(running.due, lambda: self.accept(work))
        live.timers[effect.event_type] = running

    def _stop_timer(self, live: Live, event_type: str) -> None:
        running = live.timers.pop(event_type, None)
        if running is not None and running.timer is not None:
            running.timer.cancel()

    # Making and ending instances

    def _process_create(self, work: Create) -> None:
        table = self._population.get_table(work.machine_name)
        now = self._clock.now()
        event_id = self._ids.event_id(now)
        machine, parent = table.machine, work.parent
        public = machine.public_member_type is not None
        instance = Instance(
            id=work.instance_id,
            machine_name=machine.name,
            component_name=self.component.name,
            current_state=machine.initial_state,
            context={} if public else dict(work.data),
            public_member=dict(work.data) if public else None,
            internal_member={} if public else None,
            created_at=now,
            updated_at=now,
            parent_instance_id=parent.id if parent else None,
            parent_machine_name=parent.machine_name if parent else None,
            is_entry_point=work.is_entry_point,
        )
        payload: dict[str, object] = {"triggerEvent": work.trigger, "initialContext": dict(work.data)}
        if parent is not None:
            payload = {"parentInstanceId": parent.id, "parentMachineName": parent.machine_name, **payload}
        self._current = (event_id,)
        self._persistence.append(
            event_id,
            "",
            instance,
            CREATION,
            payload,
            timestamp=now,
            persisted_at=now,
            caused_by=work.causes,
            source=work.source,
            expected_last_id="",
        )
        live = self._population.add(instance, table, event_id)
        self._notify(
            "instance_created",
            instance.id,
            machine=machine.name,
            state=instance.current_state,
            parent=instance.parent_instance_id,
            context=instance.context,
            public_member=instance.public_member,
            event_id=event_id,
        )
        for timer in table.timers_of(instance.current_state):
            self._start_timer(live, timer, (event_id,))

    def _create_child(self, live: Live, effect: CreateInstance, causes: Causes) -> None:
        parent = live.instance
        if not self._population.has_machine(effect.machine_name):
            error = f"Machine {effect.machine_name} not found"
            log.warning("inter-machine transition to an unknown machine %s", effect.machine_name)
            self._notify("instance_error", parent.id, error=error)
            self._forget(live)
            return
        child_id = self._ids.instance_id()
        self._prompt.append(
            Create(child_id, effect.machine_name, effect.data, "inter_machine transition", causes, parent=parent)
        )
        self._prompt.append(
            Call(
                lambda: self._notify("inter_machine_transition", parent.id, child=child_id, machine=effect.machine_name)
            )
        )

    def _dispose(self, live: Live) -> None:
        """An instance has ended. An entry point stays, so that a sender learns that it is not active."""
        instance = live.instance
        for event_type in tuple(live.timers):
            self._stop_timer(live, event_type)
        if not instance.is_entry_point:
            self._forget(live)
        self._notify("instance_disposed", instance.id, state=instance.current_state, status=instance.status)

    def _forget(self, live: Live) -> None:
        for event_type in tuple(live.timers):
            self._stop_timer(live, event_type)
        self._population.remove(live)

    # Broadcasts, cascades, other components

    def _process_broadcast(self, work: Broadcast) -> None:
        targets, moved_only = self._population.targets(work)
        tally = Tally(moved_only)

        def finish() -> None:
            self._notify(
                "broadcast_completed",
                machine=work.machine_name,
                state=work.state or "*",
                event=work.event.type,
                count=tally.count,
            )
            if work.done is not None:
                work.done(tally.count)

        # To the front: they are one step, and come before whatever waits.
        self._queue.appendleft(Call(finish))
        for instance_id in reversed(targets):
            self._queue.appendleft(Send(instance_id, work.event, work.causes, work.source, tally))

    def _cascade(self, instance: Instance, effect: Cascade, causes: Causes) -> None:
        def finish(count: int) -> None:
            self._notify(
                "cascade_completed",
                instance.id,
                machine=effect.machine_name,
                state=effect.state,
                event=effect.event.type,
                count=count,
            )

        work = Broadcast(
            effect.machine_name,
            effect.event,
            None if effect.state == "*" else effect.state,
            causes,
            everybody=not effect.matched,
            done=finish,
        )
        if effect.component_name is None or effect.component_name == self.component.name:
            if self._population.has_machine(effect.machine_name):
                self._outbox.append(work)
            else:
                self._notify("cascade_error", instance.id, error=f"Machine {effect.machine_name} not found")
        elif self._reaches(effect.component_name):
            work.source = self.component.name
            self._outbox.append(Across(effect.component_name, work))
        else:
            where = f"{effect.component_name}.{effect.machine_name}"
            self._notify(
                "cascade_error",
                instance.id,
                error=f"Cross-component cascading rule requires a ComponentRegistry. Target: {where}",
            )

    def _send_across(self, instance: Instance, effect: SendAcross, causes: Causes) -> None:
        self._notify(
            "cross_component_transition",
            instance.id,
            component=effect.component_name,
            machine=effect.machine_name,
            event=effect.event_type,
            data=effect.data,
        )
        if not self._reaches(effect.component_name):
            log.info("component %s is not registered; its event goes nowhere", effect.component_name)
            return
        source = self.component.name
        work: Create | Broadcast
        if effect.event_type is None:
            work = Create(
                self._ids.instance_id(),
                effect.machine_name,
                effect.data,
                "cross_component transition",
                causes,
                source,
            )
        else:
            event = Event(effect.event_type, effect.data)
            work = Broadcast(effect.machine_name, event, None, causes, source, rules=effect.rules)
        self._prompt.append(Across(effect.component_name, work))

    def _process_across(self, work: Across) -> None:
        if self.registry is None:
            raise NotFoundError(f"component {work.component_name!r} cannot be reached: no registry")
        self.registry.get_runtime(work.component_name).accept(work.work)

    def _reaches(self, component_name: str) -> bool:
        return self.registry is not None and self.registry.find_runtime(component_name) is not None

    def _notify_parent(self, instance: Instance, effect: NotifyParent, causes: Causes) -> None:
        # Queued like any other event: the parent may be the one whose transition is under way.
        parent_id = instance.parent_instance_id
        if parent_id is not None and self._population.find(parent_id) is not None:
            self._outbox.append(Send(parent_id, Event(effect.event_type, effect.payload), causes))

    # Small things

    def _notify(self, name: str, instance_id: str = "", **data: object) -> None:
        if not self._listeners:
            return
        notice = Notice(name, self.component.name, instance_id, data)
        for listener in self._listeners:
            try:
                listener(notice)
            except Exception:
                # Listeners look on; a broken one must not leave a transition half done.
                log.exception("a listener failed at %s", name)


def _pending_timeout(instance: Instance, event_type: str, remaining: DurationMs) -> PendingTimeout:
    return PendingTimeout(
        state_key=f"{instance.id}-{instance.current_state}-{event_type}", event_type=event_type, remaining_ms=remaining
    )


def _target_of(work: Work) -> str:
    return work.instance_id if isinstance(work, Send | Create) else ""
