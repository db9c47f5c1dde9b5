"""The search for a slice: which inputs are needed for an event. See `slicing`.

Notes
-----
Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002): parts are left out,
larger ones first. What is left is one-minimal: none of it can be left out by itself. That is not always the smallest
set of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from xcstore.analysis.context import parse_path, same_json, value_at
from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.replay.inputs import recording_of
from xcstore.replay.recording import Input, Recording, merged_payload
from xcstore.replay.run_results import Run
from xcstore.replay.running import MAX_EVENTS, run_inputs
from xcstore.replay.track import Track
from xcstore.units import EpochMs

__all__ = ["Progress", "Search", "Slice", "held_after", "same_transition"]

Progress = Callable[[int, int], None]

_ABSENT = object()
_LEAST: Final = 1.0
"""Seconds that a single run may take, however late it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What suffices for an event. Words hold stored names: escape them."""

    event: PersistedEvent
    """As it was recorded."""
    inputs: tuple[Input, ...]
    """In the order in which they are sent; () where nothing leads there."""
    considered: int
    """With how many inputs the search began: those of the causal past, or, where these did not suffice, all that came
    before the event."""
    tried: int
    """How often inputs were run."""
    minimal: bool
    """Whether it is proved that none of the inputs can be left out by itself, with what hangs on it."""
    reproduces: bool
    """Whether the inputs lead to the event; where not, `reason` says why."""
    reason: str
    """In one sentence."""
    reached: PersistedEvent | None
    """The event as the run made it."""
    wanted: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Values that had to be the same, by their paths."""
    assumptions: tuple[str, ...] = ()
    until: EpochMs
    """How far time went."""
    seconds: float

    @property
    def dropped(self) -> int:
        return self.considered - len(self.inputs)


class Search:
    def __init__(
        self,
        track: Track,
        place: int,
        catalog: Catalog,
        paths: Sequence[str],
        max_seconds: float,
        on_progress: Progress,
    ) -> None:
        self._began = time.monotonic()
        self._max_seconds = max_seconds
        self._progress = on_progress
        self._track, self._place = track, place
        self._event = track.events[place]
        self._recording: Recording = recording_of(track, catalog)
        self._wanted = _wanted(self._event, paths)
        self._values = [(parse_path(path), value) for path, value in self._wanted.items()]
        self._inputs = [one for one in self._recording.inputs if one.order <= place]
        self._is_child = any(
            event.event_type == CREATION and event.instance_id == self._event.instance_id
            for event in track.events[: place + 1]
            if event.id in self._recording.made
        )
        self._creations = {one.instance_id: number for number, one in enumerate(self._inputs) if one.event_type == ""}
        self._own = next((number for number, one in enumerate(self._inputs) if one.origin == self._event.id), None)
        self._known: dict[frozenset[int], bool] = {}
        self._tried = 0
        self._run: Run | None = None

    def run(self) -> Slice:
        past = self._past()
        kept = self._with_creations(number for number, one in enumerate(self._inputs) if one.origin in past)
        considered = len(kept)
        self._progress(considered, considered)
        if not self._leads(kept):
            kept = self._with_creations(range(len(self._inputs)))
            considered = len(kept)
            if not self._leads(kept):
                return self._slice([], considered, minimal=False, reason=self._why_not(past))
        kept, minimal = self._reduce(kept, considered)
        self._leads(kept, again=True)
        rest = considered - len(kept)
        reason = f"{len(kept):,} of {considered:,} inputs lead there"
        if minimal:
            reason += "; none of them can be left out by itself" if rest else ", and none can be left out by itself"
        else:
            reason += f"; the time of {self._max_seconds:g} s ran out, so fewer may do"
        return self._slice(kept, considered, minimal=minimal, reason=reason)

    def _past(self) -> set[str]:
        """The event, what caused it, what came before it in its instance, and so on."""
        events = self._track.events
        earlier: dict[str, str] = {}
        last: dict[str, str] = {}
        for event in events[: self._place + 1]:
            if event.instance_id in last:
                earlier[event.id] = last[event.instance_id]
            last[event.instance_id] = event.id
        past: set[str] = set()
        waiting = [self._event.id]
        while waiting:
            name = waiting.pop()
            if name in past:
                continue
            past.add(name)
            waiting += [found for links in (self._recording.causes, earlier) if (found := links.get(name)) is not None]
        return past

    def _with_creations(self, numbers: Iterable[int]) -> list[int]:
        """With the creations of instances that get something, in the order of sending."""
        found = set(numbers)
        found |= {
            self._creations[self._inputs[number].instance_id]
            for number in found
            if self._inputs[number].instance_id in self._creations
        }
        return sorted(found)

    def _without(self, kept: Sequence[int], gone: Iterable[int]) -> list[int]:
        """Without some inputs, and without what is sent to instances whose creation goes with them."""
        left = set(kept) - set(gone)
        return [
            number
            for number in kept
            if number in left and self._creations.get(self._inputs[number].instance_id, number) in left
        ]

    # Delta debugging

    def _reduce(self, kept: list[int], considered: int) -> tuple[list[int], bool]:
        """Leave out parts, the larger first, until none can be; whether that was proved in time."""
        parts = 2
        while kept:
            size = -(-len(kept) // min(parts, len(kept)))
            chunks = [kept[at : at + size] for at in range(0, len(kept), size)]
            for chunk in reversed(chunks):  # what came last is needed least often
                if self._late():
                    return kept, False
                rest = self._without(kept, chunk)
                if self._leads(rest):
                    kept, parts = rest, max(parts - 1, 2)
                    self._progress(len(kept), considered)
                    break
            else:
                if self._late():
                    return kept, False
                if size == 1:
                    return kept, True
                parts = min(parts * 2, len(kept))
        return kept, True

    def _late(self) -> bool:
        return time.monotonic() - self._began > self._max_seconds

    def _leads(self, numbers: Sequence[int], *, again: bool = False) -> bool:
        key = frozenset(numbers)
        if self._own is not None and self._own not in key:
            return False
        if key in self._known and not again:
            return self._known[key]
        self._tried += 1
        left = self._max_seconds - (time.monotonic() - self._began)
        run = run_inputs(
            self._recording.components,
            [self._inputs[number] for number in numbers],
            start=self._recording.start,
            start_at=self._recording.start_at,
            until=self._event.persisted_at,
            recording=self._recording,
            max_events=max(MAX_EVENTS, 2 * self._place),
            max_seconds=max(self._max_seconds if again else left, _LEAST),
            stop=self._is_reached,
        )
        self._run = run
        led = bool(run.events) and self._is_reached(run.events[-1])
        self._known[key] = led
        return led

    def _is_reached(self, event: PersistedEvent) -> bool:
        wanted = self._event
        return (
            same_transition(event, wanted)
            and (event.instance_id == wanted.instance_id or self._is_child)
            and (self._own is None or same_json(merged_payload(event), merged_payload(wanted)))
            and all(same_json(value_at(held_after(event), path, _ABSENT), value) for path, value in self._values)
        )

    # Telling

    def _why_not(self, past: set[str]) -> str:
        """What of the recorded past the whole of the inputs does not make again."""
        run = self._run
        assert run is not None  # something was run
        if run.cut:
            return f"the run was ended before it came there: {run.cut}"
        again = set(run.origins.values())
        for event in self._track.events[: self._place + 1]:
            if event.id not in past or event.id in again:
                continue
            refused = next((one.reason for one in run.refused if one.input.origin == event.id), "")
            if event.id in self._recording.unknown:
                refused = f"no definition of {event.machine_name!r} is known"
            elif not refused:
                refused = "nothing makes it again"
            which = "the event itself" if event.id == self._event.id else f"the first that is missing is {event.id}"
            return (
                f"even all inputs do not lead there in our runtime: {which} ({event.event_type!r} of "
                f"{event.machine_name!r}), as {refused}"
            )
        return "all inputs lead to the same events, but not with the same states or values"

    def _slice(self, kept: Sequence[int], considered: int, *, minimal: bool, reason: str) -> Slice:
        run = self._run
        assert run is not None
        led = bool(run.events) and self._is_reached(run.events[-1])
        assumptions = [*self._recording.notes, *run.assumptions]
        if self._track.before:
            assumptions.append(f"{len(self._track.before):,} instances are there from the start, as they were then")
        if self._track.truncated:
            assumptions.append("the events were cut: what belongs to them and was not read is left out")
        return Slice(
            event=self._event,
            inputs=tuple(self._inputs[number] for number in kept) if led else (),
            considered=considered,
            tried=self._tried,
            minimal=minimal and led,
            reproduces=led,
            reason=reason,
            reached=run.events[-1] if led else None,
            wanted=self._wanted,
            assumptions=tuple(assumptions),
            until=self._event.persisted_at,
            seconds=time.monotonic() - self._began,
        )


def same_transition(one: PersistedEvent, wanted: PersistedEvent) -> bool:
    return (one.machine_name, one.event_type, one.state_before, one.state_after) == (
        wanted.machine_name,
        wanted.event_type,
        wanted.state_before,
        wanted.state_after,
    ) and wanted.component_name in ("", one.component_name)


def held_after(event: PersistedEvent) -> object:
    return event.public_member_snapshot if event.public_member_snapshot is not None else event.context


def _wanted(event: PersistedEvent, paths: Sequence[str]) -> dict[str, object]:
    held = held_after(event)
    if paths and held is None:
        raise QueryError(f"event {event.id!r} does not record values, so none can be asked for")
    return {path: value_at(held, parse_path(path), _ABSENT) for path in paths}
