"""The pictures of a comparison: each side over time, and two traces laid over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from xcstore.analysis.causality import Standing
from xcstore.analysis.comparing import Comparison, Row, Step
from xcstore.analysis.intervals import state_history
from xcstore.render.diagram import LAYOUT_LIMIT, Diagram, Edge, Node
from xcstore.render.labels import duration_text, short_id
from xcstore.render.timeline import Interval, Link, Point, Timeline
from xcstore.views.compare import MARKS, change_text
from xcstore.views.machines import state_kind

if TYPE_CHECKING:
    from xcstore.model.definition import StateMachine
    from xcstore.model.history import PersistedEvent
    from xcstore.units import EpochMs

__all__ = ["diagram", "instance_timeline", "trace_timeline"]

MAX_STAYS: Final = 400
"""Stays in a timeline, the first ones: more cannot be told apart."""
MAX_LANES: Final = 12
"""Instances of a trace that have a lane of their own: those that come first."""

_WEAKEST: Final[tuple[Standing, ...]] = ("doubtful", "followed", "inferred", "recorded")


def instance_timeline(
    events: Sequence[PersistedEvent], machine: StateMachine | None, *, name: str, now: EpochMs | None
) -> Timeline:
    """The states of one instance, in one lane. `now`: up to where its last stay is drawn, if it goes on."""
    stays = state_history(events).intervals
    shown = stays[:MAX_STAYS]
    end = shown[-1].left_at if len(stays) > len(shown) else None
    intervals = [
        Interval(
            lane=name,
            state=stay.state,
            start_ms=stay.entered_at,
            # What is open at the end is drawn on only where the instance is known to go on.
            end_ms=stay.left_at if stay.end == "left" else None if stay.end == "open" and now else stay.last_seen_at,
            kind=state_kind(machine, stay.state),
            id=stay.entered_by,
        )
        for stay in shown
    ]
    points = [
        Point(id=event.id, label=event.event_type, at_ms=event.persisted_at, tooltip=change_text(event))
        for event in events
        if end is None or event.persisted_at <= end
    ]
    return Timeline(
        lanes=(name,),
        intervals=tuple(intervals),
        points=tuple(points),
        now_ms=now if end is None else None,
        name=name,
    )


def trace_timeline(found: Comparison, side: str, *, name: str) -> Timeline:
    """The steps of one side of two traces, a lane for each instance, with the links that were followed."""
    steps = [step for row in found.rows if (step := row.left if side == "left" else row.right) is not None]
    steps.sort(key=lambda step: (step.offset_ms, step.depth))
    lanes: dict[str, str] = {}
    for step in steps:
        event = step.event
        own = f"{event.machine_name} {short_id(event.instance_id)}"
        lanes.setdefault(event.instance_id, own if len(lanes) < MAX_LANES else "other instances")
    points = [
        Point(
            id=step.event.id,
            label=step.event.event_type,
            at_ms=step.event.persisted_at,
            lane=lanes[step.event.instance_id],
            tooltip=change_text(step.event),
        )
        for step in steps
    ]
    links = [
        Link(
            source=step.link.cause_id,
            target=step.event.id,
            kind=step.link.standing,
        )
        for step in steps
        if step.link is not None
    ]
    return Timeline(lanes=tuple(dict.fromkeys(lanes.values())), points=tuple(points), links=tuple(links), name=name)


def diagram(found: Comparison, *, name: str) -> Diagram | None:
    """Two traces laid over each other, one node a row; None where they are too many to draw."""
    if len(found.rows) > LAYOUT_LIMIT:
        return None
    nodes = []
    edges = []
    for number, row in enumerate(found.rows):
        steps = [step for step in (row.left, row.right) if step is not None]
        event = steps[0].event
        kinds = dict.fromkeys(step.event.event_type for step in steps)
        changes = dict.fromkeys(change_text(step.event) for step in steps)
        mark = MARKS[row.kind]
        nodes.append(
            Node(
                id=str(number),
                label=f"{mark.sign} {' | '.join(kinds)}",
                kind="event",
                sublabel=" | ".join(changes),
                tooltip="\n".join(
                    [mark.word, *(f"{_side(row, step)}: {_long(step)}" for step in steps)]
                    + (["the other side has such a step elsewhere"] if row.elsewhere else [])
                ),
                group=" · ".join(filter(None, (event.component_name, event.machine_name))),
                accent=mark.accent,
                accent_name=mark.text,
            )
        )
        if row.parent is not None:
            links = [step.link for step in steps if step.link is not None]
            standings = {link.standing for link in links}
            edges.append(
                Edge(
                    source=str(row.parent),
                    target=str(number),
                    label=" | ".join(duration_text(step.after_ms) for step in steps),
                    # Of two links that are one arrow, the one that says less.
                    kind=next((name for name in _WEAKEST if name in standings), "recorded"),
                )
            )
    return Diagram(nodes=tuple(nodes), edges=tuple(edges), name=name, direction="LR")


def _side(row: Row, step: Step) -> str:
    return "left" if step is row.left else "right"


def _long(step: Step) -> str:
    event = step.event
    return (
        f"{event.event_type}: {event.state_before or '(new)'} → {event.state_after}, "
        f"{duration_text(step.after_ms)} after its cause, instance {event.instance_id}"
    )
