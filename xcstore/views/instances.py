"""Everything about one instance, as facts, pictures and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xcstore.analysis.business_key import business_key
from xcstore.analysis.context import (
    ContextStep,
    fold,
    leaf_paths,
    path_text,
)
from xcstore.analysis.intervals import StateHistory, state_history, visits
from xcstore.analysis.lifecycle import Lifecycle, ObservedMachine, lifecycle, moves, observed_machine
from xcstore.analysis.snapshots import SnapshotFacts, compare_snapshot
from xcstore.analysis.stuck import Limit, WaitingState, limits
from xcstore.model.history import CREATION
from xcstore.queries.causality import records_true_causes
from xcstore.render.labels import ago_text, count_text, duration_text, moment_text, short_id, visible_text
from xcstore.render.theme import STATUSES, find_look
from xcstore.render.timeline import Interval, Point, Snapshot, Timeline
from xcstore.units import EpochMs
from xcstore.views.instance_events import change_rows
from xcstore.views.machines import Arrow, arrows, element_id, state_diagram, state_kind, state_text
from xcstore.views.overview import limit_text, shortest_timer

if TYPE_CHECKING:
    from datetime import tzinfo

    from xcstore.model.definition import Component, StateMachine
    from xcstore.model.history import PersistedEvent
    from xcstore.queries.instances import InstanceHistory
    from xcstore.queries.machines import Stays
    from xcstore.render.diagram import Diagram
    from xcstore.store.base import InstanceSummary

__all__ = ["InstanceView", "Parent", "build"]

Row = dict[str, object]

MAX_STAYS = 400
"""Stays in the timeline: more cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The instance that created this one, as its creation says."""

    instance_id: str
    machine_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """Everything the page shows of one instance, apart from the selected event."""

    instance_id: str
    component: str
    machine: str
    title: str
    """State with its mark."""
    status: str
    """Status with its mark."""
    status_why: str
    since: str
    key: str
    """The business key of its creation; '' where that holds none, or was not loaded."""
    normal: str
    """How long this state normally lasts, for an instance that has not ended; '' where nobody knows."""
    facts: Mapping[str, str] = field(hash=False)
    parent: Parent | None
    history: StateHistory
    steps: tuple[ContextStep, ...]
    timeline: Timeline
    timeline_note: str
    """Said when the picture holds only the latest stays, else ''."""
    diagram: Diagram
    arrows: tuple[Arrow, ...]
    shown: str
    """'5,000 of 12,345 events' where the history was cut, else ''."""
    older: int
    values_note: str
    """Where the values after each event come from."""
    moves: tuple[Row, ...] = field(hash=False)
    """What would take it out of its state; empty for an instance that has ended."""
    moves_note: str
    snapshots: tuple[Row, ...] = field(hash=False)
    snapshot_differences: tuple[Row, ...] = field(hash=False)
    faults: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Fields that the instance ever held."""
    ended: bool = False
    true_causes: bool = False
    """Whether a runtime wrote all its events that is known to record true causes."""

    def element_of(self, event_id: str) -> str | None:
        """What the event is in the diagram: its transition, or for a creation the state it led to."""
        event = next((step.event for step in self.steps if step.event.id == event_id), None)
        if event is None:
            return None
        key = (event.state_before, event.event_type, event.state_after)
        return element_id(self.arrows, state=event.state_after, key=key)

    def last_event(self, *, state: str = "", key: tuple[str, str, str] | None = None) -> str | None:
        """The last loaded event that led to `state` from elsewhere, or that took the transition `key`."""
        for step in reversed(self.steps):
            event = step.event
            if key is not None and (event.state_before, event.event_type, event.state_after) == key:
                return event.id
            if state and event.state_after == state and event.state_before != state:
                return event.id
        return None


def build(
    found: InstanceHistory,
    leaving: Sequence[tuple[tuple[str, str, str], int]],
    machine: StateMachine | None,
    *,
    components: Sequence[Component] = (),
    stays: Stays | None = None,
    as_of: EpochMs | None = None,
    now: EpochMs,
    zone: tzinfo,
) -> InstanceView:
    """The view of one instance.

    Parameters
    ----------
    leaving
        What left its present state over all instances of its machine, as `queries.instances.leaving` gives it.
    machine
        Its definition, where one is known.
    components
        All definitions, to look for senders in.
    stays
        How long its machine's instances stay in states.
    as_of
        The moment up to which the store knows what happened; `now` where not given.
    """
    summary, events = found.summary, found.events
    steps = fold(events, machine)
    history = state_history(events)
    observed = _observed(events, leaving)
    latest = found.snapshots[-1] if found.snapshots else None
    never_left = None if any(t.source == summary.state for t in observed.transitions) else (summary.state,)
    status = lifecycle(summary.state, machine=machine, snapshot=latest, never_left=never_left or ())
    ended = status.status in ("completed", "error")
    until = now if as_of is None else max(as_of, summary.updated_at)
    times = {visit.state: visit for visit in visits(history, None if ended else until)}
    along = arrows(machine, _own(events))
    taken = _taken(events)
    comparisons = [compare_snapshot(snapshot, steps) for snapshot in found.snapshots]
    current = history.current
    since = current.entered_at if current else summary.updated_at
    way_on = any(move.target != summary.state for move in moves(summary.state, machine, observed))
    limit = _limit(summary, machine, stays, way_on=way_on) if status.status == "active" else None
    stuck = limit is not None and until - since >= limit.limit_ms
    return InstanceView(
        instance_id=summary.instance_id,
        component=summary.component_name,
        machine=summary.machine_name,
        title=state_text(machine, summary.state),
        status=find_look(STATUSES, "stuck" if stuck else status.status).text,
        status_why=limit_text(limit) if stuck and limit else status.why,
        since=f"{moment_text(since, zone)} ({ago_text(since, now)})",
        normal="" if ended else _normal(summary.state, stays, since=since, until=until, zone=zone),
        key=_key(events),
        facts=_facts(summary, history, now=now, zone=zone),
        parent=_parent(events),
        history=history,
        steps=steps,
        timeline=_timeline(steps, history, found, machine, now=None if ended else until),
        timeline_note=(
            f"The picture shows the latest {MAX_STAYS:,} of {len(history.intervals):,} stays."
            if len(history.intervals) > MAX_STAYS
            else ""
        ),
        diagram=state_diagram(
            machine,
            _own(events),
            name=f"{summary.component_name}.{summary.machine_name}",
            counts={},
            sublabels={state: duration_text(visit.total_ms) for state, visit in times.items() if visit.total_ms},
            visits={state: visit.count for state, visit in times.items()},
            taken=taken,
            current=summary.state,
        ),
        arrows=along,
        shown=f"shown {len(events):,} of {summary.event_count:,} events, the latest" if found.older else "",
        older=found.older,
        values_note=_values_note(steps, machine),
        moves=()
        if ended
        else _moves(summary, machine, observed, comparisons, components, since=since, now=now, zone=zone),
        moves_note=_moves_note(status, machine, summary),
        snapshots=tuple(_snapshot_row(facts, machine, now=now, zone=zone) for facts in reversed(comparisons)),
        snapshot_differences=change_rows(comparisons[-1].changes or ()) if comparisons else (),
        faults=_faults(events, history, zone, cut=found.older > 0),
        paths=tuple(path_text(path) for path in leaf_paths(_distinct_values(steps))),
        ended=ended,
        true_causes=records_true_causes(events),
    )


def _normal(state: str, stays: Stays | None, *, since: EpochMs, until: EpochMs, zone: tzinfo) -> str:
    waited = f"Here for {duration_text(max(0, until - since))} as of {moment_text(until, zone)}, the newest event."
    rows = [] if stays is None else [row for row in stays.table.to_dict("records") if row["state"] == state]
    if stays is None or not rows:
        return f"{waited} How long this state normally lasts is not known."
    row = rows[0]
    return (
        f"{waited} Normally {duration_text(row['median_ms'])} (median), 95 % under {duration_text(row['p95_ms'])}: "
        f"{count_text(row['n'], 'completed stay')} of the machine's latest {count_text(stays.instances, 'instance')}."
    )


def _facts(summary: InstanceSummary, history: StateHistory, *, now: EpochMs, zone: tzinfo) -> dict[str, str]:
    return {
        "component": visible_text(summary.component_name, 120) or "(none)",
        "machine": visible_text(summary.machine_name, 120),
        "created": f"{moment_text(summary.created_at, zone)} ({ago_text(summary.created_at, now)})",
        "last event": f"{visible_text(summary.last_event_type, 120)}, {ago_text(summary.updated_at, now)}",
        "events": f"{summary.event_count:,}",
        "states visited": f"{len({interval.state for interval in history.intervals}):,}",
    }


def _limit(
    summary: InstanceSummary, machine: StateMachine | None, stays: Stays | None, *, way_on: bool
) -> Limit | None:
    """From when on it has waited for too long, by the rule of the Overview."""
    if stays is None or not way_on:
        return None
    waiting = WaitingState(
        component_name=summary.component_name,
        machine_name=summary.machine_name,
        state=summary.state,
        count=1,
        oldest_updated_at=summary.updated_at,
        machine_instances=stays.instances,
        timeout_ms=shortest_timer(machine, summary.state),
    )
    return limits((waiting,), stays.table)[0]


def _key(events: Sequence[PersistedEvent]) -> str:
    first = events[0] if events else None
    if first is None or first.event_type != CREATION:
        return ""
    return business_key(first.payload, first.machine_name) or ""


def _observed(events: Sequence[PersistedEvent], leaving: Sequence[tuple[tuple[str, str, str], int]]) -> ObservedMachine:
    """What leaves the present state as all instances show it, and otherwise what this one shows."""
    return observed_machine(leaving) if leaving else _own(events)


def _own(events: Sequence[PersistedEvent]) -> ObservedMachine:
    counts: dict[tuple[str, str, str], int] = {}
    for event in events:
        key = (event.state_before, event.event_type, event.state_after)
        counts[key] = counts.get(key, 0) + 1
    return observed_machine(counts.items())


def _taken(events: Sequence[PersistedEvent]) -> dict[tuple[str, str, str], int]:
    return {(t.source, t.event, t.target): t.count for t in _own(events).transitions}


def _timeline(
    steps: Sequence[ContextStep],
    history: StateHistory,
    found: InstanceHistory,
    machine: StateMachine | None,
    *,
    now: EpochMs | None,
) -> Timeline:
    stays = history.intervals[-MAX_STAYS:]
    start = stays[0].entered_at if stays else 0
    intervals = []
    for stay in stays:
        told = {
            "left": f"for {duration_text(stay.duration_ms())}",
            "open": "the last state so far",
            "break": "its end is not recorded: the next event starts in another state",
        }[stay.end]
        intervals.append(
            Interval(
                lane=stay.state,
                state=stay.state,
                start_ms=stay.entered_at,
                # A stay without a known end is drawn as far as events show it, not up to the next one.
                end_ms=stay.last_seen_at if stay.end == "break" else stay.left_at,
                kind=state_kind(machine, stay.state),
                id=stay.entered_by,
                tooltip=told,
            )
        )
    points = [
        Point(
            id=step.event.id,
            label=step.event.event_type,
            at_ms=step.event.persisted_at,
            tooltip=f"{step.event.state_before or '(new)'} → {step.event.state_after}",
        )
        for step in steps
        if step.event.persisted_at >= start
    ]
    shots = [Snapshot(at_ms=snapshot.snapshot_at) for snapshot in found.snapshots if snapshot.snapshot_at >= start]
    return Timeline(
        lanes=tuple(dict.fromkeys(stay.state for stay in stays)),
        intervals=tuple(intervals),
        points=tuple(points),
        snapshots=tuple(shots),
        now_ms=now,
        name=f"states of {found.summary.instance_id}",
    )


def _parent(events: Sequence[PersistedEvent]) -> Parent | None:
    first = events[0] if events else None
    if first is None or first.event_type != CREATION or not isinstance(first.payload, Mapping):
        return None
    parent, machine = first.payload.get("parentInstanceId"), first.payload.get("parentMachineName")
    if not isinstance(parent, str) or not parent:
        return None
    return Parent(instance_id=parent, machine_name=machine if isinstance(machine, str) else "")


def _values_note(steps: Sequence[ContextStep], machine: StateMachine | None) -> str:
    recorded = [step for step in steps if step.source == "recorded"]
    if recorded and len(recorded) == len(steps):
        agreeing = sum(step.agrees is True for step in recorded)
        return f"Values are as recorded in the store; {agreeing:,} of {len(steps):,} equal what the payloads fold to."
    folded = "folded from the payloads" + ("" if machine else "; matching rules unknown, as there is no definition")
    if recorded:
        return f"Values of {len(recorded):,} of {len(steps):,} events are recorded; the others are {folded}."
    return f"The store keeps no values: these are {folded}. User code may have changed them."


def _moves(
    summary: InstanceSummary,
    machine: StateMachine | None,
    observed: ObservedMachine,
    snapshots: Sequence[SnapshotFacts],
    components: Sequence[Component],
    *,
    since: EpochMs,
    now: EpochMs,
    zone: tzinfo,
) -> tuple[Row, ...]:
    rows: list[Row] = []
    for move in moves(summary.state, machine, observed, component=summary.component_name, components=components):
        due = ""
        if move.timeout_ms is not None:
            at = EpochMs(since + move.timeout_ms)
            due = f"after {duration_text(move.timeout_ms)}: {moment_text(at, zone)} ({ago_text(at, now)})"
        sent_by = "; ".join(f"{sender.component} · {sender.machine}, {sender.when}" for sender in move.senders)
        rows.append(
            {
                "event": visible_text(move.event, 80),
                "leads to": state_text(machine, move.target),
                "sent by": visible_text(sent_by, 300),
                "due": due,
                "kind": move.kind,
                "seen to happen": 0 if move.count is None else move.count,
            }
        )
    for timer in snapshots[-1].snapshot.pending_timeouts if snapshots else ():
        at = EpochMs(snapshots[-1].snapshot.snapshot_at + timer.remaining_ms)
        rows.append(
            {
                "event": visible_text(timer.event_type, 80),
                "leads to": visible_text(timer.state_key, 80),
                "sent by": "its own timer",
                "due": f"{moment_text(at, zone)} ({ago_text(at, now)})",
                "kind": "timer in the snapshot",
                "seen to happen": None,
            }
        )
    return tuple(rows)


def _moves_note(status: Lifecycle, machine: StateMachine | None, summary: InstanceSummary) -> str:
    if status.status in ("completed", "error"):
        return f"It has ended: {status.why}."
    if machine is not None and machine.find_state(summary.state) is not None:
        return "Events that take an instance out of this state, as the definition says; self-loops are left out."
    return "No definition knows this state: these are events that took instances of this machine out of it."


def _snapshot_row(facts: SnapshotFacts, machine: StateMachine | None, *, now: EpochMs, zone: tzinfo) -> Row:
    snapshot = facts.snapshot
    status = snapshot.instance.status if snapshot.status_recorded else "unknown"
    return {
        "taken": f"{moment_text(snapshot.snapshot_at, zone)} ({ago_text(snapshot.snapshot_at, now)})",
        "state": state_text(machine, snapshot.instance.current_state),
        "status": find_look(STATUSES, status).text if snapshot.status_recorded else "not recorded",
        "as of event": short_id(facts.event_id or snapshot.last_event_id) or "–",
        "found by": facts.anchor,
        "events since": facts.events_behind,
        "behind": duration_text(facts.behind_ms),
        "state as the events say": _yes_no(facts.state_agrees),
        "values as the events say": _yes_no(None if facts.changes is None else not facts.changes),
        "timers": len(snapshot.pending_timeouts),
        "remarks": "; ".join(visible_text(fault, 200) for fault in snapshot.faults),
    }


def _faults(events: Sequence[PersistedEvent], history: StateHistory, zone: tzinfo, *, cut: bool) -> tuple[str, ...]:
    """What is odd; that a history starts late is not, where older events were not loaded (`cut`)."""
    told = [
        f"{moment_text(gap.at, zone, millis=True)}: the chain breaks: the event before ended in "
        f"{gap.expected!r}, event {gap.event_id} starts in {gap.found!r}"
        if gap.expected
        else f"{moment_text(gap.at, zone, millis=True)}: the loaded history does not start with a creation: "
        f"event {gap.event_id} starts in {gap.found!r}"
        for gap in history.breaks
        if gap.expected or not cut
    ]
    return (*told, *(f"event {event.id}: {fault}" for event in events for fault in event.faults))


def _distinct_values(steps: Sequence[ContextStep]) -> list[object]:
    """Each value document once: most events change nothing, and paths are wanted, not repeats."""
    seen: list[object] = []
    for step in steps:
        if not seen or seen[-1] is not step.values:
            seen.append(step.values)
    return seen[::-1]


def _yes_no(answer: bool | None) -> str:
    return "cannot be told" if answer is None else "✓ yes" if answer else "✕ no"
