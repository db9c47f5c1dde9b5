"""One stream against its definition, event by event: the work behind `replay.verified`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from xcstore.analysis.context import Change, diff
from xcstore.model.history import CREATION, InstanceSnapshot, PersistedEvent
from xcstore.replay.origins import Past, Place, find_lost, find_older, find_origin, merged
from xcstore.replay.reasons import (
    context_beside,
    doubt_after,
    methods_of,
    moment_words,
    recorded_values,
    rule_words,
    same_values,
    state_words,
    undecidable,
    unknown_words,
    ways_to,
    why_values,
)
from xcstore.replay.rollback import as_then_words, lost_words, origin_words, snapshot_of
from xcstore.replay.timing import GRACE_MS, Alive, Running, Timers, early_words, missed_words
from xcstore.replay.verdicts import KINDS, VerifiedStep
from xcstore.runtime.folding import Folded, born
from xcstore.runtime.interpreter import MachineTable, Plan, choose, status_in
from xcstore.units import EpochMs

__all__ = ["HasMachine", "SnapshotsOf", "TableOf", "Verifier"]

Values = Mapping[str, object]
TableOf = Callable[[PersistedEvent], MachineTable | None]
HasMachine = Callable[[PersistedEvent, str], bool]
SnapshotsOf = Callable[[str], Sequence[InstanceSnapshot]]


class Verifier:
    """One instance, as it was recorded so far."""

    def __init__(
        self,
        table_of: TableOf,
        alive: Alive | None,
        has_machine: HasMachine,
        snapshots_of: SnapshotsOf,
        before: Folded | None = None,
    ) -> None:
        self._table_of, self._alive, self._has_machine = table_of, alive, has_machine
        self._snapshots_of = snapshots_of
        self._snapshots: Sequence[InstanceSnapshot] | None = None
        self.position = 0
        self._last: PersistedEvent | None = None
        self._earlier = before is not None
        """Whether the instance was there before what is replayed."""
        self._state: str | None = None
        self._meant: str | None = None
        """Where the definition had led, where something else is recorded."""
        self._values: Values = {}
        self._context: Values = {}
        """Beside the public member, where there is one."""
        self._doubt: tuple[str, str] | None = None
        """Why the values are not known for sure: kind and reason."""
        self._timers = Timers()
        self._past = Past()
        if before is not None:
            instance = before.instance
            self._state = instance.current_state
            public = instance.public_member
            self._values = instance.context if public is None else public
            self._context = {} if public is None else instance.context
            self._timers = Timers(
                Running(name, instance.current_state, due, due) for name, (due, _) in before.due.items()
            )

    def take(self, event: PersistedEvent) -> Iterator[VerifiedStep]:
        """The next event: its verdict, after those of the timers that should have come before it."""
        self.position += 1
        if self._timers:
            for timer in self._timers.take_overdue(event.persisted_at, but=event.event_type):
                if self._was_alive(timer, EpochMs(event.persisted_at - GRACE_MS)):
                    until = f"until {event.event_type} of {moment_words(event.persisted_at)}"
                    yield self._missed(timer, event.instance_id, until)
        if self._state is not None and event.state_before != self._state:
            self._timers.clear()  # those of a state that it is not in
        table = self._table_of(event)
        yield self._creation(event, table) if event.event_type == CREATION else self._transition(event, table)
        self._last, self._state = event, event.state_after
        self._past.add(self.position, event, self._values, self._context)

    def finish(self, as_of: EpochMs) -> Iterator[VerifiedStep]:
        """There is nothing more until `as_of`."""
        if self._last is None:
            return
        for timer in self._timers.take_overdue(as_of):
            if self._was_alive(timer, as_of):
                yield self._missed(timer, self._last.instance_id, f"and nothing more is up to {moment_words(as_of)}")

    # Kinds of event

    def _creation(self, event: PersistedEvent, table: MachineTable | None) -> VerifiedStep:
        again = self._state is not None
        self._meant = self._doubt = None
        if table is None:
            self._values = merged(None, event, self._values)
            self._timers.clear()
            return self._second(event) if again else self._unknown(event)
        instance = born(event, table)
        has_public = instance.public_member is not None
        expected = instance.context if instance.public_member is None else instance.public_member
        recorded = recorded_values(event, has_public)
        self._values = expected if recorded is None else recorded
        self._context = (context_beside(event) or {}) if has_public else {}
        self._timers.start(table, event)
        initial = table.machine.initial_state
        if again:
            return self._second(event)
        if event.state_after != initial or event.state_before:
            reason = f"begins in {initial} here, in {event.state_after} there"
            if event.state_after == initial:
                reason = f"begins out of nothing here, out of {event.state_before} there"
            self._timers.clear()
            return self._step(event, "state", reason, expected_state=initial)
        if recorded is None:
            return self._step(event, "state_only", "no values are recorded; the state is the same")
        if same_values(expected, recorded):
            return self._step(event)
        changes = diff(expected, recorded)
        if not isinstance(event.payload, Mapping) or "initialContext" not in event.payload:
            return self._step(event, "unreadable", "the creation does not say what it began with", changes=changes)
        methods = methods_of(table)
        if methods:
            # The TypeScript runtime keeps the payload and the values of an instance as one object for a while.
            reason = f"what it began with is not what its creation says; {methods} may have changed that later"
            return self._step(event, "user_code", reason, changes=changes)
        return self._step(event, "values", "began with other values than its creation says", changes=changes)

    def _transition(self, event: PersistedEvent, table: MachineTable | None) -> VerifiedStep:
        late = self._state is None
        if late:
            self._earlier = True
            self._doubt = ("starts_late", "the history starts before this event; what was held then is not known")
        if not late and event.state_before not in (self._state, self._meant):
            return self._break(event, table)
        if table is None:
            self._follow(event, None, None)
            return self._unknown(event)
        before = table.find_state(event.state_before)
        ended = status_in(before) != "active"
        move = table.moves.get(event.state_before, {}).get(event.event_type)
        if ended or move is None:
            self._follow(event, table, self._way(event, table))
            reason = f"had ended in {event.state_before} here, and takes no {event.event_type} any more"
            if not ended:
                known = state_words(table, event.state_before)
                reason = f"{event.event_type} is ignored in {event.state_before} here: {known}"
            return self._step(event, "ended" if ended else "no_transition", reason, expected_state=event.state_before)
        properties = self._values
        plan, _ = choose(move, event.payload, properties)
        assert plan is not None  # there is a move
        if plan.target == event.state_after:
            return self._compare(event, table, plan)
        way = self._way(event, table)
        doubt = None if way is None else self._doubt or undecidable(table, event, move, properties)
        self._follow(event, table, way)
        if doubt is not None:
            kind, reason = doubt
            return self._step(event, kind, f"which way it goes cannot be said: {reason}", expected_state=plan.target)
        self._meant = plan.target
        reason = f"goes to {plan.target} here, to {event.state_after} there: "
        if way is None:
            reason += f"no transition on {event.event_type} leads from {event.state_before} to {event.state_after}"
        else:
            chosen, other = (rule_words(one, event.payload, properties) for one in (plan, way))
            reason += f"to {plan.target}, {chosen}; to {event.state_after}, {other}"
        return self._step(event, "state", reason, expected_state=plan.target)

    def _break(self, event: PersistedEvent, table: MachineTable | None) -> VerifiedStep:
        """It does not start where the one before it ended."""
        known = self._state
        place = find_origin(self._past, event, table, self.position)
        if place is not None:
            undone = self.position - 1 - place.position
            snapshot = self._snapshot_of(place, event)
            self._values, self._context = place.values, place.context
            self._follow(event, table, self._way(event, table))
            return self._step(
                event,
                "rolled_back",
                f"was in {known}, and starts in {event.state_before}, {origin_words(place, undone, snapshot)}",
                origin_id=place.event_id,
                undone=undone,
            )
        reason = f"was in {known}, and starts in {event.state_before}"
        lost = [] if table is None else ways_to(table, known or "", event.state_before)
        known_place = self._past.was_in(event.state_before)
        if known_place:
            reason += ", where it was before, but with other values"
        elif lost:
            reason += f"; one {' or '.join(lost[:3])} that is not recorded would explain it"
        if self._earlier:
            reason += "; what was before the beginning of this replay may explain it"
        elif table is not None and not known_place and not lost:
            reason += "; no single event leads there"
        self._doubt = ("unreadable", "what it held is not known since the chain of its states broke")
        self._follow(event, table, self._way(event, table))
        return self._step(event, "gap", reason)

    def _compare(self, event: PersistedEvent, table: MachineTable, plan: Plan) -> VerifiedStep:
        """The state is the same: are the values?"""
        has_public = table.machine.public_member_type is not None
        expected, expected_context = plan.merge(self._values, event.payload), plan.merge(self._context, event.payload)
        recorded = recorded_values(event, has_public)
        beside = context_beside(event) if has_public else None
        early = self._timers.find_early(event)
        doubt, last = self._doubt, self._last
        self._follow(event, table, plan)
        same = recorded is None or same_values(expected, recorded)
        same_beside = beside is None or same_values(expected_context, beside)
        if same and same_beside:
            if last is None and doubt is not None:
                return self._step(event, *doubt, expected_state=plan.target)
            if early is not None:
                return self._early(event, early, plan)
            if recorded is None and beside is None:
                reason = "no values are recorded; the state is the same"
                return self._step(event, "state_only", reason, expected_state=plan.target)
            return self._step(event, expected_state=plan.target)
        changes = (
            *(() if same else diff(expected, recorded)),
            *(() if same_beside else diff(expected_context, beside)),
        )
        kind, reason = doubt or why_values(event, table, plan)
        place: Place | None = None
        if recorded is not None and not same and doubt is None:
            if has_public:
                place = find_lost(self._past, event, plan, recorded, self.position)
            if place is not None:
                kind = "public_lost"
            elif kind in ("values", "user_code"):
                place = find_older(self._past, event, plan, recorded, self.position)
        if place is None:
            return self._step(event, kind, reason, expected_state=plan.target, changes=changes)
        undone = self.position - 1 - place.position
        if kind == "public_lost":
            reason = f"the values are {lost_words(place, undone)}"
        elif kind == "values":
            kind = "values_rolled_back"
            reason = f"the values are {origin_words(place, undone, self._snapshot_of(place, event))}"
        else:
            reason += f", {as_then_words(place, undone)}"
        return self._step(
            event,
            kind,
            reason,
            expected_state=plan.target,
            changes=changes,
            origin_id=place.event_id,
            undone=undone,
        )

    # Reasons

    def _early(self, event: PersistedEvent, timer: Running, plan: Plan) -> VerifiedStep:
        kept = event.persisted_at >= timer.earliest
        reason = early_words(event, timer)
        return self._step(event, "timer_kept" if kept else "timer_early", reason, expected_state=plan.target)

    def _missed(self, timer: Running, instance_id: str, until: str) -> VerifiedStep:
        return VerifiedStep(
            position=self.position,
            event=None,
            instance_id=instance_id,
            verdict="ignored_there",
            kind="timer",
            reason=missed_words(timer, until),
        )

    def _second(self, event: PersistedEvent) -> VerifiedStep:
        return self._step(event, "second_creation", "the instance is there already, and is created again")

    def _unknown(self, event: PersistedEvent) -> VerifiedStep:
        return self._step(event, "no_definition", unknown_words(event))

    # Following

    def _follow(self, event: PersistedEvent, table: MachineTable | None, plan: Plan | None) -> None:
        """Go on from what was recorded."""
        has_public = table is not None and table.machine.public_member_type is not None
        recorded = recorded_values(event, has_public)
        self._meant = None
        if has_public:
            context = context_beside(event)
            self._context = merged(plan, event, self._context) if context is None else context
        if recorded is not None:
            self._doubt = None
        elif self._doubt is None:
            self._doubt = doubt_after(table, plan)
        self._values = merged(plan, event, self._values) if recorded is None else recorded
        if plan is None or not self._lives_on(event, plan):
            self._timers.clear()
        else:
            self._timers.follow(plan, event)

    def _lives_on(self, event: PersistedEvent, plan: Plan) -> bool:
        """Whether it is there afterwards: to make an instance of a machine that does not exist ends it."""
        transition = plan.transition
        name = transition.target_machine if transition.type == "inter_machine" else None
        return name is None or self._has_machine(event, name)

    def _way(self, event: PersistedEvent, table: MachineTable | None) -> Plan | None:
        """The transition that was recorded, where the definition has it."""
        if table is None:
            return None
        ways = table.find_plans(event.state_before, event.event_type, event.state_after)
        return choose(ways, event.payload, self._values)[0]

    def _snapshot_of(self, place: Place, event: PersistedEvent) -> InstanceSnapshot | None:
        if self._snapshots is None:
            self._snapshots = self._snapshots_of(event.instance_id)
        return snapshot_of(place, event.state_before, self._snapshots)

    def _was_alive(self, timer: Running, until: EpochMs) -> bool:
        if self._last is None or self._alive is None:
            return True
        return self._alive(self._last.component_name, EpochMs(timer.due + GRACE_MS), until)

    def _step(
        self,
        event: PersistedEvent,
        kind: str = "",
        reason: str = "",
        *,
        expected_state: str | None = None,
        changes: tuple[Change, ...] = (),
        origin_id: str | None = None,
        undone: int | None = None,
    ) -> VerifiedStep:
        return VerifiedStep(
            position=self.position,
            event=event,
            instance_id=event.instance_id,
            verdict=KINDS[kind].verdict if kind else "same",
            kind=kind,
            reason=reason,
            expected_state=expected_state,
            changes=changes,
            origin_id=origin_id,
            undone=undone,
        )
