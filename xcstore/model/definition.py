"""What may happen: components, their machines, states and transitions. Data only, no behaviour.

Made by `model.loader` from YAML or JSON and valid because it exists: names are unique within a machine, the
initial state is one of its states, a timeout has a time. Only transitions may name states that are not declared
(`StateMachine.undeclared_ends`), as in the TypeScript runtime. Words are those of the component documents in
snake_case; `from` and `to` of a transition are `source` and `target`, as `from` is a keyword.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from xcstore.units import DurationMs

__all__ = [
    "CascadingRule",
    "Component",
    "MatchingRule",
    "Operator",
    "ParentLink",
    "State",
    "StateMachine",
    "StateType",
    "Transition",
    "TransitionType",
]

StateType = Literal["entry", "regular", "final", "error"]
TransitionType = Literal["regular", "inter_machine", "cross_component", "timeout", "internal", "triggerable", "auto"]
Operator = Literal["===", "!==", ">", "<", ">=", "<="]
Document = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingRule:
    """An event reaches an instance when two properties compare as said."""

    event_property: str
    instance_property: str
    operator: Operator = "==="


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadingRule:
    """On entering the state: send `event` to the instances of another machine."""

    target_machine: str
    target_state: str
    event: str
    target_component: str | None = None
    matching_rules: tuple[MatchingRule, ...] = ()
    payload: Document = field(default_factory=dict, hash=False)
    """Template: whole strings '{{path}}' are replaced by the value at that path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    name: str
    type: StateType = "regular"
    entry_method: str | None = None
    """Also written `onEntry` in documents."""
    exit_method: str | None = None
    cascading_rules: tuple[CascadingRule, ...] = ()
    description: str = ""
    metadata: Document = field(default_factory=dict, hash=False)

    @property
    def is_terminal(self) -> bool:
        """Whether an instance ends here: types final and error."""
        return self.type in ("final", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    source: str
    target: str
    event: str
    type: TransitionType = "regular"
    timeout_ms: DurationMs | None = None
    reset_on_transition: bool = True
    """False: a self-loop leaves the running timer alone."""
    target_machine: str | None = None
    target_component: str | None = None
    target_event: str | None = None
    context_mapping: Mapping[str, str] | None = field(default=None, hash=False)
    """{target: source}; None sends everything."""
    matching_rules: tuple[MatchingRule, ...] = ()
    triggered_method: str | None = None
    notify_parent: Document | None = field(default=None, hash=False)
    description: str = ""
    metadata: Document = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentLink:
    """Whether an instance tells its parent of its changes of state."""

    enabled: bool = False
    on_state_change: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachine:
    name: str
    initial_state: str
    states: tuple[State, ...]
    transitions: tuple[Transition, ...] = ()
    public_member_type: str | None = None
    parent_link: ParentLink | None = None
    description: str = ""
    metadata: Document = field(default_factory=dict, hash=False)

    def find_state(self, name: str) -> State | None:
        return next((state for state in self.states if state.name == name), None)

    def undeclared_ends(self) -> tuple[tuple[int, str, str], ...]:
        """Where transitions name a state that is not declared: (position, 'from' or 'to', the state), in their order.

        Examples
        --------
        >>> states = (State(name="Open"), State(name="Shut"))
        >>> push = Transition(source="Shut", target="Ajar", event="PUSH")
        >>> StateMachine(name="Door", initial_state="Shut", states=states, transitions=(push,)).undeclared_ends()
        ((0, 'to', 'Ajar'),)
        """
        declared = {state.name for state in self.states}
        return tuple(
            (position, end, state)
            for position, transition in enumerate(self.transitions)
            for end, state in (("from", transition.source), ("to", transition.target))
            if state not in declared
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A document's machines. `source` is the document as it was read, unknown keys included."""

    name: str
    machines: tuple[StateMachine, ...]
    version: str = ""
    entry_machine: str | None = None
    entry_machine_mode: Literal["singleton", "multiple"] = "singleton"
    auto_create_entry_point: bool | None = None
    metadata: Document = field(default_factory=dict, hash=False)
    source: Document = field(default_factory=dict, hash=False, repr=False)
    hash: str = ""
    """SHA-256 over the canonical JSON of `source`, in hexadecimal."""
    faults: tuple[str, ...] = field(default=(), compare=False)
    """What is wrong in the document and yet taken, with file and line where they are known."""

    def find_machine(self, name: str) -> StateMachine | None:
        return next((machine for machine in self.machines if machine.name == name), None)
