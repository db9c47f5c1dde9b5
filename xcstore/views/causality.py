"""The causes and effects of one event, as a picture and as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from xcstore.analysis.causality import CausalGraph, Link, Standing
from xcstore.queries.causality import records_true_causes
from xcstore.render.diagram import Diagram, Edge, Node
from xcstore.render.labels import count_text, duration_text, moment_text, short_id, visible_text
from xcstore.render.theme import PROVENANCES, accents, find_look

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.catalog import Catalog
    from xcstore.model.history import PersistedEvent
    from xcstore.queries.causality import Neighbourhood

__all__ = ["MAX_ROWS", "CausalityView", "Grouping", "build", "diagram"]

MAX_ROWS: Final = 2_000
"""Most rows of a table that go to the browser."""

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
    events: tuple[Row, ...] = field(hash=False)
    """The nearest; at most `MAX_ROWS`."""
    event_ids: tuple[str, ...]
    """Event of each row of `events`."""
    event_count: int
    links: tuple[Row, ...] = field(hash=False)
    """Doubtful ones first, then inferred ones; at most `MAX_ROWS`."""
    link_events: tuple[str, ...]
    """Effect of each row of `links`."""
    link_count: int
    trust: str
    """How far the links can be believed."""
    warnings: tuple[str, ...] = ()


def build(found: Neighbourhood, *, zone: tzinfo, catalog: Catalog | None = None) -> CausalityView:
    """The view of one event and its surroundings, but for the pictures. `catalog`: what the links were judged by."""
    graph, depths, root = found.graph, found.depths, found.root
    events = sorted(graph.events.values(), key=lambda event: (depths.get(event.id, 0), event.persisted_at, event.id))
    causes = sum(depth < 0 for depth in depths.values()) - sum(depths.get(name, 0) < 0 for name in graph.missing)
    effects = sum(depth > 0 for depth in depths.values())
    shown = _shown_of(found, zone)
    links = sorted(graph.links, key=lambda link: _ORDER[link.standing])[:MAX_ROWS]
    return CausalityView(
        root=root,
        heading=f"{root.event_type}: {root.state_before or '(new)'} → {root.state_after}",
        summary=_summary(graph, causes, effects),
        shown=_cut(found),
        events=tuple(_event_row(event, shown) for event in events[:MAX_ROWS]),
        event_ids=tuple(event.id for event in events[:MAX_ROWS]),
        event_count=len(events),
        links=tuple(_link_row(link, graph) for link in links),
        link_events=tuple(link.effect_id for link in links),
        link_count=len(graph.links),
        trust=_trust(found, catalog),
        warnings=_warnings(graph),
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the rows and tooltips of events are made of."""

    root: PersistedEvent
    depths: Mapping[str, int]
    inferred: frozenset[str]
    """Events with an inferred cause."""
    orphans: frozenset[str]
    zone: tzinfo


def _shown_of(found: Neighbourhood, zone: tzinfo) -> _Shown:
    return _Shown(
        root=found.root,
        depths=found.depths,
        inferred=frozenset(link.effect_id for link in found.graph.links if link.provenance == "inferred"),
        orphans=frozenset(found.graph.orphans),
        zone=zone,
    )


_ORDER: Final[dict[Standing, int]] = {"doubtful": 0, "inferred": 1, "followed": 2, "recorded": 3}


def _trust(found: Neighbourhood, catalog: Catalog | None) -> str:
    counts = Counter(link.standing for link in found.graph.links)
    inferred = count_text(counts["inferred"], "link is", "links are") + " inferred by rules"
    if counts["followed"]:
        inferred += f", {counts['followed']:,} only by what came before in the same instance"
    if records_true_causes(found.graph.events.values()):
        told = "Links are causes as the runtime recorded them"
        return f"{told}; {inferred}." if counts["inferred"] else f"{told}."
    told = (
        "The TypeScript runtime names the previous transition of the same runtime as the cause, whatever it was, and "
        "none in another component"
    )
    if found.mode == "recorded":
        told = f"Links are causes as the runtime recorded them, and may be wrong: {told[0].lower()}{told[1:]}."
        return f"{told}{_undefined(found, catalog)}"
    if found.mode == "repaired" and found.replaced:
        inferred += f"; {count_text(found.replaced, 'doubtful one gave', 'doubtful ones gave')} way to them"
    return f"{told}. Here {inferred}.{_undefined(found, catalog)}"


def _undefined(found: Neighbourhood, catalog: Catalog | None) -> str:
    """Of which components nobody can tell what they send, so that their links are not judged."""
    names = dict.fromkeys(event.component_name for event in found.graph.events.values() if event.component_name)
    unknown = [name for name in names if catalog is None or catalog.find_component(name) is None]
    if not unknown:
        return ""
    listed = ", ".join(visible_text(name, 60) for name in unknown[:3]) + (" …" if len(unknown) > 3 else "")
    return f" Links out of {listed} are not judged: no definition is known; the sidebar takes one."


def _summary(graph: CausalGraph, causes: int, effects: int) -> str:
    components = {event.component_name for event in graph.events.values()}
    instances = {event.instance_id for event in graph.events.values()}
    first = min(event.persisted_at for event in graph.events.values())
    last = max(event.persisted_at for event in graph.events.values())
    others = sum(link.same_instance is False for link in graph.links)
    counts = Counter(link.standing for link in graph.links)
    kinds = ", ".join(f"{counts[kind]:,} {kind}" for kind in _ORDER if counts[kind] and kind != "recorded")
    return " · ".join(
        [
            count_text(causes, "cause"),
            count_text(effects, "effect"),
            count_text(len(instances), "instance"),
            count_text(len(components), "component"),
            f"{count_text(len(graph.links), 'link')}, {others:,} between instances" + (f", {kinds}" if kinds else ""),
            f"over {duration_text(last - first)}",
        ]
    )


def _cut(found: Neighbourhood) -> str:
    if not found.truncated:
        return ""
    shown = len(found.graph.events)
    if not found.unread:
        return f"shown {count_text(shown, 'event')}; there may be more: not all that could be connected was looked at"
    total = shown + found.unread
    return f"shown {shown:,} of at least {total:,} connected events, the nearest"


def diagram(
    found: Neighbourhood, *, zone: tzinfo, group_by: Grouping = "machine", components: Sequence[str] = ()
) -> Diagram:
    """The layered graph of the events. `components`: all of the store, for colours."""
    graph, shown = found.graph, _shown_of(found, zone)
    colours = accents((event.component_name for event in graph.events.values()), components)
    nodes = [
        Node(
            id=event.id,
            label=event.event_type,
            kind="event",
            sublabel=f"{event.state_before or '(new)'} → {event.state_after}",
            tooltip=_tooltip(event, shown),
            current=event.id == shown.root.id,
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
            kind=link.standing,
            tooltip="\n".join([_facts(link), *link.doubts]),
        )
        for link in graph.links
    ]
    return Diagram(nodes=(*nodes, *ghosts), edges=tuple(edges), name=f"causality of {shown.root.id}", direction="LR")


def _group(event: PersistedEvent, group_by: Grouping) -> str:
    component = event.component_name or "(no component)"
    if group_by == "component":
        return component
    machine = f"{component} · {event.machine_name}"
    return machine if group_by == "machine" else f"{machine} · {short_id(event.instance_id)}"


def _tooltip(event: PersistedEvent, shown: _Shown) -> str:
    return "\n".join(
        [
            f"{event.component_name or '(no component)'} · {event.machine_name}",
            f"instance {event.instance_id}",
            moment_text(event.persisted_at, shown.zone, millis=True),
            _where(event, shown),
        ]
    )


def _event_row(event: PersistedEvent, shown: _Shown) -> Row:
    return {
        "step": shown.depths.get(event.id),
        "is": _where(event, shown),
        "event": visible_text(event.event_type, 80),
        "from": visible_text(event.state_before, 80),
        "to": visible_text(event.state_after, 80),
        "component": visible_text(event.component_name, 80) or "(none)",
        "machine": visible_text(event.machine_name, 80),
        "instance": visible_text(event.instance_id, 80),
        "stored at": moment_text(event.persisted_at, shown.zone, millis=True),
        "after this event": duration_text(event.persisted_at - shown.root.persisted_at),
        "causes named": len(event.caused_by),
        "event id": visible_text(event.id, 80),
    }


def _where(event: PersistedEvent, shown: _Shown) -> str:
    depth = shown.depths.get(event.id)
    if depth is None:
        return "connected"
    place = "this event" if depth == 0 else "cause" if depth < 0 else "effect"
    if event.id in shown.inferred:
        return f"{place}; what caused it is inferred"
    if not event.caused_by:
        return f"{place}; no cause recorded"
    return f"{place}; its cause is missing" if event.id in shown.orphans else place


def _link_row(link: Link, graph: CausalGraph) -> Row:
    cause, effect = graph.events.get(link.cause_id), graph.events.get(link.effect_id)
    return {
        "link": find_look(PROVENANCES, link.standing).text,
        "rule": link.rule,
        "cause": _named(cause, link.cause_id),
        "effect": _named(effect, link.effect_id),
        "instance": {True: "same", False: "another", None: "unknown"}[link.same_instance],
        "component": {False: "same", True: "crosses", None: "unknown"}[link.crosses_component],
        "time between": duration_text(link.gap_ms),
        "evidence": visible_text(link.evidence, 300),
        "doubts": "; ".join(visible_text(doubt, 300) for doubt in link.doubts),
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
    said = (
        f"inferred by {link.rule}: {visible_text(link.evidence, 300)}" if link.provenance == "inferred" else "recorded"
    )
    return f"{said}; {where}{across}; {duration_text(link.gap_ms)} between"


def _warnings(graph: CausalGraph) -> tuple[str, ...]:
    told = []
    doubtful = sum(bool(link.doubts) for link in graph.links)
    if doubtful:
        told.append(f"{count_text(doubtful, 'recorded link is', 'recorded links are')} doubtful; the table says why.")
    if graph.missing:
        told.append(
            f"{count_text(len(graph.missing), 'event is', 'events are')} named as a cause, but not in this store."
        )
    for cycle in graph.cycles:
        names = ", ".join(short_id(name) for name in cycle[:5]) + (" …" if len(cycle) > 5 else "")
        told.append(f"{count_text(len(cycle), 'event causes itself', 'events cause each other')}: {names}.")
    return tuple(told)
