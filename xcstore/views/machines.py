"""What a machine may do, against what it was seen to do: one diagram, two tables.

Also the state diagram of one instance is built here (`state_diagram`), so that a state looks the same on both pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log1p
from typing import TYPE_CHECKING

from xcstore.analysis.intervals import dwell
from xcstore.analysis.lifecycle import ObservedMachine, observed_machine
from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.labels import count_text, duration_text, visible_text
from xcstore.render.theme import STATE_KINDS, EdgeKind, StateKind, find_look

if TYPE_CHECKING:
    from xcstore.model.definition import StateMachine, Transition
    from xcstore.queries.machines import MachineFacts

__all__ = [
    "Arrow",
    "MachineView",
    "Picked",
    "arrows",
    "build",
    "element_id",
    "picked",
    "state_diagram",
    "state_kind",
    "state_text",
]

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """One transition: declared, observed, or both."""

    source: str
    event: str
    target: str
    declared: Transition | None
    count: int
    kind: EdgeKind

    @property
    def key(self) -> tuple[str, str, str]:
        return self.source, self.event, self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What a click on a state diagram meant."""

    state: str = ""
    arrow: Arrow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """Everything the page shows of one machine."""

    diagram: Diagram
    arrows: tuple[Arrow, ...]
    states: tuple[str, ...]
    state_rows: tuple[Row, ...] = field(hash=False)
    transition_rows: tuple[Row, ...] = field(hash=False)
    summary: str
    dwell_note: str
    never_reached: tuple[str, ...] = ()
    """States and transitions that are declared and were not observed, in words."""
    never_declared: tuple[str, ...] = ()
    """States and transitions that were observed and are not declared, in words."""
    instances: int = 0


def state_kind(machine: StateMachine | None, state: str) -> StateKind:
    """How a state looks: by its declared type; 'unknown' where it is not declared."""
    declared = machine.find_state(state) if machine else None
    if declared is None:
        return "unknown"
    # A document may give the initial state no type of its own.
    if declared.type == "regular" and machine is not None and machine.initial_state == state:
        return "entry"
    return declared.type


def state_text(machine: StateMachine | None, state: str) -> str:
    """Mark and name of a state, for tables and headings."""
    shown = visible_text(state, 120) or "(none)"
    return f"{find_look(STATE_KINDS, state_kind(machine, state)).mark} {shown}"


def arrows(machine: StateMachine | None, observed: ObservedMachine) -> tuple[Arrow, ...]:
    """Declared transitions in the order of the document, then those only observed, most frequent first.

    Several declared transitions of the same states and event (told apart by matching rules) are one arrow: events
    do not say which of them was taken.
    """
    counts = {(t.source, t.event, t.target): t.count for t in observed.transitions}
    found: dict[tuple[str, str, str], Arrow] = {}
    for declared in machine.transitions if machine else ():
        key = (declared.source, declared.event, declared.target)
        if key not in found:
            found[key] = Arrow(
                source=declared.source,
                event=declared.event,
                target=declared.target,
                declared=declared,
                count=counts.get(key, 0),
                kind=_edge_kind(declared.type),
            )
    for key, count in counts.items():
        if key not in found:
            source, event, target = key
            found[key] = Arrow(
                source=source,
                event=event,
                target=target,
                declared=None,
                count=count,
                kind="observed" if machine is None else "undeclared",
            )
    return tuple(found.values())


def state_diagram(
    machine: StateMachine | None,
    observed: ObservedMachine,
    *,
    name: str,
    counts: Mapping[str, int],
    sublabels: Mapping[str, str] | None = None,
    tooltips: Mapping[str, str] | None = None,
    visits: Mapping[str, int] | None = None,
    taken: Mapping[tuple[str, str, str], int] | None = None,
    current: str | None = None,
) -> Diagram:
    """The states of a machine and its transitions.

    Parameters
    ----------
    counts : mapping of state to number
        What the badge on a state says, where no `visits` are given.
    visits, taken : mapping, optional
        The path of one instance: how often it was in a state, and took a transition. What is not in them is faded.
    current : str, optional
        State to mark as the present one.
    """
    along = arrows(machine, observed)
    top = max((arrow.count for arrow in along), default=0)
    nodes = []
    for state in all_states(machine, observed):
        seen = counts.get(state, 0)
        reached = state in observed.states
        nodes.append(
            Node(
                id=f"s:{state}",
                label=state,
                kind=state_kind(machine, state),
                count=seen if visits is None else visits.get(state) or None,
                sublabel=(sublabels or {}).get(state, ""),
                tooltip=(tooltips or {}).get(state, ""),
                current=state == current,
                visited=None if visits is None else bool(visits.get(state)),
                never_reached=visits is None and not reached,
                undeclared=machine is not None and machine.find_state(state) is None,
            )
        )
    edges = []
    for number, arrow in enumerate(along):
        passed = None if taken is None else taken.get(arrow.key, 0)
        count = arrow.count if passed is None else passed or None
        edges.append(
            Edge(
                source=f"s:{arrow.source}",
                target=f"s:{arrow.target}",
                id=f"t:{number}",
                label=arrow.event,
                kind=arrow.kind,
                count=count,
                tooltip=arrow_text(arrow),
                # Without a path, an arrow that nobody took is faded.
                taken=bool(passed) if passed is not None else (False if not arrow.count else None),
                weight=_weight(arrow.count, top) if passed is None else (0.5 if passed else 0.0),
            )
        )
    return Diagram(nodes=tuple(nodes), edges=tuple(edges), name=name)


def picked(click: str | None, along: Sequence[Arrow]) -> Picked | None:
    """What the id that a click on `state_diagram` gave means; None where it means nothing."""
    if not click:
        return None
    kind, _, rest = click.partition(":")
    if kind == "s":
        return Picked(state=rest)
    if kind == "t" and rest.isdecimal() and int(rest) < len(along):
        return Picked(arrow=along[int(rest)])
    return None


def element_id(along: Sequence[Arrow], *, state: str = "", key: Sequence[str] = ()) -> str | None:
    """The id in `state_diagram` of a transition, or else of a state; None for neither."""
    number = next((number for number, arrow in enumerate(along) if arrow.key == tuple(key)), None)
    if number is not None:
        return f"t:{number}"
    return f"s:{state}" if state else None


def build(facts: MachineFacts, machine: StateMachine | None) -> MachineView:
    """The view of one machine; `machine` is its definition, where one is known."""
    observed = observed_machine(facts.transitions)
    along = arrows(machine, observed)
    states = all_states(machine, observed)
    here = {row.state: row.count for row in facts.states}
    stays: dict[str, Mapping[str, object]] = {
        str(row["state"]): {str(name): value for name, value in row.items()}
        for row in dwell(facts.sample.events).to_dict("records")
    }
    entered = {
        state: sum(count for (before, _, after), count in facts.transitions if after == state != before)
        for state in states
    }
    sublabels = {state: _sublabel(here.get(state, 0), stays.get(state)) for state in states}
    tooltips = {
        state: "\n".join(
            [
                f"now here: {count_text(here.get(state, 0), 'instance')}",
                f"entered {count_text(entered[state], 'time')}",
                *_stay_lines(stays.get(state)),
            ]
        )
        for state in states
    }
    diagram = state_diagram(
        machine,
        observed,
        name=f"{facts.component}.{facts.machine}",
        counts=entered,
        sublabels=sublabels,
        tooltips=tooltips,
    )
    total, sampled = facts.instance_count, facts.sample.instances
    declared = "declared" if machine else "observed; no definition is known"
    return MachineView(
        diagram=diagram,
        arrows=along,
        states=states,
        state_rows=tuple(_state_row(machine, observed, s, here, entered, stays) for s in states),
        transition_rows=tuple(_transition_row(machine, arrow) for arrow in along),
        summary=" · ".join(
            [
                declared,
                count_text(total, "instance"),
                count_text(facts.event_count, "event"),
                count_text(len(states), "state"),
                count_text(len(along), "transition"),
            ]
        ),
        dwell_note=(
            f"Durations: completed stays of the latest {sampled:,} of {count_text(total, 'instance')}."
            if sampled < total
            else f"Durations: completed stays of {count_text(total, 'instance')}, which is all."
        ),
        never_reached=_never_reached(machine, observed, along),
        never_declared=_never_declared(machine, observed, along),
        instances=total,
    )


def all_states(machine: StateMachine | None, observed: ObservedMachine) -> tuple[str, ...]:
    """Declared states in the order of the document, then those that only its transitions name, or only observed."""
    declared = [state.name for state in machine.states] if machine else []
    named = [state for _, _, state in machine.undeclared_ends()] if machine else []
    return tuple(dict.fromkeys([*declared, *named, *observed.states]))


def arrow_text(arrow: Arrow) -> str:
    """What a transition is, in a few lines."""
    lines = [f"{arrow.source} → {arrow.target} on {arrow.event}", f"observed {count_text(arrow.count, 'time')}"]
    declared = arrow.declared
    if declared is None:
        return "\n".join(lines)
    if declared.type != "regular":
        lines.append(f"type {declared.type}")
    if declared.timeout_ms is not None:
        lines.append(f"after {duration_text(declared.timeout_ms)}")
    target = ".".join(part for part in (declared.target_component, declared.target_machine) if part)
    if target or declared.target_event:
        lines.append(f"sends {declared.target_event or 'a creation'} to {target or 'this machine'}")
    if declared.matching_rules:
        lines.append(count_text(len(declared.matching_rules), "matching rule"))
    if declared.triggered_method:
        lines.append(f"runs {declared.triggered_method}")
    return "\n".join(lines)


def _state_row(
    machine: StateMachine | None,
    observed: ObservedMachine,
    state: str,
    here: Mapping[str, int],
    entered: Mapping[str, int],
    stays: Mapping[str, Mapping[str, object]],
) -> Row:
    stay = stays.get(state)
    return {
        "state": state_text(machine, state),
        "type": find_look(STATE_KINDS, state_kind(machine, state)).word,
        "instances now": here.get(state, 0),
        "times entered": entered[state],
        "median stay": duration_text(_ms(stay["median_ms"])) if stay else "–",
        "95 % under": duration_text(_ms(stay["p95_ms"])) if stay else "–",
        "stays measured": int(str(stay["n"])) if stay else 0,
        "remark": _remark(
            declared=machine is None or machine.find_state(state) is not None, seen=state in observed.states
        ),
    }


def _transition_row(machine: StateMachine | None, arrow: Arrow) -> Row:
    declared = arrow.declared
    return {
        "from": visible_text(arrow.source, 120),
        "event": visible_text(arrow.event, 120),
        "to": visible_text(arrow.target, 120),
        "type": declared.type if declared else "–",
        "after": duration_text(declared.timeout_ms) if declared and declared.timeout_ms is not None else "–",
        "observed": arrow.count,
        "remark": _remark(declared=machine is None or declared is not None, seen=arrow.count > 0),
    }


def _remark(*, declared: bool, seen: bool) -> str:
    return ", ".join([*([] if declared else ["not declared"]), *([] if seen else ["never observed"])])


def _never_reached(machine: StateMachine | None, observed: ObservedMachine, along: Iterable[Arrow]) -> tuple[str, ...]:
    if machine is None:
        return ()
    states = [f"state {state.name}" for state in machine.states if state.name not in observed.states]
    return (*states, *(f"{a.source} → {a.target} on {a.event}" for a in along if a.declared and not a.count))


def _never_declared(machine: StateMachine | None, observed: ObservedMachine, along: Iterable[Arrow]) -> tuple[str, ...]:
    if machine is None:
        return ()
    states = [f"state {state}" for state in observed.states if machine.find_state(state) is None]
    seen = [f"{a.source} → {a.target} on {a.event} ({count_text(a.count, 'time')})" for a in along if not a.declared]
    return (*states, *seen)


def _sublabel(here: int, stay: Mapping[str, object] | None) -> str:
    parts = [f"{here:,} now"] if here else []
    return " · ".join([*parts, *([f"median {duration_text(_ms(stay['median_ms']))}"] if stay else [])])


def _stay_lines(stay: Mapping[str, object] | None) -> list[str]:
    if stay is None:
        return []
    return [
        f"median stay {duration_text(_ms(stay['median_ms']))}, 95 % under {duration_text(_ms(stay['p95_ms']))}",
        f"over {count_text(int(str(stay['n'])), 'stay')}",
    ]


def _edge_kind(kind: str) -> EdgeKind:
    # 'regular' has no look of its own: it is what a transition is when nothing else is said.
    kinds: dict[str, EdgeKind] = {
        "timeout": "timeout",
        "auto": "auto",
        "internal": "internal",
        "triggerable": "triggerable",
        "inter_machine": "inter_machine",
        "cross_component": "cross_component",
    }
    return kinds.get(kind, "declared")


def _weight(count: int, top: int) -> float:
    return log1p(count) / log1p(top) if top else 0.0


def _ms(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float(str(value))
