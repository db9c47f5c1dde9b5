"""Causal links summed up from component to component: a picture and a row for each flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Final

from xcstore.analysis.component_map import ComponentMap, Flow, Latency, Place
from xcstore.render.diagram import LAYOUT_LIMIT, Diagram, Edge, Node
from xcstore.render.labels import count_text, duration_text, visible_text
from xcstore.render.theme import EdgeKind, accents

__all__ = ["ComponentMapView", "build"]

Row = dict[str, object]
Name = tuple[str, str]
NO_COMPONENT: Final = "(no component)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentMapView:
    """Everything shown of one map."""

    summary: str
    """Over how much it is, first of all."""
    notes: tuple[str, ...]
    diagram: Diagram
    flows: tuple[Row, ...] = field(hash=False)
    places: tuple[Row, ...] = field(hash=False)


def build(found: ComponentMap, *, components: Sequence[str] = (), truncated: bool = False) -> ComponentMapView:
    """The view of `found`. `components`: all of the store, for colours. `truncated`: more is connected than shown."""
    events = sum(place.events for place in found.places)
    links = sum(flow.links for flow in found.flows)
    inside = sum(place.inside.links for place in found.places if place.inside)
    noun = "component" if found.by == "component" else "machine"
    shown = f"over the {count_text(events, 'event')} shown"
    return ComponentMapView(
        summary=" · ".join(
            [
                f"{shown}, more are connected" if truncated else shown,
                count_text(len(found.places), noun),
                f"{count_text(links, 'link')} between {noun}s",
                f"{inside:,} inside one",
            ]
        ),
        notes=_notes(found),
        diagram=_diagram(found, components),
        flows=tuple(_row(flow, noun) for flow in _all_flows(found)),
        places=tuple(_place_row(place, noun) for place in found.places),
    )


def _all_flows(found: ComponentMap) -> list[Flow]:
    """Between places and inside them, the most frequent first."""
    inside = [place.inside for place in found.places if place.inside]
    return sorted([*found.flows, *inside], key=lambda flow: (-flow.links, flow.source, flow.target))


def _notes(found: ComponentMap) -> tuple[str, ...]:
    flows = _all_flows(found)
    notes = []
    doubtful = sum(flow.doubtful for flow in flows)
    negative = sum(flow.negative for flow in flows)
    missing = sum(place.missing_causes for place in found.places)
    if doubtful:
        notes.append(f"{count_text(doubtful, 'link')} cannot be right; they are counted, and in the table apart.")
    if negative:
        against = count_text(negative, "link goes", "links go")
        notes.append(f"{against} against the clock (effect stored before its cause), and into no latency.")
    if missing:
        notes.append(f"{count_text(missing, 'link')} from causes that are not among these events: not drawn.")
    return tuple(notes)


def _diagram(found: ComponentMap, components: Sequence[str]) -> Diagram:
    if len(found.places) > LAYOUT_LIMIT:
        # More than can be drawn: the viewer says so, from the number of nodes alone.
        return Diagram(nodes=tuple(Node(id=repr(p.name), label=_named(p.name)) for p in found.places))
    colours = accents((place.component for place in found.places), components)
    # Scaled over what is drawn: the largest is thick, a single link thin; but a few links are never thick.
    most = max([10, *(flow.links for flow in found.flows)])
    return Diagram(
        nodes=tuple(
            Node(
                id=repr(place.name),
                label=place.machine if found.by == "machine" else place.component or NO_COMPONENT,
                sublabel=f"{count_text(place.events, 'event')} · {count_text(place.instances, 'inst.', 'inst.')}",
                tooltip=_place_tooltip(place),
                group=(place.component or NO_COMPONENT) if found.by == "machine" else "",
                accent=colours[place.component],
                accent_name=place.component or NO_COMPONENT,
            )
            for place in found.places
        ),
        edges=tuple(
            Edge(
                source=repr(flow.source),
                target=repr(flow.target),
                label=_label(flow),
                kind=_kind(flow),
                tooltip=_tooltip(flow),
                weight=log(flow.links) / log(most),
            )
            for flow in found.flows
        ),
        name=f"causes between {found.by}s",
    )


def _kind(flow: Flow) -> EdgeKind:
    """What most of its links are; of equally many, the less trustworthy."""
    counts: list[tuple[int, EdgeKind]] = [
        (flow.doubtful, "doubtful"),
        (flow.inferred, "inferred"),
        (flow.recorded, "recorded"),
    ]
    return max(counts, key=lambda pair: pair[0])[1]


def _label(flow: Flow) -> str:
    count = count_text(flow.links, "link")
    return count if flow.latency is None else f"{count} · median {duration_text(flow.latency.median_ms)}"


def _tooltip(flow: Flow) -> str:
    lines = [
        f"{_named(flow.source)} → {_named(flow.target)}",
        f"{count_text(flow.links, 'link')}: {flow.recorded:,} recorded, {flow.inferred:,} inferred, "
        f"{flow.doubtful:,} doubtful",
    ]
    if flow.latency is not None:
        lines.append(_latency(flow.latency))
    if flow.negative:
        lines.append(f"{flow.negative:,} against the clock")
    return "\n".join(lines)


def _latency(latency: Latency) -> str:
    return (
        f"median {duration_text(latency.median_ms)}, 95 % within {duration_text(latency.p95_ms)}, "
        f"{duration_text(latency.min_ms)} to {duration_text(latency.max_ms)}"
    )


def _place_tooltip(place: Place) -> str:
    lines = [_named(place.name), f"{count_text(place.events, 'event')}, {count_text(place.instances, 'instance')}"]
    if place.inside is not None:
        inside = f"{count_text(place.inside.links, 'link')} inside"
        lines.append(f"{inside}: {_latency(place.inside.latency)}" if place.inside.latency else inside)
    if place.missing_causes:
        lines.append(f"{count_text(place.missing_causes, 'link')} from causes that are not among these events")
    return "\n".join(lines)


def _row(flow: Flow, noun: str) -> Row:
    latency = flow.latency
    return {
        f"from {noun}": visible_text(_named(flow.source), 80),
        f"to {noun}": "itself" if flow.source == flow.target else visible_text(_named(flow.target), 80),
        "links": flow.links,
        "recorded": flow.recorded,
        "inferred": flow.inferred,
        "doubtful": flow.doubtful,
        "median": duration_text(latency.median_ms if latency else None),
        "95 % within": duration_text(latency.p95_ms if latency else None),
        "shortest": duration_text(latency.min_ms if latency else None),
        "longest": duration_text(latency.max_ms if latency else None),
        "against the clock": flow.negative,
    }


def _place_row(place: Place, noun: str) -> Row:
    return {
        noun: visible_text(_named(place.name), 80),
        "events": place.events,
        "instances": place.instances,
        "links inside": place.inside.links if place.inside else 0,
        "causes not shown": place.missing_causes,
    }


def _named(name: Name) -> str:
    component, machine = name
    return f"{component or NO_COMPONENT} · {machine}" if machine else component or NO_COMPONENT
