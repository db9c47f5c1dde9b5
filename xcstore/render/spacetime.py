"""A space-time diagram: lanes beside one another, time or causal order downwards, an arrow for each link.

    SpaceTime(lanes=(Lane(id, label), ...), marks=(Mark(id, lane, at_ms, label), ...),
              arrows=(Arrow(source, target), ...))
    spacetime_dot(picture)         the same as DOT text, by `render.dot`
    legend_kinds(picture)          the kinds of mark and of arrow that occur

`views.spacetime` builds one from a trace, `render.spacetime_layout` places it, `render.spacetime_svg` draws it as a
file, `ui.spacetime` shows it on a page. Text in it is as stored: what draws it escapes and shortens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.dot import to_dot
from xcstore.render.labels import count_text, duration_text, moment_text, short_id
from xcstore.render.theme import EdgeKind

__all__ = [
    "ARROW_KINDS",
    "MARK_WORDS",
    "Arrow",
    "Lane",
    "Mark",
    "MarkKind",
    "Order",
    "SpaceTime",
    "legend_kinds",
    "mark_lines",
    "spacetime_dot",
    "via_text",
]

Order = Literal["time", "causal"]
MarkKind = Literal["event", "created", "timer", "run"]

MARK_WORDS: Final[dict[MarkKind, str]] = {
    "event": "event",
    "created": "instance created",
    "timer": "sent by a timer",
    "run": "several events of one instance",
}
ARROW_KINDS: Final[tuple[EdgeKind, ...]] = ("recorded", "inferred", "followed", "doubtful")
"""From the most certain to the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One column: a component, a machine or an instance."""

    id: str
    """Unique in the picture, and plain enough for an address."""
    label: str
    sublabel: str = ""
    accent: int | None = None
    """Colour of its component (`theme.accents`)."""
    count: int = 0
    """Events in it, folded ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One event, or a run of events of one instance that nothing outside it caused and that caused nothing outside."""

    id: str
    """Id of the event; of a run: of its first event."""
    lane: int
    """Index in `SpaceTime.lanes`."""
    at_ms: int
    end_ms: int | None = None
    """When the last event of a run was stored; None for a single event."""
    kind: MarkKind = "event"
    label: str
    """Event type; of a run: the first and the last one."""
    states: str = ""
    """'Created → Paid'."""
    place: str = ""
    """Component and machine."""
    instance_id: str = ""
    count: int = 1
    root: bool = False
    """The event that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A link, or several of one kind between the same two marks."""

    source: int
    """Index of the cause in `SpaceTime.marks`; -1 where it is not in the store."""
    target: int
    kind: EdgeKind = "recorded"
    via: int = 0
    """How many hidden events the shortest way between them passes; 0 for a link as it is."""
    count: int = 1
    tooltip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceTime:
    """What is drawn. `marks` are in order of time, those of one instance in the order of its stream."""

    lanes: tuple[Lane, ...] = ()
    marks: tuple[Mark, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    hidden: tuple[Lane, ...] = ()
    """Lanes that are left out."""
    order: Order = "time"
    zone: str = "UTC"
    name: str = "space-time"
    notes: tuple[str, ...] = ()
    """To be said beside the picture: what is not drawn."""
    runs: int = 0
    """Runs that could be shown as one mark; 0: collapsing them changes nothing."""


def via_text(hidden: int) -> str:
    return f"via {count_text(hidden, 'hidden event')}"


def mark_lines(mark: Mark, zone: str) -> list[str]:
    """Everything that a mark says on hover. As stored: not escaped."""
    at = moment_text(mark.at_ms, zone, millis=True)
    if mark.end_ms is not None and mark.end_ms != mark.at_ms:
        at = f"{at} to {moment_text(mark.end_ms, zone, millis=True)}, {duration_text(mark.end_ms - mark.at_ms)}"
    first = f"{count_text(mark.count, 'event')}: {mark.label}" if mark.kind == "run" else mark.label or "(no type)"
    kind = MARK_WORDS[mark.kind] if mark.kind in ("created", "timer") else ""
    notes = ", ".join(filter(None, ["this event" if mark.root else "", kind]))
    return [line for line in (first, mark.states, mark.place, f"instance {mark.instance_id}", at, notes) if line]


def legend_kinds(picture: SpaceTime) -> tuple[tuple[MarkKind, ...], tuple[EdgeKind, ...]]:
    """The kinds of mark and of arrow that occur, in the order of their tables."""
    marks = {mark.kind for mark in picture.marks}
    arrows = {arrow.kind for arrow in picture.arrows}
    return tuple(kind for kind in MARK_WORDS if kind in marks), tuple(kind for kind in ARROW_KINDS if kind in arrows)


def spacetime_dot(picture: SpaceTime) -> str:
    """The picture as DOT, one box around each lane. Same picture, same text."""
    names = [f"{lane.label} · {lane.sublabel}" if lane.sublabel else lane.label for lane in picture.lanes]
    nodes = [
        Node(
            id=mark.id,
            label=mark.label,
            kind="event",
            sublabel=mark.states,
            count=mark.count if mark.kind == "run" else None,
            tooltip="\n".join(mark_lines(mark, picture.zone)),
            current=mark.root,
            group=names[mark.lane],
        )
        for mark in picture.marks
    ]
    edges: list[Edge] = []
    for number, arrow in enumerate(picture.arrows):
        source = picture.marks[arrow.source].id if arrow.source >= 0 else f"missing {number}"
        if arrow.source < 0:
            missing = short_id(arrow.tooltip[0]) if arrow.tooltip else "unknown"
            nodes.append(Node(id=source, label=missing, kind="unknown", sublabel="not in this store"))
        label = via_text(arrow.via) if arrow.via else ""
        count = arrow.count if arrow.count > 1 else None
        edges.append(
            Edge(
                source=source, target=picture.marks[arrow.target].id, label=label, kind=arrow.kind, count=count,
                tooltip="\n".join(arrow.tooltip),
            )
        )  # fmt: skip
    return to_dot(Diagram(nodes=tuple(nodes), edges=tuple(edges), name=picture.name, direction="TB"), "TB")
