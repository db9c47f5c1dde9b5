"""Who caused whom, and who says so.

Recorded causes can be wrong: the TypeScript runtime names the previous transition of the same runtime. So each link
has a provenance: recorded by the runtime, or inferred by a named rule of `analysis.inference`, with its evidence. It
comes with the facts that speak for or against it, and is doubtful where a rule that cannot err says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal, get_args

import rustworkx as rx

from xcstore.analysis.routes import recorded_values, routes
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.units import DurationMs

__all__ = [
    "CLOCK_TOLERANCE_MS",
    "DOUBTS",
    "MODES",
    "SUCCESSION",
    "TIMER_REASONS",
    "CausalGraph",
    "Link",
    "Mode",
    "Provenance",
    "Standing",
    "causal_graph",
    "doubts_of",
    "link_doubts",
    "linked_graph",
    "recorded_link",
]

CLOCK_TOLERANCE_MS: Final = DurationMs(1_000)
"""How far the clocks of two components may be apart: by no more than this, an effect before its cause says nothing
against the link. Machines whose clocks are set over the network differ by some milliseconds, at worst by some hundred.
Within one component there is one clock, and no tolerance."""
Provenance = Literal["recorded", "inferred"]
Standing = Literal["recorded", "inferred", "followed", "doubtful"]
"""`followed`: inferred from nothing but that the one came after the other in the same instance."""
SUCCESSION: Final = "succession"
"""The rule that says so."""
Mode = Literal["recorded", "repaired", "both"]
"""Which links are shown: as recorded; with doubtful ones replaced by what the rules infer; or all of both."""
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
TIMER_REASONS: Final = frozenset({"timeout", "auto-transition", "timeout_expired_during_restart"})
"""`payload.reason` of events that the runtime's own timers send."""
DOUBTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "self": "the event names itself as its cause",
        "cycle": "the effect also leads to its cause",
        "before": "the effect was stored before its cause, by more than clocks may differ",
        "timer": "a timer's event, which only its own instance can start, names another instance",
        "parent": "a creation names a parent instance, but its cause belongs to another one",
        "source": "an event that says from which component it came, but its cause belongs to another one",
        "unexplained": "a link between instances that no rule and no definition explains, of a runtime that names "
        "its previous transition as the cause",
    }
)
"""Kinds of reasons for which a recorded link is doubtful."""


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

    @property
    def standing(self) -> Standing:
        """What it is to be shown as."""
        if self.doubts:
            return "doubtful"
        return "followed" if self.rule == SUCCESSION else self.provenance


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

        What is both cause and effect (in a cycle) counts as what it is nearer to, as effect when equally near. A link
        that only says what followed what is no step.
        """
        found: dict[str, int] = {}
        start = self.nodes[event_id]
        steps = self._without_followed()
        for sign, graph in ((1, steps), (-1, _reversed(steps))):
            for distance, layer in enumerate(rx.bfs_layers(graph, [start])):
                for node in layer:
                    name = graph[node]
                    if name not in found or distance < abs(found[name]):
                        found[name] = sign * distance
        return found

    def _without_followed(self) -> rx.PyDiGraph[str, Link | None]:
        followed = [link for link in self.links if link.rule == SUCCESSION]
        if not followed:
            return self.graph
        graph = self.graph.copy()
        for link in followed:
            graph.remove_edge(self.nodes[link.cause_id], self.nodes[link.effect_id])
        return graph


def causal_graph(
    events: Iterable[PersistedEvent], links: Iterable[tuple[str, str]], *, catalog: Catalog | None = None
) -> CausalGraph:
    """The graph of recorded causes.

    Parameters
    ----------
    events : iterable of PersistedEvent
        What was loaded; node order follows it. A repeated id counts once.
    links : iterable of (cause id, effect id)
        As recorded. A repeated link counts once; ids that are not among `events` become nodes without an event.
    catalog : Catalog, optional
        Definitions, to tell which links between instances they explain; without it none is doubtful for that.
    """
    loaded = _by_id(events)
    return linked_graph(
        loaded.values(),
        [
            recorded_link(cause, effect, loaded.get(cause), loaded.get(effect), catalog)
            for cause, effect in dict.fromkeys(links)
        ],
    )


def linked_graph(events: Iterable[PersistedEvent], links: Iterable[Link]) -> CausalGraph:
    """The graph of links at hand, recorded or inferred.

    Of several links between the same two events the first counts. No inferred link closes a ring: those inside a group
    of events that lead to each other are left out. What is then still in a cycle becomes doubtful.
    """
    loaded = _by_id(events)
    pairs: dict[tuple[str, str], Link] = {}
    for link in links:
        pairs.setdefault((link.cause_id, link.effect_id), link)
    graph: rx.PyDiGraph[str, Link | None] = rx.PyDiGraph(multigraph=False)
    nodes: dict[str, int] = {}
    for name in dict.fromkeys([*loaded, *(end for pair in pairs for end in pair)]):
        nodes[name] = graph.add_node(name)
    graph.add_edges_from([(nodes[cause], nodes[effect], link) for (cause, effect), link in pairs.items()])
    cycles = _cycles(graph)
    guessed = [pair for pair in _inside(cycles, pairs) if pairs[pair].provenance == "inferred"]
    for cause, effect in guessed:
        del pairs[cause, effect]
        graph.remove_edge(nodes[cause], nodes[effect])
    cycles = _cycles(graph) if guessed else cycles
    for cause, effect in _inside(cycles, pairs):
        if cause != effect:
            link = pairs[cause, effect]
            doubtful = replace(link, doubts=("part of a cycle: the effect also leads to its cause", *link.doubts))
            pairs[cause, effect] = doubtful
            graph.update_edge(nodes[cause], nodes[effect], doubtful)
    caused = {effect for _, effect in pairs}
    orphans = dict.fromkeys(effect for cause, effect in pairs if effect in loaded and cause not in loaded)
    return CausalGraph(
        graph=graph,
        nodes=nodes,
        events=loaded,
        links=tuple(pairs.values()),
        # An event may name causes that were cut off, so what it says itself decides, not the links alone.
        roots=tuple(name for name, event in loaded.items() if not event.caused_by and name not in caused),
        orphans=tuple(orphans),
        missing=tuple(dict.fromkeys(cause for cause, _ in pairs if cause not in loaded)),
        cycles=cycles,
    )


def recorded_link(
    cause_id: str,
    effect_id: str,
    cause: PersistedEvent | None,
    effect: PersistedEvent | None,
    catalog: Catalog | None = None,
) -> Link:
    """A cause as recorded, with what speaks against it. An event is None where it is not at hand."""
    if cause is None or effect is None:
        itself = (DOUBTS["self"],) if cause_id == effect_id else ()
        return Link(cause_id=cause_id, effect_id=effect_id, doubts=itself)
    return Link(
        cause_id=cause_id,
        effect_id=effect_id,
        same_instance=cause.instance_id == effect.instance_id,
        crosses_component=cause.component_name != effect.component_name,
        gap_ms=DurationMs(effect.persisted_at - cause.persisted_at),
        doubts=link_doubts(cause, effect, catalog),
    )


def link_doubts(cause: PersistedEvent, effect: PersistedEvent, catalog: Catalog | None = None) -> tuple[str, ...]:
    """Why a recorded link cannot be right, or why nothing explains it, in words. Cycles need the whole graph."""
    return tuple(doubts_of(cause, effect, catalog).values())


def doubts_of(cause: PersistedEvent, effect: PersistedEvent, catalog: Catalog | None = None) -> dict[str, str]:
    """The same by kind; see `DOUBTS`."""
    if cause.id == effect.id:
        return {"self": DOUBTS["self"]}
    found: dict[str, str] = {}
    same = cause.instance_id == effect.instance_id
    payload = effect.payload if isinstance(effect.payload, Mapping) else {}
    early = cause.persisted_at - effect.persisted_at
    crosses = not same and cause.component_name != effect.component_name
    if early > (CLOCK_TOLERANCE_MS if crosses else 0):
        found["before"] = "the effect was stored before its cause"
    reason = payload.get("reason")
    if isinstance(reason, str) and reason in TIMER_REASONS and not same:
        found["timer"] = f"a timer event ({reason}), which only its own instance can start, names another instance"
    parent = payload.get("parentInstanceId")
    is_child = effect.event_type == CREATION and isinstance(parent, str) and bool(parent)
    if is_child and cause.instance_id != parent:
        found["parent"] = "a creation that names its parent instance, but its cause belongs to another one"
    source = effect.source_component_name
    if source and cause.component_name not in ("", source):
        found["source"] = f"an event that came from component {source}, but its cause belongs to another one"
    # Our runtime stamps its events with a definition and records true causes, also of what methods send.
    judged = not (same or found or is_child or effect.definition_hash)
    if judged and catalog is not None and (reason := _unexplained(cause, effect, catalog)):
        found["unexplained"] = reason
    return found


def _unexplained(cause: PersistedEvent, effect: PersistedEvent, catalog: Catalog) -> str:
    known = routes(catalog)
    # Of a component without a definition nobody can tell what it sends.
    if not known.knows(cause.component_name):
        return ""
    if effect.source_component_name == cause.component_name != effect.component_name:
        return ""
    sends = known.between(cause, effect)
    held = recorded_values(cause)
    if any(not send.compare(held, effect).contradicts for send in sends):
        return ""
    if sends:
        return "another instance, and the values that the definition sends along are not those that arrived"
    if known.may_send_by_code(cause, effect):
        return ""
    return (
        "another instance, and neither a definition nor a method that ran then leads from one to the other; the "
        "TypeScript runtime names its previous transition as the cause, whatever it was"
    )


def _by_id(events: Iterable[PersistedEvent]) -> dict[str, PersistedEvent]:
    loaded: dict[str, PersistedEvent] = {}
    for event in events:
        loaded.setdefault(event.id, event)
    return loaded


def _cycles(graph: rx.PyDiGraph[str, Link | None]) -> tuple[tuple[str, ...], ...]:
    """Strongly connected events, in node order: the cycles may be exponentially many, their groups are not."""
    groups = [
        sorted(group)
        for group in rx.strongly_connected_components(graph)
        if len(group) > 1 or graph.has_edge(group[0], group[0])
    ]
    return tuple(tuple(graph[node] for node in group) for group in sorted(groups))


def _inside(cycles: Sequence[tuple[str, ...]], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the pairs whose ends lead to each other."""
    ring = {name: number for number, cycle in enumerate(cycles) for name in cycle}
    return [pair for pair in pairs if pair[0] in ring and ring[pair[0]] == ring.get(pair[1])]


def _reversed(graph: rx.PyDiGraph[str, Link | None]) -> rx.PyDiGraph[str, Link | None]:
    turned = graph.copy()
    turned.reverse()
    return turned
