"""Some instances at a time, brought back by the runtime's own restore into a runtime that is thrown away.

Each stream is read once: the runtime's restore reads from what is in hand here, and what it brings back is held
against the fold of all events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

from xcstore.analysis.context import Change, diff
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component, StateMachine
from xcstore.model.history import Instance, InstanceSnapshot, PersistedEvent
from xcstore.ops.restoration_problems import altered_values, breaks, snapshot_problems
from xcstore.ops.restoration_results import (
    PROBLEMS,
    Base,
    InstanceRestoration,
    Outcome,
    Problem,
    RestoredTimer,
)
from xcstore.ops.restoration_view import SomeInstances, audit_snapshot
from xcstore.ops.verifying_definitions import Definitions
from xcstore.runtime.clock import SimulatedClock
from xcstore.runtime.engine import FSMRuntime
from xcstore.runtime.folding import Folded, fold
from xcstore.runtime.interpreter import MachineTable
from xcstore.runtime.restoring import Findings, contradicts, read_live
from xcstore.runtime.reviving import Reviver, start_timers
from xcstore.store.base import (
    EventQuery,
    EventStore,
    InstanceSummary,
    Page,
    SnapshotStore,
    StoredWork,
    Stores,
)
from xcstore.units import DurationMs, EpochMs

__all__ = ["Restorer"]

_KINDS: Final = (
    ("there is no machine", "no_machine"),
    ("its snapshot does not say after which event", "no_event_named"),
    ("its snapshot follows event", "unknown_event"),
    ("none of its events is kept", "no_events"),
    ("its events cannot be read", "unreadable"),
    ("the definition has no state", "unknown_state"),
    ("the definition has no timer", "unknown_timer"),
    ("the definition has no transition", "no_transition"),
    ("the stream does not begin", "late_start"),
    ("the stream holds a second creation", "second_creation"),
    ("an event leaves", "chain_break"),
    ("its snapshot is of machine", "snapshot_disagrees"),
    ("its snapshot says", "snapshot_disagrees"),
)
"""How the runtime begins what it says, and which problem that is."""
_TOO_EARLY: Final = Problem(
    kind="event_too_early",
    text="its snapshot names an event that was stored before the change that it shows; folded all events",
)
"""The runtime looks for it among the events from that change on, and so does not find it."""


class Restorer:
    """Brings instances back, a batch at a time.

    Parameters
    ----------
    stores : Stores
        Only read.
    catalog : Catalog
    as_of : EpochMs
        What the clock of the runtime says.
    """

    def __init__(self, stores: Stores, catalog: Catalog, as_of: EpochMs) -> None:
        self.stores: Final = stores
        self.catalog: Final = catalog
        self.as_of: Final = as_of
        self.definitions: Final = Definitions(stores, catalog)
        self._work = list(stores.events.get_outbox())
        self._waiting = Counter(
            (one.component_name, instance) for one in self._work if isinstance(instance := _part(one, "instance"), str)
        )
        self._entered: dict[str, dict[str, str]] = {}
        for one in self._work:
            entered, event_id = _part(one, "instance"), _part(one, "eventId")
            if _part(one, "kind") == "entered" and isinstance(entered, str) and isinstance(event_id, str):
                self._entered.setdefault(one.component_name, {})[entered] = event_id
        self._first: dict[EventQuery, Page[PersistedEvent]] = {}

    @property
    def work(self) -> Mapping[str, int]:
        """Pieces of work that wait, by component."""
        return Counter(one.component_name for one in self._work)

    def restore(self, summaries: Sequence[InstanceSummary]) -> list[InstanceRestoration]:
        """In the order of the summaries; without those whose events were removed meanwhile."""
        ids = [one.instance_id for one in summaries]
        streams = self.stores.events.get_streams(ids)
        snapshots = self.stores.snapshots.get_snapshots(ids)
        # The stream may be of a later moment than the summary.
        found = [_as_of(one, streams[one.instance_id]) for one in summaries if one.instance_id in streams]
        by_component: dict[str, list[InstanceSummary]] = {}
        for one in found:
            by_component.setdefault(one.component_name, []).append(one)
        told: dict[str, InstanceRestoration] = {}
        for name, group in by_component.items():
            brought = _Brought(self, name, group, streams, snapshots)
            for one in group:
                told[one.instance_id] = self._tell(one, streams[one.instance_id], snapshots, brought)
        return [told[one.instance_id] for one in found]

    def restore_orphans(self, snapshots: Sequence[InstanceSnapshot]) -> list[InstanceRestoration]:
        """Instances of which there is a snapshot and no event."""
        told = []
        for snapshot in snapshots:
            instance = snapshot.instance
            brought = _Brought(self, instance.component_name, (), {}, {instance.id: snapshot})
            outcome, problems = brought.outcome(instance.id)
            back = brought.folded.get(instance.id)
            if outcome != "not_restored" and not any(problem.kind == "no_events" for problem in problems):
                problems = [Problem(kind="no_events", text="none of its events is kept"), *problems]
            told.append(
                InstanceRestoration(
                    instance_id=instance.id,
                    component_name=instance.component_name,
                    machine_name=instance.machine_name,
                    outcome=outcome,
                    base="snapshot" if back is not None else "none",
                    events=0,
                    folded=0,
                    state=instance.current_state,
                    last_event_id=snapshot.last_event_id,
                    instance=back.instance if back is not None else None,
                    timers=brought.timers(instance.id),
                    work=self._waiting[instance.component_name, instance.id],
                    snapshot=audit_snapshot(snapshot, (), None, self.as_of),
                    problems=tuple(problems),
                )
            )
        return told

    def bring_back(self, name: str, summaries: Sequence[InstanceSummary], into: Reviver) -> None:
        """Let those of one component live in a runtime that stays."""
        ids = [one.instance_id for one in summaries]
        streams, snapshots = self.stores.events.get_streams(ids), self.stores.snapshots.get_snapshots(ids)
        found = [_as_of(one, streams[one.instance_id]) for one in summaries if one.instance_id in streams]
        entered = self.entered(name)
        tables = into.executor.population.tables
        for folded, _ in self.read(into.executor.component, tables, found, streams, snapshots, into):
            into.add(folded, keep=folded.instance.id in entered)

    def read(
        self,
        component: Component,
        tables: Mapping[str, MachineTable],
        summaries: Sequence[InstanceSummary],
        streams: Mapping[str, Sequence[PersistedEvent]],
        snapshots: Mapping[str, InstanceSnapshot],
        findings: Findings,
    ) -> Iterator[tuple[Folded, bool]]:
        """What the runtime's own restore makes of these; see `runtime.restoring.read_live`."""
        view = SomeInstances(self.stores, summaries, streams, snapshots, self._first)
        entered = self.entered(component.name)
        return read_live(component, tables, cast(EventStore, view), cast(SnapshotStore, view), entered, findings)

    def entered(self, component_name: str) -> Mapping[str, str]:
        """Instances whose method on entry is still to run, by the event that entered."""
        return self._entered.get(component_name, {})

    def work_of(self, component_name: str) -> Sequence[StoredWork]:
        return [one for one in self._work if one.component_name == component_name]

    def _tell(
        self,
        summary: InstanceSummary,
        stream: Sequence[PersistedEvent],
        snapshots: Mapping[str, InstanceSnapshot],
        brought: _Brought,
    ) -> InstanceRestoration:
        instance_id, last = summary.instance_id, stream[-1]
        table = brought.tables.get(summary.machine_name)
        whole = fold(table, stream) if table is not None else None
        back = brought.folded.get(instance_id)
        snapshot = snapshots.get(instance_id)
        machine, odd = self._machine(last), ""
        audit = audit_snapshot(snapshot, stream, machine, self.as_of)
        if snapshot is not None and (odd := contradicts(snapshot, summary, brought.tables)):
            audit = replace(audit, state="disagrees")
        outcome, problems = brought.outcome(instance_id)
        if odd and not any(problem.kind == "snapshot_disagrees" for problem in problems):
            problems.append(Problem(kind="snapshot_disagrees", text=odd))  # it has ended, so no runtime reads it
        if audit.state != "unknown_event":
            problems = [_TOO_EARLY if problem.kind == "unknown_event" else problem for problem in problems]
        notes = [_problem(note) for note in (whole.notes if whole is not None else ())]
        problems += [note for note in notes if note.kind != "chain_break"]
        if broken := list(breaks(stream)):  # the runtime says so too, in other words
            problems = [*(one for one in problems if one.kind != "chain_break"), *broken]
        else:  # with two runtimes at work, each has values of its own
            problems += altered_values(stream, machine)
        if snapshot is not None and audit.state != "unknown_event":
            problems += snapshot_problems(snapshot, audit, stream)
        if brought.component is not None and last.definition_hash not in (None, brought.component.hash):
            problems.append(
                Problem(kind="other_version", text=f"its last event is stamped {str(last.definition_hash)[:12]}…")
            )
        agrees: bool | None = None
        changes: tuple[Change, ...] = ()
        # Of a history that starts late nobody knows what was before, but for a snapshot.
        is_late = any(note.kind == "late_start" for note in notes)
        if back is not None and whole is not None and not (is_late and brought.based[instance_id]):
            changes = diff(_values(whole.instance), _values(back.instance))
            agrees = not changes and whole.instance.current_state == back.instance.current_state
            if not agrees:
                problems.append(_difference(whole.instance, back.instance, len(changes)))
        folded = back.events if back is not None else 0
        base: Base = "none"
        if back is not None:
            base = "events" if not brought.based[instance_id] else "snapshot_and_events" if folded else "snapshot"
        return InstanceRestoration(
            instance_id=instance_id,
            component_name=summary.component_name,
            machine_name=summary.machine_name,
            outcome=outcome,
            base=base,
            events=len(stream),
            folded=folded,
            state=last.state_after,
            last_event_id=last.id,
            last_event_at=last.persisted_at,
            instance=back.instance if back is not None else whole.instance if whole is not None else None,
            timers=brought.timers(instance_id),
            work=self._waiting[summary.component_name, instance_id],
            agrees=agrees,
            changes=changes,
            snapshot=audit,
            problems=tuple(dict.fromkeys(problems)),
        )

    def _machine(self, event: PersistedEvent) -> StateMachine | None:
        return self.definitions.machine(event.definition_hash or "", event.component_name, event.machine_name)


class _Brought:
    """One component's part of a batch, in a runtime of its own; takes what the reading finds out."""

    def __init__(
        self,
        restorer: Restorer,
        name: str,
        summaries: Sequence[InstanceSummary],
        streams: Mapping[str, Sequence[PersistedEvent]],
        snapshots: Mapping[str, InstanceSnapshot],
    ) -> None:
        self.component = restorer.catalog.find_component(name) if name else None
        self._name = name
        self._ids = {one.instance_id for one in summaries} or set(snapshots)
        self._now = restorer.as_of
        self._problems: dict[str, list[Problem]] = {}
        self.folded: dict[str, Folded] = {}
        self.based: dict[str, bool] = {}
        self._reviver: Reviver | None = None
        self._overdue: set[tuple[str, str]] = set()
        self.tables: Mapping[str, MachineTable] = {}
        if self.component is None:
            return
        runtime = FSMRuntime(
            self.component, event_sourcing=False, snapshots=False, clock=SimulatedClock(self._now), environment={}
        )
        self.tables = runtime.executor.population.tables
        self._reviver = reviver = Reviver(runtime.executor, runtime.persistence)
        entered = restorer.entered(name)
        for folded, based in restorer.read(self.component, self.tables, summaries, streams, snapshots, self):
            self.folded[folded.instance.id], self.based[folded.instance.id] = folded, based
            reviver.add(folded, keep=folded.instance.id in entered)
        start_timers([reviver])
        self._overdue = {(live.id, timer.event_type) for live, timer in reviver.expired}

    def ended(self) -> None:
        """Told by what is left: neither brought back, nor a problem."""

    def problem(self, text: str) -> None:
        # An id may hold ': ' too, so the longest beginning that is one counts.
        ends = [at for at in range(len(text)) if text.startswith(": ", at) and text[:at] in self._ids]
        if ends:
            self._problems.setdefault(text[: ends[-1]], []).append(_problem(text[ends[-1] + 2 :]))

    def outcome(self, instance_id: str) -> tuple[Outcome, list[Problem]]:
        if self.component is None:
            kind = "no_definition" if self._name else "no_component"
            where = f": {self._name}" if self._name else ""
            return "not_restored", [Problem(kind=kind, text=f"{PROBLEMS[kind]}{where}")]
        problems = list(self._problems.get(instance_id, ()))
        if instance_id in self.folded:
            return "restored", problems
        if any(problem.kind in ("no_machine", "unreadable") for problem in problems):
            return "not_restored", problems
        return "ended", problems

    def timers(self, instance_id: str) -> tuple[RestoredTimer, ...]:
        live = None if self._reviver is None else self._reviver.executor.population.find(instance_id)
        if live is None:
            return ()
        return tuple(
            RestoredTimer(
                event_type=timer.event_type,
                due=timer.due,
                remaining_ms=DurationMs(max(0, timer.due - self._now)),
                overdue=(instance_id, timer.event_type) in self._overdue,
                cause=next(iter(timer.causes), ""),
            )
            for timer in live.timers.values()
        )


def _as_of(summary: InstanceSummary, stream: Sequence[PersistedEvent]) -> InstanceSummary:
    last = stream[-1]
    if last.id == summary.last_event_id:
        return summary
    return replace(
        summary,
        state=last.state_after,
        updated_at=last.persisted_at,
        event_count=len(stream),
        last_event_id=last.id,
        last_event_type=last.event_type,
    )


def _problem(text: str) -> Problem:
    return Problem(kind=next((kind for start, kind in _KINDS if text.startswith(start)), "other"), text=text)


def _difference(whole: Instance, back: Instance, changes: int) -> Problem:
    parts = []
    if whole.current_state != back.current_state:
        parts.append(f"it would be in {back.current_state!r}, its events say {whole.current_state!r}")
    if changes:
        parts.append(f"{changes:,} {'value differs' if changes == 1 else 'values differ'}")
    return Problem(kind="differs", text="; ".join(parts))


def _values(instance: Instance) -> Mapping[str, object]:
    return instance.public_member if instance.public_member is not None else instance.context


def _part(work: StoredWork, name: str) -> object:
    return work.document.get(name)
