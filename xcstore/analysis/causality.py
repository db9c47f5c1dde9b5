"""Who caused whom, and who says so.

Recorded causes can be wrong: the TypeScript runtime names the previous transition of the same runtime. So each link
has a provenance: recorded by the runtime, or inferred by a named rule of `analysis.inference`, with its evidence. It
comes with the facts that speak for or against it, and is doubtful where a rule that cannot err says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import rustworkx as rx

from xcstore.model.history import CREATION, PersistedEvent
from xcstore.units import DurationMs

__all__ = ["MODES", "CausalGraph", "Link", "Mode", "Provenance", "causal_graph"]

Provenance = Literal["recorded", "inferred"]
Mode = Literal["recorded", "repaired", "both"]
"""Which links are shown: as recorded; with doubtful ones replaced by what the rules infer; or all of both."""
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
TIMER_REASONS = frozenset({"timeout", "auto-transition", "timeout_expired_during_restart"})
"""`payload.reason` of events that the runtime's own timers send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One cause of one event. What is None could not be told, because the cause is not in the store."""

    cause_id: str
    effect_id: str
    provenance: Provenance = "recorded"
    rule: str = ""
    """Name of the rule that inferred it (`analysis.inference.RULES`); '' where it was recorded."""
    evidence: str = ""
    """What the rule saw, in words: 'created by Order 7f…c2 3 ms earlier: parentInstanceId'. Stored text: escape it."""
    same_instance: bool | None = None
    crosses_component: bool | None = None
    gap_ms: DurationMs | None = None
    """From cause to effect, by the time they were stored; negative when the effect was first."""
    doubts: tuple[str, ...] = ()
    """Why the link cannot be right. Empty does not prove that it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalGraph:
    """Who caused whom, over the events that were loaded."""

    graph: rx.PyDiGraph[str, Link | None] = field(hash=False)
    """Node: event id; edge: cause -> effect."""
    nodes: Mapping[str, int] = field(hash=False)
    """Event id -> node of `graph`."""
    events: Mapping[str, PersistedEvent] = field(hash=False)
    """The loaded events, in the order given."""
    links: tuple[Link, ...] = ()
    roots: tuple[str, ...] = ()
    """No cause recorded."""
    orphans: tuple[str, ...] = ()
    """A cause is recorded, but is not among the events."""
    missing: tuple[str, ...] = ()
    """The causes that orphans name."""
    cycles: tuple[tuple[str, ...], ...] = ()
    """Events that cause each other: impossible in theory; shown, not hidden."""

    def depths(self, event_id: str) -> dict[str, int]:
        """Steps from `event_id`: effects 1, 2, …; causes -1, -2, …; itself 0. Others are left out.

        What is both cause and effect (in a cycle) counts as what it is nearer to, as effect when equally near.
        """
        found: dict[str, int] = {}
        start = self.nodes[event_id]
        for sign, graph in ((1, self.graph), (-1, _reversed(self.graph))):
            for distance, layer in enumerate(rx.bfs_layers(graph, [start])):
                for node in layer:
                    name = graph[node]
                    if name not in found or distance < abs(found[name]):
                        found[name] = sign * distance
        return found


def causal_graph(events: Iterable[PersistedEvent], links: Iterable[tuple[str, str]]) -> CausalGraph:
    """The graph of recorded causes.

    Parameters
    ----------
    events : iterable of PersistedEvent
        What was loaded; node order follows it. A repeated id counts once.
    links : iterable of (cause id, effect id)
        As recorded. A repeated link counts once; ids that are not among `events` become nodes without an event.
    """
    loaded: dict[str, PersistedEvent] = {}
    for event in events:
        loaded.setdefault(event.id, event)
    pairs = dict.fromkeys(links)
    graph: rx.PyDiGraph[str, Link | None] = rx.PyDiGraph(multigraph=False)
    nodes: dict[str, int] = {}
    for name in dict.fromkeys([*loaded, *(end for pair in pairs for end in pair)]):
        nodes[name] = graph.add_node(name)
    graph.add_edges_from_no_data([(nodes[cause], nodes[effect]) for cause, effect in pairs])
    cycles = _cycles(graph)
    ring = {name: number for number, cycle in enumerate(cycles) for name in cycle}

    described = tuple(_link(cause, effect, loaded, ring) for cause, effect in pairs)
    for link in described:
        graph.update_edge(nodes[link.cause_id], nodes[link.effect_id], link)
    caused = {effect for _, effect in pairs}
    orphans = dict.fromkeys(effect for cause, effect in pairs if effect in loaded and cause not in loaded)
    return CausalGraph(
        graph=graph,
        nodes=nodes,
        events=loaded,
        links=described,
        # An event may name causes that were cut off, so what it says itself decides, not the links alone.
        roots=tuple(name for name, event in loaded.items() if not event.caused_by and name not in caused),
        orphans=tuple(orphans),
        missing=tuple(dict.fromkeys(cause for cause, _ in pairs if cause not in loaded)),
        cycles=cycles,
    )


def _cycles(graph: rx.PyDiGraph[str, Link | None]) -> tuple[tuple[str, ...], ...]:
    """Strongly connected events, in node order: the cycles may be exponentially many, their groups are not."""
    groups = [
        sorted(group)
        for group in rx.strongly_connected_components(graph)
        if len(group) > 1 or graph.has_edge(group[0], group[0])
    ]
    return tuple(tuple(graph[node] for node in group) for group in sorted(groups))


def _reversed(graph: rx.PyDiGraph[str, Link | None]) -> rx.PyDiGraph[str, Link | None]:
    turned = graph.copy()
    turned.reverse()
    return turned


def _link(cause_id: str, effect_id: str, loaded: Mapping[str, PersistedEvent], ring: Mapping[str, int]) -> Link:
    doubts: list[str] = []
    if cause_id == effect_id:
        doubts.append("the event names itself as its cause")
    elif cause_id in ring and ring[cause_id] == ring.get(effect_id):
        doubts.append("part of a cycle: the effect also leads to its cause")
    cause, effect = loaded.get(cause_id), loaded.get(effect_id)
    if cause is None or effect is None:
        return Link(cause_id=cause_id, effect_id=effect_id, doubts=tuple(doubts))
    same = cause.instance_id == effect.instance_id
    gap = effect.persisted_at - cause.persisted_at
    payload = effect.payload if isinstance(effect.payload, Mapping) else {}
    if gap < 0:
        doubts.append("the effect was stored before its cause")
    reason = payload.get("reason")
    if isinstance(reason, str) and reason in TIMER_REASONS and not same:
        doubts.append(f"a timer event ({reason}), which only its own instance can start, names another instance")
    parent = payload.get("parentInstanceId")
    if effect.event_type == CREATION and isinstance(parent, str) and parent and cause.instance_id != parent:
        doubts.append("a creation that names its parent instance, but its cause belongs to another one")
    return Link(
        cause_id=cause_id,
        effect_id=effect_id,
        same_instance=same,
        crosses_component=cause.component_name != effect.component_name,
        gap_ms=DurationMs(gap),
        doubts=tuple(doubts),
    )
