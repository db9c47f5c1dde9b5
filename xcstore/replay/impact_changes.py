"""What differs between two definitions of one machine, as far as runs can see it, in words."""

from __future__ import annotations

from xcstore.replay.rules import timer, ways
from xcstore.runtime.interpreter import MachineTable, Move, Plan
from xcstore.units import DAY, HOUR, MINUTE, SECOND

__all__ = ["changes_of", "span"]


def changes_of(now: MachineTable, then: MachineTable) -> tuple[str, ...]:
    """Everything that may make an instance go another way; () where nothing does.

    What a definition sends to others, and descriptions, are not among it.
    """
    told: list[str] = []
    if now.machine.initial_state != then.machine.initial_state:
        told.append(f"begins in {then.machine.initial_state!r}, was {now.machine.initial_state!r}")
    told += _states(now, then)
    keys = dict.fromkeys((one.source, one.event) for table in (now, then) for one in table.machine.transitions)
    for state, event_type in keys:
        mine, others = (_told(ways(table, state, event_type)) for table in (now, then))
        if mine != others:
            one, two = (_move(table.moves.get(state, {}).get(event_type)) for table in (now, then))
            told.append(f"{event_type!r} in {state!r}: {two}, was {one}" if one != two else _same(event_type, state))
        if (one_timer := timer(now, state, event_type)) != (two_timer := timer(then, state, event_type)):
            told.append(f"timer {event_type!r} in {state!r}: {_timer(two_timer)}, was {_timer(one_timer)}")
    return tuple(told)


def span(ms: int) -> str:
    """A length of time in the largest unit that tells it exactly.

    >>> span(5_400_000), span(172_800_000), span(1_500)
    ('90 min', '2 d', '1500 ms')
    """
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if ms and ms % unit == 0:
            return f"{ms // unit} {name}"
    return f"{ms} ms"


def _states(now: MachineTable, then: MachineTable) -> list[str]:
    one, two = ({state.name: state for state in table.machine.states} for table in (now, then))
    told = [f"state {name!r} is gone" for name in one if name not in two]
    told += [f"state {name!r} is new" for name in two if name not in one]
    told += [
        f"state {name!r} is {two[name].type}, was {one[name].type}"
        for name in one
        if name in two and one[name].is_terminal | two[name].is_terminal and one[name].type != two[name].type
    ]
    return told


def _told(found: tuple[tuple[object, ...], ...]) -> list[tuple[object, ...]]:
    # Whether a target ends the instance is told of the state.
    return [(target, *rest) for target, _, *rest in found]


def _move(move: Move | None) -> str:
    plans = (move,) if isinstance(move, Plan) else move or ()
    return " or ".join(repr(plan.target) + (" by rules" if not plan.merges else "") for plan in plans) or "not known"


def _same(event_type: str, state: str) -> str:
    return f"{event_type!r} in {state!r}: other matching rules or methods"


def _timer(found: tuple[object, ...] | None) -> str:
    if found is None:
        return "none"
    _, after, resets = found
    assert isinstance(after, int)
    return f"after {span(after)}" + ("" if resets else ", kept on self-loops")
