"""What is wrong inside streams: states that do not chain, instances that are there twice, states nobody declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xcstore.analysis.integrity_columns import History, Hit, Ints
from xcstore.model.definition import StateMachine
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.units import EpochMs

__all__ = ["FindMachine", "Streams", "unknown_states", "without_snapshot"]

FindMachine = Callable[[str, str, str], StateMachine | None]
"""(definition hash or '', component, machine) -> its definition, where one is known."""


class Streams:
    """All streams of a history, in stream order.

    Parameters
    ----------
    history : History
        Finished.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.order: Ints = np.argsort(history.instance, kind="stable").astype(np.int64)
        """Positions, instance by instance."""
        owners = history.instance[self.order]
        self.starts: Ints = np.flatnonzero(np.diff(owners, prepend=-1)).astype(np.int64)
        """Where in `order` each instance begins."""
        self._ends: Ints = np.append(self.starts[1:], len(self.order))
        self._chain_ties()
        self.breaks = self._breaks()
        """Places in `order` of events that do not start where the event before ended; second creations are none."""

    @property
    def late(self) -> int:
        """Instances whose history does not begin with a creation: it starts late, or nothing told of it."""
        return int(np.count_nonzero(~self._history.creation[self.order[self.starts]])) if len(self.order) else 0

    def last(self) -> Ints:
        """The position of the last event of each instance."""
        return self.order[self._ends - 1] if len(self.order) else self.order

    def chain_breaks(self, limit: int) -> Iterator[Hit]:
        """The first `limit` breaks: the event, the one before it, and where there is one the last earlier event that
        ended in the state it starts from."""
        history = self._history
        for place in self.breaks[:limit].tolist():
            event, before = int(self.order[place]), int(self.order[place - 1])
            begin = int(self.starts[np.searchsorted(self.starts, place, "right") - 1])
            earlier = self.order[begin : place - 1]
            same = np.flatnonzero(history.after[earlier] == history.before[event])
            if not len(same):
                yield Hit(kind="chain_break", at=(event, before), case="unreached")
                continue
            origin = int(earlier[same[-1]])
            again = int(self.order[begin + same[-1] + 1])
            went = history.after[again] == history.after[event]
            facts = {"undone": place - 1 - begin - int(same[-1])}
            yield Hit(kind="chain_break", at=(event, before, origin), case="again" if went else "back", facts=facts)

    def duplicates(self) -> Iterator[Hit]:
        """Instances that are there twice."""
        yield from self._second_creations()
        yield from self._second_homes()
        yield from self._second_runtimes()

    def _breaks(self) -> Ints:
        history, order = self._history, self.order
        if len(order) < 2:
            return np.empty(0, np.int64)
        owners = history.instance[order]
        broken = (owners[1:] == owners[:-1]) & (history.after[order[:-1]] != history.before[order[1:]])
        return np.flatnonzero(broken & ~history.creation[order[1:]]).astype(np.int64) + 1

    def _chain_ties(self) -> None:
        """Events of one moment are in page order so far; lay them end to end where that breaks."""
        history, order = self._history, self.order
        broken = self._breaks()
        if not len(broken):
            return
        tied = np.zeros(len(order), np.int64)
        """How many events up to this place are of the moment of the one before, in their instance."""
        tied[1:] = np.cumsum(
            (history.instance[order[1:]] == history.instance[order[:-1]])
            & (history.at[order[1:]] == history.at[order[:-1]])
        )
        for group in np.unique(np.searchsorted(self.starts, broken, "right") - 1).tolist():
            begin, end = int(self.starts[group]), int(self._ends[group])
            if tied[end - 1] == tied[begin]:
                continue
            events = [_bare(history, position) for position in order[begin:end].tolist()]
            self.order[begin:end] = [int(event.id) for event in order_stream(events)]

    def _second_creations(self) -> Iterator[Hit]:
        history = self._history
        made = self.order[history.creation[self.order]]
        again = np.flatnonzero(np.diff(history.instance[made]) == 0) + 1
        first: dict[int, Hit] = {}
        for place in again.tolist():
            one = int(made[place])
            first.setdefault(
                int(history.instance[one]),
                Hit(kind="duplicate_instance", at=(one, int(made[place - 1])), case="created"),
            )
        yield from first.values()

    def _second_homes(self) -> Iterator[Hit]:
        history, order = self._history, self.order
        if not len(order):
            return
        group = np.cumsum(np.isin(np.arange(len(order)), self.starts)) - 1
        places = np.arange(len(order))
        other = np.full(len(order), -1, np.int64)
        for names in (history.machine[order], history.component[order]):
            # A name that is not recorded speaks against nothing.
            named = ~np.isin(names, [history.words.code(""), history.words.code(None)])
            first = np.minimum.reduceat(np.where(named, places, len(order) - 1), self.starts)[group]
            differs = named & (names != names[first]) & (other < 0)
            other[differs] = first[differs]
        unlike = other >= 0
        places = np.flatnonzero(unlike)
        groups, at = np.unique(group[places], return_index=True)
        for number, place in zip(groups.tolist(), places[at].tolist(), strict=True):
            yield Hit(
                kind="duplicate_instance",
                at=(int(order[place]), int(order[other[place]])),
                case="homes",
                facts={"events": int(np.count_nonzero(unlike[self.starts[number] : self._ends[number]]))},
            )

    def _second_runtimes(self) -> Iterator[Hit]:
        """Two lines of states that are mixed, and both go on: each is left and taken up again where it was left,
        though the other never came by there.

        That a line is taken up once says little: where two events are lost, the states may meet by chance.
        """
        history, order = self._history, self.order
        before, after, breaks = history.before[order], history.after[order], self.breaks
        groups = np.searchsorted(self.starts, breaks, "right") - 1
        resumed = np.flatnonzero(before[breaks[1:]] == after[breaks[:-1] - 1]) + 1
        told = set()
        for number in resumed[np.isin(resumed + 1, resumed)].tolist():
            group = int(groups[number])
            one, two, three = (int(place) for place in breaks[number - 1 : number + 2])
            if group in told or groups[number - 1] != group or groups[number + 1] != group:
                continue
            # The second runtime took the instance up in a state that it had been in.
            begun = before[one] in after[self.starts[group] : one]
            if begun and before[two] not in after[one:two] and before[three] not in after[two:three]:
                told.add(group)
                at = tuple(int(order[place]) for place in (two, one - 1, three, two - 1))
                yield Hit(kind="duplicate_instance", at=at, case="runtimes", severity="warning")


def unknown_states(history: History, find_machine: FindMachine) -> tuple[list[Hit], int]:
    """One hit for each state that its machine does not have, and how many events have no definition to look in.

    The case of a hit is 'before' or 'after': where in its first event the state stands.
    """
    size = len(history.words.names)
    if not history.size:
        return [], 0
    _, home = np.unique(history.component.astype(np.int64) * size + history.machine, return_inverse=True)
    home = home.astype(np.int64) * max(1, len(history.definitions.names)) + history.definition
    unchecked = 0
    hits: dict[tuple[int, int, int], Hit] = {}
    for case, states in (("after", history.after), ("before", history.before)):
        # What stands before the first event of an instance is no state.
        rows = np.flatnonzero((states != history.words.code("")) | (case == "after"))
        found, at, counts = np.unique(home[rows] * size + states[rows], return_index=True, return_counts=True)
        for key, place, count in zip(found.tolist(), rows[at].tolist(), counts.tolist(), strict=True):
            component, machine, state = int(history.component[place]), int(history.machine[place]), key % size
            definition = history.definitions.names[int(history.definition[place])] or ""
            known = find_machine(definition, history.word(component), history.word(machine))
            if known is None:
                unchecked += count if case == "after" else 0
            elif known.find_state(history.word(state)) is None:
                hit = hits.get((component, machine, state)) or Hit(
                    kind="unknown_state", at=(place,), case=case, facts={"events": 0}
                )
                hits[component, machine, state] = replace(hit, facts={"events": hit.facts["events"] + count})
    return list(hits.values()), unchecked


def without_snapshot(
    history: History, streams: Streams, having: npt.NDArray[np.bool_], find_machine: FindMachine
) -> list[Hit]:
    """Ended instances that have no snapshot, where at least half of the ended ones of their machine have."""
    ended: dict[tuple[int, int], list[int]] = {}
    known: dict[tuple[int, int, int, int], bool] = {}
    for position in streams.last().tolist():
        place = (
            int(history.definition[position]),
            int(history.component[position]),
            int(history.machine[position]),
            int(history.after[position]),
        )
        if place not in known:
            machine = find_machine(
                history.definitions.names[place[0]] or "", history.word(place[1]), history.word(place[2])
            )
            state = machine.find_state(history.word(place[3])) if machine is not None else None
            known[place] = state is not None and state.is_terminal
        if known[place]:
            ended.setdefault(place[1:3], []).append(position)
    hits = []
    for positions in ended.values():
        without = [position for position in positions if not having[history.instance[position]]]
        if 2 * len(without) <= len(positions):
            hits += [Hit(kind="snapshot_missing", at=(position,)) for position in without]
    return hits


def _bare(history: History, position: int) -> PersistedEvent:
    """As much of an event as its place in the stream depends on."""
    return PersistedEvent(
        id=str(position),
        instance_id="",
        machine_name="",
        event_type="",
        state_before=history.word(int(history.before[position])),
        state_after=history.word(int(history.after[position])),
        persisted_at=EpochMs(int(history.at[position])),
        seq=position,
    )
