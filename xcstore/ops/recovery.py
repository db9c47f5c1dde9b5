"""Recovery into a store that is in use: planned first, written to a log before each write, and taken back by that log.

Who appends meanwhile is not disturbed: an instance that moved on since the plan is left as it is. What is interrupted
can be taken back, or planned and done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from xcstore.errors import ConcurrencyError, CorruptEventError, DuplicateEventError, QueryError, StoreError
from xcstore.model.catalog import Catalog
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.ops.contents import Contents, snapshot_document
from xcstore.ops.recovery_log import AddedEvents, RecoveryLog, SavedSnapshot, ids_fingerprint
from xcstore.ops.recovery_plan import (
    REASONS,
    Conflict,
    EventRepair,
    Reason,
    RecoveryPlan,
    Skipped,
    SnapshotRepair,
    check_recoverable,
    fingerprint,
    plan_recovery,
    uncertain,
)
from xcstore.ops.recovery_undo import UndoReport, undo
from xcstore.ops.restoration_problems import breaks
from xcstore.ops.verifying_definitions import Definitions
from xcstore.runtime.clock import SimulatedClock
from xcstore.runtime.engine import FSMRuntime
from xcstore.runtime.folding import fold
from xcstore.runtime.restoring import find_entry_point
from xcstore.runtime.reviving import Reviver, start_timers
from xcstore.store.base import InstanceQuery, Stores
from xcstore.store.codec import event_from_document
from xcstore.units import EpochMs

__all__ = [
    "REASONS",
    "Conflict",
    "EventRepair",
    "Reason",
    "RecoveryPlan",
    "RecoveryReport",
    "Skipped",
    "SnapshotRepair",
    "UndoReport",
    "check_recoverable",
    "plan_recovery",
    "recover",
    "undo",
]

BATCH: Final = 100
"""Snapshots that are written to the log together, before any of them is saved."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """What was written."""

    events: int
    snapshots: int
    skipped: tuple[Skipped, ...]
    """What was planned, and left as it is."""
    log: Path

    def document(self) -> dict[str, object]:
        return {
            "events": self.events,
            "snapshots": self.snapshots,
            "skipped": [{"instance_id": one.instance_id, "reason": one.reason} for one in self.skipped],
            "log": str(self.log),
        }


def recover(
    stores: Stores,
    catalog: Catalog,
    plan: RecoveryPlan,
    log: Path,
    source: Contents | None = None,
    *,
    on_progress: Progress = lambda done, total: None,
) -> RecoveryReport:
    """Do what `plan` says, as far as the store is still as it was.

    Parameters
    ----------
    stores : Stores
        Open for writing, to keep as many snapshots as there are (`pruning.ALL_SNAPSHOTS`), without redaction.
    catalog : Catalog
    plan : RecoveryPlan
        Of this store.
    log : Path
        A new file. `undo` takes everything back by it.
    source : Contents, optional
        The one that was planned with, where events are to be added.
    on_progress : callable
        Called with (events and snapshots done, all that are planned). What it raises ends the work.

    Raises
    ------
    QueryError
        The plan has conflicts, or is of another store or source; or the log cannot be written.
    ReadOnlyStoreError
        The store cannot be written.
    StoreError
        The store failed. What was written so far stays, and is in the log.
    """
    check_recoverable(stores)
    if plan.conflicts:
        raise QueryError(
            f"{plan.conflict_count:,} events have other content in {plan.source}, the first is "
            f"{plan.conflicts[0].event_id!r}; nothing was written"
        )
    if plan.store != stores.identity:
        raise QueryError(f"the plan is of {plan.store}, not of {stores.identity}; nothing was written")
    if plan.events and (source is None or source.name != plan.source):
        raise QueryError(f"the plan takes events from {plan.source}; give that as the source; nothing was written")
    with RecoveryLog(log, new=True) as written:
        written.begin(stores.identity, plan.source, time.time_ns() // 1_000_000)
        run = _Recovery(stores, catalog, plan, written, on_progress)
        if source is not None and plan.events:
            run.add_events(source)
        run.save_snapshots()
        written.mark("done")
    return RecoveryReport(events=run.events, snapshots=run.snapshots, skipped=tuple(run.skipped), log=log)


class _Recovery:
    def __init__(
        self, stores: Stores, catalog: Catalog, plan: RecoveryPlan, log: RecoveryLog, on_progress: Progress
    ) -> None:
        self._stores = stores
        self._catalog = catalog
        self._plan = plan
        self._log = log
        self._progress = on_progress
        self._done = 0
        self._added: list[SnapshotRepair] = []
        self.events = self.snapshots = 0
        self.skipped: list[Skipped] = []

    def add_events(self, source: Contents) -> None:
        """An instance as soon as all that is to be added to it has been read."""
        repairs = {one.instance_id: one for one in self._plan.events}
        wanted = {event_id for one in self._plan.events for event_id in one.event_ids}
        waiting: dict[str, list[PersistedEvent]] = {}
        for row in source.events():
            if row.document.get("id") not in wanted:
                continue
            try:
                event = event_from_document(row.document)
            except CorruptEventError:  # it could be read when it was planned
                continue
            wanted.discard(event.id)
            group = waiting.setdefault(event.instance_id, [])
            group.append(event)
            if event.instance_id in repairs and len(group) == len(repairs[event.instance_id].event_ids):
                self._add(repairs.pop(event.instance_id), order_stream(waiting.pop(event.instance_id)))
        for left in repairs.values():
            self._skip(left.instance_id, "the source does not hold all of its events any more", len(left.event_ids))

    def _add(self, repair: EventRepair, events: Sequence[PersistedEvent]) -> None:
        store, instance_id = self._stores.events, repair.instance_id
        have = [event.id for event in store.get_events_for_instance(instance_id)]
        last = have[-1] if have else ""
        if last != repair.last_event_id or set(have) & set(repair.event_ids):
            self._skip(instance_id, "it moved on since the plan was made", len(events))
            return
        ids = tuple(event.id for event in events)
        self._log.events(AddedEvents(instance_id=instance_id, event_ids=ids, before=ids_fingerprint(have)))
        mine, added = {last, *ids}, 0
        try:
            for event in events:
                store.append(event, expected_last_id=last)
                added += 1
                # What is older than the last event does not become the last: the store says which is.
                last = self._last(instance_id)
                if last not in mine:
                    raise ConcurrencyError(f"instance {instance_id!r} moved on")
        except (ConcurrencyError, DuplicateEventError):
            store.delete_events(ids[:added])
            self._skip(instance_id, "it moved on while its events were added; they were taken out again", len(events))
            return
        except BaseException:
            with suppress(StoreError):  # else the log tells
                store.delete_events(ids[:added])
            raise
        self.events += len(events)
        self._step(len(events))
        self._added.append(
            SnapshotRepair(
                instance_id=instance_id,
                component_name=repair.component_name,
                machine_name=repair.machine_name,
                reason="events_added",
                state=repair.state,
                last_event_id=last,
                replaces=fingerprint(self._stores.snapshots.get_snapshot(instance_id)),
            )
        )

    def _last(self, instance_id: str) -> str:
        found = self._stores.events.instances(InstanceQuery(instance_ids=(instance_id,)), limit=1).items
        return found[0].last_event_id if found else ""

    def save_snapshots(self) -> None:
        remaining = iter((*self._plan.snapshots, *self._added))
        while repairs := list(islice(remaining, BATCH)):
            made = self._made(repairs)
            kept = {one.instance.id: self._stores.snapshots.list_snapshots(one.instance.id) for one in made}
            self._log.snapshots(
                SavedSnapshot(
                    instance_id=one.instance.id,
                    before=tuple(snapshot_document(each) for each in kept[one.instance.id]),
                    after=snapshot_document(one),
                )
                for one in made
            )
            replaced = {one.instance_id: one.replaces for one in repairs}
            for one in made:
                instance_id = one.instance.id
                # A runtime at work may have saved a newer one since.
                if fingerprint(self._stores.snapshots.get_snapshot(instance_id)) != replaced[instance_id]:
                    self._skip(instance_id, "its snapshot was replaced meanwhile")
                elif self._last(instance_id) != one.last_event_id:
                    self._skip(instance_id, "it moved on meanwhile")
                else:
                    self._stores.snapshots.save_snapshot(one)
                    self.snapshots += 1
            self._step(sum(one.reason != "events_added" for one in repairs))

    def _made(self, repairs: Sequence[SnapshotRepair]) -> list[InstanceSnapshot]:
        """The snapshots, of those that are still as they were."""
        ids = [one.instance_id for one in repairs]
        streams, latest = self._stores.events.get_streams(ids), self._stores.snapshots.get_snapshots(ids)
        definitions = Definitions(self._stores, self._catalog)
        found: dict[str, list[tuple[SnapshotRepair, Sequence[PersistedEvent]]]] = {}
        for one in repairs:
            stream = streams.get(one.instance_id, ())
            if not stream or stream[-1].id != one.last_event_id:
                self._skip(one.instance_id, "it moved on since the plan was made")
                continue
            if fingerprint(latest.get(one.instance_id)) != one.replaces:
                self._skip(one.instance_id, "its snapshot was replaced since the plan was made")
                continue
            last = stream[-1]
            machine = definitions.machine(last.definition_hash or "", last.component_name, last.machine_name)
            doubt = uncertain(stream, machine) or next((problem.text for problem in breaks(stream)), "")
            if doubt:
                self._skip(one.instance_id, f"no snapshot was made: {doubt}")
                continue
            found.setdefault(last.component_name, []).append((one, stream))
        made: list[InstanceSnapshot] = []
        for name, group in found.items():
            made += self._of_component(name, [stream for _, stream in group], latest.get)
        return made

    def _of_component(
        self,
        name: str,
        streams: Iterable[Sequence[PersistedEvent]],
        latest: Callable[[str], InstanceSnapshot | None],
    ) -> list[InstanceSnapshot]:
        """As the runtime itself would take them now."""
        component = self._catalog.find_component(name)
        now = EpochMs(time.time_ns() // 1_000_000)
        streams = list(streams)
        if component is None:
            for stream in streams:
                self._skip(stream[0].instance_id, f"no snapshot was made: no definition of {name!r} is known")
            return []
        runtime = FSMRuntime(
            component, event_sourcing=False, snapshots=False, clock=SimulatedClock(now), environment={}
        )
        population = runtime.executor.population
        reviver = Reviver(runtime.executor, runtime.persistence)
        entry_point = find_entry_point(component, self._stores.events)
        ids = []
        for stream in streams:
            instance_id = stream[0].instance_id
            table = population.tables.get(stream[-1].machine_name)
            folded = fold(table, stream) if table is not None else None
            if folded is None:
                self._skip(instance_id, f"no snapshot was made: {name!r} has no machine {stream[-1].machine_name!r}")
                continue
            earlier = latest(instance_id)
            folded.instance = replace(
                folded.instance,
                machine_name=stream[-1].machine_name,
                is_entry_point=instance_id == entry_point or (earlier is not None and earlier.instance.is_entry_point),
                # No event tells of it.
                internal_member=earlier.instance.internal_member
                if earlier is not None and earlier.instance.internal_member
                else folded.instance.internal_member,
            )
            reviver.add(folded, keep=True)
            ids.append(instance_id)
        start_timers([reviver])
        made = []
        for instance_id in ids:
            live = population.by_id[instance_id]
            made.append(
                InstanceSnapshot(
                    instance=live.to_instance(name),
                    snapshot_at=now,
                    last_event_id=live.last_event_id,
                    pending_timeouts=tuple(live.pending(now)),
                )
            )
        return made

    def _skip(self, instance_id: str, reason: str, count: int = 0) -> None:
        self.skipped.append(Skipped(instance_id=instance_id, reason=reason))
        self._step(count)

    def _step(self, count: int) -> None:
        self._done += count
        self._progress(self._done, max(self._done, self._plan.writes))
