"""Each recorded event once more through the definition: does it go as it is recorded?

Pure, apart from what the callables given ask. After a divergence it goes on from what was recorded, so that one fault
is told once. What an event asks of other instances is not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from xcstore.model.history import PersistedEvent
from xcstore.replay.tables import Tables
from xcstore.replay.timing import Activity, Alive
from xcstore.replay.verdicts import DIVERGING, KINDS, StepKind, Verdict, VerifiedStep
from xcstore.replay.verifier import HasMachine, SnapshotsOf, TableOf, Verifier
from xcstore.runtime.folding import Folded
from xcstore.runtime.interpreter import MachineTable
from xcstore.units import EpochMs

if TYPE_CHECKING:
    from xcstore.replay.track import Track

__all__ = ["DIVERGING", "KINDS", "StepKind", "Verdict", "VerifiedStep", "governing", "verified", "verify_stream"]


def verify_stream(
    events: Iterable[PersistedEvent],
    table_of: TableOf,
    *,
    as_of: EpochMs | None = None,
    alive: Alive | None = None,
    has_machine: HasMachine = lambda event, name: True,
    snapshots_of: SnapshotsOf = lambda instance_id: (),
    before: Folded | None = None,
) -> Iterator[VerifiedStep]:
    """A verdict for each event of one instance, and for each timer that never came.

    Parameters
    ----------
    events : iterable of PersistedEvent
        One instance, in stream order. May start late: the first step then says so.
    table_of : callable
        The machine that took an event; None where no definition, or not that version, is known.
    as_of : EpochMs, optional
        Up to when the store would have recorded more. Not given: timers are judged up to the last event.
    alive : callable, optional
        Whether a component was seen at work between two moments; not given, it always was.
    has_machine : callable
        Whether the component of an event has a machine of that name; an instance whose transition makes an instance of
        another one ends with it.
    snapshots_of : callable
        The snapshots of an instance; asked only where it was rolled back.
    before : Folded, optional
        The instance before the first event, where that is known.

    Examples
    --------
    >>> list(verify_stream([], lambda event: None))
    []
    """
    verifier = Verifier(table_of, alive, has_machine, snapshots_of, before)
    for event in events:
        yield from verifier.take(event)
    if as_of is not None:
        yield from verifier.finish(as_of)


def verified(track: Track) -> tuple[VerifiedStep, ...]:
    """A verdict for each event of a track, in its order, and for each timer that never came.

    `position` is the step of the track; 0 for events that are no steps. Of a timer that never came it is the step
    before which it fell due, or the last one. Whether a component was at work is known from the events of the track
    alone.
    """
    alive = Activity.of_events(track.events).seen
    table_of, has_machine = governing(track.tables)
    verifiers: dict[str, Verifier] = {}
    found: list[VerifiedStep] = []
    for event in track.events:
        verifier = verifiers.get(event.instance_id)
        if verifier is None:
            before = track.before.get(event.instance_id)
            verifier = verifiers[event.instance_id] = Verifier(table_of, alive, has_machine, lambda _: (), before)
        position = track.position_of(event.id) or 0
        found += [replace(step, position=position) for step in verifier.take(event)]
    if track.events and not track.truncated:
        as_of = max(event.persisted_at for event in track.events)
        for verifier in verifiers.values():
            found += [replace(step, position=track.length) for step in verifier.finish(as_of)]
    return tuple(found)


def governing(tables: Tables) -> tuple[TableOf, HasMachine]:
    """Which machine took an event, and whether its component has another: as verifying asks.

    No other version of a definition speaks for one that is not known.
    """

    def table_of(event: PersistedEvent) -> MachineTable | None:
        return None if tables.found(event) == "today" else tables.of(event)

    def has_machine(event: PersistedEvent, name: str) -> bool:
        return tables.machine(event.component_name, name) is not None

    return table_of, has_machine
