"""Why a recorded step is not what the definition makes of it, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xcstore.analysis.context import same_json
from xcstore.jsontext import NestingError, json_text
from xcstore.model.history import PersistedEvent
from xcstore.redaction import MASK
from xcstore.runtime.interpreter import MachineTable, Move, Plan
from xcstore.runtime.matching import MISSING, compare, value_at
from xcstore.units import EpochMs, to_utc

__all__ = [
    "context_beside",
    "doubt_after",
    "length_words",
    "methods_before",
    "methods_of",
    "moment_words",
    "recorded_values",
    "rule_words",
    "same_values",
    "state_words",
    "undecidable",
    "unknown_words",
    "value_words",
    "ways_to",
    "why_values",
]

Values = Mapping[str, object]


def value_words(value: object) -> str:
    """A value of JSON, in few characters."""
    try:
        text = "nothing" if value is MISSING else json_text(value)
    except NestingError:
        text = "a deeply nested value"
    return text if len(text) <= 40 else f"{text[:39]}…"


def rule_words(plan: Plan, payload: object, properties: Mapping[str, object]) -> str:
    """Each matching rule of a transition with what it compared, and whether it holds."""
    told = []
    for rule in plan.transition.matching_rules:
        wanted, found = value_at(payload, rule.event_property), value_at(properties, rule.instance_property)
        holds = wanted is not MISSING and found is not MISSING and compare(found, rule.operator, wanted)
        told.append(
            f"{rule.instance_property} {rule.operator} {rule.event_property} of the event "
            f"({value_words(found)} {rule.operator} {value_words(wanted)}) {'holds' if holds else 'does not hold'}"
        )
    return "; ".join(told) if told else "it has no matching rules"


def moment_words(moment: EpochMs) -> str:
    """A moment in UTC."""
    date = to_utc(moment)
    return f"{moment} ms" if date is None else date.isoformat(" ", "seconds").replace("+00:00", " UTC")


def length_words(ms: int) -> str:
    """A length of time in one unit."""
    for size, name in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if abs(ms) >= size:
            return f"{ms / size:.1f}".removesuffix(".0") + f" {name}"
    return f"{ms} ms"


def recorded_values(event: PersistedEvent, has_public: bool) -> Values | None:
    """The public member, or the context where there is none: the TypeScript runtime writes both into one place."""
    if event.public_member_snapshot is not None or has_public:
        return event.public_member_snapshot
    return event.context


def context_beside(event: PersistedEvent) -> Values | None:
    """The context that was recorded beside a public member; the shipped layout writes the public member there too."""
    return None if event.context == event.public_member_snapshot else event.context


def methods_before(table: MachineTable, plan: Plan) -> str:
    """User code that ran since the event before was stored: entry method, then exit and triggered method."""
    before = table.find_state(plan.transition.source)
    entry = before.entry_method if before is not None else None
    return _listed([*([entry] if entry else []), *(method.name for method in plan.before)])


def methods_of(table: MachineTable) -> str:
    """All user code of a machine."""
    machine = table.machine
    names = [name for state in machine.states for name in (state.entry_method, state.exit_method) if name]
    return _listed([*names, *(t.triggered_method for t in machine.transitions if t.triggered_method)])


def same_values(one: Values, two: Values) -> bool:
    """`same_json` of two objects, faster where they are flat and equal, as nearly all are."""
    if len(one) != len(two):
        return False
    for key, value in one.items():
        other = two.get(key, MISSING)
        if type(value) is not type(other) or value != other or type(value) in (dict, list):
            return same_json(one, two)
    return True


def state_words(table: MachineTable, state: str) -> str:
    """What the definition says of a state."""
    if table.find_state(state) is None:
        return "the definition has no such state"
    events = list(table.moves.get(state, {}))
    return f"it takes {_listed(events)} there" if events else "no transition leaves it"


def why_values(event: PersistedEvent, table: MachineTable, plan: Plan) -> tuple[str, str]:
    """Why recorded values are not what the payload makes of those before: kind and reason."""
    methods = methods_before(table, plan)
    if methods:
        return "user_code", f"the state is the same; {methods} may have changed the values"
    if event.faults and not isinstance(event.payload, Mapping):
        return "unreadable", "the payload cannot be read, and the values differ"
    kept = "" if plan.merges else ": the transition has matching rules, so the payload stays out of the values"
    return "values", f"the values are not what the payload makes of those before{kept}"


def ways_to(table: MachineTable, source: str, target: str) -> list[str]:
    """The events that lead from one state to the other."""
    return [
        event for event, move in table.moves.get(source, {}).items() if any(p.target == target for p in _plans(move))
    ]


def undecidable(table: MachineTable, event: PersistedEvent, move: Move, properties: Values) -> tuple[str, str] | None:
    """Why nobody can say which of several transitions an event takes: kind and reason; None where one can."""
    before = table.find_state(event.state_before)
    if before is not None and before.entry_method:
        return "user_code", f"{before.entry_method} may have changed what the matching rules compare"
    for plan in _plans(move):
        for rule in plan.transition.matching_rules:
            if MASK in (value_at(event.payload, rule.event_property), value_at(properties, rule.instance_property)):
                return "unreadable", "the settings mask what the matching rules compare"
    return None


def unknown_words(event: PersistedEvent) -> str:
    """That the definition of its machine is not known."""
    name = f"{event.component_name}.{event.machine_name}" if event.component_name else event.machine_name
    if event.definition_hash:
        return f"the version of {name} that the event names ({event.definition_hash[:12]}) is not known"
    return f"no definition of {name} is known"


def doubt_after(table: MachineTable | None, plan: Plan | None) -> tuple[str, str] | None:
    """Why nobody knows for sure what an instance holds after a transition that recorded no values."""
    if plan is None or table is None:
        return "unreadable", "what it held is not known since an event that could not be replayed"
    methods = methods_before(table, plan)
    return ("user_code", f"{methods} may have changed the values, which are not recorded") if methods else None


def _plans(move: Move) -> tuple[Plan, ...]:
    return move if isinstance(move, tuple) else (move,)


def _listed(names: Sequence[str]) -> str:
    told = list(dict.fromkeys(names))
    return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")
