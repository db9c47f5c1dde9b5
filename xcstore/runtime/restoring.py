"""Reads from the stores what a component had in hand when its process ended. Writes nothing.

The cost follows the instances that are still alive, not the history: each is its latest snapshot and the events after
it, read for some hundred instances at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from xcstore.model.definition import Component
from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.runtime.folding import Folded, born, fold, from_snapshot
from xcstore.runtime.interpreter import MachineTable, status_in
from xcstore.store.base import EventQuery, EventStore, InstanceQuery, InstanceSummary, SnapshotStore

__all__ = ["Findings", "RestoreReport", "contradicts", "find_entry_point", "read_live"]

_BATCH: Final = 500
_PAGE: Final = 20_000
"""Summaries at a time: many, as some stores go through all their instances for each page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What `restore` brought back, and what it could not."""

    component_name: str
    instances: int = 0
    """Brought back alive, or as an ended entry point."""
    from_snapshot: int = 0
    """Of these, from a snapshot and the events after it; the rest from all their events."""
    events: int = 0
    """Folded."""
    ended: int = 0
    """Instances in the store that have ended, and stay so."""
    timers: int = 0
    """Running again, with the time that was left."""
    expired: int = 0
    """Timers that fell due meanwhile; each has fired once."""
    work: int = 0
    """Pieces of work that were waiting when the process ended."""
    problem_count: int = 0
    problems: tuple[str, ...] = field(default=(), repr=False)
    """The first of them, in words, with the instance."""


class Findings(Protocol):
    """Takes what the reading finds out besides the instances."""

    def ended(self) -> None: ...

    def problem(self, text: str) -> None: ...


def read_live(
    component: Component,
    tables: Mapping[str, MachineTable],
    events: EventStore | None,
    snapshots: SnapshotStore | None,
    entered: Mapping[str, str],
    findings: Findings,
) -> Iterator[tuple[Folded, bool]]:
    """The instances of a component that go on, each with whether it came from a snapshot.

    An ended entry point is among them, as it stays and refuses events, and so are those in `entered`: instances whose
    method on entry is still to run, by the id of the event that entered. A snapshot of that event may show what the
    method did already, so an earlier one is taken.
    """
    if events is None:
        if snapshots is not None:
            yield from _from_snapshots_alone(component, tables, snapshots, findings)
        return
    entry_point = find_entry_point(component, events)
    stay = {*entered, entry_point} - {None}
    alive = _alive(component, tables, events, stay, findings)
    seen: set[str] = set()
    while batch := list(islice(alive, _BATCH)):
        seen.update(summary.instance_id for summary in batch)
        latest = {} if snapshots is None else _latest(snapshots, batch, entered)
        for summary in batch:
            if summary.instance_id in latest and (odd := contradicts(latest[summary.instance_id], summary, tables)):
                findings.problem(f"{summary.instance_id}: {odd}; folded all events")
                del latest[summary.instance_id]
        for folded, based in _read_batch(tables, events, latest, batch, findings):
            is_entry_point = folded.instance.is_entry_point or folded.instance.id == entry_point
            folded.instance = replace(folded.instance, is_entry_point=is_entry_point)
            yield folded, based
    if snapshots is not None:
        yield from _without_events(component, tables, events, snapshots, seen, findings)


def _without_events(
    component: Component,
    tables: Mapping[str, MachineTable],
    events: EventStore,
    snapshots: SnapshotStore,
    seen: Collection[str],
    findings: Findings,
) -> Iterator[tuple[Folded, bool]]:
    """Instances of which only a snapshot is left, as all their events are older than what is kept.

    `seen`: ids of those that are known to have events.
    """
    alone = _from_snapshots_alone(component, tables, snapshots, None)
    alive = ((folded, based) for folded, based in alone if folded.instance.id not in seen)
    while batch := list(islice(alive, _BATCH)):
        ids = tuple(folded.instance.id for folded, _ in batch)
        stored = {found.instance_id for found in events.instances(InstanceQuery(instance_ids=ids), limit=_BATCH).items}
        for folded, based in batch:
            if folded.instance.id not in stored:
                findings.problem(f"{folded.instance.id}: none of its events is kept; taken from its snapshot alone")
                folded.last_event_id = ""  # what the store will say is its last event
                yield folded, based


def _alive(
    component: Component,
    tables: Mapping[str, MachineTable],
    events: EventStore,
    stay: Collection[str | None],
    findings: Findings,
) -> Iterator[InstanceSummary]:
    query, cursor = InstanceQuery(components=(component.name,)), None
    while True:
        page = events.instances(query, after=cursor, limit=_PAGE, newest_first=False)
        for summary in page.items:
            table = tables.get(summary.machine_name)
            if table is None:
                findings.problem(f"{summary.instance_id}: there is no machine {summary.machine_name!r} any more")
                continue
            state = table.find_state(summary.state)
            ended = (state is not None and state.is_terminal) or _is_broken(summary, table, tables)
            if ended and summary.instance_id not in stay:
                findings.ended()
                continue
            yield summary
        cursor = page.next
        if cursor is None:
            return


def _is_broken(summary: InstanceSummary, table: MachineTable, tables: Mapping[str, MachineTable]) -> bool:
    """Whether its last transition was to make an instance of a machine that does not exist, which ended it."""
    return any(
        transition.type == "inter_machine"
        and transition.target_machine not in tables
        and (transition.event, transition.target) == (summary.last_event_type, summary.state)
        for transition in table.machine.transitions
    )


def contradicts(snapshot: InstanceSnapshot, summary: InstanceSummary, tables: Mapping[str, MachineTable]) -> str:
    """How a snapshot cannot be of this instance as its events tell of it; '' where it can."""
    instance, table = snapshot.instance, tables.get(summary.machine_name)
    if instance.machine_name != summary.machine_name:
        return f"its snapshot is of machine {instance.machine_name!r}, its events are of {summary.machine_name!r}"
    state = table.find_state(instance.current_state) if table is not None else None
    if table is None or state is None or state.is_terminal or _is_broken(summary, table, tables):
        return ""
    if snapshot.status_recorded and instance.status != "active":
        return f"its snapshot says {instance.status!r}, and state {state.name!r} ends nothing"
    return ""


def find_entry_point(component: Component, events: EventStore) -> str | None:
    """The first instance of the entry machine: registering the component made it."""
    if component.entry_machine is None:
        return None
    query = EventQuery(components=(component.name,), machines=(component.entry_machine,), event_types=(CREATION,))
    for event in events.find(query, limit=1).items:
        return event.instance_id
    return None


def _latest(
    snapshots: SnapshotStore, batch: Sequence[InstanceSummary], entered: Mapping[str, str]
) -> dict[str, InstanceSnapshot]:
    latest = dict(snapshots.get_snapshots(summary.instance_id for summary in batch))
    for instance_id in latest.keys() & entered.keys():
        if latest[instance_id].last_event_id == entered[instance_id]:
            del latest[instance_id]
            for earlier in snapshots.list_snapshots(instance_id):
                if earlier.last_event_id != entered[instance_id]:
                    latest[instance_id] = earlier
    return latest


def _read_batch(
    tables: Mapping[str, MachineTable],
    events: EventStore,
    latest: Mapping[str, InstanceSnapshot],
    batch: Sequence[InstanceSummary],
    findings: Findings,
) -> Iterator[tuple[Folded, bool]]:
    ids = [summary.instance_id for summary in batch]
    behind = [s for s in batch if s.instance_id in latest and latest[s.instance_id].last_event_id != s.last_event_id]
    later = _after_snapshots(events, [latest[summary.instance_id] for summary in behind], findings)
    whole = [i for i in ids if i not in latest or (i in later and later[i] is None)]
    # A timer that self-loops leave alone is older than what a snapshot tells: its cause stands in the events alone.
    old = [s.instance_id for s in batch if tables[s.machine_name].keeps_timers(s.state)]
    read = tuple(dict.fromkeys([*whole, *old]))
    streams = events.get_streams(read)
    based = tuple(i for i in ids if i not in streams)
    created = events.get_streams(based, event_types=(CREATION,))
    for summary in batch:
        instance_id, table = summary.instance_id, tables[summary.machine_name]
        stream, base = streams.get(instance_id), None
        folded = None if stream is None else fold(table, stream)
        if instance_id not in whole:
            base = from_snapshot(latest[instance_id], table)
            base.created = folded.created if folded else next(iter(created.get(instance_id, ())), None)
            due = folded.due if folded else None
            folded = fold(table, later.get(instance_id) or (), base)
            if folded is not None and due is not None:
                folded.due = due
        if folded is None:
            findings.problem(f"{instance_id}: its events cannot be read any more")
            continue
        for note in folded.notes:
            findings.problem(f"{instance_id}: {note}")
        yield _completed(folded, summary, table), base is not None


def _completed(folded: Folded, summary: InstanceSummary, table: MachineTable) -> Folded:
    """With what a snapshot's layout may lack."""
    instance = folded.instance
    first = instance if folded.created is None else born(folded.created, table)
    folded.instance = replace(
        instance,
        component_name=summary.component_name,
        machine_name=summary.machine_name,
        created_at=instance.created_at if instance.created_at is not None else summary.created_at,
        updated_at=instance.updated_at if instance.updated_at is not None else summary.updated_at,
        parent_instance_id=instance.parent_instance_id or first.parent_instance_id,
        parent_machine_name=instance.parent_machine_name or first.parent_machine_name,
    )
    if not folded.last_event_id:
        folded.last_event_id = summary.last_event_id
    return folded


def _after_snapshots(
    events: EventStore, snapshots: Sequence[InstanceSnapshot], findings: Findings
) -> dict[str, Sequence[PersistedEvent] | None]:
    """The events after each snapshot; None where its last event is not in the stream, so that all must be folded."""
    known = [snapshot for snapshot in snapshots if snapshot.last_event_id]
    found: dict[str, Sequence[PersistedEvent] | None] = {}
    for snapshot in snapshots:
        if not snapshot.last_event_id:
            findings.problem(f"{snapshot.instance.id}: its snapshot does not say after which event; folded all events")
            found[snapshot.instance.id] = None
    if not known:
        return found
    # The last event of a snapshot is not later than the change of the instance that it shows.
    start = min(min(snapshot.snapshot_at, snapshot.instance.updated_at or snapshot.snapshot_at) for snapshot in known)
    streams = events.get_streams((snapshot.instance.id for snapshot in known), start=start)
    for snapshot in known:
        instance_id = snapshot.instance.id
        stream = streams.get(instance_id, ())
        position = next((i for i, event in enumerate(stream) if event.id == snapshot.last_event_id), None)
        if position is None:
            findings.problem(
                f"{instance_id}: its snapshot follows event {snapshot.last_event_id!r}, which its history does not"
                " hold at about that time; folded all events"
            )
            found[instance_id] = None
        else:
            found[instance_id] = stream[position + 1 :]
    return found


def _from_snapshots_alone(
    component: Component, tables: Mapping[str, MachineTable], snapshots: SnapshotStore, findings: Findings | None
) -> Iterator[tuple[Folded, bool]]:
    for snapshot in snapshots.get_all_snapshots():
        instance = snapshot.instance
        if instance.component_name != component.name:
            continue
        table = tables.get(instance.machine_name)
        if table is None:
            if findings is not None:
                findings.problem(f"{instance.id}: there is no machine {instance.machine_name!r} any more")
            continue
        # Not every layout records the status.
        if instance.status == "active":
            instance = replace(instance, status=status_in(table.find_state(instance.current_state)))
        if instance.status != "active" and not instance.is_entry_point:
            if findings is not None:
                findings.ended()
        else:
            yield from_snapshot(replace(snapshot, instance=instance), table), True
