"""Counts how instances of one machine go under two definitions, and tells where the ways part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from xcstore.analysis.context import same_json
from xcstore.model.history import PersistedEvent
from xcstore.replay.impact_changes import span
from xcstore.replay.impact_results import Example, Ignored, MachineImpact, Part, Reached
from xcstore.replay.pure_runs import Taken, Way
from xcstore.replay.rules import timer
from xcstore.runtime.interpreter import MachineTable

__all__ = ["Tally"]


class Tally:
    """The instances of one machine."""

    def __init__(
        self, name: str, now: MachineTable | None, then: MachineTable | None, changed: tuple[str, ...], examples: int
    ) -> None:
        self.name, self.now, self.then, self.changed = name, now, then, changed
        self.instances = self.same = self.same_end = self.other_end = 0
        self.values_differ = self.values_unknown = self.other_than_recorded = self.current_differs = self.breaks = 0
        self.unknown: Counter[str] = Counter()
        self._most = examples
        self._moves: Counter[tuple[str, str]] = Counter()
        self._ignored: Counter[tuple[str, str, bool]] = Counter()
        self._ignoring: Counter[tuple[str, str, bool]] = Counter()
        self._reached: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._examples: defaultdict[tuple[str, str], list[Example]] = defaultdict(list)

    def add(self, stream: Sequence[PersistedEvent], now: Way, then: Way) -> None:
        alike = _alike(now, then)
        if (now.unknown or then.unknown) and (self.changed or not alike):
            self.unknown[then.unknown or now.unknown] += 1
            return
        recorded = stream[-1].state_after
        self.breaks += bool(now.breaks)
        self.other_than_recorded += then.state != recorded
        self.current_differs += now.state != recorded
        for way, reached in zip((now, then), self._reached, strict=True):
            reached.update({step.after for step in way.steps})
        if alike:
            self.same += 1
        elif now.state == then.state:
            self.same_end += 1
        else:
            self.other_end += 1
            self._keep(stream, now, then)
        self._compare_values(now, then, alike)
        if now.passed.keys() != then.passed.keys():
            self._count_ignored(stream, now, then)

    def _compare_values(self, now: Way, then: Way, alike: bool) -> None:
        if alike and not self.changed:
            return
        if now.known and then.known:
            self.values_differ += not same_json(now.values, then.values)
        elif not (alike and now.method == then.method and same_json(now.values, then.values)):
            self.values_unknown += 1

    def _count_ignored(self, stream: Sequence[PersistedEvent], now: Way, then: Way) -> None:
        keys = Counter(
            (passed.state, stream[place].event_type, passed.ended)
            for place, passed in then.passed.items()
            if place not in now.passed
        )
        self._ignored.update(keys)
        self._ignoring.update(keys.keys())

    def _keep(self, stream: Sequence[PersistedEvent], now: Way, then: Way) -> None:
        move = now.state, then.state
        self._moves[move] += 1
        kept = self._examples[move]
        if len(kept) < self._most:
            assert self.now is not None
            assert self.then is not None
            kept.append(
                Example(
                    instance_id=stream[0].instance_id,
                    machine_name=self.name,
                    recorded_end=stream[-1].state_after,
                    end_now=now.state,
                    end_then=then.state,
                    part=_part(stream, now, then, self.now, self.then),
                )
            )

    def told(self) -> MachineImpact:
        now, then = self._reached
        states = [one for one in dict.fromkeys((*now, *then)) if now[one] != then[one]]
        return MachineImpact(
            machine_name=self.name,
            changed=self.changed,
            instances=self.instances,
            same=self.same,
            same_end=self.same_end,
            other_end=self.other_end,
            unknown=self.unknown.total(),
            other_than_recorded=self.other_than_recorded,
            current_differs=self.current_differs,
            moves=dict(self._moves.most_common()),
            unknown_reasons=dict(self.unknown.most_common()),
            ignored=tuple(
                Ignored(state=key[0], event_type=key[1], events=number, instances=self._ignoring[key], ended=key[2])
                for key, number in self._ignored.most_common()
            ),
            reached=tuple(Reached(state=one, now=now[one], then=then[one]) for one in sorted(states)),
            never_reached=tuple(one for one in sorted(states) if not then[one]),
            values_differ=self.values_differ,
            values_unknown=self.values_unknown,
            breaks=self.breaks,
            examples=tuple(one for move, _ in self._moves.most_common() for one in self._examples[move]),
        )


def _alike(now: Way, then: Way) -> bool:
    # Not the place: a timer may follow the recording in one and be the definition's own in the other.
    return len(now.steps) == len(then.steps) and all(
        one[:3] == two[:3] for one, two in zip(now.steps, then.steps, strict=True)
    )


def _part(
    stream: Sequence[PersistedEvent], now: Way, then: Way, now_table: MachineTable, then_table: MachineTable
) -> Part:
    """The first step that one of the two takes and the other does not take so."""
    same = 0
    for one, two in zip(now.steps, then.steps, strict=False):
        if one[:3] != two[:3]:
            break
        same += 1
    mine = now.steps[same] if same < len(now.steps) else None
    others = then.steps[same] if same < len(then.steps) else None
    # A restart may have taken the instance to another state than the one that it had last come to.
    state = min((one for one in (mine, others) if one is not None), key=lambda one: one.at).before
    if mine is not None and others is not None and mine[:2] == others[:2]:
        first, by_now, by_then = mine, mine.after, others.after
        why = f"{mine.event_type!r} leads to {others.after!r}, and not to {mine.after!r}"
    elif mine is None or (others is not None and others.at < mine.at):
        assert others is not None  # else they would be alike
        first, by_now, by_then = others, state, others.after
        why = _fires(others, state, then_table) if others.place < 0 else f"{others.event_type!r} is taken in {state!r}"
    else:
        first, by_now, by_then = mine, mine.after, state
        why = _misses(mine, state, then, now_table, then_table)
    later = next((place for place, event in enumerate(stream) if event.persisted_at >= first.at), len(stream))
    place = first.place if first.place >= 0 else later
    return Part(
        event_id=stream[place].id if first.place >= 0 else None,
        position=place + 1,
        at=first.at,
        state=state,
        now=by_now,
        then=by_then,
        why=why,
    )


def _fires(step: Taken, state: str, table: MachineTable) -> str:
    found = timer(table, state, step.event_type)
    after = "" if found is None or not isinstance(found[1], int) else f" {span(found[1])}"
    return f"the timer {step.event_type!r} of {state!r} falls due after{after}, before anything else comes"


def _misses(step: Taken, state: str, then: Way, now_table: MachineTable, then_table: MachineTable) -> str:
    passed = then.passed.get(step.place)
    if passed is not None:
        return f"{step.event_type!r} is {'refused: it has ended' if passed.ended else 'not known'} in {passed.state!r}"
    mine, others = timer(now_table, state, step.event_type), timer(then_table, state, step.event_type)
    if mine is None:
        return f"{step.event_type!r} is not taken in {state!r}"
    if others is None:
        return f"there is no timer {step.event_type!r} in {state!r} any more"
    assert isinstance(others[1], int)
    return f"the timer {step.event_type!r} of {state!r} falls due later, after {span(others[1])}"
