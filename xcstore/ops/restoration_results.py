"""What bringing a store back would give, instance by instance: the results of `ops.restoration`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from xcstore.analysis.context import Change, path_text
from xcstore.analysis.integrity import Finding
from xcstore.model.history import Instance
from xcstore.units import DurationMs, EpochMs

__all__ = [
    "PROBLEMS",
    "Base",
    "ComponentRestoration",
    "InstanceRestoration",
    "Outcome",
    "Problem",
    "RestorationReport",
    "RestoredTimer",
    "SnapshotAudit",
    "SnapshotState",
]

Outcome = Literal["restored", "ended", "not_restored"]
"""`ended`: it has come to its end and stays there, so no runtime needs it."""
Base = Literal["snapshot", "snapshot_and_events", "events", "none"]
SnapshotState = Literal["agrees", "behind", "disagrees", "unknown_event", "not_compared", "none", "no_events"]
"""`behind`: it agrees as of its own event, and others follow. `not_compared`: its state agrees; its layout has no place
for the values. `none`: there is no snapshot. `no_events`: there is, and no event of the instance."""

PROBLEMS: Final[Mapping[str, str]] = {
    "not_stored": "nothing is stored under this id",
    "no_component": "its events name no component",
    "no_definition": "no definition of its component is known",
    "no_machine": "its component has no such machine any more",
    "unreadable": "its events could not be read",
    "unknown_state": "it is in a state that its definition does not have",
    "unknown_timer": "its snapshot has a timer that its definition does not have",
    "no_transition": "its definition does not have a transition that it took",
    "other_version": "its events are stamped with another version of its definition",
    "gap": "an event leaves a state that no event before it led to",
    "rolled_back": "an event leaves a state that it was in earlier, not the one where the event before it ended",
    "values": "an event records other values than its payload gives",
    "chain_break": "an event does not go on where its snapshot stands",
    "late_start": "its history does not begin with its creation",
    "second_creation": "it was created twice",
    "no_events": "only its snapshot is left",
    "no_event_named": "its snapshot does not say after which event it was taken",
    "unknown_event": "its snapshot follows an event that is not in its history",
    "event_too_early": "its snapshot names an event that was stored long before it",
    "snapshot_disagrees": "its snapshot disagrees with its events",
    "snapshot_rolled_back": "its snapshot shows a state that it had after another event than the one that it names",
    "snapshot_uncertain": "its snapshot differs from its events, which may not tell all",
    "snapshot_stale": "it has ended, and its snapshot does not show that",
    "differs": "what a runtime brings back is not what its events say",
    "other": "other",
}
"""Kinds of problems, and what each means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something to know about one instance; whether it was brought back is told by its outcome."""

    kind: str
    """A key of `PROBLEMS`."""
    text: str
    event_id: str = ""
    """The event that it is about, where it is about one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredTimer:
    """A timer that would run again."""

    event_type: str
    due: EpochMs
    remaining_ms: DurationMs
    """0 where it is overdue."""
    overdue: bool
    """It fell due meanwhile, and would fire once when the runtime goes on."""
    cause: str
    """The event that started it; '' where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotAudit:
    """The latest snapshot of an instance against its events."""

    state: SnapshotState
    last_event_id: str = ""
    """The event that it names; '' where it names none, and was matched by time."""
    snapshot_at: EpochMs | None = None
    age_ms: DurationMs | None = None
    behind: int | None = None
    """Events after it; None where that is not known."""
    behind_ms: DurationMs | None = None
    """From the event it was taken after to the last one."""
    status_recorded: bool = True
    findings: tuple[Finding, ...] = ()
    """How it disagrees, field by field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRestoration:
    """What could be brought back of one instance, and what could not."""

    instance_id: str
    component_name: str
    machine_name: str
    outcome: Outcome
    base: Base
    """What it was brought back from; `none` for those that were not."""
    events: int
    """Stored."""
    folded: int
    """Events that had to be folded."""
    state: str
    """By its last event; by the snapshot where no event is left."""
    last_event_id: str = ""
    last_event_at: EpochMs | None = None
    instance: Instance | None = None
    """As a runtime holds it; of one that ended, as its events say."""
    timers: tuple[RestoredTimer, ...] = ()
    work: int = 0
    """Pieces of work that wait for it."""
    agrees: bool | None = None
    """Whether what was brought back is what all events fold to; None where nothing was, no event is left, or the first
    events are not there and a snapshot tells what was before."""
    changes: tuple[Change, ...] = ()
    """Fields that differ, from what all events fold to, to what was brought back."""
    snapshot: SnapshotAudit
    problems: tuple[Problem, ...] = ()

    def document(self) -> dict[str, object]:
        """As JSON: everything but the values of the instance."""
        return {
            "instance": self.instance_id,
            "component": self.component_name,
            "machine": self.machine_name,
            "outcome": self.outcome,
            "base": self.base,
            "events": self.events,
            "folded": self.folded,
            "state": self.state,
            "brought_back_state": self.instance.current_state if self.instance is not None else None,
            "last_event": self.last_event_id,
            "last_event_at": self.last_event_at,
            "timers": [asdict(timer) for timer in self.timers],
            "work": self.work,
            "agrees": self.agrees,
            "changes": [path_text(change.path) or "(all)" for change in self.changes],
            "snapshot": {
                "state": self.snapshot.state,
                "at": self.snapshot.snapshot_at,
                "age_ms": self.snapshot.age_ms,
                "behind": self.snapshot.behind,
                "behind_ms": self.snapshot.behind_ms,
                "last_event": self.snapshot.last_event_id,
            },
            "problems": [asdict(problem) for problem in self.problems],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentRestoration:
    """The instances of one component, counted."""

    component_name: str
    instances: int
    restored: int
    from_snapshot: int
    """Of those restored, from a snapshot, with or without events after it."""
    ended: int
    not_restored: int
    timers: int
    """Running on."""
    overdue: int
    """Would fire once on going on."""
    work: int
    """Pieces of work that wait, those for no certain instance included."""
    problems: Mapping[str, int] = field(hash=False)
    """Instances by kind of problem."""
    snapshots: Mapping[SnapshotState, int] = field(hash=False)
    """Instances by what their snapshot is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationReport:
    """A whole store, or the instances that were asked for."""

    store: str
    as_of: EpochMs
    """What the clock of the runtime says: timers run on from there."""
    asked_at: EpochMs
    seconds: float
    components: tuple[ComponentRestoration, ...]
    told: tuple[InstanceRestoration, ...]
    """The first of those that were not brought back, or have problems."""
    told_of: int
    """How many there are of these."""
    notes: tuple[str, ...] = ()

    @property
    def instances(self) -> int:
        return sum(one.instances for one in self.components)

    @property
    def restored(self) -> int:
        return sum(one.restored for one in self.components)

    @property
    def ended(self) -> int:
        return sum(one.ended for one in self.components)

    @property
    def not_restored(self) -> int:
        return sum(one.not_restored for one in self.components)

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "store": self.store,
            "as_of": self.as_of,
            "asked_at": self.asked_at,
            "seconds": round(self.seconds, 3),
            "instances": self.instances,
            "restored": self.restored,
            "ended": self.ended,
            "not_restored": self.not_restored,
            "components": [asdict(one) for one in self.components],
            "told": [one.document() for one in self.told],
            "told_of": self.told_of,
            "notes": list(self.notes),
        }
