"""What if: a recorded history with something changed, run on the real runtime in memory, beside what was recorded.

Two runs are made from the point where the fork begins: one with the edits and one without. The second tells what the
recording itself leaves open: what differs in both of them is no effect of the edits, and is never told as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from xcstore.errors import QueryError
from xcstore.model.catalog import Catalog
from xcstore.model.definition import Component
from xcstore.replay.classifying import Comparison, compare
from xcstore.replay.depth import refusing_depth
from xcstore.replay.editing import Editing
from xcstore.replay.edits import ChangeDefinition, DropEvent, Edit, EditEvent, Fork, InsertEvent, MoveEvent
from xcstore.replay.fork_results import ForkInstance, ForkResult, ForkStep, ForkVerdict
from xcstore.replay.inputs import recording_of, start_states
from xcstore.replay.recording import Input, Recording
from xcstore.replay.run_results import Interventions, Run
from xcstore.replay.running import MAX_EVENTS, run_inputs
from xcstore.replay.track import Track
from xcstore.runtime.folding import Folded
from xcstore.units import DAY, EpochMs

__all__ = [
    "AFTER_MS",
    "ChangeDefinition",
    "DropEvent",
    "Edit",
    "EditEvent",
    "Fork",
    "ForkInstance",
    "ForkResult",
    "ForkStep",
    "ForkVerdict",
    "InsertEvent",
    "MoveEvent",
    "Prepared",
    "prepare_fork",
    "run_fork",
]

AFTER_MS: Final = 7 * DAY
"""How long timers go on after the last event, where a fork does not say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A fork made ready to run."""

    recording: Recording
    components: tuple[Component, ...]
    inputs: tuple[Input, ...]
    interventions: Interventions
    start: Mapping[str, Folded]
    until: EpochMs
    edited: frozenset[str]
    """Recorded events that an edit names."""
    dropped: frozenset[str]


def run_fork(
    track: Track,
    fork: Fork,
    *,
    catalog: Catalog,
    max_seconds: float = 10.0,
    max_events: int = MAX_EVENTS,
    on_progress: Callable[[int, int], None] = lambda done, most: None,
) -> ForkResult:
    """Run a fork and tell how it differs from what was recorded.

    Parameters
    ----------
    track : Track
        What is forked; `fork.scope` says how it was opened.
    catalog : Catalog
        Definitions for what the store does not name a version of.
    max_seconds, max_events
        The run is cut where it goes beyond; a fork may loop. The time is that of preparing and of both runs; comparing
        them comes on top. What preparing takes away leaves half a second to each run, at least.
    on_progress : callable
        Told every some hundred events how many both runs have made, and how many they may make at most. What it
        raises ends the work.

    Raises
    ------
    QueryError
        An edit does not fit: an event that is not after the fork begins, an unknown instance. Or values are nested too
        deeply to be run again.

    Notes
    -----
    Nothing is stored and nothing is sent. What somebody outside would have sent, had they seen what the fork makes, is
    not known: such an input is still sent as recorded, and it and all that follows from it is `unknown`.
    """
    with refusing_depth("be run again"):
        return _run_fork(track, fork, catalog, max_seconds, max_events, on_progress)


def _run_fork(
    track: Track,
    fork: Fork,
    catalog: Catalog,
    max_seconds: float,
    max_events: int,
    on_progress: Callable[[int, int], None],
) -> ForkResult:
    began = time.monotonic()
    prepared = prepare_fork(track, fork, catalog=catalog)
    recording = prepared.recording
    longest = max(max_events, 2 * len(recording.index))
    each = max(1.0, max_seconds - (time.monotonic() - began)) / 2
    base = run_inputs(
        recording.components,
        recording.inputs,
        start=recording.start,
        start_at=recording.start_at,
        until=prepared.until,
        recording=recording,
        max_events=longest,
        max_seconds=each,
        on_progress=lambda made: on_progress(made, 2 * longest),
    )
    left = max(each, max_seconds - (time.monotonic() - began))
    run = run_inputs(
        prepared.components,
        prepared.inputs,
        start=prepared.start,
        start_at=recording.start_at,
        until=min(prepared.until, base.until),  # beyond, nothing could be told from what happens without the edits
        recording=recording,
        interventions=prepared.interventions,
        max_events=longest,
        max_seconds=left,
        on_progress=lambda made: on_progress(len(base.events) + made, 2 * longest),
    )
    found = compare(
        Comparison(
            track=track,
            recording=recording,
            base=base,
            run=run,
            edited=prepared.edited,
            dropped=prepared.dropped,
            lacking=_lacking(prepared),
            early=run.early or base.early,
        )
    )
    counts: dict[ForkVerdict, int] = dict.fromkeys(("same", "changed", "rejected", "unknown", "new", "gone"), 0)
    for step in found.steps:
        counts[step.verdict] += 1
    return ForkResult(
        steps=found.steps,
        instances=found.instances,
        counts=counts,
        assumptions=(*_assumptions(track, prepared, base, run), *found.assumptions),
        cut=bool(run.cut or base.cut),
        cut_reason=run.cut or base.cut,
        end=recording.end,
        until=run.until,
        seconds=time.monotonic() - began,
        run=run,
    )


def prepare_fork(track: Track, fork: Fork, *, catalog: Catalog) -> Prepared:
    """The inputs and definitions of a fork; see `run_fork` for what it raises."""
    recording = recording_of(track, catalog, at=fork.at)
    editing = Editing(track, recording)
    for edit in fork.edits:
        editing.apply(edit)
    components = tuple(editing.definitions.get(one.name, one) for one in recording.components)
    start: Mapping[str, Folded] = recording.start
    if editing.definitions:
        first = 0 if fork.at == 0 else track.steps[fork.at - 1] + 1
        start = start_states(track, first, components)
    last = max([recording.end, recording.start_at, *(one.at for one in editing.inputs)])
    if fork.until is not None and fork.until < recording.start_at:
        raise QueryError(f"the fork ends at {fork.until}, before it begins at {recording.start_at}")
    return Prepared(
        recording=recording,
        components=components,
        inputs=tuple(editing.inputs),
        interventions=Interventions(dropped=frozenset(editing.suppressed), replaced=editing.replaced),
        start=start,
        until=EpochMs(last + AFTER_MS) if fork.until is None else fork.until,
        edited=frozenset(editing.edited),
        dropped=frozenset(editing.dropped),
    )


def _lacking(prepared: Prepared) -> Mapping[str, str]:
    """Instances that the definitions of the fork have no place for, and why."""
    changed = [one for one in prepared.components if one not in prepared.recording.components]
    found: dict[str, str] = {}
    for name, folded in prepared.recording.start.items():
        instance = folded.instance
        component = next((one for one in changed if one.name == instance.component_name), None)
        if component is None or instance.status != "active":
            continue
        machine = component.find_machine(instance.machine_name)
        if machine is None:
            found[name] = f"the changed definition has no machine {instance.machine_name}"
        elif machine.find_state(instance.current_state) is None:
            found[name] = f"it is in {instance.current_state}, a state that the changed definition does not have"
    return found


def _assumptions(track: Track, prepared: Prepared, base: Run, run: Run) -> Iterable[str]:
    recording = prepared.recording
    if track.truncated:
        yield "not all events of what is replayed were read; what was left out takes no part"
    yield from recording.notes
    yield from run.assumptions
    for name, count in run.methods.items():
        more = count - base.methods.get(name, 0)
        if more > 0:
            times = "once" if more == 1 else f"{more:,} times"
            yield f"{name} would be called {times} where nothing was recorded: what it would do is not known"
    if early := run.early or base.early:
        yield f"{early}: the run ended there, and what timers do later is not known"
    if run.until > recording.end:
        yield "after the end of the recording nothing is known to be sent from outside; only timers go on"
