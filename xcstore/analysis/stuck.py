"""From when on waiting in a state is too long.

The rule for each state is the first of these that has what it needs:

1. *timeout*: the definition ends the state by a timer; waiting past it, by a tenth and a minute at least, is too long.
2. *state*: at least 5 completed stays in the state are known; three times their 95th percentile is too long.
3. *machine*: other states of the machine are known that well; three times the slowest of them is too long.
4. *default*: nothing is known; a day is too long.

Never less than a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from xcstore.units import DAY, MINUTE, DurationMs, EpochMs

__all__ = ["Limit", "Rule", "WaitingState", "limits"]

Rule = Literal["timeout", "state", "machine", "default"]

FACTOR: Final = 3
MIN_STAYS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingState:
    """A state with a way on, in which instances are now."""

    component_name: str
    machine_name: str
    state: str
    count: int
    oldest_updated_at: EpochMs
    machine_instances: int
    """Instances of the machine in any state."""
    timeout_ms: DurationMs | None = None
    """The shortest timer that takes an instance out of the state, as the definition says."""
    entered_from: tuple[str, ...] = ()
    """Where the state has self-loops: the states that lead into it ('' for a creation). Its instances have events
    while they wait, so their wait counts from the entry. () where the last event is the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long is too long, by which rule, and the numbers behind it."""

    rule: Rule
    limit_ms: DurationMs
    normal_ms: DurationMs
    """What the wait is measured against: the timer, the 95th percentile, or the default."""
    median_ms: DurationMs | None = None
    stays: int = 0
    """Completed stays behind the numbers."""


def limits(states: Sequence[WaitingState], dwell: pd.DataFrame) -> tuple[Limit, ...]:
    """The limit of each of `states`, in their order.

    Parameters
    ----------
    states : sequence of WaitingState
    dwell : DataFrame
        As `analysis.intervals.dwell` gives it.
    """
    known = dwell[dwell["n"] >= MIN_STAYS] if len(dwell) else dwell
    columns = ("component_name", "machine_name", "state", "n", "median_ms", "p95_ms")
    stays: dict[tuple[str, str, str], tuple[int, float, float]] = {
        (component, machine, state): (int(n), float(median), float(p95))
        for component, machine, state, n, median, p95 in zip(*(known[name] for name in columns), strict=True)
    }
    slowest: dict[tuple[str, str], tuple[int, float, float]] = {}
    for (component, machine, _), numbers in stays.items():
        machine_key = (component, machine)
        if machine_key not in slowest or numbers[2] > slowest[machine_key][2]:
            slowest[machine_key] = numbers
    return tuple(
        _limit(
            state.timeout_ms,
            stays.get((state.component_name, state.machine_name, state.state)),
            slowest.get((state.component_name, state.machine_name)),
        )
        for state in states
    )


def _limit(
    timeout_ms: DurationMs | None, state: tuple[int, float, float] | None, machine: tuple[int, float, float] | None
) -> Limit:
    if timeout_ms is not None:
        return Limit(
            rule="timeout",
            limit_ms=DurationMs(timeout_ms + max(timeout_ms // 10, MINUTE)),
            normal_ms=timeout_ms,
            median_ms=DurationMs(round(state[1])) if state else None,
            stays=state[0] if state else 0,
        )
    rule: Rule = "state" if state else "machine"
    numbers = state or machine
    if numbers is None:
        return Limit(rule="default", limit_ms=DAY, normal_ms=DAY)
    stays, median, p95 = numbers
    return Limit(
        rule=rule,
        limit_ms=DurationMs(max(MINUTE, round(FACTOR * p95))),
        normal_ms=DurationMs(max(1, round(p95))),
        median_ms=DurationMs(round(median)),
        stays=stays,
    )
