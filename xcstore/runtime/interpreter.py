"""What one event does to one instance. Pure: no clock, no store, and nothing that it names is carried out.

`step` is the whole of it. A runtime that sends many events to one machine keeps a `MachineTable`, which looks
transitions up instead of searching for them; replay uses the same table and drops the effects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from xcstore.model.definition import MatchingRule, State, StateMachine, Transition
from xcstore.model.history import Instance, Status
from xcstore.runtime.matching import fill_template, map_context, rules_hold
from xcstore.units import DurationMs, EpochMs

__all__ = [
    "Cascade",
    "CreateInstance",
    "Dispose",
    "Effect",
    "Event",
    "FollowUp",
    "MachineTable",
    "Move",
    "NotifyParent",
    "Plan",
    "RunMethod",
    "SendAcross",
    "StartTimer",
    "Step",
    "StopTimer",
    "cascades",
    "choose",
    "properties_of",
    "status_in",
    "step",
]

TIMER_TYPES: Final = ("timeout", "auto")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is sent to an instance. `timestamp`: when it was made; None: when it is processed."""

    type: str
    payload: Mapping[str, object] = field(default_factory=dict, hash=False)
    timestamp: EpochMs | None = None


@dataclass(frozen=True, slots=True)
class RunMethod:
    """Call the user's method of that name, if there is one."""

    moment: Literal["exit_method", "triggered_method", "entry_method"]
    name: str


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Forget the timer of this event, which the old state had started."""

    event_type: str


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Send this event after a while, unless the state is left before."""

    event_type: str
    delay_ms: DurationMs
    reason: Literal["timeout", "auto-transition"]


@dataclass(frozen=True, slots=True)
class NotifyParent:
    """Send an event to the instance that made this one."""

    event_type: str
    payload: Mapping[str, object] = field(hash=False)


@dataclass(frozen=True, slots=True)
class CreateInstance:
    """Make an instance of another machine of the same component."""

    machine_name: str
    data: Mapping[str, object] = field(hash=False)


@dataclass(frozen=True, slots=True)
class SendAcross:
    """Reach another component: send `event_type` to instances of its machine, or make one where it is None."""

    component_name: str
    machine_name: str
    event_type: str | None
    data: Mapping[str, object] = field(hash=False)
    rules: tuple[MatchingRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Cascade:
    """Send an event to the instances of a machine that are in a state.

    With `rules`, to those that are chosen: in the same component by the rules of the machine's transitions, in
    another one by these rules, which look at `wanted`.
    """

    component_name: str | None
    machine_name: str
    state: str
    event: Event
    rules: tuple[MatchingRule, ...] = ()
    wanted: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Dispose:
    """The instance has ended; the runtime forgets it."""


FollowUp = NotifyParent | CreateInstance | SendAcross
Effect = RunMethod | StopTimer | StartTimer | Cascade | FollowUp | Dispose


@dataclass(frozen=True, slots=True)
class Step:
    """What one event does to one instance."""

    instance: Instance
    """As it is afterwards."""
    transition: Transition | None = None
    """None: ignored in this state."""
    effects: tuple[Effect, ...] = ()
    """For the engine to carry out, in this order."""
    ambiguous: bool = False
    """Several transitions were possible and nothing told them apart; the first was taken."""


class Plan:
    """What of a transition is known before an event comes."""

    __slots__ = (
        "before", "cascades", "dynamic", "entry", "merges", "moves", "number", "plain", "quiet", "starts", "state",
        "status", "stops", "target", "transition",
    )  # fmt: skip

    def __init__(self, machine: StateMachine, states: Mapping[str, State], number: int) -> None:
        transition = machine.transitions[number]
        self.number = number
        """Its place in the document."""
        source, state = states.get(transition.source), states.get(transition.target)
        self.transition = transition
        self.target = transition.target
        self.state = state
        # The payload of a matched event says whom it is for; it is not data of the instance.
        self.merges = not transition.matching_rules
        before = [
            RunMethod("exit_method", source.exit_method) if source and source.exit_method else None,
            RunMethod("triggered_method", transition.triggered_method) if transition.triggered_method else None,
        ]
        self.before: tuple[RunMethod, ...] = tuple(method for method in before if method)
        self.status = status_in(state)
        loop = transition.source == transition.target
        kept = {
            t.event
            for t in _timed(machine, transition.source)
            if loop and t.type == "timeout" and not t.reset_on_transition
        }
        self.stops: tuple[StopTimer, ...] = tuple(
            StopTimer(t.event) for t in _timed(machine, transition.source) if t.event not in kept
        )
        self.starts: tuple[StartTimer, ...] = ()
        if self.status == "active":
            self.starts = tuple(_start(t) for t in _timed(machine, transition.target) if t.event not in kept)
        self.entry: RunMethod | None = None
        if state is not None and state.entry_method:
            self.entry = RunMethod("entry_method", state.entry_method)
        self.dynamic = (
            transition.type in ("inter_machine", "cross_component")
            or transition.notify_parent is not None
            or bool(machine.parent_link and machine.parent_link.enabled)
        )
        self.cascades = bool(state and state.cascading_rules)

        self.quiet = not (
            self.dynamic or self.cascades or self.entry or self.stops or self.starts or self.status != "active"
        )
        """Whether nothing but the values of the instance changes."""
        self.plain = not (self.before or self.cascades or self.dynamic or self.entry)
        """Whether it calls nothing and asks for nothing."""
        self.moves: Mapping[str, Move] = {}
        """Where events lead from the target; set by the table."""

    def merge(self, values: Mapping[str, object], payload: object) -> Mapping[str, object]:
        """`values` of an instance after an event with this payload: a new mapping where they change."""
        if self.merges and payload and isinstance(payload, Mapping):
            return {**values, **payload}
        return values


Move = Plan | tuple[Plan, ...]
"""Where an event leads from a state: one way, or several to choose from."""


class MachineTable:
    """A machine made ready for many steps.

    Attributes
    ----------
    machine : StateMachine
        The definition it was made from; not changed.
    moves : mapping of str to mapping of str to Move
        By state, then by event type. A state without a way out has an empty mapping.
    matched_properties : tuple of str
        Instance properties that some transition compares with `===`: worth an index.
    """

    def __init__(self, machine: StateMachine) -> None:
        self.machine = machine
        self._states = {state.name: state for state in machine.states}
        self._timers: dict[str, tuple[StartTimer, ...]] = {}
        plans: dict[str, dict[str, tuple[Plan, ...]]] = defaultdict(lambda: defaultdict(tuple))
        self._plans = [Plan(machine, self._states, number) for number in range(len(machine.transitions))]
        for plan in self._plans:
            plans[plan.transition.source][plan.transition.event] += (plan,)
        self.moves: dict[str, dict[str, Move]] = {name: {} for name in self._states}
        for state, ways in plans.items():
            self.moves[state] = {event: several[0] if len(several) == 1 else several for event, several in ways.items()}
        for plan in self._plans:
            plan.moves = self.moves.setdefault(plan.target, {})
        self.matched_properties = tuple(
            dict.fromkeys(
                rule.instance_property
                for transition in machine.transitions
                for rule in transition.matching_rules
                if rule.operator == "===" and "." not in rule.instance_property
            )
        )

    def find_state(self, name: str) -> State | None:
        return self._states.get(name)

    def find_plans(self, source: str, event_type: str, target: str) -> tuple[Plan, ...]:
        """The ways that a recorded event can have taken; none where the definition has no such transition."""
        move = self.moves.get(source, {}).get(event_type)
        ways = move if isinstance(move, tuple) else () if move is None else (move,)
        return tuple(plan for plan in ways if plan.target == target)

    def find_numbered(self, number: int) -> Plan | None:
        return self._plans[number] if 0 <= number < len(self._plans) else None

    def keeps_timers(self, state: str) -> bool:
        """Whether a self-loop in `state` leaves a timer alone, so that it may be older than the last event."""
        return any(not t.reset_on_transition for t in _timed(self.machine, state) if t.type == "timeout")

    def timers_of(self, state: str) -> tuple[StartTimer, ...]:
        """What entering `state` starts."""
        found = self._timers.get(state)
        if found is None:
            found = self._timers[state] = tuple(_start(transition) for transition in _timed(self.machine, state))
        return found

    def matched_transitions(self, event_type: str, state: str | None = None) -> tuple[Transition, ...]:
        """Transitions on this event, from any state or one, that have matching rules."""
        return tuple(
            transition
            for transition in self.machine.transitions
            if transition.event == event_type
            and transition.matching_rules
            and (state is None or transition.source == state)
        )

    def follow_ups(self, plan: Plan, before: str, after: Instance, event: Event) -> list[FollowUp]:
        """What a step asks of others: news for the parent, a new instance, an event in another component.

        `after` is the instance as it is afterwards, `before` the state that it left.
        """
        effects: list[FollowUp] = []
        transition = plan.transition
        if after.parent_instance_id is not None:
            news = _news_for_parent(self.machine, transition, before, after)
            effects += [news] if news else []
        if transition.type == "inter_machine" and transition.target_machine:
            effects.append(CreateInstance(transition.target_machine, _handed_over(transition, after, event)))
        elif transition.type == "cross_component" and transition.target_component:
            effects.append(
                SendAcross(
                    transition.target_component,
                    transition.target_machine or transition.target_component,
                    transition.target_event,
                    _handed_over(transition, after, event),
                    transition.matching_rules,
                )
            )
        return effects


def choose(move: Move | None, payload: object, properties: Mapping[str, object]) -> tuple[Plan | None, bool]:
    """The transition that an event takes, and whether the choice was ambiguous.

    One candidate is taken as it is. Of several: the first whose rules hold, else the only one without rules,
    else the first.
    """
    if not isinstance(move, tuple):
        return move, False
    if len(move) < 2:
        return (move[0] if move else None), False
    unruled = []
    for plan in move:
        rules = plan.transition.matching_rules
        if not rules:
            unruled.append(plan)
        elif rules_hold(rules, payload, properties):
            return plan, False
    return (unruled[0], False) if len(unruled) == 1 else (move[0], True)


def step(machine: StateMachine, instance: Instance, event: Event, now: EpochMs) -> Step:
    """What `event` does to `instance`.

    Effects come in the order in which an engine carries them out: methods on exit and on the transition first,
    then timers stopped, cascades, the method on entry, news for the parent, instances and events for other machines,
    and the end or the new timers. An event that the state does not know gives a step without transition.
    """
    table = MachineTable(machine)
    move = table.moves.get(instance.current_state, {}).get(event.type)
    plan, ambiguous = choose(move, event.payload, properties_of(instance))
    if plan is None:
        return Step(instance)
    after = replace(
        instance,
        current_state=plan.target,
        status=plan.status,
        context=plan.merge(instance.context, event.payload),
        public_member=None if instance.public_member is None else plan.merge(instance.public_member, event.payload),
        updated_at=now,
    )
    effects: list[Effect] = [*plan.before, *plan.stops, *cascades(plan, after)]
    effects += [plan.entry] if plan.entry else []
    effects += table.follow_ups(plan, instance.current_state, after, event)
    effects += plan.starts if plan.status == "active" else (Dispose(),)
    return Step(after, plan.transition, tuple(effects), ambiguous)


def status_in(state: State | None) -> Status:
    """What an instance is in a state; one that is not declared ends nothing."""
    if state is None or not state.is_terminal:
        return "active"
    return "completed" if state.type == "final" else "error"


def properties_of(instance: Instance) -> Mapping[str, object]:
    """What matching rules and templates look at: the public member where there is one, else the context."""
    return instance.context if instance.public_member is None else instance.public_member


def cascades(plan: Plan, after: Instance) -> list[Cascade]:
    """What entering the state sends to other machines; templates are filled from the instance as it is then."""
    if plan.state is None or not plan.state.cascading_rules:
        return []
    properties = properties_of(after)
    found: list[Cascade] = []
    for rule in plan.state.cascading_rules:
        payload = fill_template(rule.payload, properties)
        assert isinstance(payload, dict)  # a mapping fills to a dict
        rules = rule.matching_rules
        # What the payload does not hold, a rule takes from the instance that cascades.
        wanted = {r.event_property: properties[r.event_property] for r in rules if r.event_property in properties}
        found.append(
            Cascade(
                rule.target_component,
                rule.target_machine,
                rule.target_state,
                Event(rule.event, payload),
                rules,
                {**wanted, **payload} if rules else {},
            )
        )
    return found


def _timed(machine: StateMachine, state: str) -> list[Transition]:
    # A timeout of nothing is none; an automatic transition without a time is made at once.
    return [t for t in machine.transitions if t.source == state and (t.type == "auto" or _times_out(t))]


def _times_out(transition: Transition) -> bool:
    return transition.type == "timeout" and bool(transition.timeout_ms)


def _start(transition: Transition) -> StartTimer:
    reason: Literal["timeout", "auto-transition"] = "timeout" if transition.type == "timeout" else "auto-transition"
    return StartTimer(transition.event, transition.timeout_ms or DurationMs(0), reason)


def _handed_over(transition: Transition, after: Instance, event: Event) -> dict[str, object]:
    return map_context(transition.context_mapping, {**after.context, **event.payload})


def _news_for_parent(
    machine: StateMachine, transition: Transition, before: str, after: Instance
) -> NotifyParent | None:
    """What the transition tells the parent, or, where it says nothing, the machine."""
    link, said = machine.parent_link, transition.notify_parent
    if said is not None:
        event, with_state, with_context = said.get("event"), said.get("includeState"), said.get("includeContext")
    elif link is not None and link.enabled:
        event, with_state, with_context = link.on_state_change, True, False
    else:
        return None
    if not isinstance(event, str) or not event:
        return None
    payload: dict[str, object] = {
        "childInstanceId": after.id,
        "childMachine": after.machine_name,
        "previousState": before,
    }
    if with_state is not False:
        payload["newState"] = after.current_state
    if with_context is True:
        payload["childContext"] = properties_of(after)
    return NotifyParent(event, payload)
