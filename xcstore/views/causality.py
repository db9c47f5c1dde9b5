"""The causes and effects of one event, as a picture and as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from xcstore.analysis.causality import CausalGraph, Link
from xcstore.queries.causality import records_true_causes
from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.labels import count_text, duration_text, moment_text, short_id, visible_text
from xcstore.render.theme import PROVENANCES, accents, find_look

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.history import PersistedEvent
    from xcstore.queries.causality import Neighbourhood

__all__ = ["CausalityView", "Grouping", "build"]

Row = dict[str, object]
Grouping = Literal["component", "machine", "instance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalityView:
    """Everything the page shows of one trace."""

    root: PersistedEvent
    heading: str
    summary: str
    shown: str
    """Said when the trace was cut, else ''."""
    diagram: Diagram
    events: tuple[Row, ...] = field(hash=False)
    event_ids: tuple[str, ...]
    """Event of each row of `events`."""
    links: tuple[Row, ...] = field(hash=False)
    link_events: tuple[str, ...]
    """Effect of each row of `links`."""
    warnings: tuple[str, ...] = ()
    doubtful: int = 0
    true_causes: bool = False
    """Whether a runtime wrote all these events that is known to record true causes."""


def build(
    found: Neighbourhood, *, zone: tzinfo, group_by: Grouping = "machine", components: Sequence[str] = ()
) -> CausalityView:
    """The view of one event and its surroundings. `components`: all of the store, for colours."""
    graph, depths, root = found.graph, found.depths, found.root
    events = sorted(graph.events.values(), key=lambda event: (depths.get(event.id, 0), event.persisted_at, event.id))
    causes = sum(depth < 0 for depth in depths.values()) - sum(depths.get(name, 0) < 0 for name in graph.missing)
    effects = sum(depth > 0 for depth in depths.values())
    doubtful = sum(bool(link.doubts) for link in graph.links)
    return CausalityView(
        root=root,
        heading=f"{root.event_type}: {root.state_before or '(new)'} → {root.state_after}",
        summary=_summary(graph, causes, effects),
        shown=_shown(found),
        diagram=_diagram(graph, root, depths, zone=zone, group_by=group_by, components=components),
        events=tuple(_event_row(event, graph, depths, zone=zone) for event in events),
        event_ids=tuple(event.id for event in events),
        links=tuple(_link_row(link, graph) for link in graph.links),
        link_events=tuple(link.effect_id for link in graph.links),
        warnings=_warnings(graph, doubtful),
        doubtful=doubtful,
        true_causes=records_true_causes(graph.events.values()),
    )


def _summary(graph: CausalGraph, causes: int, effects: int) -> str:
    components = {event.component_name for event in graph.events.values()}
    instances = {event.instance_id for event in graph.events.values()}
    first = min(event.persisted_at for event in graph.events.values())
    last = max(event.persisted_at for event in graph.events.values())
    others = sum(link.same_instance is False for link in graph.links)
    return " · ".join(
        [
            count_text(causes, "cause"),
            count_text(effects, "effect"),
            count_text(len(instances), "instance"),
            count_text(len(components), "component"),
            f"{count_text(len(graph.links), 'link')}, {others:,} between instances",
            f"over {duration_text(last - first)}",
        ]
    )


def _shown(found: Neighbourhood) -> str:
    if not found.truncated:
        return ""
    shown = len(found.graph.events)
    total = shown + max(1, found.unread)
    return f"shown {shown:,} of at least {total:,} connected events, the nearest"


def _diagram(
    graph: CausalGraph,
    root: PersistedEvent,
    depths: Mapping[str, int],
    *,
    zone: tzinfo,
    group_by: Grouping,
    components: Sequence[str],
) -> Diagram:
    colours = accents((event.component_name for event in graph.events.values()), components)
    nodes = [
        Node(
            id=event.id,
            label=event.event_type,
            kind="event",
            sublabel=f"{event.state_before or '(new)'} → {event.state_after}",
            tooltip=_tooltip(event, graph, depths, zone=zone),
            current=event.id == root.id,
            group=_group(event, group_by),
            accent=colours[event.component_name],
            accent_name=event.component_name,
        )
        for event in graph.events.values()
    ]
    ghosts = [
        Node(
            id=name,
            label=short_id(name),
            kind="unknown",
            sublabel="not in this store",
            tooltip=f"{name}\nnamed as a cause, but not in this store",
            never_reached=True,
        )
        for name in graph.missing
    ]
    edges = [
        Edge(
            source=link.cause_id,
            target=link.effect_id,
            label=_gap(link),
            kind="doubtful" if link.doubts else "recorded",
            tooltip="\n".join([_facts(link), *link.doubts]),
        )
        for link in graph.links
    ]
    return Diagram(nodes=(*nodes, *ghosts), edges=tuple(edges), name=f"causality of {root.id}", direction="LR")


def _group(event: PersistedEvent, group_by: Grouping) -> str:
    component = event.component_name or "(no component)"
    if group_by == "component":
        return component
    machine = f"{component} · {event.machine_name}"
    return machine if group_by == "machine" else f"{machine} · {short_id(event.instance_id)}"


def _tooltip(event: PersistedEvent, graph: CausalGraph, depths: Mapping[str, int], *, zone: tzinfo) -> str:
    return "\n".join(
        [
            f"{event.component_name or '(no component)'} · {event.machine_name}",
            f"instance {event.instance_id}",
            moment_text(event.persisted_at, zone, millis=True),
            _where(depths.get(event.id), event, graph),
        ]
    )


def _event_row(event: PersistedEvent, graph: CausalGraph, depths: Mapping[str, int], *, zone: tzinfo) -> Row:
    depth = depths.get(event.id)
    root = graph.events[next(name for name, steps in depths.items() if steps == 0)]
    return {
        "step": depth,
        "is": _where(depth, event, graph),
        "event": visible_text(event.event_type, 80),
        "from": visible_text(event.state_before, 80),
        "to": visible_text(event.state_after, 80),
        "component": visible_text(event.component_name, 80) or "(none)",
        "machine": visible_text(event.machine_name, 80),
        "instance": visible_text(event.instance_id, 80),
        "stored at": moment_text(event.persisted_at, zone, millis=True),
        "after this event": duration_text(event.persisted_at - root.persisted_at),
        "causes named": len(event.caused_by),
        "event id": visible_text(event.id, 80),
    }


def _where(depth: int | None, event: PersistedEvent, graph: CausalGraph) -> str:
    if depth is None:
        return "connected"
    place = "this event" if depth == 0 else "cause" if depth < 0 else "effect"
    if not event.caused_by:
        return f"{place}, no cause recorded"
    return f"{place}, cause missing" if event.id in graph.orphans else place


def _link_row(link: Link, graph: CausalGraph) -> Row:
    cause, effect = graph.events.get(link.cause_id), graph.events.get(link.effect_id)
    return {
        "link": find_look(PROVENANCES, "doubtful" if link.doubts else "recorded").text,
        "cause": _named(cause, link.cause_id),
        "effect": _named(effect, link.effect_id),
        "instance": {True: "same", False: "another", None: "unknown"}[link.same_instance],
        "component": {False: "same", True: "crosses", None: "unknown"}[link.crosses_component],
        "time between": duration_text(link.gap_ms),
        "doubts": "; ".join(link.doubts),
        "cause id": visible_text(link.cause_id, 80),
        "effect id": visible_text(link.effect_id, 80),
    }


def _named(event: PersistedEvent | None, event_id: str) -> str:
    if event is None:
        return f"{short_id(event_id)} (not in this store)"
    return visible_text(f"{event.machine_name}: {event.event_type}", 120)


def _gap(link: Link) -> str:
    return "" if link.gap_ms is None else duration_text(link.gap_ms)


def _facts(link: Link) -> str:
    if link.same_instance is None:
        return "recorded; the cause is not in this store"
    where = "same instance" if link.same_instance else "another instance"
    across = ", another component" if link.crosses_component else ""
    return f"recorded; {where}{across}; {duration_text(link.gap_ms)} between"


def _warnings(graph: CausalGraph, doubtful: int) -> tuple[str, ...]:
    told = []
    if doubtful:
        told.append(f"{count_text(doubtful, 'recorded link')} cannot be right; the table of links says why.")
    if graph.missing:
        told.append(
            f"{count_text(len(graph.missing), 'event is', 'events are')} named as a cause, but not in this store."
        )
    for cycle in graph.cycles:
        names = ", ".join(short_id(name) for name in cycle[:5]) + (" …" if len(cycle) > 5 else "")
        told.append(f"{count_text(len(cycle), 'event causes itself', 'events cause each other')}: {names}.")
    return tuple(told)
