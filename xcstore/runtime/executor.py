"""The running machines of one component: what becomes of each piece of work, and what is written about it.

Two rules keep a history true:

- *Durable first.* A transition is stored, together with the work that it asks of others, before anybody sees it. A
  store that fails leaves the instance, its timers and everybody else as they were.
- *The cause is what was being processed.* Each piece of work carries the ids of the events that asked for it.

Which of the two happened is unknown when a store breaks off in the middle of an append. Such an attempt is kept with
its instance, and whatever is sent next looks first whether it was stored after all: the same event is then done, and
another one finds the instance where the attempt has led it.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xcstore.errors import (
    ConcurrencyError,
    DuplicateEventError,
    InstanceNotActiveError,
    InvalidEventError,
    LimitExceededError,
    NotFoundError,
    ReadOnlyStoreError,
    StoreError,
)
from xcstore.model.definition import Component, StateMachine
from xcstore.model.history import CREATION, Instance, InstanceSnapshot, OpenEvent, PersistedEvent, new_event
from xcstore.runtime.agenda import Agenda
from xcstore.runtime.asking import ask_cascades, ask_others
from xcstore.runtime.clock import Clock, Latest
from xcstore.runtime.folding import Folded, born, fold
from xcstore.runtime.ids import IdSource
from xcstore.runtime.interpreter import (
    Event,
    Plan,
    RunMethod,
    StartTimer,
    choose,
)
from xcstore.runtime.live import Causes, Live, RunningTimer
from xcstore.runtime.notices import Listener, Notice
from xcstore.runtime.outbox import Doubt, Outbox
from xcstore.runtime.persistence import PersistenceConfig
from xcstore.runtime.population import Population
from xcstore.runtime.sender import Method, Sender
from xcstore.runtime.work import Broadcast, Call, Create, Entered, Send, Tally, Work
from xcstore.store.limits import check_json
from xcstore.units import EpochMs

__all__ = ["Attempt", "Executor"]

log = logging.getLogger(__name__)

_CERTAIN = (DuplicateEventError, ConcurrencyError, LimitExceededError, ReadOnlyStoreError)
"""Errors after which nothing was stored. After any other, nobody knows."""


Values = tuple[Mapping[str, object], Mapping[str, object] | None, Mapping[str, object] | None]
"""Context, public and internal member."""


@dataclass(slots=True, eq=False)
class Attempt:
    """A transition whose event the store may or may not have taken, and all that is left to do if it has."""

    doubt: Doubt
    plan: Plan
    values: Values
    entered: Entered | None
    told: Sequence[Notice]
    front: list[Work]
    back: list[Work]


class Executor:
    """Processes the work of one component. `FSMRuntime` is its face."""

    def __init__(
        self,
        component: Component,
        persistence: PersistenceConfig,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self.component = component
        self.name = component.name
        self.clock = clock
        self.ids = ids
        self.population = Population(component)
        self.methods: dict[str, Method] = {}
        self.listeners: tuple[Listener, ...] = ()
        self.events = persistence.event_store if persistence.event_sourcing else None
        self.snapshots = persistence.snapshot_store if persistence.snapshots else None
        self._append: Callable[..., None] | None = None if self.events is None else self.events.append
        self._interval = persistence.snapshot_interval or 1
        self._hash = component.hash or None
        self._live = self.population.by_id
        self._now, self._new_id = clock.now, ids.event_id
        self._failed_creates: dict[str, Create] = {}
        self.held: deque[Work] = deque()
        """What a failing store holds up, in order."""
        self.failure: StoreError | None = None
        self.outbox: Outbox | None = None
        self.reach: Callable[[str], Executor | None] | None = None
        """How to find another component."""
        self.name_child: Callable[[str, str, str], str] | None = None
        """For a replay: the id of a new instance, by its parent's id, its component and machine."""
        self.set_timer: Callable[[str, str, EpochMs, str], EpochMs] | None = None
        """For a replay: when a timer fires, by its instance, event type, due time, and the event it began with."""
        self.latest = Latest()
        self.agenda = Agenda()
        self.join(self.agenda)

    def join(self, agenda: Agenda) -> None:
        """Share the queue of others."""
        if agenda is not self.agenda:
            agenda.queue.extend(self.agenda.part_with(self))
            self.agenda = agenda
        mine_latest, self.latest = self.latest, agenda.latest.setdefault(id(self.clock), self.latest)
        self.latest.at = max(self.latest.at, mine_latest.at)
        if self.events is not None and getattr(self.events, "keeps_outbox", False):
            store: Any = self.events
            mine = self.outbox or Outbox(store)
            self.outbox = agenda.outboxes.setdefault(id(store), mine)
            if mine is not self.outbox:
                agenda.outboxes[id(mine)] = mine  # waiting work may still have its tickets

    # What comes from outside

    def send(
        self,
        instance_id: str,
        event_type: str,
        payload: Mapping[str, object],
        timestamp: EpochMs | None,
        causes: Causes,
    ) -> None:
        """Do it and all that follows, or queue it when something is being processed."""
        agenda = self.agenda
        if agenda.busy:
            event = Event(event_type, payload, timestamp)
            agenda.back.append(Send(self, instance_id, event, causes or agenda.causes))
            return
        if self.held or agenda.queue:
            agenda.catch_up(self)
        live = self._live.get(instance_id)
        if live is None:
            raise InstanceNotActiveError(f"Instance {instance_id} not found")
        agenda.busy = True
        try:
            self._transition(live, event_type, payload, timestamp, causes, None, None)
        except BaseException:
            agenda.drop_asked()
            raise
        finally:
            agenda.busy = False
            agenda.causes = ()
        if agenda.front or agenda.back:
            agenda.take_asked(self.outbox)
        if agenda.queue or (self.outbox is not None and self.outbox.dirty):
            agenda.drain()

    def create(
        self, machine_name: str, data: Mapping[str, object], causes: Causes, *, entry_point: bool = False
    ) -> str:
        """Make an instance now, or when what is being processed is done; its id."""
        self.population.get_table(machine_name)
        agenda = self.agenda
        work = self._failed_creates.get(machine_name)
        if work is None or work.data != data or work.is_entry_point != entry_point or agenda.busy:
            work = Create(self, self.ids.instance_id(), machine_name, data, "manual create", causes)
            work.is_entry_point = entry_point
        if agenda.busy:
            work.causes = causes or agenda.causes
            agenda.front.append(work)
        else:
            self._failed_creates.pop(machine_name, None)
            try:
                agenda.perform(work)
            except BaseException:
                if work.doubt is not None:
                    self._failed_creates[machine_name] = work
                raise
        return work.instance_id

    def child_id(self, parent_id: str, component_name: str, machine_name: str) -> str:
        """The id of an instance that a transition makes."""
        if self.name_child is not None:
            return self.name_child(parent_id, component_name, machine_name)
        return self.ids.instance_id()

    def check_singleton(self, machine_name: str) -> None:
        """Refuse a second instance of an entry machine that is said to be a singleton.

        As in the reference, that counts for who asks from outside the component; without the word there is no limit.
        """
        component = self.component
        if component.source.get("entryMachineMode") != "singleton" or machine_name != component.entry_machine:
            return
        living = next((live for live in self.population.of_machine(machine_name) if live.status == "active"), None)
        if living is not None:
            raise InvalidEventError(
                f"{machine_name!r} is the entry machine of {self.name!r} and a singleton; {living.id} lives already"
            )

    def broadcast(self, work: Broadcast) -> int:
        """Send to many; how many it reached."""
        self.population.get_table(work.machine_name)
        if self.agenda.busy:
            work.causes = work.causes or self.agenda.causes
            self.agenda.back.append(work)
            return len(self.population.targets(work)[0])
        counts: list[int] = []
        work.done = counts.append
        self.agenda.perform(work)
        return counts[0] if counts else 0

    def ask(self, work: Send | Create | Broadcast) -> None:
        """Take work from a method of another component."""
        agenda = self.agenda
        if agenda.busy:
            work.causes = work.causes or agenda.causes
            agenda.front.append(work)
        else:
            agenda.perform(work)

    # The queue's turn

    def process(self, work: Work) -> None:
        if isinstance(work, Send):
            live = self._live.get(work.instance_id)
            timer = work.timer
            if timer is not None and (live is None or live.timers.get(timer.event_type) is not timer):
                return  # the state was left while the timer's event waited behind a failing store
            if live is None:
                raise InstanceNotActiveError(f"Instance {work.instance_id} not found")
            event = work.event
            self._transition(live, event.type, event.payload, event.timestamp, work.causes, work.source, work)
        elif isinstance(work, Create):
            self._create(work)
        elif isinstance(work, Broadcast):
            self._broadcast(work)
        elif isinstance(work, Entered):
            self._resume_entered(work)
        else:
            work.callback()

    def give_up(self, work: Work, error: Exception) -> None:
        """This piece of work can never be done."""
        log.warning("an event could not be delivered component=%s: %s", self.name, error)
        if isinstance(work, Send) and work.timer is not None and (live := self._live.get(work.instance_id)):
            live.timers.pop(work.timer.event_type, None)
        self.notify("delivery_failed", _target_of(work), error=str(error), kept=False)

    def hold_up(self, work: Work, error: StoreError) -> None:
        """This piece of work, and what comes after it, cannot be done now."""
        self.held.append(work)
        self.failure = error
        log.warning("the store refused an event, which is kept; component=%s: %s", self.name, error)
        self.notify("delivery_failed", _target_of(work), error=str(error), kept=True)

    # One transition

    def _transition(
        self,
        live: Live,
        event_type: str,
        payload: Mapping[str, object],
        timestamp: EpochMs | None,
        causes: Causes,
        source: str | None,
        work: Send | None,
    ) -> None:
        if live.attempt is not None and self._resolve(live, live.attempt, event_type, payload, causes, work):
            return
        if live.status != "active":
            kept = live.is_entry_point
            raise InstanceNotActiveError(f"Instance {live.id} {'is not active' if kept else 'not found'}")
        move = live.moves.get(event_type)
        if move is None:
            self._ignore(live, event_type, work)
            return
        plan = move if isinstance(move, Plan) else self._choose(live, move, event_type, payload)

        agenda, latest = self.agenda, self.latest
        now = self._now()
        # Streams are in order of time, and a clock can be set back.
        if now < latest.at:
            now = latest.at
        else:
            latest.at = now
        event_id = self._new_id(now)
        agenda.causes = (event_id,)
        context, public, internal = live.context, live.public, live.internal
        entered: Entered | None = None
        told: Sequence[Notice] = ()
        if plan.before:
            event = Event(event_type, payload, timestamp)
            context, public, internal = self._run_methods(live, plan.before, event, (context, public, internal))
        if payload and plan.merges:
            context = {**context, **payload}
            if public is not None:
                public = {**public, **payload}
        if not plan.plain:
            event = Event(event_type, payload, timestamp)
            after = self._preview(live, plan, (context, public, internal), now)
            told = ask_cascades(self, plan, after, agenda.causes)
            if plan.entry is not None and plan.entry.name in self.methods:
                entered = Entered(self, live.id, event, event_id, live.state, plan.number)
            elif plan.dynamic:
                told = [*told, *ask_others(self, live, plan, live.state, after, event, agenda.causes)]

        # `new_event`, written out: with its call this would be a tenth of a transition.
        record: Any = OpenEvent()
        record.id = event_id
        record.instance_id = live.id
        record.machine_name = live.machine_name
        record.component_name = self.name
        record.event_type = event_type
        record.payload = payload
        record.timestamp = now if timestamp is None else timestamp
        record.state_before = live.state
        record.state_after = plan.target
        record.persisted_at = now
        record.caused_by = causes
        record.caused = record.faults = ()
        record.source_component_name = source
        record.target_component_name = None if source is None else self.name
        record.public_member_snapshot = context if public is None else public
        record.context = record.seq = record.original = None
        record.definition_hash = self._hash
        record.__class__ = PersistedEvent
        values = (context, public, internal)
        if plan.before and public is not None and context != live.context:
            # What a method changed beside the public member has no other place in the event.
            record = replace(record, context=context)
        if self._append is not None:
            outbox = self.outbox
            try:
                if outbox is not None and (
                    outbox.dirty
                    or entered is not None
                    or agenda.front
                    or agenda.back
                    or (work is not None and work.ticket is not None)
                ):
                    self._append_with_work(outbox, record, live.last_event_id, work, entered)
                else:
                    self._append(record, expected_last_id=live.last_event_id)
            except BaseException as error:  # also an interrupt leaves it open whether the event was stored
                asked = agenda.front + agenda.back + ([] if entered is None else [entered])
                doubt = self._fail(error, record, work, asked)
                if doubt is not None:
                    front, back = list(agenda.front), list(agenda.back)
                    live.attempt = Attempt(doubt, plan, values, entered, told, front, back)
                elif isinstance(error, ConcurrencyError):
                    self._read_again(live)
                raise
        if plan.quiet and work is None and not self.listeners and self.snapshots is None:
            # Most transitions: nothing changes but the values, and nobody looks.
            live.state, live.moves = plan.target, plan.moves
            live.context, live.public, live.internal = values
            live.updated_at, live.last_event_id = now, event_id
            live.transitions += 1
            return
        self._happened(live, record, plan, values, entered, told, work)

    def _happened(
        self,
        live: Live,
        event: PersistedEvent,
        plan: Plan,
        values: Values,
        entered: Entered | None,
        told: Sequence[Notice],
        work: Send | None,
    ) -> None:
        """The event is stored: now it shows."""
        live.state = plan.target
        live.moves = plan.moves
        live.status = plan.status
        live.context, live.public, live.internal = values
        live.updated_at = event.persisted_at
        live.last_event_id = event.id
        live.transitions += 1
        if work is not None:
            if work.timer is not None:
                live.timers.pop(work.timer.event_type, None)
            if work.tally is not None and (not work.tally.moved_only or plan.target != event.state_before):
                work.tally.count += 1
        if plan.quiet and not self.listeners and self.snapshots is None:
            return
        for stop in plan.stops:
            self._stop_timer(live, stop.event_type)
        if self.listeners:
            self.notify(
                "state_change",
                live.id,
                machine=live.machine_name,
                before=event.state_before,
                after=plan.target,
                event=event.event_type,
                state_type=plan.state.type if plan.state else "regular",
                event_id=event.id,
            )
        snapshot_due = plan.status != "active" or live.transitions % self._interval == 0
        if entered is not None:
            snapshot_due |= self._enter(live, plan, entered)
        elif plan.entry is not None:
            self.notify(plan.entry.moment, live.id, method=plan.entry.name, event=event.event_type)
        for notice in told:
            self.tell(notice)
        for start in plan.starts:
            self._start_timer(live, start, event)
        if plan.status != "active":
            self.stop_timers(live)
        if snapshot_due:
            self.save_snapshot(live)
        if plan.status != "active":
            self._dispose(live)
        elif plan.transition.type == "inter_machine" and not self._makes_child(plan):
            error = f"Machine {plan.transition.target_machine} not found"
            log.warning("inter-machine transition to an unknown machine %s", plan.transition.target_machine)
            self.notify("instance_error", live.id, error=error)
            self.forget(live)

    def _preview(self, live: Live, plan: Plan, values: Values, now: EpochMs) -> Instance:
        """The instance as it is going to be."""
        context, public, internal = values
        return replace(
            live.to_instance(self.name),
            current_state=plan.target,
            status=plan.status,
            context=context,
            public_member=public,
            internal_member=internal,
            updated_at=now,
        )

    def _makes_child(self, plan: Plan) -> bool:
        name = plan.transition.target_machine
        return name is None or self.population.has_machine(name)

    def _ignore(self, live: Live, event_type: str, work: Send | None) -> None:
        if work is not None:
            if work.timer is not None:
                live.timers.pop(work.timer.event_type, None)
            if work.tally is not None and not work.tally.moved_only:
                work.tally.count += 1
        self.notify("event_ignored", live.id, state=live.state, event=event_type)

    def _choose(self, live: Live, move: tuple[Plan, ...], event_type: str, payload: Mapping[str, object]) -> Plan:
        plan, ambiguous = choose(move, payload, live.properties)
        assert plan is not None  # there are several
        if ambiguous:
            log.warning("several transitions fit; took the first state=%s event=%s", live.state, event_type)
            self.notify("ambiguous_transition", live.id, state=live.state, event=event_type)
        return plan

    def _append_with_work(
        self, outbox: Outbox, event: PersistedEvent, last_id: str, work: Work | None, entered: Entered | None
    ) -> None:
        """Append an event together with the work that it asks for, and without the work that led to it."""
        assert self._append is not None  # events are kept
        if entered is not None:
            outbox.enter(entered, self.agenda.next_position())
        self.agenda.enter_asked(outbox)
        change = outbox.begin(work)
        if change is None:
            self._append(event, expected_last_id=last_id)
        else:
            self._append(event, expected_last_id=last_id, outbox=change)
        outbox.commit(change, work)

    def _fail(self, error: BaseException, event: PersistedEvent, work: Work | None, asked: list[Work]) -> Doubt | None:
        """An event was not stored, or nobody knows; in that case the doubt."""
        if self.outbox is not None:
            self.outbox.withdraw(asked)
        if isinstance(error, _CERTAIN):
            return None
        doubt = Doubt(event, work, asked, self._is_stored)
        if self.outbox is not None:
            self.outbox.doubts.append(doubt)
        return doubt

    # An attempt that may have been stored

    def _resolve(
        self,
        live: Live,
        attempt: Attempt,
        event_type: str,
        payload: Mapping[str, object],
        causes: Causes,
        work: Send | None,
    ) -> bool:
        """Find out what became of an attempt; whether it was for this same event, which is done with that."""
        doubt = attempt.doubt
        stored = doubt.decide()
        live.attempt = None
        if not stored:
            return False
        event, agenda = doubt.event, self.agenda
        same = doubt.work is work
        if work is None:
            same &= (event.event_type, event.payload, event.caused_by) == (event_type, payload, causes)
        agenda.causes = (event.id,)
        agenda.front += attempt.front
        agenda.back += attempt.back
        self._happened(live, event, attempt.plan, attempt.values, attempt.entered, attempt.told, work if same else None)
        agenda.take_asked(self.outbox)
        if work is not None and work.timer is not None and live.timers.get(work.timer.event_type) is not work.timer:
            return True  # its state was left
        return same

    def _is_stored(self, event: PersistedEvent) -> bool:
        """Whether the store holds it. One that can only be appended to cannot tell: then no."""
        store: Any = self.events
        if hasattr(store, "get_events"):
            return event.id in store.get_events([event.id])
        if hasattr(store, "get_events_for_instance"):
            return any(found.id == event.id for found in store.get_events_for_instance(event.instance_id))
        return False

    # Another runtime has moved an instance on

    def _read_again(self, live: Live) -> None:
        """Go on to where the store has the instance, so that what is sent next is looked at as things are."""
        store: Any = self.events
        if not hasattr(store, "get_events_for_instance"):
            return
        try:
            stream = store.get_events_for_instance(live.id)
        except StoreError:
            return  # the error that is on its way says enough
        ids = [event.id for event in stream]
        known = ids.index(live.last_event_id) + 1 if live.last_event_id in ids else 0
        if known < len(stream):
            self.follow(live, stream[known:], whole=known == 0)

    def follow(self, live: Live, stream: Sequence[PersistedEvent], *, whole: bool = False) -> None:
        """Take recorded events as they are; `whole`: from the creation on. Nothing is appended, called or sent."""
        due = {timer.event_type: (timer.due, "".join(timer.causes[:1])) for timer in live.timers.values()}
        base = None if whole else Folded(live.to_instance(self.name), live.last_event_id, due=due)
        folded = fold(live.table, stream, base)
        if folded is None:
            return
        self.stop_timers(live)
        live.follow(folded.instance, folded.last_event_id)
        live.transitions += folded.events
        if live.status != "active":
            self._dispose(live)
            return
        for start in live.table.timers_of(live.state):
            if start.event_type in folded.due:
                self.start_timer(live, start, *folded.due[start.event_type])

    # The user's methods

    def _run_methods(self, live: Live, methods: Sequence[RunMethod], event: Event, values: Values) -> Values:
        """Call them with a copy of the instance; what they changed in it."""
        context, public, internal = values
        for method in methods:
            self.notify(method.moment, live.id, method=method.name, event=event.type)
            function = self.methods.get(method.name)
            if function is None:
                continue
            # A deep copy: a method may change nested values, and the transition may still fail to be stored.
            instance = replace(
                live.to_instance(self.name),
                context=copy.deepcopy(context),
                public_member=copy.deepcopy(public),
                internal_member=copy.deepcopy(internal),
            )
            try:
                function(event, instance, Sender(self, instance))
                if self.events is not None or self.snapshots is not None:
                    self._check_left(instance)
            except Exception as error:
                if isinstance(error, LimitExceededError):
                    instance = replace(instance, context=context, public_member=public, internal_member=internal)
                log.warning("user method failed component=%s method=%s", self.name, method.name, exc_info=True)
                self.notify("user_code_error", live.id, method=method.name, moment=method.moment, error=str(error))
            context, public, internal = instance.context, instance.public_member, instance.internal_member
        return context, public, internal

    def _check_left(self, instance: Instance) -> None:
        """Refuse what a method left in an instance and no store could hold: it would block the instance for ever."""
        check_json("what the method left in context", instance.context)
        check_json("what the method left in public_member", instance.public_member)
        check_json("what the method left in internal_member", instance.internal_member)

    def _enter(self, live: Live, plan: Plan, entered: Entered) -> bool:
        """The method on entry, and what the transition asks of others after it; whether it changed the instance."""
        assert plan.entry is not None
        was = (live.context, live.public, live.internal)
        live.context, live.public, live.internal = self._run_methods(live, (plan.entry,), entered.event, was)
        if plan.dynamic:
            instance = live.to_instance(self.name)
            for notice in ask_others(self, live, plan, entered.before, instance, entered.event, (entered.event_id,)):
                self.tell(notice)
        if entered.ticket is not None:
            entered.ticket.outbox.settle(entered)
        return was != (live.context, live.public, live.internal)

    def _resume_entered(self, work: Entered) -> None:
        """Finish a transition that was stored before the process was killed."""
        live = self._live.get(work.instance_id)
        plan = None if live is None else live.table.find_numbered(work.number)
        if live is None or plan is None or plan.entry is None or plan.target != live.state:
            raise NotFoundError(f"instance {work.instance_id} is gone, or its definition has changed")
        agenda = self.agenda
        agenda.causes = (work.event_id,)
        # What the transition asked for before the method on entry comes before what that asks for.
        while agenda.queue and _was_put_first_by(work.event_id, agenda.queue[0]):
            agenda.front.append(agenda.queue.popleft())
        if self._enter(live, plan, work):
            self.save_snapshot(live)
        if live.status != "active":
            self._dispose(live)

    # Broadcasts

    def find_component(self, name: str) -> Executor | None:
        """That of another component, where it can be reached."""
        return None if self.reach is None else self.reach(name)

    def _broadcast(self, work: Broadcast) -> None:
        targets, moved_only = self.population.targets(work)
        tally = Tally(moved_only)

        def finish() -> None:
            if not work.everybody:
                self.notify(
                    "broadcast_completed",
                    machine=work.machine_name,
                    state=work.state or "*",
                    event=work.event.type,
                    count=tally.count,
                )
            if work.done is not None:
                work.done(tally.count)

        # To the front: they are one step, and come before whatever waits.
        self.agenda.front += [
            Send(self, instance_id, work.event, work.causes, work.source, tally) for instance_id in targets
        ]
        self.agenda.front.append(Call(self, finish))

    # Timers

    def _start_timer(self, live: Live, start: StartTimer, entered: PersistedEvent) -> None:
        self.start_timer(live, start, EpochMs(entered.persisted_at + start.delay_ms), entered.id)

    def start_timer(self, live: Live, start: StartTimer, due: EpochMs, cause: str) -> None:
        """Send its event to the instance at `due`, unless that leaves its state before; `cause` may be ''."""
        self._stop_timer(live, start.event_type)
        if self.set_timer is not None:
            due = self.set_timer(live.id, start.event_type, due, cause)
        causes = (cause,) if cause else ()
        running = RunningTimer(start.event_type, due, causes)
        event = Event(start.event_type, {"reason": start.reason})
        running.work = Send(self, live.id, event, causes, timer=running)
        running.timer = self.clock.call_at(due, lambda: self.agenda.accept(running.work))
        live.timers[start.event_type] = running

    def fire(self, live: Live, running: RunningTimer) -> None:
        """Let a timer fire that is overdue already, if it still runs."""
        if live.timers.get(running.event_type) is running and running.timer is not None:
            running.timer.cancel()
            self.agenda.accept(running.work)

    def _stop_timer(self, live: Live, event_type: str) -> None:
        running = live.timers.pop(event_type, None)
        if running is not None and running.timer is not None:
            running.timer.cancel()

    # Making and ending instances

    def _create(self, work: Create) -> None:
        table = self.population.get_table(work.machine_name)
        doubt, work.doubt = work.doubt, None
        stored = doubt is not None and doubt.decide()
        record = doubt.event if doubt is not None and stored else self._creation(work, table.machine)
        self.agenda.causes = (record.id,)
        if self._append is not None and not stored:
            try:
                if self.outbox is not None and (self.outbox.dirty or work.ticket is not None):
                    self._append_with_work(self.outbox, record, "", work, None)
                else:
                    self._append(record, expected_last_id="")
            except BaseException as error:
                work.doubt = self._fail(error, record, work, [])
                raise
        live = Live.of(born(record, table), table, record.id)
        live.is_entry_point = work.is_entry_point
        self.population.add(live)
        self.notify(
            "instance_created",
            live.id,
            machine=live.machine_name,
            state=live.state,
            parent=live.parent_id,
            context=copy.deepcopy(live.context) if self.listeners else None,
            public_member=copy.deepcopy(live.public) if self.listeners else None,
            event_id=record.id,
        )
        for start in table.timers_of(live.state):
            self._start_timer(live, start, record)

    def _creation(self, work: Create, machine: StateMachine) -> PersistedEvent:
        now = self._moment()
        payload: dict[str, object] = {"triggerEvent": work.trigger, "initialContext": dict(work.data)}
        if work.parent_id is not None:
            payload = {"parentInstanceId": work.parent_id, "parentMachineName": work.parent_machine, **payload}
        return new_event(
            self._new_id(now),
            work.instance_id,
            machine.name,
            self.name,
            CREATION,
            payload,
            now,
            "",
            machine.initial_state,
            now,
            work.causes,
            work.source,
            None if work.source is None else self.name,
            dict(work.data),
            self._hash,
        )

    def _moment(self) -> EpochMs:
        self.latest.at = max(self._now(), self.latest.at)
        return self.latest.at

    def stop_timers(self, live: Live) -> None:
        for event_type in tuple(live.timers):
            self._stop_timer(live, event_type)

    def forget(self, live: Live) -> None:
        """Take an instance out; it may have ended, or not."""
        self.stop_timers(live)
        self.population.remove(live)

    def _dispose(self, live: Live) -> None:
        """An instance has ended. An entry point stays, so that a sender learns that it is not active."""
        if not live.is_entry_point:
            self.forget(live)
            self.notify("instance_disposed", live.id, state=live.state, status=live.status)

    # Looking

    def save_snapshot(self, live: Live) -> None:
        """The event is stored already, so a snapshot that fails is reported and does not undo it."""
        if self.snapshots is None:
            return
        now = self._moment()
        snapshot = InstanceSnapshot(
            instance=live.to_instance(self.name),
            snapshot_at=now,
            last_event_id=live.last_event_id,
            pending_timeouts=tuple(live.pending(now)),
        )
        try:
            self.snapshots.save_snapshot(snapshot)
        except StoreError as error:
            log.warning("snapshot failed instance=%s", live.id, exc_info=True)
            self.notify("snapshot_failed", live.id, error=str(error))

    def notify(self, name: str, instance_id: str = "", **data: object) -> None:
        if self.listeners:
            self.tell(Notice(name, self.name, instance_id, data))

    def notice(self, name: str, instance_id: str, **data: object) -> Notice:
        return Notice(name, self.name, instance_id, data)

    def tell(self, notice: Notice) -> None:
        for listener in self.listeners:
            try:
                listener(notice)
            except Exception:
                # Listeners look on; a broken one must not leave a transition half done.
                log.exception("a listener failed at %s", notice.name)


def _was_put_first_by(event_id: str, work: Work) -> bool:
    if not isinstance(work, Create | Broadcast | Send) or work.ticket is None:
        return False
    return work.ticket.first and work.causes == (event_id,)


def _target_of(work: Work) -> str:
    return work.instance_id if isinstance(work, Send | Create) else ""
