"""From a bad event, the smallest set of inputs that still leads there.

First the causal past: what caused the event, what came earlier in the instances that are involved, and what caused
that. Then inputs are left out as long as the rest, run on our runtime in memory, still leads to the event.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from xcstore.analysis.context import parse_path
from xcstore.errors import NotFoundError, QueryError
from xcstore.model.catalog import Catalog
from xcstore.replay.depth import refusing_depth
from xcstore.replay.exporting import Taken, inputs_test
from xcstore.replay.inputs import recording_of
from xcstore.replay.recording import Input, Recording
from xcstore.replay.run_results import Run
from xcstore.replay.running import MAX_EVENTS, run_inputs
from xcstore.replay.slice_search import Progress, Search, Slice, held_after, same_transition
from xcstore.replay.track import Track

__all__ = ["Slice", "minimal_slice", "slice_test"]


def minimal_slice(
    track: Track,
    event_id: str,
    *,
    catalog: Catalog,
    paths: Sequence[str] = (),
    max_seconds: float = 20.0,
    on_progress: Progress = lambda kept, considered: None,
) -> Slice:
    """Reduce the inputs of a track to those that are needed for one of its events.

    The event counts as reached where the same instance takes the same transition: event type, state before and state
    after. One that is an input itself stays, and its payload with it. Of an instance that a transition of another one
    made, any of the same machine will do, as leaving out earlier ones may change which is which.

    Parameters
    ----------
    track : Track
        Instances that were there before it are there from the start, and are no inputs.
    event_id : str
    catalog : Catalog
    paths : sequence of str
        Fields that must hold the same values then too, as `analysis.context.parse_path` reads them.
    max_seconds : float
        When the search ends with what it has come to.
    on_progress : callable
        Called with (inputs that are left, inputs at the beginning). What it raises ends the work.

    Raises
    ------
    NotFoundError
        The track does not hold the event.
    QueryError
        A path cannot be read, the event's values at a path are not recorded, or values are nested too deeply.
    """
    place = next((place for place, event in enumerate(track.events) if event.id == event_id), None)
    if place is None:
        raise NotFoundError(f"event {event_id!r} is not among the events that are replayed")
    with refusing_depth("be run again"):
        return Search(track, place, catalog, paths, max_seconds, on_progress).run()


def slice_test(track: Track, found: Slice, catalog: Catalog) -> str:
    """A pytest file that sends the inputs of a slice, and asserts that they lead to the event. It needs xcstore alone.

    Parameters
    ----------
    track : Track
        The one that was reduced.

    Raises
    ------
    QueryError
        Nothing leads to the event, or a definition has no document to be written down.
    """
    reached = found.reached
    if reached is None:
        raise QueryError(f"there is nothing to test: {found.reason}")
    recording = recording_of(track, catalog)

    def run(recording: Recording) -> Run:
        return run_inputs(
            recording.components,
            found.inputs,
            start=recording.start,
            start_at=recording.start_at,
            until=found.until,
            recording=recording,
            max_events=max(MAX_EVENTS, 2 * len(track.events)),
            max_seconds=math.inf,
            stop=lambda event: event.instance_id == reached.instance_id and same_transition(event, reached),
        )

    held = held_after(reached)
    keys = [str(parse_path(path)[0]) for path in found.wanted]
    small = _reduced(recording, run(recording), found.inputs)
    if run(small).cut == "":
        small = recording  # what was left out was needed after all
    return inputs_test(
        title=f"The smallest cause of {reached.event_type} of {reached.machine_name}, from a recorded history.",
        function=f"{reached.machine_name}_{reached.event_type}",
        components=small.components,
        inputs=found.inputs,
        start=small.start,
        start_at=small.start_at,
        until=found.until,
        recording=small,
        asserts=[
            Taken(
                machine_name=reached.machine_name,
                instance_id=reached.instance_id,
                event_type=reached.event_type,
                state_before=reached.state_before,
                state_after=reached.state_after,
                values={key: held[key] for key in keys if key in held} if isinstance(held, Mapping) else None,
            )
        ],
        about={"event": found.event.id},
    )


def _reduced(recording: Recording, run: Run, inputs: Sequence[Input]) -> Recording:
    """What a run took of a recording, which may hold a thousand times as much."""
    again = {*run.origins.values(), *(one.cause for one in inputs if one.cause is not None)}
    met = {event.instance_id for event in run.events}
    return replace(
        recording,
        inputs=tuple(inputs),
        start={name: folded for name, folded in recording.start.items() if name in met},
        made={name: key for name, key in recording.made.items() if name in again},
        causes={effect: cause for effect, cause in recording.causes.items() if effect in again},
        moments={name: at for name, at in recording.moments.items() if name in again},
        children={key: ids for key, ids in recording.children.items() if key[0] in again},
        timers={key: fired for key, fired in recording.timers.items() if key[0] in met and key[2] in again},
        left_before={name: left for name, left in recording.left_before.items() if name in again},
        left_after={name: left for name, left in recording.left_after.items() if name in again},
    )
