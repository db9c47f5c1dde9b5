"""What a stream and a snapshot tell of events that were lost, and what a restart explains as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from xcstore.analysis.context import diff, folding, path_text, same_json
from xcstore.analysis.integrity import Finding
from xcstore.model.definition import StateMachine
from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.ops.restoration_results import Problem, SnapshotAudit

__all__ = ["altered_values", "breaks", "snapshot_problems"]


def breaks(stream: Sequence[PersistedEvent]) -> Iterator[Problem]:
    """Where an event does not go on from the one before it.

    A runtime that restarts from an old snapshot, or a second one, goes on from a state that the instance held earlier.
    A state that it never held is another matter: the event that led there is not in the store, or one was altered.
    """
    held = {stream[0].state_before, stream[0].state_after} if stream else set()
    for one, two in pairwise(stream):
        if one.state_after != two.state_before and not (two.event_type == CREATION and two.state_before == ""):
            earlier = two.state_before in held
            where = "where it was earlier" if earlier else "where none of its events led"
            yield Problem(
                kind="rolled_back" if earlier else "gap",
                text=f"event {two.id!r} leaves {two.state_before!r}, {where}; the event before it, {one.id!r}, ended "
                f"in {one.state_after!r}",
                event_id=two.id,
            )
        held.add(two.state_after)


def altered_values(stream: Sequence[PersistedEvent], machine: StateMachine | None) -> Iterator[Problem]:
    """Events of our own runtime whose recorded values are not what their payload makes of those before.

    Where user code runs, or the rules are not known, nobody can tell; nor for events of others, whose runtime records
    values that change later.
    """
    if machine is None or not any(event.definition_hash for event in stream):
        return
    for step in folding(stream, machine):
        if step.agrees is False and not step.notes and step.event.definition_hash:
            changes = diff(step.folded, step.values)
            shown = ", ".join(path_text(change.path) or "(all)" for change in changes[:3])
            more = f", shown 3 of {len(changes):,}" if len(changes) > 3 else ""
            yield Problem(
                kind="values",
                text=f"event {step.event.id!r} records other values than its payload gives: {shown}{more}",
                event_id=step.event.id,
            )


def snapshot_problems(
    snapshot: InstanceSnapshot, audit: SnapshotAudit, stream: Sequence[PersistedEvent]
) -> Iterator[Problem]:
    """How a snapshot disagrees with its events, and whether that need be damage."""
    for finding in audit.findings:
        kind = finding.kind
        if kind == "snapshot_disagrees":
            if finding.severity != "error" or not snapshot.last_event_id:
                kind = "snapshot_uncertain"  # values that no event tells, or an event that was guessed by time
            elif _is_of_earlier(snapshot, stream):
                kind = "snapshot_rolled_back"
        yield Problem(kind=kind, text=_words(finding), event_id=finding.event_id)


def _is_of_earlier(snapshot: InstanceSnapshot, stream: Sequence[PersistedEvent]) -> bool:
    """Whether it shows the instance as it was after some other event, as the TypeScript runtime does after a restart.

    Ours never does: its events are stamped with their definition.
    """
    if any(event.definition_hash for event in stream):
        return False
    instance = snapshot.instance
    held = instance.public_member if instance.public_member is not None else instance.context
    state = instance.current_state
    named = next(event for event in stream if event.id == snapshot.last_event_id)
    if named.state_after != state:
        return any(event.state_after == state for event in stream)
    return any(step.event.state_after == state and same_json(step.values, held) for step in folding(stream))


def _words(finding: Finding) -> str:
    fields = [f"{label}: {text}" for label, text in finding.evidence if text.startswith(_DIFFERENCES)]
    shown = "; ".join(fields[:3]) + (f"; shown 3 of {len(fields):,}" if len(fields) > 3 else "")
    return f"{finding.what} {shown}".rstrip()


_DIFFERENCES = ("by the events ", "only in the snapshot: ", "not in the snapshot; ")
"""How the evidence of a value that differs begins; see `analysis.integrity_snapshots`."""
