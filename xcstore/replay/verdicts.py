"""What a verified replay says of each step, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from xcstore.analysis.context import Change
from xcstore.model.history import PersistedEvent

__all__ = [
    "DIVERGING",
    "KINDS",
    "StepKind",
    "Verdict",
    "VerifiedStep",
]

Verdict = Literal["same", "different", "ignored_here", "ignored_there", "not_replayable"]

DIVERGING: Final[frozenset[Verdict]] = frozenset(("different", "ignored_here", "ignored_there"))
"""Verdicts that say: it did not go as the definition says. What cannot be replayed is none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKind:
    """What can be said of a step besides that it is the same."""

    name: str
    verdict: Verdict
    title: str
    meaning: str


KINDS: Final[Mapping[str, StepKind]] = {
    kind.name: kind
    for kind in (
        StepKind(
            name="rolled_back",
            verdict="different",
            title="Rolled back",
            meaning="The event starts where an earlier event had ended: what came between was undone, as by a restart "
            "from an older snapshot.",
        ),
        StepKind(
            name="values_rolled_back",
            verdict="different",
            title="Values rolled back",
            meaning="The state goes on, but the values are those of an earlier event: what came between was undone.",
        ),
        StepKind(
            name="public_lost",
            verdict="different",
            title="Public member lost",
            meaning="The values are those of the context alone, as after a restart from a snapshot that does not keep "
            "the public member.",
        ),
        StepKind(
            name="gap",
            verdict="different",
            title="Break in the chain",
            meaning="The event does not start in the state in which the one before it ended, and no earlier one fits.",
        ),
        StepKind(
            name="state",
            verdict="different",
            title="Another state",
            meaning="The definition leads to another state than the one that is recorded.",
        ),
        StepKind(
            name="values",
            verdict="different",
            title="Other values",
            meaning="The values recorded are not what the payload makes of those before.",
        ),
        StepKind(
            name="timer_early",
            verdict="different",
            title="Timer too early",
            meaning="A timer's event is recorded before the definition lets it fall due.",
        ),
        StepKind(
            name="no_transition",
            verdict="ignored_here",
            title="No such transition",
            meaning="The definition ignores this event in this state; the record says that it was taken.",
        ),
        StepKind(
            name="ended",
            verdict="ignored_here",
            title="After the end",
            meaning="By the definition the instance had ended; the record says that it went on.",
        ),
        StepKind(
            name="second_creation",
            verdict="ignored_here",
            title="Created again",
            meaning="An instance that is there already is created a second time.",
        ),
        StepKind(
            name="timer",
            verdict="ignored_there",
            title="Timer that never came",
            meaning="A timer fell due while the component was seen at work, and its event is not recorded.",
        ),
        StepKind(
            name="no_definition",
            verdict="not_replayable",
            title="No definition",
            meaning="The definition of the machine, or the version that the event names, is not known.",
        ),
        StepKind(
            name="user_code",
            verdict="not_replayable",
            title="User code",
            meaning="The values are not what the payload makes, and a method that may have changed them is not here. "
            "The state was compared.",
        ),
        StepKind(
            name="starts_late",
            verdict="not_replayable",
            title="Starts late",
            meaning="What the instance held before is not in the store.",
        ),
        StepKind(
            name="unreadable",
            verdict="not_replayable",
            title="Not readable",
            meaning="What decides, or what is to be compared, cannot be read, or is masked by the settings.",
        ),
        StepKind(
            name="state_only",
            verdict="same",
            title="State alone",
            meaning="The same state; the store records no values to compare.",
        ),
        StepKind(
            name="timer_kept",
            verdict="same",
            title="Timer not restarted",
            meaning="The same, but the timer counted from an earlier entry: a self-loop had not restarted it.",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStep:
    """One recorded event, executed again. Texts hold stored names: escape them on pages."""

    position: int
    """Of the event in its stream, counted from 1; in `verified` the step of the track."""
    event: PersistedEvent | None
    """None where the definition does something and nothing is recorded; it belongs before the event at `position`, or
    after the last one."""
    instance_id: str
    verdict: Verdict
    kind: str = ""
    """A key of `KINDS`; '' where there is nothing to say."""
    reason: str = ""
    expected_state: str | None = None
    """Where the definition leads; None where it does not say."""
    changes: tuple[Change, ...] = field(default=(), hash=False)
    """Values that differ: `old` as the definition makes them, `new` as recorded."""
    origin_id: str | None = None
    """Rolled back: the event after which the instance goes on."""
    undone: int | None = None
    """Rolled back: how many events came between."""

    @property
    def diverges(self) -> bool:
        return self.verdict in DIVERGING
