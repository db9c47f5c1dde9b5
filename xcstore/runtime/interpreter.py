"""What one event does to one instance. Pure: no clock, no store, and nothing that it names is carried out.

`step` is the whole of it. A runtime that sends many events to one machine keeps a `MachineTable`, which looks
transitions up instead of searching for them; replay uses the same table and drops the effects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from xcstore.model.definition import MatchingRule, State, StateMachine, Transition
from xcstore.model.history import Instance
from xcstore.runtime.matching import fill_template, map_context, rules_hold
from xcstore.units import DurationMs, EpochMs

__all__ = [
    "Cascade",
    "CreateInstance",
    "Dispose",
    "Effect",
    "Event",
    "MachineTable",
    "NotifyParent",
    "RunMethod",
    "SendAcross",
    "StartTimer",
    "Step",
    "StopTimer",
    "properties_of",
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
    """Send an event to the instances of a machine that are in a state; `matched`: only to those its rules choose."""

    component_name: str | None
    machine_name: str
    state: str
    event: Event
    matched: bool


@dataclass(frozen=True, slots=True)
class Dispose:
    """The instance has ended; the runtime forgets it."""


Effect = RunMethod | StopTimer | StartTimer | NotifyParent | CreateInstance | SendAcross | Cascade | Dispose


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


class _Plan:
    """What of a transition is known before the event comes."""

    __slots__ = ("after", "before", "dynamic", "merges", "starts", "status", "stops", "target", "transition")

    def __init__(self, machine: StateMachine, states: Mapping[str, State], transition: Transition) -> None:
        source, target = states.get(transition.source), states.get(transition.target)
        self.transition = transition
        self.target = target
        # The payload of a matched event says whom it is for; it is not data of the instance.
        self.merges = not transition.matching_rules
        before = [
            RunMethod("exit_method", source.exit_method) if source and source.exit_method else None,
            RunMethod("triggered_method", transition.triggered_method) if transition.triggered_method else None,
        ]
        self.before: tuple[RunMethod, ...] = tuple(method for method in before if method)
        self.status: Literal["active", "completed", "error"] = "active"
        if target is not None and target.is_terminal:
            self.status = "completed" if target.type == "final" else "error"
        loop = transition.source == transition.target
        kept = {t.event for t in _timed(machine, transition.source) if loop and not t.reset_on_transition}
        self.stops: tuple[Effect, ...] = tuple(
            StopTimer(t.event) for t in _timed(machine, transition.source) if t.event not in kept
        )
        self.starts: tuple[StartTimer, ...] = ()
        if self.status == "active":
            self.starts = tuple(_start(t) for t in _timed(machine, transition.target) if t.event not in kept)
        self.after: tuple[Effect, ...] = ()
        if target is not None and target.entry_method:
            self.after = (RunMethod("entry_method", target.entry_method),)
        self.dynamic = (
            transition.type in ("inter_machine", "cross_component")
            or transition.notify_parent is not None
            or bool(machine.parent_link and machine.parent_link.enabled)
            or bool(target and target.cascading_rules)
        )


class MachineTable:
    """A machine made ready for many steps.

    Attributes
    ----------
    machine : StateMachine
        The definition it was made from; not changed.
    matched_properties : tuple of str
        Instance properties that some transition compares with `===`: worth an index.
    """

    def __init__(self, machine: StateMachine) -> None:
        self.machine = machine
        self._states = {state.name: state for state in machine.states}
        plans: dict[tuple[str, str], list[_Plan]] = defaultdict(list)
        for transition in machine.transitions:
            plans[transition.source, transition.event].append(_Plan(machine, self._states, transition))
        self._plans = dict(plans)
        self.matched_properties = tuple(
            dict.fromkeys(
                rule.instance_property
                for transition in machine.transitions
                for rule in transition.matching_rules
                if rule.operator == "==="
            )
        )

    def find_state(self, name: str) -> State | None:
        return self._states.get(name)

    def timers_of(self, state: str) -> tuple[StartTimer, ...]:
        """What entering `state` starts."""
        return tuple(_start(transition) for transition in _timed(self.machine, state))

    def matched_transitions(self, event_type: str, state: str | None = None) -> tuple[Transition, ...]:
        """Transitions on this event, from any state or one, that have matching rules."""
        return tuple(
            transition
            for transition in self.machine.transitions
            if transition.event == event_type
            and transition.matching_rules
            and (state is None or transition.source == state)
        )

    def choose(self, instance: Instance, event: Event) -> tuple[_Plan | None, bool]:
        """The transition that `event` takes, made ready, and whether the choice was ambiguous.

        One candidate is taken as it is. Of several: the first whose rules hold, else the only one without rules,
        else the first.
        """
        plans = self._plans.get((instance.current_state, event.type))
        if not plans:
            return None, False
        if len(plans) == 1:
            return plans[0], False
        properties = properties_of(instance)
        unruled = []
        for plan in plans:
            rules = plan.transition.matching_rules
            if not rules:
                unruled.append(plan)
            elif rules_hold(rules, event.payload, properties):
                return plan, False
        return (unruled[0], False) if len(unruled) == 1 else (plans[0], True)

    def apply(self, instance: Instance, plan: _Plan, event: Event, now: EpochMs) -> Step:
        """The step along a chosen transition. Its effects leave out the methods that run before it."""
        payload, context, public = event.payload, instance.context, instance.public_member
        if payload and plan.merges:
            context = {**context, **payload}
            public = None if public is None else {**public, **payload}
        transition = plan.transition
        after = Instance(
            id=instance.id,
            machine_name=instance.machine_name,
            component_name=instance.component_name,
            current_state=transition.target,
            status=plan.status,
            context=context,
            public_member=public,
            internal_member=instance.internal_member,
            created_at=instance.created_at,
            updated_at=now,
            parent_instance_id=instance.parent_instance_id,
            parent_machine_name=instance.parent_machine_name,
            is_entry_point=instance.is_entry_point,
        )
        if plan.dynamic:
            effects = [*plan.stops, *plan.after, *self._dynamic(instance, after, plan, event)]
            ends = plan.status != "active"
            tail: tuple[Effect, ...] = (Dispose(),) if ends else plan.starts
            cascades = _cascades(after, plan.target)
            return Step(after, transition, (*effects, *tail, *cascades))
        if plan.status != "active":
            return Step(after, transition, (*plan.stops, *plan.after, Dispose()))
        return Step(after, transition, plan.stops + plan.after + plan.starts)

    def _dynamic(self, before: Instance, after: Instance, plan: _Plan, event: Event) -> list[Effect]:
        effects: list[Effect] = []
        transition = plan.transition
        link = self.machine.parent_link
        values = {**after.context, **event.payload}
        if after.parent_instance_id is not None:
            if link is not None and link.enabled and link.on_state_change:
                effects.append(NotifyParent(link.on_state_change, _child_news(before, after, event)))
            if transition.notify_parent is not None:
                effects.append(_notification(transition.notify_parent, before, after, event))
        if transition.type == "inter_machine" and transition.target_machine:
            data = map_context(transition.context_mapping, values)
            effects.append(CreateInstance(transition.target_machine, data))
        elif transition.type == "cross_component" and transition.target_machine and transition.target_component:
            effects.append(
                SendAcross(
                    transition.target_component,
                    transition.target_machine,
                    transition.target_event,
                    map_context(transition.context_mapping, values),
                    transition.matching_rules,
                )
            )
        return effects


def step(machine: StateMachine, instance: Instance, event: Event, now: EpochMs) -> Step:
    """What `event` does to `instance`.

    Effects come in the order in which an engine carries them out: methods on exit and on the transition first,
    then timers stopped, the method on entry, news for the parent, instances and events for other machines, the
    end or the new timers, and cascades last. An event that the state does not know gives a step without transition.
    """
    table = MachineTable(machine)
    plan, ambiguous = table.choose(instance, event)
    if plan is None:
        return Step(instance)
    after = table.apply(instance, plan, event, now)
    return Step(after.instance, after.transition, plan.before + after.effects, ambiguous)


def properties_of(instance: Instance) -> Mapping[str, object]:
    """What matching rules and templates look at: the public member where there is one, else the context."""
    return instance.context if instance.public_member is None else instance.public_member


def _timed(machine: StateMachine, state: str) -> list[Transition]:
    return [t for t in machine.transitions if t.source == state and t.type in TIMER_TYPES]


def _start(transition: Transition) -> StartTimer:
    reason: Literal["timeout", "auto-transition"] = "timeout" if transition.type == "timeout" else "auto-transition"
    return StartTimer(transition.event, transition.timeout_ms or DurationMs(0), reason)


def _cascades(instance: Instance, state: State | None) -> list[Effect]:
    if state is None:
        return []
    properties = properties_of(instance)
    effects: list[Effect] = []
    for rule in state.cascading_rules:
        payload = fill_template(rule.payload, properties)
        assert isinstance(payload, dict)  # a mapping fills to a dict
        event = Event(rule.event, payload)
        effects.append(
            Cascade(rule.target_component, rule.target_machine, rule.target_state, event, bool(rule.matching_rules))
        )
    return effects


def _child_news(before: Instance, after: Instance, event: Event) -> dict[str, object]:
    return {
        "childInstanceId": after.id,
        "childMachineName": after.machine_name,
        "fromState": before.current_state,
        "toState": after.current_state,
        "event": event.type,
    }


def _notification(document: Mapping[str, object], before: Instance, after: Instance, event: Event) -> NotifyParent:
    name = document.get("event")
    mapping = document.get("contextMapping")
    news = _child_news(before, after, event)
    if isinstance(mapping, Mapping):
        news |= map_context({str(k): str(v) for k, v in mapping.items()}, {**after.context, **event.payload})
    return NotifyParent(str(name) if name else "CHILD_NOTIFICATION", news)
