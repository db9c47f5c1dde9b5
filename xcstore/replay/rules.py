"""What a definition says at a point of a history, and whether another one says the same there."""

from __future__ import annotations

from xcstore.model.definition import Transition
from xcstore.runtime.interpreter import TIMER_TYPES, MachineTable

__all__ = ["Rules", "timer", "ways"]


class Rules:
    """A machine, and where it says the same as the one that recorded.

    Parameters
    ----------
    table : MachineTable
        The definition to run.
    recorder : MachineTable, optional
        The one under which the events were recorded. Without it nothing is known to be the same.
    """

    def __init__(self, table: MachineTable, recorder: MachineTable | None) -> None:
        self.table = table
        self._recorder = recorder
        self._ways: dict[tuple[str, str], bool] = {}
        self._timers: dict[tuple[str, str], bool] = {}

    def same_ways(self, state: str, event_type: str) -> bool:
        """Whether an event may go the same ways from a state, and changes the values alike."""
        key = state, event_type
        known = self._ways.get(key)
        if known is None:
            other = self._recorder
            known = other is not None and ways(self.table, *key) == ways(other, *key)
            self._ways[key] = known
        return known

    def same_timer(self, state: str, event_type: str) -> bool:
        """Whether both have this timer in the state, with the same time."""
        key = state, event_type
        known = self._timers.get(key)
        if known is None:
            mine = timer(self.table, *key)
            known = mine is not None and self._recorder is not None and mine == timer(self._recorder, *key)
            self._timers[key] = known
        return known


def ways(table: MachineTable, state: str, event_type: str) -> tuple[tuple[object, ...], ...]:
    """What decides where an event leads from a state, and what becomes of the values; target and status first."""
    move = table.moves.get(state, {}).get(event_type)
    plans = move if isinstance(move, tuple) else () if move is None else (move,)
    return tuple((p.target, p.status, p.transition.matching_rules, p.before, p.entry) for p in plans)


def timer(table: MachineTable, state: str, event_type: str) -> tuple[object, ...] | None:
    """A timer that runs in a state: its kind, its time, and whether self-loops leave it alone."""
    found = None
    for one in _timed(table, state):
        if one.event == event_type:
            # Of several with one name the last that is started counts, as in the runtime.
            found = (one.type, one.timeout_ms or 0, one.reset_on_transition)
    return found


def _timed(table: MachineTable, state: str) -> list[Transition]:
    return [
        one
        for one in table.machine.transitions
        if one.source == state and one.type in TIMER_TYPES and (one.type == "auto" or one.timeout_ms)
    ]
