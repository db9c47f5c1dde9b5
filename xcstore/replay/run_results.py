"""What a run in memory is told beside its inputs, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xcstore.model.history import Instance, PersistedEvent
from xcstore.replay.recording import Input
from xcstore.units import EpochMs

__all__ = ["Interventions", "Refusal", "Run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An input that changed nothing, and why, in words. They hold stored text: escape it."""

    input: Input
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interventions:
    """What is changed of events that the runtime makes itself, by the id of the recorded event."""

    dropped: frozenset[str] = frozenset()
    replaced: Mapping[str, tuple[str, Mapping[str, object]]] = field(default_factory=dict, hash=False)
    """The event type and the payload that come in its place."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """What happened.

    Attributes
    ----------
    events : tuple of PersistedEvent
        In the order in which they happened. Their ids and causes are those of the run.
    instances : mapping of str to Instance
        At the end, ended ones too; new ones are called `new-<machine>-<eight digits>`, the same in every run.
    at_end : mapping of str to Instance
        The same when the recording ends; of a run without a recording as `instances`.
    refused : tuple of Refusal
    unsent : tuple of Input
        What code would have sent where its method did not run.
    origins : mapping of str to str
        Event of the run -> the recorded event that it is again.
    inputs : mapping of str to Input
        Event of the run -> the input that made it.
    before : mapping of str to (str, mapping)
        Event of the run -> state and values of the instance before it.
    methods : mapping of str to int
        Methods whose effect is not known -> how often they would have been called.
    rests_on : mapping of str to str
        Event of the run -> the first such method of its instance, where one was called before it.
    cut : str
        Why the run was cut; '' where it was not.
    until : EpochMs
        How far it ran.
    early : str
        Why it ended before its time, after all of the recording was done; '' where it did not.
    pending : frozenset of str
        Instances with timers that still run at the end.
    """

    events: tuple[PersistedEvent, ...]
    instances: Mapping[str, Instance]
    at_end: Mapping[str, Instance]
    refused: tuple[Refusal, ...]
    unsent: tuple[Input, ...]
    origins: Mapping[str, str]
    inputs: Mapping[str, Input]
    before: Mapping[str, tuple[str, Mapping[str, object]]]
    methods: Mapping[str, int]
    rests_on: Mapping[str, str]
    assumptions: tuple[str, ...]
    cut: str
    until: EpochMs
    early: str = ""
    pending: frozenset[str] = frozenset()
