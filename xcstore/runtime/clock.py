"""Time for the runtime: real, or simulated so that thirty days pass in a second."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import Protocol

from xcstore.units import DurationMs, EpochMs

__all__ = ["Clock", "Latest", "SimulatedClock", "SystemClock", "Timer"]


class Timer:
    """Something that will be called at `due`, unless it is cancelled first."""

    __slots__ = ("_schedule", "callback", "due")

    def __init__(self, due: EpochMs, callback: Callable[[], None], schedule: _Schedule) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback
        self._schedule = schedule

    def cancel(self) -> None:
        """Cancelling twice, or after it fired, does nothing."""
        if self.callback is not None:
            self.callback = None
            self._schedule.note_cancelled()


class Latest:
    """The latest moment that events were stored at by those who share a clock. Theirs never go back before it."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = EpochMs(0)


class Clock(Protocol):
    """What the runtime needs to know about time."""

    def now(self) -> EpochMs: ...

    def call_at(self, moment: EpochMs, callback: Callable[[], None]) -> Timer:
        """Call back at `moment`, or as soon as possible after it. Nothing is called before this returns."""
        ...


class _Schedule:
    """Timers by due time; at equal times in the order in which they were asked for."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._sequence = 0
        self._cancelled = 0

    def add(self, moment: EpochMs, callback: Callable[[], None]) -> Timer:
        timer = Timer(moment, callback, self)
        self._sequence += 1
        heapq.heappush(self._heap, (moment, self._sequence, timer))
        return timer

    def note_cancelled(self) -> None:
        self._cancelled += 1
        # A machine that restarts a long timer with every event would otherwise fill the heap with dead ones.
        if self._cancelled > 1_000 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next_due(self) -> EpochMs | None:
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
            self._cancelled = max(0, self._cancelled - 1)
        return EpochMs(self._heap[0][0]) if self._heap else None

    def pop(self) -> Callable[[], None]:
        timer = heapq.heappop(self._heap)[2]
        callback = timer.callback
        assert callback is not None  # next_due() has removed cancelled ones
        timer.callback = None
        return callback


class SimulatedClock:
    """A clock that stands still until it is told to go on.

    Examples
    --------
    >>> clock = SimulatedClock(EpochMs(1_000))
    >>> timer = clock.call_at(EpochMs(1_500), lambda: print("due at", clock.now()))
    >>> clock.advance(DurationMs(800))
    due at 1500
    1
    >>> clock.now()
    1800
    """

    def __init__(self, start: EpochMs) -> None:
        self._now = start
        self._schedule = _Schedule()

    def now(self) -> EpochMs:
        return self._now

    def call_at(self, moment: EpochMs, callback: Callable[[], None]) -> Timer:
        return self._schedule.add(moment, callback)

    def advance(self, duration: DurationMs) -> int:
        """Let time pass; see `advance_to`."""
        return self.advance_to(EpochMs(self._now + duration))

    def advance_to(self, moment: EpochMs, *, inclusive: bool = True) -> int:
        """Let time pass until `moment`, calling what falls due in order of expiry; returns how many were called.

        While a timer is called, `now()` is the time at which it was due; timers that it starts are called too
        if they fall due by `moment`. With `inclusive` False, what falls due at `moment` itself still waits.

        Raises
        ------
        ValueError
            `moment` lies in the past of this clock.
        """
        if moment < self._now:
            raise ValueError(f"a clock does not go backwards: it is {self._now}, and was told to go to {moment}")
        fired = 0
        while (due := self._schedule.next_due()) is not None and (due < moment or (inclusive and due == moment)):
            self._now = max(self._now, due)
            fired += 1
            self._schedule.pop()()
        self._now = moment
        return fired

    def next_due(self) -> EpochMs | None:
        """When the next timer falls due; None where none runs."""
        return self._schedule.next_due()


class SystemClock:
    """The machine's clock. Timers are called by `run_due` or `run_for`, in the thread that calls these.

    No thread of its own: a runtime is used by one thread at a time, and a timer must not interrupt it.
    """

    def __init__(self) -> None:
        self._schedule = _Schedule()

    def now(self) -> EpochMs:
        return time.time_ns() // 1_000_000  # type: ignore[return-value]  # calling EpochMs takes as long as asking

    def call_at(self, moment: EpochMs, callback: Callable[[], None]) -> Timer:
        return self._schedule.add(moment, callback)

    def run_due(self) -> int:
        """Call what is due now, in order of expiry; returns how many were called."""
        fired = 0
        while (due := self._schedule.next_due()) is not None and due <= self.now():
            fired += 1
            self._schedule.pop()()
        return fired

    def run_for(self, duration: DurationMs) -> int:
        """Sleep and call timers for `duration`; returns how many were called."""
        end = self.now() + duration
        fired = self.run_due()
        while (left := end - self.now()) > 0:
            due = self._schedule.next_due()
            pause = left if due is None else min(left, max(0, due - self.now()))
            time.sleep(pause / 1_000)
            fired += self.run_due()
        return fired
