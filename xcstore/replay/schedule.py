"""When the inputs of a run are sent."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from xcstore.replay.recording import Input
from xcstore.units import EpochMs

__all__ = ["Due", "Schedule"]


class Due(NamedTuple):
    """An input whose turn it is."""

    at: EpochMs
    order: float
    number: int
    input: Input


class Schedule:
    """Inputs by time. What answers an event comes earlier or later with it; what code sends waits for its event.

    Parameters
    ----------
    inputs : sequence of Input
    with_causes : bool
        Whether the events that they answer can be told in the run; else all are sent at their times.
    """

    def __init__(self, inputs: Sequence[Input], *, with_causes: bool) -> None:
        self._heap: list[Due] = []
        self._when: dict[int, EpochMs] = {}
        """When each is to be sent; entries of the heap with another time count no more."""
        self._answers: defaultdict[str, list[tuple[int, Input]]] = defaultdict(list)
        self._code: defaultdict[str, list[Input]] = defaultdict(list)
        self._added = 0
        for number, one in enumerate(inputs):
            if one.kind == "code" and one.cause is not None and with_causes:
                self._code[one.cause].append(one)
                continue
            self._push(number, one, one.at)
            if one.cause is not None and one.kind == "outside":
                self._answers[one.cause].append((number, one))

    def next(self) -> Due | None:
        """The earliest; it stays to be sent until `take`."""
        while self._heap:
            due = heapq.heappop(self._heap)
            if self._when.get(due.number) == due.at:
                return due
        return None

    def take(self, due: Due) -> bool:
        """Whether it is still its turn: what happened since may have put it off."""
        if self._when[due.number] != due.at:
            return False
        del self._when[due.number]
        return True

    def add(self, one: Input, at: EpochMs) -> None:
        """One more."""
        self._added += 1
        self._push(-self._added, one, at)

    def take_code(self, event_id: str) -> list[Input]:
        """What code sent at a recorded event, which now happens."""
        return self._code.pop(event_id, [])

    def shift_answers(self, event_id: str, by: int, *, earliest: EpochMs) -> None:
        """A recorded event happens at another time, and so does what answers it."""
        for number, one in self._answers.get(event_id, ()):
            if number in self._when:
                self._push(number, one, EpochMs(max(one.at + by, earliest)))

    @property
    def unsent(self) -> tuple[Input, ...]:
        """What code would have sent at events that did not happen."""
        return tuple(one for some in self._code.values() for one in some)

    def _push(self, number: int, one: Input, at: EpochMs) -> None:
        self._when[number] = at
        heapq.heappush(self._heap, Due(at, one.order, number, one))
