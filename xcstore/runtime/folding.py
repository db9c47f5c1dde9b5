"""An instance from its events: what a runtime has in hand when it goes on where a history ends.

Pure. Recorded values win over computed ones, as user methods may have changed them; an event that the definition does
not know still happened, so it is followed and noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xcstore.model.history import CREATION, Instance, InstanceSnapshot, PersistedEvent
from xcstore.runtime.interpreter import MachineTable, Move, Plan, StartTimer, choose, status_in
from xcstore.units import EpochMs

__all__ = ["Folded", "born", "fold", "from_snapshot"]

Values = Mapping[str, object]


@dataclass(slots=True)
class Folded:
    """An instance as of its last event.

    Attributes
    ----------
    instance : Instance
    last_event_id : str
    events : int
        How many were folded, not counting what a snapshot stands for.
    due : dict of str to (EpochMs, str)
        Running timers by event type: when they fire, and the event that started them.
    created : PersistedEvent or None
        Its creation, where that is known.
    notes : list of str
        What was odd, in words; each kind once.
    """

    instance: Instance
    last_event_id: str
    events: int = 0
    created: PersistedEvent | None = None
    due: dict[str, tuple[EpochMs, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def born(event: PersistedEvent, table: MachineTable) -> Instance:
    """The instance that a creation event makes; what it recorded replaces its initial context."""
    payload = event.payload if isinstance(event.payload, Mapping) else {}
    initial = payload.get("initialContext")
    values: Values = initial if isinstance(initial, Mapping) else {}
    if event.public_member_snapshot is not None:
        values = event.public_member_snapshot
    parent, parent_machine = payload.get("parentInstanceId"), payload.get("parentMachineName")
    public = table.machine.public_member_type is not None
    context: Values = {} if public else values
    return Instance(
        id=event.instance_id,
        machine_name=event.machine_name,
        component_name=event.component_name,
        current_state=event.state_after,
        status=status_in(table.find_state(event.state_after)),
        context=context if event.context is None else event.context,
        public_member=values if public else None,
        internal_member={} if public else None,
        created_at=event.persisted_at,
        updated_at=event.persisted_at,
        parent_instance_id=parent if isinstance(parent, str) else None,
        parent_machine_name=parent_machine if isinstance(parent_machine, str) else None,
    )


def from_snapshot(snapshot: InstanceSnapshot, table: MachineTable) -> Folded:
    """The instance of a snapshot, with the timers that ran when it was taken.

    Where nothing was written about timers, they count from the last change of the instance, where that is known, or
    from the snapshot.
    """
    instance, at = snapshot.instance, snapshot.snapshot_at
    folded = Folded(instance, snapshot.last_event_id)
    if instance.status != "active":
        return folded
    remaining = {timeout.event_type: timeout.remaining_ms for timeout in snapshot.pending_timeouts}
    entered = instance.updated_at if instance.updated_at is not None else at
    if table.find_state(instance.current_state) is None:
        folded.notes.append(f"the definition has no state {instance.current_state!r}")
    starts = table.timers_of(instance.current_state)
    gone = remaining.keys() - {start.event_type for start in starts}
    if gone:
        folded.notes.append(f"the definition has no timer {', '.join(sorted(gone))} in {instance.current_state!r}")
    for start in starts:
        left = remaining.get(start.event_type)
        if left is None and snapshot.timeouts_recorded and not gone:
            continue  # it has fired, and a self-loop did not start it again
        due = entered + start.delay_ms if left is None else at + left
        folded.due[start.event_type] = (EpochMs(due), snapshot.last_event_id)
    return folded


def fold(table: MachineTable, events: Iterable[PersistedEvent], base: Folded | None = None) -> Folded | None:
    """The instance after `events`, which are in stream order and begin with its creation, or follow on `base`.

    None where there is nothing to begin with: no base, and no event.

    Notes
    -----
    The payload of an event is merged into the context, and into the public member where the machine has one, unless
    the transition has matching rules. Values that the event recorded replace those computed.
    """
    created = base.created if base else None
    notes: dict[str, None] = dict.fromkeys(base.notes) if base else {}
    instance: Instance | None = base.instance if base else None
    due = dict(base.due) if base else {}
    last: PersistedEvent | None = None
    state = instance.current_state if instance is not None else ""
    context: Values = instance.context if instance is not None else {}
    public: Values | None = instance.public_member if instance is not None else None
    moves: Mapping[str, Move] = table.moves.get(state, {})
    has_public = table.machine.public_member_type is not None
    folded = 0
    for event in events:
        folded += 1
        last = event
        if event.event_type == CREATION or instance is None:
            if event.event_type != CREATION:
                notes["the stream does not begin with a creation event"] = None
            elif instance is not None:
                notes["the stream holds a second creation event"] = None
            created = event if event.event_type == CREATION else None
            instance = born(event, table)
            context, public, state = instance.context, instance.public_member, event.state_after
            due = _started(table.timers_of(state), event)
            moves = table.moves.get(state, {})
            if event.event_type == CREATION:
                continue
        elif event.state_before != state:
            notes[f"an event leaves {event.state_before!r} where the instance was in {state!r}"] = None
        # Nearly always the one way that leads from here to there; the rest is looked up.
        move = moves.get(event.event_type) if event.state_before == state else None
        if isinstance(move, Plan) and move.target == event.state_after:
            plan: Plan | None = move
        else:
            plan = _way(table, event, context if public is None else public)
            if plan is None and table.moves:  # else nothing is known of the machine, and nothing is odd about the way
                way = f"{event.state_before!r} -> {event.state_after!r} on {event.event_type!r}"
                notes[f"the definition has no transition {way}"] = None
        recorded = event.public_member_snapshot
        if recorded is not None and not has_public:
            context = recorded  # as what our runtime writes mostly comes
        else:
            payload = event.payload
            if payload and (plan is None or plan.merges) and isinstance(payload, Mapping):
                context = {**context, **payload}
                if has_public:
                    public = {**(public or {}), **payload}
            if recorded is not None:
                public = recorded
        if event.context is not None:
            context = event.context
        state = event.state_after
        moves = table.moves.get(state, {}) if plan is None else plan.moves
        if plan is None:
            due = _started(table.timers_of(state), event)
        elif due or plan.starts:
            for stop in plan.stops:
                due.pop(stop.event_type, None)
            if event.event_type in due and _has_fired(event, due[event.event_type][0]):
                del due[event.event_type]
            due.update(_started(plan.starts, event))
    if instance is None:
        return None
    if last is None:
        assert base is not None  # the instance came from there
        return base
    status = status_in(table.find_state(state))
    return Folded(
        Instance(
            id=instance.id,
            machine_name=instance.machine_name,
            component_name=instance.component_name or last.component_name,
            current_state=state,
            status=status,
            context=context,
            public_member=public,
            internal_member=instance.internal_member,
            created_at=instance.created_at,
            updated_at=last.persisted_at,
            parent_instance_id=instance.parent_instance_id,
            parent_machine_name=instance.parent_machine_name,
            is_entry_point=instance.is_entry_point,
        ),
        last.id,
        folded,
        created,
        due if status == "active" else {},
        list(notes),
    )


def _way(table: MachineTable, event: PersistedEvent, properties: Values) -> Plan | None:
    """The transition that a recorded event took, from what the instance held before it."""
    move = table.moves.get(event.state_before, {}).get(event.event_type)
    plan, _ = choose(move, event.payload, properties)
    if plan is None or plan.target == event.state_after:
        return plan
    # Another than we would take: the values are not what they were, or it was another definition.
    ways = table.find_plans(event.state_before, event.event_type, event.state_after)
    return choose(ways, event.payload, properties)[0]


def _started(starts: Iterable[StartTimer], event: PersistedEvent) -> dict[str, tuple[EpochMs, str]]:
    return {start.event_type: (EpochMs(event.persisted_at + start.delay_ms), event.id) for start in starts}


def _has_fired(event: PersistedEvent, due: EpochMs) -> bool:
    """Whether a timer made this event; it may also be sent by hand, and the timer then runs on."""
    reason = event.payload.get("reason") if isinstance(event.payload, Mapping) else None
    return reason in ("timeout", "auto-transition") and event.persisted_at >= due
