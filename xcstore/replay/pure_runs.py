"""What a definition makes of a recorded stream: its inputs again, with the timers of this definition between them.

Pure: no runtime, no store, no methods. As long as a run is where the recording is, and the definition says there what
the one that recorded it said, the recording is followed: when a timer really fired, which way was really taken, and
which values user methods left. Where they part, inputs are sent at their recorded times, and timers fall due exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from xcstore.analysis.inference import timer_reason
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.rules import Rules, timer
from xcstore.runtime.interpreter import Move, Plan, choose, status_in
from xcstore.units import EpochMs

__all__ = ["Passed", "Taken", "Way", "run_stream"]

Values = Mapping[str, object]

_ROUNDS: Final = 10_000
"""Timers that may fire one after the other with nothing from outside between them."""


class Taken(NamedTuple):
    """One transition of a run."""

    at: EpochMs
    event_type: str
    after: str
    place: int
    """Of the recorded event in its stream; -1: a timer of the definition."""
    before: str


class Passed(NamedTuple):
    """A recorded input that a run does not take."""

    state: str
    ended: bool
    """Whether the instance had ended, so that it is refused; else the state does not know the event."""


@dataclass(slots=True)
class Way:
    """How one instance goes under one definition.

    Attributes
    ----------
    state : str
        Where it is at the end.
    values : mapping
        Properties at the end: of the public member where there is one, else of the context.
    steps : list of Taken
    passed : dict of int to Passed
        Inputs that were not taken, by their place in the stream.
    known : bool
        Whether `values` are what the instance would hold: not where its history starts late, or user methods ran and
        no recorded values tell what they left.
    method : str
        The last such method.
    unknown : str
        Why it could not be followed to the end, in words; '' where it was.
    breaks : int
        Places where the recording jumps to another state and the run followed it.
    """

    state: str = ""
    values: Values = field(default_factory=dict)
    steps: list[Taken] = field(default_factory=list)
    passed: dict[int, Passed] = field(default_factory=dict)
    known: bool = True
    method: str = ""
    unknown: str = ""
    breaks: int = 0


def run_stream(rules_of: Callable[[PersistedEvent], Rules], stream: Sequence[PersistedEvent], until: EpochMs) -> Way:
    """How the instance of a stream goes under the definition of `rules_of`.

    Parameters
    ----------
    rules_of : callable
        The rules to run an event by; always of one machine, as the recording definition may change on the way.
    stream : sequence of PersistedEvent
        All events of one instance, in stream order.
    until : EpochMs
        How long timers run on after the last event.
    """
    return _Run(until).run(rules_of, stream)


class _Run:
    def __init__(self, until: EpochMs) -> None:
        self.until = until
        self.way = Way()
        self.state = ""
        self.active = True
        self.values: Values = {}
        self.known = True
        """Whether `values` are what the instance would hold."""
        self.faithful = True
        """Whether all so far is as recorded, so that recorded values are those of this run."""
        self.in_step = False
        """Whether the run is where the recording is, and has come there by the same event."""
        self.due: dict[str, EpochMs] = {}
        self.own: Mapping[str, EpochMs] = {}
        """Those of the timers that do not follow the recording."""
        self.now = EpochMs(0)
        self.recorded_state = ""
        self.rules: Rules

    def run(self, rules_of: Callable[[PersistedEvent], Rules], stream: Sequence[PersistedEvent]) -> Way:
        way = self.way
        for place, event in enumerate(stream):
            self.rules = rules_of(event)
            if self.own:
                self.fire_before(event)
            if way.unknown:
                break
            if event.persisted_at > self.now:
                self.now = event.persisted_at
            if place == 0 or (event.event_type == CREATION and event.state_before == ""):
                self.begin(place, event)
            else:
                self.take(place, event)
            self.recorded_state = event.state_after
            if way.unknown:
                break
        if stream and not way.unknown and self.own:
            self.fire(self.until)
        way.state, way.values, way.known = self.state, self.values, self.known
        return way

    def begin(self, place: int, event: PersistedEvent) -> None:
        table = self.rules.table
        if event.event_type != CREATION:
            # It began before what is stored: where it was is recorded, but not since when, and not what it held.
            self.state, self.in_step, self.known = event.state_before, True, False
            self.active = status_in(table.find_state(self.state)) == "active"
            self.jumped(f"its history starts in the middle, in {self.state!r}")
            if not self.way.unknown:
                self.take(place, event)
            return
        payload = event.payload if isinstance(event.payload, Mapping) else {}
        initial = payload.get("initialContext")
        self.values = initial if isinstance(initial, Mapping) else {}
        self.known = True
        self.arrive(place, CREATION, table.machine.initial_state, self.now)
        self.active = status_in(table.find_state(self.state)) == "active"
        self.in_step = self.faithful = self.state == event.state_after
        if self.faithful and (recorded := _recorded(event)) is not None:
            self.values = recorded
        self.due = {start.event_type: EpochMs(self.now + start.delay_ms) for start in table.timers_of(self.state)}
        self.sort_timers()

    def take(self, place: int, event: PersistedEvent) -> None:
        """One recorded event: followed, sent as an input, or left to the timers of the definition."""
        if event.state_before != self.recorded_state and place and not self.follow_jump(event):
            return
        event_type, rules = event.event_type, self.rules
        payload = event.payload
        fired = timer_reason(event) != ""
        if fired and not (self.in_step and rules.same_timer(self.state, event_type)):
            self.part()  # the timers of the definition stand for it
            return
        if not self.active:
            self.way.passed[place] = Passed(self.state, ended=True)
            self.part()
            return
        move = rules.table.moves.get(self.state, {}).get(event_type)
        same = self.in_step and self.faithful and rules.same_ways(self.state, event_type)
        plan = self.choose(move, payload, event_type, event.state_after if same else None)
        if self.way.unknown:
            return
        if plan is None:
            self.way.passed[place] = Passed(self.state, ended=False)
            self.part()
            return
        # A timer that the loop leaves alone is as old as before: in step only where it was.
        kept = self.due.keys() - {stop.event_type for stop in plan.stops}
        was_in_step, self.in_step = self.in_step, plan.target == event.state_after
        if kept - {event_type} and not was_in_step:
            self.in_step = False
        self.faithful = same and self.in_step
        self.apply(place, event_type, plan, payload, self.now, _recorded(event) if self.faithful else None)
        if fired and event_type not in {start.event_type for start in plan.starts}:
            self.due.pop(event_type, None)
        self.sort_timers()

    def follow_jump(self, event: PersistedEvent) -> bool:
        """The recording does not go on where it was: a restart took the instance back. Whether the run can follow."""
        way = self.way
        if not self.in_step:
            way.unknown = "its recording jumps to another state after the ways have parted"
            return False
        way.breaks += 1
        self.state = event.state_before
        self.active = status_in(self.rules.table.find_state(self.state)) == "active"
        self.known = False
        self.jumped(f"its recording jumps to {self.state!r}")
        return not way.unknown

    def jumped(self, what: str) -> None:
        """In a state that was not entered by an event: timers that the recording does not tell cannot be known."""
        table = self.rules.table
        if self.state not in table.moves:
            self.way.unknown = f"{what}, which the definition does not have"
            return
        self.due, self.own = {}, {}
        for start in table.timers_of(self.state):
            if not self.rules.same_timer(self.state, start.event_type):
                self.way.unknown = f"{what}: how long the timer {start.event_type!r} had run is not known"

    def choose(self, move: Move | None, payload: object, event_type: str, recorded: str | None) -> Plan | None:
        if not isinstance(move, tuple):
            return move
        if recorded is not None:
            found = tuple(plan for plan in move if plan.target == recorded)
            if found:
                return choose(found, payload, self.values)[0]
        if not self.known and any(plan.transition.matching_rules for plan in move):
            why = "values that are not known"
            if self.way.method:
                why += f": method {self.way.method!r} may have changed them"
            self.way.unknown = f"which way {event_type!r} goes from {self.state!r} depends on {why}"
            return None
        return choose(move, payload, self.values)[0]

    def apply(
        self, place: int, event_type: str, plan: Plan, payload: object, at: EpochMs, recorded: Values | None
    ) -> None:
        self.values = plan.merge(self.values, payload) if recorded is None else recorded
        self.known = self.known or recorded is not None
        self.active = plan.status == "active"
        if plan.before and recorded is None:
            self.ran(plan.before[-1].name)
        self.arrive(place, event_type, plan.target, at)
        if plan.entry is not None:
            self.ran(plan.entry.name)
        if self.due or plan.starts:
            for stop in plan.stops:
                self.due.pop(stop.event_type, None)
            for start in plan.starts:
                self.due.pop(start.event_type, None)  # so that it is the last that was started
                self.due[start.event_type] = EpochMs(at + start.delay_ms)
            if not self.active:
                self.due = {}

    def ran(self, method: str) -> None:
        self.known = False
        self.way.method = method

    def arrive(self, place: int, event_type: str, state: str, at: EpochMs) -> None:
        self.way.steps.append(Taken(at, event_type, state, place, self.state))
        self.state = state

    def part(self) -> None:
        """The recording goes on without the run."""
        self.in_step = self.faithful = False
        self.own = self.due

    def sort_timers(self) -> None:
        if not self.due or not self.in_step:
            self.own = self.due
            return
        same = self.rules.same_timer
        self.own = {name: due for name, due in self.due.items() if not same(self.state, name)}

    def fire_before(self, event: PersistedEvent) -> None:
        """Let the timers fire that do so before a recorded event. Those of one moment fire as they were started."""
        event_type = event.event_type
        if event_type in self.due and event_type not in self.own and timer_reason(event):
            # It may have come late; when it was due is what counts among timers.
            earlier = list(self.due)
            del earlier[earlier.index(event_type) :]
            self.fire(self.due[event_type], earlier)
        else:
            self.fire(event.persisted_at)

    def fire(self, until: EpochMs, at_last: Sequence[str] | None = None) -> None:
        """Let the timers fire that fall due by then and do not follow the recording, in order of expiry.

        At the last moment only those of `at_last`, where that is given.
        """
        for _ in range(_ROUNDS):
            if not self.own:
                return
            event_type = min(self.own, key=self.own.__getitem__)
            due = self.own[event_type]
            if due > until or (due == until and at_last is not None and event_type not in at_last):
                return
            self.now = max(self.now, due)
            self.due = {name: due for name, due in self.due.items() if name != event_type}
            automatic = (timer(self.rules.table, self.state, event_type) or ("auto",))[0] == "auto"
            payload = {"reason": "auto-transition" if automatic else "timeout"}
            plan = self.choose(self.rules.table.moves[self.state].get(event_type), payload, event_type, None)
            if plan is None:
                return
            self.part()
            self.apply(-1, event_type, plan, payload, self.now, None)
            self.own = self.due
        self.way.unknown = f"its timers go round without end, at last {event_type!r} in {self.state!r}"


def _recorded(event: PersistedEvent) -> Values | None:
    return event.public_member_snapshot if event.public_member_snapshot is not None else event.context
