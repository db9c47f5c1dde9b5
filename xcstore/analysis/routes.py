"""Who sends what to whom, as the definitions say: cascades, and transitions that lead to another machine.

A send can be compared with two events: whether the first is what sends, whether the second is what was sent, and
whether the values that the second carries are those that the first's instance held.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from xcstore.analysis.context import same_json, value_at
from xcstore.analysis.lineage import is_common, is_masked
from xcstore.model.catalog import Catalog
from xcstore.model.definition import CascadingRule, Component, StateMachine, Transition
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.units import DurationMs

__all__ = ["WINDOW", "Agreement", "Place", "Routes", "Send", "recorded_values", "routes"]

Place = tuple[str, str]
"""Component and machine."""
WINDOW: Final = DurationMs(1_000)
"""How long before an event its sender is looked for. What a transition or a method sends is processed at once: on the
reference data the longest time between the two is 50 ms, with our runtime none at all. The rest is for slow machines.
As long is looked for the parent's transition that made a child, and for the child's that news tells of."""
_PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How the values of an event compare with those of the instance that may have sent it."""

    equal: tuple[str, ...] = ()
    """Where they are equal, as paths in what was sent."""
    unequal: int = 0
    contradicts: bool = False
    """It cannot have been sent so: a value that has to be equal is not."""

    @property
    def score(self) -> int:
        return len(self.equal) - self.unequal


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One thing that a machine is declared to send."""

    sender: Place
    target: Place
    event: str
    """`INSTANCE_CREATED` where it makes an instance."""
    when: str
    """'entering Packed', or 'on SEND'."""
    entered: str = ""
    """A cascade: the state whose entering sends. Else '', and `move` sends."""
    move: tuple[str, str, str] = ("", "", "")
    """State before, event type, state after."""
    target_state: str = "*"
    template: Mapping[str, object] | None = field(default=None, hash=False)
    """What is sent, '{{path}}' for a value of the sender; None: all that it holds."""
    required: frozenset[str] = frozenset()
    """Paths in what is sent by which the definition chooses who gets it."""

    def is_sent_by(self, event: PersistedEvent) -> bool:
        """Whether the event is one at which this is sent."""
        if not _at(self.sender, event) or event.event_type == CREATION:
            return False
        if self.entered:
            return event.state_after == self.entered
        return self.move == (event.state_before, event.event_type, event.state_after)

    def arrives_as(self, event: PersistedEvent) -> bool:
        """Whether the event is one that this can have become."""
        return (
            _at(self.target, event)
            and event.event_type == self.event
            and (self.target_state == "*" or event.state_before == self.target_state)
        )

    def compare(self, held: Mapping[str, object] | None, effect: PersistedEvent) -> Agreement:
        """Values that the sender held, None where nobody knows, against what arrived."""
        if held is None:
            return Agreement()
        payload = effect.payload if isinstance(effect.payload, Mapping) else {}
        got = payload.get("initialContext", {}) if effect.event_type == CREATION else payload
        equal: list[str] = []
        unequal = 0
        contradicts = False
        leaves = [((key,), value) for key, value in held.items()] if self.template is None else _leaves(self.template)
        for path, wanted in leaves:
            if self.template is not None:
                wanted = _filled(wanted, held)
            found = value_at(got, path, _MISSING)
            # What all holds is sent, what the sender does not hold is not: neither says anything.
            if wanted is _MISSING or (found is _MISSING and self.template is None):
                continue
            if found is not _MISSING and same_json(found, wanted):
                equal.append(".".join(path))
            else:
                unequal += 1
                contradicts = contradicts or ".".join(path) in self.required
        return Agreement(equal=tuple(equal), unequal=unequal, contradicts=contradicts or (unequal > 0 and not equal))


class Routes:
    """Every send that a catalog declares, by who sends and by what arrives."""

    __slots__ = ("_arriving", "_coded", "_keeping", "_known", "_lasting", "_leaving", "news")

    def __init__(self, components: Sequence[Component]) -> None:
        self._leaving: defaultdict[Place, list[Send]] = defaultdict(list)
        self._arriving: defaultdict[tuple[str, str], list[Send]] = defaultdict(list)
        self._known = {component.name for component in components}
        self.news: Mapping[Place, frozenset[str]] = {
            (component.name, machine.name): found
            for component in components
            for machine in component.machines
            if (found := _news(machine))
        }
        """What a machine tells its parents."""
        self._keeping = {
            (component.name, machine.name, transition.source, transition.event)
            for component in components
            for machine in component.machines
            for transition in machine.transitions
            if not transition.reset_on_transition
        }
        self._coded = {
            (component.name, machine.name, transition.source, transition.event, transition.target)
            for component in components
            for machine in component.machines
            for transition in machine.transitions
            if _runs_code(machine, transition)
        }
        self._lasting = {(component, machine, state) for component, machine, state, _ in self._keeping}
        for component in components:
            for machine in component.machines:
                for send in _sends(component.name, machine):
                    self._leaving[send.sender].append(send)
                    self._arriving[send.target[1], send.event].append(send)

    def knows(self, component_name: str) -> bool:
        return component_name in self._known

    def restarts(self, timer: PersistedEvent) -> bool:
        """Whether a transition from the state to itself starts that timer anew: so it does where nothing says no."""
        return (*_place(timer), timer.state_before, timer.event_type) not in self._keeping

    def keeps_timer(self, event: PersistedEvent) -> bool:
        """Whether some timer of the state that the event led to goes on through transitions to the same state."""
        return (*_place(event), event.state_after) in self._lasting

    def may_send_by_code(self, cause: PersistedEvent, effect: PersistedEvent) -> bool:
        """Whether a method ran at the cause, and the effect came at once and carries a value that the cause had."""
        if not 0 <= effect.persisted_at - cause.persisted_at <= WINDOW:
            return False
        move = (*_place(cause), cause.state_before, cause.event_type, cause.state_after)
        if move not in self._coded:
            return False
        had = [value for held in (cause.payload, recorded_values(cause)) for value in _telling(held)]
        return any(same_json(value, one) for value in _telling(effect.payload) for one in had)

    def leaving(self, event: PersistedEvent) -> list[Send]:
        """What is sent at this event."""
        return [send for send in self._leaving.get(_place(event), ()) if send.is_sent_by(event)]

    def arriving(self, event: PersistedEvent) -> list[Send]:
        """What may have become this event."""
        return [
            send for send in self._arriving.get((event.machine_name, event.event_type), ()) if send.arrives_as(event)
        ]

    def between(self, cause: PersistedEvent, effect: PersistedEvent) -> list[Send]:
        return [send for send in self.arriving(effect) if send.is_sent_by(cause)]


@lru_cache(maxsize=8)
def routes(catalog: Catalog) -> Routes:
    """The sends of a catalog; made once for each."""
    return Routes(catalog.components)


def recorded_values(event: PersistedEvent) -> Mapping[str, object] | None:
    """What the instance held after the event, where it was stored with it."""
    return event.public_member_snapshot if event.public_member_snapshot is not None else event.context


def _runs_code(machine: StateMachine, transition: Transition) -> bool:
    left, entered = machine.find_state(transition.source), machine.find_state(transition.target)
    return bool(transition.triggered_method or (left and left.exit_method) or (entered and entered.entry_method))


def _telling(document: object) -> list[object]:
    """The values in it that are no coincidence where they are found elsewhere."""
    found: list[object] = []
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
        elif not is_common(value) and not is_masked(value):
            found.append(value)
    return found


def _sends(component: str, machine: StateMachine) -> Iterator[Send]:
    for state in machine.states:
        for rule in state.cascading_rules:
            yield _cascade(component, machine.name, state.name, rule)
    for transition in machine.transitions:
        if transition.target_machine:
            yield _handed_over(component, machine.name, transition)


def _cascade(component: str, machine: str, state: str, rule: CascadingRule) -> Send:
    return Send(
        sender=(component, machine),
        target=(rule.target_component or component, rule.target_machine),
        event=rule.event,
        when=f"entering {state}",
        entered=state,
        target_state=rule.target_state,
        template=rule.payload,
        required=frozenset(one.event_property for one in rule.matching_rules if one.operator == "==="),
    )


def _handed_over(component: str, machine: str, transition: Transition) -> Send:
    mapping = transition.context_mapping
    rules = transition.matching_rules if transition.target_event else ()
    return Send(
        sender=(component, machine),
        target=(transition.target_component or component, transition.target_machine or ""),
        event=transition.target_event or CREATION,
        when=f"on {transition.event}",
        move=(transition.source, transition.event, transition.target),
        template=None if mapping is None else {target: f"{{{{{source}}}}}" for target, source in mapping.items()},
        required=frozenset(one.event_property for one in rules if one.operator == "==="),
    )


def _news(machine: StateMachine) -> frozenset[str]:
    told = [transition.notify_parent.get("event") for transition in machine.transitions if transition.notify_parent]
    if machine.parent_link is not None and machine.parent_link.enabled:
        told.append(machine.parent_link.on_state_change)
    return frozenset(name for name in told if isinstance(name, str) and name)


def _leaves(template: Mapping[str, object], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    found: list[tuple[tuple[str, ...], object]] = []
    pending: list[tuple[tuple[str, ...], object]] = [((*path, key), value) for key, value in template.items()]
    while pending:
        at, value = pending.pop(0)
        if isinstance(value, Mapping):
            pending += [((*at, key), inner) for key, inner in value.items()]
        else:
            found.append((at, value))
    return found


def _filled(wanted: object, held: Mapping[str, object]) -> object:
    placeholder = _PLACEHOLDER.fullmatch(wanted) if isinstance(wanted, str) else None
    if placeholder is None:
        return wanted
    path = tuple(int(key) if key.isdecimal() else key for key in placeholder[1].split("."))
    return value_at(held, path, _MISSING)


def _place(event: PersistedEvent) -> Place:
    return event.component_name, event.machine_name


def _at(place: Place, event: PersistedEvent) -> bool:
    # A component that is not recorded speaks against nothing.
    return place[1] == event.machine_name and event.component_name in ("", place[0])
