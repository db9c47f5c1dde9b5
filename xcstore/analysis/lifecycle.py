"""What a machine was seen to do, and whether an instance has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from xcstore.model.definition import Component, State, StateMachine
from xcstore.model.history import CREATION, InstanceSnapshot

__all__ = [
    "Lifecycle",
    "Move",
    "ObservedMachine",
    "ObservedTransition",
    "Sender",
    "lifecycle",
    "moves",
    "observed_machine",
    "senders",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """Whether an instance has ended, and what says so."""

    status: Literal["active", "completed", "error", "unknown"]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTransition:
    source: str
    event: str
    target: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedMachine:
    """What the events of one machine say about it."""

    states: tuple[str, ...] = ()
    """Every state seen, initial ones first, then by name. '' (before creation) is not a state."""
    initial: tuple[str, ...] = ()
    """States that creation events led to."""
    transitions: tuple[ObservedTransition, ...] = ()
    """Without creations; most frequent first, then by name."""
    created: int = 0
    """How many creation events there are."""

    @property
    def never_left(self) -> tuple[str, ...]:
        """States that no event leaves, self-loops aside: ends as far as it was observed."""
        left = {t.source for t in self.transitions if t.source != t.target}
        return tuple(state for state in self.states if state not in left)

    def entered(self, state: str) -> int:
        """Events that led into `state` from elsewhere. Creations into a state are not told apart by state."""
        return sum(t.count for t in self.transitions if t.target == state and t.source != state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Something that would take an instance out of its state."""

    event: str
    target: str
    kind: str
    """Type of the declared transition, or 'observed'."""
    timeout_ms: int | None = None
    count: int | None = None
    """How often it was observed; None where nobody counted."""
    senders: tuple[Sender, ...] = ()
    """What the definitions say sends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A machine that is declared to send an event."""

    component: str
    machine: str
    when: str
    """'entering Packed', or 'Packed → Sent on SEND'."""


def observed_machine(rows: Iterable[tuple[tuple[str, str, str], int]]) -> ObservedMachine:
    """A machine from counts by (state_before, event_type, state_after), of one component and machine."""
    transitions: list[ObservedTransition] = []
    initial: dict[str, None] = {}
    states: set[str] = set()
    created = 0
    for (source, event, target), count in rows:
        states.update({source, target} - {""})
        if source == "":
            initial.setdefault(target)
            created += count if event == CREATION else 0
        else:
            transitions.append(ObservedTransition(source=source, event=event, target=target, count=count))
    transitions.sort(key=lambda t: (-t.count, t.source, t.event, t.target))
    first = [state for state in sorted(initial) if state]
    return ObservedMachine(
        states=(*first, *sorted(states - set(first))),
        initial=tuple(first),
        transitions=tuple(transitions),
        created=created,
    )


def lifecycle(
    state: str,
    *,
    machine: StateMachine | None = None,
    snapshot: InstanceSnapshot | None = None,
    never_left: Sequence[str] | None = None,
) -> Lifecycle:
    """Whether an instance in `state` has ended.

    The definition decides; without it the snapshot, if its status is recorded and it is of the same state; without
    it nothing is certain, and what was observed (`never_left`: states no instance of the machine ever left) is only
    told as the reason.
    """
    declared = machine.find_state(state) if machine else None
    if declared is not None:
        return _by_definition(declared)
    if snapshot is not None and snapshot.status_recorded and snapshot.instance.current_state == state:
        return Lifecycle(status=snapshot.instance.status, why="status recorded in the snapshot")
    missing = "state not in the definition" if machine else "no definition"
    if never_left is None:
        return Lifecycle(status="unknown", why=missing)
    if state in never_left:
        return Lifecycle(status="unknown", why=f"{missing}; no instance was ever seen to leave this state")
    return Lifecycle(status="active", why=f"{missing}; other instances were seen to leave this state")


def senders(
    components: Iterable[Component], component: str, machine: str, state: str, event: str
) -> tuple[Sender, ...]:
    """Which machines are declared to send `event` to an instance of that machine in `state`."""
    found: list[Sender] = []
    for source in components:
        for sending in source.machines:
            name = {"component": source.name, "machine": sending.name}
            for entered in sending.states:
                for rule in entered.cascading_rules:
                    target = (rule.target_component or source.name, rule.target_machine, rule.target_state, rule.event)
                    if target == (component, machine, state, event):
                        found.append(Sender(**name, when=f"entering {entered.name}"))
            for t in sending.transitions:
                if (t.target_component or source.name, t.target_machine, t.target_event) == (component, machine, event):
                    found.append(Sender(**name, when=f"{t.source} → {t.target} on {t.event}"))
    return tuple(dict.fromkeys(found))


def moves(
    state: str,
    machine: StateMachine | None,
    observed: ObservedMachine | None,
    *,
    component: str = "",
    components: Sequence[Component] = (),
) -> tuple[Move, ...]:
    """What leaves `state`: the declared transitions where the definition knows the state, else the observed ones.

    Self-loops leave nothing. `component` is the machine's own; `components` are the definitions to look for senders in.
    """
    counts: dict[tuple[str, str], int] = {}
    for seen in observed.transitions if observed else ():
        if seen.source == state and seen.target != state:
            counts[seen.event, seen.target] = counts.get((seen.event, seen.target), 0) + seen.count
    if machine is not None and machine.find_state(state) is not None:
        return tuple(
            Move(
                event=t.event,
                target=t.target,
                kind=t.type,
                timeout_ms=t.timeout_ms,
                count=counts.get((t.event, t.target), 0) if observed else None,
                senders=senders(components, component, machine.name, state, t.event),
            )
            for t in machine.transitions
            if t.source == state and t.target != state
        )
    return tuple(
        Move(event=event, target=target, kind="observed", count=count)
        for (event, target), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def _by_definition(state: State) -> Lifecycle:
    if state.type == "final":
        return Lifecycle(status="completed", why="final state of the definition")
    if state.type == "error":
        return Lifecycle(status="error", why="error state of the definition")
    return Lifecycle(status="active", why="not a final or error state in the definition")
