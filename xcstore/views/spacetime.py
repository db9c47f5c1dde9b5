"""The surroundings of one event as a space-time diagram: who acted when, and what led to what.

    build(found, zone=..., lanes='machine', order='time', hidden=(), collapse=True) -> SpaceTime

Nothing that is folded or hidden takes a cause away: a run of local events is one mark with its count, and a way
through hidden lanes is one arrow that says how many events it passes. Takes O(events + links).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from xcstore.analysis.causality import TIMER_REASONS, Link
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.render.labels import count_text, duration_text
from xcstore.render.spacetime import Arrow, Lane, Mark, MarkKind, Order, SpaceTime, via_text
from xcstore.render.theme import EDGE_KINDS, EdgeKind, accents
from xcstore.views.passing import Passage, passages

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.queries.causality import Neighbourhood

__all__ = ["LANES", "ORDERS", "Lanes", "build", "lane_id"]

Lanes = Literal["component", "machine", "instance"]
LANES: Final[tuple[Lanes, ...]] = ("machine", "component", "instance")
ORDERS: Final[tuple[Order, ...]] = ("time", "causal")
NO_NAME: Final = "(none)"
SHORTEST_RUN: Final = 3
"""Two events side by side are read as quickly as one mark that stands for them."""
MOST_LINES: Final = 6
"""Most links that one arrow lists."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A link as it will be seen: between two events that are shown, or from a missing cause (None)."""

    source: str | None
    target: str
    kind: EdgeKind
    via: int
    lines: tuple[str, ...]


def build(
    found: Neighbourhood,
    *,
    zone: tzinfo,
    lanes: Lanes = "machine",
    order: Order = "time",
    hidden: Collection[str] = (),
    collapse: bool = True,
    expanded: Collection[str] = (),
    components: Sequence[str] = (),
) -> SpaceTime:
    """The picture of `found`.

    Parameters
    ----------
    lanes : {'component', 'machine', 'instance'}
        What a column stands for.
    order : {'time', 'causal'}
        What leads downwards.
    hidden : collection of str
        Lanes to leave out, by id; ids that are not there count for nothing. Hiding all hides none.
    collapse : bool
        Draw consecutive events of one instance that have no link to another one as one mark.
    expanded : collection of str
        Runs (by id: their first event) to draw event by event all the same.
    components : sequence of str
        All of the store, for their colours.

    Returns
    -------
    SpaceTime
        Its marks are in order of time.
    """
    graph = found.graph
    events = _in_order(graph.events.values())
    colours = accents((event.component_name for event in events), components)
    every = _lanes(events, lanes, colours)
    gone = set(hidden) & every.keys()
    if len(gone) == len(every):
        gone = set()
    shown = [lane for name, lane in every.items() if name not in gone]
    column = {lane.id: number for number, lane in enumerate(shown)}
    seen = [event for event in events if lane_id(event, lanes) in column]

    drawn, cut = _drawn(graph.links, graph.events, {event.id for event in seen})
    runs = _runs(seen, graph.links, found.root_id)
    open_runs = {run[0].id for run in runs if run[0].id in expanded} if collapse else {run[0].id for run in runs}
    marks, mark_of = _marks(seen, [run for run in runs if run[0].id not in open_runs], found.root_id, column, lanes)
    notes = []
    if gone:
        lost = len(events) - len(seen)
        notes.append(f"{count_text(len(gone), 'lane')} hidden, with {count_text(lost, 'event')}")
    if cut:
        notes.append(f"{count_text(cut, 'way')} through hidden lanes not drawn")
    return SpaceTime(
        lanes=tuple(shown),
        marks=marks,
        arrows=_arrows(drawn, mark_of),
        hidden=tuple(every[name] for name in every if name in gone),
        order=order,
        zone=str(zone),
        name=f"space-time of {found.root_id}",
        notes=tuple(notes),
        runs=len(runs),
    )


def lane_id(event: PersistedEvent, lanes: Lanes) -> str:
    """The lane that an event is in, as plain text for an address: names in percent code, '(none)' for no name."""
    if lanes == "component":
        return _plain(event.component_name)
    if lanes == "machine":
        return f"{_plain(event.component_name)}/{_plain(event.machine_name)}"
    return _plain(event.instance_id)


def _plain(name: str) -> str:
    return quote(name, safe=" ", errors="surrogatepass") or NO_NAME


def _in_order(events: Iterable[PersistedEvent]) -> list[PersistedEvent]:
    """By time; at equal times, events of one instance in the order of its stream."""
    streams: dict[str, list[PersistedEvent]] = defaultdict(list)
    for event in events:
        streams[event.instance_id].append(event)
    ordered = [event for stream in streams.values() for event in order_stream(stream)]
    return sorted(ordered, key=lambda event: event.persisted_at)


def _lanes(events: Iterable[PersistedEvent], lanes: Lanes, colours: Mapping[str, int]) -> dict[str, Lane]:
    """The lanes by their id, in the order in which they begin."""
    first: dict[str, PersistedEvent] = {}
    counts: dict[str, int] = defaultdict(int)
    for event in events:
        name = lane_id(event, lanes)
        first.setdefault(name, event)
        counts[name] += 1
    made = {}
    for name, event in first.items():
        component = event.component_name or NO_NAME
        label, sublabel = {
            "component": (component, ""),
            "machine": (event.machine_name or NO_NAME, component),
            "instance": (event.instance_id or NO_NAME, f"{component} · {event.machine_name}"),
        }[lanes]
        made[name] = Lane(
            id=name, label=label, sublabel=sublabel, accent=colours[event.component_name], count=counts[name]
        )
    return made


def _drawn(
    links: Iterable[Link], events: Mapping[str, PersistedEvent], seen: Collection[str]
) -> tuple[list[_Drawn], int]:
    """The links between what is seen, those that pass hidden events as one; and how many ways were left out."""
    out: list[_Drawn] = []
    through: list[tuple[str, str, EdgeKind]] = []
    for link in links:
        if link.cause_id not in events:
            if link.effect_id in seen:
                lines = (link.cause_id, "named as a cause, but not in this store", *link.doubts)
                out.append(_Drawn(None, link.effect_id, link.standing, 0, lines))
        elif link.cause_id in seen and link.effect_id in seen:
            out.append(_Drawn(link.cause_id, link.effect_id, link.standing, 0, _facts(link)))
        elif link.effect_id in events:
            through.append((link.cause_id, link.effect_id, link.standing))
    found, cut = passages(through, seen)
    return out + [_passed(passage, events) for passage in found], cut


def _passed(passage: Passage, events: Mapping[str, PersistedEvent]) -> _Drawn:
    gap = events[passage.target].persisted_at - events[passage.source].persisted_at
    lines = (via_text(passage.hidden), f"{EDGE_KINDS[passage.kind].word} on the way", _after(gap))
    return _Drawn(passage.source, passage.target, passage.kind, passage.hidden, lines)


def _facts(link: Link) -> tuple[str, ...]:
    word = EDGE_KINDS[link.provenance if link.doubts else link.standing].word
    lines = [f"{word}: {link.rule}" if link.rule else word]
    if link.evidence:
        lines.append(link.evidence)
    if link.gap_ms is not None:
        lines.append(_after(link.gap_ms))
    return (*lines, *(f"⚠ {doubt}" for doubt in link.doubts))


def _after(gap: int) -> str:
    return f"{duration_text(gap)} later" if gap >= 0 else f"{duration_text(-gap)} earlier"


def _runs(seen: Sequence[PersistedEvent], links: Iterable[Link], root_id: str) -> list[list[PersistedEvent]]:
    """Consecutive events of one instance that only lead to one another, where there are several."""
    here = {event.id: event.instance_id for event in seen}
    open_to_others = {root_id}
    for link in links:
        # A doubtful link is to be seen, and so is a way in from or out to what is hidden.
        if link.doubts or here.get(link.cause_id) is None or here.get(link.cause_id) != here.get(link.effect_id):
            open_to_others |= {link.cause_id, link.effect_id}
    latest: dict[tuple[str, str, str], list[PersistedEvent]] = {}
    runs = []
    for event in seen:
        key = event.instance_id, event.component_name, event.machine_name
        if event.id in open_to_others:
            latest.pop(key, None)
            continue
        if key not in latest:
            runs.append(latest.setdefault(key, []))
        latest[key].append(event)
    return [run for run in runs if len(run) >= SHORTEST_RUN]


def _marks(
    seen: Sequence[PersistedEvent],
    runs: Iterable[Sequence[PersistedEvent]],
    root_id: str,
    column: Mapping[str, int],
    lanes: Lanes,
) -> tuple[tuple[Mark, ...], dict[str, int]]:
    """The marks in order of time, and the number of the mark of each event."""
    folded = {event.id: run for run in runs for event in run}
    marks: list[Mark] = []
    number: dict[str, int] = {}
    for event in seen:
        run = folded.get(event.id)
        if run is not None and run[0] is not event:
            number[event.id] = number[run[0].id]
            continue
        number[event.id] = len(marks)
        last = run[-1] if run else event
        label = event.event_type
        if run:
            label = label if label == last.event_type else f"{label} … {last.event_type}"
        marks.append(
            Mark(
                id=event.id,
                lane=column[lane_id(event, lanes)],
                at_ms=event.persisted_at,
                end_ms=last.persisted_at if run else None,
                kind="run" if run else _mark_kind(event),
                label=label,
                states=f"{event.state_before or '(new)'} → {last.state_after}",
                place=f"{event.component_name or NO_NAME} · {event.machine_name}",
                instance_id=event.instance_id,
                count=len(run) if run else 1,
                root=event.id == root_id,
            )
        )
    return tuple(marks), number


def _mark_kind(event: PersistedEvent) -> MarkKind:
    if event.event_type == CREATION and not event.state_before:
        return "created"
    payload = event.payload if isinstance(event.payload, Mapping) else {}
    reason = payload.get("reason")
    return "timer" if isinstance(reason, str) and reason in TIMER_REASONS else "event"


def _arrows(drawn: Iterable[_Drawn], mark_of: Mapping[str, int]) -> tuple[Arrow, ...]:
    """One arrow for the links of one kind between two marks; none inside a run."""
    alike: dict[tuple[int, int, EdgeKind, bool], list[_Drawn]] = {}
    for link in drawn:
        source, target = mark_of[link.source] if link.source is not None else -1, mark_of[link.target]
        # A link of an event to itself is wrong, and seen; one inside a run is what the run says.
        if source != target or link.source == link.target:
            alike.setdefault((source, target, link.kind, link.via > 0), []).append(link)
    arrows = []
    for (source, target, kind, _), links in alike.items():
        lines = list(links[0].lines)
        if len(links) > 1:
            more = [f"and {len(links) - MOST_LINES} more"] if len(links) > MOST_LINES else []
            lines = [count_text(len(links), "link"), *(" · ".join(link.lines) for link in links[:MOST_LINES]), *more]
        via = min(link.via for link in links)
        arrows.append(Arrow(source=source, target=target, kind=kind, via=via, count=len(links), tooltip=tuple(lines)))
    return tuple(arrows)
