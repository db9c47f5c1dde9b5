"""The order of a stream (DESIGN, decision 1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby

from xcstore.model.history import PersistedEvent

__all__ = ["order_stream"]


def order_stream(events: Iterable[PersistedEvent]) -> list[PersistedEvent]:
    """Events of one instance in stream order: by time, then so that states chain, then `seq`, then id bytes.

    Events of one moment are laid end to end: each starts in the state where the one before it ended. Where the
    order by (`seq`, id) does so already, it is kept. Where no order does, as many as possible are chained and
    the rest follow by (`seq`, id).

    Notes
    -----
    Laying edges end to end is an Eulerian trail; found by Hierholzer's algorithm, in linear time.
    """
    ordered: list[PersistedEvent] = []
    by_key = sorted(events, key=_key)
    for _, moment in groupby(by_key, key=lambda event: event.persisted_at):
        tied = list(moment)
        if len(tied) > 1:
            state = ordered[-1].state_after if ordered else ""
            tied = tied if _chains(state, tied) else _parallel_by_key(_trail(state, tied), tied)
        ordered += tied
    return ordered


def _key(event: PersistedEvent) -> tuple[int, int, bytes]:
    # Events without a seq (a foreign writer joined) come after those with one, at equal times.
    seq = event.seq if event.seq is not None else 2**63
    return event.persisted_at, seq, event.id.encode("utf-8", "surrogatepass")


def _chains(state: str, events: list[PersistedEvent]) -> bool:
    for event in events:
        if event.state_before != state:
            return False
        state = event.state_after
    return True


def _trail(state: str, events: list[PersistedEvent]) -> list[PersistedEvent]:
    """Chain `events` (sorted by key) from `state`; start again, where it must, at the best place left."""
    ordered: list[PersistedEvent] = []
    left = events
    while left:
        leaving: dict[str, list[PersistedEvent]] = defaultdict(list)
        for event in reversed(left):  # pop() then takes the smallest key first
            leaving[event.state_before].append(event)
        start = state if leaving.get(state) else _source(left)
        chain = _hierholzer(start, leaving)
        ordered += chain
        taken = {event.id for event in chain}
        left = [event for event in left if event.id not in taken]
        state = ordered[-1].state_after
    return ordered


def _parallel_by_key(chained: list[PersistedEvent], by_key: list[PersistedEvent]) -> list[PersistedEvent]:
    """The same chains; events that lead from and to the same states can stand for each other, and come by key."""
    waiting: dict[tuple[str, str], list[PersistedEvent]] = defaultdict(list)
    for event in reversed(by_key):
        waiting[event.state_before, event.state_after].append(event)
    return [waiting[event.state_before, event.state_after].pop() for event in chained]


def _source(events: list[PersistedEvent]) -> str:
    """The state to start from: the first that is left more often than entered, else that of the first event."""
    balance: dict[str, int] = defaultdict(int)
    for event in events:
        balance[event.state_before] += 1
        balance[event.state_after] -= 1
    return next((event.state_before for event in events if balance[event.state_before] > 0), events[0].state_before)


def _hierholzer(start: str, leaving: dict[str, list[PersistedEvent]]) -> list[PersistedEvent]:
    path: list[PersistedEvent | None] = [None]
    trail: list[PersistedEvent] = []
    state = start
    while path:
        if leaving.get(state):
            event = leaving[state].pop()
            path.append(event)
            state = event.state_after
        else:
            last = path.pop()
            if last is not None:
                trail.append(last)
                state = last.state_before
    trail.reverse()
    # With an unbalanced graph the joined circuits may not meet; keep the part that chains.
    for position in range(1, len(trail)):
        if trail[position].state_before != trail[position - 1].state_after:
            return trail[:position]
    return trail
