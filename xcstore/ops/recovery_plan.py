"""What a recovery of a running store would do; nothing is written.

Two things can be put right: snapshots that are missing, lag or disagree are made anew from the events, and events that
a backup has and the store lacks are added. Where the events do not tell for certain what an instance holds, its
snapshot is left alone, and that is said.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from xcstore.analysis.context import RULES_UNKNOWN, folding
from xcstore.errors import CorruptEventError, LimitExceededError, QueryError, ReadOnlyStoreError
from xcstore.jsontext import canonical_json
from xcstore.model.catalog import Catalog
from xcstore.model.definition import StateMachine
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.model.ordering import order_stream
from xcstore.ops.contents import Contents, event_document, refuse_redacted, snapshot_document
from xcstore.ops.recovery_results import (
    REASONS,
    Conflict,
    EventRepair,
    Reason,
    RecoveryPlan,
    Skipped,
    SnapshotRepair,
)
from xcstore.ops.restoration import InstanceRestoration, restorations
from xcstore.ops.restoration_problems import breaks
from xcstore.ops.verifying_definitions import Definitions
from xcstore.store.base import EventQuery, Feature, InstanceQuery, Stores
from xcstore.store.codec import check_writable, event_from_document
from xcstore.store.limits import NOTHING_WRITTEN
from xcstore.units import EpochMs

__all__ = [
    "REASONS",
    "Conflict",
    "EventRepair",
    "Reason",
    "RecoveryPlan",
    "Skipped",
    "SnapshotRepair",
    "check_recoverable",
    "fingerprint",
    "plan_recovery",
    "uncertain",
]

_STATES: Final[Mapping[str, Reason]] = {
    "none": "missing",
    "behind": "behind",
    "disagrees": "disagrees",
    "unknown_event": "unknown_event",
}
_NEEDED: Final[frozenset[Feature]] = frozenset(("append", "expected_last_id", "delete", "snapshots"))
_DOUBTS: Final = frozenset(
    (
        "gap",
        "values",
        "rolled_back",
        "late_start",
        "second_creation",
        "unknown_state",
        "no_transition",
        "other_version",
        "snapshot_uncertain",
        "no_events",
    )
)
"""Problems (`restoration_results.PROBLEMS`) with which events do not tell for certain what an instance holds."""
_BATCH: Final = 500
_ALL: Final = InstanceQuery()
_CONFLICTS: Final = 100

Progress = Callable[[int, int], None]


def check_recoverable(stores: Stores) -> None:
    """Raise where nothing can be recovered into this store.

    Raises
    ------
    ReadOnlyStoreError
        It was opened for reading, or is of another writer.
    QueryError
        Its kind cannot take back what is written, or parts of it are masked.
    """
    refuse_redacted(stores)
    if stores.events.read_only:
        raise ReadOnlyStoreError(
            f"{stores.identity} is opened for reading, or is a store of another writer, which is never written"
        )
    if _NEEDED - stores.events.declares:
        raise QueryError(
            f"{stores.identity} is of a kind that cannot take back what is written, so nothing is recovered into it"
        )


def plan_recovery(
    stores: Stores,
    catalog: Catalog,
    source: Contents | None = None,
    *,
    reasons: Iterable[Reason] = (),
    on_progress: Progress = lambda done, total: None,
) -> RecoveryPlan:
    """Say what would be written.

    Parameters
    ----------
    stores : Stores
        Only read here, without redaction.
    catalog : Catalog
        By what snapshots are made from events.
    source : Contents, optional
        A backup, a dump or another store, whose events may be lacking here. About 500 bytes of each event that is
        lacking stay in memory; into an empty store a backup goes by `restore`.
    reasons : iterable of Reason
        Snapshots to put right; none: all reasons.
    on_progress : callable
        Called with (instances done, all of them as far as known). What it raises ends the work.

    Raises
    ------
    QueryError
        Parts of the data are masked, or the store is empty and there is a source.
    StoreError
        The store failed.
    """
    refuse_redacted(stores)
    wanted = frozenset(reasons) or frozenset(REASONS)
    skipped: list[Skipped] = []
    notes: list[str] = []
    conflicts: list[Conflict] = []
    conflict_count = 0
    events: tuple[EventRepair, ...] = ()
    if source is not None:
        if not stores.events.count(EventQuery())[0].count:
            raise QueryError(f"{stores.identity} holds no events; put the backup into it with: restore")
        lacking: dict[str, list[PersistedEvent]] = {}
        for conflict in _compare(stores, source, lacking, notes):
            conflict_count += 1
            if len(conflicts) < _CONFLICTS:
                conflicts.append(conflict)
        events = tuple(_event_repairs(stores, lacking, skipped))
        notes.append("snapshots, definitions and waiting work of the backup are not taken over")
    touched = {one.instance_id for one in events}
    snapshots = tuple(_snapshot_repairs(stores, catalog, touched, wanted, skipped, on_progress))
    return RecoveryPlan(
        store=stores.identity,
        source=source.name if source is not None else None,
        asked_at=EpochMs(time.time_ns() // 1_000_000),
        snapshots=snapshots,
        events=events,
        conflicts=tuple(conflicts),
        conflict_count=conflict_count,
        skipped=tuple(skipped),
        notes=tuple(notes),
    )


def fingerprint(snapshot: InstanceSnapshot | None) -> str:
    """The same for equal snapshots; '' for none."""
    if snapshot is None:
        return ""
    return hashlib.sha256(canonical_json(snapshot_document(snapshot)).encode()).hexdigest()


def uncertain(stream: Sequence[PersistedEvent], machine: StateMachine | None) -> str:
    """Why the events do not tell for certain what their instance holds; '' where they do."""
    if machine is None:
        return "no definition of its machine is known"
    doubt = ""
    for step in folding(stream, machine):
        if step.source == "recorded":
            doubt = ""
            continue
        for note in step.notes:
            if note.startswith("user code") or note == RULES_UNKNOWN:
                doubt = note
    return doubt


# --- Events --------------------------------------------------------------------------------------------------------


def _compare(
    stores: Stores, source: Contents, lacking: dict[str, list[PersistedEvent]], notes: list[str]
) -> Iterator[Conflict]:
    """Tell of what differs, and put what is lacking into `lacking`, without its values."""
    unreadable = 0
    rows = source.events()
    while batch := list(islice(rows, _BATCH)):
        events: dict[str, PersistedEvent] = {}
        for row in batch:
            try:
                event = event_from_document(row.document)
                check_writable(event)
            except (CorruptEventError, LimitExceededError) as error:
                unreadable += 1
                if unreadable <= 3:
                    notes.append(f"left out: {row.place}: {str(error).removesuffix(NOTHING_WRITTEN)}")
            else:
                events.setdefault(event.id, event)
        found = stores.events.get_events(events)
        for event in events.values():
            there = found.get(event.id)
            if there is None:
                bare = replace(event, payload={}, public_member_snapshot=None, context=None, original=None)
                lacking.setdefault(event.instance_id, []).append(bare)
            elif _text(event) != _text(there):
                yield Conflict(
                    event_id=event.id,
                    instance_id=there.instance_id,
                    text=f"event {event.id!r} of instance {there.instance_id!r} has other content in {source.name}",
                )
    if unreadable > 3:
        notes.append(f"left out: {unreadable - 3:,} more events of the backup that cannot be stored")


def _text(event: PersistedEvent) -> str:
    return canonical_json(event_document(event))


def _event_repairs(
    stores: Stores, lacking: Mapping[str, list[PersistedEvent]], skipped: list[Skipped]
) -> Iterator[EventRepair]:
    remaining = iter(lacking)
    while ids := list(islice(remaining, _BATCH)):
        streams = stores.events.get_streams(ids)
        for instance_id in ids:
            have, add = streams.get(instance_id, ()), order_stream(lacking[instance_id])
            merged = order_stream([*have, *add])
            if len(list(breaks(merged))) > len(list(breaks(have))) + len(list(breaks(add))):
                skipped.append(
                    Skipped(
                        instance_id=instance_id,
                        reason=f"it went on otherwise here: the {len(add):,} events that only the backup has do not "
                        "fit between its own",
                    )
                )
                continue
            yield EventRepair(
                instance_id=instance_id,
                component_name=merged[-1].component_name,
                machine_name=merged[-1].machine_name,
                event_ids=tuple(event.id for event in add),
                last_event_id=have[-1].id if have else "",
                state=merged[-1].state_after,
            )


# --- Snapshots -----------------------------------------------------------------------------------------------------


def _snapshot_repairs(
    stores: Stores,
    catalog: Catalog,
    touched: set[str],
    wanted: frozenset[Reason],
    skipped: list[Skipped],
    on_progress: Progress,
) -> Iterator[SnapshotRepair]:
    """Of instances in `touched`, to which events are added, snapshots follow as soon as they are there."""
    definitions = Definitions(stores, catalog)
    total = sum(row.count for row in stores.events.count_instances(_ALL))
    waiting: list[tuple[InstanceRestoration, Reason]] = []
    for done, one in enumerate(restorations(stores, catalog), 1):
        on_progress(done, max(done, total))
        reason = _STATES.get(one.snapshot.state)
        if reason is None or reason not in wanted or one.instance_id in touched:
            continue
        doubt = next((problem for problem in one.problems if problem.kind in _DOUBTS), None)
        if one.outcome == "not_restored" or doubt is not None:
            words = doubt.text if doubt is not None else next((problem.text for problem in one.problems), "")
            skipped.append(Skipped(instance_id=one.instance_id, reason=f"{REASONS[reason]}; left alone: {words}"))
            continue
        waiting.append((one, reason))
        if len(waiting) == _BATCH:
            yield from _certain(stores, definitions, waiting, skipped)
            waiting = []
    yield from _certain(stores, definitions, waiting, skipped)


def _certain(
    stores: Stores,
    definitions: Definitions,
    waiting: Sequence[tuple[InstanceRestoration, Reason]],
    skipped: list[Skipped],
) -> Iterator[SnapshotRepair]:
    ids = [one.instance_id for one, _ in waiting]
    streams, latest = stores.events.get_streams(ids), stores.snapshots.get_snapshots(ids)
    for one, reason in waiting:
        stream = streams.get(one.instance_id, ())
        if not stream or stream[-1].id != one.last_event_id:
            skipped.append(Skipped(instance_id=one.instance_id, reason="it moves on just now"))
            continue
        last = stream[-1]
        machine = definitions.machine(last.definition_hash or "", last.component_name, last.machine_name)
        if doubt := uncertain(stream, machine):
            skipped.append(Skipped(instance_id=one.instance_id, reason=f"{REASONS[reason]}; left alone: {doubt}"))
            continue
        yield SnapshotRepair(
            instance_id=one.instance_id,
            component_name=one.component_name,
            machine_name=one.machine_name,
            reason=reason,
            state=one.state,
            last_event_id=one.last_event_id,
            replaces=fingerprint(latest.get(one.instance_id)),
            text="; ".join(problem.text for problem in one.problems if problem.kind == "snapshot_disagrees"),
        )
