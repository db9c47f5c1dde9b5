"""A fork beside what was recorded: a verdict for each event and each instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from xcstore.analysis.context import Change
from xcstore.model.history import PersistedEvent
from xcstore.replay.recording import Input
from xcstore.replay.run_results import Run
from xcstore.units import DurationMs, EpochMs

__all__ = ["EndVerdict", "ForkInstance", "ForkResult", "ForkStep", "ForkVerdict"]

ForkVerdict = Literal["same", "changed", "rejected", "unknown", "new", "gone"]
EndVerdict = Literal["same", "changed", "unknown", "new", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkStep:
    """One event, as recorded and as the fork has it. Words hold stored text: escape them.

    Attributes
    ----------
    verdict : {'same', 'changed', 'rejected', 'unknown', 'new', 'gone'}
        `rejected`: sent, and not taken. `gone`: the runtime does not make it any more, or an edit dropped it.
    recorded, forked : PersistedEvent or None
    reason : str
        In words; '' for `same`.
    changes : tuple of Change
        From the values of the instance after the recorded event to those after the forked one.
    edited : bool
        An edit names it, or made it.
    input : Input or None
        What was sent; None where the runtime made it itself.
    position : int or None
        The step of the track.
    at : EpochMs
        In the fork, where it happens there.
    """

    verdict: ForkVerdict
    recorded: PersistedEvent | None = None
    forked: PersistedEvent | None = None
    reason: str = ""
    changes: tuple[Change, ...] = ()
    edited: bool = False
    input: Input | None = None
    position: int | None = None
    at: EpochMs


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkInstance:
    """How an instance ends, as recorded and in the fork.

    Attributes
    ----------
    recorded_id, forked_id : str or None
        Equal where both are there.
    verdict : {'same', 'changed', 'unknown', 'new', 'gone'}
        Of the end: state and values.
    recorded_ms, forked_ms : DurationMs or None
        From the creation to the end, or to where recording or fork end; None where the creation is not known.
    recorded_ended, forked_ended : bool
        Whether it came to a final or error state.
    """

    recorded_id: str | None
    forked_id: str | None
    component_name: str
    machine_name: str
    recorded_state: str | None
    forked_state: str | None
    changes: tuple[Change, ...] = ()
    recorded_ms: DurationMs | None = None
    forked_ms: DurationMs | None = None
    recorded_ended: bool = False
    forked_ended: bool = False
    verdict: EndVerdict = "same"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForkResult:
    """The fork beside the recording.

    Attributes
    ----------
    steps : tuple of ForkStep
        In order of time: what was recorded after the fork begins, and what the fork makes of it.
    instances : tuple of ForkInstance
        Those that have a step, with their ends side by side.
    counts : mapping of ForkVerdict to int
        Of the steps.
    assumptions : tuple of str
        What the answer rests on, in words; they hold stored text.
    cut : bool
        The run ended early; `cut_reason` says why. What was not reached is unknown.
    end : EpochMs
        When the recording ends.
    until : EpochMs
        How far the fork ran.
    """

    steps: tuple[ForkStep, ...]
    instances: tuple[ForkInstance, ...]
    counts: Mapping[ForkVerdict, int]
    assumptions: tuple[str, ...]
    cut: bool
    cut_reason: str
    end: EpochMs
    until: EpochMs
    seconds: float
    run: Run = field(repr=False)
