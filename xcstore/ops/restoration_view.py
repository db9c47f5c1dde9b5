"""Some instances of a store in hand: what the runtime's restore reads from, and what a snapshot is worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from xcstore.analysis.integrity_snapshots import judge_snapshot
from xcstore.model.definition import StateMachine
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.ops.restoration_results import SnapshotAudit, SnapshotState
from xcstore.store.base import EventQuery, InstanceQuery, InstanceSummary, Page, Stores
from xcstore.units import DurationMs, EpochMs

__all__ = ["SomeInstances", "audit_snapshot"]


class SomeInstances:
    """Some instances of a store, of which all that a restore asks for is in hand."""

    read_only = True

    def __init__(
        self,
        stores: Stores,
        summaries: Sequence[InstanceSummary],
        streams: Mapping[str, Sequence[PersistedEvent]],
        snapshots: Mapping[str, InstanceSnapshot],
        first: dict[EventQuery, Page[PersistedEvent]],
    ) -> None:
        self._stores = stores
        self._summaries = tuple(summaries)
        self._streams = streams
        self._snapshots = snapshots
        self._first = first

    def instances(self, query: InstanceQuery, **_: object) -> Page[InstanceSummary]:
        wanted = set(query.instance_ids)
        return Page(items=tuple(one for one in self._summaries if not wanted or one.instance_id in wanted))

    def find(self, query: EventQuery, *, limit: int = 100) -> Page[PersistedEvent]:
        """The first event of a machine: asked of the store once."""
        if query not in self._first:
            self._first[query] = self._stores.events.find(query, limit=limit)
        return self._first[query]

    def get_streams(
        self, instance_ids: Iterable[str], *, event_types: Sequence[str] = (), start: EpochMs | None = None
    ) -> Mapping[str, Sequence[PersistedEvent]]:
        found: dict[str, Sequence[PersistedEvent]] = {}
        for instance_id in instance_ids:
            stream = self._streams.get(instance_id, ())
            if event_types or start is not None:
                stream = order_stream(
                    event
                    for event in stream
                    if (not event_types or event.event_type in event_types)
                    and (start is None or event.persisted_at >= start)
                )
            if stream:
                found[instance_id] = stream
        return found

    def get_snapshots(self, instance_ids: Iterable[str]) -> Mapping[str, InstanceSnapshot]:
        return {name: self._snapshots[name] for name in instance_ids if name in self._snapshots}

    def list_snapshots(self, instance_id: str) -> Sequence[InstanceSnapshot]:
        return self._stores.snapshots.list_snapshots(instance_id)

    def get_all_snapshots(self) -> Iterator[InstanceSnapshot]:
        """Of instances without events; the others are asked for by id."""
        return (snapshot for name, snapshot in self._snapshots.items() if name not in self._streams)


def audit_snapshot(
    snapshot: InstanceSnapshot | None,
    stream: Sequence[PersistedEvent],
    machine: StateMachine | None,
    as_of: EpochMs,
) -> SnapshotAudit:
    """The latest snapshot of an instance against its stream, which may be empty."""
    if snapshot is None:
        return SnapshotAudit(state="none")
    audit = SnapshotAudit(
        state="no_events",
        last_event_id=snapshot.last_event_id,
        snapshot_at=snapshot.snapshot_at,
        age_ms=DurationMs(as_of - snapshot.snapshot_at),
        status_recorded=snapshot.status_recorded,
    )
    if not stream:
        return audit
    verdict = judge_snapshot(snapshot, stream, machine)
    behind: int | None = verdict.behind
    state: SnapshotState
    if snapshot.last_event_id and all(event.id != snapshot.last_event_id for event in stream):
        state, behind = "unknown_event", None
    elif any(finding.kind == "snapshot_disagrees" for finding in verdict.findings):
        state = "disagrees"
    elif behind:
        state = "behind"
    else:
        state = "agrees" if verdict.compared else "not_compared"
    anchor = None if behind is None else stream[len(stream) - 1 - behind]
    return replace(
        audit,
        state=state,
        behind=behind,
        behind_ms=None if anchor is None else DurationMs(stream[-1].persisted_at - anchor.persisted_at),
        findings=verdict.findings,
    )
