"""Which component causes what in which other one, how often, and how long it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xcstore.analysis.causality import CausalGraph, Link
from xcstore.model.history import PersistedEvent
from xcstore.units import DurationMs

__all__ = ["By", "ComponentMap", "Flow", "Latency", "Place", "component_map"]

By = Literal["component", "machine"]
Name = tuple[str, str]
"""Component and machine; the machine is '' in a map of components."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A component, or a machine of one, and what of it was loaded."""

    component: str
    machine: str
    """'' in a map of components."""
    events: int
    instances: int
    inside: Flow | None = None
    """Links from this place to itself; None where there is none."""
    missing_causes: int = 0
    """Links to its events from causes that were not loaded, and so belong to no place that is known."""

    @property
    def name(self) -> Name:
        return (self.component, self.machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Times from cause to effect, as stored. Those against the clock are not among them."""

    median_ms: DurationMs
    p95_ms: DurationMs
    min_ms: DurationMs
    max_ms: DurationMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """All links from one place to another."""

    source: Name
    target: Name
    links: int
    recorded: int
    """Without doubts; so are the inferred ones. The three add up to `links`."""
    inferred: int
    doubtful: int
    negative: int
    """Links whose effect was stored before its cause: they have no latency; beyond the tolerance they are doubtful."""
    latency: Latency | None
    """Over all links that do not go against the clock; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentMap:
    """Places by name, flows between different places by their names."""

    by: By
    places: tuple[Place, ...] = ()
    flows: tuple[Flow, ...] = ()


def component_map(graph: CausalGraph, *, by: By = "component") -> ComponentMap:
    """The links of a graph, summed up from place to place.

    Only what was loaded is counted: a map of a part of a store is a map of that part.

    Parameters
    ----------
    by : {'component', 'machine'}
        What one place is.

    Notes
    -----
    The 95th percentile is the nearest rank: a latency that occurred. Links with a cause that was not loaded are
    counted at the place of their effect (`Place.missing_causes`).
    """

    def place(event: PersistedEvent) -> Name:
        return (event.component_name, event.machine_name if by == "machine" else "")

    events: dict[Name, int] = defaultdict(int)
    instances: dict[Name, set[str]] = defaultdict(set)
    for event in graph.events.values():
        events[place(event)] += 1
        instances[place(event)].add(event.instance_id)
    links: dict[tuple[Name, Name], list[Link]] = defaultdict(list)
    missing: dict[Name, int] = defaultdict(int)
    for link in graph.links:
        cause, effect = graph.events.get(link.cause_id), graph.events.get(link.effect_id)
        if effect is None:
            continue
        if cause is None:
            missing[place(effect)] += 1
        else:
            links[place(cause), place(effect)].append(link)
    flows = {ends: _flow(*ends, some) for ends, some in links.items()}
    return ComponentMap(
        by=by,
        places=tuple(
            Place(
                component=name[0],
                machine=name[1],
                events=count,
                instances=len(instances[name]),
                inside=flows.get((name, name)),
                missing_causes=missing[name],
            )
            for name, count in sorted(events.items())
        ),
        flows=tuple(flow for (source, target), flow in sorted(flows.items()) if source != target),
    )


def _flow(source: Name, target: Name, links: Sequence[Link]) -> Flow:
    gaps = [link.gap_ms for link in links if link.gap_ms is not None]
    inferred = sum(link.provenance == "inferred" and not link.doubts for link in links)
    doubtful = sum(bool(link.doubts) for link in links)
    return Flow(
        source=source,
        target=target,
        links=len(links),
        recorded=len(links) - inferred - doubtful,
        inferred=inferred,
        doubtful=doubtful,
        negative=sum(gap < 0 for gap in gaps),
        latency=_latency(sorted(gap for gap in gaps if gap >= 0)),
    )


def _latency(gaps: Sequence[DurationMs]) -> Latency | None:
    """Of times in ascending order."""
    if not gaps:
        return None
    half = len(gaps) // 2
    # Of an even number the mean of the middle two, in whole milliseconds: times of any size stay exact.
    middle = gaps[half] if len(gaps) % 2 else (gaps[half - 1] + gaps[half]) // 2
    rank = -(-95 * len(gaps) // 100)
    return Latency(median_ms=DurationMs(middle), p95_ms=gaps[rank - 1], min_ms=gaps[0], max_ms=gaps[-1])
