"""A snapshot against the events of its instance: behind is normal, otherwise is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from xcstore.analysis.context import RULES_UNKNOWN, Change, ContextStep, folding, path_text
from xcstore.analysis.integrity import Finding, Severity, moment_words, sentence
from xcstore.analysis.snapshots import SnapshotFacts, compare_snapshot
from xcstore.jsontext import json_text
from xcstore.model.definition import StateMachine
from xcstore.model.history import InstanceSnapshot, PersistedEvent
from xcstore.units import SECOND, DurationMs

__all__ = ["SnapshotVerdict", "judge_snapshot", "odd_snapshot", "orphan"]

NEAR_MS: Final = SECOND
"""A snapshot that names no event was stored within this of the event that it was taken after."""
SHOWN_FIELDS: Final = 20
_SHOWN_VALUE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotVerdict:
    """What one snapshot is worth."""

    behind: int
    """Events after the one that it was taken after; 0 where that is not known."""
    findings: tuple[Finding, ...] = ()
    compared: bool = True
    """Whether its values could be compared; its state always is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A step, and what makes the values that the fold has there uncertain."""

    number: int
    step: ContextStep
    code: str
    """The first note of user code up to here."""
    rules: bool
    """Whether matching rules up to here are not known."""
    late: bool
    """Whether the history starts late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """What a stream holds for one snapshot."""

    anchor: _Place | None
    """Where it was taken: after the event that it names, else after the last one up to its time."""
    near: Sequence[_Place]
    """For one that names no event, events of its state that were stored at about its time, oldest first."""
    last: _Place


def judge_snapshot(
    snapshot: InstanceSnapshot, events: Iterable[PersistedEvent], machine: StateMachine | None = None
) -> SnapshotVerdict:
    """Compare a snapshot with the fold as of the event that it was taken after.

    Parameters
    ----------
    snapshot : InstanceSnapshot
    events : iterable of PersistedEvent
        The stream of its instance, at least one event. Gone through once, and not kept.
    machine : StateMachine, optional
        Its definition: without it nobody knows which payloads were merged, nor which states end an instance.
    """
    walk = _walk(snapshot, events, machine)
    instance = snapshot.instance
    if walk.anchor is None:
        facts = compare_snapshot(snapshot, ())
        return SnapshotVerdict(behind=0, findings=(_adrift(snapshot, facts),), compared=False)
    # Where the layout has no place for the public member, what it held is not in the snapshot at all.
    compared = instance.public_member is not None or walk.last.step.holder == "context"
    facts = _compare(snapshot, walk.anchor, walk.last, values=compared)
    if _differs(facts):
        # The two were stored one after the other, by clocks of two machines perhaps.
        others = (_compare(snapshot, place, walk.last, values=compared) for place in reversed(walk.near))
        facts = next((other for other in others if not _differs(other)), facts)
    behind = facts.events_behind or 0
    findings = [_disagreement(facts, walk.anchor)] if _differs(facts) else []
    last = walk.last.step.event
    found = machine.find_state(last.state_after) if machine is not None else None
    if behind and found is not None and found.is_terminal:
        findings.append(_stale(facts, last))
    return SnapshotVerdict(behind=behind, findings=tuple(findings), compared=compared)


def orphan(snapshot: InstanceSnapshot) -> Finding:
    """A snapshot whose instance has no events."""
    return _finding(
        "snapshot_orphan",
        "warning",
        snapshot,
        f"There is a snapshot in state {snapshot.instance.current_state!r}, but no event of the instance.",
        "The events were removed, or never stored: persistence of events was off, or writes to another store.",
        (("snapshot taken", moment_words(snapshot.snapshot_at)),),
    )


def odd_snapshot(snapshot: InstanceSnapshot) -> Finding:
    """A snapshot with faults."""
    return _finding(
        "odd_document",
        "warning",
        snapshot,
        "The snapshot is stored in an odd form.",
        "Another version of the writer, a field that was lost on the way, or an edit by hand.",
        tuple((f"fault {number}", fault) for number, fault in enumerate(snapshot.faults[:20], 1)),
    )


def _differs(facts: SnapshotFacts) -> bool:
    return facts.state_agrees is False or bool(facts.changes)


def _walk(snapshot: InstanceSnapshot, events: Iterable[PersistedEvent], machine: StateMachine | None) -> _Walk:
    anchor = last = None
    near: list[_Place] = []
    code, rules, late = "", False, False
    for number, step in enumerate(folding(events, machine)):
        code = code or next((note for note in step.notes if note.startswith("user code")), "")
        rules = rules or RULES_UNKNOWN in step.notes
        late = late or (number == 0 and any("the history starts before" in note for note in step.notes))
        event = step.event
        last = _Place(number=number, step=step, code=code, rules=rules, late=late)
        if snapshot.last_event_id:
            anchor = last if event.id == snapshot.last_event_id else anchor
            continue
        if event.persisted_at <= snapshot.snapshot_at:
            anchor = last
        if (
            abs(event.persisted_at - snapshot.snapshot_at) <= NEAR_MS
            and event.state_after == snapshot.instance.current_state
        ):
            near.append(last)
    if last is None:
        raise ValueError("a snapshot is judged by the events of its instance, of which there are none")
    return _Walk(anchor=anchor, near=near, last=last)


def _compare(snapshot: InstanceSnapshot, place: _Place, last: _Place, *, values: bool) -> SnapshotFacts:
    """Facts as of one place of the stream."""
    event = place.step.event
    facts = compare_snapshot(replace(snapshot, last_event_id=event.id), (place.step,))
    return replace(
        facts,
        snapshot=snapshot,
        anchor="last event id" if snapshot.last_event_id else "time",
        events_behind=last.number - place.number,
        behind_ms=DurationMs(last.step.event.persisted_at - event.persisted_at),
        changes=facts.changes if values else None,
    )


def _disagreement(facts: SnapshotFacts, place: _Place) -> Finding:
    snapshot, step = facts.snapshot, place.step
    changes = facts.changes or ()
    soft = facts.state_agrees is not False and step.source == "folded" and bool(place.code or place.rules or place.late)
    parts = []
    if facts.state_agrees is False:
        parts.append(
            f"it says state {snapshot.instance.current_state!r}, the event it was taken after led to "
            f"{step.event.state_after!r}"
        )
    if changes:
        parts.append(f"{len(changes):,} {'value differs' if len(changes) == 1 else 'values differ'}")
    if facts.state_agrees is False:
        reason = (
            "The snapshot was taken by another runtime, or after events that were never stored."
            if facts.anchor == "last event id"
            else "It names no event, so it was matched by time; it may be of an event stored later."
        )
    elif soft:
        reason = (
            f"{sentence(place.code)}."
            if place.code
            else "The history starts late, so earlier values are not known."
            if place.late
            else "The rules of the machine are not known, so payloads may have been merged that were not, or not so."
        )
    else:
        reason = "Values were changed without an event, or the snapshot was altered."
    evidence = [
        ("compared by", facts.anchor),
        ("snapshot taken", moment_words(snapshot.snapshot_at)),
        ("event stored", moment_words(step.event.persisted_at)),
        ("events after it", f"{facts.events_behind:,}"),
        *((path_text(change.path) or "(all)", _change(change)) for change in changes[:SHOWN_FIELDS]),
    ]
    if len(changes) > SHOWN_FIELDS:
        evidence.append(("fields", f"shown {SHOWN_FIELDS} of {len(changes):,}"))
    return _finding(
        "snapshot_disagrees",
        "warning" if soft else "error",
        snapshot,
        f"The snapshot disagrees with its events: {'; '.join(parts)}.",
        reason,
        tuple(evidence),
        event_id=facts.event_id,
    )


def _adrift(snapshot: InstanceSnapshot, facts: SnapshotFacts) -> Finding:
    if facts.anchor == "last event id":
        what = f"The snapshot says that it follows event {snapshot.last_event_id!r}, which its instance does not have."
        reason = "That event was removed or never stored; restore has to fold all events instead."
    else:
        what = "The snapshot is older than the first event of its instance."
        reason = "The events that it was taken after were removed, or clocks differ."
    return _finding(
        "snapshot_disagrees", "error", snapshot, what, reason, (("snapshot taken", moment_words(snapshot.snapshot_at)),)
    )


def _stale(facts: SnapshotFacts, last: PersistedEvent) -> Finding:
    snapshot = facts.snapshot
    return _finding(
        "snapshot_stale",
        "warning",
        snapshot,
        f"The instance has ended in {last.state_after!r}, its snapshot says {snapshot.instance.current_state!r} and is "
        f"{facts.events_behind:,} {'event' if facts.events_behind == 1 else 'events'} behind.",
        "The write of the last snapshot failed, or the runtime stopped before it.",
        (("snapshot taken", moment_words(snapshot.snapshot_at)), ("ended", moment_words(last.persisted_at))),
        event_id=last.id,
    )


def _finding(
    kind: str,
    severity: Severity,
    snapshot: InstanceSnapshot,
    what: str,
    reason: str,
    evidence: tuple[tuple[str, str], ...],
    *,
    event_id: str = "",
) -> Finding:
    instance = snapshot.instance
    return Finding(
        kind=kind,
        severity=severity,
        what=what,
        reason=reason,
        evidence=evidence,
        event_id=event_id,
        instance_id=instance.id,
        component_name=instance.component_name,
        machine_name=instance.machine_name,
        page="instances",
        params={"instance": instance.id},
    )


def _change(change: Change) -> str:
    old, new = _value(change.old), _value(change.new)
    if change.kind == "added":
        return f"only in the snapshot: {new}"
    if change.kind == "removed":
        return f"not in the snapshot; by the events {old}"
    return f"by the events {old}, in the snapshot {new}"


def _value(value: object) -> str:
    text = json_text(value)
    return text if len(text) <= _SHOWN_VALUE else f"{text[: _SHOWN_VALUE - 1]}…"
