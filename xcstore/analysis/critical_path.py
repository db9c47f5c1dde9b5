"""Which chain of events set the time at which an event came, and what each part of that time was spent on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, get_args

from xcstore.analysis.causality import SUCCESSION, CausalGraph, Link
from xcstore.analysis.inference import timer_reason
from xcstore.errors import NotFoundError
from xcstore.model.catalog import Catalog
from xcstore.model.history import PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.units import SECOND, DurationMs

__all__ = ["AT_ONCE_MS", "KINDS", "CriticalPath", "Kind", "Segment", "Start", "critical_path"]

Kind = Literal["working", "timer", "event"]
"""What a segment was spent on; see `critical_path`."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Start = Literal["root", "doubtful", "unloaded", "cycle"]
"""Why a path begins where it does: nothing came before; only doubtful links lead there; what came before
is not among the events; it would go in a circle."""
AT_ONCE_MS: Final = SECOND
"""An event that its own instance caused came at once within so long: in the same processing, not after waiting."""
_NO_TIME: Final = DurationMs(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """From one event of the path to the next."""

    source_id: str
    target_id: str
    kind: Kind
    duration_ms: DurationMs
    """0 where the clocks say that the effect was first; see `skew_ms`."""
    link: Link | None = None
    """The causal link that it follows; None where it follows the order of events in one instance."""
    same_instance: bool
    why: str
    """What speaks for `kind`, in words, with stored text in it."""
    skew_ms: DurationMs = _NO_TIME
    """By how much the effect was stored before its cause."""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalPath:
    """The chain that set the time of its last event."""

    event_ids: tuple[str, ...] = ()
    """From the start to the target; empty where no event was given."""
    segments: tuple[Segment, ...] = ()
    """Between neighbours of `event_ids`."""
    start: Start = "root"
    elapsed_ms: DurationMs = _NO_TIME
    """From the first to the last event, as stored; 0 where skewed clocks put the last one first. Else the segments'
    durations add up to it, and to their skews."""
    faults: tuple[str, ...] = ()
    """What is odd about the path as a whole; each segment has its own."""

    def totals(self) -> dict[Kind, DurationMs]:
        """Time by kind, in the order of `KINDS`; kinds that do not occur are left out."""
        sums: dict[Kind, int] = defaultdict(int)
        for segment in self.segments:
            sums[segment.kind] += segment.duration_ms
        return {kind: DurationMs(sums[kind]) for kind in KINDS if kind in sums}


@dataclass(frozen=True, slots=True)
class _Step:
    """An event that may have been the last one to be waited for."""

    event: PersistedEvent
    link: Link | None


def critical_path(graph: CausalGraph, *, target_id: str | None = None, catalog: Catalog | None = None) -> CriticalPath:
    """The chain that set the time of an event, and what its time was spent on.

    Parameters
    ----------
    graph : CausalGraph
        Events and the links between them, in whichever mode they were asked for.
    target_id : str, optional
        Where the path ends; the last event by time without it.
    catalog : Catalog, optional
        Definitions: they tell a timer's event where its payload does not.

    Raises
    ------
    NotFoundError
        `target_id` is not among the events.

    Notes
    -----
    An event can come only when all it needs is there: its causes have happened, and its instance has finished the event
    before. The *later* of these is the critical one: had it come sooner, so had the event. From the target the path
    goes back by the critical predecessor of each event. (The last-arriving edges of Fields, Rubin and Bodik, *Focusing
    Processor Policies via Critical-Path Prediction*, ISCA 2001, for a machine that takes one event at a time.)

    - A timer's event comes when the timer is due: its start is critical, whatever its instance did meanwhile.
    - At equal times a cause comes before the event before in the instance, and of several causes the last one stored.
    - A link with doubts is not followed: where nothing else leads to the event, the path starts there.
    - Across components, whose clocks differ, that an effect was stored up to `causality.CLOCK_TOLERANCE_MS` before its
      cause is no doubt: the segment takes 0 ms and tells the skew. Within one component it is: there is one clock.
    - A recorded cause in the same instance counts as the event before, where the runtime that wrote it is not
      known to record true causes (no `definition_hash`): there it is only what came before.
    - "The event before" is the one before among those given. Where the states of the two do not meet, it says so.

    What a segment was spent on:

    - ``timer``: its end is sent by a timer, as its payload says or as all transitions declared for it are.
    - ``working``: its end was caused by its start, in another instance (a hand-over, however long it took), or in the
      same one and at once (`AT_ONCE_MS`); or it was caused earlier, and came at once after the event before.
    - ``event``: the instance waited in a state until an event came: from outside, where no cause is known, or later
      than its cause explains.

    Linear in events and links, apart from sorting; without recursion.

    Examples
    --------
    >>> critical_path(causal_graph([], [])).event_ids
    ()
    """
    events = graph.events
    if target_id is not None and target_id not in events:
        raise NotFoundError(f"no event {target_id!r} among those of the path; give the id of one that was loaded")
    if not events:
        return CriticalPath()
    if target_id is None:
        places = {name: place for place, name in enumerate(events)}
        target_id = max(events, key=lambda name: (events[name].persisted_at, places[name]))

    causes: dict[str, list[Link]] = defaultdict(list)
    for link in graph.links:
        causes[link.effect_id].append(link)
    before = _before(events)

    path, segments = [target_id], []
    seen = {target_id}
    event = events[target_id]
    start: Start
    while True:
        steps = _steps(event, causes[event.id], before.get(event.id), events, catalog)
        step = next((step for step in steps if step.event.id not in seen), None)
        if step is None:
            start = "cycle" if steps else _start(event, causes[event.id], events)
            break
        segments.append(_segment(step, event, causes[event.id], events, catalog))
        event = step.event
        path.append(event.id)
        seen.add(event.id)
    path.reverse()
    segments.reverse()
    return CriticalPath(
        event_ids=tuple(path),
        segments=tuple(segments),
        start=start,
        elapsed_ms=DurationMs(max(0, events[path[-1]].persisted_at - events[path[0]].persisted_at)),
        faults=tuple(_faults(events[path[0]], start, causes[path[0]], events)),
    )


def _before(events: Mapping[str, PersistedEvent]) -> dict[str, PersistedEvent]:
    """The event before, in the same instance, of each that has one."""
    streams: dict[str, list[PersistedEvent]] = defaultdict(list)
    for event in events.values():
        streams[event.instance_id].append(event)
    return {after.id: event for stream in streams.values() for event, after in pairwise(order_stream(stream))}


def _steps(
    event: PersistedEvent,
    causes: list[Link],
    before: PersistedEvent | None,
    events: Mapping[str, PersistedEvent],
    catalog: Catalog | None,
) -> list[_Step]:
    """What may have been waited for, the critical one first."""
    sound: list[tuple[tuple[int, bool, int, int], _Step]] = []
    for place, link in enumerate(causes):
        cause = events.get(link.cause_id)
        if cause is None or link.doubts:
            continue
        # A cause stored after its effect came last of all that the effect needed, as far as one can tell.
        seq = -1 if cause.seq is None else cause.seq
        sound.append(((cause.persisted_at, _is_cause(link, event), seq, place), _Step(cause, link)))
    # A timer comes when it is due, whatever happens to its instance meanwhile.
    started = bool(_timer(event, catalog)) and any(key[1] for key, _ in sound)
    if before is not None and not started and not any(step.event.id == before.id for _, step in sound):
        sound.append(((before.persisted_at, False, -1, -1), _Step(before, None)))
    return [step for _, step in sorted(sound, key=lambda pair: pair[0], reverse=True)]


def _is_cause(link: Link, effect: PersistedEvent) -> bool:
    """Whether a sound link says more than that the one came before the other in their instance."""
    if link.provenance == "inferred":
        return link.rule != SUCCESSION
    return not link.same_instance or bool(effect.definition_hash)


def _segment(
    step: _Step,
    event: PersistedEvent,
    causes: list[Link],
    events: Mapping[str, PersistedEvent],
    catalog: Catalog | None,
) -> Segment:
    gap = event.persisted_at - step.event.persisted_at
    same = step.event.instance_id == event.instance_id
    kind, why = _spent_on(step, event, causes, events, catalog)
    faults = []
    if gap < 0:
        faults.append(f"the effect was stored {-gap:,} ms before its cause: their clocks disagree")
    if step.link is None and step.event.state_after != event.state_before:
        faults.append(
            f"starts in {event.state_before!r}, where the event before ended in {step.event.state_after!r}: "
            "events between them are not loaded, or missing"
        )
    return Segment(
        source_id=step.event.id,
        target_id=event.id,
        kind=kind,
        duration_ms=DurationMs(max(0, gap)),
        link=step.link,
        same_instance=same,
        why=why,
        skew_ms=DurationMs(max(0, -gap)),
        faults=tuple(faults),
    )


def _spent_on(
    step: _Step,
    event: PersistedEvent,
    causes: list[Link],
    events: Mapping[str, PersistedEvent],
    catalog: Catalog | None,
) -> tuple[Kind, str]:
    link = step.link
    state = event.state_before or "(new)"
    timer = _timer(event, catalog)
    if timer:
        return "timer", f"in {state} until its timer sent {event.event_type}: {timer}"
    at_once = event.persisted_at - step.event.persisted_at <= AT_ONCE_MS
    if link is not None and _is_cause(link, event):
        told = link.evidence or "recorded cause"
        if not link.same_instance:
            return "working", f"handed over: {told}"
        if at_once:
            return "working", told
        return "event", f"in {state} until {event.event_type} came, which the event before had set in motion: {told}"
    loaded = [one for one in causes if one.cause_id in events]
    if any(not one.doubts and _is_cause(one, event) for one in loaded):
        if at_once:
            return "working", "its cause had come before; the instance was busy with the event before"
        return "event", f"in {state} until {event.event_type} came, whose cause had come before"
    if _unloaded(event, causes, events):
        return "event", f"in {state} until {event.event_type} came; its cause is not among the events"
    if any(one.doubts for one in loaded):
        return "event", f"in {state} until {event.event_type} came; what it names as its cause is doubtful"
    return "event", f"in {state} until {event.event_type} came from outside"


def _timer(event: PersistedEvent, catalog: Catalog | None) -> str:
    """What says that a timer sent the event; '' where nothing does."""
    if reason := timer_reason(event):
        return f"payload.reason is {reason}"
    machine = catalog.find_machine(event.component_name, event.machine_name) if catalog is not None else None
    declared = machine.transitions if machine is not None else ()
    types = {t.type for t in declared if (t.source, t.event) == (event.state_before, event.event_type)}
    return "declared so" if types and types <= {"timeout", "auto"} else ""


def _start(event: PersistedEvent, causes: list[Link], events: Mapping[str, PersistedEvent]) -> Start:
    """Why no other event leads to this one."""
    if _unloaded(event, causes, events) or event.state_before:
        return "unloaded"
    return "doubtful" if causes else "root"


def _unloaded(event: PersistedEvent, causes: list[Link], events: Mapping[str, PersistedEvent]) -> list[str]:
    return sorted({*event.caused_by, *(link.cause_id for link in causes)} - events.keys())


def _faults(
    first: PersistedEvent, start: Start, causes: list[Link], events: Mapping[str, PersistedEvent]
) -> Iterator[str]:
    unloaded = _unloaded(first, causes, events)
    if start == "cycle":
        yield "the path stops where it would go in a circle: its first event is also said to be caused by a later one"
    elif unloaded:
        yield f"the first event names a cause that is not among the events: {', '.join(unloaded)}"
    elif start == "unloaded":
        yield f"the first event starts in {first.state_before!r}; what led there is not among the events"
    doubts = dict.fromkeys(doubt for link in causes if link.doubts for doubt in link.doubts)
    if start != "cycle" and doubts:
        yield f"what the first event names as its cause is doubtful: {'; '.join(doubts)}"
