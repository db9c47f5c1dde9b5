"""Runs inputs on real runtimes that keep everything in memory: nothing is stored, and nothing leaves the process.

With a recording beside the inputs, a run repeats what was recorded as far as it goes the same way: instances get their
ids, timers fire when they did, and what user methods left and sent is taken from the recording. No method is called.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xcstore.errors import InstanceNotActiveError, LimitExceededError, NotFoundError, XcstoreError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.model.history import CREATION, Instance, PersistedEvent
from xcstore.replay.memory_runtimes import MemoryRuntimes, creation
from xcstore.replay.method_values import StandIn
from xcstore.replay.quiet import quiet
from xcstore.replay.recognition import Recognition
from xcstore.replay.recording import Input, Recording
from xcstore.replay.run_results import Interventions, Refusal, Run
from xcstore.replay.schedule import Due, Schedule
from xcstore.runtime import Notice, SimulatedClock
from xcstore.runtime.executor import Executor
from xcstore.runtime.folding import Folded
from xcstore.runtime.interpreter import Event
from xcstore.runtime.live import Live, RunningTimer
from xcstore.runtime.work import Create, Send
from xcstore.units import EpochMs

__all__ = ["MAX_EVENTS", "run_inputs"]

MAX_EVENTS: Final = 20_000
_MAX_AFTER: Final = 1_000
"""Events that timers may make after the recording has ended and all is sent. The run ends there, and says so."""
_EVERY: Final = 200
"""Events between two looks at the clock."""


def run_inputs(
    components: Catalog | Sequence[Component],
    inputs: Sequence[Input],
    *,
    start: Mapping[str, Folded] | None = None,
    start_at: EpochMs,
    until: EpochMs,
    recording: Recording | None = None,
    interventions: Interventions | None = None,
    max_events: int = MAX_EVENTS,
    max_seconds: float = 10.0,
    stop: Callable[[PersistedEvent], bool] = lambda event: False,
    on_progress: Callable[[int], None] = lambda events: None,
) -> Run:
    """Send inputs to fresh runtimes in memory and see what comes of it.

    Parameters
    ----------
    components : Catalog or sequence of Component
    inputs : sequence of Input
        Sent at their times; timers that fall due before fire before.
    start : mapping of str to Folded
        Instances that are there when it begins; their timers go on.
    start_at, until : EpochMs
        Simulated time runs from one to the other.
    recording : Recording, optional
        What the inputs come from. Without it children get new names, methods leave nothing, and what code sent is sent
        at its time.
    interventions : Interventions, optional
        Needs a recording.
    max_events, max_seconds
        The run is cut where it goes beyond.
    stop : callable
        Told of each event; where it answers True, the run ends there.
    on_progress : callable
        Told every some hundred events how many there are; what it raises ends the work.

    Examples
    --------
    >>> from xcstore.model.loader import parse_component
    >>> door = parse_component('''
    ... name: House
    ... stateMachines:
    ...   - name: Door
    ...     initialState: Shut
    ...     states: [{name: Shut}, {name: Open}]
    ...     transitions:
    ...       - {from: Shut, to: Open, event: PUSH}
    ...       - {from: Open, to: Shut, event: FALL, type: timeout, timeoutMs: 500}
    ... ''')
    >>> made = Input(at=EpochMs(0), component_name="House", machine_name="Door", instance_id="d", event_type="")
    >>> run = run_inputs([door], [made, replace(made, at=EpochMs(10), event_type="PUSH")],
    ...                  start_at=EpochMs(0), until=EpochMs(2_000))
    >>> [(event.persisted_at, event.event_type, event.state_after) for event in run.events]
    [(0, 'INSTANCE_CREATED', 'Shut'), (10, 'PUSH', 'Open'), (510, 'FALL', 'Shut')]
    """
    limits = _Limits(max_events, max_seconds, stop, on_progress)
    running = _Running(tuple(components), inputs, start_at, until, recording, interventions or Interventions(), limits)
    with quiet():
        return running.run(start or {})


@dataclass(frozen=True, slots=True)
class _Limits:
    """Where a run ends early, and who is told of it; see `run_inputs`."""

    max_events: int
    max_seconds: float
    stop: Callable[[PersistedEvent], bool]
    on_progress: Callable[[int], None]


class _Cut(BaseException):
    """Ends a run. No `Exception`, which the runtime's queue would survive."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Stopped(BaseException):
    """Carries what a caller raised past the runtime's queue."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _InterventionError(LimitExceededError):
    """This event is not to happen. The runtime gives up on it alone, and goes on."""


class _Running:
    """One run. It is the store that the runtimes write to, and so sees each event before anything follows from it."""

    def __init__(
        self,
        components: tuple[Component, ...],
        inputs: Sequence[Input],
        start_at: EpochMs,
        until: EpochMs,
        recording: Recording | None,
        interventions: Interventions,
        limits: _Limits,
    ) -> None:
        self._until = max(until, start_at)
        self._recording = recording
        self._changed = interventions
        self._limits = limits
        self._room: float = math.inf
        """How many events it may have at most, once timers alone go on."""
        self._late = time.monotonic() + limits.max_seconds
        self._clock = SimulatedClock(start_at)
        self._schedule = Schedule(inputs, with_causes=recording is not None)
        self._recognition = Recognition(recording)
        self._methods = StandIn(recording, self._recognition)
        self._runtimes = MemoryRuntimes(
            components,
            clock=self._clock,
            events=self,
            method=self._methods,
            listener=self._on_notice,
            children=recording.children if recording else {},
            origins=self._recognition.origins,
            set_timer=self._recognition.set_timer,
        )
        self._methods.causes = lambda: self._runtimes.causes
        self.events: list[PersistedEvent] = []
        self._inputs: dict[str, Input] = {}
        self._before: dict[str, tuple[str, Mapping[str, object]]] = {}
        self._rests_on: dict[str, str] = {}
        self._refused: list[Refusal] = []
        self._assumed: dict[str, None] = {}
        self._intervened = False

    # The run

    def run(self, start: Mapping[str, Folded]) -> Run:
        for problem in self._runtimes.revive(start):
            self._assume(problem)
        end = min(self._recording.end, self._until) if self._recording else self._until
        cut, early, reached = "", "", self._until
        at_end: dict[str, Instance] | None = None
        try:
            self._send_all()
            if self._clock.now() < end:
                self._clock.advance_to(end)
            if self._recording is not None:
                at_end = self._runtimes.instances()
                self._room = len(self.events) + _MAX_AFTER
            if self._clock.now() < self._until:
                self._clock.advance_to(self._until)
        except _Cut as reason:
            cut, reached = reason.reason, self._clock.now()
            if not cut:
                early = f"timers alone made {_MAX_AFTER:,} events after the recording had ended"
        except _Stopped as stopped:
            raise stopped.error from None
        instances = self._runtimes.instances()
        return Run(
            events=tuple(self.events),
            instances=instances,
            at_end=instances if at_end is None else at_end,
            refused=tuple(self._refused),
            unsent=self._schedule.unsent,
            origins=self._recognition.origins,
            inputs=self._inputs,
            before=self._before,
            methods=dict(self._methods.unknown),
            rests_on=self._rests_on,
            assumptions=tuple(self._assumed),
            cut=cut,
            until=reached,
            early=early,
            pending=self._runtimes.with_timers(),
        )

    def _send_all(self) -> None:
        sent = 0
        while (due := self._schedule.next()) is not None:
            if due.at > self._until:
                return
            if due.at > self._clock.now():
                self._clock.advance_to(due.at, inclusive=False)
            if (timer := self._clock.next_due()) is not None and timer <= due.at:
                self._fire_before(due)
            if not self._schedule.take(due):
                continue
            self._send(due.input)
            self._check_time()
            sent += 1
            if sent % _EVERY == 0:
                self._tell_progress()

    def _fire_before(self, due: Due) -> None:
        """Timers that fall due with an input come first, but where the recording has them after it, or not at all."""
        at, order, one = due.at, due.order, due.input
        taken = one.instance_id if self._recording and one.origin and one.kind != "assumed" else ""
        found: list[tuple[float, Live, RunningTimer]] = []
        for live, timer in self._runtimes.timers_due(at):
            place: float = self._recognition.timer_place(live.id, timer.event_type)
            # Recorded is that the instance took the input, and nothing of the timer.
            held = place < 0 and timer.due == at and live.id == taken
            found.append((math.inf if held else place, live, timer))
        if all(place <= order for place, _, _ in found):
            self._clock.advance_to(at)
            return
        for place, live, timer in sorted(found, key=lambda item: (item[0] < 0, item[0])):
            if place <= order:
                self._runtimes.fire(live, timer)

    def _send(self, one: Input) -> None:
        executor = self._find(one)
        if executor is None:
            return
        causes = (self._recognition.again.get(one.cause, one.cause),) if one.cause is not None else ()
        self._recognition.current = one
        try:
            if one.event_type == "":
                executor.agenda.perform(creation(executor, one, causes))
            else:
                runtime = self._runtimes.runtimes[executor.name]
                runtime.send(one.instance_id, one.event_type, one.payload, caused_by=causes)
        except InstanceNotActiveError:
            self._refuse(one, self._runtimes.why_not_active(one.instance_id))
        except _InterventionError:
            pass
        except NotFoundError:
            self._refuse(one, f"the definition has no machine {one.machine_name!r}")
        except XcstoreError as error:
            self._refuse(one, str(error))
        finally:
            self._recognition.current = None

    def _find(self, one: Input) -> Executor | None:
        """Who takes an input; where nobody can, it is refused."""
        executor = self._runtimes.find(one.component_name, one.machine_name)
        if executor is None:
            self._refuse(one, f"no definition of {one.machine_name} is known")
        elif one.event_type == "" and self._runtimes.exists(one.instance_id):
            self._refuse(one, "the instance is there already")
            return None
        elif (
            one.event_type == "" and one.kind == "assumed" and self._runtimes.is_taken(executor.name, one.machine_name)
        ):
            self._refuse(one, f"{one.machine_name} is a singleton, and there is one already")
            return None
        return executor

    def _refuse(self, one: Input, reason: str) -> None:
        self._refused.append(Refusal(input=one, reason=reason))

    def _assume(self, text: str) -> None:
        self._assumed[text] = None

    def _check_time(self) -> None:
        if time.monotonic() > self._late:
            raise _Cut(f"the {self._limits.max_seconds:.3g} s that a run may take were over")

    def _tell_progress(self) -> None:
        try:
            self._limits.on_progress(len(self.events))
        except Exception as error:
            raise _Stopped(error) from error

    # What the runtimes write

    def append(self, event: PersistedEvent, *, expected_last_id: str | None = None) -> None:
        """Take an event; what follows from it comes afterwards."""
        if len(self.events) >= self._room:
            raise _Cut("")
        if len(self.events) >= self._limits.max_events:
            raise _Cut(f"it made more than {self._limits.max_events:,} events, which may be a loop")
        if len(self.events) % _EVERY == 0:
            self._check_time()
            self._tell_progress()
        made_by = self._recognition.input_of(event)
        origin = self._recognition.origin_of(event, made_by)
        if made_by is None and origin is not None:
            self._intervene(event, origin)
        self.events.append(event)
        live = self._runtimes.find_live(event.instance_id)
        self._before[event.id] = ("", {}) if live is None else (live.state, live.properties)
        if made_by is not None:
            self._inputs[event.id] = made_by
        if made_by is not None and made_by.kind == "assumed":
            self._methods.unanswered.pop(event.instance_id, None)  # whoever inserts an answer says what came of it
        if (method := self._methods.unanswered.get(event.instance_id)) is not None:
            self._rests_on[event.id] = method
        self._methods.stored()
        if origin is not None:
            self._recognition.happened(event.id, origin)
            self._follow(event, origin)
        if self._limits.stop(event):
            raise _Cut("stopped")

    def _intervene(self, event: PersistedEvent, origin: str) -> None:
        replaced = self._changed.replaced.get(origin)
        if origin not in self._changed.dropped and replaced is None:
            return
        if replaced is not None:
            kind, payload = replaced
            executor = self._runtimes.executors[event.component_name]
            one = Input(
                at=event.persisted_at,
                component_name=event.component_name,
                machine_name=event.machine_name,
                instance_id=event.instance_id,
                event_type="" if event.event_type == CREATION else kind,
                payload=payload,
                origin=origin,
                kind="assumed",
                cause=self._recording.causes.get(origin) if self._recording else None,
                source=event.source_component_name,
            )
            # The queue goes on with it once this one is given up.
            executor.agenda.queue.appendleft(self._work(executor, one, event.caused_by))
        self._intervened = True
        raise _InterventionError("an edit of the fork")

    def _follow(self, event: PersistedEvent, origin: str) -> None:
        """What code sent at this event, and when answers to it come."""
        executor = self._runtimes.executors[event.component_name]
        recorded = self._recording.moments.get(origin) if self._recording else None
        for one in reversed(self._schedule.take_code(origin)):
            if recorded is not None and one.at > recorded:
                self._schedule.add(one, EpochMs(event.persisted_at + one.at - recorded))
                continue
            target = self._find(one)
            if target is None:
                continue
            # Where a method would have put it.
            agenda = target.agenda
            waiting = agenda.front if one.event_type == "" or target is not executor else agenda.back
            waiting.insert(0, self._work(target, one, (event.id,)))
        if recorded is not None and event.persisted_at != recorded:
            self._schedule.shift_answers(origin, event.persisted_at - recorded, earliest=self._clock.now())

    def _work(self, executor: Executor, one: Input, causes: tuple[str, ...]) -> Create | Send:
        """An input as the runtime's queue has it."""
        self._recognition.queue(one, causes[0] if causes else "")
        if one.event_type == "":
            return creation(executor, one, causes)
        return Send(executor, one.instance_id, Event(one.event_type, one.payload), causes, one.source)

    # What the runtimes tell

    def _on_notice(self, notice: Notice) -> None:
        name, instance_id, data = notice.name, notice.instance_id, notice.data
        if name in ("exit_method", "triggered_method", "entry_method"):
            live = self._runtimes.find_live(instance_id)
            method = f"{notice.component_name}.{live.machine_name if live else ''}: {data['method']}"
            self._methods.announce(name, method, live.last_event_id if live else None)
        elif name == "event_ignored":
            one = self._recognition.take_ignored(instance_id, str(data["event"]))
            if one is not None:
                self._refuse(one, f"{data['state']} does not take {data['event']}")
        elif name == "delivery_failed" and self._intervened:
            self._intervened = False
        elif name == "delivery_failed":
            one = self._recognition.take_undelivered(instance_id)
            if one is not None:
                self._refuse(one, self._runtimes.why_not_active(instance_id))
        elif name in ("cascade_error", "instance_error"):
            self._assume(f"{notice.component_name}: {data['error']}")
        elif name == "cross_component_transition" and str(data["component"]) not in self._runtimes.executors:
            self._assume(f"{data['component']} takes no part: what is sent there goes nowhere")
