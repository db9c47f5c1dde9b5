"""One instance of a fork beside what was recorded of it: over time, and as the way through its states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xcstore.analysis.lifecycle import observed_machine
from xcstore.render.timeline import Timeline
from xcstore.views.compare_pictures import instance_timeline
from xcstore.views.machines import state_diagram

if TYPE_CHECKING:
    from xcstore.model.definition import StateMachine
    from xcstore.model.history import PersistedEvent
    from xcstore.render.diagram import Diagram
    from xcstore.replay.forks import ForkInstance, ForkResult
    from xcstore.replay.track import Track
    from xcstore.units import EpochMs

__all__ = ["RECORDED", "both_over_time", "in_fork", "recorded", "way"]

RECORDED: Final = "recorded"
FORK: Final = "in the fork"


def recorded(track: Track, item: ForkInstance) -> list[PersistedEvent]:
    """What is stored of the instance."""
    return [event for event in track.events if event.instance_id == item.recorded_id]


def in_fork(track: Track, item: ForkInstance, result: ForkResult, at: int) -> list[PersistedEvent]:
    """The instance in the fork: as recorded up to step `at`, then as it was run."""
    until = track.steps[at - 1] + 1 if at else 0
    kept = [event for event in track.events[:until] if event.instance_id == item.recorded_id]
    run = [step.forked for step in result.steps if step.forked is not None]
    seen = {event.id for event in kept}
    own = {item.recorded_id, item.forked_id} - {None}
    return [*kept, *(event for event in run if event.instance_id in own and event.id not in seen)]


def both_over_time(
    left: Sequence[PersistedEvent],
    right: Sequence[PersistedEvent],
    before: StateMachine | None,
    after: StateMachine | None,
    *,
    ended: tuple[bool, bool],
    now: tuple[EpochMs, EpochMs],
) -> Timeline:
    """Both in a lane each, on one axis of time."""
    lanes = []
    for name, events, machine, over, until in (
        (RECORDED, left, before, ended[0], now[0]),
        (FORK, right, after, ended[1], now[1]),
    ):
        if events:
            lane = instance_timeline(
                events, machine, name=name, now=None if over else max(until, events[-1].persisted_at)
            )
            stays = lane.intervals
            if stays and not over:
                # Each side is known up to a time of its own.
                stays = (*stays[:-1], replace(stays[-1], end_ms=stays[-1].end_ms or lane.now_ms))
            lanes.append((lane, stays, tuple(replace(point, lane=name) for point in lane.points)))
    return Timeline(
        lanes=tuple(name for lane, _, _ in lanes for name in lane.lanes),
        intervals=tuple(stay for _, stays, _ in lanes for stay in stays),
        points=tuple(point for _, _, points in lanes for point in points),
        name="recorded and in the fork",
    )


def way(events: Sequence[PersistedEvent], machine: StateMachine | None, *, name: str) -> Diagram:
    """The states of the machine, with the way that these events took."""
    taken = Counter((event.state_before, event.event_type, event.state_after) for event in events)
    visits = Counter(event.state_after for event in events if event.state_before != event.state_after)
    for event in events[:1]:
        visits[event.state_after] += event.state_before == event.state_after
    observed = observed_machine(taken.items())
    return state_diagram(
        machine,
        observed,
        name=name,
        counts={},
        visits=dict(visits),
        taken={(item.source, item.event, item.target): item.count for item in observed.transitions},
        current=events[-1].state_after if events else None,
    )
