"""What is legal in a component document, but surely not meant: findings, each under the name of its rule.

The loader refuses what cannot be drawn or run. Here is what runs, and then does nothing, never ends, or goes
somewhere else than its author thinks. Pure: components in, findings out; who has the text finds the line by `path`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import rustworkx as rx

from xcstore.model.definition import Component, MatchingRule, State, StateMachine, Transition

__all__ = ["RULES", "Finding", "lint", "schema_of"]

RULES: Final[Mapping[str, str]] = {
    "unreachable-state": "no way leads from the initial state to this one",
    "dead-end": "a state that is neither final nor error, and has no transition out",
    "transition-from-end": "a transition out of a final or error state, where an instance has ended already",
    "ambiguous-transitions": "several transitions for one state and event that no matching rule tells apart",
    "unknown-component": "a target component that is not among the given files",
    "unknown-machine": "a target machine that its component does not have",
    "unknown-state": "a state, here or as a target, that its machine does not have",
    "unknown-event": "an event that no transition of the target machine, in the target state, takes",
    "no-target": "an inter_machine or cross_component transition that does not say where to",
    "unknown-property": "a matching rule on a property that the contextSchema of its machine does not have",
    "timeout-without-duration": "a timeout of 0 ms: it starts no timer, and never comes",
    "unused-timeout": "a timeoutMs on a transition that is neither timeout nor auto, where no timer is started",
    "endless-auto": "auto transitions without delay that lead in a circle, for ever",
}
"""Every rule by its name, with what it finds."""

_TIMED: Final = ("timeout", "auto")
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is surely not meant. `path` leads to it in the document of the component."""

    rule: str
    component: str
    path: Path
    message: str


def lint(components: Sequence[Component]) -> tuple[Finding, ...]:
    """What is surely not meant in components that run together, in the order of the documents.

    Parameters
    ----------
    components : sequence of Component
        All that run together: what leads to a component outside of these is a finding.

    Examples
    --------
    >>> from xcstore.model.loader import parse_component
    >>> component = parse_component('''
    ... name: Doors
    ... stateMachines:
    ...   - name: Door
    ...     initialState: Shut
    ...     states: [{name: Shut, type: entry}, {name: Open}, {name: Locked}]
    ...     transitions: [{from: Shut, to: Open, event: PUSH}]
    ... ''')
    >>> for finding in lint([component]):
    ...     print(finding.rule, finding.path)
    dead-end ('stateMachines', 0, 'states', 1)
    unreachable-state ('stateMachines', 0, 'states', 2)
    dead-end ('stateMachines', 0, 'states', 2)
    """
    known = {component.name: component for component in components}
    return tuple(
        Finding(rule, component.name, ("stateMachines", position, *path), f"machine {machine.name!r}: {message}")
        for component in components
        for position, machine in enumerate(component.machines)
        for rule, path, message in _Machine(component, machine, known).findings()
    )


_Found = tuple[str, Path, str]


class _Machine:
    """One machine, and what is around it."""

    def __init__(self, component: Component, machine: StateMachine, known: Mapping[str, Component]) -> None:
        self.component = component
        self.machine = machine
        self.known = known
        self.schema = schema_of(component, machine)
        self.numbers = {state.name: number for number, state in enumerate(machine.states)}
        self.ends = {state.name for state in machine.states if state.is_terminal}

    def findings(self) -> Iterator[_Found]:
        reachable = self._reachable()
        leaving = {transition.source for transition in self.machine.transitions}
        for position, state in enumerate(self.machine.states):
            path: Path = ("states", position)
            if state.name not in reachable:
                yield "unreachable-state", path, f"no way leads from {self.machine.initial_state!r} to {state.name!r}"
            if not state.is_terminal and state.name not in leaving:
                yield (
                    "dead-end",
                    path,
                    f"{state.name!r} has no transition out; an instance stays in it for ever. "
                    "Make it final, or give it a transition",
                )
            yield from self._cascades(state, path)
        endless = self._endless()
        for position, transition in enumerate(self.machine.transitions):
            path = ("transitions", position)
            yield from self._transition(transition, path)
            if position in endless:
                yield (
                    "endless-auto",
                    path,
                    f"the auto transition {_arrow(transition)} is part of a circle without any delay, "
                    "which never ends; give one of them a 'timeoutMs'",
                )
            yield from self._properties(transition, path)
        yield from self._ambiguous()
        yield from self._parent_events()

    def _reachable(self) -> set[str]:
        ways: defaultdict[str, list[str]] = defaultdict(list)
        for transition in self.machine.transitions:
            if transition.source not in self.ends:
                ways[transition.source].append(transition.target)
        found, waiting = {self.machine.initial_state}, [self.machine.initial_state]
        while waiting:
            new = [target for target in ways[waiting.pop()] if target not in found]
            found.update(new)
            waiting += new
        return found

    def _endless(self) -> set[int]:
        """Positions of auto transitions without delay that lie on a circle of such."""
        numbers = self.numbers
        autos = {
            position: (numbers[transition.source], numbers[transition.target])
            for position, transition in enumerate(self.machine.transitions)
            if transition.type == "auto"
            and not transition.timeout_ms
            and transition.source not in self.ends
            and transition.source in numbers
            and transition.target in numbers
        }
        graph = rx.PyDiGraph()
        graph.add_nodes_from(list(numbers))
        graph.add_edges_from_no_data(list(autos.values()))
        part_of = {node: number for number, part in enumerate(rx.strongly_connected_components(graph)) for node in part}
        # Two ends of an edge in one component lie on a circle; so does an edge to itself.
        return {position for position, (source, target) in autos.items() if part_of[source] == part_of[target]}

    def _transition(self, transition: Transition, path: Path) -> Iterator[_Found]:
        for key, state in (("from", transition.source), ("to", transition.target)):
            if state not in self.numbers:
                names = ", ".join(self.numbers)
                yield (
                    "unknown-state",
                    (*path, key),
                    f"{key!r} of {_arrow(transition)} names no state; there are {names}",
                )
        if transition.source in self.ends:
            yield (
                "transition-from-end",
                path,
                f"{_arrow(transition)} never happens: {transition.source!r} is final or error, where instances end",
            )
        if transition.type == "timeout" and not transition.timeout_ms:
            yield (
                "timeout-without-duration",
                path,
                f"the timeout {_arrow(transition)} has 0 ms, so it starts no timer, and never comes; "
                "give it a time, or make it 'auto' to leave the state at once",
            )
        if transition.timeout_ms is not None and transition.type not in _TIMED:
            yield (
                "unused-timeout",
                path,
                f"{_arrow(transition)} is {transition.type}, so its 'timeoutMs' does nothing; "
                "a timer needs the type 'timeout' or 'auto'",
            )
        if transition.type in ("inter_machine", "cross_component"):
            yield from self._leads_elsewhere(transition, path)

    def _leads_elsewhere(self, transition: Transition, path: Path) -> Iterator[_Found]:
        across = transition.type == "cross_component"
        missing = [] if transition.target_machine else ["targetMachine"]
        if across and not transition.target_component:
            missing.insert(0, "targetComponent")
        if missing:
            what = " and no ".join(map(repr, missing))
            yield "no-target", path, f"the {transition.type} transition {_arrow(transition)} has no {what}"
            return
        yield from self._target(
            transition.target_component if across else None,
            transition.target_machine or "",
            "*",
            transition.target_event if across else None,
            _arrow(transition),
            path,
        )

    def _cascades(self, state: State, path: Path) -> Iterator[_Found]:
        for position, rule in enumerate(state.cascading_rules):
            yield from self._target(
                rule.target_component,
                rule.target_machine,
                rule.target_state,
                rule.event,
                f"a cascading rule of {state.name!r}",
                (*path, "cascadingRules", position),
            )

    def _target(
        self, component_name: str | None, machine_name: str, state: str, event: str | None, who: str, path: Path
    ) -> Iterator[_Found]:
        """What is wrong with a way to another machine; `event` None makes an instance, `state` '*' is any."""
        component = self.component if component_name is None else self.known.get(component_name)
        if component is None:
            known = ", ".join(self.known)
            yield (
                "unknown-component",
                path,
                f"{who} leads to the component {component_name!r}, which is not given; there is {known}",
            )
            return
        machine = component.find_machine(machine_name)
        if machine is None:
            names = ", ".join(other.name for other in component.machines)
            yield (
                "unknown-machine",
                path,
                f"{who} leads to the machine {machine_name!r}, which {component.name!r} does not have; it has {names}",
            )
            return
        if state != "*" and machine.find_state(state) is None:
            names = ", ".join(other.name for other in machine.states)
            yield "unknown-state", path, f"{who} leads to the state {state!r} of {machine_name!r}; there are {names}"
        elif event is not None and not _takes(machine, event, state):
            where = "" if state == "*" else f" in {state!r}"
            yield "unknown-event", path, f"{who} sends {event!r}, which {machine_name!r} does not take{where}"

    def _properties(self, transition: Transition, path: Path) -> Iterator[_Found]:
        machine, schema = self.machine, self.schema
        if transition.type == "cross_component":  # its rules choose among the instances over there
            component = self.known.get(transition.target_component or "")
            target = component.find_machine(transition.target_machine or "") if component is not None else None
            if component is None or target is None:
                return
            machine, schema = target, schema_of(component, target)
        for position, rule in enumerate(transition.matching_rules):
            if schema is not None and rule.instance_property.split(".")[0] not in schema:
                yield (
                    "unknown-property",
                    (*path, "matchingRules", position),
                    f"a matching rule compares {rule.instance_property!r}, which the contextSchema of "
                    f"{machine.name!r} does not have; it has {', '.join(map(str, schema))}",
                )

    def _ambiguous(self) -> Iterator[_Found]:
        groups: defaultdict[tuple[str, str], dict[frozenset[MatchingRule], Transition]] = defaultdict(dict)
        for position, transition in enumerate(self.machine.transitions):
            group = groups[transition.source, transition.event]
            rules = frozenset(transition.matching_rules)
            first = group.setdefault(rules, transition)
            if first is not transition:
                rival = "the same matching rules" if rules else "no matching rules"
                yield (
                    "ambiguous-transitions",
                    ("transitions", position),
                    f"{_arrow(transition)} cannot be told from {_arrow(first)} before it: both have {rival}",
                )

    def _parent_events(self) -> Iterator[_Found]:
        """Events for the parent that none of those who make this machine takes."""
        parents = [
            machine
            for machine in self.component.machines
            if any(t.type == "inter_machine" and t.target_machine == self.machine.name for t in machine.transitions)
        ]
        if not parents:
            return
        told: list[tuple[Path, str]] = []
        link = self.machine.parent_link
        if link is not None and link.enabled and link.on_state_change:
            told.append((("parentLink",), link.on_state_change))
        for position, transition in enumerate(self.machine.transitions):
            if transition.notify_parent is not None:
                event = transition.notify_parent.get("event") or "CHILD_NOTIFICATION"
                told.append((("transitions", position, "notifyParent"), str(event)))
        for path, event in told:
            if not any(_takes(parent, event, "*") for parent in parents):
                names = ", ".join(repr(parent.name) for parent in parents)
                yield "unknown-event", path, f"tells its parent {event!r}, which {names} does not take"


def schema_of(component: Component, machine: StateMachine) -> Mapping[str, object] | None:
    """The properties of the `contextSchema` of a machine, by name; None where the document has none."""
    documents = component.source.get("stateMachines")
    for document in documents if isinstance(documents, list) else ():
        if isinstance(document, Mapping) and str(document.get("name")) == machine.name:
            schema = document.get("contextSchema")
            return schema if isinstance(schema, Mapping) and schema else None
    return None


def _takes(machine: StateMachine, event: str, state: str) -> bool:
    return any(t.event == event and state in ("*", t.source) for t in machine.transitions)


def _arrow(transition: Transition) -> str:
    return f"{transition.source} -> {transition.target} ({transition.event})"
