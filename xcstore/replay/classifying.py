"""What a fork changed: its events beside those recorded, each with a verdict and the reason for it.

What somebody outside would have sent is not known where the fork has parted from the recording: in the instance that
it goes to, or in what it answers. The run sends it as recorded; its outcome, and all that follows, is `unknown`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from xcstore.analysis.context import Change, diff, same_json
from xcstore.analysis.inference import timer_reason
from xcstore.model.history import PersistedEvent
from xcstore.replay.comparison import Compared, Comparison
from xcstore.replay.following import follow
from xcstore.replay.fork_ends import end_of
from xcstore.replay.fork_results import ForkInstance, ForkStep, ForkVerdict
from xcstore.replay.kinship import Kinship
from xcstore.replay.outcomes import difference, is_same_but_for_time, outcome_of, same_outcome
from xcstore.replay.recording import Input
from xcstore.units import EpochMs

__all__ = ["Compared", "Comparison", "compare"]

_ROUNDS: Final = 3
"""How often the same timer of an instance is listed after the recording has ended."""


def compare(comparison: Comparison) -> Compared:
    """A verdict for each recorded event after the fork begins, and for each event that only the fork has."""
    return _Comparing(comparison).compared()


class _Comparing:
    def __init__(self, given: Comparison) -> None:
        self._track, self._recording, self._base, self._run = given.track, given.recording, given.base, given.run
        self._edited, self._dropped = given.edited, given.dropped
        self._events = {event.id: event for event in given.track.events if event.id in given.recording.index}
        self._recorded = follow(given.track)
        self._forked = {origin: event_id for event_id, origin in self._run.origins.items()}
        by_id = {event.id: event for event in self._base.events}
        self._in_base = {origin: by_id[event_id] for event_id, origin in self._base.origins.items()}
        here_only = (event for event in self._base.events if event.id not in self._base.origins)
        self._only_base = Counter(map(outcome_of, here_only))
        self._refused = {one.input.origin: one for one in self._run.refused if one.input.origin is not None}
        self._base_refused = {one.input.origin: one.reason for one in self._base.refused}
        self._unsent = {one.origin: one for one in self._run.unsent}
        self._inputs = {one.origin: one for one in self._recording.inputs}
        self._verdicts: dict[str, ForkVerdict] = {}
        """Of events of the fork."""
        self._early = given.early
        self._assumed: dict[str, str] = dict(given.lacking)
        """Instance -> what its state rests on."""
        self._lacking = Counter(given.lacking.values())
        self._beyond = self._unrepeated = self._guessed = self._believed = 0
        self._touched: dict[str, None] = dict.fromkeys(given.lacking)
        self._kinship = Kinship(given.track, given.recording.causes)
        for name in given.lacking:
            self._kinship.part(name)
        self._unmoved: set[str] = set()
        """Events of the fork that are as without an edit, and not as recorded."""
        self._late: set[str] = set()
        """Instances that the fork leads elsewhere, or to which something happens in it after the recording ends."""
        self._alike: Counter[tuple[str, str, str, str]] = Counter()
        self._repeated: Counter[tuple[str, str]] = Counter()

    def compared(self) -> Compared:
        steps = list(self._steps())
        return Compared(steps=tuple(steps), instances=tuple(self._instances()), assumptions=tuple(self._assumptions()))

    # Steps

    def _steps(self) -> Iterable[ForkStep]:
        waiting: list[tuple[EpochMs, float, PersistedEvent | Input]] = [
            (event.persisted_at, float(self._recording.index[event.id]), event)
            for event in self._events.values()
            if event.id not in self._forked
        ]
        waiting += [(one.input.at, one.input.order, one.input) for one in self._run.refused if one.input.origin is None]
        waiting.sort(key=lambda item: item[:2], reverse=True)
        reasons = {id(one.input): one.reason for one in self._run.refused}
        now, place = EpochMs(0), 0.0
        for event in self._run.events:
            recorded = self._events.get(self._run.origins.get(event.id, ""))
            if recorded is not None:
                place = float(self._recording.index[recorded.id])
            elif event.persisted_at != now:
                place = float("inf")
            now = event.persisted_at
            while waiting and waiting[-1][:2] < (now, place):
                yield self._missing(waiting.pop()[2], reasons)
            step = self._forked_step(event, recorded)
            # What cannot be repeated without an edit either is not the doing of one, and nor is what follows from it.
            self._verdicts[event.id] = "same" if step is None or event.id in self._unmoved else step.verdict
            if step is not None and not self._goes_round(step):
                yield step
        while waiting:
            yield self._missing(waiting.pop()[2], reasons)

    def _forked_step(self, event: PersistedEvent, recorded: PersistedEvent | None) -> ForkStep | None:
        """The step of an event of the fork; None where it says nothing about the edits."""
        one = self._run.inputs.get(event.id)
        edited = (one is not None and one.kind == "assumed") or (recorded is not None and recorded.id in self._edited)
        if recorded is None and not edited and self._only_base[outcome_of(event)] > 0:
            self._only_base[outcome_of(event)] -= 1
            self._beyond += 1
            return None
        self._touched[event.instance_id] = None
        verdict, reason, changes = self._judge(event, recorded, one, edited=edited)
        if verdict != "same" or event.persisted_at > self._recording.end:
            self._late.add(event.instance_id)
        if event.id not in self._unmoved:
            self._note_parting(event, recorded, verdict)
        if verdict == "unknown" and event.id not in self._unmoved:
            self._assumed.setdefault(event.instance_id, reason)
        return ForkStep(
            verdict=verdict,
            recorded=recorded,
            forked=event,
            reason=reason,
            changes=changes,
            edited=edited,
            input=one,
            position=None if recorded is None else self._track.position_of(recorded.id),
            at=event.persisted_at,
        )

    def _note_parting(self, event: PersistedEvent, recorded: PersistedEvent | None, verdict: ForkVerdict) -> None:
        state, values = self._run.before[event.id]
        stays = state == event.state_after and same_json(values, event.public_member_snapshot or {})
        if recorded is not None and verdict == "same":
            self._kinship.join(event.instance_id)
        elif recorded is not None or not stays:
            self._kinship.part(event.instance_id)

    def _goes_round(self, step: ForkStep) -> bool:
        """Whether timers alone repeat this without end, after the recording has ended."""
        event = step.forked
        if event is None or event.persisted_at <= self._recording.end or step.recorded or not timer_reason(event):
            return False
        key = event.instance_id, event.event_type, event.state_before, event.state_after
        self._alike[key] += 1
        if self._alike[key] <= _ROUNDS:
            return False
        self._repeated[event.machine_name, event.event_type] += 1
        return True

    def _judge(
        self, event: PersistedEvent, recorded: PersistedEvent | None, one: Input | None, *, edited: bool
    ) -> tuple[ForkVerdict, str, tuple[Change, ...]]:
        differs = ""
        changes: tuple[Change, ...] = ()
        left: Mapping[str, object] = {}
        if recorded is not None:
            left = self._recorded.after[recorded.id][1]
            differs, changes = difference(recorded, left, event)
        if recorded is not None and differs and not edited:
            again = self._in_base.get(recorded.id)
            if again is not None and same_outcome(again, event) and event.instance_id not in self._assumed:
                if is_same_but_for_time(recorded, left, event):
                    return "same", "", ()  # the run's clock stands still while something is done
                self._unrepeated += 1
                self._unmoved.add(event.id)
                return "unknown", f"not repeatable, also without an edit: {differs}", changes
        doubt = self._doubt(event, one) or self._unanswered(event, recorded)
        if doubt:
            return "unknown", f"{doubt}{': ' if differs else ''}{differs}", changes
        if recorded is None:
            return "new", "inserted" if edited else self._why_new(event), ()
        if one is not None and one.kind in ("outside", "code") and not edited:
            parted = self._parted(event, recorded, one)
            if parted:
                self._guessed += 1
                by = "from outside" if one.kind == "outside" else "by user code"
                sent = f"sent {by} as recorded; whether it would have been is not known, as {parted}"
                return "unknown", f"{sent}{'. Here: ' if differs else ''}{differs}", changes
            if one.cause is None and self._kinship.has_parted:
                self._believed += 1
        return ("changed", differs, changes) if differs else ("same", "", ())

    def _doubt(self, event: PersistedEvent, one: Input | None) -> str:
        """What unknown it rests on."""
        if event.instance_id in self._assumed:
            return "follows on what is not known in this instance"
        for cause in event.caused_by:
            if self._verdicts.get(cause) == "unknown" and not (one is not None and one.kind == "assumed"):
                return "follows from what is not known"
        return ""

    def _unanswered(self, event: PersistedEvent, recorded: PersistedEvent | None) -> str:
        """The method whose effect nobody knows and after which it comes, where that is so with the edits alone."""
        again = None if recorded is None else self._in_base.get(recorded.id)
        method = self._run.rests_on.get(event.id)
        if method is None or (again is not None and again.id in self._base.rests_on):
            return ""
        return f"{method} would have been called before, and what it would have done is not known"

    def _parted(self, event: PersistedEvent, recorded: PersistedEvent, one: Input) -> str:
        """How the fork differs from what whoever sent this had seen; '' where it does not."""
        state, values = self._run.before[event.id]
        recorded_state, recorded_values = self._recorded.before[recorded.id]
        again = self._in_base.get(recorded.id)
        if again is not None and self._base.before[again.id][0] == state:
            recorded_state = state  # so it is without an edit, too
            if same_json(self._base.before[again.id][1], values):
                recorded_values = values
        if state != recorded_state:
            return f"the instance is in {state or 'no state'}, and was in {recorded_state or 'no state'}"
        if not same_json(values, recorded_values):
            fields = ", ".join(sorted({str(change.path[0]) for change in diff(recorded_values, values) if change.path}))
            return f"the instance holds other values ({fields})"
        if one.cause is None and (tied := self._kinship.tie_of(event.instance_id, recorded)) not in (
            "",
            event.instance_id,
        ):
            return f"nothing tells what it answers, and {tied}, to which it is tied, is not as it was then"
        if one.cause is not None and one.cause in self._recording.index:
            answered = self._forked.get(one.cause)
            kind = self._events[one.cause].event_type
            if answered is None and one.cause in self._in_base:
                return f"{kind}, which it follows, does not happen"
            if answered is not None and self._verdicts.get(answered) != "same":
                return f"{kind}, which it follows, is not the same"
        return ""

    def _why_new(self, event: PersistedEvent) -> str:
        if timer_reason(event):
            return "a timer that now runs out"
        return "made by the runtime, here only"

    # What is recorded and does not happen in the fork

    def _missing(self, what: PersistedEvent | Input, reasons: Mapping[int, str]) -> ForkStep:
        if isinstance(what, Input):
            self._touched[what.instance_id] = None
            reason = f"inserted, and not taken: {reasons[id(what)]}"
            verdict: ForkVerdict = "unknown" if what.instance_id in self._assumed else "rejected"
            return ForkStep(verdict=verdict, reason=reason, edited=True, input=what, at=what.at)
        verdict, reason = self._why_missing(what)
        (state, values), (left, kept) = self._recorded.before[what.id], self._recorded.after[what.id]
        if (what.id in self._in_base or what.id in self._edited) and (state != left or not same_json(values, kept)):
            self._kinship.part(what.instance_id)
        self._touched[what.instance_id] = None
        refused = self._refused.get(what.id)
        return ForkStep(
            verdict=verdict,
            recorded=what,
            reason=reason,
            edited=what.id in self._edited,
            input=refused.input if refused else self._inputs.get(what.id),
            position=self._track.position_of(what.id),
            at=what.persisted_at,
        )

    def _why_missing(self, event: PersistedEvent) -> tuple[ForkVerdict, str]:
        if event.id in self._recording.unknown:
            return "unknown", "no definition of its machine is known, so it cannot be run"
        if event.id in self._dropped:
            return "gone", "dropped"
        refused = self._refused.get(event.id)
        if event.id not in self._in_base and event.id not in self._edited:
            self._unrepeated += 1
            why = self._base_refused.get(event.id) or "the definition does not make it"
            return "unknown", f"not repeatable, also without an edit: {why}"
        if self._run.cut and event.persisted_at >= self._run.until and refused is None:
            return "unknown", f"the run ended before: {self._run.cut}"
        if event.persisted_at > self._run.until:
            return "unknown", "after the end of the fork"
        assumed = event.instance_id in self._assumed
        if refused is not None:
            if assumed:
                return "unknown", f"follows on what is not known in this instance; here not taken: {refused.reason}"
            return "rejected", f"not taken: {refused.reason}"
        cause = self._recording.causes.get(event.id)
        caused = self._forked.get(cause) if cause is not None else None
        named = self._events[cause].event_type if cause in self._events and cause is not None else ""
        if assumed or (caused is not None and self._verdicts.get(caused) == "unknown"):
            return "unknown", "would follow from what is not known"
        if event.id in self._unsent:
            return (
                "gone",
                f"sent by user code at {named}, which does not happen" if named else "its method does not run",
            )
        if cause is not None and cause in self._events and caused is None:
            return "gone", f"{named}, which led to it, does not happen"
        if timer_reason(event):
            return "gone", "the timer does not run out in this state"
        return "gone", f"{named} does not lead to it any more" if named else "the runtime does not make it any more"

    # Ends

    def _instances(self) -> Iterable[ForkInstance]:
        names = dict.fromkeys([*(event.instance_id for event in self._events.values()), *self._touched])
        for name in names:
            recorded = self._recorded.ends.get(name)
            late = name in self._late
            forked = (self._run.instances if late else self._run.at_end).get(name)
            if recorded is None and forked is None:
                continue
            yield end_of(
                name,
                recorded,
                forked,
                again=self._base.at_end.get(name),
                assumed=self._assumed.get(name),
                goes_on=bool(self._early) and name in self._run.pending,
                created=self._recorded.created.get(name),
                end=self._recording.end,
                until=self._run.until if late else self._recording.end,
            )

    def _assumptions(self) -> Iterable[str]:
        if self._guessed:
            sent = _counted(self._guessed, "input is", "inputs are")
            yield f"{sent} sent as recorded where what came before is not the same; what follows from that is not known"
        if self._believed:
            sent = _counted(self._believed, "input", "inputs")
            yield (
                f"{sent} with no recorded cause, after the first difference: sent as recorded, though nothing says "
                "that what changed has no part in it"
            )
        for reason, count in self._lacking.items():
            yield f"{_counted(count, 'instance', 'instances')} cannot go on: {reason}; what becomes of it is not known"
        ahead = sum(count for key, count in self._only_base.items() if self._recording.end < key[-1] <= self._run.until)
        if ahead:
            events = _counted(ahead, "event", "events")
            yield f"{events} that timers would make after the end of the recording, and do not make with the edits"
        if self._unrepeated:
            events = _counted(self._unrepeated, "recorded event", "recorded events")
            yield f"{events} cannot be repeated, also without an edit; these are unknown"
        for (machine, kind), count in self._repeated.items():
            yield f"{count:,} further {kind} of {machine}, which timers go on repeating: not listed"
        if self._beyond:
            events = _counted(self._beyond, "event", "events")
            yield f"{events} that the runtime makes beyond what is replayed, with and without the edits: left out"


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"
