"""Steps through a track, forwards and backwards. Writes nothing, carries out no effect, reads no store."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from xcstore.analysis.context import Change, diff
from xcstore.errors import NotFoundError, QueryError
from xcstore.model.history import Instance, PersistedEvent
from xcstore.replay.asof import AsOf
from xcstore.replay.breakpoints import Breakpoint
from xcstore.replay.playing import ORIGINAL, Speed
from xcstore.replay.track import Track
from xcstore.runtime.folding import Folded
from xcstore.runtime.interpreter import properties_of
from xcstore.units import DurationMs, EpochMs

__all__ = ["Moment", "ReplayController"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The instances of a track as of one step."""

    position: int
    """0: before the first step."""
    event: PersistedEvent | None = None
    at: EpochMs | None = None
    """When the step was stored; at 0 the last event that was folded before, if there is one."""
    instances: Mapping[str, Instance] = field(default_factory=dict, hash=False)
    """Every instance involved that exists then, in the order in which they appear. A view: each is folded when it is
    looked at."""
    before: Instance | None = None
    after: Instance | None = None
    """The instance of the event, before and after it."""
    changes: tuple[Change, ...] = ()
    """What the event changed in its values: the public member where there is one, else the context."""
    silent: int = 0
    """Events folded since the step before that are no steps."""
    is_known: bool = True
    """Whether all that the instance of the event holds is known; if not, values from before the track are missing."""
    notes: tuple[str, ...] = ()
    """What was odd about this step, in words. May hold stored text: escape it."""


class ReplayController:
    """A track, and where one stands in it: at step `position`, counted from 1; 0 is before the first.

    Examples
    --------
    >>> from xcstore.replay.track import RangeScope, open_track
    >>> from xcstore.store.memory import open_memory_stores
    >>> controller = ReplayController(open_track(open_memory_stores(), RangeScope(start=EpochMs(0), end=EpochMs(10))))
    >>> controller.step().position, controller.length
    (0, 0)
    """

    def __init__(self, track: Track) -> None:
        self.track = track
        self.as_of = AsOf(track)
        """For other questions: `as_of.folded(instance_id, controller.until(position))`, with the timers that run."""
        self.breakpoints: list[Breakpoint] = []
        self._position = 0
        self._times = [track.events[index].persisted_at for index in track.steps]

    @property
    def length(self) -> int:
        """How many steps there are."""
        return self.track.length

    @property
    def position(self) -> int:
        return self._position

    def seek(self, position: int | None = None, *, time: EpochMs | None = None, event_id: str | None = None) -> Moment:
        """Go to a step, to what was stored up to a time (the last step of that moment), or to an event.

        Raises
        ------
        QueryError
            None of these or several are given; there is no such position; the time lies after what was read of a track
            that was cut.
        NotFoundError
            The event is no step of the track.
        """
        if sum(given is not None for given in (position, time, event_id)) != 1:
            raise QueryError("give one of position, time and event_id")
        if time is not None:
            if self.track.truncated and self._times and time > self._times[-1]:
                raise QueryError(
                    f"the track was cut after {self.length:,} steps, at {self._times[-1]}; what was stored up to {time}"
                    " is not all in it"
                )
            position = bisect_right(self._times, time)
        elif event_id is not None:
            position = self.track.position_of(event_id)
            if position is None:
                raise NotFoundError(f"event {event_id!r} is no step of this track")
        assert position is not None  # one of the three was given
        self._check(position)
        self._position = position
        return self._at(position)

    def step(self) -> Moment:
        """One step forward; at the end it stays."""
        return self.seek(min(self._position + 1, self.length))

    def back(self) -> Moment:
        """One step back; before the first it stays."""
        return self.seek(max(self._position - 1, 0))

    def moment(self) -> Moment:
        """Where one stands."""
        return self._at(self._position)

    def moments(self, start: int, stop: int) -> Sequence[Moment]:
        """The moments of positions `start` to before `stop`, as far as there are such; goes nowhere."""
        return [self._at(position) for position in range(max(start, 0), min(stop, self.length + 1))]

    def until(self, position: int) -> int:
        """How many events of the track are folded at a position."""
        self._check(position)
        if position:
            return self.track.steps[position - 1] + 1
        return self.track.steps[0] if self.length else 0

    def states(self, position: int) -> Mapping[str, Folded]:
        """The instances at a position with what a runtime needs to go on: timers, last event. Goes nowhere."""
        return self.as_of.states(self.until(position))

    def next_break(self, after: int | None = None, *, backwards: bool = False) -> tuple[int, Breakpoint] | None:
        """The nearest step behind `after` (where one stands) that a breakpoint holds for, and which; None: no more."""
        at = self._position if after is None else after
        self._check(at)
        for position in range(at - 1, 0, -1) if backwards else range(at + 1, self.length + 1):
            if found := self._broken(position):
                return position, found
        return None

    def play(self, speed: Speed = ORIGINAL, *, until: int | None = None) -> Iterator[tuple[DurationMs, Moment]]:
        """Step on, each time with how long to wait before the moment is shown. Never waits itself.

        Ends after `until`, after a step that a breakpoint holds for, and at the end of the track.
        """
        last = self.length if until is None else until
        self._check(last)
        while self._position < last:
            wait = DurationMs(0)
            if self._position:
                wait = speed.wait(DurationMs(self._times[self._position] - self._times[self._position - 1]))
            moment = self.step()
            yield wait, moment
            if self._broken(moment.position):
                return

    def _broken(self, position: int) -> Breakpoint | None:
        event = self.track.step(position)
        return next((point for point in self.breakpoints if point.holds(position, event)), None)

    def _check(self, position: int) -> None:
        if not 0 <= position <= self.length:
            raise QueryError(f"there is no step {position}; the track has {self.length:,}, and 0 is before the first")

    def _at(self, position: int) -> Moment:
        until = self.until(position)
        instances = self.as_of.instances(until)
        if not position:
            at = self.track.events[until - 1].persisted_at if until else None
            return Moment(position=0, at=at, instances=instances, silent=until)
        index = until - 1
        event = self.track.events[index]
        before, after = self.as_of.step(index)
        return Moment(
            position=position,
            event=event,
            at=event.persisted_at,
            instances=instances,
            before=None if before is None else before.instance,
            after=after.instance,
            changes=diff({} if before is None else properties_of(before.instance), properties_of(after.instance)),
            silent=index - self.until(position - 1),
            is_known=self.as_of.is_known(index),
            notes=tuple(after.notes),
        )
