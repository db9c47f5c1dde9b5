"""Machines tried out without a script: a random walk that says what it reached, and one given path.

What the walk needs to know it makes up: instances get values for the properties that rules look at, and an event gets
the payload with which the rules of one of its transitions hold. Equal seeds give equal walks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xcstore.errors import QueryError, StoreError, XcstoreError
from xcstore.jsontext import parse_json
from xcstore.model.definition import Component, MatchingRule, StateMachine, Transition
from xcstore.model.linting import schema_of
from xcstore.ops.running import RunReport, Stage
from xcstore.runtime.interpreter import properties_of
from xcstore.runtime.matching import MISSING, compare, value_at
from xcstore.units import DurationMs

__all__ = ["Coverage", "PathReport", "WalkReport", "find_machine", "follow_path", "parse_path", "walk"]

_TIMED: Final = ("timeout", "auto")
_SHOW_EVERY: Final = 100
Arrow = tuple[str, str, str]
"""State before, event, state after."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of a machine was reached."""

    component: str
    machine: str
    states: Mapping[str, int]
    """How often each state was entered, in the order of the document."""
    transitions: Mapping[Arrow, int]
    """How often each transition was taken. Several that differ by their rules alone count as one."""
    dead_ends: Mapping[str, int]
    """States without a way out, and how many instances are stuck in them."""

    @property
    def unreached_states(self) -> tuple[str, ...]:
        return tuple(state for state, count in self.states.items() if not count)

    @property
    def untaken_transitions(self) -> tuple[Arrow, ...]:
        return tuple(arrow for arrow, count in self.transitions.items() if not count)


@dataclass(frozen=True, slots=True)
class WalkReport:
    """What a random walk came to."""

    run: RunReport
    machines: tuple[Coverage, ...]


@dataclass(frozen=True, slots=True)
class PathReport:
    """How far a path of events led."""

    run: RunReport
    states: tuple[str, ...]
    """The states of the instance, the initial one first."""
    done: int
    """Events that led somewhere."""
    stopped: str | None = None
    """Why the next event did not."""


def find_machine(
    components: Sequence[Component], machine_name: str, component_name: str | None = None
) -> tuple[Component, StateMachine]:
    """The one machine of that name.

    Raises
    ------
    QueryError
        None has it, or several.
    """
    found = [
        (component, machine)
        for component in components
        if component_name in (None, component.name) and (machine := component.find_machine(machine_name)) is not None
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(component.name for component, _ in found)
        raise QueryError(f"{machine_name!r} is a machine of {names}; say which with --component")
    known = ", ".join(f"{component.name}/{machine.name}" for component in components for machine in component.machines)
    where = "" if component_name is None else f" in {component_name!r}"
    raise QueryError(f"there is no machine {machine_name!r}{where}; there is {known or 'none'}")


def parse_path(text: str) -> Sequence[tuple[str, Mapping[str, object] | None]]:
    """Events and their payloads: names between commas, or a JSON array of names or of objects with type and payload.

    Raises
    ------
    QueryError
        It is neither.

    Examples
    --------
    >>> parse_path("PAY, SHIP")
    [('PAY', None), ('SHIP', None)]
    >>> parse_path('["PAY", {"type": "SHIP", "payload": {"by": "air"}}]')
    [('PAY', None), ('SHIP', {'by': 'air'})]
    """
    if not text.lstrip().startswith("["):
        names = [name.strip() for name in text.split(",")]
        if not all(names):
            raise QueryError(f"the path {text[:60]!r} has an empty name in it; write such as PAY,SHIP")
        return [(name, None) for name in names]
    try:
        entries = parse_json(text)
    except ValueError as error:
        raise QueryError(f"the path is not JSON: {error}") from None
    found: list[tuple[str, Mapping[str, object] | None]] = []
    for number, entry in enumerate(entries if isinstance(entries, list) else (), start=1):
        event = {"type": entry} if isinstance(entry, str) else entry
        name = event.get("type") if isinstance(event, dict) else None
        payload = event.get("payload") if isinstance(event, dict) else None
        if not isinstance(name, str) or not name or not isinstance(payload, dict | None):
            raise QueryError(f"event {number} of the path is no name, and no object with 'type' and 'payload'")
        found.append((name, payload))
    return found


def walk(
    stage: Stage,
    components: Sequence[Component],
    *,
    machine: tuple[Component, StateMachine] | None = None,
    steps: int = 1_000,
    seed: int = 7,
    instances: int = 10,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> WalkReport:
    """Take random steps, and count what was reached.

    Each step picks an instance, and for it one of the events that its state knows or, where a timer runs, the wait
    for it; all equally likely. Instances that have ended are replaced by new ones.

    Parameters
    ----------
    machine : (Component, StateMachine), optional
        Walk with its instances alone. None: with all machines, those that transitions make included.
    steps : int
        Events sent, timers waited for, and instances made to replace others.
    instances : int
        How many are made of each machine at first; of an entry machine none, as it has its own.
    """
    walker = _Walker(stage, components, machine, random.Random(seed), instances)
    stopped: str | None = None
    done = 0
    try:
        stage.register()
        walker.populate()
        for done in range(1, steps + 1):
            if not walker.step():
                break
            if done % _SHOW_EVERY == 0:
                on_progress(done, steps)
    except XcstoreError as error:
        stopped = stage.explain(error)
    on_progress(steps, steps)
    return WalkReport(stage.report(steps=done, stopped=stopped), tuple(walker.coverage()))


def follow_path(
    stage: Stage,
    machine: tuple[Component, StateMachine],
    events: Sequence[tuple[str, Mapping[str, object] | None]],
    *,
    seed: int = 7,
) -> PathReport:
    """Lead one instance along events, and say where they stop leading on.

    Where its payload is None, an event gets one that matches. An event that a timer sends is waited for.

    Raises
    ------
    StoreError
        The instance could not be made.
    """
    component, definition = machine
    maker = _Maker([component], random.Random(seed), 1)
    try:
        stage.register()
        instance_id = stage.create(component.name, definition.name, maker.context(component, definition))
    except StoreError as error:
        raise StoreError(stage.explain(error)) from error
    seen = stage.seen[instance_id]
    trail = stage.follow(instance_id)
    states = [seen.state]
    done = 0
    stopped: str | None = None
    for event, payload in events:
        try:
            if done == len(trail):  # else something that followed from the event before was faster
                stopped = _lead(stage, definition, instance_id, event, payload, maker)
        except XcstoreError as error:
            stopped = stage.explain(error)
        if stopped is None and (done == len(trail) or trail[done][1] != event):
            other = f"{trail[done][1]!r} came first" if done < len(trail) else "nothing happened"
            stopped = f"{event!r} did not lead on from {states[done]!r}: {other}"
        states += [after for _, _, after in trail[len(states) - 1 :]]
        if stopped is not None:
            break
        done += 1
    return PathReport(stage.report(steps=done), tuple(states), done, stopped)


def _lead(
    stage: Stage,
    machine: StateMachine,
    instance_id: str,
    event: str,
    payload: Mapping[str, object] | None,
    maker: _Maker,
) -> str | None:
    """Send the event, or wait for it; returns why it cannot be."""
    seen = stage.seen[instance_id]
    if seen.ended:
        return f"{event!r} comes too late: the instance has ended in {seen.state!r}"
    known = _by_event(machine, seen.state)
    if event not in known:
        return f"{seen.state!r} does not know {event!r}; it knows {', '.join(known) or 'none'}"
    wait = _waits(stage, instance_id).get(event)
    if wait is not None:
        stage.advance(wait)
    else:
        stage.send(instance_id, event, maker.payload(stage, instance_id, known[event]) if payload is None else payload)
    return None


class _Walker:
    """Chooses, and remembers whom there is to choose from."""

    def __init__(
        self,
        stage: Stage,
        components: Sequence[Component],
        machine: tuple[Component, StateMachine] | None,
        pick: random.Random,
        instances: int,
    ) -> None:
        self.stage = stage
        self.pick = pick
        self.instances = instances
        self.maker = _Maker(components, pick, instances)
        everything = [(component, one) for component in components for one in component.machines]
        self.machines = {
            (component.name, one.name): (component, one)
            for component, one in (everything if machine is None else [machine])
        }
        self.options: dict[tuple[str, str, str], tuple[Sequence[Sequence[Transition]], bool]] = {}
        self.dead_ends: Counter[tuple[str, str, str]] = Counter()
        self.alive: list[str] = []
        self._known = 0
        """How many of the instances of the stage were looked at."""
        self._turn = 0

    def populate(self) -> None:
        for component, machine in self.machines.values():
            if machine.name != component.entry_machine:
                for _ in range(self.instances):
                    self._create(component, machine)

    def step(self) -> bool:
        """Take one step; False where there is nobody to take one with."""
        for instance_id in self.stage.names[self._known :]:
            seen = self.stage.seen[instance_id]
            if (seen.component, seen.machine) in self.machines:
                self.alive.append(instance_id)
        self._known = len(self.stage.names)
        if not self.alive:
            everything = list(self.machines.values())
            if not everything:
                return False
            self._create(*everything[self._turn % len(everything)])
            self._turn += 1
            return True
        position = self.pick.randrange(len(self.alive))
        instance_id = self.alive[position]
        seen = self.stage.seen[instance_id]
        if seen.ended or not self._move(instance_id, (seen.component, seen.machine, seen.state)):
            self.alive[position] = self.alive[-1]
            self.alive.pop()
            self._create(*self.machines[seen.component, seen.machine])
        return True

    def _create(self, component: Component, machine: StateMachine) -> None:
        self.stage.create(component.name, machine.name, self.maker.context(component, machine))

    def _move(self, instance_id: str, where: tuple[str, str, str]) -> bool:
        """Send one of the events, or wait; False where nothing leads on."""
        if where not in self.options:
            machine = self.machines[where[0], where[1]][1]
            groups = _by_event(machine, where[2], timed=False)
            timed = any(t.source == where[2] and t.type in _TIMED for t in machine.transitions)
            self.options[where] = (tuple(groups.values()), timed)
        choices, timed = self.options[where]
        waits = _waits(self.stage, instance_id) if timed else {}
        count = len(choices) + bool(waits)
        if not count:
            self.dead_ends[where] += 1
            return False
        choice = self.pick.randrange(count)
        if choice < len(choices):
            transitions = choices[choice]
            payload = self.maker.payload(self.stage, instance_id, transitions)
            self.stage.send(instance_id, transitions[0].event, payload)
        else:
            self.stage.advance(min(waits.values()))
        return True

    def coverage(self) -> Iterator[Coverage]:
        created = Counter((seen.component, seen.machine) for seen in self.stage.seen.values())
        for key, (component, machine) in self.machines.items():
            states = {state.name: 0 for state in machine.states}
            states[machine.initial_state] += created[key]
            arrows = {(t.source, t.event, t.target): 0 for t in machine.transitions}
            for (*owner, before, event, after), count in self.stage.moves.items():
                if tuple(owner) == key:
                    states[after] = states.get(after, 0) + count
                    arrows[before, event, after] = arrows.get((before, event, after), 0) + count
            dead = {state.name: n for state in machine.states if (n := self.dead_ends[(*key, state.name)])}
            yield Coverage(component.name, machine.name, states, arrows, dead)


class _Maker:
    """Makes up contexts and payloads so that rules can hold."""

    def __init__(self, components: Sequence[Component], pick: random.Random, pool: int) -> None:
        self.pick = pick
        self.pool = max(1, pool)
        machines = [machine for component in components for machine in component.machines]
        rules = [rule for machine in machines for t in machine.transitions for rule in t.matching_rules]
        self.numbers = {rule.instance_property for rule in rules if rule.operator not in ("===", "!==")}
        self.across = [t for machine in machines for t in machine.transitions if t.type == "cross_component"]

    def context(self, component: Component, machine: StateMachine) -> dict[str, object]:
        """Data for a new instance: the schema's properties, and what rules, mappings and templates look at."""
        made: dict[str, object] = {}
        for name, field in (schema_of(component, machine) or {}).items():
            kind = field.get("type") if isinstance(field, Mapping) else None
            if kind == "boolean":
                made[name] = self.pick.random() < 0.5
            else:
                made[name] = self._value(name, kind in ("number", "integer"))
        for path in dict.fromkeys(self._paths(component, machine)):
            if value_at(made, path) is MISSING:
                _put(made, path, self._value(path, path in self.numbers))
        return made

    def payload(self, stage: Stage, instance_id: str, transitions: Sequence[Transition]) -> dict[str, object]:
        """A payload with which the rules of one of the transitions hold, as far as the instance lets them."""
        rules = self.pick.choice(transitions).matching_rules
        made: dict[str, object] = {}
        if rules:
            instance = stage.runtimes[stage.seen[instance_id].component].get_instance(instance_id)
            for rule in rules:
                _put(
                    made, rule.event_property, _fitting(rule, value_at(properties_of(instance), rule.instance_property))
                )
        return made

    def _paths(self, component: Component, machine: StateMachine) -> Iterator[str]:
        for transition in machine.transitions:
            if transition.type != "cross_component":
                yield from (rule.instance_property for rule in transition.matching_rules)
            yield from (transition.context_mapping or {}).values()
        for transition in self.across:
            if (transition.target_component, transition.target_machine) == (component.name, machine.name):
                yield from (rule.instance_property for rule in transition.matching_rules)
        for state in machine.states:
            for cascade in state.cascading_rules:
                for value in cascade.payload.values():
                    if isinstance(value, str) and value.startswith("{{") and value.endswith("}}"):
                        yield value[2:-2].strip()

    def _value(self, name: str, is_number: bool) -> object:
        # Equal names get equal values in different machines, now and then: so that these find each other.
        number = self.pick.randint(1, self.pool)
        return self.pick.randint(1, 100) if is_number else f"{name}-{number}"


def _by_event(machine: StateMachine, state: str, *, timed: bool = True) -> dict[str, list[Transition]]:
    """The transitions out of a state by their event; without those of timers on demand."""
    found: dict[str, list[Transition]] = {}
    for transition in machine.transitions:
        if transition.source == state and (timed or transition.type not in _TIMED):
            found.setdefault(transition.event, []).append(transition)
    return found


def _waits(stage: Stage, instance_id: str) -> dict[str, DurationMs]:
    """How long until each timer of the instance is due, by its event."""
    pending = stage.runtimes[stage.seen[instance_id].component].pending_timeouts(instance_id)
    return {timeout.event_type: timeout.remaining_ms for timeout in pending}


def _fitting(rule: MatchingRule, found: object) -> object:
    """What the event has to hold so that the rule does; the value found, where nothing does."""
    near: list[object] = [found]
    if isinstance(found, int | float) and not isinstance(found, bool):
        near += [found - 1, found + 1]
    near += [f"{found}~", "", 0, 1, None]
    if found is MISSING:
        return None
    return next((value for value in near if compare(found, rule.operator, value)), found)


def _put(root: dict[str, object], path: str, value: object) -> None:
    """Set the value at a dotted path, making the objects on the way; not through what is there and no object."""
    *way, last = path.split(".")
    here = root
    for key in way:
        inner = here.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        here = inner
    here[last] = value
